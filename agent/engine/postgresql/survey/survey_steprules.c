/*
 * survey_steprules.c - rules of single steps that are one query each (survey_rules.c says what they may speak of).
 *
 * tab is NULL where the step's table is not there. What an earlier step of the plan makes is no finding where it is
 * missing; where it is there already, it is one unless it carries this migration's mark.
 */
#include "agent/engine/postgresql/online/index.h"
#include "agent/engine/postgresql/survey/survey.h"

#include <string.h>

/* ---- When ---- */

static bool makes_table(const struct pgsql_survey *survey)
{
    return agent_survey_makes_table(&survey->common, &survey->common.step->table);
}

static bool no_table_made(const struct pgsql_survey *survey)
{
    return !makes_table(survey) && survey->common.step->table.name != NULL &&
           survey->common.step->table.name[0] != '\0';
}

static bool no_column_made(const struct pgsql_survey *survey)
{
    return survey->common.step->column != NULL &&
           !agent_survey_makes_column(&survey->common, survey->common.step->column);
}

static bool no_object_made(const struct pgsql_survey *survey)
{
    return survey->common.step->object != NULL &&
           !agent_survey_makes_object(&survey->common, survey->common.step->object);
}

static bool no_other_made(const struct pgsql_survey *survey)
{
    return survey->common.step->n_others > 0 &&
           !agent_survey_makes_table(&survey->common, &survey->common.step->others[0]);
}

static bool skips_triggers(const struct pgsql_survey *survey)
{
    return survey->common.step->skip_triggers;
}

static bool keeps_both(const struct pgsql_survey *survey)
{
    return survey->common.step->derivation != NULL && survey->common.step->derivation->both_ways;
}

/* ---- What ---- */

#define CONSTRAINTS                                                                                                    \
    (AGENT_DOES(ADD_CHECK) | AGENT_DOES(ADD_FOREIGN_KEY) | AGENT_DOES(ADD_UNIQUE) | AGENT_DOES(ADD_PRIMARY_KEY) |      \
     AGENT_DOES(ADD_PARTITION_CHECK))
#define OF_TABLE                                                                                                       \
    (CONSTRAINTS | AGENT_DOES(ADD_COLUMN) | AGENT_DOES(SET_NOT_NULL) | AGENT_DOES(VALIDATE) |                          \
     AGENT_DOES(CREATE_INDEX) | AGENT_DOES(SYNC_INSTALL) | AGENT_DOES(BACKFILL) | AGENT_DOES(DELETE) |                 \
     AGENT_DOES(HIDE_COLUMN) | AGENT_DOES(HIDE_TABLE) | AGENT_DOES(LIFT_CONSTRAINT) | AGENT_DOES(DROP_NOT_NULL) |      \
     AGENT_DOES(SET_DEFAULT) | AGENT_DOES(SET_STORAGE) | AGENT_DOES(WIDEN_TYPE) | AGENT_DOES(ATTACH_PARTITION) |       \
     AGENT_DOES(DETACH_PARTITION) | AGENT_DOES(REINDEX) | AGENT_DOES(COMMENT))
#define CHANGES_SHAPE                                                                                                  \
    (AGENT_DOES(ADD_COLUMN) | AGENT_DOES(HIDE_COLUMN) | AGENT_DOES(HIDE_TABLE) | AGENT_DOES(WIDEN_TYPE) |              \
     AGENT_DOES(ATTACH_PARTITION) | AGENT_DOES(DETACH_PARTITION))
#define OURS(comment)                                                                                                  \
    "coalesce(" comment ", '') <> 'zdm:' || x.migration AND coalesce(" comment ", '') NOT LIKE E'%\\nzdm:' ||"         \
    " replace(replace(x.migration, '\\', '\\\\'), '_', '\\_')"
#define TABLE_NAME "format('%I.%I', x.schema, x.name)"
#define FIRES                                                                                                          \
    " FROM x, r JOIN pg_trigger g ON g.tgrelid = r.oid AND NOT tgisinternal AND tgparentid = 0 AND tgname NOT LIKE"    \
    " '~zdm%' JOIN pg_proc p ON p.oid = tgfoid WHERE tgenabled = ANY (CASE WHEN x.skip THEN '{A,R}' ELSE '{O,A}' END"  \
    "::\"char\"[]) AND "
#define ON_COLUMN                                                                                                      \
    " FROM x CROSS JOIN r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attname = x.col JOIN pg_depend d ON"         \
    " d.refclassid = 'pg_class'::regclass AND d.refobjid = r.oid AND d.refobjsubid = a.attnum WHERE "
/* Before version 15 it is the column itself that depends, not its expression. */
#define GENERATED                                                                                                      \
    "(d.classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_attribute g WHERE g.attrelid = d.objid AND "         \
    "g.attnum ="                                                                                                       \
    " d.objsubid AND g.attnum > 0 AND g.attgenerated <> ''))"
#define DESCRIBES                                                                                                      \
    "(CASE WHEN d.classid = 'pg_rewrite'::regclass THEN (SELECT format('%s %s', CASE v.relkind WHEN 'm' THEN"          \
    " 'materialized view' ELSE 'view' END, v.oid::regclass) FROM pg_rewrite w JOIN pg_class v ON v.oid = w.ev_class"   \
    " WHERE w.oid = d.objid) WHEN d.classid = 'pg_attrdef'::regclass THEN (SELECT format('column %I, which is"         \
    " generated from it', k.attname) FROM pg_attrdef f JOIN pg_attribute k ON k.attrelid = f.adrelid AND k.attnum ="   \
    " f.adnum WHERE f.oid = d.objid) WHEN " GENERATED " THEN (SELECT format('column %I, which is generated from it',"  \
    " k.attname) FROM pg_attribute k WHERE k.attrelid = d.objid AND k.attnum = d.objsubid) ELSE"                       \
    " pg_describe_object(d.classid, d.objid, d.objsubid) END)"
/* Does an earlier step take it away: a constraint ("c"), a column ("h"), a table ("t")? */
#define GONE(kind, schema, table, what) "format('" kind ":%s.%s.%s', " schema ", " table ", " what ") = ANY (x.gone)"
/* That constraint, by itself or with its table or one of its columns. */
#define LIFTED(k)                                                                                                      \
    "EXISTS (SELECT FROM pg_class lc JOIN pg_namespace ln ON ln.oid = lc.relnamespace LEFT JOIN pg_attribute la ON"    \
    " la.attrelid = lc.oid AND la.attnum = ANY (" k ".conkey) WHERE lc.oid = " k                                       \
    ".conrelid AND (" GONE("c", "ln.nspname", "lc.relname", k ".conname") " OR " GONE(                                 \
        "h", "ln.nspname", "lc.relname", "la.attname") " OR " GONE("t", "ln.nspname", "lc.relname", "''") "))"
/* d.objid is a foreign key of another table. */
#define REFERS                                                                                                         \
    "EXISTS (SELECT FROM pg_constraint k WHERE k.oid = d.objid AND k.contype = 'f' AND k.conparentid = 0 AND"          \
    " k.confrelid = r.oid AND k.conrelid NOT IN (SELECT t.oid FROM r AS t) AND NOT " LIFTED("k") ")"
/* Of these a plain change of type is refused as well. */
#define FOLLOWERS                                                                                                      \
    "((d.classid = 'pg_rewrite'::regclass AND (SELECT ev_class FROM pg_rewrite WHERE oid = d.objid) <> r.oid)"         \
    " OR d.classid = 'pg_policy'::regclass OR (d.classid = 'pg_attrdef'::regclass AND (SELECT adnum FROM pg_attrdef"   \
    " WHERE oid = d.objid) <> a.attnum) OR " GENERATED                                                                 \
    " OR (d.classid = 'pg_trigger'::regclass AND EXISTS (SELECT FROM"                                                  \
    " pg_trigger g WHERE g.oid = d.objid AND g.tgname NOT LIKE '~zdm%' AND g.tgparentid = 0)) OR (d.classid ="         \
    " 'pg_proc'::regclass AND d.deptype = 'n'))"

const struct pgsql_survey_rule pgsql_survey_step_table[] = {
    /* Is it there, and is what it makes not there? */
    {ZDM_SURVEY_TABLE_MISSING, ZDM_LEVEL_ERROR, OF_TABLE, no_table_made,
     "SELECT " TABLE_NAME ", 'there is no such table' FROM x WHERE x.tab IS NULL",
     "Is the shard one that the plan is meant for, and the schema written right?"},
    {ZDM_SURVEY_TABLE_MISSING, ZDM_LEVEL_ERROR,
     AGENT_DOES(ADD_FOREIGN_KEY) | AGENT_DOES(ATTACH_PARTITION) | AGENT_DOES(DETACH_PARTITION) |
         AGENT_DOES(ADD_PARTITION_CHECK),
     no_other_made,
     "SELECT format('%I.%I', x.oschema, x.oname), 'there is no such table' FROM x WHERE NOT EXISTS (SELECT FROM "
     "pg_class"
     " c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = x.oschema AND relname = x.oname)",
     "Is the shard one that the plan is meant for, and the schema written right?"},
    {ZDM_SURVEY_COLUMN_MISSING, ZDM_LEVEL_ERROR,
     AGENT_DOES(HIDE_COLUMN) | AGENT_DOES(SET_NOT_NULL) | AGENT_DOES(DROP_NOT_NULL) | AGENT_DOES(SET_DEFAULT) |
         AGENT_DOES(SET_STORAGE) | AGENT_DOES(COMMENT) | AGENT_DOES(WIDEN_TYPE),
     no_column_made,
     "SELECT " TABLE_NAME
     " || '.' || quote_ident(x.col), 'there is no such column' FROM x WHERE x.tab IS NOT NULL AND NOT"
     " EXISTS (SELECT FROM pg_attribute WHERE attrelid = x.tab AND attname = x.col AND NOT attisdropped)",
     "Somebody changed this shard by hand, or the name is written wrong."},
    {ZDM_SURVEY_ALREADY_THERE, ZDM_LEVEL_ERROR, AGENT_DOES(ADD_COLUMN), NULL,
     "SELECT " TABLE_NAME
     " || '.' || quote_ident(x.col), format('the column is there already, as %s, and this migration"
     " did not add it', format_type(a.atttypid, a.atttypmod)) FROM x JOIN pg_attribute a ON a.attrelid = x.tab AND"
     " a.attname = x.col AND NOT a.attisdropped WHERE NOT " GONE("h", "x.schema", "x.name", "x.col") " AND " OURS(
         "col_description(x.tab, a.attnum)"),
     "The step would stop there: drop it, or leave the statement out where every shard has it."},
    {ZDM_SURVEY_ALREADY_THERE, ZDM_LEVEL_ERROR, CONSTRAINTS, NULL,
     "SELECT " TABLE_NAME
     ", format('constraint %I is there already, as %s, and this migration did not add it', conname,"
     " pg_get_constraintdef(k.oid)) FROM x JOIN pg_constraint k ON k.conrelid = x.tab AND k.conname = x.obj "
     "WHERE NOT " GONE("c", "x.schema", "x.name", "x.obj") " AND " OURS("obj_description(k.oid, 'pg_constraint')"),
     "Give the new one another name, or leave the statement out."},
    {ZDM_SURVEY_ALREADY_THERE, ZDM_LEVEL_ERROR, AGENT_DOES(CREATE_INDEX), NULL,
     "SELECT format('%I.%I', x.schema, x.obj), format('something of that name is there already: %s',"
     " pg_describe_object('pg_class'::regclass, c.oid, 0)) FROM x JOIN pg_namespace n ON nspname = x.schema JOIN "
     "pg_class"
     " c ON relnamespace = n.oid AND relname = x.obj WHERE NOT " PGSQL_INDEX_IS_OURS("c", "x.schema", "x.obj",
                                                                                     "x.migration"),
     "Give the index another name, or leave the statement out where every shard has it."},
    {ZDM_SURVEY_ALREADY_THERE, ZDM_LEVEL_ERROR, AGENT_DOES(CREATE_TABLE), NULL,
     "SELECT " TABLE_NAME ", 'something of that name is there already' FROM x JOIN pg_class c ON c.oid = x.tab"
     " WHERE " OURS("obj_description(c.oid, 'pg_class')"),
     "Give the table another name, or leave the statement out."},
    {ZDM_SURVEY_ALREADY_THERE, ZDM_LEVEL_ERROR, AGENT_DOES(CREATE_TYPE), NULL,
     "SELECT format('%I.%I', x.schema, x.obj), 'a type of that name is there already' FROM x JOIN pg_namespace n ON "
     "nspname"
     " = x.schema JOIN pg_type t ON typnamespace = n.oid AND typname = x.obj WHERE " OURS(
         "obj_description(t.oid, 'pg_type')"),
     "Give the type another name, or leave the statement out."},
    {ZDM_SURVEY_ALREADY_THERE, ZDM_LEVEL_NOTE, AGENT_DOES(ADD_VALUE), NULL,
     "SELECT format('%I.%I', x.schema, x.obj), format('it has the value %L already', x.col) FROM x JOIN pg_namespace n "
     "ON"
     " nspname = x.schema JOIN pg_type t ON typnamespace = n.oid AND typname = x.obj JOIN pg_enum e ON enumtypid = "
     "t.oid"
     " AND enumlabel = x.col",
     "Nothing is done here."},
    {ZDM_SURVEY_OBJECT_MISSING, ZDM_LEVEL_ERROR, AGENT_DOES(LIFT_CONSTRAINT) | AGENT_DOES(VALIDATE), no_object_made,
     "SELECT " TABLE_NAME ", format('there is no constraint %I', x.obj) FROM x WHERE x.tab IS NOT NULL AND NOT EXISTS"
     " (SELECT FROM pg_constraint WHERE conrelid = x.tab AND conname = x.obj)",
     "Constraints without a name of their own may be called otherwise on this shard: compare the outlines."},
    {ZDM_SURVEY_OBJECT_MISSING, ZDM_LEVEL_ERROR, AGENT_DOES(HIDE_INDEX) | AGENT_DOES(REINDEX), no_object_made,
     "SELECT format('%I.%I', x.schema, x.obj), 'there is no such index' FROM x WHERE x.obj IS NOT NULL AND NOT EXISTS"
     " (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = x.schema AND relname = x.obj"
     " AND relkind IN ('i', 'I'))",
     "It may be called otherwise on this shard: compare the outlines."},
    {ZDM_SURVEY_OBJECT_MISSING, ZDM_LEVEL_ERROR, AGENT_DOES(ADD_VALUE), no_object_made,
     "SELECT format('%I.%I', x.schema, x.obj), 'there is no such enum type' FROM x WHERE NOT EXISTS (SELECT FROM "
     "pg_type t"
     " JOIN pg_namespace n ON n.oid = typnamespace WHERE nspname = x.schema AND typname = x.obj AND typtype = 'e')",
     "Is the schema written right?"},
    {ZDM_SURVEY_HIDDEN_LEFTOVER, ZDM_LEVEL_WARNING, CHANGES_SHAPE | CONSTRAINTS | AGENT_DOES(CREATE_INDEX), NULL,
     "SELECT " TABLE_NAME ", format('%s %s of it is hidden by migration %s and waits for its purge', min(h.kind),"
     " string_agg(DISTINCT h.name, ', '), h.migration) FROM x JOIN zdm.hidden h ON h.schema_name = x.schema AND"
     " h.table_name = x.name AND h.migration <> x.migration AND h.kind IN ('column', 'table', 'index') GROUP BY "
     "x.schema,"
     " x.name, h.migration",
     "Finish that migration, or roll it back, before another one changes the table."},

    /* Rights. */
    {ZDM_SURVEY_MISSING_GRANT, ZDM_LEVEL_ERROR, AGENT_DOES(ADD_FOREIGN_KEY), NULL,
     "SELECT format('%I.%I', x.oschema, x.oname), 'the owner of the referencing table may not refer to it (REFERENCES)'"
     " FROM x JOIN pg_class k ON k.oid = x.tab, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname "
     "="
     " x.oschema AND c.relname = x.oname AND NOT has_table_privilege(current_user, c.oid, 'REFERENCES') AND NOT"
     " has_table_privilege(k.relowner, c.oid, 'REFERENCES')",
     "GRANT REFERENCES on it."},
    {ZDM_SURVEY_MISSING_GRANT, ZDM_LEVEL_ERROR,
     AGENT_DOES(CREATE_TABLE) | AGENT_DOES(CREATE_TYPE) | AGENT_DOES(CREATE_INDEX), NULL,
     "SELECT x.schema, format('the agent''s role may not create anything in schema %I', x.schema) FROM x JOIN "
     "pg_namespace"
     " n ON nspname = x.schema WHERE NOT has_schema_privilege(current_user, n.oid, 'CREATE')",
     "GRANT CREATE ON SCHEMA … to the owner of the tables."},

    /* What the application has around it. */
    {ZDM_SURVEY_PUBLISHED, ZDM_LEVEL_ERROR, CHANGES_SHAPE, NULL,
     "SELECT " TABLE_NAME ", format('it is published by %s: a subscriber whose table has another shape stops', "
     "string_agg(DISTINCT quote_ident(p.pubname) || CASE WHEN b.puballtables THEN ' (FOR ALL TABLES)' ELSE '' END, ', "
     "')),"
     " CASE WHEN x.pubok THEN 'note' ELSE 'error' END FROM x, r JOIN pg_class c ON c.oid = r.oid JOIN pg_namespace n ON"
     " n.oid = relnamespace JOIN pg_publication_tables p ON p.schemaname = nspname AND p.tablename = relname JOIN"
     " pg_publication b ON b.pubname = p.pubname GROUP BY x.schema, x.name, x.pubok",
     "Change the subscribers first, then write {publication-ok} at the fence."},
    /* pgoutput reads what is published, the other plugins everything. */
    {ZDM_SURVEY_LOGICAL_SLOT, ZDM_LEVEL_ERROR, CHANGES_SHAPE, NULL,
     "SELECT " TABLE_NAME ", format('whoever reads logical slot %s (%s) sees the table in another shape from here on',"
     " slot_name, plugin), CASE WHEN x.pubok THEN 'note' ELSE 'error' END FROM x, pg_replication_slots WHERE x.tab IS"
     " NOT NULL AND slot_type = 'logical' AND active AND database = current_database() AND plugin <> 'pgoutput'",
     "Prepare the reader first, then write {publication-ok} at the fence."},
    {ZDM_SURVEY_TRIGGER_FIRES, ZDM_LEVEL_WARNING, AGENT_DOES(BACKFILL), NULL,
     "SELECT r.oid::regclass::text, format('trigger %I (%s UPDATE, %s) fires on every row that a batch writes', tgname,"
     " CASE WHEN tgtype & 2 <> 0 THEN 'BEFORE' ELSE 'AFTER' END, p.oid::regproc)" FIRES "tgtype & 16 <> 0 AND (tgattr ="
     " ''::int2vector OR EXISTS (SELECT FROM unnest(tgattr::int2[]) k JOIN pg_attribute a ON a.attrelid = r.oid AND"
     " a.attnum = k AND a.attname = ANY (x.cols)))",
     "Where it shall not (updated_at, audit): write {triggers=skip} at the fence; the agent then needs SET on "
     "session_replication_role (15 and later; before that a superuser). Where it shall: nothing."},
    {ZDM_SURVEY_TRIGGER_FIRES, ZDM_LEVEL_WARNING, AGENT_DOES(DELETE), NULL,
     "SELECT r.oid::regclass::text, format('trigger %I (%s DELETE, %s) fires on every row that a batch deletes', "
     "tgname,"
     " CASE WHEN tgtype & 2 <> 0 THEN 'BEFORE' ELSE 'AFTER' END, p.oid::regproc)" FIRES "tgtype & 8 <> 0",
     "Where it shall not: write {triggers=skip} at the fence. Where it shall: nothing."},
    {ZDM_SURVEY_TRIGGER_ORDER, ZDM_LEVEL_WARNING, AGENT_DOES(SYNC_INSTALL), NULL,
     "SELECT r.oid::regclass::text, format('trigger %I (%s) runs after the sync triggers, since its name sorts behind"
     " theirs: what it changes is not copied', tgname, p.oid::regproc)" FIRES "tgtype & 3 = 3 AND tgtype & 20 <> 0 AND"
     " tgname::text COLLATE \"C\" > '~zdm'",
     "ALTER TRIGGER … RENAME TO a name that sorts before ~zdm."},
    {ZDM_SURVEY_DEPENDENTS, ZDM_LEVEL_ERROR, AGENT_DOES(HIDE_COLUMN), NULL,
     "SELECT DISTINCT " TABLE_NAME
     " || '.' || quote_ident(x.col), format('%s depends on it: a hide does not begin', " DESCRIBES ")" ON_COLUMN
     "d.deptype <> 'i' AND (" FOLLOWERS " OR (d.classid = 'pg_publication_rel'::regclass) OR (d.classid = "
     "'pg_constraint'::regclass AND " REFERS "))",
     "Change or drop what depends on it, in a step before."},
    {ZDM_SURVEY_DEPENDENTS, ZDM_LEVEL_ERROR, AGENT_DOES(WIDEN_TYPE), NULL,
     "SELECT DISTINCT " TABLE_NAME " || '.' || quote_ident(x.col), format('%s depends on it: the server refuses another"
     " type', " DESCRIBES ")" ON_COLUMN FOLLOWERS,
     "Drop what depends on it before, and make it anew behind; or take a new column."},
    {ZDM_SURVEY_DEPENDENTS, ZDM_LEVEL_ERROR, AGENT_DOES(HIDE_TABLE), NULL,
     "SELECT DISTINCT " TABLE_NAME ", format('%s depends on it: a hide does not begin', " DESCRIBES ") FROM x CROSS"
     " JOIN r JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = r.oid WHERE (d.classid ="
     " 'pg_rewrite'::regclass AND (SELECT ev_class FROM pg_rewrite WHERE oid = d.objid) <> r.oid) OR (d.classid ="
     " 'pg_proc'::regclass AND d.deptype = 'n') OR (d.classid = 'pg_constraint'::regclass AND " REFERS ")",
     "Change or drop what depends on it, in a step before."},
    {ZDM_SURVEY_DEPENDENTS, ZDM_LEVEL_ERROR, AGENT_DOES(LIFT_CONSTRAINT), NULL,
     "SELECT " TABLE_NAME ", format('foreign key %I of %s needs constraint %I: it is not dropped', k.conname,"
     " k.conrelid::regclass, x.obj) FROM x JOIN pg_constraint o ON o.conrelid = x.tab AND o.conname = x.obj AND"
     " o.contype IN ('p', 'u') JOIN pg_constraint k ON k.contype = 'f' AND k.conindid = o.conindid AND k.conparentid = "
     "0"
     " WHERE NOT " LIFTED("k"),
     "Drop the foreign key before, or point it at another key."},
    {ZDM_SURVEY_DEPENDENTS, ZDM_LEVEL_ERROR, AGENT_DOES(DETACH_PARTITION), NULL,
     "SELECT " TABLE_NAME ", format('foreign key %I of %s points at it: the server would read that table under the"
     " lock', k.conname, k.conrelid::regclass) FROM x JOIN pg_constraint k ON k.contype = 'f' AND k.confrelid = x.tab"
     " AND k.conparentid = 0 WHERE NOT " LIFTED("k"),
     "Drop the foreign key before, and add it again behind the change."},
    {ZDM_SURVEY_FUNCTION_BODY, ZDM_LEVEL_WARNING, AGENT_DOES(HIDE_COLUMN), NULL,
     "SELECT p.oid::regprocedure::text, format('its text names column %I, which is to be hidden: it would fail then',"
     " x.col) FROM x, pg_proc p JOIN pg_namespace n ON n.oid = pronamespace JOIN pg_language l ON l.oid = prolang WHERE"
     " lanname NOT IN ('c', 'internal') AND nspname NOT IN ('pg_catalog', 'information_schema', 'zdm') AND p.prosrc ~"
     " ('\\m' || regexp_replace(x.col, '([^[:alnum:]_])', '\\\\\\1', 'g') || '\\M') AND (p.prosrc ~ ('\\m' ||"
     " regexp_replace(x.name, '([^[:alnum:]_])', '\\\\\\1', 'g') || '\\M') OR EXISTS (SELECT FROM pg_trigger g JOIN r "
     "ON"
     " g.tgrelid = r.oid WHERE g.tgfoid = p.oid)) LIMIT 20",
     "The server does not follow names inside of strings: read it, and change it before Contract."},
    {ZDM_SURVEY_FUNCTION_BODY, ZDM_LEVEL_WARNING, AGENT_DOES(HIDE_TABLE), NULL,
     "SELECT p.oid::regprocedure::text, format('its text names table %I, which is to be hidden: it would fail then',"
     " x.name) FROM x, pg_proc p JOIN pg_namespace n ON n.oid = pronamespace JOIN pg_language l ON l.oid = prolang "
     "WHERE"
     " lanname NOT IN ('c', 'internal') AND nspname NOT IN ('pg_catalog', 'information_schema', 'zdm') AND p.prosrc ~"
     " ('\\m' || regexp_replace(x.name, '([^[:alnum:]_])', '\\\\\\1', 'g') || '\\M') LIMIT 20",
     "The server does not follow names inside of strings: read it, and change it before Contract."},
    {ZDM_SURVEY_KEY_COLUMN, ZDM_LEVEL_ERROR, AGENT_DOES(HIDE_COLUMN), NULL,
     "SELECT " TABLE_NAME " || '.' || quote_ident(x.col), format('it is part of %s', CASE WHEN indisprimary THEN 'the"
     " primary key' ELSE 'the replica identity' END) FROM x JOIN pg_attribute a ON a.attrelid = x.tab AND a.attname ="
     " x.col JOIN pg_index i ON i.indrelid = x.tab AND (indisprimary OR indisreplident) AND a.attnum = ANY"
     " (i.indkey::int2[]) WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND"
     " k.conrelid = x.tab AND " LIFTED(
         "k") ") UNION ALL SELECT " TABLE_NAME " || '.' || quote_ident(x.col), 'it is part of the partition key'"
              " FROM x JOIN pg_attribute a ON a.attrelid = x.tab AND a.attname = x.col JOIN pg_partitioned_table t ON "
              "t.partrelid ="
              " x.tab AND a.attnum = ANY (t.partattrs::int2[])",
     "Give the table another key first."},
    {ZDM_SURVEY_IDENTITY_COLUMN, ZDM_LEVEL_ERROR, AGENT_DOES(HIDE_COLUMN), NULL,
     "SELECT " TABLE_NAME " || '.' || quote_ident(x.col), 'it is an identity column, which the server keeps NOT NULL:"
     " hidden, every INSERT would go on drawing from its sequence' FROM x JOIN pg_attribute a ON a.attrelid = x.tab AND"
     " a.attname = x.col AND a.attidentity <> '' WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = x.tab AND"
     " i.indisprimary AND a.attnum = ANY (i.indkey::int2[]))",
     "ALTER COLUMN … DROP IDENTITY before, as is, with a sequence as its DEFAULT where old code needs numbers."},
    {ZDM_SURVEY_DEPENDENTS, ZDM_LEVEL_ERROR, AGENT_DOES(HIDE_COLUMN), NULL,
     "SELECT " TABLE_NAME " || '.' || quote_ident(x.col), format('it is part of the unique index %s of a partitioned"
     " table, which the way back could not build again without blocking writers', i.indexrelid::regclass) FROM x JOIN"
     " pg_class c ON c.oid = x.tab AND c.relkind = 'p' CROSS JOIN r JOIN pg_attribute a ON a.attrelid = r.oid AND"
     " a.attname = x.col JOIN pg_index i ON i.indrelid = r.oid AND i.indisunique AND NOT i.indisprimary AND a.attnum ="
     " ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) WHERE NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid ="
     " i.indexrelid) AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid ="
     " i.indexrelid AND k.conrelid = x.tab AND " GONE("c", "x.schema", "x.name", "k.conname") ")",
     "Drop it before, or leave the column."},
    {ZDM_SURVEY_UNIQUE_GOES, ZDM_LEVEL_NOTE, AGENT_DOES(HIDE_COLUMN), NULL,
     "SELECT " TABLE_NAME " || '.' || quote_ident(x.col), format('what is unique by index %s is so no more from this"
     " step on; a rollback builds it again, as far as the rows allow', i.indexrelid::regclass) FROM x JOIN pg_class c "
     "ON"
     " c.oid = x.tab AND c.relkind = 'r' JOIN pg_attribute a ON a.attrelid = x.tab AND a.attname = x.col JOIN pg_index "
     "i"
     " ON i.indrelid = x.tab AND i.indisunique AND NOT i.indisprimary AND (a.attnum = ANY"
     " ((i.indkey::int2[])[0:i.indnkeyatts - 1]) OR position(format(':varattno %s ', a.attnum) IN concat(i.indexprs,"
     " i.indpred)) > 0)",
     "Nothing, where the new column has a unique index of its own; it is built right before Switch."},

    /* What the server or the agent would refuse, or do otherwise than one thinks. */
    {ZDM_SURVEY_DEFAULT_PARTITION, ZDM_LEVEL_ERROR, AGENT_DOES(ATTACH_PARTITION), NULL,
     "SELECT partdefid::regclass::text, format('the default partition holds data (%s): attaching another one reads all "
     "of"
     " it under an exclusive lock, and no validated CHECK of it spares that', pg_size_pretty(pg_relation_size("
     "partdefid))) FROM x JOIN pg_partitioned_table ON partrelid = x.tab WHERE partdefid <> 0 AND"
     " pg_relation_size(partdefid) > 0 AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = partdefid AND"
     " k.contype = 'c' AND k.convalidated)",
     "Add a CHECK (NOT (the new bound)) to it in front, and waive this; or move its rows away."},
    {ZDM_SURVEY_CHECK_OVER_WIDENED, ZDM_LEVEL_ERROR, AGENT_DOES(WIDEN_TYPE), NULL,
     "SELECT " TABLE_NAME
     " || '.' || quote_ident(x.col), format('constraint %I is over it: the server would read the whole"
     " table again under an exclusive lock', conname) FROM x JOIN pg_attribute a ON a.attrelid = x.tab AND a.attname ="
     " x.col JOIN pg_constraint k ON k.conrelid = x.tab AND k.contype = 'c' AND a.attnum = ANY (k.conkey) WHERE NOT"
     " " LIFTED("k"),
     "Drop the constraint before, and add it NOT VALID behind, with a VALIDATE of its own."},
    {ZDM_SURVEY_DELETE_CASCADES, ZDM_LEVEL_ERROR, AGENT_DOES(DELETE), NULL,
     "SELECT k.conrelid::regclass::text, format('foreign key %I acts on its rows when the parent''s are deleted (%s): "
     "no"
     " before-image is kept of them', conname, CASE confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' ELSE "
     "'SET"
     " DEFAULT' END), CASE WHEN x.forgo THEN 'warning' ELSE 'error' END FROM x JOIN pg_constraint k ON k.confrelid = "
     "x.tab"
     " AND k.contype = 'f' AND k.confdeltype IN ('c', 'n', 'd') AND k.conparentid = 0",
     "Write {no-undo}: those rows go or change for good; or put a foreign key without that action in its place before, "
     "and "
     "delete the child's rows in a step of their own."},
    {ZDM_SURVEY_TRIGGERS_SKIP, ZDM_LEVEL_ERROR, AGENT_DOES(BACKFILL) | AGENT_DOES(DELETE), skips_triggers,
     "SELECT r.oid::regclass::text, format('foreign key %I would not be checked in batches that skip triggers', "
     "conname)"
     " FROM x CROSS JOIN r JOIN pg_constraint k ON k.contype = 'f' AND (k.confrelid = r.oid OR (k.conrelid = r.oid AND "
     "EXISTS "
     "(SELECT"
     " FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum = ANY (k.conkey) AND a.attname = ANY (x.cols)))) WHERE"
     " (cardinality(x.cols) = 0 AND k.confrelid = r.oid) OR EXISTS (SELECT FROM pg_attribute a WHERE a.attname = ANY"
     " (x.cols) AND ((a.attrelid = k.conrelid AND k.conrelid = r.oid AND a.attnum = ANY (k.conkey)) OR (a.attrelid ="
     " k.confrelid AND k.confrelid = r.oid AND a.attnum = ANY (k.confkey))))",
     "Leave {triggers=skip} away here."},
    {ZDM_SURVEY_INDEX_OF_CONSTRAINT, ZDM_LEVEL_ERROR, AGENT_DOES(HIDE_INDEX), NULL,
     "SELECT format('%I.%I', x.schema, x.obj), format('it belongs to constraint %I of %s', conname, conrelid::regclass)"
     " FROM x JOIN pg_namespace n ON nspname = x.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = x.obj"
     " JOIN pg_constraint k ON k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')",
     "Drop the constraint instead: ALTER TABLE … DROP CONSTRAINT."},
    {ZDM_SURVEY_INDEX_IN_USE, ZDM_LEVEL_WARNING, AGENT_DOES(HIDE_INDEX), NULL,
     "SELECT format('%I.%I', x.schema, x.obj), format('it was scanned %s times since %s', s.idx_scan, coalesce((SELECT"
     " date_trunc('second', stats_reset)::text FROM pg_stat_database WHERE datname = current_database()), 'the "
     "statistics"
     " began')) FROM x JOIN pg_namespace n ON nspname = x.schema JOIN pg_class c ON c.relnamespace = n.oid AND "
     "c.relname ="
     " x.obj, LATERAL (SELECT pg_stat_get_numscans(c.oid) AS idx_scan) s WHERE s.idx_scan > 0",
     "Find the queries that use it before it is dropped; `status` counts on."},
    {ZDM_SURVEY_BLOAT, ZDM_LEVEL_NOTE, AGENT_DOES(BACKFILL), NULL,
     "SELECT " TABLE_NAME ", format('its %s are written row by row: expect up to as much of dead rows before autovacuum"
     " has taken them back (fillfactor %s)', pg_size_pretty(sum(c.relpages)::int8 *"
     " current_setting('block_size')::int8), coalesce((SELECT option_value FROM pg_class k,"
     " pg_options_to_table(k.reloptions) WHERE k.oid = x.tab AND option_name = 'fillfactor'), '100')) FROM x, r JOIN"
     " pg_class c ON c.oid = r.oid GROUP BY x.tab, x.schema, x.name HAVING sum(c.relpages)::int8 *"
     " current_setting('block_size')::int8 > 10737418240",
     "SET (fillfactor = 90) beforehand keeps new versions on their pages; it concerns new pages only."},
    {ZDM_SURVEY_TWO_UNIQUE, ZDM_LEVEL_WARNING, AGENT_DOES(SYNC_INSTALL), keeps_both,
     "SELECT " TABLE_NAME
     ", format('%s makes a column unique that is kept in step with another one: while both indexes are"
     " there, INSERT … ON CONFLICT of several sessions can fail with 23505', i.indexrelid::regclass) FROM x, r JOIN"
     " pg_index i ON i.indrelid = r.oid AND i.indisunique AND i.indnkeyatts = 1 JOIN pg_attribute a ON a.attrelid = "
     "r.oid"
     " AND a.attnum = i.indkey[0] WHERE a.attname = ANY (x.cols)",
     "The plan builds the new index last and drops the old constraint first; expect it in between, and retry."},
};
const size_t pgsql_survey_step_table_n = sizeof pgsql_survey_step_table / sizeof *pgsql_survey_step_table;
