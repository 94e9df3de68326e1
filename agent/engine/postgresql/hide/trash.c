/*
 * trash.c - moving tables and types to a schema of their own, back, and dropping them there (trash.h).
 */
#include "agent/engine/postgresql/hide/trash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/hide/hidden.h"
#include "agent/engine/postgresql/change/lift.h"

/* The table and all of its partitions; $1 is its oid. */
#define TREE "(SELECT $1::oid AS oid UNION SELECT relid::oid FROM pg_partition_tree($1::oid::regclass)) AS tree"

static enum zdm_code make_schema(struct pgsql_work *w, const char *wanted, char out[ZDM_IDENTIFIER_MAX + 1],
                                 struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    char mark[ZDM_NAME_MAX + 8];
    enum zdm_code code =
        pgsql_query(w->s, "SELECT coalesce($1::text, 'zdm_trash_' || left(gen_random_uuid()::text, 8))", 1,
                    (const char *const[]){wanted}, &res, err);
    if (code != ZDM_OK) {
        return code;
    }
    zdm_copy_text(out, ZDM_IDENTIFIER_MAX + 1, pgsql_text(res, 0, 0));
    pgsql_owner_mark(mark, w->op->migration);
    zdm_buffer_puts(&sql, "CREATE SCHEMA ");
    pgsql_put_name(&sql, out);
    zdm_buffer_puts(&sql, "; COMMENT ON SCHEMA ");
    pgsql_put_name(&sql, out);
    zdm_buffer_puts(&sql, " IS ");
    pgsql_put_literal(&sql, mark);
    code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    if (code != ZDM_OK && pgsql_is_privilege(err)) {
        return zdm_error_hint(err, "GRANT CREATE ON DATABASE … to the agent's role (deploy/sql/postgresql-grants.sql): "
                                   "what is dropped waits in a schema of its own.");
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while making schema %s", out);
}

/* Foreign keys from the tree to tables outside of it. */
#define OUTGOING                                                                                                       \
    " FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace"        \
    " JOIN pg_class p ON p.oid = c.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace"                          \
    " WHERE c.contype = 'f' AND c.conparentid = 0 AND c.conrelid IN (SELECT oid FROM " TREE ")"                        \
    " AND c.confrelid NOT IN (SELECT oid FROM " TREE ")"

enum zdm_code pgsql_trash_lock_parents(struct pgsql_short *attempt, const struct pgsql_table *table,
                                       struct zdm_error *err)
{
    static const char sql[] = "SELECT DISTINCT pn.nspname, p.relname" OUTGOING " ORDER BY 1, 2";
    return pgsql_short_lock_parents(attempt, sql, 1, (const char *const[]){table->oid}, PGSQL_ACCESS_EXCLUSIVE, err);
}

/* A statement that the server writes from the catalogue, where there is anything to do. $1 the table's oid. */
static enum zdm_code run_written(struct pgsql_work *w, const struct pgsql_table *table, const char *select,
                                 struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, select, 1, (const char *const[]){table->oid}, &res, err);
    bool any = code == ZDM_OK && PQntuples(res) == 1 && pgsql_text(res, 0, 0) != NULL;
    return any ? pgsql_script(w->s, pgsql_text(res, 0, 0), NULL, err) : code;
}

static enum zdm_code lift_foreign_keys(struct pgsql_short *attempt, const struct pgsql_table *table, const char *schema,
                                       bool by_rollback, struct zdm_error *err)
{
    static const char which[] = "SELECT array_agg(c.oid), min(c.conname) FILTER (WHERE r.relkind = 'p')" OUTGOING;
    struct pgsql_work *w = attempt->w;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, which, 1, (const char *const[]){table->oid}, &res, err);
    if (code != ZDM_OK || pgsql_text(res, 0, 0) == NULL) {
        return code;
    }
    if (!by_rollback && pgsql_text(res, 0, 1) != NULL) {
        zdm_error_set(err, ZDM_REFUSED, "foreign key %s of the partitioned table %s.%s could not be brought back",
                      pgsql_text(res, 0, 1), table->schema, table->name);
        zdm_error_detail(err, "The server adds it to a partitioned table only while it blocks writers.");
        return zdm_error_hint(err, "Drop it yourself first.");
    }
    code = pgsql_trash_lock_parents(attempt, table, err);
    if (code == ZDM_OK && !by_rollback) {
        code = pgsql_lift_keep(w, pgsql_text(res, 0, 0), schema, err);
    }
    return code == ZDM_OK ? run_written(w, table,
                                        "SELECT string_agg(format('ALTER TABLE %I.%I DROP CONSTRAINT %I', n.nspname,"
                                        " r.relname, c.conname), '; ')" OUTGOING,
                                        err)
                          : code;
}

static enum zdm_code keep_table(struct pgsql_work *w, const struct pgsql_table *table, const char *schema,
                                bool by_rollback, struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.hidden (migration, step, schema_name, table_name, kind, name, hidden_name, by_rollback,"
        " definition, validated, comment) SELECT $2::text, $3::int4, n.nspname, c.relname, CASE WHEN c.oid = $1::oid"
        " THEN 'table' ELSE 'partition' END, c.relname, $4::text, $5::bool, '', true, obj_description(c.oid, "
        "'pg_class')"
        " FROM " TREE " JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON n.oid = c.relnamespace";
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *params[] = {table->oid, w->op->migration, step, schema, by_rollback ? "t" : "f"};
    enum zdm_code code = pgsql_query(w->s, sql, 5, params, NULL, err);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while writing zdm.hidden");
}

/* COMMENT ON TABLE s.n IS '…'; kind is a word of SQL. NULL takes the comment away. */
static void put_comment(struct zdm_buffer *b, const char *kind, const char *schema, const char *name, const char *text)
{
    zdm_buffer_printf(b, "COMMENT ON %s ", kind);
    pgsql_put_table(b, &(struct zdm_table){(char *)schema, (char *)name});
    zdm_buffer_puts(b, " IS ");
    if (text == NULL) {
        zdm_buffer_puts(b, "NULL");
    } else {
        pgsql_put_literal(b, text);
    }
}

static void put_move(struct zdm_buffer *b, const char *kind, const char *schema, const char *name, const char *to)
{
    zdm_buffer_printf(b, "ALTER %s ", kind);
    pgsql_put_table(b, &(struct zdm_table){(char *)schema, (char *)name});
    zdm_buffer_puts(b, " SET SCHEMA ");
    pgsql_put_name(b, to);
    zdm_buffer_puts(b, "; ");
}

static enum zdm_code move_tree(struct pgsql_work *w, const struct pgsql_table *table, const char *schema,
                               struct zdm_error *err)
{
    static const char sql[] = "SELECT n.nspname, c.relname FROM " TREE " JOIN pg_class c ON c.oid = tree.oid"
                              " JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY c.oid = $1::oid DESC, 1, 2";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer move = ZDM_BUFFER_INIT;
    char mark[ZDM_NAME_MAX + 8];
    enum zdm_code code = pgsql_query(w->s, sql, 1, (const char *const[]){table->oid}, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        put_move(&move, "TABLE", pgsql_text(res, i, 0), pgsql_text(res, i, 1), schema);
    }
    pgsql_owner_mark(mark, w->op->migration);
    put_comment(&move, "TABLE", schema, table->name, mark);
    return code == ZDM_OK ? pgsql_script(w->s, zdm_buffer_text(&move), NULL, err) : code;
}

enum zdm_code pgsql_trash_put_table(struct pgsql_short *attempt, const struct zdm_table *table, const char *schema,
                                    bool by_rollback, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    struct pgsql_table found;
    char to[ZDM_IDENTIFIER_MAX + 1] = "";
    enum zdm_code code = pgsql_table_find(w->s, table, &found, err);
    if (code == ZDM_OK) {
        code = make_schema(w, schema, to, err);
    }
    if (code == ZDM_OK) {
        code = lift_foreign_keys(attempt, &found, to, by_rollback, err);
    }
    if (code == ZDM_OK) {
        code = keep_table(w, &found, to, by_rollback, err);
    }
    return code == ZDM_OK ? move_tree(w, &found, to, err) : code;
}

enum zdm_code pgsql_trash_put_type(struct pgsql_short *attempt, const struct zdm_table *type, const char *schema,
                                   bool by_rollback, struct zdm_error *err)
{
    static const char keep[] =
        "INSERT INTO zdm.hidden (migration, step, schema_name, table_name, kind, name, hidden_name, by_rollback,"
        " definition, validated, comment) SELECT $1::text, $2::int4, nspname, '', 'type', typname, $5::text, $6::bool,"
        " '', true, obj_description(t.oid, 'pg_type') FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace"
        " WHERE nspname = $3 AND typname = $4";
    struct pgsql_work *w = attempt->w;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer move = ZDM_BUFFER_INIT;
    char to[ZDM_IDENTIFIER_MAX + 1] = "", step[16], mark[ZDM_NAME_MAX + 8];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    pgsql_owner_mark(mark, w->op->migration);
    enum zdm_code code = make_schema(w, schema, to, err);
    if (code == ZDM_OK) {
        const char *params[] = {w->op->migration, step, type->schema, type->name, to, by_rollback ? "t" : "f"};
        code = pgsql_query(w->s, keep, 6, params, NULL, err);
    }
    put_move(&move, "TYPE", type->schema, type->name, to);
    put_comment(&move, "TYPE", to, type->name, mark);
    return code == ZDM_OK ? pgsql_script(w->s, zdm_buffer_text(&move), NULL, err) : code;
}

/* ---- Back, and gone ---- */

static void put_drop_schema(struct zdm_buffer *b, const char *schema)
{
    zdm_buffer_puts(b, "DROP SCHEMA IF EXISTS ");
    pgsql_put_name(b, schema);
    zdm_buffer_puts(b, " RESTRICT");
}

enum zdm_code pgsql_trash_back(struct pgsql_short *attempt, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT kind, schema_name, name, hidden_name, comment FROM zdm.hidden WHERE migration = $1 AND step = $2::int4"
        " AND NOT by_rollback AND kind IN ('table', 'partition') ORDER BY kind DESC, schema_name, name";
    struct pgsql_work *w = attempt->w;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer move = ZDM_BUFFER_INIT;
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){w->op->migration, step}, &res, err);
    if (code != ZDM_OK || PQntuples(res) == 0) {
        return code != ZDM_OK ? code
                              : zdm_error_set(err, ZDM_CORRUPT, "zdm.hidden does not say how table %s was hidden",
                                              w->step->table.name);
    }
    for (int i = 0; i < PQntuples(res); i++) {
        put_move(&move, "TABLE", pgsql_text(res, i, 3), pgsql_text(res, i, 2), pgsql_text(res, i, 1));
        if (strcmp(pgsql_text(res, i, 0), "table") == 0) {
            put_comment(&move, "TABLE", pgsql_text(res, i, 1), pgsql_text(res, i, 2), pgsql_text(res, i, 4));
            zdm_buffer_puts(&move, "; ");
        }
    }
    put_drop_schema(&move, pgsql_text(res, 0, 3));
    return pgsql_script(w->s, zdm_buffer_text(&move), NULL, err);
}

/* Is it there, and this migration's? */
static enum zdm_code find_trash(struct pgsql_work *w, const char *kind, const char *schema, const char *name,
                                bool *there, bool *ours, struct zdm_error *err)
{
    static const char table[] =
        "SELECT obj_description(c.oid, 'pg_class') FROM pg_class c JOIN pg_namespace n"
        " ON n.oid = relnamespace WHERE nspname = $1 AND relname = $2 AND relkind IN ('r', 'p')";
    static const char type[] = "SELECT obj_description(t.oid, 'pg_type') FROM pg_type t JOIN pg_namespace n"
                               " ON n.oid = typnamespace WHERE nspname = $1 AND typname = $2";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *sql = strcmp(kind, "type") == 0 ? type : table;
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){schema, name}, &res, err);
    *there = code == ZDM_OK && PQntuples(res) > 0;
    *ours = *there && pgsql_is_owner(pgsql_text(res, 0, 0), w->op->migration);
    return code;
}

static enum zdm_code lock_trash(struct pgsql_short *attempt, const char *schema, const char *name,
                                struct zdm_error *err)
{
    struct pgsql_table table;
    struct zdm_table as = {(char *)schema, (char *)name};
    enum zdm_code code = pgsql_table_find(attempt->w->s, &as, &table, err);
    if (code == ZDM_OK) {
        code = pgsql_short_lock(attempt, &table, PGSQL_ACCESS_EXCLUSIVE, err);
    }
    return code == ZDM_OK ? pgsql_trash_lock_parents(attempt, &table, err) : code;
}

enum zdm_code pgsql_trash_drop(struct pgsql_short *attempt, const char *kind, const char *schema, const char *name,
                               struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    bool there = false, ours = false, type = strcmp(kind, "type") == 0;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    char what[ZDM_IDENTIFIER_MAX + 16];
    enum zdm_code code = find_trash(w, kind, schema, name, &there, &ours, err);
    if (code != ZDM_OK) {
        return code;
    }
    if (there && !ours) {
        return zdm_error_set(err, ZDM_EXISTS, "%s %s.%s is there and was not hidden by this migration", kind, schema,
                             name);
    }
    if (there && !type) {
        code = lock_trash(attempt, schema, name, err);
    }
    if (there) {
        zdm_buffer_puts(&sql, type ? "DROP TYPE " : "DROP TABLE ");
        pgsql_put_table(&sql, &(struct zdm_table){(char *)schema, (char *)name});
        zdm_buffer_puts(&sql, " RESTRICT; ");
    }
    put_drop_schema(&sql, schema);
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    }
    snprintf(what, sizeof what, "%s %s", kind, name);
    return code == ZDM_OK ? ZDM_OK : pgsql_lift_explain(what, "dropped", err);
}

/* ---- Proofs ---- */

static enum zdm_code look_at_both(struct pgsql_work *w, bool *hidden, bool *plain, struct zdm_error *err)
{
    struct pgsql_table table;
    bool there = false;
    enum zdm_code code = find_trash(w, "table", w->step->object, w->step->table.name, &there, hidden, err);
    if (code == ZDM_OK) {
        code = pgsql_table_find(w->s, &w->step->table, &table, err);
        *plain = code == ZDM_OK;
    }
    if (code == ZDM_NOT_FOUND) {
        zdm_error_clear(err);
        code = ZDM_OK;
    }
    if (code == ZDM_OK && there && !*hidden) {
        zdm_error_set(err, ZDM_EXISTS, "table %s.%s is there and was not hidden by this migration", w->step->object,
                      w->step->table.name);
    }
    return code;
}

enum zdm_code pgsql_trash_schema(struct pgsql_work *w, bool *out, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", 1,
                                     (const char *const[]){w->step->object}, &res, err);
    *out = code == ZDM_OK && pgsql_true(res, 0, 0);
    return code;
}

enum zdm_code pgsql_trash_look(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                               struct zdm_error *err)
{
    (void)table;
    bool hidden = false, plain = false, schema = false;
    enum zdm_code code = look_at_both(w, &hidden, &plain, err);
    if (code != ZDM_OK || err->code == ZDM_EXISTS) {
        *out_proof = AGENT_PROOF_FOREIGN;
        return code;
    }
    if (w->step->action == ZDM_ACTION_PURGE_TABLE) {
        bool none = false;
        code = pgsql_trash_schema(w, &schema, err);
        if (code == ZDM_OK) {
            code = pgsql_leftovers_look(w, &none, err);
        }
        *out_proof = schema || !none ? AGENT_PROOF_NOT_DONE : AGENT_PROOF_DONE;
        return code;
    }
    if (!hidden && !plain) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "table %s.%s does not exist", w->step->table.schema,
                             w->step->table.name);
    }
    *out_proof = hidden ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
    return ZDM_OK;
}

enum zdm_code pgsql_trash_look_back(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    (void)table;
    bool hidden = false, plain = false;
    struct agent_result *r = w->result;
    enum zdm_code code = look_at_both(w, &hidden, &plain, err);
    if (code != ZDM_OK || err->code == ZDM_EXISTS) {
        r->proof = AGENT_PROOF_FOREIGN;
        return code;
    }
    if (!hidden) {
        return pgsql_lift_look_back(w, NULL, err);
    }
    r->proof = plain ? AGENT_PROOF_FOREIGN : AGENT_PROOF_NOT_DONE;
    r->next_run = AGENT_RUN_UNHIDE;
    if (plain) {
        zdm_error_set(err, ZDM_EXISTS, "table %s.%s is there and is not the one that was hidden", w->step->table.schema,
                      w->step->table.name);
        zdm_error_hint(err, "Rename it or drop it; the hidden one comes back under this name.");
    }
    return ZDM_OK;
}
