/*
 * rule_guards.c - what must hold for a row of rules.c.
 */
#include "coordinator/core/rule_parts.h"

bool guard_may_enter(const struct coord_case *c)
{
    return c->phase == c->s->at + 1 && c->phase <= c->s->opened && c->m->mode == COORD_OPEN && !c->state->frozen &&
           !c->state->fenced && !zdm_id_is_zero(&c->agent);
}

static bool is_last(const struct coord_case *c, uint32_t phase)
{
    return phase >= zdm_plan_last_phase(c->m->plan);
}

bool guard_reached_goal(const struct coord_case *c)
{
    return c->current && c->phase == c->s->goal && !is_last(c, c->phase);
}

bool guard_reached_last(const struct coord_case *c)
{
    return c->current && c->phase == c->s->goal && is_last(c, c->phase);
}

bool guard_current(const struct coord_case *c)
{
    return c->current;
}

/* The agent may have finished before the pause reached it: what it proved then still counts. */
bool guard_held_reached(const struct coord_case *c)
{
    return c->running && c->s->resume_to == COORD_MOVING && c->phase == c->s->goal && c->s->goal == c->s->at + 1;
}

bool guard_held_undone(const struct coord_case *c)
{
    return c->running && c->s->resume_to == COORD_UNDOING && c->phase == c->s->goal;
}

bool guard_held_failed(const struct coord_case *c)
{
    return c->running && (c->s->resume_to == COORD_MOVING || c->s->resume_to == COORD_UNDOING);
}

bool guard_resumes_to(const struct coord_case *c)
{
    return c->s->resume_to == c->rule->to;
}

bool guard_failed_forward(const struct coord_case *c)
{
    return !c->s->failed_back;
}

bool guard_failed_back(const struct coord_case *c)
{
    return c->s->failed_back;
}

bool guard_covered(const struct coord_case *c)
{
    return c->undo_order != NULL && c->phase <= c->s->at && c->s->generation != 0;
}

bool guard_further_back(const struct coord_case *c)
{
    return c->undo_order != NULL && c->phase < c->s->goal;
}

bool guard_undone_here(const struct coord_case *c)
{
    return c->current && c->phase == c->s->goal && c->phase > 0;
}

bool guard_undone_all(const struct coord_case *c)
{
    return c->current && c->phase == c->s->goal && c->phase == 0;
}

/* Expand and migrate can be done again behind anybody's back, unless the agent says that it does not know (a backfill
 * that would count twice); what switched applications rely on cannot. */
bool guard_lost_rows_come_back(const struct coord_case *c)
{
    if (c->report != NULL && c->report->state == ZDM_AGENT_UNSURE)
        return false;
    if (!c->current || c->phase >= c->s->at || c->s->mode != ZDM_MODE_RUN)
        return false;
    for (uint32_t p = c->phase + 1; p <= c->s->at; p++) {
        const struct zdm_phase *phase = zdm_plan_phase(c->m->plan, p);
        if (phase == NULL || (phase->class != ZDM_PHASE_EXPAND && phase->class != ZDM_PHASE_MIGRATE))
            return false;
    }
    return true;
}

bool guard_lost(const struct coord_case *c)
{
    return c->current && c->phase < c->s->at;
}

bool guard_lost_held(const struct coord_case *c)
{
    return c->current && c->phase < c->s->at;
}

/* In the middle of a phase only that phase's own proof ends the doubt; else the same step would be tried for ever. */
static bool doubt_is_over(const struct coord_case *c)
{
    uint32_t asked = c->s->goal > c->s->at ? c->s->goal : c->s->at;
    return c->current && !c->rival && c->phase == asked;
}

bool guard_proven(const struct coord_case *c)
{
    return doubt_is_over(c) && !is_last(c, c->phase);
}

bool guard_proven_last(const struct coord_case *c)
{
    return doubt_is_over(c) && is_last(c, c->phase);
}

bool guard_was_released(const struct coord_case *c)
{
    return c->s->goal > c->s->at && !zdm_id_is_zero(&c->s->actor);
}

bool guard_was_last(const struct coord_case *c)
{
    return is_last(c, c->s->at);
}

bool guard_outranked(const struct coord_case *c)
{
    return c->rankable;
}

bool guard_unranked(const struct coord_case *c)
{
    return !c->rankable;
}
