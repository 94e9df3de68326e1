/*
 * restore.c - the long parts of a hide's way back (unhide.c): one thing at a time is validated, or its unique index
 * built, while reads and writes go on.
 *
 * What rows violate is left as it is, NOT VALID or not built, and named with up to three keys in zdm.hidden; so is what
 * the database refuses for another reason, such as an index of somebody else under the constraint's name. That is a
 * remark of the rollback, not its failure.
 */
#include "agent/engine/postgresql/hide/hidden.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/walk/backfill.h"
#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/online/index.h"
#include "agent/engine/postgresql/journal/journal.h"

enum { KEYS_NAMED = 3 };

/* One row of zdm.hidden that waits. */
struct thing {
    char *kind, *name, *long_sql, *violated_by;
    bool finish; /* a short part follows */
};

static void thing_fini(struct thing *thing)
{
    free(thing->kind);
    free(thing->name);
    free(thing->long_sql);
    free(thing->violated_by);
}

/* Indexes last: they take the longest, and nothing waits for them. */
static enum zdm_code next_thing(struct pgsql_work *w, struct thing *out, struct zdm_error *err)
{
    static const char sql[] = "SELECT kind, name, long_sql, violated_by, finish_sql IS NOT NULL FROM zdm.hidden"
                              " WHERE migration = $1 AND step = $2::int4 AND NOT by_rollback AND state = 'back'"
                              " ORDER BY kind IN ('unique', 'unique index', 'primary key'), kind, name LIMIT 1";
    char step[16];
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){w->op->migration, step}, &res, err);
    if (code != ZDM_OK || PQntuples(res) == 0) {
        return code;
    }
    out->kind = zdm_strdup(pgsql_text(res, 0, 0));
    out->name = zdm_strdup(pgsql_text(res, 0, 1));
    out->long_sql = zdm_strdup(pgsql_text(res, 0, 2));
    out->violated_by = zdm_strdup(pgsql_text(res, 0, 3));
    out->finish = pgsql_true(res, 0, 4);
    bool whole = out->kind != NULL && out->name != NULL && out->long_sql != NULL && out->violated_by != NULL;
    return whole ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

/* In the transaction at hand: on to the short part, or out of zdm.hidden; with a remark, violated. */
static enum zdm_code note(struct pgsql_work *w, const struct thing *thing, const char *remark, struct zdm_error *err)
{
    static const char on[] = "UPDATE zdm.hidden SET state = CASE WHEN $5::text IS NULL THEN 'proven' ELSE 'violated'"
                             " END, remark = $5 WHERE migration = $1 AND step = $2::int4 AND NOT by_rollback"
                             " AND kind = $3 AND name = $4";
    static const char over[] = "DELETE FROM zdm.hidden WHERE migration = $1 AND step = $2::int4 AND NOT by_rollback"
                               " AND kind = $3 AND name = $4";
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *params[] = {w->op->migration, step, thing->kind, thing->name, remark};
    bool stays = remark != NULL || thing->finish;
    enum zdm_code code = pgsql_query(w->s, stays ? on : over, stays ? 5 : 4, params, NULL, err);
    return code == ZDM_OK ? pgsql_journal_hold(w, err) : code;
}

static enum zdm_code note_alone(struct pgsql_work *w, const struct thing *thing, const char *remark,
                                struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = note(w, thing, remark, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

/* "rows [1], [7], [9]": keys of rows that stand against it; "some rows" where the table has no key to name them by. */
static void name_rows(struct pgsql_work *w, const struct thing *thing, struct zdm_buffer *out)
{
    struct zdm_error ignored = ZDM_ERROR_INIT;
    struct pgsql_table table;
    struct pgsql_key key = {0};
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &table, &ignored);
    if (code == ZDM_OK) {
        code = pgsql_key_find(w->s, &table, &key, &ignored);
    }
    if (code == ZDM_OK) {
        zdm_buffer_puts(&sql, "SELECT ");
        pgsql_put_key_text(&sql, &key, "t.");
        zdm_buffer_puts(&sql, " FROM ");
        pgsql_put_table(&sql, &w->step->table);
        zdm_buffer_printf(&sql, " AS t WHERE %s LIMIT %d", thing->violated_by, KEYS_NAMED);
        code = pgsql_query(w->s, zdm_buffer_text(&sql), 0, NULL, &res, &ignored);
    }
    if (code != ZDM_OK || PQntuples(res) == 0) {
        zdm_buffer_puts(out, "some rows");
    }
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        zdm_buffer_printf(out, "%s%s", i == 0 ? "rows " : ", ", pgsql_text(res, i, 0));
    }
    pgsql_key_fini(&key);
}

/* How it is left, and what the rows do that stand against it. */
static const struct left {
    const char *kind, *before, *after, *rows; /* before and after the name */
} lefts[] = {
    {"unique", "unique constraint ", " was not built again: ", " share a value"},
    {"unique index", "unique index ", " was not built again: ", " share a value"},
    {"primary key", "primary key ", " was not built again: ", " share a value"},
    {"not null", "NOT NULL of ", " stays a CHECK that is NOT VALID: ", " hold NULL"},
    {"", "", " stays NOT VALID: ", " violate it"},
};

static enum zdm_code leave(struct pgsql_work *w, const struct thing *thing, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer remark = ZDM_BUFFER_INIT;
    const struct left *left = lefts;
    while (left->kind[0] != '\0' && strcmp(left->kind, thing->kind) != 0) {
        left++;
    }
    zdm_buffer_printf(&remark, "%s%s%s", left->before, thing->name, left->after);
    if (pgsql_is_violation(err)) {
        name_rows(w, thing, &remark);
        zdm_buffer_puts(&remark, left->rows);
    } else {
        zdm_buffer_puts(&remark, err->message);
    }
    zdm_error_clear(err);
    zdm_copy_text(w->result->remark, sizeof w->result->remark, zdm_buffer_text(&remark));
    return note_alone(w, thing, zdm_buffer_text(&remark), err);
}

static enum zdm_code validate(struct pgsql_work *w, const struct thing *thing, struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, thing->long_sql, NULL, err);
    }
    if (code == ZDM_OK) {
        code = note(w, thing, NULL, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

static enum zdm_code build(struct pgsql_work *w, const struct thing *thing, struct zdm_error *err)
{
    struct pgsql_table table;
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &table, err);
    if (code == ZDM_OK) {
        code = pgsql_index_build_again(w, &table, thing->name, thing->long_sql, err);
    }
    return code == ZDM_OK ? note_alone(w, thing, NULL, err) : code;
}

enum zdm_code pgsql_run_restore(struct pgsql_work *w, struct zdm_error *err)
{
    struct thing thing = {0};
    enum zdm_code code = next_thing(w, &thing, err);
    if (code == ZDM_OK && thing.kind == NULL) {
        w->result->outcome = AGENT_ALREADY;
        return ZDM_OK;
    }
    if (code == ZDM_OK) {
        bool index = strncmp(thing.kind, "unique", 6) == 0 || strcmp(thing.kind, "primary key") == 0;
        code = index ? build(w, &thing, err) : validate(w, &thing, err);
        if (code != ZDM_OK && (pgsql_is_violation(err) || pgsql_is_final(code))) {
            pgsql_rollback(w->s);
            code = leave(w, &thing, err);
        }
    }
    thing_fini(&thing);
    return code;
}
