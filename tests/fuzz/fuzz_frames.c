/*
 * fuzz_frames.c - a hostile stream at the frame reader, cut in two ways: whatever the cuts, the same frames come out,
 * or the same refusal.
 *
 * The first byte says how large the pieces of the second way are; the rest is the stream.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/limits.h"
#include "common/net/frame_reader.h"
#include "tests/fuzz/fuzz.h"

/* What came out, as one number; order and bytes count. */
struct heard {
    uint64_t sum;
    size_t frames;
    enum zdm_frame_next last;
};

static void hear(struct heard *heard, const uint8_t *bytes, size_t n)
{
    if (n == 0 || n > ZDM_FRAME_MAX)
        abort();
    heard->frames++;
    for (size_t i = 0; i < n; i++)
        heard->sum = (heard->sum ^ bytes[i]) * UINT64_C(0x100000001b3);
}

static struct heard read_stream(const uint8_t *stream, size_t size, size_t piece)
{
    struct zdm_frame_reader reader;
    struct heard heard = {.last = ZDM_FRAME_NONE};
    zdm_frame_reader_init(&reader);
    while (size > 0 && heard.last == ZDM_FRAME_NONE) {
        const uint8_t *frame;
        size_t room, n;
        uint8_t *to = zdm_frame_reader_room(&reader, &room);
        n = room < piece ? room : piece;
        n = n < size ? n : size;
        if (n == 0)
            abort();
        memcpy(to, stream, n);
        stream += n;
        size -= n;
        zdm_frame_reader_came(&reader, n);
        while ((heard.last = zdm_frame_reader_next(&reader, &frame, &n)) == ZDM_FRAME_WHOLE)
            hear(&heard, frame, n);
    }
    zdm_frame_reader_fini(&reader);
    return heard;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct heard whole = read_stream(data + 1, size - 1, SIZE_MAX);
    struct heard cut = read_stream(data + 1, size - 1, (size_t)data[0] + 1);
    if (whole.sum != cut.sum || whole.frames != cut.frames || whole.last != cut.last)
        abort();
    return 0;
}
