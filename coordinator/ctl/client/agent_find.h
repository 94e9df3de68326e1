/*
 * agent_find.h - which agent a person means.
 */
#ifndef COORDINATOR_CTL_CLIENT_AGENT_FIND_H
#define COORDINATOR_CTL_CLIENT_AGENT_FIND_H

#include <jansson.h>

#include "common/base/error.h"

/* The agent of an `agents` answer with that id, or the only one whose id begins so, or the only agent of that shard;
 * revoked ones do not count. ZDM_NOT_FOUND, ZDM_INVALID when several are meant. Borrowed. */
enum zdm_code ctl_agent_find(const json_t *agents, const char *named, const json_t **out,
                             struct zdm_error *err) ZDM_CHECKED;

#endif
