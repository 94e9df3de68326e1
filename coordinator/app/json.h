/*
 * json.h - small shapes for building the answers of docs/JSON.md with jansson.
 *
 * A json_t that could not be made is NULL, and jansson's setters fail with it: an answer is built without a test at
 * each step and checked once, by json_text.
 */
#ifndef COORDINATOR_APP_JSON_H
#define COORDINATOR_APP_JSON_H

#include <jansson.h>

#include "coordinator/app/private.h"

/* The object as text; frees it. NULL with *err set when it could not be made. */
char *json_text(json_t *object, struct zdm_error *err);

/* Setters; each takes what it sets. Text that is empty becomes null where _or_null says so. Text that is not UTF-8 is
 * shown with '?' for what does not fit. */
void put(json_t *object, const char *key, json_t *value);
void put_text(json_t *object, const char *key, const char *text);
void put_text_or_null(json_t *object, const char *key, const char *text);
void put_number(json_t *object, const char *key, int64_t number);
void put_bool(json_t *object, const char *key, bool value);
void put_hex(json_t *object, const char *key, const void *bytes, size_t n);
void put_time(json_t *object, const char *key, int64_t wall_ms);

/* json_approvals.c: every act that needs approvals, and how one phase stands. */
json_t *approvals_json(const struct coord_driver *d, const struct coord_overview *overview);
json_t *phase_approvals_json(const struct coord_driver *d, const struct coord_migration *migration, uint32_t phase,
                             const struct coord_overview *overview);

#endif
