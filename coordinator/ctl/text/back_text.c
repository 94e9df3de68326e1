/*
 * back_text.c - going back over one step, in words. See back_text.h.
 *
 * A table says for each action what its way back does and what it leaves. Words stand in it with marks: %c the column,
 * %t the table, %o the object, %v the value, %p the partition, %f the flag, %s what the step is about, %q the start of
 * the inverse's SQL.
 */
#include "coordinator/ctl/text/back_text.h"

#include <stdio.h>
#include <string.h>

#include "common/base/buffer.h"

enum { NAME_SIZE = 2 * ZDM_IDENTIFIER_MAX + 80, SQL_SHOWN = 80 };

/* ---- What a step is about ---- */

/* "users.name", with the schema where it is not the usual one. */
static const char *column_text(char *out, size_t size, const struct zdm_table *table, const char *column)
{
    bool usual = strcmp(table->schema, "public") == 0;
    snprintf(out, size, "%s%s%s.%s", usual ? "" : table->schema, usual ? "" : zdm_table_dot(table), table->name,
             column);
    return out;
}

static const char *text_of(const char *text)
{
    return text != NULL ? text : "";
}

const char *ctl_subject_text(char *out, size_t size, const struct zdm_step *step)
{
    if (step->action == ZDM_ACTION_AS_IS)
        snprintf(out, size, "the as-is statement%s%s", step->table.name != NULL ? " on " : "",
                 text_of(step->table.name));
    else if (step->action == ZDM_ACTION_PURGE_IMAGES)
        snprintf(out, size, "what was kept of %s for the way back", text_of(step->table.name));
    else if (step->column != NULL && step->table.name != NULL)
        column_text(out, size, &step->table, step->column);
    else if (step->object != NULL && (step->table.name == NULL || step->action == ZDM_ACTION_COMMENT))
        snprintf(out, size, "%s", step->object);
    else
        snprintf(out, size, "%s", step->table.name != NULL ? step->table.name : "it");
    return out;
}

/* ---- The rules ---- */

static bool keeps_images(const struct zdm_step *step)
{
    return step->inverse == ZDM_INVERSE_IMAGES;
}

static bool cannot(const struct zdm_step *step)
{
    return step->inverse == ZDM_INVERSE_IMPOSSIBLE;
}

static bool is_mysql(const struct zdm_step *step)
{
    return step->engine == ZDM_ENGINE_MYSQL;
}

static bool is_exact(const struct zdm_step *step)
{
    return step->exact_inverse;
}

static bool is_exact_in_sync(const struct zdm_step *step)
{
    return step->exact_inverse && step->sync_step != 0;
}

/* The first row that fits. back: what is done; inexact: why that is not exact, where the step says that it is not;
 * stays: what remains, where it says that it is. NULL: nothing. */
static const struct rule {
    enum zdm_action action;
    bool (*when)(const struct zdm_step *step);
    const char *back, *inexact, *stays;
} rules[] = {
    {ZDM_ACTION_ADD_COLUMN, is_mysql, "%c hidden as zdm_u..., kept until zdmctl purge", NULL, NULL},
    {ZDM_ACTION_SHOW_COLUMN, NULL, "%c made invisible again", NULL, NULL},
    {ZDM_ACTION_ADD_COLUMN, NULL, "%c hidden as ~zdm_u..., kept until zdmctl purge", NULL, NULL},
    {ZDM_ACTION_ADD_CHECK, NULL, "constraint %o dropped", NULL, NULL},
    {ZDM_ACTION_SET_NOT_NULL, is_mysql, "%c gets its former definition back", NULL, NULL},
    {ZDM_ACTION_SET_NOT_NULL, NULL, "%c may be null again", NULL, NULL},
    {ZDM_ACTION_DROP_CONSTRAINT, NULL, NULL, NULL, NULL}, /* one that the plan itself added */
    {ZDM_ACTION_VALIDATE, is_mysql, NULL, NULL, NULL},    /* it only read */
    {ZDM_ACTION_VALIDATE, NULL, NULL, NULL, "constraint %o of %t stays validated"},
    {ZDM_ACTION_CREATE_INDEX, NULL, "index %o dropped", NULL, NULL},
    {ZDM_ACTION_SYNC_INSTALL, NULL, "triggers on %t removed",
     "has triggers that write over what the application puts there, and that is not kept", NULL},
    {ZDM_ACTION_SYNC_REMOVE, NULL, "triggers on %t installed again", NULL, NULL},
    {ZDM_ACTION_BACKFILL, keeps_images, "old values of %t written back", NULL,
     "rows of %t that were changed since keep what they hold"},
    {ZDM_ACTION_BACKFILL, NULL, NULL, "is overwritten, and the old values are not kept", NULL},
    {ZDM_ACTION_CHECK_QUERY, NULL, NULL, NULL, NULL},
    {ZDM_ACTION_CHECK_COMPARE, NULL, NULL, NULL, NULL},
    {ZDM_ACTION_HIDE_COLUMN, is_exact_in_sync, "%c comes back, in sync", NULL, NULL},
    {ZDM_ACTION_HIDE_COLUMN, is_exact, "%c comes back", NULL, NULL},
    {ZDM_ACTION_HIDE_COLUMN, NULL, "%c comes back, as it was when it was hidden",
     "comes back as it was; rows written since have no value in it", NULL},
    {ZDM_ACTION_PURGE_COLUMN, NULL, "stops where %c is dropped already", "is dropped for good", NULL},
    {ZDM_ACTION_GATE_FLAG, NULL, "flag %f must be off", NULL, NULL},
    {ZDM_ACTION_PURGE_IMAGES, NULL, "stops where %s is dropped already", "is dropped for good", NULL},

    {ZDM_ACTION_ADD_FOREIGN_KEY, NULL, "constraint %o dropped", NULL, NULL},
    {ZDM_ACTION_ADD_UNIQUE, NULL, "constraint %o dropped", NULL, NULL},
    {ZDM_ACTION_ADD_PRIMARY_KEY, NULL, "constraint %o dropped", NULL, NULL},
    {ZDM_ACTION_LIFT_CONSTRAINT, NULL, "constraint %o comes back", NULL, NULL},
    {ZDM_ACTION_DROP_NOT_NULL, is_mysql, "%c gets its former definition back", NULL, NULL},
    {ZDM_ACTION_DROP_NOT_NULL, NULL, "%c may not be null again", NULL, NULL},

    {ZDM_ACTION_SET_DEFAULT, NULL, "%c gets its former default back", NULL, NULL},
    {ZDM_ACTION_SET_STORAGE, NULL, "the former parameters of %s come back", NULL, NULL},
    {ZDM_ACTION_COMMENT, NULL, "the former comment of %s comes back", NULL, NULL},
    {ZDM_ACTION_WIDEN_TYPE, NULL, NULL, NULL, "%c keeps its wider type"},

    {ZDM_ACTION_CREATE_TABLE, NULL, "table %t moved out of sight, kept until zdmctl purge", NULL, NULL},
    {ZDM_ACTION_CREATE_TYPE, NULL, "type %o moved out of sight, kept until zdmctl purge", NULL, NULL},
    {ZDM_ACTION_ADD_VALUE, NULL, NULL, NULL, "type %o keeps its value '%v'"},
    {ZDM_ACTION_HIDE_TABLE, NULL, "table %t comes back", NULL, NULL},
    {ZDM_ACTION_PURGE_TABLE, NULL, "stops where table %t is dropped already", "is dropped for good", NULL},
    {ZDM_ACTION_HIDE_INDEX, is_mysql, "index %o is used again", NULL, NULL},
    {ZDM_ACTION_HIDE_INDEX, NULL, "index %o stays: it was never out of use", NULL, NULL},
    {ZDM_ACTION_PURGE_INDEX, NULL, "stops where index %o is dropped already", "is dropped for good", NULL},
    {ZDM_ACTION_REINDEX, NULL, NULL, NULL, NULL}, /* the same index as before, in other files */

    {ZDM_ACTION_ADD_PARTITION_CHECK, NULL, "constraint %o dropped", NULL, NULL},
    {ZDM_ACTION_ATTACH_PARTITION, NULL, "partition %p detached from %t", NULL, NULL},
    {ZDM_ACTION_DETACH_PARTITION, NULL, "partition %p attached to %t", NULL, NULL},

    {ZDM_ACTION_DELETE, keeps_images, "deleted rows of %t put back, but where their key is taken",
     "gets its rows back, but where their key is taken", NULL},
    {ZDM_ACTION_DELETE, NULL, "deleted rows of %t stay deleted", "loses its rows for good", NULL},
    {ZDM_ACTION_AS_IS, cannot, "the as-is statement cannot be taken back", "cannot be taken back", NULL},
    {ZDM_ACTION_AS_IS, NULL, "the runbook's own rollback is run: %q",
     "is taken back by what the runbook says, which nobody can prove", NULL},
    {ZDM_ACTION_GATE_WAIT, NULL, NULL, NULL, NULL},
};

static const struct rule *rule_of(const struct zdm_step *step)
{
    static const struct rule none = {ZDM_ACTION_CHECK_QUERY, NULL, NULL, NULL, NULL};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].action == step->action && (rules[i].when == NULL || rules[i].when(step)))
            return &rules[i];
    return &none;
}

static void put_mark(struct zdm_buffer *out, char mark, const struct zdm_step *step)
{
    char name[NAME_SIZE];
    const char *sql = text_of(step->inverse_sql);
    switch (mark) {
    case 'c':
    case 's':
        zdm_buffer_puts(out, ctl_subject_text(name, sizeof name, step));
        break;
    case 't':
        zdm_buffer_puts(out, text_of(step->table.name));
        break;
    case 'o':
        zdm_buffer_puts(out, text_of(step->object));
        break;
    case 'v':
        zdm_buffer_puts(out, text_of(step->column));
        break;
    case 'p':
        zdm_buffer_puts(out, step->n_others > 0 ? step->others[0].name : "the partition");
        break;
    case 'f':
        zdm_buffer_puts(out, step->flag != NULL ? step->flag->key : "");
        break;
    default:
        zdm_buffer_printf(out, "%.*s%s", SQL_SHOWN, sql, strlen(sql) > SQL_SHOWN ? " ..." : "");
        break;
    }
}

static void put_words(struct zdm_buffer *out, const char *words, const struct zdm_step *step)
{
    for (const char *p = text_of(words); *p != '\0'; p++) {
        if (*p == '%' && p[1] != '\0')
            put_mark(out, *++p, step);
        else
            zdm_buffer_append(out, p, 1);
    }
}

/* ---- The way back ---- */

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

/* What goes out of sight together with the triggers. */
static void put_sync_columns(struct zdm_buffer *out, const struct zdm_plan *plan, const struct zdm_step *step,
                             uint32_t floor)
{
    for (size_t i = 0; i < step->derivation->n_assignments; i++) {
        const struct zdm_step *add = zdm_plan_adds(plan, &step->table, step->derivation->assignments[i].target);
        if (add == NULL || add->ordinal < floor)
            continue;
        zdm_buffer_puts(out, ", ");
        put_words(out, rule_of(add)->back, add);
    }
}

void ctl_back_text(char *out, size_t size, const struct zdm_plan *plan, const struct zdm_step *step, uint32_t floor,
                   uint32_t from)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    if (step->action != ZDM_ACTION_ADD_COLUMN || !is_hidden_with_sync(plan, step, floor, from))
        put_words(&text, rule_of(step)->back, step);
    if (step->action == ZDM_ACTION_SYNC_INSTALL)
        put_sync_columns(&text, plan, step, floor);
    zdm_copy_text(out, size, zdm_buffer_text(&text));
    zdm_buffer_fini(&text);
}

/* ---- What stays ---- */

static bool is_same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static bool of_table(const struct zdm_step *maker, const struct zdm_step *step)
{
    return is_same(maker->table.schema, step->table.schema) && is_same(maker->table.name, step->table.name);
}

static bool of_column(const struct zdm_step *maker, const struct zdm_step *step)
{
    return of_table(maker, step) && is_same(maker->column, step->column);
}

static bool of_constraint(const struct zdm_step *maker, const struct zdm_step *step)
{
    return of_table(maker, step) && is_same(maker->object, step->object);
}

static bool of_type(const struct zdm_step *maker, const struct zdm_step *step)
{
    return is_same(maker->table.schema, step->table.schema) && is_same(maker->object, step->object);
}

/* What an earlier step made goes when that is undone, and what stays of a later one with it. */
static const struct goes {
    enum zdm_action action, maker;
    bool (*made)(const struct zdm_step *maker, const struct zdm_step *step);
} goes[] = {
    {ZDM_ACTION_WIDEN_TYPE, ZDM_ACTION_ADD_COLUMN, of_column},
    {ZDM_ACTION_WIDEN_TYPE, ZDM_ACTION_CREATE_TABLE, of_table},
    {ZDM_ACTION_VALIDATE, ZDM_ACTION_ADD_CHECK, of_constraint},
    {ZDM_ACTION_VALIDATE, ZDM_ACTION_ADD_FOREIGN_KEY, of_constraint},
    {ZDM_ACTION_VALIDATE, ZDM_ACTION_ADD_PARTITION_CHECK, of_constraint},
    {ZDM_ACTION_VALIDATE, ZDM_ACTION_CREATE_TABLE, of_table},
    {ZDM_ACTION_BACKFILL, ZDM_ACTION_CREATE_TABLE, of_table},
    {ZDM_ACTION_ADD_VALUE, ZDM_ACTION_CREATE_TYPE, of_type},
};

static bool goes_with(const struct zdm_step *maker, const struct zdm_step *step)
{
    for (size_t i = 0; i < sizeof goes / sizeof *goes; i++)
        if (goes[i].action == step->action && goes[i].maker == maker->action && goes[i].made(maker, step))
            return true;
    return false;
}

void ctl_stays_text(char *out, size_t size, const struct zdm_plan *plan, const struct zdm_step *step, uint32_t floor)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    bool stays = step->exact_inverse;
    for (uint32_t o = floor; o < step->ordinal && stays; o++)
        stays = !goes_with(zdm_plan_step(plan, o), step);
    if (stays)
        put_words(&text, rule_of(step)->stays, step);
    zdm_copy_text(out, size, zdm_buffer_text(&text));
    zdm_buffer_fini(&text);
}

const char *ctl_inexact_text(const struct zdm_step *step)
{
    const char *text = rule_of(step)->inexact;
    if (step->exact_inverse)
        return NULL;
    return text != NULL ? text : "cannot be taken back exactly";
}

void ctl_loss_text(char *out, size_t size, const struct zdm_step *step)
{
    char name[NAME_SIZE];
    ctl_subject_text(name, sizeof name, step);
    if (step->action == ZDM_ACTION_CREATE_TABLE || step->action == ZDM_ACTION_ADD_COLUMN)
        snprintf(out, size, "what new code wrote into %s, which goes out of sight and is copied nowhere (step %s)",
                 name, step->id);
    else
        snprintf(out, size, "what new code wrote into %s by itself (step %s does not run backwards)", step->table.name,
                 step->id);
}
