/*
 * fleet_survey.c - a fleet's answers to a survey: taken in pieces, then grouped. See fleet_survey.h.
 */
#include "coordinator/ctl/fleet_survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"

enum { COLUMN_TEXT_MAX = 3 * (ZDM_IDENTIFIER_MAX + 1) };

/* ---- Taking ---- */

void ctl_fleet_survey_fini(struct ctl_fleet_survey *fleet)
{
    for (size_t i = 0; i < fleet->n; i++) {
        zdm_buffer_fini(&fleet->shards[i].bytes);
        zdm_survey_free(fleet->shards[i].survey);
        free(fleet->shards[i].why);
    }
    free(fleet->shards);
    *fleet = (struct ctl_fleet_survey){.n = 0};
}

/* The newest come last, and pieces follow each other closely. */
static struct ctl_shard_survey *shard_of(struct ctl_fleet_survey *fleet, const char *name)
{
    for (size_t i = fleet->n; i > 0; i--)
        if (strcmp(fleet->shards[i - 1].shard, name) == 0)
            return &fleet->shards[i - 1];
    if (!ZDM_RESERVE(fleet->shards, fleet->cap, fleet->n + 1)) {
        fleet->failed = true;
        return NULL;
    }
    struct ctl_shard_survey *row = &fleet->shards[fleet->n++];
    *row = (struct ctl_shard_survey){.complete = false};
    zdm_buffer_init(&row->bytes, ZDM_SURVEY_MAX);
    zdm_copy_text(row->shard, sizeof row->shard, name);
    return row;
}

static void say_why(struct ctl_fleet_survey *fleet, struct ctl_shard_survey *row, const char *why)
{
    free(row->why);
    row->why = zdm_strdup(why);
    row->complete = true;
    fleet->failed = fleet->failed || row->why == NULL;
}

static void finish(struct ctl_fleet_survey *fleet, struct ctl_shard_survey *row)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    row->complete = true;
    if (row->bytes.failed)
        say_why(fleet, row, "its answer is too large");
    else if (zdm_survey_decode(row->bytes.data, row->bytes.len, &row->survey, &err) != ZDM_OK)
        say_why(fleet, row, err.message);
    zdm_buffer_reset(&row->bytes);
}

void ctl_fleet_survey_piece(struct ctl_fleet_survey *fleet, const char *shard, const void *bytes, size_t n)
{
    struct ctl_shard_survey *row = shard_of(fleet, shard);
    if (row == NULL || row->complete)
        return;
    if (n > 0)
        zdm_buffer_append(&row->bytes, bytes, n);
    else
        finish(fleet, row);
}

void ctl_fleet_survey_silent(struct ctl_fleet_survey *fleet, const char *shard, const void *why, size_t n)
{
    struct ctl_shard_survey *row = shard_of(fleet, shard);
    ZDM_CLEANUP(zdm_freep) char *text = zdm_memdup(n > 0 ? why : "it did not say why", n > 0 ? n : 18);
    if (row != NULL && !row->complete)
        say_why(fleet, row, text != NULL ? text : "");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct ctl_shard_survey *)a)->shard, ((const struct ctl_shard_survey *)b)->shard);
}

void ctl_fleet_survey_whole(struct ctl_fleet_survey *fleet)
{
    for (size_t i = 0; i < fleet->n; i++)
        if (!fleet->shards[i].complete)
            say_why(fleet, &fleet->shards[i], "its answer broke off");
    if (fleet->n > 1)
        qsort(fleet->shards, fleet->n, sizeof *fleet->shards, by_name);
}

size_t ctl_fleet_survey_answered(const struct ctl_fleet_survey *fleet)
{
    size_t n = 0;
    for (size_t i = 0; i < fleet->n; i++)
        n += fleet->shards[i].survey != NULL;
    return n;
}

/* ---- Looking something up ---- */

static bool same_table(const struct zdm_table *a, const struct zdm_table *b)
{
    return a->schema != NULL && b->schema != NULL && strcmp(a->schema, b->schema) == 0 && a->name != NULL &&
           b->name != NULL && strcmp(a->name, b->name) == 0;
}

const struct zdm_survey_table *ctl_survey_table(const struct zdm_survey *survey, const struct zdm_table *name)
{
    for (size_t i = 0; survey != NULL && i < survey->n_tables; i++)
        if (same_table(&survey->tables[i].name, name))
            return &survey->tables[i];
    return NULL;
}

const struct zdm_survey_step *ctl_survey_step(const struct zdm_survey *survey, uint32_t ordinal)
{
    for (size_t i = 0; survey != NULL && i < survey->n_steps; i++)
        if (survey->steps[i].ordinal == ordinal)
            return &survey->steps[i];
    return NULL;
}

const char *ctl_waived(const struct zdm_notes *notes, const char *rule)
{
    for (size_t i = 0; i < notes->n_waivers; i++)
        if (strcmp(notes->waivers[i].rule, rule) == 0)
            return notes->waivers[i].reason;
    return NULL;
}

/* ---- Grouping ---- */

static bool add_shard(struct ctl_shard_list *list, size_t shard)
{
    if (list->n > 0 && list->items[list->n - 1] == shard)
        return true; /* the same twice on one shard */
    if (!ZDM_RESERVE(list->items, list->cap, list->n + 1))
        return false;
    list->items[list->n++] = shard;
    return true;
}

static bool same_finding(const struct zdm_survey_finding *a, const struct zdm_survey_finding *b)
{
    return a->level == b->level && a->step == b->step && strcmp(a->rule, b->rule) == 0 &&
           strcmp(a->object, b->object) == 0;
}

static void add_finding(struct ctl_grouped *out, const struct zdm_notes *notes, size_t shard,
                        const struct zdm_survey_finding *finding)
{
    struct ctl_finding_group *group = NULL;
    for (size_t i = 0; i < out->n_findings && group == NULL; i++)
        if (same_finding(out->findings[i].finding, finding))
            group = &out->findings[i];
    if (group == NULL) {
        if (!ZDM_RESERVE(out->findings, out->cap_findings, out->n_findings + 1)) {
            out->failed = true;
            return;
        }
        group = &out->findings[out->n_findings++];
        *group = (struct ctl_finding_group){.finding = finding, .waived = ctl_waived(notes, finding->rule)};
    }
    group->words_differ = group->words_differ || strcmp(group->finding->message, finding->message) != 0;
    out->failed = !add_shard(&group->shards, shard) || out->failed;
}

static struct ctl_table_groups *groups_of(struct ctl_grouped *out, const struct zdm_table *name)
{
    for (size_t i = 0; i < out->n_tables; i++)
        if (same_table(out->tables[i].name, name))
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

void ctl_group(const struct ctl_fleet_survey *fleet, const struct zdm_notes *notes, struct ctl_grouped *out)
{
    *out = (struct ctl_grouped){.failed = false};
    for (size_t s = 0; s < fleet->n; s++) {
        const struct zdm_survey *survey = fleet->shards[s].survey;
        for (size_t i = 0; survey != NULL && i < survey->n_findings; i++)
            add_finding(out, notes, s, &survey->findings[i]);
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

/* ---- The type of a column ---- */

static const char *type_on(const struct zdm_survey *survey, const char *column)
{
    for (size_t i = 0; survey != NULL && i < survey->n_tables; i++) {
        const struct zdm_survey_table *table = &survey->tables[i];
        for (size_t k = 0; k < table->n_columns; k++) {
            char name[COLUMN_TEXT_MAX];
            (void)snprintf(name, sizeof name, "%s%s%s.%s", table->name.schema, zdm_table_dot(&table->name),
                           table->name.name, table->columns[k].name);
            if (strcmp(name, column) == 0)
                return table->columns[k].type;
        }
    }
    return NULL;
}

/* The same on every shard, or nobody can say it. */
enum zdm_code ctl_fleet_type(const struct ctl_fleet_survey *fleet, const char *column, char **out,
                             struct zdm_error *err)
{
    const char *found = NULL, *where = NULL;
    for (size_t i = 0; i < fleet->n; i++) {
        const char *type = type_on(fleet->shards[i].survey, column);
        if (type == NULL)
            continue;
        if (found != NULL && strcmp(found, type) != 0) {
            zdm_error_set(err, ZDM_CONFLICT, "%s is %s on %s and %s on %s", column, found, where, type,
                          fleet->shards[i].shard);
            return zdm_error_hint(err, "Make the shards alike first, or say which one is meant: --type TYPE.");
        }
        found = type;
        where = fleet->shards[i].shard;
    }
    if (found == NULL && fleet->n > 0 && ctl_fleet_survey_answered(fleet) == 0) {
        zdm_error_set(err, ZDM_UNAVAILABLE, "no shard could say which type %s has: %s: %s", column,
                      fleet->shards[0].shard, fleet->shards[0].why != NULL ? fleet->shards[0].why : "");
        return zdm_error_hint(err, "Give it: --type TYPE.");
    }
    if (found == NULL) {
        zdm_error_set(err, ZDM_NOT_FOUND, "no shard has a column %s", column);
        return zdm_error_hint(err,
                              "Is its name spelled as in the database? A schema is written in front of the table.");
    }
    *out = zdm_strdup(found);
    return *out != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

/* ---- Outlines ---- */

struct line {
    const char *text;
    size_t n;
};

static bool next_line(const char **at, struct line *out)
{
    while (**at == '\n')
        (*at)++;
    out->text = *at;
    out->n = strcspn(*at, "\n");
    *at += out->n;
    return out->n > 0;
}

static bool has_line(const char *text, const struct line *wanted)
{
    struct line line;
    while (next_line(&text, &line))
        if (line.n == wanted->n && memcmp(line.text, wanted->text, line.n) == 0)
            return true;
    return false;
}

/* What a line is about: its first two words, "index users_email_idx". */
static size_t subject_of(const struct line *line)
{
    size_t first = 0;
    while (first < line->n && line->text[first] != ' ')
        first++;
    size_t second = first < line->n ? first + 1 : first;
    while (second < line->n && line->text[second] != ' ' && line->text[second] != ':')
        second++;
    return second;
}

/* The line about the same thing; false: there is none. */
static bool find_subject(const char *text, const struct line *like, struct line *out)
{
    size_t n = subject_of(like);
    while (next_line(&text, out))
        if (subject_of(out) == n && memcmp(out->text, like->text, n) == 0)
            return true;
    return false;
}

void ctl_outline_difference(struct zdm_buffer *out, const char *norm, const char *other)
{
    const char *at = norm;
    struct line line, instead;
    while (next_line(&at, &line)) {
        if (has_line(other, &line))
            continue;
        if (find_subject(other, &line, &instead))
            zdm_buffer_printf(out, "has \"%.*s\" instead of \"%.*s\"\n", (int)instead.n, instead.text, (int)line.n,
                              line.text);
        else
            zdm_buffer_printf(out, "has no %.*s\n", (int)line.n, line.text);
    }
    at = other;
    while (next_line(&at, &line))
        if (!has_line(norm, &line) && !find_subject(norm, &line, &instead))
            zdm_buffer_printf(out, "has %.*s, which the others do not have\n", (int)line.n, line.text);
}
