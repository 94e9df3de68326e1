/*
 * test_options.c - argument parsing, and the selection of shards.
 */
#include "support.h"

#include "coordinator/ctl/options.h"

enum { WORDS_MAX = 16 };

/* Parses a line of words as a command's own line. */
static enum zdm_code parse_line(struct ctl_options *out, uint64_t set, const char *line, struct zdm_error *err)
{
    static char copy[512];
    char *words[WORDS_MAX + 1] = {(char *)(uintptr_t) "zdmctl"};
    int n = 1, used;
    char *rest = NULL;
    assert_true(strlen(line) < sizeof copy);
    memcpy(copy, line, strlen(line) + 1);
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        words[n++] = word;
    *out = (struct ctl_options){.n_args = 0};
    return ctl_options_parse(out, set, n, words, true, &used, err);
}

static void options_and_operands_may_mix(void **state)
{
    struct ctl_options o;
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    enum zdm_code code = parse_line(&o, CTL_SHARDS | CTL_GLOBAL, "m1 --shard a -o json -s b m2 -- --shard", &err);
    assert_int_equal(code, ZDM_OK);
    assert_int_equal(o.n_args, 3);
    assert_string_equal(ctl_operand(&o, 0), "m1");
    assert_string_equal(ctl_operand(&o, 2), "--shard");
    assert_null(ctl_operand(&o, 3));
    assert_int_equal(o.values[CTL_OPT_SHARD].n, 2);
    assert_string_equal(o.values[CTL_OPT_SHARD].items[1], "b");
    assert_string_equal(ctl_option_text(&o, CTL_OPT_OUTPUT), "json");
    ctl_options_fini(&o);
}

static void wrong_options_are_named(void **state)
{
    static const struct {
        const char *line, *message;
    } rows[] = {
        {"--nosuch", "unknown option --nosuch"},
        {"-x", "unknown option -x"},
        {"--shard", "option --shard needs an argument (NAME)"},
        {"-o", "option -o needs an argument (FORMAT)"},
        {"--all-shards=yes", "option --all-shards=yes takes no argument"},
        {"-o json -o table", "option --output is given twice"},
        {"--watch", "unknown option --watch"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ctl_options o;
        struct zdm_error err = ZDM_ERROR_INIT;
        assert_int_equal(parse_line(&o, CTL_SHARDS | CTL_GLOBAL, rows[i].line, &err), ZDM_INVALID);
        assert_string_equal(err.message, rows[i].message);
        ctl_options_fini(&o);
    }
}

static void global_options_stop_at_the_command(void **state)
{
    char *argv[] = {(char *)"zdmctl", (char *)"--coordinator", (char *)"tcp://h:1", (char *)"status",
                    (char *)"--watch"};
    struct ctl_options o = {.n_args = 0};
    struct zdm_error err = ZDM_ERROR_INIT;
    int used = 0;
    (void)state;
    assert_int_equal(ctl_options_parse(&o, CTL_GLOBAL, 5, argv, false, &used, &err), ZDM_OK);
    assert_int_equal(used, 3);
    assert_string_equal(ctl_option_text(&o, CTL_OPT_COORDINATOR), "tcp://h:1");
    ctl_options_fini(&o);
}

static void a_commands_own_option_hides_the_global_one(void **state)
{
    struct ctl_options o;
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    enum zdm_code code =
        parse_line(&o, CTL_BIT(COORDINATOR_KEY) | CTL_GLOBAL, "--coordinator a.pub --coordinator b.pub", &err);
    assert_int_equal(code, ZDM_OK);
    assert_int_equal(o.values[CTL_OPT_COORDINATOR_KEY].n, 2);
    assert_false(ctl_given(&o, CTL_OPT_COORDINATOR));
    ctl_options_fini(&o);
}

static void numbers_and_times_are_checked(void **state)
{
    struct ctl_options o;
    struct zdm_error err = ZDM_ERROR_INIT;
    int64_t limit = 7, ms = -1;
    (void)state;
    assert_int_equal(parse_line(&o, CTL_BIT(LIMIT) | CTL_BIT(TIMEOUT), "--limit 20x --timeout 5m", &err), ZDM_OK);
    assert_int_equal(ctl_option_number(&o, CTL_OPT_LIMIT, 0, 100, &limit, &err), ZDM_INVALID);
    assert_has(err.message, "--limit must be a number from 0 to 100, not \"20x\"");
    assert_int_equal(limit, 7);
    assert_int_equal(ctl_option_duration(&o, CTL_OPT_TIMEOUT, &ms, &err), ZDM_OK);
    assert_int_equal(ms, 300000);
    ctl_options_fini(&o);
}

static void exactly_one_kind_of_selection_is_taken(void **state)
{
    static const struct {
        const char *line;
        enum zdm_code code;
    } rows[] = {
        {"--all-shards", ZDM_OK},
        {"--shard a --shard b --shard a", ZDM_OK},
        {"-l tier=canary,!old", ZDM_OK},
        {"", ZDM_INVALID},
        {"--all-shards --shard a", ZDM_INVALID},
        {"--shard a -l tier=x", ZDM_INVALID},
        {"--shard A,B", ZDM_INVALID},
        {"-l =", ZDM_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ctl_options o;
        struct zdm_selection s = {.n_names = 0};
        struct zdm_error err = ZDM_ERROR_INIT;
        assert_int_equal(parse_line(&o, CTL_SHARDS, rows[i].line, &err), ZDM_OK);
        enum zdm_code code = ctl_selection_read(&o, false, "advance", &s, &err);
        if (code != rows[i].code)
            fail_msg("\"%s\" gives %s", rows[i].line, zdm_code_name(code));
        zdm_selection_fini(&s);
        ctl_options_fini(&o);
    }
}

static void a_missing_selection_says_what_to_write(void **state)
{
    struct ctl_options o = {.n_args = 0};
    struct zdm_selection s = {.n_names = 0};
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    assert_int_equal(ctl_selection_read(&o, false, "pause", &s, &err), ZDM_INVALID);
    assert_string_equal(err.message, "pause needs to know which shards");
    assert_has(err.hint, "--all-shards, --shard NAME (repeatable) or -l SELECTOR");
    assert_int_equal(ctl_selection_read(&o, true, "wait", &s, &err), ZDM_OK);
    assert_true(s.all);
    zdm_selection_fini(&s);
}

static void a_name_given_twice_counts_once(void **state)
{
    struct ctl_options o;
    struct zdm_selection s = {.n_names = 0};
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    assert_int_equal(parse_line(&o, CTL_SHARDS, "-s b -s a -s b", &err), ZDM_OK);
    assert_int_equal(ctl_selection_read(&o, false, "pause", &s, &err), ZDM_OK);
    assert_int_equal(s.n_names, 2);
    assert_false(s.all);
    assert_string_equal(s.names[0], "b");
    zdm_selection_fini(&s);
    ctl_options_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_operands_may_mix),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(global_options_stop_at_the_command),
        cmocka_unit_test(a_commands_own_option_hides_the_global_one),
        cmocka_unit_test(numbers_and_times_are_checked),
        cmocka_unit_test(exactly_one_kind_of_selection_is_taken),
        cmocka_unit_test(a_missing_selection_says_what_to_write),
        cmocka_unit_test(a_name_given_twice_counts_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
