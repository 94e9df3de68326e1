/*
 * watch.h - following a migration's status: pushes, a question every now and then, and reconnecting in between.
 *
 * The question is the fallback for a push that never came, brings the times of what was heard up to date, and keeps the
 * session from being closed as silent.
 */
#ifndef COORDINATOR_CTL_CMD_WATCH_H
#define COORDINATOR_CTL_CMD_WATCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "coordinator/ctl/client/client.h"

enum { CTL_WATCH_ASK_MS = 2000 };

struct ctl_watch {
    const char *migration; /* NULL: the active one */
    int64_t deadline_ms;   /* on the boot clock; INT64_MAX: none */
    /* A status came; borrowed. *out_end: enough. A code other than ZDM_OK ends it too. */
    enum zdm_code (*status)(void *ctx, const json_t *status, bool *out_end, struct zdm_error *err);
    /* The coordinator cannot be reached; called once for each loss, after which status() says that it is back. */
    void (*lost)(void *ctx, const struct zdm_error *why);
    void *ctx;
};

/* Runs until status() has enough. The first status must come within CTL_PATIENCE_MS; after that it reconnects until the
 * deadline. ZDM_TIMEOUT at the deadline; ZDM_CANCELLED on Ctrl-C; what status() said. */
enum zdm_code ctl_watch_run(struct ctl_client *client, const struct ctl_watch *watch,
                            struct zdm_error *err) ZDM_CHECKED;

/* Ctrl-C becomes ZDM_CANCELLED instead of the end of the process. Call before the client is made. */
enum zdm_code ctl_watch_catch_signals(struct zdm_error *err) ZDM_CHECKED;

#endif
