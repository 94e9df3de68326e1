/*
 * driver.c - life and turn of the driver. See driver.h.
 */
#include <stdlib.h>
#include <string.h>

#include "coordinator/app/private.h"

/* ---- Telling ---- */

void driver_notice(struct coord_driver *d, const struct coord_notice *notice)
{
    if (d->config.notice != NULL)
        d->config.notice(d->config.ctx, notice);
}

enum zdm_code store_code(enum store_result result)
{
    switch (result) {
    case STORE_OK:
        return ZDM_OK;
    case STORE_DEPOSED:
        return ZDM_DEPOSED;
    case STORE_UNKNOWN:
        return ZDM_UNKNOWN;
    case STORE_FULL:
        return ZDM_FULL;
    case STORE_CORRUPT:
        return ZDM_CORRUPT;
    case STORE_BUSY:
        return ZDM_EXISTS;
    case STORE_IO:
        break;
    }
    return ZDM_IO;
}

void driver_end(struct coord_driver *d, const struct zdm_error *err)
{
    if (d->ended)
        return;
    d->ended = true;
    d->end = *err;
}

bool coord_driver_ended(const struct coord_driver *driver, struct zdm_error *err)
{
    if (driver->ended)
        *err = driver->end;
    return driver->ended;
}

/* ---- The turn ---- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void sweep(struct coord_driver *d)
{
    if (d->now_ms < d->next_sweep_ms)
        return;
    (void)coord_hub_sweep(d->hub, d->now_ms);
    d->next_sweep_ms = d->now_ms + SWEEP_MS;
}

int64_t coord_driver_turn(struct coord_driver *driver)
{
    struct coord_driver *d = driver;
    if (d->ended || d->hub == NULL)
        return INT64_MAX;
    int64_t boot_ms = zdm_boot_ms(d->config.clock);
    d->now_ms = d->base_wall_ms + (boot_ms - d->base_boot_ms);
    inbox_take(d);
    sweep(d);
    if (d->n_pendings != 0 || d->now_ms >= d->next_tick_ms)
        group_run(d);
    if (d->ended)
        return INT64_MAX;
    int64_t wake_ms = earlier(queries_pump(d), earlier(d->next_tick_ms, d->next_sweep_ms));
    wake_ms = earlier(wake_ms, surveys_pump(d));
    if (!STAILQ_EMPTY(&d->inbox) || wake_ms < d->now_ms)
        wake_ms = d->now_ms;
    return boot_ms + (wake_ms - d->now_ms);
}

/* ---- Life ---- */

static void copy_config(struct coord_driver *d, const struct coord_driver_config *config)
{
    d->config = *config;
    d->config.trust = NULL;
    (void)zdm_copy_text(d->release, sizeof d->release, config->release);
    (void)zdm_copy_text(d->host, sizeof d->host, config->host);
}

enum zdm_code coord_driver_advertise(struct coord_driver *driver, const char *const *urls, size_t n,
                                     struct zdm_error *err)
{
    for (size_t i = 0; i < COORD_URLS_MAX; i++) {
        free(driver->urls[i]);
        driver->urls[i] = i < n ? zdm_strdup(urls[i]) : NULL;
        if (i < n && driver->urls[i] == NULL)
            return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    return ZDM_OK;
}

static enum zdm_code check_own_key(const struct coord_driver *d, struct zdm_error *err)
{
    struct zdm_hash public_key;
    if (zdm_trust_coordinator(d->config.crypto, &d->chain.trust, &d->config.key->id, &public_key))
        return ZDM_OK;
    char text[ZDM_ID_HEX_SIZE];
    zdm_hex(text, d->config.key->id.bytes, sizeof d->config.key->id.bytes);
    zdm_error_set(err, ZDM_AUTH, "the trust file does not name this coordinator's key %s", text);
    return zdm_error_hint(err, "Agents would refuse it. Add its public key to a new version of the trust file.");
}

enum zdm_code coord_driver_new(const struct coord_driver_config *config, struct coord_driver **out_driver,
                               struct zdm_error *err)
{
    struct coord_driver *d = calloc(1, sizeof *d);
    if (d == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    STAILQ_INIT(&d->inbox);
    coord_output_init(&d->output);
    zdm_buffer_init(&d->bytes, 0);
    copy_config(d, config);
    enum zdm_code code = zdm_trust_chain_read(config->crypto, config->trust, config->trust_n, &d->chain, err);
    if (code == ZDM_OK)
        code = check_own_key(d, err);
    if (code != ZDM_OK) {
        coord_driver_free(d);
        return code;
    }
    *out_driver = d;
    return ZDM_OK;
}

enum zdm_code coord_driver_fleet(const struct zdm_crypto *crypto, const void *trust, size_t trust_n,
                                 struct zdm_id *out_fleet, struct zdm_error *err)
{
    struct zdm_trust_chain chain;
    enum zdm_code code = zdm_trust_chain_read(crypto, trust, trust_n, &chain, err);
    if (code != ZDM_OK)
        return code;
    *out_fleet = chain.fleet;
    zdm_trust_chain_fini(&chain);
    return ZDM_OK;
}

static enum coord_identity identify(void *ctx, enum zdm_session_role role, const struct zdm_id *key_id,
                                    struct zdm_hash *out_public_key, char out_name[ZDM_NAME_MAX + 1])
{
    struct coord_driver *d = ctx;
    if (role == ZDM_SESSION_PERSON) {
        const struct zdm_person *person = zdm_trust_person(d->config.crypto, &d->chain.trust, key_id);
        if (person == NULL)
            return COORD_STRANGE;
        *out_public_key = person->public_key;
        (void)zdm_copy_text(out_name, ZDM_NAME_MAX + 1, person->name);
        return COORD_KNOWN;
    }
    const struct coord_agent *agent = coord_find_agent(d->state, key_id);
    if (agent == NULL)
        return COORD_STRANGE;
    *out_public_key = agent->public_key;
    (void)zdm_copy_text(out_name, ZDM_NAME_MAX + 1, agent->shard);
    return agent->revoked ? COORD_REFUSED : COORD_KNOWN;
}

static void admit(void *ctx, zdm_conn conn)
{
    const struct coord_driver *d = ctx;
    if (d->config.admit != NULL)
        d->config.admit(d->config.ctx, conn);
}

enum zdm_code coord_driver_start(struct coord_driver *driver, struct zdm_net net, struct zdm_error *err)
{
    struct coord_driver *d = driver;
    enum zdm_code code = log_start(d, err);
    if (code != ZDM_OK)
        return code;
    const struct coord_hub_config config = {.crypto = d->config.crypto,
                                            .random = d->config.random,
                                            .key = d->config.key,
                                            .fleet = d->chain.fleet,
                                            .instance = d->instance,
                                            .identify = identify,
                                            .admit = admit,
                                            .ctx = d};
    d->hub = coord_hub_new(&config, net);
    return d->hub != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

void coord_driver_stop(struct coord_driver *driver)
{
    if (driver->hub == NULL)
        return;
    for (struct coord_peer *peer = coord_hub_first(driver->hub); peer != NULL; peer = peer->next)
        coord_hub_close(driver->hub, peer, "the coordinator is shutting down");
}

void coord_driver_free(struct coord_driver *driver)
{
    struct coord_driver *d = driver;
    if (d == NULL)
        return;
    inbox_clear(d);
    if (d->hub != NULL)
        for (struct coord_peer *peer = coord_hub_first(d->hub); peer != NULL; peer = peer->next)
            person_free(d, peer);
    surveys_free(d);
    coord_hub_free(d->hub);
    group_clear(d);
    coord_output_fini(&d->output);
    zdm_buffer_fini(&d->bytes);
    free(d->records);
    directives_forget(d);
    for (size_t i = 0; i < NOTES_CACHED; i++)
        zdm_notes_free(d->notes[i].notes);
    for (size_t i = 0; i < COORD_URLS_MAX; i++)
        free(d->urls[i]);
    zdm_trust_chain_fini(&d->chain);
    zdm_trust_chain_fini(&d->next);
    coord_view_fini(&d->view);
    coord_state_free(d->state);
    free(d);
}

const struct coord_state *coord_driver_state(const struct coord_driver *driver)
{
    return driver->state;
}

const struct coord_view *coord_driver_view(const struct coord_driver *driver)
{
    return &driver->view;
}

char *coord_driver_status(struct coord_driver *driver, const char *migration, struct zdm_error *err)
{
    return json_status(driver, migration, err);
}
