/*
 * order.c - what the plan knows of tables, types, constraints and indexes so far, and what may not come before or
 * behind what.
 *
 * A constraint or an index of a column that is filled comes behind its backfill: a CHECK that is not valid yet binds
 * new rows at once, and an index makes each batch slower. Of two columns that are kept equal, one alone may have an
 * enforcing unique index: the new one's comes as the last thing before the switch.
 */
#include "common/runbook/postgresql/ddl.h"

#include <string.h>

/* ---- objects ---- */

struct rb_object *rb_object_find(struct rb *rb, enum rb_object_kind kind, const struct rb_table *table,
                                 const char *name)
{
    for (struct rb_object *o = rb->objects; o != NULL; o = o->next) {
        bool of_schema = kind == RB_OBJECT_INDEX && rb->engine != ZDM_ENGINE_MYSQL;
        bool same = of_schema ? strcmp(o->table.schema, table->schema) == 0
                              : o->table.name != NULL && rb_same_table(&o->table, table);
        if (o->kind == kind && same && (name == NULL ? o->name == NULL : o->name != NULL && strcmp(o->name, name) == 0))
            return o;
    }
    return NULL;
}

struct rb_object *rb_object_of(struct rb *rb, enum rb_object_kind kind, const struct rb_table *table, const char *name)
{
    struct rb_object *object = rb_object_find(rb, kind, table, name);
    if (object != NULL)
        return object;
    object = rb_alloc(rb, sizeof *object);
    *object = (struct rb_object){.kind = kind, .table = *table, .name = name, .next = rb->objects};
    if (kind == RB_OBJECT_INDEX && rb->engine != ZDM_ENGINE_MYSQL)
        object->table.name = NULL;
    rb->objects = object;
    return object;
}

bool rb_object_names(const struct rb_object *object, const char *column)
{
    for (size_t i = 0; i < object->n_columns; i++) {
        if (strcmp(object->columns[i], column) == 0)
            return true;
    }
    return false;
}

bool rb_is_created(struct rb *rb, const struct rb_table *table)
{
    const struct rb_object *object = rb_object_find(rb, RB_OBJECT_TABLE, table, NULL);
    return object != NULL && object->created;
}

static bool names_column(const struct zdm_derivation *d, const char *column, bool source)
{
    for (size_t i = 0; source && i < d->n_sources; i++) {
        if (strcmp(d->sources[i], column) == 0)
            return true;
    }
    for (size_t i = 0; !source && i < d->n_assignments; i++) {
        if (strcmp(d->assignments[i].target, column) == 0)
            return true;
    }
    return false;
}

/* At the latest each sync ends at the end of the first contract phase. */
static bool is_behind_contract(const struct rb_ddl *d)
{
    const struct rb_phase *phase = d->s->rb->phases;
    while (phase != d->s->phase && phase->class != ZDM_PHASE_CONTRACT)
        phase = phase->next;
    return phase != d->s->phase;
}

struct rb_sync *rb_live_sync(const struct rb_ddl *d, const char *column, bool source)
{
    for (struct rb_sync *sync = d->s->rb->syncs; sync != NULL && !is_behind_contract(d); sync = sync->next) {
        const struct zdm_step *step = &sync->install->step;
        if (sync->install->superseded == NULL && strcmp(step->table.schema, d->table.schema) == 0 &&
            strcmp(step->table.name, d->table.name) == 0 && names_column(step->derivation, column, source))
            return sync;
    }
    return NULL;
}

bool rb_index_remember(const struct rb_ddl *d, const char *name, const char *const *columns, size_t n_columns,
                       bool unique)
{
    struct rb *rb = d->s->rb;
    const struct rb_object *dropped = rb_object_find(rb, RB_OBJECT_INDEX, &d->table, name);
    bool twice = dropped != NULL && dropped->dropped != NULL;
    for (const struct rb_index *other = rb->indexes; other != NULL && !twice; other = other->next)
        twice = strcmp(other->name, name) == 0 && strcmp(other->table.schema, d->table.schema) == 0 &&
                (rb->engine != ZDM_ENGINE_MYSQL || rb_same_table(&other->table, &d->table));
    if (twice) {
        rb_error(rb, "index-twice", rb_at(d->s, (int)d->from), "Give it another name.",
                 dropped != NULL ? "the index %s is dropped before this, and stays until the purge"
                                 : "two indexes would have the name %s",
                 name);
        return false;
    }
    struct rb_index *index = rb_alloc(rb, sizeof *index);
    const char **copy = rb_alloc(rb, (n_columns + 1) * sizeof *copy);
    for (size_t i = 0; i < n_columns; i++)
        copy[i] = columns[i];
    *index = (struct rb_index){.table = d->table,
                               .name = name,
                               .columns = copy,
                               .n_columns = n_columns,
                               .n_keys = n_columns,
                               .unique = unique,
                               .phase = d->s->phase,
                               .at = rb_at(d->s, (int)d->from),
                               .next = rb->indexes};
    rb->indexes = index;
    return true;
}

/* ---- order ---- */

static bool is_constrained(struct rb *rb, const struct zdm_step *fill, const char *target)
{
    struct rb_table table = {fill->table.schema, fill->table.name};
    for (const struct rb_object *o = rb->objects; o != NULL; o = o->next) {
        if (o->kind != RB_OBJECT_CONSTRAINT || !o->created || o->dropped != NULL || !rb_same_table(&o->table, &table) ||
            !rb_object_names(o, target))
            continue;
        rb_error(rb, "constraint-before-backfill", o->at,
                 rb_format(rb,
                           "Put it behind the UPDATE, at the end of the migrate phase: ALTER TABLE %s ADD CONSTRAINT "
                           "%s …;",
                           rb_table_text(rb, &table), rb_plain(rb, o->name)),
                 "the constraint %s binds new rows at once, before anything fills %s", o->name, target);
        return true;
    }
    return false;
}

/* The UPDATE of a column that new rows get from a default: the two would have to agree. */
static void judge_default(struct rb_statement *s, const struct zdm_step *fill, const char *target, bool sync)
{
    struct rb *rb = s->rb;
    struct rb_table table = {fill->table.schema, fill->table.name};
    if (sync && rb_column_of(rb, &table, target)->has_default)
        rb_error(rb, "default-filled", rb_at_word(s, 0, target),
                 rb_format(rb,
                           "Leave the DEFAULT of %s out until the triggers have ended: SET DEFAULT in the contract "
                           "phase.",
                           target),
                 "new rows get %s from its DEFAULT, which cannot be told from a value that the application wrote",
                 target);
}

static void judge_fill(struct rb_statement *s, const struct rb_step *fill, bool sync)
{
    const struct zdm_derivation *d = fill->step.derivation;
    for (size_t i = 0; i < d->n_assignments; i++) {
        (void)is_constrained(s->rb, &fill->step, d->assignments[i].target);
        judge_default(s, &fill->step, d->assignments[i].target, sync);
    }
}

static bool is_pair_index(struct rb_statement *s, const struct rb_index *index)
{
    struct rb_ddl d = rb_ddl_whole(s, &index->table);
    for (size_t i = 0; index->unique && i < index->n_columns; i++) {
        const struct rb_sync *sync = rb_live_sync(&d, index->columns[i], false);
        if (sync != NULL && sync->install->step.derivation->both_ways)
            return true;
    }
    return false;
}

/* The unique index of a column that is kept equal to another one, built in a migrate phase: the last one. */
static const struct rb_index *pair_index(struct rb_statement *s)
{
    const struct rb_index *index = s->rb->indexes;
    while (index != NULL && !is_pair_index(s, index))
        index = index->next;
    return index;
}

/* A foreign key that needs this index or such a one before it, and its validation: they cannot come before it. */
static bool refers_to(struct rb_statement *s, const struct rb_step *first, const struct rb_step *step,
                      const struct rb_index *index)
{
    if (step->step.action == ZDM_ACTION_VALIDATE && step != first)
        step = first;
    if (step->step.action != ZDM_ACTION_ADD_FOREIGN_KEY || step->step.n_others == 0)
        return false;
    struct rb_table parent = {step->step.others[0].schema, step->step.others[0].name};
    while (index != NULL && !(rb_same_table(&parent, &index->table) && is_pair_index(s, index)))
        index = index->next;
    return index != NULL;
}

static bool may_follow_unique(const struct rb_step *step)
{
    return step->step.action == ZDM_ACTION_CREATE_INDEX || step->step.action == ZDM_ACTION_ADD_UNIQUE ||
           step->step.action == ZDM_ACTION_CHECK_QUERY || step->step.action == ZDM_ACTION_COMMENT;
}

static void judge_pair(struct rb_statement *s, const struct rb_step *first)
{
    const struct rb_index *index = pair_index(s);
    if (index == NULL || s->phase->class != ZDM_PHASE_MIGRATE)
        return;
    for (const struct rb_step *step = first; step != NULL; step = step->next) {
        if (may_follow_unique(step) || refers_to(s, first, step, index))
            continue;
        rb_error(s->rb, "unique-pair-early", rb_at_start(s),
                 rb_format(s->rb, "Put the unique index %s behind it: it comes last before the switch.", index->name),
                 "the unique index %s is on a column that is kept equal to another one: while both are enforced, "
                 "%s may fail",
                 index->name,
                 s->rb->engine == ZDM_ENGINE_MYSQL ? "INSERT … ON DUPLICATE KEY UPDATE" : "INSERT … ON CONFLICT");
        return;
    }
}

void rb_judge_order(struct rb_statement *s, const struct rb_step *before)
{
    const struct rb_step *first = before == NULL ? s->phase->first : before->next;
    bool sync = false;
    for (const struct rb_step *step = first; step != NULL; step = step->next) {
        sync = sync || step->step.action == ZDM_ACTION_SYNC_INSTALL;
        if (step->step.action == ZDM_ACTION_BACKFILL &&
            (s->node == NULL || s->node->node_case == PG_QUERY__NODE__NODE_UPDATE_STMT))
            judge_fill(s, step, sync);
    }
    judge_pair(s, first);
}
