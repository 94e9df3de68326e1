/*
 * test_walk.c - backfills over every shape of key, their counts and locks, the index that they walk by, and the check
 * that compares.
 */
#include "tests/integration/mysql/walk_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A table with these key columns, two plain columns and a backfill of b := upper(a). */
static void make(struct rig *r, const char *columns, const char *rows)
{
    static const char *const sources[] = {"a"};
    rig_sql(r, "CREATE TABLE w (%s, a varchar(60), b varchar(60), c int NOT NULL DEFAULT 0); %s", columns, rows);
    rig_plan(r, "w", 2);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "b", "upper(t.`a`)", "upper(NEW.`a`)", sources, 1);
    rig_derive(r, 2, ZDM_ACTION_CHECK_COMPARE, "b", "upper(t.`a`)", "upper(NEW.`a`)", sources, 1);
    rig_accept(r, 1);
}

static long wrong(struct rig *r)
{
    return rig_number(r, "SELECT COUNT(*) FROM w WHERE NOT (CAST(b AS BINARY) <=> CAST(UPPER(a) AS BINARY))");
}

/* Walks in batches of 37: all rows changed, in as few batches as rows need, and the comparison agrees. */
static void walk_all(struct rig *r)
{
    long rows = rig_number(r, "SELECT COUNT(*) FROM w");
    unsigned batches = rig_walk(r, 1, 37);
    assert_int_equal(batches, rows / 37 + 1);
    assert_int_equal(wrong(r), 0);
    assert_int_equal(rig_number(r, "SELECT rows_done FROM zdm.migration WHERE home = DATABASE()"), rows);
    assert_int_equal(rig_number(r, "SELECT rows_total FROM zdm.migration WHERE home = DATABASE()"), rows);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    assert_int_equal(r->journal_step, 2);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
    rig_walk(r, 2, 50);
    rig_inspect(r, 2, AGENT_PROOF_DONE);
}

/* ---- Keys ---- */

struct shape {
    const char *columns, *rows; /* rows: SELECT … of the key's columns and a; from n where g is between 1 and 200 */
    const char *names;          /* of the key's columns */
};

static const struct shape shapes[] = {
    {"id int PRIMARY KEY", "g - 100, CONCAT('v', g)", "id"},
    {"id bigint PRIMARY KEY", "g * 1000000007, CONCAT('v', g)", "id"},
    {"id bigint unsigned PRIMARY KEY", "18446744073709551615 - g * 3, CONCAT('v', g)", "id"},
    {"id decimal(30,6) PRIMARY KEY", "(g - 90) * 100000000000000000000.000001, 'v'", "id"},
    {"id varchar(40) COLLATE utf8mb4_general_ci PRIMARY KEY",
     "CONCAT(ELT(1 + g % 8, 'a', 'B', 'é', 'Z', 'ä', '''', '\\\\', '\"'), g), 'v'", "id"},
    {"id varchar(40) COLLATE utf8mb4_bin PRIMARY KEY",
     "CONCAT(ELT(1 + g % 6, 'a', 'B', '😀', 'é', ' ', 'ö'), g, REPEAT(' ', g % 3)), 'v'", "id"},
    {"id varchar(40) CHARACTER SET latin1 PRIMARY KEY", "CONCAT(ELT(1 + g % 5, 'a', 'é', 'Ü', 'ß', 'z'), g), 'v'",
     "id"},
    {"id char(20) CHARACTER SET utf8mb3 PRIMARY KEY", "CONCAT(ELT(1 + g % 3, 'a', 'é', ''), g), 'v'", "id"},
    {"id binary(16) PRIMARY KEY", "UNHEX(LEFT(SHA2(g, 256), 32)), 'v'", "id"},
    {"id varbinary(20) PRIMARY KEY", "CONCAT(UNHEX('00FF27'), CAST(g AS BINARY)), 'v'", "id"},
    {"id datetime(6) PRIMARY KEY", "'2024-11-03' + INTERVAL g * 60000001 MICROSECOND, 'v'", "id"},
    {"id timestamp PRIMARY KEY", "'2024-10-27 00:00:00' + INTERVAL g * 53 SECOND, 'v'", "id"},
    {"id date PRIMARY KEY", "'0001-01-01' + INTERVAL g DAY, 'v'", "id"},
    {"id time PRIMARY KEY", "SEC_TO_TIME((g - 100) * 3601), 'v'", "id"},
    {"id bit(20) PRIMARY KEY", "g * 5, 'v'", "id"},
    {"m enum('zero', 'b', 'a', 'it''s') NOT NULL, id int, PRIMARY KEY (m, id)", "1 + g % 4, g, 'v'", "m, id"},
    {"s set('z', 'a', 'm') NOT NULL, id int, PRIMARY KEY (s, id)", "g % 8, g, 'v'", "s, id"},
    {"x int, y varchar(9), PRIMARY KEY (x, y)", "g % 7, CONCAT('k', g), 'v'", "x, y"},
    {"x smallint, y date, z binary(2), PRIMARY KEY (z, x, y)",
     "g % 5, '2020-01-01' + INTERVAL g % 11 DAY, UNHEX(LPAD(HEX(g % 6), 4, '0')), 'v'", "x, y, z"},
    {"`a ``key` int NOT NULL, id2 int, UNIQUE KEY `by ``it` (`a ``key`)", "g, g, 'v'", "`a ``key`, id2"},
    {"id int, p int, PRIMARY KEY (id, p)) PARTITION BY HASH (p) PARTITIONS 3 -- ", "g, g % 5, 'v'", "id, p"},
    /* MariaDB alone: */
    {"id uuid PRIMARY KEY", RIG_UUID("g") ", 'v'", "id"},
    {"x int, u uuid, PRIMARY KEY (x, u)", "g % 7, " RIG_UUID("g") ", 'v'", "x, u"},
    {"id inet6 PRIMARY KEY", "CONCAT(ELT(1 + g % 3, '2001:db8::', '::ffff:10.0.0.', '::'), g), 'v'", "id"},
    {"id inet4 PRIMARY KEY", "CONCAT(g % 7, '.200.', g % 2, '.', g), 'v'", "id"},
};

static void make_shape(struct rig *r, const struct shape *s)
{
    static const char *const sources[] = {"a"};
    const char *partitions = strstr(s->columns, ") PARTITION");
    int n = partitions == NULL ? (int)strlen(s->columns) : (int)(partitions - s->columns);
    rig_sql(r, "CREATE TABLE w (%.*s, a varchar(60), b varchar(60), c int NOT NULL DEFAULT 0) %s", n, s->columns,
            partitions == NULL ? "" : "PARTITION BY HASH (p) PARTITIONS 3");
    rig_sql(r, "INSERT INTO w (%s, a) SELECT DISTINCT %s FROM n WHERE g BETWEEN 1 AND 200", s->names, s->rows);
    rig_plan(r, "w", 2);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "b", "upper(t.`a`)", "upper(NEW.`a`)", sources, 1);
    rig_derive(r, 2, ZDM_ACTION_CHECK_COMPARE, "b", "upper(t.`a`)", "upper(NEW.`a`)", sources, 1);
    rig_accept(r, 1);
}

static void every_kind_of_key_is_walked(void **state)
{
    struct rig *r = *state;
    rig_numbers(r);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes - (rig_is_mariadb(r) ? 0 : 4); i++) {
        make_shape(r, &shapes[i]);
        walk_all(r);
        rig_sql(r, "DROP TABLE w; DELETE FROM zdm.migration WHERE home = DATABASE()");
    }
}

/* A key that differs from another in its case alone cannot be there; the cursor means the row whatever its case. */
static void cursor_means_the_row_whatever_its_case(void **state)
{
    struct rig *r = *state;
    rig_numbers(r);
    make(r, "id varchar(20) COLLATE utf8mb4_general_ci PRIMARY KEY",
         "INSERT INTO w (id, a) SELECT CONCAT('key ', LPAD(g, 4, '0'), IF(g % 2, ' ', '')), 'v' FROM n WHERE g < 100");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 10));
    rig_app(r, "UPDATE w SET id = UPPER(id)");
    while (!r->walked) {
        agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 10));
    }
    assert_int_equal(wrong(r), 0);
    assert_int_equal(rig_number(r, "SELECT rows_done FROM zdm.migration WHERE home = DATABASE()"), 100);
}

static void table_without_a_usable_key_is_refused(void **state)
{
    struct rig *r = *state;
    make(r, "k int, p int NOT NULL, q varchar(20) NOT NULL, UNIQUE (k), UNIQUE (q(5))", "");
    rig_refused(r, AGENT_RUN_BOUND, 1, "has no key to walk by");
    rig_sql(r, "DROP TABLE w; CREATE TABLE w (k double PRIMARY KEY, a text, b text)");
    rig_refused(r, AGENT_RUN_BOUND, 1, "cannot be walked by k");
    rig_sql(r, "DROP TABLE w; CREATE TABLE w (k int PRIMARY KEY, a text, b text) ENGINE=MyISAM");
    rig_refused(r, AGENT_RUN_BOUND, 1, "not by InnoDB");
    rig_sql(r, "DROP TABLE w; CREATE TABLE w (k timestamp(6) NOT NULL DEFAULT '2000-01-01' ON UPDATE"
               " CURRENT_TIMESTAMP(6) PRIMARY KEY, a text, b text)");
    rig_refused(r, AGENT_RUN_BOUND, 1, "which every UPDATE sets to the time");
}

static void empty_table_is_walked_at_once(void **state)
{
    struct rig *r = *state;
    make(r, "id int PRIMARY KEY", "");
    assert_int_equal(rig_walk(r, 1, 10), 0);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
}

/* ---- The index ---- */

/* Rows that the server has read for the agent's statements since the last look. */
static long rows_read(struct rig *r)
{
    static long before;
    long now = rig_number(r,
                          "SELECT SUM(variable_value) FROM %s.global_status WHERE variable_name IN"
                          " ('Handler_read_next', 'Handler_read_rnd_next', 'Handler_read_prev')",
                          rig_is_mariadb(r) ? "information_schema" : "performance_schema");
    long read = now - before;
    before = now;
    return read;
}

static void composite_key_reads_the_rows_of_its_batch_alone(void **state)
{
    struct rig *r = *state;
    rig_numbers(r);
    make(r, "x int, y enum('b', 'a', 'c'), z varchar(20), PRIMARY KEY (x, y, z)",
         "INSERT INTO w (x, y, z, a) SELECT g DIV 2000, 1 + g % 3, CONCAT('k', g), 'v' FROM n");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    for (int i = 0; i < 20; i++) {
        agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 100));
    }
    long idle = (rows_read(r), rows_read(r));
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 100);
    long read = rows_read(r) - idle;
    assert_int_equal(result->rows_changed, 100);
    agent_result_free(result);
    /* The end of the batch, the batch, and what the catalogue and the journal are asked. A scan would read 10000. */
    if (read > 4000) {
        fail_msg("a batch of 100 rows has read %ld", read);
    }
}

/* ---- What is changed ---- */

static void rows_with_filter_and_guard_only_are_changed(void **state)
{
    struct rig *r = *state;
    rig_numbers(r);
    make(r, "id int PRIMARY KEY",
         "INSERT INTO w SELECT g, 'v', IF(g <= 10, 'mine', NULL), g FROM n WHERE g BETWEEN 1 AND 100");
    struct zdm_derivation *d = rig_step(r, 1)->derivation;
    d->filter = strdup("t.`c` <= 50");
    d->guard = strdup("t.`b` IS NULL");
    rig_walk(r, 1, 30);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM w WHERE b = 'V'"), 40);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM w WHERE b = 'mine'"), 10);
}

/* To the collation they are the same: ANN and ann. */
static void value_that_differs_in_its_case_alone_is_changed(void **state)
{
    struct rig *r = *state;
    make(r, "id int PRIMARY KEY",
         "INSERT INTO w (id, a, b) VALUES (1, 'ann', 'ann'), (2, 'ann', 'ANN'), (3, 'x', 'X ')");
    struct agent_result *result = NULL;
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 10);
    assert_int_equal(result->rows_changed, 2);
    assert_int_equal(result->rows_walked, 3);
    agent_result_free(result);
    assert_int_equal(wrong(r), 0);
}

static void batch_that_is_not_idempotent_counts_every_row_once(void **state)
{
    struct rig *r = *state;
    rig_numbers(r);
    make(r, "id int PRIMARY KEY", "INSERT INTO w (id, a) SELECT g, 'v' FROM n WHERE g < 500");
    struct zdm_derivation *d = rig_step(r, 1)->derivation;
    free(d->assignments[0].target);
    free(d->assignments[0].expr);
    d->assignments[0].target = strdup("c");
    d->assignments[0].expr = strdup("t.`c` + 1");
    d->idempotent = false;
    r->locked_form = true;
    rig_walk(r, 1, 64);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM w WHERE c <> 1"), 0);
}

/* An error in the middle of a batch takes all of it back, the rows before it included. */
static void batch_that_fails_leaves_nothing(void **state)
{
    struct rig *r = *state;
    rig_numbers(r);
    make(r, "id int PRIMARY KEY",
         "INSERT INTO w (id, a) SELECT g, IF(g = 50, REPEAT('v', 60), 'v') FROM n WHERE g < 100");
    rig_sql(r, "ALTER TABLE w MODIFY b varchar(30)");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    rig_refused(r, AGENT_RUN_BATCH, 1, "Data too long");
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 80);
    assert_string_equal(agent_outcome_name(result->outcome), "fail");
    agent_result_free(result);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM w WHERE b IS NOT NULL"), 0);
    assert_string_equal(rig_value(r, "SELECT `cursor` FROM zdm.migration WHERE home = DATABASE()"), "NULL");
}

/* ---- Others at the same time ---- */

/* The server looks anew when nobody has looked for 100 ms. A wait ends by itself after a second. */
static void wait_for_row_lock(struct rig *r)
{
    nanosleep(&(struct timespec){.tv_nsec = 150000000}, NULL);
    while (rig_number(r, "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'") == 0) {
        nanosleep(&(struct timespec){.tv_nsec = 150000000}, NULL);
    }
}

/* The server would roll back the statement alone and keep the rest (1205). */
static void batch_that_waits_too_long_for_a_row_is_rolled_back_whole(void **state)
{
    struct rig *r = *state;
    rig_numbers(r);
    make(r, "id int PRIMARY KEY", "INSERT INTO w (id, a) SELECT g, 'v' FROM n WHERE g < 100");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    rig_app(r, "START TRANSACTION; UPDATE w SET c = 7 WHERE id = 15");
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 20);
    assert_string_equal(agent_outcome_name(result->outcome), "lock");
    agent_result_free(result);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM w WHERE b IS NOT NULL"), 0);
    rig_app(r, "COMMIT");
    rig_walk(r, 1, 20);
    assert_int_equal(wrong(r), 0);
}

static void second_generation_in_the_middle_of_a_batch_rolls_it_back(void **state)
{
    struct rig *r = *state;
    rig_numbers(r);
    make(r, "id int PRIMARY KEY", "INSERT INTO w (id, a) SELECT g, 'v' FROM n WHERE g < 100");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    rig_app(r, "START TRANSACTION; UPDATE w SET c = 7 WHERE id = 5");
    uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 20);
    wait_for_row_lock(r);
    agent_result_free(rig_try_accept(r, 1, 2, 1, 2));
    rig_app(r, "COMMIT");
    struct agent_result *result = rig_await(r, op);
    assert_string_equal(agent_outcome_name(result->outcome), "fenced");
    agent_result_free(result);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM w WHERE b IS NOT NULL"), 0);
    assert_string_equal(rig_value(r, "SELECT `cursor` FROM zdm.migration WHERE home = DATABASE()"), "NULL");
    rig_run(r, AGENT_RUN_BATCH, 1, AGENT_OK);
}

/* READ COMMITTED: neither the row behind the batch nor a gap in it is held. */
static void batch_holds_no_row_but_its_own(void **state)
{
    struct rig *r = *state;
    rig_numbers(r);
    make(r, "id int PRIMARY KEY", "INSERT INTO w (id, a) SELECT g * 10, 'v' FROM n WHERE g < 100");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    rig_app(r, "START TRANSACTION; UPDATE w SET c = 7 WHERE id = 190");
    uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 20);
    wait_for_row_lock(r);
    MYSQL *other = rig_connect(r, "app_user");
    rig_exec(other, "SET innodb_lock_wait_timeout = 1; INSERT INTO w (id, a) VALUES (55, 'v'), (195, 'v');"
                    "UPDATE w SET c = 8 WHERE id = 200; DELETE FROM w WHERE id = 55");
    mysql_close(other);
    rig_app(r, "COMMIT");
    struct agent_result *result = rig_await(r, op);
    assert_string_equal(agent_outcome_name(result->outcome), "ok");
    agent_result_free(result);
}

static void batch_with_a_cursor_of_the_past_is_fenced(void **state)
{
    struct rig *r = *state;
    rig_numbers(r);
    make(r, "id int PRIMARY KEY", "INSERT INTO w (id, a) SELECT g, 'v' FROM n WHERE g < 100");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 10));
    free(r->cursor);
    r->cursor = NULL;
    rig_run(r, AGENT_RUN_BATCH, 1, AGENT_FENCED);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM w WHERE b IS NOT NULL"), 10);
}

static void triggers_of_the_application_cannot_be_skipped(void **state)
{
    struct rig *r = *state;
    make(r, "id int PRIMARY KEY", "INSERT INTO w (id, a) VALUES (1, 'v')");
    rig_step(r, 1)->skip_triggers = true;
    rig_refused(r, AGENT_RUN_BOUND, 1, "Leave {triggers=skip} out");
}

/* ---- Checks ---- */

static void comparison_finds_a_row_that_differs_and_names_it(void **state)
{
    struct rig *r = *state;
    rig_numbers(r);
    make(r, "id int PRIMARY KEY",
         "INSERT INTO w (id, a, b) SELECT g, CONCAT('v', g), IF(g = 77, 'v77', CONCAT('V', g)) FROM n WHERE g < 100");
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_BOUND, 2, AGENT_OK);
    rig_refused(r, AGENT_RUN_CHECK_CHUNK, 2, "[\"77\"]");
}

static void check_query_must_return_nothing(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE q (id int PRIMARY KEY, v text); INSERT INTO q VALUES (1, 'bad'), (2, 'bad')");
    rig_plan(r, "q", 1);
    rig_ddl(r, 1, ZDM_ACTION_CHECK_QUERY, NULL, NULL, "SELECT q.id, v, q.id FROM q WHERE v = 'bad' ORDER BY 1\n");
    rig_accept(r, 1);
    rig_refused(r, AGENT_RUN_CHECK_CHUNK, 1, "id=1, v=bad, id=1");
    rig_sql(r, "DELETE FROM q");
    rig_run(r, AGENT_RUN_CHECK_CHUNK, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
}

/* ---- Keys that change ---- */

static void changed_key_starts_an_idempotent_walk_again(void **state)
{
    struct rig *r = *state;
    rig_numbers(r);
    make(r, "id int PRIMARY KEY", "INSERT INTO w (id, a) SELECT g, 'v' FROM n WHERE g < 100");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 10));
    rig_sql(r, "ALTER TABLE w MODIFY id bigint");
    rig_connect_engine(r);
    agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 10));
    assert_null(r->cursor);
    assert_null(r->bound);
    rig_walk(r, 1, 50);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM w WHERE b IS NULL"), 0);
}

/* A value that is not the same twice: rows that have one keep it, also from the beginning. */
static void value_that_is_filled_once_is_kept(void **state)
{
    struct rig *r = *state;
    rig_numbers(r);
    rig_sql(r, "CREATE TABLE w (id int PRIMARY KEY, token varchar(40) NOT NULL DEFAULT 'é', e enum('b', 'a') NOT NULL"
               " DEFAULT 'a'); INSERT INTO w (id) SELECT g FROM n WHERE g < 500; UPDATE w SET token = 'mine' WHERE id ="
               " 77");
    rig_plan(r, "w", 1);
    struct zdm_derivation *d =
        rig_derive(r, 1, ZDM_ACTION_BACKFILL, "token", "uuid()", NULL, (const char *const[]){NULL}, 0);
    d->assignments[0].fill_once = true;
    d->assignments[0].initial = strdup("'é'");
    rig_accept(r, 1);
    rig_walk(r, 1, 60);
    char *first = strdup(rig_value(r, "SELECT SHA2(GROUP_CONCAT(token ORDER BY id), 256) FROM w WHERE id < 20"));
    rig_walk(r, 1, 60);
    assert_string_equal(rig_value(r, "SELECT SHA2(GROUP_CONCAT(token ORDER BY id), 256) FROM w WHERE id < 20"), first);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM w WHERE token = 'é'"), 0);
    assert_string_equal(rig_value(r, "SELECT token FROM w WHERE id = 77"), "mine");
    assert_int_equal(rig_number(r, "SELECT COUNT(*) - COUNT(DISTINCT token) FROM w"), 0);
    free(first);
}

/* ---- The way back of a sync that was removed ---- */

/* While no triggers stood guard, the new column was the truth. */
static void old_column_catches_up_after_its_sync_was_installed_again(void **state)
{
    struct rig *r = *state;
    rig_numbers(r);
    rig_sql(r, "CREATE TABLE w (id int PRIMARY KEY, name varchar(10) NOT NULL DEFAULT '', full_name varchar(50) NULL);"
               "INSERT INTO w SELECT g, CONCAT('n', g), CONCAT('n', g) FROM n WHERE g < 300");
    rig_plan(r, "w", 2);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_ddl(r, 2, ZDM_ACTION_SYNC_REMOVE, NULL, NULL, NULL)->sync_step = 1;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_REMOVE_SYNC, 2, AGENT_OK);
    rig_app(r, "UPDATE w SET full_name = CONCAT('N', id) WHERE id %% 3 = 0; UPDATE w SET full_name = 'longer than ten"
               " letters' WHERE id = 7; UPDATE w SET full_name = NULL WHERE id = 8");
    rig_back(r, 2, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNDO_REMOVE);
    rig_undo(r, 2);
    assert_string_equal(r->remark, "100 rows were brought in step with the new column; 2 rows were left, since the old"
                                   " column cannot hold the new value");
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM w WHERE NOT (CAST(name AS BINARY) <=> CAST(full_name AS"
                                   " BINARY))"),
                     2);
    assert_string_equal(rig_value(r, "SELECT GROUP_CONCAT(name ORDER BY id) FROM w WHERE id IN (3, 7, 8)"), "N3,n7,n8");
}

/* ---- Waits ---- */

static void wait_ends_with_its_time_and_its_condition(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE q (id int PRIMARY KEY)");
    rig_plan(r, "q", 1);
    struct zdm_step *step = rig_ddl(r, 1, ZDM_ACTION_GATE_WAIT, NULL, NULL, NULL);
    step->wait = calloc(1, sizeof *step->wait);
    step->wait->for_ms = 300;
    step->wait->every_ms = 50;
    step->wait->until = strdup("SELECT COUNT(*) > 0 FROM q");
    rig_accept(r, 1);
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_WAIT, 1, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "early");
    assert_true(result->wait_ms > 0 && result->wait_ms <= 300);
    agent_result_free(result);
    nanosleep(&(struct timespec){.tv_nsec = 350000000}, NULL);
    result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_WAIT, 1, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "early");
    assert_string_equal(result->blocker, "the condition answered 0: SELECT COUNT(*) > 0 FROM q");
    agent_result_free(result);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_sql(r, "INSERT INTO q VALUES (1)");
    rig_run(r, AGENT_RUN_WAIT, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.owned WHERE home = DATABASE()"), 0);
}

RIG_MAIN(RIG_TEST(every_kind_of_key_is_walked), RIG_TEST(cursor_means_the_row_whatever_its_case),
         RIG_TEST(table_without_a_usable_key_is_refused), RIG_TEST(empty_table_is_walked_at_once),
         RIG_TEST(composite_key_reads_the_rows_of_its_batch_alone),
         RIG_TEST(rows_with_filter_and_guard_only_are_changed),
         RIG_TEST(value_that_differs_in_its_case_alone_is_changed),
         RIG_TEST(batch_that_is_not_idempotent_counts_every_row_once), RIG_TEST(batch_that_fails_leaves_nothing),
         RIG_TEST(batch_that_waits_too_long_for_a_row_is_rolled_back_whole),
         RIG_TEST(second_generation_in_the_middle_of_a_batch_rolls_it_back), RIG_TEST(batch_holds_no_row_but_its_own),
         RIG_TEST(batch_with_a_cursor_of_the_past_is_fenced), RIG_TEST(triggers_of_the_application_cannot_be_skipped),
         RIG_TEST(comparison_finds_a_row_that_differs_and_names_it), RIG_TEST(check_query_must_return_nothing),
         RIG_TEST(changed_key_starts_an_idempotent_walk_again), RIG_TEST(value_that_is_filled_once_is_kept),
         RIG_TEST(old_column_catches_up_after_its_sync_was_installed_again),
         RIG_TEST(wait_ends_with_its_time_and_its_condition))
