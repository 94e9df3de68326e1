/*
 * undo.c - the way back of a step: has it a part to be carried out, and which; and the short parts that take away what
 * a step has put in place.
 *
 * As forward, the catalogue answers and the journal's notes, never memory. What was there before the migration, or is
 * not its own, is left: a step that found its goal reached has nothing to undo. A column is never dropped, but renamed
 * to "~zdm_u…" and kept until `zdmctl purge` (database.md 12); the triggers that fill it go in the same transaction,
 * since one that names a column which is gone makes every write of the application fail.
 */
#include "agent/engine/postgresql/back/undo.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/hide/hidden.h"
#include "agent/engine/postgresql/walk/images.h"
#include "agent/engine/postgresql/online/index.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/looks.h"
#include "agent/engine/postgresql/walk/sync.h"
#include "agent/engine/postgresql/back/walk_back.h"
#include "agent/engine/steps.h"
#include "common/plan/undo.h"

enum zdm_code pgsql_answer_back(struct pgsql_work *w, bool undone, enum agent_run next)
{
    w->result->proof = undone ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
    w->result->next_run = undone ? AGENT_RUN_NONE : next;
    return ZDM_OK;
}

static enum zdm_code column_is_ours(struct pgsql_work *w, const struct pgsql_table *table, const char *name, bool *out,
                                    struct pgsql_column *column, struct zdm_error *err)
{
    bool found = false;
    enum zdm_code code = pgsql_column_look(w->s, table, name, &found, column, err);
    *out = found && pgsql_is_owner(column->comment, w->op->migration);
    return code;
}

enum zdm_code pgsql_back_of_column(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_column column = {0};
    bool ours = false;
    enum zdm_code code = column_is_ours(w, table, w->step->column, &ours, &column, err);
    pgsql_column_fini(&column);
    return code == ZDM_OK ? pgsql_answer_back(w, !ours, AGENT_RUN_UNDO_DDL) : code;
}

/* Only a NOT NULL that this migration noted as its own (ddl.c). */
enum zdm_code pgsql_back_of_not_null(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM zdm.owned o JOIN pg_attribute a ON a.attrelid = $1::oid AND a.attname = $2"
        " AND a.attnotnull AND NOT a.attisdropped WHERE o.kind = 'not null' AND o.migration = $3"
        " AND o.schema_name = $4 AND o.object = format('%I.%I', $5::text, $2::text))";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {table->oid, w->step->column, w->op->migration, table->schema, table->name};
    enum zdm_code code = pgsql_query(w->s, sql, 5, params, &res, err);
    return code == ZDM_OK ? pgsql_answer_back(w, !pgsql_true(res, 0, 0), AGENT_RUN_UNDO_DDL) : code;
}

/* Are there triggers of the syncs that must go? */
static enum zdm_code syncs_are_gone(struct pgsql_work *w, bool *out, struct zdm_error *err)
{
    const struct zdm_step *syncs[AGENT_UNDO_SYNCS_MAX];
    size_t n = agent_undo_syncs(w->op->plan, w->step, syncs);
    enum zdm_code code = ZDM_OK;
    *out = true;
    for (size_t i = 0; code == ZDM_OK && *out && i < n; i++) {
        enum agent_proof removed = AGENT_PROOF_NONE;
        code = pgsql_sync_look_removed(w, syncs[i]->ordinal, &removed, err);
        *out = removed == AGENT_PROOF_DONE;
    }
    return code;
}

enum zdm_code pgsql_back_of_sync(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    bool gone = false, counts = false;
    (void)table;
    enum zdm_code code = syncs_are_gone(w, &gone, err);
    if (code == ZDM_OK && !gone) {
        code = pgsql_walk_back_counts(w, w->step, &counts, err);
    }
    if (code == ZDM_OK && !counts) {
        code = pgsql_walk_back_remark(w, err);
    }
    return code == ZDM_OK ? pgsql_answer_back(w, gone, counts ? AGENT_RUN_IMAGES_BACK : AGENT_RUN_UNDO_SYNC) : code;
}

enum zdm_code pgsql_back_of_walk(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    bool there = false, gone = true;
    (void)table;
    enum zdm_code code = ZDM_OK;
    if (w->step->inverse == ZDM_INVERSE_IMAGES) {
        code = pgsql_images_exist(w, w->step->object, &there, err);
    }
    if (code == ZDM_OK && there) {
        code = syncs_are_gone(w, &gone, err);
    }
    if (code == ZDM_OK && !there) {
        code = pgsql_walk_back_remark(w, err);
    }
    return code == ZDM_OK ? pgsql_answer_back(w, !there, gone ? AGENT_RUN_IMAGES_BACK : AGENT_RUN_UNDO_SYNC) : code;
}

static const struct zdm_step *removed_sync(const struct pgsql_work *w)
{
    return zdm_plan_step(w->op->plan, w->step->sync_step);
}

enum zdm_code pgsql_back_of_removal(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    enum agent_proof installed = AGENT_PROOF_NONE;
    bool over = true;
    enum zdm_code code = pgsql_sync_look(w, table, w->step->sync_step, &installed, err);
    if (code == ZDM_OK && installed == AGENT_PROOF_DONE) {
        code = pgsql_walk_back_over(w, &over, err);
    }
    if (code == ZDM_OK && installed == AGENT_PROOF_DONE && over) {
        code = pgsql_walk_back_remark(w, err);
    }
    bool undone = installed == AGENT_PROOF_DONE && over;
    return code == ZDM_OK
               ? pgsql_answer_back(w, undone,
                                   installed == AGENT_PROOF_DONE ? AGENT_RUN_IMAGES_BACK : AGENT_RUN_UNDO_REMOVE)
               : code;
}

/* What a purge has dropped cannot come back: UNDO_BEGIN refuses. One that did nothing yet has nothing to undo. */
enum zdm_code pgsql_look_back(struct pgsql_work *w, struct zdm_error *err)
{
    const struct pgsql_action *action = pgsql_action_of(w->step);
    struct pgsql_table table;
    if (action == NULL) {
        return zdm_error_set(err, ZDM_UNSUPPORTED, "step %s is of a kind that this release does not know", w->step->id);
    }
    if (action->look_back == NULL) {
        return pgsql_answer_back(w, true, AGENT_RUN_NONE);
    }
    bool gone = false;
    enum zdm_code code = pgsql_created_is_gone(w, &gone, err);
    if (code == ZDM_OK && gone) {
        return pgsql_answer_back(w, true, AGENT_RUN_NONE);
    }
    if (code == ZDM_OK && action->of_table) {
        code = pgsql_table_find(w->s, &w->step->table, &table, err);
    }
    return code == ZDM_OK ? action->look_back(w, action->of_table ? &table : NULL, err) : code;
}

/* ---- Taking away ---- */

/* Each rollback hides under a name of its own, so that the column may be added and taken away again. */
static enum zdm_code leftover_name(struct pgsql_work *w, char out[ZDM_IDENTIFIER_MAX + 1], struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, "SELECT '~zdm_u' || left(gen_random_uuid()::text, 8)", 0, NULL, &res, err);
    if (code == ZDM_OK) {
        zdm_copy_text(out, ZDM_IDENTIFIER_MAX + 1, pgsql_text(res, 0, 0));
    }
    return code;
}

/* The column that `add` has added, when it is there and ours. */
static enum zdm_code hide_added(struct pgsql_short *attempt, const struct pgsql_table *table,
                                const struct zdm_step *add, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    char name[ZDM_IDENTIFIER_MAX + 1] = "";
    struct pgsql_hiding h = {.step = add->ordinal, .name = &add->table, .table = *table, .by_rollback = true};
    bool ours = false;
    enum zdm_code code = column_is_ours(w, table, add->column, &ours, &h.column, err);
    if (code == ZDM_OK && !ours) {
        pgsql_column_fini(&h.column);
        return ZDM_OK;
    }
    if (code == ZDM_OK) {
        code = pgsql_hidden_refuse(w, &h, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_hidden_lock_parents(attempt, &h, err);
    }
    if (code == ZDM_OK) {
        code = leftover_name(w, name, err);
    }
    h.hidden_name = name;
    if (code == ZDM_OK) {
        code = pgsql_hidden_put(w, &h, err);
    }
    pgsql_column_fini(&h.column);
    return code;
}

static enum zdm_code forget_not_null(struct pgsql_work *w, struct zdm_error *err)
{
    const char *params[] = {w->op->migration, w->step->table.schema, w->step->table.name, w->step->column};
    return pgsql_query(w->s,
                       "DELETE FROM zdm.owned WHERE kind = 'not null' AND migration = $1 AND schema_name = $2"
                       " AND object = format('%I.%I', $3::text, $4::text)",
                       4, params, NULL, err);
}

enum zdm_code pgsql_undo_column(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    return hide_added(attempt, table, attempt->w->step, err);
}

enum zdm_code pgsql_undo_by_inverse(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    (void)table;
    if (w->step->inverse_sql == NULL) {
        return zdm_error_set(err, ZDM_BUG, "step %s has no inverse", w->step->id);
    }
    return pgsql_run_statement(w, w->step->inverse_sql, err);
}

enum zdm_code pgsql_undo_not_null(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    enum zdm_code code = pgsql_undo_by_inverse(attempt, table, err);
    return code == ZDM_OK ? forget_not_null(attempt->w, err) : code;
}

/* Triggers first, then the columns that they fill: a function that fires in between does not exist. */
static enum zdm_code take_syncs_away(struct pgsql_short *attempt, const struct pgsql_table *table,
                                     struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    const struct zdm_step *syncs[AGENT_UNDO_SYNCS_MAX];
    size_t n = agent_undo_syncs(w->op->plan, w->step, syncs);
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < n; i++) {
        code = pgsql_sync_drop(w, syncs[i]->ordinal, false, err);
    }
    const struct zdm_derivation *d = w->step->action == ZDM_ACTION_SYNC_INSTALL ? w->step->derivation : NULL;
    for (size_t i = 0; code == ZDM_OK && d != NULL && i < d->n_assignments; i++) {
        const struct zdm_step *add = zdm_plan_adds(w->op->plan, &w->step->table, d->assignments[i].target);
        if (add != NULL && add->ordinal >= w->op->floor) {
            code = hide_added(attempt, table, add, err);
        }
    }
    return code;
}

/* What a part of the way back needs locked, and what it does. */
struct part {
    bool of_table;
    pgsql_part_fn *lock_others;
    enum pgsql_lock_mode lock;
    bool lock_only;
    pgsql_part_fn *take;
};

static enum zdm_code lock_part(struct pgsql_short *attempt, const struct pgsql_table *table, const struct part *part,
                               struct zdm_error *err)
{
    enum zdm_code code = part->lock_others == NULL ? ZDM_OK : part->lock_others(attempt, table, err);
    if (code != ZDM_OK || part->lock == PGSQL_NO_LOCK || table == NULL) {
        return code;
    }
    struct pgsql_table locked = *table;
    locked.kind = part->lock_only ? 'r' : locked.kind;
    return pgsql_short_lock(attempt, &locked, part->lock, err);
}

static enum zdm_code undo(struct pgsql_work *w, const struct part *part, struct zdm_error *err)
{
    struct pgsql_table found, *table = part->of_table ? &found : NULL;
    struct pgsql_short attempt;
    enum zdm_code code = part->of_table ? pgsql_table_find(w->s, &w->step->table, &found, err) : ZDM_OK;
    if (code == ZDM_OK) {
        code = pgsql_short_begin(&attempt, w, err);
    }
    if (code == ZDM_OK) {
        code = lock_part(&attempt, table, part, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_look_back(w, err);
    }
    bool undone = w->result->proof == AGENT_PROOF_DONE;
    if (code == ZDM_OK && !undone) {
        code = part->take(&attempt, table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_commit(w, err);
    }
    w->result->proof = AGENT_PROOF_NONE;
    w->result->next_run = AGENT_RUN_NONE;
    if (code == ZDM_OK && undone) {
        w->result->outcome = AGENT_ALREADY;
    }
    return code;
}

enum zdm_code pgsql_run_undo_ddl(struct pgsql_work *w, struct zdm_error *err)
{
    const struct pgsql_action *action = pgsql_action_of(w->step);
    if (action == NULL || action->back == NULL) {
        return zdm_error_set(err, ZDM_BUG, "step %s has nothing that a short transaction could undo", w->step->id);
    }
    const struct part part = {.of_table = action->of_table,
                              .lock_others = action->back_lock_others,
                              .lock = action->back_lock,
                              .lock_only = action->lock_only,
                              .take = action->back};
    enum zdm_code code = action->back_ahead == NULL ? ZDM_OK : action->back_ahead(w, err);
    return code == ZDM_OK ? undo(w, &part, err) : code;
}

enum zdm_code pgsql_run_undo_sync(struct pgsql_work *w, struct zdm_error *err)
{
    return undo(w, &(struct part){.of_table = true, .lock = PGSQL_ACCESS_EXCLUSIVE, .take = take_syncs_away}, err);
}

static enum zdm_code put_sync_back(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    const struct zdm_step *sync = removed_sync(w);
    (void)table;
    if (sync == NULL || sync->derivation == NULL) {
        return zdm_error_set(err, ZDM_BUG, "step %s removes no sync", w->step->id);
    }
    enum zdm_code code = pgsql_sync_install_again(w, sync, err);
    return code == ZDM_OK && sync->derivation->both_ways ? pgsql_walk_back_begin(w, err) : code;
}

enum zdm_code pgsql_run_undo_remove(struct pgsql_work *w, struct zdm_error *err)
{
    return undo(w, &(struct part){.of_table = true, .lock = PGSQL_ACCESS_EXCLUSIVE, .take = put_sync_back}, err);
}
