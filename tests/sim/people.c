/*
 * people.c - see people.h.
 */
#include "tests/sim/people.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/os/crypto.h"
#include "proto/codec.h"
#include "proto/signed.h"

static const char *const names[PEOPLE] = {"ann", "bob", "cat", "dan", "eve"};

static const uint32_t roles[PEOPLE_TRUSTS][PEOPLE] = {
    {ZDM_ROLE_OPERATOR, ZDM_ROLE_OPERATOR | ZDM_ROLE_APPROVER, ZDM_ROLE_APPROVER, ZDM_ROLE_APPROVER,
     ZDM_ROLE_OPERATOR | ZDM_ROLE_APPROVER},
    {ZDM_ROLE_OPERATOR | ZDM_ROLE_APPROVER, ZDM_ROLE_OPERATOR | ZDM_ROLE_APPROVER, ZDM_ROLE_APPROVER, 0,
     ZDM_ROLE_VIEWER},
};

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "simulator: %s\n", what);
    abort();
}

const char *people_name(enum person person)
{
    return names[person];
}

void people_make_key(struct world *world, struct zdm_signing_key *out_key)
{
    uint8_t seed[32];
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)world_random(world);
    zdm_signing_key_make(out_key, seed);
    out_key->id = zdm_key_id(sim_crypto(), &out_key->public_key);
}

/* ---- The trust file ---- */

static void fill_trust(const struct people *people, unsigned version, const struct zdm_signing_key *coordinator,
                       struct zdm_person out_people[PEOPLE], struct zdm_trust *out)
{
    *out = (struct zdm_trust){.fleet_name = "sim",
                              .version = version + 1,
                              .n_roots = 1,
                              .root_threshold = 1,
                              .n_coordinators = 1,
                              .people = out_people,
                              .approvals_min = people->approvals_min,
                              .four_eyes = people->four_eyes};
    out->roots[0] = people->root.public_key;
    out->coordinators[0] = coordinator->public_key;
    for (unsigned i = 0; i < PEOPLE; i++) {
        if (people->roles[version][i] == 0)
            continue;
        struct zdm_person *person = &out_people[out->n_people++];
        *person = (struct zdm_person){.public_key = people->keys[i].public_key, .roles = people->roles[version][i]};
        zdm_copy_text(person->name, sizeof person->name, names[i]);
    }
}

static void sign(const struct people *people, const struct zdm_signing_key *key, enum zdm_signed_type type,
                 const struct zdm_buffer *body, struct zdm_envelope *out)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    must(!body->failed &&
             zdm_signed_make(sim_crypto(), key, &people->fleet, type, body->data, body->len, out, &err) == ZDM_OK,
         "could not sign");
}

static void make_trusts(struct people *people, const struct zdm_signing_key *coordinator)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_person persons[PEOPLE];
    struct zdm_trust trust;
    const struct zdm_signing_key *root[] = {&people->root};
    fill_trust(people, 0, coordinator, persons, &trust);
    must(zdm_trust_chain_start(sim_crypto(), &trust, root, 1, &people->chain, &err) == ZDM_OK, "no trust file");
    people->fleet = people->chain.fleet;
    zdm_trust_chain_write(&people->chain, &people->trusts[0]);
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_envelope envelope;
    fill_trust(people, 1, coordinator, persons, &trust);
    zdm_trust_encode(&trust, &body);
    sign(people, &people->root, ZDM_SIGNED_TRUST, &body, &envelope);
    zdm_buffer_append(&people->trusts[1], people->trusts[0].data, people->trusts[0].len);
    zdm_envelope_flatten(&envelope, &people->trusts[1]);
    zdm_envelope_fini(&envelope);
    zdm_buffer_fini(&body);
    for (unsigned i = 0; i < PEOPLE_TRUSTS; i++)
        zdm_hash_bytes(sim_crypto(), people->trust_digests[i].bytes, sizeof people->trust_digests[i].bytes,
                       people->trusts[i].data, people->trusts[i].len);
}

void people_init(struct people *people, struct world *world, const struct zdm_signing_key *coordinator)
{
    memset(people, 0, sizeof *people);
    people->world = world;
    people->approvals_min = 1 + (uint32_t)world_chance(world, 30);
    people->four_eyes = world_chance(world, 50);
    memcpy(people->roles, roles, sizeof roles);
    people_make_key(world, &people->root);
    for (unsigned i = 0; i < PEOPLE; i++)
        people_make_key(world, &people->keys[i]);
    make_trusts(people, coordinator);
}

void people_fini(struct people *people)
{
    for (size_t i = 0; i < people->n_approvals; i++) {
        zdm_approval_fini(&people->approvals[i].approval);
        zdm_envelope_fini(&people->approvals[i].envelope);
    }
    for (size_t i = 0; i < people->n_undos; i++) {
        zdm_undo_order_fini(&people->undos[i].order);
        zdm_envelope_fini(&people->undos[i].envelope);
    }
    for (unsigned i = 0; i < PEOPLE_TRUSTS; i++)
        zdm_buffer_fini(&people->trusts[i]);
    zdm_trust_chain_fini(&people->chain);
}

bool people_may(const struct people *people, uint32_t version, enum person person, enum zdm_role role)
{
    return person < PEOPLE && version >= 1 && version <= PEOPLE_TRUSTS &&
           (people->roles[version - 1][person] & (uint32_t)role) != 0;
}

enum person people_find(const struct people *people, const struct zdm_id *key_id)
{
    enum person person = ANN;
    while (person < PEOPLE && !zdm_id_equal(&people->keys[person].id, key_id))
        person++;
    return person;
}

/* ---- The ledger ---- */

static void draw_nonce(struct people *people, struct zdm_id *out)
{
    for (size_t i = 0; i < sizeof out->bytes; i++)
        out->bytes[i] = (uint8_t)world_random(people->world);
}

static char **one_shard(const char *shard, size_t *out_n)
{
    *out_n = shard != NULL;
    if (shard == NULL)
        return NULL;
    char **shards = malloc(sizeof *shards);
    must(shards != NULL, "out of memory");
    shards[0] = zdm_strdup(shard);
    return shards;
}

const struct people_approval *people_approve(struct people *people, enum person by, unsigned plan,
                                             const struct zdm_approval *approval, const char *shard)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    if (people->n_approvals == PEOPLE_UNDER_MAX)
        return NULL;
    struct people_approval *row = &people->approvals[people->n_approvals++];
    *row = (struct people_approval){.approval = *approval, .by = by, .plan = plan};
    row->approval.shards = one_shard(shard, &row->approval.n_shards);
    draw_nonce(people, &row->approval.nonce);
    zdm_approval_encode(&row->approval, &body);
    sign(people, &people->keys[by], ZDM_SIGNED_APPROVAL, &body, &row->envelope);
    zdm_buffer_fini(&body);
    return row;
}

const struct people_undo *people_undo(struct people *people, enum person by, unsigned plan,
                                      const struct zdm_undo_order *order, const char *shard)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    if (people->n_undos == PEOPLE_UNDER_MAX)
        return NULL;
    struct people_undo *row = &people->undos[people->n_undos++];
    *row = (struct people_undo){.order = *order, .by = by, .plan = plan};
    row->order.shards = one_shard(shard, &row->order.n_shards);
    draw_nonce(people, &row->order.nonce);
    zdm_undo_order_encode(&row->order, &body);
    sign(people, &people->keys[by], ZDM_SIGNED_UNDO_ORDER, &body, &row->envelope);
    zdm_buffer_fini(&body);
    return row;
}

const struct people_approval *people_find_approval(const struct people *people, const struct zdm_id *nonce)
{
    for (size_t i = 0; i < people->n_approvals; i++)
        if (zdm_id_equal(&people->approvals[i].approval.nonce, nonce))
            return &people->approvals[i];
    return NULL;
}

const struct people_undo *people_find_undo(const struct people *people, const struct zdm_id *nonce)
{
    for (size_t i = 0; i < people->n_undos; i++)
        if (zdm_id_equal(&people->undos[i].order.nonce, nonce))
            return &people->undos[i];
    return NULL;
}
