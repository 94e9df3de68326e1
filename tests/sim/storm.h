/*
 * storm.h - what happens to a cluster in one seed: faults for some minutes, people who go on meanwhile, then peace.
 */
#ifndef TESTS_SIM_STORM_H
#define TESTS_SIM_STORM_H

#include "tests/sim/cluster.h"

/* What a storm of one seed is made of, drawn once, so that seeds differ in kind and not only in timing. */
struct storm {
    struct sim_db_faults database;
    unsigned crash_percent, restart_percent, cut_percent, partition_percent, freeze_percent, delay_percent;
    unsigned double_percent, full_percent, unknown_percent, broken_percent;
    unsigned restore_percent, log_percent, second_percent, gap_percent;
    bool people_meddle;
    bool amending;     /* people change plans that are under way */
    bool lying;        /* afterwards a liar has the coordinator's key */
    bool long_silence; /* a shard that nobody hears for longer than a lease, and that cannot get on meanwhile */
};

void storm_draw(struct world *world, struct storm *out);
void storm_rage(struct cluster *cluster, const struct storm *storm);
/* No faults any more; people go on until every migration is where they want it, or for a time that must suffice. */
void storm_end(struct cluster *cluster);
/* Instead of peace: a liar in the coordinator's place, for a while. */
void storm_lie(struct cluster *cluster);

#endif
