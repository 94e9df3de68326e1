/*
 * sim_engine.c - the simulated database behind the engine's vtable: operations are queued by lane, take effect at one
 * moment and are answered, or the answer is lost; what a dead agent left behind goes on.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "tests/sim/sim_db_private.h"

enum { SIM_LANES = 1 + ZDM_MIGRATIONS_ACTIVE_MAX, SIM_LANE_QUEUE = 64 };

struct sim_engine {
    struct sim_db *db;
    int node; /* of its agent */
    struct agent_engine_sink sink;
    struct sim_pending *queues[SIM_LANES][SIM_LANE_QUEUE]; /* [lane][0] is running */
    size_t lengths[SIM_LANES];
    uint64_t boots; /* of the database when the sessions were opened */
};

static void begin(struct sim_engine *engine, unsigned lane);

static void pending_free(struct sim_pending *pending)
{
    zdm_plan_unref(pending->op.plan);
    zdm_envelope_fini(&pending->envelope);
    free(pending->cursor);
    free(pending->bound);
    free(pending->failed_text);
    free(pending->spend);
    free(pending);
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

static struct agent_result *unreachable(const struct sim_pending *pending)
{
    bool looks = pending->op.kind == AGENT_OP_CONNECT || pending->op.kind == AGENT_OP_SIGNALS;
    struct agent_result *result = sim_db_result(pending, looks ? AGENT_RETRY : AGENT_UNKNOWN);
    (void)zdm_error_set(&result->error, looks ? ZDM_UNAVAILABLE : ZDM_UNKNOWN, "connection lost");
    return result;
}

/* The statement takes effect, whether its agent still lives or not, unless the database went away meanwhile. */
static void take_effect(void *ctx, void *payload)
{
    struct sim_db *db = ctx;
    struct sim_pending *pending = payload;
    struct sim_engine *engine = pending->engine;
    bool session = pending->op.kind == AGENT_OP_CONNECT || (engine != NULL && engine->boots == db->boots) ||
                   (engine == NULL && pending->boots == db->boots);
    struct agent_result *result;
    if (!db->up || !session) {
        result = unreachable(pending);
    } else {
        result = sim_db_perform(db, pending);
        if (engine != NULL && pending->op.kind == AGENT_OP_CONNECT && result->outcome == AGENT_OK)
            engine->boots = db->boots;
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
    struct sim_pending *pending = engine->queues[lane][0];
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
    struct sim_pending *pending = calloc(1, sizeof *pending);
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
        pending->mode = op->directive->mode;
        pending->reach = zdm_directive_reach(op->directive);
        pending->goal = op->directive->goal_phase;
        pending->attempt = op->directive->attempt;
        pending->plan_hash = op->directive->plan_hash;
        pending->offered = op->directive->fence;
    }
    pending->op.directive = NULL;
    if (op->n_spend > 0) {
        pending->spend = zdm_memdup(op->spend, op->n_spend * sizeof *op->spend);
        if (pending->spend == NULL)
            abort();
    }
    pending->op.spend = pending->spend;
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

uint64_t sim_engine_boots(const struct agent_engine *engine)
{
    const struct sim_engine *self = engine->self;
    return self != NULL ? self->boots : 0;
}

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
