/*
 * survey_figures.c - each step in figures: how long it may take and what room it needs (survey.h).
 *
 * Estimates are arithmetic over the statistics of the table and speeds of an ordinary server; nothing is tried at the
 * table itself. They say minutes or days, not seconds.
 */
#include "agent/engine/survey.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    BATCH_ROWS_PER_S = 20000, /* that are written while a batch runs */
    CHECK_ROWS_PER_S = 200000,
    INDEX_ROWS_PER_S = 500000, /* sorted */
    READ_BYTES_PER_MS = 200 * 1024,
    DUTY_PERCENT = 20, /* of the agent, where the plan has none */
    SHORT_MS = 100,
    INDEX_ENTRY_BYTES = 32,
    IMAGE_BYTES = 96, /* of a row of before-images without its values */
    WORTH_SAYING_BYTES = 64 * 1024 * 1024
};

/* ---- Figures ---- */

static int64_t per_s(int64_t rows, int64_t rate)
{
    return rows < 0 ? -1 : rows * 1000 / rate;
}

static int64_t paced(const struct agent_survey *survey, int64_t ms)
{
    int64_t duty = survey->plan->throttle.duty_percent;
    int64_t all = ms * 100 / (duty == 0 ? DUTY_PERCENT : duty);
    if (ms < 0) {
        return -1;
    }
    return all < SHORT_MS ? SHORT_MS : all; /* one batch, however few rows there are */
}

/* Rows by the statistics; a table that was never analysed: by its size. */
static int64_t rows_of(const struct zdm_survey_table *t)
{
    return t->rows >= 0 ? t->rows : t->bytes / 100;
}

static int64_t index_build_ms(const struct zdm_survey_table *t)
{
    return 2 * t->bytes / READ_BYTES_PER_MS + per_s(rows_of(t), INDEX_ROWS_PER_S);
}

int64_t agent_survey_estimate(const struct agent_survey *survey, const struct zdm_survey_table *t)
{
    const struct zdm_step *step = survey->step;
    uint64_t does = UINT64_C(1) << step->action;
    if ((does & (AGENT_DOES(GATE_FLAG) | AGENT_DOES(AS_IS) | AGENT_DOES(CHECK_QUERY))) != 0) {
        return -1; /* people, or what nobody has read */
    }
    if (step->action == ZDM_ACTION_GATE_WAIT) {
        return step->wait == NULL || step->wait->until != NULL ? -1 : step->wait->for_ms;
    }
    if (t == NULL || !t->exists) {
        return SHORT_MS;
    }
    if ((does & (AGENT_DOES(BACKFILL) | AGENT_DOES(DELETE))) != 0) {
        return paced(survey, per_s(rows_of(t), BATCH_ROWS_PER_S));
    }
    if (step->action == ZDM_ACTION_CHECK_COMPARE) {
        return paced(survey, per_s(rows_of(t), CHECK_ROWS_PER_S));
    }
    if (step->action == ZDM_ACTION_VALIDATE) {
        return SHORT_MS + t->bytes / READ_BYTES_PER_MS;
    }
    if (step->action == ZDM_ACTION_CREATE_INDEX) {
        return SHORT_MS + index_build_ms(t);
    }
    if (step->action == ZDM_ACTION_REINDEX) {
        return SHORT_MS + index_build_ms(t) + t->index_bytes / READ_BYTES_PER_MS;
    }
    return SHORT_MS;
}

int64_t agent_survey_room(const struct agent_survey *survey, const struct zdm_survey_table *t)
{
    const struct zdm_step *step = survey->step;
    if (t == NULL || !t->exists) {
        return 0;
    }
    if (step->action == ZDM_ACTION_CREATE_INDEX) {
        return rows_of(t) * INDEX_ENTRY_BYTES;
    }
    if (step->action == ZDM_ACTION_REINDEX) {
        return t->index_bytes;
    }
    if (step->action == ZDM_ACTION_DELETE) {
        return step->inverse == ZDM_INVERSE_IMAGES ? t->bytes : 0; /* whole rows */
    }
    if (step->action != ZDM_ACTION_BACKFILL) {
        return 0;
    }
    /* A new version of each row, until the old ones have been vacuumed; and the before-images. */
    return t->bytes + (step->inverse == ZDM_INVERSE_IMAGES ? rows_of(t) * IMAGE_BYTES : 0);
}

/* What the plan needs at once at most: indexes stay, versions of rows go again. */
static int64_t room_needed(const struct zdm_survey *out, const struct zdm_plan *plan)
{
    int64_t stays = 0, passes = 0;
    for (size_t i = 0; i < out->n_steps; i++) {
        const struct zdm_step *step = zdm_plan_step(plan, out->steps[i].ordinal);
        if (step->action == ZDM_ACTION_CREATE_INDEX || step->inverse == ZDM_INVERSE_IMAGES) {
            stays += out->steps[i].room_bytes;
        } else if (out->steps[i].room_bytes > passes) {
            passes = out->steps[i].room_bytes;
        }
    }
    return stays + passes;
}

static void put_size(char *out, size_t size, int64_t bytes)
{
    bool giga = bytes >= INT64_C(10) << 30;
    (void)snprintf(out, size, "%" PRId64 " %s", giga ? bytes >> 30 : (bytes >> 20) + 1, giga ? "GiB" : "MiB");
}

enum zdm_code agent_survey_judge_room(struct agent_survey *survey, struct zdm_error *err)
{
    struct zdm_survey *out = survey->out;
    int64_t needed = room_needed(out, survey->plan), left = out->disk_free_bytes;
    char need[40], have[40], message[256];
    put_size(need, sizeof need, needed);
    put_size(have, sizeof have, left);
    bool added = true;
    if (left < 0 && needed >= WORTH_SAYING_BYTES) {
        (void)snprintf(message, sizeof message,
                       "the plan needs up to %s of disk, by an estimate; the agent cannot see how much is free", need);
        added = agent_survey_add(survey, ZDM_SURVEY_DISK_ROOM, ZDM_LEVEL_NOTE, "", message,
                                 survey->engine == ZDM_ENGINE_POSTGRESQL
                                     ? "Look at the server's disk before you advance. An agent beside the server sees "
                                       "it as a member of pg_read_all_settings (deploy/sql/postgresql-grants.sql)."
                                     : "Look at the server's disk before you advance.");
    } else if (left >= 0 && needed > left / 2) {
        (void)snprintf(message, sizeof message, "the plan needs up to %s of disk, by an estimate; %s are free", need,
                       have);
        added =
            agent_survey_add(survey, ZDM_SURVEY_DISK_ROOM, needed > left ? ZDM_LEVEL_ERROR : ZDM_LEVEL_WARNING, "",
                             message, "Make room, or run the phases one by one, and look at the disk between them.");
    }
    return added ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}
