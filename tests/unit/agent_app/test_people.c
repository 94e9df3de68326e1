/*
 * test_people.c - what people signed, through the real driver with real keys: rollbacks without an order that holds,
 * phases without approvals that count, purges before their time; and what each newer trust file changes.
 */
#include "tests/unit/agent_app/bench.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "common/os/crypto.h"

/* ---- going back ---- */

static void order_undo(struct bench *b, uint64_t generation, uint32_t goal, struct zdm_envelope *undo)
{
    struct zdm_directive d = fake_fleet_directive(b->fleet, generation, ZDM_MODE_UNDO, goal);
    d.undo_order = undo;
    d.attempt = (uint32_t)generation;
    fake_fleet_sign_order(b->fleet, &b->fleet->coordinator, &b->fleet->chain.fleet, &d);
    fake_fleet_send_order(b->fleet);
    bench_run(b, 15000);
}

static void expect_nothing_undone(const struct bench *b, const char *why)
{
    if (bench_said(b)->state != ZDM_AGENT_STOPPED || strstr(bench_said(b)->error, why) == NULL)
        fail_msg("%s with \"%s\", not stopped with \"%s\"", zdm_agent_state_name(bench_said(b)->state),
                 bench_said(b)->error, why);
    assert_int_equal(b->engine.runs[AGENT_RUN_UNDO_DDL], 0);
    assert_int_equal(b->engine.runs[AGENT_RUN_UNDO_BEGIN], 0);
    assert_true(b->engine.done[1] && b->engine.done[2]);
}

enum flaw {
    NONE,
    MISSING,
    FORGED,
    BY_STRANGER,
    BY_COORDINATOR,
    BY_VIEWER,
    BY_APPROVER,
    OTHER_MIGRATION,
    OTHER_PLAN,
    OTHER_SHARD,
    OTHER_PHASE,
    OTHER_ACTION,
    OTHER_TYPE,
    EXPIRED,
    FUTURE,
    NEWER_TRUST,
    FLAWS
};

static const struct zdm_signing_key *signer_of(const struct fake_fleet *fleet, enum flaw flaw,
                                               const struct zdm_signing_key *right)
{
    if (flaw == BY_STRANGER)
        return &fleet->stranger;
    if (flaw == BY_COORDINATOR)
        return &fleet->coordinator;
    if (flaw == BY_VIEWER)
        return &fleet->viewer;
    return flaw == BY_APPROVER ? &fleet->approver : right;
}

static char *other_shards[] = {"shard-2"};

static struct zdm_envelope flawed_undo(struct bench *b, enum flaw flaw)
{
    struct zdm_undo_order order = fake_fleet_undo_order(b->fleet, flaw == OTHER_PHASE ? 1 : 0, 1);
    order.migration[0] = flaw == OTHER_MIGRATION ? 's' : 'r';
    order.plan_hash.bytes[0] ^= flaw == OTHER_PLAN;
    order.shards = flaw == OTHER_SHARD ? other_shards : NULL;
    order.n_shards = flaw == OTHER_SHARD;
    order.expires_at_ms -= flaw == EXPIRED ? 86400001 : 0;
    order.issued_at_ms += flaw == FUTURE ? 3600000 : 0;
    struct zdm_approval approval = fake_fleet_approval(b->fleet, ZDM_APPROVE_UNDO, 0, 1);
    struct zdm_envelope out =
        flaw == OTHER_TYPE ? fake_fleet_sign_approval(b->fleet, &b->fleet->operator_key, &approval)
                           : fake_fleet_sign_undo(b->fleet, signer_of(b->fleet, flaw, &b->fleet->operator_key), &order);
    out.signature[5] ^= flaw == FORGED;
    return out;
}

static void undo_is_carried_out_only_with_an_order_that_holds(void **state)
{
    static const char *const why[FLAWS] = {[FORGED] = "undo order does not verify",
                                           [BY_STRANGER] = "undo order does not verify",
                                           [BY_COORDINATOR] = "undo order does not verify",
                                           [BY_VIEWER] = "not signed by an operator",
                                           [BY_APPROVER] = "not signed by an operator",
                                           [OTHER_MIGRATION] = "another migration or plan",
                                           [OTHER_PLAN] = "another migration or plan",
                                           [OTHER_SHARD] = "does not name shard",
                                           [OTHER_PHASE] = "goes back to phase 1",
                                           [OTHER_TYPE] = "undo order does not verify",
                                           [EXPIRED] = "has expired",
                                           [FUTURE] = "issued in the future"};
    (void)state;
    for (enum flaw flaw = NONE; flaw < FLAWS; flaw++) {
        void *bench;
        if (flaw != NONE && why[flaw] == NULL)
            continue;
        assert_int_equal(bench_setup(&bench), 0);
        struct bench *b = bench;
        bench_settle(b);
        struct zdm_envelope undo = flawed_undo(b, flaw);
        order_undo(b, 11, 0, &undo);
        if (flaw == NONE) {
            assert_true(bench_said(b)->undone);
            assert_int_equal(bench_said(b)->proven_phase, 0);
            assert_false(b->engine.done[1] || b->engine.done[2]);
            assert_non_null(strstr(zdm_buffer_text(&b->log), "rolled back migration=rename to_phase=0\n"));
            assert_null(strstr(zdm_buffer_text(&b->log), "fallen back"));
            assert_int_equal(b->errors, 0);
        } else {
            expect_nothing_undone(b, why[flaw]);
        }
        zdm_envelope_fini(&undo);
        bench_teardown(&bench);
    }
}

static void order_that_was_used_begins_no_second_rollback(void **state)
{
    struct bench *b = *state;
    bench_settle(b);
    struct zdm_envelope undo = flawed_undo(b, NONE);
    order_undo(b, 11, 0, &undo);
    assert_true(bench_said(b)->undone);
    bench_order(b, 12, ZDM_MODE_RUN, 1);
    bench_run(b, 15000);
    b->fleet->has_order = false;
    assert_int_equal(bench_said(b)->proven_phase, 1);
    unsigned before = b->engine.runs[AGENT_RUN_UNDO_DDL];
    order_undo(b, 13, 0, &undo);
    assert_int_equal(bench_said(b)->state, ZDM_AGENT_STOPPED);
    assert_int_equal(b->engine.runs[AGENT_RUN_UNDO_DDL], before);
    assert_true(b->engine.done[1] && b->engine.done[2]);
    zdm_envelope_fini(&undo);
}

/* ---- entering ---- */

static void order_on(struct bench *b, uint64_t generation, uint32_t goal, struct zdm_envelope *approvals, size_t n)
{
    struct zdm_directive d = fake_fleet_directive(b->fleet, generation, ZDM_MODE_RUN, goal);
    d.approvals = approvals;
    d.n_approvals = n;
    fake_fleet_sign_order(b->fleet, &b->fleet->coordinator, &b->fleet->chain.fleet, &d);
    fake_fleet_send_order(b->fleet);
    bench_run(b, 15000);
}

static struct zdm_envelope flawed_approval(struct bench *b, enum flaw flaw)
{
    struct zdm_approval a = fake_fleet_approval(b->fleet, flaw == OTHER_ACTION ? ZDM_APPROVE_PURGE : ZDM_APPROVE_ENTER,
                                                flaw == OTHER_PHASE ? 2 : 3, 1);
    a.migration[0] = flaw == OTHER_MIGRATION ? 's' : 'r';
    a.plan_hash.bytes[0] ^= flaw == OTHER_PLAN;
    a.shards = flaw == OTHER_SHARD ? other_shards : NULL;
    a.n_shards = flaw == OTHER_SHARD;
    a.trust_version += flaw == NEWER_TRUST;
    a.expires_at_ms -= flaw == EXPIRED ? 86400001 : 0;
    a.issued_at_ms += flaw == FUTURE ? 3600000 : 0;
    struct zdm_undo_order order = fake_fleet_undo_order(b->fleet, 0, 1);
    struct zdm_envelope out =
        flaw == OTHER_TYPE ? fake_fleet_sign_undo(b->fleet, &b->fleet->operator_key, &order)
                           : fake_fleet_sign_approval(b->fleet, signer_of(b->fleet, flaw, &b->fleet->approver), &a);
    out.signature[5] ^= flaw == FORGED;
    return out;
}

static void destructive_phase_is_entered_only_with_approvals_that_count(void **state)
{
    (void)state;
    for (enum flaw flaw = NONE; flaw < FLAWS; flaw++) {
        void *bench;
        assert_int_equal(bench_setup(&bench), 0);
        struct bench *b = bench;
        bench_settle(b);
        struct zdm_envelope approval = flawed_approval(b, flaw);
        bool right = flaw == NONE || flaw == BY_APPROVER;
        order_on(b, 11, 3, &approval, flaw == MISSING ? 0 : 1);
        assert_int_equal(bench_said(b)->proven_phase, right ? 3 : 2);
        assert_int_equal(b->engine.done[4], right);
        if (!right) {
            assert_int_equal(bench_said(b)->wait, ZDM_WAIT_APPROVALS);
            assert_non_null(strstr(bench_said(b)->blocked_by, "0 of 1 approval"));
            assert_int_equal(b->engine.n_spent, 0);
        }
        zdm_envelope_fini(&approval);
        bench_teardown(&bench);
    }
}

static void approval_that_let_in_once_lets_in_no_more_after_a_rollback(void **state)
{
    struct bench *b = *state;
    bench_settle(b);
    struct zdm_envelope approval = flawed_approval(b, NONE);
    order_on(b, 11, 3, &approval, 1);
    assert_int_equal(bench_said(b)->proven_phase, 3);
    struct zdm_undo_order order = fake_fleet_undo_order(b->fleet, 2, 1);
    struct zdm_envelope undo = fake_fleet_sign_undo(b->fleet, &b->fleet->operator_key, &order);
    order_undo(b, 12, 2, &undo);
    assert_true(bench_said(b)->undone);
    order_on(b, 13, 3, &approval, 1);
    assert_int_equal(bench_said(b)->proven_phase, 2);
    assert_int_equal(bench_said(b)->wait, ZDM_WAIT_APPROVALS);
    assert_false(b->engine.done[4]);
    zdm_envelope_fini(&approval);
    zdm_envelope_fini(&undo);
}

static struct zdm_envelope purge_approval(struct bench *b, bool now)
{
    struct zdm_approval a = fake_fleet_approval(b->fleet, ZDM_APPROVE_PURGE, 4, now ? 4 : 3);
    a.purge_now = now;
    return fake_fleet_sign_approval(b->fleet, &b->fleet->approver, &a);
}

static void purge_waits_for_its_grace_period_unless_people_say_now(void **state)
{
    struct bench *b = *state;
    bench_settle(b);
    b->engine.early = true;
    struct zdm_envelope approvals[3] = {flawed_approval(b, NONE), purge_approval(b, false), purge_approval(b, true)};
    order_on(b, 11, 4, approvals, 2);
    assert_int_equal(bench_said(b)->proven_phase, 3);
    assert_int_equal(bench_said(b)->wait, ZDM_WAIT_GRACE);
    assert_false(b->engine.done[5]);
    order_on(b, 12, 4, approvals, 3);
    bench_run(b, 120000);
    assert_true(b->engine.done[5]);
    assert_int_equal(bench_said(b)->proven_phase, 4);
    for (size_t i = 0; i < 3; i++)
        zdm_envelope_fini(&approvals[i]);
}

static void purge_goes_on_by_itself_when_its_time_has_come(void **state)
{
    struct bench *b = *state;
    bench_settle(b);
    b->engine.early = true;
    struct zdm_envelope approvals[2] = {flawed_approval(b, NONE), purge_approval(b, false)};
    order_on(b, 11, 4, approvals, 2);
    assert_false(b->engine.done[5]);
    b->engine.early = false;
    bench_run(b, 120000);
    assert_true(b->engine.done[5]);
    for (size_t i = 0; i < 2; i++)
        zdm_envelope_fini(&approvals[i]);
}

/* ---- newer trust files ---- */

static void send_trust(struct bench *b)
{
    fake_fleet_new_trust(b->fleet);
    fake_fleet_send_trust(b->fleet, b->fleet->chain.trust.version - 1);
    bench_run(b, 12000);
    assert_int_equal(agent_driver_trust_version(b->driver), b->fleet->chain.trust.version);
}

static void approver_who_has_left_lets_in_nothing(void **state)
{
    struct bench *b = *state;
    bench_settle(b);
    b->fleet->trust.n_people = 2;
    send_trust(b);
    struct zdm_envelope approval = flawed_approval(b, NONE);
    order_on(b, 11, 3, &approval, 1);
    assert_int_equal(bench_said(b)->wait, ZDM_WAIT_APPROVALS);
    assert_false(b->engine.done[4]);
    zdm_envelope_fini(&approval);
}

static void threshold_of_the_newer_trust_file_is_in_force_at_once(void **state)
{
    struct bench *b = *state;
    bench_settle(b);
    b->fleet->trust.approvals_min = 2;
    send_trust(b);
    struct zdm_envelope approval = flawed_approval(b, NONE);
    order_on(b, 11, 3, &approval, 1);
    assert_non_null(strstr(bench_said(b)->blocked_by, "1 of 2 approvals"));
    assert_false(b->engine.done[4]);
    zdm_envelope_fini(&approval);
}

/* The operator who signed the plan leaves; another one signs the same bytes. */
static void plan_of_an_operator_who_left_stops_until_another_signs_it(void **state)
{
    struct bench *b = *state;
    bench_settle(b);
    b->fleet->trust.people[0].roles = ZDM_ROLE_VIEWER;
    b->fleet->trust.people[1].roles = ZDM_ROLE_OPERATOR;
    send_trust(b);
    bench_order(b, 11, ZDM_MODE_RUN, 2);
    bench_run(b, 15000);
    assert_false(b->engine.done[3]);
    assert_non_null(strstr(bench_said(b)->error, "plan is signed by olga, who is no operator in trust file version 2"));
    assert_non_null(strstr(bench_said(b)->error, "zdmctl submit RUNBOOK"));
    fake_fleet_plan(b->fleet, &b->fleet->viewer, "tier=gold");
    bench_order(b, 12, ZDM_MODE_RUN, 2);
    bench_run(b, 30000);
    assert_true(b->engine.done[3]);
    assert_int_equal(bench_said(b)->proven_phase, 2);
    assert_string_equal(bench_said(b)->error, "");
    assert_string_equal(b->fleet->report.db_error, ""); /* nor does zdmctl agents go on about it */
}

/* The same, and the other operator amends instead: who signed that plan answers for the phases that are the same. */
static void another_plan_over_that_of_an_operator_who_left_goes_on_where_what_was_entered_is_the_same(void **state)
{
    struct bench *b = *state;
    bench_settle(b);
    b->fleet->trust.people[0].roles = ZDM_ROLE_VIEWER;
    b->fleet->trust.people[1].roles = ZDM_ROLE_OPERATOR;
    send_trust(b);
    fake_fleet_plan(b->fleet, &b->fleet->viewer, "tier!=silver");
    bench_order(b, 11, ZDM_MODE_RUN, 2);
    bench_run(b, 30000);
    assert_true(b->engine.done[3]);
    assert_int_equal(bench_said(b)->proven_phase, 2);
    assert_string_equal(bench_said(b)->error, "");
    assert_string_equal(b->fleet->report.db_error, "");
}

/* It is not the same: nobody answers for what was done, and the agent says so. */
static void another_plan_over_that_of_an_operator_who_left_is_refused_until_that_one_is_signed(void **state)
{
    struct bench *b = *state;
    char words[128], hash[ZDM_HASH_HEX_SIZE];
    bench_settle(b);
    zdm_hex(hash, b->fleet->plan_hash.bytes, sizeof b->fleet->plan_hash.bytes);
    snprintf(words, sizeof words, "the journal stands under plan %.12s, which does not verify: plan is signed by olga",
             hash);
    b->fleet->trust.people[0].roles = ZDM_ROLE_VIEWER;
    b->fleet->trust.people[1].roles = ZDM_ROLE_OPERATOR;
    send_trust(b);
    fake_fleet_plan_of_column(b->fleet, &b->fleet->viewer, "z");
    bench_order(b, 11, ZDM_MODE_RUN, 2);
    bench_run(b, 300000);
    assert_int_equal(bench_said(b)->state, ZDM_AGENT_PAUSED);
    assert_non_null(strstr(bench_said(b)->error, words));
    assert_non_null(strstr(bench_said(b)->hint, "phases 1 to 1 as they were. Or leave the shard out"));
    assert_non_null(strstr(b->fleet->report.db_error, "does not verify"));
    assert_false(b->engine.done[3]);
    fake_fleet_plan(b->fleet, &b->fleet->viewer, "tier=gold");
    bench_order(b, 12, ZDM_MODE_RUN, 1);
    bench_run(b, 30000);
    assert_string_equal(bench_said(b)->error, "");
    assert_string_equal(b->fleet->report.db_error, "");
    fake_fleet_plan(b->fleet, &b->fleet->viewer, "tier!=silver");
    bench_order(b, 13, ZDM_MODE_RUN, 2);
    bench_run(b, 30000);
    assert_true(b->engine.done[3]);
    assert_int_equal(bench_said(b)->proven_phase, 2);
}

/* The order is signed for by somebody whom only the newer trust file knows, and comes first. */
static void order_waits_for_the_newer_trust_file_that_it_needs(void **state)
{
    struct bench *b = *state;
    bench_settle(b);
    b->fleet->trust.people[0].roles = ZDM_ROLE_OPERATOR; /* olga approves no more, vera does */
    b->fleet->trust.people[1].roles = ZDM_ROLE_APPROVER;
    fake_fleet_new_trust(b->fleet);
    struct zdm_frame welcome = {.type = ZDM_FRAME_WELCOME, .u.welcome = {.epoch = 1, .trust_version = 2}};
    zdm_copy_text(welcome.u.welcome.name, sizeof welcome.u.welcome.name, "shard-1");
    zdm_copy_text(welcome.u.welcome.release, sizeof welcome.u.welcome.release, "0.1.0");
    struct zdm_approval a = fake_fleet_approval(b->fleet, ZDM_APPROVE_ENTER, 3, 1);
    a.trust_version = 2;
    struct zdm_envelope approval = fake_fleet_sign_approval(b->fleet, &b->fleet->viewer, &a);
    fake_fleet_send(b->fleet, &welcome);
    order_on(b, 11, 3, &approval, 1);
    assert_int_equal(bench_said(b)->proven_phase, 3);
    zdm_envelope_fini(&approval);
}

static void write_chain(const struct bench *b, struct zdm_buffer *out)
{
    zdm_buffer_init(out, AGENT_TRUST_FILE_MAX);
    zdm_trust_chain_write(&b->fleet->chain, out);
}

static void newer_trust_file_in_the_folder_is_taken_and_an_older_one_put_right(void **state)
{
    struct bench *b = *state;
    struct zdm_buffer first, second;
    bench_settle(b);
    write_chain(b, &first);
    fake_fleet_new_trust(b->fleet);
    write_chain(b, &second);
    agent_driver_take_trust_file(b->driver, second.data, second.len);
    assert_int_equal(agent_driver_trust_version(b->driver), 2);
    assert_int_equal(b->saved.len, 0); /* it lies there already */
    agent_driver_take_trust_file(b->driver, first.data, first.len);
    assert_int_equal(agent_driver_trust_version(b->driver), 2);
    assert_int_equal(b->saved.len, second.len);
    assert_memory_equal(b->saved.data, second.data, second.len);
    agent_driver_take_trust_file(b->driver, "zdm", 3);
    assert_int_equal(agent_driver_trust_version(b->driver), 2);
    assert_int_equal(b->errors, 1);
    zdm_buffer_fini(&first);
    zdm_buffer_fini(&second);
}

static void coordinator_that_the_newer_file_drops_is_left_at_once(void **state)
{
    struct bench *b = *state;
    struct zdm_buffer second;
    bench_settle(b);
    b->fleet->trust.coordinators[0] = b->fleet->stranger.public_key;
    fake_fleet_new_trust(b->fleet);
    write_chain(b, &second);
    agent_driver_take_trust_file(b->driver, second.data, second.len);
    assert_non_null(strstr(zdm_buffer_text(&b->log), "does not name this coordinator any more"));
    unsigned reports = b->fleet->reports;
    bench_order(b, 11, ZDM_MODE_RUN, 2);
    bench_run(b, 60000);
    assert_int_equal(b->fleet->reports, reports);
    assert_false(b->engine.done[3]);
    zdm_buffer_fini(&second);
}

/* The folder was restored from a backup: the shard has seen more than the agent knows. */
static void agent_older_than_its_shard_changes_nothing_until_it_has_caught_up(void **state)
{
    struct bench *b = *state;
    bench_settle(b);
    b->engine.row.trust_version = 2;
    zdm_copy_text(b->engine.identity, sizeof b->engine.identity, "start-2");
    bench_order(b, 11, ZDM_MODE_RUN, 2);
    bench_run(b, 30000);
    assert_false(b->engine.done[3]);
    assert_int_equal(b->engine.row.accepted.generation, 10);
    send_trust(b);
    bench_run(b, 60000);
    assert_true(b->engine.done[3]);
}

/* ---- While it happens ---- */

static void step(struct bench *b)
{
    int64_t wake = agent_driver_turn(b->driver);
    if (loop_net_pump(b->fleet->loop) || b->engine.n > 0)
        return;
    b->fleet->now_ms = wake > b->fleet->now_ms && wake < b->fleet->now_ms + 50 ? wake : b->fleet->now_ms + 50;
}

static unsigned changes(const struct bench *b)
{
    unsigned n = 0;
    for (size_t run = AGENT_RUN_NONE + 1; run < sizeof b->engine.runs / sizeof *b->engine.runs; run++)
        n += run == AGENT_RUN_STOP ? 0 : b->engine.runs[run];
    return n;
}

/* The newer file arrives at every point of the work on the plan whose signer it drops. */
static void nothing_is_begun_any_more_under_a_plan_whose_signer_has_left(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 40; n++) {
        void *bench;
        assert_int_equal(bench_setup(&bench), 0);
        struct bench *b = bench;
        bench_settle(b);
        b->fleet->trust.people[0].roles = ZDM_ROLE_VIEWER;
        b->fleet->trust.people[1].roles = ZDM_ROLE_OPERATOR;
        bench_order(b, 11, ZDM_MODE_RUN, 2);
        fake_fleet_send_order(b->fleet);
        for (unsigned i = 0; i < n; i++)
            step(b);
        fake_fleet_new_trust(b->fleet);
        fake_fleet_send_trust(b->fleet, 1);
        for (unsigned i = 0; i < 100 && agent_driver_trust_version(b->driver) < 2; i++)
            step(b);
        assert_int_equal(agent_driver_trust_version(b->driver), 2);
        unsigned before = changes(b);
        bench_run(b, 30000);
        assert_int_equal(changes(b), before);
        bench_teardown(&bench);
    }
}

static void say_version(struct bench *b, uint32_t version)
{
    struct zdm_frame welcome = {.type = ZDM_FRAME_WELCOME, .u.welcome = {.epoch = 1, .trust_version = version}};
    zdm_copy_text(welcome.u.welcome.name, sizeof welcome.u.welcome.name, "shard-1");
    zdm_copy_text(welcome.u.welcome.release, sizeof welcome.u.welcome.release, "0.1.0");
    fake_fleet_send(b->fleet, &welcome);
}

static void order_waits_for_a_newer_trust_file_only_and_not_for_ever(void **state)
{
    struct bench *b = *state;
    bench_settle(b);
    say_version(b, b->fleet->chain.trust.version);
    bench_order(b, 11, ZDM_MODE_RUN, 1);
    fake_fleet_send_order(b->fleet);
    bench_run(b, 1000);
    assert_int_equal(b->engine.row.accepted.generation, 11);
    say_version(b, 5); /* which nobody has */
    bench_order(b, 12, ZDM_MODE_RUN, 1);
    fake_fleet_send_order(b->fleet);
    bench_run(b, 2000);
    assert_int_equal(b->engine.row.accepted.generation, 11);
    bench_run(b, 4000);
    assert_int_equal(b->engine.row.accepted.generation, 12);
}

int main(void)
{
    struct zdm_error err;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(undo_is_carried_out_only_with_an_order_that_holds),
        BENCH_TEST(order_that_was_used_begins_no_second_rollback),
        cmocka_unit_test(destructive_phase_is_entered_only_with_approvals_that_count),
        BENCH_TEST(approval_that_let_in_once_lets_in_no_more_after_a_rollback),
        BENCH_TEST(purge_waits_for_its_grace_period_unless_people_say_now),
        BENCH_TEST(purge_goes_on_by_itself_when_its_time_has_come),
        BENCH_TEST(approver_who_has_left_lets_in_nothing),
        BENCH_TEST(threshold_of_the_newer_trust_file_is_in_force_at_once),
        BENCH_TEST(plan_of_an_operator_who_left_stops_until_another_signs_it),
        BENCH_TEST(another_plan_over_that_of_an_operator_who_left_goes_on_where_what_was_entered_is_the_same),
        BENCH_TEST(another_plan_over_that_of_an_operator_who_left_is_refused_until_that_one_is_signed),
        BENCH_TEST(order_waits_for_the_newer_trust_file_that_it_needs),
        BENCH_TEST(newer_trust_file_in_the_folder_is_taken_and_an_older_one_put_right),
        BENCH_TEST(coordinator_that_the_newer_file_drops_is_left_at_once),
        BENCH_TEST(agent_older_than_its_shard_changes_nothing_until_it_has_caught_up),
        cmocka_unit_test(nothing_is_begun_any_more_under_a_plan_whose_signer_has_left),
        BENCH_TEST(order_waits_for_a_newer_trust_file_only_and_not_for_ever),
    };
    if (zdm_crypto_start(&err) != ZDM_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
