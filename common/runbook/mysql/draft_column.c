/*
 * draft_column.c - columns that change in drafts: the new column in the place of an old one, and what a MODIFY means,
 * which the type that the column has now tells.
 */
#include "common/runbook/mysql/draft.h"

#include <string.h>

/* NULL with a failure of the draft, which asks for it. */
static const char *present_type(const struct my_piece *p, const char *column)
{
    struct rb_draft *d = p->d;
    const char *type = my_known_type(p, column);
    if (type != NULL)
        return type;
    if (d->type != NULL) {
        rb_draft_fail(d,
                      rb_format(d->rb, "the types of %s and of %s.%s are needed, and one is given", d->type_of,
                                p->table.name, column),
                      "Draft one column at a time.");
        return NULL;
    }
    if (d->guess) {
        rb_draft_say(d, RB_DRAFT_EXPAND, "Write the type of `%s`.", column);
        return "varchar(255)";
    }
    d->missing = rb_format(d->rb, "%s.%s", p->table.name, column);
    rb_draft_fail(d, rb_format(d->rb, "the type of %s is not known", column),
                  "Write it with --type, as in --type 'varchar(80)', or write CHANGE old new TYPE.");
    return NULL;
}

/* ---- a new column in the place of an old one ---- */

/* A key that the server or the application numbers stays where it is. */
static bool refuse_key(const struct my_piece *p, const char *column, const struct my_definition *def)
{
    struct rb *rb = p->d->rb;
    if (!rb_same_word(column, "id") && (def == NULL || (!def->auto_increment && !def->primary)))
        return false;
    rb_draft_fail(p->d, rb_format(rb, "%s is a key of %s, which no trigger can number", column, p->table.name),
                  "Make a new table with the other key (CREATE TABLE … in an expand phase), let the application "
                  "write both, copy the old rows by hand in batches, let the application read the new one, and "
                  "drop the old table in a contract phase.");
    return true;
}

static bool refuse_generated(const struct my_piece *p, const struct my_definition *def)
{
    if (def == NULL || def->generated == 0)
        return false;
    rb_draft_fail(p->d, rb_format(p->d->rb, "%s is generated: nobody could write a copy of it", def->name),
                  "Add another column, and drop this one: ALTER TABLE … ADD COLUMN …; UPDATE … SET …; ALTER TABLE … "
                  "DROP COLUMN …; is drafted in steps.");
    return true;
}

static void say_what_stays_behind(const struct my_piece *p, const char *from, const char *to, bool known)
{
    rb_draft_say(p->d, RB_DRAFT_MIGRATE,
                 "%s of `%s` do not come along: add %s that `%s` needs behind the UPDATE, a unique index last.",
                 known ? "Indexes and constraints" : "Indexes, constraints, NOT NULL, DEFAULT, ON UPDATE and COMMENT",
                 from, known ? "those" : "what", to);
}

static void say_who_may_write(const struct my_piece *p, const char *from, const char *to, bool both_ways)
{
    rb_draft_say(p->d, RB_DRAFT_SWITCH,
                 "Deploy the application that reads and writes `%s` instead of `%s`. Old code may go on running: %s.",
                 to, from,
                 both_ways ? "triggers keep both columns equal"
                           : "triggers compute the new column from the old one, but not back");
    rb_draft_say(p->d, RB_DRAFT_CONTRACT,
                 "No code names `%s` any more. It is hidden first, and dropped after the grace period.", from);
    p->d->changes_writers = true;
}

void my_draft_free(const struct my_piece *p, const char *column)
{
    rb_draft_say(
        p->d, RB_DRAFT_EXPAND,
        "From the switch on, new code leaves `%s` out of its INSERTs. Where it is NOT NULL and has no default, "
        "give it one in this phase: `ALTER TABLE %s ALTER COLUMN %s SET DEFAULT …`.",
        column, p->name, rb_plain(p->d->rb, column));
}

/* def: what is known of the new column besides its type; NULL: nothing. */
static void copy_column(const struct my_piece *p, const char *from, const char *to, const char *type,
                        const struct my_definition *def, const char *expression)
{
    struct rb_draft *d = p->d;
    struct my_definition plain = {.type = type};
    if (def != NULL)
        plain = (struct my_definition){.type = type, .comment = def->comment, .null = def->null};
    const char *old = rb_plain(d->rb, from), *new = rb_plain(d->rb, to);
    rb_draft_column(d, &p->table, from)->moved_to = to;
    rb_draft_column(d, &p->table, to)->filled = true;
    rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "ALTER TABLE %s ADD COLUMN %s %s%s", p->name, new,
                 my_definition_sql(d->rb, &plain), def == NULL ? "" : def->place);
    say_what_stays_behind(p, from, to, def != NULL);
    rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, "UPDATE %s SET %s = %s WHERE %s IS NULL", p->name, new,
                 expression == NULL ? old : expression, new);
    rb_draft_sql(d, RB_DRAFT_CONTRACT, RB_DRAFT_MAIN, "ALTER TABLE %s DROP COLUMN %s", p->name, old);
    say_who_may_write(p, from, to, expression == NULL);
    if (expression != NULL)
        my_draft_free(p, from);
    if (def != NULL)
        my_draft_rest(p, to, def);
}

void my_draft_rename_column(const struct my_piece *p, const char *from, const char *to, const struct my_definition *def)
{
    struct rb *rb = p->d->rb;
    if (refuse_key(p, from, def) || refuse_generated(p, def))
        return;
    const char *type = def != NULL ? def->type : present_type(p, from);
    rb_draft_title(p->d, rb_format(rb, "%s-%s-to-%s", p->table.name, from, to),
                   rb_format(rb, "Rename %s.%s to %s", p->table.name, from, to));
    if (type != NULL)
        copy_column(p, from, to, type, def, NULL);
}

/* ---- MODIFY ---- */

/* Old code goes on writing texts that are no JSON, which the triggers would refuse. */
static bool refuse_json(const struct my_piece *p, const struct my_definition *def)
{
    struct rb *rb = p->d->rb;
    if (!rb_same_word(def->base, "json"))
        return false;
    rb_draft_fail(
        p->d,
        rb_format(rb, "%s cannot become json while old code writes it: a text that is not JSON would be refused",
                  def->name),
        rb_format(rb,
                  "Add another column (ALTER TABLE %s ADD COLUMN %s json), deploy the application that writes "
                  "both, fill the other rows in a runbook of its own (```sql {no-sync}), and drop %s when no "
                  "code reads it.",
                  p->name, rb_plain(rb, rb_format(rb, "%s_new", def->name)), rb_plain(rb, def->name)));
    return true;
}

static void widen(const struct my_piece *p, const struct my_definition *def)
{
    my_piece_title(p, "widen", def->name);
    rb_draft_say(p->d, RB_DRAFT_EXPAND,
                 "Where the new definition only allows more, the server changes the catalogue alone; `zdmctl "
                 "check` says whether it does. Say all of the column again: NOT NULL, default, comment. Where it does "
                 "not, give the present type with --type, and the draft is one that copies the column.");
    rb_draft_sql(p->d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "%s", my_piece_text(p));
}

/* The type stays. MODIFY that says nothing of NULL allows it. */
static void change_null(const struct my_piece *p, struct my_definition *def)
{
    struct rb_draft *d = p->d;
    rb_draft_title(
        d, rb_format(d->rb, "%s-%snull-%s", p->table.name, def->not_null ? "not-" : "", def->name),
        rb_format(d->rb, def->not_null ? "Make %s.%s NOT NULL" : "Allow NULL in %s.%s", p->table.name, def->name));
    if (def->place[0] != '\0')
        rb_draft_say(d, RB_DRAFT_PREFACE, "`%s` is left out: a column that moves writes the whole table anew.",
                     def->place + 1);
    def->null = !def->not_null;
    my_draft_constraints(p, def->name, def);
    my_draft_modify(p, def->not_null ? RB_DRAFT_CONTRACT : RB_DRAFT_EXPAND, def->name, def, true);
    if (def->not_null)
        rb_draft_say(d, RB_DRAFT_SWITCH,
                     "Deploy the application that writes `%s` in every row; rows where it is NULL stop the next phase.",
                     def->name);
}

void my_draft_change_type(const struct my_piece *p, struct my_definition *def)
{
    struct rb_draft *d = p->d;
    struct rb *rb = d->rb;
    if (refuse_key(p, def->name, def) || refuse_generated(p, def))
        return;
    const char *type = my_known_type(p, def->name);
    bool says_null = def->null || def->not_null;
    if (type != NULL && my_is_same_type(rb, type, def->type)) {
        change_null(p, def);
    } else if (my_may_widen(p, def)) {
        widen(p, def);
    } else if (!refuse_json(p, def) && ((!says_null && !d->asks) || present_type(p, def->name) != NULL)) {
        struct my_definition new = *def;
        new.type = my_type_for(p, def);
        rb_draft_title(d, rb_format(rb, "%s-%s-%s", p->table.name, def->name, def->base),
                       rb_format(rb, "Change the type of %s.%s to %s", p->table.name, def->name, def->type));
        copy_column(p, def->name, rb_format(rb, "%s_new", def->name), new.type, &new, my_cast_of(p, def));
    }
}
