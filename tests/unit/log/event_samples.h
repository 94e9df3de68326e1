/*
 * event_samples.h - an event of each type with every field set.
 */
#ifndef TESTS_UNIT_LOG_EVENT_SAMPLES_H
#define TESTS_UNIT_LOG_EVENT_SAMPLES_H

#include "coordinator/core/event.h"

/* Fills seq 7 and epoch 3; false for a number that is no type. */
bool sample_event(unsigned type, struct coord_event *out);

#endif
