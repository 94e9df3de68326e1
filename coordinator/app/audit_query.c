/*
 * audit_query.c - the log as it lies in the store, for who verifies it elsewhere (coordinator/log/audit.h).
 *
 *   {"events": [{"seq", "prev_hash", "hash", "bytes"}], "more": true}
 *
 * hashes in hexadecimal, bytes in base64url: exactly what is stored, neither decoded nor checked on the way. A page
 * ends after EVENTS_MAX events or PAGE_BYTES of them; it leaves like every answer in pieces of ZDM_PIECE_MAX. The page
 * ends with what was committed when it was made.
 */
#include <stdlib.h>
#include <string.h>

#include "coordinator/app/json.h"

enum { EVENTS_MAX = 2000, PAGE_BYTES = 2 * 1024 * 1024 };

struct paging {
    const struct coord_driver *driver;
    json_t *events;
    uint32_t limit;
    size_t bytes;
    bool more, failed;
};

static json_t *record_json(const struct store_record *record)
{
    char *bytes = malloc(ZDM_BASE64_SIZE(record->n));
    if (bytes == NULL)
        return NULL;
    json_t *row = json_object();
    zdm_base64url(bytes, record->bytes, record->n);
    put_number(row, "seq", (int64_t)record->seq);
    put_hex(row, "prev_hash", record->prev_hash.bytes, sizeof record->prev_hash.bytes);
    put_hex(row, "hash", record->hash.bytes, sizeof record->hash.bytes);
    put_text(row, "bytes", bytes);
    free(bytes);
    return row;
}

static bool add_record(void *ctx, const struct store_record *record)
{
    struct paging *paging = ctx;
    if (record->seq > paging->driver->state->head_seq)
        return false;
    paging->more = json_array_size(paging->events) >= paging->limit || paging->bytes >= PAGE_BYTES;
    if (paging->more)
        return false;
    paging->failed = json_array_append_new(paging->events, record_json(record)) != 0;
    paging->bytes += record->n;
    return !paging->failed;
}

char *json_log(struct coord_driver *d, uint64_t from_seq, uint32_t limit, struct zdm_error *err)
{
    struct paging paging = {.driver = d, .events = json_array(), .limit = limit};
    const struct store *store = &d->config.store;
    if (limit == 0 || limit > EVENTS_MAX)
        paging.limit = EVENTS_MAX;
    enum store_result result = store->ops->read(store->self, from_seq != 0 ? from_seq : 1, add_record, &paging, err);
    if (result == STORE_OK && paging.failed) {
        zdm_error_set(err, ZDM_NOMEM, "could not get memory for the answer");
        result = STORE_IO;
    }
    if (result != STORE_OK) {
        json_decref(paging.events);
        return NULL;
    }
    json_t *out = json_object();
    put(out, "events", paging.events);
    put_bool(out, "more", paging.more);
    return json_text(out, err);
}
