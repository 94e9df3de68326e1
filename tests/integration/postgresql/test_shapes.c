/*
 * test_shapes.c - every shape of table under every kind of writer: a column is added, kept in step and filled while the
 * application writes; at the end one UPDATE of the whole table would change nothing, and no statement of the
 * application has failed.
 *
 * A shape says how the key and the value of a row are made from numbers: expressions over x.g and x.n. A writer is a
 * handful of statements over any shape. ZDM_SHAPES_MS: how long each of them writes at least (default: until the walk
 * is over and WRITES_MIN statements were made).
 */
#include "tests/integration/postgresql/rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/buffer.h"

enum { ROWS = 4096, WRITES_MIN = 40, BATCH = 700, KEYS = 3 };

struct shape {
    const char *name;
    const char *table;            /* as SQL */
    const char *create;           /* behind CREATE TABLE <table>; ";;" and statements that follow */
    const char *key[KEYS], *keys; /* quoted names; expressions */
    const char *source, *value;   /* quoted name; expression */
    const char *type;             /* of the target */
    const char *expr;             /* target := this over t., or NULL for a copy in both directions */
    const char *expr_new;         /* over NEW. */
    const char *target;           /* its name as it is, NULL: "target" */
    const char *read;             /* name of the source as it is, NULL: as `source` */
};

#define LONG_A "a23456789012345678901234567890123456789012345678901234567890123"
#define LONG_B "b23456789012345678901234567890123456789012345678901234567890123"
#define LONG_C "c23456789012345678901234567890123456789012345678901234567890123"
#define BY_ID  .key = {"id"}, .keys = "x.g"
#define NAMED  .source = "name", .value = "'Name ' || x.n", .type = "text"

static const struct shape shapes[] = {
    {"bigint", "t", "(id bigint PRIMARY KEY, name text, note text)", BY_ID, NAMED},
    {"composite", "t", "(a int, b smallint, name text, note text, PRIMARY KEY (b, a))", .key = {"a", "b"},
     .keys = "x.g / 64, x.g % 64", NAMED},
    {"three columns", "t", "(a int, b text, c date, name text, note text, PRIMARY KEY (a, b, c))",
     .key = {"a", "b", "c"}, .keys = "x.g / 100, 'k' || x.g % 10, '2020-01-01'::date + x.g % 100", NAMED},
    {"text with C", "t", "(id text COLLATE \"C\" PRIMARY KEY, name text, note text)", .key = {"id"},
     .keys = "'k' || x.g", NAMED},
    {"text with ICU", "t", "(id text COLLATE \"en-x-icu\" PRIMARY KEY, name text, note text)", .key = {"id"},
     .keys = "CASE x.g % 3 WHEN 0 THEN 'é' WHEN 1 THEN 'E-' ELSE 'e ' END || x.g", NAMED,
     .expr = "lower(t.name) COLLATE \"C\"", .expr_new = "lower(NEW.name) COLLATE \"C\""},
    {"uuid", "t", "(id uuid PRIMARY KEY, name varchar(30) NOT NULL, note text)", .key = {"id"},
     .keys = "md5(x.g::text)::uuid", .source = "name", .value = "'Name ' || x.n", .type = "varchar(30)"},
    {"wide rows", "t",
     "(id int PRIMARY KEY, name text, note text, blob text DEFAULT repeat('x', 2200)) WITH (fillfactor"
     " = 80);;ALTER TABLE t ALTER blob SET STORAGE EXTERNAL",
     BY_ID, NAMED},
    {"partitions by range", "t",
     "(id int PRIMARY KEY, name text, note text) PARTITION BY RANGE (id);;CREATE TABLE t1"
     " PARTITION OF t FOR VALUES FROM (MINVALUE) TO (1500);;CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (1500) TO"
     " (9000) PARTITION BY RANGE (id);;CREATE TABLE t2a PARTITION OF t2 FOR VALUES FROM (1500) TO (3000);;CREATE TABLE "
     "t3"
     " PARTITION OF t DEFAULT;;CREATE TABLE t2b PARTITION OF t2 DEFAULT",
     BY_ID, NAMED},
    {"partitions by hash", "t",
     "(id int PRIMARY KEY, name text, note text) PARTITION BY HASH (id);;CREATE TABLE t1"
     " PARTITION OF t FOR VALUES WITH (MODULUS 3, REMAINDER 0);;CREATE TABLE t2 PARTITION OF t FOR VALUES WITH (MODULUS"
     " 3, REMAINDER 1);;CREATE TABLE t3 PARTITION OF t FOR VALUES WITH (MODULUS 3, REMAINDER 2)",
     BY_ID, NAMED, .expr = "upper(t.name)", .expr_new = "upper(NEW.name)"},
    {"partitions by list", "t",
     "(region text, id int, name text, note text, PRIMARY KEY (region, id)) PARTITION BY LIST"
     " (region);;CREATE TABLE t1 PARTITION OF t FOR VALUES IN ('a', 'b');;CREATE TABLE t2 PARTITION OF t DEFAULT",
     .key = {"region", "id"}, .keys = "chr(97 + x.g % 4), x.g", NAMED},
    {"unique key only", "t", "(id int NOT NULL, name text, note text);;CREATE UNIQUE INDEX t_id ON t (id DESC)", BY_ID,
     NAMED},
    {"citext key", "t", "(id citext PRIMARY KEY, num bigserial UNIQUE, name text, note text)", .key = {"id"},
     .keys = "('K' || x.g)::citext", NAMED},
    {"citext column", "t", "(id int PRIMARY KEY, name citext, note text)", BY_ID, .source = "name",
     .value = "(CASE x.n % 2 WHEN 0 THEN 'NAME ' ELSE 'name ' END || x.n % 3)::citext", .type = "citext"},
    {"keys with gaps", "t", "(id bigint PRIMARY KEY, name text, note text)", .key = {"id"},
     .keys = "(x.g::bigint * 1000003 * 7919) % 2147483647", NAMED},
    {"smallint", "t", "(id smallint PRIMARY KEY, name int, note text)", .key = {"id"}, .keys = "x.g::smallint",
     .source = "name", .value = "x.n", .type = "bigint"},
    {"numeric", "t", "(id numeric(12,3) PRIMARY KEY, name numeric, note text)", .key = {"id"}, .keys = "x.g + 0.5",
     .source = "name", .value = "CASE x.n % 2 WHEN 0 THEN x.n::numeric ELSE x.n + 0.00 END", .type = "numeric"},
    {"date", "t", "(id date PRIMARY KEY, name text, note text)", .key = {"id"}, .keys = "'1970-01-01'::date + x.g",
     NAMED, .expr = "left(t.name, 4) || t.id::text", .expr_new = "left(NEW.name, 4) || NEW.id::text"},
    {"timestamptz", "t", "(id timestamptz PRIMARY KEY, name timestamptz, note text)", .key = {"id"},
     .keys = "'2024-01-01 00:00+00'::timestamptz + x.g * interval '17 min 0.000001 s'", .source = "name",
     .value = "'epoch'::timestamptz + x.n * interval '1 h'", .type = "timestamptz"},
    {"bytea", "t", "(id bytea PRIMARY KEY, name bytea, note text)", .key = {"id"},
     .keys = "decode(md5(x.g::text), 'hex')", .source = "name", .value = "decode(md5(x.n::text), 'hex')",
     .type = "bytea"},
    {"quoted names", "\"Sales 'n \"\"Orders\"\"\"",
     "(\"Id \"\"1\"\"\" int PRIMARY KEY, \"The 'Name'\" text, note text)", .key = {"\"Id \"\"1\"\"\""}, .keys = "x.g",
     .source = "\"The 'Name'\"", .value = "'N''' || x.n", .type = "text", .target = "New \"Name\" $1",
     .read = "The 'Name'"},
    {"generated columns", "t",
     "(id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text, low text GENERATED ALWAYS"
     " AS (lower(name)) STORED, note text)",
     BY_ID, NAMED},
    {"many columns", "t",
     "(id int PRIMARY KEY, name text, note text);;DO $$BEGIN FOR i IN 1..150 LOOP EXECUTE"
     " format('ALTER TABLE t ADD COLUMN c%s int', i); END LOOP; END$$",
     BY_ID, NAMED},
    {"names of 63 bytes", LONG_A, "(" LONG_B " int PRIMARY KEY, " LONG_C " text, note text)", .key = {LONG_B},
     .keys = "x.g", .source = LONG_C, .value = "'Name ' || x.n", .type = "text",
     .target = "d23456789012345678901234567890123456789012345678901234567890123"},
    {"domains", "t", "(id whole PRIMARY KEY, name short, note text)", BY_ID, .source = "name",
     .value = "('Name ' || x.n)::short", .type = "short"},
    {"enum key", "t", "(id int, mood mood, name mood, note text, PRIMARY KEY (mood, id))", .key = {"mood", "id"},
     .keys = "(ARRAY['sad', 'ok', 'glad'])[1 + x.g % 3]::mood, x.g", .source = "name",
     .value = "(ARRAY['sad', 'ok', 'glad'])[1 + x.n % 3]::mood", .type = "mood"},
};

/* $t table, $k key columns, $K their expressions, $s source, $v its value, $n the new column, $j the join of a MERGE,
 * $m the key of the MERGE's source; <g> and <n> numbers, <h> a number that no key has. A statement that writes $n is
 * new code's, and only where the sync goes both ways. */
#define X(g, n)      "(SELECT " g " AS g, " n " AS n) AS x"
#define WHERE_KEY(g) " WHERE ($k) = (SELECT $K FROM " X(g, "0") ")"
#define PUT          "INSERT INTO $t ($k, $s) SELECT $K, $v FROM "

static const struct writer {
    const char *name, *setup;
    const char *sql[5];
} writers[] = {
    {"upserts",
     NULL,
     {PUT X("<g>", "<n>") " ON CONFLICT ($k) DO UPDATE SET $s = excluded.$s",
      PUT X("<g>", "<n>") " ON CONFLICT DO NOTHING", "UPDATE $t SET note = 'u<n>'" WHERE_KEY("<g>"),
      "INSERT INTO $t ($k, $n) SELECT $K, $v FROM " X("<g>",
                                                      "<n>") " ON CONFLICT ($k) DO UPDATE SET $n = excluded.$n"}},
    {"key moves",
     NULL,
     {"UPDATE $t SET ($k) = (SELECT $K FROM " X("<h>", "0") ")" WHERE_KEY("<g>"),
      "UPDATE $t SET ($k) = (SELECT $K FROM " X("<g>", "0") ")" WHERE_KEY(
          "<h>") " AND NOT EXISTS (SELECT FROM $t" WHERE_KEY("<g>") ")",
      "UPDATE $t SET $s = (SELECT $v FROM " X("0", "<n>") ")" WHERE_KEY("<g>"),
      "UPDATE $t SET $n = (SELECT $v FROM " X("0", "<n>") ")" WHERE_KEY("<g>")}},
    {"deletes",
     NULL,
     {"DELETE FROM $t" WHERE_KEY("<g>"), PUT X("<g>", "<n>") " ON CONFLICT DO NOTHING",
      "BEGIN; DELETE FROM $t" WHERE_KEY("<g>") "; " PUT X("<g>", "<n>") "; COMMIT",
      "BEGIN; DELETE FROM $t" WHERE_KEY("<g>") "; ROLLBACK"}},
    {"many rows",
     NULL,
     {"UPDATE $t SET $s = (SELECT $v FROM " X("0", "<n>") ") WHERE ($k) IN (SELECT $K FROM (SELECT g, 0"
                                                          " AS n FROM generate_series(<g>, <g> + 30) AS g) AS x)",
      PUT "(SELECT g, g + <n> AS n FROM generate_series(<h>, <h> + 10) AS g) AS x ON CONFLICT DO"
          " NOTHING",
      "UPDATE $t SET note = 'm' WHERE ($k) IN (SELECT $K FROM (SELECT g, 0 AS n FROM"
      " generate_series(<g>, <g> + 30) AS g) AS x)",
      "UPDATE $t SET $n = $s, note = 'n' WHERE ($k) IN (SELECT $K FROM (SELECT g, 0 AS n FROM"
      " generate_series(<g>, <g> + 30) AS g) AS x)"}},
    {"COPY", NULL, {"COPY", "UPDATE $t SET $s = (SELECT $v FROM " X("0", "<n>") ")" WHERE_KEY("<g>")}},
    {"MERGE",
     NULL,
     {"MERGE INTO $t AS m USING (SELECT $K, $v FROM " X(
          "<g>", "<n>") ") AS s ($k, v_) ON $j WHEN MATCHED"
                        " THEN UPDATE SET $s = s.v_ WHEN NOT MATCHED THEN INSERT ($k, $s) VALUES ($m, s.v_)",
      "MERGE INTO $t AS m USING (SELECT $K, $v FROM " X(
          "<g>", "<n>") ") AS s ($k, v_) ON $j WHEN MATCHED"
                        " THEN DELETE WHEN NOT MATCHED THEN INSERT ($k, $s) VALUES ($m, s.v_)"}},
    {"application triggers",
     "CREATE FUNCTION app_touch() RETURNS trigger LANGUAGE plpgsql AS $f$BEGIN IF NEW.note = 'turn' THEN SELECT $v INTO"
     " NEW.$s FROM (SELECT 0 AS g, 77 AS n) AS x; END IF; RETURN NEW; END$f$;;CREATE TRIGGER zz_app BEFORE INSERT OR"
     " UPDATE OF note ON $t FOR EACH ROW EXECUTE FUNCTION app_touch()",
     {"UPDATE $t SET note = 'turn'" WHERE_KEY("<g>"),
      PUT X("<g>", "<n>") " ON CONFLICT ($k) DO UPDATE SET note = 'turn'",
      "INSERT INTO $t ($k, note) SELECT $K, 'turn' FROM " X("<h>", "0") " ON CONFLICT DO NOTHING",
      "UPDATE $t SET $s = (SELECT $v FROM " X("0", "<n>") ")" WHERE_KEY("<g>")}},
    {"row level security",
     "UPDATE $t SET note = 'secret' WHERE ($k) IN (SELECT $K FROM (SELECT g * 7 AS g, 0 AS n FROM generate_series(1, "
     "500)"
     " AS g) AS x);;ALTER TABLE $t ENABLE ROW LEVEL SECURITY;;CREATE POLICY open ON $t TO app_user USING (note IS "
     "DISTINCT"
     " FROM 'secret')",
     {"UPDATE $t SET $s = (SELECT $v FROM " X("0", "<n>") ")" WHERE_KEY("<g>"),
      PUT X("<h>", "<n>") " ON CONFLICT DO NOTHING", "DELETE FROM $t" WHERE_KEY("<g>"),
      "UPDATE $t SET $n = (SELECT $v FROM " X("0", "<n>") ")" WHERE_KEY("<g>")}},
};

enum { N_SHAPES = sizeof shapes / sizeof *shapes, N_WRITERS = sizeof writers / sizeof *writers };

/* ---- Statements ---- */

static void put_quoted(struct zdm_buffer *b, const char *name)
{
    zdm_buffer_puts(b, "\"");
    for (; *name != '\0'; name++) {
        zdm_buffer_printf(b, *name == '"' ? "\"\"" : "%c", *name);
    }
    zdm_buffer_puts(b, "\"");
}

static const char *target_of(const struct shape *s)
{
    return s->target == NULL ? "target" : s->target;
}

static const char *read_of(const struct shape *s)
{
    return s->read == NULL ? s->source : s->read;
}

static void put_keys(struct zdm_buffer *b, const struct shape *s, const char *before, const char *between)
{
    for (size_t i = 0; i < KEYS && s->key[i] != NULL; i++) {
        zdm_buffer_printf(b, "%s%s%s", i == 0 ? "" : between, before, s->key[i]);
    }
}

static void put_part(struct zdm_buffer *b, const struct shape *s, char part)
{
    switch (part) {
    case 't':
        zdm_buffer_puts(b, s->table);
        break;
    case 'k':
        put_keys(b, s, "", ", ");
        break;
    case 'K':
        zdm_buffer_puts(b, s->keys);
        break;
    case 's':
        zdm_buffer_puts(b, s->source);
        break;
    case 'v':
        zdm_buffer_puts(b, s->value);
        break;
    case 'n':
        put_quoted(b, target_of(s));
        break;
    case 'j':
        zdm_buffer_puts(b, "(");
        put_keys(b, s, "m.", ", ");
        zdm_buffer_puts(b, ") = (");
        put_keys(b, s, "s.", ", ");
        zdm_buffer_puts(b, ")");
        break;
    case 'm':
        put_keys(b, s, "s.", ", ");
        break;
    default:
        zdm_buffer_printf(b, "$%c", part);
    }
}

static void put_statement(struct zdm_buffer *b, const struct shape *s, const char *sql, unsigned g, unsigned h,
                          unsigned n)
{
    for (; *sql != '\0'; sql++) {
        if (*sql == '$' && sql[1] != '\0') {
            put_part(b, s, *++sql);
        } else if (strncmp(sql, "<g>", 3) == 0 || strncmp(sql, "<h>", 3) == 0 || strncmp(sql, "<n>", 3) == 0) {
            zdm_buffer_printf(b, "%u", sql[1] == 'g' ? g : sql[1] == 'h' ? h : n);
            sql += 2;
        } else {
            zdm_buffer_printf(b, "%c", *sql);
        }
    }
}

/* ---- The writer ---- */

struct work {
    char dsn[512];
    const struct shape *shape;
    const struct writer *writer;
    unsigned seed;
    atomic_bool stop, new_code;
    long writes;
    char error[1024];
};

static void note(struct work *w, PGresult *res, const char *sql)
{
    if (PQresultStatus(res) == PGRES_FATAL_ERROR && w->error[0] == '\0') {
        snprintf(w->error, sizeof w->error, "%.500s: %.400s", PQresultErrorMessage(res), sql);
    }
    PQclear(res);
}

/* New rows as the server writes them out. */
static void copy_rows(struct work *w, PGconn *conn, unsigned from)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT, in = ZDM_BUFFER_INIT;
    char range[128], *line = NULL;
    snprintf(range, sizeof range, "(SELECT g, g AS n FROM generate_series(%u, %u) AS g) AS x) TO STDOUT", from,
             from + 7);
    put_statement(&out, w->shape, "COPY (SELECT $K, $v FROM ", 0, 0, 0);
    zdm_buffer_puts(&out, range);
    put_statement(&in, w->shape, "COPY $t ($k, $s) FROM STDIN", 0, 0, 0);
    struct zdm_buffer rows = ZDM_BUFFER_INIT;
    note(w, PQexec(conn, zdm_buffer_text(&out)), zdm_buffer_text(&out));
    while (PQgetCopyData(conn, &line, 0) > 0) {
        zdm_buffer_puts(&rows, line);
        PQfreemem(line);
    }
    PQclear(PQgetResult(conn));
    PQclear(PQexec(conn, zdm_buffer_text(&in)));
    const char *text = zdm_buffer_text(&rows);
    PQputCopyData(conn, text, (int)strlen(text));
    PQputCopyEnd(conn, NULL);
    note(w, PQgetResult(conn), zdm_buffer_text(&in));
    PQclear(PQgetResult(conn));
    zdm_buffer_fini(&rows);
    zdm_buffer_fini(&out);
    zdm_buffer_fini(&in);
}

static void write_once(struct work *w, PGconn *conn)
{
    size_t n = 0, first_new = 0;
    bool both_ways = w->shape->expr == NULL && atomic_load(&w->new_code);
    while (n < 5 && w->writer->sql[n] != NULL) {
        n++;
        first_new += strstr(w->writer->sql[n - 1], "$n") == NULL;
    }
    const char *sql = w->writer->sql[(size_t)rand_r(&w->seed) % (both_ways ? n : first_new)];
    unsigned g = (unsigned)rand_r(&w->seed) % ROWS, h = 5000 + (unsigned)w->writes * 12;
    if (strcmp(sql, "COPY") == 0) {
        copy_rows(w, conn, h);
        return;
    }
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    put_statement(&b, w->shape, sql, g, h, (unsigned)rand_r(&w->seed) % 100000);
    note(w, PQexec(conn, zdm_buffer_text(&b)), zdm_buffer_text(&b));
    zdm_buffer_fini(&b);
}

static void *write_all_the_time(void *arg)
{
    struct work *w = arg;
    PGconn *conn = PQconnectdb(w->dsn);
    /* Keys of smallint end somewhere. */
    while (!atomic_load(&w->stop) || w->writes < WRITES_MIN) {
        if (w->writes < 2000) {
            write_once(w, conn);
            w->writes++;
        }
    }
    PQfinish(conn);
    return NULL;
}

/* ---- One run ---- */

/* Each statement up to ";;"; `plain`: a "$" in it is its own. */
static void exec_parts(struct rig *r, const struct shape *s, const char *parts, bool plain)
{
    while (parts != NULL && *parts != '\0') {
        struct zdm_buffer b = ZDM_BUFFER_INIT;
        const char *end = strstr(parts, ";;");
        size_t n = end == NULL ? strlen(parts) : (size_t)(end - parts);
        char *one = strndup(parts, n);
        if (plain) {
            zdm_buffer_puts(&b, one);
        } else {
            put_statement(&b, s, one, 0, 0, 0);
        }
        rig_exec(r->owner, zdm_buffer_text(&b));
        zdm_buffer_fini(&b);
        free(one);
        parts += end == NULL ? n : n + 2;
    }
}

static void make_table(struct rig *r, const struct shape *s, const struct writer *writer)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&b, "CREATE TABLE %s %s", s->table, s->create);
    exec_parts(r, s, zdm_buffer_text(&b), true);
    zdm_buffer_fini(&b);
    exec_parts(r, s, PUT "(SELECT g, g AS n FROM generate_series(0, 4095) AS g) AS x", false);
    exec_parts(r, s, writer->setup, false);
}

static char *unquoted(const char *sql)
{
    return *sql != '"' ? strdup(sql) : strdup("Sales 'n \"Orders\"");
}

static void plan(struct rig *r, const struct shape *s, size_t number)
{
    char *table = unquoted(s->table);
    struct zdm_buffer add = ZDM_BUFFER_INIT;
    rig_plan(r, table, 3);
    snprintf(r->plan->id, sizeof r->plan->id, "m%s-%zu", r->database, number);
    zdm_buffer_printf(&add, "ALTER TABLE public.%s ADD COLUMN ", s->table);
    put_quoted(&add, target_of(s));
    zdm_buffer_printf(&add, " %s", s->type);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, target_of(s), NULL, zdm_buffer_text(&add));
    for (uint32_t i = 2; i <= 3; i++) {
        enum zdm_action action = i == 2 ? ZDM_ACTION_SYNC_INSTALL : ZDM_ACTION_BACKFILL;
        if (s->expr == NULL) {
            rig_copy(r, i, action, target_of(s), read_of(s));
        } else {
            const char *sources[] = {read_of(s), s->key[0]};
            bool key = strstr(s->expr, "t.id") != NULL;
            rig_derive(r, i, action, target_of(s), s->expr, s->expr_new, sources, key ? 2 : 1);
        }
    }
    zdm_buffer_fini(&add);
    free(table);
    rig_accept(r, 1);
}

static void wait_at_least(const struct timespec *since)
{
    const char *text = getenv("ZDM_SHAPES_MS");
    long ms = text == NULL ? 0 : strtol(text, NULL, 10);
    struct timespec now;
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
        nanosleep(&(struct timespec){.tv_nsec = ms > 0 ? 1000000 : 0}, NULL);
    } while ((now.tv_sec - since->tv_sec) * 1000 + (now.tv_nsec - since->tv_nsec) / 1000000 < ms);
}

/* Anything that does not get its lock at once gets it later, as the agent's core has it. */
static void until_done(struct rig *r, enum agent_run run, uint32_t step)
{
    for (int i = 0; i < 500; i++) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, run, step, BATCH);
        enum agent_outcome outcome = result->outcome;
        if (outcome != AGENT_OK && outcome != AGENT_LOCK && outcome != AGENT_RETRY) {
            fail_msg("%s: %s: %s (%s)", agent_run_name(run), agent_outcome_name(outcome), result->error.message,
                     result->error.detail);
        }
        agent_result_free(result);
        if (outcome == AGENT_OK) {
            return;
        }
    }
    fail_msg("%s never got its lock", agent_run_name(run));
}

static void migrate(struct rig *r, struct work *w)
{
    struct timespec since;
    clock_gettime(CLOCK_MONOTONIC, &since);
    until_done(r, AGENT_RUN_DDL, 1);
    until_done(r, AGENT_RUN_INSTALL_SYNC, 2);
    atomic_store(&w->new_code, true);
    until_done(r, AGENT_RUN_BOUND, 3);
    while (!r->walked) {
        until_done(r, AGENT_RUN_BATCH, 3);
    }
    wait_at_least(&since);
}

/* What one UPDATE at the end would change, byte for byte. */
static long left_apart(struct rig *r, const struct shape *s)
{
    struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "SELECT count(*) FROM ");
    zdm_buffer_printf(&sql, "public.%s AS t WHERE record_image_ne(ROW(t.", s->table);
    put_quoted(&sql, target_of(s));
    zdm_buffer_puts(&sql, "), ROW(");
    if (s->expr == NULL) {
        zdm_buffer_printf(&sql, "t.%s::%s", s->source, s->type);
    } else {
        zdm_buffer_puts(&sql, s->expr);
    }
    zdm_buffer_puts(&sql, "))");
    PGresult *res = PQexec(r->super, zdm_buffer_text(&sql));
    long n = PQresultStatus(res) == PGRES_TUPLES_OK ? strtol(PQgetvalue(res, 0, 0), NULL, 10) : -1;
    PQclear(res);
    zdm_buffer_fini(&sql);
    return n;
}

/* The writer of the run at hand; a test that fails leaves it to its teardown. */
static struct work at_work;
static pthread_t thread;
static bool running;

static void start_writer(struct rig *r, const struct shape *s, size_t number)
{
    memset(&at_work, 0, sizeof at_work);
    at_work.shape = s;
    at_work.writer = &writers[number];
    at_work.seed = (unsigned)number + 3;
    snprintf(at_work.dsn, sizeof at_work.dsn, "%s", test_pg_dsn(r->pg, "app_user", r->database));
    running = pthread_create(&thread, NULL, write_all_the_time, &at_work) == 0;
    assert_true(running);
}

static void stop_writer(void)
{
    atomic_store(&at_work.stop, true);
    if (running) {
        pthread_join(thread, NULL);
    }
    running = false;
}

static int teardown(void **state)
{
    stop_writer();
    return rig_teardown(state);
}

static void run_one(struct rig *r, const struct shape *s, size_t number)
{
    make_table(r, s, &writers[number]);
    plan(r, s, number);
    start_writer(r, s, number);
    migrate(r, &at_work);
    stop_writer();
    if (at_work.error[0] != '\0' || at_work.writes < WRITES_MIN) {
        fail_msg("%s under %s: %ld writes, %s", s->name, at_work.writer->name, at_work.writes, at_work.error);
    }
    long apart = left_apart(r, s);
    if (apart != 0) {
        fail_msg("%s under %s: %ld rows differ", s->name, at_work.writer->name, apart);
    }
    rig_sql(r, "DROP TABLE %s CASCADE", s->table);
    rig_sql(r, "DROP FUNCTION IF EXISTS app_touch");
}

static void every_writer_finds_the_table_as_one_update_would_leave_it(void **state)
{
    struct rig *r = *state;
    static size_t next;
    const struct shape *s = &shapes[next++];
    const char *only = getenv("ZDM_SHAPES_ONLY");
    if (only != NULL && strcmp(only, s->name) != 0) {
        skip();
    }
    rig_exec(r->super, "CREATE EXTENSION IF NOT EXISTS citext");
    rig_sql(r, "CREATE DOMAIN whole AS int CHECK (VALUE >= 0); CREATE DOMAIN short AS varchar(40);"
               "CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad')");
    r->lock_wait_ms = 300;
    for (size_t i = 0; i < N_WRITERS; i++) {
        run_one(r, s, i);
    }
}

int main(void)
{
    struct CMUnitTest tests[N_SHAPES];
    for (size_t i = 0; i < N_SHAPES; i++) {
        tests[i] = (struct CMUnitTest){.name = shapes[i].name,
                                       .test_func = every_writer_finds_the_table_as_one_update_would_leave_it,
                                       .setup_func = rig_setup,
                                       .teardown_func = teardown};
    }
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
