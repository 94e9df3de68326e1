/*
 * settings.c - see settings.h.
 */
#include "agent/app/settings.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/os/config.h"

enum { ROWS = 12, FLAG_MAX = 64 };

/* Options are the keys with '-' for '_'. config itself is read first and stands in no file. */
static void fill_rows(struct agent_settings *s, struct zdm_setting rows[ROWS])
{
    const struct zdm_setting table[ROWS] = {
        {"data", "ZDM_DATA", ZDM_SETTING_TEXT, &s->data, 0, 0, "the agent's folder: key, trust, enrolment; required"},
        {"home", NULL, ZDM_SETTING_TEXT, &s->data, 0, 0, "another word for --data"},
        {"dsn", "ZDM_DSN", ZDM_SETTING_TEXT, &s->dsn, 0, 0, "the database of this node, as a libpq connection string"},
        {"replicas", "ZDM_REPLICAS", ZDM_SETTING_TEXT, &s->replicas, 0, 0,
         "the standbys of this node: libpq connection strings, joined by commas or as a list in the file"},
        {"owner", "ZDM_OWNER", ZDM_SETTING_TEXT, &s->owner, 0, 0,
         "the role that owns the application's tables and will own what migrations make; default: the one that owns "
         "all "
         "tables of a schema"},
        {"batch_target", NULL, ZDM_SETTING_DURATION_MS, &s->batch_target_ms, 1, 10000,
         "time that a batch should take; default 20ms"},
        {"duty", NULL, ZDM_SETTING_COUNT, &s->duty, 1, 100,
         "percent of the time that batches may take, 100: no pacing; default 20"},
        {"batch_rows_max", NULL, ZDM_SETTING_COUNT, &s->batch_rows_max, 1, 1000000,
         "rows in a batch at most; default 50000"},
        {"lock_wait", NULL, ZDM_SETTING_DURATION_MS, &s->lock_wait_ms, 5, 1000,
         "how long DDL queues for its locks, when it queues at all; default 50ms"},
        {"max_replica_lag", NULL, ZDM_SETTING_DURATION_MS, &s->max_replica_lag_ms, 1, 86400000,
         "replica lag above which batches wait; default 5s"},
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
                                        .max_replica_lag_ms = core.max_replica_lag_ms};
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

static void flag_of(const struct zdm_setting *row, char out[FLAG_MAX])
{
    (void)snprintf(out, FLAG_MAX, "--%s", row->key);
    for (char *c = out + 2; *c != '\0'; c++)
        if (*c == '_')
            *c = '-';
}

void agent_settings_help(void)
{
    struct agent_settings s = {.data = NULL};
    struct zdm_setting rows[ROWS];
    fill_rows(&s, rows);
    for (size_t i = 0; i < ROWS; i++) {
        char flag[FLAG_MAX];
        flag_of(&rows[i], flag);
        printf("  %-20s %s%s%s\n", flag, rows[i].help, rows[i].environment != NULL ? "; environment " : "",
               rows[i].environment != NULL ? rows[i].environment : "");
    }
}

/* The row of "--data" or "--data=X"; *out_value: behind '=', NULL when it is the next word. */
static const struct zdm_setting *match(const struct zdm_setting rows[ROWS], const char *word, const char **out_value)
{
    for (size_t i = 0; i < ROWS; i++) {
        char flag[FLAG_MAX];
        flag_of(&rows[i], flag);
        size_t n = strlen(flag);
        if (strncmp(word, flag, n) != 0 || (word[n] != '\0' && word[n] != '='))
            continue;
        *out_value = word[n] == '=' ? word + n + 1 : NULL;
        return &rows[i];
    }
    return NULL;
}

/* One option at argv[*i]; moves *i over its value. only_config: everything else is left for the second round. */
static enum zdm_code take_option(const struct zdm_setting rows[ROWS], int argc, char **argv, int *i, bool only_config,
                                 struct zdm_error *err)
{
    const char *value;
    const struct zdm_setting *row = match(rows, argv[*i], &value);
    if (row == NULL) {
        zdm_error_set(err, ZDM_INVALID, "unknown option %.*s", (int)strcspn(argv[*i], "="), argv[*i]);
        return zdm_error_hint(err, "zdm-agent --help lists them.");
    }
    if (value == NULL && ++*i < argc)
        value = argv[*i];
    if (value == NULL)
        return zdm_error_set(err, ZDM_INVALID, "option --%s needs a value", row->key);
    bool connects = strcmp(row->key, "dsn") == 0 || strcmp(row->key, "replicas") == 0;
    if (connects && agent_dsn_has_password(value)) {
        zdm_error_set(err, ZDM_INVALID, "a password must not stand in the command line, where every user sees it");
        return zdm_error_hint(err, "Use passfile= or service= in the DSN, PGPASSFILE, or a config file of mode 0600.");
    }
    if ((strcmp(row->key, "config") == 0) != only_config)
        return ZDM_OK;
    return zdm_config_set(row, value, "command line", err);
}

static enum zdm_code take_options(const struct zdm_setting rows[ROWS], int argc, char **argv, bool only_config,
                                  const char **out_argument, struct zdm_error *err)
{
    *out_argument = NULL;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0) {
            enum zdm_code code = take_option(rows, argc, argv, &i, only_config, err);
            if (code != ZDM_OK)
                return code;
        } else if (*out_argument != NULL) {
            return zdm_error_set(err, ZDM_INVALID, "one argument too many");
        } else {
            *out_argument = argv[i];
        }
    }
    return ZDM_OK;
}

enum zdm_code agent_settings_read(struct agent_settings *settings, int argc, char **argv, const char **out_argument,
                                  struct zdm_error *err)
{
    struct zdm_setting rows[ROWS];
    fill_rows(settings, rows);
    enum zdm_code code = take_options(rows, argc, argv, true, out_argument, err);
    if (code == ZDM_OK)
        code = zdm_config_read(settings->config, rows, ROWS - 1, err);
    if (code == ZDM_OK)
        code = zdm_config_environment(rows, ROWS - 1, err);
    if (code == ZDM_OK)
        code = take_options(rows, argc, argv, false, out_argument, err);
    if (code == ZDM_OK && (settings->data == NULL || settings->data[0] == '\0')) {
        code = zdm_error_set(err, ZDM_INVALID, "the data folder is missing");
        zdm_error_hint(err, "Give it with --data DIR, ZDM_DATA or data: in the config file.");
    }
    return code;
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
    out->max_replica_lag_ms = (uint32_t)settings->max_replica_lag_ms;
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
        bool starts = at == dsn || isspace((unsigned char)at[-1]) || strchr("?&", at[-1]) != NULL ||
                      (at - dsn >= 3 && strncmp(at - 3, "ssl", 3) == 0);
        while (isspace((unsigned char)*behind))
            behind++;
        if (starts && *behind == '=')
            return true;
    }
    return false;
}
