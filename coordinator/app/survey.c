/*
 * survey.c - what a plan would meet on every shard: a person asks, one agent of each shard looks, answers are relayed.
 *
 * Nothing of it is in the state or the log. A survey lives as long as its asker's session. Its plan was uploaded in
 * that session and is served to the agents that were asked, and to nobody else. Shards are asked a few at a time, and
 * no further while the asker reads slowly, so that what waits here stays small however large the fleet is. Time is the
 * driver's.
 *
 * What an agent answers is passed on as it comes; only its outer form is looked at: asked for, from who was asked, in
 * order. What breaks that form closes the agent's session. An answer to a survey that has ended is late, no more.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/app/private.h"

enum {
    ASKED_AT_ONCE = 16,                 /* shards of one survey that are being waited for */
    WAITING_BYTES_MAX = 4 * 1024 * 1024 /* nobody else is asked while so much waits for the asker */
};

enum ask_state { ASK_NOT_YET, ASK_OPEN, ASK_OVER };

struct survey_shard {
    char name[ZDM_NAME_MAX + 1];
    enum ask_state state;
    zdm_conn conn; /* of the agent that was asked */
    int64_t until_ms;
    uint32_t total, received;
};

/* One row on its way to the asker. */
struct survey_row {
    STAILQ_ENTRY(survey_row) link;
    enum zdm_code code;
    bool last;
    char name[ZDM_NAME_MAX + 1];
    size_t n;
    uint8_t bytes[];
};

struct survey {
    uint64_t id;
    zdm_conn asker;
    uint32_t query;
    struct zdm_hash plan_hash;
    struct zdm_envelope plan;
    struct survey_shard *shards;
    size_t n_shards, next, n_open; /* next: the first that was not asked yet */
    bool told_last;
    STAILQ_HEAD(, survey_row) rows;
    size_t waiting_bytes;
};

/* ---- Life ---- */

static void survey_free(struct survey *survey)
{
    while (!STAILQ_EMPTY(&survey->rows)) {
        struct survey_row *row = STAILQ_FIRST(&survey->rows);
        STAILQ_REMOVE_HEAD(&survey->rows, link);
        free(row);
    }
    zdm_envelope_fini(&survey->plan);
    free(survey->shards);
    free(survey);
}

static void send_order(struct coord_driver *d, zdm_conn conn, uint64_t id, const struct zdm_hash *plan_hash)
{
    struct coord_peer *peer = coord_hub_find(d->hub, conn);
    struct zdm_frame frame = {.type = ZDM_FRAME_SURVEY_ORDER};
    frame.u.survey_order.id = id;
    if (plan_hash != NULL)
        frame.u.survey_order.plan_hash = *plan_hash;
    if (peer != NULL && coord_hub_send(d->hub, peer, &frame) == ZDM_SEND_FULL)
        coord_hub_close(d->hub, peer, "");
}

/* Ends it; agents that are still at work are told. */
static void end_survey(struct coord_driver *d, size_t slot)
{
    struct survey *survey = d->surveys[slot];
    d->surveys[slot] = NULL;
    for (size_t i = 0; i < survey->n_shards; i++)
        if (survey->shards[i].state == ASK_OPEN)
            send_order(d, survey->shards[i].conn, survey->id, NULL);
    survey_free(survey);
}

void surveys_free(struct coord_driver *d)
{
    for (size_t i = 0; i < SURVEYS_MAX; i++)
        if (d->surveys[i] != NULL) {
            survey_free(d->surveys[i]);
            d->surveys[i] = NULL;
        }
}

/* ---- Rows for the asker ---- */

/* Without memory the asker misses something and must not take the rest for all: the survey ends with its session. */
static bool add_row(struct coord_driver *d, struct survey *survey, const struct survey_row *head, const void *bytes,
                    size_t n)
{
    struct survey_row *row = malloc(sizeof *row + n);
    struct coord_peer *asker = coord_hub_find(d->hub, survey->asker);
    if (row == NULL) {
        if (asker != NULL)
            coord_hub_close(d->hub, asker, "out of memory");
        return false;
    }
    *row = *head;
    row->n = n;
    if (n > 0)
        memcpy(row->bytes, bytes, n);
    STAILQ_INSERT_TAIL(&survey->rows, row, link);
    survey->waiting_bytes += n;
    return true;
}

static void tell(struct coord_driver *d, struct survey *survey, const char *shard, enum zdm_code code,
                 const void *bytes, size_t n)
{
    struct survey_row head = {.code = code};
    (void)zdm_copy_text(head.name, sizeof head.name, shard);
    (void)add_row(d, survey, &head, bytes, n);
}

static void shard_over(struct survey *survey, struct survey_shard *shard)
{
    if (shard->state == ASK_OPEN)
        survey->n_open--;
    shard->state = ASK_OVER;
}

static void shard_failed(struct coord_driver *d, struct survey *survey, struct survey_shard *shard, enum zdm_code code,
                         const char *why)
{
    shard_over(survey, shard);
    tell(d, survey, shard->name, code, why, strlen(why));
}

/* ---- Whom to ask ---- */

/* Why that agent cannot be asked; NULL: it can. */
static const char *unfit(const struct coord_heard *heard, const struct coord_peer *peer, char *out, size_t size)
{
    if (peer == NULL || peer->closing || heard == NULL || !heard->connected)
        return "its agent is not connected";
    if (!heard->report.connected) {
        (void)snprintf(out, size, "its agent reaches no database%s%s", heard->report.db_error[0] != '\0' ? ": " : "",
                       heard->report.db_error);
        return out;
    }
    return heard->report.writable ? NULL : "its database takes no writes";
}

/* The session of an agent of the shard that is on a writable node; NULL with the words why there is none. */
static struct coord_peer *find_agent(const struct coord_driver *d, const char *shard, char *out, size_t size)
{
    const struct coord_fleet_shard *place = coord_find_fleet_shard(d->state, shard);
    (void)zdm_copy_text(out, size, "no agent is enrolled for it");
    for (uint32_t next = place != NULL ? place->first_agent : 0; next != 0;) {
        const struct coord_agent *agent = &d->state->agents[next - 1];
        next = agent->next_of_shard;
        if (agent->revoked)
            continue;
        char text[2 * ZDM_TEXT_MAX];
        struct coord_peer *peer = coord_hub_agent(d->hub, &agent->id);
        const char *why = unfit(coord_view_find(&d->view, &agent->id), peer, text, sizeof text);
        if (why == NULL)
            return peer;
        (void)zdm_copy_text(out, size, why);
    }
    return NULL;
}

static void ask_shard(struct coord_driver *d, struct survey *survey, struct survey_shard *shard)
{
    char why[2 * ZDM_TEXT_MAX];
    struct coord_peer *peer = find_agent(d, shard->name, why, sizeof why);
    if (peer == NULL) {
        shard_failed(d, survey, shard, ZDM_CLOSED, why);
        return;
    }
    shard->state = ASK_OPEN;
    shard->conn = peer->conn;
    shard->until_ms = d->now_ms + SURVEY_PATIENCE_MS;
    survey->n_open++;
    send_order(d, peer->conn, survey->id, &survey->plan_hash);
}

/* ---- The asker ---- */

/* The plan out of the session's uploads. */
static enum zdm_code find_plan(struct coord_driver *d, const struct person *person, const struct zdm_hash *hash,
                               struct zdm_plan **out_plan, struct zdm_envelope *out_envelope, struct zdm_error *err)
{
    for (size_t i = 0; i < UPLOADS_PER_PERSON; i++) {
        const struct upload *upload = &person->uploads[i];
        if (upload->total == 0 || upload->received != upload->total)
            continue;
        enum zdm_code code = request_try_plan(d, upload, hash, out_plan, out_envelope, err);
        if (code != ZDM_OK || *out_plan != NULL)
            return code;
    }
    return zdm_error_set(err, ZDM_INVALID, "the plan was not uploaded");
}

static enum zdm_code check_asker(struct coord_driver *d, const struct coord_peer *peer, struct zdm_error *err)
{
    const struct zdm_person *person = zdm_trust_person(d->config.crypto, &trust_in_force(d)->trust, &peer->key_id);
    if (person == NULL || (person->roles & (uint32_t)ZDM_ROLE_OPERATOR) == 0)
        return zdm_error_set(err, ZDM_REFUSED, "%s may not check: it takes the role operator", peer->name);
    if (d->config.only_hears)
        return zdm_error_set(err, ZDM_REFUSED, "this coordinator is being recovered and asks nobody");
    for (size_t i = 0; i < SURVEYS_MAX; i++)
        if (d->surveys[i] != NULL && d->surveys[i]->asker == peer->conn)
            return zdm_error_set(err, ZDM_LIMIT, "a check is under way in this session already");
    return ZDM_OK;
}

/* A shard whose agents were all revoked is no part of the fleet any more; a submit leaves it out, too. */
static bool is_served(const struct coord_state *state, const struct coord_fleet_shard *shard)
{
    for (uint32_t next = shard->first_agent; next != 0; next = state->agents[next - 1].next_of_shard)
        if (!state->agents[next - 1].revoked)
            return true;
    return false;
}

static enum zdm_code choose_shards(const struct coord_driver *d, const struct zdm_plan *plan, struct survey *survey,
                                   struct zdm_error *err)
{
    survey->shards = calloc(d->state->n_shards > 0 ? d->state->n_shards : 1, sizeof *survey->shards);
    if (survey->shards == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    for (size_t i = 0; i < d->state->n_shards; i++) {
        const struct coord_fleet_shard *shard = &d->state->shards[i];
        if (is_served(d->state, shard) &&
            zdm_selector_matches(plan->selector != NULL ? plan->selector : "", shard->name, shard->labels))
            (void)zdm_copy_text(survey->shards[survey->n_shards++].name, ZDM_NAME_MAX + 1, shard->name);
    }
    if (survey->n_shards > 0)
        return ZDM_OK;
    return zdm_error_set(err, ZDM_NOT_FOUND, "no shard of this fleet matches the plan's selector \"%s\"",
                         plan->selector);
}

static enum zdm_code fill_survey(struct coord_driver *d, const struct coord_peer *peer, const struct zdm_frame *query,
                                 struct survey *survey, struct zdm_error *err)
{
    struct zdm_plan *plan = NULL;
    enum zdm_code code = find_plan(d, peer->user, &query->u.query.plan_hash, &plan, &survey->plan, err);
    if (code != ZDM_OK)
        return code;
    survey->asker = peer->conn;
    survey->query = query->u.query.id;
    survey->plan_hash = plan->hash;
    code = choose_shards(d, plan, survey, err);
    zdm_plan_unref(plan);
    return code;
}

enum zdm_code survey_begin(struct coord_driver *d, struct coord_peer *peer, const struct zdm_frame *query,
                           struct zdm_error *err)
{
    size_t slot = 0;
    enum zdm_code code = check_asker(d, peer, err);
    if (code != ZDM_OK)
        return code;
    while (slot < SURVEYS_MAX && d->surveys[slot] != NULL)
        slot++;
    if (slot == SURVEYS_MAX)
        return zdm_error_set(err, ZDM_LIMIT, "%d checks are under way already: try again in a minute", SURVEYS_MAX);
    struct survey *survey = calloc(1, sizeof *survey);
    if (survey == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    STAILQ_INIT(&survey->rows);
    code = fill_survey(d, peer, query, survey, err);
    if (code != ZDM_OK) {
        survey_free(survey);
        return code;
    }
    survey->id = ++d->last_survey;
    d->surveys[slot] = survey;
    peer->may_be_silent = true; /* it only waits now */
    return ZDM_OK;
}

void survey_asker_gone(struct coord_driver *d, zdm_conn conn)
{
    for (size_t i = 0; i < SURVEYS_MAX; i++)
        if (d->surveys[i] != NULL && d->surveys[i]->asker == conn)
            end_survey(d, i);
}

/* ---- Agents ---- */

static struct survey_shard *find_shard(struct survey *survey, zdm_conn conn)
{
    for (size_t i = 0; i < survey->next; i++)
        if (survey->shards[i].state == ASK_OPEN && survey->shards[i].conn == conn)
            return &survey->shards[i];
    return NULL;
}

void survey_agent_gone(struct coord_driver *d, zdm_conn conn)
{
    for (size_t i = 0; i < SURVEYS_MAX; i++) {
        struct survey_shard *shard = d->surveys[i] != NULL ? find_shard(d->surveys[i], conn) : NULL;
        if (shard != NULL)
            shard_failed(d, d->surveys[i], shard, ZDM_CLOSED, "its agent lost the connection while it looked");
    }
}

const struct zdm_envelope *survey_plan(const struct coord_driver *d, zdm_conn conn, const struct zdm_hash *hash)
{
    for (size_t i = 0; i < SURVEYS_MAX; i++)
        if (d->surveys[i] != NULL && zdm_hash_equal(&d->surveys[i]->plan_hash, hash) &&
            find_shard(d->surveys[i], conn) != NULL)
            return &d->surveys[i]->plan;
    return NULL;
}

static void take_words(struct coord_driver *d, struct survey *survey, struct survey_shard *shard,
                       const struct zdm_frame *frame)
{
    shard_failed(d, survey, shard, frame->u.survey.code, frame->u.survey.message);
}

/* False: the pieces do not follow each other. */
static bool take_piece(struct coord_driver *d, struct survey *survey, struct survey_shard *shard,
                       const struct zdm_frame *frame)
{
    uint32_t total = frame->u.survey.total;
    if (frame->u.survey.offset != shard->received || (shard->received > 0 && total != shard->total))
        return false;
    shard->total = total;
    shard->received += (uint32_t)frame->u.survey.n;
    tell(d, survey, shard->name, ZDM_OK, frame->u.survey.bytes, frame->u.survey.n);
    if (shard->received < total)
        return true;
    tell(d, survey, shard->name, ZDM_OK, NULL, 0);
    shard_over(survey, shard);
    return true;
}

static struct survey *find_survey(const struct coord_driver *d, uint64_t id)
{
    for (size_t i = 0; i < SURVEYS_MAX; i++)
        if (d->surveys[i] != NULL && d->surveys[i]->id == id)
            return d->surveys[i];
    return NULL;
}

/* Has the shard of this session been asked and is done with? Then what comes is late. */
static bool was_asked(const struct survey *survey, const struct coord_peer *peer)
{
    for (size_t i = 0; i < survey->next; i++)
        if (survey->shards[i].state == ASK_OVER && survey->shards[i].conn == peer->conn)
            return true;
    return false;
}

void survey_take(struct coord_driver *d, struct coord_peer *peer, const struct zdm_frame *frame)
{
    struct survey *survey = find_survey(d, frame->u.survey.id);
    struct survey_shard *shard = survey != NULL ? find_shard(survey, peer->conn) : NULL;
    bool late = survey == NULL ? frame->u.survey.id <= d->last_survey : was_asked(survey, peer);
    if (shard == NULL) {
        if (!late)
            coord_hub_close(d->hub, peer, "nobody asked for that survey");
        return;
    }
    if (frame->u.survey.code != ZDM_OK) {
        take_words(d, survey, shard, frame);
        return;
    }
    if (take_piece(d, survey, shard, frame))
        return;
    shard_failed(d, survey, shard, ZDM_PROTOCOL, "its agent's answer was out of order");
    coord_hub_close(d->hub, peer, "the survey is out of order");
}

/* ---- The turn ---- */

static void give_up_late(struct coord_driver *d, struct survey *survey)
{
    char why[64];
    for (size_t i = 0; i < survey->next; i++) {
        struct survey_shard *shard = &survey->shards[i];
        if (shard->state != ASK_OPEN || d->now_ms < shard->until_ms)
            continue;
        send_order(d, shard->conn, survey->id, NULL);
        (void)snprintf(why, sizeof why, "no answer within %d s", SURVEY_PATIENCE_MS / 1000);
        shard_failed(d, survey, shard, ZDM_TIMEOUT, why);
    }
}

static void ask_more(struct coord_driver *d, struct survey *survey)
{
    while (survey->next < survey->n_shards && survey->n_open < ASKED_AT_ONCE &&
           survey->waiting_bytes < WAITING_BYTES_MAX)
        ask_shard(d, survey, &survey->shards[survey->next++]);
    if (survey->next < survey->n_shards || survey->n_open > 0 || survey->told_last)
        return;
    survey->told_last = true;
    (void)add_row(d, survey, &(struct survey_row){.last = true}, NULL, 0);
}

/* Sends what waits; false: the net has no room now. *out_gone: nobody is there to read. */
static bool send_rows(struct coord_driver *d, struct survey *survey, bool *out_gone)
{
    struct coord_peer *asker = coord_hub_find(d->hub, survey->asker);
    while (!STAILQ_EMPTY(&survey->rows)) {
        struct survey_row *row = STAILQ_FIRST(&survey->rows);
        struct zdm_frame frame = {.type = ZDM_FRAME_ROWS};
        frame.u.rows.id = survey->query;
        frame.u.rows.last = row->last;
        frame.u.rows.code = row->code;
        (void)zdm_copy_text(frame.u.rows.message, sizeof frame.u.rows.message, row->name);
        frame.u.rows.bytes = row->bytes;
        frame.u.rows.n = row->n;
        enum zdm_send sent = asker != NULL ? coord_hub_send(d->hub, asker, &frame) : ZDM_SEND_CLOSED;
        *out_gone = sent == ZDM_SEND_CLOSED;
        if (sent != ZDM_SEND_OK)
            return false;
        survey->waiting_bytes -= row->n;
        STAILQ_REMOVE_HEAD(&survey->rows, link);
        free(row);
    }
    return true;
}

static int64_t next_wake(const struct survey *survey)
{
    int64_t wake_ms = INT64_MAX;
    for (size_t i = 0; i < survey->next; i++)
        if (survey->shards[i].state == ASK_OPEN && survey->shards[i].until_ms < wake_ms)
            wake_ms = survey->shards[i].until_ms;
    return wake_ms;
}

static int64_t pump(struct coord_driver *d, size_t slot)
{
    struct survey *survey = d->surveys[slot];
    bool gone = false;
    give_up_late(d, survey);
    for (;;) {
        size_t asked = survey->next;
        ask_more(d, survey);
        if (!send_rows(d, survey, &gone)) {
            int64_t wake_ms = next_wake(survey);
            if (gone)
                end_survey(d, slot);
            return gone ? INT64_MAX : wake_ms < d->now_ms + RETRY_SEND_MS ? wake_ms : d->now_ms + RETRY_SEND_MS;
        }
        if (survey->told_last) {
            end_survey(d, slot);
            return INT64_MAX;
        }
        if (survey->next == asked)
            return next_wake(survey);
    }
}

int64_t surveys_pump(struct coord_driver *d)
{
    int64_t wake_ms = INT64_MAX;
    for (size_t i = 0; i < SURVEYS_MAX; i++) {
        int64_t next_ms = d->surveys[i] != NULL ? pump(d, i) : INT64_MAX;
        if (next_ms < wake_ms)
            wake_ms = next_ms;
    }
    return wake_ms;
}
