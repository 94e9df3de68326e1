/*
 * written.c - after a switch new code writes on what the phases before it made. From then on nothing copies there from
 * old to new a second time: not the backfill, which nobody could keep from going over what new code wrote.
 *
 * What is not done any more is made good as far as that writes no row: triggers are installed again where the journal
 * stands, at once, and old and new are compared. Rows that differ, and those that nobody can tell apart, are a
 * person's: the shard is unsure, and its error names them and the verbs that lead out.
 */
#include <stdio.h>
#include <string.h>

#include "agent/core/internal.h"
#include "common/base/buffer.h"
#include "common/plan/undo.h"

/* A rollback that goes below a switch, or that took a column away to add it anew, has left nothing of new code's. */
static bool is_made_anew(const struct agent_migration *m, uint32_t ordinal)
{
    if (m->accepted.mode != ZDM_MODE_UNDO)
        return false;
    return m->switched_phase > m->accepted.goal_phase || (m->back.redo != 0 && ordinal >= m->back.redo);
}

/* The order at hand counts as much as the journal, which may have lost its tail. */
bool agent_is_written(const struct agent_migration *m, uint32_t ordinal)
{
    uint32_t number = zdm_plan_phase_of(m->plan, ordinal);
    uint32_t entered = agent_entered_phase(m), goal = m->accepted.goal_phase;
    uint32_t mark = zdm_plan_switched(m->plan, m->switched_phase, goal > entered ? goal : entered);
    bool before = number <= mark && zdm_plan_phase(m->plan, number)->class != ZDM_PHASE_SWITCH;
    return before && !is_made_anew(m, ordinal);
}

static bool fills_same(const struct zdm_step *a, const struct zdm_step *b)
{
    bool same = a->derivation != NULL && b->derivation != NULL && a->engine == b->engine &&
                strcmp(a->table.schema, b->table.schema) == 0 && strcmp(a->table.name, b->table.name) == 0;
    for (size_t i = 0; same && i < a->derivation->n_assignments; i++)
        for (size_t j = 0; j < b->derivation->n_assignments; j++)
            if (strcmp(a->derivation->assignments[i].target, b->derivation->assignments[j].target) == 0)
                return true;
    return false;
}

/* Of that action, about the columns that the step fills, among the steps before or behind it. */
static const struct zdm_step *companion(const struct agent_migration *m, enum zdm_action action,
                                        const struct zdm_step *fill, bool behind)
{
    uint32_t n = zdm_plan_n_steps(m->plan);
    for (uint32_t o = behind ? fill->ordinal + 1 : 1; o <= (behind ? n : fill->ordinal - 1); o++) {
        const struct zdm_step *step = zdm_plan_step(m->plan, o);
        if (step->action == action && fills_same(step, fill))
            return step;
    }
    return NULL;
}

/* What fills a row where there is nothing yet goes over nothing. */
static bool is_once(const struct zdm_derivation *d)
{
    size_t i = 0;
    while (i < d->n_assignments && d->assignments[i].fill_once)
        i++;
    return i == d->n_assignments;
}

/* From old to new, kept in step by triggers since: what else a migration writes into rows, it writes into what both
 * codes write. */
bool agent_writes_over(const struct agent_migration *m, const struct zdm_step *step)
{
    return step->action == ZDM_ACTION_BACKFILL && step->derivation != NULL && !is_once(step->derivation) &&
           agent_is_written(m, step->ordinal) && companion(m, ZDM_ACTION_SYNC_INSTALL, step, false) != NULL;
}

/* ---- Words ---- */

static bool is_both_ways(const struct zdm_step *step)
{
    return step->derivation != NULL && step->derivation->both_ways;
}

static const char *target_of(const struct zdm_step *step)
{
    bool known = step->derivation != NULL && step->derivation->n_assignments > 0;
    return known ? step->derivation->assignments[0].target : "the column";
}

/* "; sync was interrupted since …: …". */
static void put_interruption(const struct agent_migration *m, struct zdm_buffer *out)
{
    char since[AGENT_TIME_SIZE];
    if (m->interrupted[0] == '\0')
        return;
    agent_time_text(since, m->interrupted_ms);
    zdm_buffer_printf(out, "; sync was interrupted since %s: %s", since, m->interrupted);
}

/* Why nothing goes on, and what a person may do: a way back where there is one. */
static void doubt(struct agent_migration *m, const char *why, const char *way)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer text = ZDM_BUFFER_INIT;
    uint32_t phase = 0;
    zdm_buffer_printf(&text, "%s; %s", why, way);
    if (agent_way_out(m, m->flight.op != 0 ? m->flight.step : m->step, &phase))
        zdm_buffer_printf(&text, "%s" ZDM_ERROR_ROLL_BACK "%u", way[0] != '\0' ? ", or " : "", phase);
    put_interruption(m, &text);
    (void)zdm_error_set(&m->error, ZDM_CONFLICT, "%s", zdm_buffer_text(&text));
    m->unsure = true;
}

/* ---- Looking back ---- */

static void want_repair(struct agent_migration *m, const struct zdm_step *step)
{
    m->repair = step->ordinal;
    (void)zdm_error_set(&m->error, ZDM_CONFLICT,
                        "step %s (%s) was done and is not any more: its triggers are installed again", step->id,
                        zdm_action_name(step->action));
}

/* Old code may have written meanwhile, and new code has, and what either wrote looks the same: there is nothing to
 * compare. A person's retry is the word that the rows stay as they are. */
static void ask_about(struct agent_migration *m, const struct zdm_step *step)
{
    char why[ZDM_TEXT_MAX + 1];
    if (m->let_pass == step->ordinal) {
        m->repair = step->ordinal;
        return;
    }
    m->asked = step->ordinal;
    (void)snprintf(why, sizeof why,
                   "%s is copied one way: rows that old code wrote while its triggers were away look like new code's, "
                   "none is written over",
                   target_of(step));
    doubt(m, why, "retry goes on with them as they are");
}

bool agent_regress_written(struct agent_migration *m, const struct zdm_step *step)
{
    bool triggers = step->action == ZDM_ACTION_SYNC_INSTALL;
    bool one_way = step->action == ZDM_ACTION_CHECK_COMPARE && !is_both_ways(step);
    if (m->accepted.mode == ZDM_MODE_PURGE || !(triggers || one_way) || !agent_is_written(m, step->ordinal))
        return false;
    if (triggers)
        want_repair(m, step);
    else
        ask_about(m, step);
    return true;
}

void agent_drive_repair(struct agent_core *core, struct agent_migration *m)
{
    const struct zdm_step *step = zdm_plan_step(m->plan, m->repair);
    struct agent_op *op;
    if (step->action == ZDM_ACTION_CHECK_COMPARE) {
        op = agent_launch_journal(core, m, AGENT_RUN_STEP_DONE, step->ordinal);
        if (op != NULL)
            op->lets_pass = true;
        return;
    }
    op = agent_launch(core, m, AGENT_OP_RUN, AGENT_RUN_INSTALL_SYNC, step->ordinal);
    if (op != NULL)
        agent_limit(core, m, step, op);
}

/* Looked at again: it says whether it is done now. */
void agent_on_let_pass(struct agent_migration *m)
{
    m->asked = m->let_pass = m->repair = 0;
    agent_went_well(m);
    m->looked = m->flight.step;
    m->proven = false;
    agent_step_reset(m);
}

void agent_take_answer(struct agent_migration *m)
{
    static const struct zdm_id none;
    bool run = m->accepted.mode == ZDM_MODE_RUN;
    bool same_way = m->accepted.mode == ZDM_MODE_UNDO && m->authority.has_undo &&
                    zdm_id_equal(&m->undo_nonce, &m->authority.undo.nonce) && !zdm_id_equal(&m->undo_nonce, &none);
    if (run || same_way)
        m->let_pass = m->asked;
}

/* ---- Going forward ---- */

bool agent_passes_over(struct agent_migration *m, const struct zdm_step *step)
{
    const struct zdm_step *compare = companion(m, ZDM_ACTION_CHECK_COMPARE, step, true);
    char why[ZDM_TEXT_MAX + 1];
    if (compare != NULL && agent_is_written(m, compare->ordinal))
        return true;
    (void)snprintf(why, sizeof why,
                   "step %s (%s) is not done a second time behind a switch: it would write over what new code wrote",
                   step->id, zdm_action_name(step->action));
    doubt(m, why, "");
    return false;
}

bool agent_doubts_rows(struct agent_migration *m, const struct agent_result *result)
{
    const struct zdm_step *step = zdm_plan_step(m->plan, m->flight.step);
    bool differ = m->flight.kind == AGENT_OP_RUN && m->flight.run == AGENT_RUN_CHECK_CHUNK && step != NULL &&
                  step->action == ZDM_ACTION_CHECK_COMPARE && result->error.code == ZDM_REFUSED;
    if (!differ || !agent_is_written(m, step->ordinal))
        return false;
    m->proof = AGENT_PROOF_NOT_DONE;
    doubt(m, result->error.message,
          "behind a switch none is written over: put it right by hand and retry, which compares again");
    return true;
}
