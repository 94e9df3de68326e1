/*
 * rows.c - UPDATE and DELETE of one table, read for ../derive.c and for the batches of a DELETE.
 *
 * MySQL assigns from left to right: SET n = n + 1, m = n gives m the new n, where every other server gives the old one.
 * So a column that was assigned is not read behind it.
 */
#include <stdlib.h>
#include <string.h>

#include "common/runbook/mysql/parse.h"
#include "common/runbook/update.h"

/* ---- what both share ---- */

/* LOW_PRIORITY, IGNORE and the like in front of the table. */
static void refuse_modifiers(struct my *m)
{
    static const char *const words[] = {"low_priority", "ignore", "quick"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (my_is(m, 0, words[i]))
            my_fail(m, "ignore", my_here(m), "Leave it out.",
                    i == 1 ? "IGNORE makes values fit that do not, and says nothing" : "%s means nothing to InnoDB",
                    i == 1 ? "" : words[i]);
    }
}

static void refuse_many(struct my *m, bool deletes)
{
    my_fail(
        m, deletes ? "delete-using" : "update-from", my_here(m),
        "Name one table. What another one holds: add a column for it, let the application fill it for new rows, and "
        "copy the rest outside of the plan.",
        deletes ? "a DELETE over several tables cannot be done row by row"
                : "an UPDATE over several tables cannot be done row by row");
}

static bool begins_more(const struct my *m)
{
    static const char *const words[] = {"join", "inner", "left", "right", "cross", "straight_join", "natural", "using"};
    bool more = my_is_sign(m, 0, ",");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        more = more || my_is(m, 0, words[i]);
    return more;
}

/* [AS alias]; NULL without. `end` is the word behind. */
static const char *read_alias(struct my *m, const char *end)
{
    bool as = my_take(m, "as");
    if (!as && (my_is(m, 0, end) || my_peek(m, 0)->kind == MY_END || begins_more(m)))
        return NULL;
    if (!as && my_peek(m, 0)->kind != MY_WORD && my_peek(m, 0)->kind != MY_NAME)
        return NULL;
    if (!as && (my_is(m, 0, "partition") || my_is(m, 0, "for") || my_is(m, 0, "order") || my_is(m, 0, "limit")))
        return NULL;
    return my_name(m, "an alias");
}

static void refuse_tail(struct my *m, const char *rule)
{
    static const char *const words[] = {"order", "limit", "returning", "partition", "for"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (my_is(m, 0, words[i]))
            my_fail(m, i == 2 ? rule : "row-limit", my_here(m),
                    i == 2   ? "Leave RETURNING out."
                    : i <= 1 ? "Leave ORDER BY and LIMIT out: the batches are zdm's, and {batch=n} says how large."
                             : "Name the rows by a condition.",
                    i == 2   ? "nobody reads what a batch returns"
                    : i <= 1 ? "which rows a LIMIT takes is another thing each time"
                             : "a part of the table cannot be named here");
    }
}

/* ---- UPDATE ---- */

struct reading {
    struct my *m;
    struct rb_update *u;
    const char *alias;
};

static const char *write_node(struct rb *rb, const void *node, const char *prefix)
{
    return my_write(rb, node, prefix);
}

/* [t.]column */
static const char *read_target_name(struct reading *r)
{
    struct my *m = r->m;
    if (my_is_sign(m, 1, ".")) {
        const char *table = my_name(m, "the name of a column");
        if (table != NULL && !rb_same_word(table, r->alias != NULL ? r->alias : r->u->table.name))
            my_fail(m, "other-table", my_place(m, m->at - 1), "Assign columns of the updated table only.",
                    "%s is not the updated table", table);
        my_need_sign(m, ".");
    }
    return my_column(m, &r->u->table);
}

/* Was one of the columns that it reads assigned before, in the same SET? */
static void judge_order(struct reading *r, const struct rb_target *target)
{
    struct rb_update *u = r->u;
    for (size_t i = 0; i + 1 < u->n_targets; i++) {
        if (!rb_expr_reads(&target->expr, u->targets[i].name))
            continue;
        my_fail(r->m, "assigned-before", target->at, "Put it in front of that assignment, or write two UPDATEs.",
                "%s is computed from %s, which the same SET has changed already: MySQL reads the new value, other "
                "servers the old one",
                target->name, u->targets[i].name);
        return;
    }
}

static void read_target(struct reading *r)
{
    struct my *m = r->m;
    struct rb_update *u = r->u;
    struct rb_place at = my_here(m);
    const char *name = read_target_name(r);
    my_need_sign(m, "=");
    if (m->failed)
        return;
    if (u->n_targets == RB_TARGETS_MAX || rb_update_target(u, name) != NULL) {
        my_fail(m, "update-target", at, "Assign each column once.",
                u->n_targets == RB_TARGETS_MAX ? "more than 32 columns are assigned" : "column %s is assigned twice",
                name);
        return;
    }
    if (my_is(m, 0, "default") && !my_is_sign(m, 1, "(")) {
        my_fail(m, "update-default", at, "Write the value.", "DEFAULT as a value is not known to the plan");
        return;
    }
    const struct my_node *value = my_expr(m);
    if (value == NULL)
        return;
    struct rb_target *target = &u->targets[u->n_targets++];
    *target = (struct rb_target){.name = name, .value = value, .at = at};
    target->column = rb_column_of(m->rb, &u->table, name);
    m->failed =
        !my_examine(m, &u->table, r->alias, value, rb_format(m->rb, "the expression of %s", name), &target->expr);
    target->copy_of = my_column_of(value);
    target->never_null = my_is_never_null(value);
    if (!m->failed)
        judge_order(r, target);
}

/* NOT (t <=> f), or t <> f, for the only target and its own expression. */
static bool is_difference(struct rb_update *u, const struct my_node *term, bool *out_by_equality)
{
    struct rb *rb = u->s->rb;
    term = my_bare(term);
    *out_by_equality = term->kind == MY_OPERATOR && strcmp(term->name, "<>") == 0;
    if (term->kind == MY_OPERATOR && strcmp(term->name, "NOT") == 0)
        term = my_bare(my_child(term, 0));
    bool null_safe = term->kind == MY_OPERATOR && strcmp(term->name, "<=>") == 0;
    if (!null_safe && !*out_by_equality)
        return false;
    const char *value = my_write(rb, my_bare(u->targets[0].value), "t");
    for (size_t side = 0; side < 2 && u->n_targets == 1; side++) {
        const char *column = my_column_of(my_child(term, side));
        if (column != NULL && strcmp(column, u->targets[0].name) == 0 &&
            strcmp(my_write(rb, my_bare(my_child(term, 1 - side)), "t"), value) == 0)
            return true;
    }
    return false;
}

static void read_term(struct reading *r, const struct my_node *node)
{
    struct rb_update *u = r->u;
    const struct my_node *bare = my_bare(node);
    if (bare->kind == MY_AND) {
        read_term(r, my_child(bare, 0));
        read_term(r, my_child(bare, 1));
        return;
    }
    struct rb_term term = {.node = node, .at = my_place(r->m, node->token)};
    if (!rb_update_has_room(u, term.at) || !my_examine(r->m, &u->table, r->alias, node, "the condition", &term.expr))
        return;
    term.is_difference = is_difference(u, node, &term.by_equality);
    bool null = bare->kind == MY_OPERATOR && strcmp(bare->name, "IS NULL") == 0;
    bool not_null = bare->kind == MY_OPERATOR && strcmp(bare->name, "IS NOT NULL") == 0;
    if (null || not_null) {
        term.null_of = my_column_of(my_child(bare, 0));
        term.is_null = null;
    }
    rb_update_term(u, &term);
}

static bool may_be_updated(struct my *m)
{
    enum zdm_phase_class class = m->s.phase->class;
    if (class == ZDM_PHASE_MIGRATE)
        return true;
    my_fail(m, "update-outside-migrate", rb_at_start(&m->s), "Move it to a migrate phase: ## Phase 2: Migrate.",
            "UPDATE belongs into a migrate phase, and this is %s %s phase", class == ZDM_PHASE_EXPAND ? "an" : "a",
            zdm_phase_class_name(class));
    return false;
}

/* Behind UPDATE. */
void my_update(struct my *m)
{
    struct rb_update *u = rb_alloc(m->rb, sizeof *u);
    struct reading r = {.m = m, .u = u};
    size_t errors = m->rb->n_errors;
    u->s = &m->s;
    u->write = write_node;
    refuse_modifiers(m);
    if (m->failed || !my_table(m, &u->table))
        return;
    r.alias = read_alias(m, "set");
    if (begins_more(m))
        refuse_many(m, false);
    my_need(m, "set");
    do {
        if (!m->failed)
            read_target(&r);
    } while (!m->failed && my_take_sign(m, ","));
    const struct my_node *where = !m->failed && my_take(m, "where") ? my_expr(m) : NULL;
    refuse_tail(m, "update-returning");
    my_need_end(m);
    if (m->failed || !may_be_updated(m) || !rb_update_choose_sync(u))
        return;
    if (where != NULL)
        read_term(&r, where);
    if (errors == m->rb->n_errors)
        my_update_may_fail(m, u);
    rb_update_finish(u, errors);
}

/* ---- DELETE ---- */

static bool may_be_deleted(struct my *m)
{
    enum zdm_phase_class class = m->s.phase->class;
    if (class == ZDM_PHASE_MIGRATE || class == ZDM_PHASE_CONTRACT)
        return true;
    my_fail(m, "delete-phase", rb_at_start(&m->s),
            "Move it to a migrate phase, or to the contract phase when no code reads the rows any more.",
            "DELETE belongs into a migrate or contract phase, and this is %s %s phase",
            class == ZDM_PHASE_EXPAND ? "an" : "a", zdm_phase_class_name(class));
    return false;
}

/* Behind DELETE. */
void my_delete(struct my *m)
{
    struct rb_deletion d = {.s = &m->s};
    refuse_modifiers(m);
    if (!m->failed && !my_is(m, 0, "from"))
        refuse_many(m, true);
    my_need(m, "from");
    if (m->failed || !my_table(m, &d.table))
        return;
    const char *alias = read_alias(m, "where");
    if (begins_more(m) || my_is(m, 0, "using"))
        refuse_many(m, true);
    struct rb_place at = my_here(m);
    const struct my_node *where = !m->failed && my_take(m, "where") ? my_expr(m) : NULL;
    refuse_tail(m, "delete-returning");
    my_need_end(m);
    if (m->failed || !may_be_deleted(m))
        return;
    d.where_at = at;
    if (where != NULL) {
        if (!my_examine(m, &d.table, alias, where, "the condition", &d.condition))
            return;
        d.filter = my_write(m->rb, where, "t");
    }
    rb_delete_finish(&d, where != NULL);
}
