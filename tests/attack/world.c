/*
 * world.c - see world.h: processes, files and the database. What is signed is in sign.c, sessions are in person.c.
 */
#include "tests/attack/world.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/os/clock.h"
#include "common/os/crypto.h"
#include "common/os/file.h"
#include "tests/attack/private.h"
#include "tests/support/postgres.h"

enum { ARGS_MAX = 24, START_MS = 15000 };

_Noreturn void world_fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("attack: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

/* ---- Numbers and time ---- */

uint64_t world_random(struct world *w)
{
    w->seed += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = w->seed;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint32_t world_below(struct world *w, uint32_t n)
{
    return (uint32_t)(world_random(w) % n);
}

void world_bytes(struct world *w, void *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)out)[i] = (uint8_t)world_random(w);
}

struct zdm_id world_nonce(struct world *w)
{
    struct zdm_id id;
    world_bytes(w, id.bytes, sizeof id.bytes);
    return id;
}

int64_t world_now(void)
{
    return zdm_wall_ms(zdm_clock_system());
}

void world_pause(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* ---- Processes ---- */

static pid_t spawn(const struct world *w, const char *const argv[], const char *log)
{
    char program[512], path[512];
    const char *args[ARGS_MAX + 1] = {program};
    snprintf(program, sizeof program, "%s/%s", w->bin, argv[0]);
    snprintf(path, sizeof path, "%s/%s", w->dir, log);
    for (size_t i = 1; i < ARGS_MAX && argv[i] != NULL; i++)
        args[i] = argv[i];
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        world_fail("fork failed");
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int out = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (getppid() != parent || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(127);
    execv(program, (char *const *)(const void *)args);
    _exit(127);
}

bool world_run(const struct world *w, const char *const argv[])
{
    int status = 0;
    pid_t pid = spawn(w, argv, "programs.log");
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void world_kill(pid_t *pid)
{
    if (*pid == 0)
        return;
    kill(*pid, SIGKILL);
    while (waitpid(*pid, NULL, 0) != *pid) {
    }
    *pid = 0;
}

static const char *path_of(const struct world *w, const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", w->dir, name);
    return path;
}

void world_start_coordinator(struct world *w)
{
    char listen[64];
    const int64_t until = world_now() + START_MS;
    snprintf(listen, sizeof listen, "tcp://127.0.0.1:%d", w->port);
    const char *const argv[] = {"zdm-coordinator",
                                "run",
                                "--data",
                                path_of(w, "coordinator"),
                                "--listen",
                                listen,
                                "--key",
                                path_of(w, "coordinator.key"),
                                "--trust",
                                path_of(w, "trust"),
                                "--log-level",
                                "error",
                                NULL};
    w->coordinator_pid = spawn(w, argv, "coordinator.log");
    wire_close(&w->watcher);
    while (!world_dial(w, &w->watcher, &w->vera)) {
        if (world_now() > until || waitpid(w->coordinator_pid, NULL, WNOHANG) != 0)
            world_fail("the coordinator did not start; see %s/coordinator.log (ZDM_TEST_KEEP=1 keeps it)", w->dir);
        world_pause(20);
    }
}

void world_start_agent(struct world *w)
{
    const char *const argv[] = {
        "zdm-agent", "run", "--data", path_of(w, "agent"), "--dsn", test_pg_dsn(w->pg, "zdm_agent", "shop"),
        "--duty",    "100", NULL};
    w->agent_pid = spawn(w, argv, "agent.log");
}

void world_redirect_agent(struct world *w, int port)
{
    char url[64];
    struct zdm_error err;
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d\n", port);
    if (zdm_file_write(path_of(w, "agent/urls"), url, strlen(url), 0600, &err) != ZDM_OK)
        world_fail("%s", err.message);
}

/* ---- The database ---- */

/* One session for all questions; the server is restarted now and then. */
static PGconn *asker;

static PGresult *ask_database(struct world *w, const char *sql)
{
    PGresult *res = NULL;
    for (int attempt = 0; attempt < 2; attempt++) {
        if (asker == NULL)
            asker = PQconnectdb(test_pg_dsn(w->pg, "postgres", "shop"));
        res = PQexec(asker, sql);
        ExecStatusType status = PQresultStatus(res);
        if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
            return res;
        if (PQstatus(asker) == CONNECTION_OK || attempt > 0)
            world_fail("%s: %s", sql, PQerrorMessage(asker));
        PQclear(res);
        PQfinish(asker);
        asker = NULL;
    }
    return res;
}

char *world_sql(struct world *w, const char *sql)
{
    PGresult *res = ask_database(w, sql);
    char *text = zdm_strdup(PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "");
    PQclear(res);
    return text;
}

static const char fingerprint_sql[] =
    "SELECT concat_ws(E'\\n',"
    "(SELECT string_agg(c.relname || '.' || attname || ' ' || atttypid::regtype || ' ' || attnotnull, ','"
    "  ORDER BY c.relname, attname) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid"
    "  WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped),"
    "(SELECT string_agg(conname || ' ' || convalidated || ' ' || pg_get_constraintdef(oid), ',' ORDER BY conname)"
    "  FROM pg_constraint WHERE connamespace = 'public'::regnamespace),"
    "(SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ',' ORDER BY indexrelid::regclass::text) FROM "
    "pg_index i"
    "  JOIN pg_class c ON c.oid = indrelid WHERE relnamespace = 'public'::regnamespace),"
    "(SELECT string_agg(tgname || ' ' || tgenabled::text, ',' ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal),"
    "(SELECT string_agg(md5(u::text), ',' ORDER BY u.id) FROM public.users u),"
    "(SELECT string_agg(md5(o::text), ',' ORDER BY o.id) FROM public.orders o),"
    "(SELECT string_agg(proname || md5(prosrc), ',' ORDER BY proname) FROM pg_proc p"
    "  WHERE pronamespace IN ('public'::regnamespace, 'zdm'::regnamespace)),"
    "(SELECT string_agg(migration || ' ' || step || ' ' || entered_phase || ' ' || coalesce(undo_nonce::text, '-'),"
    "  ',' ORDER BY migration) FROM zdm.migration WHERE migration IN ('attack', 'silver')),"
    "(SELECT string_agg(migration, ',' ORDER BY migration) FROM zdm.migration),"
    "(SELECT string_agg(encode(plan_hash, 'hex'), ',' ORDER BY plan_hash) FROM zdm.plan),"
    "(SELECT count(*)::text FROM zdm.spent),"
    "(SELECT string_agg(hidden_name || ' ' || state, ',' ORDER BY hidden_name, kind, name) FROM zdm.hidden),"
    "(SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class"
    "  WHERE relnamespace IN ('public'::regnamespace, 'zdm'::regnamespace)))";

char *world_fingerprint(struct world *w)
{
    return world_sql(w, fingerprint_sql);
}

static void copy_files(struct world *w, const char *from, const char *to)
{
    char command[1024];
    const char *at = test_pg_directory(w->pg);
    test_pg_stop(w->pg);
    snprintf(command, sizeof command, "rm -rf '%s/%s' && cp -a '%s/%s' '%s/%s'", at, to, at, from, at, to);
    if (system(command) != 0)
        world_fail("the server's files could not be copied");
    test_pg_resume(w->pg);
}

void world_keep_database(struct world *w)
{
    copy_files(w, "data", "kept");
}

void world_restore_database(struct world *w)
{
    copy_files(w, "kept", "data");
}

void world_server_log(const struct world *w, char out[256])
{
    snprintf(out, 256, "%s/log", test_pg_directory(w->pg));
}

static void make_database(struct world *w)
{
    static const struct test_pg_options options = {
        .config = "log_statement = all\nlog_destination = csvlog\nlogging_collector = on\n"
                  "log_directory = '../statements'\nlog_rotation_size = 0\nlog_rotation_age = 0\nlog_file_mode = "
                  "0644\nlog_min_messages = log\n"
                  "log_filename = 'statements.log'\nlog_parameter_max_length = 0\nlog_checkpoints = off\n"};
    static const char *const sqls[] = {
        "CREATE ROLE shop LOGIN",
        "CREATE DATABASE shop OWNER shop",
        NULL,
    };
    w->pg = test_pg_start(&options);
    for (size_t i = 0; sqls[i] != NULL; i++)
        test_pg_program("psql", (const char *const[]){"-X", "-q", "-d", test_pg_dsn(w->pg, "postgres", "postgres"),
                                                      "-c", sqls[i], NULL});
    test_pg_grant(w->pg, "shop", "zdm_agent", "shop");
    free(world_sql(w,
                   "SET ROLE shop;"
                   "CREATE TABLE public.users (id bigint PRIMARY KEY, name text NOT NULL, email text);"
                   "CREATE TABLE public.orders (id bigint PRIMARY KEY, total bigint);"
                   "CREATE TYPE public.grade AS ENUM ('a', 'b');"
                   "CREATE TABLE public.shelves (id bigint UNIQUE, place text NOT NULL);"
                   "CREATE TABLE public.items (id bigint PRIMARY KEY, name varchar(40), price int, shelf_id bigint NOT"
                   " NULL, label varchar(40), CONSTRAINT sane CHECK (price < 1000));"
                   "CREATE INDEX items_price ON public.items (price);"
                   "CREATE TABLE public.trials (id bigint PRIMARY KEY, done boolean, label text);"
                   "CREATE TABLE public.gone (id bigint PRIMARY KEY, item_id bigint REFERENCES public.items);"
                   "CREATE TABLE public.log (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at);"
                   "CREATE TABLE public.log_1 PARTITION OF public.log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');"
                   "INSERT INTO shelves SELECT n, 'place ' || n FROM generate_series(1, 5) n;"
                   "INSERT INTO items SELECT n, 'item ' || n, n, 1 + n % 5, 'l' || n FROM generate_series(1, 40) n;"
                   "INSERT INTO trials SELECT n, n % 2 = 0, 't' || n FROM generate_series(1, 40) n;"
                   "INSERT INTO gone SELECT n, n FROM generate_series(1, 10) n;"
                   "INSERT INTO users SELECT n, 'user ' || n, 'u' || n || '@example.org' FROM generate_series(1, 50) n;"
                   "INSERT INTO orders SELECT n, n * 10 FROM generate_series(1, 5) n;"
                   "RESET ROLE"));
}

/* ---- All of it ---- */

static void write_file(const struct world *w, const char *name, const void *bytes, size_t n)
{
    struct zdm_error err;
    if (zdm_file_write(path_of(w, name), bytes, n, 0600, &err) != ZDM_OK)
        world_fail("%s", err.message);
}

void world_write_trust(const struct world *w, const char *name, uint32_t version)
{
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    zdm_trust_chain_write(&w->chain[version - 1], &bytes);
    write_file(w, name, bytes.data, bytes.len);
    zdm_buffer_fini(&bytes);
}

void world_make(struct world *w, const char *bin, uint64_t seed)
{
    struct zdm_error err;
    const char *temp = getenv("TMPDIR");
    *w = (struct world){.seed = seed, .crypto = zdm_crypto_sodium(), .watcher.fd = -1, .version = 1};
    if (zdm_crypto_start(&err) != ZDM_OK || !zdm_copy_text(w->bin, sizeof w->bin, bin))
        world_fail("cannot start");
    snprintf(w->dir, sizeof w->dir, "%s/zdm-attack-XXXXXX", temp == NULL ? "/tmp" : temp);
    if (mkdtemp(w->dir) == NULL)
        world_fail("no folder in %s", w->dir);
    if (zdm_key_file_create(path_of(w, "coordinator.key"), "coordinator", &w->coordinator, &err) != ZDM_OK)
        world_fail("%s", err.message);
    world_make_people(w);
    world_write_trust(w, "trust", 1);
    world_make_plans(w);
    w->port = wire_free_port();
    w->lying_port = wire_free_port();
    make_database(w);
}

void world_end(struct world *w)
{
    char command[256];
    world_kill(&w->agent_pid);
    world_kill(&w->coordinator_pid);
    wire_close(&w->watcher);
    PQfinish(asker);
    test_pg_free(w->pg);
    for (size_t i = 0; i < TRUST_VERSIONS; i++) {
        zdm_trust_fini(&w->trust[i]);
        zdm_trust_chain_fini(&w->chain[i]);
    }
    for (size_t i = 0; i < PLANS; i++) {
        zdm_plan_unref(w->plans[i].plan);
        zdm_envelope_fini(&w->plans[i].envelope);
        zdm_buffer_fini(&w->plans[i].notes);
    }
    snprintf(command, sizeof command, "rm -rf '%s'", w->dir);
    if (getenv("ZDM_TEST_KEEP") == NULL && system(command) != 0)
        fprintf(stderr, "could not remove %s\n", w->dir);
}
