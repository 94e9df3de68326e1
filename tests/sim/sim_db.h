/*
 * sim_db.h - a database with a journal in it, behind the engine vtable, whose truth the simulator can look at.
 *
 * For each migration it keeps what is physically there (sim_schema.h; rows with a counter each: how often a backfill
 * changed them, which must end at exactly one) and the journal's row; a transaction takes effect at one moment, after
 * which the answer may still be lost. Statements that an agent left behind when it died go on, as they do in a real
 * server. The whole of it can be copied and put back later, as a backup is.
 *
 *   sim_engine.c   operations: queued by lane, performed, answered; and the faults around them
 *   sim_db.c       what each operation does
 *   sim_journal.c  the journal: rows, orders, plans, what was spent; backups
 *   sim_schema.c   what is physically there
 */
#ifndef TESTS_SIM_SIM_DB_H
#define TESTS_SIM_SIM_DB_H

#include "agent/engine/engine.h"
#include "tests/sim/sim_schema.h"
#include "tests/sim/world.h"

enum { SIM_DB_JOURNALS_MAX = 4, SIM_DB_PLANS_MAX = 12, SIM_DB_SPENT_MAX = 256 };

struct sim_db_faults {
    unsigned lock_percent;     /* the lock is not got */
    unsigned retry_percent;    /* deadlock or serialization failure */
    unsigned lost_percent;     /* the answer is lost, before or after COMMIT */
    unsigned fail_percent;     /* an error that only a person mends */
    unsigned leftover_percent; /* an index build leaves an invalid index */
};

/* What people's signatures have let this shard do, as the database saw the journal note it: kept apart from the journal
 * and never asked by the code under test. */
struct sim_rights {
    uint32_t entered;         /* highest phase that was let in by approvals */
    bool purge_now;           /* before its grace */
    bool going_back;          /* an undo order was begun, and nothing went forward since */
    uint32_t back_to;         /* its phase */
    bool signed_away;         /* what new code wrote may be lost on that way back */
    uint64_t leftovers_under; /* generation of the order under which leftovers may be dropped; 0: none */
    bool leftovers_now;
};

/* Of one migration; structures without pointers. */
struct sim_db_truth {
    struct sim_schema schema;
    struct sim_rights rights;
    bool paused;        /* mode of the accepted directive is pause */
    bool purging;       /* it is purge */
    uint32_t goal;      /* the phase that it names */
    uint32_t attempt;   /* and its attempt */
    uint64_t forgotten; /* the accepted generation of the last backup that was put back */
};

struct sim_db_plan {
    struct zdm_hash hash;
    struct zdm_envelope envelope;
};

/* Everything that a backup of the database holds. */
struct sim_db_content {
    struct agent_journal journals[SIM_DB_JOURNALS_MAX];
    struct sim_db_truth truths[SIM_DB_JOURNALS_MAX];
    size_t n_journals;
    struct sim_db_plan plans[SIM_DB_PLANS_MAX];
    size_t n_plans;
    struct zdm_id spent[SIM_DB_SPENT_MAX];
    size_t n_spent;
    struct sim_db_order { /* to go back, that was begun here */
        char migration[ZDM_NAME_MAX + 1];
        uint32_t to_phase;
        int64_t issued_at_ms;
    } orders[SIM_DB_SPENT_MAX];
    size_t n_orders;
};

struct sim_db {
    struct world *world;
    int number; /* of the shard */
    bool up;
    uint64_t boots;
    int64_t wall_offset_ms;
    struct sim_db_faults faults;
    uint32_t rows;
    struct sim_db_content now;
    struct sim_db_content *backup; /* NULL: none was made */
    struct sim_db_high {           /* the highest step that a journal ever stood at, whatever came since */
        char migration[ZDM_NAME_MAX + 1];
        uint32_t step;
    } highs[SIM_DB_JOURNALS_MAX];
    /* What must never happen is noted here by the database itself; NULL while all is well. */
    const char *violation;
    /* So that a run can show that it was not idle. */
    uint64_t batches, lost_answers, fenced, locks, retries, leftovers;
    uint64_t let_in, purged_now, refused_spent, early, purged, dropped_leftovers, undone_parts, images_back, restores,
        half_undone, no_column, amends, amends_inside;
    uint64_t gaps, repairs, differences, let_pass;
    /* Asked before a step of a phase begins to change the database: may this shard be in that phase now? */
    bool (*may_enter)(void *ctx, const struct sim_db *db, const struct zdm_plan *plan, uint32_t phase);
    uint64_t done[ZDM_ACTION_LAST + 1], undone[ZDM_ACTION_LAST + 1]; /* steps, or parts of them, by action */
    /* Another plan takes the place of the one that the journal knew: how many of the first phases are the same? */
    uint32_t (*amended)(void *ctx, const struct sim_db *db, const char *migration, const struct zdm_hash *before,
                        const struct zdm_hash *after);
    /* A rollback begins: have people signed that it may lose what new code wrote? */
    bool (*may_lose)(void *ctx, const struct sim_db *db, const struct agent_op *op);
    /* Told when an agent gives it something to do. */
    void (*starts)(void *ctx, int node, const struct agent_op *op);
    void *ctx;
};

void sim_db_init(struct sim_db *db, struct world *world, int number, uint32_t rows);
void sim_db_fini(struct sim_db *db);
/* Down: everything that runs ends without an answer. Up again: with another identity, as after any restart. */
void sim_db_stop(struct sim_db *db);
void sim_db_start(struct sim_db *db);
/* A backup of all it holds; the last one replaces the one before. */
void sim_db_back_up(struct sim_db *db);
/* Puts the backup back (there must be one): what happened since is lost, sessions end, its identity changes. */
void sim_db_restore(struct sim_db *db);
/* Triggers go away behind a switch, for the migration with that plan; false: none stand there. */
bool sim_db_cut_sync(struct sim_db *db, const struct zdm_plan *plan);
/* A person puts the rows right. */
void sim_db_mend(struct sim_db *db, const struct zdm_plan *plan);
void sim_db_identity(const struct sim_db *db, char out[64]);
int64_t sim_db_wall_ms(const struct sim_db *db);
/* The plan with that hash as it is stored, NULL for none. */
const struct zdm_envelope *sim_db_plan(const struct sim_db *db, const struct zdm_hash *hash);

struct agent_journal *sim_db_journal(const struct sim_db *db, const char *migration);
struct sim_db_truth *sim_db_truth(const struct sim_db *db, const struct agent_journal *journal);
uint32_t sim_db_high_step(const struct sim_db *db, const char *migration);
/* How many approvals a phase asks for: at least one where something is destroyed. */
uint32_t sim_db_needs(const struct zdm_phase *phase);

/* An engine for the present incarnation of an agent's node. */
struct agent_engine sim_engine_open(struct sim_db *db, int node, const struct agent_engine_sink *sink);
/* Which start of the database the agent knows of: that of its sessions. */
uint64_t sim_engine_boots(const struct agent_engine *engine);

#endif
