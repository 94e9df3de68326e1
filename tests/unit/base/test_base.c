/*
 * test_base.c - errors, buffers, ids and their text forms, names, selectors, back-off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/backoff.h"
#include "common/base/buffer.h"
#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/selector.h"

static void every_code_has_its_name_in_lower_case_and_a_text(void **state)
{
    static const char *const codes[] = {
#define X(name, class, text) #name,
        ZDM_CODES(X)
#undef X
    };
    (void)state;
    for (int code = 0; code < ZDM_CODE_COUNT; code++) {
        const char *name = zdm_code_name((enum zdm_code)code);
        assert_int_equal(strlen(name), strlen(codes[code]));
        for (size_t i = 0; name[i] != '\0'; i++)
            assert_int_equal(name[i], tolower((unsigned char)codes[code][i]));
        assert_true(zdm_code_text((enum zdm_code)code)[0] != '\0');
    }
    assert_int_equal(zdm_code_class(ZDM_LOCK), ZDM_CLASS_RETRY);
    assert_int_equal(zdm_code_class(ZDM_FENCED), ZDM_CLASS_FENCE);
    assert_int_equal(zdm_code_class((enum zdm_code)999), ZDM_CLASS_BUG);
    assert_string_equal(zdm_code_name((enum zdm_code)999), "?");
}

static void an_error_is_wrapped_from_the_inside_out(void **state)
{
    struct zdm_error err;
    (void)state;
    assert_int_equal(zdm_error_system(&err, ZDM_IO, ENOENT, "could not open \"%s\"", "f"), ZDM_IO);
    assert_string_equal(err.message, "could not open \"f\": No such file or directory");
    assert_int_equal(err.sys_errno, ENOENT);
    assert_int_equal(zdm_error_hint(&err, "Make it."), ZDM_IO);
    assert_int_equal(zdm_error_wrap(&err, "while reading %d files", 2), ZDM_IO);
    assert_string_equal(err.message, "while reading 2 files: could not open \"f\": No such file or directory");
    assert_string_equal(err.hint, "Make it.");
    assert_false(err.truncated);
    assert_int_equal(zdm_error_set(&err, ZDM_FULL, "anew"), ZDM_FULL);
    assert_string_equal(err.hint, "");
    assert_int_equal(err.sys_errno, 0);
}

static void a_text_that_does_not_fit_an_error_is_cut_and_marked(void **state)
{
    struct zdm_error err;
    char text[2 * ZDM_MESSAGE_MAX];
    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    zdm_error_set(&err, ZDM_BUG, "%s", text);
    assert_true(err.truncated);
    assert_int_equal(strlen(err.message), ZDM_MESSAGE_MAX - 1);
    zdm_error_set(&err, ZDM_BUG, "short");
    assert_false(err.truncated);
    zdm_error_wrap(&err, "%s", text);
    assert_true(err.truncated);
}

static void a_buffer_grows_to_its_limit_and_no_further(void **state)
{
    struct zdm_buffer b;
    (void)state;
    zdm_buffer_init(&b, 1000);
    assert_string_equal(zdm_buffer_text(&b), "");
    for (int i = 0; i < 250; i++)
        zdm_buffer_printf(&b, "%03d,", i);
    assert_false(b.failed);
    assert_int_equal(b.len, 1000);
    zdm_buffer_puts(&b, "");
    assert_false(b.failed);
    zdm_buffer_puts(&b, "x");
    assert_true(b.failed);
    assert_int_equal(b.len, 1000);
    zdm_buffer_append(&b, "", 0);
    assert_true(b.failed); /* until it is reset */
    assert_null(zdm_buffer_take(&b));
    zdm_buffer_puts(&b, "again");
    char *text = zdm_buffer_take(&b);
    assert_string_equal(text, "again");
    free(text);
    zdm_buffer_fini(&b);
}

static void an_empty_buffer_is_taken_as_an_empty_text(void **state)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    (void)state;
    char *text = zdm_buffer_take(&b);
    assert_string_equal(text, "");
    free(text);
    zdm_buffer_fini(NULL);
}

static void texts_are_copied_whole_or_cut_and_terminated(void **state)
{
    char out[4];
    (void)state;
    assert_true(zdm_copy_text(out, sizeof out, "abc"));
    assert_string_equal(out, "abc");
    assert_false(zdm_copy_text(out, sizeof out, "abcd"));
    assert_string_equal(out, "abc");
    assert_null(zdm_strdup(NULL));
}

static void an_array_is_reserved_in_powers(void **state)
{
    int *numbers = NULL;
    size_t cap = 0;
    (void)state;
    for (size_t n = 1; n <= 100; n++) {
        assert_true(ZDM_RESERVE(numbers, cap, n));
        assert_true(cap >= n);
        numbers[n - 1] = (int)n;
    }
    assert_int_equal(cap, 128);
    assert_int_equal(numbers[99], 100);
    assert_false(zdm_reserve((void **)&numbers, &cap, SIZE_MAX / 4, 1024));
    assert_int_equal(cap, 128);
    free(numbers);
}

static void hexadecimal_goes_both_ways(void **state)
{
    uint8_t bytes[3];
    char text[7];
    (void)state;
    assert_true(zdm_unhex(bytes, 3, "00aBff"));
    zdm_hex(text, bytes, 3);
    assert_string_equal(text, "00abff");
    assert_false(zdm_unhex(bytes, 3, "00abf"));
    assert_false(zdm_unhex(bytes, 3, "00abff0"));
    assert_false(zdm_unhex(bytes, 3, "00abfg"));
}

/* RFC 4648, section 10, in the alphabet of section 5 and without padding. */
static void base64url_is_that_of_rfc_4648(void **state)
{
    static const struct {
        const char *bytes, *text;
    } rows[] = {{"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
                {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff", "-_8"}};
    char text[16], bytes[16];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n = strlen(rows[i].bytes);
        zdm_base64url(text, rows[i].bytes, n);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(zdm_unbase64url(bytes, sizeof bytes, text), n);
        assert_memory_equal(bytes, rows[i].bytes, n);
    }
}

static void base64url_that_is_not_canonical_is_refused(void **state)
{
    static const char *const bad[] = {"A", "Zh", "Zm9", "Zg==", "Zm+v", "Zm/v", "Zm 9v", "AAAAA"};
    char bytes[16];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(zdm_unbase64url(bytes, sizeof bytes, bad[i]), -1);
    assert_int_equal(zdm_unbase64url(bytes, 2, "Zm9v"), -1); /* does not fit */
    assert_int_equal(zdm_unbase64url(bytes, 3, "Zm9v"), 3);
}

static void names_are_safe_everywhere(void **state)
{
    static const char *const good[] = {"a", "0", "users-full-name", "a.b_c-9"};
    static const char *const bad[] = {"", "-a", ".a", "_a", "A", "a b", "a/b", "a\n", "\xc3\xa4", "a;b", "a'"};
    char longest[ZDM_NAME_MAX + 2];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(zdm_name_is_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(zdm_name_is_valid(bad[i]));
    memset(longest, 'a', sizeof longest);
    longest[ZDM_NAME_MAX + 1] = '\0';
    assert_false(zdm_name_is_valid(longest));
    longest[ZDM_NAME_MAX] = '\0';
    assert_true(zdm_name_is_valid(longest));
}

static void labels_are_unique_and_valid(void **state)
{
    static const char *const bad[] = {"", "a", "a=", "=b", "a=b,c=d", "a!=b", "!a", "A=b", "a=B", "shard=x"};
    struct zdm_labels labels = {.n = 0};
    struct zdm_error err;
    char text[32];
    (void)state;
    assert_int_equal(zdm_labels_add(&labels, "region=eu", &err), ZDM_OK);
    assert_int_equal(zdm_labels_add(&labels, "region=us", &err), ZDM_EXISTS);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(zdm_labels_add(&labels, bad[i], &err), ZDM_INVALID);
    assert_string_equal(zdm_labels_get(&labels, "region"), "eu");
    assert_null(zdm_labels_get(&labels, "tier"));
    for (int i = 1; i < ZDM_LABELS_MAX; i++) {
        snprintf(text, sizeof text, "k%d=v", i);
        assert_int_equal(zdm_labels_add(&labels, text, &err), ZDM_OK);
    }
    assert_int_equal(zdm_labels_add(&labels, "one=more", &err), ZDM_LIMIT);
}

static void a_selector_chooses_where_all_terms_hold(void **state)
{
    static const struct {
        const char *selector;
        bool matches;
    } rows[] = {
        {"", true},
        {"region=eu", true},
        {"region=us", false},
        {"region!=us", true},
        {"region!=eu", false},
        {"none!=x", true}, /* what is absent is not equal */
        {"none=x", false},
        {"tier", true},
        {"!tier", false},
        {"!none", true},
        {"none", false},
        {"region=eu,tier=gold", true},
        {"region=eu, tier=gold ,!none", true},
        {"region=eu,tier=silver", false},
        {"shard=shop-1", true},
        {"shard!=shop-1", false},
        {"shard", true},
    };
    struct zdm_labels labels = {.n = 0};
    struct zdm_error err;
    (void)state;
    assert_int_equal(zdm_labels_add(&labels, "region=eu", &err), ZDM_OK);
    assert_int_equal(zdm_labels_add(&labels, "tier=gold", &err), ZDM_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(zdm_selector_check(rows[i].selector, &err), ZDM_OK);
        assert_int_equal(zdm_selector_matches(rows[i].selector, "shop-1", &labels), rows[i].matches);
    }
}

static void what_is_no_selector_matches_nothing(void **state)
{
    static const char *const bad[] = {"=", "a=", "=b", "!", "a==b", "a b", "region=eu,,tier", ",", "A", "!a=b"};
    struct zdm_labels labels = {.n = 0};
    struct zdm_error err;
    char huge[300];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(zdm_selector_check(bad[i], &err), ZDM_INVALID);
        assert_false(zdm_selector_matches(bad[i], "s", &labels));
    }
    memset(huge, 'a', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    assert_int_equal(zdm_selector_check(huge, &err), ZDM_INVALID);
}

static void back_off_stays_between_half_the_base_and_the_cap(void **state)
{
    (void)state;
    for (unsigned failures = 1; failures < 100; failures++) {
        for (uint64_t random = 0; random < 64; random++) {
            int64_t ms = zdm_backoff_ms(failures, 1000, 30000, random * UINT64_C(0x9e3779b97f4a7c15));
            int64_t top = failures < 6 ? INT64_C(1000) << (failures - 1) : 30000;
            assert_true(ms >= 500 && ms <= top);
        }
    }
    assert_int_equal(zdm_backoff_ms(1, 1000, 30000, 0), 500);
    assert_int_equal(zdm_backoff_ms(2, 1000, 30000, 1500), 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_name_in_lower_case_and_a_text),
        cmocka_unit_test(an_error_is_wrapped_from_the_inside_out),
        cmocka_unit_test(a_text_that_does_not_fit_an_error_is_cut_and_marked),
        cmocka_unit_test(a_buffer_grows_to_its_limit_and_no_further),
        cmocka_unit_test(an_empty_buffer_is_taken_as_an_empty_text),
        cmocka_unit_test(texts_are_copied_whole_or_cut_and_terminated),
        cmocka_unit_test(an_array_is_reserved_in_powers),
        cmocka_unit_test(hexadecimal_goes_both_ways),
        cmocka_unit_test(base64url_is_that_of_rfc_4648),
        cmocka_unit_test(base64url_that_is_not_canonical_is_refused),
        cmocka_unit_test(names_are_safe_everywhere),
        cmocka_unit_test(labels_are_unique_and_valid),
        cmocka_unit_test(a_selector_chooses_where_all_terms_hold),
        cmocka_unit_test(what_is_no_selector_matches_nothing),
        cmocka_unit_test(back_off_stays_between_half_the_base_and_the_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
