/*
 * rule_guards.c - what must hold for a row of rules.c.
 */
#include "common/plan/undo.h"
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

bool guard_resumes_back(const struct coord_case *c)
{
    return c->s->resume_to == c->rule->to && c->s->failed_back;
}

bool guard_failed_forward(const struct coord_case *c)
{
    return !c->s->failed_back;
}

bool guard_failed_back(const struct coord_case *c)
{
    return c->s->failed_back;
}

static bool has_purged(const struct coord_case *c)
{
    uint32_t purge = zdm_plan_purge_phase(c->m->plan);
    return purge != 0 && c->phase < purge && c->s->at >= purge;
}

/* Half a phase counts: who was let into at + 1 can be taken back to at. So does a phase that is open and was not
 * entered: who waits for a wave or a barrier there would go in when those before it went out. */
static bool is_beyond(const struct coord_case *c)
{
    return c->undo_order != NULL && c->phase <= c->s->at && (c->phase < c->s->entered || c->phase < c->s->opened);
}

bool guard_covered(const struct coord_case *c)
{
    return is_beyond(c) && c->s->entered > 0 && c->s->generation != 0 && !has_purged(c);
}

/* No agent was ever told to do anything: there is nothing to take back but the permission. */
bool guard_covered_unbegun(const struct coord_case *c)
{
    return is_beyond(c) && c->s->entered == 0;
}

static bool can_go_forward(const struct coord_case *c)
{
    return coord_is_going_back(c->s) && c->report != NULL && c->phase <= c->s->at;
}

bool guard_forward(const struct coord_case *c)
{
    return can_go_forward(c) && !is_last(c, c->phase);
}

bool guard_forward_last(const struct coord_case *c)
{
    return can_go_forward(c) && is_last(c, c->phase);
}

bool guard_has_actor(const struct coord_case *c)
{
    return c->s->generation != 0 && !zdm_id_is_zero(&c->agent);
}

bool guard_purged(const struct coord_case *c)
{
    return c->current && c->s->mode == ZDM_MODE_PURGE;
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

/* Expand and migrate can be made good behind anybody's back, and a flag stays as people have turned it, unless the
 * agent says that it does not know: a backfill that would count twice, or go over what new code wrote behind a switch.
 * What else switched applications rely on cannot. */
bool guard_lost_rows_come_back(const struct coord_case *c)
{
    if (c->report != NULL && c->report->state == ZDM_AGENT_UNSURE)
        return false;
    if (!c->current || c->phase >= c->s->at || c->s->mode != ZDM_MODE_RUN || coord_is_going_back(c->s))
        return false;
    for (uint32_t p = c->phase + 1; p <= c->s->at; p++) {
        const struct zdm_phase *phase = zdm_plan_phase(c->m->plan, p);
        bool early = phase != NULL && (phase->class == ZDM_PHASE_EXPAND || phase->class == ZDM_PHASE_MIGRATE);
        if (!early && (phase == NULL || phase->class != ZDM_PHASE_SWITCH))
            return false;
    }
    return true;
}

/* Going back, phases fall one after the other: that is no loss. */
bool guard_lost(const struct coord_case *c)
{
    return c->current && c->phase < c->s->at && !coord_is_going_back(c->s);
}

bool guard_lost_held(const struct coord_case *c)
{
    return c->current && c->phase < c->s->at && !coord_is_going_back(c->s);
}

/* In the middle of a phase only that phase's own proof ends the doubt; else the same step would be tried for ever. In
 * the middle of a rollback nothing does: a person says which way it goes on. */
static bool doubt_is_over(const struct coord_case *c)
{
    uint32_t asked = c->s->goal > c->s->at ? c->s->goal : c->s->at;
    return c->current && !c->rival && c->phase == asked && !coord_is_going_back(c->s);
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

bool guard_outranked_purging(const struct coord_case *c)
{
    return c->rankable && c->s->mode == ZDM_MODE_PURGE;
}

bool guard_unranked(const struct coord_case *c)
{
    return !c->rankable;
}
