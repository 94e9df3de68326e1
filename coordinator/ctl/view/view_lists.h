/*
 * view_lists.h - history, agents and versions for people. Pure: data and a look in, text out.
 */
#ifndef COORDINATOR_CTL_VIEW_VIEW_LISTS_H
#define COORDINATOR_CTL_VIEW_VIEW_LISTS_H

#include <jansson.h>

#include "coordinator/ctl/text/text.h"

/* The events as a story; where they speak of several migrations each says of which. */
void ctl_view_history(struct zdm_buffer *out, const struct ctl_look *look, const json_t *history);
void ctl_view_agents(struct zdm_buffer *out, const struct ctl_look *look, const json_t *agents);
void ctl_view_version(struct zdm_buffer *out, const struct ctl_look *look, const char *client, const json_t *version);

#endif
