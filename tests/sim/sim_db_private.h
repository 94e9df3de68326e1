/*
 * sim_db_private.h - between the files of the simulated database.
 */
#ifndef TESTS_SIM_SIM_DB_PRIVATE_H
#define TESTS_SIM_SIM_DB_PRIVATE_H

#include "tests/sim/sim_db.h"

struct sim_engine;

/* An operation as start() copied it. */
struct sim_pending {
    struct agent_op op;
    char *cursor, *bound, *failed_text;
    struct agent_spend *spend;
    struct zdm_envelope envelope;
    enum zdm_mode mode; /* ACCEPT: of the directive */
    uint32_t reach;     /* ditto: zdm_directive_reach */
    uint32_t goal;      /* ditto: its phase */
    uint32_t attempt;   /* ditto */
    struct zdm_hash plan_hash;
    struct zdm_fence offered;
    bool cancelled;
    struct sim_engine *engine; /* NULL: its agent is dead, nobody waits for the result */
    uint64_t boots;            /* of the database when it was started */
};

/* sim_db.c: performs it and says what came of it. */
struct agent_result *sim_db_perform(struct sim_db *db, const struct sim_pending *pending);
struct agent_result *sim_db_result(const struct sim_pending *pending, enum agent_outcome outcome);

/* sim_journal.c */
void sim_journal_connect(struct sim_db *db, struct agent_result *result);
void sim_journal_describe(const struct sim_db *db, struct agent_result *result);
void sim_journal_store_plan(struct sim_db *db, const struct sim_pending *pending);
enum agent_outcome sim_journal_accept(struct sim_db *db, const struct sim_pending *pending,
                                      struct agent_result *result);
/* Is the caller still the one whom the journal knows? */
bool sim_journal_fence(const struct agent_journal *journal, const struct agent_op *op);
void sim_journal_go_to(struct sim_db *db, struct agent_journal *journal, const struct zdm_plan *plan, uint32_t step);
void sim_journal_report(struct agent_result *result, const struct agent_journal *journal);
enum agent_outcome sim_journal_spend(struct sim_db *db, struct agent_journal *journal,
                                     const struct sim_pending *pending, struct agent_result *result);
enum agent_outcome sim_journal_begin_undo(struct sim_db *db, struct agent_journal *journal,
                                          const struct sim_pending *pending, struct agent_result *result);
void sim_journal_set_text(char **text, const char *value);

#endif
