/*
 * source.c - plans and signed bodies as commands need them. See source.h.
 */
#include "coordinator/ctl/cmd/source.h"

#include <stdlib.h>
#include <string.h>

#include "common/os/clock.h"
#include "common/os/crypto.h"
#include "common/os/file.h"
#include "common/runbook/runbook.h"
#include "coordinator/ctl/client/fleet.h"
#include "coordinator/ctl/text/json.h"
#include "coordinator/ctl/view/plan_view.h"

/* ---- A runbook ---- */

void ctl_compiled_fini(struct ctl_compiled *c)
{
    zdm_plan_unref(c->plan);
    zdm_notes_free(c->notes);
    zdm_buffer_fini(&c->plan_bytes);
}

enum zdm_code ctl_compile_text(const char *name, const char *text, size_t n, struct ctl_compiled *out,
                               struct zdm_error *err)
{
    enum zdm_code code = zdm_runbook_compile(name, text, n, &out->plan, &out->notes, err);
    if (code == ZDM_OK && out->plan != NULL) {
        zdm_buffer_init(&out->plan_bytes, ZDM_PLAN_MAX);
        zdm_plan_encode(zdm_crypto_sodium(), out->plan, &out->plan_bytes);
        if (out->plan_bytes.failed)
            code = zdm_error_set(err, ZDM_LIMIT, "the plan is larger than %d KiB", ZDM_PLAN_MAX / 1024);
    }
    return code;
}

enum zdm_code ctl_compile(const char *path, struct ctl_compiled *out, struct zdm_error *err)
{
    struct zdm_buffer text;
    zdm_buffer_init(&text, ZDM_RUNBOOK_MAX + 1);
    enum zdm_code code = zdm_file_read(path, ZDM_RUNBOOK_MAX, &text, err);
    if (code == ZDM_OK)
        code = ctl_compile_text(path, zdm_buffer_text(&text), text.len, out, err);
    zdm_buffer_fini(&text);
    return code;
}

enum zdm_code ctl_compiled_sign(const struct ctl_client *client, const struct ctl_compiled *c, struct zdm_buffer *out,
                                struct zdm_error *err)
{
    struct zdm_envelope envelope;
    enum zdm_code code = zdm_signed_make(zdm_crypto_sodium(), ctl_client_key(client), &ctl_client_trust(client)->fleet,
                                         ZDM_SIGNED_PLAN, c->plan_bytes.data, c->plan_bytes.len, &envelope, err);
    if (code != ZDM_OK)
        return code;
    zdm_envelope_flatten(&envelope, out);
    zdm_envelope_fini(&envelope);
    return out->failed ? zdm_error_set(err, ZDM_LIMIT, "the plan is larger than %d KiB", ZDM_PLAN_MAX / 1024) : ZDM_OK;
}

enum zdm_code ctl_compiled_refuse(const char *path, const struct zdm_notes *notes, struct zdm_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < notes->n_findings; i++)
        n += notes->findings[i].level == ZDM_LEVEL_ERROR ? 1 : 0;
    zdm_error_set(err, ZDM_REFUSED, "%.300s has %zu error%s", path, n, n == 1 ? "" : "s");
    return zdm_error_hint(err, "Mend what is listed above, then: zdmctl plan %.300s", path);
}

enum zdm_code ctl_compiled_show(const struct ctl *ctl, const struct ctl_compiled *c, struct zdm_error *err)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    if (ctl_wants_json(ctl))
        ctl_plan_json(&out, c->plan, c->notes);
    else
        ctl_plan_text(&out, &ctl->look, c->plan, c->notes);
    enum zdm_code code = ctl_write(&out, err);
    zdm_buffer_fini(&out);
    return code;
}

/* ---- What was submitted ---- */

static void decode_base64(const char *text, struct zdm_buffer *out)
{
    size_t room = strlen(text) / 4 * 3 + 3;
    ZDM_CLEANUP(zdm_freep) uint8_t *bytes = malloc(room);
    long n = bytes != NULL ? zdm_unbase64url(bytes, room, text) : -1;
    if (n < 0)
        out->failed = true;
    else
        zdm_buffer_append(out, bytes, (size_t)n);
}

static enum zdm_code decode_plan(const char *text, struct ctl_subject *s, struct zdm_error *err)
{
    struct zdm_buffer flat;
    struct zdm_envelope envelope = {.bytes = NULL};
    size_t n = 0;
    zdm_buffer_init(&flat, 2 * ZDM_PLAN_MAX);
    decode_base64(text, &flat);
    enum zdm_code code = flat.failed ? zdm_error_set(err, ZDM_PROTOCOL, "the coordinator's plan cannot be read")
                                     : zdm_envelope_unflatten(flat.data, flat.len, &envelope, err);
    zdm_buffer_fini(&flat);
    if (code != ZDM_OK)
        return code;
    const uint8_t *body = zdm_signed_body(&envelope, &n);
    code = body != NULL && zdm_signed_claims(&envelope, &s->plan_signer)
               ? zdm_plan_decode(zdm_crypto_sodium(), body, n, &s->plan, err)
               : zdm_error_set(err, ZDM_PROTOCOL, "the coordinator's plan is too short");
    zdm_envelope_fini(&envelope);
    return code;
}

/* Notes are for showing only: without them there is less to show. */
static enum zdm_code decode_notes(const char *text, struct ctl_subject *s, struct zdm_error *err)
{
    struct zdm_buffer bytes;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    zdm_buffer_init(&bytes, 2 * ZDM_NOTES_MAX);
    decode_base64(text, &bytes);
    if (bytes.failed || bytes.len == 0 || zdm_notes_decode(bytes.data, bytes.len, &s->notes, &ignored) != ZDM_OK)
        s->notes = calloc(1, sizeof *s->notes);
    zdm_buffer_fini(&bytes);
    if (s->notes == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    if (s->notes->title == NULL)
        s->notes->title = zdm_strdup("");
    if (s->notes->file == NULL)
        s->notes->file = zdm_strdup("");
    return s->notes->title != NULL && s->notes->file != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

/* Status and plan are two answers; they must be of the same submission. */
static enum zdm_code check_together(const struct ctl_subject *s, struct zdm_error *err)
{
    char hash[ZDM_HASH_HEX_SIZE];
    zdm_hex(hash, s->plan->hash.bytes, sizeof s->plan->hash.bytes);
    if (strcmp(ctl_json_text(s->status, "plan_hash"), hash) == 0 && strcmp(s->plan->id, s->migration) == 0)
        return ZDM_OK;
    zdm_error_set(err, ZDM_CORRUPT, "the coordinator's plan of %s does not have the hash that its status says",
                  s->migration);
    return zdm_error_hint(err, "Try again; when it stays so, do not trust this coordinator.");
}

static enum zdm_code find(struct ctl_client *client, const char *named, bool ended_too, struct ctl_subject *s,
                          struct zdm_error *err)
{
    const struct ctl_query fleet = {.kind = ZDM_QUERY_FLEET};
    struct ctl_target target;
    enum zdm_code code = ctl_ask(client, &fleet, &s->fleet, err);
    if (code == ZDM_OK)
        code = ctl_target_find(s->fleet, named, &target, err);
    if (code == ZDM_OK)
        zdm_copy_text(s->migration, sizeof s->migration, target.migration);
    const struct ctl_query status = {.kind = ZDM_QUERY_STATUS, .migration = code == ZDM_OK ? s->migration : NULL};
    if (code == ZDM_NOT_FOUND && named == NULL && ended_too)
        code = ZDM_OK;
    if (code == ZDM_OK)
        code = ctl_ask(client, &status, &s->status, err);
    if (code == ZDM_OK)
        zdm_copy_text(s->migration, sizeof s->migration, ctl_json_text(s->status, "migration"));
    if (code == ZDM_OK && s->migration[0] == '\0')
        return zdm_error_set(err, ZDM_NOT_FOUND, "no migration has been submitted");
    return code;
}

enum zdm_code ctl_subject_read(struct ctl_client *client, const char *named, bool ended_too, struct ctl_subject *out,
                               struct zdm_error *err)
{
    ZDM_CLEANUP(ctl_json_free) json_t *json = NULL;
    enum zdm_code code = find(client, named, ended_too, out, err);
    const struct ctl_query plan = {.kind = ZDM_QUERY_PLAN, .migration = out->migration};
    if (code == ZDM_OK)
        code = ctl_ask(client, &plan, &json, err);
    if (code == ZDM_OK)
        code = decode_plan(ctl_json_text(json, "plan"), out, err);
    if (code == ZDM_OK)
        code = decode_notes(ctl_json_text(json, "notes"), out, err);
    return code == ZDM_OK ? check_together(out, err) : code;
}

void ctl_subject_fini(struct ctl_subject *subject)
{
    json_decref(subject->fleet);
    json_decref(subject->status);
    zdm_plan_unref(subject->plan);
    zdm_notes_free(subject->notes);
    *subject = (struct ctl_subject){.plan = NULL};
}

/* ---- Signing ---- */

enum zdm_code ctl_sign(struct ctl_client *client, enum zdm_signed_type type, const struct zdm_buffer *body,
                       struct zdm_envelope *out, struct zdm_error *err)
{
    if (body->failed)
        return zdm_error_set(err, ZDM_LIMIT, "what is to be signed is too large");
    return zdm_signed_make(zdm_crypto_sodium(), ctl_client_key(client), &ctl_client_trust(client)->fleet, type,
                           body->data, body->len, out, err);
}

struct zdm_id ctl_nonce(void)
{
    struct zdm_id nonce;
    zdm_random_fill(zdm_random_system(), nonce.bytes, sizeof nonce.bytes);
    return nonce;
}

int64_t ctl_wall(void)
{
    return zdm_wall_ms(zdm_clock_system());
}
