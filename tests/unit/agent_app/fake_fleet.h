/*
 * fake_fleet.h - a coordinator with real keys and signatures that does what a test tells it, and a clock to turn.
 */
#ifndef TESTS_UNIT_AGENT_APP_FAKE_FLEET_H
#define TESTS_UNIT_AGENT_APP_FAKE_FLEET_H

#include "common/session/session.h"
#include "proto/codec.h"
#include "proto/signed.h"
#include "proto/trust_file.h"
#include "tests/unit/agent_app/loop_net.h"

struct fake_fleet {
    const struct zdm_crypto *crypto;
    int64_t now_ms;
    struct zdm_clock clock;
    uint64_t seed;
    struct zdm_random random;
    struct zdm_signing_key root, coordinator, operator_key, viewer, agent, stranger;
    struct zdm_trust trust;
    struct zdm_trust_chain chain;
    struct zdm_envelope enrolment, plan;
    struct zdm_hash plan_hash;
    struct zdm_token token;

    /* The coordinator. */
    struct loop_net *loop;
    struct zdm_net net;
    zdm_conn conn;
    struct zdm_session *session;
    bool joiner, knows_agent;
    bool spent;         /* the token was used before */
    bool breaks_pieces; /* sends plan pieces at wrong offsets */
    bool has_order;
    struct zdm_envelope order;
    uint64_t order_generation;
    uint32_t piece_size;
    struct zdm_report report; /* the last one */
    unsigned reports, plan_requests, joins;
};

struct fake_fleet *fake_fleet_new(void);
void fake_fleet_free(struct fake_fleet *fleet);
/* The plan of a phase with two steps and one with one, signed by `signer`, for `selector`. */
void fake_fleet_plan(struct fake_fleet *fleet, const struct zdm_signing_key *signer, const char *selector);
/* The order that the coordinator gives from now on. */
void fake_fleet_order(struct fake_fleet *fleet, const struct zdm_signing_key *signer, uint64_t generation,
                      enum zdm_mode mode, uint32_t goal, const char *shard);
/* A second version of the trust file with another name in it. */
void fake_fleet_new_trust(struct fake_fleet *fleet);
/* Sends a frame to the agent. */
void fake_fleet_send(struct fake_fleet *fleet, const struct zdm_frame *frame);
void fake_fleet_send_trust(struct fake_fleet *fleet, uint32_t from_version);

#endif
