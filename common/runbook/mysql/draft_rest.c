/*
 * draft_rest.c - what a column's definition says besides its type, as statements of their own, each where it does no
 * harm: a constraint when all rows are filled, NOT NULL and the default when no trigger fills the column any more.
 *
 * NOT NULL waits for the contract phase: MariaDB refuses INSERT … SELECT that leaves out a NOT NULL column without a
 * default before any trigger could fill it, and code that is to go does leave it out.
 */
#include "common/runbook/mysql/draft.h"

bool my_draft_has_value(const struct my_definition *def)
{
    return def->value != NULL && my_bare(def->value)->kind != MY_NULL;
}

/* ---- CHECK ---- */

void my_draft_check(const struct my_piece *p, const char *condition)
{
    rb_draft_say(p->d, RB_DRAFT_MIGRATE,
                 "The server adds a CHECK only by copying the whole table under a lock. Deploy the application that "
                 "keeps the rule.");
    rb_draft_text(p->d, RB_DRAFT_MIGRATE, RB_DRAFT_LAST,
                  rb_format(p->d->rb, "```sql {check}\nSELECT 1 FROM %s WHERE NOT %s;\n```", p->name, condition));
}

/* Each CHECK of the definition, as it was written. */
static void checks(const struct my_piece *p)
{
    struct my *m = p->m;
    size_t at = m->at, depth = 0;
    for (size_t i = p->from; i < p->end; i++) {
        m->at = i;
        if (depth == 0 && my_is(m, 0, "check") && my_is_sign(m, 1, "(")) {
            m->at++;
            my_skip_parentheses(m);
            my_draft_check(p, my_source(m, i + 1, m->at));
            i = m->at - 1;
            continue;
        }
        depth += my_is_sign(m, 0, "(");
        depth -= depth > 0 && my_is_sign(m, 0, ")");
    }
    m->at = at;
}

/* ---- indexes and keys ---- */

static void unique(const struct my_piece *p, const char *name)
{
    const char *column = rb_plain(p->d->rb, name);
    rb_draft_sql(p->d, RB_DRAFT_MIGRATE, RB_DRAFT_LAST, "ALTER TABLE %s ADD UNIQUE INDEX %s (%s)", p->name, column,
                 column);
}

static void references(const struct my_piece *p, const char *name, const struct my_definition *def)
{
    struct my *m = p->m;
    struct my_parent parent;
    const char *column = rb_plain(p->d->rb, name);
    size_t at = m->at;
    m->at = def->references;
    (void)my_references(m, &parent);
    if (!def->unique)
        rb_draft_sql(p->d, RB_DRAFT_MIGRATE, RB_DRAFT_LAST, "ALTER TABLE %s ADD INDEX (%s)", p->name, column);
    rb_draft_sql(p->d, RB_DRAFT_MIGRATE, RB_DRAFT_LAST, "ALTER TABLE %s ADD FOREIGN KEY (%s) %s", p->name, column,
                 my_source(m, def->references, m->at));
    m->at = at;
}

void my_draft_constraints(const struct my_piece *p, const char *name, const struct my_definition *def)
{
    if (def->unique)
        unique(p, name);
    if (def->references != 0)
        references(p, name, def);
    if (def->check)
        checks(p);
}

/* ---- NOT NULL, DEFAULT, ON UPDATE ---- */

void my_draft_modify(const struct my_piece *p, enum rb_draft_phase phase, const char *name,
                     const struct my_definition *def, bool rebuilds)
{
    struct rb *rb = p->d->rb;
    if (rebuilds)
        rb_draft_say(p->d, phase,
                     "%s builds the table anew in place: reads and writes go on, and it takes room and time like the "
                     "table's own size.%s",
                     def->not_null ? "NOT NULL" : "Allowing NULL",
                     def->not_null ? " Leave it out where the application's word is enough." : "");
    rb_draft_text(p->d, phase, RB_DRAFT_FIRST,
                  rb_format(rb, "```sql%s\nALTER TABLE %s MODIFY COLUMN %s %s;\n```", rebuilds ? " {rewrite-ok}" : "",
                            p->name, rb_plain(rb, name), my_definition_sql(rb, def)));
}

/* NOT NULL stands before the old column goes, so that every value can be copied back into it; the default behind it. */
void my_draft_rest(const struct my_piece *p, const char *name, const struct my_definition *def)
{
    struct my_definition modified = *def;
    modified.value_text = NULL;
    modified.generated_text = NULL;
    my_draft_constraints(p, name, def);
    if (def->not_null || def->on_update != NULL)
        my_draft_modify(p, RB_DRAFT_CONTRACT, name, &modified, def->not_null);
    if (my_draft_has_value(def))
        rb_draft_sql(p->d, RB_DRAFT_CONTRACT, RB_DRAFT_LAST, "ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s", p->name,
                     rb_plain(p->d->rb, name), def->value_text);
}
