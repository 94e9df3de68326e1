/*
 * judge.c - trying an ALTER TABLE on an empty clone (judge.h).
 *
 * A rebuild shows differently on the two. MariaDB takes NOCOPY where nothing is written anew; MySQL has one INPLACE for
 * both, and the clone gets another number in INNODB_TABLES when it was written anew.
 */
#include "agent/engine/mysql/change/judge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/change/clone.h"
#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/change/judge_rules.h"
#include "agent/engine/mysql/change/locks.h"

/* ---- The column as the clone has it ---- */

/* The catalogue is asked about the session's own database. */
static enum zdm_code look_at_column(struct mydb_trial *t, const char *column, struct mydb_column *out,
                                    struct zdm_error *err)
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
static enum zdm_code clone_number(struct mydb_trial *t, char out[32], struct zdm_error *err)
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
static enum zdm_code row_versions(struct mydb_trial *t, unsigned *out, struct zdm_error *err)
{
    static const char sql[] = "SELECT COALESCE(MAX(TOTAL_ROW_VERSIONS), 0) FROM information_schema.INNODB_TABLES WHERE"
                              " NAME LIKE $1 ESCAPE '|' OR NAME LIKE CONCAT($1, '#p#%') ESCAPE '|'";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
    struct mydb_session *s = t->w->s;
    *out = 0;
    if (s->mariadb || s->version_num < 80029) {
        return ZDM_OK;
    }
    mydb_put_inner_name(&name, s->database, t->table->name);
    enum zdm_code code = mydb_query(s, sql, 1, (const char *const[]){zdm_buffer_text(&name)}, &rows, err);
    if (code == ZDM_OK && rows->n > 0) {
        *out = (unsigned)mydb_uint(rows, 0, 0);
    }
    return code;
}

static enum zdm_code try_one(struct mydb_trial *t, const char *sql, bool unchecked, const char *algorithm,
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

static bool is_purge(const struct mydb_work *w)
{
    return w->step == NULL || w->step->action == ZDM_ACTION_PURGE_COLUMN;
}

#define BY_HAND "Run ALTER TABLE … DROP COLUMN yourself at a quiet time: the purge then finds the column gone."

static enum zdm_code refuse_copy(const struct mydb_trial *t, const char *sql, struct zdm_error *err)
{
    struct zdm_error server = *err;
    bool drops = strstr(sql, " DROP COLUMN ") != NULL, column = drops || strstr(sql, " ADD COLUMN ") != NULL;
    zdm_error_set(err, ZDM_REFUSED, "only a copy of all of %s could make this change, and nobody could write meanwhile",
                  t->table->name);
    zdm_error_detail(err, "%s", server.message);
    if (drops && is_purge(t->w)) {
        return zdm_error_hint(err, BY_HAND);
    }
    return zdm_error_hint(err, column
                                   ? "What the server names (a FULLTEXT index; on MariaDB an index over a virtual "
                                     "column) has to go first. Where the table is small: the statement as-is, with "
                                     "{lock=long rewrite-ok}."
                                   : "Add another column as it shall be, keep both in step, and change over: `zdmctl "
                                     "new --from` writes such a runbook.");
}

static enum zdm_code hint_rebuild(const struct mydb_work *w, struct zdm_error *err)
{
    if (is_purge(w)) {
        return zdm_error_hint(err, BY_HAND);
    }
    struct zdm_step ours = *w->step;
    ours.engine = ZDM_ENGINE_MYSQL;
    return zdm_error_hint(err, zdm_step_may_rewrite(&ours)
                                   ? "Say {rewrite-ok}: reads and writes go on, but it takes disk and time on this "
                                     "server and as long again on each replica."
                                   : "Write the statement as-is with {lock=long rewrite-ok}: it takes disk and time on "
                                     "this server and as long again on each replica.");
}

static enum zdm_code refuse_rebuild(const struct mydb_trial *t, unsigned versions, struct zdm_error *err)
{
    unsigned version = t->w->s->version_num;
    zdm_error_set(err, ZDM_REFUSED, "the statement would write all of %s anew (%" PRIu64 " MB)", t->table->name,
                  (t->table->data_bytes + t->table->index_bytes) >> 20);
    if (!mydb_may_be_instant(t->w->s->mariadb, version, 0)) {
        return zdm_error_hint(err, "MySQL 8.0.29 to 8.0.31 is asked for no instant change, since a crash may leave one "
                                   "that cannot be read: bring the server up to date, or say {rewrite-ok}.");
    }
    if (!mydb_may_be_instant(t->w->s->mariadb, version, versions)) {
        zdm_error_detail(err, "Instant changes of the table so far: %u of %u.", versions,
                         mydb_row_versions_max(version));
        return zdm_error_hint(err,
                              "ALTER TABLE %s FORCE at a quiet time writes it anew once, and they count from 0 "
                              "again.",
                              t->table->name);
    }
    return hint_rebuild(t->w, err);
}

bool mydb_may_rewrite(const struct mydb_work *w)
{
    return w->rewrite_ok || (w->step != NULL && w->step->rewrite_ok);
}

static enum zdm_code judge(struct mydb_trial *t, const char *sql, bool unchecked, char out[MYDB_ALGORITHM_MAX],
                           struct zdm_error *err)
{
    char was[32], is[32];
    unsigned versions = 0;
    bool galera = false;
    struct mydb_session *s = t->w->s;
    enum zdm_code code = row_versions(t, &versions, err);
    if (code == ZDM_OK) {
        code = clone_number(t, was, err);
    }
    if (code == ZDM_OK) {
        code = mydb_galera_look(s, &galera, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    const struct mydb_attempt *a = mydb_attempts(s->mariadb, mydb_may_be_instant(s->mariadb, s->version_num, versions));
    for (code = ZDM_REFUSED; a->algorithm != NULL; a++) {
        zdm_error_clear(err);
        if (galera && !mydb_galera_takes(sql, a->algorithm)) {
            return mydb_galera_refuse(t->table->name, err);
        }
        code = try_one(t, sql, unchecked, a->algorithm, err);
        if (code == ZDM_OK || !mydb_is_not_online(err)) {
            break;
        }
    }
    if (a->algorithm == NULL) {
        return refuse_copy(t, sql, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    zdm_copy_text(out, MYDB_ALGORITHM_MAX, a->algorithm);
    code = clone_number(t, is, err);
    bool rebuilt = a->rebuilds || (a->may_rebuild && strcmp(was, is) != 0);
    t->w->rebuilds = rebuilt;
    return code == ZDM_OK && rebuilt && !mydb_may_rewrite(t->w) ? refuse_rebuild(t, versions, err) : code;
}

/* What the caller wants to see of the clone. */
struct wanted {
    const char *first_sql; /* run on it before; NULL: nothing */
    const char *name;
    struct mydb_column *before, *after;
    enum mydb_line kind;
    char **line;
};

static enum zdm_code change_first(struct mydb_trial *t, const char *first_sql, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    bool unchecked = false;
    enum zdm_code code = mydb_clone_statement(t, first_sql, &sql, &unchecked, err);
    return code == ZDM_OK ? try_one(t, zdm_buffer_text(&sql), unchecked, "", err) : code;
}

static enum zdm_code on_clone(struct mydb_trial *t, const char *alter_sql, char out[MYDB_ALGORITHM_MAX],
                              const struct wanted *wanted, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    bool unchecked = false;
    enum zdm_code code = mydb_clone_make(t, err);
    if (code == ZDM_OK && wanted->first_sql != NULL) {
        code = change_first(t, wanted->first_sql, err);
    }
    if (code == ZDM_OK) {
        code = mydb_clone_statement(t, alter_sql, &sql, &unchecked, err);
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

/* Names of foreign keys are unique in a database: clones of two shards of one server would meet in zdm. */
static enum zdm_code take_turn(struct mydb_session *s, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_run(s, "SELECT GET_LOCK('zdm.judge', 5)", &rows, err);
    if (code == ZDM_OK && !mydb_true(rows, 0, 0)) {
        return zdm_error_set(err, ZDM_LOCK, "another agent of this server is trying a statement on empty clones");
    }
    return code;
}

static void end_turn(struct mydb_session *s)
{
    struct zdm_error ignored = ZDM_ERROR_INIT;
    if (mydb_is_open(s) && mydb_run(s, "DO RELEASE_LOCK('zdm.judge')", NULL, &ignored) != ZDM_OK) {
        mydb_close(s); /* a lock ends with its connection */
    }
}

static enum zdm_code judge_with(struct mydb_work *w, const struct mydb_table *table, const char *alter_sql,
                                char out[MYDB_ALGORITHM_MAX], const struct wanted *wanted, struct zdm_error *err)
{
    struct mydb_trial t = {.w = w, .table = table};
    struct zdm_error later = ZDM_ERROR_INIT;
    bool remembered = is_remembered(w);
    bool looks = wanted->before != NULL || wanted->after != NULL || wanted->line != NULL;
    if (remembered && !looks && w->memory->algorithm[0] != '\0') {
        zdm_copy_text(out, MYDB_ALGORITHM_MAX, w->memory->algorithm);
        w->rebuilds = w->memory->rebuilds;
        return ZDM_OK;
    }
    mydb_clone_name(&t);
    enum zdm_code code = w->op->kind == AGENT_OP_RUN ? mydb_not_running(w, table->name, alter_sql, err) : ZDM_OK;
    if (code == ZDM_OK) {
        code = take_turn(w->s, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    code = on_clone(&t, alter_sql, out, wanted, err);
    if (code == ZDM_LOCK && mydb_is_open(w->s)) {
        code = mydb_name_blocker(w, table->name, err); /* a clone reads the table's definition */
    }
    enum zdm_code dropped = mydb_is_open(w->s) ? mydb_clone_drop(&t, &later) : ZDM_OK;
    end_turn(w->s);
    if (code == ZDM_OK && dropped != ZDM_OK) {
        *err = later;
        return dropped;
    }
    if (code == ZDM_OK && remembered) {
        zdm_copy_text(w->memory->algorithm, sizeof w->memory->algorithm, out);
        w->memory->rebuilds = w->rebuilds;
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

enum zdm_code mydb_judge_behind(struct mydb_work *w, const struct mydb_table *table, const char *first_sql,
                                const char *alter_sql, char out[MYDB_ALGORITHM_MAX], struct zdm_error *err)
{
    const struct wanted wanted = {.first_sql = first_sql};
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
