/*
 * operator.h - a person with a key, at a node of the world: signs requests and sends them until they are answered.
 *
 * One request at a time. A connection that is lost, or silent for OPERATOR_PATIENCE_MS, is dialled anew and the same
 * request id is signed again for the new session, as zdmctl does. Some requests are sent once more after their answer,
 * as a person does who has not seen it: the answer has to be the same. What was answered with ZDM_OK is remembered, so
 * that the simulator can ask whether any of it was ever forgotten.
 */
#ifndef TESTS_SIM_OPERATOR_H
#define TESTS_SIM_OPERATOR_H

#include "common/plan/trust.h"
#include "common/session/session.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/world.h"

enum { OPERATOR_PATIENCE_MS = 3000, OPERATOR_DIALS_MAX = 15, OPERATOR_ANSWERS_MAX = 512, OPERATOR_VERBS = 32 };

struct operator_upload {
    const uint8_t *bytes;
    size_t n;
};

struct sim_operator {
    struct world *world;
    int node;
    const char *url;
    struct zdm_net net;
    const struct zdm_signing_key *key; /* whose turn it is; may be another one for each request */
    struct zdm_id fleet;
    struct zdm_hash coordinator; /* public key */

    struct zdm_session *session;
    zdm_conn conn;
    uint64_t attempt; /* counts dials, so that an old time-out means nothing */
    unsigned dials;   /* for the request at hand: after OPERATOR_DIALS_MAX it is given up, as a revoked person must */

    bool busy; /* a request waits for its answer */
    struct zdm_request request;
    struct operator_upload uploads[2]; /* submit: plan envelope, notes; trust: the trust file */
    enum zdm_code answer;              /* of the last request */
    char message[256];
    bool echo; /* the request was answered before, at this position */
    uint64_t echo_seq;
    uint64_t echoes;                                        /* answered twice */
    uint64_t done[OPERATOR_VERBS], refused[OPERATOR_VERBS]; /* answers, by verb */
    uint64_t amends_refused, amends_unsigned;
    bool contradicted; /* a second answer differed from the first */

    struct zdm_id answered[OPERATOR_ANSWERS_MAX]; /* ids of requests answered with ZDM_OK, */
    uint64_t answered_at[OPERATOR_ANSWERS_MAX];   /* and their positions in the log */
    size_t n_answered;
};

/* Attaches to the net and boots the node. */
void operator_start(struct sim_operator *person, struct sim_net *net);
void operator_stop(struct sim_operator *person, struct sim_net *net);
/* Begins a request (takes it; its id is drawn here). Not while busy. */
void operator_ask(struct sim_operator *person, struct zdm_request *request);
/* The log was put back to that position: what was answered later is not asked for any more. */
void operator_forget(struct sim_operator *person, uint64_t seq);

#endif
