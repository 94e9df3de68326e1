/*
 * sim_store.h - the coordinator's disk: a memory store whose appends can fail in every way that a real one's can.
 *
 * What was appended stays: the disk survives the process. A fault decides by chance whether the group got in or not,
 * where the contract of the store leaves that open (STORE_UNKNOWN, and STORE_IO at the end of a process).
 */
#ifndef TESTS_SIM_SIM_STORE_H
#define TESTS_SIM_SIM_STORE_H

#include "coordinator/store/store.h"
#include "tests/sim/world.h"

struct sim_store {
    struct store memory;
    struct world *world;
    unsigned unknown_percent, broken_percent;
    int64_t full_until_ms;
    uint64_t unknown_kept, unknown_lost, broken, full; /* so that a run can show that it was not idle */
};

/* The store that the coordinator is given; disk must outlive it. */
struct store sim_store_open(struct sim_store *disk, struct world *world);
void sim_store_close(struct sim_store *disk);
/* No faults from here on. */
void sim_store_heal(struct sim_store *disk);
/* The chain's hash at a position, into *out; NULL when nothing stands there. */
const struct zdm_hash *sim_store_hash_at(const struct sim_store *disk, uint64_t seq, struct zdm_hash *out);
uint64_t sim_store_head(const struct sim_store *disk);

#endif
