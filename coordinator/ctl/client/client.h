/*
 * client.h - a person's session with the coordinator: dial, handshake, ask, watch (protocol 5 and 6).
 *
 * A client has at most one connection. Every call takes a deadline on the boot clock and returns in time; when the
 * connection breaks it returns ZDM_CLOSED and the caller decides whether to connect again (ctl_ask and ctl_act do, for
 * CTL_PATIENCE_MS). Requests are signed here, anew for each session, because they bind to its transcript.
 *
 * Threads: one; nng's callbacks only fill the queue that zdm_net_nng_poll empties on this thread. Memory: a client owns
 * its key and its trust chain, and wipes the key.
 */
#ifndef COORDINATOR_CTL_CLIENT_CLIENT_H
#define COORDINATOR_CTL_CLIENT_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/seams.h"
#include "coordinator/ctl/ctl.h"
#include "proto/codec.h"
#include "proto/trust_file.h"

/* Bytes of one answer; a status of 10,000 shards takes 6 MiB. URLs that are tried in turn. */
enum { CTL_ANSWER_MAX = 64 * 1024 * 1024, CTL_URLS_MAX = 8 };

struct ctl_client;

/* Reads key and trust file as the settings say. No connection yet. ZDM_INVALID says which setting is missing. */
enum zdm_code ctl_client_new(const struct ctl *ctl, struct ctl_client **out, struct zdm_error *err) ZDM_CHECKED;
/* Closes and frees; NULL is allowed. */
void ctl_client_free(struct ctl_client *client);
void ctl_client_freep(struct ctl_client **client);

/* Borrowed. */
const struct zdm_trust_chain *ctl_client_trust(const struct ctl_client *client);
const struct zdm_signing_key *ctl_client_key(const struct ctl_client *client);

/* Milliseconds on the client's clock. */
int64_t ctl_now(void);

/* An open session by the deadline, trying again and again; nothing to do when one is open. ZDM_UNAVAILABLE,
 * ZDM_AUTH (one side does not trust the other), ZDM_CANCELLED. */
enum zdm_code ctl_client_connect(struct ctl_client *client, int64_t deadline_ms, struct zdm_error *err) ZDM_CHECKED;
/* Prints nothing about a coordinator that cannot be reached: the caller does. */
void ctl_client_quiet(struct ctl_client *client);

struct ctl_query {
    enum zdm_query_kind kind;
    const char *migration; /* NULL: none named */
    uint64_t from_seq;
    uint32_t limit;
    const struct zdm_hash *plan_hash; /* CHECK; NULL elsewhere */
};

/* One question in the open session. The caller owns *out. ZDM_CLOSED, ZDM_TIMEOUT, or what the coordinator says. */
enum zdm_code ctl_client_query(struct ctl_client *client, const struct ctl_query *query, int64_t deadline_ms,
                               json_t **out, struct zdm_error *err) ZDM_CHECKED;
/* Asks for pushes of the status. */
enum zdm_code ctl_client_watch(struct ctl_client *client, const char *migration, struct zdm_error *err) ZDM_CHECKED;
/* The next pushed status by the deadline. ZDM_TIMEOUT: nothing came, the session is open. ZDM_CLOSED. */
enum zdm_code ctl_client_push(struct ctl_client *client, int64_t deadline_ms, json_t **out,
                              struct zdm_error *err) ZDM_CHECKED;

/* What a person asks to be done, and what must be uploaded first. */
struct ctl_errand {
    struct zdm_request request; /* `session` is filled for each session */
    struct zdm_buffer uploads[2];
    size_t n_uploads;
};

struct ctl_answer {
    enum zdm_code code;
    uint64_t seq;
    char message[512], detail[512], hint[512];
};

void ctl_errand_fini(struct ctl_errand *errand);
/* Uploads, signs, sends, waits for the answer. ZDM_CLOSED, ZDM_TIMEOUT; a refusal is in the answer. */
enum zdm_code ctl_client_request(struct ctl_client *client, struct ctl_errand *errand, int64_t deadline_ms,
                                 struct ctl_answer *out, struct zdm_error *err) ZDM_CHECKED;

/* ---- With patience: connect, ask, and again when the connection broke, until CTL_PATIENCE_MS are over. ---- */

enum zdm_code ctl_ask(struct ctl_client *client, const struct ctl_query *query, json_t **out,
                      struct zdm_error *err) ZDM_CHECKED;
/* The same for an answer that is not JSON; appends to out. */
enum zdm_code ctl_ask_bytes(struct ctl_client *client, const struct ctl_query *query, struct zdm_buffer *out,
                            struct zdm_error *err) ZDM_CHECKED;
/* A refusal becomes the error. A request id is made where there is none. */
enum zdm_code ctl_act(struct ctl_client *client, struct ctl_errand *errand, struct ctl_answer *out,
                      struct zdm_error *err) ZDM_CHECKED;
/* What every shard would meet: uploads the signed plan and collects the answers, in one session. progress (or NULL) is
 * told whenever something has come. The caller frees *out (ctl_fleet_survey_fini), on failure too. */
struct ctl_fleet_survey;
typedef void ctl_progress(void *ctx, const struct ctl_fleet_survey *so_far);
enum zdm_code ctl_survey(struct ctl_client *client, const struct zdm_buffer *plan, const struct zdm_hash *plan_hash,
                         ctl_progress *progress, void *ctx, struct ctl_fleet_survey *out,
                         struct zdm_error *err) ZDM_CHECKED;
/* Prints what was done, as text or JSON. */
enum zdm_code ctl_print_answer(const struct ctl *ctl, const struct zdm_request *request,
                               const struct ctl_answer *answer, struct zdm_error *err) ZDM_CHECKED;

#endif
