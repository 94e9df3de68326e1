/*
 * test_kinds.c - each kind of the short class: forward, twice, ended in the middle, back to the same dump, and forward
 * again; what looks like its object and is not its own; what it refuses.
 */
#include "tests/integration/postgresql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/buffer.h"

enum { STEPS_MAX = 5 };

struct step {
    enum zdm_action action;
    const char *table, *column, *object, *sql;
    enum zdm_inverse_kind inverse;
    const char *inverse_sql, *other, *proof_sql;
    enum agent_run run; /* 0: DDL */
};

struct kind {
    const char *setup, *table;
    struct step steps[STEPS_MAX];
    const char *look_alike; /* makes the last step FOREIGN */
    bool inexact;           /* the dump is another one after the way back */
    const char *locked;     /* table to hold while it is killed; NULL: not tried */
};

static size_t n_steps(const struct kind *k)
{
    size_t n = 0;
    while (n < STEPS_MAX && k->steps[n].action != 0) {
        n++;
    }
    return n;
}

static char *copy(const char *text)
{
    return zdm_strdup(text);
}

static void plan(struct rig *r, const struct kind *k)
{
    size_t n = n_steps(k);
    rig_plan(r, k->table, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct step *s = &k->steps[i];
        struct zdm_step *step = rig_ddl(r, i + 1, s->action, s->column, s->object, s->sql);
        step->inverse = s->inverse;
        step->inverse_sql = copy(s->inverse_sql);
        step->proof_sql = copy(s->proof_sql);
        if (s->table != NULL) {
            free(step->table.name);
            step->table.name = strcmp(s->table, "-") == 0 ? NULL : copy(s->table);
        }
        if (s->other != NULL) {
            step->others = calloc(1, sizeof *step->others);
            step->n_others = 1;
            step->others[0] = (struct zdm_table){copy("public"), copy(s->other)};
        }
    }
    rig_accept(r, 1);
}

static enum agent_run run_of(const struct step *s)
{
    return s->run == AGENT_RUN_NONE ? AGENT_RUN_DDL : s->run;
}

static void forward(struct rig *r, const struct kind *k, uint32_t from)
{
    for (uint32_t i = from; i <= n_steps(k); i++) {
        rig_inspect(r, i, AGENT_PROOF_NOT_DONE);
        rig_run(r, run_of(&k->steps[i - 1]), i, AGENT_OK);
        rig_inspect(r, i, AGENT_PROOF_DONE);
        assert_int_equal(r->journal_step, i + 1);
    }
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* The backend is ended while it waits for its lock: nothing of it is left, and the same again works. */
static void killed(struct rig *r, const struct kind *k, uint32_t ordinal)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "BEGIN; LOCK TABLE %s IN ROW EXCLUSIVE MODE; LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE", k->locked,
             k->locked);
    rig_sql(r, "%s", sql);
    r->lock_wait_ms = 8000;
    uint64_t op = rig_begin(r, AGENT_OP_RUN, run_of(&k->steps[ordinal - 1]), ordinal, 0);
    for (int i = 0; i < 200; i++) {
        if (rig_number(r, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'zdm-agent test' AND "
                          "wait_event_type = 'Lock' AND datname = current_database()") > 0) {
            break;
        }
        sleep_ms(20);
    }
    assert_int_equal(rig_number(r, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
                                   "application_name = 'zdm-agent test' AND wait_event_type = 'Lock' AND datname = "
                                   "current_database()"),
                     1);
    struct agent_result *result = rig_await(r, op);
    assert_true(result->outcome == AGENT_RETRY || result->outcome == AGENT_UNKNOWN);
    agent_result_free(result);
    rig_sql(r, "ROLLBACK");
    r->lock_wait_ms = 0;
    rig_inspect(r, ordinal, AGENT_PROOF_NOT_DONE);
}

static void back(struct rig *r, const struct kind *k)
{
    for (uint32_t i = (uint32_t)n_steps(k); i >= 1; i--) {
        rig_undo(r, i);
        assert_int_equal(r->journal_step, i);
        rig_back(r, i, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    }
}

static void there_and_back(struct rig *r, const struct kind *k)
{
    uint32_t last = (uint32_t)n_steps(k);
    rig_sql(r, "%s", k->setup);
    char *before = rig_dump(r, "public.*");
    plan(r, k);
    for (uint32_t i = 1; i < last; i++) {
        rig_run(r, run_of(&k->steps[i - 1]), i, AGENT_OK);
    }
    if (k->look_alike != NULL) {
        rig_sql(r, "BEGIN; %s; COMMIT", k->look_alike);
        rig_inspect(r, last, AGENT_PROOF_FOREIGN);
        rig_refused(r, run_of(&k->steps[last - 1]), last, "was not made by this migration");
        assert_int_equal(r->journal_step, last);
        free(before);
        return;
    }
    if (k->locked != NULL) {
        killed(r, k, last);
    }
    forward(r, k, last);
    rig_run(r, run_of(&k->steps[last - 1]), last, AGENT_ALREADY);
    char *made = rig_dump(r, "public.*");
    back(r, k);
    char *after = rig_dump(r, "public.*");
    if (!k->inexact) {
        assert_string_equal(before, after);
    }
    forward(r, k, 1);
    char *again = rig_dump(r, "public.*");
    assert_string_equal(made, again);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname LIKE '~zdm%%'"), 0);
    free(before);
    free(made);
    free(after);
    free(again);
}

#define USERS                                                                                                          \
    "CREATE TABLE users (id int PRIMARY KEY, name text, code varchar(20), n int DEFAULT 7); INSERT INTO users SELECT " \
    "g, 'n' || g, 'c' || g, g FROM generate_series(1, 100) g;"
#define ORDERS                                                                                                         \
    USERS "CREATE TABLE orders (id int PRIMARY KEY, user_id int); INSERT INTO orders SELECT g, g FROM "                \
          "generate_series(1, 100) g;"
#define PARTS                                                                                                          \
    USERS "CREATE TABLE ev (id int NOT NULL, user_id int) PARTITION BY RANGE (id); CREATE TABLE ev1 PARTITION OF ev "  \
          "FOR VALUES FROM (1) TO (100); CREATE TABLE ev2 PARTITION OF ev FOR VALUES FROM (100) TO (200) PARTITION "   \
          "BY LIST (user_id); CREATE TABLE ev21 PARTITION OF ev2 FOR VALUES IN (1, 2); INSERT INTO ev SELECT g, 1 "    \
          "FROM generate_series(1, 150) g;"

static const struct kind check = {
    .setup = USERS,
    .table = "users",
    .steps = {{.action = ZDM_ACTION_ADD_CHECK,
               .object = "users_n_check",
               .sql = "ALTER TABLE \"public\".\"users\" ADD CONSTRAINT \"users_n_check\" CHECK (n > 0) NOT VALID",
               .inverse = ZDM_INVERSE_SQL,
               .inverse_sql = "ALTER TABLE \"public\".\"users\" DROP CONSTRAINT IF EXISTS \"users_n_check\""},
              {.action = ZDM_ACTION_VALIDATE,
               .object = "users_n_check",
               .sql = "ALTER TABLE \"public\".\"users\" VALIDATE CONSTRAINT \"users_n_check\"",
               .run = AGENT_RUN_VALIDATE}},
    .locked = "users"};

#define FOREIGN_KEY(table)                                                                                             \
    {                                                                                                                  \
        .action = ZDM_ACTION_ADD_FOREIGN_KEY, .object = table "_user_id_fkey",                                         \
        .sql = "ALTER TABLE \"public\".\"" table "\" ADD CONSTRAINT \"" table "_user_id_fkey\" FOREIGN KEY (user_id) " \
               "REFERENCES public.users (id) ON DELETE CASCADE NOT VALID",                                             \
        .inverse = ZDM_INVERSE_SQL,                                                                                    \
        .inverse_sql = "ALTER TABLE \"public\".\"" table "\" DROP CONSTRAINT IF EXISTS \"" table "_user_id_fkey\"",    \
        .other = "users"                                                                                               \
    }
#define VALIDATE_FOREIGN_KEY(table)                                                                                    \
    {                                                                                                                  \
        .action = ZDM_ACTION_VALIDATE, .object = table "_user_id_fkey",                                                \
        .sql = "ALTER TABLE \"public\".\"" table "\" VALIDATE CONSTRAINT \"" table "_user_id_fkey\"",                  \
        .run = AGENT_RUN_VALIDATE                                                                                      \
    }

static const struct kind foreign_key = {
    .setup = ORDERS, .table = "orders", .steps = {FOREIGN_KEY("orders")}, .locked = "users"};
static const struct kind foreign_key_validated = {
    .setup = ORDERS, .table = "orders", .steps = {FOREIGN_KEY("orders"), VALIDATE_FOREIGN_KEY("orders")}};
static const struct kind foreign_key_of_somebody = {
    .setup = ORDERS,
    .table = "orders",
    .steps = {FOREIGN_KEY("orders")},
    .look_alike = "ALTER TABLE orders ADD CONSTRAINT orders_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id)"};
static const struct kind foreign_key_of_partitions = {
    .setup = PARTS, .table = "ev", .steps = {FOREIGN_KEY("ev"), VALIDATE_FOREIGN_KEY("ev")}};
static const struct kind check_of_partitions = {
    .setup = PARTS,
    .table = "ev",
    .steps = {{.action = ZDM_ACTION_ADD_CHECK,
               .object = "ev_c",
               .sql = "ALTER TABLE public.ev ADD CONSTRAINT ev_c CHECK (user_id > 0) NOT VALID",
               .inverse = ZDM_INVERSE_SQL,
               .inverse_sql = "ALTER TABLE public.ev DROP CONSTRAINT IF EXISTS ev_c"},
              {.action = ZDM_ACTION_VALIDATE,
               .object = "ev_c",
               .sql = "ALTER TABLE public.ev VALIDATE CONSTRAINT ev_c",
               .run = AGENT_RUN_VALIDATE}}};

#define UNIQUE_INDEX(name, column)                                                                                     \
    {                                                                                                                  \
        .action = ZDM_ACTION_CREATE_INDEX, .object = name,                                                             \
        .sql = "CREATE UNIQUE INDEX CONCURRENTLY \"" name "\" ON \"public\".\"users\" USING btree (" column ")",       \
        .inverse = ZDM_INVERSE_SQL, .inverse_sql = "DROP INDEX CONCURRENTLY IF EXISTS \"public\".\"" name "\"",        \
        .run = AGENT_RUN_INDEX_BUILD                                                                                   \
    }

static const struct kind unique = {
    .setup = USERS,
    .table = "users",
    .steps = {UNIQUE_INDEX("users_code_key", "code"),
              {.action = ZDM_ACTION_ADD_UNIQUE,
               .object = "users_code_key",
               .sql = "ALTER TABLE \"public\".\"users\" ADD CONSTRAINT \"users_code_key\" UNIQUE USING INDEX "
                      "\"users_code_key\" DEFERRABLE INITIALLY DEFERRED",
               .inverse = ZDM_INVERSE_SQL,
               .inverse_sql = "ALTER TABLE \"public\".\"users\" DROP CONSTRAINT IF EXISTS \"users_code_key\""}},
    .locked = "users"};
static const struct kind primary_key = {
    .setup =
        "CREATE TABLE users (id int NOT NULL, name text); INSERT INTO users SELECT g FROM generate_series(1, 9) g;",
    .table = "users",
    .steps = {UNIQUE_INDEX("users_pkey", "id"),
              {.action = ZDM_ACTION_ADD_PRIMARY_KEY,
               .object = "users_pkey",
               .sql = "ALTER TABLE \"public\".\"users\" ADD CONSTRAINT \"users_pkey\" PRIMARY KEY USING INDEX "
                      "\"users_pkey\"",
               .inverse = ZDM_INVERSE_SQL,
               .inverse_sql = "ALTER TABLE \"public\".\"users\" DROP CONSTRAINT IF EXISTS \"users_pkey\""}},
    .locked = "users"};

#define LIFT(name)                                                                                                     \
    {                                                                                                                  \
        .action = ZDM_ACTION_LIFT_CONSTRAINT, .object = name, .inverse = ZDM_INVERSE_UNHIDE                            \
    }
static const struct kind lifted_check = {.setup = USERS "ALTER TABLE users ADD CONSTRAINT c CHECK (n > 0)",
                                         .table = "users",
                                         .steps = {LIFT("c")},
                                         .locked = "users"};
static const struct kind lifted_foreign_key = {
    .setup = ORDERS "ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users ON UPDATE CASCADE "
                    "DEFERRABLE",
    .table = "orders",
    .steps = {LIFT("f")}};
static const struct kind lifted_unique = {
    .setup = USERS "ALTER TABLE users ADD CONSTRAINT u UNIQUE (code, n)", .table = "users", .steps = {LIFT("u")}};
static const struct kind dropped_not_null = {
    .setup = USERS "ALTER TABLE users ALTER name SET NOT NULL",
    .table = "users",
    .steps = {{.action = ZDM_ACTION_DROP_NOT_NULL,
               .column = "name",
               .sql = "ALTER TABLE \"public\".\"users\" ALTER COLUMN \"name\" DROP NOT NULL",
               .inverse = ZDM_INVERSE_UNHIDE}},
    .locked = "users"};

#define FORMER(name, what, ...)                                                                                        \
    static const struct kind name = {                                                                                  \
        .setup = USERS "COMMENT ON COLUMN users.name IS 'it''s \"old\"'; ALTER TABLE users SET (fillfactor = 80,"      \
                       " autovacuum_enabled = off, toast.autovacuum_enabled = off); ALTER TABLE users ALTER name SET"  \
                       " STATISTICS 50, ALTER name SET (n_distinct = 5); CREATE INDEX users_name ON users (name);",    \
        .table = "users",                                                                                              \
        .steps = {{.action = what, .inverse = ZDM_INVERSE_FORMER, __VA_ARGS__}},                                       \
        .locked = "users"}

FORMER(set_default, ZDM_ACTION_SET_DEFAULT, .column = "n",
       .sql = "ALTER TABLE \"public\".\"users\" ALTER COLUMN \"n\" SET DEFAULT (1 + 2)");
FORMER(first_default, ZDM_ACTION_SET_DEFAULT, .column = "name",
       .sql = "ALTER TABLE \"public\".\"users\" ALTER COLUMN \"name\" SET DEFAULT 'anon'");
FORMER(drop_default, ZDM_ACTION_SET_DEFAULT, .column = "n",
       .sql = "ALTER TABLE \"public\".\"users\" ALTER COLUMN \"n\" DROP DEFAULT");
FORMER(set_storage, ZDM_ACTION_SET_STORAGE,
       .sql = "ALTER TABLE \"public\".\"users\" SET (fillfactor=70, autovacuum_vacuum_scale_factor=0.1)");
FORMER(reset_storage, ZDM_ACTION_SET_STORAGE,
       .sql = "ALTER TABLE \"public\".\"users\" RESET (autovacuum_enabled, toast.autovacuum_enabled)");
FORMER(set_statistics, ZDM_ACTION_SET_STORAGE, .column = "name",
       .sql = "ALTER TABLE \"public\".\"users\" ALTER COLUMN \"name\" SET STATISTICS 500");
FORMER(set_n_distinct, ZDM_ACTION_SET_STORAGE, .column = "name",
       .sql = "ALTER TABLE \"public\".\"users\" ALTER COLUMN \"name\" SET (n_distinct=-0.5)");
FORMER(comment_table, ZDM_ACTION_COMMENT, .sql = "COMMENT ON TABLE \"public\".\"users\" IS 'people; who ''pay'''");
FORMER(comment_column, ZDM_ACTION_COMMENT, .column = "name",
       .sql = "COMMENT ON COLUMN \"public\".\"users\".\"name\" IS NULL");
FORMER(comment_constraint, ZDM_ACTION_COMMENT, .object = "users_pkey",
       .sql = "COMMENT ON CONSTRAINT \"users_pkey\" ON \"public\".\"users\" IS 'the key'");
static const struct kind comment_index = {.setup = USERS "CREATE INDEX users_name ON users (name);",
                                          .table = "users",
                                          .steps = {{.action = ZDM_ACTION_COMMENT,
                                                     .table = "-",
                                                     .object = "users_name",
                                                     .inverse = ZDM_INVERSE_FORMER,
                                                     .sql = "COMMENT ON INDEX \"public\".\"users_name\" IS 'fast'"}}};

static const struct kind widen = {
    .setup = ORDERS "CREATE INDEX ON users (code)",
    .table = "users",
    .steps = {{.action = ZDM_ACTION_WIDEN_TYPE,
               .column = "code",
               .sql = "ALTER TABLE \"public\".\"users\" ALTER COLUMN \"code\" TYPE varchar(50)"}},
    .inexact = true,
    .locked = "users"};

static const struct kind create_table = {
    .setup = USERS,
    .table = "notes",
    .steps = {{.action = ZDM_ACTION_CREATE_TABLE,
               .sql =
                   "CREATE TABLE \"public\".\"notes\" (id serial PRIMARY KEY, user_id int REFERENCES users (id), note "
                   "text UNIQUE)",
               .inverse = ZDM_INVERSE_HIDE,
               .other = "users"}},
    .locked = "users"};
static const struct kind table_of_somebody = {.setup = USERS,
                                              .table = "notes",
                                              .steps = {{.action = ZDM_ACTION_CREATE_TABLE,
                                                         .sql = "CREATE TABLE \"public\".\"notes\" (id int)",
                                                         .inverse = ZDM_INVERSE_HIDE}},
                                              .look_alike = "CREATE VIEW notes AS SELECT 1 AS id"};
static const struct kind create_type = {.setup = USERS,
                                        .table = "-",
                                        .steps = {{.action = ZDM_ACTION_CREATE_TYPE,
                                                   .table = "-",
                                                   .object = "mood",
                                                   .sql = "CREATE TYPE \"public\".\"mood\" AS ENUM ('sad', 'ok')",
                                                   .inverse = ZDM_INVERSE_HIDE}}};
static const struct kind type_of_somebody = {.setup = USERS,
                                             .table = "-",
                                             .steps = {{.action = ZDM_ACTION_CREATE_TYPE,
                                                        .table = "-",
                                                        .object = "mood",
                                                        .sql = "CREATE TYPE \"public\".\"mood\" AS ENUM ('sad', 'ok')",
                                                        .inverse = ZDM_INVERSE_HIDE}},
                                             .look_alike = "CREATE TYPE mood AS ENUM ('other')"};

static const struct kind detach = {
    .setup = PARTS,
    .table = "ev",
    .steps = {{.action = ZDM_ACTION_DETACH_PARTITION,
               .sql = "ALTER TABLE \"public\".\"ev\" DETACH PARTITION \"public\".\"ev1\"",
               .inverse = ZDM_INVERSE_FORMER,
               .other = "ev1"}},
    .locked = "ev"};
#define ATTACH(bound)                                                                                                  \
    {.action = ZDM_ACTION_ADD_PARTITION_CHECK,                                                                         \
     .table = "ev3",                                                                                                   \
     .object = "zdm_part",                                                                                             \
     .sql = bound,                                                                                                     \
     .inverse = ZDM_INVERSE_SQL,                                                                                       \
     .inverse_sql = "ALTER TABLE \"public\".\"ev3\" DROP CONSTRAINT IF EXISTS \"zdm_part\"",                           \
     .other = "ev"},                                                                                                   \
        {.action = ZDM_ACTION_VALIDATE,                                                                                \
         .table = "ev3",                                                                                               \
         .object = "zdm_part",                                                                                         \
         .sql = "ALTER TABLE \"public\".\"ev3\" VALIDATE CONSTRAINT \"zdm_part\"",                                     \
         .run = AGENT_RUN_VALIDATE},                                                                                   \
    {                                                                                                                  \
        .action = ZDM_ACTION_ATTACH_PARTITION,                                                                         \
        .sql = "ALTER TABLE \"public\".\"ev\" ATTACH PARTITION \"public\".\"ev3\" " bound, .inverse = ZDM_INVERSE_SQL, \
        .inverse_sql = "ALTER TABLE \"public\".\"ev\" DETACH PARTITION \"public\".\"ev3\"", .other = "ev3"             \
    }
static const struct kind attach = {.setup = PARTS
                                   "CREATE TABLE ev3 (id int NOT NULL, user_id int); INSERT INTO ev3 SELECT g, 3 FROM "
                                   "generate_series(200, 250) g",
                                   .table = "ev",
                                   .steps = {ATTACH("FOR VALUES FROM (200) TO (300)")},
                                   .locked = "ev3"};
static const struct kind attach_default = {
    .setup = PARTS "CREATE TABLE ev3 (id int NOT NULL, user_id int); INSERT INTO ev3 SELECT g, 3 FROM "
                   "generate_series(200, 250) g",
    .table = "ev",
    .steps = {ATTACH("DEFAULT")}};
/* An empty partition gets from the server what it lacks; what it had, and what that was called, stays its own. */
static const struct kind attach_bare = {
    .setup = "CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE ev (id int NOT NULL, user_id int REFERENCES users,"
             " note text, PRIMARY KEY (id, note), UNIQUE (id, user_id)) PARTITION BY RANGE (id); CREATE INDEX ON ev"
             " (user_id); CREATE INDEX ON ev (note) WHERE id > 5; CREATE TABLE ev3 (id int NOT NULL, user_id int, note"
             " text NOT NULL); CREATE INDEX own ON ev3 (user_id)",
    .table = "ev",
    .steps = {ATTACH("FOR VALUES FROM (200) TO (300)")},
    .locked = "ev3"};
static const struct kind attach_tree = {
    .setup = "CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE ev (id int NOT NULL, user_id int REFERENCES users)"
             " PARTITION BY RANGE (id); CREATE INDEX ON ev (user_id); CREATE INDEX ON ev (id); CREATE TABLE ev3 (id int"
             " NOT NULL, user_id int) PARTITION BY LIST (user_id); CREATE TABLE ev31 PARTITION OF ev3 FOR VALUES IN"
             " (1); CREATE TABLE ev32 PARTITION OF ev3 DEFAULT",
    .table = "ev",
    .steps = {ATTACH("FOR VALUES FROM (200) TO (300)")}};
static const struct kind attach_hash = {
    .setup =
        "CREATE TABLE ev (id int NOT NULL) PARTITION BY HASH (id); CREATE TABLE ev0 PARTITION OF ev FOR VALUES WITH "
        "(MODULUS 2, REMAINDER 0); CREATE TABLE ev3 (id int NOT NULL)",
    .table = "ev",
    .steps = {ATTACH("FOR VALUES WITH (MODULUS 2, REMAINDER 1)")}};

static const struct kind as_is = {
    .setup = USERS,
    .table = "users",
    .steps = {{.action = ZDM_ACTION_AS_IS,
               .sql = "CREATE VIEW v AS SELECT 'a;b' AS x FROM users; GRANT SELECT ON v TO app_user;",
               .inverse = ZDM_INVERSE_SQL,
               .inverse_sql = "DROP VIEW v",
               .proof_sql = "SELECT 1 WHERE to_regclass('public.v') IS NULL"}}};
static const struct kind as_is_alter = {
    .setup = USERS,
    .table = "users",
    .steps = {{.action = ZDM_ACTION_AS_IS,
               .sql = "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
               .inverse = ZDM_INVERSE_SQL,
               .inverse_sql = "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
               .proof_sql = "SELECT 1 FROM pg_class WHERE oid = 'users'::regclass AND NOT relrowsecurity"}},
    .locked = "users"};
static const struct kind as_is_long = {
    .setup = USERS,
    .table = "users",
    .steps = {{.action = ZDM_ACTION_AS_IS,
               .sql = "CREATE INDEX CONCURRENTLY hash_code ON users USING hash (code)",
               .inverse = ZDM_INVERSE_SQL,
               .inverse_sql = "DROP INDEX hash_code",
               .proof_sql = "SELECT 1 WHERE to_regclass('public.hash_code') IS NULL",
               .run = AGENT_RUN_LONG_SQL}}};

#define KIND(name)                                                                                                     \
    static void test_##name(void **state)                                                                              \
    {                                                                                                                  \
        there_and_back(*state, &name);                                                                                 \
    }
KIND(check)
KIND(foreign_key)
KIND(foreign_key_validated)
KIND(foreign_key_of_somebody)
KIND(foreign_key_of_partitions)
KIND(check_of_partitions)
KIND(unique)
KIND(primary_key)
KIND(lifted_check)
KIND(lifted_foreign_key)
KIND(lifted_unique)
KIND(dropped_not_null)
KIND(set_default)
KIND(first_default)
KIND(drop_default)
KIND(set_storage)
KIND(reset_storage)
KIND(set_statistics)
KIND(set_n_distinct)
KIND(comment_table)
KIND(comment_column)
KIND(comment_constraint)
KIND(comment_index)
KIND(create_table)
KIND(table_of_somebody)
KIND(create_type)
KIND(type_of_somebody)
KIND(detach)
KIND(attach)
KIND(attach_default)
KIND(attach_hash)
KIND(attach_bare)
KIND(attach_tree)
KIND(as_is)
KIND(as_is_alter)
KIND(as_is_long)

static void widened_type_stays_wide(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "%s", widen.setup);
    plan(r, &widen);
    killed(r, &widen, 1);
    forward(r, &widen, 1);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_ALREADY);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
}

/* The clone does not fit: said before the real table is locked. */
static void refuse_widening(struct rig *r, const char *setup, const char *column, const char *type, const char *text)
{
    char sql[256];
    rig_sql(r, "%s", setup);
    snprintf(sql, sizeof sql, "ALTER TABLE \"public\".\"users\" ALTER COLUMN \"%s\" TYPE %s", column, type);
    const struct kind k = {.table = "users",
                           .steps = {{.action = ZDM_ACTION_WIDEN_TYPE, .column = column, .sql = sql}}};
    plan(r, &k);
    char *before = rig_dump(r, "public.*");
    rig_refused(r, AGENT_RUN_DDL, 1, text);
    char *after = rig_dump(r, "public.*");
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void type_change_that_rewrites_the_table_is_refused(void **state)
{
    refuse_widening(*state, USERS, "n", "bigint", "would write all of public.users anew");
}

static void type_change_that_rewrites_an_index_is_refused(void **state)
{
    refuse_widening(*state, USERS "CREATE INDEX ON users (code) WHERE code <> ''", "code", "varchar(50)",
                    "or an index of it");
}

static void narrower_type_is_refused(void **state)
{
    refuse_widening(*state, USERS, "code", "varchar(10)", "anew");
}

static void type_change_under_a_check_is_refused(void **state)
{
    refuse_widening(*state, USERS "ALTER TABLE users ADD CONSTRAINT cc CHECK (code <> 'x')", "code", "varchar(50)",
                    "would read all of public.users");
}

static void type_change_under_a_foreign_key_is_refused(void **state)
{
    refuse_widening(*state,
                    USERS "ALTER TABLE users ADD UNIQUE (code); CREATE TABLE o (code varchar(20) REFERENCES users "
                          "(code));",
                    "code", "varchar(50)", "a foreign key of public.o points at column code");
}

static void type_change_under_a_view_is_the_servers_to_refuse(void **state)
{
    refuse_widening(*state, USERS "CREATE VIEW v AS SELECT code FROM users", "code", "varchar(50)", "view");
}

static void value_of_an_enum_is_added_once_and_stays(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TYPE mood AS ENUM ('sad', 'ok')");
    const struct kind k = {.table = "-",
                           .steps = {{.action = ZDM_ACTION_ADD_VALUE,
                                      .table = "-",
                                      .object = "mood",
                                      .column = "fine",
                                      .sql = "ALTER TYPE \"public\".\"mood\" ADD VALUE IF NOT EXISTS 'fine' AFTER "
                                             "'sad'"}}};
    plan(r, &k);
    forward(r, &k, 1);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_ALREADY);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    assert_string_equal(rig_value(r, "SELECT enum_range(NULL::mood)"), "{sad,fine,ok}");
    rig_sql(r, "DROP TYPE mood");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_ABSENT);
}

static void comment_on_what_is_ours_keeps_the_mark(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS);
    const struct kind k = {.table = "users",
                           .steps = {{.action = ZDM_ACTION_ADD_COLUMN,
                                      .column = "c",
                                      .sql = "ALTER TABLE \"public\".\"users\" ADD COLUMN \"c\" int",
                                      .inverse = ZDM_INVERSE_HIDE},
                                     {.action = ZDM_ACTION_COMMENT,
                                      .column = "c",
                                      .sql = "COMMENT ON COLUMN \"public\".\"users\".\"c\" IS E'two\\nlines'",
                                      .inverse = ZDM_INVERSE_FORMER}}};
    plan(r, &k);
    forward(r, &k, 1);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    assert_string_equal(rig_value(r, "SELECT split_part(col_description('users'::regclass, 5), 'zdm:', 1)"),
                        "two\nlines\n");
    rig_undo(r, 2);
    assert_string_equal(rig_value(r, "SELECT left(col_description('users'::regclass, 5), 4)"), "zdm:");
    rig_undo(r, 1);
}

/* Who has the mark may be dropped by that migration's rollback: nobody writes it into a comment. */
static void refuse_mark(struct rig *r, const char *text)
{
    char sql[160];
    rig_sql(r, USERS "COMMENT ON CONSTRAINT users_pkey ON users IS 'the key'");
    snprintf(sql, sizeof sql, "COMMENT ON CONSTRAINT \"users_pkey\" ON \"public\".\"users\" IS %s", text);
    const struct kind k = {
        .table = "users",
        .steps = {{.action = ZDM_ACTION_COMMENT, .object = "users_pkey", .sql = sql, .inverse = ZDM_INVERSE_FORMER}}};
    plan(r, &k);
    rig_refused(r, AGENT_RUN_DDL, 1, "like a migration's mark");
    assert_string_equal(rig_value(r, "SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE"
                                     " conname = 'users_pkey'"),
                        "the key");
}

static void comment_that_is_a_mark_is_refused(void **state)
{
    refuse_mark(*state, "'zdm:m1'");
}

static void comment_whose_last_line_is_a_mark_is_refused(void **state)
{
    refuse_mark(*state, "E'a key\\nzdm:another'");
}

static void default_that_somebody_changed_since_stays(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "%s", set_default.setup);
    plan(r, &set_default);
    forward(r, &set_default, 1);
    rig_sql(r, "ALTER TABLE users ALTER n SET DEFAULT 99");
    rig_undo(r, 1);
    assert_non_null(strstr(r->remark, "was changed again since"));
    assert_string_equal(rig_value(r, "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = "
                                     "'users'::regclass"),
                        "99");
}

static void constraint_that_was_there_before_stays_when_rows_violate_it(void **state)
{
    struct rig *r = *state;
    rig_sql(r, ORDERS "ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users NOT VALID");
    rig_exec(r->super, "SET session_replication_role = replica; DELETE FROM users WHERE id = 50");
    const struct kind k = {.table = "orders",
                           .steps = {{.action = ZDM_ACTION_VALIDATE,
                                      .object = "f",
                                      .sql = "ALTER TABLE \"public\".\"orders\" VALIDATE CONSTRAINT \"f\"",
                                      .run = AGENT_RUN_VALIDATE}}};
    plan(r, &k);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_refused(r, AGENT_RUN_VALIDATE, 1, "The constraint was there before, and stays");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_constraint WHERE conname = 'f'"), 1);
    assert_int_equal(r->journal_step, 1);
    rig_sql(r, "DELETE FROM orders WHERE user_id = 50");
    rig_run(r, AGENT_RUN_VALIDATE, 1, AGENT_OK);
}

static void foreign_key_that_rows_violate_is_dropped_again(void **state, const struct kind *k, const char *bad)
{
    struct rig *r = *state;
    rig_sql(r, "%s", k->setup);
    rig_sql(r, "INSERT INTO %s VALUES (120, 2)", k->table);
    rig_sql(r, "DELETE FROM users WHERE id = 2");
    plan(r, k);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_refused(r, AGENT_RUN_VALIDATE, 2, "was dropped again");
    assert_int_equal(r->journal_step, 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"), 0);
    rig_sql(r, "%s", bad);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_VALIDATE, 2, AGENT_OK);
}

static void violated_foreign_keys_go_again(void **state)
{
    foreign_key_that_rows_violate_is_dropped_again(state, &foreign_key_validated,
                                                   "DELETE FROM orders WHERE user_id = 2");
}

static void violated_foreign_keys_of_partitions_go_again(void **state)
{
    foreign_key_that_rows_violate_is_dropped_again(state, &foreign_key_of_partitions,
                                                   "DELETE FROM ev WHERE user_id = 2");
}

static void partition_that_comes_meanwhile_gets_the_foreign_key_too(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "%s", foreign_key_of_partitions.setup);
    plan(r, &foreign_key_of_partitions);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_sql(r, "CREATE TABLE ev4 PARTITION OF ev FOR VALUES FROM (300) TO (400)");
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_VALIDATE, 2, AGENT_RETRY);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_VALIDATE, 2, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = "
                                   "'ev4'::regclass AND conparentid <> 0"),
                     1);
}

static void refuse_index(struct rig *r, enum zdm_action action, const char *index, const char *text)
{
    char mark[ZDM_NAME_MAX + 8];
    rig_sql(r, "%s %s", USERS, index);
    const struct kind k = {.table = "users",
                           .steps = {{.action = action,
                                      .object = "i",
                                      .sql = action == ZDM_ACTION_ADD_UNIQUE
                                                 ? "ALTER TABLE \"public\".\"users\" ADD CONSTRAINT \"i\" UNIQUE USING "
                                                   "INDEX \"i\""
                                                 : "ALTER TABLE \"public\".\"users\" ADD CONSTRAINT \"i\" PRIMARY KEY "
                                                   "USING INDEX \"i\""}}};
    plan(r, &k);
    snprintf(mark, sizeof mark, "zdm:%s", r->plan->id);
    rig_sql(r, "COMMENT ON INDEX i IS '%s'", mark);
    rig_refused(r, AGENT_RUN_DDL, 1, text);
}

static void unique_constraint_wants_a_whole_index(void **state)
{
    refuse_index(*state, ZDM_ACTION_ADD_UNIQUE, "CREATE UNIQUE INDEX i ON users (code) WHERE n > 0", "partial");
}

static void unique_constraint_wants_plain_columns(void **state)
{
    refuse_index(*state, ZDM_ACTION_ADD_UNIQUE, "CREATE UNIQUE INDEX i ON users (lower(code))", "expression");
}

static void unique_constraint_wants_the_default_order(void **state)
{
    refuse_index(*state, ZDM_ACTION_ADD_UNIQUE, "CREATE UNIQUE INDEX i ON users (code DESC)", "");
}

static void primary_key_wants_not_null(void **state)
{
    refuse_index(*state, ZDM_ACTION_ADD_PRIMARY_KEY,
                 "ALTER TABLE users DROP CONSTRAINT users_pkey; CREATE UNIQUE INDEX i ON users (code)", "");
}

static void constraint_by_index_of_a_partitioned_table_is_refused(void **state)
{
    struct rig *r = *state;
    rig_sql(r, PARTS);
    const struct kind k = {.table = "ev",
                           .steps = {{.action = ZDM_ACTION_ADD_UNIQUE,
                                      .object = "i",
                                      .sql = "ALTER TABLE \"public\".\"ev\" ADD CONSTRAINT \"i\" UNIQUE USING INDEX "
                                             "\"i\""}}};
    plan(r, &k);
    rig_refused(r, AGENT_RUN_DDL, 1, "A unique index enforces the same");
}

#define NOT_EV3 "CHECK (NOT ((id IS NOT NULL) AND (id >= 200) AND (id < 300)))"
/* Said before anything else is done, with the statement that helps. A CHECK that is not proven does not. */
static void refused_for_the_default_partition(struct rig *r)
{
    rig_refused(r, AGENT_RUN_DDL, 1, "would read all of the default partition public.ev_rest under a lock");
    rig_refused(r, AGENT_RUN_DDL, 1,
                "ADD CONSTRAINT not_ev3 CHECK (NOT (((id IS NOT NULL) AND (id >= 200) AND (id < 300))))");
    rig_sql(r, "ALTER TABLE ev_rest ADD CONSTRAINT not_ev3 " NOT_EV3 " NOT VALID");
    rig_refused(r, AGENT_RUN_DDL, 1, "would read all of the default partition public.ev_rest under a lock");
    assert_int_equal(r->journal_step, 1);
    rig_sql(r, "ALTER TABLE ev_rest VALIDATE CONSTRAINT not_ev3");
    forward(r, &attach, 1);
    rig_app(r, "INSERT INTO ev VALUES (299, 1), (901, 1)");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM ev_rest"), 2);
}

static void attaching_that_would_read_the_default_partition_is_refused(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "%s; CREATE TABLE ev_rest PARTITION OF ev DEFAULT; INSERT INTO ev VALUES (900, 1)", attach.setup);
    plan(r, &attach);
    refused_for_the_default_partition(r);
}

static void so_is_attaching_an_empty_partition(void **state)
{
    struct rig *r = *state;
    rig_sql(r,
            "%s; CREATE TABLE ev_rest PARTITION OF ev DEFAULT; INSERT INTO ev VALUES (900, 1); TRUNCATE ev3;"
            "CREATE INDEX ON ev (user_id)",
            attach.setup);
    plan(r, &attach);
    refused_for_the_default_partition(r);
}

static void rows_of_the_default_partition_that_belong_to_another_are_counted_first(void **state)
{
    struct rig *r = *state;
    rig_sql(r,
            "%s; CREATE TABLE ev_rest PARTITION OF ev DEFAULT; INSERT INTO ev SELECT g, 1 FROM generate_series(260,"
            " 301) g",
            attach.setup);
    plan(r, &attach);
    rig_refused(r, AGENT_RUN_DDL, 1, "40 rows of the default partition public.ev_rest belong to public.ev3");
    rig_sql(r, "WITH moved AS (DELETE FROM ev_rest WHERE id < 300 RETURNING *) INSERT INTO ev3 SELECT * FROM moved");
    rig_refused(r, AGENT_RUN_DDL, 1, "would read all of the default partition");
    rig_sql(r, "INSERT INTO ev SELECT 270, g FROM generate_series(1, 2000) g");
    rig_refused(r, AGENT_RUN_DDL, 1, "more than 1000 rows of the default partition");
    rig_sql(r, "DELETE FROM ev_rest");
    forward(r, &attach, 1);
}

/* Rows came between the first step and the last. */
static void default_partition_is_looked_at_again_before_attaching(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "%s; CREATE TABLE ev_rest PARTITION OF ev DEFAULT", attach.setup);
    plan(r, &attach);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_VALIDATE, 2, AGENT_OK);
    rig_sql(r, "INSERT INTO ev VALUES (280, 1)");
    rig_refused(r, AGENT_RUN_DDL, 3, "1 row of the default partition public.ev_rest belongs to public.ev3");
    rig_sql(r, "UPDATE ev_rest SET id = 900");
    rig_refused(r, AGENT_RUN_DDL, 3, "would read all of the default partition");
    rig_sql(r, "TRUNCATE ev_rest");
    rig_run(r, AGENT_RUN_DDL, 3, AGENT_OK);
}

static void detached_partition_does_not_come_back_over_rows_of_the_default_one(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "%s; CREATE TABLE ev_rest PARTITION OF ev DEFAULT; INSERT INTO ev VALUES (900, 1)", detach.setup);
    plan(r, &detach);
    forward(r, &detach, 1);
    rig_app(r, "INSERT INTO ev VALUES (5, 1), (6, 1)");
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNDO_DDL);
    rig_run(r, AGENT_RUN_UNDO_DDL, 1, AGENT_OK);
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_RESTORE);
    rig_run(r, AGENT_RUN_RESTORE, 1, AGENT_OK);
    rig_refused(r, AGENT_RUN_UNDO_DDL, 1, "2 rows of the default partition public.ev_rest belong to public.ev1");
    rig_sql(r, "WITH moved AS (DELETE FROM ev_rest WHERE id < 100 RETURNING *) INSERT INTO ev1 SELECT * FROM moved");
    rig_refused(r, AGENT_RUN_UNDO_DDL, 1, "Run ALTER TABLE public.ev_rest ADD CONSTRAINT not_ev1 CHECK (NOT (");
    rig_sql(r,
            "ALTER TABLE ev_rest ADD CONSTRAINT not_ev1 CHECK (NOT ((id IS NOT NULL) AND (id >= 1) AND (id < 100)))");
    rig_run(r, AGENT_RUN_UNDO_DDL, 1, AGENT_OK);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM ev WHERE id IN (5, 6, 900)"), 5);
}

static void attaching_a_partition_without_its_check_is_refused(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "%s", attach.setup);
    struct kind k = {.table = "ev", .steps = {attach.steps[2]}};
    plan(r, &k);
    rig_refused(r, AGENT_RUN_DDL, 1, "would read all of a partition of public.ev");
}

static void attaching_that_would_build_an_index_is_refused(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "%s; CREATE INDEX ON ev (user_id)", attach.setup);
    plan(r, &attach);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_VALIDATE, 2, AGENT_OK);
    rig_refused(r, AGENT_RUN_DDL, 3, "attaching would build an index on public.ev3 under ACCESS EXCLUSIVE");
    rig_sql(r, "CREATE INDEX ON ev3 (user_id)");
    rig_run(r, AGENT_RUN_DDL, 3, AGENT_OK);
}

static void an_empty_partition_is_attached_whatever_indexes_it_lacks(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "%s; CREATE INDEX ON ev (user_id); TRUNCATE ev3", attach.setup);
    plan(r, &attach);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_VALIDATE, 2, AGENT_OK);
    rig_run(r, AGENT_RUN_DDL, 3, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_index WHERE indrelid = 'ev3'::regclass"), 1);
}

static void what_was_changed_on_an_attached_partition_stays_on_the_way_back(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "%s", attach_bare.setup);
    plan(r, &attach_bare);
    forward(r, &attach_bare, 1);
    rig_sql(r, "ALTER INDEX ev3_note_idx RENAME TO by_note; CREATE INDEX later ON ev3 (note, id)");
    back(r, &attach_bare);
    assert_string_equal(rig_value(r, "SELECT string_agg(indexrelid::regclass::text, ' ' ORDER BY 1) FROM (SELECT"
                                     " indexrelid FROM pg_index WHERE indrelid = 'ev3'::regclass ORDER BY"
                                     " indexrelid::regclass::text) AS i"),
                        "by_note later own");
    /* Since PostgreSQL 18 its NOT NULL are constraints, too. */
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_constraint WHERE conrelid = 'ev3'::regclass AND contype <>"
                                   " 'n'"),
                     0);
}

static void rows_that_do_not_fit_a_partition_are_named_before_it_is_attached(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "%s; INSERT INTO ev3 VALUES (5, 5)", attach.setup);
    plan(r, &attach);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_refused(r, AGENT_RUN_VALIDATE, 2, "was dropped again");
    assert_int_equal(r->journal_step, 1);
}

static void detaching_what_foreign_keys_point_at_is_refused(void **state)
{
    struct rig *r = *state;
    rig_sql(r,
            "CREATE TABLE ev (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE ev1 PARTITION OF ev FOR VALUES "
            "FROM (1) TO (9); CREATE TABLE pointing (id int REFERENCES ev (id))");
    plan(r, &detach);
    rig_refused(r, AGENT_RUN_DDL, 1, "a foreign key of public.pointing points at public.ev");
}

static void as_is_that_rewrites_the_table_is_refused_without_a_word(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS);
    const struct kind k = {.table = "users",
                           .steps = {{.action = ZDM_ACTION_AS_IS,
                                      .sql = "SELECT 1; ALTER TABLE users ALTER n TYPE bigint",
                                      .inverse = ZDM_INVERSE_IMPOSSIBLE,
                                      .proof_sql = "SELECT 1 FROM pg_attribute WHERE attrelid = 'users'::regclass AND "
                                                   "attname = 'n' AND atttypid = 'int'::regtype"}}};
    plan(r, &k);
    rig_refused(r, AGENT_RUN_DDL, 1, "rewrite-ok");
    rig_step(r, 1)->rewrite_ok = true;
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
}

static void as_is_whose_check_stays_is_rolled_back(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS);
    const struct kind k = {
        .table = "users",
        .steps = {{.action = ZDM_ACTION_AS_IS, .sql = "CREATE VIEW v AS SELECT 1", .proof_sql = "SELECT 1"}}};
    plan(r, &k);
    rig_refused(r, AGENT_RUN_DDL, 1, "its check still returns a row");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname = 'v'"), 0);
}

static void as_is_that_commits_is_refused(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS);
    const struct kind k = {.table = "users",
                           .steps = {{.action = ZDM_ACTION_AS_IS, .sql = "COMMIT", .proof_sql = "SELECT 1"}}};
    plan(r, &k);
    rig_refused(r, AGENT_RUN_DDL, 1, "ends the transaction");
}

static void as_is_that_was_done_before_is_not_undone(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS "CREATE VIEW v AS SELECT 1");
    plan(r, &as_is);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_ALREADY);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
}

static void created_table_belongs_to_the_applications_owner(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS);
    plan(r, &create_table);
    forward(r, &create_table, 1);
    assert_string_equal(rig_value(r, "SELECT relowner::regrole FROM pg_class WHERE oid = 'notes'::regclass"),
                        "app_owner");
    rig_app(r, "INSERT INTO notes (user_id, note) VALUES (1, 'x')");
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'zdm_trash_%%'"), 1);
    assert_string_equal(rig_app_fails(r, "SELECT * FROM notes"), "42P01");
}

static const struct kind created_and_constrained = {
    .setup = USERS,
    .table = "notes",
    .steps = {{.action = ZDM_ACTION_CREATE_TABLE,
               .sql = "CREATE TABLE \"public\".\"notes\" (id int)",
               .inverse = ZDM_INVERSE_HIDE},
              {.action = ZDM_ACTION_ADD_CHECK,
               .object = "notes_id_check",
               .sql = "ALTER TABLE \"public\".\"notes\" ADD CONSTRAINT \"notes_id_check\" CHECK (id > 0) NOT VALID",
               .inverse = ZDM_INVERSE_SQL,
               .inverse_sql = "ALTER TABLE \"public\".\"notes\" DROP CONSTRAINT IF EXISTS \"notes_id_check\""}}};

/* As a restart finds it in the middle of a rollback: the walk begins again above what was undone. */
static void what_stood_on_a_created_table_went_with_it(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS);
    plan(r, &created_and_constrained);
    forward(r, &created_and_constrained, 1);
    rig_undo(r, 2);
    rig_undo(r, 1);
    rig_back(r, 2, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
}

static void wait_gate(struct rig *r, int64_t for_ms, const char *until, int64_t limit_ms)
{
    rig_plan(r, "users", 1);
    struct zdm_step *step = rig_step(r, 1);
    step->action = ZDM_ACTION_GATE_WAIT;
    step->wait = calloc(1, sizeof *step->wait);
    step->wait->for_ms = for_ms;
    step->wait->until = copy(until);
    step->wait->every_ms = 100;
    step->wait->limit_ms = limit_ms;
    rig_accept(r, 1);
}

static int64_t early(struct rig *r, const char *text)
{
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_WAIT, 1, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "early");
    assert_non_null(strstr(result->blocker, text));
    int64_t wait_ms = result->wait_ms;
    agent_result_free(result);
    return wait_ms;
}

static void wait_is_over_after_its_time_and_not_before(void **state)
{
    struct rig *r = *state;
    wait_gate(r, 1500, NULL, 0);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    int64_t ms = early(r, "waits for another");
    assert_in_range(ms, 500, 1500);
    assert_true(early(r, "waits for another") <= ms);
    sleep_ms(1600);
    rig_run(r, AGENT_RUN_WAIT, 1, AGENT_OK);
    assert_int_equal(r->journal_step, 2);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned"), 0);
}

static void wait_for_a_condition_says_what_it_answered(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int)");
    wait_gate(r, 0, "SELECT count(*) > 0 FROM users", 0);
    assert_int_equal(early(r, "answered f"), 100);
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNDO_DDL);
    rig_undo(r, 1);
    rig_sql(r, "INSERT INTO users VALUES (1)");
    rig_run(r, AGENT_RUN_WAIT, 1, AGENT_OK);
}

static void wait_that_takes_too_long_fails_and_waits_anew(void **state)
{
    struct rig *r = *state;
    wait_gate(r, 0, "SELECT false", 300);
    (void)early(r, "answered f");
    sleep_ms(400);
    rig_refused(r, AGENT_RUN_WAIT, 1, "its condition answered f");
    (void)early(r, "answered f");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_check),
        RIG_TEST(test_foreign_key),
        RIG_TEST(test_foreign_key_validated),
        RIG_TEST(test_foreign_key_of_somebody),
        RIG_TEST(test_foreign_key_of_partitions),
        RIG_TEST(test_check_of_partitions),
        RIG_TEST(test_unique),
        RIG_TEST(test_primary_key),
        RIG_TEST(test_lifted_check),
        RIG_TEST(test_lifted_foreign_key),
        RIG_TEST(test_lifted_unique),
        RIG_TEST(test_dropped_not_null),
        RIG_TEST(test_set_default),
        RIG_TEST(test_first_default),
        RIG_TEST(test_drop_default),
        RIG_TEST(test_set_storage),
        RIG_TEST(test_reset_storage),
        RIG_TEST(test_set_statistics),
        RIG_TEST(test_set_n_distinct),
        RIG_TEST(test_comment_table),
        RIG_TEST(test_comment_column),
        RIG_TEST(test_comment_constraint),
        RIG_TEST(test_comment_index),
        RIG_TEST(what_stood_on_a_created_table_went_with_it),
        RIG_TEST(test_create_table),
        RIG_TEST(test_table_of_somebody),
        RIG_TEST(test_create_type),
        RIG_TEST(test_type_of_somebody),
        RIG_TEST(test_detach),
        RIG_TEST(test_attach),
        RIG_TEST(test_attach_default),
        RIG_TEST(test_attach_hash),
        RIG_TEST(test_attach_bare),
        RIG_TEST(test_attach_tree),
        RIG_TEST(what_was_changed_on_an_attached_partition_stays_on_the_way_back),
        RIG_TEST(test_as_is),
        RIG_TEST(test_as_is_alter),
        RIG_TEST(test_as_is_long),
        RIG_TEST(widened_type_stays_wide),
        RIG_TEST(type_change_that_rewrites_the_table_is_refused),
        RIG_TEST(type_change_that_rewrites_an_index_is_refused),
        RIG_TEST(narrower_type_is_refused),
        RIG_TEST(type_change_under_a_check_is_refused),
        RIG_TEST(type_change_under_a_foreign_key_is_refused),
        RIG_TEST(type_change_under_a_view_is_the_servers_to_refuse),
        RIG_TEST(value_of_an_enum_is_added_once_and_stays),
        RIG_TEST(comment_on_what_is_ours_keeps_the_mark),
        RIG_TEST(comment_that_is_a_mark_is_refused),
        RIG_TEST(comment_whose_last_line_is_a_mark_is_refused),
        RIG_TEST(default_that_somebody_changed_since_stays),
        RIG_TEST(constraint_that_was_there_before_stays_when_rows_violate_it),
        RIG_TEST(violated_foreign_keys_go_again),
        RIG_TEST(violated_foreign_keys_of_partitions_go_again),
        RIG_TEST(partition_that_comes_meanwhile_gets_the_foreign_key_too),
        RIG_TEST(unique_constraint_wants_a_whole_index),
        RIG_TEST(unique_constraint_wants_plain_columns),
        RIG_TEST(unique_constraint_wants_the_default_order),
        RIG_TEST(primary_key_wants_not_null),
        RIG_TEST(constraint_by_index_of_a_partitioned_table_is_refused),
        RIG_TEST(attaching_that_would_read_the_default_partition_is_refused),
        RIG_TEST(so_is_attaching_an_empty_partition),
        RIG_TEST(detached_partition_does_not_come_back_over_rows_of_the_default_one),
        RIG_TEST(rows_of_the_default_partition_that_belong_to_another_are_counted_first),
        RIG_TEST(default_partition_is_looked_at_again_before_attaching),
        RIG_TEST(attaching_a_partition_without_its_check_is_refused),
        RIG_TEST(attaching_that_would_build_an_index_is_refused),
        RIG_TEST(an_empty_partition_is_attached_whatever_indexes_it_lacks),
        RIG_TEST(rows_that_do_not_fit_a_partition_are_named_before_it_is_attached),
        RIG_TEST(detaching_what_foreign_keys_point_at_is_refused),
        RIG_TEST(as_is_that_rewrites_the_table_is_refused_without_a_word),
        RIG_TEST(as_is_whose_check_stays_is_rolled_back),
        RIG_TEST(as_is_that_commits_is_refused),
        RIG_TEST(as_is_that_was_done_before_is_not_undone),
        RIG_TEST(created_table_belongs_to_the_applications_owner),
        RIG_TEST(wait_is_over_after_its_time_and_not_before),
        RIG_TEST(wait_for_a_condition_says_what_it_answered),
        RIG_TEST(wait_that_takes_too_long_fails_and_waits_anew),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
