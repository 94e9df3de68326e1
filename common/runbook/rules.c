/*
 * rules.c - see rules.h. The table is made from docs/RULES.md by rules.cmake.
 */
#include "common/runbook/rules.h"

#include <string.h>

#include "common/runbook/compile.h"

extern const struct zdm_rule zdm_rule_pages[];

const struct zdm_rule *zdm_rule_at(size_t i)
{
    for (size_t k = 0; k <= i; k++) {
        if (zdm_rule_pages[k].name == NULL)
            return NULL;
    }
    return &zdm_rule_pages[i];
}

const char *zdm_rule_page(const char *rule)
{
    for (const struct zdm_rule *row = zdm_rule_pages; row->name != NULL; row++) {
        if (strcmp(row->name, rule) == 0)
            return row->page;
    }
    return NULL;
}

const char *zdm_rule_nearest(const char *rule)
{
    enum { RULES_MAX = 1024 };
    const char *names[RULES_MAX + 1];
    size_t n = 0;
    for (const struct zdm_rule *row = zdm_rule_pages; row->name != NULL && n < RULES_MAX; row++)
        names[n++] = row->name;
    names[n] = NULL;
    return rb_nearest(rule, names);
}
