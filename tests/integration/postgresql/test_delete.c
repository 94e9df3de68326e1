/*
 * test_delete.c - DELETE of many rows: in batches, with the rows kept, and brought back where they may be.
 */
#include "tests/integration/postgresql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct zdm_step *plan_delete(struct rig *r, const char *filter)
{
    rig_plan(r, "events", 1);
    struct zdm_step *step = rig_ddl(r, 1, ZDM_ACTION_DELETE, NULL, "undo_00c0ffee", NULL);
    step->inverse = ZDM_INVERSE_IMAGES;
    step->derivation = calloc(1, sizeof *step->derivation);
    step->derivation->filter = filter == NULL ? NULL : strdup(filter);
    rig_accept(r, 1);
    return step;
}

static char *digest(struct rig *r)
{
    return strdup(rig_value(r, "SELECT md5(coalesce(string_agg(e::text, ',' ORDER BY e::text), '')) FROM events e"));
}

static void assert_rows(struct rig *r, const char *rows)
{
    char *now = digest(r);
    assert_string_equal(now, rows);
    free(now);
}

/* All that a column can be: identity, generated, dropped before, a domain, a collation, quoted. */
static void events(struct rig *r)
{
    rig_sql(r,
            "CREATE DOMAIN short AS text CHECK (length(VALUE) < 9); CREATE TABLE kinds (k int PRIMARY KEY);"
            "INSERT INTO kinds VALUES (0), (1), (2); CREATE TABLE events (id int GENERATED ALWAYS AS IDENTITY PRIMARY"
            " KEY, gone int, \"The \"\"name\"\"\" short NOT NULL UNIQUE, twice int GENERATED ALWAYS AS (k * 2) STORED,"
            " k int REFERENCES kinds, up int REFERENCES events, seen text COLLATE \"C\" DEFAULT 'd', at timestamptz"
            " DEFAULT now()); ALTER TABLE events DROP COLUMN gone;"
            "INSERT INTO events (\"The \"\"name\"\"\", k) SELECT 'n' || g, g %% 3 FROM generate_series(1, 3000) g;"
            "UPDATE events SET up = id + 3 WHERE id %% 3 = 1 AND id < 300");
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
    plan_delete(r, "t.\"k\" = 1");
    char *rows = digest(r), *before = rig_dump(r, "events");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_walk(r, 1, 170), 18);
        assert_int_equal(rig_number(r, "SELECT count(*) FROM events"), 2000);
        assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.undo_00c0ffee"), 1000);
        rig_inspect(r, 1, AGENT_PROOF_DONE);
        rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
        rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_IMAGES_BACK);
        assert_true(rig_undo(r, 1) >= 3);
        assert_string_equal(r->remark, "");
        assert_rows(r, rows);
        assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
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
    plan_delete(r, "t.\"k\" = 1");
    char *rows = digest(r);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    for (int i = 0; !r->walked; i++) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 100);
        agent_result_free(result);
        if (i % 5 == 0) {
            rig_exec(r->super, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'zdm_agent' AND"
                               " datname = current_database()");
        }
        rig_reload(r);
    }
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events"), 2000);
    for (int i = 0; i < 6; i++) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_IMAGES_BACK, 1, 100);
        agent_result_free(result);
        rig_exec(r->super, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'zdm_agent' AND"
                           " datname = current_database()");
        rig_reload(r);
    }
    /* Forward from the middle of the way back, and back. */
    rig_walk(r, 1, 400);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events"), 2000);
    rig_undo(r, 1);
    assert_rows(r, rows);
    free(rows);
}

static void rows_whose_place_is_taken_are_counted_and_kept(void **state)
{
    struct rig *r = *state;
    events(r);
    plan_delete(r, "t.\"k\" = 1");
    rig_walk(r, 1, 1000);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    assert_hidden(r, "deleted rows of public.events (", false);
    rig_app(r, "INSERT INTO events (id, \"The \"\"name\"\"\", k) OVERRIDING SYSTEM VALUE VALUES (1, 'new', 2), (9000,"
               " 'n7', 2)");
    rig_undo(r, 1);
    /* The key of 1 is taken, and the name of 7. */
    assert_non_null(strstr(r->remark, "rows were not brought back: the key or another unique value is taken"));
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events WHERE id IN (1, 9000)"), 2);
    long kept = rig_number(r, "SELECT count(*) FROM events WHERE k = 1");
    long left = rig_number(r, "SELECT (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM zdm.%%I', "
                              "hidden_name), false, true, '')))[1]::text::int FROM zdm.hidden WHERE by_rollback");
    assert_int_equal(kept + left, 1000);
    assert_int_equal(left, 3); /* 4 points at 7 */
    assert_hidden(r, "deleted rows of public.events (", true);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    r->grace_ms = 3600 * 1000;
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_EARLY);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_OK);
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_ALREADY);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname LIKE 'left_%%'"), 0);
}

static void columns_that_change_later_stop_nothing(void **state)
{
    struct rig *r = *state;
    events(r);
    plan_delete(r, "t.\"k\" = 1");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_BATCH, 1, AGENT_OK);
    rig_sql(r,
            "ALTER TABLE events ADD COLUMN later int DEFAULT 5; UPDATE events SET later = id; ALTER TABLE events DROP"
            " COLUMN at");
    while (!r->walked) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 500);
        assert_true(result->outcome == AGENT_OK || result->outcome == AGENT_RETRY || result->outcome == AGENT_ABSENT);
        agent_result_free(result);
    }
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events"), 2000);
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events"), 3000);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events WHERE id > 1000 AND later IS DISTINCT FROM id"), 0);
}

static void row_that_others_point_at_is_named(void **state)
{
    struct rig *r = *state;
    events(r);
    rig_sql(r, "CREATE TABLE lines (e int REFERENCES events DEFERRABLE INITIALLY DEFERRED); INSERT INTO lines VALUES"
               " (16)");
    plan_delete(r, "t.\"k\" = 1");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    rig_refused(r, AGENT_RUN_BATCH, 1, "Key (id)=(16) is still referenced from table \"lines\"");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events"), 3000);
    rig_sql(r, "DELETE FROM lines");
    rig_walk(r, 1, 1000);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events"), 2000);
}

static void rows_of_other_tables_are_not_deleted_along(void **state)
{
    static const char *const rules[] = {"CASCADE", "SET NULL", "SET DEFAULT"};
    struct rig *r = *state;
    events(r);
    struct zdm_step *step = plan_delete(r, "t.\"k\" = 1");
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        rig_sql(r, "CREATE TABLE lines (e int CONSTRAINT of_event REFERENCES events ON DELETE %s)", rules[i]);
        rig_refused(r, AGENT_RUN_BOUND, 1, rules[i]);
        rig_sql(r, "DROP TABLE lines");
    }
    rig_sql(r, "CREATE TABLE lines (e int CONSTRAINT of_event REFERENCES events ON DELETE CASCADE); INSERT INTO lines"
               " VALUES (1), (2)");
    step->inverse = ZDM_INVERSE_IMPOSSIBLE;
    rig_walk(r, 1, 1000);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM lines"), 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname LIKE 'undo_%%'"), 0);
}

/* Before PostgreSQL 15 only a superuser may. */
static void may_skip_triggers(struct rig *r, bool may)
{
    rig_may_set(r, "session_replication_role", may);
    if (PQserverVersion(r->super) < 150000) {
        rig_exec(r->super, may ? "ALTER ROLE zdm_agent SUPERUSER" : "ALTER ROLE zdm_agent NOSUPERUSER");
    }
}

static void triggers_are_skipped_where_that_is_allowed(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE events (id int PRIMARY KEY); CREATE TABLE log (id int); INSERT INTO events SELECT g FROM"
               " generate_series(1, 9) g; CREATE FUNCTION logged() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT"
               " INTO public.log VALUES (OLD.id); RETURN OLD; END'; CREATE TRIGGER app BEFORE DELETE ON events FOR EACH"
               " ROW EXECUTE FUNCTION logged(); GRANT INSERT ON log TO PUBLIC");
    struct zdm_step *step = plan_delete(r, "t.\"id\" > 4");
    step->skip_triggers = true;
    rig_refused(r, AGENT_RUN_BOUND, 1, "may not skip the application's triggers");
    may_skip_triggers(r, true);
    rig_sql(r, "CREATE TABLE lines (e int REFERENCES events)");
    rig_refused(r, AGENT_RUN_BOUND, 1, "would not be checked");
    rig_sql(r, "DROP TABLE lines");
    rig_walk(r, 1, 3);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events"), 4);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM log"), 0);
    rig_undo(r, 1);
    step->skip_triggers = false;
    rig_walk(r, 1, 3);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM log"), 5);
    may_skip_triggers(r, false);
}

static void rows_that_point_at_each_other_are_refused_with_what_to_do(void **state)
{
    struct rig *r = *state;
    events(r);
    rig_sql(r, "UPDATE events SET up = 5 WHERE id = 2000");
    plan_delete(r, "t.\"id\" <= 2500");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    rig_refused(r, AGENT_RUN_BATCH, 1, "set the column that points to NULL with an UPDATE of the same rows in front");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events"), 3000);
    rig_sql(r, "UPDATE events SET up = NULL WHERE id <= 2500");
    rig_walk(r, 1, 1000);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events"), 500);
}

static void archive_is_dropped_when_it_is_purged(void **state)
{
    struct rig *r = *state;
    events(r);
    plan_delete(r, NULL);
    rig_sql(r, "UPDATE events SET up = NULL");
    rig_walk(r, 1, 1000);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events"), 0);
    rig_step(r, 1)->action = ZDM_ACTION_PURGE_IMAGES;
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE, 1, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname LIKE 'undo_%%'"), 0);
}

/* ---- Rows that cannot come back as they were ---- */

static void delete_five(struct rig *r, const char *tables)
{
    rig_sql(r, "%s", tables);
    plan_delete(r, "t.\"id\" <= 5");
    rig_walk(r, 1, 100);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
}

static void rows_that_point_at_themselves_or_in_a_ring_come_back(void **state)
{
    struct rig *r = *state;
    delete_five(r,
                "CREATE TABLE events (id int PRIMARY KEY, up int NOT NULL REFERENCES events); INSERT INTO events SELECT"
                " g, CASE g WHEN 4 THEN 5 WHEN 5 THEN 4 ELSE g END FROM generate_series(1, 10) g");
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events"), 10);
    assert_string_equal(r->remark, "");
}

static void deferrable_unique_constraint_does_not_hold_up_the_way_back(void **state)
{
    struct rig *r = *state;
    delete_five(r, "CREATE TABLE events (id int PRIMARY KEY, pos int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO"
                   " events SELECT g, g FROM generate_series(1, 10) g");
    rig_sql(r, "UPDATE events SET pos = 3 WHERE id = 10; INSERT INTO events VALUES (2, 20)");
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events"), 9);
    assert_non_null(strstr(r->remark, "2 rows were not brought back"));
}

static void row_that_the_table_refuses_by_now_stays_in_the_archive(void **state)
{
    struct rig *r = *state;
    delete_five(r,
                "CREATE TABLE events (id int PRIMARY KEY, pos int); INSERT INTO events SELECT g, nullif(g, 3) FROM"
                " generate_series(1, 10) g; ALTER TABLE events ADD CONSTRAINT whole CHECK (pos IS NOT NULL) NOT VALID");
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events"), 9);
    assert_non_null(strstr(r->remark, "1 row was not brought back, since the table refuses them: "));
    assert_non_null(strstr(r->remark, "\"whole\""));
    assert_hidden(r, "deleted rows of public.events (", true);
}

static void rows_of_a_partition_that_is_gone_stay_in_the_archive(void **state)
{
    struct rig *r = *state;
    delete_five(r, "CREATE TABLE events (id int, at int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at); CREATE TABLE e1"
                   " PARTITION OF events FOR VALUES FROM (0) TO (30); CREATE TABLE e2 PARTITION OF events FOR VALUES"
                   " FROM (30) TO (200); INSERT INTO events SELECT g, g * 10 FROM generate_series(1, 10) g");
    rig_sql(r, "ALTER TABLE events DETACH PARTITION e1");
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events"), 8);
    assert_non_null(strstr(r->remark, "2 rows were not brought back, since the table refuses them: "));
}

static void trigger_that_gives_keys_ends_and_is_told(void **state)
{
    struct rig *r = *state;
    delete_five(r,
                "CREATE SEQUENCE s START 1000; GRANT USAGE ON s TO PUBLIC; CREATE TABLE events (id int PRIMARY KEY, v"
                " text); INSERT INTO events SELECT g, 'v' || g FROM generate_series(1, 10) g; CREATE FUNCTION give()"
                " RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.id := nextval(''public.s''); RETURN NEW; END';"
                " CREATE TRIGGER give BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION give()");
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT count(DISTINCT v) FROM events"), 10);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events"), 10);
    assert_non_null(strstr(r->remark, "5 rows were brought back under another key"));
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
}

/* The rows kept are known by the key of then, whatever stands first now. */
static void key_that_is_added_meanwhile_does_not_matter(void **state)
{
    struct rig *r = *state;
    delete_five(r,
                "CREATE TABLE events (code int NOT NULL UNIQUE, id int NOT NULL); INSERT INTO events SELECT 11 - g, g"
                " FROM generate_series(1, 10) g");
    rig_sql(r, "ALTER TABLE events ADD PRIMARY KEY (id)");
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM events WHERE code = 11 - id"), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(rows_go_in_batches_and_come_back_twice),
        RIG_TEST(agent_that_is_killed_in_the_middle_goes_on_both_ways),
        RIG_TEST(rows_whose_place_is_taken_are_counted_and_kept),
        RIG_TEST(columns_that_change_later_stop_nothing),
        RIG_TEST(row_that_others_point_at_is_named),
        RIG_TEST(rows_of_other_tables_are_not_deleted_along),
        RIG_TEST(triggers_are_skipped_where_that_is_allowed),
        RIG_TEST(rows_that_point_at_each_other_are_refused_with_what_to_do),
        RIG_TEST(archive_is_dropped_when_it_is_purged),
        RIG_TEST(rows_that_point_at_themselves_or_in_a_ring_come_back),
        RIG_TEST(deferrable_unique_constraint_does_not_hold_up_the_way_back),
        RIG_TEST(row_that_the_table_refuses_by_now_stays_in_the_archive),
        RIG_TEST(rows_of_a_partition_that_is_gone_stay_in_the_archive),
        RIG_TEST(trigger_that_gives_keys_ends_and_is_told),
        RIG_TEST(key_that_is_added_meanwhile_does_not_matter),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
