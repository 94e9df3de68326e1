/*
 * former.c - see former.h.
 */
#include "agent/engine/postgresql/journal/former.h"

#include <inttypes.h>
#include <stdio.h>

#include "agent/engine/postgresql/session/classify.h"

void pgsql_former_step(const struct pgsql_work *w, char out[16])
{
    snprintf(out, 16, "%" PRIu32, w->step->ordinal);
}

enum zdm_code pgsql_former_keep(struct pgsql_work *w, unsigned part, const char *back_sql, const char *made,
                                struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.former (migration, step, part, back_sql, made) VALUES ($1, $2::int4, $3::int4, $4, $5)"
        " ON CONFLICT (migration, step, part) DO UPDATE SET made = excluded.made";
    char step[16], number[16];
    pgsql_former_step(w, step);
    snprintf(number, sizeof number, "%u", part);
    const char *params[] = {w->op->migration, step, number, back_sql, made};
    enum zdm_code code = pgsql_query(w->s, sql, 5, params, NULL, err);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while writing zdm.former");
}

static enum zdm_code read_column(struct pgsql_work *w, const char *sql, size_t n, const char *third, bool *out_there,
                                 char **out, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    char step[16];
    pgsql_former_step(w, step);
    const char *params[] = {w->op->migration, step, third};
    enum zdm_code code = pgsql_query(w->s, sql, n, params, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while reading zdm.former");
    }
    *out_there = PQntuples(res) > 0;
    const char *text = *out_there ? pgsql_text(res, 0, 0) : NULL;
    *out = zdm_strdup(text);
    return text == NULL || *out != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code pgsql_former_read(struct pgsql_work *w, bool *out_there, char **out_made, struct zdm_error *err)
{
    return read_column(w, "SELECT made FROM zdm.former WHERE migration = $1 AND step = $2::int4 ORDER BY part LIMIT 1",
                       2, NULL, out_there, out_made, err);
}

enum zdm_code pgsql_former_part(struct pgsql_work *w, unsigned part, char **out_sql, struct zdm_error *err)
{
    char number[16];
    bool there = false;
    snprintf(number, sizeof number, "%u", part);
    return read_column(w,
                       "SELECT back_sql FROM zdm.former WHERE migration = $1 AND step = $2::int4 AND part = $3::int4",
                       3, number, &there, out_sql, err);
}

enum zdm_code pgsql_former_forget(struct pgsql_work *w, struct zdm_error *err)
{
    char step[16];
    pgsql_former_step(w, step);
    return pgsql_query(w->s, "DELETE FROM zdm.former WHERE migration = $1 AND step = $2::int4", 2,
                       (const char *const[]){w->op->migration, step}, NULL, err);
}

enum zdm_code pgsql_former_run(struct pgsql_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    char step[16];
    pgsql_former_step(w, step);
    enum zdm_code code =
        pgsql_query(w->s, "SELECT back_sql FROM zdm.former WHERE migration = $1 AND step = $2::int4 ORDER BY part", 2,
                    (const char *const[]){w->op->migration, step}, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        code = pgsql_script(w->s, pgsql_text(res, i, 0), NULL, err);
    }
    return code == ZDM_OK ? pgsql_former_forget(w, err) : code;
}
