/*
 * check.c - proving that old and new agree: by walking the table over identity, or by a query that must return nothing.
 */
#include "agent/engine/postgresql/backfill.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/journal.h"

enum { QUERY_LIMIT_MS = 3600 * 1000 };

static enum zdm_code differs(struct pgsql_work *w, const struct pgsql_walk *walk, const char *key,
                             struct zdm_error *err)
{
    zdm_error_set(err, ZDM_REFUSED, "row %s of %s.%s does not hold what it should", key, walk->table.schema,
                  walk->table.name);
    zdm_error_detail(err, "%s is not %s.", w->step->derivation->assignments[0].target,
                     w->step->derivation->assignments[0].expr);
    return zdm_error_hint(err, "Look at who writes this row; after it is put right, retry the shard.");
}

/* A row that was found is looked for once more with a new snapshot before it counts. */
static enum zdm_code compare_chunk(struct pgsql_work *w, const struct pgsql_walk *walk, const char *last,
                                   struct zdm_error *err)
{
    for (int look = 0;; look++) {
        ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
        enum zdm_code code = pgsql_walk_range(w, walk->differ_first, walk->differ, last, &res, err);
        if (code != ZDM_OK) {
            return zdm_error_wrap(err, "while comparing the rows of %s.%s", walk->table.schema, walk->table.name);
        }
        if (PQntuples(res) == 0) {
            return ZDM_OK;
        }
        if (look == 1) {
            return differs(w, walk, pgsql_text(res, 0, 0), err);
        }
    }
}

static enum zdm_code compare(struct pgsql_work *w, struct zdm_error *err)
{
    const struct pgsql_walk *walk = NULL;
    struct pgsql_chunk chunk = {0};
    if (w->op->bound == NULL) {
        return zdm_error_set(err, ZDM_BUG, "a comparison without a bound");
    }
    enum zdm_code code = pgsql_walk_get(w, &walk, err);
    if (code == ZDM_OK) {
        code = pgsql_walk_begin(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_walk_next(w, walk, &chunk, err);
    }
    if (code == ZDM_OK && chunk.last != NULL) {
        code = compare_chunk(w, walk, chunk.last, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_walk_move(w, &chunk, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_commit(w, err);
    }
    free(chunk.last);
    return code;
}

/* "name=value, …" of the first row. */
static void row_text(const PGresult *res, struct zdm_buffer *out)
{
    for (int i = 0; i < PQnfields(res); i++) {
        const char *value = pgsql_text(res, 0, i);
        zdm_buffer_printf(out, "%s%s=%s", i == 0 ? "" : ", ", PQfname(res, i), value == NULL ? "NULL" : value);
    }
}

/* Without the semicolon that may end it. */
static void put_query(struct zdm_buffer *b, const char *sql)
{
    size_t n = strlen(sql);
    while (n > 0 && strchr("; \t\r\n", sql[n - 1]) != NULL) {
        n--;
    }
    zdm_buffer_puts(b, "SELECT * FROM (\n");
    zdm_buffer_append(b, sql, n);
    zdm_buffer_puts(b, "\n) AS zdm_check LIMIT 1");
}

static enum zdm_code ask(struct pgsql_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer row = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    uint32_t limit_ms = w->op->time_limit_ms == 0 ? QUERY_LIMIT_MS : w->op->time_limit_ms;
    zdm_buffer_printf(&sql, "SET LOCAL statement_timeout = %" PRIu32 "; SET LOCAL search_path = pg_catalog, ",
                      limit_ms);
    pgsql_put_name(&sql, w->step->table.schema == NULL ? "public" : w->step->table.schema);
    enum zdm_code code = pgsql_begin_reading(w->s, err);
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    }
    zdm_buffer_reset(&sql);
    put_query(&sql, w->step->sql);
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, zdm_buffer_text(&sql), 0, NULL, &res, err);
    }
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while running the check of step %s", w->step->id);
    }
    if (PQntuples(res) > 0) {
        row_text(res, &row);
        zdm_error_set(err, ZDM_REFUSED, "the check of step %s found a row: %.200s", w->step->id, zdm_buffer_text(&row));
        return err->code;
    }
    pgsql_rollback(w->s);
    return ZDM_OK;
}

static enum zdm_code query(struct pgsql_work *w, struct zdm_error *err)
{
    enum zdm_code code = ask(w, err);
    if (code == ZDM_OK) {
        code = pgsql_begin(w->s, NULL, err);
    }
    if (code == ZDM_OK) {
        struct pgsql_move move = {.step = w->op->step, .cursor = w->op->cursor, .walked = true, .keep_walk = true};
        code = pgsql_journal_move(w, &move, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

enum zdm_code pgsql_run_check(struct pgsql_work *w, struct zdm_error *err)
{
    return w->step->action == ZDM_ACTION_CHECK_QUERY ? query(w, err) : compare(w, err);
}
