/*
 * test_walk_sql.c - the text of a walk's statements: cursors, spans, and what an UPDATE of a batch says.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/walk/walk_sql.h"

static void column(struct mydb_key *key, const char *name, enum mydb_family family, const char *type)
{
    struct mydb_column *c = &key->columns[key->n++];
    zdm_copy_text(c->name, sizeof c->name, name);
    zdm_copy_text(c->type, sizeof c->type, type);
    zdm_copy_text(c->base, sizeof c->base, type);
    c->base[strcspn(c->base, "( ")] = '\0';
    c->family = family;
    zdm_copy_text(key->index, sizeof key->index, "PRIMARY");
}

static char *compare(const struct mydb_key *key, const char *op, const char *cursor)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    enum zdm_code code = mydb_put_compare(&b, key, "t.", op, cursor, &err);
    if (code == ZDM_OK) {
        return zdm_buffer_take(&b);
    }
    zdm_buffer_fini(&b);
    return NULL;
}

static void assert_compare(const struct mydb_key *key, const char *op, const char *cursor, const char *expected)
{
    char *text = compare(key, op, cursor);
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void composite_key_is_compared_in_its_expanded_form(void **state)
{
    struct mydb_key key = {0};
    (void)state;
    column(&key, "a", MYDB_INTEGER, "bigint(20) unsigned");
    assert_compare(&key, ">", "[\"18446744073709551615\"]", "(t.`a` > 18446744073709551615)");
    column(&key, "b", MYDB_DECIMAL, "decimal(9,2)");
    assert_compare(&key, ">", "[\"1\",\"-2.50\"]", "(t.`a` > 1 OR (t.`a` = 1 AND t.`b` > -2.50))");
    column(&key, "c`d", MYDB_INTEGER, "int");
    assert_compare(&key, "<=", "[\"1\",\"2.50\",\"3\"]",
                   "(t.`a` < 1 OR (t.`a` = 1 AND (t.`b` < 2.50 OR (t.`b` = 2.50 AND t.`c``d` <= 3))))");
    assert_compare(&key, "=", "[\"1\",\"2.50\",\"3\"]", "(t.`a` = 1 AND t.`b` = 2.50 AND t.`c``d` = 3)");
}

static void binary_key_is_written_in_hexadecimal(void **state)
{
    struct mydb_key key = {0};
    (void)state;
    column(&key, "id", MYDB_BINARY, "binary(4)");
    assert_compare(&key, ">", "[\"00FF27AA\"]", "(t.`id` > X'00FF27AA')");
    assert_compare(&key, ">", "[\"\"]", "(t.`id` > X'')");
}

/* Only a list of its numbers is a range of the index. */
static void enum_is_compared_by_the_list_of_its_numbers(void **state)
{
    struct mydb_key key = {0};
    (void)state;
    column(&key, "m", MYDB_ENUM, "enum('b','a','it''s')");
    assert_compare(&key, ">", "[\"1\"]", "(t.`m` IN (2, 3))");
    assert_compare(&key, ">", "[\"3\"]", "(FALSE)");
    assert_compare(&key, "<=", "[\"2\"]", "(t.`m` IN (0, 1, 2))");
    assert_compare(&key, "<", "[\"0\"]", "(FALSE)");
    assert_compare(&key, "=", "[\"2\"]", "(t.`m` IN (2))");
}

static void text_key_is_a_literal_in_its_own_collation(void **state)
{
    struct mydb_key key = {0};
    (void)state;
    column(&key, "id", MYDB_TEXT, "varchar(20)");
    zdm_copy_text(key.columns[0].charset, sizeof key.columns[0].charset, "utf8mb4");
    zdm_copy_text(key.columns[0].collation, sizeof key.columns[0].collation, "utf8mb4_general_ci");
    assert_compare(&key, ">", "[\"it's \\\\ \\\"é\\\" \"]", "(t.`id` > 'it''s \\ \"é\" ' COLLATE utf8mb4_general_ci)");
}

static void cursor_that_does_not_fit_the_key_is_refused(void **state)
{
    struct mydb_key key = {0};
    static const char *const bad[] = {"", "1", "[]", "[1]", "[\"1\",\"2\"]", "{\"a\":1}", "[\"1\"", "null"};
    (void)state;
    column(&key, "id", MYDB_INTEGER, "int");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(compare(&key, ">", bad[i]));
    }
}

static void cursor_comes_back_as_it_was_written(void **state)
{
    struct mydb_key key = {0};
    char a[] = "it's \"é\"\0\n\\", b[] = "00FF";
    char *cells[] = {b, a};
    size_t lens[] = {4, sizeof a - 1};
    char **row[] = {cells};
    size_t *len[] = {lens};
    struct mydb_rows rows = {.n = 1, .columns = 2, .row = row, .len = len};
    struct zdm_error err = ZDM_ERROR_INIT;
    char *cursor = NULL;
    (void)state;
    column(&key, "b", MYDB_BINARY, "varbinary(9)");
    column(&key, "a", MYDB_TEXT, "varchar(20)");
    assert_int_equal(mydb_cursor_of(&key, &rows, 0, 0, &cursor, &err), ZDM_OK);
    assert_string_equal(cursor, "[\"00FF\",\"it's \\\"é\\\"\\u0000\\n\\\\\"]");
    char *text = compare(&key, "=", cursor);
    /* A NUL stands in no literal. */
    assert_non_null(strstr(text, "t.`b` = X'00FF' AND t.`a` = CONVERT(X'6974277320"));
    free(text);
    free(cursor);
}

static void chunk_ends_by_rows_and_never_by_distance(void **state)
{
    struct mydb_key key = {0};
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_buffer from = ZDM_BUFFER_INIT, sql = ZDM_BUFFER_INIT;
    (void)state;
    column(&key, "id", MYDB_INTEGER, "int");
    mydb_put_walked(&from, "users", &key);
    struct mydb_span span = {.after = "[\"5\"]", .to = "[\"90\"]"};
    assert_int_equal(mydb_walk_end_text(&sql, zdm_buffer_text(&from), &key, span, 100, &err), ZDM_OK);
    assert_string_equal(zdm_buffer_text(&sql),
                        "SELECT t.`id` FROM `users` AS t FORCE INDEX (`PRIMARY`) WHERE (t.`id` > 5) AND (t.`id` <= 90)"
                        " ORDER BY t.`id` LIMIT 1 OFFSET 99");
    zdm_buffer_fini(&from);
    zdm_buffer_fini(&sql);
}

static void batch_computes_the_value_in_the_update_itself(void **state)
{
    static struct mydb_facts facts;
    struct zdm_assignment a = {.target = (char *)"n", .expr = (char *)"t.`m` + 1"};
    struct zdm_derivation d = {.assignments = &a,
                               .n_assignments = 1,
                               .guard = (char *)"t.`n` IS NULL",
                               .filter = (char *)"t.`m` > 3",
                               .idempotent = true};
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_buffer sql = ZDM_BUFFER_INIT;
    (void)state;
    memset(&facts, 0, sizeof facts);
    facts.d = &d;
    column(&facts.key, "id", MYDB_INTEGER, "int");
    zdm_copy_text(facts.table.name, sizeof facts.table.name, "users");
    facts.pairs[0].a = &a;
    zdm_copy_text(facts.pairs[0].target.name, sizeof facts.pairs[0].target.name, "n");
    facts.pairs[0].target.family = MYDB_INTEGER;
    facts.n_pairs = 1;
    assert_int_equal(mydb_walk_change_text(&sql, &facts, (struct mydb_span){.to = "[\"7\"]"}, &err), ZDM_OK);
    const char *text = zdm_buffer_text(&sql);
    assert_non_null(strstr(text, "UPDATE `users` AS t FORCE INDEX (`PRIMARY`) SET t.`n` = t.`m` + 1 WHERE (t.`id` <= 7)"
                                 " AND (t.`m` > 3) AND (t.`n` IS NULL) AND (NOT ("));
    zdm_buffer_fini(&sql);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(composite_key_is_compared_in_its_expanded_form),
        cmocka_unit_test(binary_key_is_written_in_hexadecimal),
        cmocka_unit_test(enum_is_compared_by_the_list_of_its_numbers),
        cmocka_unit_test(text_key_is_a_literal_in_its_own_collation),
        cmocka_unit_test(cursor_that_does_not_fit_the_key_is_refused),
        cmocka_unit_test(cursor_comes_back_as_it_was_written),
        cmocka_unit_test(chunk_ends_by_rows_and_never_by_distance),
        cmocka_unit_test(batch_computes_the_value_in_the_update_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
