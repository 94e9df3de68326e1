/*
 * options.c - see options.h. The form is that of the servers' clients: [group], key=value, # and ; for comments,
 * values bare or quoted, with \n \t \r \b \s \\ \' \" inside.
 */
#include "agent/engine/mysql/session/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct key {
    const char *name;
    size_t offset;
};

#define KEY(text, field)                                                                                               \
    {                                                                                                                  \
        text, offsetof(struct mydb_options, field)                                                                     \
    }
static const struct key keys[] = {
    KEY("host", host),         KEY("user", user),         KEY("password", password),
    KEY("database", database), KEY("socket", socket),     KEY("port", port),
    KEY("ssl-ca", ssl_ca),     KEY("ssl-cert", ssl_cert), KEY("ssl-key", ssl_key),
};

struct reading {
    const struct mydb_target *target;
    struct mydb_options *out;
    bool in_client, in_group, group_found;
    bool from_group[sizeof keys / sizeof *keys];
};

static void wipe(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        free(text);
    }
}

void mydb_options_fini(struct mydb_options *options)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        wipe(*(char **)((char *)options + keys[i].offset));
    }
    *options = (struct mydb_options){.host = NULL};
}

static char *trim(char *text)
{
    text += strspn(text, " \t\r\n");
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL) {
        text[--n] = '\0';
    }
    return text;
}

/* A comment may stand behind a value; a # in quotes is none. */
static void cut_comment(char *text)
{
    char quote = '\0';
    for (char *c = text; *c != '\0'; c++) {
        if (*c == '\\' && c[1] != '\0') {
            c++;
        } else if (quote != '\0') {
            quote = *c == quote ? '\0' : quote;
        } else if (*c == '\'' || *c == '"') {
            quote = *c;
        } else if (*c == '#') {
            *c = '\0';
            return;
        }
    }
}

static void unescape(char *text)
{
    static const char from[] = "ntrbs\\'\"", to[] = "\n\t\r\b \\'\"";
    char *out = text;
    for (const char *c = text; *c != '\0'; c++) {
        const char *known = *c == '\\' && c[1] != '\0' ? strchr(from, c[1]) : NULL;
        *out++ = known == NULL ? *c : to[known - from];
        c += known == NULL ? 0 : 1;
    }
    *out = '\0';
}

static char *value_of(char *text)
{
    cut_comment(text);
    text = trim(text);
    size_t n = strlen(text);
    if (n >= 2 && (text[0] == '\'' || text[0] == '"') && text[n - 1] == text[0]) {
        text[n - 1] = '\0';
        text++;
    }
    unescape(text);
    return text;
}

static enum zdm_code take_pair(struct reading *r, char *line, struct zdm_error *err)
{
    char *equals = strchr(line, '=');
    if (equals == NULL) {
        return ZDM_OK; /* a flag, of which none concerns us */
    }
    *equals = '\0';
    char *name = trim(line);
    for (char *c = name; *c != '\0'; c++) {
        *c = *c == '_' ? '-' : *c;
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(name, keys[i].name) != 0 || (r->from_group[i] && !r->in_group)) {
            continue;
        }
        char **field = (char **)((char *)r->out + keys[i].offset);
        wipe(*field);
        *field = zdm_strdup(value_of(equals + 1));
        r->from_group[i] = r->in_group;
        return *field == NULL ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : ZDM_OK;
    }
    return ZDM_OK;
}

static enum zdm_code take_line(struct reading *r, char *text, struct zdm_error *err)
{
    char *line = trim(text);
    if (*line == '\0' || *line == '#' || *line == ';') {
        return ZDM_OK;
    }
    if (*line == '!') {
        zdm_error_set(err, ZDM_REFUSED, "the option file includes another one");
        return zdm_error_hint(err, "Give the agent a file of its own that says all of it.");
    }
    if (*line == '[') {
        char *end = strchr(line, ']');
        if (end != NULL) {
            *end = '\0';
        }
        r->in_client = strcmp(line + 1, "client") == 0;
        r->in_group = r->target->group != NULL && strcmp(line + 1, r->target->group) == 0;
        r->group_found = r->group_found || r->in_group;
        return ZDM_OK;
    }
    return r->in_client || r->in_group ? take_pair(r, line, err) : ZDM_OK;
}

static enum zdm_code check_mode(FILE *file, const char *path, struct zdm_error *err)
{
    struct stat st;
    if (fstat(fileno(file), &st) != 0 || !S_ISREG(st.st_mode)) {
        return zdm_error_set(err, ZDM_REFUSED, "the option file %.200s is no file", path);
    }
    if ((st.st_mode & (S_IROTH | S_IWOTH)) != 0) {
        zdm_error_set(err, ZDM_REFUSED, "the option file %.200s can be read or written by everybody", path);
        return zdm_error_hint(err, "chmod o-rw it: it has a password in it.");
    }
    return ZDM_OK;
}

static enum zdm_code read_lines(struct reading *r, FILE *file, struct zdm_error *err)
{
    char *line = NULL;
    size_t cap = 0;
    enum zdm_code code = ZDM_OK;
    while (code == ZDM_OK && getline(&line, &cap, file) >= 0) {
        code = take_line(r, line, err);
    }
    if (line != NULL) {
        explicit_bzero(line, cap);
    }
    free(line);
    if (code == ZDM_OK && r->target->group != NULL && !r->group_found) {
        return zdm_error_set(err, ZDM_INVALID, "the option file %.200s has no group [%.60s]", r->target->defaults_file,
                             r->target->group);
    }
    return code;
}

enum zdm_code mydb_options_read(const struct mydb_target *target, struct mydb_options *out, struct zdm_error *err)
{
    struct reading r = {.target = target, .out = out};
    *out = (struct mydb_options){.host = NULL};
    if (target->defaults_file == NULL) {
        return ZDM_OK;
    }
    FILE *file = fopen(target->defaults_file, "re");
    if (file == NULL) {
        return zdm_error_system(err, ZDM_UNAVAILABLE, errno, "could not read the option file %.200s",
                                target->defaults_file);
    }
    enum zdm_code code = check_mode(file, target->defaults_file, err);
    if (code == ZDM_OK) {
        code = read_lines(&r, file, err);
    }
    fclose(file);
    if (code != ZDM_OK) {
        mydb_options_fini(out);
    }
    return code;
}
