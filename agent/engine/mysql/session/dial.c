/*
 * dial.c - opening a connection to the server: options, TLS, logging in, all without blocking (wire.h).
 *
 * What the library would do by default is unsafe (reliability.md C6): it hands out local files, proves no certificate,
 * waits for ever, and takes whatever way to log in the server asks for.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/session/options.h"
#include "agent/engine/mysql/session/wire.h"

enum {
    STACK_BYTES = 256 * 1024, /* of the library's coroutine: a TLS handshake runs in it */
    PEEK_MS = 5,              /* between two looks at a greeting of which only a part is there */
    BLOCKING_S = 5            /* of what the library does without being asked: saying good-bye */
};

/* Ways to log in that never show the password to whoever listens. caching_sha2_password gives it to a server that it
 * trusts: one that is reached over TLS, a socket of this machine, or asked for its public key. */
static const char logins[] =
    "mysql_native_password,client_ed25519,parsec,caching_sha2_password,auth_socket,unix_socket";
static const char logins_in_the_clear[] = "mysql_native_password,client_ed25519,parsec";

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void start_library(void)
{
    mysql_library_init(0, NULL, NULL);
}

/* What DSN and option file say together; the DSN wins. */
struct where {
    const char *host, *user, *database, *socket, *ca, *cert, *key;
    unsigned port;
    bool by_socket, local; /* local: this machine, a socket or the loopback */
    enum mydb_tls tls;
};

static const char *first(const char *a, const char *b)
{
    return a != NULL ? a : b;
}

static bool is_loopback(const char *host)
{
    return host == NULL || strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

static struct where where_to(const struct mydb_target *t, const struct mydb_options *o)
{
    struct where w = {.host = first(t->host, o->host),
                      .user = first(t->user, o->user),
                      .database = first(t->database, o->database),
                      .ca = first(t->ssl_ca, o->ssl_ca),
                      .cert = first(t->ssl_cert, o->ssl_cert),
                      .key = first(t->ssl_key, o->ssl_key),
                      .tls = t->tls};
    w.socket = t->socket != NULL ? t->socket : t->host == NULL ? o->socket : NULL;
    w.port = t->port != 0 || o->port == NULL ? t->port : (unsigned)strtoul(o->port, NULL, 10);
    w.by_socket = w.socket != NULL || w.host == NULL || strcmp(w.host, "localhost") == 0;
    w.local = w.by_socket || is_loopback(w.host);
    if (w.tls == MYDB_TLS_UNSET && !w.by_socket) {
        w.tls = w.ca != NULL ? MYDB_TLS_VERIFY : w.local ? MYDB_TLS_UNSET : MYDB_TLS_REQUIRED;
    }
    return w;
}

static void set_flag(MYSQL *conn, enum mysql_option option, my_bool on)
{
    mysql_options(conn, option, &on);
}

static void set_tls(MYSQL *conn, const struct where *w)
{
    if (w->tls == MYDB_TLS_OFF || (w->tls == MYDB_TLS_UNSET && w->by_socket)) {
        return;
    }
    set_flag(conn, MYSQL_OPT_SSL_ENFORCE, 1);
    set_flag(conn, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, w->tls == MYDB_TLS_VERIFY);
    mysql_options(conn, MARIADB_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3");
    if (w->ca != NULL) {
        mysql_options(conn, MYSQL_OPT_SSL_CA, w->ca);
    }
    if (w->cert != NULL) {
        mysql_options(conn, MYSQL_OPT_SSL_CERT, w->cert);
        mysql_options(conn, MYSQL_OPT_SSL_KEY, first(w->key, w->cert));
    }
}

static void set_options(MYSQL *conn, const struct mydb_session *s, const struct where *w)
{
    unsigned connect_s = (s->target->connect_timeout_ms + 999) / 1000;
    unsigned blocking_s = BLOCKING_S;
    mysql_options(conn, MYSQL_OPT_NONBLOCK, &(size_t){STACK_BYTES});
    mysql_options(conn, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    mysql_options(conn, MYSQL_OPT_READ_TIMEOUT, &blocking_s);
    mysql_options(conn, MYSQL_OPT_WRITE_TIMEOUT, &blocking_s);
    mysql_options(conn, MYSQL_OPT_LOCAL_INFILE, &(unsigned){0});
    set_flag(conn, MYSQL_OPT_RECONNECT, 0);
    mysql_options(conn, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options4(conn, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", s->target->application_name);
    bool clear = w->tls == MYDB_TLS_OFF && !w->local;
    mysql_options(conn, MARIADB_OPT_RESTRICTED_AUTH, clear ? logins_in_the_clear : logins);
    set_tls(conn, w);
}

/* A peer that is gone is noticed also where no deadline runs. */
static void keep_alive(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {{SOL_SOCKET, SO_KEEPALIVE, 1},
                   {IPPROTO_TCP, TCP_KEEPIDLE, 10},
                   {IPPROTO_TCP, TCP_KEEPINTVL, 3},
                   {IPPROTO_TCP, TCP_KEEPCNT, 3},
                   {IPPROTO_TCP, TCP_USER_TIMEOUT, 15000}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
    }
}

/* The library makes its TLS handshake with a blocking socket and no limit of its own. */
static void bound_waits(int fd, int64_t deadline_ms)
{
    int64_t left_ms = deadline_ms - mydb_now_ms();
    left_ms = left_ms < 1 ? 1 : left_ms;
    const struct timeval limit = {.tv_sec = (time_t)(left_ms / 1000), .tv_usec = (suseconds_t)(left_ms % 1000 * 1000)};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

/* … and with TLS it would go on blocking in every later read, where nobody could wake it. */
static void never_block(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0) {
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    }
}

static enum zdm_code no_tls(struct zdm_error *err)
{
    zdm_error_set(err, ZDM_AUTH, "the server offers no TLS");
    return zdm_error_hint(err, "Give the server a certificate, or write ssl=off where the network is trusted.");
}

static enum zdm_code refused(MYSQL *conn, const struct where *w, struct zdm_error *err)
{
    enum zdm_code code = mydb_classify(conn, err);
    zdm_error_wrap(err, "could not connect to the database");
    switch (mysql_errno(conn)) {
    case 2026:
        return zdm_error_hint(err, w->tls == MYDB_TLS_VERIFY
                                       ? "The certificate must be signed by ssl-ca and name the host of the DSN."
                                       : "Compare what TLS the server offers; ssl=off where the network is trusted.");
    case 5010: /* the library's words would show bytes of what it sent */
        zdm_error_set(err, ZDM_AUTH, "could not connect to the database: its way to log in is not one that is used");
        return zdm_error_hint(err, "It would show the password, or needs TLS (ssl=verify, ssl-ca=…). Used are "
                                   "mysql_native_password, ed25519 and caching_sha2_password.");
    case 2061:
        return zdm_error_hint(err, "The account's way to log in needs TLS: ssl=verify, ssl-ca=…");
    case 1045:
    case 1698:
        return zdm_error_hint(err, "The password comes from the defaults-file of the DSN alone.");
    default:
        return code;
    }
}

/* What the server can do stands behind its version, the connection's number and half of a challenge. 0: too few bytes;
 * -1: no greeting, the library will say what it is. */
static int offers_tls(const unsigned char *bytes, size_t n)
{
    enum { HEADER = 4, PROTOCOL = 10, BEHIND_VERSION = 4 + 8 + 1, CAN_TLS = 0x0800 };
    if (n > HEADER && bytes[HEADER] != PROTOCOL) {
        return -1;
    }
    const unsigned char *end = n > HEADER ? memchr(bytes + HEADER, '\0', n - HEADER) : NULL;
    size_t at = end == NULL ? n : (size_t)(end + 1 - bytes) + BEHIND_VERSION;
    if (at + 2 > n) {
        return 0;
    }
    return ((bytes[at] | bytes[at + 1] << 8) & CAN_TLS) != 0 ? 1 : 2;
}

/* Where the server offers no TLS, the library goes on in the clear, and yet takes the connection for a safe one: it
 * would hand out the password as it is. So the greeting is looked at before the library reads it; it may answer it in
 * one go, without coming back to us. */
static enum zdm_code look_at_greeting(struct mydb_session *s, MYSQL *conn, const struct where *w, int64_t deadline_ms,
                                      bool listen, struct zdm_error *err)
{
    int fd = mysql_get_socket(conn), offer = 0;
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0) {
        return ZDM_OK; /* not connected: reading would take the reason away from the library */
    }
    while (offer == 0) {
        unsigned char bytes[512];
        enum mydb_woken woken = mydb_wait(s, fd, POLLIN, deadline_ms, INT64_MAX, listen);
        ssize_t n = woken == MYDB_READY ? recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT) : 0;
        if (n <= 0 || n == (ssize_t)sizeof bytes) {
            return ZDM_OK; /* late, given up, closed or nothing that we know: the library tells */
        }
        offer = offers_tls(bytes, (size_t)n);
        if (offer == 0 && mydb_wait(s, -1, 0, mydb_now_ms() + PEEK_MS, INT64_MAX, listen) == MYDB_GIVE_UP) {
            return ZDM_OK;
        }
        if (offer == 0 && mydb_now_ms() >= deadline_ms) {
            return ZDM_OK;
        }
    }
    if (offer == 2) {
        set_flag(conn, MYSQL_OPT_SSL_ENFORCE, 0);
    }
    return offer == 2 && w->tls >= MYDB_TLS_REQUIRED ? no_tls(err) : ZDM_OK;
}

static short events_of(int status)
{
    return (short)(((status & MYSQL_WAIT_READ) != 0 ? POLLIN : 0) | ((status & MYSQL_WAIT_WRITE) != 0 ? POLLOUT : 0) |
                   ((status & MYSQL_WAIT_EXCEPT) != 0 ? POLLPRI : 0));
}

static enum zdm_code log_in(struct mydb_session *s, MYSQL *conn, const struct where *w, const char *password,
                            int64_t deadline_ms, bool listen, struct zdm_error *err)
{
    MYSQL *done = NULL;
    /* Rows found, not rows changed: a batch counts the same on PostgreSQL. One statement a call. Without a password the
     * library would take one from the environment, where other users of this machine may see it. */
    int status = mysql_real_connect_start(&done, conn, w->host, w->user, password, w->database, w->port, w->socket,
                                          CLIENT_FOUND_ROWS);
    bool greeted = w->by_socket || w->tls == MYDB_TLS_OFF;
    while (status != 0) {
        int fd = mysql_get_socket(conn);
        bound_waits(fd, deadline_ms);
        switch (mydb_wait(s, fd, events_of(status), deadline_ms, INT64_MAX, listen)) {
        case MYDB_GIVE_UP:
            return zdm_error_set(err, ZDM_CANCELLED, "cancelled");
        case MYDB_LATE:
            return zdm_error_set(err, ZDM_UNAVAILABLE, "could not connect to the database within %u ms",
                                 (unsigned)s->target->connect_timeout_ms);
        case MYDB_READY:
        case MYDB_LOOK:
            break;
        }
        if (!greeted && look_at_greeting(s, conn, w, deadline_ms, listen, err) != ZDM_OK) {
            return err->code;
        }
        greeted = true;
        status = mysql_real_connect_cont(&done, conn, status & ~MYSQL_WAIT_TIMEOUT);
    }
    if (done == NULL) {
        return refused(conn, w, err);
    }
    return w->tls >= MYDB_TLS_REQUIRED && mysql_get_ssl_cipher(conn) == NULL ? no_tls(err) : ZDM_OK;
}

MYSQL *mydb_dial(struct mydb_session *s, int64_t deadline_ms, bool listen, struct zdm_error *err)
{
    struct mydb_options options;
    pthread_once(&library_once, start_library);
    if (mydb_options_read(s->target, &options, err) != ZDM_OK) {
        return NULL;
    }
    MYSQL *conn = mysql_init(NULL);
    if (conn == NULL) {
        mydb_options_fini(&options);
        zdm_error_set(err, ZDM_NOMEM, "out of memory");
        return NULL;
    }
    const struct where w = where_to(s->target, &options);
    set_options(conn, s, &w);
    enum zdm_code code = log_in(s, conn, &w, first(options.password, ""), deadline_ms, listen, err);
    mydb_options_fini(&options);
    if (code != ZDM_OK) {
        mydb_hang_up(conn, true);
        return NULL;
    }
    keep_alive(mysql_get_socket(conn));
    never_block(mysql_get_socket(conn));
    return conn;
}

void mydb_hang_up(MYSQL *conn, bool abruptly)
{
    if (conn == NULL) {
        return;
    }
    if (abruptly) {
        (void)mariadb_cancel(conn);
    }
    mysql_close(conn);
}
