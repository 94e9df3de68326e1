/*
 * doors.h - what agent_approvals.c and agent_doors.c share.
 */
#ifndef TESTS_ATTACK_DOORS_H
#define TESTS_ATTACK_DOORS_H

#include "tests/attack/liar.h"

enum { DOORS_NEEDED = 2 /* approvals */ };

extern char *doors_elsewhere[]; /* one name of a shard that is not the agent's */

/* Two approvals like that one, each with a nonce of its own. */
void doors_sign_pair(struct world *w, const struct zdm_signing_key *a, const struct zdm_signing_key *b,
                     const struct zdm_approval *like, struct zdm_envelope out[DOORS_NEEDED]);
void doors_drop(struct zdm_envelope *envelopes, size_t n);
/* Is there no column of that name in the table that the plan is about? */
bool doors_is_hidden(struct liar *l, const char *column);
/* A control: these approvals let the shard into phase 4. */
void doors_enter(struct liar *l, struct zdm_envelope *approvals, size_t n);

#endif
