/*
 * support.h - what the runbook tests share: reading files of the source tree, compiling a text.
 */
#ifndef TESTS_UNIT_RUNBOOK_SUPPORT_H
#define TESTS_UNIT_RUNBOOK_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/runbook/runbook.h"

struct compiled {
    struct zdm_plan *plan;
    struct zdm_notes *notes;
};

/* A whole file, below the source tree; the test fails without it. */
char *read_source(const char *path, size_t *out_n);
/* Names of the files in a folder below the source tree that end in `suffix`, sorted; free each and the list. */
char **list_source(const char *folder, const char *suffix, size_t *out_n);
/* Compiles; the test fails when the compiler cannot look at it. */
struct compiled compile_text(const char *name, const char *text, size_t n);
/* Compiles what must give a plan: its findings are printed when it does not. */
struct compiled compile_good(const char *name, const char *text);
void compiled_fini(struct compiled *c);
/* The first finding of that rule, or NULL. */
const struct zdm_finding *find_rule(const struct compiled *c, const char *rule);
/* The first step with that action, or NULL. */
const struct zdm_step *find_action(const struct compiled *c, enum zdm_action action);

#endif
