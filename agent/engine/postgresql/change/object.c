/*
 * object.c - tables and types that a migration makes, and values of an enum.
 *
 * They are made as the role that owns the application's tables (owner.h). A rollback never drops what holds data: it
 * goes into a schema of its own (trash.h) until it is purged.
 */
#include "agent/engine/postgresql/change/ddl.h"
#include "agent/engine/postgresql/looks.h"
#include "agent/engine/postgresql/catalog/owner.h"
#include "agent/engine/postgresql/hide/trash.h"

static enum zdm_code look_at_object(struct pgsql_work *w, const char *sql, const char *name, bool *out_there,
                                    bool *out_ours, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){w->step->table.schema, name}, &res, err);
    *out_there = code == ZDM_OK && PQntuples(res) > 0;
    *out_ours = *out_there && pgsql_is_owner(pgsql_text(res, 0, 0), w->op->migration);
    return code;
}

static const char table_sql[] = "SELECT obj_description(c.oid, 'pg_class') FROM pg_class c JOIN pg_namespace n ON"
                                " n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2";
static const char type_sql[] = "SELECT obj_description(t.oid, 'pg_type') FROM pg_type t JOIN pg_namespace n ON"
                               " n.oid = t.typnamespace WHERE n.nspname = $1 AND t.typname = $2";

static enum zdm_code look_at_created(struct pgsql_work *w, const char *sql, const char *what, const char *name,
                                     enum agent_proof *out_proof, struct zdm_error *err)
{
    bool there = false, ours = false;
    enum zdm_code code = look_at_object(w, sql, name, &there, &ours, err);
    *out_proof = pgsql_done_if(there);
    return code != ZDM_OK || !there || ours ? code : pgsql_look_foreign(out_proof, NULL, what, name, err);
}

enum zdm_code pgsql_look_created_table(struct pgsql_work *w, const struct pgsql_table *table,
                                       enum agent_proof *out_proof, struct zdm_error *err)
{
    (void)table;
    return look_at_created(w, table_sql, "relation", w->step->table.name, out_proof, err);
}

enum zdm_code pgsql_look_created_type(struct pgsql_work *w, const struct pgsql_table *table,
                                      enum agent_proof *out_proof, struct zdm_error *err)
{
    (void)table;
    return look_at_created(w, type_sql, "type", w->step->object, out_proof, err);
}

enum zdm_code pgsql_look_value(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                               struct zdm_error *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM pg_enum e WHERE e.enumtypid = t.oid AND e.enumlabel = $3) FROM pg_type t"
        " JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = $1 AND t.typname = $2 AND t.typtype = 'e'";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {w->step->table.schema, w->step->object, w->step->column};
    (void)table;
    enum zdm_code code = pgsql_query(w->s, sql, 3, params, &res, err);
    if (code == ZDM_OK && PQntuples(res) == 0) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "there is no enum %s.%s", w->step->table.schema, w->step->object);
    }
    if (code == ZDM_OK) {
        *out_proof = pgsql_done_if(pgsql_true(res, 0, 0));
    }
    return code;
}

enum zdm_code pgsql_create(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    struct pgsql_owner owner;
    (void)table;
    enum zdm_code code = pgsql_owner_enter(w, &owner, err);
    if (code == ZDM_OK) {
        code = pgsql_owner_explain(&owner, pgsql_run_statement(w, w->step->sql, err), err);
    }
    return code == ZDM_OK ? pgsql_owner_leave(w, &owner, err) : code;
}

enum zdm_code pgsql_back_of_created_table(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    bool there = false, ours = false;
    (void)table;
    enum zdm_code code = look_at_object(w, table_sql, w->step->table.name, &there, &ours, err);
    return code == ZDM_OK ? pgsql_answer_back(w, !ours, AGENT_RUN_UNDO_DDL) : code;
}

enum zdm_code pgsql_back_of_created_type(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    bool there = false, ours = false;
    (void)table;
    enum zdm_code code = look_at_object(w, type_sql, w->step->object, &there, &ours, err);
    return code == ZDM_OK ? pgsql_answer_back(w, !ours, AGENT_RUN_UNDO_DDL) : code;
}

enum zdm_code pgsql_undo_created_table(struct pgsql_short *attempt, const struct pgsql_table *table,
                                       struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    struct pgsql_table found;
    (void)table;
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &found, err);
    if (code == ZDM_OK) {
        code = pgsql_short_lock(attempt, &found, PGSQL_ACCESS_EXCLUSIVE, err);
    }
    return code == ZDM_OK ? pgsql_trash_put_table(attempt, &w->step->table, NULL, true, err) : code;
}

enum zdm_code pgsql_undo_created_type(struct pgsql_short *attempt, const struct pgsql_table *table,
                                      struct zdm_error *err)
{
    const struct zdm_step *step = attempt->w->step;
    (void)table;
    return pgsql_trash_put_type(attempt, &(struct zdm_table){step->table.schema, step->object}, NULL, true, err);
}
