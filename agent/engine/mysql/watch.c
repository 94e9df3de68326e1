/*
 * watch.c - triggers that are not what they were (sync.h).
 *
 * Each row of zdm.sync that has a hash stands for a trigger that must be there, as it was made, behind the
 * application's own, with a definer that exists. What is found otherwise is kept in zdm.interrupted, also once it is
 * right again: meanwhile rows may have passed by.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/walk/definer.h"
#include "agent/engine/mysql/walk/sync.h"
#include "agent/engine/mysql/walk/triggers.h"

enum { AT_MIGRATION, AT_STEP, AT_TABLE, AT_TRIGGER, AT_HASH };

/* What is wrong with the trigger of a row; "" when nothing is. */
static void judge_trigger(const struct mydb_rows *syncs, size_t row, const struct mydb_triggers *live,
                          enum mydb_definer definer, char out[ZDM_TEXT_MAX / 2])
{
    const char *trigger = mydb_text(syncs, row, AT_TRIGGER), *table = mydb_text(syncs, row, AT_TABLE);
    const size_t size = ZDM_TEXT_MAX / 2, at = mydb_triggers_find(live, trigger);
    out[0] = '\0';
    if (at == live->n) {
        snprintf(out, size, "trigger %s of %s is gone", trigger, table);
    } else if (definer == MYDB_DEFINER_MISSING) {
        snprintf(out, size, MYDB_DEFINER " does not exist: every write to %s fails", table);
    } else if (definer == MYDB_DEFINER_POWERLESS) {
        snprintf(out, size, MYDB_DEFINER " lost its rights: every write to %s fails", table);
    } else if (strcmp(mydb_triggers_definer(live, at), MYDB_DEFINER) != 0) {
        snprintf(out, size, "trigger %s of %s runs as %s", trigger, table, mydb_triggers_definer(live, at));
    } else if (strcmp(mydb_triggers_hash(live, at), mydb_text(syncs, row, AT_HASH)) != 0) {
        snprintf(out, size, "trigger %s of %s was changed", trigger, table);
    } else if (mydb_triggers_behind(live, at) != NULL) {
        snprintf(out, size, "trigger %s of %s runs behind %s", mydb_triggers_behind(live, at), table, trigger);
    }
}

/* Only where the row still has the hash that it had before the catalogue was read: the agent itself, which replaces or
 * drops triggers on another session meanwhile, takes the hash away first. */
static enum zdm_code put_note(struct mydb_work *w, const struct mydb_rows *syncs, size_t row, const char *what,
                              struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.interrupted (home, migration, step, table_name, what) SELECT home, migration, step, "
        "table_name,"
        " $5 FROM zdm.sync WHERE home = $1 AND migration = $2 AND step = $3 AND trigger_name = $4 AND body_hash = $6"
        " ON DUPLICATE KEY UPDATE what = $5, last_at = NOW(3)";
    const char *params[] = {w->s->database,
                            mydb_text(syncs, row, AT_MIGRATION),
                            mydb_text(syncs, row, AT_STEP),
                            mydb_text(syncs, row, AT_TRIGGER),
                            what,
                            mydb_text(syncs, row, AT_HASH)};
    return mydb_query(w->s, sql, 6, params, NULL, err);
}

/* A table that is gone takes its triggers with it, and nothing is to be kept in step. */
static enum zdm_code is_there(struct mydb_work *w, const char *table, bool *out, struct zdm_error *err)
{
    struct mydb_table found;
    enum zdm_code code = mydb_table_find(w->s, table, &found, err);
    *out = code == ZDM_OK;
    if (code == ZDM_NOT_FOUND) {
        zdm_error_clear(err);
        return ZDM_OK;
    }
    return code;
}

/* The rows from `from` on that are of one table; *out_next is the first of the next. */
static enum zdm_code judge_table(struct mydb_work *w, const struct mydb_rows *syncs, size_t from,
                                 enum mydb_definer definer, size_t *out_next, struct zdm_error *err)
{
    const char *table = mydb_text(syncs, from, AT_TABLE);
    struct mydb_triggers live = {0};
    bool there = false;
    size_t i = from;
    enum zdm_code code = is_there(w, table, &there, err);
    if (code == ZDM_OK && there) {
        code = mydb_triggers_read(w->s, table, &live, err);
    }
    for (; code == ZDM_OK && i < syncs->n && strcmp(mydb_text(syncs, i, AT_TABLE), table) == 0; i++) {
        char what[ZDM_TEXT_MAX / 2] = "";
        if (there) {
            judge_trigger(syncs, i, &live, definer, what);
        }
        code = what[0] == '\0' ? ZDM_OK : put_note(w, syncs, i, what, err);
    }
    mydb_triggers_fini(&live);
    *out_next = i;
    return code;
}

static enum zdm_code judge_all(struct mydb_work *w, struct zdm_error *err)
{
    static const char sql[] = "SELECT migration, step, table_name, trigger_name, body_hash FROM zdm.sync WHERE home ="
                              " $1 AND body_hash <> '' ORDER BY table_name, migration, step, trigger_name DESC";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *syncs = NULL;
    enum mydb_definer definer = MYDB_DEFINER_UNKNOWN;
    enum zdm_code code = mydb_query(w->s, sql, 1, (const char *const[]){w->s->database}, &syncs, err);
    if (code == ZDM_OK && syncs->n > 0) {
        code = mydb_definer_look(w->s, &definer, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < syncs->n;) {
        code = judge_table(w, syncs, i, definer, &i, err);
    }
    return code;
}

static enum zdm_code list_interrupted(struct mydb_work *w, struct zdm_error *err)
{
    static const char sql[] = "SELECT migration, step, what, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', first_at) DIV"
                              " 1000 FROM zdm.interrupted WHERE home = $1 ORDER BY migration, step";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s, sql, 1, (const char *const[]){w->s->database}, &rows, err);
    size_t n = code == ZDM_OK ? rows->n : 0;
    if (n == 0) {
        return code;
    }
    w->result->interrupted = calloc(n, sizeof *w->result->interrupted);
    if (w->result->interrupted == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    w->result->n_interrupted = n;
    for (size_t i = 0; i < n; i++) {
        struct agent_interrupted *one = &w->result->interrupted[i];
        zdm_copy_text(one->migration, sizeof one->migration, mydb_text(rows, i, 0));
        one->step = (uint32_t)mydb_uint(rows, i, 1);
        zdm_copy_text(one->what, sizeof one->what, mydb_text(rows, i, 2));
        one->first_ms = mydb_int(rows, i, 3);
    }
    return ZDM_OK;
}

static enum zdm_code list_compared(struct mydb_work *w, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT migration, step, rows_left FROM zdm.compared WHERE home = $1 ORDER BY migration, step";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s, sql, 1, (const char *const[]){w->s->database}, &rows, err);
    size_t n = code == ZDM_OK ? rows->n : 0;
    if (n == 0) {
        return code;
    }
    w->result->compared = calloc(n, sizeof *w->result->compared);
    if (w->result->compared == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    w->result->n_compared = n;
    for (size_t i = 0; i < n; i++) {
        struct agent_compared *one = &w->result->compared[i];
        zdm_copy_text(one->migration, sizeof one->migration, mydb_text(rows, i, 0));
        one->step = (uint32_t)mydb_uint(rows, i, 1);
        one->rows_left = mydb_int(rows, i, 2);
    }
    return ZDM_OK;
}

enum zdm_code mydb_watch_syncs(struct mydb_work *w, struct zdm_error *err)
{
    static const char there_sql[] =
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'zdm' AND table_name = 'interrupted'";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *there = NULL;
    enum zdm_code code = mydb_query(w->s, there_sql, 0, NULL, &there, err);
    if (code != ZDM_OK || mydb_int(there, 0, 0) == 0) {
        return code;
    }
    code = judge_all(w, err);
    if (code == ZDM_OK) {
        code = list_interrupted(w, err);
    }
    if (code == ZDM_OK) {
        code = list_compared(w, err);
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while looking at the triggers");
}

enum zdm_code mydb_watch_compared(struct mydb_work *w, bool *out_interrupted, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT 1 FROM zdm.interrupted WHERE home = $1 AND migration = $2 AND table_name = $3)";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *params[] = {w->s->database, w->op->migration, w->step->table.name};
    enum zdm_code code = mydb_query(w->s, sql, 3, params, &rows, err);
    *out_interrupted = code == ZDM_OK && mydb_true(rows, 0, 0);
    return code;
}

enum zdm_code mydb_watch_forget(struct mydb_work *w, int64_t began_ms_ago, struct zdm_error *err)
{
    static const char sql[] =
        "DELETE FROM zdm.interrupted WHERE home = $1 AND migration = $2 AND table_name = $4 AND last_at <"
        " LEAST((SELECT c.began_at FROM zdm.compared c WHERE c.home = $1 AND c.migration = $2 AND c.step = $3),"
        " NOW(3) - INTERVAL (CAST($5 AS SIGNED) * 1000) MICROSECOND)";
    char step[16], ago[24];
    (void)snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    (void)snprintf(ago, sizeof ago, "%" PRId64, began_ms_ago);
    const char *params[] = {w->s->database, w->op->migration, step, w->step->table.name, ago};
    return mydb_query(w->s, sql, 5, params, NULL, err);
}

enum zdm_code mydb_watch_note(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.interrupted (home, migration, step, table_name, what) VALUES ($1, $2, $3, $4, $5)"
        " ON DUPLICATE KEY UPDATE last_at = NOW(3)";
    char step[16], what[ZDM_TEXT_MAX / 2];
    (void)table;
    (void)snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    (void)snprintf(what, sizeof what, "triggers of %.64s were not what was installed", w->step->table.name);
    const char *params[] = {w->s->database, w->op->migration, step, w->step->table.name, what};
    return mydb_query(w->s, sql, 5, params, NULL, err);
}

static enum zdm_code forget(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    static const char sql[] = "DELETE FROM zdm.interrupted WHERE home = $1 AND migration = $2 AND table_name = $3";
    const char *params[] = {w->s->database, w->op->migration, w->step->table.name};
    (void)table;
    return mydb_query(w->s, sql, 3, params, NULL, err);
}

enum zdm_code mydb_run_let_pass(struct mydb_work *w, struct zdm_error *err)
{
    return mydb_note(w, forget, NULL, false, err);
}
