/*
 * drop.c - DROP COLUMN, DROP TABLE, DROP INDEX: taken out of sight now, really dropped in the purge phase.
 */
#include "common/runbook/postgresql/ddl.h"

#include <string.h>

/* ---- DROP COLUMN ---- */

static bool is_plain_command(const struct rb_ddl *d)
{
    struct rb *rb = d->s->rb;
    if (d->cmd->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE)
        rb_error(rb, "drop-cascade", rb_ddl_at_word(d, "cascade"),
                 "Leave CASCADE out; the agent names what depends on the column and stops there.",
                 "CASCADE would drop what the plan does not name");
    else if (d->cmd->missing_ok)
        rb_error(rb, "drop-if-exists", rb_ddl_at_word(d, "if"), "Leave IF EXISTS out.",
                 "the plan must know what it drops");
    else
        return true;
    return false;
}

static bool may_drop(const struct rb_ddl *d, const struct rb_column *column, struct rb_place at)
{
    struct rb *rb = d->s->rb;
    const char *name = column->name;
    if (column->hide != NULL)
        rb_error(rb, "column-hidden", at, "Remove it.", "column %s is dropped twice", name);
    else if (column->added || column->created)
        rb_error(rb, "drop-added", at, "Leave both out, or roll the migration back.",
                 "column %s is added by this very runbook", name);
    else if (column->sync != NULL)
        rb_error(rb, "drop-target", at, "Drop the column that it was filled from.",
                 "column %s is what this runbook fills", name);
    else
        return true;
    return false;
}

static bool is_indexed(const struct rb_ddl *d, const char *name, struct rb_place at)
{
    for (const struct rb_index *index = d->s->rb->indexes; index != NULL; index = index->next) {
        for (size_t i = 0; i < index->n_columns; i++) {
            if (rb_same_table(&index->table, &d->table) && strcmp(index->columns[i], name) == 0) {
                rb_error(d->s->rb, "drop-indexed", at, "Leave one of them out.",
                         "the index %s of this very runbook is on column %s", index->name, name);
                return true;
            }
        }
    }
    return false;
}

static bool is_constrained(const struct rb_ddl *d, const char *name, struct rb_place at)
{
    for (const struct rb_object *o = d->s->rb->objects; o != NULL; o = o->next) {
        if (o->kind == RB_OBJECT_CONSTRAINT && o->created && o->dropped == NULL &&
            rb_same_table(&o->table, &d->table) && rb_object_names(o, name)) {
            rb_error(d->s->rb, "drop-constrained", at, "Leave one of them out.",
                     "the constraint %s of this very runbook names column %s", o->name, name);
            return true;
        }
    }
    return false;
}

static bool sync_reads(const struct rb_sync *sync, const struct rb_table *table, const char *column)
{
    const struct zdm_step *step = &sync->install->step;
    if (sync->install->superseded != NULL || strcmp(step->table.schema, table->schema) != 0 ||
        strcmp(step->table.name, table->name) != 0)
        return false;
    for (size_t i = 0; i < step->derivation->n_sources; i++) {
        if (strcmp(step->derivation->sources[i], column) == 0)
            return true;
    }
    return false;
}

void rb_ddl_end_sync(const struct rb_ddl *d, struct rb_sync *sync)
{
    struct rb_step *remove = rb_ddl_step(d, ZDM_STEP_SYNC, ZDM_ACTION_SYNC_REMOVE, ZDM_LOCK_SHORT, NULL);
    remove->sync = sync->install;
    remove->note.rewritten = true;
    rb_step_inverse(remove, ZDM_INVERSE_INSTALL, NULL);
    rb_step_does(remove, "remove the triggers that fill %s", rb_targets_text(d->s->rb, sync->install->step.derivation));
    sync->install->superseded = remove;
}

/* The sync that ends in the transaction of the hide (a copy in both directions before any other); each other sync that
 * reads the column ends in a step of its own just before. */
static struct rb_sync *end_syncs(const struct rb_ddl *d, const char *column)
{
    struct rb_sync *carried = NULL;
    for (struct rb_sync *sync = d->s->rb->syncs; sync != NULL; sync = sync->next) {
        if (sync_reads(sync, &d->table, column) && (carried == NULL || (sync->install->step.derivation->both_ways &&
                                                                        !carried->install->step.derivation->both_ways)))
            carried = sync;
    }
    for (struct rb_sync *sync = d->s->rb->syncs; sync != NULL; sync = sync->next) {
        if (sync != carried && sync_reads(sync, &d->table, column))
            rb_ddl_end_sync(d, sync);
    }
    return carried;
}

static void describe_hide(const struct rb_ddl *d, struct rb_step *hide, const struct zdm_derivation *sync,
                          struct rb_place at)
{
    struct rb *rb = d->s->rb;
    const char *rest = "; the purge drops it";
    if (hide->step.exact_inverse)
        rest = rb_format(rb, "; new code owns %s, and triggers copy it into the hidden column, so that nothing is lost",
                         rb_targets_text(rb, sync));
    else if (sync != NULL)
        rest = rb_format(rb, ", and remove the triggers that fill %s from it", rb_targets_text(rb, sync));
    rb_step_does(hide,
                 rb->engine == ZDM_ENGINE_MYSQL ? "make it invisible%s"
                                                : "rename it out of sight, without its NOT NULL and constraints%s",
                 rest);
    if (!hide->step.exact_inverse)
        rb_warning(rb, "hide-inexact", at,
                   "The phase needs an approval. Rows that are written after it hold NULL or a default in the old "
                   "column if it is ever brought back.",
                   "nothing writes %s once it is hidden: an undo brings back only what was there", hide->step.column);
}

void rb_ddl_hide_column(const struct rb_ddl *d, const char *name, struct rb_place at)
{
    struct rb *rb = d->s->rb;
    struct rb_column *column = rb_column_of(rb, &d->table, name);
    if (!may_drop(d, column, at) || is_indexed(d, name, at) || is_constrained(d, name, at))
        return;
    struct rb_sync *sync = end_syncs(d, name);
    const struct zdm_derivation *derivation = sync == NULL ? NULL : sync->install->step.derivation;
    struct rb_step *hide = rb_ddl_step(d, ZDM_STEP_HIDE, ZDM_ACTION_HIDE_COLUMN, ZDM_LOCK_SHORT, name);
    rb_step_object(hide, rb->engine == ZDM_ENGINE_MYSQL ? name : rb_derived_name(rb, &d->table, name, "_h"));
    rb_step_inverse(hide, ZDM_INVERSE_UNHIDE, NULL);
    hide->step.exact_inverse = derivation != NULL && derivation->both_ways;
    hide->note.rewritten = true;
    if (sync != NULL) {
        hide->sync = sync->install;
        sync->install->superseded = hide;
    }
    column->hide = hide;
    if (column->check != NULL)
        column->check->superseded = hide;
    describe_hide(d, hide, derivation, at);
}

void rb_ddl_drop_column(const struct rb_ddl *d)
{
    struct rb_place at = rb_ddl_at_word(d, d->cmd->name);
    if (rb_ddl_phase(d, RB_DDL_DROP_COLUMN, at) && is_plain_command(d))
        rb_ddl_hide_column(d, d->cmd->name, at);
}

/* ---- DROP TABLE ---- */

/* Does a step of this runbook work on the table, so that its way back or its purge needs it where it is? */
static const struct rb_step *user_of(struct rb *rb, const struct rb_table *table)
{
    for (const struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next) {
        for (const struct rb_step *step = phase->first; step != NULL; step = step->next) {
            const struct zdm_step *s = &step->step;
            bool uses = s->table.name != NULL && strcmp(s->table.schema, table->schema) == 0 &&
                        strcmp(s->table.name, table->name) == 0;
            for (size_t i = 0; i < s->n_others && !uses; i++)
                uses = strcmp(s->others[i].schema, table->schema) == 0 && strcmp(s->others[i].name, table->name) == 0;
            if (uses && s->action != ZDM_ACTION_LIFT_CONSTRAINT && s->action != ZDM_ACTION_DETACH_PARTITION)
                return step;
        }
    }
    return NULL;
}

void rb_ddl_hide_table(struct rb_statement *s, const struct rb_table *table, struct rb_place at)
{
    struct rb *rb = s->rb;
    struct rb_ddl d = rb_ddl_whole(s, table);
    struct rb_object *object = rb_object_of(rb, RB_OBJECT_TABLE, table, NULL);
    const struct rb_step *user = user_of(rb, table);
    if (!rb_ddl_phase(&d, RB_DDL_DROP_TABLE, at))
        return;
    if (object->dropped != NULL) {
        rb_error(rb, "table-dropped", at, "Remove it.", "table %s is dropped before this", rb_table_text(rb, table));
        return;
    }
    if (object->created || user != NULL) {
        rb_error(rb, object->created ? "drop-added" : "drop-used", at, "Leave one of them out.",
                 object->created ? "table %s is created by this very runbook" : "this very runbook changes table %s",
                 rb_table_text(rb, table));
        return;
    }
    struct rb_step *step = rb_ddl_step(&d, ZDM_STEP_HIDE, ZDM_ACTION_HIDE_TABLE, ZDM_LOCK_SHORT, NULL);
    bool renamed = rb->engine == ZDM_ENGINE_MYSQL;
    rb_step_object(step, renamed ? rb_trash_name(rb, table)
                                 : rb_format(rb, "zdm_trash_%s", rb_derived_name(rb, table, "", "") + strlen("~zdm_")));
    rb_step_inverse(step, ZDM_INVERSE_UNHIDE, NULL);
    step->note.rewritten = true;
    object->dropped = step;
    rb_step_does(step,
                 renamed ? "rename it to %s, out of the application's sight, with its rows; the purge drops it"
                         : "move it into the schema %s, out of the application's sight, with its rows; the purge drops "
                           "it",
                 step->step.object);
}

/* ---- DROP INDEX ---- */

static void drop_index(struct rb_statement *s, const struct rb_table *name, struct rb_place at)
{
    struct rb *rb = s->rb;
    struct rb_table schema = {name->schema, NULL};
    struct rb_ddl d = rb_ddl_whole(s, &schema);
    struct rb_object *object = rb_object_of(rb, RB_OBJECT_INDEX, &schema, name->name);
    bool created = false;
    for (const struct rb_index *index = rb->indexes; index != NULL; index = index->next)
        created = created || (strcmp(index->table.schema, name->schema) == 0 && strcmp(index->name, name->name) == 0);
    if (!rb_ddl_phase(&d, RB_DDL_DROP_INDEX, at))
        return;
    if (created || object->dropped != NULL) {
        rb_error(rb, created ? "drop-added" : "index-dropped", at, created ? "Leave both out." : "Remove it.",
                 created ? "the index %s is created by this very runbook" : "the index %s is dropped before this",
                 rb_plain(rb, name->name));
        return;
    }
    struct rb_step *step = rb_ddl_step(&d, ZDM_STEP_HIDE, ZDM_ACTION_HIDE_INDEX, ZDM_LOCK_SHORT, NULL);
    rb_step_object(step, name->name);
    rb_step_inverse(step, ZDM_INVERSE_UNHIDE, NULL);
    step->note.rewritten = true;
    object->dropped = step;
    rb_step_does(step, "leave it where it is, and watch whether anything still scans it; the purge drops it "
                       "concurrently");
}

/* ---- the statement ---- */

static bool is_plain_drop(struct rb_statement *s, const PgQuery__DropStmt *drop)
{
    if (drop->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE) {
        rb_error(s->rb, "drop-cascade", rb_at_word(s, 0, "cascade"),
                 "Leave CASCADE out; the agent names what depends on it and stops there.",
                 "CASCADE would drop what the plan does not name");
        return false;
    }
    if (drop->missing_ok) {
        rb_error(s->rb, "drop-if-exists", rb_at_word(s, 0, "if"), "Leave IF EXISTS out.",
                 "the plan must know what it drops");
        return false;
    }
    return true;
}

void rb_compile_drop(struct rb_statement *s, PgQuery__DropStmt *drop)
{
    bool table = drop->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE;
    if (!table && drop->remove_type != PG_QUERY__OBJECT_TYPE__OBJECT_INDEX) {
        rb_refuse(s);
        return;
    }
    if (!is_plain_drop(s, drop))
        return;
    for (size_t i = 0; i < drop->n_objects; i++) {
        const PgQuery__List *list = drop->objects[i]->list;
        struct rb_place at = rb_at_word(s, 0, rb_string(list->items[list->n_items - 1]));
        struct rb_table name;
        if (!rb_ddl_qualified(s, drop->objects[i], at, &name) || !rb_may_change(s, &name, at))
            continue;
        if (table)
            rb_ddl_hide_table(s, &name, at);
        else
            drop_index(s, &name, at);
    }
}
