/*
 * catalog.h - what the database itself says of tables, columns and keys.
 *
 * A plan's tables have no schema: they are in the database of the session, and statements name them alone.
 *
 * "Identical" always means byte for byte (database.md 4): for texts NOT (CAST(a AS BINARY) <=> CAST(b AS BINARY)), both
 * in one character set first. The same comparison stands in triggers, batches and checks.
 */
#ifndef AGENT_ENGINE_MYSQL_CATALOG_CATALOG_H
#define AGENT_ENGINE_MYSQL_CATALOG_CATALOG_H

#include "agent/engine/mysql/session/session.h"
#include "common/plan/plan.h"

enum { MYDB_TYPE_MAX = 200, MYDB_KEY_MAX = 8 };

struct mydb_table {
    char name[ZDM_IDENTIFIER_MAX + 2];
    char engine[32];    /* "InnoDB" */
    char collation[64]; /* of the table */
    bool view, partitioned;
    uint64_t rows, data_bytes, index_bytes; /* what the statistics say */
};

/* How a value of the column is written as a literal, and compared. */
enum mydb_family {
    MYDB_INTEGER = 1, /* bare digits; signed or unsigned */
    MYDB_DECIMAL,
    MYDB_FLOAT,
    MYDB_TEXT,   /* '…' in utf8mb4, converted to the column's character set */
    MYDB_BINARY, /* X'…' */
    MYDB_TIME,   /* date, datetime, timestamp, time, year: quoted */
    MYDB_ENUM,   /* enum and set */
    MYDB_BIT,    /* as a number */
    MYDB_JSON,
    MYDB_NATIVE, /* MariaDB's uuid, inet6, inet4: quoted; ordered by the server in its own way */
    MYDB_OTHER   /* spatial and what is not known: no key, no copy but to the same type */
};

struct mydb_column {
    char name[ZDM_IDENTIFIER_MAX + 2];
    char base[32];            /* DATA_TYPE: "varchar" */
    char type[MYDB_TYPE_MAX]; /* COLUMN_TYPE: "varchar(40)", "bigint(20) unsigned"; for people: it may be cut */
    char *long_type;          /* all of one that was; NULL: it was not. mydb_column_type has either */
    enum mydb_family family;
    char charset[64], collation[64]; /* "" where it has none */
    uint64_t length;                 /* CHARACTER_MAXIMUM_LENGTH; 0: none */
    unsigned precision, scale, fraction;
    bool is_unsigned, not_null, auto_increment, generated, stored, invisible;
    bool explicit_default; /* default_sql says it; NOT NULL without one has none */
    char *default_sql;     /* as SQL ("'a'", "current_timestamp()"); NULL: NULL or none */
    char *comment;
    char *definition; /* all of it behind the name, as SHOW CREATE TABLE prints it, INVISIBLE left out, and strings
                       * written without backslashes, like all SQL of the agent; NULL where it cannot be had */
    unsigned ordinal;
};

/* ZDM_NOT_FOUND when there is no such table. */
enum zdm_code mydb_table_find(struct mydb_session *s, const char *name, struct mydb_table *out,
                              struct zdm_error *err) ZDM_CHECKED;
/* Refuses views and what is not InnoDB. */
enum zdm_code mydb_table_fit(const struct mydb_table *table, struct zdm_error *err) ZDM_CHECKED;

/* A missing one is no error. The caller frees with mydb_column_fini, found or not. */
enum zdm_code mydb_column_look(struct mydb_session *s, const char *table, const char *name, bool *found,
                               struct mydb_column *out, struct zdm_error *err) ZDM_CHECKED;
/* ZDM_NOT_FOUND when there is no such column. */
enum zdm_code mydb_column_find(struct mydb_session *s, const char *table, const char *name, struct mydb_column *out,
                               struct zdm_error *err) ZDM_CHECKED;
/* The same in another database. */
enum zdm_code mydb_column_of(struct mydb_session *s, const char *database, const char *table, const char *name,
                             struct mydb_column *out, struct zdm_error *err) ZDM_CHECKED;
void mydb_column_fini(struct mydb_column *column);
/* Its whole type: that of an enum may be long. */
const char *mydb_column_type(const struct mydb_column *column);

struct mydb_index {
    bool there, unique, ignored; /* ignored: MySQL's INVISIBLE, MariaDB's IGNORED */
    char type[16];               /* "BTREE" */
    size_t n;
    char columns[16][ZDM_IDENTIFIER_MAX + 2]; /* "" for an expression */
};
enum zdm_code mydb_index_look(struct mydb_session *s, const char *table, const char *name, struct mydb_index *out,
                              struct zdm_error *err) ZDM_CHECKED;

/* The key of a walk: the primary key, else a unique index over whole columns that cannot be NULL; of families that have
 * an order and a canonical text (no float, JSON or OTHER). */
struct mydb_key {
    size_t n;
    char index[ZDM_IDENTIFIER_MAX + 2]; /* "PRIMARY" */
    struct mydb_column columns[MYDB_KEY_MAX];
    char *signature; /* columns, types, collations and the server's release: what a cursor means */
    char *known_by;  /* columns and base types, for people: what rows that are kept are known by */
};
enum zdm_code mydb_key_find(struct mydb_session *s, const struct mydb_table *table, struct mydb_key *out,
                            struct zdm_error *err) ZDM_CHECKED;
/* The one over exactly these columns; ZDM_REFUSED when it is no key any more. */
enum zdm_code mydb_key_known_by(struct mydb_session *s, const struct mydb_table *table, const char *known_by,
                                struct mydb_key *out, struct zdm_error *err) ZDM_CHECKED;
void mydb_key_fini(struct mydb_key *key);

/* Appends a condition that is true iff a and c (SQL expressions with the types of these columns) are not byte for byte
 * the same; never NULL. */
void mydb_put_differs(struct zdm_buffer *b, const char *a, const struct mydb_column *of_a, const char *c,
                      const struct mydb_column *of_c);
/* Appends a value of the column, as a cursor has it, as a literal: binary ones in hexadecimal (HEX(c)), bits as a
 * number (c + 0), enums and sets by their labels; those become their number, by which the server orders them. */
void mydb_put_value(struct zdm_buffer *b, const struct mydb_column *column, const char *text, size_t n);
/* Appends the column's zero value: what a NOT NULL column holds when nothing better is known. False: none known. */
bool mydb_put_zero(struct zdm_buffer *b, const struct mydb_column *column);
/* Eight hexadecimal digits of a migration's id, for names. The same as the compiler's (common/base). */
void mydb_short_name(char out[9], const char *migration);

#endif
