/*
 * tree.h - PostgreSQL's parse trees as this compiler uses them: parse, walk, find a token, write SQL again.
 *
 * Trees are protobuf-c messages of libpg_query; walking goes by their descriptors, so that a new kind of node in the
 * grammar is seen (and refused) rather than overlooked.
 */
#ifndef ZDM_RUNBOOK_POSTGRESQL_TREE_H
#define ZDM_RUNBOOK_POSTGRESQL_TREE_H

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include "common/runbook/compile.h"

struct rb_token {
    int token; /* PgQuery__Token */
    size_t start, end;
    bool keyword; /* one that cannot be a name as it stands */
};

/* One statement inside a fence. */
struct rb_statement {
    struct rb *rb;
    struct rb_phase *phase;
    struct rb_fence *fence;
    size_t base;     /* where its text begins in the fence */
    const char *sql; /* its text, without the semicolon */
    struct rb_token *tokens;
    size_t n_tokens;
    PgQuery__Node *node; /* NULL for MySQL's, whose tokens have places alone */
};

/* Parses one statement; the tree lives as long as the compilation. NULL with the error's message (memory of the
 * compilation) and byte offset. */
PgQuery__ParseResult *rb_parse(struct rb *rb, const char *sql, const char **out_message, size_t *out_offset);
/* Tokens of a text, comments left out. False when it cannot be scanned (message and offset as above). */
bool rb_scan(struct rb *rb, const char *sql, struct rb_token **out_tokens, size_t *out_n, const char **out_message,
             size_t *out_offset);
void rb_trees_free(struct rb *rb);

/* Calls visit for each message below m (not m itself), one level deep; visit recurses itself where it wants. */
typedef void rb_visit(const ProtobufCMessage *m, void *ctx);
void rb_children(const ProtobufCMessage *m, rb_visit *visit, void *ctx);

/* A copy that the caller may change; it lives as long as the compilation. */
PgQuery__Node *rb_node_copy(struct rb *rb, const PgQuery__Node *node);
/* Replaces a string field of a tree. */
void rb_set_string(char **field, const char *value);
/* The SQL of a whole statement, NULL when what is written does not parse to the same tree again. */
const char *rb_deparse(struct rb *rb, PgQuery__Node *statement);
/* The SQL of an expression, likewise. */
const char *rb_deparse_expr(struct rb *rb, PgQuery__Node *expr);
/* The SQL of a type. */
const char *rb_deparse_type(struct rb *rb, PgQuery__TypeName *type);
/* Do two nodes say the same, positions aside? */
bool rb_same_node(struct rb *rb, const PgQuery__Node *a, const PgQuery__Node *b);

/* The place of a byte offset of the statement. */
struct rb_place rb_at(const struct rb_statement *s, int location);
/* The place of its first token. */
struct rb_place rb_at_start(const struct rb_statement *s);
/* The first token at or behind byte `from` whose text is the word (keywords in any case, identifiers as PostgreSQL
 * folds them); the statement's start when there is none. */
struct rb_place rb_at_word(const struct rb_statement *s, size_t from, const char *word);
/* The last token before byte `limit` that is the word; the first one anywhere when there is none. */
struct rb_place rb_at_word_before(const struct rb_statement *s, size_t limit, const char *word);
/* Byte offset of the n-th command of an ALTER TABLE: behind its n-th top-level comma. */
size_t rb_command_offset(const struct rb_statement *s, size_t n);
size_t rb_command_end(const struct rb_statement *s, size_t n);
bool rb_token_is(const struct rb_statement *s, const struct rb_token *token, const char *word);

/* The text of a String node, "" for any other. */
const char *rb_string(const PgQuery__Node *node);
/* Schema and name of a relation, the runbook's schema filled in; false with a finding for what is no plain table. */
bool rb_relation(struct rb_statement *s, const PgQuery__RangeVar *relation, struct rb_table *out);
/* May the plan change a table of that name: one of the application's, and not dropped before? False with a finding. */
bool rb_may_change(struct rb_statement *s, const struct rb_table *table, struct rb_place at);
/* Types, operator classes and tables without a schema that are not PostgreSQL's own get the runbook's schema. */
void rb_qualify_types(struct rb_statement *s, ProtobufCMessage *m);

/* ---- expr.c, expr_write.c ---- */

struct rb_expr {
    const char **columns; /* that it reads, each once */
    size_t n_columns, columns_cap;
    bool is_volatile; /* another value each time */
    bool is_now;      /* the time of the moment */
    bool uses_zone;   /* depends on TimeZone, DateStyle or the like */
    enum rb_queries {
        RB_QUERIES_REFUSED,
        RB_QUERIES_QUALIFIED, /* each column in them with its table in front */
        RB_QUERIES_ANY
    } queries; /* set by who asks: may there be subqueries? */
    bool has_subquery;
    int subquery_at;
    struct rb_expr
        *own;       /* what its subqueries read of the changed table, in whichever rows; NULL: they do not name it */
    bool own_whole; /* and that may be any column of it */
    int own_at;
    const char *session; /* what in it says who is connected, or of which transaction; NULL: nothing */
    int session_at;
};

/* What an expression over one row of `table` reads and whether it may be in a plan; false with findings. `what` names
 * it for people: "the expression of full_name". */
bool rb_expr_examine(struct rb_statement *s, const PgQuery__RangeVar *table, const PgQuery__Node *node,
                     const char *what, struct rb_expr *out);
bool rb_expr_reads(const struct rb_expr *expr, const char *column);
/* Adds a column that it reads, once. */
void rb_expr_add(struct rb *rb, struct rb_expr *expr, const char *column);
/* Writes an examined expression with each column as prefix."column" ("t", "NEW", "OLD"); NULL when it cannot be
 * written so that it parses to the same again. */
const char *rb_expr_write(struct rb *rb, const PgQuery__Node *node, const char *prefix);
/* The column when the expression is just that, else NULL. */
const char *rb_expr_column(const PgQuery__Node *node);
bool rb_is_system_column(const char *name);
/* Is it a constant, cast or not? */
bool rb_is_constant(const PgQuery__Node *node);

/* ---- subquery.c ---- */

struct rb_scope {
    const struct rb_scope *outer;
    const PgQuery__SelectStmt *select;
};
enum rb_meaning {
    RB_MEANS_ROW,   /* a column of the row that is changed */
    RB_MEANS_INNER, /* of something that the subquery reads */
    RB_MEANS_EITHER /* without the catalogue nobody can tell */
};
enum rb_meaning rb_scope_meaning(const struct rb_scope *scope, const PgQuery__RangeVar *changed, const char *schema,
                                 const PgQuery__ColumnRef *ref);
/* Rewrites a reference that means the row, with its table in front; and: was it? */
void rb_name_outer_row(const PgQuery__ColumnRef *ref);
bool rb_names_outer_row(const PgQuery__ColumnRef *ref);
/* What is wrong with such a subquery ("has a subquery with WITH"); NULL when nothing is. */
const char *rb_subquery_refused(const PgQuery__SelectStmt *select);
/* What makes its answer another one each time ("has a subquery with LIMIT …"); NULL when nothing does. */
const char *rb_subquery_any(const PgQuery__SelectStmt *select, bool in_exists);
void rb_subquery_schema(const struct rb *rb, const PgQuery__RangeVar *table);

/* ---- own_table.c: notes in out->own what a subquery reads of the table that is changed ---- */
void rb_own_table(struct rb *rb, const PgQuery__RangeVar *changed, const PgQuery__RangeVar *table, struct rb_expr *out);
void rb_own_join(struct rb *rb, const PgQuery__RangeVar *changed, const PgQuery__JoinExpr *join, struct rb_expr *out);
void rb_own_column(struct rb *rb, const PgQuery__RangeVar *changed, const struct rb_scope *scope,
                   const PgQuery__ColumnRef *ref, struct rb_expr *out);

/* ---- functions.c: what pg_catalog offers (PostgreSQL 15) ---- */
enum rb_function_kind {
    RB_FUNCTION_UNKNOWN,
    RB_FUNCTION_IMMUTABLE,
    RB_FUNCTION_STABLE, /* same arguments and settings, same value */
    RB_FUNCTION_VOLATILE,
    RB_FUNCTION_NOW,
    RB_FUNCTION_SESSION, /* says something of session, transaction or server */
    RB_FUNCTION_SEQUENCE,
    RB_FUNCTION_AGGREGATE, /* window functions too */
    RB_FUNCTION_SET
};
enum rb_function_kind rb_function_kind(const char *name);
/* The version that brought it, of those behind 15; 0: none that is known. */
int rb_function_since(const char *name);
/* What to write instead of an unknown one: `other`, or what is true of one that came later. */
const char *rb_function_hint(struct rb *rb, const char *name, const char *other);
bool rb_type_is_built_in(const char *name);
bool rb_operator_class_is_built_in(const char *name);

/* ---- settings.c: the setting of the session that the answer depends on, and what to write instead; NULL for none ----
 */
const char *rb_setting_of_call(const char *name, const PgQuery__FuncCall *call, const char **out_hint);
const char *rb_setting_of_cast(const PgQuery__TypeCast *cast, const char **out_hint);

/* ---- may_fail.c ---- */
/* The name of a type of pg_catalog that is no array, as it stands there; NULL for any other. */
const char *rb_type_known(const PgQuery__TypeName *type);

/* Reads a fence statement by statement; what cannot be parsed is a finding. Returns how many there are. */
typedef void rb_on_statement(struct rb_statement *s, void *ctx);
size_t rb_sql_each(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence, rb_on_statement *on_statement,
                   void *ctx);

/* ---- the kinds of statement ---- */
void rb_compile_alter(struct rb_statement *s, PgQuery__AlterTableStmt *alter);
void rb_compile_index(struct rb_statement *s, PgQuery__IndexStmt *index);
void rb_compile_update(struct rb_statement *s, PgQuery__UpdateStmt *update);
void rb_compile_delete(struct rb_statement *s, PgQuery__DeleteStmt *stmt);
void rb_compile_check(struct rb_statement *s);
/* The query of a check, with schemas; NULL with findings where it is none. */
const char *rb_check_sql(struct rb_statement *s);
void rb_refuse(struct rb_statement *s);

#endif
