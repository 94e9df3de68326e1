/*
 * run.h - zdmctl as a whole inside a test: its arguments in, its exit code and both its outputs out.
 *
 * Each run has its own standard output and error, in files of a scratch folder that is also the home.
 */
#ifndef TESTS_UNIT_CTL_RUN_H
#define TESTS_UNIT_CTL_RUN_H

#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/os/crypto.h"
#include "coordinator/ctl/command.h"

enum { WORDS_MAX = 32, OUTPUT_MAX = 128 * 1024 };

static char home[] = "/tmp/zdm-test-ctl.XXXXXX";
static char out_text[OUTPUT_MAX], err_text[OUTPUT_MAX];

static inline int redirect(int fd, const char *path)
{
    int kept = dup(fd), file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(kept >= 0 && file >= 0);
    dup2(file, fd);
    close(file);
    return kept;
}

static inline void restore(int fd, int kept, const char *path, char text[OUTPUT_MAX])
{
    dup2(kept, fd);
    close(kept);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, OUTPUT_MAX - 1, file)] = '\0';
    fclose(file);
}

/* Runs "zdmctl LINE"; its exit code. */
static inline int run(const char *line)
{
    char copy[1024];
    char *words[WORDS_MAX] = {(char *)(uintptr_t) "zdmctl"}, *rest = NULL;
    int n = 1;
    assert_true(strlen(line) < sizeof copy);
    memcpy(copy, line, strlen(line) + 1);
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        words[n++] = word;
    fflush(stdout);
    fflush(stderr);
    int out = redirect(STDOUT_FILENO, "out"), err = redirect(STDERR_FILENO, "err");
    int code = ctl_main(n, words, "9.9.9");
    fflush(stdout);
    fflush(stderr);
    restore(STDOUT_FILENO, out, "out", out_text);
    restore(STDERR_FILENO, err, "err", err_text);
    return code;
}

static inline void expect(const char *line, int code, const char *in_out, const char *in_err)
{
    int got = run(line);
    if (got != code)
        fail_msg("\"zdmctl %s\" exits with %d, not %d: %s", line, got, code, err_text);
    if (in_out != NULL)
        assert_has(out_text, in_out);
    if (in_err != NULL)
        assert_has(err_text, in_err);
    if (code != 0 && strncmp(err_text, "zdmctl: ", 8) != 0)
        fail_msg("\"zdmctl %s\" says %s", line, err_text);
}

/* A scratch folder as home and working folder, and nothing of the environment's settings. */
static inline int enter(void **state)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    if (mkdtemp(home) == NULL || chdir(home) != 0)
        return 1;
    setenv("HOME", home, 1);
    setenv("COLUMNS", "80", 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("ZDM_COORDINATOR");
    unsetenv("ZDM_KEY");
    unsetenv("ZDM_TRUST");
    unsetenv("ZDM_CONFIG");
    unsetenv("ZDM_OUTPUT");
    return zdm_crypto_start(&err) == ZDM_OK ? 0 : 1;
}

static inline void remove_files_of(const char *path)
{
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        char file[512];
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        unlink(file);
    }
    if (folder != NULL)
        closedir(folder);
}

/* The scratch folder goes with whatever the tests left in it. */
static inline int leave(void **state)
{
    (void)state;
    remove_files_of(home);
    return rmdir(home);
}

#endif
