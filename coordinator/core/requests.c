/*
 * requests.c - what people ask for: who may, is it a repeat, and what the verbs share. The verbs themselves: submit.c,
 * advance.c, bulk.c (pause, resume, retry, exclude, include), approve.c, rollback.c, purge.c, trust.c, fleet.c.
 *
 * A request is one group of events that begins with operator_acted; a refusal leaves no event at all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/machine.h"

void coord_acted(struct coord_output *out, const struct zdm_request *request, const struct zdm_envelope *envelope,
                 const struct zdm_id *key, const char *name)
{
    struct coord_event *event = coord_emit(out, COORD_EVENT_OPERATOR_ACTED, request->migration);
    if (event == NULL)
        return;
    event->u.operator_acted.request_id = request->request_id;
    event->u.operator_acted.key = *key;
    event->u.operator_acted.verb = request->verb;
    zdm_copy_text(event->u.operator_acted.name, sizeof event->u.operator_acted.name, name);
    zdm_copy_text(event->u.operator_acted.reason, sizeof event->u.operator_acted.reason, request->reason);
    if (envelope != NULL && !zdm_envelope_copy(&event->u.operator_acted.signed_request, envelope))
        out->failed = true;
}

/* ---- What the verbs share ---- */

const struct coord_migration *coord_any_migration(const struct coord_state *state, const struct coord_input *input,
                                                  struct zdm_error *answer)
{
    const char *id = input->u.request.request->migration;
    const struct coord_migration *m = coord_find_migration(state, id);
    if (m == NULL) {
        zdm_error_set(answer, ZDM_NOT_FOUND, "there is no migration \"%s\"", id);
        zdm_error_hint(answer, "See which there are: zdmctl status.");
    }
    return m;
}

const struct coord_migration *coord_named_migration(const struct coord_state *state, const struct coord_input *input,
                                                    struct zdm_error *answer)
{
    const struct coord_migration *m = coord_any_migration(state, input, answer);
    if (m == NULL || m->mode != COORD_ENDED)
        return m;
    zdm_error_set(answer, ZDM_REFUSED, "migration %s has ended", m->id);
    if (m->outcome == COORD_END_UNDONE)
        zdm_error_hint(answer, "It was rolled back everywhere: an operator may submit the same runbook again.");
    else
        zdm_error_hint(answer, "It is done on every shard. What else is to be changed gets a runbook with another id.");
    return NULL;
}

const struct coord_migration *coord_undoable_migration(const struct coord_state *state, const struct coord_input *input,
                                                       struct zdm_error *answer)
{
    const struct coord_migration *m = coord_find_migration(state, input->u.request.request->migration);
    if (m != NULL && m->mode == COORD_ENDED && m->outcome == COORD_END_DONE)
        return m;
    return coord_named_migration(state, input, answer);
}

static bool select_names(const struct coord_migration *m, const struct zdm_selection *selection, bool *flags,
                         struct zdm_error *answer)
{
    for (size_t i = 0; i < selection->n_names; i++) {
        long shard = coord_find_shard(m, selection->names[i]);
        if (shard < 0) {
            zdm_error_set(answer, ZDM_NOT_FOUND, "shard %s is not in migration %s", selection->names[i], m->id);
            zdm_error_hint(answer, "See which are: zdmctl status %s --all.", m->id);
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
    if (!any) {
        zdm_error_set(answer, ZDM_NOT_FOUND, "no shard of migration %s matches \"%s\"", m->id, selector);
        zdm_error_hint(answer, "See the labels of each shard: zdmctl agents.");
    }
    return any;
}

void coord_selection_text(char *out, size_t size, const struct zdm_selection *selection)
{
    size_t used = 0;
    if (selection->selector != NULL && selection->n_names == 0) {
        snprintf(out, size, "-l %s", selection->selector);
        return;
    }
    snprintf(out, size, "%s", selection->n_names == 0 ? "--all-shards" : "");
    for (size_t i = 0; i < selection->n_names && used < size; i++) {
        int n = snprintf(out + used, size - used, "%s--shard %s", i > 0 ? " " : "", selection->names[i]);
        used += n > 0 ? (size_t)n : size;
    }
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

/* ---- throttle ---- */

void coord_verb_throttle(const struct coord_state *state, const struct coord_view *view,
                         const struct coord_input *input, struct coord_output *out, struct zdm_error *answer)
{
    const struct zdm_request *request = input->u.request.request;
    const struct coord_migration *m = coord_named_migration(state, input, answer);
    (void)view;
    if (m == NULL)
        return;
    if (!request->shards.all) {
        zdm_error_set(answer, ZDM_UNSUPPORTED, "a throttle is set for all shards of a migration, not for some");
        zdm_error_hint(answer, "Say it without --shard and -l: zdmctl throttle %s.", m->id);
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
    zdm_error_set(answer, ZDM_OK, "the throttle of migration %s is set on %zu shard%s", m->id, m->n_shards,
                  m->n_shards == 1 ? "" : "s");
}

/* ---- Dispatch ---- */

/* The log is mended beside a coordinator that does not run: people must have seen what is lost before. */
static void verb_recover(const struct coord_state *state, const struct coord_view *view,
                         const struct coord_input *input, struct coord_output *out, struct zdm_error *answer)
{
    (void)state, (void)view, (void)input, (void)out;
    zdm_error_set(answer, ZDM_REFUSED, "a running coordinator cannot be recovered");
    zdm_error_hint(answer, "An operator stops it and runs on its host: zdm-coordinator recover --key KEY.");
}

static coord_verb *const verbs[] = {
    [ZDM_VERB_SUBMIT] = coord_verb_submit,
    [ZDM_VERB_ADVANCE] = coord_verb_advance,
    [ZDM_VERB_PAUSE] = coord_verb_pause,
    [ZDM_VERB_RESUME] = coord_verb_resume,
    [ZDM_VERB_RETRY] = coord_verb_retry,
    [ZDM_VERB_ROLLBACK] = coord_verb_rollback,
    [ZDM_VERB_THROTTLE] = coord_verb_throttle,
    [ZDM_VERB_APPROVE] = coord_verb_approve,
    [ZDM_VERB_REVOKE_APPROVAL] = coord_verb_revoke_approval,
    [ZDM_VERB_ENROLL] = coord_verb_enroll,
    [ZDM_VERB_REVOKE_AGENT] = coord_verb_revoke_agent,
    [ZDM_VERB_EXCLUDE] = coord_verb_exclude,
    [ZDM_VERB_INCLUDE] = coord_verb_include,
    [ZDM_VERB_FREEZE] = coord_verb_freeze,
    [ZDM_VERB_THAW] = coord_verb_freeze,
    [ZDM_VERB_PURGE] = coord_verb_purge,
    [ZDM_VERB_TRUST] = coord_verb_trust,
    [ZDM_VERB_RECOVER] = verb_recover,
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

/* A fenced coordinator takes nothing on but that an agent is no longer to be believed: its word may be what fenced it,
 * and would again after a recovery. */
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
    } else if (state->fenced && request->verb != ZDM_VERB_REVOKE_AGENT) {
        zdm_error_set(answer, ZDM_FENCED, "this coordinator is fenced: agents follow a newer log");
        zdm_error_hint(answer, "Stop this one and start the coordinator that has the newest log; if that is lost: "
                               "zdm-coordinator recover, with an operator's key.");
    } else {
        coord_acted(out, request, input->u.request.envelope, &input->u.request.key, input->u.request.name);
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
