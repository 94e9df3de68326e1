/*
 * meaning.c - what a derivation's words mean, asked of the server with views that are thrown away (meaning.h).
 *
 * A view keeps its expression as the parser understood it. So the same text is made into a view under the agent's path
 * and under the application's, and what is kept is compared, but for places in the text and the view's own number.
 */
#include "agent/engine/postgresql/walk/meaning.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VIEW "pg_temp.zdm_meaning"

enum { SHOWN_MAX = 150 };

void pgsql_meaning_texts(const struct zdm_derivation *d, struct pgsql_meaning *out)
{
    out->n = 0;
    for (size_t i = 0; i < d->n_assignments && i < PGSQL_TARGETS_MAX; i++) {
        out->texts[out->n++] = d->assignments[i].expr;
    }
    const char *const conditions[] = {d->filter, d->guard};
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
        if (conditions[i] != NULL) {
            out->texts[out->n++] = conditions[i];
        }
    }
}

/* A word of that kind in a text constant makes no harm. */
static bool has_query(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (strncasecmp(c, "select", 6) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- Operators ---- */

/* What a text is under a path: as the parser understood it, and as the server writes that for the agent's path. */
struct understood {
    char *tree, *text;
    bool done; /* else the server refuses it */
};

static void forget(struct understood *u)
{
    free(u->tree);
    free(u->text);
}

static bool is_same(const struct understood *a, const struct understood *b)
{
    return a->done && b->done && strcmp(a->tree, b->tree) == 0;
}

/* Extensions put their operators into schemas of their own or into public. pg_catalog comes first by itself. */
static enum zdm_code application_path(struct pgsql_session *s, const char *schema, char **out, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT concat_ws(', ', quote_ident($1), CASE WHEN $1 <> 'public' THEN 'public' END, (SELECT "
        "string_agg(DISTINCT"
        " quote_ident(nspname), ', ') FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE nspname"
        " NOT IN ('pg_catalog', 'public', $1)))";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(s, sql, 1, (const char *const[]){schema}, &res, err);
    *out = code == ZDM_OK ? zdm_strdup(pgsql_text(res, 0, 0)) : NULL;
    return code == ZDM_OK && *out == NULL ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : code;
}

/* $1: whether columns need no table's name before them; wherever that is wrong, the text means something else, and is
 * not taken. */
static enum zdm_code read_view(struct pgsql_session *s, bool alone, struct understood *out, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT replace(regexp_replace(r.ev_action::text, ':(location|stmt_location|stmt_len|list_start|list_end)"
        " -?[0-9]+', '', 'g'), format(':relid %s ', r.ev_class), ''), regexp_replace(regexp_replace(substring("
        "pg_get_viewdef(r.ev_class, true) FROM '^ SELECT (.*) AS e\\n   FROM '), '\\s+', ' ', 'g'), CASE WHEN $1::bool"
        " THEN '\\mt\\.' ELSE '^$' END, '', 'g') FROM pg_rewrite r WHERE r.ev_class = '" VIEW "'::regclass";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_script(s, "SET LOCAL search_path = pg_catalog", NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_query(s, sql, 1, (const char *const[]){alone ? "t" : "f"}, &res, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    const char *text = pgsql_text(res, 0, 1);
    out->tree = zdm_strdup(pgsql_text(res, 0, 0));
    out->text = zdm_strdup(text == NULL ? "" : text);
    out->done = out->tree != NULL && out->text != NULL;
    return out->done ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

/* A name or operator that is not there under a path is an answer; a lock or right that is not got is none. */
static bool is_answer(const struct zdm_error *err)
{
    return strncmp(err->sqlstate, "42", 2) == 0 && strcmp(err->sqlstate, "42501") != 0;
}

static enum zdm_code understand(struct pgsql_session *s, const struct pgsql_meaning *m, const char *path,
                                const char *text, struct understood *out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer set = ZDM_BUFFER_INIT;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    *out = (struct understood){.done = false};
    zdm_buffer_printf(&set, "SAVEPOINT meaning; SET LOCAL search_path = %s", path);
    zdm_buffer_printf(&sql, "CREATE TEMPORARY VIEW zdm_meaning AS SELECT (%s) AS e FROM %s AS t", text, m->from);
    enum zdm_code code = pgsql_script(s, zdm_buffer_text(&set), NULL, err);
    if (code != ZDM_OK) {
        return code;
    }
    code = pgsql_query(s, zdm_buffer_text(&sql), 0, NULL, NULL, err);
    if (code == ZDM_OK) {
        code = read_view(s, !has_query(text), out, err);
    } else if (is_answer(err)) {
        zdm_error_clear(err);
        code = ZDM_OK;
    }
    /* The path goes back with it. */
    enum zdm_code back = pgsql_script(s, "ROLLBACK TO meaning; RELEASE meaning", NULL, code == ZDM_OK ? err : &ignored);
    return code == ZDM_OK ? back : code;
}

/* The forms that mean the one thing and the other wherever they stand, "" where the server cannot write one. */
static enum zdm_code find_forms(struct pgsql_session *s, const struct pgsql_meaning *m, const char *path,
                                const struct understood *here, const struct understood *there, const char *forms[2],
                                struct zdm_error *err)
{
    struct understood again = {.done = false};
    enum zdm_code code = ZDM_OK;
    forms[0] = forms[1] = "";
    if (there->text[0] != '\0') {
        code = understand(s, m, "pg_catalog", there->text, &again, err);
        forms[0] = is_same(&again, there) ? there->text : "";
        forget(&again);
    }
    if (code == ZDM_OK && here->done && here->text[0] != '\0') {
        code = understand(s, m, path, here->text, &again, err);
        forms[1] = is_same(&again, here) ? here->text : "";
        forget(&again);
    }
    return code;
}

static enum zdm_code say_differs(const char *text, const struct understood *here, const char *const forms[2],
                                 struct zdm_error *err)
{
    zdm_error_set(err, ZDM_REFUSED, "%.*s means something else in the application's sessions", SHOWN_MAX, text);
    zdm_error_detail(err, here->done
                              ? "Batches and triggers run under search_path = pg_catalog, where operators of the "
                                "application's schemas are not seen."
                              : "Batches and triggers run under search_path = pg_catalog, where it means "
                                "nothing: operators and types of the application's schemas are not seen.");
    if (forms[0][0] == '\0' && forms[1][0] == '\0') {
        return zdm_error_hint(err, "Write the operator out, as in a OPERATOR(public.=) b, or cast both sides to a type "
                                   "of pg_catalog, as in a::text. IS DISTINCT FROM, NULLIF and CASE a WHEN b cannot "
                                   "name an operator.");
    }
    if (forms[0][0] == '\0') {
        return zdm_error_hint(err,
                              "To have it as pg_catalog does, write: %.300s; as the application means it, nothing "
                              "can be written here.",
                              forms[1]);
    }
    if (forms[1][0] == '\0') {
        return zdm_error_hint(err, "As the application means it, write: %.300s%s", forms[0],
                              here->done ? "; as pg_catalog has it, cast to its types, as in a::text." : "");
    }
    return zdm_error_hint(err, "As the application means it, write: %.220s; as pg_catalog has it: %.220s", forms[0],
                          forms[1]);
}

/* A text that only the agent's path understands has no other meaning; one that neither does is somebody else's to
 * say. */
static enum zdm_code judge_text(struct pgsql_session *s, const struct pgsql_meaning *m, const char *path,
                                const char *text, struct zdm_error *err)
{
    struct understood here = {.done = false}, there = {.done = false};
    const char *forms[2];
    enum zdm_code code = understand(s, m, "pg_catalog", text, &here, err);
    if (code == ZDM_OK) {
        code = understand(s, m, path, text, &there, err);
    }
    if (code == ZDM_OK && there.done && !is_same(&here, &there)) {
        code = find_forms(s, m, path, &here, &there, forms, err);
        code = code == ZDM_OK ? say_differs(text, &here, forms, err) : code;
    }
    forget(&here);
    forget(&there);
    return code;
}

enum zdm_code pgsql_meaning_same(struct pgsql_session *s, const struct pgsql_meaning *m, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *path = NULL;
    enum zdm_code code = application_path(s, m->schema, &path, err);
    for (size_t i = 0; code == ZDM_OK && i < m->n; i++) {
        code = judge_text(s, m, path, m->texts[i], err);
    }
    return code;
}

/* ---- Subqueries ---- */

/* What the view reads beside the table that it is over, followed through views and down partition trees: who writes
 * the table writes its partitions. A materialized view does not change with what it was made of. */
static const char reads_sql[] =
    "WITH RECURSIVE own(oid) AS (SELECT $1::oid UNION SELECT inhrelid FROM own JOIN pg_inherits ON inhparent = oid),"
    " reads(by, what) AS (SELECT r.ev_class, d.refobjid FROM pg_rewrite r JOIN pg_depend d ON d.classid ="
    " 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class"
    " JOIN pg_class c ON c.oid = r.ev_class AND c.relkind = 'v' UNION ALL SELECT inhparent, inhrelid FROM pg_inherits),"
    " named(oid, root) AS (SELECT what, what FROM reads WHERE by = '" VIEW "'::regclass AND what <> $1::oid UNION"
    " SELECT what, root FROM named JOIN reads ON by = oid) SELECT root::regclass, (SELECT relkind FROM pg_class WHERE"
    " pg_class.oid = root) FROM named JOIN own ON own.oid = named.oid ORDER BY 1 LIMIT 1";

static enum zdm_code follow(struct pgsql_session *s, const struct pgsql_meaning *m, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(s, reads_sql, 1, (const char *const[]){m->oid}, &res, err);
    if (code != ZDM_OK || PQntuples(res) == 0) {
        return code;
    }
    bool view = pgsql_text(res, 0, 1)[0] == 'v';
    zdm_error_set(err, ZDM_REFUSED, "a subquery reads the table that is changed, by way of %s %s",
                  view ? "view" : "table", pgsql_text(res, 0, 0));
    zdm_error_detail(err, "Batches change some rows before others: what it sees would depend on where a batch ends.");
    return zdm_error_hint(err, "Put what it reads into a column or table of its own in a step before, and read that.");
}

enum zdm_code pgsql_meaning_outside(struct pgsql_session *s, const struct pgsql_meaning *m, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    size_t n = 0;
    zdm_buffer_puts(&sql, "CREATE TEMPORARY VIEW zdm_meaning AS SELECT ");
    for (size_t i = 0; i < m->n; i++) {
        if (has_query(m->texts[i])) {
            zdm_buffer_printf(&sql, "%s(%s) AS \"%zu\"", n == 0 ? "" : ", ", m->texts[i], n);
            n++;
        }
    }
    zdm_buffer_printf(&sql, " FROM %s AS t", m->from);
    if (n == 0) {
        return ZDM_OK;
    }
    enum zdm_code code = pgsql_script(s, "SAVEPOINT outside; SET LOCAL search_path = pg_catalog", NULL, err);
    if (code != ZDM_OK) {
        return code;
    }
    code = pgsql_query(s, zdm_buffer_text(&sql), 0, NULL, NULL, err);
    if (code == ZDM_OK) {
        code = follow(s, m, err);
    } else if (is_answer(err)) {
        zdm_error_clear(err);
        code = ZDM_OK;
    }
    enum zdm_code back = pgsql_script(s, "ROLLBACK TO outside; RELEASE outside", NULL, code == ZDM_OK ? err : &ignored);
    return code == ZDM_OK ? back : code;
}

/* ---- The step ---- */

enum zdm_code pgsql_meaning_judge(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer from = ZDM_BUFFER_INIT;
    pgsql_put_table(&from, &w->step->table);
    struct pgsql_meaning m = {.from = zdm_buffer_text(&from), .oid = table->oid, .schema = table->schema};
    pgsql_meaning_texts(w->step->derivation, &m);
    enum zdm_code code = pgsql_fill_begins(w->s, table, w->op->plan, w->step, err);
    if (code != ZDM_OK) {
        return code;
    }
    code = pgsql_begin(w->s, "SET LOCAL lock_timeout = 100; SET LOCAL statement_timeout = 5000;", err);
    if (code == ZDM_OK) {
        code = pgsql_meaning_same(w->s, &m, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_meaning_outside(w->s, &m, err);
    }
    pgsql_rollback(w->s);
    return code;
}

/* ---- The key ---- */

/* An array's text: quotes and backslashes of a name are escaped. */
static void put_element(struct zdm_buffer *b, const char *name)
{
    zdm_buffer_puts(b, b->len == 0 ? "{\"" : ",\"");
    for (const char *c = name; *c != '\0'; c++) {
        zdm_buffer_printf(b, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
    }
    zdm_buffer_puts(b, "\"");
}

enum zdm_code pgsql_key_keeps(struct pgsql_session *s, const struct pgsql_table *table, const struct pgsql_key *key,
                              const struct zdm_derivation *d, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT t.attname, k.attname FROM pg_attribute k JOIN pg_attribute t ON t.attrelid = k.attrelid AND t.attname ="
        " ANY ($3::text[]) WHERE k.attrelid = $1::oid AND k.attname = ANY ($2::text[]) AND (t.attnum = k.attnum OR"
        " (k.attgenerated <> '' AND EXISTS (SELECT FROM pg_depend p LEFT JOIN pg_attrdef f ON f.adrelid = k.attrelid"
        " AND f.adnum = k.attnum WHERE p.refclassid = 'pg_class'::regclass AND p.refobjid = k.attrelid AND "
        "p.refobjsubid"
        " = t.attnum AND ((p.classid = 'pg_attrdef'::regclass AND p.objid = f.oid) OR (p.classid ="
        " 'pg_class'::regclass AND p.objid = k.attrelid AND p.objsubid = k.attnum))))) ORDER BY 1 LIMIT 1";
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer keys = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer targets = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    if (key->n == 0 || d->n_assignments == 0) {
        return ZDM_OK;
    }
    for (size_t i = 0; i < key->n; i++) {
        put_element(&keys, key->names[i]);
    }
    for (size_t i = 0; i < d->n_assignments; i++) {
        put_element(&targets, d->assignments[i].target);
    }
    zdm_buffer_puts(&keys, "}");
    zdm_buffer_puts(&targets, "}");
    const char *params[] = {table->oid, zdm_buffer_text(&keys), zdm_buffer_text(&targets)};
    enum zdm_code code = pgsql_query(s, sql, 3, params, &res, err);
    if (code != ZDM_OK || PQntuples(res) == 0) {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED,
                  "column %s of %s.%s cannot be changed in batches: they go along the key, which it "
                  "belongs to",
                  pgsql_text(res, 0, 0), table->schema, table->name);
    zdm_error_detail(err,
                     "A row whose %s moves would be met again and changed twice, and its image is kept by that "
                     "key.",
                     pgsql_text(res, 0, 1));
    return zdm_error_hint(err, "Put the new values into a column of its own and make that one the key, or write one "
                               "statement in an as-is fence.");
}

/* ---- What rows begin with ---- */

static bool is_added(const struct zdm_plan *plan, const struct zdm_step *step, const char *column)
{
    for (uint32_t o = 1; o < step->ordinal; o++) {
        const struct zdm_step *add = zdm_plan_step(plan, o);
        if (add->action == ZDM_ACTION_ADD_COLUMN && strcmp(add->column, column) == 0 &&
            strcmp(add->table.schema, step->table.schema) == 0 && strcmp(add->table.name, step->table.name) == 0) {
            return true;
        }
    }
    return false;
}

/* ADD COLUMN gives rows that are there the default of the domain, where the column has none in the same statement. */
static enum zdm_code judge_begin(struct pgsql_session *s, const struct pgsql_table *table, const char *column,
                                 struct zdm_error *err)
{
    static const char sql[] = "SELECT t.oid::regtype, coalesce(pg_get_expr(t.typdefaultbin, 0), t.typdefault) FROM"
                              " pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = $1::oid AND"
                              " a.attname = $2 AND coalesce(pg_get_expr(t.typdefaultbin, 0), t.typdefault) IS NOT NULL";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(s, sql, 2, (const char *const[]){table->oid, column}, &res, err);
    if (code != ZDM_OK || PQntuples(res) == 0) {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED, "rows that were there before %s was added hold the default of its type %s: %.200s",
                  column, pgsql_text(res, 0, 0), pgsql_text(res, 0, 1));
    zdm_error_detail(err, "They are filled where they are NULL, and they are not.");
    return zdm_error_hint(err, "Take the type below the domain, or a domain without a default.");
}

enum zdm_code pgsql_fill_begins(struct pgsql_session *s, const struct pgsql_table *table, const struct zdm_plan *plan,
                                const struct zdm_step *step, struct zdm_error *err)
{
    const struct zdm_derivation *d = step->derivation;
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < d->n_assignments; i++) {
        const struct zdm_assignment *a = &d->assignments[i];
        if (a->fill_once && a->initial == NULL && is_added(plan, step, a->target)) {
            code = judge_begin(s, table, a->target, err);
        }
    }
    return code;
}
