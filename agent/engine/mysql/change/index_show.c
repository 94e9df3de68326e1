/*
 * index_show.c - an index is built out of the optimizer's sight, and shown once nobody reads by an older snapshot.
 *
 * Measured on MariaDB 10.11 and MySQL 9.7: an index does not know the rows as a snapshot that is older than its build
 * has them, and neither server has the optimizer leave it out for that. A REPEATABLE READ transaction that read another
 * table, and so has no lock here, gets 1412 from the first SELECT that the optimizer sends to the new index. While it
 * is INVISIBLE (MySQL) or IGNORED (MariaDB) the same SELECT works; it enforces what is UNIQUE, and serves a foreign
 * key.
 *
 * When the build was through is written down (part MYDB_BUILT of zdm.former, the database's clock): transactions that
 * began later may be open for ever. An invisible index of ours is a step that is not done.
 *
 * One kind is built in sight, behind the snapshots that are old at the start (locks.c): an index that takes the place
 * of the one which the server made for a foreign key. That goes in the same statement, and queries would be without
 * both. A unique index that becomes the key of a table without a primary key cannot be hidden (3522, 4174), and only a
 * copy of the table could drop it again: it is refused.
 */
#include <string.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/change/locks.h"

/* As the statement has it, and as SHOW CREATE TABLE prints it. */
static const char *hiding(const struct mydb_session *s)
{
    return s->mariadb ? " IGNORED" : " INVISIBLE";
}

static const char *printed(const struct mydb_session *s)
{
    return s->mariadb ? " IGNORED" : " /*!80000 INVISIBLE */";
}

/* Are they the same but for that word? */
static bool is_with(const char *longer, const char *shorter, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = strstr(longer, word); at != NULL; at = strstr(at + 1, word)) {
        size_t head = (size_t)(at - longer);
        if (strncmp(longer, shorter, head) == 0 && strcmp(at + n, shorter + head) == 0) {
            return true;
        }
    }
    return false;
}

bool mydb_index_is_same(const struct mydb_session *s, const char *line, const char *intended)
{
    return strcmp(line, intended) == 0 || is_with(line, intended, printed(s)) || is_with(intended, line, printed(s));
}

/* ---- In which way ---- */

/* Columns of a foreign key of the table that an index has, no more and no fewer: the server may have made that index
 * itself, and does not say so. */
static enum zdm_code takes_place(struct mydb_work *w, const char *table, const char *line, bool *out,
                                 struct zdm_error *err)
{
    static const char sql[] =
        "SELECT COUNT(*) FROM (SELECT CONCAT('(', GROUP_CONCAT(CONCAT('`', COLUMN_NAME, '`') ORDER BY ORDINAL_POSITION"
        " SEPARATOR ',')) AS cols FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = DATABASE() AND "
        "TABLE_NAME"
        " = $1 AND REFERENCED_TABLE_NAME IS NOT NULL GROUP BY CONSTRAINT_NAME) k JOIN (SELECT CONCAT('(',"
        " GROUP_CONCAT(CONCAT('`', COLUMN_NAME, '`') ORDER BY SEQ_IN_INDEX SEPARATOR ',')) AS cols FROM"
        " information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = $1 AND NON_UNIQUE = 1 GROUP BY"
        " INDEX_NAME) i ON i.cols = k.cols WHERE LOCATE(CONCAT(k.cols, ','), $2) > 0 OR LOCATE(CONCAT(k.cols, ')'), $2)"
        " > 0 OR LOCATE(CONCAT(k.cols, ' '), $2) > 0";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s, sql, 2, (const char *const[]){table, line}, &rows, err);
    *out = code == ZDM_OK && mydb_int(rows, 0, 0) > 0;
    return code;
}

static enum zdm_code learn_in_sight(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    if (w->memory != NULL) {
        w->memory->algorithm[0] = '\0';
    }
    zdm_freep(&w->made);
    return mydb_learn_made(w, table, w->step->sql, MYDB_LINE_INDEX, w->step->object, err);
}

static enum zdm_code refuse_key(const struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    struct zdm_error server = *err;
    zdm_error_set(err, ZDM_REFUSED, "index %s would become the key of %s, which has no primary key", w->step->object,
                  table->name);
    zdm_error_detail(err, "%s", server.message);
    return zdm_error_hint(err,
                          "All of the table would be written anew, and only a copy of it could take the index away "
                          "again. Write the statement as-is, with {lock=long rewrite-ok}.");
}

static bool is_hidden_line(const struct mydb_work *w)
{
    return w->made != NULL && strstr(w->made, printed(w->s)) != NULL;
}

enum zdm_code mydb_index_learn(struct mydb_work *w, const struct mydb_table *table, struct zdm_buffer *out_sql,
                               struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer unseen = ZDM_BUFFER_INIT;
    bool in_place = false;
    zdm_buffer_printf(&unseen, "%s%s", w->step->sql, hiding(w->s));
    enum zdm_code code = mydb_learn_made(w, table, zdm_buffer_text(&unseen), MYDB_LINE_INDEX, w->step->object, err);
    if (code != ZDM_OK) {
        return mydb_is_not_hidden(err) ? refuse_key(w, table, err) : code;
    }
    if (is_hidden_line(w)) {
        code = takes_place(w, table->name, w->made, &in_place, err);
    }
    if (code == ZDM_OK && in_place) {
        code = learn_in_sight(w, table, err);
    }
    zdm_buffer_puts(out_sql, is_hidden_line(w) ? zdm_buffer_text(&unseen) : w->step->sql);
    return code;
}

/* ---- Showing ---- */

enum zdm_code mydb_index_is_shown(struct mydb_work *w, const struct mydb_index *index, bool *out, struct zdm_error *err)
{
    struct mydb_place place = {.step = 0};
    enum zdm_code code = index->ignored ? mydb_journal_place(w, &place, err) : ZDM_OK;
    *out = !index->ignored || place.step > w->step->ordinal; /* it was hidden again since */
    return code;
}

static enum zdm_code keep_time(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    (void)table;
    enum zdm_code code = mydb_query(w->s, "SELECT CAST(UTC_TIMESTAMP() AS CHAR)", 0, NULL, &rows, err);
    return code == ZDM_OK ? mydb_former_keep(w, MYDB_BUILT, "", mydb_text(rows, 0, 0), err) : code;
}

/* Who was cut off between the build and this notes a later time: it waits for more than it needs. */
static enum zdm_code built_at(struct mydb_work *w, const struct mydb_table *table, char **out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *back = NULL;
    enum zdm_code code = mydb_former_read(w, MYDB_BUILT, &back, out, err);
    if (code != ZDM_OK || *out != NULL) {
        return code;
    }
    zdm_freep(&back);
    code = mydb_note(w, keep_time, table, false, err);
    return code == ZDM_OK ? mydb_former_read(w, MYDB_BUILT, &back, out, err) : code;
}

enum zdm_code mydb_index_show(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *since = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    enum zdm_code code = built_at(w, table, &since, err);
    if (code == ZDM_OK) {
        code = mydb_snapshots_gone(w, table->name, since, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    mydb_put_alter(&sql, table->name);
    zdm_buffer_puts(&sql, "ALTER INDEX ");
    mydb_put_name(&sql, w->step->object);
    zdm_buffer_puts(&sql, w->s->mariadb ? " NOT IGNORED, ALGORITHM=INSTANT" : " VISIBLE, ALGORITHM=INPLACE, LOCK=NONE");
    return mydb_ddl(w, table->name, zdm_buffer_text(&sql), err);
}
