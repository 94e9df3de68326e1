/*
 * test_partition_columns.c - columns that a rollback has left hidden on a partitioned table, while partitions come and
 * go: the server would refuse a table that lacks one, and one that goes takes it along.
 */
#include "tests/integration/postgresql/rig.h"

#include <stdlib.h>
#include <string.h>

enum { ADD = 1, CHECK, VALIDATE, ATTACH, DETACH };

#define HIDDEN "SELECT count(*) FROM pg_attribute WHERE attname ~ '^~zdm_u' AND NOT attisdropped"

static struct zdm_step *of_other(struct rig *r, uint32_t ordinal, const char *other)
{
    struct zdm_step *step = rig_step(r, ordinal);
    step->others = calloc(1, sizeof *step->others);
    step->n_others = 1;
    step->others[0] = (struct zdm_table){strdup("public"), strdup(other)};
    return step;
}

static void of_table(struct zdm_step *step, const char *table)
{
    free(step->table.name);
    step->table.name = strdup(table);
}

/* ev with ev1; ev3 comes, ev1 goes. */
static void plan(struct rig *r)
{
    rig_sql(r, "CREATE TABLE ev (id int NOT NULL, who text COLLATE \"C\") PARTITION BY RANGE (id);"
               "CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (100); INSERT INTO ev VALUES (1, 'a');"
               "CREATE TABLE ev3 (id int NOT NULL, who text COLLATE \"C\"); INSERT INTO ev3 VALUES (200, 'b')");
    rig_plan(r, "ev", 5);
    rig_ddl(r, ADD, ZDM_ACTION_ADD_COLUMN, "code", NULL,
            "ALTER TABLE \"public\".\"ev\" ADD COLUMN code varchar(9) COLLATE \"C\" NOT NULL DEFAULT 'x'");
    rig_step(r, ADD)->inverse = ZDM_INVERSE_HIDE;
    rig_ddl(r, CHECK, ZDM_ACTION_ADD_PARTITION_CHECK, NULL, "zdm_part", "FOR VALUES FROM (200) TO (300)");
    of_table(of_other(r, CHECK, "ev"), "ev3");
    rig_step(r, CHECK)->inverse = ZDM_INVERSE_SQL;
    rig_step(r, CHECK)->inverse_sql = strdup("ALTER TABLE \"public\".\"ev3\" DROP CONSTRAINT IF EXISTS \"zdm_part\"");
    rig_ddl(r, VALIDATE, ZDM_ACTION_VALIDATE, NULL, "zdm_part",
            "ALTER TABLE \"public\".\"ev3\" VALIDATE CONSTRAINT \"zdm_part\"");
    of_table(rig_step(r, VALIDATE), "ev3");
    rig_ddl(r, ATTACH, ZDM_ACTION_ATTACH_PARTITION, NULL, NULL,
            "ALTER TABLE \"public\".\"ev\" ATTACH PARTITION \"public\".\"ev3\" FOR VALUES FROM (200) TO (300)");
    of_other(r, ATTACH, "ev3")->inverse = ZDM_INVERSE_SQL;
    rig_step(r, ATTACH)->inverse_sql = strdup("ALTER TABLE \"public\".\"ev\" DETACH PARTITION \"public\".\"ev3\"");
    rig_ddl(r, DETACH, ZDM_ACTION_DETACH_PARTITION, NULL, NULL,
            "ALTER TABLE \"public\".\"ev\" DETACH PARTITION \"public\".\"ev1\"");
    of_other(r, DETACH, "ev1")->inverse = ZDM_INVERSE_FORMER;
    rig_accept(r, 1);
}

/* Twice added and taken back: two hidden columns. Then the column is not there, and the journal goes on behind it. */
static void leave_two(struct rig *r)
{
    for (int i = 0; i < 2; i++) {
        rig_run(r, AGENT_RUN_DDL, ADD, AGENT_OK);
        rig_undo(r, ADD);
    }
    rig_run(r, AGENT_RUN_STEP_DONE, ADD, AGENT_OK);
    assert_int_equal(rig_number(r, HIDDEN " AND attrelid = 'ev'::regclass"), 2);
}

static void attach(struct rig *r)
{
    rig_run(r, AGENT_RUN_DDL, CHECK, AGENT_OK);
    rig_run(r, AGENT_RUN_VALIDATE, VALIDATE, AGENT_OK);
    rig_run(r, AGENT_RUN_DDL, ATTACH, AGENT_OK);
}

static void purge_all(struct rig *r)
{
    struct agent_result *result = NULL;
    bool more = true;
    r->purge_now = true;
    while (more) {
        result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_PURGE_LEFTOVERS, 0, 0);
        assert_true(result->outcome == AGENT_OK || result->outcome == AGENT_ALREADY);
        more = result->outcome == AGENT_OK;
        agent_result_free(result);
    }
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
    assert_int_equal(rig_number(r, HIDDEN), 0);
}

static void partition_without_the_hidden_columns_is_attached_and_loses_them_with_its_parent(void **state)
{
    struct rig *r = *state;
    plan(r);
    leave_two(r);
    attach(r);
    rig_app(r, "INSERT INTO ev VALUES (250, 'c')");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM ev3"), 2);
    assert_int_equal(rig_number(r, HIDDEN " AND attrelid = 'ev3'::regclass AND attinhcount = 1"), 2);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden WHERE kind = 'column'"), 2);
    purge_all(r);
    rig_app(r, "INSERT INTO ev VALUES (251, 'd')");
}

static void partition_that_was_attached_and_goes_again_is_what_it_was(void **state)
{
    struct rig *r = *state;
    plan(r);
    leave_two(r);
    char *before = rig_dump(r, "public.ev3");
    attach(r);
    for (uint32_t step = ATTACH; step >= CHECK; step--) {
        rig_undo(r, step);
    }
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden WHERE table_name = 'ev3'"), 0);
    char *after = rig_dump(r, "public.ev3");
    assert_string_equal(after, before);
    free(before);
    free(after);
    attach(r);
    purge_all(r);
}

/* What it holds has no value there, and the column may come back into sight: nobody could say what it is to be. */
static void partition_with_rows_does_not_get_a_column_that_may_come_back(void **state)
{
    struct rig *r = *state;
    plan(r);
    rig_exec(r->super, "ALTER TABLE ev ADD COLUMN \"~zdm_haffe0815\" text COLLATE \"C\"; COMMENT ON COLUMN"
                       " ev.\"~zdm_haffe0815\" IS 'zdm:other'; INSERT INTO zdm.hidden (migration, step, schema_name,"
                       " table_name, kind, name, hidden_name, by_rollback, definition, validated) VALUES ('other', 1,"
                       " 'public', 'ev', 'column', 'nick', '~zdm_haffe0815', false, 'NULL', true)");
    rig_run(r, AGENT_RUN_STEP_DONE, ADD, AGENT_OK);
    rig_refused(r, AGENT_RUN_DDL, CHECK, "column nick of public.ev is hidden by migration other and may come back");
    rig_refused(r, AGENT_RUN_DDL, CHECK,
                "ALTER TABLE public.ev3 ADD COLUMN \"~zdm_haffe0815\" text COLLATE"
                " pg_catalog.\"C\"");
    rig_sql(r, "CREATE TEMP TABLE kept AS SELECT * FROM ev3; TRUNCATE ev3");
    attach(r);
    rig_sql(r, "INSERT INTO ev SELECT * FROM kept");
}

static void detached_partition_comes_back_and_is_purged_wherever_it_stands(void **state)
{
    struct rig *r = *state;
    plan(r);
    leave_two(r);
    attach(r);
    char *before = rig_dump(r, "public.ev1");
    rig_run(r, AGENT_RUN_DDL, DETACH, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden WHERE table_name = 'ev1'"), 2);
    rig_undo(r, DETACH);
    char *after = rig_dump(r, "public.ev1");
    assert_string_equal(after, before);
    free(before);
    free(after);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden WHERE table_name = 'ev1'"), 0);
    rig_run(r, AGENT_RUN_DDL, DETACH, AGENT_OK);
    purge_all(r);
    rig_undo(r, DETACH);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM ev WHERE who IN ('a', 'b')"), 2);
}

/* The purge has dropped the parent's, or the parent has one more by now. */
static void detached_partition_comes_back_to_a_parent_with_more_hidden_columns(void **state)
{
    struct rig *r = *state;
    plan(r);
    rig_run(r, AGENT_RUN_STEP_DONE, ADD, AGENT_OK);
    attach(r);
    rig_run(r, AGENT_RUN_DDL, DETACH, AGENT_OK);
    rig_exec(r->super, "ALTER TABLE ev ADD COLUMN \"~zdm_uaffe0815\" numeric(7,2); COMMENT ON COLUMN"
                       " ev.\"~zdm_uaffe0815\" IS 'zdm:other'; INSERT INTO zdm.hidden (migration, step, schema_name,"
                       " table_name, kind, name, hidden_name, by_rollback, definition, validated) VALUES ('other', 1,"
                       " 'public', 'ev', 'column', 'price', '~zdm_uaffe0815', true, 'NULL', true)");
    rig_undo(r, DETACH);
    assert_string_equal(rig_value(r, "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid ="
                                     " 'ev1'::regclass AND attname = '~zdm_uaffe0815'"),
                        "numeric(7,2)");
}

/* The default partition has the parent's check, which is not its own to drop; its own one spares reading it. */
static void check_of_the_parent_that_is_not_valid_lets_a_partition_come_beside_the_default(void **state)
{
    struct rig *r = *state;
    plan(r);
    rig_run(r, AGENT_RUN_STEP_DONE, ADD, AGENT_OK);
    rig_sql(r, "CREATE TABLE ev_rest PARTITION OF ev DEFAULT; INSERT INTO ev VALUES (900, 'z');"
               "ALTER TABLE ev ADD CONSTRAINT told CHECK (who <> 'z') NOT VALID;"
               "ALTER TABLE ev3 ADD CONSTRAINT told CHECK (who <> 'z')");
    rig_refused(r, AGENT_RUN_DDL, CHECK, "ALTER TABLE public.ev_rest ADD CONSTRAINT");
    rig_sql(r, "ALTER TABLE ev_rest ADD CONSTRAINT far CHECK (NOT ((id IS NOT NULL) AND (id >= 200) AND (id < 300)));"
               "ALTER TABLE ev_rest ADD CONSTRAINT further CHECK (id > 900) NOT VALID");
    attach(r);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_constraint WHERE conname = 'told' AND NOT convalidated AND"
                                   " conrelid IN ('ev'::regclass, 'ev_rest'::regclass)"),
                     2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(partition_without_the_hidden_columns_is_attached_and_loses_them_with_its_parent),
        RIG_TEST(partition_that_was_attached_and_goes_again_is_what_it_was),
        RIG_TEST(partition_with_rows_does_not_get_a_column_that_may_come_back),
        RIG_TEST(detached_partition_comes_back_and_is_purged_wherever_it_stands),
        RIG_TEST(detached_partition_comes_back_to_a_parent_with_more_hidden_columns),
        RIG_TEST(check_of_the_parent_that_is_not_valid_lets_a_partition_come_beside_the_default),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
