/*
 * What a plan that was made by hand cannot say: the compiler's plans pass zdm_plan_check_honest, and each of them with
 * one lie in it does not.
 */
#include "tests/unit/runbook/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

static const char runbook[] =
    "---\nid: honest\nshards: \"\"\n---\n# Honest\n"
    "## Phase 1: Expand\n```sql\nALTER TABLE users ADD COLUMN kind text DEFAULT 'a;--b' NOT NULL,"
    " ADD COLUMN full_name text;\n```\n"
    "```sql\nCREATE INDEX users_pair ON users (lower(nick), id) WHERE note <> 'it''s; \"so\"';\n```\n"
    "## Phase 2: Migrate\n```sql\nUPDATE users SET full_name = name WHERE full_name IS NULL;\n```\n"
    "```sql {no-sync}\nUPDATE users SET score = abs(score) WHERE score < 0;\n```\n"
    "```sql\nALTER TABLE users ALTER COLUMN nick SET NOT NULL;\n```\n"
    "```sql {check}\nSELECT id, name FROM users WHERE score < 0;\n```\n"
    "## Phase 3: Contract\n```sql\nALTER TABLE users DROP COLUMN name;\n```\n";

struct lie {
    const char *name;
    enum zdm_action action;
    void (*tell)(struct zdm_step *step);
    const char *answer;
};

static void set(char **member, const char *text)
{
    free(*member);
    *member = text == NULL ? NULL : strdup(text);
}

#define LIE(name, ...)                                                                                                 \
    static void name(struct zdm_step *step)                                                                            \
    {                                                                                                                  \
        __VA_ARGS__;                                                                                                   \
    }
#define T "ALTER TABLE \"public\".\"users\" "

LIE(adds_and_drops, set(&step->sql, T "ADD COLUMN \"full_name\" text, DROP COLUMN name"))
LIE(two_statements, set(&step->sql, T "ADD COLUMN \"full_name\" text; DROP TABLE users"))
LIE(hidden_comment, set(&step->sql, T "ADD COLUMN \"full_name\" text -- , DROP"))
LIE(hidden_comment_too, set(&step->sql, T "ADD COLUMN \"full_name\" text /* x */"))
LIE(escape_string, set(&step->sql, T "ADD COLUMN \"full_name\" text DEFAULT E'\\'', DROP COLUMN name"))
LIE(dollar_string, set(&step->sql, T "ADD COLUMN \"full_name\" text DEFAULT $$'$$, DROP COLUMN name, ADD b text $$'$$"))
LIE(open_string, set(&step->sql, T "ADD COLUMN \"full_name\" text DEFAULT 'x"))
LIE(closes_more, set(&step->sql, T "ADD COLUMN \"full_name\" numeric(2), DROP COLUMN (name)"))
LIE(another_column, set(&step->sql, T "ADD COLUMN \"other\" text"))
LIE(another_table, set(&step->sql, "ALTER TABLE \"public\".\"orders\" ADD COLUMN \"full_name\" text"))
LIE(drop_table, set(&step->sql, "DROP TABLE users"))
LIE(nothing_added, set(&step->sql, T "ADD COLUMN \"full_name\" "))
LIE(no_way_back, step->inverse = ZDM_INVERSE_NONE)
LIE(index_and_more, set(&step->sql, "CREATE INDEX CONCURRENTLY i ON users (id); DROP TABLE users"))
LIE(drops_table_back, set(&step->inverse_sql, "DROP TABLE users"))
LIE(check_and_more,
    set(&step->sql, T "ADD CONSTRAINT \"c\" CHECK (true), DROP COLUMN name, ADD CHECK (true) NOT VALID");
    set(&step->object, "c"))
LIE(check_opens, set(&step->sql, T "ADD CONSTRAINT \"c\" CHECK (true) NOT VALID, ADD CHECK (true) NOT VALID");
    set(&step->object, "c"))
LIE(drops_another, set(&step->object, "users_pkey"); set(&step->sql, T "DROP CONSTRAINT IF EXISTS \"users_pkey\""))
LIE(drops_cascade, {
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&b, "%s CASCADE", step->sql);
    set(&step->sql, zdm_buffer_text(&b));
    zdm_buffer_fini(&b);
})
LIE(query_and_more, set(&step->sql, "SELECT 1; DELETE FROM users"))
LIE(query_closes, set(&step->sql, "SELECT 1) AS a; DELETE FROM users WHERE (true"))
LIE(no_images, step->inverse = ZDM_INVERSE_NONE; set(&step->object, NULL))
LIE(says_added, step->derivation->assignments[0].added = true; step->inverse = ZDM_INVERSE_NONE;
    set(&step->object, NULL))
LIE(expr_and_more, set(&step->derivation->assignments[0].expr, "t.\"name\", \"id\" = 0"))
LIE(guard_closes, set(&step->derivation->guard, "true) OR (true"))
LIE(trigger_and_more, set(&step->derivation->assignments[0].expr_new, "1; DELETE FROM users; --"))
LIE(trigger_overwrites, set(&step->derivation->assignments[0].target, "score");
    step->derivation->assignments[0].added = false)
LIE(nothing_lost, step->sync_step = 0)
LIE(copies_nothing_back, set(&step->derivation->assignments[0].copy_of, NULL))
LIE(purges_another, set(&step->column, "id"); set(&step->object, "id"))

static const struct lie lies[] = {
    {"adds_and_drops", ZDM_ACTION_ADD_COLUMN, adds_and_drops, "does something else"},
    {"two_statements", ZDM_ACTION_ADD_COLUMN, two_statements, "does something else"},
    {"hidden_comment", ZDM_ACTION_ADD_COLUMN, hidden_comment, "does something else"},
    {"hidden_comment_too", ZDM_ACTION_ADD_COLUMN, hidden_comment_too, "does something else"},
    {"escape_string", ZDM_ACTION_ADD_COLUMN, escape_string, "does something else"},
    {"dollar_string", ZDM_ACTION_ADD_COLUMN, dollar_string, "does something else"},
    {"open_string", ZDM_ACTION_ADD_COLUMN, open_string, "does something else"},
    {"closes_more", ZDM_ACTION_ADD_COLUMN, closes_more, "does something else"},
    {"another_column", ZDM_ACTION_ADD_COLUMN, another_column, "does something else"},
    {"another_table", ZDM_ACTION_ADD_COLUMN, another_table, "does something else"},
    {"drop_table", ZDM_ACTION_ADD_COLUMN, drop_table, "does something else"},
    {"nothing_added", ZDM_ACTION_ADD_COLUMN, nothing_added, "does something else"},
    {"no_way_back", ZDM_ACTION_ADD_COLUMN, no_way_back, "another inverse"},
    {"index_and_more", ZDM_ACTION_CREATE_INDEX, index_and_more, "does something else"},
    {"drops_table_back", ZDM_ACTION_CREATE_INDEX, drops_table_back, "inverse that does something else"},
    {"check_and_more", ZDM_ACTION_ADD_CHECK, check_and_more, "does something else"},
    {"check_opens", ZDM_ACTION_ADD_CHECK, check_opens, "does something else"},
    {"drops_another", ZDM_ACTION_DROP_CONSTRAINT, drops_another, "does not add"},
    {"drops_cascade", ZDM_ACTION_DROP_CONSTRAINT, drops_cascade, "does something else"},
    {"query_and_more", ZDM_ACTION_CHECK_QUERY, query_and_more, "not one query"},
    {"query_closes", ZDM_ACTION_CHECK_QUERY, query_closes, "not one query"},
    {"expr_and_more", ZDM_ACTION_BACKFILL, expr_and_more, "not one expression"},
    {"guard_closes", ZDM_ACTION_BACKFILL, guard_closes, "not one expression"},
    {"trigger_and_more", ZDM_ACTION_SYNC_INSTALL, trigger_and_more, "not one expression"},
    {"trigger_overwrites", ZDM_ACTION_SYNC_INSTALL, trigger_overwrites, "nothing is lost"},
    {"nothing_lost", ZDM_ACTION_HIDE_COLUMN, nothing_lost, "nothing is lost"},
    {"copies_nothing_back", ZDM_ACTION_SYNC_INSTALL, copies_nothing_back, "nothing is lost"},
    {"purges_another", ZDM_ACTION_PURGE_COLUMN, purges_another, "does not hide"},
};

static struct zdm_step *last_of(const struct zdm_plan *plan, enum zdm_action action)
{
    const struct zdm_step *found = NULL;
    for (uint32_t o = 1; o <= zdm_plan_n_steps(plan); o++)
        if (zdm_plan_step(plan, o)->action == action)
            found = zdm_plan_step(plan, o);
    assert_non_null(found);
    return (struct zdm_step *)(uintptr_t)found;
}

static void assert_lie(const struct zdm_plan *plan, const char *name, const char *answer)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    if (zdm_plan_check_honest(plan, &err) != ZDM_INVALID)
        fail_msg("%s is taken for honest", name);
    if (strstr(err.message, answer) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", name, err.message, answer);
}

static void plan_of_the_compiler_is_honest_and_with_one_lie_it_is_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct compiled c = compile_good("honest.md", runbook);
        struct zdm_error err = ZDM_ERROR_INIT;
        struct zdm_step *step;
        assert_int_equal(zdm_plan_check_honest(c.plan, &err), ZDM_OK);
        step = lies[i].action == ZDM_ACTION_BACKFILL
                   ? (struct zdm_step *)(uintptr_t)find_action(&c, ZDM_ACTION_BACKFILL)
                   : last_of(c.plan, lies[i].action);
        lies[i].tell(step);
        assert_lie(c.plan, lies[i].name, lies[i].answer);
        compiled_fini(&c);
    }
}

static void backfill_of_what_was_there_before_keeps_it_or_says_that_it_is_lost(void **state)
{
    (void)state;
    static void (*const tell[])(struct zdm_step *) = {no_images, says_added};
    static const char *const answers[] = {"nothing is lost", "does not add"};
    for (size_t i = 0; i < 2; i++) {
        struct compiled c = compile_good("honest.md", runbook);
        tell[i](last_of(c.plan, ZDM_ACTION_BACKFILL));
        assert_lie(c.plan, "a backfill", answers[i]);
        compiled_fini(&c);
    }
}

/* ---- What the compiler refuses, in a plan made by hand ---- */

/* A runbook of one statement, the same step with something in it that the compiler refuses, and that statement. */
static const struct {
    const char *good, *sql, *bad, *rule;
    enum zdm_action action;
} refusals[] = {
#define NEW_TABLE "CREATE TABLE \"public\".\"n\" "
#define A         "CREATE TABLE n (a int PRIMARY KEY)"
    {A, NEW_TABLE "(a int PRIMARY KEY) INHERITS (b)", "CREATE TABLE n (a int PRIMARY KEY) INHERITS (b)", "create-table",
     ZDM_ACTION_CREATE_TABLE},
    {A, NEW_TABLE "(a) AS SELECT 1", "CREATE TABLE n (a) AS SELECT 1", "create-table", ZDM_ACTION_CREATE_TABLE},
    {A, NEW_TABLE "PARTITION OF b FOR VALUES IN (1)", "CREATE TABLE n PARTITION OF b FOR VALUES IN (1)", "create-table",
     ZDM_ACTION_CREATE_TABLE},
    {A, NEW_TABLE "(LIKE b INCLUDING ALL)", "CREATE TABLE n (LIKE b INCLUDING ALL)", "create-table-like",
     ZDM_ACTION_CREATE_TABLE},
    {A, NEW_TABLE "(a int, LIKE b)", "CREATE TABLE n (a int, LIKE b)", "create-table-like", ZDM_ACTION_CREATE_TABLE},
    {A, "CREATE TEMPORARY TABLE \"public\".\"n\" (a int)", "CREATE TEMPORARY TABLE n (a int)", "create-table",
     ZDM_ACTION_CREATE_TABLE},
    {A, "CREATE UNLOGGED TABLE \"public\".\"n\" (a int)", "CREATE UNLOGGED TABLE n (a int)", "create-table",
     ZDM_ACTION_CREATE_TABLE},
#define C "ALTER TABLE t ADD COLUMN c int"
#define U "ALTER TABLE \"public\".\"t\" ADD COLUMN \"c\" "
    {C, U "serial", "ALTER TABLE t ADD COLUMN c serial", "add-column-serial", ZDM_ACTION_ADD_COLUMN},
    {C, U "int GENERATED ALWAYS AS IDENTITY", "ALTER TABLE t ADD COLUMN c int GENERATED ALWAYS AS IDENTITY",
     "add-column-identity", ZDM_ACTION_ADD_COLUMN},
    {C, U "int GENERATED ALWAYS AS (a + 1) STORED", "ALTER TABLE t ADD COLUMN c int GENERATED ALWAYS AS (a + 1) STORED",
     "add-column-generated", ZDM_ACTION_ADD_COLUMN},
    {C, U "int PRIMARY KEY", "ALTER TABLE t ADD COLUMN c int PRIMARY KEY", "add-column-primary-key",
     ZDM_ACTION_ADD_COLUMN},
    {C, U "int UNIQUE", NULL, NULL, ZDM_ACTION_ADD_COLUMN}, /* a step of its own in what the compiler writes */
    {C, U "int CHECK (c > 0)", NULL, NULL, ZDM_ACTION_ADD_COLUMN},
    {C, U "int REFERENCES b", NULL, NULL, ZDM_ACTION_ADD_COLUMN},
    {C, U "int CONSTRAINT x NOT NULL", NULL, NULL, ZDM_ACTION_ADD_COLUMN},
    {"ALTER TABLE t ALTER c TYPE text", "ALTER TABLE \"public\".\"t\" ALTER COLUMN \"c\" TYPE text USING d",
     "ALTER TABLE t ALTER c TYPE text USING d", "alter-type", ZDM_ACTION_WIDEN_TYPE},
#define K "ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES b (id)"
#define F "ALTER TABLE \"public\".\"t\" ADD CONSTRAINT \"k\" FOREIGN KEY "
    {K, F "(\"a\") REFERENCES \"public\".\"other\" (\"id\") NOT VALID", NULL, NULL, ZDM_ACTION_ADD_FOREIGN_KEY},
    {K, F "(\"a\") REFERENCES \"public\".\"b\" (\"id\"), ADD CHECK (true) NOT VALID", NULL, NULL,
     ZDM_ACTION_ADD_FOREIGN_KEY},
    {"ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NOT VALID",
     "ALTER TABLE \"public\".\"t\" ADD CONSTRAINT \"k\" CHECK (a > 0) NO INHERIT NOT VALID",
     "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NO INHERIT", "check-no-inherit", ZDM_ACTION_ADD_CHECK},
#define I "CREATE INDEX i ON t (a)"
    {I, "CREATE INDEX CONCURRENTLY i ON public.other USING btree (a)", NULL, NULL, ZDM_ACTION_CREATE_INDEX},
    {I, "CREATE INDEX CONCURRENTLY i ON other.t USING btree (a)", NULL, NULL, ZDM_ACTION_CREATE_INDEX},
    {I, "CREATE INDEX CONCURRENTLY j ON public.t USING btree (a)", NULL, NULL, ZDM_ACTION_CREATE_INDEX},
    {I, "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON public.t USING btree (a)", NULL, NULL, ZDM_ACTION_CREATE_INDEX},
    {I, "CREATE INDEX CONCURRENTLY i ON ONLY public.t USING btree (a)", "CREATE INDEX i ON ONLY t (a)", "only",
     ZDM_ACTION_CREATE_INDEX},
#undef NEW_TABLE
#undef A
#undef C
#undef U
#undef K
#undef F
#undef I
};

static struct compiled compile_one(const char *sql)
{
    char text[1024];
    snprintf(text, sizeof text, "---\nid: one\n---\n## Expand\n```sql\n%s;\n```\n", sql);
    return compile_text("one.md", text, strlen(text));
}

static void what_the_compiler_refuses_no_plan_made_by_hand_holds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct compiled c = compile_one(refusals[i].good);
        struct zdm_error err = ZDM_ERROR_INIT;
        assert_non_null(c.plan);
        assert_int_equal(zdm_plan_check_honest(c.plan, &err), ZDM_OK);
        struct zdm_step *step = last_of(c.plan, refusals[i].action);
        set(&step->sql, refusals[i].sql);
        assert_lie(c.plan, refusals[i].sql, "does something else");
        compiled_fini(&c);
        if (refusals[i].bad == NULL)
            continue;
        c = compile_one(refusals[i].bad);
        assert_null(c.plan);
        if (find_rule(&c, refusals[i].rule) == NULL)
            fail_msg("\"%s\" is not refused by %s", refusals[i].bad, refusals[i].rule);
        compiled_fini(&c);
    }
}

static void no_plan_is_about_the_agents_own_tables(void **state)
{
    (void)state;
    static const char *const schemas[] = {"zdm", "pg_catalog", "information_schema"};
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        struct compiled c = compile_good("honest.md", runbook);
        struct zdm_step *step = (struct zdm_step *)(uintptr_t)find_action(&c, ZDM_ACTION_BACKFILL);
        set(&step->table.schema, schemas[i]);
        assert_lie(c.plan, schemas[i], "table of the system");
        compiled_fini(&c);
    }
}

static void no_trigger_reads_other_tables(void **state)
{
    (void)state;
    struct compiled c = compile_good("honest.md", runbook);
    struct zdm_step *step = last_of(c.plan, ZDM_ACTION_SYNC_INSTALL);
    set(&step->derivation->assignments[0].expr_new, "coalesce((SELECT secret FROM vault), NEW.\"name\")");
    assert_lie(c.plan, "a trigger", "reads other tables");
    set(&step->derivation->assignments[0].expr_new, "NEW.\"select\" || ' select '");
    struct zdm_error err = ZDM_ERROR_INIT;
    assert_int_equal(zdm_plan_check_honest(c.plan, &err), ZDM_OK);
    compiled_fini(&c);
}

static void column_is_hidden_in_a_contract_phase_alone(void **state)
{
    (void)state;
    struct compiled c = compile_good("honest.md", runbook);
    uint32_t phase = zdm_plan_phase_of(c.plan, find_action(&c, ZDM_ACTION_HIDE_COLUMN)->ordinal);
    c.plan->phases[phase - 1].class = ZDM_PHASE_EXPAND;
    assert_lie(c.plan, "an early hide", "outside of a contract phase");
    compiled_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plan_of_the_compiler_is_honest_and_with_one_lie_it_is_not),
        cmocka_unit_test(backfill_of_what_was_there_before_keeps_it_or_says_that_it_is_lost),
        cmocka_unit_test(what_the_compiler_refuses_no_plan_made_by_hand_holds),
        cmocka_unit_test(no_plan_is_about_the_agents_own_tables),
        cmocka_unit_test(no_trigger_reads_other_tables),
        cmocka_unit_test(column_is_hidden_in_a_contract_phase_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
