/*
 * amend_view.c - what submit --amend would change, phase by phase, for who has to say yes.
 */
#include "coordinator/ctl/view/amend_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/ctl/text/json.h"
#include "coordinator/ctl/view/plan_view.h"
#include "coordinator/ctl/text/step_text.h"

enum { INDENT = 4, LABEL = 9 };

const char *ctl_amend_word(const struct zdm_plan *before, const struct zdm_plan *after, uint32_t phase)
{
    const struct zdm_phase *a = zdm_plan_phase(before, phase), *b = zdm_plan_phase(after, phase);
    if (a == NULL)
        return b == NULL ? "" : "new";
    if (b == NULL)
        return "gone";
    return zdm_hash_equal(&a->digest, &b->digest) ? "same" : "changed";
}

static enum ctl_style style_of(const char *word)
{
    return strcmp(word, "same") == 0   ? CTL_DIM
           : strcmp(word, "gone") == 0 ? CTL_BAD
           : strcmp(word, "new") == 0  ? CTL_GOOD
                                       : CTL_WARN;
}

/* How many shards have begun the phase, as the status says. */
static size_t entered(const json_t *status, uint32_t phase)
{
    const json_t *shards = json_object_get(status, "shards"), *shard;
    size_t index, n = 0;
    json_array_foreach(shards, index, shard)
    {
        int64_t done = ctl_json_int(shard, "entered", 0);
        int64_t goal = ctl_json_int(ctl_json_object(shard, "desired"), "phase", 0);
        n += (done > goal ? done : goal) >= (int64_t)phase;
    }
    return n;
}

/* A step as one line: what can be compared. */
static void step_line(struct zdm_buffer *out, const struct zdm_step *step)
{
    zdm_buffer_printf(out, "%s: ", zdm_action_name(step->action));
    ctl_step_sql(out, step);
    if (step->flag != NULL)
        zdm_buffer_printf(out, "%s", step->flag->key);
}

static bool has_step(const struct zdm_phase *phase, const char *line)
{
    bool found = false;
    for (size_t i = 0; phase != NULL && i < phase->n_steps && !found; i++) {
        struct zdm_buffer other = ZDM_BUFFER_INIT;
        step_line(&other, &phase->steps[i]);
        found = strcmp(zdm_buffer_text(&other), line) == 0;
        zdm_buffer_fini(&other);
    }
    return found;
}

/* The steps of `of` that `without` does not have. */
static size_t put_steps(struct zdm_buffer *out, const struct ctl_look *look, const struct zdm_phase *of,
                        const struct zdm_phase *without, const char *sign, enum ctl_style style)
{
    size_t n = 0;
    for (size_t i = 0; of != NULL && i < of->n_steps; i++) {
        struct zdm_buffer line = ZDM_BUFFER_INIT;
        step_line(&line, &of->steps[i]);
        if (!has_step(without, zdm_buffer_text(&line))) {
            ctl_repeat(out, ' ', INDENT);
            ctl_put(out, look, style, sign);
            zdm_buffer_puts(out, " ");
            ctl_wrap(out, look, style, zdm_buffer_text(&line), INDENT + 2, INDENT + 4);
            n++;
        }
        zdm_buffer_fini(&line);
    }
    return n;
}

static void put_phase(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_amendment *a,
                      uint32_t number)
{
    const struct zdm_phase *before = zdm_plan_phase(a->before, number), *after = zdm_plan_phase(a->after, number);
    const char *word = ctl_amend_word(a->before, a->after, number);
    struct zdm_buffer line = ZDM_BUFFER_INIT;
    size_t in = before != NULL ? entered(a->status, number) : 0;
    zdm_buffer_printf(&line, "phase %" PRIu32 " (%s)", number,
                      zdm_phase_class_name((after != NULL ? after : before)->class));
    if (in > 0)
        zdm_buffer_printf(&line, ", entered by %zu shard%s", in, in == 1 ? "" : "s");
    zdm_buffer_puts(out, "  ");
    ctl_cell(out, look, style_of(word), word, LABEL, false);
    ctl_wrap(out, look, CTL_PLAIN, zdm_buffer_text(&line), 2 + LABEL, 2 + LABEL);
    zdm_buffer_fini(&line);
    if (strcmp(word, "same") == 0)
        return;
    size_t n = put_steps(out, look, before, after, "-", CTL_BAD) + put_steps(out, look, after, before, "+", CTL_GOOD);
    if (n == 0) {
        ctl_repeat(out, ' ', INDENT);
        ctl_wrap(out, look, CTL_DIM, "the same statements; order, numbers, approvals or limits differ", INDENT, INDENT);
    }
}

void ctl_amend_text(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_amendment *a)
{
    char before[ZDM_HASH_HEX_SIZE], after[ZDM_HASH_HEX_SIZE];
    size_t n = a->before->n_phases > a->after->n_phases ? a->before->n_phases : a->after->n_phases;
    zdm_hex(before, a->before->hash.bytes, sizeof a->before->hash.bytes);
    zdm_hex(after, a->after->hash.bytes, sizeof a->after->hash.bytes);
    ctl_put(out, look, CTL_BOLD, a->after->id);
    zdm_buffer_printf(out, ": plan %.12s becomes %.12s\n", before, after);
    for (uint32_t p = 1; p <= n; p++)
        put_phase(out, look, a, p);
    ctl_wrap(out, look, CTL_DIM,
             "Phases that a shard has entered stay as they are, or the coordinator refuses. Changed phases that are "
             "open close again; approvals of the plan as it was count no more.",
             0, 0);
}
