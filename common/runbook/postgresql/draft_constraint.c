/*
 * draft_constraint.c - ADD and DROP CONSTRAINT in a draft, and what takes the place of what.
 */
#include "common/runbook/postgresql/ddl.h"
#include "common/runbook/draft.h"

#include <string.h>

static bool is_unique(const PgQuery__Constraint *constraint)
{
    return constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE ||
           constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
}

static bool is_called_primary(const char *name)
{
    for (const char *p = name; *p != '\0'; p++) {
        if (rb_same_start(p, "pk", 2))
            return true;
    }
    return false;
}

/* Does the one that is dropped go so that the other may come? Of the same name, or both are primary keys. Of those that
 * need no index the new one is there a moment later: they take the place as they are written. */
static bool is_swap(struct rb_draft *d, const struct rb_draft_constraint *dropped,
                    const struct rb_draft_constraint *added)
{
    if (dropped->added != NULL || added->added == NULL || !rb_same_table(&dropped->table, &added->table) ||
        !is_unique(added->added) || added->added->indexname[0] != '\0' ||
        rb_draft_follows(d, &added->table, added->added))
        return false;
    bool primary = added->added->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
    return (added->name != NULL && strcmp(added->name, dropped->name) == 0) ||
           (primary && is_called_primary(dropped->name));
}

/* What the first round noted of it: the tree of this round is another one. */
static const struct rb_draft_constraint *noted(const struct rb_draft *d, const struct rb_table *table,
                                               const PgQuery__Constraint *added)
{
    for (size_t i = 0; i < d->n_constraints; i++) {
        const struct rb_draft_constraint *c = &d->constraints[i];
        if (c->added != NULL && rb_same_table(&c->table, table) && c->added->contype == added->contype &&
            c->added->location == added->location && strcmp(c->added->conname, added->conname) == 0)
            return c;
    }
    return NULL;
}

void rb_draft_add_constraint(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd,
                             const char *text)
{
    const PgQuery__Constraint *added = cmd->def->constraint;
    const struct rb_draft_constraint *own = noted(d, table, added);
    const char *name = added->conname;
    bool follows = rb_draft_follows(d, table, added);
    rb_draft_title(d, rb_format(d->rb, "%s-constraint%s%s", table->name, name[0] == '\0' ? "" : "-", name),
                   rb_format(d->rb, "Change %s", table->name));
    for (size_t i = 0; i < d->n_constraints && own != NULL; i++) {
        if (is_swap(d, &d->constraints[i], own)) {
            rb_recipe_swap(d, table, added, d->constraints[i].name);
            return;
        }
    }
    /* behind the index that it needs */
    rb_draft_sql(d, RB_DRAFT_MIGRATE, follows || added->indexname[0] != '\0' ? RB_DRAFT_LAST : RB_DRAFT_LATE, "%s",
                 rb_draft_follow_constraint(d, table, added, text));
}

/* One that is dropped so that another takes its name goes right before it; others when the old code is gone, in front
 * of the keys that they may be in the way of. */
void rb_draft_drop_constraint(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd,
                              const char *text)
{
    const struct rb_draft_constraint *own = rb_draft_constraint(d, table, cmd->name, false);
    const struct rb_draft_constraint *again = rb_draft_constraint(d, table, cmd->name, true);
    bool follows = again != NULL && rb_draft_follows(d, table, again->added);
    for (size_t i = 0; i < d->n_constraints && own != NULL; i++) {
        if (is_swap(d, own, &d->constraints[i]))
            return; /* the recipe drops it */
    }
    if (follows && rb_draft_goes_along(d, table, again->added))
        return; /* the old column takes it along */
    bool early = again != NULL && !follows;
    rb_draft_title(d, rb_format(d->rb, "%s-drop-constraint-%s", table->name, cmd->name),
                   rb_format(d->rb, "Change %s", table->name));
    rb_draft_sql(d, early ? RB_DRAFT_MIGRATE : RB_DRAFT_CONTRACT, early ? RB_DRAFT_MAIN : RB_DRAFT_FRONT, "%s", text);
}
