/*
 * The bytes of the plans of the runbooks under good/, pinned: what was signed yesterday compiles to the same bytes
 * today. golden/NAME.hex holds the plan's hash and its bytes; run with ZDM_GOLDEN_WRITE=1 to write them anew after a
 * change of the format that is meant.
 */
#include "tests/unit/runbook/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/os/crypto.h"
#include "proto/codec.h"

enum { CASES_MIN = 20, HEX_LINE = 60 };

static void golden_path(char *out, size_t size, const char *name)
{
    snprintf(out, size, "tests/unit/runbook/golden/%.*s.hex", (int)(strlen(name) - 3), name);
}

static char *describe(struct zdm_plan *plan, const struct zdm_buffer *bytes)
{
    char hash[ZDM_HASH_HEX_SIZE];
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    zdm_hex(hash, plan->hash.bytes, sizeof plan->hash.bytes);
    zdm_buffer_printf(&text, "%s\n", hash);
    for (size_t i = 0; i < bytes->len; i += HEX_LINE) {
        char line[2 * HEX_LINE + 1];
        zdm_hex(line, bytes->data + i, bytes->len - i < HEX_LINE ? bytes->len - i : HEX_LINE);
        zdm_buffer_printf(&text, "%s\n", line);
    }
    return zdm_buffer_take(&text);
}

static char *encode(const char *name)
{
    char path[512];
    size_t n;
    snprintf(path, sizeof path, "tests/unit/runbook/good/%s", name);
    char *text = read_source(path, &n);
    struct compiled c = compile_good(name, text);
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    zdm_plan_encode(zdm_crypto_sodium(), c.plan, &bytes);
    assert_false(bytes.failed);

    struct zdm_plan *again = NULL;
    struct zdm_error err = ZDM_ERROR_INIT;
    if (zdm_plan_decode(zdm_crypto_sodium(), bytes.data, bytes.len, &again, &err) != ZDM_OK)
        fail_msg("%s does not decode: %s %s", name, err.message, err.detail);
    assert_true(zdm_hash_equal(&again->hash, &c.plan->hash));
    zdm_plan_unref(again);

    char *described = describe(c.plan, &bytes);
    zdm_buffer_fini(&bytes);
    compiled_fini(&c);
    free(text);
    return described;
}

static void write_golden(const char *path, const char *text)
{
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", ZDM_SOURCE_DIR, path);
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void plans_have_the_bytes_that_were_pinned(void **state)
{
    (void)state;
    size_t n;
    char **names = list_source("tests/unit/runbook/good", ".md", &n);
    assert_true(n >= CASES_MIN);
    for (size_t i = 0; i < n; i++) {
        char path[512];
        char *found = encode(names[i]);
        golden_path(path, sizeof path, names[i]);
        if (getenv("ZDM_GOLDEN_WRITE") != NULL) {
            write_golden(path, found);
        } else {
            size_t length;
            char *expected = read_source(path, &length);
            if (strcmp(found, expected) != 0)
                fail_msg("the plan of %s has other bytes than %s", names[i], path);
            free(expected);
        }
        free(found);
        free(names[i]);
    }
    free(names);
}

static void the_same_runbook_gives_the_same_bytes_twice(void **state)
{
    (void)state;
    char *once = encode("rename-with-flag.md"), *twice = encode("rename-with-flag.md");
    assert_string_equal(once, twice);
    free(once);
    free(twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_have_the_bytes_that_were_pinned),
        cmocka_unit_test(the_same_runbook_gives_the_same_bytes_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
