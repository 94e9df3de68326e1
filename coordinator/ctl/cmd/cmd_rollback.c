/*
 * cmd_rollback.c - rollback: says what will happen, asks, signs an undo order and sends it.
 */
#include "coordinator/ctl/command.h"

#include <stdlib.h>
#include <string.h>

#include "common/plan/authority.h"
#include "coordinator/ctl/view/approval_view.h"
#include "coordinator/ctl/client/fleet.h"
#include "coordinator/ctl/text/json.h"
#include "coordinator/ctl/cmd/source.h"
#include "coordinator/ctl/model/way_back.h"

enum { UNDO_LIFE_MS = 24 * 3600 * 1000 };

struct rollback {
    struct ctl *ctl;
    struct ctl_client *client;
    struct ctl_subject subject;
    struct zdm_selection selection;
    struct ctl_places places;
    struct ctl_way way;
    struct zdm_buffer chosen;
    bool flags_off;
};

static void rollback_fini(struct rollback *r)
{
    ctl_places_fini(&r->places);
    ctl_subject_fini(&r->subject);
    zdm_selection_fini(&r->selection);
    ctl_client_free(r->client);
    zdm_buffer_fini(&r->chosen);
}

/* The selection as it was typed. */
static void chosen_text(struct zdm_buffer *out, const struct zdm_selection *selection)
{
    if (selection->all)
        zdm_buffer_puts(out, "--all-shards");
    else if (selection->selector != NULL)
        zdm_buffer_printf(out, "-l '%s'", selection->selector);
    for (size_t i = 0; i < selection->n_names; i++)
        zdm_buffer_printf(out, "%s--shard %s", i == 0 ? "" : " ", selection->names[i]);
}

/* Below a flag's phase those that are not chosen matter too: they stay where old code does not work. */
static enum zdm_code count_others(struct rollback *r, struct zdm_error *err)
{
    const struct zdm_selection all = {.all = true};
    struct ctl_places places = {.n = 0};
    if (r->way.crossed == 0 || r->selection.all)
        return ZDM_OK;
    enum zdm_code code = ctl_places_read(r->subject.status, &all, r->subject.fleet, r->subject.plan, &places, err);
    for (size_t i = 0; code == ZDM_OK && i < places.n; i++)
        r->way.others_beyond += !places.items[i].excluded && places.items[i].entered > r->way.crossed ? 1 : 0;
    ctl_places_fini(&places);
    return code;
}

static enum zdm_code look(struct rollback *r, struct zdm_error *err)
{
    const char *named = ctl_option_text(&r->ctl->options, CTL_OPT_TO);
    int64_t to = named != NULL && strcmp(named, "0") == 0 ? 0 : -1;
    uint32_t phase = 0;
    enum zdm_code code = ctl_client_new(r->ctl, &r->client, err);
    if (code == ZDM_OK)
        code = ctl_subject_read(r->client, ctl_operand(&r->ctl->options, 0), false, &r->subject, err);
    if (code == ZDM_OK)
        code = ctl_places_read(r->subject.status, &r->selection, r->subject.fleet, r->subject.plan, &r->places, err);
    if (code == ZDM_OK && named != NULL && to != 0) {
        code = ctl_phase_find(r->subject.status, named, &phase, err);
        to = phase;
    }
    if (code == ZDM_OK)
        code = ctl_way_find(r->subject.plan, &r->places, (uint32_t)ctl_json_int(r->subject.status, "phase", 0), to,
                            &r->way, err);
    if (code == ZDM_OK)
        code = count_others(r, err);
    chosen_text(&r->chosen, &r->selection);
    r->way.chosen = zdm_buffer_text(&r->chosen);
    return code;
}

static enum zdm_code explain(const struct rollback *r, struct zdm_error *err)
{
    const struct zdm_trust *trust = &ctl_client_trust(r->client)->trust;
    const struct zdm_authority authority = {.version = trust->version, .approvals_min = trust->approvals_min};
    const struct zdm_act act = {.plan = r->subject.plan, .action = ZDM_APPROVE_UNDO, .phase = r->way.to_phase};
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    ctl_way_text(&out, &r->ctl->look, &r->way, zdm_act_needs(&authority, &act));
    ctl_remarks_text(&out, &r->ctl->look, r->subject.status);
    zdm_buffer_puts(&out, "\n");
    enum zdm_code code = ctl_say(r->ctl, &out, err);
    zdm_buffer_fini(&out);
    return code;
}

/* Below a flag's phase a person states that the flag is off: --flag-off, or yes at the terminal; --yes is not that. */
static enum zdm_code ask_flag(struct rollback *r, struct zdm_error *err)
{
    const char *flag = ctl_way_flag(r->subject.plan, r->way.crossed);
    char question[256];
    r->flags_off = ctl_given(&r->ctl->options, CTL_OPT_FLAG_OFF);
    if (r->way.crossed == 0 || r->flags_off)
        return ZDM_OK;
    if (r->way.entered < r->way.crossed) /* opened, perhaps not for these shards: the coordinator knows */
        return ZDM_OK;
    snprintf(question, sizeof question, "Is the flag %s%soff everywhere, and does no new code run?", flag,
             flag[0] != '\0' ? " " : "");
    if (!ctl_given(&r->ctl->options, CTL_OPT_YES) && ctl_is_interactive() && ctl_confirm(r->ctl, question)) {
        r->flags_off = true;
        return ZDM_OK;
    }
    zdm_error_set(err, ZDM_REFUSED, "phase %u was opened: its flag %s%smust be off before shards go below it",
                  r->way.crossed, flag, flag[0] != '\0' ? " " : "");
    return zdm_error_hint(err, "Turn it off everywhere, wait until no new code runs, then say so: --flag-off.");
}

static enum zdm_code sign_order(struct rollback *r, struct zdm_request *request, struct zdm_error *err)
{
    struct zdm_undo_order order = {.plan_hash = r->subject.plan->hash, .to_phase = r->way.to_phase};
    struct zdm_buffer body;
    zdm_buffer_init(&body, ZDM_FRAME_MAX);
    zdm_copy_text(order.migration, sizeof order.migration, r->subject.migration);
    order.nonce = ctl_nonce();
    order.issued_at_ms = ctl_wall();
    order.expires_at_ms = order.issued_at_ms + UNDO_LIFE_MS;
    enum zdm_code code = ctl_places_names(&r->places, &order.shards, &order.n_shards, err);
    if (code == ZDM_OK) {
        zdm_undo_order_encode(&order, &body);
        code = ctl_sign(r->client, ZDM_SIGNED_UNDO_ORDER, &body, &request->payload, err);
    }
    /* the request is about the shards that the order names */
    request->shards = (struct zdm_selection){.all = r->places.all};
    if (code == ZDM_OK) {
        request->shards.names = order.shards;
        request->shards.n_names = order.n_shards;
        order.shards = NULL;
        order.n_shards = 0;
    }
    zdm_undo_order_fini(&order);
    zdm_buffer_fini(&body);
    return code;
}

static enum zdm_code send_order(struct rollback *r, struct zdm_error *err)
{
    struct ctl_errand errand = {.request = {.verb = ZDM_VERB_ROLLBACK,
                                            .plan_hash = r->subject.plan->hash,
                                            .to_phase = r->way.to_phase,
                                            .flags_off = r->flags_off}};
    struct ctl_answer answer;
    zdm_copy_text(errand.request.migration, sizeof errand.request.migration, r->subject.migration);
    enum zdm_code code = ctl_reason_read(&r->ctl->options, NULL, &errand.request, err);
    if (code == ZDM_OK)
        code = sign_order(r, &errand.request, err);
    if (code == ZDM_OK)
        code = ctl_act(r->client, &errand, &answer, err);
    if (code == ZDM_OK)
        code = ctl_print_answer(r->ctl, &errand.request, &answer, err);
    ctl_errand_fini(&errand);
    return code;
}

enum zdm_code ctl_run_rollback(struct ctl *ctl, struct zdm_error *err)
{
    struct rollback r = {.ctl = ctl};
    enum zdm_code code = ctl_selection_read(&ctl->options, false, "rollback", &r.selection, err);
    if (code == ZDM_OK)
        code = look(&r, err);
    if (code == ZDM_OK)
        code = explain(&r, err);
    if (code == ZDM_OK)
        code = ask_flag(&r, err);
    if (code == ZDM_OK)
        code = ctl_consent(ctl, "Roll back?", err);
    if (code == ZDM_OK)
        code = send_order(&r, err);
    rollback_fini(&r);
    return code;
}
