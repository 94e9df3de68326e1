/*
 * sqlite.c - the log in one SQLite file (protocol 7): appending, reading, and what each failure means.
 *
 * One connection, held exclusively from opening to closing; WAL with synchronous=FULL, so that a commit is on the disk
 * when it returns; a group is one transaction, so that it is there whole or not at all. Measured: 3,360 events a second
 * one per commit, 76,000 in groups.
 *
 * What fails is told apart by what the caller can do:
 *   no room      nothing was appended; the same may work later                                     STORE_FULL
 *   medium       after a failed fsync the kernel may have dropped the pages it could not write, so that a later fsync
 *                says "fine" about data that is gone: this process writes no more                   STORE_IO
 *   damage       the file is not what was written                                                   STORE_CORRUPT
 * Checkpoints are started here and not by SQLite's automatism, which swallows their errors. A checkpoint that finds no
 * room is tried again at the next group: the WAL holds everything until then.
 */
#include "coordinator/store/sqlite.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/store/group.h"

enum { CHECKPOINT_PAGES = 1000 };

/* ---- Errors ---- */

/* EDQUOT and ENOSPC of a write; of an fsync they say nothing about what is on the disk. */
static bool is_out_of_room(sqlite3 *db, int extended)
{
    int sys = sqlite3_system_errno(db);
    if ((extended & 0xff) == SQLITE_FULL)
        return true;
    return (extended == SQLITE_IOERR_WRITE || extended == SQLITE_IOERR_TRUNCATE) && (sys == ENOSPC || sys == EDQUOT);
}

enum store_result sqlite_failure(sqlite3 *db, const char *doing, struct zdm_error *err)
{
    int extended = sqlite3_extended_errcode(db);
    int sys = sqlite3_system_errno(db);
    enum store_result result = STORE_IO;
    enum zdm_code code = ZDM_IO;
    if (is_out_of_room(db, extended)) {
        result = STORE_FULL;
        code = ZDM_FULL;
    } else if ((extended & 0xff) == SQLITE_BUSY || (extended & 0xff) == SQLITE_LOCKED) {
        result = STORE_BUSY;
        code = ZDM_LOCK;
    } else if ((extended & 0xff) == SQLITE_CORRUPT || (extended & 0xff) == SQLITE_NOTADB) {
        result = STORE_CORRUPT;
        code = ZDM_CORRUPT;
    }
    zdm_error_set(err, code, "%s: %s", doing, sqlite3_errmsg(db));
    err->sys_errno = sys;
    if (sys != 0)
        zdm_error_detail(err, "The system says: %s.", strerror(sys));
    return result;
}

enum store_result sqlite_run(sqlite3 *db, const char *sql, const char *doing, struct zdm_error *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? STORE_OK : sqlite_failure(db, doing, err);
}

enum store_result sqlite_number(sqlite3 *db, const char *sql, const char *doing, int64_t *out, struct zdm_error *err)
{
    sqlite3_stmt *statement = NULL;
    enum store_result result = STORE_OK;
    int64_t number = 0;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW)
            number = sqlite3_column_int64(statement, 0);
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        result = sqlite_failure(db, doing, err);
    sqlite3_finalize(statement);
    if (result == STORE_OK)
        *out = number;
    return result;
}

static enum store_result refuse_broken(const struct sqlite_store *store, struct zdm_error *err)
{
    zdm_error_set(err, ZDM_IO, "%s failed before and is not written any more by this process", store->path);
    return STORE_IO;
}

/* Undoes what a failed write left open, and remembers a failed medium. */
static enum store_result give_up(struct sqlite_store *store, enum store_result result)
{
    if (sqlite3_get_autocommit(store->db) == 0 && sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
        result = STORE_IO;
    if (result != STORE_FULL)
        store->broken = true;
    return result;
}

/* ---- Writing ---- */

/* A WAL that only grows would fill the disk and make the next start slow. */
static void checkpoint(struct sqlite_store *store)
{
    if (store->wal_pages < CHECKPOINT_PAGES)
        return;
    int rc = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    struct zdm_error err;
    if (rc == SQLITE_OK)
        store->wal_pages = 0;
    else if (sqlite_failure(store->db, "checkpoint", &err) != STORE_FULL)
        store->broken = true;
}

static enum store_result sqlite_head(void *self, struct store_head *out_head, struct zdm_error *err)
{
    const struct sqlite_store *store = self;
    (void)err;
    *out_head = store->head;
    return STORE_OK;
}

static enum store_result sqlite_acquire(void *self, uint64_t *out_epoch, struct zdm_error *err)
{
    struct sqlite_store *store = self;
    if (store->broken)
        return refuse_broken(store, err);
    enum store_result result = sqlite_run(store->db, "UPDATE log SET epoch = epoch + 1", "acquiring an epoch", err);
    if (result != STORE_OK)
        return give_up(store, result);
    *out_epoch = ++store->head.epoch;
    return STORE_OK;
}

static enum store_result sqlite_renew(void *self, uint64_t epoch, struct zdm_error *err)
{
    const struct sqlite_store *store = self;
    if (epoch != 0 && epoch == store->head.epoch)
        return STORE_OK;
    zdm_error_set(err, ZDM_DEPOSED, "epoch %" PRIu64 " was replaced by epoch %" PRIu64, epoch, store->head.epoch);
    return STORE_DEPOSED;
}

static bool insert_record(sqlite3_stmt *insert, const struct store_record *record)
{
    sqlite3_reset(insert);
    return sqlite3_bind_int64(insert, 1, (sqlite3_int64)record->seq) == SQLITE_OK &&
           sqlite3_bind_blob(insert, 2, record->prev_hash.bytes, sizeof record->prev_hash.bytes, SQLITE_STATIC) ==
               SQLITE_OK &&
           sqlite3_bind_blob(insert, 3, record->hash.bytes, sizeof record->hash.bytes, SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_bind_blob64(insert, 4, record->bytes, record->n, SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_step(insert) == SQLITE_DONE;
}

static enum store_result insert_group(struct sqlite_store *store, const struct store_record *records, size_t n,
                                      struct zdm_error *err)
{
    enum store_result result = sqlite_run(store->db, "BEGIN IMMEDIATE", "appending to the log", err);
    for (size_t i = 0; i < n && result == STORE_OK; i++) {
        if (!insert_record(store->insert, &records[i]))
            result = sqlite_failure(store->db, "appending to the log", err);
    }
    sqlite3_reset(store->insert);
    sqlite3_clear_bindings(store->insert);
    if (result == STORE_OK)
        result = sqlite_run(store->db, "COMMIT", "committing to the log", err);
    return result == STORE_OK ? STORE_OK : give_up(store, result);
}

static enum store_result sqlite_append(void *self, uint64_t epoch, const struct store_record *records, size_t n,
                                       struct zdm_error *err)
{
    struct sqlite_store *store = self;
    if (store->broken)
        return refuse_broken(store, err);
    enum store_result result = sqlite_renew(self, epoch, err);
    if (result == STORE_OK)
        result = store_group_check(&store->head, records, n, err);
    if (result == STORE_OK)
        result = insert_group(store, records, n, err);
    if (result != STORE_OK)
        return result;
    store->head.seq = records[n - 1].seq;
    store->head.hash = records[n - 1].hash;
    checkpoint(store);
    return STORE_OK;
}

/* ---- Reading ---- */

static bool column_hash(sqlite3_stmt *row, int column, struct zdm_hash *out)
{
    const void *bytes = sqlite3_column_blob(row, column);
    if (bytes == NULL || sqlite3_column_bytes(row, column) != (int)sizeof out->bytes)
        return false;
    memcpy(out->bytes, bytes, sizeof out->bytes);
    return true;
}

/* Fills *record from the row and checks that it follows what was read before. */
static bool take_row(sqlite3_stmt *row, uint64_t expected, const struct zdm_hash *before, struct store_record *record)
{
    record->seq = (uint64_t)sqlite3_column_int64(row, 0);
    record->bytes = sqlite3_column_blob(row, 3);
    record->n = (size_t)sqlite3_column_bytes(row, 3);
    return record->seq == expected && column_hash(row, 1, &record->prev_hash) && column_hash(row, 2, &record->hash) &&
           record->bytes != NULL && (before == NULL || zdm_hash_equal(before, &record->prev_hash));
}

static enum store_result damaged(struct zdm_error *err, uint64_t seq)
{
    zdm_error_set(err, ZDM_CORRUPT, "the log is damaged at record %" PRIu64, seq);
    zdm_error_hint(err, "Restore the newest backup; the coordinator then starts fenced and compares with its agents.");
    return STORE_CORRUPT;
}

static enum store_result read_rows(const struct sqlite_store *store, sqlite3_stmt *rows, uint64_t from,
                                   bool (*each)(void *, const struct store_record *), void *ctx, struct zdm_error *err)
{
    static const struct zdm_hash nothing;
    struct zdm_hash before = nothing;
    uint64_t expected = from;
    int rc;
    while ((rc = sqlite3_step(rows)) == SQLITE_ROW) {
        struct store_record record;
        /* Only of the first record read, when it is not the log's first, is the hash before not known. */
        if (!take_row(rows, expected, expected == from && from > 1 ? NULL : &before, &record))
            return damaged(err, expected);
        before = record.hash;
        expected++;
        if (!each(ctx, &record))
            return STORE_OK;
    }
    if (rc != SQLITE_DONE)
        return sqlite_failure(store->db, "reading the log", err);
    return expected == store->head.seq + 1 || from > store->head.seq ? STORE_OK : damaged(err, expected);
}

static enum store_result sqlite_read(void *self, uint64_t from, bool (*each)(void *, const struct store_record *),
                                     void *ctx, struct zdm_error *err)
{
    struct sqlite_store *store = self;
    sqlite3_stmt *rows = NULL;
    if (from == 0)
        from = 1;
    int rc = sqlite3_prepare_v2(store->db, "SELECT seq, prev_hash, hash, bytes FROM event WHERE seq >= ?1 ORDER BY seq",
                                -1, &rows, NULL);
    enum store_result result;
    if (rc == SQLITE_OK && sqlite3_bind_int64(rows, 1, (sqlite3_int64)from) == SQLITE_OK)
        result = read_rows(store, rows, from, each, ctx, err);
    else
        result = sqlite_failure(store->db, "reading the log", err);
    sqlite3_finalize(rows);
    return result;
}

/* ---- Life ---- */

static void sqlite_close(void *self)
{
    struct sqlite_store *store = self;
    if (store == NULL)
        return;
    sqlite3_finalize(store->insert);
    sqlite3_close(store->db);
    free(store->path);
    free(store);
}

static const struct store_ops sqlite_ops = {.name = "sqlite",
                                            .head = sqlite_head,
                                            .acquire = sqlite_acquire,
                                            .renew = sqlite_renew,
                                            .append = sqlite_append,
                                            .read = sqlite_read,
                                            .backup = sqlite_store_backup,
                                            .close = sqlite_close};

enum store_result store_sqlite_open(const char *path, const struct zdm_id *fleet, struct store *out_store,
                                    struct zdm_error *err)
{
    struct sqlite_store *store = calloc(1, sizeof *store);
    if (store != NULL)
        store->path = zdm_strdup(path);
    if (store == NULL || store->path == NULL) {
        free(store);
        zdm_error_set(err, ZDM_NOMEM, "could not get memory for the log");
        return STORE_IO;
    }
    enum store_result result = sqlite_store_open(store, path, fleet, err);
    if (result != STORE_OK) {
        sqlite_close(store);
        return result;
    }
    *out_store = (struct store){.ops = &sqlite_ops, .self = store};
    return STORE_OK;
}

void store_sqlite_set_limit(const struct store *store, uint64_t bytes)
{
    struct sqlite_store *self = store->self;
    struct zdm_error err;
    char sql[64];
    int64_t page_size = 4096;
    (void)sqlite_number(self->db, "PRAGMA page_size", "reading the page size", &page_size, &err);
    int64_t pages = bytes != 0 ? (int64_t)(bytes / (uint64_t)page_size) : 4294967294;
    sqlite3_snprintf((int)sizeof sql, sql, "PRAGMA max_page_count = %lld", (long long)(pages != 0 ? pages : 1));
    (void)sqlite_run(self->db, sql, "limiting the file", &err);
}
