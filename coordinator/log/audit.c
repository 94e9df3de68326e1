/*
 * audit.c - the chain, event by event, and what agents say of it. See audit.h.
 *
 * A record that does not fit is named by what it says of itself: the bytes hold their own position, so that an event
 * that was taken out, put in or exchanged shows, whatever numbers stand beside the bytes now. Behind the first break
 * the chain goes on from the stored hash: when an agent confirmed a later position, the rest is as it was.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/log/audit_private.h"
#include "coordinator/log/event_codec.h"
#include "proto/codec.h"
#include "proto/signed.h"
#include "proto/trust_file.h"

/* ---- Life ---- */

static enum zdm_code take_versions(struct coord_audit *audit, const struct zdm_trust_chain *chain,
                                   struct zdm_error *err)
{
    for (size_t i = 0; i < chain->n_envelopes; i++) {
        struct audit_trust version = {.hash = {{0}}};
        size_t n = 0;
        const uint8_t *body = zdm_signed_body(&chain->envelopes[i], &n);
        enum zdm_code code = zdm_trust_decode(body, n, &version.trust, err);
        if (code != ZDM_OK)
            return code;
        if (version.trust.version <= audit->n_versions) { /* the same, signed by another root */
            zdm_trust_fini(&version.trust);
            continue;
        }
        zdm_hash_bytes(audit->crypto, version.hash.bytes, sizeof version.hash.bytes, body, n);
        if (!ZDM_RESERVE(audit->versions, audit->cap_versions, audit->n_versions + 1)) {
            zdm_trust_fini(&version.trust);
            return zdm_error_set(err, ZDM_NOMEM, "out of memory");
        }
        audit->versions[audit->n_versions++] = version;
    }
    return ZDM_OK;
}

enum zdm_code coord_audit_new(const struct zdm_crypto *crypto, const void *trust, size_t n, const struct zdm_id *fleet,
                              struct coord_audit **out, struct zdm_error *err)
{
    struct zdm_trust_chain chain;
    enum zdm_code code = zdm_trust_chain_read(crypto, trust, n, &chain, err);
    if (code != ZDM_OK)
        return code;
    struct coord_audit *audit = calloc(1, sizeof *audit);
    if (audit == NULL)
        code = zdm_error_set(err, ZDM_NOMEM, "out of memory");
    else if (fleet != NULL && !zdm_id_equal(fleet, &chain.fleet))
        code = zdm_error_set(err, ZDM_AUTH, "the trust file belongs to another fleet");
    if (code == ZDM_OK) {
        audit->crypto = crypto;
        audit->fleet = chain.fleet;
        code = take_versions(audit, &chain, err);
    }
    zdm_trust_chain_fini(&chain);
    if (code != ZDM_OK) {
        coord_audit_free(audit);
        return code;
    }
    *out = audit;
    return ZDM_OK;
}

void coord_audit_free(struct coord_audit *audit)
{
    if (audit == NULL)
        return;
    for (size_t i = 0; i < audit->n_versions; i++)
        zdm_trust_fini(&audit->versions[i].trust);
    free(audit->versions);
    free(audit->anchors);
    free(audit->epochs);
    free(audit->recoveries);
    free(audit->enrolments);
    for (size_t i = 0; i < audit->n_plans; i++) {
        zdm_plan_unref(audit->plans[i].plan);
        free(audit->plans[i].reached);
    }
    free(audit->plans);
    free(audit->undo_orders);
    free(audit->acts);
    free(audit);
}

void audit_found(struct coord_audit *audit, enum coord_audit_finding finding, uint64_t from, uint64_t to,
                 const char *fmt, ...)
{
    va_list words;
    if (audit->result.finding != COORD_AUDIT_SOUND)
        return;
    audit->result.finding = finding;
    audit->result.bad_seq = from;
    audit->result.bad_to = to;
    va_start(words, fmt);
    (void)vsnprintf(audit->result.what, sizeof audit->result.what, fmt, words);
    va_end(words);
}

/* ---- One record against the chain ---- */

/* The position that an event's bytes say of themselves, 0 when they do not even begin like an event. */
static uint64_t own_seq(const struct store_record *record)
{
    uint64_t seq = 0;
    if (record->n == 0 || record->bytes[0] != 0x08) /* field 1, a varint */
        return 0;
    for (size_t i = 1; i < record->n && i <= 9; i++) {
        seq |= (uint64_t)(record->bytes[i] & 0x7fU) << (7 * (i - 1));
        if ((record->bytes[i] & 0x80U) == 0)
            return seq;
    }
    return 0;
}

static struct zdm_hash link_of(const struct coord_audit *audit, const struct zdm_hash *before,
                               const struct store_record *record)
{
    struct zdm_hash hash;
    zdm_hash_pair(audit->crypto, hash.bytes, sizeof hash.bytes, before->bytes, sizeof before->bytes, record->bytes,
                  record->n);
    return hash;
}

static void name_gap(struct coord_audit *audit, uint64_t from, uint64_t to)
{
    if (from == to)
        audit_found(audit, COORD_AUDIT_MISSING, from, to, "event %" PRIu64 " is missing", from);
    else
        audit_found(audit, COORD_AUDIT_MISSING, from, to, "events %" PRIu64 " to %" PRIu64 " are missing", from, to);
}

static void may_be_exchanged(struct coord_audit *audit, uint64_t place, uint64_t own)
{
    if (audit->result.bad_seq == place && own > place)
        audit->moved_to = own;
}

/* The record stands at a place that is not its own. */
static void name_displaced(struct coord_audit *audit, uint64_t place, uint64_t own)
{
    if (own < place)
        audit_found(audit, COORD_AUDIT_INSERTED, own, place - 1,
                    "an event was inserted: what stands as event %" PRIu64 " is event %" PRIu64, place, own);
    else {
        audit_found(audit, COORD_AUDIT_MISSING, place, place,
                    "what stands as event %" PRIu64 " is event %" PRIu64 ": events are missing, or were exchanged",
                    place, own);
        may_be_exchanged(audit, place, own);
    }
}

/* Two that changed places: the second of them stands where the first should. */
static void name_exchanged(struct coord_audit *audit, const struct store_record *record)
{
    if (audit->moved_to == 0 || record->seq != audit->moved_to || own_seq(record) != audit->result.bad_seq)
        return;
    audit->result.finding = COORD_AUDIT_MOVED;
    audit->result.bad_to = audit->moved_to;
    (void)snprintf(audit->result.what, sizeof audit->result.what, "events %" PRIu64 " and %" PRIu64 " were exchanged",
                   audit->result.bad_seq, audit->moved_to);
    audit->moved_to = 0;
}

static void name_break(struct coord_audit *audit, const struct store_record *record, uint64_t expected)
{
    uint64_t own = own_seq(record);
    struct zdm_hash itself = link_of(audit, &record->prev_hash, record);
    bool whole = zdm_hash_equal(&itself, &record->hash);
    if (record->seq > expected)
        name_gap(audit, expected, record->seq - 1);
    else if (record->seq < expected)
        audit_found(audit, COORD_AUDIT_MOVED, record->seq, record->seq, "event %" PRIu64 " stands twice", record->seq);
    else if (whole && own != expected)
        name_displaced(audit, expected, own);
    else if (whole && !zdm_hash_equal(&record->prev_hash, &audit->hash))
        audit_found(audit, COORD_AUDIT_CHANGED, expected > 1 ? expected - 1 : 1, expected,
                    "event %" PRIu64 " does not follow the one before it: that one was changed together with its hash",
                    expected);
    else {
        audit_found(audit, COORD_AUDIT_CHANGED, expected, expected,
                    "event %" PRIu64 " was changed: the hash beside it is of other bytes", expected);
        may_be_exchanged(audit, expected, own);
    }
}

/* ---- What agents confirm ---- */

static int by_generation(const void *a, const void *b)
{
    const struct audit_anchor *x = a, *y = b;
    if (x->given.fence.generation != y->given.fence.generation)
        return x->given.fence.generation < y->given.fence.generation ? -1 : 1;
    return 0;
}

bool coord_audit_anchor(struct coord_audit *audit, const struct coord_audit_anchor *anchor)
{
    if (anchor->fence.generation == 0)
        return true;
    if (!ZDM_RESERVE(audit->anchors, audit->cap_anchors, audit->n_anchors + 1))
        return false;
    audit->anchors[audit->n_anchors++] = (struct audit_anchor){.given = *anchor};
    return true;
}

static void compare_anchors(struct coord_audit *audit, const struct store_record *record)
{
    for (; audit->next_anchor < audit->n_anchors; audit->next_anchor++) {
        struct audit_anchor *anchor = &audit->anchors[audit->next_anchor];
        if (anchor->given.fence.generation > record->seq)
            return;
        if (anchor->given.fence.generation == record->seq)
            anchor->fit = zdm_hash_equal(&anchor->given.fence.anchor, &audit->hash) ? AUDIT_FITS : AUDIT_DIFFERS;
    }
}

/* ---- What the event itself says ---- */

static bool note_epoch(struct coord_audit *audit, const struct coord_event *event)
{
    if (event->type == COORD_EVENT_EPOCH_STARTED) {
        if (!ZDM_RESERVE(audit->epochs, audit->cap_epochs, audit->n_epochs + 1))
            return false;
        audit->epochs[audit->n_epochs++] =
            (struct audit_epoch){.epoch = event->epoch, .instance = event->u.epoch_started.instance};
        audit->result.epochs++;
    }
    if (event->type == COORD_EVENT_RECOVERED) {
        if (!ZDM_RESERVE(audit->recoveries, audit->cap_recoveries, audit->n_recoveries + 1))
            return false;
        audit->recoveries[audit->n_recoveries++] =
            (struct audit_recovery){.seq = event->seq, .seen_epoch = event->u.fenced.seen_epoch};
    }
    if (audit->n_epochs > 0 && audit->epochs[audit->n_epochs - 1].epoch == event->epoch)
        audit->epochs[audit->n_epochs - 1].last = event->seq;
    return true;
}

static void check_header(struct coord_audit *audit, const struct coord_event *event)
{
    if (event->epoch < audit->epoch)
        audit_found(audit, COORD_AUDIT_MISSTATED, event->seq, event->seq,
                    "event %" PRIu64 " is of epoch %" PRIu64 ", behind one of epoch %" PRIu64, event->seq, event->epoch,
                    audit->epoch);
    if (event->at_ms < audit->at_ms)
        audit_found(audit, COORD_AUDIT_MISSTATED, event->seq, event->seq,
                    "event %" PRIu64 " says that it is older than the one before it", event->seq);
    if ((event->type == COORD_EVENT_LOG_OPENED) != (event->seq == 1))
        audit_found(audit, COORD_AUDIT_MISSTATED, event->seq, event->seq, "event %" PRIu64 " is %s", event->seq,
                    event->seq == 1 ? "not the opening of a log" : "the opening of another log");
    else if (event->seq == 1 && !zdm_id_equal(&event->u.log_opened.fleet, &audit->fleet))
        audit_found(audit, COORD_AUDIT_MISSTATED, 1, 1, "the log is another fleet's than the trust file");
    audit->epoch = event->epoch;
    audit->at_ms = event->at_ms;
}

static bool read_event(struct coord_audit *audit, const struct store_record *record)
{
    struct coord_event event;
    struct zdm_error err;
    enum zdm_code code = coord_event_decode(audit->crypto, record, &event, &err);
    if (code == ZDM_NOMEM)
        return false;
    if (code != ZDM_OK) {
        audit_found(audit, COORD_AUDIT_UNREADABLE, record->seq, record->seq, "%s", err.message);
        return true;
    }
    check_header(audit, &event);
    bool good = note_epoch(audit, &event) && audit_check_signed(audit, &event);
    coord_event_fini(&event);
    return good;
}

bool coord_audit_feed(struct coord_audit *audit, const struct store_record *record)
{
    uint64_t expected = audit->last_seq + 1;
    if (!audit->started && audit->n_anchors > 1)
        qsort(audit->anchors, audit->n_anchors, sizeof *audit->anchors, by_generation);
    audit->started = true;
    struct zdm_hash hash = link_of(audit, &audit->hash, record);
    bool fits = record->seq == expected && zdm_hash_equal(&record->prev_hash, &audit->hash) &&
                zdm_hash_equal(&hash, &record->hash);
    if (audit->broken_at != 0)
        name_exchanged(audit, record);
    if (fits && audit->broken_at == 0) {
        if (!read_event(audit, record))
            return false;
    } else if (!fits) {
        audit->broken_at = audit->broken_at != 0 ? audit->broken_at : expected;
        audit->breaks++;
        name_break(audit, record, expected);
    }
    audit->hash = record->hash;
    audit->last_seq = record->seq > audit->last_seq ? record->seq : audit->last_seq;
    audit->result.events++;
    compare_anchors(audit, record);
    return true;
}

/* ---- The end ---- */

static const struct audit_epoch *find_epoch(const struct coord_audit *audit, const struct zdm_fence *fence)
{
    for (size_t i = 0; i < audit->n_epochs; i++)
        if (audit->epochs[i].epoch == fence->epoch && zdm_id_equal(&audit->epochs[i].instance, &fence->instance))
            return &audit->epochs[i];
    return NULL;
}

/* Is what this agent accepted part of a history that a recovery gave up? Never of one that this log holds. */
static bool was_given_up(const struct coord_audit *audit, const struct zdm_fence *fence)
{
    const struct audit_epoch *epoch = find_epoch(audit, fence);
    if (epoch != NULL && fence->generation <= epoch->last)
        return false;
    for (size_t i = 0; i < audit->n_recoveries; i++)
        if (audit->recoveries[i].seen_epoch >= fence->epoch)
            return true;
    return false;
}

static void note_proof(struct coord_audit *audit, const struct coord_audit_anchor *anchor)
{
    struct coord_audit_result *r = &audit->result;
    bool behind = audit->broken_at != 0 && anchor->fence.generation >= audit->broken_at;
    r->n_confirmed++;
    if (!behind && anchor->fence.generation >= r->proven_seq) {
        r->proven_seq = anchor->fence.generation;
        zdm_copy_text(r->proven_by, sizeof r->proven_by, anchor->who);
    } else if (behind && audit->breaks == 1 && anchor->fence.generation > r->after_seq) {
        r->after_seq = anchor->fence.generation;
        zdm_copy_text(r->after_by, sizeof r->after_by, anchor->who);
    }
}

/* What an agent holds that does not fit is the first thing wrong, or what is wrong already explains it. */
static void note_contradiction(struct coord_audit *audit, const struct audit_anchor *anchor)
{
    const struct coord_audit_anchor *given = &anchor->given;
    struct coord_audit_result *r = &audit->result;
    uint64_t position = given->fence.generation;
    if (r->finding != COORD_AUDIT_SOUND && r->bad_seq <= position)
        return;
    r->finding = COORD_AUDIT_SOUND; /* what was found comes later in the log */
    if (anchor->fit == AUDIT_DIFFERS)
        audit_found(audit, COORD_AUDIT_REWRITTEN, r->proven_seq + 1, position,
                    "the log was rewritten between event %" PRIu64 " and event %" PRIu64
                    ": %s confirmed another event %" PRIu64,
                    r->proven_seq + 1, position, given->who, position);
    else if (position > audit->last_seq)
        audit_found(audit, COORD_AUDIT_CUT, audit->last_seq + 1, position,
                    "the log ends at event %" PRIu64 ", but %s confirmed event %" PRIu64 " in epoch %" PRIu64
                    ": its end is missing, or a newer log exists",
                    audit->last_seq, given->who, position, given->fence.epoch);
}

static void note_foreign(struct coord_audit *audit, const struct coord_audit_anchor *given)
{
    audit_found(audit, COORD_AUDIT_CUT, audit->last_seq + 1, audit->last_seq + 1,
                "%s follows a coordinator of epoch %" PRIu64
                " that this log does not know: its end is missing, or a newer log exists",
                given->who, given->fence.epoch);
}

void coord_audit_finish(struct coord_audit *audit, struct coord_audit_result *out)
{
    for (size_t i = 0; i < audit->n_anchors; i++) { /* rising */
        const struct audit_anchor *anchor = &audit->anchors[i];
        if (anchor->fit == AUDIT_FITS)
            note_proof(audit, &anchor->given);
        else if (was_given_up(audit, &anchor->given.fence))
            audit->result.n_given_up++;
        else if (audit->broken_at == 0 || anchor->given.fence.generation < audit->broken_at ||
                 anchor->given.fence.generation > audit->last_seq)
            note_contradiction(audit, anchor);
    }
    for (size_t i = 0; i < audit->n_anchors && audit->broken_at == 0; i++) {
        const struct coord_audit_anchor *given = &audit->anchors[i].given;
        if (audit->anchors[i].fit == AUDIT_FITS && find_epoch(audit, &given->fence) == NULL &&
            !was_given_up(audit, &given->fence))
            note_foreign(audit, given);
    }
    audit_check_acts(audit);
    audit->result.n_anchors = (uint32_t)audit->n_anchors;
    audit->result.head_seq = audit->last_seq;
    *out = audit->result;
}
