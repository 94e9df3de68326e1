/*
 * verify.h - nothing is parsed before it was verified: directives, plans and journal rows (protocol 1 to 3).
 */
#ifndef AGENT_APP_VERIFY_H
#define AGENT_APP_VERIFY_H

#include "agent/app/identity.h"
#include "agent/engine/engine.h"
#include "common/plan/plan.h"

/* An order: signed by a coordinator of the trust file in force, of this fleet, for this shard. */
enum zdm_code agent_verify_order(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                                 const struct zdm_envelope *envelope, struct zdm_directive *out,
                                 struct zdm_error *err) ZDM_CHECKED;
/* The same, but signed by any coordinator that the chain has ever named: a row of the journal is a claim that a live
 * session has to confirm, and coordinators' keys change. */
enum zdm_code agent_verify_claim(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                                 const struct zdm_envelope *envelope, struct zdm_directive *out,
                                 struct zdm_error *err) ZDM_CHECKED;
/* A plan: signed by an operator, whole, with that hash, and its selector chooses this shard's pinned labels.
 * ZDM_CORRUPT when it is another plan than the hash says; *out is a reference. out_signer may be NULL. */
enum zdm_code agent_verify_plan(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                                const struct zdm_envelope *envelope, const struct zdm_hash *hash, struct zdm_plan **out,
                                struct zdm_id *out_signer, struct zdm_error *err) ZDM_CHECKED;
/* As agent_verify_row, of a row whose plan was signed by somebody who was an operator in any trust file of the chain:
 * for what was done, never for what to do. */
enum zdm_code agent_verify_former_row(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                                      const struct agent_journal *row, struct zdm_directive *out_directive,
                                      struct zdm_plan **out_plan, struct zdm_id *out_signer,
                                      struct zdm_error *err) ZDM_CHECKED;
/* Both envelopes of a journal row, and that they belong together. */
enum zdm_code agent_verify_row(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                               const struct agent_journal *row, struct zdm_directive *out_directive,
                               struct zdm_plan **out_plan, struct zdm_id *out_signer,
                               struct zdm_error *err) ZDM_CHECKED;

#endif
