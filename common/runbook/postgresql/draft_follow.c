/*
 * draft_follow.c - indexes and constraints of a script that name a column whose place another one takes: they are made
 * of the new one, and what stands on the old one goes out of sight with it.
 */
#include "common/runbook/draft.h"

#include <string.h>

enum { NAME_BYTES = 63 }; /* of PostgreSQL */

/* ---- columns ---- */

const char *rb_draft_moved(struct rb_draft *d, const struct rb_table *table, const char *column)
{
    return rb_draft_column(d, table, column)->moved_to;
}

/* The table and, where there is one alone, the column that a foreign key refers to. */
static bool refers_to(const struct rb_draft *d, const PgQuery__Constraint *key, const struct rb_table *table,
                      const char *column)
{
    struct rb_table parent;
    if (key == NULL || key->contype != PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN ||
        !rb_draft_table(d->rb, key->pktable, &parent) || !rb_same_table(&parent, table) || key->n_pk_attrs > 1)
        return false;
    return strcmp(key->n_pk_attrs == 0 ? "id" : rb_string(key->pk_attrs[0]), column) == 0;
}

/* users.user_id, categories.category_id: what keys are called that are not "id". */
static bool is_called_after(const char *column, const char *table)
{
    static const char *const ends[][2] = {{"", ""}, {"s", ""}, {"es", ""}, {"ies", "y"}};
    size_t n = strlen(table), c = strlen(column);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t cut = strlen(ends[i][0]), put = strlen(ends[i][1]);
        if (n <= cut || strcmp(table + n - cut, ends[i][0]) != 0 || c != n - cut + put + 3)
            continue;
        if (rb_same_start(column, table, n - cut) && strncmp(column + n - cut, ends[i][1], put) == 0 &&
            rb_same_word(column + c - 3, "_id"))
            return true;
    }
    return false;
}

bool rb_draft_is_key(const struct rb_draft *d, const struct rb_table *table, const char *column)
{
    if (rb_same_word(column, "id") || is_called_after(column, table->name))
        return true;
    for (size_t i = 0; i < d->n_constraints; i++) {
        if (refers_to(d, d->constraints[i].added, table, column))
            return true;
    }
    return false;
}

/* By a foreign key of the script; without one, by what such columns are called. */
bool rb_draft_is_reference(struct rb_draft *d, const struct rb_table *table, const char *column)
{
    size_t n = strlen(column);
    bool called = n > 3 && rb_same_word(column + n - 3, "_id");
    for (const struct rb_draft_column *c = d->columns; c != NULL; c = c->next) {
        if (!c->is_wider || !rb_draft_is_key(d, &c->table, c->name))
            continue;
        if (called)
            return true;
        for (size_t i = 0; i < d->n_constraints; i++) {
            const PgQuery__Constraint *key = d->constraints[i].added;
            if (rb_same_table(&d->constraints[i].table, table) && refers_to(d, key, &c->table, c->name) &&
                key->n_fk_attrs == 1 && strcmp(rb_string(key->fk_attrs[0]), column) == 0)
                return true;
        }
    }
    return false;
}

/* ---- names in a tree ---- */

/* Does the tree name the column, by itself or in an expression? `to` takes its place there. */
struct naming {
    const char *column, *to;
    bool found;
};

static void name_one(struct naming *n, char **name)
{
    if (strcmp(*name, n->column) != 0)
        return;
    n->found = true;
    if (n->to != NULL)
        rb_set_string(name, n->to);
}

static void name_each(struct naming *n, PgQuery__Node **nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (nodes[i]->node_case == PG_QUERY__NODE__NODE_STRING)
            name_one(n, &nodes[i]->string->sval);
    }
}

static void name_column(const ProtobufCMessage *m, void *ctx)
{
    struct naming *n = ctx;
    if (m->descriptor == &pg_query__column_ref__descriptor) {
        const PgQuery__ColumnRef *ref = (const PgQuery__ColumnRef *)m;
        name_each(n, &ref->fields[ref->n_fields - 1], 1);
    } else if (m->descriptor == &pg_query__index_elem__descriptor) {
        name_one(n, &((PgQuery__IndexElem *)(uintptr_t)m)->name);
    } else if (m->descriptor == &pg_query__constraint__descriptor) {
        const PgQuery__Constraint *constraint = (const PgQuery__Constraint *)m;
        name_each(n, constraint->keys, constraint->n_keys);
        name_each(n, constraint->including, constraint->n_including);
        name_each(n, constraint->fk_attrs, constraint->n_fk_attrs);
    }
    rb_children(m, name_column, ctx);
}

bool rb_draft_names_filled(struct rb_draft *d, const struct rb_table *table, const ProtobufCMessage *m)
{
    for (const struct rb_draft_column *c = d->columns; c != NULL; c = c->next) {
        struct naming n = {.column = c->name};
        if (!rb_same_table(&c->table, table) || !c->added || !c->filled)
            continue;
        name_column(m, &n);
        if (n.found)
            return true;
    }
    return false;
}

/* Puts the new columns in the place of the old ones, or only looks whether there are any. */
static bool follow(struct rb_draft *d, const struct rb_table *table, const ProtobufCMessage *m, bool write)
{
    bool any = false;
    for (const struct rb_draft_column *c = d->columns; c != NULL; c = c->next) {
        struct naming n = {.column = c->name, .to = write ? c->moved_to : NULL};
        if (!rb_same_table(&c->table, table) || c->moved_to == NULL)
            continue;
        name_column(m, &n);
        any = any || n.found;
    }
    return any;
}

const char *rb_draft_follow_index(struct rb_draft *d, const struct rb_table *table, struct rb_statement *s)
{
    const char *sql = follow(d, table, &s->node->base, true) ? rb_deparse(d->rb, s->node) : NULL;
    return sql == NULL ? s->sql : sql;
}

/* ---- constraints ---- */

const struct rb_draft_constraint *rb_draft_constraint(const struct rb_draft *d, const struct rb_table *table,
                                                      const char *name, bool added)
{
    for (size_t i = 0; i < d->n_constraints; i++) {
        const struct rb_draft_constraint *c = &d->constraints[i];
        if (rb_same_table(&c->table, table) && (c->added != NULL) == added && c->name != NULL &&
            strcmp(c->name, name) == 0)
            return c;
    }
    return NULL;
}

/* The column of a foreign key's other table that is moved; NULL. */
static const char *moved_key(struct rb_draft *d, const PgQuery__Constraint *constraint)
{
    struct rb_table parent;
    if (constraint->contype != PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN || constraint->n_pk_attrs > 1 ||
        !rb_draft_table(d->rb, constraint->pktable, &parent))
        return NULL;
    return rb_draft_moved(d, &parent, constraint->n_pk_attrs == 0 ? "id" : rb_string(constraint->pk_attrs[0]));
}

bool rb_draft_follows(struct rb_draft *d, const struct rb_table *table, const PgQuery__Constraint *constraint)
{
    return follow(d, table, &constraint->base, false) || moved_key(d, constraint) != NULL;
}

bool rb_draft_goes_along(struct rb_draft *d, const struct rb_table *table, const PgQuery__Constraint *constraint)
{
    bool foreign = constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN;
    PgQuery__Node *const *names = foreign ? constraint->fk_attrs : constraint->keys;
    return (foreign ? constraint->n_fk_attrs : constraint->n_keys) == 1 &&
           rb_draft_moved(d, table, rb_string(names[0])) != NULL;
}

/* The name that the new one has while the old one is there. */
static const char *second_name(struct rb *rb, const char *name)
{
    size_t n = strlen(name) + 4 <= NAME_BYTES ? strlen(name) : NAME_BYTES - 4;
    while (n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80)
        n--;
    return rb_format(rb, "%.*s_new", (int)n, name);
}

const char *rb_draft_follow_constraint(struct rb_draft *d, const struct rb_table *table,
                                       const PgQuery__Constraint *constraint, const char *text)
{
    struct rb *rb = d->rb;
    const char *message, *key = moved_key(d, constraint), *sql = NULL;
    size_t offset;
    if (!rb_draft_follows(d, table, constraint))
        return text;
    PgQuery__ParseResult *parsed = rb_parse(rb, text, &message, &offset);
    if (parsed == NULL || parsed->n_stmts != 1)
        return text;
    PgQuery__Node *node = parsed->stmts[0]->stmt;
    PgQuery__Constraint *copy = node->alter_table_stmt->cmds[0]->alter_table_cmd->def->constraint;
    (void)follow(d, table, &copy->base, true);
    if (key != NULL && copy->n_pk_attrs == 1)
        rb_set_string(&copy->pk_attrs[0]->string->sval, key);
    else if (key != NULL)
        rb_draft_fail(d, "a foreign key refers to a key that gets another type, and does not name its column",
                      rb_format(rb, "Write REFERENCES %s (id).", rb_plain(rb, constraint->pktable->relname)));
    if (constraint->conname[0] != '\0' && rb_draft_constraint(d, table, constraint->conname, false) != NULL)
        rb_set_string(&copy->conname, second_name(rb, constraint->conname));
    sql = rb_deparse(rb, node);
    return sql == NULL ? text : sql;
}
