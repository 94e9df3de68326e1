/*
 * as_is.c - a statement that a person answers for: run as it is written, proven by the person's own query.
 *
 * zdm.owned says that it was this migration which ran it, so that the way back undoes nothing that was there before.
 * What changes rows runs in one transaction with the fence. DDL commits by itself: the intent comes first, and after an
 * answer that was lost the query decides. It runs under the lock rules of all DDL, in both classes; the class says how
 * long it may work.
 *
 * An ALTER TABLE that says no ALGORITHM would silently be a copy of the whole table where nothing else will do. So the
 * agent asks for INSTANT, and then for what builds beside writers: {rewrite-ok} alone lets a copy happen.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/engine/mysql/classify.h"
#include "agent/engine/mysql/ddl.h"
#include "agent/engine/mysql/locks.h"
#include "common/plan/form.h"

/* ---- zdm.owned, kind 'as-is' ---- */

static void put_object(const struct mydb_work *w, char out[ZDM_NAME_MAX + 24])
{
    (void)snprintf(out, ZDM_NAME_MAX + 24, "%s.%" PRIu32, w->op->migration, w->step->ordinal);
}

enum zdm_code mydb_intend_as_is(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    char object[ZDM_NAME_MAX + 24];
    (void)table;
    put_object(w, object);
    return mydb_owned_put(w, "as-is", object, err);
}

enum zdm_code mydb_forget_as_is(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    char object[ZDM_NAME_MAX + 24];
    (void)table;
    put_object(w, object);
    return mydb_owned_forget(w, "as-is", object, err);
}

/* ---- Proof ---- */

enum zdm_code mydb_look_as_is(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                              struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    (void)table;
    if (w->step->proof_sql == NULL) {
        return zdm_error_set(err, ZDM_BUG, "step %s has no query that proves it", w->step->id);
    }
    enum zdm_code code = mydb_run(w->s, w->step->proof_sql, &rows, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while asking whether step %s has done its work", w->step->id);
    }
    *out_proof = mydb_done_if(rows->n == 0);
    return ZDM_OK;
}

enum zdm_code mydb_back_of_as_is(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    char object[ZDM_NAME_MAX + 24];
    bool ours = false;
    (void)table;
    put_object(w, object);
    enum zdm_code code = w->step->inverse == ZDM_INVERSE_SQL ? mydb_owned_is(w, "as-is", object, &ours, err) : ZDM_OK;
    return code == ZDM_OK ? mydb_answer_back(w, !ours, AGENT_RUN_UNDO_DDL) : code;
}

static enum zdm_code look_alone(struct mydb_work *w, enum agent_proof *out_proof, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin_reading(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_look_as_is(w, NULL, out_proof, err);
    }
    mydb_rollback(w->s);
    return code;
}

/* ---- What may run ---- */

static bool begins_with(const char *sql, const char *words)
{
    while (*words != '\0') {
        sql += strspn(sql, " \t\r\n");
        size_t n = strcspn(words, " ");
        if (strncasecmp(sql, words, n) != 0 ||
            strspn(sql + n, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") > 0) {
            return false;
        }
        sql += n;
        words += n + (words[n] == ' ');
    }
    return true;
}

/* Words that let others wait for as long as the whole table takes, and what is said of them. */
static const struct {
    const char *begins, *says, *what;
} blocking[] = {
    {"ALTER TABLE", "COPY", "ALGORITHM=COPY copies the whole table, and nobody can write meanwhile"},
    {"ALTER TABLE", "EXCLUSIVE", "LOCK=EXCLUSIVE keeps everybody away from the table until it is through"},
    {"ALTER TABLE", "SHARED", "LOCK=SHARED keeps writers away from the table until it is through"},
    {"OPTIMIZE", NULL, "OPTIMIZE TABLE writes the whole table anew"},
    {"REPAIR", NULL, "REPAIR TABLE writes the whole table anew"},
    {"CREATE TABLE", "SELECT", "CREATE TABLE … SELECT locks what it reads until it is through"},
};

static enum zdm_code may_run(const struct zdm_step *step, const char *sql, struct zdm_error *err)
{
    size_t n = 0;
    const char *fault = zdm_sql_statements(ZDM_ENGINE_MYSQL, sql, &n);
    if (fault != NULL || n != 1) {
        return zdm_error_set(err, ZDM_REFUSED, "step %s %s", step->id, fault != NULL ? fault : "is not one statement");
    }
    for (size_t i = 0; !step->rewrite_ok && i < sizeof blocking / sizeof *blocking; i++) {
        if (begins_with(sql, blocking[i].begins) && (blocking[i].says == NULL || mydb_says(sql, blocking[i].says))) {
            zdm_error_set(err, ZDM_REFUSED, "%s", blocking[i].what);
            return zdm_error_hint(err, "Say {rewrite-ok} if the table is small.");
        }
    }
    return ZDM_OK;
}

enum zdm_code mydb_may_run_as_is(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    (void)table;
    return may_run(w->step, w->step->sql, err);
}

/* ---- Running ---- */

static bool changes_rows(const char *sql)
{
    static const char *const words[] = {"INSERT", "UPDATE", "DELETE", "REPLACE", "WITH"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (begins_with(sql, words[i])) {
            return true;
        }
    }
    return false;
}

static enum zdm_code run_rows(struct mydb_work *w, const char *sql, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_run(w->s, sql, NULL, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_hold(w, err);
    }
    if (code == ZDM_OK) {
        code = mydb_commit(w->s, err);
    }
    if (code != ZDM_OK) {
        mydb_rollback(w->s);
    }
    return code;
}

static enum zdm_code run_alter(struct mydb_work *w, const char *sql, const char *table, struct zdm_error *err)
{
    enum zdm_code code = mydb_alter_itself(w, table, sql, err);
    if (code == ZDM_OK || !mydb_is_not_online(err)) {
        return code;
    }
    if (w->step->rewrite_ok) {
        zdm_error_clear(err);
        return mydb_ddl(w, table, sql, err);
    }
    struct zdm_error server = *err;
    zdm_error_set(err, ZDM_REFUSED, "only a copy of the whole table could make this change");
    zdm_error_detail(err, "%s", server.message);
    return zdm_error_hint(err, "Nobody could write meanwhile. Say {rewrite-ok} if the table is small.");
}

static enum zdm_code run(struct mydb_work *w, const char *sql, struct zdm_error *err)
{
    const char *table = w->step->table.name == NULL ? "" : w->step->table.name;
    if (changes_rows(sql)) {
        return run_rows(w, sql, err);
    }
    bool plain = begins_with(sql, "ALTER TABLE") && !mydb_says(sql, "ALGORITHM") && !mydb_says(sql, "LOCK");
    return plain ? run_alter(w, sql, table, err) : mydb_ddl(w, table, sql, err);
}

enum zdm_code mydb_run_as_is(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    enum agent_proof proof = AGENT_PROOF_NONE;
    (void)table;
    enum zdm_code code = run(w, w->step->sql, err);
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

enum zdm_code mydb_undo_as_is(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    enum agent_proof proof = AGENT_PROOF_NONE;
    (void)table;
    enum zdm_code code = look_alone(w, &proof, err);
    if (code != ZDM_OK || proof != AGENT_PROOF_DONE) {
        return code;
    }
    code = may_run(w->step, w->step->inverse_sql, err);
    return code == ZDM_OK ? run(w, w->step->inverse_sql, err) : code;
}

/* Its operation has no limit; all else is the same. */
enum zdm_code mydb_run_long_sql(struct mydb_work *w, struct zdm_error *err)
{
    return mydb_run_ddl(w, err);
}
