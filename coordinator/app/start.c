/*
 * start.c - reading the log, and the group of events with which a coordinator begins (protocol 3, rule 2; 7).
 *
 * Nothing is signed and nothing answered before epoch_started is durable: until then another process may be the one
 * that agents obey. A log that was restored from a backup begins fenced: the original may have gone on, and agents may
 * have accepted orders that this log does not know.
 */
#include <inttypes.h>
#include <string.h>

#include "coordinator/app/private.h"

/* ---- Reading ---- */

struct folding {
    struct coord_driver *driver;
    struct coord_state *state;
    struct zdm_error *err;
    enum zdm_code code;
};

static bool fold_record(void *ctx, const struct store_record *record)
{
    struct folding *folding = ctx;
    struct coord_event event;
    folding->code = coord_event_decode(folding->driver->config.crypto, record, &event, folding->err);
    if (folding->code != ZDM_OK)
        return false;
    folding->code = coord_apply(folding->state, &event, folding->err);
    coord_event_fini(&event);
    return folding->code == ZDM_OK;
}

enum zdm_code log_load(struct coord_driver *d, struct zdm_error *err)
{
    struct folding folding = {.driver = d, .state = coord_state_new(), .err = err, .code = ZDM_OK};
    if (folding.state == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    const struct store *store = &d->config.store;
    enum store_result result = store->ops->read(store->self, 1, fold_record, &folding, err);
    enum zdm_code code = result != STORE_OK ? store_code(result) : folding.code;
    if (code != ZDM_OK) {
        coord_state_free(folding.state);
        return zdm_error_wrap(err, "while reading the log");
    }
    coord_state_free(d->state);
    d->state = folding.state;
    directives_forget(d);
    return ZDM_OK;
}

/* ---- Checking ---- */

static enum zdm_code check_fleet(const struct coord_driver *d, struct zdm_error *err)
{
    if (d->state->head_seq == 0 || zdm_id_equal(&d->state->fleet, &d->chain.fleet))
        return ZDM_OK;
    zdm_error_set(err, ZDM_REFUSED, "the log belongs to another fleet than the trust file");
    return zdm_error_hint(err, "Check the settings data and trust.");
}

static enum zdm_code check_trust(const struct coord_driver *d, struct zdm_error *err)
{
    uint32_t adopted = d->state->trust_version, version = d->chain.trust.version;
    if (version < adopted) {
        zdm_error_set(err, ZDM_REFUSED, "the trust file has version %" PRIu32 ", this fleet is at version %" PRIu32,
                      version, adopted);
        return zdm_error_hint(err, "Give the coordinator the newest trust file.");
    }
    if (version == adopted && !zdm_hash_equal(&d->state->trust_digest, &d->chain.hash)) {
        zdm_error_set(err, ZDM_REFUSED, "the trust file differs from the version %" PRIu32 " that this fleet adopted",
                      version);
        return zdm_error_hint(err, "Two trust files have the same number: find out who made the other one.");
    }
    return ZDM_OK;
}

/* ---- The first group ---- */

static struct coord_event *push_event(struct coord_driver *d, enum coord_event_type type)
{
    struct coord_output *out = &d->output;
    if (!ZDM_RESERVE(out->events, out->cap_events, out->n_events + 1)) {
        out->failed = true;
        return NULL;
    }
    struct coord_event *event = &out->events[out->n_events++];
    memset(event, 0, sizeof *event);
    event->type = type;
    return event;
}

static void push_opening(struct coord_driver *d)
{
    struct coord_event *event = push_event(d, COORD_EVENT_LOG_OPENED);
    if (event == NULL)
        return;
    event->u.log_opened.fleet = d->chain.fleet;
    event->u.log_opened.format = COORD_LOG_FORMAT;
    (void)zdm_copy_text(event->u.log_opened.release, sizeof event->u.log_opened.release, d->release);
}

static void push_features(struct coord_driver *d)
{
    struct coord_event *event = push_event(d, COORD_EVENT_FEATURES_ENABLED);
    if (event != NULL)
        event->u.features_enabled.level = FEATURE_LEVEL;
}

static void push_epoch(struct coord_driver *d)
{
    struct coord_event *event = push_event(d, COORD_EVENT_EPOCH_STARTED);
    if (event == NULL)
        return;
    event->u.epoch_started.instance = d->instance;
    (void)zdm_copy_text(event->u.epoch_started.release, sizeof event->u.epoch_started.release, d->release);
    (void)zdm_copy_text(event->u.epoch_started.host, sizeof event->u.epoch_started.host, d->host);
}

static void push_trust(struct coord_driver *d)
{
    struct coord_event *event = push_event(d, COORD_EVENT_TRUST_ADOPTED);
    if (event == NULL)
        return;
    event->u.trust_adopted.version = d->chain.trust.version;
    event->u.trust_adopted.digest = d->chain.hash;
}

static void push_fence(struct coord_driver *d)
{
    struct coord_event *event = push_event(d, COORD_EVENT_FENCED);
    if (event == NULL)
        return;
    event->u.fenced.seen_epoch = d->state->epoch;
    event->u.fenced.seen_instance = d->state->instance;
    (void)zdm_copy_text(event->u.fenced.text, sizeof event->u.fenced.text, "the log was restored from a backup");
}

static void push_first_group(struct coord_driver *d, const struct store_head *head)
{
    bool restored = head->seq != 0 && head->backup_seq == head->seq && !d->state->fenced;
    if (d->state->head_seq == 0)
        push_opening(d);
    push_epoch(d);
    if (d->state->head_seq == 0)
        push_features(d); /* a log that no older release has to read */
    if (restored)
        push_fence(d);
    if (d->chain.trust.version > d->state->trust_version)
        push_trust(d);
}

/* An epoch above all that the log has seen: after a recovery the log's may be higher than the store's. */
static enum zdm_code acquire(struct coord_driver *d, struct zdm_error *err)
{
    const struct store *store = &d->config.store;
    for (int i = 0; i < ACQUIRE_ATTEMPTS; i++) {
        enum store_result result = store->ops->acquire(store->self, &d->epoch, err);
        if (result != STORE_OK)
            return store_code(result);
        if (d->epoch > d->state->epoch)
            return ZDM_OK;
    }
    return zdm_error_set(err, ZDM_CORRUPT, "the log's epoch %" PRIu64 " is far above the store's epoch %" PRIu64,
                         d->state->epoch, d->epoch);
}

static void start_time(struct coord_driver *d)
{
    d->base_boot_ms = zdm_boot_ms(d->config.clock);
    d->base_wall_ms = zdm_wall_ms(d->config.clock);
    if (d->base_wall_ms < d->state->head_at_ms)
        d->base_wall_ms = d->state->head_at_ms;
    d->now_ms = d->base_wall_ms;
    d->next_tick_ms = d->now_ms;
    d->next_sweep_ms = d->now_ms + SWEEP_MS;
}

enum zdm_code log_start(struct coord_driver *d, struct zdm_error *err)
{
    struct store_head head;
    const struct store *store = &d->config.store;
    enum zdm_code code = store_code(store->ops->head(store->self, &head, err));
    if (code == ZDM_OK)
        code = log_load(d, err);
    if (code == ZDM_OK)
        code = check_fleet(d, err);
    if (code == ZDM_OK)
        code = check_trust(d, err);
    if (code == ZDM_OK && !d->config.only_hears)
        code = acquire(d, err);
    if (code != ZDM_OK)
        return code;
    zdm_random_fill(d->config.random, d->instance.bytes, sizeof d->instance.bytes);
    start_time(d);
    coord_view_init(&d->view, d->now_ms);
    code = trust_follow(d, err);
    if (code != ZDM_OK || d->config.only_hears)
        return code;
    push_first_group(d, &head);
    code = group_absorb(d, err);
    if (code == ZDM_OK)
        code = store_code(group_append(d, err));
    group_clear(d);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while starting the epoch");
}
