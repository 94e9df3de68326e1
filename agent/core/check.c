/*
 * check.c - the invariants, asked after every step: of what the core knows, and of every operation that it starts.
 */
#include <string.h>

#include "agent/core/internal.h"

static bool is_walk_under_way(const struct agent_op *op)
{
    return (op->run == AGENT_RUN_BATCH || op->run == AGENT_RUN_CHECK_CHUNK) && op->bound != NULL;
}

/* Nothing is destroyed in a phase that nobody let in, nor long after the coordinator was heard. */
static void check_forward(const struct agent_core *core, const struct agent_migration *m, const struct agent_op *op)
{
    uint32_t number = zdm_plan_phase_of(m->plan, op->step);
    AGENT_REQUIRE(m->accepted.mode == ZDM_MODE_RUN || m->accepted.mode == ZDM_MODE_UNDO);
    if (!agent_phase_destroys(zdm_plan_phase(m->plan, number)))
        return;
    AGENT_REQUIRE(m->entered_phase >= number && m->accepted.mode == ZDM_MODE_RUN);
    AGENT_REQUIRE(is_walk_under_way(op) || agent_freshly_leased(core));
}

static void check_work(const struct agent_core *core, const struct agent_migration *m, const struct agent_op *op)
{
    bool undo = m->accepted.mode == ZDM_MODE_UNDO;
    if (op->back || op->run == AGENT_RUN_UNDO_BEGIN || op->run == AGENT_RUN_UNDO_END)
        AGENT_REQUIRE(undo);
    enum agent_side side = agent_run_rule(op->run)->side;
    if (side == AGENT_SIDE_BACK)
        AGENT_REQUIRE(undo && m->authority.has_undo && zdm_id_equal(&m->undo_nonce, &m->authority.undo.nonce));
    if (op->run == AGENT_RUN_PURGE_LEFTOVERS)
        AGENT_REQUIRE(m->accepted.mode == ZDM_MODE_PURGE && m->purge_generation == m->accepted.fence.generation &&
                      agent_freshly_leased(core));
    if (op->kind == AGENT_OP_RUN && side == AGENT_SIDE_FORWARD && !m->flight.back)
        check_forward(core, m, op);
}

static void check_operations(const struct agent_core *core)
{
    for (size_t i = 0; i < core->out->n; i++) {
        const struct agent_op *op = &core->out->items[i].op;
        if (core->out->items[i].kind != AGENT_DO_START_OP || op->lane == 0)
            continue;
        const struct agent_migration *m = agent_find(core, op->migration);
        AGENT_REQUIRE(m != NULL && m->plan != NULL && m->flight.op == op->id);
        check_work(core, m, op);
    }
}

void agent_check(const struct agent_core *core)
{
    for (size_t i = 0; i < core->n_migrations; i++) {
        const struct agent_migration *m = core->migrations[i];
        AGENT_REQUIRE(m->flight.op == 0 || (m->slot >= 0 && m->slot < AGENT_SLOTS));
        AGENT_REQUIRE(m->looked <= m->step);
        AGENT_REQUIRE(!m->accepting.set || core->control.flight.op != 0);
        for (size_t j = i + 1; j < core->n_migrations; j++)
            AGENT_REQUIRE(m->slot < 0 || m->slot != core->migrations[j]->slot);
    }
    check_operations(core);
}
