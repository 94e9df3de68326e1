/*
 * test_orphans.c - the agent is gone, and its session at the server is not: cut off from its host before a COMMIT,
 * after one whose answer nobody read, between the intent and the result of a long statement. Another agent takes over,
 * over a line of its own, while the old session holds its locks, or goes on, or comes to its end.
 */
#include "tests/integration/postgresql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/line.h"

static struct test_line *line;

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* A new process with the old one's journal: port 0 is the server itself. */
static void agent_anew(struct rig *r, int port)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    char dsn[512];
    if (port == 0) {
        snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(r->pg, "zdm_agent", r->database));
    } else {
        snprintf(dsn, sizeof dsn, "host=127.0.0.1 port=%d user=zdm_agent dbname=%s sslmode=disable gssencmode=disable",
                 port, r->database);
    }
    struct agent_engine_config config = {.dsn = dsn,
                                         .application_name = "zdm-agent test",
                                         .connect_timeout_ms = 5000,
                                         .owner = "app_owner",
                                         .sink = rig_sink(r)};
    r->engine.ops->close(r->engine.self);
    assert_int_equal(agent_postgresql_open(&config, &r->engine, &err), ZDM_OK);
    rig_connect_engine(r);
}

/* The agent works over a line that can be cut. */
static void over_the_line(struct rig *r)
{
    line = test_line_open(test_pg_port(r->pg));
    agent_anew(r, test_line_port(line));
}

static int teardown(void **state)
{
    int failed = rig_teardown(state);
    test_line_close(line);
    line = NULL;
    return failed;
}

/* Starts the run, cuts the line there, and lets another agent take over. */
static void lose(struct rig *r, enum agent_run run, uint32_t step, enum test_line_cut cut, const char *behind,
                 const char *text)
{
    test_line_arm(line, cut, behind, text);
    uint64_t op = rig_begin(r, AGENT_OP_RUN, run, step, 10);
    assert_true(test_line_was_cut(line));
    struct agent_result *result = rig_await(r, op);
    assert_true(result->outcome == AGENT_UNKNOWN || result->outcome == AGENT_RETRY);
    agent_result_free(result);
    agent_anew(r, 0);
    rig_reload(r);
}

/* Until what the lost session ran is through. */
static void wait_for(struct rig *r, const char *condition)
{
    for (int i = 0; i < 500; i++) {
        if (strcmp(rig_value(r, "SELECT %s", condition), "t") == 0) {
            return;
        }
        sleep_ms(20);
    }
    fail_msg("never: %s", condition);
}

#define ORPHAN "FROM pg_stat_activity WHERE application_name = 'zdm-agent test' AND datname = current_database()"
#define NOBODY "NOT EXISTS (SELECT " ORPHAN " AND (state = 'active' OR xact_start IS NOT NULL))"

static void users(struct rig *r)
{
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text, n int NOT NULL DEFAULT 0); INSERT INTO users"
               " SELECT g, 'n' || g FROM generate_series(1, 100) g; GRANT ALL ON users TO app_user");
}

static void plan_column(struct rig *r)
{
    users(r);
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "x", NULL, "ALTER TABLE \"public\".\"users\" ADD COLUMN x int");
    rig_accept(r, 1);
    over_the_line(r);
}

#define COLUMNS "SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'x'"

/* The mark is the last before the journal; the COMMIT behind it never reaches the server. */
static void lose_before_commit(struct rig *r)
{
    plan_column(r);
    lose(r, AGENT_RUN_DDL, 1, TEST_LINE_BEFORE, "COMMENT ON COLUMN", "COMMIT");
    assert_int_equal(r->journal_step, 1);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
}

static void change_whose_commit_never_came_is_waited_for_and_made_again(void **state)
{
    struct rig *r = *state;
    lose_before_commit(r);
    char pid[16];
    snprintf(pid, sizeof pid, "pid %s", rig_value(r, "SELECT pid " ORPHAN " AND state = 'idle in transaction'"));
    r->lock_wait_ms = 100;
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_DDL, 1, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "lock");
    assert_non_null(strstr(result->blocker, pid));
    agent_result_free(result);
    test_line_hang_up(line);
    wait_for(r, NOBODY);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    assert_int_equal(r->journal_step, 2);
    assert_int_equal(rig_number(r, COLUMNS), 1);
}

static void commit_that_arrives_late_is_the_change_and_is_not_made_twice(void **state)
{
    struct rig *r = *state;
    lose_before_commit(r);
    test_line_deliver(line);
    wait_for(r, NOBODY);
    rig_reload(r);
    assert_int_equal(r->journal_step, 2);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_ALREADY);
    assert_int_equal(rig_number(r, COLUMNS), 1);
}

/* Another order has been taken meanwhile: the statement is with its journal, or not at all. */
static void commit_that_arrives_after_another_order_was_asked_for_is_before_it(void **state)
{
    struct rig *r = *state;
    lose_before_commit(r);
    test_line_deliver(line);
    struct agent_result *result = rig_try_accept(r, 2, 1, 2, 9);
    assert_int_equal(result->outcome, AGENT_OK);
    agent_result_free(result);
    rig_reload(r);
    assert_int_equal(r->journal_step, 2);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
}

static void answer_to_a_commit_that_is_lost_is_found_in_the_journal(void **state)
{
    struct rig *r = *state;
    plan_column(r);
    lose(r, AGENT_RUN_DDL, 1, TEST_LINE_AFTER, "COMMENT ON COLUMN", "COMMIT");
    wait_for(r, NOBODY);
    rig_reload(r);
    assert_int_equal(r->journal_step, 2);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_ALREADY);
}

/* Every second batch loses the answer to its COMMIT, every third its COMMIT. */
static void each_row_is_changed_once_whatever_is_lost_of_its_batch(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_plan(r, "users", 1);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "n", "t.\"n\" + 1", NULL, NULL, 0)->idempotent = false;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    unsigned lost = 0;
    for (unsigned i = 1; !r->walked; i++) {
        if (i % 2 == 0 || i % 3 == 0) {
            over_the_line(r);
            lose(r, AGENT_RUN_BATCH, 1, i % 2 == 0 ? TEST_LINE_AFTER : TEST_LINE_BEFORE, "UPDATE", "COMMIT");
            test_line_hang_up(line);
            wait_for(r, NOBODY);
            rig_reload(r);
            test_line_close(line);
            line = NULL;
            lost++;
        } else {
            struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 10);
            assert_int_equal(result->outcome, AGENT_OK);
            agent_result_free(result);
        }
    }
    assert_true(lost > 5);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM users WHERE n <> 1"), 0);
    assert_int_equal(rig_number(r, "SELECT rows_done FROM zdm.migration"), 100);
}

/* ---- Long statements ---- */

/* Something that a concurrent build waits for: a transaction that wrote, or a lock that conflicts with its first. */
#define WRITER      "BEGIN; UPDATE users SET name = name WHERE id = 1"
#define MAINTENANCE "BEGIN; LOCK TABLE users IN SHARE UPDATE EXCLUSIVE MODE"

/* What is sent right before a statement that runs outside of a transaction. */
#define ALONE "SET search_path = pg_catalog, "

static void plan_index(struct rig *r)
{
    users(r);
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_CREATE_INDEX, NULL, "users_name",
            "CREATE INDEX CONCURRENTLY \"users_name\" ON \"public\".\"users\" (name)");
    rig_accept(r, 1);
    r->time_limit_ms = 0;
    over_the_line(r);
}

static void is_blocked_by_its_own(struct rig *r, enum agent_run run)
{
    char pid[16];
    snprintf(pid, sizeof pid, "pid %s",
             rig_value(r, "SELECT pid " ORPHAN " AND state = 'active' AND wait_event_type ="
                          " 'Lock'"));
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, run, 1, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "lock");
    assert_non_null(strstr(result->blocker, pid));
    agent_result_free(result);
}

static void one_valid_index_and_nothing_beside(struct rig *r, uint32_t step)
{
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_index WHERE indrelid = 'users'::regclass AND indisvalid"),
                     2);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_index WHERE NOT indisvalid"), 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned"), 0);
    assert_int_equal(r->journal_step, step);
}

static void build_that_goes_on_without_its_agent_is_waited_for_and_taken(void **state)
{
    struct rig *r = *state;
    plan_index(r);
    rig_sql(r, WRITER);
    lose(r, AGENT_RUN_INDEX_BUILD, 1, TEST_LINE_AFTER, ALONE, "CREATE INDEX CONCURRENTLY");
    wait_for(r, "EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%')");
    rig_inspect(r, 1, AGENT_PROOF_LEFTOVER);
    is_blocked_by_its_own(r, AGENT_RUN_INDEX_DROP_INVALID);
    rig_sql(r, "COMMIT");
    wait_for(r, NOBODY);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_ALREADY);
    one_valid_index_and_nothing_beside(r, 2);
}

/* Nothing of the index is in the catalogue yet: only the server's list of sessions knows. */
static void build_that_has_not_begun_when_its_agent_goes_is_not_begun_twice(void **state)
{
    struct rig *r = *state;
    plan_index(r);
    rig_sql(r, MAINTENANCE);
    lose(r, AGENT_RUN_INDEX_BUILD, 1, TEST_LINE_AFTER, ALONE, "CREATE INDEX CONCURRENTLY");
    wait_for(r, "EXISTS (SELECT " ORPHAN " AND state = 'active' AND wait_event_type = 'Lock')");
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    is_blocked_by_its_own(r, AGENT_RUN_INDEX_BUILD);
    rig_sql(r, "COMMIT");
    wait_for(r, NOBODY);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_ALREADY);
    one_valid_index_and_nothing_beside(r, 2);
}

static void build_whose_session_was_ended_is_a_leftover_that_goes(void **state)
{
    struct rig *r = *state;
    plan_index(r);
    rig_sql(r, WRITER);
    lose(r, AGENT_RUN_INDEX_BUILD, 1, TEST_LINE_AFTER, ALONE, "CREATE INDEX CONCURRENTLY");
    wait_for(r, "EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%')");
    test_line_hang_up(line); /* the server notices by itself, client_connection_check_interval */
    if (!rig_since(r, 14, "a server that notices that nobody waits for its answer")) {
        rig_exec(r->super, "SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index");
    }
    wait_for(r, "NOT EXISTS (SELECT FROM pg_stat_progress_create_index)");
    rig_sql(r, "COMMIT");
    rig_inspect(r, 1, AGENT_PROOF_LEFTOVER);
    rig_run(r, AGENT_RUN_INDEX_DROP_INVALID, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
    one_valid_index_and_nothing_beside(r, 2);
}

static void build_that_was_only_intended_is_begun(void **state)
{
    struct rig *r = *state;
    plan_index(r);
    lose(r, AGENT_RUN_INDEX_BUILD, 1, TEST_LINE_BEFORE, ALONE, "CREATE INDEX CONCURRENTLY");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned"), 1);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
    one_valid_index_and_nothing_beside(r, 2);
}

/* A constraint on an index whose builder is gone. */
static void plan_constraint(struct rig *r)
{
    static const char index[] = "CREATE UNIQUE INDEX CONCURRENTLY \"users_name\" ON \"public\".\"users\" (name)";
    static const char constraint[] =
        "ALTER TABLE \"public\".\"users\" ADD CONSTRAINT \"users_name\" UNIQUE USING INDEX \"users_name\"";
    users(r);
    rig_plan(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_CREATE_INDEX, NULL, "users_name", index);
    struct zdm_step *step = rig_ddl(r, 2, ZDM_ACTION_ADD_UNIQUE, NULL, "users_name", constraint);
    step->inverse = ZDM_INVERSE_SQL;
    step->inverse_sql = strdup("ALTER TABLE \"public\".\"users\" DROP CONSTRAINT IF EXISTS \"users_name\"");
    rig_accept(r, 1);
    r->time_limit_ms = 0;
    over_the_line(r);
    rig_sql(r, WRITER);
    lose(r, AGENT_RUN_INDEX_BUILD, 1, TEST_LINE_AFTER, ALONE, "CREATE UNIQUE INDEX CONCURRENTLY");
    wait_for(r, "EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%')");
    rig_sql(r, "COMMIT");
    wait_for(r, NOBODY);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
}

#define MARK "SELECT obj_description('users_name'::regclass, 'pg_class') = 'zdm:' || migration FROM zdm.migration"

/* Both are ours, and go on the way back; nothing is left that would take a later one of that name for ours. */
static void constraint_is_made_and_goes(struct rig *r)
{
    rig_run(r, AGENT_RUN_DDL, 2, AGENT_OK);
    assert_string_equal(rig_value(r, MARK), "t");
    one_valid_index_and_nothing_beside(r, 3);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_inspect(r, 2, AGENT_PROOF_DONE);
    rig_undo(r, 2);
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned"), 0);
    rig_sql(r, "CREATE UNIQUE INDEX users_name ON users (name)");
    rig_inspect(r, 1, AGENT_PROOF_FOREIGN);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
}

static void index_whose_builder_is_gone_is_marked_by_who_finds_it_and_serves_a_constraint(void **state)
{
    struct rig *r = *state;
    plan_constraint(r);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    assert_string_equal(rig_value(r, MARK), "t");
    one_valid_index_and_nothing_beside(r, 2);
    constraint_is_made_and_goes(r);
}

/* By an agent of an earlier release, which journalled the step and left the intent. */
static void index_that_only_its_intent_tells_ours_serves_a_constraint(void **state)
{
    struct rig *r = *state;
    plan_constraint(r);
    rig_exec(r->super, "UPDATE zdm.migration SET step = 2");
    rig_reload(r);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    constraint_is_made_and_goes(r);
}

/* The way back of the constraint has taken the index along, and an intent is still there. */
static void intent_without_an_index_is_forgotten_on_the_way_back(void **state)
{
    struct rig *r = *state;
    plan_constraint(r);
    rig_sql(r, "DROP INDEX users_name");
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_INDEX_DROP);
    rig_run(r, AGENT_RUN_INDEX_DROP, 1, AGENT_ALREADY);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned"), 0);
}

/* Seen to be done, and then gone: it is looked at again. */
static void step_is_not_journalled_over_an_index_that_went_meanwhile(void **state)
{
    struct rig *r = *state;
    plan_constraint(r);
    rig_sql(r, "DROP INDEX users_name");
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_UNKNOWN);
    rig_reload(r);
    assert_int_equal(r->journal_step, 1);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
}

static void drop_that_goes_on_without_its_agent_is_waited_for(void **state)
{
    struct rig *r = *state;
    plan_index(r);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
    rig_sql(r, WRITER);
    lose(r, AGENT_RUN_INDEX_DROP, 1, TEST_LINE_AFTER, ALONE, "DROP INDEX CONCURRENTLY");
    wait_for(r, "EXISTS (SELECT " ORPHAN " AND state = 'active' AND wait_event_type = 'Lock')");
    is_blocked_by_its_own(r, AGENT_RUN_INDEX_DROP);
    rig_sql(r, "COMMIT");
    wait_for(r, NOBODY);
    rig_run(r, AGENT_RUN_INDEX_DROP, 1, AGENT_ALREADY);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname = 'users_name'"), 0);
}

static void plan_reindex(struct rig *r)
{
    users(r);
    rig_sql(r, "CREATE INDEX users_name ON users (name)");
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_REINDEX, NULL, NULL, "REINDEX TABLE CONCURRENTLY \"public\".\"users\"");
    rig_accept(r, 1);
    r->time_limit_ms = 0;
    over_the_line(r);
}

#define FILES                                                                                                          \
    "SELECT string_agg(pg_relation_filenode(indexrelid)::text, ' ' ORDER BY indexrelid::regclass::text) FROM pg_index" \
    " WHERE indrelid = 'users'::regclass"

/* However it was lost: each index has another file in the end, and none is left. */
static void reindex(struct rig *r, const char *in_the_way, enum test_line_cut cut)
{
    char before[128];
    snprintf(before, sizeof before, "%s", rig_value(r, FILES));
    if (in_the_way != NULL) {
        rig_sql(r, "%s", in_the_way);
    }
    lose(r, AGENT_RUN_REINDEX, 1, cut, ALONE, "REINDEX INDEX CONCURRENTLY");
    if (in_the_way != NULL) {
        wait_for(r, "EXISTS (SELECT " ORPHAN " AND state = 'active' AND wait_event_type = 'Lock')");
        is_blocked_by_its_own(r, AGENT_RUN_REINDEX);
        rig_sql(r, "COMMIT");
        wait_for(r, NOBODY);
    }
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_REINDEX, 1, AGENT_OK);
    one_valid_index_and_nothing_beside(r, 2);
    char first[64], second[64], was_first[64], was_second[64];
    assert_int_equal(sscanf(before, "%63s %63s", was_first, was_second), 2);
    assert_int_equal(sscanf(rig_value(r, FILES), "%63s %63s", first, second), 2);
    assert_string_not_equal(first, was_first);
    assert_string_not_equal(second, was_second);
}

static void reindex_that_goes_on_without_its_agent_is_waited_for(void **state)
{
    plan_reindex(*state);
    reindex(*state, WRITER, TEST_LINE_AFTER);
}

static void reindex_that_has_not_begun_when_its_agent_goes_is_not_begun_twice(void **state)
{
    plan_reindex(*state);
    reindex(*state, MAINTENANCE, TEST_LINE_AFTER);
}

static void reindex_that_was_only_intended_is_begun(void **state)
{
    plan_reindex(*state);
    reindex(*state, NULL, TEST_LINE_BEFORE);
}

/* Longer than the server shows of a statement. */
#define LONG_SQL "CREATE INDEX CONCURRENTLY users_name ON users (name, %s)"

static void plan_as_is(struct rig *r)
{
    char expression[1400] = "(id", sql[1600];
    for (int i = 0; i < 300; i++) {
        strcat(expression, " + 0");
    }
    strcat(expression, ")");
    snprintf(sql, sizeof sql, LONG_SQL, expression);
    users(r);
    rig_plan(r, "users", 1);
    struct zdm_step *step = rig_ddl(r, 1, ZDM_ACTION_AS_IS, NULL, NULL, sql);
    step->lock = ZDM_LOCK_LONG;
    step->proof_sql = strdup("SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_index WHERE indexrelid ="
                             " to_regclass('public.users_name') AND indisvalid)");
    step->inverse = ZDM_INVERSE_SQL;
    step->inverse_sql = strdup("DROP INDEX IF EXISTS public.users_name");
    rig_accept(r, 1);
    r->time_limit_ms = 0;
    over_the_line(r);
}

static void as_is_done(struct rig *r, enum agent_outcome expected)
{
    rig_run(r, AGENT_RUN_LONG_SQL, 1, expected);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_index WHERE indrelid = 'users'::regclass AND indisvalid"),
                     2);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_index WHERE NOT indisvalid"), 0);
    assert_int_equal(r->journal_step, 2);
    rig_undo(r, 1); /* it is known to be ours, whoever saw its end */
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname = 'users_name'"), 0);
}

static void long_statement_that_goes_on_without_its_agent_is_waited_for(void **state)
{
    struct rig *r = *state;
    plan_as_is(r);
    rig_sql(r, WRITER);
    lose(r, AGENT_RUN_LONG_SQL, 1, TEST_LINE_AFTER, "zdm.owned", "CREATE INDEX CONCURRENTLY");
    wait_for(r, "EXISTS (SELECT " ORPHAN " AND state = 'active' AND wait_event_type = 'Lock')");
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    is_blocked_by_its_own(r, AGENT_RUN_LONG_SQL);
    rig_sql(r, "COMMIT");
    wait_for(r, NOBODY);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    as_is_done(r, AGENT_ALREADY);
}

static void long_statement_that_was_only_intended_is_run(void **state)
{
    struct rig *r = *state;
    plan_as_is(r);
    lose(r, AGENT_RUN_LONG_SQL, 1, TEST_LINE_BEFORE, "zdm.owned", "CREATE INDEX CONCURRENTLY");
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    as_is_done(r, AGENT_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(change_whose_commit_never_came_is_waited_for_and_made_again),
        TEST(commit_that_arrives_late_is_the_change_and_is_not_made_twice),
        TEST(commit_that_arrives_after_another_order_was_asked_for_is_before_it),
        TEST(answer_to_a_commit_that_is_lost_is_found_in_the_journal),
        TEST(each_row_is_changed_once_whatever_is_lost_of_its_batch),
        TEST(build_that_goes_on_without_its_agent_is_waited_for_and_taken),
        TEST(build_that_has_not_begun_when_its_agent_goes_is_not_begun_twice),
        TEST(build_whose_session_was_ended_is_a_leftover_that_goes),
        TEST(build_that_was_only_intended_is_begun),
        TEST(index_whose_builder_is_gone_is_marked_by_who_finds_it_and_serves_a_constraint),
        TEST(index_that_only_its_intent_tells_ours_serves_a_constraint),
        TEST(intent_without_an_index_is_forgotten_on_the_way_back),
        TEST(step_is_not_journalled_over_an_index_that_went_meanwhile),
        TEST(drop_that_goes_on_without_its_agent_is_waited_for),
        TEST(reindex_that_goes_on_without_its_agent_is_waited_for),
        TEST(reindex_that_has_not_begun_when_its_agent_goes_is_not_begun_twice),
        TEST(reindex_that_was_only_intended_is_begun),
        TEST(long_statement_that_goes_on_without_its_agent_is_waited_for),
        TEST(long_statement_that_was_only_intended_is_run),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
