/*
 * backfill.c - fixing the bound of a walk, and its batches.
 *
 * A batch is one transaction: where does it end, UPDATE of that range, and the journal's compare-and-set last. The
 * value is always computed inside the UPDATE from the row at hand, so that a concurrent change of the row is seen
 * (EvalPlanQual); a value carried over from an earlier read would overwrite it.
 */
#include "agent/engine/postgresql/walk/backfill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/walk/delete.h"
#include "agent/engine/postgresql/walk/images.h"
#include "agent/engine/postgresql/walk/meaning.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/steps.h"

enum { COUNT_EXACTLY_BELOW = 64 * 1024 * 1024, BYTES_PER_ROW_GUESS = 100 };

/* Rows of the table: counted where that is quick, else what the statistics say. */
enum zdm_code pgsql_rows_estimate(struct pgsql_work *w, const struct pgsql_table *table, uint64_t *out,
                                  struct zdm_error *err)
{
    static const char sql[] =
        "SELECT coalesce(sum(pg_relation_size(c.oid)), 0), coalesce(sum(greatest(c.reltuples, 0)), 0)::int8,"
        " coalesce(bool_or((c.reltuples < 0 OR (c.reltuples = 0 AND c.relpages = 0)) AND pg_relation_size(c.oid) > 0),"
        " false) FROM pg_class c WHERE c.relkind = 'r' AND (c.oid = $1::oid"
        " OR c.oid IN (SELECT relid FROM pg_partition_tree($1::oid::regclass)))";
    ZDM_CLEANUP(pgsql_clearp) PGresult *size = NULL;
    ZDM_CLEANUP(pgsql_clearp) PGresult *count = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer exact = ZDM_BUFFER_INIT;
    enum zdm_code code = pgsql_query(w->s, sql, 1, (const char *const[]){table->oid}, &size, err);
    if (code != ZDM_OK) {
        return code;
    }
    int64_t bytes = pgsql_int(size, 0, 0);
    if (bytes >= COUNT_EXACTLY_BELOW) {
        *out = (uint64_t)(pgsql_true(size, 0, 2) ? bytes / BYTES_PER_ROW_GUESS : pgsql_int(size, 0, 1));
        return ZDM_OK;
    }
    zdm_buffer_puts(&exact, "SELECT count(*) FROM ");
    pgsql_put_table(&exact, &w->step->table);
    code = pgsql_query(w->s, zdm_buffer_text(&exact), 0, NULL, &count, err);
    if (code == ZDM_OK) {
        *out = (uint64_t)pgsql_int(count, 0, 0);
    }
    return code;
}

/* The last key of the table as text, NULL when it is empty. */
enum zdm_code pgsql_last_key(struct pgsql_work *w, const struct pgsql_key *key, char **out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    zdm_buffer_puts(&sql, "SELECT json_build_array(");
    for (size_t i = 0; i < key->n; i++) {
        zdm_buffer_puts(&sql, i == 0 ? "" : ", ");
        pgsql_put_name(&sql, key->names[i]);
        zdm_buffer_puts(&sql, "::text");
    }
    zdm_buffer_puts(&sql, ")::text FROM ");
    pgsql_put_table(&sql, &w->step->table);
    zdm_buffer_puts(&sql, " AS t ORDER BY ");
    for (size_t i = 0; i < key->n; i++) {
        zdm_buffer_puts(&sql, i == 0 ? "t." : " DESC, t.");
        pgsql_put_name(&sql, key->names[i]);
    }
    zdm_buffer_puts(&sql, " DESC LIMIT 1");
    enum zdm_code code = pgsql_query(w->s, zdm_buffer_text(&sql), 0, NULL, &res, err);
    if (code != ZDM_OK || PQntuples(res) == 0) {
        return code;
    }
    *out = zdm_strdup(pgsql_text(res, 0, 0));
    return *out != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static enum zdm_code fix_bound(struct pgsql_work *w, const struct pgsql_table *table, const struct pgsql_key *key,
                               struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *bound = NULL;
    uint64_t total = 0;
    enum zdm_code code = pgsql_rows_estimate(w, table, &total, err);
    if (code == ZDM_OK) {
        code = pgsql_walk_begin(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_last_key(w, key, &bound, err);
    }
    if (code == ZDM_OK && w->step->inverse == ZDM_INVERSE_IMAGES) {
        bool rows = w->step->action == ZDM_ACTION_DELETE;
        code = rows ? pgsql_archive_make(w, key, err) : pgsql_images_make(w, key, err);
    }
    if (code == ZDM_OK) {
        struct pgsql_move move = {.step = w->op->step,
                                  .bound = bound,
                                  .walk_key = key->signature,
                                  .walked = bound == NULL,
                                  .restart = true,
                                  .rows_total = total};
        code = pgsql_journal_move(w, &move, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

enum zdm_code pgsql_run_bound(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_table table;
    struct pgsql_key key = {0};
    pgsql_memory_forget(w->memory);
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &table, err);
    if (code == ZDM_OK) {
        code = pgsql_table_fit(&table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_walk_refuse(w, &table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_images_key(w, w->step, &table, &key, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_key_keeps(w->s, &table, &key, w->step->derivation, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_meaning_judge(w, &table, err);
    }
    if (code == ZDM_OK) {
        code = fix_bound(w, &table, &key, err);
    }
    pgsql_key_fini(&key);
    return code;
}

/* A cursor means nothing any more when its columns, types or the version of a collation have changed. Starting again
 * is right for what is idempotent; the rest is for a person. */
enum zdm_code pgsql_walk_check_key(struct pgsql_work *w, const struct pgsql_walk *walk, bool *stale,
                                   struct zdm_error *err)
{
    static const char sql[] = "SELECT walk_key FROM zdm.migration WHERE migration = $1";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 1, (const char *const[]){w->op->migration}, &res, err);
    if (code != ZDM_OK || PQntuples(res) == 0) {
        return code;
    }
    const char *then = pgsql_text(res, 0, 0);
    *stale = then != NULL && strcmp(then, walk->walk_key) != 0;
    /* What is deleted is not deleted twice, and a comparison changes nothing. */
    bool again = w->step->derivation->idempotent || w->step->action == ZDM_ACTION_DELETE ||
                 w->step->action == ZDM_ACTION_CHECK_COMPARE;
    if (*stale && !again) {
        zdm_error_set(err, ZDM_REFUSED, "the key of %s.%s was changed in the middle of the walk", walk->table.schema,
                      walk->table.name);
        return zdm_error_detail(err, "Rows were done up to %s by (%s); now the key is (%s).", w->op->cursor, then,
                                walk->walk_key);
    }
    return ZDM_OK;
}

enum zdm_code pgsql_walk_start_again(struct pgsql_work *w, struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_journal_move(w, &(struct pgsql_move){.step = w->op->step, .restart = true}, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

static enum zdm_code change_chunk(struct pgsql_work *w, const struct pgsql_walk *walk, const struct pgsql_chunk *chunk,
                                  struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = ZDM_OK;
    /* Images: who holds the rows cannot be passed by a key that moves. */
    bool images = w->step->inverse == ZDM_INVERSE_IMAGES, deletes = w->step->action == ZDM_ACTION_DELETE;
    if (w->op->locked_form || (images && !deletes) || agent_step_is_once(w->step)) {
        code = pgsql_walk_range(w, walk->lock_first, walk->lock, chunk->last, NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_walk_range(w, walk->change_first, walk->change, chunk->last, &res, err);
    }
    if (code == ZDM_OK && deletes && images) {
        code = pgsql_delete_same_columns(w, &walk->table, walk->columns, err);
    }
    if (code != ZDM_OK) {
        /* The next attempt looks at the columns again. */
        w->memory->stale = deletes;
        code = pgsql_delete_explain(w, err);
        return code == ZDM_REFUSED ? code
                                   : zdm_error_wrap(err, "while changing %s.%s", walk->table.schema, walk->table.name);
    }
    w->result->rows_changed = (uint32_t)strtoul(PQcmdTuples(res), NULL, 10);
    return images ? pgsql_images_touch(w, err) : ZDM_OK;
}

enum zdm_code pgsql_run_batch(struct pgsql_work *w, struct zdm_error *err)
{
    const struct pgsql_walk *walk = NULL;
    struct pgsql_chunk chunk = {0};
    if (w->memory->stale) {
        pgsql_walk_forget(w->memory);
        w->memory->stale = false;
    }
    bool fresh = w->memory->walk == NULL, stale = false;
    if (w->op->bound == NULL) {
        return zdm_error_set(err, ZDM_BUG, "a batch without a bound");
    }
    enum zdm_code code = pgsql_walk_get(w, &walk, err);
    if (code == ZDM_OK && fresh) {
        code = pgsql_walk_check_key(w, walk, &stale, err);
    }
    if (code == ZDM_OK && stale) {
        return pgsql_walk_start_again(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_walk_begin(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_walk_next(w, walk, &chunk, err);
    }
    if (code == ZDM_OK && chunk.last != NULL) {
        code = change_chunk(w, walk, &chunk, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_walk_move(w, &chunk, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_commit(w, err);
    }
    free(chunk.last);
    return code;
}
