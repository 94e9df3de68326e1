/*
 * The bytes of the plans of the runbooks under good/, pinned: what was signed yesterday compiles to the same bytes
 * today. golden/NAME.hex holds the plan's hash and its bytes; golden/notes.txt which rules have something to say of
 * each, and which of its steps are done otherwise than written. Run with ZDM_GOLDEN_WRITE=1 to write them anew after a
 * change that is meant.
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

/* Not their words: those may be put better any day. */
static void put_notes(struct zdm_buffer *out, const char *name, const struct compiled *c)
{
    const struct zdm_notes *notes = c->notes;
    zdm_buffer_printf(out, "%s\n", name);
    for (size_t i = 0; i < notes->n_findings; i++) {
        const struct zdm_finding *f = &notes->findings[i];
        zdm_buffer_printf(out, "  %u:%u %s %s\n", f->line, f->column, zdm_level_name(f->level), f->rule);
    }
    zdm_buffer_puts(out, "  rewritten:");
    for (size_t i = 0; i < notes->n_steps; i++)
        if (notes->steps[i].rewritten)
            zdm_buffer_printf(out, " %s", zdm_plan_step(c->plan, (uint32_t)i + 1)->id);
    zdm_buffer_puts(out, "\n");
}

static void assert_steps_are_told(const char *name, const struct compiled *c)
{
    assert_int_equal(c->notes->n_steps, zdm_plan_n_steps(c->plan));
    for (size_t i = 0; i < c->notes->n_steps; i++) {
        const struct zdm_step_notes *step = &c->notes->steps[i];
        const char *id = zdm_plan_step(c->plan, (uint32_t)i + 1)->id;
        if (step->does[0] == '\0' || strchr(step->does, '\n') != NULL)
            fail_msg("%s: step %s does not say in one line what it does", name, id);
        if ((step->line == 0) != (step->column == 0))
            fail_msg("%s: step %s stands at %u:%u", name, id, step->line, step->column);
    }
}

static void rules_and_rewritten_steps_are_those_that_were_pinned(void **state)
{
    (void)state;
    static const char golden[] = "tests/unit/runbook/golden/notes.txt";
    struct zdm_buffer found = ZDM_BUFFER_INIT;
    size_t n;
    char **names = list_source("tests/unit/runbook/good", ".md", &n);
    for (size_t i = 0; i < n; i++) {
        char path[512];
        size_t length;
        snprintf(path, sizeof path, "tests/unit/runbook/good/%s", names[i]);
        char *text = read_source(path, &length);
        struct compiled c = compile_good(names[i], text);
        assert_steps_are_told(names[i], &c);
        put_notes(&found, names[i], &c);
        compiled_fini(&c);
        free(text);
        free(names[i]);
    }
    free(names);
    if (getenv("ZDM_GOLDEN_WRITE") != NULL) {
        write_golden(golden, zdm_buffer_text(&found));
    } else {
        size_t length;
        char *expected = read_source(golden, &length);
        size_t same = 0;
        while (expected[same] != '\0' && expected[same] == zdm_buffer_text(&found)[same])
            same++;
        if (strcmp(zdm_buffer_text(&found), expected) != 0)
            fail_msg("other notes than in %s, from here on: %.120s", golden, zdm_buffer_text(&found) + same);
        free(expected);
    }
    zdm_buffer_fini(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_have_the_bytes_that_were_pinned),
        cmocka_unit_test(the_same_runbook_gives_the_same_bytes_twice),
        cmocka_unit_test(rules_and_rewritten_steps_are_those_that_were_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
