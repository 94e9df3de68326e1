/*
 * file.h - reading and replacing small files whole.
 */
#ifndef ZDM_OS_FILE_H
#define ZDM_OS_FILE_H

#include "common/base/buffer.h"
#include "common/base/error.h"

/* Appends the file's bytes to out; ZDM_LIMIT when it is larger than max. "-" is not special. ZDM_NOT_FOUND when there
 * is none. */
enum zdm_code zdm_file_read(const char *path, size_t max, struct zdm_buffer *out, struct zdm_error *err) ZDM_CHECKED;
/* Replaces the file at once for readers: temporary file beside it, fsync, rename, fsync of the folder. */
enum zdm_code zdm_file_write(const char *path, const void *bytes, size_t n, unsigned mode,
                             struct zdm_error *err) ZDM_CHECKED;
/* Writes a file that must not exist yet (ZDM_EXISTS), durably; nothing of it is left behind on failure. */
enum zdm_code zdm_file_create(const char *path, const void *bytes, size_t n, unsigned mode,
                              struct zdm_error *err) ZDM_CHECKED;
/* mkdir -p with mode for what is made; fine when it exists. */
enum zdm_code zdm_dir_make(const char *path, unsigned mode, struct zdm_error *err) ZDM_CHECKED;
/* Takes an exclusive lock on path (created if missing), held by the process until exit: one daemon per folder.
 * ZDM_EXISTS when another process holds it. */
enum zdm_code zdm_file_lock(const char *path, struct zdm_error *err) ZDM_CHECKED;

#endif
