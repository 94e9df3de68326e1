/*
 * cmd_audit.c - audit verify: fetches the log as it lies in the coordinator's store and proves it here.
 *
 * The coordinator is not trusted for anything but for handing out bytes: who could sign is verified from the fleet's
 * first trust file on, and what agents accepted may come as files, straight from their databases (zdm-agent anchors).
 * Anchors are fetched before the log: what grows meanwhile then only adds events that nobody has confirmed.
 */
#include "coordinator/ctl/command.h"

#include <stdlib.h>
#include <string.h>

#include "common/os/crypto.h"
#include "common/os/file.h"
#include "coordinator/ctl/client/client.h"
#include "coordinator/ctl/text/json.h"
#include "coordinator/log/audit.h"
#include "proto/signed.h"

enum { ANCHORS_MAX = 64 * 1024 * 1024, TRUST_MAX = 8 * 1024 * 1024, PAGES_MAX = 1000 * 1000 };

/* ---- Who could sign ---- */

/* Is the newest version that we hold one of the chain's? Two of one number would be two fleets with one name. */
static bool holds_ours(const struct zdm_trust_chain *chain, const struct zdm_trust_chain *ours)
{
    for (size_t i = 0; i < chain->n_envelopes; i++) {
        struct zdm_hash hash;
        size_t n = 0;
        const uint8_t *body = zdm_signed_body(&chain->envelopes[i], &n);
        zdm_hash_bytes(zdm_crypto_sodium(), hash.bytes, sizeof hash.bytes, body, n);
        if (body != NULL && zdm_hash_equal(&hash, &ours->hash))
            return true;
    }
    return false;
}

static enum zdm_code check_chain(const struct zdm_trust_chain *ours, const struct zdm_buffer *bytes,
                                 struct zdm_error *err)
{
    struct zdm_trust_chain chain;
    enum zdm_code code = zdm_trust_chain_read(zdm_crypto_sodium(), bytes->data, bytes->len, &chain, err);
    if (code != ZDM_OK)
        return zdm_error_wrap(err, "the coordinator's trust file");
    if (!zdm_id_equal(&chain.fleet, &ours->fleet) || !holds_ours(&chain, ours)) {
        code = zdm_error_set(err, ZDM_AUTH, "the coordinator's trust file does not continue yours");
        zdm_error_hint(err, "Somebody made another one: compare \"zdmctl trust show\" with who runs the coordinator.");
    }
    zdm_trust_chain_fini(&chain);
    return code;
}

/* The coordinator's chain where it is newer than ours, else ours. */
static enum zdm_code begin(struct ctl_client *client, struct coord_audit **out, struct zdm_error *err)
{
    const struct ctl_query version = {.kind = ZDM_QUERY_FLEET}, query = {.kind = ZDM_QUERY_TRUST};
    const struct zdm_trust_chain *ours = ctl_client_trust(client);
    struct zdm_buffer bytes;
    json_t *fleet = NULL;
    zdm_buffer_init(&bytes, TRUST_MAX);
    enum zdm_code code = ctl_ask(client, &version, &fleet, err);
    if (code == ZDM_OK && ctl_json_int(fleet, "trust_version", 0) > ours->trust.version) {
        code = ctl_ask_bytes(client, &query, &bytes, err);
        if (code == ZDM_OK)
            code = check_chain(ours, &bytes, err);
    } else if (code == ZDM_OK)
        zdm_trust_chain_write(ours, &bytes);
    if (code == ZDM_OK)
        code = coord_audit_new(zdm_crypto_sodium(), bytes.data, bytes.len, &ours->fleet, out, err);
    zdm_buffer_fini(&bytes);
    json_decref(fleet);
    return code;
}

/* ---- What agents hold ---- */

static enum zdm_code add_file(struct coord_audit *audit, const char *path, struct zdm_error *err)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    enum zdm_code code = zdm_file_read(path, ANCHORS_MAX, &text, err);
    if (code == ZDM_OK)
        code = coord_audit_anchors(audit, zdm_buffer_text(&text), text.len, err);
    zdm_buffer_fini(&text);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while reading %s", path);
}

static enum zdm_code add_anchors(const struct ctl *ctl, struct ctl_client *client, struct coord_audit *audit,
                                 struct zdm_error *err)
{
    const struct ctl_query query = {.kind = ZDM_QUERY_ANCHORS};
    const struct ctl_value *files = &ctl->options.values[CTL_OPT_ANCHORS];
    struct zdm_buffer bytes;
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; i < files->n && code == ZDM_OK; i++)
        code = add_file(audit, files->items[i], err);
    zdm_buffer_init(&bytes, ANCHORS_MAX);
    if (code == ZDM_OK)
        code = ctl_ask_bytes(client, &query, &bytes, err);
    if (code == ZDM_OK)
        code = coord_audit_anchors(audit, zdm_buffer_text(&bytes), bytes.len, err);
    zdm_buffer_fini(&bytes);
    return code;
}

/* ---- The log ---- */

/* Bytes that are no base64url are none at all: the audit then says that the event was changed. */
static enum zdm_code feed_event(struct coord_audit *audit, const json_t *row, struct zdm_error *err)
{
    struct store_record record = {.seq = (uint64_t)ctl_json_int(row, "seq", 0)};
    const char *text = ctl_json_text(row, "bytes");
    size_t room = strlen(text) / 4 * 3 + 3;
    ZDM_CLEANUP(zdm_freep) uint8_t *bytes = malloc(room);
    if (bytes == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    long n = zdm_unbase64url(bytes, room, text);
    record.bytes = bytes;
    record.n = n > 0 ? (size_t)n : 0;
    if (!zdm_unhex(record.prev_hash.bytes, sizeof record.prev_hash.bytes, ctl_json_text(row, "prev_hash")) ||
        !zdm_unhex(record.hash.bytes, sizeof record.hash.bytes, ctl_json_text(row, "hash")))
        return zdm_error_set(err, ZDM_PROTOCOL, "the coordinator's log cannot be read");
    return coord_audit_feed(audit, &record) ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static enum zdm_code feed_page(struct coord_audit *audit, const json_t *page, uint64_t *from, struct zdm_error *err)
{
    const json_t *events = json_object_get(page, "events");
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; i < json_array_size(events) && code == ZDM_OK; i++) {
        const json_t *row = json_array_get(events, i);
        code = feed_event(audit, row, err);
        *from = (uint64_t)ctl_json_int(row, "seq", 0) + 1;
    }
    return code;
}

static enum zdm_code feed_log(struct ctl_client *client, struct coord_audit *audit, struct zdm_error *err)
{
    struct ctl_query query = {.kind = ZDM_QUERY_LOG, .from_seq = 1};
    for (int page = 0; page < PAGES_MAX; page++) {
        ZDM_CLEANUP(ctl_json_free) json_t *json = NULL;
        uint64_t from = query.from_seq;
        enum zdm_code code = ctl_ask(client, &query, &json, err);
        if (code == ZDM_OK)
            code = feed_page(audit, json, &query.from_seq, err);
        if (code != ZDM_OK)
            return code;
        if (!ctl_json_true(json, "more") || query.from_seq <= from)
            return ZDM_OK;
    }
    return zdm_error_set(err, ZDM_LIMIT, "the log is too long");
}

/* ---- What came of it ---- */

static json_t *result_json(const struct coord_audit_result *r)
{
    bool sound = r->finding == COORD_AUDIT_SOUND;
    uint64_t last = sound ? r->head_seq : r->bad_seq - 1;
    return json_pack("{s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:s?, s:I, s:{s:i, s:i, s:i}, s:s?, s:I, s:I}", "sound",
                     sound, "finding", coord_audit_finding_name(r->finding), "events", (json_int_t)r->events, "head",
                     (json_int_t)r->head_seq, "epochs", (json_int_t)r->epochs, "signatures", (json_int_t)r->n_signed,
                     "proven", (json_int_t)r->proven_seq, "proven_by", r->proven_seq != 0 ? r->proven_by : NULL,
                     "unconfirmed", (json_int_t)(last > r->proven_seq ? last - r->proven_seq : 0), "anchors", "given",
                     (int)r->n_anchors, "confirmed", (int)r->n_confirmed, "given_up", (int)r->n_given_up, "what",
                     sound ? NULL : r->what, "from", (json_int_t)r->bad_seq, "to", (json_int_t)r->bad_to);
}

static enum zdm_code print_text(const struct coord_audit_result *result, struct zdm_error *err)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    coord_audit_tell(result, &out);
    enum zdm_code code = ctl_write(&out, err);
    zdm_buffer_fini(&out);
    return code;
}

static enum zdm_code print_json(const struct coord_audit_result *result, struct zdm_error *err)
{
    ZDM_CLEANUP(ctl_json_free) json_t *json = result_json(result);
    return ctl_write_json(json, JSON_INDENT(2), err);
}

static enum zdm_code print_result(const struct ctl *ctl, const struct coord_audit_result *result, struct zdm_error *err)
{
    enum zdm_code code = ctl_wants_json(ctl) ? print_json(result, err) : print_text(result, err);
    if (code != ZDM_OK || result->finding == COORD_AUDIT_SOUND)
        return code;
    zdm_error_set(err, ZDM_CORRUPT, "the audit found a fault");
    return zdm_error_hint(err, "Keep the coordinator's data folder as it is, and see docs/OPERATIONS.md.");
}

enum zdm_code ctl_run_audit_verify(struct ctl *ctl, struct zdm_error *err)
{
    ZDM_CLEANUP(ctl_client_freep) struct ctl_client *client = NULL;
    struct coord_audit *audit = NULL;
    struct coord_audit_result result;
    enum zdm_code code = ctl_client_new(ctl, &client, err);
    if (code == ZDM_OK)
        code = begin(client, &audit, err);
    if (code == ZDM_OK)
        code = add_anchors(ctl, client, audit, err);
    if (code == ZDM_OK)
        code = feed_log(client, audit, err);
    if (code == ZDM_OK) {
        coord_audit_finish(audit, &result);
        code = print_result(ctl, &result, err);
    }
    coord_audit_free(audit);
    return code;
}
