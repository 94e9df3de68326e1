/*
 * utf8.c - see utf8.h.
 */
#include "proto/utf8.h"

#include <stdint.h>

/* Bytes of the character at the start of n bytes, 0 when there is none. */
static size_t character(const uint8_t *text, size_t n)
{
    uint8_t first = text[0];
    if (first < 0x80)
        return 1;
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    /* Where the first byte leaves too much room, the second one decides. */
    uint8_t second = text[1];
    bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
    bool surrogate = first == 0xed && second > 0x9f;
    bool too_high = first == 0xf4 && second > 0x8f;
    return overlong || surrogate || too_high ? 0 : length;
}

bool zdm_utf8_is_valid(const char *text, size_t n)
{
    for (size_t i = 0, length; i < n; i += length) {
        length = character((const uint8_t *)text + i, n - i);
        if (length == 0)
            return false;
    }
    return true;
}

void zdm_utf8_clean(char *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t length = character((const uint8_t *)text + i, n - i);
        if (length == 0)
            out[i++] = '?';
        else
            for (; length > 0; length--, i++)
                out[i] = text[i];
    }
    out[n] = '\0';
}
