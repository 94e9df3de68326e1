/*
 * plan_fetch.h - a signed plan in pieces: asked for in order, bounded, one at a time. Pure: it asks through a callback
 * and is told of pieces; what the bytes mean is checked by its owner when all of them are there.
 */
#ifndef AGENT_NET_PLAN_FETCH_H
#define AGENT_NET_PLAN_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buffer.h"
#include "common/base/id.h"
#include "common/base/limits.h"
#include "proto/codec.h"

enum { AGENT_FETCHES_MAX = ZDM_MIGRATIONS_ACTIVE_MAX, AGENT_FETCH_PATIENCE_MS = 5000 };

struct agent_plan_fetch {
    struct zdm_hash wanted[AGENT_FETCHES_MAX]; /* the first is being fetched */
    size_t n_wanted;
    struct zdm_buffer bytes;
    uint32_t total;   /* 0: not known yet */
    int64_t asked_ms; /* 0: not asked */
};

void agent_plan_fetch_init(struct agent_plan_fetch *fetch);
void agent_plan_fetch_fini(struct agent_plan_fetch *fetch);
/* Notes that a plan is wanted; one too many is forgotten and will be asked for again. */
void agent_plan_fetch_want(struct agent_plan_fetch *fetch, const struct zdm_hash *hash);
/* Forgets all: the link is down. */
void agent_plan_fetch_reset(struct agent_plan_fetch *fetch);
/* The request to send now, if any: hash and offset. A request without answer is given up for the next plan. */
bool agent_plan_fetch_next(struct agent_plan_fetch *fetch, int64_t now_ms, struct zdm_piece *out_request);

enum agent_piece { AGENT_PIECE_IGNORED, AGENT_PIECE_MORE, AGENT_PIECE_WHOLE, AGENT_PIECE_WRONG /* close the link */ };
/* Takes a piece. WHOLE: fetch->bytes holds all, until agent_plan_fetch_done. */
enum agent_piece agent_plan_fetch_take(struct agent_plan_fetch *fetch, const struct zdm_piece *piece);
/* Goes on with the next wanted plan. */
void agent_plan_fetch_done(struct agent_plan_fetch *fetch);

#endif
