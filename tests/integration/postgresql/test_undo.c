/*
 * test_undo.c - the way back of each kind of step: from done, from half done, from never done, and of what was there
 * before or is somebody else's.
 */
#include "tests/integration/postgresql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void inverse(struct rig *r, uint32_t step, const char *sql)
{
    rig_step(r, step)->inverse = ZDM_INVERSE_SQL;
    rig_step(r, step)->inverse_sql = strdup(sql);
}

static void users(struct rig *r, size_t steps)
{
    rig_sql(r, "CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL, age int);"
               "INSERT INTO users (name) VALUES ('Ann'), ('Beth'), ('Cleo')");
    rig_plan(r, "users", steps);
}

static void add_full_name(struct rig *r)
{
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "full_name", NULL,
            "ALTER TABLE users ADD COLUMN full_name text DEFAULT 'x' NOT NULL");
}

static void added_column_is_hidden_and_keeps_its_values(void **state)
{
    struct rig *r = *state;
    users(r, 1);
    add_full_name(r);
    rig_accept(r, 1);
    char *before = rig_dump(r, "users");
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    for (int i = 0; i < 2; i++) {
        rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
        rig_sql(r, "ALTER TABLE users ADD CONSTRAINT one UNIQUE (full_name, id), ADD CHECK (full_name <> ''); UPDATE "
                   "users SET full_name = name; ALTER TABLE users DROP CONSTRAINT one");
        rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNDO_DDL);
        assert_int_equal(rig_undo(r, 1), 1);
        rig_run(r, AGENT_RUN_UNDO_DDL, 1, AGENT_ALREADY);
        rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
        rig_app(r, "INSERT INTO users (name) VALUES ('Dora')");
    }
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname ~ "
                                   "'^~zdm_u[0-9a-f]{8}$' AND NOT attnotnull"),
                     2);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden WHERE by_rollback AND kind = 'check'"), 2);
    assert_int_equal(rig_number(r, "SELECT count(DISTINCT hidden_name) FROM zdm.hidden WHERE by_rollback"), 2);
    struct agent_result *result = rig_do(r, AGENT_OP_SIGNALS, AGENT_RUN_NONE, 0, 0);
    assert_int_equal(result->n_hidden, 2);
    assert_string_equal(result->hidden[0].what, "column public.users.full_name");
    assert_true(result->hidden[0].by_rollback);
    assert_string_equal(result->hidden[0].migration, r->plan->id);
    agent_result_free(result);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_OK);
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_OK);
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_ALREADY);
    char *after = rig_dump(r, "users");
    assert_string_equal(after, before);
    free(before);
    free(after);
}

static void column_of_somebody_else_is_left(void **state)
{
    struct rig *r = *state;
    users(r, 1);
    add_full_name(r);
    rig_accept(r, 1);
    rig_sql(r, "ALTER TABLE users ADD full_name text");
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    rig_run(r, AGENT_RUN_UNDO_DDL, 1, AGENT_ALREADY);
    assert_int_equal(rig_number(r, "SELECT count(full_name) FROM users"), 0);
}

static void not_null_steps(struct rig *r)
{
    users(r, 4);
    rig_sql(r, "UPDATE users SET age = 1");
    rig_ddl(r, 1, ZDM_ACTION_ADD_CHECK, "age", "age_n",
            "ALTER TABLE users ADD CONSTRAINT age_n CHECK (age IS NOT NULL) NOT VALID");
    inverse(r, 1, "ALTER TABLE users DROP CONSTRAINT IF EXISTS age_n");
    rig_ddl(r, 2, ZDM_ACTION_VALIDATE, NULL, "age_n", "ALTER TABLE users VALIDATE CONSTRAINT age_n");
    rig_ddl(r, 3, ZDM_ACTION_SET_NOT_NULL, "age", NULL, "ALTER TABLE users ALTER COLUMN age SET NOT NULL");
    inverse(r, 3, "ALTER TABLE users ALTER COLUMN age DROP NOT NULL");
    rig_ddl(r, 4, ZDM_ACTION_DROP_CONSTRAINT, NULL, "age_n", "ALTER TABLE users DROP CONSTRAINT IF EXISTS age_n");
    rig_accept(r, 1);
}

static void not_null_that_was_set_goes_again(void **state)
{
    struct rig *r = *state;
    not_null_steps(r);
    char *before = rig_dump(r, "users");
    for (uint32_t last = 1; last <= 4; last++) {
        for (uint32_t i = 1; i <= last; i++) {
            rig_run(r, i == 2 ? AGENT_RUN_VALIDATE : AGENT_RUN_DDL, i, AGENT_OK);
        }
        for (uint32_t i = 4; i >= 1; i--) {
            rig_undo(r, i);
        }
        assert_int_equal(r->journal_step, 1);
        char *after = rig_dump(r, "users");
        assert_string_equal(after, before);
        free(after);
    }
    free(before);
}

static void not_null_of_another_migration_stays(void **state)
{
    struct rig *r = *state;
    not_null_steps(r);
    for (uint32_t i = 1; i <= 3; i++) {
        rig_run(r, i == 2 ? AGENT_RUN_VALIDATE : AGENT_RUN_DDL, i, AGENT_OK);
    }
    rig_exec(r->super, "UPDATE zdm.owned SET migration = 'other' WHERE kind = 'not null'");
    rig_undo(r, 3);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname ="
                                   " 'age' AND attnotnull"),
                     1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned WHERE migration = 'other'"), 1);
}

static void not_null_that_was_there_before_stays(void **state)
{
    struct rig *r = *state;
    not_null_steps(r);
    rig_sql(r, "ALTER TABLE users ALTER age SET NOT NULL");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_VALIDATE, 2, AGENT_OK);
    rig_run(r, AGENT_RUN_DDL, 3, AGENT_ALREADY);
    rig_back(r, 3, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    rig_undo(r, 3);
    rig_undo(r, 2);
    rig_undo(r, 1);
    assert_string_equal(rig_app_fails(r, "INSERT INTO users (name) VALUES ('x')"), "23502");
}

static void check_of_somebody_else_is_left(void **state)
{
    struct rig *r = *state;
    not_null_steps(r);
    rig_sql(r, "ALTER TABLE users ADD CONSTRAINT age_n CHECK (age > 0)");
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    rig_run(r, AGENT_RUN_UNDO_DDL, 1, AGENT_ALREADY);
    assert_string_equal(rig_app_fails(r, "INSERT INTO users (name, age) VALUES ('x', 0)"), "23514");
}

static void index_step(struct rig *r)
{
    users(r, 1);
    rig_ddl(r, 1, ZDM_ACTION_CREATE_INDEX, NULL, "by_name", "CREATE UNIQUE INDEX CONCURRENTLY by_name ON users (name)");
    rig_accept(r, 1);
}

static void index_is_dropped_whether_whole_or_a_leftover(void **state)
{
    struct rig *r = *state;
    index_step(r);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_INDEX_DROP);
    assert_int_equal(rig_undo(r, 1), 1);
    rig_run(r, AGENT_RUN_INDEX_DROP, 1, AGENT_ALREADY);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
    rig_exec(r->super, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_name'::regclass");
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_INDEX_DROP);
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname = 'by_name'"), 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned"), 0);
}

static void index_of_somebody_else_is_left(void **state)
{
    struct rig *r = *state;
    index_step(r);
    rig_sql(r, "CREATE INDEX by_name ON users (name)");
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    rig_run(r, AGENT_RUN_INDEX_DROP, 1, AGENT_ALREADY);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname = 'by_name'"), 1);
}

/* 1 add full_name, 2 sync, 3 remove the sync */
static void synced(struct rig *r)
{
    users(r, 3);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "full_name", NULL, "ALTER TABLE users ADD COLUMN full_name text");
    rig_copy(r, 2, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_ddl(r, 3, ZDM_ACTION_SYNC_REMOVE, NULL, NULL, NULL);
    rig_step(r, 3)->sync_step = 2;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 2, AGENT_OK);
}

static void triggers_and_the_column_that_they_fill_go_together(void **state)
{
    struct rig *r = *state;
    synced(r);
    r->floor = 1;
    rig_back(r, 2, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNDO_SYNC);
    assert_int_equal(rig_undo(r, 2), 1);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"), 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden WHERE by_rollback AND step = 1"), 1);
    rig_app(r, "INSERT INTO users (name) VALUES ('Dora')");
}

static void column_below_the_floor_stays(void **state)
{
    struct rig *r = *state;
    synced(r);
    r->floor = 2;
    rig_undo(r, 2);
    rig_app(r, "UPDATE users SET full_name = 'y'");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 2, AGENT_OK);
}

static void removed_sync_comes_back_and_the_old_column_catches_up(void **state)
{
    struct rig *r = *state;
    synced(r);
    rig_sql(r, "INSERT INTO users (name) SELECT 'n' || g FROM generate_series(1, 1500) g");
    char *before = rig_dump(r, "users");
    rig_run(r, AGENT_RUN_REMOVE_SYNC, 3, AGENT_OK);
    rig_app(r, "UPDATE users SET full_name = full_name || '!' WHERE id > 3");
    rig_app(r, "UPDATE users SET full_name = NULL WHERE id = 2");
    rig_back(r, 3, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNDO_REMOVE);
    rig_run(r, AGENT_RUN_UNDO_REMOVE, 3, AGENT_OK);
    rig_back(r, 3, AGENT_PROOF_NOT_DONE, AGENT_RUN_IMAGES_BACK);
    assert_true(rig_undo(r, 3) >= 3);
    assert_string_equal(r->remark,
                        "1,500 rows were brought in step with the new column; 3 rows were left, since the old column "
                        "cannot hold the new value");
    /* name is NOT NULL: rows without a new value cannot follow. */
    assert_string_equal(rig_value(r, "SELECT string_agg(id::text, ',' ORDER BY id) FROM users WHERE name IS DISTINCT "
                                     "FROM full_name"),
                        "1,2,3");
    rig_inspect(r, 2, AGENT_PROOF_DONE);
    char *after = rig_dump(r, "users");
    assert_string_equal(after, before);
    free(before);
    free(after);
}

static void sync_that_was_never_removed_has_nothing_to_undo(void **state)
{
    struct rig *r = *state;
    synced(r);
    rig_back(r, 3, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    assert_int_equal(rig_undo(r, 3), 0);
}

static void empty_table_has_nothing_to_catch_up(void **state)
{
    struct rig *r = *state;
    synced(r);
    rig_sql(r, "DELETE FROM users");
    rig_run(r, AGENT_RUN_REMOVE_SYNC, 3, AGENT_OK);
    assert_int_equal(rig_undo(r, 3), 2);
    assert_string_equal(r->remark, "");
}

static void way_back_waits_for_nobody(void **state)
{
    struct rig *r = *state;
    synced(r);
    r->floor = 1;
    rig_exec(r->app, "BEGIN; SELECT * FROM users");
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_UNDO_SYNC, 2, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "lock");
    assert_non_null(strstr(result->blocker, "app_user"));
    agent_result_free(result);
    rig_exec(r->app, "COMMIT");
    rig_run(r, AGENT_RUN_UNDO_SYNC, 2, AGENT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(added_column_is_hidden_and_keeps_its_values),
        RIG_TEST(column_of_somebody_else_is_left),
        RIG_TEST(not_null_that_was_set_goes_again),
        RIG_TEST(not_null_of_another_migration_stays),
        RIG_TEST(not_null_that_was_there_before_stays),
        RIG_TEST(check_of_somebody_else_is_left),
        RIG_TEST(index_is_dropped_whether_whole_or_a_leftover),
        RIG_TEST(index_of_somebody_else_is_left),
        RIG_TEST(triggers_and_the_column_that_they_fill_go_together),
        RIG_TEST(column_below_the_floor_stays),
        RIG_TEST(removed_sync_comes_back_and_the_old_column_catches_up),
        RIG_TEST(sync_that_was_never_removed_has_nothing_to_undo),
        RIG_TEST(empty_table_has_nothing_to_catch_up),
        RIG_TEST(way_back_waits_for_nobody),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
