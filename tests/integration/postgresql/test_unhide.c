/*
 * test_unhide.c - the way back of a hide: byte for byte what pg_dump said before, also after a crash in the middle;
 * what rows violate meanwhile is left and named; writers of both versions never fail.
 */
#include "tests/integration/postgresql/rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* users with full_name in step with name; step 2 hides name, which carries all that a column can have of its own. */
static void migrated(struct rig *r)
{
    rig_sql(r,
            "CREATE TABLE parents (name text PRIMARY KEY); INSERT INTO parents VALUES ('Ann'), ('Beth'), ('Cleo');"
            "CREATE TABLE users (id serial PRIMARY KEY, name varchar(20) DEFAULT 'Ann' NOT NULL, age int,"
            " full_name varchar(20));"
            "ALTER TABLE users ADD CONSTRAINT name_one UNIQUE (name) INCLUDE (age) WITH (fillfactor = 70) DEFERRABLE"
            " INITIALLY DEFERRED; ALTER TABLE users CLUSTER ON name_one;"
            "ALTER TABLE users ADD CONSTRAINT name_given CHECK (name <> '' AND length(name) > 1) NO INHERIT;"
            "ALTER TABLE users ADD CONSTRAINT name_old CHECK (name <> 'Zoe') NOT VALID;"
            "ALTER TABLE users ADD CONSTRAINT \"name's parent\" FOREIGN KEY (name) REFERENCES parents ON UPDATE CASCADE"
            " DEFERRABLE; ALTER TABLE users ADD CHECK (age > 0 OR name > 'A');"
            "COMMENT ON COLUMN users.name IS 'the ''old'' one'; COMMENT ON CONSTRAINT name_given ON users IS 'never';"
            "COMMENT ON CONSTRAINT name_one ON users IS 'once'; COMMENT ON INDEX name_one IS 'its index';"
            "COMMENT ON CONSTRAINT \"name's parent\" ON users IS 'a parent';"
            "ALTER TABLE users ALTER name SET STATISTICS 321; GRANT SELECT (name), UPDATE (name) ON users TO app_user;"
            "CREATE INDEX by_name ON users (lower(name)) WHERE age > 3");
    rig_plan(r, "users", 2);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_ddl(r, 2, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL);
    rig_step(r, 2)->sync_step = 1;
    r->lock_wait_ms = 1000; /* an autovacuum may come by */
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (name) VALUES ('Ann')");
}

static void assert_same_dump(struct rig *r, const char *before)
{
    char *after = rig_dump(r, "users");
    assert_string_equal(after, before);
    free(after);
}

static void dump_is_the_same_after_two_hides_and_their_ways_back(void **state)
{
    struct rig *r = *state;
    migrated(r);
    char *before = rig_dump(r, "users");
    assert_non_null(strstr(before, "name_one"));
    for (int i = 0; i < 2; i++) {
        rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
        rig_app(r, "UPDATE users SET full_name = 'Beth'");
        rig_back(r, 2, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNHIDE);
        assert_int_equal(rig_undo(r, 2), 6); /* unhide; check, foreign key, not null, unique; finish */
        assert_int_equal(r->journal_step, 2);
        assert_same_dump(r, before);
        assert_string_equal(rig_value(r, "SELECT name FROM users"), "Beth");
        assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
        assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned"), 0);
    }
    assert_string_equal(r->remark, "");
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_app(r, "INSERT INTO users (name) VALUES ('Cleo')");
    assert_string_equal(rig_value(r, "SELECT full_name FROM users WHERE name = 'Cleo'"), "Cleo");
    free(before);
}

static void hide_that_was_never_done_has_nothing_to_undo(void **state)
{
    struct rig *r = *state;
    migrated(r);
    char *before = rig_dump(r, "users");
    rig_back(r, 2, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    assert_int_equal(rig_undo(r, 2), 0);
    rig_run(r, AGENT_RUN_UNHIDE, 2, AGENT_ALREADY);
    rig_run(r, AGENT_RUN_RESTORE, 2, AGENT_ALREADY);
    assert_same_dump(r, before);
    free(before);
}

/* After each part the agent goes forward again, and comes back. */
static void way_back_can_be_left_after_every_part(void **state)
{
    static const enum agent_run parts[] = {AGENT_RUN_UNHIDE,  AGENT_RUN_RESTORE, AGENT_RUN_RESTORE,
                                           AGENT_RUN_RESTORE, AGENT_RUN_RESTORE, AGENT_RUN_UNHIDE};
    struct rig *r = *state;
    migrated(r);
    char *before = rig_dump(r, "users");
    for (size_t n = 1; n <= sizeof parts / sizeof *parts; n++) {
        rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
        for (size_t i = 0; i < n; i++) {
            rig_run(r, parts[i], 2, AGENT_OK);
        }
        rig_run(r, AGENT_RUN_STEP_BACK, 2, AGENT_OK);
        rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
        rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
        rig_app(r, "UPDATE users SET full_name = 'Cleo'");
        rig_undo(r, 2);
        assert_same_dump(r, before);
    }
    assert_string_equal(rig_value(r, "SELECT name FROM users"), "Cleo");
    free(before);
}

static void what_rows_violate_stays_not_valid_and_is_named(void **state)
{
    struct rig *r = *state;
    migrated(r);
    char *before = rig_dump(r, "users");
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    rig_app(r, "INSERT INTO users (full_name) VALUES ('Beth'), ('Ann'), (''), ('Nobody')");
    rig_sql(r, "UPDATE users SET zdm_h_name = NULL WHERE id = 2");
    rig_undo(r, 2);
    assert_int_equal(r->journal_step, 2);
    rig_back(r, 2, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    assert_non_null(strstr(r->remark, "name_given stays NOT VALID: rows [\"4\"] violate it"));
    assert_non_null(strstr(r->remark, "name's parent stays NOT VALID: rows [\"4\"], [\"5\"] violate it"));
    assert_non_null(strstr(r->remark, "NOT NULL of name stays a CHECK that is NOT VALID: rows [\"2\"] hold NULL"));
    assert_non_null(strstr(rig_value(r, "SELECT string_agg(remark, ' ') FROM zdm.hidden WHERE kind = 'unique'"),
                           "unique constraint name_one was not built again: rows [\"1\"], [\"3\"] share a value"));
    assert_string_equal(rig_app_fails(r, "INSERT INTO users (name) VALUES ('')"), "23514");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname = 'name_one'"), 0);
    /* Another process tells it too, as long as that rollback is the last word. */
    rig_reload(r);
    assert_string_equal(r->row.remark, "");
    memset(r->undo_nonce.bytes, 5, sizeof r->undo_nonce.bytes);
    rig_run(r, AGENT_RUN_UNDO_BEGIN, 0, AGENT_OK);
    rig_reload(r);
    assert_non_null(strstr(r->row.remark, "name_given stays NOT VALID: rows [\"4\"] violate it; name's parent stays"));
    assert_non_null(strstr(r->row.remark, "; unique constraint name_one was not built again"));
    /* Put right, the next hide and its way back bring all of it. */
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    rig_app(r, "DELETE FROM users WHERE id > 1");
    r->remark[0] = '\0';
    rig_undo(r, 2);
    assert_string_equal(r->remark, "");
    assert_same_dump(r, before);
    free(before);
}

/* After the unhide, to before the last long part: the unique index. */
static void to_the_index(struct rig *r)
{
    migrated(r);
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    rig_run(r, AGENT_RUN_UNHIDE, 2, AGENT_OK);
    for (int i = 0; i < 3; i++) {
        rig_run(r, AGENT_RUN_RESTORE, 2, AGENT_OK);
    }
    rig_sql(r, "CREATE UNIQUE INDEX name_one ON users (name)");
}

static void half_built_unique_index_is_built_anew(void **state)
{
    struct rig *r = *state;
    to_the_index(r);
    rig_exec(r->super, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'name_one'::regclass; INSERT INTO "
                       "zdm.owned (migration, step, kind, schema_name, object) SELECT migration, 2, 'index', 'public', "
                       "'name_one' FROM zdm.migration");
    assert_int_equal(rig_undo(r, 2), 2);
    assert_string_equal(rig_value(r, "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'name_one'"),
                        "UNIQUE (name) INCLUDE (age) DEFERRABLE INITIALLY DEFERRED");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned"), 0);
}

static void index_of_somebody_else_is_not_taken_for_the_constraint(void **state)
{
    struct rig *r = *state;
    to_the_index(r);
    rig_back(r, 2, AGENT_PROOF_NOT_DONE, AGENT_RUN_RESTORE);
    rig_undo(r, 2);
    assert_non_null(
        strstr(r->remark, "unique constraint name_one was not built again: index public.name_one is there"));
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_constraint WHERE conname = 'name_one'"), 0);
    /* It enforces what it should not any more, and so is taken away: with the name free, the constraint comes back. */
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname = 'name_one'"), 0);
    rig_undo(r, 2);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_constraint WHERE conname = 'name_one'"), 1);
}

static const char elsewhere_sql[] = "SELECT count(*) FROM pg_class c JOIN pg_tablespace s ON s.oid = c.reltablespace"
                                    " WHERE spcname = 'fast' AND relname IN ('one_fast', 'one_fast_where')";

/* One with a condition and one without, in a tablespace of their own; before 15 that takes a folder of the server's
 * user. */
static long indexes_elsewhere(struct rig *r)
{
    if (rig_number(r, "SELECT current_setting('server_version_num')") < 150000) {
        return 0;
    }
    rig_exec(r->super, "SET allow_in_place_tablespaces = on");
    rig_exec(r->super, "CREATE TABLESPACE fast LOCATION ''");
    rig_exec(r->super, "GRANT CREATE ON TABLESPACE fast TO PUBLIC");
    rig_sql(r,
            "CREATE UNIQUE INDEX one_fast ON users (name, age) TABLESPACE fast; CREATE UNIQUE INDEX one_fast_where ON"
            " users (name) TABLESPACE fast WHERE age > 7");
    assert_int_equal(rig_number(r, elsewhere_sql), 2);
    return 2;
}

/* What Rails makes: unique indexes without a constraint. Two that enforce are never there at once, and what is unique
 * over the column and others would be over its default. */
static void unique_indexes_go_with_the_column_and_come_back(void **state)
{
    struct rig *r = *state;
    migrated(r);
    rig_sql(r, "CREATE UNIQUE INDEX one_lower ON users (lower(name) DESC) INCLUDE (age) WITH (fillfactor = 80) WHERE"
               " age IS NOT NULL; COMMENT ON INDEX one_lower IS 'it''s one'; CREATE UNIQUE INDEX one_pair ON users"
               " (age, name); CREATE UNIQUE INDEX one_where ON users (age) WHERE name = 'Beth';"
               "CREATE UNIQUE INDEX only_includes ON users (id) INCLUDE (name); CREATE UNIQUE INDEX others ON users"
               " (id, age); ALTER TABLE users ADD CONSTRAINT pair_one UNIQUE (age, name);"
               "COMMENT ON INDEX one_pair IS 'two'; ALTER TABLE users CLUSTER ON one_pair");
    long elsewhere = indexes_elsewhere(r);
    char *before = rig_dump(r, "users");
    assert_non_null(strstr(before, "CREATE UNIQUE INDEX one_where"));
    for (int i = 0; i < 2; i++) {
        rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
        assert_string_equal(
            rig_value(
                r,
                "SELECT string_agg(indexrelid::regclass::text, ' ' ORDER BY indexrelid::regclass::text) FROM pg_index"
                " WHERE indrelid = 'users'::regclass AND indisunique"),
            "only_includes others users_pkey");
        rig_app(r, "INSERT INTO users (full_name, age) VALUES ('Beth', 1), ('beth', 2), ('BETH', 2)");
        rig_app(r, "DELETE FROM users WHERE age > 0");
        assert_int_equal(rig_undo(r, 2), 10 + elsewhere);
        assert_string_equal(r->remark, "");
        assert_same_dump(r, before);
        assert_int_equal(rig_number(r, elsewhere_sql), elsewhere);
        assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
        assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned"), 0);
    }
    if (elsewhere > 0) {
        rig_sql(r, "DROP TABLE users");
        rig_exec(r->super, "DROP TABLESPACE fast");
    }
    free(before);
}

static void rows_that_a_unique_index_does_not_allow_any_more_are_named(void **state)
{
    struct rig *r = *state;
    migrated(r);
    rig_sql(r, "ALTER TABLE users DROP CONSTRAINT name_one; ALTER TABLE users DROP CONSTRAINT \"name's parent\";"
               " CREATE UNIQUE INDEX one_lower ON users (lower(name)) WHERE age > 0");
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    rig_app(r, "INSERT INTO users (full_name, age) VALUES ('Beth', 1), ('BETH', 2), ('beth', 0)");
    rig_undo(r, 2);
    assert_string_equal(r->remark, "unique index one_lower was not built again: rows [\"2\"], [\"3\"] share a value");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname = 'one_lower'"), 0);
    /* Gone forward and back again, with the rows put right, it is there. */
    rig_run(r, AGENT_RUN_STEP_BACK, 2, AGENT_OK);
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    rig_app(r, "UPDATE users SET age = NULL WHERE id = 3");
    rig_undo(r, 2);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_index WHERE indexrelid = 'one_lower'::regclass AND"
                                   " indisvalid"),
                     1);
}

/* Whoever is awake at three must not have to repair a foreign key before the column comes back. */
static void what_cannot_be_there_again_is_left_out_and_named(void **state)
{
    struct rig *r = *state;
    migrated(r);
    char *before = rig_dump(r, "users");
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    rig_sql(r, "ALTER TABLE parents RENAME TO gone; ALTER TABLE users ADD CONSTRAINT name_given CHECK (age < 99)");
    for (int i = 0; i < 2; i++) {
        r->remark[0] = '\0';
        rig_undo(r, 2);
        assert_int_equal(r->journal_step, 2);
        assert_non_null(strstr(r->remark, "check name_given was not brought back: constraint \"name_given\" for"));
        assert_non_null(strstr(r->remark, "foreign key name's parent was not brought back: relation \"public.parents"));
        rig_inspect(r, 1, AGENT_PROOF_DONE);
        rig_app(r, "UPDATE users SET age = 7, name = 'Beth'");
        assert_string_equal(rig_value(r, "SELECT full_name FROM users"), "Beth");
        rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    }
    rig_sql(r, "ALTER TABLE gone RENAME TO parents; ALTER TABLE users DROP CONSTRAINT name_given");
    r->remark[0] = '\0';
    rig_undo(r, 2);
    assert_string_equal(r->remark, "");
    assert_same_dump(r, before);
    free(before);
}

/* The agent has what the tables' owner has, and the parent may be somebody else's. */
static void parent_of_another_owner_is_no_obstacle(void **state)
{
    struct rig *r = *state;
    rig_exec(r->super, "CREATE TABLE parents (name text PRIMARY KEY); INSERT INTO parents VALUES ('Ann');"
                       "GRANT SELECT, REFERENCES ON parents TO app_owner");
    rig_sql(r, "CREATE TABLE users (id serial PRIMARY KEY, name text REFERENCES parents, full_name text)");
    rig_plan(r, "users", 2);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_ddl(r, 2, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL);
    rig_step(r, 2)->sync_step = 1;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    char *before = rig_dump(r, "users");
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    rig_app(r, "INSERT INTO users (full_name) VALUES ('Ann')");
    rig_undo(r, 2);
    assert_string_equal(r->remark, "");
    assert_same_dump(r, before);
    free(before);
}

/* New code may write NULL where the old column could not; its rows can be written on after the way back. */
static void rows_in_which_new_code_wrote_null_can_be_written_after_the_way_back(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL, age int, full_name text)");
    rig_plan(r, "users", 2);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_ddl(r, 2, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL);
    rig_step(r, 2)->sync_step = 1;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    char *before = rig_dump(r, "users");
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    rig_app(r, "INSERT INTO users (full_name) VALUES (NULL), ('Ann'); UPDATE users SET full_name = NULL WHERE id = 2");
    rig_run(r, AGENT_RUN_UNHIDE, 2, AGENT_OK);
    rig_app(r, "UPDATE users SET age = 1; INSERT INTO users (full_name) VALUES (NULL), ('Beth')");
    rig_undo(r, 2);
    assert_string_equal(r->remark, "");
    assert_same_dump(r, before);
    assert_string_equal(rig_value(r, "SELECT string_agg(name, ',' ORDER BY id) FROM users"), ",Ann,,Beth");
    free(before);
}

static void triggers_of_an_expression_come_back_with_its_source(void **state)
{
    struct rig *r = *state;
    static const char *const sources[] = {"name"};
    rig_sql(r, "CREATE TABLE users (id serial PRIMARY KEY, name text, slug text)");
    rig_plan(r, "users", 2);
    rig_derive(r, 1, ZDM_ACTION_SYNC_INSTALL, "slug", "lower(t.\"name\")", "lower(NEW.\"name\")", sources, 1);
    rig_ddl(r, 2, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL);
    rig_step(r, 2)->sync_step = 1;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    char *before = rig_dump(r, "users");
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    rig_undo(r, 2);
    assert_same_dump(r, before);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_app(r, "INSERT INTO users (name) VALUES ('ANN')");
    assert_string_equal(rig_value(r, "SELECT slug FROM users"), "ann");
    free(before);
}

static void column_added_under_the_old_name_is_foreign(void **state)
{
    struct rig *r = *state;
    migrated(r);
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    rig_sql(r, "ALTER TABLE users ADD name text");
    rig_back(r, 2, AGENT_PROOF_FOREIGN, AGENT_RUN_UNHIDE);
    rig_refused(r, AGENT_RUN_UNHIDE, 2, "is not the one that was hidden");
}

static void exclusion_constraint_of_the_column_is_refused(void **state)
{
    struct rig *r = *state;
    migrated(r);
    rig_sql(r, "ALTER TABLE users ADD CONSTRAINT lone EXCLUDE (name WITH =)");
    rig_refused(r, AGENT_RUN_HIDE, 2, "exclusion constraint of its own: lone");
    rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
}

static void way_back_is_fenced(void **state)
{
    struct rig *r = *state;
    migrated(r);
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    struct zdm_fence mine = r->fence;
    agent_result_free(rig_try_accept(r, 2, 1, 2, 9));
    r->fence = mine;
    rig_run(r, AGENT_RUN_UNHIDE, 2, AGENT_FENCED);
    rig_back(r, 2, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNHIDE);
    assert_string_equal(rig_app_fails(r, "SELECT name FROM users"), "42703");
}

/* ---- Writers ---- */

enum { WRITERS = 3, ROUNDS = 8 };

struct writer {
    char dsn[512];
    unsigned seed;
    atomic_bool *stop;
    long writes;
    char error[256];
};

/* New code knows full_name only. */
static void *write_new(void *arg)
{
    struct writer *w = arg;
    PGconn *conn = PQconnectdb(w->dsn);
    while (!atomic_load(w->stop)) {
        char sql[256];
        int id = rand_r(&w->seed) % 300, n = rand_r(&w->seed);
        const char *const verb =
            rand_r(&w->seed) % 3 == 0 ? "DO NOTHING" : "DO UPDATE SET full_name = excluded.full_name";
        snprintf(sql, sizeof sql, "INSERT INTO w (id, full_name) VALUES (%d, 'n%d') ON CONFLICT (id) %s", id, n, verb);
        PGresult *res = PQexec(conn, sql);
        const char *code = PQresultErrorField(res, PG_DIAG_SQLSTATE);
        if (code != NULL && strcmp(code, "40P01") != 0) {
            snprintf(w->error, sizeof w->error, "%s", PQresultErrorMessage(res));
        }
        PQclear(res);
        w->writes++;
    }
    PQfinish(conn);
    return NULL;
}

static void writers_never_fail_while_a_column_is_hidden_and_brought_back(void **state)
{
    struct rig *r = *state;
    struct writer writers[WRITERS] = {0};
    pthread_t threads[WRITERS];
    atomic_bool stop = false;
    rig_sql(r, "CREATE TABLE w (id int PRIMARY KEY, name text NOT NULL CHECK (name <> ''), full_name text)");
    rig_plan(r, "w", 2);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_ddl(r, 2, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL);
    rig_step(r, 2)->sync_step = 1;
    rig_accept(r, 1);
    r->lock_wait_ms = 2000;
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    char *before = rig_dump(r, "w");
    for (int i = 0; i < WRITERS; i++) {
        snprintf(writers[i].dsn, sizeof writers[i].dsn, "%s", test_pg_dsn(r->pg, "app_user", r->database));
        writers[i].seed = (unsigned)i + 3;
        writers[i].stop = &stop;
        pthread_create(&threads[i], NULL, write_new, &writers[i]);
    }
    for (int i = 0; i < ROUNDS; i++) {
        rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
        rig_undo(r, 2);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        assert_string_equal(writers[i].error, "");
        assert_true(writers[i].writes > 10);
    }
    assert_int_equal(rig_number(r, "SELECT count(*) FROM w WHERE name IS DISTINCT FROM full_name"), 0);
    char *after = rig_dump(r, "w");
    assert_string_equal(after, before);
    free(before);
    free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(dump_is_the_same_after_two_hides_and_their_ways_back),
        RIG_TEST(hide_that_was_never_done_has_nothing_to_undo),
        RIG_TEST(way_back_can_be_left_after_every_part),
        RIG_TEST(what_rows_violate_stays_not_valid_and_is_named),
        RIG_TEST(half_built_unique_index_is_built_anew),
        RIG_TEST(index_of_somebody_else_is_not_taken_for_the_constraint),
        RIG_TEST(unique_indexes_go_with_the_column_and_come_back),
        RIG_TEST(rows_that_a_unique_index_does_not_allow_any_more_are_named),
        RIG_TEST(what_cannot_be_there_again_is_left_out_and_named),
        RIG_TEST(parent_of_another_owner_is_no_obstacle),
        RIG_TEST(rows_in_which_new_code_wrote_null_can_be_written_after_the_way_back),
        RIG_TEST(triggers_of_an_expression_come_back_with_its_source),
        RIG_TEST(column_added_under_the_old_name_is_foreign),
        RIG_TEST(exclusion_constraint_of_the_column_is_refused),
        RIG_TEST(way_back_is_fenced),
        RIG_TEST(writers_never_fail_while_a_column_is_hidden_and_brought_back),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
