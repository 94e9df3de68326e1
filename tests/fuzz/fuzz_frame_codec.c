/*
 * fuzz_frame_codec.c - frames as a peer may send them.
 */
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
    fuzz_expect_same(&again, data, size);
    zdm_frame_fini(&frame);
    return 0;
}
