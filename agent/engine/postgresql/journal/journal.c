/*
 * journal.c - reading the journal, accepting a directive, and the compare-and-set that every change ends with.
 */
#include "agent/engine/postgresql/journal/journal.h"

#include <stdlib.h>
#include <string.h>

#include "agent/engine/journal.h"
#include "agent/engine/postgresql/back/walk_back.h"

static void fields(const PGresult *res, int row, int n, const char **out)
{
    for (int i = 0; i < n; i++) {
        out[i] = pgsql_text(res, row, i);
    }
}

/* In the order of agent_journal_read. */
/* switched_phase: of a standby whose primary no agent of this release has written on, the journal may lack it yet. */
static const char load_sql[] =
    "SELECT migration, encode(m.plan_hash, 'hex'), epoch, encode(instance, 'hex'), generation, encode(anchor, 'hex'),"
    " encode(digest, 'hex'), encode(directive, 'hex'), encode(directive_signature, 'hex'),"
    " encode(p.envelope, 'hex'), encode(p.signature, 'hex'), step, cursor, bound, walked, rows_done, rows_total,"
    " failed_attempt, failed_step, failed_code, failed_text, trust_version, entered_phase, reached_phase,"
    " coalesce((to_jsonb(m) ->> 'switched_phase')::int8, 0), purge_now, purge_generation, purge_generation_now,"
    " encode(undo_nonce, 'hex'), CASE WHEN undo_nonce IS NOT NULL THEN"
    " (SELECT string_agg(r.remark, '; ' ORDER BY r.step DESC, r.kind, r.name) FROM (SELECT h.migration, h.step, h.kind,"
    " h.name, h.remark FROM zdm.hidden h WHERE h.state IN ('violated', 'lost') AND NOT h.by_rollback UNION ALL"
    " SELECT b.migration, b.step, '', '', " PGSQL_WALK_BACK_REMARK
    " FROM zdm.walk_back b WHERE b.over) r WHERE r.migration = m.migration) END"
    " FROM zdm.migration m LEFT JOIN zdm.plan p ON p.plan_hash = m.plan_hash ORDER BY migration";

enum zdm_code pgsql_journal_load(struct pgsql_session *s, struct agent_result *result, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *there = NULL;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(s, "SELECT to_regclass('zdm.migration') IS NOT NULL", 0, NULL, &there, err);
    if (code != ZDM_OK || !pgsql_true(there, 0, 0)) {
        return code;
    }
    code = pgsql_query(s, load_sql, 0, NULL, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while reading the journal");
    }
    size_t n = (size_t)PQntuples(res);
    result->journals = calloc(n == 0 ? 1 : n, sizeof *result->journals);
    if (result->journals == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    result->n_journals = n;
    for (size_t i = 0; i < n; i++) {
        const char *row[AGENT_JOURNAL_FIELDS];
        fields(res, (int)i, AGENT_JOURNAL_FIELDS, row);
        if (!agent_journal_read(&result->journals[i], row)) {
            return zdm_error_set(err, ZDM_CORRUPT, "zdm.migration holds a damaged row for %s",
                                 result->journals[i].migration);
        }
    }
    return ZDM_OK;
}

enum zdm_code pgsql_journal_store_plan(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.plan (plan_hash, envelope, signature)"
        " VALUES (decode($1, 'hex'), decode($2, 'hex'), decode($3, 'hex')) ON CONFLICT (plan_hash) DO UPDATE"
        " SET envelope = excluded.envelope, signature = excluded.signature, stored_at = now()"
        " WHERE (plan.envelope, plan.signature) IS DISTINCT FROM (excluded.envelope, excluded.signature)";
    const struct zdm_envelope *envelope = w->op->envelope;
    char hash[ZDM_HASH_HEX_SIZE], signature[2 * sizeof envelope->signature + 1];
    zdm_hex(hash, w->op->digest.bytes, sizeof w->op->digest.bytes);
    zdm_hex(signature, envelope->signature, sizeof envelope->signature);
    ZDM_CLEANUP(zdm_freep) char *bytes = agent_hex(envelope->bytes, envelope->len);
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    if (bytes == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, sql, 3, (const char *const[]){hash, bytes, signature}, &res, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_commit(w->s, err);
    }
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while storing the plan");
    }
    w->result->outcome = strcmp(PQcmdTuples(res), "0") == 0 ? AGENT_ALREADY : AGENT_OK;
    return ZDM_OK;
}

#define PROGRESS                                                                                                       \
    "step, cursor, bound, walked, rows_done, rows_total, entered_phase, reached_phase,"                                \
    " switched_phase, purge_now, purge_generation, purge_generation_now, encode(undo_nonce, 'hex')"

/* Of a row that begins with the columns of PROGRESS, which are those of agent_progress_read. */
static bool fill_result(struct pgsql_work *w, const PGresult *res)
{
    const char *row[AGENT_PROGRESS_FIELDS];
    fields(res, 0, AGENT_PROGRESS_FIELDS, row);
    return agent_progress_read(w->result, row);
}

static enum zdm_code not_accepted(struct pgsql_work *w, const struct agent_accept_text *text, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT " PROGRESS ", epoch = $2::int8 AND generation = $3::int8 AND instance = decode($4, 'hex')"
        " AND anchor = decode($5, 'hex') AND digest = decode($6, 'hex') FROM zdm.migration WHERE migration = $1";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 6, text->params, &res, err);
    if (code != ZDM_OK) {
        return code;
    }
    if (PQntuples(res) == 1 && pgsql_true(res, 0, AGENT_PROGRESS_FIELDS)) {
        w->result->outcome = AGENT_ALREADY;
        w->result->journal_valid = fill_result(w, res);
        return ZDM_OK;
    }
    return zdm_error_set(err, ZDM_FENCED, "the shard's journal holds a newer or another directive");
}

/* Row comparison: (epoch, generation) must rise, and an epoch has one instance only. Going forward and purging end a
 * rollback for good ($11). What was let in was let in for one plan: another one of the same id begins without, but for
 * one that is amended, whose phases are the same as far as one was entered ($13); and a purge of leftovers for one
 * order, which may be given anew ($12). That another plan fits was judged by a row ($15 to $18) that another process
 * with this agent's key may have moved since: then it is judged anew. */
static const char accept_sql[] =
    "INSERT INTO zdm.migration AS j (migration, epoch, generation, instance, anchor, digest, plan_hash, directive,"
    " directive_signature, trust_version, reached_phase) VALUES ($1, $2::int8, $3::int8, decode($4, 'hex'), decode($5, "
    "'hex'),"
    " decode($6, 'hex'), decode($7, 'hex'), decode($8, 'hex'), decode($9, 'hex'), $10::int8, $14::int4)"
    " ON CONFLICT (migration) DO UPDATE SET epoch = excluded.epoch, generation = excluded.generation,"
    " instance = excluded.instance, anchor = excluded.anchor, digest = excluded.digest,"
    " plan_hash = excluded.plan_hash, directive = excluded.directive,"
    " directive_signature = excluded.directive_signature, changed_at = now(),"
    " trust_version = greatest(j.trust_version, excluded.trust_version),"
    " entered_phase = CASE WHEN $13::bool OR j.plan_hash = excluded.plan_hash THEN j.entered_phase ELSE 0 END,"
    " reached_phase = greatest(excluded.reached_phase, CASE WHEN $13::bool OR j.plan_hash = excluded.plan_hash"
    " THEN j.reached_phase ELSE 0 END),"
    " switched_phase = CASE WHEN $13::bool OR j.plan_hash = excluded.plan_hash THEN j.switched_phase ELSE 0 END,"
    " purge_now = j.purge_now AND ($13::bool OR j.plan_hash = excluded.plan_hash),"
    " purge_generation = CASE WHEN j.plan_hash <> excluded.plan_hash THEN 0"
    " WHEN $12::bool AND j.purge_generation = j.generation THEN excluded.generation ELSE j.purge_generation END,"
    " purge_generation_now = j.purge_generation_now AND j.plan_hash = excluded.plan_hash,"
    " undo_nonce = CASE WHEN $11::bool THEN NULL ELSE j.undo_nonce END"
    " WHERE (excluded.epoch, excluded.generation) > (j.epoch, j.generation)"
    " AND (excluded.epoch <> j.epoch OR excluded.instance = j.instance)"
    " AND (j.plan_hash = excluded.plan_hash OR (j.epoch = $15::int8 AND j.generation = $16::int8"
    " AND j.instance = decode($17, 'hex') AND j.step = $18::int4)) RETURNING " PROGRESS;

enum zdm_code pgsql_journal_accept(struct pgsql_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(agent_accept_text_fini) struct agent_accept_text text;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    if (!agent_accept_text(&text, w->op)) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, accept_sql, AGENT_ACCEPT_PARAMS, text.params, &res, err);
    }
    if (code == ZDM_OK && PQntuples(res) != 1) {
        return not_accepted(w, &text, err);
    }
    if (code == ZDM_OK && !fill_result(w, res)) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_commit(w, err);
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while accepting the directive");
}

/* $1 to $7: who must own the row, where it must stand, and that the attempt at hand is not journalled as failed. The
 * last is for two processes with one agent's key: what the one has stopped, the other must not work on with. */
#define FENCE_WHERE                                                                                                    \
    " WHERE migration = $1 AND epoch = $2::int8 AND instance = decode($3, 'hex') AND generation = $4::int8"
#define PLACE_WHERE                                                                                                    \
    FENCE_WHERE " AND step = $5::int4 AND cursor IS NOT DISTINCT FROM $6::text"                                        \
                " AND (failed_attempt = 0 OR failed_attempt < $7::int8)"

enum zdm_code pgsql_journal_move(struct pgsql_work *w, const struct pgsql_move *move, struct zdm_error *err)
{
    static const char sql[] =
        "UPDATE zdm.migration SET step = $8::int4, cursor = $9, bound = CASE WHEN $16::bool THEN bound ELSE $10 END,"
        " walk_key = CASE WHEN $16::bool THEN walk_key ELSE $11 END, walked = $12::bool,"
        " rows_done = CASE WHEN $13::bool THEN 0 ELSE rows_done END + $14::int8,"
        " rows_total = CASE WHEN $16::bool THEN rows_total ELSE $15::int8 END, changed_at = now()" PLACE_WHERE
        " RETURNING " PROGRESS;
    struct agent_fence_text f;
    char at[AGENT_NUMBER_SIZE], attempt[AGENT_NUMBER_SIZE], to[AGENT_NUMBER_SIZE], added[AGENT_NUMBER_SIZE],
        total[AGENT_NUMBER_SIZE];
    agent_fence_text(&f, &w->op->fence);
    const char *params[] = {w->op->migration,
                            f.epoch,
                            f.instance,
                            f.generation,
                            agent_number(at, w->op->journal_step),
                            w->op->cursor,
                            agent_number(attempt, w->op->attempt),
                            agent_number(to, move->step),
                            move->cursor,
                            move->bound,
                            move->walk_key,
                            move->walked ? "t" : "f",
                            move->restart ? "t" : "f",
                            agent_number(added, move->rows_added),
                            agent_number(total, move->rows_total),
                            move->keep_walk ? "t" : "f"};
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query_prepared(w->s, sql, 16, params, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while writing the journal");
    }
    if (PQntuples(res) != 1) {
        return agent_fenced(err);
    }
    return fill_result(w, res) ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code pgsql_journal_write(struct pgsql_work *w, const char *set, size_t n, const char *const *values,
                                  struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    struct agent_fence_text f;
    char at[AGENT_NUMBER_SIZE], attempt[AGENT_NUMBER_SIZE];
    agent_fence_text(&f, &w->op->fence);
    const char *params[PGSQL_PARAMS_MAX] = {w->op->migration,
                                            f.epoch,
                                            f.instance,
                                            f.generation,
                                            agent_number(at, w->op->journal_step),
                                            w->op->cursor,
                                            agent_number(attempt, w->op->attempt)};
    for (size_t i = 0; i < n; i++) {
        params[PGSQL_JOURNAL_PARAMS + i] = values[i];
    }
    zdm_buffer_printf(&sql, "UPDATE zdm.migration SET %s, changed_at = now()" PLACE_WHERE " RETURNING " PROGRESS, set);
    enum zdm_code code = pgsql_query(w->s, zdm_buffer_text(&sql), PGSQL_JOURNAL_PARAMS + n, params, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while writing the journal");
    }
    if (PQntuples(res) != 1) {
        return agent_fenced(err);
    }
    return fill_result(w, res) ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code pgsql_journal_hold(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] = "SELECT " PROGRESS " FROM zdm.migration" PLACE_WHERE " FOR NO KEY UPDATE";
    struct agent_fence_text f;
    char at[AGENT_NUMBER_SIZE], attempt[AGENT_NUMBER_SIZE];
    agent_fence_text(&f, &w->op->fence);
    const char *params[] = {w->op->migration,
                            f.epoch,
                            f.instance,
                            f.generation,
                            agent_number(at, w->op->journal_step),
                            w->op->cursor,
                            agent_number(attempt, w->op->attempt)};
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 7, params, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while reading the journal");
    }
    if (PQntuples(res) != 1) {
        return agent_fenced(err);
    }
    return fill_result(w, res) ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code pgsql_journal_step_on(struct pgsql_work *w, struct zdm_error *err)
{
    if (w->op->step != w->op->journal_step) {
        return pgsql_journal_hold(w, err);
    }
    return pgsql_journal_move(w, &(struct pgsql_move){.step = w->op->step + 1, .restart = true}, err);
}

enum zdm_code pgsql_journal_commit(struct pgsql_work *w, struct zdm_error *err)
{
    enum zdm_code code = pgsql_commit(w->s, err);
    w->result->journal_valid = code == ZDM_OK;
    return code;
}

static enum zdm_code journal_only(struct pgsql_work *w, uint32_t step, struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_journal_move(w, &(struct pgsql_move){.step = step, .restart = true}, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

enum zdm_code pgsql_run_step_done(struct pgsql_work *w, struct zdm_error *err)
{
    return journal_only(w, w->op->step + 1, err);
}

/* What was counted by a step that is undone is nothing that anybody should be told of a later one. */
enum zdm_code pgsql_run_step_back(struct pgsql_work *w, struct zdm_error *err)
{
    char step[AGENT_NUMBER_SIZE];
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, "DELETE FROM zdm.compared WHERE migration = $1 AND step >= $2::int4", 2,
                           (const char *const[]){w->op->migration, agent_number(step, w->op->step)}, NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_move(w, &(struct pgsql_move){.step = w->op->step, .restart = true}, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

enum zdm_code pgsql_run_stop(struct pgsql_work *w, struct zdm_error *err)
{
    /* A stop counts wherever the row stands: losing it would make an agent's restart a silent retry. */
    static const char sql[] =
        "UPDATE zdm.migration SET failed_attempt = $5::int8, failed_step = $6::int4,"
        " failed_code = $7::int4, failed_text = $8, changed_at = now()" FENCE_WHERE " RETURNING " PROGRESS;
    struct agent_fence_text f;
    char attempt[AGENT_NUMBER_SIZE], step[AGENT_NUMBER_SIZE], failed[AGENT_NUMBER_SIZE];
    agent_fence_text(&f, &w->op->fence);
    const char *params[] = {w->op->migration,
                            f.epoch,
                            f.instance,
                            f.generation,
                            agent_number(attempt, w->op->attempt),
                            agent_number(step, w->op->step),
                            agent_number(failed, (uint64_t)w->op->failed_code),
                            w->op->failed_text == NULL ? "" : w->op->failed_text};
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, sql, 8, params, &res, err);
    }
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while writing the journal");
    }
    if (PQntuples(res) != 1) {
        return agent_fenced(err);
    }
    return fill_result(w, res) ? pgsql_journal_commit(w, err) : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code pgsql_journal_place(struct pgsql_work *w, struct pgsql_place *out, struct zdm_error *err)
{
    static const char sql[] = "SELECT step, walked FROM zdm.migration WHERE migration = $1";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 1, (const char *const[]){w->op->migration}, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while reading the journal");
    }
    *out = PQntuples(res) == 1 ? (struct pgsql_place){(uint32_t)pgsql_int(res, 0, 0), pgsql_true(res, 0, 1)}
                               : (struct pgsql_place){0};
    return ZDM_OK;
}
