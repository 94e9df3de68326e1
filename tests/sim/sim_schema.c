/*
 * sim_schema.c - see sim_schema.h.
 */
#include "tests/sim/sim_schema.h"

#include <string.h>

#include "common/plan/undo.h"

static bool same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* The step of that action on the same table that names the same object or column; 0 for none. */
static uint32_t find(const struct zdm_plan *plan, enum zdm_action action, const struct zdm_step *like, bool by_column)
{
    for (uint32_t o = 1; o <= zdm_plan_n_steps(plan); o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        bool same_table =
            step->table.name == NULL ? like->table.name == NULL : same(step->table.name, like->table.name);
        if (step->action == action && same_table &&
            (by_column ? same(step->column, like->column) : same(step->object, like->object)))
            return o;
    }
    return 0;
}

uint32_t sim_schema_hides(const struct zdm_plan *plan, const struct zdm_step *purge)
{
    if (purge->action == ZDM_ACTION_PURGE_TABLE)
        return find(plan, ZDM_ACTION_HIDE_TABLE, purge, false);
    if (purge->action == ZDM_ACTION_PURGE_INDEX)
        return find(plan, ZDM_ACTION_HIDE_INDEX, purge, false);
    return find(plan, ZDM_ACTION_HIDE_COLUMN, purge, true);
}

static bool is_fill(const struct zdm_step *step)
{
    return step->action == ZDM_ACTION_BACKFILL || step->action == ZDM_ACTION_DELETE;
}

unsigned sim_schema_fill(const struct zdm_plan *plan, uint32_t step)
{
    unsigned n = 0;
    for (uint32_t o = 1; o < step; o++)
        n += is_fill(zdm_plan_step(plan, o));
    return n < SIM_FILLS_MAX ? n : SIM_FILLS_MAX - 1;
}

static bool keeps_images(const struct zdm_step *step)
{
    return is_fill(step) && step->inverse == ZDM_INVERSE_IMAGES;
}

/* Of something that stands hidden. */
static bool is_purge(const struct zdm_step *step)
{
    return step->action == ZDM_ACTION_PURGE_COLUMN || step->action == ZDM_ACTION_PURGE_TABLE ||
           step->action == ZDM_ACTION_PURGE_INDEX;
}

/* Takes something away so that it can come back. */
static bool hides(const struct zdm_step *step)
{
    return step->action == ZDM_ACTION_HIDE_COLUMN || step->action == ZDM_ACTION_HIDE_TABLE ||
           step->action == ZDM_ACTION_HIDE_INDEX || step->action == ZDM_ACTION_LIFT_CONSTRAINT ||
           step->action == ZDM_ACTION_DROP_NOT_NULL;
}

/* The step whose constraint a later one validates or drops. */
static uint32_t constraint_of(const struct zdm_plan *plan, const struct zdm_step *step)
{
    static const enum zdm_action makers[] = {ZDM_ACTION_ADD_CHECK, ZDM_ACTION_ADD_FOREIGN_KEY,
                                             ZDM_ACTION_ADD_PARTITION_CHECK};
    uint32_t found = 0;
    for (size_t i = 0; i < sizeof makers / sizeof *makers && found == 0; i++)
        found = find(plan, makers[i], step, false);
    return found != 0 ? found : step->ordinal;
}

/* The place in which the step's deed is seen. */
static uint32_t place_of(const struct zdm_plan *plan, const struct zdm_step *step)
{
    if (step->action == ZDM_ACTION_VALIDATE || step->action == ZDM_ACTION_DROP_CONSTRAINT)
        return constraint_of(plan, step);
    if (step->action == ZDM_ACTION_SYNC_REMOVE)
        return step->sync_step;
    if (is_purge(step))
        return sim_schema_hides(plan, step);
    if (step->action == ZDM_ACTION_PURGE_IMAGES) {
        uint32_t fill = find(plan, ZDM_ACTION_BACKFILL, step, false);
        return fill != 0 ? fill : find(plan, ZDM_ACTION_DELETE, step, false);
    }
    return step->ordinal;
}

enum agent_proof sim_schema_look(const struct sim_schema *schema, const struct zdm_plan *plan, uint32_t ordinal,
                                 bool journalled)
{
    const struct zdm_step *step = zdm_plan_step(plan, ordinal);
    enum sim_made made = schema->made[place_of(plan, step)];
    bool done = made == SIM_THERE || made == SIM_VALID || made == SIM_REVERSE;
    if (step->kind == ZDM_STEP_BACKFILL || step->kind == ZDM_STEP_CHECK || step->action == ZDM_ACTION_REINDEX ||
        step->action == ZDM_ACTION_GATE_WAIT)
        done = journalled;
    else if (step->action == ZDM_ACTION_VALIDATE)
        done = made == SIM_VALID;
    else if (step->action == ZDM_ACTION_DROP_CONSTRAINT || step->action == ZDM_ACTION_SYNC_REMOVE ||
             step->action == ZDM_ACTION_PURGE_IMAGES)
        done = made == SIM_ABSENT;
    else if (hides(step))
        done = made == SIM_HIDDEN;
    else if (is_purge(step))
        done = made == SIM_PURGED;
    if (made == SIM_INVALID)
        return AGENT_PROOF_LEFTOVER;
    return done ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
}

/* What brings back the thing that stands in its place as `made`; NONE: nothing is to be done. */
static enum agent_run way_back(const struct zdm_step *step, enum sim_made made)
{
    switch (step->action) {
    case ZDM_ACTION_ADD_COLUMN:
    case ZDM_ACTION_ADD_CHECK:
    case ZDM_ACTION_SET_NOT_NULL:
    case ZDM_ACTION_ADD_FOREIGN_KEY:
    case ZDM_ACTION_ADD_UNIQUE:
    case ZDM_ACTION_ADD_PRIMARY_KEY:
    case ZDM_ACTION_SET_DEFAULT:
    case ZDM_ACTION_SET_STORAGE:
    case ZDM_ACTION_COMMENT:
    case ZDM_ACTION_CREATE_TABLE:
    case ZDM_ACTION_CREATE_TYPE:
    case ZDM_ACTION_ADD_PARTITION_CHECK:
    case ZDM_ACTION_ATTACH_PARTITION:
    case ZDM_ACTION_DETACH_PARTITION:
    case ZDM_ACTION_SHOW_COLUMN:
        return made != SIM_ABSENT ? AGENT_RUN_UNDO_DDL : AGENT_RUN_NONE;
    case ZDM_ACTION_AS_IS:
        return step->inverse == ZDM_INVERSE_SQL && made != SIM_ABSENT ? AGENT_RUN_UNDO_DDL : AGENT_RUN_NONE;
    case ZDM_ACTION_CREATE_INDEX:
        return made != SIM_ABSENT ? AGENT_RUN_INDEX_DROP : AGENT_RUN_NONE;
    case ZDM_ACTION_SYNC_INSTALL:
        return made != SIM_ABSENT ? AGENT_RUN_UNDO_SYNC : AGENT_RUN_NONE;
    case ZDM_ACTION_SYNC_REMOVE:
        return made == SIM_ABSENT ? AGENT_RUN_UNDO_REMOVE : AGENT_RUN_NONE;
    case ZDM_ACTION_BACKFILL:
    case ZDM_ACTION_DELETE:
        return keeps_images(step) && made != SIM_ABSENT ? AGENT_RUN_IMAGES_BACK : AGENT_RUN_NONE;
    case ZDM_ACTION_HIDE_COLUMN:
    case ZDM_ACTION_HIDE_TABLE:
    case ZDM_ACTION_HIDE_INDEX:
    case ZDM_ACTION_LIFT_CONSTRAINT:
    case ZDM_ACTION_DROP_NOT_NULL:
        if (made == SIM_UNPROVEN)
            return AGENT_RUN_RESTORE;
        return made == SIM_HIDDEN || made == SIM_PURGED ? AGENT_RUN_UNHIDE : AGENT_RUN_NONE;
    case ZDM_ACTION_DROP_CONSTRAINT:
    case ZDM_ACTION_VALIDATE:
    case ZDM_ACTION_CHECK_QUERY:
    case ZDM_ACTION_CHECK_COMPARE:
    case ZDM_ACTION_PURGE_COLUMN:
    case ZDM_ACTION_PURGE_IMAGES:
    case ZDM_ACTION_PURGE_TABLE:
    case ZDM_ACTION_PURGE_INDEX:
    case ZDM_ACTION_WIDEN_TYPE:
    case ZDM_ACTION_ADD_VALUE:
    case ZDM_ACTION_REINDEX:
    case ZDM_ACTION_GATE_FLAG:
    case ZDM_ACTION_GATE_WAIT:
        break;
    }
    return AGENT_RUN_NONE;
}

enum agent_proof sim_schema_look_back(const struct sim_schema *schema, const struct zdm_plan *plan, uint32_t ordinal,
                                      enum agent_run *out_next)
{
    const struct zdm_step *step = zdm_plan_step(plan, ordinal);
    *out_next = way_back(step, schema->made[place_of(plan, step)]);
    return *out_next == AGENT_RUN_NONE ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
}

/* ---- Forward ---- */

const char *sim_schema_do(struct sim_schema *schema, const struct zdm_plan *plan, uint32_t ordinal, int64_t now_ms)
{
    const struct zdm_step *step = zdm_plan_step(plan, ordinal);
    uint8_t *place = &schema->made[place_of(plan, step)];
    switch (step->action) {
    case ZDM_ACTION_VALIDATE:
        *place = SIM_VALID;
        break;
    case ZDM_ACTION_DROP_CONSTRAINT:
    case ZDM_ACTION_SYNC_REMOVE:
    case ZDM_ACTION_PURGE_IMAGES:
        *place = SIM_ABSENT;
        break;
    case ZDM_ACTION_HIDE_COLUMN:
    case ZDM_ACTION_HIDE_TABLE:
    case ZDM_ACTION_HIDE_INDEX:
    case ZDM_ACTION_LIFT_CONSTRAINT:
    case ZDM_ACTION_DROP_NOT_NULL:
        *place = SIM_HIDDEN;
        schema->hidden_at_ms[ordinal] = now_ms;
        if (step->sync_step != 0)
            schema->made[step->sync_step] = SIM_REVERSE;
        break;
    case ZDM_ACTION_PURGE_COLUMN:
    case ZDM_ACTION_PURGE_TABLE:
    case ZDM_ACTION_PURGE_INDEX:
        if (*place != SIM_HIDDEN)
            return "something was purged that was not hidden";
        *place = SIM_PURGED;
        if (step->action == ZDM_ACTION_PURGE_COLUMN)
            schema->n_leftovers = 0;
        if (step->sync_step != 0)
            schema->made[step->sync_step] = SIM_ABSENT;
        break;
    case ZDM_ACTION_ADD_COLUMN:
    case ZDM_ACTION_ADD_CHECK:
    case ZDM_ACTION_SET_NOT_NULL:
    case ZDM_ACTION_CREATE_INDEX:
    case ZDM_ACTION_SYNC_INSTALL:
    case ZDM_ACTION_BACKFILL:
    case ZDM_ACTION_ADD_FOREIGN_KEY:
    case ZDM_ACTION_ADD_UNIQUE:
    case ZDM_ACTION_ADD_PRIMARY_KEY:
    case ZDM_ACTION_SET_DEFAULT:
    case ZDM_ACTION_SET_STORAGE:
    case ZDM_ACTION_COMMENT:
    case ZDM_ACTION_WIDEN_TYPE:
    case ZDM_ACTION_CREATE_TABLE:
    case ZDM_ACTION_CREATE_TYPE:
    case ZDM_ACTION_ADD_VALUE:
    case ZDM_ACTION_ADD_PARTITION_CHECK:
    case ZDM_ACTION_ATTACH_PARTITION:
    case ZDM_ACTION_DETACH_PARTITION:
    case ZDM_ACTION_DELETE:
    case ZDM_ACTION_AS_IS:
    case ZDM_ACTION_SHOW_COLUMN:
        *place = SIM_THERE;
        break;
    case ZDM_ACTION_REINDEX: /* leaves nothing to see but the journal */
    case ZDM_ACTION_GATE_WAIT:
    case ZDM_ACTION_CHECK_QUERY:
    case ZDM_ACTION_CHECK_COMPARE:
    case ZDM_ACTION_GATE_FLAG:
        break;
    }
    return NULL;
}

bool sim_schema_lacks_target(const struct sim_schema *schema, const struct zdm_plan *plan, uint32_t sync)
{
    const struct zdm_step *step = zdm_plan_step(plan, sync);
    for (size_t i = 0; i < step->derivation->n_assignments; i++) {
        const struct zdm_step *add = zdm_plan_adds(plan, &step->table, step->derivation->assignments[i].target);
        if (add != NULL && schema->made[add->ordinal] == SIM_ABSENT)
            return true;
    }
    return false;
}

/* ---- Back ---- */

/* Do triggers keep another column in step with what is written into this one? */
static bool is_copied_back(const struct zdm_plan *plan, const struct zdm_step *add)
{
    for (uint32_t o = 1; o <= zdm_plan_n_steps(plan); o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        for (size_t i = 0; step->derivation != NULL && i < step->derivation->n_assignments; i++)
            if (step->derivation->both_ways &&
                zdm_plan_adds(plan, &step->table, step->derivation->assignments[i].target) == add)
                return true;
    }
    return false;
}

static bool same_target(const struct zdm_step *a, const struct zdm_step *b)
{
    const struct zdm_derivation *x = a->derivation, *y = b->derivation;
    return x != NULL && y != NULL && x->n_assignments > 0 && y->n_assignments > 0 &&
           same(a->table.name, b->table.name) && same(x->assignments[0].target, y->assignments[0].target);
}

/* The step of that action which is about the same column; 0 for none. */
static uint32_t about(const struct zdm_plan *plan, enum zdm_action action, const struct zdm_step *like)
{
    for (uint32_t o = 1; o <= zdm_plan_n_steps(plan); o++)
        if (zdm_plan_step(plan, o)->action == action && same_target(zdm_plan_step(plan, o), like))
            return o;
    return 0;
}

/* A copy into a column that the migration adds, which triggers keep in step. */
static bool is_copy(const struct zdm_plan *plan, const struct zdm_step *step)
{
    return step->action == ZDM_ACTION_BACKFILL && step->derivation->assignments[0].added &&
           about(plan, ZDM_ACTION_SYNC_INSTALL, step) != 0;
}

static void write_rows(struct sim_schema *schema, const struct zdm_plan *plan, const struct zdm_step *fill)
{
    enum { EVERY = 41, OWN_MAX = 400 /* as many rows as a database here has */ };
    unsigned n = sim_schema_fill(plan, fill->ordinal);
    const struct zdm_step *add = zdm_plan_adds(plan, &fill->table, fill->derivation->assignments[0].target);
    bool apart = schema->made[about(plan, ZDM_ACTION_SYNC_INSTALL, fill)] == SIM_ABSENT;
    if (add == NULL || schema->made[add->ordinal] == SIM_ABSENT)
        return;
    for (uint32_t row = fill->ordinal; row < OWN_MAX; row += EVERY)
        schema->own[n][row] |= apart ? SIM_OWN | SIM_APART : SIM_OWN;
}

bool sim_schema_is_behind_switch(const struct zdm_plan *plan, uint32_t step, uint32_t reached)
{
    uint32_t flag = zdm_plan_switch_between(plan, 0, reached);
    return flag != 0 && zdm_plan_phase_of(plan, step) < flag;
}

bool sim_schema_cut_sync(struct sim_schema *schema, const struct zdm_plan *plan, uint32_t reached, int64_t now_ms)
{
    for (uint32_t o = 1; o <= zdm_plan_n_steps(plan); o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        if (step->action != ZDM_ACTION_SYNC_INSTALL || schema->made[o] != SIM_THERE ||
            !sim_schema_is_behind_switch(plan, o, reached))
            continue;
        schema->made[o] = SIM_ABSENT;
        schema->gap_ms = now_ms;
        sim_schema_write(schema, plan, reached);
        return true;
    }
    return false;
}

bool sim_schema_differs(const struct sim_schema *schema, const struct zdm_plan *plan, uint32_t compare, uint32_t row)
{
    const struct zdm_step *step = zdm_plan_step(plan, compare);
    uint32_t fill = about(plan, ZDM_ACTION_BACKFILL, step);
    if (fill == 0 || !is_copy(plan, zdm_plan_step(plan, fill)))
        return false;
    unsigned n = sim_schema_fill(plan, fill);
    uint8_t own = schema->own[n][row];
    return (schema->counters[n][row] == 0 && own == 0) || (own & SIM_APART) != 0 ||
           (own != 0 && !step->derivation->both_ways);
}

void sim_schema_mend(struct sim_schema *schema, const struct zdm_plan *plan, uint32_t rows)
{
    for (uint32_t o = 1; o <= zdm_plan_n_steps(plan); o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        if (!is_fill(step) || !is_copy(plan, step))
            continue;
        const struct zdm_step *add = zdm_plan_adds(plan, &step->table, step->derivation->assignments[0].target);
        unsigned n = sim_schema_fill(plan, o);
        if (add == NULL || schema->made[add->ordinal] == SIM_ABSENT)
            continue;
        memset(schema->own[n], 0, sizeof schema->own[n]);
        memset(schema->counters[n], 1, rows);
    }
}

void sim_schema_write(struct sim_schema *schema, const struct zdm_plan *plan, uint32_t reached)
{
    uint32_t flag = zdm_plan_switch_between(plan, 0, reached);
    for (uint32_t o = 1; flag != 0 && o < zdm_plan_first_after(plan, flag - 1); o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        bool room = step->action == ZDM_ACTION_ADD_COLUMN || step->action == ZDM_ACTION_CREATE_TABLE;
        if (room && schema->made[o] != SIM_ABSENT && !is_copied_back(plan, step))
            schema->written[o] = true;
        if (is_fill(step) && is_copy(plan, step))
            write_rows(schema, plan, step);
    }
}

/* What was made goes out of sight. */
static const char *leave(struct sim_schema *schema, uint32_t made, int64_t now_ms, bool signed_away)
{
    bool lost = schema->written[made] && !signed_away;
    if (schema->made[made] == SIM_ABSENT)
        return NULL;
    schema->made[made] = SIM_ABSENT;
    schema->written[made] = false;
    if (lost)
        return "what new code wrote was taken away, and too few people had signed that";
    if (schema->n_leftovers == SIM_LEFTOVERS_MAX)
        return "more was left by rollbacks than the simulator counts";
    schema->leftovers[schema->n_leftovers++] = now_ms;
    return NULL;
}

/* The column goes out of sight with all that stood in it. */
static const char *hide_added(struct sim_schema *schema, const struct zdm_plan *plan, uint32_t add, int64_t now_ms,
                              bool signed_away)
{
    const struct zdm_step *column = zdm_plan_step(plan, add);
    bool was_there = schema->made[add] != SIM_ABSENT;
    const char *wrong = leave(schema, add, now_ms, signed_away);
    if (!was_there || wrong != NULL)
        return wrong;
    for (uint32_t o = 1; o <= zdm_plan_n_steps(plan); o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        if (step->action != ZDM_ACTION_BACKFILL)
            continue;
        for (size_t i = 0; i < step->derivation->n_assignments; i++)
            if (zdm_plan_adds(plan, &step->table, step->derivation->assignments[i].target) == column) {
                memset(schema->counters[sim_schema_fill(plan, o)], 0, SIM_ROWS_MAX);
                memset(schema->own[sim_schema_fill(plan, o)], 0, SIM_ROWS_MAX);
                schema->again[sim_schema_fill(plan, o)] = false;
            }
    }
    return NULL;
}

void sim_schema_keep_images(struct sim_schema *schema, uint32_t ordinal, int64_t now_ms)
{
    if (schema->made[ordinal] == SIM_THERE)
        return;
    schema->made[ordinal] = SIM_THERE;
    schema->hidden_at_ms[ordinal] = now_ms;
}

void sim_schema_unfilled(struct sim_schema *schema, const struct zdm_plan *plan, uint32_t ordinal)
{
    if (is_fill(zdm_plan_step(plan, ordinal)))
        schema->again[sim_schema_fill(plan, ordinal)] = true;
}

static const char *undo_sync(struct sim_schema *schema, const struct agent_op *op, int64_t now_ms, bool signed_away)
{
    const struct zdm_step *step = zdm_plan_step(op->plan, op->step);
    schema->made[op->step] = SIM_ABSENT;
    for (size_t i = 0; i < step->derivation->n_assignments; i++) {
        const struct zdm_step *add = zdm_plan_adds(op->plan, &step->table, step->derivation->assignments[i].target);
        const char *wrong = NULL;
        if (add != NULL && add->ordinal >= op->floor)
            wrong = hide_added(schema, op->plan, add->ordinal, now_ms, signed_away);
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}

uint32_t sim_schema_images_back(struct sim_schema *schema, const struct agent_op *op, uint32_t rows)
{
    uint8_t *counters = schema->counters[sim_schema_fill(op->plan, op->step)];
    uint32_t limit = op->rows > 0 ? op->rows : 1, n = 0;
    for (uint32_t i = 0; i < rows && n < limit; i++) {
        if (counters[i] == 0)
            continue;
        counters[i]--;
        n++;
    }
    if (n < limit)
        schema->made[op->step] = SIM_ABSENT;
    return n;
}

static const char *unhide(struct sim_schema *schema, const struct zdm_step *step)
{
    if (schema->made[step->ordinal] == SIM_PURGED)
        return "what was purged was brought back";
    schema->made[step->ordinal] = SIM_UNPROVEN;
    schema->hidden_at_ms[step->ordinal] = 0;
    if (step->sync_step != 0)
        schema->made[step->sync_step] = SIM_THERE;
    return NULL;
}

const char *sim_schema_undo(struct sim_schema *schema, const struct agent_op *op, int64_t now_ms, bool signed_away)
{
    const struct zdm_step *step = zdm_plan_step(op->plan, op->step);
    if (op->run == AGENT_RUN_UNDO_SYNC)
        return undo_sync(schema, op, now_ms, signed_away);
    if (op->run == AGENT_RUN_UNHIDE)
        return unhide(schema, step);
    if (op->run == AGENT_RUN_UNDO_DDL && step->action == ZDM_ACTION_ADD_COLUMN)
        return hide_added(schema, op->plan, op->step, now_ms, signed_away);
    if (op->run == AGENT_RUN_UNDO_DDL &&
        (step->action == ZDM_ACTION_CREATE_TABLE || step->action == ZDM_ACTION_CREATE_TYPE))
        return leave(schema, op->step, now_ms, signed_away);
    if (op->run == AGENT_RUN_UNDO_REMOVE)
        schema->made[step->sync_step] = SIM_THERE;
    else
        schema->made[op->step] = SIM_ABSENT; /* INDEX_DROP, UNDO_DDL; RESTORE: the column is as it was */
    return NULL;
}

/* ---- Waits, and other plans ---- */

int64_t sim_schema_wait(struct sim_schema *schema, const struct zdm_plan *plan, uint32_t ordinal, int64_t now_ms)
{
    const struct zdm_wait_gate *wait = zdm_plan_step(plan, ordinal)->wait;
    if (schema->waits_since_ms[ordinal] == 0)
        schema->waits_since_ms[ordinal] = now_ms;
    int64_t left = schema->waits_since_ms[ordinal] + wait->for_ms - now_ms;
    if (left > 0)
        return left;
    schema->waits_since_ms[ordinal] = 0;
    return 0;
}

const char *sim_schema_amend(struct sim_schema *schema, const struct zdm_plan *plan, uint32_t common)
{
    uint32_t first = zdm_plan_first_after(plan, common), fill = sim_schema_fill(plan, first);
    const char *wrong = NULL;
    for (uint32_t o = first; o <= SIM_STEPS_MAX; o++) {
        if (schema->made[o] != SIM_ABSENT)
            wrong = "a plan was amended over something that stands there";
        schema->hidden_at_ms[o] = schema->waits_since_ms[o] = 0;
    }
    for (; fill < SIM_FILLS_MAX; fill++) {
        memset(schema->counters[fill], 0, sizeof schema->counters[fill]);
        memset(schema->own[fill], 0, sizeof schema->own[fill]);
        schema->again[fill] = false;
    }
    for (uint32_t p = common + 1; p <= SIM_PHASES_MAX; p++)
        schema->is_proven[p] = false;
    return wrong;
}

/* ---- Hidden things ---- */

int64_t sim_schema_hidden_since(const struct sim_schema *schema, const struct zdm_plan *plan, uint32_t ordinal)
{
    if (ordinal == 0)
        return schema->n_leftovers > 0 ? schema->leftovers[0] : 0;
    const struct zdm_step *step = zdm_plan_step(plan, ordinal);
    int64_t since = schema->hidden_at_ms[place_of(plan, step)];
    /* What rollbacks left in the column's table goes with it. */
    bool column = step->action == ZDM_ACTION_PURGE_COLUMN;
    for (size_t i = 0; i < schema->n_leftovers && column; i++)
        since = schema->leftovers[i] > since ? schema->leftovers[i] : since;
    return since;
}

void sim_schema_drop_leftover(struct sim_schema *schema)
{
    if (schema->n_leftovers == 0)
        return;
    schema->n_leftovers--;
    memmove(schema->leftovers, schema->leftovers + 1, schema->n_leftovers * sizeof schema->leftovers[0]);
}

/* ---- Pictures ---- */

static void take_picture(const struct sim_schema *schema, struct sim_picture *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out->made, schema->made, sizeof out->made);
    for (size_t fill = 0; fill < SIM_FILLS_MAX; fill++)
        for (size_t row = 0; row < SIM_ROWS_MAX; row++)
            out->filled[fill] += schema->counters[fill][row];
}

void sim_schema_remember(struct sim_schema *schema, uint32_t phase)
{
    if (schema->is_proven[phase])
        return;
    schema->is_proven[phase] = true;
    take_picture(schema, &schema->proven[phase]);
}

bool sim_schema_is_as_at(const struct sim_schema *schema, uint32_t phase)
{
    struct sim_picture now;
    take_picture(schema, &now);
    return schema->is_proven[phase] && memcmp(&now, &schema->proven[phase], sizeof now) == 0;
}
