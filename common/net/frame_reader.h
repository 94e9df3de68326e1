/*
 * frame_reader.h - cuts frames (4-byte big-endian length, then the bytes) out of a stream that may split or merge them
 * in any way. Pure: it says where to read to, is told how much came, and hands out whole frames.
 *
 * A connection that is idle, or sends small frames, needs only the array inside; memory for a larger frame exists while
 * that frame arrives.
 */
#ifndef ZDM_NET_FRAME_READER_H
#define ZDM_NET_FRAME_READER_H

#include <stddef.h>
#include <stdint.h>

enum { ZDM_FRAME_HEADER = 4, ZDM_FRAME_SMALL = 1024 };

enum zdm_frame_next {
    ZDM_FRAME_NONE,     /* read on */
    ZDM_FRAME_WHOLE,    /* *out and *out_n are set, borrowed until the next call with this reader */
    ZDM_FRAME_TOO_LONG, /* longer than ZDM_FRAME_MAX: the stream is not ours */
    ZDM_FRAME_EMPTY,    /* a frame of no bytes: likewise */
    ZDM_FRAME_NO_MEMORY
};

struct zdm_frame_reader {
    size_t used, taken; /* bytes in small; those of them already handed out */
    uint8_t *large;     /* the frame at hand when it does not fit small */
    size_t large_n, large_used;
    uint8_t small[ZDM_FRAME_SMALL];
};

void zdm_frame_reader_init(struct zdm_frame_reader *r);
void zdm_frame_reader_fini(struct zdm_frame_reader *r);
/* Where the next bytes of the stream belong; *out_n is never 0. Call after zdm_frame_reader_next said NONE. */
uint8_t *zdm_frame_reader_room(struct zdm_frame_reader *r, size_t *out_n);
/* n bytes were put there. */
void zdm_frame_reader_came(struct zdm_frame_reader *r, size_t n);
enum zdm_frame_next zdm_frame_reader_next(struct zdm_frame_reader *r, const uint8_t **out, size_t *out_n);

#endif
