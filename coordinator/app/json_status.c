/*
 * json_status.c - the answer to `status` (docs/JSON.md): desired and observed state of every shard, side by side.
 */
#include <stdlib.h>
#include <string.h>

#include "coordinator/app/json.h"

/* ---- Phases ---- */

static const char *gate_state_name(enum coord_gate_state state)
{
    switch (state) {
    case COORD_GATE_RUNNING:
        return "running";
    case COORD_GATE_PASSED:
        return "passed";
    case COORD_GATE_VETOED:
        return "vetoed";
    case COORD_GATE_WAITING:
        break;
    }
    return "waiting";
}

static json_t *gate_json(const struct coord_migration *migration, const struct zdm_phase *phase)
{
    for (size_t i = 0; i < phase->n_steps; i++) {
        const struct zdm_step *step = &phase->steps[i];
        if (step->action != ZDM_ACTION_GATE_FLAG || step->flag == NULL)
            continue;
        json_t *gate = json_object();
        put_text(gate, "kind", "flag");
        put_text(gate, "key", step->flag->key);
        put_text(gate, "state", gate_state_name(migration->gates[phase->number - 1].state));
        return gate;
    }
    return json_null();
}

static json_t *phase_json(struct coord_driver *d, const struct coord_migration *migration,
                          const struct zdm_phase *phase, const struct coord_overview *overview)
{
    json_t *out = json_object();
    int64_t done = 0;
    for (size_t i = 0; i < migration->n_shards; i++)
        done += migration->shards[i].at >= phase->number;
    put_number(out, "number", phase->number);
    put_text(out, "title", phase_title(d, migration, phase->number));
    put_text(out, "class", zdm_phase_class_name(phase->class));
    put_number(out, "shards_done", done);
    put(out, "approvals", phase_approvals_json(d, migration, phase->number, overview));
    put(out, "gate", gate_json(migration, phase));
    return out;
}

/* The next switch or contract phase, while shards are missing before it. */
static json_t *barrier_json(const struct coord_migration *migration)
{
    const struct zdm_plan *plan = migration->plan;
    for (size_t p = 0; p < plan->n_phases && migration->mode != COORD_ENDED; p++) {
        uint32_t number = plan->phases[p].number, missing = 0, of = 0, through = 0;
        if (plan->phases[p].class < ZDM_PHASE_SWITCH)
            continue;
        for (size_t i = 0; i < migration->n_shards; i++) {
            if (migration->shards[i].status == COORD_EXCLUDED)
                continue;
            of++;
            missing += migration->shards[i].at + 1 < number;
            through += migration->shards[i].at >= number;
        }
        if (missing == 0 && through == of)
            continue;
        if (missing == 0)
            break;
        json_t *barrier = json_object();
        put_number(barrier, "phase", number);
        put_number(barrier, "missing", missing);
        put_number(barrier, "of", of);
        return barrier;
    }
    return json_null();
}

/* ---- Shards ---- */

static json_t *agent_json(const struct coord_driver *d, const struct zdm_id *id)
{
    if (zdm_id_is_zero(id))
        return json_null();
    const struct coord_heard *heard = coord_view_find(&d->view, id);
    json_t *agent = json_object();
    put_hex(agent, "id", id->bytes, sizeof id->bytes);
    put_bool(agent, "connected", heard != NULL && heard->connected);
    put(agent, "heard_ms", heard != NULL ? json_integer(d->now_ms - heard->heard_at_ms) : json_null());
    put_text_or_null(agent, "release", heard != NULL ? heard->report.release : "");
    return agent;
}

static json_t *eta_json(const struct zdm_progress *progress)
{
    if (progress->rows_total == 0 || progress->rows_per_s == 0)
        return json_null();
    uint64_t left = progress->rows_total > progress->rows_done ? progress->rows_total - progress->rows_done : 0;
    return json_integer((json_int_t)((left + progress->rows_per_s - 1) / progress->rows_per_s));
}

static void put_progress(json_t *out, const struct zdm_progress *progress)
{
    bool known = progress->rows_done != 0 || progress->rows_total != 0;
    put(out, "rows_done", known ? json_integer((json_int_t)progress->rows_done) : json_null());
    put(out, "rows_total", progress->rows_total != 0 ? json_integer((json_int_t)progress->rows_total) : json_null());
    put(out, "rows_per_s", known ? json_integer(progress->rows_per_s) : json_null());
    put(out, "eta_s", eta_json(progress));
}

static void put_work(json_t *out, const struct coord_migration *migration, const struct zdm_migration_report *report)
{
    const struct zdm_step *step = zdm_plan_step(migration->plan, report->step);
    put_number(out, "phase", report->proven_phase);
    put_text_or_null(out, "step", step != NULL ? step->id : "");
    put_text_or_null(out, "step_kind", step != NULL ? zdm_step_kind_name(step->kind) : "");
    put_text(out, "state", zdm_agent_state_name(report->state));
    put_text_or_null(out, "wait", report->wait != ZDM_WAIT_NONE ? zdm_wait_name(report->wait) : "");
    put_progress(out, &report->progress);
    put_text_or_null(out, "throttled_by", report->throttled_by);
    put_text_or_null(out, "blocked_by", report->blocked_by);
    put_text_or_null(out, "error", report->error);
    put_text_or_null(out, "hint", report->hint);
    put_text_or_null(out, "remark", report->remark);
}

static void put_no_work(json_t *out, const struct coord_heard *heard)
{
    static const char *const unknown[] = {"phase",        "step",       "step_kind",  "wait",
                                          "rows_done",    "rows_total", "rows_per_s", "eta_s",
                                          "throttled_by", "blocked_by", "hint",       "remark"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        put(out, unknown[i], json_null());
    put_text(out, "state", heard->report.connected ? "resting" : "blind");
    put_text_or_null(out, "error", heard->report.db_error);
}

static json_t *observed_json(const struct coord_driver *d, const struct coord_migration *migration,
                             const struct zdm_id *id)
{
    const struct coord_heard *heard = coord_view_find(&d->view, id);
    if (heard == NULL)
        return json_null();
    const struct zdm_migration_report *report = coord_view_report(&d->view, id, migration->id);
    json_t *out = json_object();
    if (report != NULL)
        put_work(out, migration, report);
    else
        put_no_work(out, heard);
    put_bool(out, "connected", heard->report.connected);
    put_bool(out, "writable", heard->report.writable);
    put_number(out, "heard_ms", d->now_ms - heard->heard_at_ms);
    return out;
}

static json_t *hidden_json(const struct zdm_hidden *hidden)
{
    json_t *out = json_object();
    put_text(out, "what", hidden->what);
    put_time(out, "hidden_at", hidden->hidden_at_ms);
    put_time(out, "purge_at", hidden->purge_at_ms);
    put_bool(out, "by_rollback", hidden->by_rollback);
    put(out, "scans",
        strncmp(hidden->what, "index ", 6) == 0 && hidden->scans >= 0 ? json_integer(hidden->scans) : json_null());
    return out;
}

/* What the agent said last: nothing is known to be hidden before it has spoken. */
static void put_hidden(json_t *out, const struct zdm_migration_report *report)
{
    json_t *hidden = json_array();
    for (size_t i = 0; report != NULL && i < report->n_hidden; i++)
        (void)json_array_append_new(hidden, hidden_json(&report->hidden[i]));
    put(out, "hidden", hidden);
    put(out, "hidden_total", report != NULL ? json_integer(report->hidden_total) : json_null());
}

static json_t *shard_json(const struct coord_driver *d, const struct coord_migration *migration,
                          const struct coord_shard *shard, const struct coord_release *release)
{
    char reason[2 * ZDM_TEXT_MAX];
    struct zdm_id agent = agent_of_shard(d, shard);
    const struct coord_heard *heard = coord_view_find(&d->view, &agent);
    json_t *out = json_object(), *desired = json_object();
    shard_reason(d, migration, shard, release, reason, sizeof reason);
    put_text(out, "shard", shard->name);
    put_number(out, "wave", shard->wave);
    put_text_or_null(out, "engine",
                     heard != NULL && heard->report.engine != ZDM_ENGINE_ANY ? zdm_engine_name(heard->report.engine)
                                                                             : "");
    put_text(out, "status", coord_status_name(shard->status));
    put_text(out, "reason", reason);
    put_bool(out, "refused", shard_refusal(d, migration, shard) != NULL);
    put_text_or_null(out, "hint", shard->hint != NULL ? shard->hint : "");
    put(out, "agent", agent_json(d, &agent));
    put_number(desired, "phase", shard->goal);
    put_text_or_null(desired, "mode", shard->generation != 0 ? zdm_mode_name(shard->mode) : "");
    put_number(desired, "generation", (int64_t)shard->generation);
    put(out, "desired", desired);
    put(out, "observed", observed_json(d, migration, &agent));
    put_number(out, "entered", shard->at);
    put_bool(out, "rolled_back", coord_was_rolled_back(shard));
    put_number(out, "switched", shard->switched);
    put_text_or_null(out, "remark", shard->remark);
    put_hidden(out, coord_view_report(&d->view, &agent, migration->id));
    return out;
}

/* ---- All of it ---- */

static json_t *coordinator_json(const struct coord_driver *d)
{
    json_t *out = json_object();
    put_text(out, "release", d->release);
    put_number(out, "epoch", (int64_t)d->epoch);
    put_bool(out, "fenced", d->state->fenced);
    put_bool(out, "frozen", d->state->frozen);
    put_bool(out, "full", d->full);
    put_number(out, "uptime_s", (d->now_ms - d->view.started_at_ms) / 1000);
    return out;
}

static const char *mode_name(enum coord_migration_mode mode)
{
    return mode == COORD_OPEN ? "open" : mode == COORD_HALTED ? "halted" : "ended";
}

static const char *outcome_name(const struct coord_migration *migration)
{
    static const char *const names[] = {
        [COORD_END_DONE] = "done", [COORD_END_UNDONE] = "undone", [COORD_END_ABANDONED] = "abandoned"};
    return migration->mode == COORD_ENDED ? names[migration->outcome] : "";
}

static const char *halt_name(const struct coord_migration *migration)
{
    static const char *const names[] = {[COORD_HALT_BUDGET] = "budget",
                                        [COORD_HALT_OPERATOR] = "operator",
                                        [COORD_HALT_DEADMAN] = "deadman",
                                        [COORD_HALT_VETO] = "veto"};
    return migration->mode == COORD_HALTED ? names[migration->halt_cause] : "";
}

/* Another plan in the place of the one that was submitted; null for none. */
static json_t *amended_json(const struct coord_migration *migration)
{
    if (migration->amended_at_ms == 0)
        return json_null();
    json_t *out = json_object();
    put_text(out, "by", migration->amended_by);
    put_time(out, "at", migration->amended_at_ms);
    return out;
}

static void put_migration(struct coord_driver *d, json_t *out, const struct coord_migration *migration,
                          const struct coord_release *releases, const struct coord_overview *overview)
{
    const struct zdm_notes *notes = notes_of(d, migration);
    json_t *phases = json_array(), *shards = json_array();
    put_text(out, "migration", migration->id);
    put_text(out, "title", notes != NULL ? notes->title : "");
    put_hex(out, "plan_hash", migration->plan->hash.bytes, sizeof migration->plan->hash.bytes);
    put_text(out, "submitted_by", migration->submitted_by);
    put_time(out, "submitted_at", migration->submitted_at_ms);
    put(out, "amended", amended_json(migration));
    put_text(out, "mode", mode_name(migration->mode));
    put_text_or_null(out, "outcome", outcome_name(migration));
    put_text_or_null(out, "halted_by", halt_name(migration));
    put_number(out, "phase", migration->opened_phase);
    for (size_t i = 0; i < migration->plan->n_phases; i++)
        (void)json_array_append_new(phases, phase_json(d, migration, &migration->plan->phases[i], overview));
    put(out, "phases", phases);
    put(out, "approvals", approvals_json(d, overview));
    put(out, "barrier", barrier_json(migration));
    for (size_t i = 0; i < migration->n_shards; i++)
        (void)json_array_append_new(shards, shard_json(d, migration, &migration->shards[i], &releases[i]));
    put(out, "shards", shards);
}

static void put_next(struct coord_driver *d, json_t *out, const struct coord_migration *migration,
                     const struct coord_release *releases)
{
    char command[2 * ZDM_TEXT_MAX], why[4 * ZDM_TEXT_MAX];
    json_t *next = json_object();
    next_step(d, migration, releases, command, sizeof command, why, sizeof why);
    put_text_or_null(next, "command", command);
    put_text(next, "why", why);
    put(out, "next", next);
}

static void put_nothing(json_t *out)
{
    static const char *const keys[] = {"migration", "title",   "plan_hash", "submitted_by", "submitted_at", "amended",
                                       "mode",      "outcome", "halted_by", "phase",        "barrier"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        put(out, keys[i], json_null());
    put(out, "phases", json_array());
    put(out, "approvals", json_array());
    put(out, "shards", json_array());
}

static char *no_memory(struct zdm_error *err)
{
    zdm_error_set(err, ZDM_NOMEM, "could not get memory for the answer");
    return NULL;
}

static json_t *head_json(const struct coord_driver *d)
{
    json_t *out = json_object();
    put_text(out, "fleet", d->chain.trust.fleet_name);
    put_time(out, "now", d->now_ms);
    put_number(out, "trust_version", d->chain.trust.version);
    put(out, "coordinator", coordinator_json(d));
    return out;
}

char *json_status(struct coord_driver *d, const char *id, struct zdm_error *err)
{
    const struct coord_migration *migration = pick_migration(d, id, err);
    struct coord_overview overview = {.n_acts = 0};
    if (migration == NULL && err->code != ZDM_OK)
        return NULL;
    size_t n = migration != NULL ? migration->n_shards : 0;
    ZDM_CLEANUP(zdm_freep) struct coord_release *releases = calloc(n + 1, sizeof *releases);
    if (releases == NULL)
        return no_memory(err);
    if (migration != NULL && !coord_approvals_overview(d->state, &d->view, migration, d->now_ms, &overview))
        return no_memory(err);
    json_t *out = head_json(d);
    if (migration != NULL) {
        (void)coord_releasable(d->state, &d->view, migration, d->now_ms, releases);
        put_migration(d, out, migration, releases, &overview);
    } else
        put_nothing(out);
    put_next(d, out, migration, releases);
    coord_overview_fini(&overview);
    return json_text(out, err);
}
