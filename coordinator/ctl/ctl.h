/*
 * ctl.h - what every part of zdmctl knows: the context of one invocation, and the exit codes.
 *
 * zdmctl is one command per process: main.c fills a struct ctl (settings, options, look of the terminal), finds the
 * command in the table (command.h) and runs it. A command returns an enum zdm_code and an error text; main.c alone
 * prints errors and chooses the exit code. What a command found out goes to stdout, all else to stderr.
 *
 * Threads: one. Memory: struct ctl owns its settings; options borrow from argv.
 */
#ifndef COORDINATOR_CTL_CTL_H
#define COORDINATOR_CTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/buffer.h"
#include "common/base/error.h"
#include "coordinator/ctl/options.h"
#include "coordinator/ctl/text/text.h"

/* Promises to scripts (docs, design 9). */
enum ctl_exit {
    CTL_EXIT_DONE = 0,
    CTL_EXIT_FAILED = 1,
    CTL_EXIT_USAGE = 2,
    CTL_EXIT_REFUSED = 3,
    CTL_EXIT_UNREACHABLE = 4,
    CTL_EXIT_TIMEOUT = 5,
    CTL_EXIT_INTERRUPTED = 130
};

/* How long zdmctl tries to reach a coordinator and to get an answer, and how long one dial may take. */
enum { CTL_PATIENCE_MS = 10000, CTL_DIAL_MS = 5000 };

struct ctl_settings {
    char *coordinator; /* URLs, separated by commas */
    char *key;         /* path of the person's secret key */
    char *trust;       /* path of the trust file */
    char *output;      /* "table" or "json" */
    char *color;       /* "auto", "always" or "never" */
};

struct ctl {
    const struct ctl_command *command;
    struct ctl_settings settings;
    struct ctl_options options;
    struct ctl_look look;
    const char *release; /* of this program */
};

/* Paths under the user's configuration folder: $XDG_CONFIG_HOME/zdm or ~/.config/zdm. malloc'd; NULL without a home. */
char *ctl_config_path(const char *name);
/* Fills the settings: defaults, then the file (ZDM_CONFIG or config.yaml), the environment, the options. */
enum zdm_code ctl_settings_load(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
void ctl_settings_fini(struct ctl_settings *settings);

/* Is -o json asked for? */
bool ctl_wants_json(const struct ctl *ctl);
/* May the program ask the person something: stdin, stdout and stderr are terminals? */
bool ctl_is_interactive(void);
/* Asks on stderr; true for "y" or "yes". Without a terminal or with --yes: true. */
bool ctl_confirm(const struct ctl *ctl, const char *question);
/* Consent to what cannot simply be taken back: --yes, or a yes at the terminal. ZDM_REFUSED without a terminal and
 * without --yes, ZDM_CANCELLED after a no. */
enum zdm_code ctl_consent(const struct ctl *ctl, const char *question, struct zdm_error *err) ZDM_CHECKED;

/* The exit code for a result. */
enum ctl_exit ctl_exit_of(enum zdm_code code);
/* Writes "zdmctl: message", the detail and "hint: …" to the buffer, control characters made harmless. */
void ctl_error_render(struct zdm_buffer *out, const struct ctl_look *look, const struct zdm_error *err);
/* Writes a rendered text to stdout. ZDM_IO when that fails, ZDM_NOMEM when the buffer had failed. */
enum zdm_code ctl_write(const struct zdm_buffer *text, struct zdm_error *err) ZDM_CHECKED;
/* The same of a JSON text, with a line end; flags of json_dumps. NULL: ZDM_NOMEM. */
enum zdm_code ctl_write_json(const json_t *json, size_t flags, struct zdm_error *err) ZDM_CHECKED;
/* As ctl_write, for what a person reads before a question: with -o json on stderr, because stdout holds the answer. */
enum zdm_code ctl_say(const struct ctl *ctl, const struct zdm_buffer *text, struct zdm_error *err) ZDM_CHECKED;

#endif
