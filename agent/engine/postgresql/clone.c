/*
 * clone.c - trying a step on an empty clone of its table (trial.h).
 *
 * File nodes of the clones and their indexes show what would be written anew, the counters of the transaction what
 * would be read, pg_locks what would be locked. What the plan does to the table before the step and has not done yet is
 * done to the clone first, so that a survey can try a plan's steps before any of them has run.
 */
#include "agent/engine/postgresql/trial.h"

#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/classify.h"
#include "agent/engine/postgresql/ddl.h"
#include "agent/engine/postgresql/journal.h"
#include "agent/engine/postgresql/owner.h"
#include "agent/engine/postgresql/partition.h"
#include "agent/engine/postgresql/retarget.h"

static const char clone_name[] = "pg_temp.\"~zdm_clone\"";

enum { SCRIPT_MAX = 20 };

/* One trial under way. */
struct trial {
    struct pgsql_work *w;
    const struct zdm_step *step;
    struct pgsql_trial *out;
};

/* What a kind of step needs beside its own table's clone, and how its statement is turned to the clones. */
struct rule {
    enum zdm_action action;
    bool foreign_keys; /* those of the table itself, to clones of what they point at */
    enum zdm_code (*prepare)(struct trial *t, struct zdm_error *err);
    bool (*turn)(const struct zdm_step *step, struct zdm_buffer *out);
};

/* ---- Making clones ---- */

static enum zdm_code run_each(struct pgsql_work *w, const char *sql, size_t n, const char *const *params,
                              struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, n, params, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        code = pgsql_script(w->s, pgsql_text(res, i, 0), NULL, err);
    }
    return code;
}

/* Of a trial that was cut short, too. */
static enum zdm_code drop_clones(struct pgsql_work *w, struct zdm_error *err)
{
    return run_each(w,
                    "SELECT format('DROP TABLE IF EXISTS pg_temp.%I CASCADE', relname) FROM pg_class WHERE"
                    " relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'p') AND relname LIKE '~zdm\\_%'",
                    0, NULL, err);
}

static enum zdm_code clone_table(struct pgsql_work *w, const struct zdm_table *table, const char *name,
                                 struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&sql, "CREATE TEMPORARY TABLE IF NOT EXISTS %s (LIKE ", name);
    pgsql_put_table(&sql, table);
    zdm_buffer_puts(&sql, " INCLUDING ALL)");
    return pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
}

static void parent_name(char out[48], const char *oid)
{
    snprintf(out, 48, "pg_temp.\"~zdm_parent_%s\"", oid);
}

/* Of (name, definition, parent's schema, name and number, points at itself). */
static enum zdm_code clone_foreign_key(struct trial *t, const PGresult *res, int row, const char *clone,
                                       struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer definition = ZDM_BUFFER_INIT;
    struct zdm_table parent = {PQgetvalue(res, row, 2), PQgetvalue(res, row, 3)};
    char name[48];
    bool self = pgsql_true(res, row, 5);
    parent_name(name, pgsql_text(res, row, 4));
    enum zdm_code code = self ? ZDM_OK : clone_table(t->w, &parent, name, err);
    if (code != ZDM_OK) {
        return code;
    }
    if (!pgsql_retarget_reference(&definition, pgsql_text(res, row, 1), NULL, self ? clone : name)) {
        return zdm_error_set(err, ZDM_BUG, "a foreign key without REFERENCES");
    }
    zdm_buffer_printf(&sql, "ALTER TABLE %s ADD CONSTRAINT ", clone);
    pgsql_put_name(&sql, pgsql_text(res, row, 0));
    /* A partitioned table has none that is not validated, and what is tried there is not whether rows violate it. */
    const char *text = zdm_buffer_text(&definition), *tail = strstr(text, " NOT VALID");
    zdm_buffer_printf(&sql, " %.*s", (int)(tail == NULL ? strlen(text) : (size_t)(tail - text)), text);
    return pgsql_script(t->w->s, zdm_buffer_text(&sql), NULL, err);
}

static enum zdm_code clone_foreign_keys(struct trial *t, const struct zdm_table *table, const char *clone,
                                        struct zdm_error *err)
{
    static const char sql[] =
        "SELECT k.conname, pg_get_constraintdef(k.oid), pn.nspname, p.relname, p.oid, k.confrelid = k.conrelid"
        " FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace"
        " WHERE k.contype = 'f' AND n.nspname = $1 AND c.relname = $2 ORDER BY k.conname";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {table->schema, table->name};
    enum zdm_code code = pgsql_query(t->w->s, sql, 2, params, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        code = clone_foreign_key(t, res, i, clone, err);
    }
    return code;
}

/* ---- What the plan does to the table before ---- */

static bool turn_plain(const struct zdm_step *step, struct zdm_buffer *out)
{
    return pgsql_retarget(out, step->sql, &step->table, clone_name);
}

static bool turn_index(const struct zdm_step *step, struct zdm_buffer *out)
{
    return pgsql_retarget_index(out, step->sql, &step->table, clone_name);
}

/* Where the journal stands; 0 where there is none. */
static uint32_t place(struct pgsql_work *w)
{
    struct pgsql_place place = {0};
    struct zdm_error ignored = ZDM_ERROR_INIT;
    return pgsql_journal_place(w, &place, &ignored) == ZDM_OK ? place.step : 0;
}

/* What does not work, since it is there already or builds on what is not, is left. */
static enum zdm_code replay_one(struct trial *t, const struct zdm_step *step, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    bool turned = step->action == ZDM_ACTION_CREATE_INDEX ? turn_index(step, &sql) : turn_plain(step, &sql);
    if (!turned) {
        return ZDM_OK;
    }
    enum zdm_code code = pgsql_script(t->w->s, "SAVEPOINT before", NULL, err);
    if (code == ZDM_OK && pgsql_script(t->w->s, zdm_buffer_text(&sql), NULL, &ignored) != ZDM_OK) {
        code = pgsql_script(t->w->s, "ROLLBACK TO before", NULL, err);
    }
    return code == ZDM_OK ? pgsql_script(t->w->s, "RELEASE before", NULL, err) : code;
}

static bool is_replayed(const struct zdm_step *step, const struct zdm_step *of)
{
    return step != NULL && step->sql != NULL && step->action != ZDM_ACTION_CHECK_QUERY &&
           step->action != ZDM_ACTION_AS_IS && step->table.name != NULL && of->table.name != NULL &&
           strcmp(step->table.schema, of->table.schema) == 0 && strcmp(step->table.name, of->table.name) == 0;
}

static enum zdm_code replay(struct trial *t, uint32_t from, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (uint32_t o = from == 0 ? 1 : from; code == ZDM_OK && o < t->step->ordinal; o++) {
        const struct zdm_step *step = zdm_plan_step(t->w->op->plan, o);
        if (is_replayed(step, t->step)) {
            code = replay_one(t, step, err);
        }
    }
    return code;
}

/* ---- Kinds ---- */

static enum zdm_code prepare_reference(struct trial *t, struct zdm_error *err)
{
    char name[48];
    parent_name(name, "0");
    const struct zdm_step *step = t->step;
    if (step->n_others == 0) {
        return zdm_error_set(err, ZDM_BUG, "step %s does not say what its foreign key points at", step->id);
    }
    bool self =
        strcmp(step->others[0].schema, step->table.schema) == 0 && strcmp(step->others[0].name, step->table.name) == 0;
    return self ? ZDM_OK : clone_table(t->w, &step->others[0], name, err);
}

static bool turn_reference(const struct zdm_step *step, struct zdm_buffer *out)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer half = ZDM_BUFFER_INIT;
    char name[48];
    parent_name(name, "0");
    bool self =
        strcmp(step->others[0].schema, step->table.schema) == 0 && strcmp(step->others[0].name, step->table.name) == 0;
    return pgsql_retarget(&half, step->sql, &step->table, clone_name) &&
           pgsql_retarget_reference(out, zdm_buffer_text(&half), &step->others[0], self ? clone_name : name);
}

/* The index under its own name, in the clone's schema. One that is not there yet was made by replay, or cannot be
 * tried. */
static enum zdm_code prepare_index(struct trial *t, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT format('CREATE UNIQUE INDEX %I ON %s ', ic.relname, $4::text) || substr(pg_get_indexdef(ic.oid),"
        " length(format('CREATE UNIQUE INDEX %I ON %I.%I ', ic.relname, n.nspname, c.relname)) + 1)"
        " FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND ic.relname = $3"
        " AND i.indisunique AND c.relkind = 'r'";
    const char *params[] = {t->step->table.schema, t->step->table.name, t->step->object, clone_name};
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = run_each(t->w, sql, 4, params, err);
    if (code == ZDM_OK) {
        code = pgsql_query(t->w->s,
                           "SELECT FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relname = $1"
                           " AND relkind = 'i'",
                           1, (const char *const[]){t->step->object}, &res, err);
    }
    t->out->tried = code == ZDM_OK && PQntuples(res) > 0;
    return code;
}

static enum zdm_code prepare_partition(struct trial *t, struct zdm_error *err)
{
    if (t->step->n_others == 0) {
        return zdm_error_set(err, ZDM_BUG, "step %s does not say what is to be attached", t->step->id);
    }
    enum zdm_code code = pgsql_clone_partitions(t->w, &t->step->table, &t->step->others[0], clone_name, err);
    if (code == ZDM_OK) {
        code = clone_foreign_keys(t, &t->step->table, clone_name, err);
    }
    return code == ZDM_OK ? clone_foreign_keys(t, &t->step->others[0], PGSQL_CLONE_CHILD, err) : code;
}

static bool turn_partition(const struct zdm_step *step, struct zdm_buffer *out)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer half = ZDM_BUFFER_INIT;
    return pgsql_retarget(&half, step->sql, &step->table, clone_name) &&
           pgsql_retarget_partition(out, zdm_buffer_text(&half), &step->others[0], PGSQL_CLONE_CHILD);
}

static bool is_own(const struct zdm_step *step, const struct zdm_table *table)
{
    return strcmp(table->schema, step->table.schema) == 0 && strcmp(table->name, step->table.name) == 0;
}

static void other_name(char out[48], size_t i)
{
    char number[24];
    snprintf(number, sizeof number, "%zu", i);
    parent_name(out, number);
}

/* What a script may point foreign keys at. A table that is not there is not cloned. */
static enum zdm_code prepare_script(struct trial *t, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < t->step->n_others; i++) {
        struct pgsql_table found;
        char name[48];
        other_name(name, i);
        code = pgsql_table_find(t->w->s, &t->step->others[i], &found, err);
        if (code == ZDM_OK && (found.kind == 'r' || found.kind == 'p') && !is_own(t->step, &t->step->others[i])) {
            code = clone_table(t->w, &t->step->others[i], name, err);
        } else if (code == ZDM_NOT_FOUND) {
            zdm_error_clear(err);
            code = ZDM_OK;
        }
    }
    return code;
}

/* A foreign key in the statement is turned to the clone of what it points at; to none: left as it is. */
static void turn_references(const struct zdm_step *step, struct zdm_buffer *statement)
{
    struct zdm_buffer turned = ZDM_BUFFER_INIT;
    bool done = pgsql_retarget_reference(&turned, zdm_buffer_text(statement), &step->table, clone_name);
    for (size_t i = 0; !done && i < step->n_others; i++) {
        char name[48];
        other_name(name, i);
        zdm_buffer_reset(&turned);
        done = pgsql_retarget_reference(&turned, zdm_buffer_text(statement), &step->others[i], name);
    }
    if (done) {
        zdm_buffer_reset(statement);
        zdm_buffer_puts(statement, zdm_buffer_text(&turned));
    }
    zdm_buffer_fini(&turned);
}

/* Those of its statements that alter the step's table. */
static bool turn_script(const struct zdm_step *step, struct zdm_buffer *out)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer statement = ZDM_BUFFER_INIT;
    const char *sql = step->sql;
    size_t n = 0;
    for (int i = 0; i < SCRIPT_MAX && step->table.name != NULL && pgsql_next_statement(&sql, &statement); i++) {
        turn_references(step, &statement);
        if (pgsql_retarget(out, zdm_buffer_text(&statement), &step->table, clone_name)) {
            zdm_buffer_puts(out, ";");
            n++;
        }
    }
    return n > 0;
}

static const struct rule rules[] = {
    {ZDM_ACTION_ADD_COLUMN, false, NULL, turn_plain},
    {ZDM_ACTION_ADD_CHECK, false, NULL, turn_plain},
    {ZDM_ACTION_SET_NOT_NULL, false, NULL, turn_plain},
    {ZDM_ACTION_DROP_CONSTRAINT, true, NULL, turn_plain},
    {ZDM_ACTION_VALIDATE, true, NULL, turn_plain},
    {ZDM_ACTION_ADD_FOREIGN_KEY, false, prepare_reference, turn_reference},
    {ZDM_ACTION_ADD_UNIQUE, false, prepare_index, turn_plain},
    {ZDM_ACTION_ADD_PRIMARY_KEY, false, prepare_index, turn_plain},
    {ZDM_ACTION_DROP_NOT_NULL, false, NULL, turn_plain},
    {ZDM_ACTION_SET_DEFAULT, false, NULL, turn_plain},
    {ZDM_ACTION_SET_STORAGE, false, NULL, turn_plain},
    {ZDM_ACTION_WIDEN_TYPE, true, NULL, turn_plain},
    {ZDM_ACTION_ATTACH_PARTITION, false, prepare_partition, turn_partition},
    {ZDM_ACTION_AS_IS, true, prepare_script, turn_script},
};

static const struct rule *rule_of(const struct zdm_step *step)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].action == step->action) {
            return &rules[i];
        }
    }
    return NULL;
}

/* ---- The trial ---- */

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

/* What runs as the owner of the tables must own their clones. */
static enum zdm_code give_to_owner(struct trial *t, struct zdm_error *err)
{
    struct pgsql_owner owner;
    enum zdm_code code = pgsql_owner_find(t->w, &owner, err);
    return code == ZDM_OK ? run_each(t->w,
                                     "SELECT format('ALTER TABLE pg_temp.%I OWNER TO %I', relname, $1::text) FROM"
                                     " pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'p')"
                                     " AND relname LIKE '~zdm\\_%'",
                                     1, (const char *const[]){owner.role}, err)
                          : code;
}

/* Tried is false from here on where something that the step builds on is not there. */
static enum zdm_code prepare(struct trial *t, const struct rule *rule, struct zdm_error *err)
{
    uint32_t from = place(t->w);
    enum zdm_code code = begin(t->w, t->step, err);
    t->out->tried = true;
    if (code == ZDM_OK && rule->action != ZDM_ACTION_ATTACH_PARTITION) {
        code = clone_table(t->w, &t->step->table, clone_name, err);
    }
    if (code == ZDM_OK && rule->foreign_keys) {
        code = clone_foreign_keys(t, &t->step->table, clone_name, err);
    }
    if (code == ZDM_OK && rule->action != ZDM_ACTION_ATTACH_PARTITION) {
        code = replay(t, from, err);
    }
    if (code == ZDM_OK && rule->prepare != NULL) {
        code = rule->prepare(t, err);
    }
    if (code == ZDM_OK && pgsql_runs_as_owner(t->step)) {
        code = give_to_owner(t, err);
    }
    return code == ZDM_OK ? pgsql_commit(t->w->s, err) : code;
}

/* The counters still hold what earlier transactions of the session did. */
#define SCANS                                                                                                          \
    "(SELECT coalesce(sum(pg_stat_get_xact_numscans(oid)), 0) FROM pg_class WHERE relnamespace = pg_my_temp_schema()"  \
    " AND relkind = 'r')"

static const char before_sql[] = "SELECT array_agg(pg_relation_filenode(oid))::text, " SCANS
                                 " FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'i')";

/* $1: file nodes before, $2: scans before, $3: the clone. Modes in the order of enum zdm_table_lock. */
static const char seen_sql[] =
    "SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'i')"
    " AND pg_relation_filenode(oid) <> ALL ($1::oid[])), " SCANS " > $2::numeric,"
    " coalesce((SELECT max(array_position(ARRAY['AccessShareLock', 'RowShareLock', 'RowExclusiveLock',"
    " 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'], mode))"
    " FROM pg_locks WHERE pid = pg_backend_pid() AND granted AND relation = to_regclass($3)), 0)";

static enum zdm_code observe(struct trial *t, const char *statement, struct zdm_error *err)
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
        const char *params[] = {pgsql_text(before, 0, 0), pgsql_text(before, 0, 1), clone_name};
        code = pgsql_query(s, seen_sql, 3, params, &seen, err);
    }
    if (code == ZDM_OK) {
        t->out->rewritten = pgsql_true(seen, 0, 0);
        t->out->scanned = pgsql_true(seen, 0, 1);
        t->out->lock = (enum zdm_table_lock)pgsql_int(seen, 0, 2);
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
                 attach ? "a partition of " : "", schema, name,
                 zdm_table_lock_name(attach ? ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE : out->lock));
        snprintf(out->hint, sizeof out->hint, "%s",
                 attach
                     ? "A validated CHECK, on the partition that its rows fit the bound and on the default partition "
                       "that it has none of them, spares the reading; so do equal foreign keys."
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
    bool rows = true, others = true;
    enum zdm_code code = pgsql_partition_holds_rows(t->w, &t->step->others[0], &rows, err);
    if (code == ZDM_OK) {
        code = pgsql_default_holds_rows(t->w, &t->step->table, &others, err);
    }
    t->out->rewritten = code != ZDM_OK || rows;
    t->out->scanned = t->out->scanned && (code != ZDM_OK || rows || others);
    return code;
}

static enum zdm_code try_rule(struct trial *t, const struct rule *rule, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer statement = ZDM_BUFFER_INIT;
    struct zdm_error later = ZDM_ERROR_INIT;
    if (!rule->turn(t->step, &statement)) {
        return t->step->action == ZDM_ACTION_AS_IS
                   ? ZDM_OK
                   : zdm_error_set(err, ZDM_REFUSED, "the statement of step %s is no ALTER TABLE of %s.%s", t->step->id,
                                   t->step->table.schema, t->step->table.name);
    }
    enum zdm_code code = drop_clones(t->w, err);
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
    if (pgsql_is_open(t->w->s) && drop_clones(t->w, &later) != ZDM_OK) {
        pgsql_close(t->w->s); /* and the clones with it */
    }
    return code;
}

enum zdm_code pgsql_try_on_clone(struct pgsql_work *w, const struct zdm_step *step, struct pgsql_trial *out,
                                 struct zdm_error *err)
{
    const struct rule *rule = rule_of(step);
    *out = (struct pgsql_trial){.tried = false};
    if (rule == NULL || step->sql == NULL) {
        return ZDM_OK;
    }
    struct trial t = {.w = w, .step = step, .out = out};
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
