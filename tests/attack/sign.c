/*
 * sign.c - who is who in the world that is attacked, and what they sign.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/os/crypto.h"
#include "common/runbook/runbook.h"
#include "tests/attack/private.h"

enum { DAY_MS = 86400000 };

/* ---- People ---- */

static void make_key(struct world *w, struct zdm_signing_key *out)
{
    uint8_t seed[32];
    world_bytes(w, seed, sizeof seed);
    zdm_signing_key_make(out, seed);
}

static void add_person(struct zdm_trust *trust, const struct zdm_signing_key *key, const char *name, unsigned roles)
{
    struct zdm_person *person = &trust->people[trust->n_people++];
    person->public_key = key->public_key;
    person->roles = roles;
    zdm_copy_text(person->name, sizeof person->name, name);
}

static void fill_trust(const struct world *w, struct zdm_trust *trust, uint32_t version)
{
    static const char *const names[APPROVERS] = {"anna", "arno", "asta", "axel", "alma"};
    zdm_copy_text(trust->fleet_name, sizeof trust->fleet_name, "attacked");
    trust->version = version;
    for (; trust->n_roots < ROOTS; trust->n_roots++)
        trust->roots[trust->n_roots] = w->root[trust->n_roots].public_key;
    trust->root_threshold = 2;
    trust->coordinators[0] = w->coordinator.public_key;
    trust->n_coordinators = 1;
    trust->approvals_min = 2;
    trust->four_eyes = true;
    trust->people = calloc(16, sizeof *trust->people);
    if (trust->people == NULL)
        world_fail("out of memory");
    add_person(trust, &w->olga, "olga", ZDM_ROLE_OPERATOR | ZDM_ROLE_APPROVER);
    add_person(trust, &w->vera, "vera", ZDM_ROLE_VIEWER);
    if (version < 3)
        add_person(trust, &w->omar, "omar", ZDM_ROLE_OPERATOR);
    for (size_t i = 0; version < 3 && i < APPROVERS - (version == 2); i++)
        add_person(trust, &w->approver[i], names[i], ZDM_ROLE_APPROVER);
    if (version == 1)
        add_person(trust, &w->fred, "fred", ZDM_ROLE_OPERATOR | ZDM_ROLE_APPROVER);
    if (version == 3) {
        add_person(trust, &w->fresh[0], "finn", ZDM_ROLE_APPROVER);
        add_person(trust, &w->fresh[1], "fenja", ZDM_ROLE_APPROVER);
    }
}

/* The chain one version longer, signed by two of three roots. */
static void lengthen(struct world *w, uint32_t version)
{
    struct zdm_envelope all[TRUST_VERSIONS * 2];
    const struct zdm_trust_chain *from = &w->chain[version - 2];
    struct zdm_error err;
    size_t n = from->n_envelopes;
    memcpy(all, from->envelopes, n * sizeof *all);
    for (size_t i = 0; i < 2; i++) {
        struct zdm_buffer body = ZDM_BUFFER_INIT;
        zdm_trust_encode(&w->trust[version - 1], &body);
        all[n + i] = world_sign(&w->root[i], &w->fleet, ZDM_SIGNED_TRUST, &body);
    }
    if (zdm_trust_chain_verify(w->crypto, all, n + 2, &w->chain[version - 1], &err) != ZDM_OK)
        world_fail("trust version %u: %s", version, err.message);
    zdm_envelope_fini(&all[n]);
    zdm_envelope_fini(&all[n + 1]);
}

void world_make_people(struct world *w)
{
    struct zdm_signing_key *const keys[] = {&w->olga,     &w->omar,     &w->vera,     &w->fred,
                                            &w->fresh[0], &w->fresh[1], &w->stranger, &w->own_agent,
                                            &w->root[0],  &w->root[1],  &w->root[2],  &w->revoked_agent};
    struct zdm_error err;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        make_key(w, keys[i]);
    for (size_t i = 0; i < APPROVERS; i++)
        make_key(w, &w->approver[i]);
    for (uint32_t v = 1; v <= TRUST_VERSIONS; v++)
        fill_trust(w, &w->trust[v - 1], v);
    if (zdm_trust_chain_start(w->crypto, &w->trust[0], (const struct zdm_signing_key *[]){&w->root[0], &w->root[1]}, 2,
                              &w->chain[0], &err) != ZDM_OK)
        world_fail("%s", err.message);
    w->fleet = w->chain[0].fleet;
    for (uint32_t v = 2; v <= TRUST_VERSIONS; v++)
        lengthen(w, v);
}

const struct zdm_trust *world_trust(const struct world *w)
{
    return &w->trust[w->version - 1];
}

/* ---- Plans ---- */

static const char *const runbooks[PLANS] = {
    [PLAN_ATTACK] = "---\nid: attack\nshards: tier=gold\ngrace: 72h\napprovals: {contract: 2}\n---\n# One way\n"
                    "## Phase 1: Expand\n```sql\nALTER TABLE users ADD COLUMN full_name text;\n```\n"
                    "## Phase 2: Migrate\n```sql {name=fill}\n"
                    "UPDATE users SET full_name = upper(name) WHERE full_name IS NULL;\n```\n"
                    "```sql\nCREATE INDEX users_full_name ON users (full_name);\n```\n"
                    "## Phase 3: Switch\n```flag\nkey: users-full-name\nrollout: [100%]\nsoak: 0s\n```\n"
                    "## Phase 4: Contract\n```sql\nALTER TABLE users DROP COLUMN name;\n```\n",
    [PLAN_OTHER] = "---\nid: other\nshards: tier=gold\n---\n# Another\n## Phase 1: Expand\n```sql\n"
                   "ALTER TABLE orders ADD COLUMN note text;\n```\n",
    [PLAN_SILVER] = "---\nid: silver\nshards: tier=silver\n---\n# For others\n## Phase 1: Expand\n```sql\n"
                    "ALTER TABLE users ADD COLUMN silver text;\n```\n",
    [PLAN_EVIL] = "---\nid: evil\nshards: tier=gold\n---\n# Of nobody\n## Phase 1: Expand\n```sql\n"
                  "ALTER TABLE users ADD COLUMN evil text;\n```\n",
};

static void make_plan(struct world *w, struct signed_plan *out, const char *runbook)
{
    struct zdm_notes *notes = NULL;
    struct zdm_error err;
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    if (zdm_runbook_compile("runbook.md", runbook, strlen(runbook), &out->plan, &notes, &err) != ZDM_OK)
        world_fail("%s", err.message);
    if (out->plan == NULL)
        world_fail("the runbook has errors: %s", notes->findings[0].message);
    zdm_plan_encode(w->crypto, out->plan, &body);
    out->envelope = world_sign(&w->olga, &w->fleet, ZDM_SIGNED_PLAN, &body);
    zdm_notes_encode(notes, &out->notes);
    zdm_notes_free(notes);
}

void world_make_plans(struct world *w)
{
    for (size_t i = 0; i < PLANS; i++)
        make_plan(w, &w->plans[i], runbooks[i]);
}

/* ---- Signed things ---- */

struct zdm_envelope world_sign(const struct zdm_signing_key *key, const struct zdm_id *fleet, enum zdm_signed_type type,
                               struct zdm_buffer *body)
{
    struct zdm_envelope out = {.bytes = NULL};
    struct zdm_error err;
    if (body->failed ||
        zdm_signed_make(zdm_crypto_sodium(), key, fleet, type, body->data, body->len, &out, &err) != ZDM_OK)
        world_fail("cannot sign");
    zdm_buffer_fini(body);
    return out;
}

struct zdm_approval world_approval(struct world *w, enum zdm_approval_action action, uint32_t phase)
{
    const struct zdm_plan *plan = w->plans[PLAN_ATTACK].plan;
    struct zdm_approval a = {.phase = phase,
                             .action = action,
                             .plan_hash = plan->hash,
                             .trust_version = w->version,
                             .issued_at_ms = world_now(),
                             .expires_at_ms = world_now() + DAY_MS,
                             .nonce = world_nonce(w)};
    zdm_copy_text(a.migration, sizeof a.migration, plan->id);
    if (phase > 0 && action != ZDM_APPROVE_UNDO)
        a.phase_digest = plan->phases[phase - 1].digest;
    return a;
}

struct zdm_undo_order world_undo_order(struct world *w, uint32_t to_phase)
{
    const struct zdm_plan *plan = w->plans[PLAN_ATTACK].plan;
    struct zdm_undo_order order = {.to_phase = to_phase,
                                   .plan_hash = plan->hash,
                                   .nonce = world_nonce(w),
                                   .issued_at_ms = world_now(),
                                   .expires_at_ms = world_now() + DAY_MS};
    zdm_copy_text(order.migration, sizeof order.migration, plan->id);
    return order;
}

struct zdm_envelope world_sign_approval(const struct world *w, const struct zdm_signing_key *key,
                                        const struct zdm_approval *approval)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    zdm_approval_encode(approval, &body);
    return world_sign(key, &w->fleet, ZDM_SIGNED_APPROVAL, &body);
}

struct zdm_envelope world_sign_undo(const struct world *w, const struct zdm_signing_key *key,
                                    const struct zdm_undo_order *order)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    zdm_undo_order_encode(order, &body);
    return world_sign(key, &w->fleet, ZDM_SIGNED_UNDO_ORDER, &body);
}

struct zdm_envelope world_sign_request(const struct world *w, const struct zdm_signing_key *key,
                                       const struct zdm_request *request)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    zdm_request_encode(request, &body);
    return world_sign(key, &w->fleet, ZDM_SIGNED_REQUEST, &body);
}
