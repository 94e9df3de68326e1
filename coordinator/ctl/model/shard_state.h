/*
 * shard_state.h - what one shard of a status is doing, in one word, and how much a person has to care.
 *
 * The status holds what the coordinator wants (desired, status) and what the agent said (observed, with the time it was
 * heard). Both are folded here, purely, into one word and one reason; the view, the groups of a large fleet and `wait`
 * all judge by it.
 */
#ifndef COORDINATOR_CTL_MODEL_SHARD_STATE_H
#define COORDINATOR_CTL_MODEL_SHARD_STATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coordinator/ctl/text/text.h"

/* The order is that of attention: what a person must look at comes first. */
enum ctl_shard_word {
    CTL_SHARD_FAILED,
    CTL_SHARD_UNSURE,
    CTL_SHARD_NO_DATABASE, /* its agent cannot reach it */
    CTL_SHARD_AWAY,        /* its agent is not connected */
    CTL_SHARD_BLOCKED,     /* waits for a lock */
    CTL_SHARD_PARKED,      /* its agent waits for the coordinator's word */
    CTL_SHARD_RETRYING,
    CTL_SHARD_THROTTLED,
    CTL_SHARD_UNDOING,
    CTL_SHARD_WORKING,
    CTL_SHARD_PAUSING, /* paused, but the agent has not said that it stopped */
    CTL_SHARD_PAUSED,
    CTL_SHARD_ROLLED_BACK, /* where a rollback took it to, until somebody resumes it */
    CTL_SHARD_WAITING,     /* for a wave, a barrier, a gate, an advance: see reason */
    CTL_SHARD_FINISHED,    /* the open phase is done here */
    CTL_SHARD_EXCLUDED,
    CTL_SHARD_UNDONE,
    CTL_SHARD_DONE,
    CTL_SHARD_WORDS
};

/* An agent that has not been heard for so long is away: it reports every second while it works, else every 10 s. */
enum { CTL_HEARD_LATE_MS = 15000 };

struct ctl_shard {
    const char *name;
    enum ctl_shard_word word;
    enum ctl_style style;
    char step[48];      /* "2.2 backfill", "" when nothing runs */
    int permille;       /* of the rows; 1000 when the open phase is done, -1 when it cannot be said */
    uint64_t rows_done; /* of the step at hand */
    uint64_t rows_total;
    uint64_t rows_per_s;
    int64_t eta_s;    /* -1: not known */
    int64_t heard_ms; /* -1: nothing heard since the coordinator started */
    char reason[640]; /* why it does not move, in words; "" when it does */
    const char *hint; /* what helps against that, "" where nobody knows */
};

/* Judges one element of status.shards. Texts borrow from it. phase: the opened one. */
void ctl_shard_read(struct ctl_shard *out, const json_t *shard, int64_t phase);
/* "working". */
const char *ctl_shard_word_text(enum ctl_shard_word word);

/* Has the shard proven every step up to that phase, by the coordinator's books? */
bool ctl_shard_reached(const json_t *shard, int64_t phase);
/* Is it where a rollback took it to? */
bool ctl_shard_is_rolled_back(const json_t *shard);
/* Is it paused, and did its agent say that it has stopped? */
bool ctl_shard_is_paused(const json_t *shard);

#endif
