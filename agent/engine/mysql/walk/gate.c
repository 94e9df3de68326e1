/*
 * gate.c - a wait inside a phase, by the database's clock: a time, then a condition.
 *
 * zdm.owned, kind 'wait', says when the step was reached. The row goes with the wait: when it is over, when it has
 * failed (a retry waits anew), and on the way back.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/actions.h"
#include "agent/engine/mysql/journal/journal.h"

enum { CONDITION_MS = 30000, EVERY_MS = 30000 };

#define THIS_WAIT " WHERE home = $1 AND kind = 'wait' AND object = $4"

/* A statement over $1 home, $2 migration, $3 step, $4 the object of this wait. */
static enum zdm_code noted(struct mydb_work *w, const char *sql, struct mydb_rows **out, struct zdm_error *err)
{
    char step[16], object[ZDM_NAME_MAX + 24];
    (void)snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    (void)snprintf(object, sizeof object, "%s %s", w->op->migration, step);
    return mydb_query(w->s, sql, 4, (const char *const[]){w->s->database, w->op->migration, step, object}, out, err);
}

static enum zdm_code forget(struct mydb_work *w, struct zdm_error *err)
{
    return noted(w, "DELETE FROM zdm.owned" THIS_WAIT, NULL, err);
}

/* Notes the beginning where it is not noted yet; how long ago that is. */
static enum zdm_code elapsed(struct mydb_work *w, int64_t *out_ms, struct zdm_error *err)
{
    static const char note[] = "INSERT INTO zdm.owned (home, migration, step, kind, object, since) VALUES ($1, $2, $3,"
                               " 'wait', $4, NOW(3)) ON DUPLICATE KEY UPDATE since = since";
    static const char look[] = "SELECT TIMESTAMPDIFF(MICROSECOND, since, NOW(3)) DIV 1000 FROM zdm.owned" THIS_WAIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = noted(w, note, NULL, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_hold(w, err);
    }
    if (code == ZDM_OK) {
        code = noted(w, look, &rows, err);
    }
    if (code == ZDM_OK) {
        *out_ms = mydb_int(rows, 0, 0);
        code = mydb_commit(w->s, err);
    }
    return code;
}

static enum zdm_code wait_on(struct mydb_work *w, int64_t wait_ms)
{
    w->result->outcome = AGENT_EARLY;
    w->result->wait_ms = wait_ms;
    return ZDM_OK;
}

/* As the server sees a condition: a number other than 0. */
static bool is_true(const char *text)
{
    return text != NULL && strtod(text, NULL) != 0;
}

/* The first value of the first row; a query that takes too long is an answer too: "not yet". */
static enum zdm_code ask(struct mydb_work *w, bool *out_true, char *answer, size_t size, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    int64_t deadline_ms = w->s->deadline_ms, latest_ms = mydb_now_ms() + CONDITION_MS;
    w->s->deadline_ms = deadline_ms < latest_ms ? deadline_ms : latest_ms;
    enum zdm_code code = mydb_begin_reading(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_run(w->s, w->step->wait->until, &rows, err);
    }
    mydb_rollback(w->s);
    w->s->deadline_ms = deadline_ms;
    const char *text = code == ZDM_OK ? mydb_text(rows, 0, 0) : NULL;
    *out_true = is_true(text);
    if (code == ZDM_TIMEOUT && !w->s->gave_up && mydb_is_open(w->s)) {
        w->s->timed_out = false; /* that was the question's limit, not the operation's */
        zdm_copy_text(answer, size, "did not answer within 30 s");
        zdm_error_clear(err);
        return ZDM_OK;
    }
    (void)snprintf(answer, size, "answered %s", text == NULL ? "NULL" : text);
    return code;
}

static enum zdm_code over(struct mydb_work *w, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = forget(w, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_step_on(w, err);
    }
    return code == ZDM_OK ? mydb_journal_commit(w, err) : code;
}

static enum zdm_code too_late(struct mydb_work *w, const char *answer, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = forget(w, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_hold(w, err);
    }
    if (code == ZDM_OK) {
        code = mydb_commit(w->s, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED, "the wait of step %s is over after %" PRId64 " s, and its condition %s",
                  w->step->id, w->step->wait->limit_ms / 1000, answer);
    return zdm_error_hint(err, "A retry of the shard waits anew.");
}

static enum zdm_code look_later(struct mydb_work *w, int64_t ago, const char *answer)
{
    const struct zdm_wait_gate *wait = w->step->wait;
    int64_t every = wait->every_ms > 0 ? wait->every_ms : EVERY_MS;
    bool last = wait->limit_ms > 0 && wait->limit_ms - ago < every;
    (void)snprintf(w->result->blocker, sizeof w->result->blocker, "the condition %s: %.120s", answer, wait->until);
    return wait_on(w, last ? wait->limit_ms - ago : every);
}

enum zdm_code mydb_run_wait(struct mydb_work *w, struct zdm_error *err)
{
    const struct zdm_wait_gate *wait = w->step->wait;
    char answer[120] = "";
    int64_t ago = 0;
    bool met = true;
    if (wait == NULL) {
        return zdm_error_set(err, ZDM_BUG, "step %s does not say what it waits for", w->step->id);
    }
    enum zdm_code code = elapsed(w, &ago, err);
    if (code == ZDM_OK && ago < wait->for_ms) {
        (void)snprintf(w->result->blocker, sizeof w->result->blocker,
                       "waits for another %" PRId64 " s of %" PRId64 " s", (wait->for_ms - ago + 999) / 1000,
                       wait->for_ms / 1000);
        return wait_on(w, wait->for_ms - ago);
    }
    if (code == ZDM_OK && wait->until != NULL) {
        code = ask(w, &met, answer, sizeof answer, err);
    }
    if (code == ZDM_OK && met) {
        return over(w, err);
    }
    if (code == ZDM_OK && wait->limit_ms > 0 && ago >= wait->limit_ms) {
        return too_late(w, answer, err);
    }
    return code == ZDM_OK ? look_later(w, ago, answer) : code;
}

enum zdm_code mydb_back_of_wait(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    (void)table;
    enum zdm_code code = noted(w, "SELECT 1 FROM zdm.owned" THIS_WAIT, &rows, err);
    return code == ZDM_OK ? mydb_answer_back(w, rows->n == 0, AGENT_RUN_UNDO_DDL) : code;
}

enum zdm_code mydb_forget_wait(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    (void)table;
    return forget(w, err);
}
