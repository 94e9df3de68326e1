/*
 * group.c - deciding a group of inputs, committing their events, and what follows when that fails. See driver.h.
 *
 * After a failed append the state in memory holds events that the log does not (or may not) have. It is dropped and the
 * log read again; then the group is taken once more:
 *   outcome unknown   as before: a request that did get into the log is recognised by its id
 *   no room           degraded: what would change something is refused, reports are heard and leases granted
 * Any other failure ends the driver: a new process reads the log.
 */
#include <string.h>

#include "coordinator/app/private.h"

struct pending *group_add(struct coord_driver *d, zdm_conn conn)
{
    /* One pending an inbox item at most, and the turn takes COORD_GROUP_MAX of these. */
    struct pending *pending = &d->pendings[d->n_pendings++];
    memset(pending, 0, sizeof *pending);
    pending->conn = conn;
    return pending;
}

/* Forgets what was decided, keeps the inputs. */
static void forget_decisions(struct coord_driver *d)
{
    coord_output_fini(&d->output);
    coord_output_init(&d->output);
    d->n_applied = 0;
    d->n_records = 0;
    zdm_buffer_reset(&d->bytes);
}

void group_clear(struct coord_driver *d)
{
    forget_decisions(d);
    for (size_t i = 0; i < d->n_pendings; i++) {
        struct zdm_frame *frame = &d->pendings[i].frame;
        if (d->pendings[i].gone)
            continue;
        if (frame->type == ZDM_FRAME_JOIN)
            d->config.crypto->wipe(d->config.crypto->self, frame->u.join.secret, sizeof frame->u.join.secret);
        zdm_frame_fini(frame);
    }
    d->n_pendings = 0;
}

/* ---- Events into the chain ---- */

static enum zdm_code absorb_one(struct coord_driver *d, struct coord_event *event, struct zdm_error *err)
{
    event->seq = d->state->head_seq + 1;
    event->epoch = d->epoch;
    event->at_ms = d->now_ms;
    event->prev_hash = d->state->head_hash;
    size_t before = d->bytes.len;
    coord_event_encode(d->config.crypto, event, &d->bytes);
    if (d->bytes.failed || !ZDM_RESERVE(d->records, d->cap_records, d->n_records + 1))
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    d->records[d->n_records++] = (struct store_record){
        .seq = event->seq, .prev_hash = event->prev_hash, .hash = event->hash, .n = d->bytes.len - before};
    return coord_apply(d->state, event, err);
}

enum zdm_code group_absorb(struct coord_driver *d, struct zdm_error *err)
{
    if (d->output.failed)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    for (; d->n_applied < d->output.n_events; d->n_applied++) {
        enum zdm_code code = absorb_one(d, &d->output.events[d->n_applied], err);
        if (code != ZDM_OK)
            return zdm_error_wrap(err, "while applying %s", coord_event_type_name(d->output.events[d->n_applied].type));
    }
    return trust_follow(d, err);
}

enum store_result group_append(struct coord_driver *d, struct zdm_error *err)
{
    const struct store *store = &d->config.store;
    size_t offset = 0;
    if (d->n_records == 0)
        return STORE_OK;
    for (size_t i = 0; i < d->n_records; i++) {
        d->records[i].bytes = d->bytes.data + offset;
        offset += d->records[i].n;
    }
    return store->ops->append(store->self, d->epoch, d->records, d->n_records, err);
}

/* ---- Deciding ---- */

static bool is_input(const struct pending *pending)
{
    return pending->gone || pending->frame.type == ZDM_FRAME_REPORT || pending->frame.type == ZDM_FRAME_REQUEST ||
           pending->frame.type == ZDM_FRAME_JOIN;
}

static void refuse_for_room(struct coord_driver *d, struct pending *pending)
{
    struct zdm_error err;
    zdm_error_set(&err, ZDM_FULL, "the coordinator has no room on its disk: nothing can be changed");
    zdm_error_hint(&err, "Free space for the coordinator's data folder. Reports and status go on meanwhile.");
    send_answer(d, pending, &err);
    pending->answered = true;
}

/* No room: what would become an event is not decided; leases go on. What needs none is answered as ever: a refusal, and
 * a request that was acted upon before, whose answer stays what it was. */
static void decide_degraded(struct coord_driver *d, struct pending *pending, const struct coord_input *input)
{
    struct coord_output scratch;
    bool asked = input->kind == COORD_IN_REQUEST || input->kind == COORD_IN_JOIN;
    coord_output_init(&scratch);
    coord_decide(d->state, &d->view, input, &scratch);
    for (size_t i = 0; i < scratch.n_effects && !scratch.failed; i++)
        if (scratch.n_events == 0 || (!asked && scratch.effects[i].kind == COORD_DO_SEND_ACK))
            effect_release(d, &scratch.effects[i]);
    if (asked && !pending->answered)
        refuse_for_room(d, pending);
    coord_output_fini(&scratch);
}

/* The chain goes with the decision to adopt it. */
static void take_trust(struct coord_driver *d, struct pending *pending, struct request_scratch *scratch, size_t before)
{
    for (size_t i = before; scratch->have_chain && !d->output.failed && i < d->output.n_events; i++)
        if (d->output.events[i].type == COORD_EVENT_TRUST_ADOPTED) {
            trust_decided(d, &scratch->chain);
            scratch->have_chain = false;
            pending->publishes = true;
        }
}

/* What only hears decides nothing, and says so to whoever asks for something. */
static void refuse_while_hearing(struct coord_driver *d, struct pending *pending)
{
    struct zdm_error err;
    zdm_error_set(&err, ZDM_UNAVAILABLE, "this coordinator is being recovered: it only listens to its agents");
    zdm_error_hint(&err, "Wait until whoever recovers it has started it again.");
    send_answer(d, pending, &err);
    pending->answered = true;
}

static enum zdm_code hear_one(struct coord_driver *d, struct pending *pending, struct zdm_error *err)
{
    struct coord_input input = {.kind = COORD_IN_AGENT_GONE, .now_ms = d->now_ms};
    if (pending->answered || !is_input(pending))
        return ZDM_OK;
    if (pending->gone) {
        input.u.agent_gone.agent = pending->agent;
    } else if (pending->frame.type == ZDM_FRAME_REPORT) {
        input.kind = COORD_IN_REPORT;
        input.u.report.agent = pending->agent;
        input.u.report.report = &pending->frame.u.report;
    } else {
        refuse_while_hearing(d, pending);
        return ZDM_OK;
    }
    return coord_hear(d->state, &d->view, &input) ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static enum zdm_code decide_one(struct coord_driver *d, struct pending *pending, bool degraded, struct zdm_error *err)
{
    struct request_scratch scratch = {.have_request = false};
    struct coord_input input = {.now_ms = d->now_ms};
    enum zdm_code code = ZDM_OK;
    if (pending->answered || !is_input(pending))
        return ZDM_OK;
    if (input_fill(d, pending, &scratch, &input)) {
        d->change++;
        if (!coord_hear(d->state, &d->view, &input))
            code = zdm_error_set(err, ZDM_NOMEM, "out of memory");
        else if (degraded)
            decide_degraded(d, pending, &input);
        else {
            size_t before = d->output.n_events;
            coord_decide(d->state, &d->view, &input, &d->output);
            take_trust(d, pending, &scratch, before);
            code = group_absorb(d, err);
        }
    }
    request_scratch_fini(&scratch);
    return code;
}

static enum zdm_code decide_tick(struct coord_driver *d, struct zdm_error *err)
{
    const struct coord_input tick = {.kind = COORD_IN_TICK, .now_ms = d->now_ms};
    if (!coord_hear(d->state, &d->view, &tick))
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    coord_decide(d->state, &d->view, &tick, &d->output);
    return group_absorb(d, err);
}

static enum zdm_code decide_all(struct coord_driver *d, bool degraded, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; i < d->n_pendings && code == ZDM_OK; i++)
        code = d->config.only_hears ? hear_one(d, &d->pendings[i], err) : decide_one(d, &d->pendings[i], degraded, err);
    return code == ZDM_OK && !degraded && !d->config.only_hears ? decide_tick(d, err) : code;
}

/* ---- Releasing ---- */

static enum zdm_log_level level_of(enum coord_event_type type)
{
    if (type == COORD_EVENT_FENCED)
        return ZDM_LOG_ERROR;
    return type == COORD_EVENT_SHARD_FAILED || type == COORD_EVENT_SHARD_UNSURE ||
                   type == COORD_EVENT_SHARD_REGRESSED || type == COORD_EVENT_MIGRATION_HALTED
               ? ZDM_LOG_WARN
               : ZDM_LOG_INFO;
}

/* The log holds what was asked and what came of it. Where one sentence says both, the operator's log needs one. */
static bool is_told_by_another(const struct coord_event *event)
{
    if (event->type != COORD_EVENT_OPERATOR_ACTED)
        return event->type == COORD_EVENT_ENROLMENT_ISSUED;
    enum zdm_verb verb = event->u.operator_acted.verb; /* of other verbs the consequences do not name the person */
    if (verb == ZDM_VERB_SUBMIT || verb == ZDM_VERB_ADVANCE || verb == ZDM_VERB_APPROVE ||
        verb == ZDM_VERB_REVOKE_APPROVAL)
        return event->u.operator_acted.reason[0] == '\0'; /* which theirs do not repeat */
    return verb == ZDM_VERB_FREEZE || verb == ZDM_VERB_THAW;
}

static void tell_events(struct coord_driver *d)
{
    for (size_t i = 0; i < d->output.n_events && d->config.notice != NULL; i++) {
        const struct coord_event *event = &d->output.events[i];
        struct story story;
        if (is_told_by_another(event))
            continue;
        story_tell(d, event, &story);
        driver_notice(d, &(struct coord_notice){.level = level_of(event->type),
                                                .message = zdm_buffer_text(&story.text),
                                                .migration = event->migration});
        story_fini(&story);
    }
}

static void answer_readers(struct coord_driver *d)
{
    for (size_t i = 0; i < d->n_pendings; i++) {
        const struct pending *pending = &d->pendings[i];
        if (pending->gone)
            continue;
        if (pending->frame.type == ZDM_FRAME_QUERY)
            query_answer(d, pending);
        else if (pending->frame.type == ZDM_FRAME_WATCH)
            watch_begin(d, pending);
        else if (pending->frame.type == ZDM_FRAME_PLAN_REQUEST)
            answer_plan_request(d, pending);
        else if (pending->frame.type == ZDM_FRAME_TRUST_REQUEST)
            answer_trust_request(d, pending);
    }
}

static void release(struct coord_driver *d)
{
    if (d->output.n_events != 0)
        d->change++;
    tell_events(d);
    trust_settle(d);
    effects_release(d);
    trust_recheck(d);
    if (!d->ended)
        answer_readers(d);
}

/* ---- Failing ---- */

static void note_room(struct coord_driver *d, bool full, const struct zdm_error *err)
{
    if (full != d->full)
        driver_notice(d, &(struct coord_notice){.level = full ? ZDM_LOG_ERROR : ZDM_LOG_INFO,
                                                .message = full ? "no room for the log: requests are refused"
                                                                : "there is room for the log again",
                                                .reason = full ? err->message : ""});
    d->full = full;
    d->probe_at_ms = d->now_ms + PROBE_MS;
}

static enum zdm_code load_again(struct coord_driver *d, struct zdm_error *err)
{
    enum zdm_code code = log_load(d, err);
    return code == ZDM_OK ? trust_follow(d, err) : code;
}

/* Who published a trust file that could not be written is told so; the others are decided anew, without it. */
static enum zdm_code refuse_publishers(struct coord_driver *d, const struct zdm_error *why, struct zdm_error *err)
{
    forget_decisions(d);
    for (size_t i = 0; i < d->n_pendings; i++) {
        struct pending *pending = &d->pendings[i];
        if (!pending->publishes || pending->answered)
            continue;
        send_refusal(d, pending, why);
        pending->answered = true;
    }
    trust_give_up(d);
    return load_again(d, err);
}

/* Drops what the failed append had decided. False: the driver has ended. */
static bool fall_back(struct coord_driver *d, enum store_result result, int attempt, struct zdm_error *err)
{
    forget_decisions(d);
    bool again = result == STORE_FULL || (result == STORE_UNKNOWN && attempt < COMMIT_ATTEMPTS);
    if (result == STORE_FULL)
        trust_give_up(d);
    if (!again || load_again(d, err) != ZDM_OK) {
        driver_end(d, err);
        return false;
    }
    if (result == STORE_FULL)
        note_room(d, true, err);
    else
        driver_notice(d,
                      &(struct coord_notice){.level = ZDM_LOG_WARN,
                                             .message = "the outcome of a commit is not known: the log was read again",
                                             .reason = err->message});
    return true;
}

/* Decides all inputs, and has what must be on disk before the commit there. */
static enum zdm_code prepare(struct coord_driver *d, struct zdm_error *err)
{
    struct zdm_error why;
    bool degraded = d->full && d->now_ms < d->probe_at_ms;
    enum zdm_code code = decide_all(d, degraded, err);
    if (code != ZDM_OK || trust_keep(d, &why) == ZDM_OK)
        return code;
    code = refuse_publishers(d, &why, err);
    return code == ZDM_OK ? decide_all(d, degraded, err) : code;
}

static void run_tries(struct coord_driver *d)
{
    struct zdm_error err;
    for (int attempt = 1;; attempt++) {
        if (prepare(d, &err) != ZDM_OK) {
            driver_end(d, &err);
            return;
        }
        bool wrote = d->n_records != 0;
        enum store_result result = group_append(d, &err);
        if (result == STORE_OK) {
            if (d->full && wrote)
                note_room(d, false, &err);
            release(d);
            return;
        }
        if (!fall_back(d, result, attempt, &err))
            return;
    }
}

void group_run(struct coord_driver *d)
{
    run_tries(d);
    group_clear(d);
    d->next_tick_ms = coord_next_tick(d->state, &d->view, d->now_ms);
    if (d->next_tick_ms < d->now_ms + TICK_PAUSE_MS)
        d->next_tick_ms = d->now_ms + TICK_PAUSE_MS;
    if (d->full && d->next_tick_ms < d->probe_at_ms)
        d->next_tick_ms = d->probe_at_ms;
}
