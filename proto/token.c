/*
 * token.c - join tokens: one line that a person carries from zdmctl to a new agent. See codec.h.
 *
 * The secret inside proves one enrolment once; errors never quote the token.
 */
#include "proto/codec.h"

#include <string.h>

#include "proto/messages.h"
#include "zdm/v1/signed.pb-c.h"

static const char prefix[] = "zdm1.";

static enum zdm_code check_token(void *object, struct zdm_error *err)
{
    if (((const struct zdm_token *)object)->n_urls == 0)
        return zdm_error_set(err, ZDM_PROTOCOL, "urls: is missing");
    return ZDM_OK;
}

static const struct zdm_field token_fields[] = {
    F_TEXTS(zdm_token, urls, n_urls, ZDM_REQUIRED), F_ID(zdm_token, fleet, ZDM_REQUIRED),
    F_HASH(zdm_token, trust_hash, ZDM_REQUIRED),    F_TEXT(zdm_token, shard, ZDM_REQUIRED | ZDM_NAMED),
    F_I64(zdm_token, expires_at_ms, ZDM_REQUIRED),  F_RAW(zdm_token, secret, ZDM_REQUIRED),
};
const struct zdm_message zdm_token_message =
    ZDM_MESSAGE(zdm_token, zdm__v1__token__descriptor, token_fields, check_token);

void zdm_token_write(const struct zdm_token *token, struct zdm_buffer *out)
{
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    char text[ZDM_TOKEN_TEXT_MAX + 1];
    zdm_message_encode(&zdm_token_message, token, &bytes);
    if (bytes.failed || sizeof prefix + ZDM_BASE64_SIZE(bytes.len) > sizeof text) {
        out->failed = true;
    } else {
        zdm_base64url(text, bytes.data, bytes.len);
        zdm_buffer_puts(out, prefix);
        zdm_buffer_puts(out, text);
    }
    zdm_buffer_fini(&bytes);
}

static enum zdm_code not_a_token(struct zdm_error *err)
{
    zdm_error_set(err, ZDM_PROTOCOL, "this is not a join token");
    return zdm_error_hint(err, "Copy the whole line that \"zdmctl enroll\" printed; it starts with \"%s\".", prefix);
}

enum zdm_code zdm_token_read(const char *text, struct zdm_token *out, struct zdm_error *err)
{
    uint8_t bytes[ZDM_TOKEN_TEXT_MAX];
    size_t prefix_n = sizeof prefix - 1;
    if (strncmp(text, prefix, prefix_n) != 0 || strlen(text) > ZDM_TOKEN_TEXT_MAX)
        return not_a_token(err);
    long n = zdm_unbase64url(bytes, sizeof bytes, text + prefix_n);
    if (n <= 0)
        return not_a_token(err);
    enum zdm_code code =
        zdm_message_decode(&zdm_token_message, "join token", bytes, (size_t)n, ZDM_UNPACK_MAX, out, err);
    return code == ZDM_PROTOCOL ? not_a_token(err) : code;
}
