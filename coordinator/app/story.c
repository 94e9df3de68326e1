/*
 * story.c - the log as a person would tell it: one sentence an event, with the names of people, shards and phases.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/app/private.h"

enum { STORY_SHARDS = sizeof((struct story *)0)->shards / sizeof(char *) };

/* ---- Shards ---- */

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

static void add_shard(struct story *out, const char *name)
{
    if (out->n_shards < STORY_SHARDS)
        out->shards[out->n_shards++] = name;
    else
        out->more_shards++;
}

static void add_index(struct story *out, const struct coord_migration *migration, uint32_t shard)
{
    if (migration != NULL && shard < migration->n_shards)
        add_shard(out, migration->shards[shard].name);
}

static void add_bits(struct story *out, const struct coord_migration *migration, const uint8_t *bytes, size_t n_bytes,
                     uint32_t first)
{
    for (uint32_t i = 0; migration != NULL && i < migration->n_shards; i++)
        if (coord_bits_have(bytes, n_bytes, first, i))
            add_shard(out, migration->shards[i].name);
}

/* "shard-1, shard-2 and 7 more"; "all 12 shards" where it is all of several. */
static void put_shards(struct story *out, const struct coord_migration *migration)
{
    size_t n = out->n_shards + out->more_shards;
    if (migration != NULL && n > 2 && n == migration->n_shards) {
        zdm_buffer_printf(&out->text, "all %zu shards", n);
        return;
    }
    size_t shown = out->n_shards < 4 ? out->n_shards : 3;
    for (size_t i = 0; i < shown; i++)
        zdm_buffer_printf(&out->text, "%s%s",
                          i == 0                         ? ""
                          : n == shown && i + 1 == shown ? " and "
                                                         : ", ",
                          out->shards[i]);
    if (n > shown)
        zdm_buffer_printf(&out->text, " and %zu more", n - shown);
}

static void put_reason(struct story *out, const char *reason)
{
    if (reason[0] != '\0')
        zdm_buffer_printf(&out->text, ": %s", reason);
}

static void put_phase(struct story *out, struct coord_driver *d, const struct coord_migration *migration,
                      uint32_t phase)
{
    zdm_buffer_printf(&out->text, "phase %" PRIu32, phase);
    if (migration != NULL)
        zdm_buffer_printf(&out->text, " (%s)", phase_title(d, migration, phase));
}

static const char *step_name(const struct coord_migration *migration, uint32_t ordinal)
{
    const struct zdm_step *step = migration != NULL ? zdm_plan_step(migration->plan, ordinal) : NULL;
    return step != NULL ? step->id : "?";
}

static void set_by(struct story *out, const char *name)
{
    (void)zdm_copy_text(out->by, sizeof out->by, name);
}

/* ---- What a person asked for ---- */

static void put_selection(struct story *out, const struct zdm_selection *selection)
{
    if (selection->all)
        zdm_buffer_puts(&out->text, " all shards");
    else if (selection->selector != NULL)
        zdm_buffer_printf(&out->text, " shards %s", selection->selector);
    for (size_t i = 0; i < selection->n_names && i < 3; i++)
        zdm_buffer_printf(&out->text, "%s%s", i == 0 ? " " : ", ", selection->names[i]);
    if (selection->n_names > 3)
        zdm_buffer_printf(&out->text, " and %zu more", selection->n_names - 3);
}

static const char *past_of(enum zdm_verb verb)
{
    static const char *const past[] = {[ZDM_VERB_SUBMIT] = "submitted",
                                       [ZDM_VERB_ADVANCE] = "advanced",
                                       [ZDM_VERB_PAUSE] = "paused",
                                       [ZDM_VERB_RESUME] = "resumed",
                                       [ZDM_VERB_RETRY] = "retried",
                                       [ZDM_VERB_ROLLBACK] = "ordered to roll back",
                                       [ZDM_VERB_THROTTLE] = "set the throttle of",
                                       [ZDM_VERB_APPROVE] = "approved",
                                       [ZDM_VERB_REVOKE_APPROVAL] = "withdrew an approval of",
                                       [ZDM_VERB_ENROLL] = "issued a join token for",
                                       [ZDM_VERB_REVOKE_AGENT] = "revoked an agent",
                                       [ZDM_VERB_EXCLUDE] = "excluded",
                                       [ZDM_VERB_INCLUDE] = "included",
                                       [ZDM_VERB_FREEZE] = "froze the fleet",
                                       [ZDM_VERB_THAW] = "thawed the fleet",
                                       [ZDM_VERB_PURGE] = "asked to purge"};
    return (size_t)verb < sizeof past / sizeof *past && past[verb] != NULL ? past[verb] : "acted";
}

static bool is_about_the_migration(enum zdm_verb verb)
{
    return verb == ZDM_VERB_SUBMIT || verb == ZDM_VERB_APPROVE || verb == ZDM_VERB_REVOKE_APPROVAL ||
           verb == ZDM_VERB_THROTTLE || verb == ZDM_VERB_PURGE;
}

static void put_enrolled_shard(struct story *out, const struct zdm_envelope *payload)
{
    struct zdm_enrolment enrolment;
    struct zdm_error err;
    size_t n = 0;
    const uint8_t *body = zdm_signed_body(payload, &n);
    if (body != NULL && zdm_enrolment_decode(body, n, &enrolment, &err) == ZDM_OK)
        zdm_buffer_printf(&out->text, " %s", enrolment.shard);
}

static void tell_acted(const struct coord_event *event, struct story *out)
{
    struct zdm_request request;
    struct zdm_error err;
    size_t n = 0;
    enum zdm_verb verb = event->u.operator_acted.verb;
    const uint8_t *body = zdm_signed_body(&event->u.operator_acted.signed_request, &n);
    set_by(out, event->u.operator_acted.name);
    zdm_buffer_printf(&out->text, "%s %s", out->by, past_of(verb));
    if (is_about_the_migration(verb))
        zdm_buffer_printf(&out->text, " %s", event->migration);
    if (body != NULL && zdm_request_decode(body, n, &request, &err) == ZDM_OK) {
        if (verb == ZDM_VERB_ENROLL)
            put_enrolled_shard(out, &request.payload);
        else if (!is_about_the_migration(verb))
            put_selection(out, &request.shards);
        if (request.to_phase != 0)
            zdm_buffer_printf(&out->text, " to phase %" PRIu32, request.to_phase);
        zdm_request_fini(&request);
    }
    put_reason(out, event->u.operator_acted.reason);
}

/* ---- What became of shards ---- */

/* A reason that only repeats the verb is not worth a reader's time. */
static bool is_telling(const char *why)
{
    static const char *const plain[] = {"released", "pause", "resume", "retry", "rollback"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(why, plain[i]) == 0)
            return false;
    return true;
}

static void tell_directed(struct coord_driver *d, const struct coord_event *event,
                          const struct coord_migration *migration, struct story *out)
{
    bool through = event->u.directed.set_goal && event->u.directed.goal != 0;
    const char *verb = event->u.directed.mode == ZDM_MODE_PAUSE  ? " told to pause"
                       : event->u.directed.mode == ZDM_MODE_UNDO ? " told to go back to"
                       : event->u.directed.next_attempt          ? " told to try again"
                       : through                                 ? " released into"
                                                                 : " told to go on";
    add_bits(out, migration, event->u.directed.shards, event->u.directed.n_bytes, event->u.directed.first);
    put_shards(out, migration);
    zdm_buffer_puts(&out->text, verb);
    if (event->u.directed.mode == ZDM_MODE_UNDO)
        zdm_buffer_printf(&out->text, " phase %" PRIu32, event->u.directed.goal);
    else if (through && event->u.directed.mode == ZDM_MODE_RUN) {
        zdm_buffer_puts(&out->text, event->u.directed.next_attempt ? " with " : " ");
        put_phase(out, d, migration, event->u.directed.goal);
    }
    if (is_telling(event->u.directed.why))
        put_reason(out, event->u.directed.why);
}

static void tell_reached(struct coord_driver *d, const struct coord_event *event,
                         const struct coord_migration *migration, struct story *out)
{
    add_index(out, migration, event->u.reached.shard);
    put_shards(out, NULL);
    zdm_buffer_puts(&out->text, event->type == COORD_EVENT_SHARD_REACHED ? " finished " : " went back to ");
    put_phase(out, d, migration, event->u.reached.phase);
}

static void tell_failed(const struct coord_event *event, const struct coord_migration *migration, struct story *out)
{
    add_index(out, migration, event->u.failed.shard);
    put_shards(out, NULL);
    zdm_buffer_printf(&out->text, " failed at step %s", step_name(migration, event->u.failed.step));
    if (event->u.failed.back)
        zdm_buffer_puts(&out->text, " while going back");
    put_reason(out, event->u.failed.text);
}

static void tell_regressed(const struct coord_event *event, const struct coord_migration *migration, struct story *out)
{
    add_index(out, migration, event->u.regressed.shard);
    put_shards(out, NULL);
    zdm_buffer_printf(&out->text, " fell from phase %" PRIu32 " to phase %" PRIu32, event->u.regressed.from,
                      event->u.regressed.to);
    put_reason(out, event->u.regressed.cause);
}

static void tell_unsure(const struct coord_event *event, const struct coord_migration *migration, struct story *out)
{
    bool unsure = event->type == COORD_EVENT_SHARD_UNSURE;
    add_index(out, migration, event->u.unsure.shard);
    put_shards(out, NULL);
    if (unsure)
        zdm_buffer_puts(&out->text, " is unsure");
    else
        zdm_buffer_printf(&out->text, " is sure again: phase %" PRIu32 " is proven", event->u.unsure.at);
    put_reason(out, event->u.unsure.text);
}

static void tell_excluded(const struct coord_event *event, const struct coord_migration *migration, struct story *out)
{
    set_by(out, event->u.excluded.by);
    add_index(out, migration, event->u.excluded.shard);
    zdm_buffer_printf(&out->text, "%s %s ", out->by,
                      event->type == COORD_EVENT_SHARD_EXCLUDED ? "excluded" : "included");
    put_shards(out, NULL);
    put_reason(out, event->u.excluded.reason);
}

/* ---- What became of the migration ---- */

static void tell_submitted(const struct coord_event *event, struct story *out)
{
    char hash[ZDM_HASH_HEX_SIZE] = "?";
    set_by(out, event->u.migration_submitted.by);
    if (event->u.migration_submitted.plan != NULL)
        zdm_hex(hash, event->u.migration_submitted.plan->hash.bytes, 6);
    for (size_t i = 0; i < event->u.migration_submitted.n_shards; i++)
        add_shard(out, event->u.migration_submitted.shards[i].name);
    if (event->type == COORD_EVENT_PLAN_AMENDED)
        zdm_buffer_printf(&out->text, "%s amended %s: its plan is now %s", out->by, event->migration, hash);
    else
        zdm_buffer_printf(&out->text, "%s registered %s over %zu shard%s with plan %s", out->by, event->migration,
                          event->u.migration_submitted.n_shards, event->u.migration_submitted.n_shards == 1 ? "" : "s",
                          hash);
}

static void tell_opened(struct coord_driver *d, const struct coord_event *event,
                        const struct coord_migration *migration, struct story *out)
{
    set_by(out, event->u.phase_opened.by);
    zdm_buffer_printf(&out->text, "%s opened ", out->by);
    put_phase(out, d, migration, event->u.phase_opened.phase);
    if (event->u.phase_opened.only.n_bytes == 0)
        return;
    add_bits(out, migration, event->u.phase_opened.only.bytes, event->u.phase_opened.only.n_bytes,
             event->u.phase_opened.only.first);
    zdm_buffer_puts(&out->text, " for ");
    put_shards(out, migration);
}

static void tell_gate(struct coord_driver *d, const struct coord_event *event, const struct coord_migration *migration,
                      struct story *out)
{
    zdm_buffer_puts(&out->text, "the gate of ");
    put_phase(out, d, migration, event->u.gate.phase);
    zdm_buffer_puts(&out->text, event->type == COORD_EVENT_GATE_STARTED  ? " waits"
                                : event->type == COORD_EVENT_GATE_PASSED ? " was passed"
                                                                         : " was refused");
    /* People pass a flag's gate by their advance: then the detail is a name. */
    if (event->type == COORD_EVENT_GATE_PASSED && zdm_name_is_valid(event->u.gate.detail))
        zdm_buffer_printf(&out->text, " by %s", event->u.gate.detail);
    else
        put_reason(out, event->u.gate.detail);
}

static void tell_approval(const struct coord_event *event, struct story *out)
{
    char key[ZDM_ID_HEX_SIZE];
    zdm_hex(key, event->u.approval_added.approver.bytes, 6);
    zdm_buffer_printf(&out->text, "phase %" PRIu32 " was approved by key %s", event->u.approval_added.approval.phase,
                      key);
}

static void tell_halted(const struct coord_event *event, struct story *out)
{
    static const char *const causes[] = {[COORD_HALT_BUDGET] = "too many shards failed",
                                         [COORD_HALT_OPERATOR] = "an operator halted it",
                                         [COORD_HALT_DEADMAN] = "nobody was there to watch it",
                                         [COORD_HALT_VETO] = "a gate refused"};
    set_by(out, event->u.halted.by);
    if (event->type == COORD_EVENT_MIGRATION_RESUMED)
        zdm_buffer_printf(&out->text, "%s lets %s go on", out->by, event->migration);
    else
        zdm_buffer_printf(&out->text, "%s was halted: %s (%" PRIu32 " failed)", event->migration,
                          causes[event->u.halted.cause], event->u.halted.failed);
}

static void tell_ended(const struct coord_event *event, struct story *out)
{
    static const char *const outcomes[] = {[COORD_END_DONE] = "is done on every shard",
                                           [COORD_END_UNDONE] = "was undone on every shard",
                                           [COORD_END_ABANDONED] = "was abandoned"};
    zdm_buffer_printf(&out->text, "%s %s", event->migration, outcomes[event->u.ended.outcome]);
}

/* ---- What became of the fleet ---- */

static void tell_throttle(const struct coord_event *event, struct story *out)
{
    const struct zdm_throttle *t = &event->u.throttle_set.throttle;
    set_by(out, event->u.throttle_set.by);
    zdm_buffer_printf(&out->text,
                      "%s set the throttle: batches of %" PRIu32 " ms, %" PRIu32 " %% of the time, replica "
                      "lag up to %" PRIu32 " ms (0: as planned)",
                      out->by, t->batch_target_ms, t->duty_percent, t->max_replica_lag_ms);
}

static void tell_enrolled(const struct coord_event *event, struct story *out)
{
    char agent[ZDM_ID_HEX_SIZE];
    set_by(out, event->u.agent_enrolled.by);
    add_shard(out, event->u.agent_enrolled.shard);
    zdm_hex(agent, event->u.agent_enrolled.agent.bytes, 6);
    zdm_buffer_printf(&out->text, "agent %s joined %s", agent, event->u.agent_enrolled.shard);
}

static void tell_revoked(const struct coord_event *event, struct story *out)
{
    char agent[ZDM_ID_HEX_SIZE];
    set_by(out, event->u.agent_revoked.by);
    zdm_hex(agent, event->u.agent_revoked.agent.bytes, 6);
    zdm_buffer_printf(&out->text, "%s revoked agent %s", out->by, agent);
    put_reason(out, event->u.agent_revoked.reason);
}

static void tell_fleet(const struct coord_event *event, struct story *out)
{
    set_by(out, event->u.fleet.by);
    zdm_buffer_printf(&out->text, "%s %s the fleet", out->by,
                      event->type == COORD_EVENT_FLEET_FROZEN ? "froze" : "thawed");
    put_reason(out, event->u.fleet.reason);
}

static void tell_fenced(const struct coord_event *event, struct story *out)
{
    zdm_buffer_printf(&out->text,
                      event->type == COORD_EVENT_FENCED ? "the coordinator fenced itself: epoch %" PRIu64
                                                          " was seen elsewhere"
                                                        : "the coordinator was recovered above epoch %" PRIu64,
                      event->u.fenced.seen_epoch);
    put_reason(out, event->u.fenced.text);
}

static void tell_epoch(const struct coord_event *event, struct story *out)
{
    zdm_buffer_printf(&out->text, "a coordinator started on %s with release %s, epoch %" PRIu64,
                      event->u.epoch_started.host, event->u.epoch_started.release, event->epoch);
}

static void tell(struct coord_driver *d, const struct coord_event *event, const struct coord_migration *m,
                 struct story *out)
{
    switch (event->type) {
    case COORD_EVENT_LOG_OPENED:
        zdm_buffer_printf(&out->text, "the log was opened by release %s", event->u.log_opened.release);
        break;
    case COORD_EVENT_EPOCH_STARTED:
        tell_epoch(event, out);
        break;
    case COORD_EVENT_FEATURES_ENABLED:
        zdm_buffer_printf(&out->text, "features of level %" PRIu32 " enabled", event->u.features_enabled.level);
        break;
    case COORD_EVENT_TRUST_ADOPTED:
        zdm_buffer_printf(&out->text, "trust file version %" PRIu32 " adopted", event->u.trust_adopted.version);
        break;
    case COORD_EVENT_AGENT_ENROLLED:
        tell_enrolled(event, out);
        break;
    case COORD_EVENT_AGENT_REVOKED:
        tell_revoked(event, out);
        break;
    case COORD_EVENT_OPERATOR_ACTED:
        tell_acted(event, out);
        break;
    case COORD_EVENT_ENROLMENT_ISSUED:
        add_shard(out, event->u.enrolment_issued.enrolment.shard);
        zdm_buffer_printf(&out->text, "%s may be joined once with that token",
                          event->u.enrolment_issued.enrolment.shard);
        break;
    case COORD_EVENT_MIGRATION_SUBMITTED:
    case COORD_EVENT_PLAN_AMENDED:
        tell_submitted(event, out);
        break;
    case COORD_EVENT_APPROVAL_ADDED:
        tell_approval(event, out);
        break;
    case COORD_EVENT_APPROVAL_REVOKED:
        set_by(out, event->u.approval_revoked.by);
        zdm_buffer_printf(&out->text, "%s withdrew an approval", out->by);
        break;
    case COORD_EVENT_PHASE_OPENED:
        tell_opened(d, event, m, out);
        break;
    case COORD_EVENT_BARRIER_OPENED:
        zdm_buffer_puts(&out->text, "every shard has come to the barrier before ");
        put_phase(out, d, m, event->u.barrier_opened.phase);
        break;
    case COORD_EVENT_WAVE_OPENED:
        zdm_buffer_printf(&out->text, "wave %" PRIu32 " may enter ", event->u.wave_opened.wave + 1);
        put_phase(out, d, m, event->u.wave_opened.phase);
        break;
    case COORD_EVENT_GATE_STARTED:
    case COORD_EVENT_GATE_PASSED:
    case COORD_EVENT_GATE_VETOED:
        tell_gate(d, event, m, out);
        break;
    case COORD_EVENT_SHARDS_DIRECTED:
        tell_directed(d, event, m, out);
        break;
    case COORD_EVENT_SHARD_REACHED:
    case COORD_EVENT_SHARD_UNDONE:
    case COORD_EVENT_SHARD_PURGED:
        tell_reached(d, event, m, out);
        break;
    case COORD_EVENT_SHARD_FAILED:
        tell_failed(event, m, out);
        break;
    case COORD_EVENT_SHARD_REGRESSED:
        tell_regressed(event, m, out);
        break;
    case COORD_EVENT_SHARD_UNSURE:
    case COORD_EVENT_SHARD_RESOLVED:
        tell_unsure(event, m, out);
        break;
    case COORD_EVENT_SHARD_EXCLUDED:
    case COORD_EVENT_SHARD_INCLUDED:
        tell_excluded(event, m, out);
        break;
    case COORD_EVENT_MIGRATION_HALTED:
    case COORD_EVENT_MIGRATION_RESUMED:
        tell_halted(event, out);
        break;
    case COORD_EVENT_THROTTLE_SET:
        tell_throttle(event, out);
        break;
    case COORD_EVENT_FLEET_FROZEN:
    case COORD_EVENT_FLEET_THAWED:
        tell_fleet(event, out);
        break;
    case COORD_EVENT_MIGRATION_ENDED:
        tell_ended(event, out);
        break;
    case COORD_EVENT_FENCED:
    case COORD_EVENT_RECOVERED:
        tell_fenced(event, out);
        break;
    }
}

void story_tell(struct coord_driver *d, const struct coord_event *event, struct story *out)
{
    *out = (struct story){.n_shards = 0};
    zdm_buffer_init(&out->text, 4096);
    tell(d, event, migration_at(d->state, event), out);
}

void story_fini(struct story *story)
{
    zdm_buffer_fini(&story->text);
}
