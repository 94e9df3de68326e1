/*
 * storage.c - storage parameters of tables, statistics of columns.
 */
#include "common/runbook/postgresql/ddl.h"

#include <string.h>

static const char *const table_options[] = {"fillfactor",
                                            "toast_tuple_target",
                                            "parallel_workers",
                                            "vacuum_truncate",
                                            "vacuum_index_cleanup",
                                            "log_autovacuum_min_duration",
                                            "autovacuum_enabled",
                                            "autovacuum_vacuum_threshold",
                                            "autovacuum_vacuum_scale_factor",
                                            "autovacuum_vacuum_insert_threshold",
                                            "autovacuum_vacuum_insert_scale_factor",
                                            "autovacuum_analyze_threshold",
                                            "autovacuum_analyze_scale_factor",
                                            "autovacuum_vacuum_cost_delay",
                                            "autovacuum_vacuum_cost_limit",
                                            "autovacuum_freeze_min_age",
                                            "autovacuum_freeze_max_age",
                                            "autovacuum_freeze_table_age",
                                            "autovacuum_multixact_freeze_min_age",
                                            "autovacuum_multixact_freeze_max_age",
                                            "autovacuum_multixact_freeze_table_age",
                                            NULL};
static const char *const column_options[] = {"n_distinct", "n_distinct_inherited", NULL};

static bool know_option(const struct rb_ddl *d, const PgQuery__DefElem *option, const char *const *names)
{
    struct rb *rb = d->s->rb;
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], option->defname) == 0)
            return true;
    }
    const char *near = rb_nearest(option->defname, names);
    rb_error(rb, "storage-option", rb_at(d->s, option->location),
             near != NULL ? rb_format(rb, "Did you mean %s?", near)
                          : "Parameters that need no lock against writers are fillfactor, toast_tuple_target, "
                            "parallel_workers, vacuum_… and autovacuum_…; of a column n_distinct.",
             "there is no storage parameter \"%s\" that a plan may change", option->defname);
    return false;
}

static bool know_options(const struct rb_ddl *d, const char *const *names)
{
    bool ok = d->cmd->def != NULL && d->cmd->def->node_case == PG_QUERY__NODE__NODE_LIST;
    for (size_t i = 0; ok && i < d->cmd->def->list->n_items; i++)
        ok = know_option(d, d->cmd->def->list->items[i]->def_elem, names);
    return ok;
}

/* The command written again, without what stands in front: "SET (fillfactor=70)". */
static const char *rest_of(const struct rb_ddl *d)
{
    static const char table[] = "ALTER TABLE zdm0table ", column[] = "ALTER TABLE zdm0table ALTER COLUMN zdm0column ";
    struct rb *rb = d->s->rb;
    PgQuery__Node *copy = rb_node_copy(rb, d->s->node);
    PgQuery__AlterTableStmt *alter = copy->alter_table_stmt;
    const PgQuery__AlterTableStmt *mine = d->s->node->alter_table_stmt;
    for (size_t i = 0; i < alter->n_cmds; i++) {
        if (mine->cmds[i]->alter_table_cmd == d->cmd) {
            PgQuery__Node *first = alter->cmds[0];
            alter->cmds[0] = alter->cmds[i];
            alter->cmds[i] = first;
        }
    }
    size_t n = alter->n_cmds;
    bool whole = d->cmd->name[0] == '\0';
    alter->n_cmds = 1;
    rb_set_string(&alter->relation->relname, "zdm0table");
    rb_set_string(&alter->relation->schemaname, "");
    if (!whole)
        rb_set_string(&alter->cmds[0]->alter_table_cmd->name, "zdm0column");
    const char *sql = rb_deparse(rb, copy), *head = whole ? table : column;
    alter->n_cmds = n;
    return sql != NULL && strncmp(sql, head, strlen(head)) == 0 ? sql + strlen(head) : NULL;
}

static void add_step(const struct rb_ddl *d, const char *column, const char *rest)
{
    struct rb *rb = d->s->rb;
    if (rest == NULL) {
        rb_error(rb, "storage-option", rb_at(d->s, (int)d->body), "Write name = value, with commas between them.",
                 "these parameters cannot be written in a plan");
        return;
    }
    struct rb_step *step = rb_ddl_step(d, ZDM_STEP_DDL, ZDM_ACTION_SET_STORAGE, ZDM_LOCK_SHORT, column);
    rb_step_sql(step, rb_format(rb, "ALTER TABLE %s %s%s%s%s", rb_table_sql(rb, &d->table),
                                column == NULL ? "" : "ALTER COLUMN ", column == NULL ? "" : rb_quote(rb, column),
                                column == NULL ? "" : " ", rest));
    rb_step_inverse(step, ZDM_INVERSE_FORMER, NULL);
    rb_step_does(step, "change how %s from now on; rows that exist stay as they are",
                 column == NULL ? "the table is stored and maintained" : "the column's values are counted");
}

void rb_ddl_storage(const struct rb_ddl *d)
{
    if (rb_ddl_phase(d, RB_DDL_STORAGE, rb_at(d->s, (int)d->body)) && know_options(d, table_options))
        add_step(d, NULL, rest_of(d));
}

void rb_ddl_column_storage(const struct rb_ddl *d)
{
    struct rb_place at = rb_at(d->s, (int)d->body);
    bool statistics = d->cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_SetStatistics;
    if (d->cmd->name[0] == '\0') {
        rb_error(d->s->rb, "storage-option", at, "Write the column's name.",
                 "a column by its number is no part of a plan");
        return;
    }
    at = rb_ddl_at_word(d, d->cmd->name);
    if (rb_ddl_phase(d, RB_DDL_STORAGE, at) && rb_ddl_column(d, d->cmd->name, at) != NULL &&
        (statistics || know_options(d, column_options)))
        add_step(d, d->cmd->name, rest_of(d));
}
