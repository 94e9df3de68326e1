/*
 * cmd_new.c - new: plain SQL becomes a whole runbook, ready to be read and saved. A column's type that the SQL does not
 * tell is asked of the fleet.
 */
#include "coordinator/ctl/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/os/file.h"
#include "common/runbook/runbook.h"
#include "coordinator/ctl/client/fleet_survey.h"
#include "coordinator/ctl/cmd/source.h"

enum { SQL_FILE_MAX = 128 * 1024, TYPES_MAX = 32 };

/* ---- The type of a column, asked of the fleet ---- */

/* A draft with some type: what it is asked of the fleet with. Nothing of it is kept. */
static enum zdm_code ask_fleet(const struct ctl *ctl, const char *sql, const struct zdm_draft_options *options,
                               const char *column, char **out, struct zdm_error *err)
{
    struct zdm_draft_options with = *options;
    struct ctl_compiled c = {.plan = NULL};
    struct ctl_fleet_survey fleet = {.n = 0};
    ZDM_CLEANUP(zdm_freep) char *text = NULL;
    with.type = "text";
    enum zdm_code code = zdm_runbook_draft(sql, &with, &text, err);
    if (code == ZDM_OK)
        code = ctl_compile_text("draft.md", text, strlen(text), &c, err);
    if (code == ZDM_OK && c.plan == NULL)
        code = zdm_error_set(err, ZDM_NOT_FOUND, "the type of %s is not known, and the draft cannot be asked with",
                             column);
    if (code == ZDM_OK)
        code = ctl_survey_compiled(ctl, &c, &fleet, err);
    if (code == ZDM_OK)
        code = ctl_fleet_type(&fleet, column, out, err);
    ctl_fleet_survey_fini(&fleet);
    ctl_compiled_fini(&c);
    return code;
}

/* The types that the fleet was asked for, one column after the other. */
struct asked {
    struct zdm_draft_type types[TYPES_MAX];
    size_t n;
};

static void asked_fini(struct asked *asked)
{
    for (size_t i = 0; i < asked->n; i++) {
        free((char *)(uintptr_t)asked->types[i].column);
        free((char *)(uintptr_t)asked->types[i].type);
    }
}

static enum zdm_code ask(const struct ctl *ctl, const char *sql, const struct zdm_draft_options *options,
                         const char *column, struct asked *asked, struct zdm_error *err)
{
    char *type = NULL;
    if (asked->n == TYPES_MAX)
        return zdm_error_set(err, ZDM_LIMIT, "more than %d types would have to be asked for", TYPES_MAX);
    enum zdm_code code = ask_fleet(ctl, sql, options, column, &type, err);
    if (code != ZDM_OK)
        return code;
    fprintf(stderr, "zdmctl: %s is %s on the fleet\n", column, type);
    asked->types[asked->n++] = (struct zdm_draft_type){zdm_strdup(column), type};
    return ZDM_OK;
}

static enum zdm_code without_fleet(const char *column, struct zdm_error *err)
{
    zdm_error_set(err, ZDM_INVALID, "the type of %s is not known", column);
    err->detail[0] = '\0';
    return zdm_error_hint(err, "Give it: --type TYPE. With a coordinator (--coordinator URL, --key, --trust) it is "
                               "asked of the fleet.");
}

/* A type that would only make a better draft need not be known: then it is the one that the SQL alone tells. */
static enum zdm_code draft_unasked(const char *sql, struct zdm_draft_options *options, char **out,
                                   struct zdm_error *why)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    options->asks = false;
    if (zdm_runbook_draft(sql, options, out, &err) != ZDM_OK)
        return why->code;
    fprintf(stderr, "zdmctl: the draft is made without the present type, which the fleet does not say: %s\n",
            why->message);
    zdm_error_clear(why);
    return ZDM_OK;
}

static enum zdm_code draft(const struct ctl *ctl, const char *sql, const struct zdm_draft_options *options, char **out,
                           struct zdm_error *err)
{
    struct asked asked = {.n = 0};
    struct zdm_draft_options with = *options;
    char column[ZDM_MESSAGE_MAX];
    with.types = asked.types;
    with.asks = options->type == NULL && ctl->settings.coordinator != NULL;
    enum zdm_code code = zdm_runbook_draft(sql, &with, out, err);
    while (code == ZDM_NOT_FOUND && options->type == NULL && err->detail[0] != '\0') {
        zdm_copy_text(column, sizeof column, err->detail);
        if (ctl->settings.coordinator == NULL) {
            code = without_fleet(column, err);
            break;
        }
        zdm_error_clear(err);
        code = ask(ctl, sql, &with, column, &asked, err);
        with.n_types = asked.n;
        if (code != ZDM_OK) {
            code = draft_unasked(sql, &with, out, err);
            break;
        }
        code = zdm_runbook_draft(sql, &with, out, err);
    }
    asked_fini(&asked);
    return code;
}

/* ---- The SQL, and where the runbook goes ---- */

/* --from: the statements themselves, @FILE, or - for what comes in. */
static enum zdm_code read_sql(const char *from, struct zdm_buffer *out, struct zdm_error *err)
{
    char piece[4096];
    size_t n;
    if (from[0] == '@')
        return zdm_file_read(from + 1, SQL_FILE_MAX, out, err);
    if (strcmp(from, "-") != 0) {
        zdm_buffer_puts(out, from);
        return out->failed ? zdm_error_set(err, ZDM_LIMIT, "the SQL is too long") : ZDM_OK;
    }
    while ((n = fread(piece, 1, sizeof piece, stdin)) > 0)
        zdm_buffer_append(out, piece, n);
    return out->failed ? zdm_error_set(err, ZDM_LIMIT, "the SQL is too long") : ZDM_OK;
}

/* A runbook of somebody is never overwritten. */
static enum zdm_code save(const char *path, const char *text, struct zdm_error *err)
{
    size_t n = strlen(text);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        bool there = errno == EEXIST;
        enum zdm_code code = zdm_error_system(err, ZDM_IO, errno, "could not write %s", path);
        return there ? zdm_error_hint(err, "-o names a file that does not exist yet: no runbook is overwritten.")
                     : code;
    }
    FILE *file = fdopen(fd, "w");
    bool good = file != NULL && fwrite(text, 1, n, file) == n;
    good = file != NULL ? fclose(file) == 0 && good : false;
    if (!good)
        return zdm_error_system(err, ZDM_IO, errno, "could not write %s", path);
    printf("%s is written: read it, then zdmctl plan %s\n", path, path);
    return ZDM_OK;
}

static bool read_engine(const char *name, enum zdm_engine *out)
{
    *out =
        name != NULL && strcmp(name, zdm_engine_name(ZDM_ENGINE_MYSQL)) == 0 ? ZDM_ENGINE_MYSQL : ZDM_ENGINE_POSTGRESQL;
    return name == NULL || strcmp(name, zdm_engine_name(*out)) == 0;
}

enum zdm_code ctl_run_new(struct ctl *ctl, struct zdm_error *err)
{
    const char *from = ctl_option_text(&ctl->options, CTL_OPT_FROM_SQL);
    const char *path = ctl_option_text(&ctl->options, CTL_OPT_OUT_FILE);
    struct zdm_draft_options options = {.id = ctl_option_text(&ctl->options, CTL_OPT_ID),
                                        .type = ctl_option_text(&ctl->options, CTL_OPT_TYPE),
                                        .file = from != NULL && from[0] == '@' ? from + 1 : NULL};
    ZDM_CLEANUP(zdm_freep) char *text = NULL;
    struct zdm_buffer sql;
    if (!read_engine(ctl_option_text(&ctl->options, CTL_OPT_ENGINE), &options.engine)) {
        zdm_error_set(err, ZDM_INVALID, "--engine: there is no such engine");
        return zdm_error_hint(err, "Write postgresql or mysql; mysql is for MariaDB, too.");
    }
    if (from == NULL) {
        zdm_error_set(err, ZDM_INVALID, "new needs the SQL that the runbook shall do");
        return zdm_error_hint(err, "Write --from 'ALTER TABLE users RENAME COLUMN name TO full_name', --from @FILE, or "
                                   "--from - for standard input.");
    }
    zdm_buffer_init(&sql, SQL_FILE_MAX);
    enum zdm_code code = read_sql(from, &sql, err);
    if (code == ZDM_OK)
        code = draft(ctl, zdm_buffer_text(&sql), &options, &text, err);
    if (code == ZDM_OK && path != NULL)
        code = save(path, text, err);
    else if (code == ZDM_OK)
        fputs(text, stdout);
    zdm_buffer_fini(&sql);
    return code;
}
