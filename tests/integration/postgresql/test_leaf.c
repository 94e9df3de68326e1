/*
 * test_leaf.c - the index of a partitioned table is built leaf by leaf: at any point it may stop, partitions may come
 * and go meanwhile, and the way back takes all of it away.
 */
#include "tests/integration/postgresql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/engine/postgresql/online/leaf.h"
#include "common/base/buffer.h"

/* Three levels, a leaf in another schema, and names that need quoting. */
static void plan_index(struct rig *r, const char *sql)
{
    rig_sql(r,
            "CREATE TABLE users (id int, day date, name text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);"
            "CREATE TABLE \"Users 1\" PARTITION OF users FOR VALUES FROM ('2024-01-01') TO ('2024-02-01') PARTITION"
            " BY HASH (day); CREATE TABLE users_1a PARTITION OF \"Users 1\" FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
            "CREATE TABLE users_1b PARTITION OF \"Users 1\" FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
            "CREATE TABLE users_2 PARTITION OF users FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');"
            "INSERT INTO users SELECT g, '2024-01-01'::date + g %% 50, 'n' || g FROM generate_series(1, 2000) g");
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_CREATE_INDEX, NULL, "users_name", sql);
    r->time_limit_ms = 0;
    r->lock_wait_ms = 500;
    rig_accept(r, 1);
}

static void until_it_waits(struct rig *r)
{
    for (int i = 0; i < 2000; i++) {
        if (rig_number(r, "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%%' AND relid ="
                          " 'users_1b'::regclass") > 0) {
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    fail_msg("it never waited");
}

/* A build that waits on the second leaf for whoever writes there; the application has to COMMIT. */
static uint64_t build_until_it_waits(struct rig *r)
{
    rig_app(r, "BEGIN; UPDATE users_1b SET name = 'x' WHERE id = (SELECT min(id) FROM users_1b)");
    uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_INDEX_BUILD, 1, 0);
    until_it_waits(r);
    return op;
}

static void build_half(struct rig *r)
{
    uint64_t op = build_until_it_waits(r);
    r->engine.ops->cancel(r->engine.self, op);
    agent_result_free(rig_await(r, op));
    rig_app(r, "COMMIT");
}

static const char plain[] =
    "CREATE INDEX CONCURRENTLY users_name ON public.users USING btree (lower(name) DESC) INCLUDE"
    " (id) WITH (fillfactor='70') WHERE id > 3";
static const char unique[] = "CREATE UNIQUE INDEX CONCURRENTLY users_name ON public.users USING btree (name, day)";

static void assert_built(struct rig *r, long indexes)
{
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_partition_tree('users_name') t JOIN pg_index i ON "
                                   "i.indexrelid = t.relid WHERE i.indisvalid"),
                     indexes);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_index WHERE NOT indisvalid"), 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned"), 0);
}

static void assert_nothing_left(struct rig *r)
{
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname LIKE 'users_name%%'"), 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned"), 0);
}

static void index_is_built_on_every_leaf_and_taken_away_again(void **state)
{
    static const char *const forms[] = {plain, unique, plain};
    struct rig *r = *state;
    plan_index(r, plain);
    char *before = rig_dump(r, "*sers*");
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        free(rig_step(r, 1)->sql);
        rig_step(r, 1)->sql = strdup(forms[i]);
        rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
        rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
        assert_built(r, 5);
        rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_ALREADY);
        rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_INDEX_DROP);
        assert_int_equal(rig_undo(r, 1), 1);
        assert_nothing_left(r);
        char *after = rig_dump(r, "*sers*");
        assert_string_equal(after, before);
        free(after);
    }
    free(before);
}

/* The same index as the server would build if it could be asked to at once. */
static void index_is_the_one_that_was_written(void **state)
{
    struct rig *r = *state;
    plan_index(r, plain);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
    assert_int_equal(rig_number(r,
                                "SELECT count(DISTINCT regexp_replace(pg_get_indexdef(relid), '^.* USING', '')) FROM "
                                "pg_partition_tree('users_name')"),
                     1);
    assert_non_null(strstr(rig_value(r, "SELECT pg_get_indexdef(min(relid::oid)) FROM pg_partition_tree('users_name') "
                                        "WHERE isleaf"),
                           "USING btree (lower(name) DESC) INCLUDE (id) WITH (fillfactor='70') WHERE (id > 3)"));
}

static void build_that_is_killed_goes_on_where_it_stood(void **state)
{
    struct rig *r = *state;
    plan_index(r, plain);
    uint64_t op = build_until_it_waits(r);
    rig_exec(r->super, "SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index");
    struct agent_result *result = rig_await(r, op);
    assert_string_equal(agent_outcome_name(result->outcome), "unknown");
    agent_result_free(result);
    rig_app(r, "COMMIT");
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    long first = rig_number(r, "SELECT min(i.indexrelid::int8) FROM pg_index i JOIN pg_inherits h ON h.inhrelid = "
                               "i.indexrelid WHERE i.indrelid = 'users_1a'::regclass AND h.inhparent <> "
                               "'users_pkey'::regclass AND NOT i.indisprimary");
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
    assert_built(r, 5);
    /* The first leaf's was not built twice. */
    assert_int_equal(
        rig_number(r, "SELECT count(*) FROM pg_partition_tree('users_name') WHERE relid::oid::int8 = %ld", first), 1);
}

static void way_back_from_the_middle_takes_what_is_not_attached_too(void **state)
{
    struct rig *r = *state;
    plan_index(r, plain);
    build_half(r);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned"), 1);
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_INDEX_DROP);
    rig_undo(r, 1);
    assert_nothing_left(r);
}

static void partitions_that_come_and_go_meanwhile_are_no_failure(void **state)
{
    struct rig *r = *state;
    plan_index(r, plain);
    build_half(r);
    rig_sql(r, "CREATE TABLE users_3 PARTITION OF users FOR VALUES FROM ('2024-03-01') TO ('2024-04-01');"
               "CREATE TABLE users_4 (LIKE users INCLUDING ALL); INSERT INTO users_4 VALUES (1, '2024-04-02', 'x');"
               "ALTER TABLE users ATTACH PARTITION users_4 FOR VALUES FROM ('2024-04-01') TO ('2024-05-01');"
               "ALTER TABLE users DETACH PARTITION users_2; DROP TABLE users_1a");
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
    assert_built(r, 5);
}

static void duplicates_of_a_leaf_are_named_and_the_rest_is_kept(void **state)
{
    struct rig *r = *state;
    plan_index(r, unique);
    rig_sql(r, "INSERT INTO users VALUES (9001, '2024-02-05', 'twice'), (9002, '2024-02-05', 'twice')");
    rig_refused(r, AGENT_RUN_INDEX_BUILD, 1, "Key (name, day)=(twice, 2024-02-05) is duplicated");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_index WHERE indrelid = 'users_2'::regclass"), 1);
    rig_sql(r, "DELETE FROM users WHERE id = 9002");
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
    assert_built(r, 5);
}

static void index_of_somebody_else_is_not_taken_over(void **state)
{
    struct rig *r = *state;
    plan_index(r, plain);
    rig_sql(r, "CREATE INDEX users_name ON users (day)");
    rig_inspect(r, 1, AGENT_PROOF_FOREIGN);
    rig_refused(r, AGENT_RUN_INDEX_BUILD, 1, "was not made by this migration");
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
}

static void readers_and_writers_of_the_table_stop_no_longer_than_the_budget(void **state)
{
    struct rig *r = *state;
    plan_index(r, plain);
    r->lock_wait_ms = 100;
    rig_app(r, "BEGIN; UPDATE users SET name = 'x' WHERE id = 7");
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_INDEX_BUILD, 1, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "lock");
    assert_non_null(strstr(result->blocker, "app_user"));
    agent_result_free(result);
    rig_app(r, "COMMIT");
}

static void statement_is_read_as_it_is_written(void **state)
{
    static const struct {
        const char *sql, *only;
    } cases[] = {
        {"CREATE INDEX CONCURRENTLY a ON public.t USING btree (x)", "CREATE INDEX a ON ONLY public.t USING btree (x)"},
        {"CREATE UNIQUE INDEX CONCURRENTLY \"on \"\" b\" ON \"s\".\"t\" (x)",
         "CREATE UNIQUE INDEX \"on \"\" b\" ON ONLY \"s\".\"t\" (x)"},
        {"create index concurrently if not exists a on only t (x)", "CREATE INDEX a ON ONLY t (x)"},
        {"CREATE INDEX a ON t (x)", NULL},
        {"DROP INDEX CONCURRENTLY a", NULL},
        {"CREATE INDEX CONCURRENTLY ON t (x)", NULL},
        {"CREATE INDEX CONCURRENTLY \"a", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct zdm_buffer b = ZDM_BUFFER_INIT;
        assert_int_equal(pgsql_leaf_only(&b, cases[i].sql), cases[i].only != NULL);
        if (cases[i].only != NULL) {
            assert_string_equal(zdm_buffer_text(&b), cases[i].only);
        }
        zdm_buffer_fini(&b);
    }
}

static void leaves_have_their_index_where_the_table_has_its(void **state)
{
    struct rig *r = *state;
    if (rig_number(r, "SELECT current_setting('server_version_num')") < 150000) {
        skip(); /* it takes a folder of the server's user */
    }
    rig_exec(r->super, "SET allow_in_place_tablespaces = on");
    rig_exec(r->super, "CREATE TABLESPACE fast LOCATION ''");
    rig_exec(r->super, "GRANT CREATE ON TABLESPACE fast TO PUBLIC");
    plan_index(r, "CREATE INDEX CONCURRENTLY users_name ON public.users (name) TABLESPACE fast WHERE id > 3");
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
    long there = rig_number(r, "SELECT count(*) FROM pg_class c JOIN pg_tablespace s ON s.oid = c.reltablespace WHERE"
                               " spcname = 'fast' AND relkind IN ('i', 'I')");
    long partial = rig_number(r, "SELECT count(*) FROM pg_index WHERE indpred IS NOT NULL AND indisvalid AND indrelid >"
                                 " 16383");
    rig_sql(r, "DROP TABLE users");
    rig_exec(r->super, "DROP TABLESPACE fast");
    assert_int_equal(there, 5);
    assert_int_equal(partial, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(index_is_built_on_every_leaf_and_taken_away_again),
        RIG_TEST(index_is_the_one_that_was_written),
        RIG_TEST(build_that_is_killed_goes_on_where_it_stood),
        RIG_TEST(way_back_from_the_middle_takes_what_is_not_attached_too),
        RIG_TEST(partitions_that_come_and_go_meanwhile_are_no_failure),
        RIG_TEST(duplicates_of_a_leaf_are_named_and_the_rest_is_kept),
        RIG_TEST(index_of_somebody_else_is_not_taken_over),
        RIG_TEST(readers_and_writers_of_the_table_stop_no_longer_than_the_budget),
        RIG_TEST(leaves_have_their_index_where_the_table_has_its),
        cmocka_unit_test(statement_is_read_as_it_is_written),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
