/*
 * rule_actions.c - what the rows of rules.c write down.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/rule_parts.h"

static void direct(struct coord_case *c, const struct coord_direction *direction)
{
    coord_direct(c->out, c->merge_from, c->m, c->index, direction);
}

void act_release(struct coord_case *c)
{
    /* The actor is named where it is not the one that the shard has: the others share one event. */
    bool other = !zdm_id_equal(&c->agent, &c->s->actor);
    struct coord_direction d = {.mode = ZDM_MODE_RUN, .set_goal = true, .goal = c->phase, .set_actor = other};
    d.why = "released";
    if (other)
        d.actor = c->agent;
    direct(c, &d);
}

static void reached(struct coord_case *c, enum coord_event_type type)
{
    struct coord_event *event = coord_emit(c->out, type, c->m->id);
    if (event == NULL)
        return;
    event->u.reached.shard = c->index;
    event->u.reached.phase = c->phase;
    event->u.reached.agent = c->agent;
    event->u.reached.generation = c->report != NULL ? c->report->accepted.generation : c->s->generation;
    if (c->report == NULL)
        return;
    event->u.reached.evidence = c->report->evidence;
    if (type == COORD_EVENT_SHARD_UNDONE)
        zdm_copy_text(event->u.reached.remark, sizeof event->u.reached.remark, c->report->remark);
}

void act_reached(struct coord_case *c)
{
    reached(c, COORD_EVENT_SHARD_REACHED);
}

void act_undone(struct coord_case *c)
{
    reached(c, COORD_EVENT_SHARD_UNDONE);
}

/* Nobody reports what was never begun. */
void act_undone_unbegun(struct coord_case *c)
{
    c->agent = c->s->actor;
    reached(c, COORD_EVENT_SHARD_UNDONE);
}

void act_undone_part(struct coord_case *c)
{
    reached(c, COORD_EVENT_SHARD_UNDONE);
    direct(c, &(struct coord_direction){.mode = ZDM_MODE_PAUSE, .why = "rolled back as far as ordered"});
}

/* The migration machine's row: one failure more than the budget allows halts it. */
static void spend_budget(struct coord_case *c)
{
    uint32_t failed = coord_failed_count(c->m) + 1;
    if (c->m->mode != COORD_OPEN || failed <= c->m->plan->failure_budget)
        return;
    struct coord_event *event = coord_emit(c->out, COORD_EVENT_MIGRATION_HALTED, c->m->id);
    if (event == NULL)
        return;
    event->u.halted.cause = COORD_HALT_BUDGET;
    event->u.halted.failed = failed;
}

/* An agent that makes up a number shall not push the shard's to the end of what it can hold. */
static uint32_t plausible(uint32_t reported, uint32_t attempt)
{
    enum { AHEAD_MAX = 1000 * 1000 };
    return reported > attempt && reported - attempt > AHEAD_MAX ? attempt : reported;
}

void act_failed(struct coord_case *c)
{
    struct coord_event *event = coord_emit(c->out, COORD_EVENT_SHARD_FAILED, c->m->id);
    if (event == NULL)
        return;
    event->u.failed.shard = c->index;
    event->u.failed.phase = c->s->at + (c->s->goal > c->s->at ? 1 : 0);
    event->u.failed.back =
        c->s->mode == ZDM_MODE_UNDO || (c->s->status == COORD_HELD && c->s->resume_to == COORD_UNDOING);
    if (c->report != NULL) {
        event->u.failed.step = c->report->step;
        event->u.failed.code = c->report->error_code;
        event->u.failed.attempt = plausible(c->report->failed_attempt, c->s->attempt);
        zdm_copy_text(event->u.failed.sqlstate, sizeof event->u.failed.sqlstate, c->report->error_sqlstate);
        zdm_copy_text(event->u.failed.text, sizeof event->u.failed.text, c->report->error);
        zdm_copy_text(event->u.failed.hint, sizeof event->u.failed.hint, c->report->hint);
    }
    spend_budget(c);
}

/* An agent is named only where it is the shard's first: one that follows an order of a past that was given up. */
void act_pause(struct coord_case *c)
{
    bool first = zdm_id_is_zero(&c->s->actor) && !zdm_id_is_zero(&c->agent);
    struct coord_direction d = {.mode = ZDM_MODE_PAUSE, .set_actor = first, .why = c->reason};
    if (first)
        d.actor = c->agent;
    direct(c, &d);
}

void act_resume_same(struct coord_case *c)
{
    enum zdm_mode mode = coord_is_going_back(c->s) ? ZDM_MODE_UNDO : ZDM_MODE_RUN;
    direct(c, &(struct coord_direction){.mode = mode, .why = c->reason});
}

void act_resume_here(struct coord_case *c)
{
    direct(c, &(struct coord_direction){.mode = ZDM_MODE_RUN, .set_goal = true, .goal = c->s->at, .why = c->reason});
}

/* What failed forward had been released into at + 1, also when a pause in between lowered its goal. */
void act_retry_forward(struct coord_case *c)
{
    direct(c,
           &(struct coord_direction){
               .mode = ZDM_MODE_RUN, .set_goal = true, .goal = c->s->at + 1, .next_attempt = true, .why = c->reason});
}

void act_retry_back(struct coord_case *c)
{
    direct(c, &(struct coord_direction){.mode = ZDM_MODE_UNDO, .next_attempt = true, .why = c->reason});
}

void act_retry_here(struct coord_case *c)
{
    direct(c, &(struct coord_direction){
                  .mode = ZDM_MODE_RUN, .set_goal = true, .goal = c->s->at, .next_attempt = true, .why = c->reason});
}

/* A new order is a new attempt: who had failed on the way forward shall not stay stopped on the way back. */
void act_undo(struct coord_case *c)
{
    struct coord_direction d = {.mode = ZDM_MODE_UNDO, .set_goal = true, .goal = c->phase, .next_attempt = true};
    d.undo_order = c->undo_order;
    d.undo_nonce = c->undo_nonce;
    d.why = c->reason;
    direct(c, &d);
}

/* Undone, and sent forward again: it is ready before the first phase, and waits for an advance. */
void act_again(struct coord_case *c)
{
    direct(c, &(struct coord_direction){.mode = ZDM_MODE_RUN, .set_goal = true, .goal = c->s->at, .why = c->reason});
}

static void regressed(struct coord_case *c, const char *cause)
{
    struct coord_event *event = coord_emit(c->out, COORD_EVENT_SHARD_REGRESSED, c->m->id);
    if (event == NULL)
        return;
    event->u.regressed.shard = c->index;
    event->u.regressed.from = c->s->at;
    event->u.regressed.to = c->phase;
    zdm_copy_text(event->u.regressed.cause, sizeof event->u.regressed.cause, cause);
}

/* The agent's words for it are gone from its reports when all is proven again. */
void act_regressed(struct coord_case *c)
{
    const char *remark = c->report != NULL ? c->report->remark : "";
    bool interrupted = strncmp(remark, ZDM_REMARK_INTERRUPTED, sizeof ZDM_REMARK_INTERRUPTED - 1) == 0;
    regressed(c, interrupted ? remark : "the database no longer shows what it had proven");
}

void act_forward(struct coord_case *c)
{
    if (c->phase < c->s->at)
        regressed(c, "its rollback was given up half way");
    direct(c, &(struct coord_direction){
                  .mode = ZDM_MODE_RUN, .set_goal = true, .goal = c->phase, .next_attempt = true, .why = c->reason});
}

void act_regressed_on(struct coord_case *c)
{
    act_regressed(c);
    direct(c,
           &(struct coord_direction){.mode = ZDM_MODE_RUN, .set_goal = true, .goal = c->phase + 1, .why = "regressed"});
}

static void unsure(struct coord_case *c, uint32_t step, const char *text)
{
    struct coord_event *event = coord_emit(c->out, COORD_EVENT_SHARD_UNSURE, c->m->id);
    if (event == NULL)
        return;
    event->u.unsure.shard = c->index;
    event->u.unsure.step = step;
    zdm_copy_text(event->u.unsure.text, sizeof event->u.unsure.text, text);
}

static void stop(struct coord_case *c, const char *why)
{
    direct(c, &(struct coord_direction){.mode = ZDM_MODE_PAUSE, .keep_status = true, .why = why});
}

void act_regressed_unsure(struct coord_case *c)
{
    char text[ZDM_TEXT_MAX + 1];
    /* An agent that dares not make it good says which step it is, and what helps. */
    if (c->report != NULL && c->report->state == ZDM_AGENT_UNSURE && c->report->error[0] != '\0')
        zdm_copy_text(text, sizeof text, c->report->error);
    else
        snprintf(text, sizeof text, "had proven phase %u, shows only phase %u", c->s->at, c->phase);
    act_regressed(c);
    unsure(c, 0, text);
    stop(c, "regressed");
}

void act_unknown(struct coord_case *c)
{
    const char *text =
        c->report != NULL && c->report->error[0] != '\0' ? c->report->error : "the outcome of the step cannot be told";
    unsure(c, c->report != NULL ? c->report->step : 0, text);
    stop(c, "unsure");
}

void act_proven(struct coord_case *c)
{
    struct coord_event *event = coord_emit(c->out, COORD_EVENT_SHARD_RESOLVED, c->m->id);
    if (event == NULL)
        return;
    event->u.unsure.shard = c->index;
    event->u.unsure.at = c->phase;
    direct(c, &(struct coord_direction){.mode = ZDM_MODE_RUN, .set_goal = true, .goal = c->phase, .why = "proven"});
}

void act_move_actor(struct coord_case *c)
{
    direct(c, &(struct coord_direction){
                  .mode = c->s->mode, .set_actor = true, .actor = c->agent, .keep_status = true, .why = c->reason});
}

void act_two_primaries(struct coord_case *c)
{
    unsure(c, 0, c->reason);
    stop(c, "two primaries");
}

void act_exclude(struct coord_case *c)
{
    struct coord_event *event = coord_emit(c->out, COORD_EVENT_SHARD_EXCLUDED, c->m->id);
    if (event == NULL)
        return;
    event->u.excluded.shard = c->index;
    zdm_copy_text(event->u.excluded.by, sizeof event->u.excluded.by, c->by != NULL ? c->by : "");
    zdm_copy_text(event->u.excluded.reason, sizeof event->u.excluded.reason, c->reason != NULL ? c->reason : "");
    /* Included again it starts from what is proven, not in the middle of a phase. */
    struct coord_direction d = {.mode = ZDM_MODE_PAUSE, .keep_status = true, .why = "excluded"};
    d.set_goal = c->s->goal > c->s->at;
    if (d.set_goal)
        d.goal = c->s->at;
    direct(c, &d);
}

void act_include(struct coord_case *c)
{
    struct coord_event *event = coord_emit(c->out, COORD_EVENT_SHARD_INCLUDED, c->m->id);
    if (event == NULL)
        return;
    event->u.excluded.shard = c->index;
    zdm_copy_text(event->u.excluded.by, sizeof event->u.excluded.by, c->by != NULL ? c->by : "");
    zdm_copy_text(event->u.excluded.reason, sizeof event->u.excluded.reason, c->reason != NULL ? c->reason : "");
    unsure(c, 0, "included again: it has to prove where it stands");
}

/* ---- Leftovers of rollbacks ---- */

void act_purge(struct coord_case *c)
{
    bool other = !zdm_id_equal(&c->agent, &c->s->actor);
    struct coord_direction d = {.mode = ZDM_MODE_PURGE, .set_goal = true, .goal = c->s->at, .set_actor = other};
    d.next_attempt = d.keep_status = true;
    d.why = c->reason;
    if (other)
        d.actor = c->agent;
    direct(c, &d);
}

void act_purged(struct coord_case *c)
{
    c->phase = 0;
    reached(c, COORD_EVENT_SHARD_PURGED);
    direct(c, &(struct coord_direction){
                  .mode = ZDM_MODE_RUN, .set_goal = true, .goal = c->s->at, .keep_status = true, .why = "purged"});
}

void act_send_directive(struct coord_case *c)
{
    coord_send_directive(c->out, c->m, c->index, &c->agent);
}

void act_fence(struct coord_case *c)
{
    struct coord_event *event = coord_emit(c->out, COORD_EVENT_FENCED, "");
    if (event == NULL)
        return;
    event->u.fenced.seen_epoch = c->seen->epoch;
    event->u.fenced.seen_instance = c->seen->instance;
    event->u.fenced.agent = c->agent;
    zdm_copy_text(event->u.fenced.text, sizeof event->u.fenced.text, c->reason);
}
