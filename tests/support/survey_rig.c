/*
 * survey_rig.c - see survey_rig.h.
 */
#include "tests/support/survey_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

static struct agent_result *last;

void survey_forget(void)
{
    agent_result_free(last);
    last = NULL;
}

void plan_of(struct rig *r, const char *table, size_t n)
{
    rig_plan(r, table, n);
    r->plan->tables = calloc(1, sizeof *r->plan->tables);
    r->plan->n_tables = 1;
    r->plan->tables[0].schema = zdm_strdup(r->schema);
    r->plan->tables[0].name = zdm_strdup(table);
}

const struct zdm_survey *survey(struct rig *r)
{
    agent_result_free(last);
    last = rig_do(r, AGENT_OP_SURVEY, AGENT_RUN_NONE, 0, 0);
    if (last->outcome != AGENT_OK || last->survey == NULL) {
        fail_msg("survey: %s: %s %s", agent_outcome_name(last->outcome), last->error.message, last->error.detail);
    }
    return last->survey;
}

const struct zdm_survey_finding *find(const struct zdm_survey *s, const char *rule, const char *text)
{
    for (size_t i = 0; i < s->n_findings; i++) {
        if (strcmp(s->findings[i].rule, rule) == 0 &&
            (strstr(s->findings[i].message, text) != NULL || strstr(s->findings[i].object, text) != NULL)) {
            return &s->findings[i];
        }
    }
    return NULL;
}

void print(const struct zdm_survey *s)
{
    for (size_t i = 0; i < s->n_findings; i++) {
        print_message("  %d %s step %u %s: %s\n", (int)s->findings[i].level, s->findings[i].rule, s->findings[i].step,
                      s->findings[i].object, s->findings[i].message);
    }
}

void expect(const struct zdm_survey *s, enum zdm_level level, const char *rule, const char *text)
{
    const struct zdm_survey_finding *f = find(s, rule, text);
    if (f == NULL || f->level != level) {
        print(s);
        fail_msg("no finding %s of level %d with \"%s\"", rule, (int)level, text);
    }
}

void expect_none(const struct zdm_survey *s, const char *rule)
{
    const struct zdm_survey_finding *f = find(s, rule, "");
    if (f != NULL) {
        fail_msg("%s: %s: %s", rule, f->object, f->message);
    }
}

/* Nothing that would stop a step, and nothing that could not be looked at. */
void expect_clean(const struct zdm_survey *s)
{
    for (size_t i = 0; i < s->n_findings; i++) {
        if (s->findings[i].level == ZDM_LEVEL_ERROR || strcmp(s->findings[i].rule, "not-surveyed") == 0) {
            print(s);
            fail_msg("%s: %s", s->findings[i].rule, s->findings[i].message);
        }
    }
}

void add_column(struct rig *r, uint32_t ordinal, const char *column, const char *type)
{
    char sql[256];
    bool qualified = r->schema[0] != '\0';
    snprintf(sql, sizeof sql, "ALTER TABLE %s%s%cusers%c ADD COLUMN %c%s%c %s", r->schema, qualified ? "." : "",
             r->quote, r->quote, r->quote, column, r->quote, type);
    rig_ddl(r, ordinal, ZDM_ACTION_ADD_COLUMN, column, NULL, sql);
}

void point_at(struct zdm_step *step, const char *table)
{
    step->others = calloc(1, sizeof *step->others);
    step->n_others = 1;
    step->others[0].schema = zdm_strdup(step->table.schema);
    step->others[0].name = zdm_strdup(table);
}

void rename_table(struct zdm_step *step, const char *table)
{
    free(step->table.name);
    step->table.name = table == NULL ? NULL : zdm_strdup(table);
}
