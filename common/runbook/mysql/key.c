/*
 * key.c - foreign keys: added without looking at the rows that exist, and then proven by a query of our own.
 */
#include <string.h>

#include "common/runbook/mysql/parse.h"

/* ---- REFERENCES ---- */

static const char *read_action(struct my *m)
{
    static const char *const actions[] = {"RESTRICT", "CASCADE", "SET NULL", "NO ACTION", "SET DEFAULT"};
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (!my_take(m, actions[i]))
            continue;
        if (i == 4)
            my_fail(m, "foreign-key-options", my_place(m, m->at - 2), "Write RESTRICT, CASCADE or SET NULL.",
                    "InnoDB knows no SET DEFAULT");
        return actions[i];
    }
    my_unexpected(m, "RESTRICT, CASCADE, SET NULL or NO ACTION");
    return "";
}

bool my_references(struct my *m, struct my_parent *out)
{
    struct rb *rb = m->rb;
    *out = (struct my_parent){.sql = ""};
    my_need(m, "references");
    if (m->failed || !my_table(m, &out->table))
        return false;
    if (!my_is_sign(m, 0, "("))
        my_fail(m, "foreign-key-options", my_here(m),
                rb_format(rb, "Name the columns: REFERENCES %s (id).", rb_table_text(rb, &out->table)),
                "a foreign key names the columns that it refers to");
    if (m->failed || !my_columns(m, &out->table, &out->columns, &out->n))
        return false;
    if (my_is(m, 0, "match"))
        my_fail(m, "foreign-key-options", my_here(m), "Leave MATCH out.",
                "InnoDB does not know MATCH, and forgets ON DELETE behind it");
    out->sql =
        rb_format(rb, "REFERENCES %s (%s)", rb_table_sql(rb, &out->table), my_quoted_list(rb, out->columns, out->n));
    while (my_is(m, 0, "on") && !m->failed) {
        const char *what = my_is(m, 1, "delete") ? "DELETE" : "UPDATE";
        m->at++;
        my_need(m, my_is(m, 0, "delete") ? "delete" : "update");
        out->sql = rb_format(rb, "%s ON %s %s", out->sql, what, read_action(m));
    }
    return !m->failed;
}

/* ---- the steps ---- */

struct key {
    const char *name;
    const char **columns;
    size_t n;
    struct my_parent parent;
};

/* Rows whose columns are all there and that no row of the parent matches: at most one, which is enough to stop. */
static const char *orphans(struct my_action *a, const struct key *key)
{
    struct rb *rb = a->m->rb;
    const char *where = "", *join = "";
    for (size_t i = 0; i < key->n; i++) {
        const char *column = rb_quote(rb, key->columns[i]), *other = rb_quote(rb, key->parent.columns[i]);
        join = rb_format(rb, "%s%sp.%s = c.%s", join, i == 0 ? "" : " AND ", other, column);
        where = rb_format(rb, "%sc.%s IS NOT NULL AND ", where, column);
    }
    return rb_format(rb, "SELECT c.%s FROM %s AS c LEFT JOIN %s AS p ON %s WHERE %sp.%s IS NULL LIMIT 1",
                     rb_quote(rb, key->columns[0]), rb_table_sql(rb, &a->d.table), rb_table_sql(rb, &key->parent.table),
                     join, where, rb_quote(rb, key->parent.columns[0]));
}

static void add_steps(struct my_action *a, const struct key *key)
{
    struct rb *rb = a->m->rb;
    const char *table = rb_table_sql(rb, &a->d.table), *name = rb_quote(rb, key->name);
    struct rb_step *step = my_step(&a->d, ZDM_STEP_DDL, ZDM_ACTION_ADD_FOREIGN_KEY, ZDM_LOCK_SHORT, NULL);
    rb_step_object(step, key->name);
    rb_step_other(step, &key->parent.table);
    rb_step_sql(step, rb_format(rb, "ALTER TABLE %s ADD CONSTRAINT %s FOREIGN KEY (%s) %s", table, name,
                                my_quoted_list(rb, key->columns, key->n), key->parent.sql));
    rb_step_inverse(step, ZDM_INVERSE_SQL, rb_format(rb, "ALTER TABLE %s DROP FOREIGN KEY %s", table, name));
    rb_step_does(step,
                 "add the foreign key %s in place; it binds new rows at once, and rows that exist are not looked "
                 "at",
                 rb_plain(rb, key->name));
    struct rb_step *proof = my_step(&a->d, ZDM_STEP_VALIDATE, ZDM_ACTION_VALIDATE, ZDM_LOCK_LONG, NULL);
    rb_step_object(proof, key->name);
    rb_step_other(proof, &key->parent.table);
    rb_step_sql(proof, orphans(a, key));
    rb_step_does(proof, "look for rows without a row in %s; there must be none", rb_table_text(rb, &key->parent.table));
    step->note.rewritten = proof->note.rewritten = true;
}

static void remember(struct my_action *a, const struct key *key, struct rb_place at)
{
    struct rb *rb = a->m->rb;
    struct rb_object *object = rb_object_of(rb, RB_OBJECT_CONSTRAINT, &a->d.table, key->name);
    object->created = object->validated = true;
    object->dropped = NULL;
    object->columns = key->columns;
    object->n_columns = key->n;
    object->at = at;
}

static bool may_be_added(struct my_action *a, const struct key *key, struct rb_place at)
{
    struct rb *rb = a->m->rb;
    const struct rb_object *there = rb_object_find(rb, RB_OBJECT_CONSTRAINT, &a->d.table, key->name);
    if (key->n != key->parent.n)
        my_fail(a->m, "foreign-key-options", at, "Name as many columns on both sides.",
                "the foreign key has %zu columns and refers to %zu", key->n, key->parent.n);
    else if (there != NULL && there->created && there->dropped == NULL)
        my_fail(a->m, "constraint-twice", at, "Give it another name.", "two constraints of %s would have the name %s",
                rb_table_text(rb, &a->d.table), key->name);
    for (size_t i = 0; i < key->n && !a->m->failed; i++)
        (void)my_known_column(a, key->columns[i], at);
    return !a->m->failed && rb_ddl_phase(&a->d, RB_DDL_ADD_CONSTRAINT, my_place(a->m, a->from));
}

/* Does an index of this runbook begin with its columns? */
static bool is_indexed(struct my_action *a, const struct key *key)
{
    for (const struct rb_index *index = a->m->rb->indexes; index != NULL; index = index->next) {
        bool same = rb_same_table(&index->table, &a->d.table) && index->n_columns >= key->n;
        for (size_t i = 0; i < key->n && same; i++)
            same = rb_same_word(index->columns[i], key->columns[i]);
        if (same)
            return true;
    }
    return false;
}

/* FOREIGN KEY [index] (a) REFERENCES …, behind KEY; with `column` it stands at REFERENCES behind that. */
void my_add_foreign_key(struct my_action *a, const char *name, const char *column)
{
    struct my *m = a->m;
    struct rb *rb = m->rb;
    struct rb_place at = my_place(m, column != NULL ? m->at : a->from);
    struct key key = {.name = name};
    if (column != NULL) {
        key.columns = rb_alloc(rb, sizeof *key.columns);
        key.columns[0] = column;
        key.n = 1;
    } else {
        if (!my_is_sign(m, 0, "("))
            (void)my_name(m, "the name of an index");
        if (m->failed || !my_columns(m, &a->d.table, &key.columns, &key.n))
            return;
    }
    if (!my_references(m, &key.parent))
        return;
    if (key.name == NULL)
        key.name = rb_choose_name(rb, &a->d.table, rb_join_names(rb, key.columns, key.n), "fk");
    if (!may_be_added(a, &key, at))
        return;
    if (!is_indexed(a, &key))
        rb_note(rb, "foreign-key-index", at,
                rb_format(rb, "Where there is none, write before it: CREATE INDEX %s ON %s (%s);",
                          rb_choose_name(rb, &a->d.table, rb_join_names(rb, key.columns, key.n), "idx"),
                          rb_table_text(rb, &a->d.table), my_quoted_list(rb, key.columns, key.n)),
                "where no index of %s begins with these columns, the step stops: the server would build one on the way",
                rb_table_text(rb, &a->d.table));
    add_steps(a, &key);
    remember(a, &key, at);
}
