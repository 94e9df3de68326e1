/*
 * fake_engine.c - see fake_engine.h.
 */
#include "tests/unit/agent_app/fake_engine.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

void fake_engine_init(struct fake_engine *fake)
{
    memset(fake, 0, sizeof *fake);
    zdm_copy_text(fake->identity, sizeof fake->identity, "start-1");
}

void fake_engine_fini(struct fake_engine *fake)
{
    for (size_t i = 0; i < fake->n; i++)
        agent_result_free(fake->results[i]);
    agent_journal_fini(&fake->row);
    zdm_envelope_fini(&fake->plan);
}

struct agent_result *fake_engine_next(void *ctx)
{
    struct fake_engine *fake = ctx;
    if (fake->n == 0)
        return NULL;
    struct agent_result *first = fake->results[0];
    memmove(fake->results, fake->results + 1, --fake->n * sizeof fake->results[0]);
    return first;
}

static void copy_row(struct agent_journal *out, const struct agent_journal *row, const struct zdm_envelope *plan)
{
    *out = *row;
    out->cursor = zdm_strdup(row->cursor);
    out->bound = zdm_strdup(row->bound);
    (void)zdm_envelope_copy(&out->directive, &row->directive);
    (void)zdm_envelope_copy(&out->plan, plan);
}

static void connect_db(struct fake_engine *fake, struct agent_result *result)
{
    result->connected = result->writable = true;
    result->engine = ZDM_ENGINE_POSTGRESQL;
    result->capabilities =
        AGENT_CAN_TRANSACTIONAL_DDL | AGENT_CAN_NOWAIT | AGENT_CAN_CONCURRENT_INDEX | AGENT_CAN_HIDE_BY_RENAME;
    zdm_copy_text(result->identity, sizeof result->identity, fake->identity);
    zdm_copy_text(result->server_version, sizeof result->server_version, "15.20");
    if (result->kind != AGENT_OP_CONNECT || !fake->has_row)
        return;
    result->journals = calloc(1, sizeof *result->journals);
    result->n_journals = 1;
    copy_row(&result->journals[0], &fake->row, &fake->plan);
}

static void store_plan(struct fake_engine *fake, const struct agent_op *op)
{
    zdm_envelope_fini(&fake->plan);
    (void)zdm_envelope_copy(&fake->plan, op->envelope);
}

static void accept_order(struct fake_engine *fake, const struct agent_op *op)
{
    struct agent_journal *row = &fake->row;
    if (!fake->has_row)
        row->step = 1;
    fake->has_row = true;
    zdm_copy_text(row->migration, sizeof row->migration, op->migration);
    row->accepted = op->directive->fence;
    if (zdm_directive_reach(op->directive) > row->reached_phase)
        row->reached_phase = zdm_directive_reach(op->directive);
    if (op->directive->mode == ZDM_MODE_RUN || op->directive->mode == ZDM_MODE_PURGE)
        memset(&row->undo_nonce, 0, sizeof row->undo_nonce);
    if (op->trust_version > row->trust_version)
        row->trust_version = op->trust_version;
    row->plan_hash = op->directive->plan_hash;
    row->digest = op->digest;
    zdm_envelope_fini(&row->directive);
    (void)zdm_envelope_copy(&row->directive, op->envelope);
}

static bool spend(struct fake_engine *fake, const struct zdm_id *nonce, struct agent_result *result)
{
    for (size_t i = 0; i < fake->n_spent; i++)
        if (zdm_id_equal(&fake->spent[i], nonce)) {
            result->outcome = AGENT_FAIL;
            zdm_error_set(&result->error, ZDM_REFUSED, "nonce was spent before");
            return false;
        }
    if (fake->n_spent < FAKE_SPENT_MAX)
        fake->spent[fake->n_spent++] = *nonce;
    return true;
}

static void begin_undo(struct fake_engine *fake, const struct agent_op *op, struct agent_result *result)
{
    if (!spend(fake, &op->undo_nonce, result))
        return;
    fake->row.undo_nonce = op->undo_nonce;
    if (fake->row.entered_phase > op->to_phase)
        fake->row.entered_phase = op->to_phase;
    if (fake->row.reached_phase > op->to_phase)
        fake->row.reached_phase = op->to_phase;
    if (fake->row.switched_phase < op->switched_phase)
        fake->row.switched_phase = op->switched_phase;
}

static void let_in(struct fake_engine *fake, const struct agent_op *op, struct agent_result *result)
{
    for (size_t i = 0; i < op->n_spend; i++)
        if (!spend(fake, &op->spend[i].nonce, result))
            return;
    fake->row.entered_phase = op->spend_phase;
    fake->row.purge_now = op->purge_now;
}

static void purge(struct fake_engine *fake, const struct agent_op *op, struct agent_result *result)
{
    fake->done[op->step] = !fake->early || op->purge_now;
    if (fake->done[op->step])
        return;
    result->outcome = AGENT_EARLY;
    result->wait_ms = 60000;
}

static void look_back(struct fake_engine *fake, const struct agent_op *op, struct agent_result *result)
{
    result->proof = fake->done[op->step] ? AGENT_PROOF_NOT_DONE : AGENT_PROOF_DONE;
    result->next_run = fake->done[op->step] ? AGENT_RUN_UNDO_DDL : AGENT_RUN_NONE;
}

static void act(struct fake_engine *fake, const struct agent_op *op, struct agent_result *result)
{
    if (op->run == AGENT_RUN_STEP_DONE)
        fake->row.step = op->step + 1;
    else if (op->run == AGENT_RUN_STEP_BACK)
        fake->row.step = op->step;
    else if (op->run == AGENT_RUN_STOP)
        fake->row.failed_attempt = op->attempt;
    else if (op->run == AGENT_RUN_UNDO_BEGIN)
        begin_undo(fake, op, result);
    else if (op->run == AGENT_RUN_UNDO_END)
        fake->row.switched_phase = op->to_phase;
    else if (op->run == AGENT_RUN_SPEND_APPROVALS)
        let_in(fake, op, result);
    else if (op->run == AGENT_RUN_PURGE)
        purge(fake, op, result);
    else
        fake->done[op->step] = op->run != AGENT_RUN_UNDO_DDL;
}

static void run(struct fake_engine *fake, const struct agent_op *op, struct agent_result *result)
{
    fake->runs[op->run]++;
    if (!zdm_fence_equal(&op->fence, &fake->row.accepted) || op->journal_step != fake->row.step) {
        result->outcome = AGENT_FENCED;
        return;
    }
    act(fake, op, result);
    result->journal_valid = true;
    result->journal_step = fake->row.step;
    result->entered_phase = fake->row.entered_phase;
    result->reached_phase = fake->row.reached_phase;
    result->switched_phase = fake->row.switched_phase;
    result->purge_now = fake->row.purge_now;
    result->undo_nonce = fake->row.undo_nonce;
}

static struct zdm_survey *make_survey(const struct fake_engine *fake)
{
    struct zdm_survey *survey = calloc(1, sizeof *survey);
    survey->tables = calloc(1, sizeof *survey->tables);
    survey->n_tables = 1;
    struct zdm_survey_table *t = survey->tables;
    t->name = (struct zdm_table){zdm_strdup("public"), zdm_strdup("users")};
    t->outline = calloc(1, fake->outline + 1);
    memset(t->outline, 'x', fake->outline);
    return survey;
}

/* False: its result comes when it is cancelled. */
static bool look(struct fake_engine *fake, const struct agent_op *op, struct agent_result *result)
{
    fake->surveys++;
    fake->survey_op = op->id;
    if (fake->survey_fails) {
        result->outcome = AGENT_RETRY;
        zdm_error_set(&result->error, ZDM_UNAVAILABLE, "the database went away");
    } else if (!fake->survey_waits) {
        result->survey = make_survey(fake);
    }
    return !fake->survey_waits;
}

static enum zdm_code start(void *self, const struct agent_op *op, struct zdm_error *err)
{
    struct fake_engine *fake = self;
    if (fake->refuse_starts || fake->n == FAKE_RESULTS_MAX)
        return zdm_error_set(err, ZDM_FULL, "too much is in flight");
    struct agent_result *result = calloc(1, sizeof *result);
    *result =
        (struct agent_result){.op = op->id, .lane = op->lane, .kind = op->kind, .run = op->run, .outcome = AGENT_OK};
    if (op->kind == AGENT_OP_CONNECT || op->kind == AGENT_OP_SIGNALS)
        connect_db(fake, result);
    else if (op->kind == AGENT_OP_STORE_PLAN)
        store_plan(fake, op);
    else if (op->kind == AGENT_OP_ACCEPT)
        accept_order(fake, op);
    else if (op->kind == AGENT_OP_INSPECT && op->back)
        look_back(fake, op, result);
    else if (op->kind == AGENT_OP_INSPECT)
        result->proof = fake->done[op->step] ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
    else if (op->kind == AGENT_OP_SURVEY && !look(fake, op, result)) {
        free(result);
        return ZDM_OK;
    } else if (op->kind != AGENT_OP_SURVEY)
        run(fake, op, result);
    fake->results[fake->n++] = result;
    return ZDM_OK;
}

static void cancel(void *self, uint64_t op)
{
    struct fake_engine *fake = self;
    fake->cancels++;
    if (!fake->survey_waits || op != fake->survey_op || fake->n == FAKE_RESULTS_MAX)
        return;
    struct agent_result *result = calloc(1, sizeof *result);
    *result =
        (struct agent_result){.op = op, .lane = AGENT_LANE_SURVEY, .kind = AGENT_OP_SURVEY, .outcome = AGENT_RETRY};
    zdm_error_set(&result->error, ZDM_CANCELLED, "cancelled");
    fake->results[fake->n++] = result;
}

static void close_db(void *self)
{
    (void)self;
}

struct agent_engine fake_engine_seam(struct fake_engine *fake)
{
    static const struct agent_engine_ops ops = {.name = "fake", .start = start, .cancel = cancel, .close = close_db};
    return (struct agent_engine){.ops = &ops, .self = fake};
}
