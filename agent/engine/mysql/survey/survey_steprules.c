/*
 * survey_steprules.c - rules of single steps that are one query each (survey_rules.c runs them).
 *
 * What an earlier step of the plan makes is no finding where it is missing; where it is there already, it is one unless
 * zdm.owned says that this migration made it.
 */
#include <string.h>

#include "agent/engine/mysql/survey/survey.h"

/* ---- When ---- */

static bool no_table_made(const struct mydb_survey *survey)
{
    const struct zdm_table *table = &survey->common.step->table;
    return table->name != NULL && table->name[0] != '\0' && !agent_survey_makes_table(&survey->common, table);
}

static bool no_column_made(const struct mydb_survey *survey)
{
    return survey->common.step->column != NULL &&
           !agent_survey_makes_column(&survey->common, survey->common.step->column);
}

static bool no_object_made(const struct mydb_survey *survey)
{
    return survey->common.step->object != NULL &&
           !agent_survey_makes_object(&survey->common, survey->common.step->object);
}

static bool no_other_made(const struct mydb_survey *survey)
{
    return survey->common.step->n_others > 0 &&
           !agent_survey_makes_table(&survey->common, &survey->common.step->others[0]);
}

static bool keeps_both(const struct mydb_survey *survey)
{
    return survey->common.step->derivation != NULL && survey->common.step->derivation->both_ways;
}

/* Has an earlier step, which is done, hidden the column? */
static bool is_hidden(const struct mydb_survey *survey)
{
    const struct zdm_step *purge = survey->common.step;
    for (uint32_t o = 1; o < survey->common.from; o++) {
        const struct zdm_step *step = zdm_plan_step(survey->common.plan, o);
        if (step->action == ZDM_ACTION_HIDE_COLUMN && zdm_step_is_for(step, ZDM_ENGINE_MYSQL) &&
            strcmp(step->table.name, purge->table.name) == 0 && strcmp(step->column, purge->column) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- What ---- */

#define OF_TABLE                                                                                                       \
    (AGENT_DOES(ADD_COLUMN) | AGENT_DOES(SET_NOT_NULL) | AGENT_DOES(DROP_NOT_NULL) | AGENT_DOES(VALIDATE) |            \
     AGENT_DOES(CREATE_INDEX) | AGENT_DOES(SYNC_INSTALL) | AGENT_DOES(BACKFILL) | AGENT_DOES(DELETE) |                 \
     AGENT_DOES(HIDE_COLUMN) | AGENT_DOES(HIDE_TABLE) | AGENT_DOES(HIDE_INDEX) | AGENT_DOES(LIFT_CONSTRAINT) |         \
     AGENT_DOES(SET_DEFAULT) | AGENT_DOES(WIDEN_TYPE) | AGENT_DOES(ADD_FOREIGN_KEY) | AGENT_DOES(COMMENT))
#define CHANGES_SHAPE                                                                                                  \
    (AGENT_DOES(ADD_COLUMN) | AGENT_DOES(HIDE_COLUMN) | AGENT_DOES(HIDE_TABLE) | AGENT_DOES(WIDEN_TYPE))
#define IS(view) "information_schema." view " WHERE table_schema = database() AND table_name = $1"
#define OWNED(kind, object)                                                                                            \
    "EXISTS (SELECT 1 FROM zdm.owned o WHERE o.home = database() AND o.kind = '" kind "' AND o.object = " object       \
    " AND o.migration = $4)"
#define FIRES(event)                                                                                                   \
    "SELECT event_object_table, concat('trigger ', trigger_name, ' (', action_timing, ' " event ") fires on every row" \
    " that a batch writes') FROM information_schema.triggers WHERE event_object_schema = database() AND"               \
    " event_object_table = $1 AND event_manipulation = '" event "' AND trigger_name NOT LIKE 'zdm\\_%'"
#define NAMES(text, name) text " REGEXP concat('(^|[^0-9A-Za-z_$])', " name ", '($|[^0-9A-Za-z_$])')"

/* A digest has names in backquotes, but for those that are words of SQL: those it writes large. */
#define SAYS(name)                                                                                                     \
    "(locate(concat('`', " name ", '`'), digest_text) > 0 OR (locate(concat(' ', upper(" name                          \
    "), ' '), digest_text) > 0 AND locate(concat(' ', upper(" name "), ' ('), digest_text) = 0))"
/* The application's statements that name both; the agent's walks and what reads or writes its own tables are none. */
#define SEEN(table, column)                                                                                            \
    "performance_schema.events_statements_summary_by_digest WHERE schema_name = database() AND digest_text REGEXP"     \
    " '^(SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH) ' AND locate(' AS `t` FORCE INDEX ', digest_text) = 0 AND"          \
    " locate('`zdm` . ', digest_text) = 0 AND locate('`zdm_v`', digest_text) = 0 AND " SAYS(table) " AND " SAYS(       \
        column)

const struct mydb_survey_rule mydb_survey_step_table[] = {
    /* Is it there, and is what it makes not there? */
    {ZDM_SURVEY_TABLE_MISSING, ZDM_LEVEL_ERROR, OF_TABLE, no_table_made,
     "SELECT $1, 'there is no such table' FROM dual WHERE NOT EXISTS (SELECT 1 FROM " IS("tables") ")",
     "Is the shard one that the plan is meant for, and the name written right?"},
    {ZDM_SURVEY_TABLE_MISSING, ZDM_LEVEL_ERROR, AGENT_DOES(ADD_FOREIGN_KEY), no_other_made,
     "SELECT $5, 'there is no such table' FROM dual WHERE NOT EXISTS (SELECT 1 FROM information_schema.tables WHERE"
     " table_schema = database() AND table_name = $5)",
     "Is the shard one that the plan is meant for, and the name written right?"},
    {ZDM_SURVEY_COLUMN_MISSING, ZDM_LEVEL_ERROR,
     AGENT_DOES(HIDE_COLUMN) | AGENT_DOES(SET_NOT_NULL) | AGENT_DOES(DROP_NOT_NULL) | AGENT_DOES(SET_DEFAULT) |
         AGENT_DOES(WIDEN_TYPE),
     no_column_made,
     "SELECT concat($1, '.', $2), 'there is no such column' FROM dual WHERE EXISTS (SELECT 1 FROM " IS(
         "tables") ") AND NOT EXISTS (SELECT 1 FROM " IS("columns") " AND column_name = $2)",
     "Somebody changed this shard by hand, or the name is written wrong."},
    {ZDM_SURVEY_ALREADY_THERE, ZDM_LEVEL_ERROR, AGENT_DOES(ADD_COLUMN), NULL,
     "SELECT concat($1, '.', $2), concat('the column is there already, as ', column_type, ', and this migration did not"
     " add it') FROM " IS("columns") " AND column_name = $2 AND NOT " OWNED("column", "concat($1, '.', $2)"),
     "The step would stop there: drop it, or leave the statement out where every shard has it."},
    {ZDM_SURVEY_ALREADY_THERE, ZDM_LEVEL_ERROR, AGENT_DOES(ADD_FOREIGN_KEY), NULL,
     "SELECT table_name, concat('constraint ', $3, ' is there already, and this migration did not add it') FROM"
     " information_schema.table_constraints WHERE table_schema = database() AND constraint_type = 'FOREIGN KEY' AND"
     " constraint_name = $3 AND NOT " OWNED("constraint", "concat($1, '.', $3)"),
     "Give the new one another name, or leave the statement out."},
    {ZDM_SURVEY_ALREADY_THERE, ZDM_LEVEL_ERROR, AGENT_DOES(CREATE_INDEX), NULL,
     "SELECT DISTINCT concat($1, '.', $3), 'an index of that name is there already, and this migration did not build"
     " it' FROM " IS("statistics") " AND index_name = $3 AND NOT " OWNED("index", "concat($1, '.', $3)"),
     "Give the index another name, or leave the statement out where every shard has it."},
    {ZDM_SURVEY_ALREADY_THERE, ZDM_LEVEL_ERROR, AGENT_DOES(CREATE_TABLE), NULL,
     "SELECT $1, 'something of that name is there already' FROM " IS("tables") " AND NOT " OWNED("table", "$1"),
     "Give the table another name, or leave the statement out."},
    {ZDM_SURVEY_OBJECT_MISSING, ZDM_LEVEL_ERROR, AGENT_DOES(LIFT_CONSTRAINT), no_object_made,
     "SELECT $1, concat('there is no constraint ', $3) FROM dual WHERE EXISTS (SELECT 1 FROM " IS(
         "tables") ") AND NOT EXISTS (SELECT 1 FROM " IS("table_constraints") " AND constraint_name = $3)",
     "Constraints without a name of their own may be called otherwise on this shard: compare the outlines."},
    {ZDM_SURVEY_OBJECT_MISSING, ZDM_LEVEL_ERROR, AGENT_DOES(HIDE_INDEX), no_object_made,
     "SELECT concat($1, '.', $3), 'there is no such index' FROM dual WHERE EXISTS (SELECT 1 FROM " IS(
         "tables") ") AND NOT EXISTS (SELECT 1 FROM " IS("statistics") " AND index_name = $3)",
     "It may be called otherwise on this shard: compare the outlines."},
    {ZDM_SURVEY_HIDDEN_LEFTOVER, ZDM_LEVEL_WARNING, CHANGES_SHAPE | AGENT_DOES(CREATE_INDEX), NULL,
     "SELECT $1, concat(min(h.kind), ' ', group_concat(DISTINCT h.name SEPARATOR ', '), ' of it is hidden by migration"
     " ', h.migration, ' and waits for its purge') FROM zdm.hidden h WHERE h.home = database() AND h.table_name = $1 "
     "AND"
     " h.migration <> $4 AND h.kind IN ('column', 'table', 'index') GROUP BY h.migration",
     "Finish that migration, or roll it back, before another one changes the table."},

    /* What the application has around it. */
    {ZDM_SURVEY_TRIGGER_FIRES, ZDM_LEVEL_WARNING, AGENT_DOES(BACKFILL), NULL, FIRES("UPDATE"),
     "MySQL has no way to write rows without firing triggers: where it shall not fire (updated_at, audit), drop it for "
     "the"
     " time of the backfill. Where it shall: nothing."},
    {ZDM_SURVEY_TRIGGER_FIRES, ZDM_LEVEL_WARNING, AGENT_DOES(DELETE), NULL, FIRES("DELETE"),
     "MySQL has no way to delete rows without firing triggers. Where it shall fire: nothing."},
    {ZDM_SURVEY_CASCADES, ZDM_LEVEL_ERROR, AGENT_DOES(SYNC_INSTALL), NULL,
     "SELECT concat($1, '.', k.column_name), concat('foreign key ', k.constraint_name, ' changes it by ', CASE WHEN"
     " r.update_rule IN ('CASCADE', 'SET NULL') THEN concat('ON UPDATE ', r.update_rule) ELSE concat('ON DELETE ',"
     " r.delete_rule) END, ', and triggers do not see that') FROM information_schema.key_column_usage k JOIN"
     " information_schema.referential_constraints r ON r.constraint_schema = database() AND r.table_name = $1 AND"
     " r.constraint_name = k.constraint_name WHERE k.table_schema = database() AND k.table_name = $1 AND"
     " k.referenced_table_name IS NOT NULL AND (r.update_rule IN ('CASCADE', 'SET NULL') OR r.delete_rule = 'SET NULL')"
     " AND locate(concat(',', k.column_name, ','), $6) > 0",
     "Give the foreign key an action that the application carries out itself, or choose other columns."},
    {ZDM_SURVEY_DELETE_CASCADES, ZDM_LEVEL_ERROR, AGENT_DOES(DELETE), NULL,
     "SELECT r.table_name, concat('foreign key ', r.constraint_name, ' acts on its rows when the parent''s are deleted"
     " (', r.delete_rule, '): no before-image is kept of them') FROM information_schema.referential_constraints r WHERE"
     " r.constraint_schema = database() AND r.referenced_table_name = $1 AND r.delete_rule IN ('CASCADE', 'SET NULL')",
     "Write {no-undo}: those rows go or change for good; or delete the child's rows in a step of their own before."},
    {ZDM_SURVEY_DEPENDENTS, ZDM_LEVEL_ERROR, AGENT_DOES(HIDE_COLUMN), NULL,
     "SELECT concat($1, '.', $2), concat('column ', column_name, ' is generated from it: a hide does not begin') FROM"
     " " IS("columns") " AND generation_expression <> '' AND column_name <> $2 AND " NAMES("generation_expression",
                                                                                           "$2"),
     "Change or drop what depends on it, in a step before."},
    {ZDM_SURVEY_DEPENDENTS, ZDM_LEVEL_ERROR, AGENT_DOES(HIDE_COLUMN), NULL,
     "SELECT concat($1, '.', $2), concat('foreign key ', constraint_name, ' of ', table_name, ' needs it: a hide does "
     "not"
     " begin') FROM information_schema.key_column_usage WHERE table_schema = database() AND referenced_table_schema = "
     "database() AND"
     " referenced_table_name = $1 AND referenced_column_name = $2",
     "Drop the foreign key before, or point it at another key."},
    {ZDM_SURVEY_DEPENDENTS, ZDM_LEVEL_ERROR, AGENT_DOES(HIDE_TABLE), NULL,
     "SELECT $1, concat('foreign key ', constraint_name, ' of ', table_name, ' points at it: a hide does not begin') "
     "FROM"
     " information_schema.referential_constraints WHERE constraint_schema = database() AND unique_constraint_schema = "
     "database() AND referenced_table_name"
     " = $1 AND table_name <> $1",
     "Drop the foreign key, or hide that table, in a step before."},
    {ZDM_SURVEY_FUNCTION_BODY, ZDM_LEVEL_WARNING, AGENT_DOES(HIDE_COLUMN), NULL,
     "SELECT concat('view ', table_name), concat('its text names column ', $2, ', which is to be hidden: it goes on "
     "until"
     " the purge and fails then') FROM information_schema.views WHERE table_schema = database() AND " NAMES(
         "view_definition", "$1") " AND " NAMES("view_definition", "$2") " LIMIT 20",
     "The server does not tell what a view depends on: read it, and change it before Contract."},
    {ZDM_SURVEY_FUNCTION_BODY, ZDM_LEVEL_WARNING, AGENT_DOES(HIDE_COLUMN), NULL,
     "SELECT concat(lower(routine_type), ' ', routine_name), concat('its text names column ', $2, ', which is to be"
     " hidden: it goes on until the purge and fails then') FROM information_schema.routines WHERE routine_schema ="
     " database() AND " NAMES("routine_definition", "$1") " AND " NAMES("routine_definition", "$2") " LIMIT 20",
     "Read it, and change it before Contract."},
    {ZDM_SURVEY_FUNCTION_BODY, ZDM_LEVEL_WARNING, AGENT_DOES(HIDE_COLUMN), NULL,
     "SELECT concat('trigger ', trigger_name), concat('its text names column ', $2, ', which is to be hidden: at the"
     " purge every write of the table would fail') FROM information_schema.triggers WHERE event_object_schema ="
     " database() AND event_object_table = $1 AND trigger_name NOT LIKE 'zdm\\_%' AND " NAMES("action_statement",
                                                                                              "$2") " LIMIT 20",
     "Change it before Contract."},
    {ZDM_SURVEY_FUNCTION_BODY, ZDM_LEVEL_WARNING, AGENT_DOES(HIDE_TABLE), NULL,
     "SELECT what, concat('its text names table ', $1, ', which is to be hidden: it would fail then') FROM (SELECT"
     " concat('view ', table_name) AS what, view_definition AS body FROM information_schema.views WHERE table_schema ="
     " database() UNION ALL SELECT concat(lower(routine_type), ' ', routine_name), routine_definition FROM"
     " information_schema.routines WHERE routine_schema = database() UNION ALL SELECT concat('trigger ', trigger_name,"
     " ' of ', event_object_table), action_statement FROM information_schema.triggers WHERE event_object_schema ="
     " database() AND event_object_table <> $1) AS texts WHERE " NAMES("body", "$1") " LIMIT 20",
     "Change it before Contract."},
    {ZDM_SURVEY_KEY_COLUMN, ZDM_LEVEL_ERROR, AGENT_DOES(HIDE_COLUMN), NULL,
     "SELECT concat($1, '.', $2), 'it is part of the primary key' FROM " IS(
         "statistics") " AND index_name = 'PRIMARY' AND column_name = $2",
     "Give the table another key first."},

    /* What the server or the agent would refuse, or do otherwise than one thinks. */
    {ZDM_SURVEY_COLUMN_IN_USE, ZDM_LEVEL_NOTE, AGENT_DOES(HIDE_COLUMN), NULL,
     "SELECT concat($1, '.', $2), concat('statements of the last day name it (', sum(count_star), ' since the"
     " statistics began), as in: ', left(min(digest_text), 160)) FROM " SEEN(
         "$1", "$2") " AND last_seen > now() -"
                     " INTERVAL 1 DAY HAVING count(*) > 0",
     "That must have ended before it is hidden; check again before the purge."},
    {ZDM_SURVEY_COLUMN_IN_USE, ZDM_LEVEL_WARNING, AGENT_DOES(PURGE_COLUMN), is_hidden,
     "SELECT concat($1, '.', $2), concat('statements have named it since it was hidden, as in: ', "
     "left(min(digest_text),"
     " 160)) FROM " SEEN("$1", "$2") " AND last_seen > (SELECT max(hidden_at) FROM zdm.hidden h WHERE h.home ="
                                     " database() AND h.migration = $4 AND h.kind = 'column' AND h.table_name = $1 AND "
                                     "h.name = $2) HAVING count(*) >"
                                     " 0",
     "A hidden column still answers whoever names it; dropped, it fails them. Change these statements first."},
    {ZDM_SURVEY_INDEX_IN_USE, ZDM_LEVEL_WARNING, AGENT_DOES(HIDE_INDEX), NULL,
     "SELECT concat($1, '.', $3), concat('it was read ', count_read, ' times since the server started') FROM"
     " performance_schema.table_io_waits_summary_by_index_usage WHERE object_schema = database() AND object_name = $1 "
     "AND"
     " index_name = $3 AND count_read > 0",
     "Find the queries that use it before it is dropped; hidden, it is no longer chosen, and can be shown again at"
     " once."},
    {ZDM_SURVEY_TWO_UNIQUE, ZDM_LEVEL_WARNING, AGENT_DOES(SYNC_INSTALL), keeps_both,
     "SELECT $1, concat('unique index ', index_name, ' makes a column unique that is kept in step with another one: "
     "while"
     " both indexes are there, INSERT … ON DUPLICATE KEY UPDATE of several sessions may meet either of them') FROM"
     " (SELECT index_name, min(column_name) AS only_column FROM " IS(
         "statistics") " AND non_unique = 0 GROUP BY index_name HAVING count(*) = 1) AS one WHERE locate(concat(',',"
                       " only_column, ','), $6) > 0",
     "Build the new unique index as the last step before the switch."},
    {ZDM_SURVEY_NO_KEY, ZDM_LEVEL_ERROR, AGENT_DOES(BACKFILL) | AGENT_DOES(DELETE) | AGENT_DOES(CHECK_COMPARE),
     no_table_made,
     "SELECT $1, 'it has neither a primary key nor a unique index over columns that cannot be NULL: batches have "
     "nothing to"
     " go by' FROM dual WHERE EXISTS (SELECT 1 FROM " IS("tables") ") AND NOT EXISTS (SELECT 1 FROM " IS(
         "statistics") " AND non_unique = 0 AND index_name NOT IN (SELECT index_name FROM " IS("statistics") " AND "
                                                                                                             "(nullable"
                                                                                                             " = 'YES' "
                                                                                                             "OR "
                                                                                                             "sub_part "
                                                                                                             "IS NOT "
                                                                                                             "NULL OR "
                                                                                                             "column_"
                                                                                                             "name IS "
                                                                                                             "NULL)))",
     "Add a primary key first."},
};

const size_t mydb_survey_step_table_n = sizeof mydb_survey_step_table / sizeof *mydb_survey_step_table;
