/*
 * triggers.c - reading information_schema.triggers and zdm.sync (triggers.h). They are compared here, not joined: their
 * names have different character sets, and the catalogue answers quickly only where the table is given.
 */
#include "agent/engine/mysql/walk/triggers.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/engine/mysql/catalog/catalog.h"

void mydb_trigger_name(char out[MYDB_TRIGGER_NAME_SIZE], const char *migration, uint32_t step, char event,
                       bool reverse_only, bool beside)
{
    char hash[9];
    mydb_short_name(hash, migration);
    snprintf(out, MYDB_TRIGGER_NAME_SIZE, "zdm_%s_%" PRIu32 "_%c%s%s", hash, step, event, reverse_only ? "r" : "",
             beside ? "b" : "");
}

bool mydb_trigger_is_ours(const char *name)
{
    if (strncmp(name, "zdm_", 4) != 0 || strspn(name + 4, "0123456789abcdef") != 8 || name[12] != '_') {
        return false;
    }
    const char *p = name + 13;
    size_t digits = strspn(p, "0123456789");
    p += digits;
    if (digits == 0 || p[0] != '_' || (p[1] != 'i' && p[1] != 'u')) {
        return false;
    }
    p += 2;
    p += *p == 'r';
    p += *p == 'b';
    return *p == '\0';
}

enum { AT_NAME, AT_EVENT, AT_ORDER, AT_DEFINER, AT_HASH };

enum zdm_code mydb_triggers_read(struct mydb_session *s, const char *table, struct mydb_triggers *out,
                                 struct zdm_error *err)
{
    static const char sql[] =
        "SELECT trigger_name, event_manipulation, action_order, definer, SHA2(CONCAT_WS('|', action_statement, definer,"
        " sql_mode, character_set_client, collation_connection, event_object_table, event_manipulation), 256) FROM"
        " information_schema.triggers WHERE trigger_schema = $1 AND event_object_schema = $1 AND event_object_table ="
        " $2 AND action_timing = 'BEFORE'";
    *out = (struct mydb_triggers){0};
    enum zdm_code code = mydb_query(s, sql, 2, (const char *const[]){s->database, table}, &out->rows, err);
    out->n = code == ZDM_OK ? out->rows->n : 0;
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while looking at the triggers of %s", table);
}

void mydb_triggers_fini(struct mydb_triggers *t)
{
    mydb_rows_freep(&t->rows);
    t->n = 0;
}

size_t mydb_triggers_find(const struct mydb_triggers *t, const char *name)
{
    size_t at = 0;
    while (at < t->n && strcasecmp(mydb_text(t->rows, at, AT_NAME), name) != 0) {
        at++;
    }
    return at;
}

const char *mydb_triggers_hash(const struct mydb_triggers *t, size_t at)
{
    const char *hash = mydb_text(t->rows, at, AT_HASH);
    return hash == NULL ? "" : hash;
}

const char *mydb_triggers_definer(const struct mydb_triggers *t, size_t at)
{
    return mydb_text(t->rows, at, AT_DEFINER);
}

const char *mydb_triggers_behind(const struct mydb_triggers *t, size_t at)
{
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(mydb_text(t->rows, i, AT_EVENT), mydb_text(t->rows, at, AT_EVENT)) == 0 &&
            mydb_int(t->rows, i, AT_ORDER) > mydb_int(t->rows, at, AT_ORDER) &&
            !mydb_trigger_is_ours(mydb_text(t->rows, i, AT_NAME))) {
            return mydb_text(t->rows, i, AT_NAME);
        }
    }
    return NULL;
}

bool mydb_triggers_is_last(const struct mydb_triggers *t, size_t at)
{
    return mydb_triggers_behind(t, at) == NULL;
}

enum zdm_code mydb_sync_rows_read(struct mydb_work *w, uint32_t step, struct mydb_sync_rows *out, struct zdm_error *err)
{
    static const char sql[] = "SELECT trigger_name, body_hash FROM zdm.sync WHERE home = $1 AND migration = $2 AND step"
                              " = $3 ORDER BY trigger_name";
    char number[16];
    snprintf(number, sizeof number, "%" PRIu32, step);
    *out = (struct mydb_sync_rows){0};
    const char *params[] = {w->s->database, w->op->migration, number};
    enum zdm_code code = mydb_query(w->s, sql, 3, params, &out->rows, err);
    out->n = code == ZDM_OK ? out->rows->n : 0;
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while reading zdm.sync");
}

void mydb_sync_rows_fini(struct mydb_sync_rows *r)
{
    mydb_rows_freep(&r->rows);
    r->n = 0;
}

size_t mydb_sync_rows_find(const struct mydb_sync_rows *r, const char *name)
{
    size_t at = 0;
    while (at < r->n && strcmp(mydb_text(r->rows, at, 0), name) != 0) {
        at++;
    }
    return at;
}

const char *mydb_sync_rows_name(const struct mydb_sync_rows *r, size_t at)
{
    return mydb_text(r->rows, at, 0);
}

const char *mydb_sync_rows_hash(const struct mydb_sync_rows *r, size_t at)
{
    return mydb_text(r->rows, at, 1);
}
