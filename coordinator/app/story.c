/*
 * story.c - the log as a person would tell it: one sentence an event, with the names of people, shards and phases. What
 * a person gave as a reason stands in quotes; what a program found stands as it is.
 */
#include <inttypes.h>
#include <string.h>

#include "coordinator/app/story_parts.h"

/* The migration as it was at the event: the newest of that name submitted no later. */
static const struct coord_migration *migration_at(const struct coord_state *state, const struct coord_event *event)
{
    for (size_t i = state->n_migrations; i > 0; i--) {
        const struct coord_migration *migration = state->migrations[i - 1];
        if (migration->submitted_seq <= event->seq && strcmp(migration->id, event->migration) == 0)
            return migration;
    }
    return NULL;
}

/* ---- What became of the migration ---- */

static void tell_submitted(const struct telling_of *t)
{
    const struct coord_event *event = t->event;
    char hash[ZDM_HASH_HEX_SIZE] = "?";
    size_t n = event->u.migration_submitted.n_shards;
    story_by(t->out, event->u.migration_submitted.by);
    if (event->u.migration_submitted.plan != NULL)
        zdm_hex(hash, event->u.migration_submitted.plan->hash.bytes, 6);
    for (size_t i = 0; i < n; i++)
        story_shard(t->out, event->u.migration_submitted.shards[i].name);
    put_words(t, "%s registered %s over %zu shard%s with plan %s", t->out->by, event->migration, n, n == 1 ? "" : "s",
              hash);
}

/* Another plan, or the same one signed by another operator: the request before it says which was asked for. */
static void tell_amended(const struct telling_of *t)
{
    char hash[ZDM_HASH_HEX_SIZE] = "?";
    story_by(t->out, t->event->u.migration_submitted.by);
    if (t->event->u.migration_submitted.plan != NULL)
        zdm_hex(hash, t->event->u.migration_submitted.plan->hash.bytes, 6);
    put_words(t, "the plan of %s is now %s, signed by %s", t->event->migration, hash, t->out->by);
}

static void tell_opened(const struct telling_of *t)
{
    story_by(t->out, t->event->u.phase_opened.by);
    put_words(t, "%s opened ", t->out->by);
    put_phase(t, t->event->u.phase_opened.phase);
    if (t->event->u.phase_opened.only.n_bytes == 0)
        return;
    story_shard_bits(t, t->event->u.phase_opened.only.bytes, t->event->u.phase_opened.only.n_bytes,
                     t->event->u.phase_opened.only.first);
    put_words(t, " for ");
    put_story_shards(t);
}

static void tell_gate(const struct telling_of *t)
{
    const char *detail = t->event->u.gate.detail;
    put_words(t, "the gate of ");
    put_phase(t, t->event->u.gate.phase);
    if (t->event->type == COORD_EVENT_GATE_STARTED)
        put_words(t, " waits");
    else if (t->event->type == COORD_EVENT_GATE_PASSED)
        put_words(t, " was passed");
    else
        put_words(t, strncmp(detail, "flag off", 8) == 0 ? " is to be passed again" : " was refused");
    /* People pass a flag's gate by their advance: then the detail is a name. */
    if (t->event->type == COORD_EVENT_GATE_PASSED && zdm_name_is_valid(detail))
        put_words(t, " by %s", detail);
    else
        put_because(t, detail);
}

static void tell_halted(const struct telling_of *t)
{
    static const char *const causes[] = {[COORD_HALT_BUDGET] = "too many shards failed",
                                         [COORD_HALT_OPERATOR] = "an operator halted it",
                                         [COORD_HALT_DEADMAN] = "nobody was there to watch it",
                                         [COORD_HALT_VETO] = "a gate refused"};
    uint32_t failed = t->event->u.halted.failed;
    story_by(t->out, t->event->u.halted.by);
    if (t->event->type == COORD_EVENT_MIGRATION_RESUMED) {
        put_words(t, "%s lets %s go on", t->out->by, t->event->migration);
        return;
    }
    put_words(t, "%s was halted: %s", t->event->migration, causes[t->event->u.halted.cause]);
    if (failed > 0)
        put_words(t, " (%" PRIu32 ")", failed);
}

static void tell_ended(const struct telling_of *t)
{
    static const char *const outcomes[] = {[COORD_END_DONE] = "is done on every shard",
                                           [COORD_END_UNDONE] = "was undone on every shard",
                                           [COORD_END_ABANDONED] = "was abandoned"};
    put_words(t, "%s %s", t->event->migration, outcomes[t->event->u.ended.outcome]);
}

static void tell_throttle(const struct telling_of *t)
{
    story_by(t->out, t->event->u.throttle_set.by);
    put_words(t, "%s ", t->out->by);
    put_throttle(t, &t->event->u.throttle_set.throttle);
}

/* ---- What became of the fleet ---- */

static void tell_enrolled(const struct telling_of *t)
{
    char agent[ZDM_ID_HEX_SIZE];
    story_by(t->out, t->event->u.agent_enrolled.by);
    story_shard(t->out, t->event->u.agent_enrolled.shard);
    zdm_hex(agent, t->event->u.agent_enrolled.agent.bytes, 6);
    put_words(t, "agent %s joined %s", agent, t->event->u.agent_enrolled.shard);
}

static void tell_issued(const struct telling_of *t)
{
    const char *shard = t->event->u.enrolment_issued.enrolment.shard;
    story_shard(t->out, shard);
    put_words(t, "%s may be joined once with that token", shard);
}

static void tell_revoked(const struct telling_of *t)
{
    story_by(t->out, t->event->u.agent_revoked.by);
    put_words(t, "%s revoked ", t->out->by);
    put_agent(t, &t->event->u.agent_revoked.agent);
    put_quoted(t, t->event->u.agent_revoked.reason);
}

static void tell_fleet(const struct telling_of *t)
{
    story_by(t->out, t->event->u.fleet.by);
    put_words(t, "%s %s the fleet", t->out->by, t->event->type == COORD_EVENT_FLEET_FROZEN ? "froze" : "thawed");
    put_quoted(t, t->event->u.fleet.reason);
}

static void tell_fenced(const struct telling_of *t)
{
    put_words(t, "the coordinator fenced itself and gives no orders: %s", t->event->u.fenced.text);
    if (!zdm_id_is_zero(&t->event->u.fenced.agent)) {
        put_words(t, ": ");
        put_agent(t, &t->event->u.fenced.agent);
        put_words(t, " follows epoch %" PRIu64, t->event->u.fenced.seen_epoch);
    }
}

static void tell_recovered(const struct telling_of *t)
{
    put_words(t,
              "the coordinator goes on with this log above epoch %" PRIu64
              ": what came after its end is given up, and every active shard is paused",
              t->event->u.fenced.seen_epoch);
}

static void tell_epoch(const struct telling_of *t)
{
    put_words(t, "a coordinator started on %s with release %s, epoch %" PRIu64, t->event->u.epoch_started.host,
              t->event->u.epoch_started.release, t->event->epoch);
}

static void tell_opening(const struct telling_of *t)
{
    put_words(t, "the log was opened by release %s", t->event->u.log_opened.release);
}

static void tell_features(const struct telling_of *t)
{
    put_words(t, "features of level %" PRIu32 " enabled", t->event->u.features_enabled.level);
}

static void tell_trust(const struct telling_of *t)
{
    put_words(t, "trust file version %" PRIu32 " is in force", t->event->u.trust_adopted.version);
}

static void tell_barrier(const struct telling_of *t)
{
    put_words(t, "every shard has come to the barrier before ");
    put_phase(t, t->event->u.barrier_opened.phase);
}

static void tell_wave(const struct telling_of *t)
{
    put_words(t, "wave %" PRIu32 " may enter ", t->event->u.wave_opened.wave + 1);
    put_phase(t, t->event->u.wave_opened.phase);
}

/* ---- All of it ---- */

typedef void tell(const struct telling_of *t);

static tell *const tales[] = {
    [COORD_EVENT_LOG_OPENED] = tell_opening,
    [COORD_EVENT_EPOCH_STARTED] = tell_epoch,
    [COORD_EVENT_FEATURES_ENABLED] = tell_features,
    [COORD_EVENT_TRUST_ADOPTED] = tell_trust,
    [COORD_EVENT_AGENT_ENROLLED] = tell_enrolled,
    [COORD_EVENT_AGENT_REVOKED] = tell_revoked,
    [COORD_EVENT_OPERATOR_ACTED] = tell_acted,
    [COORD_EVENT_ENROLMENT_ISSUED] = tell_issued,
    [COORD_EVENT_MIGRATION_SUBMITTED] = tell_submitted,
    [COORD_EVENT_PLAN_AMENDED] = tell_amended,
    [COORD_EVENT_APPROVAL_ADDED] = tell_approval,
    [COORD_EVENT_APPROVAL_REVOKED] = tell_approval_revoked,
    [COORD_EVENT_PHASE_OPENED] = tell_opened,
    [COORD_EVENT_BARRIER_OPENED] = tell_barrier,
    [COORD_EVENT_WAVE_OPENED] = tell_wave,
    [COORD_EVENT_GATE_STARTED] = tell_gate,
    [COORD_EVENT_GATE_PASSED] = tell_gate,
    [COORD_EVENT_GATE_VETOED] = tell_gate,
    [COORD_EVENT_SHARDS_DIRECTED] = tell_directed,
    [COORD_EVENT_SHARD_REACHED] = tell_reached,
    [COORD_EVENT_SHARD_UNDONE] = tell_reached,
    [COORD_EVENT_SHARD_PURGED] = tell_reached,
    [COORD_EVENT_SHARD_FAILED] = tell_failed,
    [COORD_EVENT_SHARD_REGRESSED] = tell_regressed,
    [COORD_EVENT_SHARD_UNSURE] = tell_unsure,
    [COORD_EVENT_SHARD_RESOLVED] = tell_unsure,
    [COORD_EVENT_SHARD_EXCLUDED] = tell_excluded,
    [COORD_EVENT_SHARD_INCLUDED] = tell_excluded,
    [COORD_EVENT_MIGRATION_HALTED] = tell_halted,
    [COORD_EVENT_MIGRATION_RESUMED] = tell_halted,
    [COORD_EVENT_THROTTLE_SET] = tell_throttle,
    [COORD_EVENT_FLEET_FROZEN] = tell_fleet,
    [COORD_EVENT_FLEET_THAWED] = tell_fleet,
    [COORD_EVENT_MIGRATION_ENDED] = tell_ended,
    [COORD_EVENT_FENCED] = tell_fenced,
    [COORD_EVENT_RECOVERED] = tell_recovered,
};

void story_tell(struct coord_driver *d, const struct coord_event *event, struct story *out)
{
    size_t type = (size_t)event->type;
    *out = (struct story){.n_shards = 0};
    zdm_buffer_init(&out->text, 4096);
    const struct telling_of t = {.d = d, .event = event, .m = migration_at(d->state, event), .out = out};
    if (type < sizeof tales / sizeof *tales && tales[type] != NULL)
        tales[type](&t);
}

void story_fini(struct story *story)
{
    zdm_buffer_fini(&story->text);
}
