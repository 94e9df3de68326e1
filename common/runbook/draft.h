/*
 * draft.h - a runbook while it is drafted from plain SQL: shared by draft.c (from SQL to text), draft_survey.c (what
 * becomes of each column), draft_statement.c and draft_alter.c (what goes into which phase), draft_text.c (how it is
 * written), recipes.c, draft_key.c, draft_numbers.c and draft_cast.c (what becomes several steps), proof.c (statements
 * that are run as they are).
 */
#ifndef ZDM_RUNBOOK_DRAFT_H
#define ZDM_RUNBOOK_DRAFT_H

#include "common/runbook/postgresql/tree.h"
#include "common/runbook/runbook.h"

enum rb_draft_phase {
    RB_DRAFT_EXPAND,
    RB_DRAFT_MIGRATE,
    RB_DRAFT_SWITCH,
    RB_DRAFT_CONTRACT,
    RB_DRAFT_PHASES,
    RB_DRAFT_PREFACE = RB_DRAFT_PHASES /* prose alone, in front of the phases */
};

/* Where in its phase a statement stands; of the same place, as written. */
enum rb_draft_place { RB_DRAFT_FRONT, RB_DRAFT_FIRST, RB_DRAFT_MAIN, RB_DRAFT_LATE, RB_DRAFT_LAST };

enum { RB_DRAFT_CONSTRAINTS = 256, RB_DRAFT_TABLES = 256 };

struct rb_draft_block {
    enum rb_draft_place place;
    struct rb_place at; /* of the statement that it comes from */
    size_t line;        /* of the phases' text at which it was written, from 0 */
    const char *sql;    /* a statement without its semicolon, or */
    const char *tail;   /* a comment behind it; NULL */
    const char *text;   /* fences as they are */
    struct rb_draft_block *next;
};

/* What the SQL says of a column as a whole. */
struct rb_draft_column {
    struct rb_table table;
    const char *name;
    bool added, filled, dropped, has_default, not_null;
    const PgQuery__TypeName *type; /* of a column that is added */
    bool is_wider;                 /* the SQL makes a bigint of it */
    bool may_be_left;              /* the one that takes its place has no value where this one's does not fit */
    const char *moved_to;          /* the column that takes its place: renamed, or of another type */
    struct rb_draft_column *next;
};

/* A constraint that the SQL adds, or drops. */
struct rb_draft_constraint {
    struct rb_table table;
    const char *name; /* for an added one without a name, the one that PostgreSQL would choose; or NULL */
    const PgQuery__Constraint *added; /* NULL: dropped */
};

struct rb_draft {
    struct rb *rb;
    const char *type;                   /* the present one of a column that is renamed, or gets another type; NULL */
    const struct zdm_draft_type *types; /* those of which are known */
    size_t n_types;
    bool asks;            /* for a type that would only be useful, too */
    const char *type_of;  /* the column that this is of, "users.name", once it is used (MySQL); NULL */
    bool guess;           /* text is taken where a type is not known, and said so */
    bool changes_writers; /* the application must be deployed in between */
    struct rb_place at;   /* of the statement that is being drafted */
    const char *subject;  /* for title and id: "Rename users.name to full_name" */
    const char *slug;     /* "users-rename-name" */
    bool anything;        /* there is something to run, whatever it is called */
    const char *missing;  /* the column whose type is not known */
    const char *failure, *hint;
    struct rb_place failed_at; /* line 0: nowhere */
    struct rb_draft_block *blocks[RB_DRAFT_PHASES];
    const char *prose[RB_DRAFT_PREFACE + 1]; /* paragraphs, or NULL */
    struct rb_draft_column *columns;
    struct rb_draft_constraint constraints[RB_DRAFT_CONSTRAINTS];
    size_t n_constraints;
    struct rb_table tables[RB_DRAFT_TABLES]; /* that statements are about, one each */
    size_t n_tables;
    const char *made[RB_DRAFT_TABLES]; /* names of views, functions, triggers and policies that the SQL creates */
    size_t n_made;
    bool renames_columns;
    bool schema_is_given; /* and so not the SQL's to say */
    const char *path;     /* the schema that it says first */
    const char *left_out; /* a statement for which there is nothing to do, and where it stands */
    struct rb_place left_out_at;
};

/* Adds a statement; one paragraph of prose (once, where it is the same); fences as they are. */
void rb_draft_sql(struct rb_draft *d, enum rb_draft_phase phase, enum rb_draft_place place, const char *fmt, ...)
    ZDM_PRINTF(4, 5);
void rb_draft_say(struct rb_draft *d, enum rb_draft_phase phase, const char *fmt, ...) ZDM_PRINTF(3, 4);
void rb_draft_text(struct rb_draft *d, enum rb_draft_phase phase, enum rb_draft_place place, const char *text);
/* The first failure is kept, with the place of the statement that is being drafted. */
void rb_draft_fail(struct rb_draft *d, const char *message, const char *hint);
void rb_draft_title(struct rb_draft *d, const char *slug, const char *subject);
/* The phases as Markdown, without front matter and title; and what stands in front of them. */
const char *rb_draft_phases(struct rb_draft *d);
const char *rb_draft_preface(struct rb_draft *d);
/* A DROP or ALTER TABLE without its IF EXISTS and CASCADE; the preface says that they were left out. */
const char *rb_draft_bare(struct rb_draft *d, const char *sql);
struct rb_draft_column *rb_draft_column(struct rb_draft *d, const struct rb_table *table, const char *name);

/* Schema and name, the runbook's schema filled in; false without a relation. */
bool rb_draft_table(struct rb *rb, const PgQuery__RangeVar *relation, struct rb_table *out);

/* ---- draft_survey.c, draft_statement.c: a round each; ctx is the draft ---- */

void rb_draft_survey(struct rb_statement *s, void *ctx);
/* SELECT set_config(…), which a dump begins with; NULL. */
const PgQuery__FuncCall *rb_draft_setting(const PgQuery__Node *node);
void rb_draft_statement(struct rb_statement *s, void *ctx);
/* Is it the table in which a framework notes its migrations? The preface says then that the row is left out. */
bool rb_draft_is_record(struct rb_draft *d, const char *table);

/* ---- draft_alter.c ---- */

void rb_draft_alter(struct rb_draft *d, struct rb_statement *s);
/* As fences that run it as it is; a failure of the draft where nothing is known of such a statement. */
void rb_draft_as_is(struct rb_draft *d, struct rb_statement *s);
/* draft_column.c and draft_constraint.c: a command each, text is it as a statement of its own. */
void rb_draft_add_column(struct rb_draft *d, struct rb_statement *s, const struct rb_table *table, const char *text,
                         const PgQuery__AlterTableCmd *cmd, size_t end);
void rb_draft_change_type(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd);
void rb_draft_set_default(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd,
                          const char *text);
void rb_draft_set_not_null(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd,
                           const char *text);
void rb_draft_add_constraint(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd,
                             const char *text);
void rb_draft_drop_constraint(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd,
                              const char *text);
/* Does a change to that type take a column of its own, as far as the SQL tells? */
bool rb_draft_is_long(struct rb_draft *d, const struct rb_table *table, const char *column,
                      const PgQuery__ColumnDef *def);
/* The present type of a column; NULL: not known. */
const char *rb_draft_type(const struct rb_draft *d, const struct rb_table *table, const char *column);

/* ---- draft_rows.c: UPDATE and DELETE ---- */

void rb_draft_rows(struct rb_draft *d, struct rb_statement *s);

/* ---- draft_follow.c: what names a column whose place another one takes ---- */

/* The index, or the command that adds a constraint, with the new columns in it; the text itself where it names none of
 * the old ones. */
const char *rb_draft_follow_index(struct rb_draft *d, const struct rb_table *table, struct rb_statement *s);
const char *rb_draft_follow_constraint(struct rb_draft *d, const struct rb_table *table,
                                       const PgQuery__Constraint *constraint, const char *text);
/* The constraint of that name that the script adds, or drops; NULL. */
const struct rb_draft_constraint *rb_draft_constraint(const struct rb_draft *d, const struct rb_table *table,
                                                      const char *name, bool added);
/* Does it name a column that the SQL adds and fills? */
bool rb_draft_names_filled(struct rb_draft *d, const struct rb_table *table, const ProtobufCMessage *m);
/* Does the constraint name such a column? Does it name no other, so that it goes out of sight with it? */
bool rb_draft_follows(struct rb_draft *d, const struct rb_table *table, const PgQuery__Constraint *constraint);
bool rb_draft_goes_along(struct rb_draft *d, const struct rb_table *table, const PgQuery__Constraint *constraint);
/* The column that takes its place; NULL. */
const char *rb_draft_moved(struct rb_draft *d, const struct rb_table *table, const char *column);
/* Does a foreign key of the script refer to it, or is it what keys are called? */
bool rb_draft_is_key(const struct rb_draft *d, const struct rb_table *table, const char *column);
/* Does it refer to a key that the script makes wider? */
bool rb_draft_is_reference(struct rb_draft *d, const struct rb_table *table, const char *column);

/* ---- recipes.c ---- */

void rb_recipe_column(struct rb_draft *d, const struct rb_table *table, const char *from, const char *to);
void rb_recipe_table(struct rb_draft *d, const struct rb_table *table, const char *to);
/* `using` is NULL or an expression. */
void rb_recipe_type(struct rb_draft *d, const struct rb_table *table, const char *column, PgQuery__TypeName *type,
                    const PgQuery__CollateClause *collation, const PgQuery__Node *using);

/* ---- draft_cast.c ---- */

/* The expression that makes the new value, guarded where values of the old column may not fit, with checks that name
 * those; itself where none can fail, or nothing is known of it. `using` is NULL: a cast by assignment. */
const char *rb_recipe_cast(struct rb_draft *d, const struct rb_table *table, const char *column,
                           PgQuery__TypeName *type, const PgQuery__Node *using, const char *expression);

/* ---- draft_numbers.c ---- */

/* Fences that let the new column of a key take over the sequence or identity of the old one, as it counts there. */
const char *rb_recipe_numbers(struct rb *rb, const struct rb_table *table, const char *from, const char *to);
/* The fence behind all others: an identity that was ALWAYS is so again. */
const char *rb_recipe_always(struct rb *rb, const struct rb_table *table, const char *from, const char *to);
/* The primary key goes over to the new column, without a moment that is without one. */
void rb_recipe_key(struct rb_draft *d, const struct rb_table *table, const char *from, const char *to);

/* ---- draft_key.c ---- */

/* A loop of a DO block with a record r: roles that may insert into the table may use the sequence, as with an identity
 * they could without asking. */
const char *rb_recipe_grants(struct rb *rb, const char *indent, const char *table, const char *sequence);
/* A column that counts: what serial and identity would do, without writing the table anew. */
void rb_recipe_numbered(struct rb_draft *d, const struct rb_table *table, const PgQuery__ColumnDef *def);
/* UNIQUE or PRIMARY KEY in the place of one that the same script drops: the index is there before that goes. */
void rb_recipe_swap(struct rb_draft *d, const struct rb_table *table, const PgQuery__Constraint *added,
                    const char *dropped);

/* New code may leave the column out before it is dropped. */
void rb_recipe_free(struct rb_draft *d, const struct rb_table *table, const char *column);
/* Old rows get a value, then NOT NULL. */
void rb_recipe_fill(struct rb_draft *d, const struct rb_table *table, const char *column, PgQuery__TypeName *type);

/* ---- proof.c ---- */

/* How a statement that is run as it is may be proven and taken back. */
struct rb_proof {
    const char *sql;   /* the statement, with schemas where as-is asks for them */
    const char *check; /* NULL: not known */
    const char *undo;  /* NULL: nothing takes it back */
    bool is_removal;   /* belongs into the contract phase */
};

/* proof_more.c: a kind each; false as below */
bool rb_proof_of_grant(struct rb_statement *s, struct rb_proof *p);
bool rb_proof_of_insert(struct rb_statement *s, struct rb_proof *p);
bool rb_proof_of_rename(struct rb_statement *s, struct rb_proof *p);
bool rb_proof_of_statistics(struct rb_statement *s, struct rb_proof *p);
bool rb_proof_of_alter(struct rb_statement *s, struct rb_proof *p);
bool rb_proof_of_publication(struct rb_statement *s, struct rb_proof *p);

/* The statement with the runbook's schema in front of the first token that is the name, where it has none. */
const char *rb_proof_with_schema(struct rb_statement *s, PgQuery__Node *const *names, size_t n);

/* False when nothing is known of such a statement but its text. */
bool rb_proof_of(struct rb_statement *s, struct rb_proof *out);
/* The three fences (two without a way back). */
const char *rb_as_is_fences(struct rb *rb, const struct rb_proof *proof);

#endif
