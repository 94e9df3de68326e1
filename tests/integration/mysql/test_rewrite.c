/*
 * test_rewrite.c - tables whose columns no server adds or drops by INSTANT: {rewrite-ok} lets it write them anew in
 * place, and what a rollback or a hide left of such a table can be purged.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/mysql/rig.h"

static void packed(struct rig *r)
{
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name varchar(20), age int) ROW_FORMAT=COMPRESSED");
    rig_sql(r, "INSERT INTO users VALUES (1, 'a', 1), (2, 'b', 2)");
}

static void step_of(struct rig *r, uint32_t ordinal, enum zdm_action action, const char *column, const char *object,
                    const char *sql, bool rewrite_ok)
{
    struct zdm_step *step = rig_ddl(r, ordinal, action, column, object, sql);
    step->engine = ZDM_ENGINE_MYSQL;
    step->rewrite_ok = rewrite_ok;
}

static void adding(struct rig *r, uint32_t version, bool rewrite_ok)
{
    rig_plan(r, "users", 1);
    step_of(r, 1, ZDM_ACTION_ADD_COLUMN, "c", NULL, "ALTER TABLE `users` ADD COLUMN `c` int", rewrite_ok);
    rig_accept(r, version);
}

static long columns(struct rig *r)
{
    return rig_number(r, "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND "
                         "TABLE_NAME = 'users'");
}

static void column_is_added_with_a_persons_word(void **state)
{
    struct rig *r = *state;
    packed(r);
    adding(r, 1, false);
    rig_refused(r, AGENT_RUN_DDL, 1, "Say {rewrite-ok}");
    assert_int_equal(columns(r), 3);
    adding(r, 2, true);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    assert_int_equal(columns(r), 4);
}

/* As the purge of a migration that was rolled back does. */
static void purge_what_is_left(struct rig *r)
{
    r->purge_now = true;
    for (int i = 0; i < 3; i++) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_PURGE_LEFTOVERS, 0, 0);
        print_message("purge of leftovers: %s %s\n", agent_outcome_name(result->outcome), result->error.message);
        assert_true(result->outcome == AGENT_OK || result->outcome == AGENT_ALREADY);
        agent_result_free(result);
    }
}

static void column_that_a_rollback_left_is_purged(void **state)
{
    struct rig *r = *state;
    packed(r);
    adding(r, 1, true);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_undo(r, 1);
    assert_int_equal(columns(r), 4);
    purge_what_is_left(r);
    assert_int_equal(columns(r), 3);
}

static void hiding(struct rig *r, uint32_t version, bool rewrite_ok)
{
    rig_plan(r, "users", 2);
    step_of(r, 1, ZDM_ACTION_HIDE_COLUMN, "age", "age", NULL, rewrite_ok);
    step_of(r, 2, ZDM_ACTION_PURGE_COLUMN, "age", "age", NULL, rewrite_ok);
    rig_accept(r, version);
}

static void column_is_hidden_and_dropped_with_a_persons_word(void **state)
{
    struct rig *r = *state;
    packed(r);
    hiding(r, 1, false);
    rig_refused(r, AGENT_RUN_HIDE, 1, "Say {rewrite-ok}");
    hiding(r, 2, true);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_OK);
    assert_int_equal(columns(r), 2);
}

/* It could be dropped by INSTANT when it was hidden; the fence says nothing. */
static void column_of_a_table_that_was_packed_since_is_dropped_by_hand(void **state)
{
    struct rig *r = *state;
    packed(r);
    rig_sql(r, "ALTER TABLE users ROW_FORMAT=DYNAMIC");
    hiding(r, 1, false);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_sql(r, "ALTER TABLE users ROW_FORMAT=COMPRESSED");
    r->purge_now = true;
    rig_refused(r, AGENT_RUN_PURGE, 2, "yourself at a quiet time");
    rig_sql(r, "ALTER TABLE users DROP COLUMN age");
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_OK);
    assert_int_equal(columns(r), 2);
}

static void column_beside_a_fulltext_index_says_what_is_in_the_way(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text, FULLTEXT KEY f (name))");
    adding(r, 1, true);
    rig_refused(r, AGENT_RUN_DDL, 1, "FULLTEXT index");
}

RIG_MAIN(RIG_TEST(column_is_added_with_a_persons_word), RIG_TEST(column_that_a_rollback_left_is_purged),
         RIG_TEST(column_is_hidden_and_dropped_with_a_persons_word),
         RIG_TEST(column_of_a_table_that_was_packed_since_is_dropped_by_hand),
         RIG_TEST(column_beside_a_fulltext_index_says_what_is_in_the_way))
