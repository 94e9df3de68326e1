/*
 * test_stamps.c - columns that the server sets to the time with every UPDATE (ON UPDATE CURRENT_TIMESTAMP) say when the
 * application wrote a row last: what the agent writes leaves them alone, in every kind of batch.
 */
#include "tests/integration/mysql/walk_rig.h"

#include <stdlib.h>
#include <string.h>

#define OBJECT "undo_0badcafe"
/* A zero date as old applications have it, a NULL, and digits of a second; kept aside in `was`. */
#define ROWS                                                                                                           \
    "SET SESSION sql_mode = ''; INSERT INTO w SELECT g, CONCAT('v', g), CONCAT('v', g), ELT(1 + g % 3, NULL,"          \
    " '2020-01-01 10:00:00.123456', '0000-00-00'), '2021-01-01' + INTERVAL g HOUR FROM n WHERE g < 100;"               \
    "CREATE TABLE was AS SELECT * FROM w"

static void make(struct rig *r, const char *b)
{
    rig_numbers(r);
    rig_sql(r,
            "SET SESSION explicit_defaults_for_timestamp = 1; CREATE TABLE w (id int PRIMARY KEY, a varchar(20), b %s,"
            " at timestamp(6) NULL ON UPDATE CURRENT_TIMESTAMP(6), `set ``at` datetime NOT NULL DEFAULT"
            " CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP COMMENT 'the last write')",
            b);
    rig_plan(r, "w", 2);
}

static long stamped(struct rig *r)
{
    return rig_number(r, "SELECT COUNT(*) FROM w JOIN was USING (id) WHERE NOT (w.at <=> was.at AND w.`set ``at` <=>"
                         " was.`set ``at`)");
}

static void batch_leaves_them_alone(void **state)
{
    static const char *const sources[] = {"a"};
    struct rig *r = *state;
    make(r, "varchar(20)");
    rig_sql(r, "%s", ROWS);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "b", "upper(t.`a`)", NULL, sources, 1);
    rig_accept(r, 1);
    rig_walk(r, 1, 30);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM w WHERE CAST(b AS BINARY) = UPPER(a)"), 100);
    assert_int_equal(stamped(r), 0);
    rig_app(r, "UPDATE w SET b = 'mine' WHERE id = 1");
    assert_int_equal(stamped(r), 1);
}

static void images_leave_them_alone_on_both_ways(void **state)
{
    struct rig *r = *state;
    make(r, "varchar(20)");
    rig_sql(r, "%s", ROWS);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "b", "upper(t.`b`)", NULL, (const char *const[]){"b"}, 1);
    rig_keep_images(r, 1, OBJECT);
    rig_accept(r, 1);
    rig_walk(r, 1, 30);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM w WHERE CAST(b AS BINARY) = UPPER(b)"), 100);
    assert_int_equal(stamped(r), 0);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    memset(r->undo_nonce.bytes, 4, sizeof r->undo_nonce.bytes);
    rig_run(r, AGENT_RUN_UNDO_BEGIN, 0, AGENT_OK);
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM w WHERE CAST(b AS BINARY) = LOWER(b)"), 100);
    assert_int_equal(stamped(r), 0);
}

static void catch_up_leaves_them_alone(void **state)
{
    struct rig *r = *state;
    make(r, "varchar(20)");
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "b", "a");
    rig_ddl(r, 2, ZDM_ACTION_SYNC_REMOVE, NULL, NULL, NULL)->sync_step = 1;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_REMOVE_SYNC, 2, AGENT_OK);
    rig_sql(r, "%s; UPDATE w SET b = UPPER(b), at = at, `set ``at` = `set ``at` WHERE id %% 3 = 0", ROWS);
    rig_undo(r, 2);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM w WHERE CAST(a AS BINARY) = b"), 100);
    assert_int_equal(stamped(r), 0);
}

/* A copy of such a column is the last write of the application, too, while triggers keep both in step. */
static void copy_of_one_has_the_time_that_it_had(void **state)
{
    struct rig *r = *state;
    make(r, "timestamp(6) NULL");
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "b", "at");
    rig_copy(r, 2, ZDM_ACTION_BACKFILL, "b", "at");
    rig_accept(r, 1);
    rig_sql(r, "SET SESSION sql_mode = ''; INSERT INTO w (id, at, `set ``at`) SELECT g, ELT(1 + g %% 3, NULL,"
               " '2020-01-01 10:00:00.123456', '0000-00-00'), '2021-01-01' + INTERVAL g HOUR FROM n WHERE g < 100;"
               " CREATE TABLE was AS SELECT * FROM w");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_walk(r, 2, 30);
    assert_int_equal(stamped(r), 0);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM w WHERE NOT (at <=> b)"), 0);
    rig_app(r, "UPDATE w SET a = 'mine' WHERE id = 1");
    assert_int_equal(stamped(r), 1);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM w WHERE at <=> b"), 100);
}

/* A runbook may say what such a column shall hold. */
static void one_that_is_assigned_gets_its_value(void **state)
{
    struct rig *r = *state;
    make(r, "varchar(20)");
    rig_sql(r, "%s", ROWS);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "at", "t.`set ``at`", NULL, (const char *const[]){"set `at"}, 1);
    rig_accept(r, 1);
    rig_walk(r, 1, 30);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM w JOIN was USING (id) WHERE w.at = was.`set ``at` AND"
                                   " w.`set ``at` = was.`set ``at`"),
                     100);
}

RIG_MAIN(RIG_TEST(batch_leaves_them_alone), RIG_TEST(images_leave_them_alone_on_both_ways),
         RIG_TEST(catch_up_leaves_them_alone), RIG_TEST(copy_of_one_has_the_time_that_it_had),
         RIG_TEST(one_that_is_assigned_gets_its_value))
