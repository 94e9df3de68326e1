/*
 * Whatever is done to a runbook, the compiler ends with a plan or with findings inside the text: good runbooks with
 * bytes changed, removed, doubled and moved, by a generator that is the same in every run.
 */
#include "tests/unit/runbook/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 400, CHANGES_MAX = 6 };

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t below(uint64_t *state, size_t n)
{
    return n == 0 ? 0 : (size_t)(next_random(state) % n);
}

/* One change in place; the text has room for double its length. */
static size_t change(char *text, size_t n, uint64_t *state)
{
    static const char *const words[] = {
        "```",   "'",    "\"",  "(",      ")",        ";",    "--", "/*", "$$",           "{",   "}", "\n", "---\n",
        " AND ", "NEW.", "t.*", "::date", "\xc3\xa4", "\xff", "%",  ",",  "## Migrate\n", "NULL"};
    size_t at = below(state, n), length = below(state, 12);
    const char *word = words[below(state, sizeof words / sizeof words[0])];
    switch (below(state, 4)) {
    case 0:
        if (n > 0)
            text[at] = (char)next_random(state);
        return n;
    case 1:
        length = at + length > n ? n - at : length;
        memmove(text + at, text + at + length, n - at - length);
        return n - length;
    default:
        memmove(text + at + strlen(word), text + at, n - at);
        memcpy(text + at, word, strlen(word));
        return n + strlen(word);
    }
}

static uint32_t count_lines(const char *text, size_t n)
{
    uint32_t lines = 1;
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    return lines;
}

static void mutate(const char *name, const char *good, size_t n, uint64_t seed)
{
    char *text = calloc(1, 2 * n + 1024);
    uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    assert_non_null(text);
    memcpy(text, good, n);
    for (size_t i = 0, changes = 1 + below(&state, CHANGES_MAX); i < changes; i++)
        n = change(text, n, &state);
    char *exact = malloc(n + 1); /* so that reading behind the end is seen */
    assert_non_null(exact);
    memcpy(exact, text, n);
    struct compiled c = compile_text(name, exact, n);
    for (size_t i = 0; i < c.notes->n_findings; i++)
        assert_true(c.notes->findings[i].line <= count_lines(exact, n) + 1);
    compiled_fini(&c);
    free(exact);
    free(text);
}

static void mutated_runbooks_never_break_the_compiler(void **state)
{
    (void)state;
    static const char *const folders[] = {"deploy/examples", "tests/unit/runbook/good"};
    for (size_t f = 0; f < sizeof folders / sizeof folders[0]; f++) {
        size_t n;
        char **names = list_source(folders[f], ".md", &n);
        for (size_t i = 0; i < n; i++) {
            char path[512];
            size_t length;
            snprintf(path, sizeof path, "%s/%s", folders[f], names[i]);
            char *text = read_source(path, &length);
            for (uint64_t seed = 1; seed <= ROUNDS / 4; seed++)
                mutate(names[i], text, length, seed + 1000 * i);
            free(text);
            free(names[i]);
        }
        free(names);
    }
}

static void truncated_runbooks_never_break_the_compiler(void **state)
{
    (void)state;
    size_t n;
    char *text = read_source("deploy/examples/users-full-name.md", &n);
    for (size_t end = 0; end <= n; end += 3) {
        struct compiled c = compile_text("cut.md", text, end);
        compiled_fini(&c);
    }
    free(text);
}

/* SQL that was changed gives a draft that compiles, or an error with words. */
static void mutated_sql_never_breaks_the_draft(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "ALTER TABLE users RENAME COLUMN name TO full_name; ALTER TABLE \"a\" RENAME TO \"b c\";",
        "BEGIN; ALTER TABLE t ALTER COLUMN id TYPE bigint USING id::bigint; ALTER SEQUENCE t_id_seq AS bigint; COMMIT;",
        "ALTER TABLE t ADD COLUMN a text, ADD COLUMN b int NOT NULL; UPDATE t SET a = c || 'x'; ALTER TABLE t DROP c;",
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$; GRANT SELECT ON t TO r; DROP VIEW v;",
        "ALTER TABLE t ADD COLUMN n serial; CREATE TRIGGER x BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f();",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
            char text[4096] = "";
            uint64_t random = (seed + 7000 * i) * UINT64_C(0x9e3779b97f4a7c15) + 1;
            struct zdm_draft_options options = {.type = seed % 2 == 0 ? "text" : NULL};
            struct zdm_error err = ZDM_ERROR_INIT;
            char *draft = NULL;
            size_t n = strlen(texts[i]);
            memcpy(text, texts[i], n);
            for (size_t k = 0, changes = 1 + below(&random, CHANGES_MAX); k < changes; k++)
                n = change(text, n, &random);
            text[n] = '\0';
            if (zdm_runbook_draft(text, &options, &draft, &err) == ZDM_OK) {
                struct compiled c = compile_good("draft.md", draft);
                compiled_fini(&c);
            } else {
                assert_true(err.message[0] != '\0');
            }
            free(draft);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutated_runbooks_never_break_the_compiler),
        cmocka_unit_test(truncated_runbooks_never_break_the_compiler),
        cmocka_unit_test(mutated_sql_never_breaks_the_draft),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
