/*
 * test_held.c - values that a column rounds, cuts or refuses: either the derivation is refused before anything is
 * touched, or the application's writes work, and trigger, batch and comparison find the same values identical.
 */
#include "tests/integration/mysql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* t.target := expr, of src. refused: what INSTALL_SYNC says against it; NULL: it works. */
struct derived {
    const char *target, *source, *expr; /* S# stands for the source */
    const char *values[4];              /* of the source: there before; of an INSERT; of an UPDATE */
    const char *refused;
};

/* S# in the expression becomes the source's name in that row. */
static char *over(const char *expr, const char *row)
{
    char *out = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&out, &n);
    for (const char *p = expr; *p != '\0'; p++) {
        bool alone = *p == 'S' && p[1] == '#';
        if (alone) {
            fprintf(f, "%s`src`", row);
            p++;
        } else {
            fputc(*p, f);
        }
    }
    fclose(f);
    return out;
}

static void plan(struct rig *r, const struct derived *c)
{
    static const enum zdm_action actions[] = {ZDM_ACTION_SYNC_INSTALL, ZDM_ACTION_BACKFILL, ZDM_ACTION_CHECK_COMPARE};
    const char *source = "src";
    char *expr = over(c->expr, "t."), *expr_new = over(c->expr, "NEW.");
    rig_plan(r, "held", 3);
    for (uint32_t i = 1; i <= 3; i++) {
        rig_derive(r, i, actions[i - 1], "target", expr, expr_new, &source, strstr(c->expr, "S#") == NULL ? 0 : 1);
    }
    free(expr);
    free(expr_new);
}

static long not_filled(struct rig *r)
{
    return rig_number(r, "SELECT COUNT(*) FROM held WHERE target IS NULL AND src IS NOT NULL");
}

/* The comparison fails the test where it finds a row. */
static void carry_out(struct rig *r, const struct derived *c)
{
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "INSERT INTO held (id, src) VALUES (10, %s)", c->values[1]);
    rig_walk(r, 2, 10);
    rig_app(r, "UPDATE held SET src = %s WHERE id = 1", c->values[2]);
    rig_app(r, "UPDATE held SET id = id + 100");
    assert_int_equal(not_filled(r), 0);
    rig_walk(r, 3, 10);
}

static void run(struct rig *r, const struct derived *c)
{
    rig_sql(r, "CREATE TABLE held (id int PRIMARY KEY, src %s, target %s)", c->source, c->target);
    rig_sql(r, "INSERT INTO held (id, src) VALUES (1, %s), (2, %s)", c->values[0], c->values[0]);
    plan(r, c);
    rig_accept(r, 1);
    if (c->refused != NULL) {
        rig_refused(r, AGENT_RUN_INSTALL_SYNC, 1, c->refused);
        assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema ="
                                       " DATABASE() AND event_object_table = 'held'"),
                         0);
        rig_app(r, "INSERT INTO held (id, src) VALUES (10, %s)", c->values[1]);
    } else {
        carry_out(r, c);
    }
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'zdm' AND"
                                   " table_name LIKE 'probe%%'"),
                     0);
}

#define CASE(name, ...)                                                                                                \
    static void name(void **state)                                                                                     \
    {                                                                                                                  \
        run(*state, &(const struct derived){__VA_ARGS__});                                                             \
    }

/* Of columns: by type. */
CASE(quotient_is_held_with_the_columns_digits, "decimal(14,6)", "decimal(10,2)", "S# / 3", {"1", "2", "10"}, NULL)
CASE(decimal_that_an_integer_would_round_is_refused, "int", "decimal(10,2)", "S# * 1.5", {"1", "2", "3"},
     "cannot hold every value")
CASE(decimal_of_more_digits_is_refused, "decimal(12,2)", "decimal(10,3)", "S# * 1", {"1.001", "2.002", "3.003"},
     "cannot hold every value")
CASE(fraction_of_a_second_that_would_be_cut_is_refused, "datetime", "datetime(6)", "S# + INTERVAL 1 DAY",
     {"'2024-01-01 00:00:00.6'", "'2024-01-01 00:00:00.6'", "'2024-01-01 00:00:00.6'"}, "cannot hold every value")
CASE(fraction_of_a_second_is_held, "datetime(6)", "datetime(6)", "S# + INTERVAL 1 DAY",
     {"'2024-01-01 00:00:00.6'", "'2024-01-01 00:00:00.7'", "'2024-01-01 00:00:00.8'"}, NULL)
CASE(double_of_two_digits_is_refused, "double(10,2)", "double", "S# * 1", {"1.234", "2.345", "1e20"},
     "cannot hold every value")
CASE(number_between_floats_is_what_the_column_holds_or_refused, "double", "float", "IF(S# > 1, S#, 16777217)",
     {"1", "2.5", "0.1"}, NULL)
CASE(char_that_loses_its_blanks_is_refused, "char(9)", "varchar(9)", "CONCAT(S#, '')", {"'a '", "'b '", "'c'"},
     "cannot hold every value")

/* On MySQL IF() of a float is called a float, although it computes with more digits. */
static void float_is_compared_as_the_column_holds_it(void **state)
{
    struct rig *r = *state;
    const struct derived c = {.target = "float",
                              .source = "float",
                              .expr = "IF(S# > 1, S#, 16777217)",
                              .values = {"1", "2.5", "0.1"},
                              .refused = rig_is_mariadb(r) ? "cannot hold every value" : NULL};
    run(r, &c);
}

/* Of constants: by what becomes of them. */
CASE(small_number_fits_a_small_column, "tinyint", "int", "3", {"1", "2", "3"}, NULL)
CASE(number_that_an_integer_would_round_is_refused, "int", "int", "1.5", {"1", "2", "3"}, "makes 2 of it")
CASE(number_out_of_range_is_refused, "tinyint", "int", "300", {"1", "2", "3"}, "does not fit its column")
CASE(time_that_would_be_rounded_is_refused, "datetime", "int", "'2024-01-01 00:00:00.6'", {"1", "2", "3"},
     "does not hold")
CASE(date_as_a_text_is_the_column_s, "datetime", "int", "'2024-01-01'", {"1", "2", "3"}, NULL)
CASE(text_that_is_too_long_is_refused, "varchar(2)", "int", "'abc'", {"1", "2", "3"}, "does not fit its column")
CASE(label_that_is_none_is_refused, "enum('a','b')", "int", "'c'", {"1", "2", "3"}, "does not fit its column")
CASE(label_is_compared_as_a_text, "enum('a','b') CHARACTER SET latin1", "int", "'b'", {"1", "2", "3"}, NULL)
CASE(constant_float_is_what_the_column_holds, "float", "int", "1.1", {"1", "2", "3"}, NULL)
CASE(bytes_that_would_be_filled_up_are_refused, "binary(4)", "int", "X'61'", {"1", "2", "3"}, "does not hold")

/* Its type is longer than 200 letters; of the labels, only those behind are others. */
static void long_enum(char out[1000], unsigned labels)
{
    size_t n = (size_t)snprintf(out, 1000, "enum('it''s a\\\\b'");
    for (unsigned i = 1; i < labels; i++) {
        n += (size_t)snprintf(out + n, 1000 - n, ",'the label %u'", i);
    }
    (void)snprintf(out + n, 1000 - n, ")");
}

static void copy_of_enums(struct rig *r, unsigned labels, unsigned target_labels)
{
    char from[1000], to[1000];
    long_enum(from, labels);
    long_enum(to, target_labels);
    rig_sql(r, "CREATE TABLE held (id %s NOT NULL PRIMARY KEY, src %s, target %s)", from, from, to);
    rig_sql(r, "INSERT INTO held (id, src) VALUES (1, 30), (30, 1), (7, 8)");
    rig_plan(r, "held", 3);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "target", "src");
    rig_copy(r, 2, ZDM_ACTION_BACKFILL, "target", "src");
    rig_copy(r, 3, ZDM_ACTION_CHECK_COMPARE, "target", "src");
    rig_accept(r, 1);
}

static void enum_of_many_labels_is_copied(void **state)
{
    struct rig *r = *state;
    copy_of_enums(r, 30, 31);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_walk(r, 2, 2);
    rig_app(r, "UPDATE held SET src = 'the label 29' WHERE id = 7");
    rig_app(r, "UPDATE held SET target = 'the label 30' WHERE id = 30"); /* which the old one has not: it stays */
    rig_app(r, "UPDATE held SET target = 5 WHERE id = 1");
    assert_string_equal(rig_value(r, "SELECT GROUP_CONCAT(src + 0, ' ', target + 0 ORDER BY id) FROM held"),
                        "5 5,30 30,1 31");
    rig_walk(r, 3, 2);
}

static void enum_with_fewer_labels_is_refused(void **state)
{
    struct rig *r = *state;
    copy_of_enums(r, 31, 30);
    rig_refused(r, AGENT_RUN_INSTALL_SYNC, 1, "cannot hold every value");
}

static void label_behind_many_is_added_and_seen(void **state)
{
    struct rig *r = *state;
    char more[1000], sql[1100];
    copy_of_enums(r, 30, 30);
    long_enum(more, 31);
    snprintf(sql, sizeof sql, "ALTER TABLE `held` MODIFY COLUMN `src` %s", strstr(more, "enum"));
    for (char *p = sql; (p = strstr(p, "\\\\")) != NULL; p++) {
        memmove(p, p + 1, strlen(p)); /* plans write a backslash as it is */
    }
    rig_plan(r, "held", 1);
    rig_ddl(r, 1, ZDM_ACTION_WIDEN_TYPE, "src", NULL, sql);
    rig_accept(r, 2);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_app(r, "UPDATE held SET src = 'the label 30'");
}

RIG_MAIN(RIG_TEST(enum_of_many_labels_is_copied), RIG_TEST(enum_with_fewer_labels_is_refused),
         RIG_TEST(label_behind_many_is_added_and_seen), RIG_TEST(quotient_is_held_with_the_columns_digits),
         RIG_TEST(decimal_that_an_integer_would_round_is_refused), RIG_TEST(decimal_of_more_digits_is_refused),
         RIG_TEST(fraction_of_a_second_that_would_be_cut_is_refused), RIG_TEST(fraction_of_a_second_is_held),
         RIG_TEST(double_of_two_digits_is_refused), RIG_TEST(number_between_floats_is_what_the_column_holds_or_refused),
         RIG_TEST(char_that_loses_its_blanks_is_refused), RIG_TEST(float_is_compared_as_the_column_holds_it),
         RIG_TEST(small_number_fits_a_small_column), RIG_TEST(number_that_an_integer_would_round_is_refused),
         RIG_TEST(number_out_of_range_is_refused), RIG_TEST(time_that_would_be_rounded_is_refused),
         RIG_TEST(date_as_a_text_is_the_column_s), RIG_TEST(text_that_is_too_long_is_refused),
         RIG_TEST(label_that_is_none_is_refused), RIG_TEST(label_is_compared_as_a_text),
         RIG_TEST(constant_float_is_what_the_column_holds), RIG_TEST(bytes_that_would_be_filled_up_are_refused))
