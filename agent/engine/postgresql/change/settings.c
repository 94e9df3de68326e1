/*
 * settings.c - defaults, storage parameters, comments and wider types: changes of the catalogue that make nothing.
 *
 * One query a kind shows the state as text, before and after; another one writes the statement that puts the former
 * state back. Both are asked in the change's transaction, under its lock.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/change/ddl.h"
#include "agent/engine/postgresql/journal/former.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/looks.h"
#include "agent/engine/postgresql/clone/retarget.h"

/* Of the step, which may be one about a whole table: $1 schema, $2 table, $3 column, $4 object. */
#define SUBJECT                                                                                                        \
    "SELECT c.oid, a.attnum FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_attribute a ON" \
    " a.attrelid = c.oid AND a.attname = $3::text AND NOT a.attisdropped WHERE n.nspname = $1::text"                   \
    " AND c.relname = $2::text AND $4::text IS NOT DISTINCT FROM $4::text AND ($3::text IS NULL OR a.attnum > 0)"

static const char default_state[] =
    "SELECT coalesce('SET DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), 'DROP DEFAULT') FROM (" SUBJECT ") AS s"
    " LEFT JOIN pg_attrdef d ON d.adrelid = s.oid AND d.adnum = s.attnum";
/* $5 the former state */
static const char default_back[] = "SELECT format('ALTER TABLE %I.%I ALTER COLUMN %I %s', $1::text, $2::text, $3::text,"
                                   " $5::text) WHERE $4::text IS NULL";

/* "column target n|{…}" or "{…}|{toast.…}". attstattarget is NULL for the default since 17, -1 before. pg_attver is the
 * server's own: it changes with types of columns, other ones too, and nobody sets it. */
static const char storage_state[] =
    "SELECT CASE WHEN $3::text IS NULL THEN coalesce(c.reloptions || coalesce(t.options, '{}'), t.options, '{}')::text"
    " ELSE (ARRAY(SELECT o FROM unnest(a.attoptions) WITH ORDINALITY AS u(o, n) WHERE o NOT LIKE 'pg\\_attver=%' ORDER "
    "BY n)"
    " || ARRAY['statistics=' || coalesce(a.attstattarget, -1)])::text END"
    " FROM (" SUBJECT ") AS s JOIN pg_class c ON c.oid = s.oid LEFT JOIN pg_attribute a ON a.attrelid = s.oid AND"
    " a.attnum = s.attnum LEFT JOIN LATERAL (SELECT array_agg('toast.' || o) AS options FROM pg_class x,"
    " unnest(x.reloptions) o WHERE x.oid = c.reltoastrelid) AS t ON true";
/* $5 before, $6 after. All of it goes and comes back, so that the order is what it was, too. */
static const char storage_back[] =
    "WITH before AS (SELECT split_part(o, '=', 1) AS name, substr(o, strpos(o, '=') + 1) AS value, n FROM"
    " unnest($5::text[]) WITH ORDINALITY AS u(o, n)), after AS (SELECT split_part(o, '=', 1) AS name FROM"
    " unnest($6::text[]) o), head AS (SELECT format('ALTER TABLE %I.%I ', $1::text, $2::text) || CASE WHEN $3::text"
    " IS NULL THEN '' ELSE format('ALTER COLUMN %I ', $3::text) END AS text)"
    " SELECT coalesce(string_agg(text || part, '; ' ORDER BY place), 'SELECT') FROM head, LATERAL ("
    " SELECT 1 AS place, 'RESET (' || string_agg(name, ', ') || ')' AS part FROM after WHERE name <> 'statistics'"
    " UNION ALL SELECT 2, 'SET (' || string_agg(format('%s = %L', name, value), ', ' ORDER BY n) || ')' FROM before"
    "  WHERE name <> 'statistics'"
    " UNION ALL SELECT 3, 'SET STATISTICS ' || value FROM before WHERE name = 'statistics') AS p"
    " WHERE part IS NOT NULL AND $4::text IS NULL";

static const char *const comment_states[] = {
    "SELECT coalesce(obj_description(s.oid, 'pg_class'), '') FROM (" SUBJECT ") AS s",
    "SELECT coalesce(col_description(s.oid, s.attnum), '') FROM (" SUBJECT ") AS s",
    "SELECT coalesce(obj_description(k.oid, 'pg_constraint'), '') FROM (" SUBJECT ") AS s JOIN pg_constraint k ON"
    " k.conrelid = s.oid AND k.conname = $4::text",
    "SELECT coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_class c JOIN pg_namespace n ON"
    " n.oid = c.relnamespace WHERE n.nspname = $1::text AND c.relname = $4::text AND c.relkind IN ('i', 'I')"
    " AND $2::text IS NOT DISTINCT FROM $2::text AND $3::text IS NULL",
};
/* $5 the comment to write */
static const char *const comment_backs[] = {
    "SELECT format('COMMENT ON TABLE %I.%I IS %s', $1::text, $2::text, coalesce(quote_literal(nullif($5::text, '')),"
    " 'NULL')) WHERE $3::text IS NULL AND $4::text IS NULL",
    "SELECT format('COMMENT ON COLUMN %I.%I.%I IS %s', $1::text, $2::text, $3::text, coalesce(quote_literal(nullif("
    "$5::text, '')), 'NULL')) WHERE $4::text IS NULL",
    "SELECT format('COMMENT ON CONSTRAINT %I ON %I.%I IS %s', $4::text, $1::text, $2::text, coalesce(quote_literal("
    "nullif($5::text, '')), 'NULL')) WHERE $3::text IS NULL",
    "SELECT format('COMMENT ON INDEX %I.%I IS %s', $1::text, $4::text, coalesce(quote_literal(nullif($5::text, '')),"
    " 'NULL')) WHERE $2::text IS NOT DISTINCT FROM $2::text AND $3::text IS NULL",
};

/* What a COMMENT is on: an index into the two lists above. */
static size_t commented(const struct zdm_step *step)
{
    return step->column != NULL                                    ? 1
           : step->object == NULL                                  ? 0
           : pgsql_begins_with(step->sql, "COMMENT ON CONSTRAINT") ? 2
                                                                   : 3;
}

static const char *state_sql(const struct zdm_step *step)
{
    if (step->action == ZDM_ACTION_COMMENT) {
        return comment_states[commented(step)];
    }
    return step->action == ZDM_ACTION_SET_DEFAULT ? default_state : storage_state;
}

static const char *back_sql(const struct zdm_step *step)
{
    if (step->action == ZDM_ACTION_COMMENT) {
        return comment_backs[commented(step)];
    }
    return step->action == ZDM_ACTION_SET_DEFAULT ? default_back : storage_back;
}

static enum zdm_code ask(struct pgsql_work *w, const char *sql, size_t n, const char *before, const char *after,
                         char **out, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const struct zdm_step *step = w->step;
    const char *params[] = {step->table.schema, step->table.name, step->column, step->object, before, after};
    enum zdm_code code = pgsql_query(w->s, sql, n, params, &res, err);
    if (code != ZDM_OK) {
        return code;
    }
    if (PQntuples(res) == 0) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "%s of step %s does not exist",
                             step->column != NULL   ? step->column
                             : step->object != NULL ? step->object
                                                    : step->table.name,
                             step->id);
    }
    *out = zdm_strdup(pgsql_text(res, 0, 0));
    return *out != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

/* ---- Forward ---- */

enum zdm_code pgsql_look_former(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                                struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *made = NULL;
    ZDM_CLEANUP(zdm_freep) char *now = NULL;
    bool there = false;
    (void)table;
    enum zdm_code code = ask(w, state_sql(w->step), 4, NULL, NULL, &now, err);
    if (code == ZDM_OK) {
        code = pgsql_former_read(w, &there, &made, err);
    }
    if (code == ZDM_OK) {
        *out_proof = pgsql_done_if(there && made != NULL && strcmp(made, now) == 0);
    }
    return code;
}

/* What carries a migration's mark keeps it, on a last line of its own: "" or the mark. */
static const char *mark_in(const char *comment)
{
    const char *line = strrchr(comment, '\n');
    line = line == NULL ? comment : line + 1;
    return strncmp(line, "zdm:", 4) == 0 ? line : "";
}

static enum zdm_code keep_mark(struct pgsql_work *w, const char *before, char **after, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer text = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_freep) char *statement = NULL;
    bool comments = w->step->action == ZDM_ACTION_COMMENT;
    if (comments && mark_in(*after)[0] != '\0' && strcmp(mark_in(*after), mark_in(before)) != 0) {
        /* What is marked so may be hidden, dropped and purged as if that migration had made it. */
        zdm_error_set(err, ZDM_REFUSED, "the comment of step %s ends in a line like a migration's mark", w->step->id);
        return zdm_error_hint(err, "Let its last line begin with something else than \"zdm:\".");
    }
    if (!comments || mark_in(before)[0] == '\0' || mark_in(*after)[0] != '\0') {
        return ZDM_OK;
    }
    zdm_buffer_printf(&text, "%s%s%s", *after, (*after)[0] == '\0' ? "" : "\n", mark_in(before));
    enum zdm_code code = ask(w, back_sql(w->step), 5, zdm_buffer_text(&text), NULL, &statement, err);
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, statement, NULL, err);
    }
    free(*after);
    *after = zdm_buffer_take(&text);
    return code != ZDM_OK || *after != NULL ? code : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code pgsql_change_and_keep(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    ZDM_CLEANUP(zdm_freep) char *before = NULL;
    ZDM_CLEANUP(zdm_freep) char *after = NULL;
    ZDM_CLEANUP(zdm_freep) char *back = NULL;
    (void)table;
    enum zdm_code code = ask(w, state_sql(w->step), 4, NULL, NULL, &before, err);
    if (code == ZDM_OK) {
        code = pgsql_run_statement(w, w->step->sql, err);
    }
    if (code == ZDM_OK) {
        code = ask(w, state_sql(w->step), 4, NULL, NULL, &after, err);
    }
    if (code == ZDM_OK) {
        code = keep_mark(w, before, &after, err);
    }
    if (code == ZDM_OK) {
        bool both = w->step->action == ZDM_ACTION_SET_STORAGE;
        code = ask(w, back_sql(w->step), both ? 6 : 5, before, both ? after : NULL, &back, err);
    }
    return code == ZDM_OK ? pgsql_former_keep(w, 1, back, after, err) : code;
}

enum zdm_code pgsql_lock_commented(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    struct pgsql_table found;
    (void)table;
    if (w->step->table.name == NULL) {
        return ZDM_OK; /* an index, which the statement locks under the same limit */
    }
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &found, err);
    found.kind = 'r'; /* none of its partitions */
    return code == ZDM_OK ? pgsql_short_lock(attempt, &found, PGSQL_SHARE_UPDATE_EXCLUSIVE, err) : code;
}

/* ---- Back ---- */

enum zdm_code pgsql_back_of_former(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *made = NULL;
    bool there = false;
    (void)table;
    enum zdm_code code = pgsql_former_read(w, &there, &made, err);
    return code == ZDM_OK ? pgsql_answer_back(w, !there, AGENT_RUN_UNDO_DDL) : code;
}

enum zdm_code pgsql_undo_former(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = pgsql_look_former(w, table, &proof, err);
    if (code == ZDM_OK && proof == AGENT_PROOF_DONE) {
        return pgsql_former_run(w, err);
    }
    if (code == ZDM_OK) {
        (void)snprintf(w->result->remark, sizeof w->result->remark,
                       "what step %s changed on %s was changed again since, and stays as it is", w->step->id,
                       w->step->table.name == NULL ? w->step->object : w->step->table.name);
        return pgsql_former_forget(w, err);
    }
    return code;
}

/* ---- Wider types ---- */

/* What the statement writes is a type, maybe with a collation: behind the column's name and TYPE. */
static const char *written_type(const struct zdm_step *step, struct zdm_buffer *head)
{
    zdm_buffer_puts(head, "ALTER TABLE ");
    pgsql_put_table(head, &step->table);
    zdm_buffer_puts(head, " ALTER COLUMN ");
    pgsql_put_name(head, step->column);
    zdm_buffer_puts(head, " TYPE ");
    size_t n = strlen(zdm_buffer_text(head));
    return strncmp(step->sql, zdm_buffer_text(head), n) == 0 ? step->sql + n : NULL;
}

enum zdm_code pgsql_look_type(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                              struct zdm_error *err)
{
    static const char sql[] = "SELECT atttypid, atttypmod FROM pg_attribute WHERE attrelid = $1::oid AND attname = $2"
                              " AND NOT attisdropped";
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer head = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer probe = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    ZDM_CLEANUP(pgsql_clearp) PGresult *typed = NULL;
    const char *type = written_type(w->step, &head);
    if (type == NULL) {
        return zdm_error_set(err, ZDM_REFUSED, "the statement of step %s changes no type of %s.%s", w->step->id,
                             table->schema, table->name);
    }
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){table->oid, w->step->column}, &res, err);
    if (code == ZDM_OK && PQntuples(res) == 0) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "column %s of %s.%s does not exist", w->step->column, table->schema,
                             table->name);
    }
    if (code == ZDM_OK) {
        zdm_buffer_printf(&probe, "SELECT NULL::%s", type);
        code = pgsql_query_as_plan(w, zdm_buffer_text(&probe), &typed, err);
    }
    if (code == ZDM_OK) {
        *out_proof = pgsql_done_if((int64_t)PQftype(typed, 0) == pgsql_int(res, 0, 0) &&
                                   PQfmod(typed, 0) == pgsql_int(res, 0, 1));
    }
    return code;
}

enum zdm_code pgsql_may_widen(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT (SELECT min(c.conname) FROM pg_constraint c WHERE c.conrelid = a.attrelid AND c.contype = 'c' AND"
        " a.attnum = ANY (c.conkey)), (SELECT min(format('%I.%I', n.nspname, r.relname)) FROM pg_constraint c"
        " JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace WHERE"
        " c.confrelid = a.attrelid AND c.contype = 'f' AND a.attnum = ANY (c.confkey))"
        " FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attname = $2";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    struct pgsql_work *w = attempt->w;
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){table->oid, w->step->column}, &res, err);
    if (code != ZDM_OK || PQntuples(res) == 0) {
        return code;
    }
    if (pgsql_text(res, 0, 0) != NULL) {
        zdm_error_set(err, ZDM_REFUSED, "constraint %s of %s.%s reads column %s", pgsql_text(res, 0, 0), table->schema,
                      table->name, w->step->column);
        zdm_error_detail(err, "The server would check it again for every row, under the lock.");
        return zdm_error_hint(err, "Drop the constraint before, and add it again NOT VALID behind the change.");
    }
    if (pgsql_text(res, 0, 1) != NULL) {
        zdm_error_set(err, ZDM_REFUSED, "a foreign key of %s points at column %s of %s.%s", pgsql_text(res, 0, 1),
                      w->step->column, table->schema, table->name);
        zdm_error_detail(err, "The server would make it anew, under a lock on both tables.");
        return zdm_error_hint(err, "Drop the foreign key before, and add it again behind the change.");
    }
    return ZDM_OK;
}
