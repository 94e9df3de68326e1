/*
 * draft_alter.c - the actions of ALTER TABLE in drafts, one by one: each in the phase where it does no harm, under the
 * name of a statement of its own.
 */
#include "common/runbook/mysql/draft.h"

#include <string.h>

const char *my_piece_text(const struct my_piece *p)
{
    return rb_format(p->d->rb, "ALTER TABLE %s %s%s", p->name, p->lead, my_source(p->m, p->from, p->end));
}

void my_piece_title(const struct my_piece *p, const char *word, const char *what)
{
    struct rb *rb = p->d->rb;
    rb_draft_title(p->d, rb_format(rb, "%s-%s%s%s", p->table.name, word, what[0] == '\0' ? "" : "-", what),
                   rb_format(rb, "Change %s", p->table.name));
}

bool my_piece_ends(const struct my_piece *p)
{
    struct my *m = p->m;
    if (!m->failed && m->at != p->end)
        my_unexpected(m, "the end of the action");
    return !m->failed;
}

/* ---- constraints and indexes ---- */

static void add_check(const struct my_piece *p)
{
    struct my *m = p->m;
    size_t from = m->at;
    my_skip_parentheses(m);
    (void)my_take(m, "enforced");
    if (!my_piece_ends(p))
        return;
    my_piece_title(p, "check", "");
    my_draft_check(p, my_source(m, from, m->at));
}

/* Does one of its words name a column that the script fills? */
static bool names_filled(const struct my_piece *p)
{
    for (const struct rb_draft_column *c = p->d->columns; c != NULL; c = c->next) {
        for (size_t i = p->from; i < p->end && c->filled; i++) {
            if (rb_same_word(p->m->tokens[i].value, c->name) && rb_same_table(&c->table, &p->table))
                return true;
        }
    }
    return false;
}

void my_draft_index(const struct my_piece *p, const char *sql, bool unique)
{
    bool late = unique || names_filled(p);
    my_piece_title(p, "index", "");
    rb_draft_sql(p->d, late ? RB_DRAFT_MIGRATE : RB_DRAFT_EXPAND, late ? RB_DRAFT_LAST : RB_DRAFT_MAIN, "%s", sql);
}

/* ---- ADD ---- */

static void add(const struct my_piece *p);

/* ( … , … ): each as an action of its own. */
static void add_list(const struct my_piece *p)
{
    struct my *m = p->m;
    size_t first = m->at + 1, last = p->end - 1;
    my_skip_parentheses(m);
    if (!my_piece_ends(p))
        return;
    m->at = first;
    while (!m->failed && m->at < last) {
        struct my_piece one = *p;
        one.from = m->at;
        one.end = my_end_of_action(m, last);
        one.lead = "ADD ";
        add(&one);
        m->at = one.end + 1;
    }
}

static void add(const struct my_piece *p)
{
    struct my *m = p->m;
    size_t at = m->at;
    bool column = my_take(m, "column");
    if (my_is_sign(m, 0, "(")) {
        add_list(p);
        return;
    }
    if (!column && my_take(m, "constraint") && !my_is(m, 0, "check") && !my_is(m, 0, "unique") &&
        !my_is(m, 0, "foreign"))
        (void)my_name(m, "the name of a constraint");
    if (!column && my_take(m, "check")) {
        add_check(p);
    } else if (!column && my_is(m, 0, "foreign")) {
        my_piece_title(p, "foreign-key", "");
        rb_draft_sql(p->d, RB_DRAFT_MIGRATE, RB_DRAFT_LAST, "%s", my_piece_text(p));
    } else if (!column && (my_is(m, 0, "unique") || my_is(m, 0, "index") || my_is(m, 0, "key"))) {
        my_draft_index(p, my_piece_text(p), my_is(m, 0, "unique"));
    } else if (!column && (my_is(m, 0, "primary") || my_is(m, 0, "fulltext") || my_is(m, 0, "spatial"))) {
        rb_draft_sql(p->d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "%s", my_piece_text(p)); /* the compiler says why not */
        p->d->anything = true;
    } else {
        m->at = at;
        my_draft_add_column(p);
    }
}

/* ---- the other actions ---- */

static void drop(const struct my_piece *p)
{
    struct my *m = p->m;
    bool column = !my_is(m, 0, "index") && !my_is(m, 0, "key") && !my_is(m, 0, "foreign") && !my_is(m, 0, "check") &&
                  !my_is(m, 0, "constraint") && !my_is(m, 0, "primary") && !my_is(m, 0, "partition");
    (void)my_take(m, "column");
    (void)my_take(m, "if exists");
    my_piece_title(p, "drop", column && my_peek(m, 0)->kind != MY_END ? my_peek(m, 0)->value : "");
    /* An index or a constraint goes before the columns that it names. */
    rb_draft_sql(p->d, RB_DRAFT_CONTRACT, column ? RB_DRAFT_LATE : RB_DRAFT_FIRST, "%s",
                 rb_draft_bare(p->d, my_piece_text(p)));
    if (!column)
        return;
    my_draft_free(p, my_peek(m, 0)->value);
    rb_draft_say(p->d, RB_DRAFT_SWITCH, "Deploy the application that does not name `%s` any more.",
                 my_peek(m, 0)->value);
}

static void modify(const struct my_piece *p, bool change)
{
    struct my *m = p->m;
    struct my_definition def;
    (void)my_take(m, "column");
    if (my_take(m, "if exists"))
        my_draft_say_condition(p->d);
    const char *from = change ? my_column(m, &p->table) : NULL;
    if (!my_definition(m, &p->table, true, &def) || !my_piece_ends(p))
        return;
    if (change && !rb_same_word(from, def.name))
        my_draft_rename_column(p, from, def.name, &def);
    else if (rb_draft_column(p->d, &p->table, def.name)->added && def.not_null)
        my_draft_now_not_null(p, &def);
    else
        my_draft_change_type(p, &def);
}

static void alter_default(const struct my_piece *p)
{
    struct my *m = p->m;
    (void)my_take(m, "column");
    const char *name = my_column(m, &p->table);
    if (m->failed)
        return;
    bool late = my_is(m, 0, "drop") || rb_draft_column(p->d, &p->table, name)->filled;
    my_piece_title(p, "default", name);
    rb_draft_sql(p->d, late ? RB_DRAFT_CONTRACT : RB_DRAFT_EXPAND, RB_DRAFT_LAST, "%s", my_piece_text(p));
    if (my_is(m, 0, "drop"))
        rb_draft_say(p->d, RB_DRAFT_SWITCH, "Deploy the application that writes `%s` in every row.", name);
}

/* What a plan says itself, or does not say. */
static bool leave_out(const struct my_piece *p)
{
    struct my *m = p->m;
    if (my_is(m, 0, "algorithm") || my_is(m, 0, "lock")) {
        rb_draft_say(p->d, RB_DRAFT_PREFACE,
                     "`ALGORITHM` and `LOCK` are left out: each step asks for the gentlest way, and refuses a copy.");
        return true;
    }
    return false;
}

static void rename(const struct my_piece *p)
{
    struct my *m = p->m;
    if (my_take(m, "column")) {
        const char *from = my_column(m, &p->table);
        my_need(m, "to");
        const char *to = my_name(m, "the new name");
        if (my_piece_ends(p))
            my_draft_rename_column(p, from, to, NULL);
        return;
    }
    (void)(my_take(m, "to") || my_take(m, "as"));
    const char *to = my_name(m, "the new name");
    if (my_piece_ends(p))
        my_draft_rename_table(p->d, &p->table, to);
}

static void draft_action(const struct my_piece *p)
{
    struct my *m = p->m;
    bool of_index = my_is(m, 0, "rename") && (my_is(m, 1, "index") || my_is(m, 1, "key"));
    if (leave_out(p))
        return;
    if (my_take(m, "add")) {
        add(p);
    } else if (my_take(m, "drop")) {
        drop(p);
    } else if (my_take(m, "modify")) {
        modify(p, false);
    } else if (my_take(m, "change")) {
        modify(p, true);
    } else if (my_take(m, "alter")) {
        alter_default(p);
    } else if (!of_index && my_take(m, "rename")) {
        rename(p);
    } else if (my_is(m, 0, "convert")) {
        rb_draft_fail(p->d, "CONVERT TO writes the whole table anew, and its columns are not named",
                      "Write each column that needs it: zdmctl new --engine mysql --from 'ALTER TABLE t MODIFY name "
                      "varchar(255) CHARACTER SET utf8mb4'; the draft copies it into a new column.");
    } else {
        p->d->anything = true;
        rb_draft_sql(p->d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "%s", my_piece_text(p));
    }
}

/* ---- the statement ---- */

size_t my_end_of_action(const struct my *m, size_t most)
{
    size_t depth = 0, i = m->at;
    for (; i < most; i++) {
        bool sign = m->tokens[i].kind == MY_SIGN;
        if (sign && depth == 0 && strcmp(m->tokens[i].value, ",") == 0)
            break;
        depth += sign && strcmp(m->tokens[i].value, "(") == 0;
        depth -= sign && depth > 0 && strcmp(m->tokens[i].value, ")") == 0;
    }
    return i;
}

void my_draft_alter(struct rb_draft *d, struct my *m)
{
    struct rb_table table;
    if (my_is(m, 0, "ignore")) {
        rb_draft_fail(d, "ALTER IGNORE TABLE throws rows away, and says nothing",
                      "Delete the rows that are in the way by a DELETE … WHERE, and write ALTER TABLE without IGNORE.");
        return;
    }
    (void)my_take(m, "online"); /* which every step is */
    my_need(m, "table");
    if (my_take(m, "if exists"))
        my_draft_say_condition(d);
    if (m->failed || !my_table(m, &table))
        return;
    while (!m->failed && m->at < m->n) {
        struct my_piece p = {.d = d, .m = m, .table = table, .name = rb_table_text(d->rb, &table), .from = m->at};
        p.lead = "";
        p.end = my_end_of_action(m, m->n);
        draft_action(&p);
        m->at = p.end + 1;
    }
}
