/*
 * wait_rule.c - is what `wait` waits for there? See wait_rule.h.
 */
#include "coordinator/ctl/model/wait_rule.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/ctl/client/fleet.h"
#include "coordinator/ctl/text/json.h"
#include "coordinator/ctl/model/shard_state.h"

enum zdm_code ctl_wait_parse(const char *text, struct ctl_wait_for *out, struct zdm_error *err)
{
    char *end = NULL;
    struct ctl_wait_for wanted = {.kind = CTL_WAIT_PHASE};
    if (strncmp(text, "phase=", 6) == 0) {
        wanted.phase = strtol(text + 6, &end, 10);
        if (end == text + 6 || *end != '\0' || wanted.phase < 1 || wanted.phase > ZDM_PHASES_MAX)
            return zdm_error_set(err, ZDM_INVALID, "\"%s\" is not the number of a phase", text + 6);
    } else if (strcmp(text, "done") == 0) {
        wanted.kind = CTL_WAIT_DONE;
    } else if (strcmp(text, "paused") == 0) {
        wanted.kind = CTL_WAIT_PAUSED;
    } else if (strcmp(text, "rolled-back") == 0) {
        wanted.kind = CTL_WAIT_ROLLED_BACK;
    } else {
        zdm_error_set(err, ZDM_INVALID, "cannot wait for \"%s\"", text);
        return zdm_error_hint(err, "Write --for phase=N, done, paused or rolled-back.");
    }
    *out = wanted;
    return ZDM_OK;
}

static bool is_there(const struct ctl_wait_for *wanted, const json_t *shard)
{
    switch (wanted->kind) {
    case CTL_WAIT_PHASE:
        return ctl_shard_reached(shard, wanted->phase);
    case CTL_WAIT_DONE:
        return ctl_json_is(shard, "status", "done");
    case CTL_WAIT_PAUSED:
        return ctl_shard_is_paused(shard);
    case CTL_WAIT_ROLLED_BACK:
        return ctl_shard_is_rolled_back(shard);
    }
    return false;
}

static void describe(const struct ctl_wait_for *wanted, struct ctl_wait_score *score)
{
    static const char *const verbs[] = {[CTL_WAIT_PHASE] = "finished phase",
                                        [CTL_WAIT_DONE] = "done",
                                        [CTL_WAIT_PAUSED] = "paused",
                                        [CTL_WAIT_ROLLED_BACK] = "rolled back"};
    char phase[24] = "";
    if (wanted->kind == CTL_WAIT_PHASE)
        snprintf(phase, sizeof phase, " %" PRId64, wanted->phase);
    snprintf(score->text, sizeof score->text, "%zu of %zu shard%s %s%s", score->there, score->of,
             score->of == 1 ? "" : "s", verbs[wanted->kind], phase);
}

static enum zdm_code failed(const json_t *shard, struct zdm_error *err)
{
    const char *name = ctl_json_text(shard, "shard"), *reason = ctl_json_text(shard, "reason");
    const char *error = ctl_json_text(ctl_json_object(shard, "observed"), "error");
    const char *why = error[0] != '\0' ? error : reason, *help = ctl_json_text(shard, "hint");
    zdm_error_set(err, ZDM_DATABASE, "shard %s failed%s%.300s", name, why[0] != '\0' ? ": " : "", why);
    if (help[0] != '\0')
        return zdm_error_hint(err, "%.380s Then: zdmctl retry --shard %s", help, name);
    return zdm_error_hint(err, "Mend the cause, then: zdmctl retry --shard %s", name);
}

/* The migration is over, and not as wanted. */
static enum zdm_code check_end(const struct ctl_wait_for *wanted, const json_t *status,
                               const struct ctl_wait_score *score, struct zdm_error *err)
{
    const char *outcome = ctl_json_text(status, "outcome");
    bool done = strcmp(outcome, "done") == 0;
    if (!ctl_json_is(status, "mode", "ended") || score->there == score->of)
        return ZDM_OK;
    if (done && (wanted->kind == CTL_WAIT_DONE || wanted->kind == CTL_WAIT_PHASE))
        return ZDM_OK;
    return zdm_error_set(err, ZDM_DATABASE, "the migration has ended (%s): %s", outcome, score->text);
}

enum zdm_code ctl_wait_judge(const struct ctl_wait_for *wanted, const struct zdm_selection *selection,
                             const json_t *status, const json_t *fleet, struct ctl_wait_score *out,
                             struct zdm_error *err)
{
    const json_t *shards = json_object_get(status, "shards"), *shard;
    struct ctl_wait_score score = {.there = 0};
    size_t index, n_phases = json_array_size(json_object_get(status, "phases"));
    if (ctl_json_text(status, "migration")[0] == '\0')
        return zdm_error_set(err, ZDM_NOT_FOUND, "no migration has been submitted");
    if (wanted->kind == CTL_WAIT_PHASE && n_phases > 0 && wanted->phase > (int64_t)n_phases)
        return zdm_error_set(err, ZDM_INVALID, "the migration has %zu phases, not %" PRId64, n_phases, wanted->phase);
    enum zdm_code code = ctl_selection_check(selection, shards, err);
    if (code != ZDM_OK)
        return code;
    json_array_foreach(shards, index, shard)
    {
        bool named = selection->n_names > 0;
        if (!ctl_selection_has(selection, ctl_json_text(shard, "shard"), fleet))
            continue;
        if (!named && ctl_json_is(shard, "status", "excluded"))
            continue;
        score.of++;
        if (is_there(wanted, shard))
            score.there++;
        else if (ctl_json_is(shard, "status", "failed"))
            return failed(shard, err);
    }
    if (score.of == 0)
        return zdm_error_set(err, ZDM_NOT_FOUND, "no shard of the migration is chosen by the selection");
    describe(wanted, &score);
    code = check_end(wanted, status, &score, err);
    score.over = score.there == score.of;
    if (code == ZDM_OK)
        *out = score;
    return code;
}
