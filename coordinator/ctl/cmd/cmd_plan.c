/*
 * cmd_plan.c - plan and submit: a runbook becomes a plan here, and only here.
 *
 * Both compile and encode in the same way, so that submit prints the hash that plan printed.
 */
#include "coordinator/ctl/command.h"

#include <stdlib.h>
#include <string.h>

#include "common/os/crypto.h"
#include "coordinator/ctl/view/amend_view.h"
#include "coordinator/ctl/client/client.h"
#include "coordinator/ctl/client/fleet.h"
#include "coordinator/ctl/text/json.h"
#include "coordinator/ctl/cmd/source.h"
#include "proto/signed.h"

/* ---- plan ---- */

static enum zdm_code fleet_of(const struct ctl *ctl, json_t **out, struct zdm_error *err)
{
    enum { PATIENCE_MS = 3000 };
    ZDM_CLEANUP(ctl_client_freep) struct ctl_client *client = NULL;
    const struct ctl_query query = {.kind = ZDM_QUERY_FLEET};
    const int64_t deadline_ms = ctl_now() + PATIENCE_MS;
    enum zdm_code code = ctl_client_new(ctl, &client, err);
    if (code != ZDM_OK)
        return code;
    ctl_client_quiet(client);
    code = ctl_client_connect(client, deadline_ms, err);
    return code == ZDM_OK ? ctl_client_query(client, &query, deadline_ms, out, err) : code;
}

/* With a coordinator at hand: are the shards that it is for of its engines? A plan is made without one, too. */
static enum zdm_code check_engines(const struct ctl *ctl, const struct zdm_plan *plan, struct zdm_error *err)
{
    ZDM_CLEANUP(ctl_json_free) json_t *fleet = NULL;
    struct zdm_error silent = ZDM_ERROR_INIT;
    if (ctl->settings.coordinator == NULL)
        return ZDM_OK;
    if (fleet_of(ctl, &fleet, &silent) == ZDM_OK)
        return ctl_fleet_fits(fleet, plan, err);
    fprintf(stderr, "zdmctl: whether the fleet can run it was not asked: %s\n", silent.message);
    return ZDM_OK;
}

enum zdm_code ctl_run_plan(struct ctl *ctl, struct zdm_error *err)
{
    const char *path = ctl_operand(&ctl->options, 0);
    struct ctl_compiled c = {.plan = NULL};
    enum zdm_code code = ctl_compile(path, &c, err);
    if (code == ZDM_OK)
        code = ctl_compiled_show(ctl, &c, err);
    if (code == ZDM_OK && c.plan == NULL)
        code = ctl_compiled_refuse(path, c.notes, err);
    else if (code == ZDM_OK)
        code = check_engines(ctl, c.plan, err);
    ctl_compiled_fini(&c);
    return code;
}

/* ---- submit ---- */

/* The signed plan and the notes, as they are uploaded. */
static enum zdm_code pack(struct ctl_client *client, const struct ctl_compiled *c, struct ctl_errand *errand,
                          struct zdm_error *err)
{
    errand->n_uploads = 2;
    zdm_buffer_init(&errand->uploads[0], ZDM_PLAN_MAX);
    zdm_buffer_init(&errand->uploads[1], ZDM_NOTES_MAX);
    enum zdm_code code = ctl_compiled_sign(client, c, &errand->uploads[0], err);
    zdm_notes_encode(c->notes, &errand->uploads[1]);
    if (code == ZDM_OK && errand->uploads[1].failed)
        return zdm_error_set(err, ZDM_LIMIT, "the plan's notes are larger than %d KiB", ZDM_NOTES_MAX / 1024);
    return code;
}

/* Shows what would change, and asks. What was seen goes with the request: if somebody else is faster, it is refused. */
static enum zdm_code consent_to_amend(const struct ctl *ctl, struct ctl_client *client, const struct ctl_compiled *c,
                                      struct zdm_request *request, struct zdm_error *err)
{
    struct ctl_subject subject = {.plan = NULL};
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    struct ctl_target target;
    enum zdm_code code = ctl_subject_read(client, c->plan->id, false, &subject, err);
    if (code == ZDM_OK)
        code = ctl_target_find(subject.fleet, c->plan->id, &target, err);
    if (code == ZDM_OK && !zdm_hash_equal(&subject.plan->hash, &c->plan->hash)) {
        const struct ctl_amendment amendment = {subject.plan, c->plan, subject.status};
        request->has_expect = true;
        request->expect_phase = (uint32_t)target.phase;
        request->expect_generation = target.generation;
        ctl_amend_text(&out, &ctl->look, &amendment);
        code = ctl_say(ctl, &out, err);
        if (code == ZDM_OK && !ctl_confirm(ctl, "Amend the plan?"))
            code = zdm_error_set(err, ZDM_CANCELLED, "nothing was changed");
    }
    zdm_buffer_fini(&out);
    ctl_subject_fini(&subject);
    return code;
}

static enum zdm_code submit(struct ctl *ctl, const struct ctl_compiled *c, struct zdm_error *err)
{
    ZDM_CLEANUP(ctl_client_freep) struct ctl_client *client = NULL;
    struct ctl_errand errand = {.request = {.verb = ZDM_VERB_SUBMIT, .plan_hash = c->plan->hash}};
    struct ctl_answer answer;
    char hash[ZDM_HASH_HEX_SIZE];
    zdm_hex(hash, c->plan->hash.bytes, sizeof c->plan->hash.bytes);
    zdm_copy_text(errand.request.migration, sizeof errand.request.migration, c->plan->id);
    errand.request.amend = ctl_given(&ctl->options, CTL_OPT_AMEND);
    enum zdm_code code = ctl_reason_read(&ctl->options, NULL, &errand.request, err);
    if (code == ZDM_OK)
        code = ctl_client_new(ctl, &client, err);
    if (code == ZDM_OK && errand.request.amend)
        code = consent_to_amend(ctl, client, c, &errand.request, err);
    if (code == ZDM_OK)
        code = pack(client, c, &errand, err);
    if (code == ZDM_OK)
        code = ctl_act(client, &errand, &answer, err);
    if (code == ZDM_OK && !ctl_wants_json(ctl))
        printf("plan %s\n", hash);
    if (code == ZDM_OK)
        code = ctl_print_answer(ctl, &errand.request, &answer, err);
    ctl_errand_fini(&errand);
    return code;
}

enum zdm_code ctl_run_submit(struct ctl *ctl, struct zdm_error *err)
{
    const char *path = ctl_operand(&ctl->options, 0);
    struct ctl_compiled c = {.plan = NULL};
    enum zdm_code code = ctl_compile(path, &c, err);
    if (code == ZDM_OK && c.plan == NULL) {
        code = ctl_compiled_show(ctl, &c, err);
        if (code == ZDM_OK)
            code = ctl_compiled_refuse(path, c.notes, err);
    } else if (code == ZDM_OK) {
        code = submit(ctl, &c, err);
    }
    ctl_compiled_fini(&c);
    return code;
}
