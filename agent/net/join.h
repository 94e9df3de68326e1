/*
 * join.h - how a new agent gets into the fleet with a token (protocol 6): one visit at one coordinator.
 *
 *   dial -> handshake, the coordinator unproven -> its trust chain -> is its hash the token's? -> is the coordinator
 *   in it, and did it sign the handshake? -> only now the secret -> the enrolment, signed by an operator, of the shard
 *   that the token names
 *
 * No trust on first use: until the chain's hash was compared with the token nothing that came is believed.
 * Threads: one. Memory: config and token are borrowed.
 */
#ifndef AGENT_NET_JOIN_H
#define AGENT_NET_JOIN_H

#include "agent/net/wire.h"
#include "proto/trust_file.h"

enum { AGENT_JOIN_MS = 20000 };

struct agent_join_config {
    const struct zdm_clock *clock;
    const struct zdm_random *random;
    const struct zdm_crypto *crypto;
    const struct zdm_signing_key *key;
    const struct zdm_token *token;
    const char *release;
};

enum agent_join_state { AGENT_JOIN_PENDING, AGENT_JOIN_DONE, AGENT_JOIN_FAILED };

struct agent_join;

struct agent_join *agent_join_new(const struct agent_join_config *config);
void agent_join_free(struct agent_join *join);
struct zdm_net_upcalls agent_join_net_upcalls(struct agent_join *join);
/* Dials; every URL of the token is tried once before it has failed. */
void agent_join_attach(struct agent_join *join, struct zdm_net net);
/* Gives up what is late. FAILED: *err says why, and how to mend it. */
enum agent_join_state agent_join_turn(struct agent_join *join, struct zdm_error *err);
/* When DONE: what was received, borrowed. */
const struct zdm_trust_chain *agent_join_chain(const struct agent_join *join);
const struct zdm_envelope *agent_join_enrolment(const struct agent_join *join);

#endif
