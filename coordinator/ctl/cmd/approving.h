/*
 * approving.h - what approve and purge share: an approval is made, shown, consented to, signed and sent.
 */
#ifndef COORDINATOR_CTL_CMD_APPROVING_H
#define COORDINATOR_CTL_CMD_APPROVING_H

#include "common/plan/authority.h"
#include "coordinator/ctl/model/place.h"
#include "coordinator/ctl/cmd/source.h"

struct ctl_approving {
    struct ctl *ctl;
    struct ctl_client *client;
    struct ctl_subject subject;
    struct zdm_selection selection;
    struct ctl_places places;
    struct ctl_compiled own; /* of --runbook; plan NULL without */
    int64_t expires_ms;      /* how long a signature holds */
};

/* The selection (all without one) and --expires. */
enum zdm_code ctl_approving_read(struct ctl_approving *a, struct zdm_error *err) ZDM_CHECKED;
/* Connects; reads migration, plan and places. */
enum zdm_code ctl_approving_look(struct ctl_approving *a, bool ended_too, struct zdm_error *err) ZDM_CHECKED;
void ctl_approving_fini(struct ctl_approving *a);

/* How many approvals the act needs by the person's own trust file. */
uint32_t ctl_approvals_needed(const struct ctl_approving *a, enum zdm_approval_action action, uint32_t phase);
/* Shows what would be signed: on stdout, or on stderr with -o json. */
enum zdm_code ctl_approval_show(const struct ctl_approving *a, const struct zdm_approval *approval,
                                struct zdm_error *err) ZDM_CHECKED;
/* Fills it: plan, digest, shards, times, nonce. zdm_approval_fini. */
enum zdm_code ctl_approval_make(const struct ctl_approving *a, enum zdm_approval_action action, uint32_t phase,
                                bool purge_now, struct zdm_approval *out, struct zdm_error *err) ZDM_CHECKED;
/* Signs, sends as payload of the verb, prints the answer. */
enum zdm_code ctl_approval_send(const struct ctl_approving *a, enum zdm_verb verb, const struct zdm_approval *approval,
                                struct zdm_error *err) ZDM_CHECKED;

#endif
