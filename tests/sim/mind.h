/*
 * mind.h - what the people of a cluster want: to get each migration to its end, or back to its beginning; and what they
 * do on top of it while a storm rages, sensible or not.
 */
#ifndef TESTS_SIM_MIND_H
#define TESTS_SIM_MIND_H

#include "tests/sim/cluster.h"

/* The next thing that sensible people do; nothing when all is done, everybody is busy or the coordinator is away. */
void mind_push(struct cluster *cluster);
/* Something that is sensible or not, at whatever moment. */
void mind_meddle(struct cluster *cluster);
/* Something is signed, and goes no further than the ledger: a liar may use it. */
void mind_sign(struct cluster *cluster);
/* Is every migration where people want it, and everything hidden purged? */
bool mind_is_content(const struct cluster *cluster);

#endif
