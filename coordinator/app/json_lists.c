/*
 * json_lists.c - the answers to agents, anchors, version, fleet, plan and history (docs/JSON.md).
 */
#include <stdlib.h>
#include <string.h>

#include "coordinator/app/json.h"

/* ---- agents ---- */

static json_t *labels_json(const struct zdm_labels *labels)
{
    json_t *out = json_object();
    for (size_t i = 0; i < labels->n; i++)
        put_text(out, labels->items[i].key, labels->items[i].value);
    return out;
}

static json_t *signals_json(const struct zdm_report *report)
{
    json_t *out = json_array();
    for (size_t i = 0; i < report->n_signals; i++) {
        json_t *signal = json_object();
        put_text(signal, "name", report->signals[i].name);
        put_text(signal, "state", zdm_signal_state_name(report->signals[i].state));
        put_number(signal, "value", report->signals[i].value);
        put_number(signal, "limit", report->signals[i].limit);
        put_number(signal, "since_ms", report->signals[i].since_ms);
        (void)json_array_append_new(out, signal);
    }
    return out;
}

static void put_heard(json_t *out, const struct coord_driver *d, const struct coord_heard *heard)
{
    static const struct zdm_report silent;
    const struct zdm_report *report = heard != NULL ? &heard->report : &silent;
    put_bool(out, "connected", heard != NULL && heard->connected);
    put(out, "heard_ms", heard != NULL ? json_integer(d->now_ms - heard->heard_at_ms) : json_null());
    put_text_or_null(out, "release", report->release);
    put_text_or_null(out, "engine", report->engine != ZDM_ENGINE_ANY ? zdm_engine_name(report->engine) : "");
    put_text_or_null(out, "server_version", report->server_version);
    put_text_or_null(out, "database", heard == NULL ? "" : report->connected ? "connected" : "unreachable");
    put(out, "writable", heard != NULL ? json_boolean(report->writable) : json_null());
    put(out, "trust_version", heard != NULL ? json_integer(report->trust_version) : json_null());
    put_text_or_null(out, "error", report->db_error);
    put(out, "signals", signals_json(report));
}

char *json_agents(struct coord_driver *d, struct zdm_error *err)
{
    json_t *out = json_object(), *agents = json_array();
    for (size_t i = 0; i < d->state->n_agents; i++) {
        const struct coord_agent *agent = &d->state->agents[i];
        const struct coord_fleet_shard *shard = coord_find_fleet_shard(d->state, agent->shard);
        json_t *row = json_object();
        put_hex(row, "agent", agent->id.bytes, sizeof agent->id.bytes);
        put_text(row, "shard", agent->shard);
        put(row, "labels", shard != NULL ? labels_json(shard->labels) : json_object());
        const struct coord_heard *heard = coord_view_find(&d->view, &agent->id);
        put_heard(row, d, heard);
        const char *lost = heard != NULL ? coord_works_for_lost(d->state, &heard->report, agent->shard) : NULL;
        put_text_or_null(row, "lost_migration", lost != NULL ? lost : "");
        put_bool(row, "revoked", agent->revoked);
        (void)json_array_append_new(agents, row);
    }
    put(out, "agents", agents);
    return json_text(out, err);
}

/* ---- anchors ---- */

static json_t *anchor_json(const struct coord_agent *agent, const struct zdm_migration_report *report)
{
    const struct zdm_fence *fence = &report->accepted;
    json_t *row = json_object();
    put_text(row, "migration", report->migration);
    put_text(row, "shard", agent->shard);
    put_hex(row, "agent", agent->id.bytes, sizeof agent->id.bytes);
    put_number(row, "epoch", (int64_t)fence->epoch);
    put_hex(row, "instance", fence->instance.bytes, sizeof fence->instance.bytes);
    put_number(row, "generation", (int64_t)fence->generation);
    put_hex(row, "anchor", fence->anchor.bytes, sizeof fence->anchor.bytes);
    return row;
}

char *json_anchors(struct coord_driver *d, struct zdm_error *err)
{
    json_t *out = json_array();
    for (size_t i = 0; i < d->state->n_agents; i++) {
        const struct coord_agent *agent = &d->state->agents[i];
        const struct coord_heard *heard = coord_view_find(&d->view, &agent->id);
        for (size_t m = 0; heard != NULL && m < heard->report.n_migrations; m++)
            if (heard->report.migrations[m].accepted.generation != 0)
                (void)json_array_append_new(out, anchor_json(agent, &heard->report.migrations[m]));
    }
    return json_text(out, err);
}

/* ---- version ---- */

char *json_version(struct coord_driver *d, struct zdm_error *err)
{
    json_t *out = json_object();
    put_text(out, "release", d->release);
    put_number(out, "epoch", (int64_t)d->epoch);
    put_hex(out, "instance", d->instance.bytes, sizeof d->instance.bytes);
    put_number(out, "uptime_s", (d->now_ms - d->view.started_at_ms) / 1000);
    put_number(out, "feature_level", d->state->feature_level);
    put_text(out, "store", d->config.store.ops->name);
    put_number(out, "events", (int64_t)d->state->head_seq);
    return json_text(out, err);
}

/* ---- fleet ---- */

static json_t *fleet_shards_json(const struct coord_driver *d)
{
    json_t *shards = json_array();
    for (size_t i = 0; i < d->state->n_shards; i++) {
        const struct coord_fleet_shard *shard = &d->state->shards[i];
        enum zdm_engine engine = ZDM_ENGINE_ANY;
        for (uint32_t next = shard->first_agent; next != 0; next = d->state->agents[next - 1].next_of_shard) {
            const struct coord_heard *heard = coord_view_find(&d->view, &d->state->agents[next - 1].id);
            if (heard != NULL && heard->report.engine != ZDM_ENGINE_ANY)
                engine = heard->report.engine;
        }
        json_t *row = json_object();
        put_text(row, "shard", shard->name);
        put(row, "labels", labels_json(shard->labels));
        put_text_or_null(row, "engine", engine != ZDM_ENGINE_ANY ? zdm_engine_name(engine) : "");
        (void)json_array_append_new(shards, row);
    }
    return shards;
}

static uint64_t newest_generation(const struct coord_migration *migration)
{
    uint64_t newest = migration->submitted_seq;
    for (size_t i = 0; i < migration->n_shards; i++)
        if (migration->shards[i].generation > newest)
            newest = migration->shards[i].generation;
    return newest;
}

static json_t *fleet_migrations_json(const struct coord_driver *d)
{
    static const char *const modes[] = {[COORD_OPEN] = "open", [COORD_HALTED] = "halted", [COORD_ENDED] = "ended"};
    json_t *migrations = json_array();
    for (size_t i = 0; i < d->state->n_migrations; i++) {
        const struct coord_migration *migration = d->state->migrations[i];
        json_t *row = json_object();
        put_text(row, "id", migration->id);
        put_text(row, "mode", modes[migration->mode]);
        put_number(row, "phase", migration->opened_phase);
        put_number(row, "phases", (int64_t)migration->plan->n_phases);
        put_number(row, "generation", (int64_t)newest_generation(migration));
        (void)json_array_append_new(migrations, row);
    }
    return migrations;
}

char *json_fleet(struct coord_driver *d, struct zdm_error *err)
{
    json_t *out = json_object(), *urls = json_array();
    put_hex(out, "fleet", d->chain.fleet.bytes, sizeof d->chain.fleet.bytes);
    put_text(out, "name", d->chain.trust.fleet_name);
    for (size_t i = 0; i < COORD_URLS_MAX && d->urls[i] != NULL; i++)
        (void)json_array_append_new(urls, json_string(d->urls[i]));
    put(out, "urls", urls);
    put_number(out, "trust_version", d->chain.trust.version);
    put_hex(out, "trust_hash", d->chain.hash.bytes, sizeof d->chain.hash.bytes);
    put(out, "shards", fleet_shards_json(d));
    put(out, "migrations", fleet_migrations_json(d));
    return json_text(out, err);
}

/* ---- plan ---- */

static void put_base64(json_t *object, const char *key, const void *bytes, size_t n)
{
    char *text = n != 0 ? malloc(ZDM_BASE64_SIZE(n)) : NULL;
    if (text != NULL)
        zdm_base64url(text, bytes, n);
    put_text(object, key, text != NULL ? text : "");
    free(text);
}

char *json_plan(struct coord_driver *d, const char *id, struct zdm_error *err)
{
    const struct coord_migration *migration = pick_migration(d, id, err);
    struct zdm_buffer flat = ZDM_BUFFER_INIT;
    if (migration == NULL) {
        if (err->code == ZDM_OK)
            zdm_error_set(err, ZDM_NOT_FOUND, "this fleet has no migration");
        return NULL;
    }
    json_t *out = json_object();
    zdm_envelope_flatten(&migration->plan_envelope, &flat);
    put_text(out, "migration", migration->id);
    put_base64(out, "plan", flat.data, flat.len);
    put_base64(out, "notes", migration->notes, migration->n_notes);
    zdm_buffer_fini(&flat);
    return json_text(out, err);
}

/* ---- history ---- */

struct telling {
    struct coord_driver *driver;
    const char *migration;
    uint32_t limit;
    json_t *events;
    bool more;
    struct zdm_error *err;
    enum zdm_code code;
};

static json_t *event_json(struct coord_driver *d, const struct coord_event *event)
{
    struct story story;
    json_t *out = json_object(), *shards = json_array();
    story_tell(d, event, &story);
    put_number(out, "seq", (int64_t)event->seq);
    put_time(out, "at", event->at_ms);
    put_number(out, "epoch", (int64_t)event->epoch);
    put_text(out, "type", coord_event_type_name(event->type));
    put_text_or_null(out, "migration", event->migration);
    put_text_or_null(out, "by", story.by);
    for (size_t i = 0; i < story.n_shards; i++)
        (void)json_array_append_new(shards, json_string(story.shards[i]));
    put(out, "shards", shards);
    put_number(out, "more_shards", (int64_t)story.more_shards);
    put_text(out, "text", zdm_buffer_text(&story.text));
    story_fini(&story);
    return out;
}

static bool tell_record(void *ctx, const struct store_record *record)
{
    struct telling *telling = ctx;
    struct coord_event event;
    if (record->seq > telling->driver->state->head_seq)
        return false;
    telling->code = coord_event_decode(telling->driver->config.crypto, record, &event, telling->err);
    if (telling->code != ZDM_OK)
        return false;
    if (telling->migration[0] == '\0' || strcmp(event.migration, telling->migration) == 0) {
        telling->more = json_array_size(telling->events) >= telling->limit;
        if (!telling->more)
            (void)json_array_append_new(telling->events, event_json(telling->driver, &event));
    }
    coord_event_fini(&event);
    return !telling->more;
}

char *json_history(struct coord_driver *d, const char *migration, uint64_t from_seq, uint32_t limit,
                   struct zdm_error *err)
{
    if (migration[0] != '\0' && coord_find_migration(d->state, migration) == NULL) {
        zdm_error_set(err, ZDM_NOT_FOUND, "there is no migration %s", migration);
        (void)zdm_error_hint(err, "zdmctl history without a name says what was submitted.");
        return NULL;
    }
    struct telling telling = {
        .driver = d, .migration = migration, .limit = limit, .events = json_array(), .err = err, .code = ZDM_OK};
    const struct store *store = &d->config.store;
    enum store_result result = store->ops->read(store->self, from_seq != 0 ? from_seq : 1, tell_record, &telling, err);
    if (result != STORE_OK || telling.code != ZDM_OK) {
        json_decref(telling.events);
        return NULL;
    }
    json_t *out = json_object();
    put(out, "events", telling.events);
    put_bool(out, "more", telling.more);
    return json_text(out, err);
}
