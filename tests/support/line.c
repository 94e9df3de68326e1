/*
 * line.c - one thread polls all connections (line.h).
 */
#include "tests/support/line.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

enum { PAIRS_MAX = 64, BUFFER = 65536, TEXT_MAX = 64, WAIT_MS = 10000, TICK_MS = 20 };

struct pair {
    int client, server; /* -1: closed */
};

struct test_line {
    int listener, port, to_port;
    pthread_t thread;
    pthread_mutex_t lock;
    bool ends, armed, behind, cut;
    enum test_line_cut how;
    char first[TEXT_MAX], text[TEXT_MAX];
    struct pair pairs[PAIRS_MAX];
    size_t n_pairs;
    struct pair *orphan;
    char held[BUFFER];
    size_t n_held;
    char buffer[BUFFER];
};

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
}

static void shut(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

static bool write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = send(fd, bytes, n, MSG_NOSIGNAL);
        if (done <= 0) {
            return false;
        }
        bytes += done;
        n -= (size_t)done;
    }
    return true;
}

static void accept_one(struct test_line *line)
{
    struct sockaddr_in to = loopback(line->to_port);
    int client = accept(line->listener, NULL, NULL);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0 || line->n_pairs == PAIRS_MAX || connect(server, (struct sockaddr *)&to, sizeof to) != 0) {
        shut(&client);
        shut(&server);
        return;
    }
    line->pairs[line->n_pairs++] = (struct pair){client, server};
}

/* Returns whether this piece is where the line is cut. */
static bool is_the_cut(struct test_line *line, const char *bytes, size_t n)
{
    if (!line->armed) {
        return false;
    }
    if (!line->behind) {
        line->behind = memmem(bytes, n, line->first, strlen(line->first)) != NULL;
        return false;
    }
    return memmem(bytes, n, line->text, strlen(line->text)) != NULL;
}

static void cut(struct test_line *line, struct pair *pair, const char *bytes, size_t n)
{
    line->armed = false;
    line->cut = true;
    line->orphan = pair;
    line->n_held = 0;
    if (line->how == TEST_LINE_AFTER) {
        (void)write_all(pair->server, bytes, n);
    } else {
        memcpy(line->held, bytes, n);
        line->n_held = n;
    }
    shut(&pair->client);
}

static void from_client(struct test_line *line, struct pair *pair)
{
    ssize_t n = recv(pair->client, line->buffer, sizeof line->buffer, 0);
    if (n > 0 && is_the_cut(line, line->buffer, (size_t)n)) {
        cut(line, pair, line->buffer, (size_t)n);
    } else if (n <= 0 || !write_all(pair->server, line->buffer, (size_t)n)) {
        shut(&pair->client);
        shut(&pair->server);
    }
}

static void from_server(struct test_line *line, struct pair *pair)
{
    ssize_t n = recv(pair->server, line->buffer, sizeof line->buffer, 0);
    if (n > 0 && pair->client >= 0 && !write_all(pair->client, line->buffer, (size_t)n)) {
        n = 0;
    }
    if (n <= 0) {
        shut(&pair->client);
        shut(&pair->server);
    }
}

static void turn(struct test_line *line)
{
    struct pollfd fds[1 + 2 * PAIRS_MAX] = {{.fd = line->listener, .events = POLLIN}};
    size_t n = line->n_pairs;
    for (size_t i = 0; i < n; i++) {
        fds[1 + 2 * i] = (struct pollfd){.fd = line->pairs[i].client, .events = POLLIN};
        fds[2 + 2 * i] = (struct pollfd){.fd = line->pairs[i].server, .events = POLLIN};
    }
    pthread_mutex_unlock(&line->lock);
    (void)poll(fds, (nfds_t)(1 + 2 * n), TICK_MS);
    pthread_mutex_lock(&line->lock);
    for (size_t i = 0; i < n; i++) {
        if (fds[1 + 2 * i].revents != 0 && line->pairs[i].client == fds[1 + 2 * i].fd) {
            from_client(line, &line->pairs[i]);
        }
        if (fds[2 + 2 * i].revents != 0 && line->pairs[i].server == fds[2 + 2 * i].fd) {
            from_server(line, &line->pairs[i]);
        }
    }
    if (fds[0].revents != 0) {
        accept_one(line);
    }
}

static void *line_main(void *arg)
{
    struct test_line *line = arg;
    pthread_mutex_lock(&line->lock);
    while (!line->ends) {
        turn(line);
    }
    pthread_mutex_unlock(&line->lock);
    return NULL;
}

struct test_line *test_line_open(int port)
{
    struct test_line *line = calloc(1, sizeof *line);
    struct sockaddr_in here = loopback(0);
    socklen_t size = sizeof here;
    assert_non_null(line);
    line->to_port = port;
    line->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(line->listener, (struct sockaddr *)&here, size), 0);
    assert_int_equal(listen(line->listener, 16), 0);
    assert_int_equal(getsockname(line->listener, (struct sockaddr *)&here, &size), 0);
    line->port = ntohs(here.sin_port);
    pthread_mutex_init(&line->lock, NULL);
    assert_int_equal(pthread_create(&line->thread, NULL, line_main, line), 0);
    return line;
}

void test_line_close(struct test_line *line)
{
    if (line == NULL) {
        return;
    }
    pthread_mutex_lock(&line->lock);
    line->ends = true;
    pthread_mutex_unlock(&line->lock);
    pthread_join(line->thread, NULL);
    for (size_t i = 0; i < line->n_pairs; i++) {
        shut(&line->pairs[i].client);
        shut(&line->pairs[i].server);
    }
    shut(&line->listener);
    pthread_mutex_destroy(&line->lock);
    free(line);
}

int test_line_port(const struct test_line *line)
{
    return line->port;
}

void test_line_arm(struct test_line *line, enum test_line_cut how, const char *behind, const char *text)
{
    pthread_mutex_lock(&line->lock);
    line->how = how;
    snprintf(line->first, TEXT_MAX, "%s", behind);
    snprintf(line->text, TEXT_MAX, "%s", text);
    line->behind = behind[0] == '\0';
    line->armed = true;
    line->cut = false;
    pthread_mutex_unlock(&line->lock);
}

bool test_line_was_cut(struct test_line *line)
{
    for (int waited = 0; waited < WAIT_MS; waited += TICK_MS) {
        pthread_mutex_lock(&line->lock);
        bool was = line->cut;
        pthread_mutex_unlock(&line->lock);
        if (was) {
            return true;
        }
        nanosleep(&(struct timespec){.tv_nsec = TICK_MS * 1000000L}, NULL);
    }
    return false;
}

void test_line_deliver(struct test_line *line)
{
    pthread_mutex_lock(&line->lock);
    (void)write_all(line->orphan->server, line->held, line->n_held);
    line->n_held = 0;
    pthread_mutex_unlock(&line->lock);
}

void test_line_hang_up(struct test_line *line)
{
    pthread_mutex_lock(&line->lock);
    shut(&line->orphan->server);
    pthread_mutex_unlock(&line->lock);
}
