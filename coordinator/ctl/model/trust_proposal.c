/*
 * trust_proposal.c - the next version of a trust file while it collects signatures. See trust_proposal.h.
 */
#include "coordinator/ctl/model/trust_proposal.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/ctl/text/json.h"
#include "proto/codec.h"
#include "proto/signed.h"

enum { PROPOSAL_FORMAT = 1 };

/* ---- Bytes in JSON ---- */

static json_t *base64_json(const struct zdm_buffer *bytes)
{
    ZDM_CLEANUP(zdm_freep) char *text = malloc(ZDM_BASE64_SIZE(bytes->len));
    if (text == NULL || bytes->failed)
        return NULL;
    zdm_base64url(text, bytes->data, bytes->len);
    return json_string(text);
}

static void from_base64(const json_t *value, struct zdm_buffer *out)
{
    const char *text = json_string_value(value);
    size_t room = text != NULL ? strlen(text) / 4 * 3 + 3 : 1;
    ZDM_CLEANUP(zdm_freep) uint8_t *bytes = malloc(room);
    long n = bytes != NULL && text != NULL ? zdm_unbase64url(bytes, room, text) : -1;
    if (n < 0)
        out->failed = true;
    else
        zdm_buffer_append(out, bytes, (size_t)n);
}

static json_t *envelope_json(const struct zdm_envelope *envelope)
{
    struct zdm_buffer flat = ZDM_BUFFER_INIT;
    zdm_envelope_flatten(envelope, &flat);
    json_t *json = base64_json(&flat);
    zdm_buffer_fini(&flat);
    return json;
}

void ctl_proposal_write(const struct ctl_proposal *p, struct zdm_buffer *out)
{
    struct zdm_buffer chain = ZDM_BUFFER_INIT;
    json_t *signatures = json_array();
    zdm_trust_chain_write(&p->chain, &chain);
    for (size_t i = 0; i < p->n_signatures; i++)
        json_array_append_new(signatures, envelope_json(&p->signatures[i]));
    json_t *json = json_pack("{s:i, s:o, s:o, s:o}", "zdm_trust_proposal", PROPOSAL_FORMAT, "chain",
                             base64_json(&chain), "next", base64_json(&p->body), "signatures", signatures);
    char *text = json != NULL ? json_dumps(json, JSON_INDENT(1)) : NULL;
    if (text != NULL)
        zdm_buffer_printf(out, "%s\n", text);
    else
        out->failed = true;
    free(text);
    json_decref(json);
    zdm_buffer_fini(&chain);
}

/* ---- Signatures ---- */

struct roots {
    const struct zdm_crypto *crypto;
    const struct zdm_trust *before, *after; /* either may be NULL */
};

static bool find_in(const struct zdm_crypto *crypto, const struct zdm_trust *trust, const struct zdm_id *key_id,
                    struct zdm_hash *out_public_key)
{
    for (size_t i = 0; trust != NULL && i < trust->n_roots; i++) {
        struct zdm_id id = zdm_key_id(crypto, &trust->roots[i]);
        if (zdm_id_equal(&id, key_id)) {
            *out_public_key = trust->roots[i];
            return true;
        }
    }
    return false;
}

static bool find_root(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    const struct roots *roots = ctx;
    return find_in(roots->crypto, roots->before, key_id, out_public_key) ||
           find_in(roots->crypto, roots->after, key_id, out_public_key);
}

static bool has_signed(const struct ctl_proposal *p, const struct zdm_id *key)
{
    struct zdm_id claimed;
    for (size_t i = 0; i < p->n_signatures; i++)
        if (zdm_signed_claims(&p->signatures[i], &claimed) && zdm_id_equal(&claimed, key))
            return true;
    return false;
}

/* Verifies it and moves it into the proposal. */
static enum zdm_code take_signature(const struct zdm_crypto *crypto, struct ctl_proposal *p,
                                    struct zdm_envelope *signature, struct zdm_error *err)
{
    struct roots roots = {.crypto = crypto, .before = &p->chain.trust, .after = &p->next};
    const uint8_t *body;
    size_t n;
    struct zdm_id key;
    enum zdm_code code =
        zdm_signed_check(crypto, signature, ZDM_SIGNED_TRUST, &p->chain.fleet, find_root, &roots, &body, &n, &key, err);
    if (code == ZDM_OK && (n != p->body.len || memcmp(body, p->body.data, n) != 0))
        code = zdm_error_set(err, ZDM_AUTH, "a signature of the proposal is for something else");
    if (code == ZDM_OK && has_signed(p, &key))
        code = zdm_error_set(err, ZDM_EXISTS, "that root has signed already");
    if (code == ZDM_OK && p->n_signatures == sizeof p->signatures / sizeof p->signatures[0])
        code = zdm_error_set(err, ZDM_LIMIT, "the proposal has too many signatures");
    if (code != ZDM_OK) {
        zdm_envelope_fini(signature);
        return code;
    }
    p->signatures[p->n_signatures++] = *signature;
    return ZDM_OK;
}

enum zdm_code ctl_proposal_sign(const struct zdm_crypto *crypto, struct ctl_proposal *p,
                                const struct zdm_signing_key *key, struct zdm_error *err)
{
    struct roots roots = {.crypto = crypto, .before = &p->chain.trust, .after = &p->next};
    struct zdm_envelope signature;
    struct zdm_hash ignored;
    if (!find_root(&roots, &key->id, &ignored)) {
        zdm_error_set(err, ZDM_REFUSED, "this key is a root neither of version %u nor of version %u",
                      p->chain.trust.version, p->next.version);
        return zdm_error_hint(err, "Write --key with the file of a root's secret key; zdmctl trust show lists roots.");
    }
    enum zdm_code code =
        zdm_signed_make(crypto, key, &p->chain.fleet, ZDM_SIGNED_TRUST, p->body.data, p->body.len, &signature, err);
    return code == ZDM_OK ? take_signature(crypto, p, &signature, err) : code;
}

struct ctl_progress ctl_proposal_progress(const struct zdm_crypto *crypto, const struct ctl_proposal *p)
{
    struct ctl_progress progress = {.before_needed = p->chain.trust.root_threshold,
                                    .after_needed = p->next.root_threshold};
    for (size_t i = 0; i < p->n_signatures; i++) {
        struct zdm_id key;
        struct zdm_hash ignored;
        if (!zdm_signed_claims(&p->signatures[i], &key))
            continue;
        progress.before += find_in(crypto, &p->chain.trust, &key, &ignored) ? 1 : 0;
        progress.after += find_in(crypto, &p->next, &key, &ignored) ? 1 : 0;
    }
    return progress;
}

bool ctl_proposal_is_complete(const struct ctl_progress *progress)
{
    return progress->before >= progress->before_needed && progress->after >= progress->after_needed;
}

void ctl_progress_text(char *out, size_t size, const struct ctl_proposal *p, const struct ctl_progress *progress)
{
    snprintf(out, size, "%u of %u roots of version %u and %u of %u roots of version %u have signed", progress->before,
             progress->before_needed, p->chain.trust.version, progress->after, progress->after_needed, p->next.version);
}

void ctl_progress_json(struct zdm_buffer *out, const struct ctl_proposal *p, const struct ctl_progress *progress)
{
    zdm_buffer_printf(out,
                      "{\"version\": %u, \"complete\": %s, \"before\": {\"signed\": %u, \"needed\": %u}, "
                      "\"after\": {\"signed\": %u, \"needed\": %u}}\n",
                      p->next.version, ctl_proposal_is_complete(progress) ? "true" : "false", progress->before,
                      progress->before_needed, progress->after, progress->after_needed);
}

/* ---- Making and reading ---- */

static enum zdm_code take_body(struct ctl_proposal *p, struct zdm_error *err)
{
    if (p->body.failed)
        return zdm_error_set(err, ZDM_PROTOCOL, "the proposal is damaged");
    enum zdm_code code = zdm_trust_decode(p->body.data, p->body.len, &p->next, err);
    if (code == ZDM_OK &&
        (p->next.version != p->chain.trust.version + 1 || strcmp(p->next.fleet_name, p->chain.trust.fleet_name) != 0))
        code = zdm_error_set(err, ZDM_INVALID, "the proposal is not the next version of its trust file");
    return code == ZDM_OK ? zdm_trust_validate(&p->next, err) : code;
}

enum zdm_code ctl_proposal_make(const struct zdm_crypto *crypto, struct zdm_trust_chain *chain,
                                const struct zdm_trust *next, struct ctl_proposal *out, struct zdm_error *err)
{
    (void)crypto;
    *out = (struct ctl_proposal){.chain = *chain};
    *chain = (struct zdm_trust_chain){.n_envelopes = 0};
    zdm_buffer_init(&out->body, CTL_TRUST_FILE_MAX);
    zdm_trust_encode(next, &out->body);
    enum zdm_code code = take_body(out, err);
    if (code != ZDM_OK)
        ctl_proposal_fini(out);
    return code;
}

bool ctl_proposal_is(const void *bytes, size_t n)
{
    return n > 0 && *(const uint8_t *)bytes == '{';
}

static enum zdm_code read_signatures(const struct zdm_crypto *crypto, const json_t *list, struct ctl_proposal *p,
                                     struct zdm_error *err)
{
    const json_t *value;
    size_t index;
    enum zdm_code code = ZDM_OK;
    json_array_foreach(list, index, value)
    {
        struct zdm_buffer flat = ZDM_BUFFER_INIT;
        struct zdm_envelope signature;
        if (code != ZDM_OK)
            break;
        from_base64(value, &flat);
        code = flat.failed ? zdm_error_set(err, ZDM_PROTOCOL, "the proposal is damaged")
                           : zdm_envelope_unflatten(flat.data, flat.len, &signature, err);
        zdm_buffer_fini(&flat);
        if (code == ZDM_OK)
            code = take_signature(crypto, p, &signature, err);
    }
    return code;
}

enum zdm_code ctl_proposal_read(const struct zdm_crypto *crypto, const void *bytes, size_t n, struct ctl_proposal *out,
                                struct zdm_error *err)
{
    struct ctl_proposal p = {.n_signatures = 0};
    struct zdm_buffer chain = ZDM_BUFFER_INIT;
    json_error_t where;
    ZDM_CLEANUP(ctl_json_free) json_t *json = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &where);
    if (ctl_json_int(json, "zdm_trust_proposal", 0) != PROPOSAL_FORMAT)
        return zdm_error_set(err, ZDM_INVALID, "the file is no proposal of a trust file");
    from_base64(json_object_get(json, "chain"), &chain);
    from_base64(json_object_get(json, "next"), &p.body);
    enum zdm_code code = chain.failed ? zdm_error_set(err, ZDM_PROTOCOL, "the proposal is damaged")
                                      : zdm_trust_chain_read(crypto, chain.data, chain.len, &p.chain, err);
    zdm_buffer_fini(&chain);
    if (code == ZDM_OK)
        code = take_body(&p, err);
    if (code == ZDM_OK)
        code = read_signatures(crypto, json_object_get(json, "signatures"), &p, err);
    if (code == ZDM_OK)
        *out = p;
    else
        ctl_proposal_fini(&p);
    return code;
}

void ctl_proposal_fini(struct ctl_proposal *p)
{
    zdm_trust_chain_fini(&p->chain);
    zdm_trust_fini(&p->next);
    zdm_buffer_fini(&p->body);
    for (size_t i = 0; i < p->n_signatures; i++)
        zdm_envelope_fini(&p->signatures[i]);
    p->n_signatures = 0;
}

enum zdm_code ctl_proposal_finish(const struct zdm_crypto *crypto, const struct ctl_proposal *p,
                                  struct zdm_trust_chain *out, struct zdm_error *err)
{
    size_t n = p->chain.n_envelopes + p->n_signatures;
    ZDM_CLEANUP(zdm_freep) struct zdm_envelope *all = calloc(n, sizeof *all);
    if (all == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    memcpy(all, p->chain.envelopes, p->chain.n_envelopes * sizeof *all); /* borrowed: verifying copies */
    memcpy(all + p->chain.n_envelopes, p->signatures, p->n_signatures * sizeof *all);
    enum zdm_code code = zdm_trust_chain_verify(crypto, all, n, out, err);
    if (code == ZDM_OK && out->trust.version != p->next.version) {
        zdm_trust_chain_fini(out);
        code = zdm_error_set(err, ZDM_AUTH, "nobody has signed the proposal");
    }
    return code;
}

/* ---- Versions of a chain ---- */

enum zdm_code ctl_trust_version(const struct zdm_crypto *crypto, const struct zdm_trust_chain *chain, uint32_t version,
                                struct zdm_trust *out, struct zdm_hash *out_hash, struct zdm_error *err)
{
    for (size_t i = 0; i < chain->n_envelopes; i++) {
        struct zdm_trust trust;
        size_t n = 0;
        const uint8_t *body = zdm_signed_body(&chain->envelopes[i], &n);
        enum zdm_code code = body != NULL ? zdm_trust_decode(body, n, &trust, err)
                                          : zdm_error_set(err, ZDM_PROTOCOL, "the trust file is damaged");
        if (code != ZDM_OK)
            return code;
        if (trust.version == version) {
            if (out_hash != NULL)
                zdm_hash_bytes(crypto, out_hash->bytes, sizeof out_hash->bytes, body, n);
            *out = trust;
            return ZDM_OK;
        }
        zdm_trust_fini(&trust);
    }
    return zdm_error_set(err, ZDM_NOT_FOUND, "the trust file has no version %u", version);
}

bool ctl_trust_continues(const struct zdm_crypto *crypto, const struct zdm_trust_chain *chain,
                         const struct zdm_trust_chain *longer)
{
    struct zdm_trust trust;
    struct zdm_hash hash;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    if (!zdm_id_equal(&chain->fleet, &longer->fleet) ||
        ctl_trust_version(crypto, longer, chain->trust.version, &trust, &hash, &ignored) != ZDM_OK)
        return false;
    zdm_trust_fini(&trust);
    return zdm_hash_equal(&hash, &chain->hash);
}
