/*
 * sync.c - installing, proving and removing the triggers of a sync step (sync.h).
 *
 * The derivation is judged against the catalogue first, and refused without touching anything: a trigger that can make
 * the application fail is worse than no migration (database.md 5). The expressions are probed in a view that is rolled
 * back: the server itself then says their types and which functions they depend on.
 */
#include "agent/engine/postgresql/walk/sync.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/change/locks.h"
#include "agent/engine/postgresql/walk/validate_sync.h"
#include "agent/engine/postgresql/watch.h"

void pgsql_function_name(char out[32], const char *migration, uint32_t ordinal, char kind)
{
    char hash[9];
    pgsql_short_name(hash, migration);
    snprintf(out, 32, "f_%s_%03" PRIu32 "_%c", hash, ordinal, kind);
}

enum { TRIGGER_NAME_SIZE = 64, PREFIX_TRIES = 4 };

/* Triggers fire in the byte order of their names, ours last. '~' is behind every letter of ASCII; where the
 * application has names beyond that, ours begin with the last character of Unicode, as often as it takes. */
static enum zdm_code trigger_prefix(struct pgsql_work *w, const struct pgsql_table *table, char out[TRIGGER_NAME_SIZE],
                                    struct zdm_error *err)
{
    static const char sql[] =
        "SELECT $2::text COLLATE \"C\" > coalesce(max(t.tgname::text COLLATE \"C\"), '') FROM pg_trigger t"
        " JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE t.tgrelid IN (SELECT $1::oid UNION SELECT relid FROM pg_partition_tree($1::oid::regclass))"
        " AND NOT t.tgisinternal AND t.tgtype & 2 <> 0 AND n.nspname <> 'zdm'";
    static const char last_character[] = "\xf4\x8f\xbf\xbf"; /* U+10FFFF */
    char hash[9], lead[4 * PREFIX_TRIES + 1] = "";
    pgsql_short_name(hash, w->op->migration);
    for (int i = 0; i < PREFIX_TRIES; i++) {
        ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
        snprintf(out, TRIGGER_NAME_SIZE, "%s~zdm_%s_%03" PRIu32, lead, hash, w->step->ordinal);
        enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){table->oid, out}, &res, err);
        if (code != ZDM_OK || pgsql_true(res, 0, 0)) {
            return code;
        }
        memcpy(lead + strlen(lead), last_character, sizeof last_character);
    }
    return zdm_error_set(err, ZDM_REFUSED, "a trigger of %s.%s has a name behind which none of ours can sort",
                         table->schema, table->name);
}

static void put_function(struct zdm_buffer *b, const char *name, const struct zdm_buffer *body, bool copy)
{
    zdm_buffer_puts(b, "CREATE OR REPLACE FUNCTION zdm.");
    pgsql_put_name(b, name);
    zdm_buffer_puts(b, "() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp");
    if (!copy) {
        zdm_buffer_puts(b, " SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET intervalstyle = 'iso_8601'"
                           " SET extra_float_digits = 1 SET bytea_output = 'hex'"
                           " SET default_text_search_config = 'pg_catalog.simple'");
    }
    zdm_buffer_puts(b, " AS ");
    pgsql_put_literal(b, zdm_buffer_text(body));
    zdm_buffer_puts(b, ";");
}

/* What a function is, for telling whether somebody changed it. */
#define FUNCTION_HASH                                                                                                  \
    "encode(sha256(convert_to(p.prosrc || coalesce(array_to_string(p.proconfig, chr(10)), ''), 'UTF8')), 'hex')"

static enum zdm_code record_hashes(struct pgsql_work *w, uint32_t ordinal, struct zdm_error *err)
{
    static const char sql[] =
        "UPDATE zdm.sync s SET function_hash = " FUNCTION_HASH " FROM pg_proc p JOIN pg_namespace n ON n.oid ="
        " p.pronamespace WHERE n.nspname = 'zdm' AND p.proname = s.function_name AND s.migration = $1 AND s.step ="
        " $2::int4";
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, ordinal);
    return pgsql_query(w->s, sql, 2, (const char *const[]){w->op->migration, step}, NULL, err);
}

enum zdm_code pgsql_sync_replace_functions(struct pgsql_work *w, uint32_t ordinal, const struct pgsql_facts *facts,
                                           struct pgsql_trigger_text *text, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    char name[32];
    pgsql_function_name(name, w->op->migration, ordinal, 'i');
    put_function(&sql, name, &text->insert_body, facts->d->both_ways);
    pgsql_function_name(name, w->op->migration, ordinal, 'u');
    put_function(&sql, name, &text->update_body, facts->d->both_ways);
    enum zdm_code code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    return code == ZDM_OK ? record_hashes(w, ordinal, err) : code;
}

/* One trigger, in force for every session (ENABLE ALWAYS), on partitions too. */
static void put_trigger(struct zdm_buffer *b, const struct pgsql_work *w, const char *trigger, const char *function,
                        const char *event, const struct zdm_buffer *when)
{
    zdm_buffer_puts(b, "CREATE TRIGGER ");
    pgsql_put_name(b, trigger);
    zdm_buffer_printf(b, " BEFORE %s ON ", event);
    pgsql_put_table(b, &w->step->table);
    zdm_buffer_printf(b, " FOR EACH ROW WHEN (%s) EXECUTE FUNCTION zdm.", zdm_buffer_text(when));
    pgsql_put_name(b, function);
    zdm_buffer_puts(b, "();");
}

static enum zdm_code enable_always(struct pgsql_work *w, const struct pgsql_table *table, const char *insert,
                                   const char *update, struct zdm_error *err)
{
    static const char sql[] = "SELECT $1::oid::regclass UNION SELECT relid FROM pg_partition_tree($1::oid::regclass)";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer b = ZDM_BUFFER_INIT;
    enum zdm_code code = pgsql_query(w->s, sql, 1, (const char *const[]){table->oid}, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        zdm_buffer_printf(&b, "ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER ", pgsql_text(res, i, 0));
        pgsql_put_name(&b, insert);
        zdm_buffer_puts(&b, ", ENABLE ALWAYS TRIGGER ");
        pgsql_put_name(&b, update);
        zdm_buffer_puts(&b, ";");
    }
    return code == ZDM_OK ? pgsql_script(w->s, zdm_buffer_text(&b), NULL, err) : code;
}

static enum zdm_code record(struct pgsql_work *w, const char *trigger, const char *function, struct zdm_error *err)
{
    static const char sql[] = "INSERT INTO zdm.sync (migration, step, schema_name, table_name, trigger_name,"
                              " function_name, function_hash) VALUES ($1, $2::int4, $3, $4, $5, $6, '')";
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *params[] = {w->op->migration, step, w->step->table.schema, w->step->table.name, trigger, function};
    return pgsql_query(w->s, sql, 6, params, NULL, err);
}

static enum zdm_code create(struct pgsql_work *w, const struct pgsql_facts *facts, struct pgsql_trigger_text *text,
                            struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    char prefix[TRIGGER_NAME_SIZE], insert[TRIGGER_NAME_SIZE + 2], update[TRIGGER_NAME_SIZE + 2];
    char insert_function[32], update_function[32];
    enum zdm_code code = trigger_prefix(w, &facts->table, prefix, err);
    snprintf(insert, sizeof insert, "%s_i", prefix);
    snprintf(update, sizeof update, "%s_u", prefix);
    pgsql_function_name(insert_function, w->op->migration, w->step->ordinal, 'i');
    pgsql_function_name(update_function, w->op->migration, w->step->ordinal, 'u');
    if (code == ZDM_OK) {
        code = record(w, insert, insert_function, err);
    }
    if (code == ZDM_OK) {
        code = record(w, update, update_function, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_sync_replace_functions(w, w->step->ordinal, facts, text, err);
    }
    if (code == ZDM_OK) {
        put_trigger(&sql, w, insert, insert_function, "INSERT", &text->insert_when);
        put_trigger(&sql, w, update, update_function, "UPDATE", &text->update_when);
        code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    }
    return code == ZDM_OK ? enable_always(w, &facts->table, insert, update, err) : code;
}

static enum zdm_code install(struct pgsql_work *w, const struct pgsql_facts *facts, struct pgsql_trigger_text *text,
                             struct zdm_error *err)
{
    struct pgsql_short attempt;
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = pgsql_short_begin_on(&attempt, w, &facts->table, PGSQL_SHARE_ROW_EXCLUSIVE, err);
    if (code == ZDM_OK) {
        code = pgsql_sync_look(w, &facts->table, w->step->ordinal, &proof, err);
    }
    if (code == ZDM_OK && proof != AGENT_PROOF_DONE) {
        code = pgsql_sync_drop(w, w->step->ordinal, false, err);
        if (code == ZDM_OK) {
            code = create(w, facts, text, err);
        }
        if (code == ZDM_OK && w->op->step != w->op->journal_step) {
            code = pgsql_watch_note(w, err);
        }
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_step_on(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_commit(w, err);
    }
    if (code == ZDM_OK && proof == AGENT_PROOF_DONE) {
        w->result->outcome = AGENT_ALREADY;
    }
    return code;
}

enum zdm_code pgsql_run_install_sync(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_facts facts;
    struct pgsql_trigger_text text = {.insert_body = ZDM_BUFFER_INIT};
    enum zdm_code code = pgsql_facts_read(w, w->step, 0, &facts, err);
    if (code == ZDM_OK) {
        code = pgsql_sync_validate(w, &facts, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_trigger_write(&facts, &text, err);
    }
    if (code == ZDM_OK) {
        code = install(w, &facts, &text, err);
    }
    pgsql_trigger_text_fini(&text);
    pgsql_facts_fini(&facts);
    return code;
}

enum zdm_code pgsql_sync_install_again(struct pgsql_work *w, const struct zdm_step *sync, struct zdm_error *err)
{
    struct pgsql_work as = *w;
    struct pgsql_facts facts;
    struct pgsql_trigger_text text = {.insert_body = ZDM_BUFFER_INIT};
    as.step = sync;
    /* It was judged when it was installed first, and hidden columns have their own names by now. */
    enum zdm_code code = pgsql_facts_read(&as, sync, 0, &facts, err);
    if (code == ZDM_OK) {
        pgsql_sync_mark_guards(&facts);
        code = pgsql_trigger_write(&facts, &text, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_sync_drop(&as, sync->ordinal, false, err);
    }
    if (code == ZDM_OK) {
        code = create(&as, &facts, &text, err);
    }
    pgsql_trigger_text_fini(&text);
    pgsql_facts_fini(&facts);
    return code;
}

/* Locks are the caller's business. */
enum zdm_code pgsql_sync_drop(struct pgsql_work *w, uint32_t ordinal, bool keep_record, struct zdm_error *err)
{
    static const char list[] = "SELECT trigger_name, schema_name, table_name, function_name,"
                               " to_regclass(format('%I.%I', schema_name, table_name)) IS NOT NULL FROM zdm.sync"
                               " WHERE migration = $1 AND step = $2::int4";
    char step[16];
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    snprintf(step, sizeof step, "%" PRIu32, ordinal);
    const char *params[] = {w->op->migration, step};
    enum zdm_code code = pgsql_query(w->s, list, 2, params, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        struct zdm_table table = {PQgetvalue(res, i, 1), PQgetvalue(res, i, 2)};
        if (pgsql_true(res, i, 4)) {
            zdm_buffer_puts(&sql, "DROP TRIGGER IF EXISTS ");
            pgsql_put_name(&sql, pgsql_text(res, i, 0));
            zdm_buffer_puts(&sql, " ON ");
            pgsql_put_table(&sql, &table);
            zdm_buffer_puts(&sql, ";");
        }
        zdm_buffer_puts(&sql, "DROP FUNCTION IF EXISTS zdm.");
        pgsql_put_name(&sql, pgsql_text(res, i, 3));
        zdm_buffer_puts(&sql, "();");
    }
    if (code == ZDM_OK && sql.len > 0) {
        code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    }
    if (code == ZDM_OK && !keep_record) {
        code = pgsql_query(w->s, "DELETE FROM zdm.sync WHERE migration = $1 AND step = $2::int4", 2, params, NULL, err);
    }
    return code;
}

enum zdm_code pgsql_run_remove_sync(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_table table;
    struct pgsql_short attempt;
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &table, err);
    if (code == ZDM_OK) {
        /* DROP TRIGGER takes it anyway. */
        code = pgsql_short_begin_on(&attempt, w, &table, PGSQL_ACCESS_EXCLUSIVE, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_sync_drop(w, w->step->sync_step, false, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_step_on(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

/* Two triggers recorded, both with the function that was recorded, and in force everywhere in the partition tree,
 * behind every trigger of the application. */
enum zdm_code pgsql_sync_look(struct pgsql_work *w, const struct pgsql_table *table, uint32_t ordinal,
                              enum agent_proof *out_proof, struct zdm_error *err)
{
    static const char sql[] =
        "WITH tree AS (SELECT $3::oid AS oid UNION SELECT relid::oid FROM pg_partition_tree($3::oid::regclass))"
        " SELECT count(*) = 2 * (SELECT count(*) FROM tree) FROM zdm.sync s CROSS JOIN tree"
        " JOIN pg_trigger t ON t.tgrelid = tree.oid AND t.tgname = s.trigger_name AND t.tgenabled = 'A'"
        " JOIN pg_proc p ON p.oid = t.tgfoid AND p.proname = s.function_name"
        " JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = 'zdm'"
        " WHERE s.migration = $1 AND s.step = $2::int4 AND s.function_hash = " FUNCTION_HASH
        " AND NOT EXISTS (SELECT FROM pg_trigger o JOIN pg_proc f ON f.oid = o.tgfoid WHERE o.tgrelid = tree.oid AND "
        "NOT"
        " o.tgisinternal AND o.tgtype & 3 = 3 AND o.tgtype & t.tgtype & 20 <> 0 AND f.pronamespace <> n.oid AND"
        " o.tgname::text COLLATE \"C\" > t.tgname::text)";
    char step[16];
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    snprintf(step, sizeof step, "%" PRIu32, ordinal);
    const char *params[] = {w->op->migration, step, table->oid};
    enum zdm_code code = pgsql_query(w->s, sql, 3, params, &res, err);
    if (code == ZDM_OK) {
        *out_proof = pgsql_true(res, 0, 0) ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
    }
    return code;
}

enum zdm_code pgsql_sync_look_removed(struct pgsql_work *w, uint32_t ordinal, enum agent_proof *out_proof,
                                      struct zdm_error *err)
{
    static const char sql[] = "SELECT EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
                              " WHERE n.nspname = 'zdm' AND p.proname IN ($1, $2))";
    char insert[32], update[32];
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    pgsql_function_name(insert, w->op->migration, ordinal, 'i');
    pgsql_function_name(update, w->op->migration, ordinal, 'u');
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){insert, update}, &res, err);
    if (code == ZDM_OK) {
        *out_proof = pgsql_true(res, 0, 0) ? AGENT_PROOF_NOT_DONE : AGENT_PROOF_DONE;
    }
    return code;
}
