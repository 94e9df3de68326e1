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

/* ---- A pooler: passes bytes on, and shows its clients a backend pid of its own making. All of them, one behind the
 * other, have the same backend, as it is left to them: what pgbouncer does between transactions. ---- */

struct pooler {
    int listening, port;
    int server_port;
    int server;                           /* the backend; -1 before the first client */
    unsigned char greeting[GREETING_MAX]; /* of the backend, for the clients behind the first */
    size_t n_greeting;
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

/* A client that goes says so (Terminate); its backend stays. */
static bool pass(int from, int to)
{
    unsigned char bytes[PIECE];
    ssize_t n = read(from, bytes, sizeof bytes);
    return n > 0 && bytes[0] != 'X' && write(to, bytes, (size_t)n) == n;
}

static bool take_greeting(struct pooler *p)
{
    static unsigned char copy[GREETING_MAX];
    bool over = false;
    while (!over && p->n_greeting < sizeof p->greeting) {
        ssize_t got = read(p->server, p->greeting + p->n_greeting, sizeof p->greeting - p->n_greeting);
        if (got <= 0) {
            return false;
        }
        p->n_greeting += (size_t)got;
        memcpy(copy, p->greeting, p->n_greeting);
        over = disguise(copy, p->n_greeting);
    }
    memcpy(p->greeting, copy, p->n_greeting);
    return over;
}

/* The startup packet of the first client becomes the backend's; that of a later one only gets the greeting. */
static bool greet(struct pooler *p, int client)
{
    unsigned char startup[PIECE];
    bool going = true;
    if (p->server < 0) {
        p->server = tcp_socket(p->server_port, false);
        going = pass(client, p->server) && take_greeting(p);
    } else {
        going = read(client, startup, sizeof startup) > 0;
    }
    return going && write(client, p->greeting, p->n_greeting) == (ssize_t)p->n_greeting;
}

static void serve(struct pooler *p, int client)
{
    bool going = greet(p, client);
    while (going) {
        struct pollfd fds[2] = {{.fd = client, .events = POLLIN}, {.fd = p->server, .events = POLLIN}};
        going = poll(fds, 2, -1) > 0;
        going = going && (fds[0].revents == 0 || pass(client, p->server)) &&
                (fds[1].revents == 0 || pass(p->server, client));
    }
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
    *p = (struct pooler){.server_port = server_port, .server = -1};
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
    if (p->server >= 0) {
        close(p->server);
    }
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
    static struct pooler pooler;
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

/* One query over the pooler, as an application that comes and goes; the caller clears it. */
static PGresult *application(const char *dsn, const char *sql)
{
    PGconn *conn = PQconnectdb(dsn);
    if (PQstatus(conn) != CONNECTION_OK) {
        fail_msg("%s", PQerrorMessage(conn));
    }
    PGresult *res = PQexec(conn, sql);
    if (PQresultStatus(res) != PGRES_TUPLES_OK) {
        fail_msg("%s", PQerrorMessage(conn));
    }
    PQfinish(conn);
    return res;
}

/* The backend that the agent met serves the application next: it must not find a search_path of pg_catalog there. */
static void agent_that_meets_a_pooler_leaves_nothing_with_its_backend(void **state)
{
    static const char sql[] = "SELECT string_agg(format('%s=%s', name, setting), ' ' ORDER BY name), pg_backend_pid()"
                              " FROM pg_settings";
    struct rig *r = *state;
    static struct pooler pooler;
    char dsn[256];
    pooler_start(&pooler, test_pg_port(r->pg));
    (void)snprintf(dsn, sizeof dsn,
                   "host=127.0.0.1 port=%d user=zdm_agent dbname=%s sslmode=disable gssencmode=disable", pooler.port,
                   r->database);
    PGresult *before = application(dsn, sql);
    struct agent_result *result = connect_over(r, dsn);
    assert_string_equal(agent_outcome_name(result->outcome), "fail");
    PGresult *behind = application(dsn, sql);
    assert_string_equal(PQgetvalue(before, 0, 1), PQgetvalue(behind, 0, 1));
    assert_string_equal(PQgetvalue(before, 0, 0), PQgetvalue(behind, 0, 0));
    PQclear(before);
    PQclear(behind);
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
        RIG_TEST(agent_that_meets_a_pooler_leaves_nothing_with_its_backend),
        RIG_TEST(password_is_in_no_error),
        cmocka_unit_test(connection_string_that_cannot_be_read_is_refused_without_quoting_it),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
