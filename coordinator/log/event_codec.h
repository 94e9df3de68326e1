/*
 * event_codec.h - events as bytes, and the hash chain over them (protocol 7).
 *
 * hash(n) = BLAKE2b-256(hash(n - 1) || bytes(n)); hash(0) is zero. Stored bytes are hashed and kept as written: a newer
 * release never encodes an old event again.
 */
#ifndef COORDINATOR_LOG_EVENT_CODEC_H
#define COORDINATOR_LOG_EVENT_CODEC_H

#include "common/base/buffer.h"
#include "common/base/seams.h"
#include "coordinator/core/event.h"
#include "coordinator/store/store.h"

/* Appends the event's bytes (header without hashes, fields) and sets event->hash from event->prev_hash. */
void coord_event_encode(const struct zdm_crypto *crypto, struct coord_event *event, struct zdm_buffer *out);
/* Decodes a stored record and checks its hash and prev_hash. ZDM_CORRUPT; ZDM_UNSUPPORTED for an unknown type, with the
 * release that wrote it where the log says so. */
enum zdm_code coord_event_decode(const struct zdm_crypto *crypto, const struct store_record *record,
                                 struct coord_event *out, struct zdm_error *err) ZDM_CHECKED;

#endif
