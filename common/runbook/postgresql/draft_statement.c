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
    bool of_column = (int)rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX ||
                     (int)rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT;
    if (of_column && d->renames_columns) {
        d->left_out = "only the name of an index or a constraint changes";
        d->left_out_at = d->at;
        rb_draft_say(d, RB_DRAFT_PREFACE,
                     "Renames of indexes and constraints are left out: they stand on the old column and go with it. "
                     "Those of the new column may have the new names.");
    } else if ((int)rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_TYPE) {
        rb_draft_fail(
            d, rb_format(d->rb, "the type gets the name %s, which code that runs does not know", rename->newname),
            "An enum changes without it: ALTER TYPE … ADD VALUE. To lose a label, make the new type under a "
            "name of its own, and let the column change to it: CREATE TYPE status_2 AS ENUM (…); ALTER TABLE "
            "jobs ALTER COLUMN status TYPE status_2 USING status::text::status_2.");
    } else {
        rb_draft_as_is(d, s);
    }
}

bool rb_draft_is_record(struct rb_draft *d, const char *table)
{
    static const char *const tables[] = {"alembic_version",      "schema_migrations", "django_migrations",
                                         "ar_internal_metadata", "knex_migrations",   "flyway_schema_history",
                                         "_prisma_migrations",   "databasechangelog"};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (!rb_same_word(table, tables[i]))
            continue;
        rb_draft_say(
            d, RB_DRAFT_PREFACE,
            "The row in which the framework notes its migration is left out: tell it that the migration was run "
            "(Django `migrate --fake`, Alembic `stamp`) when this one is done.");
        return true;
    }
    return false;
}

static bool is_bookkeeping(struct rb_draft *d, const PgQuery__Node *node)
{
    const PgQuery__RangeVar *relation = NULL;
    if (node->node_case == PG_QUERY__NODE__NODE_INSERT_STMT)
        relation = node->insert_stmt->relation;
    else if (node->node_case == PG_QUERY__NODE__NODE_UPDATE_STMT)
        relation = node->update_stmt->relation;
    else if (node->node_case == PG_QUERY__NODE__NODE_DELETE_STMT)
        relation = node->delete_stmt->relation;
    return relation != NULL && rb_draft_is_record(d, relation->relname);
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

static bool is_made_anew(const struct rb_draft *d, const PgQuery__DropStmt *drop)
{
    const PgQuery__Node *object = drop->n_objects == 1 ? drop->objects[0] : NULL;
    const char *name = NULL;
    if (object != NULL && object->node_case == PG_QUERY__NODE__NODE_LIST)
        name = rb_string(object->list->items[object->list->n_items - 1]);
    else if (object != NULL && object->node_case == PG_QUERY__NODE__NODE_OBJECT_WITH_ARGS)
        name = rb_string(object->object_with_args->objname[object->object_with_args->n_objname - 1]);
    for (size_t i = 0; name != NULL && i < d->n_made; i++) {
        if (strcmp(d->made[i], name) == 0)
            return true;
    }
    return false;
}

static void draft_drop(struct rb_draft *d, struct rb_statement *s)
{
    int type = (int)s->node->drop_stmt->remove_type;
    if (s->node->drop_stmt->missing_ok && is_made_anew(d, s->node->drop_stmt)) {
        rb_draft_say(
            d, RB_DRAFT_PREFACE,
            "`DROP … IF EXISTS` in front of the CREATE is left out: `zdmctl check` tells of a shard where it is "
            "there. Drop it there in a migration before, or write `CREATE OR REPLACE`.");
        return;
    }
    if (type != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE && type != PG_QUERY__OBJECT_TYPE__OBJECT_INDEX) {
        rb_draft_as_is(d, s);
        return;
    }
    bool table = type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE;
    rb_draft_title(d, table ? "drop-table" : "drop-index", table ? "Drop a table" : "Drop an index");
    rb_draft_sql(d, RB_DRAFT_CONTRACT, RB_DRAFT_LATE, "%s", rb_draft_bare(d, s->sql));
    if (table && s->node->drop_stmt->n_objects > 1)
        rb_draft_say(d, RB_DRAFT_CONTRACT, "A table that refers to another one stands in front of it.");
    rb_draft_say(d, RB_DRAFT_SWITCH,
                 table ? "Deploy the application that does not name the table any more."
                       : "Be sure that no query needs the index: `zdmctl check` shows its scans.");
}

void rb_draft_statement(struct rb_statement *s, void *ctx)
{
    struct rb_draft *d = ctx;
    struct rb_table table = {"", "change"};
    d->at = rb_at_start(s);
    if (is_bookkeeping(d, s->node))
        return;
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
    case PG_QUERY__NODE__NODE_DELETE_STMT:
        rb_draft_rows(d, s);
        break;
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
        if (rb_draft_setting(s->node) == NULL)
            rb_draft_as_is(d, s);
        break;
    }
}
