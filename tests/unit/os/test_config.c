/*
 * test_config.c - settings from file, environment and command line; durations; what is refused and where.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buffer.h"
#include "common/os/config.h"

static struct {
    char *listen, *labels;
    int64_t slots, timeout_ms;
    bool verbose;
} got;

static const struct zdm_setting settings[] = {
    {"listen", "ZDM_TEST_LISTEN", ZDM_SETTING_TEXT, &got.listen, 0, 0, "where to listen"},
    {"labels", NULL, ZDM_SETTING_TEXT, &got.labels, 0, 0, "labels"},
    {"slots", "ZDM_TEST_SLOTS", ZDM_SETTING_COUNT, &got.slots, 1, 1000, "slots"},
    {"timeout", NULL, ZDM_SETTING_DURATION_MS, &got.timeout_ms, 10, 60000, "time-out"},
    {"verbose", NULL, ZDM_SETTING_BOOL, &got.verbose, 0, 0, "say more"},
};

enum { N_SETTINGS = sizeof settings / sizeof settings[0] };

static int forget(void **state)
{
    (void)state;
    free(got.listen);
    free(got.labels);
    memset(&got, 0, sizeof got);
    return 0;
}

/* Reads the text as a file; err has "FILE" for the file's name. */
static enum zdm_code read_text(const char *text, struct zdm_error *err)
{
    char path[] = "/tmp/zdm-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    enum zdm_code code = zdm_config_read(path, settings, N_SETTINGS, err);
    unlink(path);
    if (code != ZDM_OK && strncmp(err->message, path, strlen(path)) == 0) {
        memcpy(err->message, "FILE", 4);
        memmove(err->message + 4, err->message + strlen(path), strlen(err->message) + 1 - strlen(path));
    }
    return code;
}

static void assert_refused(const char *text, const char *message)
{
    struct zdm_error err;
    assert_int_equal(read_text(text, &err), ZDM_INVALID);
    assert_string_equal(err.message, message);
    forget(NULL);
}

static void a_file_sets_what_it_names(void **state)
{
    struct zdm_error err;
    (void)state;
    got.slots = 64;
    assert_int_equal(read_text("# the coordinator\nlisten: tcp://127.0.0.1:7000\ntimeout: 5s\nverbose: true\n"
                               "labels: [region=eu, \"tier=gold\"]\n",
                               &err),
                     ZDM_OK);
    assert_string_equal(got.listen, "tcp://127.0.0.1:7000");
    assert_string_equal(got.labels, "region=eu,tier=gold");
    assert_int_equal(got.timeout_ms, 5000);
    assert_int_equal(got.slots, 64);
    assert_true(got.verbose);
}

static void a_file_of_nothing_sets_nothing(void **state)
{
    struct zdm_error err;
    (void)state;
    assert_int_equal(read_text("", &err), ZDM_OK);
    assert_int_equal(read_text("# a comment only\n", &err), ZDM_OK);
    assert_int_equal(read_text("---\n", &err), ZDM_OK);
    assert_int_equal(zdm_config_read(NULL, settings, N_SETTINGS, &err), ZDM_OK);
    assert_int_equal(zdm_config_read("/nonexistent/zdm.yaml", settings, N_SETTINGS, &err), ZDM_NOT_FOUND);
    assert_null(got.listen);
}

static void errors_say_file_line_and_column(void **state)
{
    (void)state;
    assert_refused("listen: a\nlisen: b\n", "FILE:2:1: unknown setting \"lisen\"");
    assert_refused("slots: 5\nslots: 6\n", "FILE:2:1: this setting stands twice: \"slots\"");
    assert_refused("slots: many\n", "FILE:1:8: \"many\" is not a whole number");
    assert_refused("slots: -1\n", "FILE:1:8: \"-1\" is not a whole number");
    assert_refused("slots: 1001\n", "FILE:1:8: 1001 is out of range for \"slots\"");
    assert_refused("slots: 99999999999999999999\n", "FILE:1:8: \"99999999999999999999\" is not a whole number");
    assert_refused("timeout: 5\n", "FILE:1:10: \"5\" is not a duration");
    assert_refused("timeout: 2m\n", "FILE:1:10: 2m is out of range for \"timeout\"");
    assert_refused("verbose: yes\n", "FILE:1:10: \"verbose\" must be true or false");
    assert_refused("listen:\n", "FILE:1:8: there is no value for setting \"listen\"");
    assert_refused("slots: [1, 2]\n", "FILE:1:8: a list is not possible for setting \"slots\"");
    assert_refused("labels: [a, [b]]\n", "FILE:1:13: an item of a list must be a text without commas");
    assert_refused("listen: {a: b}\n", "FILE:1:9: only a value or a list of values may stand for \"listen\"");
    assert_refused("listen: &x a\n", "FILE:1:9: only a value or a list of values may stand for \"listen\"");
    assert_refused("listen: !!str a\n", "FILE:1:9: only a value or a list of values may stand for \"listen\"");
    assert_refused("- listen\n", "FILE:1:1: settings must be written as \"name: value\"");
    assert_refused("just text\n", "FILE:1:1: settings must be written as \"name: value\"");
    assert_refused("slots: 5\n---\nslots: 6\n", "FILE:2:1: a second document cannot follow");
}

static void what_is_not_yaml_is_refused_where_it_is_wrong(void **state)
{
    struct zdm_error err;
    (void)state;
    assert_int_equal(read_text("listen: \"never ends\nslots: 5\n", &err), ZDM_INVALID);
    assert_true(strncmp(err.message, "FILE:", 5) == 0);
    assert_int_equal(read_text("\xff\xfe\x01\x80", &err), ZDM_INVALID);
    assert_int_equal(read_text("listen: a\0b", &err), ZDM_OK); /* ends at the NUL of this test */
}

static void an_unknown_setting_is_answered_with_the_known_ones(void **state)
{
    struct zdm_error err;
    (void)state;
    assert_int_equal(read_text("x: 1\n", &err), ZDM_INVALID);
    assert_string_equal(err.hint, "Settings are: listen, labels, slots, timeout, verbose.");
}

static void the_environment_wins_over_the_file_and_the_command_line_over_both(void **state)
{
    struct zdm_error err;
    (void)state;
    assert_int_equal(read_text("listen: file\nslots: 1\n", &err), ZDM_OK);
    setenv("ZDM_TEST_LISTEN", "environment", 1);
    setenv("ZDM_TEST_SLOTS", "", 1);
    assert_int_equal(zdm_config_environment(settings, N_SETTINGS, &err), ZDM_OK);
    assert_string_equal(got.listen, "environment");
    assert_int_equal(got.slots, 1);
    assert_int_equal(zdm_config_set(&settings[0], "line", "--listen", &err), ZDM_OK);
    assert_string_equal(got.listen, "line");
    setenv("ZDM_TEST_SLOTS", "few", 1);
    assert_int_equal(zdm_config_environment(settings, N_SETTINGS, &err), ZDM_INVALID);
    assert_string_equal(err.message, "ZDM_TEST_SLOTS: \"few\" is not a whole number");
    unsetenv("ZDM_TEST_LISTEN");
    unsetenv("ZDM_TEST_SLOTS");
}

static void durations_need_a_unit(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"0", 0},        {"250ms", 250},    {"20s", 20000}, {"5m", 300000},
                {"1h", 3600000}, {"3d", 259200000}, {"0s", 0},      {"007s", 7000}};
    static const char *const bad[] = {
        "", "5", "s", "-5s", "5 s", "5S", "1.5s", "5s ", "1h30m", "999999999999999d", "9999999999999999s", "5min"};
    struct zdm_error err;
    int64_t ms = -1;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(zdm_duration_parse(good[i].text, &ms, &err), ZDM_OK);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(zdm_duration_parse(bad[i], &ms, &err), ZDM_INVALID);
}

int main(void)
{
#define T(name) cmocka_unit_test_teardown(name, forget)
    const struct CMUnitTest tests[] = {
        T(a_file_sets_what_it_names),
        T(a_file_of_nothing_sets_nothing),
        T(errors_say_file_line_and_column),
        T(what_is_not_yaml_is_refused_where_it_is_wrong),
        T(an_unknown_setting_is_answered_with_the_known_ones),
        T(the_environment_wins_over_the_file_and_the_command_line_over_both),
        T(durations_need_a_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
