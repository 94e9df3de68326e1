/*
 * liar.h - whoever stole the coordinator's key, at the coordinator's address: speaks the protocol and says whatever it
 * likes. It has everything that people ever signed, and signs directives of its own: phases out of order, rollbacks
 * that nobody ordered, purges before their time, other shards' approvals. What agents do then is what is tested.
 */
#ifndef TESTS_SIM_LIAR_H
#define TESTS_SIM_LIAR_H

#include "tests/sim/cluster.h"

/* The coordinator dies, and the liar takes its place. */
void liar_start(struct cluster *cluster);
void liar_stop(struct cluster *cluster);

#endif
