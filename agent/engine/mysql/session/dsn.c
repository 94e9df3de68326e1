/*
 * dsn.c - see dsn.h. No value is ever repeated in an error: a person may have put a password where none belongs.
 */
#include "agent/engine/mysql/session/dsn.h"

#include <stdlib.h>
#include <string.h>

static const char scheme[] = "mysql:";

struct key {
    const char *name;
    size_t offset; /* of a char * in struct mydb_target */
};

#define KEY(text, field)                                                                                               \
    {                                                                                                                  \
        text, offsetof(struct mydb_target, field)                                                                      \
    }
static const struct key texts[] = {
    KEY("host", host),     KEY("user", user),         KEY("database", database),
    KEY("socket", socket), KEY("group", group),       KEY("defaults-file", defaults_file),
    KEY("ssl-ca", ssl_ca), KEY("ssl-cert", ssl_cert), KEY("ssl-key", ssl_key),
};

static enum zdm_code invalid(struct zdm_error *err, const char *what)
{
    zdm_error_set(err, ZDM_INVALID, "the database's connection string cannot be read: %s", what);
    return zdm_error_hint(err, "Write mysql:host=HOST user=NAME database=NAME defaults-file=FILE, pairs with blanks "
                               "between them; a value with blanks in single quotes.");
}

/* The next pair; both malloc'd. False at the end or, with *bad, where it cannot be read. */
static bool next_pair(const char **at, struct zdm_buffer *key, struct zdm_buffer *value, bool *bad)
{
    const char *c = *at + strspn(*at, " \t\r\n");
    size_t n = strcspn(c, "= \t\r\n'");
    zdm_buffer_reset(key);
    zdm_buffer_reset(value);
    *bad = *c != '\0' && (n == 0 || c[n] != '=');
    if (*c == '\0' || *bad) {
        return false;
    }
    zdm_buffer_append(key, c, n);
    c += n + 1;
    if (*c != '\'') {
        n = strcspn(c, " \t\r\n");
        zdm_buffer_append(value, c, n);
        *at = c + n;
        return true;
    }
    for (c++; *c != '\0' && (*c != '\'' || c[1] == '\''); c++) {
        c += *c == '\'' ? 1 : 0;
        zdm_buffer_append(value, c, 1);
    }
    *bad = *c != '\'' || strchr(" \t\r\n", c[1]) == NULL; /* the end of the text counts as a blank */
    *at = c + (*c == '\'' ? 1 : 0);
    return !*bad;
}

static enum zdm_code take_port(struct mydb_target *out, const char *value, struct zdm_error *err)
{
    char *end;
    unsigned long port = strtoul(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || port == 0 || port > 65535) {
        return invalid(err, "port is no number of a port");
    }
    out->port = (unsigned)port;
    return ZDM_OK;
}

static enum zdm_code take_ssl(struct mydb_target *out, const char *value, struct zdm_error *err)
{
    static const struct {
        const char *word;
        enum mydb_tls tls;
    } words[] = {{"off", MYDB_TLS_OFF}, {"require", MYDB_TLS_REQUIRED}, {"verify", MYDB_TLS_VERIFY}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(value, words[i].word) == 0) {
            out->tls = words[i].tls;
            return ZDM_OK;
        }
    }
    return invalid(err, "ssl is verify, require or off");
}

static enum zdm_code refuse_key(const char *name, struct zdm_error *err)
{
    if (strcasecmp(name, "password") == 0 || strcasecmp(name, "passwd") == 0 || strcasecmp(name, "pwd") == 0) {
        zdm_error_set(err, ZDM_INVALID, "a password must not stand in the database's connection string");
        return zdm_error_hint(err, "Put it into an option file that only the agent can read, and name that with "
                                   "defaults-file=.");
    }
    zdm_error_set(err, ZDM_INVALID, "the database's connection string has an unknown key %.40s", name);
    return zdm_error_hint(err, "Known are host, port, socket, user, database, defaults-file, group, ssl, ssl-ca, "
                               "ssl-cert and ssl-key.");
}

static enum zdm_code take(struct mydb_target *out, const char *name, const char *value, struct zdm_error *err)
{
    if (strcmp(name, "port") == 0) {
        return take_port(out, value, err);
    }
    if (strcmp(name, "ssl") == 0) {
        return take_ssl(out, value, err);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strcmp(name, texts[i].name) == 0) {
            char **field = (char **)((char *)out + texts[i].offset);
            free(*field);
            *field = zdm_strdup(value);
            return *field == NULL ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : ZDM_OK;
        }
    }
    return refuse_key(name, err);
}

/* What does not go together is told when the agent starts, not when it connects. */
static enum zdm_code check_whole(struct mydb_target *out, struct zdm_error *err)
{
    bool certificates = out->ssl_ca != NULL || out->ssl_cert != NULL || out->ssl_key != NULL;
    if (out->ssl_ca != NULL && out->tls == MYDB_TLS_UNSET) {
        out->tls = MYDB_TLS_VERIFY;
    }
    if (out->tls == MYDB_TLS_OFF && certificates) {
        return invalid(err, "ssl=off and a certificate contradict each other");
    }
    if ((out->ssl_cert == NULL) != (out->ssl_key == NULL)) {
        return invalid(err, "ssl-cert and ssl-key belong together");
    }
    if (out->group != NULL && out->defaults_file == NULL) {
        return invalid(err, "group names a part of a defaults-file, and there is none");
    }
    return ZDM_OK;
}

enum zdm_code mydb_target_read(const char *dsn, struct mydb_target *out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer key = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer value = ZDM_BUFFER_INIT;
    *out = (struct mydb_target){.host = NULL};
    if (strncmp(dsn, scheme, sizeof scheme - 1) != 0) {
        return invalid(err, "it does not begin with mysql:");
    }
    const char *at = dsn + sizeof scheme - 1;
    enum zdm_code code = ZDM_OK;
    bool bad = false;
    while (code == ZDM_OK && next_pair(&at, &key, &value, &bad)) {
        if (key.failed || value.failed) {
            return zdm_error_set(err, ZDM_NOMEM, "out of memory");
        }
        code = take(out, zdm_buffer_text(&key), zdm_buffer_text(&value), err);
    }
    if (bad) {
        return invalid(err, "a value is not closed, or something is no pair of key=value");
    }
    return code == ZDM_OK ? check_whole(out, err) : code;
}

void mydb_target_fini(struct mydb_target *target)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        free(*(char **)((char *)target + texts[i].offset));
    }
    free(target->application_name);
    *target = (struct mydb_target){.host = NULL};
}
