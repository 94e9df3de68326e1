/*
 * reindex.c - REINDEX CONCURRENTLY, one index after the other.
 *
 * Before the first, zdm.owned notes each index with its file node (kind 'reindex'): one whose file node is another by
 * now was built anew. An attempt that was ended leaves an invalid "…_ccnew" or "…_ccold" behind, which costs every
 * write; it is dropped before the next. Indexes of TOAST tables are left as they are: only a superuser reaches them by
 * name.
 */
#include "agent/engine/postgresql/online/index.h"

#include <inttypes.h>
#include <stdio.h>

#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/session/replica.h"

/* The indexes of the step: $1 schema, $2 table or NULL, $3 index or NULL. Those of exclusion constraints cannot be
 * built anew concurrently; REINDEX TABLE passes over them too. */
#define INDEXES                                                                                                        \
    "root AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1"         \
    " AND c.relname = coalesce($3::text, $2::text)), tree AS (SELECT oid FROM root UNION SELECT t.relid::oid FROM"     \
    " root, pg_partition_tree(root.oid::regclass) t), mine AS (SELECT c.oid, c.relname, n.nspname, i.indrelid,"        \
    " i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid ="             \
    " c.relnamespace WHERE c.relkind = 'i' AND (i.indexrelid IN (SELECT oid FROM tree) OR (i.indrelid IN (SELECT oid"  \
    " FROM tree) AND NOT i.indisexclusion)))"

/* What a REINDEX CONCURRENTLY leaves, of an index of the step. */
#define LEFT                                                                                                           \
    "leftover AS (SELECT l.oid, l.relname, n.nspname FROM pg_class l JOIN pg_index i ON i.indexrelid = l.oid"          \
    " JOIN pg_namespace n ON n.oid = l.relnamespace WHERE NOT i.indisvalid AND l.relname ~ '_cc(new|old)[0-9]*$'"      \
    " AND i.indrelid IN (SELECT indrelid FROM mine) AND EXISTS (SELECT FROM mine WHERE mine.oid <> l.oid"              \
    " AND mine.indrelid = i.indrelid AND starts_with(mine.relname, left(regexp_replace(l.relname,"                     \
    " '_cc(new|old)[0-9]*$', ''), 50))))"

#define NOTE "format('%s/%s/%I/%s', $4::text, $5::int4, mine.relname, pg_relation_filenode(mine.oid))"

/* $4 migration, $5 step. */
static enum zdm_code ask(struct pgsql_work *w, const char *sql, PGresult **out, struct zdm_error *err)
{
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *params[] = {w->step->table.schema, w->step->table.name, w->step->object, w->op->migration, step};
    enum zdm_code code = pgsql_query(w->s, sql, 5, params, out, err);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while looking at the indexes");
}

/* How far the step is. */
struct progress {
    bool noted;
    int64_t indexes;
    char left[2 * ZDM_IDENTIFIER_MAX + 8], next[2 * ZDM_IDENTIFIER_MAX + 8]; /* quoted names; "" for none */
    char builder[ZDM_TEXT_MAX + 1];
};

static enum zdm_code read_progress(struct pgsql_work *w, struct progress *out, struct zdm_error *err)
{
    static const char sql[] =
        "WITH " INDEXES ", " LEFT ", noted AS (SELECT object FROM zdm.owned WHERE kind = 'reindex' AND migration ="
        " $4::text AND step = $5::int4) SELECT EXISTS (SELECT FROM noted), (SELECT count(*) FROM mine),"
        " (SELECT format('%I.%I', nspname, relname) FROM leftover ORDER BY relname LIMIT 1),"
        " (SELECT format('%I.%I', nspname, relname) FROM mine WHERE " NOTE " IN (SELECT object FROM noted)"
        " ORDER BY relname LIMIT 1), (SELECT format('pid %s, building the index: %s', p.pid, p.phase) FROM"
        " pg_stat_progress_create_index p WHERE p.relid IN (SELECT indrelid FROM mine) AND p.pid <> pg_backend_pid()"
        " AND (p.index_relid IN (SELECT oid FROM leftover) OR p.index_relid IN (SELECT oid FROM mine)) LIMIT 1)";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = ask(w, sql, &res, err);
    *out = (struct progress){.noted = false};
    if (code != ZDM_OK) {
        return code;
    }
    out->noted = pgsql_true(res, 0, 0);
    out->indexes = pgsql_int(res, 0, 1);
    zdm_copy_text(out->left, sizeof out->left, pgsql_text(res, 0, 2) == NULL ? "" : pgsql_text(res, 0, 2));
    zdm_copy_text(out->next, sizeof out->next, pgsql_text(res, 0, 3) == NULL ? "" : pgsql_text(res, 0, 3));
    zdm_copy_text(out->builder, sizeof out->builder, pgsql_text(res, 0, 4) == NULL ? "" : pgsql_text(res, 0, 4));
    return ZDM_OK;
}

/* Which file they are in now, under the fence. */
static enum zdm_code note_files(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] = "WITH " INDEXES ", " LEFT " INSERT INTO zdm.owned (migration, step, kind, schema_name,"
                              " object) SELECT $4::text, $5::int4, 'reindex', nspname, " NOTE " FROM mine WHERE oid NOT"
                              " IN (SELECT oid FROM leftover) ON CONFLICT DO NOTHING";
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = ask(w, sql, NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    return code == ZDM_OK ? pgsql_commit(w->s, err) : code;
}

/* Both take ACCESS EXCLUSIVE of an index at their end, which standbys replay: who reads the table there holds it, and
 * replay waits for them, and ends them when it has waited for too long. Who comes later passes by, since the index is
 * dead by then. The end of a long REINDEX may meet readers that began after this look (docs/decisions/locks.md). */
static enum zdm_code clear(struct pgsql_work *w, const char *index, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code =
        pgsql_query(w->s, "SELECT indexrelid, indrelid FROM pg_index WHERE indexrelid = to_regclass($1)", 1,
                    (const char *const[]){index}, &res, err);
    if (code != ZDM_OK || PQntuples(res) == 0) {
        return code;
    }
    const char *oids[] = {pgsql_text(res, 0, 0), pgsql_text(res, 0, 1)};
    return pgsql_replicas_clear(w, oids, 2, err);
}

static enum zdm_code run_on(struct pgsql_work *w, const char *verb, const char *index, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&sql, "%s %s", verb, index);
    enum zdm_code code = pgsql_index_check_fence(w, err);
    if (code == ZDM_OK) {
        code = clear(w, index, err);
    }
    return code == ZDM_OK ? pgsql_index_run_alone(w, zdm_buffer_text(&sql), err) : code;
}

static enum zdm_code refuse_building(struct pgsql_work *w, const struct progress *p, struct zdm_error *err)
{
    if (p->builder[0] == '\0') {
        return ZDM_OK;
    }
    zdm_copy_text(w->result->blocker, sizeof w->result->blocker, p->builder);
    return zdm_error_set(err, ZDM_LOCK, "an index is still being built by %s", p->builder);
}

static enum zdm_code drop_leftovers(struct pgsql_work *w, struct progress *p, struct zdm_error *err)
{
    enum zdm_code code = refuse_building(w, p, err);
    while (code == ZDM_OK && p->left[0] != '\0') {
        code = run_on(w, "DROP INDEX CONCURRENTLY IF EXISTS", p->left, err);
        if (code == ZDM_OK) {
            code = read_progress(w, p, err);
        }
    }
    return code;
}

static enum zdm_code forget(struct pgsql_work *w, bool step_on, struct zdm_error *err)
{
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, "DELETE FROM zdm.owned WHERE kind = 'reindex' AND migration = $1 AND step = $2::int4",
                           2, (const char *const[]){w->op->migration, step}, NULL, err);
    }
    if (code == ZDM_OK) {
        code = step_on ? pgsql_journal_step_on(w, err) : pgsql_journal_hold(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

static enum zdm_code prepare(struct pgsql_work *w, struct progress *p, struct zdm_error *err)
{
    enum zdm_code code = pgsql_index_may_build(w, err);
    if (code == ZDM_OK) {
        code = read_progress(w, p, err);
    }
    if (code == ZDM_OK && p->indexes == 0) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "%s.%s does not exist or has no index", w->step->table.schema,
                             w->step->object != NULL ? w->step->object : w->step->table.name);
    }
    if (code == ZDM_OK) {
        code = drop_leftovers(w, p, err);
    }
    if (code == ZDM_OK && !p->noted) {
        code = note_files(w, err);
        if (code == ZDM_OK) {
            code = read_progress(w, p, err);
        }
    }
    return code;
}

enum zdm_code pgsql_run_reindex(struct pgsql_work *w, struct zdm_error *err)
{
    struct progress p;
    enum zdm_code code = prepare(w, &p, err);
    while (code == ZDM_OK && p.next[0] != '\0') {
        code = run_on(w, "REINDEX INDEX CONCURRENTLY", p.next, err);
        if (code == ZDM_OK) {
            code = read_progress(w, &p, err);
        }
    }
    return code == ZDM_OK ? forget(w, true, err) : code;
}

/* The journal alone: an index that has another file node may have had it before. */
enum zdm_code pgsql_reindex_look(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                                 struct zdm_error *err)
{
    struct pgsql_place place;
    (void)table;
    enum zdm_code code = pgsql_journal_place(w, &place, err);
    *out_proof = code == ZDM_OK && place.step > w->step->ordinal ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
    return code;
}

enum zdm_code pgsql_reindex_look_back(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    struct progress p;
    (void)table;
    enum zdm_code code = read_progress(w, &p, err);
    bool dirty = code == ZDM_OK && p.noted;
    w->result->proof = dirty ? AGENT_PROOF_NOT_DONE : AGENT_PROOF_DONE;
    w->result->next_run = dirty ? AGENT_RUN_INDEX_DROP : AGENT_RUN_NONE;
    return code;
}

enum zdm_code pgsql_reindex_clean(struct pgsql_work *w, struct zdm_error *err)
{
    struct progress p;
    enum zdm_code code = read_progress(w, &p, err);
    if (code == ZDM_OK && p.noted) {
        code = drop_leftovers(w, &p, err);
    }
    return code == ZDM_OK ? forget(w, false, err) : code;
}
