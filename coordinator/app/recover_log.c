/*
 * recover_log.c - the driver's part of a recovery: what agents said is in the view; an operator's word goes into the
 * log. See driver.h and recover.h.
 *
 * Until then nothing was written (config.only_hears). The epoch is taken from the store, above all that was seen: the
 * next start goes on from there. A trust file that is newer than the log is adopted first, because the operator's key
 * is judged by it. The request travels in no session: in its place it names the chain's hash behind which it stands, so
 * that it is worth nothing in another log.
 */
#include <inttypes.h>
#include <string.h>

#include "coordinator/app/private.h"

enum { EPOCHS_MAX = 1000 * 1000 }; /* acquired one by one: more were not lived through by any coordinator */

uint64_t coord_driver_seen_epoch(const struct coord_driver *driver)
{
    const struct coord_state *state = driver->state;
    uint64_t seen = state->epoch > state->seen_epoch ? state->epoch : state->seen_epoch;
    for (size_t i = 0; i < driver->view.n_heard; i++) {
        const struct zdm_report *report = &driver->view.heard[i].report;
        for (size_t j = 0; j < report->n_migrations; j++)
            if (report->migrations[j].accepted.epoch > seen)
                seen = report->migrations[j].accepted.epoch;
    }
    return seen;
}

enum zdm_code coord_driver_may_recover(const struct coord_driver *driver, const struct zdm_id *key_id,
                                       const char **out_name, struct zdm_error *err)
{
    const struct zdm_person *person = zdm_trust_person(driver->config.crypto, &driver->chain.trust, key_id);
    char has[32];
    if (person == NULL) {
        char key[ZDM_ID_HEX_SIZE];
        zdm_hex(key, key_id->bytes, sizeof key_id->bytes);
        zdm_error_set(err, ZDM_AUTH, "key %.12s is nobody's in the trust file", key);
        return zdm_error_hint(err, "Give --key the secret key of an operator.");
    }
    *out_name = person->name;
    if ((person->roles & (uint32_t)ZDM_ROLE_OPERATOR) != 0)
        return ZDM_OK;
    zdm_roles_text(has, sizeof has, person->roles);
    zdm_error_set(err, ZDM_REFUSED, "%s may not recover a coordinator", person->name);
    zdm_error_detail(err, "It takes the role operator; %s has: %s.", person->name, has);
    return zdm_error_hint(err, "Roles stand in the trust file.");
}

/* ---- Writing ---- */

static enum zdm_code acquire_above(struct coord_driver *d, uint64_t seen, struct zdm_error *err)
{
    const struct store *store = &d->config.store;
    for (int i = 0; i < EPOCHS_MAX; i++) {
        enum store_result result = store->ops->acquire(store->self, &d->epoch, err);
        if (result != STORE_OK)
            return store_code(result);
        if (d->epoch > seen)
            return ZDM_OK;
    }
    return zdm_error_set(err, ZDM_CORRUPT, "an agent has seen epoch %" PRIu64 ", far above this log's", seen);
}

/* Decides one input and commits what comes of it; nothing is sent. */
static enum zdm_code commit(struct coord_driver *d, const struct coord_input *input, struct zdm_error *err)
{
    coord_decide(d->state, &d->view, input, &d->output);
    enum zdm_code code = group_absorb(d, err);
    if (code == ZDM_OK)
        code = store_code(group_append(d, err));
    group_clear(d);
    return code;
}

static enum zdm_code adopt_trust(struct coord_driver *d, struct zdm_error *err)
{
    struct coord_input input = {.kind = COORD_IN_TRUST, .now_ms = d->now_ms};
    if (d->chain.trust.version <= d->state->trust_version)
        return ZDM_OK;
    input.u.trust.version = d->chain.trust.version;
    input.u.trust.digest = d->chain.hash;
    return commit(d, &input, err);
}

static enum zdm_code sign(const struct coord_driver *d, const struct zdm_signing_key *key, struct zdm_request *request,
                          struct zdm_envelope *out, struct zdm_error *err)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    zdm_random_fill(d->config.random, request->request_id.bytes, sizeof request->request_id.bytes);
    request->session = d->state->head_hash;
    zdm_request_encode(request, &body);
    enum zdm_code code = body.failed ? zdm_error_set(err, ZDM_NOMEM, "out of memory")
                                     : zdm_signed_make(d->config.crypto, key, &d->chain.fleet, ZDM_SIGNED_REQUEST,
                                                       body.data, body.len, out, err);
    zdm_buffer_fini(&body);
    return code;
}

enum zdm_code coord_driver_recover(struct coord_driver *driver, const struct zdm_signing_key *key, const char *reason,
                                   struct zdm_error *err)
{
    struct coord_driver *d = driver;
    struct zdm_request request = {.verb = ZDM_VERB_RECOVER};
    struct zdm_envelope envelope = {.bytes = NULL};
    struct coord_input input = {.kind = COORD_IN_RECOVER, .now_ms = d->now_ms};
    enum zdm_code code = coord_driver_may_recover(d, &key->id, &input.u.recover.name, err);
    (void)zdm_copy_text(request.reason, sizeof request.reason, reason);
    if (code == ZDM_OK)
        code = acquire_above(d, coord_driver_seen_epoch(d), err);
    if (code == ZDM_OK)
        code = adopt_trust(d, err);
    if (code == ZDM_OK)
        code = sign(d, key, &request, &envelope, err);
    if (code != ZDM_OK)
        return code;
    input.u.recover.request = &request;
    input.u.recover.envelope = &envelope;
    input.u.recover.key = key->id;
    code = commit(d, &input, err);
    zdm_envelope_fini(&envelope);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while recovering the log");
}
