/*
 * journal.c - reading the journal, and the compare-and-set that every change ends with (accept.c: directives).
 *
 * The server gives no row back from an UPDATE: the row is read behind it in the same transaction, which holds it.
 * Whoever waits for the row of another agent, or meets it in a deadlock, starts over: no lock of a table is asked for
 * here.
 */
#include "agent/engine/mysql/journal/journal.h"

#include <stdlib.h>
#include <string.h>

#include "agent/engine/journal.h"

/* ---- Reading ---- */

enum zdm_code mydb_journal_exists(struct mydb_session *s, bool *out, struct zdm_error *err)
{
    static const char sql[] = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'zdm' AND TABLE_NAME"
                              " = 'migration'";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(s, sql, 0, NULL, &rows, err);
    *out = code == ZDM_OK && mydb_int(rows, 0, 0) > 0;
    return code;
}

/* In the order of agent_journal_read; what a rollback has to remark comes from a statement of its own. */
static const char load_sql[] =
    "SELECT m.migration, HEX(m.plan_hash), m.epoch, HEX(m.instance), m.generation, HEX(m.anchor), HEX(m.digest),"
    " HEX(m.directive), HEX(m.directive_signature), HEX(p.envelope), HEX(p.signature), m.step, m.`cursor`, m.bound,"
    " m.walked, m.rows_done, m.rows_total, m.failed_attempt, m.failed_step, m.failed_code, m.failed_text,"
    " m.trust_version, m.entered_phase, m.reached_phase, m.switched_phase, m.purge_now, m.purge_generation,"
    " m.purge_generation_now, HEX(m.undo_nonce), NULL FROM zdm.migration m LEFT JOIN zdm.plan p ON p.home = m.home AND"
    " p.plan_hash = m.plan_hash WHERE m.home = $1 ORDER BY m.migration";

/* What did not come back as it was, of rollbacks under way. */
static const char remarks_sql[] =
    "SELECT r.migration, r.remark FROM (SELECT h.migration, h.step, h.kind, h.name, h.remark FROM zdm.hidden h WHERE"
    " h.home = $1 AND NOT h.by_rollback AND h.state NOT IN ('hiding', 'hidden') UNION ALL SELECT b.migration, b.step,"
    " '', '', " MYDB_WALK_BACK_REMARK " FROM zdm.walk_back b WHERE b.home = $1 AND b.over) r JOIN zdm.migration m ON"
    " m.home = $1 AND m.migration = r.migration AND m.undo_nonce IS NOT NULL WHERE r.remark <> ''"
    " ORDER BY r.migration, r.step DESC, r.kind, r.name";

static void add_remark(struct agent_result *result, const char *migration, const char *remark)
{
    for (size_t i = 0; i < result->n_journals; i++) {
        struct agent_journal *j = &result->journals[i];
        size_t n = strlen(j->remark);
        if (strcmp(j->migration, migration) != 0 || n + 3 > sizeof j->remark) {
            continue;
        }
        zdm_copy_text(j->remark + n, sizeof j->remark - n, n == 0 ? "" : "; ");
        n = strlen(j->remark);
        zdm_copy_text(j->remark + n, sizeof j->remark - n, remark);
    }
}

static enum zdm_code load_remarks(struct mydb_session *s, struct agent_result *result, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(s, remarks_sql, 1, (const char *const[]){s->database}, &rows, err);
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        add_remark(result, mydb_text(rows, i, 0), mydb_text(rows, i, 1));
    }
    return code;
}

static enum zdm_code read_all(const struct mydb_rows *rows, struct agent_result *result, struct zdm_error *err)
{
    result->journals = calloc(rows->n + 1, sizeof *result->journals);
    if (result->journals == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    result->n_journals = rows->n;
    for (size_t i = 0; i < rows->n; i++) {
        if (!agent_journal_read(&result->journals[i], (const char *const *)rows->row[i])) {
            return zdm_error_set(err, ZDM_CORRUPT, "zdm.migration holds a damaged row for %s",
                                 result->journals[i].migration);
        }
    }
    return ZDM_OK;
}

enum zdm_code mydb_journal_load(struct mydb_session *s, struct agent_result *result, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    bool there = false;
    enum zdm_code code = mydb_journal_exists(s, &there, err);
    if (code != ZDM_OK || !there) {
        return code;
    }
    code = mydb_query(s, load_sql, 1, (const char *const[]){s->database}, &rows, err);
    if (code == ZDM_OK) {
        code = read_all(rows, result, err);
    }
    if (code == ZDM_OK) {
        code = load_remarks(s, result, err);
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while reading the journal");
}

/* ---- The compare-and-set ---- */

/* $1 to $8: who must own the row, where it must stand, and that the attempt at hand is not journalled as failed. The
 * last is for two processes with one agent's key: what the one has stopped, the other must not work on with. */
#define FENCE_WHERE                                                                                                    \
    " WHERE home = $1 AND migration = $2 AND epoch = CAST($3 AS UNSIGNED) AND instance = UNHEX($4)"                    \
    " AND generation = CAST($5 AS UNSIGNED)"
#define PLACE_WHERE                                                                                                    \
    FENCE_WHERE " AND step = CAST($6 AS UNSIGNED) AND `cursor` <=> $7"                                                 \
                " AND (failed_attempt = 0 OR failed_attempt < CAST($8 AS UNSIGNED))"
enum { PLACE_PARAMS = 8 };

struct place_text {
    struct agent_fence_text fence;
    char step[AGENT_NUMBER_SIZE], attempt[AGENT_NUMBER_SIZE];
    const char *params[MYDB_PARAMS_MAX]; /* the first PLACE_PARAMS are those of PLACE_WHERE */
};

/* It points into itself. */
static void place_text(struct place_text *out, const struct mydb_work *w)
{
    agent_fence_text(&out->fence, &w->op->fence);
    const char *const params[PLACE_PARAMS] = {
        w->s->database,        w->op->migration,
        out->fence.epoch,      out->fence.instance,
        out->fence.generation, agent_number(out->step, w->op->journal_step),
        w->op->cursor,         agent_number(out->attempt, w->op->attempt),
    };
    memcpy(out->params, params, sizeof params);
}

enum zdm_code mydb_journal_failed(struct zdm_error *err, const char *what)
{
    if (err->code == ZDM_LOCK) {
        err->code = ZDM_CONFLICT;
    }
    return zdm_error_wrap(err, "while %s", what);
}

#define PROGRESS                                                                                                       \
    "step, `cursor`, bound, walked, rows_done, rows_total, entered_phase, reached_phase,"                              \
    " switched_phase, purge_now, purge_generation, purge_generation_now, HEX(undo_nonce)"

static enum zdm_code fill(struct mydb_work *w, const struct mydb_rows *rows, struct zdm_error *err)
{
    if (rows->n != 1) {
        return agent_fenced(err);
    }
    return agent_progress_read(w->result, (const char *const *)rows->row[0])
               ? ZDM_OK
               : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code mydb_journal_fill(struct mydb_work *w, struct zdm_error *err)
{
    static const char sql[] = "SELECT " PROGRESS " FROM zdm.migration WHERE home = $1 AND migration = $2";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *params[] = {w->s->database, w->op->migration};
    enum zdm_code code = mydb_query(w->s, sql, 2, params, &rows, err);
    return code == ZDM_OK ? fill(w, rows, err) : mydb_journal_failed(err, "reading the journal");
}

/* Runs the compare-and-set: one row, or somebody else has moved it. */
static enum zdm_code set_row(struct mydb_work *w, const char *sql, size_t n, const char *const *params,
                             struct zdm_error *err)
{
    enum zdm_code code = mydb_query(w->s, sql, n, params, NULL, err);
    if (code != ZDM_OK) {
        return mydb_journal_failed(err, "writing the journal");
    }
    return mydb_changed(w->s) == 1 ? mydb_journal_fill(w, err) : agent_fenced(err);
}

enum zdm_code mydb_journal_write(struct mydb_work *w, const char *set, size_t n, const char *const *values,
                                 struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct place_text place;
    place_text(&place, w);
    for (size_t i = 0; i < n; i++) {
        place.params[PLACE_PARAMS + i] = values[i];
    }
    zdm_buffer_printf(&sql, "UPDATE zdm.migration SET %s, changed_at = NOW(3)" PLACE_WHERE, set);
    return set_row(w, zdm_buffer_text(&sql), PLACE_PARAMS + n, place.params, err);
}

enum zdm_code mydb_journal_move(struct mydb_work *w, const struct mydb_move *move, struct zdm_error *err)
{
    static const char anew[] = "step = $9, `cursor` = $10, walked = $11, rows_done = IF($12 = '1', 0, rows_done) +"
                               " CAST($13 AS UNSIGNED), bound = $14, walk_key = $15, rows_total = $16";
    static const char on[] = "step = $9, `cursor` = $10, walked = $11, rows_done = IF($12 = '1', 0, rows_done) +"
                             " CAST($13 AS UNSIGNED)";
    char to[AGENT_NUMBER_SIZE], added[AGENT_NUMBER_SIZE], total[AGENT_NUMBER_SIZE];
    const char *values[] = {agent_number(to, move->step),
                            move->cursor,
                            move->walked ? "1" : "0",
                            move->restart ? "1" : "0",
                            agent_number(added, move->rows_added),
                            move->bound,
                            move->walk_key,
                            agent_number(total, move->rows_total)};
    return mydb_journal_write(w, move->keep_walk ? on : anew, move->keep_walk ? 5 : 8, values, err);
}

enum zdm_code mydb_journal_hold(struct mydb_work *w, struct zdm_error *err)
{
    static const char sql[] = "SELECT " PROGRESS " FROM zdm.migration" PLACE_WHERE " FOR UPDATE";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    struct place_text place;
    place_text(&place, w);
    enum zdm_code code = mydb_query(w->s, sql, PLACE_PARAMS, place.params, &rows, err);
    return code == ZDM_OK ? fill(w, rows, err) : mydb_journal_failed(err, "reading the journal");
}

enum zdm_code mydb_journal_check_fence(struct mydb_work *w, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_journal_hold(w, err);
    }
    return code == ZDM_OK ? mydb_commit(w->s, err) : code;
}

enum zdm_code mydb_journal_step_on(struct mydb_work *w, struct zdm_error *err)
{
    if (w->op->step != w->op->journal_step) {
        return mydb_journal_hold(w, err);
    }
    return mydb_journal_move(w, &(struct mydb_move){.step = w->op->step + 1, .restart = true}, err);
}

enum zdm_code mydb_journal_commit(struct mydb_work *w, struct zdm_error *err)
{
    enum zdm_code code = mydb_commit(w->s, err);
    w->result->journal_valid = code == ZDM_OK;
    return code;
}

/* ---- Operations of the journal alone ---- */

static enum zdm_code journal_only(struct mydb_work *w, uint32_t step, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_journal_move(w, &(struct mydb_move){.step = step, .restart = true}, err);
    }
    return code == ZDM_OK ? mydb_journal_commit(w, err) : code;
}

enum zdm_code mydb_run_step_done(struct mydb_work *w, struct zdm_error *err)
{
    return journal_only(w, w->op->step + 1, err);
}

enum zdm_code mydb_journal_uncount(struct mydb_work *w, uint32_t step, struct zdm_error *err)
{
    static const char sql[] =
        "DELETE FROM zdm.compared WHERE home = $1 AND migration = $2 AND step >= CAST($3 AS UNSIGNED)";
    char number[AGENT_NUMBER_SIZE];
    const char *params[] = {w->s->database, w->op->migration, agent_number(number, step)};
    enum zdm_code code = mydb_query(w->s, sql, 3, params, NULL, err);
    return code == ZDM_OK ? ZDM_OK : mydb_journal_failed(err, "writing zdm.compared");
}

enum zdm_code mydb_run_step_back(struct mydb_work *w, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_journal_uncount(w, w->op->step, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_move(w, &(struct mydb_move){.step = w->op->step, .restart = true}, err);
    }
    return code == ZDM_OK ? mydb_journal_commit(w, err) : code;
}

enum zdm_code mydb_run_stop(struct mydb_work *w, struct zdm_error *err)
{
    /* A stop counts wherever the row stands: losing it would make an agent's restart a silent retry. */
    static const char sql[] = "UPDATE zdm.migration SET failed_attempt = $6, failed_step = $7, failed_code = $8,"
                              " failed_text = $9, changed_at = NOW(3)" FENCE_WHERE;
    char attempt[AGENT_NUMBER_SIZE], step[AGENT_NUMBER_SIZE], failed[AGENT_NUMBER_SIZE];
    struct agent_fence_text f;
    agent_fence_text(&f, &w->op->fence);
    const char *params[] = {w->s->database,
                            w->op->migration,
                            f.epoch,
                            f.instance,
                            f.generation,
                            agent_number(attempt, w->op->attempt),
                            agent_number(step, w->op->step),
                            agent_number(failed, (uint64_t)w->op->failed_code),
                            w->op->failed_text == NULL ? "" : w->op->failed_text};
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = set_row(w, sql, sizeof params / sizeof *params, params, err);
    }
    return code == ZDM_OK ? mydb_journal_commit(w, err) : code;
}

/* ---- Looks ---- */

enum zdm_code mydb_journal_place(struct mydb_work *w, struct mydb_place *out, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *params[] = {w->s->database, w->op->migration};
    enum zdm_code code = mydb_query(w->s, "SELECT step, walked FROM zdm.migration WHERE home = $1 AND migration = $2",
                                    2, params, &rows, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while reading the journal");
    }
    *out = rows->n == 1 ? (struct mydb_place){(uint32_t)mydb_int(rows, 0, 0), mydb_true(rows, 0, 1)}
                        : (struct mydb_place){0};
    return ZDM_OK;
}

enum zdm_code mydb_journal_walk_key(struct mydb_work *w, char **out, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *params[] = {w->s->database, w->op->migration};
    enum zdm_code code = mydb_query(w->s, "SELECT walk_key FROM zdm.migration WHERE home = $1 AND migration = $2", 2,
                                    params, &rows, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while reading the journal");
    }
    const char *text = rows->n == 1 ? mydb_text(rows, 0, 0) : NULL;
    *out = zdm_strdup(text);
    return text == NULL || *out != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}
