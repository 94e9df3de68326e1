/*
 * json.h - reading the coordinator's JSON: a field that is missing, null or of another type reads as nothing.
 *
 * The other side may be one release ahead or behind, so a reader here never fails over a field.
 */
#ifndef COORDINATOR_CTL_TEXT_JSON_H
#define COORDINATOR_CTL_TEXT_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* "" for nothing. Borrowed. */
static inline const char *ctl_json_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static inline bool ctl_json_is(const json_t *object, const char *key, const char *text)
{
    return strcmp(ctl_json_text(object, key), text) == 0;
}

/* `none` for nothing. */
static inline int64_t ctl_json_int(const json_t *object, const char *key, int64_t none)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_real(value))
        return (int64_t)json_real_value(value);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : none;
}

static inline bool ctl_json_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

/* NULL for nothing and for null. Borrowed. */
static inline const json_t *ctl_json_object(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_object(value) ? value : NULL;
}

/* For the cleanup attribute. */
static inline void ctl_json_free(json_t **json)
{
    json_decref(*json);
}

#endif
