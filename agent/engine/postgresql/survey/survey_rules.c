/*
 * survey_rules.c - rules that are one query each, of the node and of its tables; and the running of all such rules.
 *
 * Each query begins with what it may speak of: x, one row with the step's or table's names, and r, the table and all
 * its partitions, none of them locked. It answers a row a finding: what it is about, what is found, and where it
 * depends, the level.
 */
#include "agent/engine/postgresql/survey/survey.h"

#include <stdio.h>
#include <string.h>

static const char prefix[] =
    "WITH RECURSIVE x AS (SELECT $1::oid AS tab, $2::text AS col, $3::text AS obj, $4::text AS migration, $5::text[] "
    "AS cols,"
    " $6::text AS schema, $7::text AS name, $8::bool AS skip, $9::bool AS pubok, $10::text AS oschema, $11::text AS "
    "oname,"
    " $12::bool AS forgo, $13::text[] AS gone),"
    " r AS (SELECT tab AS oid FROM x WHERE tab IS NOT NULL UNION ALL SELECT i.inhrelid FROM r JOIN pg_inherits i ON"
    " i.inhparent = r.oid JOIN pg_class k ON k.oid = i.inhrelid AND k.relispartition) ";

enum { X_MAX = 13 };

/* The actions that walk over rows and write them. */
#define WALKS   (AGENT_DOES(BACKFILL) | AGENT_DOES(DELETE))
#define INDEXES (AGENT_DOES(CREATE_INDEX) | AGENT_DOES(REINDEX) | AGENT_DOES(PURGE_INDEX))

static const struct pgsql_survey_rule node_rules[] = {
    {.rule = ZDM_SURVEY_MISSING_GRANT,
     .level = ZDM_LEVEL_WARNING,
     .sql =
         "SELECT current_user, 'the agent''s role may not see who holds a lock: it is no member of pg_read_all_stats'"
         " WHERE NOT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')",
     .hint = "GRANT pg_read_all_stats TO the agent's role (deploy/sql/postgresql-grants.sql)."},
    {.rule = ZDM_SURVEY_MISSING_GRANT,
     .level = ZDM_LEVEL_ERROR,
     .actions = AGENT_DOES(CREATE_TABLE) | AGENT_DOES(CREATE_TYPE) | AGENT_DOES(HIDE_TABLE),
     .sql =
         "SELECT current_user, format('the agent''s role may not create schemas in database %I: what is to be dropped"
         " is moved into one first', current_database()) WHERE NOT has_database_privilege(current_database(),"
         " 'CREATE')",
     .hint = "GRANT CREATE ON DATABASE … TO the agent's role."},
    {.rule = ZDM_SURVEY_MISSING_GRANT,
     .level = ZDM_LEVEL_ERROR,
     .sql = "SELECT current_user, format('the agent''s role may not make temporary tables in database %I: statements"
            " are tried on an empty clone first', current_database()) WHERE NOT"
            " has_database_privilege(current_database(), 'TEMP')",
     .hint = "GRANT TEMPORARY ON DATABASE … TO the agent's role."},
    {.rule = ZDM_SURVEY_PREPARED_TRANSACTION,
     .level = ZDM_LEVEL_WARNING,
     .actions = INDEXES,
     .sql = "SELECT gid, format('prepared transaction %L of %s is open since %s: an index that is built concurrently"
            " waits for it', gid, owner, date_trunc('second', prepared)) FROM pg_prepared_xacts WHERE database ="
            " current_database() ORDER BY prepared LIMIT 5",
     .hint = "COMMIT PREPARED or ROLLBACK PREPARED it before the step."},
    {.rule = ZDM_SURVEY_OLD_SNAPSHOT,
     .level = ZDM_LEVEL_WARNING,
     .actions = INDEXES,
     .sql = "SELECT format('pid %s', pid), format('pid %s %s@%s has a transaction open for %s s: an index that is built"
            " concurrently waits for its snapshot', pid, usename, datname, extract(epoch FROM clock_timestamp() -"
            " xact_start)::int) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND xact_start < clock_timestamp() - interval '5 min' AND (backend_xmin IS NOT NULL OR backend_xid IS NOT"
            " NULL) ORDER BY xact_start LIMIT 5",
     .hint = "The build goes on when it ends; end it first, or run the step when no such transaction is expected."},
    {.rule = ZDM_SURVEY_LOGICAL_SLOT,
     .level = ZDM_LEVEL_WARNING,
     .sql = "SELECT slot_name, format('logical slot %s (%s) keeps %s of WAL back%s', slot_name, plugin,"
            " pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), CASE WHEN active THEN '' ELSE"
            " ', and nobody reads it' END) FROM pg_replication_slots WHERE slot_type = 'logical' AND database ="
            " current_database()",
     .hint = "Whoever reads it gets every changed row and the changed shape of its table: tell them, and watch the WAL "
             "that the slot keeps."},
    {.rule = ZDM_SURVEY_UNDER_WAY,
     .level = ZDM_LEVEL_NOTE,
     .sql = "SELECT m.migration, format('the journal of this shard has the migration already, at step %s', m.step)"
            " FROM zdm.migration m, x WHERE m.migration = x.migration AND m.step > 1",
     .hint = "What it has done is no finding."},
};

static const struct pgsql_survey_rule table_rules[] = {
    {.rule = ZDM_SURVEY_NOT_A_TABLE,
     .level = ZDM_LEVEL_ERROR,
     .sql = "SELECT format('%I.%I', x.schema, x.name), format('it is %s', CASE relkind WHEN 'f' THEN 'a foreign table'"
            " WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' ELSE 'no table' END) FROM x JOIN pg_class c ON"
            " c.oid = x.tab WHERE relkind NOT IN ('r', 'p')",
     .hint = "Migrations work on ordinary and partitioned tables; for anything else there are as-is fences."},
    {.rule = ZDM_SURVEY_INHERITANCE,
     .level = ZDM_LEVEL_ERROR,
     .sql = "SELECT format('%I.%I', x.schema, x.name), format('it takes part in table inheritance with %s',"
            " string_agg(CASE WHEN inhparent = x.tab THEN inhrelid ELSE inhparent END::regclass::text, ', ')) FROM x"
            " JOIN pg_inherits i ON x.tab IN (inhparent, inhrelid) JOIN pg_class k ON k.oid = inhrelid AND NOT"
            " k.relispartition GROUP BY x.schema, x.name",
     .hint = "Rows of a child pass by the triggers of its parent, and keys repeat across children: ALTER TABLE … NO "
             "INHERIT, or partitions."},
    {.rule = ZDM_SURVEY_NOT_OWNER,
     .level = ZDM_LEVEL_ERROR,
     .sql = "SELECT r.oid::regclass::text, format('it belongs to %s, and the agent''s role is no member of that',"
            " relowner::regrole) FROM r JOIN pg_class c ON c.oid = r.oid WHERE NOT pg_has_role(relowner, 'USAGE')",
     .hint = "GRANT the owner TO the agent's role (deploy/sql/postgresql-grants.sql)."},
    {.rule = ZDM_SURVEY_ROW_SECURITY,
     .level = ZDM_LEVEL_ERROR,
     .sql = "SELECT format('%s', r.oid::regclass), format('row level security hides rows from the agent''s role%s',"
            " CASE WHEN relforcerowsecurity THEN ' (FORCE ROW LEVEL SECURITY)' ELSE '' END) FROM r JOIN pg_class c ON"
            " c.oid = r.oid WHERE row_security_active(r.oid)",
     .hint = "ALTER ROLE … BYPASSRLS for the agent, or membership in the owner of a table without FORCE."},
    {.rule = ZDM_SURVEY_MANY_PARTITIONS,
     .level = ZDM_LEVEL_WARNING,
     .sql =
         "SELECT format('%I.%I', x.schema, x.name), format('it has %s partitions: a statement on it locks all of them"
         " within one budget', count(*)) FROM x, r JOIN pg_class c ON c.oid = r.oid AND c.relkind <> 'p' GROUP BY "
         "x.schema, x.name"
         " HAVING count(*) > 50",
     .hint = "Expect more attempts until all locks are got at once; detach what is not used, or raise max_stall."},
    {.rule = ZDM_SURVEY_INVALID_INDEX,
     .level = ZDM_LEVEL_WARNING,
     .sql =
         "SELECT i.indexrelid::regclass::text, 'it is invalid: a build that failed left it; every write still pays for"
         " it' FROM r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT"
         " i.indisvalid AND c.relkind = 'i'",
     .hint = "DROP INDEX CONCURRENTLY it, if nobody is building it now."},
    {.rule = ZDM_SURVEY_WRAPAROUND,
     .level = ZDM_LEVEL_WARNING,
     .sql =
         "SELECT r.oid::regclass::text, format('an autovacuum to prevent wraparound is near or running (age %s of %s):"
         " it gives way to nobody, and DDL waits until it is through', age(relfrozenxid),"
         " current_setting('autovacuum_freeze_max_age')) FROM r JOIN pg_class c ON c.oid = r.oid WHERE relkind = 'r'"
         " AND age(relfrozenxid) > 0.9 * current_setting('autovacuum_freeze_max_age')::int8",
     .hint = "VACUUM (FREEZE) the table first."},
    {.rule = ZDM_SURVEY_BUSY_TABLE,
     .level = ZDM_LEVEL_WARNING,
     .sql = "SELECT x.tab::regclass::text, format('pid %s %s@%s holds a lock on it for %s s already (%s): a step that"
            " needs the table waits for its end', a.pid, usename, datname, extract(epoch FROM clock_timestamp() -"
            " xact_start)::int, state) FROM x, pg_stat_activity a WHERE a.pid <> pg_backend_pid() AND xact_start <"
            " clock_timestamp() - interval '10 s' AND a.pid IN (SELECT l.pid FROM pg_locks l JOIN r ON l.relation ="
            " r.oid WHERE l.granted AND l.database = (SELECT d.oid FROM pg_database d WHERE datname ="
            " current_database())) ORDER BY xact_start LIMIT 3",
     .hint = "Steps are tried again until they find a gap; a transaction that never ends leaves none."},
    {.rule = ZDM_SURVEY_BUSY_TABLE,
     .level = ZDM_LEVEL_NOTE,
     .sql = "SELECT x.tab::regclass::text, format('%s sessions hold locks on it at this moment', count(DISTINCT l.pid))"
            " FROM x, pg_locks l JOIN r ON l.relation = r.oid WHERE l.granted AND l.pid <> pg_backend_pid() GROUP BY"
            " x.tab HAVING count(DISTINCT l.pid) >= 50",
     .hint = "Choose a quiet hour for the steps that lock it."},
    {.rule = ZDM_SURVEY_NO_REPLICA_IDENTITY,
     .level = ZDM_LEVEL_ERROR,
     .actions = WALKS,
     .sql =
         "SELECT r.oid::regclass::text, 'it is published and has no replica identity: an UPDATE or DELETE of the"
         " batches fails' FROM r JOIN pg_class c ON c.oid = r.oid WHERE relkind = 'r' AND EXISTS (SELECT FROM"
         " pg_publication_tables p JOIN pg_publication b USING (pubname) WHERE b.pubupdate AND (p.schemaname, "
         "p.tablename)"
         " IN (SELECT n.nspname, k.relname FROM pg_class k JOIN pg_namespace n ON n.oid = k.relnamespace WHERE k.oid IN"
         " (SELECT c.oid UNION SELECT u FROM pg_partition_ancestors(c.oid) u)))"
         " AND (relreplident = 'n' OR (relreplident"
         " = 'd' AND NOT EXISTS (SELECT FROM pg_index i WHERE indrelid = c.oid AND indisprimary)))",
     .hint = "ALTER TABLE … REPLICA IDENTITY USING INDEX a unique index over NOT NULL columns."},
    {.rule = ZDM_SURVEY_REPLICA_IDENTITY_FULL,
     .level = ZDM_LEVEL_WARNING,
     .actions = WALKS,
     .sql =
         "SELECT r.oid::regclass::text, 'its replica identity is FULL: every row that a batch writes goes into the WAL"
         " whole, with values that did not change' FROM r JOIN pg_class c ON c.oid = r.oid WHERE relkind = 'r' AND"
         " relreplident = 'f'",
     .hint = "Give it a key as replica identity for the time of the backfill, or expect the WAL."},
};

/* ---- Running them ---- */

static bool suits(const struct pgsql_survey *survey, const struct pgsql_survey_rule *rule)
{
    bool acts = rule->actions == 0;
    if (!acts && survey->common.step != NULL) {
        acts = (rule->actions >> survey->common.step->action & 1) != 0;
    } else if (!acts) {
        acts = agent_survey_has(&survey->common, rule->actions);
    }
    return acts && (rule->when == NULL || rule->when(survey));
}

static enum zdm_level level_of(const struct pgsql_survey_rule *rule, const PGresult *res, int row)
{
    const char *said = PQnfields(res) > 2 ? pgsql_text(res, row, 2) : NULL;
    if (said == NULL) {
        return rule->level;
    }
    return strcmp(said, "error") == 0  ? ZDM_LEVEL_ERROR
           : strcmp(said, "note") == 0 ? ZDM_LEVEL_NOTE
                                       : ZDM_LEVEL_WARNING;
}

static enum zdm_code run_rule(struct pgsql_survey *survey, const struct pgsql_survey_rule *rule,
                              const char *const params[X_MAX], struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    zdm_buffer_printf(&sql, "%s%s", prefix, rule->sql);
    enum zdm_code code = pgsql_query(survey->w->s, zdm_buffer_text(&sql), X_MAX, params, &res, err);
    if (code != ZDM_OK) {
        code = pgsql_survey_miss(survey, code, zdm_survey_rule_name(rule->rule), err);
        return code == ZDM_OK ? pgsql_survey_begin(survey, err) : code;
    }
    for (int i = 0; i < PQntuples(res); i++) {
        if (!agent_survey_say(&survey->common, rule->rule, level_of(rule, res, i), pgsql_text(res, i, 0),
                              pgsql_text(res, i, 1), rule->hint)) {
            return zdm_error_set(err, ZDM_NOMEM, "out of memory");
        }
    }
    return ZDM_OK;
}

static enum zdm_code run_rules(struct pgsql_survey *survey, const struct pgsql_survey_rule *rules, size_t n,
                               const char *const params[X_MAX], struct zdm_error *err)
{
    enum zdm_code code = pgsql_survey_begin(survey, err);
    for (size_t i = 0; code == ZDM_OK && i < n; i++) {
        if (suits(survey, &rules[i])) {
            code = run_rule(survey, &rules[i], params, err);
        }
    }
    pgsql_rollback(survey->w->s);
    return code;
}

enum zdm_code pgsql_survey_node_rules(struct pgsql_survey *survey, struct zdm_error *err)
{
    const char *const params[X_MAX] = {[3] = survey->common.plan->id};
    return run_rules(survey, node_rules, sizeof node_rules / sizeof *node_rules, params, err);
}

enum zdm_code pgsql_survey_table_rules(struct pgsql_survey *survey, const struct zdm_table *table,
                                       struct zdm_error *err)
{
    struct pgsql_table found;
    enum zdm_code code = pgsql_table_find(survey->w->s, table, &found, err);
    if (code != ZDM_OK) {
        return pgsql_survey_miss(survey, code, table->name, err);
    }
    if (found.kind != 'r' && found.kind != 'p' && agent_survey_is_only_as_is(survey->common.plan, table)) {
        return ZDM_OK; /* a sequence or a view */
    }
    const char *const params[X_MAX] = {
        [0] = found.oid, [3] = survey->common.plan->id, [5] = table->schema, [6] = table->name};
    return run_rules(survey, table_rules, sizeof table_rules / sizeof *table_rules, params, err);
}

static void put_element(struct zdm_buffer *b, const char *name)
{
    zdm_buffer_puts(b, b->len == 1 ? "\"" : ",\"");
    for (const char *c = name; *c != '\0'; c++) {
        zdm_buffer_printf(b, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
    }
    zdm_buffer_puts(b, "\"");
}

/* {"a","b"}: the columns that the step writes; of a sync, those that they are copied from, too. */
static void put_targets(struct zdm_buffer *b, const struct zdm_step *step)
{
    const struct zdm_derivation *d = step->derivation;
    zdm_buffer_puts(b, "{");
    for (size_t i = 0; d != NULL && i < d->n_assignments; i++) {
        put_element(b, d->assignments[i].target);
        if (step->action == ZDM_ACTION_SYNC_INSTALL && d->assignments[i].copy_of != NULL) {
            put_element(b, d->assignments[i].copy_of);
        }
    }
    zdm_buffer_puts(b, "}");
}

/* What earlier steps that are still to be done take away, as GONE of survey_steprules.c asks for it. */
static void put_gone(struct zdm_buffer *b, const struct pgsql_survey *survey)
{
    zdm_buffer_puts(b, "{");
    for (uint32_t o = survey->common.from; o < survey->common.step->ordinal; o++) {
        const struct zdm_step *step = zdm_plan_step(survey->common.plan, o);
        char name[3 * ZDM_IDENTIFIER_MAX + 8];
        bool lift = step->action == ZDM_ACTION_LIFT_CONSTRAINT, hide = step->action == ZDM_ACTION_HIDE_COLUMN;
        if (lift || hide || step->action == ZDM_ACTION_HIDE_TABLE) {
            (void)snprintf(name, sizeof name, "%s:%s.%s.%s",
                           lift   ? "c"
                           : hide ? "h"
                                  : "t",
                           step->table.schema, step->table.name,
                           lift   ? step->object
                           : hide ? step->column
                                  : "");
            put_element(b, name);
        }
    }
    zdm_buffer_puts(b, "}");
}

/* The step's table: NULL when there is none of that name, or it names none. */
static enum zdm_code find_oid(struct pgsql_survey *survey, struct pgsql_table *found, const char **out,
                              struct zdm_error *err)
{
    const struct zdm_table *table = &survey->common.step->table;
    *out = NULL;
    if (table->schema == NULL || table->name == NULL || table->name[0] == '\0') {
        return ZDM_OK;
    }
    enum zdm_code code = pgsql_table_find(survey->w->s, table, found, err);
    *out = code == ZDM_OK ? found->oid : NULL;
    return code == ZDM_NOT_FOUND ? ZDM_OK : code;
}

enum zdm_code pgsql_survey_step_rules(struct pgsql_survey *survey, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer targets = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer gone = ZDM_BUFFER_INIT;
    const struct zdm_step *step = survey->common.step;
    struct pgsql_table found;
    const char *oid;
    put_targets(&targets, step);
    put_gone(&gone, survey);
    enum zdm_code code = find_oid(survey, &found, &oid, err);
    if (code != ZDM_OK) {
        return pgsql_survey_miss(survey, code, step->table.name, err);
    }
    const char *const params[X_MAX] = {oid,
                                       step->column,
                                       step->object,
                                       survey->common.plan->id,
                                       zdm_buffer_text(&targets),
                                       step->table.schema,
                                       step->table.name,
                                       step->skip_triggers ? "t" : "f",
                                       step->publication_ok ? "t" : "f",
                                       step->n_others > 0 ? step->others[0].schema : NULL,
                                       step->n_others > 0 ? step->others[0].name : NULL,
                                       step->inverse == ZDM_INVERSE_IMPOSSIBLE ? "t" : "f",
                                       zdm_buffer_text(&gone)};
    return run_rules(survey, pgsql_survey_step_table, pgsql_survey_step_table_n, params, err);
}
