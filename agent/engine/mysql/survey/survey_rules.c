/*
 * survey_rules.c - rules that are one query each, of the node and of its tables; and the running of all such rules.
 */
#include "agent/engine/mysql/survey/survey.h"

#include <stdio.h>
#include <string.h>

#include "agent/engine/mysql/change/judge_rules.h"
#include "agent/engine/mysql/change/locks.h"

enum { X_MAX = 6 };

#define WALKS (AGENT_DOES(BACKFILL) | AGENT_DOES(DELETE))
#define ALTERS                                                                                                         \
    (AGENT_DOES(ADD_COLUMN) | AGENT_DOES(SHOW_COLUMN) | AGENT_DOES(HIDE_COLUMN) | AGENT_DOES(CREATE_INDEX) |           \
     AGENT_DOES(ADD_FOREIGN_KEY) | AGENT_DOES(LIFT_CONSTRAINT) | AGENT_DOES(SET_DEFAULT) | AGENT_DOES(WIDEN_TYPE) |    \
     AGENT_DOES(SET_NOT_NULL) | AGENT_DOES(DROP_NOT_NULL) | AGENT_DOES(HIDE_INDEX) | AGENT_DOES(HIDE_TABLE) |          \
     AGENT_DOES(COMMENT))

#define ON_GALERA(what)                                                                                                \
    "SELECT 'wsrep_on', '" what "' FROM information_schema.global_variables WHERE variable_name = 'WSREP_ON' AND"      \
    " variable_value = 'ON'"

static bool is_mariadb(const struct mydb_survey *survey)
{
    return survey->w->s->mariadb;
}

static bool is_mysql(const struct mydb_survey *survey)
{
    return !survey->w->s->mariadb;
}

static bool burns_instant(const struct mydb_survey *survey)
{
    unsigned version = survey->w->s->version_num;
    return is_mysql(survey) && version >= 80029 && version <= 80031;
}

/* Earlier servers have neither the limit nor the column that says it. */
static bool counts_versions(const struct mydb_survey *survey)
{
    return is_mysql(survey) && survey->w->s->version_num >= 80029;
}

static const struct mydb_survey_rule node_rules[] = {
    {.rule = ZDM_SURVEY_READ_ONLY,
     .level = ZDM_LEVEL_ERROR,
     .sql = "SELECT '', concat('the server is read only (read_only = ', @@read_only, '): nothing can be migrated here')"
            " FROM dual WHERE @@read_only <> 0",
     .hint = "Give the agent the address of the primary, or end the primary's read-only mode."},
    {.rule = ZDM_SURVEY_SERVER_MINOR,
     .level = ZDM_LEVEL_WARNING,
     .actions = AGENT_DOES(ADD_COLUMN) | AGENT_DOES(PURGE_COLUMN),
     .when = burns_instant,
     .sql = "SELECT '', concat('MySQL ', version(), ' can lose a table at a crash after an INSTANT change: columns are"
            " added and dropped by a rebuild instead, which needs {rewrite-ok}')",
     .hint = "Update the server to 8.0.32 or newer first."},
    {.rule = ZDM_SURVEY_BINLOG_FORMAT,
     .level = ZDM_LEVEL_ERROR,
     .sql =
         "SELECT 'binlog_format', concat('it is ', @@global.binlog_format, ': batches and triggers need ROW, or MIXED"
         " with READ COMMITTED') FROM dual WHERE @@global.log_bin = 1 AND @@global.binlog_format = 'STATEMENT'",
     .hint = "SET GLOBAL binlog_format = 'ROW', and in my.cnf."},
    {.rule = ZDM_SURVEY_TRIGGER_RIGHTS,
     .level = ZDM_LEVEL_ERROR,
     .actions = AGENT_DOES(SYNC_INSTALL),
     .sql = "SELECT 'log_bin_trust_function_creators', 'the binary log is on, and the server lets only SUPER make"
            " triggers' FROM dual WHERE @@global.log_bin = 1 AND @@global.log_bin_trust_function_creators = 0",
     .hint = "Write log_bin_trust_function_creators = 1 into my.cnf under [mysqld], and SET GLOBAL it."},
    {.rule = ZDM_SURVEY_GALERA,
     .level = ZDM_LEVEL_ERROR,
     .actions = AGENT_DOES(CREATE_INDEX) | AGENT_DOES(SET_NOT_NULL),
     .when = is_mariadb,
     .sql = ON_GALERA("it is a node of a Galera cluster, which stands still while an index is built or a table written"
                      " anew: the agent refuses such steps"),
     .hint = "Make indexes and NOT NULL by a rolling upgrade of the schema, and leave them out of the runbook."},
    {.rule = ZDM_SURVEY_GALERA,
     .level = ZDM_LEVEL_NOTE,
     .actions = ALTERS & ~(AGENT_DOES(CREATE_INDEX) | AGENT_DOES(SET_NOT_NULL)),
     .when = is_mariadb,
     .sql = ON_GALERA("it is a node of a Galera cluster: all nodes run a change of the schema at once, and the agent"
                      " refuses what is not INSTANT"),
     .hint = "The steps are tried on an empty clone, which says the same of each."},
    {.rule = ZDM_SURVEY_GROUP_REPLICATION,
     .level = ZDM_LEVEL_ERROR,
     .when = is_mysql,
     .sql =
         "SELECT 'group replication', 'it has several primaries: DDL and writes of two of them do not exclude each"
         " other' FROM performance_schema.replication_group_members WHERE member_role = 'PRIMARY' HAVING count(*) > 1",
     .hint = "Make it a group with one primary for the time of the migration."},
    {.rule = ZDM_SURVEY_TOO_MANY_RIGHTS,
     .level = ZDM_LEVEL_WARNING,
     .sql =
         "SELECT replace(grantee, '''', ''), concat('the agent''s account has ', group_concat(privilege_type ORDER BY"
         " privilege_type SEPARATOR ' and '), ': it writes through read_only, so that a demoted primary would get"
         " rows that nobody else has') FROM information_schema.user_privileges WHERE grantee = concat('''',"
         " replace(current_user(), '@', '''@'''), '''') AND privilege_type IN ('SUPER', 'CONNECTION_ADMIN', 'READ_ONLY"
         " ADMIN', 'CONNECTION ADMIN') GROUP BY grantee",
     .hint = "REVOKE it; deploy/sql/mysql-grants.sql has all that the agent needs."},
    {.rule = ZDM_SURVEY_OLD_SNAPSHOT,
     .level = ZDM_LEVEL_WARNING,
     .actions = ALTERS | AGENT_DOES(SYNC_INSTALL),
     .sql = "SELECT concat('thread ', trx_mysql_thread_id), concat('a transaction is open for ', timestampdiff(SECOND,"
            " trx_started, now()), ' s: DDL waits for the end of each that has used the table; a new index is not "
            "used, and no table written"
            " anew, while one that reads by a snapshot is older') FROM information_schema.innodb_trx WHERE trx_started "
            "< now() - INTERVAL 5 MINUTE AND trx_mysql_thread_id <>"
            " connection_id() ORDER BY trx_started LIMIT 5",
     .hint = "End it, or run the step when no such transaction is expected."},
    {.rule = ZDM_SURVEY_UNDER_WAY,
     .level = ZDM_LEVEL_NOTE,
     .sql = "SELECT m.migration, concat('the journal of this shard has the migration already, at step ', m.step) FROM"
            " zdm.migration m WHERE m.home = database() AND m.migration = $4 AND m.step > 1",
     .hint = "What it has done is no finding."},
};

static const struct mydb_survey_rule table_rules[] = {
    {.rule = ZDM_SURVEY_NOT_A_TABLE,
     .level = ZDM_LEVEL_ERROR,
     .sql =
         "SELECT table_name, CASE WHEN table_type LIKE '%VIEW' THEN 'it is a view' ELSE concat('its engine is ',"
         " coalesce(engine, 'not known'), ', and not InnoDB') END FROM information_schema.tables WHERE table_schema ="
         " database() AND table_name = $1 AND (table_type <> 'BASE TABLE' OR coalesce(engine, '') <> 'InnoDB')",
     .hint = "Migrations work on InnoDB tables: batches need transactions. For anything else there are as-is fences."},
    {.rule = ZDM_SURVEY_BUSY_TABLE,
     .level = ZDM_LEVEL_WARNING,
     .sql =
         "SELECT $1, concat('thread ', t.processlist_id, ' ', coalesce(t.processlist_user, ''), '@',"
         " coalesce(t.processlist_host, ''), ' has used it in a transaction that is open for ', timestampdiff(SECOND,"
         " x.trx_started, now()), ' s: a step that needs the table waits for its end') FROM"
         " performance_schema.metadata_locks l JOIN performance_schema.threads t ON t.thread_id = l.owner_thread_id"
         " JOIN information_schema.innodb_trx x ON x.trx_mysql_thread_id = t.processlist_id WHERE l.object_schema ="
         " database() AND l.object_name = $1 AND l.lock_status = 'GRANTED' AND t.processlist_id <> connection_id()"
         " AND x.trx_started < now() - INTERVAL 10 SECOND ORDER BY x.trx_started LIMIT 3",
     .when = is_mysql,
     .hint = "Steps are tried again until they find a gap; a transaction that never ends leaves none."},
    {.rule = ZDM_SURVEY_ROW_VERSIONS,
     .level = ZDM_LEVEL_WARNING,
     .actions = AGENT_DOES(ADD_COLUMN) | AGENT_DOES(PURGE_COLUMN),
     .when = counts_versions,
     .sql =
         "SELECT $1, concat('it has ', x.n, ' row versions of the ', x.most, ' that INSTANT changes may make: near the"
         " end a column is added or dropped by a rebuild, which needs {rewrite-ok}') FROM (SELECT"
         " max(total_row_versions) AS n, IF(CAST(SUBSTRING_INDEX(version(), '.', 2) AS DECIMAL(4, 1)) < 9.1, 64, 255)"
         " AS most FROM information_schema.innodb_tables WHERE name LIKE $2 ESCAPE '|' OR name LIKE concat($2, '#p#%')"
         " ESCAPE '|') x WHERE x.n > x.most - 8",
     .hint = "OPTIMIZE TABLE in a quiet hour sets it back."},
    {.rule = ZDM_SURVEY_EVENT_FIRES,
     .level = ZDM_LEVEL_NOTE,
     .actions = WALKS | AGENT_DOES(HIDE_COLUMN) | AGENT_DOES(HIDE_TABLE),
     .sql = "SELECT concat('event ', event_name), concat('its text names ', $1) FROM information_schema.events WHERE"
            " event_schema = database() AND locate($1, event_definition) > 0 LIMIT 10",
     .hint = "It runs by the clock, without anybody who deploys it: read it before the phase."},
};

static bool suits(const struct mydb_survey *survey, const struct mydb_survey_rule *rule)
{
    bool acts = rule->actions == 0;
    if (!acts && survey->common.step != NULL) {
        acts = (rule->actions >> survey->common.step->action & 1) != 0;
    } else if (!acts) {
        acts = agent_survey_has(&survey->common, rule->actions);
    }
    return acts && (rule->when == NULL || rule->when(survey));
}

static enum zdm_level level_of(const struct mydb_survey_rule *rule, const struct mydb_rows *rows, size_t row)
{
    const char *said = rows->columns > 2 ? mydb_text(rows, row, 2) : NULL;
    if (said == NULL) {
        return rule->level;
    }
    return strcmp(said, "error") == 0  ? ZDM_LEVEL_ERROR
           : strcmp(said, "note") == 0 ? ZDM_LEVEL_NOTE
                                       : ZDM_LEVEL_WARNING;
}

/* What is asked where information_schema cannot answer (locks.h). */
static const struct {
    enum zdm_survey_rule rule;
    const char *sql;
} by_events[] = {
    {ZDM_SURVEY_OLD_SNAPSHOT,
     "SELECT concat('thread ', t.processlist_id), concat('a transaction is open for ', e.timer_wait DIV"
     " 1000000000000, ' s: DDL waits for the end of each that has used the table; a new index is not used, "
     "and no table written anew, while one that reads by a snapshot is older') FROM"
     " performance_schema.events_transactions_current e JOIN performance_schema.threads t ON t.thread_id ="
     " e.thread_id WHERE e.state = 'ACTIVE' AND e.timer_wait > 300 * 1000000000000 AND t.processlist_id <>"
     " connection_id() ORDER BY e.timer_wait DESC LIMIT 5"},
    {ZDM_SURVEY_BUSY_TABLE,
     "SELECT $1, concat('thread ', t.processlist_id, ' ', coalesce(t.processlist_user, ''), '@',"
     " coalesce(t.processlist_host, ''), ' has used it in a transaction that is open for ', e.timer_wait DIV"
     " 1000000000000, ' s: a step that needs the table waits for its end') FROM performance_schema.metadata_locks l"
     " JOIN performance_schema.threads t ON t.thread_id = l.owner_thread_id JOIN"
     " performance_schema.events_transactions_current e ON e.thread_id = t.thread_id AND e.state = 'ACTIVE' WHERE"
     " l.object_schema = database() AND l.object_name = $1 AND l.lock_status = 'GRANTED' AND t.processlist_id <>"
     " connection_id() AND e.timer_wait > 10 * 1000000000000 ORDER BY e.timer_wait DESC LIMIT 3"},
};

static const char *events_of(const struct mydb_survey_rule *rule)
{
    for (size_t i = 0; i < sizeof by_events / sizeof *by_events; i++) {
        if (by_events[i].rule == rule->rule) {
            return by_events[i].sql;
        }
    }
    return NULL;
}

static enum zdm_code run_rule(struct mydb_survey *survey, const struct mydb_survey_rule *rule,
                              const char *const params[X_MAX], struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const struct mydb_look at = {.sql = rule->sql, .events = events_of(rule)};
    enum zdm_code code = mydb_query_shown(survey->w->s, &at, X_MAX, params, &rows, err);
    if (code != ZDM_OK) {
        code = mydb_survey_miss(survey, code, zdm_survey_rule_name(rule->rule), err);
        return code == ZDM_OK ? mydb_begin_reading(survey->w->s, err) : code;
    }
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        code = mydb_survey_say(survey, rule->rule, level_of(rule, rows, i), mydb_text(rows, i, 0),
                               mydb_text(rows, i, 1), rule->hint, err);
    }
    return code;
}

static enum zdm_code run_rules(struct mydb_survey *survey, const struct mydb_survey_rule *rules, size_t n,
                               const char *const params[X_MAX], struct zdm_error *err)
{
    enum zdm_code code = mydb_begin_reading(survey->w->s, err);
    for (size_t i = 0; code == ZDM_OK && i < n; i++) {
        if (suits(survey, &rules[i])) {
            code = run_rule(survey, &rules[i], params, err);
        }
    }
    mydb_rollback(survey->w->s);
    return code;
}

enum zdm_code mydb_survey_node_rules(struct mydb_survey *survey, struct zdm_error *err)
{
    const char *const params[X_MAX] = {[3] = survey->common.plan->id};
    return run_rules(survey, node_rules, sizeof node_rules / sizeof *node_rules, params, err);
}

enum zdm_code mydb_survey_table_rules(struct mydb_survey *survey, const char *table, struct zdm_error *err)
{
    char none[] = "", name[ZDM_IDENTIFIER_MAX + 2];
    zdm_copy_text(name, sizeof name, table);
    const struct zdm_table of = {.schema = none, .name = name};
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer inner = ZDM_BUFFER_INIT;
    mydb_put_inner_name(&inner, survey->w->s->database, table);
    const char *const params[X_MAX] = {[0] = table, [1] = zdm_buffer_text(&inner), [3] = survey->common.plan->id};
    if (agent_survey_is_only_as_is(survey->common.plan, &of)) {
        return ZDM_OK;
    }
    return run_rules(survey, table_rules, sizeof table_rules / sizeof *table_rules, params, err);
}

/* ",a,b,": the columns that the step writes; of a sync, those that they are copied from, too. */
static void put_columns(struct zdm_buffer *b, const struct zdm_step *step)
{
    const struct zdm_derivation *d = step->derivation;
    zdm_buffer_puts(b, ",");
    for (size_t i = 0; d != NULL && i < d->n_assignments; i++) {
        zdm_buffer_printf(b, "%s,", d->assignments[i].target);
        if (step->action == ZDM_ACTION_SYNC_INSTALL && d->assignments[i].copy_of != NULL) {
            zdm_buffer_printf(b, "%s,", d->assignments[i].copy_of);
        }
    }
    for (size_t i = 0; d != NULL && step->action == ZDM_ACTION_SYNC_INSTALL && i < d->n_sources; i++) {
        zdm_buffer_printf(b, "%s,", d->sources[i]);
    }
}

enum zdm_code mydb_survey_step_rules(struct mydb_survey *survey, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer columns = ZDM_BUFFER_INIT;
    const struct zdm_step *step = survey->common.step;
    put_columns(&columns, step);
    const char *const params[X_MAX] = {step->table.name,
                                       step->column,
                                       step->object,
                                       survey->common.plan->id,
                                       step->n_others > 0 ? step->others[0].name : NULL,
                                       zdm_buffer_text(&columns)};
    return run_rules(survey, mydb_survey_step_table, mydb_survey_step_table_n, params, err);
}
