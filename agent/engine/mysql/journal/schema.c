/*
 * schema.c - makes database zdm (journal.h), and completes one that an earlier release or an interrupted agent left.
 *
 * Tables are data here, column by column: what is not there is added, whichever release wrote the rest, so that a
 * column which a later release adds needs a default or is nullable. The server commits each statement by itself:
 * GET_LOCK keeps two agents apart, and whoever comes next goes on where one was killed. The format's number in zdm.meta
 * is that of all of them; a newer one than ours is refused and nothing is touched.
 *
 * Against PostgreSQL's schema zdm: `home` stands for the columns schema_name; there are no functions, and an index that
 * is hidden is used by nobody whose scans could be counted.
 */
#include "agent/engine/mysql/journal/journal.h"

#include <string.h>

#include "agent/engine/mysql/session/classify.h"

enum { COLUMNS_MAX = 32 };

struct column {
    const char *name, *type;
};

struct table {
    const char *name;
    struct column columns[COLUMNS_MAX];
    const char *key;
};

/* Texts are compared byte for byte: utf8mb4_bin is the tables' own collation. */
#define NAME   "varchar(64) NOT NULL"
#define WORD   "varchar(32) NOT NULL"
#define TEXT   "mediumtext"
#define STEP   "int unsigned NOT NULL"
#define COUNT  "bigint unsigned NOT NULL DEFAULT 0"
#define NUMBER "int unsigned NOT NULL DEFAULT 0"
#define TRUTH  "tinyint(1) NOT NULL DEFAULT 0"
#define ID     "binary(16)"
#define HASH   "binary(32) NOT NULL"
#define NOW    "datetime(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)" /* UTC: the session's time zone is pinned */
#define OF_STEP                                                                                                        \
    {"home", NAME}, {"migration", NAME},                                                                               \
    {                                                                                                                  \
        "step", STEP                                                                                                   \
    }

static const struct table tables[] = {
    {"meta", {{"one", "tinyint NOT NULL DEFAULT 1"}, {"format", "int NOT NULL"}, {"made_at", NOW}}, "one"},
    {"plan",
     {{"home", NAME},
      {"plan_hash", HASH},
      {"envelope", "longblob NOT NULL"},
      {"signature", "varbinary(64) NOT NULL"},
      {"stored_at", NOW}},
     "home, plan_hash"},
    {"migration",
     {{"home", NAME},
      {"migration", NAME},
      {"plan_hash", HASH},
      {"epoch", COUNT},
      {"instance", ID " NOT NULL"},
      {"generation", COUNT},
      {"anchor", HASH},
      {"digest", HASH},
      {"directive", "longblob NOT NULL"},
      {"directive_signature", "varbinary(64) NOT NULL"},
      {"step", "int unsigned NOT NULL DEFAULT 1"},
      {"cursor", TEXT},
      {"bound", TEXT},
      {"walk_key", TEXT},
      {"walked", TRUTH},
      {"rows_done", COUNT},
      {"rows_total", COUNT},
      {"failed_attempt", COUNT},
      {"failed_step", NUMBER},
      {"failed_code", "int NOT NULL DEFAULT 0"},
      {"failed_text", "varchar(512) NOT NULL DEFAULT ''"},
      {"trust_version", COUNT},
      {"entered_phase", NUMBER},
      {"reached_phase", NUMBER},
      {"switched_phase", NUMBER},
      {"purge_now", TRUTH},
      {"purge_generation", COUNT},
      {"purge_generation_now", TRUTH},
      {"undo_nonce", ID},
      {"changed_at", NOW}},
     "home, migration"},
    /* Signatures that were used on this shard: none of them counts twice. */
    {"spent",
     {{"home", NAME},
      {"nonce", ID " NOT NULL"},
      {"migration", NAME},
      {"kind", WORD},
      {"phase", NUMBER},
      {"approver", ID " NOT NULL"},
      {"issued_at_ms", "bigint NOT NULL"},
      {"spent_at", NOW}},
     "home, nonce"},
    /* Triggers of a sync step, and what their text was. */
    {"sync",
     {OF_STEP, {"table_name", NAME}, {"trigger_name", NAME}, {"body_hash", NAME}},
     "home, migration, step, trigger_name"},
    /* Whose an object is: written before it is made. "t.c", "t.i", "t" (journal.h). */
    {"owned", {OF_STEP, {"kind", WORD}, {"object", "varchar(160) NOT NULL"}, {"since", NOW}}, "home, kind, object"},
    /* What was taken out of sight, and how it comes back. hidden_at is when its grace began. */
    {"hidden",
     {OF_STEP,
      {"table_name", NAME},
      {"kind", WORD},
      {"name", NAME},
      {"hidden_name", NAME},
      {"by_rollback", TRUTH},
      {"definition", TEXT " NOT NULL"},
      {"back_sql", TEXT},
      {"state", WORD " DEFAULT 'hidden'"},
      {"remark", TEXT},
      {"hidden_at", NOW}},
     "home, migration, step, hidden_name, kind, name"},
    /* What a step's way back runs, one statement a row: written before the change. */
    {"former",
     {OF_STEP, {"part", STEP}, {"back_sql", TEXT " NOT NULL"}, {"made", TEXT}, {"kept_at", NOW}},
     "home, migration, step, part"},
    /* How far the way back of a step is that walks over rows. */
    {"walk_back",
     {OF_STEP,
      {"cursor", TEXT},
      {"bound", TEXT},
      {"walk_key", TEXT},
      {"rows_walked", COUNT},
      {"rows_total", COUNT},
      {"rows_told", COUNT},
      {"told", "varchar(1024) NOT NULL DEFAULT ''"},
      {"rows_left", COUNT},
      {"why_left", "varchar(1024) NOT NULL DEFAULT ''"},
      {"rows_kept", COUNT},
      {"why_kept", "varchar(1024) NOT NULL DEFAULT ''"},
      {"over", TRUTH}},
     "home, migration, step"},
    /* A comparison of old and new: when it began, and how many rows the old column cannot follow. */
    {"compared", {OF_STEP, {"began_at", NOW}, {"rows_left", COUNT}}, "home, migration, step"},
    /* Triggers of a sync step that were found not to be as they were installed; gone when a comparison that began after
     * the last time found the table right. */
    {"interrupted",
     {OF_STEP, {"table_name", NAME}, {"what", "varchar(256) NOT NULL"}, {"first_at", NOW}, {"last_at", NOW}},
     "home, migration, step"},
};

enum { TABLES = sizeof tables / sizeof *tables };

/* ---- What is there ---- */

static enum zdm_code look(struct mydb_session *s, struct mydb_rows **out, struct zdm_error *err)
{
    enum zdm_code code =
        mydb_query(s, "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'zdm'", 0,
                   NULL, out, err);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while looking for the journal");
}

/* column NULL: the table. */
static bool has(const struct mydb_rows *there, const char *table, const char *column)
{
    for (size_t i = 0; i < there->n; i++) {
        if (strcmp(mydb_text(there, i, 0), table) == 0 &&
            (column == NULL || strcmp(mydb_text(there, i, 1), column) == 0)) {
            return true;
        }
    }
    return false;
}

static bool is_whole(const struct mydb_rows *there)
{
    for (size_t t = 0; t < TABLES; t++) {
        for (size_t c = 0; c < COLUMNS_MAX && tables[t].columns[c].name != NULL; c++) {
            if (!has(there, tables[t].name, tables[t].columns[c].name)) {
                return false;
            }
        }
    }
    return true;
}

/* out 0: nothing was written yet. */
static enum zdm_code read_format(struct mydb_session *s, const struct mydb_rows *there, int64_t *out,
                                 struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    *out = 0;
    if (!has(there, "meta", "format")) {
        return ZDM_OK;
    }
    enum zdm_code code = mydb_query(s, "SELECT MAX(format) FROM zdm.meta", 0, NULL, &rows, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while reading zdm.meta");
    }
    *out = mydb_text(rows, 0, 0) == NULL ? 0 : mydb_int(rows, 0, 0);
    if (*out > MYDB_JOURNAL_FORMAT) {
        zdm_error_set(err, ZDM_UNSUPPORTED, "the journal in database zdm was written by a newer release");
        return zdm_error_hint(err, "Upgrade the agent on this host.");
    }
    return ZDM_OK;
}

static enum zdm_code is_made(struct mydb_session *s, bool *out, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *there = NULL;
    int64_t format = 0;
    enum zdm_code code = look(s, &there, err);
    if (code == ZDM_OK) {
        code = read_format(s, there, &format, err);
    }
    *out = code == ZDM_OK && format == MYDB_JOURNAL_FORMAT && is_whole(there);
    return code;
}

/* ---- Making it ---- */

static void put_column(struct zdm_buffer *b, const struct column *column)
{
    mydb_put_name(b, column->name);
    zdm_buffer_printf(b, " %s", column->type);
}

static void put_key(struct zdm_buffer *b, const char *key)
{
    zdm_buffer_printf(
        b, ", PRIMARY KEY (%s)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC", key);
}

static enum zdm_code make_table(struct mydb_session *s, const struct table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&sql, "CREATE TABLE zdm.%s (", table->name);
    for (size_t c = 0; c < COLUMNS_MAX && table->columns[c].name != NULL; c++) {
        zdm_buffer_puts(&sql, c == 0 ? "" : ", ");
        put_column(&sql, &table->columns[c]);
    }
    put_key(&sql, table->key);
    return mydb_run(s, zdm_buffer_text(&sql), NULL, err);
}

static enum zdm_code complete_table(struct mydb_session *s, const struct table *table, const struct mydb_rows *there,
                                    struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (size_t c = 0; code == ZDM_OK && c < COLUMNS_MAX && table->columns[c].name != NULL; c++) {
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
        if (has(there, table->name, table->columns[c].name)) {
            continue;
        }
        zdm_buffer_printf(&sql, "ALTER TABLE zdm.%s ADD COLUMN ", table->name);
        put_column(&sql, &table->columns[c]);
        code = mydb_run(s, zdm_buffer_text(&sql), NULL, err);
    }
    return code;
}

static enum zdm_code make_database(struct mydb_session *s, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    /* IF NOT EXISTS asks for the right to make one even where it is there. */
    enum zdm_code code = mydb_query(s, "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'zdm'", 0,
                                    NULL, &rows, err);
    if (code != ZDM_OK || mydb_int(rows, 0, 0) > 0) {
        return code;
    }
    return mydb_run(s, "CREATE DATABASE zdm CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", NULL, err);
}

static enum zdm_code write_format(struct mydb_session *s, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&sql, "INSERT INTO zdm.meta (one, format) VALUES (1, %d) ON DUPLICATE KEY UPDATE format = %d",
                      MYDB_JOURNAL_FORMAT, MYDB_JOURNAL_FORMAT);
    return mydb_run(s, zdm_buffer_text(&sql), NULL, err);
}

static enum zdm_code make_all(struct mydb_session *s, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *there = NULL;
    enum zdm_code code = look(s, &there, err);
    if (code == ZDM_OK) {
        code = make_database(s, err);
    }
    for (size_t t = 0; code == ZDM_OK && t < TABLES; t++) {
        code = has(there, tables[t].name, NULL) ? complete_table(s, &tables[t], there, err)
                                                : make_table(s, &tables[t], err);
    }
    if (code == ZDM_OK) {
        code = write_format(s, err);
    }
    return code;
}

static enum zdm_code lock(struct mydb_session *s, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(s, "SELECT GET_LOCK('zdm.journal', 2)", 0, NULL, &rows, err);
    if (code == ZDM_OK && !mydb_true(rows, 0, 0)) {
        return zdm_error_set(err, ZDM_CONFLICT, "another agent is making the journal");
    }
    return code;
}

static void unlock(struct mydb_session *s)
{
    struct zdm_error ignored = ZDM_ERROR_INIT;
    if (mydb_is_open(s) && mydb_run(s, "DO RELEASE_LOCK('zdm.journal')", NULL, &ignored) != ZDM_OK) {
        mydb_close(s); /* a lock ends with its connection */
    }
}

static enum zdm_code failed(struct zdm_error *err)
{
    bool right = mydb_is_privilege(err);
    zdm_error_wrap(err, "while making the journal in database zdm");
    return right ? zdm_error_hint(err, "Run deploy/sql/mysql-grants.sql as an administrator of this server.")
                 : err->code;
}

enum zdm_code mydb_journal_make(struct mydb_session *s, struct zdm_error *err)
{
    bool made = false;
    enum zdm_code code = is_made(s, &made, err);
    if (code != ZDM_OK || made) {
        return code == ZDM_OK || !mydb_is_privilege(err) ? code : failed(err);
    }
    code = lock(s, err);
    if (code != ZDM_OK) {
        return failed(err);
    }
    code = make_all(s, err);
    unlock(s);
    return code == ZDM_OK ? ZDM_OK : failed(err);
}
