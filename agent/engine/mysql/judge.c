/*
 * judge.c - trying an ALTER TABLE on an empty clone (judge.h).
 *
 * CREATE TABLE … LIKE leaves foreign keys out, and with them what the server refuses because of one: MODIFY of a column
 * that refers, or is referred to (1832, 1833, 3780). So the other side of each is cloned as well: no statement of the
 * judge ever names a table of the application but to read its definition.
 *
 * A rebuild shows differently on the two. MariaDB takes NOCOPY where nothing is written anew; MySQL has one INPLACE for
 * both, and the clone gets another number in INNODB_TABLES when it was written anew.
 */
#include "agent/engine/mysql/judge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/classify.h"
#include "agent/engine/mysql/ddl.h"
#include "agent/engine/mysql/judge_rules.h"
#include "agent/engine/mysql/locks.h"

enum { CLONE_MAX = 24, CLONES_MAX = 24 };

/* One judgement under way. */
struct trial {
    struct mydb_work *w;
    const struct mydb_table *table;
    char clone[CLONE_MAX];
    char other[CLONES_MAX][ZDM_IDENTIFIER_MAX + 2]; /* tables at the other end of foreign keys; clone "<clone>_<i>" */
    size_t n_others;
};

/* A survey looks at the plan while the migration may run, and one server may hold several shards of it. */
static void name_clone(struct trial *t)
{
    char hex[9], whose[sizeof t->w->s->database + sizeof t->w->op->migration + 1];
    const struct agent_op *op = t->w->op;
    snprintf(whose, sizeof whose, "%s/%s", t->w->s->database,
             op->migration[0] != '\0' || op->plan == NULL ? op->migration : op->plan->id);
    mydb_short_name(hex, whose);
    snprintf(t->clone, sizeof t->clone, "judge_%s%s", hex, op->kind == AGENT_OP_SURVEY ? "_s" : "");
}

static void put_clone(struct zdm_buffer *b, const struct trial *t, const char *table)
{
    char name[CLONE_MAX + 24];
    snprintf(name, sizeof name, "%s", t->clone);
    for (size_t i = 0; i < t->n_others && strcmp(table, t->table->name) != 0; i++) {
        if (strcmp(t->other[i], table) == 0) {
            snprintf(name, sizeof name, "%s_%zu", t->clone, i);
        }
    }
    zdm_buffer_puts(b, "`zdm`.");
    mydb_put_name(b, name);
}

/* ---- Making and dropping ---- */

static enum zdm_code drop(struct trial *t, const struct zdm_buffer *names, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct mydb_session *s = t->w->s;
    struct zdm_error later = ZDM_ERROR_INIT;
    zdm_buffer_printf(&sql, "DROP TABLE IF EXISTS %s", zdm_buffer_text(names));
    enum zdm_code code = mydb_fk_checks(s, false, err);
    if (code == ZDM_OK) {
        code = mydb_run(s, zdm_buffer_text(&sql), NULL, err);
    }
    enum zdm_code on = mydb_is_open(s) ? mydb_fk_checks(s, true, code == ZDM_OK ? err : &later) : ZDM_OK;
    return code == ZDM_OK ? on : code;
}

static enum zdm_code drop_own_clones(struct trial *t, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer names = ZDM_BUFFER_INIT;
    put_clone(&names, t, t->table->name);
    for (size_t i = 0; i < t->n_others; i++) {
        zdm_buffer_puts(&names, ", ");
        put_clone(&names, t, t->other[i]);
    }
    return drop(t, &names, err);
}

/* Of an agent that was interrupted, whichever tables it had cloned. */
static enum zdm_code drop_left_clones(struct trial *t, struct zdm_error *err)
{
    static const char sql[] = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'zdm' AND"
                              " (TABLE_NAME = $1 OR TABLE_NAME REGEXP CONCAT('^', $1, '_[0-9]+$'))";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer names = ZDM_BUFFER_INIT;
    enum zdm_code code = mydb_query(t->w->s, sql, 1, (const char *const[]){t->clone}, &rows, err);
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        zdm_buffer_puts(&names, i == 0 ? "`zdm`." : ", `zdm`.");
        mydb_put_name(&names, mydb_text(rows, i, 0));
    }
    return code == ZDM_OK && rows->n > 0 ? drop(t, &names, err) : code;
}

static enum zdm_code clone_one(struct trial *t, const char *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "CREATE TABLE ");
    put_clone(&sql, t, table);
    zdm_buffer_puts(&sql, " LIKE ");
    mydb_put_name(&sql, table);
    return mydb_run(t->w->s, zdm_buffer_text(&sql), NULL, err);
}

/* The other side, cloned once. False: no room, and the foreign key is left out. */
static enum zdm_code clone_other(struct trial *t, const char *table, bool *out_there, struct zdm_error *err)
{
    *out_there = true;
    if (strcmp(table, t->table->name) == 0) {
        return ZDM_OK;
    }
    for (size_t i = 0; i < t->n_others; i++) {
        if (strcmp(t->other[i], table) == 0) {
            return ZDM_OK;
        }
    }
    *out_there = t->n_others < CLONES_MAX;
    if (!*out_there) {
        return ZDM_OK;
    }
    zdm_copy_text(t->other[t->n_others++], sizeof t->other[0], table);
    return clone_one(t, table, err);
}

/* Every foreign key of the table and those that point at it, one row a column. Names must be as they are: a DROP
 * FOREIGN KEY says them. Those into or from another database are left out. */
static const char keys_sql[] =
    "SELECT k.TABLE_NAME, k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME,"
    " r.UPDATE_RULE, r.DELETE_RULE FROM information_schema.KEY_COLUMN_USAGE k JOIN"
    " information_schema.REFERENTIAL_CONSTRAINTS r ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME ="
    " k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME WHERE k.TABLE_SCHEMA = DATABASE() AND"
    " k.REFERENCED_TABLE_SCHEMA = DATABASE() AND (k.TABLE_NAME = $1 OR k.REFERENCED_TABLE_NAME = $1)"
    " ORDER BY k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION";

static void put_columns(struct zdm_buffer *b, const struct mydb_rows *rows, size_t from, size_t to, size_t column)
{
    for (size_t i = from; i < to; i++) {
        zdm_buffer_puts(b, i == from ? "(" : ", ");
        mydb_put_name(b, mydb_text(rows, i, column));
    }
    zdm_buffer_puts(b, ")");
}

static enum zdm_code add_key(struct trial *t, const struct mydb_rows *rows, size_t from, size_t to,
                             struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    bool child = false, parent = false;
    enum zdm_code code = clone_other(t, mydb_text(rows, from, 0), &child, err);
    if (code == ZDM_OK) {
        code = clone_other(t, mydb_text(rows, from, 3), &parent, err);
    }
    if (code != ZDM_OK || !child || !parent) {
        return code;
    }
    zdm_buffer_puts(&sql, "ALTER TABLE ");
    put_clone(&sql, t, mydb_text(rows, from, 0));
    zdm_buffer_puts(&sql, " ADD CONSTRAINT ");
    mydb_put_name(&sql, mydb_text(rows, from, 1));
    zdm_buffer_puts(&sql, " FOREIGN KEY ");
    put_columns(&sql, rows, from, to, 2);
    zdm_buffer_puts(&sql, " REFERENCES ");
    put_clone(&sql, t, mydb_text(rows, from, 3));
    zdm_buffer_puts(&sql, " ");
    put_columns(&sql, rows, from, to, 4);
    zdm_buffer_printf(&sql, " ON UPDATE %s ON DELETE %s", mydb_text(rows, from, 5), mydb_text(rows, from, 6));
    return mydb_run(t->w->s, zdm_buffer_text(&sql), NULL, err);
}

static enum zdm_code add_keys(struct trial *t, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(t->w->s, keys_sql, 1, (const char *const[]){t->table->name}, &rows, err);
    for (size_t i = 0, to = 0; code == ZDM_OK && i < rows->n; i = to) {
        for (to = i + 1; to < rows->n && strcmp(mydb_text(rows, to, 1), mydb_text(rows, i, 1)) == 0 &&
                         strcmp(mydb_text(rows, to, 0), mydb_text(rows, i, 0)) == 0;
             to++) {
        }
        code = add_key(t, rows, i, to, err);
    }
    return code;
}

static enum zdm_code make_clones(struct trial *t, struct zdm_error *err)
{
    enum zdm_code code = drop_left_clones(t, err);
    if (code == ZDM_OK) {
        code = clone_one(t, t->table->name, err);
    }
    if (code == ZDM_OK) {
        code = add_keys(t, err);
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while making an empty clone of %s", t->table->name);
}

/* ---- The column as the clone has it ---- */

/* The catalogue is asked about the session's own database. */
static enum zdm_code look_at_column(struct trial *t, const char *column, struct mydb_column *out, struct zdm_error *err)
{
    struct mydb_session *s = t->w->s;
    char home[sizeof s->database];
    bool found = false;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer back = ZDM_BUFFER_INIT;
    zdm_copy_text(home, sizeof home, s->database);
    zdm_buffer_puts(&back, "USE ");
    mydb_put_name(&back, home);
    enum zdm_code code = mydb_run(s, "USE `zdm`", NULL, err);
    if (code == ZDM_OK) {
        zdm_copy_text(s->database, sizeof s->database, "zdm");
        code = mydb_column_look(s, t->clone, column, &found, out, err);
        zdm_copy_text(s->database, sizeof s->database, home);
    }
    struct zdm_error later = ZDM_ERROR_INIT;
    if (mydb_is_open(s) && mydb_run(s, zdm_buffer_text(&back), NULL, &later) != ZDM_OK) {
        mydb_close(s);
        *err = code == ZDM_OK ? later : *err;
        code = code == ZDM_OK ? later.code : code;
    }
    return code;
}

/* ---- The verdict ---- */

/* What the clone's tablespace is called inside InnoDB; "" where it cannot be seen. */
static enum zdm_code clone_number(struct trial *t, char out[32], struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    out[0] = '\0';
    if (t->w->s->mariadb) {
        return ZDM_OK;
    }
    enum zdm_code code =
        mydb_query(t->w->s,
                   "SELECT MAX(TABLE_ID) FROM information_schema.INNODB_TABLES WHERE NAME = CONCAT('zdm/', $1)"
                   " OR NAME LIKE CONCAT('zdm/', $1, '#p#%')",
                   1, (const char *const[]){t->clone}, &rows, err);
    if (code == ZDM_OK && rows->n > 0 && mydb_text(rows, 0, 0) != NULL) {
        zdm_copy_text(out, 32, mydb_text(rows, 0, 0));
    }
    return code;
}

/* How often the real table was changed by INSTANT: a clone has no history. */
static enum zdm_code row_versions(struct trial *t, unsigned *out, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    struct mydb_session *s = t->w->s;
    *out = 0;
    if (s->mariadb || s->version_num < 80029) {
        return ZDM_OK;
    }
    enum zdm_code code = mydb_query(s,
                                    "SELECT COALESCE(MAX(TOTAL_ROW_VERSIONS), 0) FROM information_schema.INNODB_TABLES"
                                    " WHERE NAME = CONCAT(DATABASE(), '/', $1) OR NAME LIKE CONCAT(DATABASE(), '/', $1,"
                                    " '#p#%')",
                                    1, (const char *const[]){t->table->name}, &rows, err);
    if (code == ZDM_OK && rows->n > 0) {
        *out = (unsigned)mydb_uint(rows, 0, 0);
    }
    return code;
}

static const char *behind_quoted(const char *p)
{
    char quote = *p++;
    while (*p != '\0' && (*p != quote || p[1] == quote)) {
        p += *p == quote ? 2 : 1;
    }
    return *p == '\0' ? p : p + 1;
}

/* The name between backquotes at p, as it is meant. False: it is too long for one. */
static bool read_name(const char *p, char out[ZDM_IDENTIFIER_MAX + 2])
{
    const char *end = behind_quoted(p) - 1;
    size_t n = 0;
    for (p++; p < end && n < ZDM_IDENTIFIER_MAX + 1; p++) {
        out[n++] = *p;
        p += *p == '`';
    }
    out[n] = '\0';
    return p >= end;
}

/* Every parent of a foreign key that the statement makes is cloned, too: a name alone would mean one in database zdm.
 */
static enum zdm_code put_with_parents(struct trial *t, const char *sql, struct zdm_buffer *out, bool *out_unchecked,
                                      struct zdm_error *err)
{
    static const char word[] = "REFERENCES ";
    enum zdm_code code = ZDM_OK;
    while (*sql != '\0' && code == ZDM_OK) {
        char parent[ZDM_IDENTIFIER_MAX + 2];
        const char *end = *sql == '`' || *sql == '\'' || *sql == '"' ? behind_quoted(sql) : sql + 1;
        bool refers = strncmp(sql, word, strlen(word)) == 0 && sql[strlen(word)] == '`';
        const char *behind = refers ? behind_quoted(sql + strlen(word)) : end;
        bool there = false;
        if (refers && *behind != '.' && read_name(sql + strlen(word), parent)) {
            code = clone_other(t, parent, &there, err);
        }
        if (there) {
            zdm_buffer_puts(out, word);
            put_clone(out, t, parent);
            *out_unchecked = true;
            end = behind;
        } else {
            zdm_buffer_append(out, sql, (size_t)(end - sql));
        }
        sql = end;
    }
    return code;
}

/* The statement, about the clone. */
static enum zdm_code retarget(struct trial *t, const char *sql, struct zdm_buffer *out, bool *out_unchecked,
                              struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer head = ZDM_BUFFER_INIT;
    *out_unchecked = false;
    mydb_put_alter(&head, t->table->name);
    if (strncmp(sql, zdm_buffer_text(&head), head.len) != 0) {
        return zdm_error_set(err, ZDM_REFUSED, "the statement is no ALTER TABLE of %s", t->table->name);
    }
    zdm_buffer_puts(out, "ALTER TABLE ");
    put_clone(out, t, t->table->name);
    zdm_buffer_puts(out, " ");
    return put_with_parents(t, sql + head.len, out, out_unchecked, err);
}

static enum zdm_code try_one(struct trial *t, const char *sql, bool unchecked, const char *algorithm,
                             struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer full = ZDM_BUFFER_INIT;
    struct zdm_error later = ZDM_ERROR_INIT;
    zdm_buffer_printf(&full, "%s%s", sql, algorithm);
    enum zdm_code code = unchecked ? mydb_fk_checks(t->w->s, false, err) : ZDM_OK;
    if (code == ZDM_OK) {
        code = mydb_run(t->w->s, zdm_buffer_text(&full), NULL, err);
    }
    if (unchecked) {
        enum zdm_code on = mydb_fk_checks(t->w->s, true, code == ZDM_OK ? err : &later);
        code = code == ZDM_OK ? on : code;
    }
    return code;
}

static enum zdm_code refuse_copy(const struct trial *t, struct zdm_error *err)
{
    struct zdm_error server = *err;
    zdm_error_set(err, ZDM_REFUSED, "only a copy of all of %s could make this change, and nobody could write meanwhile",
                  t->table->name);
    zdm_error_detail(err, "%s", server.message);
    return zdm_error_hint(err, "Add another column as it shall be, keep both in step, and change over: `zdmctl new "
                               "--from` writes such a runbook.");
}

static enum zdm_code refuse_rebuild(const struct trial *t, unsigned versions, struct zdm_error *err)
{
    zdm_error_set(err, ZDM_REFUSED, "the statement would write all of %s anew (%" PRIu64 " MB)", t->table->name,
                  (t->table->data_bytes + t->table->index_bytes) >> 20);
    if (!mydb_may_be_instant(t->w->s->mariadb, t->w->s->version_num, versions)) {
        zdm_error_detail(err, "%s %u of %u.", "Instant changes of the table so far:", versions,
                         mydb_row_versions_max(t->w->s->version_num));
    }
    return zdm_error_hint(err, "Say {rebuild-ok}: reads and writes go on, but it takes disk and time on this server "
                               "and as long again on each replica.");
}

static enum zdm_code judge(struct trial *t, const char *sql, bool unchecked, char out[MYDB_ALGORITHM_MAX],
                           struct zdm_error *err)
{
    char was[32], is[32];
    unsigned versions = 0;
    const struct mydb_session *s = t->w->s;
    enum zdm_code code = row_versions(t, &versions, err);
    if (code == ZDM_OK) {
        code = clone_number(t, was, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    const struct mydb_attempt *a = mydb_attempts(s->mariadb, mydb_may_be_instant(s->mariadb, s->version_num, versions));
    for (code = ZDM_REFUSED; a->algorithm != NULL; a++) {
        zdm_error_clear(err);
        code = try_one(t, sql, unchecked, a->algorithm, err);
        if (code == ZDM_OK || !mydb_is_not_online(err)) {
            break;
        }
    }
    if (a->algorithm == NULL) {
        return refuse_copy(t, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    zdm_copy_text(out, MYDB_ALGORITHM_MAX, a->algorithm);
    code = clone_number(t, is, err);
    bool rebuilt = a->rebuilds || (a->may_rebuild && strcmp(was, is) != 0);
    bool allowed = t->w->step != NULL && t->w->step->rewrite_ok;
    return code == ZDM_OK && rebuilt && !allowed ? refuse_rebuild(t, versions, err) : code;
}

/* What the caller wants to see of the clone. */
struct wanted {
    const char *name;
    struct mydb_column *before, *after;
    enum mydb_line kind;
    char **line;
};

static enum zdm_code on_clone(struct trial *t, const char *alter_sql, char out[MYDB_ALGORITHM_MAX],
                              const struct wanted *wanted, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    bool unchecked = false;
    enum zdm_code code = make_clones(t, err);
    if (code == ZDM_OK) {
        code = retarget(t, alter_sql, &sql, &unchecked, err);
    }
    if (code == ZDM_OK && wanted->before != NULL) {
        code = look_at_column(t, wanted->name, wanted->before, err);
    }
    if (code == ZDM_OK) {
        code = judge(t, zdm_buffer_text(&sql), unchecked, out, err);
    }
    if (code == ZDM_OK && wanted->line != NULL) {
        code = mydb_line_read(t->w->s, "zdm", t->clone, wanted->kind, wanted->name, wanted->line, err);
    }
    return code == ZDM_OK && wanted->after != NULL ? look_at_column(t, wanted->name, wanted->after, err) : code;
}

/* A step goes forward by one ALTER; what it was judged is not asked again at every attempt at its lock. */
static bool is_remembered(const struct mydb_work *w)
{
    return w->memory != NULL && w->step != NULL && w->op->kind == AGENT_OP_RUN &&
           (w->op->run == AGENT_RUN_DDL || w->op->run == AGENT_RUN_INDEX_BUILD || w->op->run == AGENT_RUN_LONG_SQL);
}

static enum zdm_code judge_with(struct mydb_work *w, const struct mydb_table *table, const char *alter_sql,
                                char out[MYDB_ALGORITHM_MAX], const struct wanted *wanted, struct zdm_error *err)
{
    struct trial t = {.w = w, .table = table};
    struct zdm_error later = ZDM_ERROR_INIT;
    bool remembered = is_remembered(w);
    bool looks = wanted->before != NULL || wanted->after != NULL || wanted->line != NULL;
    if (remembered && !looks && w->memory->algorithm[0] != '\0') {
        zdm_copy_text(out, MYDB_ALGORITHM_MAX, w->memory->algorithm);
        return ZDM_OK;
    }
    name_clone(&t);
    enum zdm_code code = w->op->kind == AGENT_OP_RUN ? mydb_not_running(w, table->name, alter_sql, err) : ZDM_OK;
    if (code != ZDM_OK) {
        return code;
    }
    code = on_clone(&t, alter_sql, out, wanted, err);
    if (code == ZDM_LOCK && mydb_is_open(w->s)) {
        code = mydb_name_blocker(w, table->name, err); /* a clone reads the table's definition */
    }
    enum zdm_code dropped = mydb_is_open(w->s) ? drop_own_clones(&t, &later) : ZDM_OK;
    if (code == ZDM_OK && dropped != ZDM_OK) {
        *err = later;
        return dropped;
    }
    if (code == ZDM_OK && remembered) {
        zdm_copy_text(w->memory->algorithm, sizeof w->memory->algorithm, out);
    }
    return code;
}

enum zdm_code mydb_judge(struct mydb_work *w, const struct mydb_table *table, const char *alter_sql,
                         char out[MYDB_ALGORITHM_MAX], const char *column, struct mydb_column *before,
                         struct mydb_column *after, struct zdm_error *err)
{
    const struct wanted wanted = {.name = column, .before = before, .after = after};
    return judge_with(w, table, alter_sql, out, &wanted, err);
}

enum zdm_code mydb_judge_made(struct mydb_work *w, const struct mydb_table *table, const char *alter_sql,
                              char out[MYDB_ALGORITHM_MAX], enum mydb_line kind, const char *name, char **out_line,
                              struct zdm_error *err)
{
    const struct wanted wanted = {.name = name, .kind = kind, .line = out_line};
    *out_line = NULL;
    return judge_with(w, table, alter_sql, out, &wanted, err);
}
