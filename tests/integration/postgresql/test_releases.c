/*
 * test_releases.c - what not every release of PostgreSQL has: names of NOT NULL, NOT NULL that is NOT VALID, identity
 * columns of partitions, constraints over periods, constraints that are not enforced. A server that does not have it
 * says so, and the test ends there.
 */
#include "tests/integration/postgresql/rig.h"

#include <stdlib.h>
#include <string.h>

static struct zdm_step *lift(struct rig *r, const char *table, const char *constraint)
{
    rig_plan(r, table, 1);
    struct zdm_step *step = rig_ddl(r, 1, ZDM_ACTION_LIFT_CONSTRAINT, NULL, constraint, NULL);
    step->inverse = ZDM_INVERSE_UNHIDE;
    rig_accept(r, 1);
    return step;
}

static void hide_name(struct rig *r)
{
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL)->inverse = ZDM_INVERSE_UNHIDE;
    r->lock_wait_ms = 1000;
    rig_accept(r, 1);
}

/* ---- NOT NULL with a name ---- */

static void users(struct rig *r)
{
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text CONSTRAINT \"who's there\" NOT NULL);"
               "INSERT INTO users SELECT g, 'n' || g FROM generate_series(1, 100) g");
    if (rig_since(r, 18, "a comment of a NOT NULL")) {
        rig_sql(r, "COMMENT ON CONSTRAINT \"who's there\" ON users IS 'it''s given'");
    }
}

static void assert_same_dump(struct rig *r, char *before)
{
    char *after = rig_dump(r, "users");
    assert_string_equal(after, before);
    free(after);
    free(before);
}

static void dropped_not_null_comes_back_under_its_name(void **state)
{
    struct rig *r = *state;
    users(r);
    char *before = rig_dump(r, "users");
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_DROP_NOT_NULL, "name", NULL,
            "ALTER TABLE \"public\".\"users\" ALTER COLUMN \"name\" DROP NOT NULL")
        ->inverse = ZDM_INVERSE_UNHIDE;
    r->lock_wait_ms = 1000;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users VALUES (101)");
    rig_sql(r, "DELETE FROM users WHERE name IS NULL");
    rig_undo(r, 1);
    assert_string_equal(r->remark, "");
    assert_string_equal(rig_app_fails(r, "INSERT INTO users VALUES (101)"), "23502");
    assert_same_dump(r, before);
}

static void hidden_column_has_the_name_of_its_not_null_again(void **state)
{
    struct rig *r = *state;
    users(r);
    char *before = rig_dump(r, "users");
    hide_name(r);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_undo(r, 1);
    assert_string_equal(r->remark, "");
    assert_same_dump(r, before);
}

/* As when NOT NULL was set partition by partition. Since 18 theirs do not go with that of the parent. */
static void not_null_of_partitions_goes_and_comes_back_with_that_of_the_table(void **state)
{
    static const char own[] = "SELECT count(*) FROM pg_constraint WHERE contype = 'n' AND conislocal AND conrelid IN"
                              " ('users1'::regclass, 'users2'::regclass) AND conname LIKE '%%_name_%%'";
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int NOT NULL, name text) PARTITION BY RANGE (id);"
               "CREATE TABLE users1 PARTITION OF users FOR VALUES FROM (0) TO (100);"
               "CREATE TABLE users2 PARTITION OF users FOR VALUES FROM (100) TO (200);"
               "INSERT INTO users SELECT g, 'n' || g FROM generate_series(1, 150) g;"
               "ALTER TABLE users1 ALTER name SET NOT NULL; ALTER TABLE users ALTER name SET NOT NULL");
    long before_own = rig_number(r, own);
    char *before = rig_dump(r, "users*");
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_DROP_NOT_NULL, "name", NULL,
            "ALTER TABLE \"public\".\"users\" ALTER COLUMN \"name\" DROP NOT NULL")
        ->inverse = ZDM_INVERSE_UNHIDE;
    r->lock_wait_ms = 1000;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users VALUES (7), (107); DELETE FROM users WHERE name IS NULL");
    rig_undo(r, 1);
    assert_string_equal(r->remark, "");
    assert_int_equal(rig_number(r, own), before_own);
    char *after = rig_dump(r, "users*");
    assert_string_equal(after, before);
    free(after);
    free(before);
}

static void not_null_is_not_dropped_as_a_constraint(void **state)
{
    struct rig *r = *state;
    if (!rig_since(r, 18, "a NOT NULL that is a constraint")) {
        return;
    }
    users(r);
    lift(r, "users", "who's there");
    rig_refused(r, AGENT_RUN_DDL, 1, "DROP NOT NULL");
}

/* ---- NOT NULL that is NOT VALID ---- */

static bool users_with_nulls(struct rig *r)
{
    if (!rig_since(r, 18, "a NOT NULL that is NOT VALID")) {
        return false;
    }
    rig_sql(r, "CREATE TABLE users (id int, name text); INSERT INTO users SELECT nullif(g, 7), nullif('n' || g, 'n5')"
               " FROM generate_series(1, 100) g; CREATE UNIQUE INDEX users_id ON users (id);"
               "ALTER TABLE users ADD CONSTRAINT given NOT NULL id NOT VALID, ADD CONSTRAINT named NOT NULL name"
               " NOT VALID");
    return true;
}

/* Rows with NULL would be passed by. */
static void key_that_may_hold_nulls_is_not_walked_by(void **state)
{
    struct rig *r = *state;
    if (!users_with_nulls(r)) {
        return;
    }
    rig_sql(r, "ALTER TABLE users ADD COLUMN full_name text");
    rig_plan(r, "users", 1);
    const char *const sources[] = {"name"};
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "full_name", "t.name", "NEW.name", sources, 1);
    rig_accept(r, 1);
    rig_refused(r, AGENT_RUN_BOUND, 1, "no key to walk by");
    rig_sql(r, "UPDATE users SET id = 7 WHERE id IS NULL; ALTER TABLE users VALIDATE CONSTRAINT given");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
}

static void not_null_that_is_not_valid_comes_back_as_it_was(void **state)
{
    struct rig *r = *state;
    if (!users_with_nulls(r)) {
        return;
    }
    char *before = rig_dump(r, "users");
    hide_name(r);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_undo(r, 1);
    assert_string_equal(r->remark, "");
    assert_string_equal(rig_app_fails(r, "INSERT INTO users VALUES (101)"), "23502");
    assert_same_dump(r, before);
}

static void not_null_that_is_not_valid_is_validated_and_not_set(void **state)
{
    struct rig *r = *state;
    if (!users_with_nulls(r)) {
        return;
    }
    rig_sql(r, "UPDATE users SET name = 'n5' WHERE name IS NULL");
    rig_plan(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_SET_NOT_NULL, "name", NULL,
            "ALTER TABLE \"public\".\"users\" ALTER COLUMN \"name\" SET NOT NULL");
    rig_ddl(r, 2, ZDM_ACTION_VALIDATE, NULL, "named", "ALTER TABLE \"public\".\"users\" VALIDATE CONSTRAINT \"named\"");
    rig_accept(r, 1);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_refused(r, AGENT_RUN_DDL, 1, "VALIDATE CONSTRAINT named instead");
    rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_VALIDATE, 2, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
}

/* ---- Identity columns of partitions ---- */

static void partition_with_an_identity_column_goes_and_comes_back(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE ev (id int NOT NULL, n bigint GENERATED BY DEFAULT AS IDENTITY) PARTITION BY RANGE (id);"
               "CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (100);"
               "CREATE TABLE ev2 PARTITION OF ev DEFAULT; INSERT INTO ev SELECT g FROM generate_series(1, 150) g");
    char *before = rig_dump(r, "ev*");
    rig_plan(r, "ev", 1);
    struct zdm_step *step = rig_ddl(r, 1, ZDM_ACTION_DETACH_PARTITION, NULL, NULL,
                                    "ALTER TABLE \"public\".\"ev\" DETACH PARTITION \"public\".\"ev1\"");
    step->inverse = ZDM_INVERSE_FORMER;
    step->others = calloc(1, sizeof *step->others);
    step->n_others = 1;
    step->others[0] = (struct zdm_table){strdup("public"), strdup("ev1")};
    r->lock_wait_ms = 1000;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM ev"), 51);
    rig_sql(r, "DELETE FROM ev2"); /* or attaching would read them */
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM ev"), 99);
    char *after = rig_dump(r, "ev*");
    assert_string_equal(after, before);
    free(after);
    free(before);
}

/* ---- Generated columns ---- */

/* Before 15 the server drops it with the column that it is made of. */
static void column_that_others_are_generated_from_is_neither_hidden_nor_dropped(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text, low text GENERATED ALWAYS AS (lower(name)) STORED)");
    rig_plan(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL)->inverse = ZDM_INVERSE_UNHIDE;
    rig_ddl(r, 2, ZDM_ACTION_PURGE_COLUMN, "name", "zdm_h_name", NULL);
    r->lock_wait_ms = 1000;
    rig_accept(r, 1);
    rig_refused(r, AGENT_RUN_HIDE, 1, "column low");
    rig_sql(r, "ALTER TABLE users DROP COLUMN low");
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_sql(r, "ALTER TABLE users ADD COLUMN low text GENERATED ALWAYS AS (lower(zdm_h_name)) STORED");
    r->purge_now = true;
    rig_refused(r, AGENT_RUN_PURGE, 2, "column low");
    rig_sql(r, "ALTER TABLE users DROP COLUMN low");
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_OK);
}

/* ---- Periods, and what is not enforced ---- */

static void constraint_over_periods_is_not_lifted(void **state)
{
    struct rig *r = *state;
    if (!rig_since(r, 18, "a key WITHOUT OVERLAPS")) {
        return;
    }
    rig_exec(r->super, "CREATE EXTENSION btree_gist");
    rig_sql(r, "CREATE TABLE stays (room int, at daterange, CONSTRAINT one_guest PRIMARY KEY (room, at WITHOUT"
               " OVERLAPS))");
    lift(r, "stays", "one_guest");
    rig_refused(r, AGENT_RUN_DDL, 1, "no server can build again");
}

static void foreign_key_over_periods_comes_back(void **state)
{
    struct rig *r = *state;
    if (!rig_since(r, 18, "a foreign key over a PERIOD")) {
        return;
    }
    rig_exec(r->super, "CREATE EXTENSION btree_gist");
    rig_sql(r, "CREATE TABLE rooms (room int, at daterange, PRIMARY KEY (room, at WITHOUT OVERLAPS));"
               "CREATE TABLE stays (id int PRIMARY KEY, room int, at daterange, CONSTRAINT of_room FOREIGN KEY (room,"
               " PERIOD at) REFERENCES rooms (room, PERIOD at));"
               "INSERT INTO rooms VALUES (1, '[2024-01-01,2025-01-01)'), (1, '[2025-01-01,2026-01-01)');"
               "INSERT INTO stays VALUES (1, 1, '[2024-12-30,2025-01-03)')");
    char *before = rig_dump(r, "stays");
    lift(r, "stays", "of_room");
    r->lock_wait_ms = 1000;
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_undo(r, 1);
    assert_string_equal(r->remark, "");
    char *after = rig_dump(r, "stays");
    assert_string_equal(after, before);
    free(after);
    free(before);
}

static void foreign_key_that_is_not_enforced_keeps_no_deleted_row_away(void **state)
{
    struct rig *r = *state;
    if (!rig_since(r, 18, "a constraint that is NOT ENFORCED")) {
        return;
    }
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE orders (id int PRIMARY KEY, user_id int,"
               " FOREIGN KEY (user_id) REFERENCES users NOT ENFORCED);"
               "INSERT INTO orders SELECT g, g FROM generate_series(1, 50) g");
    rig_plan(r, "orders", 1);
    struct zdm_step *step = rig_ddl(r, 1, ZDM_ACTION_DELETE, NULL, "undo_00c0ffee", NULL);
    step->inverse = ZDM_INVERSE_IMAGES;
    step->derivation = calloc(1, sizeof *step->derivation);
    step->derivation->filter = strdup("t.\"id\" > 20");
    rig_accept(r, 1);
    rig_walk(r, 1, 10);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM orders"), 20);
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM orders"), 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(dropped_not_null_comes_back_under_its_name),
        RIG_TEST(hidden_column_has_the_name_of_its_not_null_again),
        RIG_TEST(not_null_of_partitions_goes_and_comes_back_with_that_of_the_table),
        RIG_TEST(not_null_is_not_dropped_as_a_constraint),
        RIG_TEST(key_that_may_hold_nulls_is_not_walked_by),
        RIG_TEST(not_null_that_is_not_valid_comes_back_as_it_was),
        RIG_TEST(not_null_that_is_not_valid_is_validated_and_not_set),
        RIG_TEST(partition_with_an_identity_column_goes_and_comes_back),
        RIG_TEST(column_that_others_are_generated_from_is_neither_hidden_nor_dropped),
        RIG_TEST(constraint_over_periods_is_not_lifted),
        RIG_TEST(foreign_key_over_periods_comes_back),
        RIG_TEST(foreign_key_that_is_not_enforced_keeps_no_deleted_row_away),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
