/*
 * delete.c - the forward half of DELETE (delete.h), and what a walk may not do to rows that others point at.
 */
#include "agent/engine/postgresql/walk/delete.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/walk/backfill.h"
#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/walk/images.h"
#include "agent/engine/postgresql/back/walk_back.h"

/* ---- What is refused ---- */

/* A CASCADE deletes or changes rows of another table in the same statement, of which nothing is kept. */
static enum zdm_code refuse_cascades(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT conname, conrelid::regclass, CASE confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' ELSE"
        " 'SET DEFAULT' END FROM pg_constraint WHERE contype = 'f' AND confrelid = $1::oid AND confdeltype IN ('c', "
        "'n',"
        " 'd') ORDER BY 1 LIMIT 1";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 1, (const char *const[]){table->oid}, &res, err);
    if (code != ZDM_OK || PQntuples(res) == 0) {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED, "a DELETE from %s.%s would change rows of %s too: foreign key %s is ON DELETE %s",
                  table->schema, table->name, pgsql_text(res, 0, 1), pgsql_text(res, 0, 0), pgsql_text(res, 0, 2));
    zdm_error_detail(err, "Those rows are not kept, and a rollback could not bring them back.");
    return zdm_error_hint(err,
                          "Say {no-undo}, and they go or change with it for good; or, where the application does not "
                          "rely on it, put a foreign key without that action in its place before, and delete the "
                          "rows of %s first.",
                          pgsql_text(res, 0, 1));
}

/* The column numbers that the step assigns, as an array; all columns of the table for a DELETE. */
static enum zdm_code refuse_foreign_keys(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT k.conname, k.conrelid::regclass FROM pg_constraint k WHERE k.contype = 'f' AND CASE WHEN $2::text[] IS"
        " NULL THEN k.confrelid = $1::oid ELSE EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = $1::oid AND"
        " a.attname = ANY ($2::text[]) AND ((k.conrelid = $1::oid AND a.attnum = ANY (k.conkey)) OR (k.confrelid ="
        " $1::oid AND a.attnum = ANY (k.confkey)))) END ORDER BY 1 LIMIT 1";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer targets = ZDM_BUFFER_INIT;
    const struct zdm_derivation *d = w->step->derivation;
    for (size_t i = 0; i < d->n_assignments; i++) {
        /* An array's text: quotes and backslashes of a name are escaped. */
        zdm_buffer_puts(&targets, i == 0 ? "{\"" : "\",\"");
        for (const char *c = d->assignments[i].target; *c != '\0'; c++) {
            zdm_buffer_printf(&targets, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
        }
    }
    zdm_buffer_puts(&targets, d->n_assignments > 0 ? "\"}" : "");
    const char *params[] = {table->oid, d->n_assignments > 0 ? zdm_buffer_text(&targets) : NULL};
    enum zdm_code code = pgsql_query(w->s, sql, 2, params, &res, err);
    if (code != ZDM_OK || PQntuples(res) == 0) {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED, "triggers of %s.%s cannot be skipped: foreign key %s of %s would not be checked",
                  table->schema, table->name, pgsql_text(res, 0, 0), pgsql_text(res, 0, 1));
    return zdm_error_hint(err, "Leave {triggers=skip} out; the application's triggers then fire.");
}

static enum zdm_code may_skip(struct pgsql_work *w, struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, "SET LOCAL session_replication_role = replica", NULL, err);
    }
    pgsql_rollback(w->s);
    if (code != ZDM_OK && pgsql_is_privilege(err)) {
        zdm_error_set(err, ZDM_REFUSED, "the agent's role may not skip the application's triggers");
        return zdm_error_hint(err, "GRANT SET ON PARAMETER session_replication_role TO it (PostgreSQL 15 or newer; "
                                   "before, only a superuser may), or leave {triggers=skip} out.");
    }
    return code;
}

enum zdm_code pgsql_walk_refuse(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    if (w->step->derivation == NULL) {
        return zdm_error_set(err, ZDM_BUG, "step %s has no derivation", w->step->id);
    }
    if (w->step->action == ZDM_ACTION_DELETE && w->step->inverse == ZDM_INVERSE_IMAGES) {
        code = refuse_cascades(w, table, err);
    }
    if (code == ZDM_OK && w->step->skip_triggers) {
        code = refuse_foreign_keys(w, table, err);
    }
    return code == ZDM_OK && w->step->skip_triggers ? may_skip(w, err) : code;
}

/* ---- The archive ---- */

enum zdm_code pgsql_archive_make(struct pgsql_work *w, const struct pgsql_key *key, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    bool there = false;
    enum zdm_code code = pgsql_images_exist(w, w->step->object, &there, err);
    if (code == ZDM_OK && !there) {
        /* Types and collations of the columns, generated ones as what they held, and no constraint. */
        zdm_buffer_puts(&sql, "CREATE TABLE zdm.");
        pgsql_put_name(&sql, w->step->object);
        zdm_buffer_puts(&sql, " AS SELECT t.* FROM ");
        pgsql_put_table(&sql, &w->step->table);
        zdm_buffer_puts(&sql, " AS t WITH NO DATA; ALTER TABLE zdm.");
        pgsql_put_name(&sql, w->step->object);
        zdm_buffer_puts(&sql, " ADD PRIMARY KEY (");
        for (size_t i = 0; i < key->n; i++) {
            zdm_buffer_puts(&sql, i == 0 ? "" : ", ");
            pgsql_put_name(&sql, key->names[i]);
        }
        zdm_buffer_puts(&sql, ")");
        code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    }
    if (code == ZDM_OK && !there) {
        code = pgsql_images_note_key(w, key, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_walk_back_forget(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_images_touch(w, err);
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while making the archive of deleted rows");
}

/* ---- The statement ---- */

#define COLUMNS_SQL                                                                                                    \
    "SELECT string_agg(format('%s %s %s', attnum, atttypid, attname), ',' ORDER BY attnum) FROM pg_attribute WHERE"    \
    " attrelid = $1::oid AND attnum > 0 AND NOT attisdropped"

enum zdm_code pgsql_delete_same_columns(struct pgsql_work *w, const struct pgsql_table *table, const char *columns,
                                        struct zdm_error *err)
{
    static const char sql[] = COLUMNS_SQL;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query_prepared(w->s, sql, 1, (const char *const[]){table->oid}, &res, err);
    if (code != ZDM_OK || (pgsql_text(res, 0, 0) != NULL && strcmp(pgsql_text(res, 0, 0), columns) == 0)) {
        return code;
    }
    return zdm_error_set(err, ZDM_CONFLICT, "columns of %s.%s were changed meanwhile", table->schema, table->name);
}

/* Columns that came since the archive was made. */
static enum zdm_code widen_archive(struct pgsql_work *w, const struct pgsql_facts *facts, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT string_agg(format('ALTER TABLE zdm.%I ADD COLUMN %I %s', $2::text, a.attname, format_type(a.atttypid,"
        " a.atttypmod)) || CASE WHEN a.attcollation <> 0 THEN ' COLLATE ' || a.attcollation::regcollation ELSE '' END,"
        " '; ') FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname "
        "NOT"
        " IN (SELECT b.attname FROM pg_attribute b WHERE b.attrelid = format('zdm.%I', $2::text)::regclass AND b.attnum"
        " > 0 AND NOT b.attisdropped)";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {facts->table.oid, w->step->object};
    enum zdm_code code = pgsql_query(w->s, sql, 2, params, &res, err);
    return code == ZDM_OK && pgsql_text(res, 0, 0) != NULL ? pgsql_script(w->s, pgsql_text(res, 0, 0), NULL, err)
                                                           : code;
}

/* "a", "b"; and "a" = excluded."a", … */
static enum zdm_code read_columns(struct pgsql_work *w, const struct pgsql_facts *facts, char **names,
                                  char **taken_over, char **signature, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum), string_agg(format('%I = excluded.%I', attname,"
        " attname), ', ' ORDER BY attnum), (" COLUMNS_SQL ") FROM pg_attribute WHERE attrelid = $1::oid AND attnum > 0"
        " AND NOT attisdropped";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 1, (const char *const[]){facts->table.oid}, &res, err);
    if (code != ZDM_OK) {
        return code;
    }
    *names = zdm_strdup(pgsql_text(res, 0, 0));
    *taken_over = zdm_strdup(pgsql_text(res, 0, 1));
    *signature = zdm_strdup(pgsql_text(res, 0, 2));
    return *names != NULL && *taken_over != NULL && *signature != NULL ? ZDM_OK
                                                                       : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static void put_delete(struct zdm_buffer *b, const struct pgsql_work *w, const struct pgsql_facts *facts, int cursor)
{
    zdm_buffer_puts(b, "DELETE FROM ");
    pgsql_put_table(b, &w->step->table);
    zdm_buffer_puts(b, " AS t WHERE ");
    if (cursor > 0) {
        pgsql_put_compare(b, &facts->key, ">", cursor);
        zdm_buffer_puts(b, " AND ");
    }
    pgsql_put_compare(b, &facts->key, "<=", 1);
    if (facts->d->filter != NULL) {
        zdm_buffer_printf(b, " AND (%s)", facts->d->filter);
    }
}

/* A row of that key that was archived before was brought back, or came anew: the last one counts. */
static char *delete_text(const struct pgsql_work *w, const struct pgsql_facts *facts, const char *names,
                         const char *taken_over, int cursor)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    if (w->step->inverse != ZDM_INVERSE_IMAGES) {
        put_delete(&b, w, facts, cursor);
        return zdm_buffer_take(&b);
    }
    zdm_buffer_puts(&b, "WITH gone AS (");
    put_delete(&b, w, facts, cursor);
    zdm_buffer_puts(&b, " RETURNING t.*) INSERT INTO zdm.");
    pgsql_put_name(&b, w->step->object);
    zdm_buffer_printf(&b, " (%s) SELECT %s FROM gone ON CONFLICT (", names, names);
    for (size_t i = 0; i < facts->key.n; i++) {
        zdm_buffer_puts(&b, i == 0 ? "" : ", ");
        pgsql_put_name(&b, facts->key.names[i]);
    }
    zdm_buffer_printf(&b, ") DO UPDATE SET %s", taken_over);
    return zdm_buffer_take(&b);
}

enum zdm_code pgsql_delete_texts(struct pgsql_work *w, const struct pgsql_facts *facts, char **first, char **later,
                                 char **out_columns, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *names = NULL;
    ZDM_CLEANUP(zdm_freep) char *taken_over = NULL;
    bool archive = w->step->inverse == ZDM_INVERSE_IMAGES, there = false;
    enum zdm_code code = archive ? pgsql_images_exist(w, w->step->object, &there, err) : ZDM_OK;
    if (code == ZDM_OK && there) {
        code = widen_archive(w, facts, err);
    }
    if (code == ZDM_OK) {
        code = read_columns(w, facts, &names, &taken_over, out_columns, err);
    }
    if (code == ZDM_OK) {
        *first = delete_text(w, facts, names, taken_over, 0);
        *later = delete_text(w, facts, names, taken_over, 2);
    }
    return code;
}

enum zdm_code pgsql_delete_explain(const struct pgsql_work *w, struct zdm_error *err)
{
    if (w->step->action != ZDM_ACTION_DELETE || !pgsql_is_violation(err)) {
        return err->code;
    }
    struct zdm_error server = *err;
    zdm_error_set(err, ZDM_REFUSED, "a row of %s.%s cannot be deleted: %.300s", w->step->table.schema,
                  w->step->table.name, server.detail[0] != '\0' ? server.detail : server.message);
    zdm_error_detail(err, "%s", server.message);
    return zdm_error_hint(err, "Delete or change what points at it first, or leave it out with WHERE, then retry the "
                               "shard. Where it is rows of the table itself, set the column that points to NULL with "
                               "an UPDATE of the same rows in front of the DELETE.");
}
