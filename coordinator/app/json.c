/*
 * json.c - see json.h.
 */
#include "coordinator/app/json.h"

#include <stdlib.h>
#include <string.h>

#include "common/os/clock.h"

char *json_text(json_t *object, struct zdm_error *err)
{
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (text == NULL)
        zdm_error_set(err, ZDM_NOMEM, "could not get memory for the answer");
    return text;
}

void put(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

/* Texts come from databases and people: bytes that are no UTF-8 must not make the whole answer fail. */
static json_t *text_value(const char *text)
{
    json_t *value = json_string(text);
    if (value != NULL)
        return value;
    char *ascii = zdm_strdup(text);
    for (char *c = ascii; c != NULL && *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    value = ascii != NULL ? json_string(ascii) : NULL;
    free(ascii);
    return value;
}

void put_text(json_t *object, const char *key, const char *text)
{
    put(object, key, text_value(text));
}

void put_text_or_null(json_t *object, const char *key, const char *text)
{
    put(object, key, text != NULL && text[0] != '\0' ? text_value(text) : json_null());
}

void put_number(json_t *object, const char *key, int64_t number)
{
    put(object, key, json_integer(number));
}

void put_bool(json_t *object, const char *key, bool value)
{
    put(object, key, json_boolean(value));
}

void put_hex(json_t *object, const char *key, const void *bytes, size_t n)
{
    char text[ZDM_HASH_HEX_SIZE];
    zdm_hex(text, bytes, n);
    put_text(object, key, text);
}

void put_time(json_t *object, const char *key, int64_t wall_ms)
{
    char text[32];
    zdm_wall_text(text, sizeof text, wall_ms);
    put_text(object, key, text);
}
