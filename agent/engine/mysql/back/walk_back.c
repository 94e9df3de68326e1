/*
 * walk_back.c - the place of a walk on the way back, the batches of what is kept in a table of zdm, and the catch-up of
 * a sync that was installed again (walk_back.h).
 *
 * What is kept, before-images or deleted rows, goes back in batches of one transaction each, with the fence. The
 * journal is moved to the step with an empty walk first: who goes forward again in between begins anew.
 *
 * The catch-up: while no triggers stood guard, the new column was the truth: from Contract on new code owns it. So the
 * old one takes over its value wherever the two differ and it fits. Triggers are installed again before, so that what
 * is written meanwhile is in step; the batch makes both columns the same and so changes nothing by them.
 */
#include "agent/engine/mysql/back/walk_back.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/walk/delete.h"
#include "agent/engine/mysql/walk/images.h"
#include "agent/engine/mysql/journal/journal.h"
#include "agent/engine/mysql/walk/walk_sql.h"
#include "agent/engine/steps.h"

void mydb_walk_back_fini(struct mydb_walk_back *place)
{
    free(place->cursor);
    free(place->bound);
    free(place->walk_key);
    *place = (struct mydb_walk_back){0};
}

void mydb_walk_back_keep(struct mydb_walk_back *place, const char *words, struct zdm_error *err)
{
    if (place->why_kept[0] == '\0') {
        (void)snprintf(place->why_kept, sizeof place->why_kept, "%s%.120s", words, err->message);
    }
    place->rows_kept++;
    zdm_error_clear(err);
}

/* ---- The row ---- */

#define OF_STEP " WHERE home = $1 AND migration = $2 AND step = $3"

/* A statement over $1 home, $2 migration, $3 step, and $4, $5. */
static enum zdm_code of_step(struct mydb_work *w, const char *sql, const char *a, const char *b, struct mydb_rows **out,
                             struct zdm_error *err)
{
    char step[16];
    (void)snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *const params[] = {w->s->database, w->op->migration, step, a, b};
    enum zdm_code code = mydb_query(w->s, sql, 5, params, out, err);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while reading zdm.walk_back");
}

/* What differs between the ways. */
struct way {
    const char *told, *why_left; /* the words of its remark */
    /* Of a table of zdm: how much there is to do, and a batch. */
    enum zdm_code (*total)(struct mydb_work *w, const char *name, uint64_t *out, struct zdm_error *err);
    enum zdm_code (*batch)(struct mydb_work *w, const char *name, struct mydb_walk_back *place,
                           const struct mydb_facts *facts, struct zdm_error *err);
};

static const struct way of_images = {AGENT_IMAGES_TOLD, AGENT_IMAGES_LEFT, mydb_images_total, mydb_images_batch};
static const struct way of_archive = {AGENT_ARCHIVE_TOLD, AGENT_ARCHIVE_LEFT, mydb_archive_total, mydb_archive_batch};
static const struct way of_sync = {AGENT_CATCH_UP_TOLD, AGENT_CATCH_UP_LEFT, NULL, NULL};

static const struct way *way_of(const struct zdm_step *step)
{
    bool deletes = step->action == ZDM_ACTION_DELETE;
    return step->action == ZDM_ACTION_SYNC_REMOVE ? &of_sync : deletes ? &of_archive : &of_images;
}

enum zdm_code mydb_walk_back_begin(struct mydb_work *w, struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.walk_back (home, migration, step, told, why_left) VALUES ($1, $2, $3, $4, $5) ON DUPLICATE KEY"
        " UPDATE `cursor` = NULL, bound = NULL, walk_key = NULL, rows_walked = 0, rows_total = 0, rows_told = 0,"
        " rows_left = 0, rows_kept = 0, why_kept = '', told = $4, why_left = $5, `over` = 0";
    const struct way *way = way_of(w->step);
    return of_step(w, sql, way->told, way->why_left, NULL, err);
}

enum zdm_code mydb_walk_back_forget(struct mydb_work *w, struct zdm_error *err)
{
    return of_step(w, "DELETE FROM zdm.walk_back" OF_STEP, NULL, NULL, NULL, err);
}

static bool copy(char **out, const char *text)
{
    *out = zdm_strdup(text);
    return text == NULL || *out != NULL;
}

enum zdm_code mydb_walk_back_read(struct mydb_work *w, struct mydb_walk_back *out, struct zdm_error *err)
{
    static const char sql[] = "SELECT `over`, rows_walked, rows_total, rows_told, rows_left, `cursor`, bound, walk_key,"
                              " rows_kept, why_kept FROM zdm.walk_back" OF_STEP;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = of_step(w, sql, NULL, NULL, &rows, err);
    *out = (struct mydb_walk_back){.there = code == ZDM_OK && rows->n == 1};
    if (!out->there) {
        return code;
    }
    out->over = mydb_true(rows, 0, 0);
    out->rows_walked = mydb_uint(rows, 0, 1);
    out->rows_total = mydb_uint(rows, 0, 2);
    out->rows_told = mydb_uint(rows, 0, 3);
    out->rows_left = mydb_uint(rows, 0, 4);
    out->rows_kept = mydb_uint(rows, 0, 8);
    zdm_copy_text(out->why_kept, sizeof out->why_kept, mydb_text(rows, 0, 9));
    bool whole = copy(&out->cursor, mydb_text(rows, 0, 5)) && copy(&out->bound, mydb_text(rows, 0, 6)) &&
                 copy(&out->walk_key, mydb_text(rows, 0, 7));
    return whole ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code mydb_walk_back_write(struct mydb_work *w, const struct mydb_walk_back *place, struct zdm_error *err)
{
    static const char sql[] = "UPDATE zdm.walk_back SET `cursor` = $4, bound = $5, walk_key = $6, rows_walked = $7,"
                              " rows_total = $8, rows_told = $9, rows_left = $10, `over` = $11, rows_kept = $12,"
                              " why_kept = $13" OF_STEP;
    char step[16], walked[24], total[24], told[24], left[24], kept[24];
    (void)snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    (void)snprintf(walked, sizeof walked, "%" PRIu64, place->rows_walked);
    (void)snprintf(total, sizeof total, "%" PRIu64, place->rows_total);
    (void)snprintf(told, sizeof told, "%" PRIu64, place->rows_told);
    (void)snprintf(left, sizeof left, "%" PRIu64, place->rows_left);
    (void)snprintf(kept, sizeof kept, "%" PRIu64, place->rows_kept);
    const char *const params[] = {w->s->database,
                                  w->op->migration,
                                  step,
                                  place->cursor,
                                  place->bound,
                                  place->walk_key,
                                  walked,
                                  total,
                                  told,
                                  left,
                                  place->over ? "1" : "0",
                                  kept,
                                  place->why_kept};
    enum zdm_code code = mydb_query(w->s, sql, sizeof params / sizeof *params, params, NULL, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while writing zdm.walk_back");
    }
    w->result->rows_done = place->rows_walked;
    w->result->rows_total = place->rows_total;
    w->result->walked = place->over;
    return ZDM_OK;
}

enum zdm_code mydb_walk_back_over(struct mydb_work *w, bool *out, struct zdm_error *err)
{
    struct mydb_walk_back place;
    enum zdm_code code = mydb_walk_back_read(w, &place, err);
    *out = !place.there || place.over;
    mydb_walk_back_fini(&place);
    return code;
}

enum zdm_code mydb_walk_back_remark(struct mydb_work *w, struct zdm_error *err)
{
    static const char sql[] = "SELECT " MYDB_WALK_BACK_REMARK " FROM zdm.walk_back b" OF_STEP " AND b.`over`";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = of_step(w, sql, NULL, NULL, &rows, err);
    if (code == ZDM_OK && mydb_text(rows, 0, 0) != NULL) {
        zdm_copy_text(w->result->remark, sizeof w->result->remark, mydb_text(rows, 0, 0));
    }
    return code;
}

/* The end of a batch's transaction. */
static enum zdm_code commit_place(struct mydb_work *w, const struct mydb_walk_back *place, struct zdm_error *err)
{
    enum zdm_code code = mydb_walk_back_write(w, place, err);
    if (code == ZDM_OK && place->over) {
        code = mydb_walk_back_remark(w, err);
    }
    return code == ZDM_OK ? mydb_journal_commit(w, err) : code;
}

/* ---- What is kept goes back ---- */

/* The journal goes back to the step, with an empty walk. It stays where it stands further back: what a later step kept
 * does not say that the steps in between were done. */
static enum zdm_code stand_at_step(struct mydb_work *w, struct zdm_error *err)
{
    if (w->step->ordinal > w->op->journal_step) {
        return mydb_journal_hold(w, err);
    }
    return mydb_journal_move(w, &(struct mydb_move){.step = w->step->ordinal, .restart = true}, err);
}

static enum zdm_code write_batch(struct mydb_work *w, const struct way *way, const char *name,
                                 struct mydb_walk_back *place, const struct mydb_facts *facts, struct zdm_error *err)
{
    bool fresh = !place->there || place->over;
    enum zdm_code code = ZDM_OK;
    if (fresh) {
        mydb_walk_back_fini(place);
        code = way->total(w, name, &place->rows_total, err);
    }
    if (code == ZDM_OK) {
        code = mydb_begin(w->s, err);
    }
    if (code == ZDM_OK && fresh) {
        code = mydb_walk_back_begin(w, err);
    }
    if (code == ZDM_OK) {
        code = way->batch(w, name, place, facts, err);
    }
    if (code == ZDM_OK) {
        code = stand_at_step(w, err);
    }
    return code == ZDM_OK ? commit_place(w, place, err) : code;
}

/* Behind the last batch, which has put the table aside: one that is empty goes at once. That it does not is no failure
 * of the way back; a purge takes it away. */
static void drop_empty(struct mydb_work *w, const char *name)
{
    struct zdm_error ignored = ZDM_ERROR_INIT;
    uint64_t rest = 0;
    if (mydb_images_total(w, name, &rest, &ignored) == ZDM_OK && rest == 0 &&
        mydb_images_drop(w, name, &ignored) != ZDM_OK) {
        mydb_rollback(w->s);
    }
}

static enum zdm_code write_back_kept(struct mydb_work *w, const struct way *way, const char *name,
                                     struct zdm_error *err)
{
    struct mydb_walk_back place = {0};
    struct mydb_facts *facts = calloc(1, sizeof *facts);
    enum zdm_code code =
        facts == NULL ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : mydb_facts_read(w, w->step, facts, err);
    if (code == ZDM_OK) {
        code = mydb_walk_back_read(w, &place, err);
    }
    if (code == ZDM_OK) {
        code = write_batch(w, way, name, &place, facts, err);
    }
    if (code == ZDM_OK && place.over) {
        drop_empty(w, name);
    }
    mydb_walk_back_fini(&place);
    if (facts != NULL) {
        mydb_facts_fini(facts);
    }
    free(facts);
    return code;
}

static enum zdm_code write_back(struct mydb_work *w, const struct way *way, struct zdm_error *err)
{
    char name[MYDB_IMAGES_NAME_MAX];
    enum zdm_code code = mydb_images_find(w, w->step->object, name, err);
    if (code == ZDM_OK && *name == '\0') {
        w->result->outcome = AGENT_ALREADY;
        return ZDM_OK;
    }
    return code == ZDM_OK ? write_back_kept(w, way, name, err) : code;
}

/* ---- The catch-up ---- */

static enum zdm_code fix_bound(struct mydb_work *w, struct mydb_walk_back *place, const struct mydb_walk *walk,
                               struct zdm_error *err)
{
    enum zdm_code code = mydb_last_key(w, &walk->facts.key, &place->bound, err);
    free(place->walk_key);
    place->walk_key = zdm_strdup(walk->walk_key);
    place->over = place->bound == NULL;
    return code;
}

static enum zdm_code put_right(struct mydb_work *w, struct mydb_walk_back *place, const struct mydb_facts *facts,
                               struct mydb_span span, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer lock = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer change = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer left = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_walk_lock_text(&lock, facts, span, err);
    if (code == ZDM_OK) {
        code = mydb_walk_catch_up_text(&change, facts, span, err);
    }
    if (code == ZDM_OK) {
        code = mydb_walk_left_text(&left, facts, span, err);
    }
    if (code == ZDM_OK && w->op->locked_form) {
        code = mydb_run(w->s, zdm_buffer_text(&lock), NULL, err);
    }
    if (code == ZDM_OK) {
        code = mydb_run(w->s, zdm_buffer_text(&change), NULL, err);
        w->result->rows_changed = (uint32_t)mydb_changed(w->s);
    }
    if (code == ZDM_OK) {
        code = mydb_run(w->s, zdm_buffer_text(&left), &rows, err);
        place->rows_left += code == ZDM_OK ? mydb_uint(rows, 0, 0) : 0;
    }
    return code;
}

static enum zdm_code walk_on(struct mydb_work *w, struct mydb_walk_back *place, const struct mydb_walk *walk,
                             struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer from = ZDM_BUFFER_INIT;
    const struct mydb_facts *facts = &walk->facts;
    struct mydb_chunk chunk = {0};
    mydb_put_walked(&from, facts->table.name, &facts->key);
    enum zdm_code code =
        mydb_chunk_next(w, zdm_buffer_text(&from), &facts->key, place->cursor, place->bound, &chunk, err);
    if (code == ZDM_OK && chunk.last != NULL) {
        code = put_right(w, place, facts, (struct mydb_span){.after = place->cursor, .to = chunk.last}, err);
    }
    if (code != ZDM_OK) {
        free(chunk.last);
        return zdm_error_wrap(err, "while bringing %s in step", facts->table.name);
    }
    w->result->rows_walked = chunk.rows;
    place->rows_walked += chunk.rows;
    place->rows_told += w->result->rows_changed;
    place->over = mydb_walk_is_over(w, &chunk);
    if (chunk.last != NULL) {
        free(place->cursor);
        place->cursor = chunk.last;
    }
    return ZDM_OK;
}

/* A cursor over other columns, or in another order, means nothing any more. */
static void forget_stale(struct mydb_walk_back *place, const struct mydb_walk *walk)
{
    if (place->walk_key != NULL && strcmp(place->walk_key, walk->walk_key) != 0) {
        free(place->cursor);
        free(place->bound);
        place->cursor = place->bound = NULL;
    }
}

static enum zdm_code catch_up(struct mydb_work *w, struct mydb_walk_back *place, struct zdm_error *err)
{
    const struct mydb_walk *walk = NULL;
    enum zdm_code code = mydb_walk_get(w, &walk, err);
    if (code == ZDM_OK) {
        forget_stale(place, walk);
    }
    if (code == ZDM_OK && place->bound == NULL) {
        code = mydb_rows_estimate(w, &walk->facts.table, &place->rows_total, err);
    }
    if (code == ZDM_OK) {
        code = mydb_begin(w->s, err);
    }
    if (code == ZDM_OK && place->bound == NULL) {
        code = fix_bound(w, place, walk, err);
    }
    if (code == ZDM_OK && !place->over) {
        code = walk_on(w, place, walk, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_hold(w, err);
    }
    return code == ZDM_OK ? commit_place(w, place, err) : code;
}

static enum zdm_code run_catch_up(struct mydb_work *w, struct zdm_error *err)
{
    struct mydb_walk_back place;
    enum zdm_code code = mydb_walk_back_read(w, &place, err);
    if (code == ZDM_OK && (!place.there || place.over)) {
        w->result->outcome = AGENT_ALREADY;
    } else if (code == ZDM_OK) {
        code = catch_up(w, &place, err);
    }
    mydb_walk_back_fini(&place);
    return code;
}

enum zdm_code mydb_run_images_back(struct mydb_work *w, struct zdm_error *err)
{
    const struct way *way = way_of(w->step);
    return way == &of_sync ? run_catch_up(w, err) : write_back(w, way, err);
}
