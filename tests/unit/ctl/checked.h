/*
 * checked.h - what the tests of `check` share: the small plan that a fleet is asked about.
 */
#ifndef TESTS_UNIT_CTL_CHECKED_H
#define TESTS_UNIT_CTL_CHECKED_H

#include "run.h"

#include "coordinator/ctl/cmd/source.h"

static const char runbook[] = "---\nid: rename\n---\n# Rename name\n## Phase 1: Expand\n```sql\n"
                              "ALTER TABLE users ADD COLUMN full_name text;\n"
                              "CREATE INDEX users_full ON users (full_name);\n```\n";

static struct ctl_compiled compiled;

/* For a member of a survey, which owns its texts. */
static char *text_of(const char *text)
{
    char *copy = zdm_strdup(text);
    assert_non_null(copy);
    return copy;
}

static struct zdm_survey_finding finding_of(enum zdm_level level, const char *rule, const char *message)
{
    return (struct zdm_survey_finding){.level = level,
                                       .rule = text_of(rule),
                                       .step = 1,
                                       .object = text_of("public.users"),
                                       .message = text_of(message),
                                       .hint = text_of("Do something.")};
}

static int set_up(void **state)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    if (enter(state) != 0 || ctl_compile_text("rename.md", runbook, strlen(runbook), &compiled, &err) != ZDM_OK)
        return 1;
    return compiled.plan != NULL ? 0 : 1;
}

static int tear_down(void **state)
{
    ctl_compiled_fini(&compiled);
    return leave(state);
}

#endif
