/*
 * test_tls.c - TLS to the server: proven against a CA of our own making, encrypted without proof, or refused.
 */
#include "tests/integration/mysql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 128 };

static char folder[] = "/tmp/zdm-tls-XXXXXX";
static char options[3][PATH_SIZE];
static const char *const server_options[] = {options[0], options[1], options[2], NULL};

/* In the folder: ca.pem, other.pem, and key.pem with right.pem (for 127.0.0.1), named.pem (for another host) and
 * late.pem (of the other CA), each signed; server.pem is the one that the server has. */
static void make_certificates(void)
{
    char command[2048];
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof command,
             "cd %s && exec >log 2>&1 && set -e\n"
             "key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $1; }\n"
             "ca() { key $1.key; openssl req -x509 -new -key $1.key -subj /CN=$1 -days 2 -out $1.pem; }\n"
             "ca ca; ca other; key key.pem; openssl req -new -key key.pem -subj /CN=server -out csr\n"
             "sign() { echo \"subjectAltName=$3\" >ext; openssl x509 -req -in csr -CA $2.pem -CAkey $2.key"
             " -CAcreateserial -days 2 -extfile ext -out $1.pem; }\n"
             "sign right ca IP:127.0.0.1; sign named ca DNS:db.example; sign late other IP:127.0.0.1\n"
             "cp right.pem server.pem; chmod -R a+rX .",
             folder);
    assert_int_equal(system(command), 0);
    snprintf(options[0], PATH_SIZE, "--ssl-ca=%s/ca.pem", folder);
    snprintf(options[1], PATH_SIZE, "--ssl-cert=%s/server.pem", folder);
    snprintf(options[2], PATH_SIZE, "--ssl-key=%s/key.pem", folder);
}

static void serve_with(struct rig *r, const char *name)
{
    char command[PATH_SIZE * 2];
    snprintf(command, sizeof command, "cp %s/%s.pem %s/server.pem", folder, name, folder);
    assert_int_equal(system(command), 0);
    rig_sql(r, "FLUSH SSL");
}

/* What opening gives with that behind the connection string; encrypted (may be NULL): was it? */
static enum zdm_code try_open(struct rig *r, const char *more, bool *encrypted, struct zdm_error *err)
{
    struct mydb_session *s = rig_session(r, rig_dsn(r, more));
    enum zdm_code code = mydb_open(s, err);
    if (encrypted != NULL) {
        *encrypted = code == ZDM_OK && mysql_get_ssl_cipher(s->conn) != NULL;
    }
    rig_session_free(s);
    return code;
}

static void expect_open(struct rig *r, const char *more, bool expected)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    bool encrypted = false;
    if (try_open(r, more, &encrypted, &err) != ZDM_OK) {
        fail_msg("%s: %s (%s) %s", more, err.message, err.detail, err.hint);
    }
    assert_int_equal(encrypted, expected);
}

static void expect_refused(struct rig *r, const char *more)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    if (try_open(r, more, NULL, &err) != ZDM_AUTH) {
        fail_msg("%s: %s", more, err.code == ZDM_OK ? "was taken" : err.message);
    }
    assert_true(err.hint[0] != '\0');
}

static const char *with_ca(const char *text, const char *ca)
{
    static char more[PATH_SIZE * 2];
    snprintf(more, sizeof more, "%s ssl-ca=%s/%s.pem", text, folder, ca);
    return more;
}

static void certificate_is_proven_where_a_ca_is_named(void **state)
{
    struct rig *r = *state;
    if (rig_server(r) == NULL) {
        skip();
    }
    expect_open(r, with_ca("", "ca"), true);
    expect_open(r, with_ca("ssl=verify", "ca"), true);
    expect_refused(r, with_ca("", "other"));
    serve_with(r, "named");
    expect_refused(r, with_ca("", "ca"));
    expect_open(r, "ssl=require", true);
    serve_with(r, "late");
    expect_refused(r, with_ca("ssl=verify", "ca"));
    serve_with(r, "right");
    expect_open(r, with_ca("", "ca"), true);
}

static void unknown_certificate_is_refused_and_encryption_alone_may_be_asked_for(void **state)
{
    struct rig *r = *state;
    expect_refused(r, with_ca("", "other"));
    expect_refused(r, "ssl=verify"); /* by the CAs of the system */
    expect_open(r, "ssl=require", true);
    expect_open(r, "", true); /* offered, and taken */
    expect_open(r, "ssl=off", false);
}

static void statement_over_tls_can_be_stopped(void **state)
{
    struct rig *r = *state;
    struct zdm_error err = ZDM_ERROR_INIT;
    rig_sql(r, "CREATE TABLE n (i int PRIMARY KEY)");
    rig_sql(r, "INSERT INTO n WITH RECURSIVE q AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM q WHERE i < 900) SELECT i "
               "FROM q");
    struct mydb_session *s = rig_session(r, rig_dsn(r, "ssl=require"));
    assert_int_equal(mydb_open(s, &err), ZDM_OK);
    s->deadline_ms = mydb_now_ms() + 200;
    assert_int_equal(mydb_run(s, "SELECT COUNT(*) FROM n a, n b, n c, n d WHERE a.i + b.i + c.i + d.i = 7", NULL, &err),
                     ZDM_TIMEOUT);
    assert_true(mydb_now_ms() < s->deadline_ms + 5000);
    rig_session_free(s);
}

static int drop_folder(void)
{
    char command[PATH_SIZE];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_BASE_TEST(certificate_is_proven_where_a_ca_is_named),
        RIG_BASE_TEST(unknown_certificate_is_refused_and_encryption_alone_may_be_asked_for),
        RIG_BASE_TEST(statement_over_tls_can_be_stopped),
    };
    int failed = 0;
    make_certificates();
    for (unsigned turn = 0; rig_turn(turn, server_options); turn++) {
        failed += cmocka_run_group_tests_name(rig_turn_name(), tests, rig_group_setup, rig_group_teardown);
    }
    return failed + drop_folder();
}
