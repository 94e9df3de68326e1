/*
 * fuzz_frame_codec.c - frames as a peer may send them. What is accepted encodes to the same bytes, or to fewer where
 * something unknown was left out; then these are what stays.
 */
#include <stdlib.h>

#include "proto/codec.h"
#include "tests/fuzz/fuzz_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct zdm_frame frame;
    struct zdm_error err;
    struct zdm_buffer again = ZDM_BUFFER_INIT;
    if (zdm_frame_decode(data, size, &frame, &err) != ZDM_OK)
        return 0;
    zdm_frame_encode(&frame, &again);
    if (again.len < size) {
        struct zdm_buffer third = ZDM_BUFFER_INIT;
        zdm_frame_fini(&frame);
        if (zdm_frame_decode(again.data, again.len, &frame, &err) != ZDM_OK)
            abort();
        zdm_frame_encode(&frame, &third);
        fuzz_expect_same(&third, again.data, again.len);
        zdm_buffer_fini(&again);
    } else {
        fuzz_expect_same(&again, data, size);
    }
    zdm_frame_fini(&frame);
    return 0;
}
