/*
 * client_internal.h - the client between its two halves: keeping a session (client.c) and asking in it (client_ask.c).
 */
#ifndef COORDINATOR_CTL_CLIENT_CLIENT_INTERNAL_H
#define COORDINATOR_CTL_CLIENT_CLIENT_INTERNAL_H

#include "common/net/net.h"
#include "common/session/session.h"
#include "coordinator/ctl/client/client.h"

enum ctl_stage { CTL_STAGE_NONE, CTL_STAGE_DIALLING, CTL_STAGE_HELLO_SENT, CTL_STAGE_AUTH_SENT, CTL_STAGE_OPEN };

/* JSON text that arrives in pieces. */
struct ctl_inbox {
    uint32_t id; /* 0: nothing is expected */
    bool complete;
    enum zdm_code code;
    struct zdm_buffer text;
    char message[ZDM_TEXT_MAX + 1];
};

struct ctl_client {
    const struct zdm_crypto *crypto;
    const struct zdm_random *random;
    struct zdm_signing_key key;
    struct zdm_trust_chain chain;
    char *urls[CTL_URLS_MAX];
    size_t n_urls, url_at;
    char leader[ZDM_TEXT_MAX + 1]; /* where a coordinator that is not the leader sent us */
    struct zdm_net_nng *nng;
    struct zdm_net net;

    zdm_conn conn;
    struct zdm_session *session;
    enum ctl_stage stage;
    enum ctl_stage broke_at; /* how far the last connection came */
    struct zdm_error why;    /* why it ended */
    bool quiet;
    uint32_t last_id;
    struct ctl_inbox rows, push;
    struct ctl_fleet_survey *survey; /* rows are those of a survey, and go there; NULL: they are JSON */
    bool survey_news;                /* some came */
    bool answered;
    struct zdm_id asked;
    struct ctl_answer answer;
};

/* Closes the connection, if any, and forgets what was expected of it. */
void ctl_client_drop(struct ctl_client *client);
/* Runs the network until done() holds, the connection is gone (unless `alone`: ZDM_CLOSED), the deadline (ZDM_TIMEOUT)
 * or the stop flag (ZDM_CANCELLED). */
enum zdm_code ctl_client_pump(struct ctl_client *client, bool (*done)(const struct ctl_client *), bool alone,
                              int64_t deadline_ms, struct zdm_error *err) ZDM_CHECKED;

/* client_ask.c */
enum zdm_code ctl_client_upload(struct ctl_client *client, const struct zdm_buffer *bytes, int64_t deadline_ms,
                                struct zdm_error *err) ZDM_CHECKED;
/* Sends the question; rows of that number are expected from then on. */
enum zdm_code ctl_client_send_query(struct ctl_client *client, const struct ctl_query *query, int64_t deadline_ms,
                                    struct zdm_error *err) ZDM_CHECKED;
/* client_survey.c: rows while client->survey is set. */
void ctl_client_take_survey(struct ctl_client *client, const struct zdm_frame *frame);

#endif
