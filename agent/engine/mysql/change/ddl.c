/*
 * ddl.c - changes of the catalogue, by the rules of actions.c: may, intend, change, confirm; and the way back.
 *
 * Measured: kill -9 of either server in the middle of an ALTER leaves the old table or the new one, whole, and no
 * clone or temporary table; a killed client's statement goes on in the server to its end. So after any crash a look at
 * the catalogue and at what was written down before says which.
 */
#include "agent/engine/mysql/change/ddl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/change/judge.h"
#include "agent/engine/mysql/change/judge_rules.h"
#include "agent/engine/mysql/change/locks.h"

/* ---- What the parts share ---- */

void mydb_put_alter(struct zdm_buffer *b, const char *table)
{
    zdm_buffer_puts(b, "ALTER TABLE ");
    mydb_put_name(b, table);
    zdm_buffer_puts(b, " ");
}

void mydb_owned_name(struct zdm_buffer *out, const char *table, const char *name)
{
    zdm_buffer_printf(out, "%s.%s", table, name);
}

enum zdm_code mydb_leftover_name(struct mydb_session *s, char out[ZDM_IDENTIFIER_MAX + 2], struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code =
        mydb_query(s, "SELECT CONCAT('zdm_u', LOWER(LEFT(SHA2(UUID(), 256), 8)))", 0, NULL, &rows, err);
    if (code == ZDM_OK) {
        zdm_copy_text(out, ZDM_IDENTIFIER_MAX + 2, mydb_text(rows, 0, 0));
    }
    return code;
}

enum zdm_code mydb_hidden_find(struct mydb_work *w, uint32_t step, const char *kind, const char *state, bool *out_found,
                               struct mydb_hidden **out, struct zdm_error *err)
{
    struct mydb_hidden *list = NULL;
    size_t n = 0, at = 0;
    *out = NULL;
    enum zdm_code code = mydb_hidden_list(w, step, kind, &list, &n, err);
    while (code == ZDM_OK && at < n && state != NULL && strcmp(list[at].state, state) != 0) {
        at++;
    }
    *out_found = code == ZDM_OK && at < n;
    if (*out_found) {
        *out = calloc(2, sizeof **out); /* a row without a kind ends a list */
        code = *out == NULL ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : ZDM_OK;
        *out_found = *out != NULL;
    }
    if (*out_found) {
        (*out)[0] = list[at];
        list[at] = list[n - 1];
        list[n - 1] = (struct mydb_hidden){.kind = NULL};
    }
    mydb_hidden_free(list, n);
    return code;
}

enum zdm_code mydb_fk_checks(struct mydb_session *s, bool on, struct zdm_error *err)
{
    enum zdm_code code =
        mydb_run(s, on ? "SET SESSION foreign_key_checks = 1" : "SET SESSION foreign_key_checks = 0", NULL, err);
    if (code != ZDM_OK) {
        mydb_close(s);
    }
    return code;
}

enum zdm_code mydb_note(struct mydb_work *w, mydb_part_fn *part, const struct mydb_table *table, bool step_on,
                        struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK && part != NULL) {
        code = part(w, table, err);
    }
    if (code == ZDM_OK) {
        code = step_on ? mydb_journal_step_on(w, err) : mydb_journal_hold(w, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_commit(w, err);
    }
    if (code != ZDM_OK) {
        mydb_rollback(w->s);
    }
    return code;
}

/* What writes the table anew takes as long as it takes, whichever class of time its operation has; a person's word
 * (rewrite-ok) stands for that. */
static void allow_time(struct mydb_work *w, const char *algorithm)
{
    bool builds = strstr(algorithm, "INSTANT") == NULL;
    if (builds && mydb_may_rewrite(w)) {
        w->s->deadline_ms = INT64_MAX;
    }
}

static enum zdm_code alter(struct mydb_work *w, const struct mydb_table *table, const char *sql, bool checks,
                           struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer full = ZDM_BUFFER_INIT;
    struct zdm_error later = ZDM_ERROR_INIT;
    char algorithm[MYDB_ALGORITHM_MAX] = "";
    enum zdm_code code = mydb_judge(w, table, sql, algorithm, NULL, NULL, NULL, err);
    if (code != ZDM_OK) {
        return code;
    }
    allow_time(w, algorithm);
    zdm_buffer_printf(&full, "%s%s", sql, algorithm);
    code = checks ? ZDM_OK : mydb_fk_checks(w->s, false, err);
    if (code == ZDM_OK) {
        code = mydb_ddl(w, table->name, zdm_buffer_text(&full), err);
    }
    if (!checks && mydb_is_open(w->s) && mydb_fk_checks(w->s, true, &later) != ZDM_OK && code == ZDM_OK) {
        *err = later; /* the statement has been carried out: a look says so */
        return later.code;
    }
    return code;
}

enum zdm_code mydb_alter(struct mydb_work *w, const struct mydb_table *table, const char *sql, struct zdm_error *err)
{
    return alter(w, table, sql, true, err);
}

enum zdm_code mydb_alter_unchecked(struct mydb_work *w, const struct mydb_table *table, const char *sql,
                                   struct zdm_error *err)
{
    return alter(w, table, sql, false, err);
}

enum zdm_code mydb_alter_itself(struct mydb_work *w, const char *table, const char *sql, struct zdm_error *err)
{
    enum zdm_code code = ZDM_REFUSED;
    const struct mydb_session *s = w->s;
    const struct mydb_attempt *a = mydb_attempts(s->mariadb, mydb_may_be_instant(s->mariadb, s->version_num, 0));
    for (; a->algorithm != NULL; a++) {
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer full = ZDM_BUFFER_INIT;
        zdm_error_clear(err);
        zdm_buffer_printf(&full, "%s%s", sql, a->algorithm);
        code = mydb_ddl(w, table, zdm_buffer_text(&full), err);
        if (code == ZDM_OK || !mydb_is_not_online(err)) {
            break;
        }
    }
    return code;
}

/* ---- Forward ---- */

static enum zdm_code find_table(struct mydb_work *w, const struct mydb_action *a, struct mydb_table *out,
                                struct zdm_error *err)
{
    if (!a->of_table) {
        return ZDM_OK;
    }
    enum zdm_code code = mydb_table_find(w->s, w->step->table.name, out, err);
    return code == ZDM_OK ? mydb_table_fit(out, err) : code;
}

static enum zdm_code look_alone(struct mydb_work *w, enum agent_proof *out_proof, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin_reading(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_look(w, out_proof, err);
    }
    mydb_rollback(w->s);
    return code;
}

/* The parts are done under a fence that is looked at before and after, and the catalogue is looked at once more when
 * the statement's answer was an error: it may have been carried out all the same. */
static enum zdm_code change(struct mydb_work *w, const struct mydb_action *a, const struct mydb_table *table,
                            struct zdm_error *err)
{
    enum zdm_code code = a->may == NULL ? ZDM_OK : a->may(w, table, err);
    if (code == ZDM_OK) {
        code = mydb_note(w, a->intend, table, false, err);
    }
    return code == ZDM_OK ? a->change(w, table, err) : code;
}

static enum zdm_code run_forward(struct mydb_work *w, struct zdm_error *err)
{
    const struct mydb_action *a = mydb_action_of(w->step);
    struct mydb_table found, *table = NULL;
    enum agent_proof proof = AGENT_PROOF_NONE;
    if (a == NULL || a->change == NULL) {
        return zdm_error_set(err, ZDM_BUG, "step %s is no change of the catalogue", w->step->id);
    }
    enum zdm_code code = find_table(w, a, &found, err);
    table = a->of_table ? &found : NULL;
    if (code == ZDM_OK) {
        code = look_alone(w, &proof, err);
    }
    if (code == ZDM_OK && proof == AGENT_PROOF_FOREIGN) {
        return err->code;
    }
    bool done = proof == AGENT_PROOF_DONE;
    if (code == ZDM_OK && !done) {
        code = change(w, a, table, err);
    }
    if (code == ZDM_OK) {
        code = mydb_note(w, a->confirm, table, true, err);
    }
    if (code == ZDM_OK) {
        w->result->outcome = done ? AGENT_ALREADY : AGENT_OK;
    }
    return code;
}

enum zdm_code mydb_run_ddl(struct mydb_work *w, struct zdm_error *err)
{
    enum zdm_code code = run_forward(w, err);
    zdm_freep(&w->made);
    return code;
}

/* ---- Back ---- */

static enum zdm_code look_back_alone(struct mydb_work *w, bool *out_undone, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin_reading(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_look_back(w, err);
    }
    mydb_rollback(w->s);
    *out_undone = code == ZDM_OK && w->result->proof == AGENT_PROOF_DONE;
    w->result->proof = AGENT_PROOF_NONE;
    w->result->next_run = AGENT_RUN_NONE;
    return code;
}

enum zdm_code mydb_run_undo_ddl(struct mydb_work *w, struct zdm_error *err)
{
    const struct mydb_action *a = mydb_action_of(w->step);
    struct mydb_table found, *table = NULL;
    bool undone = false;
    if (a == NULL || (a->back_change == NULL && a->back_confirm == NULL)) {
        return zdm_error_set(err, ZDM_BUG, "step %s has nothing that a statement could undo", w->step->id);
    }
    enum zdm_code code = look_back_alone(w, &undone, err);
    if (code == ZDM_OK && undone) {
        code = mydb_note(w, NULL, NULL, false, err);
        w->result->outcome = AGENT_ALREADY;
        return code;
    }
    if (code == ZDM_OK) {
        code = find_table(w, a, &found, err);
    }
    table = a->of_table ? &found : NULL;
    if (code == ZDM_OK) {
        code = mydb_note(w, a->back_intend, table, false, err);
    }
    if (code == ZDM_OK && a->back_change != NULL) {
        code = a->back_change(w, table, err);
    }
    return code == ZDM_OK ? mydb_note(w, a->back_confirm, table, false, err) : code;
}
