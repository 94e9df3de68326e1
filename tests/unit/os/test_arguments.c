/*
 * test_arguments.c - a program's command line over its table of settings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/os/arguments.h"

enum { ROWS = 3, WORDS_MAX = 6 };

struct read {
    char *name, *file;
    int64_t max_size;
    const char *word;
    struct zdm_error err;
};

static enum zdm_code refuse_secret(const struct zdm_setting *setting, const char *value, struct zdm_error *err)
{
    bool secret = strcmp(setting->key, "name") == 0 && strcmp(value, "secret") == 0;
    return secret ? zdm_error_set(err, ZDM_INVALID, "not here") : ZDM_OK;
}

static void read_done(struct read *r)
{
    free(r->name);
    free(r->file);
}

static enum zdm_code read_words(struct read *r, bool takes_word, char *const *words)
{
    const struct zdm_setting rows[ROWS] = {
        {"name", "ZDM_TEST_NAME", ZDM_SETTING_TEXT, &r->name, 0, 0, "a name"},
        {"max_size", NULL, ZDM_SETTING_COUNT, &r->max_size, 1, 9, "a size"},
        {"config", NULL, ZDM_SETTING_TEXT, &r->file, 0, 0, "the file"},
    };
    const struct zdm_arguments arguments = {"zdm-test", rows, ROWS, refuse_secret};
    int n = 0;
    while (n < WORDS_MAX && words[n] != NULL)
        n++;
    *r = (struct read){.word = "nothing"};
    return zdm_arguments_read(&arguments, n, (char **)(uintptr_t)words, takes_word ? &r->word : NULL, &r->err);
}

static void an_option_takes_its_value_behind_an_equals_sign_or_as_the_next_word(void **state)
{
    (void)state;
    struct read r;
    assert_int_equal(read_words(&r, false, (char *[WORDS_MAX]){"--name=a=b", "--max-size", "7"}), ZDM_OK);
    assert_string_equal(r.name, "a=b");
    assert_int_equal(r.max_size, 7);
    read_done(&r);
}

static void one_word_beside_the_options_is_handed_out_and_a_lone_dash_is_one(void **state)
{
    (void)state;
    struct read r;
    assert_int_equal(read_words(&r, true, (char *[WORDS_MAX]){"--max-size", "7", "token", "--name", "x"}), ZDM_OK);
    assert_string_equal(r.word, "token");
    assert_string_equal(r.name, "x");
    read_done(&r);
    assert_int_equal(read_words(&r, true, (char *[WORDS_MAX]){"-"}), ZDM_OK);
    assert_string_equal(r.word, "-");
    read_done(&r);
    assert_int_equal(read_words(&r, true, (char *[WORDS_MAX]){"--name=x"}), ZDM_OK);
    assert_null(r.word);
    read_done(&r);
}

static void what_it_does_not_know_is_named_together_with_the_help(void **state)
{
    (void)state;
    static const struct {
        bool takes_word;
        char *words[WORDS_MAX];
        const char *message;
    } rows[] = {
        {true, {"--nam=x"}, "unknown option --nam"}, {true, {"--names=x"}, "unknown option --names"},
        {true, {"-x"}, "unknown option -x"},         {true, {"one", "two"}, "unknown argument two"},
        {false, {"one"}, "unknown argument one"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct read r;
        assert_int_equal(read_words(&r, rows[i].takes_word, rows[i].words), ZDM_INVALID);
        assert_string_equal(r.err.message, rows[i].message);
        assert_string_equal(r.err.hint, "zdm-test --help lists what there is.");
        read_done(&r);
    }
}

static void a_missing_a_wrong_and_a_refused_value_name_the_option_or_the_reason(void **state)
{
    (void)state;
    struct read r;
    assert_int_equal(read_words(&r, false, (char *[WORDS_MAX]){"--max-size"}), ZDM_INVALID);
    assert_string_equal(r.err.message, "--max-size needs a value");
    read_done(&r);
    assert_int_equal(read_words(&r, false, (char *[WORDS_MAX]){"--max-size=10"}), ZDM_INVALID);
    assert_non_null(strstr(r.err.message, "--max-size"));
    read_done(&r);
    assert_int_equal(read_words(&r, false, (char *[WORDS_MAX]){"--name=secret"}), ZDM_INVALID);
    assert_string_equal(r.err.message, "not here");
    read_done(&r);
}

static void the_environment_wins_over_the_file_and_an_option_over_both(void **state)
{
    (void)state;
    struct read r;
    char path[] = "/tmp/zdm-arguments-XXXXXX", text[] = "name: file\nmax_size: 3\n", option[64];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    snprintf(option, sizeof option, "--config=%s", path);
    assert_int_equal(read_words(&r, false, (char *[WORDS_MAX]){"--max-size=4", option}), ZDM_OK);
    assert_string_equal(r.name, "file");
    assert_int_equal(r.max_size, 4);
    read_done(&r);
    setenv("ZDM_TEST_NAME", "environment", 1);
    assert_int_equal(read_words(&r, false, (char *[WORDS_MAX]){option}), ZDM_OK);
    assert_string_equal(r.name, "environment");
    assert_int_equal(r.max_size, 3);
    read_done(&r);
    assert_int_equal(read_words(&r, false, (char *[WORDS_MAX]){option, "--name", "option"}), ZDM_OK);
    assert_string_equal(r.name, "option");
    read_done(&r);
    unsetenv("ZDM_TEST_NAME");
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_option_takes_its_value_behind_an_equals_sign_or_as_the_next_word),
        cmocka_unit_test(one_word_beside_the_options_is_handed_out_and_a_lone_dash_is_one),
        cmocka_unit_test(what_it_does_not_know_is_named_together_with_the_help),
        cmocka_unit_test(a_missing_a_wrong_and_a_refused_value_name_the_option_or_the_reason),
        cmocka_unit_test(the_environment_wins_over_the_file_and_an_option_over_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
