/*
 * attack.h - the parts of the attack, in the order in which main.c runs them.
 */
#ifndef TESTS_ATTACK_ATTACK_H
#define TESTS_ATTACK_ATTACK_H

#include "tests/attack/count.h"
#include "tests/attack/world.h"

/* ---- honest.c: what people do by the rules, and what must work ---- */

/* Coordinator, real agent and the attacker's agents; the plan is submitted and led to the end of phase 3. */
void honest_begin(struct world *w);
/* Publishes the next trust version through olga's session. */
void honest_trust(struct world *w, uint32_t version);
/* The real coordinator still does what it is asked to. */
void honest_check(struct world *w, const char *when);

/* ---- Against the coordinator ---- */

/* Sessions of strangers: bytes, handshakes, recordings. n: how many messages of the random kinds. */
void attack_handshakes(struct world *w, unsigned n);
/* Frames inside sessions of people and agents: sealed wrongly, of the wrong direction, reflected. */
void attack_frames(struct world *w, unsigned n);
/* Requests and what they carry. */
void attack_requests(struct world *w, unsigned n);
void attack_payloads(struct world *w);
/* Recorded requests again: later (sessions anew), and after a restart of the coordinator. */
void attack_recorded(struct world *w, const char *class_name);
/* Agents of another shard, revoked ones, tokens used twice. */
void attack_reports(struct world *w, unsigned n);
void attack_joins(struct world *w);
/* surveys.c: checks and their answers */
void attack_surveys(struct world *w);
/* Trust chains that skip, lack signatures, go back; fred and alma are gone after version 2. */
void attack_trust(struct world *w);
void attack_former(struct world *w);

/* A recording of what an honest session sent, for all who replay. */
struct recording {
    uint8_t bytes[8][4096];
    size_t n[8];
    size_t frames;
};
/* Dials as olga, sends a query, and keeps each frame as it went out. */
void record_session(struct world *w, struct recording *out);

/* ---- Against the agent (liar.h) ---- */
void attack_agent_handshakes(struct world *w, unsigned n);
void attack_agent(struct world *w, unsigned n_mutated, unsigned n_arbitrary);

/* ---- What the database saw (statements.c) ---- */
/* Every statement of the agent's role, against the plans' own SQL and the agent's templates in `file`. */
void attack_judge_statements(struct world *w, const char *file);

#endif
