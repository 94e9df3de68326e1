/*
 * parse.h - MySQL's and MariaDB's SQL as this compiler reads it: shared by the files of this folder.
 *
 *   token.c         text -> tokens, with the values of texts and names; what is read differently somewhere is refused
 *   split.c         tokens -> statements; the bodies of routines stay whole
 *   cursor.c        walking over the tokens of a statement, findings at their places, names
 *   expr.c, value.c an expression -> a small tree of pieces
 *   examine.c       what a tree reads, and whether a plan may hold it; functions.c: which functions are known
 *   write.c         trees and tokens -> SQL in the one form that a plan has
 *   definition.c    what stands behind a column's name: type, default, NOT NULL, …
 *   table.c         CREATE TABLE
 *   alter.c         ALTER TABLE, action by action; column.c, change.c, index.c, key.c, drop.c: the actions
 *   rows.c          UPDATE and DELETE; query.c: checks, waits; as_is.c: what runs as it is written
 *   refuse.c        everything else: why not, and what to write
 *   draft*.c        plain SQL -> a whole runbook, which refusals show, too
 *
 * The grammar is our own and small. A statement is read as a whole or refused; nothing is skipped, nothing guessed.
 * struct rb_statement and struct rb_ddl (tree.h, ddl.h) are filled without a tree of PostgreSQL's, so that places,
 * phases, steps and the order of things are judged by the same code.
 */
#ifndef ZDM_RUNBOOK_MYSQL_PARSE_H
#define ZDM_RUNBOOK_MYSQL_PARSE_H

#include "common/runbook/postgresql/ddl.h"
#include "common/runbook/mysql/mysql.h"

enum my_kind {
    MY_WORD,     /* a keyword or a name without quotes */
    MY_NAME,     /* `name` */
    MY_TEXT,     /* '…' or "…", adjacent ones joined */
    MY_NUMBER,   /* 1, 1.5, 1e3 */
    MY_BYTES,    /* x'41', 0x41, b'1', 0b1: as written */
    MY_VARIABLE, /* @a, @@a, ?: refused by whoever meets it */
    MY_SIGN,     /* an operator or a mark, as written */
    MY_END
};

struct my_token {
    enum my_kind kind;
    size_t start, end;   /* bytes of the text that was scanned */
    const char *value;   /* of a text or name: what it means; else as written */
    const char *charset; /* of a text: its introducer with the underscore, or "N"; NULL */
};

/* Tokens of a text, the last one MY_END. False with a finding (at `fence`, whose text it is). */
bool my_scan(struct rb *rb, const struct rb_fence *fence, const char *text, struct my_token **out, size_t *out_n);

/* One statement while it is read. */
struct my {
    struct rb *rb;
    struct rb_statement s; /* for places, phase and fence; its node is NULL */
    const struct my_token *tokens;
    size_t n, at; /* tokens[n].kind is MY_END */
    bool failed;  /* a finding was made: whoever sees it gives up */
    size_t depth; /* of an expression */
};

/* ---- split.c ---- */
typedef void my_on_statement(struct my *m, void *ctx);
/* Returns how many statements there are. */
size_t my_each(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence, my_on_statement *on_statement, void *ctx);

/* ---- cursor.c ---- */
const struct my_token *my_peek(const struct my *m, size_t ahead);
struct rb_place my_place(const struct my *m, size_t token);
struct rb_place my_here(const struct my *m);
bool my_is(const struct my *m, size_t ahead, const char *word);      /* a word, in any case; never a quoted name */
bool my_is_sign(const struct my *m, size_t ahead, const char *sign); /* a sign */
/* Goes over it when it is there. Words of several: "not null". */
bool my_take(struct my *m, const char *words);
bool my_take_sign(struct my *m, const char *sign);
/* A finding, and the statement is given up. */
void my_fail(struct my *m, const char *rule, struct rb_place at, const char *hint, const char *fmt, ...)
    ZDM_PRINTF(5, 6);
/* "x stands where … is expected"; expected is for people. */
void my_unexpected(struct my *m, const char *expected);
void my_need(struct my *m, const char *words);
void my_need_sign(struct my *m, const char *sign);
void my_need_end(struct my *m);
/* A name, quoted or not; NULL with a finding. `what` is for people: "a column". */
const char *my_name(struct my *m, const char *what);
const char *my_text(struct my *m, const char *what);
/* Where only quotes may be, and the text is not plain. */
void my_refuse_text(struct my *m, size_t token);
/* A table, without a database in front. */
bool my_table(struct my *m, struct rb_table *out);
/* The spelling that the plan uses for a column: MySQL does not tell upper from lower case in them. */
const char *my_column_name(struct rb *rb, const struct rb_table *table, const char *name);
/* A column's name at hand. */
const char *my_column(struct my *m, const struct rb_table *table);
/* From behind a "(" to behind its ")". */
void my_skip_parentheses(struct my *m);
/* The text between two tokens as it was written. */
const char *my_source(const struct my *m, size_t from, size_t end);

/* ---- expr.c ---- */

enum my_node_kind {
    MY_COLUMN,   /* name */
    MY_LITERAL,  /* text, number, bytes, TRUE, FALSE */
    MY_NULL,     /* NULL */
    MY_PAREN,    /* (one) */
    MY_AND,      /* a AND b */
    MY_OPERATOR, /* name is it in upper case: "=", "IS NULL", "LIKE", "CASE", … */
    MY_CALL,     /* name in lower case */
    MY_MOMENT,   /* CURRENT_TIMESTAMP and its like; name in lower case */
    MY_CAST,     /* CAST, CONVERT, BINARY */
    MY_QUERY     /* a subquery */
};

struct my_node;

/* Written text, or a child. */
struct my_part {
    const char *text;
    struct my_node *child;
    struct my_part *next;
};

struct my_node {
    enum my_node_kind kind;
    const char *name;
    size_t token;     /* the first one of it */
    const char *sure; /* of a CASE: "" when it has an ELSE */
    struct my_part *parts, *last;
};

/* NULL with a finding. */
struct my_node *my_expr(struct my *m);
/* One value without an operator behind it: what stands behind DEFAULT. */
struct my_node *my_value(struct my *m);
/* The i-th child, or NULL. */
const struct my_node *my_child(const struct my_node *node, size_t i);
/* "(expression)" over columns of the table, as a plan has it; "()" with a finding. `what` is for people. */
const char *my_closed_expr(struct my *m, const struct rb_table *table, const char *what);
/* Without parentheses around it. */
const struct my_node *my_bare(const struct my_node *node);
/* The expression of a value that is a constant: literals, NULL, a sign in front of a number. */
bool my_is_constant(const struct my_node *node);
const char *my_column_of(const struct my_node *node);

/* ---- examine.c, functions.c ---- */

/* What it reads, over one row of the table (alias may be NULL); false with findings. */
bool my_examine(struct my *m, const struct rb_table *table, const char *alias, const struct my_node *node,
                const char *what, struct rb_expr *out);
/* Of the schema (default, index, CHECK, generated column): functions that give another value are marked. */
bool my_is_never_null(const struct my_node *node);
enum rb_function_kind my_function_kind(const char *name);

/* ---- may_fail.c: warns of what in a trigger may make the application's statement fail ---- */
struct rb_update;
void my_update_may_fail(struct my *m, const struct rb_update *u);

/* ---- write.c ---- */

/* prefix "t", "NEW", "OLD"; NULL: columns without anything in front. */
const char *my_write(struct rb *rb, const struct my_node *node, const char *prefix);
const char *my_literal(struct rb *rb, const char *text);
/* Can the text be written in quotes? */
bool my_is_plain(const char *text);
/* Tokens from `from` to before `end` in a plan's form: comments gone, texts without backslashes. */
const char *my_write_tokens(struct rb *rb, const struct my_token *tokens, size_t from, size_t end);

/* ---- definition.c ---- */

struct my_definition {
    const char *name;
    struct rb_place at; /* of the name */
    const char *type;   /* as a plan has it: "varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" */
    const char *base;   /* its first word in lower case */
    struct rb_place type_at;
    bool has_charset, has_collation;
    bool not_null, null, auto_increment, primary, unique, invisible, visible;
    struct rb_place not_null_at, default_at, auto_at, unique_at, primary_at, generated_at, check_at, on_update_at;
    const struct my_node *value; /* the default; NULL */
    const char *value_text;      /* as a plan has it */
    bool value_is_moment, value_is_expression;
    bool value_copies;     /* a column that is added with it is one that MySQL fills by copying the table */
    const char *on_update; /* "CURRENT_TIMESTAMP(3)" */
    const char *comment;   /* literal */
    size_t generated;      /* token of it, 0: none */
    const char *generated_text;
    bool check;
    const char *check_text; /* " CHECK (…)", of several one behind the other */
    size_t references;      /* token of it; 0: none */
    const char *place;      /* " FIRST", " AFTER `x`", "" */
};

/* The name and what stands behind it. `with_place`: FIRST and AFTER may. */
bool my_definition(struct my *m, const struct rb_table *table, bool with_place, struct my_definition *out);
/* Behind the name, as a plan has it: without PRIMARY KEY, UNIQUE, REFERENCES and CHECK. */
const char *my_definition_sql(struct rb *rb, const struct my_definition *def);
bool my_is_type(const char *word);

/* ---- the statements ---- */

/* An action of ALTER TABLE: d for steps, m stands behind its first words. */
struct my_action {
    struct my *m;
    struct rb_ddl d;
    size_t from; /* its first token */
};

void my_alter_table(struct my *m);
void my_create_table(struct my *m);
void my_create_index(struct my *m);
void my_drop_table(struct my *m);
void my_drop_index(struct my *m);
void my_update(struct my *m);
void my_delete(struct my *m);
void my_check(struct my *m);
void my_refuse(struct my *m);
void my_rename_table(struct my *m);

/* column.c, change.c */
void my_add_column(struct my_action *a);
void my_change_column(struct my_action *a, bool with_new_name);
void my_alter_column(struct my_action *a);
void my_rename_column(struct my_action *a);
void my_comment(struct my_action *a, const char *literal);
/* The column, or NULL with a finding when the plan knows that it is not there. */
struct rb_column *my_known_column(struct my_action *a, const char *name, struct rb_place at);

/* index.c, key.c */
struct my_index {
    const char *name;
    const char *columns_sql; /* "(`a`, `b`(10) DESC)" with what stands behind it */
    const char **columns;
    size_t n_columns;
    bool unique, fulltext, spatial;
    struct rb_place at;
};
/* [name] [USING …] (parts) options. */
bool my_index_parts(struct my *m, const struct rb_table *table, struct my_index *out);
void my_add_index(struct my_action *a, struct my_index *index);
void my_add_foreign_key(struct my_action *a, const char *name, const char *column);
/* REFERENCES p (a, b) ON …; false with a finding. */
struct my_parent {
    struct rb_table table;
    const char **columns;
    size_t n;
    const char *sql; /* "REFERENCES `p` (`a`) ON DELETE CASCADE" */
};
bool my_references(struct my *m, struct my_parent *out);
/* "(a, b)": names; false with a finding. */
bool my_columns(struct my *m, const struct rb_table *table, const char ***out, size_t *out_n);
const char *my_quoted_list(struct rb *rb, const char *const *names, size_t n);

/* drop.c */
void my_drop_column(struct my_action *a);
void my_drop_key(struct my_action *a, const char *name, struct rb_place at);
void my_lift_constraint(struct my_action *a, const char *name, struct rb_place at, bool check);

/* ---- steps ---- */

struct rb_ddl my_ddl(struct my *m, const struct rb_table *table);
struct rb_step *my_step(const struct rb_ddl *d, enum zdm_step_kind kind, enum zdm_action action,
                        enum zdm_lock_class lock, const char *column);
/* IF [NOT] EXISTS, as on PostgreSQL: a note, or refused in front of a DROP. */
bool my_if_not_exists(struct my *m, const char *what);
void my_refuse_if_exists(struct my *m);

/* ---- draft.c: a round each; ctx is the struct rb_draft ---- */
struct rb_draft;
const char *my_draft_bare(struct rb_draft *d, const char *sql); /* rb_draft_bare of this dialect */
void my_draft_survey(struct my *m, void *ctx);
void my_draft_statement(struct my *m, void *ctx);
/* The runbook that does what the SQL says, for a hint; the words where none can be drafted. */
const char *my_recipe(struct rb *rb, const char *sql, const char *words);

#endif
