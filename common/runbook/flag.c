/*
 * flag.c - a flag fence: a gate at which a feature flag is rolled out, stage by stage.
 */
#include "common/runbook/compile.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/id.h"

enum { STAGES_MAX = 32 };

struct flag {
    const char *key;
    const char *stages[STAGES_MAX];
    size_t n_stages;
    uint32_t percent;
    int64_t soak_ms;
};

static void add_stage(struct rb *rb, const char *value, struct rb_place at, void *ctx)
{
    struct flag *flag = ctx;
    uint32_t percent;
    if (flag->n_stages == STAGES_MAX) {
        rb_error(rb, "flag-rollout", at, NULL, "there are more than %d stages", STAGES_MAX);
        return;
    }
    if (rb_percent(value, &percent)) {
        if (percent <= flag->percent) {
            rb_error(rb, "flag-rollout", at, "Let the percentages grow, up to 100%.",
                     "stage %s is not larger than the one before it", value);
            return;
        }
        flag->percent = percent;
    } else if (!zdm_name_is_valid(value)) {
        rb_error(rb, "flag-rollout", at, "Write groups and percentages: [internal, 1%, 10%, 100%].",
                 "\"%s\" is neither a group nor a percentage", value);
        return;
    }
    flag->stages[flag->n_stages++] = value;
}

static void on_key(struct rb *rb, struct rb_yaml *yaml, const char *key, struct rb_place at, void *ctx)
{
    static const char *const keys[] = {"key", "rollout", "soak", NULL};
    struct flag *flag = ctx;
    struct rb_place value_at;
    if (strcmp(key, "rollout") == 0) {
        rb_yaml_sequence(rb, yaml, "a list, for example [internal, 1%, 10%, 100%]", add_stage, flag);
        return;
    }
    if (strcmp(key, "key") != 0 && strcmp(key, "soak") != 0) {
        const char *near = rb_nearest(key, keys);
        rb_error(rb, "flag-key", at,
                 near != NULL ? rb_format(rb, "Did you mean %s?", near) : "The keys are key, rollout and soak.",
                 "a flag has no key \"%s\"", key);
        return;
    }
    const char *value = rb_yaml_scalar(rb, yaml, "one value", &value_at);
    if (value == NULL)
        return;
    if (strcmp(key, "soak") == 0) {
        if (!rb_duration(value, &flag->soak_ms))
            rb_error(rb, "duration", value_at, "Write a number with its unit: 10m, 24h, 3d (at most 366d).",
                     "soak: \"%s\" is no duration", value);
    } else if (zdm_name_is_valid(value)) {
        flag->key = value;
    } else {
        rb_error(rb, "flag-name", value_at, "Use lower-case letters, digits, dots, dashes and underscores.",
                 "\"%s\" cannot be the key of a flag", value);
        flag->key = "";
    }
}

static void add_gate(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence, const struct flag *flag)
{
    struct rb_step *step = rb_step_add(rb, phase, fence, ZDM_STEP_GATE, ZDM_ACTION_GATE_FLAG, ZDM_LOCK_NONE);
    step->step.engine = ZDM_ENGINE_ANY; /* the coordinator's, once for all */
    struct zdm_buffer stages = ZDM_BUFFER_INIT;
    struct zdm_flag *gate = rb_heap(sizeof *gate);
    gate->key = rb_dup(flag->key);
    gate->soak_ms = flag->soak_ms;
    gate->rollout = rb_heap((flag->n_stages + 1) * sizeof *gate->rollout);
    for (size_t i = 0; i < flag->n_stages; i++) {
        gate->rollout[gate->n_rollout++] = rb_dup(flag->stages[i]);
        zdm_buffer_printf(&stages, "%s%s", i == 0 ? "" : ", ", flag->stages[i]);
    }
    step->step.flag = gate;
    step->note.line = fence->at.line;
    step->note.column = fence->at.column;
    free(step->note.source);
    step->note.source = rb_dup(fence->text);
    free(step->note.lock);
    step->note.lock = rb_dup("none");
    rb_step_does(step, "hold: roll the flag %s out yourself (%s), then call advance", flag->key,
                 zdm_buffer_text(&stages));
    zdm_buffer_fini(&stages);
}

void rb_flag_compile(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence)
{
    struct flag flag = {.soak_ms = 0};
    size_t errors = rb->n_errors;
    if (fence->attributes.n > 0)
        rb_error(rb, "attribute-unknown", fence->attributes.items[0].at, "Write the flag's keys inside the fence.",
                 "a flag fence has no attribute \"%s\"", fence->attributes.items[0].key);
    if (phase->class != ZDM_PHASE_SWITCH)
        rb_error(rb, "flag-outside-switch", fence->at, "Put it in a phase of class switch: ## Phase 3: Switch.",
                 "a flag is rolled out in a switch phase, and this is a %s phase", zdm_phase_class_name(phase->class));
    if (!rb_yaml_read(rb, fence->text, strlen(fence->text), fence, 0, on_key, &flag))
        return;
    if (flag.key == NULL)
        rb_error(rb, "flag-name", fence->at, "Add a line key: users-read-full-name.", "the flag has no key");
    if (flag.n_stages == 0 && errors == rb->n_errors)
        flag.stages[flag.n_stages++] = "100%";
    else if (errors == rb->n_errors && flag.percent != 100)
        rb_error(rb, "flag-rollout", fence->at, "End the rollout with 100%.", "the rollout does not reach every user");
    if (errors == rb->n_errors)
        add_gate(rb, phase, fence, &flag);
}
