/*
 * trust.c - a newer trust file: published by a person, or found by the driver at its start. The driver has verified the
 * chain; what the roots signed needs no role of who brings it.
 */
#include "coordinator/core/machine.h"

static void adopt(struct coord_output *out, uint32_t version, const struct zdm_hash *digest)
{
    struct coord_event *event = coord_emit(out, COORD_EVENT_TRUST_ADOPTED, "");
    if (event == NULL)
        return;
    event->u.trust_adopted.version = version;
    event->u.trust_adopted.digest = *digest;
}

void coord_verb_trust(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                      struct coord_output *out, struct zdm_error *answer)
{
    const struct zdm_trust *trust = input->u.request.new_trust;
    (void)view;
    if (trust == NULL) {
        zdm_error_set(answer, ZDM_INVALID, "the new trust file was not uploaded");
        zdm_error_hint(answer, "Publish it with the file: zdmctl trust publish FILE.");
    } else if (trust->version == state->trust_version &&
               zdm_hash_equal(&state->trust_digest, &input->u.request.new_trust_digest)) {
        zdm_error_set(answer, ZDM_OK, "version %u of the trust file is in force already", trust->version);
    } else if (trust->version != state->trust_version + 1) {
        zdm_error_set(answer, ZDM_REFUSED, "version %u of the trust file does not follow version %u, which is in force",
                      trust->version, state->trust_version);
        zdm_error_hint(answer, "Make version %u from the one in force: zdmctl trust propose.",
                       state->trust_version + 1);
    } else {
        adopt(out, trust->version, &input->u.request.new_trust_digest);
        coord_effect(out, COORD_DO_ADOPT_TRUST, "");
        zdm_error_set(answer, ZDM_OK, "version %u of the trust file is in force", trust->version);
        zdm_error_detail(answer, "Every session is checked against it again; agents take it as they report.");
    }
}

void coord_decide_trust(const struct coord_state *state, const struct coord_input *input, struct coord_output *out)
{
    if (input->u.trust.version <= state->trust_version)
        return;
    adopt(out, input->u.trust.version, &input->u.trust.digest);
    coord_notify(out, "");
}
