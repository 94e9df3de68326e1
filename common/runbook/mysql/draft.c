/*
 * draft.c - plain SQL for MySQL and MariaDB to a whole runbook: which phase each statement and each action of ALTER
 * TABLE belongs into, and what takes several steps. The text around it is ../draft.c's.
 */
#include "common/runbook/mysql/draft.h"

#include <string.h>

const char *my_piece_text(const struct my_piece *p)
{
    return rb_format(p->d->rb, "ALTER TABLE %s %s", p->name, my_source(p->m, p->from, p->end));
}

void my_piece_title(const struct my_piece *p, const char *word, const char *what)
{
    struct rb *rb = p->d->rb;
    rb_draft_title(p->d, rb_format(rb, "%s-%s%s%s", p->table.name, word, what[0] == '\0' ? "" : "-", what),
                   rb_format(rb, "Change %s", p->table.name));
}

/* ---- constraints and indexes ---- */

static void add_check(const struct my_piece *p, size_t from)
{
    struct my *m = p->m;
    m->at = from;
    my_skip_parentheses(m);
    if (m->failed)
        return;
    my_piece_title(p, "check", "");
    rb_draft_say(p->d, RB_DRAFT_MIGRATE,
                 "The server adds a CHECK only by copying the whole table under a lock. Deploy the "
                 "application that keeps the rule.");
    rb_draft_text(
        p->d, RB_DRAFT_MIGRATE, RB_DRAFT_LAST,
        rb_format(p->d->rb, "```sql {check}\nSELECT 1 FROM %s WHERE NOT %s;\n```", p->name, my_source(m, from, m->at)));
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

static void add_index(const struct my_piece *p, const char *sql, bool unique)
{
    bool late = unique || names_filled(p);
    my_piece_title(p, "index", "");
    rb_draft_sql(p->d, late ? RB_DRAFT_MIGRATE : RB_DRAFT_EXPAND, late ? RB_DRAFT_LAST : RB_DRAFT_MAIN, "%s", sql);
}

static void add(const struct my_piece *p)
{
    struct my *m = p->m;
    size_t at = m->at;
    if (my_take(m, "constraint") && !my_is(m, 0, "check") && !my_is(m, 0, "unique") && !my_is(m, 0, "foreign"))
        (void)my_name(m, "the name of a constraint");
    if (my_take(m, "check")) {
        add_check(p, m->at);
    } else if (my_is(m, 0, "foreign")) {
        my_piece_title(p, "foreign-key", "");
        rb_draft_sql(p->d, RB_DRAFT_MIGRATE, RB_DRAFT_LAST, "%s", my_piece_text(p));
    } else if (my_is(m, 0, "unique") || my_is(m, 0, "index") || my_is(m, 0, "key")) {
        add_index(p, my_piece_text(p), my_is(m, 0, "unique"));
    } else if (my_is(m, 0, "primary") || my_is(m, 0, "fulltext") || my_is(m, 0, "spatial") || my_is_sign(m, 0, "(")) {
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
    const char *from = change ? my_column(m, &p->table) : NULL;
    if (!my_definition(m, &p->table, true, &def))
        return;
    const struct rb_draft_column *known = rb_draft_column(p->d, &p->table, def.name);
    if (change && !rb_same_word(from, def.name))
        my_draft_rename_column(p, from, def.name, &def);
    else if (known->added && def.not_null)
        my_draft_not_null(p, RB_DRAFT_MIGRATE, def.name, &def);
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

/* A view gives the table its second name, whoever reads it by rights of their own: the agent's account may go. At the
 * end both names change in one statement. */
static void rename_table(struct rb_draft *d, const struct rb_table *table, const char *to)
{
    struct rb *rb = d->rb;
    const char *old = rb_plain(rb, table->name), *new = rb_plain(rb, to);
    const char *view = rb_plain(rb, rb_format(rb, "%.50s_view", to));
    rb_draft_title(d, rb_format(rb, "%s-to-%s", table->name, to), rb_format(rb, "Rename %s to %s", table->name, to));
    rb_draft_say(d, RB_DRAFT_EXPAND, "A view that can be written gives the table its second name.");
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
        "The view that is left, `%s`, reads nothing any more: drop it by hand when you do not want to go back. A dump "
        "of the database stops at such a view.",
        view);
    d->changes_writers = true;
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

static void draft_action(const struct my_piece *p)
{
    struct my *m = p->m;
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
    } else if (my_take(m, "rename column")) {
        const char *from = my_column(m, &p->table);
        my_need(m, "to");
        const char *to = my_name(m, "the new name");
        if (!m->failed)
            my_draft_rename_column(p, from, to, NULL);
    } else if (my_is(m, 0, "rename") && !my_is(m, 1, "index") && !my_is(m, 1, "key")) {
        m->at += my_is(m, 1, "to") || my_is(m, 1, "as") ? 2 : 1;
        const char *to = my_name(m, "the new name");
        if (!m->failed)
            rename_table(p->d, &p->table, to);
    } else if (my_is(m, 0, "convert")) {
        rb_draft_fail(p->d, "CONVERT TO writes the whole table anew, and its columns are not named",
                      "Write each column that needs it: zdmctl new --engine mysql --from 'ALTER TABLE t MODIFY name "
                      "varchar(255) CHARACTER SET utf8mb4'; the draft copies it into a new column.");
    } else {
        p->d->anything = true;
        rb_draft_sql(p->d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "%s", my_piece_text(p));
    }
}

/* ---- statements ---- */

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
        rb_draft_say(d, RB_DRAFT_PREFACE,
                     condition ? "`IF EXISTS` is left out: each shard must have what the plan changes, and `zdmctl "
                                 "check` names the one that has not."
                               : "`CASCADE` is left out: it means nothing on MySQL and MariaDB.");
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

/* Behind the last token of the action at hand. */
static size_t end_of_action(const struct my *m)
{
    size_t depth = 0, i = m->at;
    for (; i < m->n; i++) {
        bool sign = m->tokens[i].kind == MY_SIGN;
        if (sign && depth == 0 && strcmp(m->tokens[i].value, ",") == 0)
            break;
        depth += sign && strcmp(m->tokens[i].value, "(") == 0;
        depth -= sign && depth > 0 && strcmp(m->tokens[i].value, ")") == 0;
    }
    return i;
}

static void draft_alter(struct rb_draft *d, struct my *m)
{
    struct rb_table table;
    (void)(my_take(m, "online") || my_take(m, "ignore"));
    my_need(m, "table");
    (void)my_take(m, "if exists");
    if (m->failed || !my_table(m, &table))
        return;
    while (!m->failed && m->at < m->n) {
        struct my_piece p = {.d = d, .m = m, .table = table, .name = rb_table_text(d->rb, &table), .from = m->at};
        p.end = end_of_action(m);
        draft_action(&p);
        m->at = p.end + 1;
    }
}

static bool is_session(const struct my *m)
{
    static const char *const words[] = {"set", "start", "begin", "commit", "use", "lock", "unlock", "rollback"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (my_is(m, 0, words[i]))
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

static void draft_index(struct rb_draft *d, struct my *m)
{
    bool unique = my_is(m, 1, "unique");
    struct my_piece p = {.d = d, .m = m, .from = 0, .end = m->n, .table = {"", "index"}};
    for (size_t i = 0; i + 1 < m->n; i++) {
        if (m->tokens[i].kind == MY_WORD && rb_same_word(m->tokens[i].value, "on"))
            p.table.name = m->tokens[i + 1].value;
    }
    add_index(&p, m->s.sql, unique);
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
    if (is_session(m) || is_record(d, m))
        return; /* each step is a transaction, with settings of the agent's */
    if (table && my_take(m, "alter")) {
        draft_alter(d, m);
    } else if (my_is(m, 0, "create") && table) {
        rb_draft_title(d, "create-table", "Create a table");
        rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "%s", m->s.sql);
    } else if (my_is(m, 0, "create") && index) {
        draft_index(d, m);
    } else if (my_is(m, 0, "drop") && (table || index)) {
        draft_drop(d, m);
    } else if (my_is(m, 0, "rename") && table) {
        struct rb_table from;
        m->at = 2;
        bool good = my_table(m, &from) && my_take(m, "to");
        const char *to = good ? my_name(m, "the new name") : NULL;
        if (to != NULL)
            rename_table(d, &from, to);
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

static void survey_alter(struct rb_draft *d, struct my *m)
{
    struct rb_table table;
    m->at = 2;
    if (!my_table(m, &table))
        return;
    while (!m->failed && m->at < m->n) {
        size_t end = end_of_action(m);
        bool adds = my_take(m, "add");
        (void)my_take(m, "column");
        const struct my_token *name = my_peek(m, 0);
        bool type = my_peek(m, 1)->kind == MY_WORD && my_is_type(my_peek(m, 1)->value);
        if (adds && type && (name->kind == MY_WORD || name->kind == MY_NAME))
            rb_draft_column(d, &table, my_column_name(d->rb, &table, name->value))->added = true;
        m->at = end + 1;
    }
}

void my_draft_survey(struct my *m, void *ctx)
{
    size_t errors = m->rb->n_errors;
    if (my_is(m, 0, "update") && my_peek(m, 1)->kind != MY_SIGN)
        survey_update(ctx, m);
    else if (my_is(m, 0, "alter") && my_is(m, 1, "table") && !my_is(m, 2, "if"))
        survey_alter(ctx, m);
    if (errors != m->rb->n_errors)
        return; /* the second round says it, too */
}

const char *my_recipe(struct rb *rb, const char *sql, const char *words)
{
    const char *recipe = rb_recipe_of(rb, sql);
    return recipe != NULL ? recipe : words;
}
