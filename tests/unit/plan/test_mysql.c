/*
 * Steps of MySQL in a plan: what they are made of, what a plan made by hand cannot smuggle into one, and that they do
 * not concern steps of PostgreSQL beside them.
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
#include "common/plan/undo.h"

#define AT "ALTER TABLE `us``ers` "

enum { PHASES = 4, NO_TABLE = 1, INEXACT = 4, PARENT = 8, POSTGRESQL = 32, REWRITE = 64 };

static const char users[] = "us`ers";

struct line {
    unsigned phase;
    enum zdm_action action;
    enum zdm_step_kind kind;
    const char *column, *object, *sql;
    enum zdm_inverse_kind inverse;
    const char *inverse_sql;
    unsigned flags;
};

static const struct line lines[] = {
    {1, ZDM_ACTION_ADD_COLUMN, ZDM_STEP_DDL, "a", NULL,
     AT "ADD COLUMN `a` decimal(4, 2) NOT NULL DEFAULT '1' COMMENT 'it''s, \"x\" #1' AFTER `b``c`", ZDM_INVERSE_HIDE,
     NULL, 0},
    {1, ZDM_ACTION_CREATE_INDEX, ZDM_STEP_INDEX, NULL, "i", AT "ADD INDEX `i` (`a`, `b`(10) DESC)", ZDM_INVERSE_SQL,
     AT "DROP INDEX `i`", 0},
    {1, ZDM_ACTION_CREATE_INDEX, ZDM_STEP_INDEX, NULL, "u", AT "ADD UNIQUE INDEX `u` (`a`) COMMENT 'x'",
     ZDM_INVERSE_SQL, AT "DROP INDEX `u`", 0},
    {1, ZDM_ACTION_ADD_FOREIGN_KEY, ZDM_STEP_DDL, NULL, "f",
     AT "ADD CONSTRAINT `f` FOREIGN KEY (`a`, `b`) REFERENCES `cities` (`id`, `n`) ON DELETE CASCADE", ZDM_INVERSE_SQL,
     AT "DROP FOREIGN KEY `f`", PARENT},
    {1, ZDM_ACTION_VALIDATE, ZDM_STEP_VALIDATE, NULL, "f",
     "SELECT 1 FROM `us``ers` AS c WHERE NOT EXISTS (SELECT 1 FROM `cities`) LIMIT 1", ZDM_INVERSE_NONE, NULL, 0},
    {1, ZDM_ACTION_SET_DEFAULT, ZDM_STEP_DDL, "b", NULL, AT "ALTER COLUMN `b` SET DEFAULT 'C:\\x'", ZDM_INVERSE_FORMER,
     NULL, 0},
    {1, ZDM_ACTION_SET_DEFAULT, ZDM_STEP_DDL, "b", NULL, AT "ALTER COLUMN `b` DROP DEFAULT", ZDM_INVERSE_FORMER, NULL,
     0},
    {1, ZDM_ACTION_WIDEN_TYPE, ZDM_STEP_DDL, "n", NULL, AT "MODIFY COLUMN `n` varchar(80) DEFAULT 'a\\_b'",
     ZDM_INVERSE_NONE, NULL, 0},
    {1, ZDM_ACTION_SET_NOT_NULL, ZDM_STEP_DDL, "n", NULL, AT "MODIFY COLUMN `n` varchar(80) NOT NULL",
     ZDM_INVERSE_FORMER, NULL, REWRITE},
    {1, ZDM_ACTION_DROP_NOT_NULL, ZDM_STEP_DDL, "n", NULL, AT "MODIFY COLUMN `n` varchar(80) NULL", ZDM_INVERSE_FORMER,
     NULL, REWRITE},
    {1, ZDM_ACTION_COMMENT, ZDM_STEP_DDL, NULL, NULL, AT "COMMENT 'a''b, c'", ZDM_INVERSE_FORMER, NULL, 0},
    {1, ZDM_ACTION_CREATE_TABLE, ZDM_STEP_DDL, NULL, NULL,
     "CREATE TABLE `us``ers` (`id` bigint NOT NULL AUTO_INCREMENT, PRIMARY KEY (`id`)) ENGINE=InnoDB", ZDM_INVERSE_HIDE,
     NULL, PARENT},
    {2, ZDM_ACTION_SYNC_INSTALL, ZDM_STEP_SYNC, NULL, NULL, NULL, ZDM_INVERSE_REMOVE, NULL, 0},
    {2, ZDM_ACTION_BACKFILL, ZDM_STEP_BACKFILL, NULL, NULL, NULL, ZDM_INVERSE_NONE, NULL, 0},
    {2, ZDM_ACTION_CHECK_QUERY, ZDM_STEP_CHECK, NULL, NULL, "SELECT `a` FROM `us``ers` WHERE `a` IS NULL",
     ZDM_INVERSE_NONE, NULL, NO_TABLE},
    {2, ZDM_ACTION_GATE_WAIT, ZDM_STEP_GATE, NULL, NULL, NULL, ZDM_INVERSE_NONE, NULL, NO_TABLE},
    {2, ZDM_ACTION_SHOW_COLUMN, ZDM_STEP_DDL, "a", NULL, NULL, ZDM_INVERSE_FORMER, NULL, 0},
    {3, ZDM_ACTION_LIFT_CONSTRAINT, ZDM_STEP_DDL, NULL, "f", NULL, ZDM_INVERSE_UNHIDE, NULL, 0},
    {3, ZDM_ACTION_HIDE_COLUMN, ZDM_STEP_HIDE, "n", "n", NULL, ZDM_INVERSE_UNHIDE, NULL, INEXACT},
    {3, ZDM_ACTION_HIDE_INDEX, ZDM_STEP_HIDE, NULL, "old", NULL, ZDM_INVERSE_UNHIDE, NULL, 0},
    {3, ZDM_ACTION_AS_IS, ZDM_STEP_DDL, NULL, NULL,
     "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW BEGIN SET NEW.a = \"y\"; END -- done", ZDM_INVERSE_SQL,
     "DROP TRIGGER x", NO_TABLE | INEXACT},
    {3, ZDM_ACTION_HIDE_TABLE, ZDM_STEP_HIDE, NULL, "zdm_trash_0badcafe_us`ers", NULL, ZDM_INVERSE_UNHIDE, NULL, 0},
    {4, ZDM_ACTION_PURGE_COLUMN, ZDM_STEP_PURGE, "n", "n", NULL, ZDM_INVERSE_IMPOSSIBLE, NULL, INEXACT},
    {4, ZDM_ACTION_PURGE_INDEX, ZDM_STEP_PURGE, NULL, "old", NULL, ZDM_INVERSE_IMPOSSIBLE, NULL, INEXACT},
    {4, ZDM_ACTION_PURGE_TABLE, ZDM_STEP_PURGE, NULL, "zdm_trash_0badcafe_us`ers", NULL, ZDM_INVERSE_IMPOSSIBLE, NULL,
     INEXACT},
};
enum { LINES = sizeof lines / sizeof lines[0] };

static void set(char **member, const char *text)
{
    free(*member);
    *member = zdm_strdup(text);
}

static struct zdm_derivation *copy_of(const char *target)
{
    struct zdm_derivation *d = calloc(1, sizeof *d);
    d->assignments = calloc(1, sizeof *d->assignments);
    d->assignments[d->n_assignments++] = (struct zdm_assignment){.target = zdm_strdup(target),
                                                                 .expr = zdm_strdup("lower(t.`b`)"),
                                                                 .expr_new = zdm_strdup("lower(NEW.`b`)"),
                                                                 .initial = zdm_strdup("'a'"),
                                                                 .added = true};
    d->filter = zdm_strdup("t.`b` <> 'x'");
    d->filter_new = zdm_strdup("NEW.`b` <> 'x'");
    d->filter_old = zdm_strdup("OLD.`b` <> 'x'");
    return d;
}

static void add(struct zdm_plan *plan, const struct line *line, uint32_t ordinal)
{
    struct zdm_phase *phase = &plan->phases[line->phase - 1];
    struct zdm_step *step = &phase->steps[phase->n_steps++];
    *step = (struct zdm_step){.ordinal = ordinal,
                              .kind = line->kind,
                              .action = line->action,
                              .engine = ZDM_ENGINE_MYSQL,
                              .lock = ZDM_LOCK_SHORT,
                              .column = zdm_strdup(line->column),
                              .object = zdm_strdup(line->object),
                              .sql = zdm_strdup(line->sql),
                              .inverse = line->inverse,
                              .inverse_sql = zdm_strdup(line->inverse_sql),
                              .rewrite_ok = (line->flags & REWRITE) != 0,
                              .exact_inverse = (line->flags & INEXACT) == 0};
    snprintf(step->id, sizeof step->id, "%u.%zu", line->phase, phase->n_steps);
    if ((line->flags & NO_TABLE) == 0)
        step->table = (struct zdm_table){zdm_strdup(""), zdm_strdup(users)};
    if (line->action == ZDM_ACTION_AS_IS)
        step->proof_sql = zdm_strdup("SELECT 1");
    if (line->kind == ZDM_STEP_SYNC || line->kind == ZDM_STEP_BACKFILL)
        step->derivation = copy_of("a");
    if (line->action == ZDM_ACTION_GATE_WAIT) {
        step->wait = calloc(1, sizeof *step->wait);
        *step->wait = (struct zdm_wait_gate){.until = zdm_strdup("SELECT count(*) = 0 FROM `jobs`"), .every_ms = 30000};
    }
    if ((line->flags & PARENT) != 0) {
        step->others = calloc(1, sizeof *step->others);
        step->others[step->n_others++] = (struct zdm_table){zdm_strdup(""), zdm_strdup("cities")};
    }
}

static struct zdm_plan *make(void)
{
    static const enum zdm_phase_class classes[PHASES] = {ZDM_PHASE_EXPAND, ZDM_PHASE_MIGRATE, ZDM_PHASE_CONTRACT,
                                                         ZDM_PHASE_PURGE};
    struct zdm_plan *plan = zdm_plan_new();
    plan->format = ZDM_PLAN_FORMAT;
    plan->engines = ZDM_ENGINE_MYSQL;
    zdm_copy_text(plan->compiler, sizeof plan->compiler, "test");
    zdm_copy_text(plan->id, sizeof plan->id, "mysql");
    plan->selector = zdm_strdup("");
    plan->waves = calloc(1, sizeof *plan->waves);
    plan->waves[plan->n_waves++].percent = 100;
    plan->tables = calloc(2, sizeof *plan->tables);
    plan->tables[plan->n_tables++] = (struct zdm_table){zdm_strdup(""), zdm_strdup(users)};
    plan->tables[plan->n_tables++] = (struct zdm_table){zdm_strdup(""), zdm_strdup("cities")};
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
    fail_msg("no step of %s", zdm_action_name(action));
    return 0;
}

static bool is_taken(const struct zdm_plan *plan, struct zdm_error *err)
{
    return zdm_plan_validate(plan, err) == ZDM_OK && zdm_plan_check_honest(plan, err) == ZDM_OK;
}

static void each_kind_of_step_is_whole_and_honest(void **state)
{
    (void)state;
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_plan *plan = make();
    if (!is_taken(plan, &err))
        fail_msg("%s", err.message);
    assert_ptr_equal(zdm_plan_shows(plan, zdm_plan_step(plan, 1)), zdm_plan_step(plan, first(ZDM_ACTION_SHOW_COLUMN)));
    assert_null(zdm_plan_shows(plan, zdm_plan_step(plan, first(ZDM_ACTION_SHOW_COLUMN))));
    zdm_plan_unref(plan);
}

/* ---- What a plan that was made by hand has in it ---- */

static const struct {
    enum zdm_action action;
    const char *sql;
} written[] = {
    /* another clause, another statement, another table */
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int, DROP COLUMN `b`"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int; DROP TABLE `us``ers`"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int PARTITION BY HASH (`id`)"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int REMOVE PARTITIONING"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int, ALGORITHM=COPY"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int INVISIBLE"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int AS (`b` + 1) STORED"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int UNIQUE"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int CHECK (`a` > 0)"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int REFERENCES `cities` (`id`)"},
    {ZDM_ACTION_ADD_COLUMN, "ALTER TABLE `cities` ADD COLUMN `a` int"},
    {ZDM_ACTION_ADD_COLUMN, "ALTER TABLE `mysql`.`us``ers` ADD COLUMN `a` int"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `b` int"},
    {ZDM_ACTION_CREATE_INDEX, AT "ADD INDEX `j` (`a`)"},
    {ZDM_ACTION_CREATE_INDEX, AT "ADD FULLTEXT INDEX `i` (`a`)"},
    {ZDM_ACTION_CREATE_INDEX, AT "ADD INDEX `i` (`a`), LOCK=SHARED"},
    {ZDM_ACTION_CREATE_INDEX, AT "ADD INDEX `i` (`a`)COMMENT 'x'"},
    {ZDM_ACTION_CREATE_INDEX, AT "ADD INDEX `i` (`a`) PARTITION BY KEY ()"},
    {ZDM_ACTION_ADD_FOREIGN_KEY, AT "ADD CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `us``ers` (`id`)"},
    {ZDM_ACTION_ADD_FOREIGN_KEY, AT "ADD CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `cities` (`id`), DROP COLUMN `b`"},
    {ZDM_ACTION_VALIDATE, "DELETE FROM `us``ers`"},
    {ZDM_ACTION_VALIDATE, "SELECT 1 INTO OUTFILE '/tmp/x'"},
    {ZDM_ACTION_CHECK_QUERY, "SELECT 1; DROP TABLE `us``ers`"},
    {ZDM_ACTION_CHECK_QUERY, "SELECT `a` INTO @x FROM `us``ers`"},
    {ZDM_ACTION_CHECK_QUERY, "UPDATE `us``ers` SET `a` = 1"},
    {ZDM_ACTION_SET_DEFAULT, AT "ALTER COLUMN `a` SET DEFAULT 1"},
    {ZDM_ACTION_SET_DEFAULT, AT "ALTER COLUMN `b` SET DEFAULT 1, DROP COLUMN `n`"},
    {ZDM_ACTION_WIDEN_TYPE, AT "MODIFY COLUMN `b` int"},
    {ZDM_ACTION_WIDEN_TYPE, AT "CHANGE COLUMN `n` `m` int"},
    {ZDM_ACTION_WIDEN_TYPE, AT "MODIFY COLUMN `n` int PRIMARY KEY"},
    {ZDM_ACTION_SET_NOT_NULL, AT "MODIFY COLUMN `n` int NOT NULL, ALGORITHM=COPY"},
    {ZDM_ACTION_COMMENT, AT "COMMENT 'x' ENGINE=MyISAM"},
    {ZDM_ACTION_COMMENT, AT "COMMENT x"},
    {ZDM_ACTION_COMMENT, AT "COMMENT 'x' 'y'"},
    {ZDM_ACTION_CREATE_TABLE, "CREATE TABLE `us``ers` (`id` int) SELECT * FROM `cities`"},
    {ZDM_ACTION_CREATE_TABLE, "CREATE TABLE `us``ers` (`id` int) AS SELECT 1"},
    {ZDM_ACTION_CREATE_TABLE, "CREATE TABLE `us``ers` (LIKE `cities`)"},
    {ZDM_ACTION_CREATE_TABLE, "CREATE TABLE `us``ers` (`id` int) ENGINE=FEDERATED CONNECTION='mysql://x'"},
    {ZDM_ACTION_CREATE_TABLE, "CREATE TABLE `us``ers` (`id` int) DATA DIRECTORY='/etc'"},
    {ZDM_ACTION_CREATE_TABLE, "CREATE TABLE `us``ers` (`id` int); DROP TABLE `cities`"},
    /* another quoting */
    {ZDM_ACTION_ADD_COLUMN, "ALTER TABLE \"us`ers\" ADD COLUMN \"a\" int"},
    {ZDM_ACTION_ADD_COLUMN, "ALTER TABLE us`ers ADD COLUMN a int"},
    {ZDM_ACTION_ADD_COLUMN, "ALTER TABLE `us`ers` ADD COLUMN `a` int"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int DEFAULT \"x\""},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int DEFAULT 'x"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int DEFAULT $$x$$; DROP TABLE t"},
    /* backslashes: a session without NO_BACKSLASH_ESCAPES would read on */
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` varchar(9) DEFAULT '\\', DROP COLUMN `b`, COMMENT 'x'"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` varchar(9) DEFAULT 'x\\'"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` varchar(9) DEFAULT 'x\\'' COMMENT '"},
    {ZDM_ACTION_SET_DEFAULT, AT "ALTER COLUMN `b` SET DEFAULT \\N"},
    /* comments, some of which are run, and variables */
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int /*! , DROP COLUMN `b` */"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int /*M!100600 , DROP COLUMN `b` */"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int # x"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int -- x"},
    {ZDM_ACTION_ADD_COLUMN, AT "ADD COLUMN `a` int DEFAULT 1--1"},
    {ZDM_ACTION_SET_DEFAULT, AT "ALTER COLUMN `b` SET DEFAULT (@x)"},
    {ZDM_ACTION_SET_DEFAULT, AT "ALTER COLUMN `b` SET DEFAULT (@@global.x)"},
    {ZDM_ACTION_CHECK_QUERY, "/*! SELECT 1 */"},
    {ZDM_ACTION_CHECK_QUERY, "SELECT ?"},
    /* statements as they are that would outlive themselves */
    {ZDM_ACTION_AS_IS, "SET GLOBAL read_only = 1"},
    {ZDM_ACTION_AS_IS, "COMMIT"},
    {ZDM_ACTION_AS_IS, "/*! SET GLOBAL read_only = 1 */"},
    {ZDM_ACTION_AS_IS, "LOCK TABLES t WRITE"},
    {ZDM_ACTION_AS_IS, "USE mysql"},
    {ZDM_ACTION_AS_IS, "LOAD DATA LOCAL INFILE 'x' INTO TABLE t"},
    {ZDM_ACTION_AS_IS, " "},
};

static void what_was_smuggled_into_a_statement_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        struct zdm_error err = ZDM_ERROR_INIT;
        struct zdm_plan *plan = make();
        set(&step_of(plan, first(written[i].action))->sql, written[i].sql);
        if (is_taken(plan, &err))
            fail_msg("is taken: %s", written[i].sql);
        zdm_plan_unref(plan);
    }
}

/* At each place of each statement but inside of a text. */
static void nothing_can_be_put_into_the_middle_of_a_statement(void **state)
{
    static const char *const pieces[] = {
        "; DROP TABLE x; ", ", DROP COLUMN `x`, ", "\"", "/*", "*/", "#", "-- ", "@x", "\\", "`", "'", ")", "["};
    (void)state;
    size_t tried = 0;
    for (uint32_t o = 1; o <= LINES; o++) {
        const struct line *line = &lines[o - 1];
        bool has_form = line->sql != NULL && line->action != ZDM_ACTION_AS_IS;
        for (size_t at = 0; has_form && at <= strlen(line->sql); at++) {
            char quote = '\0';
            for (size_t k = 0; k < at; k++)
                if (quote == '\0' ? line->sql[k] == '\'' || line->sql[k] == '`' : line->sql[k] == quote)
                    quote = quote == '\0' ? line->sql[k] : '\0';
            for (size_t p = 0; quote == '\0' && p < sizeof pieces / sizeof *pieces; p++) {
                struct zdm_error err = ZDM_ERROR_INIT;
                struct zdm_plan *plan = make();
                char sql[512];
                snprintf(sql, sizeof sql, "%.*s%s%s", (int)at, line->sql, pieces[p], line->sql + at);
                set(&step_of(plan, o)->sql, sql);
                bool list = pieces[p][0] == ',' && strncmp(line->sql, "SELECT", 6) == 0;
                bool in_parentheses = pieces[p][0] == ',' && memchr(line->sql, '(', at) != NULL;
                if (!list && !in_parentheses && is_taken(plan, &err))
                    fail_msg("is taken: %s", sql);
                tried++;
                zdm_plan_unref(plan);
            }
        }
    }
    assert_true(tried > 5000);
}

struct breach {
    const char *what;
    enum zdm_action action;
    void (*make)(struct zdm_plan *plan, struct zdm_step *step);
};

static void has_a_schema(struct zdm_plan *plan, struct zdm_step *step)
{
    set(&plan->tables[0].schema, "shop");
    set(&step->table.schema, "shop");
}
static void is_not_of_the_plan(struct zdm_plan *plan, struct zdm_step *step)
{
    (void)step;
    plan->engines = ZDM_ENGINE_POSTGRESQL;
}
static void is_of_any_engine(struct zdm_plan *plan, struct zdm_step *step)
{
    (void)plan;
    step->engine = ZDM_ENGINE_ANY;
}
static void is_of_a_newer_engine(struct zdm_plan *plan, struct zdm_step *step)
{
    (void)step;
    plan->engines |= 4;
}
static void has_another_name(struct zdm_plan *plan, struct zdm_step *step)
{
    (void)plan;
    set(&step->object, "m");
}
static void is_hidden_elsewhere(struct zdm_plan *plan, struct zdm_step *step)
{
    (void)plan;
    set(&step->object, "zdm_trash_0badcafe_orders");
}
static void is_hidden_without_digits(struct zdm_plan *plan, struct zdm_step *step)
{
    (void)plan;
    set(&step->object, "us`ers_old");
}
static void is_of_the_trash(struct zdm_plan *plan, struct zdm_step *step)
{
    set(&plan->tables[1].name, "zdm_trash_0badcafe_orders");
    set(&step->others[0].name, "zdm_trash_0badcafe_orders");
    struct zdm_step *key = step_of(plan, first(ZDM_ACTION_ADD_FOREIGN_KEY));
    set(&key->others[0].name, "zdm_trash_0badcafe_orders");
    set(&key->sql, AT "ADD CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `zdm_trash_0badcafe_orders` (`id`)");
}
static void shows_another(struct zdm_plan *plan, struct zdm_step *step)
{
    (void)plan;
    set(&step->column, "b");
}
static void drops_more(struct zdm_plan *plan, struct zdm_step *step)
{
    (void)plan;
    set(&step->inverse_sql, AT "DROP INDEX `i`, DROP COLUMN `b`");
}
static void is_written_by_two(struct zdm_plan *plan, struct zdm_step *step)
{
    (void)plan;
    set(&step->derivation->assignments[0].expr, "1, t.`b` = 2");
}
static void is_filtered_by_two(struct zdm_plan *plan, struct zdm_step *step)
{
    (void)plan;
    set(&step->derivation->filter, "1 = 1; DROP TABLE x");
}
static void reads_another_table(struct zdm_plan *plan, struct zdm_step *step)
{
    (void)plan;
    set(&step->derivation->assignments[0].expr_new, "(SELECT max(id) FROM `cities`)");
}
static void waits_on_a_file(struct zdm_plan *plan, struct zdm_step *step)
{
    (void)plan;
    set(&step->wait->until, "SELECT 1 INTO DUMPFILE '/x'");
}
static void is_nothing_of_mysql(struct zdm_plan *plan, struct zdm_step *step)
{
    (void)plan;
    step->action = ZDM_ACTION_ADD_CHECK;
    set(&step->object, "c");
    set(&step->sql, AT "ADD CONSTRAINT `c` CHECK (1)");
    step->inverse = ZDM_INVERSE_NONE;
}
static void is_proven_by_two(struct zdm_plan *plan, struct zdm_step *step)
{
    (void)plan;
    set(&step->proof_sql, "SELECT 1; SELECT 2");
}
static void rewrites(struct zdm_plan *plan, struct zdm_step *step)
{
    (void)plan;
    step->rewrite_ok = true;
}

static const struct breach breaches[] = {
    {"MySQL has none", ZDM_ACTION_ADD_COLUMN, has_a_schema},
    {"engine that the plan is not for", ZDM_ACTION_ADD_COLUMN, is_not_of_the_plan},
    {"for which engine", ZDM_ACTION_ADD_COLUMN, is_of_any_engine},
    {"engine that this release does not know", ZDM_ACTION_ADD_COLUMN, is_of_a_newer_engine},
    {"another name", ZDM_ACTION_HIDE_COLUMN, has_another_name},
    {"no usable name", ZDM_ACTION_HIDE_TABLE, is_hidden_elsewhere},
    {"no usable name", ZDM_ACTION_HIDE_TABLE, is_hidden_without_digits},
    {"an agent has hidden", ZDM_ACTION_CREATE_TABLE, is_of_the_trash},
    {"does not add", ZDM_ACTION_SHOW_COLUMN, shows_another},
    {"inverse that does something else", ZDM_ACTION_CREATE_INDEX, drops_more},
    {"not one expression", ZDM_ACTION_BACKFILL, is_written_by_two},
    {"not one expression", ZDM_ACTION_BACKFILL, is_filtered_by_two},
    {"reads other tables", ZDM_ACTION_SYNC_INSTALL, reads_another_table},
    {"not one query", ZDM_ACTION_GATE_WAIT, waits_on_a_file},
    {"nothing that this engine does", ZDM_ACTION_ADD_COLUMN, is_nothing_of_mysql},
    {"not one query", ZDM_ACTION_AS_IS, is_proven_by_two},
    {"a rewrite that it never makes", ZDM_ACTION_CREATE_INDEX, rewrites},
};

static void each_breach_is_refused_in_its_own_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof breaches / sizeof *breaches; i++) {
        struct zdm_error err = ZDM_ERROR_INIT;
        struct zdm_plan *plan = make();
        breaches[i].make(plan, step_of(plan, first(breaches[i].action)));
        if (is_taken(plan, &err) || strstr(err.message, breaches[i].what) == NULL)
            fail_msg("breach %zu: %s", i, err.message);
        zdm_plan_unref(plan);
    }
}

static void a_long_name_is_cut_behind_a_whole_character_where_its_table_is_hidden(void **state)
{
    static const struct {
        const char *table, *object;
        bool good;
    } rows[] = {
        {"0123456789012345678901234567890123456789012345678901234567890123",
         "zdm_trash_0badcafe_012345678901234567890123456789012345678901234", true},
        {"012345678901234567890123456789012345678901234\xc3\xa4\xc3\xa4", /* ä would not fit any more */
         "zdm_trash_0badcafe_012345678901234567890123456789012345678901234", true},
        {"0123456789012345678901234567890123456789012345678901234567890123", "zdm_trash_0badcafe_01234", false},
        {"0123456789", "zdm_trash_0badcafe_", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct zdm_error err = ZDM_ERROR_INIT;
        struct zdm_plan *plan = make();
        set(&plan->tables[1].name, rows[i].table);
        for (uint32_t o = 1; o <= LINES; o++) {
            struct zdm_step *step = step_of(plan, o);
            if (step->n_others > 0)
                set(&step->others[0].name, rows[i].table);
            if (step->action == ZDM_ACTION_HIDE_TABLE) {
                set(&step->table.name, rows[i].table);
                set(&step->object, rows[i].object);
                assert_int_equal(zdm_plan_validate(plan, &err), rows[i].good ? ZDM_OK : ZDM_INVALID);
            }
        }
        zdm_plan_unref(plan);
    }
}

/* ---- Two engines in one plan ---- */

static struct zdm_step adds(enum zdm_engine engine, uint32_t ordinal, char *schema, char *table, char *column)
{
    return (struct zdm_step){.ordinal = ordinal,
                             .action = ZDM_ACTION_ADD_COLUMN,
                             .engine = engine,
                             .table = {schema, table},
                             .column = column};
}

static void a_step_of_the_other_engine_ends_nothing_and_goes_back_with_nothing(void **state)
{
    (void)state;
    char none[] = "", public[] = "public", table[] = "users", name[] = "full";
    struct zdm_assignment assignment = {.target = name};
    struct zdm_derivation fill = {.assignments = &assignment, .n_assignments = 1, .idempotent = true}, twice = fill;
    twice.idempotent = false;
    struct zdm_step expand[] = {
        {.ordinal = 1, .action = ZDM_ACTION_CREATE_TABLE, .engine = ZDM_ENGINE_MYSQL, .table = {none, table}},
        adds(ZDM_ENGINE_POSTGRESQL, 2, public, table, name),
        adds(ZDM_ENGINE_MYSQL, 3, none, table, name),
    };
    struct zdm_step migrate[] = {
        {.ordinal = 4,
         .action = ZDM_ACTION_BACKFILL,
         .engine = ZDM_ENGINE_POSTGRESQL,
         .table = {public, table},
         .derivation = &twice},
        {.ordinal = 5,
         .action = ZDM_ACTION_BACKFILL,
         .engine = ZDM_ENGINE_MYSQL,
         .table = {none, table},
         .derivation = &fill},
        {.ordinal = 6, .action = ZDM_ACTION_DELETE, .engine = ZDM_ENGINE_POSTGRESQL, .table = {public, table}},
    };
    struct zdm_step later[] = {
        {.ordinal = 7,
         .action = ZDM_ACTION_HIDE_COLUMN,
         .engine = ZDM_ENGINE_MYSQL,
         .table = {none, table},
         .column = name},
        {.ordinal = 8, .kind = ZDM_STEP_PURGE, .action = ZDM_ACTION_PURGE_COLUMN, .engine = ZDM_ENGINE_MYSQL},
    };
    struct zdm_phase phases[] = {{.number = 1, .steps = expand, .n_steps = 3},
                                 {.number = 2, .steps = migrate, .n_steps = 3},
                                 {.number = 3, .steps = later, .n_steps = 2}};
    struct zdm_plan plan = {.phases = phases, .n_phases = 3, .engines = ZDM_ENGINE_POSTGRESQL | ZDM_ENGINE_MYSQL};
    const enum zdm_engine pg = ZDM_ENGINE_POSTGRESQL, my = ZDM_ENGINE_MYSQL;
    struct zdm_undo_repeat repeat;
    const struct zdm_step *step = NULL;

    zdm_plan_link(&plan);
    assert_int_equal(expand[1].superseded_by, 0);
    assert_int_equal(expand[2].superseded_by, 7);

    assert_int_equal(zdm_plan_undo_floor(&plan, pg, 1, 7), 2);
    assert_int_equal(zdm_plan_undo_floor(&plan, my, 1, 7), 3);
    assert_int_equal(zdm_plan_undo_floor(&plan, ZDM_ENGINE_ANY, 1, 7), 2);
    assert_true(zdm_plan_undo_repeats(&plan, pg, 2, 7, &repeat) == false);
    assert_null(zdm_plan_purged(&plan, pg, 2, 9));
    assert_ptr_equal(zdm_plan_purged(&plan, my, 2, 9), &later[1]);
    assert_true(zdm_plan_undo_loses(&plan, my, 0, 3, 3, &step));
    assert_ptr_equal(step, &expand[0]);
    assert_true(zdm_plan_undo_loses(&plan, pg, 0, 3, 3, &step));
    assert_ptr_equal(step, &migrate[0]);
    assert_ptr_equal(zdm_plan_adds(&plan, &migrate[1].table, name), &expand[2]);
    assert_ptr_equal(zdm_plan_adds(&plan, &migrate[0].table, name), &expand[1]);
}

static void a_plan_of_an_older_release_is_for_postgresql(void **state)
{
    (void)state;
    struct zdm_plan plan = {.engines = 0};
    assert_int_equal(zdm_plan_engines(&plan), ZDM_ENGINE_POSTGRESQL);
    assert_true(zdm_plan_is_for(&plan, ZDM_ENGINE_POSTGRESQL));
    assert_false(zdm_plan_is_for(&plan, ZDM_ENGINE_MYSQL));
    plan.engines = ZDM_ENGINE_MYSQL;
    assert_false(zdm_plan_is_for(&plan, ZDM_ENGINE_POSTGRESQL));
    assert_true(zdm_plan_is_for(&plan, ZDM_ENGINE_MYSQL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_step_is_whole_and_honest),
        cmocka_unit_test(what_was_smuggled_into_a_statement_is_found),
        cmocka_unit_test(nothing_can_be_put_into_the_middle_of_a_statement),
        cmocka_unit_test(each_breach_is_refused_in_its_own_words),
        cmocka_unit_test(a_long_name_is_cut_behind_a_whole_character_where_its_table_is_hidden),
        cmocka_unit_test(a_step_of_the_other_engine_ends_nothing_and_goes_back_with_nothing),
        cmocka_unit_test(a_plan_of_an_older_release_is_for_postgresql),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
