/*
 * fleet_survey.c - a fleet's answers to a survey, taken in pieces; what one table or step is in them, and how two
 * outlines differ. See fleet_survey.h; survey_groups.c has what is the same on several shards.
 */
#include "coordinator/ctl/client/fleet_survey.h"

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

bool ctl_is_same_table(const struct zdm_table *a, const struct zdm_table *b)
{
    return a->schema != NULL && b->schema != NULL && strcmp(a->schema, b->schema) == 0 && a->name != NULL &&
           b->name != NULL && strcmp(a->name, b->name) == 0;
}

const struct zdm_survey_table *ctl_survey_table(const struct zdm_survey *survey, const struct zdm_table *name)
{
    for (size_t i = 0; survey != NULL && i < survey->n_tables; i++)
        if (ctl_is_same_table(&survey->tables[i].name, name))
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
