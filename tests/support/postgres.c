/*
 * postgres.c - private PostgreSQL servers (postgres.h).
 *
 * The test process makes itself a child subreaper: when a postmaster is killed, its children become ours, so that
 * their end can be waited for and no process of a test outlives it.
 */
#include "tests/support/postgres.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATH_SIZE = 256, CHILDREN_MAX = 256, START_TRIES = 600, PAUSE_MS = 50, ARGS_MAX = 32 };

struct test_pg {
    char directory[PATH_SIZE / 2]; /* with data/ and the socket */
    int port;
    pid_t pid; /* 0: not running */
    char dsn[PATH_SIZE * 2];
};

static void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("tests/support/postgres: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static void pause_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
}

/* Where the installed server's programs are. */
static const char *bindir(void)
{
    static char path[PATH_SIZE / 2];
    if (path[0] == '\0') {
        FILE *out = popen("pg_config --bindir", "r");
        if (out == NULL || fgets(path, sizeof path, out) == NULL) {
            die("pg_config is not there");
        }
        pclose(out);
        path[strcspn(path, "\n")] = '\0';
    }
    return path;
}

/* ZDM_TEST_POSTGRESQL_BIN is another server's folder; what it lacks (psql, pg_basebackup, …) is the installed one's. */
static void find_program(char out[PATH_SIZE], const char *name)
{
    const char *other = getenv("ZDM_TEST_POSTGRESQL_BIN");
    bool there = false;
    if (other != NULL && other[0] != '\0') {
        snprintf(out, PATH_SIZE, "%s/%s", other, name);
        there = access(out, X_OK) == 0;
        if (!there && strcmp(name, "postgres") == 0) {
            die("ZDM_TEST_POSTGRESQL_BIN: there is no %s", out);
        }
    }
    if (!there) {
        snprintf(out, PATH_SIZE, "%s/%s", bindir(), name);
    }
}

/* The user that runs servers: PostgreSQL refuses root. NULL when we are an ordinary user ourselves. */
static const struct passwd *server_user(void)
{
    if (geteuid() != 0) {
        return NULL;
    }
    const struct passwd *user = getpwnam("postgres");
    user = user == NULL ? getpwnam("nobody") : user;
    if (user == NULL) {
        die("there is no unprivileged user to run a server as");
    }
    return user;
}

/* In the child. */
static void become_server_user(void)
{
    const struct passwd *user = server_user();
    if (user != NULL && (setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)) {
        _exit(127);
    }
}

static pid_t spawn(const char *name, const char *const args[], const char *log)
{
    char path[PATH_SIZE];
    const char *argv[ARGS_MAX + 2] = {path};
    size_t n = 0;
    find_program(path, name);
    for (; args[n] != NULL && n < ARGS_MAX; n++) {
        argv[n + 1] = args[n];
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        die("fork: %s", strerror(errno));
    }
    if (pid != 0) {
        return pid;
    }
    int fd = open(log == NULL ? "/dev/null" : log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    become_server_user();
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (fd < 0 || getppid() != parent || dup2(fd, 1) < 0 || (log != NULL && dup2(fd, 2) < 0) || chdir("/") != 0) {
        _exit(127);
    }
    int in = open("/dev/null", O_RDONLY);
    dup2(in, 0);
    execv(path, (char *const *)(const void *)argv);
    _exit(127);
}

void test_pg_program(const char *name, const char *const args[])
{
    int status = 0;
    pid_t pid = spawn(name, args, NULL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        die("%s failed (status %d)", name, status);
    }
}

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        die("no free port: %s", strerror(errno));
    }
    close(fd);
    return ntohs(address.sin_port);
}

static struct test_pg *make(void)
{
    struct test_pg *pg = calloc(1, sizeof *pg);
    const struct passwd *user = server_user();
    if (pg == NULL) {
        die("out of memory");
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    const char *temp = getenv("TMPDIR");
    snprintf(pg->directory, sizeof pg->directory, "%s/zdm-pg-XXXXXX", temp == NULL ? "/tmp" : temp);
    if (mkdtemp(pg->directory) == NULL) {
        die("mkdtemp: %s", strerror(errno));
    }
    if (user != NULL && chown(pg->directory, user->pw_uid, user->pw_gid) != 0) {
        die("chown: %s", strerror(errno));
    }
    pg->port = free_port();
    return pg;
}

static void configure(struct test_pg *pg, const char *more)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/data/postgresql.conf", pg->directory);
    FILE *file = fopen(path, "a");
    if (file == NULL) {
        die("%s: %s", path, strerror(errno));
    }
    fprintf(file,
            "port = %d\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '%s'\nmax_connections = 60\n"
            "shared_buffers = 64MB\nmax_wal_size = 2GB\nmax_prepared_transactions = 10\nlogging_collector = off\n%s\n",
            pg->port, pg->directory, more == NULL ? "" : more);
    fclose(file);
}

static void wait_until_ready(struct test_pg *pg)
{
    for (int i = 0; i < START_TRIES; i++) {
        if (PQping(test_pg_dsn(pg, "postgres", "postgres")) == PQPING_OK) {
            return;
        }
        int status;
        if (waitpid(pg->pid, &status, WNOHANG) == pg->pid) {
            /* Right after a kill the old shared memory may still be in use: once more. */
            pg->pid = 0;
            pause_a_little();
            char data[PATH_SIZE], log[PATH_SIZE];
            snprintf(data, sizeof data, "%s/data", pg->directory);
            snprintf(log, sizeof log, "%s/log", pg->directory);
            pg->pid = spawn("postgres", (const char *const[]){"-D", data, NULL}, log);
        }
        pause_a_little();
    }
    die("the server in %s does not start", pg->directory);
}

void test_pg_resume(struct test_pg *pg)
{
    char data[PATH_SIZE], log[PATH_SIZE];
    snprintf(data, sizeof data, "%s/data", pg->directory);
    snprintf(log, sizeof log, "%s/log", pg->directory);
    pg->pid = spawn("postgres", (const char *const[]){"-D", data, NULL}, log);
    wait_until_ready(pg);
}

struct test_pg *test_pg_start(const struct test_pg_options *options)
{
    struct test_pg *pg = make();
    char data[PATH_SIZE], config[PATH_SIZE * 4];
    bool durable = options != NULL && options->durable;
    snprintf(data, sizeof data, "%s/data", pg->directory);
    test_pg_program("initdb", (const char *const[]){"-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                                                    "--locale=C.UTF-8", "--no-sync", NULL});
    snprintf(config, sizeof config, "%s%s", durable ? "" : "fsync = off\nfull_page_writes = off\n",
             options == NULL || options->config == NULL ? "" : options->config);
    configure(pg, config);
    test_pg_resume(pg);
    return pg;
}

struct test_pg *test_pg_replica(struct test_pg *primary)
{
    return test_pg_standby(primary, NULL, NULL);
}

/* As pg_basebackup -R has it, but that writes every option that its own release knows, and an older server does not. */
static void follow(const struct test_pg *pg, const char *dsn, char *out, size_t size)
{
    char path[PATH_SIZE];
    const struct passwd *user = server_user();
    snprintf(path, sizeof path, "%s/data/standby.signal", pg->directory);
    FILE *file = fopen(path, "w");
    if (file == NULL || fclose(file) != 0 || (user != NULL && chown(path, user->pw_uid, user->pw_gid) != 0)) {
        die("%s: %s", path, strerror(errno));
    }
    snprintf(out, size, "primary_conninfo = '%s'\n", dsn);
}

struct test_pg *test_pg_standby(struct test_pg *primary, const char *name, const char *config)
{
    struct test_pg *pg = make();
    char data[PATH_SIZE], dsn[PATH_SIZE * 2], more[PATH_SIZE * 4];
    snprintf(data, sizeof data, "%s/data", pg->directory);
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(primary, "postgres", "postgres"));
    test_pg_program("pg_basebackup",
                    (const char *const[]){"-D", data, "-d", dsn, "-X", "stream", "-c", "fast", "--no-sync", NULL});
    follow(pg, dsn, more, sizeof more);
    size_t used = strlen(more);
    if (name != NULL) {
        snprintf(more + used, sizeof more - used, "cluster_name = '%s'\n", name);
        used = strlen(more);
    }
    snprintf(more + used, sizeof more - used, "%s", config == NULL ? "" : config);
    configure(pg, more);
    test_pg_resume(pg);
    return pg;
}

/* The postmaster's children, before it is gone. */
static size_t children_of(pid_t pid, pid_t out[CHILDREN_MAX])
{
    char path[64];
    size_t n = 0;
    int child;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && n < CHILDREN_MAX && fscanf(file, "%d", &child) == 1) {
        out[n++] = child;
    }
    if (file != NULL) {
        fclose(file);
    }
    return n;
}

static void wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
}

void test_pg_kill(struct test_pg *pg)
{
    pid_t children[CHILDREN_MAX];
    if (pg->pid == 0) {
        return;
    }
    /* Stopped, it can start no more of them. */
    kill(pg->pid, SIGSTOP);
    size_t n = children_of(pg->pid, children);
    kill(pg->pid, SIGKILL);
    for (size_t i = 0; i < n; i++) {
        kill(children[i], SIGKILL);
    }
    wait_for(pg->pid);
    for (size_t i = 0; i < n; i++) {
        wait_for(children[i]);
    }
    pg->pid = 0;
}

void test_pg_stop(struct test_pg *pg)
{
    if (pg->pid != 0) {
        kill(pg->pid, SIGINT);
        wait_for(pg->pid);
        pg->pid = 0;
    }
}

void test_pg_promote(struct test_pg *pg)
{
    PGconn *conn = PQconnectdb(test_pg_dsn(pg, "postgres", "postgres"));
    PQclear(PQexec(conn, "SELECT pg_promote(true, 30)"));
    PQfinish(conn);
}

void test_pg_free(struct test_pg *pg)
{
    char command[PATH_SIZE];
    if (pg == NULL) {
        return;
    }
    test_pg_stop(pg);
    /* mkdtemp chose the name: there is nothing in it that a shell could take otherwise. */
    snprintf(command, sizeof command, "rm -rf '%s'", pg->directory);
    if (getenv("ZDM_TEST_KEEP") == NULL && system(command) != 0) {
        fprintf(stderr, "could not remove %s\n", pg->directory);
    }
    free(pg);
}

const char *test_pg_dsn(struct test_pg *pg, const char *role, const char *database)
{
    snprintf(pg->dsn, sizeof pg->dsn, "host=%s port=%d user=%s dbname=%s", pg->directory, pg->port, role, database);
    return pg->dsn;
}

const char *test_pg_tcp_dsn(struct test_pg *pg, const char *role, const char *database)
{
    snprintf(pg->dsn, sizeof pg->dsn, "host=127.0.0.1 port=%d user=%s dbname=%s", pg->port, role, database);
    return pg->dsn;
}

int test_pg_port(const struct test_pg *pg)
{
    return pg->port;
}

pid_t test_pg_pid(const struct test_pg *pg)
{
    return pg->pid;
}

const char *test_pg_directory(const struct test_pg *pg)
{
    return pg->directory;
}

void test_pg_grant(struct test_pg *pg, const char *database, const char *agent, const char *owner)
{
    char agent_is[128], owner_is[128];
    snprintf(agent_is, sizeof agent_is, "agent=%s", agent);
    snprintf(owner_is, sizeof owner_is, "owner=%s", owner);
    test_pg_program("psql",
                    (const char *const[]){"-X", "-q", "-d", test_pg_dsn(pg, "postgres", database), "-v", agent_is, "-v",
                                          owner_is, "-f", ZDM_SOURCE_DIR "/deploy/sql/postgresql-grants.sql", NULL});
}
