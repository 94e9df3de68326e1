/*
 * test_session.c - what the engine refuses to work over, and what it never says.
 */
#include "tests/integration/postgresql/rig.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 16384, GREETING_MAX = 65536 };

/* ---- A pooler: passes bytes on, and shows its clients a backend pid of its own making ---- */

struct pooler {
    int listening, port;
    int server_port;
    pthread_t thread;
};

static int tcp_socket(int port, bool server)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    int failed = server ? bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4)
                        : connect(fd, (struct sockaddr *)&at, sizeof at);
    assert_int_equal(failed, 0);
    return fd;
}

/* Changes the pid in BackendKeyData; true once the greeting is over (ReadyForQuery). */
static bool disguise(unsigned char *bytes, size_t n)
{
    size_t at = 0;
    while (at + 5 <= n) {
        size_t len = (size_t)bytes[at + 1] << 24 | (size_t)bytes[at + 2] << 16 | (size_t)bytes[at + 3] << 8 |
                     (size_t)bytes[at + 4];
        if (bytes[at] == 'K' && at + 9 <= n) {
            bytes[at + 8] ^= 0x55;
        }
        if (bytes[at] == 'Z') {
            return true;
        }
        at += 1 + len;
    }
    return false;
}

static bool pass(int from, int to)
{
    unsigned char bytes[PIECE];
    ssize_t n = read(from, bytes, sizeof bytes);
    return n > 0 && write(to, bytes, (size_t)n) == n;
}

static bool pass_greeting(int client, int server)
{
    static unsigned char bytes[GREETING_MAX];
    size_t n = 0;
    bool over = false;
    while (!over && n < sizeof bytes) {
        ssize_t got = read(server, bytes + n, sizeof bytes - n);
        if (got <= 0) {
            return false;
        }
        n += (size_t)got;
        unsigned char copy[GREETING_MAX];
        memcpy(copy, bytes, n);
        over = disguise(copy, n);
        if (over) {
            memcpy(bytes, copy, n);
        }
    }
    return write(client, bytes, n) == (ssize_t)n;
}

static void serve(const struct pooler *p, int client)
{
    int server = tcp_socket(p->server_port, false);
    bool going = pass(client, server) && pass_greeting(client, server);
    while (going) {
        struct pollfd fds[2] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
        going = poll(fds, 2, -1) > 0;
        going = going && (fds[0].revents == 0 || pass(client, server)) && (fds[1].revents == 0 || pass(server, client));
    }
    close(server);
}

static void *pool(void *arg)
{
    struct pooler *p = arg;
    int client;
    while ((client = accept(p->listening, NULL, NULL)) >= 0) {
        serve(p, client);
        close(client);
    }
    return NULL;
}

static void pooler_start(struct pooler *p, int server_port)
{
    struct sockaddr_in at;
    socklen_t n = sizeof at;
    p->server_port = server_port;
    p->listening = tcp_socket(0, true);
    assert_int_equal(getsockname(p->listening, (struct sockaddr *)&at, &n), 0);
    p->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&p->thread, NULL, pool, p), 0);
}

static void pooler_stop(struct pooler *p)
{
    shutdown(p->listening, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->listening);
}

/* ---- The tests ---- */

/* What CONNECT says over another connection string; the caller frees it. */
static struct agent_result *connect_over(struct rig *r, const char *dsn)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct agent_engine own = r->engine;
    const struct agent_engine_config config = {
        .dsn = dsn, .application_name = "zdm-agent test", .connect_timeout_ms = 3000, .sink = rig_sink(r)};
    if (agent_postgresql_open(&config, &r->engine, &err) != ZDM_OK) {
        fail_msg("%s", err.message);
    }
    struct agent_result *result = rig_do(r, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0, 0);
    r->engine.ops->close(r->engine.self);
    r->engine = own;
    return result;
}

static void connection_pooler_is_refused(void **state)
{
    struct rig *r = *state;
    struct pooler pooler;
    char dsn[256];
    pooler_start(&pooler, test_pg_port(r->pg));
    (void)snprintf(dsn, sizeof dsn,
                   "host=127.0.0.1 port=%d user=zdm_agent dbname=%s sslmode=disable gssencmode=disable", pooler.port,
                   r->database);
    struct agent_result *result = connect_over(r, dsn);
    assert_string_equal(agent_outcome_name(result->outcome), "fail");
    assert_string_equal(result->error.message, "a connection pooler stands between the agent and the database");
    assert_true(result->error.hint[0] != '\0');
    agent_result_free(result);
    pooler_stop(&pooler);
}

static void password_is_in_no_error(void **state)
{
    static const char *const dsns[] = {
        "host=127.0.0.1 port=1 user=u dbname=d password=s3cret",
        "postgresql://u:s3cret@127.0.0.1:1/d",
        "host=127.0.0.1 port=nonsense password='s3cret'",
        "host=no-such-host.invalid user=u password=s3cret",
    };
    struct rig *r = *state;
    for (size_t i = 0; i < sizeof dsns / sizeof *dsns; i++) {
        struct agent_result *result = connect_over(r, dsns[i]);
        assert_true(result->outcome != AGENT_OK);
        assert_true(result->error.message[0] != '\0');
        assert_null(strstr(result->error.message, "s3cret"));
        assert_null(strstr(result->error.detail, "s3cret"));
        agent_result_free(result);
    }
}

/* libpq's own message about these quotes what it stumbled over. */
static void connection_string_that_cannot_be_read_is_refused_without_quoting_it(void **state)
{
    static const char *const dsns[] = {
        "host=127.0.0.1 password=my s3cret",      "host=127.0.0.1 password='s3cret",       "host=127.0.0.1 s3cret=1",
        "postgresql://u:half@s3cret@127.0.0.1/d", "postgresql://u:p@127.0.0.1/d?s3cret=1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof dsns / sizeof *dsns; i++) {
        struct zdm_error err = ZDM_ERROR_INIT;
        struct agent_engine engine;
        const struct agent_engine_config config = {.dsn = dsns[i]};
        assert_int_equal(agent_postgresql_open(&config, &engine, &err), ZDM_INVALID);
        assert_null(strstr(err.message, "s3cret"));
        assert_null(strstr(err.detail, "s3cret"));
        assert_true(err.hint[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(connection_pooler_is_refused),
        RIG_TEST(password_is_in_no_error),
        cmocka_unit_test(connection_string_that_cannot_be_read_is_refused_without_quoting_it),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
