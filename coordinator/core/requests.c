/*
 * requests.c - what people ask for: who may, is it a repeat, and the verbs about shards that are there. submit and
 * advance have files of their own, enrolment and the fleet's switches are in fleet.c.
 *
 * A request is one group of events that begins with operator_acted; a refusal leaves no event at all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/machine.h"

static void acted(const struct coord_input *input, struct coord_output *out)
{
    const struct zdm_request *request = input->u.request.request;
    struct coord_event *event = coord_emit(out, COORD_EVENT_OPERATOR_ACTED, request->migration);
    if (event == NULL)
        return;
    event->u.operator_acted.request_id = request->request_id;
    event->u.operator_acted.key = input->u.request.key;
    event->u.operator_acted.verb = request->verb;
    zdm_copy_text(event->u.operator_acted.name, sizeof event->u.operator_acted.name, input->u.request.name);
    zdm_copy_text(event->u.operator_acted.reason, sizeof event->u.operator_acted.reason, request->reason);
    if (input->u.request.envelope != NULL &&
        !zdm_envelope_copy(&event->u.operator_acted.signed_request, input->u.request.envelope))
        out->failed = true;
}

/* ---- What the verbs share ---- */

const struct coord_migration *coord_named_migration(const struct coord_state *state, const struct coord_input *input,
                                                    struct zdm_error *answer)
{
    const char *id = input->u.request.request->migration;
    const struct coord_migration *m = coord_find_migration(state, id);
    if (m == NULL) {
        zdm_error_set(answer, ZDM_NOT_FOUND, "there is no migration \"%s\"", id);
        zdm_error_hint(answer, "See which there are: zdmctl status.");
        return NULL;
    }
    if (m->mode == COORD_ENDED) {
        zdm_error_set(answer, ZDM_REFUSED, "migration %s has ended", id);
        return NULL;
    }
    return m;
}

static bool select_names(const struct coord_migration *m, const struct zdm_selection *selection, bool *flags,
                         struct zdm_error *answer)
{
    for (size_t i = 0; i < selection->n_names; i++) {
        long shard = coord_find_shard(m, selection->names[i]);
        if (shard < 0) {
            zdm_error_set(answer, ZDM_NOT_FOUND, "shard %s is not in migration %s", selection->names[i], m->id);
            return false;
        }
        flags[shard] = true;
    }
    return true;
}

static bool select_matching(const struct coord_state *state, const struct coord_migration *m, const char *selector,
                            bool *flags, struct zdm_error *answer)
{
    bool any = false;
    if (zdm_selector_check(selector, answer) != ZDM_OK)
        return false;
    for (size_t i = 0; i < m->n_shards; i++) {
        const struct coord_fleet_shard *shard = coord_find_fleet_shard(state, m->shards[i].name);
        if (shard != NULL && zdm_selector_matches(selector, shard->name, shard->labels))
            flags[i] = any = true;
    }
    if (!any)
        zdm_error_set(answer, ZDM_NOT_FOUND, "no shard of migration %s matches \"%s\"", m->id, selector);
    return any;
}

bool *coord_selected(const struct coord_state *state, const struct coord_migration *m,
                     const struct zdm_selection *selection, struct zdm_error *answer)
{
    bool *flags = calloc(m->n_shards > 0 ? m->n_shards : 1, sizeof *flags);
    bool good = flags != NULL;
    if (flags == NULL) {
        zdm_error_set(answer, ZDM_NOMEM, "out of memory");
    } else if (selection->all) {
        memset(flags, true, m->n_shards * sizeof *flags);
    } else if (selection->n_names > 0) {
        good = select_names(m, selection, flags, answer);
    } else if (selection->selector != NULL) {
        good = select_matching(state, m, selection->selector, flags, answer);
    } else {
        zdm_error_set(answer, ZDM_INVALID, "the request does not say which shards it is about");
        zdm_error_hint(answer, "Give --all-shards, --shard NAME or -l SELECTOR.");
        good = false;
    }
    if (!good) {
        free(flags);
        return NULL;
    }
    return flags;
}

/* ---- pause, resume, retry: the shard machine over each selected shard ---- */

struct bulk {
    enum coord_stimulus on;
    const char *done;  /* "paused" */
    const char *can;   /* "can be paused" */
    unsigned same_row; /* the row that means "it is so already": an answer, not a refusal */
};

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
    for (uint32_t i = 0; i < m->n_shards; i++) {
        if (!flags[i])
            continue;
        c.index = i;
        c.s = &m->shards[i];
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

static void hint_for(const struct bulk *bulk, const struct coord_shard *s, struct zdm_error *answer)
{
    if (s->status == COORD_FAILED)
        zdm_error_hint(answer, "It has failed: see its error, then \"zdmctl retry\".");
    else if (s->status == COORD_HELD)
        zdm_error_hint(answer, "It is paused: \"zdmctl resume\" first.");
    else if (s->status == COORD_UNSURE)
        zdm_error_hint(answer, "Look at the shard, then \"zdmctl retry\".");
    else if (bulk->on == COORD_ON_RESUME)
        zdm_error_hint(answer, "It is not paused.");
}

static void answer_bulk(const struct bulk *bulk, const struct bulk_count *count, const char *also,
                        struct zdm_error *answer)
{
    if (count->changed == 0 && count->refused > 0 && also[0] == '\0') {
        zdm_error_set(answer, ZDM_REFUSED, "no selected shard %s", bulk->can);
        zdm_error_detail(answer, "Shard %s is %s.", count->example->name, coord_status_name(count->example->status));
        hint_for(bulk, count->example, answer);
        return;
    }
    zdm_error_set(answer, ZDM_OK, "%s%s %zu shard%s", also, bulk->done, count->changed, count->changed == 1 ? "" : "s");
    if (count->same > 0)
        zdm_error_detail(answer, "%zu %s so already.", count->same, count->same == 1 ? "was" : "were");
    if (count->refused > 0) {
        zdm_error_detail(answer, "%zu stay as they are; shard %s is %s.", count->refused, count->example->name,
                         coord_status_name(count->example->status));
        hint_for(bulk, count->example, answer);
    }
}

static void verb_bulk(const struct bulk *bulk, const struct coord_state *state, const struct coord_view *view,
                      const struct coord_input *input, struct coord_output *out, struct zdm_error *answer)
{
    const struct zdm_request *request = input->u.request.request;
    const struct coord_migration *m = coord_named_migration(state, input, answer);
    bool *flags = m == NULL ? NULL : coord_selected(state, m, &request->shards, answer);
    if (flags == NULL)
        return;
    const char *also = "";
    if (bulk->on == COORD_ON_RESUME && m->mode == COORD_HALTED && request->shards.all) {
        struct coord_event *event = coord_emit(out, COORD_EVENT_MIGRATION_RESUMED, m->id);
        if (event != NULL)
            zdm_copy_text(event->u.halted.by, sizeof event->u.halted.by, input->u.request.name);
        also = "the migration is open again; ";
    }
    struct bulk_count count = run_bulk(bulk, state, view, input, m, flags, out);
    free(flags);
    answer_bulk(bulk, &count, also, answer);
}

static void verb_pause(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                       struct coord_output *out, struct zdm_error *answer)
{
    static const struct bulk pause = {COORD_ON_PAUSE, "paused", "can be paused", 21};
    verb_bulk(&pause, state, view, input, out, answer);
}

static void verb_resume(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                        struct coord_output *out, struct zdm_error *answer)
{
    static const struct bulk resume = {COORD_ON_RESUME, "resumed", "can be resumed", 0};
    verb_bulk(&resume, state, view, input, out, answer);
}

static void verb_retry(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                       struct coord_output *out, struct zdm_error *answer)
{
    static const struct bulk retry = {COORD_ON_RETRY, "retrying", "can be retried", 0};
    verb_bulk(&retry, state, view, input, out, answer);
}

static void verb_throttle(const struct coord_state *state, const struct coord_view *view,
                          const struct coord_input *input, struct coord_output *out, struct zdm_error *answer)
{
    const struct zdm_request *request = input->u.request.request;
    const struct coord_migration *m = coord_named_migration(state, input, answer);
    (void)view;
    if (m == NULL)
        return;
    if (!request->shards.all) {
        zdm_error_set(answer, ZDM_UNSUPPORTED, "a throttle is set for the whole migration");
        zdm_error_hint(answer, "Give --all-shards.");
        return;
    }
    if (request->throttle.duty_percent > 100) {
        zdm_error_set(answer, ZDM_INVALID, "a duty cycle of %u %% is more than all of the time",
                      request->throttle.duty_percent);
        return;
    }
    struct coord_event *event = coord_emit(out, COORD_EVENT_THROTTLE_SET, m->id);
    if (event == NULL)
        return;
    event->u.throttle_set.throttle = request->throttle;
    zdm_copy_text(event->u.throttle_set.by, sizeof event->u.throttle_set.by, input->u.request.name);
    for (uint32_t i = 0; i < m->n_shards; i++)
        if (m->shards[i].generation != 0)
            coord_send_directive(out, m, i, NULL);
    zdm_error_set(answer, ZDM_OK, "throttle of %s set", m->id);
}

static void verb_unavailable(const struct coord_state *state, const struct coord_view *view,
                             const struct coord_input *input, struct coord_output *out, struct zdm_error *answer)
{
    (void)state, (void)view, (void)out;
    zdm_error_set(answer, ZDM_UNSUPPORTED, "%s is not available in this release",
                  zdm_verb_name(input->u.request.request->verb));
    zdm_error_hint(answer, "Shards can be paused, resumed and retried; nothing that was hidden is lost.");
}

/* ---- Dispatch ---- */

static coord_verb *const verbs[] = {
    [ZDM_VERB_SUBMIT] = coord_verb_submit,
    [ZDM_VERB_ADVANCE] = coord_verb_advance,
    [ZDM_VERB_PAUSE] = verb_pause,
    [ZDM_VERB_RESUME] = verb_resume,
    [ZDM_VERB_RETRY] = verb_retry,
    [ZDM_VERB_ROLLBACK] = verb_unavailable,
    [ZDM_VERB_THROTTLE] = verb_throttle,
    [ZDM_VERB_APPROVE] = verb_unavailable,
    [ZDM_VERB_REVOKE_APPROVAL] = verb_unavailable,
    [ZDM_VERB_ENROLL] = coord_verb_enroll,
    [ZDM_VERB_REVOKE_AGENT] = coord_verb_revoke_agent,
    [ZDM_VERB_EXCLUDE] = verb_unavailable,
    [ZDM_VERB_INCLUDE] = verb_unavailable,
    [ZDM_VERB_FREEZE] = coord_verb_freeze,
    [ZDM_VERB_THAW] = coord_verb_freeze,
    [ZDM_VERB_PURGE] = verb_unavailable,
};

static bool may(const struct coord_input *input, struct zdm_error *answer)
{
    uint32_t needed = (uint32_t)zdm_verb_role(input->u.request.request->verb);
    char has[64], needs[64];
    /* A role includes that of a viewer. */
    uint32_t roles = input->u.request.roles | (input->u.request.roles != 0 ? (uint32_t)ZDM_ROLE_VIEWER : 0);
    if ((roles & needed) == needed)
        return true;
    zdm_roles_text(has, sizeof has, input->u.request.roles);
    zdm_roles_text(needs, sizeof needs, needed);
    zdm_error_set(answer, ZDM_REFUSED, "%s needs the role %s; %s has %s", zdm_verb_name(input->u.request.request->verb),
                  needs, input->u.request.name, has);
    zdm_error_hint(answer, "Roles stand in the fleet's trust file.");
    return false;
}

static void judge(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                  struct coord_output *out, struct zdm_error *answer)
{
    const struct zdm_request *request = input->u.request.request;
    const struct coord_request_mark *before = coord_find_request(state, &request->request_id);
    if (before != NULL) {
        zdm_error_set(answer, ZDM_OK, "%s was done at log position %llu", zdm_verb_name(before->verb),
                      (unsigned long long)before->seq);
    } else if ((unsigned)request->verb >= sizeof verbs / sizeof *verbs || verbs[request->verb] == NULL) {
        zdm_error_set(answer, ZDM_UNSUPPORTED, "this release does not know the verb %u", (unsigned)request->verb);
    } else if (!may(input, answer)) {
        return;
    } else if (state->fenced) {
        zdm_error_set(answer, ZDM_FENCED, "this coordinator is fenced: agents follow a newer log");
        zdm_error_hint(answer, "Stop this one and start the coordinator that has the newest log.");
    } else {
        acted(input, out);
        verbs[request->verb](state, view, input, out, answer);
    }
}

void coord_decide_request(const struct coord_state *state, const struct coord_view *view,
                          const struct coord_input *input, struct coord_output *out)
{
    size_t events = out->n_events, effects = out->n_effects;
    struct zdm_error answer = ZDM_ERROR_INIT;
    judge(state, view, input, out, &answer);
    if (answer.code != ZDM_OK || out->n_events == events + 1) {
        while (out->n_events > events)
            coord_event_fini(&out->events[--out->n_events]);
        out->n_effects = effects;
    }
    if (out->n_events > events)
        coord_notify(out, input->u.request.request->migration);
    struct coord_effect *effect = coord_effect(out, COORD_DO_ANSWER, input->u.request.request->migration);
    if (effect == NULL)
        return;
    effect->reply_to = input->u.request.reply_to;
    effect->answer = answer;
}
