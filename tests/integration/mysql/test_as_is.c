/*
 * test_as_is.c - statements that are run as they are written: proof, way back, and what would copy a table or lock
 * writers out without saying so.
 */
#include "tests/integration/mysql/rig.h"

static void users(struct rig *r)
{
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name varchar(20) NOT NULL DEFAULT 'x', age int, KEY k (name))");
    rig_sql(r, "INSERT INTO users VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', NULL)");
}

static struct zdm_step *as_is(struct rig *r, const char *sql, const char *proof, const char *back)
{
    struct zdm_step *step = rig_ddl(r, 1, ZDM_ACTION_AS_IS, NULL, NULL, sql);
    step->proof_sql = zdm_strdup(proof);
    step->inverse = ZDM_INVERSE_SQL;
    step->inverse_sql = zdm_strdup(back);
    return step;
}

static void statement_as_it_is_is_proven_and_undone(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_plan(r, "users", 1);
    as_is(r, "INSERT INTO users (id) VALUES (50)",
          "SELECT 1 FROM (SELECT 1) AS x WHERE NOT EXISTS (SELECT 1 FROM users "
          "WHERE id = 50)",
          "DELETE FROM users WHERE id = 50");
    rig_accept(r, 1);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_ALREADY);
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNDO_DDL);
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM users WHERE id = 50"), 0);
}

static void alter_as_it_is_never_becomes_a_copy_in_silence(void **state)
{
    struct rig *r = *state;
    static const char proof[] =
        "SELECT 1 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME "
        "= 'users' AND COLUMN_NAME = 'age' AND DATA_TYPE = 'int'";
    users(r);
    rig_plan(r, "users", 1);
    as_is(r, "ALTER TABLE users MODIFY age bigint", proof, "SELECT 1");
    rig_accept(r, 1);
    rig_refused(r, AGENT_RUN_DDL, 1, "only a copy of the whole table");
    rig_plan(r, "users", 1);
    as_is(r, "ALTER TABLE users MODIFY age bigint, ALGORITHM=COPY", proof, "SELECT 1");
    rig_accept(r, 2);
    rig_refused(r, AGENT_RUN_DDL, 1, "{rewrite-ok}");
    rig_plan(r, "users", 1);
    as_is(r, "ALTER TABLE users MODIFY age bigint", proof, "SELECT 1")->rewrite_ok = true;
    rig_accept(r, 3);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
}

static const char never[] = "SELECT 1";

static void ways_that_lock_writers_out_are_refused(void **state)
{
    static const struct {
        const char *sql, *says;
    } rows[] = {
        {"ALTER TABLE users MODIFY age bigint, ALGORITHM=DEFAULT", "where nothing else will do"},
        {"ALTER TABLE users MODIFY age bigint, LOCK /* so */ = SHARED", "LOCK=SHARED"},
        {"ALTER TABLE users ADD INDEX (age), LOCK=DEFAULT", "LOCK=DEFAULT"},
        {"ALTER TABLE users ADD INDEX (age), LOCK exclusive", "LOCK=EXCLUSIVE"},
        {"ALTER TABLE users ADD INDEX (age), ALGORITHM=INPLACE", "without LOCK=NONE"},
        {"ALTER /* so */ IGNORE TABLE users ADD UNIQUE (age)", "IGNORE throws rows away"},
        {"alter online table users ADD INDEX (age)", "ALTER ONLINE TABLE"},
        {"CREATE FULLTEXT INDEX f ON users (name)", "writers locked out"},
        {"ALTER TABLE users ADD FULLTEXT (name)", "writers locked out"},
        {"DROP INDEX k ON users ALGORITHM=COPY", "ALGORITHM=COPY"},
        {"DROP INDEX `PRIMARY` ON users", "without its PRIMARY KEY"},
        {"CREATE TABLE n AS SELECT * FROM users", "locks what it reads"},
        {"ALTER # so\n TABLE users MODIFY age bigint", "only a copy of the whole table"},
        {"ALTER TABLE users MODIFY age bigint -- so", "only a copy of the whole table"},
        {"ALTER TABLE users MODIFY age bigint COMMENT 'ALGORITHM=INPLACE', ADD algorithm int", "only a copy"},
    };
    struct rig *r = *state;
    users(r);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rig_plan(r, "users", 1);
        as_is(r, rows[i].sql, never, never);
        rig_accept(r, i + 1);
        rig_refused(r, AGENT_RUN_DDL, 1, rows[i].says);
    }
}

static void index_is_built_beside_writers_unless_the_fence_allows_more(void **state)
{
    static const char proof[] =
        "SELECT 1 FROM (SELECT 1) AS x WHERE NOT EXISTS (SELECT 1 FROM information_schema.STATISTICS WHERE "
        "TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'users' AND INDEX_NAME = 'i')";
    struct rig *r = *state;
    users(r);
    rig_plan(r, "users", 1);
    as_is(r, "CREATE INDEX i ON users (age) -- so", proof, "DROP INDEX i ON users");
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_undo(r, 1);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_plan(r, "users", 1);
    as_is(r, "CREATE FULLTEXT INDEX i ON users (name)", proof, "DROP INDEX i ON users")->rewrite_ok = true;
    rig_accept(r, 2);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
}

RIG_MAIN(RIG_TEST(statement_as_it_is_is_proven_and_undone), RIG_TEST(alter_as_it_is_never_becomes_a_copy_in_silence),
         RIG_TEST(ways_that_lock_writers_out_are_refused),
         RIG_TEST(index_is_built_beside_writers_unless_the_fence_allows_more))
