/*
 * The article that the tool answers to: its three-phase runbook compiles as it stands, and each of its SQL examples in
 * a runbook around it either compiles or is refused at its exact place with advice.
 */
#include "tests/unit/runbook/support.h"

#include <stdio.h>
#include <string.h>

static const char step_2[] = "## Phase 1: Expand\n"
                             "Add new column `email_verified` (nullable)\n"
                             "\n"
                             "```sql\n"
                             "ALTER TABLE users ADD COLUMN email_verified BOOLEAN;\n"
                             "```\n"
                             "\n"
                             "## Phase 2: Migrate\n"
                             "Backfill existing data\n"
                             "\n"
                             "```sql\n"
                             "UPDATE users SET email_verified = \n"
                             "  CASE WHEN email_verified_at IS NOT NULL THEN true ELSE false END;\n"
                             "```\n"
                             "\n"
                             "## Phase 3: Contract\n"
                             "Make column required, remove old column\n"
                             "\n"
                             "```sql\n"
                             "ALTER TABLE users ALTER COLUMN email_verified SET NOT NULL;\n"
                             "ALTER TABLE users DROP COLUMN email_verified_at;\n"
                             "```\n";

static void the_three_phases_compile_as_they_stand(void **state)
{
    (void)state;
    struct compiled c = compile_good("some/where/Email Verified.md", step_2);
    assert_string_equal(c.plan->id, "email-verified");
    assert_int_equal(c.plan->n_phases, 4);
    assert_string_equal(c.notes->phases[0].title, "Expand");
    assert_string_equal(c.notes->phases[0].prose, "Add new column `email_verified` (nullable)\n");
    const struct zdm_step *hide = find_action(&c, ZDM_ACTION_HIDE_COLUMN);
    assert_false(hide->exact_inverse);
    assert_true(zdm_plan_phase(c.plan, 3)->destructive);
    assert_int_equal(zdm_plan_phase(c.plan, 3)->approvals, 1);
    assert_int_equal(hide->sync_step, find_action(&c, ZDM_ACTION_SYNC_INSTALL)->ordinal);
    assert_int_equal(find_action(&c, ZDM_ACTION_PURGE_COLUMN)->sync_step, 0);
    compiled_fini(&c);
}

static void the_design_s_rename_compiles(void **state)
{
    (void)state;
    struct compiled c = compile_good(
        "x.md",
        "---\nid: users-full-name\nshards: cluster=main            # label selector; default: every shard\n"
        "waves: [tier=canary, 25%, 100%] # order\nsoak: 1h\nmax_parallel: 32\nfailure_budget: 1\n"
        "throttle: {batch_target: 50ms, max_replica_lag: 5s, max_stall: 1100ms}\napprovals: {contract: 2}\n---\n"
        "# Rename users.name to full_name\n\n## Phase 1: Expand\n```sql\nALTER TABLE users ADD COLUMN full_name "
        "VARCHAR(255);\n```\n\n## Phase 2: Migrate\n```sql\nUPDATE users SET full_name = name WHERE full_name IS "
        "NULL;\n```\n\n## Phase 3: Switch\n```flag\nkey: users-read-full-name\nrollout: [internal, 1%, 10%, 50%, "
        "100%]\nsoak: 24h\n```\n\n## Phase 4: Contract\n```sql\nALTER TABLE users DROP COLUMN name;\n```\n");
    assert_string_equal(c.plan->id, "users-full-name");
    assert_string_equal(c.plan->selector, "cluster=main");
    assert_int_equal(c.plan->n_waves, 3);
    assert_int_equal(c.plan->wave_soak_ms, 3600000);
    assert_int_equal(c.plan->throttle.batch_target_ms, 50);
    assert_int_equal(c.plan->throttle.max_replica_lag_ms, 5000);
    assert_int_equal(c.plan->throttle.max_stall_ms, 1100);
    assert_int_equal(zdm_plan_phase(c.plan, 4)->approvals, 2);
    assert_int_equal(zdm_plan_phase(c.plan, 5)->approvals, 2);
    const struct zdm_flag *flag = find_action(&c, ZDM_ACTION_GATE_FLAG)->flag;
    assert_int_equal(flag->n_rollout, 5);
    assert_int_equal(flag->soak_ms, 86400000);
    compiled_fini(&c);
}

static void each_example_compiles_or_is_refused_in_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *class, *sql, *rule; /* NULL: compiles */
        unsigned line, column;
    } examples[] = {
        {"Expand", "ALTER TABLE users RENAME COLUMN name TO full_name;", "rename-column", 3, 19},
        {"Expand", "ALTER TABLE users ADD COLUMN full_name VARCHAR(255);", NULL, 0, 0},
        {"Migrate", "UPDATE users SET full_name = name WHERE full_name IS NULL;", NULL, 0, 0},
        {"Contract", "ALTER TABLE users DROP COLUMN name;", NULL, 0, 0},
        {"Expand",
         "ALTER TABLE orders \nADD CONSTRAINT orders_user_id_fkey \nFOREIGN KEY (user_id) REFERENCES users(id) \nNOT "
         "VALID;",
         NULL, 0, 0},
        {"Expand", "ALTER TABLE orders VALIDATE CONSTRAINT orders_user_id_fkey;", NULL, 0, 0},
        {"Expand", "CREATE INDEX CONCURRENTLY idx_orders_date ON orders(created_at);", NULL, 0, 0},
        {"Expand", "ALTER TABLE orders ADD INDEX idx_date(created_at), ALGORITHM=INPLACE, LOCK=NONE;", "sql-syntax", 3,
         52},
        {"Migrate", "DO $$\nDECLARE\n  batch_size INTEGER := 10000;\nBEGIN\n  COMMIT;\nEND $$;", "do-block", 3, 1},
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        char text[1024];
        snprintf(text, sizeof text, "## %s\n```sql\n%s\n```\n", examples[i].class, examples[i].sql);
        if (examples[i].rule == NULL) {
            struct compiled good = compile_good("example.md", text);
            compiled_fini(&good);
            continue;
        }
        struct compiled c = compile_text("example.md", text, strlen(text));
        const struct zdm_finding *finding = find_rule(&c, examples[i].rule);
        assert_null(c.plan);
        assert_non_null(finding);
        assert_int_equal(finding->line, examples[i].line);
        assert_int_equal(finding->column, examples[i].column);
        assert_true(finding->hint[0] != '\0');
        compiled_fini(&c);
    }
}

static void headings_of_prose_are_no_phases(void **state)
{
    (void)state;
    struct compiled c =
        compile_good("x.md", "## Release notes and rollout\n\nWords.\n\n## Background\n\nWords.\n\n"
                             "## Expand\n\n```sql\nCREATE INDEX ON t (a);\n```\n\n## Switch\n\nDeploy.\n\n"
                             "## Phase 3: Clean up by hand\n\nWords.\n");
    assert_int_equal(c.plan->n_phases, 3);
    assert_string_equal(c.notes->phases[1].title, "Switch");
    assert_string_equal(c.notes->phases[1].prose, "Deploy.\n");
    assert_string_equal(c.notes->phases[2].title, "Clean up by hand");
    assert_int_equal(zdm_plan_phase(c.plan, 3)->class, ZDM_PHASE_CONTRACT);
    compiled_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_phases_compile_as_they_stand),
        cmocka_unit_test(the_design_s_rename_compiles),
        cmocka_unit_test(headings_of_prose_are_no_phases),
        cmocka_unit_test(each_example_compiles_or_is_refused_in_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
