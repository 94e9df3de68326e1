/*
 * fuzz_event_codec.c - events behind a hash that fits, which is more than damage on a disk could do.
 */
#include "coordinator/log/event_codec.h"
#include "tests/fuzz/fuzz_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct coord_event event;
    struct zdm_error err;
    struct zdm_buffer again = ZDM_BUFFER_INIT;
    struct store_record record = {.seq = 7, .bytes = data, .n = size};
    memset(record.prev_hash.bytes, 1, sizeof record.prev_hash.bytes);
    zdm_hash_pair(fuzz_crypto(), record.hash.bytes, sizeof record.hash.bytes, record.prev_hash.bytes,
                  sizeof record.prev_hash.bytes, data, size);
    if (coord_event_decode(fuzz_crypto(), &record, &event, &err) != ZDM_OK)
        return 0;
    coord_event_encode(fuzz_crypto(), &event, &again);
    fuzz_expect_same(&again, data, size);
    coord_event_fini(&event);
    return 0;
}
