/*
 * survey.c - what a plan would meet on this shard, for people who have not submitted it yet (protocol: surveys).
 *
 * An order says only which plan. It is fetched and verified like one that is to be run: an operator of the trust file
 * in force signed it, it is whole and honest, it is for this shard. Then the engine looks, in a lane of its own, and
 * what it found leaves in pieces. One survey at a time; a few wait. The core knows nothing of it, and its work goes on
 * beside it.
 *
 * Everything is forgotten when the session ends: who asked is gone then, or asks again.
 */
#include <string.h>

#include "agent/app/private.h"
#include "agent/app/verify.h"
#include "proto/signed.h"

enum {
    PATIENCE_MS = 50000, /* with one survey: the coordinator waits for 60 s */
    PIECES_AT_ONCE = 4,  /* of 48 KiB; then a pause, so that reports find room beside them */
    PIECES_PAUSE_MS = 50,
    ENGINE_MARGIN_MS = 5000 /* before the patience ends */
};

/* Numbers of the core's own operations count up from 1. */
static const uint64_t first_op = UINT64_C(1) << 63;

/* ---- The queue ---- */

static void next_survey(struct agent_driver *d)
{
    struct driver_survey *s = &d->survey;
    zdm_buffer_fini(&s->answer);
    s->state = SURVEY_IDLE;
    s->op = 0;
    s->sent = 0;
    if (s->n > 0)
        memmove(s->orders, s->orders + 1, --s->n * sizeof s->orders[0]);
}

static void say_no(struct agent_driver *d, uint64_t id, enum zdm_code code, const char *why)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_SURVEY};
    frame.u.survey.id = id;
    frame.u.survey.code = code == ZDM_OK ? ZDM_BUG : code;
    zdm_copy_text(frame.u.survey.message, sizeof frame.u.survey.message, why);
    (void)agent_link_send(d->link, &frame);
}

static void refuse(struct agent_driver *d, enum zdm_code code, const char *why)
{
    uint64_t id = d->survey.orders[0].id;
    agent_driver_notice(d, ZDM_LOG_INFO, "survey not made", "reason", why);
    next_survey(d);
    say_no(d, id, code, why); /* last: the session may end with it */
}

/* ---- Orders ---- */

static void forget_order(struct agent_driver *d, uint64_t id)
{
    struct driver_survey *s = &d->survey;
    for (size_t i = 0; i < s->n; i++) {
        if (s->orders[i].id != id)
            continue;
        if (i == 0) {
            if (s->state == SURVEY_LOOKING)
                d->config.engine.ops->cancel(d->config.engine.self, s->op);
            next_survey(d);
        } else {
            memmove(s->orders + i, s->orders + i + 1, (--s->n - i) * sizeof s->orders[0]);
        }
        return;
    }
}

void survey_take_order(struct agent_driver *d, uint64_t id, const struct zdm_hash *plan_hash)
{
    struct driver_survey *s = &d->survey;
    if (zdm_hash_is_zero(plan_hash)) {
        forget_order(d, id);
        return;
    }
    if (s->n == DRIVER_SURVEYS_MAX) {
        say_no(d, id, ZDM_LIMIT, "too many surveys wait on this agent");
        return;
    }
    s->orders[s->n].id = id;
    s->orders[s->n].plan_hash = *plan_hash;
    s->n++;
}

/* ---- The plan ---- */

static void begin(struct agent_driver *d)
{
    struct driver_survey *s = &d->survey;
    s->state = SURVEY_FETCHING;
    s->until_ms = zdm_boot_ms(d->config.clock) + PATIENCE_MS;
    agent_plan_fetch_want(&d->fetch, &s->orders[0].plan_hash);
}

static void look(struct agent_driver *d, struct zdm_plan *plan)
{
    struct driver_survey *s = &d->survey;
    struct zdm_error err = ZDM_ERROR_INIT;
    s->op = first_op + ++s->ops;
    int64_t left_ms = s->until_ms - zdm_boot_ms(d->config.clock) - ENGINE_MARGIN_MS;
    struct agent_op op = {.id = s->op,
                          .lane = AGENT_LANE_SURVEY,
                          .kind = AGENT_OP_SURVEY,
                          .plan = plan,
                          .time_limit_ms = left_ms > 1 ? (uint32_t)left_ms : 1};
    zdm_copy_text(op.migration, sizeof op.migration, plan->id);
    agent_driver_notice(d, ZDM_LOG_INFO, "looking at what a plan would meet here", "migration", plan->id);
    s->state = SURVEY_LOOKING;
    enum zdm_code code = d->config.engine.ops->start(d->config.engine.self, &op, &err);
    if (code != ZDM_OK)
        refuse(d, code, err.message);
}

bool survey_wants(const struct agent_driver *d, const struct zdm_hash *hash)
{
    return d->survey.state == SURVEY_FETCHING && zdm_hash_equal(&d->survey.orders[0].plan_hash, hash);
}

void survey_take_plan(struct agent_driver *d, const struct zdm_envelope *envelope)
{
    struct driver_survey *s = &d->survey;
    struct zdm_plan *plan = NULL;
    struct zdm_error err = ZDM_ERROR_INIT;
    enum zdm_code code =
        agent_verify_plan(d->config.crypto, &d->identity, envelope, &s->orders[0].plan_hash, &plan, NULL, &err);
    if (code != ZDM_OK) {
        refuse(d, code, err.message);
        return;
    }
    look(d, plan);
    zdm_plan_unref(plan);
}

/* ---- The answer ---- */

bool survey_take_result(struct agent_driver *d, struct agent_result *result)
{
    struct driver_survey *s = &d->survey;
    if (result->kind != AGENT_OP_SURVEY)
        return false;
    if (s->state != SURVEY_LOOKING || result->op != s->op) {
        agent_result_free(result); /* of one that nobody waits for any more */
        return true;
    }
    if (result->survey == NULL) {
        refuse(d, result->error.code,
               result->error.message[0] != '\0' ? result->error.message : agent_outcome_name(result->outcome));
    } else {
        zdm_buffer_init(&s->answer, ZDM_SURVEY_MAX);
        zdm_survey_encode(result->survey, &s->answer);
        s->state = SURVEY_SENDING;
        s->pause_until_ms = 0;
        if (s->answer.failed || s->answer.len == 0)
            refuse(d, ZDM_LIMIT, "what was found does not fit into one answer");
    }
    agent_result_free(result);
    return true;
}

/* False: the session ended with it. */
static bool send_piece(struct agent_driver *d)
{
    struct driver_survey *s = &d->survey;
    static const size_t most = ZDM_PIECE_MAX;
    struct zdm_frame frame = {.type = ZDM_FRAME_SURVEY};
    size_t n = s->answer.len - s->sent < most ? s->answer.len - s->sent : most;
    frame.u.survey.id = s->orders[0].id;
    frame.u.survey.total = (uint32_t)s->answer.len;
    frame.u.survey.offset = (uint32_t)s->sent;
    frame.u.survey.bytes = (const uint8_t *)s->answer.data + s->sent;
    frame.u.survey.n = n;
    s->sent += n;
    return agent_link_send(d->link, &frame);
}

static void send_pieces(struct agent_driver *d, int64_t now_ms)
{
    struct driver_survey *s = &d->survey;
    for (int i = 0; i < PIECES_AT_ONCE && s->sent < s->answer.len; i++)
        if (!send_piece(d))
            return; /* survey_session_ended has forgotten all */
    if (s->sent < s->answer.len)
        s->pause_until_ms = now_ms + PIECES_PAUSE_MS;
    else
        next_survey(d);
}

/* ---- Time ---- */

static void turn(struct agent_driver *d, int64_t now_ms)
{
    struct driver_survey *s = &d->survey;
    if (s->state == SURVEY_IDLE && s->n > 0)
        begin(d);
    if (s->state == SURVEY_FETCHING) {
        if (now_ms >= s->until_ms)
            refuse(d, ZDM_TIMEOUT, "the plan did not come");
        else
            agent_plan_fetch_want(&d->fetch, &s->orders[0].plan_hash); /* given up meanwhile: once more */
    } else if (s->state == SURVEY_LOOKING && now_ms >= s->until_ms) {
        d->config.engine.ops->cancel(d->config.engine.self, s->op);
        refuse(d, ZDM_TIMEOUT, "the database did not answer in time");
    } else if (s->state == SURVEY_SENDING && now_ms >= s->pause_until_ms) {
        send_pieces(d, now_ms);
    }
}

int64_t survey_turn(struct agent_driver *d)
{
    const struct driver_survey *s = &d->survey;
    int64_t now_ms = zdm_boot_ms(d->config.clock);
    turn(d, now_ms);
    if (s->state == SURVEY_IDLE)
        return s->n > 0 ? now_ms : INT64_MAX;
    if (s->state == SURVEY_SENDING)
        return s->pause_until_ms;
    int64_t again_ms = now_ms + AGENT_FETCH_PATIENCE_MS;
    return s->state == SURVEY_FETCHING && again_ms < s->until_ms ? again_ms : s->until_ms;
}

void survey_session_ended(struct agent_driver *d)
{
    struct driver_survey *s = &d->survey;
    if (s->state == SURVEY_LOOKING)
        d->config.engine.ops->cancel(d->config.engine.self, s->op);
    s->n = 0;
    next_survey(d);
}
