/*
 * index.c - indexes: built in place while reads and writes go on.
 */
#include <string.h>

#include "common/runbook/mysql/parse.h"

enum { COLUMNS_MAX = 32 };

const char *my_quoted_list(struct rb *rb, const char *const *names, size_t n)
{
    return rb_ddl_quoted_list(rb, names, n);
}

bool my_columns(struct my *m, const struct rb_table *table, const char ***out, size_t *out_n)
{
    const char **names = rb_alloc(m->rb, COLUMNS_MAX * sizeof *names);
    size_t n = 0;
    my_need_sign(m, "(");
    do {
        const char *name = my_column(m, table);
        if (n == COLUMNS_MAX)
            my_unexpected(m, "at most 32 columns");
        else
            names[n++] = name;
    } while (my_take_sign(m, ","));
    my_need_sign(m, ")");
    *out = names;
    *out_n = n;
    return !m->failed;
}

/* ---- the parts ---- */

static void add_name(struct my *m, struct my_index *index, const char *name)
{
    if (index->n_columns == COLUMNS_MAX)
        my_unexpected(m, "at most 32 columns");
    else if (!m->failed)
        index->columns[index->n_columns++] = name;
}

/* ((lower(a))): MySQL alone has it; what it reads is kept for the order of things. */
static const char *read_expression(struct my *m, const struct rb_table *table, struct my_index *index)
{
    struct rb_expr expr = {.n_columns = 0};
    struct rb_place at = my_here(m);
    const struct my_node *node = my_expr(m);
    if (node == NULL || !my_examine(m, table, NULL, node, "the index", &expr)) {
        m->failed = true;
        return "";
    }
    if (m->rb->neutral)
        rb_not_neutral(m->rb, at, "an index over an expression is written in another way on PostgreSQL");
    rb_note(m->rb, "index-expression", at,
            "Where shards run MariaDB, add a column that holds the value, and index that.",
            "an index over an expression is known to MySQL and not to MariaDB");
    for (size_t i = 0; i < expr.n_columns; i++)
        add_name(m, index, expr.columns[i]);
    return my_write(m->rb, node, NULL);
}

/* a, a(10), (expression); ASC, DESC. */
static const char *read_part(struct my *m, const struct rb_table *table, struct my_index *index)
{
    struct rb *rb = m->rb;
    const char *text;
    if (my_is_sign(m, 0, "(")) {
        text = read_expression(m, table, index);
    } else {
        const char *name = my_column(m, table);
        text = rb_quote(rb, name == NULL ? "" : name);
        add_name(m, index, name);
        if (my_take_sign(m, "(")) {
            if (rb->neutral)
                rb_not_neutral(rb, my_place(m, m->at - 1), "PostgreSQL has no index over a prefix");
            const char *length = my_peek(m, 0)->kind == MY_NUMBER ? m->tokens[m->at++].value : NULL;
            if (length == NULL)
                my_unexpected(m, "a number of characters");
            my_need_sign(m, ")");
            text = rb_format(rb, "%s(%s)", text, length == NULL ? "" : length);
        }
    }
    if (my_take(m, "desc"))
        return rb_format(rb, "%s DESC", text);
    (void)my_take(m, "asc");
    return text;
}

/* ---- options ---- */

static const char *read_using(struct my *m)
{
    if (!my_take(m, "using"))
        return "";
    if (!my_take(m, "btree"))
        my_fail(m, "index-method", my_here(m), "Write USING BTREE, or leave it out.",
                "InnoDB's indexes are trees: it takes HASH for BTREE");
    return " USING BTREE";
}

static bool read_option(struct my *m, const char **out)
{
    struct rb *rb = m->rb;
    const char *using = read_using(m);
    if (using[0] != '\0') {
        *out = rb_format(rb, "%s%s", *out, using);
    } else if (my_take(m, "comment")) {
        const char *text = my_text(m, "a text");
        *out = rb_format(rb, "%s COMMENT %s", *out, my_literal(rb, text == NULL ? "" : text));
    } else if (my_take(m, "key_block_size")) {
        (void)my_take_sign(m, "=");
        *out = rb_format(rb, "%s KEY_BLOCK_SIZE = %s", *out, my_peek(m, 0)->value);
        m->at++;
    } else if (my_is(m, 0, "visible") || my_is(m, 0, "invisible") || my_is(m, 0, "ignored") ||
               (my_is(m, 0, "not") && my_is(m, 1, "ignored"))) {
        my_fail(m, "stated-itself", my_here(m), "Leave it out.", "which indexes the server uses a plan says itself");
    } else if (my_is(m, 0, "with")) {
        my_fail(m, "index-kind", my_here(m), "Leave the index to the application's search.",
                "a parser is for FULLTEXT, which locks writers out");
    } else {
        return false;
    }
    return !m->failed;
}

bool my_index_parts(struct my *m, const struct rb_table *table, struct my_index *index)
{
    struct rb *rb = m->rb;
    const char *list = "", *options = "";
    index->at = my_here(m);
    if (index->name == NULL && !my_is_sign(m, 0, "(") && !my_is(m, 0, "using"))
        index->name = my_name(m, "the name of an index");
    options = read_using(m);
    index->columns = rb_alloc(rb, COLUMNS_MAX * sizeof *index->columns);
    my_need_sign(m, "(");
    do {
        list = rb_format(rb, "%s%s%s", list, list[0] == '\0' ? "" : ", ", read_part(m, table, index));
    } while (!m->failed && my_take_sign(m, ","));
    my_need_sign(m, ")");
    while (!m->failed && read_option(m, &options))
        continue;
    index->columns_sql = rb_format(rb, "(%s)%s", list, options);
    return !m->failed;
}

/* ---- the step ---- */

static bool know_columns(struct my_action *a, const struct my_index *index)
{
    bool ok = true;
    for (size_t i = 0; i < index->n_columns; i++) {
        struct rb_column *column = rb_ddl_column(&a->d, index->columns[i], index->at);
        ok = column != NULL && (!index->unique || rb_ddl_judge_unique(&a->d, column, index->at)) && ok;
    }
    a->m->failed = a->m->failed || !ok;
    return ok;
}

static bool is_taken(const struct rb *rb, const struct rb_table *table, const char *name)
{
    for (const struct rb_index *index = rb->indexes; index != NULL; index = index->next) {
        if (rb_same_table(&index->table, table) && rb_same_word(index->name, name))
            return true;
    }
    return false;
}

/* The server would take the first column's name; one that says what it is cannot clash with an index that is there. */
static const char *choose_name(struct my_action *a, const struct my_index *index)
{
    struct rb *rb = a->m->rb;
    const char *columns = rb_join_names(rb, index->columns, index->n_columns);
    const char *name = rb_choose_name(rb, &a->d.table, columns, index->unique ? "key" : "idx");
    for (unsigned i = 1; is_taken(rb, &a->d.table, name); i++)
        name = rb_choose_name(rb, &a->d.table, columns, rb_format(rb, "idx%u", i));
    return name;
}

static bool may_be_built(struct my_action *a, const struct my_index *index)
{
    if (index->fulltext || index->spatial)
        my_fail(a->m, "index-kind", my_place(a->m, a->from),
                "Build it by hand where writers may wait, or fill a new table that has it.",
                "a %s index is built with writers locked out", index->fulltext ? "FULLTEXT" : "SPATIAL");
    return !a->m->failed && rb_ddl_phase(&a->d, RB_DDL_CREATE_INDEX, my_place(a->m, a->from)) && know_columns(a, index);
}

void my_add_index(struct my_action *a, struct my_index *index)
{
    struct rb *rb = a->m->rb;
    if (a->m->failed || !may_be_built(a, index))
        return;
    bool named = index->name != NULL;
    const char *name = named ? index->name : choose_name(a, index);
    if (rb_same_word(name, "primary")) {
        my_fail(a->m, "primary-key", index->at, "Give it another name.", "PRIMARY is the name of the key alone");
        return;
    }
    if (!rb_index_remember(&a->d, name, index->columns, index->n_columns, index->unique))
        return;
    struct rb_step *step = my_step(&a->d, ZDM_STEP_INDEX, ZDM_ACTION_CREATE_INDEX, ZDM_LOCK_LONG, NULL);
    const char *table = rb_table_sql(rb, &a->d.table), *quoted = rb_quote(rb, name);
    rb_step_object(step, name);
    rb_step_sql(step, rb_format(rb, "ALTER TABLE %s ADD %sINDEX %s %s", table, index->unique ? "UNIQUE " : "", quoted,
                                index->columns_sql));
    rb_step_inverse(step, ZDM_INVERSE_SQL, rb_format(rb, "ALTER TABLE %s DROP INDEX %s", table, quoted));
    step->note.rewritten = !named;
    rb_step_does(step, "build the %sindex %s in place, while reads and writes go on", index->unique ? "unique " : "",
                 rb_plain(rb, name));
}

/* CREATE [UNIQUE] INDEX i ON t (…), behind CREATE. */
void my_create_index(struct my *m)
{
    struct my_index index = {.unique = my_take(m, "unique")};
    index.fulltext = my_take(m, "fulltext");
    index.spatial = my_take(m, "spatial");
    my_need(m, "index");
    bool unless = my_if_not_exists(m, "an index of that name");
    struct rb_place at = my_here(m);
    index.name = my_name(m, "the name of an index");
    const char *using = read_using(m);
    struct rb_table table;
    my_need(m, "on");
    if (m->failed || !my_table(m, &table) || !my_index_parts(m, &table, &index))
        return;
    (void)unless;
    if (using[0] != '\0')
        index.columns_sql = rb_format(m->rb, "%s%s", index.columns_sql, using);
    if (my_is(m, 0, "algorithm") || my_is(m, 0, "lock"))
        my_fail(m, "stated-itself", my_here(m),
                "Leave it out: the agent asks the server for the gentlest way that it has, and refuses a copy.",
                "how a change is made, and what it locks, a plan says itself");
    my_need_end(m);
    index.at = at;
    struct my_action a = {.m = m, .d = my_ddl(m, &table)};
    if (!m->failed)
        my_add_index(&a, &index);
}
