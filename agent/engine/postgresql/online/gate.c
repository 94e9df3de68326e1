/*
 * gate.c - a wait inside a phase, by the database's clock: a time, then a condition (gate.h).
 *
 * zdm.owned, kind 'wait', says when the step was reached. The row goes with the wait: when it is over, when it has
 * failed (a retry waits anew), and on the way back.
 */
#include "agent/engine/postgresql/online/gate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/looks.h"

enum { CONDITION_MS = 30000, EVERY_MS = 30000 };

static enum zdm_code noted(struct pgsql_work *w, const char *sql, PGresult **out, struct zdm_error *err)
{
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    return pgsql_query(w->s, sql, 2, (const char *const[]){w->op->migration, step}, out, err);
}

static enum zdm_code forget(struct pgsql_work *w, struct zdm_error *err)
{
    return noted(w, "DELETE FROM zdm.owned WHERE kind = 'wait' AND migration = $1::text AND step = $2::int4", NULL,
                 err);
}

/* Notes the beginning where it is not noted yet; how long ago that is. */
static enum zdm_code elapsed(struct pgsql_work *w, int64_t *out_ms, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = noted(w,
                     "INSERT INTO zdm.owned (migration, step, kind, schema_name, object, since) VALUES ($1::text,"
                     " $2::int4, 'wait', $1::text, $2::text, clock_timestamp()) ON CONFLICT DO NOTHING",
                     NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    if (code == ZDM_OK) {
        code = noted(w,
                     "SELECT (extract(epoch FROM clock_timestamp() - since) * 1000)::int8 FROM zdm.owned WHERE"
                     " kind = 'wait' AND schema_name = $1::text AND object = $2::text",
                     &res, err);
    }
    if (code == ZDM_OK) {
        *out_ms = PQntuples(res) > 0 ? pgsql_int(res, 0, 0) : 0;
        code = pgsql_commit(w->s, err);
    }
    return code;
}

static enum zdm_code wait_on(struct pgsql_work *w, int64_t wait_ms)
{
    w->result->outcome = AGENT_EARLY;
    w->result->wait_ms = wait_ms;
    return ZDM_OK;
}

/* The first value of the first row; a failure of the query is an answer too: "not yet", with its text. */
static enum zdm_code ask(struct pgsql_work *w, bool *out_true, char *answer, size_t size, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    char limit[64];
    snprintf(limit, sizeof limit, "SET LOCAL statement_timeout = %d", (int)CONDITION_MS);
    enum zdm_code code = pgsql_begin_reading(w->s, err);
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, limit, NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_query_as_plan(w, w->step->wait->until, &res, err);
    }
    pgsql_rollback(w->s);
    const char *text = code == ZDM_OK && PQntuples(res) > 0 && PQnfields(res) > 0 ? pgsql_text(res, 0, 0) : NULL;
    *out_true = text != NULL && (strcmp(text, "t") == 0 || strcmp(text, "true") == 0);
    if (code == ZDM_TIMEOUT && !w->s->gave_up && pgsql_is_open(w->s)) {
        zdm_copy_text(answer, size, "did not answer within 30 s");
        zdm_error_clear(err);
        return ZDM_OK;
    }
    (void)snprintf(answer, size, "answered %s", text == NULL ? "NULL" : text);
    return code;
}

static enum zdm_code over(struct pgsql_work *w, struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = forget(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_step_on(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

static enum zdm_code too_late(struct pgsql_work *w, const char *answer, struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = forget(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_commit(w->s, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED, "the wait of step %s is over after %" PRId64 " s, and its condition %s",
                  w->step->id, w->step->wait->limit_ms / 1000, answer);
    return zdm_error_hint(err, "A retry of the shard waits anew.");
}

enum zdm_code pgsql_run_wait(struct pgsql_work *w, struct zdm_error *err)
{
    const struct zdm_wait_gate *wait = w->step->wait;
    struct agent_result *r = w->result;
    char answer[120] = "";
    int64_t ago = 0;
    bool met = true;
    if (wait == NULL) {
        return zdm_error_set(err, ZDM_BUG, "step %s does not say what it waits for", w->step->id);
    }
    enum zdm_code code = elapsed(w, &ago, err);
    if (code == ZDM_OK && ago < wait->for_ms) {
        (void)snprintf(r->blocker, sizeof r->blocker, "waits for another %" PRId64 " s of %" PRId64 " s",
                       (wait->for_ms - ago + 999) / 1000, wait->for_ms / 1000);
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
    if (code == ZDM_OK) {
        int64_t every = wait->every_ms > 0 ? wait->every_ms : EVERY_MS;
        bool last = wait->limit_ms > 0 && wait->limit_ms - ago < every;
        (void)snprintf(r->blocker, sizeof r->blocker, "the condition %s: %.120s", answer, wait->until);
        return wait_on(w, last ? wait->limit_ms - ago : every);
    }
    return code;
}

enum zdm_code pgsql_back_of_wait(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    (void)table;
    enum zdm_code code =
        noted(w, "SELECT FROM zdm.owned WHERE kind = 'wait' AND migration = $1::text AND step = $2::int4", &res, err);
    return code == ZDM_OK ? pgsql_answer_back(w, PQntuples(res) == 0, AGENT_RUN_UNDO_DDL) : code;
}

enum zdm_code pgsql_undo_wait(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    (void)table;
    return forget(attempt->w, err);
}
