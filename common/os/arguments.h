/*
 * arguments.h - a program's command line over its table of settings (config.h): "--key value" or "--key=value", with
 * '-' for the '_' of the key.
 */
#ifndef ZDM_OS_ARGUMENTS_H
#define ZDM_OS_ARGUMENTS_H

#include "common/os/config.h"

struct zdm_arguments {
    const char *program;                /* "zdm-agent": its --help is named in errors */
    const struct zdm_setting *settings; /* the last one is the path of the file, which itself stands in no file */
    size_t n;
    /* What the command line must not carry, because every user of the machine sees it; NULL: nothing. */
    enum zdm_code (*refuse)(const struct zdm_setting *setting, const char *value, struct zdm_error *err);
};

/* Reads the file that the last setting names, then the environment, then argv; later ones win. The one word that is no
 * option goes to *out_word, which is NULL when there is none; out_word NULL: none is allowed. ZDM_INVALID says what is
 * wrong. */
enum zdm_code zdm_arguments_read(const struct zdm_arguments *arguments, int argc, char **argv, const char **out_word,
                                 struct zdm_error *err) ZDM_CHECKED;
/* Prints the settings for --help. */
void zdm_arguments_help(const struct zdm_arguments *arguments);

#endif
