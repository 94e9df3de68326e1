/*
 * settings.h - what zdm-coordinator can be told: one table, read from a file, the environment and the command line.
 */
#ifndef COORDINATOR_APP_SETTINGS_H
#define COORDINATOR_APP_SETTINGS_H

#include "common/os/config.h"
#include "coordinator/app/driver.h"

struct settings {
    char *config; /* the file itself */
    char *data;   /* folder */
    char *listen;
    char *advertise; /* URLs, by commas */
    char *trust;
    char *key;
    char *log_level;
    int64_t handshake_slots, per_address;
    int64_t agents; /* connections to have descriptors for */
    /* advertise, split; points into a copy */
    char *urls_text;
    const char *urls[COORD_URLS_MAX];
    size_t n_urls;
};

/* File, environment and argv (arguments.h); what nobody set gets its default. A word that is no option goes to
 * *out_word (one at most; NULL where none is allowed). ZDM_INVALID says what is wrong. */
enum zdm_code settings_read(struct settings *out, int argc, char **argv, const char **out_word,
                            struct zdm_error *err) ZDM_CHECKED;
void settings_fini(struct settings *settings);
/* Prints the table as help. */
void settings_help(void);

#endif
