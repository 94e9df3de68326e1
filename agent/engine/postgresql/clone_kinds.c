/*
 * clone_kinds.c - what each kind of step needs to be tried, and what the plan did before it (clone.h).
 */
#include "agent/engine/postgresql/clone.h"

#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/partition.h"
#include "agent/engine/postgresql/retarget.h"

enum { SCRIPT_MAX = 20 };

/* ---- What the plan does to the table before ---- */

static bool turn_plain(const struct zdm_step *step, struct zdm_buffer *out)
{
    return pgsql_retarget(out, step->sql, &step->table, PGSQL_CLONE);
}

static bool turn_index(const struct zdm_step *step, struct zdm_buffer *out)
{
    return pgsql_retarget_index(out, step->sql, &step->table, PGSQL_CLONE);
}

static enum zdm_code replay_one(struct pgsql_stage *t, const struct zdm_step *step, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    bool turned = step->action == ZDM_ACTION_CREATE_INDEX ? turn_index(step, &sql) : turn_plain(step, &sql);
    if (!turned) {
        return ZDM_OK;
    }
    enum zdm_code code = pgsql_script(t->w->s, "SAVEPOINT before", NULL, err);
    if (code == ZDM_OK && pgsql_script(t->w->s, zdm_buffer_text(&sql), NULL, &ignored) != ZDM_OK) {
        code = pgsql_script(t->w->s, "ROLLBACK TO before", NULL, err);
    }
    return code == ZDM_OK ? pgsql_script(t->w->s, "RELEASE before", NULL, err) : code;
}

static bool is_replayed(const struct zdm_step *step, const struct zdm_step *of)
{
    return step != NULL && step->sql != NULL && step->action != ZDM_ACTION_CHECK_QUERY &&
           step->action != ZDM_ACTION_AS_IS && step->table.name != NULL && of->table.name != NULL &&
           strcmp(step->table.schema, of->table.schema) == 0 && strcmp(step->table.name, of->table.name) == 0;
}

enum zdm_code pgsql_clone_replay(struct pgsql_stage *t, uint32_t from, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (uint32_t o = from == 0 ? 1 : from; code == ZDM_OK && o < t->step->ordinal; o++) {
        const struct zdm_step *step = zdm_plan_step(t->w->op->plan, o);
        if (is_replayed(step, t->step)) {
            code = replay_one(t, step, err);
        }
    }
    return code;
}

/* ---- Kinds ---- */

static enum zdm_code prepare_reference(struct pgsql_stage *t, struct zdm_error *err)
{
    char name[PGSQL_CLONE_NAME_MAX];
    pgsql_parent_clone(name, "0");
    const struct zdm_step *step = t->step;
    if (step->n_others == 0) {
        return zdm_error_set(err, ZDM_BUG, "step %s does not say what its foreign key points at", step->id);
    }
    bool self =
        strcmp(step->others[0].schema, step->table.schema) == 0 && strcmp(step->others[0].name, step->table.name) == 0;
    return self ? ZDM_OK : pgsql_clone_table(t->w, &step->others[0], name, err);
}

static bool turn_reference(const struct zdm_step *step, struct zdm_buffer *out)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer half = ZDM_BUFFER_INIT;
    char name[PGSQL_CLONE_NAME_MAX];
    pgsql_parent_clone(name, "0");
    bool self =
        strcmp(step->others[0].schema, step->table.schema) == 0 && strcmp(step->others[0].name, step->table.name) == 0;
    return pgsql_retarget(&half, step->sql, &step->table, PGSQL_CLONE) &&
           pgsql_retarget_reference(out, zdm_buffer_text(&half), &step->others[0], self ? PGSQL_CLONE : name);
}

/* The index under its own name, in the clone's schema. One that is not there yet was made by replay, or cannot be
 * tried. */
static enum zdm_code prepare_index(struct pgsql_stage *t, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT format('CREATE UNIQUE INDEX %I ON %s ', ic.relname, $4::text) || substr(pg_get_indexdef(ic.oid),"
        " length(format('CREATE UNIQUE INDEX %I ON %I.%I ', ic.relname, n.nspname, c.relname)) + 1)"
        " FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND ic.relname = $3"
        " AND i.indisunique AND c.relkind = 'r'";
    const char *params[] = {t->step->table.schema, t->step->table.name, t->step->object, PGSQL_CLONE};
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_run_each(t->w, sql, 4, params, err);
    if (code == ZDM_OK) {
        code = pgsql_query(t->w->s,
                           "SELECT FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relname = $1"
                           " AND relkind = 'i'",
                           1, (const char *const[]){t->step->object}, &res, err);
    }
    t->out->tried = code == ZDM_OK && PQntuples(res) > 0;
    return code;
}

static enum zdm_code prepare_partition(struct pgsql_stage *t, struct zdm_error *err)
{
    if (t->step->n_others == 0) {
        return zdm_error_set(err, ZDM_BUG, "step %s does not say what is to be attached", t->step->id);
    }
    enum zdm_code code = pgsql_clone_partitions(t->w, &t->step->table, &t->step->others[0], PGSQL_CLONE, err);
    if (code == ZDM_OK) {
        code = pgsql_clone_foreign_keys(t->w, &t->step->table, PGSQL_CLONE, err);
    }
    return code == ZDM_OK ? pgsql_clone_foreign_keys(t->w, &t->step->others[0], PGSQL_CLONE_CHILD, err) : code;
}

static bool turn_partition(const struct zdm_step *step, struct zdm_buffer *out)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer half = ZDM_BUFFER_INIT;
    return pgsql_retarget(&half, step->sql, &step->table, PGSQL_CLONE) &&
           pgsql_retarget_partition(out, zdm_buffer_text(&half), &step->others[0], PGSQL_CLONE_CHILD);
}

static bool is_own(const struct zdm_step *step, const struct zdm_table *table)
{
    return strcmp(table->schema, step->table.schema) == 0 && strcmp(table->name, step->table.name) == 0;
}

static void other_name(char out[PGSQL_CLONE_NAME_MAX], size_t i)
{
    char number[24];
    snprintf(number, sizeof number, "%zu", i);
    pgsql_parent_clone(out, number);
}

/* What a script may point foreign keys at. A table that is not there is not cloned. */
static enum zdm_code prepare_script(struct pgsql_stage *t, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < t->step->n_others; i++) {
        struct pgsql_table found;
        char name[PGSQL_CLONE_NAME_MAX];
        other_name(name, i);
        code = pgsql_table_find(t->w->s, &t->step->others[i], &found, err);
        if (code == ZDM_OK && (found.kind == 'r' || found.kind == 'p') && !is_own(t->step, &t->step->others[i])) {
            code = pgsql_clone_table(t->w, &t->step->others[i], name, err);
        } else if (code == ZDM_NOT_FOUND) {
            zdm_error_clear(err);
            code = ZDM_OK;
        }
    }
    return code;
}

/* A foreign key in the statement is turned to the clone of what it points at; to none: left as it is. */
static void turn_references(const struct zdm_step *step, struct zdm_buffer *statement)
{
    struct zdm_buffer turned = ZDM_BUFFER_INIT;
    bool done = pgsql_retarget_reference(&turned, zdm_buffer_text(statement), &step->table, PGSQL_CLONE);
    for (size_t i = 0; !done && i < step->n_others; i++) {
        char name[PGSQL_CLONE_NAME_MAX];
        other_name(name, i);
        zdm_buffer_reset(&turned);
        done = pgsql_retarget_reference(&turned, zdm_buffer_text(statement), &step->others[i], name);
    }
    if (done) {
        zdm_buffer_reset(statement);
        zdm_buffer_puts(statement, zdm_buffer_text(&turned));
    }
    zdm_buffer_fini(&turned);
}

/* Those of its statements that alter the step's table. */
static bool turn_script(const struct zdm_step *step, struct zdm_buffer *out)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer statement = ZDM_BUFFER_INIT;
    const char *sql = step->sql;
    size_t n = 0;
    for (int i = 0; i < SCRIPT_MAX && step->table.name != NULL && pgsql_next_statement(&sql, &statement); i++) {
        turn_references(step, &statement);
        if (pgsql_retarget(out, zdm_buffer_text(&statement), &step->table, PGSQL_CLONE)) {
            zdm_buffer_puts(out, ";");
            n++;
        }
    }
    return n > 0;
}

static const struct pgsql_clone_rule rules[] = {
    {ZDM_ACTION_ADD_COLUMN, false, NULL, turn_plain},
    {ZDM_ACTION_ADD_CHECK, false, NULL, turn_plain},
    {ZDM_ACTION_SET_NOT_NULL, false, NULL, turn_plain},
    {ZDM_ACTION_DROP_CONSTRAINT, true, NULL, turn_plain},
    {ZDM_ACTION_VALIDATE, true, NULL, turn_plain},
    {ZDM_ACTION_ADD_FOREIGN_KEY, false, prepare_reference, turn_reference},
    {ZDM_ACTION_ADD_UNIQUE, false, prepare_index, turn_plain},
    {ZDM_ACTION_ADD_PRIMARY_KEY, false, prepare_index, turn_plain},
    {ZDM_ACTION_DROP_NOT_NULL, false, NULL, turn_plain},
    {ZDM_ACTION_SET_DEFAULT, false, NULL, turn_plain},
    {ZDM_ACTION_SET_STORAGE, false, NULL, turn_plain},
    {ZDM_ACTION_WIDEN_TYPE, true, NULL, turn_plain},
    {ZDM_ACTION_ATTACH_PARTITION, false, prepare_partition, turn_partition},
    {ZDM_ACTION_AS_IS, true, prepare_script, turn_script},
};

const struct pgsql_clone_rule *pgsql_clone_rule_of(const struct zdm_step *step)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].action == step->action) {
            return &rules[i];
        }
    }
    return NULL;
}
