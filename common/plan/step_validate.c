/*
 * step_validate.c - is a step of a plan whole? See validate.h.
 *
 * What an action needs is one table, checked the same way for every step, so that the agent can use a field without
 * asking whether it is there. A field that is sent to a database and that the action does not use is refused too: a
 * plan says exactly what is run, and nothing in it may look as if it were.
 */
#include "common/plan/validate.h"

#include <string.h>

enum { SECOND_MS = 1000, DAY_MS = 24 * 3600 * SECOND_MS };

enum need {
    TABLE = 1, /* schema and name */
    COLUMN = 2,
    OBJECT = 4,
    SQL = 8,
    DERIVATION = 16,
    TRIGGER = 32, /* the derivation has its forms over NEW. and OLD. */
    FLAG = 64,
    SYNC = 128,   /* sync_step is not 0 */
    SCHEMA = 256, /* the table has a schema and no name */
    OTHER = 512,  /* exactly one other table; where it may be: any number */
    PROOF = 1024,
    WAIT = 2048,
    SKIP = 4096,   /* may skip triggers */
    REWRITE = 8192 /* may allow a rewrite */
};

#define INVERSE(name) (1u << ZDM_INVERSE_##name)

static const char *comment_fault(const struct zdm_step *step);
static const char *reindex_fault(const struct zdm_step *step);
static const char *trash_fault(const struct zdm_step *step);
static const char *as_is_fault(const struct zdm_step *step);
static const char *wait_fault(const struct zdm_step *step);

/* What an action needs, what it may have beside it, and which inverses take it back. NONE
 * where a plan of another engine, or one that is only shown, may say so; honest.c is stricter. */
static const struct action_row {
    enum zdm_step_kind kind;
    unsigned needs, may;
    unsigned inverses;
    const char *(*fault)(const struct zdm_step *step); /* what the bits cannot say */
} action_rows[] = {
    /* An engine that cannot hide adds a column and drops it again. */
    [ZDM_ACTION_ADD_COLUMN] = {ZDM_STEP_DDL, TABLE | COLUMN | SQL, 0, INVERSE(HIDE) | INVERSE(SQL) | INVERSE(NONE),
                               NULL},
    [ZDM_ACTION_ADD_CHECK] = {ZDM_STEP_DDL, TABLE | OBJECT | SQL, COLUMN, INVERSE(SQL) | INVERSE(NONE), NULL},
    [ZDM_ACTION_SET_NOT_NULL] = {ZDM_STEP_DDL, TABLE | COLUMN | SQL, 0, INVERSE(SQL) | INVERSE(NONE), NULL},
    [ZDM_ACTION_DROP_CONSTRAINT] = {ZDM_STEP_DDL, TABLE | OBJECT | SQL, 0, INVERSE(NONE), NULL},
    [ZDM_ACTION_VALIDATE] = {ZDM_STEP_VALIDATE, TABLE | OBJECT | SQL, OTHER, INVERSE(NONE), NULL},
    [ZDM_ACTION_CREATE_INDEX] = {ZDM_STEP_INDEX, TABLE | OBJECT | SQL, 0, INVERSE(SQL) | INVERSE(NONE), NULL},
    [ZDM_ACTION_SYNC_INSTALL] = {ZDM_STEP_SYNC, TABLE | DERIVATION | TRIGGER, OBJECT, INVERSE(REMOVE) | INVERSE(NONE),
                                 NULL},
    [ZDM_ACTION_SYNC_REMOVE] = {ZDM_STEP_SYNC, TABLE | SYNC, 0, INVERSE(INSTALL) | INVERSE(NONE), NULL},
    [ZDM_ACTION_BACKFILL] = {ZDM_STEP_BACKFILL, TABLE | DERIVATION, OBJECT | SKIP,
                             INVERSE(IMAGES) | INVERSE(IMPOSSIBLE) | INVERSE(NONE), NULL},
    [ZDM_ACTION_CHECK_QUERY] = {ZDM_STEP_CHECK, SQL, TABLE, INVERSE(NONE), NULL},
    [ZDM_ACTION_CHECK_COMPARE] = {ZDM_STEP_CHECK, TABLE | DERIVATION, 0, INVERSE(NONE), NULL},
    [ZDM_ACTION_HIDE_COLUMN] = {ZDM_STEP_HIDE, TABLE | COLUMN | OBJECT, 0, INVERSE(UNHIDE) | INVERSE(NONE), NULL},
    [ZDM_ACTION_PURGE_COLUMN] = {ZDM_STEP_PURGE, TABLE | COLUMN | OBJECT, 0, INVERSE(IMPOSSIBLE) | INVERSE(NONE), NULL},
    [ZDM_ACTION_GATE_FLAG] = {ZDM_STEP_GATE, FLAG, 0, INVERSE(NONE), NULL},
    [ZDM_ACTION_PURGE_IMAGES] = {ZDM_STEP_PURGE, TABLE | OBJECT, 0, INVERSE(IMPOSSIBLE) | INVERSE(NONE), NULL},
    [ZDM_ACTION_ADD_FOREIGN_KEY] = {ZDM_STEP_DDL, TABLE | OBJECT | SQL | OTHER, 0, INVERSE(SQL), NULL},
    [ZDM_ACTION_ADD_UNIQUE] = {ZDM_STEP_DDL, TABLE | OBJECT | SQL, 0, INVERSE(SQL), NULL},
    [ZDM_ACTION_ADD_PRIMARY_KEY] = {ZDM_STEP_DDL, TABLE | OBJECT | SQL, 0, INVERSE(SQL), NULL},
    [ZDM_ACTION_LIFT_CONSTRAINT] = {ZDM_STEP_DDL, TABLE | OBJECT, OTHER, INVERSE(UNHIDE), NULL},
    [ZDM_ACTION_DROP_NOT_NULL] = {ZDM_STEP_DDL, TABLE | COLUMN | SQL, 0, INVERSE(UNHIDE), NULL},
    [ZDM_ACTION_SET_DEFAULT] = {ZDM_STEP_DDL, TABLE | COLUMN | SQL, 0, INVERSE(FORMER), NULL},
    [ZDM_ACTION_SET_STORAGE] = {ZDM_STEP_DDL, TABLE | SQL, COLUMN, INVERSE(FORMER), NULL},
    [ZDM_ACTION_COMMENT] = {ZDM_STEP_DDL, SQL, TABLE | SCHEMA | COLUMN | OBJECT, INVERSE(FORMER), comment_fault},
    [ZDM_ACTION_WIDEN_TYPE] = {ZDM_STEP_DDL, TABLE | COLUMN | SQL, 0, INVERSE(NONE), NULL},
    [ZDM_ACTION_CREATE_TABLE] = {ZDM_STEP_DDL, TABLE | SQL, OTHER, INVERSE(HIDE), NULL},
    [ZDM_ACTION_CREATE_TYPE] = {ZDM_STEP_DDL, SCHEMA | OBJECT | SQL, 0, INVERSE(HIDE), NULL},
    [ZDM_ACTION_ADD_VALUE] = {ZDM_STEP_DDL, SCHEMA | OBJECT | COLUMN | SQL, 0, INVERSE(NONE), NULL},
    [ZDM_ACTION_HIDE_TABLE] = {ZDM_STEP_HIDE, TABLE | OBJECT, OTHER, INVERSE(UNHIDE), trash_fault},
    [ZDM_ACTION_PURGE_TABLE] = {ZDM_STEP_PURGE, TABLE | OBJECT, OTHER, INVERSE(IMPOSSIBLE), trash_fault},
    [ZDM_ACTION_HIDE_INDEX] = {ZDM_STEP_HIDE, SCHEMA | OBJECT, 0, INVERSE(UNHIDE), NULL},
    [ZDM_ACTION_PURGE_INDEX] = {ZDM_STEP_PURGE, SCHEMA | OBJECT, 0, INVERSE(IMPOSSIBLE), NULL},
    [ZDM_ACTION_REINDEX] = {ZDM_STEP_INDEX, 0, TABLE | SCHEMA | OBJECT, INVERSE(NONE), reindex_fault},
    [ZDM_ACTION_ADD_PARTITION_CHECK] = {ZDM_STEP_DDL, TABLE | OBJECT | SQL | OTHER, 0, INVERSE(SQL), NULL},
    [ZDM_ACTION_ATTACH_PARTITION] = {ZDM_STEP_DDL, TABLE | SQL | OTHER, 0, INVERSE(SQL), NULL},
    [ZDM_ACTION_DETACH_PARTITION] = {ZDM_STEP_DDL, TABLE | SQL | OTHER, 0, INVERSE(FORMER), NULL},
    [ZDM_ACTION_DELETE] = {ZDM_STEP_BACKFILL, TABLE | DERIVATION, OBJECT | SKIP, INVERSE(IMAGES) | INVERSE(IMPOSSIBLE),
                           NULL},
    [ZDM_ACTION_AS_IS] = {ZDM_STEP_DDL, SQL | PROOF, TABLE | OTHER | REWRITE, INVERSE(SQL) | INVERSE(IMPOSSIBLE),
                          as_is_fault},
    [ZDM_ACTION_GATE_WAIT] = {ZDM_STEP_GATE, WAIT, 0, INVERSE(NONE), wait_fault},
    [ZDM_ACTION_SHOW_COLUMN] = {ZDM_STEP_DDL, TABLE | COLUMN, 0, 0, NULL}, /* MySQL's alone */
};
_Static_assert(sizeof action_rows / sizeof *action_rows == ZDM_ACTION_LAST + 1, "every action has a row");

/* Where MySQL's steps have other fields: there an index belongs to a table, what a MODIFY was is kept, and a column may
 * make the server write the table anew. */
static const struct {
    enum zdm_action action;
    struct action_row row;
} mysql_rows[] = {
    {ZDM_ACTION_SHOW_COLUMN, {ZDM_STEP_DDL, TABLE | COLUMN, 0, INVERSE(FORMER), NULL}},
    {ZDM_ACTION_ADD_COLUMN,
     {ZDM_STEP_DDL, TABLE | COLUMN | SQL, REWRITE, INVERSE(HIDE) | INVERSE(SQL) | INVERSE(NONE), NULL}},
    {ZDM_ACTION_HIDE_COLUMN, {ZDM_STEP_HIDE, TABLE | COLUMN | OBJECT, REWRITE, INVERSE(UNHIDE) | INVERSE(NONE), NULL}},
    {ZDM_ACTION_PURGE_COLUMN,
     {ZDM_STEP_PURGE, TABLE | COLUMN | OBJECT, REWRITE, INVERSE(IMPOSSIBLE) | INVERSE(NONE), NULL}},
    {ZDM_ACTION_WIDEN_TYPE, {ZDM_STEP_DDL, TABLE | COLUMN | SQL, REWRITE, INVERSE(NONE), NULL}},
    {ZDM_ACTION_SET_NOT_NULL, {ZDM_STEP_DDL, TABLE | COLUMN | SQL, REWRITE, INVERSE(FORMER), NULL}},
    {ZDM_ACTION_DROP_NOT_NULL, {ZDM_STEP_DDL, TABLE | COLUMN | SQL, REWRITE, INVERSE(FORMER), NULL}},
    {ZDM_ACTION_HIDE_INDEX, {ZDM_STEP_HIDE, TABLE | OBJECT, 0, INVERSE(UNHIDE), NULL}},
    {ZDM_ACTION_PURGE_INDEX, {ZDM_STEP_PURGE, TABLE | OBJECT, 0, INVERSE(IMPOSSIBLE), NULL}},
};

static const struct action_row *row_of(const struct zdm_step *step)
{
    for (size_t i = 0; step->engine == ZDM_ENGINE_MYSQL && i < sizeof mysql_rows / sizeof *mysql_rows; i++)
        if (mysql_rows[i].action == step->action)
            return &mysql_rows[i].row;
    return &action_rows[step->action];
}

bool zdm_step_may_rewrite(const struct zdm_step *step)
{
    return (row_of(step)->may & REWRITE) != 0;
}

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* A name as SQL knows it; optional ones may be NULL, but never empty or too long. */
static bool identifier_fits(const char *name, bool needed)
{
    if (name == NULL)
        return !needed;
    return name[0] != '\0' && strlen(name) <= ZDM_IDENTIFIER_MAX;
}

bool zdm_table_is_named(const struct zdm_table *table)
{
    /* An empty schema is the database at hand: MySQL's tables have no other. */
    return table->schema != NULL && strlen(table->schema) <= ZDM_IDENTIFIER_MAX && identifier_fits(table->name, true);
}

static bool table_is_listed(const struct zdm_plan *plan, const struct zdm_table *table)
{
    for (size_t i = 0; i < plan->n_tables; i++)
        if (strcmp(plan->tables[i].schema, table->schema) == 0 && strcmp(plan->tables[i].name, table->name) == 0)
            return true;
    return false;
}

/* Rows that go are chosen by the filter alone. */
static const char *deletion_fault(const struct zdm_derivation *derivation)
{
    if (derivation->n_assignments > 0 || derivation->guard != NULL)
        return "deletes rows and assigns to them";
    return derivation->both_ways ? "deletes rows in both directions" : NULL;
}

static const char *derivation_fault(const struct zdm_derivation *derivation, bool trigger)
{
    if (derivation->n_assignments == 0)
        return "assigns nothing";
    for (size_t i = 0; i < derivation->n_assignments; i++) {
        const struct zdm_assignment *assignment = &derivation->assignments[i];
        if (!identifier_fits(assignment->target, true) || !identifier_fits(assignment->copy_of, false))
            return "assigns to or copies from a column without a usable name";
        if (!is_set(assignment->expr) || (trigger && !is_set(assignment->expr_new)))
            return "has an assignment without an expression";
        if (derivation->both_ways && assignment->copy_of == NULL)
            return "synchronizes in both directions what is not a copy";
    }
    for (size_t i = 0; i < derivation->n_sources; i++)
        if (!identifier_fits(derivation->sources[i], true))
            return "reads a column without a usable name";
    if (trigger && derivation->filter != NULL && (!is_set(derivation->filter_new) || !is_set(derivation->filter_old)))
        return "has a filter that its trigger cannot evaluate";
    return NULL;
}

static const char *flag_fault(const struct zdm_flag *flag)
{
    if (!is_set(flag->key))
        return "names no flag";
    if (flag->soak_ms < 0)
        return "soaks for a negative time";
    for (size_t i = 0; i < flag->n_rollout; i++)
        if (!is_set(flag->rollout[i]))
            return "has an empty rollout stage";
    return NULL;
}

/* ---- what single actions ask for ---- */

static const char *comment_fault(const struct zdm_step *step)
{
    if (step->table.name == NULL && (step->object == NULL || step->column != NULL))
        return "comments on nothing that it names";
    return step->column != NULL && step->object != NULL ? "comments on two things" : NULL;
}

static const char *reindex_fault(const struct zdm_step *step)
{
    return step->table.name == NULL && step->object == NULL ? "names neither a table nor an index" : NULL;
}

/* What stands behind a prefix and eight digits, NULL where they do not stand there: what has such a name was made by an
 * agent, and nothing else can have it by accident. */
static const char *behind_digits(const char *name, const char *prefix)
{
    enum { DIGITS = 8 };
    const size_t n = strlen(prefix);
    bool derived = name != NULL && strncmp(name, prefix, n) == 0 && strspn(name + n, "0123456789abcdef") >= DIGITS;
    return derived ? name + n + DIGITS : NULL;
}

static bool is_derived_name(const char *name, const char *prefix)
{
    const char *rest = behind_digits(name, prefix);
    return rest != NULL && rest[0] == '\0';
}

/* MySQL: the table's new name ends in as much of the old one as there is room for. */
static const char *trash_fault(const struct zdm_step *step)
{
    const char *rest = behind_digits(step->object, "zdm_trash_");
    if (step->engine != ZDM_ENGINE_MYSQL)
        return rest != NULL && rest[0] == '\0' ? NULL : "names no usable schema for what is hidden";
    bool cut = strlen(step->object) + 4 > ZDM_IDENTIFIER_MAX; /* never within a character */
    size_t n = rest == NULL || rest[0] == '\0' ? 0 : strlen(rest + 1);
    bool same = n > 0 && rest[0] == '_' && strncmp(step->table.name, rest + 1, n) == 0;
    return same && (cut || step->table.name[n] == '\0') ? NULL : "names no usable name for what is hidden";
}

static const char *as_is_fault(const struct zdm_step *step)
{
    if (step->lock != ZDM_LOCK_SHORT && step->lock != ZDM_LOCK_LONG)
        return "does not say whether it holds its locks for a short or a long time";
    return step->exact_inverse ? "says that it is undone exactly, which nobody knows of a statement as it is" : NULL;
}

static bool is_within(int64_t ms, int64_t least, int64_t most)
{
    return ms >= least && ms <= most;
}

static const char *wait_fault(const struct zdm_step *step)
{
    const struct zdm_wait_gate *wait = step->wait;
    if (wait->for_ms == 0 && wait->until == NULL)
        return "waits for nothing";
    if (wait->until != NULL && !is_set(wait->until))
        return "has an empty condition";
    if (!is_within(wait->for_ms, 0, ZDM_GRACE_MAX_MS) || !is_within(wait->limit_ms, 0, ZDM_GRACE_MAX_MS))
        return "waits for less than nothing or for more than 366 days";
    if (!is_within(wait->every_ms, wait->until != NULL ? SECOND_MS : 0, DAY_MS))
        return "looks more often than once a second or less than once a day";
    return NULL;
}

/* ---- fields ---- */

static const char *sql_fault(const struct zdm_step *step, unsigned needs)
{
    if (((needs & SQL) != 0) != is_set(step->sql))
        return (needs & SQL) != 0 ? "has no SQL" : "has SQL that it would not run";
    if (((needs & PROOF) != 0) != is_set(step->proof_sql))
        return (needs & PROOF) != 0 ? "has no query that proves it" : "has a query for its proof that it would not ask";
    if ((step->inverse == ZDM_INVERSE_SQL) != is_set(step->inverse_sql))
        return step->inverse == ZDM_INVERSE_SQL ? "has no SQL for its inverse"
                                                : "has SQL for an inverse of another kind";
    return NULL;
}

static const char *table_fault(const struct zdm_plan *plan, const struct zdm_step *step, const struct action_row *row)
{
    const struct zdm_table *table = &step->table;
    unsigned allowed = row->needs | row->may;
    if (table->name == NULL && (row->needs & TABLE) != 0)
        return "names no table";
    if (table->name != NULL && (allowed & TABLE) == 0)
        return "names a table that it would not use";
    if (table->name != NULL && !(zdm_table_is_named(table) && table_is_listed(plan, table)))
        return "names a table that the plan does not list";
    if (table->name != NULL && (step->engine == ZDM_ENGINE_MYSQL) != (table->schema[0] == '\0'))
        return table->schema[0] == '\0' ? "names a table without a schema" : "names a schema, and MySQL has none";
    if (table->name == NULL && !identifier_fits(table->schema, (row->needs & SCHEMA) != 0))
        return "names no usable schema";
    if (table->name == NULL && table->schema != NULL && (allowed & SCHEMA) == 0)
        return "names a schema without a table";
    return NULL;
}

static const char *others_fault(const struct zdm_plan *plan, const struct zdm_step *step, const struct action_row *row)
{
    if ((row->needs & OTHER) != 0 && step->n_others != 1)
        return "does not name the one other table that it concerns";
    if (((row->needs | row->may) & OTHER) == 0 && step->n_others > 0)
        return "names other tables that it would not use";
    for (size_t i = 0; i < step->n_others; i++) {
        if (!zdm_table_is_named(&step->others[i]))
            return "names another table without a usable name";
        if (!table_is_listed(plan, &step->others[i]))
            return "names another table that the plan does not list";
        if ((step->engine == ZDM_ENGINE_MYSQL) != (step->others[i].schema[0] == '\0'))
            return "names a table of another engine";
    }
    return NULL;
}

static const char *names_fault(const struct zdm_step *step, const struct action_row *row)
{
    unsigned allowed = row->needs | row->may;
    if (!identifier_fits(step->column, (row->needs & COLUMN) != 0))
        return "names no usable column";
    if (!identifier_fits(step->object, (row->needs & OBJECT) != 0))
        return "names no usable object";
    if (step->column != NULL && (allowed & COLUMN) == 0)
        return "names a column that it would not use";
    if (step->object != NULL && (allowed & OBJECT) == 0)
        return "names an object that it would not use";
    if (step->skip_triggers && (allowed & SKIP) == 0)
        return "skips triggers where none fire";
    return step->rewrite_ok && (allowed & REWRITE) == 0 ? "allows a rewrite that it never makes" : NULL;
}

static const char *parts_fault(const struct zdm_step *step, unsigned needs)
{
    if (((needs & DERIVATION) != 0) != (step->derivation != NULL))
        return (needs & DERIVATION) != 0 ? "has no derivation" : "has a derivation that it would not use";
    if (((needs & FLAG) != 0) != (step->flag != NULL))
        return (needs & FLAG) != 0 ? "has no flag" : "has a flag that it would not use";
    if (((needs & WAIT) != 0) != (step->wait != NULL))
        return (needs & WAIT) != 0 ? "does not say what it waits for" : "has a wait that it would not wait for";
    if ((needs & SYNC) != 0 && step->sync_step == 0)
        return "does not say which synchronization";
    if (step->derivation != NULL && step->action == ZDM_ACTION_DELETE)
        return deletion_fault(step->derivation);
    if (step->derivation != NULL)
        return derivation_fault(step->derivation, (needs & TRIGGER) != 0);
    return step->flag != NULL ? flag_fault(step->flag) : NULL;
}

static const char *fields_fault(const struct zdm_plan *plan, const struct zdm_step *step)
{
    const struct action_row *row = row_of(step);
    const char *fault = table_fault(plan, step, row);
    if (fault == NULL)
        fault = others_fault(plan, step, row);
    if (fault == NULL)
        fault = names_fault(step, row);
    if (fault == NULL)
        fault = parts_fault(step, row->needs);
    if (fault == NULL)
        fault = sql_fault(step, row->needs);
    return fault == NULL && row->fault != NULL ? row->fault(step) : fault;
}

/* A text that two engines would run is read by each in its own way: only a flag, which none runs, is for any. */
static const char *engine_fault(const struct zdm_plan *plan, const struct zdm_step *step)
{
    if (step->engine == ZDM_ENGINE_ANY && step->action != ZDM_ACTION_GATE_FLAG)
        return zdm_plan_engines(plan) == (unsigned)ZDM_ENGINE_POSTGRESQL ? NULL : "does not say for which engine it is";
    if (step->engine != ZDM_ENGINE_ANY && step->action == ZDM_ACTION_GATE_FLAG)
        return "is a flag for some of the shards";
    return step->engine == ZDM_ENGINE_ANY || zdm_plan_is_for(plan, step->engine)
               ? NULL
               : "is for an engine that the plan is not for";
}

static const char *references_fault(const struct zdm_plan *plan, const struct zdm_step *step)
{
    if (step->sync_step != 0) {
        const struct zdm_step *sync = zdm_plan_step(plan, step->sync_step);
        if (sync == NULL || sync->action != ZDM_ACTION_SYNC_INSTALL)
            return "points at a synchronization that is none";
        if (sync->engine != step->engine)
            return "points at a synchronization of another engine";
    }
    return NULL;
}

/* ---- what a step says of its way back ---- */

/* The backfill or deletion before `before` that keeps what it overwrites in that table, NULL for none. */
static const struct zdm_step *images_of(const struct zdm_plan *plan, const struct zdm_step *before)
{
    for (uint32_t o = 1; o < before->ordinal; o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        if (step != NULL && step->inverse == ZDM_INVERSE_IMAGES && step->object != NULL &&
            strcmp(step->object, before->object) == 0)
            return step;
    }
    return NULL;
}

/* Tables of schema zdm are made and dropped by these names, so that they can be no others. */
static const char *images_fault(const struct zdm_plan *plan, const struct zdm_step *step)
{
    bool keeps = step->inverse == ZDM_INVERSE_IMAGES, drops = step->action == ZDM_ACTION_PURGE_IMAGES;
    if ((step->action == ZDM_ACTION_BACKFILL || step->action == ZDM_ACTION_DELETE) && !keeps && step->object != NULL)
        return "names a table for before-images that it does not keep";
    if (!keeps && !drops)
        return NULL;
    if (!is_derived_name(step->object, "undo_"))
        return "names no usable table for before-images";
    const struct zdm_step *earlier = images_of(plan, step);
    if (keeps)
        return earlier == NULL ? NULL : "keeps its before-images where another step does";
    if (earlier == NULL || strcmp(earlier->table.schema, step->table.schema) != 0 ||
        strcmp(earlier->table.name, step->table.name) != 0)
        return "drops before-images that no backfill before it keeps";
    return NULL;
}

static const char *inverse_fault(const struct zdm_plan *plan, const struct zdm_phase *phase,
                                 const struct zdm_step *step)
{
    if ((unsigned)step->inverse > ZDM_INVERSE_FORMER)
        return "has an unknown inverse";
    if ((row_of(step)->inverses >> step->inverse & 1) == 0)
        return "has the inverse of another action";
    if (step->inverse == ZDM_INVERSE_IMPOSSIBLE && (step->exact_inverse || !phase->destructive))
        return "cannot be undone, but its phase is not marked destructive";
    if (step->kind == ZDM_STEP_PURGE && !phase->destructive)
        return "purges, but its phase is not marked destructive";
    if (step->inverse != ZDM_INVERSE_NONE && !step->exact_inverse && !phase->destructive)
        return "is not undone exactly, but its phase is not marked destructive";
    return images_fault(plan, step);
}

const char *zdm_step_fault(const struct zdm_plan *plan, const struct zdm_phase *phase, const struct zdm_step *step)
{
    if (step->kind != action_rows[step->action].kind)
        return "is of another kind than its action";
    if ((step->kind == ZDM_STEP_PURGE) != (phase->class == ZDM_PHASE_PURGE))
        return "mixes purging with other work in one phase";
    const char *fault = engine_fault(plan, step);
    if (fault == NULL)
        fault = fields_fault(plan, step);
    if (fault == NULL)
        fault = references_fault(plan, step);
    return fault == NULL ? inverse_fault(plan, phase, step) : fault;
}

bool zdm_action_is_known(enum zdm_action action)
{
    return (size_t)action < sizeof action_rows / sizeof *action_rows && action_rows[action].kind != 0;
}
