/*
 * backoff.h - how long to wait before trying again: exponential with full jitter, capped.
 */
#ifndef ZDM_BASE_BACKOFF_H
#define ZDM_BASE_BACKOFF_H

#include <stdint.h>

/* The delay in ms before attempt n + 1 after n failures (n >= 1): uniform in [base/2, min(cap, base * 2^(n-1))], at
 * least base/2. `random` is 64 random bits from the caller. */
int64_t zdm_backoff_ms(unsigned failures, int64_t base_ms, int64_t cap_ms, uint64_t random);

#endif
