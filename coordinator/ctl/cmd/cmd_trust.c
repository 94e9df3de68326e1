/*
 * cmd_trust.c - trust init, trust show. The versions after the first: cmd_trust_next.c.
 */
#include "coordinator/ctl/command.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/os/crypto.h"
#include "common/os/file.h"
#include "coordinator/ctl/text/json.h"
#include "coordinator/ctl/model/trust_change.h"
#include "coordinator/ctl/model/trust_proposal.h"
#include "coordinator/ctl/view/view_trust.h"

/* What is collected from the command line, and the secret keys of the roots. */
struct founding {
    struct zdm_trust trust;
    struct zdm_signing_key roots[ZDM_ROOTS_MAX];
    size_t n_roots;
};

static enum zdm_code add_person(struct zdm_trust *trust, const char *text, struct zdm_error *err)
{
    bool has_roles = false;
    enum zdm_code code = ctl_person_parse("person", text, &trust->people[trust->n_people], &has_roles, err);
    trust->n_people += code == ZDM_OK ? 1 : 0;
    return code;
}

static enum zdm_code add_keys(struct founding *f, const struct ctl_options *options, struct zdm_error *err)
{
    const struct ctl_value *people = &options->values[CTL_OPT_PERSON];
    const struct ctl_value *coordinators = &options->values[CTL_OPT_COORDINATOR_KEY];
    const struct ctl_value *roots = &options->values[CTL_OPT_ROOT];
    enum zdm_code code = ZDM_OK;
    f->trust.people = calloc(people->n + 1, sizeof *f->trust.people);
    if (f->trust.people == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    for (size_t i = 0; code == ZDM_OK && i < people->n; i++)
        code = add_person(&f->trust, people->items[i], err);
    for (size_t i = 0; code == ZDM_OK && i < coordinators->n; i++) {
        code = ctl_public_key(coordinators->items[i], &f->trust.coordinators[i], err);
        f->trust.n_coordinators += code == ZDM_OK ? 1 : 0;
    }
    for (size_t i = 0; code == ZDM_OK && i < roots->n; i++) {
        code = zdm_key_file_read(roots->items[i], &f->roots[i], err);
        if (code != ZDM_OK)
            break;
        f->trust.roots[f->trust.n_roots++] = f->roots[i].public_key;
        f->n_roots++;
    }
    return code;
}

static enum zdm_code need(const struct ctl_options *options, enum ctl_option_id id, const char *why,
                          struct zdm_error *err)
{
    const struct ctl_option *row = ctl_option_row(id);
    if (ctl_given(options, id))
        return ZDM_OK;
    zdm_error_set(err, ZDM_INVALID, "trust init needs --%s", row->name);
    return zdm_error_hint(err, "Give --%s %s: %s.", row->name, row->argument, why);
}

static enum zdm_code fill(struct founding *f, const struct ctl_options *options, struct zdm_error *err)
{
    int64_t approvals = 1;
    int64_t threshold = (int64_t)options->values[CTL_OPT_ROOT].n / 2 + 1;
    enum zdm_code code = need(options, CTL_OPT_FLEET, "the fleet's name", err);
    if (code == ZDM_OK)
        code = need(options, CTL_OPT_PERSON, "at least one operator", err);
    if (code == ZDM_OK)
        code = need(options, CTL_OPT_COORDINATOR_KEY, "the coordinator's public key", err);
    if (code == ZDM_OK)
        code = need(options, CTL_OPT_ROOT, "a secret key that signs this file and its next versions", err);
    if (code == ZDM_OK)
        code = ctl_option_number(options, CTL_OPT_APPROVALS_MIN, 0, ZDM_APPROVALS_MAX, &approvals, err);
    if (code == ZDM_OK)
        code = ctl_option_number(options, CTL_OPT_ROOT_THRESHOLD, 1, ZDM_ROOTS_MAX, &threshold, err);
    if (code != ZDM_OK)
        return code;
    const char *fleet = ctl_option_text(options, CTL_OPT_FLEET);
    if (!zdm_name_is_valid(fleet))
        return zdm_error_set(err, ZDM_INVALID, "\"%s\" cannot be the name of a fleet", fleet);
    zdm_copy_text(f->trust.fleet_name, sizeof f->trust.fleet_name, fleet);
    f->trust.version = 1;
    f->trust.approvals_min = (uint32_t)approvals;
    f->trust.root_threshold = (uint32_t)threshold;
    f->trust.four_eyes = ctl_given(options, CTL_OPT_FOUR_EYES);
    code = add_keys(f, options, err);
    return code == ZDM_OK ? zdm_trust_validate(&f->trust, err) : code;
}

static void founding_fini(struct founding *f)
{
    for (size_t i = 0; i < f->n_roots; i++)
        zdm_signing_key_wipe(&f->roots[i]);
    zdm_trust_fini(&f->trust);
}

static enum zdm_code write_chain(const struct zdm_trust_chain *chain, const char *path, struct zdm_error *err)
{
    struct zdm_buffer bytes;
    zdm_buffer_init(&bytes, CTL_TRUST_FILE_MAX);
    zdm_trust_chain_write(chain, &bytes);
    enum zdm_code code = bytes.failed ? zdm_error_set(err, ZDM_NOMEM, "out of memory")
                                      : zdm_file_create(path, bytes.data, bytes.len, CTL_TRUST_FILE_MODE, err);
    zdm_buffer_fini(&bytes);
    return code;
}

static json_t *hex_json(const void *bytes, size_t n)
{
    char text[ZDM_HASH_HEX_SIZE];
    zdm_hex(text, bytes, n);
    return json_string(text);
}

static json_t *key_json(const struct zdm_hash *public_key)
{
    struct zdm_id id = zdm_key_id(zdm_crypto_sodium(), public_key);
    return hex_json(id.bytes, sizeof id.bytes);
}

static json_t *chain_json(const struct zdm_trust_chain *chain)
{
    const struct zdm_trust *trust = &chain->trust;
    json_t *people = json_array(), *coordinators = json_array(), *roots = json_array();
    for (size_t i = 0; i < trust->n_people; i++) {
        char roles[64];
        zdm_roles_text(roles, sizeof roles, trust->people[i].roles);
        json_array_append_new(people, json_pack("{s:s, s:o, s:s}", "name", trust->people[i].name, "key",
                                                key_json(&trust->people[i].public_key), "roles", roles));
    }
    for (size_t i = 0; i < trust->n_coordinators; i++)
        json_array_append_new(coordinators, key_json(&trust->coordinators[i]));
    for (size_t i = 0; i < trust->n_roots; i++)
        json_array_append_new(roots, key_json(&trust->roots[i]));
    return json_pack("{s:s, s:o, s:i, s:o, s:i, s:i, s:b, s:o, s:o, s:o}", "name", trust->fleet_name, "fleet",
                     hex_json(chain->fleet.bytes, sizeof chain->fleet.bytes), "version", (int)trust->version, "hash",
                     hex_json(chain->hash.bytes, sizeof chain->hash.bytes), "root_threshold",
                     (int)trust->root_threshold, "approvals_min", (int)trust->approvals_min, "four_eyes",
                     trust->four_eyes, "people", people, "coordinators", coordinators, "roots", roots);
}

static enum zdm_code print_json(const struct zdm_trust_chain *chain, struct zdm_error *err)
{
    ZDM_CLEANUP(ctl_json_free) json_t *json = chain_json(chain);
    return ctl_write_json(json, JSON_INDENT(2), err);
}

static enum zdm_code print_chain(const struct ctl *ctl, const struct zdm_trust_chain *chain, struct zdm_error *err)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    if (ctl_wants_json(ctl))
        return print_json(chain, err);
    ctl_view_trust(&out, &ctl->look, zdm_crypto_sodium(), chain);
    enum zdm_code code = ctl_write(&out, err);
    zdm_buffer_fini(&out);
    return code;
}

enum zdm_code ctl_run_trust_init(struct ctl *ctl, struct zdm_error *err)
{
    struct founding f = {.n_roots = 0};
    struct zdm_trust_chain chain = {.n_envelopes = 0};
    const struct zdm_signing_key *roots[ZDM_ROOTS_MAX];
    const char *given = ctl_option_text(&ctl->options, CTL_OPT_OUT);
    ZDM_CLEANUP(zdm_freep) char *usual = ctl_config_path("trust");
    const char *path = given != NULL ? given : usual;
    enum zdm_code code = fill(&f, &ctl->options, err);
    for (size_t i = 0; i < f.n_roots; i++)
        roots[i] = &f.roots[i];
    if (code == ZDM_OK && path == NULL)
        code = zdm_error_set(err, ZDM_INVALID, "there is no home folder to put the trust file into; give --out FILE");
    if (code == ZDM_OK)
        code = zdm_trust_chain_start(zdm_crypto_sodium(), &f.trust, roots, f.n_roots, &chain, err);
    if (code == ZDM_OK)
        code = write_chain(&chain, path, err);
    if (code == ZDM_OK)
        code = print_chain(ctl, &chain, err);
    if (code == ZDM_OK && !ctl_wants_json(ctl))
        printf("\nwritten to %s: coordinators and people of the fleet need it\n", path);
    zdm_trust_chain_fini(&chain);
    founding_fini(&f);
    return code;
}

static enum zdm_code show_proposal(const struct ctl *ctl, const struct ctl_proposal *p, struct zdm_error *err)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    struct ctl_progress progress = ctl_proposal_progress(zdm_crypto_sodium(), p);
    char text[160];
    if (ctl_wants_json(ctl)) {
        ctl_progress_json(&out, p, &progress);
        enum zdm_code half = ctl_write(&out, err);
        zdm_buffer_fini(&out);
        return half;
    }
    ctl_progress_text(text, sizeof text, p, &progress);
    zdm_buffer_printf(&out, "proposal of version %u of the trust file of ", p->next.version);
    ctl_put(&out, &ctl->look, CTL_BOLD, p->next.fleet_name);
    zdm_buffer_puts(&out, "\n");
    ctl_view_trust_changes(&out, &ctl->look, zdm_crypto_sodium(), &p->chain.trust, &p->next);
    zdm_buffer_printf(&out, "%s\n", text);
    enum zdm_code code = ctl_write(&out, err);
    zdm_buffer_fini(&out);
    return code;
}

static enum zdm_code show_bytes(const struct ctl *ctl, const struct zdm_buffer *bytes, struct zdm_error *err)
{
    if (ctl_proposal_is(bytes->data, bytes->len)) {
        struct ctl_proposal proposal;
        enum zdm_code code = ctl_proposal_read(zdm_crypto_sodium(), bytes->data, bytes->len, &proposal, err);
        if (code != ZDM_OK)
            return code;
        code = show_proposal(ctl, &proposal, err);
        ctl_proposal_fini(&proposal);
        return code;
    }
    struct zdm_trust_chain chain;
    enum zdm_code code = zdm_trust_chain_read(zdm_crypto_sodium(), bytes->data, bytes->len, &chain, err);
    if (code != ZDM_OK)
        return code;
    code = print_chain(ctl, &chain, err);
    zdm_trust_chain_fini(&chain);
    return code;
}

enum zdm_code ctl_run_trust_show(struct ctl *ctl, struct zdm_error *err)
{
    const char *path = ctl_operand(&ctl->options, 0);
    struct zdm_buffer bytes;
    if (path == NULL)
        path = ctl->settings.trust;
    if (path == NULL) {
        zdm_error_set(err, ZDM_INVALID, "the trust file is not known");
        return zdm_error_hint(err, "Write zdmctl trust show FILE, or set ZDM_TRUST.");
    }
    zdm_buffer_init(&bytes, CTL_TRUST_FILE_MAX);
    enum zdm_code code = zdm_file_read(path, CTL_TRUST_FILE_MAX, &bytes, err);
    if (code == ZDM_OK)
        code = show_bytes(ctl, &bytes, err);
    zdm_buffer_fini(&bytes);
    return code == ZDM_OK || code == ZDM_CANCELLED ? code : zdm_error_wrap(err, "trust file %s", path);
}
