/*
 * schema.c - makes schema zdm (journal.h). The format's number stands in zdm.meta; a newer one than ours is refused.
 */
#include "agent/engine/postgresql/journal/journal.h"

#include <stdio.h>

/* Only the agent's role has rights on schema zdm: trigger functions run for the application without any (the right to
 * execute is asked for when a trigger is made, not when it fires). */
static const char tables[] =
    /* CREATE SCHEMA IF NOT EXISTS asks for the right to create one even where it is there. */
    "DO $$BEGIN IF to_regnamespace('zdm') IS NULL THEN CREATE SCHEMA zdm; END IF; END$$;"
    "CREATE TABLE IF NOT EXISTS zdm.meta (one boolean PRIMARY KEY DEFAULT true CHECK (one), format integer NOT NULL,"
    " made_at timestamptz NOT NULL DEFAULT now());"
    "CREATE TABLE IF NOT EXISTS zdm.plan (plan_hash bytea PRIMARY KEY, envelope bytea NOT NULL,"
    " signature bytea NOT NULL, stored_at timestamptz NOT NULL DEFAULT now());"
    "CREATE TABLE IF NOT EXISTS zdm.migration (migration text COLLATE \"C\" PRIMARY KEY, plan_hash bytea NOT NULL,"
    " epoch bigint NOT NULL, instance bytea NOT NULL, generation bigint NOT NULL, anchor bytea NOT NULL,"
    " digest bytea NOT NULL, directive bytea NOT NULL, directive_signature bytea NOT NULL,"
    " step integer NOT NULL DEFAULT 1, cursor text, bound text, walk_key text, walked boolean NOT NULL DEFAULT false,"
    " rows_done bigint NOT NULL DEFAULT 0, rows_total bigint NOT NULL DEFAULT 0,"
    " failed_attempt bigint NOT NULL DEFAULT 0, failed_step integer NOT NULL DEFAULT 0,"
    " failed_code integer NOT NULL DEFAULT 0, failed_text text NOT NULL DEFAULT '',"
    " trust_version bigint NOT NULL DEFAULT 0, entered_phase integer NOT NULL DEFAULT 0,"
    " reached_phase integer NOT NULL DEFAULT 0, switched_phase integer NOT NULL DEFAULT 0,"
    " purge_now boolean NOT NULL DEFAULT false, purge_generation bigint NOT NULL DEFAULT 0,"
    " purge_generation_now boolean NOT NULL DEFAULT false, undo_nonce bytea,"
    " changed_at timestamptz NOT NULL DEFAULT now()) WITH (fillfactor = 10);"
    /* Signatures that were used on this shard: none of them counts twice. */
    "CREATE TABLE IF NOT EXISTS zdm.spent (nonce bytea PRIMARY KEY, migration text COLLATE \"C\" NOT NULL,"
    " kind text NOT NULL, phase integer NOT NULL, approver bytea NOT NULL, issued_at_ms bigint NOT NULL,"
    " spent_at timestamptz NOT NULL DEFAULT clock_timestamp());"
    /* Triggers and functions of a sync step, and what their text was. */
    "CREATE TABLE IF NOT EXISTS zdm.sync (migration text COLLATE \"C\" NOT NULL, step integer NOT NULL,"
    " schema_name text NOT NULL, table_name text NOT NULL, trigger_name text NOT NULL, function_name text NOT NULL,"
    " function_hash text NOT NULL, PRIMARY KEY (migration, step, trigger_name), UNIQUE (function_name));"
    /* What cannot carry an owner's comment: an index that is being built, a NOT NULL that a migration set. */
    "CREATE TABLE IF NOT EXISTS zdm.owned (migration text COLLATE \"C\" NOT NULL, step integer NOT NULL,"
    " kind text NOT NULL, schema_name text NOT NULL, object text NOT NULL, since timestamptz NOT NULL DEFAULT now(),"
    " PRIMARY KEY (kind, schema_name, object));"
    /* What was taken out of sight, and how it comes back: hidden.h. hidden_at is when its grace began. */
    "CREATE TABLE IF NOT EXISTS zdm.hidden (migration text COLLATE \"C\" NOT NULL, step integer NOT NULL,"
    " schema_name text NOT NULL, table_name text NOT NULL, kind text NOT NULL, name text NOT NULL,"
    " hidden_name text NOT NULL, by_rollback boolean NOT NULL DEFAULT false, definition text NOT NULL,"
    " validated boolean NOT NULL, comment text, parent_schema text, parent_table text, back_sql text, long_sql text,"
    " finish_sql text, violated_by text, scans bigint, state text NOT NULL DEFAULT 'hidden', remark text,"
    " hidden_at timestamptz NOT NULL DEFAULT clock_timestamp(),"
    " PRIMARY KEY (migration, step, hidden_name, kind, name));"
    /* What a step's way back runs, one statement a row: written before the change, in its transaction. */
    "CREATE TABLE IF NOT EXISTS zdm.former (migration text COLLATE \"C\" NOT NULL, step integer NOT NULL,"
    " part integer NOT NULL, back_sql text NOT NULL, made text, kept_at timestamptz NOT NULL DEFAULT clock_timestamp(),"
    " PRIMARY KEY (migration, step, part));"
    /* How far the way back of a step is that walks over rows (walk_back.h). */
    "CREATE TABLE IF NOT EXISTS zdm.walk_back (migration text COLLATE \"C\" NOT NULL, step integer NOT NULL,"
    " cursor text, bound text, walk_key text, rows_walked bigint NOT NULL DEFAULT 0,"
    " rows_total bigint NOT NULL DEFAULT 0, rows_told bigint NOT NULL DEFAULT 0, told text NOT NULL DEFAULT '',"
    " rows_left bigint NOT NULL DEFAULT 0, why_left text NOT NULL DEFAULT '', over boolean NOT NULL DEFAULT false,"
    " rows_kept bigint NOT NULL DEFAULT 0, why_kept text NOT NULL DEFAULT '',"
    " PRIMARY KEY (migration, step)) WITH (fillfactor = 10);"
    "INSERT INTO zdm.meta (format) VALUES (1) ON CONFLICT DO NOTHING";

/* What is noted beside the progress. */
static const char notes[] =
    /* A comparison of old and new: when it began, and how many rows the old column cannot follow. */
    "CREATE TABLE IF NOT EXISTS zdm.compared (migration text COLLATE \"C\" NOT NULL, step integer NOT NULL,"
    " began_at timestamptz NOT NULL, rows_left bigint NOT NULL, PRIMARY KEY (migration, step)) WITH (fillfactor = 50);"
    /* Triggers of a sync step that were found not to be as they were installed; gone when a comparison that began
     * after the last time found the table right. */
    "CREATE TABLE IF NOT EXISTS zdm.interrupted (migration text COLLATE \"C\" NOT NULL, step integer NOT NULL,"
    " schema_name text NOT NULL, table_name text NOT NULL, what text NOT NULL,"
    " first_at timestamptz NOT NULL DEFAULT clock_timestamp(), last_at timestamptz NOT NULL DEFAULT clock_timestamp(),"
    " PRIMARY KEY (migration, step)) WITH (fillfactor = 50);"
    /* How often an index that is to be dropped was used on each node, as seen first and last. */
    "CREATE TABLE IF NOT EXISTS zdm.index_scans (migration text COLLATE \"C\" NOT NULL, step integer NOT NULL,"
    " node text NOT NULL, first_seen bigint NOT NULL, last_seen bigint NOT NULL,"
    " seen_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (migration, step, node))"
    " WITH (fillfactor = 50);";

/* Columns that tables of an earlier release do not have. */
static const char additions[] =
    "ALTER TABLE zdm.migration ADD COLUMN IF NOT EXISTS reached_phase integer NOT NULL DEFAULT 0;"
    "ALTER TABLE zdm.migration ADD COLUMN IF NOT EXISTS switched_phase integer NOT NULL DEFAULT 0;"
    "ALTER TABLE zdm.walk_back ADD COLUMN IF NOT EXISTS rows_kept bigint NOT NULL DEFAULT 0;"
    "ALTER TABLE zdm.walk_back ADD COLUMN IF NOT EXISTS why_kept text NOT NULL DEFAULT '';"
    "ALTER TABLE zdm.hidden ADD COLUMN IF NOT EXISTS scans bigint;";

static enum zdm_code check_format(struct pgsql_session *s, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(s, "SELECT format FROM zdm.meta", 0, NULL, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while reading zdm.meta");
    }
    if (PQntuples(res) != 1 || pgsql_int(res, 0, 0) > PGSQL_JOURNAL_FORMAT) {
        zdm_error_set(err, ZDM_UNSUPPORTED, "the journal in schema zdm was written by a newer release");
        return zdm_error_hint(err, "Upgrade the agent on this host.");
    }
    return ZDM_OK;
}

/* What was added last, and the first: a journal of an earlier release is completed. */
static enum zdm_code exists(struct pgsql_session *s, bool *out, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT count(*) = 6 FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON"
        " n.oid = relnamespace WHERE nspname = 'zdm' AND (relname, attname) IN (('meta', 'format'),"
        " ('index_scans', 'node'), ('hidden', 'scans'), ('migration', 'reached_phase'), ('migration', "
        "'switched_phase'), ('walk_back', 'why_kept'))";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(s, sql, 0, NULL, &res, err);
    if (code == ZDM_OK) {
        *out = pgsql_true(res, 0, 0);
    }
    return code;
}

enum zdm_code pgsql_journal_make(struct pgsql_session *s, struct zdm_error *err)
{
    bool there = false;
    enum zdm_code code = exists(s, &there, err);
    if (code != ZDM_OK || there) {
        return code != ZDM_OK ? code : check_format(s, err);
    }
    /* IF NOT EXISTS alone races: two sessions may both find nothing and one gets a duplicate key. */
    code = pgsql_begin(s, "SET LOCAL lock_timeout = '2s'; SELECT pg_advisory_xact_lock(2053401716);", err);
    if (code == ZDM_OK) {
        code = pgsql_script(s, tables, NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_script(s, notes, NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_script(s, additions, NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_commit(s, err);
    }
    if (code != ZDM_OK) {
        pgsql_rollback(s);
        zdm_error_wrap(err, "while making the journal in schema zdm");
        return err->code == ZDM_REFUSED
                   ? zdm_error_hint(err, "Run deploy/sql/postgresql-grants.sql as a superuser of this database.")
                   : err->code;
    }
    return check_format(s, err);
}
