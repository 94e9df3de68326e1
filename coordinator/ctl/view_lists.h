/*
 * view_lists.h - history, agents, versions and the trust file for people. Pure: data and a look in, text out.
 */
#ifndef COORDINATOR_CTL_VIEW_LISTS_H
#define COORDINATOR_CTL_VIEW_LISTS_H

#include <jansson.h>

#include "common/base/seams.h"
#include "coordinator/ctl/text.h"
#include "proto/trust_file.h"

/* The events as a story; where they speak of several migrations each says of which. */
void ctl_view_history(struct zdm_buffer *out, const struct ctl_look *look, const json_t *history);
void ctl_view_agents(struct zdm_buffer *out, const struct ctl_look *look, const json_t *agents);
void ctl_view_version(struct zdm_buffer *out, const struct ctl_look *look, const char *client, const json_t *version);
void ctl_view_trust(struct zdm_buffer *out, const struct ctl_look *look, const struct zdm_crypto *crypto,
                    const struct zdm_trust_chain *chain);

#endif
