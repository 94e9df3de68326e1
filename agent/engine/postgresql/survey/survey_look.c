/*
 * survey_look.c - one bounded read of rows (survey_look.h).
 */
#include "agent/engine/postgresql/survey/survey_look.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/walk/backfill.h"
#include "agent/engine/postgresql/walk/check.h"
#include "agent/engine/postgresql/session/classify.h"

enum zdm_code pgsql_look_key(struct pgsql_survey *survey, struct pgsql_look *look, struct zdm_error *err)
{
    struct pgsql_table table;
    enum zdm_code code = pgsql_table_find(survey->w->s, &survey->common.step->table, &table, err);
    if (code == ZDM_OK) {
        code = pgsql_key_find(survey->w->s, &table, &look->key, err);
    }
    if (code == ZDM_REFUSED || code == ZDM_UNSUPPORTED || code == ZDM_NOT_FOUND) {
        pgsql_key_fini(&look->key);
        look->key = (struct pgsql_key){.n = 0};
        zdm_error_clear(err);
        return ZDM_OK;
    }
    return code;
}

void pgsql_look_put_key(const struct pgsql_look *look, struct zdm_buffer *out)
{
    if (look->key.n == 0) {
        zdm_buffer_puts(out, "NULL::text");
    } else {
        pgsql_put_key_text(out, &look->key, "t.");
    }
}

void pgsql_look_rows(struct pgsql_look *look, const char *rows)
{
    static const char form[] = "SELECT count(*), min(k), NULL FROM (%s LIMIT %d) AS found";
    zdm_buffer_printf(&look->all, form, rows, PGSQL_LOOK_ROWS);
    zdm_buffer_printf(&look->one, form, rows, 1);
}

/* The time was over, or the server refuses what is asked: that is said. Anything else may go better elsewhere. */
static enum zdm_code take_error(struct pgsql_look *look, enum zdm_code code, struct zdm_error *err)
{
    bool late = strcmp(err->sqlstate, "57014") == 0, writes = strcmp(err->sqlstate, "25006") == 0;
    if (!late && !writes && !pgsql_is_final(code)) {
        return code;
    }
    look->late = late;
    zdm_copy_text(look->sqlstate, sizeof look->sqlstate, err->sqlstate);
    agent_survey_words(err, look->why, sizeof look->why);
    zdm_error_clear(err);
    return ZDM_OK;
}

static enum zdm_code ask(struct pgsql_work *at, struct pgsql_look *look, const char *sql, bool *out_answered,
                         struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {look->param};
    enum zdm_code code = pgsql_query(at->s, sql, look->param == NULL ? 0 : 1, params, &res, err);
    *out_answered = code == ZDM_OK && PQntuples(res) > 0;
    if (!*out_answered) {
        return code == ZDM_OK || at->s->gave_up || at->s->timed_out ? code : take_error(look, code, err);
    }
    look->rows = pgsql_int(res, 0, 0);
    zdm_copy_text(look->first, sizeof look->first, pgsql_text(res, 0, 1) == NULL ? "" : pgsql_text(res, 0, 1));
    zdm_copy_text(look->second, sizeof look->second, pgsql_text(res, 0, 2) == NULL ? "" : pgsql_text(res, 0, 2));
    return ZDM_OK;
}

/* One row first: where there are many, it is found at once, and there is something to say when counting takes too
 * long. */
static enum zdm_code look_there(struct pgsql_work *at, void *ctx, struct zdm_error *err)
{
    struct pgsql_look *look = ctx;
    bool answered = false, counted = false;
    look->rows = 0;
    look->whole = look->late = false;
    bool two = look->one.len > 0;
    enum zdm_code code = ask(at, look, zdm_buffer_text(two ? &look->one : &look->all), &answered, err);
    if (code == ZDM_OK && answered && two && look->rows > 0) {
        code = ask(at, look, zdm_buffer_text(&look->all), &counted, err);
    }
    look->whole = answered && (!two || look->rows == 0 || counted);
    return code;
}

static void turn(const struct pgsql_stage *stage, struct zdm_buffer *sql)
{
    struct zdm_buffer turned = ZDM_BUFFER_INIT;
    if (stage == NULL || sql->len == 0) {
        return;
    }
    pgsql_stage_names(stage, zdm_buffer_text(sql), &turned);
    zdm_buffer_fini(sql);
    *sql = turned;
}

/* A statement over a partitioned table locks every partition and every index of it. */
static enum zdm_code has_room(struct pgsql_survey *survey, struct pgsql_look *look, bool *out, struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step;
    int64_t room = 0, tables = 0, locks = 0, of_others = 0;
    enum zdm_code code = pgsql_lock_room(survey->w, &room, err);
    if (code == ZDM_OK && step->table.schema != NULL && step->table.name != NULL) {
        code = pgsql_tree_locks(survey->w, &step->table, &tables, &locks, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < step->n_others; i++) {
        code = pgsql_tree_locks(survey->w, &step->others[i], &tables, &of_others, err);
        locks += of_others;
    }
    *out = locks <= room;
    if (!*out) {
        (void)snprintf(look->why, sizeof look->why,
                       "with its partitions and their indexes that would take %" PRId64 " locks of the %" PRId64
                       " that one transaction may take of everybody's",
                       locks, room);
    }
    return code;
}

enum zdm_code pgsql_look_run(struct pgsql_survey *survey, const struct pgsql_stage *stage, struct pgsql_look *look,
                             struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer settings = ZDM_BUFFER_INIT;
    struct pgsql_work *w = survey->w;
    const char *schema = survey->common.step->table.schema;
    bool ran = false, room = false;
    look->whole = look->late = false;
    enum zdm_code code = has_room(survey, look, &room, err);
    if (code != ZDM_OK || !room) {
        return code;
    }
    turn(stage, &look->all);
    turn(stage, &look->one);
    zdm_buffer_printf(&settings,
                      "SET LOCAL statement_timeout = %d; SET LOCAL lock_timeout = 100; SET LOCAL"
                      " max_parallel_workers_per_gather = 0; SET LOCAL search_path = pg_catalog, ",
                      PGSQL_LOOK_MS);
    pgsql_put_name(&settings, schema == NULL || schema[0] == '\0' ? "public" : schema);
    code = look->here_only
               ? ZDM_OK
               : pgsql_check_there(w, zdm_buffer_text(&settings), 2 * PGSQL_LOOK_MS, look_there, look, &ran, err);
    if (code != ZDM_OK || ran) {
        return code;
    }
    code = pgsql_begin_reading(w->s, err);
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, zdm_buffer_text(&settings), NULL, err);
    }
    if (code == ZDM_OK) {
        code = look_there(w, look, err);
    }
    pgsql_rollback(w->s);
    return code;
}

void pgsql_look_fini(struct pgsql_look *look)
{
    zdm_buffer_fini(&look->all);
    zdm_buffer_fini(&look->one);
    pgsql_key_fini(&look->key);
    free(look->param);
}
