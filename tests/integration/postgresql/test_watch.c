/*
 * test_watch.c - triggers of a sync that somebody touched, and indexes that are used although they are to be dropped:
 * what every poll sees of them (database.md 16, 23).
 */
#include "tests/integration/postgresql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DSN_SIZE = 512, PATIENCE_MS = 20000 };

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void synced(struct rig *r, const char *how)
{
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text, full_name text) %s", how);
    if (how[0] != '\0') {
        rig_sql(r, "CREATE TABLE u1 PARTITION OF users FOR VALUES FROM (1) TO (100)");
    }
    rig_sql(r, "INSERT INTO users SELECT g, 'n', 'n' FROM generate_series(1, 50) g");
    rig_plan(r, "users", 2);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_copy(r, 2, ZDM_ACTION_CHECK_COMPARE, "full_name", "name");
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_walk(r, 2, 100);
}

/* What the poll says: the text of the first interruption, "" for none; valid until the next call. */
static const char *poll_text(struct rig *r)
{
    static char text[256];
    struct agent_result *result = rig_do(r, AGENT_OP_SIGNALS, AGENT_RUN_NONE, 0, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "ok");
    snprintf(text, sizeof text, "%s", result->n_interrupted > 0 ? result->interrupted[0].what : "");
    agent_result_free(result);
    return text;
}

static void expect_text(struct rig *r, const char *wanted)
{
    const char *text = poll_text(r);
    if (strstr(text, wanted) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", wanted, text);
    }
}

/* Puts the triggers back as an agent does that was told to look again, and compares. */
static void mend(struct rig *r)
{
    rig_run(r, AGENT_RUN_STEP_BACK, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    assert_string_not_equal(poll_text(r), "");
    sleep_ms(5);
    rig_walk(r, 2, 100);
    rig_inspect(r, 2, AGENT_PROOF_DONE);
    assert_string_equal(poll_text(r), "");
}

static void triggers_that_were_touched_are_seen_and_the_comparison_counts_no_more(void **state)
{
    struct rig *r = *state;
    static const struct {
        const char *sql, *text;
    } touches[] = {
        {"ALTER TABLE users DISABLE TRIGGER ALL", " of public.users is disabled"},
        {"ALTER TABLE users DISABLE TRIGGER ALL; ALTER TABLE users ENABLE TRIGGER ALL",
         "not in force for every session"},
        {"DO $$BEGIN EXECUTE (SELECT format('DROP TRIGGER %I ON users', tgname) FROM pg_trigger WHERE tgrelid ="
         " 'users'::regclass AND tgname LIKE '%~zdm%' LIMIT 1); END$$",
         " of public.users is gone"},
        {"DO $$BEGIN EXECUTE (SELECT format('CREATE OR REPLACE FUNCTION zdm.%I() RETURNS trigger LANGUAGE plpgsql AS"
         " ''BEGIN RETURN NEW; END''', proname) FROM pg_proc WHERE pronamespace = 'zdm'::regnamespace LIMIT 1); END$$",
         " was changed"},
    };
    synced(r, "");
    assert_string_equal(poll_text(r), "");
    rig_inspect(r, 2, AGENT_PROOF_DONE);
    for (size_t i = 0; i < sizeof touches / sizeof *touches; i++) {
        rig_exec(r->super, touches[i].sql);
        expect_text(r, touches[i].text);
        rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
        rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
        mend(r);
    }
}

static void note_stays_when_somebody_puts_the_triggers_back(void **state)
{
    struct rig *r = *state;
    synced(r, "");
    rig_sql(r, "ALTER TABLE users DISABLE TRIGGER ALL");
    expect_text(r, "is disabled");
    rig_sql(r, "UPDATE users SET name = 'stale' WHERE id = 7");
    rig_exec(r->super, "DO $$DECLARE t text; BEGIN FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid ="
                       " 'users'::regclass LOOP EXECUTE format('ALTER TABLE users ENABLE ALWAYS TRIGGER %I', t);"
                       " END LOOP; END$$");
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
    expect_text(r, "is disabled");
    rig_run(r, AGENT_RUN_STEP_BACK, 2, AGENT_OK);
    rig_run(r, AGENT_RUN_BOUND, 2, AGENT_OK);
    rig_refused(r, AGENT_RUN_CHECK_CHUNK, 2, "row [\"7\"]");
    expect_text(r, "is disabled");
}

static void trigger_that_fires_behind_ours_is_seen_and_passed(void **state)
{
    struct rig *r = *state;
    synced(r, "");
    rig_sql(r, "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
               "CREATE TRIGGER \"Ünorm\" BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION late()");
    expect_text(r, "Ünorm of public.users fires behind it");
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    mend(r);
}

static void partition_whose_trigger_is_not_in_force_is_seen(void **state)
{
    struct rig *r = *state;
    synced(r, "PARTITION BY RANGE (id)");
    assert_string_equal(poll_text(r), "");
    rig_sql(r, "ALTER TABLE u1 DISABLE TRIGGER ALL");
    expect_text(r, " of public.u1 is disabled");
    mend(r);
}

static int64_t scans(struct rig *r)
{
    struct agent_result *result = rig_do(r, AGENT_OP_SIGNALS, AGENT_RUN_NONE, 0, 0);
    int64_t n = -2;
    for (size_t i = 0; i < result->n_hidden; i++) {
        if (strcmp(result->hidden[i].what, "index public.users_name") == 0) {
            n = result->hidden[i].scans;
        }
    }
    agent_result_free(result);
    return n;
}

static void scans_become(struct rig *r, int64_t wanted)
{
    int64_t seen = -2;
    for (long waited = 0; waited < PATIENCE_MS; waited += 100) {
        seen = scans(r);
        if (seen == wanted) {
            return;
        }
        sleep_ms(100);
    }
    fail_msg("%ld scans instead of %ld", (long)seen, (long)wanted);
}

/* Counts reach the statistics before the session is idle again: by itself it may take 10 s. */
static void scan(PGconn *conn)
{
    rig_exec(conn, "SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT * FROM users WHERE name = 'n'");
    rig_flush(conn);
}

static void index_that_is_to_be_dropped_is_watched_on_every_node(void **state)
{
    struct rig *r = *state;
    struct zdm_error err = ZDM_ERROR_INIT;
    char dsn[DSN_SIZE], there[DSN_SIZE];
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users SELECT g, 'n' || g FROM"
               " generate_series(1, 500) g; CREATE INDEX users_name ON users (name)");
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_INDEX, NULL, "users_name", NULL);
    rig_accept(r, 1);
    struct test_pg *standby = test_pg_standby(r->pg, "b2", NULL);
    while (rig_number(r, "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()") == 0) {
        sleep_ms(20);
    }
    r->engine.ops->close(r->engine.self);
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(r->pg, "zdm_agent", r->database));
    snprintf(there, sizeof there, "%s", test_pg_dsn(standby, "zdm_agent", r->database));
    const char *replicas[] = {there};
    struct agent_engine_config config = {
        .dsn = dsn, .connect_timeout_ms = 5000, .replicas = replicas, .n_replicas = 1, .sink = rig_sink(r)};
    assert_int_equal(agent_postgresql_open(&config, &r->engine, &err), ZDM_OK);
    rig_connect_engine(r);
    scan(r->app);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    assert_int_equal(scans(r), 0);
    scan(r->app);
    scans_become(r, 1);
    PGconn *reader = PQconnectdb(test_pg_dsn(standby, "app_user", r->database));
    scan(reader);
    scan(reader);
    scans_become(r, 3);
    PQfinish(reader);
    test_pg_free(standby);
    assert_int_equal(scans(r), 3); /* what a node that is away was seen to do stays counted */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(triggers_that_were_touched_are_seen_and_the_comparison_counts_no_more),
        RIG_TEST(note_stays_when_somebody_puts_the_triggers_back),
        RIG_TEST(trigger_that_fires_behind_ours_is_seen_and_passed),
        RIG_TEST(partition_whose_trigger_is_not_in_force_is_seen),
        RIG_TEST(index_that_is_to_be_dropped_is_watched_on_every_node),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
