/*
 * amend.c - another plan for a migration that is under way (protocol 2): may it take the place of the one at hand?
 *
 * What was begun here is gone on with, and could be undone, by the steps that it was begun with. So the phases up to
 * the highest one that this shard has entered must be the same, byte for byte; what comes later may be anything. The
 * coordinator asks the same before it hands a new plan out, but it may be wrong, or another one.
 */
#include <string.h>

#include "agent/core/internal.h"
#include "common/plan/undo.h"

static const struct zdm_id no_nonce;

static bool is_begun(const struct agent_migration *m)
{
    return m->cursor != NULL || m->bound != NULL || m->walked;
}

/* On the way back, or left in the middle of it: of later phases there may be something the journal does not tell. */
static bool is_half_undone(const struct agent_migration *m)
{
    bool undoes = m->accepted.mode == ZDM_MODE_UNDO;
    bool untouched = m->step == 1 && !is_begun(m);
    bool ended = undoes && m->back.turned && agent_goal_reached(m);
    return (undoes || !zdm_id_equal(&m->undo_nonce, &no_nonce)) && !ended && !untouched;
}

/* The phase of the journal's step counts when the order let it be worked: the first step may be there already. */
static uint32_t entered_by_step(const struct agent_migration *m)
{
    uint32_t n = zdm_plan_n_steps(m->plan);
    if (m->step > n)
        return zdm_plan_last_phase(m->plan);
    uint32_t phase = zdm_plan_phase_of(m->plan, m->step);
    bool first = zdm_plan_first_after(m->plan, phase - 1) == m->step;
    bool worked = m->accepted.mode != ZDM_MODE_UNDO && phase <= m->accepted.goal_phase;
    return first && !is_begun(m) && !worked ? phase - 1 : phase;
}

uint32_t agent_entered_phase(const struct agent_migration *m)
{
    if (!m->accepted.set || m->plan == NULL)
        return 0;
    if (is_half_undone(m))
        return zdm_plan_last_phase(m->plan);
    uint32_t phase = entered_by_step(m);
    return m->entered_phase > phase ? m->entered_phase : phase;
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
    return m->plan != NULL && !zdm_hash_equal(&m->plan->hash, &plan->hash) && agent_entered_phase(m) > 0;
}

bool agent_may_amend(const struct agent_migration *m, const struct zdm_plan *plan, struct zdm_error *err)
{
    if (!agent_amends(m, plan))
        return true;
    uint32_t entered = agent_entered_phase(m), other = first_other(m->plan, plan, entered);
    if (other == 0)
        return true;
    if (is_half_undone(m))
        (void)zdm_error_set(err, ZDM_REFUSED,
                            "amended plan refused: phase %u is another one, and this shard is on its way back", other);
    else
        (void)zdm_error_set(err, ZDM_REFUSED,
                            "amended plan refused: phase %u is another one, and this shard has entered phase %u", other,
                            entered);
    zdm_error_hint(err, "Amend it again with phases 1 to %u as they were.", entered);
    return false;
}
