/*
 * primary.c - which agent of a shard acts (protocol 3, rule 10). Looks at the view only.
 */
#include <stdio.h>
#include <string.h>

#include "coordinator/core/machine.h"

bool coord_is_present(const struct coord_view *view, const struct zdm_id *agent, int64_t now_ms, int64_t *until)
{
    const struct coord_heard *heard = coord_view_find(view, agent);
    /* After a start nobody has been heard yet: absence means something only later. */
    *until = heard == NULL ? view->started_at_ms + COORD_VIEW_SETTLE_MS : heard->heard_at_ms + COORD_SILENT_MS;
    return now_ms < *until;
}

static bool is_primary(const struct coord_heard *heard)
{
    return heard != NULL && heard->report.connected && heard->report.writable;
}

static bool same_server(const struct coord_heard *a, const struct coord_heard *b)
{
    return a->report.identity[0] != '\0' && strcmp(a->report.identity, b->report.identity) == 0;
}

enum coord_ranking coord_rank(const struct coord_view *view, const struct coord_shard *s,
                              const struct coord_heard *other, int64_t now_ms, char out_why[ZDM_TEXT_MAX + 1])
{
    const struct coord_heard *actor = coord_view_find(view, &s->actor);
    int64_t until;
    out_why[0] = '\0';
    if (zdm_id_is_zero(&s->actor) || zdm_id_equal(&s->actor, &other->agent) || !is_primary(other))
        return COORD_RANK_KEEP;
    if (!coord_is_present(view, &s->actor, now_ms, &until)) {
        snprintf(out_why, ZDM_TEXT_MAX + 1, "the agent that acted has been silent for %d s", COORD_SILENT_MS / 1000);
        return COORD_RANK_MOVE;
    }
    if (actor == NULL)
        return COORD_RANK_KEEP; /* too early to say */
    if (!is_primary(actor)) {
        snprintf(out_why, ZDM_TEXT_MAX + 1, "the node of the agent that acted takes no writes");
        return COORD_RANK_MOVE;
    }
    if (same_server(actor, other) || other->report.timeline < actor->report.timeline)
        return COORD_RANK_KEEP;
    if (other->report.timeline > actor->report.timeline) {
        snprintf(out_why, ZDM_TEXT_MAX + 1, "another node is primary on timeline %llu, above %llu",
                 (unsigned long long)other->report.timeline, (unsigned long long)actor->report.timeline);
        return COORD_RANK_MOVE;
    }
    snprintf(out_why, ZDM_TEXT_MAX + 1, "two nodes take writes: %.60s and %.60s", actor->report.identity,
             other->report.identity);
    return COORD_RANK_UNKNOWN;
}

/* The shard's agents that report a primary and were heard of late, one after the other; position starts as the list's
 * head. NULL at the end. */
static const struct coord_heard *next_primary(const struct coord_state *state, const struct coord_view *view,
                                              int64_t now_ms, uint32_t *position)
{
    while (*position != 0) {
        const struct coord_agent *agent = &state->agents[*position - 1];
        const struct coord_heard *heard = coord_view_find(view, &agent->id);
        *position = agent->next_of_shard;
        if (!agent->revoked && is_primary(heard) && heard->connected && now_ms < heard->heard_at_ms + COORD_SILENT_MS)
            return heard;
    }
    return NULL;
}

bool coord_has_rival(const struct coord_state *state, const struct coord_view *view, const struct coord_shard *s,
                     int64_t now_ms)
{
    const struct coord_fleet_shard *shard = coord_find_fleet_shard(state, s->name);
    const struct coord_heard *heard;
    char why[ZDM_TEXT_MAX + 1];
    uint32_t position = shard == NULL ? 0 : shard->first_agent;
    while ((heard = next_primary(state, view, now_ms, &position)) != NULL)
        if (coord_rank(view, s, heard, now_ms, why) == COORD_RANK_UNKNOWN)
            return true;
    return false;
}

bool coord_pick_actor(const struct coord_state *state, const struct coord_view *view, const struct coord_shard *s,
                      int64_t now_ms, struct zdm_id *out)
{
    const struct coord_fleet_shard *shard = coord_find_fleet_shard(state, s->name);
    const struct coord_heard *best = NULL, *heard;
    bool tie = false;
    uint32_t position = shard == NULL ? 0 : shard->first_agent;
    while ((heard = next_primary(state, view, now_ms, &position)) != NULL) {
        if (zdm_id_equal(&heard->agent, &s->actor)) {
            *out = heard->agent;
            return true;
        }
        if (best == NULL || heard->report.timeline > best->report.timeline) {
            best = heard;
            tie = false;
        } else if (heard->report.timeline == best->report.timeline && !same_server(heard, best)) {
            tie = true;
        }
    }
    /* An actor that is away is replaced by its own rule, on the other's report; never here. */
    if (best == NULL || tie || !zdm_id_is_zero(&s->actor))
        return false;
    *out = best->agent;
    return true;
}
