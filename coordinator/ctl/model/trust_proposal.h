/*
 * trust_proposal.h - the next version of a trust file while it collects signatures.
 *
 * A trust file holds only versions that are signed. So a proposal is a file of its own, JSON:
 *   {"zdm_trust_proposal": 1, "chain": the trust file so far, "next": the body of the next version,
 *    "signatures": [signed messages of roots]}, bytes as base64url.
 * Everything is verified when it is read. Once enough roots of the former version and of the next one have signed,
 * chain and signatures together are a trust file.
 */
#ifndef COORDINATOR_CTL_MODEL_TRUST_PROPOSAL_H
#define COORDINATOR_CTL_MODEL_TRUST_PROPOSAL_H

#include "proto/trust_file.h"

enum { CTL_TRUST_FILE_MAX = 4 * 1024 * 1024, CTL_TRUST_FILE_MODE = 0644 };

struct ctl_proposal {
    struct zdm_trust_chain chain;
    struct zdm_trust next;
    struct zdm_buffer body; /* of next, encoded once */
    struct zdm_envelope signatures[2 * ZDM_ROOTS_MAX];
    size_t n_signatures;
};

/* How many roots have signed, of the former version and of the next one. */
struct ctl_progress {
    uint32_t before, before_needed;
    uint32_t after, after_needed;
};

/* Takes the chain over. `next` is copied out of its encoded form. */
enum zdm_code ctl_proposal_make(const struct zdm_crypto *crypto, struct zdm_trust_chain *chain,
                                const struct zdm_trust *next, struct ctl_proposal *out,
                                struct zdm_error *err) ZDM_CHECKED;
/* ZDM_INVALID when the bytes are no proposal, ZDM_AUTH when a signature is none of a root's. */
enum zdm_code ctl_proposal_read(const struct zdm_crypto *crypto, const void *bytes, size_t n, struct ctl_proposal *out,
                                struct zdm_error *err) ZDM_CHECKED;
/* Do the bytes look like one (and not like a trust file)? */
bool ctl_proposal_is(const void *bytes, size_t n);
void ctl_proposal_write(const struct ctl_proposal *proposal, struct zdm_buffer *out);
void ctl_proposal_fini(struct ctl_proposal *proposal);

/* Adds a root's signature. ZDM_REFUSED when the key is no root's, ZDM_EXISTS when it has signed. */
enum zdm_code ctl_proposal_sign(const struct zdm_crypto *crypto, struct ctl_proposal *proposal,
                                const struct zdm_signing_key *key, struct zdm_error *err) ZDM_CHECKED;
struct ctl_progress ctl_proposal_progress(const struct zdm_crypto *crypto, const struct ctl_proposal *proposal);
bool ctl_proposal_is_complete(const struct ctl_progress *progress);
/* "2 of 2 roots of version 3 and 1 of 2 roots of version 4 have signed" */
void ctl_progress_text(char *out, size_t size, const struct ctl_proposal *proposal,
                       const struct ctl_progress *progress);
/* The same as one JSON object and a newline (docs/JSON.md). */
void ctl_progress_json(struct zdm_buffer *out, const struct ctl_proposal *proposal,
                       const struct ctl_progress *progress);
/* The trust file with the next version in it. ZDM_AUTH while signatures are missing. */
enum zdm_code ctl_proposal_finish(const struct zdm_crypto *crypto, const struct ctl_proposal *proposal,
                                  struct zdm_trust_chain *out, struct zdm_error *err) ZDM_CHECKED;

/* One version of a chain, from 1; the caller frees it (zdm_trust_fini). ZDM_NOT_FOUND. out_hash may be NULL. */
enum zdm_code ctl_trust_version(const struct zdm_crypto *crypto, const struct zdm_trust_chain *chain, uint32_t version,
                                struct zdm_trust *out, struct zdm_hash *out_hash, struct zdm_error *err) ZDM_CHECKED;
/* Does `longer` go on from what `chain` holds: same fleet, and chain's newest version is one of its versions? */
bool ctl_trust_continues(const struct zdm_crypto *crypto, const struct zdm_trust_chain *chain,
                         const struct zdm_trust_chain *longer);

#endif
