/*
 * replay.c - runs a fuzz target over the files of a folder, its kept corpus, and over each of them cut short: so that
 * what a fuzzer once found stays found with every compiler, in every run of the tests.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/os/file.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 1 << 20, CUTS = 16 };

/* A copy of exact size, so that a read behind the end is seen. */
static void run(const void *bytes, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    if (copy == NULL)
        abort();
    memcpy(copy, bytes, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static int run_file(const char *path)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct zdm_error err;
    if (zdm_file_read(path, INPUT_MAX, &bytes, &err) != ZDM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    for (size_t cut = 0; cut < CUTS && cut < bytes.len; cut++)
        run(bytes.data, bytes.len * cut / CUTS);
    run(zdm_buffer_text(&bytes), bytes.len);
    return 0;
}

int main(int argc, char **argv)
{
    char path[1024];
    int failed = 0, files = 0;
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (folder == NULL) {
        fprintf(stderr, "usage: replay FOLDER\n");
        return 2;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        failed |= run_file(path);
        files++;
    }
    closedir(folder);
    printf("%d inputs\n", files);
    return failed != 0 || files == 0;
}
