/*
 * hidden.c - zdm.hidden: what was taken out of sight, and since when (journal.h).
 */
#include "agent/engine/mysql/journal/journal.h"

#include <stdlib.h>
#include <string.h>

#include "agent/engine/journal.h"

/* Milliseconds since 1970 of a time in UTC; UNIX_TIMESTAMP ends in 2038 on MariaDB. */
#define MS_OF(time) "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', " time ") DIV 1000"
#define OF_MS(ms)   "TIMESTAMPADD(MICROSECOND, CAST(" ms " AS SIGNED) * 1000, '1970-01-01 00:00:00.000')"

enum zdm_code mydb_clock(struct mydb_session *s, int64_t *out_ms, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(s, "SELECT " MS_OF("UTC_TIMESTAMP(3)"), 0, NULL, &rows, err);
    if (code == ZDM_OK) {
        *out_ms = mydb_int(rows, 0, 0);
    }
    return code;
}

bool mydb_hidden_is_due(const struct mydb_work *w, const struct mydb_hidden *h, int64_t now_ms, int64_t *out_wait_ms)
{
    int64_t left = h->hidden_at_ms + w->op->grace_ms - now_ms;
    *out_wait_ms = w->op->purge_now || left < 0 ? 0 : left;
    return *out_wait_ms == 0;
}

/* ---- Writing ---- */

static const char *or_nothing(const char *text)
{
    return text == NULL ? "" : text;
}

enum zdm_code mydb_hidden_put(struct mydb_work *w, uint32_t step, const struct mydb_hidden *h, struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.hidden (home, migration, step, table_name, kind, name, hidden_name, by_rollback, definition,"
        " back_sql, state, remark, hidden_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
        " IF($13 = '0', NOW(3), " OF_MS("$13") ")) ON DUPLICATE KEY UPDATE table_name = $4, by_rollback = $8,"
                                               " definition = $9, back_sql = $10, state = $11, remark = $12,"
                                               " hidden_at = IF($13 = '0', NOW(3), " OF_MS("$13") ")";
    char ordinal[AGENT_NUMBER_SIZE], at[AGENT_NUMBER_SIZE];
    const char *params[] = {w->s->database,
                            w->op->migration,
                            agent_number(ordinal, step),
                            h->table,
                            h->kind,
                            h->name,
                            or_nothing(h->hidden_name),
                            h->by_rollback ? "1" : "0",
                            or_nothing(h->definition),
                            h->back_sql,
                            h->state == NULL ? "hidden" : h->state,
                            h->remark,
                            agent_number(at, h->hidden_at_ms < 0 ? 0 : (uint64_t)h->hidden_at_ms)};
    enum zdm_code code = mydb_query(w->s, sql, sizeof params / sizeof *params, params, NULL, err);
    return code == ZDM_OK ? ZDM_OK : mydb_journal_failed(err, "writing zdm.hidden");
}

enum zdm_code mydb_hidden_forget(struct mydb_work *w, uint32_t step, const char *kind, const char *hidden_name,
                                 struct zdm_error *err)
{
    static const char sql[] =
        "DELETE FROM zdm.hidden WHERE home = $1 AND migration = $2 AND step = $3 AND kind = COALESCE($4, kind)"
        " AND hidden_name = COALESCE($5, hidden_name)";
    char ordinal[AGENT_NUMBER_SIZE];
    const char *params[] = {w->s->database, w->op->migration, agent_number(ordinal, step), kind, hidden_name};
    enum zdm_code code = mydb_query(w->s, sql, 5, params, NULL, err);
    return code == ZDM_OK ? ZDM_OK : mydb_journal_failed(err, "writing zdm.hidden");
}

enum zdm_code mydb_hidden_settle(struct mydb_work *w, struct zdm_error *err)
{
    static const char sql[] = "UPDATE zdm.hidden SET state = 'hidden', hidden_at = NOW(3) WHERE home = $1 AND"
                              " migration = $2 AND step = $3 AND state = 'hiding' AND NOT by_rollback";
    char ordinal[AGENT_NUMBER_SIZE];
    const char *params[] = {w->s->database, w->op->migration, agent_number(ordinal, w->op->step)};
    enum zdm_code code = mydb_query(w->s, sql, 3, params, NULL, err);
    return code == ZDM_OK ? ZDM_OK : mydb_journal_failed(err, "writing zdm.hidden");
}

/* ---- Reading ---- */

void mydb_hidden_free(struct mydb_hidden *hidden, size_t n)
{
    (void)n; /* a row without a kind ends the list, whatever part of it the caller looked at */
    for (struct mydb_hidden *h = hidden; h != NULL && h->kind != NULL; h++) {
        free(h->kind);
        free(h->table);
        free(h->name);
        free(h->hidden_name);
        free(h->definition);
        free(h->back_sql);
        free(h->remark);
        free(h->state);
    }
    free(hidden);
}

/* In the order of list_sql; false without memory. */
static bool read_row(struct mydb_hidden *h, const struct mydb_rows *rows, size_t row)
{
    char **const texts[] = {&h->kind,       &h->table,    &h->name,   &h->hidden_name,
                            &h->definition, &h->back_sql, &h->remark, &h->state};
    bool ok = true;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *text = mydb_text(rows, row, i);
        *texts[i] = zdm_strdup(text);
        ok = ok && (text == NULL || *texts[i] != NULL);
    }
    h->by_rollback = mydb_true(rows, row, 8);
    h->hidden_at_ms = mydb_int(rows, row, 9);
    return ok;
}

static const char list_sql[] =
    "SELECT kind, table_name, name, hidden_name, definition, back_sql, remark, state, by_rollback, " MS_OF(
        "hidden_at") " FROM zdm.hidden WHERE home = $1 AND migration = $2 AND ($3 = '0' OR step = $3) AND"
                     " kind = COALESCE($4, kind) ORDER BY step, hidden_at, hidden_name, kind, name";

enum zdm_code mydb_hidden_list(struct mydb_work *w, uint32_t step, const char *kind, struct mydb_hidden **out,
                               size_t *out_n, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    char ordinal[AGENT_NUMBER_SIZE];
    const char *params[] = {w->s->database, w->op->migration, agent_number(ordinal, step), kind};
    enum zdm_code code = mydb_query(w->s, list_sql, 4, params, &rows, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while reading zdm.hidden");
    }
    struct mydb_hidden *list = calloc(rows->n + 1, sizeof *list);
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < rows->n; i++) {
        ok = read_row(&list[i], rows, i);
    }
    if (!ok) {
        mydb_hidden_free(list, rows->n);
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    *out = list;
    *out_n = rows->n;
    return ZDM_OK;
}

/* ---- What people are shown ---- */

/* A table of before-images or of deleted rows is hidden since its last batch. */
static const char show_sql[] =
    "SELECT h.migration, CASE h.kind WHEN 'column' THEN CONCAT('column ', h.table_name, '.', h.name)"
    " WHEN 'index' THEN CONCAT('index ', h.table_name, '.', h.name) WHEN 'table' THEN CONCAT('table ', h.table_name)"
    " ELSE CONCAT(IF(h.definition = '" MYDB_HOLDS_ROWS "', 'deleted rows', 'before-images'), ' of ', h.table_name) END,"
    " " MS_OF("h.hidden_at") ", h.by_rollback, IF(h.kind = 'images', h.hidden_name, NULL) FROM zdm.hidden h WHERE"
                             " h.home = $1 AND h.kind IN ('column', 'index', 'table', 'images') AND h.state = 'hidden'"
                             " ORDER BY h.hidden_at, h.name";

/* How large it is, by the server's statistics. Asked for one table at a time: joined with a table of rows, the server
 * would open every table of every database for it, each time. */
static enum zdm_code put_size(struct mydb_work *w, const char *images, struct agent_hidden *h, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT CONCAT(' (', FORMAT((DATA_LENGTH + INDEX_LENGTH) / 1024, 0, 'en_US'), ' kB)') FROM"
        " information_schema.TABLES WHERE TABLE_SCHEMA = 'zdm' AND TABLE_NAME = $1";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s, sql, 1, (const char *const[]){images}, &rows, err);
    if (code != ZDM_OK) {
        return code;
    }
    size_t n = strlen(h->what);
    const char *size = rows->n > 0 && mydb_text(rows, 0, 0) != NULL ? mydb_text(rows, 0, 0) : " (gone)";
    zdm_copy_text(h->what + n, sizeof h->what - n, size);
    return ZDM_OK;
}

static enum zdm_code show(struct mydb_work *w, const struct mydb_rows *rows, struct zdm_error *err)
{
    struct agent_result *result = w->result;
    enum zdm_code code = ZDM_OK;
    result->hidden = calloc(rows->n + 1, sizeof *result->hidden);
    if (result->hidden == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    result->n_hidden = rows->n;
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        struct agent_hidden *h = &result->hidden[i];
        zdm_copy_text(h->migration, sizeof h->migration, mydb_text(rows, i, 0));
        zdm_copy_text(h->what, sizeof h->what, mydb_text(rows, i, 1));
        h->hidden_at_ms = mydb_int(rows, i, 2);
        h->by_rollback = mydb_true(rows, i, 3);
        h->scans = -1; /* nobody uses an index that is hidden */
        if (mydb_text(rows, i, 4) != NULL) {
            code = put_size(w, mydb_text(rows, i, 4), h, err);
        }
    }
    return code;
}

enum zdm_code mydb_hidden_show(struct mydb_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    bool there = false;
    enum zdm_code code = mydb_journal_exists(w->s, &there, err);
    if (code != ZDM_OK || !there) {
        return code;
    }
    code = mydb_query(w->s, show_sql, 1, (const char *const[]){w->s->database}, &rows, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while reading zdm.hidden");
    }
    return show(w, rows, err);
}
