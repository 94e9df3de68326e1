/*
 * clone_kinds.c - each kind's statement turned to the clones, and what it needs there (clone.h).
 */
#include "agent/engine/postgresql/clone/clone.h"

#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/change/partition.h"
#include "agent/engine/postgresql/clone/retarget.h"

enum { SCRIPT_MAX = 20 };

static const char *clone_of(const struct pgsql_stage *stage, const struct zdm_step *step)
{
    const char *name = pgsql_stage_name(stage, &step->table);
    return name == NULL ? PGSQL_CLONE : name;
}

/* ---- Turning ---- */

static bool turn_alter(const struct pgsql_stage *stage, const struct zdm_step *step, struct zdm_buffer *out)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer half = ZDM_BUFFER_INIT;
    if (!pgsql_retarget(&half, step->sql, &step->table, clone_of(stage, step))) {
        return false;
    }
    pgsql_stage_names(stage, zdm_buffer_text(&half), out);
    return true;
}

static bool turn_index(const struct pgsql_stage *stage, const struct zdm_step *step, struct zdm_buffer *out)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer half = ZDM_BUFFER_INIT;
    if (!pgsql_retarget_index(&half, step->sql, &step->table, clone_of(stage, step))) {
        return false;
    }
    pgsql_stage_names(stage, zdm_buffer_text(&half), out);
    return true;
}

static bool turn_table(const struct pgsql_stage *stage, const struct zdm_step *step, struct zdm_buffer *out)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer half = ZDM_BUFFER_INIT;
    if (!pgsql_retarget_head(&half, step->sql, "CREATE", "TABLE", &step->table, clone_of(stage, step))) {
        return false;
    }
    pgsql_stage_names(stage, zdm_buffer_text(&half), out);
    return true;
}

static bool turn_type(const struct pgsql_stage *stage, const struct zdm_step *step, struct zdm_buffer *out)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
    struct zdm_table type = {step->table.schema, step->object};
    (void)stage;
    pgsql_put_table(&name, &(struct zdm_table){(char *)(uintptr_t) "pg_temp", step->object});
    return step->action == ZDM_ACTION_CREATE_TYPE
               ? pgsql_retarget_head(out, step->sql, "CREATE", "TYPE", &type, zdm_buffer_text(&name))
               : pgsql_retarget_head(out, step->sql, "ALTER", "TYPE", &type, zdm_buffer_text(&name));
}

static bool turn_partition(const struct pgsql_stage *stage, const struct zdm_step *step, struct zdm_buffer *out)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer half = ZDM_BUFFER_INIT;
    const char *child = step->n_others == 0 ? NULL : pgsql_stage_name(stage, &step->others[0]);
    bool attach = step->action == ZDM_ACTION_ATTACH_PARTITION;
    /* Before another step: tables that are partitions of clones which are not partitioned. */
    return step == stage->step && child != NULL &&
           pgsql_retarget(&half, step->sql, &step->table, clone_of(stage, step)) &&
           pgsql_retarget_partition(out, zdm_buffer_text(&half), attach ? "ATTACH" : "DETACH", &step->others[0], child);
}

static bool turn_condition(const struct pgsql_stage *stage, const struct zdm_step *step, struct zdm_buffer *out)
{
    for (size_t i = 0; i < stage->n_checks; i++) {
        if (stage->checks[i].step == step) {
            zdm_buffer_printf(out, "ALTER TABLE %s ADD CONSTRAINT ", clone_of(stage, step));
            pgsql_put_name(out, step->object);
            zdm_buffer_printf(out, " CHECK (%s) NOT VALID", stage->checks[i].condition);
            return true;
        }
    }
    return false;
}

static bool turn_lift(const struct pgsql_stage *stage, const struct zdm_step *step, struct zdm_buffer *out)
{
    zdm_buffer_printf(out, "ALTER TABLE %s DROP CONSTRAINT ", clone_of(stage, step));
    pgsql_put_name(out, step->object);
    return true;
}

/* Constraints and indexes of a hidden column are out of the way as well. */
static bool turn_hide(const struct pgsql_stage *stage, const struct zdm_step *step, struct zdm_buffer *out)
{
    zdm_buffer_printf(out, "ALTER TABLE %s DROP COLUMN ", clone_of(stage, step));
    pgsql_put_name(out, step->column);
    zdm_buffer_puts(out, " CASCADE");
    return true;
}

/* What no temporary table can do, or what would tie it to a real one. */
static bool is_of_real_tables(const char *command)
{
    static const char *const words[] = {
        "SET SCHEMA", "RENAME TO", "INHERIT", "NO INHERIT", "CLUSTER ON", "REPLICA IDENTITY USING", "OF"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (pgsql_begins_with(command, words[i])) {
            return true;
        }
    }
    return false;
}

static bool has_command_of_real_tables(const char *commands)
{
    for (const char *c = commands; c != NULL; c = pgsql_next_command(c)) {
        if (is_of_real_tables(c)) {
            return true;
        }
    }
    return false;
}

/* The statement turned to whichever table on stage it alters. */
static bool turn_statement(const struct pgsql_stage *stage, const char *sql, struct zdm_buffer *out)
{
    for (size_t i = 0; i < stage->n_tables; i++) {
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer half = ZDM_BUFFER_INIT;
        const struct pgsql_staged *staged = &stage->tables[i];
        if (pgsql_retarget(&half, sql, staged->table, staged->name)) {
            size_t head = strlen("ALTER TABLE ") + strlen(staged->name);
            if (has_command_of_real_tables(zdm_buffer_text(&half) + head)) {
                return false;
            }
            pgsql_stage_names(stage, zdm_buffer_text(&half), out);
            zdm_buffer_puts(out, ";");
            return true;
        }
    }
    return false;
}

/* Those of its statements that alter a table on stage. */
static bool turn_script(const struct pgsql_stage *stage, const struct zdm_step *step, struct zdm_buffer *out)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer statement = ZDM_BUFFER_INIT;
    const char *sql = step->sql;
    size_t n = 0;
    for (int i = 0; i < SCRIPT_MAX && pgsql_next_statement(&sql, &statement); i++) {
        n += turn_statement(stage, zdm_buffer_text(&statement), out);
    }
    return n > 0;
}

/* ---- Preparing ---- */

/* The index under its own name, in the clone's schema. One that is not there yet was made by what went before, or
 * cannot be tried. */
static enum zdm_code prepare_index(struct pgsql_stage *stage, bool *ready, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT format('CREATE UNIQUE INDEX %I ON %s ', ic.relname, $4::text) || substr(pg_get_indexdef(ic.oid),"
        " length(format('CREATE UNIQUE INDEX %I ON %I.%I ', ic.relname, n.nspname, c.relname)) + 1)"
        " FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND ic.relname = $3"
        " AND i.indisunique AND c.relkind = 'r'";
    const struct zdm_step *step = stage->step;
    const char *params[] = {step->table.schema, step->table.name, step->object, PGSQL_CLONE};
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_run_each(stage->w, sql, 4, params, err);
    if (code == ZDM_OK) {
        code = pgsql_query(stage->w->s,
                           "SELECT FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relname = $1"
                           " AND relkind = 'i'",
                           1, (const char *const[]){step->object}, &res, err);
    }
    *ready = code == ZDM_OK && PQntuples(res) > 0;
    return code;
}

/* Is the partition's clone one of the parent's? */
static enum zdm_code prepare_detach(struct pgsql_stage *stage, bool *ready, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(
        stage->w->s, "SELECT FROM pg_inherits WHERE inhparent = to_regclass($1) AND inhrelid = to_regclass($2)", 2,
        (const char *const[]){PGSQL_CLONE, PGSQL_CLONE_CHILD}, &res, err);
    *ready = code == ZDM_OK && PQntuples(res) > 0;
    return code;
}

/* ---- The rules ---- */

static const struct pgsql_clone_rule rules[] = {
    {ZDM_ACTION_ADD_COLUMN, false, true, NULL, turn_alter},
    {ZDM_ACTION_ADD_CHECK, false, true, NULL, turn_alter},
    {ZDM_ACTION_SET_NOT_NULL, false, true, NULL, turn_alter},
    {ZDM_ACTION_DROP_CONSTRAINT, true, true, NULL, turn_alter},
    {ZDM_ACTION_VALIDATE, true, true, NULL, turn_alter},
    {ZDM_ACTION_CREATE_INDEX, false, false, NULL, turn_index},
    {ZDM_ACTION_HIDE_COLUMN, false, false, NULL, turn_hide},
    {ZDM_ACTION_ADD_FOREIGN_KEY, false, true, NULL, turn_alter},
    {ZDM_ACTION_ADD_UNIQUE, false, true, prepare_index, turn_alter},
    {ZDM_ACTION_ADD_PRIMARY_KEY, false, true, prepare_index, turn_alter},
    {ZDM_ACTION_LIFT_CONSTRAINT, true, true, NULL, turn_lift},
    {ZDM_ACTION_DROP_NOT_NULL, false, true, NULL, turn_alter},
    {ZDM_ACTION_SET_DEFAULT, false, true, NULL, turn_alter},
    {ZDM_ACTION_SET_STORAGE, false, true, NULL, turn_alter},
    {ZDM_ACTION_WIDEN_TYPE, true, true, NULL, turn_alter},
    {ZDM_ACTION_CREATE_TABLE, false, true, NULL, turn_table},
    {ZDM_ACTION_CREATE_TYPE, false, true, NULL, turn_type},
    {ZDM_ACTION_ADD_VALUE, false, false, NULL, turn_type},
    {ZDM_ACTION_ADD_PARTITION_CHECK, false, false, NULL, turn_condition},
    {ZDM_ACTION_ATTACH_PARTITION, true, true, NULL, turn_partition},
    {ZDM_ACTION_DETACH_PARTITION, true, true, prepare_detach, turn_partition},
    {ZDM_ACTION_AS_IS, true, true, NULL, turn_script},
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
