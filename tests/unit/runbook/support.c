/*
 * support.c - see support.h.
 */
#include "tests/unit/runbook/support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILES_MAX = 1000 };

char *read_source(const char *path, size_t *out_n)
{
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", ZDM_SOURCE_DIR, path);
    FILE *file = fopen(full, "r");
    if (file == NULL)
        fail_msg("cannot read %s", full);
    char *text = calloc(1, ZDM_RUNBOOK_MAX + 1);
    assert_non_null(text);
    *out_n = fread(text, 1, ZDM_RUNBOOK_MAX, file);
    fclose(file);
    return text;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **list_source(const char *folder, const char *suffix, size_t *out_n)
{
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", ZDM_SOURCE_DIR, folder);
    DIR *dir = opendir(full);
    if (dir == NULL)
        fail_msg("cannot read %s", full);
    char **names = calloc(FILES_MAX, sizeof *names);
    assert_non_null(names);
    size_t n = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL && n < FILES_MAX; entry = readdir(dir)) {
        size_t len = strlen(entry->d_name), m = strlen(suffix);
        if (len > m && strcmp(entry->d_name + len - m, suffix) == 0)
            names[n++] = strdup(entry->d_name);
    }
    closedir(dir);
    qsort(names, n, sizeof *names, by_name);
    *out_n = n;
    return names;
}

struct compiled compile_text(const char *name, const char *text, size_t n)
{
    struct compiled c = {.plan = NULL};
    struct zdm_error err = ZDM_ERROR_INIT;
    if (zdm_runbook_compile(name, text, n, &c.plan, &c.notes, &err) != ZDM_OK)
        fail_msg("%s: %s", name, err.message);
    assert_non_null(c.notes);
    return c;
}

struct compiled compile_good(const char *name, const char *text)
{
    struct compiled c = compile_text(name, text, strlen(text));
    for (size_t i = 0; c.plan == NULL && i < c.notes->n_findings; i++) {
        const struct zdm_finding *f = &c.notes->findings[i];
        print_message("%s:%u:%u: %s: %s\n", name, f->line, f->column, f->rule, f->message);
    }
    assert_non_null(c.plan);
    return c;
}

void compiled_fini(struct compiled *c)
{
    zdm_plan_unref(c->plan);
    zdm_notes_free(c->notes);
}

const struct zdm_finding *find_rule(const struct compiled *c, const char *rule)
{
    for (size_t i = 0; i < c->notes->n_findings; i++) {
        if (strcmp(c->notes->findings[i].rule, rule) == 0)
            return &c->notes->findings[i];
    }
    return NULL;
}

const struct zdm_step *find_action(const struct compiled *c, enum zdm_action action)
{
    for (uint32_t i = 1; i <= zdm_plan_n_steps(c->plan); i++) {
        if (zdm_plan_step(c->plan, i)->action == action)
            return zdm_plan_step(c->plan, i);
    }
    return NULL;
}
