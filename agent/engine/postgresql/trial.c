/*
 * trial.c - trying a step on an empty clone of its table (trial.h).
 *
 * File nodes of the clones and their indexes show what would be written anew, the counters of the transaction what
 * would be read, pg_locks what would be locked. What the plan does to the table before the step and has not done yet is
 * done to the clone first, so that a survey can try a plan's steps before any of them has run.
 */
#include "agent/engine/postgresql/trial.h"

#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/classify.h"
#include "agent/engine/postgresql/clone.h"
#include "agent/engine/postgresql/ddl.h"
#include "agent/engine/postgresql/journal.h"
#include "agent/engine/postgresql/owner.h"
#include "agent/engine/postgresql/partition.h"

/* Where the journal stands; 0 where there is none. */
static uint32_t place(struct pgsql_work *w)
{
    struct pgsql_place place = {0};
    struct zdm_error ignored = ZDM_ERROR_INIT;
    return pgsql_journal_place(w, &place, &ignored) == ZDM_OK ? place.step : 0;
}

static enum zdm_code begin(struct pgsql_work *w, const struct zdm_step *step, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer settings = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&settings,
                    "SET LOCAL lock_timeout = 100; SET LOCAL statement_timeout = 5000; SET LOCAL search_path "
                    "= pg_catalog, ");
    pgsql_put_name(&settings, step->table.schema);
    zdm_buffer_puts(&settings, ";");
    return pgsql_begin(w->s, zdm_buffer_text(&settings), err);
}

/* Tried is false from here on where something that the step builds on is not there. */
static enum zdm_code prepare(struct pgsql_stage *t, const struct pgsql_clone_rule *rule, struct zdm_error *err)
{
    uint32_t from = place(t->w);
    enum zdm_code code = begin(t->w, t->step, err);
    t->out->tried = true;
    if (code == ZDM_OK && rule->action != ZDM_ACTION_ATTACH_PARTITION) {
        code = pgsql_clone_table(t->w, &t->step->table, PGSQL_CLONE, err);
    }
    if (code == ZDM_OK && rule->foreign_keys) {
        code = pgsql_clone_foreign_keys(t->w, &t->step->table, PGSQL_CLONE, err);
    }
    if (code == ZDM_OK && rule->action != ZDM_ACTION_ATTACH_PARTITION) {
        code = pgsql_clone_replay(t, from, err);
    }
    if (code == ZDM_OK && rule->prepare != NULL) {
        code = rule->prepare(t, err);
    }
    if (code == ZDM_OK && pgsql_runs_as_owner(t->step)) {
        code = pgsql_clones_to_owner(t->w, err);
    }
    return code == ZDM_OK ? pgsql_commit(t->w->s, err) : code;
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

static enum zdm_code observe(struct pgsql_stage *t, const char *statement, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *before = NULL;
    ZDM_CLEANUP(pgsql_clearp) PGresult *seen = NULL;
    struct pgsql_session *s = t->w->s;
    struct pgsql_owner owner;
    enum zdm_code code = begin(t->w, t->step, err);
    if (code == ZDM_OK) {
        code = pgsql_query(s, before_sql, 0, NULL, &before, err);
    }
    if (code == ZDM_OK && pgsql_runs_as_owner(t->step)) {
        code = pgsql_owner_enter(t->w, &owner, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_script(s, statement, NULL, err);
    }
    if (code == ZDM_OK) {
        const char *params[] = {pgsql_text(before, 0, 0), pgsql_text(before, 0, 1), PGSQL_CLONE,
                                pgsql_text(before, 0, 2)};
        code = pgsql_query(s, seen_sql, 4, params, &seen, err);
    }
    if (code == ZDM_OK) {
        t->out->rewritten = pgsql_true(seen, 0, 0);
        t->out->scanned = pgsql_true(seen, 0, 1);
        t->out->lock = (enum zdm_table_lock)pgsql_int(seen, 0, 2);
        t->out->reads_default = pgsql_true(seen, 0, 3);
    }
    pgsql_rollback(s);
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
static enum zdm_code look_into_partition(struct pgsql_stage *t, struct zdm_error *err)
{
    bool rows = true;
    enum zdm_code code = pgsql_partition_holds_rows(t->w, &t->step->others[0], &rows, err);
    t->out->rewritten = code != ZDM_OK || rows;
    t->out->scanned = t->out->scanned && (code != ZDM_OK || rows || t->out->reads_default);
    return code;
}

static enum zdm_code try_rule(struct pgsql_stage *t, const struct pgsql_clone_rule *rule, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer statement = ZDM_BUFFER_INIT;
    struct zdm_error later = ZDM_ERROR_INIT;
    if (!rule->turn(t->step, &statement)) {
        return t->step->action == ZDM_ACTION_AS_IS
                   ? ZDM_OK
                   : zdm_error_set(err, ZDM_REFUSED, "the statement of step %s is no ALTER TABLE of %s.%s", t->step->id,
                                   t->step->table.schema, t->step->table.name);
    }
    enum zdm_code code = pgsql_drop_clones(t->w, err);
    if (code == ZDM_OK) {
        code = prepare(t, rule, err);
        pgsql_rollback(t->w->s);
    }
    if (code == ZDM_OK && t->out->tried) {
        code = observe(t, zdm_buffer_text(&statement), err);
    }
    if (code == ZDM_OK && t->step->action == ZDM_ACTION_ATTACH_PARTITION && t->out->rewritten) {
        code = look_into_partition(t, err);
    }
    if (pgsql_is_open(t->w->s) && pgsql_drop_clones(t->w, &later) != ZDM_OK) {
        pgsql_close(t->w->s); /* and the clones with it */
    }
    return code;
}

enum zdm_code pgsql_try_on_clone(struct pgsql_work *w, const struct zdm_step *step, struct pgsql_trial *out,
                                 struct zdm_error *err)
{
    const struct pgsql_clone_rule *rule = pgsql_clone_rule_of(step);
    *out = (struct pgsql_trial){.tried = false};
    if (rule == NULL || step->sql == NULL) {
        return ZDM_OK;
    }
    struct pgsql_stage t = {.w = w, .step = step, .out = out};
    const struct zdm_step *at_hand = w->step;
    w->step = step;
    enum zdm_code code = try_rule(&t, rule, err);
    w->step = at_hand;
    if (step->action == ZDM_ACTION_AS_IS && strcmp(err->sqlstate, "42704") == 0) {
        out->tried = false; /* a trigger, rule or policy, which no clone has */
        zdm_error_clear(err);
        return ZDM_OK;
    }
    if (code != ZDM_OK) {
        out->tried = false;
        if (pgsql_is_privilege(err)) {
            zdm_error_hint(err, "The agent's role and the owner of the tables need TEMPORARY on the database to try a "
                                "statement on an empty clone (deploy/sql/postgresql-grants.sql).");
        }
        return zdm_error_wrap(err, "while trying the statement on an empty clone");
    }
    if (out->tried) {
        judge(step, out);
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
