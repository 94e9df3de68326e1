/*
 * test_memory.c - decoding with the N-th allocation failing, for every N and every type: it fails cleanly, with nothing
 * leaked (the sanitizer's leak check) and nothing half-read.
 *
 * The linker sends our malloc, calloc and realloc through the functions below; protobuf-c takes its memory from our
 * arena, so it is counted too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/os/crypto.h"
#include "tests/unit/proto/kinds.h"

static long left = -1; /* allocations until one fails; negative: none does */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *bytes, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *bytes, size_t n);

static bool fails(void)
{
    return left >= 0 && left-- == 0;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *bytes, size_t n)
{
    return fails() ? NULL : __real_realloc(bytes, n);
}

static int start(void **state)
{
    struct zdm_error err;
    (void)state;
    return zdm_crypto_start(&err) == ZDM_OK ? 0 : -1;
}

static void decoding_survives_any_failed_allocation(void **state)
{
    (void)state;
    enum { ALLOCATIONS_MAX = 2000 };
    for (size_t i = 0; i < n_kinds; i++) {
        struct zdm_buffer bytes = ZDM_BUFFER_INIT;
        struct zdm_error err = ZDM_ERROR_INIT;
        kinds[i].encode(&bytes);
        enum zdm_code code = ZDM_NOMEM;
        long n = 0;
        for (; code != ZDM_OK && n < ALLOCATIONS_MAX; n++) {
            left = n;
            code = kinds[i].decode(bytes.data, bytes.len, NULL, &err);
            left = -1;
            if (code != ZDM_OK && code != ZDM_NOMEM)
                fail_msg("%s, allocation %ld: %s", kinds[i].name, n, err.message);
        }
        assert_int_equal(code, ZDM_OK);
        assert_true(n > 2);
        zdm_buffer_fini(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(decoding_survives_any_failed_allocation)};
    return cmocka_run_group_tests(tests, start, NULL);
}
