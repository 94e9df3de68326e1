/*
 * test_login.c - logging in to MySQL and MariaDB: proxies, servers that want the password, option files; what is
 * refused and what is never said.
 */
#include "tests/integration/mysql/rig.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What opening over that connection string gives; err says why not. */
static enum zdm_code try_open(struct rig *r, const char *dsn, struct zdm_error *err)
{
    struct mydb_session *s = rig_session(r, dsn);
    enum zdm_code code = mydb_open(s, err);
    rig_session_free(s);
    return code;
}

/* ---- A proxy: passes bytes on, and shows its clients another number of the connection ---- */

struct proxy {
    int listening, port, server_port;
    pthread_t thread;
};

static int tcp_socket(int port, bool listens)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failed = listens ? bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4)
                         : connect(fd, (struct sockaddr *)&at, sizeof at);
    assert_int_equal(failed, 0);
    return fd;
}

static bool pass(int from, int to, bool greeting)
{
    unsigned char bytes[16384];
    ssize_t n = read(from, bytes, sizeof bytes);
    if (greeting && n > 5) {
        bytes[5 + strlen((char *)bytes + 5) + 1] ^= 0x55; /* behind the version */
    }
    return n > 0 && write(to, bytes, (size_t)n) == n;
}

static void *pass_on(void *arg)
{
    struct proxy *p = arg;
    int client;
    while ((client = accept(p->listening, NULL, NULL)) >= 0) {
        int server = tcp_socket(p->server_port, false);
        bool going = pass(server, client, true);
        while (going) {
            struct pollfd fds[2] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
            going = poll(fds, 2, -1) > 0 && (fds[0].revents == 0 || pass(client, server, false)) &&
                    (fds[1].revents == 0 || pass(server, client, false));
        }
        close(server);
        close(client);
    }
    return NULL;
}

static void proxy_that_hands_statements_on_is_refused(void **state)
{
    struct rig *r = *state;
    struct proxy p = {.server_port = rig_port(r), .listening = tcp_socket(0, true)};
    struct sockaddr_in at;
    socklen_t n = sizeof at;
    struct zdm_error err = ZDM_ERROR_INIT;
    char more[32];
    assert_int_equal(getsockname(p.listening, (struct sockaddr *)&at, &n), 0);
    pthread_create(&p.thread, NULL, pass_on, &p);
    snprintf(more, sizeof more, "port=%d", ntohs(at.sin_port));
    assert_int_equal(try_open(r, rig_dsn(r, more), &err), ZDM_REFUSED);
    assert_string_equal(err.message, "a proxy stands between the agent and the database");
    shutdown(p.listening, SHUT_RDWR);
    pthread_join(p.thread, NULL);
    close(p.listening);
}

/* ---- A server that wants the password: without TLS, by a plugin that shows it ---- */

struct thief {
    int listening, port;
    const char *plugin;
    pthread_t thread;
    bool got_password;
};

static size_t put_packet(unsigned char *out, unsigned char number, const void *bytes, size_t n)
{
    out[0] = (unsigned char)n;
    out[1] = out[2] = 0;
    out[3] = number;
    memcpy(out + 4, bytes, n);
    return n + 4;
}

/* Reads what comes, if anything. */
static void take(struct thief *t, int client)
{
    unsigned char bytes[4096];
    ssize_t n = read(client, bytes, sizeof bytes);
    t->got_password = t->got_password || (n > 0 && memmem(bytes, (size_t)n, "s3cret", 6) != NULL);
}

static void *steal(void *arg)
{
    static const char head[] = "\x0a"
                               "8.0.40\0\7\0\0\0abcdefgh\0\xff\xf7\x2d\2\0\xff\xdf\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst";
    struct thief *t = arg;
    int client;
    while ((client = accept(t->listening, NULL, NULL)) >= 0) {
        unsigned char bytes[256], packet[512];
        memcpy(bytes, head, sizeof head);
        strcpy((char *)bytes + sizeof head, "mysql_native_password");
        size_t n = put_packet(packet, 0, bytes, sizeof head + sizeof "mysql_native_password");
        assert_int_equal(write(client, packet, n), n);
        take(t, client);
        n = (size_t)snprintf((char *)bytes, sizeof bytes, "\xfe%s", t->plugin) + 1;
        memcpy(bytes + n, "abcdefghijklmnopqrst", 21);
        n = put_packet(packet, 2, bytes, n + 21);
        (void)send(client, packet, n, MSG_NOSIGNAL);
        take(t, client);
        (void)send(client, "\2\0\0\4\1\4", 6, MSG_NOSIGNAL); /* caching_sha2_password: the whole of it */
        take(t, client);
        close(client);
    }
    return NULL;
}

static void password_is_never_shown_to_who_asks_for_it(void **state)
{
    static const char *const plugins[] = {"mysql_clear_password", "mysql_old_password", "dialog", "sha256_password",
                                          "caching_sha2_password"};
    struct rig *r = *state;
    for (size_t i = 0; i < 2 * sizeof plugins / sizeof *plugins; i++) {
        struct thief t = {.listening = tcp_socket(0, true), .plugin = plugins[i / 2]};
        struct sockaddr_in at;
        socklen_t n = sizeof at;
        struct zdm_error err = ZDM_ERROR_INIT;
        char more[64];
        assert_int_equal(getsockname(t.listening, (struct sockaddr *)&at, &n), 0);
        pthread_create(&t.thread, NULL, steal, &t);
        snprintf(more, sizeof more, "port=%d%s", ntohs(at.sin_port), i % 2 == 0 ? " ssl=require" : "");
        assert_int_not_equal(try_open(r, rig_dsn(r, more), &err), ZDM_OK);
        assert_null(strstr(err.message, "s3cret"));
        assert_null(strstr(err.message, r->database)); /* what was sent */
        shutdown(t.listening, SHUT_RDWR);
        pthread_join(t.thread, NULL);
        close(t.listening);
        if (t.got_password) {
            fail_msg("%s%s", plugins[i / 2], more);
        }
    }
}

/* ---- Option files and passwords ---- */

static void option_file_must_be_there_and_private(void **state)
{
    struct rig *r = *state;
    struct zdm_error err = ZDM_ERROR_INIT;
    char dsn[1024], more[2048];
    snprintf(more, sizeof more, "defaults-file=/nowhere/my.cnf");
    assert_int_equal(try_open(r, rig_dsn(r, more), &err), ZDM_UNAVAILABLE);
    assert_non_null(strstr(err.message, "/nowhere/my.cnf"));
    snprintf(dsn, sizeof dsn, "%s", rig_dsn(r, ""));
    snprintf(more, sizeof more, "%s defaults-file=%s", dsn, rig_file(r, "open.cnf", "[client]\npassword=x\n", 0644));
    assert_int_equal(try_open(r, more, &err), ZDM_REFUSED);
    snprintf(more, sizeof more, "%s group=shop", dsn);
    assert_int_equal(try_open(r, more, &err), ZDM_INVALID);
    assert_non_null(strstr(err.message, "[shop]"));
    snprintf(more, sizeof more, "%s defaults-file=%s group=shop", dsn,
             rig_file(r, "two.cnf",
                      "[client]\npassword = wrong\nuser=nobody\n[other]\npassword=other\n[shop]\n"
                      "# the one\npassword = \"zdm-test-s3cret\" # of this shard\nlocal-infile=1\n",
                      0600));
    assert_int_equal(try_open(r, more, &err), ZDM_OK);
}

static void password_is_in_no_error(void **state)
{
    struct rig *r = *state;
    static const char *const mores[] = {"port=1", "host=no-such-host.invalid", "database=nowhere", "user=nobody",
                                        "ssl-ca=/nowhere/ca.pem"};
    for (size_t i = 0; i < sizeof mores / sizeof *mores; i++) {
        struct zdm_error err = ZDM_ERROR_INIT;
        assert_int_not_equal(try_open(r, rig_dsn(r, mores[i]), &err), ZDM_OK);
        assert_true(err.message[0] != '\0');
        assert_null(strstr(err.message, "s3cret"));
        assert_null(strstr(err.detail, "s3cret"));
        assert_null(strstr(err.hint, "s3cret"));
    }
}

static void server_without_tls_is_told(void **state)
{
    struct rig *r = *state;
    struct zdm_error err = ZDM_ERROR_INIT;
    if (rig_server(r) == NULL) {
        skip();
    }
    assert_int_equal(try_open(r, rig_dsn(r, "ssl=require"), &err), ZDM_AUTH);
    assert_string_equal(err.message, "the server offers no TLS");
    assert_int_equal(try_open(r, rig_dsn(r, "ssl=verify"), &err), ZDM_AUTH);
}

static void account_without_its_password_is_refused(void **state)
{
    struct rig *r = *state;
    struct zdm_error err = ZDM_ERROR_INIT;
    char dsn[256];
    setenv("MYSQL_PWD", "zdm-test-s3cret", 1); /* is not read */
    snprintf(dsn, sizeof dsn, "mysql:host=127.0.0.1 port=%d user=zdm_agent database=%s", rig_port(r), r->database);
    assert_int_equal(try_open(r, dsn, &err), ZDM_AUTH);
    unsetenv("MYSQL_PWD");
    snprintf(dsn, sizeof dsn, "%s", rig_dsn(r, ""));
    char *database = strstr(dsn, "database=");
    memset(database, ' ', strcspn(database, " "));
    assert_int_equal(try_open(r, dsn, &err), ZDM_INVALID);
    assert_string_equal(err.message, "the connection string names no database");
}

RIG_MAIN(RIG_BASE_TEST(proxy_that_hands_statements_on_is_refused),
         RIG_BASE_TEST(password_is_never_shown_to_who_asks_for_it),
         RIG_BASE_TEST(option_file_must_be_there_and_private), RIG_BASE_TEST(password_is_in_no_error),
         RIG_BASE_TEST(server_without_tls_is_told), RIG_BASE_TEST(account_without_its_password_is_refused))
