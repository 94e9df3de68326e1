/*
 * honest_mysql.c - the forms of MySQL's and MariaDB's steps. See honest.c.
 *
 * What the agent writes behind a statement by itself (ALGORITHM, LOCK, INVISIBLE) stands in no form: who wrote it into
 * a plan would choose how long the application waits. Partition clauses follow the list of an ALTER TABLE without
 * a comma: they are words that must not stand there.
 */
#include "common/plan/honest.h"

#include <string.h>

#include "common/plan/form.h"

#define NEVER "algorithm lock partition remove"
/* What the compiler makes steps of their own of, or refuses: it writes or reads the whole table. */
#define OF_COLUMN                                                                                                      \
    NEVER " as auto_increment check constraint generated invisible key persistent primary references serial "          \
          "stored system unique versioning virtual with without"
/* A MODIFY repeats what the column has, AUTO_INCREMENT too. */
#define OF_MODIFY                                                                                                      \
    NEVER " as check constraint generated invisible key persistent primary references serial stored system "           \
          "unique versioning virtual with without"
#define OF_TABLE NEVER " as connection directory ignore like replace select system union values versioning with"
#define COLUMN   "ALTER TABLE %t ALTER COLUMN %c "
#define MODIFY   "ALTER TABLE %t MODIFY COLUMN %c %*"

static const struct zdm_honest_row rows[] = {
    {ZDM_ACTION_ADD_COLUMN, ZDM_INVERSE_HIDE, "ALTER TABLE %t ADD COLUMN %c %*", NULL, OF_COLUMN},
    {ZDM_ACTION_SHOW_COLUMN, ZDM_INVERSE_FORMER, NULL, NULL, NULL},
    {ZDM_ACTION_SET_NOT_NULL, ZDM_INVERSE_FORMER, MODIFY, NULL, OF_MODIFY},
    {ZDM_ACTION_DROP_NOT_NULL, ZDM_INVERSE_FORMER, MODIFY, NULL, OF_MODIFY},
    {ZDM_ACTION_WIDEN_TYPE, ZDM_INVERSE_NONE, MODIFY, NULL, OF_MODIFY},
    {ZDM_ACTION_SET_DEFAULT, ZDM_INVERSE_FORMER, COLUMN "SET DEFAULT %*", NULL, NEVER},
    {ZDM_ACTION_SET_DEFAULT, ZDM_INVERSE_FORMER, COLUMN "DROP DEFAULT", NULL, NULL},
    {ZDM_ACTION_COMMENT, ZDM_INVERSE_FORMER, "ALTER TABLE %t COMMENT %'", NULL, NULL},
    {ZDM_ACTION_CREATE_INDEX, ZDM_INVERSE_SQL, "ALTER TABLE %t ADD INDEX %o (%,)%?", "ALTER TABLE %t DROP INDEX %o",
     NEVER " parser"},
    {ZDM_ACTION_CREATE_INDEX, ZDM_INVERSE_SQL, "ALTER TABLE %t ADD UNIQUE INDEX %o (%,)%?",
     "ALTER TABLE %t DROP INDEX %o", NEVER " parser"},
    {ZDM_ACTION_ADD_FOREIGN_KEY, ZDM_INVERSE_SQL,
     "ALTER TABLE %t ADD CONSTRAINT %o FOREIGN KEY (%,) REFERENCES %p (%,)%?", "ALTER TABLE %t DROP FOREIGN KEY %o",
     NEVER},
    {ZDM_ACTION_VALIDATE, ZDM_INVERSE_NONE, NULL, NULL, NULL},
    {ZDM_ACTION_LIFT_CONSTRAINT, ZDM_INVERSE_UNHIDE, NULL, NULL, NULL},
    {ZDM_ACTION_CREATE_TABLE, ZDM_INVERSE_HIDE, "CREATE TABLE %t (%,)%?", NULL, OF_TABLE},

    {ZDM_ACTION_SYNC_INSTALL, ZDM_INVERSE_REMOVE, NULL, NULL, NULL},
    {ZDM_ACTION_SYNC_REMOVE, ZDM_INVERSE_INSTALL, NULL, NULL, NULL},
    {ZDM_ACTION_BACKFILL, ZDM_INVERSE_NONE, NULL, NULL, NULL},
    {ZDM_ACTION_BACKFILL, ZDM_INVERSE_IMAGES, NULL, NULL, NULL},
    {ZDM_ACTION_BACKFILL, ZDM_INVERSE_IMPOSSIBLE, NULL, NULL, NULL},
    {ZDM_ACTION_DELETE, ZDM_INVERSE_IMAGES, NULL, NULL, NULL},
    {ZDM_ACTION_DELETE, ZDM_INVERSE_IMPOSSIBLE, NULL, NULL, NULL},
    {ZDM_ACTION_CHECK_QUERY, ZDM_INVERSE_NONE, NULL, NULL, NULL},
    {ZDM_ACTION_CHECK_COMPARE, ZDM_INVERSE_NONE, NULL, NULL, NULL},
    {ZDM_ACTION_GATE_WAIT, ZDM_INVERSE_NONE, NULL, NULL, NULL},

    {ZDM_ACTION_HIDE_COLUMN, ZDM_INVERSE_UNHIDE, NULL, NULL, NULL},
    {ZDM_ACTION_HIDE_TABLE, ZDM_INVERSE_UNHIDE, NULL, NULL, NULL},
    {ZDM_ACTION_HIDE_INDEX, ZDM_INVERSE_UNHIDE, NULL, NULL, NULL},
    {ZDM_ACTION_PURGE_COLUMN, ZDM_INVERSE_IMPOSSIBLE, NULL, NULL, NULL},
    {ZDM_ACTION_PURGE_TABLE, ZDM_INVERSE_IMPOSSIBLE, NULL, NULL, NULL},
    {ZDM_ACTION_PURGE_INDEX, ZDM_INVERSE_IMPOSSIBLE, NULL, NULL, NULL},
    {ZDM_ACTION_PURGE_IMAGES, ZDM_INVERSE_IMPOSSIBLE, NULL, NULL, NULL},
    {ZDM_ACTION_AS_IS, ZDM_INVERSE_SQL, NULL, NULL, NULL},
    {ZDM_ACTION_AS_IS, ZDM_INVERSE_IMPOSSIBLE, NULL, NULL, NULL},
};

const struct zdm_honest_row *zdm_honest_mysql_rows(size_t *out_n)
{
    *out_n = sizeof rows / sizeof *rows;
    return rows;
}

static bool is_query(const char *sql)
{
    return zdm_sql_is_query(ZDM_ENGINE_MYSQL, sql);
}

static const char *as_is_fault(const struct zdm_step *step)
{
    size_t n;
    const char *fault = zdm_sql_statements(ZDM_ENGINE_MYSQL, step->sql, &n);
    if (fault == NULL && step->inverse_sql != NULL)
        fault = zdm_sql_statements(ZDM_ENGINE_MYSQL, step->inverse_sql, &n);
    return fault == NULL && !is_query(step->proof_sql) ? "has a proof that is not one query" : fault;
}

/* A table of a rollback or a purge to come is nobody's to change by a plan. */
static bool is_kept(const struct zdm_table *table)
{
    return table->name != NULL && strncmp(table->name, "zdm_trash_", strlen("zdm_trash_")) == 0;
}

static const char *names_fault(const struct zdm_step *step)
{
    bool kept = is_kept(&step->table);
    for (size_t i = 0; i < step->n_others; i++)
        kept = kept || is_kept(&step->others[i]);
    if (kept)
        return "is about a table that an agent has hidden";
    bool column = step->action == ZDM_ACTION_HIDE_COLUMN || step->action == ZDM_ACTION_PURGE_COLUMN;
    return column && strcmp(step->column, step->object) != 0 ? "gives a column another name, which MySQL does not"
                                                             : NULL;
}

const char *zdm_honest_mysql_fault(const struct zdm_step *step)
{
    const char *fault = names_fault(step);
    if (fault != NULL)
        return fault;
    if (step->action == ZDM_ACTION_CHECK_QUERY || step->action == ZDM_ACTION_VALIDATE)
        return is_query(step->sql) ? NULL : "has SQL that is not one query";
    if (step->action == ZDM_ACTION_CREATE_TABLE && (zdm_sql_lists(ZDM_ENGINE_MYSQL, step->sql, "like") ||
                                                    zdm_sql_find_word(ZDM_ENGINE_MYSQL, step->sql, "select", true)))
        return "has SQL that does something else: it copies what nobody was shown";
    if (step->action == ZDM_ACTION_AS_IS)
        return as_is_fault(step);
    bool asks = step->action == ZDM_ACTION_GATE_WAIT && step->wait->until != NULL;
    return asks && !is_query(step->wait->until) ? "has a condition that is not one query" : NULL;
}
