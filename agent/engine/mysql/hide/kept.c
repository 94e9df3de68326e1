/*
 * kept.c - the tables of zdm that hold what walks took away (images.h): how they are found, made, put aside, dropped.
 *
 * The server commits CREATE and DROP TABLE by itself. So zdm.hidden names the table before it is made, and a table that
 * is to go is first one that nobody finds (what a rollback left), so that a crash in between leaves at worst something
 * empty for a later purge.
 */
#include "agent/engine/mysql/walk/images.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/mysql/actions.h"
#include "agent/engine/mysql/catalog/definition.h"
#include "agent/engine/mysql/walk/delete.h"
#include "agent/engine/mysql/journal/journal.h"

/* A row may have 65535 bytes; longer texts do not count, which stand outside of it. */
enum { SHORT_TEXT = 40 };

void mydb_put_images(struct zdm_buffer *b, const char *name)
{
    zdm_buffer_puts(b, "zdm.");
    mydb_put_name(b, name);
}

/* ---- Finding ---- */

static enum zdm_code is_made(struct mydb_work *w, const char *name, bool *out, struct zdm_error *err)
{
    static const char sql[] = "SELECT 1 FROM information_schema.tables WHERE table_schema = 'zdm' AND table_name = $1";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s, sql, 1, (const char *const[]){name}, &rows, err);
    *out = code == ZDM_OK && rows->n > 0;
    return code;
}

/* The youngest of that name. No join with the catalogue, for which the server would open every table. */
static enum zdm_code look(struct mydb_work *w, const char *object, bool even_unmade, char out[MYDB_IMAGES_NAME_MAX],
                          struct zdm_error *err)
{
    static const char sql[] =
        "SELECT hidden_name FROM zdm.hidden WHERE home = $1 AND migration = $2 AND kind = 'images' AND name = $3 AND"
        " by_rollback = 0 ORDER BY hidden_at DESC";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *const params[] = {w->s->database, w->op->migration, object};
    bool found = false;
    *out = '\0';
    enum zdm_code code = mydb_query(w->s, sql, 3, params, &rows, err);
    for (size_t i = 0; code == ZDM_OK && !found && i < rows->n; i++) {
        found = even_unmade;
        if (!found) {
            code = is_made(w, mydb_text(rows, i, 0), &found, err);
        }
        if (code == ZDM_OK && found) {
            zdm_copy_text(out, MYDB_IMAGES_NAME_MAX, mydb_text(rows, i, 0));
        }
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while reading zdm.hidden");
}

enum zdm_code mydb_images_find(struct mydb_work *w, const char *object, char out[MYDB_IMAGES_NAME_MAX],
                               struct zdm_error *err)
{
    return look(w, object, false, out, err);
}

enum zdm_code mydb_images_exist(struct mydb_work *w, const char *object, bool *out, struct zdm_error *err)
{
    char name[MYDB_IMAGES_NAME_MAX];
    enum zdm_code code = look(w, object, false, name, err);
    *out = code == ZDM_OK && *name != '\0';
    return code;
}

/* ---- By which key its rows are known ---- */

#define KNOWN_BY "rows are known by: "

/* Its primary key: k0, k1, … of before-images; an archive of deleted rows has the names of its table. */
static enum zdm_code is_kept_by(struct mydb_work *w, const struct zdm_step *step, const char *name,
                                const struct mydb_key *key, bool *out, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT c.column_name, c.column_type FROM information_schema.statistics s JOIN information_schema.columns c ON"
        " c.table_schema = 'zdm' AND c.table_name = $1 AND c.column_name = s.column_name WHERE s.table_schema = 'zdm'"
        " AND s.table_name = $1 AND s.index_name = 'PRIMARY' ORDER BY s.seq_in_index";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s, sql, 1, (const char *const[]){name}, &rows, err);
    *out = code == ZDM_OK && rows->n == key->n;
    for (size_t i = 0; *out && i < key->n; i++) {
        char numbered[24];
        (void)snprintf(numbered, sizeof numbered, "k%zu", i);
        const char *is = step->action == ZDM_ACTION_DELETE ? key->columns[i].name : numbered;
        *out = strcmp(mydb_text(rows, i, 0), is) == 0 &&
               strcmp(mydb_text(rows, i, 1), mydb_column_type(&key->columns[i])) == 0;
    }
    return code;
}

/* Kept by an agent that did not write it down, or restored without comments: the key that is found now, if it can be
 * the one. */
static enum zdm_code unsaid_key(struct mydb_work *w, const struct zdm_step *step, const char *name,
                                const struct mydb_table *table, struct mydb_key *out, struct zdm_error *err)
{
    bool fits = false;
    enum zdm_code code = mydb_key_find(w->s, table, out, err);
    if (code == ZDM_OK) {
        code = is_kept_by(w, step, name, out, &fits, err);
    }
    if (code == ZDM_OK && !fits) {
        zdm_error_set(
            err, ZDM_REFUSED,
            "zdm.%s does not say by which key its rows are known, and its own key is not like (%s), the key of"
            " %s now",
            name, out->known_by, table->name);
        return zdm_error_hint(err,
                              "Write it down: ALTER TABLE zdm.%s COMMENT = '" KNOWN_BY "`<column>` <type>, …', the"
                              " columns of the unique index that was the table's key, then retry the shard.",
                              name);
    }
    return code;
}

enum zdm_code mydb_images_key(struct mydb_work *w, const struct zdm_step *step, const struct mydb_table *table,
                              struct mydb_key *out, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT table_comment FROM information_schema.tables WHERE table_schema = 'zdm' AND table_name = $1";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    char name[MYDB_IMAGES_NAME_MAX] = "";
    memset(out, 0, sizeof *out);
    enum zdm_code code = step->inverse == ZDM_INVERSE_IMAGES ? mydb_images_find(w, step->object, name, err) : ZDM_OK;
    if (code == ZDM_OK && *name == '\0') {
        return mydb_key_find(w->s, table, out, err);
    }
    if (code == ZDM_OK) {
        code = mydb_query(w->s, sql, 1, (const char *const[]){name}, &rows, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    const char *text = rows->n == 0 ? NULL : mydb_text(rows, 0, 0);
    if (text == NULL || strncmp(text, KNOWN_BY, strlen(KNOWN_BY)) != 0) {
        return unsaid_key(w, step, name, table, out, err);
    }
    return mydb_key_known_by(w->s, table, text + strlen(KNOWN_BY), out, err);
}

enum zdm_code mydb_batch_mark(struct mydb_work *w, char out[24], struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_run(w->s, "SELECT UUID_SHORT()", &rows, err);
    if (code == ZDM_OK) {
        (void)snprintf(out, 24, "%" PRIu64, mydb_uint(rows, 0, 0));
    }
    return code;
}

/* ---- Making ---- */

enum zdm_code mydb_images_touch(struct mydb_work *w, const char *name, struct zdm_error *err)
{
    bool rows = w->step->action == ZDM_ACTION_DELETE;
    struct mydb_hidden row = {.kind = (char *)"images",
                              .table = w->step->table.name,
                              .name = w->step->object,
                              .hidden_name = (char *)name,
                              .definition = (char *)(rows ? MYDB_HOLDS_ROWS : ""),
                              .state = (char *)"hidden"};
    return mydb_hidden_put(w, w->step->ordinal, &row, err);
}

enum { AT_NAME, AT_TYPE, AT_BASE, AT_CHARSET, AT_COLLATION, AT_LENGTH };
static const char columns_sql[] =
    "SELECT column_name, column_type, data_type, character_set_name, collation_name, character_maximum_length FROM"
    " information_schema.columns WHERE table_schema = $1 AND table_name = $2 ORDER BY ordinal_position";

static const char *type_of(const struct mydb_rows *columns, size_t i, bool key)
{
    bool longer = mydb_uint(columns, i, AT_LENGTH) > SHORT_TEXT && !key;
    const char *base = mydb_text(columns, i, AT_BASE);
    return longer && strcmp(base, "varchar") == 0     ? "longtext"
           : longer && strcmp(base, "varbinary") == 0 ? "longblob"
                                                      : mydb_text(columns, i, AT_TYPE);
}

/* Type, character set and collation of a column under another name. A timestamp says its default, or the server gives
 * it one that changes with every UPDATE. */
static bool put_definition(struct zdm_buffer *b, const struct mydb_rows *columns, size_t i, const char *name, bool key)
{
    ZDM_CLEANUP(zdm_freep) char *type = mydb_plain_strings(type_of(columns, i, key));
    bool timestamp = strcmp(mydb_text(columns, i, AT_BASE), "timestamp") == 0;
    mydb_put_name(b, name);
    zdm_buffer_printf(b, " %s", type == NULL ? "" : type);
    if (mydb_text(columns, i, AT_CHARSET) != NULL && mydb_text(columns, i, AT_COLLATION) != NULL) {
        zdm_buffer_printf(b, " CHARACTER SET %s COLLATE %s", mydb_text(columns, i, AT_CHARSET),
                          mydb_text(columns, i, AT_COLLATION));
    }
    zdm_buffer_puts(b, key ? " NOT NULL" : " NULL");
    zdm_buffer_puts(b, !timestamp ? "" : key ? " DEFAULT '1970-01-01 00:00:01'" : " DEFAULT NULL");
    return type != NULL;
}

static bool is_of_key(const struct mydb_key *key, const char *name)
{
    for (size_t i = 0; i < key->n; i++) {
        if (strcmp(key->columns[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool put_numbered(struct zdm_buffer *b, const struct mydb_rows *columns, const char *name, char letter, size_t n)
{
    char numbered[24];
    (void)snprintf(numbered, sizeof numbered, "%c%zu", letter, n);
    for (size_t i = 0; i < columns->n; i++) {
        if (strcmp(mydb_text(columns, i, AT_NAME), name) == 0) {
            zdm_buffer_puts(b, ", ");
            return put_definition(b, columns, i, numbered, letter == 'k');
        }
    }
    return false;
}

static bool put_images_columns(struct zdm_buffer *b, const struct mydb_rows *columns, const struct mydb_facts *facts)
{
    bool whole = true;
    for (size_t i = 0; i < facts->key.n; i++) {
        whole = put_numbered(b, columns, facts->key.columns[i].name, 'k', i) && whole;
    }
    for (size_t i = 0; i < facts->n_pairs; i++) {
        whole = put_numbered(b, columns, facts->pairs[i].target.name, 'o', i) && whole;
        whole = put_numbered(b, columns, facts->pairs[i].target.name, 'n', i) && whole;
    }
    return whole;
}

static bool put_archive_columns(struct zdm_buffer *b, const struct mydb_rows *columns, const struct mydb_facts *facts)
{
    bool whole = true;
    for (size_t i = 0; i < columns->n; i++) {
        const char *name = mydb_text(columns, i, AT_NAME);
        zdm_buffer_puts(b, ", ");
        whole = put_definition(b, columns, i, name, is_of_key(&facts->key, name)) && whole;
    }
    return whole;
}

static bool put_table(struct zdm_buffer *b, const struct mydb_work *w, const struct mydb_facts *facts, const char *name,
                      const struct mydb_rows *columns)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer known_by = ZDM_BUFFER_INIT;
    bool archive = w->step->action == ZDM_ACTION_DELETE;
    zdm_buffer_puts(b, "CREATE TABLE IF NOT EXISTS ");
    mydb_put_images(b, name);
    zdm_buffer_puts(b, " (zdm_batch bigint unsigned NOT NULL DEFAULT 0");
    bool whole = archive ? put_archive_columns(b, columns, facts) : put_images_columns(b, columns, facts);
    zdm_buffer_puts(b, ", PRIMARY KEY (");
    for (size_t i = 0; i < facts->key.n; i++) {
        zdm_buffer_puts(b, i == 0 ? "" : ", ");
        if (archive) {
            mydb_put_name(b, facts->key.columns[i].name);
        } else {
            zdm_buffer_printf(b, "k%zu", i);
        }
    }
    zdm_buffer_printf(&known_by, KNOWN_BY "%s", facts->key.known_by);
    zdm_buffer_puts(b, ")) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC COMMENT=");
    mydb_put_literal(b, zdm_buffer_text(&known_by));
    return whole && !b->failed && !known_by.failed;
}

static enum zdm_code create(struct mydb_work *w, const struct mydb_facts *facts, const char *name,
                            struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *columns = NULL;
    const char *const params[] = {w->s->database, facts->table.name};
    enum zdm_code code = mydb_query(w->s, columns_sql, 2, params, &columns, err);
    if (code == ZDM_OK && !put_table(&sql, w, facts, name, columns)) {
        return zdm_error_set(err, ZDM_UNSUPPORTED, "what %s holds cannot be kept: its columns cannot be written down",
                             facts->table.name);
    }
    return code == ZDM_OK ? mydb_run(w->s, zdm_buffer_text(&sql), NULL, err) : code;
}

/* The name is written down with the fence before the table is made; one that an agent wrote which did not get further
 * is used again. */
static enum zdm_code choose_name(struct mydb_work *w, char out[MYDB_IMAGES_NAME_MAX], struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = look(w, w->step->object, true, out, err);
    if (code == ZDM_OK && *out == '\0') {
        code = mydb_run(w->s, "SELECT LEFT(SHA2(UUID(), 256), 8)", &rows, err);
    }
    if (code == ZDM_OK && *out == '\0') {
        (void)snprintf(out, MYDB_IMAGES_NAME_MAX, "%.50s_%.8s", w->step->object, mydb_text(rows, 0, 0));
    }
    return code;
}

static enum zdm_code intend(struct mydb_work *w, const char *name, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_walk_back_forget(w, err);
    }
    if (code == ZDM_OK) {
        code = mydb_images_touch(w, name, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_hold(w, err);
    }
    return code == ZDM_OK ? mydb_commit(w->s, err) : code;
}

enum zdm_code mydb_images_make(struct mydb_work *w, const struct mydb_facts *facts, struct zdm_error *err)
{
    char name[MYDB_IMAGES_NAME_MAX];
    enum zdm_code code = choose_name(w, name, err);
    if (code == ZDM_OK) {
        code = intend(w, name, err);
    }
    if (code == ZDM_OK) {
        code = create(w, facts, name, err);
    }
    bool rows = w->step->action == ZDM_ACTION_DELETE;
    return code == ZDM_OK ? ZDM_OK
                          : zdm_error_wrap(err, "while making the %s",
                                           rows ? "archive of deleted rows" : "table of before-images");
}

static bool has_column(const struct mydb_rows *columns, const char *name)
{
    for (size_t i = 0; i < columns->n; i++) {
        if (strcmp(mydb_text(columns, i, AT_NAME), name) == 0) {
            return true;
        }
    }
    return false;
}

/* Names of columns are compared as the server does, whatever the case: the archive's were copied from the table. */
static bool put_missing(struct zdm_buffer *b, const char *name, const struct mydb_rows *columns,
                        const struct mydb_rows *kept)
{
    bool whole = true, any = false;
    for (size_t i = 0; i < columns->n; i++) {
        if (!has_column(kept, mydb_text(columns, i, AT_NAME))) {
            zdm_buffer_puts(b, any ? ", ADD COLUMN " : "ALTER TABLE ");
            if (!any) {
                mydb_put_images(b, name);
                zdm_buffer_puts(b, " ADD COLUMN ");
            }
            whole = put_definition(b, columns, i, mydb_text(columns, i, AT_NAME), false) && whole;
            any = true;
        }
    }
    return whole && !b->failed;
}

enum zdm_code mydb_images_widen(struct mydb_work *w, const struct mydb_facts *facts, const char *name,
                                struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *columns = NULL;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *kept = NULL;
    enum zdm_code code =
        mydb_query(w->s, columns_sql, 2, (const char *const[]){w->s->database, facts->table.name}, &columns, err);
    if (code == ZDM_OK) {
        code = mydb_query(w->s, columns_sql, 2, (const char *const[]){"zdm", name}, &kept, err);
    }
    if (code == ZDM_OK && !put_missing(&sql, name, columns, kept)) {
        return zdm_error_set(err, ZDM_UNSUPPORTED, "a new column of %s cannot be written down", facts->table.name);
    }
    return code == ZDM_OK && sql.len > 0 ? mydb_run(w->s, zdm_buffer_text(&sql), NULL, err) : code;
}

/* ---- Putting aside, dropping ---- */

enum zdm_code mydb_images_aside(struct mydb_work *w, const char *name, struct zdm_error *err)
{
    static const char sql[] = "UPDATE zdm.hidden SET name = hidden_name, by_rollback = 1, hidden_at ="
                              " CURRENT_TIMESTAMP(3) WHERE home = $1 AND migration = $2 AND kind = 'images' AND"
                              " hidden_name = $3";
    const char *const params[] = {w->s->database, w->op->migration, name};
    enum zdm_code code = mydb_query(w->s, sql, 3, params, NULL, err);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while writing zdm.hidden");
}

static enum zdm_code forget(struct mydb_work *w, const char *name, struct zdm_error *err)
{
    static const char sql[] =
        "DELETE FROM zdm.hidden WHERE home = $1 AND migration = $2 AND kind = 'images' AND hidden_name = $3";
    return mydb_query(w->s, sql, 3, (const char *const[]){w->s->database, w->op->migration, name}, NULL, err);
}

static enum zdm_code drop(struct mydb_work *w, const char *name, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "DROP TABLE IF EXISTS ");
    mydb_put_images(&sql, name);
    return mydb_run(w->s, zdm_buffer_text(&sql), NULL, err);
}

enum zdm_code mydb_images_drop(struct mydb_work *w, const char *name, struct zdm_error *err)
{
    enum zdm_code code = drop(w, name, err);
    return code == ZDM_OK ? forget(w, name, err) : code;
}

/* ---- PURGE_IMAGES ---- */

enum zdm_code mydb_look_images(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                               struct zdm_error *err)
{
    bool there = false;
    (void)table;
    enum zdm_code code = mydb_images_exist(w, w->step->object, &there, err);
    *out_proof = there ? AGENT_PROOF_NOT_DONE : AGENT_PROOF_DONE;
    return code;
}

static enum zdm_code is_due(struct mydb_work *w, const char *name, bool *out, struct zdm_error *err)
{
    struct mydb_hidden *kept = NULL;
    size_t n = 0;
    int64_t now_ms = 0;
    *out = true;
    enum zdm_code code = mydb_clock(w->s, &now_ms, err);
    if (code == ZDM_OK) {
        code = mydb_hidden_list(w, 0, "images", &kept, &n, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < n; i++) {
        if (strcmp(kept[i].hidden_name, name) == 0) {
            *out = mydb_hidden_is_due(w, &kept[i], now_ms, &w->result->wait_ms);
        }
    }
    mydb_hidden_free(kept, n);
    w->result->outcome = *out ? w->result->outcome : AGENT_EARLY;
    return code;
}

static enum zdm_code purge(struct mydb_work *w, const char *name, struct zdm_error *err)
{
    /* The fence before the table goes, which nothing brings back. */
    enum zdm_code code = mydb_journal_check_fence(w, err);
    if (code == ZDM_OK && *name != '\0') {
        code = drop(w, name, err);
    }
    if (code == ZDM_OK) {
        code = mydb_begin(w->s, err);
    }
    if (code == ZDM_OK) {
        code = forget(w, name, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_step_on(w, err);
    }
    return code == ZDM_OK ? mydb_journal_commit(w, err) : code;
}

enum zdm_code mydb_purge_images(struct mydb_work *w, struct zdm_error *err)
{
    char name[MYDB_IMAGES_NAME_MAX];
    bool due = true;
    enum zdm_code code = mydb_images_find(w, w->step->object, name, err);
    if (code == ZDM_OK) {
        code = is_due(w, name, &due, err);
    }
    return code == ZDM_OK && due ? purge(w, name, err) : code;
}
