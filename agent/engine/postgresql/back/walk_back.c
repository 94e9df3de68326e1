/*
 * walk_back.c - the place of a walk on the way back, the batches of what is kept in a table of zdm, and the catch-up of
 * a sync that was installed again (walk_back.h).
 *
 * What is kept, before-images or deleted rows, goes back in batches of one transaction each, with the fence. The
 * journal is moved to the step with an empty walk first: who goes forward again in between begins anew.
 *
 * The catch-up: while no triggers stood guard, the new column was the truth: from Contract on new code owns it. So the
 * old one takes over its value wherever the two differ and it fits. Triggers are installed again before, so that what
 * is written meanwhile is in step; the batch makes both columns the same and so never fires them.
 */
#include "agent/engine/postgresql/back/walk_back.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/walk/backfill.h"
#include "agent/engine/postgresql/walk/delete.h"
#include "agent/engine/postgresql/walk/images.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/steps.h"

void pgsql_walk_back_fini(struct pgsql_walk_back *place)
{
    free(place->cursor);
    free(place->bound);
    free(place->walk_key);
    *place = (struct pgsql_walk_back){0};
}

enum zdm_code pgsql_walk_back_to(struct pgsql_walk_back *place, const char *cursor, struct zdm_error *err)
{
    if (cursor == NULL) {
        return ZDM_OK;
    }
    free(place->cursor);
    place->cursor = zdm_strdup(cursor);
    return place->cursor != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

/* A statement over $1 migration, $2 step. */
static enum zdm_code of_step(struct pgsql_work *w, const char *sql, PGresult **out, struct zdm_error *err)
{
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){w->op->migration, step}, out, err);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while reading zdm.walk_back");
}

#define BEGIN_SQL(told, why_left)                                                                                      \
    "INSERT INTO zdm.walk_back (migration, step, told, why_left) VALUES ($1, $2::int4, '" told "', '" why_left "')"    \
    " ON CONFLICT (migration, step) DO UPDATE SET cursor = NULL, bound = NULL, walk_key = NULL, rows_walked = 0,"      \
    " rows_total = 0, rows_told = 0, rows_left = 0, rows_kept = 0, why_kept = '',"                                     \
    " told = excluded.told, why_left = excluded.why_left, over = false"

/* What differs between the ways. */
struct way {
    const char *begin; /* with the words of its remark */
    /* Of a table of zdm, the step's object: how much there is to do, and a batch. */
    enum zdm_code (*total)(struct pgsql_work *w, const struct pgsql_table *kept, uint64_t *out, struct zdm_error *err);
    enum zdm_code (*batch)(struct pgsql_work *w, struct pgsql_walk_back *place, const struct pgsql_facts *facts,
                           struct zdm_error *err);
};

static const struct way of_images = {
    .begin = BEGIN_SQL(AGENT_IMAGES_TOLD, AGENT_IMAGES_LEFT),
    .total = pgsql_rows_estimate,
    .batch = pgsql_images_batch,
};
static const struct way of_archive = {
    .begin = BEGIN_SQL(AGENT_ARCHIVE_TOLD, AGENT_ARCHIVE_LEFT),
    .total = pgsql_archive_total,
    .batch = pgsql_archive_batch,
};
static const struct way of_sync = {
    .begin = BEGIN_SQL(AGENT_CATCH_UP_TOLD, AGENT_CATCH_UP_LEFT),
};

/* Nothing is changed: what the new column has that the old one cannot hold is counted. Before the new one goes, and
 * when the old one is back. */
static const struct way of_loss = {
    .begin = BEGIN_SQL("", AGENT_SYNC_LOST),
};
static const struct way of_doubt = {
    .begin = BEGIN_SQL("", AGENT_SYNC_DOUBT),
};

static const struct way *way_of(const struct zdm_step *step)
{
    switch ((int)step->action) {
    case ZDM_ACTION_SYNC_REMOVE:
        return &of_sync;
    case ZDM_ACTION_SYNC_INSTALL:
        return &of_loss;
    case ZDM_ACTION_HIDE_COLUMN:
        return &of_doubt;
    case ZDM_ACTION_DELETE:
        return &of_archive;
    default:
        return &of_images;
    }
}

enum zdm_code pgsql_walk_back_begin(struct pgsql_work *w, struct zdm_error *err)
{
    return of_step(w, way_of(w->step)->begin, NULL, err);
}

enum zdm_code pgsql_walk_back_forget(struct pgsql_work *w, struct zdm_error *err)
{
    return of_step(w, "DELETE FROM zdm.walk_back WHERE migration = $1 AND step = $2::int4", NULL, err);
}

enum zdm_code pgsql_walk_back_untell(struct pgsql_work *w, struct zdm_error *err)
{
    return pgsql_query(w->s, "DELETE FROM zdm.walk_back WHERE migration = $1 AND over", 1,
                       (const char *const[]){w->op->migration}, NULL, err);
}

static bool copy(char **out, const char *text)
{
    *out = zdm_strdup(text);
    return text == NULL || *out != NULL;
}

enum zdm_code pgsql_walk_back_read(struct pgsql_work *w, struct pgsql_walk_back *out, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = of_step(w,
                                 "SELECT over, rows_walked, rows_total, rows_told, cursor, bound, walk_key, rows_left,"
                                 " rows_kept, why_kept FROM zdm.walk_back WHERE migration = $1 AND step = $2::int4",
                                 &res, err);
    *out = (struct pgsql_walk_back){.there = code == ZDM_OK && PQntuples(res) == 1};
    if (!out->there) {
        return code;
    }
    out->over = pgsql_true(res, 0, 0);
    out->rows_walked = (uint64_t)pgsql_int(res, 0, 1);
    out->rows_total = (uint64_t)pgsql_int(res, 0, 2);
    out->rows_told = (uint64_t)pgsql_int(res, 0, 3);
    out->rows_left = (uint64_t)pgsql_int(res, 0, 7);
    out->rows_kept = (uint64_t)pgsql_int(res, 0, 8);
    (void)zdm_copy_text(out->why_kept, sizeof out->why_kept, pgsql_text(res, 0, 9));
    bool whole = copy(&out->cursor, pgsql_text(res, 0, 4)) && copy(&out->bound, pgsql_text(res, 0, 5)) &&
                 copy(&out->walk_key, pgsql_text(res, 0, 6));
    return whole ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code pgsql_walk_back_write(struct pgsql_work *w, const struct pgsql_walk_back *place, struct zdm_error *err)
{
    static const char sql[] = "UPDATE zdm.walk_back SET cursor = $3, bound = $4, walk_key = $5, rows_walked = $6::int8,"
                              " rows_total = $7::int8, rows_told = $8::int8, over = $9::bool, rows_left = $10::int8,"
                              " rows_kept = $11::int8, why_kept = $12 WHERE migration = $1 AND step = $2::int4";
    char step[16], walked[24], total[24], told[24], gone[24], kept[24];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    snprintf(walked, sizeof walked, "%" PRIu64, place->rows_walked);
    snprintf(total, sizeof total, "%" PRIu64, place->rows_total);
    snprintf(told, sizeof told, "%" PRIu64, place->rows_told);
    snprintf(gone, sizeof gone, "%" PRIu64, place->rows_left);
    snprintf(kept, sizeof kept, "%" PRIu64, place->rows_kept);
    const char *params[] = {w->op->migration,        step,   place->cursor, place->bound,
                            place->walk_key,         walked, total,         told,
                            place->over ? "t" : "f", gone,   kept,          place->why_kept};
    enum zdm_code code = pgsql_query_prepared(w->s, sql, 12, params, NULL, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while writing zdm.walk_back");
    }
    w->result->rows_done = place->rows_walked;
    w->result->rows_total = place->rows_total;
    w->result->walked = place->over;
    return ZDM_OK;
}

enum zdm_code pgsql_walk_back_over(struct pgsql_work *w, bool *out, struct zdm_error *err)
{
    struct pgsql_walk_back place;
    enum zdm_code code = pgsql_walk_back_read(w, &place, err);
    *out = !place.there || place.over;
    pgsql_walk_back_fini(&place);
    return code;
}

enum zdm_code pgsql_walk_back_remark(struct pgsql_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = of_step(w,
                                 "SELECT " PGSQL_WALK_BACK_REMARK " FROM zdm.walk_back b WHERE migration = $1 AND"
                                 " step = $2::int4 AND over",
                                 &res, err);
    if (code == ZDM_OK && PQntuples(res) == 1 && pgsql_text(res, 0, 0) != NULL) {
        zdm_copy_text(w->result->remark, sizeof w->result->remark, pgsql_text(res, 0, 0));
    }
    return code;
}

/* The end of a batch's transaction. */
static enum zdm_code commit_place(struct pgsql_work *w, const struct pgsql_walk_back *place, struct zdm_error *err)
{
    enum zdm_code code = pgsql_walk_back_write(w, place, err);
    if (code == ZDM_OK && place->over) {
        code = pgsql_walk_back_remark(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

/* ---- What is kept goes back ---- */

/* Before the first batch: how much there is to do. */
static enum zdm_code count_kept(struct pgsql_work *w, const struct way *way, struct pgsql_walk_back *place,
                                struct zdm_error *err)
{
    struct pgsql_table kept;
    char schema[] = "zdm";
    pgsql_walk_back_fini(place);
    enum zdm_code code = pgsql_table_find(w->s, &(struct zdm_table){schema, w->step->object}, &kept, err);
    return code == ZDM_OK ? way->total(w, &kept, &place->rows_total, err) : code;
}

/* The journal goes back to the step, with an empty walk. It stays where it stands further back: what a later step kept
 * does not say that the steps in between were done. */
static enum zdm_code stand_at_step(struct pgsql_work *w, struct zdm_error *err)
{
    if (w->step->ordinal > w->op->journal_step) {
        return pgsql_journal_hold(w, err);
    }
    return pgsql_journal_move(w, &(struct pgsql_move){.step = w->step->ordinal, .restart = true}, err);
}

static enum zdm_code write_batch(struct pgsql_work *w, const struct way *way, struct pgsql_walk_back *place,
                                 const struct pgsql_facts *facts, struct zdm_error *err)
{
    bool fresh = !place->there || place->over;
    enum zdm_code code = fresh ? count_kept(w, way, place, err) : ZDM_OK;
    if (code == ZDM_OK) {
        code = pgsql_walk_begin(w, err);
    }
    if (code == ZDM_OK && fresh) {
        code = pgsql_walk_back_begin(w, err);
    }
    if (code == ZDM_OK) {
        code = way->batch(w, place, facts, err);
    }
    if (code == ZDM_OK) {
        code = stand_at_step(w, err);
    }
    return code == ZDM_OK ? commit_place(w, place, err) : code;
}

static enum zdm_code write_back(struct pgsql_work *w, const struct way *way, struct zdm_error *err)
{
    struct pgsql_facts facts = {0};
    struct pgsql_walk_back place = {0};
    bool there = false;
    enum zdm_code code = pgsql_images_exist(w, w->step->object, &there, err);
    if (code == ZDM_OK && !there) {
        w->result->outcome = AGENT_ALREADY;
        return ZDM_OK;
    }
    if (code == ZDM_OK) {
        code = pgsql_facts_read(w, w->step, 0, &facts, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_walk_back_read(w, &place, err);
    }
    if (code == ZDM_OK) {
        code = write_batch(w, way, &place, &facts, err);
    }
    pgsql_walk_back_fini(&place);
    pgsql_facts_fini(&facts);
    return code;
}

/* ---- What the old column cannot hold ---- */

/* Where every value of the new column fits into the old one there is nothing to count. */
static bool is_guarded(const struct pgsql_facts *facts)
{
    for (size_t i = 0; i < facts->n_pairs; i++) {
        const struct pgsql_pair *pair = &facts->pairs[i];
        if (pair->copy && (pgsql_fit(&pair->target, &pair->source) != PGSQL_FITS ||
                           (pair->source.not_null && !pair->target.not_null))) {
            return true;
        }
    }
    return false;
}

/* Has new code written, as far as the journal knows, since a rollback took it away? */
static enum zdm_code is_switched(struct pgsql_work *w, bool *out, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, "SELECT switched_phase > 0 FROM zdm.migration WHERE migration = $1", 1,
                                     (const char *const[]){w->op->migration}, &res, err);
    *out = code == ZDM_OK && PQntuples(res) == 1 && pgsql_true(res, 0, 0);
    return code;
}

enum zdm_code pgsql_walk_back_counts(struct pgsql_work *w, const struct zdm_step *sync, bool *out,
                                     struct zdm_error *err)
{
    struct pgsql_facts facts = {0};
    bool over = false;
    *out = false;
    if (sync == NULL || sync->derivation == NULL || !sync->derivation->both_ways) {
        return ZDM_OK;
    }
    struct pgsql_walk_back place;
    enum zdm_code code = pgsql_walk_back_read(w, &place, err);
    over = place.there && place.over;
    pgsql_walk_back_fini(&place);
    if (code == ZDM_OK && !over) {
        code = is_switched(w, out, err);
    }
    if (code == ZDM_OK && *out) {
        code = pgsql_facts_read(w, sync, 0, &facts, err);
        *out = code == ZDM_OK && is_guarded(&facts);
        pgsql_facts_fini(&facts);
    }
    return code;
}

/* ---- The catch-up ---- */

static enum zdm_code fix_bound(struct pgsql_work *w, struct pgsql_walk_back *place, const struct pgsql_walk *walk,
                               struct zdm_error *err)
{
    struct pgsql_key key = {0};
    enum zdm_code code = pgsql_key_find(w->s, &walk->table, &key, err);
    if (code == ZDM_OK) {
        code = pgsql_last_key(w, &key, &place->bound, err);
    }
    pgsql_key_fini(&key);
    free(place->walk_key);
    place->walk_key = zdm_strdup(walk->walk_key);
    place->over = place->bound == NULL;
    return code;
}

/* The walk's functions take cursor and bound from the operation. */
static enum zdm_code walk_on(struct pgsql_work *w, struct pgsql_walk_back *place, const struct pgsql_walk *walk,
                             struct zdm_error *err)
{
    struct agent_op op = *w->op;
    struct pgsql_work as = *w;
    struct pgsql_chunk chunk = {0};
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    ZDM_CLEANUP(pgsql_clearp) PGresult *left = NULL;
    op.cursor = place->cursor;
    op.bound = place->bound;
    as.op = &op;
    enum zdm_code code = pgsql_walk_next(&as, walk, &chunk, err);
    bool counts = way_of(w->step) != &of_sync;
    if (code == ZDM_OK && chunk.last != NULL && !counts && op.locked_form) {
        code = pgsql_walk_range(&as, walk->lock_first, walk->lock, chunk.last, NULL, err);
    }
    if (code == ZDM_OK && chunk.last != NULL && !counts) {
        code = pgsql_walk_range(&as, walk->change_first, walk->change, chunk.last, &res, err);
    }
    if (code == ZDM_OK && chunk.last != NULL) {
        code = pgsql_walk_range(&as, walk->left_first, walk->left, chunk.last, &left, err);
    }
    if (code != ZDM_OK) {
        free(chunk.last);
        return zdm_error_wrap(err, "while bringing %s.%s in step", walk->table.schema, walk->table.name);
    }
    w->result->rows_walked = chunk.rows;
    w->result->rows_changed = res == NULL ? 0 : (uint32_t)strtoul(PQcmdTuples(res), NULL, 10);
    place->rows_walked += chunk.rows;
    place->rows_told += w->result->rows_changed;
    place->rows_left += left == NULL ? 0 : (uint64_t)pgsql_int(left, 0, 0);
    place->over = chunk.rows < (op.rows == 0 ? 1 : op.rows);
    if (chunk.last != NULL) {
        free(place->cursor);
        place->cursor = chunk.last;
    }
    return ZDM_OK;
}

static enum zdm_code catch_up(struct pgsql_work *w, struct pgsql_walk_back *place, struct zdm_error *err)
{
    const struct pgsql_walk *walk = NULL;
    enum zdm_code code = pgsql_walk_get(w, &walk, err);
    if (code == ZDM_OK && place->bound == NULL) {
        code = pgsql_rows_estimate(w, &walk->table, &place->rows_total, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_walk_begin(w, err);
    }
    if (code == ZDM_OK && !place->there) {
        code = pgsql_walk_back_begin(w, err);
    }
    bool stale = code == ZDM_OK && place->walk_key != NULL && strcmp(place->walk_key, walk->walk_key) != 0;
    if (stale) {
        free(place->cursor);
        free(place->bound);
        place->cursor = place->bound = NULL;
    }
    if (code == ZDM_OK) {
        code = place->bound == NULL ? fix_bound(w, place, walk, err) : ZDM_OK;
    }
    if (code == ZDM_OK && !place->over) {
        code = walk_on(w, place, walk, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    return code == ZDM_OK ? commit_place(w, place, err) : code;
}

static enum zdm_code run_catch_up(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_walk_back place;
    enum zdm_code code = pgsql_walk_back_read(w, &place, err);
    bool begins = !place.there && way_of(w->step) != &of_sync;
    if (code == ZDM_OK && !begins && (!place.there || place.over)) {
        w->result->outcome = AGENT_ALREADY;
    } else if (code == ZDM_OK) {
        code = catch_up(w, &place, err);
    }
    pgsql_walk_back_fini(&place);
    return code;
}

enum zdm_code pgsql_run_images_back(struct pgsql_work *w, struct zdm_error *err)
{
    const struct way *way = way_of(w->step);
    return way->batch == NULL ? run_catch_up(w, err) : write_back(w, way, err);
}
