/*
 * pacing.h - how much at once and how often, as arithmetic: batch sizes, duty cycle, rate, and attempts at a lock.
 *
 * The database belongs to the application: a batch is as large as fits a target time, the agent sleeps in proportion to
 * what it used, and a lock is asked for without queueing as long as that has a chance.
 */
#ifndef AGENT_CORE_PACING_H
#define AGENT_CORE_PACING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/plan/plan.h"

struct agent_batch_limits {
    uint32_t target_ms;
    uint32_t rows_min, rows_max; /* rows_min <= rows_max */
};

/* The first size of a walk: small, since the cost of a row is not known yet. */
uint32_t agent_batch_first(const struct agent_batch_limits *limits);
/* The next size after a batch of `rows` took elapsed_ms: proportional to the target, at most half or one and a half
 * of the last; at once when it shrinks, by half of the difference when it grows. */
uint32_t agent_batch_next(const struct agent_batch_limits *limits, uint32_t rows, uint32_t elapsed_ms);
/* After a deadlock or a time-out: half, down to a single row (below rows_min, which is about overhead, not safety). */
uint32_t agent_batch_halved(uint32_t rows);

/* How long to sleep after work of elapsed_ms so that work takes duty percent of the time; 0 for 100. */
int64_t agent_duty_sleep_ms(uint32_t elapsed_ms, uint32_t duty_percent);

/* Rows per second, smoothed over about five seconds. */
struct agent_rate {
    double per_s;
    int64_t at_ms; /* end of the last batch; 0: none yet */
};
void agent_rate_note(struct agent_rate *rate, int64_t now_ms, uint32_t rows, uint32_t elapsed_ms);

/* Attempts at one short lock. All zero: none made yet. */
struct agent_lock_pacing {
    unsigned tries;  /* that did not get the lock */
    bool autovacuum; /* the last blocker was an ordinary autovacuum: it gives way to a queued request */
    bool has_queued; /* an attempt queued before, at queued_ms */
    int64_t queued_ms;
    int64_t queue_due_ms;       /* the next attempt that queues */
    unsigned behind_autovacuum; /* attempts in a row that queued behind one, in vain */
};
enum { AGENT_LOCK_GAP_MS = 100, AGENT_LOCK_QUEUE_GAP_MS = 1000, AGENT_LOCK_STALL_EVERY = 10 };

/* Whether the attempt that starts now may queue; the first nowait_attempts do not, unless an autovacuum is in the way.
 */
bool agent_lock_may_queue(const struct agent_lock_pacing *lock, uint32_t nowait_attempts, int64_t now_ms);
/* Whether the attempt that queues now is the one in ten which may do so for as long as an autovacuum needs to be told
 * to give way, where the agent may not shorten that (database.md 2). */
bool agent_lock_may_stall(const struct agent_lock_pacing *lock);
/* Notes that an attempt queued. */
void agent_lock_queued(struct agent_lock_pacing *lock, int64_t now_ms, uint64_t random);
/* Notes an attempt without success; returns the ms to wait before the next. */
int64_t agent_lock_missed(struct agent_lock_pacing *lock, bool autovacuum, int64_t now_ms, uint64_t random);

/* Longer than this no batch shall hold its row locks, whoever says so. */
enum { AGENT_BATCH_TARGET_MAX_MS = 10000 };

/* What counts: the first of directive, plan and agent that says something, field by field. */
struct zdm_throttle agent_throttle_resolve(const struct zdm_throttle *directive, const struct zdm_throttle *plan,
                                           const struct zdm_throttle *agent);
/* The gentler of two, field by field. */
struct zdm_throttle agent_throttle_gentler(const struct zdm_throttle *a, const struct zdm_throttle *b);

/* Makes several random numbers of one (splitmix64). */
uint64_t agent_random_next(uint64_t *state);

#endif
