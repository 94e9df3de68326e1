/*
 * approving.c - an approval is made, shown, signed and sent. See approving.h.
 */
#include "coordinator/ctl/cmd/approving.h"

#include <stdlib.h>
#include <string.h>

#include "common/os/crypto.h"
#include "coordinator/ctl/view/approval_view.h"
#include "coordinator/ctl/command.h"
#include "coordinator/ctl/text/json.h"

enum { DAY_MS = 24 * 3600 * 1000, EXPIRES_DAYS = 7, EXPIRES_DAYS_MAX = 366 };

enum zdm_code ctl_approving_read(struct ctl_approving *a, struct zdm_error *err)
{
    const struct ctl_options *options = &a->ctl->options;
    a->expires_ms = (int64_t)EXPIRES_DAYS * DAY_MS;
    enum zdm_code code = ctl_selection_read(options, true, a->ctl->command->name, &a->selection, err);
    if (code == ZDM_OK)
        code = ctl_option_duration(options, CTL_OPT_EXPIRES, &a->expires_ms, err);
    if (code == ZDM_OK && (a->expires_ms < 60 * 1000 || a->expires_ms > (int64_t)EXPIRES_DAYS_MAX * DAY_MS))
        code = zdm_error_set(err, ZDM_INVALID, "--expires must be from 1m to %dd", (int)EXPIRES_DAYS_MAX);
    return code;
}

enum zdm_code ctl_approving_look(struct ctl_approving *a, bool ended_too, struct zdm_error *err)
{
    enum zdm_code code = ctl_client_new(a->ctl, &a->client, err);
    if (code == ZDM_OK)
        code = ctl_subject_read(a->client, ctl_operand(&a->ctl->options, 0), ended_too, &a->subject, err);
    if (code == ZDM_OK)
        code = ctl_places_read(a->subject.status, &a->selection, a->subject.fleet, a->subject.plan, &a->places, err);
    return code;
}

void ctl_approving_fini(struct ctl_approving *a)
{
    ctl_places_fini(&a->places);
    ctl_subject_fini(&a->subject);
    ctl_compiled_fini(&a->own);
    zdm_selection_fini(&a->selection);
    ctl_client_free(a->client);
}

uint32_t ctl_approvals_needed(const struct ctl_approving *a, enum zdm_approval_action action, uint32_t phase)
{
    const struct zdm_trust *trust = &ctl_client_trust(a->client)->trust;
    const struct zdm_authority authority = {.version = trust->version, .approvals_min = trust->approvals_min};
    const struct zdm_act act = {.plan = a->subject.plan, .action = action, .phase = phase};
    return zdm_act_needs(&authority, &act);
}

/* "ann, 2026-11-22T10:00:00Z"; the name is that of the key that signed the plan, by the person's own trust file. */
static void submitter_text(char *out, size_t size, const struct ctl_approving *a)
{
    const struct zdm_trust *trust = &ctl_client_trust(a->client)->trust;
    const struct zdm_person *person = zdm_trust_person(zdm_crypto_sodium(), trust, &a->subject.plan_signer);
    const char *at = ctl_json_text(a->subject.status, "submitted_at");
    char key[ZDM_ID_HEX_SIZE];
    zdm_hex(key, a->subject.plan_signer.bytes, sizeof a->subject.plan_signer.bytes);
    snprintf(out, size, "by %s%s%s%.32s",
             person != NULL ? person->name : "a key that your trust file does not name: ", person != NULL ? "" : key,
             at[0] != '\0' ? ", " : "", at);
}

enum zdm_code ctl_approval_show(const struct ctl_approving *a, const struct zdm_approval *approval,
                                struct zdm_error *err)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    char submitter[256];
    const struct ctl_approval_page page = {
        .plan = a->own.plan != NULL ? a->own.plan : a->subject.plan,
        .notes = a->own.plan != NULL ? a->own.notes : a->subject.notes,
        .approval = approval,
        .places = &a->places,
        .runbook = a->own.plan != NULL ? ctl_option_text(&a->ctl->options, CTL_OPT_RUNBOOK) : NULL,
        .submitter = submitter,
        .needed = ctl_approvals_needed(a, approval->action, approval->phase),
    };
    submitter_text(submitter, sizeof submitter, a);
    ctl_approval_text(&out, &a->ctl->look, &page);
    ctl_remarks_text(&out, &a->ctl->look, a->subject.status);
    enum zdm_code code = ctl_say(a->ctl, &out, err);
    zdm_buffer_fini(&out);
    return code;
}

enum zdm_code ctl_approval_make(const struct ctl_approving *a, enum zdm_approval_action action, uint32_t phase,
                                bool purge_now, struct zdm_approval *out, struct zdm_error *err)
{
    const struct zdm_plan *plan = a->subject.plan;
    const struct zdm_phase *p = phase > 0 && action != ZDM_APPROVE_UNDO ? zdm_plan_phase(plan, phase) : NULL;
    struct zdm_approval approval = {.plan_hash = plan->hash, .phase = phase, .action = action, .purge_now = purge_now};
    zdm_copy_text(approval.migration, sizeof approval.migration, plan->id);
    if (p != NULL)
        approval.phase_digest = p->digest;
    approval.trust_version = ctl_client_trust(a->client)->trust.version;
    approval.issued_at_ms = ctl_wall();
    approval.expires_at_ms = approval.issued_at_ms + a->expires_ms;
    approval.nonce = ctl_nonce();
    enum zdm_code code = ctl_places_names(&a->places, &approval.shards, &approval.n_shards, err);
    if (code == ZDM_OK)
        *out = approval;
    return code;
}

/* The shards of the signed body are those of the request. */
static enum zdm_code select_shards(const struct zdm_approval *approval, struct zdm_selection *out,
                                   struct zdm_error *err)
{
    out->all = approval->n_shards == 0;
    if (out->all)
        return ZDM_OK;
    out->names = calloc(approval->n_shards, sizeof *out->names);
    for (size_t i = 0; out->names != NULL && i < approval->n_shards; i++) {
        out->names[i] = zdm_strdup(approval->shards[i]);
        if (out->names[i] == NULL)
            break;
        out->n_names++;
    }
    return out->n_names == approval->n_shards ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code ctl_approval_send(const struct ctl_approving *a, enum zdm_verb verb, const struct zdm_approval *approval,
                                struct zdm_error *err)
{
    struct ctl_errand errand = {.request = {.verb = verb, .plan_hash = approval->plan_hash}};
    struct ctl_answer answer;
    struct zdm_buffer body;
    zdm_buffer_init(&body, ZDM_FRAME_MAX);
    zdm_approval_encode(approval, &body);
    zdm_copy_text(errand.request.migration, sizeof errand.request.migration, approval->migration);
    errand.request.to_phase = approval->phase;
    enum zdm_code code = ctl_reason_read(&a->ctl->options, NULL, &errand.request, err);
    if (code == ZDM_OK)
        code = select_shards(approval, &errand.request.shards, err);
    if (code == ZDM_OK)
        code = ctl_sign(a->client, ZDM_SIGNED_APPROVAL, &body, &errand.request.payload, err);
    if (code == ZDM_OK)
        code = ctl_act(a->client, &errand, &answer, err);
    if (code == ZDM_OK)
        code = ctl_print_answer(a->ctl, &errand.request, &answer, err);
    zdm_buffer_fini(&body);
    ctl_errand_fini(&errand);
    return code;
}
