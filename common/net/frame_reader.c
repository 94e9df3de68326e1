/*
 * frame_reader.c - see frame_reader.h.
 */
#include "common/net/frame_reader.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/limits.h"

void zdm_frame_reader_init(struct zdm_frame_reader *r)
{
    r->used = r->taken = 0;
    r->large = NULL;
    r->large_n = r->large_used = 0;
}

static void drop_large(struct zdm_frame_reader *r)
{
    free(r->large);
    r->large = NULL;
    r->large_n = r->large_used = 0;
}

void zdm_frame_reader_fini(struct zdm_frame_reader *r)
{
    drop_large(r);
    r->used = r->taken = 0;
}

uint8_t *zdm_frame_reader_room(struct zdm_frame_reader *r, size_t *out_n)
{
    if (r->large != NULL) {
        *out_n = r->large_n - r->large_used;
        return r->large + r->large_used;
    }
    memmove(r->small, r->small + r->taken, r->used - r->taken);
    r->used -= r->taken;
    r->taken = 0;
    *out_n = sizeof r->small - r->used;
    return r->small + r->used;
}

void zdm_frame_reader_came(struct zdm_frame_reader *r, size_t n)
{
    if (r->large != NULL)
        r->large_used += n;
    else
        r->used += n;
}

/* Moves what has come of a frame that can never fit the small array into memory of its own. */
static enum zdm_frame_next begin_large(struct zdm_frame_reader *r, size_t length)
{
    r->large = malloc(length);
    if (r->large == NULL)
        return ZDM_FRAME_NO_MEMORY;
    r->large_n = length;
    r->large_used = r->used - r->taken - ZDM_FRAME_HEADER;
    memcpy(r->large, r->small + r->taken + ZDM_FRAME_HEADER, r->large_used);
    r->used = r->taken = 0;
    return ZDM_FRAME_NONE;
}

static size_t length_at(const uint8_t *at)
{
    return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
}

enum zdm_frame_next zdm_frame_reader_next(struct zdm_frame_reader *r, const uint8_t **out, size_t *out_n)
{
    if (r->large != NULL && r->large_used == r->large_n && r->large_n > 0) {
        *out = r->large;
        *out_n = r->large_n;
        r->large_n = 0; /* handed out: dropped by the next call */
        return ZDM_FRAME_WHOLE;
    }
    if (r->large != NULL && r->large_n == 0)
        drop_large(r);
    size_t held = r->used - r->taken;
    if (r->large != NULL || held < ZDM_FRAME_HEADER)
        return ZDM_FRAME_NONE;
    size_t length = length_at(r->small + r->taken);
    if (length == 0)
        return ZDM_FRAME_EMPTY;
    if (length > ZDM_FRAME_MAX)
        return ZDM_FRAME_TOO_LONG;
    if (length > sizeof r->small - ZDM_FRAME_HEADER)
        return begin_large(r, length);
    if (held < ZDM_FRAME_HEADER + length)
        return ZDM_FRAME_NONE;
    *out = r->small + r->taken + ZDM_FRAME_HEADER;
    *out_n = length;
    r->taken += ZDM_FRAME_HEADER + length;
    return ZDM_FRAME_WHOLE;
}
