/*
 * cutter.c - see cutter.h. One thread a connection.
 */
#include "tests/integration/mysql/cutter.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 64, CHUNK = 65536 };

struct pair {
    struct cutter *cutter;
    int client, server;
    pthread_t thread;
};

struct cutter {
    int listener, port, server_port;
    pthread_t thread;
    atomic_int armed;
    struct pair pairs[CONNECTIONS_MAX];
    size_t n_pairs;
};

static int dial(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool pass(int to, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(to, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        bytes += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* COM_QUERY with COMMIT and nothing else. */
static bool is_commit(const char *bytes, size_t n)
{
    static const char commit[] = "\x07\0\0\0\x03"
                                 "COMMIT";
    return n == sizeof commit - 1 && memcmp(bytes, commit, n) == 0;
}

/* False: the connection ends. */
static bool from_client(struct pair *p, const char *bytes, size_t n)
{
    char answer[256];
    if (!is_commit(bytes, n)) {
        return pass(p->server, bytes, n);
    }
    int cut = atomic_exchange(&p->cutter->armed, CUT_NOTHING);
    if (cut == CUT_BEFORE) {
        return false;
    }
    if (cut == CUT_AFTER) {
        bool sent = pass(p->server, bytes, n);
        return sent && recv(p->server, answer, sizeof answer, 0) < 0;
    }
    return pass(p->server, bytes, n);
}

static bool turn(struct pair *p)
{
    char bytes[CHUNK];
    struct pollfd fds[2] = {{.fd = p->client, .events = POLLIN}, {.fd = p->server, .events = POLLIN}};
    if (poll(fds, 2, -1) < 0) {
        return false;
    }
    if (fds[0].revents != 0) {
        ssize_t n = recv(p->client, bytes, sizeof bytes, 0);
        return n > 0 && from_client(p, bytes, (size_t)n);
    }
    ssize_t n = recv(p->server, bytes, sizeof bytes, 0);
    return n > 0 && pass(p->client, bytes, (size_t)n);
}

static void *serve(void *arg)
{
    struct pair *p = arg;
    while (turn(p)) {
    }
    shutdown(p->client, SHUT_RDWR);
    shutdown(p->server, SHUT_RDWR);
    return NULL;
}

static void *listen_on(void *arg)
{
    struct cutter *c = arg;
    for (int fd = accept(c->listener, NULL, NULL); fd >= 0 && c->n_pairs < CONNECTIONS_MAX;
         fd = accept(c->listener, NULL, NULL)) {
        struct pair *p = &c->pairs[c->n_pairs++];
        *p = (struct pair){.cutter = c, .client = fd, .server = dial(c->server_port)};
        if (pthread_create(&p->thread, NULL, serve, p) != 0) {
            abort();
        }
    }
    return NULL;
}

struct cutter *cutter_start(int server_port)
{
    struct cutter *c = calloc(1, sizeof *c);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    c->server_port = server_port;
    c->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(c->listener, (struct sockaddr *)&address, size) != 0 || listen(c->listener, 16) != 0 ||
        getsockname(c->listener, (struct sockaddr *)&address, &size) != 0 ||
        pthread_create(&c->thread, NULL, listen_on, c) != 0) {
        abort();
    }
    c->port = ntohs(address.sin_port);
    return c;
}

void cutter_stop(struct cutter *c)
{
    shutdown(c->listener, SHUT_RDWR);
    pthread_join(c->thread, NULL);
    close(c->listener);
    for (size_t i = 0; i < c->n_pairs; i++) {
        shutdown(c->pairs[i].client, SHUT_RDWR);
        shutdown(c->pairs[i].server, SHUT_RDWR);
        pthread_join(c->pairs[i].thread, NULL);
        close(c->pairs[i].client);
        close(c->pairs[i].server);
    }
    free(c);
}

int cutter_port(const struct cutter *c)
{
    return c->port;
}

void cutter_arm(struct cutter *c, enum cut cut)
{
    atomic_store(&c->armed, (int)cut);
}
