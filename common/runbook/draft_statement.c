/*
 * draft_statement.c - the second round over the SQL of a draft: where each statement belongs. Commands of ALTER TABLE
 * are in draft_alter.c.
 */
#include "common/runbook/draft.h"

#include <string.h>

/* Statements about a table of either name, besides the rename itself. */
static bool has_company(const struct rb_draft *d, const struct rb_table *from, const char *to)
{
    struct rb_table other = {from->schema, to};
    size_t n = 0;
    for (size_t i = 0; i < d->n_tables; i++)
        n += rb_same_table(&d->tables[i], from) || rb_same_table(&d->tables[i], &other);
    return n > 1;
}

static void draft_rename(struct rb_draft *d, struct rb_statement *s)
{
    const PgQuery__RenameStmt *rename = s->node->rename_stmt;
    struct rb_table table;
    bool on_table = (int)rename->relation_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE ||
                    (int)rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE;
    if (on_table && rb_draft_table(d->rb, rename->relation, &table)) {
        if ((int)rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN) {
            rb_recipe_column(d, &table, rename->subname, rename->newname);
            return;
        }
        if ((int)rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE &&
            has_company(d, &table, rename->newname)) {
            rb_draft_fail(d,
                          rb_format(d->rb,
                                    "%s is renamed and changed in one go, and while it has two names only one of "
                                    "them is a table",
                                    table.name),
                          "Make two runbooks, one behind the other: what changes the table under the name that it has, "
                          "then the rename alone.");
            return;
        }
        if ((int)rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE) {
            rb_recipe_table(d, &table, rename->newname);
            return;
        }
    }
    rb_draft_fail(
        d, "no runbook can be drafted for this rename",
        "Nothing of the application names an index or a constraint: leave it as it is called, or rename it by "
        "hand when the migration is over.");
}

/* The framework's own record that a migration was run. */
static bool is_bookkeeping(const PgQuery__Node *node)
{
    static const char *const tables[] = {"alembic_version",      "schema_migrations", "django_migrations",
                                         "ar_internal_metadata", "knex_migrations",   "flyway_schema_history",
                                         "_prisma_migrations",   "databasechangelog"};
    const PgQuery__RangeVar *relation = NULL;
    if (node->node_case == PG_QUERY__NODE__NODE_INSERT_STMT)
        relation = node->insert_stmt->relation;
    else if (node->node_case == PG_QUERY__NODE__NODE_UPDATE_STMT)
        relation = node->update_stmt->relation;
    else if (node->node_case == PG_QUERY__NODE__NODE_DELETE_STMT)
        relation = node->delete_stmt->relation;
    for (size_t i = 0; relation != NULL && i < sizeof tables / sizeof tables[0]; i++) {
        if (strcmp(relation->relname, tables[i]) == 0)
            return true;
    }
    return false;
}

static void draft_index(struct rb_draft *d, struct rb_statement *s)
{
    const PgQuery__IndexStmt *index = s->node->index_stmt;
    struct rb_table table;
    if (!rb_draft_table(d->rb, index->relation, &table))
        return;
    const char *sql = rb_draft_follow_index(d, &table, s);
    bool on_added = sql != s->sql || rb_draft_names_filled(d, &table, &index->base);
    rb_draft_title(d, rb_format(d->rb, "%s-index", table.name), rb_format(d->rb, "Index of %s", table.name));
    rb_draft_sql(d, on_added || index->unique ? RB_DRAFT_MIGRATE : RB_DRAFT_EXPAND,
                 on_added || index->unique ? RB_DRAFT_LAST : RB_DRAFT_MAIN, "%s", sql);
}

static void draft_drop(struct rb_draft *d, struct rb_statement *s)
{
    int type = (int)s->node->drop_stmt->remove_type;
    if (type != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE && type != PG_QUERY__OBJECT_TYPE__OBJECT_INDEX) {
        rb_draft_as_is(d, s);
        return;
    }
    bool table = type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE;
    rb_draft_title(d, table ? "drop-table" : "drop-index", table ? "Drop a table" : "Drop an index");
    rb_draft_sql(d, RB_DRAFT_CONTRACT, RB_DRAFT_LATE, "%s", rb_draft_bare(d, s->sql));
    rb_draft_say(d, RB_DRAFT_SWITCH,
                 table ? "Deploy the application that does not name the table any more."
                       : "Be sure that no query needs the index: `zdmctl check` shows its scans.");
}

static void find_query(const ProtobufCMessage *m, void *ctx)
{
    bool *found = ctx;
    *found = *found || m->descriptor == &pg_query__sub_link__descriptor;
    rb_children(m, find_query, ctx);
}

/* UPDATE and DELETE. What an UPDATE reads elsewhere no trigger follows. */
static void draft_rows(struct rb_draft *d, struct rb_statement *s)
{
    bool query = false;
    if (s->node->node_case == PG_QUERY__NODE__NODE_UPDATE_STMT)
        find_query(&s->node->base, &query);
    if (!query) {
        rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, "%s", s->sql);
        return;
    }
    rb_draft_text(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, rb_format(d->rb, "```sql {no-sync}\n%s;\n```", s->sql));
    rb_draft_say(
        d, RB_DRAFT_MIGRATE,
        "Enter this phase when the application that keeps the column right, in the transaction that changes what "
        "it is made of, runs everywhere: nothing else follows it. A check behind the UPDATE, for "
        "rows that are wrong, proves it.");
}

void rb_draft_statement(struct rb_statement *s, void *ctx)
{
    struct rb_draft *d = ctx;
    struct rb_table table = {"", "change"};
    d->at = rb_at_start(s);
    if (is_bookkeeping(s->node)) {
        rb_draft_say(
            d, RB_DRAFT_PREFACE,
            "The row in which the framework notes its migration is left out: tell it that the migration was run "
            "(Django `migrate --fake`, Alembic `stamp`) when this one is done.");
        return;
    }
    switch ((int)s->node->node_case) {
    case PG_QUERY__NODE__NODE_TRANSACTION_STMT:
    case PG_QUERY__NODE__NODE_VARIABLE_SET_STMT:
    case PG_QUERY__NODE__NODE_CONSTRAINTS_SET_STMT:
        break; /* each step is a transaction, with settings of the agent's */
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT:
        rb_draft_alter(d, s);
        break;
    case PG_QUERY__NODE__NODE_RENAME_STMT:
        draft_rename(d, s);
        break;
    case PG_QUERY__NODE__NODE_INDEX_STMT:
        draft_index(d, s);
        break;
    case PG_QUERY__NODE__NODE_DROP_STMT:
        draft_drop(d, s);
        break;
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
    case PG_QUERY__NODE__NODE_DELETE_STMT: {
        bool update = s->node->node_case == PG_QUERY__NODE__NODE_UPDATE_STMT;
        (void)rb_draft_table(d->rb, update ? s->node->update_stmt->relation : s->node->delete_stmt->relation, &table);
        rb_draft_title(d, rb_format(d->rb, "%s-%s", table.name, update ? "fill" : "delete"),
                       rb_format(d->rb, update ? "Fill %s" : "Delete from %s", table.name));
        draft_rows(d, s);
        break;
    }
    case PG_QUERY__NODE__NODE_CREATE_STMT:
        (void)rb_draft_table(d->rb, s->node->create_stmt->relation, &table);
        rb_draft_title(d, rb_format(d->rb, "%s-create", table.name), rb_format(d->rb, "Create %s", table.name));
        rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "%s", s->sql);
        break;
    case PG_QUERY__NODE__NODE_CREATE_ENUM_STMT:
    case PG_QUERY__NODE__NODE_ALTER_ENUM_STMT:
    case PG_QUERY__NODE__NODE_COMMENT_STMT:
    case PG_QUERY__NODE__NODE_REINDEX_STMT:
        d->anything = true;
        rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "%s", s->sql);
        break;
    case PG_QUERY__NODE__NODE_ALTER_SEQ_STMT:
        if (d->changes_writers)
            break; /* the type of a key's sequence, which the recipe of the key changes */
        rb_draft_as_is(d, s);
        break;
    default:
        rb_draft_as_is(d, s);
        break;
    }
}
