/*
 * back.c - the way back: is the undo order right, then the walk down to the floor.
 *
 * Every ordinal is looked at with `back`; what is not undone names its next part, which is run, and looked at again.
 * The walk begins at the last ordinal and not at the journal's step: that one may be begun, and after a regression, or
 * a rollback that was given up, later ones may be there that the journal does not know of. Of those only what was added
 * is looked for: what a later step took away is not brought back on a suspicion.
 * Undone steps are journalled, so that a restart takes the walk up where it was. Two things follow from the journal's
 * step alone: where the floor is (common/plan/undo.h), and whether the walk is over. So a step is journalled as undone
 * only when the floor that follows from the lower step is the same; below the last such step the walk is in memory, and
 * the floor itself ends it.
 */
#include <stdio.h>
#include <string.h>

#include "agent/core/internal.h"
#include "common/plan/undo.h"

enum { RESTORES_MAX = 1000 /* parts of one step that an UNHIDE leaves to be built anew */ };

void agent_back_restart(struct agent_migration *m)
{
    m->back.at = 0;
    m->back.floor = 0;
    m->back.redo = 0;
    m->back.turned = false;
    m->back.partly = false;
    m->back.next_run = m->back.last_run = AGENT_RUN_NONE;
    m->back.repeated = 0;
}

/* ---- Where the walk goes ---- */

/* Of a journal that stands at `step`: only what is below was done. */
static uint32_t floor_of(const struct agent_core *core, const struct agent_migration *m, uint32_t step, bool begun)
{
    return zdm_plan_undo_floor(m->plan, core->engine, m->accepted.goal_phase, begun ? step : step - 1);
}

static void go_to(struct agent_migration *m, uint32_t ordinal)
{
    unsigned unknowns = m->unknowns; /* a walk that is taken up anew is no progress */
    agent_step_reset(m);
    m->unknowns = unknowns;
    m->back.at = ordinal;
    m->back.next_run = m->back.last_run = AGENT_RUN_NONE;
    m->back.repeated = 0;
    m->back.remark_from = strlen(m->back.remark);
    m->back.turned = ordinal < m->back.floor;
    if (m->back.turned) {
        m->back.partly = false;
        m->back.redo = m->back.floor;
        return;
    }
    if (m->looked > ordinal)
        m->looked = ordinal;
    uint32_t complete = agent_complete_phase(m, ordinal);
    if (m->proven_phase > complete)
        m->proven_phase = complete;
}

/* A part of the way back may take away what steps from the floor on made, before the walk comes to them. */
static void look_again_from_floor(struct agent_migration *m)
{
    if (m->looked > m->back.floor)
        m->looked = m->back.floor;
}

static void take_up(const struct agent_core *core, struct agent_migration *m)
{
    m->regress_to = 0;
    m->back.floor = floor_of(core, m, m->step, agent_is_begun(m));
    look_again_from_floor(m);
    go_to(m, zdm_plan_n_steps(m->plan));
}

/* Done, and not below the journal's step: what it filled is as stale as what the journal knows of. */
static void lower_floor(const struct agent_core *core, struct agent_migration *m)
{
    uint32_t floor = floor_of(core, m, m->back.at, true);
    if (m->back.at >= m->step && floor < m->back.floor)
        m->back.floor = floor;
    look_again_from_floor(m);
    /* Until it is looked at, it is not said to be there: a person may give the rollback up here. */
    uint32_t complete = agent_complete_phase(m, m->back.floor);
    if (m->proven_phase > complete)
        m->proven_phase = complete;
}

/* Journals the step at hand as undone, or the lowest above it from which the same floor follows; false when the
 * journal is to stay as it is. */
static bool start_step_back(struct agent_core *core, struct agent_migration *m)
{
    uint32_t to = m->back.at;
    while (to > m->back.floor && to <= m->step && floor_of(core, m, to, false) != m->back.floor)
        to++;
    if (to > m->step || (to == m->step && !agent_is_begun(m)))
        return false;
    struct agent_op *op = agent_launch_journal(core, m, AGENT_RUN_STEP_BACK, to);
    if (op != NULL)
        op->floor = m->back.floor;
    m->flight.back = m->flight.op != 0;
    return true;
}

/* ---- May it? ---- */

/* As it is now, and as a rollback that begins keeps it for those after it: until one has ended that took away what new
 * code wrote, and however it goes on, the next one asks. */
static uint32_t switched_phase(const struct agent_migration *m)
{
    return zdm_plan_switched(m->plan, m->switched_phase, agent_entered_phase(m));
}

static bool is_loss_allowed(const struct agent_core *core, const struct agent_migration *m,
                            struct zdm_judgement *judgement, struct zdm_error *err)
{
    const struct zdm_step *step = NULL;
    struct zdm_act act = {.action = ZDM_APPROVE_UNDO, .phase = m->authority.undo.to_phase};
    char text[ZDM_TEXT_MAX + 1];
    *judgement = (struct zdm_judgement){.needed = 0};
    /* The order's phase and not the goal: once it is begun, a later directive may go as far back as the order says. */
    if (!zdm_plan_undo_loses(m->plan, core->engine, act.phase, agent_entered_phase(m), switched_phase(m), &step) ||
        agent_is_allowed(core, m, &act, judgement, text))
        return true;
    (void)zdm_error_set(err, ZDM_REFUSED,
                        "going back loses what step %s does not copy back (zdmctl approve --rollback-to %u): %.120s",
                        step->id, act.phase, text);
    return false;
}

/* Nothing was dropped on the way, and nothing that people let in must be done again after it. */
static bool is_way_free(const struct agent_core *core, const struct agent_migration *m, struct zdm_error *err)
{
    uint32_t goal = m->accepted.goal_phase;
    const struct zdm_step *purged = zdm_plan_purged(m->plan, core->engine, goal, m->step);
    struct zdm_undo_repeat repeat;
    char text[ZDM_TEXT_MAX + 1];
    if (purged != NULL) {
        (void)zdm_error_set(err, ZDM_REFUSED, "step %s has purged what a rollback would bring back", purged->id);
        return false;
    }
    if (!zdm_plan_undo_repeats(m->plan, core->engine, goal, agent_is_begun(m) ? m->step : m->step - 1, &repeat))
        return true;
    zdm_undo_repeat_text(text, sizeof text, &repeat);
    (void)zdm_error_set(err, ZDM_REFUSED, "%s", text);
    return false;
}

static bool has_begun(const struct agent_migration *m)
{
    return m->authority.has_undo && zdm_id_equal(&m->undo_nonce, &m->authority.undo.nonce);
}

/* One that has begun is not ended by its expiry: half undone is the worst place to be. */
static bool is_allowed(const struct agent_core *core, const struct agent_migration *m, struct zdm_error *err)
{
    const struct agent_signed *a = &m->authority;
    struct zdm_judgement judgement;
    bool begun = has_begun(m);
    if (!a->has_undo) {
        (void)zdm_error_set(err, ZDM_REFUSED, "undo order refused: %s",
                            a->undo_refusal[0] != '\0' ? a->undo_refusal : "the directive brings none");
        return false;
    }
    if (zdm_undo_order_judge(&core->trust, &a->undo, &a->undo_signer, m->plan, core->config.shard,
                             m->accepted.goal_phase, begun ? a->undo.issued_at_ms : core->wall_ms, err) != ZDM_OK)
        return false;
    return begun || (is_way_free(core, m, err) && is_loss_allowed(core, m, &judgement, err));
}

/* True: go on. Else nothing is undone, and a person decides. */
static bool judged(struct agent_core *core, struct agent_migration *m)
{
    struct zdm_error error;
    if (!core->trusted) {
        agent_wait(m, ZDM_WAIT_APPROVALS, "no trust file is in force yet");
        return false;
    }
    zdm_error_clear(&error);
    if (is_allowed(core, m, &error))
        return true;
    agent_want_stop(m, agent_step_named(m), &error);
    (void)agent_launch_journal(core, m, AGENT_RUN_STOP, m->stop_step);
    return false;
}

/* ---- Driving ---- */

/* Nothing of the ordinal at hand is to be undone, without looking. */
static bool is_passed(const struct agent_core *core, const struct agent_migration *m)
{
    const struct zdm_step *step = zdm_plan_step(m->plan, m->back.at);
    return agent_is_trivial(core, step) || (m->back.at > m->step && !agent_action_rule(step)->adds);
}

/* Was judged just now; what allows the loss is spent with the order. */
static void start_begin(struct agent_core *core, struct agent_migration *m)
{
    struct zdm_judgement judgement;
    struct zdm_error error;
    if (!is_loss_allowed(core, m, &judgement, &error))
        return;
    agent_choose_spend(m, &judgement);
    struct agent_op *op = agent_launch_journal(core, m, AGENT_RUN_UNDO_BEGIN, agent_step_named(m));
    if (op == NULL)
        return;
    op->undo_nonce = m->authority.undo.nonce;
    op->undo_issued_at_ms = m->authority.undo.issued_at_ms;
    op->spend = m->spend;
    op->n_spend = m->n_spend;
    op->to_phase = m->authority.undo.to_phase;
    op->switched_phase = switched_phase(m);
    op->floor = floor_of(core, m, m->step, agent_is_begun(m));
}

static void start_look(struct agent_core *core, struct agent_migration *m)
{
    struct agent_op *op = agent_launch(core, m, AGENT_OP_INSPECT, AGENT_RUN_NONE, m->back.at);
    if (op == NULL)
        return;
    agent_limit_look(op);
    op->back = m->flight.back = true;
    op->floor = m->back.floor;
}

/* A walk that only counts rows writes nothing that a replica could lag with, and a rollback is in a hurry. */
static bool only_counts(const struct zdm_step *step, enum agent_run run)
{
    return run == AGENT_RUN_IMAGES_BACK &&
           (step->action == ZDM_ACTION_SYNC_INSTALL || step->action == ZDM_ACTION_HIDE_COLUMN);
}

static void start_part(struct agent_core *core, struct agent_migration *m)
{
    enum agent_run run = m->back.next_run;
    m->throttled = false;
    bool writes = !only_counts(zdm_plan_step(m->plan, m->back.at), run);
    if (writes && agent_run_rule(run)->bulk && agent_is_held_back(core, m, true))
        return;
    struct agent_op *op = agent_launch(core, m, AGENT_OP_RUN, run, m->back.at);
    if (op == NULL)
        return;
    m->flight.back = true;
    op->floor = m->back.floor;
    agent_limit(core, m, zdm_plan_step(m->plan, m->back.at), op);
}

static void drive_walk(struct agent_core *core, struct agent_migration *m)
{
    while (!m->back.turned && m->flight.op == 0) {
        bool undone = m->proof == AGENT_PROOF_DONE || is_passed(core, m);
        if (!undone && m->proof != AGENT_PROOF_NOT_DONE) {
            start_look(core, m);
            return;
        }
        bool writes = !undone || m->back.at < m->step || (m->back.at == m->step && agent_is_begun(m));
        if (writes && !judged(core, m))
            return;
        if (!undone) {
            start_part(core, m);
            return;
        }
        if (start_step_back(core, m))
            return;
        go_to(m, m->back.at - 1);
    }
}

bool agent_drive_back(struct agent_core *core, struct agent_migration *m)
{
    static const struct zdm_id none;
    bool begun = m->authority.has_undo ? has_begun(m) : !zdm_id_equal(&m->undo_nonce, &none);
    if (!begun) {
        if (judged(core, m))
            start_begin(core, m);
        return true;
    }
    if (m->back.at == 0)
        take_up(core, m);
    drive_walk(core, m);
    return !m->back.turned;
}

/* At its goal a rollback has taken away all that new code wrote in later phases: only then the mark falls. */
bool agent_drive_back_end(struct agent_core *core, struct agent_migration *m)
{
    m->back.redo = 0;
    if (m->accepted.mode != ZDM_MODE_UNDO || m->switched_phase <= m->accepted.goal_phase)
        return false;
    struct agent_op *op = agent_launch_journal(core, m, AGENT_RUN_UNDO_END, agent_step_named(m));
    if (op != NULL)
        op->to_phase = m->accepted.goal_phase;
    return true;
}

/* ---- What came of it ---- */

/* A look says all there is to say of the step, a walk counts as it goes: its last word replaces the one before. */
static void note_remark(struct agent_migration *m, const struct agent_result *result)
{
    struct agent_back *b = &m->back;
    if (result->remark[0] == '\0' || strstr(b->remark, result->remark) != NULL)
        return;
    if (result->kind == AGENT_OP_INSPECT || result->run == AGENT_RUN_IMAGES_BACK)
        b->remark[b->remark_from] = '\0';
    size_t used = strlen(b->remark);
    (void)snprintf(b->remark + used, sizeof b->remark - used, "%s%s", used > 0 ? "; " : "", result->remark);
}

static uint32_t at_most(uint32_t n, uint32_t limit)
{
    return n < limit ? n : limit;
}

void agent_on_back_begun(struct agent_migration *m, const struct agent_result *result)
{
    agent_went_well(m);
    m->unknowns = 0;
    if (result->journal_valid) {
        agent_take_journal(m, result);
    } else {
        m->undo_nonce = m->authority.undo.nonce;
        m->switched_phase = switched_phase(m);
        m->entered_phase = at_most(m->entered_phase, m->authority.undo.to_phase);
        m->reached_phase = at_most(m->reached_phase, m->authority.undo.to_phase);
        m->purge_now = m->purge_generation_now = false;
        m->purge_generation = 0;
    }
    if (!zdm_id_equal(&m->back.remark_nonce, &m->undo_nonce))
        m->back.remark[0] = '\0';
    m->back.remark_nonce = m->undo_nonce;
    agent_back_restart(m);
}

void agent_on_back_ended(struct agent_migration *m, const struct agent_result *result)
{
    agent_went_well(m);
    m->unknowns = 0;
    if (result->journal_valid)
        agent_take_journal(m, result);
    else
        m->switched_phase = at_most(m->switched_phase, m->accepted.goal_phase);
}

/* The same part is asked for again and again: nobody sees an effect. */
static void count_repeats(struct agent_core *core, struct agent_migration *m)
{
    unsigned most = m->back.next_run == AGENT_RUN_RESTORE ? RESTORES_MAX : AGENT_FUTILE_MAX;
    if (!m->ran || m->back.next_run != m->back.last_run) {
        m->back.repeated = 0;
        return;
    }
    m->ran = false;
    m->back.repeated++;
    if (most == AGENT_FUTILE_MAX)
        agent_back_off(core, m);
    if (m->back.repeated >= most)
        agent_want_futile_stop(m, m->flight.step, m->back.repeated);
}

static void want_next(struct agent_core *core, struct agent_migration *m, enum agent_run run)
{
    struct zdm_error error;
    m->proof = AGENT_PROOF_NOT_DONE;
    m->back.next_run = run;
    if (agent_run_rule(run)->side == AGENT_SIDE_BACK) {
        count_repeats(core, m);
        return;
    }
    (void)zdm_error_set(&error, ZDM_BUG, "step %u is not undone and the engine does not say how", m->flight.step);
    agent_want_stop(m, m->flight.step, &error);
}

static void looked(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    note_remark(m, result);
    switch (result->proof) {
    case AGENT_PROOF_DONE:
        agent_went_well(m);
        m->proof = AGENT_PROOF_DONE;
        break;
    case AGENT_PROOF_NOT_DONE:
        agent_went_well(m);
        lower_floor(core, m);
        want_next(core, m, result->next_run);
        break;
    case AGENT_PROOF_LEFTOVER:
        agent_went_well(m);
        want_next(core, m, AGENT_RUN_INDEX_DROP);
        break;
    case AGENT_PROOF_FOREIGN:
        agent_want_stop(m, m->flight.step, &result->error);
        break;
    case AGENT_PROOF_NONE:
    case AGENT_PROOF_UNKNOWN:
        agent_lost(core, m, result);
        break;
    }
}

static void stepped(struct agent_migration *m, const struct agent_result *result)
{
    agent_went_well(m);
    m->unknowns = 0;
    if (result->journal_valid) {
        agent_take_journal(m, result);
    } else {
        m->step = m->flight.step;
        agent_forget_walk(m);
    }
    if (m->looked > m->step)
        m->looked = m->step;
    go_to(m, m->back.at - 1);
}

static void part_ran(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    uint32_t step = m->step;
    bool begun = agent_is_begun(m);
    bool walks = m->flight.run == AGENT_RUN_IMAGES_BACK;
    agent_went_well(m);
    m->unknowns = 0;
    note_remark(m, result);
    if (result->journal_valid)
        agent_take_journal(m, result);
    m->proof = AGENT_PROOF_NONE;
    m->ran = true;
    m->back.last_run = m->flight.run;
    if (!walks)
        return;
    agent_pace(core, m, result);
    if (result->rows_walked > 0 || m->step != step || agent_is_begun(m) != begun) {
        m->ran = false; /* it came on, or fixed where it ends */
        m->proof = m->walked ? AGENT_PROOF_NONE : AGENT_PROOF_NOT_DONE;
    }
}

void agent_on_back_done(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    if (m->back.at == 0)
        return; /* taken up anew since */
    if (m->flight.kind == AGENT_OP_INSPECT)
        looked(core, m, result);
    else if (m->flight.run == AGENT_RUN_STEP_BACK)
        stepped(m, result);
    else
        part_ran(core, m, result);
}
