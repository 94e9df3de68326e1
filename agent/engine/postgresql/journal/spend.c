/*
 * spend.c - signatures that are used up on this shard (protocol 6): undo orders and approvals.
 *
 * zdm.spent and the journal's row are written in one transaction, so that an order is either begun and spent or
 * neither. Who asks again after an answer was lost finds the row as it wanted it: AGENT_ALREADY, nothing spent twice.
 */
#include "agent/engine/postgresql/journal/journal.h"

#include <inttypes.h>
#include <stdio.h>

#include "agent/engine/journal.h"
#include "agent/engine/postgresql/back/walk_back.h"

/* What a nonce is spent for. */
struct spending {
    const char *kind;
    uint32_t phase;
};

/* An order to go back spends every approval of what lies after its phase, and of leftovers, that was issued before it:
 * also those that were not needed to come there, and that a coordinator may have kept. */
static enum zdm_code spend(struct pgsql_work *w, const struct spending *what, const struct agent_spend *one,
                           bool *out_fresh, struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.spent (nonce, migration, kind, phase, approver, issued_at_ms)"
        " SELECT decode($1, 'hex'), $2, $3, $4::int4, decode($5, 'hex'), $6::int8 WHERE $3 NOT IN ('enter', 'purge')"
        " OR NOT EXISTS (SELECT FROM zdm.spent WHERE migration = $2 AND kind = 'undo order' AND issued_at_ms >= "
        "$6::int8"
        " AND ($4::int4 = 0 OR phase < $4::int4)) ON CONFLICT DO NOTHING";
    char nonce[ZDM_ID_HEX_SIZE], approver[ZDM_ID_HEX_SIZE], phase[16], issued[24];
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    zdm_hex(nonce, one->nonce.bytes, sizeof one->nonce.bytes);
    zdm_hex(approver, one->approver.bytes, sizeof one->approver.bytes);
    snprintf(phase, sizeof phase, "%" PRIu32, what->phase);
    snprintf(issued, sizeof issued, "%" PRId64, one->issued_at_ms);
    const char *params[] = {nonce, w->op->migration, what->kind, phase, approver, issued};
    enum zdm_code code = pgsql_query(w->s, sql, 6, params, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while writing zdm.spent");
    }
    *out_fresh = PQcmdTuples(res)[0] != '0';
    return ZDM_OK;
}

static enum zdm_code spend_order(struct pgsql_work *w, struct zdm_error *err)
{
    const struct spending what = {"undo order", w->op->to_phase};
    const struct agent_spend order = {.nonce = w->op->undo_nonce, .issued_at_ms = w->op->undo_issued_at_ms};
    bool fresh = false;
    enum zdm_code code = spend(w, &what, &order, &fresh, err);
    return code == ZDM_OK && !fresh ? agent_refuse_spent("this undo order was used before", err) : code;
}

static enum zdm_code spend_approvals(struct pgsql_work *w, const char *kind, uint32_t phase, struct zdm_error *err)
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

static enum zdm_code already(struct pgsql_work *w, struct zdm_error *err)
{
    enum zdm_code code = pgsql_journal_commit(w, err);
    w->result->outcome = AGENT_ALREADY;
    return code;
}

static enum zdm_code begin_undo(struct pgsql_work *w, struct zdm_error *err)
{
    static const char set[] =
        "entered_phase = least(entered_phase, $8::int4),"
        " reached_phase = least(reached_phase, $8::int4), purge_now = false, purge_generation = 0,"
        " purge_generation_now = false, undo_nonce = decode($9, 'hex'),"
        " switched_phase = greatest(switched_phase, $10::int4)";
    char phase[16], nonce[ZDM_ID_HEX_SIZE], switched[16];
    snprintf(phase, sizeof phase, "%" PRIu32, w->op->to_phase);
    snprintf(switched, sizeof switched, "%" PRIu32, w->op->switched_phase);
    zdm_hex(nonce, w->op->undo_nonce.bytes, sizeof w->op->undo_nonce.bytes);
    enum zdm_code code = agent_refuse_purged(w->op, ZDM_ENGINE_POSTGRESQL, err);
    if (code == ZDM_OK) {
        code = spend_order(w, err);
    }
    if (code == ZDM_OK) {
        code = spend_approvals(w, "undo", w->op->to_phase, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_walk_back_untell(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_write(w, set, 3, (const char *const[]){phase, nonce, switched}, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

enum zdm_code pgsql_run_undo_begin(struct pgsql_work *w, struct zdm_error *err)
{
    if (zdm_id_is_zero(&w->op->undo_nonce)) {
        return zdm_error_set(err, ZDM_BUG, "a rollback without an order");
    }
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    if (code == ZDM_OK && zdm_id_equal(&w->result->undo_nonce, &w->op->undo_nonce)) {
        return already(w, err);
    }
    return code == ZDM_OK ? begin_undo(w, err) : code;
}

enum zdm_code pgsql_run_undo_end(struct pgsql_work *w, struct zdm_error *err)
{
    static const char set[] = "switched_phase = least(switched_phase, $8::int4)";
    char phase[16];
    snprintf(phase, sizeof phase, "%" PRIu32, w->op->to_phase);
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_journal_write(w, set, 1, (const char *const[]){phase}, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

static enum zdm_code enter(struct pgsql_work *w, struct zdm_error *err)
{
    bool leftovers = w->op->spend_phase == 0;
    const char *set = leftovers ? "purge_generation = $8::int8, purge_generation_now = $9::bool"
                                : "entered_phase = greatest(entered_phase, $8::int4), purge_now = $9::bool";
    char value[24];
    snprintf(value, sizeof value, "%" PRIu64, leftovers ? w->op->fence.generation : (uint64_t)w->op->spend_phase);
    const char *const values[] = {value, w->op->purge_now ? "t" : "f"};
    enum zdm_code code = spend_approvals(w, leftovers ? "purge" : "enter", w->op->spend_phase, err);
    if (code == ZDM_OK) {
        code = pgsql_journal_write(w, set, 2, values, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

enum zdm_code pgsql_run_spend_approvals(struct pgsql_work *w, struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    if (code == ZDM_OK && agent_is_entered(w->op, w->result)) {
        return already(w, err);
    }
    return code == ZDM_OK ? enter(w, err) : code;
}
