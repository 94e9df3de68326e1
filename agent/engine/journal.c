/*
 * journal.c - see journal.h.
 */
#include "agent/engine/journal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/plan/undo.h"

/* ---- Values as texts ---- */

const char *agent_number(char out[AGENT_NUMBER_SIZE], uint64_t number)
{
    snprintf(out, AGENT_NUMBER_SIZE, "%" PRIu64, number);
    return out;
}

const char *agent_signed(char out[AGENT_NUMBER_SIZE], int64_t number)
{
    snprintf(out, AGENT_NUMBER_SIZE, "%" PRId64, number);
    return out;
}

char *agent_hex(const void *bytes, size_t n)
{
    char *text = malloc(2 * n + 1);
    if (text != NULL) {
        zdm_hex(text, bytes, n);
    }
    return text;
}

void agent_fence_text(struct agent_fence_text *out, const struct zdm_fence *fence)
{
    agent_number(out->epoch, fence->epoch);
    agent_number(out->generation, fence->generation);
    zdm_hex(out->instance, fence->instance.bytes, sizeof fence->instance.bytes);
    zdm_hex(out->anchor, fence->anchor.bytes, sizeof fence->anchor.bytes);
}

static const char *truth(bool value)
{
    return value ? "1" : "0";
}

bool agent_accept_text(struct agent_accept_text *out, const struct agent_op *op)
{
    const struct zdm_directive *d = op->directive;
    bool ends = d->mode == ZDM_MODE_RUN || d->mode == ZDM_MODE_PURGE;
    static_assert(sizeof out->signature == 2 * sizeof op->envelope->signature + 1, "a signature fits");
    agent_fence_text(&out->fence, &d->fence);
    agent_fence_text(&out->known, &op->fence);
    zdm_hex(out->digest, op->digest.bytes, sizeof op->digest.bytes);
    zdm_hex(out->plan, d->plan_hash.bytes, sizeof d->plan_hash.bytes);
    zdm_hex(out->signature, op->envelope->signature, sizeof op->envelope->signature);
    out->directive = agent_hex(op->envelope->bytes, op->envelope->len);
    const char *const params[AGENT_ACCEPT_PARAMS] = {
        op->migration,
        out->fence.epoch,
        out->fence.generation,
        out->fence.instance,
        out->fence.anchor,
        out->digest,
        out->plan,
        out->directive,
        out->signature,
        agent_number(out->trust, op->trust_version),
        truth(ends),
        truth(op->purge_goes_on),
        truth(op->amends),
        agent_number(out->reach, zdm_directive_reach(d)),
        out->known.epoch,
        out->known.generation,
        out->known.instance,
        agent_number(out->step, op->journal_step),
    };
    memcpy(out->params, params, sizeof params);
    return out->directive != NULL;
}

void agent_accept_text_fini(struct agent_accept_text *text)
{
    free(text->directive);
    text->directive = NULL;
}

/* ---- Rows ---- */

static bool is_true(const char *field)
{
    return field != NULL && (field[0] == '1' || field[0] == 't');
}

static uint64_t number(const char *field)
{
    return field == NULL ? 0 : strtoull(field, NULL, 10);
}

static bool copy(char **out, const char *field)
{
    *out = zdm_strdup(field);
    return field == NULL || *out != NULL;
}

/* None is zero. */
static void read_id(struct zdm_id *out, const char *hex)
{
    if (hex == NULL || !zdm_unhex(out->bytes, sizeof out->bytes, hex)) {
        memset(out->bytes, 0, sizeof out->bytes);
    }
}

static bool read_envelope(struct zdm_envelope *out, const char *bytes, const char *signature)
{
    if (bytes == NULL || signature == NULL || strlen(signature) != 2 * sizeof out->signature) {
        return true; /* none */
    }
    size_t n = strlen(bytes) / 2;
    out->bytes = malloc(n + 1);
    if (out->bytes == NULL) {
        return false;
    }
    out->len = n;
    return zdm_unhex(out->bytes, n, bytes) && zdm_unhex(out->signature, sizeof out->signature, signature);
}

static bool read_hash(struct zdm_hash *out, const char *hex)
{
    return hex != NULL && zdm_unhex(out->bytes, sizeof out->bytes, hex);
}

static void read_marks(struct agent_journal *j, const char *const *f)
{
    j->trust_version = (uint32_t)number(f[21]);
    j->entered_phase = (uint32_t)number(f[22]);
    j->reached_phase = (uint32_t)number(f[23]);
    j->switched_phase = (uint32_t)number(f[24]);
    j->purge_now = is_true(f[25]);
    j->purge_generation = number(f[26]);
    j->purge_generation_now = is_true(f[27]);
    read_id(&j->undo_nonce, f[28]);
    zdm_copy_text(j->remark, sizeof j->remark, f[29] == NULL ? "" : f[29]);
}

bool agent_journal_read(struct agent_journal *j, const char *const *f)
{
    zdm_copy_text(j->migration, sizeof j->migration, f[0]);
    j->accepted.epoch = number(f[2]);
    j->accepted.generation = number(f[4]);
    j->step = (uint32_t)number(f[11]);
    j->walked = is_true(f[14]);
    j->rows_done = number(f[15]);
    j->rows_total = number(f[16]);
    j->failed_attempt = (uint32_t)number(f[17]);
    j->failed_step = (uint32_t)number(f[18]);
    j->failed_code = (enum zdm_code)number(f[19]);
    zdm_copy_text(j->failed_text, sizeof j->failed_text, f[20] == NULL ? "" : f[20]);
    read_marks(j, f);
    return read_hash(&j->plan_hash, f[1]) && zdm_unhex(j->accepted.instance.bytes, 16, f[3]) &&
           read_hash(&j->accepted.anchor, f[5]) && read_hash(&j->digest, f[6]) &&
           read_envelope(&j->directive, f[7], f[8]) && read_envelope(&j->plan, f[9], f[10]) &&
           copy(&j->cursor, f[12]) && copy(&j->bound, f[13]);
}

bool agent_progress_read(struct agent_result *r, const char *const *f)
{
    r->journal_step = (uint32_t)number(f[0]);
    r->walked = is_true(f[3]);
    r->rows_done = number(f[4]);
    r->rows_total = number(f[5]);
    r->entered_phase = (uint32_t)number(f[6]);
    r->reached_phase = (uint32_t)number(f[7]);
    r->switched_phase = (uint32_t)number(f[8]);
    r->purge_now = is_true(f[9]);
    r->purge_generation = number(f[10]);
    r->purge_generation_now = is_true(f[11]);
    read_id(&r->undo_nonce, f[12]);
    free(r->cursor);
    free(r->bound);
    r->bound = NULL;
    return copy(&r->cursor, f[1]) && copy(&r->bound, f[2]);
}

/* ---- Rules ---- */

enum zdm_code agent_fenced(struct zdm_error *err)
{
    return zdm_error_set(err, ZDM_FENCED, "the journal was moved on by another directive or another agent");
}

enum zdm_code agent_refuse_spent(const char *what, struct zdm_error *err)
{
    zdm_error_set(err, ZDM_REFUSED, "%s", what);
    return zdm_error_hint(err, "Sign it anew: each signature counts once on each shard.");
}

enum zdm_code agent_refuse_purged(const struct agent_op *op, enum zdm_engine engine, struct zdm_error *err)
{
    const struct zdm_step *purged =
        op->plan == NULL ? NULL : zdm_plan_purged(op->plan, engine, op->to_phase, op->journal_step);
    if (purged == NULL) {
        return ZDM_OK;
    }
    const char *schema = purged->table.schema == NULL ? "" : purged->table.schema;
    zdm_error_set(err, ZDM_REFUSED, "step %s has really dropped %s of %s%s%s: there is no way back", purged->id,
                  purged->column != NULL ? purged->column : purged->object, schema, schema[0] == '\0' ? "" : ".",
                  purged->table.name);
    return zdm_error_hint(err, "Restore the data from a backup.");
}

bool agent_is_entered(const struct agent_op *op, const struct agent_result *row)
{
    if (op->spend_phase == 0) {
        return row->purge_generation == op->fence.generation && (row->purge_generation_now || !op->purge_now);
    }
    return row->entered_phase >= op->spend_phase && (row->purge_now || !op->purge_now);
}
