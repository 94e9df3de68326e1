/*
 * lanes.h - what every engine shares: one thread and one session per lane, a bounded queue in front of each (engine.h).
 *
 * A lane's thread starts with its first operation and ends with the engine. A session is opened when an operation
 * needs it, and only on the very server that the last CONNECT saw: after a restart, a promotion or on another server
 * the core has to ask before it acts (protocol 3, rule 6), so that such a lane answers "connect anew".
 *
 * An engine gives a table of functions over a lane of its own making. lane_new is called before the lane's thread
 * begins, everything else about a lane on that thread alone.
 */
#ifndef AGENT_ENGINE_LANES_H
#define AGENT_ENGINE_LANES_H

#include <stdatomic.h>

#include "agent/engine/engine.h"

enum { AGENT_LANE_CHECKED_MAX = 80 };

/* What an operation says of itself besides its result. */
struct agent_lane_note {
    int64_t waited_ms;                       /* for replicas: it says nothing about the cost of a batch */
    char checked_on[AGENT_LANE_CHECKED_MAX]; /* the replica on which a check ran; "" for the primary */
};

/* What a lane remembers from one operation to the next holds for one step, one plan and one connection. */
struct agent_lane_scope {
    struct zdm_hash plan_hash;
    uint32_t step;
    uint64_t opened; /* how often the session was opened then */
};

struct agent_lane_scope agent_lane_scope_of(const struct agent_op *op, uint64_t opened);
/* Is it that of the operation? Of one without a plan nothing is remembered. */
bool agent_lane_is_scope(const struct agent_lane_scope *scope, const struct agent_op *op, uint64_t opened);

struct agent_lane_ops {
    const char *name; /* "postgresql" */
    enum zdm_engine engine;
    /* A lane, closed; NULL without memory. wake_fd becomes readable, and *give_up true, when the running operation is
     * to end. */
    void *(*lane_new)(void *engine, int wake_fd, atomic_bool *give_up);
    void (*lane_free)(void *lane);
    /* (Re)opens the session within the connect timeout; is it open; who the server is. */
    enum zdm_code (*open)(void *lane, struct zdm_error *err);
    bool (*is_open)(void *lane);
    void (*close)(void *lane);
    const char *(*identity)(void *lane);
    /* Carries the operation out with a deadline of op->time_limit_ms, and leaves no transaction open. */
    enum zdm_code (*perform)(void *lane, const struct agent_op *op, struct agent_result *result,
                             struct agent_lane_note *note, struct zdm_error *err);
    void (*engine_free)(void *engine);
};

/* Takes the engine (freed by engine_free, also after a failure). */
enum zdm_code agent_lanes_open(const struct agent_lane_ops *ops, void *engine, const struct agent_engine_sink *sink,
                               struct agent_engine *out_engine, struct zdm_error *err) ZDM_CHECKED;

#endif
