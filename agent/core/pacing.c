/*
 * pacing.c - see pacing.h.
 */
#include "agent/core/pacing.h"

enum { FIRST_ROWS = 200, RATE_WINDOW_MS = 5000 };

static uint32_t clamp(uint64_t value, uint32_t low, uint32_t high)
{
    if (value < low)
        return low;
    return value > high ? high : (uint32_t)value;
}

uint32_t agent_batch_first(const struct agent_batch_limits *limits)
{
    return clamp(FIRST_ROWS, limits->rows_min, limits->rows_max);
}

uint32_t agent_batch_next(const struct agent_batch_limits *limits, uint32_t rows, uint32_t elapsed_ms)
{
    uint64_t fitting = (uint64_t)rows * limits->target_ms / (elapsed_ms > 0 ? elapsed_ms : 1);
    uint64_t next = clamp(fitting, rows / 2, rows > UINT32_MAX / 2 ? UINT32_MAX : rows * 2);
    if (next > rows)
        next = rows + (next - rows + 1) / 2;
    return clamp(next, limits->rows_min, limits->rows_max);
}

uint32_t agent_batch_halved(uint32_t rows)
{
    return rows > 1 ? rows / 2 : 1;
}

int64_t agent_duty_sleep_ms(uint32_t elapsed_ms, uint32_t duty_percent)
{
    if (duty_percent == 0 || duty_percent >= 100)
        return 0;
    return ((int64_t)elapsed_ms * (100 - duty_percent) + duty_percent - 1) / duty_percent;
}

void agent_rate_note(struct agent_rate *rate, int64_t now_ms, uint32_t rows, uint32_t elapsed_ms)
{
    int64_t span = rate->at_ms > 0 ? now_ms - rate->at_ms : (int64_t)elapsed_ms;
    if (span < 1)
        span = 1;
    double momentary = (double)rows * 1000.0 / (double)span;
    double weight = rate->at_ms > 0 ? (double)span / (double)(span + RATE_WINDOW_MS) : 1.0;
    rate->per_s += (momentary - rate->per_s) * weight;
    rate->at_ms = now_ms;
}

bool agent_lock_may_queue(const struct agent_lock_pacing *lock, uint32_t nowait_attempts, int64_t now_ms)
{
    bool rested = !lock->has_queued || now_ms - lock->queued_ms >= AGENT_LOCK_QUEUE_GAP_MS;
    if (lock->autovacuum)
        return rested;
    return lock->tries >= nowait_attempts && now_ms >= lock->queue_due_ms;
}

bool agent_lock_may_stall(const struct agent_lock_pacing *lock)
{
    return lock->autovacuum && lock->behind_autovacuum % AGENT_LOCK_STALL_EVERY == AGENT_LOCK_STALL_EVERY - 1;
}

void agent_lock_queued(struct agent_lock_pacing *lock, int64_t now_ms, uint64_t random)
{
    lock->has_queued = true;
    lock->behind_autovacuum = lock->autovacuum ? lock->behind_autovacuum + 1 : 0;
    lock->queued_ms = now_ms;
    lock->queue_due_ms = now_ms + AGENT_LOCK_QUEUE_GAP_MS + (int64_t)(random % (AGENT_LOCK_QUEUE_GAP_MS + 1));
}

int64_t agent_lock_missed(struct agent_lock_pacing *lock, bool autovacuum, int64_t now_ms, uint64_t random)
{
    lock->tries++;
    lock->autovacuum = autovacuum;
    if (autovacuum && agent_lock_may_queue(lock, 0, now_ms))
        return 0;
    return AGENT_LOCK_GAP_MS * 3 / 4 + (int64_t)(random % (AGENT_LOCK_GAP_MS / 2 + 1));
}

static uint32_t first_set(uint32_t a, uint32_t b, uint32_t c)
{
    if (a != 0)
        return a;
    return b != 0 ? b : c;
}

struct zdm_throttle agent_throttle_resolve(const struct zdm_throttle *directive, const struct zdm_throttle *plan,
                                           const struct zdm_throttle *agent)
{
    uint32_t target = first_set(directive->batch_target_ms, plan->batch_target_ms, agent->batch_target_ms);
    return (struct zdm_throttle){
        .batch_target_ms = target < AGENT_BATCH_TARGET_MAX_MS ? target : AGENT_BATCH_TARGET_MAX_MS,
        .duty_percent = first_set(directive->duty_percent, plan->duty_percent, agent->duty_percent),
        .max_replica_lag_ms =
            first_set(directive->max_replica_lag_ms, plan->max_replica_lag_ms, agent->max_replica_lag_ms),
        .max_stall_ms = first_set(directive->max_stall_ms, plan->max_stall_ms, agent->max_stall_ms),
    };
}

static uint32_t lesser(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

struct zdm_throttle agent_throttle_gentler(const struct zdm_throttle *a, const struct zdm_throttle *b)
{
    return (struct zdm_throttle){
        .batch_target_ms = lesser(a->batch_target_ms, b->batch_target_ms),
        .duty_percent = lesser(a->duty_percent, b->duty_percent),
        .max_replica_lag_ms = lesser(a->max_replica_lag_ms, b->max_replica_lag_ms),
        .max_stall_ms = lesser(a->max_stall_ms, b->max_stall_ms),
    };
}

uint64_t agent_random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
