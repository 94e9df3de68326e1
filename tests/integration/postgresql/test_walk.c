/*
 * test_walk.c - backfills over every shape of key, their counts, and the check that compares.
 */
#include "tests/integration/postgresql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A table with these key columns, two plain columns and a backfill of b := upper(a). */
static void make(struct rig *r, const char *columns, const char *rows)
{
    static const char *const sources[] = {"a"};
    rig_sql(r, "CREATE TABLE w (%s, a text, b text, n int NOT NULL DEFAULT 0); %s", columns, rows);
    rig_plan(r, "w", 2);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "b", "upper(t.\"a\")", "upper(NEW.\"a\")", sources, 1);
    rig_derive(r, 2, ZDM_ACTION_CHECK_COMPARE, "b", "upper(t.\"a\")", "upper(NEW.\"a\")", sources, 1);
    rig_accept(r, 1);
}

/* Walks in batches of 37: all rows changed, in as few batches as rows need, and the comparison agrees. */
static void walk_all(struct rig *r)
{
    long rows = rig_number(r, "SELECT count(*) FROM w");
    unsigned batches = rig_walk(r, 1, 37);
    assert_int_equal(batches, rows / 37 + 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM w WHERE b IS DISTINCT FROM upper(a)"), 0);
    assert_int_equal(rig_number(r, "SELECT rows_done FROM zdm.migration"), rows);
    assert_int_equal(rig_number(r, "SELECT rows_total FROM zdm.migration"), rows);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    assert_int_equal(r->journal_step, 2);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
    rig_walk(r, 2, 50);
    rig_inspect(r, 2, AGENT_PROOF_DONE);
}

static void integer_key_is_walked(void **state)
{
    make(*state, "id int PRIMARY KEY", "INSERT INTO w SELECT g, 'v' || g FROM generate_series(-100, 200) g");
    rig_inspect(*state, 1, AGENT_PROOF_NOT_DONE);
    walk_all(*state);
}

static void sparse_key_costs_no_more_than_its_rows(void **state)
{
    make(*state, "id bigint PRIMARY KEY",
         "INSERT INTO w SELECT g * 1000000::bigint, 'v' || g FROM generate_series(1, 150) g");
    walk_all(*state);
}

static void text_key_is_walked_in_the_order_of_its_collation(void **state)
{
    static const char *const collations[] = {"\"C\"", "\"en-x-icu\"", "\"de-x-icu\"", "\"sv-x-icu\""};
    struct rig *r = *state;
    for (size_t i = 0; i < sizeof collations / sizeof *collations; i++) {
        char columns[128];
        snprintf(columns, sizeof columns, "k text COLLATE %s PRIMARY KEY", collations[i]);
        make(r, columns,
             "INSERT INTO w SELECT x || g, x FROM generate_series(1, 30) g, unnest(ARRAY['a','B','é','Z','ä','ß','\"',"
             "'\\','',' ','ö','O','😀']) x");
        walk_all(r);
        rig_sql(r, "DROP TABLE w");
        rig_sql(r, "SELECT 1");
        PGconn *agent = rig_connect(r, "zdm_agent");
        rig_exec(agent, "DELETE FROM zdm.migration");
        PQfinish(agent);
    }
}

static void nondeterministic_collation_is_walked(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
    make(r, "k text COLLATE ci PRIMARY KEY", "INSERT INTO w SELECT 'Key' || g, 'v' FROM generate_series(1, 100) g");
    walk_all(r);
}

static void uuid_key_is_walked(void **state)
{
    make(*state, "k uuid PRIMARY KEY",
         "INSERT INTO w SELECT gen_random_uuid(), 'v' || g FROM generate_series(1, 150) g");
    walk_all(*state);
}

static void timestamp_key_is_walked(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "ALTER DATABASE %s SET timezone = 'America/New_York'", r->database);
    make(r, "k timestamptz PRIMARY KEY",
         "INSERT INTO w SELECT '2024-11-03 00:00'::timestamptz + g * interval '1.000001 min', 'v' || g"
         " FROM generate_series(1, 150) g");
    walk_all(r);
}

static void composite_key_is_walked(void **state)
{
    make(*state, "tenant int, k text, PRIMARY KEY (tenant, k)",
         "INSERT INTO w SELECT g % 7, 'k' || g, 'v' || g FROM generate_series(1, 200) g");
    walk_all(*state);
}

static void unique_not_null_index_serves_as_key(void **state)
{
    make(*state, "k int NOT NULL UNIQUE", "INSERT INTO w SELECT g, 'v' || g FROM generate_series(1, 100) g");
    walk_all(*state);
}

static void partitioned_table_is_walked(void **state)
{
    struct rig *r = *state;
    make(r, "id int PRIMARY KEY", "");
    rig_sql(r, "DROP TABLE w; CREATE TABLE w (p int, k int, a text, b text, PRIMARY KEY (p, k)) PARTITION BY LIST (p);"
               "CREATE TABLE w1 PARTITION OF w FOR VALUES IN (1); CREATE TABLE w2 PARTITION OF w FOR VALUES IN (2);"
               "INSERT INTO w SELECT 1 + g %% 2, g, 'v' FROM generate_series(1, 200) g");
    walk_all(r);
}

static void table_without_a_usable_key_is_refused(void **state)
{
    struct rig *r = *state;
    make(r, "k int, p int NOT NULL",
         "CREATE UNIQUE INDEX ON w (k); CREATE UNIQUE INDEX ON w (p) WHERE p > 0;"
         "CREATE UNIQUE INDEX ON w ((p + 1));");
    rig_refused(r, AGENT_RUN_BOUND, 1, "has no key to walk by");
    rig_sql(r, "DROP TABLE w; CREATE TABLE w (k float8 PRIMARY KEY, a text, b text)");
    rig_refused(r, AGENT_RUN_BOUND, 1, "cannot be walked by k");
}

static void empty_table_is_walked_at_once(void **state)
{
    struct rig *r = *state;
    make(r, "id int PRIMARY KEY", "");
    assert_int_equal(rig_walk(r, 1, 10), 0);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
}

static void rows_with_filter_and_guard_only_are_changed(void **state)
{
    struct rig *r = *state;
    make(r, "id int PRIMARY KEY",
         "INSERT INTO w SELECT g, 'v', CASE WHEN g <= 10 THEN 'mine' END, g FROM generate_series(1, 100) g");
    struct zdm_derivation *d = rig_step(r, 1)->derivation;
    d->filter = strdup("t.\"n\" <= 50");
    d->guard = strdup("t.\"b\" IS NULL");
    rig_walk(r, 1, 30);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM w WHERE b = 'V'"), 40);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM w WHERE b = 'mine'"), 10);
}

static void batch_that_is_not_idempotent_counts_every_row_once(void **state)
{
    struct rig *r = *state;
    make(r, "id int PRIMARY KEY", "INSERT INTO w SELECT g, 'v' FROM generate_series(1, 500) g");
    struct zdm_derivation *d = rig_step(r, 1)->derivation;
    free(d->assignments[0].target);
    free(d->assignments[0].expr);
    d->assignments[0].target = strdup("n");
    d->assignments[0].expr = strdup("t.\"n\" + 1");
    d->idempotent = false;
    r->locked_form = true;
    rig_walk(r, 1, 64);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM w WHERE n <> 1"), 0);
}

static void second_generation_in_the_middle_of_a_batch_rolls_it_back(void **state)
{
    struct rig *r = *state;
    make(r, "id int PRIMARY KEY", "INSERT INTO w SELECT g, 'v' FROM generate_series(1, 100) g");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    rig_sql(r, "BEGIN; UPDATE w SET n = 7 WHERE id = 5");
    uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 20);
    while (rig_number(r, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = '%s'",
                      r->database) == 0) {
    }
    struct zdm_fence old = r->fence;
    agent_result_free(rig_try_accept(r, 1, 2, 1, 2));
    rig_sql(r, "COMMIT");
    struct agent_result *result = rig_await(r, op);
    assert_string_equal(agent_outcome_name(result->outcome), "fenced");
    agent_result_free(result);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM w WHERE b IS NOT NULL"), 0);
    assert_string_equal(rig_value(r, "SELECT cursor FROM zdm.migration"), "NULL");
    (void)old;
    rig_run(r, AGENT_RUN_BATCH, 1, AGENT_OK);
}

/* Both forms: the server tells whoever waited for the row that it was moved, and that is tried again. */
static void row_that_is_moved_to_another_partition_under_a_batch_makes_it_try_again(void **state)
{
    struct rig *r = *state;
    make(r, "id int PRIMARY KEY", "");
    rig_sql(r, "DROP TABLE w; CREATE TABLE w (id int PRIMARY KEY, a text, b text) PARTITION BY RANGE (id);"
               "CREATE TABLE w1 PARTITION OF w FOR VALUES FROM (0) TO (500); CREATE TABLE w2 PARTITION OF w FOR VALUES"
               " FROM (500) TO (1000); INSERT INTO w SELECT g, 'v' FROM generate_series(1, 100) g");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    for (int form = 0; form < 2; form++) {
        r->locked_form = form == 1;
        rig_sql(r, "BEGIN; UPDATE w SET id = id + 500 WHERE id = %d", 5 + form);
        uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 20);
        while (rig_number(r, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = '%s'",
                          r->database) == 0) {
        }
        rig_sql(r, "COMMIT");
        struct agent_result *result = rig_await(r, op);
        assert_string_equal(agent_outcome_name(result->outcome), "retry");
        assert_int_equal(result->error.code, ZDM_CONFLICT);
        assert_string_equal(result->error.sqlstate, "40001");
        agent_result_free(result);
        assert_int_equal(rig_number(r, "SELECT count(*) FROM w WHERE b IS NOT NULL"), 0);
    }
    rig_walk(r, 1, 20);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM w WHERE b IS NULL AND id < 500"), 0);
}

static void batch_with_a_cursor_of_the_past_is_fenced(void **state)
{
    struct rig *r = *state;
    make(r, "id int PRIMARY KEY", "INSERT INTO w SELECT g, 'v' FROM generate_series(1, 100) g");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 10));
    free(r->cursor);
    r->cursor = NULL;
    rig_run(r, AGENT_RUN_BATCH, 1, AGENT_FENCED);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM w WHERE b IS NOT NULL"), 10);
}

static void comparison_finds_a_row_that_differs_and_names_it(void **state)
{
    struct rig *r = *state;
    make(r, "id int PRIMARY KEY",
         "INSERT INTO w SELECT g, 'v' || g, 'V' || g FROM generate_series(1, 100) g; UPDATE w SET b = 'x' WHERE id = "
         "77");
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_BOUND, 2, AGENT_OK);
    rig_refused(r, AGENT_RUN_CHECK_CHUNK, 2, "[\"77\"]");
}

static void check_query_must_return_nothing(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE q (id int PRIMARY KEY, v text); INSERT INTO q VALUES (1, 'bad')");
    rig_plan(r, "q", 1);
    rig_ddl(r, 1, ZDM_ACTION_CHECK_QUERY, NULL, NULL, "SELECT id, v FROM q WHERE v = 'bad';\n");
    rig_accept(r, 1);
    rig_refused(r, AGENT_RUN_CHECK_CHUNK, 1, "id=1, v=bad");
    rig_sql(r, "DELETE FROM q");
    rig_run(r, AGENT_RUN_CHECK_CHUNK, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
}

static void changed_key_starts_an_idempotent_walk_again(void **state)
{
    struct rig *r = *state;
    make(r, "id int PRIMARY KEY", "INSERT INTO w SELECT g, 'v' FROM generate_series(1, 100) g");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 10));
    rig_sql(r, "ALTER TABLE w ALTER id TYPE bigint");
    rig_connect_engine(r);
    agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 10));
    assert_null(r->cursor);
    assert_null(r->bound);
    rig_walk(r, 1, 50);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM w WHERE b IS NULL"), 0);
}

/* Without a reconnect in between: what a lane remembers of the key does not outlive an error. */
static void key_that_changes_under_a_running_walk_is_noticed_after_the_first_error(void **state)
{
    struct rig *r = *state;
    make(r, "id int PRIMARY KEY", "INSERT INTO w SELECT g, 'v' FROM generate_series(1, 100) g");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 10));
    rig_sql(r, "ALTER TABLE w ALTER id TYPE text");
    for (int i = 0; i < 3 && r->cursor != NULL; i++) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 10);
        agent_result_free(result);
    }
    assert_null(r->cursor);
    rig_walk(r, 1, 50);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM w WHERE b IS NULL"), 0);
}

/* ADD COLUMN with a volatile default: new rows have it from the statement on, old ones are filled once, with no sync.
 */
static void volatile_default_fills_every_old_row_once(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE tokens (id int PRIMARY KEY); INSERT INTO tokens SELECT g FROM generate_series(1, 2500) g");
    rig_plan(r, "tokens", 2);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "token", NULL,
            "ALTER TABLE tokens ADD COLUMN token uuid, ALTER COLUMN token SET DEFAULT gen_random_uuid()");
    struct zdm_derivation *d =
        rig_derive(r, 2, ZDM_ACTION_BACKFILL, "token", "gen_random_uuid()", NULL, (const char *const[]){NULL}, 0);
    d->assignments[0].fill_once = true;
    d->guard = strdup("t.\"token\" IS NULL");
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_app(r, "INSERT INTO tokens (id) SELECT g FROM generate_series(3001, 3100) g; UPDATE tokens SET token ="
               " '00000000-0000-0000-0000-000000000001' WHERE id = 77");
    char *before = strdup(rig_value(r, "SELECT md5(string_agg(token::text, ',' ORDER BY id)) FROM tokens WHERE token IS"
                                       " NOT NULL"));
    rig_run(r, AGENT_RUN_BOUND, 2, AGENT_OK);
    rig_run(r, AGENT_RUN_BATCH, 2, AGENT_OK);
    char *first = strdup(rig_value(r, "SELECT token FROM tokens WHERE id = 5"));
    rig_walk(r, 2, 400); /* from the beginning, as after a restart */
    assert_string_equal(rig_value(r, "SELECT token FROM tokens WHERE id = 5"), first);
    assert_int_equal(rig_number(r, "SELECT count(*) - count(DISTINCT token) FROM tokens"), 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM tokens WHERE token IS NULL"), 0);
    assert_string_equal(rig_value(r,
                                  "SELECT md5(string_agg(token::text, ',' ORDER BY id)) FROM tokens WHERE id > 3000 OR"
                                  " id = 77"),
                        before);
    free(first);
    free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(integer_key_is_walked),
        RIG_TEST(sparse_key_costs_no_more_than_its_rows),
        RIG_TEST(text_key_is_walked_in_the_order_of_its_collation),
        RIG_TEST(nondeterministic_collation_is_walked),
        RIG_TEST(uuid_key_is_walked),
        RIG_TEST(timestamp_key_is_walked),
        RIG_TEST(composite_key_is_walked),
        RIG_TEST(unique_not_null_index_serves_as_key),
        RIG_TEST(partitioned_table_is_walked),
        RIG_TEST(table_without_a_usable_key_is_refused),
        RIG_TEST(empty_table_is_walked_at_once),
        RIG_TEST(rows_with_filter_and_guard_only_are_changed),
        RIG_TEST(batch_that_is_not_idempotent_counts_every_row_once),
        RIG_TEST(second_generation_in_the_middle_of_a_batch_rolls_it_back),
        RIG_TEST(row_that_is_moved_to_another_partition_under_a_batch_makes_it_try_again),
        RIG_TEST(batch_with_a_cursor_of_the_past_is_fenced),
        RIG_TEST(comparison_finds_a_row_that_differs_and_names_it),
        RIG_TEST(check_query_must_return_nothing),
        RIG_TEST(changed_key_starts_an_idempotent_walk_again),
        RIG_TEST(key_that_changes_under_a_running_walk_is_noticed_after_the_first_error),
        RIG_TEST(volatile_default_fills_every_old_row_once),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
