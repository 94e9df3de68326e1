/*
 * invariants.c - see invariants.h and design 10.
 */
#include "coordinator/core/invariants.h"

#include <stdio.h>
#include <string.h>

#include "coordinator/core/machine.h"

struct finding {
    char *why;
    size_t size;
};

/* True when the condition holds; else says what does not. */
static bool holds(struct finding *f, bool condition, const struct coord_migration *m, const struct coord_shard *s,
                  const char *what)
{
    if (condition)
        return true;
    snprintf(f->why, f->size, "%s, shard %s (%s, at %u, goal %u): %s does not hold", m->id, s != NULL ? s->name : "-",
             s != NULL ? coord_status_name(s->status) : "-", s != NULL ? s->at : 0, s != NULL ? s->goal : 0, what);
    return false;
}

static bool status_fits(struct finding *f, const struct coord_migration *m, const struct coord_shard *s)
{
    uint32_t last = zdm_plan_last_phase(m->plan);
    switch (s->status) {
    case COORD_READY:
        return holds(f, s->at == s->goal && s->at < last, m, s, "ready: at = goal") &&
               holds(f, s->generation == 0 || s->mode == ZDM_MODE_RUN, m, s, "ready: mode run");
    case COORD_MOVING:
        return holds(f, s->goal == s->at + 1 && s->mode == ZDM_MODE_RUN, m, s, "moving: goal = at + 1, run") &&
               holds(f, !zdm_id_is_zero(&s->actor), m, s, "moving: an actor");
    case COORD_HELD:
        return holds(f, s->mode == ZDM_MODE_PAUSE, m, s, "held: mode pause") &&
               holds(f,
                     s->resume_to != COORD_HELD && s->resume_to != COORD_EXCLUDED && s->resume_to >= COORD_READY &&
                         s->resume_to <= COORD_UNDONE,
                     m, s, "held: something to resume to");
    case COORD_FAILED:
        return holds(f, s->failure != NULL, m, s, "failed: a reason");
    case COORD_UNDOING:
        return holds(f, s->mode == ZDM_MODE_UNDO && s->goal <= s->at, m, s, "undoing: mode undo, goal <= at");
    case COORD_UNSURE:
        return holds(f, s->failure != NULL, m, s, "unsure: a reason");
    case COORD_DONE:
        return holds(f, s->at == last && s->goal == last, m, s, "done: at the last phase");
    case COORD_UNDONE:
        return holds(f, s->at == 0 && s->goal == 0 && s->opened == 0, m, s, "undone: at 0, nothing open");
    case COORD_EXCLUDED:
        return holds(f, s->mode == ZDM_MODE_PAUSE, m, s, "excluded: mode pause");
    }
    return holds(f, false, m, s, "a known status");
}

/* Who goes back does so by a person's order, and only who has finished purges what rollbacks left. */
static bool way_back_fits(struct finding *f, const struct coord_migration *m, const struct coord_shard *s)
{
    bool back = s->mode == ZDM_MODE_UNDO || coord_is_going_back(s);
    return holds(f, !back || (s->undo != 0 && s->undo <= m->n_undos), m, s, "going back: an undo order") &&
           holds(f, !back || s->goal <= s->at, m, s, "going back: goal <= at") &&
           holds(f, s->undo == 0 || s->undone_seq == m->undos[s->undo - 1].seq, m, s,
                 "the order that spent approvals") &&
           holds(f, s->mode != ZDM_MODE_PURGE || coord_shard_is_final(s), m, s, "mode purge: done or undone") &&
           holds(f, s->back_seq == 0 || s->back_seq >= m->undos[0].seq, m, s, "back after an order");
}

/* Somebody signed for every phase that destroys, before the shard was sent into it; withdrawn since, perhaps. */
static bool entered_with_signatures(const struct coord_migration *m, const struct coord_shard *s)
{
    for (uint32_t p = 1; p <= s->entered; p++) {
        const struct zdm_phase *phase = zdm_plan_phase(m->plan, p);
        bool purge = phase->class == ZDM_PHASE_PURGE, found = !purge && !phase->destructive && phase->approvals == 0;
        for (size_t i = 0; i < m->n_approvals && !found; i++) {
            const struct coord_approval *a = &m->approvals[i];
            found = a->approval.phase == p && a->added_seq < s->generation &&
                    a->approval.action == (purge ? ZDM_APPROVE_PURGE : ZDM_APPROVE_ENTER) &&
                    coord_approval_covers(&a->approval, s->name);
        }
        if (!found)
            return false;
    }
    return true;
}

static bool shard_fits(struct finding *f, const struct coord_state *state, const struct coord_migration *m,
                       const struct coord_shard *s)
{
    uint32_t last = zdm_plan_last_phase(m->plan);
    return holds(f, s->at <= last && s->goal <= last && s->at <= s->high && s->high <= last, m, s,
                 "phases within the plan") &&
           holds(f, s->at <= s->entered && s->entered <= last, m, s, "at <= entered") &&
           holds(f, s->switched <= s->entered, m, s, "new code wrote on what was entered") &&
           holds(f, s->opened <= m->opened_phase || s->status == COORD_EXCLUDED, m, s, "opened <= opened_phase") &&
           way_back_fits(f, m, s) && holds(f, entered_with_signatures(m, s), m, s, "signatures for what it entered") &&
           holds(f, s->goal <= s->high || s->goal <= s->opened || s->goal <= s->at, m, s, "goal only where opened") &&
           holds(f, s->generation <= state->head_seq && s->run_generation <= s->generation, m, s,
                 "generation within the log") &&
           holds(f, s->generation == 0 || coord_anchor_at(state, s->generation) != NULL, m, s,
                 "generation is a position that directed") &&
           holds(f, s->generation == 0 || zdm_hash_equal(coord_anchor_at(state, s->generation), &s->anchor), m, s,
                 "anchor = chain hash at the generation") &&
           holds(f, s->generation != 0 || (s->at == 0 && s->goal == 0 && s->mode == 0), m, s,
                 "nothing done without a directive") &&
           holds(f, s->wave < COORD_WAVES_MAX, m, s, "a wave that exists") && status_fits(f, m, s);
}

/* Design 10, invariant 4. Judged by `high`: a loss closes the barrier only for those who are not yet inside. */
static bool barrier_held(struct finding *f, const struct coord_migration *m)
{
    uint32_t entered = 0, lowest = UINT32_MAX;
    const struct coord_shard *behind = NULL;
    for (size_t i = 0; i < m->n_shards; i++) {
        const struct coord_shard *s = &m->shards[i];
        if (s->status == COORD_EXCLUDED || s->late)
            continue;
        for (uint32_t p = s->goal; p > entered; p--) {
            enum zdm_phase_class class = zdm_plan_phase(m->plan, p)->class;
            if (class == ZDM_PHASE_SWITCH || class == ZDM_PHASE_CONTRACT || class == ZDM_PHASE_PURGE) {
                entered = p;
                break;
            }
        }
        if (s->high < lowest) {
            lowest = s->high;
            behind = s;
        }
    }
    return entered == 0 || holds(f, lowest + 1 >= entered, m, behind, "the barrier before who entered a later phase");
}

static bool gates_held(struct finding *f, const struct coord_migration *m)
{
    for (uint32_t p = 1; p < m->opened_phase; p++)
        if (coord_gate_step(m->plan, p) != NULL &&
            !holds(f, m->gates[p - 1].state == COORD_GATE_PASSED, m, NULL, "gates before the opened phase passed"))
            return false;
    return true;
}

static bool migration_fits(struct finding *f, const struct coord_state *state, const struct coord_migration *m)
{
    if (!holds(f, m->opened_phase <= zdm_plan_last_phase(m->plan), m, NULL, "opened_phase within the plan") ||
        !holds(f, m->submitted_seq <= state->head_seq && m->moved_seq <= state->head_seq, m, NULL,
               "positions within the log"))
        return false;
    for (size_t i = 0; i < m->n_shards; i++) {
        const struct coord_shard *s = &m->shards[i];
        const struct coord_shard *before = i > 0 ? &m->shards[i - 1] : s;
        if (!shard_fits(f, state, m, s) ||
            !holds(f, i == 0 || before->wave < s->wave || strcmp(before->name, s->name) < 0, m, s, "order of shards") ||
            !holds(f, m->mode != COORD_ENDED || coord_shard_is_final(s) || s->status == COORD_EXCLUDED, m, s,
                   "ended: nobody is on the way"))
            return false;
    }
    return barrier_held(f, m) && gates_held(f, m);
}

bool coord_invariants(const struct coord_state *state, char *why, size_t size)
{
    struct finding f = {.why = why, .size = size};
    for (size_t i = 0; i < state->n_migrations; i++)
        if (!migration_fits(&f, state, state->migrations[i]))
            return false;
    for (size_t i = 1; i < state->n_anchors; i++)
        if (state->anchors[i - 1].seq >= state->anchors[i].seq) {
            snprintf(why, size, "anchors are not in the order of the log");
            return false;
        }
    for (size_t i = 0; i < state->n_agents; i++)
        if (coord_find_agent(state, &state->agents[i].id) != &state->agents[i] ||
            coord_find_fleet_shard(state, state->agents[i].shard) == NULL) {
            snprintf(why, size, "an agent of shard %s cannot be found", state->agents[i].shard);
            return false;
        }
    return true;
}
