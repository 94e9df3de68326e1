/*
 * facts.c - the columns of a derivation as the catalogue has them (sync.h).
 */
#include "agent/engine/mysql/walk/images.h"
#include "agent/engine/mysql/walk/sync.h"

#include <stdlib.h>
#include <string.h>

#include "agent/engine/steps.h"

/* New code may write what the old column cannot hold, and NULL where that must not be. */
static bool needs_guard(const struct mydb_pair *pair)
{
    return mydb_fit(&pair->target, &pair->source) != MYDB_FITS || (pair->source.not_null && !pair->target.not_null);
}

static enum zdm_code read_pair(struct mydb_work *w, const struct zdm_assignment *a, struct mydb_facts *facts,
                               struct zdm_error *err)
{
    struct mydb_pair *pair = &facts->pairs[facts->n_pairs++];
    pair->a = a;
    pair->copy = a->copy_of != NULL;
    enum zdm_code code = mydb_column_find(w->s, facts->table.name, a->target, &pair->target, err);
    if (code == ZDM_OK && pair->copy) {
        code = mydb_column_find(w->s, facts->table.name, a->copy_of, &pair->source, err);
    }
    pair->guarded = code == ZDM_OK && pair->copy && needs_guard(pair);
    return code;
}

static enum zdm_code read_stamps(struct mydb_work *w, struct mydb_facts *out, struct zdm_error *err)
{
    static const char sql[] = "SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND"
                              " table_name = $2 AND LOWER(extra) LIKE '%on update %' ORDER BY ordinal_position";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s, sql, 2, (const char *const[]){w->s->database, out->table.name}, &rows, err);
    if (code != ZDM_OK || rows->n == 0) {
        return code;
    }
    out->stamps = calloc(rows->n, sizeof *out->stamps);
    if (out->stamps == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    for (; out->n_stamps < rows->n; out->n_stamps++) {
        zdm_copy_text(out->stamps[out->n_stamps], sizeof *out->stamps, mydb_text(rows, out->n_stamps, 0));
    }
    return ZDM_OK;
}

enum zdm_code mydb_facts_read(struct mydb_work *w, const struct zdm_step *step, struct mydb_facts *out,
                              struct zdm_error *err)
{
    const struct zdm_derivation *d = step->derivation;
    memset(out, 0, sizeof *out);
    if (d == NULL || d->n_assignments > MYDB_TARGETS_MAX || d->n_sources > MYDB_SOURCES_MAX) {
        return zdm_error_set(err, ZDM_LIMIT, "step %s has no derivation, or one of too many columns", step->id);
    }
    out->d = d;
    out->alone = agent_fills_alone(w->op->plan, step);
    enum zdm_code code = mydb_table_find(w->s, step->table.name, &out->table, err);
    if (code == ZDM_OK) {
        code = mydb_table_fit(&out->table, err);
    }
    if (code == ZDM_OK) {
        code = mydb_images_key(w, step, &out->table, &out->key, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < d->n_assignments; i++) {
        code = read_pair(w, &d->assignments[i], out, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < d->n_sources; i++) {
        code = mydb_column_find(w->s, out->table.name, d->sources[i], &out->sources[i], err);
        out->n_sources++;
    }
    return code == ZDM_OK ? read_stamps(w, out, err) : code;
}

void mydb_facts_fini(struct mydb_facts *facts)
{
    for (size_t i = 0; i < facts->n_pairs; i++) {
        mydb_column_fini(&facts->pairs[i].target);
        mydb_column_fini(&facts->pairs[i].source);
    }
    for (size_t i = 0; i < facts->n_sources; i++) {
        mydb_column_fini(&facts->sources[i]);
    }
    mydb_key_fini(&facts->key);
    free(facts->stamps);
    facts->stamps = NULL;
    facts->n_stamps = 0;
}
