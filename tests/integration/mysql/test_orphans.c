/*
 * test_orphans.c - the rows of a foreign key are read in chunks: whatever the key, none is passed over, and an attempt
 * that was cut off goes on where it was.
 */
#include "tests/integration/mysql/walk_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MANY = 400000 };

/* child (key, place) of places; the foreign key is there, and validating it is the step at hand. */
static void children(struct rig *r, const char *key, const char *values, long n)
{
    rig_numbers(r);
    rig_sql(r, "CREATE TABLE places (id int PRIMARY KEY)");
    rig_sql(r, "INSERT INTO places SELECT g FROM n WHERE g < 100");
    rig_sql(r, "CREATE TABLE child (%s, place int, INDEX (place))", key);
    rig_sql(r,
            "INSERT INTO child SELECT %s, x.i %% 100 FROM (SELECT a.g * 10000 + b.g AS i FROM n a CROSS JOIN n b"
            " WHERE a.g <= %ld DIV 10000) AS x WHERE x.i < %ld",
            values, n, n);
    rig_plan(r, "child", 2);
    struct zdm_step *step =
        rig_ddl(r, 1, ZDM_ACTION_ADD_FOREIGN_KEY, NULL, "fk",
                "ALTER TABLE `child` ADD CONSTRAINT `fk` FOREIGN KEY (`place`) REFERENCES `places` (`id`)");
    step->others = calloc(1, sizeof *step->others);
    step->others[0] = (struct zdm_table){.schema = zdm_strdup(""), .name = zdm_strdup("places")};
    step->n_others = 1;
    step->inverse = ZDM_INVERSE_SQL;
    step->inverse_sql = zdm_strdup("ALTER TABLE `child` DROP FOREIGN KEY `fk`");
    rig_ddl(r, 2, ZDM_ACTION_VALIDATE, NULL, "fk", "SELECT 1");
    rig_accept(r, 1);
    r->lock_wait_ms = 1000;
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
}

static void orphan(struct rig *r, const char *where)
{
    rig_sql(r, "SET foreign_key_checks = 0; UPDATE child SET place = 777 WHERE %s; SET foreign_key_checks = 1", where);
}

static void finds_the_orphan(struct rig *r, const char *where)
{
    orphan(r, where);
    rig_refused(r, AGENT_RUN_VALIDATE, 2, "The first one: 777");
    assert_int_equal(r->journal_step, 1);
}

static void last_row_of_many_chunks_is_found(void **state)
{
    struct rig *r = *state;
    children(r, "id int PRIMARY KEY", "x.i", 20000);
    finds_the_orphan(r, "id = 19999");
}

static void first_row_is_found(void **state)
{
    struct rig *r = *state;
    children(r, "id int PRIMARY KEY", "x.i", 20000);
    finds_the_orphan(r, "id = 0");
}

static void row_at_the_edge_of_a_chunk_of_a_key_of_texts_is_found(void **state)
{
    struct rig *r = *state;
    children(r, "a varchar(9), b varbinary(9), PRIMARY KEY (a, b)", "CONCAT('T', x.i DIV 100), CONCAT(x.i % 100)",
             9000);
    char *edge = strdup(rig_value(r, "SELECT CONCAT('a = ''', a, ''' AND b = ''', b, '''') FROM child ORDER BY a, b"
                                     " LIMIT 1 OFFSET 1999"));
    finds_the_orphan(r, edge);
    free(edge);
}

static void table_without_a_key_is_read_at_once(void **state)
{
    struct rig *r = *state;
    children(r, "id int", "x.i", 3000);
    finds_the_orphan(r, "id = 2999");
}

static void null_has_no_parent_to_look_for(void **state)
{
    struct rig *r = *state;
    children(r, "id int PRIMARY KEY", "x.i", 3000);
    rig_sql(r, "UPDATE child SET place = NULL WHERE id %% 2 = 0");
    rig_run(r, AGENT_RUN_VALIDATE, 2, AGENT_OK);
    rig_inspect(r, 2, AGENT_PROOF_DONE);
}

static long cursor_of(struct rig *r)
{
    return rig_number(r, "SELECT COALESCE(MAX(CAST(TRIM(BOTH '\"' FROM SUBSTRING_INDEX(SUBSTRING_INDEX(`cursor`, '[',"
                         " -1), ']', 1)) AS SIGNED)), -1) FROM zdm.migration WHERE home = DATABASE()");
}

/* What lies behind the cursor is not read again, or the second attempt would find what is planted there. */
static void attempt_that_was_cut_off_goes_on_where_it_was(void **state)
{
    struct rig *r = *state;
    char where[64];
    children(r, "id int PRIMARY KEY", "x.i", MANY);
    uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_VALIDATE, 2, 0);
    while (cursor_of(r) < 0) {
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    rig_kill_agent(r);
    struct agent_result *cut = rig_await(r, op);
    assert_int_not_equal(cut->outcome, AGENT_OK);
    agent_result_free(cut);
    long cursor = cursor_of(r);
    assert_true(cursor >= 1999 && cursor < MANY - 1);
    snprintf(where, sizeof where, "id = %ld", cursor);
    orphan(r, where);
    rig_connect_engine(r);
    rig_reload(r);
    rig_run(r, AGENT_RUN_VALIDATE, 2, AGENT_OK);
    assert_int_equal(r->journal_step, 3);
}

static void cursor_of_another_key_counts_for_nothing(void **state)
{
    struct rig *r = *state;
    children(r, "id int PRIMARY KEY", "x.i", 20000);
    rig_sql(r, "UPDATE zdm.migration SET `cursor` = '[\"5000\"]', walk_key = 'another key' WHERE home = DATABASE()");
    rig_reload(r);
    finds_the_orphan(r, "id = 100");
}

RIG_MAIN(RIG_TEST(last_row_of_many_chunks_is_found), RIG_TEST(first_row_is_found),
         RIG_TEST(row_at_the_edge_of_a_chunk_of_a_key_of_texts_is_found), RIG_TEST(table_without_a_key_is_read_at_once),
         RIG_TEST(null_has_no_parent_to_look_for), RIG_TEST(attempt_that_was_cut_off_goes_on_where_it_was),
         RIG_TEST(cursor_of_another_key_counts_for_nothing))
