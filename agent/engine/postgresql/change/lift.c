/*
 * lift.c - one constraint or NOT NULL on its way out, and the proof of both ways (lift.h).
 */
#include "agent/engine/postgresql/change/lift.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/hide/hidden.h"
#include "agent/engine/postgresql/online/index.h"
#include "agent/engine/postgresql/journal/journal.h"

/* Of the row `c`: is it about periods, WITHOUT OVERLAPS or PERIOD? Servers before PostgreSQL 18 have no such column. */
#define OF_PERIODS "coalesce((to_jsonb(c) ->> 'conperiod')::bool, false)"

/* $1 constraints, $2 migration, $3 step, $4 hidden name. Statements name the table as it is called when this is
 * written. One that is there NOT VALID, because rows violated it on an earlier way back, is still to be validated. */
static const char keep_sql[] =
    "INSERT INTO zdm.hidden AS h (migration, step, schema_name, table_name, kind, name, hidden_name, definition,"
    " validated, comment, parent_schema, parent_table, back_sql, long_sql, finish_sql, violated_by)"
    " SELECT $2::text, $3::int4, nsp, rel, CASE contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key' WHEN 'p' THEN"
    " 'primary key' ELSE 'unique' END, conname, $4::text, def, convalidated, note, pn.nspname, p.relname,"
    " CASE WHEN contype IN ('c', 'f') THEN format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', nsp, rel, conname, def)"
    "  || CASE WHEN convalidated THEN ' NOT VALID' ELSE '' END || about END,"
    " CASE WHEN contype IN ('u', 'p') THEN regexp_replace(pg_get_indexdef(conindid), '^CREATE UNIQUE INDEX ',"
    "   'CREATE UNIQUE INDEX CONCURRENTLY ') || coalesce(' TABLESPACE ' || quote_ident(spcname), '')"
    "  WHEN convalidated THEN format('ALTER TABLE %I.%I VALIDATE CONSTRAINT %I', nsp, rel, conname) END,"
    " CASE WHEN contype IN ('u', 'p') THEN format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s USING INDEX %I', nsp, rel,"
    "   conname, CASE contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END, i.relname)"
    "   || CASE WHEN condeferrable THEN ' DEFERRABLE' ELSE '' END"
    "   || CASE WHEN condeferred THEN ' INITIALLY DEFERRED' ELSE '' END || about"
    "   || coalesce(format('; COMMENT ON INDEX %I.%I IS %L', nsp, conname, obj_description(conindid, 'pg_class')), '')"
    "   || CASE WHEN indisclustered THEN format('; ALTER TABLE %I.%I CLUSTER ON %I', nsp, rel, conname) ELSE '' END"
    "   || CASE WHEN indisreplident AND contype = 'u' THEN"
    "      format('; ALTER TABLE %I.%I REPLICA IDENTITY USING INDEX %I', nsp, rel, conname) ELSE '' END END,"
    " CASE contype WHEN 'c' THEN format('NOT (%s)', pg_get_expr(conbin, conrelid))"
    "  WHEN 'f' THEN CASE WHEN " OF_PERIODS
    " THEN 'false' ELSE (SELECT format('%s AND NOT EXISTS (SELECT FROM %I.%I AS p WHERE %s)',"
    "    string_agg(format('t.%I IS NOT NULL', a.attname), ' AND ' ORDER BY k.n), pn.nspname, p.relname,"
    "    string_agg(format('p.%I = t.%I', b.attname, a.attname), ' AND ' ORDER BY k.n))"
    "    FROM unnest(conkey, confkey) WITH ORDINALITY AS k(own, other, n)"
    "    JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = k.own"
    "    JOIN pg_attribute b ON b.attrelid = confrelid AND b.attnum = k.other) END"
    "  ELSE (SELECT format('(%s) IN (SELECT %s FROM %I.%I AS d GROUP BY %2$s HAVING count(*) > 1)',"
    "    string_agg(format('t.%I', a.attname), ', ' ORDER BY k.n), string_agg(format('d.%I', a.attname), ', ' ORDER BY"
    "    k.n), nsp, rel) FROM unnest(conkey) WITH ORDINALITY AS k(own, n)"
    "    JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = k.own) END"
    " FROM (SELECT c.*, n.nspname AS nsp, r.relname AS rel, pg_get_constraintdef(c.oid) AS def,"
    "  obj_description(c.oid, 'pg_constraint') AS note,"
    "  coalesce(format('; COMMENT ON CONSTRAINT %I ON %I.%I IS %L', conname, n.nspname, r.relname,"
    "  obj_description(c.oid, 'pg_constraint')), '') AS about FROM pg_constraint c JOIN pg_class r ON r.oid = "
    "c.conrelid"
    "  JOIN pg_namespace n ON n.oid = r.relnamespace WHERE c.oid = ANY ($1::oid[])) AS c"
    " LEFT JOIN pg_class p ON p.oid = confrelid AND contype = 'f' LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace"
    " LEFT JOIN pg_class i ON i.oid = conindid LEFT JOIN pg_tablespace s ON s.oid = i.reltablespace"
    " LEFT JOIN pg_index x ON x.indexrelid = conindid"
    " ON CONFLICT (migration, step, hidden_name, kind, name) DO UPDATE SET definition = excluded.definition,"
    " comment = excluded.comment, back_sql = excluded.back_sql, long_sql = coalesce(excluded.long_sql, h.long_sql),"
    " finish_sql = excluded.finish_sql, violated_by = excluded.violated_by, hidden_at = clock_timestamp(),"
    " state = 'hidden', remark = NULL";

enum zdm_code pgsql_lift_keep(struct pgsql_work *w, const char *oids, const char *hidden_name, struct zdm_error *err)
{
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *params[] = {oids, w->op->migration, step, hidden_name};
    enum zdm_code code = pgsql_query(w->s, keep_sql, 4, params, NULL, err);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while writing zdm.hidden");
}

enum zdm_code pgsql_lift_explain(const char *what, const char *done, struct zdm_error *err)
{
    if (!pgsql_is_dependency(err)) {
        return err->code;
    }
    /* The names are in the detail, one a line; only the message travels to status. */
    struct zdm_error server = *err;
    zdm_error_set(err, ZDM_REFUSED, "%s cannot be %s: %.400s", what, done, server.detail);
    zdm_error_detail(err, "%s", server.detail);
    return zdm_error_hint(err, "Drop or change what depends on it first, then retry the shard.");
}

/* A constraint as the rules need it. */
struct constraint {
    bool there;
    char oid[16];
    char kind; /* contype */
    bool inherited, identity, published;
    bool of_periods;                                                            /* WITHOUT OVERLAPS, PERIOD */
    char parent_schema[ZDM_IDENTIFIER_MAX + 1], parent[ZDM_IDENTIFIER_MAX + 1]; /* "" for none, or the table itself */
};

static enum zdm_code find(struct pgsql_work *w, const struct pgsql_table *table, const char *name,
                          struct constraint *out, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT c.oid, c.contype, c.conparentid <> 0 OR c.coninhcount > 0, coalesce(x.indisreplident, false) OR"
        " (c.contype = 'p' AND r.relreplident = 'd'), EXISTS (SELECT FROM pg_publication_tables WHERE schemaname = $3"
        " AND tablename = $4), coalesce(pn.nspname, ''), coalesce(p.relname, ''), " OF_PERIODS " FROM pg_constraint c"
        " JOIN pg_class r ON r.oid = c.conrelid LEFT JOIN pg_index x ON x.indexrelid = c.conindid AND c.contype IN"
        " ('p', 'u') LEFT JOIN pg_class p ON p.oid = c.confrelid AND c.contype = 'f' AND p.oid <> c.conrelid"
        " LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE c.conrelid = $1::oid AND c.conname = $2";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {table->oid, name, table->schema, table->name};
    enum zdm_code code = pgsql_query(w->s, sql, 4, params, &res, err);
    *out = (struct constraint){.there = code == ZDM_OK && PQntuples(res) > 0};
    if (!out->there) {
        return code;
    }
    zdm_copy_text(out->oid, sizeof out->oid, pgsql_text(res, 0, 0));
    out->kind = pgsql_text(res, 0, 1)[0];
    out->inherited = pgsql_true(res, 0, 2);
    out->identity = pgsql_true(res, 0, 3);
    out->published = pgsql_true(res, 0, 4);
    out->of_periods = pgsql_true(res, 0, 7);
    zdm_copy_text(out->parent_schema, sizeof out->parent_schema, pgsql_text(res, 0, 5));
    zdm_copy_text(out->parent, sizeof out->parent, pgsql_text(res, 0, 6));
    return ZDM_OK;
}

static bool is_inherited(const struct constraint *c, const struct pgsql_table *table, const struct zdm_step *step)
{
    (void)table;
    (void)step;
    return c->inherited;
}

static bool is_not_rebuilt(const struct constraint *c, const struct pgsql_table *table, const struct zdm_step *step)
{
    (void)table;
    (void)step;
    return strchr("cfup", c->kind) == NULL || (c->of_periods && c->kind != 'f');
}

static bool is_not_null(const struct constraint *c, const struct pgsql_table *table, const struct zdm_step *step)
{
    (void)table;
    (void)step;
    return c->kind == 'n';
}

static bool is_partitioned(const struct constraint *c, const struct pgsql_table *table, const struct zdm_step *step)
{
    (void)step;
    return table->kind == 'p' && c->kind != 'c';
}

static bool is_identity(const struct constraint *c, const struct pgsql_table *table, const struct zdm_step *step)
{
    (void)table;
    return c->identity && c->published && !step->publication_ok;
}

/* What cannot be lifted, in the order in which it is said. */
static const struct rule {
    bool (*applies)(const struct constraint *c, const struct pgsql_table *table, const struct zdm_step *step);
    const char *message, *hint;
} rules[] = {
    {is_inherited, "belongs to the same constraint of its parent", "Drop it there."},
    {is_not_null, "is the NOT NULL of a column", "Write ALTER TABLE … ALTER COLUMN … DROP NOT NULL."},
    {is_not_rebuilt, "is of a kind that no server can build again without blocking writers", "Drop it yourself."},
    {is_partitioned, "of a partitioned table cannot be built again without blocking writers", "Drop it yourself."},
    {is_identity, "is what subscribers tell the rows of a published table by",
     "Give the table another REPLICA IDENTITY first, or say {publication-ok}."},
};

static const struct rule *find_rule(const struct constraint *c, const struct pgsql_table *table,
                                    const struct zdm_step *step)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].applies(c, table, step)) {
            return &rules[i];
        }
    }
    return NULL;
}

static enum zdm_code refuse(const struct rule *rule, const struct pgsql_table *table, const char *name,
                            struct zdm_error *err)
{
    zdm_error_set(err, ZDM_REFUSED, "constraint %s of %s.%s %s", name, table->schema, table->name, rule->message);
    return zdm_error_hint(err, "%s", rule->hint);
}

enum zdm_code pgsql_lift_refuse(struct pgsql_work *w, const struct pgsql_table *table, const char *name,
                                struct zdm_error *err)
{
    struct constraint c;
    enum zdm_code code = find(w, table, name, &c, err);
    const struct rule *rule = code == ZDM_OK && c.there ? find_rule(&c, table, w->step) : NULL;
    return rule != NULL ? refuse(rule, table, name, err) : code;
}

static enum zdm_code lock_parent(struct pgsql_short *attempt, struct constraint *c, struct zdm_error *err)
{
    struct pgsql_table parent;
    if (c->parent[0] == '\0') {
        return ZDM_OK;
    }
    struct zdm_table name = {c->parent_schema, c->parent};
    enum zdm_code code = pgsql_table_find(attempt->w->s, &name, &parent, err);
    return code == ZDM_OK ? pgsql_short_lock_parent(attempt, &parent, PGSQL_ACCESS_EXCLUSIVE, err) : code;
}

static enum zdm_code drop(struct pgsql_work *w, const struct pgsql_table *table, const char *name,
                          struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    char what[ZDM_IDENTIFIER_MAX + 16];
    pgsql_put_alter(&sql, &(struct zdm_table){(char *)table->schema, (char *)table->name});
    zdm_buffer_puts(&sql, " DROP CONSTRAINT ");
    pgsql_put_name(&sql, name);
    zdm_buffer_puts(&sql, " RESTRICT");
    enum zdm_code code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    snprintf(what, sizeof what, "constraint %s", name);
    return code == ZDM_OK ? ZDM_OK : pgsql_lift_explain(what, "dropped", err);
}

enum zdm_code pgsql_lift_constraint(struct pgsql_short *attempt, const struct pgsql_table *table, const char *name,
                                    struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    struct constraint c;
    char oids[24];
    enum zdm_code code = find(w, table, name, &c, err);
    if (code == ZDM_OK && !c.there) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "constraint %s of %s.%s does not exist", name, table->schema,
                             table->name);
    }
    const struct rule *rule = code == ZDM_OK ? find_rule(&c, table, w->step) : NULL;
    if (rule != NULL) {
        return refuse(rule, table, name, err);
    }
    if (code == ZDM_OK) {
        code = lock_parent(attempt, &c, err);
    }
    if (code == ZDM_OK) {
        snprintf(oids, sizeof oids, "{%s}", c.oid);
        code = pgsql_lift_keep(w, oids, name, err);
    }
    return code == ZDM_OK ? drop(w, table, name, err) : code;
}

/* The helper is named like no constraint of anybody's, and like that of a hidden column (hidden.c): $1 migration,
 * $3 schema, $5 column. Of the column: $6 the table's oid, $7 its number. */
#define HELPER_NAME "'~zdm_n' || left(md5($1::text || ' ' || $3::text || ' ' || $5::text), 8)"

static const char keep_not_null_sql[] =
    "INSERT INTO zdm.hidden (migration, step, schema_name, table_name, kind, name, hidden_name, definition, validated,"
    " back_sql, long_sql, finish_sql, violated_by) SELECT $1::text, $2::int4, $3::text, $4::text, 'not null', $5::text,"
    " $5::text, 'NOT NULL', true,"
    " " PGSQL_NOT_NULL_BACK ", " PGSQL_NOT_NULL_LONG ", " PGSQL_NOT_NULL_FINISH ", format('t.%I IS NULL', $5::text)"
    " FROM (SELECT " HELPER_NAME " AS helper, $3::text AS s, $4::text AS t, $5::text AS c) AS h LEFT JOIN pg_constraint"
    " nn ON nn.conrelid = $6::oid AND nn.contype = 'n' AND nn.conkey = ARRAY[$7::int2]"
    " ON CONFLICT (migration, step, hidden_name, kind, name) DO UPDATE SET state = 'hidden', remark = NULL,"
    " hidden_at = clock_timestamp()";

static const char drop_helper_sql[] =
    "SELECT format('ALTER TABLE %I.%I DROP CONSTRAINT %I', $3::text, $4::text, conname) FROM pg_constraint"
    " WHERE conrelid = $2::oid AND conname = " HELPER_NAME;

/* Of an earlier way back that rows stood against, or that was left half way. */
static enum zdm_code drop_helper(struct pgsql_work *w, const struct pgsql_table *table, const char *column, bool *found,
                                 struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {w->op->migration, table->oid, table->schema, table->name, column};
    enum zdm_code code = pgsql_query(w->s, drop_helper_sql, 5, params, &res, err);
    *found = code == ZDM_OK && PQntuples(res) > 0;
    return *found ? pgsql_script(w->s, pgsql_text(res, 0, 0), NULL, err) : code;
}

enum zdm_code pgsql_lift_not_null(struct pgsql_short *attempt, const struct pgsql_table *table, const char *column,
                                  struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    struct pgsql_column c = {0};
    char step[16];
    bool helper = false;
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    enum zdm_code code = pgsql_column_find(w->s, table, column, &c, err);
    bool was = code == ZDM_OK && c.not_null;
    pgsql_column_fini(&c);
    if (code == ZDM_OK) {
        code = drop_helper(w, table, column, &helper, err);
    }
    if (code == ZDM_OK && (was || helper)) {
        const char *params[] = {w->op->migration, step, table->schema, table->name, column, table->oid, c.number};
        code = pgsql_query(w->s, keep_not_null_sql, 7, params, NULL, err);
    }
    if (code != ZDM_OK || !was) {
        return code;
    }
    return pgsql_hidden_drop_not_null(w, table, column, err);
}

/* ---- A step of that kind ---- */

/* Rows of the step: any, and those that are on their way back or were not brought back as they were. */
static enum zdm_code read_rows(struct pgsql_work *w, bool *any, bool *half, struct zdm_error *err)
{
    static const char sql[] = "SELECT count(*) > 0, count(*) FILTER (WHERE state <> 'hidden') > 0 FROM zdm.hidden"
                              " WHERE migration = $1 AND step = $2::int4 AND NOT by_rollback";
    char step[16];
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){w->op->migration, step}, &res, err);
    if (code == ZDM_OK) {
        *any = pgsql_true(res, 0, 0);
        *half = pgsql_true(res, 0, 1);
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while reading zdm.hidden");
}

static enum zdm_code is_there(struct pgsql_work *w, const struct pgsql_table *table, bool *out, struct zdm_error *err)
{
    if (w->step->action == ZDM_ACTION_DROP_NOT_NULL) {
        struct pgsql_column column = {0};
        enum zdm_code code = pgsql_column_find(w->s, table, w->step->column, &column, err);
        *out = column.not_null;
        pgsql_column_fini(&column);
        return code;
    }
    struct constraint c;
    enum zdm_code code = find(w, table, w->step->object, &c, err);
    *out = c.there;
    return code;
}

enum zdm_code pgsql_lift_look(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                              struct zdm_error *err)
{
    bool there = false, any = false, half = false;
    enum zdm_code code = is_there(w, table, &there, err);
    if (code == ZDM_OK) {
        code = read_rows(w, &any, &half, err);
    }
    bool kept = any || w->step->action == ZDM_ACTION_DROP_NOT_NULL;
    *out_proof = !there && kept && !half ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
    return code;
}

/* What an earlier way back could not bring is to be tried again by the next one. */
static enum zdm_code keep_on(struct pgsql_work *w, struct zdm_error *err)
{
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    return pgsql_query(w->s,
                       "UPDATE zdm.hidden SET state = 'hidden', remark = NULL, hidden_at = clock_timestamp() WHERE"
                       " migration = $1 AND step = $2::int4 AND NOT by_rollback AND state <> 'hidden'",
                       2, (const char *const[]){w->op->migration, step}, NULL, err);
}

static enum zdm_code lift(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    bool there = false, any = false, half = false;
    if (w->step->action == ZDM_ACTION_DROP_NOT_NULL) {
        enum zdm_code code = pgsql_lift_not_null(attempt, table, w->step->column, err);
        return code == ZDM_OK ? keep_on(w, err) : code;
    }
    enum zdm_code code = is_there(w, table, &there, err);
    if (code == ZDM_OK) {
        code = read_rows(w, &any, &half, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_index_drop_built_again(w, table, err);
    }
    if (code == ZDM_OK && !there && any) {
        return keep_on(w, err);
    }
    return code == ZDM_OK ? pgsql_lift_constraint(attempt, table, w->step->object, err) : code;
}

enum zdm_code pgsql_run_lift(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_table table;
    struct pgsql_short attempt;
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &table, err);
    if (code == ZDM_OK) {
        code = pgsql_short_begin_on(&attempt, w, &table, PGSQL_ACCESS_EXCLUSIVE, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_lift_look(w, &table, &proof, err);
    }
    if (code == ZDM_OK && proof != AGENT_PROOF_DONE) {
        code = lift(&attempt, &table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_step_on(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_commit(w, err);
    }
    if (code == ZDM_OK && proof == AGENT_PROOF_DONE) {
        w->result->outcome = AGENT_ALREADY;
    }
    return code;
}

enum zdm_code pgsql_lift_look_back(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_hidden_state state;
    struct agent_result *r = w->result;
    (void)table;
    enum zdm_code code = pgsql_hidden_read(w, w->step->ordinal, &state, err);
    if (code == ZDM_OK) {
        bool first = state.hidden > 0;
        r->proof = first || state.back + state.proven > 0 ? AGENT_PROOF_NOT_DONE : AGENT_PROOF_DONE;
        r->next_run = first              ? AGENT_RUN_UNHIDE
                      : state.back > 0   ? AGENT_RUN_RESTORE
                      : state.proven > 0 ? AGENT_RUN_UNHIDE
                                         : AGENT_RUN_NONE;
        zdm_copy_text(r->remark, sizeof r->remark, state.remark);
    }
    return code;
}
