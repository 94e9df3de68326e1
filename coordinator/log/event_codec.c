/*
 * event_codec.c - the outside of an event: header, chain, and what stands in signed bytes. See event_codec.h.
 *
 * The bodies' tables are in event_bodies.c. A body is bytes inside the event's message, so that a type which this
 * release does not know is told apart from damage.
 */
#include "coordinator/log/event_codec.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/log/event_bodies.h"
#include "event.pb-c.h"
#include "proto/codec.h"
#include "proto/signed.h"

enum {
    EVENT_UNPACK_MAX = 64 * 1024 * 1024 /* bytes; the largest is a submission over ZDM_SHARDS_MAX shards */
};

static struct zdm_hash chain_hash(const struct zdm_crypto *crypto, const struct zdm_hash *prev, const void *bytes,
                                  size_t n)
{
    struct zdm_hash hash;
    zdm_hash_pair(crypto, hash.bytes, sizeof hash.bytes, prev->bytes, sizeof prev->bytes, bytes, n);
    return hash;
}

void coord_event_encode(const struct zdm_crypto *crypto, struct coord_event *event, struct zdm_buffer *out)
{
    Zdm__Log__V1__Event message = ZDM__LOG__V1__EVENT__INIT;
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    const struct zdm_message *table = coord_event_body((unsigned)event->type);
    size_t start = out->len;
    if (table != NULL)
        zdm_message_encode(table, event, &body);
    message.seq = event->seq;
    message.epoch = event->epoch;
    message.at_ms = event->at_ms;
    message.type = (uint32_t)event->type;
    message.migration = event->migration;
    message.body = (ProtobufCBinaryData){.len = body.len, .data = body.data};
    if (table != NULL && !body.failed)
        zdm_message_pack(&message.base, out);
    else
        out->failed = true;
    if (!out->failed)
        event->hash = chain_hash(crypto, &event->prev_hash, out->data + start, out->len - start);
    zdm_buffer_fini(&body);
}

/* ---- what is said once, inside signed bytes ---- */

static enum zdm_code missing(struct zdm_error *err)
{
    return zdm_error_set(err, ZDM_PROTOCOL, "has no signed bytes");
}

/* Of an undo order only the nonce is asked for later: it must not be used again. */
static enum zdm_code open_undo_order(struct coord_event *event, struct zdm_error *err)
{
    size_t n = 0;
    struct zdm_undo_order order;
    const uint8_t *body = zdm_signed_body(&event->u.directed.undo_order, &n);
    enum zdm_code code = body != NULL ? zdm_undo_order_decode(body, n, &order, err) : missing(err);
    if (code != ZDM_OK)
        return code;
    event->u.directed.undo_nonce = order.nonce;
    zdm_undo_order_fini(&order);
    return ZDM_OK;
}

static enum zdm_code open_signed(const struct zdm_crypto *crypto, struct coord_event *event, struct zdm_error *err)
{
    size_t n = 0;
    const uint8_t *body;
    if (event->type == COORD_EVENT_MIGRATION_SUBMITTED || event->type == COORD_EVENT_PLAN_AMENDED) {
        body = zdm_signed_body(&event->u.migration_submitted.plan_envelope, &n);
        return body != NULL ? zdm_plan_decode(crypto, body, n, &event->u.migration_submitted.plan, err) : missing(err);
    }
    if (event->type == COORD_EVENT_ENROLMENT_ISSUED) {
        body = zdm_signed_body(&event->u.enrolment_issued.signed_enrolment, &n);
        return body != NULL ? zdm_enrolment_decode(body, n, &event->u.enrolment_issued.enrolment, err) : missing(err);
    }
    if (event->type == COORD_EVENT_APPROVAL_ADDED) {
        body = zdm_signed_body(&event->u.approval_added.signed_approval, &n);
        return body != NULL ? zdm_approval_decode(body, n, &event->u.approval_added.approval, err) : missing(err);
    }
    if (event->type == COORD_EVENT_SHARDS_DIRECTED && event->u.directed.undo_order.len > 0)
        return open_undo_order(event, err);
    return ZDM_OK;
}

/* ---- decode ---- */

static enum zdm_code check_chain(const struct zdm_crypto *crypto, const struct store_record *record,
                                 struct zdm_error *err)
{
    struct zdm_hash hash = chain_hash(crypto, &record->prev_hash, record->bytes, record->n);
    if (!zdm_hash_equal(&hash, &record->hash))
        return zdm_error_set(err, ZDM_CORRUPT, "its hash does not fit");
    if (record->seq == 0 || (record->seq == 1) != zdm_hash_is_zero(&record->prev_hash))
        return zdm_error_set(err, ZDM_CORRUPT, "its place in the chain does not fit");
    return ZDM_OK;
}

static enum zdm_code read_header(const struct store_record *record, const Zdm__Log__V1__Event *message,
                                 struct coord_event *event, struct zdm_error *err)
{
    if (message->seq != record->seq)
        return zdm_error_set(err, ZDM_CORRUPT, "it says that it is event %llu", (unsigned long long)message->seq);
    if (coord_event_body(message->type) == NULL) {
        zdm_error_set(err, ZDM_UNSUPPORTED, "it is of type %u, which this release does not know", message->type);
        return zdm_error_hint(err, "Start the release that wrote this log, or a newer one.");
    }
    if (message->migration[0] != '\0' && !zdm_name_is_valid(message->migration))
        return zdm_error_set(err, ZDM_CORRUPT, "its migration is not a valid name");
    event->seq = message->seq;
    event->epoch = message->epoch;
    event->at_ms = message->at_ms;
    event->prev_hash = record->prev_hash;
    event->hash = record->hash;
    event->type = (enum coord_event_type)message->type;
    zdm_copy_text(event->migration, sizeof event->migration, message->migration);
    return ZDM_OK;
}

/* The body is decoded into an event of its own; header and type go in afterwards. */
static enum zdm_code read_event(const struct zdm_crypto *crypto, const struct store_record *record,
                                const Zdm__Log__V1__Event *message, struct coord_event *event, struct zdm_error *err)
{
    struct coord_event header;
    memset(&header, 0, sizeof header);
    enum zdm_code code = read_header(record, message, &header, err);
    if (code == ZDM_OK)
        code = zdm_message_decode(coord_event_body(message->type), coord_event_type_name(header.type),
                                  message->body.data, message->body.len, EVENT_UNPACK_MAX, event, err);
    if (code != ZDM_OK)
        return code;
    event->seq = header.seq;
    event->epoch = header.epoch;
    event->at_ms = header.at_ms;
    event->prev_hash = header.prev_hash;
    event->hash = header.hash;
    event->type = header.type;
    memcpy(event->migration, header.migration, sizeof event->migration);
    code = open_signed(crypto, event, err);
    if (code != ZDM_OK)
        coord_event_fini(event);
    return code;
}

static enum zdm_code decode(const struct zdm_crypto *crypto, const struct store_record *record,
                            struct coord_event *event, struct zdm_error *err)
{
    struct zdm_arena arena = {.left = EVENT_UNPACK_MAX};
    ProtobufCMessage *message;
    enum zdm_code code = check_chain(crypto, record, err);
    if (code == ZDM_OK)
        code = zdm_message_unpack(&zdm__log__v1__event__descriptor, "event", record->bytes, record->n, &arena, &message,
                                  err);
    if (code == ZDM_OK)
        code = read_event(crypto, record, (const Zdm__Log__V1__Event *)(void *)message, event, err);
    zdm_arena_fini(&arena);
    return code;
}

enum zdm_code coord_event_decode(const struct zdm_crypto *crypto, const struct store_record *record,
                                 struct coord_event *out, struct zdm_error *err)
{
    struct coord_event event;
    memset(&event, 0, sizeof event);
    enum zdm_code code = decode(crypto, record, &event, err);
    if (code == ZDM_OK) {
        *out = event;
        return ZDM_OK;
    }
    /* Bytes whose hash fits and that still make no event were written so, or changed together with their hash. */
    if (code == ZDM_PROTOCOL)
        err->code = ZDM_CORRUPT;
    return zdm_error_wrap(err, "event %llu of the log", (unsigned long long)record->seq);
}
