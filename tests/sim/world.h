/*
 * world.h - a deterministic world: simulated time, randomness, and a queue of things that will happen.
 *
 * Everything that differs from run to run comes from one seed, with every compiler: no two draws stand in one call's
 * arguments or in one list of initializers, whose order each compiler chooses for itself. An event belongs to a node's
 * incarnation: when the node crashes, what was still to happen to it is dropped, as it would be with a process. One
 * thread; nothing here blocks.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/seams.h"

enum { WORLD_NODES_MAX = 12, WORLD_ANY = -1 };

struct world_node {
    bool alive;
    unsigned incarnation;
    int64_t boot_offset_ms, wall_offset_ms; /* clocks differ between nodes */
    int64_t drift_ppm;
    int64_t frozen_until_ms; /* a process that is not scheduled: its events wait, boottime goes on */
    struct world *world;
    struct zdm_clock clock;
    struct zdm_random random;
};

struct world_event;

struct world {
    uint64_t seed;
    uint64_t state;  /* of the generator */
    uint64_t digest; /* of everything that happened, for replay */
    int64_t now_ms;
    uint64_t order;
    struct world_event **heap;
    size_t n_events, cap_events;
    struct world_node nodes[WORLD_NODES_MAX];
    bool verbose;
};

void world_init(struct world *world, uint64_t seed);
void world_fini(struct world *world);

uint64_t world_random(struct world *world);
/* Uniform in [low, high]. */
int64_t world_between(struct world *world, int64_t low, int64_t high);
/* True with a probability of percent / 100. */
bool world_chance(struct world *world, unsigned percent);

/* Something that will happen after delay_ms, to a node's present incarnation (or WORLD_ANY). `payload` goes to fn,
 * which owns it; when the event is dropped instead, drop(payload) is called (NULL: nothing to free). */
void world_after(struct world *world, int64_t delay_ms, int node, void (*fn)(void *ctx, void *payload), void *ctx,
                 void *payload, void (*drop)(void *payload));
/* Lets the next thing happen; false when there is nothing or it lies after until_ms (time is then until_ms). */
bool world_step(struct world *world, int64_t until_ms);

/* A node comes to life (its former incarnation's events are void) or dies. */
void world_boot(struct world *world, int node);
void world_kill(struct world *world, int node);

/* Mixes something that happened into the run's digest. */
void world_witness(struct world *world, uint64_t what, uint64_t value);
/* Prints a line of the story when verbose. */
void world_tell(struct world *world, const char *fmt, ...) ZDM_PRINTF(2, 3);

/* Cheap stand-in for libsodium with the same contract: a signature verifies iff that key made it over those bytes. */
const struct zdm_crypto *sim_crypto(void);

#endif
