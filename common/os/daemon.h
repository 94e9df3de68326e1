/*
 * daemon.h - what a daemon does at start and end: signals as a flag and a wake-up, no core dumps with keys in them,
 * and telling systemd.
 */
#ifndef ZDM_OS_DAEMON_H
#define ZDM_OS_DAEMON_H

#include <stdbool.h>

#include "common/base/error.h"

/* Turns off core dumps and ptrace by others, ignores SIGPIPE, blocks SIGINT, SIGTERM, SIGHUP in all threads and starts
 * a thread that waits for them; on SIGINT or SIGTERM it sets the stop flag and calls wake(ctx) from that thread; SIGHUP
 * does nothing. Call once, before other threads start; ctx must live until the process ends. A child process inherits
 * the blocked signals: whoever forks gives it an empty mask before exec. */
enum zdm_code zdm_daemon_start(void (*wake)(void *ctx), void *ctx, struct zdm_error *err) ZDM_CHECKED;
bool zdm_daemon_should_stop(void);
/* sd_notify("READY=1") and the like over NOTIFY_SOCKET; nothing without it. */
void zdm_daemon_notify(const char *state);

#endif
