/*
 * test_check.c - comparisons find every row that differs in whatever it is, and cry no wolf under writers.
 */
#include "tests/integration/mysql/walk_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/open.h"

enum { ROWS = 2000, RESERVED_EVERY = 10, DAMAGES = 100, CLEAN_RUNS = 8, CHUNK = 700 };

/* A type, a value, and what is not byte for byte the same. */
struct pair {
    const char *type, *value, *damaged;
};

static const struct pair pairs[] = {
    {"varchar(40) COLLATE utf8mb4_general_ci", "'Ann'", "'ann'"},
    {"varchar(40) COLLATE utf8mb4_general_ci", "'Ann'", "'Ann '"},
    {"varchar(40) COLLATE utf8mb4_general_ci", "'resume'", "'résumé'"},
    {"varchar(40) CHARACTER SET latin1", "'é'", "'e'"},
    {"varchar(40)", "'x'", "NULL"},
    {"int", "7", "8"},
    {"bigint unsigned", "18446744073709551615", "18446744073709551614"},
    {"decimal(10,2)", "1.00", "1.01"},
    {"double", "1e0", "1.0000000000000002e0"},
    {"varbinary(9)", "X'00ff00'", "X'00fe00'"},
    {"json", "'{\"a\": 1}'", "'{\"a\": 2}'"},
    {"datetime(6)", "'2024-01-01'", "'2024-01-01 00:00:00.000001'"},
    {"date", "'2024-01-01'", "'2024-01-02'"},
    {"time(3)", "'10:00:00'", "'10:00:00.001'"},
    {"text", "NULL", "''"},
    {"enum('a', 'b')", "'a'", "'b'"},
    {"set('a', 'b')", "'a'", "'a,b'"},
    {"bit(9)", "b'1'", "b'10'"},
    {"char(5)", "'ab'", "'ac'"},
    {"mediumblob", "'STRASSE'", "'strasse'"},
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

static void plan_comparison(struct rig *r)
{
    rig_plan(r, "wide", 1);
    struct zdm_step *step = rig_step(r, 1);
    struct zdm_derivation *d = step->derivation = calloc(1, sizeof *d);
    step->action = ZDM_ACTION_CHECK_COMPARE;
    d->assignments = calloc(PAIRS, sizeof *d->assignments);
    d->sources = calloc(PAIRS + 1, sizeof *d->sources);
    d->n_assignments = d->n_sources = PAIRS;
    d->idempotent = true;
    for (size_t i = 0; i < PAIRS; i++) {
        char text[32];
        snprintf(text, sizeof text, "b%zu", i);
        d->assignments[i].target = strdup(text);
        snprintf(text, sizeof text, "t.`a%zu`", i);
        d->assignments[i].expr = strdup(text);
        snprintf(text, sizeof text, "NEW.`a%zu`", i);
        d->assignments[i].expr_new = strdup(text);
        snprintf(text, sizeof text, "a%zu", i);
        d->assignments[i].copy_of = strdup(text);
        d->sources[i] = strdup(text);
    }
    rig_accept(r, 1);
}

static void wide_table(struct rig *r)
{
    char columns[4096], values[4096];
    size_t n = 0, used = 0;
    for (size_t i = 0; i < PAIRS; i++) {
        n +=
            (size_t)snprintf(columns + n, sizeof columns - n, ", a%zu %s, b%zu %s", i, pairs[i].type, i, pairs[i].type);
        used += (size_t)snprintf(values + used, sizeof values - used, ", %s, %s", pairs[i].value, pairs[i].value);
    }
    rig_numbers(r);
    rig_sql(r, "CREATE TABLE wide (id int PRIMARY KEY%s)", columns);
    rig_sql(r, "INSERT INTO wide SELECT g%s FROM n WHERE g BETWEEN 1 AND %d", values, ROWS);
    plan_comparison(r);
}

/* One whole comparison, from a bound of its own: NULL, or the message that it failed with; the caller frees. */
static char *compare(struct rig *r)
{
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BOUND, 1, 0);
    char *message = NULL;
    assert_string_equal(agent_outcome_name(result->outcome), "ok");
    agent_result_free(result);
    while (message == NULL && !r->walked) {
        result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_CHECK_CHUNK, 1, CHUNK);
        if (result->outcome == AGENT_FAIL) {
            message = strdup(result->error.message);
        } else if (result->outcome != AGENT_OK && result->outcome != AGENT_RETRY && result->outcome != AGENT_LOCK) {
            fail_msg("%s: %s", agent_outcome_name(result->outcome), result->error.message);
        }
        agent_result_free(result);
    }
    return message;
}

/* Plants damages one at a time; each must be the one that is found. */
static void find_damages(struct rig *r, int n)
{
    for (int i = 0; i < n; i++) {
        const struct pair *p = &pairs[i % PAIRS];
        int id = RESERVED_EVERY * (1 + (i * 37) % (ROWS / RESERVED_EVERY - 1));
        char wanted[64];
        rig_sql(r, "UPDATE wide SET b%d = %s WHERE id = %d", i % PAIRS, p->damaged, id);
        char *found = compare(r);
        snprintf(wanted, sizeof wanted, "row [\"%d\"] of", id);
        if (found == NULL || strstr(found, wanted) == NULL) {
            fail_msg("damage %d (%s: %s for %s) in row %d: %s", i, p->type, p->damaged, p->value, id,
                     found == NULL ? "not found" : found);
        }
        free(found);
        rig_sql(r, "UPDATE wide SET b%d = a%d WHERE id = %d", i % PAIRS, i % PAIRS, id);
    }
}

/* Writers keep the two columns of each pair in step, as triggers would, on rows that are not reserved for damages. */
static void write_rows(struct rig_writer *w, MYSQL *conn)
{
    char sql[768];
    unsigned id = (unsigned)rand_r(&w->seed) % ROWS, v = (unsigned)rand_r(&w->seed);
    id += id % RESERVED_EVERY == 0;
    snprintf(sql, sizeof sql,
             "UPDATE wide SET a0 = 'v%u', b0 = 'v%u', a7 = %u, b7 = %u WHERE id = %u; DELETE FROM wide WHERE id = %u;"
             "INSERT IGNORE INTO wide (id, a5, b5) VALUES (%u, %u, %u); UPDATE IGNORE wide SET id = %u WHERE id = %u",
             v, v, id, id, id, id + ROWS, id + ROWS, v & 0xff, v & 0xff, id + 2 * ROWS, id + ROWS);
    rig_write(w, conn, sql);
}

static void every_damage_is_found(void **state)
{
    struct rig *r = *state;
    wide_table(r);
    assert_null(compare(r));
    find_damages(r, DAMAGES);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    assert_null(compare(r));
    rig_inspect(r, 1, AGENT_PROOF_DONE);
}

static void nothing_else_is_found_under_writers(void **state)
{
    struct rig *r = *state;
    struct rig_writer w = {.rig = r, .write = write_rows, .seed = 1};
    wide_table(r);
    rig_writer_start(&w);
    for (int i = 0; i < CLEAN_RUNS; i++) {
        char *found = compare(r);
        if (found != NULL) {
            fail_msg("run %d: %s", i, found);
        }
    }
    find_damages(r, 20);
    rig_writer_stop(&w, 100);
}

/* Old column shorter than the new one: what does not fit was left apart on purpose. */
static void switched(struct rig *r)
{
    rig_sql(r,
            "CREATE TABLE wide (id int PRIMARY KEY, name varchar(5) NOT NULL, full_name varchar(50)); INSERT INTO wide"
            " VALUES (1, 'a', 'a'), (2, 'b', 'longer than five'), (3, 'c', NULL), (4, 'd', 'd')");
    rig_plan(r, "wide", 1);
    rig_copy(r, 1, ZDM_ACTION_CHECK_COMPARE, "full_name", "name");
    rig_step(r, 1)->sync_step = 1;
    r->plan->phases[0].class = ZDM_PHASE_CONTRACT;
    rig_accept(r, 1);
}

static void rows_that_the_old_column_cannot_follow_are_counted(void **state)
{
    struct rig *r = *state;
    switched(r);
    assert_null(compare(r));
    assert_int_equal(rig_number(r, "SELECT rows_left FROM zdm.compared WHERE home = DATABASE()"), 2);
    assert_string_equal(r->remark, "in 2 rows of wide the old column cannot hold what the new one has");
    rig_sql(r, "UPDATE wide SET full_name = 'D' WHERE id = 4");
    char *found = compare(r);
    assert_non_null(strstr(found, "row [\"4\"] of"));
    free(found);
    /* A count of a step that is undone is told to nobody. */
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.compared WHERE home = DATABASE()"), 1);
    rig_run(r, AGENT_RUN_STEP_BACK, 1, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.compared WHERE home = DATABASE()"), 0);
}

/* Nobody fills them, and the triggers take back what they filled. */
static void filtered(struct rig *r)
{
    static const char *const sources[] = {"name", "active"};
    rig_numbers(r);
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name varchar(9), active bool, copy varchar(9),"
               " kind varchar(9) DEFAULT '-')");
    rig_sql(r, "INSERT INTO users SELECT g, 'n', CASE g %% 3 WHEN 0 THEN TRUE WHEN 1 THEN FALSE END,"
               " CASE g %% 3 WHEN 0 THEN 'N' END, CASE g %% 3 WHEN 0 THEN 'n!' ELSE '-' END"
               " FROM n WHERE g BETWEEN 1 AND 900");
    rig_plan(r, "users", 2);
    for (uint32_t step = 1; step <= 2; step++) {
        enum zdm_action action = step == 1 ? ZDM_ACTION_CHECK_COMPARE : ZDM_ACTION_SYNC_INSTALL;
        struct zdm_derivation *d =
            rig_derive(r, step, action, "copy", "upper(t.`name`)", "upper(NEW.`name`)", sources, 2);
        rig_derive_more(d, "kind", "concat(t.`name`, '!')", "concat(NEW.`name`, '!')");
        d->filter = strdup("t.`active`");
        d->filter_new = strdup("NEW.`active`");
        d->filter_old = strdup("OLD.`active`");
        d->assignments[0].added = d->assignments[1].added = true;
        d->assignments[1].initial = strdup("'-'");
    }
    rig_accept(r, 1);
}

static void rows_outside_of_the_filter_have_what_they_were_added_with(void **state)
{
    static const char *const damages[] = {"copy = 'wrong'", "copy = ''", "kind = 'wrong'", "kind = NULL"};
    struct rig *r = *state;
    filtered(r);
    assert_null(compare(r));
    for (int i = 0; i < 8; i++) {
        int id = 601 + i % 2; /* the filter is false there, and NULL */
        char wanted[32];
        snprintf(wanted, sizeof wanted, "row [\"%d\"] of", id);
        rig_sql(r, "UPDATE users SET %s WHERE id = %d", damages[i / 2], id);
        char *found = compare(r);
        if (found == NULL || strstr(found, wanted) == NULL) {
            fail_msg("%s in row %d: %s", damages[i / 2], id, found == NULL ? "not found" : found);
        }
        free(found);
        rig_sql(r, "UPDATE users SET copy = NULL, kind = '-' WHERE id = %d", id);
    }
    assert_null(compare(r));
}

/* ---- On a replica ---- */

static MYSQL *connect_replica(struct test_mysql *replica)
{
    MYSQL *conn = mysql_init(NULL);
    if (mysql_real_connect(conn, NULL, "root", "", NULL, 0, test_mysql_socket(replica), CLIENT_MULTI_STATEMENTS) ==
        NULL) {
        fail_msg("replica: %s", mysql_error(conn));
    }
    return conn;
}

static struct test_mysql *start_replica(struct rig *r)
{
    static const char *const args[] = {"--server-id=2", "--read-only=1", NULL};
    char sql[512];
    struct test_mysql *replica = test_mysql_start(args);
    snprintf(
        sql, sizeof sql,
        "CHANGE MASTER TO master_host = '127.0.0.1', master_port = %d, master_user = 'repl', master_password = 'r',"
        " master_use_gtid = slave_pos, master_connect_retry = 1; START SLAVE",
        rig_port(r));
    rig_sql(r, "CREATE USER repl@'%%' IDENTIFIED BY 'r'; GRANT REPLICATION SLAVE ON *.* TO repl@'%%'");
    MYSQL *conn = connect_replica(replica);
    rig_exec(conn, sql);
    snprintf(sql, sizeof sql, "DO MASTER_GTID_WAIT('%s', 20)", rig_value(r, "SELECT @@gtid_binlog_pos"));
    rig_exec(conn, sql);
    mysql_close(conn);
    return replica;
}

static void open_with_replica(struct rig *r, struct test_mysql *replica)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    char dsn[512], more[32], there[512];
    snprintf(more, sizeof more, "port=%d", test_mysql_port(replica));
    snprintf(there, sizeof there, "%s", rig_dsn(r, more));
    snprintf(dsn, sizeof dsn, "%s", rig_dsn(r, ""));
    const char *const replicas[] = {there};
    const struct agent_engine_config config = {.dsn = dsn,
                                               .application_name = "zdm-agent test",
                                               .connect_timeout_ms = 3000,
                                               .replicas = replicas,
                                               .n_replicas = 1,
                                               .sink = rig_sink(r)};
    r->engine.ops->close(r->engine.self);
    if (agent_engine_open(&config, &r->engine, &err) != ZDM_OK) {
        fail_msg("%s", err.message);
    }
    rig_connect_engine(r);
}

static bool ran_on_a_replica(struct rig *r)
{
    struct agent_result *result = rig_do(r, AGENT_OP_SIGNALS, AGENT_RUN_NONE, 0, 0);
    bool seen = false;
    for (size_t i = 0; i < result->n_signals; i++) {
        seen = seen || strncmp(result->signals[i].name, "check on ", 9) == 0;
    }
    agent_result_free(result);
    return seen;
}

/* What is found there counts when it is so on the primary. */
static void comparison_runs_on_a_replica_and_looks_again_on_the_primary(void **state)
{
    struct rig *r = *state;
    char sql[128];
    if (rig_server(r) == NULL) {
        skip();
    }
    wide_table(r);
    struct test_mysql *replica = start_replica(r);
    open_with_replica(r, replica);
    assert_null(compare(r));
    assert_true(ran_on_a_replica(r));
    find_damages(r, 3);
    MYSQL *conn = connect_replica(replica);
    snprintf(sql, sizeof sql, "UPDATE %s.wide SET b5 = 99 WHERE id = 77", r->database);
    rig_exec(conn, sql);
    mysql_close(conn);
    assert_null(compare(r));
    test_mysql_free(replica);
}

RIG_MAIN(RIG_TEST(every_damage_is_found), RIG_TEST(nothing_else_is_found_under_writers),
         RIG_TEST(rows_that_the_old_column_cannot_follow_are_counted),
         RIG_TEST(rows_outside_of_the_filter_have_what_they_were_added_with),
         RIG_TEST(comparison_runs_on_a_replica_and_looks_again_on_the_primary))
