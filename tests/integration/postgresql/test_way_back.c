/*
 * test_way_back.c - a whole plan forward, back and forward again, driven as the agent's core does, also while the
 * server is killed with -9 at random moments: the schema is as before, and no value is lost.
 */
#include "tests/integration/postgresql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROWS = 3000, STEPS = 11, KILLS = 12 };

/* What each step runs; walks begin with their bound. */
static const enum agent_run forward[STEPS] = {
    AGENT_RUN_DDL, AGENT_RUN_INSTALL_SYNC, AGENT_RUN_BATCH, AGENT_RUN_CHECK_CHUNK, AGENT_RUN_DDL,  AGENT_RUN_VALIDATE,
    AGENT_RUN_DDL, AGENT_RUN_DDL,          AGENT_RUN_BATCH, AGENT_RUN_INDEX_BUILD, AGENT_RUN_HIDE,
};

static void inverse(struct rig *r, uint32_t step, const char *sql)
{
    rig_step(r, step)->inverse = ZDM_INVERSE_SQL;
    rig_step(r, step)->inverse_sql = strdup(sql);
}

/* The flagship: full_name in place of name, NOT NULL, indexed; and status filled in on the way. */
static void flagship(struct rig *r)
{
    rig_sql(r,
            "CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL UNIQUE CHECK (name <> ''), status text);"
            "COMMENT ON COLUMN users.name IS 'the name';"
            "INSERT INTO users (name, status) SELECT 'n' || g, nullif('s' || g %% 3, 's0') FROM generate_series(1, %d) "
            "g",
            ROWS);
    rig_plan(r, "users", STEPS);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "full_name", NULL, "ALTER TABLE users ADD COLUMN full_name text");
    rig_copy(r, 2, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_copy(r, 3, ZDM_ACTION_BACKFILL, "full_name", "name");
    rig_copy(r, 4, ZDM_ACTION_CHECK_COMPARE, "full_name", "name");
    rig_ddl(r, 5, ZDM_ACTION_ADD_CHECK, "full_name", "full_name_n",
            "ALTER TABLE users ADD CONSTRAINT full_name_n CHECK (full_name IS NOT NULL) NOT VALID");
    inverse(r, 5, "ALTER TABLE users DROP CONSTRAINT IF EXISTS full_name_n");
    rig_ddl(r, 6, ZDM_ACTION_VALIDATE, NULL, "full_name_n", "ALTER TABLE users VALIDATE CONSTRAINT full_name_n");
    rig_ddl(r, 7, ZDM_ACTION_SET_NOT_NULL, "full_name", NULL, "ALTER TABLE users ALTER COLUMN full_name SET NOT NULL");
    inverse(r, 7, "ALTER TABLE users ALTER COLUMN full_name DROP NOT NULL");
    rig_ddl(r, 8, ZDM_ACTION_DROP_CONSTRAINT, NULL, "full_name_n",
            "ALTER TABLE users DROP CONSTRAINT IF EXISTS full_name_n");
    rig_derive(r, 9, ZDM_ACTION_BACKFILL, "status", "coalesce(t.\"status\", 'none')", NULL, NULL, 0);
    rig_step(r, 9)->derivation->assignments[0].added = false;
    rig_step(r, 9)->inverse = ZDM_INVERSE_IMAGES;
    rig_step(r, 9)->object = strdup("undo_0badcafe");
    rig_ddl(r, 10, ZDM_ACTION_CREATE_INDEX, NULL, "by_full_name",
            "CREATE UNIQUE INDEX CONCURRENTLY by_full_name ON users (full_name)");
    rig_ddl(r, 11, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL);
    rig_step(r, 11)->sync_step = 2;
    r->floor = 1;
    r->lock_wait_ms = 1000;
    rig_accept(r, 1);
}

static void sleep_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static void recover(struct rig *r)
{
    for (int i = 0; i < 400; i++) {
        struct agent_result *result = rig_do(r, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0, 0);
        bool ok = result->outcome == AGENT_OK;
        agent_result_free(result);
        if (ok) {
            rig_reload(r);
            return;
        }
        sleep_us(25000);
    }
    fail_msg("the server did not come back");
}

struct killer {
    unsigned seed;
    int kills, countdown; /* operations until the next kill; 0: never */
};

/* One operation, with a kill in the middle when it is time. False: look again. */
static bool try_op(struct rig *r, struct killer *k, enum agent_op_kind kind, enum agent_run run, uint32_t step,
                   struct agent_result **out)
{
    bool kill_now = k->kills > 0 && --k->countdown <= 0;
    uint64_t op = rig_begin(r, kind, run, step, 150);
    if (kill_now) {
        sleep_us(rand_r(&k->seed) % 8000);
        test_pg_kill(r->pg);
    }
    struct agent_result *result = rig_await(r, op);
    bool ok = result->outcome == AGENT_OK || result->outcome == AGENT_ALREADY;
    if (!ok && !(kill_now && (result->outcome == AGENT_RETRY || result->outcome == AGENT_UNKNOWN))) {
        fail_msg("%s of step %u: %s: %s", agent_run_name(run), (unsigned)step, agent_outcome_name(result->outcome),
                 result->error.message);
    }
    if (kill_now) {
        k->kills--;
        k->countdown = 1 + (int)(rand_r(&k->seed) % 9);
        test_pg_resume(r->pg);
        recover(r);
    }
    if (ok && out != NULL) {
        *out = result;
    } else {
        agent_result_free(result);
    }
    return ok;
}

static void run_forward(struct rig *r, struct killer *k, uint32_t step)
{
    for (int tries = 0; tries < 200 && r->journal_step == step; tries++) {
        struct agent_result *look = NULL;
        if (!try_op(r, k, AGENT_OP_INSPECT, AGENT_RUN_NONE, step, &look)) {
            continue;
        }
        enum agent_proof proof = look->proof;
        agent_result_free(look);
        bool walk = forward[step - 1] == AGENT_RUN_BATCH || forward[step - 1] == AGENT_RUN_CHECK_CHUNK;
        enum agent_run run = proof == AGENT_PROOF_DONE       ? AGENT_RUN_STEP_DONE
                             : proof == AGENT_PROOF_LEFTOVER ? AGENT_RUN_INDEX_DROP_INVALID
                             : walk && r->bound == NULL      ? AGENT_RUN_BOUND
                                                             : forward[step - 1];
        (void)try_op(r, k, AGENT_OP_RUN, run, step, NULL);
    }
    assert_int_equal(r->journal_step, step + 1);
}

static void run_back(struct rig *r, struct killer *k, uint32_t step)
{
    for (int tries = 0; tries < 400; tries++) {
        struct agent_result *look = NULL;
        r->looking_back = true;
        bool ok = try_op(r, k, AGENT_OP_INSPECT, AGENT_RUN_NONE, step, &look);
        r->looking_back = false;
        if (!ok) {
            continue;
        }
        bool undone = look->proof == AGENT_PROOF_DONE;
        enum agent_run next = undone ? AGENT_RUN_STEP_BACK : look->next_run;
        agent_result_free(look);
        if (try_op(r, k, AGENT_OP_RUN, next, step, NULL) && undone) {
            return;
        }
    }
    fail_msg("step %u is never undone", (unsigned)step);
}

static void there_and_back(struct rig *r, struct killer *k, uint32_t last)
{
    for (uint32_t step = 1; step <= last; step++) {
        run_forward(r, k, step);
    }
    for (uint32_t step = r->journal_step > STEPS ? STEPS : r->journal_step; step >= 1; step--) {
        run_back(r, k, step);
    }
    assert_int_equal(r->journal_step, 1);
}

static void drop_leftovers(struct rig *r)
{
    r->purge_now = true;
    for (enum agent_outcome outcome = AGENT_OK; outcome == AGENT_OK;) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_PURGE_LEFTOVERS, 0, 0);
        outcome = result->outcome;
        agent_result_free(result);
    }
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
}

static void assert_as_before(struct rig *r, const char *before)
{
    char *after = rig_dump(r, "users");
    assert_string_equal(after, before);
    free(after);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM users WHERE name <> 'n' || id OR status IS DISTINCT FROM "
                                   "nullif('s' || id %% 3, 's0')"),
                     0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned") + rig_number(r, "SELECT count(*) FROM zdm.sync"),
                     0);
}

static void plan_goes_forward_back_and_forward_from_every_step(void **state)
{
    struct rig *r = *state;
    struct killer none = {.seed = 1};
    flagship(r);
    char *before = rig_dump(r, "users");
    for (uint32_t last = 1; last <= STEPS; last++) {
        there_and_back(r, &none, last);
        drop_leftovers(r);
        assert_as_before(r, before);
    }
    for (uint32_t step = 1; step <= STEPS; step++) {
        run_forward(r, &none, step);
    }
    rig_app(r, "INSERT INTO users (full_name) VALUES ('new')");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM users WHERE zdm_h_name IS DISTINCT FROM full_name"), 0);
    free(before);
}

static void nothing_is_lost_across_kills_of_the_server(void **state)
{
    struct rig *r = *state;
    struct killer k = {.seed = (unsigned)time(NULL), .kills = KILLS, .countdown = 3};
    print_message("seed %u\n", k.seed);
    flagship(r);
    char *before = rig_dump(r, "users");
    while (k.kills > 0) {
        there_and_back(r, &k, STEPS);
    }
    k.kills = 0;
    there_and_back(r, &k, STEPS);
    PQreset(r->super);
    drop_leftovers(r);
    assert_as_before(r, before);
    free(before);
}

/* New code writes what the old column cannot hold: it is counted when that is back, and before the new one goes. */
static void what_the_old_column_cannot_hold_is_counted_on_both_legs(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name varchar(5) NOT NULL); INSERT INTO users SELECT g, 'n' || g"
               " FROM generate_series(1, 100) g");
    rig_plan(r, "users", 4);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "full_name", NULL, "ALTER TABLE users ADD COLUMN full_name varchar(50)");
    rig_copy(r, 2, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_copy(r, 3, ZDM_ACTION_BACKFILL, "full_name", "name");
    rig_ddl(r, 4, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL);
    rig_step(r, 4)->sync_step = 2;
    r->floor = 1;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 2, AGENT_OK);
    rig_walk(r, 3, 50);
    rig_run(r, AGENT_RUN_STEP_DONE, 3, AGENT_OK);
    rig_run(r, AGENT_RUN_HIDE, 4, AGENT_OK);
    rig_app(r, "UPDATE users SET full_name = 'a long name ' || id WHERE id <= 42");
    rig_app(r, "UPDATE users SET full_name = 'Zoe' WHERE id = 77");
    rig_exec(r->super, "UPDATE zdm.migration SET switched_phase = 3");
    rig_undo(r, 4);
    assert_non_null(strstr(r->remark, "42 rows were written with what the old column cannot hold"));
    assert_string_equal(rig_value(r, "SELECT name FROM users WHERE id = 77"), "Zoe");
    rig_back(r, 2, AGENT_PROOF_NOT_DONE, AGENT_RUN_IMAGES_BACK);
    rig_undo(r, 3);
    rig_undo(r, 2);
    assert_non_null(strstr(r->remark, "42 rows were not copied back: what new code wrote there does not fit"));
    assert_int_equal(rig_number(r, "SELECT count(*) FROM users WHERE name = 'n' || id"), 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(plan_goes_forward_back_and_forward_from_every_step),
        RIG_TEST(nothing_is_lost_across_kills_of_the_server),
        RIG_TEST(what_the_old_column_cannot_hold_is_counted_on_both_legs),
    };
    return cmocka_run_group_tests(tests, rig_group_setup_durable, rig_group_teardown);
}
