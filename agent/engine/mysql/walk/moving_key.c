/*
 * moving_key.c - whether an UPDATE would move rows along the key that its batches go by (walk.h).
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/engine/mysql/walk/walk.h"

/* Every UPDATE would give each row another key: a batch could not say what it did to which. */
static enum zdm_code refuse_stamps(const char *table, const struct mydb_column *column, struct zdm_error *err)
{
    if (column->family != MYDB_TIME || column->definition == NULL ||
        strcasestr(column->definition, " ON UPDATE ") == NULL) {
        return ZDM_OK;
    }
    zdm_error_set(err, ZDM_UNSUPPORTED, "%s cannot be walked by %s, which every UPDATE sets to the time", table,
                  column->name);
    return zdm_error_hint(err, "Add a primary key or a unique index that stays.");
}

/* The column itself, or what it is generated from. */
static bool moves_with(const struct mydb_column *column, const char *target)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
    if (strcasecmp(column->name, target) == 0) {
        return true;
    }
    mydb_put_name(&name, target);
    return column->generated && column->definition != NULL &&
           strcasestr(column->definition, zdm_buffer_text(&name)) != NULL;
}

static enum zdm_code refuse_target(const char *table, const char *column, const char *target, struct zdm_error *err)
{
    zdm_error_set(err, ZDM_REFUSED,
                  "column %s of %s cannot be changed in batches: they go along the key, which it belongs to", target,
                  table);
    zdm_error_detail(err,
                     "A row whose %s moves would be met again and changed twice, and its image is kept by that "
                     "key.",
                     column);
    return zdm_error_hint(err, "Put the new values into a column of its own and make that one the key, or write one "
                               "statement in an as-is fence.");
}

enum zdm_code mydb_key_keeps(const char *table, const struct mydb_key *key, const struct zdm_derivation *d,
                             struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < key->n; i++) {
        code = refuse_stamps(table, &key->columns[i], err);
        for (size_t n = 0; code == ZDM_OK && n < d->n_assignments; n++) {
            if (moves_with(&key->columns[i], d->assignments[n].target)) {
                code = refuse_target(table, key->columns[i].name, d->assignments[n].target, err);
            }
        }
    }
    return code;
}
