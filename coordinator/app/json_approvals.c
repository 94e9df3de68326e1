/*
 * json_approvals.c - which approvals a migration needs, which were given and which of them count (docs/JSON.md). The
 * judgement is the core's: the same that holds shards back.
 */
#include <string.h>

#include "coordinator/app/json.h"

/* Who has that key now; without a name the key itself. */
static void put_approver(json_t *out, const struct coord_driver *d, const struct zdm_id *key)
{
    const struct zdm_authority_person *person = zdm_authority_find(&d->view.authority, key);
    if (person != NULL)
        put_text(out, "name", person->name);
    else
        put_hex(out, "name", key->bytes, sizeof key->bytes);
}

static json_t *given_json(const struct coord_driver *d, const struct coord_given *given)
{
    json_t *out = json_object();
    put_approver(out, d, &given->approver);
    put_hex(out, "nonce", given->nonce.bytes, sizeof given->nonce.bytes);
    put_time(out, "issued_at", given->issued_at_ms);
    put_time(out, "expires_at", given->expires_at_ms);
    put_text(out, "verdict", given->text);
    return out;
}

json_t *approvals_json(const struct coord_driver *d, const struct coord_overview *overview)
{
    json_t *out = json_array();
    for (size_t i = 0; i < overview->n_acts; i++) {
        const struct coord_act_overview *act = &overview->acts[i];
        json_t *row = json_object(), *by = json_array();
        put_number(row, "phase", act->phase);
        put_text(row, "action", zdm_approval_action_name(act->action));
        put_number(row, "needed", act->needed);
        put_number(row, "given", act->given);
        for (size_t j = 0; j < act->n_by; j++)
            (void)json_array_append_new(by, given_json(d, &overview->by[act->first + j]));
        put(row, "by", by);
        (void)json_array_append_new(out, row);
    }
    return out;
}

json_t *phase_approvals_json(const struct coord_driver *d, const struct coord_migration *migration, uint32_t phase,
                             const struct coord_overview *overview)
{
    enum zdm_approval_action action = ZDM_APPROVE_ENTER;
    uint32_t needed = coord_phase_needs(&d->view, migration, phase, &action), given = 0;
    for (size_t i = 0; i < overview->n_acts; i++)
        if (overview->acts[i].phase == phase && overview->acts[i].action == action)
            given = overview->acts[i].given;
    json_t *out = json_object();
    put_number(out, "given", given);
    put_number(out, "needed", needed);
    return out;
}
