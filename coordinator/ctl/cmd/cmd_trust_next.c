/*
 * cmd_trust_next.c - the versions of a trust file after the first: propose, sign, publish, fetch.
 */
#include "coordinator/ctl/command.h"

#include <stdlib.h>
#include <string.h>

#include "common/os/crypto.h"
#include "common/os/file.h"
#include "coordinator/ctl/client/client.h"
#include "coordinator/ctl/text/json.h"
#include "coordinator/ctl/model/trust_change.h"
#include "coordinator/ctl/model/trust_proposal.h"
#include "coordinator/ctl/view/view_trust.h"

static enum zdm_code read_file(const char *path, struct zdm_buffer *out, struct zdm_error *err)
{
    zdm_buffer_init(out, CTL_TRUST_FILE_MAX);
    return zdm_file_read(path, CTL_TRUST_FILE_MAX, out, err);
}

static enum zdm_code read_chain(const char *path, struct zdm_trust_chain *out, struct zdm_error *err)
{
    struct zdm_buffer bytes;
    enum zdm_code code = read_file(path, &bytes, err);
    if (code == ZDM_OK)
        code = zdm_trust_chain_read(zdm_crypto_sodium(), bytes.data, bytes.len, out, err);
    zdm_buffer_fini(&bytes);
    return code == ZDM_OK ? code : zdm_error_wrap(err, "trust file %s", path);
}

static enum zdm_code own_file(const struct ctl *ctl, const char **out, struct zdm_error *err)
{
    *out = ctl->settings.trust;
    if (*out != NULL)
        return ZDM_OK;
    zdm_error_set(err, ZDM_INVALID, "your trust file is not known");
    return zdm_error_hint(err, "Give it as --trust FILE, in ZDM_TRUST or in the configuration file.");
}

/* What changes, and how far the signatures are. */
static enum zdm_code tell(const struct ctl *ctl, const struct ctl_proposal *p, struct zdm_error *err)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&out, "version %u of the trust file of %s changes:\n", p->next.version, p->next.fleet_name);
    ctl_view_trust_changes(&out, &ctl->look, zdm_crypto_sodium(), &p->chain.trust, &p->next);
    enum zdm_code code = ctl_say(ctl, &out, err);
    zdm_buffer_fini(&out);
    return code;
}

static enum zdm_code tell_progress(const struct ctl *ctl, const struct ctl_proposal *p, const char *path,
                                   struct zdm_error *err)
{
    struct ctl_progress progress = ctl_proposal_progress(zdm_crypto_sodium(), p);
    bool complete = ctl_proposal_is_complete(&progress);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    char text[160];
    ctl_progress_text(text, sizeof text, p, &progress);
    if (ctl_wants_json(ctl))
        ctl_progress_json(&out, p, &progress);
    else
        zdm_buffer_printf(&out, "\n%s\nnext: zdmctl trust %s %s%s\n", text, complete ? "publish" : "sign", path,
                          complete ? "" : " --key ROOTKEY, with each root's key that is missing");
    enum zdm_code code = ctl_write(&out, err);
    zdm_buffer_fini(&out);
    return code;
}

/* ---- propose ---- */

static enum zdm_code propose(const struct ctl *ctl, struct zdm_trust_chain *chain, struct ctl_proposal *out,
                             struct zdm_error *err)
{
    struct zdm_trust next;
    enum zdm_code code = ctl_trust_version(zdm_crypto_sodium(), chain, chain->trust.version, &next, NULL, err);
    if (code != ZDM_OK)
        return code;
    code = ctl_trust_change(zdm_crypto_sodium(), &next, &ctl->options, err);
    if (code == ZDM_OK)
        code = ctl_proposal_make(zdm_crypto_sodium(), chain, &next, out, err);
    zdm_trust_fini(&next);
    return code;
}

enum zdm_code ctl_run_trust_propose(struct ctl *ctl, struct zdm_error *err)
{
    const char *path = ctl_option_text(&ctl->options, CTL_OPT_OUT), *from = NULL;
    struct zdm_trust_chain chain = {.n_envelopes = 0};
    struct ctl_proposal p = {.n_signatures = 0};
    struct zdm_buffer bytes;
    if (path == NULL) {
        zdm_error_set(err, ZDM_INVALID, "trust propose needs a file to write the proposal to");
        return zdm_error_hint(err, "Write --out FILE; the roots sign that file.");
    }
    zdm_buffer_init(&bytes, 2 * CTL_TRUST_FILE_MAX);
    enum zdm_code code = ZDM_OK;
    if (ctl_given(&ctl->options, CTL_OPT_FROM))
        from = ctl_option_text(&ctl->options, CTL_OPT_FROM);
    else
        code = own_file(ctl, &from, err);
    if (code == ZDM_OK)
        code = read_chain(from, &chain, err);
    if (code == ZDM_OK)
        code = propose(ctl, &chain, &p, err);
    if (code == ZDM_OK) {
        ctl_proposal_write(&p, &bytes);
        code = bytes.failed ? zdm_error_set(err, ZDM_NOMEM, "out of memory")
                            : zdm_file_create(path, bytes.data, bytes.len, CTL_TRUST_FILE_MODE, err);
    }
    if (code == ZDM_OK)
        code = tell(ctl, &p, err);
    if (code == ZDM_OK)
        code = tell_progress(ctl, &p, path, err);
    zdm_buffer_fini(&bytes);
    ctl_proposal_fini(&p);
    zdm_trust_chain_fini(&chain);
    return code;
}

/* ---- sign ---- */

/* While signatures are missing a proposal, with the last one a trust file. */
static enum zdm_code write_signed(const struct ctl_proposal *p, const char *path, struct zdm_error *err)
{
    struct ctl_progress progress = ctl_proposal_progress(zdm_crypto_sodium(), p);
    struct zdm_buffer bytes;
    enum zdm_code code = ZDM_OK;
    zdm_buffer_init(&bytes, 2 * CTL_TRUST_FILE_MAX);
    if (ctl_proposal_is_complete(&progress)) {
        struct zdm_trust_chain chain;
        code = ctl_proposal_finish(zdm_crypto_sodium(), p, &chain, err);
        if (code == ZDM_OK) {
            zdm_trust_chain_write(&chain, &bytes);
            zdm_trust_chain_fini(&chain);
        }
    } else {
        ctl_proposal_write(p, &bytes);
    }
    if (code == ZDM_OK && bytes.failed)
        code = zdm_error_set(err, ZDM_NOMEM, "out of memory");
    if (code == ZDM_OK)
        code = zdm_file_write(path, bytes.data, bytes.len, CTL_TRUST_FILE_MODE, err);
    zdm_buffer_fini(&bytes);
    return code;
}

static enum zdm_code read_proposal(const char *path, struct ctl_proposal *out, struct zdm_error *err)
{
    struct zdm_buffer bytes;
    enum zdm_code code = read_file(path, &bytes, err);
    if (code == ZDM_OK && !ctl_proposal_is(bytes.data, bytes.len)) {
        zdm_error_set(err, ZDM_INVALID, "%s is no proposal", path);
        code = zdm_error_hint(err,
                              "A proposal that enough roots have signed is a trust file: zdmctl trust show %s, then "
                              "zdmctl trust publish %s.",
                              path, path);
    } else if (code == ZDM_OK) {
        code = ctl_proposal_read(zdm_crypto_sodium(), bytes.data, bytes.len, out, err);
        if (code != ZDM_OK)
            code = zdm_error_wrap(err, "%s", path);
    }
    zdm_buffer_fini(&bytes);
    return code;
}

static enum zdm_code sign_with(struct ctl *ctl, struct ctl_proposal *p, const char *path, struct zdm_error *err)
{
    struct zdm_signing_key key;
    enum zdm_code code = zdm_key_file_read(ctl->settings.key, &key, err);
    if (code != ZDM_OK)
        return code;
    code = ctl_proposal_sign(zdm_crypto_sodium(), p, &key, err);
    zdm_signing_key_wipe(&key);
    if (code == ZDM_OK)
        code = tell(ctl, p, err);
    if (code == ZDM_OK)
        code = ctl_consent(ctl, "Sign this?", err);
    if (code == ZDM_OK)
        code = write_signed(p, path, err);
    return code == ZDM_OK ? tell_progress(ctl, p, path, err) : code;
}

enum zdm_code ctl_run_trust_sign(struct ctl *ctl, struct zdm_error *err)
{
    const char *path = ctl_operand(&ctl->options, 0);
    struct ctl_proposal p = {.n_signatures = 0};
    if (ctl->settings.key == NULL) {
        zdm_error_set(err, ZDM_INVALID, "trust sign needs a root's secret key");
        return zdm_error_hint(err, "Write --key ROOTKEY.");
    }
    enum zdm_code code = read_proposal(path, &p, err);
    if (code == ZDM_OK)
        code = sign_with(ctl, &p, path, err);
    ctl_proposal_fini(&p);
    return code;
}

/* ---- publish, fetch ---- */

/* Replaces the person's own trust file by one that continues it. */
static enum zdm_code keep(const struct ctl *ctl, const struct zdm_trust_chain *chain, struct zdm_error *err)
{
    struct zdm_buffer bytes;
    zdm_buffer_init(&bytes, CTL_TRUST_FILE_MAX);
    zdm_trust_chain_write(chain, &bytes);
    enum zdm_code code = bytes.failed
                             ? zdm_error_set(err, ZDM_NOMEM, "out of memory")
                             : zdm_file_write(ctl->settings.trust, bytes.data, bytes.len, CTL_TRUST_FILE_MODE, err);
    zdm_buffer_fini(&bytes);
    if (code == ZDM_OK && !ctl_wants_json(ctl))
        printf("your trust file %s is version %u now\n", ctl->settings.trust, chain->trust.version);
    return code;
}

static enum zdm_code check_continues(const struct zdm_trust_chain *mine, const struct zdm_trust_chain *other,
                                     const char *what, struct zdm_error *err)
{
    if (ctl_trust_continues(zdm_crypto_sodium(), mine, other))
        return ZDM_OK;
    zdm_error_set(err, ZDM_AUTH, "%s does not continue your trust file, version %u of %s", what, mine->trust.version,
                  mine->trust.fleet_name);
    return zdm_error_hint(err, "It is of another fleet, older than yours, or roots have signed two different versions: "
                               "ask them.");
}

static enum zdm_code send_chain(struct ctl *ctl, struct ctl_client *client, const struct zdm_trust_chain *chain,
                                struct zdm_error *err)
{
    struct ctl_errand errand = {.request = {.verb = ZDM_VERB_TRUST}, .n_uploads = 1};
    struct ctl_answer answer;
    struct zdm_buffer *bytes = &errand.uploads[0];
    zdm_buffer_init(bytes, CTL_TRUST_FILE_MAX);
    zdm_trust_chain_write(chain, bytes);
    zdm_hash_bytes(zdm_crypto_sodium(), errand.request.plan_hash.bytes, sizeof errand.request.plan_hash.bytes,
                   bytes->data, bytes->len);
    enum zdm_code code =
        bytes->failed ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : ctl_act(client, &errand, &answer, err);
    if (code == ZDM_OK)
        code = ctl_print_answer(ctl, &errand.request, &answer, err);
    ctl_errand_fini(&errand);
    return code;
}

static enum zdm_code read_complete(const char *path, struct zdm_trust_chain *out, struct zdm_error *err)
{
    struct ctl_proposal p = {.n_signatures = 0};
    struct zdm_buffer bytes;
    enum zdm_code code = read_file(path, &bytes, err);
    bool proposal = code == ZDM_OK && ctl_proposal_is(bytes.data, bytes.len);
    zdm_buffer_fini(&bytes);
    if (code != ZDM_OK || !proposal)
        return code == ZDM_OK ? read_chain(path, out, err) : code;
    code = read_proposal(path, &p, err);
    if (code == ZDM_OK) {
        struct ctl_progress progress = ctl_proposal_progress(zdm_crypto_sodium(), &p);
        char text[160];
        ctl_progress_text(text, sizeof text, &p, &progress);
        zdm_error_set(err, ZDM_REFUSED, "%.200s lacks signatures: %s", path, text);
        code =
            zdm_error_hint(err, "zdmctl trust sign %.200s --key ROOTKEY, with each root's key that is missing.", path);
    }
    ctl_proposal_fini(&p);
    return code;
}

enum zdm_code ctl_run_trust_publish(struct ctl *ctl, struct zdm_error *err)
{
    ZDM_CLEANUP(ctl_client_freep) struct ctl_client *client = NULL;
    const char *path = ctl_operand(&ctl->options, 0);
    struct zdm_trust_chain chain = {.n_envelopes = 0};
    enum zdm_code code = read_complete(path, &chain, err);
    if (code == ZDM_OK)
        code = ctl_client_new(ctl, &client, err);
    if (code == ZDM_OK)
        code = check_continues(ctl_client_trust(client), &chain, path, err);
    if (code == ZDM_OK)
        code = send_chain(ctl, client, &chain, err);
    if (code == ZDM_OK)
        code = keep(ctl, &chain, err);
    zdm_trust_chain_fini(&chain);
    return code;
}

/* The coordinator's trust file, as bytes or as JSON around them. */
static enum zdm_code parse_fetched(const struct zdm_buffer *bytes, struct zdm_trust_chain *out, struct zdm_error *err)
{
    json_error_t where;
    if (!ctl_proposal_is(bytes->data, bytes->len))
        return zdm_trust_chain_read(zdm_crypto_sodium(), bytes->data, bytes->len, out, err);
    ZDM_CLEANUP(ctl_json_free) json_t *json = json_loadb((const char *)bytes->data, bytes->len, 0, &where);
    const char *text = ctl_json_text(json, "trust");
    size_t room = strlen(text) / 4 * 3 + 3;
    ZDM_CLEANUP(zdm_freep) uint8_t *chain = malloc(room);
    long n = chain != NULL ? zdm_unbase64url(chain, room, text) : -1;
    if (n <= 0)
        return zdm_error_set(err, ZDM_PROTOCOL, "the coordinator's trust file cannot be read");
    return zdm_trust_chain_read(zdm_crypto_sodium(), chain, (size_t)n, out, err);
}

enum zdm_code ctl_run_trust_fetch(struct ctl *ctl, struct zdm_error *err)
{
    const struct ctl_query query = {.kind = ZDM_QUERY_TRUST};
    ZDM_CLEANUP(ctl_client_freep) struct ctl_client *client = NULL;
    struct zdm_trust_chain chain = {.n_envelopes = 0};
    struct zdm_buffer bytes;
    zdm_buffer_init(&bytes, 2 * CTL_TRUST_FILE_MAX);
    enum zdm_code code = ctl_client_new(ctl, &client, err);
    if (code == ZDM_OK)
        code = ctl_ask_bytes(client, &query, &bytes, err);
    if (code == ZDM_OK)
        code = parse_fetched(&bytes, &chain, err);
    if (code == ZDM_OK)
        code = check_continues(ctl_client_trust(client), &chain, "the coordinator's trust file", err);
    if (code == ZDM_OK)
        code = keep(ctl, &chain, err);
    if (code == ZDM_OK && ctl_wants_json(ctl))
        printf("{\"version\": %u}\n", chain.trust.version);
    zdm_buffer_fini(&bytes);
    zdm_trust_chain_fini(&chain);
    return code;
}
