/*
 * table.c - CREATE TABLE: nothing uses it yet, so that all may be written at once, CHECK and generated columns too.
 */
#include <string.h>

#include "common/runbook/mysql/parse.h"

struct creation {
    struct my *m;
    struct rb_table table;
    struct my_parent parents[64];
    size_t n_parents;
    const char *body;
    bool has_key;
    size_t n_columns;
};

static void add_text(struct creation *c, const char *text)
{
    c->body = rb_format(c->m->rb, "%s%s%s", c->body, c->body[0] == '\0' ? "" : ", ", text);
}

/* ---- columns ---- */

static void add_parent(struct creation *c, const struct my_parent *parent)
{
    if (c->n_parents < sizeof c->parents / sizeof c->parents[0] && !rb_same_table(&parent->table, &c->table))
        c->parents[c->n_parents++] = *parent;
}

/* REFERENCES behind a column is forgotten by MySQL before 9. */
static void refuse_reference(struct creation *c, const struct my_definition *def)
{
    my_fail(c->m, "inline-references", my_place(c->m, def->references),
            rb_format(c->m->rb, "Write it behind the columns: FOREIGN KEY (%s) REFERENCES ….",
                      rb_plain(c->m->rb, def->name)),
            "MySQL before 9 forgets REFERENCES behind a column");
}

static void read_column(struct creation *c)
{
    struct my *m = c->m;
    struct rb *rb = m->rb;
    struct my_definition def;
    if (!my_definition(m, &c->table, false, &def))
        return;
    struct rb_column *column = rb_column_of(rb, &c->table, def.name);
    if (column->created)
        my_fail(m, "column-twice", def.at, "Remove one of them.", "column %s is there twice", def.name);
    if (def.references != 0)
        refuse_reference(c, &def);
    if (rb_same_word(def.base, "serial"))
        my_fail(m, "auto-increment", def.type_at, "Write bigint unsigned NOT NULL AUTO_INCREMENT UNIQUE.",
                "SERIAL is several things in one word");
    column->created = true;
    column->at = def.at;
    c->has_key = c->has_key || def.primary;
    c->n_columns++;
    add_text(c, rb_format(rb, "%s %s%s%s%s", rb_quote(rb, def.name), my_definition_sql(rb, &def),
                          def.primary ? " PRIMARY KEY" : "", def.unique ? " UNIQUE" : "",
                          def.check ? def.check_text : ""));
}

/* ---- constraints and indexes ---- */

static void read_foreign_key(struct creation *c, const char *head)
{
    struct my *m = c->m;
    struct my_parent parent;
    const char **columns;
    size_t n;
    if (!my_is_sign(m, 0, "("))
        (void)my_name(m, "the name of an index");
    if (m->failed || !my_columns(m, &c->table, &columns, &n) || !my_references(m, &parent))
        return;
    add_parent(c, &parent);
    add_text(c, rb_format(m->rb, "%sFOREIGN KEY (%s) %s", head, my_quoted_list(m->rb, columns, n), parent.sql));
}

static void read_index(struct creation *c, const char *head, const char *kind, bool named)
{
    struct my *m = c->m;
    struct my_index index = {.name = NULL};
    if (!my_index_parts(m, &c->table, &index))
        return;
    add_text(c,
             rb_format(m->rb, "%s%s %s%s%s", head, kind, index.name != NULL && named ? rb_quote(m->rb, index.name) : "",
                       index.name != NULL && named ? " " : "", index.columns_sql));
}

static void read_check(struct creation *c, const char *head)
{
    struct my *m = c->m;
    const char *text = my_closed_expr(m, &c->table, "the CHECK");
    if (my_take(m, "not enforced"))
        my_fail(m, "column-option", my_place(m, m->at - 2), "Leave the CHECK out.",
                "a CHECK that is not enforced is not known to MariaDB");
    (void)my_take(m, "enforced");
    add_text(c, rb_format(m->rb, "%sCHECK %s", head, text));
}

static bool read_constraint(struct creation *c)
{
    static const char *const constraints[] = {"unique", "primary", "foreign", "check"};
    struct my *m = c->m;
    const char *head = "";
    if (my_take(m, "constraint")) {
        bool bare = false;
        for (size_t i = 0; i < sizeof constraints / sizeof constraints[0]; i++)
            bare = bare || my_is(m, 0, constraints[i]);
        const char *name = bare ? NULL : my_name(m, "the name of a constraint");
        head = name == NULL ? "" : rb_format(m->rb, "CONSTRAINT %s ", rb_quote(m->rb, name));
    }
    if (my_take(m, "primary key")) {
        c->has_key = true;
        read_index(c, head, "PRIMARY KEY", false);
    } else if (my_take(m, "unique")) {
        (void)(my_take(m, "index") || my_take(m, "key"));
        read_index(c, head, "UNIQUE INDEX", true);
    } else if (my_take(m, "foreign key")) {
        read_foreign_key(c, head);
    } else if (my_take(m, "check")) {
        read_check(c, head);
    } else if (head[0] == '\0' && (my_take(m, "fulltext") || my_take(m, "spatial"))) {
        const char *kind = rb_same_word(m->tokens[m->at - 1].value, "fulltext") ? "FULLTEXT INDEX" : "SPATIAL INDEX";
        (void)(my_take(m, "index") || my_take(m, "key"));
        read_index(c, head, kind, true);
    } else if (head[0] == '\0' && (my_take(m, "index") || my_take(m, "key"))) {
        read_index(c, head, "INDEX", true);
    } else {
        return false;
    }
    return true;
}

/* ---- options ---- */

static const char *read_value(struct my *m)
{
    (void)my_take_sign(m, "=");
    const struct my_token *token = my_peek(m, 0);
    if (token->kind != MY_WORD && token->kind != MY_NUMBER && token->kind != MY_TEXT) {
        my_unexpected(m, "a value");
        return "";
    }
    m->at++;
    return token->kind == MY_TEXT ? my_literal(m->rb, token->value) : token->value;
}

static bool read_option(struct creation *c, const char **out)
{
    static const struct {
        const char *words, *written;
    } rows[] = {{"default character set", "CHARACTER SET"},
                {"default charset", "CHARACTER SET"},
                {"character set", "CHARACTER SET"},
                {"charset", "CHARACTER SET"},
                {"default collate", "COLLATE"},
                {"collate", "COLLATE"},
                {"comment", "COMMENT"},
                {"row_format", "ROW_FORMAT"},
                {"key_block_size", "KEY_BLOCK_SIZE"},
                {"auto_increment", "AUTO_INCREMENT"},
                {"stats_persistent", "STATS_PERSISTENT"},
                {"stats_auto_recalc", "STATS_AUTO_RECALC"},
                {"stats_sample_pages", "STATS_SAMPLE_PAGES"}};
    struct my *m = c->m;
    struct rb_place at = my_here(m);
    if (my_take(m, "engine")) {
        const char *engine = read_value(m);
        if (!rb_same_word(engine, "innodb"))
            my_fail(m, "create-table-engine", at, "Write ENGINE = InnoDB.",
                    "changes of a table of %s can neither be made in place nor taken back", engine);
        *out = rb_format(m->rb, "%s ENGINE = InnoDB", *out);
        return true;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!my_take(m, rows[i].words))
            continue;
        const char *value = read_value(m);
        *out = rb_format(m->rb, "%s %s = %s", *out, rows[i].written, value);
        return true;
    }
    return false;
}

static const char *read_options(struct creation *c)
{
    struct my *m = c->m;
    const char *text = "";
    while (!m->failed && read_option(c, &text))
        (void)my_take_sign(m, ",");
    if (my_is(m, 0, "partition"))
        my_fail(m, "partitioning", my_here(m), "Make it without partitions, or make it by hand.",
                "partitions are not part of a plan for MySQL and MariaDB");
    else if (my_is(m, 0, "as") || my_is(m, 0, "select") || my_is(m, 0, "ignore") || my_is(m, 0, "replace"))
        my_fail(m, "create-table", my_here(m), "Write CREATE TABLE with its columns; fill it from the application.",
                "CREATE TABLE AS copies under one transaction, and what it copies is another thing on another shard");
    if (text[0] != '\0' && m->rb->neutral)
        rb_not_neutral(m->rb, my_place(m, m->at - 1), "PostgreSQL does not know these options of a table");
    my_need_end(m);
    return text;
}

/* ---- the statement ---- */

static void add_step(struct creation *c, const char *options)
{
    struct rb *rb = c->m->rb;
    struct rb_ddl d = my_ddl(c->m, &c->table);
    struct rb_step *step = my_step(&d, ZDM_STEP_DDL, ZDM_ACTION_CREATE_TABLE, ZDM_LOCK_SHORT, NULL);
    for (size_t i = 0; i < c->n_parents; i++)
        rb_step_other(step, &c->parents[i].table);
    rb_step_sql(step, rb_format(rb, "CREATE TABLE %s (%s)%s", rb_table_sql(rb, &c->table), c->body, options));
    rb_step_inverse(step, ZDM_INVERSE_HIDE, NULL);
    rb_step_does(step, "create the table; nothing uses it yet");
}

static bool begin(struct creation *c, struct rb_place at)
{
    struct my *m = c->m;
    struct rb_ddl d = my_ddl(m, &c->table);
    struct rb_object *object = rb_object_of(m->rb, RB_OBJECT_TABLE, &c->table, NULL);
    if (!rb_ddl_phase(&d, RB_DDL_CREATE_TABLE, rb_at_start(&m->s)))
        m->failed = true;
    else if (my_is(m, 0, "like") || (my_is_sign(m, 0, "(") && my_is(m, 1, "like")))
        my_fail(m, "create-table-like", my_here(m), "Write the columns.",
                "what LIKE copies is another thing on another shard");
    else if (my_is(m, 0, "as") || my_is(m, 0, "select") || my_is(m, 0, "with"))
        my_fail(m, "create-table", my_here(m), "Write CREATE TABLE with its columns; fill it from the application.",
                "CREATE TABLE AS copies under one transaction, and what it copies is another thing on another shard");
    else if (object->created)
        my_fail(m, "created-twice", at, "Remove one of them.", "table %s is created twice",
                rb_table_text(m->rb, &c->table));
    object->created = !m->failed;
    return !m->failed;
}

/* Behind CREATE. */
void my_create_table(struct my *m)
{
    struct creation *c = rb_alloc(m->rb, sizeof *c);
    *c = (struct creation){.m = m, .body = ""};
    if (my_take(m, "or replace"))
        my_fail(m, "create-table", my_place(m, 1), "Write DROP TABLE in a migration before, in its contract phase.",
                "CREATE OR REPLACE would drop a table with its rows");
    if (my_take(m, "temporary"))
        my_fail(m, "create-table", my_place(m, m->at - 1), "Leave TEMPORARY out.",
                "a temporary table goes with the agent's session");
    my_need(m, "table");
    (void)my_if_not_exists(m, "a table of that name");
    struct rb_place at = my_here(m);
    if (m->failed || !my_table(m, &c->table) || !begin(c, at))
        return;
    my_need_sign(m, "(");
    do {
        if (!m->failed && !read_constraint(c))
            read_column(c);
    } while (!m->failed && my_take_sign(m, ","));
    my_need_sign(m, ")");
    const char *options = read_options(c);
    if (!m->failed && c->n_columns == 0)
        my_fail(m, "create-table", at, "Write its columns.", "the table has no column");
    if (m->failed)
        return;
    add_step(c, options);
    if (!c->has_key)
        rb_warning(m->rb, "create-table-key", at, "Write PRIMARY KEY behind a column.",
                   "table %s has no primary key: no later migration can change its rows in batches",
                   rb_table_text(m->rb, &c->table));
}
