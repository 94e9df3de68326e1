/*
 * test_stall.c - nobody queues behind the short parts of hide, way back and purge: while a transaction holds the table,
 * one of its partitions or the parent of its foreign key for seconds, the application's own statements go on.
 *
 * The budget of an attempt is 90 ms here. What is measured above that is the noise of a shared machine.
 */
#include "tests/integration/postgresql/rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BUDGET_MS = 90, STALL_MAX_MS = 200, ATTEMPTS = 14, ROUNDS = 5 };

static long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct traffic {
    char dsn[512];
    atomic_bool stop;
    atomic_long worst_ms, writes;
    char error[256];
    pthread_t thread;
};

/* Each statement names columns that are there all the time. */
static void *write_on(void *arg)
{
    static const char *const sql[] = {"UPDATE users SET age = age + 1 WHERE id = 1", "SELECT age FROM users",
                                      "INSERT INTO parents VALUES (clock_timestamp()::text)"};
    struct traffic *t = arg;
    PGconn *conn = PQconnectdb(t->dsn);
    for (unsigned i = 0; !atomic_load(&t->stop); i++) {
        long begun = now_ms();
        PGresult *res = PQexec(conn, sql[i % 3]);
        long took = now_ms() - begun;
        if (PQresultErrorField(res, PG_DIAG_SQLSTATE) != NULL) {
            snprintf(t->error, sizeof t->error, "%s", PQresultErrorMessage(res));
        }
        PQclear(res);
        if (took > atomic_load(&t->worst_ms)) {
            atomic_store(&t->worst_ms, took);
        }
        atomic_fetch_add(&t->writes, 1);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    PQfinish(conn);
    return NULL;
}

static void begin_traffic(struct rig *r, struct traffic *t)
{
    *t = (struct traffic){.stop = false};
    snprintf(t->dsn, sizeof t->dsn, "%s", test_pg_dsn(r->pg, "app_user", r->database));
    pthread_create(&t->thread, NULL, write_on, t);
}

static void end_traffic(struct traffic *t)
{
    atomic_store(&t->stop, true);
    pthread_join(t->thread, NULL);
    assert_string_equal(t->error, "");
    assert_true(atomic_load(&t->writes) > 100);
}

/* Tries the part as the core does; the longest stall of the application meanwhile. */
static long attempts(struct rig *r, struct traffic *t, enum agent_run run, uint32_t step)
{
    atomic_store(&t->worst_ms, 0);
    for (int i = 0; i < ATTEMPTS; i++) {
        r->lock_wait_ms = i % 2 == 0 ? 0 : BUDGET_MS;
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, run, step, 0);
        if (result->outcome != AGENT_LOCK && result->outcome != AGENT_RETRY) {
            fail_msg("%s got past the holder: %s %s", agent_run_name(run), agent_outcome_name(result->outcome),
                     result->error.message);
        }
        agent_result_free(result);
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    return atomic_load(&t->worst_ms);
}

/* The part while somebody holds what `hold` reads; then without. The noise of a shared machine can only add to a stall,
 * so the best of some rounds counts. */
static void held(struct rig *r, struct traffic *t, const char *hold, enum agent_run run, uint32_t step)
{
    char sql[128];
    long best = STALL_MAX_MS + 1;
    PGconn *holder = rig_connect(r, "app_user");
    snprintf(sql, sizeof sql, "BEGIN; SELECT count(*) FROM %s", hold);
    rig_exec(holder, sql);
    for (int round = 0; round < ROUNDS && best > STALL_MAX_MS; round++) {
        long worst = attempts(r, t, run, step);
        best = worst < best ? worst : best;
    }
    rig_exec(holder, "COMMIT");
    PQfinish(holder);
    if (best > STALL_MAX_MS) {
        fail_msg("%s stalled the application for more than %d ms while %s was held", agent_run_name(run), STALL_MAX_MS,
                 hold);
    }
    r->lock_wait_ms = 1000;
    rig_run(r, run, step, AGENT_OK);
}

static void plan(struct rig *r)
{
    rig_plan(r, "users", 4);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "full_name", NULL, "ALTER TABLE users ADD COLUMN full_name text");
    rig_copy(r, 2, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_ddl(r, 3, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL);
    rig_ddl(r, 4, ZDM_ACTION_PURGE_COLUMN, "name", "zdm_h_name", NULL);
    rig_step(r, 3)->sync_step = rig_step(r, 4)->sync_step = 2;
    r->floor = 1;
    r->purge_now = true;
    rig_accept(r, 1);
}

static void migrate(struct rig *r)
{
    r->lock_wait_ms = 1000;
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 2, AGENT_OK);
}

static void restore(struct rig *r)
{
    for (int parts = 0; parts < 10; parts++) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_RESTORE, 3, 0);
        bool over = result->outcome == AGENT_ALREADY;
        agent_result_free(result);
        if (over) {
            return;
        }
    }
}

/* Every short part there is, each against the holder. */
static void there_and_back(struct rig *r, struct traffic *t, const char *hold, bool parent)
{
    migrate(r);
    held(r, t, hold, AGENT_RUN_HIDE, 3);
    held(r, t, hold, AGENT_RUN_UNHIDE, 3);
    restore(r);
    if (!parent) {
        held(r, t, hold, AGENT_RUN_UNHIDE, 3); /* what was proven */
    }
    rig_undo(r, 3);
    if (!parent) {
        held(r, t, hold, AGENT_RUN_UNDO_SYNC, 2);
    }
    rig_undo(r, 2);
    rig_undo(r, 1);
    if (!parent) {
        rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
        held(r, t, hold, AGENT_RUN_UNDO_DDL, 1);
        rig_undo(r, 1);
        held(r, t, hold, AGENT_RUN_PURGE_LEFTOVERS, 0);
        migrate(r);
        rig_run(r, AGENT_RUN_HIDE, 3, AGENT_OK);
        held(r, t, hold, AGENT_RUN_PURGE, 4);
    }
}

static void table_that_is_held_stalls_nobody(void **state)
{
    struct rig *r = *state;
    struct traffic t;
    rig_sql(r, "CREATE TABLE parents (name text PRIMARY KEY); INSERT INTO parents VALUES ('a'), ('b');"
               "CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL UNIQUE REFERENCES parents, age int);"
               "INSERT INTO users (name, age) VALUES ('a', 1), ('b', 2)");
    plan(r);
    begin_traffic(r, &t);
    there_and_back(r, &t, "users", false);
    end_traffic(&t);
}

static void parent_of_a_foreign_key_that_is_held_stalls_nobody(void **state)
{
    struct rig *r = *state;
    struct traffic t;
    rig_sql(r, "CREATE TABLE parents (name text PRIMARY KEY); INSERT INTO parents VALUES ('a'), ('b');"
               "CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL REFERENCES parents, age int);"
               "INSERT INTO users (name, age) VALUES ('a', 1), ('b', 2)");
    plan(r);
    begin_traffic(r, &t);
    /* ADD FOREIGN KEY lets readers of the parent be, and waits for its writers. */
    there_and_back(r, &t, "(SELECT 1) AS x; LOCK TABLE parents IN ROW EXCLUSIVE MODE", true);
    end_traffic(&t);
}

static void partition_that_is_held_stalls_nobody(void **state)
{
    struct rig *r = *state;
    struct traffic t;
    rig_sql(r, "CREATE TABLE parents (name text PRIMARY KEY);"
               "CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL CHECK (name <> ''), age int) PARTITION BY"
               " RANGE (id); CREATE TABLE users_1 PARTITION OF users FOR VALUES FROM (1) TO (100);"
               "CREATE TABLE users_2 PARTITION OF users FOR VALUES FROM (100) TO (200);"
               "INSERT INTO users (name, age) VALUES ('a', 1), ('b', 2)");
    plan(r);
    begin_traffic(r, &t);
    there_and_back(r, &t, "users_2", false);
    end_traffic(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(table_that_is_held_stalls_nobody),
        RIG_TEST(parent_of_a_foreign_key_that_is_held_stalls_nobody),
        RIG_TEST(partition_that_is_held_stalls_nobody),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
