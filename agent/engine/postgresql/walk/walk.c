/*
 * walk.c - the steps of a walk from cursor to cursor (backfill.h).
 */
#include "agent/engine/postgresql/walk/backfill.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/walk/delete.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/walk/meaning.h"
#include "agent/engine/postgresql/walk/walk_sql.h"
#include "agent/engine/steps.h"

void pgsql_walk_free(struct pgsql_walk *walk)
{
    if (walk == NULL) {
        return;
    }
    char *const texts[] = {walk->full_first, walk->full,         walk->walk_key,     walk->next_first, walk->next,
                           walk->lock_first, walk->lock,         walk->change_first, walk->change,     walk->left_first,
                           walk->left,       walk->differ_first, walk->differ,       walk->differ_one, walk->columns};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        free(texts[i]);
    }
    free(walk);
}

void pgsql_walk_forget(struct pgsql_memory *memory)
{
    pgsql_walk_free(memory->walk);
    memory->walk = NULL;
}

void pgsql_memory_forget(struct pgsql_memory *memory)
{
    pgsql_walk_forget(memory);
    *memory = (struct pgsql_memory){0};
}

static struct pgsql_walk *build(const struct pgsql_facts *facts, const struct zdm_step *step, bool switched)
{
    const struct zdm_table *table = &step->table;
    struct pgsql_walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL) {
        return NULL;
    }
    walk->table = facts->table;
    walk->walk_key = zdm_strdup(facts->key.signature);
    walk->full_first = pgsql_walk_full_text(facts, table, 0);
    walk->full = pgsql_walk_full_text(facts, table, 3);
    walk->next_first = pgsql_walk_next_text(facts, table, 0);
    walk->next = pgsql_walk_next_text(facts, table, 3);
    walk->lock_first = pgsql_walk_lock_text(facts, step, 0);
    walk->lock = pgsql_walk_lock_text(facts, step, 2);
    bool deletes = step->action == ZDM_ACTION_DELETE;
    walk->change_first = deletes ? NULL : pgsql_walk_batch_text(facts, step, 0);
    walk->change = deletes ? NULL : pgsql_walk_batch_text(facts, step, 2);
    walk->differ_first = pgsql_walk_differ_text(facts, table, 0, switched);
    walk->differ = pgsql_walk_differ_text(facts, table, 2, switched);
    walk->differ_one = pgsql_walk_differ_text(facts, table, PGSQL_WALK_ONE, switched);
    bool counts_left = step->action == ZDM_ACTION_SYNC_REMOVE || step->action == ZDM_ACTION_SYNC_INSTALL ||
                       step->action == ZDM_ACTION_HIDE_COLUMN || switched;
    walk->left_first = counts_left ? pgsql_walk_left_text(facts, step, 0) : NULL;
    walk->left = counts_left ? pgsql_walk_left_text(facts, step, 2) : NULL;
    bool whole = walk->full_first != NULL && walk->full != NULL && walk->walk_key != NULL && walk->next_first != NULL &&
                 walk->next != NULL && walk->lock_first != NULL && walk->lock != NULL &&
                 (deletes || (walk->change_first != NULL && walk->change != NULL)) && walk->differ_first != NULL &&
                 walk->differ != NULL && walk->differ_one != NULL &&
                 (!counts_left || (walk->left_first != NULL && walk->left != NULL));
    if (!whole) {
        pgsql_walk_free(walk);
        return NULL;
    }
    return walk;
}

enum zdm_code pgsql_walk_get(struct pgsql_work *w, const struct pgsql_walk **out, struct zdm_error *err)
{
    struct pgsql_facts facts;
    if (w->memory->walk != NULL) {
        *out = w->memory->walk;
        return ZDM_OK;
    }
    bool removed = w->step->action == ZDM_ACTION_SYNC_REMOVE || w->step->action == ZDM_ACTION_HIDE_COLUMN;
    const struct zdm_step *derived = removed ? zdm_plan_step(w->op->plan, w->step->sync_step) : w->step;
    if (derived == NULL) {
        return zdm_error_set(err, ZDM_BUG, "step %s removes no sync", w->step->id);
    }
    enum zdm_code code = pgsql_facts_read(w, derived, 0, &facts, err);
    /* The key may be another one than when the bound was fixed. */
    if (code == ZDM_OK && w->step->action == ZDM_ACTION_BACKFILL) {
        code = pgsql_key_keeps(w->s, &facts.table, &facts.key, facts.d, err);
    }
    struct pgsql_walk *walk =
        code == ZDM_OK ? build(&facts, w->step, agent_step_is_switched(w->op->plan, w->step)) : NULL;
    if (code == ZDM_OK && walk == NULL) {
        code = zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    if (code == ZDM_OK && w->step->action == ZDM_ACTION_DELETE) {
        code = pgsql_delete_texts(w, &facts, &walk->change_first, &walk->change, &walk->columns, err);
    }
    pgsql_facts_fini(&facts);
    if (code != ZDM_OK) {
        pgsql_walk_free(walk);
        return code;
    }
    *out = w->memory->walk = walk;
    return ZDM_OK;
}

/* Rows are locked in the order of the key; the application has its own order, and of a deadlock the session dies that
 * looks for one first after it has begun to wait. That is to be the agent, which tries fewer rows again. Where it may
 * not look earlier than others, it lets go before it would look at all. */
enum { DEADLOCK_MS = 10 };

static void be_the_victim(const struct pgsql_session *s, uint32_t *lock_ms, char *out, size_t size)
{
    uint32_t patience = s->deadlock_timeout_ms / 2;
    *out = '\0';
    if (s->may_set_deadlock_timeout) {
        (void)snprintf(out, size, " SET LOCAL deadlock_timeout = %d;", DEADLOCK_MS);
    } else if (patience > 0 && *lock_ms > patience) {
        *lock_ms = patience;
    }
}

enum zdm_code pgsql_walk_begin(struct pgsql_work *w, struct zdm_error *err)
{
    char settings[400], deadlock[64];
    uint32_t limit_ms = w->op->time_limit_ms;
    /* What others defer to the end would fail at COMMIT, where no row is named. */
    bool rows = w->step->action == ZDM_ACTION_DELETE || w->step->inverse == ZDM_INVERSE_IMAGES;
    const char *now = rows ? " SET CONSTRAINTS ALL IMMEDIATE;" : "";
    const char *quiet = w->step->skip_triggers ? " SET LOCAL session_replication_role = replica;" : "";
    /* Shorter than the whole, so that a row held by somebody shows as what it is. */
    uint32_t lock_ms = w->op->lock_wait_ms != 0 ? w->op->lock_wait_ms : limit_ms - limit_ms / 4;
    be_the_victim(w->s, &lock_ms, deadlock, sizeof deadlock);
    snprintf(settings, sizeof settings,
             "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL statement_timeout = %" PRIu32
             "; SET LOCAL lock_timeout = %" PRIu32 ";%s%s%s",
             limit_ms, lock_ms, deadlock, now, quiet);
    return pgsql_begin(w->s, settings, err);
}

enum zdm_code pgsql_walk_next(struct pgsql_work *w, const struct pgsql_walk *walk, struct pgsql_chunk *out,
                              struct zdm_error *err)
{
    char rows[16];
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    uint32_t limit = w->op->rows == 0 ? 1 : w->op->rows;
    bool first = w->op->cursor == NULL;
    snprintf(rows, sizeof rows, "%" PRIu32, limit);
    const char *params[] = {w->op->bound, rows, w->op->cursor};
    size_t n = first ? 2 : 3;
    enum zdm_code code = pgsql_query_prepared(w->s, first ? walk->full_first : walk->full, n, params, &res, err);
    bool full = code == ZDM_OK && PQntuples(res) == 1;
    if (code == ZDM_OK && !full) {
        pgsql_clearp(&res);
        code = pgsql_query_prepared(w->s, first ? walk->next_first : walk->next, n, params, &res, err);
    }
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while looking for the next rows of %s.%s", walk->table.schema, walk->table.name);
    }
    const char *last = pgsql_text(res, 0, 0);
    out->rows = full ? limit : (uint32_t)pgsql_int(res, 0, 1);
    out->last = zdm_strdup(last);
    return last == NULL || out->last != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code pgsql_walk_range(struct pgsql_work *w, const char *first, const char *later, const char *last,
                               PGresult **out, struct zdm_error *err)
{
    const char *params[] = {last, w->op->cursor};
    bool from_start = w->op->cursor == NULL;
    return pgsql_query_prepared(w->s, from_start ? first : later, from_start ? 1 : 2, params, out, err);
}

bool pgsql_walk_is_over(const struct pgsql_work *w, const struct pgsql_chunk *chunk)
{
    return chunk->rows < (w->op->rows == 0 ? 1 : w->op->rows);
}

enum zdm_code pgsql_walk_move(struct pgsql_work *w, const struct pgsql_chunk *chunk, struct zdm_error *err)
{
    struct pgsql_move move = {.step = w->op->step,
                              .cursor = chunk->last != NULL ? chunk->last : w->op->cursor,
                              .keep_walk = true,
                              .walked = pgsql_walk_is_over(w, chunk),
                              .rows_added = chunk->rows};
    w->result->rows_walked = chunk->rows;
    return pgsql_journal_move(w, &move, err);
}
