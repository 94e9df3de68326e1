/*
 * test_watch.c - triggers that are not what was installed, noticed at a poll: a trigger that is gone, changed, or no
 * longer the last, and the account that they run as. Accounts are the whole server's: nothing else may run meanwhile.
 */
#include "tests/integration/mysql/rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void installed(struct rig *r)
{
    rig_sql(r, "CREATE TABLE users (id bigint AUTO_INCREMENT PRIMARY KEY, name varchar(40), full_name varchar(40))");
    rig_plan(r, "users", 3);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_copy(r, 2, ZDM_ACTION_BACKFILL, "full_name", "name");
    rig_copy(r, 3, ZDM_ACTION_CHECK_COMPARE, "full_name", "name");
    rig_accept(r, 1);
    r->lock_wait_ms = 1000;
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
}

/* What the poll says of the sync; "" when all is well. */
static const char *poll(struct rig *r)
{
    struct agent_result *result = rig_do(r, AGENT_OP_SIGNALS, AGENT_RUN_NONE, 0, 0);
    rig_expect(result, AGENT_OK);
    assert_true(result->n_interrupted <= 1);
    snprintf(r->text, sizeof r->text, "%s", result->n_interrupted == 0 ? "" : result->interrupted[0].what);
    if (result->n_interrupted == 1) {
        assert_int_equal(result->interrupted[0].step, 1);
        assert_true(result->interrupted[0].first_ms > 1600000000000);
    }
    agent_result_free(result);
    return r->text;
}

static void expect_poll(struct rig *r, const char *what)
{
    if (strstr(poll(r), what) == NULL || (what[0] == '\0' && r->text[0] != '\0')) {
        fail_msg("the poll says \"%s\" instead of \"%s\"", r->text, what);
    }
}

static const char *trigger(struct rig *r, const char *event)
{
    return rig_value(r, "SELECT trigger_name FROM zdm.sync WHERE home = DATABASE() AND trigger_name LIKE '%%_%s'",
                     event);
}

static void sync_as_it_was_installed_is_no_news(void **state)
{
    struct rig *r = *state;
    installed(r);
    expect_poll(r, "");
    rig_sql(r, "CREATE TRIGGER app AFTER UPDATE ON users FOR EACH ROW SET @x = 1");
    rig_sql(r, "CREATE TRIGGER del BEFORE DELETE ON users FOR EACH ROW SET @x = 1");
    expect_poll(r, "");
    rig_sql(r, "DROP TABLE users");
    expect_poll(r, "");
}

static void trigger_that_is_gone_is_told_until_a_comparison_has_been_through(void **state)
{
    struct rig *r = *state;
    installed(r);
    char *name = strdup(trigger(r, "u"));
    rig_app(r, "INSERT INTO users (name) VALUES ('Ann')");
    rig_sql(r, "DROP TRIGGER %s", name);
    expect_poll(r, "is gone");
    rig_app(r, "UPDATE users SET name = 'Beth'");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    expect_poll(r, "is gone");
    rig_walk(r, 2, 100);
    rig_run(r, AGENT_RUN_STEP_DONE, 2, AGENT_OK);
    rig_walk(r, 3, 100);
    expect_poll(r, "");
    free(name);
}

/* As the agent's other session does it: the hash goes first. */
struct removal {
    MYSQL *conn;
    char forget[256], drop[128];
    useconds_t after_us;
    atomic_bool done;
};

static void *remove_one(void *arg)
{
    struct removal *removal = arg;
    usleep(removal->after_us);
    rig_exec(removal->conn, removal->forget);
    rig_exec(removal->conn, removal->drop);
    atomic_store(&removal->done, true);
    return NULL;
}

static void trigger_that_the_agent_takes_away_meanwhile_is_no_news(void **state)
{
    struct rig *r = *state;
    installed(r);
    MYSQL *conn = rig_connect(r, "root");
    for (useconds_t round = 0; round < 40; round++) {
        struct removal removal = {.conn = conn, .after_us = round * 100};
        pthread_t thread;
        const char *name = trigger(r, "u");
        snprintf(removal.drop, sizeof removal.drop, "DROP TRIGGER `%s`.%s", r->database, name);
        snprintf(removal.forget, sizeof removal.forget,
                 "UPDATE zdm.sync SET body_hash = '' WHERE home = '%s' AND trigger_name = '%s'", r->database, name);
        assert_int_equal(pthread_create(&thread, NULL, remove_one, &removal), 0);
        while (!atomic_load(&removal.done)) {
            expect_poll(r, "");
        }
        pthread_join(thread, NULL);
        rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
        /* The journal is past the step: installing again leaves a note of the gap, which is not what is asked here. */
        rig_sql(r, "DELETE FROM zdm.interrupted");
    }
    mysql_close(conn);
}

static void changed_trigger_and_one_behind_ours_are_told(void **state)
{
    struct rig *r = *state;
    installed(r);
    rig_sql(r, "CREATE TRIGGER app BEFORE INSERT ON users FOR EACH ROW SET NEW.name = UPPER(NEW.name)");
    expect_poll(r, "trigger app of users runs behind zdm_");
    rig_sql(r, "DROP TRIGGER app");
    char *name = strdup(trigger(r, "i"));
    rig_sql(r, "DROP TRIGGER %s", name);
    rig_sql(r, "CREATE DEFINER = zdm_definer@localhost TRIGGER %s BEFORE INSERT ON users FOR EACH ROW SET @x = 1",
            name);
    expect_poll(r, "was changed");
    rig_sql(r, "DROP TRIGGER %s", name);
    rig_sql(r, "CREATE TRIGGER %s BEFORE INSERT ON users FOR EACH ROW SET @x = 1", name);
    expect_poll(r, " runs as ");
    free(name);
}

static void missing_and_powerless_definer_is_named(void **state)
{
    struct rig *r = *state;
    installed(r);
    rig_sql(r, "RENAME USER zdm_definer@localhost TO zdm_other@localhost");
    unsigned number = rig_app_fails(r, "INSERT INTO users (name) VALUES ('x')");
    (void)poll(r);
    rig_sql(r, "RENAME USER zdm_other@localhost TO zdm_definer@localhost");
    assert_int_equal(number, 1449);
    assert_string_equal(r->text, "zdm_definer@localhost does not exist: every write to users fails");
    rig_sql(r, "DELETE FROM zdm.interrupted");
    rig_sql(r, "REVOKE TRIGGER ON `%s`.* FROM zdm_definer@localhost", r->database);
    expect_poll(r, "zdm_definer@localhost lost its rights: every write to users fails");
    rig_sql(r, "GRANT TRIGGER ON `%s`.* TO zdm_definer@localhost", r->database);
}

/* The triggers run as an account of their own: one that writes needs no right but on the table, and the agent's
 * account may go. */
static void nobody_needs_the_agents_account(void **state)
{
    struct rig *r = *state;
    installed(r);
    assert_string_equal(rig_value(r, "SELECT GROUP_CONCAT(DISTINCT definer) FROM information_schema.triggers WHERE"
                                     " trigger_schema = DATABASE()"),
                        "zdm_definer@localhost");
    rig_sql(r, "RENAME USER zdm_agent@'%%' TO zdm_was@'%%'");
    rig_app(r, "INSERT INTO users (name) VALUES ('Ann'); UPDATE users SET name = 'Beth'");
    rig_sql(r, "RENAME USER zdm_was@'%%' TO zdm_agent@'%%'");
    assert_string_equal(rig_value(r, "SELECT CONCAT(name, full_name) FROM users"), "BethBeth");
}

static void missing_definer_is_refused_before_a_trigger_is_made(void **state)
{
    struct rig *r = *state;
    installed(r);
    rig_sql(r, "DROP TRIGGER %s", trigger(r, "u"));
    rig_sql(r, "RENAME USER zdm_definer@localhost TO zdm_other@localhost");
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_INSTALL_SYNC, 1, 0);
    rig_sql(r, "RENAME USER zdm_other@localhost TO zdm_definer@localhost");
    assert_int_equal(result->outcome, AGENT_FAIL);
    assert_non_null(strstr(result->error.message, "zdm_definer@localhost does not exist"));
    agent_result_free(result);
    assert_int_equal(
        rig_number(r, "SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = DATABASE()"), 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
}

RIG_MAIN(RIG_TEST(nobody_needs_the_agents_account), RIG_TEST(missing_definer_is_refused_before_a_trigger_is_made),
         RIG_TEST(sync_as_it_was_installed_is_no_news),
         RIG_TEST(trigger_that_is_gone_is_told_until_a_comparison_has_been_through),
         RIG_TEST(trigger_that_the_agent_takes_away_meanwhile_is_no_news),
         RIG_TEST(changed_trigger_and_one_behind_ours_are_told), RIG_TEST(missing_and_powerless_definer_is_named))
