/*
 * test_shapes.c - every shape of table under every kind of writer (tests/support/shapes.h): a column is added, kept in
 * step and filled while the application writes; at the end one UPDATE of the whole table would change nothing, and no
 * statement of the application has failed.
 */
#include "tests/integration/mysql/walk_rig.h"
#include "tests/support/shapes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BY_ID .key = {"id"}, .keys = "x.g", .set = "id = x.g"
#define NAMED .source = "name", .value = "CONCAT('Name ', x.n)", .type = "varchar(60)"
#define A_64  "`a234567890123456789012345678901234567890123456789012345678901234`"
#define B_64  "`b234567890123456789012345678901234567890123456789012345678901234`"
#define C_64  "`c234567890123456789012345678901234567890123456789012345678901234`"

static const struct shape shapes[] = {
    {"bigint", "t", "(id bigint PRIMARY KEY, name varchar(60), note text)", BY_ID, NAMED},
    {"unsigned", "t", "(id bigint unsigned PRIMARY KEY, name varchar(60), note text)", .key = {"id"},
     .keys = "18446744073709551615 - x.g", .set = "id = 18446744073709551615 - x.g", NAMED},
    {"composite", "t", "(a int, b smallint, name varchar(60), note text, PRIMARY KEY (b, a))", .key = {"a", "b"},
     .keys = "x.g DIV 64, x.g % 64", .set = "a = x.g DIV 64, b = x.g % 64", NAMED},
    {"three columns", "t", "(a int, b varchar(20), c date, name varchar(60), note text, PRIMARY KEY (a, b, c))",
     .key = {"a", "b", "c"}, .keys = "x.g DIV 100, CONCAT('k', x.g % 10), '2020-01-01' + INTERVAL x.g % 100 DAY",
     .set = "a = x.g DIV 100, b = CONCAT('k', x.g % 10), c = '2020-01-01' + INTERVAL x.g % 100 DAY", NAMED},
    {"text without case", "t",
     "(id varchar(40) COLLATE utf8mb4_general_ci PRIMARY KEY, name varchar(60) COLLATE utf8mb4_general_ci, note text)",
     .key = {"id"}, .keys = "CONCAT(ELT(1 + x.g % 3, 'é', 'E-', 'e '), x.g)",
     .set = "id = CONCAT(ELT(1 + x.g % 3, 'É', 'e-', 'E '), x.g)", .source = "name",
     .value = "CONCAT(IF(x.n % 2, 'NAME ', 'name '), x.n % 3)", .type = "varchar(60) COLLATE utf8mb4_general_ci"},
    {"text by bytes", "t", "(id varchar(40) COLLATE utf8mb4_bin PRIMARY KEY, name varchar(60), note text)",
     .key = {"id"}, .keys = "CONCAT(ELT(1 + x.g % 4, '😀', 'E', 'e', ' '), x.g, REPEAT(' ', x.g % 2))",
     .set = "id = CONCAT(ELT(1 + x.g % 4, '😀', 'E', 'e', ' '), x.g, REPEAT(' ', x.g % 2))", NAMED,
     .expr = "lower(t.`name`)", .expr_new = "lower(NEW.`name`)"},
    {"latin1", "t", "(id varchar(40) PRIMARY KEY, name varchar(60), note text) DEFAULT CHARSET latin1", .key = {"id"},
     .keys = "CONVERT(CONCAT(ELT(1 + x.g % 3, 'ü', 'Z', 'ß'), x.g) USING latin1)",
     .set = "id = CONCAT(ELT(1 + x.g % 3, 'ü', 'Z', 'ß'), x.g)", .source = "name", .value = "CONCAT('Nämé ', x.n)",
     .type = "varchar(60)"},
    {"uuid in bytes", "t", "(id binary(16) PRIMARY KEY, name varchar(30) NOT NULL DEFAULT '', note text)",
     .key = {"id"}, .keys = "UNHEX(LEFT(SHA2(x.g, 256), 32))", .set = "id = UNHEX(LEFT(SHA2(x.g, 256), 32))",
     .source = "name", .value = "CONCAT('Name ', x.n)", .type = "varchar(30)"},
    {"datetime", "t", "(id datetime(6) PRIMARY KEY, name datetime(3), note text)", .key = {"id"},
     .keys = "'2024-01-01' + INTERVAL x.g * 1020000001 MICROSECOND",
     .set = "id = '2024-01-01' + INTERVAL x.g * 1020000001 MICROSECOND", .source = "name",
     .value = "'1970-01-02' + INTERVAL x.n * 1001000 MICROSECOND", .type = "datetime(3)"},
    {"decimal", "t", "(id decimal(24,3) PRIMARY KEY, name decimal(20,4), note text)", .key = {"id"},
     .keys = "x.g * 1000000000000.001", .set = "id = x.g * 1000000000000.001", .source = "name", .value = "x.n / 7",
     .type = "decimal(20,4)"},
    {"enum", "t",
     "(id int, mood enum('sad', 'ok', 'glad'), name enum('sad', 'ok', 'glad'), note text, PRIMARY KEY (mood, id))",
     .key = {"mood", "id"}, .keys = "ELT(1 + x.g % 3, 'sad', 'ok', 'glad'), x.g",
     .set = "mood = ELT(1 + x.g % 3, 'sad', 'ok', 'glad'), id = x.g", .source = "name",
     .value = "ELT(1 + x.n % 3, 'sad', 'ok', 'glad')", .type = "enum('sad', 'ok', 'glad')"},
    {"unique key only", "t", "(id int NOT NULL, name varchar(60), note text, UNIQUE KEY t_id (id))", BY_ID, NAMED},
    {"partitions by hash", "t", "(id int PRIMARY KEY, name varchar(60), note text) PARTITION BY HASH (id) PARTITIONS 3",
     BY_ID, NAMED, .expr = "upper(t.`name`)", .expr_new = "upper(NEW.`name`)"},
    {"partitions by range", "t",
     "(id int PRIMARY KEY, name varchar(60), note text) PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (1500),"
     " PARTITION b VALUES LESS THAN (3000), PARTITION c VALUES LESS THAN MAXVALUE)",
     BY_ID, NAMED},
    {"partitions by list", "t",
     "(region int, id int, name varchar(60), note text, PRIMARY KEY (region, id)) PARTITION BY LIST (region)"
     " (PARTITION a VALUES IN (0, 2), PARTITION b VALUES IN (1, 3))",
     .key = {"region", "id"}, .keys = "x.g % 4, x.g", .set = "region = x.g % 4, id = x.g", NAMED},
    {"keys with gaps", "t", "(id bigint PRIMARY KEY, name varchar(60), note text)", .key = {"id"},
     .keys = "(x.g * 1000003 * 7919) % 2147483647", .set = "id = (x.g * 1000003 * 7919) % 2147483647", NAMED},
    {"binary", "t", "(id varbinary(40) PRIMARY KEY, name varbinary(40), note text)", .key = {"id"},
     .keys = "CONCAT(UNHEX('00FF27'), CAST(x.g AS BINARY))", .set = "id = CONCAT(UNHEX('00FF27'), CAST(x.g AS BINARY))",
     .source = "name", .value = "UNHEX(LEFT(SHA2(x.n, 256), 40))", .type = "varbinary(40)"},
    {"quoted names", "`Sales 'n ``Orders```", "(`Id ``1``` int PRIMARY KEY, `The 'Name'` varchar(60), note text)",
     .key = {"`Id ``1```"}, .keys = "x.g", .set = "`Id ``1``` = x.g", .source = "`The 'Name'`",
     .value = "CONCAT('N''', x.n)", .type = "varchar(60)", .target = "New `Name` $1", .read = "The 'Name'",
     .plain = "Sales 'n `Orders`"},
    {"generated columns", "t",
     "(id int AUTO_INCREMENT PRIMARY KEY, name varchar(60), low varchar(60) GENERATED ALWAYS AS (lower(name)) STORED,"
     " note text)",
     .key = {"id"}, .keys = "x.g + 1", .set = "id = x.g + 1", NAMED},
    {"names of 64 letters", A_64, "(" B_64 " int PRIMARY KEY, " C_64 " varchar(60), note text)", .key = {B_64},
     .keys = "x.g", .set = B_64 " = x.g", .source = C_64, .value = "CONCAT('Name ', x.n)", .type = "varchar(60)",
     .target = "d234567890123456789012345678901234567890123456789012345678901234",
     .read = "c234567890123456789012345678901234567890123456789012345678901234",
     .plain = "a234567890123456789012345678901234567890123456789012345678901234"},
    {"updated by the server", "t",
     "(id int PRIMARY KEY, name varchar(60), note text, at timestamp(6) NULL ON UPDATE CURRENT_TIMESTAMP(6))", BY_ID,
     NAMED},
    {"uuid of MariaDB", "t", "(id uuid PRIMARY KEY, name uuid, note text)", .key = {"id"}, .keys = RIG_UUID("x.g"),
     .set = "id = " RIG_UUID("x.g"), .source = "name", .value = RIG_UUID("x.n"), .type = "uuid", .mariadb = true},
    {"inet6 of MariaDB", "t", "(id inet6 PRIMARY KEY, name inet6 NOT NULL DEFAULT '::', note text)", .key = {"id"},
     .keys = "CAST(CONCAT('2001:db8::', HEX(x.g)) AS INET6)",
     .set = "id = CAST(CONCAT('2001:db8::', HEX(x.g)) AS INET6)", .source = "name",
     .value = "CAST(CONCAT('::', HEX(x.n % 65535)) AS INET6)", .type = "inet6", .mariadb = true},
};

#define X(g, n)      "(SELECT " g " AS g, " n " AS n) AS x"
#define MANY(g, n)   "(SELECT n.g + " g " AS g, n.g + " n " AS n FROM n WHERE n.g < 20) AS x"
#define WHERE_KEY(g) " WHERE ($k) = (SELECT $K FROM " X(g, "0") ")"
#define WHERE_KEYS   " WHERE ($k) IN (SELECT $K FROM " MANY("<g>", "0") ")"
#define PUT          "INTO $t ($k, $s) SELECT $K, $v FROM "

static const struct shape_writer writers[] = {
    {"upserts",
     NULL,
     {"INSERT " PUT X("<g>", "<n>") " ON DUPLICATE KEY UPDATE $s = VALUES($s)", "INSERT IGNORE " PUT X("<g>", "<n>"),
      "UPDATE $t SET note = 'u<n>'" WHERE_KEY("<g>"),
      "INSERT INTO $t ($k, $n) SELECT $K, $v FROM " X("<g>", "<n>") " ON DUPLICATE KEY UPDATE $n = VALUES($n)"}},
    {"key moves",
     NULL,
     {"UPDATE IGNORE $t JOIN " X("<h>", "0") " SET $e" WHERE_KEY("<g>"),
      "UPDATE IGNORE $t JOIN " X("<g>", "0") " SET $e" WHERE_KEY("<h>"),
      "UPDATE $t JOIN " X("0", "<n>") " SET $s = $v" WHERE_KEY("<g>"),
      "UPDATE $t JOIN " X("0", "<n>") " SET $n = $v" WHERE_KEY("<g>")}},
    {"deletes",
     NULL,
     {"DELETE FROM $t" WHERE_KEY("<g>"), "INSERT IGNORE " PUT X("<g>", "<n>"),
      "START TRANSACTION; DELETE FROM $t" WHERE_KEY("<g>") "; INSERT " PUT X("<g>", "<n>") "; COMMIT",
      "START TRANSACTION; DELETE FROM $t" WHERE_KEY("<g>") "; ROLLBACK"}},
    {"many rows",
     NULL,
     {"UPDATE $t JOIN " X("0", "<n>") " SET $s = $v" WHERE_KEYS, "INSERT IGNORE " PUT MANY("<h>", "<n>"),
      "UPDATE $t SET note = 'm'" WHERE_KEYS, "UPDATE $t SET $n = $s, note = 'n'" WHERE_KEYS}},
    {"REPLACE",
     NULL,
     {"REPLACE " PUT X("<g>", "<n>"), "REPLACE " PUT MANY("<g>", "<n>"), "UPDATE $t SET note = 'u<n>'" WHERE_KEY("<g>"),
      "REPLACE INTO $t ($k, $n) SELECT $K, $v FROM " X("<g>", "<n>")}},
    {"many upserts",
     NULL,
     {"INSERT " PUT MANY("<g>", "<n>") " ON DUPLICATE KEY UPDATE $s = VALUES($s)",
      "INSERT " PUT MANY("<h>", "<n>") " ON DUPLICATE KEY UPDATE note = 'twice'"}},
    {"application triggers",
     "CREATE TRIGGER app_update BEFORE UPDATE ON $t FOR EACH ROW IF NEW.note = 'turn' THEN SET NEW.$s = (SELECT $v "
     "FROM " X(
         "0",
         "77") "); END IF;;CREATE TRIGGER app_insert BEFORE INSERT ON $t FOR EACH ROW IF NEW.note = 'turn' THEN SET"
               " NEW.$s = (SELECT $v FROM " X("0", "77") "); END IF",
     {"UPDATE $t SET note = 'turn'" WHERE_KEY("<g>"),
      "INSERT " PUT X("<g>", "<n>") " ON DUPLICATE KEY UPDATE note = 'turn'",
      "INSERT IGNORE INTO $t ($k, note, $s) SELECT $K, 'turn', $v FROM " X("<h>", "1"),
      "UPDATE $t JOIN " X("0", "<n>") " SET $s = $v" WHERE_KEY("<g>")}},
};

enum { N_SHAPES = sizeof shapes / sizeof *shapes, N_WRITERS = sizeof writers / sizeof *writers };

/* ---- The writer ---- */

struct work {
    const struct shape *shape;
    const struct shape_writer *writer;
    bool new_code;
};

static void write_once(struct rig_writer *w, MYSQL *conn)
{
    const struct work *work = w->ctx;
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    bool new_code = __atomic_load_n(&work->new_code, __ATOMIC_ACQUIRE);
    const char *sql = shape_statement(work->shape, work->writer, new_code, &w->seed);
    unsigned g = (unsigned)rand_r(&w->seed) % SHAPES_ROWS, h = 5000 + (unsigned)w->writes * 12;
    shape_put_statement(&b, w->rig, work->shape, sql, g, h, (unsigned)rand_r(&w->seed) % 100000);
    rig_write(w, conn, zdm_buffer_text(&b));
    zdm_buffer_fini(&b);
}

/* ---- One run ---- */

static void exec(struct rig *r, const char *sql)
{
    MYSQL *conn = rig_connect(r, "root");
    rig_exec(conn, sql);
    mysql_close(conn);
}

static void make_table(struct rig *r, const struct shape *s, const struct shape_writer *writer)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&b, "CREATE TABLE %s %s", s->table, s->create);
    exec(r, zdm_buffer_text(&b));
    zdm_buffer_fini(&b);
    shape_exec_parts(r, s, "INSERT " PUT "(SELECT g, g AS n FROM n WHERE g < 4096) AS x", false, exec);
    shape_exec_parts(r, s, writer->setup, false, exec);
}

/* What one UPDATE at the end would change, byte for byte. */
static long left_apart(struct rig *r, const struct shape *s)
{
    struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "SELECT COUNT(*) FROM ");
    zdm_buffer_printf(&sql, "%s AS t WHERE NOT (CAST(t.", s->table);
    shape_put_name(&sql, r, shape_target(s));
    zdm_buffer_puts(&sql, " AS BINARY) <=> CAST(");
    zdm_buffer_printf(&sql, "%s%s AS BINARY))", s->expr == NULL ? "t." : "", s->expr == NULL ? s->source : s->expr);
    long n = rig_number(r, "%s", zdm_buffer_text(&sql));
    zdm_buffer_fini(&sql);
    return n;
}

/* The writer of the run at hand; a test that fails leaves it to its teardown. */
static struct work work;
static struct rig_writer writer;
static bool running;

static int teardown(void **state)
{
    if (running) {
        running = false;
        writer.error[0] = '\0';
        rig_writer_stop(&writer, 0);
    }
    return rig_teardown(state);
}

static void run_one(struct rig *r, const struct shape *s, size_t number)
{
    make_table(r, s, &writers[number]);
    shape_plan(r, s, number);
    work = (struct work){.shape = s, .writer = &writers[number]};
    writer = (struct rig_writer){.rig = r, .write = write_once, .ctx = &work, .seed = (unsigned)number + 3};
    running = true;
    rig_writer_start(&writer);
    shape_migrate(r, &work.new_code);
    running = false;
    rig_writer_stop(&writer, SHAPES_WRITES_MIN);
    long apart = left_apart(r, s);
    if (apart != 0) {
        fail_msg("%s under %s: %ld rows differ", s->name, writers[number].name, apart);
    }
    rig_sql(r, "DROP TABLE %s", s->table);
}

static size_t next_shape;

static void every_writer_finds_the_table_as_one_update_would_leave_it(void **state)
{
    struct rig *r = *state;
    const struct shape *s = &shapes[next_shape++ % N_SHAPES];
    const char *only = getenv("ZDM_SHAPES_ONLY");
    if ((only != NULL && strcmp(only, s->name) != 0) || (s->mariadb && !rig_is_mariadb(r))) {
        skip();
    }
    if (!rig_is_mariadb(r) && getenv("ZDM_SHAPES_MYSQL") == NULL && only == NULL && (next_shape - 1) % 4 != 0) {
        print_message("one shape in four over MySQL; ZDM_SHAPES_MYSQL=1 for all, ten minutes long\n");
        skip();
    }
    rig_numbers(r);
    r->lock_wait_ms = 300;
    for (size_t i = 0; i < N_WRITERS; i++) {
        run_one(r, s, i);
    }
}

int main(void)
{
    struct CMUnitTest tests[N_SHAPES];
    int failed = 0;
    for (size_t i = 0; i < N_SHAPES; i++) {
        tests[i] = (struct CMUnitTest){.name = shapes[i].name,
                                       .test_func = every_writer_finds_the_table_as_one_update_would_leave_it,
                                       .setup_func = rig_setup,
                                       .teardown_func = teardown};
    }
    for (unsigned turn = 0; rig_turn(turn, NULL); turn++) {
        failed += cmocka_run_group_tests_name(rig_turn_name(), tests, rig_group_setup, rig_group_teardown);
    }
    return failed;
}
