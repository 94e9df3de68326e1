/*
 * purge.c - really dropping what was hidden: the only statements of the engine that cannot be taken back.
 *
 * Nothing goes before its grace has passed since it was hidden, by the database's own clock, unless the approvals say
 * `now`: AGENT_EARLY, with the time that is left. A column goes together with the triggers that still write into it and
 * with its rows of zdm.hidden, in one transaction with the fence.
 */
#include "agent/engine/postgresql/hide/hidden.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/back/walk_back.h"
#include "agent/engine/postgresql/walk/images.h"
#include "agent/engine/postgresql/online/index.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/walk/sync.h"
#include "agent/engine/postgresql/hide/trash.h"

enum zdm_code pgsql_hidden_is_due(struct pgsql_work *w, const char *where, size_t n, const char *const *values,
                                  bool *out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    char grace[24];
    const char *params[8] = {grace};
    snprintf(grace, sizeof grace, "%" PRId64, w->op->grace_ms);
    for (size_t i = 0; i < n; i++) {
        params[1 + i] = values[i];
    }
    zdm_buffer_printf(&sql,
                      "SELECT coalesce(ceil(max($1::int8 - extract(epoch FROM clock_timestamp() - hidden_at) * 1000)),"
                      " 0)::int8 FROM zdm.hidden WHERE %s",
                      where);
    enum zdm_code code = pgsql_query(w->s, zdm_buffer_text(&sql), 1 + n, params, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while reading zdm.hidden");
    }
    int64_t left = pgsql_int(res, 0, 0);
    *out = w->op->purge_now || left <= 0;
    if (!*out) {
        w->result->outcome = AGENT_EARLY;
        w->result->wait_ms = left;
    }
    return ZDM_OK;
}

static enum zdm_code drop_column(struct pgsql_work *w, const struct zdm_table *table, const char *column,
                                 struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    pgsql_put_alter(&sql, table);
    zdm_buffer_puts(&sql, " DROP COLUMN IF EXISTS ");
    pgsql_put_name(&sql, column);
    zdm_buffer_puts(&sql, " RESTRICT");
    enum zdm_code code = pgsql_hidden_refuse_source(w, table, column, "dropped", err);
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    }
    if (code != ZDM_OK && pgsql_is_dependency(err)) {
        struct zdm_error server = *err;
        zdm_error_set(err, ZDM_REFUSED, "column %s cannot be dropped: %.400s", column, server.detail);
        zdm_error_detail(err, "%s", server.detail);
        return zdm_error_hint(err, "Drop or change what depends on the column, then retry the shard.");
    }
    return code;
}

/* ---- What rollbacks left ---- */

/* The next leftover of the migration; of the step's table alone where there is a step. Columns go before types, which
 * they may be of, and tables in the order in which they were hidden: one that was made later may point at an earlier
 * one. */
struct leftover {
    bool found, there, ours;
    char kind[16], schema[ZDM_IDENTIFIER_MAX + 1], table[ZDM_IDENTIFIER_MAX + 1], name[ZDM_IDENTIFIER_MAX + 1];
    char hidden_name[ZDM_IDENTIFIER_MAX + 1];
};

static enum zdm_code next_leftover(struct pgsql_work *w, struct leftover *out, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT h.kind, h.schema_name, h.table_name, h.name, h.hidden_name, a.attnum IS NOT NULL,"
        " coalesce(col_description(a.attrelid, a.attnum) = $4, false) FROM zdm.hidden h LEFT JOIN pg_attribute a"
        " ON a.attrelid = to_regclass(format('%I.%I', h.schema_name, h.table_name)) AND a.attname = h.hidden_name"
        " AND NOT a.attisdropped AND a.attinhcount = 0 AND h.kind = 'column' WHERE h.migration = $1 AND h.by_rollback"
        " AND h.kind IN ('column', 'images', 'table', 'type')"
        " AND ($2::text IS NULL OR (h.schema_name, h.table_name) = ($2, $3::text))"
        " ORDER BY array_position(ARRAY['column', 'images', 'table', 'type'], h.kind), h.hidden_at, h.name LIMIT 1";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    char mark[ZDM_NAME_MAX + 8];
    pgsql_owner_mark(mark, w->op->migration);
    const char *schema = w->step == NULL ? NULL : w->step->table.schema;
    const char *params[] = {w->op->migration, schema, w->step == NULL ? NULL : w->step->table.name, mark};
    enum zdm_code code = pgsql_query(w->s, sql, 4, params, &res, err);
    *out = (struct leftover){.found = code == ZDM_OK && PQntuples(res) == 1};
    if (!out->found) {
        return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while reading zdm.hidden");
    }
    zdm_copy_text(out->kind, sizeof out->kind, pgsql_text(res, 0, 0));
    zdm_copy_text(out->schema, sizeof out->schema, pgsql_text(res, 0, 1));
    zdm_copy_text(out->table, sizeof out->table, pgsql_text(res, 0, 2));
    zdm_copy_text(out->name, sizeof out->name, pgsql_text(res, 0, 3));
    zdm_copy_text(out->hidden_name, sizeof out->hidden_name, pgsql_text(res, 0, 4));
    out->there = pgsql_true(res, 0, 5);
    out->ours = pgsql_true(res, 0, 6);
    return ZDM_OK;
}

static enum zdm_code lock_table(struct pgsql_short *attempt, const struct leftover *left, struct pgsql_table *out,
                                struct zdm_error *err)
{
    struct zdm_table name = {(char *)left->schema, (char *)left->table};
    enum zdm_code code = pgsql_table_find(attempt->w->s, &name, out, err);
    return code == ZDM_OK ? pgsql_short_lock(attempt, out, PGSQL_ACCESS_EXCLUSIVE, err) : code;
}

static enum zdm_code drop_left_column(struct pgsql_short *attempt, const struct leftover *left, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    struct zdm_table name = {(char *)left->schema, (char *)left->table};
    struct pgsql_hiding h = {.name = &name};
    enum zdm_code code = lock_table(attempt, left, &h.table, err);
    if (code == ZDM_OK) {
        code = pgsql_column_find(w->s, &h.table, left->hidden_name, &h.column, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_hidden_lock_parents(attempt, &h, err);
    }
    if (code == ZDM_OK) {
        code = drop_column(w, &name, left->hidden_name, err);
    }
    pgsql_column_fini(&h.column);
    return code;
}

/* A column that somebody else has dropped or taken over is only forgotten. */
static enum zdm_code drop_leftover(struct pgsql_short *attempt, const struct leftover *left, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    const char *params[] = {w->op->migration, left->schema, left->table, left->hidden_name};
    enum zdm_code code = ZDM_OK;
    if (strcmp(left->kind, "images") == 0) {
        return pgsql_images_drop(w, left->hidden_name, err);
    }
    if (strcmp(left->kind, "column") != 0) {
        code = pgsql_trash_drop(attempt, left->kind, left->hidden_name, left->name, err);
    } else if (left->there && left->ours) {
        code = drop_left_column(attempt, left, err);
    }
    /* The parts of a tree lie in the same schema of the trash as its table. */
    return code == ZDM_OK
               ? pgsql_query(w->s,
                             "DELETE FROM zdm.hidden WHERE migration = $1 AND by_rollback AND ((schema_name ="
                             " $2 AND table_name = $3) OR kind = 'partition') AND hidden_name = $4",
                             4, params, NULL, err)
               : code;
}

enum zdm_code pgsql_leftovers_look(struct pgsql_work *w, bool *out_none, struct zdm_error *err)
{
    struct leftover left;
    enum zdm_code code = next_leftover(w, &left, err);
    *out_none = !left.found;
    return code;
}

enum zdm_code pgsql_run_purge_leftovers(struct pgsql_work *w, struct zdm_error *err)
{
    struct leftover left;
    struct pgsql_short attempt = {.w = w};
    bool due = false;
    w->step = NULL;
    enum zdm_code code = next_leftover(w, &left, err);
    if (code == ZDM_OK && !left.found) {
        w->result->outcome = AGENT_ALREADY;
        return ZDM_OK;
    }
    const char *const values[] = {w->op->migration, left.hidden_name, left.kind};
    if (code == ZDM_OK) {
        code = pgsql_hidden_is_due(w, "migration = $2 AND by_rollback AND hidden_name = $3 AND kind = $4", 3, values,
                                   &due, err);
    }
    if (code != ZDM_OK || !due) {
        return code;
    }
    code = pgsql_short_begin(&attempt, w, err);
    if (code == ZDM_OK) {
        code = drop_leftover(&attempt, &left, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_walk_back_untell(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

enum zdm_code pgsql_purge_leftovers_of_table(struct pgsql_short *attempt, struct zdm_error *err)
{
    struct leftover left = {.found = true};
    enum zdm_code code = ZDM_OK;
    while (code == ZDM_OK && left.found) {
        code = next_leftover(attempt->w, &left, err);
        if (code == ZDM_OK && left.found) {
            code = drop_leftover(attempt, &left, err);
        }
    }
    return code;
}

/* ---- Steps of the purge phase ---- */

/* Without its row nobody knows since when it is hidden, and so not when its grace is over. */
static enum zdm_code need_row(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] = "SELECT EXISTS (SELECT FROM zdm.hidden WHERE migration = $1 AND schema_name = $2 AND"
                              " table_name = $3 AND hidden_name = $4 AND kind = 'column' AND NOT by_rollback)";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {w->op->migration, w->step->table.schema, w->step->table.name, w->step->object};
    enum zdm_code code = pgsql_query(w->s, sql, 4, params, &res, err);
    if (code != ZDM_OK || pgsql_true(res, 0, 0)) {
        return code;
    }
    zdm_error_set(err, ZDM_CORRUPT, "zdm.hidden does not say since when column %s is hidden", w->step->object);
    return zdm_error_hint(err, "Rows were deleted from zdm.hidden; drop the column yourself.");
}

/* One that was retired in place is dropped from under its subscribers only where the plan says so. */
static enum zdm_code may_drop_published(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    static const char sql[] = "SELECT min(pubname) FROM pg_publication_tables WHERE schemaname = $1 AND tablename = $2";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){table->schema, table->name}, &res, err);
    if (code != ZDM_OK || pgsql_text(res, 0, 0) == NULL || w->step->publication_ok) {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED, "table %s.%s is published in %s", table->schema, table->name,
                  pgsql_text(res, 0, 0));
    return zdm_error_hint(err, "Drop the column at the subscribers, and say {publication-ok}.");
}

/* The name that the hide gave it, or its own when it was retired in place, with this migration's mark: nothing else is
 * dropped. */
static enum zdm_code drop_hidden_column(struct pgsql_short *attempt, const struct pgsql_table *table,
                                        struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    struct pgsql_hiding h = {.name = &w->step->table, .table = *table};
    bool found = false;
    enum zdm_code code = pgsql_hidden_in_place(w, w->step, &h.in_place, err);
    const char *name = h.in_place ? w->step->column : w->step->object;
    if (code == ZDM_OK && h.in_place) {
        code = may_drop_published(w, table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_column_look(w->s, table, name, &found, &h.column, err);
    }
    bool ours = found && pgsql_is_owner(h.column.comment, w->op->migration);
    if (code == ZDM_OK && found && ours) {
        code = pgsql_hidden_lock_parents(attempt, &h, err);
    }
    pgsql_column_fini(&h.column);
    if (code == ZDM_OK && found && !ours) {
        return zdm_error_set(err, ZDM_EXISTS, "column %s of %s.%s is there and was not hidden by this migration", name,
                             table->schema, table->name);
    }
    if (code == ZDM_OK && found) {
        code = need_row(w, err);
    }
    if (code == ZDM_OK && w->step->sync_step != 0) {
        code = pgsql_sync_drop(w, w->step->sync_step, false, err);
    }
    return code == ZDM_OK && found ? drop_column(w, &w->step->table, name, err) : code;
}

/* Nothing is left that a rollback could be inexact for, and what the last one told is over. */
static enum zdm_code forget_counts(struct pgsql_work *w, struct zdm_error *err)
{
    const char *params[] = {w->op->migration};
    enum zdm_code code = pgsql_query(w->s, "DELETE FROM zdm.compared WHERE migration = $1", 1, params, NULL, err);
    return code == ZDM_OK ? pgsql_walk_back_untell(w, err) : code;
}

static enum zdm_code purge_column(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_table table;
    struct pgsql_short attempt;
    const char *params[] = {w->op->migration, w->step->table.schema, w->step->table.name, w->step->object};
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &table, err);
    if (code == ZDM_OK) {
        code = pgsql_short_begin(&attempt, w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_short_lock(&attempt, &table, PGSQL_ACCESS_EXCLUSIVE, err);
    }
    if (code == ZDM_OK) {
        code = drop_hidden_column(&attempt, &table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_query(w->s,
                           "DELETE FROM zdm.hidden WHERE migration = $1 AND schema_name = $2 AND table_name = $3"
                           " AND hidden_name = $4 AND NOT by_rollback",
                           4, params, NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_purge_leftovers_of_table(&attempt, err);
    }
    if (code == ZDM_OK) {
        code = forget_counts(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_step_on(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

static enum zdm_code purge_images(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_short attempt;
    bool ours = false;
    enum zdm_code code = pgsql_short_begin(&attempt, w, err);
    if (code == ZDM_OK) {
        code = pgsql_images_exist(w, w->step->object, &ours, err);
    }
    if (code == ZDM_OK && ours) {
        code = pgsql_images_drop(w, w->step->object, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_step_on(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

enum zdm_code pgsql_run_purge(struct pgsql_work *w, struct zdm_error *err)
{
    const char *const values[] = {w->op->migration, w->step->table.schema, w->step->table.name, w->step->object};
    if (w->step->action == ZDM_ACTION_PURGE_TABLE) {
        return pgsql_trash_run_purge(w, err);
    }
    if (w->step->action == ZDM_ACTION_PURGE_INDEX) {
        return pgsql_index_run_purge(w, err);
    }
    bool images = w->step->action == ZDM_ACTION_PURGE_IMAGES, due = false;
    /* Leftovers go with a column of their table. They were hidden before it, but the same grace is asked of them. */
    const char *what = images ? "migration = $2 AND schema_name = $3 AND table_name = $4 AND hidden_name = $5"
                              : "migration = $2 AND schema_name = $3 AND table_name = $4 AND (hidden_name = $5 OR"
                                " by_rollback) AND kind IN ('column', 'images', 'table', 'type')";
    enum zdm_code code = pgsql_hidden_is_due(w, what, 4, values, &due, err);
    if (code != ZDM_OK || !due) {
        return code;
    }
    return images ? purge_images(w, err) : purge_column(w, err);
}
