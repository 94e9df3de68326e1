/*
 * test_delete.c - DELETE of many rows: in batches, with the rows kept, and brought back where they may be.
 */
#include "tests/integration/mysql/walk_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OBJECT "undo_00c0ffee"

static struct zdm_step *plan_delete(struct rig *r, const char *filter)
{
    rig_plan(r, "events", 1);
    struct zdm_step *step = rig_ddl(r, 1, ZDM_ACTION_DELETE, NULL, OBJECT, NULL);
    step->inverse = ZDM_INVERSE_IMAGES;
    step->derivation = calloc(1, sizeof *step->derivation);
    step->derivation->filter = filter == NULL ? NULL : strdup(filter);
    rig_accept(r, 1);
    return step;
}

#define ALL_COLUMNS "id, `The ``name```, twice, k, up, seen, big, at, HEX(raw)"

static char *digest(struct rig *r)
{
    return strdup(
        rig_value(r, "SELECT CONCAT(COUNT(*), ' ', SUM(CRC32(CONCAT_WS('|', up IS NULL, seen IS NULL, " ALL_COLUMNS
                     "))), ' ', BIT_XOR(CRC32(CONCAT_WS('|', id, k, big)))) FROM events"));
}

static void assert_rows(struct rig *r, const char *rows)
{
    char *now = digest(r);
    assert_string_equal(now, rows);
    free(now);
}

/* All that a column can be: counted up, generated, invisible, long, quoted; a key, unique, a parent, a child. */
static void events(struct rig *r)
{
    rig_numbers(r);
    rig_sql(r, "CREATE TABLE kinds (k int PRIMARY KEY); INSERT INTO kinds VALUES (0), (1), (2); CREATE TABLE events (id"
               " int AUTO_INCREMENT PRIMARY KEY, `The ``name``` varchar(40) NOT NULL UNIQUE, twice int GENERATED ALWAYS"
               " AS (k * 2) STORED, k int, up int, seen varchar(9) COLLATE utf8mb4_bin DEFAULT 'd' INVISIBLE, big"
               " varchar(9000), at timestamp(3) NULL ON UPDATE CURRENT_TIMESTAMP(3), raw varbinary(300), FOREIGN KEY"
               " (k) REFERENCES kinds (k), FOREIGN KEY (up) REFERENCES events (id));"
               "INSERT INTO events (id, `The ``name```, k, seen, big, at, raw) SELECT g, CONCAT('n', g), g %% 3,"
               " NULLIF(CONCAT('s', g %% 5), 's3'), REPEAT('é', g %% 50), '2024-01-01' + INTERVAL g SECOND,"
               " UNHEX(SHA2(g, 256)) FROM n WHERE g BETWEEN 1 AND 3000;"
               "UPDATE events SET up = id + 3, at = at WHERE id %% 3 = 1 AND id < 300");
}

static long kept(struct rig *r)
{
    return rig_number(r, "SELECT COUNT(*) FROM %s", rig_images(r, OBJECT));
}

static long rows_there(struct rig *r)
{
    return rig_number(r, "SELECT COUNT(*) FROM events");
}

/* The one thing that `status` tells of as hidden. */
static void assert_hidden(struct rig *r, const char *what, bool by_rollback)
{
    struct agent_result *result = rig_do(r, AGENT_OP_SIGNALS, AGENT_RUN_NONE, 0, 0);
    assert_int_equal(result->n_hidden, 1);
    assert_non_null(strstr(result->hidden[0].what, what));
    assert_int_equal(result->hidden[0].by_rollback, by_rollback);
    agent_result_free(result);
}

static void rows_go_in_batches_and_come_back_twice(void **state)
{
    struct rig *r = *state;
    events(r);
    plan_delete(r, "t.`k` = 1");
    char *rows = digest(r), *before = rig_dump(r, "events");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_walk(r, 1, 170), 18);
        assert_int_equal(rows_there(r), 2000);
        assert_int_equal(kept(r), 1000);
        rig_inspect(r, 1, AGENT_PROOF_DONE);
        rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
        rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_IMAGES_BACK);
        assert_true(rig_undo(r, 1) >= 3);
        assert_string_equal(r->remark, "");
        assert_rows(r, rows);
        assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.hidden WHERE home = DATABASE()"), 0);
    }
    char *after = rig_dump(r, "events");
    assert_string_equal(after, before);
    free(after);
    free(before);
    free(rows);
}

static void agent_that_is_killed_in_the_middle_goes_on_both_ways(void **state)
{
    struct rig *r = *state;
    events(r);
    plan_delete(r, "t.`k` = 1");
    char *rows = digest(r);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    for (int i = 0; !r->walked; i++) {
        agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 100));
        if (i % 5 == 0) {
            rig_kill_agent(r);
        }
        rig_reload(r);
    }
    assert_int_equal(rows_there(r), 2000);
    for (int i = 0; i < 6; i++) {
        agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_IMAGES_BACK, 1, 100));
        rig_kill_agent(r);
        rig_reload(r);
    }
    /* Forward from the middle of the way back, and back. */
    rig_walk(r, 1, 400);
    assert_int_equal(rows_there(r), 2000);
    rig_undo(r, 1);
    assert_rows(r, rows);
    free(rows);
}

static void rows_whose_place_is_taken_are_counted_and_kept(void **state)
{
    struct rig *r = *state;
    events(r);
    plan_delete(r, "t.`k` = 1");
    rig_walk(r, 1, 1000);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    assert_hidden(r, "deleted rows of events", false);
    rig_app(r, "INSERT INTO events (id, `The ``name```, k) VALUES (1, 'new', 2), (9000, 'N7', 2)");
    rig_undo(r, 1);
    /* The key of 1 is taken, and the name of 7, whatever its case. */
    assert_non_null(strstr(r->remark, "rows were not brought back: the key or another unique value is taken"));
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM events WHERE id IN (1, 9000)"), 2);
    long back = rig_number(r, "SELECT COUNT(*) FROM events WHERE k = 1");
    char *left = strdup(rig_value(r, "SELECT hidden_name FROM zdm.hidden WHERE home = DATABASE() AND by_rollback"));
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.`%s`", left), 1000 - back);
    assert_int_equal(back, 997); /* 4 points at 7 */
    assert_hidden(r, "deleted rows of events", true);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    r->grace_ms = 3600 * 1000;
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_EARLY);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_OK);
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_ALREADY);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = '%s'", left), 0);
    free(left);
}

/* What SQL cannot ask beforehand: two rows of the archive exclude each other. */
static void of_rows_that_exclude_each_other_one_comes_back(void **state)
{
    struct rig *r = *state;
    events(r);
    rig_sql(r, "UPDATE events SET up = NULL");
    plan_delete(r, "t.`seen` <=> 's1'");
    rig_walk(r, 1, 1000);
    rig_app(r, "INSERT INTO events (id, `The ``name```, k, seen) VALUES (9001, 'n1', 2, 's1')");
    rig_run(r, AGENT_RUN_STEP_BACK, 1, AGENT_OK);
    rig_walk(r, 1, 1000); /* n1 is kept twice, under 1 and 9001 */
    rig_undo(r, 1);
    assert_string_equal(r->remark, "1 row was not brought back: the key or another unique value is taken, or what it"
                                   " points at is gone");
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM events WHERE `The ``name``` = 'n1'"), 1);
    assert_int_equal(rows_there(r), 3000);
}

static void columns_that_change_later_stop_nothing(void **state)
{
    struct rig *r = *state;
    events(r);
    plan_delete(r, "t.`k` = 1");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_BATCH, 1, AGENT_OK);
    rig_sql(r,
            "ALTER TABLE events ADD COLUMN later int DEFAULT 5; UPDATE events SET later = id; ALTER TABLE events DROP"
            " COLUMN at");
    while (!r->walked) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 500);
        if (result->outcome != AGENT_OK && result->outcome != AGENT_RETRY) {
            fail_msg("%s: %s", agent_outcome_name(result->outcome), result->error.message);
        }
        agent_result_free(result);
    }
    assert_int_equal(rows_there(r), 2000);
    rig_undo(r, 1);
    assert_int_equal(rows_there(r), 3000);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM events WHERE id > 1000 AND NOT later <=> id"), 0);
}

/* The rows kept are known by the key of then, whatever stands first now. */
static void key_that_is_added_meanwhile_does_not_matter(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE events (code int NOT NULL UNIQUE, id int NOT NULL); INSERT INTO events VALUES (9, 1), (8,"
               " 2), (7, 3), (6, 4), (5, 5), (4, 6)");
    plan_delete(r, "t.`id` <= 5");
    rig_walk(r, 1, 2);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_sql(r, "ALTER TABLE events ADD PRIMARY KEY (id)");
    rig_undo(r, 1);
    assert_string_equal(r->remark, "");
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM events WHERE code = 10 - id"), 6);
}

static void row_that_others_point_at_is_named(void **state)
{
    struct rig *r = *state;
    events(r);
    rig_sql(r, "CREATE TABLE `lines` (e int, FOREIGN KEY to_events (e) REFERENCES events (id)); INSERT INTO `lines`"
               " VALUES (16)");
    plan_delete(r, "t.`k` = 1");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    rig_refused(r, AGENT_RUN_BATCH, 1, "a row of events cannot be deleted");
    rig_refused(r, AGENT_RUN_BATCH, 1, "`lines`");
    assert_int_equal(rows_there(r), 3000);
    assert_int_equal(kept(r), 0);
    rig_sql(r, "DELETE FROM `lines`");
    rig_walk(r, 1, 1000);
    assert_int_equal(rows_there(r), 2000);
}

static void rows_of_other_tables_are_not_deleted_along(void **state)
{
    struct rig *r = *state;
    events(r);
    rig_sql(r,
            "CREATE TABLE `lines` (e int, CONSTRAINT along FOREIGN KEY (e) REFERENCES events (id) ON DELETE CASCADE)");
    struct zdm_step *step = plan_delete(r, "t.`k` = 1");
    rig_refused(r, AGENT_RUN_BOUND, 1, "foreign key along is ON DELETE CASCADE");
    /* Nothing is kept: they may go. */
    step->inverse = ZDM_INVERSE_NONE;
    rig_walk(r, 1, 1000);
    assert_int_equal(rows_there(r), 2000);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
}

static void rows_that_point_at_each_other_are_refused_with_what_to_do(void **state)
{
    struct rig *r = *state;
    events(r);
    rig_sql(r, "UPDATE events SET up = 5 WHERE id = 2000");
    plan_delete(r, "t.`id` <= 2500");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    rig_refused(r, AGENT_RUN_BATCH, 1, "set the column that points to NULL with an UPDATE of the same rows in front");
    assert_int_equal(rows_there(r), 3000);
    rig_sql(r, "UPDATE events SET up = NULL WHERE id <= 2500");
    rig_walk(r, 1, 1000);
    assert_int_equal(rows_there(r), 500);
}

/* The server does not let it go by itself, either. */
static void row_that_points_at_itself_is_refused_with_what_to_do(void **state)
{
    struct rig *r = *state;
    events(r);
    rig_sql(r, "UPDATE events SET up = id WHERE id = 10");
    plan_delete(r, "t.`id` = 10");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    rig_refused(r, AGENT_RUN_BATCH, 1, "Where it is rows of the table itself");
}

static void archive_is_dropped_when_it_is_purged(void **state)
{
    struct rig *r = *state;
    events(r);
    plan_delete(r, NULL);
    rig_sql(r, "UPDATE events SET up = NULL");
    rig_walk(r, 1, 1000);
    assert_int_equal(rows_there(r), 0);
    char *name = strdup(rig_images(r, OBJECT));
    rig_step(r, 1)->action = ZDM_ACTION_PURGE_IMAGES;
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE, 1, AGENT_OK);
    assert_int_equal(
        rig_number(r, "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = SUBSTR('%s', 5)", name), 0);
    free(name);
}

/* ---- Rows that cannot come back as they were ---- */

static void delete_five(struct rig *r, const char *tables)
{
    rig_numbers(r);
    rig_sql(r, "%s", tables);
    plan_delete(r, "t.`id` <= 5");
    rig_walk(r, 1, 100);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    assert_int_equal(rows_there(r), 5);
}

static void rows_that_the_table_refuses_by_now_stay_in_the_archive(void **state)
{
    struct rig *r = *state;
    delete_five(r, "CREATE TABLE events (id int PRIMARY KEY, pos int, name varchar(20), v int); INSERT INTO events"
                   " SELECT g, NULLIF(g, 3), IF(g = 4, 'a long name', 'n'), NULLIF(g, 5) FROM n WHERE g BETWEEN 1 AND"
                   " 10");
    rig_sql(r, "ALTER TABLE events MODIFY name varchar(5), MODIFY v int NOT NULL, ADD CONSTRAINT whole CHECK (pos IS"
               " NOT NULL)");
    rig_undo(r, 1);
    assert_int_equal(rows_there(r), 7);
    assert_non_null(strstr(r->remark, "3 rows were not brought back, since the table refuses them: "));
    assert_non_null(strstr(r->remark, "whole"));
    assert_null(strstr(r->remark, "taken"));
    assert_hidden(r, "deleted rows of events", true);
    rig_reload(r);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    assert_non_null(strstr(r->remark, "3 rows were not brought back, since the table refuses them: "));
}

static void rows_of_a_partition_that_is_gone_or_that_a_trigger_refuses_stay_in_the_archive(void **state)
{
    struct rig *r = *state;
    delete_five(r, "CREATE TABLE events (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k) (PARTITION a VALUES"
                   " IN (0), PARTITION b VALUES IN (1)); INSERT INTO events SELECT g, g % 2 FROM n WHERE g BETWEEN 1"
                   " AND 10");
    rig_sql(r, "ALTER TABLE events DROP PARTITION a; CREATE TRIGGER no BEFORE INSERT ON events FOR EACH ROW IF NEW.id ="
               " 3 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no three'; END IF");
    rig_undo(r, 1);
    assert_string_equal(rig_value(r, "SELECT GROUP_CONCAT(id ORDER BY id) FROM events"), "1,5,7,9");
    assert_non_null(strstr(r->remark, "3 rows were not brought back, since the table refuses them: "));
}

static void trigger_that_gives_keys_is_told(void **state)
{
    struct rig *r = *state;
    delete_five(r, "CREATE TABLE events (id int PRIMARY KEY, v int); INSERT INTO events SELECT g, g FROM n WHERE g"
                   " BETWEEN 1 AND 10; CREATE TRIGGER give BEFORE INSERT ON events FOR EACH ROW SET NEW.id = NEW.id +"
                   " 1000");
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT COUNT(DISTINCT v) FROM events"), 10);
    assert_int_equal(rows_there(r), 10);
    assert_string_equal(r->remark, "5 rows were brought back under another key, which a trigger gave them");
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.hidden WHERE home = DATABASE()"), 0);
}

/* It went while no foreign key held it. */
static void row_that_points_at_itself_comes_back(void **state)
{
    struct rig *r = *state;
    delete_five(r, "CREATE TABLE events (id int PRIMARY KEY, up int NOT NULL); INSERT INTO events SELECT g, g FROM n"
                   " WHERE g BETWEEN 1 AND 10");
    rig_sql(r, "ALTER TABLE events ADD FOREIGN KEY (up) REFERENCES events (id)");
    rig_undo(r, 1);
    assert_int_equal(rows_there(r), 10);
    assert_string_equal(r->remark, "");
}

/* ---- Writers ---- */

static void delete_and_insert(struct rig_writer *w, MYSQL *conn)
{
    char sql[512];
    unsigned id = (unsigned)rand_r(&w->seed) % 3000 + 1, fresh = 4000 + (unsigned)w->writes;
    snprintf(sql, sizeof sql,
             "UPDATE events SET big = 'w%u' WHERE id = %u; INSERT INTO events (id, `The ``name```, k, seen) VALUES (%u,"
             " 'x%u', 1, 'new')",
             fresh, id, fresh, fresh);
    rig_write(w, conn, sql);
}

/* Each row that went is kept as it was when it went; those that came later stay. */
static void rows_are_kept_as_they_were_when_they_went(void **state)
{
    struct rig *r = *state;
    struct rig_writer w = {.rig = r, .write = delete_and_insert, .seed = 3};
    events(r);
    rig_sql(r,
            "CREATE TABLE gone (id int PRIMARY KEY, big varchar(9000)); CREATE TRIGGER log_gone BEFORE DELETE ON events"
            " FOR EACH ROW INSERT INTO gone VALUES (OLD.id, OLD.big)");
    plan_delete(r, "t.`k` = 1");
    rig_writer_start(&w);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    while (!r->walked) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 50);
        if (result->outcome != AGENT_OK && result->outcome != AGENT_RETRY && result->outcome != AGENT_LOCK) {
            fail_msg("%s: %s", agent_outcome_name(result->outcome), result->error.message);
        }
        agent_result_free(result);
    }
    rig_writer_stop(&w, 100);
    char *name = strdup(rig_images(r, OBJECT));
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM %s", name), rig_number(r, "SELECT COUNT(*) FROM gone"));
    assert_int_equal(rig_number(r,
                                "SELECT COUNT(*) FROM gone g LEFT JOIN %s a ON a.id = g.id WHERE NOT (CAST(a.big AS"
                                " BINARY) <=> CAST(g.big AS BINARY))",
                                name),
                     0);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM events WHERE k = 1 AND id <= 3000"), 0);
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM events WHERE id <= 3000"), 3000);
    free(name);
}

RIG_MAIN(RIG_TEST(rows_go_in_batches_and_come_back_twice),
         RIG_TEST(agent_that_is_killed_in_the_middle_goes_on_both_ways),
         RIG_TEST(rows_whose_place_is_taken_are_counted_and_kept),
         RIG_TEST(of_rows_that_exclude_each_other_one_comes_back), RIG_TEST(columns_that_change_later_stop_nothing),
         RIG_TEST(key_that_is_added_meanwhile_does_not_matter), RIG_TEST(row_that_others_point_at_is_named),
         RIG_TEST(rows_of_other_tables_are_not_deleted_along),
         RIG_TEST(rows_that_point_at_each_other_are_refused_with_what_to_do),
         RIG_TEST(row_that_points_at_itself_is_refused_with_what_to_do), RIG_TEST(archive_is_dropped_when_it_is_purged),
         RIG_TEST(rows_that_the_table_refuses_by_now_stay_in_the_archive),
         RIG_TEST(rows_of_a_partition_that_is_gone_or_that_a_trigger_refuses_stay_in_the_archive),
         RIG_TEST(trigger_that_gives_keys_is_told), RIG_TEST(row_that_points_at_itself_comes_back),
         RIG_TEST(rows_are_kept_as_they_were_when_they_went))
