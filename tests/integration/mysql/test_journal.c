/*
 * test_journal.c - accepting directives, fencing, stops, the journal's tables, two shards on one server, a primary that
 * became a replica. What every engine does alike is in tests/contract/engine.
 */
#include "tests/integration/mysql/rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void table(struct rig *r)
{
    rig_sql(r, "CREATE TABLE w (id int PRIMARY KEY, a varchar(40), b varchar(40))");
    rig_plan(r, "w", 3);
    rig_ddl(r, 1, ZDM_ACTION_GATE_FLAG, NULL, NULL, NULL);
    rig_ddl(r, 2, ZDM_ACTION_ADD_COLUMN, "c", NULL, "ALTER TABLE `w` ADD COLUMN `c` int");
    rig_ddl(r, 3, ZDM_ACTION_CHECK_QUERY, NULL, NULL, "SELECT SLEEP(30)");
}

static void accept_is(struct rig *r, uint64_t epoch, uint64_t generation, uint8_t instance, uint8_t digest,
                      const char *outcome)
{
    struct agent_result *result = rig_try_accept(r, epoch, generation, instance, digest);
    assert_string_equal(agent_outcome_name(result->outcome), outcome);
    agent_result_free(result);
}

/* The server of the environment may be in use by others, whose journal is the same database. */
static void need_own_server(struct rig *r)
{
    if (rig_server(r) == NULL) {
        print_message("[  SKIPPED ] on a server of our own alone\n");
        skip();
    }
}

/* ---- Directives ---- */

static void only_a_rising_directive_of_one_instance_is_accepted(void **state)
{
    struct rig *r = *state;
    table(r);
    accept_is(r, 2, 10, 1, 1, "ok");
    accept_is(r, 2, 10, 1, 1, "already");
    accept_is(r, 2, 10, 1, 2, "fenced");
    accept_is(r, 2, 9, 1, 1, "fenced");
    accept_is(r, 2, 11, 9, 1, "fenced");
    accept_is(r, 1, 99, 1, 1, "fenced");
    accept_is(r, 2, 11, 1, 3, "ok");
    accept_is(r, 3, 5, 9, 4, "ok");
    assert_string_equal(
        rig_value(r, "SELECT CONCAT(epoch, '/', generation) FROM zdm.migration WHERE home = DATABASE()"), "3/5");
}

/* What the agent judged another plan by: the row's fence, and its step. */
static void another_plan_is_accepted_only_over_the_row_that_it_was_judged_by(void **state)
{
    struct rig *r = *state;
    table(r);
    rig_accept(r, 1);
    struct zdm_fence seen = r->fence;
    uint32_t step = r->journal_step;
    accept_is(r, 1, 2, 1, 2, "ok"); /* by another process with this agent's key */
    struct zdm_fence now = r->fence;
    r->fence = seen;
    memset(r->plan->hash.bytes, 99, sizeof r->plan->hash.bytes);
    accept_is(r, 1, 3, 1, 3, "fenced");
    r->fence = now;
    r->journal_step = step + 1;
    accept_is(r, 1, 3, 1, 3, "fenced");
    assert_int_equal(rig_number(r, "SELECT generation FROM zdm.migration WHERE home = DATABASE()"), 2);
    r->journal_step = step;
    accept_is(r, 1, 3, 1, 3, "ok");
}

static void trust_version_is_only_ever_raised(void **state)
{
    static const uint32_t versions[][2] = {{2, 2}, {5, 5}, {3, 5}};
    struct rig *r = *state;
    table(r);
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        r->trust_version = versions[i][0];
        rig_accept(r, 10 + (uint64_t)i);
        assert_int_equal(rig_number(r, "SELECT trust_version FROM zdm.migration WHERE home = DATABASE()"),
                         versions[i][1]);
    }
}

/* ---- What is written ---- */

/* As a batch leaves it. */
static void write_walk(struct rig *r)
{
    rig_sql(r, "UPDATE zdm.migration SET `cursor` = '[\"30\"]', bound = '[\"100\"]', rows_done = 30, rows_total = 100,"
               " walk_key = 'k' WHERE home = DATABASE()");
}

static void journal_is_read_back_whole(void **state)
{
    struct rig *r = *state;
    table(r);
    rig_accept(r, 7);
    write_walk(r);
    rig_run(r, AGENT_RUN_STOP, 1, AGENT_OK);
    struct agent_result *result = rig_do(r, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0, 0);
    assert_int_equal(result->n_journals, 1);
    const struct agent_journal *j = &result->journals[0];
    assert_string_equal(j->migration, r->plan->id);
    assert_true(zdm_fence_equal(&j->accepted, &r->fence));
    assert_true(zdm_hash_equal(&j->plan_hash, &r->plan->hash));
    assert_int_equal(j->directive.len, 3);
    assert_int_equal(j->plan.bytes[0], 9);
    assert_string_equal(j->cursor, "[\"30\"]");
    assert_string_equal(j->bound, "[\"100\"]");
    assert_int_equal(j->rows_done, 30);
    assert_int_equal(j->rows_total, 100);
    assert_int_equal(j->failed_attempt, 1);
    assert_string_equal(j->failed_text, "it broke");
    assert_false(j->walked);
    assert_true(result->writable && result->connected);
    assert_int_equal(result->engine, ZDM_ENGINE_MYSQL);
    bool nowait = (result->capabilities & AGENT_CAN_NOWAIT) != 0;
    assert_int_equal(nowait, rig_is_mariadb(r));
    assert_true((result->capabilities & AGENT_CAN_HIDE_BY_INVISIBLE) != 0);
    agent_result_free(result);
    rig_reload(r);
    r->attempt = 2;
    rig_run(r, AGENT_RUN_STEP_BACK, 1, AGENT_OK);
    assert_null(r->cursor);
    assert_null(r->bound);
}

/* Two processes with one agent's key: this one has not heard that the other stopped the attempt they both work on. */
static void stop_that_another_process_journalled_fences_the_attempt(void **state)
{
    struct rig *r = *state;
    table(r);
    rig_accept(r, 1);
    rig_sql(r, "UPDATE zdm.migration SET failed_attempt = 1, failed_step = 1, failed_code = 1, failed_text = 'no' WHERE"
               " home = DATABASE()");
    rig_run(r, AGENT_RUN_DDL, 2, AGENT_FENCED);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_FENCED);
    rig_run(r, AGENT_RUN_STEP_BACK, 1, AGENT_FENCED);
    rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_STOP, 1, AGENT_OK); /* its own failure is the same one */
    r->attempt = 2;
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_DDL, 2, AGENT_OK);
}

/* A cursor is compared byte for byte, whatever the servers' own collations are. */
static void cursor_that_differs_in_case_is_another_place(void **state)
{
    struct rig *r = *state;
    table(r);
    rig_accept(r, 1);
    rig_sql(r, "UPDATE zdm.migration SET `cursor` = '[\"Ann\"]' WHERE home = DATABASE()");
    free(r->cursor);
    r->cursor = strdup("[\"ann\"]");
    rig_run(r, AGENT_RUN_STEP_BACK, 1, AGENT_FENCED);
    free(r->cursor);
    r->cursor = strdup("[\"Ann\"]");
    rig_run(r, AGENT_RUN_STEP_BACK, 1, AGENT_OK);
}

/* ---- Its tables ---- */

static void two_agents_make_the_journal_at_once(void **state)
{
    struct rig *r = *state;
    need_own_server(r);
    rig_sql(r, "DROP DATABASE zdm");
    uint64_t ops[4];
    for (int i = 0; i < 4; i++) {
        struct agent_op op = {.id = r->next_op++, .lane = (unsigned)i, .kind = AGENT_OP_CONNECT};
        struct zdm_error err = ZDM_ERROR_INIT;
        ops[i] = op.id;
        assert_int_equal(r->engine.ops->start(r->engine.self, &op, &err), ZDM_OK);
    }
    for (int i = 0; i < 4; i++) {
        struct agent_result *result = rig_await(r, ops[i]);
        assert_string_equal(result->error.message, "");
        assert_string_equal(agent_outcome_name(result->outcome), "ok");
        agent_result_free(result);
    }
}

/* The server commits each statement: an agent may be killed behind any of them. */
static void journal_that_was_half_made_or_is_of_an_earlier_release_is_completed(void **state)
{
    struct rig *r = *state;
    need_own_server(r);
    rig_sql(r, "DROP TABLE zdm.former, zdm.compared; ALTER TABLE zdm.hidden DROP COLUMN remark;"
               " ALTER TABLE zdm.migration DROP COLUMN reached_phase, DROP COLUMN switched_phase;"
               " DELETE FROM zdm.meta");
    rig_connect_engine(r);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'zdm' AND"
                                   " COLUMN_NAME IN ('remark', 'reached_phase', 'switched_phase', 'made', 'began_at')"),
                     5);
    table(r);
    rig_accept(r, 1);
}

static void newer_journal_is_not_touched(void **state)
{
    struct rig *r = *state;
    need_own_server(r);
    rig_sql(r, "UPDATE zdm.meta SET format = 99; DROP TABLE zdm.former");
    struct agent_result *result = rig_do(r, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "fail");
    assert_non_null(strstr(result->error.message, "newer release"));
    agent_result_free(result);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'zdm' AND"
                                   " TABLE_NAME = 'former'"),
                     0);
    rig_sql(r, "UPDATE zdm.meta SET format = 1");
    rig_connect_engine(r);
}

static void account_without_rights_on_the_journal_is_told_what_to_run(void **state)
{
    struct rig *r = *state;
    need_own_server(r);
    rig_sql(r, "DROP DATABASE zdm; REVOKE ALL PRIVILEGES ON zdm.* FROM zdm_agent@'%%'");
    struct agent_result *result = rig_do(r, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "fail");
    assert_non_null(strstr(result->error.hint, "deploy/sql/mysql-grants.sql"));
    agent_result_free(result);
}

/* ---- Two shards in two databases of one server ---- */

static void shards_of_one_server_do_not_see_each_other(void **state)
{
    struct rig *one = *state, *two = NULL;
    table(one);
    rig_setup((void **)&two);
    table(two);
    snprintf(two->plan->id, sizeof two->plan->id, "%s", one->plan->id); /* the same migration */
    two->plan->hash = one->plan->hash;
    rig_accept(one, 5);
    rig_accept(two, 3);
    rig_run(one, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_run(two, AGENT_RUN_STOP, 1, AGENT_OK);
    memset(one->spend[0].nonce.bytes, 7, sizeof one->spend[0].nonce.bytes);
    two->spend[0] = one->spend[0];
    one->n_spend = two->n_spend = 1;
    one->spend_phase = two->spend_phase = 2;
    two->attempt = 2;
    rig_run(one, AGENT_RUN_SPEND_APPROVALS, 0, AGENT_OK);
    rig_run(two, AGENT_RUN_SPEND_APPROVALS, 0, AGENT_OK);
    struct agent_result *result = rig_do(two, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0, 0);
    assert_int_equal(result->n_journals, 1);
    assert_int_equal(result->journals[0].step, 1);
    assert_int_equal(result->journals[0].accepted.generation, 3);
    assert_int_equal(result->journals[0].failed_attempt, 1);
    agent_result_free(result);
    rig_reload(one);
    assert_int_equal(one->journal_step, 2);
    assert_int_equal(one->fence.generation, 5);
    rig_teardown((void **)&two);
}

/* ---- Rows that others hold ---- */

static void row_that_another_holds_is_tried_again(void **state)
{
    struct rig *r = *state;
    table(r);
    rig_accept(r, 1);
    rig_sql(r, "START TRANSACTION; SELECT step FROM zdm.migration WHERE home = DATABASE() FOR UPDATE");
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_RETRY);
    accept_is(r, 1, 2, 1, 2, "retry");
    rig_sql(r, "ROLLBACK");
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    accept_is(r, 1, 2, 1, 2, "ok");
}

/* The server makes what it shows anew at most every 100 ms, and not at all for who asks more often. */
static void await_waiting(struct rig *r)
{
    MYSQL *conn = rig_connect(r, "root");
    bool waiting = false;
    for (int i = 0; i < 100 && !waiting; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 150000000}, NULL);
        MYSQL_RES *res = NULL;
        if (mysql_query(conn, "SELECT 1 FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'") == 0) {
            res = mysql_store_result(conn);
        }
        assert_non_null(res);
        waiting = mysql_num_rows(res) > 0;
        mysql_free_result(res);
    }
    mysql_close(conn);
    assert_true(waiting);
}

/* The one that has written less gives way. */
static void deadlock_is_tried_again_and_leaves_nothing(void **state)
{
    struct rig *r = *state;
    table(r);
    rig_accept(r, 1);
    memset(r->spend[0].nonce.bytes, 7, sizeof r->spend[0].nonce.bytes);
    r->n_spend = 1;
    r->spend_phase = 2;
    rig_sql(r, "CREATE TABLE heavy (id int PRIMARY KEY AUTO_INCREMENT, n int); START TRANSACTION;"
               " INSERT INTO heavy (n) VALUES (1), (2), (3), (4); INSERT INTO heavy (n) SELECT n FROM heavy;"
               " INSERT INTO heavy (n) SELECT n FROM heavy; INSERT INTO heavy (n) SELECT n FROM heavy;"
               " INSERT INTO zdm.spent (home, nonce, migration, kind, approver, issued_at_ms) VALUES (DATABASE(),"
               " UNHEX(REPEAT('07', 16)), 'other', 'enter', UNHEX(REPEAT('00', 16)), 0)");
    uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_SPEND_APPROVALS, 0, 0);
    await_waiting(r);
    rig_sql(r, "SELECT step FROM zdm.migration WHERE home = DATABASE() FOR UPDATE");
    struct agent_result *result = rig_await(r, op);
    assert_string_equal(agent_outcome_name(result->outcome), "retry");
    agent_result_free(result);
    rig_sql(r, "ROLLBACK");
    rig_run(r, AGENT_RUN_SPEND_APPROVALS, 0, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.spent WHERE home = DATABASE()"), 1);
}

/* ---- The node is not the primary any more ---- */

static void primary_that_became_read_only_is_read_and_not_written(void **state)
{
    struct rig *r = *state;
    need_own_server(r);
    table(r);
    rig_accept(r, 1);
    rig_sql(r, "SET GLOBAL read_only = 1");
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_RETRY);
    rig_run(r, AGENT_RUN_STOP, 1, AGENT_RETRY);
    struct agent_result *result = rig_do(r, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "ok");
    assert_false(result->writable);
    assert_int_equal(result->n_journals, 1);
    agent_result_free(result);
    rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_DDL, 2, AGENT_RETRY);
    rig_sql(r, "SET GLOBAL read_only = 0");
    rig_connect_engine(r);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
}

static void replica_without_a_journal_has_no_migrations(void **state)
{
    struct rig *r = *state;
    need_own_server(r);
    rig_sql(r, "DROP DATABASE zdm; SET GLOBAL read_only = 1");
    struct agent_result *result = rig_do(r, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0, 0);
    rig_sql(r, "SET GLOBAL read_only = 0");
    assert_string_equal(agent_outcome_name(result->outcome), "ok");
    assert_int_equal(result->n_journals, 0);
    agent_result_free(result);
}

/* ---- Servers that do not answer ---- */

static void server_that_hangs_is_given_up(void **state)
{
    struct rig *r = *state;
    need_own_server(r);
    table(r);
    rig_accept(r, 1);
    pid_t pid = test_mysql_pid(rig_server(r));
    kill(pid, SIGSTOP);
    r->time_limit_ms = 300;
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_STEP_DONE, 1, 0);
    kill(pid, SIGCONT);
    assert_string_equal(agent_outcome_name(result->outcome), "retry");
    assert_true(result->elapsed_ms < 10000);
    agent_result_free(result);
    r->time_limit_ms = 10000;
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
}

RIG_MAIN(RIG_TEST(trust_version_is_only_ever_raised), RIG_TEST(only_a_rising_directive_of_one_instance_is_accepted),
         RIG_TEST(another_plan_is_accepted_only_over_the_row_that_it_was_judged_by),
         RIG_TEST(journal_is_read_back_whole), RIG_TEST(stop_that_another_process_journalled_fences_the_attempt),
         RIG_TEST(cursor_that_differs_in_case_is_another_place), RIG_TEST(two_agents_make_the_journal_at_once),
         RIG_TEST(journal_that_was_half_made_or_is_of_an_earlier_release_is_completed),
         RIG_TEST(newer_journal_is_not_touched), RIG_TEST(account_without_rights_on_the_journal_is_told_what_to_run),
         RIG_TEST(shards_of_one_server_do_not_see_each_other), RIG_TEST(row_that_another_holds_is_tried_again),
         RIG_TEST(deadlock_is_tried_again_and_leaves_nothing),
         RIG_TEST(primary_that_became_read_only_is_read_and_not_written),
         RIG_TEST(replica_without_a_journal_has_no_migrations), RIG_TEST(server_that_hangs_is_given_up))
