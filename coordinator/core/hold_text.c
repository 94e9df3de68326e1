/*
 * hold_text.c - why a shard does not move, for people: a sentence part, short and true.
 */
#include <stdio.h>
#include <string.h>

#include "coordinator/core/machine.h"

const struct zdm_step *coord_gate_step(const struct zdm_plan *plan, uint32_t phase)
{
    const struct zdm_phase *p = zdm_plan_phase(plan, phase);
    for (size_t i = 0; p != NULL && i < p->n_steps; i++)
        if (p->steps[i].action == ZDM_ACTION_GATE_FLAG)
            return &p->steps[i];
    return NULL;
}

const char *coord_gate_name(const struct zdm_step *gate)
{
    return gate->flag != NULL && gate->flag->key != NULL ? gate->flag->key : gate->id;
}

void coord_phase_text(char *out, size_t size, const struct coord_migration *m, uint32_t number)
{
    const struct zdm_phase *phase = zdm_plan_phase(m->plan, number);
    if (phase == NULL)
        snprintf(out, size, "phase %u", number);
    else
        snprintf(out, size, "phase %u (%s)", number, zdm_phase_class_name(phase->class));
}

/* "1 h 05 min", "12 s" */
static void duration_text(char *out, size_t size, int64_t ms)
{
    long long s = ms <= 0 ? 0 : (long long)((ms + 999) / 1000);
    if (s >= 3600)
        snprintf(out, size, "%lld h %02lld min", s / 3600, s % 3600 / 60);
    else if (s >= 60)
        snprintf(out, size, "%lld min %02lld s", s / 60, s % 60);
    else
        snprintf(out, size, "%lld s", s);
}

static void gate_text(char *out, size_t size, const struct coord_migration *m, uint32_t next)
{
    for (uint32_t p = 1; p < next; p++) {
        const struct zdm_step *gate = coord_gate_step(m->plan, p);
        if (gate == NULL || m->gates[p - 1].state == COORD_GATE_PASSED)
            continue;
        const char *key = coord_gate_name(gate);
        if (m->gates[p - 1].state == COORD_GATE_VETOED)
            snprintf(out, size, "gate %s was vetoed", key);
        else
            snprintf(out, size, "flag %s: roll it out, then advance to phase %u", key, p + 1);
        return;
    }
    snprintf(out, size, "a gate is not passed");
}

static const char *halt_text(enum coord_halt_cause cause)
{
    switch (cause) {
    case COORD_HALT_BUDGET:
        return "halted: more shards failed than the failure budget allows; see to them, then resume";
    case COORD_HALT_OPERATOR:
        return "halted by an operator; resume when ready";
    case COORD_HALT_DEADMAN:
        return "halted: nobody confirmed that it goes on; resume when ready";
    case COORD_HALT_VETO:
        return "halted: a gate was vetoed";
    }
    return "halted";
}

static const char *status_text(const struct coord_release *release)
{
    if (release->rolled_back)
        return "rolled back: resume it to go forward again, or exclude it";
    switch (release->status) {
    case COORD_HELD:
        return "paused: resume it";
    case COORD_FAILED:
        return "failed: see its error, then retry or roll back";
    case COORD_UNSURE:
        return "unsure: see why, then retry or roll back";
    case COORD_EXCLUDED:
        return "excluded";
    case COORD_READY:
    case COORD_MOVING:
    case COORD_UNDOING:
    case COORD_DONE:
    case COORD_UNDONE:
        break;
    }
    return "";
}

static void approvals_text(char *out, size_t size, const struct coord_migration *m, const struct coord_release *release)
{
    const struct zdm_phase *phase = zdm_plan_phase(m->plan, release->phase);
    char text[64], command[2 * ZDM_NAME_MAX];
    coord_phase_text(text, sizeof text, m, release->phase);
    if (phase != NULL && phase->class == ZDM_PHASE_PURGE)
        snprintf(command, sizeof command, "zdmctl purge %s", m->id);
    else
        snprintf(command, sizeof command, "zdmctl approve %s --phase %u --runbook FILE", m->id, release->phase);
    snprintf(out, size, "approvals: %u of %u for %s: %s", release->count, release->of, text, command);
}

void coord_hold_text(char *out, size_t size, const struct coord_migration *migration,
                     const struct coord_release *release, int64_t now_ms)
{
    char phase[64], before[64], left[32];
    coord_phase_text(phase, sizeof phase, migration, release->phase);
    coord_phase_text(before, sizeof before, migration, release->phase > 0 ? release->phase - 1 : 0);
    switch (release->hold) {
    case COORD_HOLD_NONE:
        snprintf(out, size, "%s", "");
        return;
    case COORD_HOLD_ADVANCE:
        snprintf(out, size, "waits for advance to %s", phase);
        return;
    case COORD_HOLD_GATE:
        gate_text(out, size, migration, release->phase);
        return;
    case COORD_HOLD_WAVE:
        snprintf(out, size, "wave %u has not finished %s%s%s", release->wave + 1, phase,
                 release->shard[0] != '\0' ? ": " : "", release->shard);
        return;
    case COORD_HOLD_SOAK:
        duration_text(left, sizeof left, release->until_ms - now_ms);
        snprintf(out, size, "wave %u soaks for another %s", release->wave + 1, left);
        return;
    case COORD_HOLD_PARALLEL:
        snprintf(out, size, "%u shards are moving, at most %u may", release->count, release->of);
        return;
    case COORD_HOLD_BARRIER:
        snprintf(out, size, "barrier: %u of %u %s not finished %s (%s%s%s)", release->count, release->of,
                 release->count == 1 ? "shards has" : "shards have", before, release->shard,
                 release->rolled_back ? ", rolled back: resume and advance it, or exclude it" : "",
                 release->count > 1 ? ", …" : "");
        return;
    case COORD_HOLD_APPROVALS:
        approvals_text(out, size, migration, release);
        return;
    case COORD_HOLD_TRUST:
        snprintf(out, size,
                 "the agent's trust file is version %u, here version %u is in force; it takes the newer one when "
                 "it reports",
                 release->count, release->of);
        return;
    case COORD_HOLD_NO_AGENT:
        snprintf(out, size, "no agent reports a writable primary");
        return;
    case COORD_HOLD_HALTED:
        snprintf(out, size, "%s", halt_text(migration->halt_cause));
        return;
    case COORD_HOLD_FROZEN:
        snprintf(out, size, "the fleet is frozen: thaw it");
        return;
    case COORD_HOLD_FENCED:
        snprintf(out, size, "this coordinator is fenced: agents follow a newer log");
        return;
    case COORD_HOLD_STATUS:
        snprintf(out, size, "%s", status_text(release));
        return;
    }
    snprintf(out, size, "?");
}
