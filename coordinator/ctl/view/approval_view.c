/*
 * approval_view.c - an approval before it is signed. See approval_view.h.
 */
#include "coordinator/ctl/view/approval_view.h"

#include <stdlib.h>
#include <string.h>

#include "common/os/clock.h"
#include "common/plan/undo.h"
#include "coordinator/ctl/text/back_text.h"
#include "coordinator/ctl/text/json.h"
#include "coordinator/ctl/view/plan_view.h"

enum { LABEL = 11, SENTENCE = 600 };

struct page {
    struct zdm_buffer *out;
    const struct ctl_look *look;
    const struct ctl_approval_page *a;
};

static void field(struct page *p, const char *label, const char *text)
{
    ctl_cell(p->out, p->look, CTL_DIM, label, LABEL, false);
    ctl_wrap(p->out, p->look, CTL_PLAIN, text, LABEL, LABEL);
}

static void put_title(struct page *p)
{
    const struct zdm_approval *approval = p->a->approval;
    const struct zdm_phase *phase = approval->phase > 0 ? zdm_plan_phase(p->a->plan, approval->phase) : NULL;
    char text[SENTENCE];
    if (approval->action == ZDM_APPROVE_UNDO)
        snprintf(text, sizeof text, "approval of a rollback to phase %u that loses what new code wrote",
                 approval->phase);
    else if (phase == NULL)
        snprintf(text, sizeof text, "approval to drop what rollbacks left");
    else
        snprintf(text, sizeof text, "approval of phase %u (%s%s)", phase->number, zdm_phase_class_name(phase->class),
                 phase->destructive ? ", destructive" : "");
    ctl_put(p->out, p->look, CTL_BOLD, text);
    zdm_buffer_puts(p->out, " of ");
    ctl_put(p->out, p->look, CTL_BOLD, p->a->plan->id);
    zdm_buffer_puts(p->out, "\n");
}

static void put_shards(struct page *p)
{
    const struct ctl_places *places = p->a->places;
    ZDM_CLEANUP(zdm_freep) const struct ctl_place **named = calloc(places->n + 1, sizeof(struct ctl_place *));
    char names[SENTENCE], text[SENTENCE + 64];
    size_t n = 0;
    if (named == NULL) {
        p->out->failed = true;
        return;
    }
    for (size_t i = 0; i < places->n; i++)
        if (!places->items[i].excluded)
            named[n++] = &places->items[i];
    ctl_names_text(names, sizeof names, named, n);
    if (places->all)
        snprintf(text, sizeof text, "every shard of the migration, %zu now: %s", n, names);
    else
        snprintf(text, sizeof text, "%zu: %s", n, names);
    field(p, "shards", text);
}

static void put_fields(struct page *p)
{
    const struct zdm_approval *approval = p->a->approval;
    char text[SENTENCE], hash[ZDM_HASH_HEX_SIZE], until[40];
    zdm_hex(hash, p->a->plan->hash.bytes, sizeof p->a->plan->hash.bytes);
    field(p, "plan", hash);
    if (p->a->runbook != NULL) {
        snprintf(text, sizeof text, "%.200s, your copy: its plan is the one that was submitted", p->a->runbook);
        field(p, "runbook", text);
    }
    field(p, "submitted", p->a->submitter);
    put_shards(p);
    zdm_wall_text(until, sizeof until, approval->expires_at_ms);
    field(p, "until", until);
    snprintf(text, sizeof text, "%u approval%s, yours is one", p->a->needed, p->a->needed == 1 ? "" : "s");
    field(p, "needs", text);
    if (approval->purge_now)
        field(p, "now", "before the grace period is over, which is there so that somebody can miss what is dropped");
}

/* What would not come back, once the phase has run, or stay. */
static void put_rests(struct page *p, const struct zdm_phase *phase)
{
    ZDM_CLEANUP(zdm_freep) const struct zdm_step **steps = calloc(phase->n_steps + 1, sizeof *steps);
    for (size_t i = 0; steps != NULL && i < phase->n_steps; i++)
        steps[i] = &phase->steps[i];
    if (steps != NULL)
        (void)ctl_put_rests(p->out, p->look, p->a->plan, steps, phase->n_steps, 1);
    p->out->failed = p->out->failed || steps == NULL;
}

static void put_loss(struct page *p)
{
    const struct zdm_step *step = NULL;
    char text[SENTENCE + 8], loss[SENTENCE];
    if (!ctl_places_may_lose(p->a->places, p->a->plan, p->a->approval->phase, &step))
        return;
    ctl_loss_text(loss, sizeof loss, step);
    snprintf(text, sizeof text, "lost: %s", loss);
    zdm_buffer_puts(p->out, "\n");
    ctl_wrap(p->out, p->look, CTL_BAD, text, 0, 4);
}

void ctl_approval_text(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_approval_page *page)
{
    struct page p = {.out = out, .look = look, .a = page};
    const struct zdm_phase *phase = page->approval->phase > 0 && page->approval->action != ZDM_APPROVE_UNDO
                                        ? zdm_plan_phase(page->plan, page->approval->phase)
                                        : NULL;
    put_title(&p);
    put_fields(&p);
    if (phase != NULL) {
        ctl_plan_phase_text(out, look, page->plan, page->notes, phase->number);
        put_rests(&p, phase);
    } else if (page->approval->action == ZDM_APPROVE_UNDO) {
        put_loss(&p);
    } else {
        zdm_buffer_puts(out, "\n");
        ctl_wrap(out, look, CTL_WARN,
                 "What rollbacks of this migration hid will be dropped: its data is gone for good then.", 0, 4);
    }
    zdm_buffer_puts(out, "\n");
}

void ctl_remarks_text(struct zdm_buffer *out, const struct ctl_look *look, const json_t *status)
{
    enum { SHOWN = 12 };
    const json_t *shard;
    size_t i, n = 0;
    char text[SENTENCE];
    json_array_foreach(json_object_get(status, "shards"), i, shard)
    {
        const char *remark = ctl_json_text(ctl_json_object(shard, "observed"), "remark");
        if (remark[0] == '\0' || n++ >= SHOWN)
            continue;
        snprintf(text, sizeof text, "%.64s: %s", ctl_json_text(shard, "shard"), remark);
        ctl_wrap(out, look, CTL_WARN, text, 0, 4);
    }
    if (n > SHOWN) {
        snprintf(text, sizeof text, "and %zu more shards: zdmctl status shows what they say", n - SHOWN);
        ctl_wrap(out, look, CTL_WARN, text, 0, 4);
    }
    if (n > 0)
        zdm_buffer_puts(out, "\n");
}

/* ---- Two plans ---- */

static size_t first_difference(const struct zdm_plan *a, const struct zdm_plan *b)
{
    size_t i = 0;
    while (i < a->n_phases && i < b->n_phases && zdm_hash_equal(&a->phases[i].digest, &b->phases[i].digest))
        i++;
    return i;
}

static const struct zdm_step *first_other_step(const struct zdm_phase *a, const struct zdm_phase *b)
{
    for (size_t i = 0; i < a->n_steps; i++) {
        const struct zdm_step *x = &a->steps[i], *y = i < b->n_steps ? &b->steps[i] : NULL;
        bool same = y != NULL && x->action == y->action && strcmp(x->id, y->id) == 0 &&
                    (x->sql == NULL) == (y->sql == NULL) && (x->sql == NULL || strcmp(x->sql, y->sql) == 0);
        if (!same)
            return x;
    }
    return NULL;
}

static void tell_difference(const struct zdm_plan *own, const struct zdm_plan *submitted, struct zdm_error *err)
{
    size_t i = first_difference(own, submitted);
    if (i == own->n_phases && i == submitted->n_phases) {
        zdm_error_detail(err,
                         "The phases are the same; the front matter differs (selector, waves, limits or grace), "
                         "or the releases that compiled them: %s here, %s there.",
                         own->compiler, submitted->compiler);
        return;
    }
    if (i >= own->n_phases || i >= submitted->n_phases) {
        zdm_error_detail(err, "Phases 1 to %zu are the same; your copy has %zu phases, the submitted plan %zu.", i,
                         own->n_phases, submitted->n_phases);
        return;
    }
    const struct zdm_step *step = first_other_step(&own->phases[i], &submitted->phases[i]);
    zdm_error_detail(err,
                     "Phase %u (%s) is the first that differs%s%s; your copy has %zu step%s in it, the submitted "
                     "plan %zu.",
                     own->phases[i].number, zdm_phase_class_name(own->phases[i].class),
                     step != NULL ? ", from step " : "", step != NULL ? step->id : "", own->phases[i].n_steps,
                     own->phases[i].n_steps == 1 ? "" : "s", submitted->phases[i].n_steps);
}

enum zdm_code ctl_plan_compare(const struct zdm_plan *own, const struct zdm_plan *submitted, const char *runbook,
                               struct zdm_error *err)
{
    char mine[ZDM_HASH_HEX_SIZE], theirs[ZDM_HASH_HEX_SIZE];
    if (zdm_hash_equal(&own->hash, &submitted->hash))
        return ZDM_OK;
    zdm_hex(mine, own->hash.bytes, sizeof own->hash.bytes);
    zdm_hex(theirs, submitted->hash.bytes, sizeof submitted->hash.bytes);
    zdm_error_set(err, ZDM_REFUSED, "%.200s is not what was submitted: its plan is %.12s, that of the fleet is %.12s",
                  runbook, mine, theirs);
    tell_difference(own, submitted, err);
    return zdm_error_hint(err, "Get the version that was reviewed, and ask who submitted the plan; sign nothing else.");
}
