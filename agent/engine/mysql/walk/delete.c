/*
 * delete.c - the forward half of DELETE (delete.h), and what a walk may not do to rows that others point at.
 *
 * The server returns no row that a DELETE takes: a batch first copies the rows into the archive and holds them, then
 * deletes those that bear its mark (images.c says why).
 */
#include "agent/engine/mysql/walk/delete.h"

#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/catalog/dependents.h"
#include "agent/engine/mysql/walk/images.h"
#include "agent/engine/mysql/walk/walk_sql.h"

/* ---- What is refused ---- */

static enum zdm_code refuse_foreign_cascades(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    char what[MYDB_DEPENDENT_MAX];
    enum zdm_code code = mydb_foreign_child(w, table->name, NULL, true, what, err);
    if (code != ZDM_OK || what[0] == '\0') {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED, "a DELETE from %s would change rows of another database too: by %s", table->name,
                  what);
    zdm_error_detail(err, "Those rows are not kept, and a rollback could not bring them back.");
    return zdm_error_hint(err, "Say {no-undo}, and they go or change with it for good; or put a foreign key without "
                               "that action in its place before.");
}

/* A CASCADE deletes or changes rows of another table in the same statement, of which nothing is kept. */
static enum zdm_code refuse_cascades(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT constraint_name, table_name, delete_rule FROM information_schema.referential_constraints WHERE"
        " constraint_schema = $1 AND unique_constraint_schema = $1 AND referenced_table_name = $2 AND delete_rule IN"
        " ('CASCADE', 'SET NULL', 'SET DEFAULT') ORDER BY 1 LIMIT 1";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s, sql, 2, (const char *const[]){w->s->database, table->name}, &rows, err);
    if (code != ZDM_OK || rows->n == 0) {
        return code == ZDM_OK ? refuse_foreign_cascades(w, table, err) : code;
    }
    const char *other = mydb_text(rows, 0, 1);
    zdm_error_set(err, ZDM_REFUSED, "a DELETE from %s would change rows of %s too: foreign key %s is ON DELETE %s",
                  table->name, other, mydb_text(rows, 0, 0), mydb_text(rows, 0, 2));
    zdm_error_detail(err, "Those rows are not kept, and a rollback could not bring them back.");
    return zdm_error_hint(err,
                          "Say {no-undo}, and they go or change with it for good; or, where the application does not "
                          "rely on it, put a foreign key without that action in its place before, and delete the "
                          "rows of %s first.",
                          other);
}

enum zdm_code mydb_walk_refuse(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    if (w->step->derivation == NULL) {
        return zdm_error_set(err, ZDM_BUG, "step %s has no derivation", w->step->id);
    }
    if (w->step->skip_triggers) {
        zdm_error_set(err, ZDM_REFUSED, "triggers of %s cannot be skipped: MySQL and MariaDB have no such setting",
                      table->name);
        return zdm_error_hint(err, "Leave {triggers=skip} out; the application's triggers then fire.");
    }
    bool archive = w->step->action == ZDM_ACTION_DELETE && w->step->inverse == ZDM_INVERSE_IMAGES;
    return archive ? refuse_cascades(w, table, err) : ZDM_OK;
}

/* ---- Columns ---- */

static enum zdm_code read_columns(struct mydb_work *w, const struct mydb_facts *facts, struct mydb_rows **out,
                                  struct zdm_error *err)
{
    static const char sql[] = "SELECT column_name, column_type FROM information_schema.columns WHERE table_schema = $1"
                              " AND table_name = $2 ORDER BY ordinal_position";
    const char *const params[] = {w->s->database, facts->table.name};
    return mydb_query(w->s, sql, 2, params, out, err);
}

static char *signature_of(const struct mydb_rows *columns)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    for (size_t i = 0; i < columns->n; i++) {
        zdm_buffer_printf(&b, "%s%s ", i == 0 ? "" : ", ", mydb_text(columns, i, 0));
        zdm_buffer_puts(&b, mydb_text(columns, i, 1));
    }
    return zdm_buffer_take(&b);
}

enum zdm_code mydb_archive_look(struct mydb_work *w, const struct mydb_facts *facts, char **out_columns,
                                struct zdm_error *err)
{
    char name[MYDB_IMAGES_NAME_MAX];
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *columns = NULL;
    enum zdm_code code = mydb_images_find(w, w->step->object, name, err);
    if (code == ZDM_OK) {
        code = read_columns(w, facts, &columns, err);
    }
    if (code == ZDM_OK && *name != '\0') {
        code = mydb_images_widen(w, facts, name, err);
    }
    if (code == ZDM_OK) {
        *out_columns = signature_of(columns);
        return *out_columns != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    return code;
}

/* The look for the batch's end has read the table in this transaction, which holds its definition until the end. */
static enum zdm_code same_columns(struct mydb_work *w, const struct mydb_facts *facts, const char *then,
                                  struct mydb_rows **out, struct zdm_error *err)
{
    enum zdm_code code = read_columns(w, facts, out, err);
    ZDM_CLEANUP(zdm_freep) char *now = code == ZDM_OK ? signature_of(*out) : NULL;
    if (code == ZDM_OK && (now == NULL || strcmp(now, then) != 0)) {
        return zdm_error_set(err, ZDM_CONFLICT, "columns of %s were changed meanwhile", facts->table.name);
    }
    return code;
}

/* ---- The statements ---- */

static void put_names(struct zdm_buffer *b, const struct mydb_rows *columns, const char *alias)
{
    for (size_t i = 0; i < columns->n; i++) {
        zdm_buffer_puts(b, ", ");
        zdm_buffer_puts(b, alias);
        mydb_put_name(b, mydb_text(columns, i, 0));
    }
}

static enum zdm_code put_rows_where(struct zdm_buffer *b, const struct mydb_facts *facts, struct mydb_span span,
                                    struct zdm_error *err)
{
    enum zdm_code code = mydb_put_span(b, &facts->key, "t.", span, err);
    if (facts->d->filter != NULL) {
        zdm_buffer_printf(b, " AND (%s)", facts->d->filter);
    }
    return code;
}

/* A row of that key that was archived before was brought back, or came anew: the last one counts. */
static enum zdm_code archive(struct mydb_work *w, const struct mydb_facts *facts, const char *name, const char *mark,
                             const struct mydb_rows *columns, struct mydb_span span, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "INSERT INTO ");
    mydb_put_images(&sql, name);
    zdm_buffer_puts(&sql, " (zdm_batch");
    put_names(&sql, columns, "");
    zdm_buffer_printf(&sql, ") SELECT %s", mark);
    put_names(&sql, columns, "t.");
    zdm_buffer_puts(&sql, " FROM ");
    mydb_put_walked(&sql, facts->table.name, &facts->key);
    zdm_buffer_puts(&sql, " WHERE ");
    enum zdm_code code = put_rows_where(&sql, facts, span, err);
    zdm_buffer_printf(&sql, " FOR UPDATE ON DUPLICATE KEY UPDATE zdm_batch = %s", mark);
    for (size_t i = 0; i < columns->n; i++) {
        zdm_buffer_puts(&sql, ", ");
        mydb_put_images(&sql, name);
        zdm_buffer_puts(&sql, ".");
        mydb_put_name(&sql, mydb_text(columns, i, 0));
        zdm_buffer_puts(&sql, " = t.");
        mydb_put_name(&sql, mydb_text(columns, i, 0));
    }
    return code == ZDM_OK ? mydb_run(w->s, zdm_buffer_text(&sql), NULL, err) : code;
}

static void put_delete(struct zdm_buffer *b, const struct mydb_facts *facts)
{
    zdm_buffer_puts(b, "DELETE t FROM ");
    mydb_put_walked(b, facts->table.name, &facts->key);
    zdm_buffer_puts(b, " WHERE ");
}

static enum zdm_code delete_archived(struct mydb_work *w, const struct mydb_facts *facts, const char *name,
                                     const char *mark, struct mydb_span span, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    put_delete(&sql, facts);
    enum zdm_code code = mydb_put_span(&sql, &facts->key, "t.", span, err);
    zdm_buffer_printf(&sql, " AND %s = (SELECT i.zdm_batch FROM ", mark);
    mydb_put_images(&sql, name);
    zdm_buffer_puts(&sql, " AS i WHERE ");
    mydb_put_join(&sql, "i.", &facts->key, "t.", &facts->key);
    zdm_buffer_puts(&sql, ")");
    return code == ZDM_OK ? mydb_run(w->s, zdm_buffer_text(&sql), NULL, err) : code;
}

static enum zdm_code delete_all(struct mydb_work *w, const struct mydb_facts *facts, struct mydb_span span,
                                struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    put_delete(&sql, facts);
    enum zdm_code code = put_rows_where(&sql, facts, span, err);
    return code == ZDM_OK ? mydb_run(w->s, zdm_buffer_text(&sql), NULL, err) : code;
}

static enum zdm_code keep_and_delete(struct mydb_work *w, const struct mydb_facts *facts, const char *then,
                                     struct mydb_span span, struct zdm_error *err)
{
    char name[MYDB_IMAGES_NAME_MAX], mark[24];
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *columns = NULL;
    enum zdm_code code = mydb_images_find(w, w->step->object, name, err);
    if (code == ZDM_OK && *name == '\0') {
        return zdm_error_set(err, ZDM_CONFLICT, "the archive of deleted rows is not there");
    }
    if (code == ZDM_OK) {
        code = same_columns(w, facts, then, &columns, err);
    }
    if (code == ZDM_OK) {
        code = mydb_batch_mark(w, mark, err);
    }
    if (code == ZDM_OK) {
        code = archive(w, facts, name, mark, columns, span, err);
    }
    if (code == ZDM_OK) {
        code = mydb_images_touch(w, name, err);
    }
    return code == ZDM_OK ? delete_archived(w, facts, name, mark, span, err) : code;
}

/* Names the row that a foreign key of another table holds. The server looks at each row when it goes, and not at the
 * end of the statement: one of the same table that goes with it holds it, too. */
static enum zdm_code explain(const struct mydb_work *w, struct zdm_error *err)
{
    if (!mydb_is_violation(err)) {
        return err->code;
    }
    struct zdm_error server = *err;
    zdm_error_set(err, ZDM_REFUSED, "a row of %s cannot be deleted: %.400s", w->step->table.name, server.message);
    zdm_error_detail(err, "%s", server.detail);
    return zdm_error_hint(err, "Delete or change what points at it first, or leave it out with WHERE, then retry the "
                               "shard. Where it is rows of the table itself, set the column that points to NULL with "
                               "an UPDATE of the same rows in front of the DELETE.");
}

enum zdm_code mydb_delete_change(struct mydb_work *w, const struct mydb_facts *facts, const char *columns,
                                 const char *last, uint32_t *out_changed, struct zdm_error *err)
{
    struct mydb_span span = {.after = w->op->cursor, .to = last};
    enum zdm_code code = w->step->inverse == ZDM_INVERSE_IMAGES ? keep_and_delete(w, facts, columns, span, err)
                                                                : delete_all(w, facts, span, err);
    *out_changed = code == ZDM_OK ? (uint32_t)mydb_changed(w->s) : 0;
    return code == ZDM_OK ? ZDM_OK : explain(w, err);
}
