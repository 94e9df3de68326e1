/*
 * column.c - ADD COLUMN: what MySQL and MariaDB do without touching a row, the rest as steps of its own or refused.
 *
 * The agent adds INVISIBLE and says algorithm and lock; whether the server can do it in place, it says itself on a
 * clone.
 */
#include <stdlib.h>
#include <string.h>

#include "common/runbook/mysql/parse.h"

/* ---- steps ---- */

struct rb_ddl my_ddl(struct my *m, const struct rb_table *table)
{
    struct rb_table own = {"", table->name};
    struct rb_ddl d = rb_ddl_whole(&m->s, &own);
    return d;
}

static const char *lock_text(enum zdm_action action, enum zdm_lock_class lock)
{
    if (action == ZDM_ACTION_VALIDATE)
        return "none; reads";
    if (lock == ZDM_LOCK_LONG)
        return "metadata lock at its beginning and end; reads and writes go on";
    return lock == ZDM_LOCK_SHORT ? "exclusive metadata lock, at most 100 ms, retried" : "none on a table";
}

struct rb_step *my_step(const struct rb_ddl *d, enum zdm_step_kind kind, enum zdm_action action,
                        enum zdm_lock_class lock, const char *column)
{
    struct rb_step *step = rb_ddl_step(d, kind, action, lock, column);
    free(step->note.lock);
    step->note.lock = rb_dup(lock_text(action, lock));
    return step;
}

bool my_if_not_exists(struct my *m, const char *what)
{
    struct rb_place at = my_here(m);
    if (!my_take(m, "if not exists"))
        return false;
    if (m->rb->neutral)
        rb_not_neutral(m->rb, at, "MySQL has no IF NOT EXISTS here");
    rb_note(m->rb, "if-not-exists", at, NULL, "%s that is not this migration's stops the step, IF NOT EXISTS or not",
            what);
    return true;
}

void my_refuse_if_exists(struct my *m)
{
    if (my_is(m, 0, "if"))
        my_fail(m, "drop-if-exists", my_here(m), "Leave IF EXISTS out.", "the plan must know what it drops");
}

struct rb_column *my_known_column(struct my_action *a, const char *name, struct rb_place at)
{
    struct rb_column *column = rb_ddl_column(&a->d, name, at);
    a->m->failed = a->m->failed || column == NULL;
    return column;
}

/* ---- what cannot stand there ---- */

static void refuse_default(struct my_action *a, const struct my_definition *def)
{
    struct rb *rb = a->m->rb;
    const char *table = rb_table_text(rb, &a->d.table), *name = rb_plain(rb, def->name);
    my_fail(a->m, "add-column-default", def->default_at,
            rb_format(rb,
                      "Add the column without it, fill it, and let the default begin in the contract phase:\n\n"
                      "## Phase 1: Expand\n```sql\nALTER TABLE %s ADD COLUMN %s %s;\n```\n\n"
                      "## Phase 2: Migrate\n```sql\nUPDATE %s SET %s = %s WHERE %s IS NULL;\n```\n\n"
                      "## Phase 3: Contract\n```sql\nALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s;\n```",
                      table, name, def->type, table, name, my_write(rb, my_bare(def->value), NULL), name, table, name,
                      def->value_text),
            "a default of %s that is computed for each row writes the whole table anew", def->name);
}

static void refuse_generated(struct my_action *a, const struct my_definition *def)
{
    struct rb *rb = a->m->rb;
    const char *table = rb_table_text(rb, &a->d.table), *name = rb_plain(rb, def->name);
    my_fail(a->m, "add-column-generated", def->generated_at,
            rb_format(rb,
                      "Add a plain column, and fill it; triggers keep it right from then on: ALTER TABLE %s ADD COLUMN "
                      "%s %s; and in the migrate phase UPDATE %s SET %s = …;",
                      table, name, def->type, table, name),
            "a generated column %s may write the whole table anew, and a trigger cannot fill it", def->name);
}

static void refuse_auto_increment(struct my_action *a, const struct my_definition *def)
{
    my_fail(a->m, "auto-increment", def->auto_increment ? def->auto_at : def->type_at,
            rb_format(a->m->rb,
                      "Add %s as a plain bigint, let the application write it, and fill the rows that exist from the "
                      "key: UPDATE %s SET %s = id;",
                      rb_plain(a->m->rb, def->name), rb_table_text(a->m->rb, &a->d.table),
                      rb_plain(a->m->rb, def->name)),
            "AUTO_INCREMENT numbers every row of the table, which only a copy of it can");
}

static void refuse_check(struct my_action *a, struct rb_place at)
{
    my_fail(a->m, "copies", at,
            "Let the application keep the rule, and prove it with a check: ```sql {check}\nSELECT 1 FROM t WHERE NOT "
            "(…);\n```. Where the server must keep it: fill a new table that has the CHECK.",
            "MySQL and MariaDB add a CHECK by copying the whole table under a lock");
}

static void refuse_not_null(struct my_action *a, const struct my_definition *def)
{
    my_fail(a->m, "add-column-not-null", def->not_null_at,
            rb_format(a->m->rb,
                      "Give it a constant default (ADD COLUMN %s %s NOT NULL DEFAULT …), or add it without NOT NULL, "
                      "fill it with an UPDATE, and write MODIFY COLUMN %s %s NOT NULL behind it, in a fence with "
                      "{rewrite-ok}.",
                      rb_plain(a->m->rb, def->name), def->type, rb_plain(a->m->rb, def->name), def->type),
            "column %s would silently hold an empty value in every row that exists", def->name);
}

static bool may_be_added(struct my_action *a, const struct my_definition *def)
{
    bool is_null = def->value != NULL && my_bare(def->value)->kind == MY_NULL;
    if (def->generated != 0)
        refuse_generated(a, def);
    else if (def->auto_increment || rb_same_word(def->base, "serial"))
        refuse_auto_increment(a, def);
    else if (def->primary)
        my_fail(a->m, "primary-key", def->primary_at, "Add the column alone. A table's key is changed by a new table.",
                "a column that becomes the PRIMARY KEY writes the whole table anew");
    else if (def->check)
        refuse_check(a, def->check_at);
    else if (def->value_is_expression)
        refuse_default(a, def);
    else if (def->not_null && (def->value == NULL || is_null))
        refuse_not_null(a, def);
    return !a->m->failed;
}

/* ---- what becomes steps of its own ---- */

static void add_unique(struct my_action *a, const struct my_definition *def)
{
    struct rb *rb = a->m->rb;
    struct my_index index = {.name = def->name, .unique = true, .at = def->unique_at, .n_columns = 1};
    index.columns = rb_alloc(rb, sizeof *index.columns);
    index.columns[0] = def->name;
    index.columns_sql = rb_format(rb, "(%s)", rb_quote(rb, def->name));
    my_add_index(a, &index);
}

/* REFERENCES behind a column: MySQL before 9 reads it and forgets it; here it is a foreign key. */
static void add_reference(struct my_action *a, const struct my_definition *def)
{
    size_t at = a->m->at;
    const char *name = rb_choose_name(a->m->rb, &a->d.table, def->name, "fk");
    a->m->at = def->references;
    rb_note(a->m->rb, "inline-references", my_place(a->m, def->references), NULL,
            "MySQL before 9 forgets REFERENCES behind a column; here it is the foreign key %s", name);
    my_add_foreign_key(a, name, def->name);
    a->m->at = at;
}

/* What goes on MariaDB, and is refused by MySQL's server. */
static void note_default(struct my_action *a, const struct my_definition *def)
{
    struct rb *rb = a->m->rb;
    const char *table = rb_table_text(rb, &a->d.table), *name = rb_plain(rb, def->name);
    if (def->value_copies)
        rb_note(rb, "default-parentheses", def->default_at,
                rb_format(rb,
                          "Where shards run MySQL, add the column without it, fill it with an UPDATE, and write in the "
                          "contract phase: ALTER TABLE %s MODIFY COLUMN %s %s DEFAULT %s;",
                          table, name, def->type, def->value_text),
                "MySQL adds a column with the default %s by copying the table, which is refused there",
                def->value_text);
}

static void remember(struct rb *rb, struct rb_column *column, const struct my_definition *def)
{
    bool is_null = def->value == NULL || my_bare(def->value)->kind == MY_NULL;
    column->initial = is_null || def->value_is_moment ? NULL : my_write(rb, my_bare(def->value), NULL);
    column->not_null = def->not_null;
    column->has_default = def->value_is_moment;
    column->filled = def->value_is_moment;
}

static void add_step(struct my_action *a, const struct my_definition *def)
{
    struct rb *rb = a->m->rb;
    struct rb_step *step = my_step(&a->d, ZDM_STEP_DDL, ZDM_ACTION_ADD_COLUMN, ZDM_LOCK_SHORT, def->name);
    rb_step_sql(step, rb_format(rb, "ALTER TABLE %s ADD COLUMN %s %s%s", rb_table_sql(rb, &a->d.table),
                                rb_quote(rb, def->name), my_definition_sql(rb, def), def->place));
    rb_step_inverse(step, ZDM_INVERSE_HIDE, NULL);
    step->note.rewritten = !a->d.s->fence->visible || def->unique || def->references != 0;
    rb_step_does(step, "add the column %s%s; no row is touched", rb_plain(rb, def->name),
                 a->d.s->fence->visible ? "" : ", invisible to SELECT * and to INSERT without column names");
}

void my_add_column(struct my_action *a)
{
    struct my *m = a->m;
    struct my_definition def;
    (void)my_if_not_exists(m, "a column of that name");
    if (!my_definition(m, &a->d.table, true, &def))
        return;
    struct rb_column *column = rb_column_of(m->rb, &a->d.table, def.name);
    if (column->added || column->created) {
        my_fail(m, "column-twice", def.at, "Remove one of them.", "column %s is added twice", def.name);
        return;
    }
    bool phase = rb_ddl_phase(&a->d, RB_DDL_ADD_COLUMN, my_place(m, a->from));
    column->added = true;
    column->at = def.at;
    if (!may_be_added(a, &def) || !phase)
        return;
    note_default(a, &def);
    remember(m->rb, column, &def);
    add_step(a, &def);
    if (def.unique)
        add_unique(a, &def);
    if (def.references != 0)
        add_reference(a, &def);
}
