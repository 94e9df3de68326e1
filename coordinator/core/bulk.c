/*
 * bulk.c - the verbs that put one question to the shard machine for each selected shard: pause, resume, retry, exclude,
 * include.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/bulk_text.h"

struct bulk {
    struct coord_bulk_words words;
    unsigned same_row; /* the row that means "it is so already": an answer, not a refusal */
};

/* What the shard's actor reports of the order that is in force, heard of late: else nobody knows where it stands. */
static const struct zdm_migration_report *fresh_report(const struct coord_case *c)
{
    const struct coord_heard *heard = coord_view_find(c->view, &c->s->actor);
    const struct zdm_migration_report *report = coord_view_report(c->view, &c->s->actor, c->m->id);
    if (heard == NULL || !heard->connected || !heard->report.connected || !heard->report.writable ||
        c->now_ms >= heard->heard_at_ms + COORD_SILENT_MS)
        return NULL;
    bool counts = report != NULL && report->proven && report->accepted.generation == c->s->generation &&
                  report->accepted.epoch >= c->state->recovered_epoch;
    return counts ? report : NULL;
}

static void aim(struct coord_case *c, uint32_t i)
{
    c->index = i;
    c->s = &c->m->shards[i];
    c->report = c->on == COORD_ON_FORWARD ? fresh_report(c) : NULL;
    c->phase = c->report != NULL ? c->report->proven_phase : 0;
    if (c->phase > c->s->at)
        c->phase = c->s->at;
}

static struct coord_bulk_count run_bulk(const struct bulk *bulk, const struct coord_state *state,
                                        const struct coord_view *view, const struct coord_input *input,
                                        const struct coord_migration *m, const bool *flags, struct coord_output *out)
{
    const char *reason = input->u.request.request->reason;
    struct coord_bulk_count count = {.words = &bulk->words};
    struct coord_case c = {.state = state, .view = view, .out = out, .now_ms = input->now_ms, .m = m};
    c.on = bulk->words.on;
    c.merge_from = (long)out->n_events;
    c.reason = reason[0] != '\0' ? reason : zdm_verb_name(input->u.request.request->verb);
    c.by = input->u.request.name;
    for (uint32_t i = 0; i < m->n_shards; i++) {
        if (!flags[i])
            continue;
        aim(&c, i);
        const struct coord_rule *rule = coord_case_run(&c);
        if (rule != NULL && rule->act != NULL)
            count.changed++;
        else
            coord_bulk_leave(&count, c.s, rule != NULL && rule->number == bulk->same_row);
    }
    return count;
}

/* resume --all-shards opens a halted migration again. */
static bool open_again(const struct bulk *bulk, const struct coord_migration *m, const struct coord_input *input,
                       struct coord_output *out)
{
    if (bulk->words.on != COORD_ON_RESUME || m->mode != COORD_HALTED || !input->u.request.request->shards.all)
        return false;
    struct coord_event *event = coord_emit(out, COORD_EVENT_MIGRATION_RESUMED, m->id);
    if (event != NULL)
        zdm_copy_text(event->u.halted.by, sizeof event->u.halted.by, input->u.request.name);
    return true;
}

/* What resumed shards are again: in the trouble of before, back from a rollback, or ready for a phase that is not open.
 */
static void say_resumed(const struct coord_migration *m, const bool *flags, struct zdm_error *answer)
{
    size_t back = 0, ready = 0, moving = 0;
    for (size_t i = 0; i < m->n_shards; i++) {
        const struct coord_shard *s = &m->shards[i];
        if (!flags[i] || (s->status != COORD_HELD && s->status != COORD_UNDONE))
            continue;
        if (s->status == COORD_HELD && (s->resume_to == COORD_FAILED || s->resume_to == COORD_UNSURE)) {
            zdm_error_hint(answer, "%s %s before it was paused, and stands there again: zdmctl retry %s --shard %s.",
                           s->name, s->resume_to == COORD_FAILED ? "had failed" : "was unsure", m->id, s->name);
            return;
        }
        back += coord_was_rolled_back(s);
        ready += s->resume_to == COORD_READY && s->opened <= s->at;
        moving += s->resume_to == COORD_MOVING || s->resume_to == COORD_UNDOING;
    }
    if (back > 0)
        zdm_error_hint(answer,
                       "%zu of them had been rolled back and go%s forward with the next advance: zdmctl advance %s.",
                       back, back == 1 ? "es" : "", m->id);
    else if (ready > 0 && moving == 0)
        zdm_error_hint(answer, "To open the next phase: zdmctl advance %s.", m->id);
    else
        zdm_error_hint(answer, "See how it goes: zdmctl status %s --watch.", m->id);
}

/* What comes next, where nothing has to be seen to first. */
static void say_what_follows(const struct bulk *bulk, const struct coord_migration *m, const bool *flags,
                             const struct zdm_selection *selection, struct zdm_error *answer)
{
    char chosen[ZDM_HINT_MAX / 2];
    coord_selection_text(chosen, sizeof chosen, selection);
    if (bulk->words.on == COORD_ON_PAUSE)
        zdm_error_hint(answer, "To go on: zdmctl resume %s %s.", m->id, chosen);
    else if (bulk->words.on == COORD_ON_EXCLUDE)
        zdm_error_hint(answer, "An approver takes that back: zdmctl include %s %s.", m->id, chosen);
    else if (bulk->words.on == COORD_ON_FORWARD)
        zdm_error_hint(answer, "To go on: zdmctl advance %s.", m->id);
    else if (bulk->words.on == COORD_ON_RETRY)
        zdm_error_hint(answer, "See how it goes: zdmctl status %s --watch.", m->id);
    else if (bulk->words.on == COORD_ON_INCLUDE)
        zdm_error_hint(answer, "Each takes part again when its agent has proven where it stands.");
    else
        say_resumed(m, flags, answer);
}

static void verb_bulk(const struct bulk *bulk, const struct coord_state *state, const struct coord_view *view,
                      const struct coord_input *input, struct coord_output *out, struct zdm_error *answer)
{
    const struct zdm_request *request = input->u.request.request;
    const struct coord_migration *m = coord_named_migration(state, input, answer);
    bool *flags = m == NULL ? NULL : coord_selected(state, m, &request->shards, answer);
    if (flags == NULL)
        return;
    char also[ZDM_NAME_MAX + 40] = "";
    if (open_again(bulk, m, input, out))
        snprintf(also, sizeof also, "migration %s is open again", m->id);
    struct coord_bulk_count count = run_bulk(bulk, state, view, input, m, flags, out);
    coord_bulk_answer(&count, m, also, answer);
    if (count.changed > 0 && answer->hint[0] == '\0')
        say_what_follows(bulk, m, flags, &request->shards, answer);
    free(flags);
}

void coord_verb_pause(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                      struct coord_output *out, struct zdm_error *answer)
{
    static const struct bulk pause = {{COORD_ON_PAUSE, "paused ", "", "", "nothing to pause"}, 21};
    verb_bulk(&pause, state, view, input, out, answer);
}

void coord_verb_resume(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                       struct coord_output *out, struct zdm_error *answer)
{
    static const struct bulk resume = {{COORD_ON_RESUME, "resumed ", "", "", "nothing to resume"}, 0};
    verb_bulk(&resume, state, view, input, out, answer);
}

void coord_verb_retry(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                      struct coord_output *out, struct zdm_error *answer)
{
    static const struct bulk retry = {{COORD_ON_RETRY, "retrying ", "", "", "nothing to retry"}, 0};
    static const struct bulk forward = {{COORD_ON_FORWARD, "", " stays where it is and goes forward again",
                                         " stay where they are and go forward again", "nothing to send forward"},
                                        0};
    verb_bulk(input->u.request.request->forward ? &forward : &retry, state, view, input, out, answer);
}

/* ---- Out of the fleet, and back through proof ---- */

static bool leaves_none(const struct coord_state *state, const struct coord_migration *m,
                        const struct zdm_selection *selection, struct zdm_error *answer)
{
    bool *flags = coord_selected(state, m, selection, answer);
    size_t left = 0;
    if (flags == NULL)
        return true;
    for (size_t i = 0; i < m->n_shards; i++)
        left += !flags[i] && m->shards[i].status != COORD_EXCLUDED;
    free(flags);
    if (left > 0)
        return false;
    zdm_error_set(answer, ZDM_REFUSED, "no shard of migration %s would be left", m->id);
    zdm_error_hint(answer, "To give the migration up an operator rolls it back: zdmctl rollback %s --all-shards.",
                   m->id);
    return true;
}

void coord_verb_exclude(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                        struct coord_output *out, struct zdm_error *answer)
{
    static const struct bulk exclude = {{COORD_ON_EXCLUDE, "excluded ", "", "", "nothing to exclude"}, 0};
    const struct zdm_request *request = input->u.request.request;
    const struct coord_migration *m = coord_named_migration(state, input, answer);
    if (m == NULL)
        return;
    if (request->reason[0] == '\0') {
        zdm_error_set(answer, ZDM_INVALID, "a shard is excluded for a reason, and none is given");
        zdm_error_hint(answer,
                       "It stands in the history for whoever asks later: zdmctl exclude %s --shard NAME --reason TEXT.",
                       m->id);
        return;
    }
    if (leaves_none(state, m, &request->shards, answer))
        return;
    verb_bulk(&exclude, state, view, input, out, answer);
}

void coord_verb_include(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                        struct coord_output *out, struct zdm_error *answer)
{
    static const struct bulk include = {{COORD_ON_INCLUDE, "included ", "", "", "nothing to include"}, 0};
    verb_bulk(&include, state, view, input, out, answer);
}
