/*
 * watch.c - following a migration's status. See watch.h.
 */
#include "coordinator/ctl/cmd/watch.h"

#include "common/os/daemon.h"
#include "coordinator/ctl/text/json.h"

struct run {
    struct ctl_client *client;
    const struct ctl_watch *watch;
    bool began; /* a status came */
    bool lost;  /* and then the connection went */
    bool end;
};

static void nothing(void *ctx)
{
    (void)ctx; /* every wait looks at the stop flag often enough */
}

enum zdm_code ctl_watch_catch_signals(struct zdm_error *err)
{
    return zdm_daemon_start(nothing, NULL, err);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static enum zdm_code give(struct run *r, json_t *status, struct zdm_error *err)
{
    enum zdm_code code = r->watch->status(r->watch->ctx, status, &r->end, err);
    r->began = true;
    r->lost = false;
    json_decref(status);
    return code;
}

static enum zdm_code ask(struct run *r, struct zdm_error *err)
{
    const struct ctl_query query = {.kind = ZDM_QUERY_STATUS, .migration = r->watch->migration};
    json_t *status = NULL;
    int64_t limit = earlier(r->watch->deadline_ms, ctl_now() + CTL_PATIENCE_MS);
    enum zdm_code code = ctl_client_query(r->client, &query, limit, &status, err);
    return code == ZDM_OK ? give(r, status, err) : code;
}

/* One session, from its first question to its end. ZDM_OK: enough. */
static enum zdm_code follow(struct run *r, struct zdm_error *err)
{
    enum zdm_code code = ctl_client_watch(r->client, r->watch->migration, err);
    int64_t ask_at = ctl_now();
    while (code == ZDM_OK && !r->end) {
        json_t *status = NULL;
        if (ctl_now() >= ask_at) {
            code = ask(r, err);
            ask_at = ctl_now() + CTL_WATCH_ASK_MS;
            continue;
        }
        if (ctl_now() >= r->watch->deadline_ms)
            return zdm_error_set(err, ZDM_TIMEOUT, "timed out");
        code = ctl_client_push(r->client, earlier(ask_at, r->watch->deadline_ms), &status, err);
        if (code == ZDM_OK)
            code = give(r, status, err);
        else if (code == ZDM_TIMEOUT)
            code = ZDM_OK;
    }
    return code;
}

enum zdm_code ctl_watch_run(struct ctl_client *client, const struct ctl_watch *watch, struct zdm_error *err)
{
    struct run r = {.client = client, .watch = watch};
    int64_t patience = ctl_now() + CTL_PATIENCE_MS;
    for (;;) {
        int64_t limit = earlier(watch->deadline_ms, r.began ? ctl_now() + CTL_PATIENCE_MS : patience);
        enum zdm_code code = ctl_client_connect(client, limit, err);
        if (code == ZDM_OK)
            code = follow(&r, err);
        if (ctl_now() >= watch->deadline_ms && (code == ZDM_UNAVAILABLE || code == ZDM_CLOSED))
            return zdm_error_set(err, ZDM_TIMEOUT, "timed out; the coordinator could not be reached");
        if (code != ZDM_CLOSED && !(code == ZDM_UNAVAILABLE && r.began))
            return code;
        if (!r.began && ctl_now() >= patience)
            return code;
        if (r.began && !r.lost) {
            r.lost = true;
            ctl_client_quiet(client);
            watch->lost(watch->ctx, err);
        }
    }
}
