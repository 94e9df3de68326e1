/*
 * suite.h - the contract of struct agent_engine as tests: what the agent's core relies on, whatever database is behind.
 *
 * A back-end starts a server, makes a database for each test and says a few statements in its dialect; the suite knows
 * no engine by name. What one engine alone has stands in tests/integration.
 */
#ifndef TESTS_CONTRACT_ENGINE_SUITE_H
#define TESTS_CONTRACT_ENGINE_SUITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/engine/engine.h"

struct backend {
    const char *name;
    enum zdm_engine engine;
    enum zdm_code (*open)(const struct agent_engine_config *config, struct agent_engine *out, struct zdm_error *err);
    void (*start)(void);
    void (*stop)(void);
    /* A database of its own with table w: id integer, primary key; a, a text of 40 at most; rows 1 to 100. Returns the
     * agent's connection string, borrowed until the next one. */
    const char *(*fresh)(void);
    /* Of the last database, as an administrator: the number that a query answers. */
    long (*number)(const char *sql);
    /* Ends every connection of the agent to it. */
    void (*cut)(void);
    /* Restarts the server; NULL: it is not ours to restart. */
    void (*restart)(void);
    const char *schema;     /* of w, as the plan says it */
    const char *sleeps;     /* a query for a check that takes 30 s */
    const char *sleepers;   /* a query that counts the sessions in it */
    const char *add_column; /* statement that adds the column c to w */
    const char *columns;    /* a query that counts the columns of w called c */
};

/* Runs the suite; the number of failures. */
int run_suite(const struct backend *backend);

#endif
