/*
 * invariants.h - what must hold of the state after every group of events, for the simulator, tests and assertions.
 */
#ifndef COORDINATOR_CORE_INVARIANTS_H
#define COORDINATOR_CORE_INVARIANTS_H

#include "coordinator/core/core.h"

/* False with a sentence in why when one does not. O(shards). Between the events of one group some may not hold. */
bool coord_invariants(const struct coord_state *state, char *why, size_t size);

#endif
