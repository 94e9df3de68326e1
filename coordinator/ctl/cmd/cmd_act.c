/*
 * cmd_act.c - the verbs that change what shards shall be: advance, pause, resume, retry, throttle; freeze and thaw.
 *
 * In one session: read the fleet (which migration is meant, how far it is), then sign and send the request. advance
 * tells what it saw, so that the coordinator refuses it when somebody else was faster.
 */
#include "coordinator/ctl/command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "coordinator/ctl/client/client.h"
#include "coordinator/ctl/client/fleet.h"
#include "coordinator/ctl/text/json.h"

struct verb_row {
    const char *command;
    enum zdm_verb verb;
    bool on_shards;          /* about a migration and a selection of its shards */
    bool selection_optional; /* without one: all */
    bool needs_reason;
};

static const struct verb_row verbs[] = {
    {"advance", ZDM_VERB_ADVANCE, true, false, false},  {"pause", ZDM_VERB_PAUSE, true, false, false},
    {"resume", ZDM_VERB_RESUME, true, false, false},    {"retry", ZDM_VERB_RETRY, true, false, false},
    {"throttle", ZDM_VERB_THROTTLE, true, true, false}, {"freeze", ZDM_VERB_FREEZE, false, true, false},
    {"thaw", ZDM_VERB_THAW, false, true, false},        {"exclude", ZDM_VERB_EXCLUDE, true, false, true},
    {"include", ZDM_VERB_INCLUDE, true, false, false},
};

static const struct verb_row *verb_of(const char *command)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].command, command) == 0)
            return &verbs[i];
    return NULL;
}

/* ---- Arguments ---- */

static enum zdm_code read_duty(const struct ctl_options *options, uint32_t *out, struct zdm_error *err)
{
    const char *text = ctl_option_text(options, CTL_OPT_DUTY);
    char *end = NULL;
    if (text == NULL)
        return ZDM_OK;
    long value = strtol(text, &end, 10);
    if (end == text || (strcmp(end, "") != 0 && strcmp(end, "%") != 0) || value < 1 || value > 100)
        return zdm_error_set(err, ZDM_INVALID, "--duty must be a percentage from 1 to 100, not \"%s\"", text);
    *out = (uint32_t)value;
    return ZDM_OK;
}

static enum zdm_code read_milliseconds(const struct ctl_options *options, enum ctl_option_id id, int64_t max,
                                       uint32_t *out, struct zdm_error *err)
{
    int64_t ms = 0;
    enum zdm_code code = ctl_option_duration(options, id, &ms, err);
    if (code != ZDM_OK)
        return code;
    if (ctl_given(options, id) && (ms < 1 || ms > max))
        return zdm_error_set(err, ZDM_INVALID, "--%s must be from 1ms to %" PRId64 "s", ctl_option_row(id)->name,
                             max / 1000);
    *out = (uint32_t)ms;
    return ZDM_OK;
}

static enum zdm_code read_throttle(const struct ctl_options *options, struct zdm_throttle *out, struct zdm_error *err)
{
    enum { BATCH_MAX_MS = 60 * 1000, LAG_MAX_MS = 24 * 3600 * 1000 };
    bool values = ctl_given(options, CTL_OPT_BATCH_TARGET) || ctl_given(options, CTL_OPT_DUTY) ||
                  ctl_given(options, CTL_OPT_MAX_REPLICA_LAG);
    if (values == ctl_given(options, CTL_OPT_RESET)) {
        zdm_error_set(err, ZDM_INVALID, values ? "--reset excludes the other values" : "throttle needs a value");
        return zdm_error_hint(err, "Write --batch-target TIME, --duty PERCENT, --max-replica-lag TIME, or --reset.");
    }
    enum zdm_code code = read_duty(options, &out->duty_percent, err);
    if (code == ZDM_OK)
        code = read_milliseconds(options, CTL_OPT_BATCH_TARGET, BATCH_MAX_MS, &out->batch_target_ms, err);
    if (code == ZDM_OK)
        code = read_milliseconds(options, CTL_OPT_MAX_REPLICA_LAG, LAG_MAX_MS, &out->max_replica_lag_ms, err);
    return code;
}

/* What can be said without the coordinator. */
static enum zdm_code read_arguments(const struct ctl *ctl, const struct verb_row *row, struct zdm_request *request,
                                    struct zdm_error *err)
{
    const struct ctl_options *options = &ctl->options;
    enum zdm_code code = ctl_reason_read(options, row->needs_reason ? row->command : NULL, request, err);
    request->verb = row->verb;
    request->only_unfinished = ctl_given(options, CTL_OPT_ONLY_UNFINISHED);
    request->forward = ctl_given(options, CTL_OPT_FORWARD);
    if (code != ZDM_OK)
        return code;
    if (row->verb == ZDM_VERB_THROTTLE)
        code = read_throttle(options, &request->throttle, err);
    if (code == ZDM_OK && row->on_shards)
        code = ctl_selection_read(options, row->selection_optional || request->only_unfinished, row->command,
                                  &request->shards, err);
    return code;
}

/* ---- What has to be looked up ---- */

/* Asks before a phase that takes something out of old code's sight. */
static enum zdm_code confirm(const struct ctl *ctl, const json_t *status, uint32_t last, struct zdm_error *err)
{
    const json_t *phases = json_object_get(status, "phases"), *phase;
    int64_t opened = ctl_json_int(status, "phase", 0);
    char question[256];
    size_t index;
    json_array_foreach(phases, index, phase)
    {
        int64_t number = ctl_json_int(phase, "number", 0);
        const char *class = ctl_json_text(phase, "class");
        if (number <= opened || number > last || (strcmp(class, "contract") != 0 && strcmp(class, "purge") != 0))
            continue;
        snprintf(question, sizeof question, "Phase %" PRId64 " (%.80s) takes away what old code uses. Go on?", number,
                 ctl_json_text(phase, "title"));
        if (!ctl_confirm(ctl, question))
            return zdm_error_set(err, ZDM_CANCELLED, "nothing was changed");
    }
    return ZDM_OK;
}

static enum zdm_code prepare_advance(const struct ctl *ctl, struct ctl_client *client, const struct ctl_target *target,
                                     struct zdm_request *request, struct zdm_error *err)
{
    const struct ctl_query query = {.kind = ZDM_QUERY_STATUS, .migration = target->migration};
    const char *to = ctl_option_text(&ctl->options, CTL_OPT_TO);
    ZDM_CLEANUP(ctl_json_free) json_t *status = NULL;
    enum zdm_code code = ZDM_OK;
    request->has_expect = true;
    request->expect_phase = (uint32_t)target->phase;
    request->expect_generation = target->generation;
    if (to == NULL && (!ctl_is_interactive() || ctl_given(&ctl->options, CTL_OPT_YES)))
        return ZDM_OK;
    code = ctl_ask(client, &query, &status, err);
    if (code == ZDM_OK && to != NULL)
        code = ctl_phase_find(status, to, &request->to_phase, err);
    if (code == ZDM_OK && !request->only_unfinished)
        code = confirm(ctl, status, to != NULL ? request->to_phase : request->expect_phase + 1, err);
    return code;
}

static enum zdm_code prepare(const struct ctl *ctl, struct ctl_client *client, struct zdm_request *request,
                             struct zdm_error *err)
{
    const struct ctl_query query = {.kind = ZDM_QUERY_FLEET};
    ZDM_CLEANUP(ctl_json_free) json_t *fleet = NULL;
    struct ctl_target target;
    enum zdm_code code = ctl_ask(client, &query, &fleet, err);
    if (code == ZDM_OK)
        code = ctl_target_find(fleet, ctl_operand(&ctl->options, 0), &target, err);
    if (code != ZDM_OK)
        return code;
    zdm_copy_text(request->migration, sizeof request->migration, target.migration);
    return request->verb == ZDM_VERB_ADVANCE ? prepare_advance(ctl, client, &target, request, err) : ZDM_OK;
}

/* ---- The answer ---- */

static enum zdm_code print_json(const struct zdm_request *request, const struct ctl_answer *answer,
                                struct zdm_error *err)
{
    char id[ZDM_ID_HEX_SIZE];
    zdm_hex(id, request->request_id.bytes, sizeof request->request_id.bytes);
    ZDM_CLEANUP(ctl_json_free)
    json_t *json = json_pack("{s:s, s:s, s:s?, s:I, s:s}", "request_id", id, "verb", zdm_verb_name(request->verb),
                             "migration", request->migration[0] != '\0' ? request->migration : NULL, "seq",
                             (json_int_t)answer->seq, "message", answer->message);
    return ctl_write_json(json, JSON_INDENT(2), err);
}

enum zdm_code ctl_print_answer(const struct ctl *ctl, const struct zdm_request *request,
                               const struct ctl_answer *answer, struct zdm_error *err)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    if (ctl_wants_json(ctl))
        return print_json(request, answer, err);
    ctl_put(&out, &ctl->look, CTL_PLAIN, answer->message[0] != '\0' ? answer->message : "done");
    zdm_buffer_puts(&out, "\n");
    if (answer->detail[0] != '\0') {
        ctl_put(&out, &ctl->look, CTL_PLAIN, answer->detail);
        zdm_buffer_puts(&out, "\n");
    }
    if (answer->hint[0] != '\0') {
        zdm_buffer_puts(&out, "next: ");
        ctl_put(&out, &ctl->look, CTL_PLAIN, answer->hint);
        zdm_buffer_puts(&out, "\n");
    }
    enum zdm_code code = ctl_write(&out, err);
    zdm_buffer_fini(&out);
    return code;
}

enum zdm_code ctl_run_act(struct ctl *ctl, struct zdm_error *err)
{
    const struct verb_row *row = verb_of(ctl->command->name);
    ZDM_CLEANUP(ctl_client_freep) struct ctl_client *client = NULL;
    struct ctl_errand errand = {.n_uploads = 0};
    struct ctl_answer answer;
    if (row == NULL)
        return zdm_error_set(err, ZDM_BUG, "command without a verb");
    enum zdm_code code = read_arguments(ctl, row, &errand.request, err);
    if (code == ZDM_OK)
        code = ctl_client_new(ctl, &client, err);
    if (code == ZDM_OK && row->on_shards)
        code = prepare(ctl, client, &errand.request, err);
    if (code == ZDM_OK)
        code = ctl_act(client, &errand, &answer, err);
    if (code == ZDM_OK)
        code = ctl_print_answer(ctl, &errand.request, &answer, err);
    ctl_errand_fini(&errand);
    return code;
}
