/*
 * rests.c - what of a plan's steps a rollback does not bring back exactly, and what stays. See back_text.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/ctl/text/back_text.h"

enum { SENTENCE = 512, NAME_SIZE = 2 * ZDM_IDENTIFIER_MAX + 80 };

struct rest {
    const char *word; /* "not exact", "stays"; NULL: nothing to say */
    char text[SENTENCE];
};

static void rest_of(struct rest *out, const struct zdm_plan *plan, const struct zdm_step *step, uint32_t floor)
{
    char name[NAME_SIZE];
    const char *why = ctl_inexact_text(step);
    *out = (struct rest){.word = NULL};
    if (why != NULL) {
        snprintf(out->text, sizeof out->text, "%s %s", ctl_subject_text(name, sizeof name, step), why);
        out->word = "not exact";
        return;
    }
    ctl_stays_text(out->text, sizeof out->text, plan, step, floor);
    if (out->text[0] != '\0')
        out->word = "stays";
}

static bool is_same(const struct rest *a, const struct rest *b)
{
    return a->word != NULL && b->word != NULL && strcmp(a->word, b->word) == 0 && strcmp(a->text, b->text) == 0;
}

static int by_ordinal(const void *a, const void *b)
{
    uint32_t x = (*(const struct zdm_step *const *)a)->ordinal, y = (*(const struct zdm_step *const *)b)->ordinal;
    return (x > y) - (x < y);
}

/* "not exact: steps 5.1 and 5.2: users.name is dropped for good" */
static void put_rest(struct zdm_buffer *out, const struct ctl_look *look, const struct rest *rest,
                     const struct zdm_step **same, size_t n)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer line = ZDM_BUFFER_INIT;
    qsort(same, n, sizeof *same, by_ordinal);
    zdm_buffer_printf(&line, "%s: step%s ", rest->word, n == 1 ? "" : "s");
    for (size_t i = 0; i < n; i++)
        zdm_buffer_printf(&line, "%s%s", i == 0 ? "" : i + 1 == n ? " and " : ", ", same[i]->id);
    zdm_buffer_printf(&line, ": %s", rest->text);
    ctl_wrap(out, look, CTL_WARN, zdm_buffer_text(&line), 0, 2);
    out->failed = out->failed || line.failed;
}

/* Says what is left of the i-th step, unless an earlier one said the same. */
static bool put_one(struct zdm_buffer *out, const struct ctl_look *look, const struct rest *rests,
                    const struct zdm_step *const *steps, size_t n, size_t i)
{
    ZDM_CLEANUP(zdm_freep) const struct zdm_step **same = calloc(n, sizeof *same);
    size_t n_same = 0;
    if (same == NULL || rests[i].word == NULL) {
        out->failed = out->failed || same == NULL;
        return false;
    }
    for (size_t k = 0; k < n; k++) {
        if (!is_same(&rests[k], &rests[i]))
            continue;
        if (k < i)
            return true;
        same[n_same++] = steps[k];
    }
    put_rest(out, look, &rests[i], same, n_same);
    return true;
}

bool ctl_put_rests(struct zdm_buffer *out, const struct ctl_look *look, const struct zdm_plan *plan,
                   const struct zdm_step *const *steps, size_t n, uint32_t floor)
{
    ZDM_CLEANUP(zdm_freep) struct rest *rests = calloc(n + 1, sizeof *rests);
    bool any = false;
    if (rests == NULL) {
        out->failed = true;
        return false;
    }
    for (size_t i = 0; i < n; i++)
        rest_of(&rests[i], plan, steps[i], floor);
    for (size_t i = 0; i < n; i++)
        any = put_one(out, look, rests, steps, n, i) || any;
    return any;
}
