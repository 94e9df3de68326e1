/*
 * people.h - what people signed, as the core gets it: the trust file in force as ids and roles, and the approvals and
 * the undo order that came with a directive, each verified before it is parsed (protocol 1, 6).
 */
#ifndef AGENT_APP_PEOPLE_H
#define AGENT_APP_PEOPLE_H

#include "agent/app/identity.h"
#include "agent/core/core.h"

/* The people of a trust file, keys as ids. False without memory; out then untouched. */
bool agent_people_read(const struct zdm_crypto *crypto, const struct zdm_trust *trust, struct zdm_authority *out);

/* What is verified of a directive. parts points into this struct, which must not be moved while it is used. */
struct agent_signatures {
    struct agent_authority parts;
    struct zdm_signed_approval approvals[ZDM_APPROVALS_MAX];
    struct zdm_undo_order undo_order;
    bool has_undo_order;
    char undo_refusal[ZDM_TEXT_MAX + 1];
    unsigned left_out;                   /* approvals that do not verify */
    char left_out_why[ZDM_TEXT_MAX + 1]; /* of the last one */
};

/* Verifies each with the key of a person of the trust file in force, whatever their roles: these are the core's to
 * judge. What does not verify is left out. */
void agent_signatures_take(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                           const struct zdm_directive *directive, struct agent_signatures *out);
void agent_signatures_fini(struct agent_signatures *signatures);

#endif
