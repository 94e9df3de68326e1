/*
 * sim_db.h - a database with a journal in it, behind the engine vtable, whose truth the simulator can look at.
 *
 * For each migration it keeps a table of rows with a counter each (how often the backfill changed it: must end at
 * exactly one), a catalogue (which steps' objects exist), and the journal's rows; a transaction takes effect at one
 * moment, after which the answer may still be lost. Statements that an agent left behind when it died go on, as they do
 * in a real server.
 */
#ifndef TESTS_SIM_SIM_DB_H
#define TESTS_SIM_SIM_DB_H

#include "agent/engine/engine.h"
#include "tests/sim/world.h"

enum { SIM_DB_JOURNALS_MAX = 4, SIM_DB_STEPS_MAX = 64, SIM_DB_ROWS_MAX = 4096 };

struct sim_db_faults {
    unsigned lock_percent;     /* the lock is not got */
    unsigned retry_percent;    /* deadlock or serialization failure */
    unsigned lost_percent;     /* the answer is lost, before or after COMMIT */
    unsigned fail_percent;     /* an error that only a person mends */
    unsigned leftover_percent; /* an index build leaves an invalid index */
};

struct sim_db {
    struct world *world;
    int number; /* of the shard */
    bool up;
    uint64_t boots;
    struct sim_db_faults faults;
    uint32_t rows;
    struct agent_journal journals[SIM_DB_JOURNALS_MAX];
    /* What is true of each journal's migration, whatever its journal says. */
    struct sim_db_truth {
        uint8_t counters[SIM_DB_ROWS_MAX];
        bool catalogue[SIM_DB_STEPS_MAX + 1];
        bool invalid[SIM_DB_STEPS_MAX + 1];
        bool paused; /* mode of the accepted directive is pause */
    } truths[SIM_DB_JOURNALS_MAX];
    size_t n_journals;
    struct {
        struct zdm_hash hash;
        struct zdm_envelope envelope;
    } plans[SIM_DB_JOURNALS_MAX];
    size_t n_plans;
    /* What must never happen is noted here by the database itself; NULL while all is well. */
    const char *violation;
    uint64_t batches, lost_answers, fenced, locks, retries, leftovers; /* so that a run can show that it was not idle */
    /* Asked before a step of a phase begins to change the database: may this shard be in that phase now? */
    bool (*may_enter)(void *ctx, const struct sim_db *db, const struct zdm_plan *plan, uint32_t phase);
    /* Told when an agent gives it something to do. */
    void (*starts)(void *ctx, int node, const struct agent_op *op);
    void *ctx;
};

void sim_db_init(struct sim_db *db, struct world *world, int number, uint32_t rows);
void sim_db_fini(struct sim_db *db);
/* Down: everything that runs ends without an answer. Up again: with another identity, as after any restart. */
void sim_db_stop(struct sim_db *db);
void sim_db_start(struct sim_db *db);

struct agent_journal *sim_db_journal(struct sim_db *db, const char *migration);
/* An engine for the present incarnation of an agent's node. */
struct agent_engine sim_engine_open(struct sim_db *db, int node, const struct agent_engine_sink *sink);

#endif
