/*
 * kinds.h - every encoded type behind one pair of functions, so that a property is tested over all of them.
 */
#ifndef TESTS_UNIT_PROTO_KINDS_H
#define TESTS_UNIT_PROTO_KINDS_H

#include "common/base/buffer.h"
#include "common/base/error.h"

struct kind {
    const char *name;
    /* Appends the sample's bytes. */
    void (*encode)(struct zdm_buffer *out);
    /* Decodes; on success encodes what was read to `again` (when not NULL) and frees it. */
    enum zdm_code (*decode)(const void *bytes, size_t n, struct zdm_buffer *again, struct zdm_error *err);
};

extern const struct kind kinds[];
extern const size_t n_kinds;

#endif
