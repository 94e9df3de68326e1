/*
 * as_is.c - a statement that a person answers for: run as it is written, proven by the person's own query.
 *
 * zdm.owned says that it was this migration which ran it, so that the way back undoes nothing that was there before.
 * What changes rows runs in one transaction with the fence. DDL commits by itself: the intent comes first, and after an
 * answer that was lost the query decides. It runs under the lock rules of all DDL, in both classes; the class says how
 * long it may work.
 *
 * An ALTER TABLE that says no ALGORITHM would silently be a copy of the whole table where nothing else will do. So the
 * agent asks for INSTANT, and then for what builds beside writers, and CREATE INDEX is asked for the latter:
 * {rewrite-ok} alone lets a copy happen, or a way that the statement itself says and that locks writers out.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/walk/definer.h"
#include "agent/engine/mysql/change/locks.h"
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

/* ---- The words of a statement ---- */

struct words {
    const char *at, *word;
    size_t n;
};

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$';
}

/* Behind the quoted text or the comment at hand, or behind one character. What some releases run of a comment counts.
 */
static const char *behind_piece(const char *p)
{
    bool line = *p == '#' || (p[0] == '-' && p[1] == '-' && (unsigned char)p[2] <= ' ');
    if (line) {
        return p + strcspn(p, "\n");
    }
    if (p[0] == '/' && p[1] == '*' && p[2] != '!' && (p[2] != 'M' || p[3] != '!')) {
        const char *end = strstr(p + 2, "*/");
        return end == NULL ? p + strlen(p) : end + 2;
    }
    if (*p == '\'' || *p == '"' || *p == '`') {
        const char *end = strchr(p + 1, *p);
        return end == NULL ? p + strlen(p) : end + 1;
    }
    return p + 1;
}

static bool next_word(struct words *w)
{
    while (*w->at != '\0' && !is_word_char(*w->at)) {
        w->at = behind_piece(w->at);
    }
    w->word = w->at;
    while (is_word_char(*w->at)) {
        w->at++;
    }
    w->n = (size_t)(w->at - w->word);
    return w->n > 0;
}

static bool is_word(const struct words *w, const char *word, size_t n)
{
    return w->n == n && strncasecmp(w->word, word, n) == 0;
}

static bool begins_with(const char *sql, const char *words)
{
    struct words w = {.at = sql};
    while (*words != '\0') {
        size_t n = strcspn(words, " ");
        if (!next_word(&w) || !is_word(&w, words, n)) {
            return false;
        }
        words += n + (words[n] == ' ');
    }
    return true;
}

/* Does the first word stand there, and the second one right behind it? NULL: whatever does. */
static bool says(const char *sql, const char *word, const char *behind)
{
    struct words w = {.at = sql};
    bool before = false;
    while (next_word(&w)) {
        if (before && is_word(&w, behind, strlen(behind))) {
            return true;
        }
        before = is_word(&w, word, strlen(word));
        if (before && behind == NULL) {
            return true;
        }
    }
    return false;
}

/* CREATE UNIQUE INDEX and its like, DROP INDEX. */
static bool is_of_index(const char *sql)
{
    struct words w = {.at = sql};
    bool index = false;
    if (!begins_with(sql, "CREATE") && !begins_with(sql, "DROP")) {
        return false;
    }
    for (size_t i = 0; i < 5 && !index && next_word(&w); i++) {
        index = is_word(&w, "INDEX", strlen("INDEX"));
    }
    return index;
}

/* ---- What may run ---- */

/* Ways that let others wait for as long as the whole table takes, and the gentle ones. */
static const struct {
    const char *word, *value, *what;
} choices[] = {
    {"ALGORITHM", "COPY", "ALGORITHM=COPY copies the whole table, and nobody can write meanwhile"},
    {"ALGORITHM", "DEFAULT", "ALGORITHM=DEFAULT copies the whole table where nothing else will do"},
    {"LOCK", "EXCLUSIVE", "LOCK=EXCLUSIVE keeps everybody away from the table until it is through"},
    {"LOCK", "SHARED", "LOCK=SHARED keeps writers away from the table until it is through"},
    {"LOCK", "DEFAULT", "LOCK=DEFAULT keeps writers away from the table where nothing else will do"},
    {"ALGORITHM", "INSTANT", NULL},
    {"ALGORITHM", "INPLACE", NULL},
    {"ALGORITHM", "NOCOPY", NULL},
    {"LOCK", "NONE", NULL},
};

/* Does it say itself how it is to be done? */
static bool chooses(const char *sql)
{
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        if (says(sql, choices[i].word, choices[i].value)) {
            return true;
        }
    }
    return false;
}

static const char *blocking_choice(const char *sql)
{
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        if (choices[i].what != NULL && says(sql, choices[i].word, choices[i].value)) {
            return choices[i].what;
        }
    }
    bool inplace = says(sql, "ALGORITHM", "INPLACE") || says(sql, "ALGORITHM", "NOCOPY");
    return inplace && !says(sql, "LOCK", "NONE")
               ? "without LOCK=NONE writers are kept away from the table where nothing else will do"
               : NULL;
}

/* NULL, or why others would wait for as long as the whole table takes. */
static const char *blocks(const char *sql)
{
    bool alter = begins_with(sql, "ALTER TABLE"), index = is_of_index(sql);
    if ((alter || index) && (says(sql, "FULLTEXT", NULL) || says(sql, "SPATIAL", NULL))) {
        return "a FULLTEXT or SPATIAL index is built with writers locked out";
    }
    if (begins_with(sql, "OPTIMIZE")) {
        return "OPTIMIZE TABLE writes the whole table anew";
    }
    if (begins_with(sql, "REPAIR")) {
        return "REPAIR TABLE writes the whole table anew";
    }
    if (begins_with(sql, "CREATE TABLE") && says(sql, "SELECT", NULL)) {
        return "CREATE TABLE … SELECT locks what it reads until it is through";
    }
    if (begins_with(sql, "DROP INDEX") && strcasestr(sql, "`primary`") != NULL) {
        return "a table without its PRIMARY KEY is written anew";
    }
    return alter || index ? blocking_choice(sql) : NULL;
}

static enum zdm_code may_run(const struct zdm_step *step, const char *sql, struct zdm_error *err)
{
    size_t n = 0;
    const char *fault = zdm_sql_statements(ZDM_ENGINE_MYSQL, sql, &n);
    if (fault != NULL || n != 1) {
        return zdm_error_set(err, ZDM_REFUSED, "step %s %s", step->id, fault != NULL ? fault : "is not one statement");
    }
    if (begins_with(sql, "ALTER IGNORE") || begins_with(sql, "ALTER ONLINE")) {
        zdm_error_set(err, ZDM_REFUSED, "ALTER IGNORE TABLE and ALTER ONLINE TABLE are not run");
        return zdm_error_hint(err, "Leave the word out: IGNORE throws rows away, and what ONLINE asks for the agent "
                                   "asks for by itself.");
    }
    const char *what = step->rewrite_ok ? NULL : blocks(sql);
    if (what != NULL) {
        zdm_error_set(err, ZDM_REFUSED, "%s", what);
        return zdm_error_hint(err, "Say {rewrite-ok} if the table is small.");
    }
    return ZDM_OK;
}

/* Nobody knows which right it needs, so that one that was given after an attempt must count for the next. */
enum zdm_code mydb_may_run_as_is(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    (void)table;
    enum zdm_code code = may_run(w->step, w->step->sql, err);
    return code == ZDM_OK ? mydb_read_rights(w->s, err) : code;
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

/* What the agent asks for stands behind a line end: the statement may end in a comment. */
static enum zdm_code ask_gently(struct mydb_work *w, const char *table, const char *sql, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer full = ZDM_BUFFER_INIT;
    bool index = is_of_index(sql);
    zdm_buffer_printf(&full, "%s\n%s", sql, index ? "ALGORITHM=INPLACE LOCK=NONE" : "");
    return index ? mydb_ddl(w, table, zdm_buffer_text(&full), err)
                 : mydb_alter_itself(w, table, zdm_buffer_text(&full), err);
}

static enum zdm_code run_gently(struct mydb_work *w, const char *sql, const char *table, struct zdm_error *err)
{
    enum zdm_code code = ask_gently(w, table, sql, err);
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
    bool asks = begins_with(sql, "ALTER TABLE") || (is_of_index(sql) && !(w->s->mariadb && begins_with(sql, "DROP")));
    bool plain = asks && !chooses(sql); /* MariaDB's DROP INDEX takes no such word, and only the catalogue changes */
    return plain ? run_gently(w, sql, table, err) : mydb_ddl(w, table, sql, err);
}

enum zdm_code mydb_run_as_is(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    enum agent_proof proof = AGENT_PROOF_NONE;
    (void)table;
    enum zdm_code code = run(w, w->step->sql, err);
    if (code == ZDM_OK) {
        code = look_alone(w, &proof, err);
    } else {
        mydb_definer_explain(err);
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
