/*
 * test_text.c - widths, wrapping, bars, short numbers; and that foreign text cannot steer a terminal.
 */
#include "support.h"

static void control_characters_are_made_harmless(void **state)
{
    struct ctl_look look = look_of(80, true);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    (void)state;
    ctl_put(&out, &look, CTL_PLAIN,
            "a\033[31mb\007c\x9b"
            "d\r\ne\u200bf\u202eg\xff");
    assert_string_equal(zdm_buffer_text(&out), "a?[31mb?c?d  e?f?g?");
    zdm_buffer_fini(&out);
}

static void what_the_locale_cannot_show_becomes_a_question_mark(void **state)
{
    struct ctl_look look = look_of(80, false);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    (void)state;
    ctl_put(&out, &look, CTL_PLAIN, "Müller → 日本");
    assert_string_equal(zdm_buffer_text(&out), "M?ller ? ??");
    zdm_buffer_fini(&out);
}

static void width_is_columns_not_bytes(void **state)
{
    struct ctl_look look = look_of(80, true);
    (void)state;
    assert_int_equal(ctl_columns(&look, "Müller"), 6);
    assert_int_equal(ctl_columns(&look, "日本"), 4);
}

static void cells_have_exactly_their_width(void **state)
{
    static const char *const texts[] = {"", "a", "abcdef", "日本語の", "a日b本c語"};
    struct ctl_look look = look_of(80, true);
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (size_t width = 1; width < 12; width++) {
            struct zdm_buffer out = ZDM_BUFFER_INIT;
            ctl_cell(&out, &look, CTL_PLAIN, texts[i], width, width % 2 == 0);
            assert_int_equal(ctl_columns(&look, zdm_buffer_text(&out)), width);
            zdm_buffer_fini(&out);
        }
    }
}

static void wrapping_keeps_to_the_width_and_indents(void **state)
{
    struct ctl_look look = look_of(20, true);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    (void)state;
    ctl_wrap(&out, &look, CTL_PLAIN, "one two three four\nfive aVeryLongWordThatFitsNowhere six", 4, 2);
    assert_string_equal(zdm_buffer_text(&out),
                        "one two three\n  four\n  five\n  aVeryLongWordThatF\n  itsNowhere six\n");
    zdm_buffer_fini(&out);
}

static void bars_show_what_is_done(void **state)
{
    static const struct {
        int permille;
        const char *unicode, *ascii;
    } rows[] = {
        {0, "░░░░░░░░", "[------]"},    {500, "████░░░░", "[###---]"}, {1000, "████████", "[######]"},
        {2000, "████████", "[######]"}, {-1, "┄┄┄┄┄┄┄┄", "[......]"},  {33, "▎░░░░░░░", "[------]"},
    };
    struct ctl_look unicode = look_of(80, true), ascii = look_of(80, false);
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct zdm_buffer a = ZDM_BUFFER_INIT, b = ZDM_BUFFER_INIT;
        ctl_bar(&a, &unicode, rows[i].permille, 8);
        ctl_bar(&b, &ascii, rows[i].permille, 8);
        assert_string_equal(zdm_buffer_text(&a), rows[i].unicode);
        assert_string_equal(zdm_buffer_text(&b), rows[i].ascii);
        zdm_buffer_fini(&a);
        zdm_buffer_fini(&b);
    }
}

static void numbers_are_short(void **state)
{
    static const struct {
        uint64_t n;
        const char *text;
    } rows[] = {{0, "0"},         {999, "999"},     {1000, "1.00k"},   {9994, "9.99k"},       {9996, "10.0k"},
                {124000, "124k"}, {999499, "999k"}, {999500, "1.00M"}, {1840000000, "1.84G"}, {UINT64_MAX, "18.4E"}};
    char text[16];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ctl_number_text(text, sizeof text, rows[i].n);
        assert_string_equal(text, rows[i].text);
    }
}

static void times_are_short(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } rows[] = {{-5, "0 s"}, {99, "99 s"}, {100, "2 min"}, {5999, "100 min"}, {6000, "1h 40m"}, {360000, "4 d"}};
    char text[32];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ctl_seconds_text(text, sizeof text, rows[i].seconds);
        assert_string_equal(text, rows[i].text);
    }
}

static void color_is_only_for_terminals_that_want_it(void **state)
{
    struct ctl_look look;
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    ctl_look_detect(&look, file, "auto");
    assert_false(look.color);
    assert_false(look.terminal);
    ctl_look_detect(&look, file, "always");
    assert_true(look.color);
    ctl_look_detect(&look, file, "never");
    assert_false(look.color);
    fclose(file);
}

static void words_are_compared_by_their_distance(void **state)
{
    (void)state;
    assert_int_equal(ctl_distance("status", "status"), 0);
    assert_int_equal(ctl_distance("stauts", "status"), 2);
    assert_int_equal(ctl_distance("", "wait"), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_characters_are_made_harmless),
        cmocka_unit_test(what_the_locale_cannot_show_becomes_a_question_mark),
        cmocka_unit_test(width_is_columns_not_bytes),
        cmocka_unit_test(cells_have_exactly_their_width),
        cmocka_unit_test(wrapping_keeps_to_the_width_and_indents),
        cmocka_unit_test(bars_show_what_is_done),
        cmocka_unit_test(numbers_are_short),
        cmocka_unit_test(times_are_short),
        cmocka_unit_test(color_is_only_for_terminals_that_want_it),
        cmocka_unit_test(words_are_compared_by_their_distance),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
