/*
 * validate.c - VALIDATE CONSTRAINT: reads the whole table under a lock that no reader and no writer notices.
 *
 * A CHECK that is NOT VALID binds new writes at once. When the existing rows do not pass, it is dropped rather than
 * left behind to break the application (database.md 25), and the journal goes back to the step that added it.
 */
#include "agent/engine/postgresql/ddl.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "agent/engine/postgresql/classify.h"
#include "agent/engine/postgresql/journal.h"
#include "agent/engine/postgresql/locks.h"

enum { DROP_TRIES = 100, DROP_PAUSE_MS = 50 };

/* The step that added the constraint: where a retry has to begin again. */
static uint32_t adding_step(const struct pgsql_work *w)
{
    for (uint32_t i = w->step->ordinal; i > 0; i--) {
        const struct zdm_step *step = zdm_plan_step(w->op->plan, i);
        if (step != NULL && step->action == ZDM_ACTION_ADD_CHECK && strcmp(step->object, w->step->object) == 0) {
            return i;
        }
    }
    return w->step->ordinal;
}

static enum zdm_code drop_once(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct pgsql_short attempt;
    zdm_buffer_puts(&sql, "ALTER TABLE ");
    pgsql_put_table(&sql, &w->step->table);
    zdm_buffer_puts(&sql, " DROP CONSTRAINT IF EXISTS ");
    pgsql_put_name(&sql, w->step->object);
    enum zdm_code code = pgsql_short_begin(&attempt, w, err);
    if (code == ZDM_OK) {
        code = pgsql_short_lock(&attempt, table, PGSQL_ACCESS_EXCLUSIVE, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_move(w, &(struct pgsql_move){.step = adding_step(w), .restart = true}, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

static enum zdm_code drop_check(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    enum zdm_code code = ZDM_LOCK;
    for (int i = 0; i < DROP_TRIES && code == ZDM_LOCK && !atomic_load(w->s->give_up); i++) {
        code = drop_once(w, table, err);
        if (code == ZDM_LOCK) {
            nanosleep(&(struct timespec){.tv_nsec = DROP_PAUSE_MS * 1000000L}, NULL);
        }
    }
    return code;
}

static enum zdm_code validate(struct pgsql_work *w, enum agent_proof *proof, struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_look(w, proof, err);
    }
    if (code == ZDM_OK && *proof == AGENT_PROOF_FOREIGN) {
        return err->code;
    }
    if (code == ZDM_OK && *proof != AGENT_PROOF_DONE) {
        code = pgsql_run_statement(w, w->step->sql, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_step_on(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

enum zdm_code pgsql_run_validate(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_table table;
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &table, err);
    if (code == ZDM_OK) {
        code = validate(w, &proof, err);
    }
    if (code == ZDM_OK) {
        w->result->outcome = proof == AGENT_PROOF_DONE ? AGENT_ALREADY : AGENT_OK;
        return ZDM_OK;
    }
    if (!pgsql_is_violation(err)) {
        return code;
    }
    struct zdm_error later = ZDM_ERROR_INIT;
    pgsql_rollback(w->s);
    if (drop_check(w, &table, &later) == ZDM_OK) {
        zdm_error_hint(err, "Constraint %s was dropped again. Put the rows right, then retry the shard.",
                       w->step->object);
    } else {
        zdm_error_hint(err, "Constraint %s is still there and binds new writes: drop it.", w->step->object);
    }
    w->result->blocker[0] = '\0';
    return err->code;
}
