/*
 * partition_clone.c - what attaching a partition would do, and what its rows would have to meet, asked of the server
 * with empty clones (partition.h).
 */
#include "agent/engine/postgresql/change/partition.h"

#include <inttypes.h>
#include <string.h>

#include "agent/engine/postgresql/clone/clone.h"

static enum zdm_code run_rows(struct pgsql_work *w, const char *sql, size_t n, const char *const *params,
                              struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, n, params, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        code = pgsql_script(w->s, pgsql_text(res, i, 0), NULL, err);
    }
    return code;
}

#define PARENT                                                                                                         \
    "pg_class p JOIN pg_namespace pn ON pn.oid = p.relnamespace AND pn.nspname = $1::text AND p.relname = $2::text"

static const char parent_sql[] =
    "SELECT format(' PARTITION BY %s', pg_get_partkeydef(p.oid)) FROM " PARENT " WHERE p.relkind = 'p'";

/* The bounds of the others, which the default partition's own condition is made of; $4 the child. */
static const char others_sql[] =
    "SELECT format('CREATE TEMPORARY TABLE %I PARTITION OF %s %s', '~zdm_other_' || c.oid, $3::text,"
    " pg_get_expr(c.relpartbound, c.oid)) FROM " PARENT " JOIN pg_inherits i ON i.inhparent = p.oid JOIN pg_class c ON"
    " c.oid = i.inhrelid WHERE pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT' AND c.oid IS DISTINCT FROM"
    " to_regclass($4)";

static const char default_sql[] =
    "SELECT n.nspname, c.relname FROM " PARENT " JOIN pg_partitioned_table t ON t.partrelid = p.oid JOIN pg_class c ON"
    " c.oid = t.partdefid JOIN pg_namespace n ON n.oid = c.relnamespace";

enum zdm_code pgsql_default_partition(struct pgsql_work *w, const struct zdm_table *parent, char schema[], char name[],
                                      bool *out_there, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code =
        pgsql_query(w->s, default_sql, 2, (const char *const[]){parent->schema, parent->name}, &res, err);
    *out_there = code == ZDM_OK && PQntuples(res) > 0;
    if (*out_there) {
        zdm_copy_text(schema, ZDM_IDENTIFIER_MAX + 1, pgsql_text(res, 0, 0));
        zdm_copy_text(name, ZDM_IDENTIFIER_MAX + 1, pgsql_text(res, 0, 1));
    }
    return code;
}

enum zdm_code pgsql_partition_holds_rows(struct pgsql_work *w, const struct zdm_table *partition, bool *out,
                                         struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    zdm_buffer_puts(&sql, "SELECT EXISTS (SELECT FROM ");
    pgsql_put_table(&sql, partition);
    zdm_buffer_puts(&sql, ")");
    enum zdm_code code = pgsql_query(w->s, zdm_buffer_text(&sql), 0, NULL, &res, err);
    *out = code == ZDM_OK && pgsql_true(res, 0, 0);
    return code;
}

enum zdm_code pgsql_default_holds_rows(struct pgsql_work *w, const struct zdm_table *parent, bool *out,
                                       struct zdm_error *err)
{
    char schema[ZDM_IDENTIFIER_MAX + 1], name[ZDM_IDENTIFIER_MAX + 1];
    enum zdm_code code = pgsql_default_partition(w, parent, schema, name, out, err);
    return code == ZDM_OK && *out ? pgsql_partition_holds_rows(w, &(struct zdm_table){schema, name}, out, err) : code;
}

/* A clone has the CHECKs as valid ones. One that is not proves nothing: it goes before the clones are one tree, where
 * the parent's are not the partition's to drop, and comes back to the parent as what it is. $3 the clone's name. */
#define NOT_VALID                                                                                                      \
    " FROM pg_constraint k JOIN " PARENT " ON k.conrelid = p.oid WHERE k.contype = 'c' AND NOT k.convalidated"

static const char drop_not_valid_sql[] =
    "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', $3::text, k.conname)" NOT_VALID;

static const char add_not_valid_sql[] =
    "SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', $3::text, k.conname, pg_get_constraintdef(k.oid))" NOT_VALID;

#define CLONE_DEFAULT "pg_temp.\"~zdm_default\""

static enum zdm_code attach_default(struct pgsql_work *w, const struct zdm_table *parent,
                                    const struct zdm_table *partition, const char *name, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    const char *above[] = {parent->schema, parent->name, name};
    const char *below[] = {partition->schema, partition->name, CLONE_DEFAULT};
    zdm_buffer_printf(&sql, "ALTER TABLE %s ATTACH PARTITION " CLONE_DEFAULT " DEFAULT", name);
    enum zdm_code code = run_rows(w, drop_not_valid_sql, 3, above, err);
    if (code == ZDM_OK) {
        code = run_rows(w, drop_not_valid_sql, 3, below, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    }
    return code == ZDM_OK ? run_rows(w, add_not_valid_sql, 3, above, err) : code;
}

/* With its CHECKs, which may spare reading it. One without rows is read in no time. */
static enum zdm_code clone_default(struct pgsql_work *w, const struct zdm_table *parent, const char *name,
                                   struct zdm_error *err)
{
    char schema[ZDM_IDENTIFIER_MAX + 1], table[ZDM_IDENTIFIER_MAX + 1];
    const struct zdm_table partition = {schema, table};
    bool there = false, rows = false;
    enum zdm_code code = pgsql_default_partition(w, parent, schema, table, &there, err);
    if (code == ZDM_OK && there) {
        code = pgsql_default_holds_rows(w, parent, &rows, err);
    }
    if (code != ZDM_OK || !rows) {
        return code;
    }
    code = pgsql_clone_table(w, &partition, CLONE_DEFAULT, err);
    return code == ZDM_OK ? attach_default(w, parent, &partition, name, err) : code;
}

static enum zdm_code clone_child(struct pgsql_work *w, const struct zdm_table *parent, const struct zdm_table *child,
                                 struct zdm_error *err)
{
    enum zdm_code code = pgsql_partition_may_complete(w, parent, child, err);
    if (code == ZDM_OK) {
        code = pgsql_clone_table(w, child, PGSQL_CLONE_CHILD, err);
    }
    return code == ZDM_OK ? pgsql_partition_complete(w, parent, PGSQL_CLONE_CHILD, err) : code;
}

/* Each of the others becomes a table with indexes, all in one transaction. */
static enum zdm_code refuse_too_many(struct pgsql_work *w, const struct zdm_table *parent, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT (SELECT count(*) FROM pg_inherits WHERE inhparent = p.oid), 3 + (SELECT count(*) FROM pg_index WHERE"
        " indrelid = p.oid) FROM " PARENT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    int64_t room = 0;
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){parent->schema, parent->name}, &res, err);
    if (code == ZDM_OK) {
        code = pgsql_lock_room(w, &room, err);
    }
    if (code != ZDM_OK || PQntuples(res) == 0 || pgsql_int(res, 0, 0) * pgsql_int(res, 0, 1) <= room) {
        return code;
    }
    zdm_error_set(err, ZDM_UNSUPPORTED,
                  "%s.%s has %s partitions: asking the server what rows a DEFAULT partition beside them may have would "
                  "take %" PRId64 " locks of the %" PRId64 " that one transaction may take of everybody's",
                  parent->schema, parent->name, pgsql_text(res, 0, 0), pgsql_int(res, 0, 0) * pgsql_int(res, 0, 1),
                  room);
    return zdm_error_hint(err, "Raise max_locks_per_transaction, or attach the DEFAULT partition yourself, empty.");
}

/* The parent, and the others where they make the default partition's condition. */
static enum zdm_code clone_parent(struct pgsql_work *w, const struct zdm_table *parent, const struct zdm_table *child,
                                  const char *name, bool others, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer quoted = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    pgsql_put_table(&quoted, child);
    const char *params[] = {parent->schema, parent->name, name, zdm_buffer_text(&quoted)};
    enum zdm_code code = others ? refuse_too_many(w, parent, err) : ZDM_OK;
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, parent_sql, 2, params, &res, err);
    }
    if (code == ZDM_OK && PQntuples(res) > 0) {
        code = pgsql_clone_as(w, parent, name, pgsql_text(res, 0, 0), err);
    }
    return code == ZDM_OK && others ? run_rows(w, others_sql, 4, params, err) : code;
}

static bool is_default(const struct pgsql_work *w)
{
    size_t n = w->step->sql == NULL ? 0 : strlen(w->step->sql);
    return n >= 7 && strcmp(w->step->sql + n - 7, "DEFAULT") == 0;
}

/* A hash partition's condition names its parent by number: on the clones, that is the clone's. $3 the child's clone. */
static const char hash_sql[] =
    "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %2$I %s', $3::text, k.conname,"
    " replace(pg_get_constraintdef(k.oid), format('%L::oid', p.oid), format('%L::oid', $4::regclass::oid)))"
    " FROM pg_constraint k, " PARENT " WHERE k.conrelid = $3::regclass AND k.contype = 'c' AND"
    " pg_get_constraintdef(k.oid) LIKE '%satisfies\\_hash\\_partition(%'";

enum zdm_code pgsql_clone_partitioned(struct pgsql_work *w, const struct zdm_table *parent,
                                      const struct zdm_table *child, const char *name, struct zdm_error *err)
{
    enum zdm_code code = clone_parent(w, parent, child, name, is_default(w), err);
    return code == ZDM_OK ? clone_default(w, parent, name, err) : code;
}

enum zdm_code pgsql_clone_partition(struct pgsql_work *w, const struct zdm_table *parent, const struct zdm_table *child,
                                    struct zdm_error *err)
{
    return clone_child(w, parent, child, err);
}

enum zdm_code pgsql_clone_hash_checks(struct pgsql_work *w, const struct zdm_table *parent, const char *name,
                                      struct zdm_error *err)
{
    const char *params[] = {parent->schema, parent->name, PGSQL_CLONE_CHILD, name};
    return run_rows(w, hash_sql, 4, params, err);
}

/* The other way round. $1 parent, $2 clone of the parent. */
static const char condition_sql[] =
    "SELECT replace(pg_get_partition_constraintdef('" PGSQL_CLONE_CHILD "'::regclass), format('%L::oid',"
    " $3::regclass::oid), format('%L::oid', p.oid)) || coalesce(' AND ' || pg_get_partition_constraintdef(p.oid), '')"
    " FROM " PARENT;

static enum zdm_code ask_condition(struct pgsql_work *w, const struct zdm_table *parent, const struct zdm_table *child,
                                   const char *bound, char **out, struct zdm_error *err)
{
    static const char name[] = "pg_temp.\"~zdm_clone\"";
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = clone_parent(w, parent, child, name, strcmp(bound, "DEFAULT") == 0, err);
    if (code == ZDM_OK) {
        code = clone_child(w, parent, child, err);
    }
    if (code == ZDM_OK) {
        zdm_buffer_printf(&sql, "ALTER TABLE %s ATTACH PARTITION " PGSQL_CLONE_CHILD " %s", name, bound);
        code = pgsql_query(w->s, zdm_buffer_text(&sql), 0, NULL, NULL, err);
    }
    if (code == ZDM_OK) {
        code =
            pgsql_query(w->s, condition_sql, 3, (const char *const[]){parent->schema, parent->name, name}, &res, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    if (PQntuples(res) == 0 || pgsql_text(res, 0, 0) == NULL) {
        return zdm_error_set(err, ZDM_UNSUPPORTED, "%s.%s is not partitioned", parent->schema, parent->name);
    }
    *out = zdm_strdup(pgsql_text(res, 0, 0));
    return *out != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code pgsql_partition_condition(struct pgsql_work *w, const struct zdm_table *parent,
                                        const struct zdm_table *child, const char *bound, char **out,
                                        struct zdm_error *err)
{
    enum zdm_code code = pgsql_script(w->s, "SAVEPOINT clones", NULL, err);
    if (code == ZDM_OK) {
        code = ask_condition(w, parent, child, bound, out, err);
    }
    return code == ZDM_OK ? pgsql_script(w->s, "ROLLBACK TO clones; RELEASE clones", NULL, err) : code;
}

#define DEFAULT_SCANS "pg_stat_get_xact_numscans(to_regclass('pg_temp.\"~zdm_default\"'))"

static enum zdm_code watch_default(struct pgsql_work *w, const struct zdm_table *parent, const struct zdm_table *child,
                                   const char *bound, bool *out_read, char **out_condition, struct zdm_error *err)
{
    static const char name[] = "pg_temp.\"~zdm_clone\"";
    static const char seen_sql[] =
        "SELECT " DEFAULT_SCANS " > $1::int8, pg_get_partition_constraintdef('" PGSQL_CLONE_CHILD "'::regclass)";
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer attach = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *before = NULL;
    ZDM_CLEANUP(pgsql_clearp) PGresult *seen = NULL;
    enum zdm_code code = clone_parent(w, parent, child, name, false, err);
    if (code == ZDM_OK) {
        code = clone_default(w, parent, name, err);
    }
    if (code == ZDM_OK) {
        code = clone_child(w, parent, child, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, "SELECT coalesce(" DEFAULT_SCANS ", 0)", 0, NULL, &before, err);
    }
    if (code == ZDM_OK) {
        zdm_buffer_printf(&attach, "ALTER TABLE %s ATTACH PARTITION " PGSQL_CLONE_CHILD " %s", name, bound);
        code = pgsql_query(w->s, zdm_buffer_text(&attach), 0, NULL, NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, seen_sql, 1, (const char *const[]){pgsql_text(before, 0, 0)}, &seen, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    *out_read = pgsql_true(seen, 0, 0);
    *out_condition = zdm_strdup(pgsql_text(seen, 0, 1));
    return *out_condition != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code pgsql_default_is_read(struct pgsql_work *w, const struct zdm_table *parent, const struct zdm_table *child,
                                    const char *bound, bool *out_read, char **out_condition, struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin(w->s, "SET LOCAL lock_timeout = 100; SET LOCAL statement_timeout = 5000;", err);
    if (code == ZDM_OK) {
        code = watch_default(w, parent, child, bound, out_read, out_condition, err);
    }
    pgsql_rollback(w->s);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while asking what attaching would read");
}
