/*
 * merge.c - the passes of a runbook for two engines, made one: phase by phase, and within a phase, from one flag to the
 * next, first all steps of the one engine and then all of the other. A shard walks its own engine's alone, so that the
 * order between the two says nothing.
 *
 * Both passes read the same text: they have the same phases as written, the same flags in the same places, and whatever
 * both find is told once. Behind what is written there may be a phase that ends the triggers, and the purge.
 */
#include "common/runbook/compile.h"

#include <stdlib.h>
#include <string.h>

/* ---- steps ---- */

static bool is_flag(const struct rb_step *step)
{
    return step->step.action == ZDM_ACTION_GATE_FLAG;
}

static void append(struct rb_phase *phase, struct rb_step *step)
{
    step->next = NULL;
    if (phase->last == NULL)
        phase->first = step;
    else
        phase->last->next = step;
    phase->last = step;
}

/* Moves the steps up to the next flag behind the phase; returns the flag, or NULL. */
static struct rb_step *move_to_flag(struct rb_phase *phase, struct rb_step *step)
{
    while (step != NULL && !is_flag(step)) {
        struct rb_step *next = step->next;
        append(phase, step);
        step = next;
    }
    return step;
}

static void drop_flag(struct rb *rb, struct rb_step *flag)
{
    rb_step_free(flag);
    rb->n_steps--;
}

static void merge_steps(struct rb *rb, struct rb_phase *phase, struct rb_phase *other)
{
    struct rb_step *step = phase->first, *theirs = other->first;
    phase->first = phase->last = other->first = other->last = NULL;
    while (step != NULL || theirs != NULL) {
        step = move_to_flag(phase, step);
        theirs = move_to_flag(phase, theirs);
        struct rb_step *flag = step != NULL ? step : theirs, *twin = step != NULL ? theirs : NULL;
        step = step != NULL ? step->next : NULL;
        theirs = theirs != NULL ? theirs->next : NULL;
        if (flag != NULL)
            append(phase, flag);
        if (twin != NULL)
            drop_flag(rb, twin);
    }
}

/* ---- phases ---- */

/* The phases that were written pair up one by one. Behind them a class occurs once more at most: a contract phase that
 * ends the triggers, the purge. */
static void merge_phases(struct rb *rb, struct rb *other)
{
    struct rb_phase **at = &rb->phases, *theirs = other->phases;
    other->phases = other->last_phase = NULL;
    while (theirs != NULL) {
        struct rb_phase *next = theirs->next;
        if (*at != NULL && (*at)->class == theirs->class) {
            merge_steps(rb, *at, theirs);
        } else if (*at != NULL && (*at)->class < theirs->class) {
            at = &(*at)->next;
            continue;
        } else {
            theirs->next = *at;
            *at = theirs;
        }
        at = &(*at)->next;
        theirs = next;
    }
    rb->last_phase = rb->phases;
    while (rb->last_phase != NULL && rb->last_phase->next != NULL)
        rb->last_phase = rb->last_phase->next;
}

/* ---- findings ---- */

/* That a place is not neutral both may say in words of their own. */
static bool is_same(const struct zdm_finding *a, const struct zdm_finding *b)
{
    return a->level == b->level && a->line == b->line && a->column == b->column && strcmp(a->rule, b->rule) == 0 &&
           (strcmp(a->message, b->message) == 0 || strcmp(a->rule, "not-neutral") == 0);
}

static struct zdm_finding *twin_of(struct rb *rb, size_t n, const struct zdm_finding *finding)
{
    for (size_t i = 0; i < n; i++) {
        if (rb->findings[i].engine != ZDM_ENGINE_ANY && is_same(&rb->findings[i], finding))
            return &rb->findings[i];
    }
    return NULL;
}

/* What both say is of no engine; all else says of which it is. */
static void merge_findings(struct rb *rb, struct rb *other)
{
    size_t n = rb->n_findings;
    for (size_t i = 0; i < n; i++)
        rb->findings[i].engine = rb->engine;
    for (size_t i = 0; i < other->n_findings; i++) {
        struct zdm_finding *finding = &other->findings[i], *twin = twin_of(rb, n, finding);
        if (twin != NULL) {
            twin->engine = ZDM_ENGINE_ANY;
            continue;
        }
        finding->engine = other->engine;
        rb_finding_move(rb, finding);
    }
    rb->n_errors += other->n_errors;
}

void rb_merge(struct rb *rb, struct rb *other)
{
    merge_findings(rb, other);
    rb->n_steps += other->n_steps;
    merge_phases(rb, other);
}
