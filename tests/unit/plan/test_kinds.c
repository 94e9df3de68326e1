/*
 * test_kinds.c - one step of every action: it is whole and honest, and with anything else in any of its SQL it is not;
 * which step ends the asking for which other's proof.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buffer.h"
#include "common/plan/form.h"
#include "common/plan/plan.h"

#define T  "\"public\".\"users\""
#define AT "ALTER TABLE " T " "

enum { PHASES = 4, NO_TABLE = 1, NO_NAME = 2, INEXACT = 4, PARENT = 8, LONG = 16 };

struct line {
    unsigned phase;
    enum zdm_action action;
    enum zdm_step_kind kind;
    const char *column, *object, *sql;
    enum zdm_inverse_kind inverse;
    const char *inverse_sql;
    unsigned flags;
};

static const char drop_c[] = AT "DROP CONSTRAINT IF EXISTS \"c\"";

static const struct line lines[] = {
    {1, ZDM_ACTION_ADD_COLUMN, ZDM_STEP_DDL, "a", NULL, AT "ADD COLUMN \"a\" int DEFAULT 1", ZDM_INVERSE_HIDE, NULL, 0},
    {1, ZDM_ACTION_ADD_COLUMN, ZDM_STEP_DDL, "b", NULL,
     AT "ADD COLUMN \"b\" numeric(4, 2), ALTER COLUMN \"b\" SET DEFAULT random()", ZDM_INVERSE_HIDE, NULL, 0},
    {1, ZDM_ACTION_ADD_CHECK, ZDM_STEP_DDL, NULL, "c", AT "ADD CONSTRAINT \"c\" CHECK (a > 0) NOT VALID",
     ZDM_INVERSE_SQL, drop_c, 0},
    {1, ZDM_ACTION_VALIDATE, ZDM_STEP_VALIDATE, NULL, "theirs", AT "VALIDATE CONSTRAINT \"theirs\"", ZDM_INVERSE_NONE,
     NULL, 0},
    {1, ZDM_ACTION_SET_NOT_NULL, ZDM_STEP_DDL, "a", NULL, AT "ALTER COLUMN \"a\" SET NOT NULL", ZDM_INVERSE_SQL,
     AT "ALTER COLUMN \"a\" DROP NOT NULL", 0},
    {1, ZDM_ACTION_DROP_CONSTRAINT, ZDM_STEP_DDL, NULL, "c", drop_c, ZDM_INVERSE_NONE, NULL, 0},
    {1, ZDM_ACTION_CREATE_INDEX, ZDM_STEP_INDEX, NULL, "u", "CREATE UNIQUE INDEX CONCURRENTLY \"u\" ON " T " (a, b)",
     ZDM_INVERSE_SQL, "DROP INDEX CONCURRENTLY IF EXISTS \"public\".\"u\"", 0},
    {1, ZDM_ACTION_ADD_UNIQUE, ZDM_STEP_DDL, NULL, "u", AT "ADD CONSTRAINT \"u\" UNIQUE USING INDEX \"u\" DEFERRABLE",
     ZDM_INVERSE_SQL, AT "DROP CONSTRAINT IF EXISTS \"u\"", 0},
    {1, ZDM_ACTION_CREATE_INDEX, ZDM_STEP_INDEX, NULL, "k", "CREATE INDEX CONCURRENTLY \"k\" ON " T " (lower(a))",
     ZDM_INVERSE_SQL, "DROP INDEX CONCURRENTLY IF EXISTS \"public\".\"k\"", 0},
    {1, ZDM_ACTION_ADD_PRIMARY_KEY, ZDM_STEP_DDL, NULL, "k", AT "ADD CONSTRAINT \"k\" PRIMARY KEY USING INDEX \"k\"",
     ZDM_INVERSE_SQL, AT "DROP CONSTRAINT IF EXISTS \"k\"", 0},
    {1, ZDM_ACTION_ADD_FOREIGN_KEY, ZDM_STEP_DDL, NULL, "f",
     AT "ADD CONSTRAINT \"f\" FOREIGN KEY (a) REFERENCES \"public\".\"cities\" (id) NOT VALID", ZDM_INVERSE_SQL,
     AT "DROP CONSTRAINT IF EXISTS \"f\"", PARENT},
    {1, ZDM_ACTION_SET_DEFAULT, ZDM_STEP_DDL, "a", NULL, AT "ALTER COLUMN \"a\" SET DEFAULT 1 + 1", ZDM_INVERSE_FORMER,
     NULL, 0},
    {1, ZDM_ACTION_SET_DEFAULT, ZDM_STEP_DDL, "a", NULL, AT "ALTER COLUMN \"a\" DROP DEFAULT", ZDM_INVERSE_FORMER, NULL,
     0},
    {1, ZDM_ACTION_SET_STORAGE, ZDM_STEP_DDL, NULL, NULL, AT "SET (fillfactor = 70, autovacuum_enabled = false)",
     ZDM_INVERSE_FORMER, NULL, 0},
    {1, ZDM_ACTION_SET_STORAGE, ZDM_STEP_DDL, NULL, NULL, AT "RESET (fillfactor)", ZDM_INVERSE_FORMER, NULL, 0},
    {1, ZDM_ACTION_SET_STORAGE, ZDM_STEP_DDL, "a", NULL, AT "ALTER COLUMN \"a\" SET STATISTICS 500", ZDM_INVERSE_FORMER,
     NULL, 0},
    {1, ZDM_ACTION_SET_STORAGE, ZDM_STEP_DDL, "a", NULL, AT "ALTER COLUMN \"a\" SET (n_distinct = 5)",
     ZDM_INVERSE_FORMER, NULL, 0},
    {1, ZDM_ACTION_COMMENT, ZDM_STEP_DDL, NULL, NULL, "COMMENT ON TABLE " T " IS 'x'", ZDM_INVERSE_FORMER, NULL, 0},
    {1, ZDM_ACTION_COMMENT, ZDM_STEP_DDL, "a", NULL, "COMMENT ON COLUMN " T ".\"a\" IS NULL", ZDM_INVERSE_FORMER, NULL,
     0},
    {1, ZDM_ACTION_COMMENT, ZDM_STEP_DDL, NULL, "f", "COMMENT ON CONSTRAINT \"f\" ON " T " IS 'x'", ZDM_INVERSE_FORMER,
     NULL, 0},
    {1, ZDM_ACTION_COMMENT, ZDM_STEP_DDL, NULL, "u", "COMMENT ON INDEX \"public\".\"u\" IS 'x'", ZDM_INVERSE_FORMER,
     NULL, NO_NAME},
    {1, ZDM_ACTION_WIDEN_TYPE, ZDM_STEP_DDL, "n", NULL, AT "ALTER COLUMN \"n\" TYPE varchar(80)", ZDM_INVERSE_NONE,
     NULL, 0},
    {1, ZDM_ACTION_CREATE_TABLE, ZDM_STEP_DDL, NULL, NULL,
     "CREATE TABLE " T " (id bigint, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)", ZDM_INVERSE_HIDE, NULL,
     PARENT},
    {1, ZDM_ACTION_CREATE_TYPE, ZDM_STEP_DDL, NULL, "mood", "CREATE TYPE \"public\".\"mood\" AS ENUM ('ok', 'bad')",
     ZDM_INVERSE_HIDE, NULL, NO_NAME},
    {1, ZDM_ACTION_ADD_VALUE, ZDM_STEP_DDL, "it's", "mood",
     "ALTER TYPE \"public\".\"mood\" ADD VALUE IF NOT EXISTS 'it''s' BEFORE 'bad'", ZDM_INVERSE_NONE, NULL, NO_NAME},
    {1, ZDM_ACTION_REINDEX, ZDM_STEP_INDEX, NULL, "k", NULL, ZDM_INVERSE_NONE, NULL, NO_NAME},
    {1, ZDM_ACTION_ADD_PARTITION_CHECK, ZDM_STEP_DDL, NULL, "p", "FOR VALUES FROM (1, 2) TO (3, 4)", ZDM_INVERSE_SQL,
     AT "DROP CONSTRAINT IF EXISTS \"p\"", PARENT},
    {1, ZDM_ACTION_ATTACH_PARTITION, ZDM_STEP_DDL, NULL, NULL,
     AT "ATTACH PARTITION \"public\".\"cities\" FOR VALUES IN (1, 2)", ZDM_INVERSE_SQL,
     AT "DETACH PARTITION \"public\".\"cities\"", PARENT},
    {1, ZDM_ACTION_DETACH_PARTITION, ZDM_STEP_DDL, NULL, NULL, AT "DETACH PARTITION \"public\".\"cities\"",
     ZDM_INVERSE_FORMER, NULL, PARENT},
    {2, ZDM_ACTION_DELETE, ZDM_STEP_BACKFILL, NULL, "undo_0badcafe", NULL, ZDM_INVERSE_IMAGES, NULL, 0},
    {2, ZDM_ACTION_GATE_WAIT, ZDM_STEP_GATE, NULL, NULL, NULL, ZDM_INVERSE_NONE, NULL, NO_TABLE},
    {3, ZDM_ACTION_LIFT_CONSTRAINT, ZDM_STEP_DDL, NULL, "f", NULL, ZDM_INVERSE_UNHIDE, NULL, 0},
    {3, ZDM_ACTION_DROP_NOT_NULL, ZDM_STEP_DDL, "a", NULL, AT "ALTER COLUMN \"a\" DROP NOT NULL", ZDM_INVERSE_UNHIDE,
     NULL, 0},
    {3, ZDM_ACTION_DELETE, ZDM_STEP_BACKFILL, NULL, NULL, NULL, ZDM_INVERSE_IMPOSSIBLE, NULL, INEXACT},
    {3, ZDM_ACTION_AS_IS, ZDM_STEP_DDL, NULL, NULL,
     "CREATE FUNCTION f() RETURNS int AS $x$ BEGIN; COMMIT; $x$ LANGUAGE sql; -- done\nSELECT 1", ZDM_INVERSE_SQL,
     "DROP FUNCTION f()", NO_TABLE | INEXACT},
    {3, ZDM_ACTION_AS_IS, ZDM_STEP_DDL, NULL, NULL, "VACUUM users;", ZDM_INVERSE_IMPOSSIBLE, NULL, INEXACT | LONG},
    {3, ZDM_ACTION_HIDE_INDEX, ZDM_STEP_HIDE, NULL, "k", NULL, ZDM_INVERSE_UNHIDE, NULL, NO_NAME},
    {3, ZDM_ACTION_HIDE_TABLE, ZDM_STEP_HIDE, NULL, "zdm_trash_0badcafe", NULL, ZDM_INVERSE_UNHIDE, NULL, 0},
    {4, ZDM_ACTION_PURGE_IMAGES, ZDM_STEP_PURGE, NULL, "undo_0badcafe", NULL, ZDM_INVERSE_IMPOSSIBLE, NULL, INEXACT},
    {4, ZDM_ACTION_PURGE_INDEX, ZDM_STEP_PURGE, NULL, "k", NULL, ZDM_INVERSE_IMPOSSIBLE, NULL, INEXACT | NO_NAME},
    {4, ZDM_ACTION_PURGE_TABLE, ZDM_STEP_PURGE, NULL, "zdm_trash_0badcafe", NULL, ZDM_INVERSE_IMPOSSIBLE, NULL,
     INEXACT},
};
enum { LINES = sizeof lines / sizeof lines[0] };

static void set(char **member, const char *text)
{
    free(*member);
    *member = zdm_strdup(text);
}

static struct zdm_table table(const char *name)
{
    return (struct zdm_table){zdm_strdup("public"), zdm_strdup(name)};
}

static void add_parts(struct zdm_step *step, const struct line *line)
{
    bool as_is = line->action == ZDM_ACTION_AS_IS;
    step->lock = (line->flags & LONG) != 0 ? ZDM_LOCK_LONG : ZDM_LOCK_SHORT;
    if (as_is)
        step->proof_sql = zdm_strdup("SELECT 1 WHERE to_regproc('f') IS NULL");
    if (line->action == ZDM_ACTION_DELETE) {
        step->derivation = calloc(1, sizeof *step->derivation);
        step->derivation->filter = zdm_strdup("t.\"at\" < '2020-01-01'");
    }
    if (line->action == ZDM_ACTION_GATE_WAIT) {
        step->wait = calloc(1, sizeof *step->wait);
        *step->wait = (struct zdm_wait_gate){
            .for_ms = 1800000, .until = zdm_strdup("SELECT count(*) = 0 FROM jobs"), .every_ms = 30000};
    }
    if ((line->flags & PARENT) != 0) {
        step->others = calloc(1, sizeof *step->others);
        step->others[step->n_others++] = table("cities");
    }
}

static void add(struct zdm_plan *plan, const struct line *line, uint32_t ordinal)
{
    struct zdm_phase *phase = &plan->phases[line->phase - 1];
    struct zdm_step *step = &phase->steps[phase->n_steps++];
    *step = (struct zdm_step){.ordinal = ordinal,
                              .kind = line->kind,
                              .action = line->action,
                              .column = zdm_strdup(line->column),
                              .object = zdm_strdup(line->object),
                              .sql = zdm_strdup(line->sql),
                              .inverse = line->inverse,
                              .inverse_sql = zdm_strdup(line->inverse_sql),
                              .exact_inverse = (line->flags & INEXACT) == 0};
    snprintf(step->id, sizeof step->id, "%u.%zu", line->phase, phase->n_steps);
    if ((line->flags & NO_TABLE) == 0)
        step->table = table("users");
    if ((line->flags & NO_NAME) != 0)
        set(&step->table.name, NULL);
    add_parts(step, line);
}

static struct zdm_plan *make(void)
{
    static const enum zdm_phase_class classes[PHASES] = {ZDM_PHASE_EXPAND, ZDM_PHASE_MIGRATE, ZDM_PHASE_CONTRACT,
                                                         ZDM_PHASE_PURGE};
    struct zdm_plan *plan = zdm_plan_new();
    plan->format = ZDM_PLAN_FORMAT;
    zdm_copy_text(plan->compiler, sizeof plan->compiler, "test");
    zdm_copy_text(plan->id, sizeof plan->id, "kinds");
    plan->selector = zdm_strdup("");
    plan->waves = calloc(1, sizeof *plan->waves);
    plan->waves[plan->n_waves++].percent = 100;
    plan->tables = calloc(2, sizeof *plan->tables);
    plan->tables[plan->n_tables++] = table("users");
    plan->tables[plan->n_tables++] = table("cities");
    plan->phases = calloc(PHASES, sizeof *plan->phases);
    for (; plan->n_phases < PHASES; plan->n_phases++) {
        struct zdm_phase *phase = &plan->phases[plan->n_phases];
        phase->number = (uint32_t)plan->n_phases + 1;
        phase->class = classes[plan->n_phases];
        phase->destructive = phase->class >= ZDM_PHASE_CONTRACT;
        phase->steps = calloc(LINES, sizeof *phase->steps);
    }
    for (uint32_t i = 0; i < LINES; i++)
        add(plan, &lines[i], i + 1);
    zdm_plan_link(plan);
    return plan;
}

static struct zdm_step *step_of(struct zdm_plan *plan, uint32_t ordinal)
{
    return (struct zdm_step *)(uintptr_t)zdm_plan_step(plan, ordinal);
}

/* The first line of that action. */
static uint32_t first(enum zdm_action action)
{
    for (uint32_t i = 0; i < LINES; i++)
        if (lines[i].action == action)
            return i + 1;
    fail_msg("no step %d", (int)action);
    return 0;
}

static bool is_taken(const struct zdm_plan *plan, struct zdm_error *err)
{
    return zdm_plan_validate(plan, err) == ZDM_OK && zdm_plan_check_honest(plan, err) == ZDM_OK;
}

/* ---- Every action ---- */

static void one_step_of_every_new_action_is_whole_and_honest(void **state)
{
    (void)state;
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_plan *plan = make();
    if (!is_taken(plan, &err))
        fail_msg("%s", err.message);
    zdm_plan_unref(plan);
    for (int action = ZDM_ACTION_ADD_FOREIGN_KEY; action <= ZDM_ACTION_GATE_WAIT; action++) {
        (void)first((enum zdm_action)action);
        assert_string_not_equal(zdm_action_name((enum zdm_action)action), "?");
    }
}

/* ---- Something else in its SQL ---- */

/* Is the place in a text or a name that a person chose? Names of the step itself are held to the step. */
static bool is_quoted(const struct zdm_step *step, const char *sql, size_t at)
{
    bool chosen = step->action == ZDM_ACTION_CREATE_INDEX || step->action == ZDM_ACTION_ADD_FOREIGN_KEY ||
                  step->action == ZDM_ACTION_DELETE;
    bool in = false;
    for (size_t i = 0; i < at; i++)
        in ^= sql[i] == '\'' || (chosen && sql[i] == '"');
    return in;
}

static void put_into(char **member, const char *sql, size_t at, const char *text)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_append(&b, sql, at);
    zdm_buffer_puts(&b, text);
    zdm_buffer_puts(&b, sql + at);
    set(member, zdm_buffer_text(&b));
    zdm_buffer_fini(&b);
}

static void try_everywhere(struct zdm_plan *plan, const struct zdm_step *step, char **member)
{
    static const char *const pieces[] = {";",
                                         "; DROP TABLE users; ",
                                         "; COMMIT",
                                         "'",
                                         " -- ",
                                         "/*",
                                         ")",
                                         "(",
                                         " E'\\'', DROP COLUMN a, ADD x text DEFAULT '",
                                         " E'a''\\'', DROP COLUMN a --",
                                         "$$;$$"};
    char *sql = zdm_strdup(*member);
    for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++)
        for (size_t at = 0; at <= strlen(sql); at++) {
            struct zdm_error err = ZDM_ERROR_INIT;
            if (is_quoted(step, sql, at))
                continue;
            put_into(member, sql, at, pieces[k]);
            if (is_taken(plan, &err))
                fail_msg("%s: taken: %s", step->id, *member);
        }
    set(member, sql);
    free(sql);
}

static void a_query_may_be_of_any_form_that_is_closed(void **state)
{
    static const char *const queries[] = {"SELECT 1, 2", "\f\v\r\n\tselect zz FROM z, Z",
                                          "WITH x AS (SELECT 1) SELECT 1, 2", "SELECT E'a\\'b' - 1"};
    static const char *const others[] = {"SELECT E'a' -- b", "SELECT E'a'\r'\\''", "TABLE users", "(SELECT 1)", "",
                                         "VALUES (1)",       "SELECT 1)",          "SELECT (1",   "selectx"};
    (void)state;
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        if (!zdm_sql_is_query(ZDM_ENGINE_POSTGRESQL, queries[i]))
            fail_msg("not taken: %s", queries[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (zdm_sql_is_query(ZDM_ENGINE_POSTGRESQL, others[i]))
            fail_msg("taken: %s", others[i]);
}

static void nothing_else_fits_into_the_sql_of_any_step(void **state)
{
    (void)state;
    struct zdm_plan *plan = make();
    for (uint32_t o = 1; o <= LINES; o++) {
        struct zdm_step *step = step_of(plan, o);
        if (step->action == ZDM_ACTION_AS_IS)
            continue; /* whatever a person lets in */
        if (step->sql != NULL)
            try_everywhere(plan, step, &step->sql);
        if (step->inverse_sql != NULL)
            try_everywhere(plan, step, &step->inverse_sql);
        if (step->derivation != NULL)
            try_everywhere(plan, step, &step->derivation->filter);
        if (step->wait != NULL)
            try_everywhere(plan, step, &step->wait->until);
    }
    zdm_plan_unref(plan);
}

/* ---- Single lies ---- */

struct lie {
    enum zdm_action action;
    void (*tell)(struct zdm_plan *plan, struct zdm_step *step);
    const char *answer;
};

#define LIE(name, ...)                                                                                                 \
    static void name(struct zdm_plan *plan, struct zdm_step *step)                                                     \
    {                                                                                                                  \
        (void)plan, (void)step;                                                                                        \
        __VA_ARGS__;                                                                                                   \
    }

LIE(using, set(&step->sql, AT "ALTER COLUMN \"n\" TYPE text USING upper(n)"))
LIE(created_as, set(&step->sql, "CREATE TABLE " T " (id) AS SELECT 1"))
LIE(another_type, set(&step->sql, "CREATE TYPE \"public\".\"other\" AS ENUM ('ok')"))
LIE(another_label, set(&step->sql, "ALTER TYPE \"public\".\"mood\" ADD VALUE IF NOT EXISTS 'other'"))
LIE(another_parent, set(&step->sql, AT "ATTACH PARTITION \"public\".\"towns\" FOR VALUES IN (1)"))
LIE(comment_elsewhere, set(&step->column, "a"))
LIE(storage_elsewhere, set(&step->column, "b"))
LIE(no_constraint, set(&step->object, "gone");
    set(&step->sql, AT "ADD CONSTRAINT \"gone\" UNIQUE USING INDEX \"gone\"");
    set(&step->inverse_sql, AT "DROP CONSTRAINT IF EXISTS \"gone\""))
LIE(no_key, set(&step->object, "gone"); set(&step->sql, AT "ADD CONSTRAINT \"gone\" PRIMARY KEY USING INDEX \"gone\"");
    set(&step->inverse_sql, AT "DROP CONSTRAINT IF EXISTS \"gone\""))
LIE(no_rows_kept, step->inverse = ZDM_INVERSE_NONE; set(&step->object, NULL))
LIE(lost_quietly, step->inverse = ZDM_INVERSE_IMPOSSIBLE; set(&step->object, NULL); step->exact_inverse = false)
LIE(assigns, step->derivation->assignments = calloc(1, sizeof *step->derivation->assignments);
    step->derivation->n_assignments = 1; step->derivation->assignments[0].target = zdm_strdup("a");
    step->derivation->assignments[0].expr = zdm_strdup("1"))
LIE(archive_name, set(&step->object, "undo_everything"))
LIE(trash_name, set(&step->object, "public"))
LIE(other_trash, set(&step->object, "zdm_trash_0badcaff"))
LIE(other_index, set(&step->object, "users_pkey"))
LIE(commits, set(&step->sql, "SELECT 1; commit; DROP TABLE users"))
LIE(ends, set(&step->sql, "SELECT 1; /* x */ END"))
LIE(sets, set(&step->sql, "SET lock_timeout = 0"))
LIE(several_long, step->lock = ZDM_LOCK_LONG)
LIE(no_lock, step->lock = ZDM_LOCK_NONE)
LIE(says_exact, step->exact_inverse = true)
LIE(open_end, set(&step->sql, "SELECT $x$ 1"))
LIE(open_comment, set(&step->sql, "SELECT 1 /* /* */"))
LIE(proof_deletes, set(&step->proof_sql, "DELETE FROM users"))
LIE(two_proofs, set(&step->proof_sql, "SELECT 1; SELECT 2"))
LIE(back_commits, set(&step->inverse_sql, "ROLLBACK"))
LIE(waits_in_a_list, set(&step->wait->until, "SELECT true, 1; DELETE FROM users"))
LIE(waits_behind_a_comment, set(&step->wait->until, "SELECT true -- , 1"))
LIE(as_is_lightly, plan->phases[2].destructive = false)
LIE(waits_for_nothing, step->wait->for_ms = 0; set(&step->wait->until, NULL))
LIE(waits_forever, step->wait->for_ms = INT64_MAX)
LIE(looks_too_often, step->wait->every_ms = 1)
LIE(waits_on_delete, set(&step->wait->until, "DELETE FROM users RETURNING true"))
LIE(early_hide, plan->phases[2].class = ZDM_PHASE_MIGRATE)
LIE(no_parent, free(step->others[0].schema); free(step->others[0].name); step->n_others = 0)
LIE(stray_parent, step->others = calloc(1, sizeof *step->others); step->n_others = 1; step->others[0] = table("x"))
LIE(unlisted_parent, plan->n_tables--; free(plan->tables[1].schema); free(plan->tables[1].name))
LIE(stray_proof, step->proof_sql = zdm_strdup("SELECT 1"))
LIE(stray_wait, step->wait = calloc(1, sizeof *step->wait))
LIE(stray_rewrite, step->rewrite_ok = true)
LIE(stray_skip, step->skip_triggers = true)
LIE(stray_table, step->table = table("users"))
LIE(named_type, step->table.name = zdm_strdup("users"))
LIE(stray_object, step->object = zdm_strdup("x"))

static const struct lie lies[] = {
    {ZDM_ACTION_WIDEN_TYPE, using, "something else"},
    {ZDM_ACTION_CREATE_TABLE, created_as, "something else"},
    {ZDM_ACTION_CREATE_TYPE, another_type, "something else"},
    {ZDM_ACTION_ADD_VALUE, another_label, "something else"},
    {ZDM_ACTION_ATTACH_PARTITION, another_parent, "something else"},
    {ZDM_ACTION_COMMENT, comment_elsewhere, "comments on something else"},
    {ZDM_ACTION_SET_STORAGE, storage_elsewhere, "leaves out"},
    {ZDM_ACTION_ADD_UNIQUE, no_constraint, "does not build"},
    {ZDM_ACTION_ADD_PRIMARY_KEY, no_key, "does not build"},
    {ZDM_ACTION_DELETE, no_rows_kept, "inverse of another action"},
    {ZDM_ACTION_DELETE, lost_quietly, "not marked destructive"},
    {ZDM_ACTION_DELETE, assigns, "assigns to them"},
    {ZDM_ACTION_DELETE, archive_name, "no usable table for before-images"},
    {ZDM_ACTION_HIDE_TABLE, trash_name, "no usable schema"},
    {ZDM_ACTION_PURGE_TABLE, other_trash, "does not hide"},
    {ZDM_ACTION_PURGE_INDEX, other_index, "does not hide"},
    {ZDM_ACTION_AS_IS, commits, "ends the transaction"},
    {ZDM_ACTION_AS_IS, ends, "ends the transaction"},
    {ZDM_ACTION_AS_IS, sets, "SET LOCAL"},
    {ZDM_ACTION_AS_IS, several_long, "several statements"},
    {ZDM_ACTION_AS_IS, no_lock, "short or a long time"},
    {ZDM_ACTION_AS_IS, says_exact, "undone exactly"},
    {ZDM_ACTION_AS_IS, open_end, "does not end"},
    {ZDM_ACTION_AS_IS, open_comment, "does not end"},
    {ZDM_ACTION_AS_IS, proof_deletes, "not one query"},
    {ZDM_ACTION_AS_IS, two_proofs, "not one query"},
    {ZDM_ACTION_AS_IS, back_commits, "ends the transaction"},
    {ZDM_ACTION_AS_IS, as_is_lightly, "not marked destructive"},
    {ZDM_ACTION_GATE_WAIT, waits_for_nothing, "waits for nothing"},
    {ZDM_ACTION_GATE_WAIT, waits_forever, "366 days"},
    {ZDM_ACTION_GATE_WAIT, looks_too_often, "once a second"},
    {ZDM_ACTION_GATE_WAIT, waits_on_delete, "not one query"},
    {ZDM_ACTION_GATE_WAIT, waits_in_a_list, "not one query"},
    {ZDM_ACTION_GATE_WAIT, waits_behind_a_comment, "not one query"},
    {ZDM_ACTION_HIDE_INDEX, early_hide, "outside of a contract phase"},
    {ZDM_ACTION_ADD_FOREIGN_KEY, no_parent, "other table"},
    {ZDM_ACTION_ADD_FOREIGN_KEY, unlisted_parent, "another table that the plan does not list"},
    {ZDM_ACTION_ADD_COLUMN, stray_parent, "other tables that it would not use"},
    {ZDM_ACTION_SET_DEFAULT, stray_proof, "would not ask"},
    {ZDM_ACTION_SET_DEFAULT, stray_wait, "would not wait for"},
    {ZDM_ACTION_SET_DEFAULT, stray_rewrite, "rewrite that it never makes"},
    {ZDM_ACTION_SET_DEFAULT, stray_skip, "skips triggers"},
    {ZDM_ACTION_SET_DEFAULT, stray_object, "object that it would not use"},
    {ZDM_ACTION_GATE_WAIT, stray_table, "table that it would not use"},
    {ZDM_ACTION_CREATE_TYPE, named_type, "table that it would not use"},
};

static void a_plan_with_one_lie_is_refused_with_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct zdm_error err = ZDM_ERROR_INIT;
        struct zdm_plan *plan = make();
        lies[i].tell(plan, step_of(plan, first(lies[i].action)));
        if (is_taken(plan, &err))
            fail_msg("%zu: %s is taken", i, zdm_action_name(lies[i].action));
        if (strstr(err.message, lies[i].answer) == NULL)
            fail_msg("%zu: \"%s\" does not say \"%s\"", i, err.message, lies[i].answer);
        zdm_plan_unref(plan);
    }
}

static void sql_does_not_fit_a_form_whose_names_the_step_lacks(void **state)
{
    (void)state;
    struct zdm_step step = {.column = NULL};
    assert_false(zdm_form_fits("DROP TYPE %s.%o", &step, "DROP TYPE ."));
    assert_false(zdm_form_fits("SET %c TO %*", &step, "SET  TO 1"));
    assert_false(zdm_form_fits("ON %p", &step, "ON ."));
    assert_true(zdm_form_fits("SET x TO %*", &step, "SET x TO 1"));
}

/* ---- Statements of a person's own ---- */

static void statements_are_counted_as_the_server_reads_them(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        size_t n; /* 0: refused */
    } cases[] = {
        {"SELECT 1", 1},
        {"SELECT 1;", 1},
        {";; SELECT ';' ; -- ;\n SELECT \";\" /* ; /* ; */ ; */;", 2},
        {"DO $$ BEGIN PERFORM 1; END $$", 1},
        {"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $a$ SELECT $$;$$; $a$; GRANT SELECT ON t TO u", 2},
        {"SELECT E'\\';'; SELECT 2", 2},
        {"SELECT E'a''\\'' || ';'", 1},
        {"SELECT a$$b FROM t; SELECT 1", 2},
        {"SET LOCAL ROLE x; SELECT 1", 2},
        {"", 0},
        {" -- nothing", 0},
        {"SELECT (1", 0},
        {"SELECT 1)", 0},
        {"SELECT 'x", 0},
        {"SELECT \"x", 0},
        {"SELECT $a$ x $b$", 0},
        {"SELECT 1; COMMIT", 0},
        {"/* x */ begin", 0},
        {"SELECT E'a'\n'\\''; COMMIT; --'", 0}, /* a text that goes on where its escapes do */
        {"SELECT 1$$; COMMIT; $$", 0},          /* a number and a text for one release, an error for the next */
        {"COPY t FROM STDIN", 0},
        {"RESET ALL", 0},
        {"SET search_path = x", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = 0;
        const char *fault = zdm_sql_statements(ZDM_ENGINE_POSTGRESQL, cases[i].sql, &n);
        if ((fault != NULL) != (cases[i].n == 0) || (fault == NULL && n != cases[i].n))
            fail_msg("%s: %zu (%s)", cases[i].sql, n, fault != NULL ? fault : "taken");
    }
}

/* ---- Links ---- */

static void a_later_step_ends_the_asking_for_what_it_takes_away(void **state)
{
    (void)state;
    static const struct {
        enum zdm_action earlier, later; /* 0: nothing but the table's own end */
    } cases[] = {
        {ZDM_ACTION_ADD_CHECK, ZDM_ACTION_DROP_CONSTRAINT},
        {ZDM_ACTION_SET_NOT_NULL, ZDM_ACTION_DROP_NOT_NULL},
        {ZDM_ACTION_ADD_FOREIGN_KEY, ZDM_ACTION_LIFT_CONSTRAINT},
        {ZDM_ACTION_SET_DEFAULT, ZDM_ACTION_SET_DEFAULT},
        {ZDM_ACTION_ATTACH_PARTITION, ZDM_ACTION_DETACH_PARTITION},
        {ZDM_ACTION_HIDE_INDEX, ZDM_ACTION_PURGE_INDEX},
        {ZDM_ACTION_REINDEX, ZDM_ACTION_PURGE_INDEX},
        {ZDM_ACTION_HIDE_TABLE, ZDM_ACTION_PURGE_TABLE},
        {ZDM_ACTION_ADD_COLUMN, ZDM_ACTION_HIDE_TABLE},
        {ZDM_ACTION_VALIDATE, ZDM_ACTION_HIDE_TABLE},
        {ZDM_ACTION_CREATE_TABLE, ZDM_ACTION_HIDE_TABLE},
        {ZDM_ACTION_CREATE_TYPE, 0},
        {ZDM_ACTION_ADD_VALUE, 0},
        {ZDM_ACTION_GATE_WAIT, 0},
    };
    struct zdm_plan *plan = make();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct zdm_step *step = step_of(plan, first(cases[i].earlier));
        const struct zdm_step *by = zdm_plan_step(plan, step->superseded_by);
        if ((by == NULL) != (cases[i].later == 0) || (by != NULL && by->action != cases[i].later))
            fail_msg("%s is ended by %s", zdm_action_name(step->action),
                     by != NULL ? zdm_action_name(by->action) : "nothing");
    }
    zdm_plan_unref(plan);
}

static void a_later_phase_written_anew_changes_only_links(void **state)
{
    (void)state;
    struct zdm_plan *plan = make();
    uint32_t o = first(ZDM_ACTION_ADD_FOREIGN_KEY);
    assert_int_equal(zdm_plan_step(plan, o)->superseded_by, first(ZDM_ACTION_LIFT_CONSTRAINT));
    set(&step_of(plan, first(ZDM_ACTION_LIFT_CONSTRAINT))->object, "another");
    zdm_plan_link(plan);
    assert_int_equal(zdm_plan_step(plan, o)->superseded_by, first(ZDM_ACTION_HIDE_TABLE));
    zdm_plan_unref(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_step_of_every_new_action_is_whole_and_honest),
        cmocka_unit_test(a_query_may_be_of_any_form_that_is_closed),
        cmocka_unit_test(nothing_else_fits_into_the_sql_of_any_step),
        cmocka_unit_test(a_plan_with_one_lie_is_refused_with_the_reason),
        cmocka_unit_test(sql_does_not_fit_a_form_whose_names_the_step_lacks),
        cmocka_unit_test(statements_are_counted_as_the_server_reads_them),
        cmocka_unit_test(a_later_step_ends_the_asking_for_what_it_takes_away),
        cmocka_unit_test(a_later_phase_written_anew_changes_only_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
