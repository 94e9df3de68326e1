/*
 * dispatch.c - from argv to an exit code: global options, the command, its options and operands, its run, its error.
 */
#include "coordinator/ctl/command.h"

#include <string.h>

static enum zdm_code unknown_command(const char *word, struct zdm_error *err)
{
    const char *guess = ctl_command_guess(word);
    zdm_error_set(err, ZDM_INVALID, "unknown command \"%s\"", word);
    if (guess != NULL)
        return zdm_error_hint(err, "Did you mean zdmctl %s?", guess);
    return zdm_error_hint(err, "zdmctl help lists the commands.");
}

static enum zdm_code check_operands(const struct ctl *ctl, struct zdm_error *err)
{
    const struct ctl_command *command = ctl->command;
    if (ctl->options.n_args > command->max_operands)
        zdm_error_set(err, ZDM_INVALID, "%s does not know what to do with \"%s\"", command->name,
                      ctl->options.args[command->max_operands]);
    else if (ctl->options.n_args < command->min_operands)
        zdm_error_set(err, ZDM_INVALID, "%s needs %.*s", command->name, (int)strcspn(command->usage, " "),
                      command->usage);
    else
        return ZDM_OK;
    return zdm_error_hint(err, "usage: zdmctl %s%s%s", command->name, command->usage[0] != '\0' ? " " : "",
                          command->usage);
}

static enum zdm_code show_help(struct ctl *ctl, struct zdm_error *err)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    if (ctl->command != NULL)
        ctl_help_command(&out, &ctl->look, ctl->command);
    else
        ctl_help_all(&out, &ctl->look);
    enum zdm_code code = ctl_write(&out, err);
    zdm_buffer_fini(&out);
    return code;
}

/* Fills ctl->command and ctl->options out of argv. */
static enum zdm_code parse(struct ctl *ctl, int argc, char **argv, struct zdm_error *err)
{
    int used = 1, words = 0;
    enum zdm_code code = ctl_options_parse(&ctl->options, CTL_GLOBAL, argc, argv, false, &used, err);
    if (code != ZDM_OK || ctl_given(&ctl->options, CTL_OPT_HELP))
        return code;
    if (used >= argc) {
        zdm_error_set(err, ZDM_INVALID, "no command given");
        return zdm_error_hint(err, "zdmctl help lists the commands; zdmctl status shows where things are.");
    }
    ctl->command = ctl_command_find((size_t)(argc - used), argv + used, &words);
    if (ctl->command == NULL)
        return unknown_command(argv[used], err);
    if (ctl->command->run == ctl_run_unavailable)
        return ZDM_OK;
    int first = used + words - 1; /* stands where a program's name would */
    code = ctl_options_parse(&ctl->options, ctl->command->options | CTL_GLOBAL, argc - first, argv + first, true, &used,
                             err);
    if (code == ZDM_INVALID && err->hint[0] == '\0')
        zdm_error_hint(err, "zdmctl help %s shows its options.", ctl->command->name);
    return code;
}

static enum zdm_code run(struct ctl *ctl, struct zdm_error *err)
{
    enum zdm_code code;
    if (ctl_given(&ctl->options, CTL_OPT_HELP))
        return show_help(ctl, err);
    code = check_operands(ctl, err);
    if (code == ZDM_OK)
        code = ctl_settings_load(ctl, err);
    if (code != ZDM_OK)
        return code;
    ctl_look_detect(&ctl->look, stdout, ctl->settings.color);
    return ctl->command->run(ctl, err);
}

static void report(const struct ctl *ctl, const struct zdm_error *err)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    struct ctl_look look;
    ctl_look_detect(&look, stderr, ctl->settings.color);
    ctl_error_render(&text, &look, err);
    fputs(zdm_buffer_text(&text), stderr);
    zdm_buffer_fini(&text);
}

int ctl_main(int argc, char **argv, const char *release)
{
    struct ctl ctl = {.release = release};
    struct zdm_error err = ZDM_ERROR_INIT;
    ctl_look_detect(&ctl.look, stdout, NULL);
    enum zdm_code code = parse(&ctl, argc, argv, &err);
    if (code == ZDM_OK)
        code = run(&ctl, &err);
    if (code != ZDM_OK && (code != ZDM_CANCELLED || err.message[0] != '\0'))
        report(&ctl, &err);
    ctl_options_fini(&ctl.options);
    ctl_settings_fini(&ctl.settings);
    return (int)ctl_exit_of(code);
}
