/*
 * sim_journal.c - the journal of the simulated database: rows, orders, plans, what was spent; and backups of it all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/plan/undo.h"
#include "tests/sim/sim_db_private.h"

struct agent_journal *sim_db_journal(const struct sim_db *db, const char *migration)
{
    for (size_t i = 0; i < db->now.n_journals; i++)
        if (strcmp(db->now.journals[i].migration, migration) == 0)
            return (struct agent_journal *)(uintptr_t)&db->now.journals[i];
    return NULL;
}

struct sim_db_truth *sim_db_truth(const struct sim_db *db, const struct agent_journal *journal)
{
    return (struct sim_db_truth *)(uintptr_t)&db->now.truths[journal - db->now.journals];
}

void sim_journal_set_text(char **text, const char *value)
{
    char *copy = zdm_strdup(value);
    free(*text);
    *text = copy;
}

static void copy_envelope(struct zdm_envelope *out, const struct zdm_envelope *from)
{
    *out = (struct zdm_envelope){0};
    if (!zdm_envelope_copy(out, from))
        abort();
}

static void copy_journal(struct agent_journal *to, const struct agent_journal *from)
{
    *to = *from;
    to->cursor = zdm_strdup(from->cursor);
    to->bound = zdm_strdup(from->bound);
    copy_envelope(&to->directive, &from->directive);
    to->plan = (struct zdm_envelope){0};
}

/* ---- Backups ---- */

static void content_fini(struct sim_db_content *content)
{
    for (size_t i = 0; i < content->n_journals; i++)
        agent_journal_fini(&content->journals[i]);
    for (size_t i = 0; i < content->n_plans; i++)
        zdm_envelope_fini(&content->plans[i].envelope);
}

static void content_copy(struct sim_db_content *to, const struct sim_db_content *from)
{
    *to = *from;
    for (size_t i = 0; i < from->n_journals; i++)
        copy_journal(&to->journals[i], &from->journals[i]);
    for (size_t i = 0; i < from->n_plans; i++)
        copy_envelope(&to->plans[i].envelope, &from->plans[i].envelope);
}

void sim_db_init(struct sim_db *db, struct world *world, int number, uint32_t rows)
{
    *db = (struct sim_db){.world = world, .number = number, .up = true, .boots = 1, .rows = rows};
    db->wall_offset_ms = world_between(world, -2000, 2000);
}

void sim_db_fini(struct sim_db *db)
{
    content_fini(&db->now);
    if (db->backup != NULL)
        content_fini(db->backup);
    free(db->backup);
    db->backup = NULL;
}

void sim_db_back_up(struct sim_db *db)
{
    if (db->backup != NULL)
        content_fini(db->backup);
    else
        db->backup = malloc(sizeof *db->backup);
    if (db->backup == NULL)
        abort();
    content_copy(db->backup, &db->now);
}

void sim_db_restore(struct sim_db *db)
{
    content_fini(&db->now);
    content_copy(&db->now, db->backup);
    db->boots++;
    db->restores++;
}

bool sim_db_cut_sync(struct sim_db *db, const struct zdm_plan *plan)
{
    struct agent_journal *journal = sim_db_journal(db, plan->id);
    if (journal == NULL || !zdm_hash_equal(&journal->plan_hash, &plan->hash))
        return false;
    uint32_t reached = zdm_plan_switched(plan, journal->switched_phase, journal->reached_phase);
    bool cut = sim_schema_cut_sync(&sim_db_truth(db, journal)->schema, plan, reached, sim_db_wall_ms(db));
    db->gaps += cut;
    return cut;
}

void sim_db_mend(struct sim_db *db, const struct zdm_plan *plan)
{
    struct agent_journal *journal = sim_db_journal(db, plan->id);
    if (journal != NULL && zdm_hash_equal(&journal->plan_hash, &plan->hash))
        sim_schema_mend(&sim_db_truth(db, journal)->schema, plan, db->rows);
}

int64_t sim_db_wall_ms(const struct sim_db *db)
{
    return INT64_C(1700000000000) + db->world->now_ms + db->wall_offset_ms;
}

/* ---- Connecting ---- */

static void add_hidden(struct agent_result *result, const char *migration, int64_t at_ms, bool by_rollback)
{
    struct agent_hidden *row = &result->hidden[result->n_hidden++];
    zdm_copy_text(row->migration, sizeof row->migration, migration);
    zdm_copy_text(row->what, sizeof row->what, "column public.t.c");
    row->hidden_at_ms = at_ms;
    row->by_rollback = by_rollback;
}

static size_t count_hidden(const struct sim_schema *schema)
{
    size_t n = schema->n_leftovers;
    for (size_t o = 1; o <= SIM_STEPS_MAX; o++)
        n += schema->made[o] == SIM_HIDDEN;
    return n;
}

static void list_hidden(const struct sim_db *db, struct agent_result *result)
{
    size_t n = 0;
    for (size_t i = 0; i < db->now.n_journals; i++)
        n += count_hidden(&db->now.truths[i].schema);
    if (n == 0)
        return;
    result->hidden = calloc(n, sizeof *result->hidden);
    if (result->hidden == NULL)
        abort();
    for (size_t i = 0; i < db->now.n_journals; i++) {
        const struct sim_schema *schema = &db->now.truths[i].schema;
        const char *migration = db->now.journals[i].migration;
        for (size_t o = 1; o <= SIM_STEPS_MAX; o++)
            if (schema->made[o] == SIM_HIDDEN)
                add_hidden(result, migration, schema->hidden_at_ms[o], false);
        for (size_t k = 0; k < schema->n_leftovers; k++)
            add_hidden(result, migration, schema->leftovers[k], true);
    }
}

void sim_db_identity(const struct sim_db *db, char out[64])
{
    snprintf(out, 64, "sim-%d-%llu", db->number, (unsigned long long)db->boots);
}

static void list_interrupted(const struct sim_db *db, struct agent_result *result)
{
    result->interrupted = calloc(SIM_DB_JOURNALS_MAX, sizeof *result->interrupted);
    if (result->interrupted == NULL)
        abort();
    for (size_t i = 0; i < db->now.n_journals; i++) {
        const struct sim_schema *schema = &db->now.truths[i].schema;
        struct agent_interrupted *one = &result->interrupted[result->n_interrupted];
        if (schema->gap_ms == 0)
            continue;
        zdm_copy_text(one->migration, sizeof one->migration, db->now.journals[i].migration);
        zdm_copy_text(one->what, sizeof one->what, "trigger is gone");
        one->first_ms = schema->gap_ms;
        result->n_interrupted++;
    }
}

void sim_journal_describe(const struct sim_db *db, struct agent_result *result)
{
    result->connected = true;
    result->writable = true;
    result->engine = ZDM_ENGINE_POSTGRESQL;
    result->capabilities =
        AGENT_CAN_TRANSACTIONAL_DDL | AGENT_CAN_NOWAIT | AGENT_CAN_CONCURRENT_INDEX | AGENT_CAN_HIDE_BY_RENAME;
    result->timeline = 1;
    sim_db_identity(db, result->identity);
    zdm_copy_text(result->server_version, sizeof result->server_version, "15.0");
    if (result->kind == AGENT_OP_SIGNALS) {
        list_hidden(db, result);
        list_interrupted(db, result);
    }
}

void sim_journal_connect(struct sim_db *db, struct agent_result *result)
{
    const struct sim_db_content *now = &db->now;
    sim_journal_describe(db, result);
    result->journals = calloc(now->n_journals > 0 ? now->n_journals : 1, sizeof *result->journals);
    if (result->journals == NULL)
        abort();
    for (size_t i = 0; i < now->n_journals; i++) {
        copy_journal(&result->journals[i], &now->journals[i]);
        for (size_t k = 0; k < now->n_plans; k++)
            if (zdm_hash_equal(&now->plans[k].hash, &now->journals[i].plan_hash))
                copy_envelope(&result->journals[i].plan, &now->plans[k].envelope);
    }
    result->n_journals = now->n_journals;
}

/* ---- Plans and orders ---- */

/* The newest envelope of a hash counts: another operator may have signed the plan anew. */
void sim_journal_store_plan(struct sim_db *db, const struct sim_pending *pending)
{
    struct sim_db_content *now = &db->now;
    size_t i = 0;
    while (i < now->n_plans && !zdm_hash_equal(&now->plans[i].hash, &pending->op.digest))
        i++;
    if (i == SIM_DB_PLANS_MAX)
        abort();
    if (i == now->n_plans)
        now->n_plans++;
    else
        zdm_envelope_fini(&now->plans[i].envelope);
    now->plans[i].hash = pending->op.digest;
    copy_envelope(&now->plans[i].envelope, &pending->envelope);
}

const struct zdm_envelope *sim_db_plan(const struct sim_db *db, const struct zdm_hash *hash)
{
    for (size_t i = 0; i < db->now.n_plans; i++)
        if (zdm_hash_equal(&db->now.plans[i].hash, hash))
            return &db->now.plans[i].envelope;
    return NULL;
}

static struct agent_journal *new_row(struct sim_db *db, const char *migration)
{
    if (db->now.n_journals == SIM_DB_JOURNALS_MAX)
        abort();
    struct agent_journal *journal = &db->now.journals[db->now.n_journals++];
    *journal = (struct agent_journal){.step = 1};
    zdm_copy_text(journal->migration, sizeof journal->migration, migration);
    memset(sim_db_truth(db, journal), 0, sizeof *sim_db_truth(db, journal));
    sim_schema_remember(&sim_db_truth(db, journal)->schema, 0);
    return journal;
}

/* Those that end where the journal stands: one with steps, and behind it those without. */
static void remember_phases(struct sim_db *db, const struct agent_journal *journal, const struct zdm_plan *plan)
{
    for (size_t i = 0; i < plan->n_phases; i++)
        if (zdm_plan_first_after(plan, plan->phases[i].number) == journal->step)
            sim_schema_remember(&sim_db_truth(db, journal)->schema, plan->phases[i].number);
}

/* What people let in they let in for the plan that they saw; where all that was entered is the same, that stays. */
static void take_plan(struct sim_db *db, struct agent_journal *journal, const struct sim_pending *pending)
{
    struct sim_db_truth *truth = sim_db_truth(db, journal);
    bool first = zdm_hash_is_zero(&journal->plan_hash);
    if (zdm_hash_equal(&journal->plan_hash, &pending->plan_hash))
        return;
    if (!first && db->amended != NULL) {
        uint32_t common = db->amended(db->ctx, db, journal->migration, &journal->plan_hash, &pending->plan_hash);
        const char *wrong = sim_schema_amend(&truth->schema, pending->op.plan, common);
        remember_phases(db, journal, pending->op.plan);
        if (journal->step > zdm_plan_first_after(pending->op.plan, common))
            wrong = "a plan was taken over whose steps that were done are others";
        if (wrong != NULL)
            db->violation = wrong;
        db->amends++;
        db->amends_inside += journal->cursor != NULL;
    }
    journal->plan_hash = pending->plan_hash;
    if (pending->op.amends) /* what was let in was let in by phases that are the same */
        return;
    journal->entered_phase = journal->reached_phase = journal->switched_phase = 0;
    journal->purge_now = journal->purge_generation_now = false;
    journal->purge_generation = 0;
    truth->rights.entered = 0;
    truth->rights.purge_now = truth->rights.leftovers_now = false;
    truth->rights.leftovers_under = 0;
}

static void take_order(struct sim_db *db, struct agent_journal *journal, const struct sim_pending *pending)
{
    struct sim_db_truth *truth = sim_db_truth(db, journal);
    bool forward = pending->mode == ZDM_MODE_RUN || pending->mode == ZDM_MODE_PURGE;
    if (pending->op.purge_goes_on && journal->purge_generation == journal->accepted.generation)
        journal->purge_generation = pending->offered.generation;
    if (pending->mode == ZDM_MODE_PURGE && truth->purging && truth->attempt == pending->attempt &&
        truth->rights.leftovers_under == journal->accepted.generation)
        truth->rights.leftovers_under = pending->offered.generation;
    truth->purging = pending->mode == ZDM_MODE_PURGE;
    truth->attempt = pending->attempt;
    truth->goal = pending->goal;
    zdm_envelope_fini(&journal->directive);
    copy_envelope(&journal->directive, &pending->envelope);
    journal->accepted = pending->offered;
    journal->digest = pending->op.digest;
    take_plan(db, journal, pending);
    if (pending->reach > journal->reached_phase)
        journal->reached_phase = pending->reach;
    sim_schema_write(&truth->schema, pending->op.plan, pending->reach);
    if (pending->op.trust_version > journal->trust_version)
        journal->trust_version = pending->op.trust_version;
    truth->paused = pending->mode == ZDM_MODE_PAUSE;
    if (!forward)
        return;
    memset(&journal->undo_nonce, 0, sizeof journal->undo_nonce);
    truth->rights.going_back = false;
}

static bool judged_by(const struct agent_journal *journal, const struct sim_pending *pending)
{
    return zdm_hash_is_zero(&journal->plan_hash) || zdm_hash_equal(&journal->plan_hash, &pending->plan_hash) ||
           (zdm_fence_equal(&journal->accepted, &pending->op.fence) && journal->step == pending->op.journal_step);
}

enum agent_outcome sim_journal_accept(struct sim_db *db, const struct sim_pending *pending, struct agent_result *result)
{
    struct agent_journal *journal = sim_db_journal(db, pending->op.migration);
    if (journal == NULL)
        journal = new_row(db, pending->op.migration);
    const struct zdm_fence *old = &journal->accepted, *new = &pending->offered;
    if (new->epoch == old->epoch &&new->generation == old->generation && zdm_id_equal(&new->instance, &old->instance) &&
        zdm_hash_equal(&journal->digest, &pending->op.digest)) {
        sim_journal_report(result, journal);
        return AGENT_ALREADY;
    }
    /* (epoch, generation) must rise, and an epoch has one instance only; another plan was judged by what stands here.
     */
    if (zdm_fence_compare(new, old) <= 0 || !judged_by(journal, pending) ||
        (new->epoch == old->epoch && !zdm_id_equal(&new->instance, &old->instance))) {
        db->fenced++;
        return AGENT_FENCED;
    }
    take_order(db, journal, pending);
    sim_journal_report(result, journal);
    return AGENT_OK;
}

/* ---- Rows ---- */

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Has another process of the same agent journalled that this attempt failed? */
static bool is_stopped(const struct agent_journal *journal, const struct agent_op *op)
{
    return op->run != AGENT_RUN_STOP && journal->failed_attempt != 0 && journal->failed_attempt >= op->attempt;
}

bool sim_journal_fence(const struct agent_journal *journal, const struct agent_op *op)
{
    return journal != NULL && journal->accepted.epoch == op->fence.epoch &&
           journal->accepted.generation == op->fence.generation &&
           zdm_id_equal(&journal->accepted.instance, &op->fence.instance) && journal->step == op->journal_step &&
           same_text(journal->cursor, op->cursor) && !is_stopped(journal, op);
}

void sim_journal_report(struct agent_result *result, const struct agent_journal *journal)
{
    result->journal_valid = true;
    result->journal_step = journal->step;
    result->cursor = zdm_strdup(journal->cursor);
    result->bound = zdm_strdup(journal->bound);
    result->walked = journal->walked;
    result->rows_done = journal->rows_done;
    result->rows_total = journal->rows_total;
    result->entered_phase = journal->entered_phase;
    result->reached_phase = journal->reached_phase;
    result->switched_phase = journal->switched_phase;
    result->purge_now = journal->purge_now;
    result->purge_generation = journal->purge_generation;
    result->purge_generation_now = journal->purge_generation_now;
    result->undo_nonce = journal->undo_nonce;
}

uint32_t sim_db_high_step(const struct sim_db *db, const char *migration)
{
    for (size_t i = 0; i < SIM_DB_JOURNALS_MAX; i++)
        if (strcmp(db->highs[i].migration, migration) == 0)
            return db->highs[i].step;
    return 0;
}

static void note_high(struct sim_db *db, const char *migration, uint32_t step)
{
    struct sim_db_high *high = db->highs;
    while (high->migration[0] != '\0' && strcmp(high->migration, migration) != 0)
        high++;
    zdm_copy_text(high->migration, sizeof high->migration, migration);
    if (step > high->step)
        high->step = step;
}

void sim_journal_go_to(struct sim_db *db, struct agent_journal *journal, const struct zdm_plan *plan, uint32_t step)
{
    bool forward = step > journal->step;
    journal->step = step;
    sim_journal_set_text(&journal->cursor, NULL);
    sim_journal_set_text(&journal->bound, NULL);
    journal->walked = false;
    journal->rows_done = journal->rows_total = 0;
    if (!forward)
        return;
    note_high(db, journal->migration, step);
    remember_phases(db, journal, plan);
}

/* ---- What was spent ---- */

static bool is_spent(const struct sim_db *db, const struct zdm_id *nonce)
{
    for (size_t i = 0; i < db->now.n_spent; i++)
        if (zdm_id_equal(&db->now.spent[i], nonce))
            return true;
    return false;
}

/* An order to go back has spent every approval of what lies after its phase, and of leftovers, that is older. */
static bool is_gone_back_over(const struct sim_db *db, const struct agent_op *op, const struct agent_spend *one)
{
    for (size_t i = 0; i < db->now.n_orders; i++) {
        const struct sim_db_order *order = &db->now.orders[i];
        bool below = op->spend_phase == 0 || order->to_phase < op->spend_phase;
        if (below && one->issued_at_ms <= order->issued_at_ms && strcmp(order->migration, op->migration) == 0)
            return true;
    }
    return false;
}

static void spend(struct sim_db *db, const struct zdm_id *nonce)
{
    if (db->now.n_spent == SIM_DB_SPENT_MAX)
        abort();
    db->now.spent[db->now.n_spent++] = *nonce;
}

static void note_order(struct sim_db *db, const struct agent_op *op)
{
    spend(db, &op->undo_nonce);
    struct sim_db_order *order = &db->now.orders[db->now.n_orders++];
    *order = (struct sim_db_order){.to_phase = op->to_phase, .issued_at_ms = op->undo_issued_at_ms};
    zdm_copy_text(order->migration, sizeof order->migration, op->migration);
}

static enum agent_outcome refuse_spent(struct sim_db *db, struct agent_result *result)
{
    db->refused_spent++;
    (void)zdm_error_set(&result->error, ZDM_REFUSED, "a signature was spent on this shard before");
    return AGENT_FAIL;
}

/* Bit i: spend[i] was spent before. */
static uint32_t spent_before(const struct sim_db *db, const struct agent_op *op)
{
    uint32_t bits = 0;
    bool lets_in = op->run == AGENT_RUN_SPEND_APPROVALS;
    for (size_t i = 0; i < op->n_spend; i++)
        if (is_spent(db, &op->spend[i].nonce) || (lets_in && is_gone_back_over(db, op, &op->spend[i])))
            bits |= UINT32_C(1) << i;
    return bits;
}

enum agent_outcome sim_journal_spend(struct sim_db *db, struct agent_journal *journal,
                                     const struct sim_pending *pending, struct agent_result *result)
{
    const struct agent_op *op = &pending->op;
    struct sim_rights *rights = &sim_db_truth(db, journal)->rights;
    result->spent_before = spent_before(db, op);
    if (result->spent_before != 0)
        return refuse_spent(db, result);
    for (size_t i = 0; i < op->n_spend; i++)
        spend(db, &op->spend[i].nonce);
    db->let_in++;
    if (op->spend_phase > 0) {
        journal->entered_phase = rights->entered = op->spend_phase;
        journal->purge_now = rights->purge_now = op->purge_now;
    } else {
        journal->purge_generation = rights->leftovers_under = op->fence.generation;
        journal->purge_generation_now = rights->leftovers_now = op->purge_now;
    }
    return AGENT_OK;
}

enum agent_outcome sim_journal_begin_undo(struct sim_db *db, struct agent_journal *journal,
                                          const struct sim_pending *pending, struct agent_result *result)
{
    const struct agent_op *op = &pending->op;
    struct sim_rights *rights = &sim_db_truth(db, journal)->rights;
    result->spent_before = spent_before(db, op);
    if (is_spent(db, &op->undo_nonce) || result->spent_before != 0)
        return refuse_spent(db, result);
    if (zdm_plan_purged(op->plan, ZDM_ENGINE_POSTGRESQL, op->to_phase, journal->step) != NULL) {
        (void)zdm_error_set(&result->error, ZDM_REFUSED, "what was purged cannot be brought back");
        return AGENT_FAIL;
    }
    note_order(db, op);
    for (size_t i = 0; i < op->n_spend; i++)
        spend(db, &op->spend[i].nonce);
    if (journal->entered_phase > op->to_phase)
        journal->entered_phase = op->to_phase;
    if (journal->reached_phase > op->to_phase)
        journal->reached_phase = op->to_phase;
    if (journal->switched_phase < op->switched_phase)
        journal->switched_phase = op->switched_phase;
    if (rights->entered > op->to_phase)
        rights->entered = op->to_phase;
    journal->purge_now = rights->purge_now = false;
    journal->purge_generation = rights->leftovers_under = 0;
    journal->purge_generation_now = rights->leftovers_now = false;
    journal->undo_nonce = op->undo_nonce;
    rights->going_back = true;
    rights->back_to = op->to_phase;
    rights->signed_away = db->may_lose == NULL || db->may_lose(db->ctx, db, op);
    db->half_undone += journal->cursor != NULL;
    return AGENT_OK;
}
