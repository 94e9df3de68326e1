/*
 * messages.h - the tables of messages that more than one file needs, and of all bodies for the tests. See fields.h.
 */
#ifndef ZDM_PROTO_MESSAGES_H
#define ZDM_PROTO_MESSAGES_H

#include "common/base/limits.h"
#include "common/base/selector.h"
#include "proto/fields.h"

enum { ZDM_ENVELOPE_MAX = ZDM_PLAN_MAX + 56 }; /* signed bytes: a plan and the header in front of it */

extern const struct zdm_message zdm_envelope_message, zdm_fence_message, zdm_throttle_message, zdm_label_message;
extern const struct zdm_message zdm_directive_message, zdm_approval_message, zdm_undo_order_message, zdm_trust_message,
    zdm_request_message, zdm_enrolment_message, zdm_token_message;
extern const struct zdm_message zdm_plan_header_message, zdm_plan_phase_message, zdm_notes_message, zdm_survey_message;
extern const struct zdm_message zdm_report_message;
/* The table of a frame's body, NULL for an unknown type; type: enum zdm_frame_type. */
const struct zdm_message *zdm_frame_body_message(unsigned type);

/* For check functions: the labels' keys are distinct. */
enum zdm_code zdm_labels_check(const struct zdm_labels *labels, struct zdm_error *err) ZDM_CHECKED;

#endif
