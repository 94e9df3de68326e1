/*
 * cmd_trust.c - trust init, trust show.
 */
#include "coordinator/ctl/command.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/os/crypto.h"
#include "common/os/file.h"
#include "coordinator/ctl/view_lists.h"
#include "proto/trust_file.h"

enum { TRUST_FILE_MAX = 4 * 1024 * 1024, TRUST_FILE_MODE = 0644 };

/* What is collected from the command line, and the secret keys of the roots. */
struct founding {
    struct zdm_trust trust;
    struct zdm_signing_key roots[ZDM_ROOTS_MAX];
    size_t n_roots;
};

static enum zdm_code parse_roles(const char *text, uint32_t *out, struct zdm_error *err)
{
    static const struct {
        const char *name;
        uint32_t role;
    } known[] = {{"viewer", ZDM_ROLE_VIEWER}, {"operator", ZDM_ROLE_OPERATOR}, {"approver", ZDM_ROLE_APPROVER}};
    uint32_t roles = 0;
    for (const char *at = text; *at != '\0';) {
        size_t n = strcspn(at, ","), i = 0;
        while (i < 3 && !(strlen(known[i].name) == n && strncmp(known[i].name, at, n) == 0))
            i++;
        if (i == 3) {
            zdm_error_set(err, ZDM_INVALID, "\"%.*s\" is not a role", (int)(n < 64 ? n : 64), at);
            return zdm_error_hint(err, "Roles are viewer, operator and approver, separated by commas.");
        }
        roles |= known[i].role;
        at += n + (at[n] == ',' ? 1 : 0);
    }
    *out = roles != 0 ? roles : ZDM_ROLE_OPERATOR;
    return ZDM_OK;
}

/* NAME=PUBFILE or NAME=PUBFILE:ROLES; a colon with a slash behind it belongs to the path. */
static enum zdm_code add_person(struct zdm_trust *trust, const char *text, struct zdm_error *err)
{
    struct zdm_person *person = &trust->people[trust->n_people];
    ZDM_CLEANUP(zdm_freep) char *copy = zdm_strdup(text);
    if (copy == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    char *path = strchr(copy, '=');
    if (path == NULL) {
        zdm_error_set(err, ZDM_INVALID, "--person \"%s\" does not say where the key is", text);
        return zdm_error_hint(err, "Write --person NAME=PUBFILE:ROLES, for example ann=ann.key.pub:operator,approver.");
    }
    *path++ = '\0';
    char *roles = strrchr(path, ':');
    if (roles != NULL && strchr(roles, '/') != NULL)
        roles = NULL;
    if (roles != NULL)
        *roles++ = '\0';
    if (!zdm_name_is_valid(copy)) {
        zdm_error_set(err, ZDM_INVALID, "\"%s\" cannot be the name of a person", copy);
        return zdm_error_hint(err, "Names are lower-case letters, digits, dots, dashes and underscores.");
    }
    zdm_copy_text(person->name, sizeof person->name, copy);
    enum zdm_code code = parse_roles(roles != NULL ? roles : "", &person->roles, err);
    if (code == ZDM_OK)
        code = zdm_public_key_read(path, &person->public_key, NULL, 0, err);
    if (code == ZDM_OK)
        trust->n_people++;
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
        code = zdm_public_key_read(coordinators->items[i], &f->trust.coordinators[i], NULL, 0, err);
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
    zdm_buffer_init(&bytes, TRUST_FILE_MAX);
    zdm_trust_chain_write(chain, &bytes);
    enum zdm_code code = bytes.failed ? zdm_error_set(err, ZDM_NOMEM, "out of memory")
                                      : zdm_file_create(path, bytes.data, bytes.len, TRUST_FILE_MODE, err);
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
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    json_t *json = chain_json(chain);
    ZDM_CLEANUP(zdm_freep) char *text = json != NULL ? json_dumps(json, JSON_INDENT(2)) : NULL;
    json_decref(json);
    if (text == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    zdm_buffer_printf(&out, "%s\n", text);
    enum zdm_code code = ctl_write(&out, err);
    zdm_buffer_fini(&out);
    return code;
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

enum zdm_code ctl_run_trust_show(struct ctl *ctl, struct zdm_error *err)
{
    const char *path = ctl_operand(&ctl->options, 0);
    struct zdm_trust_chain chain;
    struct zdm_buffer bytes;
    if (path == NULL)
        path = ctl->settings.trust;
    if (path == NULL) {
        zdm_error_set(err, ZDM_INVALID, "the trust file is not known");
        return zdm_error_hint(err, "Write zdmctl trust show FILE, or set ZDM_TRUST.");
    }
    zdm_buffer_init(&bytes, TRUST_FILE_MAX);
    enum zdm_code code = zdm_file_read(path, TRUST_FILE_MAX, &bytes, err);
    if (code == ZDM_OK)
        code = zdm_trust_chain_read(zdm_crypto_sodium(), bytes.data, bytes.len, &chain, err);
    zdm_buffer_fini(&bytes);
    if (code != ZDM_OK)
        return zdm_error_wrap(err, "trust file %s", path);
    code = print_chain(ctl, &chain, err);
    zdm_trust_chain_fini(&chain);
    return code;
}
