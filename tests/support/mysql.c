/*
 * mysql.c - private MariaDB servers (mysql.h).
 */
#include "tests/support/mysql.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <mysql.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATH_SIZE = 256, ARGS_MAX = 48, START_TRIES = 600, PAUSE_MS = 50 };

struct test_mysql {
    char directory[PATH_SIZE / 2]; /* with data/ and the socket */
    char data[PATH_SIZE], socket[PATH_SIZE], pid_file[PATH_SIZE];
    char more[ARGS_MAX][PATH_SIZE];
    int port;
    pid_t pid; /* 0: not running */
};

static void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("tests/support/mysql: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static void pause_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
}

static pid_t spawn(struct test_mysql *my, const char *const argv[])
{
    char log[PATH_SIZE];
    snprintf(log, sizeof log, "%s/log", my->directory);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        die("fork: %s", strerror(errno));
    }
    if (pid != 0) {
        return pid;
    }
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    int in = open("/dev/null", O_RDONLY);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (fd < 0 || getppid() != parent || dup2(in, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || chdir("/") != 0) {
        _exit(127);
    }
    execvp(argv[0], (char *const *)(const void *)argv);
    _exit(127);
}

static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
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

static struct test_mysql *make(const char *const args[])
{
    struct test_mysql *my = calloc(1, sizeof *my);
    const char *temp = getenv("TMPDIR");
    if (my == NULL) {
        die("out of memory");
    }
    snprintf(my->directory, sizeof my->directory, "%s/zdm-my-XXXXXX", temp == NULL ? "/tmp" : temp);
    if (mkdtemp(my->directory) == NULL) {
        die("mkdtemp: %s", strerror(errno));
    }
    snprintf(my->data, sizeof my->data, "%s/data", my->directory);
    snprintf(my->socket, sizeof my->socket, "%s/s", my->directory);
    snprintf(my->pid_file, sizeof my->pid_file, "%s/pid", my->directory);
    for (size_t i = 0; args != NULL && args[i] != NULL && i < ARGS_MAX / 2; i++) {
        snprintf(my->more[i], sizeof my->more[i], "%s", args[i]);
    }
    my->port = free_port();
    return my;
}

static void install(struct test_mysql *my)
{
    char data[PATH_SIZE + 16], tmp[PATH_SIZE + 16];
    snprintf(data, sizeof data, "--datadir=%s", my->data);
    snprintf(tmp, sizeof tmp, "--tmpdir=%s", my->directory); /* as below */
    const char *const argv[] = {"mariadb-install-db",
                                "--no-defaults",
                                data,
                                tmp,
                                "--auth-root-authentication-method=normal",
                                "--skip-test-db",
                                "--skip-name-resolve",
                                geteuid() == 0 ? "--user=root" : NULL,
                                NULL};
    if (wait_for(spawn(my, argv)) != 0) {
        die("mariadb-install-db failed: see %s/log", my->directory);
    }
}

static bool answers(const struct test_mysql *my)
{
    MYSQL *conn = mysql_init(NULL);
    bool ok = mysql_real_connect(conn, NULL, "root", "", NULL, 0, my->socket, 0) != NULL;
    mysql_close(conn);
    return ok;
}

void test_mysql_resume(struct test_mysql *my)
{
    char option[5][PATH_SIZE + 16];
    snprintf(option[0], sizeof option[0], "--datadir=%s", my->data);
    snprintf(option[1], sizeof option[1], "--socket=%s", my->socket);
    snprintf(option[2], sizeof option[2], "--pid-file=%s", my->pid_file);
    snprintf(option[3], sizeof option[3], "--port=%d", my->port);
    /* A server that starts deletes what others have in a folder of temporary tables that they share. */
    snprintf(option[4], sizeof option[4], "--tmpdir=%s", my->directory);
    const char *argv[ARGS_MAX] = {"mariadbd",
                                  "--no-defaults",
                                  option[0],
                                  option[1],
                                  option[2],
                                  option[3],
                                  option[4],
                                  "--bind-address=127.0.0.1",
                                  "--skip-name-resolve",
                                  "--server-id=1",
                                  "--log-bin=b",
                                  "--binlog-format=ROW",
                                  "--log-bin-trust-function-creators=1",
                                  "--sync-binlog=0",
                                  "--innodb-flush-log-at-trx-commit=0",
                                  "--innodb-buffer-pool-size=32M",
                                  "--innodb-log-file-size=32M",
                                  "--key-buffer-size=1M",
                                  "--max-connections=100"};
    size_t n = 19;
    if (geteuid() == 0) {
        argv[n++] = "--user=root";
    }
    for (size_t i = 0; my->more[i][0] != '\0' && n < ARGS_MAX - 1; i++) {
        argv[n++] = my->more[i];
    }
    my->pid = spawn(my, argv);
    for (int i = 0; i < START_TRIES; i++) {
        if (answers(my)) {
            return;
        }
        if (waitpid(my->pid, NULL, WNOHANG) == my->pid) {
            break;
        }
        pause_a_little();
    }
    die("the server in %s does not start", my->directory);
}

struct test_mysql *test_mysql_start(const char *const args[])
{
    struct test_mysql *my = make(args);
    install(my);
    test_mysql_resume(my);
    return my;
}

static void end(struct test_mysql *my, int signal)
{
    if (my->pid != 0) {
        kill(my->pid, signal);
        wait_for(my->pid);
        my->pid = 0;
    }
}

void test_mysql_kill(struct test_mysql *my)
{
    end(my, SIGKILL);
}

void test_mysql_stop(struct test_mysql *my)
{
    end(my, SIGTERM);
}

void test_mysql_free(struct test_mysql *my)
{
    char command[PATH_SIZE];
    if (my == NULL) {
        return;
    }
    test_mysql_kill(my);
    /* mkdtemp chose the name: there is nothing in it that a shell could take otherwise. */
    snprintf(command, sizeof command, "rm -rf '%s'", my->directory);
    if (getenv("ZDM_TEST_KEEP") == NULL && system(command) != 0) {
        fprintf(stderr, "could not remove %s\n", my->directory);
    }
    free(my);
}

int test_mysql_port(const struct test_mysql *my)
{
    return my->port;
}

pid_t test_mysql_pid(const struct test_mysql *my)
{
    return my->pid;
}

const char *test_mysql_directory(const struct test_mysql *my)
{
    return my->directory;
}

const char *test_mysql_socket(const struct test_mysql *my)
{
    return my->socket;
}
