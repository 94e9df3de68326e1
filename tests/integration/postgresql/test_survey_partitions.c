/*
 * test_survey_partitions.c - surveys of partitioned tables, on a server with a small table of locks: what a check takes
 * of it, and what of a partition is a finding about its table.
 */
#include "tests/integration/postgresql/rig.h"
#include "tests/support/survey_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTITIONS = 200 };

static int group_setup(void **state)
{
    (void)state;
    return rig_group_start("autovacuum = off\nmax_locks_per_transaction = 10\nmax_connections = 30\n"
                           "max_worker_processes = 2\nmax_wal_senders = 2\n");
}

static int teardown(void **state)
{
    survey_forget();
    return rig_teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, teardown)

/* ev, with so many parts; each is made by itself, since one transaction could not hold them all. */
static void make_ev(struct rig *r, int n)
{
    rig_sql(r, "CREATE TABLE ev (id int NOT NULL, day int NOT NULL, note text, PRIMARY KEY (id, day)) PARTITION BY LIST"
               " (day)");
    for (int i = 0; i < n; i++) {
        rig_sql(r, "CREATE TABLE ev_%d PARTITION OF ev FOR VALUES IN (%d)", i, i);
    }
}

static void attach(struct rig *r, uint32_t ordinal, const char *bound, const char *child)
{
    char sql[200];
    (void)snprintf(sql, sizeof sql, "ALTER TABLE public.ev ATTACH PARTITION public.%s %s", child, bound);
    point_at(rig_ddl(r, ordinal, ZDM_ACTION_ATTACH_PARTITION, NULL, NULL, sql), child);
}

/* ---- Locks ---- */

static void a_foreign_key_to_a_partitioned_table_is_tried_on_one_clone_of_it(void **state)
{
    struct rig *r = *state;
    make_ev(r, 1);
    rig_sql(r, "CREATE TABLE bills (id int PRIMARY KEY, ev int, day int, memo varchar(10), CONSTRAINT bills_ev FOREIGN"
               " KEY (ev, day) REFERENCES ev)");
    for (int i = 1; i < PARTITIONS; i++) {
        rig_sql(r, "CREATE TABLE ev_%d PARTITION OF ev FOR VALUES IN (%d)", i, i);
    }
    assert_true(rig_number(r, "SELECT count(*) FROM pg_constraint WHERE conrelid = 'bills'::regclass AND contype = 'f'"
                              " AND conparentid <> 0") >= PARTITIONS);
    plan_of(r, "bills", 2);
    rig_ddl(r, 1, ZDM_ACTION_WIDEN_TYPE, "memo", NULL, "ALTER TABLE public.bills ALTER COLUMN memo TYPE varchar(20)");
    rig_ddl(r, 2, ZDM_ACTION_LIFT_CONSTRAINT, NULL, "bills_ev", NULL);
    const struct zdm_survey *s = survey(r);
    expect_clean(s);
    assert_true(s->steps[0].tried && s->steps[1].tried);
    expect_none(s, "not-tried");
    /* its outline has the constraint once */
    const char *at = strstr(s->tables[0].outline, "REFERENCES");
    assert_non_null(at);
    assert_null(strstr(at + 1, "REFERENCES"));
}

static void default_partition_beside_too_many_is_refused_by_check_and_step(void **state)
{
    struct rig *r = *state;
    make_ev(r, PARTITIONS);
    rig_sql(r, "CREATE TABLE ev_d (LIKE ev INCLUDING ALL)");
    plan_of(r, "ev", 2);
    struct zdm_step *check = rig_ddl(r, 1, ZDM_ACTION_ADD_PARTITION_CHECK, NULL, "zdm_part", "DEFAULT");
    rename_table(check, "ev_d");
    point_at(check, "ev");
    attach(r, 2, "DEFAULT", "ev_d");
    expect(survey(r), ERROR, "step-refused", "200 partitions");
    rig_accept(r, 1);
    rig_refused(r, AGENT_RUN_DDL, 1, "200 partitions");
}

static void rows_of_too_many_partitions_are_not_looked_at(void **state)
{
    struct rig *r = *state;
    make_ev(r, PARTITIONS);
    plan_of(r, "ev", 2);
    rig_ddl(r, 1, ZDM_ACTION_ADD_CHECK, NULL, "real",
            "ALTER TABLE public.ev ADD CONSTRAINT \"real\" CHECK (id > 0) NOT VALID");
    rig_ddl(r, 2, ZDM_ACTION_VALIDATE, NULL, "real", "ALTER TABLE public.ev VALIDATE CONSTRAINT \"real\"");
    expect(survey(r), NOTE, "rows-unseen", "would take");
}

/* ---- What the step refuses ---- */

static void make_index(struct rig *r, uint32_t ordinal, const char *name)
{
    char sql[200];
    (void)snprintf(sql, sizeof sql, "CREATE UNIQUE INDEX CONCURRENTLY \"%s\" ON public.ev (day, note)", name);
    rig_ddl(r, ordinal, ZDM_ACTION_CREATE_INDEX, NULL, name, sql);
}

static void key_of_a_partitioned_table_is_refused_before_its_index_is_built(void **state)
{
    struct rig *r = *state;
    make_ev(r, 2);
    plan_of(r, "ev", 2);
    make_index(r, 1, "ev_note");
    rig_ddl(r, 2, ZDM_ACTION_ADD_UNIQUE, NULL, "ev_note",
            "ALTER TABLE public.ev ADD CONSTRAINT \"ev_note\" UNIQUE USING INDEX \"ev_note\"");
    expect(survey(r), ERROR, "step-refused", "partitioned");
    rig_accept(r, 1);
    rig_refused(r, AGENT_RUN_INDEX_BUILD, 1, "partitioned");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname = 'ev_note'"), 0);
    plan_of(r, "ev", 1);
    make_index(r, 1, "ev_note");
    expect_none(survey(r), "step-refused");
}

static void what_cannot_be_lifted_or_hidden_is_said_by_check_in_the_words_of_the_step(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE kinds (id int PRIMARY KEY)");
    rig_sql(r, "CREATE TABLE ev (id int NOT NULL, day int NOT NULL, kind int REFERENCES kinds, room int, CONSTRAINT k"
               " PRIMARY KEY (id, day)) PARTITION BY LIST (day); CREATE TABLE ev_0 PARTITION OF ev DEFAULT");
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, room int, span int4range, CONSTRAINT one EXCLUDE USING gist"
               " (span WITH &&))");
    plan_of(r, "ev", 5);
    rig_ddl(r, 1, ZDM_ACTION_LIFT_CONSTRAINT, NULL, "k", NULL);
    rig_ddl(r, 2, ZDM_ACTION_LIFT_CONSTRAINT, NULL, "ev_kind_fkey", NULL);
    rig_ddl(r, 3, ZDM_ACTION_HIDE_COLUMN, "kind", "~zdm_h3", NULL);
    rename_table(rig_ddl(r, 4, ZDM_ACTION_HIDE_COLUMN, "span", "~zdm_h4", NULL), "users");
    rename_table(rig_ddl(r, 5, ZDM_ACTION_LIFT_CONSTRAINT, NULL, "one", NULL), "users");
    const struct zdm_survey *s = survey(r);
    expect(s, ERROR, "step-refused", "constraint k of public.ev of a partitioned table");
    expect(s, ERROR, "step-refused", "constraint ev_kind_fkey of public.ev of a partitioned table");
    expect(s, ERROR, "step-refused", "column kind of public.ev of a partitioned table has a foreign key");
    expect(s, ERROR, "step-refused", "has an exclusion constraint of its own: one");
    expect(s, ERROR, "step-refused", "constraint one of public.users is of a kind");
    rig_accept(r, 1);
    rig_refused(r, AGENT_RUN_DDL, 1, "constraint k of public.ev of a partitioned table");
    plan_of(r, "ev", 1);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "room", "~zdm_h", NULL);
    expect_none(survey(r), "step-refused");
}

/* ---- What is true of a partition is said of its table ---- */

static void owners_dependents_and_identities_of_partitions_are_seen(void **state)
{
    struct rig *r = *state;
    make_ev(r, 3);
    rig_sql(r, "CREATE VIEW v AS SELECT note FROM ev_1; CREATE UNIQUE INDEX own ON ev_2 (note)");
    rig_exec(r->super, "ALTER TABLE ev_2 OWNER TO postgres");
    plan_of(r, "ev", 2);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "note", "~zdm_h", NULL);
    rig_derive(r, 2, ZDM_ACTION_BACKFILL, "note", "'x'", NULL, NULL, 0);
    const struct zdm_survey *s = survey(r);
    expect(s, ERROR, "dependents", "view public.v depends on it");
    expect(s, ERROR, "dependents", "unique index public.own");
    expect(s, ERROR, "not-owner", "public.ev_2");
    assert_null(find(s, "not-owner", "public.ev_1"));
    expect_none(s, "no-replica-identity");
    rig_exec(r->super, "ALTER TABLE ev_2 OWNER TO app_owner");
    rig_exec(r->super, "CREATE PUBLICATION p FOR TABLE ev WITH (publish_via_partition_root = true)");
    rig_sql(r, "ALTER TABLE ev_2 REPLICA IDENTITY NOTHING");
    s = survey(r);
    expect(s, ERROR, "no-replica-identity", "ev_2");
    assert_null(find(s, "no-replica-identity", "ev_1"));
    rig_exec(r->super, "DROP PUBLICATION p");
    plan_of(r, "ev", 1);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_TABLE, NULL, "zdm_trash_00000000", NULL);
    expect(survey(r), ERROR, "dependents", "view public.v");
}

/* Their own things are not others'. */
static void what_partitions_have_from_their_table_depends_on_nothing(void **state)
{
    struct rig *r = *state;
    make_ev(r, 2);
    rig_sql(r, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TABLE kinds (id"
               " int PRIMARY KEY); ALTER TABLE ev ADD COLUMN kind int REFERENCES kinds, ADD COLUMN up int; CREATE INDEX"
               " ON ev (kind); ALTER TABLE ev ADD FOREIGN KEY (up, day) REFERENCES ev; CREATE TRIGGER g AFTER UPDATE ON"
               " ev FOR EACH ROW EXECUTE FUNCTION f()");
    plan_of(r, "ev", 1);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_TABLE, NULL, "zdm_trash_00000000", NULL);
    expect_none(survey(r), "dependents");
}

/* Before version 15 the catalogue says otherwise that a column is generated. */
static void a_generated_column_depends_on_what_it_is_made_of(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE bills (id int PRIMARY KEY, net int, gross int GENERATED ALWAYS AS (net * 2) STORED)");
    plan_of(r, "bills", 1);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "net", "~zdm_h", NULL);
    expect(survey(r), ERROR, "dependents", "column gross, which is generated from it");
}

/* Version 13 counts such a table as empty. */
static void rows_of_a_table_that_nobody_analysed_are_not_known(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE bills (id int); INSERT INTO bills SELECT generate_series(1, 1000)");
    plan_of(r, "bills", 1);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "note", NULL, "ALTER TABLE public.bills ADD COLUMN \"note\" text");
    assert_int_equal(survey(r)->tables[0].rows, -1);
    rig_sql(r, "ANALYZE bills");
    assert_int_equal(survey(r)->tables[0].rows, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_foreign_key_to_a_partitioned_table_is_tried_on_one_clone_of_it),
        TEST(default_partition_beside_too_many_is_refused_by_check_and_step),
        TEST(rows_of_too_many_partitions_are_not_looked_at),
        TEST(key_of_a_partitioned_table_is_refused_before_its_index_is_built),
        TEST(what_cannot_be_lifted_or_hidden_is_said_by_check_in_the_words_of_the_step),
        TEST(owners_dependents_and_identities_of_partitions_are_seen),
        TEST(what_partitions_have_from_their_table_depends_on_nothing),
        TEST(a_generated_column_depends_on_what_it_is_made_of),
        TEST(rows_of_a_table_that_nobody_analysed_are_not_known),
    };
    return cmocka_run_group_tests(tests, group_setup, rig_group_teardown);
}
