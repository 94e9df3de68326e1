/*
 * reports.c - what an agent says, turned into stimuli of the shard machine (protocol 3, rules 5, 9, 10; protocol 9).
 *
 * In this order: is the agent ahead of this coordinator's log (then this is the one from the past, and nothing else
 * matters)? Is its node the primary that should act? What did the shard do? Does it hold the newest directive?
 */
#include <stdio.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/machine.h"

struct hearing {
    const struct coord_state *state;
    const struct coord_view *view;
    struct coord_output *out;
    int64_t now_ms;
    const struct coord_agent *agent;
    const struct coord_heard *heard; /* the agent's entry in the view; NULL only when nobody called coord_hear */
    const struct zdm_report *report;
};

static bool fence_is_empty(const struct zdm_fence *fence)
{
    return fence->epoch == 0 && fence->generation == 0;
}

/* ---- Rule 5: is this coordinator the one from the past, or a copy? ---- */

static const char *ahead_of_us(const struct coord_state *state, const struct zdm_fence *seen)
{
    if (fence_is_empty(seen) || seen->epoch < state->recovered_epoch)
        return NULL; /* of a past that was given up: it is told the newest order like everybody who is behind */
    if (seen->epoch > state->epoch)
        return "an agent follows a later epoch";
    if (seen->epoch == state->epoch && !zdm_id_equal(&seen->instance, &state->instance))
        return "an agent follows another coordinator of this epoch";
    if (seen->generation > state->head_seq)
        return "an agent follows a log that is longer than this one";
    const struct zdm_hash *anchor = coord_anchor_at(state, seen->generation);
    if (anchor == NULL || !zdm_hash_equal(anchor, &seen->anchor))
        return "an agent follows a log with another history";
    return NULL;
}

static bool fences_us(const struct hearing *h)
{
    for (size_t i = 0; i < h->report->n_migrations; i++) {
        const struct zdm_migration_report *mr = &h->report->migrations[i];
        const char *why = ahead_of_us(h->state, &mr->accepted);
        if (why == NULL)
            continue;
        /* Row 81 holds in every status, also for a migration that this log has never heard of. */
        static const struct coord_shard nobody = {.status = COORD_READY};
        struct coord_case c = {.state = h->state, .view = h->view, .out = h->out, .s = &nobody};
        c.on = COORD_ON_HIGHER_PAIR;
        c.seen = &mr->accepted;
        c.agent = h->agent->id;
        c.reason = why;
        coord_case_run(&c);
        coord_notify(h->out, "");
        return true;
    }
    return false;
}

/* ---- What did the shard do? ---- */

static bool is_acting(enum zdm_agent_state state)
{
    return state != ZDM_AGENT_BLIND && state != ZDM_AGENT_ASKING && state != ZDM_AGENT_OBSERVING;
}

/* What the agent proved, against what the shard had proven and shall prove. */
static enum coord_stimulus stimulus_of_proof(const struct coord_shard *s, const struct zdm_migration_report *mr,
                                             uint32_t *out_phase)
{
    *out_phase = mr->proven_phase;
    /* Going back, phases fall one by one, and a purge drops what no phase asks for: that is no loss. */
    if (s->mode == ZDM_MODE_UNDO || s->mode == ZDM_MODE_PURGE || coord_is_going_back(s))
        return COORD_ON_OTHER_REPORT;
    if (mr->proven_phase < s->at)
        return COORD_ON_REGRESSED;
    if (s->goal > s->at && mr->proven_phase >= s->goal) {
        *out_phase = s->goal;
        return s->status == COORD_UNSURE ? COORD_ON_PROVEN : COORD_ON_REACHED;
    }
    *out_phase = s->at;
    return s->status == COORD_UNSURE && s->goal <= s->at ? COORD_ON_PROVEN : COORD_ON_OTHER_REPORT;
}

static enum coord_stimulus stimulus_of(const struct hearing *h, const struct coord_shard *s,
                                       const struct zdm_migration_report *mr, uint32_t *out_phase)
{
    bool primary = h->report->connected && h->report->writable;
    *out_phase = s->goal;
    if (!primary || !is_acting(mr->state))
        return COORD_ON_OTHER_REPORT;
    /* A loss that the agent does not dare to make good by itself is a loss first: it takes the shard back. */
    if (mr->state == ZDM_AGENT_UNSURE && mr->proven && stimulus_of_proof(s, mr, out_phase) == COORD_ON_REGRESSED)
        return COORD_ON_REGRESSED;
    if (mr->state == ZDM_AGENT_UNSURE)
        return COORD_ON_UNKNOWN;
    if (mr->state == ZDM_AGENT_STOPPED)
        /* After a recovery the journal may know of a later attempt than the log: it stops this one, too. */
        return mr->failed_attempt >= s->attempt ? COORD_ON_FAILED : COORD_ON_OTHER_REPORT;
    if (mr->undone && coord_is_going_back(s))
        return mr->proven && mr->proven_phase == s->goal ? COORD_ON_UNDONE : COORD_ON_OTHER_REPORT;
    if (mr->purged && s->mode == ZDM_MODE_PURGE)
        return COORD_ON_PURGED;
    if (mr->proven) {
        enum coord_stimulus on = stimulus_of_proof(s, mr, out_phase);
        if (on != COORD_ON_OTHER_REPORT)
            return on;
    }
    return mr->state == ZDM_AGENT_WAITING ? COORD_ON_RETRYING : COORD_ON_OTHER_REPORT;
}

/* Positions of a past that was given up can be those of other events by now. */
static bool is_at(const struct coord_state *state, const struct zdm_fence *accepted, uint64_t generation)
{
    return generation != 0 && accepted->generation == generation && accepted->epoch >= state->recovered_epoch;
}

static void hear_progress(const struct hearing *h, struct coord_case *c, const struct zdm_migration_report *mr)
{
    c->from_actor = zdm_id_equal(&h->agent->id, &c->s->actor);
    c->current = c->from_actor && is_at(h->state, &mr->accepted, c->s->generation);
    c->running = c->current || (c->from_actor && is_at(h->state, &mr->accepted, c->s->run_generation));
    c->report = mr;
    c->on = stimulus_of(h, c->s, mr, &c->phase);
    c->rival = c->on == COORD_ON_PROVEN && coord_has_rival(h->state, h->view, c->s, h->now_ms);
    coord_case_run(c);
}

/* ---- Which agent should act? True when that changed the shard: what else the report says counts the next time. ----
 */

static bool hear_primary(const struct hearing *h, struct coord_case *c)
{
    char why[ZDM_TEXT_MAX + 1];
    if (h->heard == NULL || c->s->generation == 0)
        return false;
    enum coord_ranking ranking = coord_rank(h->view, c->s, h->heard, h->now_ms, why);
    /* Of a shard that has finished, two primaries are no doubt about what is proven: the purge stays where it is. */
    bool rests = c->m->mode == COORD_ENDED || c->s->status == COORD_UNDONE;
    if (ranking == COORD_RANK_KEEP || (rests && ranking != COORD_RANK_MOVE))
        return false;
    c->on = COORD_ON_PRIMARY_SEEN;
    c->rankable = ranking == COORD_RANK_MOVE;
    c->reason = why;
    const struct coord_rule *rule = coord_case_run(c);
    c->reason = NULL;
    return rule != NULL;
}

/* After a recovery: the agent follows an order that this log does not hold, for a shard that it has never directed. It
 * is stopped like the others, and becomes the one that acts. True when that changed the shard. */
static bool hear_orphan(const struct hearing *h, struct coord_case *c, const struct zdm_migration_report *mr)
{
    if (mr == NULL || fence_is_empty(&mr->accepted) || mr->accepted.epoch >= h->state->recovered_epoch ||
        !zdm_id_is_zero(&c->s->actor) || !h->report->connected || !h->report->writable)
        return false;
    c->on = c->s->status == COORD_HELD ? COORD_ON_PRIMARY_SEEN : COORD_ON_PAUSE;
    c->rankable = true;
    c->reason = "its agent follows an order that was given up with the recovery";
    const struct coord_rule *rule = coord_case_run(c);
    c->reason = NULL;
    return rule != NULL;
}

/* ---- Does it hold the newest directive? ---- */

static void keep_up(const struct hearing *h, struct coord_case *c, const struct zdm_migration_report *mr)
{
    struct zdm_fence newest = {.epoch = h->state->epoch, .generation = c->s->generation};
    bool fresh = h->heard != NULL && h->heard->fresh;
    bool lower = mr == NULL || zdm_fence_compare(&mr->accepted, &newest) < 0;
    /* An observer of a read-only node keeps nothing, and would be told the same for ever. */
    bool keeps = h->report->writable || zdm_id_equal(&h->agent->id, &c->s->actor);
    if (c->s->generation == 0 || zdm_id_is_zero(&c->s->actor))
        return;
    /* Its journal may show that this coordinator is the one from the past, which must be known before it is ordered
     * anything: an epoch that restarts have raised would win over the one that the journal holds. */
    if (h->heard == NULL || !h->heard->journal)
        return;
    if (!fresh && !(lower && keeps) && !(mr != NULL && mr->state == ZDM_AGENT_ASKING))
        return;
    c->on = COORD_ON_LOWER_PAIR;
    coord_case_run(c);
}

static const struct zdm_migration_report *report_of(const struct zdm_report *report, const char *migration)
{
    for (size_t i = 0; i < report->n_migrations; i++)
        if (strcmp(report->migrations[i].migration, migration) == 0)
            return &report->migrations[i];
    return NULL;
}

static void hear_migration(const struct hearing *h, const struct coord_migration *m)
{
    const struct zdm_migration_report *mr = report_of(h->report, m->id);
    /* A migration that was undone may have been submitted again: reports speak of the newest run. */
    if ((m->mode == COORD_ENDED && mr == NULL) || coord_find_migration(h->state, m->id) != m)
        return;
    long shard = coord_find_shard(m, h->agent->shard);
    if (shard < 0)
        return;
    struct coord_case c = {.state = h->state, .view = h->view, .out = h->out, .now_ms = h->now_ms, .m = m};
    size_t before = h->out->n_events;
    c.merge_from = COORD_ALONE;
    c.index = (uint32_t)shard;
    c.s = &m->shards[shard];
    c.agent = h->agent->id;
    /* Of a migration that has ended only a purge of leftovers is still heard. */
    if (m->mode != COORD_ENDED && !hear_orphan(h, &c, mr) && !hear_primary(h, &c) && mr != NULL)
        hear_progress(h, &c, mr);
    else if (m->mode == COORD_ENDED && c.s->mode == ZDM_MODE_PURGE && !hear_primary(h, &c))
        hear_progress(h, &c, mr);
    /* Whoever was directed anew just now is told by that. */
    if (h->out->n_events == before || c.on == COORD_ON_REACHED || c.on == COORD_ON_FAILED)
        keep_up(h, &c, mr);
}

/* The order in force of this log for the agent's shard, if there is one that can be sent to it. */
static bool can_be_directed(const struct coord_state *state, const char *migration, const char *shard)
{
    const struct coord_migration *m = coord_find_migration(state, migration);
    long i = m == NULL ? -1 : coord_find_shard(m, shard);
    return i >= 0 && m->shards[i].generation != 0 && !zdm_id_is_zero(&m->shards[i].actor);
}

const char *coord_works_for_lost(const struct coord_state *state, const struct zdm_report *report, const char *shard)
{
    for (size_t i = 0; i < report->n_migrations; i++) {
        const struct zdm_migration_report *mr = &report->migrations[i];
        bool works = mr->state == ZDM_AGENT_LOOKING || mr->state == ZDM_AGENT_WORKING || mr->state == ZDM_AGENT_WAITING;
        if (works && !fence_is_empty(&mr->accepted) && mr->accepted.epoch < state->recovered_epoch &&
            !can_be_directed(state, mr->migration, shard))
            return mr->migration;
    }
    return NULL;
}

/* Who works by an order that nobody here can replace gets no lease: it parks by itself within the one that it has, and
 * begins nothing destructive any more. */
/* Epochs rise by one with each start: one like this is made up, and fences nobody. */
static bool is_made_up(const struct hearing *h)
{
    for (size_t i = 0; i < h->report->n_migrations; i++)
        if (h->report->migrations[i].accepted.epoch > h->state->epoch + ZDM_EPOCH_CLAIM_MAX)
            return true;
    return false;
}

static void send_away(struct coord_output *out, const struct zdm_id *agent, const char *why)
{
    struct coord_effect *effect = coord_effect(out, COORD_DO_CLOSE_AGENT, "");
    if (effect == NULL)
        return;
    effect->agent = *agent;
    zdm_copy_text(effect->why, sizeof effect->why, why);
}

static void acknowledge(const struct hearing *h)
{
    if (coord_works_for_lost(h->state, h->report, h->agent->shard) != NULL)
        return;
    struct coord_effect *effect = coord_effect(h->out, COORD_DO_SEND_ACK, "");
    if (effect == NULL)
        return;
    effect->agent = h->agent->id;
    effect->number = h->report->number;
    effect->lease_ms = COORD_LEASE_MS;
}

void coord_decide_report(const struct coord_state *state, const struct coord_view *view,
                         const struct coord_input *input, struct coord_output *out)
{
    struct hearing h = {.state = state,
                        .view = view,
                        .out = out,
                        .now_ms = input->now_ms,
                        .agent = coord_find_agent(state, &input->u.report.agent),
                        .heard = coord_view_find(view, &input->u.report.agent),
                        .report = input->u.report.report};
    if (h.agent == NULL || h.agent->revoked) {
        send_away(out, &input->u.report.agent,
                  h.agent == NULL ? "this agent is not enrolled" : "this agent's key was revoked");
        return;
    }
    if (is_made_up(&h)) {
        send_away(out, &input->u.report.agent, "it claims to follow an epoch that no coordinator has come to");
        return;
    }
    coord_notify(out, "");
    /* Fenced: no directive and no lease any more (protocol 3, rule 5). */
    if (state->fenced || fences_us(&h))
        return;
    for (size_t i = 0; i < state->n_migrations; i++)
        hear_migration(&h, state->migrations[i]);
    acknowledge(&h);
}
