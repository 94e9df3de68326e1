/*
 * test_lost.c - COMMITs whose answer is lost: by a connection that breaks just before or just behind one, and by kill
 * -9 of the server at random moments. Whatever the agent is told, it then reads the journal, which says what happened.
 */
#include "tests/integration/mysql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/engine/open.h"
#include "tests/integration/mysql/cutter.h"

enum { KILLS = 12, MOVES_BETWEEN = 40 };

static void table(struct rig *r)
{
    rig_sql(r, "CREATE TABLE w (id int PRIMARY KEY)");
    rig_plan(r, "w", 3);
    for (uint32_t i = 1; i <= 3; i++) {
        rig_ddl(r, i, ZDM_ACTION_GATE_FLAG, NULL, NULL, NULL);
    }
}

/* ---- A connection that breaks ---- */

/* Another engine, on the same database, by way of the cutter. */
static struct agent_engine through(struct rig *r, const struct cutter *cutter)
{
    char dsn[1024], option[64];
    struct agent_engine engine;
    struct zdm_error err = ZDM_ERROR_INIT;
    snprintf(dsn, sizeof dsn, "%s", rig_dsn(r, "ssl=off"));
    char *port = strstr(dsn, "port=");
    size_t n = strcspn(port, " ");
    char rest[1024];
    snprintf(rest, sizeof rest, "%s", port + n);
    snprintf(option, sizeof option, "port=%d", cutter_port(cutter));
    snprintf(port, sizeof dsn - (size_t)(port - dsn), "%s%s", option, rest);
    const struct agent_engine_config config = {
        .dsn = dsn, .application_name = "zdm-agent test", .connect_timeout_ms = 5000, .sink = rig_sink(r)};
    if (agent_engine_open(&config, &engine, &err) != ZDM_OK) {
        fail_msg("open: %s", err.message);
    }
    return engine;
}

struct lost {
    struct cutter *cutter;
    struct agent_engine straight;
};

static bool begin(struct rig *r, struct lost *l)
{
    if (rig_server(r) == NULL) {
        print_message(
            "[  SKIPPED ] logging in without TLS, so that a COMMIT can be seen, on a server of our own alone\n");
        return false;
    }
    table(r);
    l->cutter = cutter_start(rig_port(r));
    l->straight = r->engine;
    r->engine = through(r, l->cutter);
    rig_connect_engine(r);
    rig_accept(r, 1);
    return true;
}

static void end(struct rig *r, const struct lost *l)
{
    r->engine.ops->close(r->engine.self);
    r->engine = l->straight;
    cutter_stop(l->cutter);
}

static void outcome_is(struct agent_result *result, enum agent_outcome expected)
{
    if (result->outcome != expected) {
        fail_msg("%s instead of %s: %s", agent_outcome_name(result->outcome), agent_outcome_name(expected),
                 result->error.message);
    }
    assert_false(result->journal_valid && expected == AGENT_UNKNOWN);
    agent_result_free(result);
}

static void lost_answer_to_a_move_is_unknown_and_the_journal_tells(void **state)
{
    struct rig *r = *state;
    struct lost l;
    if (!begin(r, &l)) {
        skip();
    }
    cutter_arm(l.cutter, CUT_AFTER);
    outcome_is(rig_do(r, AGENT_OP_RUN, AGENT_RUN_STEP_DONE, 1, 0), AGENT_UNKNOWN);
    assert_int_equal(r->journal_step, 1);
    rig_reload(r);
    assert_int_equal(r->journal_step, 2);
    cutter_arm(l.cutter, CUT_BEFORE);
    outcome_is(rig_do(r, AGENT_OP_RUN, AGENT_RUN_STEP_DONE, 2, 0), AGENT_UNKNOWN);
    rig_reload(r);
    assert_int_equal(r->journal_step, 2);
    rig_run(r, AGENT_RUN_STEP_DONE, 2, AGENT_OK);
    end(r, &l);
}

static void directive_whose_answer_was_lost_is_accepted_once(void **state)
{
    static const struct {
        enum cut cut;
        const char *again;
    } cases[] = {{CUT_AFTER, "already"}, {CUT_BEFORE, "ok"}};
    struct rig *r = *state;
    struct lost l;
    if (!begin(r, &l)) {
        skip();
    }
    for (uint8_t i = 0; i < 2; i++) {
        cutter_arm(l.cutter, cases[i].cut);
        outcome_is(rig_try_accept(r, 1, 2 + i, 1, 2 + i), AGENT_UNKNOWN);
        struct agent_result *result = rig_try_accept(r, 1, 2 + i, 1, 2 + i);
        assert_string_equal(agent_outcome_name(result->outcome), cases[i].again);
        assert_true(result->journal_valid);
        agent_result_free(result);
        rig_reload(r);
        assert_int_equal(r->fence.generation, 2 + i);
    }
    end(r, &l);
}

static void approvals_whose_answer_was_lost_are_spent_once(void **state)
{
    struct rig *r = *state;
    struct lost l;
    if (!begin(r, &l)) {
        skip();
    }
    memset(r->spend[0].nonce.bytes, 7, sizeof r->spend[0].nonce.bytes);
    r->n_spend = 1;
    r->spend_phase = 2;
    cutter_arm(l.cutter, CUT_BEFORE);
    outcome_is(rig_do(r, AGENT_OP_RUN, AGENT_RUN_SPEND_APPROVALS, 0, 0), AGENT_UNKNOWN);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.spent WHERE home = DATABASE()"), 0);
    cutter_arm(l.cutter, CUT_AFTER);
    outcome_is(rig_do(r, AGENT_OP_RUN, AGENT_RUN_SPEND_APPROVALS, 0, 0), AGENT_UNKNOWN);
    rig_run(r, AGENT_RUN_SPEND_APPROVALS, 0, AGENT_ALREADY);
    assert_int_equal(r->row.entered_phase, 2);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.spent WHERE home = DATABASE()"), 1);
    end(r, &l);
}

static void plan_whose_answer_was_lost_is_stored_already(void **state)
{
    struct rig *r = *state;
    struct lost l;
    if (!begin(r, &l)) {
        skip();
    }
    struct zdm_envelope envelope = {.bytes = (uint8_t[]){9, 8, 7, 6}, .len = 4};
    static const enum agent_outcome expected[] = {AGENT_UNKNOWN, AGENT_ALREADY};
    cutter_arm(l.cutter, CUT_AFTER);
    for (size_t i = 0; i < 2; i++) {
        struct agent_op op = {.id = r->next_op++, .kind = AGENT_OP_STORE_PLAN, .envelope = &envelope};
        struct zdm_error err = ZDM_ERROR_INIT;
        assert_int_equal(r->engine.ops->start(r->engine.self, &op, &err), ZDM_OK);
        outcome_is(rig_await(r, op.id), expected[i]);
    }
    end(r, &l);
}

/* ---- A server that is killed ---- */

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
        nanosleep(&(struct timespec){.tv_nsec = 25000000}, NULL);
    }
    fail_msg("the server did not come back");
}

/* Goes to and fro between two steps: where it is told that it moved, it has; where not, it has not; where the answer
 * was lost, the journal says. */
static void what_was_said_to_be_committed_is_there_across_kills_of_the_server(void **state)
{
    struct rig *r = *state;
    if (rig_server(r) == NULL) {
        print_message("[  SKIPPED ] kills a server of our own alone\n");
        skip();
    }
    unsigned seed = (unsigned)time(NULL), unknown = 0, moves = 0;
    print_message("seed %u\n", seed);
    table(r);
    rig_accept(r, 1);
    for (unsigned kills = 0; kills < KILLS;) {
        uint32_t before = r->journal_step, to = 3 - before;
        uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_STEP_BACK, to, 0);
        bool kill_now = ++moves % MOVES_BETWEEN == 0;
        if (kill_now) {
            nanosleep(&(struct timespec){.tv_nsec = rand_r(&seed) % 2000000}, NULL);
            test_mysql_kill(rig_server(r));
            kills++;
        }
        struct agent_result *result = rig_await(r, op);
        enum agent_outcome outcome = result->outcome;
        agent_result_free(result);
        assert_true(outcome == AGENT_OK || outcome == AGENT_UNKNOWN || outcome == AGENT_RETRY);
        unknown += outcome == AGENT_UNKNOWN;
        if (kill_now) {
            test_mysql_resume(rig_server(r));
            recover(r);
            assert_true(outcome == AGENT_UNKNOWN || r->journal_step == (outcome == AGENT_OK ? to : before));
        }
    }
    print_message("%u moves, %d kills, %u lost answers\n", moves, KILLS, unknown);
}

static const char *const durable[] = {"--innodb-flush-log-at-trx-commit=1", NULL};
RIG_MAIN_WITH(durable, RIG_TEST(lost_answer_to_a_move_is_unknown_and_the_journal_tells),
              RIG_TEST(directive_whose_answer_was_lost_is_accepted_once),
              RIG_TEST(approvals_whose_answer_was_lost_are_spent_once),
              RIG_TEST(plan_whose_answer_was_lost_is_stored_already),
              RIG_TEST(what_was_said_to_be_committed_is_there_across_kills_of_the_server))
