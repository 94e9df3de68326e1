/*
 * story.h - what is worth a line in the log: the difference between two reports.
 */
#ifndef AGENT_APP_STORY_H
#define AGENT_APP_STORY_H

#include "agent/core/core.h"
#include "common/os/log.h"
#include "common/plan/report.h"

enum { AGENT_NOTE_PAIRS = 3 };

/* One line: a message, and what it is about as key and value. Pairs end with the first key that is NULL; values are
 * never empty. */
struct agent_note {
    enum zdm_log_level level;
    const char *message;
    struct {
        const char *key, *value;
    } pairs[AGENT_NOTE_PAIRS];
};

typedef void (*agent_notice)(void *ctx, const struct agent_note *note);

/* Adds a pair; an empty value is left out. */
void agent_note_add(struct agent_note *note, const char *key, const char *value);

/* core: names the steps of its plans; NULL is allowed. */
void agent_story_tell(const struct zdm_report *before, const struct zdm_report *after, const struct agent_core *core,
                      agent_notice notice, void *ctx);

#endif
