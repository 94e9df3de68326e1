/*
 * story.h - what is worth a line in the log: the difference between two reports.
 */
#ifndef AGENT_APP_STORY_H
#define AGENT_APP_STORY_H

#include "common/os/log.h"
#include "common/plan/report.h"

/* message; subject: the migration or node, detail: what about it; both "" for none. */
typedef void (*agent_notice)(void *ctx, enum zdm_log_level level, const char *message, const char *subject,
                             const char *detail);

void agent_story_tell(const struct zdm_report *before, const struct zdm_report *after, agent_notice notice, void *ctx);

#endif
