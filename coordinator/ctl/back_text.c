/*
 * back_text.c - going back over one step, in words. See back_text.h.
 */
#include "coordinator/ctl/back_text.h"

#include <stdio.h>
#include <string.h>

#include "common/base/buffer.h"

/* "users.name", with the schema where it is not the usual one. */
static const char *column_text(char *out, size_t size, const struct zdm_table *table, const char *column)
{
    bool usual = strcmp(table->schema, "public") == 0;
    snprintf(out, size, "%s%s%s.%s", usual ? "" : table->schema, usual ? "" : ".", table->name, column);
    return out;
}

/* Do the triggers of a step in [floor, from] take the column along when they go? */
static bool is_hidden_with_sync(const struct zdm_plan *plan, const struct zdm_step *add, uint32_t floor, uint32_t from)
{
    for (uint32_t o = floor; o <= from && o <= zdm_plan_n_steps(plan); o++) {
        const struct zdm_step *sync = zdm_plan_step(plan, o);
        for (size_t i = 0; sync->action == ZDM_ACTION_SYNC_INSTALL && i < sync->derivation->n_assignments; i++)
            if (zdm_plan_adds(plan, &sync->table, sync->derivation->assignments[i].target) == add)
                return true;
    }
    return false;
}

/* "" for a step that names no table. */
static const char *table_name(const struct zdm_step *step)
{
    return step->table.name != NULL ? step->table.name : "";
}

static void sync_text(char *out, size_t size, const struct zdm_plan *plan, const struct zdm_step *step, uint32_t floor)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    char name[2 * ZDM_IDENTIFIER_MAX + 80];
    zdm_buffer_printf(&text, "triggers on %s removed", step->table.name);
    for (size_t i = 0; i < step->derivation->n_assignments; i++) {
        const char *target = step->derivation->assignments[i].target;
        const struct zdm_step *add = zdm_plan_adds(plan, &step->table, target);
        if (add != NULL && add->ordinal >= floor)
            zdm_buffer_printf(&text, ", %s hidden as ~zdm_u..., kept until zdmctl purge",
                              column_text(name, sizeof name, &step->table, target));
    }
    zdm_copy_text(out, size, zdm_buffer_text(&text));
    zdm_buffer_fini(&text);
}

void ctl_back_text(char *out, size_t size, const struct zdm_plan *plan, const struct zdm_step *step, uint32_t floor,
                   uint32_t from)
{
    char name[2 * ZDM_IDENTIFIER_MAX + 80];
    bool of_table = step->column != NULL && step->table.name != NULL;
    const char *column = of_table ? column_text(name, sizeof name, &step->table, step->column) : "";
    out[0] = '\0';
    switch (step->action) {
    case ZDM_ACTION_ADD_COLUMN:
        if (!is_hidden_with_sync(plan, step, floor, from))
            snprintf(out, size, "%s hidden as ~zdm_u..., kept until zdmctl purge", column);
        break;
    case ZDM_ACTION_ADD_CHECK:
        snprintf(out, size, "constraint %s dropped", step->object);
        break;
    case ZDM_ACTION_SET_NOT_NULL:
        snprintf(out, size, "%s may be null again", column);
        break;
    case ZDM_ACTION_CREATE_INDEX:
        snprintf(out, size, "index %s dropped", step->object);
        break;
    case ZDM_ACTION_SYNC_INSTALL:
        sync_text(out, size, plan, step, floor);
        break;
    case ZDM_ACTION_SYNC_REMOVE:
        snprintf(out, size, "triggers on %s installed again", step->table.name);
        break;
    case ZDM_ACTION_BACKFILL:
        if (step->inverse == ZDM_INVERSE_IMAGES)
            snprintf(out, size, "old values of %s written back, but for rows changed since", step->table.name);
        break;
    case ZDM_ACTION_HIDE_COLUMN:
        snprintf(out, size, "%s comes back%s", column,
                 step->exact_inverse ? step->sync_step != 0 ? ", in sync" : "" : ", as it was when it was hidden");
        break;
    case ZDM_ACTION_GATE_FLAG:
        if (step->flag != NULL)
            snprintf(out, size, "flag %s must be off", step->flag->key);
        break;
    case ZDM_ACTION_PURGE_COLUMN:
        snprintf(out, size, "stops where %s is dropped already", column);
        break;
    case ZDM_ACTION_ADD_FOREIGN_KEY:
    case ZDM_ACTION_ADD_UNIQUE:
    case ZDM_ACTION_ADD_PRIMARY_KEY:
    case ZDM_ACTION_ADD_PARTITION_CHECK:
        snprintf(out, size, "constraint %s dropped", step->object);
        break;
    case ZDM_ACTION_LIFT_CONSTRAINT:
        snprintf(out, size, "constraint %s comes back", step->object);
        break;
    case ZDM_ACTION_DROP_NOT_NULL:
        snprintf(out, size, "%s may not be null again", column);
        break;
    case ZDM_ACTION_SET_DEFAULT:
        snprintf(out, size, "%s gets its former default back", column);
        break;
    case ZDM_ACTION_SET_STORAGE:
        snprintf(out, size, "the former parameters of %s come back", of_table ? column : table_name(step));
        break;
    case ZDM_ACTION_COMMENT:
        snprintf(out, size, "the former comment of %s comes back",
                 of_table               ? column
                 : step->object != NULL ? step->object
                                        : table_name(step));
        break;
    case ZDM_ACTION_CREATE_TABLE:
        snprintf(out, size, "table %s moved out of sight, kept until zdmctl purge", step->table.name);
        break;
    case ZDM_ACTION_CREATE_TYPE:
        snprintf(out, size, "type %s moved out of sight, kept until zdmctl purge", step->object);
        break;
    case ZDM_ACTION_HIDE_TABLE:
        snprintf(out, size, "table %s comes back", step->table.name);
        break;
    case ZDM_ACTION_HIDE_INDEX:
        snprintf(out, size, "index %s stays: it was never out of use", step->object);
        break;
    case ZDM_ACTION_ATTACH_PARTITION:
    case ZDM_ACTION_DETACH_PARTITION:
        snprintf(out, size, "partition %s %s %s", step->n_others > 0 ? step->others[0].name : "",
                 step->action == ZDM_ACTION_ATTACH_PARTITION ? "detached from" : "attached to", step->table.name);
        break;
    case ZDM_ACTION_DELETE:
        if (step->inverse == ZDM_INVERSE_IMAGES)
            snprintf(out, size, "deleted rows of %s put back, but where their key is taken", step->table.name);
        else
            snprintf(out, size, "deleted rows of %s stay deleted", step->table.name);
        break;
    case ZDM_ACTION_AS_IS:
        if (step->inverse == ZDM_INVERSE_SQL)
            snprintf(out, size, "the runbook's own rollback is run: %.80s%s", step->inverse_sql,
                     strlen(step->inverse_sql) > 80 ? " ..." : "");
        else
            snprintf(out, size, "the as-is statement cannot be taken back");
        break;
    case ZDM_ACTION_PURGE_TABLE:
        snprintf(out, size, "stops where table %s is dropped already", table_name(step));
        break;
    case ZDM_ACTION_PURGE_INDEX:
        snprintf(out, size, "stops where index %s is dropped already", step->object);
        break;
    case ZDM_ACTION_WIDEN_TYPE:
        snprintf(out, size, "%s keeps its wider type", column);
        break;
    case ZDM_ACTION_ADD_VALUE:
        snprintf(out, size, "the new value of type %s stays, unused", step->object);
        break;
    case ZDM_ACTION_DROP_CONSTRAINT:
    case ZDM_ACTION_VALIDATE:
    case ZDM_ACTION_CHECK_QUERY:
    case ZDM_ACTION_CHECK_COMPARE:
    case ZDM_ACTION_PURGE_IMAGES:
    case ZDM_ACTION_REINDEX:
    case ZDM_ACTION_GATE_WAIT:
        break;
    }
}

/* What a step is about, in one word or two: an as-is statement may name no table at all. */
const char *ctl_subject_text(char *out, size_t size, const struct zdm_step *step)
{
    if (step->action == ZDM_ACTION_AS_IS)
        snprintf(out, size, "the as-is statement%s%s", step->table.name != NULL ? " on " : "", table_name(step));
    else if (step->column != NULL && step->table.name != NULL)
        column_text(out, size, &step->table, step->column);
    else if (step->table.name != NULL)
        snprintf(out, size, "%s", step->table.name);
    else
        snprintf(out, size, "%s", step->object != NULL ? step->object : "it");
    return out;
}

const char *ctl_inexact_text(const struct zdm_step *step)
{
    if (step->exact_inverse)
        return NULL;
    if (step->action == ZDM_ACTION_HIDE_COLUMN)
        return "comes back as it was; rows written since have no value in it";
    if (step->action == ZDM_ACTION_DELETE)
        return step->inverse == ZDM_INVERSE_IMAGES ? "gets its rows back, but where their key is taken"
                                                   : "loses its rows for good";
    if (step->action == ZDM_ACTION_AS_IS)
        return step->inverse == ZDM_INVERSE_SQL ? "is taken back by what the runbook says, which nobody can prove"
                                                : "cannot be taken back";
    if (step->action == ZDM_ACTION_WIDEN_TYPE || step->action == ZDM_ACTION_ADD_VALUE)
        return "stays as the migration made it";
    if (step->kind == ZDM_STEP_PURGE)
        return "is dropped for good";
    if (step->action == ZDM_ACTION_BACKFILL)
        return "is overwritten, and the old values are not kept";
    return "cannot be taken back exactly";
}
