/*
 * arguments.c - see arguments.h. The command line is read twice: first for the path of the file, whose values the
 * environment and then the options take the place of.
 */
#include "common/os/arguments.h"

#include <stdio.h>
#include <string.h>

enum { FLAG_MAX = 64 };

static void flag_of(const struct zdm_setting *setting, char out[FLAG_MAX])
{
    (void)snprintf(out, FLAG_MAX, "--%s", setting->key);
    for (char *c = out + 2; *c != '\0'; c++)
        if (*c == '_')
            *c = '-';
}

void zdm_arguments_help(const struct zdm_arguments *arguments)
{
    char flag[FLAG_MAX];
    int width = 0;
    for (size_t i = 0; i < arguments->n; i++) {
        int n = (int)strlen(arguments->settings[i].key) + 2;
        width = n > width ? n : width;
    }
    for (size_t i = 0; i < arguments->n; i++) {
        const struct zdm_setting *setting = &arguments->settings[i];
        flag_of(setting, flag);
        printf("  %-*s %s%s%s\n", width, flag, setting->help, setting->environment != NULL ? "; environment " : "",
               setting->environment != NULL ? setting->environment : "");
    }
}

/* The setting of "--data" or "--data=X"; *out_value: behind '=', NULL when it is the next word. */
static const struct zdm_setting *match(const struct zdm_arguments *arguments, const char *word, const char **out_value)
{
    for (size_t i = 0; i < arguments->n; i++) {
        char flag[FLAG_MAX];
        flag_of(&arguments->settings[i], flag);
        size_t n = strlen(flag);
        if (strncmp(word, flag, n) != 0 || (word[n] != '\0' && word[n] != '='))
            continue;
        *out_value = word[n] == '=' ? word + n + 1 : NULL;
        return &arguments->settings[i];
    }
    return NULL;
}

static enum zdm_code unknown(const struct zdm_arguments *arguments, const char *what, const char *word,
                             struct zdm_error *err)
{
    zdm_error_set(err, ZDM_INVALID, "unknown %s %.*s", what, (int)strcspn(word, "="), word);
    return zdm_error_hint(err, "%s --help lists what there is.", arguments->program);
}

/* One option at argv[*i]; moves *i over its value. only_file: all but the path of the file is left for the second time.
 */
static enum zdm_code take_option(const struct zdm_arguments *arguments, int argc, char **argv, int *i, bool only_file,
                                 struct zdm_error *err)
{
    const char *value;
    const struct zdm_setting *setting = match(arguments, argv[*i], &value);
    if (setting == NULL)
        return unknown(arguments, "option", argv[*i], err);
    char flag[FLAG_MAX];
    flag_of(setting, flag);
    if (value == NULL && ++*i < argc)
        value = argv[*i];
    if (value == NULL)
        return zdm_error_set(err, ZDM_INVALID, "%s needs a value", flag);
    enum zdm_code code = arguments->refuse != NULL ? arguments->refuse(setting, value, err) : ZDM_OK;
    bool names_file = setting == &arguments->settings[arguments->n - 1];
    if (code != ZDM_OK || names_file != only_file)
        return code;
    return zdm_config_set(setting, value, flag, err);
}

static enum zdm_code take_all(const struct zdm_arguments *arguments, int argc, char **argv, bool only_file,
                              const char **out_word, struct zdm_error *err)
{
    const char *word = NULL;
    for (int i = 0; i < argc; i++) {
        bool is_option = argv[i][0] == '-' && argv[i][1] != '\0'; /* "-" alone is the standard input */
        enum zdm_code code = ZDM_OK;
        if (is_option)
            code = take_option(arguments, argc, argv, &i, only_file, err);
        else if (out_word == NULL || word != NULL)
            code = unknown(arguments, "argument", argv[i], err);
        else
            word = argv[i];
        if (code != ZDM_OK)
            return code;
    }
    if (out_word != NULL)
        *out_word = word;
    return ZDM_OK;
}

enum zdm_code zdm_arguments_read(const struct zdm_arguments *arguments, int argc, char **argv, const char **out_word,
                                 struct zdm_error *err)
{
    size_t n = arguments->n - 1;
    const struct zdm_setting *file = &arguments->settings[n];
    enum zdm_code code = take_all(arguments, argc, argv, true, out_word, err);
    if (code == ZDM_OK)
        code = zdm_config_read(*(char *const *)file->target, arguments->settings, n, err);
    if (code == ZDM_OK)
        code = zdm_config_environment(arguments->settings, n, err);
    return code == ZDM_OK ? take_all(arguments, argc, argv, false, out_word, err) : code;
}
