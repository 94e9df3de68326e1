/*
 * spend.c - signatures that are used up on this shard (protocol 6): undo orders and approvals.
 *
 * zdm.spent and the journal's row are written in one transaction, so that an order is either begun and spent or
 * neither. Who asks again after an answer was lost finds the row as it wanted it: AGENT_ALREADY, nothing spent twice.
 * The row is held from the first statement on, so that what is looked up in zdm.spent stays so.
 */
#include "agent/engine/mysql/journal/journal.h"

#include "agent/engine/journal.h"
#include "agent/engine/mysql/session/classify.h"

/* What a nonce is spent for. */
struct spending {
    const char *kind;
    uint32_t phase;
};

/* An order to go back spends every approval of what lies after its phase, and of leftovers, that was issued before it:
 * also those that were not needed to come there, and that a coordinator may have kept. */
static const char is_spent_sql[] =
    "SELECT COUNT(*) FROM zdm.spent WHERE home = $1 AND (nonce = UNHEX($2) OR (migration = $3 AND"
    " $4 IN ('enter', 'purge') AND kind = 'undo order' AND issued_at_ms >= CAST($7 AS SIGNED) AND"
    " ($5 = '0' OR phase < CAST($5 AS UNSIGNED))))";

static const char spend_sql[] =
    "INSERT INTO zdm.spent (home, nonce, migration, kind, phase, approver, issued_at_ms) VALUES ($1, UNHEX($2), $3, $4,"
    " $5, UNHEX($6), $7)";

static enum zdm_code insert(struct mydb_work *w, const char *const *params, struct zdm_error *err)
{
    enum zdm_code code = mydb_query(w->s, spend_sql, 7, params, NULL, err);
    if (code != ZDM_OK && mydb_is_violation(err)) {
        return zdm_error_set(err, ZDM_CONFLICT, "another migration has just spent the same signature");
    }
    return code;
}

static enum zdm_code spend(struct mydb_work *w, const struct spending *what, const struct agent_spend *one,
                           bool *out_fresh, struct zdm_error *err)
{
    char nonce[ZDM_ID_HEX_SIZE], approver[ZDM_ID_HEX_SIZE], phase[AGENT_NUMBER_SIZE], issued[AGENT_NUMBER_SIZE];
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    zdm_hex(nonce, one->nonce.bytes, sizeof one->nonce.bytes);
    zdm_hex(approver, one->approver.bytes, sizeof one->approver.bytes);
    const char *params[] = {w->s->database,
                            nonce,
                            w->op->migration,
                            what->kind,
                            agent_number(phase, what->phase),
                            approver,
                            agent_signed(issued, one->issued_at_ms)};
    enum zdm_code code = mydb_query(w->s, is_spent_sql, 7, params, &rows, err);
    *out_fresh = code == ZDM_OK && mydb_int(rows, 0, 0) == 0;
    if (*out_fresh) {
        code = insert(w, params, err);
    }
    return code == ZDM_OK ? ZDM_OK : mydb_journal_failed(err, "writing zdm.spent");
}

static enum zdm_code spend_order(struct mydb_work *w, struct zdm_error *err)
{
    const struct spending what = {"undo order", w->op->to_phase};
    const struct agent_spend order = {.nonce = w->op->undo_nonce, .issued_at_ms = w->op->undo_issued_at_ms};
    bool fresh = false;
    enum zdm_code code = spend(w, &what, &order, &fresh, err);
    return code == ZDM_OK && !fresh ? agent_refuse_spent("this undo order was used before", err) : code;
}

static enum zdm_code spend_approvals(struct mydb_work *w, const char *kind, uint32_t phase, struct zdm_error *err)
{
    const struct spending what = {kind, phase};
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < w->op->n_spend; i++) {
        bool fresh = false;
        code = spend(w, &what, &w->op->spend[i], &fresh, err);
        if (code == ZDM_OK && !fresh) {
            w->result->spent_before |= UINT32_C(1) << i;
        }
    }
    return code == ZDM_OK && w->result->spent_before != 0 ? agent_refuse_spent("the approval was used before", err)
                                                          : code;
}

static enum zdm_code already(struct mydb_work *w, struct zdm_error *err)
{
    enum zdm_code code = mydb_journal_commit(w, err);
    w->result->outcome = AGENT_ALREADY;
    return code;
}

/* ---- Rollbacks ---- */

enum zdm_code mydb_journal_untell(struct mydb_work *w, struct zdm_error *err)
{
    static const char sql[] = "DELETE FROM zdm.walk_back WHERE home = $1 AND migration = $2 AND `over`";
    const char *params[] = {w->s->database, w->op->migration};
    enum zdm_code code = mydb_query(w->s, sql, 2, params, NULL, err);
    return code == ZDM_OK ? ZDM_OK : mydb_journal_failed(err, "writing zdm.walk_back");
}

static enum zdm_code write_begin(struct mydb_work *w, struct zdm_error *err)
{
    static const char set[] =
        "entered_phase = LEAST(entered_phase, CAST($9 AS UNSIGNED)),"
        " reached_phase = LEAST(reached_phase, CAST($9 AS UNSIGNED)), purge_now = 0, purge_generation = 0,"
        " purge_generation_now = 0, undo_nonce = UNHEX($10),"
        " switched_phase = GREATEST(switched_phase, CAST($11 AS UNSIGNED))";
    char phase[AGENT_NUMBER_SIZE], nonce[ZDM_ID_HEX_SIZE], switched[AGENT_NUMBER_SIZE];
    zdm_hex(nonce, w->op->undo_nonce.bytes, sizeof w->op->undo_nonce.bytes);
    const char *values[] = {agent_number(phase, w->op->to_phase), nonce, agent_number(switched, w->op->switched_phase)};
    return mydb_journal_write(w, set, 3, values, err);
}

static enum zdm_code begin_undo(struct mydb_work *w, struct zdm_error *err)
{
    enum zdm_code code = agent_refuse_purged(w->op, ZDM_ENGINE_MYSQL, err);
    if (code == ZDM_OK) {
        code = spend_order(w, err);
    }
    if (code == ZDM_OK) {
        code = spend_approvals(w, "undo", w->op->to_phase, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_untell(w, err);
    }
    if (code == ZDM_OK) {
        code = write_begin(w, err);
    }
    return code == ZDM_OK ? mydb_journal_commit(w, err) : code;
}

enum zdm_code mydb_run_undo_begin(struct mydb_work *w, struct zdm_error *err)
{
    if (zdm_id_is_zero(&w->op->undo_nonce)) {
        return zdm_error_set(err, ZDM_BUG, "a rollback without an order");
    }
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_journal_hold(w, err);
    }
    if (code == ZDM_OK && zdm_id_equal(&w->result->undo_nonce, &w->op->undo_nonce)) {
        return already(w, err);
    }
    return code == ZDM_OK ? begin_undo(w, err) : code;
}

enum zdm_code mydb_run_undo_end(struct mydb_work *w, struct zdm_error *err)
{
    static const char set[] = "switched_phase = LEAST(switched_phase, CAST($9 AS UNSIGNED))";
    char phase[AGENT_NUMBER_SIZE];
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_journal_write(w, set, 1, (const char *const[]){agent_number(phase, w->op->to_phase)}, err);
    }
    return code == ZDM_OK ? mydb_journal_commit(w, err) : code;
}

/* ---- Phases ---- */

static enum zdm_code enter(struct mydb_work *w, struct zdm_error *err)
{
    bool leftovers = w->op->spend_phase == 0;
    const char *set = leftovers ? "purge_generation = $9, purge_generation_now = $10"
                                : "entered_phase = GREATEST(entered_phase, CAST($9 AS UNSIGNED)), purge_now = $10";
    char value[AGENT_NUMBER_SIZE];
    const char *const values[] = {agent_number(value, leftovers ? w->op->fence.generation : w->op->spend_phase),
                                  w->op->purge_now ? "1" : "0"};
    enum zdm_code code = spend_approvals(w, leftovers ? "purge" : "enter", w->op->spend_phase, err);
    if (code == ZDM_OK) {
        code = mydb_journal_write(w, set, 2, values, err);
    }
    return code == ZDM_OK ? mydb_journal_commit(w, err) : code;
}

enum zdm_code mydb_run_spend_approvals(struct mydb_work *w, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_journal_hold(w, err);
    }
    if (code == ZDM_OK && agent_is_entered(w->op, w->result)) {
        return already(w, err);
    }
    return code == ZDM_OK ? enter(w, err) : code;
}
