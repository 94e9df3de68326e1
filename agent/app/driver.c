/*
 * driver.c - see driver.h.
 */
#include "agent/app/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/app/people.h"
#include "agent/app/private.h"
#include "agent/app/verify.h"
#include "proto/codec.h"
#include "proto/signed.h"

void agent_driver_notice(const struct agent_driver *d, enum zdm_log_level level, const char *message, const char *key,
                         const char *value)
{
    struct agent_note note = {.level = level, .message = message};
    agent_note_add(&note, key, value);
    if (d->config.notice != NULL)
        d->config.notice(d->config.ctx, &note);
}

/* ---- What the core decides ---- */

static void refuse_op(struct agent_driver *d, const struct agent_op *op, const struct zdm_error *err)
{
    if (d->n_refused == REFUSED_MAX)
        return; /* cannot be: the core has at most one operation per lane */
    d->refused[d->n_refused].op = *op;
    d->refused[d->n_refused].error = *err;
    d->n_refused++;
}

static void start_op(struct agent_driver *d, const struct agent_op *op)
{
    struct zdm_error err;
    struct agent_op own = *op;
    own.trust_version = d->identity.chain.trust.version;
    if (trust_allows(d, &own, &err) != ZDM_OK ||
        d->config.engine.ops->start(d->config.engine.self, &own, &err) != ZDM_OK)
        refuse_op(d, &own, &err);
}

static void send_report(struct agent_driver *d)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_REPORT};
    struct zdm_report *report = &frame.u.report;
    if (!agent_link_is_open(d->link) || !agent_core_report(d->core, zdm_boot_ms(d->config.clock), report))
        return;
    report->trust_version = d->identity.chain.trust.version;
    zdm_copy_text(report->release, sizeof report->release, d->config.release);
    if (report->connected && d->journal_error[0] != '\0')
        zdm_copy_text(report->db_error, sizeof report->db_error, d->journal_error);
    (void)agent_link_send(d->link, &frame);
    zdm_report_fini(report);
}

static void carry_out(struct agent_driver *d, const struct agent_effects *effects)
{
    for (size_t i = 0; i < effects->n; i++) {
        const struct agent_effect *effect = &effects->items[i];
        switch (effect->kind) {
        case AGENT_DO_START_OP:
            start_op(d, &effect->op);
            break;
        case AGENT_DO_CANCEL_OP:
            d->config.engine.ops->cancel(d->config.engine.self, effect->cancel);
            break;
        case AGENT_DO_FETCH_PLAN:
            agent_plan_fetch_want(&d->fetch, &effect->plan_hash);
            break;
        case AGENT_DO_REPORT:
            break;
        }
    }
    /* Last: sending may end the session, which is an input of its own. */
    for (size_t i = 0; i < effects->n; i++)
        if (effects->items[i].kind == AGENT_DO_REPORT)
            send_report(d);
}

void driver_step(struct agent_driver *d, struct agent_input *input)
{
    input->now_ms = zdm_boot_ms(d->config.clock);
    input->wall_ms = zdm_wall_ms(d->config.clock);
    input->random = zdm_random_u64(d->config.random);
    agent_core_step(d->core, input, &d->effects);
    d->core_wake_ms = d->effects.wake_at_ms;
    /* A copy of the array would be large; what is carried out does not step the core, but for a session that ends. */
    carry_out(d, &d->effects);
}

static void step_simple(struct agent_driver *d, enum agent_input_kind kind)
{
    struct agent_input input = {.kind = kind};
    driver_step(d, &input);
}

/* ---- What the engine says ---- */

/* For whoever looks closely (log level debug): what did not just work. */
static void note_outcome(struct agent_driver *d, const struct agent_result *result)
{
    bool blocked = result->outcome == AGENT_LOCK;
    struct agent_note note = {.level = ZDM_LOG_DEBUG, .message = "operation did not succeed"};
    if (result->outcome == AGENT_OK || result->outcome == AGENT_ALREADY || d->config.notice == NULL)
        return;
    agent_note_add(&note, "operation", result->kind == AGENT_OP_RUN ? agent_run_name(result->run) : "control or look");
    agent_note_add(&note, "outcome", agent_outcome_name(result->outcome));
    agent_note_add(&note, blocked ? "held_by" : "reason", blocked ? result->blocker : result->error.message);
    d->config.notice(d->config.ctx, &note);
}

static void tell_story(struct agent_driver *d)
{
    struct zdm_report now;
    uint64_t view = agent_core_view(d->core);
    if (view == d->told_view || d->config.notice == NULL || !agent_core_describe(d->core, &now))
        return;
    agent_story_tell(&d->told, &now, d->core, d->config.notice, d->config.ctx);
    zdm_report_fini(&d->told);
    d->told = now;
    d->told_view = view;
}

/* An operator lost the role: as if the answer had been lost, after which the core reads the journal anew, and with it
 * each row is verified again. */
static void reread(struct agent_driver *d, struct agent_result *result)
{
    if (result->kind == AGENT_OP_CONNECT && result->outcome == AGENT_OK)
        d->rereads = false;
    if (d->rereads && result->kind == AGENT_OP_SIGNALS && result->outcome == AGENT_OK) {
        result->outcome = AGENT_UNKNOWN;
        zdm_error_set(&result->error, ZDM_REFUSED, "the journal is read anew under a newer trust file");
    }
}

static void take_result(struct agent_driver *d, struct agent_result *result)
{
    if (survey_take_result(d, result))
        return;
    reread(d, result);
    note_outcome(d, result);
    struct agent_input input = {.kind = AGENT_IN_OP_DONE, .u.op_done = result};
    struct claims claims = {.directives = NULL};
    if (result->kind == AGENT_OP_CONNECT && result->n_journals > 0) {
        if (!claims_make(&claims, result->n_journals)) {
            /* Without memory the journal cannot be read: as if the connection had failed. */
            claims_free(&claims, 0);
            claims = (struct claims){.directives = NULL};
            result->outcome = AGENT_RETRY;
            zdm_error_set(&result->error, ZDM_NOMEM, "out of memory");
        } else {
            claims_read(d, result, &claims);
            input.journal_directives = claims.directive_at;
            input.journal_plans = claims.plan_at;
            input.journal_signers = claims.signers;
            input.journal_whys = claims.why_at;
        }
    }
    size_t n = claims.directives != NULL ? result->n_journals : 0;
    driver_step(d, &input);
    claims_free(&claims, n);
    agent_result_free(result);
    tell_story(d); /* a quick step is told too */
}

static void answer_refused(struct agent_driver *d)
{
    size_t n = d->n_refused;
    for (size_t i = 0; i < n; i++) {
        struct agent_result result = {.op = d->refused[i].op.id,
                                      .lane = d->refused[i].op.lane,
                                      .kind = d->refused[i].op.kind,
                                      .run = d->refused[i].op.run,
                                      .outcome = AGENT_RETRY,
                                      .error = d->refused[i].error};
        struct agent_input input = {.kind = AGENT_IN_OP_DONE, .u.op_done = &result};
        driver_step(d, &input);
    }
    memmove(d->refused, d->refused + n, (d->n_refused - n) * sizeof d->refused[0]);
    d->n_refused -= n;
}

/* ---- What the coordinator says ---- */

static void note_left_out(const struct agent_driver *d, const struct agent_signatures *signatures)
{
    if (signatures->left_out > 0)
        agent_driver_notice(d, ZDM_LOG_WARN, "approval does not verify and is left out", "reason",
                            signatures->left_out_why);
    if (signatures->parts.undo_refusal != NULL)
        agent_driver_notice(d, ZDM_LOG_WARN, "undo order refused", "reason", signatures->parts.undo_refusal);
}

void driver_take_order(struct agent_driver *d, const struct zdm_envelope *envelope)
{
    struct zdm_directive directive;
    struct agent_signatures signatures;
    struct zdm_error err;
    if (agent_verify_order(d->config.crypto, &d->identity, envelope, &directive, &err) != ZDM_OK) {
        agent_driver_notice(d, ZDM_LOG_ERROR, "directive refused", "reason", err.message);
        return;
    }
    struct agent_input input = {.kind = AGENT_IN_ORDER};
    input.u.order.directive = &directive;
    input.u.order.envelope = envelope;
    input.u.order.digest = zdm_signed_digest(d->config.crypto, envelope);
    agent_signatures_take(d->config.crypto, &d->identity, &directive, &signatures);
    note_left_out(d, &signatures);
    input.u.order.authority = signatures.parts;
    driver_step(d, &input);
    refused_fetch(d, &directive.plan_hash);
    agent_signatures_fini(&signatures);
    zdm_directive_fini(&directive);
}

static void take_orders(struct agent_driver *d, const struct zdm_envelope *envelopes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!trust_delays(d, &envelopes[i]))
            driver_take_order(d, &envelopes[i]);
}

static void take_plan(struct agent_driver *d, const struct zdm_hash *hash)
{
    struct zdm_envelope envelope = {.bytes = NULL};
    struct zdm_plan *plan = NULL;
    struct zdm_id signer;
    struct zdm_error err;
    enum zdm_code code = zdm_envelope_unflatten(d->fetch.bytes.data, d->fetch.bytes.len, &envelope, &err);
    if (code == ZDM_OK)
        code = agent_verify_plan(d->config.crypto, &d->identity, &envelope, hash, &plan, &signer, &err);
    struct agent_input input = {.kind = AGENT_IN_PLAN_READY};
    if (code == ZDM_OK) {
        input.u.plan_ready.plan = plan;
        input.u.plan_ready.envelope = &envelope;
        input.u.plan_ready.signer = signer;
        refused_forget(d, hash);
        if (zdm_hash_equal(&d->journal_bad, hash)) /* somebody signed it anew */
            d->journal_error[0] = '\0';
    } else {
        agent_driver_notice(d, ZDM_LOG_ERROR, "plan refused", "reason", err.message);
        refused_note(d, hash);
        input.kind = AGENT_IN_PLAN_REFUSED;
        input.u.plan_refused.hash = *hash;
        input.u.plan_refused.why = err.message;
    }
    /* Other bytes than were asked for say nothing about the plan: it is asked for again. A plan that the core does not
     * wait for means nothing to it. */
    if (code != ZDM_CORRUPT && code != ZDM_PROTOCOL)
        driver_step(d, &input);
    if (survey_wants(d, hash) && envelope.bytes != NULL)
        survey_take_plan(d, &envelope);
    zdm_plan_unref(plan);
    zdm_envelope_fini(&envelope);
}

static void ask_plan(struct agent_driver *d)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_PLAN_REQUEST};
    if (agent_link_is_open(d->link) && agent_plan_fetch_next(&d->fetch, zdm_boot_ms(d->config.clock), &frame.u.piece))
        (void)agent_link_send(d->link, &frame);
}

static void take_piece(struct agent_driver *d, const struct zdm_piece *piece)
{
    struct zdm_hash hash = piece->hash;
    switch (agent_plan_fetch_take(&d->fetch, piece)) {
    case AGENT_PIECE_IGNORED:
        return;
    case AGENT_PIECE_WRONG:
        agent_link_restart(d->link, "coordinator sent a plan out of order", NULL);
        return;
    case AGENT_PIECE_WHOLE:
        take_plan(d, &hash);
        agent_plan_fetch_done(&d->fetch);
        break;
    case AGENT_PIECE_MORE:
        break;
    }
    ask_plan(d);
}

static void take_ack(struct agent_driver *d, const struct zdm_frame *frame)
{
    struct agent_input input = {.kind = AGENT_IN_ACKED};
    input.u.acked.number = frame->u.ack.number;
    input.u.acked.lease_ms = frame->u.ack.lease_ms;
    driver_step(d, &input);
}

static void on_frame(void *ctx, struct zdm_frame *frame)
{
    struct agent_driver *d = ctx;
    if (frame->type == ZDM_FRAME_ORDERS)
        take_orders(d, frame->u.envelopes.items, frame->u.envelopes.n);
    else if (frame->type == ZDM_FRAME_ACK)
        take_ack(d, frame);
    else if (frame->type == ZDM_FRAME_PLAN_PIECE)
        take_piece(d, &frame->u.piece);
    else if (frame->type == ZDM_FRAME_SURVEY_ORDER)
        survey_take_order(d, frame->u.survey_order.id, &frame->u.survey_order.plan_hash);
    else if (frame->type == ZDM_FRAME_TRUST)
        trust_take(d, frame->u.envelopes.items, frame->u.envelopes.n);
    else if (frame->type == ZDM_FRAME_WELCOME)
        trust_heard_of(d, frame->u.welcome.trust_version);
    else if (frame->type == ZDM_FRAME_BYE)
        agent_link_restart(d->link, frame->u.bye.why, frame->u.bye.leader_url);
    ask_plan(d);
}

static void on_opened(void *ctx, const char *url)
{
    struct agent_driver *d = ctx;
    agent_driver_notice(d, ZDM_LOG_INFO, "connected to the coordinator", "url", url);
    d->told_unreachable[0] = '\0';
    agent_plan_fetch_reset(&d->fetch);
    step_simple(d, AGENT_IN_LINK_UP);
}

/* A dial that failed is told once for each reason, and once a minute while that lasts. */
static void tell_unreachable(struct agent_driver *d, const char *why)
{
    int64_t now = zdm_boot_ms(d->config.clock);
    bool known = d->told_unreachable[0] != '\0' && strncmp(d->told_unreachable, why, ZDM_TEXT_MAX) == 0;
    if (known && now - d->told_unreachable_ms < UNREACHABLE_AGAIN_MS)
        return;
    zdm_copy_text(d->told_unreachable, sizeof d->told_unreachable, why);
    d->told_unreachable_ms = now;
    agent_driver_notice(d, ZDM_LOG_WARN, "could not reach the coordinator, trying on", "reason", why);
}

static void on_closed(void *ctx, bool was_open, const char *why)
{
    struct agent_driver *d = ctx;
    if (was_open)
        agent_driver_notice(d, ZDM_LOG_WARN, "connection to the coordinator lost", "reason", why);
    else
        tell_unreachable(d, why);
    trust_session_ended(d);
    survey_session_ended(d);
    agent_plan_fetch_reset(&d->fetch);
    if (was_open)
        step_simple(d, AGENT_IN_LINK_DOWN);
}

/* ---- The object ---- */

static enum zdm_code make_link(struct agent_driver *d, struct zdm_error *err)
{
    if (d->config.n_urls == 0 || d->config.n_urls > AGENT_URLS_MAX)
        return zdm_error_set(err, ZDM_INVALID, "no coordinator's URL, or too many");
    for (size_t i = 0; i < d->config.n_urls; i++)
        if ((d->urls[i] = zdm_strdup(d->config.urls[i])) == NULL)
            return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    const struct agent_link_config link = {
        .clock = d->config.clock,
        .random = d->config.random,
        .crypto = d->config.crypto,
        .key = d->config.key,
        .chain = &d->identity.chain,
        .urls = (const char *const *)d->urls,
        .n_urls = d->config.n_urls,
        .upcalls = {.opened = on_opened, .frame = on_frame, .closed = on_closed, .ctx = d}};
    d->link = agent_link_new(&link);
    return d->link != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static enum zdm_code make_parts(struct agent_driver *d, struct zdm_error *err)
{
    const struct agent_driver_config *config = &d->config;
    enum zdm_code code = agent_identity_read(config->crypto, config->trust, config->trust_n, config->enrolment,
                                             config->enrolment_n, &d->identity, err);
    if (code != ZDM_OK)
        return code;
    struct agent_core_config core = config->core;
    zdm_copy_text(core.shard, sizeof core.shard, d->identity.enrolment.shard);
    core.key_id = config->key->id;
    d->core = agent_core_new(&core);
    if (d->core == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    return make_link(d, err);
}

enum zdm_code agent_driver_new(const struct agent_driver_config *config, struct agent_driver **out_driver,
                               struct zdm_error *err)
{
    struct agent_driver *d = calloc(1, sizeof *d);
    if (d == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    d->config = *config;
    d->core_wake_ms = INT64_MAX;
    agent_plan_fetch_init(&d->fetch);
    enum zdm_code code = make_parts(d, err);
    d->config.trust = d->config.enrolment = NULL; /* borrowed for this call only */
    if (code != ZDM_OK)
        agent_driver_free(d);
    else
        *out_driver = d;
    return code;
}

void agent_driver_free(struct agent_driver *driver)
{
    if (driver == NULL)
        return;
    trust_session_ended(driver);
    zdm_buffer_fini(&driver->survey.answer);
    agent_link_free(driver->link);
    agent_core_free(driver->core);
    agent_plan_fetch_fini(&driver->fetch);
    agent_identity_fini(&driver->identity);
    zdm_authority_fini(&driver->people);
    zdm_report_fini(&driver->told);
    for (size_t i = 0; i < AGENT_URLS_MAX; i++)
        free(driver->urls[i]);
    free(driver);
}

struct zdm_net_upcalls agent_driver_upcalls(struct agent_driver *driver)
{
    return agent_link_net_upcalls(driver->link);
}

void agent_driver_start(struct agent_driver *driver, struct zdm_net net)
{
    agent_link_attach(driver->link, net);
    trust_tell(driver);
    step_simple(driver, AGENT_IN_STARTED);
}

int64_t agent_driver_turn(struct agent_driver *driver)
{
    struct agent_result *result;
    size_t taken = 0;
    while (taken++ < RESULTS_PER_TURN && (result = driver->config.next_result(driver->config.results)) != NULL)
        take_result(driver, result);
    answer_refused(driver);
    if (zdm_boot_ms(driver->config.clock) >= driver->core_wake_ms)
        step_simple(driver, AGENT_IN_TICK);
    int64_t survey_wake = survey_turn(driver);
    ask_plan(driver);
    int64_t wake = agent_link_turn(driver->link), trust_wake = trust_turn(driver);
    tell_story(driver);
    if (trust_wake < wake)
        wake = trust_wake;
    if (survey_wake < wake)
        wake = survey_wake;
    if (driver->core_wake_ms < wake)
        wake = driver->core_wake_ms;
    bool more = taken > RESULTS_PER_TURN || driver->n_refused > 0;
    return more ? zdm_boot_ms(driver->config.clock) : wake;
}

const struct agent_core *agent_driver_core(const struct agent_driver *driver)
{
    return driver->core;
}

const char *agent_driver_shard(const struct agent_driver *driver)
{
    return driver->identity.enrolment.shard;
}

uint32_t agent_driver_trust_version(const struct agent_driver *driver)
{
    return driver->identity.chain.trust.version;
}
