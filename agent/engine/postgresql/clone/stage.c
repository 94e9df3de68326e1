/*
 * stage.c - the plan's tables on stage: cloned, and with all that the plan does to them before a step (clone.h).
 */
#include "agent/engine/postgresql/clone/clone.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/change/partition.h"
#include "agent/engine/postgresql/clone/retarget.h"

static bool same_table(const struct zdm_table *a, const struct zdm_table *b)
{
    return a->name != NULL && b->name != NULL && strcmp(a->schema, b->schema) == 0 && strcmp(a->name, b->name) == 0;
}

static struct pgsql_staged *find_staged(const struct pgsql_stage *stage, const struct zdm_table *table)
{
    for (size_t i = 0; i < stage->n_tables; i++) {
        if (same_table(stage->tables[i].table, table)) {
            return (struct pgsql_staged *)(uintptr_t)&stage->tables[i];
        }
    }
    return NULL;
}

const char *pgsql_stage_name(const struct pgsql_stage *stage, const struct zdm_table *table)
{
    const struct pgsql_staged *staged = find_staged(stage, table);
    return staged == NULL ? NULL : staged->name;
}

const struct zdm_table *pgsql_stage_table(const struct pgsql_stage *stage, const char *name)
{
    for (size_t i = 0; i < stage->n_tables; i++) {
        if (strstr(name, stage->tables[i].name + strlen("pg_temp.")) != NULL) {
            return stage->tables[i].table;
        }
    }
    return NULL;
}

void pgsql_stage_names(const struct pgsql_stage *stage, const char *sql, struct zdm_buffer *out)
{
    struct pgsql_rename renames[PGSQL_STAGE_TABLES_MAX + PGSQL_STAGE_TYPES_MAX];
    char types[PGSQL_STAGE_TYPES_MAX][2 * ZDM_IDENTIFIER_MAX + 16];
    size_t n = 0;
    for (size_t i = 0; i < stage->n_types; i++) {
        const struct zdm_step *step = stage->types[i];
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
        pgsql_put_table(&name, &(struct zdm_table){(char *)(uintptr_t) "pg_temp", step->object});
        zdm_copy_text(types[i], sizeof types[i], zdm_buffer_text(&name));
        renames[n++] = (struct pgsql_rename){{step->table.schema, step->object}, types[i], false};
    }
    for (size_t i = 0; i < stage->n_tables; i++) {
        renames[n++] = (struct pgsql_rename){*stage->tables[i].table, stage->tables[i].name, true};
    }
    pgsql_retarget_names(out, sql, renames, n);
}

enum zdm_code pgsql_stage_begin(struct pgsql_work *w, const struct zdm_step *step, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer settings = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&settings,
                    "SET LOCAL lock_timeout = 100; SET LOCAL statement_timeout = 5000; SET LOCAL search_path "
                    "= pg_catalog, ");
    pgsql_put_name(&settings, step->table.schema == NULL ? "public" : step->table.schema); /* as-is of no table */
    zdm_buffer_puts(&settings, ";");
    return pgsql_begin(w->s, zdm_buffer_text(&settings), err);
}

/* ---- Which tables ---- */

static const struct zdm_step *creator(const struct pgsql_stage *stage, const struct zdm_table *table)
{
    for (uint32_t o = 1; o < stage->step->ordinal; o++) {
        const struct zdm_step *step = zdm_plan_step(stage->w->op->plan, o);
        if (step->action == ZDM_ACTION_CREATE_TABLE && same_table(&step->table, table)) {
            return step;
        }
    }
    return NULL;
}

bool pgsql_stage_makes(const struct pgsql_stage *stage, const struct zdm_table *table)
{
    const struct pgsql_staged *staged = find_staged(stage, table);
    return staged != NULL && !staged->there && creator(stage, table) != NULL;
}

/* A clone's name, "" where there is nothing to make one of: what names it gets the server's own answer. */
static enum zdm_code name_clone(struct pgsql_stage *stage, const struct zdm_table *table, bool *out_there, char *out,
                                struct zdm_error *err)
{
    struct pgsql_table found;
    char id[24];
    enum zdm_code code = pgsql_table_find(stage->w->s, table, &found, err);
    const struct zdm_step *made = code == ZDM_NOT_FOUND ? creator(stage, table) : NULL;
    *out_there = code == ZDM_OK && (found.kind == 'r' || found.kind == 'p');
    *out = '\0';
    if (*out_there) {
        pgsql_parent_clone(out, found.oid);
    } else if (made != NULL) {
        (void)snprintf(id, sizeof id, "new%" PRIu32, made->ordinal);
        pgsql_parent_clone(out, id);
    }
    if (code == ZDM_NOT_FOUND) {
        zdm_error_clear(err);
        code = ZDM_OK;
    }
    return code;
}

static enum zdm_code add_table(struct pgsql_stage *stage, const struct zdm_table *table, const char *fixed,
                               struct zdm_error *err)
{
    char name[PGSQL_CLONE_NAME_MAX];
    bool there = false;
    if (table->name == NULL || table->name[0] == '\0' || find_staged(stage, table) != NULL ||
        stage->n_tables == PGSQL_STAGE_TABLES_MAX) {
        return ZDM_OK;
    }
    enum zdm_code code = name_clone(stage, table, &there, name, err);
    if (code == ZDM_OK && (name[0] != '\0' || fixed != NULL)) {
        struct pgsql_staged *staged = &stage->tables[stage->n_tables++];
        *staged = (struct pgsql_staged){.table = table, .there = there};
        zdm_copy_text(staged->name, sizeof staged->name, fixed != NULL ? fixed : name);
    }
    return code;
}

static bool is_parted(const struct zdm_step *step)
{
    return step->action == ZDM_ACTION_ATTACH_PARTITION || step->action == ZDM_ACTION_DETACH_PARTITION;
}

/* Those that earlier steps on these tables name: from the last step to the first, so that what comes in gets its own
 * earlier steps. */
static enum zdm_code add_others(struct pgsql_stage *stage, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (uint32_t o = stage->step->ordinal; code == ZDM_OK && o >= stage->from && o > 0; o--) {
        const struct zdm_step *step = zdm_plan_step(stage->w->op->plan, o);
        bool touches = step == stage->step || find_staged(stage, &step->table) != NULL;
        for (size_t i = 0; code == ZDM_OK && touches && i < step->n_others; i++) {
            bool child = step == stage->step && is_parted(step) && i == 0;
            code = add_table(stage, &step->others[i], child ? PGSQL_CLONE_CHILD : NULL, err);
        }
    }
    return code;
}

/* ---- Their clones ---- */

/* The clone of a partition that is to be detached is one of the parent's clone from the beginning: it gets what the
 * parent gets. The default partition has a clone already, and one that an earlier step attaches is none yet. */
static enum zdm_code attach_clone(struct pgsql_stage *stage, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT format('ALTER TABLE %s ATTACH PARTITION %s %s', $5::text, $6::text, pg_get_expr(c.relpartbound,"
        " c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_inherits i ON i.inhrelid ="
        " c.oid JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE n.nspname"
        " = $3 AND c.relname = $4 AND pn.nspname = $1 AND p.relname = $2 AND pg_get_expr(c.relpartbound, c.oid) <>"
        " 'DEFAULT'";
    const struct zdm_table *parent = &stage->step->table, *child = &stage->step->others[0];
    const char *params[] = {parent->schema, parent->name, child->schema, child->name, PGSQL_CLONE, PGSQL_CLONE_CHILD};
    return pgsql_run_each(stage->w, sql, 6, params, err);
}

/* Parent and partition of the step. */
static enum zdm_code clone_parted(struct pgsql_stage *stage, struct zdm_error *err)
{
    const struct zdm_step *step = stage->step;
    if (step->n_others == 0) {
        return zdm_error_set(err, ZDM_BUG, "step %s does not name its partition", step->id);
    }
    const struct pgsql_staged *parent = find_staged(stage, &step->table);
    const struct pgsql_staged *child = find_staged(stage, &step->others[0]);
    enum zdm_code code = ZDM_OK;
    if (parent->there) {
        code = pgsql_clone_partitioned(stage->w, &step->table, &step->others[0], PGSQL_CLONE, err);
    }
    if (code == ZDM_OK && child->there) {
        code = pgsql_clone_partition(stage->w, &step->table, &step->others[0], err);
    }
    bool both = parent->there && child->there;
    if (code == ZDM_OK && both && step->action == ZDM_ACTION_DETACH_PARTITION) {
        return attach_clone(stage, err);
    }
    if (code == ZDM_OK && parent->there) {
        code = pgsql_clone_foreign_keys(stage->w, &step->table, PGSQL_CLONE, err);
    }
    return code == ZDM_OK && child->there ? pgsql_clone_foreign_keys(stage->w, &step->others[0], PGSQL_CLONE_CHILD, err)
                                          : code;
}

static bool lifts(const struct pgsql_stage *stage)
{
    for (uint32_t o = stage->from; o <= stage->step->ordinal; o++) {
        const struct zdm_step *step = zdm_plan_step(stage->w->op->plan, o);
        if (step != NULL && (step->action == ZDM_ACTION_LIFT_CONSTRAINT || step->action == ZDM_ACTION_AS_IS)) {
            return true;
        }
    }
    return false;
}

static enum zdm_code clone_own(struct pgsql_stage *stage, const struct pgsql_clone_rule *rule, struct zdm_error *err)
{
    const struct zdm_table *table = &stage->step->table;
    enum zdm_code code = pgsql_clone_table(stage->w, table, PGSQL_CLONE, err);
    if (code == ZDM_OK && lifts(stage)) {
        code = pgsql_clone_keys(stage->w, table, PGSQL_CLONE, err);
    }
    if (code == ZDM_OK && stage->step->action == ZDM_ACTION_AS_IS) {
        code = pgsql_clone_triggers(stage->w, table, PGSQL_CLONE, err);
    }
    return code == ZDM_OK && rule != NULL && rule->foreign_keys
               ? pgsql_clone_foreign_keys(stage->w, table, PGSQL_CLONE, err)
               : code;
}

static enum zdm_code clone_all(struct pgsql_stage *stage, struct zdm_error *err)
{
    const struct pgsql_clone_rule *rule = pgsql_clone_rule_of(stage->step);
    bool parted = is_parted(stage->step);
    enum zdm_code code = parted ? clone_parted(stage, err) : ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < stage->n_tables; i++) {
        const struct pgsql_staged *staged = &stage->tables[i];
        bool own = strcmp(staged->name, PGSQL_CLONE) == 0, child = strcmp(staged->name, PGSQL_CLONE_CHILD) == 0;
        if (!staged->there || child || (own && parted)) {
            continue;
        }
        code = own ? clone_own(stage, rule, err) : pgsql_clone_table(stage->w, staged->table, staged->name, err);
    }
    return code;
}

/* ---- What the plan does before ---- */

static bool is_there_already(const struct zdm_error *why)
{
    static const char *const states[] = {"42701", "42P07", "42710", "42P16"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (strcmp(why->sqlstate, states[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void note_missing(struct pgsql_stage *stage, const struct zdm_step *step)
{
    stage->missing = stage->missing == NULL ? step : stage->missing;
}

enum zdm_code pgsql_stage_run(struct pgsql_session *s, const char *sql, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer statement = ZDM_BUFFER_INIT;
    enum zdm_code code = ZDM_OK;
    while (code == ZDM_OK && pgsql_next_statement(&sql, &statement)) {
        if (statement.len > 0) {
            code = pgsql_query(s, zdm_buffer_text(&statement), 0, NULL, NULL, err);
        }
    }
    return code;
}

static enum zdm_code run_saved(struct pgsql_stage *stage, const char *sql, bool *out_done, struct zdm_error *out_why,
                               struct zdm_error *err)
{
    enum zdm_code code = pgsql_script(stage->w->s, "SAVEPOINT before", NULL, err);
    *out_done = code == ZDM_OK && pgsql_stage_run(stage->w->s, sql, out_why) == ZDM_OK;
    if (code == ZDM_OK && !*out_done) {
        code = pgsql_script(stage->w->s, "ROLLBACK TO before", NULL, err);
    }
    return code == ZDM_OK ? pgsql_script(stage->w->s, "RELEASE before", NULL, err) : code;
}

enum zdm_code pgsql_stage_do(struct pgsql_stage *stage, const struct zdm_step *step, bool *out_done,
                             struct zdm_error *out_why, struct zdm_error *err)
{
    const struct pgsql_clone_rule *rule = pgsql_clone_rule_of(step);
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    *out_done = false;
    return rule != NULL && rule->turn(stage, step, &sql)
               ? run_saved(stage, zdm_buffer_text(&sql), out_done, out_why, err)
               : ZDM_OK;
}

/* The condition of a bound, asked of copies of the clones as they are at this step. $1 the parent's clone, $2 its real
 * name, $3 the clone that the partition would be attached to. */
static const char asked_sql[] =
    "SELECT format('CREATE TEMPORARY TABLE \"~zdm_asked\" (LIKE %s) PARTITION BY %s', $1::text,"
    " coalesce(pg_get_partkeydef(to_regclass($2)), pg_get_partkeydef(to_regclass($1))))";
static const char condition_sql[] =
    "SELECT replace(pg_get_partition_constraintdef('pg_temp.\"~zdm_part\"'::regclass), format('%L::oid',"
    " 'pg_temp.\"~zdm_asked\"'::regclass::oid), format('%L::oid', to_regclass($1)::oid))";

static enum zdm_code ask_condition(struct pgsql_stage *stage, const struct zdm_step *step, const char *parent,
                                   const char *child, char **out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer real = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    pgsql_put_table(&real, &step->others[0]);
    const char *params[] = {parent, zdm_buffer_text(&real)};
    enum zdm_code code = pgsql_run_each(stage->w, asked_sql, 2, params, err);
    zdm_buffer_printf(&sql,
                      "CREATE TEMPORARY TABLE \"~zdm_part\" (LIKE %s); ALTER TABLE pg_temp.\"~zdm_asked\" ATTACH"
                      " PARTITION pg_temp.\"~zdm_part\" %s",
                      child, step->sql);
    if (code == ZDM_OK) {
        code = pgsql_script(stage->w->s, zdm_buffer_text(&sql), NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_query(stage->w->s, condition_sql, 1, params, &res, err);
    }
    if (code == ZDM_OK && pgsql_text(res, 0, 0) != NULL) {
        *out = zdm_strdup(pgsql_text(res, 0, 0));
    }
    return code;
}

static enum zdm_code take_condition(struct pgsql_stage *stage, const struct zdm_step *step, struct zdm_error *err)
{
    struct zdm_error why = ZDM_ERROR_INIT;
    const char *parent = pgsql_stage_name(stage, &step->others[0]), *child = pgsql_stage_name(stage, &step->table);
    char *condition = NULL;
    if (parent == NULL || child == NULL || stage->n_checks == PGSQL_STAGE_CHECKS_MAX) {
        return ZDM_OK;
    }
    enum zdm_code code = pgsql_script(stage->w->s, "SAVEPOINT asked", NULL, err);
    if (code == ZDM_OK) {
        (void)!ask_condition(stage, step, parent, child, &condition, &why);
        code = pgsql_script(stage->w->s, "ROLLBACK TO asked; RELEASE asked", NULL, err);
    }
    if (condition != NULL) {
        stage->checks[stage->n_checks++] = (struct pgsql_staged_check){step, condition};
    } else {
        note_missing(stage, step);
    }
    return code;
}

/* A type that is there needs no second one. */
static enum zdm_code make_type(struct pgsql_stage *stage, const struct zdm_step *step, struct zdm_error *err)
{
    static const char sql[] = "SELECT FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = $1"
                              " AND t.typname = $2";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    struct zdm_error why = ZDM_ERROR_INIT;
    bool done = false;
    const char *params[] = {step->table.schema, step->object};
    enum zdm_code code = pgsql_query(stage->w->s, sql, 2, params, &res, err);
    if (code != ZDM_OK || PQntuples(res) > 0 || stage->n_types == PGSQL_STAGE_TYPES_MAX) {
        return code;
    }
    code = pgsql_stage_do(stage, step, &done, &why, err);
    if (done) {
        stage->types[stage->n_types++] = step;
    }
    return code;
}

/* A value of a type that is there cannot be added here: the clones' columns are of the very type. */
static bool is_of_stage(const struct pgsql_stage *stage, const struct zdm_step *step)
{
    for (size_t i = 0; i < stage->n_types; i++) {
        if (strcmp(stage->types[i]->object, step->object) == 0 &&
            strcmp(stage->types[i]->table.schema, step->table.schema) == 0) {
            return true;
        }
    }
    return false;
}

static enum zdm_code replay_one(struct pgsql_stage *stage, const struct zdm_step *step, struct zdm_error *err)
{
    const struct pgsql_staged *staged = find_staged(stage, &step->table);
    struct zdm_error why = ZDM_ERROR_INIT;
    bool done = false;
    if (step->action == ZDM_ACTION_CREATE_TYPE) {
        return make_type(stage, step, err);
    }
    bool as_is = step->action == ZDM_ACTION_AS_IS, value = step->action == ZDM_ACTION_ADD_VALUE;
    if (as_is || (value && !is_of_stage(stage, step))) {
        note_missing(stage, step); /* all that it may do beside altering these tables */
    }
    if (value ? !is_of_stage(stage, step)
              : !as_is && (staged == NULL || (step->action == ZDM_ACTION_CREATE_TABLE && staged->there))) {
        return ZDM_OK;
    }
    enum zdm_code code = step->action == ZDM_ACTION_ADD_PARTITION_CHECK ? take_condition(stage, step, err) : ZDM_OK;
    if (code == ZDM_OK) {
        code = pgsql_stage_do(stage, step, &done, &why, err);
    }
    if (code == ZDM_OK && why.code != ZDM_OK && !is_there_already(&why)) {
        note_missing(stage, step);
    }
    return code;
}

static enum zdm_code replay(struct pgsql_stage *stage, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (uint32_t o = stage->from; code == ZDM_OK && o < stage->step->ordinal; o++) {
        const struct zdm_step *step = zdm_plan_step(stage->w->op->plan, o);
        if (zdm_step_is_for(step, ZDM_ENGINE_POSTGRESQL)) {
            code = replay_one(stage, step, err);
        }
    }
    return code;
}

/* ---- All of it ---- */

/* Where the journal stands; 1 where there is none. */
static uint32_t place(struct pgsql_work *w)
{
    struct pgsql_place place = {0};
    struct zdm_error ignored = ZDM_ERROR_INIT;
    return pgsql_journal_place(w, &place, &ignored) == ZDM_OK && place.step > 0 ? place.step : 1;
}

enum zdm_code pgsql_stage_set(struct pgsql_stage *stage, struct pgsql_work *w, const struct zdm_step *step,
                              struct zdm_error *err)
{
    *stage = (struct pgsql_stage){.w = w, .step = step, .from = place(w)};
    enum zdm_code code = add_table(stage, &step->table, PGSQL_CLONE, err);
    if (code == ZDM_OK) {
        code = add_others(stage, err);
    }
    if (code == ZDM_OK) {
        code = clone_all(stage, err);
    }
    if (code == ZDM_OK) {
        code = replay(stage, err);
    }
    bool parent = is_parted(step) && stage->n_tables > 0 && stage->tables[0].there;
    bool fresh = parent && step->action == ZDM_ACTION_ATTACH_PARTITION && pgsql_stage_makes(stage, &step->others[0]);
    if (code == ZDM_OK && fresh) {
        code = pgsql_partition_complete(w, &step->table, PGSQL_CLONE_CHILD, err);
    }
    return code == ZDM_OK && parent ? pgsql_clone_hash_checks(w, &step->table, PGSQL_CLONE, err) : code;
}

void pgsql_stage_fini(struct pgsql_stage *stage)
{
    for (size_t i = 0; i < stage->n_checks; i++) {
        free(stage->checks[i].condition);
    }
    stage->n_checks = 0;
}
