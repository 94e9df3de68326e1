/*
 * bulk.c - the verbs that put one question to the shard machine for each selected shard: pause, resume, retry, exclude,
 * include.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/machine.h"

struct bulk {
    enum coord_stimulus on;
    const char *done;  /* "paused" */
    const char *can;   /* "can be paused" */
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

struct bulk_count {
    size_t changed, same, refused;
    const struct coord_shard *example; /* one of those that were refused */
};

static struct bulk_count run_bulk(const struct bulk *bulk, const struct coord_state *state,
                                  const struct coord_view *view, const struct coord_input *input,
                                  const struct coord_migration *m, const bool *flags, struct coord_output *out)
{
    const char *reason = input->u.request.request->reason;
    struct bulk_count count = {.changed = 0};
    struct coord_case c = {.state = state, .view = view, .out = out, .now_ms = input->now_ms, .m = m, .on = bulk->on};
    c.merge_from = (long)out->n_events;
    c.reason = reason[0] != '\0' ? reason : zdm_verb_name(input->u.request.request->verb);
    c.by = input->u.request.name;
    for (uint32_t i = 0; i < m->n_shards; i++) {
        if (!flags[i])
            continue;
        aim(&c, i);
        const struct coord_rule *rule = coord_case_run(&c);
        if (rule != NULL && rule->act != NULL) {
            count.changed++;
        } else if (rule != NULL && rule->number == bulk->same_row) {
            count.same++;
        } else {
            count.refused++;
            count.example = c.s;
        }
    }
    return count;
}

/* What helps a shard that the verb does not help, by the status it is in; the first row that fits. */
static void hint_for(const struct bulk *bulk, const struct coord_migration *m, const struct coord_shard *s,
                     struct zdm_error *answer)
{
    if (bulk->on == COORD_ON_FORWARD && coord_is_going_back(s))
        zdm_error_hint(
            answer, "Its agent has not said what is proven there: see \"zdmctl status %s\", and try again when it has.",
            m->id);
    else if (bulk->on == COORD_ON_FORWARD)
        zdm_error_hint(answer, "--forward gives up a rollback; for all else an operator says \"zdmctl retry %s\".",
                       m->id);
    else if (bulk->on == COORD_ON_INCLUDE)
        zdm_error_hint(answer, "Only an excluded shard can be included.");
    else if (bulk->on == COORD_ON_EXCLUDE && s->status == COORD_EXCLUDED)
        zdm_error_hint(answer, "It is excluded already; an approver brings it back: zdmctl include %s --shard %s.",
                       m->id, s->name);
    else if (s->status == COORD_FAILED && s->failed_back)
        zdm_error_hint(answer,
                       "Its rollback failed: see its error, then \"zdmctl retry %s --shard %s\" goes on with it, "
                       "with --forward it stays and goes forward again.",
                       m->id, s->name);
    else if (s->status == COORD_FAILED)
        zdm_error_hint(answer,
                       "It has failed: see its error, then \"zdmctl retry %s --shard %s\" or \"zdmctl rollback\".",
                       m->id, s->name);
    else if (s->status == COORD_HELD)
        zdm_error_hint(answer, "It is paused: \"zdmctl resume %s --shard %s\" first.", m->id, s->name);
    else if (s->status == COORD_UNSURE)
        zdm_error_hint(answer, "Look at the shard, then \"zdmctl retry %s --shard %s\".", m->id, s->name);
    else if (s->status == COORD_UNDONE)
        zdm_error_hint(answer, "It was rolled back: \"zdmctl resume %s --shard %s\" lets it go forward again.", m->id,
                       s->name);
    else if (s->status == COORD_EXCLUDED)
        zdm_error_hint(answer, "An approver brings it back: zdmctl include %s --shard %s.", m->id, s->name);
    else if (bulk->on == COORD_ON_RESUME)
        zdm_error_hint(answer, "It is not paused.");
}

static void answer_bulk(const struct bulk *bulk, const struct coord_migration *m, const struct bulk_count *count,
                        const char *also, struct zdm_error *answer)
{
    if (count->changed == 0 && count->refused > 0 && also[0] == '\0') {
        zdm_error_set(answer, ZDM_REFUSED, "no selected shard %s", bulk->can);
        zdm_error_detail(answer, "Shard %s is %s.", count->example->name, coord_status_name(count->example->status));
        hint_for(bulk, m, count->example, answer);
        return;
    }
    zdm_error_set(answer, ZDM_OK, "%s%s %zu shard%s", also, bulk->done, count->changed, count->changed == 1 ? "" : "s");
    if (count->same > 0)
        zdm_error_detail(answer, "%zu %s so already.", count->same, count->same == 1 ? "was" : "were");
    if (count->refused > 0) {
        zdm_error_detail(answer, "%zu %s; shard %s is %s.", count->refused,
                         count->refused == 1 ? "stays as it is" : "stay as they are", count->example->name,
                         coord_status_name(count->example->status));
        hint_for(bulk, m, count->example, answer);
    }
}

/* resume --all-shards opens a halted migration again. */
static const char *open_again(const struct bulk *bulk, const struct coord_migration *m, const struct coord_input *input,
                              struct coord_output *out)
{
    if (bulk->on != COORD_ON_RESUME || m->mode != COORD_HALTED || !input->u.request.request->shards.all)
        return "";
    struct coord_event *event = coord_emit(out, COORD_EVENT_MIGRATION_RESUMED, m->id);
    if (event != NULL)
        zdm_copy_text(event->u.halted.by, sizeof event->u.halted.by, input->u.request.name);
    return "the migration is open again; ";
}

/* Who comes back out of a rollback stands there until somebody opens its next phase. */
static void say_what_follows(const struct bulk *bulk, const struct coord_migration *m, const bool *flags,
                             struct zdm_error *answer)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_shards; i++)
        n += flags[i] && coord_was_rolled_back(&m->shards[i]);
    if (bulk->on == COORD_ON_RESUME && n > 0 && answer->code == ZDM_OK && answer->hint[0] == '\0')
        zdm_error_hint(answer,
                       "%zu of them had been rolled back and go%s forward with the next advance: zdmctl advance %s.", n,
                       n == 1 ? "es" : "", m->id);
}

static void verb_bulk(const struct bulk *bulk, const struct coord_state *state, const struct coord_view *view,
                      const struct coord_input *input, struct coord_output *out, struct zdm_error *answer)
{
    const struct zdm_request *request = input->u.request.request;
    const struct coord_migration *m = coord_named_migration(state, input, answer);
    bool *flags = m == NULL ? NULL : coord_selected(state, m, &request->shards, answer);
    if (flags == NULL)
        return;
    const char *also = open_again(bulk, m, input, out);
    struct bulk_count count = run_bulk(bulk, state, view, input, m, flags, out);
    answer_bulk(bulk, m, &count, also, answer);
    say_what_follows(bulk, m, flags, answer);
    free(flags);
}

void coord_verb_pause(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                      struct coord_output *out, struct zdm_error *answer)
{
    static const struct bulk pause = {COORD_ON_PAUSE, "paused", "can be paused", 21};
    verb_bulk(&pause, state, view, input, out, answer);
}

void coord_verb_resume(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                       struct coord_output *out, struct zdm_error *answer)
{
    static const struct bulk resume = {COORD_ON_RESUME, "resumed", "can be resumed", 0};
    verb_bulk(&resume, state, view, input, out, answer);
}

void coord_verb_retry(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                      struct coord_output *out, struct zdm_error *answer)
{
    static const struct bulk retry = {COORD_ON_RETRY, "retrying", "can be retried", 0};
    static const struct bulk forward = {
        COORD_ON_FORWARD, "sent forward again from where they are:", "is going back and known to stand somewhere", 0};
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
    static const struct bulk exclude = {COORD_ON_EXCLUDE, "excluded", "can be excluded", 0};
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
    static const struct bulk include = {COORD_ON_INCLUDE, "included", "is excluded", 0};
    verb_bulk(&include, state, view, input, out, answer);
    if (answer->code == ZDM_OK)
        zdm_error_hint(answer, "It is ready when its agent's report proves where it stands.");
}
