/*
 * test_authority.c - approvals, rollbacks, purges, exclusions: each as people send it, signed inside and outside, and
 * everything about it that may be wrong.
 */
#include "tests/unit/coord_app/world.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/os/crypto.h"

/* ---- A migration that has done its first phase ---- */

struct scene {
    struct world *w;
    struct client *ann, *bob, *agent;
    struct zdm_directive orders;
    uint64_t number; /* of the agent's last report */
};

static void drop_orders(struct scene *s)
{
    zdm_directive_fini(&s->orders);
    s->orders = (struct zdm_directive){.goal_phase = 0};
}

static void say(struct scene *s, uint32_t proven, enum zdm_agent_state state)
{
    report(s->agent, ++s->number, &s->orders, proven, state);
}

static bool get_orders(struct scene *s)
{
    struct zdm_directive orders;
    if (!take_orders(s->agent, &orders))
        return false;
    drop_orders(s);
    s->orders = orders;
    return true;
}

static void open_scene(struct world *w, struct scene *s, enum submission kind)
{
    *s = (struct scene){.w = w, .ann = dial_person(w, &w->ann), .bob = dial_person(w, &w->bob)};
    s->agent = join(w, s->ann, 1);
    report(s->agent, ++s->number, NULL, 0, ZDM_AGENT_RESTING);
    expect_ok(submit_kind(s->ann, kind));
    expect_ok(ask_verb(s->ann, ZDM_VERB_ADVANCE, NULL));
    assert_true(get_orders(s));
    say(s, 1, ZDM_AGENT_RESTING);
}

static void expect_status(struct scene *s, const char *words)
{
    char *status = query(s->ann, ZDM_QUERY_STATUS, "");
    expect_in(status, words);
    free(status);
}

static const struct coord_migration *migration_of(const struct scene *s)
{
    return coord_find_migration(coord_driver_state(s->w->driver), "rename");
}

/* ---- Signed payloads ---- */

static struct zdm_id new_nonce(void)
{
    struct zdm_id nonce;
    zdm_random_fill(zdm_random_system(), nonce.bytes, sizeof nonce.bytes);
    return nonce;
}

static struct zdm_approval approval_of(const struct scene *s, uint32_t phase, enum zdm_approval_action action)
{
    const struct zdm_plan *plan = migration_of(s)->plan;
    struct zdm_approval approval = {.migration = "rename",
                                    .plan_hash = plan->hash,
                                    .phase = phase,
                                    .action = action,
                                    .trust_version = 1,
                                    .issued_at_ms = s->w->wall_ms,
                                    .expires_at_ms = s->w->wall_ms + 86400000,
                                    .nonce = new_nonce()};
    if (phase != 0 && action != ZDM_APPROVE_UNDO)
        approval.phase_digest = zdm_plan_phase(plan, phase)->digest;
    return approval;
}

static struct zdm_envelope signed_approval(const struct scene *s, const struct zdm_signing_key *key,
                                           const struct zdm_approval *approval)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    zdm_approval_encode(approval, &body);
    struct zdm_envelope envelope = sign(s->w, key, ZDM_SIGNED_APPROVAL, &body);
    zdm_buffer_fini(&body);
    return envelope;
}

static struct zdm_envelope signed_order(const struct scene *s, const struct zdm_signing_key *key, uint32_t to_phase,
                                        struct zdm_id nonce)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    const struct zdm_undo_order order = {.migration = "rename",
                                         .plan_hash = migration_of(s)->plan->hash,
                                         .to_phase = to_phase,
                                         .nonce = nonce,
                                         .issued_at_ms = s->w->wall_ms,
                                         .expires_at_ms = s->w->wall_ms + 86400000};
    zdm_undo_order_encode(&order, &body);
    struct zdm_envelope envelope = sign(s->w, key, ZDM_SIGNED_UNDO_ORDER, &body);
    zdm_buffer_fini(&body);
    return envelope;
}

static struct zdm_frame send_payload(struct client *c, enum zdm_verb verb, struct zdm_envelope payload)
{
    struct zdm_request request = {.verb = verb, .migration = "rename", .shards = {.all = true}, .payload = payload};
    struct zdm_frame answer = ask(c, &request);
    zdm_envelope_fini(&request.payload);
    return answer;
}

static struct zdm_frame approve(struct scene *s, struct client *c, const struct zdm_approval *approval)
{
    return send_payload(c, approval->action == ZDM_APPROVE_PURGE ? ZDM_VERB_PURGE : ZDM_VERB_APPROVE,
                        signed_approval(s, c->key, approval));
}

static struct zdm_frame roll_back(struct scene *s, uint32_t to_phase)
{
    struct zdm_request request = {.verb = ZDM_VERB_ROLLBACK,
                                  .migration = "rename",
                                  .shards = {.all = true},
                                  .to_phase = to_phase,
                                  .payload = signed_order(s, s->ann->key, to_phase, new_nonce())};
    struct zdm_frame answer = ask(s->ann, &request);
    zdm_envelope_fini(&request.payload);
    return answer;
}

/* ---- Approvals ---- */

static void a_phase_is_entered_when_enough_people_have_signed_it(void **state)
{
    struct scene s;
    open_scene(*state, &s, ASKS_FOR_APPROVAL);
    expect_status(&s, "zdmctl approve rename --phase 2 --runbook RUNBOOK");
    expect_status(&s, "phase 2 (migrate) needs 2 approvals, 0 given");
    expect_ok(ask_verb(s.ann, ZDM_VERB_ADVANCE, NULL));
    assert_false(get_orders(&s));
    struct zdm_approval ann = approval_of(&s, 2, ZDM_APPROVE_ENTER), bob = approval_of(&s, 2, ZDM_APPROVE_ENTER);
    expect_ok(approve(&s, s.ann, &ann));
    expect_status(&s, "\"phase\":2,\"action\":\"enter\",\"needed\":2,\"given\":1,\"by\":[{\"name\":\"ann\"");
    expect_status(&s, "2 approvals, 1 given");
    expect_ok(approve(&s, s.bob, &bob));
    expect_status(&s, "\"approvals\":{\"given\":2,\"needed\":2}");
    assert_true(get_orders(&s));
    say(&s, 1, ZDM_AGENT_WORKING);
    (void)get_orders(&s);
    assert_int_equal(s.orders.goal_phase, 2);
    assert_int_equal(s.orders.n_approvals, 2);
    drop_orders(&s);
}

static void an_approval_is_withdrawn_by_its_nonce(void **state)
{
    struct scene s;
    open_scene(*state, &s, ASKS_FOR_APPROVAL);
    struct zdm_approval approval = approval_of(&s, 2, ZDM_APPROVE_ENTER);
    expect_ok(approve(&s, s.bob, &approval));
    struct zdm_request request = {
        .verb = ZDM_VERB_REVOKE_APPROVAL, .migration = "rename", .target = approval.nonce, .shards = {.all = true}};
    expect_ok(ask(s.bob, &request));
    expect_status(&s, "\"needed\":2,\"given\":0");
    drop_orders(&s);
}

static struct zdm_envelope of_another_fleet(struct scene *s, const struct zdm_approval *approval)
{
    struct zdm_id fleet = s->w->chain.fleet;
    s->w->chain.fleet.bytes[0] ^= 1;
    struct zdm_envelope envelope = signed_approval(s, &s->w->bob, approval);
    s->w->chain.fleet = fleet;
    return envelope;
}

static void an_approval_that_is_not_the_senders_own_is_refused(void **state)
{
    struct scene s;
    open_scene(*state, &s, ASKS_FOR_APPROVAL);
    struct zdm_approval approval = approval_of(&s, 2, ZDM_APPROVE_ENTER);
    uint64_t seq = coord_driver_state(s.w->driver)->head_seq;
    struct zdm_envelope forged = signed_approval(&s, &s.w->bob, &approval);
    forged.bytes[forged.len - 1] ^= 1;
    expect_refusal(send_payload(s.bob, ZDM_VERB_APPROVE, forged), ZDM_AUTH, "what the request carries");
    expect_refusal(send_payload(s.bob, ZDM_VERB_APPROVE, of_another_fleet(&s, &approval)), ZDM_AUTH, "fleet");
    expect_refusal(send_payload(s.ann, ZDM_VERB_APPROVE, signed_approval(&s, &s.w->bob, &approval)), ZDM_REFUSED,
                   "signed by somebody else");
    expect_refusal(send_payload(s.bob, ZDM_VERB_APPROVE, signed_order(&s, &s.w->bob, 0, new_nonce())), ZDM_AUTH,
                   "what the request carries");
    expect_refusal(
        send_payload(dial_person(s.w, &s.w->vic), ZDM_VERB_APPROVE, signed_approval(&s, &s.w->vic, &approval)),
        ZDM_REFUSED, "vic may not approve");
    assert_int_equal(coord_driver_state(s.w->driver)->head_seq, seq);
    drop_orders(&s);
}

static void an_approval_counts_once_and_only_for_what_it_names(void **state)
{
    struct scene s;
    open_scene(*state, &s, ASKS_FOR_APPROVAL);
    struct zdm_approval approval = approval_of(&s, 2, ZDM_APPROVE_ENTER), other = approval;
    expect_ok(approve(&s, s.bob, &approval));
    uint64_t seq = coord_driver_state(s.w->driver)->head_seq;
    assert_int_not_equal(approve(&s, s.bob, &approval).u.answer.code, ZDM_OK); /* the same nonce */
    other.nonce = new_nonce();
    other.plan_hash.bytes[0] ^= 1;
    assert_int_not_equal(approve(&s, s.bob, &other).u.answer.code, ZDM_OK);
    assert_int_equal(coord_driver_state(s.w->driver)->head_seq, seq);
    drop_orders(&s);
}

/* ---- The way back ---- */

static uint32_t back_to;

static void has_come_back(struct zdm_report *report, struct zdm_migration_report *migration)
{
    (void)report;
    migration->state = ZDM_AGENT_RESTING;
    migration->undone = migration->proven = true;
    migration->proven_phase = back_to;
    (void)zdm_copy_text(migration->remark, sizeof migration->remark, "users_a_key was not restored");
    migration->n_hidden = 1;
    migration->hidden_total = 1;
    migration->hidden[0] = (struct zdm_hidden){
        .what = "column public.users.a, left by a rollback", .hidden_at_ms = 1763814000000, .by_rollback = true};
    migration->hidden[0].purge_at_ms = 1763814000000 + (int64_t)72 * 3600 * 1000;
}

static void a_rollback_carries_its_signed_order_to_the_agent_and_ends_undone(void **state)
{
    struct scene s;
    open_scene(*state, &s, PLAIN);
    expect_ok(roll_back(&s, 0));
    assert_true(get_orders(&s));
    assert_int_equal(s.orders.mode, ZDM_MODE_UNDO);
    assert_int_equal(s.orders.goal_phase, 0);
    assert_non_null(s.orders.undo_order);
    expect_status(&s, "\"reason\":\"going back to the start\"");
    back_to = 0;
    report_changed(s.agent, ++s.number, &s.orders, has_come_back);
    expect_status(&s, "\"outcome\":\"undone\"");
    expect_status(&s, "\"rolled_back\":true");
    expect_status(&s, "\"remark\":\"users_a_key was not restored\"");
    expect_status(&s, "\"what\":\"column public.users.a, left by a rollback\",\"hidden_at\":\"2025-11-22T12:20:00Z\"");
    expect_status(&s, "\"command\":\"zdmctl purge rename --all-shards\"");
    expect_status(&s, "hidden: column public.users.a. Purging drops it for good; it needs 1 approval, "
                      "0 given; nothing is dropped before 2025-11-25 12:20 UTC");
    struct zdm_approval purge = approval_of(&s, 0, ZDM_APPROVE_PURGE);
    expect_ok(approve(&s, s.bob, &purge));
    assert_true(get_orders(&s));
    assert_int_equal(s.orders.mode, ZDM_MODE_PURGE);
    expect_status(&s, "\"command\":null,\"why\":\"what a rollback took away is being dropped: column public.users.a; "
                      "nothing is dropped before 2025-11-25");
    purge = approval_of(&s, 0, ZDM_APPROVE_PURGE);
    purge.purge_now = true;
    expect_ok(approve(&s, s.bob, &purge));
    expect_status(&s, "\"why\":\"what a rollback took away is being dropped: column public.users.a\"");
    drop_orders(&s);
}

static void a_shard_that_came_back_part_of_the_way_is_resumed(void **state)
{
    struct scene s;
    open_scene(*state, &s, PLAIN);
    expect_ok(ask_verb(s.ann, ZDM_VERB_ADVANCE, NULL));
    assert_true(get_orders(&s));
    say(&s, 1, ZDM_AGENT_WORKING);
    expect_ok(roll_back(&s, 1));
    assert_true(get_orders(&s));
    back_to = 1;
    report_changed(s.agent, ++s.number, &s.orders, has_come_back);
    expect_status(&s, "\"status\":\"held\"");
    expect_status(&s, "\"entered\":1,\"rolled_back\":true");
    expect_status(&s, "rolled back to phase 1; forward again with zdmctl resume");
    expect_status(&s, "\"command\":\"zdmctl resume rename --all-shards\"");
    expect_status(&s, "further back: zdmctl rollback rename --all-shards\"");
    expect_ok(ask_verb(s.ann, ZDM_VERB_RESUME, NULL));
    expect_status(&s, "\"command\":\"zdmctl advance rename");
    drop_orders(&s);
}

static void an_undo_order_that_is_not_the_senders_own_or_was_used_is_refused(void **state)
{
    struct scene s;
    open_scene(*state, &s, PLAIN);
    struct zdm_id nonce = new_nonce();
    struct zdm_envelope forged = signed_order(&s, &s.w->ann, 0, nonce);
    forged.signature[0] ^= 1;
    expect_refusal(send_payload(s.ann, ZDM_VERB_ROLLBACK, forged), ZDM_AUTH, "what the request carries");
    expect_refusal(send_payload(s.ann, ZDM_VERB_ROLLBACK, signed_order(&s, &s.w->bob, 0, nonce)), ZDM_AUTH,
                   "what the request carries"); /* bob is no operator */
    expect_refusal(send_payload(s.bob, ZDM_VERB_ROLLBACK, signed_order(&s, &s.w->bob, 0, nonce)), ZDM_REFUSED,
                   "bob may not roll");
    expect_ok(send_payload(s.ann, ZDM_VERB_ROLLBACK, signed_order(&s, &s.w->ann, 0, nonce)));
    assert_true(get_orders(&s));
    assert_int_not_equal(send_payload(s.ann, ZDM_VERB_ROLLBACK, signed_order(&s, &s.w->ann, 0, nonce)).u.answer.code,
                         ZDM_OK);
    drop_orders(&s);
}

static void fails_on_the_way(struct zdm_report *report, struct zdm_migration_report *migration)
{
    (void)report;
    migration->state = ZDM_AGENT_STOPPED;
    migration->failed_attempt = back_to;
    migration->proven_phase = 1;
    migration->error_code = ZDM_DATABASE;
    (void)zdm_copy_text(migration->error, sizeof migration->error, "lock timeout");
}

static void a_rollback_that_failed_is_given_up_with_retry_forward(void **state)
{
    struct scene s;
    open_scene(*state, &s, PLAIN);
    expect_ok(roll_back(&s, 0));
    assert_true(get_orders(&s));
    back_to = s.orders.attempt;
    report_changed(s.agent, ++s.number, &s.orders, fails_on_the_way);
    expect_status(&s, "retry goes on back, retry --forward gives the rollback up");
    struct zdm_request request = {
        .verb = ZDM_VERB_RETRY, .migration = "rename", .shards = {.all = true}, .forward = true};
    expect_ok(ask(s.ann, &request));
    assert_true(get_orders(&s));
    assert_int_equal(s.orders.mode, ZDM_MODE_RUN);
    drop_orders(&s);
}

/* ---- Purge, exclusion ---- */

static void an_approver_opens_the_purge_phase_with_a_signed_approval(void **state)
{
    struct scene s;
    open_scene(*state, &s, PURGES_LAST);
    expect_status(&s, "\"command\":\"zdmctl purge rename --all-shards\"");
    expect_status(&s, "phase 2 (purge) drops for good what was hidden. It needs 1 approval, 0 given");
    struct zdm_approval approval = approval_of(&s, 2, ZDM_APPROVE_PURGE);
    expect_refusal(send_payload(s.ann, ZDM_VERB_PURGE, signed_approval(&s, &s.w->bob, &approval)), ZDM_REFUSED,
                   "signed by somebody else");
    expect_ok(approve(&s, s.bob, &approval));
    assert_true(get_orders(&s));
    assert_int_equal(s.orders.goal_phase, 2);
    assert_int_equal(s.orders.n_approvals, 1);
    drop_orders(&s);
}

/* Takes shard-1 out; a reason of "" gives none. */
static struct zdm_frame take_out(struct client *c, const char *reason)
{
    char name[] = "shard-1";
    char *names[] = {name};
    struct zdm_request request = {
        .verb = ZDM_VERB_EXCLUDE, .migration = "rename", .shards = {.names = names, .n_names = 1}};
    (void)zdm_copy_text(request.reason, sizeof request.reason, reason);
    return ask(c, &request);
}

static void an_approver_takes_a_shard_out_and_in_again(void **state)
{
    struct world *w = *state;
    struct scene s = {.w = w, .ann = dial_person(w, &w->ann), .bob = dial_person(w, &w->bob)};
    struct client *other = join(w, s.ann, 2);
    s.agent = join(w, s.ann, 1);
    report(other, 1, NULL, 0, ZDM_AGENT_RESTING);
    report(s.agent, ++s.number, NULL, 0, ZDM_AGENT_RESTING);
    expect_ok(submit(s.ann));
    expect_ok(ask_verb(s.ann, ZDM_VERB_ADVANCE, NULL));
    assert_true(get_orders(&s));
    say(&s, 1, ZDM_AGENT_RESTING);
    assert_int_not_equal(take_out(s.bob, "").u.answer.code, ZDM_OK);
    expect_refusal(take_out(dial_person(w, &w->vic), "why not"), ZDM_REFUSED, "vic may not exclude");
    expect_ok(take_out(s.bob, "its host burns"));
    assert_true(get_orders(&s));
    assert_int_equal(s.orders.mode, ZDM_MODE_PAUSE);
    expect_status(&s, "\"status\":\"excluded\"");
    expect_ok(ask_verb(s.bob, ZDM_VERB_INCLUDE, "shard-1"));
    (void)get_orders(&s);
    say(&s, 1, ZDM_AGENT_PAUSED);
    (void)get_orders(&s);
    say(&s, 1, ZDM_AGENT_RESTING);
    expect_status(&s, "\"shard\":\"shard-1\",\"wave\":0,\"engine\":\"postgresql\",\"status\":\"ready\"");
    drop_orders(&s);
}

int main(void)
{
#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_start, world_stop)
    const struct CMUnitTest tests[] = {
        WORLD(a_phase_is_entered_when_enough_people_have_signed_it),
        WORLD(an_approval_is_withdrawn_by_its_nonce),
        WORLD(an_approval_that_is_not_the_senders_own_is_refused),
        WORLD(an_approval_counts_once_and_only_for_what_it_names),
        WORLD(a_rollback_carries_its_signed_order_to_the_agent_and_ends_undone),
        WORLD(a_shard_that_came_back_part_of_the_way_is_resumed),
        WORLD(an_undo_order_that_is_not_the_senders_own_or_was_used_is_refused),
        WORLD(a_rollback_that_failed_is_given_up_with_retry_forward),
        WORLD(an_approver_opens_the_purge_phase_with_a_signed_approval),
        WORLD(an_approver_takes_a_shard_out_and_in_again),
    };
#undef WORLD
    return cmocka_run_group_tests_name("authority", tests, NULL, NULL);
}
