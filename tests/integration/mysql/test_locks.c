/*
 * test_locks.c - what a change of the catalogue costs others while somebody has the table open.
 *
 * A transaction that has read the table keeps every ALTER from its lock. The attempt is then given up, the holder is
 * named, and nobody who comes meanwhile waits for longer than the attempt may: under 100 ms on MariaDB, which can ask
 * without a queue, and under 250 ms on MySQL, which cannot; what a table beside it loses at the same time to a busy
 * machine does not count.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/integration/mysql/rig.h"

static int64_t now_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void pause_ms(long ms)
{
    (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L}, NULL);
}

/* Reads and writes one row again and again, as an application does; the longest of it. */
struct traffic {
    MYSQL *conn;
    const char *read, *write;
    pthread_t thread;
    atomic_bool stop;
    int64_t longest_ms;
    unsigned n;
};
struct both {
    struct traffic users, control;
};

static void *drive(void *ctx)
{
    struct traffic *t = ctx;
    while (!atomic_load(&t->stop)) {
        int64_t begun = now_ms();
        rig_exec(t->conn, t->n % 2 == 0 ? "SELECT name FROM users WHERE id = 1"
                                        : "UPDATE users SET age = age + 1 WHERE "
                                          "id = 2");
        int64_t took = now_ms() - begun;
        t->longest_ms = took > t->longest_ms ? took : t->longest_ms;
        t->n++;
        pause_ms(2);
    }
    return NULL;
}

static void begin_one(struct rig *r, struct traffic *t, const char *read, const char *write)
{
    *t = (struct traffic){.conn = rig_connect(r, "app_user"), .read = read, .write = write};
    assert_int_equal(pthread_create(&t->thread, NULL, drive, t), 0);
}

static void end_one(struct traffic *t)
{
    atomic_store(&t->stop, true);
    pthread_join(t->thread, NULL);
    mysql_close(t->conn);
}

static void begin_traffic(struct rig *r, struct both *t)
{
    rig_sql(r, "CREATE TABLE control (id int PRIMARY KEY, age int)");
    rig_sql(r, "INSERT INTO control VALUES (1, 1), (2, 2)");
    begin_one(r, &t->users, "SELECT name FROM users WHERE id = 1", "UPDATE users SET age = age + 1 WHERE id = 2");
    begin_one(r, &t->control, "SELECT age FROM control WHERE id = 1", "UPDATE control SET age = age + 1 WHERE id = 2");
}

static void end_traffic(struct rig *r, struct both *t)
{
    end_one(&t->users);
    end_one(&t->control);
    print_message("longest stall %ld ms of %u statements, beside it %ld ms\n", (long)t->users.longest_ms, t->users.n,
                  (long)t->control.longest_ms);
    assert_true(t->users.longest_ms < (rig_is_mariadb(r) ? 100 : 250) + t->control.longest_ms);
}

static void users(struct rig *r)
{
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, name varchar(100), age int)");
    rig_sql(r, "INSERT INTO users (name, age) VALUES ('a', 1), ('b', 2), ('c', 3), ('d', 4)");
}

static void big_users(struct rig *r)
{
    users(r);
    for (int i = 0; i < 16; i++) {
        rig_sql(r, "INSERT INTO users (name, age) SELECT REPEAT('n', 90), age FROM users");
    }
}

static MYSQL *reader(struct rig *r)
{
    MYSQL *conn = rig_connect(r, "app_user");
    rig_exec(conn, "BEGIN");
    rig_exec(conn, "SELECT id FROM users WHERE id = 1");
    return conn;
}

static void plan_of(struct rig *r, enum zdm_action action, const char *column, const char *object, const char *sql)
{
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, action, column, object, sql);
    rig_accept(r, 1);
}

/* As the core does: without a queue, and from time to time with a short one. */
static struct agent_result *attempt(struct rig *r, enum agent_run run, unsigned i)
{
    r->lock_wait_ms = i % 3 == 2 ? 50 : 0;
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, run, 1, 0);
    return result;
}

/* Until it is done; how often the table was not to be had. */
static unsigned until_done(struct rig *r, enum agent_run run, char blocker[ZDM_TEXT_MAX + 1])
{
    for (unsigned i = 0;; i++) {
        struct agent_result *result = attempt(r, run, i);
        enum agent_outcome outcome = result->outcome;
        if (outcome == AGENT_LOCK && i == 0) {
            (void)snprintf(blocker, ZDM_TEXT_MAX + 1, "%s", result->blocker);
        }
        if (outcome != AGENT_LOCK) {
            rig_expect(result, AGENT_OK);
            agent_result_free(result);
            return i;
        }
        agent_result_free(result);
        assert_true(i < 1000);
        pause_ms(100);
    }
}

static void *let_go_later(void *ctx)
{
    pause_ms(5000);
    rig_exec(ctx, "COMMIT");
    return NULL;
}

static void nobody_waits_while_a_reader_has_the_table(void **state)
{
    struct rig *r = *state;
    struct both traffic;
    char blocker[ZDM_TEXT_MAX + 1] = "", thread_name[32];
    pthread_t later;
    users(r);
    plan_of(r, ZDM_ACTION_ADD_COLUMN, "c", NULL, "ALTER TABLE `users` ADD COLUMN `c` int");
    MYSQL *holder = reader(r);
    begin_traffic(r, &traffic);
    assert_int_equal(pthread_create(&later, NULL, let_go_later, holder), 0);
    unsigned tries = until_done(r, AGENT_RUN_DDL, blocker);
    pthread_join(later, NULL);
    (void)snprintf(thread_name, sizeof thread_name, "thread %lu ", mysql_thread_id(holder));
    print_message("%u tries; blocker: %s\n", tries, blocker);
    assert_true(tries > 3);
    assert_non_null(strstr(blocker, thread_name));
    assert_non_null(strstr(blocker, "idle in transaction"));
    mysql_close(holder);
    end_traffic(r, &traffic);
}

static void *come_late(void *ctx)
{
    pause_ms(250);
    rig_exec(ctx, "BEGIN");
    rig_exec(ctx, "SELECT id FROM users WHERE id = 1");
    pause_ms(2500);
    rig_exec(ctx, "COMMIT");
    return NULL;
}

static void build_that_meets_a_reader_at_its_end_stops_and_is_made_again(void **state)
{
    struct rig *r = *state;
    struct both traffic;
    char blocker[ZDM_TEXT_MAX + 1] = "";
    pthread_t late;
    big_users(r);
    plan_of(r, ZDM_ACTION_CREATE_INDEX, NULL, "i", "ALTER TABLE `users` ADD INDEX `i` (`name`, `age`)");
    MYSQL *holder = rig_connect(r, "app_user");
    begin_traffic(r, &traffic);
    assert_int_equal(pthread_create(&late, NULL, come_late, holder), 0);
    unsigned tries = until_done(r, AGENT_RUN_INDEX_BUILD, blocker);
    pthread_join(late, NULL);
    print_message("%u tries; blocker: %s\n", tries, blocker);
    mysql_close(holder);
    end_traffic(r, &traffic);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
}

enum { USERS = 4 };

/* On the table itself, one after the other, with hardly a gap. */
static void *use_shortly(void *ctx)
{
    struct traffic *t = ctx;
    while (!atomic_load(&t->stop)) {
        rig_exec(t->conn, "BEGIN");
        rig_exec(t->conn, "SELECT id FROM users WHERE id = 1");
        pause_ms(15);
        rig_exec(t->conn, "COMMIT");
    }
    return NULL;
}

/* Its end meets one of them nearly always: a copy that gave up at once would be made in vain again and again. */
static void copy_that_a_person_allows_waits_for_short_transactions_at_its_end(void **state)
{
    struct rig *r = *state;
    struct traffic t[USERS] = {{.n = 0}};
    big_users(r);
    rig_plan(r, "users", 1);
    struct zdm_step *step = rig_ddl(r, 1, ZDM_ACTION_AS_IS, NULL, NULL, "ALTER TABLE users MODIFY age bigint");
    step->rewrite_ok = true;
    step->proof_sql = zdm_strdup("SELECT 1 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND "
                                 "TABLE_NAME = 'users' AND COLUMN_NAME = 'age' AND DATA_TYPE = 'int'");
    rig_accept(r, 1);
    r->time_limit_ms = 60000;
    for (size_t i = 0; i < USERS; i++) {
        t[i].conn = rig_connect(r, "app_user");
        assert_int_equal(pthread_create(&t[i].thread, NULL, use_shortly, &t[i]), 0);
    }
    unsigned tries = 0;
    enum agent_outcome outcome = AGENT_LOCK;
    for (; outcome == AGENT_LOCK && tries < 6; tries++) { /* as the core does it: it asks for no wait at all */
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_LONG_SQL, 1, 0);
        outcome = result->outcome;
        agent_result_free(result);
    }
    for (size_t i = 0; i < USERS; i++) {
        end_one(&t[i]);
    }
    print_message("%u tries\n", tries);
    assert_int_equal(outcome, AGENT_OK);
    assert_int_equal(rig_number(r,
                                "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND "
                                "TABLE_NAME = 'users' AND DATA_TYPE = 'bigint'"),
                     1);
}

/* What the killed agent left: its intent, and in the server its statement, which waits for somebody. */
static void wait_for_orphan(struct rig *r, const char *kind, const char *object, enum agent_run run, const char *sent)
{
    rig_sql(r,
            "INSERT INTO zdm.owned (home, migration, step, kind, object) SELECT home, migration, 1, '%s', 'users.%s' "
            "FROM zdm.migration WHERE home = DATABASE()",
            kind, object);
    MYSQL *holder = reader(r), *orphan = rig_connect(r, "zdm_agent");
    rig_exec(orphan, "SET lock_wait_timeout = 20");
    assert_int_equal(mysql_send_query(orphan, sent, strlen(sent)), 0);
    pause_ms(200);
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, run, 1, 0);
    rig_expect(result, AGENT_LOCK);
    assert_non_null(strstr(result->blocker, "same statement"));
    agent_result_free(result);
    rig_exec(holder, "COMMIT");
    mysql_read_query_result(orphan);
    bool shown = run != AGENT_RUN_INDEX_BUILD; /* an index is out of sight, and another statement shows it */
    rig_inspect(r, 1, shown ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE);
    rig_run(r, run, 1, shown ? AGENT_ALREADY : AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    mysql_close(holder);
    mysql_close(orphan);
}

static void statement_of_an_agent_that_is_gone_is_waited_for(void **state)
{
    struct rig *r = *state;
    static const char sql[] = "ALTER TABLE `users` ADD INDEX `i` (`name`, `age`)";
    char full[120];
    users(r);
    plan_of(r, ZDM_ACTION_CREATE_INDEX, NULL, "i", sql);
    (void)snprintf(full, sizeof full, "%s%s", sql,
                   rig_is_mariadb(r) ? " IGNORED, ALGORITHM=NOCOPY, LOCK=NONE"
                                     : " INVISIBLE, ALGORITHM=INPLACE, LOCK=NONE");
    wait_for_orphan(r, "index", "i", AGENT_RUN_INDEX_BUILD, full);
}

/* The process list has a text as it was sent: with backslashes that are doubled there. */
static void statement_with_a_backslash_is_known_again(void **state)
{
    struct rig *r = *state;
    users(r);
    plan_of(r, ZDM_ACTION_ADD_COLUMN, "c", NULL, "ALTER TABLE `users` ADD COLUMN `c` varchar(9) COMMENT 'a\\b''s'");
    wait_for_orphan(r, "column", "c", AGENT_RUN_DDL,
                    "ALTER TABLE `users` ADD COLUMN `c` varchar(9) COMMENT 'a\\\\b''s', ALGORITHM=INSTANT");
}

/* MySQL's performance_schema has 1024 bytes of it, and its information_schema none that has an emoji. */
static void long_statement_with_an_emoji_is_known_again(void **state)
{
    struct rig *r = *state;
    char sql[1200], full[1300];
    users(r);
    (void)snprintf(sql, sizeof sql, "ALTER TABLE `users` ADD COLUMN `c` varchar(9) COMMENT '😀%01000d'", 0);
    plan_of(r, ZDM_ACTION_ADD_COLUMN, "c", NULL, sql);
    (void)snprintf(full, sizeof full, "%s, ALGORITHM=INSTANT", sql);
    wait_for_orphan(r, "column", "c", AGENT_RUN_DDL, full);
}

static void reader_of_a_parent_is_named_as_well(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_sql(r, "CREATE TABLE places (id int PRIMARY KEY); ");
    rig_sql(r, "ALTER TABLE users ADD INDEX by_age (age)");
    rig_sql(r, "UPDATE users SET age = NULL");
    rig_plan(r, "users", 1);
    struct zdm_step *step =
        rig_ddl(r, 1, ZDM_ACTION_ADD_FOREIGN_KEY, NULL, "fk",
                "ALTER TABLE `users` ADD CONSTRAINT `fk` FOREIGN KEY (`age`) REFERENCES `places` (`id`)");
    step->others = calloc(1, sizeof *step->others);
    step->others[0] = (struct zdm_table){.schema = zdm_strdup(""), .name = zdm_strdup("places")};
    step->n_others = 1;
    rig_accept(r, 1);
    MYSQL *holder = rig_connect(r, "app_user");
    rig_exec(holder, "BEGIN");
    rig_exec(holder, "SELECT * FROM places");
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_DDL, 1, 0);
    char thread_name[32];
    (void)snprintf(thread_name, sizeof thread_name, "thread %lu ", mysql_thread_id(holder));
    if (result->outcome == AGENT_LOCK) {
        assert_non_null(strstr(result->blocker, thread_name));
    } else {
        rig_expect(result, AGENT_OK);
    }
    agent_result_free(result);
    mysql_close(holder);
}

RIG_MAIN(RIG_TEST(nobody_waits_while_a_reader_has_the_table),
         RIG_TEST(build_that_meets_a_reader_at_its_end_stops_and_is_made_again),
         RIG_TEST(copy_that_a_person_allows_waits_for_short_transactions_at_its_end),
         RIG_TEST(statement_of_an_agent_that_is_gone_is_waited_for),
         RIG_TEST(statement_with_a_backslash_is_known_again), RIG_TEST(long_statement_with_an_emoji_is_known_again),
         RIG_TEST(reader_of_a_parent_is_named_as_well))
