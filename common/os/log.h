/*
 * log.h - one line per thing that happened, to stderr: time, level, message, key=value pairs.
 *
 * Only programs log (coordinator/app, agent/app, ctl); libraries return errors. Values are quoted when they need it and
 * control characters are escaped, so that one event is always one line. Secrets are never passed to it: keys and
 * tokens have no text form but their ids.
 */
#ifndef ZDM_OS_LOG_H
#define ZDM_OS_LOG_H

#include "common/base/error.h"

enum zdm_log_level { ZDM_LOG_DEBUG, ZDM_LOG_INFO, ZDM_LOG_WARN, ZDM_LOG_ERROR };

/* program: put in front of each line. Under systemd (JOURNAL_STREAM) times are left out and levels written as <N>. */
void zdm_log_start(const char *program, enum zdm_log_level least);
/* "debug", "info", "warn", "error"; false for anything else. */
bool zdm_log_level_parse(const char *text, enum zdm_log_level *out_level);

/* zdm_log(ZDM_LOG_INFO, "agent connected", "agent", id_text, "shard", name, NULL): pairs of strings, ended by NULL.
 * Thread-safe. */
void zdm_log(enum zdm_log_level level, const char *message, ...) __attribute__((sentinel));
/* Logs an error with its detail and hint; message says what was being done. */
void zdm_log_error(enum zdm_log_level level, const char *message, const struct zdm_error *err);

#endif
