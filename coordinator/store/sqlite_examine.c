/*
 * sqlite_examine.c - reading a log that may be damaged, for an audit: every row as it is, in the order of its number,
 * with no check but those that SQLite cannot do without.
 *
 * The file is not changed: no schema is made, and closing does not move the WAL into it, because evidence should stay
 * as it was found. Where the folder cannot be written to and no WAL lies beside the file, it is read as it lies there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buffer.h"
#include "coordinator/store/sqlite.h"

static bool has_wal(const char *path)
{
    struct zdm_buffer wal = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&wal, "%s-wal", path);
    bool there = !wal.failed && access(zdm_buffer_text(&wal), F_OK) == 0;
    zdm_buffer_fini(&wal);
    return there;
}

/* "file:" with what a URI gives a meaning to written as %xx. */
static void put_uri(struct zdm_buffer *out, const char *path)
{
    zdm_buffer_puts(out, "file:");
    for (const char *c = path; *c != '\0'; c++) {
        if (strchr("%?# ", *c) != NULL)
            zdm_buffer_printf(out, "%%%02x", (unsigned)(unsigned char)*c);
        else
            zdm_buffer_append(out, c, 1);
    }
    zdm_buffer_puts(out, "?immutable=1");
}

static enum store_result open_as_it_lies(const char *path, sqlite3 **out, struct zdm_error *err)
{
    struct zdm_buffer uri = ZDM_BUFFER_INIT;
    put_uri(&uri, path);
    int rc = sqlite3_open_v2(zdm_buffer_text(&uri), out, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_EXRESCODE,
                             NULL);
    zdm_buffer_fini(&uri);
    return rc == SQLITE_OK ? STORE_OK : sqlite_failure(*out, "opening the log", err);
}

static enum store_result open_alone(const char *path, sqlite3 **out, struct zdm_error *err)
{
    if (sqlite3_open_v2(path, out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK)
        return sqlite_failure(*out, "opening the log", err);
    (void)sqlite3_db_config(*out, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    enum store_result result = sqlite_run(*out,
                                          "PRAGMA locking_mode = EXCLUSIVE; PRAGMA query_only = ON;"
                                          "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON",
                                          "opening the log", err);
    if (result == STORE_OK)
        result = sqlite_run(*out, "SELECT count(*) FROM sqlite_schema", "opening the log", err);
    if (result == STORE_BUSY)
        zdm_error_hint(
            err, "A coordinator has %s open: ask it with \"zdmctl audit verify\", or examine a backup of it.", path);
    return result;
}

static bool copy_hash(sqlite3_stmt *row, int column, struct zdm_hash *out)
{
    const void *bytes = sqlite3_column_blob(row, column);
    memset(out->bytes, 0, sizeof out->bytes);
    if (bytes == NULL || sqlite3_column_bytes(row, column) != (int)sizeof out->bytes)
        return false; /* no hash: none fits it */
    memcpy(out->bytes, bytes, sizeof out->bytes);
    return true;
}

static enum store_result read_rows(sqlite3 *db, sqlite3_stmt *rows, bool (*each)(void *, const struct store_record *),
                                   void *ctx, struct zdm_error *err)
{
    int rc;
    while ((rc = sqlite3_step(rows)) == SQLITE_ROW) {
        struct store_record record = {.seq = (uint64_t)sqlite3_column_int64(rows, 0)};
        (void)copy_hash(rows, 1, &record.prev_hash);
        (void)copy_hash(rows, 2, &record.hash);
        record.bytes = sqlite3_column_blob(rows, 3);
        record.n = record.bytes != NULL ? (size_t)sqlite3_column_bytes(rows, 3) : 0;
        if (record.bytes == NULL)
            record.bytes = (const uint8_t *)"";
        if (!each(ctx, &record))
            return STORE_OK;
    }
    return rc == SQLITE_DONE ? STORE_OK : sqlite_failure(db, "reading the log", err);
}

enum store_result store_sqlite_examine(const char *path, bool (*each)(void *ctx, const struct store_record *record),
                                       void *ctx, struct zdm_error *err)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *rows = NULL;
    enum store_result result;
    if (access(path, R_OK) != 0) {
        zdm_error_set(err, ZDM_NOT_FOUND, "there is no log at %s", path);
        return STORE_IO;
    }
    result = access(path, W_OK) == 0 || has_wal(path) ? open_alone(path, &db, err) : open_as_it_lies(path, &db, err);
    if (result == STORE_OK && sqlite3_prepare_v2(db, "SELECT seq, prev_hash, hash, bytes FROM event ORDER BY seq", -1,
                                                 &rows, NULL) != SQLITE_OK)
        result = sqlite_failure(db, "reading the log", err);
    if (result == STORE_OK)
        result = read_rows(db, rows, each, ctx, err);
    sqlite3_finalize(rows);
    sqlite3_close(db);
    return result;
}
