/*
 * draft.c - plain SQL for MySQL and MariaDB to a whole runbook: which phase each statement belongs into. Actions of
 * ALTER TABLE are draft_alter.c's, the text around it all is ../draft.c's.
 *
 * Nothing that was asked for is lost without a word: a draft carries it, or says in its prose what it leaves out, or is
 * refused with the reason.
 */
#include "common/runbook/mysql/draft.h"

#include <string.h>

/* ---- statements ---- */

void my_draft_say_condition(struct rb_draft *d)
{
    rb_draft_say(
        d, RB_DRAFT_PREFACE,
        "`IF EXISTS` is left out: each shard must have what the plan changes, and `zdmctl check` names the one "
        "that has not.");
}

const char *my_draft_bare(struct rb_draft *d, const char *sql)
{
    struct rb_fence fence = {.line = 1, .text = sql};
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    struct my_token *tokens;
    size_t n, done = 0;
    if (!my_scan(d->rb, &fence, sql, &tokens, &n))
        return sql;
    for (size_t i = 0; i < n; i++) {
        bool condition = tokens[i].kind == MY_WORD && rb_same_word(tokens[i].value, "if") &&
                         rb_same_word(tokens[i + 1].value, "exists");
        if (!condition && !(tokens[i].kind == MY_WORD && rb_same_word(tokens[i].value, "cascade") && i + 1 == n))
            continue;
        if (condition)
            my_draft_say_condition(d);
        else
            rb_draft_say(d, RB_DRAFT_PREFACE, "`CASCADE` is left out: it means nothing on MySQL and MariaDB.");
        zdm_buffer_append(&b, sql + done, tokens[i].start - done);
        done = condition ? tokens[i + 2].start : tokens[i].end;
        i += condition;
    }
    zdm_buffer_puts(&b, sql + done);
    while (b.len > 0 && rb_is_blank(zdm_buffer_text(&b)[b.len - 1]))
        b.len--;
    zdm_buffer_puts(&b, "");
    return rb_take(d->rb, &b);
}

/* What a step does not need, or sets itself. */
static bool is_session(struct rb_draft *d, const struct my *m)
{
    static const char *const words[] = {"start", "begin", "commit", "rollback"};
    static const char *const settings[] = {"set", "use", "lock", "unlock"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (my_is(m, 0, words[i]))
            return true;
    }
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (!my_is(m, 0, settings[i]))
            continue;
        rb_draft_say(
            d, RB_DRAFT_PREFACE,
            "`SET`, `USE` and `LOCK` are left out: an agent works in the database that it is connected to, with "
            "settings of its own, and each step takes the lock that it needs.");
        return true;
    }
    return false;
}

/* INSERT INTO, UPDATE, DELETE FROM, with the table behind. */
static bool is_record(struct rb_draft *d, const struct my *m)
{
    bool insert = my_is(m, 0, "insert") && my_is(m, 1, "into"), delete = my_is(m, 0, "delete") && my_is(m, 1, "from");
    if (!insert && !delete &&!my_is(m, 0, "update"))
        return false;
    return rb_draft_is_record(d, my_peek(m, insert || delete ? 2 : 1)->value);
}

/* ---- RENAME TABLE ---- */

/* A view gives the table its second name; at the end both names change in one statement. Who reads and writes it needs
 * the rights of whoever reads and writes the table, so that it is nobody's: it outlives the account that made it. */
void my_draft_rename_table(struct rb_draft *d, const struct rb_table *table, const char *to)
{
    struct rb *rb = d->rb;
    const char *old = rb_plain(rb, table->name), *new = rb_plain(rb, to);
    const char *view = rb_plain(rb, rb_format(rb, "%.50s_view", to));
    rb_draft_title(d, rb_format(rb, "%s-to-%s", table->name, to), rb_format(rb, "Rename %s to %s", table->name, to));
    rb_draft_say(
        d, RB_DRAFT_EXPAND,
        "A view that can be written gives the table its second name. An account that has rights on `%s` alone, "
        "not on the whole database, needs them on `%s`, too. The agent needs CREATE VIEW "
        "(deploy/sql/mysql-grants.sql).",
        table->name, to);
    rb_draft_text(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN,
                  rb_format(rb,
                            "```sql {as-is lock=short}\nCREATE SQL SECURITY INVOKER VIEW %s AS SELECT * FROM %s;\n```\n"
                            "```sql {check}\nSELECT 1 WHERE NOT EXISTS (SELECT 1 FROM information_schema.views WHERE "
                            "table_schema = DATABASE() AND table_name = %s);\n```\n"
                            "```sql {rollback}\nDROP VIEW %s;\n```",
                            new, old, my_literal(rb, to), new));
    rb_draft_say(d, RB_DRAFT_SWITCH, "Deploy the application that names `%s` everywhere.", to);
    rb_draft_say(d, RB_DRAFT_CONTRACT, "No code names `%s` any more: the table takes the view's name in one statement.",
                 table->name);
    rb_draft_text(d, RB_DRAFT_CONTRACT, RB_DRAFT_MAIN,
                  rb_format(rb,
                            "```sql {as-is lock=short}\nRENAME TABLE %s TO %s, %s TO %s;\n```\n"
                            "```sql {check}\nSELECT 1 WHERE NOT EXISTS (SELECT 1 FROM information_schema.tables WHERE "
                            "table_schema = DATABASE() AND table_name = %s AND table_type = 'BASE TABLE');\n```\n"
                            "```sql {rollback}\nRENAME TABLE %s TO %s, %s TO %s;\n```",
                            new, view, old, new, my_literal(rb, to), new, old, view, new));
    rb_draft_say(
        d, RB_DRAFT_CONTRACT,
        "The view that is left, `%s`, reads nothing any more: drop it by hand when you do not want to go back. A "
        "dump of the database stops at such a view.",
        view);
    d->changes_writers = true;
}

/* ---- the other statements ---- */

static void draft_index(struct rb_draft *d, struct my *m)
{
    bool unique = my_is(m, 1, "unique");
    struct my_piece p = {.d = d, .m = m, .from = 0, .end = m->n, .table = {"", "index"}, .lead = ""};
    for (size_t i = 0; i + 1 < m->n; i++) {
        if (m->tokens[i].kind == MY_WORD && rb_same_word(m->tokens[i].value, "on"))
            p.table.name = m->tokens[i + 1].value;
    }
    my_draft_index(&p, m->s.sql, unique);
}

static void draft_drop(struct rb_draft *d, struct my *m)
{
    bool table = my_is(m, 1, "table");
    rb_draft_title(d, table ? "drop-table" : "drop-index", table ? "Drop a table" : "Drop an index");
    rb_draft_sql(d, RB_DRAFT_CONTRACT, table ? RB_DRAFT_LATE : RB_DRAFT_FIRST, "%s", rb_draft_bare(d, m->s.sql));
    rb_draft_say(d, RB_DRAFT_SWITCH,
                 table ? "Deploy the application that does not name the table any more."
                       : "Be sure that no query needs the index.");
}

/* The columns that it assigns are filled: what names them comes behind. */
static void draft_update(struct rb_draft *d, struct my *m)
{
    struct rb_table table = {"", "rows"};
    m->at = 1;
    if (my_peek(m, 0)->kind == MY_WORD || my_peek(m, 0)->kind == MY_NAME)
        table.name = my_peek(m, 0)->value;
    rb_draft_title(d, rb_format(d->rb, "%s-fill", table.name), rb_format(d->rb, "Fill %s", table.name));
    rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, "%s", m->s.sql);
}

static void draft_rename(struct rb_draft *d, struct my *m)
{
    struct rb_table from;
    m->at = 2;
    if (my_take(m, "if exists"))
        my_draft_say_condition(d);
    if (!my_table(m, &from))
        return;
    my_need(m, "to");
    const char *to = my_name(m, "the new name");
    if (!m->failed && my_is_sign(m, 0, ","))
        rb_draft_fail(
            d, "RENAME TABLE of several tables: each of them gets a second name, and its own time to change over",
            "Write a runbook for each: zdmctl new --engine mysql --from 'RENAME TABLE a TO b'. Tables that change "
            "places cannot do so while both releases run.");
    else
        my_need_end(m);
    if (!m->failed && d->failure == NULL)
        my_draft_rename_table(d, &from, to);
}

static void fail(struct rb_draft *d, const struct my *m)
{
    size_t n = strcspn(m->s.sql, "\n");
    rb_draft_fail(d, rb_format(d->rb, "no runbook can be drafted for: %.*s", (int)(n < 100 ? n : 100), m->s.sql),
                  "Leave the statement out, and write it as it is into the runbook, with its check and its way back: "
                  "docs/RUNBOOKS.md, as-is.");
}

void my_draft_statement(struct my *m, void *ctx)
{
    struct rb_draft *d = ctx;
    d->at = rb_at_start(&m->s);
    bool table = my_is(m, 1, "table") || my_is(m, 1, "ignore") || my_is(m, 1, "online");
    bool index = my_is(m, 1, "index") || ((my_is(m, 1, "unique") || my_is(m, 1, "fulltext")) && my_is(m, 2, "index"));
    if (is_session(d, m) || is_record(d, m))
        return; /* each step is a transaction, with settings of the agent's */
    if (table && my_take(m, "alter")) {
        my_draft_alter(d, m);
    } else if (my_is(m, 0, "create") && table) {
        rb_draft_title(d, "create-table", "Create a table");
        rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "%s", m->s.sql);
    } else if (my_is(m, 0, "create") && index) {
        draft_index(d, m);
    } else if (my_is(m, 0, "drop") && (table || index)) {
        draft_drop(d, m);
    } else if (my_is(m, 0, "rename") && table) {
        draft_rename(d, m);
    } else if (my_is(m, 0, "update")) {
        draft_update(d, m);
    } else if (my_is(m, 0, "delete")) {
        rb_draft_title(d, "delete-rows", "Delete rows");
        rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, "%s", m->s.sql);
    } else {
        fail(d, m);
    }
}

/* ---- which columns are added and filled, before anything is placed ---- */

static void survey_update(struct rb_draft *d, struct my *m)
{
    struct rb_table table;
    m->at = 1;
    if (!my_table(m, &table))
        return;
    for (size_t i = m->at; i + 1 < m->n; i++) {
        bool name = m->tokens[i].kind == MY_WORD || m->tokens[i].kind == MY_NAME;
        bool assigned = i > 0 && strcmp(m->tokens[i + 1].value, "=") == 0 && m->tokens[i + 1].kind == MY_SIGN;
        if (m->tokens[i].kind == MY_WORD && rb_same_word(m->tokens[i].value, "where"))
            return;
        if (name && assigned)
            rb_draft_column(d, &table, my_column_name(d->rb, &table, m->tokens[i].value))->filled = true;
    }
}

static void survey_added(struct rb_draft *d, struct my *m, const struct rb_table *table)
{
    (void)my_take(m, "if not exists");
    const struct my_token *name = my_peek(m, 0);
    bool type = my_peek(m, 1)->kind == MY_WORD && my_is_type(my_peek(m, 1)->value);
    if (type && (name->kind == MY_WORD || name->kind == MY_NAME))
        rb_draft_column(d, table, my_column_name(d->rb, table, name->value))->added = true;
}

static void survey_alter(struct rb_draft *d, struct my *m)
{
    struct rb_table table;
    m->at = 2;
    (void)my_take(m, "if exists");
    if (!my_table(m, &table))
        return;
    while (!m->failed && m->at < m->n) {
        size_t end = my_end_of_action(m, m->n);
        bool adds = my_take(m, "add");
        (void)my_take(m, "column");
        bool list = adds && my_take_sign(m, "(");
        while (list && m->at < end) {
            size_t next = my_end_of_action(m, end - 1);
            survey_added(d, m, &table);
            m->at = next + 1;
        }
        if (adds && !list)
            survey_added(d, m, &table);
        m->at = end + 1;
    }
}

void my_draft_survey(struct my *m, void *ctx)
{
    size_t errors = m->rb->n_errors;
    if (my_is(m, 0, "update") && my_peek(m, 1)->kind != MY_SIGN)
        survey_update(ctx, m);
    else if (my_is(m, 0, "alter") && my_is(m, 1, "table"))
        survey_alter(ctx, m);
    if (errors != m->rb->n_errors)
        return; /* the second round says it, too */
}

const char *my_recipe(struct rb *rb, const char *sql, const char *words)
{
    const char *recipe = rb_recipe_of(rb, sql);
    return recipe != NULL ? recipe : words;
}
