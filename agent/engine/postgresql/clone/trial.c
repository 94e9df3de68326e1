/*
 * trial.c - trying a step on an empty clone of its table (trial.h).
 *
 * File nodes of the clones and their indexes show what would be written anew, the counters of the transaction what
 * would be read, pg_locks what would be locked. What the plan does to the table before the step and has not done yet is
 * done to the clone first, so that a survey can try a plan's steps before any of them has run.
 */
#include "agent/engine/postgresql/clone/trial.h"

#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/clone/clone.h"
#include "agent/engine/postgresql/change/ddl.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/catalog/owner.h"
#include "agent/engine/postgresql/change/partition.h"

/* One trial under way. */
struct trial {
    struct pgsql_stage stage;
    const struct pgsql_clone_rule *rule;
    struct pgsql_trial *out;
};

/* Nothing of what is tried can be said where the step's own table neither is there nor comes from the plan. */
static bool has_ground(const struct pgsql_stage *stage)
{
    const struct zdm_step *step = stage->step;
    bool makes = step->action == ZDM_ACTION_CREATE_TABLE || step->action == ZDM_ACTION_CREATE_TYPE;
    bool own = stage->n_tables > 0 && strcmp(stage->tables[0].name, PGSQL_CLONE) == 0;
    return makes || (own && (stage->tables[0].there || pgsql_stage_makes(stage, &step->table)));
}

/* In a transaction of its own: what is made in the one of the trial is locked there already. */
static enum zdm_code prepare(struct trial *t, bool *ready, struct zdm_error *err)
{
    struct pgsql_stage *stage = &t->stage;
    struct pgsql_work *w = stage->w;
    const struct zdm_step *step = stage->step;
    enum zdm_code code = pgsql_stage_begin(w, step, err);
    if (code == ZDM_OK) {
        code = pgsql_stage_set(stage, w, step, err);
    }
    *ready = code == ZDM_OK && has_ground(stage);
    if (*ready && t->rule->prepare != NULL) {
        code = t->rule->prepare(stage, ready, err);
    }
    if (code == ZDM_OK && *ready && pgsql_runs_as_owner(step)) {
        code = pgsql_clones_to_owner(w, err);
    }
    return code == ZDM_OK ? pgsql_commit(w->s, err) : code;
}

/* The counters still hold what earlier transactions of the session did. */
#define SCANS                                                                                                          \
    "(SELECT coalesce(sum(pg_stat_get_xact_numscans(oid)), 0) FROM pg_class WHERE relnamespace = pg_my_temp_schema()"  \
    " AND relkind = 'r')"

#define DEFAULT_SCANS "coalesce(pg_stat_get_xact_numscans(to_regclass('pg_temp.\"~zdm_default\"')), 0)"

static const char before_sql[] = "SELECT array_agg(pg_relation_filenode(oid))::text, " SCANS ", " DEFAULT_SCANS
                                 " FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'i')";

/* $1: file nodes before, $2: scans before, $3: the clone, $4: scans of the default partition before. Modes in the order
 * of enum zdm_table_lock. */
static const char seen_sql[] =
    "SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'i')"
    " AND pg_relation_filenode(oid) <> ALL ($1::oid[])), " SCANS " > $2::numeric,"
    " coalesce((SELECT max(array_position(ARRAY['AccessShareLock', 'RowShareLock', 'RowExclusiveLock',"
    " 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'], mode))"
    " FROM pg_locks WHERE pid = pg_backend_pid() AND granted AND relation = to_regclass($3)), 0), " DEFAULT_SCANS
    " > $4::int8";

static enum zdm_code observe(struct trial *t, const char *statement, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *before = NULL;
    ZDM_CLEANUP(pgsql_clearp) PGresult *seen = NULL;
    struct pgsql_work *w = t->stage.w;
    struct pgsql_owner owner;
    enum zdm_code code = pgsql_stage_begin(w, t->stage.step, err);
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, before_sql, 0, NULL, &before, err);
    }
    if (code == ZDM_OK && pgsql_runs_as_owner(t->stage.step)) {
        code = pgsql_owner_enter(w, &owner, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_stage_run(w->s, statement, err);
    }
    if (code == ZDM_OK) {
        const char *params[] = {pgsql_text(before, 0, 0), pgsql_text(before, 0, 1), PGSQL_CLONE,
                                pgsql_text(before, 0, 2)};
        code = pgsql_query(w->s, seen_sql, 4, params, &seen, err);
    }
    if (code == ZDM_OK) {
        t->out->tried = true;
        t->out->rewritten = pgsql_true(seen, 0, 0);
        t->out->scanned = pgsql_true(seen, 0, 1);
        t->out->lock = (enum zdm_table_lock)pgsql_int(seen, 0, 2);
        t->out->reads_default = pgsql_true(seen, 0, 3);
    }
    pgsql_rollback(w->s);
    return code;
}

static void judge_attach(const struct zdm_step *step, struct pgsql_trial *out)
{
    const struct zdm_table *child = &step->others[0];
    snprintf(out->why, sizeof out->why, "attaching would build an index on %s.%s under %s", child->schema, child->name,
             zdm_table_lock_name(ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE));
    snprintf(out->hint, sizeof out->hint,
             "The partition lacks an index, or a unique or primary key, that %s.%s has. Give it one like it in this "
             "runbook, in front of ATTACH PARTITION: CREATE INDEX, or ADD CONSTRAINT for a key.",
             step->table.schema, step->table.name);
}

static void judge(const struct zdm_step *step, struct pgsql_trial *out)
{
    const char *schema = step->table.schema, *name = step->table.name;
    enum zdm_table_lock planned = zdm_action_table_lock(step->action);
    /* Attaching locks the parent as little, and the partition wholly. */
    bool quiet = out->lock <= ZDM_TABLE_LOCK_SHARE_UPDATE_EXCLUSIVE && step->action != ZDM_ACTION_ATTACH_PARTITION;
    if (step->action == ZDM_ACTION_AS_IS && step->rewrite_ok) {
        return;
    }
    if (out->rewritten && step->action == ZDM_ACTION_ATTACH_PARTITION) {
        judge_attach(step, out);
    } else if (out->rewritten) {
        snprintf(out->why, sizeof out->why, "the statement would write all of %s.%s anew (or an index of it) under %s",
                 schema, name, zdm_table_lock_name(out->lock));
        snprintf(out->hint, sizeof out->hint, "%s",
                 step->action == ZDM_ACTION_ADD_COLUMN
                     ? "Add the column without what makes the server rewrite the table (a volatile default, a domain "
                       "with constraints), then backfill it."
                 : step->action == ZDM_ACTION_AS_IS
                     ? "Write it so that the table stays as it is, or say {rewrite-ok} if it is small."
                     : "Add another column of the new type, keep both in step, and change over.");
    } else if (out->scanned && !quiet) {
        bool attach = step->action == ZDM_ACTION_ATTACH_PARTITION;
        snprintf(out->why, sizeof out->why, "the statement would read all of %s%s.%s under %s",
                 out->reads_default ? "the default partition of "
                 : attach           ? "a partition of "
                                    : "",
                 schema, name, zdm_table_lock_name(attach ? ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE : out->lock));
        snprintf(out->hint, sizeof out->hint, "%s",
                 out->reads_default
                     ? "A validated CHECK on the default partition that it has no row of the new bound, CHECK (NOT "
                       "(…)), spares the reading. The application cannot write such rows until it is attached."
                 : attach
                     ? "A validated CHECK on the partition that its rows fit the bound spares the reading; so do equal "
                       "foreign keys."
                     : "Add the constraint NOT VALID first, then validate it: that reads under a lock nobody "
                       "notices.");
    } else if (out->lock > planned) {
        snprintf(out->why, sizeof out->why, "the statement locks %s.%s in mode %s, and its plan says %s", schema, name,
                 zdm_table_lock_name(out->lock), zdm_table_lock_name(planned));
        snprintf(out->hint, sizeof out->hint, "Split what takes the stronger lock off into a statement of its own.");
    }
}

/* The indexes that a new, empty partition lacks are made in no time, and so is what they read. */
static enum zdm_code look_into_partition(struct trial *t, struct zdm_error *err)
{
    const struct pgsql_stage *stage = &t->stage;
    bool rows = false;
    enum zdm_code code = ZDM_OK;
    if (!pgsql_stage_makes(stage, &stage->step->others[0])) {
        code = pgsql_partition_holds_rows(stage->w, &stage->step->others[0], &rows, err);
    }
    t->out->rewritten = t->out->rewritten && (code != ZDM_OK || rows);
    t->out->scanned = t->out->scanned && (code != ZDM_OK || rows || t->out->reads_default);
    return code;
}

/* What it names may come from a statement that cannot be carried out on clones: a step before, run as it is, or another
 * statement of the same script. No error of the step then, and no proof that it works. */
static bool may_be_made(const struct trial *t, const struct zdm_error *err)
{
    static const char *const states[] = {"42704", "42P01", "42883", "3F000", "42703", "22P02", "42804"};
    const struct zdm_step *step = t->stage.step, *missing = t->stage.missing;
    bool as_is = step->action == ZDM_ACTION_AS_IS;
    for (size_t i = 0; (as_is || missing != NULL) && i < sizeof states / sizeof *states; i++) {
        bool own = as_is && missing == NULL && i < 4;
        if (strcmp(err->sqlstate, states[i]) == 0 && (missing != NULL || own)) {
            return true;
        }
    }
    return false;
}

static void say_not_tried(struct trial *t, const struct zdm_error *err)
{
    const struct zdm_step *missing = t->stage.missing;
    t->out->tried = false;
    if (missing != NULL) {
        snprintf(t->out->why_not, sizeof t->out->why_not,
                 "it builds on step %s, which cannot be carried out on an empty clone: %.150s", missing->id,
                 err->message);
    } else {
        snprintf(t->out->why_not, sizeof t->out->why_not, "an empty clone has not all that it names: %.150s",
                 err->message);
    }
}

static enum zdm_code try_statement(struct trial *t, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer statement = ZDM_BUFFER_INIT;
    const struct zdm_step *step = t->stage.step;
    bool ready = false;
    enum zdm_code code = prepare(t, &ready, err);
    pgsql_rollback(t->stage.w->s);
    bool as_is = step->action == ZDM_ACTION_AS_IS;
    if (code != ZDM_OK || (!ready && !as_is)) {
        return code;
    }
    if (!ready || !t->rule->turn(&t->stage, step, &statement)) {
        snprintf(t->out->why_not, sizeof t->out->why_not, "none of it alters a table in a way that a clone could show");
        return as_is ? ZDM_OK
                     : zdm_error_set(err, ZDM_REFUSED, "the statement of step %s is no ALTER TABLE of %s.%s", step->id,
                                     step->table.schema, step->table.name);
    }
    code = observe(t, zdm_buffer_text(&statement), err);
    if (code != ZDM_OK && pgsql_is_open(t->stage.w->s) && may_be_made(t, err)) {
        say_not_tried(t, err);
        zdm_error_clear(err);
        code = ZDM_OK;
    }
    bool look = t->out->tried && step->action == ZDM_ACTION_ATTACH_PARTITION;
    return code == ZDM_OK && look && (t->out->rewritten || t->out->scanned) ? look_into_partition(t, err) : code;
}

static enum zdm_code try_rule(struct trial *t, struct zdm_error *err)
{
    struct zdm_error later = ZDM_ERROR_INIT;
    struct pgsql_work *w = t->stage.w;
    enum zdm_code code = pgsql_drop_clones(w, err);
    if (code == ZDM_OK) {
        code = try_statement(t, err);
    }
    pgsql_stage_fini(&t->stage);
    if (pgsql_is_open(w->s) && pgsql_drop_clones(w, &later) != ZDM_OK) {
        pgsql_close(w->s); /* and the clones with it */
    }
    return code;
}

/* What is made anew is no table that anybody uses. */
static bool is_judged(const struct zdm_step *step)
{
    return step->action != ZDM_ACTION_CREATE_TABLE && step->action != ZDM_ACTION_CREATE_TYPE;
}

enum zdm_code pgsql_try_on_clone(struct pgsql_work *w, const struct zdm_step *step, struct pgsql_trial *out,
                                 struct zdm_error *err)
{
    struct trial t = {.stage = {.w = w, .step = step}, .rule = pgsql_clone_rule_of(step), .out = out};
    *out = (struct pgsql_trial){.tried = false};
    if (t.rule == NULL || !t.rule->tried || (step->sql == NULL && step->action != ZDM_ACTION_LIFT_CONSTRAINT)) {
        return ZDM_OK;
    }
    const struct zdm_step *at_hand = w->step;
    w->step = step;
    enum zdm_code code = try_rule(&t, err);
    w->step = at_hand;
    if (code != ZDM_OK) {
        out->tried = false;
        if (pgsql_is_privilege(err)) {
            zdm_error_hint(err, "The agent's role and the owner of the tables need TEMPORARY on the database to try a "
                                "statement on an empty clone (deploy/sql/postgresql-grants.sql).");
        }
        return zdm_error_wrap(err, "while trying the statement on an empty clone");
    }
    if (out->tried && is_judged(step)) {
        judge(step, out);
    } else if (out->tried) {
        out->rewritten = out->scanned = false;
    }
    return ZDM_OK;
}

enum zdm_code pgsql_prove_on_clone(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_trial trial;
    if (w->memory->clone_proved) {
        return ZDM_OK;
    }
    enum zdm_code code = pgsql_try_on_clone(w, w->step, &trial, err);
    if (code != ZDM_OK) {
        return code;
    }
    if (trial.why[0] != '\0') {
        zdm_error_set(err, ZDM_REFUSED, "%s", trial.why);
        return zdm_error_hint(err, "%s", trial.hint);
    }
    w->memory->clone_proved = true;
    return ZDM_OK;
}
