/*
 * config.h - settings of a program as a table: from a YAML file of scalars (and lists of scalars), then from
 * environment variables, then from the command line; later ones win.
 *
 * An unknown key, a key that stands twice, a wrong type and a value out of range are errors with file:line:column. A
 * list of scalars gives a TEXT setting its items joined by commas ("labels: [region=eu, tier=gold]"). A variable that
 * is set but empty counts as not set. Values of TEXT settings are never part of an error: they may be secrets.
 */
#ifndef ZDM_OS_CONFIG_H
#define ZDM_OS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

enum { ZDM_SETTINGS_MAX = 64 /* rows of one table */ };

enum zdm_setting_type { ZDM_SETTING_TEXT, ZDM_SETTING_COUNT, ZDM_SETTING_DURATION_MS, ZDM_SETTING_BOOL };

/* One row of a program's table of settings. target: char ** (malloc'd), int64_t * or bool *. */
struct zdm_setting {
    const char *key;         /* in the file */
    const char *environment; /* name of the variable, or NULL */
    enum zdm_setting_type type;
    void *target;
    int64_t min, max; /* for COUNT and DURATION_MS; both 0: any non-negative value */
    const char *help;
};

/* Reads the file; path NULL does nothing. */
enum zdm_code zdm_config_read(const char *path, const struct zdm_setting *settings, size_t n,
                              struct zdm_error *err) ZDM_CHECKED;
enum zdm_code zdm_config_environment(const struct zdm_setting *settings, size_t n, struct zdm_error *err) ZDM_CHECKED;
/* Sets one by its text, as a command line does. origin is named in errors. */
enum zdm_code zdm_config_set(const struct zdm_setting *setting, const char *text, const char *origin,
                             struct zdm_error *err) ZDM_CHECKED;

/* "250ms", "20s", "5m", "1h", "3d", or a bare 0; ZDM_INVALID otherwise. Shared with front matter and zdmctl. */
enum zdm_code zdm_duration_parse(const char *text, int64_t *out_ms, struct zdm_error *err) ZDM_CHECKED;

#endif
