/*
 * hide_column.c - HIDE_COLUMN, SHOW_COLUMN and their ways back (database.md 7).
 *
 * Hiding is INVISIBLE, under the same name: a rename beneath a trigger would make every write of the application fail.
 * In this order, each part of it to be seen in the catalogue and safe to stop after:
 *   1. what stands against it is named, and a row of zdm.hidden says that it is being hidden;
 *   2. a default, where the column is NOT NULL and has none: NOT NULL stays, since to drop it is a rebuild;
 *   3. triggers that only copy from the new column to this one, beside those that stand, which are dropped then; all of
 *      them go where they are no copy;
 *   4. INVISIBLE; the row says since when it is hidden.
 * Unhide: the triggers first, so that what old code writes meanwhile is in step; then visible; then no default.
 */
#include <string.h>

#include "agent/engine/mysql/actions.h"
#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/journal/journal.h"
#include "agent/engine/mysql/walk/sync.h"
#include "agent/engine/mysql/hide/visible.h"

/* back_sql of the row of a column that was INVISIBLE before anybody hid it is NULL: an unhide leaves it so. */
static const char shows[] = "SET VISIBLE";

struct hiding {
    struct mydb_table table;
    struct mydb_column column;
    struct mydb_hidden *row; /* NULL: nothing was begun */
};

static void hiding_fini(struct hiding *h)
{
    mydb_column_fini(&h->column);
    mydb_hidden_free(h->row, 1);
}

static enum zdm_code read_hiding(struct mydb_work *w, struct hiding *h, struct zdm_error *err)
{
    bool found = false;
    *h = (struct hiding){0};
    enum zdm_code code = mydb_table_find(w->s, w->step->table.name, &h->table, err);
    if (code == ZDM_OK) {
        code = mydb_column_find(w->s, h->table.name, w->step->column, &h->column, err);
    }
    if (code == ZDM_OK) {
        code = mydb_hidden_find(w, w->step->ordinal, "column", NULL, &found, &h->row, err);
    }
    if (code == ZDM_OK && !found) {
        mydb_hidden_free(h->row, 0);
        h->row = NULL;
    }
    return code;
}

static bool is_hidden(const struct hiding *h)
{
    return h->row != NULL && strcmp(h->row->state, "hidden") == 0 && h->column.invisible;
}

static const struct zdm_step *sync_of(const struct mydb_work *w)
{
    const struct zdm_step *sync = w->step->sync_step == 0 ? NULL : zdm_plan_step(w->op->plan, w->step->sync_step);
    return sync == NULL || sync->derivation == NULL ? NULL : sync;
}

/* ---- Looks ---- */

enum zdm_code mydb_look_hidden_column(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                                      struct zdm_error *err)
{
    struct hiding h;
    (void)table;
    enum zdm_code code = read_hiding(w, &h, err);
    *out_proof = mydb_done_if(code == ZDM_OK && is_hidden(&h));
    hiding_fini(&h);
    return code;
}

/* The row goes last: as long as it is there, something may have been changed. */
enum zdm_code mydb_back_of_hidden_column(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    struct hiding h;
    (void)table;
    enum zdm_code code = read_hiding(w, &h, err);
    if (code == ZDM_OK) {
        code = mydb_answer_back(w, h.row == NULL, AGENT_RUN_UNHIDE);
    }
    hiding_fini(&h);
    return code;
}

/* ---- Hide ---- */

/* Does the hidden column hold what the new one does, in every row? */
static enum zdm_code is_followed(struct mydb_work *w, const struct hiding *h, bool *out, struct zdm_error *err)
{
    const struct zdm_step *sync = sync_of(w);
    struct mydb_facts facts = {0};
    *out = false;
    if (sync == NULL || !sync->derivation->both_ways) {
        return ZDM_OK;
    }
    enum zdm_code code = mydb_facts_read(w, sync, &facts, err);
    for (size_t i = 0; i < facts.n_pairs; i++) {
        const struct mydb_pair *pair = &facts.pairs[i];
        *out = *out || (pair->copy && !pair->guarded && strcmp(pair->source.name, h->column.name) == 0);
    }
    mydb_facts_fini(&facts);
    return code;
}

static enum zdm_code refuse_check(struct mydb_work *w, const struct hiding *h, struct zdm_error *err)
{
    char check[ZDM_IDENTIFIER_MAX + 2];
    enum zdm_code code = mydb_omitted_refused(w, &h->table, &h->column, check, err);
    if (code != ZDM_OK || *check == '\0') {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED, "column %s cannot be hidden: check %s would refuse rows that leave it out",
                  h->column.name, check);
    zdm_error_detail(err, "Such rows would hold its default.");
    return zdm_error_hint(err,
                          "Drop that check in an earlier phase, or give the column a default that passes: ALTER COLUMN "
                          "%s SET DEFAULT …",
                          h->column.name);
}

/* New code leaves the column out: its default, or its zero value, comes more than once, and has no parent. */
static enum zdm_code refuse_defaults(struct mydb_work *w, const struct hiding *h, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT index_name FROM information_schema.statistics WHERE table_schema = $1 AND table_name = $2 AND"
        " column_name = $3 AND non_unique = 0 UNION ALL SELECT constraint_name FROM information_schema.key_column_usage"
        " WHERE table_schema = $1 AND table_name = $2 AND column_name = $3 AND referenced_table_name IS NOT NULL";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *params[] = {w->s->database, h->table.name, h->column.name};
    bool followed = false;
    enum zdm_code code = is_followed(w, h, &followed, err);
    if (code == ZDM_OK && !followed) {
        code = refuse_check(w, h, err);
    }
    if (code != ZDM_OK || followed || !(h->column.not_null || h->column.explicit_default)) {
        return code;
    }
    code = mydb_query(w->s, sql, 3, params, &rows, err);
    if (code != ZDM_OK || rows->n == 0) {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED, "column %s cannot be hidden: %s would refuse rows that leave it out",
                  h->column.name, mydb_text(rows, 0, 0));
    zdm_error_detail(err, "Such rows would all hold its default.");
    return zdm_error_hint(err,
                          "Drop that index or foreign key in an earlier phase; or give the new column the old one's "
                          "type and NOT NULL, so that every value of it can be copied back.");
}

static enum zdm_code may_hide(struct mydb_work *w, const struct hiding *h, struct zdm_error *err)
{
    enum zdm_code code = mydb_table_fit(&h->table, err);
    if (code == ZDM_OK) {
        code = mydb_column_refuse(w, &h->table, &h->column, err);
    }
    if (code == ZDM_OK) {
        code = refuse_defaults(w, h, err);
    }
    /* What depends on the column is named now, and not days later by the purge. */
    return code == ZDM_OK ? mydb_column_try_drop(w, &h->table, h->column.name, err) : code;
}

static enum zdm_code put_row(struct mydb_work *w, const struct hiding *h, const char *kind, const char *back_sql,
                             struct zdm_error *err)
{
    const struct mydb_hidden row = {.kind = (char *)(uintptr_t)kind,
                                    .table = (char *)(uintptr_t)h->table.name,
                                    .name = (char *)(uintptr_t)h->column.name,
                                    .hidden_name = w->step->object,
                                    .definition = h->column.definition,
                                    .back_sql = (char *)(uintptr_t)back_sql,
                                    .state = (char *)(uintptr_t) "hiding"};
    return mydb_hidden_put(w, w->step->ordinal, &row, err);
}

/* An attempt that was begun earlier has written how it was before. */
static enum zdm_code intend(struct mydb_work *w, const struct hiding *h, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK && h->row == NULL) {
        code = put_row(w, h, "column", h->column.invisible ? NULL : shows, err);
    }
    if (code == ZDM_OK && h->row == NULL && mydb_column_needs_default(&h->column)) {
        code = put_row(w, h, "default", NULL, err);
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

static enum zdm_code settle(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    (void)table;
    return mydb_hidden_settle(w, err);
}

static enum zdm_code turn_sync(struct mydb_work *w, struct zdm_error *err)
{
    const struct zdm_step *sync = sync_of(w);
    if (sync == NULL) {
        return ZDM_OK;
    }
    return sync->derivation->both_ways ? mydb_sync_replace(w, sync, true, err) : mydb_sync_drop(w, sync, false, err);
}

static enum zdm_code hide(struct mydb_work *w, const struct hiding *h, struct zdm_error *err)
{
    enum zdm_code code = may_hide(w, h, err);
    if (code == ZDM_OK) {
        code = intend(w, h, err);
    }
    if (code == ZDM_OK && mydb_column_needs_default(&h->column)) {
        code = mydb_column_set_default(w, h->table.name, &h->column, err);
    }
    if (code == ZDM_OK) {
        code = turn_sync(w, err);
    }
    return code == ZDM_OK ? mydb_column_show(w, h->table.name, h->column.name, false, err) : code;
}

enum zdm_code mydb_hide_column(struct mydb_work *w, struct zdm_error *err)
{
    struct hiding h;
    enum zdm_code code = read_hiding(w, &h, err);
    bool hidden = code == ZDM_OK && is_hidden(&h);
    if (code == ZDM_OK && !hidden) {
        code = hide(w, &h, err);
    }
    if (code == ZDM_OK) {
        code = mydb_note(w, hidden ? NULL : settle, NULL, true, err);
    }
    if (code == ZDM_OK && hidden) {
        w->result->outcome = AGENT_ALREADY;
    }
    hiding_fini(&h);
    return code;
}

/* ---- Unhide ---- */

static enum zdm_code drop_our_default(struct mydb_work *w, const struct hiding *h, struct zdm_error *err)
{
    struct mydb_hidden *row = NULL;
    bool ours = false;
    size_t rows = 0; /* triggers that stand again may need it, too */
    enum zdm_code code = mydb_hidden_find(w, w->step->ordinal, "default", NULL, &ours, &row, err);
    mydb_hidden_free(row, ours ? 1 : 0);
    if (code == ZDM_OK && ours) {
        code = mydb_default_rows(w, h->table.name, h->column.name, &rows, err);
    }
    if (code == ZDM_OK && rows == 1 && h->column.explicit_default) {
        code = mydb_column_drop_default(w, h->table.name, h->column.name, err);
    }
    return code;
}

static enum zdm_code bring_back(struct mydb_work *w, const struct hiding *h, struct zdm_error *err)
{
    const struct zdm_step *sync = sync_of(w);
    enum zdm_code code = sync == NULL ? ZDM_OK : mydb_sync_replace(w, sync, false, err);
    if (code == ZDM_OK && h->row->back_sql != NULL) {
        code = mydb_column_show(w, h->table.name, h->column.name, true, err);
    }
    return code == ZDM_OK ? drop_our_default(w, h, err) : code;
}

enum zdm_code mydb_unhide_column(struct mydb_work *w, struct zdm_error *err)
{
    struct hiding h;
    enum zdm_code code = read_hiding(w, &h, err);
    if (code == ZDM_OK && h.row != NULL) {
        code = bring_back(w, &h, err);
    }
    if (code == ZDM_OK) {
        code = mydb_begin(w->s, err);
    }
    if (code == ZDM_OK) {
        code = mydb_hidden_forget(w, w->step->ordinal, NULL, NULL, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_hold(w, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_commit(w, err);
    }
    if (code == ZDM_OK && h.row == NULL) {
        w->result->outcome = AGENT_ALREADY;
    }
    hiding_fini(&h);
    return code;
}

/* ---- SHOW_COLUMN: what ADD_COLUMN has added out of sight ---- */

static enum zdm_code is_shown(struct mydb_work *w, bool *out, struct zdm_error *err)
{
    struct mydb_column column = {0};
    enum zdm_code code = mydb_column_find(w->s, w->step->table.name, w->step->column, &column, err);
    *out = code == ZDM_OK && !column.invisible;
    mydb_column_fini(&column);
    return code;
}

enum zdm_code mydb_look_shown(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                              struct zdm_error *err)
{
    bool shown = false;
    (void)table;
    enum zdm_code code = is_shown(w, &shown, err);
    *out_proof = mydb_done_if(shown);
    return code;
}

/* One that was taken away by then, or is not ours, is nothing to hide. */
enum zdm_code mydb_back_of_shown(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer object = ZDM_BUFFER_INIT;
    struct mydb_column column = {0};
    bool found = false, ours = false;
    enum zdm_code code = mydb_column_look(w->s, table->name, w->step->column, &found, &column, err);
    bool shown = found && !column.invisible;
    mydb_column_fini(&column);
    mydb_owned_name(&object, table->name, w->step->column);
    if (code == ZDM_OK && shown) {
        code = mydb_owned_is(w, "column", zdm_buffer_text(&object), &ours, err);
    }
    return code == ZDM_OK ? mydb_answer_back(w, !shown || !ours, AGENT_RUN_UNDO_DDL) : code;
}

enum zdm_code mydb_show_column(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    return mydb_column_show(w, table->name, w->step->column, true, err);
}

enum zdm_code mydb_unshow_column(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    return mydb_column_show(w, table->name, w->step->column, false, err);
}
