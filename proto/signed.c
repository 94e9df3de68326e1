/*
 * signed.c - signed bytes: see signed.h.
 *
 * Everything about an envelope is checked before its body is looked at, in the order of protocol 1, and the type that a
 * place expects is part of what was signed: a message can never be taken for one of another type.
 */
#include "proto/signed.h"

#include <stdlib.h>
#include <string.h>

enum { MAGIC_AT = 0, TYPE_AT = 16, ZERO_AT = 18, FLEET_AT = 20, KEY_AT = 36, LENGTH_AT = 52 };
enum { BODY_MAX = ZDM_PLAN_MAX };

static const uint8_t magic[16] = "zdm-signed-v1";

static void put_u16(uint8_t *out, unsigned value)
{
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
}

static unsigned get_u16(const uint8_t *in)
{
    return (unsigned)in[0] << 8 | in[1];
}

static void put_u32(uint8_t *out, uint32_t value)
{
    put_u16(out, value >> 16);
    put_u16(out + 2, value & 0xffff);
}

static uint32_t get_u32(const uint8_t *in)
{
    return (uint32_t)get_u16(in) << 16 | get_u16(in + 2);
}

static bool length_fits(const uint8_t *bytes, size_t n)
{
    return bytes != NULL && n >= ZDM_SIGNED_HEADER_SIZE && n <= ZDM_SIGNED_HEADER_SIZE + BODY_MAX &&
           get_u32(bytes + LENGTH_AT) == n - ZDM_SIGNED_HEADER_SIZE;
}

enum zdm_code zdm_signed_make(const struct zdm_crypto *crypto, const struct zdm_signing_key *key,
                              const struct zdm_id *fleet, enum zdm_signed_type type, const void *body, size_t n,
                              struct zdm_envelope *out, struct zdm_error *err)
{
    if (n > BODY_MAX)
        return zdm_error_set(err, ZDM_LIMIT, "cannot sign %zu bytes, more than %d", n, BODY_MAX);
    struct zdm_envelope envelope = {.len = ZDM_SIGNED_HEADER_SIZE + n};
    envelope.bytes = calloc(1, envelope.len);
    if (envelope.bytes == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    memcpy(envelope.bytes + MAGIC_AT, magic, sizeof magic);
    put_u16(envelope.bytes + TYPE_AT, (unsigned)type);
    memcpy(envelope.bytes + FLEET_AT, fleet->bytes, sizeof fleet->bytes);
    memcpy(envelope.bytes + KEY_AT, key->id.bytes, sizeof key->id.bytes);
    put_u32(envelope.bytes + LENGTH_AT, (uint32_t)n);
    if (n != 0)
        memcpy(envelope.bytes + ZDM_SIGNED_HEADER_SIZE, body, n);
    crypto->sign(crypto->self, envelope.signature, key, envelope.bytes, envelope.len);
    *out = envelope;
    return ZDM_OK;
}

static enum zdm_code refuse(struct zdm_error *err, const char *why)
{
    return zdm_error_set(err, ZDM_AUTH, "signed message refused: %s", why);
}

enum zdm_code zdm_signed_check(const struct zdm_crypto *crypto, const struct zdm_envelope *envelope,
                               enum zdm_signed_type type, const struct zdm_id *fleet, zdm_signed_find_key find,
                               void *ctx, const uint8_t **out_body, size_t *out_n, struct zdm_id *out_key_id,
                               struct zdm_error *err)
{
    const uint8_t *bytes = envelope->bytes;
    struct zdm_id key_id;
    struct zdm_hash public_key;
    if (!length_fits(bytes, envelope->len))
        return refuse(err, "its length does not fit");
    if (memcmp(bytes + MAGIC_AT, magic, sizeof magic) != 0)
        return refuse(err, "it is not a signed message of version 1");
    if (get_u16(bytes + ZERO_AT) != 0)
        return refuse(err, "a reserved field is set");
    if (get_u16(bytes + TYPE_AT) != (unsigned)type)
        return refuse(err, "it is of another type than expected here");
    if (memcmp(bytes + FLEET_AT, fleet->bytes, sizeof fleet->bytes) != 0)
        return refuse(err, "it belongs to another fleet");
    memcpy(key_id.bytes, bytes + KEY_AT, sizeof key_id.bytes);
    if (!find(ctx, &key_id, &public_key))
        return refuse(err, "its key is unknown or lacks the role");
    if (!crypto->verify(crypto->self, envelope->signature, &public_key, bytes, envelope->len))
        return refuse(err, "its signature is wrong");
    *out_body = bytes + ZDM_SIGNED_HEADER_SIZE;
    *out_n = envelope->len - ZDM_SIGNED_HEADER_SIZE;
    if (out_key_id != NULL)
        *out_key_id = key_id;
    return ZDM_OK;
}

bool zdm_signed_claims(const struct zdm_envelope *envelope, struct zdm_id *out_key_id)
{
    if (envelope->bytes == NULL || envelope->len < ZDM_SIGNED_HEADER_SIZE)
        return false;
    memcpy(out_key_id->bytes, envelope->bytes + KEY_AT, sizeof out_key_id->bytes);
    return true;
}

const uint8_t *zdm_signed_body(const struct zdm_envelope *envelope, size_t *out_n)
{
    if (envelope->bytes == NULL || envelope->len < ZDM_SIGNED_HEADER_SIZE)
        return NULL;
    *out_n = envelope->len - ZDM_SIGNED_HEADER_SIZE;
    return envelope->bytes + ZDM_SIGNED_HEADER_SIZE;
}

struct zdm_hash zdm_signed_digest(const struct zdm_crypto *crypto, const struct zdm_envelope *envelope)
{
    struct zdm_hash digest;
    zdm_hash_bytes(crypto, digest.bytes, sizeof digest.bytes, envelope->bytes, envelope->len);
    return digest;
}

void zdm_envelope_flatten(const struct zdm_envelope *envelope, struct zdm_buffer *out)
{
    zdm_buffer_append(out, envelope->bytes, envelope->len);
    zdm_buffer_append(out, envelope->signature, sizeof envelope->signature);
}

size_t zdm_envelope_flat_size(const uint8_t *bytes, size_t n)
{
    if (n < ZDM_SIGNED_HEADER_SIZE)
        return 0;
    size_t size = ZDM_SIGNED_HEADER_SIZE + (size_t)get_u32(bytes + LENGTH_AT) + ZDM_SIGNATURE_SIZE;
    return size <= n ? size : 0;
}

enum zdm_code zdm_envelope_unflatten(const void *bytes, size_t n, struct zdm_envelope *out, struct zdm_error *err)
{
    struct zdm_envelope envelope = {.len = n - ZDM_SIGNATURE_SIZE};
    if (n < ZDM_SIGNED_HEADER_SIZE + ZDM_SIGNATURE_SIZE || !length_fits(bytes, envelope.len))
        return zdm_error_set(err, ZDM_PROTOCOL, "signed message has a length that does not fit");
    envelope.bytes = zdm_memdup(bytes, envelope.len);
    if (envelope.bytes == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    memcpy(envelope.signature, (const uint8_t *)bytes + envelope.len, sizeof envelope.signature);
    *out = envelope;
    return ZDM_OK;
}
