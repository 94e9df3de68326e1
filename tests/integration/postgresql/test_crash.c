/*
 * test_crash.c - the server is killed with -9 at random moments of a walk that is not idempotent: a counter in each row
 * proves that every row was changed exactly once, and DDL is either there with its journal or not at all.
 */
#include "tests/integration/postgresql/rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROWS = 20000, KILLS = 10, BATCH = 150 };

static void sleep_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* What the core does after an answer was lost: connect anew until it works, and read the journal. */
static void recover(struct rig *r)
{
    for (int i = 0; i < 400; i++) {
        struct agent_result *result = rig_do(r, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0, 0);
        bool ok = result->outcome == AGENT_OK;
        assert_true(ok || result->outcome == AGENT_RETRY);
        agent_result_free(result);
        if (ok) {
            rig_reload(r);
            return;
        }
        sleep_us(25000);
    }
    fail_msg("the server did not come back");
}

static void plan_counter(struct rig *r)
{
    rig_sql(r,
            "CREATE TABLE c (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, pad text DEFAULT repeat('x', 50));"
            "INSERT INTO c SELECT g FROM generate_series(1, %d) g",
            ROWS);
    rig_plan(r, "c", 1);
    struct zdm_derivation *d = rig_derive(r, 1, ZDM_ACTION_BACKFILL, "n", "t.\"n\" + 1", NULL, NULL, 0);
    d->idempotent = false;
    rig_accept(r, 1);
}

static void every_row_is_changed_exactly_once_across_kills_of_the_server(void **state)
{
    struct rig *r = *state;
    unsigned seed = (unsigned)time(NULL);
    plan_counter(r);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    print_message("seed %u\n", seed);
    unsigned kills = 0, unknown = 0, batches = 0;
    while (!r->walked) {
        uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, BATCH);
        bool kill_now = kills < KILLS && ++batches % (ROWS / BATCH / (KILLS + 1)) == 0;
        if (kill_now) {
            sleep_us(rand_r(&seed) % 6000);
            test_pg_kill(r->pg);
            kills++;
        }
        struct agent_result *result = rig_await(r, op);
        unknown += result->outcome == AGENT_UNKNOWN;
        assert_true(result->outcome == AGENT_OK || result->outcome == AGENT_UNKNOWN || result->outcome == AGENT_RETRY);
        agent_result_free(result);
        if (kill_now) {
            test_pg_resume(r->pg);
            recover(r);
        }
    }
    print_message("%u kills, %u lost answers\n", kills, unknown);
    PQreset(r->super);
    assert_int_equal(kills, KILLS);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM c WHERE n <> 1"), 0);
    assert_int_equal(rig_number(r, "SELECT rows_done FROM zdm.migration"), ROWS);
}

struct terminator {
    char dsn[512];
    atomic_bool stop;
};

static void *terminate_sessions(void *arg)
{
    struct terminator *t = arg;
    unsigned seed = 42;
    PGconn *conn = PQconnectdb(t->dsn);
    while (!atomic_load(&t->stop)) {
        PQclear(PQexec(
            conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'zdm-agent test'"
                  " AND datname = current_database() AND query ~ 'COMMIT|UPDATE'"));
        sleep_us(2000 + rand_r(&seed) % 5000);
    }
    PQfinish(conn);
    return NULL;
}

static void every_row_is_changed_exactly_once_though_sessions_are_terminated(void **state)
{
    struct rig *r = *state;
    pthread_t thread;
    struct terminator t = {.stop = false};
    plan_counter(r);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    snprintf(t.dsn, sizeof t.dsn, "%s", test_pg_dsn(r->pg, "postgres", r->database));
    pthread_create(&thread, NULL, terminate_sessions, &t);
    unsigned lost = 0;
    while (!r->walked) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 400);
        bool ok = result->outcome == AGENT_OK;
        lost += !ok;
        agent_result_free(result);
        if (!ok) {
            recover(r);
        }
        if (lost > 40) {
            atomic_store(&t.stop, true);
        }
    }
    atomic_store(&t.stop, true);
    pthread_join(thread, NULL);
    assert_true(lost > 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM c WHERE n <> 1"), 0);
}

static void ddl_and_its_journal_are_one_across_a_kill(void **state)
{
    struct rig *r = *state;
    unsigned seed = 7;
    rig_sql(r, "CREATE TABLE c (id int PRIMARY KEY)");
    rig_plan(r, "c", 1);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "x", NULL, "ALTER TABLE c ADD COLUMN x int");
    rig_accept(r, 1);
    uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_DDL, 1, 0);
    sleep_us(rand_r(&seed) % 20000);
    test_pg_kill(r->pg);
    agent_result_free(rig_await(r, op));
    test_pg_resume(r->pg);
    recover(r);
    PQreset(r->super);
    long there = rig_number(r, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'c'::regclass AND attname = 'x'");
    assert_int_equal(r->journal_step, there + 1);
    rig_inspect(r, 1, there ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_DDL, 1, there ? AGENT_ALREADY : AGENT_OK);
}

static void restarted_server_is_not_worked_on_before_connect(void **state)
{
    struct rig *r = *state;
    plan_counter(r);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    test_pg_kill(r->pg);
    rig_run(r, AGENT_RUN_BATCH, 1, AGENT_RETRY);
    test_pg_resume(r->pg);
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 10);
    assert_string_equal(agent_outcome_name(result->outcome), "retry");
    assert_non_null(strstr(result->error.message, "connect anew"));
    agent_result_free(result);
    recover(r);
    rig_run(r, AGENT_RUN_BATCH, 1, AGENT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(every_row_is_changed_exactly_once_across_kills_of_the_server),
        RIG_TEST(every_row_is_changed_exactly_once_though_sessions_are_terminated),
        RIG_TEST(ddl_and_its_journal_are_one_across_a_kill),
        RIG_TEST(restarted_server_is_not_worked_on_before_connect),
    };
    return cmocka_run_group_tests(tests, rig_group_setup_durable, rig_group_teardown);
}
