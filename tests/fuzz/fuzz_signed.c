/*
 * fuzz_signed.c - envelopes from a file, trust files, and join tokens. No input may pass as signed but those made with
 * the key: the seed in the corpus was, so what passes must be exactly that type.
 */
#include "proto/codec.h"
#include "proto/signed.h"
#include "proto/trust_file.h"
#include "tests/fuzz/fuzz_codec.h"

static bool find_seed_key(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    uint8_t seed[32];
    struct zdm_signing_key key;
    (void)ctx;
    memset(seed, 1, sizeof seed);
    zdm_signing_key_make(&key, seed);
    *out_public_key = key.public_key;
    return zdm_id_equal(&key.id, key_id);
}

static void fuzz_envelope(const uint8_t *bytes, size_t n)
{
    struct zdm_envelope envelope;
    struct zdm_error err;
    struct zdm_id fleet;
    const uint8_t *body;
    size_t body_n;
    memset(fleet.bytes, 2, sizeof fleet.bytes);
    if (zdm_envelope_unflatten(bytes, n, &envelope, &err) != ZDM_OK)
        return;
    for (unsigned type = ZDM_SIGNED_PLAN; type <= ZDM_SIGNED_UNDO_ORDER; type++)
        if (zdm_signed_check(fuzz_crypto(), &envelope, (enum zdm_signed_type)type, &fleet, find_seed_key, NULL, &body,
                             &body_n, NULL, &err) == ZDM_OK &&
            envelope.bytes[17] != type)
            abort();
    zdm_envelope_fini(&envelope);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct zdm_trust_chain chain;
    struct zdm_token token;
    struct zdm_error err;
    fuzz_envelope(data, size);
    if (zdm_trust_chain_read(fuzz_crypto(), data, size, &chain, &err) == ZDM_OK)
        zdm_trust_chain_fini(&chain);
    char *text = zdm_memdup(data, size);
    if (text != NULL && zdm_token_read(text, &token, &err) == ZDM_OK && token.n_urls == 0)
        abort();
    free(text);
    return 0;
}
