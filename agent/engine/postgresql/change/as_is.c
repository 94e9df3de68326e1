/*
 * as_is.c - statements that a person answers for: run as they are written, proven by the person's own query.
 *
 * zdm.owned says that it was this migration which ran the statement, so that the way back undoes nothing that was there
 * before. In the short class that row, the statements and the journal's step are one transaction. A long statement
 * cannot be in one: the intent comes first, and after an answer that was lost the query decides. One that is known to
 * take a lock which the application notices waits for it as the short class does, a moment at a time, with the standbys
 * looked at before; the compiler refuses most of them.
 */
#include "agent/engine/postgresql/change/as_is.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/change/ddl.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/looks.h"
#include "agent/engine/postgresql/catalog/owner.h"
#include "agent/engine/postgresql/clone/retarget.h"
#include "agent/engine/postgresql/session/replica.h"
#include "agent/engine/postgresql/session/running.h"
#include "agent/engine/postgresql/clone/trial.h"

/* ---- zdm.owned, kind 'as-is' ---- */

static enum zdm_code owned(struct pgsql_work *w, const char *sql, PGresult **out, struct zdm_error *err)
{
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    return pgsql_query(w->s, sql, 2, (const char *const[]){w->op->migration, step}, out, err);
}

static enum zdm_code note_owned(struct pgsql_work *w, struct zdm_error *err)
{
    return owned(w,
                 "INSERT INTO zdm.owned (migration, step, kind, schema_name, object) VALUES ($1::text, $2::int4,"
                 " 'as-is', $1::text, $2::text) ON CONFLICT (kind, schema_name, object) DO UPDATE SET since = now()",
                 NULL, err);
}

static enum zdm_code is_owned(struct pgsql_work *w, bool *out, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = owned(w,
                               "SELECT FROM zdm.owned WHERE kind = 'as-is' AND migration = $1::text AND step ="
                               " $2::int4",
                               &res, err);
    *out = code == ZDM_OK && PQntuples(res) > 0;
    return code;
}

static enum zdm_code forget_owned(struct pgsql_work *w, struct zdm_error *err)
{
    return owned(w, "DELETE FROM zdm.owned WHERE kind = 'as-is' AND migration = $1::text AND step = $2::int4", NULL,
                 err);
}

/* ---- Proof ---- */

enum zdm_code pgsql_look_as_is(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                               struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    (void)table;
    if (w->step->proof_sql == NULL) {
        return zdm_error_set(err, ZDM_BUG, "step %s has no query that proves it", w->step->id);
    }
    enum zdm_code code = pgsql_query_as_plan(w, w->step->proof_sql, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while asking whether step %s has done its work", w->step->id);
    }
    *out_proof = pgsql_done_if(PQntuples(res) == 0);
    return ZDM_OK;
}

enum zdm_code pgsql_back_of_as_is(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    bool ours = false;
    (void)table;
    enum zdm_code code = w->step->inverse == ZDM_INVERSE_SQL ? is_owned(w, &ours, err) : ZDM_OK;
    return code == ZDM_OK ? pgsql_answer_back(w, !ours, AGENT_RUN_UNDO_DDL) : code;
}

/* ---- The short class ---- */

/* What a statement is sure to lock, by its first words; ALTER TABLE: what the trial saw is weaker at most. What is not
 * here waits for each of its locks under the attempt's limit. */
static const struct {
    const char *words;
    enum pgsql_lock_mode mode;
} locks[] = {
    {"ALTER TABLE", PGSQL_ACCESS_EXCLUSIVE},
    {"CREATE TRIGGER", PGSQL_SHARE_ROW_EXCLUSIVE},
    {"CREATE OR REPLACE TRIGGER", PGSQL_SHARE_ROW_EXCLUSIVE},
    {"CREATE CONSTRAINT TRIGGER", PGSQL_SHARE_ROW_EXCLUSIVE},
    {"CREATE RULE", PGSQL_ACCESS_EXCLUSIVE},
    {"CREATE OR REPLACE RULE", PGSQL_ACCESS_EXCLUSIVE},
    {"CREATE POLICY", PGSQL_ACCESS_EXCLUSIVE},
    {"ALTER POLICY", PGSQL_ACCESS_EXCLUSIVE},
    {"DROP TABLE", PGSQL_ACCESS_EXCLUSIVE},
    {"DROP TRIGGER", PGSQL_ACCESS_EXCLUSIVE},
    {"DROP RULE", PGSQL_ACCESS_EXCLUSIVE},
    {"DROP POLICY", PGSQL_ACCESS_EXCLUSIVE},
    {"TRUNCATE", PGSQL_ACCESS_EXCLUSIVE},
    {"LOCK", PGSQL_ACCESS_EXCLUSIVE},
};

static enum pgsql_lock_mode strongest(const char *sql)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer statement = ZDM_BUFFER_INIT;
    enum pgsql_lock_mode mode = PGSQL_NO_LOCK;
    while (pgsql_next_statement(&sql, &statement)) {
        for (size_t i = 0; i < sizeof locks / sizeof *locks; i++) {
            if (pgsql_begins_with(zdm_buffer_text(&statement), locks[i].words) && locks[i].mode > mode) {
                mode = locks[i].mode;
            }
        }
    }
    return mode;
}

static enum zdm_code lock_one(struct pgsql_short *attempt, const struct zdm_table *name, enum pgsql_lock_mode mode,
                              struct zdm_error *err)
{
    struct pgsql_table table;
    enum zdm_code code = pgsql_table_find(attempt->w->s, name, &table, err);
    if (code == ZDM_NOT_FOUND) {
        zdm_error_clear(err); /* the statement may be about to make it */
        return ZDM_OK;
    }
    bool lockable = table.kind == 'r' || table.kind == 'p';
    return code == ZDM_OK && lockable ? pgsql_short_lock_parent(attempt, &table, mode, err) : code;
}

static enum zdm_code lock_named(struct pgsql_short *attempt, const char *sql, struct zdm_error *err)
{
    const struct zdm_step *step = attempt->w->step;
    enum pgsql_lock_mode mode = sql == NULL ? PGSQL_NO_LOCK : strongest(sql);
    enum zdm_code code = ZDM_OK;
    if (mode != PGSQL_NO_LOCK && step->table.name != NULL) {
        code = lock_one(attempt, &step->table, mode, err);
    }
    for (size_t i = 0; code == ZDM_OK && mode != PGSQL_NO_LOCK && i < step->n_others; i++) {
        code = lock_one(attempt, &step->others[i], mode, err);
    }
    return code;
}

enum zdm_code pgsql_lock_named(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    (void)table;
    return lock_named(attempt, attempt->w->step->sql, err);
}

/* Statements that write a whole table anew under an exclusive lock, whatever a clone shows. */
static const char *const rewriting[] = {"CLUSTER", "VACUUM FULL", "VACUUM (FULL", "REFRESH MATERIALIZED VIEW"};

static enum zdm_code may_run(const struct zdm_step *step, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer statement = ZDM_BUFFER_INIT;
    const char *sql = step->sql;
    while (!step->rewrite_ok && pgsql_next_statement(&sql, &statement)) {
        for (size_t i = 0; i < sizeof rewriting / sizeof *rewriting; i++) {
            if (pgsql_begins_with(zdm_buffer_text(&statement), rewriting[i]) &&
                !pgsql_begins_with(zdm_buffer_text(&statement), "REFRESH MATERIALIZED VIEW CONCURRENTLY")) {
                zdm_error_set(err, ZDM_REFUSED, "%s writes all of it anew under an exclusive lock", rewriting[i]);
                return zdm_error_hint(err, "Say {rewrite-ok} if it is small.");
            }
        }
    }
    return ZDM_OK;
}

enum zdm_code pgsql_may_run_as_is(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    (void)table;
    return may_run(attempt->w->step, err);
}

/* A statement that ends the transaction would leave its work without the fence. */
static enum zdm_code still_inside(struct pgsql_work *w, struct zdm_error *err)
{
    if (PQtransactionStatus(w->s->conn) == PQTRANS_INTRANS) {
        return ZDM_OK;
    }
    zdm_error_set(err, ZDM_REFUSED, "step %s ends the transaction that it runs in", w->step->id);
    return zdm_error_hint(err, "Leave BEGIN, COMMIT and ROLLBACK to the agent.");
}

/* What is made without a schema goes into the table's, and pg_catalog is searched before it all the same. */
static enum zdm_code set_path(struct pgsql_work *w, const char *set, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer path = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&path, "%s search_path = ", set);
    pgsql_put_name(&path, w->step->table.schema == NULL ? "public" : w->step->table.schema);
    zdm_buffer_puts(&path, ", pg_temp");
    return pgsql_script(w->s, zdm_buffer_text(&path), NULL, err);
}

/* Several statements, as they are, and as the owner of the application's tables. */
static enum zdm_code run_script(struct pgsql_work *w, const char *sql, struct zdm_error *err)
{
    struct pgsql_owner owner;
    enum zdm_code code = set_path(w, "SET LOCAL", err);
    if (code == ZDM_OK) {
        code = pgsql_owner_enter(w, &owner, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_owner_explain(&owner, pgsql_script(w->s, sql, NULL, err), err);
    }
    if (code == ZDM_OK) {
        code = still_inside(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_owner_leave(w, &owner, err);
    }
    return code == ZDM_OK ? pgsql_script(w->s, "SET LOCAL search_path = pg_catalog", NULL, err) : code;
}

enum zdm_code pgsql_run_as_is(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    enum agent_proof proof = AGENT_PROOF_NONE;
    (void)table;
    enum zdm_code code = note_owned(w, err);
    if (code == ZDM_OK) {
        code = run_script(w, w->step->sql, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_look_as_is(w, NULL, &proof, err);
    }
    if (code == ZDM_OK && proof != AGENT_PROOF_DONE) {
        zdm_error_set(err, ZDM_REFUSED, "step %s has run, and its check still returns a row", w->step->id);
        return zdm_error_hint(err, "The check must return a row as long as the statement has not done its work, and "
                                   "none afterwards. All of it was rolled back.");
    }
    return code;
}

enum zdm_code pgsql_undo_as_is(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = pgsql_look_as_is(w, table, &proof, err);
    if (code == ZDM_OK && proof == AGENT_PROOF_DONE) {
        code = lock_named(attempt, w->step->inverse_sql, err);
        if (code == ZDM_OK) {
            code = run_script(w, w->step->inverse_sql, err);
        }
    }
    return code == ZDM_OK ? forget_owned(w, err) : code;
}

/* ---- The long class ---- */

static enum zdm_code intend(struct pgsql_work *w, struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = note_owned(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    return code == ZDM_OK ? pgsql_commit(w->s, err) : code;
}

static enum zdm_code look_alone(struct pgsql_work *w, enum agent_proof *out_proof, struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin_reading(w->s, err);
    if (code == ZDM_OK) {
        code = pgsql_look_as_is(w, NULL, out_proof, err);
    }
    pgsql_rollback(w->s);
    return code;
}

/* Beside `locks`: what only the long class has, and the word with which a statement is a gentle one. */
static const struct {
    const char *words, *gentle;
    enum pgsql_lock_mode mode;
} long_locks[] = {
    {"ALTER TABLE", "VALIDATE CONSTRAINT", PGSQL_ACCESS_EXCLUSIVE},
    {"ALTER TABLE", "CONCURRENTLY", PGSQL_ACCESS_EXCLUSIVE},
    {"ALTER TABLE", "FINALIZE", PGSQL_ACCESS_EXCLUSIVE},
    {"ALTER TABLE", "SET STATISTICS", PGSQL_ACCESS_EXCLUSIVE},
    {"CLUSTER", NULL, PGSQL_ACCESS_EXCLUSIVE},
    {"VACUUM FULL", NULL, PGSQL_ACCESS_EXCLUSIVE},
    {"VACUUM (FULL", NULL, PGSQL_ACCESS_EXCLUSIVE},
    {"REFRESH MATERIALIZED VIEW", "CONCURRENTLY", PGSQL_ACCESS_EXCLUSIVE},
    {"REINDEX", "CONCURRENTLY", PGSQL_ACCESS_EXCLUSIVE},
    {"DROP INDEX", "CONCURRENTLY", PGSQL_ACCESS_EXCLUSIVE},
    {"DROP MATERIALIZED VIEW", NULL, PGSQL_ACCESS_EXCLUSIVE},
    {"DROP VIEW", NULL, PGSQL_ACCESS_EXCLUSIVE},
    {"CREATE INDEX", "CONCURRENTLY", PGSQL_SHARE_ROW_EXCLUSIVE},
    {"CREATE UNIQUE INDEX", "CONCURRENTLY", PGSQL_SHARE_ROW_EXCLUSIVE},
};

static enum pgsql_lock_mode strongest_alone(const char *sql)
{
    enum pgsql_lock_mode mode = strongest(sql);
    for (size_t i = 0; i < sizeof long_locks / sizeof *long_locks; i++) {
        if (!pgsql_begins_with(sql, long_locks[i].words)) {
            continue;
        }
        if (long_locks[i].gentle != NULL && strcasestr(sql, long_locks[i].gentle) != NULL) {
            return PGSQL_NO_LOCK;
        }
        mode = long_locks[i].mode > mode ? long_locks[i].mode : mode;
    }
    return mode;
}

static enum zdm_code look_at_readers(struct pgsql_work *w, const struct zdm_table *name, struct zdm_error *err)
{
    static const char sql[] = "SELECT array_agg(oid) FROM (SELECT $1::oid UNION"
                              " SELECT relid::oid FROM pg_partition_tree($1::oid::regclass)) AS tree(oid)";
    struct pgsql_table table;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_table_find(w->s, name, &table, err);
    if (code == ZDM_NOT_FOUND) {
        zdm_error_clear(err); /* the statement may be about to make it */
        return ZDM_OK;
    }
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, sql, 1, (const char *const[]){table.oid}, &res, err);
    }
    return code == ZDM_OK ? pgsql_replicas_look(w, pgsql_text(res, 0, 0), err) : code;
}

/* Who reads the tables that the step names, on the standbys. */
static enum zdm_code clear_replicas(struct pgsql_work *w, struct zdm_error *err)
{
    enum zdm_code code = pgsql_replicas_guard(w, err);
    if (code == ZDM_OK && w->step->table.name != NULL) {
        code = look_at_readers(w, &w->step->table, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < w->step->n_others; i++) {
        code = look_at_readers(w, &w->step->others[i], err);
    }
    return code;
}

enum { LOCK_WAIT_MS = 50, DEADLOCK_MS = 10 };

static enum zdm_code wait_briefly(struct pgsql_work *w, enum pgsql_lock_mode mode, struct zdm_error *err)
{
    char settings[120];
    if (mode == PGSQL_NO_LOCK) {
        return ZDM_OK;
    }
    uint32_t wait_ms = w->op->lock_wait_ms != 0 ? w->op->lock_wait_ms : LOCK_WAIT_MS;
    int n = snprintf(settings, sizeof settings, "SET lock_timeout = %" PRIu32, wait_ms);
    if (w->s->may_set_deadlock_timeout) {
        (void)snprintf(settings + n, sizeof settings - (size_t)n, "; SET deadlock_timeout = %d", DEADLOCK_MS);
    }
    enum zdm_code code = mode == PGSQL_ACCESS_EXCLUSIVE ? clear_replicas(w, err) : ZDM_OK;
    return code == ZDM_OK ? pgsql_script(w->s, settings, NULL, err) : code;
}

/* Who was in the way, where the table is known. */
static enum zdm_code explain_lock(struct pgsql_work *w, enum pgsql_lock_mode mode, enum zdm_code code,
                                  struct zdm_error *err)
{
    struct pgsql_table table;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    bool known = code == ZDM_LOCK && mode != PGSQL_NO_LOCK && w->result->blocker[0] == '\0' &&
                 w->step->table.name != NULL && pgsql_is_open(w->s) &&
                 pgsql_table_find(w->s, &w->step->table, &table, &ignored) == ZDM_OK;
    return known ? pgsql_not_locked(w, &table, mode, err) : code;
}

/* A session that is not what it was must not go on. Who may not set deadlock_timeout may not reset it either. */
static void put_right(struct pgsql_work *w, const struct pgsql_owner *owner)
{
    const char *settings = w->s->may_set_deadlock_timeout
                               ? "SET search_path = pg_catalog; SET lock_timeout = 0; RESET deadlock_timeout"
                               : "SET search_path = pg_catalog; SET lock_timeout = 0";
    struct zdm_error ignored = ZDM_ERROR_INIT;
    if (pgsql_is_open(w->s) && ((owner != NULL && pgsql_owner_leave(w, owner, &ignored) != ZDM_OK) ||
                                pgsql_script(w->s, settings, NULL, &ignored) != ZDM_OK)) {
        pgsql_close(w->s);
    }
}

/* Outside of a transaction. */
static enum zdm_code run_alone(struct pgsql_work *w, const char *sql, struct zdm_error *err)
{
    struct pgsql_owner owner = {.role = ""};
    enum pgsql_lock_mode mode = strongest_alone(sql);
    enum zdm_code code = wait_briefly(w, mode, err); /* as the agent, who may set what the owner may not */
    if (code == ZDM_OK) {
        code = pgsql_owner_enter(w, &owner, err);
    }
    if (code != ZDM_OK) {
        put_right(w, NULL);
        return code;
    }
    code = set_path(w, "SET", err);
    if (code == ZDM_OK) {
        code = pgsql_owner_explain(&owner, pgsql_query(w->s, sql, 0, NULL, NULL, err), err);
    }
    put_right(w, &owner);
    code = explain_lock(w, mode, code, err);
    return code != ZDM_OK && !pgsql_is_open(w->s)
               ? zdm_error_set(err, ZDM_UNKNOWN, "the connection was lost while the statement ran")
               : code;
}

static enum zdm_code run_long(struct pgsql_work *w, struct zdm_error *err)
{
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = pgsql_not_running(w, w->step->sql, err);
    if (code == ZDM_OK) {
        code = may_run(w->step, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_prove_on_clone(w, err);
    }
    if (code == ZDM_OK) {
        code = intend(w, err);
    }
    if (code == ZDM_OK) {
        code = run_alone(w, w->step->sql, err);
    }
    if (code == ZDM_OK) {
        code = look_alone(w, &proof, err);
    }
    if (code == ZDM_OK && proof != AGENT_PROOF_DONE) {
        zdm_error_set(err, ZDM_REFUSED, "step %s has run, and its check still returns a row", w->step->id);
        return zdm_error_hint(err, "The check must return a row as long as the statement has not done its work, and "
                                   "none afterwards.");
    }
    return code;
}

enum zdm_code pgsql_run_long_sql(struct pgsql_work *w, struct zdm_error *err)
{
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = look_alone(w, &proof, err);
    bool done = proof == AGENT_PROOF_DONE;
    if (code == ZDM_OK && !done) {
        code = run_long(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_begin(w->s, NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_step_on(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_commit(w, err);
    }
    if (code == ZDM_OK && done) {
        w->result->outcome = AGENT_ALREADY;
    }
    return code;
}
