/*
 * ddl.h - what the files of the schema's kinds share: the piece of DDL at hand, who may stand in which phase, names
 * that PostgreSQL would choose, and what is known of tables, types and constraints so far.
 *
 *   alter.c       ALTER TABLE: one command after the other
 *   column.c      ADD COLUMN, with all that may stand behind it
 *   not_null.c    SET NOT NULL, DROP NOT NULL
 *   drop.c        DROP COLUMN, DROP TABLE, DROP INDEX
 *   constraint.c  ADD CONSTRAINT (CHECK, FOREIGN KEY), VALIDATE, DROP CONSTRAINT
 *   unique.c      ADD CONSTRAINT (UNIQUE, PRIMARY KEY), through an index
 *   default.c     SET DEFAULT, DROP DEFAULT
 *   type.c        ALTER COLUMN … TYPE, CREATE TYPE, ALTER TYPE … ADD VALUE
 *   storage.c     storage parameters, statistics
 *   table.c       CREATE TABLE
 *   partition.c   ATTACH and DETACH PARTITION
 *   index.c       CREATE INDEX, REINDEX
 *   comment.c     COMMENT ON
 *   order.c       what may not come before or behind what
 */
#ifndef ZDM_RUNBOOK_POSTGRESQL_DDL_H
#define ZDM_RUNBOOK_POSTGRESQL_DDL_H

#include "common/runbook/postgresql/tree.h"

/* A whole statement, or one command of an ALTER TABLE. */
struct rb_ddl {
    struct rb_statement *s;
    struct rb_table table;
    const PgQuery__AlterTableCmd *cmd; /* NULL for a whole statement */
    size_t from;                       /* byte of the statement where it begins: ALTER for the first command */
    size_t body;                       /* of the command itself */
    const char *source;                /* as people see it */
};

/* ---- ddl.c ---- */

/* The whole statement, about that table. */
struct rb_ddl rb_ddl_whole(struct rb_statement *s, const struct rb_table *table);
/* A step of it, of short or long lock class; the text of the lock follows from the action. column may be NULL. */
struct rb_step *rb_ddl_step(const struct rb_ddl *d, enum zdm_step_kind kind, enum zdm_action action,
                            enum zdm_lock_class lock, const char *column);
/* Marks the steps behind `before` (NULL: all) of the phase as other than what was written. */
void rb_ddl_rewritten(const struct rb_ddl *d, const struct rb_step *before);
void rb_step_sql(struct rb_step *step, const char *sql);
void rb_step_inverse(struct rb_step *step, enum zdm_inverse_kind inverse, const char *sql);
void rb_step_object(struct rb_step *step, const char *object);

enum rb_ddl_kind {
    RB_DDL_ADD_COLUMN,
    RB_DDL_ADD_CONSTRAINT,
    RB_DDL_ADD_PRIMARY_KEY,
    RB_DDL_VALIDATE,
    RB_DDL_DROP_CONSTRAINT,
    RB_DDL_SET_NOT_NULL,
    RB_DDL_DROP_NOT_NULL,
    RB_DDL_SET_DEFAULT,
    RB_DDL_DROP_DEFAULT,
    RB_DDL_TYPE,
    RB_DDL_STORAGE,
    RB_DDL_COMMENT,
    RB_DDL_CREATE_TABLE,
    RB_DDL_CREATE_TYPE,
    RB_DDL_ADD_VALUE,
    RB_DDL_CREATE_INDEX,
    RB_DDL_REINDEX,
    RB_DDL_DROP_COLUMN,
    RB_DDL_DROP_TABLE,
    RB_DDL_DROP_INDEX,
    RB_DDL_ATTACH,
    RB_DDL_DETACH
};

/* May that kind stand in this phase? False with a finding at `at`. */
bool rb_ddl_phase(const struct rb_ddl *d, enum rb_ddl_kind kind, struct rb_place at);
/* The same with the word behind `from` as place. */
struct rb_place rb_ddl_at_word(const struct rb_ddl *d, const char *word);

/* The column, or NULL with a finding at `at` when the plan knows that it is not there: dropped, or not among those of a
 * table that the plan creates. */
struct rb_column *rb_ddl_column(const struct rb_ddl *d, const char *name, struct rb_place at);

/* What an expression of the schema (CHECK, default, index) reads; functions of pg_catalog or with a schema in front.
 * False with findings. `what` names it for people. */
bool rb_ddl_expr(struct rb_statement *s, const PgQuery__Node *node, const char *what, struct rb_expr *out);
/* Names of a list of String nodes. */
const char **rb_ddl_names(struct rb *rb, PgQuery__Node *const *nodes, size_t n);
/* "a", "b": quoted, with commas. */
/* " COLLATE …" of a column, or "". */
const char *rb_collation_text(struct rb *rb, const PgQuery__CollateClause *clause);
const char *rb_ddl_quoted_list(struct rb *rb, const char *const *names, size_t n);
/* Schema and name of a list of String nodes (one, two or, with a database, three); false with a finding. */
bool rb_ddl_qualified(struct rb_statement *s, const PgQuery__Node *list, struct rb_place at, struct rb_table *out);

/* 'text', in quotes. */
const char *rb_literal(struct rb *rb, const char *text);

/* ---- names.c ---- */

/* table_columns_label as PostgreSQL makes it: 63 bytes, the longer part shortened; a number behind it when `taken`. */
const char *rb_choose_name(struct rb *rb, const struct rb_table *table, const char *columns, const char *label);
/* The columns of a name, joined. */
const char *rb_join_names(struct rb *rb, const char *const *names, size_t n);
/* What PostgreSQL calls the columns of an index, expressions included, joined. */
const char *rb_index_columns_name(struct rb *rb, const PgQuery__IndexStmt *index);

/* ---- model of objects (order.c) ---- */

enum rb_object_kind { RB_OBJECT_TABLE, RB_OBJECT_TYPE, RB_OBJECT_CONSTRAINT, RB_OBJECT_INDEX };

struct rb_object {
    enum rb_object_kind kind;
    struct rb_table table; /* of a constraint its table; of an index its schema and no name */
    const char *name;      /* of a constraint, an index; NULL */
    bool created;          /* by this runbook */
    bool validated;        /* a constraint that was created, or validated since */
    bool is_check;
    bool partitioned; /* a table that was created so */
    struct rb_step *dropped;
    const char *const *columns; /* that a constraint names */
    size_t n_columns;
    struct rb_place at;
    struct rb_object *next;
};

/* What is known of it, made when there is nothing yet. name is NULL for tables and types. */
struct rb_object *rb_object_of(struct rb *rb, enum rb_object_kind kind, const struct rb_table *table, const char *name);
/* NULL when nothing is known. */
struct rb_object *rb_object_find(struct rb *rb, enum rb_object_kind kind, const struct rb_table *table,
                                 const char *name);
bool rb_object_names(const struct rb_object *object, const char *column);
/* Is the table one that this runbook creates? */
bool rb_is_created(struct rb *rb, const struct rb_table *table);
/* The sync that has the column as its target or (`source`) reads it, and that has not ended where the statement stands;
 * NULL for none. */
struct rb_sync *rb_live_sync(const struct rb_ddl *d, const char *column, bool source);
/* Remembers an index that the runbook creates; false with a finding when there is one of that name. */
bool rb_index_remember(const struct rb_ddl *d, const char *name, const char *const *columns, size_t n_columns,
                       bool unique);
/* Judges a statement that was compiled by what came before it: its first step is behind `before`. */
void rb_judge_order(struct rb_statement *s, const struct rb_step *before);

/* ---- the commands of ALTER TABLE ---- */
void rb_ddl_add_column(const struct rb_ddl *d);
/* serial and its like: an integer, a sequence and a default in one word. */
bool rb_ddl_is_serial(const PgQuery__TypeName *type);
void rb_ddl_set_not_null(const struct rb_ddl *d);
void rb_ddl_drop_not_null(const struct rb_ddl *d);
void rb_ddl_drop_column(const struct rb_ddl *d);
void rb_ddl_add_constraint(const struct rb_ddl *d);
void rb_ddl_validate(const struct rb_ddl *d);
void rb_ddl_drop_constraint(const struct rb_ddl *d);
void rb_ddl_default(const struct rb_ddl *d);
void rb_ddl_type(const struct rb_ddl *d);
void rb_ddl_storage(const struct rb_ddl *d);
void rb_ddl_column_storage(const struct rb_ddl *d);
void rb_ddl_attach(const struct rb_ddl *d);
void rb_ddl_detach(const struct rb_ddl *d);
/* Everything else: refused, with what to write. */
void rb_ddl_refuse(const struct rb_ddl *d);

/* A constraint, written in ADD CONSTRAINT or behind a column (`column`, else NULL), as its steps. */
void rb_ddl_constraint(const struct rb_ddl *d, const PgQuery__Constraint *constraint, const char *column);
void rb_ddl_unique(const struct rb_ddl *d, const PgQuery__Constraint *constraint, const char *column);
/* The name that was written, or the one that PostgreSQL would choose; NULL with a finding when it is taken. */
const char *rb_ddl_constraint_name(const struct rb_ddl *d, const PgQuery__Constraint *constraint, const char *columns,
                                   const char *label);
/* The index of CREATE INDEX with that name, built concurrently; NULL when it cannot be written. */
const char *rb_ddl_index_sql(struct rb *rb, const PgQuery__Node *index, const struct rb_table *table, const char *name);
struct rb_step *rb_ddl_index_step(const struct rb_ddl *d, const char *name, const char *sql);
/* May a unique index be on that column here? False with a finding; a warning where it is kept equal to another. */
bool rb_ddl_judge_unique(const struct rb_ddl *d, const struct rb_column *column, struct rb_place at);
/* Removes the triggers of that sync, in a step of its own. */
void rb_ddl_end_sync(const struct rb_ddl *d, struct rb_sync *sync);
/* May the column get a default here? Ends the sync that fills it where that may end; else false with a finding. */
bool rb_ddl_may_have_default(const struct rb_ddl *d, const struct rb_column *column, struct rb_place at);
/* DROP COLUMN, DROP TABLE of either engine, once it is known that it is just that. */
void rb_ddl_hide_column(const struct rb_ddl *d, const char *name, struct rb_place at);
void rb_ddl_hide_table(struct rb_statement *s, const struct rb_table *table, struct rb_place at);
/* VALIDATE of that constraint. */
struct rb_step *rb_ddl_add_validate(const struct rb_ddl *d, const char *constraint, const char *does);
/* Does each row that exists have a value, as far as the plan knows? A warning where nothing fills new ones. */
bool rb_ddl_may_be_not_null(const struct rb_ddl *d, const struct rb_column *column, struct rb_place at);
/* The four steps that make a column NOT NULL. */
void rb_ddl_not_null_steps(const struct rb_ddl *d, struct rb_column *column);

/* ---- whole statements ---- */
void rb_compile_create_table(struct rb_statement *s, PgQuery__CreateStmt *create);
void rb_compile_create_enum(struct rb_statement *s, PgQuery__CreateEnumStmt *create);
void rb_compile_alter_enum(struct rb_statement *s, PgQuery__AlterEnumStmt *alter);
void rb_compile_comment(struct rb_statement *s, PgQuery__CommentStmt *comment);
void rb_compile_drop(struct rb_statement *s, PgQuery__DropStmt *drop);
void rb_compile_reindex(struct rb_statement *s, PgQuery__ReindexStmt *reindex);

/* column.c: does each clause of the column say its thing once, and nothing that a plan would leave out? False with
 * findings. */
bool rb_ddl_column_clauses(struct rb_statement *s, const PgQuery__ColumnDef *def);

#endif
