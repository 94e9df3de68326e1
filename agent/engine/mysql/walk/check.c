/*
 * check.c - proving that old and new agree: by walking the table over identity, or by a query that must return nothing.
 * Both on a replica, where one is at hand that has applied what the primary had (database.md 24); what is found there
 * is looked up again on the primary.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/journal/journal.h"
#include "agent/engine/mysql/session/replica.h"
#include "agent/engine/mysql/walk/walk_sql.h"
#include "agent/engine/steps.h"

enum { QUERY_LIMIT_MS = 3600 * 1000, LOOKS_MAX = 5 };

/* ---- On a replica ---- */

/* Looks; `at` is the work with the session that is asked. */
typedef enum zdm_code look_fn(struct mydb_work *at, void *ctx, struct zdm_error *err);

static bool has_replicas(const struct mydb_work *w)
{
    return w->replicas != NULL && w->replicas->n > 0;
}

static int64_t limit_ms(const struct mydb_work *w)
{
    return w->op->time_limit_ms == 0 ? QUERY_LIMIT_MS : w->op->time_limit_ms;
}

/* *ran says whether a replica answered: none is configured, near enough or undisturbed, and the primary has to do it.
 * The session of the primary is outside of a transaction: nothing there is held while a replica is waited for. */
static enum zdm_code look_there(struct mydb_work *w, look_fn *look, void *ctx, bool *ran, struct zdm_error *err)
{
    struct zdm_error trouble = ZDM_ERROR_INIT;
    struct mydb_session *there = NULL;
    int64_t begun_ms = mydb_now_ms();
    *ran = false;
    enum zdm_code code = mydb_replica_for_check(w, &there, err);
    if (code != ZDM_OK || there == NULL) {
        return code;
    }
    struct mydb_work at = *w;
    at.s = there;
    there->deadline_ms = mydb_now_ms() + limit_ms(w);
    code = mydb_begin_reading(there, &trouble);
    if (code == ZDM_OK) {
        code = look(&at, ctx, &trouble);
    }
    bool stopped = code != ZDM_OK && there->gave_up;
    mydb_rollback(there);
    *ran = code == ZDM_OK;
    w->checked_on[0] = *ran ? w->checked_on[0] : '\0';
    /* The primary's part has its own time. */
    if (w->s->deadline_ms != INT64_MAX) {
        w->s->deadline_ms += mydb_now_ms() - begun_ms;
    }
    return stopped ? zdm_error_set(err, ZDM_CANCELLED, "cancelled") : ZDM_OK;
}

/* ---- Comparing ---- */

static enum zdm_code differs(struct mydb_work *w, const struct mydb_walk *walk, const char *key, struct zdm_error *err)
{
    zdm_error_set(err, ZDM_REFUSED, "row %s of %s does not hold what it should", key, walk->facts.table.name);
    zdm_error_detail(err, "%s is not %s.", w->step->derivation->assignments[0].target,
                     w->step->derivation->assignments[0].expr);
    return zdm_error_hint(err, "Look at who writes this row; after it is put right, retry the shard.");
}

/* What a look at a chunk found. */
struct compared {
    const struct mydb_walk *walk;
    const char *last;
    bool switched;
    char *key;     /* of a row that differs; NULL: none does */
    uint64_t left; /* rows that the old column cannot follow */
};

/* The key of a row that differs, in the span or with that key; *out NULL: none. */
static enum zdm_code find_different(struct mydb_work *at, const struct compared *c, const char *key, char **out,
                                    struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const struct mydb_facts *facts = &c->walk->facts;
    struct mydb_span span = {.after = at->op->cursor, .to = c->last};
    zdm_freep(out);
    enum zdm_code code = mydb_walk_differ_text(&sql, facts, span, key, c->switched, err);
    if (code == ZDM_OK) {
        code = mydb_run(at->s, zdm_buffer_text(&sql), &rows, err);
    }
    return code == ZDM_OK && rows->n > 0 ? mydb_cursor_of(&facts->key, rows, 0, 0, out, err) : code;
}

static enum zdm_code count_left(struct mydb_work *at, struct compared *c, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    struct mydb_span span = {.after = at->op->cursor, .to = c->last};
    enum zdm_code code = mydb_walk_left_text(&sql, &c->walk->facts, span, err);
    if (code == ZDM_OK) {
        code = mydb_run(at->s, zdm_buffer_text(&sql), &rows, err);
    }
    c->left = code == ZDM_OK ? mydb_uint(rows, 0, 0) : 0;
    return code;
}

static enum zdm_code look_at_chunk(struct mydb_work *at, void *ctx, struct zdm_error *err)
{
    struct compared *c = ctx;
    enum zdm_code code = find_different(at, c, NULL, &c->key, err);
    if (code == ZDM_OK && c->key == NULL && c->switched) {
        code = count_left(at, c, err);
    }
    return code == ZDM_OK ? code : zdm_error_wrap(err, "while comparing the rows of %s", c->walk->facts.table.name);
}

/* Is it still different on the primary? Each statement has a snapshot of its own. */
static enum zdm_code look_again(struct mydb_work *w, const struct compared *c, int times, bool *out,
                                struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    *out = true;
    for (int i = 0; code == ZDM_OK && *out && i < times; i++) {
        ZDM_CLEANUP(zdm_freep) char *key = NULL;
        code = find_different(w, c, c->key, &key, err);
        *out = code == ZDM_OK && key != NULL;
    }
    return code == ZDM_OK ? code : zdm_error_wrap(err, "while looking at row %s again", c->key);
}

/* On the primary. A row that was found counts when it is looked up again and still differs; one that does not may have
 * hidden another. */
static enum zdm_code compare_here(struct mydb_work *w, struct compared *c, struct zdm_error *err)
{
    for (int look = 0; look < LOOKS_MAX; look++) {
        bool still = false;
        enum zdm_code code = look_at_chunk(w, c, err);
        if (code != ZDM_OK || c->key == NULL) {
            return code;
        }
        code = look_again(w, c, 1, &still, err);
        if (code != ZDM_OK || still) {
            return code == ZDM_OK ? differs(w, c->walk, c->key, err) : code;
        }
    }
    return zdm_error_set(err, ZDM_CONFLICT, "the rows of %s change while they are compared", c->walk->facts.table.name);
}

/* On a replica, where there is one. *ran: and it was found to be right there. */
static enum zdm_code compare_there(struct mydb_work *w, struct compared *c, bool *ran, struct zdm_error *err)
{
    bool still = false;
    mydb_rollback(w->s);
    enum zdm_code code = look_there(w, look_at_chunk, c, ran, err);
    if (code == ZDM_OK) {
        code = mydb_begin(w->s, err);
    }
    if (code == ZDM_OK && *ran && c->key != NULL) {
        code = look_again(w, c, 2, &still, err);
        *ran = false;
    }
    return code == ZDM_OK && still ? differs(w, c->walk, c->key, err) : code;
}

static enum zdm_code compare_chunk(struct mydb_work *w, struct compared *c, struct zdm_error *err)
{
    bool ran = false;
    enum zdm_code code = has_replicas(w) ? compare_there(w, c, &ran, err) : ZDM_OK;
    return code == ZDM_OK && !ran ? compare_here(w, c, err) : code;
}

/* Rows so far that the old column cannot follow. */
static enum zdm_code say_left(struct mydb_work *w, const char *step, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT rows_left FROM zdm.compared WHERE home = $1 AND migration = $2 AND step = $3 AND rows_left > 0";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code =
        mydb_query(w->s, sql, 3, (const char *const[]){w->s->database, w->op->migration, step}, &rows, err);
    if (code == ZDM_OK && rows->n > 0) {
        (void)snprintf(w->result->remark, sizeof w->result->remark,
                       "in %s row%s of %.64s the old column cannot hold what the new one has", mydb_text(rows, 0, 0),
                       mydb_uint(rows, 0, 0) == 1 ? "" : "s", w->step->table.name);
    }
    return code;
}

/* Such rows are no failure, but a rollback will not bring them back: they are counted. The first chunk notes when the
 * comparison began, the last one says what came of it. */
static enum zdm_code note_compared(struct mydb_work *w, const struct compared *c, bool over, int64_t began_ms,
                                   struct zdm_error *err)
{
    static const char of_first[] =
        "INSERT INTO zdm.compared (home, migration, step, began_at, rows_left) VALUES ($1, $2, $3, NOW(3) - INTERVAL"
        " ($5 * 1000) MICROSECOND, $4) ON DUPLICATE KEY UPDATE began_at = NOW(3) - INTERVAL ($5 * 1000) MICROSECOND,"
        " rows_left = $4";
    static const char of_later[] =
        "INSERT INTO zdm.compared (home, migration, step, began_at, rows_left) VALUES ($1, $2, $3, NOW(3) - INTERVAL"
        " ($5 * 1000) MICROSECOND, $4) ON DUPLICATE KEY UPDATE rows_left = rows_left + $4";
    char step[16], left[24], ago[24];
    bool first = w->op->cursor == NULL;
    if (!first && !over && c->left == 0) {
        return ZDM_OK;
    }
    (void)snprintf(step, sizeof step, "%" PRIu32, w->op->step);
    (void)snprintf(left, sizeof left, "%" PRIu64, c->left);
    (void)snprintf(ago, sizeof ago, "%" PRId64, mydb_now_ms() - began_ms);
    const char *const params[] = {w->s->database, w->op->migration, step, left, ago};
    enum zdm_code code = mydb_query(w->s, first ? of_first : of_later, 5, params, NULL, err);
    if (code == ZDM_OK && over) {
        code = say_left(w, step, err);
    }
    return code == ZDM_OK && over ? mydb_watch_forget(w, mydb_now_ms() - began_ms, err) : code;
}

static enum zdm_code compare_and_move(struct mydb_work *w, struct compared *c, struct mydb_chunk *chunk,
                                      int64_t began_ms, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_walk_next(w, c->walk, chunk, err);
    }
    if (code == ZDM_OK && chunk->last != NULL) {
        c->last = chunk->last;
        code = compare_chunk(w, c, err);
    }
    if (code == ZDM_OK) {
        code = note_compared(w, c, mydb_walk_is_over(w, chunk), began_ms, err);
    }
    if (code == ZDM_OK) {
        code = mydb_walk_move(w, chunk, err);
    }
    return code == ZDM_OK ? mydb_journal_commit(w, err) : code;
}

static enum zdm_code compare(struct mydb_work *w, struct zdm_error *err)
{
    struct compared c = {.switched = agent_step_is_switched(w->op->plan, w->step)};
    struct mydb_chunk chunk = {0};
    int64_t began_ms = mydb_now_ms();
    if (w->op->bound == NULL) {
        return zdm_error_set(err, ZDM_BUG, "a comparison without a bound");
    }
    enum zdm_code code = mydb_walk_get(w, &c.walk, err);
    if (code == ZDM_OK) {
        code = compare_and_move(w, &c, &chunk, began_ms, err);
    }
    free(c.key);
    free(chunk.last);
    return code;
}

/* ---- A query ---- */

/* "name=value, …" of the first row. */
static void row_text(const struct mydb_rows *rows, struct zdm_buffer *out)
{
    for (size_t i = 0; i < rows->columns; i++) {
        const char *value = mydb_text(rows, 0, i);
        zdm_buffer_printf(out, "%s%s=%s", i == 0 ? "" : ", ", rows->name[i], value == NULL ? "NULL" : value);
    }
}

/* The text of the row that the query found, "" for none. It runs as it was written: as a part of another one, two
 * columns of one name would be an error. The server sends one row of it at most. */
static enum zdm_code ask(struct mydb_work *at, void *ctx, struct zdm_error *err)
{
    struct zdm_buffer *row = ctx;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    zdm_buffer_reset(row);
    enum zdm_code code = mydb_run(at->s, "SET SESSION sql_select_limit = 1", NULL, err);
    if (code == ZDM_OK) {
        code = mydb_run(at->s, at->step->sql, &rows, err);
    }
    if (mydb_is_open(at->s) &&
        mydb_run(at->s, "SET SESSION sql_select_limit = 18446744073709551615", NULL, &ignored) != ZDM_OK) {
        mydb_close(at->s); /* nothing else may be cut off */
    }
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while running the check of step %s", at->step->id);
    }
    if (rows->n > 0) {
        row_text(rows, row);
        zdm_buffer_puts(row, row->len == 0 ? "a row without columns" : "");
    }
    return ZDM_OK;
}

/* On the primary. What is found is looked for once more, with a new snapshot. */
static enum zdm_code ask_here(struct mydb_work *w, struct zdm_buffer *row, struct zdm_error *err)
{
    int64_t latest_ms = mydb_now_ms() + limit_ms(w);
    w->s->deadline_ms = w->s->deadline_ms < latest_ms ? w->s->deadline_ms : latest_ms;
    enum zdm_code code = mydb_begin_reading(w->s, err);
    if (code == ZDM_OK) {
        code = ask(w, row, err);
    }
    if (code == ZDM_OK && row->len > 0) {
        code = ask(w, row, err);
    }
    mydb_rollback(w->s);
    return code;
}

static enum zdm_code ask_all(struct mydb_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer row = ZDM_BUFFER_INIT;
    bool ran = false;
    enum zdm_code code = has_replicas(w) ? look_there(w, ask, &row, &ran, err) : ZDM_OK;
    if (code == ZDM_OK && (!ran || row.len > 0)) {
        code = ask_here(w, &row, err);
    }
    if (code == ZDM_OK && row.len > 0) {
        return zdm_error_set(err, ZDM_REFUSED, "the check of step %s found a row: %.200s", w->step->id,
                             zdm_buffer_text(&row));
    }
    return code;
}

static enum zdm_code query(struct mydb_work *w, struct zdm_error *err)
{
    enum zdm_code code = ask_all(w, err);
    if (code == ZDM_OK) {
        code = mydb_begin(w->s, err);
    }
    if (code == ZDM_OK) {
        struct mydb_move move = {.step = w->op->step, .cursor = w->op->cursor, .walked = true, .keep_walk = true};
        code = mydb_journal_move(w, &move, err);
    }
    return code == ZDM_OK ? mydb_journal_commit(w, err) : code;
}

enum zdm_code mydb_run_check(struct mydb_work *w, struct zdm_error *err)
{
    return w->step->action == ZDM_ACTION_CHECK_QUERY ? query(w, err) : compare(w, err);
}
