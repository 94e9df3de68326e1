/*
 * check_view.c - what `check` found out, for people: findings first, then how the shards differ, what the steps take,
 * and who did not answer.
 */
#include "coordinator/ctl/view/check_view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/ctl/view/check_page.h"
#include "coordinator/ctl/view/plan_view.h"
#include "coordinator/ctl/text/table.h"

enum { NAMES_SHOWN = 4, INDENT = 4, DIFFERENCES_SHOWN = 8, OUTLIERS_SHOWN = 10 };

/* ---- Numbers ---- */

int64_t ctl_pick_rows(const struct zdm_survey *survey, const void *table)
{
    const struct zdm_survey_table *t = ctl_survey_table(survey, table);
    return t != NULL && t->exists ? t->rows : -1;
}

int64_t ctl_pick_bytes(const struct zdm_survey *survey, const void *table)
{
    const struct zdm_survey_table *t = ctl_survey_table(survey, table);
    return t != NULL && t->exists ? t->bytes : -1;
}

int64_t ctl_pick_index_bytes(const struct zdm_survey *survey, const void *table)
{
    const struct zdm_survey_table *t = ctl_survey_table(survey, table);
    return t != NULL && t->exists ? t->index_bytes : -1;
}

int64_t ctl_pick_estimate(const struct zdm_survey *survey, const void *ordinal)
{
    const struct zdm_survey_step *step = ctl_survey_step(survey, *(const uint32_t *)ordinal);
    return step != NULL ? step->estimate_ms : -1;
}

int64_t ctl_pick_room(const struct zdm_survey *survey, const void *ordinal)
{
    const struct zdm_survey_step *step = ctl_survey_step(survey, *(const uint32_t *)ordinal);
    return step != NULL ? step->room_bytes : -1;
}

void ctl_bytes_text(char *out, size_t size, int64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1000 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    snprintf(out, size,
             unit == 0 || value >= 100 ? "%.0f %s"
             : value >= 10             ? "%.1f %s"
                                       : "%.2f %s",
             value, units[unit]);
}

static void time_text(char *out, size_t size, int64_t ms)
{
    if (ms < 1000)
        snprintf(out, size, "%" PRId64 " ms", ms);
    else
        ctl_seconds_text(out, size, (ms + 500) / 1000);
}

/* ---- Counting ---- */

size_t ctl_check_count(const struct ctl_check *check, enum zdm_level level)
{
    size_t n = ctl_grouped_count(check->grouped, level);
    for (size_t i = 0; i < check->notes->n_findings; i++)
        n += check->notes->findings[i].level == level &&
             ctl_waived(check->notes, check->notes->findings[i].rule) == NULL;
    return n;
}

size_t ctl_check_waived(const struct ctl_check *check)
{
    size_t n = 0;
    for (size_t i = 0; i < check->grouped->n_findings; i++)
        n += check->grouped->findings[i].waived != NULL;
    return n;
}

/* ---- Words ---- */

void ctl_check_names_text(struct zdm_buffer *out, const struct ctl_fleet_survey *fleet,
                          const struct ctl_shard_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        if (i == NAMES_SHOWN && list->n > NAMES_SHOWN + 1) {
            zdm_buffer_printf(out, " and %zu more", list->n - i);
            return;
        }
        zdm_buffer_printf(out, "%s%s", i > 0 ? ", " : "", fleet->shards[list->items[i]].shard);
    }
}

void ctl_check_shards_text(struct zdm_buffer *out, const struct ctl_fleet_survey *fleet,
                           const struct ctl_shard_list *list)
{
    size_t answered = ctl_fleet_survey_answered(fleet);
    if (list->n == answered && answered > 1) {
        zdm_buffer_printf(out, answered == fleet->n ? "every shard" : "every shard that answered");
        return;
    }
    ctl_check_names_text(out, fleet, list);
}

static const char *step_id(const struct ctl_check *check, uint32_t ordinal)
{
    const struct zdm_step *step = zdm_plan_step(check->plan, ordinal);
    return step != NULL ? step->id : "?";
}

static enum ctl_style style_of(enum zdm_level level)
{
    return level == ZDM_LEVEL_ERROR ? CTL_BAD : level == ZDM_LEVEL_WARNING ? CTL_WARN : CTL_DIM;
}

void ctl_check_heading(struct zdm_buffer *out, const struct ctl_look *look, const char *text)
{
    zdm_buffer_puts(out, "\n");
    ctl_put(out, look, CTL_BOLD, text);
    zdm_buffer_puts(out, "\n");
}

void ctl_check_line(struct zdm_buffer *out, const struct ctl_look *look, enum ctl_style style, const char *text,
                    size_t indent)
{
    ctl_repeat(out, ' ', indent);
    ctl_wrap(out, look, style, text, indent, indent + 2);
}

/* ---- Findings ---- */

/* "step 2.1 - "; of two engines "steps fill.1 and fill.3 - " */
static void put_steps_of(struct zdm_buffer *line, const struct ctl_check *check, const struct ctl_finding_group *group,
                         const char *dot)
{
    uint32_t step = group->finding->step, other = group->other_step;
    if (other == 0)
        zdm_buffer_printf(line, "step %s%s", step_id(check, step), dot);
    else
        zdm_buffer_printf(line, "steps %s and %s%s", step_id(check, step < other ? step : other),
                          step_id(check, step < other ? other : step), dot);
}

/* "step 2.1 - public.users - on shard-1, shard-2" */
static void put_where(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check,
                      const struct ctl_finding_group *group)
{
    struct zdm_buffer line = ZDM_BUFFER_INIT;
    const struct zdm_survey_finding *f = group->finding;
    const char *dot = look->unicode ? " · " : " - ";
    if (f->step != 0)
        put_steps_of(&line, check, group, dot);
    if (f->object[0] != '\0')
        zdm_buffer_printf(&line, "%s%s", f->object, dot);
    zdm_buffer_puts(&line, "on ");
    ctl_check_shards_text(&line, check->fleet, &group->shards);
    if (group->words_differ)
        zdm_buffer_printf(&line, "; the words are those of %s", check->fleet->shards[group->shards.items[0]].shard);
    zdm_buffer_printf(&line, "%s[%s]", dot, f->rule);
    ctl_check_line(out, look, CTL_DIM, zdm_buffer_text(&line), INDENT);
    zdm_buffer_fini(&line);
}

static void put_finding(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check,
                        const struct ctl_finding_group *group)
{
    const struct zdm_survey_finding *f = group->finding;
    const char *level = zdm_level_name(f->level);
    zdm_buffer_puts(out, "\n");
    ctl_put(out, look, style_of(f->level), level);
    zdm_buffer_puts(out, ": ");
    ctl_wrap(out, look, CTL_PLAIN, f->message, strlen(level) + 2, INDENT);
    put_where(out, look, check, group);
    if (f->hint[0] != '\0')
        ctl_check_line(out, look, CTL_PLAIN, f->hint, INDENT);
}

static void put_explain(struct zdm_buffer *out, const struct ctl_look *look)
{
    zdm_buffer_puts(out, "\n");
    ctl_wrap(out, look, CTL_DIM, "zdmctl explain RULE says more of what stands in [ ].", 0, 0);
}

static void put_findings(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check)
{
    ctl_plan_text(out, look, NULL, check->notes);
    for (size_t i = 0; i < check->grouped->n_findings; i++)
        if (check->grouped->findings[i].waived == NULL)
            put_finding(out, look, check, &check->grouped->findings[i]);
    if (ctl_grouped_count(check->grouped, ZDM_LEVEL_ERROR) + ctl_grouped_count(check->grouped, ZDM_LEVEL_WARNING) +
            ctl_grouped_count(check->grouped, ZDM_LEVEL_NOTE) >
        0)
        put_explain(out, look);
}

static void put_waived(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check)
{
    if (ctl_check_waived(check) == 0)
        return;
    ctl_check_heading(out, look, "Waived");
    for (size_t i = 0; i < check->grouped->n_findings; i++) {
        const struct ctl_finding_group *group = &check->grouped->findings[i];
        struct zdm_buffer line = ZDM_BUFFER_INIT;
        if (group->waived == NULL)
            continue;
        zdm_buffer_printf(&line, "%s: \"%s\" (%s on ", group->finding->rule, group->waived,
                          zdm_level_name(group->finding->level));
        ctl_check_shards_text(&line, check->fleet, &group->shards);
        zdm_buffer_printf(&line, ": %s)", group->finding->message);
        ctl_check_line(out, look, CTL_DIM, zdm_buffer_text(&line), 2);
        zdm_buffer_fini(&line);
    }
}

/* ---- Tables ---- */

static void put_size(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check,
                     const struct zdm_table *name)
{
    struct zdm_buffer line = ZDM_BUFFER_INIT;
    struct ctl_range rows, bytes, indexes;
    char sum[16], min[16], max[16];
    if (ctl_range_of(check->fleet, ctl_pick_rows, name, &rows)) {
        ctl_number_text(sum, sizeof sum, (uint64_t)rows.sum);
        ctl_number_text(min, sizeof min, (uint64_t)rows.min);
        ctl_number_text(max, sizeof max, (uint64_t)rows.max);
        zdm_buffer_printf(&line, "about %s rows", sum);
        if (rows.n > 1 && strcmp(min, max) != 0)
            zdm_buffer_printf(&line, " (%s to %s, most on %s)", min, max, check->fleet->shards[rows.max_shard].shard);
    }
    if (ctl_range_of(check->fleet, ctl_pick_bytes, name, &bytes)) {
        ctl_bytes_text(sum, sizeof sum, bytes.sum);
        ctl_bytes_text(min, sizeof min, bytes.min);
        ctl_bytes_text(max, sizeof max, bytes.max);
        zdm_buffer_printf(&line, "%s%s", line.len > 0 ? "; " : "", sum);
        if (bytes.n > 1 && strcmp(min, max) != 0)
            zdm_buffer_printf(&line, " (%s to %s)", min, max);
    }
    if (ctl_range_of(check->fleet, ctl_pick_index_bytes, name, &indexes)) {
        ctl_bytes_text(sum, sizeof sum, indexes.sum);
        zdm_buffer_printf(&line, " and %s of indexes", sum);
    }
    if (line.len > 0)
        ctl_check_line(out, look, CTL_DIM, zdm_buffer_text(&line), INDENT);
    zdm_buffer_fini(&line);
}

/* Each difference of one group from the largest. */
static void put_outlier(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check,
                        const struct ctl_table_groups *t, size_t which)
{
    const struct ctl_table_group *norm = &t->groups[0], *group = &t->groups[which];
    struct zdm_buffer line = ZDM_BUFFER_INIT, difference = ZDM_BUFFER_INIT;
    size_t shown = 0;
    ctl_check_shards_text(&line, check->fleet, &group->shards);
    zdm_buffer_puts(&line, ": ");
    if (!group->table->exists)
        zdm_buffer_puts(&line, "there is no such table");
    else if (!norm->table->exists)
        zdm_buffer_puts(&line, "there is such a table");
    else
        ctl_outline_difference(&difference, norm->table->outline, group->table->outline);
    for (const char *at = zdm_buffer_text(&difference); *at != '\0'; at += strcspn(at, "\n") + 1) {
        if (shown++ == DIFFERENCES_SHOWN) {
            zdm_buffer_puts(&line, "; and more");
            break;
        }
        zdm_buffer_printf(&line, "%s%.*s", shown > 1 ? "; " : "", (int)strcspn(at, "\n"), at);
    }
    if (shown == 0 && group->table->exists && norm->table->exists)
        zdm_buffer_puts(&line, "it differs in what its outline does not show");
    ctl_check_line(out, look, CTL_WARN, zdm_buffer_text(&line), INDENT);
    zdm_buffer_fini(&line);
    zdm_buffer_fini(&difference);
}

static void put_table(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check,
                      const struct ctl_table_groups *t)
{
    struct zdm_buffer line = ZDM_BUFFER_INIT;
    size_t others = 0, norm = t->groups[0].shards.n;
    for (size_t i = 1; i < t->n; i++)
        others += t->groups[i].shards.n;
    zdm_buffer_printf(&line, "%s%s%s: ", t->name->schema, zdm_table_dot(t->name), t->name->name);
    if (!t->groups[0].table->exists)
        zdm_buffer_puts(&line, "not there yet");
    else if (others == 0)
        zdm_buffer_puts(&line, norm == 1 ? "on one shard" : "the same everywhere");
    if (others > 0)
        zdm_buffer_printf(&line, "%s%zu shard%s like this; %zu differ%s", t->groups[0].table->exists ? "" : " on ",
                          norm, norm == 1 ? "" : "s", others, others == 1 ? "s" : "");
    ctl_check_line(out, look, others > 0 ? CTL_WARN : CTL_PLAIN, zdm_buffer_text(&line), 2);
    zdm_buffer_fini(&line);
    put_size(out, look, check, t->name);
    for (size_t i = 1; i < t->n && i <= OUTLIERS_SHOWN; i++)
        put_outlier(out, look, check, t, i);
    if (t->n > OUTLIERS_SHOWN + 1)
        ctl_check_line(out, look, CTL_WARN, "and more that differ: -o json has them all", INDENT);
}

static void put_tables(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check)
{
    if (check->grouped->n_tables == 0)
        return;
    ctl_check_heading(out, look, "Tables");
    for (size_t i = 0; i < check->grouped->n_tables; i++)
        put_table(out, look, check, &check->grouped->tables[i]);
}

/* ---- Steps ---- */

static bool was_tried(const struct ctl_check *check, uint32_t ordinal, enum zdm_table_lock expected,
                      const struct zdm_survey_step **out_other)
{
    bool tried = false;
    for (size_t i = 0; i < check->fleet->n; i++) {
        const struct zdm_survey_step *step = ctl_survey_step(check->fleet->shards[i].survey, ordinal);
        if (step == NULL || !step->tried)
            continue;
        tried = true;
        if (step->observed_lock != expected)
            *out_other = step;
    }
    return tried;
}

/* What it takes: as expected, as seen on a clone, or otherwise. */
static void lock_text(char *out, size_t size, const struct ctl_check *check, const struct zdm_step *step)
{
    const struct zdm_survey_step *other = NULL;
    enum zdm_table_lock expected = zdm_step_table_lock(step);
    bool tried = was_tried(check, step->ordinal, expected, &other);
    const char *name = expected == ZDM_TABLE_LOCK_NONE ? "none" : zdm_table_lock_name(expected);
    /* Of MySQL's metadata lock no clone tells anything: that the statement went through is what is seen. */
    if (step->engine == ZDM_ENGINE_MYSQL)
        snprintf(out, size, "%s%s", name, tried ? ", tried" : "");
    else if (other != NULL)
        snprintf(out, size, "%s, not %s",
                 other->observed_lock == ZDM_TABLE_LOCK_NONE ? "none" : zdm_table_lock_name(other->observed_lock),
                 name);
    else
        snprintf(out, size, "%s%s", name, tried ? ", seen" : "");
}

/* What is known of one step over all shards. */
struct step_texts {
    char min[32], typical[32], max[32], lock[64], room[32];
    const char *slowest;
};

static void step_texts(struct step_texts *out, const struct ctl_check *check, const struct zdm_step *step)
{
    struct ctl_range time, bytes;
    *out = (struct step_texts){.slowest = ""};
    if (ctl_range_of(check->fleet, ctl_pick_estimate, &step->ordinal, &time)) {
        time_text(out->min, sizeof out->min, time.min);
        time_text(out->typical, sizeof out->typical, time.typical);
        time_text(out->max, sizeof out->max, time.max);
        if (time.n > 1 && strcmp(out->min, out->max) != 0)
            out->slowest = check->fleet->shards[time.max_shard].shard;
    }
    if (ctl_range_of(check->fleet, ctl_pick_room, &step->ordinal, &bytes) && bytes.max > 0)
        ctl_bytes_text(out->room, sizeof out->room, bytes.max);
    lock_text(out->lock, sizeof out->lock, check, step);
}

/* Does some step take longer on one shard than on another? */
static bool times_differ(const struct ctl_check *check)
{
    for (uint32_t o = 1; o <= zdm_plan_n_steps(check->plan); o++) {
        struct step_texts t;
        step_texts(&t, check, zdm_plan_step(check->plan, o));
        if (t.slowest[0] != '\0')
            return true;
    }
    return false;
}

static void put_step_table(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check,
                           bool differ)
{
    static const struct ctl_column spread[] = {{"STEP", CTL_COLUMN_TEXT},   {"KIND", CTL_COLUMN_TEXT},
                                               {"LEAST", CTL_COLUMN_RIGHT}, {"TYPICAL", CTL_COLUMN_RIGHT},
                                               {"MOST", CTL_COLUMN_RIGHT},  {"SLOWEST", CTL_COLUMN_TEXT},
                                               {"DISK", CTL_COLUMN_RIGHT},  {"TABLE LOCK", CTL_COLUMN_WRAP}};
    static const struct ctl_column same[] = {{"STEP", CTL_COLUMN_TEXT},
                                             {"KIND", CTL_COLUMN_TEXT},
                                             {"TIME", CTL_COLUMN_RIGHT},
                                             {"DISK", CTL_COLUMN_RIGHT},
                                             {"TABLE LOCK", CTL_COLUMN_WRAP}};
    struct ctl_table *table = ctl_table_new(look, differ ? spread : same,
                                            differ ? sizeof spread / sizeof *spread : sizeof same / sizeof *same, true);
    for (uint32_t o = 1; o <= zdm_plan_n_steps(check->plan); o++) {
        const struct zdm_step *step = zdm_plan_step(check->plan, o);
        const char *kind = zdm_step_kind_name(step->kind);
        struct step_texts t;
        step_texts(&t, check, step);
        const char *const all[] = {step->id, kind, t.min, t.typical, t.max, t.slowest, t.room, t.lock};
        const char *const few[] = {step->id, kind, t.typical, t.room, t.lock};
        ctl_table_row(table, differ ? all : few);
    }
    ctl_table_put(table, out);
}

/* A paragraph for each step, where a table does not fit. */
static void put_step_lines(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check)
{
    for (uint32_t o = 1; o <= zdm_plan_n_steps(check->plan); o++) {
        const struct zdm_step *step = zdm_plan_step(check->plan, o);
        struct zdm_buffer line = ZDM_BUFFER_INIT;
        struct step_texts t;
        step_texts(&t, check, step);
        zdm_buffer_printf(&line, "%s %s: ", step->id, zdm_step_kind_name(step->kind));
        if (t.typical[0] != '\0')
            zdm_buffer_printf(&line, "%s", t.typical);
        if (t.slowest[0] != '\0')
            zdm_buffer_printf(&line, " (%s to %s on %s)", t.min, t.max, t.slowest);
        if (t.room[0] != '\0')
            zdm_buffer_printf(&line, ", %s of disk", t.room);
        zdm_buffer_printf(&line, "%slock %s", t.typical[0] != '\0' ? ", " : "", t.lock);
        ctl_check_line(out, look, CTL_PLAIN, zdm_buffer_text(&line), 2);
        zdm_buffer_fini(&line);
    }
}

static void put_steps(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check)
{
    enum { TABLE_COLUMNS_MIN = 70, SPREAD_COLUMNS_MIN = 92 };
    if (ctl_fleet_survey_answered(check->fleet) == 0)
        return;
    ctl_check_heading(out, look, "Steps, and how long each takes");
    bool differ = times_differ(check);
    if (look->width >= (differ ? SPREAD_COLUMNS_MIN : TABLE_COLUMNS_MIN))
        put_step_table(out, look, check, differ);
    else
        put_step_lines(out, look, check);
    ctl_wrap(out, look, CTL_DIM,
             "Estimates, without waits for locks, traffic and other shards. \"seen\": the server took that lock on an "
             "empty clone.",
             0, 0);
}

/* ---- The page ---- */

static void put_head(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check)
{
    char hash[ZDM_HASH_HEX_SIZE];
    struct zdm_buffer line = ZDM_BUFFER_INIT;
    size_t n = check->fleet->n, answered = ctl_fleet_survey_answered(check->fleet);
    zdm_hex(hash, check->plan->hash.bytes, sizeof check->plan->hash.bytes);
    ctl_put(out, look, CTL_BOLD, check->plan->id);
    if (check->notes->title[0] != '\0') {
        zdm_buffer_puts(out, "  ");
        ctl_put(out, look, CTL_PLAIN, check->notes->title);
    }
    zdm_buffer_puts(out, "\n");
    zdm_buffer_printf(&line, "plan %.12s; asked %zu shard%s, %s", hash, n, n == 1 ? "" : "s",
                      answered == n ? "all answered" : "");
    if (answered != n)
        zdm_buffer_printf(&line, "%zu answered", answered);
    ctl_wrap(out, look, answered == n ? CTL_DIM : CTL_WARN, zdm_buffer_text(&line), 0, 4);
    zdm_buffer_fini(&line);
}

void ctl_check_text(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check)
{
    struct ctl_look narrow = *look;
    if (narrow.width > CTL_PLAN_WIDTH_MAX || !narrow.terminal)
        narrow.width = CTL_PLAN_WIDTH_MAX;
    put_head(out, &narrow, check);
    put_findings(out, &narrow, check);
    put_waived(out, &narrow, check);
    put_tables(out, &narrow, check);
    put_steps(out, &narrow, check);
    ctl_check_servers(out, &narrow, check);
    ctl_check_silent(out, &narrow, check);
}
