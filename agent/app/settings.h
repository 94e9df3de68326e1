/*
 * settings.h - the agent's settings: file, environment, command line; later ones win.
 */
#ifndef AGENT_APP_SETTINGS_H
#define AGENT_APP_SETTINGS_H

#include <stdint.h>

#include "agent/core/core.h"
#include "common/base/error.h"

struct agent_settings {
    char *config, *data, *dsn, *log_level;
    char *replicas; /* connection strings joined by commas; NULL: none */
    char *owner;    /* the role that owns the application's tables; NULL: whoever owns all of a schema's */
    int64_t batch_target_ms, duty, batch_rows_max, lock_wait_ms, max_replica_lag_ms, max_slot_wal_mb, max_stall_ms;
};

/* The defaults. */
void agent_settings_init(struct agent_settings *settings);
void agent_settings_fini(struct agent_settings *settings);
/* Reads the file given by --config, then the environment, then the options in argv. What is no option goes to
 * *out_argument, of which one at most is taken. ZDM_INVALID says what is wrong, never repeating a DSN. */
enum zdm_code agent_settings_read(struct agent_settings *settings, int argc, char **argv, const char **out_argument,
                                  struct zdm_error *err) ZDM_CHECKED;
/* Prints the options for --help. */
void agent_settings_help(void);
/* The core's limits. */
void agent_settings_core(const struct agent_settings *settings, struct agent_core_config *out);
/* The connection strings of the node's replicas. They point into *out_text, which the caller frees, also after a
 * failure. ZDM_LIMIT when there are more than AGENT_REPLICAS_MAX. */
enum zdm_code agent_settings_replicas(const struct agent_settings *settings, char **out_text,
                                      const char *out[AGENT_REPLICAS_MAX], size_t *out_n,
                                      struct zdm_error *err) ZDM_CHECKED;
/* Does a connection string carry a password? */
bool agent_dsn_has_password(const char *dsn);

#endif
