/*
 * fleet_survey.h - what the shards of a fleet answered to a survey of a plan, and what of it is the same everywhere.
 *
 * The answers come in pieces, mixed (docs/PROTOCOL.md, Surveys); client_survey.c puts them together here. Grouping is
 * pure: it knows nothing of terminals and sessions.
 */
#ifndef COORDINATOR_CTL_CLIENT_FLEET_SURVEY_H
#define COORDINATOR_CTL_CLIENT_FLEET_SURVEY_H

#include "common/base/buffer.h"
#include "common/base/error.h"
#include "common/plan/survey.h"

struct ctl_shard_survey {
    char shard[ZDM_NAME_MAX + 1];
    struct zdm_buffer bytes;   /* while it comes */
    bool complete;             /* nothing more comes */
    struct zdm_survey *survey; /* NULL: there is none, and `why` says why */
    char *why;
};

struct ctl_fleet_survey {
    struct ctl_shard_survey *shards; /* sorted by name once it is whole */
    size_t n, cap;
    bool failed; /* no memory */
};

void ctl_fleet_survey_fini(struct ctl_fleet_survey *fleet);
/* One piece of a shard's answer; n = 0 ends it. */
void ctl_fleet_survey_piece(struct ctl_fleet_survey *fleet, const char *shard, const void *bytes, size_t n);
/* The shard has no survey, for that reason. */
void ctl_fleet_survey_silent(struct ctl_fleet_survey *fleet, const char *shard, const void *why, size_t n);
/* Everything is there: sorts by name; who did not finish is silent. */
void ctl_fleet_survey_whole(struct ctl_fleet_survey *fleet);
size_t ctl_fleet_survey_answered(const struct ctl_fleet_survey *fleet);

/* ---- What is the same on several shards ---- */

/* Indices of shards, sorted. */
struct ctl_shard_list {
    size_t *items, n, cap;
};

/* Findings that are about the same thing; the words are those of the first shard. Several that one shard has about one
 * object are a group each; those of other shards go to the one with the same words, else with other numbers. On shards
 * of two engines it is the same thing where both carry out one line of the runbook, each with a step of its own. */
struct ctl_finding_group {
    const struct zdm_survey_finding *finding; /* borrowed from the first shard's survey */
    uint32_t other_step;                      /* the other engine's, by its ordinal; 0: none */
    bool words_differ;
    bool alone;         /* each of its shards says one thing only of that object */
    const char *waived; /* the reason; NULL: not waived. Borrowed from the notes */
    struct ctl_shard_list shards;
};

/* Shards on which a table looks the same. */
struct ctl_table_group {
    const struct zdm_survey_table *table; /* of the first of them */
    struct ctl_shard_list shards;
};

struct ctl_table_groups {
    const struct zdm_table *name;
    struct ctl_table_group *groups; /* the largest first: what the others are compared with */
    size_t n, cap;
};

/* A number over all shards; shard: index of the one with the largest. n: shards that know it. */
struct ctl_range {
    int64_t min, typical, max, sum;
    size_t n, min_shard, max_shard;
};

struct ctl_grouped {
    struct ctl_finding_group *findings; /* not waived first; then by level, step and rule */
    size_t n_findings, cap_findings;
    struct ctl_table_groups *tables; /* in the plan's order */
    size_t n_tables, cap_tables;
    bool failed;
};

void ctl_group(const struct ctl_fleet_survey *fleet, const struct zdm_plan *plan, const struct zdm_notes *notes,
               struct ctl_grouped *out);
void ctl_grouped_fini(struct ctl_grouped *grouped);
/* Groups of that level that are not waived. */
size_t ctl_grouped_count(const struct ctl_grouped *grouped, enum zdm_level level);
/* The reason why findings of a rule are waived; NULL: they are not. */
const char *ctl_waived(const struct zdm_notes *notes, const char *rule);

/* Over the shards whose survey has it: of each the number that pick() says, -1 for not known. */
bool ctl_range_of(const struct ctl_fleet_survey *fleet, int64_t (*pick)(const struct zdm_survey *, const void *),
                  const void *what, struct ctl_range *out);
/* The table in a survey; the step in one. NULL: it is not there. */
const struct zdm_survey_table *ctl_survey_table(const struct zdm_survey *survey, const struct zdm_table *name);
const struct zdm_survey_step *ctl_survey_step(const struct zdm_survey *survey, uint32_t ordinal);
bool ctl_is_same_table(const struct zdm_table *a, const struct zdm_table *b);

/* The type that a column (SCHEMA.TABLE.COLUMN) has on every shard. ZDM_NOT_FOUND: nobody has it; ZDM_CONFLICT: shards
 * differ; ZDM_UNAVAILABLE: nobody answered. The caller frees *out. */
enum zdm_code ctl_fleet_type(const struct ctl_fleet_survey *fleet, const char *column, char **out,
                             struct zdm_error *err) ZDM_CHECKED;

/* The difference of two outlines, a line for each thing: "has no index users_email_idx", "has index x", "has … instead
 * of …". Appends to out, each line ended by \n. */
void ctl_outline_difference(struct zdm_buffer *out, const char *norm, const char *other);

#endif
