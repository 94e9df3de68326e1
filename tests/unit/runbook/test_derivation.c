/*
 * What an UPDATE is taken apart into: the eight wrong derivations of the database review, and the rules around them.
 * What needs the catalogue (generated columns, types, the key) the agent tests; here is what the plan must say.
 */
#include "tests/unit/runbook/support.h"

#include <stdio.h>
#include <string.h>

#define HEAD    "## Expand\n```sql\nALTER TABLE users ADD COLUMN full_name text;\n```\n\n"
#define MIGRATE "## Migrate\n```sql"
#define END     "\n```\n"

static const struct zdm_derivation *derivation(const struct compiled *c)
{
    const struct zdm_step *step = find_action(c, ZDM_ACTION_BACKFILL);
    assert_non_null(step);
    return step->derivation;
}

static bool reads(const struct zdm_derivation *d, const char *column)
{
    for (size_t i = 0; i < d->n_sources; i++) {
        if (strcmp(d->sources[i], column) == 0)
            return true;
    }
    return false;
}

static void refused(const char *text, const char *rule)
{
    struct compiled c = compile_text("a.md", text, strlen(text));
    assert_null(c.plan);
    if (find_rule(&c, rule) == NULL)
        fail_msg("no finding %s", rule);
    compiled_fini(&c);
}

/* ---- the eight ---- */

static void a_guard_on_the_target_is_for_the_batch_and_not_for_the_trigger(void **state)
{
    (void)state;
    struct compiled c =
        compile_good("a.md", HEAD MIGRATE "\nUPDATE users SET full_name = name WHERE full_name IS NULL;" END);
    const struct zdm_derivation *d = derivation(&c);
    assert_string_equal(d->guard, "(t.\"full_name\" IS NULL)");
    assert_null(d->filter);
    assert_null(d->filter_new);
    assert_null(d->filter_old);
    compiled_fini(&c);
}

static void a_trigger_is_not_bound_to_one_source_so_that_a_moved_key_is_seen(void **state)
{
    (void)state;
    struct compiled c =
        compile_good("a.md", HEAD MIGRATE "\nUPDATE users SET full_name = first || ' ' || last WHERE active;" END);
    const struct zdm_derivation *d = derivation(&c);
    assert_int_equal(d->n_sources, 3);
    assert_true(reads(d, "first") && reads(d, "last") && reads(d, "active"));
    assert_false(reads(d, "full_name"));
    compiled_fini(&c);
}

static void a_trigger_computes_from_the_row_as_other_triggers_leave_it(void **state)
{
    (void)state;
    struct compiled c = compile_good("a.md", HEAD MIGRATE "\nUPDATE users SET full_name = lower(name);" END);
    const struct zdm_step *install = find_action(&c, ZDM_ACTION_SYNC_INSTALL);
    assert_non_null(install);
    assert_string_equal(install->derivation->assignments[0].expr_new, "lower(NEW.\"name\")");
    assert_string_equal(derivation(&c)->assignments[0].expr, "lower(t.\"name\")");
    assert_null(install->sql);
    compiled_fini(&c);
}

static void a_default_of_the_new_column_never_overwrites_the_old_one(void **state)
{
    (void)state;
    refused("## Expand\n```sql\nALTER TABLE users ADD COLUMN full_name text DEFAULT 'anon';\n```\n" MIGRATE
            "\nUPDATE users SET full_name = name;" END,
            "copy-default");
    struct compiled c = compile_good(
        "a.md", "## Expand\n```sql\nALTER TABLE users ADD COLUMN slug varchar(20) DEFAULT '-';\n```\n" MIGRATE
                "\nUPDATE users SET slug = lower(name);" END);
    assert_string_equal(derivation(&c)->assignments[0].initial, "'-'::varchar(20)");
    assert_false(derivation(&c)->both_ways);
    compiled_fini(&c);
}

static void a_generated_column_is_not_made_by_a_plan(void **state)
{
    (void)state;
    refused("## Expand\n```sql\nALTER TABLE t ADD COLUMN low text GENERATED ALWAYS AS (lower(n)) STORED;\n```\n",
            "add-column-generated");
}

static void an_automatic_key_is_not_read_on_engines_where_it_is_not_there_yet(void **state)
{
    (void)state;
    refused(MIGRATE " {engine=mysql}\nUPDATE users SET code = concat('U', id);" END, "engine");
}

static void what_depends_on_the_session_s_time_zone_is_said(void **state)
{
    (void)state;
    static const char *const expressions[] = {"created::date", "date_trunc('day', created)", "to_char(created, 'YYYY')",
                                              "extract(year from created)"};
    for (size_t i = 0; i < sizeof expressions / sizeof expressions[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, HEAD MIGRATE "\nUPDATE users SET full_name = %s;" END, expressions[i]);
        struct compiled c = compile_good("a.md", text);
        assert_non_null(find_rule(&c, "time-zone"));
        compiled_fini(&c);
    }
}

static void a_function_that_the_application_may_not_be_allowed_to_use_is_refused(void **state)
{
    (void)state;
    refused(HEAD MIGRATE "\nUPDATE users SET full_name = priv.f(name);" END, "function-schema");
    refused(HEAD MIGRATE "\nUPDATE users SET full_name = f(name);" END, "function-unknown");
}

static void an_operator_of_an_extension_is_written_out(void **state)
{
    (void)state;
    static const char text[] = HEAD MIGRATE "\nUPDATE users SET full_name = name OPERATOR(ext.||) 'x'::ext.words;" END;
    struct compiled c = compile_good("a.md", text);
    const struct zdm_step *fill = NULL;
    for (uint32_t i = 1; i <= zdm_plan_n_steps(c.plan); i++) {
        const struct zdm_step *step = zdm_plan_step(c.plan, i);
        fill = step->action == ZDM_ACTION_BACKFILL ? step : fill;
    }
    assert_non_null(fill);
    assert_string_equal(fill->derivation->assignments[0].expr, "t.\"name\" OPERATOR(ext.||) 'x'::ext.words");
    compiled_fini(&c);
}

/* ---- around them ---- */

static void a_pure_copy_runs_both_ways(void **state)
{
    (void)state;
    struct compiled c = compile_good("a.md", HEAD MIGRATE "\nUPDATE users u SET full_name = u.name;" END);
    assert_true(derivation(&c)->both_ways);
    assert_true(derivation(&c)->idempotent);
    assert_string_equal(derivation(&c)->assignments[0].copy_of, "name");
    compiled_fini(&c);
}

static void a_copy_with_a_filter_runs_forward_only_and_says_so(void **state)
{
    (void)state;
    struct compiled c = compile_good(
        "a.md", HEAD MIGRATE "\nUPDATE users SET full_name = name WHERE full_name IS NULL AND active AND id > 7;" END);
    const struct zdm_derivation *d = derivation(&c);
    assert_false(d->both_ways);
    assert_string_equal(d->guard, "(t.\"full_name\" IS NULL)");
    assert_string_equal(d->filter, "(t.\"active\") AND (t.\"id\" > 7)");
    assert_string_equal(d->filter_new, "(NEW.\"active\") AND (NEW.\"id\" > 7)");
    assert_string_equal(d->filter_old, "(OLD.\"active\") AND (OLD.\"id\" > 7)");
    assert_non_null(find_rule(&c, "one-way"));
    compiled_fini(&c);
}

static void two_copies_of_one_source_run_forward_only(void **state)
{
    (void)state;
    struct compiled c =
        compile_good("a.md", "## Expand\n```sql\nALTER TABLE users ADD COLUMN a text, ADD COLUMN b text;\n```\n" MIGRATE
                             "\nUPDATE users SET (a, b) = (name, name);" END);
    assert_int_equal(derivation(&c)->n_assignments, 2);
    assert_false(derivation(&c)->both_ways);
    compiled_fini(&c);
}

static void a_term_that_every_batch_checks_anyway_is_dropped(void **state)
{
    (void)state;
    struct compiled c =
        compile_good("a.md", HEAD MIGRATE
                     "\nUPDATE users SET full_name = lower(name) WHERE full_name IS DISTINCT FROM lower(name);" END);
    assert_null(derivation(&c)->guard);
    assert_null(derivation(&c)->filter);
    compiled_fini(&c);
    c = compile_good("a.md",
                     HEAD MIGRATE "\nUPDATE users SET full_name = lower(name) WHERE full_name <> lower(name);" END);
    assert_null(derivation(&c)->filter);
    assert_non_null(find_rule(&c, "condition-null"));
    compiled_fini(&c);
}

static void an_existing_column_gets_no_trigger_unless_sync_is_written(void **state)
{
    (void)state;
    struct compiled c = compile_good("a.md", MIGRATE "\nUPDATE users SET status = 'active' WHERE status IS NULL;" END);
    assert_null(find_action(&c, ZDM_ACTION_SYNC_INSTALL));
    assert_null(find_action(&c, ZDM_ACTION_CHECK_COMPARE));
    assert_null(derivation(&c)->assignments[0].expr_new);
    assert_false(zdm_plan_phase(c.plan, 1)->destructive);
    compiled_fini(&c);
    c = compile_good("a.md", MIGRATE " {sync}\nUPDATE users SET slug = lower(name);" END);
    assert_non_null(find_action(&c, ZDM_ACTION_SYNC_INSTALL));
    assert_false(derivation(&c)->assignments[0].added);
    /* What the triggers write over is kept nowhere. */
    assert_false(find_action(&c, ZDM_ACTION_SYNC_INSTALL)->exact_inverse);
    assert_int_equal(find_rule(&c, "sync-inexact")->level, ZDM_LEVEL_WARNING);
    assert_true(zdm_plan_phase(c.plan, 1)->destructive);
    assert_int_equal(zdm_plan_phase(c.plan, 1)->approvals, 1);
    compiled_fini(&c);
}

static void an_update_that_counts_runs_only_without_sync_and_is_not_idempotent(void **state)
{
    (void)state;
    refused(MIGRATE "\nUPDATE users SET n = n + 1;" END, "self-reference");
    struct compiled c =
        compile_good("a.md", MIGRATE " {no-sync batch=500 name=count}\nUPDATE users SET n = n + 1;" END);
    const struct zdm_step *step = find_action(&c, ZDM_ACTION_BACKFILL);
    assert_false(step->derivation->idempotent);
    assert_string_equal(step->derivation->assignments[0].expr, "t.\"n\" + 1");
    assert_int_equal(step->batch_rows, 500);
    assert_string_equal(step->id, "count");
    compiled_fini(&c);
}

static void a_value_that_differs_each_time_is_written_once(void **state)
{
    (void)state;
    struct compiled c = compile_good("a.md", "## Expand\n```sql\nALTER TABLE u ADD COLUMN token uuid;\n```\n" MIGRATE
                                             "\nUPDATE u SET token = gen_random_uuid();" END);
    assert_true(derivation(&c)->assignments[0].fill_once);
    assert_null(find_action(&c, ZDM_ACTION_CHECK_COMPARE));
    compiled_fini(&c);
    c = compile_good("a.md", MIGRATE "\nUPDATE u SET seen = now() WHERE seen IS NULL;" END);
    assert_true(derivation(&c)->assignments[0].fill_once);
    assert_non_null(find_rule(&c, "now"));
    compiled_fini(&c);
    c = compile_good("a.md", MIGRATE " {no-sync}\nUPDATE u SET token = gen_random_uuid();" END);
    assert_false(derivation(&c)->assignments[0].fill_once);
    assert_false(derivation(&c)->idempotent);
    compiled_fini(&c);
}

static void names_are_quoted_and_constants_left_alone(void **state)
{
    (void)state;
    struct compiled c = compile_good(
        "a.md", "## Expand\n```sql\nALTER TABLE \"Kunden\" ADD COLUMN \"Über \"\"name\" text;\n```\n" MIGRATE
                "\nUPDATE \"Kunden\" SET \"Über \"\"name\" = 'zdm0column0 ' || \"Größe\" || E'\\n' || \"user\";" END);
    const struct zdm_assignment *a = &derivation(&c)->assignments[0];
    assert_string_equal(a->target, "Über \"name");
    assert_string_equal(a->expr, "(('zdm0column0 ' || t.\"Größe\") || '\n') || t.\"user\"");
    assert_string_equal(a->expr_new, "(('zdm0column0 ' || NEW.\"Größe\") || '\n') || NEW.\"user\"");
    compiled_fini(&c);
}

static void expressions_are_written_so_that_they_parse_to_the_same(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"(a + b) * -1", "(t.\"a\" + t.\"b\") * -1"},
        {"coalesce(nullif(trim(a), ''), 'x')", "COALESCE(NULLIF(TRIM (BOTH  FROM t.\"a\"), ''), 'x')"},
        {"CASE a WHEN 1 THEN 'one' ELSE b END", "CASE t.\"a\" WHEN 1 THEN 'one' ELSE t.\"b\" END"},
        {"a::numeric(10,2)", "t.\"a\"::numeric(10, 2)"},
        {"(doc ->> 'n')::int", "CAST(t.\"doc\" ->> 'n' AS int)"},
        {"a IN (1, 2) AND NOT b", "t.\"a\" IN (1, 2) AND NOT t.\"b\""},
        {"tags[1]", "t.\"tags\"[1]"},
        {"a COLLATE \"C\"", "t.\"a\" COLLATE \"C\""},
        {"created AT TIME ZONE 'UTC'", "t.\"created\" AT TIME ZONE 'UTC'"},
        {"a LIKE 'x#%' ESCAPE '#'", "t.\"a\" LIKE pg_catalog.like_escape('x#%', '#')"},
        {"a SIMILAR TO '(x|y)%'", "t.\"a\" SIMILAR TO '(x|y)%'"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, HEAD MIGRATE "\nUPDATE users SET full_name = %s;" END, pairs[i][0]);
        struct compiled c = compile_good("a.md", text);
        assert_string_equal(derivation(&c)->assignments[0].expr, pairs[i][1]);
        compiled_fini(&c);
    }
}

static void a_sync_ends_where_its_source_is_hidden(void **state)
{
    (void)state;
    struct compiled c =
        compile_good("a.md", HEAD MIGRATE "\nUPDATE users SET full_name = name;" END
                                          "## Contract\n```sql\nALTER TABLE users DROP COLUMN name;\n```\n");
    const struct zdm_step *install = find_action(&c, ZDM_ACTION_SYNC_INSTALL);
    const struct zdm_step *hide = find_action(&c, ZDM_ACTION_HIDE_COLUMN);
    const struct zdm_step *purge = find_action(&c, ZDM_ACTION_PURGE_COLUMN);
    const struct zdm_step *compare = find_action(&c, ZDM_ACTION_CHECK_COMPARE);
    assert_int_equal(hide->sync_step, install->ordinal);
    assert_true(hide->exact_inverse);
    assert_int_equal(install->superseded_by, hide->ordinal);
    assert_int_equal(compare->superseded_by, hide->ordinal);
    assert_int_equal(hide->superseded_by, purge->ordinal);
    assert_int_equal(purge->sync_step, install->ordinal);
    assert_null(find_action(&c, ZDM_ACTION_SYNC_REMOVE));
    assert_int_equal(zdm_plan_phase(c.plan, 3)->approvals, 0);
    assert_int_equal(zdm_plan_phase(c.plan, 4)->approvals, 1);
    assert_true(zdm_plan_phase(c.plan, 4)->destructive);
    compiled_fini(&c);
}

static void a_sync_without_contract_phase_ends_in_a_phase_of_its_own(void **state)
{
    (void)state;
    struct compiled c = compile_good("a.md", HEAD MIGRATE "\nUPDATE users SET full_name = name;" END);
    const struct zdm_step *remove = find_action(&c, ZDM_ACTION_SYNC_REMOVE);
    assert_non_null(remove);
    assert_int_equal(find_action(&c, ZDM_ACTION_SYNC_INSTALL)->superseded_by, remove->ordinal);
    assert_int_equal(zdm_plan_phase(c.plan, 3)->class, ZDM_PHASE_CONTRACT);
    assert_string_equal(c.notes->phases[2].title, "Finish");
    assert_non_null(find_rule(&c, "finish-phase"));
    compiled_fini(&c);
}

static void two_syncs_of_one_hidden_source_both_end(void **state)
{
    (void)state;
    struct compiled c = compile_good(
        "a.md", "## Expand\n```sql\nALTER TABLE u ADD COLUMN low text, ADD COLUMN full_name text;\n```\n" MIGRATE
                "\nUPDATE u SET low = lower(name);\nUPDATE u SET full_name = name;" END
                "## Contract\n```sql\nALTER TABLE u DROP COLUMN name;\n```\n");
    const struct zdm_step *hide = find_action(&c, ZDM_ACTION_HIDE_COLUMN);
    const struct zdm_step *remove = find_action(&c, ZDM_ACTION_SYNC_REMOVE);
    assert_true(hide->exact_inverse);
    assert_true(zdm_plan_step(c.plan, hide->sync_step)->derivation->both_ways);
    assert_false(zdm_plan_step(c.plan, remove->sync_step)->derivation->both_ways);
    assert_int_equal(remove->ordinal + 1, hide->ordinal);
    compiled_fini(&c);
}

static void each_pair_of_a_copy_has_triggers_of_its_own_and_goes_by_itself(void **state)
{
    (void)state;
    struct compiled c = compile_good(
        "a.md", "## Expand\n```sql\nALTER TABLE u ADD COLUMN full_name text, ADD COLUMN years int;\n```\n" MIGRATE
                "\nUPDATE u SET (full_name, years) = (name, age);" END
                "## Contract\n```sql\nALTER TABLE u DROP COLUMN name, DROP COLUMN age;\n```\n");
    size_t hides = 0;
    assert_int_equal(derivation(&c)->n_assignments, 2);
    for (uint32_t i = 1; i <= zdm_plan_n_steps(c.plan); i++) {
        const struct zdm_step *hide = zdm_plan_step(c.plan, i);
        if (hide->action != ZDM_ACTION_HIDE_COLUMN)
            continue;
        const struct zdm_derivation *d = zdm_plan_step(c.plan, hide->sync_step)->derivation;
        assert_int_equal(d->n_assignments, 1);
        assert_string_equal(d->assignments[0].copy_of, hide->column);
        assert_true(hide->exact_inverse);
        hides++;
    }
    assert_int_equal(hides, 2);
    assert_false(zdm_plan_phase(c.plan, 3)->destructive);
    compiled_fini(&c);
}

static void set_not_null_is_proven_by_a_check_first(void **state)
{
    (void)state;
    struct compiled c = compile_good("a.md", HEAD MIGRATE "\nUPDATE users SET full_name = name;" END
                                                          "## Contract\n```sql\nALTER TABLE users ALTER full_name SET "
                                                          "NOT NULL;\n```\n");
    const struct zdm_step *check = find_action(&c, ZDM_ACTION_ADD_CHECK);
    const struct zdm_step *validate = find_action(&c, ZDM_ACTION_VALIDATE);
    const struct zdm_step *set = find_action(&c, ZDM_ACTION_SET_NOT_NULL);
    const struct zdm_step *drop = find_action(&c, ZDM_ACTION_DROP_CONSTRAINT);
    assert_true(check->ordinal < validate->ordinal && validate->ordinal < set->ordinal && set->ordinal < drop->ordinal);
    assert_int_equal(check->superseded_by, drop->ordinal);
    assert_int_equal(validate->superseded_by, drop->ordinal);
    assert_string_equal(check->object, drop->object);
    assert_int_equal(validate->lock, ZDM_LOCK_LONG);
    compiled_fini(&c);
}

static void an_index_without_name_gets_the_one_that_postgresql_would_choose(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"ON users (name)", "users_name_idx"},
        {"ON users (lower(name), age DESC)", "users_lower_age_idx"},
        {"ON users ((a + b))", "users_expr_idx"},
        {"ON users (name) INCLUDE (age)", "users_name_age_idx"},
        {"ON a_very_long_name_of_a_table_that_goes_on_and_on_and_on (another_long_name_of_a_column)",
         "a_very_long_name_of_a_table_t_another_long_name_of_a_column_idx"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, "## Expand\n```sql\nCREATE INDEX %s;\n```\n", pairs[i][0]);
        struct compiled c = compile_good("a.md", text);
        assert_string_equal(find_action(&c, ZDM_ACTION_CREATE_INDEX)->object, pairs[i][1]);
        compiled_fini(&c);
    }
}

static void an_index_name_is_quoted_where_it_must_be(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"CREATE INDEX \"My \"\"idx\"\"\" ON t (x)",
         "CREATE INDEX CONCURRENTLY \"My \"\"idx\"\"\" ON public.t USING btree (x)"},
        {"CREATE INDEX ON \"Order Items\" (\"Größe\")",
         "CREATE INDEX CONCURRENTLY \"Order Items_Größe_idx\" ON public.\"Order Items\" USING btree (\"Größe\")"},
        {"CREATE INDEX \"user\" ON t (x) WHERE x <> 'zdm0index'",
         "CREATE INDEX CONCURRENTLY \"user\" ON public.t USING btree (x) WHERE x <> 'zdm0index'"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, "## Expand\n```sql\n%s;" END, pairs[i][0]);
        struct compiled c = compile_good("a.md", text);
        assert_string_equal(find_action(&c, ZDM_ACTION_CREATE_INDEX)->sql, pairs[i][1]);
        compiled_fini(&c);
    }
}

static void old_values_of_a_column_that_was_there_are_kept_until_the_purge(void **state)
{
    (void)state;
    struct compiled c = compile_good("a.md", MIGRATE "\nUPDATE users SET status = 'active' WHERE status IS NULL;" END);
    const struct zdm_step *fill = find_action(&c, ZDM_ACTION_BACKFILL);
    const struct zdm_step *purge = find_action(&c, ZDM_ACTION_PURGE_IMAGES);
    assert_int_equal(find_rule(&c, "before-images")->level, ZDM_LEVEL_NOTE);
    assert_int_equal(fill->inverse, ZDM_INVERSE_IMAGES);
    assert_true(fill->exact_inverse);
    assert_int_equal(strncmp(fill->object, "undo_", 5), 0);
    assert_int_equal(strlen(fill->object), 13);
    assert_int_equal(zdm_plan_phase(c.plan, 1)->approvals, 0);
    assert_false(zdm_plan_phase(c.plan, 1)->destructive);
    assert_string_equal(purge->object, fill->object);
    assert_string_equal(purge->table.name, "users");
    assert_int_equal(zdm_plan_phase(c.plan, 2)->class, ZDM_PHASE_PURGE);
    assert_int_equal(zdm_plan_phase(c.plan, 2)->approvals, 1);
    assert_true(zdm_plan_phase(c.plan, 2)->destructive);
    compiled_fini(&c);
}

static void each_update_keeps_its_old_values_in_a_table_of_its_own(void **state)
{
    (void)state;
    struct compiled c =
        compile_good("a.md", MIGRATE "\nUPDATE a SET x = 1; UPDATE a SET y = 2; UPDATE b SET x = 1;" END);
    const char *objects[3];
    for (uint32_t i = 0; i < 3; i++) {
        const struct zdm_step *fill = zdm_plan_step(c.plan, i + 1), *purge = zdm_plan_step(c.plan, i + 4);
        assert_int_equal(fill->inverse, ZDM_INVERSE_IMAGES);
        assert_string_equal(fill->object, purge->object);
        objects[i] = fill->object;
    }
    assert_string_not_equal(objects[0], objects[1]);
    assert_string_not_equal(objects[0], objects[2]);
    assert_string_not_equal(objects[1], objects[2]);
    compiled_fini(&c);
}

static void no_undo_keeps_nothing_and_asks_for_an_approval(void **state)
{
    (void)state;
    struct compiled c =
        compile_good("a.md", MIGRATE " {no-undo}\nUPDATE users SET status = 'active' WHERE status IS NULL;" END);
    assert_int_equal(find_action(&c, ZDM_ACTION_BACKFILL)->inverse, ZDM_INVERSE_IMPOSSIBLE);
    assert_null(find_action(&c, ZDM_ACTION_BACKFILL)->object);
    assert_null(find_action(&c, ZDM_ACTION_PURGE_IMAGES));
    assert_null(find_rule(&c, "before-images"));
    assert_int_equal(find_rule(&c, "no-undo")->level, ZDM_LEVEL_WARNING);
    assert_true(zdm_plan_phase(c.plan, 1)->destructive);
    assert_int_equal(zdm_plan_phase(c.plan, 1)->approvals, 1);
    compiled_fini(&c);
}

/* Section 9 of what each step's way back is, for a plan that has every kind. */
static void every_kind_of_step_says_truly_what_its_way_back_is(void **state)
{
    (void)state;
    static const char text[] =
        "## Expand\n```sql\nALTER TABLE users ADD COLUMN full_name text;\n"
        "CREATE INDEX ON users (town);\n```\n"
        "## Migrate\n```sql\nUPDATE users SET full_name = name;\n"
        "UPDATE users SET age = 0 WHERE age IS NULL;\n"
        "ALTER TABLE users ALTER age SET NOT NULL;\n```\n"
        "## Switch\n## Contract\n```sql\nALTER TABLE users DROP COLUMN name, DROP COLUMN note;" END;
    static const struct {
        enum zdm_action action;
        enum zdm_inverse_kind inverse;
        bool exact;
    } rows[] = {
        {ZDM_ACTION_ADD_COLUMN, ZDM_INVERSE_HIDE, true},
        {ZDM_ACTION_CREATE_INDEX, ZDM_INVERSE_SQL, true},
        {ZDM_ACTION_SYNC_INSTALL, ZDM_INVERSE_REMOVE, true},
        {ZDM_ACTION_BACKFILL, ZDM_INVERSE_NONE, true},
        {ZDM_ACTION_BACKFILL, ZDM_INVERSE_IMAGES, true},
        {ZDM_ACTION_ADD_CHECK, ZDM_INVERSE_SQL, true},
        {ZDM_ACTION_VALIDATE, ZDM_INVERSE_NONE, true},
        {ZDM_ACTION_SET_NOT_NULL, ZDM_INVERSE_SQL, true},
        {ZDM_ACTION_DROP_CONSTRAINT, ZDM_INVERSE_NONE, true},
        {ZDM_ACTION_CHECK_COMPARE, ZDM_INVERSE_NONE, true},
        {ZDM_ACTION_CHECK_COMPARE, ZDM_INVERSE_NONE, true},
        {ZDM_ACTION_HIDE_COLUMN, ZDM_INVERSE_UNHIDE, true},
        {ZDM_ACTION_HIDE_COLUMN, ZDM_INVERSE_UNHIDE, false},
        {ZDM_ACTION_PURGE_IMAGES, ZDM_INVERSE_IMPOSSIBLE, false},
        {ZDM_ACTION_PURGE_COLUMN, ZDM_INVERSE_IMPOSSIBLE, false},
        {ZDM_ACTION_PURGE_COLUMN, ZDM_INVERSE_IMPOSSIBLE, false},
    };
    struct compiled c = compile_good("a.md", text);
    size_t n = sizeof rows / sizeof rows[0];
    assert_int_equal(zdm_plan_n_steps(c.plan), n);
    for (uint32_t i = 0; i < n; i++) {
        const struct zdm_step *step = zdm_plan_step(c.plan, i + 1);
        if (step->action != rows[i].action || step->inverse != rows[i].inverse || step->exact_inverse != rows[i].exact)
            fail_msg("step %u is %s with inverse %s, exact %d", i + 1, zdm_action_name(step->action),
                     zdm_inverse_name(step->inverse), step->exact_inverse);
    }
    compiled_fini(&c);
}

static void a_subquery_is_written_with_schemas_and_with_the_row_that_is_changed(void **state)
{
    (void)state;
    struct compiled c = compile_good(
        "a.md",
        MIGRATE " {no-sync}\nUPDATE a SET n = (SELECT count(*) FROM b WHERE b.up = a.id AND b.n > (SELECT min(a.m) "
                "FROM a WHERE a.id = b.id)) WHERE k IN (SELECT k FROM b);" END);
    const struct zdm_derivation *d = derivation(&c);
    /* The inner a is not the one that is changed. */
    assert_string_equal(d->assignments[0].expr,
                        "(SELECT count(*) FROM public.b WHERE b.up = t.\"id\" AND b.n > (SELECT min(a.m) FROM public.a "
                        "WHERE a.id = b.id))");
    assert_string_equal(d->filter, "(t.\"k\" IN (SELECT k FROM public.b))");
    assert_null(d->assignments[0].expr_new);
    assert_true(d->idempotent && reads(d, "id") && reads(d, "k") && !reads(d, "up"));
    assert_non_null(find_rule(&c, "subquery-once"));
    compiled_fini(&c);
}

static void a_subquery_over_the_changed_table_may_read_what_is_not_changed(void **state)
{
    (void)state;
    static const char *const good[] = {
        "UPDATE a SET n = (SELECT max(b.m) FROM a b WHERE b.id < a.id)",
        "UPDATE a SET n = (SELECT count(*) FROM a b WHERE b.up = a.id)",
        "UPDATE a SET n = (SELECT max(n.n) FROM n WHERE n.id = a.id)",
        "UPDATE a SET n = (SELECT max(other.a.n) FROM other.a)",
        "UPDATE a SET n = (SELECT s.m FROM (SELECT x.m, x.id FROM a x) s WHERE s.id = a.up)",
        "UPDATE a SET n = 1 WHERE id IN (SELECT id FROM a ORDER BY id LIMIT 10)",
        "UPDATE a SET n = 1 WHERE id IN (SELECT b.id FROM a JOIN b USING (id) WHERE b.n > 1)",
        "UPDATE a SET n = 1 WHERE EXISTS (SELECT FROM b WHERE b.id = a.id LIMIT 1)",
        "DELETE FROM a WHERE id IN (SELECT a.id FROM other.a)",
        "DELETE FROM a WHERE id IN (SELECT b.id FROM b ORDER BY b.id LIMIT 10)",
    };
    static const char *const wrong[] = {
        "UPDATE a SET n = (SELECT max(b.n) FROM a b WHERE b.id < a.id)",
        "UPDATE a SET n = (SELECT max(public.a.n) FROM a)",
        "UPDATE a SET n = (SELECT max(s.n) FROM (SELECT * FROM a) s)",
        "UPDATE a SET n = (SELECT count(b.*) FROM a b)",
        "UPDATE a SET n = (SELECT max(b.m) FROM a b JOIN c USING (n))",
        "UPDATE a SET n = (SELECT max(b.m) FROM a b NATURAL JOIN c)",
        "UPDATE a SET n = (SELECT max(b.m) FROM a AS b (x, m))",
        "UPDATE a SET n = (SELECT b.m FROM a b ORDER BY b.n LIMIT 1)",
        "UPDATE a SET n = (SELECT max(b.m) FROM a b WHERE b.xmin IS NULL)",
        "UPDATE a SET n = (SELECT max(j.n) FROM (a JOIN c ON a.id = c.id) AS j)",
        "UPDATE a SET n = 1 WHERE id IN (SELECT id FROM a WHERE n IS NULL)",
        "UPDATE a SET n = 1 WHERE EXISTS (SELECT FROM a b WHERE EXISTS (SELECT FROM c WHERE c.x = b.n))",
        "UPDATE a SET n = 1 WHERE id IN (SELECT count(b) FROM a b)",
        "DELETE FROM a WHERE id IN (SELECT id FROM a ORDER BY id LIMIT 1000)",
        "DELETE FROM a WHERE score < (SELECT avg(score) FROM public.a)",
        "DELETE FROM a x WHERE NOT EXISTS (SELECT FROM c JOIN a y ON y.id = c.id WHERE y.up = x.id)",
    };
    char text[512];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(text, sizeof text, MIGRATE " {no-sync}\n%s;" END, good[i]);
        struct compiled c = compile_good("a.md", text);
        compiled_fini(&c);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(text, sizeof text, MIGRATE " {no-sync}\n%s;" END, wrong[i]);
        refused(text, "subquery-own-table");
    }
}

static void what_triggers_of_the_plan_change_counts_as_changed_for_a_subquery(void **state)
{
    (void)state;
    static const char copied[] = "## Expand\n```sql\nALTER TABLE a ADD COLUMN n2 int, ADD COLUMN n3 int;\n```\n" MIGRATE
                                 "\nUPDATE a SET n2 = n;\nUPDATE a SET n3 = m + 1;\n"
                                 "UPDATE a SET %s = (SELECT max(b.%s) FROM a b WHERE b.id < a.id);" END;
    static const struct {
        const char *target, *read;
        bool right;
    } rows[] = {{"n", "n2", false}, {"m", "n3", false}, {"m", "n2", true}, {"n", "n3", true}, {"k", "n3", true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, copied, rows[i].target, rows[i].read);
#pragma GCC diagnostic pop
        struct compiled c = compile_text("a.md", text, strlen(text));
        assert_int_equal(c.plan != NULL, rows[i].right);
        assert_int_equal(find_rule(&c, "subquery-own-table") == NULL, rows[i].right);
        compiled_fini(&c);
    }
}

static void that_a_column_differs_is_left_to_the_batch_only_where_it_is_the_only_one(void **state)
{
    (void)state;
    struct compiled c = compile_good(
        "a.md", MIGRATE "\nUPDATE o SET total = n * 100, seen = NULL WHERE total IS DISTINCT FROM n * 100;" END);
    assert_string_equal(derivation(&c)->filter, "(t.\"total\" IS DISTINCT FROM (t.\"n\" * 100))");
    compiled_fini(&c);
    c = compile_good("a.md", MIGRATE "\nUPDATE o SET total = n * 100 WHERE total IS DISTINCT FROM n * 100;" END);
    assert_null(derivation(&c)->filter);
    compiled_fini(&c);
    /* A row with a NULL is none that this names. */
    c = compile_good("a.md", MIGRATE "\nUPDATE o SET total = n * 100 WHERE total <> n * 100;" END);
    assert_string_equal(derivation(&c)->filter, "(t.\"total\" <> (t.\"n\" * 100))");
    assert_null(find_rule(&c, "condition-null"));
    compiled_fini(&c);
    refused(MIGRATE " {sync}\nUPDATE o SET total = n * 100, seen = NULL WHERE total IS DISTINCT FROM n * 100;" END,
            "condition-mixed");
}

static void what_no_trigger_keeps_is_compared_where_it_can_be_computed_again(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *compared; /* expressions, and the filter */
    } rows[] = {
        {"UPDATE u SET a = name", "t.\"name\" -"},
        {"UPDATE u SET a = upper(name) WHERE a IS NULL", "upper(t.\"name\") (t.\"a\" IS NULL)"},
        {"UPDATE u SET a = name WHERE a = ''", "t.\"name\" (t.\"a\" = '')"},
        {"UPDATE u SET a = coalesce(name, '') WHERE a IS NULL AND k <> 7",
         "COALESCE(t.\"name\", '') (t.\"k\" <> 7) AND (t.\"a\" IS NULL)"},
        {"UPDATE u SET a = 'x', b = name WHERE a IS NULL", "t.\"name\" (t.\"a\" IS NULL)"},
        {"UPDATE u SET a = name WHERE a < now()::text", ""},
        {"UPDATE u SET a = name WHERE a IN (SELECT b.a FROM b)", ""},
        {"UPDATE u SET a = name WHERE a IS DISTINCT FROM name", "t.\"name\" -"},
        {"UPDATE u SET a = name WHERE a <> name", "t.\"name\" -"},
        {"UPDATE u SET a = name WHERE k > 1 AND (a IS NULL OR b < name)",
         "t.\"name\" (t.\"k\" > 1) AND (t.\"a\" IS NULL OR t.\"b\" < t.\"name\")"},
        {"UPDATE u SET a = 'x', b = name", "t.\"name\" -"},
        {"UPDATE u SET old = 'x', b = name", "t.\"name\" -"},
        {"UPDATE u SET a = name, b = lower(name)", "t.\"name\" lower(t.\"name\") -"},
        {"UPDATE u SET a = name; UPDATE u SET b = lower(name)", "t.\"name\" - lower(t.\"name\") -"},
        {"UPDATE u SET a = name; UPDATE u SET a = nick WHERE k = 1", "t.\"nick\" (t.\"k\" = 1)"},
        {"UPDATE u SET a = name; UPDATE u SET name = 'x'", ""},
        {"UPDATE u SET a = 'x'", ""},
        {"UPDATE u SET a = now()::text", ""},
        {"UPDATE u SET a = gen_random_uuid()::text", ""},
        {"UPDATE u SET a = a || name", ""},
        {"UPDATE u SET a = b || name, b = 'x'", ""},
        {"UPDATE u SET old = name", ""},
        {"UPDATE u SET a = (SELECT max(b.a) FROM b WHERE b.id = u.name)", ""},
        {"UPDATE u SET a = name WHERE at < now()", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512], found[512] = "";
        snprintf(text, sizeof text,
                 "## Expand\n```sql\nALTER TABLE u ADD COLUMN a text, ADD COLUMN b text;\n```\n" MIGRATE
                 " {no-sync}\n%s;\n```\n## Contract\n```sql\nALTER TABLE u DROP COLUMN name;" END,
                 rows[i].sql);
        struct compiled c = compile_good("a.md", text);
        for (uint32_t o = 1; o <= zdm_plan_n_steps(c.plan); o++) {
            const struct zdm_step *step = zdm_plan_step(c.plan, o);
            if (step->action != ZDM_ACTION_CHECK_COMPARE)
                continue;
            assert_int_equal(zdm_plan_phase_of(c.plan, o), 2);
            assert_int_equal(step->sync_step, 0);
            assert_null(step->derivation->guard);
            for (size_t j = 0; j < step->derivation->n_assignments; j++) {
                strcat(found, found[0] == '\0' ? "" : " ");
                strcat(found, step->derivation->assignments[j].expr);
            }
            strcat(found, " ");
            strcat(found, step->derivation->filter == NULL ? "-" : step->derivation->filter);
            /* Once the column that it was filled from is hidden nobody compares again. */
            const struct zdm_step *ends = zdm_plan_step(c.plan, step->superseded_by);
            assert_true(strstr(found, "name") == NULL || (ends != NULL && ends->action == ZDM_ACTION_HIDE_COLUMN));
        }
        assert_string_equal(found, rows[i].compared);
        compiled_fini(&c);
    }
}

static void what_may_fail_in_a_trigger_is_warned_of(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool warned;
    } rows[] = {
        {"raw::smallint", true},
        {"raw::jsonb", true},
        {"raw::public.status", true},
        {"raw::int[]", true},
        {"k::smallint", true},
        {"k::numeric(5, 2)", true},
        {"(doc ->> 'n')::int", true},
        {"coalesce(raw, '0')::int", true},
        {"length(raw)::smallint", true},
        {"CASE WHEN other ~ 'x' THEN raw::int END", true},
        {"CASE WHEN raw::int > 5 THEN 1 END", true},
        {"a / b", true},
        {"a % b", true},
        {"to_date(raw, 'YYYY')", true},
        {"raw::text", false},
        {"upper(raw)::varchar(20)", false},
        {"'5'::int", false},
        {"k::bigint", false},
        {"coalesce(k, 0)::bigint", false},
        {"(k * 2)::numeric", false},
        {"length(raw)::bigint", false},
        {"(a > 1)::int", false},
        {"extract(year from at)::int", false},
        {"date_trunc('day', at)::date", false},
        {"CASE WHEN raw ~ '^[0-9]{1,9}$' THEN raw::int END", false},
        {"CASE raw WHEN 'x' THEN 1 ELSE raw::int END", false},
        {"CASE WHEN doc ->> 'n' ~ '^[0-9]{1,9}$' THEN (doc ->> 'n')::int END", false},
        {"a / 2", false},
        {"a / nullif(b, 0)", false},
        {"to_timestamp(a)", false},
    };
    static const char *const tails[] = {"", " WHERE raw ~ '^[0-9]+$'"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t t = 0; t < 2; t++) {
            char text[512];
            snprintf(text, sizeof text,
                     "## Expand\n```sql\nALTER TABLE t ADD COLUMN c text, ADD COLUMN k int;\n```\n" MIGRATE
                     "\nUPDATE t SET c = %s%s;" END,
                     rows[i].value, tails[t]);
            struct compiled c = compile_good("a.md", text);
            const struct zdm_finding *finding = find_rule(&c, "may-fail");
            bool guarded = t == 1 && strstr(rows[i].value, "raw") != NULL;
            if ((finding != NULL) != (rows[i].warned && !guarded))
                fail_msg("%s%s: %s", rows[i].value, tails[t], finding == NULL ? "no warning" : finding->message);
            assert_true(finding == NULL || finding->level == ZDM_LEVEL_WARNING);
            compiled_fini(&c);
        }
    }
    struct compiled c = compile_good("a.md", MIGRATE " {no-sync}\nUPDATE t SET c = raw::int;" END);
    assert_null(find_rule(&c, "may-fail"));
    compiled_fini(&c);
    c = compile_good("a.md", MIGRATE " {sync}\nUPDATE t SET c = d WHERE raw::int > 5;" END);
    assert_non_null(find_rule(&c, "may-fail"));
    compiled_fini(&c);
}

static void what_a_setting_decides_is_refused_and_its_safe_form_is_not(void **state)
{
    (void)state;
    static const char *const good[] = {"to_tsvector('english', body)",
                                       "to_tsvector('english'::regconfig, body)",
                                       "ts_headline('english', body, q)",
                                       "ts_headline('english', body, q, 'MaxWords=3')",
                                       "jsonb_to_tsvector('simple', body, '\"string\"')",
                                       "to_char(n, 'FM999,990.00SG')",
                                       "to_char(at, 'YYYY-MM-DD\"TM LG\"HH24:MI:SS D')",
                                       "format('%s', name)",
                                       "to_number(body, '99.9PL')",
                                       "ts_rewrite(q, a, b)"};
    static const char *const wrong[] = {"to_tsvector(body)",
                                        "pg_catalog.to_tsquery(body)",
                                        "phraseto_tsquery(body)",
                                        "websearch_to_tsquery(body)",
                                        "json_to_tsvector(body, '\"all\"')",
                                        "ts_headline(body, q)",
                                        "money(n)",
                                        "to_char(n, 'L999')",
                                        "to_number(body, '9G999')",
                                        "to_date(body, 'DD TMMon YYYY')",
                                        "format('%I', body)",
                                        "format('%2$I', a, body)",
                                        "xml_is_well_formed(body)",
                                        "body::regtype",
                                        "body::regconfig",
                                        "CAST(body AS money)"};
    char text[512];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(text, sizeof text, MIGRATE "\nUPDATE t SET c = %s;" END, good[i]);
        struct compiled c = compile_good("a.md", text);
        compiled_fini(&c);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(text, sizeof text, MIGRATE "\nUPDATE t SET c = %s;" END, wrong[i]);
        refused(text, "session-setting");
    }
}

static void the_grace_period_is_72_hours_where_nothing_else_is_written(void **state)
{
    (void)state;
    static const struct {
        const char *front;
        int64_t ms;
    } rows[] = {{"", INT64_C(259200000)},
                {"---\ngrace: 90m\n---\n", INT64_C(5400000)},
                {"---\ngrace: 0s\n---\n", 0},
                {"---\ngrace: 366d\n---\n", INT64_C(31622400000)}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s## Contract\n```sql\nALTER TABLE t DROP COLUMN a;" END, rows[i].front);
        struct compiled c = compile_good("a.md", text);
        assert_true(c.plan->grace_ms == rows[i].ms);
        compiled_fini(&c);
    }
}

static void a_value_that_may_be_null_is_warned_of_where_the_column_is_not_null(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool warned;
    } rows[] = {{"age * 2", true},
                {"coalesce(age * 2, 0)", false},
                {"CASE WHEN age > 1 THEN 1 END", true},
                {"CASE WHEN age > 1 THEN 1 ELSE 2::int END", false},
                {"7", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "## Expand\n```sql\nALTER TABLE t ADD COLUMN s int NOT NULL DEFAULT 0;\n```\n" MIGRATE
                 "\nUPDATE t SET s = %s;" END,
                 rows[i].value);
        struct compiled c = compile_text("a.md", text, strlen(text));
        assert_int_equal(find_rule(&c, "null-value") != NULL, rows[i].warned);
        compiled_fini(&c);
    }
}

static void a_moment_in_words_is_a_time_that_changes(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool now;
    } rows[] = {{"'now'::timestamptz", true}, {"timestamp ' NOW '", true},  {"date 'Today'", true},
                {"'now'::text", false},       {"date '2026-01-01'", false}, {"public.users.born", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, HEAD MIGRATE "\nUPDATE users SET full_name = %s;" END, rows[i].value);
        struct compiled c = compile_good("a.md", text);
        assert_int_equal(derivation(&c)->assignments[0].fill_once, rows[i].now);
        compiled_fini(&c);
    }
}

static void tables_of_a_check_get_the_schema_of_the_runbook(void **state)
{
    (void)state;
    struct compiled c =
        compile_good("a.md", "---\nschema: shop\n---\n## Migrate\n```sql {check}\nWITH x AS (SELECT id FROM "
                             "users) SELECT * FROM x, pg_class, other.t;\n```\n");
    assert_string_equal(find_action(&c, ZDM_ACTION_CHECK_QUERY)->sql,
                        "WITH x AS (SELECT id FROM shop.users) SELECT * FROM x, pg_class, other.t");
    compiled_fini(&c);
}

static void a_statement_with_several_commands_becomes_several_steps(void **state)
{
    (void)state;
    struct compiled c = compile_good(
        "a.md", "## Expand\n```sql\nALTER TABLE t ADD COLUMN a numeric(10,2) DEFAULT -1.5,\n  ADD b text COLLATE "
                "\"C\" NOT NULL DEFAULT 'x, y', ADD c citext;\n```\n");
    assert_int_equal(zdm_plan_n_steps(c.plan), 3);
    assert_string_equal(zdm_plan_step(c.plan, 1)->sql,
                        "ALTER TABLE \"public\".\"t\" ADD COLUMN \"a\" numeric(10, 2) DEFAULT -1.5");
    assert_string_equal(zdm_plan_step(c.plan, 2)->sql,
                        "ALTER TABLE \"public\".\"t\" ADD COLUMN \"b\" text COLLATE \"C\" DEFAULT 'x, y' NOT NULL");
    assert_string_equal(zdm_plan_step(c.plan, 3)->sql, "ALTER TABLE \"public\".\"t\" ADD COLUMN \"c\" public.citext");
    assert_string_equal(c.notes->steps[1].source, "ALTER TABLE t ADD b text COLLATE \"C\" NOT NULL DEFAULT 'x, y'");
    assert_int_equal(c.notes->steps[1].line, 4);
    assert_int_equal(c.notes->steps[1].column, 3);
    compiled_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guard_on_the_target_is_for_the_batch_and_not_for_the_trigger),
        cmocka_unit_test(a_trigger_is_not_bound_to_one_source_so_that_a_moved_key_is_seen),
        cmocka_unit_test(a_trigger_computes_from_the_row_as_other_triggers_leave_it),
        cmocka_unit_test(a_default_of_the_new_column_never_overwrites_the_old_one),
        cmocka_unit_test(a_generated_column_is_not_made_by_a_plan),
        cmocka_unit_test(an_automatic_key_is_not_read_on_engines_where_it_is_not_there_yet),
        cmocka_unit_test(what_depends_on_the_session_s_time_zone_is_said),
        cmocka_unit_test(a_function_that_the_application_may_not_be_allowed_to_use_is_refused),
        cmocka_unit_test(an_operator_of_an_extension_is_written_out),
        cmocka_unit_test(a_pure_copy_runs_both_ways),
        cmocka_unit_test(a_copy_with_a_filter_runs_forward_only_and_says_so),
        cmocka_unit_test(two_copies_of_one_source_run_forward_only),
        cmocka_unit_test(a_term_that_every_batch_checks_anyway_is_dropped),
        cmocka_unit_test(an_existing_column_gets_no_trigger_unless_sync_is_written),
        cmocka_unit_test(an_update_that_counts_runs_only_without_sync_and_is_not_idempotent),
        cmocka_unit_test(a_value_that_differs_each_time_is_written_once),
        cmocka_unit_test(names_are_quoted_and_constants_left_alone),
        cmocka_unit_test(expressions_are_written_so_that_they_parse_to_the_same),
        cmocka_unit_test(a_sync_ends_where_its_source_is_hidden),
        cmocka_unit_test(a_sync_without_contract_phase_ends_in_a_phase_of_its_own),
        cmocka_unit_test(two_syncs_of_one_hidden_source_both_end),
        cmocka_unit_test(each_pair_of_a_copy_has_triggers_of_its_own_and_goes_by_itself),
        cmocka_unit_test(set_not_null_is_proven_by_a_check_first),
        cmocka_unit_test(an_index_name_is_quoted_where_it_must_be),
        cmocka_unit_test(a_value_that_may_be_null_is_warned_of_where_the_column_is_not_null),
        cmocka_unit_test(a_moment_in_words_is_a_time_that_changes),
        cmocka_unit_test(old_values_of_a_column_that_was_there_are_kept_until_the_purge),
        cmocka_unit_test(each_update_keeps_its_old_values_in_a_table_of_its_own),
        cmocka_unit_test(no_undo_keeps_nothing_and_asks_for_an_approval),
        cmocka_unit_test(every_kind_of_step_says_truly_what_its_way_back_is),
        cmocka_unit_test(a_subquery_is_written_with_schemas_and_with_the_row_that_is_changed),
        cmocka_unit_test(a_subquery_over_the_changed_table_may_read_what_is_not_changed),
        cmocka_unit_test(what_triggers_of_the_plan_change_counts_as_changed_for_a_subquery),
        cmocka_unit_test(that_a_column_differs_is_left_to_the_batch_only_where_it_is_the_only_one),
        cmocka_unit_test(what_no_trigger_keeps_is_compared_where_it_can_be_computed_again),
        cmocka_unit_test(what_may_fail_in_a_trigger_is_warned_of),
        cmocka_unit_test(what_a_setting_decides_is_refused_and_its_safe_form_is_not),
        cmocka_unit_test(the_grace_period_is_72_hours_where_nothing_else_is_written),
        cmocka_unit_test(an_index_without_name_gets_the_one_that_postgresql_would_choose),
        cmocka_unit_test(tables_of_a_check_get_the_schema_of_the_runbook),
        cmocka_unit_test(a_statement_with_several_commands_becomes_several_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
