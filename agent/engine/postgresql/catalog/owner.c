/*
 * owner.c - see owner.h.
 */
#include "agent/engine/postgresql/catalog/owner.h"

#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/session/classify.h"

bool pgsql_runs_as_owner(const struct zdm_step *step)
{
    return step->action == ZDM_ACTION_CREATE_TABLE || step->action == ZDM_ACTION_CREATE_TYPE ||
           step->action == ZDM_ACTION_AS_IS;
}

static const char *schema_of(const struct zdm_step *step)
{
    return step->table.schema == NULL || step->table.schema[0] == '\0' ? "public" : step->table.schema;
}

/* $1 the setting or NULL, $2 the schema, $3 how membership is asked for. Of extensions' tables nobody thinks. */
static const char find_sql[] =
    "WITH owners AS (SELECT DISTINCT r.rolname FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace JOIN"
    " pg_roles r ON r.oid = c.relowner WHERE s.nspname = $2 AND c.relkind IN ('r', 'p') AND NOT EXISTS (SELECT FROM"
    " pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))"
    " SELECT (SELECT count(*) FROM owners), (SELECT string_agg(rolname, ', ' ORDER BY rolname) FROM owners), r.rolname,"
    " pg_has_role(session_user, r.oid, $3), (SELECT has_schema_privilege(r.oid, oid, 'CREATE') FROM pg_namespace"
    " WHERE nspname = $2), session_user FROM (SELECT coalesce($1::text, (SELECT min(rolname) FROM owners))) AS wanted"
    " (name) LEFT JOIN pg_roles r ON r.rolname = wanted.name";

static const char setting_hint[] =
    "Set `owner` in the agent's settings (beside dsn) to the role that owns the application's tables.";

static enum zdm_code refuse_unclear(const struct zdm_step *step, const PGresult *res, struct zdm_error *err)
{
    if (pgsql_int(res, 0, 0) == 0) {
        zdm_error_set(err, ZDM_REFUSED,
                      "nothing says whose what step %s makes shall be: nobody owns a table in schema %s", step->id,
                      schema_of(step));
    } else {
        zdm_error_set(err, ZDM_REFUSED,
                      "nothing says whose what step %s makes shall be: the tables of schema %s belong to %.200s",
                      step->id, schema_of(step), pgsql_text(res, 0, 1));
    }
    return zdm_error_hint(err, "%s", setting_hint);
}

static enum zdm_code judge(struct pgsql_work *w, const PGresult *res, struct zdm_error *err)
{
    const char *setting = w->s->target->owner, *role = pgsql_text(res, 0, 2), *schema = schema_of(w->step);
    const char *agent = pgsql_text(res, 0, 5);
    if (setting == NULL && (pgsql_int(res, 0, 0) != 1 || role == NULL)) {
        return refuse_unclear(w->step, res, err);
    }
    if (role == NULL) {
        zdm_error_set(err, ZDM_REFUSED, "the role %s, the setting owner of the agent, does not exist", setting);
        return zdm_error_hint(err, "%s", setting_hint);
    }
    if (!pgsql_true(res, 0, 3)) {
        zdm_error_set(err, ZDM_REFUSED,
                      "the agent's role %s may not make anything for %s, who owns the application's tables", agent,
                      role);
        return zdm_error_hint(err, "GRANT %s TO %s; or name another role with `owner` in the agent's settings.", role,
                              agent);
    }
    if (w->step->action != ZDM_ACTION_AS_IS && pgsql_text(res, 0, 4) != NULL && !pgsql_true(res, 0, 4)) {
        zdm_error_set(err, ZDM_REFUSED, "the owner of the application's tables, %s, may not make anything in schema %s",
                      role, schema);
        return zdm_error_hint(err, "GRANT USAGE, CREATE ON SCHEMA %s TO %s;", schema, role);
    }
    return ZDM_OK;
}

enum zdm_code pgsql_owner_find(struct pgsql_work *w, struct pgsql_owner *out, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    /* Since PostgreSQL 16 a member need not be allowed to SET ROLE. */
    const char *params[] = {w->s->target->owner, schema_of(w->step), w->s->version_num >= 160000 ? "SET" : "MEMBER"};
    enum zdm_code code = pgsql_query(w->s, find_sql, 3, params, &res, err);
    *out = (struct pgsql_owner){.role = ""};
    if (code == ZDM_OK) {
        code = judge(w, res, err);
    }
    if (code == ZDM_OK) {
        zdm_copy_text(out->role, sizeof out->role, pgsql_text(res, 0, 2));
    }
    return code;
}

static enum zdm_code current_role(struct pgsql_work *w, char out[ZDM_IDENTIFIER_MAX + 1], struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, "SELECT current_user", 0, NULL, &res, err);
    if (code == ZDM_OK) {
        zdm_copy_text(out, ZDM_IDENTIFIER_MAX + 1, pgsql_text(res, 0, 0));
    }
    return code;
}

enum zdm_code pgsql_owner_enter(struct pgsql_work *w, struct pgsql_owner *owner, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    enum zdm_code code = pgsql_owner_find(w, owner, err);
    if (code == ZDM_OK) {
        code = current_role(w, owner->before, err);
    }
    bool local = PQtransactionStatus(w->s->conn) == PQTRANS_INTRANS;
    zdm_buffer_puts(&sql, local ? "SET LOCAL ROLE " : "SET ROLE ");
    pgsql_put_name(&sql, owner->role);
    return code == ZDM_OK ? pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err) : code;
}

enum zdm_code pgsql_owner_leave(struct pgsql_work *w, const struct pgsql_owner *owner, struct zdm_error *err)
{
    char now[ZDM_IDENTIFIER_MAX + 1] = "";
    /* For the session, not LOCAL: a statement that sets the role itself would have the last word otherwise. */
    enum zdm_code code = pgsql_script(w->s, "RESET ROLE", NULL, err);
    if (code == ZDM_OK) {
        code = current_role(w, now, err);
    }
    if (code == ZDM_OK && strcmp(now, owner->before) != 0) {
        return zdm_error_set(err, ZDM_REFUSED, "the session goes on as %s, and not as %s, after the statement", now,
                             owner->before);
    }
    return code;
}

enum zdm_code pgsql_owner_explain(const struct pgsql_owner *owner, enum zdm_code code, struct zdm_error *err)
{
    if (code != ZDM_OK && pgsql_is_privilege(err) && err->hint[0] == '\0') {
        zdm_error_hint(err,
                       "It ran as %s, who owns the application's tables: grant that role what is missing, or let "
                       "an administrator make the change.",
                       owner->role);
    }
    return code;
}
