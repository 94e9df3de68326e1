/*
 * settings.c - where zdmctl finds the coordinator, the key and the trust file: defaults in the user's configuration
 * folder, then the configuration file, the environment, the command line; later ones win.
 */
#include "coordinator/ctl/ctl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/os/config.h"

static char *join(const char *a, const char *b, const char *c)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&text, "%s%s%s", a, b, c);
    return zdm_buffer_take(&text);
}

char *ctl_config_path(const char *name)
{
    const char *xdg = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    if (xdg != NULL && xdg[0] == '/')
        return join(xdg, "/zdm/", name);
    if (home != NULL && home[0] == '/')
        return join(home, "/.config/zdm/", name);
    return NULL;
}

static enum zdm_code set_default(char **setting, const char *value, struct zdm_error *err)
{
    *setting = zdm_strdup(value);
    return *setting != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static void set_default_file(char **setting, const char *name)
{
    char *path = ctl_config_path(name);
    if (path != NULL && access(path, F_OK) == 0)
        *setting = path;
    else
        free(path);
}

static enum zdm_code read_file(const struct ctl *ctl, const struct zdm_setting *rows, size_t n, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *usual = ctl_config_path("config.yaml");
    const char *path = ctl_option_text(&ctl->options, CTL_OPT_CONFIG);
    if (path == NULL)
        path = getenv("ZDM_CONFIG");
    if (path != NULL && path[0] != '\0')
        return zdm_config_read(path, rows, n, err);
    if (usual != NULL && access(usual, F_OK) == 0)
        return zdm_config_read(usual, rows, n, err);
    return ZDM_OK;
}

static enum zdm_code check_choice(const char *what, const char *value, const char *const *choices, const char *all,
                                  struct zdm_error *err)
{
    for (size_t i = 0; choices[i] != NULL; i++)
        if (strcmp(value, choices[i]) == 0)
            return ZDM_OK;
    return zdm_error_set(err, ZDM_INVALID, "%s must be %s, not \"%s\"", what, all, value);
}

static enum zdm_code check(const struct ctl_settings *settings, struct zdm_error *err)
{
    static const char *const outputs[] = {"table", "json", NULL};
    static const char *const colors[] = {"auto", "always", "never", NULL};
    enum zdm_code code = check_choice("output (-o)", settings->output, outputs, "table or json", err);
    if (code == ZDM_OK)
        code = check_choice("color (--color)", settings->color, colors, "auto, always or never", err);
    return code;
}

enum zdm_code ctl_settings_load(struct ctl *ctl, struct zdm_error *err)
{
    struct ctl_settings *s = &ctl->settings;
    const struct zdm_setting rows[] = {
        {"coordinator", "ZDM_COORDINATOR", ZDM_SETTING_TEXT, &s->coordinator, 0, 0, "URLs of the coordinator"},
        {"key", "ZDM_KEY", ZDM_SETTING_TEXT, &s->key, 0, 0, "path of your secret key"},
        {"trust", "ZDM_TRUST", ZDM_SETTING_TEXT, &s->trust, 0, 0, "path of the trust file"},
        {"output", "ZDM_OUTPUT", ZDM_SETTING_TEXT, &s->output, 0, 0, "table or json"},
        {"color", NULL, ZDM_SETTING_TEXT, &s->color, 0, 0, "auto, always or never"},
    };
    static const enum ctl_option_id given_by[] = {CTL_OPT_COORDINATOR, CTL_OPT_KEY, CTL_OPT_TRUST, CTL_OPT_OUTPUT,
                                                  CTL_OPT_COLOR};
    const size_t n = sizeof rows / sizeof rows[0];
    enum zdm_code code = set_default(&s->output, "table", err);
    if (code == ZDM_OK)
        code = set_default(&s->color, "auto", err);
    set_default_file(&s->key, "key");
    set_default_file(&s->trust, "trust");
    if (code == ZDM_OK)
        code = read_file(ctl, rows, n, err);
    if (code == ZDM_OK)
        code = zdm_config_environment(rows, n, err);
    for (size_t i = 0; code == ZDM_OK && i < n; i++) {
        const char *text = ctl_option_text(&ctl->options, given_by[i]);
        if (text != NULL)
            code = zdm_config_set(&rows[i], text, "the command line", err);
    }
    return code == ZDM_OK ? check(s, err) : code;
}

void ctl_settings_fini(struct ctl_settings *settings)
{
    free(settings->coordinator);
    free(settings->key);
    free(settings->trust);
    free(settings->output);
    free(settings->color);
    *settings = (struct ctl_settings){.key = NULL};
}
