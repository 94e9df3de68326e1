/*
 * test_fit.c - which values of one column another one holds, how values are written, and what the bodies of triggers
 * say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/walk/sync.h"

static struct mydb_column column(const char *type, const char *charset)
{
    static const struct {
        const char *base;
        enum mydb_family family;
        unsigned long long bytes;
    } bases[] = {
        {"tinyint", MYDB_INTEGER, 0}, {"int", MYDB_INTEGER, 0},
        {"bigint", MYDB_INTEGER, 0},  {"decimal", MYDB_DECIMAL, 0},
        {"float", MYDB_FLOAT, 0},     {"double", MYDB_FLOAT, 0},
        {"char", MYDB_TEXT, 0},       {"varchar", MYDB_TEXT, 0},
        {"text", MYDB_TEXT, 65535},   {"longtext", MYDB_TEXT, 4294967295},
        {"binary", MYDB_BINARY, 0},   {"varbinary", MYDB_BINARY, 0},
        {"blob", MYDB_BINARY, 65535}, {"date", MYDB_TIME, 0},
        {"datetime", MYDB_TIME, 0},   {"timestamp", MYDB_TIME, 0},
        {"enum", MYDB_ENUM, 0},       {"set", MYDB_ENUM, 0},
        {"bit", MYDB_BIT, 0},         {"json", MYDB_JSON, 0},
        {"point", MYDB_OTHER, 0},
    };
    struct mydb_column c = {.ordinal = 1};
    unsigned a = 0, b = 0;
    const char *paren = strchr(type, '(');
    snprintf(c.name, sizeof c.name, "c");
    snprintf(c.type, sizeof c.type, "%s", type);
    snprintf(c.charset, sizeof c.charset, "%s", charset);
    snprintf(c.base, sizeof c.base, "%.*s", (int)strcspn(type, "( "), type);
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        if (strcmp(bases[i].base, c.base) == 0) {
            c.family = bases[i].family;
            c.length = bases[i].bytes;
        }
    }
    if (paren != NULL && sscanf(paren, "(%u,%u", &a, &b) > 0) {
        c.length = a;
        c.precision = a;
        c.scale = b;
        c.fraction = a;
    }
    c.is_unsigned = strstr(type, "unsigned") != NULL;
    return c;
}

static const struct {
    const char *from, *from_charset, *to, *to_charset;
    enum mydb_fit fit;
} fits[] = {
    {"int", "", "bigint", "", MYDB_FITS},
    {"bigint", "", "int", "", MYDB_FITS_SOMETIMES},
    {"int unsigned", "", "int", "", MYDB_FITS_SOMETIMES},
    {"int unsigned", "", "bigint", "", MYDB_FITS},
    {"int", "", "bigint unsigned", "", MYDB_FITS_SOMETIMES},
    {"int", "", "decimal(10,0)", "", MYDB_FITS},
    {"int", "", "decimal(10,2)", "", MYDB_FITS_SOMETIMES},
    {"decimal(10,2)", "", "decimal(12,2)", "", MYDB_FITS},
    {"decimal(10,2)", "", "decimal(12,1)", "", MYDB_FITS_SOMETIMES},
    {"decimal(10,2)", "", "int", "", MYDB_FITS_SOMETIMES},
    {"float", "", "double", "", MYDB_FITS},
    {"double", "", "float", "", MYDB_FITS_NOT},
    {"double", "", "double(10,2)", "", MYDB_FITS_NOT},
    {"double(10,2)", "", "double", "", MYDB_FITS},
    {"int", "", "double", "", MYDB_FITS_NOT},
    {"int", "", "varchar(20)", "utf8mb4", MYDB_FITS_NOT},
    {"varchar(20)", "utf8mb4", "varchar(40)", "utf8mb4", MYDB_FITS},
    {"varchar(40)", "utf8mb4", "varchar(20)", "utf8mb4", MYDB_FITS_SOMETIMES},
    {"varchar(20)", "latin1", "varchar(20)", "utf8mb4", MYDB_FITS},
    {"varchar(20)", "utf8mb4", "varchar(20)", "latin1", MYDB_FITS_SOMETIMES},
    {"varchar(20)", "utf8mb3", "varchar(20)", "utf8mb4", MYDB_FITS},
    {"varchar(20)", "utf8mb4", "char(20)", "utf8mb4", MYDB_FITS_SOMETIMES},
    {"char(20)", "utf8mb4", "varchar(20)", "utf8mb4", MYDB_FITS},
    {"varchar(16383)", "utf8mb4", "text", "utf8mb4", MYDB_FITS},
    {"varchar(16384)", "utf8mb4", "text", "utf8mb4", MYDB_FITS_SOMETIMES},
    {"text", "utf8mb4", "varchar(20)", "utf8mb4", MYDB_FITS_SOMETIMES},
    {"text", "latin1", "text", "utf8mb4", MYDB_FITS_SOMETIMES},
    {"text", "latin1", "longtext", "utf8mb4", MYDB_FITS},
    {"varbinary(4)", "", "binary(4)", "", MYDB_FITS_SOMETIMES},
    {"binary(4)", "", "varbinary(4)", "", MYDB_FITS},
    {"varbinary(4)", "", "varchar(4)", "utf8mb4", MYDB_FITS_NOT},
    {"date", "", "datetime(6)", "", MYDB_FITS},
    {"datetime(6)", "", "date", "", MYDB_FITS_NOT},
    {"datetime(3)", "", "datetime(6)", "", MYDB_FITS},
    {"datetime(6)", "", "datetime(3)", "", MYDB_FITS_SOMETIMES},
    {"timestamp", "", "datetime", "", MYDB_FITS_NOT},
    {"datetime", "", "timestamp", "", MYDB_FITS_NOT},
    {"enum('a','b')", "utf8mb4", "enum('a','b','c')", "utf8mb4", MYDB_FITS},
    {"enum('a','b','c')", "utf8mb4", "enum('a','b')", "utf8mb4", MYDB_FITS_SOMETIMES},
    {"enum('a','b')", "utf8mb4", "enum('b','a')", "utf8mb4", MYDB_FITS_NOT},
    {"enum('a')", "utf8mb4", "varchar(9)", "utf8mb4", MYDB_FITS_NOT},
    {"bit(3)", "", "bit(5)", "", MYDB_FITS},
    {"bit(5)", "", "bit(3)", "", MYDB_FITS_SOMETIMES},
    {"json", "", "json", "", MYDB_FITS},
    {"json", "", "longtext", "utf8mb4", MYDB_FITS_NOT},
    {"point", "", "point", "", MYDB_FITS},
    {"point", "", "varbinary(9)", "", MYDB_FITS_NOT},
};

static void types_fit_as_the_server_holds_their_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof fits / sizeof *fits; i++) {
        const struct mydb_column from = column(fits[i].from, fits[i].from_charset);
        const struct mydb_column to = column(fits[i].to, fits[i].to_charset);
        struct zdm_buffer b = ZDM_BUFFER_INIT;
        if (mydb_fit(&from, &to) != fits[i].fit) {
            fail_msg("%s %s to %s %s", fits[i].from, fits[i].from_charset, fits[i].to, fits[i].to_charset);
        }
        mydb_put_fits(&b, "v", &from, &to);
        assert_int_equal(strcmp(zdm_buffer_text(&b), "TRUE") == 0, fits[i].fit == MYDB_FITS);
        assert_null(strstr(zdm_buffer_text(&b), "()"));
        zdm_buffer_fini(&b);
    }
}

static void expect_test(const char *from, const char *from_charset, const char *to, const char *to_charset,
                        const char *test)
{
    const struct mydb_column a = column(from, from_charset), c = column(to, to_charset);
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    mydb_put_fits(&b, "v", &a, &c);
    assert_string_equal(zdm_buffer_text(&b), test);
    zdm_buffer_fini(&b);
}

static void tests_say_what_fits(void **state)
{
    (void)state;
    expect_test("bigint", "", "tinyint unsigned", "", "(v IS NULL OR (v = ROUND(v, 0) AND v BETWEEN 0 AND 255))");
    expect_test("decimal(10,2)", "", "decimal(4,1)", "", "(v IS NULL OR (v = ROUND(v, 1) AND ABS(v) < 1000))");
    expect_test("varchar(9)", "utf8mb4", "varchar(5)", "utf8mb4", "(v IS NULL OR (CHAR_LENGTH(v) <= 5))");
    expect_test("bit(5)", "", "bit(3)", "", "(v IS NULL OR (v + 0 <= 7))");
    expect_test("datetime(6)", "", "datetime(3)", "", "(v IS NULL OR (MICROSECOND(v) MOD 1000 = 0))");
    expect_test("set('a','b','c')", "utf8mb4", "set('a','b')", "utf8mb4", "(v IS NULL OR (v + 0 <= 3))");
}

static void expect_literal(const char *type, const char *charset, const char *text, const char *literal)
{
    const struct mydb_column c = column(type, charset);
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    mydb_put_value(&b, &c, text, text == NULL ? 0 : strlen(text));
    assert_string_equal(zdm_buffer_text(&b), literal);
    zdm_buffer_fini(&b);
}

static void values_are_literals_of_their_family(void **state)
{
    (void)state;
    expect_literal("bigint", "", "-12", "-12");
    expect_literal("bigint", "", "1 OR 1", "'1 OR 1'");
    expect_literal("double", "", "1.5", "1.5e0");
    expect_literal("double", "", "1e300", "1e300");
    expect_literal("bigint", "", NULL, "NULL");
    expect_literal("varbinary(9)", "", "00fF", "X'00fF'");
    expect_literal("varbinary(9)", "", "", "X''");
    expect_literal("varbinary(9)", "", "x' OR 1", "'x'' OR 1'");
    expect_literal("varchar(9)", "utf8mb4", "it's \\", "'it''s \\'");
    expect_literal("varchar(9)", "latin1", "a", "CONVERT('a' USING latin1)");
    expect_literal("enum('a','it''s','c')", "utf8mb4", "it's", "2");
    expect_literal("enum('a','b')", "utf8mb4", "z", "0");
    expect_literal("set('a','b','c')", "utf8mb4", "a,c", "5");
    expect_literal("set('a','b','c')", "utf8mb4", "", "0");
}

static void zero_of_each_family_is_known(void **state)
{
    static const char *const cases[][2] = {
        {"int", "0"},       {"varchar(9)", "''"},     {"enum('it''s','b')", "'it''s'"},
        {"set('a')", "''"}, {"date", "'1970-01-01'"}, {"timestamp", "'1970-01-01 00:00:01'"},
        {"bit(2)", "0"},    {"json", "'null'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct mydb_column c = column(cases[i][0], "");
        struct zdm_buffer b = ZDM_BUFFER_INIT;
        assert_true(mydb_put_zero(&b, &c));
        assert_string_equal(zdm_buffer_text(&b), cases[i][1]);
        zdm_buffer_fini(&b);
    }
    const struct mydb_column point = column("point", "");
    struct zdm_buffer none = ZDM_BUFFER_INIT;
    assert_false(mydb_put_zero(&none, &point));
    assert_int_equal(none.len, 0);
}

/* ---- Bodies ---- */

static struct mydb_facts copy_facts(struct zdm_derivation *d, struct zdm_assignment *a)
{
    struct mydb_facts facts = {.d = d, .n_pairs = 1, .key = {.n = 1}};
    static char target[] = "new", expr[] = "t.`old`", expr_new[] = "NEW.`old`";
    *a = (struct zdm_assignment){.target = target, .expr = expr, .expr_new = expr_new};
    facts.key.columns[0] = column("bigint", "");
    snprintf(facts.key.columns[0].name, sizeof facts.key.columns[0].name, "id");
    facts.pairs[0] = (struct mydb_pair){
        .a = a, .copy = true, .target = column("varchar(9)", "utf8mb4"), .source = column("varchar(9)", "utf8mb4")};
    snprintf(facts.pairs[0].target.name, sizeof facts.pairs[0].target.name, "new");
    snprintf(facts.pairs[0].source.name, sizeof facts.pairs[0].source.name, "old");
    return facts;
}

static void bodies_of_a_copy_are_those_of_the_reference(void **state)
{
    struct zdm_derivation d = {.both_ways = true};
    struct zdm_assignment a;
    struct mydb_trigger_text text = {.insert_body = ZDM_BUFFER_INIT};
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    struct mydb_facts facts = copy_facts(&d, &a);
    assert_int_equal(mydb_trigger_write(&facts, false, &text, &err), ZDM_OK);
    assert_string_equal(zdm_buffer_text(&text.insert_body), "BEGIN\n"
                                                            "  IF (NEW.`new` IS NULL) THEN\n"
                                                            "    SET NEW.`new` = NEW.`old`;\n"
                                                            "  ELSE\n"
                                                            "    SET NEW.`old` = NEW.`new`;\n"
                                                            "  END IF;\n"
                                                            "END");
    assert_string_equal(zdm_buffer_text(&text.update_body),
                        "BEGIN\n"
                        "  IF NOT (CAST(NEW.`new` AS BINARY) <=> CAST(OLD.`new` AS BINARY)) THEN\n"
                        "    SET NEW.`old` = NEW.`new`;\n"
                        "  ELSEIF NOT (CAST(NEW.`old` AS BINARY) <=> CAST(OLD.`old` AS BINARY)) OR ((NOT (NEW.`id` <=>"
                        " OLD.`id`))) THEN\n"
                        "    SET NEW.`new` = NEW.`old`;\n"
                        "  END IF;\n"
                        "END");
    mydb_trigger_text_fini(&text);
}

static void reverse_bodies_are_guarded_and_copy_nothing_forward(void **state)
{
    struct zdm_derivation d = {.both_ways = true};
    struct zdm_assignment a;
    struct mydb_trigger_text text = {.insert_body = ZDM_BUFFER_INIT};
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    struct mydb_facts facts = copy_facts(&d, &a);
    facts.pairs[0].source.not_null = true;
    facts.pairs[0].guarded = true;
    assert_int_equal(mydb_trigger_write(&facts, true, &text, &err), ZDM_OK);
    assert_string_equal(zdm_buffer_text(&text.insert_body),
                        "BEGIN\n"
                        "    IF NEW.`new` IS NOT NULL THEN SET NEW.`old` = NEW.`new`; ELSEIF NEW.`old` IS NULL THEN SET"
                        " NEW.`old` = ''; END IF;\n"
                        "END");
    assert_null(strstr(zdm_buffer_text(&text.update_body), "SET NEW.`new`"));
    mydb_trigger_text_fini(&text);
    facts.pairs[0].copy = false;
    assert_int_equal(mydb_trigger_write(&facts, true, &text, &err), ZDM_REFUSED);
    mydb_trigger_text_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_fit_as_the_server_holds_their_values),
        cmocka_unit_test(tests_say_what_fits),
        cmocka_unit_test(values_are_literals_of_their_family),
        cmocka_unit_test(zero_of_each_family_is_known),
        cmocka_unit_test(bodies_of_a_copy_are_those_of_the_reference),
        cmocka_unit_test(reverse_bodies_are_guarded_and_copy_nothing_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
