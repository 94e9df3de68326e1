/*
 * leaf.c - the index of a partitioned table, which no server builds concurrently (database.md 18).
 *
 * The index of the table itself is made first, ON ONLY it: invalid, in an instant, and with the owner's mark. Then part
 * by part of the tree gets its own: a partitioned one likewise, a leaf with a concurrent build under a derived name;
 * and each is attached. With the last one the server makes the whole valid. Every step is told from the catalogue what
 * comes next, so that it may stop anywhere; partitions that are made or attached meanwhile get their index from the
 * server.
 */
#include "agent/engine/postgresql/online/leaf.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/online/index.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/change/locks.h"
#include "agent/engine/postgresql/session/replica.h"

/* ---- The statement of the plan, ON ONLY the table ---- */

static const char *skip_space(const char *c)
{
    while (isspace((unsigned char)*c)) {
        c++;
    }
    return c;
}

/* Behind the word, or NULL. */
static const char *skip_word(const char *c, const char *word)
{
    size_t n = strlen(word);
    c = skip_space(c);
    return strncasecmp(c, word, n) == 0 && !isalnum((unsigned char)c[n]) && c[n] != '_' ? c + n : NULL;
}

static const char *skip_words(const char *c, const char *const *words)
{
    for (; c != NULL && *words != NULL; words++) {
        c = skip_word(c, *words);
    }
    return c;
}

/* Behind an identifier. */
static const char *skip_identifier(const char *c)
{
    c = skip_space(c);
    if (*c == '"') {
        for (c++; *c != '\0' && (*c != '"' || c[1] == '"'); c++) {
            c += *c == '"';
        }
        return *c == '"' ? c + 1 : NULL;
    }
    const char *from = c;
    while (isalnum((unsigned char)*c) || *c == '_' || *c == '$' || (unsigned char)*c >= 0x80) {
        c++;
    }
    return c > from ? c : NULL;
}

bool pgsql_leaf_only(struct zdm_buffer *out, const char *sql)
{
    static const char *const concurrently[] = {"INDEX", "CONCURRENTLY", NULL}, *const unless[] = {"IF", "NOT", "EXISTS",
                                                                                                  NULL};
    const char *c = skip_word(sql, "CREATE");
    const char *unique = c == NULL ? NULL : skip_word(c, "UNIQUE");
    const char *name = c == NULL ? NULL : skip_words(unique != NULL ? unique : c, concurrently);
    if (name == NULL) {
        return false;
    }
    const char *if_not = skip_words(name, unless);
    name = skip_space(if_not != NULL ? if_not : name);
    const char *end = skip_identifier(name);
    const char *rest = end == NULL ? NULL : skip_word(end, "ON");
    if (rest == NULL) {
        return false;
    }
    const char *only = skip_word(rest, "ONLY");
    zdm_buffer_printf(out, "CREATE %sINDEX %.*s ON ONLY%s", unique != NULL ? "UNIQUE " : "", (int)(end - name), name,
                      only != NULL ? only : rest);
    return true;
}

/* ---- What comes next ---- */

/* The parts of the tree that have no index below the one of the table, the highest first; and what stands under the
 * name that theirs is to have. $1 schema of the index, $2 index, $3 the table's oid. */
#define NEXT                                                                                                           \
    "WITH RECURSIVE top AS (SELECT c.oid, i.indisunique FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace" \
    " JOIN pg_index i ON i.indexrelid = c.oid WHERE n.nspname = $1 AND c.relname = $2 AND i.indrelid = $3::oid),"      \
    " have AS (SELECT $3::oid AS rel, oid AS ind FROM top UNION ALL SELECT x.indrelid, h.inhrelid FROM have"           \
    " JOIN pg_inherits h ON h.inhparent = have.ind JOIN pg_index x ON x.indexrelid = h.inhrelid),"                     \
    " lack AS (SELECT t.relid, t.parentrelid, t.level, c.relname, n.nspname, c.relkind, left(left($2, CASE WHEN"       \
    " octet_length(left($2, 50)) > 50 THEN 12 ELSE 50 END) || '_' || md5(n.nspname || '.' || c.relname), CASE WHEN"    \
    " octet_length(left($2, 50)) > 50 THEN 21 ELSE least(length($2), 50) + 9 END) AS name FROM"                        \
    " pg_partition_tree($3::oid::regclass) t JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid ="        \
    " c.relnamespace WHERE t.relid::oid NOT IN (SELECT rel FROM have))"

struct part {
    bool found;
    char kind; /* relkind */
    struct pgsql_table table;
    char name[ZDM_IDENTIFIER_MAX + 1];                                          /* that its index is to have */
    char parent_schema[ZDM_IDENTIFIER_MAX + 1], parent[ZDM_IDENTIFIER_MAX + 1]; /* index that it is to be attached to */
    char *build;                                                                /* CREATE INDEX … */
};

/* The definition of the index above, as the server writes it, with another name and table; its tablespace, which is no
 * part of it, stands before the condition. */
static const char next_sql[] =
    NEXT " SELECT l.relid::oid, l.relkind, l.nspname, l.relname, l.name, pn.nspname, p.relname,"
         " format('CREATE %sINDEX %s%I ON %s%I.%I', CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END,"
         " CASE l.relkind WHEN 'p' THEN '' ELSE 'CONCURRENTLY ' END, l.name, CASE l.relkind WHEN 'p' THEN 'ONLY ' ELSE"
         " '' END, l.nspname, l.relname) || CASE WHEN sp.spcname IS NULL OR right(d.rest, length(d.condition)) <>"
         " d.condition THEN d.rest ELSE left(d.rest, length(d.rest) - length(d.condition)) || format(' TABLESPACE %I',"
         " sp.spcname) || d.condition END"
         " FROM lack l JOIN have ON have.rel = l.parentrelid::oid JOIN pg_class p ON p.oid = have.ind"
         " JOIN pg_namespace pn ON pn.oid = p.relnamespace JOIN pg_index i ON i.indexrelid = p.oid JOIN pg_class t"
         " ON t.oid = i.indrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace LEFT JOIN pg_tablespace sp ON sp.oid ="
         " p.reltablespace, LATERAL (SELECT substr(pg_get_indexdef(p.oid), length(format('CREATE %sINDEX %I ON ONLY"
         " %I.%I', CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, p.relname, tn.nspname, t.relname)) + 1) AS rest,"
         " coalesce(' WHERE ' || pg_get_expr(i.indpred, i.indrelid), '') AS condition) AS d"
         " ORDER BY l.relkind <> 'p', l.level, l.nspname, l.relname LIMIT 1";

static enum zdm_code find_next(struct pgsql_work *w, const struct pgsql_table *table, struct part *out,
                               struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {w->step->table.schema, w->step->object, table->oid};
    enum zdm_code code = pgsql_query(w->s, next_sql, 3, params, &res, err);
    *out = (struct part){.found = code == ZDM_OK && PQntuples(res) > 0};
    if (!out->found) {
        return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while looking at the partitions");
    }
    out->kind = pgsql_text(res, 0, 1)[0];
    zdm_copy_text(out->table.oid, sizeof out->table.oid, pgsql_text(res, 0, 0));
    /* Never with its own partitions: what is locked for it is locked alone. */
    out->table.kind = 'r';
    out->table.partition = true;
    zdm_copy_text(out->table.schema, sizeof out->table.schema, pgsql_text(res, 0, 2));
    zdm_copy_text(out->table.name, sizeof out->table.name, pgsql_text(res, 0, 3));
    zdm_copy_text(out->name, sizeof out->name, pgsql_text(res, 0, 4));
    zdm_copy_text(out->parent_schema, sizeof out->parent_schema, pgsql_text(res, 0, 5));
    zdm_copy_text(out->parent, sizeof out->parent, pgsql_text(res, 0, 6));
    out->build = zdm_strdup(pgsql_text(res, 0, 7));
    return out->build != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

/* ---- The short parts ---- */

static void put_mark(struct zdm_buffer *b, const struct pgsql_work *w, const char *schema, const char *name)
{
    char mark[ZDM_NAME_MAX + 8];
    pgsql_owner_mark(mark, w->op->migration);
    zdm_buffer_puts(b, "; COMMENT ON INDEX ");
    pgsql_put_table(b, &(struct zdm_table){(char *)schema, (char *)name});
    zdm_buffer_puts(b, " IS ");
    pgsql_put_literal(b, mark);
}

static void put_attach(struct zdm_buffer *b, const struct part *part)
{
    zdm_buffer_puts(b, "ALTER INDEX ");
    pgsql_put_table(b, &(struct zdm_table){(char *)part->parent_schema, (char *)part->parent});
    zdm_buffer_puts(b, " ATTACH PARTITION ");
    pgsql_put_table(b, &(struct zdm_table){(char *)part->table.schema, (char *)part->name});
}

/* One short transaction over that table alone, with the fence. ATTACH also waits for whoever reads by the index. */
static enum zdm_code run_short(struct pgsql_work *w, const struct pgsql_table *table, const char *sql,
                               struct zdm_error *err)
{
    struct pgsql_short attempt;
    struct pgsql_table alone = *table;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer path = ZDM_BUFFER_INIT;
    alone.kind = 'r';
    zdm_buffer_puts(&path, "SET LOCAL search_path = pg_catalog, ");
    pgsql_put_name(&path, w->step->table.schema);
    enum zdm_code code = pgsql_short_begin(&attempt, w, err);
    if (code == ZDM_OK) {
        code = pgsql_short_lock(&attempt, &alone, PGSQL_SHARE_ROW_EXCLUSIVE, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, zdm_buffer_text(&path), NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, sql, NULL, err);
        if (code == ZDM_LOCK) {
            snprintf(w->result->blocker, sizeof w->result->blocker, "a session that uses %s.%s", table->schema,
                     table->name);
        }
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    return code == ZDM_OK ? pgsql_commit(w->s, err) : code;
}

static enum zdm_code make_top(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    if (!pgsql_leaf_only(&sql, w->step->sql)) {
        return zdm_error_set(err, ZDM_REFUSED, "the statement of step %s is no CREATE INDEX CONCURRENTLY", w->step->id);
    }
    put_mark(&sql, w, w->step->table.schema, w->step->object);
    return run_short(w, table, zdm_buffer_text(&sql), err);
}

static enum zdm_code make_partitioned(struct pgsql_work *w, const struct part *part, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&sql, "%s; ", part->build);
    put_attach(&sql, part);
    return run_short(w, &part->table, zdm_buffer_text(&sql), err);
}

/* ---- A leaf ---- */

static enum zdm_code drop_leaf(struct pgsql_work *w, const char *name, struct zdm_error *err)
{
    enum zdm_code code = pgsql_index_check_fence(w, err);
    return code == ZDM_OK ? pgsql_index_drop_concurrently(w, name, err) : code;
}

static enum zdm_code build_leaf(struct pgsql_work *w, const struct part *part, struct zdm_error *err)
{
    enum zdm_code code = pgsql_index_intend(w, part->name, err);
    if (code == ZDM_OK) {
        code = pgsql_index_run_alone(w, part->build, err);
    }
    if (code != ZDM_OK && pgsql_is_violation(err)) {
        /* An invalid index costs every write and will never be of use. */
        struct zdm_error ignored = ZDM_ERROR_INIT;
        bool gone = pgsql_index_drop_concurrently(w, part->name, &ignored) == ZDM_OK;
        zdm_error_hint(err, gone ? "Remove the duplicates, then retry the shard."
                                 : "Remove the duplicates; an invalid index is still there.");
    }
    if (code != ZDM_OK) {
        pgsql_index_build_failed(w, &part->table, part->name, err);
    }
    return code;
}

/* From the attaching on the index of the table says whose it is. ATTACH locks the leaf's index wholly, which standbys
 * replay: whoever reads the leaf there holds it, and every new reader would wait behind. */
static enum zdm_code attach_leaf(struct pgsql_work *w, const struct part *part, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    enum zdm_code code = pgsql_replicas_clear(w, (const char *const[]){part->table.oid}, 1, err);
    if (code != ZDM_OK) {
        return code;
    }
    put_attach(&sql, part);
    zdm_buffer_puts(&sql, "; DELETE FROM zdm.owned WHERE kind = 'index' AND schema_name = ");
    pgsql_put_literal(&sql, part->table.schema);
    zdm_buffer_puts(&sql, " AND object = ");
    pgsql_put_literal(&sql, part->name);
    return run_short(w, &part->table, zdm_buffer_text(&sql), err);
}

static enum zdm_code leaf(struct pgsql_work *w, const struct part *part, struct zdm_error *err)
{
    struct pgsql_index state;
    struct zdm_step step = *w->step;
    struct pgsql_work as = *w;
    step.table.schema =
        (char *)part->table.schema; /* as if the leaf's table were the step's, so that index.c does it */
    as.step = &step;
    enum zdm_code code = pgsql_index_read(&as, &part->table, part->name, &state, err);
    if (code == ZDM_OK && state.there && !(state.owned && state.of_table)) {
        zdm_error_set(err, ZDM_EXISTS, "index %s.%s is there and was not made by this migration", part->table.schema,
                      part->name);
        return zdm_error_hint(err, "Rename it or drop it, then retry the shard.");
    }
    if (code == ZDM_OK && state.building) {
        return pgsql_index_building(w, &state, err);
    }
    if (code == ZDM_OK && state.there && !state.valid) {
        code = drop_leaf(&as, part->name, err);
    }
    if (code == ZDM_OK && !(state.there && state.valid)) {
        code = build_leaf(&as, part, err);
    }
    return code == ZDM_OK ? attach_leaf(w, part, err) : code;
}

/* ---- The whole ---- */

enum zdm_code pgsql_leaf_refuse(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    static const char sql[] =
        "WITH RECURSIVE t AS (SELECT $1::oid AS oid UNION ALL SELECT inhrelid FROM t JOIN"
        " pg_inherits ON inhparent = t.oid) SELECT min(t.oid::regclass::text) FROM t JOIN pg_class"
        " c ON c.oid = t.oid WHERE c.relkind NOT IN ('r', 'p')";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 1, (const char *const[]){table->oid}, &res, err);
    if (code != ZDM_OK || pgsql_text(res, 0, 0) == NULL) {
        return code;
    }
    return zdm_error_set(err, ZDM_UNSUPPORTED, "partition %s of %s.%s is a foreign table, which has no indexes",
                         pgsql_text(res, 0, 0), table->schema, table->name);
}

static enum zdm_code build_parts(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    struct part part = {.found = true};
    enum zdm_code code = ZDM_OK;
    while (code == ZDM_OK && part.found) {
        code = find_next(w, table, &part, err);
        if (code == ZDM_OK && part.found) {
            code = part.kind == 'p' ? make_partitioned(w, &part, err) : leaf(w, &part, err);
        }
        zdm_freep(&part.build);
    }
    return code;
}

enum zdm_code pgsql_leaf_build(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_index top;
    enum zdm_code code = pgsql_leaf_refuse(w, table, err);
    if (code == ZDM_OK) {
        code = pgsql_index_read(w, table, w->step->object, &top, err);
    }
    if (code == ZDM_OK && !top.there) {
        code = make_top(w, table, err);
    }
    if (code == ZDM_OK) {
        code = build_parts(w, table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_index_read(w, table, w->step->object, &top, err);
    }
    if (code == ZDM_OK && !top.valid) {
        return zdm_error_set(err, ZDM_CONFLICT, "partitions of %s.%s came or went while its index was being built",
                             table->schema, table->name);
    }
    return code;
}

/* ---- Taking it away ---- */

/* Built and not attached: the index of the table does not take it along. */
static enum zdm_code drop_unattached(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] = "SELECT o.schema_name, o.object FROM zdm.owned o WHERE o.kind = 'index' AND o.migration ="
                              " $1 AND o.step = $2::int4 ORDER BY 1, 2";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    char step[16];
    snprintf(step, sizeof step, "%u", (unsigned)w->step->ordinal);
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){w->op->migration, step}, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        struct zdm_step as_step = *w->step;
        struct pgsql_work as = *w;
        as_step.table.schema = PQgetvalue(res, i, 0);
        as.step = &as_step;
        code = drop_leaf(&as, pgsql_text(res, i, 1), err);
        if (code == ZDM_OK) {
            code = pgsql_index_forget(&as, pgsql_text(res, i, 1), err);
        }
    }
    return code;
}

enum zdm_code pgsql_leaf_drop(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_index top;
    struct pgsql_short attempt;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    enum zdm_code code = pgsql_index_read(w, table, w->step->object, &top, err);
    if (code == ZDM_OK) {
        code = drop_unattached(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_short_begin(&attempt, w, err);
    }
    if (code == ZDM_OK && top.there && top.owned && top.of_table) {
        code = pgsql_short_lock(&attempt, table, PGSQL_ACCESS_EXCLUSIVE, err);
        zdm_buffer_puts(&sql, "DROP INDEX ");
        pgsql_put_table(&sql, &(struct zdm_table){w->step->table.schema, w->step->object});
        zdm_buffer_puts(&sql, " RESTRICT");
        code = code == ZDM_OK ? pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err) : code;
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}
