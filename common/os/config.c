/*
 * config.c - see config.h.
 *
 * The file is read as libyaml events by a machine with three places: before the mapping, at a key, at a value (which
 * may be a list). Anything YAML can say beyond "key: scalar" and "key: [scalars]" is refused by name, anchors and tags
 * too: a setting is one line that a person can find with grep.
 */
#include "common/os/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/base/buffer.h"
#include "common/os/file.h"

enum { FILE_MAX = 64 * 1024, ORIGIN_MAX = 300, LIST_MAX = 4096 };

struct reader {
    const char *path;
    const struct zdm_setting *settings;
    size_t n;
    yaml_parser_t parser;
    bool seen[ZDM_SETTINGS_MAX];
    struct zdm_error *err;
};

enum zdm_code zdm_duration_parse(const char *text, int64_t *out_ms, struct zdm_error *err)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    size_t digits = strspn(text, "0123456789");
    if (strcmp(text, "0") == 0) {
        *out_ms = 0;
        return ZDM_OK;
    }
    for (size_t i = 0; digits > 0 && digits <= 15 && i < sizeof units / sizeof units[0]; i++) {
        int64_t value, ms;
        if (strcmp(text + digits, units[i].unit) != 0)
            continue;
        value = strtoll(text, NULL, 10);
        if (__builtin_mul_overflow(value, units[i].ms, &ms))
            break;
        *out_ms = ms;
        return ZDM_OK;
    }
    zdm_error_set(err, ZDM_INVALID, "\"%s\" is not a duration", text);
    return zdm_error_hint(err, "Write a number and a unit: 250ms, 20s, 5m, 1h or 3d.");
}

static enum zdm_code parse_count(const char *text, int64_t *out, struct zdm_error *err)
{
    size_t digits = strspn(text, "0123456789");
    errno = 0;
    int64_t value = strtoll(text, NULL, 10);
    if (digits == 0 || text[digits] != '\0' || errno != 0)
        return zdm_error_set(err, ZDM_INVALID, "\"%s\" is not a whole number", text);
    *out = value;
    return ZDM_OK;
}

static enum zdm_code check_range(const struct zdm_setting *setting, int64_t value, const char *text,
                                 struct zdm_error *err)
{
    const char *unit = setting->type == ZDM_SETTING_DURATION_MS ? " ms" : "";
    if ((setting->min == 0 && setting->max == 0) || (value >= setting->min && value <= setting->max))
        return ZDM_OK;
    zdm_error_set(err, ZDM_INVALID, "%s is out of range for \"%s\"", text, setting->key);
    return zdm_error_hint(err, "It may be %lld to %lld%s.", (long long)setting->min, (long long)setting->max, unit);
}

static enum zdm_code set_number(const struct zdm_setting *setting, const char *text, struct zdm_error *err)
{
    int64_t value = 0;
    enum zdm_code code =
        setting->type == ZDM_SETTING_COUNT ? parse_count(text, &value, err) : zdm_duration_parse(text, &value, err);
    if (code == ZDM_OK)
        code = check_range(setting, value, text, err);
    if (code == ZDM_OK)
        *(int64_t *)setting->target = value;
    return code;
}

static enum zdm_code set_bool(const struct zdm_setting *setting, const char *text, struct zdm_error *err)
{
    bool on = strcmp(text, "true") == 0;
    if (!on && strcmp(text, "false") != 0)
        return zdm_error_set(err, ZDM_INVALID, "\"%s\" must be true or false", setting->key);
    *(bool *)setting->target = on;
    return ZDM_OK;
}

static enum zdm_code set_text(const struct zdm_setting *setting, const char *text, struct zdm_error *err)
{
    char **target = setting->target;
    char *copy = zdm_strdup(text);
    if (copy == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory for setting \"%s\"", setting->key);
    free(*target);
    *target = copy;
    return ZDM_OK;
}

enum zdm_code zdm_config_set(const struct zdm_setting *setting, const char *text, const char *origin,
                             struct zdm_error *err)
{
    enum zdm_code code = ZDM_BUG;
    switch (setting->type) {
    case ZDM_SETTING_TEXT:
        code = set_text(setting, text, err);
        break;
    case ZDM_SETTING_COUNT:
    case ZDM_SETTING_DURATION_MS:
        code = set_number(setting, text, err);
        break;
    case ZDM_SETTING_BOOL:
        code = set_bool(setting, text, err);
        break;
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "%s", origin);
}

enum zdm_code zdm_config_environment(const struct zdm_setting *settings, size_t n, struct zdm_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const char *value = settings[i].environment != NULL ? getenv(settings[i].environment) : NULL;
        if (value == NULL || value[0] == '\0')
            continue;
        enum zdm_code code = zdm_config_set(&settings[i], value, settings[i].environment, err);
        if (code != ZDM_OK)
            return code;
    }
    return ZDM_OK;
}

/* "FILE:LINE:COLUMN", counted from 1 as editors do. */
static void origin_of(const struct reader *r, const yaml_mark_t *mark, char out[ORIGIN_MAX])
{
    snprintf(out, ORIGIN_MAX, "%s:%zu:%zu", r->path, mark->line + 1, mark->column + 1);
}

static enum zdm_code refuse(struct reader *r, const yaml_mark_t *mark, const char *what, const char *name)
{
    char origin[ORIGIN_MAX];
    origin_of(r, mark, origin);
    if (name == NULL)
        return zdm_error_set(r->err, ZDM_INVALID, "%s: %s", origin, what);
    return zdm_error_set(r->err, ZDM_INVALID, "%s: %s \"%s\"", origin, what, name);
}

static enum zdm_code next_event(struct reader *r, yaml_event_t *event)
{
    if (yaml_parser_parse(&r->parser, event))
        return ZDM_OK;
    memset(event, 0, sizeof *event);
    if (r->parser.error == YAML_MEMORY_ERROR)
        return zdm_error_set(r->err, ZDM_NOMEM, "out of memory while reading \"%s\"", r->path);
    return refuse(r, &r->parser.problem_mark,
                  r->parser.problem != NULL ? r->parser.problem : "this is not YAML in UTF-8", NULL);
}

static bool is_plain_scalar(const yaml_event_t *event)
{
    return event->type == YAML_SCALAR_EVENT && event->data.scalar.anchor == NULL && event->data.scalar.tag == NULL &&
           strlen((const char *)event->data.scalar.value) == event->data.scalar.length;
}

static const char *scalar_text(const yaml_event_t *event)
{
    return (const char *)event->data.scalar.value;
}

/* Nothing behind the colon, or YAML's ways to write null. */
static bool is_null(const yaml_event_t *event)
{
    const char *text = scalar_text(event);
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

static enum zdm_code unknown_key(struct reader *r, const yaml_event_t *event)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer known = ZDM_BUFFER_INIT;
    enum zdm_code code = refuse(r, &event->start_mark, "unknown setting", scalar_text(event));
    for (size_t i = 0; i < r->n; i++)
        zdm_buffer_printf(&known, "%s%s", i > 0 ? ", " : "", r->settings[i].key);
    zdm_error_hint(r->err, "Settings are: %s.", zdm_buffer_text(&known));
    return code;
}

/* The row of the key at hand, each at most once. */
static enum zdm_code find_setting(struct reader *r, const yaml_event_t *event, const struct zdm_setting **out)
{
    if (!is_plain_scalar(event))
        return refuse(r, &event->start_mark, "a setting's name must be a plain word", NULL);
    for (size_t i = 0; i < r->n; i++) {
        if (strcmp(r->settings[i].key, scalar_text(event)) != 0)
            continue;
        if (r->seen[i])
            return refuse(r, &event->start_mark, "this setting stands twice:", scalar_text(event));
        r->seen[i] = true;
        *out = &r->settings[i];
        return ZDM_OK;
    }
    return unknown_key(r, event);
}

static enum zdm_code list_item(struct reader *r, const yaml_event_t *event, struct zdm_buffer *joined)
{
    if (!is_plain_scalar(event) || is_null(event) || strchr(scalar_text(event), ',') != NULL)
        return refuse(r, &event->start_mark, "an item of a list must be a text without commas", NULL);
    if (joined->len > 0)
        zdm_buffer_puts(joined, ",");
    zdm_buffer_puts(joined, scalar_text(event));
    return joined->failed ? refuse(r, &event->start_mark, "this list is too long", NULL) : ZDM_OK;
}

static enum zdm_code take_list(struct reader *r, const struct zdm_setting *setting, const yaml_mark_t *start)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer joined = ZDM_BUFFER_INIT;
    char origin[ORIGIN_MAX];
    zdm_buffer_init(&joined, LIST_MAX);
    if (setting->type != ZDM_SETTING_TEXT)
        return refuse(r, start, "a list is not possible for setting", setting->key);
    for (;;) {
        ZDM_CLEANUP(yaml_event_delete) yaml_event_t event = {0};
        enum zdm_code code = next_event(r, &event);
        if (code != ZDM_OK)
            return code;
        if (event.type == YAML_SEQUENCE_END_EVENT)
            break;
        code = list_item(r, &event, &joined);
        if (code != ZDM_OK)
            return code;
    }
    origin_of(r, start, origin);
    return zdm_config_set(setting, zdm_buffer_text(&joined), origin, r->err);
}

static enum zdm_code take_value(struct reader *r, const struct zdm_setting *setting)
{
    ZDM_CLEANUP(yaml_event_delete) yaml_event_t event = {0};
    char origin[ORIGIN_MAX];
    enum zdm_code code = next_event(r, &event);
    if (code != ZDM_OK)
        return code;
    if (event.type == YAML_SEQUENCE_START_EVENT && event.data.sequence_start.anchor == NULL &&
        event.data.sequence_start.tag == NULL)
        return take_list(r, setting, &event.start_mark);
    if (!is_plain_scalar(&event))
        return refuse(r, &event.start_mark, "only a value or a list of values may stand for", setting->key);
    if (is_null(&event))
        return refuse(r, &event.start_mark, "there is no value for setting", setting->key);
    origin_of(r, &event.start_mark, origin);
    return zdm_config_set(setting, scalar_text(&event), origin, r->err);
}

/* The keys and values of the mapping whose start was just read. */
static enum zdm_code take_mapping(struct reader *r)
{
    for (;;) {
        ZDM_CLEANUP(yaml_event_delete) yaml_event_t event = {0};
        const struct zdm_setting *setting = NULL;
        enum zdm_code code = next_event(r, &event);
        if (code != ZDM_OK || event.type == YAML_MAPPING_END_EVENT)
            return code;
        code = find_setting(r, &event, &setting);
        if (code == ZDM_OK)
            code = take_value(r, setting);
        if (code != ZDM_OK)
            return code;
    }
}

/* A stream of at most one document that is a mapping; an empty file, or one of comments only, sets nothing. */
static enum zdm_code take_stream(struct reader *r)
{
    int documents = 0;
    for (;;) {
        ZDM_CLEANUP(yaml_event_delete) yaml_event_t event = {0};
        enum zdm_code code = next_event(r, &event);
        if (code != ZDM_OK || event.type == YAML_STREAM_END_EVENT)
            return code;
        if (event.type == YAML_DOCUMENT_START_EVENT && ++documents > 1)
            return refuse(r, &event.start_mark, "a second document cannot follow", NULL);
        if (event.type == YAML_MAPPING_START_EVENT)
            code = take_mapping(r);
        else if (event.type == YAML_SCALAR_EVENT && is_plain_scalar(&event) && is_null(&event))
            code = ZDM_OK;
        else if (event.type != YAML_STREAM_START_EVENT && event.type != YAML_DOCUMENT_START_EVENT &&
                 event.type != YAML_DOCUMENT_END_EVENT)
            return refuse(r, &event.start_mark, "settings must be written as \"name: value\"", NULL);
        if (code != ZDM_OK)
            return code;
    }
}

enum zdm_code zdm_config_read(const char *path, const struct zdm_setting *settings, size_t n, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer text = ZDM_BUFFER_INIT;
    struct reader r = {.path = path, .settings = settings, .n = n, .err = err};
    if (path == NULL)
        return ZDM_OK;
    if (n > ZDM_SETTINGS_MAX)
        return zdm_error_set(err, ZDM_BUG, "more than %d settings", ZDM_SETTINGS_MAX);
    enum zdm_code code = zdm_file_read(path, FILE_MAX, &text, err);
    if (code != ZDM_OK)
        return code;
    if (!yaml_parser_initialize(&r.parser))
        return zdm_error_set(err, ZDM_NOMEM, "out of memory while reading \"%s\"", path);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)zdm_buffer_text(&text), text.len);
    code = take_stream(&r);
    yaml_parser_delete(&r.parser);
    return code;
}
