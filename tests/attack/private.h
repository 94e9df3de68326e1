/*
 * private.h - what world.c, sign.c and person.c share.
 */
#ifndef TESTS_ATTACK_PRIVATE_H
#define TESTS_ATTACK_PRIVATE_H

#include "tests/attack/world.h"

void world_make_people(struct world *w);
void world_make_plans(struct world *w);
void world_write_trust(const struct world *w, const char *name, uint32_t version);

#endif
