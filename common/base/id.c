/*
 * id.c - see id.h.
 */
#include "common/base/id.h"

#include <string.h>

#include "common/base/limits.h"

bool zdm_id_equal(const struct zdm_id *a, const struct zdm_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool zdm_id_is_zero(const struct zdm_id *id)
{
    static const struct zdm_id zero;
    return zdm_id_equal(id, &zero);
}

bool zdm_hash_equal(const struct zdm_hash *a, const struct zdm_hash *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool zdm_hash_is_zero(const struct zdm_hash *hash)
{
    static const struct zdm_hash zero;
    return zdm_hash_equal(hash, &zero);
}

void zdm_hex(char *out, const void *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *in = bytes;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    out[2 * n] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool zdm_unhex(void *out, size_t n, const char *text)
{
    uint8_t *bytes = out;
    if (strlen(text) != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void zdm_base64url(char *out, const void *bytes, size_t n)
{
    const uint8_t *in = bytes;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | in[i];
        held += 8;
        while (held >= 6) {
            held -= 6;
            *out++ = base64_digits[bits >> held & 63];
        }
    }
    if (held > 0)
        *out++ = base64_digits[bits << (6 - held) & 63];
    *out = '\0';
}

long zdm_unbase64url(void *out, size_t size, const char *text)
{
    uint8_t *bytes = out;
    uint32_t bits = 0;
    unsigned held = 0;
    size_t n = 0;
    for (; *text != '\0'; text++) {
        const char *digit = strchr(base64_digits, *text);
        if (digit == NULL)
            return -1;
        bits = bits << 6 | (uint32_t)(digit - base64_digits);
        held += 6;
        if (held >= 8) {
            held -= 8;
            if (n == size)
                return -1;
            bytes[n++] = (uint8_t)(bits >> held);
        }
    }
    /* What is left over must be the zero bits that padding would have held: one text per value. */
    if (held >= 6 || (bits & ((1u << held) - 1)) != 0)
        return -1;
    return (long)n;
}

bool zdm_name_is_valid(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > ZDM_NAME_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!letter && (i == 0 || strchr("._-", c) == NULL))
            return false;
    }
    return true;
}
