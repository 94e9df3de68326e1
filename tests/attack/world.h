/*
 * world.h - what is attacked: a real coordinator and a real agent with a real server, the keys of everybody, and what
 * each of them signs.
 *
 * Five people approve (two are needed), one of them until trust version 2 only; so does `fred`, who was an operator,
 * too. olga signs the plans: she is an approver, but four eyes are asked for. Version 3 knows other approvers.
 */
#ifndef TESTS_ATTACK_WORLD_H
#define TESTS_ATTACK_WORLD_H

#include <sys/types.h>

#include "proto/codec.h"
#include "proto/signed.h"
#include "proto/trust_file.h"
#include "tests/attack/wire.h"

enum { APPROVERS = 5, ROOTS = 3, TRUST_VERSIONS = 3, PLANS = 6, PHASES = 5 };

enum plan_name {
    PLAN_ATTACK, /* expand, migrate, switch, contract (2 approvals), purge; for tier=gold */
    PLAN_OTHER,  /* another of that shard: adds a column to another table */
    PLAN_SILVER, /* for tier=silver: shard-2, of which the attacker is the agent */
    PLAN_EVIL,   /* never sent as olga signed it: only with other signatures, and changed */
    PLAN_KINDS,  /* a step of most kinds, on tables of its own: expand, migrate, contract (2 approvals), purge */
    PLAN_AMENDED /* PLAN_ATTACK with another contract phase, which asks for 3 approvals */
};

struct signed_plan {
    struct zdm_plan *plan;
    struct zdm_envelope envelope;
    struct zdm_buffer notes;
};

struct world {
    const struct zdm_crypto *crypto;
    uint64_t seed;
    char bin[256], dir[64];
    /* Everybody's keys: the attacker is given those that its part says. */
    struct zdm_signing_key root[ROOTS], coordinator, olga, omar, vera, fred, approver[APPROVERS], fresh[2], stranger;
    struct zdm_trust trust[TRUST_VERSIONS];
    struct zdm_trust_chain chain[TRUST_VERSIONS]; /* up to that version */
    struct zdm_id fleet;
    uint32_t version; /* in force: 1 to 3 */
    struct signed_plan plans[PLANS];
    struct zdm_id agent;                             /* the real one, of shard-1 */
    struct zdm_signing_key own_agent, revoked_agent; /* of shard-2 and shard-3, the attacker's */
    int port, lying_port;
    pid_t coordinator_pid, agent_pid;
    struct test_pg *pg;
    struct wire watcher; /* a viewer's session, to see the log grow */
};

/* Keys, trust files, plans, the server; nothing runs yet but the server. */
void world_make(struct world *w, const char *bin, uint64_t seed);
/* Ends what runs and removes all files. */
void world_end(struct world *w);

/* Numbers of this run. */
uint64_t world_random(struct world *w);
uint32_t world_below(struct world *w, uint32_t n);
void world_bytes(struct world *w, void *out, size_t n);
struct zdm_id world_nonce(struct world *w);
int64_t world_now(void);
void world_pause(int ms);
_Noreturn void world_fail(const char *fmt, ...) ZDM_PRINTF(1, 2);

/* Processes. kill: SIGKILL and wait. */
void world_start_coordinator(struct world *w);
void world_start_agent(struct world *w);
void world_kill(pid_t *pid);
/* Runs a program to its end; false unless it exits with 0. */
bool world_run(const struct world *w, const char *const argv[]);
/* Where the agent dials from now on. */
void world_redirect_agent(struct world *w, int port);
/* Restarts the server on a copy of its files: keep makes the copy, restore takes it. */
void world_keep_database(struct world *w);
void world_restore_database(struct world *w);
/* The agent's server's log. */
void world_server_log(const struct world *w, char out[256]);

/* One text out of the database, "" for NULL or none. malloc'd. */
char *world_sql(struct world *w, const char *sql);
/* Everything that a person's signature guards, as one text: columns, constraints, indexes, triggers and rows of the
 * application, what is hidden, spent and purged, and where the journal stands. malloc'd. */
char *world_fingerprint(struct world *w);

/* ---- What people and others sign ---- */

const struct zdm_trust *world_trust(const struct world *w);
/* Compiles a runbook, for who changes the plan before it is signed. olga signs it, as it is at that moment. */
struct zdm_plan *world_compile(const char *runbook, struct zdm_buffer *out_notes);
const char *world_runbook(enum plan_name name);
struct zdm_envelope world_sign_plan(const struct world *w, struct zdm_plan *plan);

struct zdm_envelope world_sign(const struct zdm_signing_key *key, const struct zdm_id *fleet, enum zdm_signed_type type,
                               struct zdm_buffer *body);
/* For PLAN_ATTACK, every shard, a day long, under the trust in force, with a new nonce. */
struct zdm_approval world_approval(struct world *w, enum zdm_approval_action action, uint32_t phase);
struct zdm_undo_order world_undo_order(struct world *w, uint32_t to_phase);
struct zdm_envelope world_sign_approval(const struct world *w, const struct zdm_signing_key *key,
                                        const struct zdm_approval *approval);
struct zdm_envelope world_sign_undo(const struct world *w, const struct zdm_signing_key *key,
                                    const struct zdm_undo_order *order);

/* ---- A person's session with the real coordinator ---- */

bool world_dial(struct world *w, struct wire *wire, const struct zdm_signing_key *key);
/* A request of that verb about PLAN_ATTACK, with a new id, for this session. */
struct zdm_request world_request(struct world *w, const struct wire *wire, enum zdm_verb verb);
struct zdm_envelope world_sign_request(const struct world *w, const struct zdm_signing_key *key,
                                       const struct zdm_request *request);
bool world_send_request(struct wire *wire, const struct zdm_envelope *envelope);
/* Sends it and waits for the answer; frees the payload. */
enum zdm_code world_ask(struct world *w, struct wire *wire, const struct zdm_signing_key *key,
                        struct zdm_request *request, struct zdm_error *answer);
/* Uploads bytes and gives their hash. */
struct zdm_hash world_upload(struct world *w, struct wire *wire, const void *bytes, size_t n);
void world_upload_plan(struct world *w, struct wire *wire, const struct zdm_envelope *envelope,
                       const struct zdm_buffer *notes);
/* How many events the log holds. */
uint64_t world_position(struct world *w);
/* The status as JSON; malloc'd. */
char *world_query(struct world *w, enum zdm_query_kind kind, const char *migration);

/* Enrols a shard with olga's signature; the token as text. */
void world_enrol(struct world *w, const char *shard, const char *label, struct zdm_token *out);
/* Joins with that token as an agent of the attacker's own; false when refused. */
bool world_join(struct world *w, const struct zdm_token *token, const struct zdm_signing_key *key);

#endif
