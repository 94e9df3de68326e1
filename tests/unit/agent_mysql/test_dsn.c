/*
 * test_dsn.c - connection strings and option files: what is understood, what is refused, and that no value is repeated.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/engine/mysql/session/dsn.h"
#include "agent/engine/mysql/session/options.h"

static void all_keys_are_read(void **state)
{
    struct mydb_target t;
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    assert_int_equal(mydb_target_read("mysql:host=db1  port=3307 user=zdm database='my shop' socket='/a''b' "
                                      "defaults-file=/etc/my.cnf group=g ssl=require ssl-cert=/c ssl-key=/k",
                                      &t, &err),
                     ZDM_OK);
    assert_string_equal(t.host, "db1");
    assert_int_equal(t.port, 3307);
    assert_string_equal(t.user, "zdm");
    assert_string_equal(t.database, "my shop");
    assert_string_equal(t.socket, "/a'b");
    assert_string_equal(t.defaults_file, "/etc/my.cnf");
    assert_string_equal(t.group, "g");
    assert_int_equal(t.tls, MYDB_TLS_REQUIRED);
    assert_string_equal(t.ssl_cert, "/c");
    assert_string_equal(t.ssl_key, "/k");
    mydb_target_fini(&t);
}

static void the_last_of_two_counts_and_a_ca_means_verify(void **state)
{
    struct mydb_target t;
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    assert_int_equal(mydb_target_read("mysql:host=a host='' ssl-ca=/ca", &t, &err), ZDM_OK);
    assert_string_equal(t.host, "");
    assert_int_equal(t.tls, MYDB_TLS_VERIFY);
    mydb_target_fini(&t);
    assert_int_equal(mydb_target_read("mysql:ssl-ca=/ca ssl=require", &t, &err), ZDM_OK);
    assert_int_equal(t.tls, MYDB_TLS_REQUIRED);
    mydb_target_fini(&t);
    assert_int_equal(mydb_target_read("mysql:", &t, &err), ZDM_OK);
    assert_int_equal(t.tls, MYDB_TLS_UNSET);
    mydb_target_fini(&t);
}

static void what_cannot_be_meant_is_refused_without_repeating_a_value(void **state)
{
    static const char *const dsns[] = {
        "host=s3cret",
        "mysql:host=s3cret port=",
        "mysql:port=s3cret",
        "mysql:port=70000 host=s3cret",
        "mysql:port=-1 host=s3cret",
        "mysql:host='s3cret",
        "mysql:host='a's3cret user=b",
        "mysql:host=a s3cret",
        "mysql:=s3cret",
        "mysql:ssl=s3cret",
        "mysql:ssl=off ssl-ca=s3cret",
        "mysql:ssl-cert=s3cret",
        "mysql:group=s3cret",
        "mysql:passfile=s3cret",
        "mysql:password=s3cret",
        "mysql:host=a PASSWD='s3cret with blanks'",
        "mysql:user=a pwd=s3cret",
    };
    (void)state;
    for (size_t i = 0; i < sizeof dsns / sizeof *dsns; i++) {
        struct mydb_target t;
        struct zdm_error err = ZDM_ERROR_INIT;
        if (mydb_target_read(dsns[i], &t, &err) != ZDM_INVALID) {
            fail_msg("%s was taken", dsns[i]);
        }
        assert_null(strstr(err.message, "s3cret"));
        assert_null(strstr(err.hint, "s3cret"));
        assert_true(err.hint[0] != '\0');
        mydb_target_fini(&t);
    }
}

static void password_is_sent_to_the_option_file(void **state)
{
    struct mydb_target t;
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    assert_int_equal(mydb_target_read("mysql:password=x", &t, &err), ZDM_INVALID);
    assert_string_equal(err.message, "a password must not stand in the database's connection string");
    assert_non_null(strstr(err.hint, "defaults-file="));
    mydb_target_fini(&t);
}

/* ---- Option files ---- */

static enum zdm_code read_file(const char *text, unsigned mode, char *group, struct mydb_options *out,
                               struct zdm_error *err)
{
    char path[] = "/tmp/zdm-options-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    const struct mydb_target t = {.defaults_file = path, .group = group};
    enum zdm_code code = mydb_options_read(&t, out, err);
    unlink(path);
    return code;
}

static void the_group_wins_over_client_and_others_do_not_count(void **state)
{
    static const char text[] = "password=nowhere\n[client]\nuser=c\npassword=c\nport=1\n[mysqld]\nuser=d\n[shop]\n"
                               "password=s\n[client]\npassword=late\n";
    struct mydb_options o;
    struct zdm_error err = ZDM_ERROR_INIT;
    char group[] = "shop";
    (void)state;
    assert_int_equal(read_file(text, 0640, group, &o, &err), ZDM_OK);
    assert_string_equal(o.user, "c");
    assert_string_equal(o.password, "s");
    assert_string_equal(o.port, "1");
    assert_null(o.host);
    mydb_options_fini(&o);
    assert_int_equal(read_file(text, 0600, NULL, &o, &err), ZDM_OK);
    assert_string_equal(o.password, "late");
    mydb_options_fini(&o);
}

static void values_are_quoted_and_escaped_as_the_servers_clients_write_them(void **state)
{
    static const struct {
        const char *line, *value;
    } rows[] = {{"password=plain", "plain"},
                {"password = blank ", "blank"},
                {"password=cut # here", "cut"},
                {"password='with # and ; inside'", "with # and ; inside"},
                {"password=\"a'b\"", "a'b"},
                {"password=back\\\\slash\\sand", "back\\slash and"},
                {"password='tail\\''", "tail'"},
                {"password=a=b", "a=b"},
                {"password=", ""}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mydb_options o;
        struct zdm_error err = ZDM_ERROR_INIT;
        char text[128];
        snprintf(text, sizeof text, "[client]\n# password=no\n; password=no\n%s\r\nlocal-infile\ninit-command=x\n",
                 rows[i].line);
        assert_int_equal(read_file(text, 0600, NULL, &o, &err), ZDM_OK);
        assert_string_equal(o.password, rows[i].value);
        mydb_options_fini(&o);
    }
}

static void file_that_others_can_read_or_that_includes_one_is_refused(void **state)
{
    struct mydb_options o;
    struct zdm_error err = ZDM_ERROR_INIT;
    char group[] = "none";
    (void)state;
    assert_int_equal(read_file("[client]\npassword=s3cret\n", 0644, NULL, &o, &err), ZDM_REFUSED);
    assert_int_equal(read_file("[client]\npassword=s3cret\n", 0602, NULL, &o, &err), ZDM_REFUSED);
    assert_int_equal(read_file("[client]\npassword=s3cret\n!include /etc/x\n", 0600, NULL, &o, &err), ZDM_REFUSED);
    assert_int_equal(read_file("[client]\npassword=s3cret\n", 0600, group, &o, &err), ZDM_INVALID);
    assert_non_null(strstr(err.message, "[none]"));
    const struct mydb_target gone = {.defaults_file = (char[]){"/nowhere/my.cnf"}};
    assert_int_equal(mydb_options_read(&gone, &o, &err), ZDM_UNAVAILABLE);
    const struct mydb_target folder = {.defaults_file = (char[]){"/tmp"}};
    assert_int_equal(mydb_options_read(&folder, &o, &err), ZDM_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_keys_are_read),
        cmocka_unit_test(the_last_of_two_counts_and_a_ca_means_verify),
        cmocka_unit_test(what_cannot_be_meant_is_refused_without_repeating_a_value),
        cmocka_unit_test(password_is_sent_to_the_option_file),
        cmocka_unit_test(the_group_wins_over_client_and_others_do_not_count),
        cmocka_unit_test(values_are_quoted_and_escaped_as_the_servers_clients_write_them),
        cmocka_unit_test(file_that_others_can_read_or_that_includes_one_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
