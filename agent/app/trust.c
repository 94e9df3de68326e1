/*
 * trust.c - the trust file in force: newer versions come from the coordinator or from the home folder, are verified
 * against the version held, kept, told to the core, and end the session of a coordinator that is named no more.
 *
 * Versions never go back. An agent whose folder is older than its shard's journal changes nothing in the database
 * before it has the version that the shard has seen; an order that comes together with the word that there is a newer
 * version waits for that version, because what people signed in it may be signed with its keys.
 */
#include <stdio.h>

#include "agent/app/people.h"
#include "agent/app/private.h"
#include "proto/trust_file.h"

enum { TRUST_WAIT_MS = 3000 };

static uint32_t version_held(const struct agent_driver *d)
{
    return d->identity.chain.trust.version;
}

/* Is there an operator of the former version who is none in the version held? */
static bool drops_operator(const struct zdm_authority *former, const struct zdm_authority *now)
{
    for (size_t i = 0; i < former->n_people; i++) {
        const struct zdm_authority_person *person = zdm_authority_find(now, &former->people[i].key_id);
        bool still = person != NULL && (person->roles & ZDM_ROLE_OPERATOR) != 0;
        if ((former->people[i].roles & ZDM_ROLE_OPERATOR) != 0 && !still)
            return true;
    }
    return false;
}

void trust_tell(struct agent_driver *d)
{
    struct zdm_authority authority;
    struct agent_input input = {.kind = AGENT_IN_TRUST};
    if (!agent_people_read(d->config.crypto, &d->identity.chain.trust, &authority)) {
        agent_driver_notice(d, ZDM_LOG_ERROR, "out of memory: the trust file could not be read", "", "");
        return;
    }
    d->rereads = d->rereads || drops_operator(&d->people, &authority);
    zdm_authority_fini(&d->people);
    d->people = authority;
    input.u.trust = &d->people;
    driver_step(d, &input);
}

static bool save_trust(const struct agent_driver *d)
{
    struct zdm_buffer bytes;
    zdm_buffer_init(&bytes, AGENT_TRUST_FILE_MAX);
    zdm_trust_chain_write(&d->identity.chain, &bytes);
    bool saved =
        !bytes.failed && (d->config.save_trust == NULL || d->config.save_trust(d->config.ctx, bytes.data, bytes.len));
    zdm_buffer_fini(&bytes);
    return saved;
}

static void release_orders(struct agent_driver *d)
{
    struct zdm_envelope orders[ORDERS_WAITING_MAX];
    size_t n = d->n_waiting;
    for (size_t i = 0; i < n; i++)
        orders[i] = d->waiting[i];
    d->n_waiting = 0;
    d->trust_due_ms = 0;
    for (size_t i = 0; i < n; i++) {
        driver_take_order(d, &orders[i]);
        zdm_envelope_fini(&orders[i]);
    }
}

static void adopt(struct agent_driver *d)
{
    char version[16];
    (void)snprintf(version, sizeof version, "%u", version_held(d));
    agent_driver_notice(d, ZDM_LOG_INFO, "newer trust file taken over", "version", version);
    trust_tell(d);
    refused_fetch(d, NULL);
    agent_link_check_peer(d->link); /* may end the session, and with it what waits */
    if (d->trust_due_ms != 0 && version_held(d) >= d->trust_wanted)
        release_orders(d);
}

void trust_take(struct agent_driver *d, const struct zdm_envelope *envelopes, size_t n)
{
    struct zdm_error err;
    bool newer = false;
    if (agent_identity_extend(d->config.crypto, &d->identity, envelopes, n, &newer, &err) != ZDM_OK) {
        agent_driver_notice(d, ZDM_LOG_ERROR, "trust file refused", "reason", err.message);
        return;
    }
    if (!newer)
        return;
    if (!save_trust(d))
        agent_driver_notice(d, ZDM_LOG_ERROR,
                            "could not keep the newer trust file: it is asked for again after a restart", "", "");
    adopt(d);
}

void agent_driver_take_trust_file(struct agent_driver *driver, const void *bytes, size_t n)
{
    struct zdm_trust_chain file;
    struct zdm_error err;
    bool newer = false;
    if (agent_identity_extend_file(driver->config.crypto, &driver->identity, bytes, n, &newer, &err) != ZDM_OK) {
        agent_driver_notice(driver, ZDM_LOG_ERROR, "trust file in the data folder refused", "reason", err.message);
        return;
    }
    if (newer) {
        adopt(driver);
        return;
    }
    /* Who replaced it meanwhile by an older one had not seen the newer: it is put back. */
    if (zdm_trust_chain_read(driver->config.crypto, bytes, n, &file, &err) != ZDM_OK)
        return;
    if (file.trust.version < version_held(driver))
        (void)save_trust(driver);
    zdm_trust_chain_fini(&file);
}

void trust_ask(struct agent_driver *d)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_TRUST_REQUEST};
    frame.u.trust_request.from_version = version_held(d);
    (void)agent_link_send(d->link, &frame);
}

void trust_heard_of(struct agent_driver *d, uint32_t version)
{
    if (version <= version_held(d))
        return;
    d->trust_due_ms = zdm_boot_ms(d->config.clock) + TRUST_WAIT_MS;
    d->trust_wanted = version;
    trust_ask(d);
}

bool trust_delays(struct agent_driver *d, const struct zdm_envelope *envelope)
{
    if (d->trust_due_ms == 0 || d->n_waiting == ORDERS_WAITING_MAX ||
        !zdm_envelope_copy(&d->waiting[d->n_waiting], envelope))
        return false;
    d->n_waiting++;
    return true;
}

int64_t trust_turn(struct agent_driver *d)
{
    if (d->trust_due_ms == 0)
        return INT64_MAX;
    if (zdm_boot_ms(d->config.clock) < d->trust_due_ms)
        return d->trust_due_ms;
    release_orders(d);
    return INT64_MAX;
}

void trust_session_ended(struct agent_driver *d)
{
    for (size_t i = 0; i < d->n_waiting; i++)
        zdm_envelope_fini(&d->waiting[i]);
    d->n_waiting = 0;
    d->trust_due_ms = 0;
}

enum zdm_code trust_allows(const struct agent_driver *d, const struct agent_op *op, struct zdm_error *err)
{
    bool changes = op->kind == AGENT_OP_STORE_PLAN || op->kind == AGENT_OP_ACCEPT || op->kind == AGENT_OP_RUN;
    if (changes && d->rereads)
        return zdm_error_set(err, ZDM_REFUSED, "the journal is read anew under trust file version %u", version_held(d));
    if (!changes || d->journal_trust <= version_held(d))
        return ZDM_OK;
    (void)zdm_error_set(err, ZDM_REFUSED, "this shard has seen trust file version %u and this agent holds version %u",
                        d->journal_trust, version_held(d));
    return zdm_error_hint(err, "It comes from the coordinator, or: zdm-agent trust update FILE --data DIR.");
}
