/*
 * sqlite_open.c - opening the log's file: exclusively, checked, with the schema that this program knows.
 *
 * locking_mode=EXCLUSIVE is set before the first access in WAL mode: there is then no shared-memory file, and a second
 * opener, whoever it is, gets SQLITE_BUSY. SQLite's bugs around resetting a WAL need two connections; here there is
 * one.
 *
 * The file is made with mode 0600 before SQLite sees it, and never opened beside it: closing a second descriptor of a
 * file drops every POSIX lock that the process holds on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coordinator/store/schema.h"
#include "coordinator/store/sqlite.h"

enum { APPLICATION_ID = 0x7a646d31 }; /* "zdm1", for file(1) and for refusing what is not ours */

static enum store_result make_file(const char *path, struct zdm_error *err)
{
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    else if (errno != EEXIST) {
        zdm_error_system(err, ZDM_IO, errno, "could not create %s", path);
        return STORE_IO;
    } else if (chmod(path, 0600) != 0) {
        zdm_error_system(err, ZDM_IO, errno, "could not set the mode of %s", path);
        return STORE_IO;
    }
    return STORE_OK;
}

static int note_wal_pages(void *ctx, sqlite3 *db, const char *name, int pages)
{
    struct sqlite_store *store = ctx;
    (void)db;
    (void)name;
    store->wal_pages = pages;
    return SQLITE_OK;
}

static enum store_result connect_file(struct sqlite_store *store, const char *path, struct zdm_error *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(path, &store->db, flags, NULL) != SQLITE_OK) {
        if (store->db != NULL)
            return sqlite_failure(store->db, "opening the log", err);
        zdm_error_set(err, ZDM_NOMEM, "could not get memory for the log");
        return STORE_IO;
    }
    enum store_result result = sqlite_run(store->db,
                                          "PRAGMA locking_mode = EXCLUSIVE;"
                                          "PRAGMA journal_mode = WAL;"
                                          "PRAGMA synchronous = FULL;"
                                          "PRAGMA trusted_schema = OFF;"
                                          "PRAGMA cell_size_check = ON;"
                                          "BEGIN EXCLUSIVE; COMMIT;",
                                          "opening the log", err);
    if (result == STORE_BUSY)
        zdm_error_hint(err, "Another process has %s open: one coordinator at a time.", path);
    if (result == STORE_OK)
        sqlite3_wal_hook(store->db, note_wal_pages, store);
    return result;
}

static enum store_result check_pages(struct sqlite_store *store, struct zdm_error *err)
{
    sqlite3_stmt *statement = NULL;
    enum store_result result = STORE_OK;
    if (sqlite3_prepare_v2(store->db, "PRAGMA quick_check(1)", -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW)
        result = sqlite_failure(store->db, "checking the log", err);
    else if (strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0) {
        zdm_error_set(err, ZDM_CORRUPT, "%s is damaged", store->path);
        zdm_error_detail(err, "%s", (const char *)sqlite3_column_text(statement, 0));
        result = STORE_CORRUPT;
    }
    sqlite3_finalize(statement);
    return result;
}

/* ---- Schema ---- */

static enum store_result insert_log_row(sqlite3 *db, const struct zdm_id *fleet, struct zdm_error *err)
{
    sqlite3_stmt *insert = NULL;
    enum store_result result = STORE_OK;
    if (sqlite3_prepare_v2(db, "INSERT INTO log (one, fleet) VALUES (1, ?1)", -1, &insert, NULL) != SQLITE_OK ||
        sqlite3_bind_blob(insert, 1, fleet->bytes, sizeof fleet->bytes, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(insert) != SQLITE_DONE)
        result = sqlite_failure(db, "creating the log", err);
    sqlite3_finalize(insert);
    return result;
}

/* Takes the schema from `version` to the newest, all in one transaction. */
static enum store_result upgrade(struct sqlite_store *store, unsigned version, const struct zdm_id *fleet,
                                 struct zdm_error *err)
{
    char stamp[96];
    enum store_result result = sqlite_run(store->db, "BEGIN IMMEDIATE", "creating the log", err);
    for (unsigned i = version; i < schema_sqlite_count && result == STORE_OK; i++)
        result = sqlite_run(store->db, schema_sqlite[i], "creating the log", err);
    if (result == STORE_OK && version == 0)
        result = insert_log_row(store->db, fleet, err);
    sqlite3_snprintf((int)sizeof stamp, stamp, "PRAGMA application_id = %d; PRAGMA user_version = %u; COMMIT",
                     (int)APPLICATION_ID, schema_sqlite_count);
    if (result == STORE_OK)
        result = sqlite_run(store->db, stamp, "creating the log", err);
    return result;
}

static enum store_result check_schema(struct sqlite_store *store, const struct zdm_id *fleet, struct zdm_error *err)
{
    int64_t version = 0, application = 0, objects = 0;
    enum store_result result = sqlite_number(store->db, "PRAGMA user_version", "opening the log", &version, err);
    if (result == STORE_OK)
        result = sqlite_number(store->db, "PRAGMA application_id", "opening the log", &application, err);
    if (result == STORE_OK)
        result = sqlite_number(store->db, "SELECT count(*) FROM sqlite_schema", "opening the log", &objects, err);
    if (result != STORE_OK)
        return result;
    if (objects != 0 && application != APPLICATION_ID) {
        zdm_error_set(err, ZDM_CORRUPT, "%s is not a log of zdm", store->path);
        return STORE_CORRUPT;
    }
    if (version > (int64_t)schema_sqlite_count) {
        zdm_error_set(err, ZDM_UNSUPPORTED, "%s was written by a newer release", store->path);
        zdm_error_hint(err, "Its schema has version %" PRId64 ", this release knows %u.", version, schema_sqlite_count);
        return STORE_CORRUPT;
    }
    return version < (int64_t)schema_sqlite_count ? upgrade(store, (unsigned)version, fleet, err) : STORE_OK;
}

/* ---- Head ---- */

static bool column_bytes(sqlite3_stmt *row, int column, void *out, size_t n)
{
    const void *bytes = sqlite3_column_blob(row, column);
    if (bytes == NULL || sqlite3_column_bytes(row, column) != (int)n)
        return false;
    memcpy(out, bytes, n);
    return true;
}

static enum store_result read_log_row(struct sqlite_store *store, struct zdm_id *out_fleet, struct zdm_error *err)
{
    sqlite3_stmt *row = NULL;
    enum store_result result = STORE_OK;
    int rc = sqlite3_prepare_v2(store->db, "SELECT fleet, epoch, backup_seq FROM log", -1, &row, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(row);
    if (rc == SQLITE_ROW && column_bytes(row, 0, out_fleet->bytes, sizeof out_fleet->bytes)) {
        store->head.epoch = (uint64_t)sqlite3_column_int64(row, 1);
        store->head.backup_seq = (uint64_t)sqlite3_column_int64(row, 2);
    } else if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
        zdm_error_set(err, ZDM_CORRUPT, "%s does not say whose log it is", store->path);
        result = STORE_CORRUPT;
    } else
        result = sqlite_failure(store->db, "opening the log", err);
    sqlite3_finalize(row);
    return result;
}

static enum store_result read_last(struct sqlite_store *store, struct zdm_error *err)
{
    sqlite3_stmt *row = NULL;
    enum store_result result = STORE_OK;
    int rc = sqlite3_prepare_v2(store->db, "SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1", -1, &row, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(row);
    if (rc == SQLITE_ROW) {
        store->head.seq = (uint64_t)sqlite3_column_int64(row, 0);
        if (!column_bytes(row, 1, store->head.hash.bytes, sizeof store->head.hash.bytes)) {
            zdm_error_set(err, ZDM_CORRUPT, "%s is damaged at its last record", store->path);
            result = STORE_CORRUPT;
        }
    } else if (rc != SQLITE_DONE)
        result = sqlite_failure(store->db, "opening the log", err);
    sqlite3_finalize(row);
    return result;
}

static enum store_result read_head(struct sqlite_store *store, const struct zdm_id *fleet, struct zdm_error *err)
{
    struct zdm_id owner;
    enum store_result result = read_log_row(store, &owner, err);
    if (result != STORE_OK)
        return result;
    if (!zdm_id_equal(&owner, fleet)) {
        char text[ZDM_ID_HEX_SIZE];
        zdm_hex(text, owner.bytes, sizeof owner.bytes);
        zdm_error_set(err, ZDM_CORRUPT, "%s is the log of another fleet", store->path);
        zdm_error_hint(err, "It belongs to fleet %s. Check the data folder and the trust file.", text);
        return STORE_CORRUPT;
    }
    return read_last(store, err);
}

enum store_result sqlite_store_open(struct sqlite_store *store, const char *path, const struct zdm_id *fleet,
                                    struct zdm_error *err)
{
    enum store_result result = make_file(path, err);
    if (result == STORE_OK)
        result = connect_file(store, path, err);
    if (result == STORE_OK)
        result = check_pages(store, err);
    if (result == STORE_OK)
        result = check_schema(store, fleet, err);
    if (result == STORE_OK)
        result = read_head(store, fleet, err);
    if (result == STORE_OK &&
        sqlite3_prepare_v3(store->db, "INSERT INTO event (seq, prev_hash, hash, bytes) VALUES (?1, ?2, ?3, ?4)", -1,
                           SQLITE_PREPARE_PERSISTENT, &store->insert, NULL) != SQLITE_OK)
        result = sqlite_failure(store->db, "opening the log", err);
    return result;
}
