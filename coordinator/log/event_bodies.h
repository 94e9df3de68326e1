/*
 * event_bodies.h - the table of each event type's body (proto/fields.h). Inside coordinator/log only.
 */
#ifndef COORDINATOR_LOG_EVENT_BODIES_H
#define COORDINATOR_LOG_EVENT_BODIES_H

#include "proto/messages.h"

/* The table that describes struct coord_event's members for a type; NULL for a type that this release does not know. */
const struct zdm_message *coord_event_body(unsigned type);

#endif
