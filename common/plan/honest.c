/*
 * honest.c - does a plan do what it says? See zdm_plan_check_honest in plan.h.
 *
 * The compiler writes each statement in one form, so that here it is compared and not understood: the words around what
 * a person wrote are fixed, and what a person wrote is one closed piece (no statement, list entry or comment ends in
 * it). The same for what follows from a step: which inverse it has, and whether something is lost for good. So neither
 * a name nor an expression of a plan made by hand smuggles another statement into a phase that nobody had to approve.
 */
#include "common/plan/plan.h"

#include <stdio.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/plan/undo.h"

/* ---- Closed pieces of SQL ---- */

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
           (unsigned char)c >= 0x80;
}

/* Behind the quoted text that begins at `at`, 0 when it does not end. A doubled quote is two texts side by side. */
static size_t after_quoted(const char *sql, size_t n, size_t at)
{
    char quote = sql[at];
    bool escapes =
        quote == '\'' && at > 0 && (sql[at - 1] == 'e' || sql[at - 1] == 'E') && (at == 1 || !is_word(sql[at - 2]));
    for (size_t i = at + 1; i < n; i++) {
        if (escapes && sql[i] == '\\')
            i++;
        else if (sql[i] == quote)
            return i + 1;
    }
    return 0;
}

/* Is it one piece that nothing before or behind it can change? `list`: commas may stand outside of parentheses. */
static bool is_closed(const char *sql, size_t n, bool list)
{
    long depth = 0;
    for (size_t i = 0; i < n;) {
        char c = sql[i], next = i + 1 < n ? sql[i + 1] : '\0';
        if (c == '\'' || c == '"') {
            i = after_quoted(sql, n, i);
            if (i == 0)
                return false;
            continue;
        }
        depth += (c == '(' || c == '[') - (c == ')' || c == ']');
        if (depth < 0 || c == ';' || (c == '-' && next == '-') || (c == '/' && next == '*') ||
            (c == '$' && (i == 0 || !is_word(sql[i - 1]))) || (c == ',' && depth == 0 && !list))
            return false;
        i++;
    }
    return depth == 0;
}

static bool is_closed_text(const char *sql)
{
    return sql == NULL || is_closed(sql, strlen(sql), false);
}

/* ---- Forms ---- */

static void put_name(struct zdm_buffer *b, const char *name)
{
    zdm_buffer_puts(b, "\"");
    for (const char *c = name; *c != '\0'; c++)
        zdm_buffer_printf(b, *c == '"' ? "%c\"" : "%c", *c);
    zdm_buffer_puts(b, "\"");
}

/* %t the table, %s its schema, %c the column, %o the object, %* a closed piece. */
static bool fits(const char *form, const struct zdm_step *step, const char *sql)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    const char *piece = NULL;
    size_t before = 0;
    for (const char *f = form; *f != '\0'; f++) {
        char what = *f == '%' ? *++f : '\0';
        if (what == '\0')
            zdm_buffer_append(&b, f, 1);
        else if (what == '*')
            before = b.len, piece = f;
        else if (what == 'c' || what == 'o')
            put_name(&b, what == 'c' ? step->column : step->object);
        if (what == 't' || what == 's')
            put_name(&b, step->table.schema);
        if (what == 't') {
            zdm_buffer_puts(&b, ".");
            put_name(&b, step->table.name);
        }
    }
    const char *text = zdm_buffer_text(&b);
    size_t n = strlen(sql), fixed = strlen(text), after = fixed - before;
    bool right = !b.failed;
    if (piece == NULL)
        right = right && strcmp(sql, text) == 0;
    else
        right = right && n > fixed && strncmp(sql, text, before) == 0 && strcmp(sql + n - after, text + before) == 0 &&
                is_closed(sql + before, n - fixed, false);
    zdm_buffer_fini(&b);
    return right;
}

static const struct {
    enum zdm_action action;
    enum zdm_inverse_kind inverse;
    const char *form, *other_form, *inverse_form;
} rows[] = {
    {ZDM_ACTION_ADD_COLUMN, ZDM_INVERSE_HIDE, "ALTER TABLE %t ADD COLUMN %c %*", NULL, NULL},
    {ZDM_ACTION_ADD_CHECK, ZDM_INVERSE_SQL, "ALTER TABLE %t ADD CONSTRAINT %o CHECK (%*) NOT VALID", NULL,
     "ALTER TABLE %t DROP CONSTRAINT IF EXISTS %o"},
    {ZDM_ACTION_SET_NOT_NULL, ZDM_INVERSE_SQL, "ALTER TABLE %t ALTER COLUMN %c SET NOT NULL", NULL,
     "ALTER TABLE %t ALTER COLUMN %c DROP NOT NULL"},
    {ZDM_ACTION_DROP_CONSTRAINT, ZDM_INVERSE_NONE, "ALTER TABLE %t DROP CONSTRAINT IF EXISTS %o", NULL, NULL},
    {ZDM_ACTION_VALIDATE, ZDM_INVERSE_NONE, "ALTER TABLE %t VALIDATE CONSTRAINT %o", NULL, NULL},
    {ZDM_ACTION_CREATE_INDEX, ZDM_INVERSE_SQL, "CREATE INDEX CONCURRENTLY %*", "CREATE UNIQUE INDEX CONCURRENTLY %*",
     "DROP INDEX CONCURRENTLY IF EXISTS %s.%o"},
    {ZDM_ACTION_SYNC_INSTALL, ZDM_INVERSE_REMOVE, NULL, NULL, NULL},
    {ZDM_ACTION_SYNC_REMOVE, ZDM_INVERSE_INSTALL, NULL, NULL, NULL},
    {ZDM_ACTION_CHECK_QUERY, ZDM_INVERSE_NONE, NULL, NULL, NULL},
    {ZDM_ACTION_CHECK_COMPARE, ZDM_INVERSE_NONE, NULL, NULL, NULL},
    {ZDM_ACTION_HIDE_COLUMN, ZDM_INVERSE_UNHIDE, NULL, NULL, NULL},
    {ZDM_ACTION_PURGE_COLUMN, ZDM_INVERSE_IMPOSSIBLE, NULL, NULL, NULL},
    {ZDM_ACTION_PURGE_IMAGES, ZDM_INVERSE_IMPOSSIBLE, NULL, NULL, NULL},
    {ZDM_ACTION_GATE_FLAG, ZDM_INVERSE_NONE, NULL, NULL, NULL},
};

static const char *form_fault(const struct zdm_step *step)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].action != step->action)
            continue;
        if (rows[i].inverse != step->inverse)
            return "has another inverse than such a step has";
        if (rows[i].form != NULL && !fits(rows[i].form, step, step->sql) &&
            (rows[i].other_form == NULL || !fits(rows[i].other_form, step, step->sql)))
            return "has SQL that does something else";
        if (rows[i].inverse_form != NULL && !fits(rows[i].inverse_form, step, step->inverse_sql))
            return "has SQL for its inverse that does something else";
    }
    if (step->action == ZDM_ACTION_CHECK_QUERY && !is_closed(step->sql, strlen(step->sql), true))
        return "has SQL that is not one query";
    return NULL;
}

/* ---- Derivations ---- */

static bool is_added(const struct zdm_plan *plan, const struct zdm_step *step, const char *column)
{
    const struct zdm_step *add = zdm_plan_adds(plan, &step->table, column);
    return add != NULL && add->ordinal < step->ordinal;
}

static const char *assignment_fault(const struct zdm_plan *plan, const struct zdm_step *step,
                                    const struct zdm_assignment *a)
{
    if (a->added && !is_added(plan, step, a->target))
        return "says that the migration added a column that it does not add";
    if (!is_closed_text(a->expr) || !is_closed_text(a->expr_new) || !is_closed_text(a->initial))
        return "has an expression that is not one expression";
    return NULL;
}

static const char *derivation_fault(const struct zdm_plan *plan, const struct zdm_step *step)
{
    const struct zdm_derivation *d = step->derivation;
    bool added = true;
    for (size_t i = 0; i < d->n_assignments; i++) {
        const char *fault = assignment_fault(plan, step, &d->assignments[i]);
        if (fault != NULL)
            return fault;
        added = added && is_added(plan, step, d->assignments[i].target);
    }
    if (!is_closed_text(d->guard) || !is_closed_text(d->filter) || !is_closed_text(d->filter_new) ||
        !is_closed_text(d->filter_old))
        return "has a condition that is not one expression";
    if (step->action == ZDM_ACTION_BACKFILL && !added && step->inverse == ZDM_INVERSE_NONE)
        return "writes over a column that was there before, and says that nothing is lost";
    if (step->action == ZDM_ACTION_SYNC_INSTALL && !added && step->exact_inverse)
        return "installs triggers that write over a column that was there before, and says that nothing is lost";
    return NULL;
}

/* ---- What belongs to a step before it ---- */

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Is there an earlier step of that action about the same table, column (where `column`) and object? */
static bool comes_after(const struct zdm_plan *plan, const struct zdm_step *step, enum zdm_action action, bool column)
{
    for (uint32_t o = 1; o < step->ordinal; o++) {
        const struct zdm_step *s = zdm_plan_step(plan, o);
        if (s->action == action && same_text(s->table.schema, step->table.schema) &&
            same_text(s->table.name, step->table.name) && same_text(s->object, step->object) &&
            (!column || same_text(s->column, step->column)))
            return true;
    }
    return false;
}

/* Does a sync before it copy something back into the column, so that a rollback finds what new code wrote? */
static bool is_kept_up(const struct zdm_plan *plan, const struct zdm_step *hide)
{
    const struct zdm_step *sync = hide->sync_step == 0 ? NULL : zdm_plan_step(plan, hide->sync_step);
    if (sync == NULL || sync->ordinal > hide->ordinal || !sync->derivation->both_ways ||
        !same_text(sync->table.schema, hide->table.schema) || !same_text(sync->table.name, hide->table.name))
        return false;
    for (size_t i = 0; i < sync->derivation->n_assignments; i++)
        if (same_text(sync->derivation->assignments[i].copy_of, hide->column))
            return true;
    return false;
}

static const char *order_fault(const struct zdm_plan *plan, const struct zdm_step *step)
{
    enum zdm_phase_class class = zdm_plan_phase(plan, zdm_plan_phase_of(plan, step->ordinal))->class;
    if (step->action == ZDM_ACTION_HIDE_COLUMN && class != ZDM_PHASE_CONTRACT)
        return "hides a column outside of a contract phase, whose barrier waits until no code reads it";
    if (step->action == ZDM_ACTION_DROP_CONSTRAINT && !comes_after(plan, step, ZDM_ACTION_ADD_CHECK, false))
        return "drops a constraint that the plan does not add";
    if (step->action == ZDM_ACTION_PURGE_COLUMN && !comes_after(plan, step, ZDM_ACTION_HIDE_COLUMN, true))
        return "purges what the plan does not hide";
    if (step->action == ZDM_ACTION_HIDE_COLUMN && step->exact_inverse && !is_kept_up(plan, step))
        return "says that nothing is lost, and nothing writes the column once it is hidden";
    return NULL;
}

enum zdm_code zdm_plan_check_honest(const struct zdm_plan *plan, struct zdm_error *err)
{
    for (uint32_t o = 1; o <= zdm_plan_n_steps(plan); o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        if (step->engine == ZDM_ENGINE_MYSQL)
            continue; /* no engine of this release runs it */
        const char *fault = form_fault(step);
        if (fault == NULL && step->derivation != NULL)
            fault = derivation_fault(plan, step);
        if (fault == NULL)
            fault = order_fault(plan, step);
        if (fault != NULL)
            return zdm_error_set(err, ZDM_INVALID, "step %s (%s) %s", step->id, zdm_action_name(step->action), fault);
    }
    return ZDM_OK;
}
