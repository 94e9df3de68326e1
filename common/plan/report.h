/*
 * report.h - what an agent says of its shard: the same structure on the wire, in the coordinator's view and in status.
 */
#ifndef ZDM_PLAN_REPORT_H
#define ZDM_PLAN_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/plan/directive.h"

/* The agent's state in one migration (protocol 10). */
enum zdm_agent_state {
    ZDM_AGENT_BLIND = 1,     /* no database */
    ZDM_AGENT_ASKING = 2,    /* waits for a live session to confirm the directive (protocol 3, rule 6) */
    ZDM_AGENT_OBSERVING = 3, /* not the actor, or read-only */
    ZDM_AGENT_RESTING = 4,   /* goal proven */
    ZDM_AGENT_LOOKING = 5,   /* inspecting a step */
    ZDM_AGENT_WORKING = 6,   /* one operation in flight */
    ZDM_AGENT_WAITING = 7,   /* back-off, throttle, lock, lease: see reason */
    ZDM_AGENT_PAUSED = 8,
    ZDM_AGENT_STOPPED = 9, /* failed; durable; works again only for a higher attempt */
    ZDM_AGENT_UNSURE = 10  /* looked three times and does not know */
};

/* Why an agent waits. */
enum zdm_wait {
    ZDM_WAIT_NONE = 0,
    ZDM_WAIT_BACKOFF = 1,   /* after a retryable error */
    ZDM_WAIT_THROTTLE = 2,  /* a signal holds it back: throttled_by */
    ZDM_WAIT_LOCK = 3,      /* a session holds the lock: blocked_by */
    ZDM_WAIT_LEASE = 4,     /* the coordinator has not been heard for too long */
    ZDM_WAIT_PLAN = 5,      /* the plan is being fetched */
    ZDM_WAIT_APPROVALS = 6, /* signatures are missing or do not count: blocked_by says why */
    ZDM_WAIT_GRACE = 7,     /* a purge waits for its grace period: blocked_by says until when */
    ZDM_WAIT_GATE = 8       /* a wait of the plan: blocked_by says until when, or for what */
};

enum { ZDM_WAIT_LAST = ZDM_WAIT_GATE };

enum zdm_signal_state { ZDM_SIGNAL_OK = 1, ZDM_SIGNAL_BAD = 2, ZDM_SIGNAL_STALE = 3 };

/* One thing that the pacing listens to: "replica_lag", value and limit in the unit that the name ends with (ms). */
struct zdm_signal {
    char name[32];
    enum zdm_signal_state state;
    int64_t value;
    int64_t limit;
    int64_t since_ms; /* how long it has been in this state */
};

struct zdm_progress {
    uint64_t rows_done;
    uint64_t rows_total; /* estimate; 0: not known */
    uint32_t rows_per_s;
    uint32_t batch_rows; /* size of the last batch */
    uint32_t batch_ms;   /* time it took */
};

/* Something of this migration that is hidden on the shard, by the database's own clock. */
struct zdm_hidden {
    char what[ZDM_TEXT_MAX / 2]; /* "column public.users.name"; "column public.users.full_name, left by a rollback" */
    int64_t hidden_at_ms;        /* unix time */
    int64_t purge_at_ms;         /* when its grace period ends */
    bool by_rollback;            /* left by a rollback: `zdmctl purge` and mode purge, not a phase, drop it */
    int64_t scans; /* of an index since then, on all known nodes of the shard; -1: it is none, or no longer used */
};
enum { ZDM_HIDDEN_MAX = 4 };

/* How the remark begins while the triggers of a sync were not what was installed and no comparison has been through
 * since. */
#define ZDM_REMARK_INTERRUPTED "sync was interrupted: "
/* In an error that only a rollback ends; the number of the phase follows. People read it, and so does who advises them.
 */
#define ZDM_ERROR_ROLL_BACK "roll back to phase "
/* How the hint of an amended plan that does not fit begins: read by both, too. */
#define ZDM_HINT_AMEND "Amend it again with "

/* Of one migration on this shard. */
struct zdm_migration_report {
    char migration[ZDM_NAME_MAX + 1];
    struct zdm_fence accepted;
    enum zdm_agent_state state;
    enum zdm_wait wait;
    bool proven;           /* every step up to proven_phase was looked at since the last connect: proven_phase counts */
    uint32_t proven_phase; /* the highest phase whose steps are all proven done; falls after a loss */
    uint32_t step;         /* ordinal of the step at hand, 0 for none */
    uint32_t failed_attempt; /* the attempt that STOPPED belongs to */
    bool undone;             /* mode undo: the goal is reached backwards */
    bool equivocation;       /* two orders of one pair were seen: an alarm that stays */
    struct zdm_progress progress;
    char throttled_by[64];             /* "replica_lag 5200 ms > 5000 ms for 12 s"; "" for none */
    char blocked_by[ZDM_TEXT_MAX + 1]; /* "pid 4242 (app@shop): SELECT …"; "" for none */
    enum zdm_code error_code;          /* ZDM_OK: none */
    char error_sqlstate[6];
    char error[ZDM_TEXT_MAX + 1];
    char hint[ZDM_HINT_MAX];  /* what helps against the error; "" for nothing */
    struct zdm_hash evidence; /* digest of what was seen, kept in the log with shard_reached */
    bool purged;              /* mode purge: nothing that a rollback left is there any more */
    /* What people should know, the parts with "; " between: that a sync was interrupted (it then begins so), what a
     * rollback could not bring back exactly, what one would not. "" for nothing. */
    char remark[ZDM_TEXT_MAX + 1];
    struct zdm_hidden hidden[ZDM_HIDDEN_MAX]; /* the oldest first */
    size_t n_hidden;
    uint32_t hidden_total; /* all of them, the ones not listed included */
};

struct zdm_report {
    uint64_t number; /* 1, 2, … in one process life; what an ack names */
    bool connected;  /* the database can be reached */
    bool writable;   /* its node is a primary that takes writes */
    enum zdm_engine engine;
    char server_version[32];
    char identity[64]; /* what changes when the database restarts or is another one */
    uint64_t timeline; /* PostgreSQL's timeline; 0 elsewhere */
    uint32_t trust_version;
    char release[24];
    char db_error[ZDM_TEXT_MAX + 1]; /* why not connected */
    struct zdm_signal signals[ZDM_SIGNALS_MAX];
    size_t n_signals;
    struct zdm_migration_report *migrations;
    size_t n_migrations;
};

void zdm_report_fini(struct zdm_report *report);
/* Deep copy; false without memory. */
bool zdm_report_copy(struct zdm_report *out, const struct zdm_report *report);

const char *zdm_agent_state_name(enum zdm_agent_state state);
const char *zdm_wait_name(enum zdm_wait wait);
const char *zdm_signal_state_name(enum zdm_signal_state state);

#endif
