/*
 * test_purge.c - what was hidden is really dropped after its grace, or at once where the approvals say so, and nothing
 * else is.
 */
#include "tests/integration/postgresql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOUR_MS = 3600 * 1000 };

/* 1 add full_name, 2 sync, 3 hide name, 4 purge name */
static void hidden(struct rig *r)
{
    rig_sql(r, "CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL CHECK (name <> ''), age int)");
    rig_plan(r, "users", 4);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "full_name", NULL, "ALTER TABLE users ADD COLUMN full_name text");
    rig_copy(r, 2, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_ddl(r, 3, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL);
    rig_ddl(r, 4, ZDM_ACTION_PURGE_COLUMN, "name", "zdm_h_name", NULL);
    rig_step(r, 3)->sync_step = rig_step(r, 4)->sync_step = 2;
    rig_step(r, 4)->kind = ZDM_STEP_PURGE;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 2, AGENT_OK);
    rig_run(r, AGENT_RUN_HIDE, 3, AGENT_OK);
    r->grace_ms = HOUR_MS;
}

static void purge_is_early(struct rig *r, enum agent_run run, uint32_t step)
{
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, run, step, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "early");
    assert_true(result->wait_ms > HOUR_MS - 60000 && result->wait_ms <= HOUR_MS);
    agent_result_free(result);
}

static void column_goes_after_its_grace_with_the_triggers_that_write_it(void **state)
{
    struct rig *r = *state;
    hidden(r);
    rig_inspect(r, 4, AGENT_PROOF_NOT_DONE);
    purge_is_early(r, AGENT_RUN_PURGE, 4);
    assert_int_equal(r->journal_step, 4);
    rig_inspect(r, 4, AGENT_PROOF_NOT_DONE);
    rig_exec(r->super, "UPDATE zdm.hidden SET hidden_at = hidden_at - interval '1 hour'");
    rig_run(r, AGENT_RUN_PURGE, 4, AGENT_OK);
    assert_int_equal(r->journal_step, 5);
    rig_inspect(r, 4, AGENT_PROOF_DONE);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden") + rig_number(r, "SELECT count(*) FROM zdm.sync"),
                     0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"), 0);
    rig_app(r, "INSERT INTO users (full_name) VALUES ('Ann')");
    rig_run(r, AGENT_RUN_STEP_BACK, 4, AGENT_OK);
    rig_run(r, AGENT_RUN_PURGE, 4, AGENT_OK);
}

static void purge_now_does_not_wait(void **state)
{
    struct rig *r = *state;
    hidden(r);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE, 4, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_attribute WHERE attname = 'zdm_h_name'"), 0);
}

static void column_that_something_depends_on_by_now_is_not_dropped(void **state)
{
    struct rig *r = *state;
    hidden(r);
    rig_sql(r, "CREATE VIEW v AS SELECT zdm_h_name FROM users");
    r->purge_now = true;
    rig_refused(r, AGENT_RUN_PURGE, 4, "view public.v depends on column zdm_h_name");
    rig_inspect(r, 2, AGENT_PROOF_DONE);
    rig_app(r, "INSERT INTO users (full_name) VALUES ('Ann')");
    assert_string_equal(rig_value(r, "SELECT zdm_h_name FROM users"), "Ann");
}

static void column_that_is_not_ours_is_not_dropped(void **state)
{
    struct rig *r = *state;
    hidden(r);
    rig_sql(r, "COMMENT ON COLUMN users.zdm_h_name IS 'mine now'");
    r->purge_now = true;
    rig_refused(r, AGENT_RUN_PURGE, 4, "was not hidden by this migration");
}

/* A grace period that nobody knows the beginning of is not over. */
static void column_that_nobody_knows_since_when_it_is_hidden_is_not_dropped(void **state)
{
    struct rig *r = *state;
    hidden(r);
    rig_exec(r->super, "DELETE FROM zdm.hidden");
    rig_refused(r, AGENT_RUN_PURGE, 4, "does not say since when column zdm_h_name is hidden");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_attribute WHERE attname = 'zdm_h_name'"), 1);
}

/* DROP COLUMN takes the foreign key along, and with it the parent's lock: asked for like every other. */
static void parent_of_a_foreign_key_over_several_columns_is_not_queued_for(void **state)
{
    struct rig *r = *state;
    hidden(r);
    rig_sql(r, "CREATE TABLE parents (name text, age int, PRIMARY KEY (name, age));"
               "ALTER TABLE users ADD FOREIGN KEY (zdm_h_name, age) REFERENCES parents");
    r->purge_now = true;
    rig_exec(r->app, "BEGIN; SELECT * FROM parents");
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_PURGE, 4, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "lock");
    assert_non_null(strstr(result->error.message, "could not lock public.parents"));
    agent_result_free(result);
    rig_exec(r->app, "COMMIT");
    rig_run(r, AGENT_RUN_PURGE, 4, AGENT_OK);
}

/* Forward, back and forward again: the first full_name waits under a name of its own. */
static void purge_phase_takes_what_rollbacks_left(void **state)
{
    struct rig *r = *state;
    hidden(r);
    rig_undo(r, 3);
    r->floor = 1;
    rig_undo(r, 2);
    rig_undo(r, 1);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 2, AGENT_OK);
    rig_run(r, AGENT_RUN_HIDE, 3, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden WHERE by_rollback"), 1);
    purge_is_early(r, AGENT_RUN_PURGE, 4);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE, 4, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
    assert_string_equal(rig_value(r, "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid "
                                     "= 'users'::regclass AND attnum > 0 AND NOT attisdropped"),
                        "id,age,full_name");
}

static void leftovers_go_one_by_one_each_after_its_grace(void **state)
{
    struct rig *r = *state;
    hidden(r);
    rig_undo(r, 3);
    r->floor = 1;
    rig_undo(r, 2);
    rig_undo(r, 1);
    purge_is_early(r, AGENT_RUN_PURGE_LEFTOVERS, 0);
    rig_exec(r->super, "UPDATE zdm.hidden SET hidden_at = hidden_at - interval '1 hour'");
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_OK);
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_ALREADY);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_attribute WHERE attname ~ '^~zdm_u'"), 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
}

static void leftover_that_somebody_dropped_is_forgotten(void **state)
{
    struct rig *r = *state;
    hidden(r);
    rig_undo(r, 3);
    r->floor = 1;
    rig_undo(r, 2);
    rig_sql(r, "DROP TABLE users");
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_OK);
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_ALREADY);
}

/* The column of the rename, taken back: one leftover. */
static void leave_one(struct rig *r)
{
    hidden(r);
    rig_undo(r, 3);
    r->floor = 1;
    rig_undo(r, 2);
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_attribute WHERE attname ~ '^~zdm_u' AND NOT attisdropped"),
                     1);
}

static void leftover_that_somebody_took_over_is_forgotten_and_kept(void **state)
{
    struct rig *r = *state;
    leave_one(r);
    rig_exec(r->super, rig_value(r, "SELECT format('COMMENT ON COLUMN users.%%I IS ''ours now''', attname) FROM"
                                    " pg_attribute WHERE attname ~ '^~zdm_u'"));
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_OK);
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_ALREADY);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_attribute WHERE attname ~ '^~zdm_u' AND NOT attisdropped"),
                     1);
}

static void what_a_hide_hid_and_what_another_migration_left_are_no_leftovers(void **state)
{
    struct rig *r = *state;
    hidden(r);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_ALREADY);
    rig_inspect(r, 4, AGENT_PROOF_NOT_DONE);
    rig_exec(r->super, "UPDATE zdm.hidden SET migration = 'other', by_rollback = true");
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_ALREADY);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_attribute WHERE attname = 'zdm_h_name'"), 1);
}

static void purge_of_leftovers_is_fenced(void **state)
{
    struct rig *r = *state;
    leave_one(r);
    struct zdm_fence mine = r->fence;
    agent_result_free(rig_try_accept(r, 2, 1, 2, 9));
    r->fence = mine;
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_FENCED);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_attribute WHERE attname ~ '^~zdm_u' AND NOT attisdropped"),
                     1);
}

static void purge_phase_asks_the_grace_of_the_youngest_leftover_too(void **state)
{
    struct rig *r = *state;
    leave_one(r);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 2, AGENT_OK);
    rig_run(r, AGENT_RUN_HIDE, 3, AGENT_OK);
    rig_exec(r->super, "UPDATE zdm.hidden SET hidden_at = hidden_at - interval '1 hour' WHERE NOT by_rollback");
    purge_is_early(r, AGENT_RUN_PURGE, 4);
    rig_exec(r->super, "UPDATE zdm.hidden SET hidden_at = hidden_at - interval '1 hour' WHERE by_rollback");
    rig_run(r, AGENT_RUN_PURGE, 4, AGENT_OK);
}

/* A backfill that kept what it overwrote; step 2 purges that. */
static void leave_images(struct rig *r)
{
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, n int); INSERT INTO users VALUES (1, 1)");
    rig_plan(r, "users", 2);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "n", "2", NULL, NULL, 0);
    rig_step(r, 1)->inverse = ZDM_INVERSE_IMAGES;
    rig_step(r, 1)->object = strdup("undo_0badcafe");
    rig_ddl(r, 2, ZDM_ACTION_PURGE_IMAGES, NULL, "undo_0badcafe", NULL);
    rig_accept(r, 1);
    rig_walk(r, 1, 10);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
}

static void images_go_a_grace_after_the_last_batch(void **state)
{
    struct rig *r = *state;
    leave_images(r);
    r->grace_ms = HOUR_MS;
    rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
    purge_is_early(r, AGENT_RUN_PURGE, 2);
    rig_exec(r->super, "UPDATE zdm.hidden SET hidden_at = hidden_at - interval '1 hour'");
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_OK);
    rig_inspect(r, 2, AGENT_PROOF_DONE);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
    assert_int_equal(rig_number(r, "SELECT n FROM users"), 2);
}

static void images_of_another_migration_are_not_dropped(void **state)
{
    struct rig *r = *state;
    leave_images(r);
    rig_exec(r->super, "UPDATE zdm.hidden SET migration = 'other' WHERE kind = 'images'");
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.undo_0badcafe"), 1);
}

static void purge_is_fenced(void **state)
{
    struct rig *r = *state;
    hidden(r);
    struct zdm_fence mine = r->fence;
    agent_result_free(rig_try_accept(r, 2, 1, 2, 9));
    r->fence = mine;
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE, 4, AGENT_FENCED);
    rig_inspect(r, 4, AGENT_PROOF_NOT_DONE);
}

/* The same is asked of an index at its purge as when its grace began. */
static void index_that_became_the_replica_identity_is_not_dropped(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int NOT NULL, name text); CREATE UNIQUE INDEX by_id ON users (id)");
    rig_plan(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_INDEX, NULL, "by_id", NULL)->kind = ZDM_STEP_HIDE;
    rig_ddl(r, 2, ZDM_ACTION_PURGE_INDEX, NULL, "by_id", NULL)->kind = ZDM_STEP_PURGE;
    for (uint32_t i = 1; i <= 2; i++) {
        free(rig_step(r, i)->table.name);
        rig_step(r, i)->table.name = NULL;
    }
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_sql(r, "ALTER TABLE users REPLICA IDENTITY USING INDEX by_id");
    r->purge_now = true;
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_PURGE, 2, 0);
    assert_non_null(strstr(result->error.message, "index public.by_id is the replica identity of public.users"));
    agent_result_free(result);
    rig_sql(r, "ALTER TABLE users REPLICA IDENTITY DEFAULT");
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(column_goes_after_its_grace_with_the_triggers_that_write_it),
        RIG_TEST(purge_now_does_not_wait),
        RIG_TEST(column_that_something_depends_on_by_now_is_not_dropped),
        RIG_TEST(column_that_is_not_ours_is_not_dropped),
        RIG_TEST(column_that_nobody_knows_since_when_it_is_hidden_is_not_dropped),
        RIG_TEST(parent_of_a_foreign_key_over_several_columns_is_not_queued_for),
        RIG_TEST(purge_phase_takes_what_rollbacks_left),
        RIG_TEST(leftovers_go_one_by_one_each_after_its_grace),
        RIG_TEST(leftover_that_somebody_dropped_is_forgotten),
        RIG_TEST(leftover_that_somebody_took_over_is_forgotten_and_kept),
        RIG_TEST(what_a_hide_hid_and_what_another_migration_left_are_no_leftovers),
        RIG_TEST(purge_of_leftovers_is_fenced),
        RIG_TEST(purge_phase_asks_the_grace_of_the_youngest_leftover_too),
        RIG_TEST(images_go_a_grace_after_the_last_batch),
        RIG_TEST(images_of_another_migration_are_not_dropped),
        RIG_TEST(purge_is_fenced),
        RIG_TEST(index_that_became_the_replica_identity_is_not_dropped),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
