/*
 * partition_default.c - the default partition, which the server reads whole under its lock when another one is attached
 * (partition.h).
 *
 * A validated CHECK that it has no row of the new bound spares that. The agent does not add one by itself: from then on
 * until the partition is attached, the server would refuse rows of that bound to the application, which it takes now.
 * So the person is told, with the statement; and is told first when there are such rows, since then none of it would
 * work.
 */
#include "agent/engine/postgresql/change/partition.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/looks.h"

enum { COUNT_MS = 400, COUNT_MAX = 1000, CONDITION_MAX = 150 };

/* Rows of the default partition that belong there; -1: not counted in that time. */
static enum zdm_code count_rows(struct pgsql_work *w, const struct zdm_table *table, const char *condition,
                                int64_t *out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    char limit[64];
    (void)snprintf(limit, sizeof limit, "SET LOCAL statement_timeout = %d", (int)COUNT_MS);
    zdm_buffer_puts(&sql, "SELECT count(*) FROM (SELECT FROM ");
    pgsql_put_table(&sql, table);
    zdm_buffer_printf(&sql, " WHERE %s LIMIT %d) AS found", condition, COUNT_MAX + 1);
    *out = -1;
    enum zdm_code code = pgsql_begin_reading(w->s, err);
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, limit, NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_query_as_plan(w, zdm_buffer_text(&sql), &res, err);
    }
    if (code == ZDM_OK) {
        *out = pgsql_int(res, 0, 0);
    }
    if (code == ZDM_TIMEOUT && !w->s->gave_up && pgsql_is_open(w->s)) {
        zdm_error_clear(err);
        code = ZDM_OK;
    }
    pgsql_rollback(w->s);
    return code;
}

static enum zdm_code refuse_rows(const struct zdm_table *table, const struct zdm_table *child, const char *condition,
                                 int64_t n, struct zdm_error *err)
{
    bool many = n > COUNT_MAX;
    zdm_error_set(err, ZDM_REFUSED, "%s%" PRId64 " row%s of the default partition %s.%s belong%s to %s.%s",
                  many ? "more than " : "", many ? (int64_t)COUNT_MAX : n, n == 1 ? "" : "s", table->schema,
                  table->name, n == 1 ? "s" : "", child->schema, child->name);
    zdm_error_detail(err, "They are those of which %s", condition);
    return zdm_error_hint(err,
                          "Move them before: DELETE FROM %s.%s WHERE … RETURNING *, inserted into %s.%s in the same "
                          "statement. The application does not see them until it is attached.",
                          table->schema, table->name, child->schema, child->name);
}

static enum zdm_code refuse_reading(const struct zdm_table *table, const struct zdm_table *child, const char *condition,
                                    bool back, struct zdm_error *err)
{
    bool fits = strlen(condition) <= CONDITION_MAX;
    zdm_error_set(err, ZDM_REFUSED, "attaching %s.%s would read all of the default partition %s.%s under a lock",
                  child->schema, child->name, table->schema, table->name);
    zdm_error_detail(err, "The server looks for rows of which %s", condition);
    return zdm_error_hint(err,
                          "%s ALTER TABLE %s.%s ADD CONSTRAINT not_%.20s CHECK (NOT (%s))%s. It spares the reading; "
                          "until the partition is attached, the application cannot write such rows.",
                          back ? "Run" : "In front of ATTACH PARTITION, write", table->schema, table->name, child->name,
                          fits ? condition : "the bound, as a condition",
                          back ? " NOT VALID, VALIDATE it, and retry the shard" : "");
}

enum zdm_code pgsql_default_in_the_way(struct pgsql_work *w, const struct zdm_table *parent,
                                       const struct zdm_table *child, const char *bound, struct zdm_error *err)
{
    char schema[ZDM_IDENTIFIER_MAX + 1], name[ZDM_IDENTIFIER_MAX + 1];
    const struct zdm_table table = {schema, name};
    ZDM_CLEANUP(zdm_freep) char *condition = NULL;
    bool there = false, read = false;
    int64_t n = 0;
    enum zdm_code code = pgsql_default_partition(w, parent, schema, name, &there, err);
    if (code == ZDM_OK && there) {
        code = pgsql_partition_holds_rows(w, &table, &there, err);
    }
    if (code != ZDM_OK || !there) {
        return code;
    }
    code = pgsql_default_is_read(w, parent, child, bound, &read, &condition, err);
    if (code == ZDM_OK && read) {
        code = count_rows(w, &table, condition, &n, err);
    }
    if (code != ZDM_OK || !read) {
        return code;
    }
    return n > 0 ? refuse_rows(&table, child, condition, n, err)
                 : refuse_reading(&table, child, condition, w->op->run != AGENT_RUN_DDL, err);
}

/* In the text of an ATTACH: behind the names, which could hold the words too. */
static const char *bound_of(const char *sql)
{
    const char *at = strstr(sql, " FOR VALUES ");
    return at == NULL ? NULL : at + 1;
}

enum zdm_code pgsql_attach_ahead(struct pgsql_work *w, struct zdm_error *err)
{
    const struct zdm_step *step = w->step;
    bool check = step->action == ZDM_ACTION_ADD_PARTITION_CHECK;
    if (step->n_others == 0 || step->sql == NULL) {
        return ZDM_OK; /* others complain */
    }
    const struct zdm_table *parent = check ? &step->others[0] : &step->table;
    const struct zdm_table *child = check ? &step->table : &step->others[0];
    const char *bound = check ? step->sql : bound_of(step->sql);
    return bound == NULL || strncmp(bound, "FOR VALUES", 10) != 0
               ? ZDM_OK
               : pgsql_default_in_the_way(w, parent, child, bound, err);
}

enum zdm_code pgsql_attach_again_ahead(struct pgsql_work *w, const char *attach, struct zdm_error *err)
{
    const char *bound = bound_of(attach);
    return bound == NULL ? ZDM_OK : pgsql_default_in_the_way(w, &w->step->table, &w->step->others[0], bound, err);
}
