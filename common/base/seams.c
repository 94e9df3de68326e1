/*
 * seams.c - small shapes over struct zdm_crypto. See seams.h.
 */
#include "common/base/seams.h"

void zdm_hash_bytes(const struct zdm_crypto *crypto, void *out, size_t size, const void *bytes, size_t n)
{
    crypto->hash(crypto->self, out, size, NULL, &bytes, &n, 1);
}

void zdm_hash_pair(const struct zdm_crypto *crypto, void *out, size_t size, const void *a, size_t a_n, const void *b,
                   size_t b_n)
{
    const void *parts[] = {a, b};
    const size_t lengths[] = {a_n, b_n};
    crypto->hash(crypto->self, out, size, NULL, parts, lengths, 2);
}

struct zdm_id zdm_key_id(const struct zdm_crypto *crypto, const struct zdm_hash *public_key)
{
    struct zdm_id id;
    zdm_hash_bytes(crypto, id.bytes, sizeof id.bytes, public_key->bytes, sizeof public_key->bytes);
    return id;
}
