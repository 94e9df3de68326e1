/*
 * check.c - proving that old and new agree: by walking the table over identity, or by a query that must return nothing.
 * Both on a replica, where one is at hand (check.h).
 */
#include "agent/engine/postgresql/walk/backfill.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/walk/check.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/session/replica.h"
#include "agent/engine/postgresql/watch.h"

enum { QUERY_LIMIT_MS = 3600 * 1000, LOOKS_MAX = 5 };

static enum zdm_code differs(struct pgsql_work *w, const struct pgsql_walk *walk, const char *key,
                             struct zdm_error *err)
{
    zdm_error_set(err, ZDM_REFUSED, "row %s of %s.%s does not hold what it should", key, walk->table.schema,
                  walk->table.name);
    zdm_error_detail(err, "%s is not %s.", w->step->derivation->assignments[0].target,
                     w->step->derivation->assignments[0].expr);
    return zdm_error_hint(err, "Look at who writes this row; after it is put right, retry the shard.");
}

/* What a look at a chunk found. */
struct compared {
    const struct pgsql_walk *walk;
    const char *last;
    char *key;    /* of a row that differs; NULL: none does */
    int64_t left; /* rows that the old column cannot follow */
};

static enum zdm_code look_at_chunk(struct pgsql_work *at, void *ctx, struct zdm_error *err)
{
    struct compared *c = ctx;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    ZDM_CLEANUP(pgsql_clearp) PGresult *left = NULL;
    const struct pgsql_walk *walk = c->walk;
    zdm_freep(&c->key);
    enum zdm_code code = pgsql_walk_range(at, walk->differ_first, walk->differ, c->last, &res, err);
    if (code == ZDM_OK && PQntuples(res) > 0) {
        c->key = zdm_strdup(pgsql_text(res, 0, 0));
        return c->key != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    if (code == ZDM_OK && walk->left != NULL) {
        code = pgsql_walk_range(at, walk->left_first, walk->left, c->last, &left, err);
        c->left = code == ZDM_OK ? pgsql_int(left, 0, 0) : 0;
    }
    return code == ZDM_OK
               ? code
               : zdm_error_wrap(err, "while comparing the rows of %s.%s", walk->table.schema, walk->table.name);
}

/* Is it still different on the primary? Each statement has a snapshot of its own. */
static enum zdm_code look_again(struct pgsql_work *w, const struct pgsql_walk *walk, const char *key, int times,
                                bool *out, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    *out = true;
    for (int i = 0; code == ZDM_OK && *out && i < times; i++) {
        ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
        code = pgsql_query_prepared(w->s, walk->differ_one, 1, (const char *const[]){key}, &res, err);
        *out = code == ZDM_OK && PQntuples(res) > 0;
    }
    return code == ZDM_OK ? code : zdm_error_wrap(err, "while looking at row %s again", key);
}

/* On the primary. A row that was found counts when it is looked up again and still differs; one that does not may have
 * hidden another. */
static enum zdm_code compare_here(struct pgsql_work *w, struct compared *c, struct zdm_error *err)
{
    for (int look = 0; look < LOOKS_MAX; look++) {
        bool still = false;
        enum zdm_code code = look_at_chunk(w, c, err);
        if (code != ZDM_OK || c->key == NULL) {
            return code;
        }
        code = look_again(w, c->walk, c->key, 1, &still, err);
        if (code != ZDM_OK || still) {
            return code == ZDM_OK ? differs(w, c->walk, c->key, err) : code;
        }
    }
    return zdm_error_set(err, ZDM_CONFLICT, "the rows of %s.%s change while they are compared", c->walk->table.schema,
                         c->walk->table.name);
}

/* On a replica, where there is one. *ran: and it was found to be right there. */
static enum zdm_code compare_there(struct pgsql_work *w, struct compared *c, bool *ran, struct zdm_error *err)
{
    char settings[160];
    uint32_t limit_ms = w->op->time_limit_ms == 0 ? QUERY_LIMIT_MS : w->op->time_limit_ms;
    bool still = false;
    pgsql_rollback(w->s);
    snprintf(
        settings, sizeof settings,
        "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL statement_timeout = %" PRIu32,
        limit_ms);
    enum zdm_code code = pgsql_check_there(w, settings, limit_ms, look_at_chunk, c, ran, err);
    if (code == ZDM_OK) {
        code = pgsql_walk_begin(w, err);
    }
    if (code == ZDM_OK && *ran && c->key != NULL) {
        code = look_again(w, c->walk, c->key, 2, &still, err);
        *ran = false;
    }
    return code == ZDM_OK && still ? differs(w, c->walk, c->key, err) : code;
}

static enum zdm_code compare_chunk(struct pgsql_work *w, struct compared *c, struct zdm_error *err)
{
    bool ran = false;
    enum zdm_code code = w->replicas->n > 0 ? compare_there(w, c, &ran, err) : ZDM_OK;
    return code == ZDM_OK && !ran ? compare_here(w, c, err) : code;
}

/* Rows that the old column cannot follow are no failure, but a rollback will not bring them back: they are counted. The
 * first chunk notes when the comparison began, the last one says what came of it. */
static enum zdm_code note_compared(struct pgsql_work *w, const struct compared *c, bool over, int64_t began_ms,
                                   struct zdm_error *err)
{
    static const char note[] =
        "INSERT INTO zdm.compared AS c (migration, step, began_at, rows_left) VALUES ($1, $2::int4, clock_timestamp() -"
        " $5::int8 * interval '1 ms',"
        " $3::int8) ON CONFLICT (migration, step) DO UPDATE SET began_at = CASE WHEN $4::boolean THEN"
        " excluded.began_at ELSE c.began_at END, rows_left = excluded.rows_left + CASE WHEN $4::boolean THEN 0 ELSE"
        " c.rows_left END RETURNING rows_left";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    char step[16], left[24], ago[24];
    bool first = w->op->cursor == NULL;
    if (!first && !over && c->left == 0) {
        return ZDM_OK;
    }
    snprintf(step, sizeof step, "%" PRIu32, w->op->step);
    snprintf(left, sizeof left, "%" PRId64, c->left);
    snprintf(ago, sizeof ago, "%" PRId64, pgsql_now_ms() - began_ms);
    const char *params[] = {w->op->migration, step, left, first ? "true" : "false", ago};
    enum zdm_code code = pgsql_query(w->s, note, 5, params, &res, err);
    if (code == ZDM_OK && over && pgsql_int(res, 0, 0) > 0) {
        snprintf(w->result->remark, sizeof w->result->remark,
                 "in %s row%s of %.60s.%.60s the old column cannot hold what the new one has", pgsql_text(res, 0, 0),
                 pgsql_int(res, 0, 0) == 1 ? "" : "s", w->step->table.schema, w->step->table.name);
    }
    return code == ZDM_OK && over ? pgsql_watch_forget(w, pgsql_now_ms() - began_ms, err) : code;
}

static enum zdm_code compare(struct pgsql_work *w, struct zdm_error *err)
{
    struct compared c = {.walk = NULL};
    struct pgsql_chunk chunk = {0};
    int64_t began_ms = pgsql_now_ms();
    bool fresh = w->memory->walk == NULL, stale = false;
    if (w->op->bound == NULL) {
        return zdm_error_set(err, ZDM_BUG, "a comparison without a bound");
    }
    enum zdm_code code = pgsql_walk_get(w, &c.walk, err);
    if (code == ZDM_OK && fresh) {
        code = pgsql_walk_check_key(w, c.walk, &stale, err);
    }
    if (code == ZDM_OK && stale) {
        return pgsql_walk_start_again(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_walk_begin(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_walk_next(w, c.walk, &chunk, err);
    }
    if (code == ZDM_OK && chunk.last != NULL) {
        c.last = chunk.last;
        code = compare_chunk(w, &c, err);
    }
    if (code == ZDM_OK) {
        code = note_compared(w, &c, pgsql_walk_is_over(w, &chunk), began_ms, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_walk_move(w, &chunk, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_commit(w, err);
    }
    free(c.key);
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

/* The text of the row that the query found, "" for none. */
static enum zdm_code ask(struct pgsql_work *at, void *ctx, struct zdm_error *err)
{
    struct zdm_buffer *row = ctx;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    zdm_buffer_reset(row);
    put_query(&sql, at->step->sql);
    enum zdm_code code = pgsql_query(at->s, zdm_buffer_text(&sql), 0, NULL, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while running the check of step %s", at->step->id);
    }
    if (PQntuples(res) > 0) {
        row_text(res, row);
        zdm_buffer_puts(row, row->len == 0 ? "a row without columns" : "");
    }
    return ZDM_OK;
}

/* On the primary. What is found is looked for once more, with a new snapshot. */
static enum zdm_code ask_here(struct pgsql_work *w, const char *settings, struct zdm_buffer *row, struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin_reading(w->s, err);
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, settings, NULL, err);
    }
    if (code == ZDM_OK) {
        code = ask(w, row, err);
    }
    if (code == ZDM_OK && row->len > 0) {
        code = ask(w, row, err);
    }
    if (code == ZDM_OK) {
        pgsql_rollback(w->s);
    }
    return code;
}

static enum zdm_code ask_all(struct pgsql_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer settings = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer row = ZDM_BUFFER_INIT;
    uint32_t limit_ms = w->op->time_limit_ms == 0 ? QUERY_LIMIT_MS : w->op->time_limit_ms;
    bool ran = false;
    zdm_buffer_printf(&settings, "SET LOCAL statement_timeout = %" PRIu32 "; SET LOCAL search_path = pg_catalog, ",
                      limit_ms);
    pgsql_put_name(&settings, w->step->table.schema == NULL ? "public" : w->step->table.schema);
    enum zdm_code code = pgsql_check_there(w, zdm_buffer_text(&settings), limit_ms, ask, &row, &ran, err);
    if (code == ZDM_OK && (!ran || row.len > 0)) {
        code = ask_here(w, zdm_buffer_text(&settings), &row, err);
    }
    if (code == ZDM_OK && row.len > 0) {
        zdm_error_set(err, ZDM_REFUSED, "the check of step %s found a row: %.200s", w->step->id, zdm_buffer_text(&row));
        return err->code;
    }
    return code;
}

static enum zdm_code query(struct pgsql_work *w, struct zdm_error *err)
{
    enum zdm_code code = ask_all(w, err);
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
