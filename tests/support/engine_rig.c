/*
 * engine_rig.c - see engine_rig.h.
 */
#include "tests/support/engine_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/buffer.h"

enum { WAIT_S = 60 };

void rig_begin_results(struct rig *r)
{
    r->next_op = 1;
    r->time_limit_ms = 20000;
    r->attempt = 1;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->arrived, NULL);
}

void rig_end_results(struct rig *r)
{
    for (size_t i = 0; i < r->n_results; i++) {
        agent_result_free(r->results[i]);
    }
    zdm_plan_unref(r->plan);
    free(r->cursor);
    free(r->bound);
    pthread_cond_destroy(&r->arrived);
    pthread_mutex_destroy(&r->lock);
}

static void keep_result(void *ctx, struct agent_result *result)
{
    struct rig *r = ctx;
    pthread_mutex_lock(&r->lock);
    assert_true(r->n_results < RIG_RESULTS_MAX);
    r->results[r->n_results++] = result;
    pthread_cond_broadcast(&r->arrived);
    pthread_mutex_unlock(&r->lock);
}

struct agent_engine_sink rig_sink(struct rig *r)
{
    return (struct agent_engine_sink){.op_done = keep_result, .ctx = r};
}

void rig_connect_engine(struct rig *r)
{
    struct agent_result *result = rig_do(r, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0, 0);
    if (result->outcome != AGENT_OK) {
        fail_msg("connect: %s: %s", agent_outcome_name(result->outcome), result->error.message);
    }
    agent_result_free(result);
}

void rig_plan(struct rig *r, const char *table, size_t n)
{
    zdm_plan_unref(r->plan);
    struct zdm_plan *plan = r->plan = zdm_plan_new();
    static uint8_t serial;
    plan->format = ZDM_PLAN_FORMAT;
    plan->engines = r->engines;
    snprintf(plan->id, sizeof plan->id, "m%s", r->database);
    plan->phases = calloc(1, sizeof *plan->phases);
    plan->n_phases = 1;
    plan->phases[0].number = 1;
    plan->phases[0].class = ZDM_PHASE_EXPAND;
    plan->phases[0].steps = calloc(n, sizeof *plan->phases[0].steps);
    plan->phases[0].n_steps = n;
    memset(plan->hash.bytes, ++serial, sizeof plan->hash.bytes);
    for (size_t i = 0; i < n; i++) {
        struct zdm_step *step = &plan->phases[0].steps[i];
        step->ordinal = (uint32_t)i + 1;
        snprintf(step->id, sizeof step->id, "1.%zu", i + 1);
        step->table.schema = zdm_strdup(r->schema);
        step->table.name = zdm_strdup(table);
    }
    r->journal_step = 1;
    free(r->cursor);
    free(r->bound);
    r->cursor = r->bound = NULL;
}

struct zdm_step *rig_step(struct rig *r, uint32_t ordinal)
{
    return &r->plan->phases[0].steps[ordinal - 1];
}

struct zdm_step *rig_ddl(struct rig *r, uint32_t ordinal, enum zdm_action action, const char *column,
                         const char *object, const char *sql)
{
    struct zdm_step *step = rig_step(r, ordinal);
    step->engine = (enum zdm_engine)r->engines;
    step->action = action;
    step->column = zdm_strdup(column);
    step->object = zdm_strdup(object);
    step->sql = zdm_strdup(sql);
    return step;
}

struct zdm_derivation *rig_derive(struct rig *r, uint32_t ordinal, enum zdm_action action, const char *target,
                                  const char *expr, const char *expr_new, const char *const *sources, size_t n_sources)
{
    struct zdm_step *step = rig_step(r, ordinal);
    struct zdm_derivation *d = step->derivation = calloc(1, sizeof *d);
    step->action = action;
    d->assignments = calloc(1, sizeof *d->assignments);
    d->n_assignments = 1;
    d->assignments[0].target = zdm_strdup(target);
    d->assignments[0].expr = zdm_strdup(expr);
    d->assignments[0].expr_new = zdm_strdup(expr_new);
    d->assignments[0].added = true;
    d->sources = calloc(n_sources + 1, sizeof *d->sources);
    d->n_sources = n_sources;
    for (size_t i = 0; i < n_sources; i++) {
        d->sources[i] = zdm_strdup(sources[i]);
    }
    d->idempotent = true;
    return d;
}

void rig_derive_more(struct zdm_derivation *d, const char *target, const char *expr, const char *expr_new)
{
    d->assignments = realloc(d->assignments, (d->n_assignments + 1) * sizeof *d->assignments);
    assert_non_null(d->assignments);
    d->assignments[d->n_assignments++] = (struct zdm_assignment){
        .target = zdm_strdup(target), .expr = zdm_strdup(expr), .expr_new = zdm_strdup(expr_new), .added = true};
}

struct zdm_derivation *rig_copy(struct rig *r, uint32_t ordinal, enum zdm_action action, const char *target,
                                const char *source)
{
    char expr[128], expr_new[128];
    snprintf(expr, sizeof expr, "t.%c%s%c", r->quote, source, r->quote);
    snprintf(expr_new, sizeof expr_new, "NEW.%c%s%c", r->quote, source, r->quote);
    struct zdm_derivation *d = rig_derive(r, ordinal, action, target, expr, expr_new, &source, 1);
    d->assignments[0].copy_of = zdm_strdup(source);
    d->both_ways = true;
    return d;
}

static struct agent_op base_op(struct rig *r, enum agent_op_kind kind)
{
    struct agent_op op = {.id = r->next_op++, .kind = kind, .plan = r->plan, .fence = r->fence};
    snprintf(op.migration, sizeof op.migration, "%s", r->plan == NULL ? "" : r->plan->id);
    return op;
}

static void start(struct rig *r, const struct agent_op *op)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    if (r->engine.ops->start(r->engine.self, op, &err) != ZDM_OK) {
        fail_msg("start: %s", err.message);
    }
}

uint64_t rig_begin(struct rig *r, enum agent_op_kind kind, enum agent_run run, uint32_t step, uint32_t rows)
{
    struct agent_op op = base_op(r, kind);
    bool control = kind == AGENT_OP_CONNECT || kind == AGENT_OP_SIGNALS;
    op.lane = control ? 0 : 1;
    op.run = run;
    op.step = step;
    op.journal_step = r->journal_step;
    op.cursor = r->cursor;
    op.bound = r->bound;
    op.rows = rows;
    op.lock_wait_ms = r->lock_wait_ms;
    op.max_stall_ms = r->max_stall_ms;
    op.time_limit_ms = r->time_limit_ms;
    op.locked_form = r->locked_form;
    op.max_replica_lag_ms = 5000;
    op.max_slot_wal_mb = r->max_slot_wal_mb;
    op.attempt = r->attempt;
    op.failed_code = ZDM_DATABASE;
    op.failed_text = "it broke";
    op.floor = r->floor;
    op.to_phase = r->to_phase;
    op.switched_phase = r->switched_phase;
    op.undo_nonce = r->undo_nonce;
    op.undo_issued_at_ms = r->undo_issued_at_ms;
    op.spend = r->spend;
    op.n_spend = r->n_spend;
    op.spend_phase = r->spend_phase;
    op.grace_ms = r->grace_ms;
    op.purge_now = r->purge_now;
    op.back = r->looking_back;
    start(r, &op);
    return op.id;
}

struct agent_result *rig_await(struct rig *r, uint64_t op)
{
    struct timespec until;
    struct agent_result *found = NULL;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&r->lock);
    for (int timed_out = 0; found == NULL && !timed_out;) {
        for (size_t i = 0; i < r->n_results && found == NULL; i++) {
            if (r->results[i]->op == op) {
                found = r->results[i];
                r->results[i] = r->results[--r->n_results];
            }
        }
        if (found == NULL) {
            timed_out = pthread_cond_timedwait(&r->arrived, &r->lock, &until);
        }
    }
    pthread_mutex_unlock(&r->lock);
    if (found == NULL) {
        fail_msg("operation %lu gave no result", (unsigned long)op);
        return NULL;
    }
    if (found->journal_valid) {
        r->journal_step = found->journal_step;
        free(r->cursor);
        free(r->bound);
        r->cursor = zdm_strdup(found->cursor);
        r->bound = zdm_strdup(found->bound);
        r->walked = found->walked;
        r->row.entered_phase = found->entered_phase;
        r->row.reached_phase = found->reached_phase;
        r->row.switched_phase = found->switched_phase;
        r->row.purge_now = found->purge_now;
        r->row.purge_generation = found->purge_generation;
        r->row.purge_generation_now = found->purge_generation_now;
        r->row.undo_nonce = found->undo_nonce;
    }
    if (found->remark[0] != '\0') {
        snprintf(r->remark, sizeof r->remark, "%s", found->remark);
    }
    return found;
}

struct agent_result *rig_do(struct rig *r, enum agent_op_kind kind, enum agent_run run, uint32_t step, uint32_t rows)
{
    return rig_await(r, rig_begin(r, kind, run, step, rows));
}

struct agent_result *rig_try_accept(struct rig *r, uint64_t epoch, uint64_t generation, uint8_t instance,
                                    uint8_t digest)
{
    struct zdm_envelope envelope = {.bytes = (uint8_t[]){1, 2, 3}, .len = 3};
    struct zdm_directive directive = {.fence = {.epoch = epoch, .generation = generation}};
    memset(directive.fence.instance.bytes, instance, 16);
    memset(directive.fence.anchor.bytes, digest, 32);
    directive.plan_hash = r->plan->hash;
    directive.mode = r->mode == 0 ? ZDM_MODE_RUN : r->mode;
    directive.goal_phase = r->goal_phase;
    struct agent_op op = base_op(r, AGENT_OP_ACCEPT);
    op.directive = &directive;
    op.journal_step = r->journal_step;
    op.trust_version = r->trust_version;
    op.purge_goes_on = r->purge_goes_on;
    op.envelope = &envelope;
    memset(op.digest.bytes, digest, 32);
    start(r, &op);
    struct agent_result *result = rig_await(r, op.id);
    if (result->outcome == AGENT_OK) {
        r->fence = directive.fence;
    }
    return result;
}

void rig_accept(struct rig *r, uint64_t generation)
{
    struct zdm_envelope envelope = {.bytes = (uint8_t[]){9, 8, 7}, .len = 3};
    struct agent_op op = base_op(r, AGENT_OP_STORE_PLAN);
    op.envelope = &envelope;
    op.digest = r->plan->hash;
    start(r, &op);
    struct agent_result *result = rig_await(r, op.id);
    assert_true(result->outcome == AGENT_OK || result->outcome == AGENT_ALREADY);
    agent_result_free(result);
    result = rig_try_accept(r, 1, generation, 1, (uint8_t)generation);
    assert_string_equal(agent_outcome_name(result->outcome), "ok");
    agent_result_free(result);
}

void rig_expect(const struct agent_result *result, enum agent_outcome expected)
{
    if (result->outcome != expected) {
        fail_msg("%s of lane %u: %s instead of %s: %s %s (%s) %s", agent_run_name(result->run), result->lane,
                 agent_outcome_name(result->outcome), agent_outcome_name(expected), result->error.sqlstate,
                 result->error.message, result->error.detail, result->error.hint);
    }
}

void rig_run(struct rig *r, enum agent_run run, uint32_t step, enum agent_outcome expected)
{
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, run, step, 1000);
    /* An autovacuum may come by at any time: as the core does, try again. */
    for (int i = 0; i < 100 && expected == AGENT_OK && result->outcome == AGENT_LOCK; i++) {
        agent_result_free(result);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        result = rig_do(r, AGENT_OP_RUN, run, step, 1000);
    }
    rig_expect(result, expected);
    agent_result_free(result);
}

void rig_refused(struct rig *r, enum agent_run run, uint32_t step, const char *text)
{
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, run, step, 1000);
    rig_expect(result, AGENT_FAIL);
    bool says = strstr(result->error.message, text) != NULL || strstr(result->error.detail, text) != NULL ||
                strstr(result->error.hint, text) != NULL;
    if (!says) {
        fail_msg("\"%s\" is not in: %s (%s) %s", text, result->error.message, result->error.detail, result->error.hint);
    }
    agent_result_free(result);
}

void rig_inspect(struct rig *r, uint32_t step, enum agent_proof expected)
{
    struct agent_result *result = rig_do(r, AGENT_OP_INSPECT, AGENT_RUN_NONE, step, 0);
    rig_expect(result, AGENT_OK);
    assert_string_equal(agent_proof_name(result->proof), agent_proof_name(expected));
    agent_result_free(result);
}

static struct agent_result *look_back(struct rig *r, uint32_t step)
{
    r->looking_back = true;
    struct agent_result *result = rig_do(r, AGENT_OP_INSPECT, AGENT_RUN_NONE, step, 0);
    r->looking_back = false;
    rig_expect(result, AGENT_OK);
    return result;
}

void rig_back(struct rig *r, uint32_t step, enum agent_proof expected, enum agent_run next_run)
{
    struct agent_result *result = look_back(r, step);
    assert_string_equal(agent_proof_name(result->proof), agent_proof_name(expected));
    assert_string_equal(agent_run_name(result->next_run), agent_run_name(next_run));
    agent_result_free(result);
}

unsigned rig_undo(struct rig *r, uint32_t step)
{
    for (unsigned parts = 0; parts < 1000; parts++) {
        struct agent_result *result = look_back(r, step);
        enum agent_proof proof = result->proof;
        enum agent_run next = result->next_run;
        agent_result_free(result);
        if (proof == AGENT_PROOF_DONE) {
            rig_run(r, AGENT_RUN_STEP_BACK, step, AGENT_OK);
            return parts;
        }
        assert_string_equal(agent_proof_name(proof), "not done");
        result = rig_do(r, AGENT_OP_RUN, next, step, 400);
        if (result->outcome != AGENT_LOCK && result->outcome != AGENT_RETRY) {
            rig_expect(result, AGENT_OK);
        }
        agent_result_free(result);
    }
    fail_msg("step %u is never undone", (unsigned)step);
    return 0;
}

unsigned rig_walk(struct rig *r, uint32_t step, uint32_t rows)
{
    unsigned batches = 0;
    bool check = rig_step(r, step)->action == ZDM_ACTION_CHECK_COMPARE;
    rig_run(r, AGENT_RUN_BOUND, step, AGENT_OK);
    while (!r->walked) {
        struct agent_result *result =
            rig_do(r, AGENT_OP_RUN, check ? AGENT_RUN_CHECK_CHUNK : AGENT_RUN_BATCH, step, rows);
        rig_expect(result, AGENT_OK);
        assert_true(result->rows_walked <= rows);
        agent_result_free(result);
        batches++;
    }
    return batches;
}

void rig_reload(struct rig *r)
{
    struct agent_result *result = rig_do(r, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0, 0);
    rig_expect(result, AGENT_OK);
    for (size_t i = 0; i < result->n_journals; i++) {
        const struct agent_journal *j = &result->journals[i];
        if (strcmp(j->migration, r->plan->id) == 0) {
            r->journal_step = j->step;
            free(r->cursor);
            free(r->bound);
            r->cursor = zdm_strdup(j->cursor);
            r->bound = zdm_strdup(j->bound);
            r->walked = j->walked;
            r->fence = j->accepted;
            r->row.entered_phase = j->entered_phase;
            r->row.reached_phase = j->reached_phase;
            r->row.switched_phase = j->switched_phase;
            r->row.purge_now = j->purge_now;
            r->row.purge_generation = j->purge_generation;
            r->row.purge_generation_now = j->purge_generation_now;
            r->row.undo_nonce = j->undo_nonce;
            snprintf(r->row.remark, sizeof r->row.remark, "%s", j->remark);
        }
    }
    agent_result_free(result);
}

/* ---- The journal in SQL ---- */

/* MySQL's server has one journal, PostgreSQL one in each database. */
const char *rig_home(const struct rig *r)
{
    return r->mysql != NULL ? "home = DATABASE()" : "true";
}

void rig_bytes(const struct rig *r, char *out, size_t size, unsigned n)
{
    snprintf(out, size, r->mysql != NULL ? "UNHEX(REPEAT('ab', %u))" : "decode(repeat('ab', %u), 'hex')", n);
}
