/*
 * test_retired.c - a column of a published table is retired in place: it keeps its name, which subscribers know, until
 * it is purged.
 */
#include "tests/integration/postgresql/rig.h"

#include <stdlib.h>
#include <string.h>

/* 1 sync, 2 hide name, 3 purge name */
static void published(struct rig *r)
{
    rig_sql(r,
            "CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL UNIQUE CHECK (name <> ''), full_name text);"
            "COMMENT ON COLUMN users.name IS 'old'");
    rig_exec(r->super, "CREATE PUBLICATION p FOR TABLE users");
    rig_plan(r, "users", 3);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_ddl(r, 2, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL);
    rig_ddl(r, 3, ZDM_ACTION_PURGE_COLUMN, "name", "zdm_h_name", NULL);
    rig_step(r, 2)->sync_step = rig_step(r, 3)->sync_step = 1;
    rig_step(r, 2)->publication_ok = true;
    r->lock_wait_ms = 1000;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (name) VALUES ('Ann')");
}

static void column_keeps_its_name_and_comes_back_as_it_was(void **state)
{
    struct rig *r = *state;
    published(r);
    char *before = rig_dump(r, "users");
    for (int i = 0; i < 2; i++) {
        rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
        rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
        rig_inspect(r, 2, AGENT_PROOF_DONE);
        rig_run(r, AGENT_RUN_HIDE, 2, AGENT_ALREADY);
        /* Nothing of it binds new code, and the way from new to old goes on. */
        rig_app(r,
                "INSERT INTO users (full_name) VALUES ('Beth'), ('Cleo'); DELETE FROM users WHERE full_name = 'Cleo'");
        assert_int_equal(rig_number(r, "SELECT count(*) FROM users WHERE name IS DISTINCT FROM full_name"), 0);
        assert_int_equal(rig_number(r,
                                    "SELECT count(*) FROM pg_constraint WHERE conrelid = 'users'::regclass AND conkey"
                                    " <> '{1}'"),
                         0);
        rig_back(r, 2, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNHIDE);
        rig_undo(r, 2);
        assert_string_equal(r->remark, "");
        char *after = rig_dump(r, "users");
        assert_string_equal(after, before);
        free(after);
        assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
        rig_app(r, "DELETE FROM users WHERE name = 'Beth'");
    }
    free(before);
}

static void it_is_dropped_only_where_the_purge_may_touch_a_published_table_too(void **state)
{
    struct rig *r = *state;
    published(r);
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    r->purge_now = true;
    rig_inspect(r, 3, AGENT_PROOF_NOT_DONE);
    rig_refused(r, AGENT_RUN_PURGE, 3, "is published in p");
    rig_step(r, 3)->publication_ok = true;
    rig_run(r, AGENT_RUN_PURGE, 3, AGENT_OK);
    rig_inspect(r, 3, AGENT_PROOF_DONE);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname ="
                                   " 'name'"),
                     0);
    rig_app(r, "INSERT INTO users (full_name) VALUES ('Dora')");
}

static void without_the_word_it_is_refused(void **state)
{
    struct rig *r = *state;
    published(r);
    rig_step(r, 2)->publication_ok = false;
    rig_refused(r, AGENT_RUN_HIDE, 2, "is published in p");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(column_keeps_its_name_and_comes_back_as_it_was),
        RIG_TEST(it_is_dropped_only_where_the_purge_may_touch_a_published_table_too),
        RIG_TEST(without_the_word_it_is_refused),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
