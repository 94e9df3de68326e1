/*
 * change.c - MODIFY, CHANGE, ALTER COLUMN, COMMENT: changes of what is there.
 *
 * MODIFY says the whole column again, and what it leaves out is lost. The agent compares the column before and after on
 * a clone, so that here only what is sure is judged: what a copy of the table would be needed for anyway, and whether
 * the phase is right.
 */
#include <string.h>

#include "common/runbook/mysql/parse.h"

static const char rename_words[] = "Add the new column, copy the old one into it with an UPDATE (triggers keep both "
                                   "equal), let the application change "
                                   "over, and drop the old one in the contract phase.";

static void refuse_rename(struct my_action *a, const char *from, const char *to, struct rb_place at)
{
    my_fail(a->m, "rename-column", at, my_recipe(a->m->rb, a->d.source, rename_words),
            "code that runs while %s becomes %s would fail: it knows one of the names only", from, to);
}

/* CHANGE name Name: every server reads both as one name. */
static void refuse_spelling(struct my_action *a, const struct my_definition *def)
{
    my_fail(a->m, "rename-column", def->at,
            rb_format(a->m->rb, "Write ALTER TABLE %s MODIFY COLUMN %s %s; code reads the column in any case.",
                      rb_table_text(a->m->rb, &a->d.table), rb_plain(a->m->rb, def->name), def->type),
            "a plan changes no name from upper to lower case or back");
}

void my_rename_column(struct my_action *a)
{
    struct rb_place at = my_place(a->m, a->from);
    const char *from = my_column(a->m, &a->d.table);
    my_need(a->m, "to");
    const char *to = my_name(a->m, "the new name");
    if (!a->m->failed)
        refuse_rename(a, from, to, at);
}

/* ---- MODIFY, CHANGE ---- */

static bool may_be_changed(struct my_action *a, const struct my_definition *def)
{
    struct my *m = a->m;
    if (def->place[0] != '\0')
        my_fail(m, "column-place", def->at, "Leave FIRST and AFTER out: no code should depend on the order of columns.",
                "a column that moves to another place writes the whole table anew");
    else if (def->generated != 0)
        my_fail(m, "copies", def->generated_at, "Add a plain column, and fill it with an UPDATE.",
                "a generated column is changed by copying the whole table");
    else if (def->primary)
        my_fail(m, "primary-key", def->primary_at, "Leave it out; a table's key is changed by a new table.",
                "another PRIMARY KEY writes the whole table anew");
    else if (def->check)
        my_fail(m, "copies", def->check_at, "Leave the CHECK out; let the application keep the rule.",
                "MySQL and MariaDB add a CHECK by copying the whole table under a lock");
    else if (def->unique)
        my_fail(m, "modify-key", def->unique_at,
                rb_format(m->rb, "Write ALTER TABLE %s ADD UNIQUE INDEX %s (%s); beside it.",
                          rb_table_text(m->rb, &a->d.table), rb_plain(m->rb, def->name), rb_plain(m->rb, def->name)),
                "an index is added by a statement of its own");
    else if (def->references != 0)
        my_fail(m, "modify-key", my_place(m, def->references),
                rb_format(m->rb, "Write ALTER TABLE %s ADD FOREIGN KEY (%s) REFERENCES …; beside it.",
                          rb_table_text(m->rb, &a->d.table), rb_plain(m->rb, def->name)),
                "a foreign key is added by a statement of its own");
    else if (def->value_is_expression)
        my_fail(m, "modify-default", def->default_at,
                rb_format(m->rb, "Write ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s; beside it.",
                          rb_table_text(m->rb, &a->d.table), rb_plain(m->rb, def->name), def->value_text),
                "a default that is computed belongs into a statement of its own");
    return !m->failed;
}

static const char *modify_sql(struct my_action *a, const struct my_definition *def)
{
    struct rb *rb = a->m->rb;
    return rb_format(rb, "ALTER TABLE %s MODIFY COLUMN %s %s", rb_table_sql(rb, &a->d.table), rb_quote(rb, def->name),
                     my_definition_sql(rb, def));
}

/* With {rewrite-ok}, and NULL or NOT NULL written: the table is built anew in place, while reads and writes go on. */
static void change_null(struct my_action *a, const struct my_definition *def, struct rb_column *column)
{
    struct rb *rb = a->m->rb;
    bool set = def->not_null;
    if (!rb_ddl_phase(&a->d, set ? RB_DDL_SET_NOT_NULL : RB_DDL_DROP_NOT_NULL, def->not_null_at))
        return;
    if (set && !rb_ddl_may_be_not_null(&a->d, column, def->at))
        return;
    struct rb_step *step = my_step(&a->d, ZDM_STEP_DDL, set ? ZDM_ACTION_SET_NOT_NULL : ZDM_ACTION_DROP_NOT_NULL,
                                   ZDM_LOCK_LONG, def->name);
    rb_step_sql(step, modify_sql(a, def));
    rb_step_inverse(step, ZDM_INVERSE_FORMER, NULL);
    step->step.rewrite_ok = true;
    column->not_null = set;
    rb_step_does(step, "build the table anew in place with %s %s, while reads and writes go on",
                 rb_plain(rb, def->name), set ? "NOT NULL" : "NULL allowed");
}

static void widen(struct my_action *a, const struct my_definition *def)
{
    if (!rb_ddl_phase(&a->d, RB_DDL_TYPE, my_place(a->m, a->from)))
        return;
    struct rb_step *step = my_step(&a->d, ZDM_STEP_DDL, ZDM_ACTION_WIDEN_TYPE, ZDM_LOCK_SHORT, def->name);
    rb_step_sql(step, modify_sql(a, def));
    rb_step_does(step,
                 "change the definition of %s where the catalogue alone changes; else the step is refused, and "
                 "nothing happens",
                 rb_plain(a->m->rb, def->name));
    rb_note(a->m->rb, "modify-whole", def->at,
            "zdmctl check says what a shard would lose. A type that needs a copy: zdmctl new --engine mysql --from "
            "'ALTER TABLE … MODIFY …' writes the long way.",
            "MODIFY says all of %s again: what it does not name (NOT NULL, default, comment, character set) is refused "
            "where the column has it",
            rb_plain(a->m->rb, def->name));
}

/* CHANGE a b: the new name is read with the definition. */
void my_change_column(struct my_action *a, bool with_new_name)
{
    struct my *m = a->m;
    struct rb_place at = my_here(m);
    size_t first = m->at;
    const char *from = with_new_name ? my_column(m, &a->d.table) : NULL;
    struct my_definition def;
    size_t second = m->at;
    if (!my_definition(m, &a->d.table, true, &def))
        return;
    if (with_new_name && !rb_same_word(from, def.name)) {
        refuse_rename(a, from, def.name, my_place(m, a->from));
        return;
    }
    if (with_new_name && strcmp(m->tokens[first].value, m->tokens[second].value) != 0) {
        refuse_spelling(a, &def);
        return;
    }
    struct rb_column *column = my_known_column(a, def.name, with_new_name ? at : def.at);
    if (column == NULL || !may_be_changed(a, &def))
        return;
    bool null = a->d.s->fence->rewrite_ok && (def.not_null || def.null);
    if (!null && def.not_null && column->added && !column->not_null) {
        my_fail(m, "modify-not-null", def.not_null_at, "Write it into a fence of its own: ```sql {rewrite-ok}.",
                "NOT NULL builds the table anew in place, which the fence must allow");
        return;
    }
    if (null)
        change_null(a, &def, column);
    else
        widen(a, &def);
}

/* ---- ALTER COLUMN ---- */

static void set_default(struct my_action *a, const char *name, const char *value, const struct my_node *node)
{
    struct rb *rb = a->m->rb;
    struct rb_column *column = rb_column_of(rb, &a->d.table, name);
    struct rb_step *step = my_step(&a->d, ZDM_STEP_DDL, ZDM_ACTION_SET_DEFAULT, ZDM_LOCK_SHORT, name);
    const char *tail = value == NULL ? "DROP DEFAULT" : rb_format(rb, "SET DEFAULT %s", value);
    rb_step_sql(step, rb_format(rb, "ALTER TABLE %s ALTER COLUMN %s %s", rb_table_sql(rb, &a->d.table),
                                rb_quote(rb, name), tail));
    rb_step_inverse(step, ZDM_INVERSE_FORMER, NULL);
    column->has_default = value != NULL && my_bare(node)->kind != MY_NULL;
    if (value == NULL)
        rb_step_does(step, "new rows must say %s from here on, unless it may be NULL", rb_plain(rb, name));
    else
        rb_step_does(step, "new rows that do not say %s get %s from here on; rows that exist stay as they are",
                     rb_plain(rb, name), value);
}

/* A text in parentheses is meant for a column that takes no other: MODIFY can do that. */
static const char *default_text(struct my *m, const struct my_node *node, struct rb_place at)
{
    const struct my_node *bare = my_bare(node);
    const char *value = my_write(m->rb, bare, NULL);
    bool constant = my_is_constant(bare), text = constant && node->kind == MY_PAREN && value[0] == '\'';
    if (text)
        rb_note(m->rb, "default-parentheses", at,
                rb_format(m->rb, "Where it is of such a type: ALTER TABLE … MODIFY COLUMN … json DEFAULT (%s);", value),
                "ALTER COLUMN gives a column of type text or json no text as its default on MySQL");
    return constant && !text ? value : rb_format(m->rb, "(%s)", value);
}

static void alter_default(struct my_action *a, const char *name, struct rb_place at)
{
    struct my *m = a->m;
    bool drop = my_take(m, "drop default");
    const struct my_node *node = NULL;
    const char *value = NULL;
    struct rb_place value_at = my_here(m);
    if (!drop) {
        my_need(m, "set default");
        value_at = my_here(m);
        node = my_value(m);
        struct rb_expr expr = {.n_columns = 0};
        struct rb_table nothing = {"", ""};
        if (node == NULL)
            return;
        if (!my_examine(m, &nothing, NULL, node, "the default", &expr) || expr.n_columns > 0) {
            my_fail(m, "default-value", value_at, "Write a constant, or an expression without columns.",
                    "the default of %s reads a column", name);
            return;
        }
        value = default_text(m, node, value_at);
    }
    const struct rb_column *column = my_known_column(a, name, at);
    if (column != NULL && rb_ddl_phase(&a->d, drop ? RB_DDL_DROP_DEFAULT : RB_DDL_SET_DEFAULT, my_place(m, a->from)) &&
        (drop || rb_ddl_may_have_default(&a->d, column, at)))
        set_default(a, name, value, node);
}

/* ALTER INDEX i VISIBLE and its like are states that a plan makes itself. */
void my_alter_column(struct my_action *a)
{
    struct my *m = a->m;
    if (my_is(m, 0, "index") || my_is(m, 0, "key")) {
        my_fail(m, "stated-itself", my_place(m, a->from),
                "Write DROP INDEX in the contract phase: the index is hidden first, and dropped in the purge phase.",
                "which indexes the server uses a plan says itself");
        return;
    }
    if (my_is(m, 0, "check") || my_is(m, 0, "constraint")) {
        my_fail(m, "copies", my_place(m, a->from), "Leave it out; DROP CONSTRAINT takes a CHECK away.",
                "MySQL enforces a CHECK that was not enforced by copying the whole table");
        return;
    }
    (void)my_take(m, "column");
    struct rb_place at = my_here(m);
    const char *name = my_column(m, &a->d.table);
    if (my_is(m, 0, "set") && (my_is(m, 1, "visible") || my_is(m, 1, "invisible"))) {
        my_fail(m, "stated-itself", my_place(m, m->at + 1),
                "Leave it out: columns are hidden by DROP COLUMN, and added ones become visible at the end of Migrate.",
                "which columns are invisible a plan says itself");
        return;
    }
    if (!m->failed)
        alter_default(a, name, at);
}

/* ---- COMMENT ---- */

void my_comment(struct my_action *a, const char *literal)
{
    struct rb *rb = a->m->rb;
    if (!rb_ddl_phase(&a->d, RB_DDL_COMMENT, my_place(a->m, a->from)))
        return;
    struct rb_step *step = my_step(&a->d, ZDM_STEP_DDL, ZDM_ACTION_COMMENT, ZDM_LOCK_SHORT, NULL);
    rb_step_sql(step, rb_format(rb, "ALTER TABLE %s COMMENT %s", rb_table_sql(rb, &a->d.table), literal));
    rb_step_inverse(step, ZDM_INVERSE_FORMER, NULL);
    rb_step_does(step, "change the comment; the catalogue alone");
}
