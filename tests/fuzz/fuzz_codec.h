/*
 * fuzz_codec.h - what the fuzz targets of the codecs share.
 */
#ifndef TESTS_FUZZ_FUZZ_CODEC_H
#define TESTS_FUZZ_FUZZ_CODEC_H

#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/os/crypto.h"
#include "tests/fuzz/fuzz.h"

/* libsodium, started once. */
static inline const struct zdm_crypto *fuzz_crypto(void)
{
    static int started;
    struct zdm_error err;
    if (!started && zdm_crypto_start(&err) != ZDM_OK)
        abort();
    started = 1;
    return zdm_crypto_sodium();
}

/* What was accepted must encode to what was read. */
static inline void fuzz_expect_same(struct zdm_buffer *again, const uint8_t *bytes, size_t n)
{
    if (again->failed || again->len != n || (n > 0 && memcmp(again->data, bytes, n) != 0))
        abort();
    zdm_buffer_fini(again);
}

#endif
