/*
 * settings.c - see settings.h.
 */
#include "coordinator/app/settings.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/os/arguments.h"

enum { ROWS = 10 };

/* config, which stands in no file, is the last one. */
static void fill_rows(struct settings *s, struct zdm_setting rows[ROWS])
{
    const struct zdm_setting table[ROWS] = {
        {"data", "ZDM_DATA", ZDM_SETTING_TEXT, &s->data, 0, 0, "folder of the log (made if missing); required"},
        {"listen", "ZDM_LISTEN", ZDM_SETTING_TEXT, &s->listen, 0, 0,
         "URL to listen on: tcp://HOST:PORT or ipc://PATH; default tcp://127.0.0.1:7301"},
        {"advertise", "ZDM_ADVERTISE", ZDM_SETTING_TEXT, &s->advertise, 0, 0,
         "URLs that agents are told, by commas; default: what it listens on"},
        {"trust", "ZDM_TRUST", ZDM_SETTING_TEXT, &s->trust, 0, 0, "trust file; default DATA/trust"},
        {"key", "ZDM_COORDINATOR_KEY", ZDM_SETTING_TEXT, &s->key, 0, 0,
         "this coordinator's secret key, mode 0600; default DATA/coordinator.key"},
        {"log_level", "ZDM_LOG_LEVEL", ZDM_SETTING_TEXT, &s->log_level, 0, 0,
         "debug, info, warn or error; default info"},
        {"handshake_slots", NULL, ZDM_SETTING_COUNT, &s->handshake_slots, 1, 4096,
         "connections that may be unauthenticated at once; default 64"},
        {"handshake_slots_per_address", NULL, ZDM_SETTING_COUNT, &s->per_address, 1, 4096,
         "of these from one address; default 16"},
        {"agents", NULL, ZDM_SETTING_COUNT, &s->agents, 1, 1000000,
         "agents to have file descriptors for; default: as many as the limit allows"},
        {"config", NULL, ZDM_SETTING_TEXT, &s->config, 0, 0, "YAML file with these settings"},
    };
    memcpy(rows, table, sizeof table);
}

/* ---- Defaults ---- */

static bool set_default(char **target, const char *folder, const char *name)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    if (*target != NULL)
        return true;
    zdm_buffer_printf(&text, "%s/%s", folder, name);
    *target = zdm_buffer_take(&text);
    return *target != NULL;
}

static enum zdm_code fill_defaults(struct settings *s, struct zdm_error *err)
{
    if (s->data == NULL || s->data[0] == '\0') {
        zdm_error_set(err, ZDM_INVALID, "no data folder is set");
        return zdm_error_hint(err, "Name one: --data /var/lib/zdm-coordinator.");
    }
    bool fine = s->listen != NULL || (s->listen = zdm_strdup("tcp://127.0.0.1:7301")) != NULL;
    fine = fine && (s->log_level != NULL || (s->log_level = zdm_strdup("info")) != NULL);
    fine = fine && set_default(&s->trust, s->data, "trust") && set_default(&s->key, s->data, "coordinator.key");
    return fine ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static enum zdm_code split_urls(struct settings *s, struct zdm_error *err)
{
    if (s->advertise == NULL)
        return ZDM_OK;
    s->urls_text = zdm_strdup(s->advertise);
    if (s->urls_text == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    char *rest = s->urls_text, *url;
    while ((url = strsep(&rest, ", ")) != NULL) {
        if (url[0] == '\0')
            continue;
        if (s->n_urls == COORD_URLS_MAX)
            return zdm_error_set(err, ZDM_INVALID, "advertise takes at most %d URLs", (int)COORD_URLS_MAX);
        s->urls[s->n_urls++] = url;
    }
    return ZDM_OK;
}

enum zdm_code settings_read(struct settings *out, int argc, char **argv, const char **out_word, struct zdm_error *err)
{
    struct zdm_setting rows[ROWS];
    *out = (struct settings){.handshake_slots = 64, .per_address = 16};
    fill_rows(out, rows);
    const struct zdm_arguments arguments = {"zdm-coordinator", rows, ROWS, NULL};
    enum zdm_code code = zdm_arguments_read(&arguments, argc, argv, out_word, err);
    if (code == ZDM_OK)
        code = fill_defaults(out, err);
    if (code == ZDM_OK)
        code = split_urls(out, err);
    if (code != ZDM_OK)
        settings_fini(out);
    return code;
}

void settings_help(void)
{
    struct settings s = {.data = NULL};
    struct zdm_setting rows[ROWS];
    fill_rows(&s, rows);
    zdm_arguments_help(&(struct zdm_arguments){"zdm-coordinator", rows, ROWS, NULL});
}

void settings_fini(struct settings *s)
{
    free(s->config);
    free(s->data);
    free(s->listen);
    free(s->advertise);
    free(s->trust);
    free(s->key);
    free(s->log_level);
    free(s->urls_text);
    *s = (struct settings){.config = NULL};
}
