/*
 * steps.c - what follows from a plan alone (steps.h).
 */
#include "agent/engine/steps.h"

#include <string.h>

#include "common/base/buffer.h"

bool agent_step_is_switched(const struct zdm_plan *plan, const struct zdm_step *step)
{
    const struct zdm_phase *phase = zdm_plan_phase(plan, zdm_plan_phase_of(plan, step->ordinal));
    return step->action == ZDM_ACTION_CHECK_COMPARE && step->sync_step != 0 && step->derivation->both_ways &&
           phase != NULL && phase->class == ZDM_PHASE_CONTRACT;
}

bool agent_step_is_once(const struct zdm_step *step)
{
    bool once = step->action == ZDM_ACTION_BACKFILL;
    for (size_t i = 0; once && i < step->derivation->n_assignments; i++) {
        once = step->derivation->assignments[i].expr_new == NULL && !step->derivation->assignments[i].fill_once;
    }
    return once;
}

static bool is_read(const char *text, const char *column)
{
    return text != NULL && strstr(text, column) != NULL;
}

bool agent_target_reads(const struct zdm_derivation *d, const struct zdm_assignment *target, const char *source,
                        char quote)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer column = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&column, "NEW.%c", quote);
    for (const char *c = source; *c != '\0'; c++) {
        zdm_buffer_append(&column, *c == quote ? (const char[]){quote, quote} : c, *c == quote ? 2 : 1);
    }
    zdm_buffer_append(&column, &quote, 1);
    if (column.failed) {
        return true;
    }
    const char *text = zdm_buffer_text(&column);
    bool shown = is_read(d->filter_new, text);
    bool own = shown || is_read(target->expr_new, text);
    for (size_t i = 0; !own && !shown && i < d->n_assignments; i++) {
        shown = is_read(d->assignments[i].expr_new, text);
    }
    return own || !shown;
}

static bool shares_target(const struct zdm_step *a, const struct zdm_step *b)
{
    bool same_table = strcmp(a->table.schema, b->table.schema) == 0 && strcmp(a->table.name, b->table.name) == 0;
    for (size_t i = 0; same_table && i < a->derivation->n_assignments; i++) {
        for (size_t j = 0; j < b->derivation->n_assignments; j++) {
            if (strcmp(a->derivation->assignments[i].target, b->derivation->assignments[j].target) == 0) {
                return true;
            }
        }
    }
    return false;
}

bool agent_fills_alone(const struct zdm_plan *plan, const struct zdm_step *step)
{
    unsigned syncs = 0;
    for (uint32_t o = 1; plan != NULL && o <= zdm_plan_n_steps(plan); o++) {
        const struct zdm_step *other = zdm_plan_step(plan, o);
        bool fills = other->action == ZDM_ACTION_SYNC_INSTALL || other->action == ZDM_ACTION_BACKFILL;
        if (!fills || other->engine != step->engine || other->derivation == NULL || !shares_target(other, step)) {
            continue;
        }
        if (other->derivation->n_assignments != step->derivation->n_assignments) {
            return false;
        }
        syncs += other->action == ZDM_ACTION_SYNC_INSTALL;
    }
    return syncs == 1;
}

size_t agent_undo_syncs(const struct zdm_plan *plan, const struct zdm_step *step,
                        const struct zdm_step *out[AGENT_UNDO_SYNCS_MAX])
{
    size_t n = 0;
    if (step->action == ZDM_ACTION_SYNC_INSTALL) {
        out[n++] = step;
        return n;
    }
    for (uint32_t o = 1; o < step->ordinal && n < AGENT_UNDO_SYNCS_MAX; o++) {
        const struct zdm_step *sync = zdm_plan_step(plan, o);
        if (sync->action == ZDM_ACTION_SYNC_INSTALL && sync->engine == step->engine && sync->derivation != NULL &&
            step->derivation != NULL && shares_target(sync, step)) {
            out[n++] = sync;
        }
    }
    return n;
}

bool agent_is_unguarded(const struct zdm_plan *plan, const struct zdm_step *step)
{
    bool any = step != NULL && step->unguarded;
    for (uint32_t o = 1; step == NULL && plan != NULL && o <= zdm_plan_n_steps(plan); o++) {
        any = any || zdm_plan_step(plan, o)->unguarded;
    }
    return any;
}
