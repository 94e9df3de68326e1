/*
 * event.c - life and names of events. See event.h.
 */
#include "coordinator/core/event.h"

#include <stdlib.h>
#include <string.h>

static void submitted_fini(struct coord_event *event)
{
    zdm_plan_unref(event->u.migration_submitted.plan);
    zdm_envelope_fini(&event->u.migration_submitted.plan_envelope);
    free(event->u.migration_submitted.notes);
    free(event->u.migration_submitted.shards);
}

void coord_event_fini(struct coord_event *event)
{
    if (event == NULL)
        return;
    /* Only the types named here own memory. */
    if (event->type == COORD_EVENT_OPERATOR_ACTED)
        zdm_envelope_fini(&event->u.operator_acted.signed_request);
    else if (event->type == COORD_EVENT_ENROLMENT_ISSUED)
        zdm_envelope_fini(&event->u.enrolment_issued.signed_enrolment);
    else if (event->type == COORD_EVENT_MIGRATION_SUBMITTED || event->type == COORD_EVENT_PLAN_AMENDED)
        submitted_fini(event);
    else if (event->type == COORD_EVENT_APPROVAL_ADDED) {
        zdm_approval_fini(&event->u.approval_added.approval);
        zdm_envelope_fini(&event->u.approval_added.signed_approval);
    } else if (event->type == COORD_EVENT_PHASE_OPENED) {
        free(event->u.phase_opened.only.bytes);
    } else if (event->type == COORD_EVENT_SHARDS_DIRECTED) {
        free(event->u.directed.shards);
        zdm_envelope_fini(&event->u.directed.undo_order);
    }
    memset(event, 0, sizeof *event);
}

const char *coord_event_type_name(enum coord_event_type type)
{
    switch (type) {
#define X(name, number, text)                                                                                          \
    case COORD_EVENT_##name:                                                                                           \
        return text;
        COORD_EVENT_TYPES(X)
#undef X
    }
    return "?";
}
