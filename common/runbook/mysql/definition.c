/*
 * definition.c - a column's definition, word by word, in whatever order it is written; and written again in one.
 */
#include <string.h>

#include "common/runbook/mysql/parse.h"

/* ---- the type ---- */

static bool is_neutral_type(struct my *m, const char *base, size_t from)
{
    static const char *const names[] = {"smallint", "int",  "integer", "bigint", "decimal", "numeric", "varchar",
                                        "char",     "text", "boolean", "bool",   "date",    "double"};
    bool known = false, number = my_is_sign(m, 0, "(");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        known = known || (rb_same_word(base, names[i]) && (i > 3 || !number));
    bool sized = rb_same_word(base, "decimal") || rb_same_word(base, "numeric") || rb_same_word(base, "varchar");
    return known && (number || !sized) && (!rb_same_word(base, "double") || my_is(m, 0, "precision")) &&
           m->tokens[from].kind == MY_WORD;
}

static void judge_neutral_type(struct my *m, const char *base, size_t from)
{
    if (!m->rb->neutral)
        return;
    if (!is_neutral_type(m, base, from))
        rb_not_neutral(m->rb, my_place(m, from), "the type %s is not in the common subset", base);
    else if (rb_same_word(base, "text"))
        rb_note(m->rb, "neutral-text", my_place(m, from), "Write varchar(n) where 64 kB may be too little.",
                "text holds 64 kB on MySQL and MariaDB, and 1 GB on PostgreSQL");
}

static void read_collation(struct my *m, struct my_definition *def)
{
    if (def->has_collation)
        my_unexpected(m, "one collation");
    if (m->rb->neutral)
        rb_not_neutral(m->rb, my_place(m, m->at - 1), "collations have other names on other engines");
    const char *name = my_name(m, "a collation");
    def->has_collation = true;
    def->type = rb_format(m->rb, "%s COLLATE %s", def->type, name == NULL ? "" : name);
}

static void read_charset(struct my *m, struct my_definition *def)
{
    const char *name = my_is(m, 0, "binary") ? m->tokens[m->at++].value : my_name(m, "a character set");
    def->has_charset = true;
    def->type = rb_format(m->rb, "%s CHARACTER SET %s", def->type, name == NULL ? "" : name);
}

/* What belongs to a type behind its first word. CHARACTER is none of it in front of SET. */
static void read_more_words(struct my *m, const char *base)
{
    static const struct {
        const char *base, *words;
    } rows[] = {
        {"double", "precision"},      {"char", "varying"},
        {"character", "varying"},     {"nchar", "varying"},
        {"nchar", "varchar"},         {"national", "varchar"},
        {"national", "char varying"}, {"national", "character varying"},
        {"national", "char"},         {"national", "character"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rb_same_word(base, rows[i].base) && my_take(m, rows[i].words))
            return;
    }
}

/* (10), (10, 2), ('a', 'b'). */
static void read_size(struct my *m)
{
    my_need_sign(m, "(");
    do {
        if (my_peek(m, 0)->kind != MY_NUMBER && (my_peek(m, 0)->kind != MY_TEXT || my_peek(m, 0)->charset != NULL))
            my_unexpected(m, "a number or a text");
        m->at++;
    } while (!m->failed && my_take_sign(m, ","));
    my_need_sign(m, ")");
}

static void read_type(struct my *m, struct my_definition *def)
{
    size_t from = m->at;
    const struct my_token *word = my_peek(m, 0);
    def->type_at = my_here(m);
    def->type = def->base = "";
    if (m->failed)
        return;
    if (word->kind != MY_WORD || !my_is_type(word->value)) {
        my_fail(m, "column-type", my_here(m), "Write a type of MySQL and MariaDB: bigint, varchar(255), datetime(6), …",
                "%s is no type that a plan knows", word->kind == MY_END ? "the end" : word->value);
        return;
    }
    m->at++;
    def->base = word->value;
    judge_neutral_type(m, word->value, from);
    read_more_words(m, word->value);
    if (my_is_sign(m, 0, "("))
        read_size(m);
    while (my_take(m, "unsigned") || my_take(m, "signed") || my_take(m, "zerofill"))
        if (m->rb->neutral)
            rb_not_neutral(m->rb, my_place(m, m->at - 1), "PostgreSQL has no unsigned numbers");
    for (size_t i = from; i < m->at; i++)
        if (m->tokens[i].kind == MY_TEXT && !my_is_plain(m->tokens[i].value))
            my_refuse_text(m, i);
    def->type = my_write_tokens(m->rb, m->tokens, from, m->at);
    if (my_take(m, "character set") || my_take(m, "char set") || my_take(m, "charset"))
        read_charset(m, def);
}

/* ---- what stands behind it ---- */

/* The digits behind the first "(", "" where there are none: of datetime(6), and of now(6). */
static const char *fraction(struct rb *rb, const char *text)
{
    const char *open = strchr(text, '(');
    const char *digits = open == NULL ? "" : rb_copy(rb, open + 1, strcspn(open + 1, ")"));
    return strcmp(digits, "0") == 0 ? "" : digits;
}

/* May a default of the moment stand as it is? Else the servers want it as an expression. */
static bool is_bare_moment(struct rb *rb, const struct my_definition *def, const struct my_node *node, bool closed)
{
    static const char *const names[] = {"current_timestamp", "now", "localtime", "localtimestamp"};
    bool whole = rb_same_word(def->base, "datetime") || rb_same_word(def->base, "timestamp"), known = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        known = known || strcmp(node->name, names[i]) == 0;
    return whole && known && (!closed || strcmp(fraction(rb, def->type), fraction(rb, my_write(rb, node, NULL))) == 0);
}

/* MySQL takes a default of these types in parentheses alone. */
static bool has_no_literal(const char *base)
{
    static const char *const types[] = {
        "text",         "tinytext",          "mediumtext", "longtext",   "blob",
        "tinyblob",     "mediumblob",        "longblob",   "json",       "geometry",
        "point",        "linestring",        "polygon",    "multipoint", "multilinestring",
        "multipolygon", "geometrycollection"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (rb_same_word(base, types[i]))
            return true;
    }
    return false;
}

/* In parentheses a default is an expression to MySQL, which copies the table for a column that is added with one: they
 * go where the value is the same without them, and stand where MySQL takes none without. */
static bool is_closed(struct my *m, const struct my_definition *def, const struct my_node *bare)
{
    if (def->value_is_moment)
        return !is_bare_moment(m->rb, def, bare, def->value->kind == MY_PAREN);
    return def->value_is_expression || (bare->kind != MY_NULL && has_no_literal(def->base));
}

static void read_default(struct my *m, struct my_definition *def)
{
    def->default_at = my_place(m, m->at - 1);
    def->value = my_value(m);
    if (def->value == NULL)
        return;
    const struct my_node *bare = my_bare(def->value);
    def->value_is_moment =
        bare->kind == MY_MOMENT || (bare->kind == MY_CALL && my_function_kind(bare->name) == RB_FUNCTION_NOW);
    def->value_is_expression = !def->value_is_moment && !my_is_constant(bare);
    const char *text = my_write(m->rb, bare, NULL);
    bool closed = is_closed(m, def, bare);
    def->value_copies = closed && !def->value_is_expression;
    def->value_text = closed ? rb_format(m->rb, "(%s)", text) : text;
    struct rb_expr expr = {.n_columns = 0};
    struct rb_table nothing = {"", ""};
    if (!my_examine(m, &nothing, NULL, def->value, "the default", &expr))
        m->failed = true;
}

static void read_on_update(struct my *m, struct my_definition *def)
{
    def->on_update_at = my_place(m, m->at - 2);
    const struct my_node *node = my_value(m);
    if (node == NULL)
        return;
    bool moment = node->kind == MY_MOMENT || (node->kind == MY_CALL && strcmp(node->name, "now") == 0);
    if (!moment)
        my_fail(m, "sql-syntax", def->on_update_at, "Write ON UPDATE CURRENT_TIMESTAMP.",
                "ON UPDATE takes the time of the moment alone");
    def->on_update = my_write(m->rb, node, NULL);
}

/* [GENERATED ALWAYS] AS (…) [VIRTUAL | STORED | PERSISTENT] */
static void read_generated(struct my *m, const struct rb_table *table, struct my_definition *def, size_t token)
{
    def->generated = token + 1; /* token 0 is never it */
    def->generated_at = my_place(m, token);
    const char *text = my_closed_expr(m, table, "the generated column");
    const char *kind = my_take(m, "virtual")      ? " VIRTUAL"
                       : my_take(m, "stored")     ? " STORED"
                       : my_take(m, "persistent") ? " STORED"
                                                  : "";
    def->generated_text = rb_format(m->rb, " GENERATED ALWAYS AS %s%s", text, kind);
}

static void read_check(struct my *m, const struct rb_table *table, struct my_definition *def, size_t token)
{
    if (!def->check)
        def->check_at = my_place(m, token);
    def->check = true;
    const char *text = my_closed_expr(m, table, "the CHECK");
    def->check_text = rb_format(m->rb, "%s CHECK %s", def->check_text == NULL ? "" : def->check_text, text);
    if (my_take(m, "not enforced"))
        my_fail(m, "column-option", my_place(m, m->at - 2), "Leave the CHECK out.",
                "a CHECK that is not enforced is not known to MariaDB");
    (void)my_take(m, "enforced");
}

/* What a plan says itself, or what only some servers or engines know. */
static bool refuse_word(struct my *m)
{
    static const struct {
        const char *word, *hint, *what;
    } rows[] = {
        {"column_format", "Leave it out.", "COLUMN_FORMAT is of another storage engine"},
        {"storage", "Leave it out.", "STORAGE is of another storage engine"},
        {"engine_attribute", "Leave it out.", "ENGINE_ATTRIBUTE is no part of a plan"},
        {"secondary_engine_attribute", "Leave it out.", "SECONDARY_ENGINE_ATTRIBUTE is no part of a plan"},
        {"srid", "Add the column without it.", "SRID is not known to MariaDB in this place"},
        {"compressed", "Leave it out.", "COMPRESSED columns are MariaDB's alone"},
        {"without", "Leave it out.", "system versioning is no part of a plan"},
        {"with", "Leave it out.", "system versioning is no part of a plan"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (my_is(m, 0, rows[i].word)) {
            my_fail(m, "column-option", my_here(m), rows[i].hint, "%s", rows[i].what);
            return true;
        }
    }
    return false;
}

static bool read_key_word(struct my *m, const struct rb_table *table, struct my_definition *def, size_t token)
{
    if (my_take(m, "primary key") || my_take(m, "key")) {
        def->primary = true;
        def->primary_at = my_place(m, token);
    } else if (my_take(m, "unique")) {
        (void)my_take(m, "key");
        def->unique = true;
        def->unique_at = my_place(m, token);
    } else if (my_is(m, 0, "references")) {
        struct my_parent parent;
        def->references = token;
        (void)my_references(m, &parent);
    } else if (my_take(m, "generated always as") || my_take(m, "as")) {
        read_generated(m, table, def, token);
    } else {
        bool named = my_is(m, 0, "constraint");
        m->at += named;
        if (named && !my_is(m, 0, "check"))
            (void)my_name(m, "the name of a constraint");
        if (!my_take(m, "check")) {
            if (named)
                my_unexpected(m, "CHECK");
            return false;
        }
        read_check(m, table, def, token);
    }
    return true;
}

/* One of them; false when none stands here. */
static bool read_option(struct my *m, const struct rb_table *table, struct my_definition *def)
{
    size_t token = m->at;
    if (my_take(m, "not null")) {
        def->not_null = true;
        def->not_null_at = my_place(m, token);
    } else if (my_take(m, "null")) {
        def->null = true;
        def->not_null_at = my_place(m, token);
    } else if (my_take(m, "default")) {
        read_default(m, def);
    } else if (my_take(m, "on update")) {
        read_on_update(m, def);
    } else if (my_take(m, "auto_increment")) {
        def->auto_increment = true;
        def->auto_at = my_place(m, token);
    } else if (my_take(m, "comment")) {
        const char *text = my_text(m, "a text");
        def->comment = my_literal(m->rb, text == NULL ? "" : text);
    } else if (my_take(m, "collate")) {
        read_collation(m, def);
    } else if (my_take(m, "invisible")) {
        def->invisible = true;
    } else if (my_take(m, "visible")) {
        def->visible = true;
    } else {
        return !refuse_word(m) && read_key_word(m, table, def, token);
    }
    return true;
}

static void read_place(struct my *m, const struct rb_table *table, struct my_definition *def)
{
    struct rb_place at = my_here(m);
    if (my_take(m, "first"))
        def->place = " FIRST";
    else if (my_take(m, "after")) {
        const char *name = my_column(m, table);
        def->place = rb_format(m->rb, " AFTER %s", rb_quote(m->rb, name == NULL ? "" : name));
    }
    if (def->place[0] != '\0' && m->rb->neutral)
        rb_not_neutral(m->rb, at, "PostgreSQL puts a column at the end");
}

bool my_definition(struct my *m, const struct rb_table *table, bool with_place, struct my_definition *out)
{
    *out = (struct my_definition){.place = ""};
    out->at = my_here(m);
    out->name = my_column(m, table);
    read_type(m, out);
    while (!m->failed && read_option(m, table, out))
        continue;
    if (!m->failed && with_place)
        read_place(m, table, out);
    if (!m->failed && out->not_null && out->null)
        my_fail(m, "sql-syntax", out->not_null_at, "Write one of them.", "%s is both NULL and NOT NULL", out->name);
    if (!m->failed && (out->invisible || out->visible))
        my_fail(m, "stated-itself", my_place(m, m->at - 1),
                "Leave it out. A column that is added is invisible until the end of the last migrate phase; with "
                "```sql {visible} it is seen at once.",
                "which columns are invisible a plan says itself");
    return !m->failed;
}

const char *my_definition_sql(struct rb *rb, const struct my_definition *def)
{
    const char *text = rb_format(rb, "%s%s%s", def->type, def->generated_text == NULL ? "" : def->generated_text,
                                 def->not_null ? " NOT NULL"
                                 : def->null   ? " NULL"
                                               : "");
    if (def->value_text != NULL)
        text = rb_format(rb, "%s DEFAULT %s", text, def->value_text);
    if (def->on_update != NULL)
        text = rb_format(rb, "%s ON UPDATE %s", text, def->on_update);
    if (def->auto_increment)
        text = rb_format(rb, "%s AUTO_INCREMENT", text);
    if (def->comment != NULL)
        text = rb_format(rb, "%s COMMENT %s", text, def->comment);
    return text;
}
