/*
 * index.h - from a 16-byte id to a position in an array: open addressing, linear probing, no deletion.
 *
 * Agents, request ids and view entries are only ever added, in arrays that move as they grow; so the index keeps
 * positions, not pointers (which is why this is not uthash, whose handles live inside the elements). Keys stand in the
 * slots: a lookup touches nothing else.
 */
#ifndef COORDINATOR_CORE_INDEX_H
#define COORDINATOR_CORE_INDEX_H

#include "coordinator/core/state.h"

struct coord_index_slot {
    struct zdm_id id;
    uint32_t position; /* + 1; 0: empty */
};

/* The position, or -1. */
long coord_index_find(const struct coord_index *index, const struct zdm_id *id);
/* Adds an id that is not there (or moves one that is). False without memory, nothing then changed. */
bool coord_index_put(struct coord_index *index, const struct zdm_id *id, size_t position);
void coord_index_fini(struct coord_index *index);

#endif
