/*
 * trust.c - the trust file in force, and how a newer one takes its place (protocol 6).
 *
 * trust_check.c says whether an uploaded chain is the next version. Then, in this order:
 *
 *   decided    trust_adopted stands in the group; from here on the group's other inputs are judged by the new file
 *   kept       the file is replaced on disk
 *   committed  the event is in the log
 *   settled    the chain in memory is replaced, agents get the new versions, every session is looked at again
 *
 * A crash before `kept` leaves everything as it was; one between `kept` and `committed` a file that is newer than the
 * log, which the next start adopts (start.c). A commit that fails gives the old file back.
 *
 * d->next is the newer chain from `decided` to `settled`. Which of the two is in force is never a flag: it is the one
 * whose version the state has, so that a group that is taken again needs no bookkeeping.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/app/private.h"

/* ---- Which one is in force ---- */

static bool is_adopted(const struct coord_driver *d)
{
    return d->have_next && d->state->trust_version == d->next.trust.version &&
           zdm_hash_equal(&d->state->trust_digest, &d->next.hash);
}

const struct zdm_trust_chain *trust_in_force(const struct coord_driver *d)
{
    return is_adopted(d) ? &d->next : &d->chain;
}

static bool make_authority(const struct coord_driver *d, const struct zdm_trust *trust, struct zdm_authority *out)
{
    *out = (struct zdm_authority){
        .version = trust->version, .approvals_min = trust->approvals_min, .four_eyes = trust->four_eyes};
    out->people = calloc(trust->n_people + 1, sizeof *out->people);
    if (out->people == NULL)
        return false;
    for (; out->n_people < trust->n_people; out->n_people++) {
        const struct zdm_person *person = &trust->people[out->n_people];
        struct zdm_authority_person *known = &out->people[out->n_people];
        known->key_id = zdm_key_id(d->config.crypto, &person->public_key);
        known->roles = person->roles;
        (void)zdm_copy_text(known->name, sizeof known->name, person->name);
    }
    return true;
}

enum zdm_code trust_follow(struct coord_driver *d, struct zdm_error *err)
{
    const struct zdm_trust *trust = &trust_in_force(d)->trust;
    struct zdm_authority authority;
    if (d->view.authority.version == trust->version)
        return ZDM_OK;
    if (!make_authority(d, trust, &authority))
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    zdm_authority_fini(&d->view.authority);
    d->view.authority = authority;
    return ZDM_OK;
}

/* ---- Decided, kept, committed ---- */

void trust_decided(struct coord_driver *d, struct zdm_trust_chain *chain)
{
    if (d->have_next)
        zdm_trust_chain_fini(&d->next);
    d->next = *chain;
    d->have_next = true;
    d->next_kept = false;
    *chain = (struct zdm_trust_chain){.n_envelopes = 0};
}

static enum zdm_code write_chain(struct coord_driver *d, const struct zdm_trust_chain *chain, struct zdm_error *err)
{
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    enum zdm_code code = ZDM_OK;
    if (d->config.keep_trust == NULL)
        return ZDM_OK;
    zdm_trust_chain_write(chain, &bytes);
    if (bytes.failed)
        code = zdm_error_set(err, ZDM_NOMEM, "out of memory");
    else
        code = d->config.keep_trust(d->config.ctx, bytes.data, bytes.len, err);
    zdm_buffer_fini(&bytes);
    return code;
}

enum zdm_code trust_keep(struct coord_driver *d, struct zdm_error *err)
{
    if (!is_adopted(d) || d->next_kept)
        return ZDM_OK;
    enum zdm_code code = write_chain(d, &d->next, err);
    if (code != ZDM_OK) {
        zdm_error_wrap(err, "the trust file could not be written");
        return zdm_error_hint(err, "Nothing was changed. The coordinator must be able to write its trust file and the "
                                   "folder that it is in.");
    }
    d->next_kept = true;
    return ZDM_OK;
}

void trust_give_up(struct coord_driver *d)
{
    struct zdm_error err;
    if (!d->have_next)
        return;
    if (d->next_kept && write_chain(d, &d->chain, &err) != ZDM_OK)
        driver_notice(d, &(struct coord_notice){.level = ZDM_LOG_ERROR,
                                                .message = "the trust file is newer than the log: the next start "
                                                           "adopts it",
                                                .reason = err.message});
    zdm_trust_chain_fini(&d->next);
    d->have_next = d->next_kept = false;
}

/* ---- Settled ---- */

/* What the agent last said that it holds; 0 while it has not spoken: then it gets all. */
static uint32_t held_by(const struct coord_driver *d, const struct coord_peer *peer)
{
    const struct coord_heard *heard = coord_view_find(&d->view, &peer->key_id);
    return heard != NULL && heard->connected ? heard->report.trust_version : 0;
}

void trust_settle(struct coord_driver *d)
{
    struct zdm_hash public_key;
    if (!d->have_next)
        return;
    if (!is_adopted(d)) {
        trust_give_up(d);
        return;
    }
    zdm_trust_chain_fini(&d->chain);
    d->chain = d->next;
    d->next = (struct zdm_trust_chain){.n_envelopes = 0};
    d->have_next = d->next_kept = false;
    d->recheck = true;
    d->dropped = !zdm_trust_coordinator(d->config.crypto, &d->chain.trust, &d->config.key->id, &public_key);
    for (struct coord_peer *peer = coord_hub_first(d->hub); peer != NULL; peer = peer->next)
        if (peer->kind == COORD_PEER_AGENT && !peer->closing)
            send_trust(d, peer, held_by(d, peer));
}

/* The new file has the say about everybody who is here. Roles are looked up at each request: who stays has the new
 * ones from the next request on. */
static void check_peer(struct coord_driver *d, struct coord_peer *peer)
{
    if (peer->kind == COORD_PEER_PERSON) {
        const struct zdm_person *person = zdm_trust_person(d->config.crypto, &d->chain.trust, &peer->key_id);
        if (person != NULL) {
            (void)zdm_copy_text(peer->name, sizeof peer->name, person->name);
            return;
        }
        driver_notice(d, &(struct coord_notice){.level = ZDM_LOG_INFO,
                                                .message = "session closed: the trust file does not name this person "
                                                           "any more",
                                                .person = peer->name,
                                                .peer = peer->address});
        coord_hub_close(d->hub, peer, "the trust file in force does not name your key any more");
    } else if (peer->kind == COORD_PEER_AGENT) {
        const struct coord_agent *agent = coord_find_agent(d->state, &peer->key_id);
        if (agent == NULL || agent->revoked)
            coord_hub_close(d->hub, peer, "this agent's key was revoked");
    }
}

static void step_down(struct coord_driver *d)
{
    struct zdm_error err;
    zdm_error_set(&err, ZDM_DEPOSED,
                  "version %" PRIu32 " of the trust file does not name this coordinator's key: it steps down",
                  d->chain.trust.version);
    zdm_error_hint(&err, "Start the coordinator whose key the trust file names, on this log.");
    driver_notice(d, &(struct coord_notice){.level = ZDM_LOG_ERROR, .message = err.message, .reason = err.hint});
    for (struct coord_peer *peer = coord_hub_first(d->hub); peer != NULL; peer = peer->next)
        coord_hub_close(d->hub, peer, "this coordinator is no longer one of the fleet's");
    driver_end(d, &err);
}

void trust_recheck(struct coord_driver *d)
{
    if (!d->recheck)
        return;
    d->recheck = false;
    if (d->dropped) {
        step_down(d);
        return;
    }
    for (struct coord_peer *peer = coord_hub_first(d->hub); peer != NULL; peer = peer->next)
        if (!peer->closing)
            check_peer(d, peer);
}

bool trust_is_signed_by_operator(const struct coord_driver *d, const struct zdm_envelope *envelope)
{
    struct zdm_id signer;
    if (!zdm_signed_claims(envelope, &signer))
        return false;
    const struct zdm_person *person = zdm_trust_person(d->config.crypto, &trust_in_force(d)->trust, &signer);
    return person != NULL && (person->roles & (uint32_t)ZDM_ROLE_OPERATOR) != 0;
}
