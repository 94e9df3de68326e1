/*
 * rules.h - the pages of docs/RULES.md, one a rule, as they were when the program was built: `zdmctl explain`, and the
 * names that `waive:` may hold.
 */
#ifndef ZDM_RUNBOOK_RULES_H
#define ZDM_RUNBOOK_RULES_H

#include <stddef.h>

struct zdm_rule {
    const char *name;
    const char *page; /* Markdown below the heading, without blank lines at its ends */
};

/* The text of a rule's section; NULL when there is no such rule. */
const char *zdm_rule_page(const char *rule);
/* The i-th rule, in the order of the document; NULL behind the last. */
const struct zdm_rule *zdm_rule_at(size_t i);
/* The rule whose name is near enough to be what was meant; NULL when none is. */
const char *zdm_rule_nearest(const char *rule);

#endif
