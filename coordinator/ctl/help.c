/*
 * help.c - help of all commands and of one, and the completion script, all out of the tables.
 */
#include "coordinator/ctl/command.h"

#include <string.h>

static const char exits[] = "Exit codes: 0 done, 1 failed, 2 bad usage, 3 refused by policy or by the checks of a "
                            "runbook, 4 coordinator unreachable, 5 timed out.";

static void option_cell(struct zdm_buffer *out, const struct ctl_option *option)
{
    if (option->letter != 0)
        zdm_buffer_printf(out, "-%c, ", option->letter);
    zdm_buffer_printf(out, "--%s%s%s", option->name, option->argument != NULL ? " " : "",
                      option->argument != NULL ? option->argument : "");
}

static void put_options(struct zdm_buffer *out, const struct ctl_look *look, uint64_t set)
{
    enum { INDENT = 4, HELP_AT = 30 };
    for (size_t id = 0; id < CTL_OPT_COUNT; id++) {
        struct zdm_buffer cell = ZDM_BUFFER_INIT;
        const struct ctl_option *option = ctl_option_row((enum ctl_option_id)id);
        if ((set >> id & 1) == 0)
            continue;
        option_cell(&cell, option);
        ctl_repeat(out, ' ', INDENT);
        zdm_buffer_puts(out, zdm_buffer_text(&cell));
        if (INDENT + cell.len + 2 > HELP_AT) {
            zdm_buffer_puts(out, "\n");
            ctl_repeat(out, ' ', HELP_AT);
        } else {
            ctl_repeat(out, ' ', HELP_AT - INDENT - cell.len);
        }
        ctl_wrap(out, look, CTL_PLAIN, option->help, HELP_AT, HELP_AT);
        zdm_buffer_fini(&cell);
    }
}

static void put_commands(struct zdm_buffer *out, const struct ctl_look *look, bool available)
{
    enum { INDENT = 4, NAME = 15 };
    size_t n;
    const struct ctl_command *commands = ctl_commands(&n);
    for (size_t i = 0; i < n; i++) {
        if ((commands[i].run != ctl_run_unavailable) != available)
            continue;
        ctl_repeat(out, ' ', INDENT);
        ctl_cell(out, look, CTL_BOLD, commands[i].name, NAME, false);
        ctl_wrap(out, look, CTL_PLAIN, commands[i].summary, INDENT + NAME, INDENT + NAME);
    }
}

void ctl_help_all(struct zdm_buffer *out, const struct ctl_look *look)
{
    size_t n;
    const struct ctl_command *commands = ctl_commands(&n);
    const char *comma = "";
    zdm_buffer_puts(out, "usage: zdmctl [OPTIONS] COMMAND [ARGUMENTS]\n\n"
                         "Schema changes without downtime, over a fleet of databases.\n\nCommands:\n");
    put_commands(out, look, true);
    zdm_buffer_puts(out, "\nOptions of every command:\n");
    put_options(out, look, CTL_GLOBAL);
    zdm_buffer_puts(out, "\n");
    ctl_wrap(out, look, CTL_PLAIN,
             "Settings also come from ZDM_COORDINATOR, ZDM_KEY, ZDM_TRUST, ZDM_OUTPUT and from the file "
             "~/.config/zdm/config.yaml (or ZDM_CONFIG).",
             0, 0);
    ctl_wrap(out, look, CTL_PLAIN, exits, 0, 0);
    zdm_buffer_puts(out, "Not in this release: ");
    for (size_t i = 0; i < n; i++) {
        if (commands[i].run != ctl_run_unavailable)
            continue;
        zdm_buffer_printf(out, "%s%s", comma, commands[i].name);
        comma = ", ";
    }
    zdm_buffer_puts(out, ".\n\nzdmctl help COMMAND says more about one.\n");
}

/* Paragraphs; one that begins with "Example" keeps its lines. */
static void put_paragraphs(struct zdm_buffer *out, const struct ctl_look *look, const char *text)
{
    while (*text != '\0') {
        const char *end = strstr(text, "\n\n");
        size_t n = end != NULL ? (size_t)(end - text) : strlen(text);
        ZDM_CLEANUP(zdm_freep) char *paragraph = zdm_memdup(text, n);
        zdm_buffer_puts(out, "\n");
        if (paragraph == NULL)
            out->failed = true;
        else if (strncmp(paragraph, "Example", 7) == 0)
            zdm_buffer_printf(out, "%s\n", paragraph);
        else
            ctl_wrap(out, look, CTL_PLAIN, paragraph, 0, 0);
        text += n + (end != NULL ? 2 : 0);
    }
}

/* Has the command an option of its own with the name of one that every command takes? */
static bool is_its_own(uint64_t own, const char *name)
{
    for (size_t id = 0; id < CTL_OPT_COUNT; id++)
        if ((own >> id & 1) != 0 && strcmp(ctl_option_row((enum ctl_option_id)id)->name, name) == 0)
            return true;
    return false;
}

/* The options of every command by name: help of zdmctl says what they mean. */
static void put_globals(struct zdm_buffer *out, const struct ctl_look *look, uint64_t own)
{
    struct zdm_buffer line = ZDM_BUFFER_INIT;
    const char *comma = "Options of every command (zdmctl help): ";
    for (size_t id = 0; id < CTL_OPT_COUNT; id++) {
        if ((CTL_GLOBAL >> id & 1) == 0 || is_its_own(own, ctl_option_row((enum ctl_option_id)id)->name))
            continue;
        zdm_buffer_puts(&line, comma);
        option_cell(&line, ctl_option_row((enum ctl_option_id)id));
        comma = "; ";
    }
    zdm_buffer_puts(out, "\n");
    ctl_wrap(out, look, CTL_DIM, zdm_buffer_text(&line), 0, 4);
    zdm_buffer_fini(&line);
}

void ctl_help_command(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_command *command)
{
    zdm_buffer_puts(out, "usage: ");
    ctl_put(out, look, CTL_BOLD, "zdmctl ");
    ctl_put(out, look, CTL_BOLD, command->name);
    zdm_buffer_puts(out, " ");
    ctl_wrap(out, look, CTL_PLAIN, command->usage, strlen("usage: zdmctl ") + strlen(command->name) + 1, 7);
    zdm_buffer_puts(out, "\n");
    ctl_wrap(out, look, CTL_PLAIN, command->summary, 0, 0);
    if (command->more != NULL)
        put_paragraphs(out, look, command->more);
    if (command->options != 0) {
        zdm_buffer_puts(out, "\nOptions:\n");
        put_options(out, look, command->options);
    }
    put_globals(out, look, command->options);
}

enum zdm_code ctl_run_help(struct ctl *ctl, struct zdm_error *err)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    char **words = (char **)(uintptr_t)ctl->options.args;
    const struct ctl_command *about = NULL;
    int used;
    if (ctl->options.n_args > 0) {
        about = ctl_command_find(ctl->options.n_args, words, &used);
        if (about == NULL) {
            zdm_error_set(err, ZDM_INVALID, "there is no command \"%s\"", words[0]);
            return zdm_error_hint(err, "zdmctl help lists them.");
        }
        ctl_help_command(&out, &ctl->look, about);
    } else {
        ctl_help_all(&out, &ctl->look);
    }
    enum zdm_code code = ctl_write(&out, err);
    zdm_buffer_fini(&out);
    return code;
}

enum zdm_code ctl_run_unavailable(struct ctl *ctl, struct zdm_error *err)
{
    zdm_error_set(err, ZDM_UNSUPPORTED, "this release of zdm does not have \"%s\"", ctl->command->name);
    return zdm_error_hint(err, "zdmctl help lists what it has.");
}

/* ---- Completion ---- */

static void put_option_words(struct zdm_buffer *out, uint64_t set)
{
    for (size_t id = 0; id < CTL_OPT_COUNT; id++) {
        const struct ctl_option *option = ctl_option_row((enum ctl_option_id)id);
        if ((set >> id & 1) != 0)
            zdm_buffer_printf(out, " --%s", option->name);
    }
}

/* The first words of all commands, or the second words behind `first`. */
static void put_command_words(struct zdm_buffer *out, const char *first)
{
    size_t n;
    const struct ctl_command *commands = ctl_commands(&n);
    const char *last = "";
    size_t last_n = 0;
    for (size_t i = 0; i < n; i++) {
        const char *name = commands[i].name;
        size_t word = strcspn(name, " ");
        if (commands[i].run == ctl_run_unavailable)
            continue;
        if (first == NULL && (word != last_n || strncmp(name, last, word) != 0))
            zdm_buffer_printf(out, " %.*s", (int)word, name);
        if (first != NULL && name[word] == ' ' && strncmp(name, first, word) == 0 && first[word] == '\0')
            zdm_buffer_printf(out, " %s", name + word + 1);
        last = name;
        last_n = word;
    }
}

static void put_bash(struct zdm_buffer *out)
{
    size_t n;
    const struct ctl_command *commands = ctl_commands(&n);
    zdm_buffer_puts(out, "_zdmctl() {\n"
                         "    local cur=${COMP_WORDS[COMP_CWORD]} cmd='' i words=''\n"
                         "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                         "        case ${COMP_WORDS[i]} in\n"
                         "        --coordinator | --key | --trust | --config | --output | --color | -o) ((i++)) ;;\n"
                         "        -*) ;;\n"
                         "        *) cmd+=${cmd:+ }${COMP_WORDS[i]} ;;\n"
                         "        esac\n"
                         "    done\n"
                         "    case $cmd in\n");
    zdm_buffer_puts(out, "    '') words='");
    put_command_words(out, NULL);
    put_option_words(out, CTL_GLOBAL);
    zdm_buffer_puts(out, "' ;;\n    keys) words='");
    put_command_words(out, "keys");
    zdm_buffer_puts(out, "' ;;\n    trust) words='");
    put_command_words(out, "trust");
    zdm_buffer_puts(out, "' ;;\n    completion) words='bash' ;;\n    audit) words='verify' ;;\n");
    for (size_t i = 0; i < n; i++) {
        if (commands[i].run == ctl_run_unavailable || commands[i].run == ctl_run_completion)
            continue;
        zdm_buffer_printf(out, "    '%s'*) words='", commands[i].name);
        put_option_words(out, commands[i].options | CTL_GLOBAL);
        zdm_buffer_puts(out, "' ;;\n");
    }
    zdm_buffer_puts(out, "    esac\n"
                         "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                         "}\n"
                         "complete -o default -F _zdmctl zdmctl\n");
}

enum zdm_code ctl_run_completion(struct ctl *ctl, struct zdm_error *err)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    const char *shell = ctl_operand(&ctl->options, 0);
    if (strcmp(shell, "bash") != 0) {
        zdm_error_set(err, ZDM_INVALID, "there is no completion for \"%s\"", shell);
        return zdm_error_hint(err, "Write: zdmctl completion bash");
    }
    put_bash(&out);
    enum zdm_code code = ctl_write(&out, err);
    zdm_buffer_fini(&out);
    return code;
}
