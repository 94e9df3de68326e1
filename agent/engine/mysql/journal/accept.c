/*
 * accept.c - plans and directives into the journal (journal.h).
 */
#include "agent/engine/mysql/journal/journal.h"

#include <stdlib.h>

#include "agent/engine/journal.h"

/* ---- Plans ---- */

static enum zdm_code put_plan(struct mydb_work *w, const char *hash, const char *bytes, const char *signature,
                              struct zdm_error *err)
{
    static const char look[] = "SELECT envelope = UNHEX($3) AND signature = UNHEX($4) FROM zdm.plan WHERE home = $1 AND"
                               " plan_hash = UNHEX($2) FOR UPDATE";
    static const char put[] =
        "INSERT INTO zdm.plan (home, plan_hash, envelope, signature) VALUES ($1, UNHEX($2), UNHEX($3), UNHEX($4))"
        " ON DUPLICATE KEY UPDATE envelope = UNHEX($3), signature = UNHEX($4), stored_at = NOW(3)";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *params[] = {w->s->database, hash, bytes, signature};
    enum zdm_code code = mydb_query(w->s, look, 4, params, &rows, err);
    if (code == ZDM_OK && rows->n == 1 && mydb_true(rows, 0, 0)) {
        w->result->outcome = AGENT_ALREADY;
        return ZDM_OK;
    }
    return code == ZDM_OK ? mydb_query(w->s, put, 4, params, NULL, err) : code;
}

enum zdm_code mydb_journal_store_plan(struct mydb_work *w, struct zdm_error *err)
{
    const struct zdm_envelope *envelope = w->op->envelope;
    char hash[ZDM_HASH_HEX_SIZE], signature[2 * sizeof envelope->signature + 1];
    zdm_hex(hash, w->op->digest.bytes, sizeof w->op->digest.bytes);
    zdm_hex(signature, envelope->signature, sizeof envelope->signature);
    ZDM_CLEANUP(zdm_freep) char *bytes = agent_hex(envelope->bytes, envelope->len);
    if (bytes == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = put_plan(w, hash, bytes, signature, err);
    }
    if (code == ZDM_OK) {
        code = mydb_commit(w->s, err);
    }
    return code == ZDM_OK ? ZDM_OK : mydb_journal_failed(err, "storing the plan");
}

/* ---- Directives: $1 to $18 of agent_accept_text, $19 home ---- */

enum { ACCEPT_PARAMS = AGENT_ACCEPT_PARAMS + 1 };

/* A row of this migration, held from here on. One that is made here is older than every directive, of its instance and
 * of its plan. */
static const char have_sql[] =
    "INSERT INTO zdm.migration (home, migration, epoch, generation, instance, anchor, digest, plan_hash, directive,"
    " directive_signature) VALUES ($19, $1, 0, 0, UNHEX($4), UNHEX($5), UNHEX($6), UNHEX($7), UNHEX($8), UNHEX($9))"
    " ON DUPLICATE KEY UPDATE home = $19";

#define SAME_PLAN "plan_hash = UNHEX($7)"
#define STANDS    "($13 = '1' OR " SAME_PLAN ")"

/* (epoch, generation) must rise, and an epoch has one instance only. Going forward and purging end a rollback for good
 * ($11). What was let in was let in for one plan: another one of the same id begins without, but for one that is
 * amended, whose phases are the same as far as one was entered ($13); and a purge of leftovers for one order, which may
 * be given anew ($12). That another plan fits was judged by a row ($15 to $18) that another process with this agent's
 * key may have moved since: then it is judged anew.
 *
 * The server assigns from left to right: what is compared with comes last. */
static const char accept_sql[] =
    "UPDATE zdm.migration SET trust_version = GREATEST(trust_version, CAST($10 AS UNSIGNED)),"
    " entered_phase = IF(" STANDS ", entered_phase, 0),"
    " reached_phase = GREATEST(CAST($14 AS UNSIGNED), IF(" STANDS ", reached_phase, 0)),"
    " switched_phase = IF(" STANDS ", switched_phase, 0),"
    " purge_now = purge_now AND " STANDS ","
    " purge_generation_now = purge_generation_now AND " SAME_PLAN ","
    " purge_generation = CASE WHEN NOT " SAME_PLAN " THEN 0 WHEN $12 = '1' AND purge_generation = generation"
    " THEN CAST($3 AS UNSIGNED) ELSE purge_generation END,"
    " undo_nonce = IF($11 = '1', NULL, undo_nonce), changed_at = NOW(3),"
    " epoch = $2, generation = $3, instance = UNHEX($4), anchor = UNHEX($5), digest = UNHEX($6),"
    " plan_hash = UNHEX($7), directive = UNHEX($8), directive_signature = UNHEX($9)"
    " WHERE home = $19 AND migration = $1"
    " AND (epoch < CAST($2 AS UNSIGNED) OR (epoch = CAST($2 AS UNSIGNED) AND generation < CAST($3 AS UNSIGNED) AND"
    " instance = UNHEX($4)))"
    " AND (" SAME_PLAN " OR (epoch = CAST($15 AS UNSIGNED) AND generation = CAST($16 AS UNSIGNED) AND"
    " instance = UNHEX($17) AND step = CAST($18 AS UNSIGNED)))";

static const char is_this_sql[] =
    "SELECT epoch = CAST($2 AS UNSIGNED) AND generation = CAST($3 AS UNSIGNED) AND instance = UNHEX($4) AND"
    " anchor = UNHEX($5) AND digest = UNHEX($6) FROM zdm.migration WHERE home = $19 AND migration = $1";

/* The very directive that stands there: the answer of its COMMIT was lost. */
static enum zdm_code not_accepted(struct mydb_work *w, const char *const *params, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s, is_this_sql, ACCEPT_PARAMS, params, &rows, err);
    if (code == ZDM_OK && rows->n == 1 && mydb_true(rows, 0, 0)) {
        code = mydb_journal_fill(w, err);
        w->result->journal_valid = code == ZDM_OK;
        w->result->outcome = AGENT_ALREADY;
        return code;
    }
    return code == ZDM_OK ? zdm_error_set(err, ZDM_FENCED, "the shard's journal holds a newer or another directive")
                          : code;
}

static enum zdm_code accept_by(struct mydb_work *w, const char *const *params, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_query(w->s, have_sql, ACCEPT_PARAMS, params, NULL, err);
    }
    if (code == ZDM_OK) {
        code = mydb_query(w->s, accept_sql, ACCEPT_PARAMS, params, NULL, err);
    }
    if (code == ZDM_OK && mydb_changed(w->s) != 1) {
        return not_accepted(w, params, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_fill(w, err);
    }
    return code == ZDM_OK ? mydb_journal_commit(w, err) : code;
}

enum zdm_code mydb_journal_accept(struct mydb_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(agent_accept_text_fini) struct agent_accept_text text;
    const char *params[ACCEPT_PARAMS];
    if (!agent_accept_text(&text, w->op)) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < AGENT_ACCEPT_PARAMS; i++) {
        params[i] = text.params[i];
    }
    params[AGENT_ACCEPT_PARAMS] = w->s->database;
    enum zdm_code code = accept_by(w, params, err);
    return code == ZDM_OK || code == ZDM_FENCED ? code : mydb_journal_failed(err, "accepting the directive");
}
