/*
 * test_files.c - small files and key files, in a folder of their own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/os/crypto.h"
#include "common/os/file.h"

static char folder[64];
static char path[256];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/zdm-os-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void assert_content(const char *name, const char *text)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct zdm_error err;
    assert_int_equal(zdm_file_read(in_folder(name), 1 << 20, &bytes, &err), ZDM_OK);
    assert_string_equal(zdm_buffer_text(&bytes), text);
}

static unsigned mode_of(const char *name)
{
    struct stat info;
    assert_int_equal(stat(in_folder(name), &info), 0);
    return info.st_mode & 07777;
}

static void write_file(const char *name, const char *text, unsigned mode)
{
    struct zdm_error err;
    assert_int_equal(zdm_file_write(in_folder(name), text, strlen(text), mode, &err), ZDM_OK);
}

static void a_file_is_replaced_whole_with_its_mode(void **state)
{
    (void)state;
    write_file("f", "first", 0600);
    assert_content("f", "first");
    assert_int_equal(mode_of("f"), 0600);
    write_file("f", "second, longer", 0644);
    assert_content("f", "second, longer");
    assert_int_equal(mode_of("f"), 0644);
    write_file("f", "", 0600);
    assert_content("f", "");
}

static void a_file_that_cannot_be_written_leaves_nothing_behind(void **state)
{
    struct zdm_error err;
    (void)state;
    assert_int_equal(zdm_dir_make(in_folder("d/e"), 0700, &err), ZDM_OK);
    assert_int_equal(zdm_file_write(in_folder("d"), "x", 1, 0600, &err), ZDM_IO); /* a folder stands there */
    assert_int_equal(zdm_file_write(in_folder("none/f"), "x", 1, 0600, &err), ZDM_IO);
    assert_int_equal(rmdir(in_folder("d/e")), 0);
    assert_int_equal(rmdir(in_folder("d")), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
}

static void a_file_larger_than_allowed_is_not_read(void **state)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct zdm_error err;
    (void)state;
    write_file("f", "12345", 0600);
    assert_int_equal(zdm_file_read(in_folder("f"), 4, &bytes, &err), ZDM_LIMIT);
    assert_int_equal(zdm_file_read(in_folder("f"), 5, &bytes, &err), ZDM_OK);
    assert_int_equal(zdm_file_read(in_folder("none"), 5, &bytes, &err), ZDM_NOT_FOUND);
    assert_int_equal(zdm_file_read(folder, 5, &bytes, &err), ZDM_IO);
}

static void an_existing_file_is_not_created_again(void **state)
{
    struct zdm_error err;
    (void)state;
    assert_int_equal(zdm_file_create(in_folder("f"), "one", 3, 0600, &err), ZDM_OK);
    assert_int_equal(zdm_file_create(in_folder("f"), "two", 3, 0600, &err), ZDM_EXISTS);
    assert_content("f", "one");
}

static void folders_are_made_with_their_parents(void **state)
{
    struct zdm_error err;
    (void)state;
    assert_int_equal(zdm_dir_make(in_folder("a/b//c/"), 0750, &err), ZDM_OK);
    assert_int_equal(zdm_dir_make(in_folder("a/b/c"), 0750, &err), ZDM_OK);
    assert_int_equal(zdm_dir_make(".", 0750, &err), ZDM_OK);
    write_file("a/file", "", 0600);
    assert_int_not_equal(zdm_dir_make(in_folder("a/file"), 0750, &err), ZDM_OK);
    assert_int_not_equal(zdm_dir_make(in_folder("a/file/x"), 0750, &err), ZDM_OK);
    assert_int_not_equal(zdm_dir_make("", 0750, &err), ZDM_OK);
}

static void a_lock_keeps_other_processes_out_until_its_holder_ends(void **state)
{
    struct zdm_error err;
    int status, ready[2];
    (void)state;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        bool got = zdm_file_lock(in_folder("lock"), &err) == ZDM_OK;
        ssize_t n = write(ready[1], got ? "y" : "n", 1);
        pause();
        _exit(n == 1);
    }
    char answer = 0;
    assert_int_equal(read(ready[0], &answer, 1), 1);
    assert_int_equal(answer, 'y');
    assert_int_equal(zdm_file_lock(in_folder("lock"), &err), ZDM_EXISTS);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    assert_int_equal(zdm_file_lock(in_folder("lock"), &err), ZDM_OK);
    close(ready[0]);
    close(ready[1]);
}

static void a_key_comes_back_from_its_file(void **state)
{
    struct zdm_signing_key made, read;
    struct zdm_hash public_key;
    char comment[64];
    struct zdm_error err;
    (void)state;
    assert_int_equal(zdm_key_file_create(in_folder("key"), "alice@example", &made, &err), ZDM_OK);
    assert_int_equal(mode_of("key"), 0600);
    assert_int_equal(zdm_key_file_read(in_folder("key"), &read, &err), ZDM_OK);
    assert_memory_equal(&made, &read, sizeof made);
    assert_int_equal(zdm_public_key_read(in_folder("key.pub"), &public_key, comment, sizeof comment, &err), ZDM_OK);
    assert_true(zdm_hash_equal(&public_key, &made.public_key));
    assert_string_equal(comment, "alice@example");
}

static void a_key_file_is_never_overwritten(void **state)
{
    struct zdm_signing_key key, again;
    struct zdm_error err;
    (void)state;
    assert_int_equal(zdm_key_file_create(in_folder("key"), "", &key, &err), ZDM_OK);
    assert_int_equal(zdm_key_file_create(in_folder("key"), "", &again, &err), ZDM_EXISTS);
    assert_int_equal(zdm_key_file_read(in_folder("key"), &again, &err), ZDM_OK);
    assert_memory_equal(&key, &again, sizeof key);
    /* A public key that somebody relies on stays too, and no half pair is left. */
    assert_int_equal(unlink(in_folder("key")), 0);
    assert_int_equal(zdm_key_file_create(in_folder("key"), "", &again, &err), ZDM_EXISTS);
    assert_int_equal(access(in_folder("key"), F_OK), -1);
}

static void a_key_that_others_can_use_is_refused_with_the_chmod_that_mends_it(void **state)
{
    const unsigned modes[] = {0640, 0604, 0620, 0602, 0666};
    struct zdm_signing_key key;
    struct zdm_error err;
    (void)state;
    assert_int_equal(zdm_key_file_create(in_folder("key"), NULL, &key, &err), ZDM_OK);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(in_folder("key"), modes[i]), 0);
        assert_int_equal(zdm_key_file_read(in_folder("key"), &key, &err), ZDM_REFUSED);
        assert_non_null(strstr(err.hint, "chmod 600 '"));
    }
    assert_int_equal(chmod(in_folder("key"), 0400), 0);
    assert_int_equal(zdm_key_file_read(in_folder("key"), &key, &err), ZDM_OK);
    if (geteuid() == 0) {
        assert_int_equal(chown(in_folder("key"), 65534, 65534), 0);
        assert_int_equal(zdm_key_file_read(in_folder("key"), &key, &err), ZDM_REFUSED);
    }
}

static void what_is_no_key_is_refused_and_not_repeated(void **state)
{
    const char *texts[] = {
        "",
        "zdm-secret-key-v1 ",
        "zdm-secret-key-v1 AAAA\n",
        "zdm-secret-key-v2 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
        "zdm-secret-key-v1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA more\n",
        "zdm-secret-key-v1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB\n",
    };
    struct zdm_signing_key key;
    struct zdm_error err;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_file("bad", texts[i], 0600);
        assert_int_equal(zdm_key_file_read(in_folder("bad"), &key, &err), ZDM_INVALID);
        assert_null(strstr(err.message, "AAAA"));
    }
    write_file("good", "zdm-secret-key-v1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0600);
    assert_int_equal(zdm_key_file_read(in_folder("good"), &key, &err), ZDM_OK);
    assert_int_equal(zdm_key_file_read(in_folder("none"), &key, &err), ZDM_NOT_FOUND);
    assert_int_equal(zdm_key_file_read(folder, &key, &err), ZDM_INVALID);
}

static void a_public_key_is_read_as_a_line_or_bare(void **state)
{
    const char bare[] = "0Eqyc0K7SrOhNo69RhXk5tAiSrcaAWuvhSCjMsl3hzc";
    struct zdm_hash key, other;
    struct zdm_error err;
    char line[160], comment[4];
    (void)state;
    assert_int_equal(zdm_public_key_parse(bare, &key, NULL, 0, &err), ZDM_OK);
    snprintf(line, sizeof line, "zdm-public-key-v1 %s long comment\n", bare);
    assert_int_equal(zdm_public_key_parse(line, &other, comment, sizeof comment, &err), ZDM_OK);
    assert_true(zdm_hash_equal(&key, &other));
    assert_string_equal(comment, "lon");
    assert_int_equal(zdm_public_key_parse("AAAA", &key, NULL, 0, &err), ZDM_INVALID);
    assert_int_equal(zdm_public_key_parse("", &key, NULL, 0, &err), ZDM_INVALID);
    snprintf(line, sizeof line, "zdm-public-key-v1 %s a\nzdm-public-key-v1 %s b\n", bare, bare);
    assert_int_equal(zdm_public_key_parse(line, &key, NULL, 0, &err), ZDM_INVALID);
    snprintf(line, sizeof line, "zdm-secret-key-v1 %s", bare);
    assert_int_equal(zdm_public_key_parse(line, &key, NULL, 0, &err), ZDM_INVALID);
    assert_non_null(strstr(err.hint, "secret key"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        T(a_file_is_replaced_whole_with_its_mode),
        T(a_file_that_cannot_be_written_leaves_nothing_behind),
        T(a_file_larger_than_allowed_is_not_read),
        T(an_existing_file_is_not_created_again),
        T(folders_are_made_with_their_parents),
        T(a_lock_keeps_other_processes_out_until_its_holder_ends),
        T(a_key_comes_back_from_its_file),
        T(a_key_file_is_never_overwritten),
        T(a_key_that_others_can_use_is_refused_with_the_chmod_that_mends_it),
        T(what_is_no_key_is_refused_and_not_repeated),
        T(a_public_key_is_read_as_a_line_or_bare),
    };
    struct zdm_error err;
    if (zdm_crypto_start(&err) != ZDM_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
