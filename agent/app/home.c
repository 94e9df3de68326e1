/*
 * home.c - see home.h.
 */
#include "agent/app/home.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/app/driver.h"
#include "common/os/crypto.h"
#include "common/os/file.h"
#include "proto/signed.h"

enum { URLS_FILE_MAX = 16 * 1024 };

static enum zdm_code path_of(char out[PATH_MAX], const char *folder, const char *name, struct zdm_error *err)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    if (n < 0 || n >= PATH_MAX)
        return zdm_error_set(err, ZDM_INVALID, "the data folder's name is too long");
    return ZDM_OK;
}

bool agent_home_has_joined(const char *folder)
{
    char path[PATH_MAX];
    struct zdm_error err;
    return path_of(path, folder, "urls", &err) == ZDM_OK && access(path, F_OK) == 0;
}

enum zdm_code agent_home_lock(const char *folder, struct zdm_error *err)
{
    char path[PATH_MAX];
    enum zdm_code code = path_of(path, folder, "lock", err);
    if (code == ZDM_OK)
        code = zdm_file_lock(path, err);
    if (code == ZDM_EXISTS) {
        zdm_error_set(err, ZDM_EXISTS, "another agent uses %s", folder);
        return zdm_error_hint(err, "Give each agent a data folder of its own.");
    }
    return code;
}

enum zdm_code agent_home_key(const char *folder, const char *comment, struct zdm_signing_key *out_key,
                             struct zdm_error *err)
{
    char path[PATH_MAX];
    enum zdm_code code = zdm_dir_make(folder, 0700, err);
    if (code == ZDM_OK)
        code = path_of(path, folder, "agent.key", err);
    if (code != ZDM_OK)
        return code;
    if (access(path, F_OK) == 0)
        return zdm_key_file_read(path, out_key, err);
    return zdm_key_file_create(path, comment, out_key, err);
}

static enum zdm_code write_one(const char *folder, const char *name, const struct zdm_buffer *bytes,
                               struct zdm_error *err)
{
    char path[PATH_MAX];
    if (bytes->failed)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    enum zdm_code code = path_of(path, folder, name, err);
    return code == ZDM_OK ? zdm_file_write(path, bytes->data, bytes->len, 0600, err) : code;
}

enum zdm_code agent_home_write(const char *folder, const struct zdm_trust_chain *chain,
                               const struct zdm_envelope *enrolment, const struct zdm_token *token,
                               struct zdm_error *err)
{
    struct zdm_buffer trust = ZDM_BUFFER_INIT, pinned = ZDM_BUFFER_INIT, urls = ZDM_BUFFER_INIT;
    zdm_trust_chain_write(chain, &trust);
    zdm_envelope_flatten(enrolment, &pinned);
    for (size_t i = 0; i < token->n_urls; i++)
        zdm_buffer_printf(&urls, "%s\n", token->urls[i]);
    enum zdm_code code = write_one(folder, "trust", &trust, err);
    if (code == ZDM_OK)
        code = write_one(folder, "enrolment", &pinned, err);
    if (code == ZDM_OK)
        code = write_one(folder, "urls", &urls, err);
    zdm_buffer_fini(&trust);
    zdm_buffer_fini(&pinned);
    zdm_buffer_fini(&urls);
    return code;
}

enum zdm_code agent_home_write_trust(const char *folder, const void *bytes, size_t n, struct zdm_error *err)
{
    char path[PATH_MAX];
    enum zdm_code code = path_of(path, folder, "trust", err);
    return code == ZDM_OK ? zdm_file_write(path, bytes, n, 0600, err) : code;
}

static enum zdm_code read_one(const char *folder, const char *name, size_t max, struct zdm_buffer *out,
                              struct zdm_error *err)
{
    char path[PATH_MAX];
    enum zdm_code code = path_of(path, folder, name, err);
    return code == ZDM_OK ? zdm_file_read(path, max, out, err) : code;
}

enum zdm_code agent_home_read_trust(const char *folder, struct zdm_buffer *out, struct zdm_error *err)
{
    return read_one(folder, "trust", AGENT_TRUST_FILE_MAX, out, err);
}

bool agent_home_stat_trust(const char *folder, struct stat *out)
{
    char path[PATH_MAX];
    struct zdm_error err;
    return path_of(path, folder, "trust", &err) == ZDM_OK && stat(path, out) == 0;
}

static enum zdm_code split_urls(struct agent_home *home, struct zdm_error *err)
{
    char *save = NULL;
    char *line = home->urls_text.data != NULL ? strtok_r((char *)home->urls_text.data, "\r\n", &save) : NULL;
    for (; line != NULL; line = strtok_r(NULL, "\r\n", &save)) {
        if (line[0] == '#')
            continue;
        if (home->n_urls == AGENT_HOME_URLS_MAX)
            return zdm_error_set(err, ZDM_LIMIT, "more than %d URLs of coordinators", AGENT_HOME_URLS_MAX);
        home->urls[home->n_urls++] = line;
    }
    return home->n_urls > 0 ? ZDM_OK : zdm_error_set(err, ZDM_INVALID, "file urls names no coordinator");
}

static enum zdm_code read_all(const char *folder, struct agent_home *home, struct zdm_error *err)
{
    char path[PATH_MAX];
    enum zdm_code code = path_of(path, folder, "agent.key", err);
    if (code == ZDM_OK)
        code = zdm_key_file_read(path, &home->key, err);
    if (code == ZDM_OK)
        code = read_one(folder, "trust", AGENT_TRUST_FILE_MAX, &home->trust, err);
    if (code == ZDM_OK)
        code = read_one(folder, "enrolment", AGENT_ENROLMENT_FILE_MAX, &home->enrolment, err);
    if (code == ZDM_OK)
        code = read_one(folder, "urls", URLS_FILE_MAX, &home->urls_text, err);
    return code == ZDM_OK ? split_urls(home, err) : code;
}

enum zdm_code agent_home_read(const char *folder, struct agent_home *out, struct zdm_error *err)
{
    memset(out, 0, sizeof *out);
    if (!agent_home_has_joined(folder)) {
        zdm_error_set(err, ZDM_NOT_FOUND, "this agent has not joined a fleet yet (no %s/urls)", folder);
        return zdm_error_hint(err, "Run zdmctl enroll SHARD, then zdm-agent join TOKEN --data %s.", folder);
    }
    enum zdm_code code = read_all(folder, out, err);
    if (code != ZDM_OK)
        agent_home_fini(out);
    return code;
}

void agent_home_fini(struct agent_home *home)
{
    zdm_signing_key_wipe(&home->key);
    zdm_buffer_fini(&home->trust);
    zdm_buffer_fini(&home->enrolment);
    zdm_buffer_fini(&home->urls_text);
}
