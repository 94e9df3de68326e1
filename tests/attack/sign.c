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

#define ATTACK_BEGINS                                                                                                  \
    "## Phase 1: Expand\n```sql\nALTER TABLE users ADD COLUMN full_name text;\n```\n"                                  \
    "## Phase 2: Migrate\n```sql {name=fill}\n"                                                                        \
    "UPDATE users SET full_name = upper(name) WHERE full_name IS NULL;\n```\n"                                         \
    "```sql\nCREATE INDEX users_full_name ON users (full_name);\n```\n"                                                \
    "## Phase 3: Switch\n```flag\nkey: users-full-name\nrollout: [100%]\nsoak: 0s\n```\n"

static const char *const runbooks[PLANS] = {
    [PLAN_ATTACK] =
        "---\nid: attack\nshards: tier=gold\ngrace: 72h\napprovals: {contract: 2}\n---\n# One way\n" ATTACK_BEGINS
        "## Phase 4: Contract\n```sql\nALTER TABLE users DROP COLUMN name;\n```\n",
    [PLAN_OTHER] = "---\nid: other\nshards: tier=gold\n---\n# Another\n## Phase 1: Expand\n```sql\n"
                   "ALTER TABLE orders ADD COLUMN note text;\n```\n",
    [PLAN_SILVER] = "---\nid: silver\nshards: tier=silver\n---\n# For others\n## Phase 1: Expand\n```sql\n"
                    "ALTER TABLE users ADD COLUMN silver text;\n```\n",
    [PLAN_EVIL] = "---\nid: evil\nshards: tier=gold\n---\n# Of nobody\n## Phase 1: Expand\n```sql\n"
                  "ALTER TABLE users ADD COLUMN evil text;\n```\n",
    [PLAN_KINDS] = "---\nid: kinds\nshards: tier=gold\ngrace: 72h\napprovals: {contract: 2}\n---\n# Of all kinds\n"
                   "## Phase 1: Expand\n```sql\n"
                   "CREATE TYPE mood AS ENUM ('glad');\n"
                   "CREATE TABLE notes (id bigint PRIMARY KEY, item_id bigint REFERENCES items (id), mood mood);\n"
                   "ALTER TYPE grade ADD VALUE 'c';\n"
                   "ALTER TABLE items ADD COLUMN code uuid DEFAULT gen_random_uuid();\n"
                   "ALTER TABLE items ADD CONSTRAINT positive CHECK (price > 0);\n"
                   "ALTER TABLE items ADD CONSTRAINT items_name_key UNIQUE (name);\n"
                   "ALTER TABLE items ADD CONSTRAINT items_shelf FOREIGN KEY (shelf_id) REFERENCES shelves (id);\n"
                   "ALTER TABLE items ALTER label TYPE text;\n"
                   "ALTER TABLE items ALTER price SET DEFAULT 5;\n"
                   "ALTER TABLE items SET (fillfactor = 90);\n"
                   "ALTER TABLE items ALTER label SET STATISTICS 200;\n"
                   "ALTER TABLE items ALTER shelf_id DROP NOT NULL;\n"
                   "COMMENT ON TABLE items IS 'things';\n"
                   "COMMENT ON COLUMN items.code IS 'of the thing';\n"
                   "CREATE TABLE log_2 (id bigint NOT NULL, at date NOT NULL);\n"
                   "ALTER TABLE log ATTACH PARTITION log_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');\n"
                   "CREATE INDEX log_id ON log (id);\n```\n"
                   "## Phase 2: Migrate\n```sql\n"
                   "REINDEX TABLE items;\n"
                   "DELETE FROM trials WHERE done;\n"
                   "ALTER TABLE shelves ADD PRIMARY KEY (place);\n```\n"
                   "```sql {no-sync}\nUPDATE trials SET label = upper(label);\n```\n"
                   "```wait\nfor: 1s\nuntil: SELECT count(*) > 0 FROM public.items\nevery: 1s\n```\n"
                   "## Phase 3: Contract\n"
                   "```sql {as-is lock=short}\nCREATE VIEW cheap AS SELECT id FROM items WHERE price < 3;\n```\n"
                   "```sql {check}\nSELECT 1 WHERE to_regclass('public.cheap') IS NULL;\n```\n"
                   "```sql {rollback}\nDROP VIEW public.cheap;\n```\n"
                   "```sql {as-is lock=long}\nCREATE INDEX CONCURRENTLY items_hash ON items USING hash (label);\n```\n"
                   "```sql {check}\nSELECT 1 WHERE to_regclass('public.items_hash') IS NULL;\n```\n"
                   "```sql {rollback}\nDROP INDEX public.items_hash;\n```\n"
                   "```sql\n"
                   "ALTER TABLE items DROP CONSTRAINT sane;\n"
                   "DROP INDEX items_price;\n"
                   "DROP TABLE gone;\n"
                   "ALTER TABLE log DETACH PARTITION log_1;\n```\n",
    [PLAN_AMENDED] =
        "---\nid: attack\nshards: tier=gold\ngrace: 72h\napprovals: {contract: 3}\n---\n# One way\n" ATTACK_BEGINS
        "## Phase 4: Contract\n```sql\nALTER TABLE users DROP COLUMN name;\n```\n",
};

const char *world_runbook(enum plan_name name)
{
    return runbooks[name];
}

struct zdm_plan *world_compile(const char *runbook, struct zdm_buffer *out_notes)
{
    struct zdm_notes *notes = NULL;
    struct zdm_plan *plan = NULL;
    struct zdm_error err;
    if (zdm_runbook_compile("runbook.md", runbook, strlen(runbook), &plan, &notes, &err) != ZDM_OK)
        world_fail("%s", err.message);
    for (size_t i = 0; plan == NULL && i < notes->n_findings; i++)
        if (notes->findings[i].level == ZDM_LEVEL_ERROR)
            world_fail("the runbook has errors: line %u: %s", notes->findings[i].line, notes->findings[i].message);
    if (out_notes != NULL)
        zdm_notes_encode(notes, out_notes);
    zdm_notes_free(notes);
    return plan;
}

struct zdm_envelope world_sign_plan(const struct world *w, struct zdm_plan *plan)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    zdm_plan_encode(w->crypto, plan, &body);
    return world_sign(&w->olga, &w->fleet, ZDM_SIGNED_PLAN, &body);
}

void world_make_plans(struct world *w)
{
    for (size_t i = 0; i < PLANS; i++) {
        w->plans[i].plan = world_compile(runbooks[i], &w->plans[i].notes);
        w->plans[i].envelope = world_sign_plan(w, w->plans[i].plan);
    }
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
