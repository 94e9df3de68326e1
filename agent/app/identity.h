/*
 * identity.h - who this agent is and whom it trusts: the trust chain and the pinned enrolment (protocol 6).
 */
#ifndef AGENT_APP_IDENTITY_H
#define AGENT_APP_IDENTITY_H

#include "common/plan/trust.h"
#include "proto/trust_file.h"

struct agent_identity {
    struct zdm_trust_chain chain;
    struct zdm_enrolment enrolment; /* shard and labels as pinned when it joined */
};

/* Reads both from their files' bytes. The chain is verified from its first version on; the enrolment was verified when
 * it was pinned (its signer may have left since), so only its fleet is compared. ZDM_AUTH, ZDM_PROTOCOL. */
enum zdm_code agent_identity_read(const struct zdm_crypto *crypto, const void *trust, size_t trust_n,
                                  const void *enrolment, size_t enrolment_n, struct agent_identity *out,
                                  struct zdm_error *err) ZDM_CHECKED;
void agent_identity_fini(struct agent_identity *identity);

/* Extends the chain by newer versions as they came in a frame; those that are held already are passed over. *out_newer:
 * it was replaced. A chain that does not verify changes nothing. */
enum zdm_code agent_identity_extend(const struct zdm_crypto *crypto, struct agent_identity *identity,
                                    const struct zdm_envelope *envelopes, size_t n, bool *out_newer,
                                    struct zdm_error *err) ZDM_CHECKED;
/* The same from a trust file, a whole chain of the same fleet: its versions up to the one held say nothing new. */
enum zdm_code agent_identity_extend_file(const struct zdm_crypto *crypto, struct agent_identity *identity,
                                         const void *bytes, size_t n, bool *out_newer,
                                         struct zdm_error *err) ZDM_CHECKED;

#endif
