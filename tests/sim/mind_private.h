/*
 * mind_private.h - between what people want (mind.c) and what they can do (mind_verbs.c).
 */
#ifndef TESTS_SIM_MIND_PRIVATE_H
#define TESTS_SIM_MIND_PRIVATE_H

#include "coordinator/core/core.h"
#include "tests/sim/mind.h"

/* Did rollbacks leave something that is not purged yet? */
bool mind_has_leftovers(const struct cluster *cluster, unsigned plan);
int64_t mind_wall(const struct cluster *cluster);
/* In force at the coordinator: 1 or 2. */
uint32_t mind_trust_version(const struct cluster *cluster);
/* A place from which a request can be made now, NULL when everybody waits for an answer. */
struct sim_operator *mind_chair(struct cluster *cluster);
/* Somebody with the role in the trust file in force; now and then somebody who lacks it. */
enum person mind_somebody(struct cluster *cluster, enum zdm_role role);
/* Makes the request (takes it), when there is a chair. */
void mind_ask(struct cluster *cluster, enum person who, unsigned plan, struct zdm_request *request);
/* shard NULL: all of them, here and below. */
void mind_select(struct zdm_request *request, const char *shard);
/* A verb that carries nothing. */
void mind_do(struct cluster *cluster, unsigned plan, enum zdm_verb verb, const char *shard);
/* mind_submit.c */
void mind_submit(struct cluster *cluster, unsigned plan);
/* Is who signed its plan no operator any more? Then it is submitted once more. */
bool mind_signer_left(const struct cluster *cluster, const struct coord_migration *m);
/* Another version of the plan for the migration that is under way. */
void mind_amend(struct cluster *cluster, unsigned plan);
void mind_publish_trust(struct cluster *cluster);
void mind_approve(struct cluster *cluster, unsigned plan, const struct coord_migration *m, enum zdm_verb verb,
                  enum zdm_approval_action action, uint32_t phase);
void mind_withdraw(struct cluster *cluster, unsigned plan);
/* As far back as the reverse barrier lets one command go. */
uint32_t mind_leg(const struct coord_migration *m, const char *shard);
/* The highest switch phase that the shard (NULL: any) has entered, 0 for none. */
uint32_t mind_switch(const struct coord_migration *m, const char *shard);
void mind_roll_back(struct cluster *cluster, unsigned plan, const struct coord_migration *m, const char *shard,
                    uint32_t to);
/* Would it lose something? Then, mostly, people say first that they know: true when one did. */
bool mind_signs_loss(struct cluster *cluster, unsigned plan, const struct coord_migration *m, uint32_t to);
void mind_forward_again(struct cluster *cluster, unsigned plan, const char *shard);

#endif
