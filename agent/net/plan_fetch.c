/*
 * plan_fetch.c - see plan_fetch.h.
 */
#include "agent/net/plan_fetch.h"

#include <string.h>

#include "proto/signed.h"

enum { TOTAL_MAX = ZDM_PLAN_MAX + ZDM_SIGNED_HEADER_SIZE + ZDM_SIGNATURE_SIZE };

void agent_plan_fetch_init(struct agent_plan_fetch *fetch)
{
    memset(fetch, 0, sizeof *fetch);
    zdm_buffer_init(&fetch->bytes, TOTAL_MAX);
}

void agent_plan_fetch_fini(struct agent_plan_fetch *fetch)
{
    zdm_buffer_fini(&fetch->bytes);
}

static void start_anew(struct agent_plan_fetch *fetch)
{
    zdm_buffer_fini(&fetch->bytes); /* a plan may be large, and the next one is far away */
    zdm_buffer_init(&fetch->bytes, TOTAL_MAX);
    fetch->total = 0;
    fetch->asked_ms = 0;
}

void agent_plan_fetch_want(struct agent_plan_fetch *fetch, const struct zdm_hash *hash)
{
    for (size_t i = 0; i < fetch->n_wanted; i++)
        if (zdm_hash_equal(&fetch->wanted[i], hash))
            return;
    if (fetch->n_wanted < AGENT_FETCHES_MAX)
        fetch->wanted[fetch->n_wanted++] = *hash;
}

void agent_plan_fetch_reset(struct agent_plan_fetch *fetch)
{
    fetch->n_wanted = 0;
    start_anew(fetch);
}

void agent_plan_fetch_done(struct agent_plan_fetch *fetch)
{
    if (fetch->n_wanted > 0)
        memmove(fetch->wanted, fetch->wanted + 1, --fetch->n_wanted * sizeof fetch->wanted[0]);
    start_anew(fetch);
}

bool agent_plan_fetch_next(struct agent_plan_fetch *fetch, int64_t now_ms, struct zdm_piece *out_request)
{
    if (fetch->asked_ms != 0) {
        if (now_ms < fetch->asked_ms + AGENT_FETCH_PATIENCE_MS)
            return false;
        agent_plan_fetch_done(fetch);
    }
    if (fetch->n_wanted == 0)
        return false;
    fetch->asked_ms = now_ms > 0 ? now_ms : 1;
    *out_request = (struct zdm_piece){.hash = fetch->wanted[0], .offset = (uint32_t)fetch->bytes.len};
    return true;
}

enum agent_piece agent_plan_fetch_take(struct agent_plan_fetch *fetch, const struct zdm_piece *piece)
{
    if (fetch->n_wanted == 0 || fetch->asked_ms == 0 || !zdm_hash_equal(&piece->hash, &fetch->wanted[0]))
        return AGENT_PIECE_IGNORED;
    if (piece->offset != fetch->bytes.len || piece->n == 0 || piece->n > ZDM_PIECE_MAX || piece->total > TOTAL_MAX ||
        (fetch->total != 0 && piece->total != fetch->total) || piece->n > piece->total - piece->offset)
        return AGENT_PIECE_WRONG;
    fetch->total = piece->total;
    fetch->asked_ms = 0;
    zdm_buffer_append(&fetch->bytes, piece->bytes, piece->n);
    if (fetch->bytes.failed)
        return AGENT_PIECE_WRONG;
    return fetch->bytes.len == fetch->total ? AGENT_PIECE_WHOLE : AGENT_PIECE_MORE;
}
