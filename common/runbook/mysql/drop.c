/*
 * drop.c - DROP COLUMN, DROP INDEX, DROP of constraints, DROP TABLE: out of sight now, really dropped in the purge.
 */
#include <string.h>

#include "common/runbook/mysql/parse.h"

void my_drop_column(struct my_action *a)
{
    struct my *m = a->m;
    my_refuse_if_exists(m);
    struct rb_place at = my_here(m);
    const char *name = my_column(m, &a->d.table);
    if (my_is(m, 0, "cascade"))
        my_fail(m, "drop-cascade", my_here(m), "Leave CASCADE out.", "CASCADE means nothing on MySQL and MariaDB");
    (void)my_take(m, "restrict");
    if (!m->failed && rb_ddl_phase(&a->d, RB_DDL_DROP_COLUMN, at))
        rb_ddl_hide_column(&a->d, name, at);
}

/* ---- indexes ---- */

static bool is_created(struct my_action *a, const char *name)
{
    for (const struct rb_index *index = a->m->rb->indexes; index != NULL; index = index->next) {
        if (rb_same_table(&index->table, &a->d.table) && rb_same_word(index->name, name))
            return true;
    }
    return false;
}

void my_drop_key(struct my_action *a, const char *name, struct rb_place at)
{
    struct rb *rb = a->m->rb;
    if (a->m->failed || !rb_ddl_phase(&a->d, RB_DDL_DROP_INDEX, at))
        return;
    if (rb_same_word(name, "primary")) {
        my_fail(a->m, "primary-key", at, "Make a new table with the other key, and let the application change over.",
                "a table without its PRIMARY KEY is written anew");
        return;
    }
    struct rb_object *object = rb_object_of(rb, RB_OBJECT_INDEX, &a->d.table, name);
    bool created = is_created(a, name);
    if (created || object->dropped != NULL) {
        my_fail(a->m, created ? "drop-added" : "index-dropped", at, created ? "Leave both out." : "Remove it.",
                created ? "the index %s is created by this very runbook" : "the index %s is dropped before this",
                rb_plain(rb, name));
        return;
    }
    struct rb_step *step = my_step(&a->d, ZDM_STEP_HIDE, ZDM_ACTION_HIDE_INDEX, ZDM_LOCK_SHORT, NULL);
    rb_step_object(step, name);
    rb_step_inverse(step, ZDM_INVERSE_UNHIDE, NULL);
    step->note.rewritten = true;
    object->dropped = step;
    rb_step_does(step, "let the optimizer pass it by (a unique one still binds); the purge drops it");
}

/* DROP INDEX i ON t, behind DROP INDEX. */
void my_drop_index(struct my *m)
{
    my_refuse_if_exists(m);
    struct rb_place at = my_here(m);
    const char *name = my_name(m, "the name of an index");
    struct rb_table table;
    my_need(m, "on");
    if (m->failed || !my_table(m, &table))
        return;
    if (my_is(m, 0, "algorithm") || my_is(m, 0, "lock"))
        my_fail(m, "stated-itself", my_here(m), "Leave it out.",
                "how a change is made, and what it locks, a plan says itself");
    my_need_end(m);
    struct my_action a = {.m = m, .d = my_ddl(m, &table)};
    my_drop_key(&a, name, at);
}

/* ---- constraints ---- */

void my_lift_constraint(struct my_action *a, const char *name, struct rb_place at, bool check)
{
    struct rb *rb = a->m->rb;
    if (a->m->failed || !rb_ddl_phase(&a->d, RB_DDL_DROP_CONSTRAINT, at))
        return;
    struct rb_object *object = rb_object_of(rb, RB_OBJECT_CONSTRAINT, &a->d.table, name);
    if (object->created || object->dropped != NULL) {
        my_fail(a->m, object->created ? "drop-added" : "constraint-dropped", at,
                object->created ? "Leave both out." : "Remove it.",
                object->created ? "the constraint %s is added by this very runbook"
                                : "the constraint %s is dropped before this",
                rb_plain(rb, name));
        return;
    }
    struct rb_step *step = my_step(&a->d, ZDM_STEP_DDL, ZDM_ACTION_LIFT_CONSTRAINT, ZDM_LOCK_SHORT, NULL);
    rb_step_object(step, name);
    rb_step_inverse(step, ZDM_INVERSE_UNHIDE, NULL);
    step->note.rewritten = true;
    object->dropped = step;
    rb_step_does(step, "drop the constraint; its definition is kept for a rollback");
    if (!check)
        return;
    step->step.exact_inverse = false;
    rb_warning(rb, "check-gone", at, "The phase needs an approval.",
               "a CHECK comes back only by a copy of the table: a rollback says so, and does not do it");
}

/* ---- tables ---- */

void my_drop_table(struct my *m)
{
    my_refuse_if_exists(m);
    do {
        struct rb_place at = my_here(m);
        struct rb_table table;
        if (m->failed || !my_table(m, &table))
            return;
        if (my_is(m, 0, "cascade"))
            my_fail(m, "drop-cascade", my_here(m), "Leave CASCADE out.", "CASCADE means nothing on MySQL and MariaDB");
        else
            rb_ddl_hide_table(&m->s, &table, at);
    } while (my_take_sign(m, ","));
    (void)my_take(m, "restrict");
    my_need_end(m);
}
