/*
 * amend.c - another plan for a migration that is under way (protocol 2): may it take the place of the one at hand?
 *
 * What was begun here is gone on with, and could be undone, by the steps that it was begun with. So the phases up to
 * the highest one that this shard has entered must be the same, byte for byte, and those up to the journal's mark, on
 * which new code wrote; what comes later may be anything. The coordinator asks the same before it hands a new plan out,
 * but it may be wrong, or another one.
 */
#include <string.h>

#include "agent/core/internal.h"
#include "common/plan/undo.h"

static const struct zdm_id no_nonce;

bool agent_is_begun(const struct agent_migration *m)
{
    return m->cursor != NULL || m->bound != NULL || m->walked;
}

/* On the way back, or left in the middle of it: of later phases there may be something the journal does not tell. */
static bool is_half_undone(const struct agent_migration *m)
{
    bool undoes = m->accepted.mode == ZDM_MODE_UNDO;
    bool untouched = m->step == 1 && !agent_is_begun(m);
    bool ended = undoes && m->back.turned && agent_goal_reached(m);
    return (undoes || !zdm_id_equal(&m->undo_nonce, &no_nonce)) && !ended && !untouched;
}

static uint32_t highest(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* The phase of the last step that was done, or begun. */
static uint32_t worked_phase(const struct agent_migration *m)
{
    uint32_t n = zdm_plan_n_steps(m->plan), last = agent_is_begun(m) ? m->step : m->step - 1;
    if (last > n)
        return zdm_plan_last_phase(m->plan);
    return last == 0 ? 0 : zdm_plan_phase_of(m->plan, last);
}

/* A phase without a step is entered like any other: where the journal's step stands does not tell. */
uint32_t agent_entered_phase(const struct agent_migration *m)
{
    if (!m->accepted.set || m->plan == NULL)
        return 0;
    bool stays = m->accepted.mode == ZDM_MODE_RUN || m->accepted.mode == ZDM_MODE_PAUSE;
    uint32_t reached = highest(m->reached_phase, stays ? m->accepted.goal_phase : 0);
    uint32_t entered = highest(worked_phase(m), highest(m->entered_phase, reached)),
             last = zdm_plan_last_phase(m->plan);
    return entered < last ? entered : last; /* an order may name any number */
}

uint32_t agent_fixed_phase(const struct agent_migration *m)
{
    if (!m->accepted.set || m->plan == NULL)
        return 0;
    uint32_t last = zdm_plan_last_phase(m->plan), fixed = highest(agent_entered_phase(m), m->switched_phase);
    return is_half_undone(m) || fixed > last ? last : fixed;
}

/* The first phase that is not the same in both, up to and with `last`; 0: all are. */
static uint32_t first_other(const struct zdm_plan *a, const struct zdm_plan *b, uint32_t last)
{
    for (uint32_t number = 1; number <= last; number++) {
        const struct zdm_phase *one = zdm_plan_phase(a, number), *other = zdm_plan_phase(b, number);
        if (one == NULL || other == NULL || !zdm_hash_equal(&one->digest, &other->digest))
            return number;
    }
    return 0;
}

bool agent_amends(const struct agent_migration *m, const struct zdm_plan *plan)
{
    return m->plan != NULL && !zdm_hash_equal(&m->plan->hash, &plan->hash) && agent_fixed_phase(m) > 0;
}

/* Who waits in its purge phase was let in by people who had that grace period before them. */
static bool shortens_grace(const struct agent_migration *m, const struct zdm_plan *plan)
{
    uint32_t purge = zdm_plan_purge_phase(m->plan);
    return purge != 0 && agent_entered_phase(m) >= purge && plan->grace_ms != m->plan->grace_ms;
}

bool agent_may_amend(const struct agent_migration *m, const struct zdm_plan *plan, struct zdm_error *err)
{
    if (!agent_amends(m, plan))
        return true;
    uint32_t entered = agent_fixed_phase(m), other = first_other(m->plan, plan, entered);
    if (other == 0 && shortens_grace(m, plan)) {
        (void)zdm_error_set(err, ZDM_REFUSED,
                            "amended plan refused: this shard has entered the purge phase, and the "
                            "grace period is another one");
        zdm_error_hint(err, ZDM_HINT_AMEND "the grace period as it was.");
        return false;
    }
    if (other == 0)
        return true;
    if (is_half_undone(m))
        (void)zdm_error_set(err, ZDM_REFUSED,
                            "amended plan refused: phase %u is another one, and this shard is on its way back", other);
    else if (other > agent_entered_phase(m))
        (void)zdm_error_set(err, ZDM_REFUSED,
                            "amended plan refused: phase %u is another one, and new code wrote on this shard up to "
                            "phase %u",
                            other, entered);
    else
        (void)zdm_error_set(err, ZDM_REFUSED,
                            "amended plan refused: phase %u is another one, and this shard has entered phase %u", other,
                            entered);
    zdm_error_hint(err, ZDM_HINT_AMEND "phases 1 to %u as they were.", entered);
    return false;
}
