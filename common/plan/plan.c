/*
 * plan.c - life, look-ups and names of a plan. See plan.h; what makes a plan whole is in plan_validate.c.
 */
#include "common/plan/plan.h"

#include <stdlib.h>
#include <string.h>

#include "common/plan/names.h"

static void table_fini(struct zdm_table *table)
{
    free(table->schema);
    free(table->name);
}

static void texts_free(char **texts, size_t n)
{
    for (size_t i = 0; texts != NULL && i < n; i++)
        free(texts[i]);
    free(texts);
}

void zdm_derivation_free(struct zdm_derivation *derivation)
{
    if (derivation == NULL)
        return;
    for (size_t i = 0; derivation->assignments != NULL && i < derivation->n_assignments; i++) {
        struct zdm_assignment *assignment = &derivation->assignments[i];
        free(assignment->target);
        free(assignment->expr);
        free(assignment->expr_new);
        free(assignment->copy_of);
        free(assignment->initial);
    }
    free(derivation->assignments);
    texts_free(derivation->sources, derivation->n_sources);
    free(derivation->guard);
    free(derivation->filter);
    free(derivation->filter_new);
    free(derivation->filter_old);
    free(derivation);
}

static void flag_free(struct zdm_flag *flag)
{
    if (flag == NULL)
        return;
    free(flag->key);
    texts_free(flag->rollout, flag->n_rollout);
    free(flag);
}

void zdm_wait_gate_free(struct zdm_wait_gate *wait)
{
    if (wait == NULL)
        return;
    free(wait->until);
    free(wait);
}

void zdm_step_fini(struct zdm_step *step)
{
    if (step == NULL)
        return;
    table_fini(&step->table);
    free(step->column);
    free(step->object);
    free(step->sql);
    zdm_derivation_free(step->derivation);
    flag_free(step->flag);
    free(step->inverse_sql);
    for (size_t i = 0; step->others != NULL && i < step->n_others; i++)
        table_fini(&step->others[i]);
    free(step->others);
    free(step->proof_sql);
    zdm_wait_gate_free(step->wait);
    *step = (struct zdm_step){.ordinal = 0};
}

static void phase_fini(struct zdm_phase *phase)
{
    for (size_t i = 0; phase->steps != NULL && i < phase->n_steps; i++)
        zdm_step_fini(&phase->steps[i]);
    free(phase->steps);
}

static void plan_free(struct zdm_plan *plan)
{
    for (size_t i = 0; plan->waves != NULL && i < plan->n_waves; i++)
        free(plan->waves[i].selector);
    for (size_t i = 0; plan->tables != NULL && i < plan->n_tables; i++)
        table_fini(&plan->tables[i]);
    for (size_t i = 0; plan->phases != NULL && i < plan->n_phases; i++)
        phase_fini(&plan->phases[i]);
    free(plan->selector);
    free(plan->waves);
    free(plan->tables);
    free(plan->phases);
    free(plan);
}

struct zdm_plan *zdm_plan_new(void)
{
    struct zdm_plan *plan = calloc(1, sizeof *plan);
    if (plan != NULL)
        plan->refs = 1;
    return plan;
}

struct zdm_plan *zdm_plan_ref(struct zdm_plan *plan)
{
    if (plan != NULL)
        __atomic_fetch_add(&plan->refs, 1, __ATOMIC_RELAXED);
    return plan;
}

void zdm_plan_unref(struct zdm_plan *plan)
{
    /* Release what this holder did, acquire what the others did before the last one frees. */
    if (plan != NULL && __atomic_sub_fetch(&plan->refs, 1, __ATOMIC_ACQ_REL) == 0)
        plan_free(plan);
}

void zdm_plan_unrefp(struct zdm_plan **plan)
{
    zdm_plan_unref(*plan);
    *plan = NULL;
}

const struct zdm_phase *zdm_plan_phase(const struct zdm_plan *plan, uint32_t number)
{
    return number >= 1 && number <= plan->n_phases ? &plan->phases[number - 1] : NULL;
}

/* Ordinals run over the whole plan: phase by phase, the number of steps is taken off until it falls inside. */
static const struct zdm_step *find_step(const struct zdm_plan *plan, uint32_t ordinal, uint32_t *out_phase)
{
    size_t left = ordinal;
    for (size_t i = 0; ordinal != 0 && i < plan->n_phases; i++) {
        const struct zdm_phase *phase = &plan->phases[i];
        if (left <= phase->n_steps) {
            *out_phase = (uint32_t)i + 1;
            return &phase->steps[left - 1];
        }
        left -= phase->n_steps;
    }
    return NULL;
}

const struct zdm_step *zdm_plan_step(const struct zdm_plan *plan, uint32_t ordinal)
{
    uint32_t phase;
    return find_step(plan, ordinal, &phase);
}

uint32_t zdm_plan_phase_of(const struct zdm_plan *plan, uint32_t ordinal)
{
    uint32_t phase = 0;
    return find_step(plan, ordinal, &phase) != NULL ? phase : 0;
}

uint32_t zdm_plan_n_steps(const struct zdm_plan *plan)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->n_phases; i++)
        n += plan->phases[i].n_steps;
    return (uint32_t)n;
}

uint32_t zdm_plan_last_phase(const struct zdm_plan *plan)
{
    return (uint32_t)plan->n_phases;
}

const char *zdm_table_dot(const struct zdm_table *table)
{
    return table->schema != NULL && table->schema[0] != '\0' ? "." : "";
}

bool zdm_step_is_for(const struct zdm_step *step, enum zdm_engine engine)
{
    return step->engine == ZDM_ENGINE_ANY || step->engine == engine;
}

unsigned zdm_plan_engines(const struct zdm_plan *plan)
{
    return plan->engines == 0 ? (unsigned)ZDM_ENGINE_POSTGRESQL : plan->engines;
}

bool zdm_plan_is_for(const struct zdm_plan *plan, enum zdm_engine engine)
{
    return (zdm_plan_engines(plan) & (unsigned)engine) != 0;
}

const struct zdm_step *zdm_plan_shows(const struct zdm_plan *plan, const struct zdm_step *add)
{
    for (uint32_t o = add->ordinal + 1; o <= zdm_plan_n_steps(plan); o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        if (step->action == ZDM_ACTION_SHOW_COLUMN && strcmp(step->table.schema, add->table.schema) == 0 &&
            strcmp(step->table.name, add->table.name) == 0 && strcmp(step->column, add->column) == 0)
            return step;
    }
    return NULL;
}

const struct zdm_table *zdm_plan_common_table(const struct zdm_plan *a, const struct zdm_plan *b)
{
    for (size_t i = 0; i < a->n_tables; i++)
        for (size_t j = 0; j < b->n_tables; j++)
            if (strcmp(a->tables[i].schema, b->tables[j].schema) == 0 &&
                strcmp(a->tables[i].name, b->tables[j].name) == 0)
                return &a->tables[i];
    return NULL;
}

const char *zdm_phase_class_name(enum zdm_phase_class class)
{
    static const char *const names[] = {
        [ZDM_PHASE_EXPAND] = "expand",     [ZDM_PHASE_MIGRATE] = "migrate", [ZDM_PHASE_SWITCH] = "switch",
        [ZDM_PHASE_CONTRACT] = "contract", [ZDM_PHASE_PURGE] = "purge",
    };
    return ZDM_NAME_IN(names, class);
}

const char *zdm_step_kind_name(enum zdm_step_kind kind)
{
    static const char *const names[] = {
        [ZDM_STEP_DDL] = "ddl",   [ZDM_STEP_INDEX] = "index",       [ZDM_STEP_VALIDATE] = "validate",
        [ZDM_STEP_SYNC] = "sync", [ZDM_STEP_BACKFILL] = "backfill", [ZDM_STEP_CHECK] = "check",
        [ZDM_STEP_HIDE] = "hide", [ZDM_STEP_REBUILD] = "rebuild",   [ZDM_STEP_PURGE] = "purge",
        [ZDM_STEP_GATE] = "gate",
    };
    return ZDM_NAME_IN(names, kind);
}

const char *zdm_action_name(enum zdm_action action)
{
    static const char *const names[] = {
        [ZDM_ACTION_ADD_COLUMN] = "add-column",
        [ZDM_ACTION_ADD_CHECK] = "add-check",
        [ZDM_ACTION_SET_NOT_NULL] = "set-not-null",
        [ZDM_ACTION_DROP_CONSTRAINT] = "drop-constraint",
        [ZDM_ACTION_VALIDATE] = "validate",
        [ZDM_ACTION_CREATE_INDEX] = "create-index",
        [ZDM_ACTION_SYNC_INSTALL] = "sync-install",
        [ZDM_ACTION_SYNC_REMOVE] = "sync-remove",
        [ZDM_ACTION_BACKFILL] = "backfill",
        [ZDM_ACTION_CHECK_QUERY] = "check-query",
        [ZDM_ACTION_CHECK_COMPARE] = "check-compare",
        [ZDM_ACTION_HIDE_COLUMN] = "hide-column",
        [ZDM_ACTION_PURGE_COLUMN] = "purge-column",
        [ZDM_ACTION_GATE_FLAG] = "gate-flag",
        [ZDM_ACTION_PURGE_IMAGES] = "purge-images",
        [ZDM_ACTION_ADD_FOREIGN_KEY] = "add-foreign-key",
        [ZDM_ACTION_ADD_UNIQUE] = "add-unique",
        [ZDM_ACTION_ADD_PRIMARY_KEY] = "add-primary-key",
        [ZDM_ACTION_LIFT_CONSTRAINT] = "lift-constraint",
        [ZDM_ACTION_DROP_NOT_NULL] = "drop-not-null",
        [ZDM_ACTION_SET_DEFAULT] = "set-default",
        [ZDM_ACTION_SET_STORAGE] = "set-storage",
        [ZDM_ACTION_COMMENT] = "comment",
        [ZDM_ACTION_WIDEN_TYPE] = "widen-type",
        [ZDM_ACTION_CREATE_TABLE] = "create-table",
        [ZDM_ACTION_CREATE_TYPE] = "create-type",
        [ZDM_ACTION_ADD_VALUE] = "add-value",
        [ZDM_ACTION_HIDE_TABLE] = "hide-table",
        [ZDM_ACTION_PURGE_TABLE] = "purge-table",
        [ZDM_ACTION_HIDE_INDEX] = "hide-index",
        [ZDM_ACTION_PURGE_INDEX] = "purge-index",
        [ZDM_ACTION_REINDEX] = "reindex",
        [ZDM_ACTION_ADD_PARTITION_CHECK] = "add-partition-check",
        [ZDM_ACTION_ATTACH_PARTITION] = "attach-partition",
        [ZDM_ACTION_DETACH_PARTITION] = "detach-partition",
        [ZDM_ACTION_DELETE] = "delete",
        [ZDM_ACTION_AS_IS] = "as-is",
        [ZDM_ACTION_GATE_WAIT] = "gate-wait",
        [ZDM_ACTION_SHOW_COLUMN] = "show-column",
    };
    return ZDM_NAME_IN(names, action);
}

const char *zdm_engine_name(enum zdm_engine engine)
{
    static const char *const names[] = {
        [ZDM_ENGINE_ANY] = "any", [ZDM_ENGINE_POSTGRESQL] = "postgresql", [ZDM_ENGINE_MYSQL] = "mysql"};
    return ZDM_NAME_IN(names, engine);
}

const char *zdm_lock_class_name(enum zdm_lock_class lock)
{
    static const char *const names[] = {[ZDM_LOCK_NONE] = "none", [ZDM_LOCK_SHORT] = "short", [ZDM_LOCK_LONG] = "long"};
    return ZDM_NAME_IN(names, lock);
}

const char *zdm_inverse_name(enum zdm_inverse_kind kind)
{
    static const char *const names[] = {
        [ZDM_INVERSE_NONE] = "none",     [ZDM_INVERSE_HIDE] = "hide",
        [ZDM_INVERSE_UNHIDE] = "unhide", [ZDM_INVERSE_SQL] = "sql",
        [ZDM_INVERSE_REMOVE] = "remove", [ZDM_INVERSE_INSTALL] = "install",
        [ZDM_INVERSE_IMAGES] = "images", [ZDM_INVERSE_IMPOSSIBLE] = "impossible",
        [ZDM_INVERSE_FORMER] = "former",
    };
    return ZDM_NAME_IN(names, kind);
}

const char *zdm_table_lock_name(enum zdm_table_lock lock)
{
    static const char *const names[] = {
        [ZDM_TABLE_LOCK_NONE] = "none",
        [ZDM_TABLE_LOCK_ACCESS_SHARE] = "ACCESS SHARE",
        [ZDM_TABLE_LOCK_ROW_SHARE] = "ROW SHARE",
        [ZDM_TABLE_LOCK_ROW_EXCLUSIVE] = "ROW EXCLUSIVE",
        [ZDM_TABLE_LOCK_SHARE_UPDATE_EXCLUSIVE] = "SHARE UPDATE EXCLUSIVE",
        [ZDM_TABLE_LOCK_SHARE] = "SHARE",
        [ZDM_TABLE_LOCK_SHARE_ROW_EXCLUSIVE] = "SHARE ROW EXCLUSIVE",
        [ZDM_TABLE_LOCK_EXCLUSIVE] = "EXCLUSIVE",
        [ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE] = "ACCESS EXCLUSIVE",
        [ZDM_TABLE_LOCK_METADATA] = "METADATA",
        [ZDM_TABLE_LOCK_METADATA_SHARED] = "METADATA, shared",
    };
    return ZDM_NAME_IN(names, lock);
}

enum zdm_table_lock zdm_action_table_lock(enum zdm_action action)
{
    static const enum zdm_table_lock locks[] = {
        [ZDM_ACTION_ADD_COLUMN] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_ADD_CHECK] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_SET_NOT_NULL] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_DROP_CONSTRAINT] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_VALIDATE] = ZDM_TABLE_LOCK_SHARE_UPDATE_EXCLUSIVE,
        [ZDM_ACTION_CREATE_INDEX] = ZDM_TABLE_LOCK_SHARE_UPDATE_EXCLUSIVE,
        [ZDM_ACTION_SYNC_INSTALL] = ZDM_TABLE_LOCK_SHARE_ROW_EXCLUSIVE,
        [ZDM_ACTION_SYNC_REMOVE] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_BACKFILL] = ZDM_TABLE_LOCK_ROW_EXCLUSIVE,
        [ZDM_ACTION_CHECK_QUERY] = ZDM_TABLE_LOCK_ACCESS_SHARE,
        [ZDM_ACTION_CHECK_COMPARE] = ZDM_TABLE_LOCK_ACCESS_SHARE,
        [ZDM_ACTION_HIDE_COLUMN] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_PURGE_COLUMN] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_GATE_FLAG] = ZDM_TABLE_LOCK_NONE,
        [ZDM_ACTION_PURGE_IMAGES] = ZDM_TABLE_LOCK_NONE,
        [ZDM_ACTION_ADD_FOREIGN_KEY] = ZDM_TABLE_LOCK_SHARE_ROW_EXCLUSIVE,
        [ZDM_ACTION_ADD_UNIQUE] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_ADD_PRIMARY_KEY] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_LIFT_CONSTRAINT] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_DROP_NOT_NULL] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_SET_DEFAULT] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_SET_STORAGE] = ZDM_TABLE_LOCK_SHARE_UPDATE_EXCLUSIVE,
        [ZDM_ACTION_COMMENT] = ZDM_TABLE_LOCK_SHARE_UPDATE_EXCLUSIVE,
        [ZDM_ACTION_WIDEN_TYPE] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_CREATE_TABLE] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_CREATE_TYPE] = ZDM_TABLE_LOCK_NONE,
        [ZDM_ACTION_ADD_VALUE] = ZDM_TABLE_LOCK_NONE,
        [ZDM_ACTION_HIDE_TABLE] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_PURGE_TABLE] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_HIDE_INDEX] = ZDM_TABLE_LOCK_NONE,
        [ZDM_ACTION_PURGE_INDEX] = ZDM_TABLE_LOCK_SHARE_UPDATE_EXCLUSIVE,
        [ZDM_ACTION_REINDEX] = ZDM_TABLE_LOCK_SHARE_UPDATE_EXCLUSIVE,
        [ZDM_ACTION_ADD_PARTITION_CHECK] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_ATTACH_PARTITION] = ZDM_TABLE_LOCK_SHARE_UPDATE_EXCLUSIVE,
        [ZDM_ACTION_DETACH_PARTITION] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_DELETE] = ZDM_TABLE_LOCK_ROW_EXCLUSIVE,
        [ZDM_ACTION_AS_IS] = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
        [ZDM_ACTION_GATE_WAIT] = ZDM_TABLE_LOCK_NONE,
    };
    return (size_t)action < sizeof locks / sizeof *locks ? locks[action] : ZDM_TABLE_LOCK_NONE;
}

enum zdm_table_lock zdm_step_table_lock(const struct zdm_step *step)
{
    bool changes = step->kind == ZDM_STEP_DDL || step->kind == ZDM_STEP_INDEX || step->kind == ZDM_STEP_SYNC ||
                   step->kind == ZDM_STEP_HIDE || step->kind == ZDM_STEP_PURGE;
    if (step->engine != ZDM_ENGINE_MYSQL)
        return zdm_action_table_lock(step->action);
    if (step->kind == ZDM_STEP_GATE || step->action == ZDM_ACTION_PURGE_IMAGES)
        return ZDM_TABLE_LOCK_NONE;
    return changes ? ZDM_TABLE_LOCK_METADATA : ZDM_TABLE_LOCK_METADATA_SHARED;
}
