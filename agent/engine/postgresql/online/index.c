/*
 * index.c - CREATE INDEX CONCURRENTLY: outside a transaction, in the long class, with its leftovers cleaned up.
 *
 * A concurrent build cannot carry our comment from the start, nor be in one transaction with the journal. So the intent
 * is journalled first (zdm.owned, under the fence), the build follows, and the catalogue says afterwards what became of
 * it: valid and owned is done, invalid and owned is a leftover.
 */
#include "agent/engine/postgresql/online/index.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/change/ddl.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/online/leaf.h"
#include "agent/engine/postgresql/session/replica.h"
#include "agent/engine/postgresql/session/running.h"

enum { CORRUPTING_FROM = 140000, CORRUPTING_BELOW = 140004 };

enum zdm_code pgsql_index_look(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                               struct zdm_error *err)
{
    struct pgsql_index state;
    enum zdm_code code = pgsql_index_read(w, table, w->step->object, &state, err);
    if (code != ZDM_OK) {
        return code;
    }
    if (!state.there) {
        *out_proof = AGENT_PROOF_NOT_DONE;
    } else if (!state.owned || !state.of_table) {
        *out_proof = AGENT_PROOF_FOREIGN;
        pgsql_index_foreign(w, w->step->object, err);
    } else {
        /* One of a partitioned table is invalid until its last part is attached. */
        enum agent_proof unfinished = table->kind == 'p' ? AGENT_PROOF_NOT_DONE : AGENT_PROOF_LEFTOVER;
        *out_proof = state.valid ? AGENT_PROOF_DONE : unfinished;
    }
    return ZDM_OK;
}

/* Intents of the step: of leaves, and of an index that went with its constraint or was never built. */
static enum zdm_code has_intents(struct pgsql_work *w, bool *out, struct zdm_error *err)
{
    static const char sql[] = "SELECT EXISTS (SELECT FROM zdm.owned WHERE kind = 'index' AND migration = $1 AND (step ="
                              " $2::int4 OR (schema_name = $3 AND object = $4)))";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *params[] = {w->op->migration, step, w->step->table.schema, w->step->object};
    enum zdm_code code = pgsql_query(w->s, sql, 4, params, &res, err);
    *out = code == ZDM_OK && pgsql_true(res, 0, 0);
    return code;
}

enum zdm_code pgsql_index_look_back(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_index state;
    bool intents = false;
    enum zdm_code code = pgsql_index_read(w, table, w->step->object, &state, err);
    if (code == ZDM_OK) {
        code = has_intents(w, &intents, err);
    }
    bool there = code == ZDM_OK && state.there && state.owned && state.of_table;
    w->result->proof = there || intents ? AGENT_PROOF_NOT_DONE : AGENT_PROOF_DONE;
    w->result->next_run = there || intents ? AGENT_RUN_INDEX_DROP : AGENT_RUN_NONE;
    return code;
}

enum zdm_code pgsql_index_run_alone(struct pgsql_work *w, const char *sql, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer path = ZDM_BUFFER_INIT;
    struct zdm_error later = ZDM_ERROR_INIT;
    zdm_buffer_puts(&path, "SET search_path = pg_catalog, ");
    pgsql_put_name(&path, w->step->table.schema);
    enum zdm_code code = pgsql_not_running(w, sql, err);
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, zdm_buffer_text(&path), NULL, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    code = pgsql_query(w->s, sql, 0, NULL, NULL, err);
    if (pgsql_is_open(w->s) && pgsql_script(w->s, "SET search_path = pg_catalog", NULL, &later) != ZDM_OK) {
        pgsql_close(w->s);
    }
    if (code != ZDM_OK && !pgsql_is_open(w->s)) {
        return zdm_error_set(err, ZDM_UNKNOWN, "the connection was lost while the index was being built or dropped");
    }
    return code;
}

static void put_index(struct zdm_buffer *b, const struct pgsql_work *w, const char *name)
{
    pgsql_put_name(b, w->step->table.schema);
    zdm_buffer_puts(b, ".");
    pgsql_put_name(b, name);
}

/* DROP INDEX CONCURRENTLY takes ACCESS EXCLUSIVE of the index at its end, and every session that reads the table holds
 * each of its indexes, invalid ones too. Who comes on a standby passes by, since the index is dead by then, but replay
 * waits for whoever is there: nobody shall be. */
static enum zdm_code clear(struct pgsql_work *w, const char *name, struct zdm_error *err)
{
    static const char sql[] = "SELECT i.indexrelid, i.indrelid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
                              " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {w->step->table.schema, name};
    enum zdm_code code = pgsql_query(w->s, sql, 2, params, &res, err);
    if (code != ZDM_OK || PQntuples(res) == 0) {
        return code;
    }
    const char *oids[] = {pgsql_text(res, 0, 0), pgsql_text(res, 0, 1)};
    return pgsql_replicas_clear(w, oids, 2, err);
}

enum zdm_code pgsql_index_drop_concurrently(struct pgsql_work *w, const char *name, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "DROP INDEX CONCURRENTLY IF EXISTS ");
    put_index(&sql, w, name);
    enum zdm_code code = clear(w, name, err);
    return code == ZDM_OK ? pgsql_index_run_alone(w, zdm_buffer_text(&sql), err) : code;
}

enum zdm_code pgsql_index_may_build(const struct pgsql_work *w, struct zdm_error *err)
{
    if (w->s->version_num >= CORRUPTING_FROM && w->s->version_num < CORRUPTING_BELOW) {
        zdm_error_set(err, ZDM_UNSUPPORTED, "PostgreSQL %s builds damaged indexes concurrently", w->s->version);
        return zdm_error_hint(err, "Update the server to 14.4 or newer.");
    }
    return ZDM_OK;
}

static enum zdm_code build(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    enum zdm_code code = pgsql_index_intend(w, w->step->object, err);
    if (code == ZDM_OK) {
        code = pgsql_index_run_alone(w, w->step->sql, err);
    }
    if (code != ZDM_OK && pgsql_is_violation(err)) {
        /* An invalid index costs every write and will never be of use. */
        struct zdm_error ignored = ZDM_ERROR_INIT;
        if (pgsql_index_drop_concurrently(w, w->step->object, &ignored) != ZDM_OK) {
            zdm_error_hint(err, "Remove the duplicates; the invalid index %s is still there.", w->step->object);
        } else {
            zdm_error_hint(err, "Remove the duplicates, then retry the shard.");
        }
    }
    if (code != ZDM_OK) {
        pgsql_index_build_failed(w, table, w->step->object, err);
    }
    return code;
}

/* Does a later step make a constraint of it? */
static bool becomes_key(const struct pgsql_work *w)
{
    const struct zdm_step *index = w->step;
    for (uint32_t o = index->ordinal + 1; o <= zdm_plan_n_steps(w->op->plan); o++) {
        const struct zdm_step *step = zdm_plan_step(w->op->plan, o);
        bool key = step->action == ZDM_ACTION_ADD_UNIQUE || step->action == ZDM_ACTION_ADD_PRIMARY_KEY;
        if (key && strcmp(step->object, index->object) == 0 && strcmp(step->table.schema, index->table.schema) == 0 &&
            strcmp(step->table.name, index->table.name) == 0) {
            return true;
        }
    }
    return false;
}

enum zdm_code pgsql_run_index_build(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_table table;
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &table, err);
    if (code == ZDM_OK) {
        code = pgsql_index_may_build(w, err);
    }
    if (code == ZDM_OK && becomes_key(w)) {
        code = pgsql_refuse_key(&table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_index_look(w, &table, &proof, err);
    }
    if (code == ZDM_OK && proof == AGENT_PROOF_FOREIGN) {
        return err->code;
    }
    if (code == ZDM_OK && proof == AGENT_PROOF_LEFTOVER) {
        return zdm_error_set(err, ZDM_CONFLICT, "an invalid index %s is left of an earlier build", w->step->object);
    }
    if (code == ZDM_OK && proof == AGENT_PROOF_NOT_DONE) {
        code = table.kind == 'p' ? pgsql_leaf_build(w, &table, err) : build(w, &table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_index_finish(w, &table, err);
    }
    if (code == ZDM_OK && proof == AGENT_PROOF_DONE) {
        w->result->outcome = AGENT_ALREADY;
    }
    return code;
}

enum zdm_code pgsql_index_check_fence(struct pgsql_work *w, struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    if (code == ZDM_OK) {
        pgsql_rollback(w->s);
    }
    return code;
}

enum zdm_code pgsql_index_building(struct pgsql_work *w, const struct pgsql_index *index, struct zdm_error *err)
{
    zdm_copy_text(w->result->blocker, sizeof w->result->blocker, index->builder);
    return zdm_error_set(err, ZDM_LOCK, "the index is still being built by %s", index->builder);
}

enum zdm_code pgsql_run_index_drop_invalid(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_table table;
    struct pgsql_index state = {0};
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &table, err);
    if (code == ZDM_OK) {
        code = pgsql_index_read(w, &table, w->step->object, &state, err);
    }
    if (code == ZDM_OK && (!state.there || (state.valid && state.owned))) {
        w->result->outcome = AGENT_ALREADY;
        return ZDM_OK;
    }
    if (code == ZDM_OK && !state.owned) {
        return pgsql_index_foreign(w, w->step->object, err);
    }
    if (code == ZDM_OK && state.building) {
        return pgsql_index_building(w, &state, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_index_check_fence(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_index_drop_concurrently(w, w->step->object, err);
    }
    return code == ZDM_OK ? pgsql_index_forget(w, w->step->object, err) : code;
}

enum zdm_code pgsql_run_index_drop(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_table table;
    struct pgsql_index state = {0};
    if (w->step->action == ZDM_ACTION_REINDEX) {
        return pgsql_reindex_clean(w, err);
    }
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &table, err);
    if (code == ZDM_OK && table.kind == 'p') {
        return pgsql_leaf_drop(w, &table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_index_read(w, &table, w->step->object, &state, err);
    }
    bool ours = state.there && state.owned && state.of_table;
    if (code == ZDM_OK && ours && state.building) {
        return pgsql_index_building(w, &state, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_index_check_fence(w, err);
    }
    if (code == ZDM_OK && ours) {
        code = pgsql_index_drop_concurrently(w, w->step->object, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_index_forget(w, w->step->object, err);
    }
    if (code == ZDM_OK && !ours) {
        w->result->outcome = AGENT_ALREADY;
    }
    return code;
}

/* What is left of an earlier build is dropped; one that is whole serves. */
static enum zdm_code build_anew(struct pgsql_work *w, const struct pgsql_index *state, const char *name,
                                const char *sql, struct zdm_error *err)
{
    enum zdm_code code = pgsql_index_check_fence(w, err);
    if (code == ZDM_OK && state->there) {
        code = pgsql_index_drop_concurrently(w, name, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_index_intend(w, name, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_index_run_alone(w, sql, err);
    }
    if (code != ZDM_OK && (pgsql_is_violation(err) || pgsql_is_final(code))) {
        struct zdm_error later = ZDM_ERROR_INIT;
        if (pgsql_index_drop_concurrently(w, name, &later) != ZDM_OK || pgsql_index_forget(w, name, &later) != ZDM_OK) {
            *err = later;
            return later.code;
        }
    }
    return code;
}

enum zdm_code pgsql_index_build_again(struct pgsql_work *w, const struct pgsql_table *table, const char *name,
                                      const char *sql, struct zdm_error *err)
{
    struct pgsql_index state;
    enum zdm_code code = pgsql_index_read(w, table, name, &state, err);
    if (code != ZDM_OK) {
        return code;
    }
    if (state.there && (!state.owned || !state.of_table)) {
        return pgsql_index_foreign(w, name, err);
    }
    if (state.there && state.valid) {
        return ZDM_OK;
    }
    return state.building ? pgsql_index_building(w, &state, err) : build_anew(w, &state, name, sql, err);
}
