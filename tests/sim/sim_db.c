/*
 * sim_db.c - see sim_db.h.
 */
#include "tests/sim/sim_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

enum { SIM_LANES = 1 + ZDM_MIGRATIONS_ACTIVE_MAX, SIM_LANE_QUEUE = 64 };

/* An operation as start() copied it. */
struct pending {
    struct agent_op op;
    char *cursor, *bound, *failed_text;
    struct zdm_envelope envelope;
    bool pause; /* ACCEPT: of the directive */
    struct zdm_hash plan_hash;
    struct zdm_fence offered;
    bool cancelled;
    struct sim_engine *engine; /* NULL: its agent is dead, nobody waits for the result */
    uint64_t boots;            /* of the database when it was started */
};

struct sim_engine {
    struct sim_db *db;
    int node; /* of its agent */
    struct agent_engine_sink sink;
    struct pending *queues[SIM_LANES][SIM_LANE_QUEUE]; /* [lane][0] is running */
    size_t lengths[SIM_LANES];
    bool connected;
    uint64_t boots; /* of the database when the sessions were opened */
};

static void begin(struct sim_engine *engine, unsigned lane);

static void pending_free(struct pending *pending)
{
    zdm_plan_unref(pending->op.plan);
    zdm_envelope_fini(&pending->envelope);
    free(pending->cursor);
    free(pending->bound);
    free(pending->failed_text);
    free(pending);
}

void sim_db_init(struct sim_db *db, struct world *world, int number, uint32_t rows)
{
    *db = (struct sim_db){.world = world, .number = number, .up = true, .boots = 1, .rows = rows};
}

void sim_db_fini(struct sim_db *db)
{
    for (size_t i = 0; i < db->n_journals; i++)
        agent_journal_fini(&db->journals[i]);
    for (size_t i = 0; i < db->n_plans; i++)
        zdm_envelope_fini(&db->plans[i].envelope);
}

void sim_db_stop(struct sim_db *db)
{
    db->up = false;
    db->boots++;
}

void sim_db_start(struct sim_db *db)
{
    db->up = true;
}

static struct agent_result *result_for(const struct pending *pending, enum agent_outcome outcome)
{
    struct agent_result *result = calloc(1, sizeof *result);
    if (result == NULL)
        abort();
    result->op = pending->op.id;
    result->lane = pending->op.lane;
    result->kind = pending->op.kind;
    result->run = pending->op.run;
    result->outcome = outcome;
    return result;
}

struct agent_journal *sim_db_journal(struct sim_db *db, const char *migration)
{
    for (size_t i = 0; i < db->n_journals; i++)
        if (strcmp(db->journals[i].migration, migration) == 0)
            return &db->journals[i];
    return NULL;
}

static struct sim_db_truth *truth_of(struct sim_db *db, const struct agent_journal *journal)
{
    return &db->truths[journal - db->journals];
}

static void set_text(char **text, const char *value)
{
    char *copy = zdm_strdup(value);
    free(*text);
    *text = copy;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* ---- what each operation does, at one moment ---- */

static void copy_journal(struct sim_db *db, const struct agent_journal *from, struct agent_journal *to)
{
    *to = *from;
    to->cursor = zdm_strdup(from->cursor);
    to->bound = zdm_strdup(from->bound);
    to->directive = (struct zdm_envelope){0};
    to->plan = (struct zdm_envelope){0};
    if (!zdm_envelope_copy(&to->directive, &from->directive))
        abort();
    for (size_t i = 0; i < db->n_plans; i++)
        if (zdm_hash_equal(&db->plans[i].hash, &from->plan_hash) &&
            !zdm_envelope_copy(&to->plan, &db->plans[i].envelope))
            abort();
}

static void describe(const struct sim_db *db, struct agent_result *result)
{
    result->connected = true;
    result->writable = true;
    result->engine = ZDM_ENGINE_POSTGRESQL;
    result->capabilities =
        AGENT_CAN_TRANSACTIONAL_DDL | AGENT_CAN_NOWAIT | AGENT_CAN_CONCURRENT_INDEX | AGENT_CAN_HIDE_BY_RENAME;
    result->timeline = 1;
    snprintf(result->identity, sizeof result->identity, "sim-%d-%llu", db->number, (unsigned long long)db->boots);
    zdm_copy_text(result->server_version, sizeof result->server_version, "15.0");
}

static void do_connect(struct sim_db *db, struct sim_engine *engine, struct agent_result *result)
{
    describe(db, result);
    if (engine != NULL) {
        engine->connected = true;
        engine->boots = db->boots;
    }
    result->journals = calloc(db->n_journals > 0 ? db->n_journals : 1, sizeof *result->journals);
    if (result->journals == NULL)
        abort();
    for (size_t i = 0; i < db->n_journals; i++)
        copy_journal(db, &db->journals[i], &result->journals[i]);
    result->n_journals = db->n_journals;
}

static void do_store_plan(struct sim_db *db, const struct pending *pending)
{
    for (size_t i = 0; i < db->n_plans; i++)
        if (zdm_hash_equal(&db->plans[i].hash, &pending->op.digest))
            return;
    if (db->n_plans == SIM_DB_JOURNALS_MAX)
        abort();
    db->plans[db->n_plans].hash = pending->op.digest;
    if (!zdm_envelope_copy(&db->plans[db->n_plans].envelope, &pending->envelope))
        abort();
    db->n_plans++;
}

static enum agent_outcome do_accept(struct sim_db *db, const struct pending *pending)
{
    struct agent_journal *journal = sim_db_journal(db, pending->op.migration);
    if (journal == NULL) {
        if (db->n_journals == SIM_DB_JOURNALS_MAX)
            abort();
        journal = &db->journals[db->n_journals++];
        *journal = (struct agent_journal){.step = 1};
        zdm_copy_text(journal->migration, sizeof journal->migration, pending->op.migration);
    }
    const struct zdm_fence *old = &journal->accepted, *new = &pending->offered;
    if (new->epoch == old->epoch &&new->generation == old->generation) {
        if (zdm_hash_equal(&journal->digest, &pending->op.digest))
            return AGENT_ALREADY;
        db->violation = "two orders of one generation";
        return AGENT_FENCED;
    }
    if (new->epoch < old->epoch || (new->epoch == old->epoch &&new->generation < old->generation)) {
        db->fenced++;
        return AGENT_FENCED;
    }
    zdm_envelope_fini(&journal->directive);
    if (!zdm_envelope_copy(&journal->directive, &pending->envelope))
        abort();
    journal->accepted = pending->offered;
    journal->digest = pending->op.digest;
    journal->plan_hash = pending->plan_hash;
    truth_of(db, journal)->paused = pending->pause;
    return AGENT_OK;
}

static void do_inspect(struct sim_db *db, const struct pending *pending, struct agent_result *result)
{
    const struct zdm_step *step = zdm_plan_step(pending->op.plan, pending->op.step);
    const struct agent_journal *journal = sim_db_journal(db, pending->op.migration);
    const struct sim_db_truth *truth = journal != NULL ? truth_of(db, journal) : NULL;
    bool journalled =
        journal != NULL && (journal->step > step->ordinal || (journal->step == step->ordinal && journal->walked));
    bool done = truth != NULL && truth->catalogue[step->ordinal];
    if (step->kind == ZDM_STEP_BACKFILL || step->kind == ZDM_STEP_CHECK)
        done = journalled;
    result->proof = done ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
    if (truth != NULL && truth->invalid[step->ordinal])
        result->proof = AGENT_PROOF_LEFTOVER;
}

static void report_journal(struct agent_result *result, const struct agent_journal *journal)
{
    result->journal_valid = true;
    result->journal_step = journal->step;
    result->cursor = zdm_strdup(journal->cursor);
    result->bound = zdm_strdup(journal->bound);
    result->walked = journal->walked;
    result->rows_done = journal->rows_done;
    result->rows_total = journal->rows_total;
}

static void go_to_step(struct agent_journal *journal, uint32_t step)
{
    journal->step = step;
    set_text(&journal->cursor, NULL);
    set_text(&journal->bound, NULL);
    journal->walked = false;
    journal->rows_done = journal->rows_total = 0;
}

static void do_batch(struct sim_db *db, const struct pending *pending, struct agent_journal *journal,
                     struct agent_result *result)
{
    uint32_t from = journal->cursor != NULL ? (uint32_t)strtoul(journal->cursor, NULL, 10) : 0;
    uint32_t wanted = pending->op.rows > 0 ? pending->op.rows : 1;
    uint32_t to = from + wanted < db->rows ? from + wanted : db->rows;
    bool change = pending->op.run == AGENT_RUN_BATCH;
    struct sim_db_truth *truth = truth_of(db, journal);
    if (change && truth->paused)
        db->violation = "a batch was committed under an accepted pause";
    for (uint32_t i = from; i < to && change; i++)
        if (++truth->counters[i] > 1)
            db->violation = "a row was changed twice";
    char text[16];
    snprintf(text, sizeof text, "%u", to);
    set_text(&journal->cursor, text);
    journal->walked = to == db->rows;
    journal->rows_done += to - from;
    result->rows_walked = to - from;
    result->rows_changed = change ? to - from : 0;
    result->elapsed_ms = (uint32_t)world_between(db->world, 1, 40);
    db->batches++;
}

/* Has another process of the same agent journalled that this attempt failed? */
static bool is_stopped(const struct agent_journal *journal, const struct agent_op *op)
{
    return op->run != AGENT_RUN_STOP && journal->failed_attempt != 0 && journal->failed_attempt >= op->attempt;
}

/* Is the caller still the one whom the journal knows? */
static bool fence_holds(const struct agent_journal *journal, const struct agent_op *op)
{
    return journal != NULL && journal->accepted.epoch == op->fence.epoch &&
           journal->accepted.generation == op->fence.generation &&
           zdm_id_equal(&journal->accepted.instance, &op->fence.instance) && journal->step == op->journal_step &&
           same_text(journal->cursor, op->cursor) && !is_stopped(journal, op);
}

/* Whatever is journalled as done has to be so. Gates are turned by people. */
static bool is_true(const struct sim_db_truth *truth, const struct agent_journal *journal, const struct zdm_step *step)
{
    if (step->kind == ZDM_STEP_BACKFILL || step->kind == ZDM_STEP_CHECK)
        return journal->walked;
    return step->action == ZDM_ACTION_GATE_FLAG || !zdm_step_is_for(step, ZDM_ENGINE_POSTGRESQL) ||
           truth->catalogue[step->ordinal];
}

static void enter_phase(struct sim_db *db, const struct agent_op *op)
{
    uint32_t phase = zdm_plan_phase_of(op->plan, op->step);
    if (db->may_enter != NULL && !db->may_enter(db->ctx, db, op->plan, phase))
        db->violation = "a phase was entered while the barrier was closed";
}

static enum agent_outcome do_run(struct sim_db *db, const struct pending *pending, struct agent_result *result)
{
    const struct agent_op *op = &pending->op;
    struct agent_journal *journal = sim_db_journal(db, op->migration);
    struct sim_db_truth *truth = journal != NULL ? truth_of(db, journal) : NULL;
    if (!fence_holds(journal, op)) {
        db->fenced++;
        return AGENT_FENCED;
    }
    if (op->run != AGENT_RUN_STEP_DONE && op->run != AGENT_RUN_STEP_BACK && op->run != AGENT_RUN_STOP)
        enter_phase(db, op);
    switch (op->run) {
    case AGENT_RUN_DDL:
    case AGENT_RUN_INSTALL_SYNC:
    case AGENT_RUN_REMOVE_SYNC:
    case AGENT_RUN_VALIDATE:
    case AGENT_RUN_HIDE:
        truth->catalogue[op->step] = true;
        go_to_step(journal, op->step + 1);
        break;
    case AGENT_RUN_INDEX_BUILD:
        /* A build that somebody left behind finds that the other one was faster. */
        if (truth->catalogue[op->step])
            return AGENT_ALREADY;
        if (truth->invalid[op->step] || world_chance(db->world, db->faults.leftover_percent)) {
            truth->invalid[op->step] = true;
            db->leftovers++;
            zdm_error_set(&result->error, ZDM_CONFLICT, "deadlock detected");
            return AGENT_RETRY;
        }
        truth->catalogue[op->step] = true;
        break;
    case AGENT_RUN_INDEX_DROP_INVALID:
        truth->invalid[op->step] = false;
        break;
    case AGENT_RUN_BOUND: {
        char text[16];
        snprintf(text, sizeof text, "%u", db->rows);
        set_text(&journal->bound, text);
        journal->rows_total = db->rows;
        break;
    }
    case AGENT_RUN_BATCH:
    case AGENT_RUN_CHECK_CHUNK:
        do_batch(db, pending, journal, result);
        break;
    case AGENT_RUN_STEP_DONE:
        if (!is_true(truth, journal, zdm_plan_step(op->plan, op->step)))
            db->violation = "a step was journalled as done that is not";
        go_to_step(journal, op->step + 1);
        break;
    case AGENT_RUN_STEP_BACK:
        go_to_step(journal, op->step);
        break;
    case AGENT_RUN_STOP:
        journal->failed_attempt = op->attempt;
        journal->failed_step = op->step;
        journal->failed_code = op->failed_code;
        zdm_copy_text(journal->failed_text, sizeof journal->failed_text,
                      pending->failed_text != NULL ? pending->failed_text : "");
        break;
    case AGENT_RUN_NONE:
    case AGENT_RUN_UNHIDE:
    case AGENT_RUN_PURGE_LEFTOVERS:
    case AGENT_RUN_UNDO_SYNC:
    case AGENT_RUN_UNDO_REMOVE:
    case AGENT_RUN_RESTORE:
    case AGENT_RUN_INDEX_DROP:
    case AGENT_RUN_IMAGES_BACK:
    case AGENT_RUN_UNDO_BEGIN:
    case AGENT_RUN_PURGE:
    case AGENT_RUN_UNDO_DDL:
    case AGENT_RUN_SPEND_APPROVALS:
        zdm_error_set(&result->error, ZDM_UNSUPPORTED, "not simulated");
        return AGENT_FAIL;
    }
    report_journal(result, journal);
    return AGENT_OK;
}

/* ---- faults in front of an operation ---- */

static bool can_be_locked_out(enum agent_run run)
{
    return run == AGENT_RUN_DDL || run == AGENT_RUN_INSTALL_SYNC || run == AGENT_RUN_REMOVE_SYNC ||
           run == AGENT_RUN_HIDE;
}

/* The outcome of a fault that keeps the operation from having any effect; AGENT_OK for none. */
static enum agent_outcome hindrance(struct sim_db *db, const struct pending *pending, struct agent_result *result)
{
    if (pending->cancelled) {
        zdm_error_set(&result->error, ZDM_CANCELLED, "cancelled");
        return AGENT_RETRY;
    }
    if (pending->op.kind != AGENT_OP_RUN)
        return AGENT_OK;
    if (can_be_locked_out(pending->op.run) && world_chance(db->world, db->faults.lock_percent)) {
        db->locks++;
        zdm_error_set(&result->error, ZDM_LOCK, "lock not available");
        zdm_copy_text(result->blocker, sizeof result->blocker, "pid 1 (app@shop)");
        result->blocker_is_autovacuum = world_chance(db->world, 20);
        return AGENT_LOCK;
    }
    if (world_chance(db->world, db->faults.retry_percent)) {
        db->retries++;
        zdm_error_set(&result->error, ZDM_CONFLICT, "deadlock detected");
        return AGENT_RETRY;
    }
    bool work = pending->op.run != AGENT_RUN_STOP && pending->op.run != AGENT_RUN_STEP_DONE;
    if (work && world_chance(db->world, db->faults.fail_percent)) {
        zdm_error_set(&result->error, ZDM_DATABASE, "value too long");
        return AGENT_FAIL;
    }
    return AGENT_OK;
}

static struct agent_result *perform(struct sim_db *db, const struct pending *pending)
{
    struct agent_result *result = result_for(pending, AGENT_OK);
    result->outcome = hindrance(db, pending, result);
    if (result->outcome != AGENT_OK)
        return result;
    switch (pending->op.kind) {
    case AGENT_OP_CONNECT:
        do_connect(db, pending->engine, result);
        break;
    case AGENT_OP_STORE_PLAN:
        do_store_plan(db, pending);
        break;
    case AGENT_OP_ACCEPT:
        result->outcome = do_accept(db, pending);
        break;
    case AGENT_OP_INSPECT:
        do_inspect(db, pending, result);
        break;
    case AGENT_OP_RUN:
        result->outcome = do_run(db, pending, result);
        break;
    case AGENT_OP_SIGNALS:
        describe(db, result);
        break;
    }
    return result;
}

/* ---- the life of an operation: queued, performed, answered ---- */

struct answer {
    struct sim_engine *engine;
    struct agent_result *result;
};

static void drop_answer(void *payload)
{
    struct answer *answer = payload;
    agent_result_free(answer->result);
    free(answer);
}

static void give_answer(void *ctx, void *payload)
{
    struct sim_engine *engine = ctx;
    struct answer *answer = payload;
    unsigned lane = answer->result->lane;
    memmove(&engine->queues[lane][0], &engine->queues[lane][1], (SIM_LANE_QUEUE - 1) * sizeof engine->queues[lane][0]);
    engine->lengths[lane]--;
    begin(engine, lane);
    engine->sink.op_done(engine->sink.ctx, answer->result);
    free(answer);
}

static struct agent_result *unreachable(const struct pending *pending)
{
    bool looks = pending->op.kind == AGENT_OP_CONNECT || pending->op.kind == AGENT_OP_SIGNALS;
    struct agent_result *result = result_for(pending, looks ? AGENT_RETRY : AGENT_UNKNOWN);
    zdm_error_set(&result->error, looks ? ZDM_UNAVAILABLE : ZDM_UNKNOWN, "connection lost");
    return result;
}

/* The statement takes effect, whether its agent still lives or not, unless the database went away meanwhile. */
static void take_effect(void *ctx, void *payload)
{
    struct sim_db *db = ctx;
    struct pending *pending = payload;
    struct sim_engine *engine = pending->engine;
    bool session = pending->op.kind == AGENT_OP_CONNECT || (engine != NULL && engine->boots == db->boots) ||
                   (engine == NULL && pending->boots == db->boots);
    struct agent_result *result;
    if (!db->up || !session) {
        result = unreachable(pending);
    } else {
        result = perform(db, pending);
        bool lost = pending->op.kind == AGENT_OP_RUN && world_chance(db->world, db->faults.lost_percent);
        if (lost) {
            db->lost_answers++;
            agent_result_free(result);
            result = unreachable(pending);
        }
    }
    world_witness(db->world, 2, (uint64_t)pending->op.kind << 16 | (uint64_t)pending->op.run << 8 | result->outcome);
    if (engine == NULL) {
        agent_result_free(result);
    } else {
        engine->queues[pending->op.lane][0] = NULL; /* performed; its place is kept until the answer is given */
        struct answer *answer = malloc(sizeof *answer);
        if (answer == NULL)
            abort();
        *answer = (struct answer){engine, result};
        world_after(db->world, world_between(db->world, 0, 3), engine->node, give_answer, engine, answer, drop_answer);
    }
    pending_free(pending);
}

static void drop_pending(void *payload)
{
    pending_free(payload);
}

static int64_t duration_of(struct sim_db *db, const struct agent_op *op)
{
    if (op->kind == AGENT_OP_RUN && (op->run == AGENT_RUN_INDEX_BUILD || op->run == AGENT_RUN_VALIDATE))
        return world_between(db->world, 100, 5000);
    if (op->kind == AGENT_OP_RUN)
        return world_between(db->world, 1, 60);
    return world_between(db->world, 0, 5);
}

static void begin(struct sim_engine *engine, unsigned lane)
{
    if (engine->lengths[lane] == 0)
        return;
    struct pending *pending = engine->queues[lane][0];
    pending->boots = engine->db->boots;
    world_after(engine->db->world, duration_of(engine->db, &pending->op), WORLD_ANY, take_effect, engine->db, pending,
                drop_pending);
}

static enum zdm_code engine_start(void *self, const struct agent_op *op, struct zdm_error *err)
{
    struct sim_engine *engine = self;
    if (op->lane >= SIM_LANES || engine->lengths[op->lane] == SIM_LANE_QUEUE)
        return zdm_error_set(err, ZDM_FULL, "lane %u is full", op->lane);
    if (engine->db->starts != NULL)
        engine->db->starts(engine->db->ctx, engine->node, op);
    struct pending *pending = calloc(1, sizeof *pending);
    if (pending == NULL)
        abort();
    pending->op = *op;
    pending->op.plan = zdm_plan_ref(op->plan);
    pending->cursor = zdm_strdup(op->cursor);
    pending->bound = zdm_strdup(op->bound);
    pending->failed_text = zdm_strdup(op->failed_text);
    pending->op.cursor = pending->cursor;
    pending->op.bound = pending->bound;
    if (op->directive != NULL) {
        pending->pause = op->directive->mode == ZDM_MODE_PAUSE;
        pending->plan_hash = op->directive->plan_hash;
        pending->offered = op->directive->fence;
    }
    pending->op.directive = NULL;
    if (op->envelope != NULL && !zdm_envelope_copy(&pending->envelope, op->envelope))
        abort();
    pending->op.envelope = NULL;
    pending->engine = engine;
    engine->queues[op->lane][engine->lengths[op->lane]++] = pending;
    if (engine->lengths[op->lane] == 1)
        begin(engine, op->lane);
    return ZDM_OK;
}

static void engine_cancel(void *self, uint64_t op)
{
    struct sim_engine *engine = self;
    for (unsigned lane = 0; lane < SIM_LANES; lane++)
        for (size_t i = 0; i < engine->lengths[lane]; i++)
            if (engine->queues[lane][i] != NULL && engine->queues[lane][i]->op.id == op)
                engine->queues[lane][i]->cancelled = true;
}

/* The agent died: what runs goes on without it, what waited never starts. */
static void engine_close(void *self)
{
    struct sim_engine *engine = self;
    for (unsigned lane = 0; lane < SIM_LANES; lane++) {
        for (size_t i = 0; i < engine->lengths[lane]; i++) {
            if (i > 0)
                pending_free(engine->queues[lane][i]);
            else if (engine->queues[lane][i] != NULL)
                engine->queues[lane][i]->engine = NULL;
        }
    }
    free(engine);
}

static const struct agent_engine_ops sim_engine_ops = {
    .name = "simulated", .start = engine_start, .cancel = engine_cancel, .close = engine_close};

struct agent_engine sim_engine_open(struct sim_db *db, int node, const struct agent_engine_sink *sink)
{
    struct sim_engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL)
        abort();
    engine->db = db;
    engine->node = node;
    engine->sink = *sink;
    return (struct agent_engine){&sim_engine_ops, engine};
}
