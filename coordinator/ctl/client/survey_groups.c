/*
 * survey_groups.c - what is the same on several shards of a fleet: findings, tables, numbers. See fleet_survey.h.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/plan/engines.h"
#include "coordinator/ctl/client/fleet_survey.h"

const char *ctl_waived(const struct zdm_notes *notes, const char *rule)
{
    for (size_t i = 0; i < notes->n_waivers; i++)
        if (strcmp(notes->waivers[i].rule, rule) == 0)
            return notes->waivers[i].reason;
    return NULL;
}

/* ---- Grouping ---- */

struct grouper {
    const struct zdm_plan *plan;
    const struct zdm_notes *notes;
    struct ctl_grouped *out;
};

static bool add_shard(struct ctl_shard_list *list, size_t shard)
{
    if (list->n > 0 && list->items[list->n - 1] == shard)
        return true; /* the same twice on one shard */
    if (!ZDM_RESERVE(list->items, list->cap, list->n + 1))
        return false;
    list->items[list->n++] = shard;
    return true;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* What each engine does for the same line of the runbook is the same step to who wrote it. */
static bool same_step(const struct grouper *g, uint32_t a, uint32_t b)
{
    uint32_t n = zdm_plan_n_steps(g->plan);
    if (a == b || a == 0 || b == 0 || a > n || b > n || a > g->notes->n_steps || b > g->notes->n_steps)
        return a == b;
    const struct zdm_step *x = zdm_plan_step(g->plan, a), *y = zdm_plan_step(g->plan, b);
    return x->engine != y->engine && x->action == y->action && same_text(x->table.name, y->table.name) &&
           same_text(x->column, y->column) && g->notes->steps[a - 1].line == g->notes->steps[b - 1].line &&
           zdm_plan_phase_of(g->plan, a) == zdm_plan_phase_of(g->plan, b);
}

static bool same_thing(const struct grouper *g, const struct zdm_survey_finding *a, const struct zdm_survey_finding *b)
{
    return a->level == b->level && strcmp(a->rule, b->rule) == 0 && zdm_is_same_thing(a->object, b->object) &&
           same_step(g, a->step, b->step);
}

static size_t digits_at(const char *text, const char *at)
{
    bool in_name = at > text && (isalnum((unsigned char)at[-1]) || at[-1] == '_');
    return in_name ? 0 : strspn(at, "0123456789");
}

/* But for numbers: how many rows, which pid. Those of a name are no numbers. */
static bool same_but_numbers(const char *a, const char *b)
{
    const char *x = a, *y = b;
    for (;;) {
        size_t n = digits_at(a, x), m = digits_at(b, y);
        if ((n > 0) != (m > 0) || x[n] != y[m])
            return false;
        if (x[n] == '\0')
            return true;
        x += n + 1;
        y += m + 1;
    }
}

/* One shard says several things of one object: three views depend on a column. */
static bool is_alone(const struct grouper *g, const struct zdm_survey *survey, const struct zdm_survey_finding *finding)
{
    for (size_t i = 0; i < survey->n_findings; i++)
        if (&survey->findings[i] != finding && same_thing(g, &survey->findings[i], finding))
            return false;
    return true;
}

static bool has_shard(const struct ctl_finding_group *group, size_t shard)
{
    return group->shards.n > 0 && group->shards.items[group->shards.n - 1] == shard;
}

static struct ctl_finding_group *in_the_same_words(const struct grouper *g, const struct zdm_survey_finding *finding)
{
    for (size_t i = 0; i < g->out->n_findings; i++)
        if (same_thing(g, g->out->findings[i].finding, finding) &&
            strcmp(g->out->findings[i].finding->message, finding->message) == 0)
            return &g->out->findings[i];
    return NULL;
}

/* Of other shards only: what one shard says in two ways is two things. */
static struct ctl_finding_group *in_other_words(const struct grouper *g, size_t shard,
                                                const struct zdm_survey_finding *finding, bool alone)
{
    for (size_t i = 0; i < g->out->n_findings; i++) {
        struct ctl_finding_group *group = &g->out->findings[i];
        if (same_thing(g, group->finding, finding) && !has_shard(group, shard) &&
            ((alone && group->alone) || same_but_numbers(group->finding->message, finding->message)))
            return group;
    }
    return NULL;
}

static struct ctl_finding_group *new_group(const struct grouper *g, const struct zdm_survey_finding *finding)
{
    struct ctl_grouped *out = g->out;
    if (!ZDM_RESERVE(out->findings, out->cap_findings, out->n_findings + 1)) {
        out->failed = true;
        return NULL;
    }
    struct ctl_finding_group *group = &out->findings[out->n_findings++];
    *group =
        (struct ctl_finding_group){.finding = finding, .alone = true, .waived = ctl_waived(g->notes, finding->rule)};
    return group;
}

static void join(const struct grouper *g, size_t shard, const struct zdm_survey_finding *finding, bool alone,
                 struct ctl_finding_group *group)
{
    if (finding->step != group->finding->step)
        group->other_step = finding->step;
    group->alone = group->alone && alone;
    group->words_differ = group->words_differ || strcmp(group->finding->message, finding->message) != 0;
    g->out->failed = !add_shard(&group->shards, shard) || g->out->failed;
}

/* First what others said in the same words, so that nothing else takes its place. */
static void add_findings(const struct grouper *g, size_t shard, const struct zdm_survey *survey)
{
    for (size_t i = 0; i < survey->n_findings; i++) {
        const struct zdm_survey_finding *finding = &survey->findings[i];
        struct ctl_finding_group *group = in_the_same_words(g, finding);
        if (group != NULL)
            join(g, shard, finding, is_alone(g, survey, finding), group);
    }
    for (size_t i = 0; i < survey->n_findings && !g->out->failed; i++) {
        const struct zdm_survey_finding *finding = &survey->findings[i];
        bool alone = is_alone(g, survey, finding);
        struct ctl_finding_group *group = in_the_same_words(g, finding);
        if (group == NULL)
            group = in_other_words(g, shard, finding, alone);
        if (group == NULL)
            group = new_group(g, finding);
        if (group != NULL)
            join(g, shard, finding, alone, group);
    }
}

static struct ctl_table_groups *groups_of(struct ctl_grouped *out, const struct zdm_table *name)
{
    for (size_t i = 0; i < out->n_tables; i++)
        if (ctl_is_same_table(out->tables[i].name, name))
            return &out->tables[i];
    if (!ZDM_RESERVE(out->tables, out->cap_tables, out->n_tables + 1)) {
        out->failed = true;
        return NULL;
    }
    struct ctl_table_groups *groups = &out->tables[out->n_tables++];
    *groups = (struct ctl_table_groups){.name = name};
    return groups;
}

static void add_table(struct ctl_grouped *out, size_t shard, const struct zdm_survey_table *table)
{
    struct ctl_table_groups *groups = groups_of(out, &table->name);
    struct ctl_table_group *group = NULL;
    for (size_t i = 0; groups != NULL && i < groups->n && group == NULL; i++)
        if (groups->groups[i].table->exists == table->exists &&
            zdm_hash_equal(&groups->groups[i].table->fingerprint, &table->fingerprint))
            group = &groups->groups[i];
    if (groups != NULL && group == NULL) {
        if (!ZDM_RESERVE(groups->groups, groups->cap, groups->n + 1)) {
            out->failed = true;
            return;
        }
        group = &groups->groups[groups->n++];
        *group = (struct ctl_table_group){.table = table};
    }
    if (group != NULL)
        out->failed = !add_shard(&group->shards, shard) || out->failed;
}

static int by_weight(const void *a, const void *b)
{
    const struct ctl_finding_group *x = a, *y = b;
    if ((x->waived != NULL) != (y->waived != NULL))
        return x->waived != NULL ? 1 : -1;
    if (x->finding->level != y->finding->level)
        return x->finding->level > y->finding->level ? -1 : 1;
    if (x->finding->step != y->finding->step)
        return x->finding->step < y->finding->step ? -1 : 1;
    int order = strcmp(x->finding->rule, y->finding->rule);
    return order != 0 ? order : strcmp(x->finding->object, y->finding->object);
}

/* The largest first; of equals the one whose first shard comes first. */
static int by_size(const void *a, const void *b)
{
    const struct ctl_table_group *x = a, *y = b;
    if (x->shards.n != y->shards.n)
        return x->shards.n > y->shards.n ? -1 : 1;
    return x->shards.items[0] < y->shards.items[0] ? -1 : 1;
}

void ctl_group(const struct ctl_fleet_survey *fleet, const struct zdm_plan *plan, const struct zdm_notes *notes,
               struct ctl_grouped *out)
{
    const struct grouper g = {.plan = plan, .notes = notes, .out = out};
    *out = (struct ctl_grouped){.failed = false};
    for (size_t s = 0; s < fleet->n; s++) {
        const struct zdm_survey *survey = fleet->shards[s].survey;
        if (survey != NULL)
            add_findings(&g, s, survey);
        for (size_t i = 0; survey != NULL && i < survey->n_tables; i++)
            add_table(out, s, &survey->tables[i]);
    }
    if (out->failed)
        return;
    if (out->n_findings > 1)
        qsort(out->findings, out->n_findings, sizeof *out->findings, by_weight);
    for (size_t i = 0; i < out->n_tables; i++)
        if (out->tables[i].n > 1)
            qsort(out->tables[i].groups, out->tables[i].n, sizeof *out->tables[i].groups, by_size);
}

void ctl_grouped_fini(struct ctl_grouped *grouped)
{
    for (size_t i = 0; i < grouped->n_findings; i++)
        free(grouped->findings[i].shards.items);
    for (size_t i = 0; i < grouped->n_tables; i++) {
        for (size_t k = 0; k < grouped->tables[i].n; k++)
            free(grouped->tables[i].groups[k].shards.items);
        free(grouped->tables[i].groups);
    }
    free(grouped->findings);
    free(grouped->tables);
    *grouped = (struct ctl_grouped){.failed = false};
}

size_t ctl_grouped_count(const struct ctl_grouped *grouped, enum zdm_level level)
{
    size_t n = 0;
    for (size_t i = 0; i < grouped->n_findings; i++)
        n += grouped->findings[i].waived == NULL && grouped->findings[i].finding->level == level;
    return n;
}

/* ---- Numbers ---- */

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

bool ctl_range_of(const struct ctl_fleet_survey *fleet, int64_t (*pick)(const struct zdm_survey *, const void *),
                  const void *what, struct ctl_range *out)
{
    *out = (struct ctl_range){.n = 0};
    ZDM_CLEANUP(zdm_freep) int64_t *values = malloc((fleet->n + 1) * sizeof *values);
    for (size_t i = 0; values != NULL && i < fleet->n; i++) {
        int64_t value = fleet->shards[i].survey != NULL ? pick(fleet->shards[i].survey, what) : -1;
        if (value < 0)
            continue;
        if (out->n == 0 || value < out->min) {
            out->min = value;
            out->min_shard = i;
        }
        if (out->n == 0 || value > out->max) {
            out->max = value;
            out->max_shard = i;
        }
        out->sum += value;
        values[out->n++] = value;
    }
    if (out->n == 0)
        return false;
    qsort(values, out->n, sizeof *values, by_value);
    out->typical = values[(out->n - 1) / 2];
    return true;
}
