/*
 * client_survey.c - the question of `check`: the signed plan goes up, and what each shard would meet comes back, in
 * pieces of many shards. See client.h.
 */
#include "coordinator/ctl/client/client_internal.h"

#include <string.h>

#include "coordinator/ctl/client/fleet_survey.h"

enum { SILENCE_MS = 90000 /* longer than a coordinator waits for a shard */ };

static bool has_news(const struct ctl_client *client)
{
    return client->survey_news;
}

void ctl_client_take_survey(struct ctl_client *client, const struct zdm_frame *frame)
{
    struct ctl_inbox *box = &client->rows;
    const char *shard = frame->u.rows.message;
    if (box->id == 0 || frame->u.rows.id != box->id || box->complete)
        return;
    client->survey_news = true;
    if (frame->u.rows.last) {
        box->code = frame->u.rows.code;
        if (box->code != ZDM_OK)
            zdm_copy_text(box->message, sizeof box->message, shard);
        box->complete = true;
    } else if (frame->u.rows.code != ZDM_OK) {
        ctl_fleet_survey_silent(client->survey, shard, frame->u.rows.bytes, frame->u.rows.n);
    } else {
        ctl_fleet_survey_piece(client->survey, shard, frame->u.rows.bytes, frame->u.rows.n);
    }
}

static enum zdm_code collect(struct ctl_client *client, ctl_progress *progress, void *ctx, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    while (code == ZDM_OK && !client->rows.complete) {
        client->survey_news = false;
        code = ctl_client_pump(client, has_news, false, ctl_now() + SILENCE_MS, err);
        if (progress != NULL)
            progress(ctx, client->survey);
    }
    if (code == ZDM_TIMEOUT)
        return zdm_error_set(err, ZDM_TIMEOUT, "the coordinator did not answer within %d s", SILENCE_MS / 1000);
    if (code == ZDM_OK && client->rows.code != ZDM_OK)
        return zdm_error_set(err, client->rows.code, "%s",
                             client->rows.message[0] != '\0' ? client->rows.message : zdm_code_text(client->rows.code));
    if (code == ZDM_OK && client->survey->failed)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    return code;
}

enum zdm_code ctl_survey(struct ctl_client *client, const struct zdm_buffer *plan, const struct zdm_hash *plan_hash,
                         ctl_progress *progress, void *ctx, struct ctl_fleet_survey *out, struct zdm_error *err)
{
    int64_t deadline = ctl_now() + CTL_PATIENCE_MS;
    const struct ctl_query query = {.kind = ZDM_QUERY_CHECK, .plan_hash = plan_hash};
    *out = (struct ctl_fleet_survey){.n = 0};
    enum zdm_code code = ctl_client_connect(client, deadline, err);
    if (code == ZDM_OK)
        code = ctl_client_upload(client, plan, deadline, err);
    client->survey = out;
    if (code == ZDM_OK)
        code = ctl_client_send_query(client, &query, deadline, err);
    if (code == ZDM_OK)
        code = collect(client, progress, ctx, err);
    client->survey = NULL;
    client->rows.id = 0;
    if (code != ZDM_OK)
        ctl_client_drop(client);
    ctl_fleet_survey_whole(out);
    return code;
}
