/*
 * file.c - see file.h.
 *
 * A file that is replaced keeps its name pointing at whole bytes at every moment, also across a power cut: the new
 * bytes are synced before the rename, the folder after it. Writing in place is never done.
 */
#include "common/os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_PIECE = 16 * 1024 };

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static enum zdm_code cannot_open(const char *path, struct zdm_error *err)
{
    return zdm_error_system(err, errno == ENOENT ? ZDM_NOT_FOUND : ZDM_IO, errno, "could not open \"%s\"", path);
}

enum zdm_code zdm_file_read(const char *path, size_t max, struct zdm_buffer *out, struct zdm_error *err)
{
    char piece[READ_PIECE];
    size_t total = 0;
    ZDM_CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return cannot_open(path, err);
    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return zdm_error_system(err, ZDM_IO, errno, "could not read \"%s\"", path);
        if (n == 0)
            return ZDM_OK;
        total += (size_t)n;
        if (total > max)
            return zdm_error_set(err, ZDM_LIMIT, "\"%s\" is larger than %zu bytes", path, max);
        zdm_buffer_append(out, piece, (size_t)n);
        if (out->failed)
            return zdm_error_set(err, ZDM_NOMEM, "out of memory while reading \"%s\"", path);
    }
}

static bool write_all(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t written = write(fd, at, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        at += written;
        n -= (size_t)written;
    }
    return true;
}

/* Makes a rename or a creation in path's folder durable. */
static enum zdm_code sync_folder(const char *path, struct zdm_error *err)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    if (n >= sizeof folder)
        return zdm_error_system(err, ZDM_IO, ENAMETOOLONG, "could not open the folder of \"%s\"", path);
    memcpy(folder, n > 0 ? path : ".", n > 0 ? n : 1);
    folder[n > 0 ? n : 1] = '\0';
    ZDM_CLEANUP(close_fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return cannot_open(folder, err);
    if (fsync(fd) < 0 && errno != EINVAL) /* EINVAL: a file system without it */
        return zdm_error_system(err, ZDM_IO, errno, "could not sync folder \"%s\"", folder);
    return ZDM_OK;
}

/* Fills an open new file; mode is set here because open() subtracts the umask. */
static enum zdm_code fill(int fd, const char *path, const void *bytes, size_t n, unsigned mode, struct zdm_error *err)
{
    if (fchmod(fd, (mode_t)mode) < 0 || !write_all(fd, bytes, n) || fsync(fd) < 0)
        return zdm_error_system(err, ZDM_IO, errno, "could not write \"%s\"", path);
    return ZDM_OK;
}

enum zdm_code zdm_file_write(const char *path, const void *bytes, size_t n, unsigned mode, struct zdm_error *err)
{
    char temporary[PATH_MAX];
    int length = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    if (length < 0 || (size_t)length >= sizeof temporary)
        return zdm_error_system(err, ZDM_IO, ENAMETOOLONG, "could not write \"%s\"", path);
    ZDM_CLEANUP(close_fd) int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return zdm_error_system(err, ZDM_IO, errno, "could not create a file beside \"%s\"", path);
    enum zdm_code code = fill(fd, temporary, bytes, n, mode, err);
    if (code == ZDM_OK && rename(temporary, path) < 0)
        code = zdm_error_system(err, ZDM_IO, errno, "could not replace \"%s\"", path);
    if (code != ZDM_OK) {
        unlink(temporary);
        return code;
    }
    return sync_folder(path, err);
}

enum zdm_code zdm_file_create(const char *path, const void *bytes, size_t n, unsigned mode, struct zdm_error *err)
{
    ZDM_CLEANUP(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return zdm_error_system(err, errno == EEXIST ? ZDM_EXISTS : ZDM_IO, errno, "could not create \"%s\"", path);
    enum zdm_code code = fill(fd, path, bytes, n, mode, err);
    if (code == ZDM_OK)
        code = sync_folder(path, err);
    if (code != ZDM_OK)
        unlink(path);
    return code;
}

enum zdm_code zdm_dir_make(const char *path, unsigned mode, struct zdm_error *err)
{
    char part[PATH_MAX];
    struct stat info;
    if (!zdm_copy_text(part, sizeof part, path))
        return zdm_error_system(err, ZDM_IO, ENAMETOOLONG, "could not create folder \"%s\"", path);
    for (char *at = part + 1; part[0] != '\0'; at++) {
        bool end = *at == '\0';
        if (!end && *at != '/')
            continue;
        *at = '\0';
        if (mkdir(part, (mode_t)mode) < 0 && errno != EEXIST)
            return zdm_error_system(err, ZDM_IO, errno, "could not create folder \"%s\"", part);
        if (end)
            break;
        *at = '/';
    }
    if (stat(path, &info) < 0)
        return zdm_error_system(err, ZDM_IO, errno, "could not create folder \"%s\"", path);
    if (!S_ISDIR(info.st_mode))
        return zdm_error_set(err, ZDM_IO, "\"%s\" is not a folder", path);
    return ZDM_OK;
}

/* flock, not fcntl: it survives another part of the process opening and closing the same file, and a child that
 * execs something else lets go of it. The descriptor is kept on purpose until the process ends. */
enum zdm_code zdm_file_lock(const char *path, struct zdm_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return cannot_open(path, err);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return ZDM_OK;
    int reason = errno;
    close(fd);
    if (reason == EWOULDBLOCK) {
        zdm_error_set(err, ZDM_EXISTS, "\"%s\" is locked by another process", path);
        return zdm_error_hint(err, "Stop the other process, or give this one a folder of its own.");
    }
    return zdm_error_system(err, ZDM_IO, reason, "could not lock \"%s\"", path);
}
