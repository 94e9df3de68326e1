/*
 * proof_more.c - more of proof.c: rights, rows, names, and commands of ALTER TABLE that no kind covers.
 */
#include "common/runbook/postgresql/ddl.h"
#include "common/runbook/draft.h"

#include <string.h>

enum { ROWS_MAX = 100 };

static const char *dotted(struct rb *rb, const char *schema, const char *name)
{
    return rb_format(rb, "%s.%s", rb_plain(rb, schema[0] != '\0' ? schema : rb->front.schema), rb_plain(rb, name));
}

static const char *relation_name(struct rb *rb, const PgQuery__RangeVar *relation)
{
    return dotted(rb, relation->schemaname, relation->relname);
}

static const char *upper(struct rb *rb, const char *word)
{
    char *copy = rb_copy(rb, word, strlen(word));
    for (char *p = copy; *p != '\0'; p++)
        *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
    return copy;
}

/* ---- rights ---- */

/* What a right is asked with, and which there are where ALL is written. */
static const struct securable {
    int type;
    const char *words, *function;
    const char *const rights[5];
} securables[] = {
    {PG_QUERY__OBJECT_TYPE__OBJECT_TABLE, "", "has_table_privilege", {"SELECT", "INSERT", "UPDATE", "DELETE", NULL}},
    {PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE,
     "SEQUENCE ",
     "has_sequence_privilege",
     {"USAGE", "SELECT", "UPDATE", NULL}},
    {PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA, "SCHEMA ", "has_schema_privilege", {"USAGE", "CREATE", NULL}},
};

static const struct securable *securable_of(const PgQuery__GrantStmt *grant)
{
    for (size_t i = 0; i < sizeof securables / sizeof securables[0]; i++) {
        if (securables[i].type == (int)grant->objtype)
            return &securables[i];
    }
    return NULL;
}

static const char *object_name(struct rb *rb, const PgQuery__Node *object)
{
    return object->node_case == PG_QUERY__NODE__NODE_RANGE_VAR ? relation_name(rb, object->range_var)
                                                               : rb_plain(rb, rb_string(object));
}

static const char *role_name(const PgQuery__Node *grantee)
{
    bool public = grantee->role_spec->roletype == PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_PUBLIC;
    return public ? "public" : grantee->role_spec->rolename;
}

static void ask_right(struct rb *rb, const char **text, const struct securable *of, const char *role,
                      const char *object, const char *right)
{
    *text = rb_format(rb, "%s%sNOT %s(%s, %s, '%s')", *text, (*text)[0] == '\0' ? "" : "\n   OR ", of->function,
                      rb_literal(rb, role), rb_literal(rb, object), right);
}

static bool is_plain_grant(const PgQuery__GrantStmt *grant)
{
    bool plain = grant->is_grant && grant->targtype == PG_QUERY__GRANT_TARGET_TYPE__ACL_TARGET_OBJECT &&
                 securable_of(grant) != NULL;
    for (size_t i = 0; i < grant->n_privileges && plain; i++)
        plain = grant->privileges[i]->access_priv->n_cols == 0;
    for (size_t i = 0; i < grant->n_grantees && plain; i++)
        plain = role_name(grant->grantees[i])[0] != '\0';
    return plain;
}

bool rb_proof_of_grant(struct rb_statement *s, struct rb_proof *p)
{
    struct rb *rb = s->rb;
    const PgQuery__GrantStmt *grant = s->node->grant_stmt;
    const struct securable *of = securable_of(grant);
    const char *missing = "", *rights = "", *objects = "", *roles = "";
    if (!is_plain_grant(grant))
        return false;
    for (size_t i = 0; i < grant->n_privileges; i++)
        rights = rb_format(rb, "%s%s%s", rights, i == 0 ? "" : ", ",
                           upper(rb, grant->privileges[i]->access_priv->priv_name));
    for (size_t o = 0; o < grant->n_objects; o++)
        objects = rb_format(rb, "%s%s%s", objects, o == 0 ? "" : ", ", object_name(rb, grant->objects[o]));
    for (size_t r = 0; r < grant->n_grantees; r++) {
        const char *role = role_name(grant->grantees[r]);
        roles = rb_format(rb, "%s%s%s", roles, r == 0 ? "" : ", ",
                          strcmp(role, "public") == 0 ? "PUBLIC" : rb_plain(rb, role));
        for (size_t o = 0; o < grant->n_objects; o++) {
            for (size_t i = 0; grant->n_privileges == 0 && of->rights[i] != NULL; i++)
                ask_right(rb, &missing, of, role, object_name(rb, grant->objects[o]), of->rights[i]);
            for (size_t i = 0; i < grant->n_privileges; i++)
                ask_right(rb, &missing, of, role, object_name(rb, grant->objects[o]),
                          upper(rb, grant->privileges[i]->access_priv->priv_name));
        }
    }
    p->check = rb_format(rb, "SELECT 1 WHERE %s", missing);
    p->undo = rb_format(rb, "REVOKE %s ON %s%s FROM %s", grant->n_privileges == 0 ? "ALL" : rights, of->words, objects,
                        roles);
    return true;
}

/* ---- rows ---- */

/* The row that a list of constants makes: a = 1 AND b = 'x'. NULL where one is none. */
static const char *row_condition(struct rb *rb, const PgQuery__InsertStmt *insert, const PgQuery__List *values)
{
    const char *text = "";
    if (values->n_items != insert->n_cols)
        return NULL;
    for (size_t i = 0; i < values->n_items; i++) {
        const PgQuery__Node *value = values->items[i];
        const char *column = rb_plain(rb, insert->cols[i]->res_target->name);
        bool null = value->node_case == PG_QUERY__NODE__NODE_A_CONST && value->a_const->isnull;
        const char *written = rb_is_constant(value) ? rb_deparse_expr(rb, rb_node_copy(rb, value)) : NULL;
        if (written == NULL)
            return NULL;
        text = rb_format(rb, "%s%s%s %s%s", text, i == 0 ? "" : " AND ", column, null ? "IS NULL" : "= ",
                         null ? "" : written);
    }
    return text;
}

/* Rows of constants, as a migration seeds a table with: each can be found again by its values. Where some may have been
 * there before, nothing takes them away. */
bool rb_proof_of_insert(struct rb_statement *s, struct rb_proof *p)
{
    struct rb *rb = s->rb;
    const PgQuery__InsertStmt *insert = s->node->insert_stmt;
    const PgQuery__SelectStmt *select =
        insert->select_stmt != NULL && insert->select_stmt->node_case == PG_QUERY__NODE__NODE_SELECT_STMT
            ? insert->select_stmt->select_stmt
            : NULL;
    const char *table = relation_name(rb, insert->relation), *missing = "", *rows = "";
    if (select == NULL || select->n_values_lists == 0 || select->n_values_lists > ROWS_MAX || insert->n_cols == 0 ||
        insert->with_clause != NULL)
        return false;
    for (size_t i = 0; i < select->n_values_lists; i++) {
        const char *row = row_condition(rb, insert, select->values_lists[i]->list);
        if (row == NULL)
            return false;
        missing =
            rb_format(rb, "%s%sNOT EXISTS (SELECT FROM %s WHERE %s)", missing, i == 0 ? "" : "\n   OR ", table, row);
        rows = rb_format(rb, "%s%s(%s)", rows, i == 0 ? "" : "\n   OR ", row);
    }
    p->check = rb_format(rb, "SELECT 1 WHERE %s", missing);
    if (insert->on_conflict_clause == NULL)
        p->undo = rb_format(rb, "DELETE FROM %s WHERE %s", table, rows);
    return true;
}

/* ---- names ---- */

/* Of an index or a sequence, which no code names as it names a table. */
bool rb_proof_of_rename(struct rb_statement *s, struct rb_proof *p)
{
    struct rb *rb = s->rb;
    const PgQuery__RenameStmt *rename = s->node->rename_stmt;
    const char *kind = rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX      ? "INDEX"
                       : rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE ? "SEQUENCE"
                                                                                       : NULL;
    if (rename->relation == NULL)
        return false;
    const char *old = relation_name(rb, rename->relation), *new = rb_plain(rb, rename->newname);
    if (rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT) {
        p->check =
            rb_format(rb,
                      "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_constraint\n  WHERE conrelid = %s::regclass AND "
                      "conname = %s)",
                      rb_literal(rb, old), rb_literal(rb, rename->newname));
        p->undo = rb_format(rb, "ALTER TABLE %s RENAME CONSTRAINT %s TO %s", old, new, rb_plain(rb, rename->subname));
        return true;
    }
    if (kind == NULL || rename->missing_ok)
        return false;
    const char *moved = dotted(rb, rename->relation->schemaname, rename->newname);
    p->sql = rb_format(rb, "ALTER %s %s RENAME TO %s", kind, old, new);
    p->check = rb_format(rb, "SELECT 1 WHERE to_regclass(%s) IS NULL", rb_literal(rb, moved));
    p->undo = rb_format(rb, "ALTER %s %s RENAME TO %s", kind, moved, rb_plain(rb, rename->relation->relname));
    return true;
}

bool rb_proof_of_statistics(struct rb_statement *s, struct rb_proof *p)
{
    struct rb *rb = s->rb;
    const PgQuery__CreateStatsStmt *stats = s->node->create_stats_stmt;
    if (stats->n_defnames == 0 || stats->n_defnames > 2)
        return false;
    const char *name = rb_string(stats->defnames[stats->n_defnames - 1]);
    const char *schema = stats->n_defnames == 2 ? rb_string(stats->defnames[0]) : rb->front.schema;
    p->sql = rb_proof_with_schema(s, stats->defnames, stats->n_defnames);
    p->check =
        rb_format(rb,
                  "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_statistic_ext\n  WHERE stxnamespace = %s::regnamespace "
                  "AND stxname = %s)",
                  rb_literal(rb, rb_plain(rb, schema)), rb_literal(rb, name));
    p->undo = rb_format(rb, "DROP STATISTICS %s", dotted(rb, schema, name));
    return true;
}

/* ---- commands of ALTER TABLE ---- */

/* A flag of the table, and what sets it back. */
static const struct {
    int subtype;
    const char *undo, *undone;
} flags[] = {
    {PG_QUERY__ALTER_TABLE_TYPE__AT_EnableRowSecurity, "DISABLE ROW LEVEL SECURITY", "NOT relrowsecurity"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DisableRowSecurity, "ENABLE ROW LEVEL SECURITY", "relrowsecurity"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_ForceRowSecurity, "NO FORCE ROW LEVEL SECURITY", "NOT relforcerowsecurity"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_NoForceRowSecurity, "FORCE ROW LEVEL SECURITY", "relforcerowsecurity"},
};

static bool of_trigger_state(struct rb *rb, const char *table, const PgQuery__AlterTableCmd *cmd, struct rb_proof *p)
{
    bool on = cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_EnableTrig;
    if (!on && cmd->subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_DisableTrig)
        return false;
    p->check =
        rb_format(rb, "SELECT 1 FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname = %s AND tgenabled %s 'D'",
                  rb_literal(rb, table), rb_literal(rb, cmd->name), on ? "=" : "<>");
    p->undo = rb_format(rb, "ALTER TABLE %s %s TRIGGER %s", table, on ? "DISABLE" : "ENABLE", rb_plain(rb, cmd->name));
    return true;
}

/* Nothing says here how it was deferred before. */
static bool of_deferral(struct rb *rb, const char *table, const PgQuery__AlterTableCmd *cmd, struct rb_proof *p)
{
    if (cmd->subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_AlterConstraint || cmd->def == NULL ||
        cmd->def->node_case != PG_QUERY__NODE__NODE_CONSTRAINT)
        return false;
    const PgQuery__Constraint *c = cmd->def->constraint;
    p->check = rb_format(rb,
                         "SELECT 1 FROM pg_constraint WHERE conrelid = %s::regclass AND conname = %s\n"
                         "  AND (%scondeferrable OR %scondeferred)",
                         rb_literal(rb, table), rb_literal(rb, c->conname), c->deferrable ? "NOT " : "",
                         c->initdeferred ? "NOT " : "");
    return true;
}

static bool of_identity(struct rb *rb, const char *table, const PgQuery__AlterTableCmd *cmd, struct rb_proof *p)
{
    bool add = cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddIdentity;
    bool drop = cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropIdentity;
    if (!add && !drop)
        return false;
    p->check =
        rb_format(rb, "SELECT 1 FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s AND attidentity %s ''",
                  rb_literal(rb, table), rb_literal(rb, cmd->name), add ? "=" : "<>");
    if (add)
        p->undo = rb_format(rb, "ALTER TABLE %s ALTER COLUMN %s DROP IDENTITY", table, rb_plain(rb, cmd->name));
    return true;
}

bool rb_proof_of_alter(struct rb_statement *s, struct rb_proof *p)
{
    struct rb *rb = s->rb;
    const PgQuery__AlterTableStmt *alter = s->node->alter_table_stmt;
    if (alter->n_cmds != 1 || alter->relation == NULL)
        return false;
    const PgQuery__AlterTableCmd *cmd = alter->cmds[0]->alter_table_cmd;
    const char *table = relation_name(rb, alter->relation);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (flags[i].subtype != (int)cmd->subtype)
            continue;
        p->check = rb_format(rb, "SELECT 1 FROM pg_class WHERE oid = %s::regclass AND %s", rb_literal(rb, table),
                             flags[i].undone);
        p->undo = rb_format(rb, "ALTER TABLE %s %s", table, flags[i].undo);
        return true;
    }
    if (cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_ChangeOwner && cmd->newowner != NULL &&
        cmd->newowner->rolename[0] != '\0') {
        p->check = rb_format(rb, "SELECT 1 FROM pg_class WHERE oid = %s::regclass AND relowner <> %s::regrole",
                             rb_literal(rb, table), rb_literal(rb, rb_plain(rb, cmd->newowner->rolename)));
        return true;
    }
    return of_trigger_state(rb, table, cmd, p) || of_deferral(rb, table, cmd, p) || of_identity(rb, table, cmd, p);
}

/* ---- publications ---- */

bool rb_proof_of_publication(struct rb_statement *s, struct rb_proof *p)
{
    struct rb *rb = s->rb;
    const PgQuery__AlterPublicationStmt *alter = s->node->alter_publication_stmt;
    const char *name = alter->pubname, *missing = "", *tables = "";
    if (alter->action != PG_QUERY__ALTER_PUBLICATION_ACTION__AP_AddObjects || alter->n_pubobjects == 0)
        return false;
    for (size_t i = 0; i < alter->n_pubobjects; i++) {
        const PgQuery__PublicationObjSpec *object = alter->pubobjects[i]->publication_obj_spec;
        if (object->pubobjtype != PG_QUERY__PUBLICATION_OBJ_SPEC_TYPE__PUBLICATIONOBJ_TABLE || object->pubtable == NULL)
            return false;
        const char *table = relation_name(rb, object->pubtable->relation);
        tables = rb_format(rb, "%s%s%s", tables, i == 0 ? "" : ", ", table);
        missing =
            rb_format(rb,
                      "%s%sNOT EXISTS (SELECT FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid\n"
                      "  WHERE p.pubname = %s AND r.prrelid = %s::regclass)",
                      missing, i == 0 ? "" : "\n   OR ", rb_literal(rb, name), rb_literal(rb, table));
    }
    p->check = rb_format(rb, "SELECT 1 WHERE %s", missing);
    p->undo = rb_format(rb, "ALTER PUBLICATION %s DROP TABLE %s", rb_plain(rb, name), tables);
    return true;
}
