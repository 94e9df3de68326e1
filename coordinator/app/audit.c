/*
 * audit.c - `zdm-coordinator audit`: examines a log that no coordinator has open, also one that is damaged.
 *
 * Without a network: what agents hold comes as files, from `zdm-agent anchors`. While a coordinator runs, a person asks
 * it from elsewhere, with `zdmctl audit verify`.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/os/crypto.h"
#include "common/os/file.h"
#include "coordinator/app/program.h"
#include "coordinator/log/audit.h"

enum { ANCHORS_MAX = 64 * 1024 * 1024, ANCHOR_FILES_MAX = 1024 };

/* What the command line says besides the settings. */
struct audit_options {
    const char *log; /* NULL: of the data folder */
    const char *anchors[ANCHOR_FILES_MAX];
    size_t n_anchors;
};

/* Takes --log and --anchors out of argv; the rest is for settings_read. */
static enum zdm_code take_options(struct audit_options *out, int *argc, char **argv, struct zdm_error *err)
{
    int kept = 0;
    for (int i = 0; i < *argc; i++) {
        bool log = strcmp(argv[i], "--log") == 0, anchors = strcmp(argv[i], "--anchors") == 0;
        if (!log && !anchors) {
            argv[kept++] = argv[i];
            continue;
        }
        if (i + 1 == *argc)
            return zdm_error_set(err, ZDM_INVALID, "%s needs a file", argv[i]);
        if (anchors && out->n_anchors == ANCHOR_FILES_MAX)
            return zdm_error_set(err, ZDM_LIMIT, "at most %d files of anchors", (int)ANCHOR_FILES_MAX);
        if (log)
            out->log = argv[++i];
        else
            out->anchors[out->n_anchors++] = argv[++i];
    }
    *argc = kept;
    return ZDM_OK;
}

static enum zdm_code add_anchors(struct coord_audit *audit, const char *path, struct zdm_error *err)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    enum zdm_code code = zdm_file_read(path, ANCHORS_MAX, &text, err);
    if (code == ZDM_OK)
        code = coord_audit_anchors(audit, zdm_buffer_text(&text), text.len, err);
    zdm_buffer_fini(&text);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while reading %s", path);
}

struct feeding {
    struct coord_audit *audit;
    bool failed;
};

static bool feed(void *ctx, const struct store_record *record)
{
    struct feeding *feeding = ctx;
    feeding->failed = !coord_audit_feed(feeding->audit, record);
    return !feeding->failed;
}

/* Where SQLite itself cannot read on, what it could read is still told. */
static enum zdm_code examine(struct coord_audit *audit, const char *path, struct coord_audit_result *out,
                             struct zdm_error *err)
{
    struct feeding feeding = {.audit = audit};
    enum store_result result = store_sqlite_examine(path, feed, &feeding, err);
    if (feeding.failed)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    coord_audit_finish(audit, out);
    if (result == STORE_OK)
        return ZDM_OK;
    if (result != STORE_CORRUPT)
        return err->code;
    zdm_error_detail(err, "It can be read up to event %llu.", (unsigned long long)out->head_seq);
    return zdm_error_hint(err, "Keep the file, and restore the newest backup.");
}

static enum zdm_code audit_log(const struct settings *s, const struct audit_options *options,
                               struct coord_audit_result *out, struct zdm_error *err)
{
    char path[PATH_MAX];
    struct zdm_buffer trust = ZDM_BUFFER_INIT;
    struct coord_audit *audit = NULL;
    if (snprintf(path, sizeof path, "%s%s", options->log != NULL ? options->log : s->data,
                 options->log != NULL ? "" : "/log.db") >= (int)sizeof path)
        return zdm_error_set(err, ZDM_INVALID, "the log's name is too long");
    enum zdm_code code = zdm_file_read(s->trust, TRUST_FILE_MAX, &trust, err);
    if (code == ZDM_OK)
        code = coord_audit_new(zdm_crypto_sodium(), trust.data, trust.len, NULL, &audit, err);
    for (size_t i = 0; i < options->n_anchors && code == ZDM_OK; i++)
        code = add_anchors(audit, options->anchors[i], err);
    if (code == ZDM_OK)
        code = examine(audit, path, out, err);
    coord_audit_free(audit);
    zdm_buffer_fini(&trust);
    return code;
}

/* A log may be given without a data folder; the trust file is then looked for beside it, or named. */
static enum zdm_code read_settings(struct settings *out, struct audit_options *options, int argc, char **argv,
                                   struct zdm_error *err)
{
    enum zdm_code code = take_options(options, &argc, argv, err);
    if (code != ZDM_OK)
        return code;
    char *words[128];
    static char data_flag[] = "--data", here[] = ".";
    int n = 0;
    if (argc + 2 > (int)(sizeof words / sizeof *words))
        return zdm_error_set(err, ZDM_INVALID, "too many arguments");
    if (options->log != NULL) {
        words[n++] = data_flag;
        words[n++] = here;
    }
    for (int i = 0; i < argc; i++)
        words[n++] = argv[i];
    return settings_read(out, n, words, NULL, err);
}

int command_audit(int argc, char **argv)
{
    struct settings s;
    static struct audit_options options;
    struct coord_audit_result result;
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    struct zdm_error err;
    enum zdm_code code = zdm_crypto_start(&err);
    if (code == ZDM_OK)
        code = read_settings(&s, &options, argc, argv, &err);
    if (code != ZDM_OK)
        return print_error(&err);
    code = audit_log(&s, &options, &result, &err);
    settings_fini(&s);
    if (code != ZDM_OK)
        return print_error(&err);
    coord_audit_tell(&result, &text);
    printf("%s", zdm_buffer_text(&text));
    zdm_buffer_fini(&text);
    return result.finding == COORD_AUDIT_SOUND ? EXIT_DONE : EXIT_FAILED;
}
