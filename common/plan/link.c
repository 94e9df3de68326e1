/*
 * link.c - which later step ends the asking for a step's proof. See zdm_plan_link in plan.h.
 *
 * What a step did is looked at again after every restart, for as long as it can still be seen: triggers no longer once
 * a later step has removed them, a hidden name no longer once it was purged. It follows from the plan and stands in no
 * plan, so that a phase that is written anew later changes no byte of the phases before it.
 */
#include "common/plan/plan.h"

#include <string.h>

/* What both steps must have in common. Texts that both lack are the same. */
enum match {
    SYNC = 1,   /* the earlier one is the sync that the later one names, or names the same one */
    SCHEMA = 2, /* of the table; MySQL, where an index belongs to a table: the table */
    TABLE = 4,  /* schema and name, and there is a name */
    COLUMN = 8,
    OBJECT = 16,
    OTHER = 32, /* the first of the other tables */
    MYSQL = 64, /* both are of MySQL */
    READS = 128 /* the earlier one has no sync, and its derivation reads or fills the column of the later one */
};

#define ANY ((enum zdm_action)0)

/* A CREATE INDEX is asked for although a constraint uses the index since: who loses both gets both again. An index that
 * is only watched before it goes is still there. */
static const struct rule {
    enum zdm_action earlier, later; /* earlier ANY: whichever */
    unsigned match;
} rules[] = {
    {ZDM_ACTION_SYNC_INSTALL, ZDM_ACTION_SYNC_REMOVE, SYNC},
    {ZDM_ACTION_SYNC_INSTALL, ZDM_ACTION_HIDE_COLUMN, SYNC},
    {ZDM_ACTION_CHECK_COMPARE, ZDM_ACTION_SYNC_REMOVE, SYNC},
    {ZDM_ACTION_CHECK_COMPARE, ZDM_ACTION_HIDE_COLUMN, SYNC},
    {ZDM_ACTION_CHECK_COMPARE, ZDM_ACTION_HIDE_COLUMN, TABLE | READS},

    {ZDM_ACTION_ADD_COLUMN, ZDM_ACTION_HIDE_COLUMN, TABLE | COLUMN},
    {ZDM_ACTION_SHOW_COLUMN, ZDM_ACTION_HIDE_COLUMN, TABLE | COLUMN},
    {ZDM_ACTION_SET_NOT_NULL, ZDM_ACTION_HIDE_COLUMN, TABLE | COLUMN},
    {ZDM_ACTION_SET_NOT_NULL, ZDM_ACTION_DROP_NOT_NULL, TABLE | COLUMN},
    {ZDM_ACTION_DROP_NOT_NULL, ZDM_ACTION_SET_NOT_NULL, TABLE | COLUMN},
    {ZDM_ACTION_DROP_NOT_NULL, ZDM_ACTION_HIDE_COLUMN, TABLE | COLUMN},
    {ZDM_ACTION_SET_DEFAULT, ZDM_ACTION_SET_DEFAULT, TABLE | COLUMN},
    {ZDM_ACTION_SET_DEFAULT, ZDM_ACTION_HIDE_COLUMN, TABLE | COLUMN},
    {ZDM_ACTION_WIDEN_TYPE, ZDM_ACTION_WIDEN_TYPE, TABLE | COLUMN},
    {ZDM_ACTION_WIDEN_TYPE, ZDM_ACTION_HIDE_COLUMN, TABLE | COLUMN},
    {ZDM_ACTION_SET_STORAGE, ZDM_ACTION_SET_STORAGE, TABLE | COLUMN},
    {ZDM_ACTION_SET_STORAGE, ZDM_ACTION_HIDE_COLUMN, TABLE | COLUMN},
    {ZDM_ACTION_HIDE_COLUMN, ZDM_ACTION_PURGE_COLUMN, TABLE | COLUMN | OBJECT},

    /* A MODIFY says all that a column is. */
    {ZDM_ACTION_SET_DEFAULT, ZDM_ACTION_WIDEN_TYPE, MYSQL | TABLE | COLUMN},
    {ZDM_ACTION_SET_DEFAULT, ZDM_ACTION_SET_NOT_NULL, MYSQL | TABLE | COLUMN},
    {ZDM_ACTION_SET_DEFAULT, ZDM_ACTION_DROP_NOT_NULL, MYSQL | TABLE | COLUMN},
    {ZDM_ACTION_WIDEN_TYPE, ZDM_ACTION_SET_DEFAULT, MYSQL | TABLE | COLUMN},
    {ZDM_ACTION_WIDEN_TYPE, ZDM_ACTION_SET_NOT_NULL, MYSQL | TABLE | COLUMN},
    {ZDM_ACTION_WIDEN_TYPE, ZDM_ACTION_DROP_NOT_NULL, MYSQL | TABLE | COLUMN},
    {ZDM_ACTION_SET_NOT_NULL, ZDM_ACTION_SET_DEFAULT, MYSQL | TABLE | COLUMN},
    {ZDM_ACTION_SET_NOT_NULL, ZDM_ACTION_WIDEN_TYPE, MYSQL | TABLE | COLUMN},
    {ZDM_ACTION_DROP_NOT_NULL, ZDM_ACTION_SET_DEFAULT, MYSQL | TABLE | COLUMN},
    {ZDM_ACTION_DROP_NOT_NULL, ZDM_ACTION_WIDEN_TYPE, MYSQL | TABLE | COLUMN},

    {ZDM_ACTION_ADD_CHECK, ZDM_ACTION_DROP_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_ADD_CHECK, ZDM_ACTION_LIFT_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_ADD_PARTITION_CHECK, ZDM_ACTION_DROP_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_ADD_FOREIGN_KEY, ZDM_ACTION_LIFT_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_ADD_UNIQUE, ZDM_ACTION_LIFT_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_ADD_PRIMARY_KEY, ZDM_ACTION_LIFT_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_VALIDATE, ZDM_ACTION_DROP_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_VALIDATE, ZDM_ACTION_LIFT_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_DROP_CONSTRAINT, ZDM_ACTION_ADD_CHECK, TABLE | OBJECT},
    {ZDM_ACTION_DROP_CONSTRAINT, ZDM_ACTION_ADD_PARTITION_CHECK, TABLE | OBJECT},
    {ZDM_ACTION_LIFT_CONSTRAINT, ZDM_ACTION_ADD_CHECK, TABLE | OBJECT},
    {ZDM_ACTION_LIFT_CONSTRAINT, ZDM_ACTION_ADD_FOREIGN_KEY, TABLE | OBJECT},
    {ZDM_ACTION_LIFT_CONSTRAINT, ZDM_ACTION_ADD_UNIQUE, TABLE | OBJECT},
    {ZDM_ACTION_LIFT_CONSTRAINT, ZDM_ACTION_ADD_PRIMARY_KEY, TABLE | OBJECT},

    {ZDM_ACTION_CREATE_INDEX, ZDM_ACTION_LIFT_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_CREATE_INDEX, ZDM_ACTION_PURGE_INDEX, SCHEMA | OBJECT},
    {ZDM_ACTION_HIDE_INDEX, ZDM_ACTION_PURGE_INDEX, SCHEMA | OBJECT},
    {ZDM_ACTION_REINDEX, ZDM_ACTION_PURGE_INDEX, SCHEMA | OBJECT},
    {ZDM_ACTION_REINDEX, ZDM_ACTION_LIFT_CONSTRAINT, SCHEMA | OBJECT},

    {ZDM_ACTION_COMMENT, ZDM_ACTION_COMMENT, TABLE | COLUMN | OBJECT},
    {ZDM_ACTION_COMMENT, ZDM_ACTION_HIDE_COLUMN, TABLE | COLUMN},
    {ZDM_ACTION_COMMENT, ZDM_ACTION_LIFT_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_COMMENT, ZDM_ACTION_PURGE_INDEX, SCHEMA | OBJECT},

    {ZDM_ACTION_ATTACH_PARTITION, ZDM_ACTION_DETACH_PARTITION, TABLE | OTHER},
    {ZDM_ACTION_DETACH_PARTITION, ZDM_ACTION_ATTACH_PARTITION, TABLE | OTHER},

    /* The one that comes later says what is to be seen of the table since. */
    {ZDM_ACTION_AS_IS, ZDM_ACTION_AS_IS, TABLE},
    {ZDM_ACTION_HIDE_TABLE, ZDM_ACTION_PURGE_TABLE, TABLE | OBJECT},
    {ANY, ZDM_ACTION_HIDE_TABLE, TABLE},
};

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_table(const struct zdm_table *a, const struct zdm_table *b)
{
    return a->name != NULL && same_text(a->schema, b->schema) && same_text(a->name, b->name);
}

static bool same_other(const struct zdm_step *a, const struct zdm_step *b)
{
    return a->n_others > 0 && b->n_others > 0 && same_table(&a->others[0], &b->others[0]);
}

static bool same_sync(const struct zdm_step *earlier, const struct zdm_step *later)
{
    return later->sync_step != 0 && (later->sync_step == earlier->ordinal || later->sync_step == earlier->sync_step);
}

static bool reads(const struct zdm_step *step, const char *column)
{
    const struct zdm_derivation *d = step->derivation;
    bool any = false;
    if (step->sync_step != 0 || d == NULL || column == NULL)
        return false;
    for (size_t i = 0; i < d->n_sources; i++)
        any = any || strcmp(d->sources[i], column) == 0;
    for (size_t i = 0; i < d->n_assignments; i++)
        any = any || strcmp(d->assignments[i].target, column) == 0;
    return any;
}

static bool matches(unsigned match, const struct zdm_step *earlier, const struct zdm_step *later)
{
    bool mysql = later->engine == ZDM_ENGINE_MYSQL;
    if (mysql && (match & SCHEMA) != 0)
        match |= TABLE;
    return ((match & MYSQL) == 0 || mysql) && ((match & SYNC) == 0 || same_sync(earlier, later)) &&
           ((match & SCHEMA) == 0 || same_text(earlier->table.schema, later->table.schema)) &&
           ((match & TABLE) == 0 || same_table(&earlier->table, &later->table)) &&
           ((match & COLUMN) == 0 || same_text(earlier->column, later->column)) &&
           ((match & OBJECT) == 0 || same_text(earlier->object, later->object)) &&
           ((match & OTHER) == 0 || same_other(earlier, later)) &&
           ((match & READS) == 0 || reads(earlier, later->column));
}

/* Both of one engine, as far as the later one says one: a step of the other one is never done here. */
static bool ends(const struct zdm_step *earlier, const struct zdm_step *later)
{
    if (later->engine != ZDM_ENGINE_ANY && earlier->engine != later->engine)
        return false;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].later == later->action && (rules[i].earlier == ANY || rules[i].earlier == earlier->action) &&
            matches(rules[i].match, earlier, later))
            return true;
    return false;
}

static uint32_t end_of(const struct zdm_plan *plan, const struct zdm_step *earlier)
{
    for (size_t i = 0; i < plan->n_phases; i++)
        for (size_t j = 0; j < plan->phases[i].n_steps; j++) {
            const struct zdm_step *later = &plan->phases[i].steps[j];
            if (later->ordinal > earlier->ordinal && ends(earlier, later))
                return later->ordinal;
        }
    return 0;
}

void zdm_plan_link(struct zdm_plan *plan)
{
    for (size_t i = 0; i < plan->n_phases; i++)
        for (size_t j = 0; j < plan->phases[i].n_steps; j++) {
            struct zdm_step *step = &plan->phases[i].steps[j];
            step->superseded_by = end_of(plan, step);
        }
}
