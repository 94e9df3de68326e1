/*
 * runbook.c - the order of a compilation; see runbook.h and compile.h.
 *
 * A runbook for two engines is compiled once for each, over the same text, and the two are merged.
 *
 * Every stage goes on after an error as far as it makes sense, so that one run shows all of them. A plan is made only
 * when there is none, and is then checked as everybody who receives it will check it: what fails there is our mistake.
 */
#include "common/runbook/runbook.h"

#include <stdlib.h>
#include <string.h>

#include "common/runbook/compile.h"
#include "common/runbook/postgresql/tree.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* expand, migrate, switch, contract: each phase at or behind the class of the one before. */
static void judge_order(struct rb *rb)
{
    enum zdm_phase_class last = ZDM_PHASE_EXPAND;
    for (const struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next) {
        if (phase->class < last)
            rb_error(rb, "phase-order", phase->at,
                     "Phases go expand, migrate, switch, contract; several of a class may follow each other. Split "
                     "what starts over into a second runbook.",
                     "a %s phase cannot come after a %s phase", zdm_phase_class_name(phase->class),
                     zdm_phase_class_name(last));
        else
            last = phase->class;
    }
}

/* Compiles the fence at i of the phase; returns how many fences that were. */
static size_t compile_fence(struct rb *rb, struct rb_phase *phase, size_t i)
{
    struct rb_fence *fence = phase->fences[i];
    rb->neutral = rb_has_several(rb) && fence->engine == ZDM_ENGINE_ANY;
    if (fence->as_is != RB_AS_IS_NO)
        return rb_as_is_compile(rb, phase, i);
    if (fence->engine != ZDM_ENGINE_ANY && fence->engine != rb->engine)
        return 1;
    if (fence->kind == RB_FENCE_WAIT)
        rb_wait_compile(rb, phase, fence);
    else if (fence->kind == RB_FENCE_FLAG)
        rb_flag_compile(rb, phase, fence);
    else if (fence->rollback)
        rb_error(rb, "rollback-fence", rb_attribute_place(fence, "rollback"),
                 "Remove the fence: the plan derives the way back of every step itself, and zdmctl plan shows it. "
                 "```sql {rollback} stands only behind an as-is fence and its check.",
                 "there is no as-is fence right before this way back");
    else
        rb_sql_compile(rb, phase, fence);
    return 1;
}

static void compile_phases(struct rb *rb)
{
    for (struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next) {
        for (size_t i = 0; i < phase->n_fences;)
            i += compile_fence(rb, phase, i);
        if (phase->n_fences == 0)
            rb_note(rb, "phase-empty", phase->at, NULL,
                    "nothing is run in this phase: it holds the migration until advance is called");
    }
}

/* What cannot be compiled cannot be waived. */
static void judge_waivers(struct rb *rb)
{
    size_t n = rb->n_findings;
    for (size_t i = 0; i < rb->front.n_waivers; i++) {
        const struct rb_waiver *waiver = &rb->front.waivers[i];
        bool error = false;
        for (size_t j = 0; j < n; j++)
            error =
                error || (rb->findings[j].level == ZDM_LEVEL_ERROR && strcmp(rb->findings[j].rule, waiver->rule) == 0);
        if (error)
            rb_error(rb, "waive", waiver->at, "Mend what the error names, and leave the waiver out.",
                     "%s is an error of the compiler, which cannot be waived", waiver->rule);
    }
}

/* One pass; ANY: of the first engine that the runbook names. */
static void compile(struct rb *rb, enum zdm_engine engine)
{
    if (!rb_source_open(rb))
        return;
    rb_front_read(rb);
    bool postgresql = (rb->front.engines & ZDM_ENGINE_POSTGRESQL) != 0;
    rb->engine = engine != ZDM_ENGINE_ANY ? engine : postgresql ? ZDM_ENGINE_POSTGRESQL : ZDM_ENGINE_MYSQL;
    rb_markdown_read(rb);
    judge_order(rb);
    compile_phases(rb);
    if (rb->n_errors == 0)
        rb_finish(rb);
}

/* Of the steps of both. */
static void judge_steps(struct rb *rb)
{
    unsigned engines = 0;
    for (const struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next) {
        for (const struct rb_step *step = phase->first; step != NULL; step = step->next)
            engines |= (unsigned)step->step.engine;
    }
    if (rb->n_errors > 0)
        return;
    if (rb->n_steps == 0)
        rb_error(rb, "no-steps", (struct rb_place){1, 1},
                 "Write phases (## Phase 1: Expand) with sql fences in them; docs/RUNBOOKS.md shows how.",
                 "the runbook holds nothing to run");
    else if (engines != 0 && engines != rb->front.engines)
        rb_warning(rb, "engine-idle", (struct rb_place){1, 1}, "Leave it out of engines:, or write its fences.",
                   "nothing is run on %s, although the runbook names it",
                   zdm_engine_name((enum zdm_engine)(rb->front.engines & ~engines)));
}

/* Both passes as one, in the first. */
static void compile_all(struct rb *rb, struct rb *other)
{
    compile(rb, ZDM_ENGINE_ANY);
    if (rb_has_several(rb)) {
        compile(other, ZDM_ENGINE_MYSQL);
        rb_merge(rb, other);
    }
    judge_steps(rb);
    if (rb->n_errors == 0)
        rb_number_steps(rb);
    judge_waivers(rb);
}

static int by_place(const void *a, const void *b)
{
    const struct zdm_finding *left = a, *right = b;
    if (left->line != right->line)
        return left->line < right->line ? -1 : 1;
    if (left->column != right->column)
        return left->column < right->column ? -1 : 1;
    if (left->level != right->level)
        return left->level > right->level ? -1 : 1;
    return strcmp(left->rule, right->rule);
}

static void drop_steps(struct rb *rb)
{
    for (struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next) {
        for (struct rb_step *step = phase->first; step != NULL; step = step->next)
            rb_step_free(step);
        phase->first = phase->last = NULL;
    }
}

enum zdm_code zdm_runbook_compile(const char *file_name, const char *text, size_t n, struct zdm_plan **out_plan,
                                  struct zdm_notes **out_notes, struct zdm_error *err)
{
    if (n > ZDM_RUNBOOK_MAX) {
        zdm_error_set(err, ZDM_LIMIT, "runbook has %zu bytes, more than %d", n, ZDM_RUNBOOK_MAX);
        return zdm_error_hint(err, "Split it into several migrations.");
    }
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        n -= 3;
    }
    struct rb rb = {.file = base_name(file_name), .n = n}, other = rb;
    rb.text = other.text = rb_copy(&rb, text, n);
    compile_all(&rb, &other);
    if (rb.n_findings > 1)
        qsort(rb.findings, rb.n_findings, sizeof *rb.findings, by_place);
    struct zdm_plan *plan = rb.n_errors == 0 ? rb_make_plan(&rb) : NULL;
    enum zdm_code code = plan == NULL ? ZDM_OK : zdm_plan_validate(plan, err);
    if (code == ZDM_OK && plan != NULL)
        code = zdm_plan_check_honest(plan, err);
    if (code == ZDM_OK) {
        *out_notes = rb_make_notes(&rb, plan != NULL);
        *out_plan = plan;
    } else {
        zdm_error_wrap(err, "the compiled plan is not whole");
        zdm_plan_unref(plan);
        struct zdm_notes *notes = rb_make_notes(&rb, true);
        zdm_notes_free(notes);
    }
    drop_steps(&rb);
    drop_steps(&other);
    rb_fini(&other);
    rb_fini(&rb);
    return code;
}
