/*
 * backoff.c - see backoff.h.
 */
#include "common/base/backoff.h"

int64_t zdm_backoff_ms(unsigned failures, int64_t base_ms, int64_t cap_ms, uint64_t random)
{
    int64_t top = base_ms;
    for (unsigned i = 1; i < failures && top < cap_ms; i++)
        top *= 2;
    if (top > cap_ms)
        top = cap_ms;
    int64_t bottom = base_ms / 2;
    if (top <= bottom)
        return bottom;
    return bottom + (int64_t)(random % (uint64_t)(top - bottom + 1));
}
