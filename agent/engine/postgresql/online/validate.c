/*
 * validate.c - VALIDATE CONSTRAINT: reads the whole table under a lock that no reader and no writer notices.
 *
 * A constraint that is NOT VALID binds new writes at once. When the existing rows do not pass, one that this migration
 * added is dropped rather than left behind to break the application (database.md 25), and the journal goes back to the
 * step that added it; somebody else's stays. Dropping needs a lock that others may hold for long: zdm.owned, kind
 * 'taking away', says with the oids of the constraint that it is to go, and whoever runs the step next, after a restart
 * too, does nothing else until it is gone.
 *
 * A partitioned table is read leaf by leaf, each in a transaction of its own. The server knows no NOT VALID foreign key
 * on a partitioned table: there the leaves have one each, and once all are validated the parent gets the same, which
 * finds them and reads nothing (18).
 */
#include "agent/engine/postgresql/online/validate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/change/ddl.h"
#include "agent/engine/postgresql/hide/hidden.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/looks.h"

/* Of one run, whose result then says who is in the way; the next run goes on. Every tenth try queues for a moment:
 * where one reader follows the other, there is never one without. */
enum { DROP_TRIES = 40, DROP_PAUSE_MS = 50, QUEUE_EACH = 10, QUEUE_MS = 50 };

static void put_drop(struct zdm_buffer *sql, const struct zdm_table *table, const char *name)
{
    pgsql_put_alter(sql, table);
    zdm_buffer_puts(sql, " DROP CONSTRAINT IF EXISTS ");
    pgsql_put_name(sql, name);
    zdm_buffer_puts(sql, ";");
}

/* From the table, and where it is partitioned from leaves that have it for themselves. */
static enum zdm_code drop_all(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct pgsql_leaves leaves = {.res = NULL};
    put_drop(&sql, &w->step->table, w->step->object);
    enum zdm_code code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    if (code == ZDM_OK && table->kind == 'p') {
        code = pgsql_leaves_read(w, table, &leaves, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < leaves.n; i++) {
        zdm_buffer_reset(&sql);
        put_drop(&sql, &leaves.leaf[i].name, w->step->object);
        code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    }
    pgsql_leaves_fini(&leaves);
    return code;
}

/* ---- Taking away ---- */

/* The constraint on the table and its leaves: $1 table's oid, $2 its name. */
#define ITS_OIDS                                                                                                       \
    "(SELECT k.oid FROM pg_constraint k WHERE k.conname = $2 AND k.conrelid IN (SELECT $1::oid UNION SELECT relid"     \
    " FROM pg_partition_tree($1::oid::regclass)))"
#define THE_MARK "kind = 'taking away' AND migration = $1 AND step = $2::int4"

static enum zdm_code forget_mark(struct pgsql_work *w, struct zdm_error *err)
{
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    return pgsql_query(w->s, "DELETE FROM zdm.owned WHERE " THE_MARK, 2, (const char *const[]){w->op->migration, step},
                       NULL, err);
}

/* Another constraint of that name, added since, is no such one. */
static enum zdm_code is_marked(struct pgsql_work *w, const struct pgsql_table *table, bool *out, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM zdm.owned WHERE kind = 'taking away' AND migration = $3 AND step = $4::int4 AND"
        " string_to_array(object, ' ')::oid[] && ARRAY" ITS_OIDS ")";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *params[] = {table->oid, w->step->object, w->op->migration, step};
    enum zdm_code code = pgsql_query(w->s, sql, 4, params, &res, err);
    *out = code == ZDM_OK && pgsql_true(res, 0, 0);
    return code;
}

static enum zdm_code mark(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.owned (migration, step, kind, schema_name, object) SELECT $3, $4::int4, 'taking away',"
        " $5, array_to_string(ARRAY" ITS_OIDS ", ' ')";
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *params[] = {table->oid, w->step->object, w->op->migration, step, w->step->table.schema};
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = forget_mark(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, sql, 5, params, NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    return code == ZDM_OK ? pgsql_commit(w->s, err) : code;
}

static enum zdm_code drop_once(struct pgsql_work *w, const struct pgsql_table *table, const struct zdm_step *adding,
                               struct zdm_error *err)
{
    struct pgsql_short attempt;
    enum zdm_code code = pgsql_short_begin(&attempt, w, err);
    if (code == ZDM_OK && adding->action == ZDM_ACTION_ADD_FOREIGN_KEY) {
        const struct zdm_step *validate = w->step;
        w->step = adding; /* it names the other table */
        code = pgsql_lock_parents_to_drop(&attempt, table, err);
        w->step = validate;
    }
    if (code == ZDM_OK) {
        code = pgsql_short_lock(&attempt, table, PGSQL_ACCESS_EXCLUSIVE, err);
    }
    if (code == ZDM_OK) {
        code = drop_all(w, table, err);
    }
    if (code == ZDM_OK) {
        code = forget_mark(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_move(w, &(struct pgsql_move){.step = adding->ordinal, .restart = true}, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

static enum zdm_code drop_again(struct pgsql_work *w, const struct pgsql_table *table, const struct zdm_step *adding,
                                struct zdm_error *err)
{
    const struct agent_op *op = w->op;
    struct agent_op queueing = *op;
    enum zdm_code code = ZDM_LOCK;
    queueing.lock_wait_ms = QUEUE_MS;
    for (int i = 1; i <= DROP_TRIES && code == ZDM_LOCK && !atomic_load(w->s->give_up); i++) {
        zdm_error_clear(err);
        w->op = i % QUEUE_EACH == 0 ? &queueing : op;
        code = drop_once(w, table, adding, err);
        w->op = op;
        if (code == ZDM_LOCK && i < DROP_TRIES) {
            nanosleep(&(struct timespec){.tv_nsec = DROP_PAUSE_MS * 1000000L}, NULL);
        }
    }
    return code;
}

static enum zdm_code still_there(struct pgsql_work *w, const struct zdm_error *why, struct zdm_error *err)
{
    struct zdm_error later = *why;
    struct agent_result *r = w->result;
    char held[sizeof r->blocker];
    zdm_copy_text(held, sizeof held, r->blocker);
    zdm_error_set(err, later.code, "constraint %s, which rows violate, is still there: %s", w->step->object,
                  later.message);
    zdm_error_hint(err, "It binds new writes until it is dropped, which is tried again and again.");
    if (held[0] != '\0') {
        (void)snprintf(r->blocker, sizeof r->blocker, "%.*s (constraint %s, which rows violate, binds until then)",
                       (int)(sizeof held - 160), held, w->step->object);
    }
    return later.code;
}

/* err: what the validation has found. It stays when the constraint is gone. */
static enum zdm_code take_away(struct pgsql_work *w, const struct pgsql_table *table, const struct zdm_step *adding,
                               struct zdm_error *err)
{
    struct zdm_error later = ZDM_ERROR_INIT;
    enum zdm_code code = drop_again(w, table, adding, &later);
    if (code != ZDM_OK) {
        return still_there(w, &later, err);
    }
    w->result->blocker[0] = '\0';
    zdm_error_hint(err, "Constraint %s was dropped again. Put the rows right, then retry the shard.", w->step->object);
    return err->code;
}

/* What an earlier run has found is not looked for a second time. */
static enum zdm_code go_on_taking_away(struct pgsql_work *w, const struct pgsql_table *table,
                                       const struct zdm_step *adding, struct zdm_error *err)
{
    zdm_error_set(err, ZDM_DATABASE, "rows of %s.%s violated constraint %s when it was validated", table->schema,
                  table->name, w->step->object);
    return take_away(w, table, adding, err);
}

/* ---- Leaf by leaf ---- */

static enum zdm_code validate_leaf(struct pgsql_work *w, const struct zdm_table *leaf, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    pgsql_put_alter(&sql, leaf);
    zdm_buffer_puts(&sql, " VALIDATE CONSTRAINT ");
    pgsql_put_name(&sql, w->step->object);
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    return code == ZDM_OK ? pgsql_commit(w->s, err) : code;
}

static enum zdm_code validate_leaves(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_leaves leaves;
    enum zdm_code code = pgsql_leaves_read(w, table, &leaves, err);
    for (size_t i = 0; code == ZDM_OK && i < leaves.n; i++) {
        if (leaves.leaf[i].there && !leaves.leaf[i].valid) {
            code = validate_leaf(w, &leaves.leaf[i].name, err);
        }
    }
    pgsql_leaves_fini(&leaves);
    return code;
}

/* A partition that came meanwhile has no foreign key of its own yet: it gets one, and the operation begins anew. */
static enum zdm_code complete_leaves(struct pgsql_work *w, const struct pgsql_table *table,
                                     const struct zdm_step *adding, bool *whole, struct zdm_error *err)
{
    struct pgsql_leaves leaves;
    *whole = true;
    enum zdm_code code = pgsql_leaves_read(w, table, &leaves, err);
    for (size_t i = 0; code == ZDM_OK && i < leaves.n; i++) {
        const struct pgsql_leaf *leaf = &leaves.leaf[i];
        if (leaf->there && !leaf->ours) {
            code = zdm_error_set(err, ZDM_EXISTS, "constraint %s of %s.%s is there and was not made by this migration",
                                 w->step->object, leaf->name.schema, leaf->name.name);
        } else if (!leaf->there) {
            code = pgsql_add_to_leaf(w, adding, &leaf->name, err);
        }
        *whole = *whole && leaf->there && leaf->valid;
    }
    pgsql_leaves_fini(&leaves);
    return code;
}

/* The adding step's statement without its last words. */
static enum zdm_code add_to_parent(struct pgsql_work *w, const struct zdm_step *adding, struct zdm_error *err)
{
    static const char tail[] = " NOT VALID";
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    size_t n = strlen(adding->sql), rest = strlen(tail);
    if (n < rest || strcmp(adding->sql + n - rest, tail) != 0) {
        return zdm_error_set(err, ZDM_BUG, "the statement of step %s does not end with NOT VALID", adding->id);
    }
    zdm_buffer_append(&sql, adding->sql, n - rest);
    enum zdm_code code = pgsql_run_statement(w, zdm_buffer_text(&sql), err);
    return code == ZDM_OK ? pgsql_mark_constraint(w, &w->step->table, w->step->object, err) : code;
}

static enum zdm_code finish_foreign_key(struct pgsql_work *w, const struct pgsql_table *table,
                                        const struct zdm_step *adding, struct zdm_error *err)
{
    struct pgsql_short attempt;
    const struct zdm_step *validate = w->step;
    bool whole = false;
    enum zdm_code code = pgsql_short_begin(&attempt, w, err);
    if (code == ZDM_OK) {
        w->step = adding;
        code = pgsql_lock_parents(&attempt, table, err);
        w->step = validate;
    }
    if (code == ZDM_OK) {
        code = pgsql_short_lock(&attempt, table, PGSQL_SHARE_ROW_EXCLUSIVE, err);
    }
    if (code == ZDM_OK) {
        code = complete_leaves(w, table, adding, &whole, err);
    }
    if (code == ZDM_OK && whole) {
        code = add_to_parent(w, adding, err);
    }
    if (code == ZDM_OK) {
        code = whole ? pgsql_journal_step_on(w, err) : pgsql_journal_hold(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_commit(w, err);
    }
    return code == ZDM_OK && !whole
               ? zdm_error_set(err, ZDM_CONFLICT, "a partition of %s.%s came meanwhile", table->schema, table->name)
               : code;
}

/* ---- The run ---- */

static enum zdm_code validate_plain(struct pgsql_work *w, bool done, struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK && !done) {
        code = pgsql_run_statement(w, w->step->sql, err);
    }
    if (code == ZDM_OK) {
        code = forget_mark(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_step_on(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

static enum zdm_code validate(struct pgsql_work *w, const struct pgsql_table *table, const struct zdm_step *adding,
                              enum agent_proof *proof, struct zdm_error *err)
{
    enum zdm_code code = pgsql_look(w, proof, err);
    bool done = *proof == AGENT_PROOF_DONE;
    if (code == ZDM_OK && *proof == AGENT_PROOF_FOREIGN) {
        return err->code;
    }
    if (code == ZDM_OK && !done && table->kind == 'p') {
        code = validate_leaves(w, table, err);
        if (code == ZDM_OK && adding != NULL && adding->action == ZDM_ACTION_ADD_FOREIGN_KEY) {
            return finish_foreign_key(w, table, adding, err);
        }
    }
    return code == ZDM_OK ? validate_plain(w, done, err) : code;
}

enum zdm_code pgsql_run_validate(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_table table;
    enum agent_proof proof = AGENT_PROOF_NONE;
    struct zdm_error later = ZDM_ERROR_INIT;
    bool marked = false;
    const struct zdm_step *adding = pgsql_adding_step(w);
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &table, err);
    if (code == ZDM_OK && adding != NULL) {
        code = is_marked(w, &table, &marked, err);
    }
    if (marked) {
        return go_on_taking_away(w, &table, adding, err);
    }
    if (code == ZDM_OK) {
        code = validate(w, &table, adding, &proof, err);
    }
    if (code == ZDM_OK) {
        w->result->outcome = proof == AGENT_PROOF_DONE ? AGENT_ALREADY : AGENT_OK;
        return ZDM_OK;
    }
    if (!pgsql_is_violation(err)) {
        return code;
    }
    pgsql_rollback(w->s);
    if (adding == NULL) {
        return zdm_error_hint(err, "Put the rows right, then retry the shard. The constraint was there before, and "
                                   "stays.");
    }
    code = mark(w, &table, &later);
    return code == ZDM_OK ? take_away(w, &table, adding, err) : still_there(w, &later, err);
}
