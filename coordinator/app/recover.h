/*
 * recover.h - `zdm-coordinator recover`: an operator declares that this log is the one that goes on.
 *
 * In the place of the coordinator, which must be stopped, it listens until every enrolled agent has spoken of its
 * journal or the wait is over, shows what they know that this log does not, asks, and writes one signed decision.
 * Before that nothing is written, and nobody is sent an order or a lease. It never starts migrations again: every shard
 * comes out of it paused, for somebody to look at.
 */
#ifndef COORDINATOR_APP_RECOVER_H
#define COORDINATOR_APP_RECOVER_H

#include "coordinator/app/driver.h"

struct recover_options {
    const char *key; /* path of the operator's secret key */
    int64_t wait_ms;
    bool yes;
};

/* Takes --key, --wait and --yes out of argv; the rest is for settings_read. ZDM_INVALID. */
enum zdm_code recover_options_take(struct recover_options *out, int *argc, char **argv,
                                   struct zdm_error *err) ZDM_CHECKED;
/* Hears, shows, asks, writes. poll(ctx, ms) lets the network work for so long at most. restored: the log is a backup
 * that nobody has opened since. */
enum zdm_code recover_log(struct coord_driver *driver, const struct recover_options *options, bool restored,
                          void (*poll)(void *ctx, int64_t wait_ms), void *ctx, struct zdm_error *err) ZDM_CHECKED;

#endif
