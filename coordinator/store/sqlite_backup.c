/*
 * sqlite_backup.c - a copy of the log in one file, taken from the running connection.
 *
 * VACUUM INTO and not a copy of the file: what was committed last stands in the WAL beside it, and a file copied alone
 * may not even have its tables. The copy is marked with the position at which it was taken: a coordinator that opens it
 * finds that nothing was appended since and starts fenced, because the original may have gone on (protocol 7).
 *
 * The copy appears under its name whole and on the disk, or not at all; an existing file is never replaced.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buffer.h"
#include "coordinator/store/sqlite.h"

static enum store_result system_failure(struct zdm_error *err, const char *doing, const char *path)
{
    int sys = errno;
    bool full = sys == ENOSPC || sys == EDQUOT;
    zdm_error_system(err, full ? ZDM_FULL : sys == EEXIST ? ZDM_EXISTS : ZDM_IO, sys, "%s %s", doing, path);
    return full ? STORE_FULL : STORE_IO;
}

static enum store_result copy_into(struct sqlite_store *store, const char *path, struct zdm_error *err)
{
    sqlite3_stmt *vacuum = NULL;
    enum store_result result = STORE_OK;
    if (sqlite3_prepare_v2(store->db, "VACUUM INTO ?1", -1, &vacuum, NULL) != SQLITE_OK ||
        sqlite3_bind_text(vacuum, 1, path, -1, SQLITE_STATIC) != SQLITE_OK || sqlite3_step(vacuum) != SQLITE_DONE)
        result = sqlite_failure(store->db, "writing the backup", err);
    sqlite3_finalize(vacuum);
    return result;
}

static enum store_result mark(const struct sqlite_store *store, const char *path, struct zdm_error *err)
{
    sqlite3 *db = NULL;
    char sql[96];
    sqlite3_snprintf((int)sizeof sql, sql, "PRAGMA synchronous = EXTRA; UPDATE log SET backup_seq = %llu",
                     (unsigned long long)store->head.seq);
    enum store_result result;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK) {
        zdm_error_set(err, ZDM_IO, "could not open the backup %s", path);
        result = STORE_IO;
    } else
        result = sqlite_run(db, sql, "marking the backup", err);
    sqlite3_close(db);
    return result;
}

static enum store_result sync_path(const char *path, int flags, struct zdm_error *err)
{
    int fd = open(path, flags | O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return system_failure(err, "could not open", path);
    int failed = fsync(fd);
    enum store_result result = failed != 0 ? system_failure(err, "could not sync", path) : STORE_OK;
    close(fd);
    return result;
}

static enum store_result sync_folder_of(const char *path, struct zdm_error *err)
{
    const char *slash = strrchr(path, '/');
    ZDM_CLEANUP(zdm_freep)
    char *folder = slash == NULL   ? zdm_strdup(".")
                   : slash == path ? zdm_strdup("/")
                                   : zdm_memdup(path, (size_t)(slash - path));
    if (folder == NULL) {
        zdm_error_set(err, ZDM_NOMEM, "could not get memory for the backup");
        return STORE_IO;
    }
    return sync_path(folder, O_DIRECTORY, err);
}

static enum store_result write_copy(struct sqlite_store *store, const char *partial, const char *path,
                                    struct zdm_error *err)
{
    enum store_result result = copy_into(store, partial, err);
    if (result == STORE_OK)
        result = mark(store, partial, err);
    if (result == STORE_OK)
        result = sync_path(partial, 0, err);
    if (result == STORE_OK && renameat2(AT_FDCWD, partial, AT_FDCWD, path, RENAME_NOREPLACE) != 0)
        result = system_failure(err, "could not create the backup", path);
    return result == STORE_OK ? sync_folder_of(path, err) : result;
}

enum store_result sqlite_store_backup(void *self, const char *path, struct zdm_error *err)
{
    struct sqlite_store *store = self;
    ZDM_CLEANUP(zdm_freep) char *partial = NULL;
    struct zdm_buffer name = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&name, "%s.partial", path);
    partial = zdm_buffer_take(&name);
    if (partial == NULL) {
        zdm_error_set(err, ZDM_NOMEM, "could not get memory for the backup");
        return STORE_IO;
    }
    (void)unlink(partial); /* of a backup that was cut short */
    int fd = open(partial, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return system_failure(err, "could not create", partial);
    close(fd);
    enum store_result result = write_copy(store, partial, path, err);
    if (result != STORE_OK)
        (void)unlink(partial);
    return result;
}
