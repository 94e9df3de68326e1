/*
 * home.h - the agent's folder: what joining leaves behind and running needs.
 *
 *   agent.key  the secret key, mode 0600   trust      the chain of trust files
 *   enrolment  shard and labels, signed    urls       coordinators, one a line
 *
 * Each file is replaced at once. An agent has joined when all four are there; `urls` is written last, so that a join
 * that ended half-way is seen and can be repeated with the same key.
 */
#ifndef AGENT_APP_HOME_H
#define AGENT_APP_HOME_H

#include <sys/stat.h>

#include "common/base/buffer.h"
#include "common/base/seams.h"
#include "proto/codec.h"
#include "proto/trust_file.h"

enum { AGENT_HOME_URLS_MAX = 16 };

struct agent_home {
    struct zdm_signing_key key;
    struct zdm_buffer trust, enrolment;
    struct zdm_buffer urls_text;
    const char *urls[AGENT_HOME_URLS_MAX]; /* into urls_text */
    size_t n_urls;
};

/* Has an agent joined from this folder? */
bool agent_home_has_joined(const char *folder);
/* Locks the folder for the life of the process. ZDM_EXISTS: another agent uses it. */
enum zdm_code agent_home_lock(const char *folder, struct zdm_error *err) ZDM_CHECKED;
/* The key of the folder; makes it (and the folder) when there is none. */
enum zdm_code agent_home_key(const char *folder, const char *comment, struct zdm_signing_key *out_key,
                             struct zdm_error *err) ZDM_CHECKED;
enum zdm_code agent_home_write(const char *folder, const struct zdm_trust_chain *chain,
                               const struct zdm_envelope *enrolment, const struct zdm_token *token,
                               struct zdm_error *err) ZDM_CHECKED;
enum zdm_code agent_home_write_trust(const char *folder, const void *bytes, size_t n,
                                     struct zdm_error *err) ZDM_CHECKED;
enum zdm_code agent_home_read_trust(const char *folder, struct zdm_buffer *out, struct zdm_error *err) ZDM_CHECKED;
bool agent_home_stat_trust(const char *folder, struct stat *out);
/* Reads all of it. ZDM_NOT_FOUND: not joined yet. */
enum zdm_code agent_home_read(const char *folder, struct agent_home *out, struct zdm_error *err) ZDM_CHECKED;
void agent_home_fini(struct agent_home *home);

#endif
