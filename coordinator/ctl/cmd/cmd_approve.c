/*
 * cmd_approve.c - approve: what is signed is shown from the approver's own copy of the runbook; and --revoke.
 */
#include "coordinator/ctl/command.h"

#include <string.h>

#include "common/os/crypto.h"
#include "common/plan/undo.h"
#include "coordinator/ctl/view/approval_view.h"
#include "coordinator/ctl/cmd/approving.h"
#include "coordinator/ctl/client/fleet.h"
#include "coordinator/ctl/text/json.h"

/* ---- Arguments ---- */

static enum zdm_code check_options(const struct ctl_options *options, struct zdm_error *err)
{
    bool phase = ctl_given(options, CTL_OPT_PHASE), undo = ctl_given(options, CTL_OPT_ROLLBACK_TO);
    bool revoke = ctl_given(options, CTL_OPT_REVOKE);
    static const char usage[] = "Write --phase PHASE --runbook FILE, --rollback-to PHASE, or --revoke [--phase PHASE].";
    if (!phase && !undo && !revoke)
        zdm_error_set(err, ZDM_INVALID, "approve needs to know what");
    else if (undo && (phase || revoke))
        zdm_error_set(err, ZDM_INVALID, "--rollback-to excludes --phase and --revoke");
    else if (ctl_given(options, CTL_OPT_PURGE) && (!phase || revoke))
        zdm_error_set(err, ZDM_INVALID, "--purge goes with --phase");
    else if (phase && !revoke && !ctl_given(options, CTL_OPT_RUNBOOK))
        zdm_error_set(err, ZDM_INVALID, "approve --phase needs your own copy of the runbook: --runbook FILE");
    else if (revoke && (ctl_given(options, CTL_OPT_RUNBOOK) || ctl_given(options, CTL_OPT_EXPIRES)))
        zdm_error_set(err, ZDM_INVALID, "--revoke needs neither --runbook nor --expires");
    else
        return ZDM_OK;
    return zdm_error_hint(err, usage);
}

static enum zdm_code compile_own(struct ctl_approving *a, struct zdm_error *err)
{
    const char *path = ctl_option_text(&a->ctl->options, CTL_OPT_RUNBOOK);
    if (path == NULL)
        return ZDM_OK;
    enum zdm_code code = ctl_compile(path, &a->own, err);
    return code == ZDM_OK && a->own.plan == NULL ? ctl_compiled_refuse(path, a->own.notes, err) : code;
}

/* ---- Signing ---- */

struct acts {
    struct zdm_approval items[2];
    size_t n;
};

static void acts_fini(struct acts *acts)
{
    for (size_t i = 0; i < acts->n; i++)
        zdm_approval_fini(&acts->items[i]);
}

static enum zdm_code add_act(const struct ctl_approving *a, struct acts *acts, enum zdm_approval_action action,
                             uint32_t phase, struct zdm_error *err)
{
    enum zdm_code code = ctl_approval_make(a, action, phase, false, &acts->items[acts->n], err);
    acts->n += code == ZDM_OK ? 1 : 0;
    return code;
}

static enum zdm_code add_phase(const struct ctl_approving *a, struct acts *acts, const char *named,
                               struct zdm_error *err)
{
    const struct zdm_plan *plan = a->subject.plan;
    uint32_t number = 0, purge = zdm_plan_purge_phase(plan);
    bool purge_too = ctl_given(&a->ctl->options, CTL_OPT_PURGE);
    enum zdm_code code = ctl_phase_find(a->subject.status, named, &number, err);
    if (code != ZDM_OK)
        return code;
    if (purge_too && purge == 0)
        return zdm_error_set(err, ZDM_INVALID, "the plan hides nothing: it has no purge phase to sign for");
    if (number != purge && ctl_approvals_needed(a, ZDM_APPROVE_ENTER, number) == 0) {
        zdm_error_set(err, ZDM_INVALID, "phase %u needs no approval", number);
        return zdm_error_hint(err, "zdmctl advance %s opens it; zdmctl status shows which phases need approvals.",
                              plan->id);
    }
    code = add_act(a, acts, number == purge ? ZDM_APPROVE_PURGE : ZDM_APPROVE_ENTER, number, err);
    if (code == ZDM_OK && purge_too && number != purge)
        code = add_act(a, acts, ZDM_APPROVE_PURGE, purge, err);
    return code;
}

static enum zdm_code add_undo(const struct ctl_approving *a, struct acts *acts, const char *named,
                              struct zdm_error *err)
{
    const struct zdm_step *step = NULL;
    uint32_t to = 0;
    enum zdm_code code = strcmp(named, "0") == 0 ? ZDM_OK : ctl_phase_find(a->subject.status, named, &to, err);
    if (code != ZDM_OK)
        return code;
    if (!ctl_places_may_lose(&a->places, a->subject.plan, to, &step)) {
        zdm_error_set(err, ZDM_INVALID,
                      "a rollback to phase %u loses nothing that new code wrote: it needs no approval", to);
        return zdm_error_hint(err, "An operator types: zdmctl rollback %s.", a->subject.plan->id);
    }
    return add_act(a, acts, ZDM_APPROVE_UNDO, to, err);
}

static enum zdm_code sign(struct ctl_approving *a, struct zdm_error *err)
{
    const struct ctl_options *options = &a->ctl->options;
    const char *phase = ctl_option_text(options, CTL_OPT_PHASE), *to = ctl_option_text(options, CTL_OPT_ROLLBACK_TO);
    struct acts acts = {.n = 0};
    enum zdm_code code = compile_own(a, err);
    if (code == ZDM_OK)
        code = ctl_approving_look(a, false, err);
    if (code == ZDM_OK && a->own.plan != NULL)
        code = ctl_plan_compare(a->own.plan, a->subject.plan, ctl_option_text(options, CTL_OPT_RUNBOOK), err);
    if (code == ZDM_OK)
        code = phase != NULL ? add_phase(a, &acts, phase, err) : add_undo(a, &acts, to, err);
    for (size_t i = 0; code == ZDM_OK && i < acts.n; i++)
        code = ctl_approval_show(a, &acts.items[i], err);
    if (code == ZDM_OK)
        code = ctl_consent(a->ctl, acts.n > 1 ? "Sign both?" : "Sign this?", err);
    for (size_t i = 0; code == ZDM_OK && i < acts.n; i++)
        code = ctl_approval_send(a, ZDM_VERB_APPROVE, &acts.items[i], err);
    acts_fini(&acts);
    return code;
}

/* ---- Taking back ---- */

static enum zdm_code revoke_one(struct ctl_approving *a, const json_t *by, struct zdm_error *err)
{
    struct ctl_errand errand = {.request = {.verb = ZDM_VERB_REVOKE_APPROVAL}};
    struct ctl_answer answer;
    zdm_copy_text(errand.request.migration, sizeof errand.request.migration, a->subject.migration);
    if (!zdm_unhex(errand.request.target.bytes, sizeof errand.request.target.bytes, ctl_json_text(by, "nonce")))
        return zdm_error_set(err, ZDM_PROTOCOL, "the coordinator does not say which approval is meant");
    enum zdm_code code = ctl_reason_read(&a->ctl->options, NULL, &errand.request, err);
    if (code == ZDM_OK)
        code = ctl_act(a->client, &errand, &answer, err);
    if (code == ZDM_OK)
        code = ctl_print_answer(a->ctl, &errand.request, &answer, err);
    ctl_errand_fini(&errand);
    return code;
}

static bool is_mine(const struct ctl_approving *a, const json_t *by)
{
    const struct zdm_person *me =
        zdm_trust_person(zdm_crypto_sodium(), &ctl_client_trust(a->client)->trust, &ctl_client_key(a->client)->id);
    const char *verdict = ctl_json_text(by, "verdict");
    return me != NULL && strcmp(ctl_json_text(by, "name"), me->name) == 0 && strstr(verdict, "spent") == NULL &&
           strstr(verdict, "withdrawn") == NULL;
}

static enum zdm_code revoke_all(struct ctl_approving *a, uint32_t phase, struct zdm_error *err)
{
    const json_t *approvals = json_object_get(a->subject.status, "approvals"), *row, *by;
    size_t i, j, n = 0;
    enum zdm_code code = ZDM_OK;
    json_array_foreach(approvals, i, row)
    {
        if (phase != 0 && ctl_json_int(row, "phase", 0) != phase)
            continue;
        json_array_foreach(json_object_get(row, "by"), j, by)
        {
            if (code != ZDM_OK || !is_mine(a, by))
                continue;
            code = revoke_one(a, by, err);
            n++;
        }
    }
    if (code != ZDM_OK || n > 0)
        return code;
    zdm_error_set(err, ZDM_NOT_FOUND, "there is no approval of yours that could be taken back");
    return zdm_error_hint(err, "zdmctl status shows who signed what; one that a shard has used is spent.");
}

static enum zdm_code revoke(struct ctl_approving *a, struct zdm_error *err)
{
    const char *named = ctl_option_text(&a->ctl->options, CTL_OPT_PHASE);
    uint32_t phase = 0;
    enum zdm_code code = ctl_approving_look(a, false, err);
    if (code == ZDM_OK && named != NULL)
        code = ctl_phase_find(a->subject.status, named, &phase, err);
    return code == ZDM_OK ? revoke_all(a, phase, err) : code;
}

enum zdm_code ctl_run_approve(struct ctl *ctl, struct zdm_error *err)
{
    struct ctl_approving a = {.ctl = ctl};
    enum zdm_code code = check_options(&ctl->options, err);
    if (code == ZDM_OK)
        code = ctl_approving_read(&a, err);
    if (code == ZDM_OK)
        code = ctl_given(&ctl->options, CTL_OPT_REVOKE) ? revoke(&a, err) : sign(&a, err);
    ctl_approving_fini(&a);
    return code;
}
