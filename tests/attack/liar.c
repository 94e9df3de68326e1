/*
 * liar.c - see liar.h: the lying coordinator's side of the session, and how it is judged.
 */
#include "tests/attack/liar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/attack/private.h"

enum { DIAL_MS = 20000, ACCEPT_MS = 5000, SETTLE_MS = 15000, LEASE_MS = 60000, POLL_MS = 2 };

/* ---- Sessions ---- */

static bool greet(struct liar *l)
{
    struct zdm_id who;
    struct zdm_frame frame = {.type = ZDM_FRAME_WELCOME,
                              .u.welcome = {.epoch = l->epoch, .trust_version = l->w->version}};
    zdm_copy_text(frame.u.welcome.name, sizeof frame.u.welcome.name, "shard-1");
    zdm_copy_text(frame.u.welcome.release, sizeof frame.u.welcome.release, "0.1.0");
    return wire_greet(&l->wire, &l->w->coordinator, &l->w->fleet, &l->instance, &who) &&
           zdm_id_equal(&who, &l->w->agent) && wire_seal(&l->wire, &frame);
}

static void let_in(struct liar *l)
{
    const int64_t until = world_now() + DIAL_MS;
    do {
        wire_close(&l->wire);
        if (wire_accept(&l->wire, l->listener, 500) && greet(l))
            return;
    } while (world_now() < until);
    world_fail("the agent does not dial the lying coordinator");
}

void liar_begin(struct liar *l, struct world *w)
{
    *l = (struct liar){.w = w, .wire.fd = -1, .epoch = 1000, .generation = 1, .attempt = 100};
    l->instance = world_nonce(w);
    l->listener = wire_listen(w->lying_port);
    let_in(l);
}

void liar_end(struct liar *l)
{
    wire_close(&l->wire);
    close(l->listener);
    for (size_t i = 0; i < l->n_recorded; i++)
        zdm_envelope_fini(&l->recorded[i]);
    free(l->recorded);
    free(l->before);
}

void liar_restart_agent(struct liar *l)
{
    world_kill(&l->w->agent_pid);
    wire_close(&l->wire);
    world_start_agent(l->w);
    let_in(l);
}

/* ---- What the agent says ---- */

static void take_report(struct liar *l, const struct zdm_report *report)
{
    const struct zdm_frame ack = {.type = ZDM_FRAME_ACK, .u.ack = {.number = report->number, .lease_ms = LEASE_MS}};
    l->heard_trust = report->trust_version;
    for (size_t i = 0; i < report->n_migrations; i++)
        if (strcmp(report->migrations[i].migration, "attack") == 0)
            l->heard = report->migrations[i];
        else if (strcmp(report->migrations[i].migration, "kinds") == 0)
            l->heard_kinds = report->migrations[i];
    (void)wire_seal(&l->wire, &ack);
}

static const struct zdm_envelope *plan_of(const struct liar *l, const struct zdm_hash *hash)
{
    for (size_t i = 0; i < PLANS && l->served == NULL; i++)
        if (i != PLAN_EVIL && i != PLAN_AMENDED && zdm_hash_equal(&l->w->plans[i].plan->hash, hash))
            return &l->w->plans[i].envelope;
    return l->served != NULL ? l->served : &l->w->plans[PLAN_SILVER].envelope;
}

static void send_piece(struct liar *l, const struct zdm_piece *asked)
{
    struct zdm_buffer flat = ZDM_BUFFER_INIT;
    struct zdm_frame frame = {.type = ZDM_FRAME_PLAN_PIECE};
    zdm_envelope_flatten(plan_of(l, &asked->hash), &flat);
    l->plans_asked++;
    frame.u.piece.hash = asked->hash;
    frame.u.piece.total = (uint32_t)flat.len;
    frame.u.piece.offset = asked->offset < flat.len ? asked->offset : 0;
    frame.u.piece.bytes = flat.data + frame.u.piece.offset;
    frame.u.piece.n = flat.len - frame.u.piece.offset;
    (void)wire_seal(&l->wire, &frame);
    zdm_buffer_fini(&flat);
}

static void send_trust(struct liar *l, uint32_t from)
{
    const struct zdm_trust_chain *chain = &l->w->chain[l->w->version - 1];
    size_t first = from * 2 < chain->n_envelopes ? from * 2 : chain->n_envelopes; /* two roots signed each */
    const struct zdm_frame frame = {
        .type = ZDM_FRAME_TRUST, .u.envelopes = {.items = chain->envelopes + first, .n = chain->n_envelopes - first}};
    (void)wire_seal(&l->wire, &frame);
}

static void take_survey(struct liar *l, const struct zdm_frame *frame)
{
    if (frame->u.survey.id != l->survey_id || frame->u.survey.offset != 0)
        return;
    l->surveys++;
    l->survey_code = frame->u.survey.code;
}

void liar_serve(struct liar *l, int ms)
{
    const int64_t until = world_now() + ms;
    struct zdm_frame frame;
    int64_t left = ms;
    do {
        enum wire_got got = wire_read(&l->wire, (int)left, &frame);
        if (got == WIRE_CLOSED)
            let_in(l);
        if (got == WIRE_FRAME) {
            if (frame.type == ZDM_FRAME_REPORT)
                take_report(l, &frame.u.report);
            else if (frame.type == ZDM_FRAME_PLAN_REQUEST)
                send_piece(l, &frame.u.piece);
            else if (frame.type == ZDM_FRAME_SURVEY)
                take_survey(l, &frame);
            else if (frame.type == ZDM_FRAME_TRUST_REQUEST)
                send_trust(l, frame.u.trust_request.from_version);
            zdm_frame_fini(&frame);
        }
        left = until - world_now();
    } while (left > 0);
}

/* ---- What it is told ---- */

struct zdm_directive liar_directive(struct liar *l, enum zdm_mode mode, uint32_t goal)
{
    const struct zdm_plan *plan = l->w->plans[PLAN_ATTACK].plan;
    struct zdm_directive d = {.plan_hash = plan->hash,
                              .actor = l->w->agent,
                              .goal_phase = goal,
                              .mode = mode,
                              .attempt = ++l->attempt,
                              .fence = {.epoch = l->epoch, .instance = l->instance, .generation = ++l->generation}};
    zdm_copy_text(d.migration, sizeof d.migration, plan->id);
    zdm_copy_text(d.shard, sizeof d.shard, "shard-1");
    world_bytes(l->w, d.fence.anchor.bytes, sizeof d.fence.anchor.bytes);
    return d;
}

void liar_send_envelope(struct liar *l, const struct zdm_envelope *envelope)
{
    struct zdm_envelope copy = *envelope;
    const struct zdm_frame frame = {.type = ZDM_FRAME_ORDERS, .u.envelopes = {.items = &copy, .n = 1}};
    if (wire_seal(&l->wire, &frame))
        return;
    let_in(l);
    (void)wire_seal(&l->wire, &frame);
}

void liar_send(struct liar *l, const struct zdm_directive *d)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    zdm_directive_encode(d, &body);
    struct zdm_envelope envelope = world_sign(&l->w->coordinator, &l->w->fleet, ZDM_SIGNED_DIRECTIVE, &body);
    if (!ZDM_RESERVE(l->recorded, l->cap_recorded, l->n_recorded + 1))
        world_fail("out of memory");
    l->recorded[l->n_recorded++] = envelope;
    liar_send_envelope(l, &envelope);
}

static bool is_in_journal(struct liar *l, const struct zdm_directive *d)
{
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT 1 FROM zdm.migration WHERE migration = '%s' AND epoch = %lu AND generation = %lu",
             d->migration, d->fence.epoch, d->fence.generation);
    char *text = world_sql(l->w, sql);
    bool there = text[0] == '1';
    free(text);
    return there;
}

bool liar_order(struct liar *l, const struct zdm_directive *d)
{
    const int64_t until = world_now() + ACCEPT_MS;
    liar_send(l, d);
    do {
        liar_serve(l, POLL_MS);
        if (is_in_journal(l, d))
            return true;
    } while (world_now() < until);
    return false;
}

static bool is_quiet(const struct zdm_migration_report *mr)
{
    switch (mr->state) {
    case ZDM_AGENT_RESTING:
    case ZDM_AGENT_PAUSED:
    case ZDM_AGENT_STOPPED:
    case ZDM_AGENT_UNSURE:
    case ZDM_AGENT_OBSERVING:
        return true;
    case ZDM_AGENT_WAITING:
        return mr->wait == ZDM_WAIT_APPROVALS || mr->wait == ZDM_WAIT_GRACE;
    case ZDM_AGENT_BLIND:
    case ZDM_AGENT_ASKING:
    case ZDM_AGENT_LOOKING:
    case ZDM_AGENT_WORKING:
        break;
    }
    return false;
}

bool liar_settle(struct liar *l, const struct zdm_directive *d)
{
    const int64_t until = world_now() + SETTLE_MS;
    do {
        liar_serve(l, 20);
        if (zdm_fence_compare(&l->heard.accepted, &d->fence) == 0 && is_quiet(&l->heard))
            return true;
    } while (world_now() < until);
    return false;
}

bool liar_obeyed(struct liar *l, const struct zdm_directive *d, uint32_t phase)
{
    liar_send(l, d);
    bool quiet = liar_settle(l, d);
    if (quiet && l->heard.state == ZDM_AGENT_RESTING && l->heard.proven && l->heard.proven_phase == phase)
        return true;
    fprintf(stderr, "at phase %u and not %u, %s %s: %s %s\n", l->heard.proven_phase, phase,
            zdm_agent_state_name(l->heard.state), zdm_wait_name(l->heard.wait), l->heard.error, l->heard.blocked_by);
    return false;
}

/* ---- Judging ---- */

void liar_note(struct liar *l)
{
    free(l->before);
    l->before = world_fingerprint(l->w);
}

static void tell_difference(const char *before, const char *now)
{
    size_t at = 0;
    while (before[at] != '\0' && before[at] == now[at])
        at++;
    size_t from = at > 60 ? at - 60 : 0;
    fprintf(stderr, "was: %.300s\nis:  %.300s\n", before + from, now + from);
}

void liar_check(struct liar *l, const char *class_name, const char *what)
{
    char *now = world_fingerprint(l->w);
    if (strcmp(now, l->before) != 0) {
        count_accepted(class_name, "%s: the database has changed", what);
        tell_difference(l->before, now);
    }
    free(l->before);
    l->before = now;
}

/* ---- All of it ---- */

struct zdm_directive *liar_with_approvals(struct zdm_directive *d, struct zdm_envelope *approvals, size_t n)
{
    d->approvals = approvals;
    d->n_approvals = n;
    return d;
}

void liar_go_back(struct liar *l, uint32_t phase)
{
    struct zdm_undo_order order = world_undo_order(l->w, phase);
    struct zdm_envelope envelope = world_sign_undo(l->w, &l->w->omar, &order);
    struct zdm_directive d = liar_directive(l, ZDM_MODE_UNDO, phase);
    d.undo_order = &envelope;
    count_control("rollbacks with an operator's order", liar_obeyed(l, &d, phase), "undo");
    zdm_envelope_fini(&envelope);
    d = liar_directive(l, ZDM_MODE_RUN, phase);
    count_control("orders without approvals to phases that need none", liar_obeyed(l, &d, phase), "run");
}

static void run_to(struct liar *l, uint32_t phase)
{
    struct zdm_directive d = liar_directive(l, ZDM_MODE_RUN, phase);
    count_control("orders without approvals to phases that need none", liar_obeyed(l, &d, phase), "run");
}

/* A second plan by the rules: what it does is done before the database is looked at. */
static void run_other(struct liar *l)
{
    struct zdm_directive d = liar_directive(l, ZDM_MODE_RUN, 1);
    zdm_copy_text(d.migration, sizeof d.migration, "other");
    d.plan_hash = l->w->plans[PLAN_OTHER].plan->hash;
    bool accepted = liar_order(l, &d);
    liar_serve(l, 500);
    char *text = world_sql(l->w, "SELECT step FROM zdm.migration WHERE migration = 'other'");
    count_control("plans that an operator signed", accepted && strcmp(text, "2") == 0, text);
    free(text);
}

/* Everybody who signed so far is gone in version 3, but who signed the plans. */
static void change_people(struct liar *l)
{
    char path[128], home[128];
    const int64_t until = world_now() + SETTLE_MS;
    l->w->version = 3;
    world_write_trust(l->w, "trust-3", 3);
    snprintf(path, sizeof path, "%s/trust-3", l->w->dir);
    snprintf(home, sizeof home, "%s/agent", l->w->dir);
    count_control("newer trust files",
                  world_run(l->w, (const char *const[]){"zdm-agent", "trust", "update", path, "--data", home, NULL}),
                  "trust update");
    while (l->heard_trust != 3 && world_now() < until)
        liar_serve(l, 50);
    count_control("newer trust files", l->heard_trust == 3, "the running agent does not take it");
}

void attack_agent(struct world *w, unsigned n_mutated, unsigned n_arbitrary)
{
    static struct liar l;
    world_start_agent(w);
    liar_begin(&l, w);
    run_to(&l, 3);
    run_other(&l);
    liar_kinds(&l);
    world_keep_database(w);
    run_to(&l, 3);
    liar_amends(&l);
    world_restore_database(w); /* without an order that reaches phase 4: that one may not change behind it */
    liar_restart_agent(&l);
    run_to(&l, 3);
    liar_note(&l);
    liar_storm(&l, n_mutated, n_arbitrary);
    liar_plans(&l);
    liar_hand_made(&l);
    liar_surveys(&l);
    liar_undo_orders(&l);
    liar_approvals(&l);
    liar_losses(&l);
    liar_leftovers(&l);
    for (uint32_t phase = 1; phase <= 3; phase++) /* in order: a goal behind a switch says it was there */
        run_to(&l, phase);
    liar_note(&l);
    liar_replay(&l, "lying coordinator: old directives in the same session");
    liar_restart_agent(&l);
    liar_replay(&l, "lying coordinator: old directives after a restart of the agent");
    run_to(&l, 3);
    change_people(&l);
    world_restore_database(w);
    liar_serve(&l, 500);
    liar_note(&l);
    liar_replay(&l, "lying coordinator: old directives after the database was restored");
    run_to(&l, 3);
    liar_note(&l);
    liar_purge(&l);
    liar_end(&l);
}
