/*
 * test_shapes.c - every shape of table under every kind of writer (tests/support/shapes.h): a column is added, kept in
 * step and filled while the application writes; at the end one UPDATE of the whole table would change nothing, and no
 * statement of the application has failed.
 */
#include "tests/integration/postgresql/rig.h"
#include "tests/support/shapes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
     .read = "The 'Name'", .plain = "Sales 'n \"Orders\""},
    {"generated columns", "t",
     "(id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text, low text GENERATED ALWAYS"
     " AS (lower(name)) STORED, note text)",
     BY_ID, NAMED},
    {"virtual columns", "t",
     "(id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text, low text GENERATED ALWAYS"
     " AS (lower(name)) VIRTUAL, note text)",
     BY_ID, NAMED, .since = 18},
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

#define X(g, n)      "(SELECT " g " AS g, " n " AS n) AS x"
#define WHERE_KEY(g) " WHERE ($k) = (SELECT $K FROM " X(g, "0") ")"
#define PUT          "INSERT INTO $t ($k, $s) SELECT $K, $v FROM "

static const struct shape_writer writers[] = {
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

/* ---- The writer ---- */

struct work {
    char dsn[512];
    const struct rig *rig;
    const struct shape *shape;
    const struct shape_writer *writer;
    unsigned seed;
    bool new_code;
    atomic_bool stop;
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
    shape_put_statement(&out, w->rig, w->shape, "COPY (SELECT $K, $v FROM ", 0, 0, 0);
    zdm_buffer_puts(&out, range);
    shape_put_statement(&in, w->rig, w->shape, "COPY $t ($k, $s) FROM STDIN", 0, 0, 0);
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
    bool new_code = __atomic_load_n(&w->new_code, __ATOMIC_ACQUIRE);
    const char *sql = shape_statement(w->shape, w->writer, new_code, &w->seed);
    unsigned g = (unsigned)rand_r(&w->seed) % SHAPES_ROWS, h = 5000 + (unsigned)w->writes * 12;
    if (strcmp(sql, "COPY") == 0) {
        copy_rows(w, conn, h);
        return;
    }
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    shape_put_statement(&b, w->rig, w->shape, sql, g, h, (unsigned)rand_r(&w->seed) % 100000);
    note(w, PQexec(conn, zdm_buffer_text(&b)), zdm_buffer_text(&b));
    zdm_buffer_fini(&b);
}

static void *write_all_the_time(void *arg)
{
    struct work *w = arg;
    PGconn *conn = PQconnectdb(w->dsn);
    /* Keys of smallint end somewhere. */
    while (!atomic_load(&w->stop) || w->writes < SHAPES_WRITES_MIN) {
        if (w->writes < 2000) {
            write_once(w, conn);
            w->writes++;
        }
    }
    PQfinish(conn);
    return NULL;
}

/* ---- One run ---- */

static void exec(struct rig *r, const char *sql)
{
    rig_exec(r->owner, sql);
}

static void make_table(struct rig *r, const struct shape *s, const struct shape_writer *writer)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&b, "CREATE TABLE %s %s", s->table, s->create);
    shape_exec_parts(r, s, zdm_buffer_text(&b), true, exec);
    zdm_buffer_fini(&b);
    shape_exec_parts(r, s, PUT "(SELECT g, g AS n FROM generate_series(0, 4095) AS g) AS x", false, exec);
    shape_exec_parts(r, s, writer->setup, false, exec);
}

/* What one UPDATE at the end would change, byte for byte. */
static long left_apart(struct rig *r, const struct shape *s)
{
    struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "SELECT count(*) FROM ");
    zdm_buffer_printf(&sql, "public.%s AS t WHERE record_image_ne(ROW(t.", s->table);
    shape_put_name(&sql, r, shape_target(s));
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
    at_work.rig = r;
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
    shape_plan(r, s, number);
    start_writer(r, s, number);
    shape_migrate(r, &at_work.new_code);
    stop_writer();
    if (at_work.error[0] != '\0' || at_work.writes < SHAPES_WRITES_MIN) {
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
    if ((only != NULL && strcmp(only, s->name) != 0) || !rig_since(r, s->since, s->name)) {
        skip();
    }
    rig_exec(r->super, "CREATE EXTENSION IF NOT EXISTS citext");
    rig_sql(r, "CREATE DOMAIN whole AS int CHECK (VALUE >= 0); CREATE DOMAIN short AS varchar(40);"
               "CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad')");
    r->lock_wait_ms = 300;
    for (size_t i = 0; i < N_WRITERS; i++) {
        if (rig_since(r, strcmp(writers[i].name, "MERGE") == 0 ? 15 : 0, writers[i].name)) {
            run_one(r, s, i);
        }
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
