/*
 * shapes.h - every shape of table under every kind of writer, whatever the engine: how statements are made of numbers,
 * and the migration that runs beside them.
 *
 * A shape says how the key and the value of a row are made from numbers: expressions over x.g and x.n. A writer is a
 * handful of statements over any shape. ZDM_SHAPES_MS: how long each of them writes at least (default: until the walk
 * is over and SHAPES_WRITES_MIN statements were made).
 */
#ifndef TESTS_SUPPORT_SHAPES_H
#define TESTS_SUPPORT_SHAPES_H

#include "common/base/buffer.h"
#include "tests/support/engine_rig.h"

enum { SHAPES_ROWS = 4096, SHAPES_WRITES_MIN = 40, SHAPES_BATCH = 700, SHAPES_KEYS = 3, SHAPES_STATEMENTS = 5 };

struct shape {
    const char *name;
    const char *table;                   /* as SQL */
    const char *create;                  /* behind CREATE TABLE <table>; ";;" and statements that follow */
    const char *key[SHAPES_KEYS], *keys; /* quoted names; expressions */
    const char *source, *value;          /* quoted name; expression */
    const char *type;                    /* of the target */
    const char *expr;                    /* target := this over t., or NULL for a copy in both directions */
    const char *expr_new;                /* over NEW. */
    const char *target;                  /* its name as it is, NULL: "target" */
    const char *read;                    /* name of the source as it is, NULL: as `source` */
    const char *plain;                   /* name of the table as it is, NULL: as `table` */
    const char *set;                     /* "a = x.g, b = …": the key in an UPDATE, where that has no rows */
    bool mariadb;                        /* no other server has such a type */
    int since;                           /* the first release of PostgreSQL that has it */
};

/* $t table, $k key columns, $K their expressions, $e the key set to them, $s source, $v its value, $n the new column,
 * $j the join of a MERGE, $m the key of the MERGE's source; <g> and <n> numbers, <h> a number that no key has. A
 * statement that writes $n is new code's, and only where the sync goes both ways. */
struct shape_writer {
    const char *name, *setup;
    const char *sql[SHAPES_STATEMENTS];
};

const char *shape_target(const struct shape *s);
void shape_put_name(struct zdm_buffer *b, const struct rig *r, const char *name);
void shape_put_statement(struct zdm_buffer *b, const struct rig *r, const struct shape *s, const char *sql, unsigned g,
                         unsigned h, unsigned n);
/* Each statement of it up to ";;" by `exec`. plain: a "$" in it is its own. */
void shape_exec_parts(struct rig *r, const struct shape *s, const char *parts, bool plain,
                      void (*exec)(struct rig *r, const char *sql));
/* The next statement of a writer. new_code: may it write the new column? */
const char *shape_statement(const struct shape *s, const struct shape_writer *w, bool new_code, unsigned *seed);

/* A plan of three steps on the table: ADD COLUMN, SYNC_INSTALL, BACKFILL; accepted. */
void shape_plan(struct rig *r, const struct shape *s, size_t number);
/* Carries it out; whoever does not get a lock at once gets it later, as the agent's core has it. *new_code becomes true
 * when the triggers stand. */
void shape_migrate(struct rig *r, bool *new_code);

#endif
