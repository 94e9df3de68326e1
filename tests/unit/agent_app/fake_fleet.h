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
    struct zdm_signing_key root, coordinator, operator_key, viewer, approver, agent, stranger;
    struct zdm_trust trust;
    struct zdm_trust_chain chain;
    struct zdm_envelope enrolment, plan;
    struct zdm_hash plan_hash, digests[4];
    struct zdm_token token;

    /* The coordinator. */
    struct loop_net *loop;
    struct zdm_net net;
    zdm_conn conn;
    struct zdm_session *session;
    bool joiner, knows_agent;
    bool spent;         /* the token was used before */
    bool breaks_pieces; /* sends plan pieces at wrong offsets */
    bool keeps_plans;   /* answers no plan request */
    bool has_order;
    struct zdm_envelope order;
    uint64_t order_generation;
    uint32_t piece_size;
    struct zdm_report report; /* the last one */
    unsigned reports, plan_requests, joins;
    /* Of the last survey that came. */
    uint64_t survey_id;
    struct zdm_buffer survey;
    unsigned surveys, survey_pieces; /* whole ones, or words instead */
    enum zdm_code survey_code;
    char survey_why[ZDM_TEXT_MAX + 1];
};

struct fake_fleet *fake_fleet_new(void);
void fake_fleet_free(struct fake_fleet *fleet);
/* The plan, signed by `signer`, for `selector`: a phase with two steps, one with one, one that is not undone exactly,
 * and a purge. */
void fake_fleet_plan(struct fake_fleet *fleet, const struct zdm_signing_key *signer, const char *selector);
/* The same by an operator, its first step's SQL replaced by hand. */
void fake_fleet_plan_by_hand(struct fake_fleet *fleet, const char *sql);
/* Another one: its first step adds another column. */
void fake_fleet_plan_of_column(struct fake_fleet *fleet, const struct zdm_signing_key *signer, const char *column);
/* The order that the coordinator gives from now on. */
void fake_fleet_order(struct fake_fleet *fleet, const struct zdm_signing_key *signer, uint64_t generation,
                      enum zdm_mode mode, uint32_t goal, const char *shard);
/* What fake_fleet_order signs: migration "rename", this agent as actor, epoch 1 of instance 1. */
struct zdm_directive fake_fleet_directive(const struct fake_fleet *fleet, uint64_t generation, enum zdm_mode mode,
                                          uint32_t goal);
/* Signs that directive, for the fleet given, and makes it the order; it is not sent by itself. */
void fake_fleet_sign_order(struct fake_fleet *fleet, const struct zdm_signing_key *signer, const struct zdm_id *of,
                           const struct zdm_directive *d);
/* What an operator and an approver would sign now: for every shard, a day long. */
struct zdm_undo_order fake_fleet_undo_order(const struct fake_fleet *fleet, uint32_t to_phase, uint8_t nonce);
struct zdm_approval fake_fleet_approval(const struct fake_fleet *fleet, enum zdm_approval_action action, uint32_t phase,
                                        uint8_t nonce);
struct zdm_envelope fake_fleet_sign_undo(struct fake_fleet *fleet, const struct zdm_signing_key *signer,
                                         const struct zdm_undo_order *order);
struct zdm_envelope fake_fleet_sign_approval(struct fake_fleet *fleet, const struct zdm_signing_key *signer,
                                             const struct zdm_approval *approval);
void fake_fleet_send_order(struct fake_fleet *fleet);
/* Asks what the fleet's plan would meet; without `wanted`: not any more. */
void fake_fleet_send_survey_order(struct fake_fleet *fleet, uint64_t id, bool wanted);
/* The next version of the trust file, signed by `root`; the fleet holds it from here on. */
void fake_fleet_new_trust(struct fake_fleet *fleet);
/* A trust file with that version, signed by `signer`; the fleet does not hold it. */
struct zdm_envelope fake_fleet_forge_trust(struct fake_fleet *fleet, uint32_t version,
                                           const struct zdm_signing_key *signer);
/* Sends a frame to the agent. */
void fake_fleet_send(struct fake_fleet *fleet, const struct zdm_frame *frame);
void fake_fleet_send_trust(struct fake_fleet *fleet, uint32_t from_version);

#endif
