/*
 * catalog.h - what the database itself says of tables, columns and keys.
 *
 * "Identical" always means byte for byte (database.md 4): IS DISTINCT FROM where a type's equality is identity, else
 * record_image_ne. The same comparison stands in triggers, batches and checks.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_CATALOG_CATALOG_H
#define AGENT_ENGINE_POSTGRESQL_CATALOG_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/engine/postgresql/session/session.h"
#include "common/base/limits.h"
#include "common/plan/plan.h"

enum { PGSQL_TYPE_MAX = 200, PGSQL_KEY_MAX = 8 };

struct pgsql_table {
    char oid[16];
    char kind; /* relkind: r, p, … */
    bool partition;
    bool inherits;   /* has or is an inheritance child that is no partition */
    bool hides_rows; /* row level security applies to this session */
    char schema[ZDM_IDENTIFIER_MAX + 1], name[ZDM_IDENTIFIER_MAX + 1];
};

struct pgsql_column {
    char name[ZDM_IDENTIFIER_MAX + 1];
    char number[8];
    char type[PGSQL_TYPE_MAX];         /* with modifier, as SQL */
    char base[ZDM_IDENTIFIER_MAX + 1]; /* typname below a domain */
    char type_oid[16];
    char category; /* typcategory of the base type */
    bool is_enum;
    int typmod;
    char collation[16];  /* oid, "0" for none */
    bool exact;          /* its equality is identity */
    bool not_null;       /* NULL cannot be written */
    bool may_hold_nulls; /* … but is in rows that were there before: the NOT NULL is NOT VALID (PostgreSQL 18) */
    bool checked;        /* of a domain with constraints: not every value of its base type fits */
    bool generated;      /* GENERATED … STORED, or identity ALWAYS */
    char *default_expr;  /* its own, else that of its type: a domain has one for all its columns. NULL: none */
    char *comment;
};

/* ZDM_NOT_FOUND when there is no such table. */
enum zdm_code pgsql_table_find(struct pgsql_session *s, const struct zdm_table *table, struct pgsql_table *out,
                               struct zdm_error *err) ZDM_CHECKED;
/* Refuses what is no ordinary or partitioned table, and inheritance. */
enum zdm_code pgsql_table_plain(const struct pgsql_table *table, struct zdm_error *err) ZDM_CHECKED;
/* The same, and row level security that hides rows. */
enum zdm_code pgsql_table_fit(const struct pgsql_table *table, struct zdm_error *err) ZDM_CHECKED;

/* ZDM_NOT_FOUND when there is no such column. */
enum zdm_code pgsql_column_find(struct pgsql_session *s, const struct pgsql_table *table, const char *name,
                                struct pgsql_column *out, struct zdm_error *err) ZDM_CHECKED;
/* The same, but a missing one is no error. */
enum zdm_code pgsql_column_look(struct pgsql_session *s, const struct pgsql_table *table, const char *name, bool *found,
                                struct pgsql_column *out, struct zdm_error *err) ZDM_CHECKED;
void pgsql_column_fini(struct pgsql_column *column);

/* The key of a walk: the primary key, else a unique index over columns that cannot be NULL. */
struct pgsql_key {
    size_t n;
    char names[PGSQL_KEY_MAX][ZDM_IDENTIFIER_MAX + 1];
    char types[PGSQL_KEY_MAX][PGSQL_TYPE_MAX];
    bool exact[PGSQL_KEY_MAX];
    char *signature; /* columns, types, collations and their versions: what a cursor means */
    char *known_by;  /* columns and types, for people: what rows that are kept are known by */
};
/* The same one as long as the table's columns and keys are the same. */
enum zdm_code pgsql_key_find(struct pgsql_session *s, const struct pgsql_table *table, struct pgsql_key *out,
                             struct zdm_error *err) ZDM_CHECKED;
/* The one over exactly these columns; ZDM_REFUSED when it is no key any more. */
enum zdm_code pgsql_key_known_by(struct pgsql_session *s, const struct pgsql_table *table, const char *known_by,
                                 struct pgsql_key *out, struct zdm_error *err) ZDM_CHECKED;
void pgsql_key_fini(struct pgsql_key *key);

/* Of the row `a` of pg_attribute: does no row hold NULL there? Since PostgreSQL 18 attnotnull is set for a NOT NULL
 * that is NOT VALID, too. */
#define PGSQL_NO_NULLS                                                                                                 \
    "(a.attnotnull AND NOT EXISTS (SELECT FROM pg_constraint nn WHERE nn.conrelid = a.attrelid AND nn.contype = 'n'"   \
    " AND nn.conkey = ARRAY[a.attnum] AND NOT nn.convalidated))"

/* Appends "schema"."name". */
void pgsql_put_table(struct zdm_buffer *b, const struct zdm_table *table);
/* Appends a condition that is true iff a and b (SQL of the column's type) are not byte for byte the same; never NULL.
 */
void pgsql_put_differs(struct zdm_buffer *b, const char *a, const char *c, bool exact);
/* Appends the column's zero value: what a NOT NULL column holds when nothing better is known. False: none known. */
bool pgsql_put_zero(struct zdm_buffer *b, const struct pgsql_column *column);

/* "zdm:<migration>", the comment that marks what a migration made; does a comment say so? It may be a person's comment
 * with the mark on a last line of its own. */
void pgsql_owner_mark(char out[ZDM_NAME_MAX + 8], const char *migration);
bool pgsql_is_owner(const char *comment, const char *migration);
/* Eight hexadecimal digits of a migration's id, for the names of what has no room for all of it. */
void pgsql_short_name(char out[9], const char *migration);

#endif
