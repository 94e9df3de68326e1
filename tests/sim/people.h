/*
 * people.h - the people of a simulated fleet: their keys, their roles in each version of the trust file, and a ledger
 * of everything they ever signed, against which the oracle judges what the agents do.
 */
#ifndef TESTS_SIM_PEOPLE_H
#define TESTS_SIM_PEOPLE_H

#include "common/base/buffer.h"
#include "common/plan/directive.h"
#include "proto/trust_file.h"
#include "tests/sim/world.h"

/* ann submits; bob may do everything; cat and dan only approve; eve may do everything at first. The second version of
 * the trust file knows dan no more, and eve may only read. */
enum person { ANN, BOB, CAT, DAN, EVE, PEOPLE };
enum { PEOPLE_TRUSTS = 2, PEOPLE_UNDER_MAX = 512 };

struct people_approval {
    struct zdm_approval approval; /* owned */
    struct zdm_envelope envelope; /* owned */
    enum person by;
    unsigned plan;
};

struct people_undo {
    struct zdm_undo_order order;  /* owned */
    struct zdm_envelope envelope; /* owned */
    enum person by;
    unsigned plan;
};

struct people {
    struct world *world;
    struct zdm_signing_key root, keys[PEOPLE];
    struct zdm_id fleet;
    struct zdm_trust_chain chain;            /* version 1 */
    struct zdm_buffer trusts[PEOPLE_TRUSTS]; /* the trust file in each version */
    struct zdm_hash trust_digests[PEOPLE_TRUSTS];
    uint32_t roles[PEOPLE_TRUSTS][PEOPLE]; /* bits of enum zdm_role */
    uint32_t approvals_min;
    bool four_eyes;
    struct people_approval approvals[PEOPLE_UNDER_MAX];
    size_t n_approvals;
    struct people_undo undos[PEOPLE_UNDER_MAX];
    size_t n_undos;
};

void people_init(struct people *people, struct world *world, const struct zdm_signing_key *coordinator);
void people_fini(struct people *people);
void people_make_key(struct world *world, struct zdm_signing_key *out_key);
const char *people_name(enum person person);
/* Has the person that role in that version of the trust file (1, 2)? */
bool people_may(const struct people *people, uint32_t version, enum person person, enum zdm_role role);
/* Who has that key; PEOPLE for nobody. */
enum person people_find(const struct people *people, const struct zdm_id *key_id);

/* Signs and notes in the ledger: nonce and shards are filled in (shard NULL: every shard). NULL when it is full. */
const struct people_approval *people_approve(struct people *people, enum person by, unsigned plan,
                                             const struct zdm_approval *approval, const char *shard);
const struct people_undo *people_undo(struct people *people, enum person by, unsigned plan,
                                      const struct zdm_undo_order *order, const char *shard);
/* What was signed under that nonce; NULL: nothing. */
const struct people_approval *people_find_approval(const struct people *people, const struct zdm_id *nonce);
const struct people_undo *people_find_undo(const struct people *people, const struct zdm_id *nonce);

#endif
