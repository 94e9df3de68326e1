/*
 * backup.c - see backup.h.
 */
#include "coordinator/app/backup.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/os/crypto.h"
#include "common/os/file.h"
#include "common/os/log.h"
#include "coordinator/app/program.h"

enum { ANSWER_MAX = 4096, WAIT_STEPS = 600, WAIT_STEP_MS = 100 };

static bool path_in(char out[PATH_MAX], const char *data, const char *name)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", data, name);
    return n > 0 && n < PATH_MAX;
}

/* ---- The coordinator's part ---- */

static void write_answer(const char *answer, const struct zdm_error *err)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    struct zdm_error failure;
    if (err->code == ZDM_OK)
        zdm_buffer_puts(&text, "ok\n");
    else
        zdm_buffer_printf(&text, "%s\n", err->message);
    if (zdm_file_write(answer, zdm_buffer_text(&text), text.len, 0600, &failure) != ZDM_OK)
        zdm_log_error(ZDM_LOG_WARN, "could not answer who asked for a backup", &failure);
    zdm_buffer_fini(&text);
}

bool backup_serve(const char *data, const struct store *store, char *path, size_t size, struct zdm_error *err)
{
    char request[PATH_MAX], answer[PATH_MAX];
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    if (!path_in(request, data, "backup.request") || !path_in(answer, data, "backup.answer") ||
        access(request, F_OK) != 0)
        return false;
    zdm_error_clear(err);
    enum zdm_code code = zdm_file_read(request, PATH_MAX, &text, err);
    (void)unlink(request);
    (void)snprintf(path, size, "%s", zdm_buffer_text(&text));
    if (code == ZDM_OK && path[0] != '/')
        zdm_error_set(err, ZDM_INVALID, "a backup is asked for by an absolute path");
    else if (code == ZDM_OK && store->ops->backup(store->self, path, err) == STORE_OK)
        zdm_error_clear(err);
    write_answer(answer, err);
    zdm_buffer_fini(&text);
    return true;
}

/* ---- The command's part ---- */

static enum zdm_code read_answer(const char *answer, const char *path, struct zdm_error *err)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    enum zdm_code code = zdm_file_read(answer, ANSWER_MAX, &text, err);
    (void)unlink(answer);
    if (code == ZDM_OK && strcmp(zdm_buffer_text(&text), "ok\n") != 0)
        code = zdm_error_set(err, ZDM_IO, "could not write the backup %s: %.*s", path,
                             (int)strcspn(zdm_buffer_text(&text), "\n"), zdm_buffer_text(&text));
    zdm_buffer_fini(&text);
    return code;
}

static enum zdm_code ask_coordinator(const char *data, const char *path, struct zdm_error *err)
{
    char request[PATH_MAX], answer[PATH_MAX];
    if (!path_in(request, data, "backup.request") || !path_in(answer, data, "backup.answer"))
        return zdm_error_set(err, ZDM_INVALID, "the data folder's name is too long");
    (void)unlink(answer);
    enum zdm_code code = zdm_file_write(request, path, strlen(path), 0600, err);
    for (int i = 0; i < WAIT_STEPS && code == ZDM_OK; i++) {
        const struct timespec step = {.tv_nsec = WAIT_STEP_MS * 1000000L};
        if (access(answer, F_OK) == 0)
            return read_answer(answer, path, err);
        (void)nanosleep(&step, NULL);
    }
    (void)unlink(request);
    return code != ZDM_OK ? code : zdm_error_set(err, ZDM_TIMEOUT, "the running coordinator did not answer");
}

static enum zdm_code open_and_copy(const struct settings *s, const char *path, struct zdm_error *err)
{
    struct zdm_buffer trust = ZDM_BUFFER_INIT;
    struct zdm_id fleet;
    struct store store;
    char log_path[PATH_MAX];
    if (!path_in(log_path, s->data, "log.db") || access(log_path, R_OK) != 0)
        return zdm_error_set(err, ZDM_NOT_FOUND, "there is no log in %s", s->data);
    enum zdm_code code = zdm_file_read(s->trust, TRUST_FILE_MAX, &trust, err);
    if (code == ZDM_OK)
        code = coord_driver_fleet(zdm_crypto_sodium(), trust.data, trust.len, &fleet, err);
    zdm_buffer_fini(&trust);
    if (code != ZDM_OK)
        return code;
    if (store_sqlite_open(log_path, &fleet, &store, err) != STORE_OK)
        return err->code;
    if (store.ops->backup(store.self, path, err) != STORE_OK)
        code = err->code;
    store.ops->close(store.self);
    return code;
}

static enum zdm_code absolute(const char *path, char out[PATH_MAX], struct zdm_error *err)
{
    char folder[PATH_MAX];
    int n;
    if (path[0] == '/')
        n = snprintf(out, PATH_MAX, "%s", path);
    else if (getcwd(folder, sizeof folder) == NULL)
        return zdm_error_system(err, ZDM_IO, errno, "could not tell the working directory");
    else
        n = snprintf(out, PATH_MAX, "%s/%s", folder, path);
    return n > 0 && n < PATH_MAX ? ZDM_OK : zdm_error_set(err, ZDM_INVALID, "the path is too long");
}

static enum zdm_code backup_to(const struct settings *s, const char *file, struct zdm_error *err)
{
    char path[PATH_MAX], lock[PATH_MAX];
    enum zdm_code code = absolute(file, path, err);
    if (code != ZDM_OK)
        return code;
    if (access(s->data, W_OK) != 0 || !path_in(lock, s->data, "lock"))
        return zdm_error_system(err, ZDM_IO, errno, "cannot write to the data folder %s", s->data);
    code = zdm_file_lock(lock, err);
    if (code == ZDM_EXISTS)
        return ask_coordinator(s->data, path, err);
    return code == ZDM_OK ? open_and_copy(s, path, err) : code;
}

int command_backup(int argc, char **argv)
{
    struct settings s;
    struct zdm_error err;
    const char *file = NULL;
    enum zdm_code code = zdm_crypto_start(&err);
    if (code == ZDM_OK)
        code = settings_read(&s, argc, argv, &file, &err);
    if (code != ZDM_OK)
        return print_error(&err);
    if (file == NULL) {
        code = zdm_error_set(&err, ZDM_INVALID, "the backup's file is missing");
        zdm_error_hint(&err, "zdm-coordinator backup FILE --data FOLDER");
    } else
        code = backup_to(&s, file, &err);
    settings_fini(&s);
    if (code != ZDM_OK)
        return print_error(&err);
    printf("%s\n", file);
    return EXIT_DONE;
}
