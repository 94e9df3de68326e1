/*
 * cluster.h - one coordinator, three shards with an agent each, two migrations and five people, in one process and
 * world.
 *
 * Core and driver of both sides are the ones that run in production; clock, random numbers, network, store and database
 * are the world's. The coordinator's log survives its crashes, the databases survive the agents'. A shard can have a
 * second process with the same key, an agent that was believed to be dead and works on beside the one that replaced it;
 * and so can the coordinator, started from a copy of the log. Its log can be put back to an older state, as a shard's
 * database can; and in some seeds a liar takes its place, with its key (liar.h).
 */
#ifndef TESTS_SIM_CLUSTER_H
#define TESTS_SIM_CLUSTER_H

#include "agent/app/driver.h"
#include "coordinator/app/driver.h"
#include "proto/signed.h"
#include "proto/trust_file.h"
#include "tests/sim/operator.h"
#include "tests/sim/people.h"
#include "tests/sim/sim_db.h"
#include "tests/sim/sim_store.h"

enum {
    CLUSTER_SHARDS = 3,
    CLUSTER_AGENTS = 2 * CLUSTER_SHARDS, /* agent i and i + 3 are of shard i; the latter start only as doubles */
    CLUSTER_PLANS = 2,
    CLUSTER_COORDINATOR = 0,
    CLUSTER_SEATS = 2,
    CLUSTER_SEAT_NODES = 4, /* the first seat's node; the second's is 8 */
    CLUSTER_SECOND = 9,     /* the second coordinator's node */
    CLUSTER_ROWS = 400,
    CLUSTER_BEGUN = 32,
    CLUSTER_SENT = 64,
    CLUSTER_VERSIONS = 3 /* of a plan: the one that is submitted, and those that it may be amended to */
};

struct cluster;

/* A coordinator's process and its disk. */
struct cluster_coordinator {
    struct cluster *cluster;
    int node;
    const char *url;
    struct sim_store disk;
    struct store store;
    struct zdm_buffer trust;     /* its trust file */
    struct coord_driver *driver; /* NULL while it is dead */
    uint64_t turns;
    bool fenced; /* as it was after its last turn */
    uint64_t fenced_head;
    int64_t fenced_at_ms;
};

struct cluster_agent {
    struct cluster *cluster;
    unsigned number; /* 0, 1, … */
    unsigned shard;
    int node;
    struct zdm_signing_key key;
    struct zdm_envelope enrolment;
    struct sim_db *db;
    struct agent_engine engine;
    struct agent_driver *driver;   /* NULL while it is dead */
    struct zdm_buffer trust;       /* what it keeps on disk */
    uint64_t turns;                /* counts scheduled turns: an older one means nothing */
    struct agent_result **results; /* of the engine, not yet taken */
    size_t n_results, cap_results;
};

/* What an eavesdropper at the agent's door knows: what it may do follows from that alone. See cluster_wire.c. */
struct cluster_ear {
    int64_t leased_until_ms;
    int64_t acked_ms; /* when the newest report was sent that was acknowledged */
    struct {
        uint64_t number;
        int64_t at_ms;
    } sent[CLUSTER_SENT];
    bool told[CLUSTER_PLANS]; /* an order for it has arrived in this life */
    struct cluster_stop {     /* the newest orders that arrived, by what they take away: */
        struct zdm_fence fence;
        enum zdm_mode mode;
        int from;            /* the coordinator's node */
        uint64_t boots;      /* of the database that the agent knew of */
    } stops[CLUSTER_PLANS],  /* any but run: the right to go forward, */
        runs[CLUSTER_PLANS]; /* run: the right to go back */
};

/* Situations that a run of all seeds must have seen at least once: what never happens is not tested. */
enum cluster_sight {
    SAW_FAILED,
    SAW_RETRY,
    SAW_UNSURE,
    SAW_PAUSED_MID_BACKFILL,
    SAW_LEASE_EXPIRE,
    SAW_HALTED_BY_BUDGET,
    SAW_SOAK,
    SAW_WAVE_HELD,
    SAW_BARRIER_HELD,
    SAW_GATE_PASSED,
    SAW_PLAN_IN_PIECES,
    SAW_DOUBLE,
    SAW_BOTH_MOVING,
    SAW_UNDOING_1, /* … of phase 1, 2, …, 5: in this order */
    SAW_UNDOING_2,
    SAW_UNDOING_3,
    SAW_UNDOING_4,
    SAW_UNDOING_5,
    SAW_LEG,
    SAW_UNDONE_HALF,
    SAW_UNDONE_ALL,
    SAW_UNDONE_AGAIN,
    SAW_BACK_PAUSED,
    SAW_BACK_FAILED,
    SAW_FORWARD,
    SAW_IMAGES_BACK,
    SAW_UNDO_REFUSED,
    SAW_UNDO_TWICE,
    SAW_APPROVALS_WANTED,
    SAW_AGENT_WANTS_APPROVALS,
    SAW_WITHDRAWN,
    SAW_EXPIRED,
    SAW_ENTERED,
    SAW_SPENT,
    SAW_PURGE_EARLY,
    SAW_PURGE_NOW,
    SAW_PURGED,
    SAW_LEFTOVERS_PURGED,
    SAW_SHARD_RESTORED,
    SAW_REGRESSED,
    SAW_LOG_RESTORED,
    SAW_TAIL_LOST,
    SAW_FENCED,
    SAW_RECOVERED,
    SAW_SECOND,
    SAW_SECOND_FENCED,
    SAW_TRUST,
    SAW_REVOKED_PERSON,
    SAW_INCLUDED,
    SAW_STALE,
    SAW_LIAR,
    SAW_LIE_REFUSED,
    SAW_AMENDED,
    SAW_AMENDED_MOVING, /* in the middle of a backfill or a deletion */
    SAW_AMEND_REFUSED,
    SAW_AMENDED_AGAIN,
    SAW_SIGNED_ANEW,      /* a plan whose signer had left */
    SAW_AMENDED_UNSIGNED, /* refused: nobody had signed it anew */
    SAW_WAITED,
    SAW_GAP,     /* triggers went away behind a switch */
    SAW_REPAIR,  /* and were installed again where the journal stood */
    SAW_DIFFERS, /* rows differed that new code had written, or nobody had filled */
    SAW_LET_PASS,
    SAW_SIGHTS
};

struct cluster {
    struct world world;
    struct sim_net *net;
    struct cluster_coordinator main, second;
    bool two;   /* agents know the second coordinator's address too */
    bool lying; /* a liar has the coordinator's place: what only a coordinator keeps is not judged any more */
    struct liar *liar;
    struct sim_db dbs[CLUSTER_SHARDS];
    struct cluster_ear ears[WORLD_NODES_MAX];
    bool saw[SAW_SIGHTS];
    bool doubled[CLUSTER_SHARDS];                 /* ever had two processes with one key */
    bool restored[CLUSTER_SHARDS];                /* its database was put back to an older state */
    bool excluded[CLUSTER_PLANS][CLUSTER_SHARDS]; /* was ever out of the fleet */
    bool was_undone[CLUSTER_PLANS];
    struct cluster_begun { /* the last rollbacks that agents began: had people signed what they may lose? */
        struct zdm_id nonce;
        bool signed_away;
    } begun[CLUSTER_BEGUN];
    unsigned n_begun;
    uint64_t run[CLUSTER_PLANS]; /* log position of the submission that `last` is about */
    bool forgot;                 /* the log was put back to an older state */
    struct store copy;           /* of the log, to be put back */
    bool has_copy;
    uint64_t copy_head;
    struct cluster_last {
        enum coord_status status;
        uint32_t at, wave_of, attempt;
        bool halted, back;
    } last[CLUSTER_PLANS][CLUSTER_SHARDS]; /* as they were after the coordinator's last turn */
    struct zdm_signing_key coordinator_key;
    struct people people;
    struct cluster_agent agents[CLUSTER_AGENTS];
    struct sim_operator seats[CLUSTER_SEATS];
    bool meddling; /* people do what comes to mind */
    bool amending; /* people change plans that are under way */
    struct cluster_plan {
        struct zdm_plan *plan; /* the first version; borrowed */
        struct cluster_version {
            struct zdm_plan *plan;
            struct zdm_buffer bytes[PEOPLE]; /* the signed plan as uploaded, by those who ever submit */
            struct zdm_buffer notes;
            bool asked; /* somebody wanted it */
        } versions[CLUSTER_VERSIONS];
        enum person submitter; /* while an operator; then ann */
        bool back;             /* people want it undone in the end */
        unsigned tries;        /* to get it back */
    } plans[CLUSTER_PLANS];
    unsigned crashes, restarts, cuts, partitions; /* of a run, to show that it was not idle */
    char failure[256];                            /* the first invariant that did not hold; "" while all do */
};

void cluster_init(struct cluster *cluster, uint64_t seed, bool verbose);
void cluster_fini(struct cluster *cluster);

void cluster_start_coordinator(struct cluster *cluster);
void cluster_crash_coordinator(struct cluster *cluster);
/* Another one, from a copy of the log as it is now; and its end. */
void cluster_start_second(struct cluster *cluster);
void cluster_stop_second(struct cluster *cluster);
/* What zdm-coordinator recover does, once the agents were heard; false while they were not, or it was refused. */
bool cluster_recover(struct cluster *cluster);
/* The log as it is now, to be put back later; and that (backup: as `zdm-coordinator backup` wrote it, which starts
 * fenced; else as a copied file, which has to find out). The coordinator must be dead. */
void cluster_copy_log(struct cluster *cluster);
void cluster_restore_log(struct cluster *cluster, bool backup);
void cluster_start_agent(struct cluster *cluster, unsigned number);
void cluster_crash_agent(struct cluster *cluster, unsigned number);
void cluster_restart_database(struct cluster *cluster, unsigned number, int64_t down_ms);

/* Lets one thing happen and checks the invariants; false when nothing is left to happen before until_ms or one failed.
 */
bool cluster_step(struct cluster *cluster, int64_t until_ms);
/* At the end: the chain holds, and replaying the log gives the state that lives. */
void cluster_check_log(struct cluster *cluster);
/* The version of a plan with that hash, NULL for none. */
const struct cluster_version *cluster_version_of(const struct cluster *cluster, unsigned plan,
                                                 const struct zdm_hash *hash);
/* What the coordinator knows of a plan's migration; NULL while it is dead or was not told of it. */
const struct coord_migration *cluster_migration(const struct cluster *cluster, unsigned plan);
/* At the end of a run: what the databases have seen. */
void cluster_see_everything(struct cluster *cluster);
const char *cluster_sight_name(enum cluster_sight sight);
/* Notes a failure; the first one is kept. */
void cluster_fail(struct cluster *cluster, const char *fmt, ...) ZDM_PRINTF(2, 3);

#endif
