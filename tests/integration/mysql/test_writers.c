/*
 * test_writers.c - sync triggers and a backfill on MySQL and MariaDB while writers of the old and the new application
 * go on: upserts, REPLACE, IGNORE, deletes, keys that move, statements over many rows, sessions without a strict mode.
 * At the end the columns are what the derivation means. The agent's account may be gone meanwhile.
 */
#include "tests/integration/mysql/rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WRITERS = 4, WRITES_MIN = 100 };

/* Statements over $1: a key, $2: a number, $3: the key again. */
struct forms {
    const char *const *sql;
    unsigned n_old, n; /* those of old code, then those of new code: that one comes after the sync */
};

struct writer {
    MYSQL *conn;
    unsigned seed;
    const struct forms *forms;
    atomic_bool *stop, *new_code;
    long writes;
    char error[300];
};

/* Two writers may meet in a deadlock, wait for each other too long, or move a key onto another: their own doing. */
static bool is_their_own(unsigned number)
{
    return number == 0 || number == 1062 || number == 1213 || number == 1205;
}

static void *write_at_random(void *arg)
{
    struct writer *w = arg;
    if (w->seed % 2 == 0) {
        rig_exec(w->conn, "SET SESSION sql_mode = ''");
    }
    while (!atomic_load(w->stop)) {
        char sql[512];
        int id = (int)(rand_r(&w->seed) % 500) + 1, n = rand_r(&w->seed) % 100000;
        unsigned form = (unsigned)rand_r(&w->seed) % (atomic_load(w->new_code) ? w->forms->n : w->forms->n_old);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(sql, sizeof sql, w->forms->sql[form], id, n, id);
#pragma GCC diagnostic pop
        (void)mysql_query(w->conn, sql);
        if (!is_their_own(mysql_errno(w->conn)) && w->error[0] == '\0') {
            snprintf(w->error, sizeof w->error, "%.90s: %.190s", sql, mysql_error(w->conn));
        }
        w->writes++;
    }
    return NULL;
}

struct crowd {
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    atomic_bool stop, new_code;
};

static void begin_writing(struct rig *r, struct crowd *c, const struct forms *forms)
{
    *c = (struct crowd){.stop = false};
    for (int i = 0; i < WRITERS; i++) {
        c->writers[i] = (struct writer){.conn = rig_connect(r, "app_user"),
                                        .seed = (unsigned)i + 7,
                                        .forms = forms,
                                        .stop = &c->stop,
                                        .new_code = &c->new_code};
        pthread_create(&c->threads[i], NULL, write_at_random, &c->writers[i]);
    }
}

static void end_writing(struct crowd *c)
{
    long writes = 0;
    atomic_store(&c->stop, true);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(c->threads[i], NULL);
        mysql_close(c->writers[i].conn);
        writes += c->writers[i].writes;
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_string_equal(c->writers[i].error, "");
    }
    assert_true(writes > WRITES_MIN);
}

static void until_done(struct rig *r, enum agent_run run, uint32_t step, uint32_t rows)
{
    enum agent_outcome outcome;
    do {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, run, step, rows);
        outcome = result->outcome;
        if (outcome != AGENT_LOCK && outcome != AGENT_RETRY) {
            rig_expect(result, AGENT_OK);
        }
        agent_result_free(result);
    } while (outcome != AGENT_OK);
}

/* Installs step 1 and walks step 2 while all write. */
static void backfill_under_writers(struct rig *r, const struct forms *forms)
{
    struct crowd c;
    begin_writing(r, &c, forms);
    r->lock_wait_ms = 500;
    until_done(r, AGENT_RUN_INSTALL_SYNC, 1, 0);
    atomic_store(&c.new_code, true);
    until_done(r, AGENT_RUN_BOUND, 2, 0);
    while (!r->walked) {
        until_done(r, AGENT_RUN_BATCH, 2, 40);
    }
    end_writing(&c);
}

static void two_columns(struct rig *r, const char *name_type, const char *full_name_type)
{
    rig_sql(r, "CREATE TABLE users (id bigint AUTO_INCREMENT PRIMARY KEY, name %s, age int DEFAULT 0, full_name %s)",
            name_type, full_name_type);
    rig_sql(r, "INSERT INTO users (id, name) WITH RECURSIVE g AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM g WHERE i <"
               " 50) SELECT (a.i - 1) * 50 + b.i, CONCAT('s', (a.i - 1) * 50 + b.i) FROM g a CROSS JOIN g b");
    rig_plan(r, "users", 2);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_copy(r, 2, ZDM_ACTION_BACKFILL, "full_name", "name");
    rig_accept(r, 1);
}

static void columns_are_identical_after_concurrent_writers_and_a_backfill(void **state)
{
    static const char *const sql[] = {
        "INSERT INTO users (id, name) VALUES (%d, 'n%d') ON DUPLICATE KEY UPDATE name = VALUES(name)",
        "UPDATE users SET name = 'u%2$d' WHERE id = %1$d",
        "UPDATE users SET name = UPPER(name) WHERE id BETWEEN %1$d AND %1$d + 3",
        "DELETE FROM users WHERE id = %d",
        "UPDATE users SET id = id + 3000 + %2$d WHERE id = %1$d",
        "UPDATE users SET age = age + 1 WHERE id = %d",
        "REPLACE INTO users (id, name) VALUES (%d, 'r%d ')",
        "INSERT IGNORE INTO users (id, name) VALUES (%1$d, 'i%2$d'), (1000 + %3$d, 'j')",
        "UPDATE IGNORE users SET id = id + 1 WHERE id = %d",
        "INSERT IGNORE INTO users (id, full_name) VALUES (%1$d, 'f%2$d'), (1000 + %3$d, 'm')",
        "UPDATE users SET full_name = 'w%2$d' WHERE id BETWEEN %1$d AND %1$d + 5",
        "INSERT INTO users (id, full_name) VALUES (%d, 'x') ON DUPLICATE KEY UPDATE full_name = CONCAT('Y', id)",
        "UPDATE users SET full_name = LOWER(full_name) WHERE id = %d",
        "REPLACE INTO users (id, full_name) VALUES (%d, 'q%d')",
    };
    struct rig *r = *state;
    two_columns(r, "varchar(40) NOT NULL", "varchar(40)");
    rig_sql(r, "CREATE TRIGGER app BEFORE UPDATE ON users FOR EACH ROW SET NEW.age = COALESCE(NEW.age, 0) + 1");
    backfill_under_writers(r, &(struct forms){sql, 9, 14});
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM users WHERE NOT (CAST(name AS BINARY) <=> CAST(full_name AS"
                                   " BINARY))"),
                     0);
}

/* The old column holds five characters of latin1: where the new value is none such the two differ, and nowhere else. */
static void guarded_reverse_never_fails_a_writer_and_differs_only_where_it_must(void **state)
{
    static const char *const sql[] = {
        "INSERT INTO users (id, name) VALUES (%d, LEFT('n%d', 5)) ON DUPLICATE KEY UPDATE name = VALUES(name)",
        "UPDATE users SET name = LEFT('\xc3\xbc%2$d', 5) WHERE id = %1$d",
        "DELETE FROM users WHERE id = %d",
        "UPDATE users SET id = id + 3000 + %2$d WHERE id = %1$d",
        "UPDATE users SET age = age + 1 WHERE id = %d",
        "INSERT IGNORE INTO users (id, full_name) VALUES (%1$d, LEFT('f%2$d', 5)), (1000 + %3$d, 'm')",
        "UPDATE users SET full_name = 'much too long %2$d' WHERE id BETWEEN %1$d AND %1$d + 5",
        "UPDATE users SET full_name = '\xf0\x9f\x98\x80' WHERE id = %1$d",
        "INSERT INTO users (id, full_name) VALUES (%d, 'x') ON DUPLICATE KEY UPDATE full_name = 'longer than y'",
    };
    struct rig *r = *state;
    two_columns(r, "varchar(5) CHARACTER SET latin1 NOT NULL", "text CHARACTER SET utf8mb4");
    backfill_under_writers(r, &(struct forms){sql, 5, 9});
    assert_int_equal(rig_number(r,
                                "SELECT COUNT(*) FROM users WHERE full_name IS NULL OR (CHAR_LENGTH(full_name) <= 5"
                                " AND full_name NOT LIKE '\xf0\x9f\x98\x80' AND NOT (CAST(CONVERT(name USING utf8mb4)"
                                " AS BINARY) <=> CAST(full_name AS BINARY)))"),
                     0);
    assert_true(rig_number(r, "SELECT COUNT(*) FROM users WHERE CHAR_LENGTH(full_name) > 5") > 0);
}

/* What the whole UPDATE would give if it ran at the end, row for row. */
static void forward_with_a_filter_is_what_the_update_would_give_at_the_end(void **state)
{
    static const char *const sql[] = {
        "INSERT INTO users (id, name, age) VALUES (%d, ' N%d ', 1) ON DUPLICATE KEY UPDATE name = VALUES(name), age = "
        "1 "
        "- age",
        "UPDATE users SET name = ' U%2$d' WHERE id BETWEEN %1$d AND %1$d + 3",
        "DELETE FROM users WHERE id = %d",
        "UPDATE users SET id = id + 3000 + %2$d WHERE id = %1$d",
        "UPDATE users SET age = 1 - age WHERE id = %d",
        "UPDATE users SET age = NULL, name = 'Z%2$d' WHERE id = %1$d",
        "REPLACE INTO users (id, name, age) VALUES (%1$d, 'M%2$d', 0), (1000 + %3$d, 'O', 1)",
    };
    static const char *const sources[] = {"name", "age"};
    struct rig *r = *state;
    two_columns(r, "varchar(40)", "varchar(40)");
    rig_sql(r, "UPDATE users SET age = id %% 3 > 0");
    rig_plan(r, "users", 2);
    for (uint32_t i = 1; i <= 2; i++) {
        struct zdm_derivation *d = rig_derive(r, i, i == 1 ? ZDM_ACTION_SYNC_INSTALL : ZDM_ACTION_BACKFILL, "full_name",
                                              "LOWER(TRIM(t.`name`))", "LOWER(TRIM(NEW.`name`))", sources, 2);
        d->filter = strdup("t.`age` = 1");
        d->filter_new = strdup("NEW.`age` = 1");
        d->filter_old = strdup("OLD.`age` = 1");
    }
    rig_accept(r, 2);
    backfill_under_writers(r, &(struct forms){sql, 7, 7});
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM users WHERE NOT (CAST(full_name AS BINARY) <=> CAST(CASE WHEN"
                                   " age = 1 THEN LOWER(TRIM(name)) END AS BINARY))"),
                     0);
}

/* Dropped in every phase: the application goes on, and the columns stay in step. */
static void application_goes_on_without_the_agents_account(void **state)
{
    static const char *const sql[] = {
        "INSERT INTO users (id, name) VALUES (%d, 'n%d') ON DUPLICATE KEY UPDATE name = VALUES(name)",
        "UPDATE users SET name = 'u%2$d' WHERE id = %1$d",
        "INSERT INTO users (id, full_name) VALUES (%d, 'x') ON DUPLICATE KEY UPDATE full_name = CONCAT('Y', id)",
        "UPDATE users SET full_name = 'w%2$d' WHERE id = %1$d",
    };
    static const enum agent_run runs[] = {AGENT_RUN_INSTALL_SYNC, AGENT_RUN_HIDE};
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id bigint AUTO_INCREMENT PRIMARY KEY, name varchar(40) NOT NULL, age int DEFAULT 0,"
               " full_name varchar(40))");
    rig_plan(r, "users", 2);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_ddl(r, 2, ZDM_ACTION_HIDE_COLUMN, "name", "name", NULL)->sync_step = 1;
    rig_accept(r, 1);
    r->lock_wait_ms = 1000;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        struct crowd c;
        until_done(r, runs[i], (uint32_t)i + 1, 0);
        rig_sql(r, "RENAME USER zdm_agent@'%%' TO zdm_was@'%%'");
        begin_writing(r, &c, &(struct forms){sql + 2 * i, i == 0 ? 4 : 2, i == 0 ? 4 : 2});
        while (c.writers[0].writes < 200) {
            (void)sched_yield();
        }
        rig_sql(r, "RENAME USER zdm_was@'%%' TO zdm_agent@'%%'");
        end_writing(&c);
        assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM users WHERE NOT (CAST(name AS BINARY) <=> CAST(full_name"
                                       " AS BINARY))"),
                         0);
    }
}

RIG_MAIN(RIG_TEST(columns_are_identical_after_concurrent_writers_and_a_backfill),
         RIG_TEST(guarded_reverse_never_fails_a_writer_and_differs_only_where_it_must),
         RIG_TEST(forward_with_a_filter_is_what_the_update_would_give_at_the_end),
         RIG_TEST(application_goes_on_without_the_agents_account))
