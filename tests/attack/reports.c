/*
 * reports.c - as an agent: of another shard, revoked, with a token that was used; and as people who have left. What an
 * agent says counts for its own shard and the migrations that this shard is part of, and for nothing else.
 */
#include <stdlib.h>
#include <string.h>

#include "common/os/crypto.h"
#include "common/session/internal.h"
#include "tests/attack/attack.h"

enum { ANSWER_MS = 3000, AT_ONCE = 50 };

static bool dial_agent(struct world *w, struct wire *wire, const struct zdm_signing_key *key)
{
    return wire_dial(wire, w->port, ZDM_SESSION_AGENT, key, &w->fleet, world_trust(w), false);
}

/* ---- Reports ---- */

static void fill_report(struct world *w, struct zdm_report *report, struct zdm_migration_report *mr, uint64_t number)
{
    static const enum zdm_agent_state states[] = {ZDM_AGENT_RESTING, ZDM_AGENT_STOPPED, ZDM_AGENT_UNSURE,
                                                  ZDM_AGENT_WORKING, ZDM_AGENT_WAITING, ZDM_AGENT_PAUSED};
    *report = (struct zdm_report){.number = number,
                                  .connected = true,
                                  .writable = true,
                                  .engine = ZDM_ENGINE_POSTGRESQL,
                                  .timeline = 1 + world_below(w, 3),
                                  .trust_version = w->version,
                                  .migrations = mr,
                                  .n_migrations = 1};
    zdm_copy_text(report->identity, sizeof report->identity, "1/1/1");
    zdm_copy_text(report->release, sizeof report->release, "0.1.0");
    *mr = (struct zdm_migration_report){.state = states[world_below(w, 6)], .proven = world_below(w, 4) != 0};
    zdm_copy_text(mr->migration, sizeof mr->migration, "attack");
    mr->proven_phase = world_below(w, 6);
    mr->undone = world_below(w, 3) == 0;
    mr->purged = world_below(w, 3) == 0;
    mr->failed_attempt = world_below(w, 3);
    mr->equivocation = world_below(w, 5) == 0;
}

/* Waits until the last report was acknowledged. */
static void wait_for_ack(struct wire *wire, uint64_t number)
{
    struct zdm_frame frame;
    bool acked = false;
    while (!acked && wire_read(wire, ANSWER_MS, &frame) == WIRE_FRAME) {
        acked = frame.type == ZDM_FRAME_ACK && frame.u.ack.number >= number;
        if (frame.type == ZDM_FRAME_ORDERS)
            count_accepted("agents: reports about another shard's migration", "an order came back");
        zdm_frame_fini(&frame);
    }
    if (!acked)
        world_fail("a report is not acknowledged");
}

void attack_reports(struct world *w, unsigned n)
{
    static const char class_name[] = "agents: reports about another shard's migration";
    struct wire wire;
    uint64_t before = world_position(w);
    if (!dial_agent(w, &wire, &w->own_agent))
        world_fail("shard-2's agent cannot dial");
    for (uint64_t i = 1; i <= n; i++) {
        struct zdm_migration_report mr;
        struct zdm_frame frame = {.type = ZDM_FRAME_REPORT};
        fill_report(w, &frame.u.report, &mr, i);
        (void)wire_seal(&wire, &frame);
        count_sent(class_name, 1);
        if (i % AT_ONCE == 0 || i == n)
            wait_for_ack(&wire, i);
    }
    count_control("agents whose reports are acknowledged", true, "");
    if (world_position(w) != before)
        count_accepted(class_name, "the log grew from %lu to %lu", before, world_position(w));
    wire_close(&wire);
}

/* ---- Plans of others ---- */

static void ask_for_plans(struct world *w)
{
    static const char class_name[] = "agents: asking for another shard's plan";
    struct zdm_frame ask = {.type = ZDM_FRAME_PLAN_REQUEST}, frame;
    struct wire wire;
    if (!dial_agent(w, &wire, &w->own_agent))
        world_fail("shard-2's agent cannot dial");
    ask.u.piece.hash = w->plans[PLAN_ATTACK].plan->hash;
    for (unsigned i = 0; i < AT_ONCE; i++) {
        ask.u.piece.offset = i % 2 == 0 ? 0 : world_below(w, 4000);
        (void)wire_seal(&wire, &ask);
        count_sent(class_name, 1);
    }
    while (wire_read(&wire, 200, &frame) == WIRE_FRAME) {
        if (frame.type == ZDM_FRAME_PLAN_PIECE && frame.u.piece.n > 0)
            count_accepted(class_name, "%zu bytes came", frame.u.piece.n);
        zdm_frame_fini(&frame);
    }
    wire_close(&wire);
}

/* ---- Revoked ---- */

/* Its key is nobody's any more: such a session may ask to join, and no more. */
static void dial_revoked(struct world *w)
{
    static const char class_name[] = "agents: revoked";
    struct zdm_migration_report mr;
    struct zdm_frame frame = {.type = ZDM_FRAME_REPORT};
    for (unsigned i = 0; i < 20; i++) {
        struct wire wire;
        count_sent(class_name, 1);
        if (!dial_agent(w, &wire, &w->revoked_agent))
            continue;
        fill_report(w, &frame.u.report, &mr, 1);
        (void)wire_seal(&wire, &frame);
        if (!wire_is_closed(&wire, ANSWER_MS))
            count_accepted(class_name, "a report was taken");
        wire_close(&wire);
    }
}

/* ---- Joining ---- */

void attack_joins(struct world *w)
{
    static const char class_name[] = "agents: joining with used, invented, changed tokens";
    struct zdm_token token, changed;
    uint64_t before;
    world_enrol(w, "shard-4", "tier=silver", &token);
    count_control("agents that join with their token", world_join(w, &token, &w->fresh[0]), "shard-4");
    before = world_position(w);
    for (unsigned i = 0; i < 60; i++) {
        changed = token;
        if (i % 3 == 1)
            changed.secret[world_below(w, 16)] ^= (uint8_t)(1u << world_below(w, 8));
        if (i % 3 == 2)
            world_bytes(w, changed.secret, sizeof changed.secret);
        count_sent(class_name, 1);
        if (world_join(w, &changed, i % 2 == 0 ? &w->stranger : &w->revoked_agent))
            count_accepted(class_name, "somebody joined as shard-4");
    }
    ask_for_plans(w);
    dial_revoked(w);
    if (world_position(w) != before)
        count_accepted(class_name, "the log grew from %lu to %lu", before, world_position(w));
}

/* ---- Who has left ---- */

void attack_former(struct world *w)
{
    static const char class_name[] = "people: sessions of those whom the trust file names no more";
    const struct zdm_signing_key *const gone[] = {&w->fred, &w->approver[APPROVERS - 1], &w->stranger, &w->root[0]};
    for (unsigned i = 0; i < 40; i++) {
        struct wire wire;
        count_sent(class_name, 1);
        if (!world_dial(w, &wire, gone[i % 4]))
            continue;
        count_accepted(class_name, "person %u was let in", i % 4);
        wire_close(&wire);
    }
}
