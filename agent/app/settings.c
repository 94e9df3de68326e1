/*
 * settings.c - see settings.h.
 */
#include "agent/app/settings.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/os/arguments.h"

enum { ROWS = 14 };

/* config, which stands in no file, is the last one. */
static void fill_rows(struct agent_settings *s, struct zdm_setting rows[ROWS])
{
    const struct zdm_setting table[ROWS] = {
        {"data", "ZDM_DATA", ZDM_SETTING_TEXT, &s->data, 0, 0, "the agent's folder: key, trust, enrolment; required"},
        {"home", NULL, ZDM_SETTING_TEXT, &s->data, 0, 0, "another word for --data"},
        {"dsn", "ZDM_DSN", ZDM_SETTING_TEXT, &s->dsn, 0, 0,
         "the database of this node: a libpq connection string, or mysql:host=… for MySQL and MariaDB"},
        {"replicas", "ZDM_REPLICAS", ZDM_SETTING_TEXT, &s->replicas, 0, 0,
         "the replicas of this node: connection strings, joined by commas or as a list in the file"},
        {"owner", "ZDM_OWNER", ZDM_SETTING_TEXT, &s->owner, 0, 0,
         "PostgreSQL: the role that owns the application's tables and will own what migrations make; default: the one "
         "that owns all tables of a schema"},
        {"batch_target", NULL, ZDM_SETTING_DURATION_MS, &s->batch_target_ms, 1, 10000,
         "time that a batch should take; default 20ms"},
        {"duty", NULL, ZDM_SETTING_COUNT, &s->duty, 1, 100,
         "percent of the time that batches may take, 100: no pacing; default 20"},
        {"batch_rows_max", NULL, ZDM_SETTING_COUNT, &s->batch_rows_max, 1, 1000000,
         "rows in a batch at most; default 50000"},
        {"lock_wait", NULL, ZDM_SETTING_DURATION_MS, &s->lock_wait_ms, 5, 1000,
         "how long DDL queues for its locks, when it queues at all; default 50ms"},
        {"max_stall", NULL, ZDM_SETTING_DURATION_MS, &s->max_stall_ms, 0, 60000,
         "how long DDL may queue, once in ten attempts, so that an autovacuum gives way, where the role may not set "
         "deadlock_timeout; default 0: never"},
        {"max_replica_lag", NULL, ZDM_SETTING_DURATION_MS, &s->max_replica_lag_ms, 1, 86400000,
         "replica lag above which batches wait; default 5s"},
        {"max_slot_wal_mb", NULL, ZDM_SETTING_COUNT, &s->max_slot_wal_mb, 0, 1073741824,
         "PostgreSQL: megabytes of WAL that a replication slot keeps, above which batches stop; default 10240, 0: they "
         "never do"},
        {"log_level", "ZDM_LOG_LEVEL", ZDM_SETTING_TEXT, &s->log_level, 0, 0,
         "debug, info, warn or error; default info"},
        {"config", NULL, ZDM_SETTING_TEXT, &s->config, 0, 0, "YAML file with these settings"},
    };
    memcpy(rows, table, sizeof table);
}

void agent_settings_init(struct agent_settings *settings)
{
    struct agent_core_config core;
    agent_core_config_default(&core);
    *settings = (struct agent_settings){.batch_target_ms = core.batch_target_ms,
                                        .duty = core.duty_percent,
                                        .batch_rows_max = core.batch_rows_max,
                                        .lock_wait_ms = core.lock_wait_ms,
                                        .max_replica_lag_ms = core.max_replica_lag_ms,
                                        .max_slot_wal_mb = core.max_slot_wal_mb};
}

void agent_settings_fini(struct agent_settings *settings)
{
    free(settings->config);
    free(settings->data);
    free(settings->dsn);
    free(settings->replicas);
    free(settings->owner);
    free(settings->log_level);
}

static enum zdm_code refuse_password(const struct zdm_setting *setting, const char *value, struct zdm_error *err)
{
    bool connects = strcmp(setting->key, "dsn") == 0 || strcmp(setting->key, "replicas") == 0;
    if (!connects || !agent_dsn_has_password(value))
        return ZDM_OK;
    zdm_error_set(err, ZDM_INVALID, "a password must not stand in the command line, where every user sees it");
    return zdm_error_hint(err, "PostgreSQL: use passfile= or service= in the DSN, PGPASSFILE, or a config file of mode "
                               "0600; MySQL: an option file, named with defaults-file= in the DSN.");
}

enum zdm_code agent_settings_read(struct agent_settings *settings, int argc, char **argv, const char **out_argument,
                                  struct zdm_error *err)
{
    struct zdm_setting rows[ROWS];
    fill_rows(settings, rows);
    const struct zdm_arguments arguments = {"zdm-agent", rows, ROWS, refuse_password};
    enum zdm_code code = zdm_arguments_read(&arguments, argc, argv, out_argument, err);
    if (code == ZDM_OK && (settings->data == NULL || settings->data[0] == '\0')) {
        code = zdm_error_set(err, ZDM_INVALID, "the data folder is missing");
        zdm_error_hint(err, "Give it with --data DIR, ZDM_DATA or data: in the config file.");
    }
    return code;
}

void agent_settings_help(void)
{
    struct agent_settings s = {.data = NULL};
    struct zdm_setting rows[ROWS];
    fill_rows(&s, rows);
    zdm_arguments_help(&(struct zdm_arguments){"zdm-agent", rows, ROWS, NULL});
}

void agent_settings_core(const struct agent_settings *settings, struct agent_core_config *out)
{
    agent_core_config_default(out);
    out->batch_target_ms = (uint32_t)settings->batch_target_ms;
    out->duty_percent = (uint32_t)settings->duty;
    out->batch_rows_max = (uint32_t)settings->batch_rows_max;
    if (out->batch_rows_min > out->batch_rows_max)
        out->batch_rows_min = out->batch_rows_max;
    out->lock_wait_ms = (uint32_t)settings->lock_wait_ms;
    out->max_stall_ms = (uint32_t)settings->max_stall_ms;
    out->max_replica_lag_ms = (uint32_t)settings->max_replica_lag_ms;
    out->max_slot_wal_mb = (uint32_t)settings->max_slot_wal_mb;
}

enum zdm_code agent_settings_replicas(const struct agent_settings *settings, char **out_text,
                                      const char *out[AGENT_REPLICAS_MAX], size_t *out_n, struct zdm_error *err)
{
    *out_n = 0;
    *out_text = zdm_strdup(settings->replicas);
    if (*out_text == NULL)
        return settings->replicas == NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
    for (char *at = *out_text, *next; *at != '\0'; at = next) {
        size_t n = strcspn(at, ",");
        next = at + n + (at[n] == ',' ? 1 : 0);
        at[n] = '\0';
        at += strspn(at, " \t");
        if (*at == '\0')
            continue;
        if (*out_n == AGENT_REPLICAS_MAX)
            return zdm_error_set(err, ZDM_LIMIT, "the settings name more than %d replicas", AGENT_REPLICAS_MAX);
        out[(*out_n)++] = at;
    }
    return ZDM_OK;
}

/* scheme://user:password@host: a colon before the '@' of the authority; in any of several. */
static bool uri_has_password(const char *dsn)
{
    for (const char *authority = dsn; (authority = strstr(authority, "://")) != NULL;) {
        authority += 3;
        size_t n = strcspn(authority, "/?#");
        const char *at = memchr(authority, '@', n);
        if (at != NULL && memchr(authority, ':', (size_t)(at - authority)) != NULL)
            return true;
    }
    return false;
}

bool agent_dsn_has_password(const char *dsn)
{
    if (uri_has_password(dsn))
        return true;
    static const char word[] = "password";
    for (const char *at = dsn; (at = strcasestr(at, word)) != NULL; at += sizeof word - 1) {
        const char *behind = at + sizeof word - 1;
        bool starts = at == dsn || isspace((unsigned char)at[-1]) || strchr("?&:,", at[-1]) != NULL ||
                      (at - dsn >= 3 && strncmp(at - 3, "ssl", 3) == 0);
        while (isspace((unsigned char)*behind))
            behind++;
        if (starts && *behind == '=')
            return true;
    }
    return false;
}
