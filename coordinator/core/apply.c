/*
 * apply.c - the only mutator: the fold of the log (protocol 7). No policy here, so that a change of policy never
 * changes what an old log means. This file has the events of the fleet; apply_migration.c those of one migration.
 *
 * An event is applied whatever it says, as long as it speaks of something that exists; else the log is damaged
 * (ZDM_CORRUPT). Everything is copied out of the event.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/apply.h"
#include "coordinator/core/index.h"

enum zdm_code coord_apply_nomem(struct zdm_error *err)
{
    return zdm_error_set(err, ZDM_NOMEM, "out of memory while applying an event");
}

enum zdm_code coord_apply_corrupt(const struct coord_event *event, struct zdm_error *err, const char *what)
{
    zdm_error_set(err, ZDM_CORRUPT, "event %llu (%s) speaks of %s that does not exist", (unsigned long long)event->seq,
                  coord_event_type_name(event->type), what);
    return zdm_error_hint(err, "The log is not whole. Keep the file, and start from a copy of the disk or a backup.");
}

/* The shard's place in the fleet; it is made when it is new. NULL without memory. */
static struct coord_fleet_shard *fleet_shard(struct coord_state *state, const char *name)
{
    size_t i = 0, high = state->n_shards;
    while (i < high) {
        size_t middle = i + (high - i) / 2;
        if (strcmp(state->shards[middle].name, name) < 0)
            i = middle + 1;
        else
            high = middle;
    }
    if (i < state->n_shards && strcmp(state->shards[i].name, name) == 0)
        return &state->shards[i];
    struct zdm_labels *labels = calloc(1, sizeof *labels);
    if (labels == NULL || !ZDM_RESERVE(state->shards, state->cap_shards, state->n_shards + 1)) {
        free(labels);
        return NULL;
    }
    memmove(&state->shards[i + 1], &state->shards[i], (state->n_shards - i) * sizeof *state->shards);
    state->n_shards++;
    state->shards[i] = (struct coord_fleet_shard){.labels = labels};
    zdm_copy_text(state->shards[i].name, sizeof state->shards[i].name, name);
    return &state->shards[i];
}

static void use_up_enrolment(struct coord_state *state, const struct zdm_id *nonce)
{
    for (size_t i = 0; i < state->n_enrolments; i++)
        if (zdm_id_equal(&state->enrolments[i].enrolment.nonce, nonce))
            state->enrolments[i].used = true;
}

static enum zdm_code apply_agent_enrolled(struct coord_state *state, const struct coord_event *event,
                                          struct zdm_error *err)
{
    struct coord_fleet_shard *shard = fleet_shard(state, event->u.agent_enrolled.shard);
    if (shard == NULL || !ZDM_RESERVE(state->agents, state->cap_agents, state->n_agents + 1) ||
        !coord_index_put(&state->agents_by_id, &event->u.agent_enrolled.agent, state->n_agents))
        return coord_apply_nomem(err);
    /* Only what is used is copied: the rest of the block then never becomes resident. */
    const struct zdm_labels *labels = &event->u.agent_enrolled.labels;
    shard->labels->n = labels->n;
    memcpy(shard->labels->items, labels->items, labels->n * sizeof labels->items[0]);
    struct coord_agent *agent = &state->agents[state->n_agents++];
    *agent = (struct coord_agent){.id = event->u.agent_enrolled.agent,
                                  .public_key = event->u.agent_enrolled.public_key,
                                  .enrolled_at_ms = event->at_ms,
                                  .next_of_shard = shard->first_agent};
    zdm_copy_text(agent->shard, sizeof agent->shard, shard->name);
    shard->first_agent = (uint32_t)state->n_agents;
    use_up_enrolment(state, &event->u.agent_enrolled.enrolment);
    return ZDM_OK;
}

static enum zdm_code apply_agent_revoked(struct coord_state *state, const struct coord_event *event,
                                         struct zdm_error *err)
{
    long i = coord_index_find(&state->agents_by_id, &event->u.agent_revoked.agent);
    if (i < 0)
        return coord_apply_corrupt(event, err, "an agent");
    state->agents[i].revoked = true;
    return ZDM_OK;
}

static enum zdm_code apply_operator_acted(struct coord_state *state, const struct coord_event *event,
                                          struct zdm_error *err)
{
    if (!ZDM_RESERVE(state->requests, state->cap_requests, state->n_requests + 1) ||
        !coord_index_put(&state->requests_by_id, &event->u.operator_acted.request_id, state->n_requests))
        return coord_apply_nomem(err);
    state->requests[state->n_requests++] = (struct coord_request_mark){
        .request_id = event->u.operator_acted.request_id, .seq = event->seq, .verb = event->u.operator_acted.verb};
    return ZDM_OK;
}

static enum zdm_code apply_enrolment_issued(struct coord_state *state, const struct coord_event *event,
                                            struct zdm_error *err)
{
    struct coord_enrolment issued = {.enrolment = event->u.enrolment_issued.enrolment};
    if (!ZDM_RESERVE(state->enrolments, state->cap_enrolments, state->n_enrolments + 1) ||
        !zdm_envelope_copy(&issued.envelope, &event->u.enrolment_issued.signed_enrolment))
        return coord_apply_nomem(err);
    state->enrolments[state->n_enrolments++] = issued;
    return ZDM_OK;
}

/* Events of the whole fleet; *out_mine says whether this was one. */
static enum zdm_code apply_fleet(struct coord_state *state, const struct coord_event *event, bool *out_mine,
                                 struct zdm_error *err)
{
    *out_mine = true;
    if (event->type == COORD_EVENT_AGENT_ENROLLED)
        return apply_agent_enrolled(state, event, err);
    if (event->type == COORD_EVENT_AGENT_REVOKED)
        return apply_agent_revoked(state, event, err);
    if (event->type == COORD_EVENT_OPERATOR_ACTED)
        return apply_operator_acted(state, event, err);
    if (event->type == COORD_EVENT_ENROLMENT_ISSUED)
        return apply_enrolment_issued(state, event, err);
    if (event->type == COORD_EVENT_LOG_OPENED) {
        state->fleet = event->u.log_opened.fleet;
    } else if (event->type == COORD_EVENT_EPOCH_STARTED) {
        state->epoch = event->epoch;
        state->instance = event->u.epoch_started.instance;
    } else if (event->type == COORD_EVENT_FEATURES_ENABLED) {
        state->feature_level = event->u.features_enabled.level;
    } else if (event->type == COORD_EVENT_TRUST_ADOPTED) {
        state->trust_version = event->u.trust_adopted.version;
        state->trust_digest = event->u.trust_adopted.digest;
    } else if (event->type == COORD_EVENT_FLEET_FROZEN || event->type == COORD_EVENT_FLEET_THAWED) {
        state->frozen = event->type == COORD_EVENT_FLEET_FROZEN;
    } else if (event->type == COORD_EVENT_FENCED) {
        state->fenced = true;
        if (event->u.fenced.seen_epoch > state->seen_epoch)
            state->seen_epoch = event->u.fenced.seen_epoch;
    } else {
        *out_mine = false;
    }
    return ZDM_OK;
}

/* Recovered: the epoch is above all that was seen, what agents say of lower ones is over, and every shard is paused:
 * those too that have finished here, and migrations that have ended, because the past that was given up may have taken
 * them back, and a run order would send them forward again. The instance is that of the epoch before: nothing is signed
 * before the next epoch_started. */
static enum zdm_code apply_recovered(struct coord_state *state, const struct coord_event *event, struct zdm_error *err)
{
    uint64_t above = event->u.fenced.seen_epoch + 1;
    state->fenced = false;
    state->epoch = event->epoch > above ? event->epoch : above;
    state->recovered_epoch = state->epoch;
    state->seen_epoch = 0;
    for (size_t i = 0; i < state->n_migrations; i++)
        coord_apply_pause_all(state->migrations[i], event);
    return coord_apply_anchor(state, event, err);
}

enum zdm_code coord_apply_anchor(struct coord_state *state, const struct coord_event *event, struct zdm_error *err)
{
    if (!ZDM_RESERVE(state->anchors, state->cap_anchors, state->n_anchors + 1))
        return coord_apply_nomem(err);
    state->anchors[state->n_anchors++] = (struct coord_anchor){.seq = event->seq, .hash = event->hash};
    return ZDM_OK;
}

enum zdm_code coord_apply(struct coord_state *state, const struct coord_event *event, struct zdm_error *err)
{
    bool of_fleet;
    enum zdm_code code = apply_fleet(state, event, &of_fleet, err);
    if (code == ZDM_OK && event->type == COORD_EVENT_RECOVERED)
        code = apply_recovered(state, event, err);
    else if (code == ZDM_OK && !of_fleet)
        code = coord_apply_migration(state, event, err);
    if (code != ZDM_OK)
        return code;
    state->head_seq = event->seq;
    state->head_hash = event->hash;
    state->head_at_ms = event->at_ms;
    return ZDM_OK;
}
