/*
 * notes.h - what people see beside a plan: title, prose, source lines, rewrites, findings. Never executed.
 *
 * Notes travel with the plan under a hash of their own (protocol 2); a plan is valid and runs without them.
 */
#ifndef ZDM_PLAN_NOTES_H
#define ZDM_PLAN_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/plan/plan.h"

enum zdm_level { ZDM_LEVEL_NOTE = 1, ZDM_LEVEL_WARNING = 2, ZDM_LEVEL_ERROR = 3 };

/* One remark of the compiler. `rule` is a stable name ("add-column-not-null"). */
struct zdm_finding {
    enum zdm_level level;
    char *rule;
    uint32_t line, column;  /* in the runbook, from 1; 0 when it concerns the whole file */
    enum zdm_engine engine; /* of a runbook for several: that it concerns alone, else ANY */
    char *message;
    char *hint; /* what to do, possibly several lines; "" for none */
};

/* A finding that people have judged: it never changes what is run, it says of what `check` finds why it may be so. */
struct zdm_waiver {
    char *rule;
    char *reason;
    uint32_t line, column;
};

struct zdm_phase_notes {
    char *title; /* "Expand" */
    char *prose; /* Markdown text under the heading, without fences; "" for none */
};

struct zdm_step_notes {
    uint32_t line, column; /* of the statement that it comes from; 0 for an implicit step */
    char *source;          /* what the user wrote */
    char *does;            /* what is done, in one sentence */
    char *lock;            /* "ACCESS EXCLUSIVE, at most 100 ms, retried" */
    bool rewritten;        /* done otherwise than written */
};

struct zdm_notes {
    char *file;                     /* base name of the runbook */
    char *title;                    /* of the level-1 heading, "" for none */
    struct zdm_phase_notes *phases; /* as many as the plan has phases */
    size_t n_phases;
    struct zdm_step_notes *steps; /* by ordinal - 1 */
    size_t n_steps;
    struct zdm_finding *findings;
    size_t n_findings;
    struct zdm_waiver *waivers;
    size_t n_waivers;
};

void zdm_notes_free(struct zdm_notes *notes);
const char *zdm_level_name(enum zdm_level level);

#endif
