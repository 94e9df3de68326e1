/*
 * test_approvals.c - who may sign for what: five approvers against approvals that are good, doubled, withdrawn,
 * expired, of another plan, spent; what a directive carries; what people are told.
 */
#include "fleet.h"

#include <stdio.h>
#include <string.h>

#include "common/base/buffer.h"

static const unsigned approvers[] = {ANN, BOB, CAT, FAY, GUS};
enum { APPROVERS = sizeof approvers / sizeof *approvers };

/* One shard at the end of phase 2, phase 3 (contract, destructive) is open and takes three. */
static void begin(struct fleet *f)
{
    struct zdm_plan *plan = plan_of("m", "emdp");
    fleet_init(f, 1);
    f->view.authority.approvals_min = 3;
    f->view.authority.four_eyes = true;
    f->who = DAN; /* submits: none of the approvers */
    plan->phases[2].digest.bytes[0] = 3;
    plan->phases[3].digest.bytes[0] = 4;
    assert_int_equal(fleet_submit(f, plan), ZDM_OK);
    fleet_heartbeat(f);
    assert_int_equal(fleet_advance_to(f, NULL, 3), ZDM_OK);
    fleet_obey(f, 0);
    fleet_obey(f, 0);
    assert_status(f, 0, COORD_READY);
}

static uint32_t given(struct fleet *f)
{
    struct coord_release release;
    coord_releasable(f->state, &f->view, migration(f), f->now_ms, &release);
    if (release.hold == COORD_HOLD_APPROVALS)
        return release.count;
    assert_int_equal(shard(f, 0)->status, COORD_MOVING);
    return 3;
}

enum kind { GOOD, DOUBLED, WITHDRAWN, EXPIRED, SPENT, KINDS };

/* Gives one approval of that kind; true when it counts at the end. */
static bool give(struct fleet *f, unsigned who, enum kind kind)
{
    struct zdm_approval a = approval_of(f, ZDM_APPROVE_ENTER, 3);
    if (kind == EXPIRED)
        a.expires_at_ms = f->now_ms + 5;
    assert_int_equal(fleet_give(f, who, ZDM_VERB_APPROVE, &a, NULL), ZDM_OK);
    if (kind == DOUBLED)
        assert_int_equal(fleet_approve(f, who, ZDM_APPROVE_ENTER, 3), ZDM_OK);
    if (kind == WITHDRAWN)
        assert_int_equal(fleet_revoke(f, who, &a.nonce), ZDM_OK);
    return kind == GOOD || kind == DOUBLED;
}

static void as_many_count_as_are_good_of_distinct_approvers(void **unused)
{
    (void)unused;
    /* Every approver with every kind but SPENT, in turns: two of the five at a time, so that the shard does not go. */
    for (unsigned first = 0; first < APPROVERS; first++)
        for (unsigned second = 0; second < APPROVERS; second++)
            for (unsigned n = 0; n < (unsigned)SPENT * SPENT; n++) {
                struct fleet f;
                begin(&f);
                bool a = give(&f, approvers[first], (enum kind)(n % SPENT));
                bool b = give(&f, approvers[second], (enum kind)(n / SPENT));
                f.now_ms += 6;
                fleet_heartbeat(&f);
                uint32_t expected = first == second ? a || b : (uint32_t)a + b;
                if (given(&f) != expected)
                    fail_msg("approvers %u and %u, kinds %u: %u of %u", first, second, n, given(&f), expected);
                fleet_fini(&f);
            }
}

static void third_good_approval_lets_the_shard_in_and_is_carried_by_its_order(void **unused)
{
    (void)unused;
    struct fleet f;
    struct zdm_envelope carried[ZDM_APPROVALS_MAX];
    struct zdm_directive d;
    begin(&f);
    assert_int_equal(fleet_approve(&f, BOB, ZDM_APPROVE_ENTER, 3), ZDM_OK);
    assert_int_equal(fleet_approve(&f, CAT, ZDM_APPROVE_ENTER, 3), ZDM_OK);
    assert_status(&f, 0, COORD_READY);
    assert_true(coord_directive(f.state, migration(&f), 0, carried, &d));
    assert_int_equal(d.n_approvals, 0); /* phase 2 takes none */
    assert_int_equal(fleet_approve(&f, FAY, ZDM_APPROVE_ENTER, 3), ZDM_OK);
    assert_string_equal(f.answer.message, "phase 3 (contract) of m is approved: 3 of 3 approvals");
    assert_status(&f, 0, COORD_MOVING);
    assert_true(coord_directive(f.state, migration(&f), 0, carried, &d));
    assert_int_equal(d.n_approvals, 3);
    uint64_t generation = d.fence.generation;
    /* Withdrawn while the shard waits at the agent: a new order without it, told at once. */
    assert_int_equal(fleet_revoke(&f, BOB, &migration(&f)->approvals[0].approval.nonce), ZDM_OK);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 1);
    assert_true(coord_directive(f.state, migration(&f), 0, carried, &d));
    assert_int_equal(d.n_approvals, 2);
    assert_true(d.fence.generation > generation);
    assert_int_equal(fleet_revoke(&f, BOB, &migration(&f)->approvals[0].approval.nonce), ZDM_OK);
    assert_string_equal(f.answer.message, "the approval of phase 3 (contract) was withdrawn before");
    assert_int_equal(fleet_approve(&f, GUS, ZDM_APPROVE_ENTER, 3), ZDM_OK);
    assert_true(coord_directive(f.state, migration(&f), 0, carried, &d));
    assert_int_equal(d.n_approvals, 3);
    fleet_obey(&f, 0);
    assert_int_equal(shard(&f, 0)->at, 3);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void rollback_spends_what_let_the_phase_in(void **unused)
{
    (void)unused;
    struct fleet f;
    struct coord_overview seen;
    begin(&f);
    for (unsigned i = 0; i < 3; i++)
        fleet_approve(&f, approvers[i], ZDM_APPROVE_ENTER, 3);
    fleet_obey(&f, 0);
    assert_int_equal(fleet_rollback(&f, NULL, 2, false), ZDM_OK);
    fleet_obey(&f, 0);
    fleet_ask(&f, ZDM_VERB_RESUME, NULL);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
    assert_int_equal(given(&f), 0);
    assert_true(coord_approvals_overview(f.state, &f.view, migration(&f), f.now_ms, &seen));
    assert_int_equal(seen.acts[0].given, 0);
    assert_int_equal(seen.by[0].verdict, ZDM_APPROVAL_SPENT);
    coord_overview_fini(&seen);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(given(&f), i);
        fleet_approve(&f, approvers[i], ZDM_APPROVE_ENTER, 3);
    }
    assert_status(&f, 0, COORD_MOVING);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void directive_carries_at_most_sixteen_and_one_of_each_approver(void **unused)
{
    (void)unused;
    struct fleet f;
    struct zdm_envelope carried[ZDM_APPROVALS_MAX];
    struct zdm_directive d;
    begin(&f);
    for (unsigned round = 0; round < 6; round++)
        for (unsigned i = 0; i < APPROVERS; i++)
            assert_int_equal(fleet_approve(&f, approvers[i], ZDM_APPROVE_ENTER, 3), ZDM_OK);
    assert_status(&f, 0, COORD_MOVING);
    assert_true(coord_directive(f.state, migration(&f), 0, carried, &d));
    assert_int_equal(d.n_approvals, APPROVERS);
    for (size_t i = 0; i < d.n_approvals; i++)
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(carried[i].bytes, carried[j].bytes, carried[i].len);
    fleet_fini(&f);
}

/* ---- What is refused ---- */

static void other_plan(struct zdm_approval *a)
{
    a->plan_hash.bytes[3] ^= 1;
}

static void other_migration(struct zdm_approval *a)
{
    zdm_copy_text(a->migration, sizeof a->migration, "other");
}

static void other_steps(struct zdm_approval *a)
{
    a->phase_digest.bytes[3] ^= 1;
}

static void no_such_phase(struct zdm_approval *a)
{
    a->phase = 9;
}

static void harmless_phase(struct zdm_approval *a)
{
    a->phase = 2;
    a->phase_digest = (struct zdm_hash){{0}};
}

static void enter_a_purge(struct zdm_approval *a)
{
    a->phase = 4;
    a->phase_digest.bytes[0] = 4;
}

static void purge_a_contract(struct zdm_approval *a)
{
    a->action = ZDM_APPROVE_PURGE;
}

static void expired(struct zdm_approval *a)
{
    a->expires_at_ms = 1;
}

static void from_the_future(struct zdm_approval *a)
{
    a->issued_at_ms += ZDM_CLOCK_TOLERANCE_MS + 1000;
}

static void newer_trust(struct zdm_approval *a)
{
    a->trust_version++;
}

static void no_nonce(struct zdm_approval *a)
{
    a->nonce = (struct zdm_id){{0}};
}

static void unknown_shard(struct zdm_approval *a)
{
    static char *names[] = {(char *)"nobody"};
    a->shards = names;
    a->n_shards = 1;
}

static void approval_that_could_never_count_is_refused_and_told_why(void **unused)
{
    (void)unused;
    static const struct {
        void (*change)(struct zdm_approval *a);
        enum zdm_code code;
        const char *message;
    } rows[] = {
        {other_plan, ZDM_REFUSED, "the approval is for another plan than the one that was submitted as m"},
        {other_migration, ZDM_INVALID, "the approval is for migration other, the request for m"},
        {other_steps, ZDM_REFUSED, "the approval is for other steps than phase 3 of m has"},
        {no_such_phase, ZDM_INVALID, "the plan of m has no phase 9"},
        {harmless_phase, ZDM_REFUSED, "phase 2 (migrate) needs no approval"},
        {enter_a_purge, ZDM_INVALID, "phase 4 is a purge: the approval says enter"},
        {purge_a_contract, ZDM_INVALID, "phase 3 is no purge: the approval says purge"},
        {expired, ZDM_REFUSED, "the approval has expired"},
        {from_the_future, ZDM_REFUSED, "the approval was issued 601 s in the future"},
        {newer_trust, ZDM_REFUSED,
         "the approval was signed under version 2 of the trust file; here version 1 is in force"},
        {no_nonce, ZDM_INVALID, "the approval has no nonce"},
        {unknown_shard, ZDM_NOT_FOUND, "shard nobody, which the approval names, is not in migration m"},
    };
    struct fleet f;
    begin(&f);
    size_t events = f.n_log;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct zdm_approval a = approval_of(&f, ZDM_APPROVE_ENTER, 3);
        rows[i].change(&a);
        assert_int_equal(fleet_give(&f, BOB, ZDM_VERB_APPROVE, &a, NULL), rows[i].code);
        assert_string_equal(f.answer.message, rows[i].message);
    }
    assert_int_equal(fleet_approve(&f, DAN, ZDM_APPROVE_ENTER, 3), ZDM_REFUSED); /* an operator, no approver */
    assert_int_equal(fleet_approve(&f, EVE, ZDM_APPROVE_ENTER, 3), ZDM_REFUSED);
    assert_int_equal(f.n_log, events);
    struct zdm_approval a = approval_of(&f, ZDM_APPROVE_ENTER, 3);
    assert_int_equal(fleet_give(&f, BOB, ZDM_VERB_APPROVE, &a, NULL), ZDM_OK);
    assert_int_equal(fleet_give(&f, CAT, ZDM_VERB_APPROVE, &a, NULL), ZDM_EXISTS);
    assert_string_equal(f.answer.message, "this approval was given before");
    fleet_fini(&f);
}

static void submitter_does_not_count_under_four_eyes(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 1);
    f.view.authority.four_eyes = true;
    fleet_submit(&f, plan_of("m", "ed")); /* by ann */
    assert_int_equal(fleet_approve(&f, ANN, ZDM_APPROVE_ENTER, 2), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "ann submitted the plan and cannot approve it too");
    f.view.authority.four_eyes = false;
    assert_int_equal(fleet_approve(&f, ANN, ZDM_APPROVE_ENTER, 2), ZDM_OK);
    fleet_fini(&f);
}

static void who_is_no_approver_any_more_does_not_count_any_more(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f);
    fleet_approve(&f, BOB, ZDM_APPROVE_ENTER, 3);
    fleet_approve(&f, CAT, ZDM_APPROVE_ENTER, 3);
    assert_int_equal(given(&f), 2);
    f.view.authority.people[BOB].roles = ZDM_ROLE_VIEWER;
    assert_int_equal(given(&f), 1);
    fleet_fini(&f);
}

static void approval_may_name_the_shards_that_it_is_for(void **unused)
{
    (void)unused;
    struct fleet f;
    struct coord_overview seen;
    char *names[] = {(char *)"s00001"};
    fleet_init(&f, 2);
    fleet_submit(&f, plan_of("m", "ed"));
    fleet_heartbeat(&f);
    fleet_advance_to(&f, NULL, 2);
    fleet_obey_all(&f);
    struct zdm_approval a = approval_of(&f, ZDM_APPROVE_ENTER, 2);
    a.shards = names;
    a.n_shards = 1;
    assert_int_equal(fleet_give(&f, BOB, ZDM_VERB_APPROVE, &a, NULL), ZDM_OK);
    assert_status(&f, 0, COORD_READY);
    assert_status(&f, 1, COORD_MOVING);
    assert_true(coord_approvals_overview(f.state, &f.view, migration(&f), f.now_ms, &seen));
    assert_int_equal(seen.n_acts, 1);
    assert_int_equal(seen.acts[0].needed, 1);
    assert_int_equal(seen.acts[0].given, 0); /* for the first shard */
    assert_int_equal(seen.acts[0].n_by, 1);
    assert_string_equal(seen.by[0].text, "counts");
    coord_overview_fini(&seen);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void overview_names_what_needs_approvals_and_what_became_of_each(void **unused)
{
    (void)unused;
    struct fleet f;
    struct coord_overview seen;
    begin(&f);
    give(&f, BOB, WITHDRAWN);
    give(&f, CAT, EXPIRED);
    give(&f, FAY, GOOD);
    fleet_approve(&f, GUS, ZDM_APPROVE_UNDO, 1);
    f.now_ms += 6;
    assert_true(coord_approvals_overview(f.state, &f.view, migration(&f), f.now_ms, &seen));
    assert_int_equal(seen.n_acts, 3);
    assert_int_equal(seen.acts[0].action, ZDM_APPROVE_ENTER);
    assert_int_equal(seen.acts[0].phase, 3);
    assert_int_equal(seen.acts[0].needed, 3);
    assert_int_equal(seen.acts[0].given, 1);
    assert_string_equal(seen.by[0].text, "was withdrawn");
    assert_string_equal(seen.by[1].text, "has expired");
    assert_string_equal(seen.by[2].text, "counts");
    assert_int_equal(seen.acts[1].action, ZDM_APPROVE_PURGE);
    assert_int_equal(seen.acts[1].phase, 4);
    assert_int_equal(seen.acts[1].n_by, 0);
    assert_int_equal(seen.acts[2].action, ZDM_APPROVE_UNDO);
    assert_int_equal(seen.acts[2].given, 1);
    coord_overview_fini(&seen);
    fleet_fini(&f);
}

/* ---- Trust, and who signed the plan ---- */

static void newer_trust_file_is_adopted_when_it_follows_the_one_in_force(void **unused)
{
    (void)unused;
    struct fleet f;
    struct zdm_trust trust = {.version = 1};
    struct zdm_request request = {.verb = ZDM_VERB_TRUST, .request_id = {{1}}};
    struct coord_input input = {.kind = COORD_IN_REQUEST, .now_ms = 1000000};
    fleet_init(&f, 1);
    input.u.request.request = &request;
    input.u.request.name = "eve";
    input.u.request.roles = ZDM_ROLE_VIEWER; /* the roots' signatures are its authority */
    input.u.request.new_trust = &trust;
    input.u.request.new_trust_digest.bytes[0] = 7;
    fleet_input(&f, &input);
    assert_int_equal(f.state->trust_version, 1);
    assert_int_equal(count_effects(&f, COORD_DO_ADOPT_TRUST), 1);
    request.request_id.bytes[0] = 2;
    fleet_input(&f, &input); /* the same again */
    assert_int_equal(count_effects(&f, COORD_DO_ADOPT_TRUST), 0);
    assert_int_equal(f.out.effects[f.out.n_effects - 1].answer.code, ZDM_OK);
    trust.version = 3;
    fleet_input(&f, &input);
    assert_int_equal(f.out.effects[f.out.n_effects - 1].answer.code, ZDM_REFUSED);
    assert_int_equal(f.state->trust_version, 1);
    fleet_input(&f, &(struct coord_input){.kind = COORD_IN_TRUST, .u.trust = {.version = 2}}); /* found at the start */
    fleet_input(&f, &(struct coord_input){.kind = COORD_IN_TRUST, .u.trust = {.version = 2}});
    assert_int_equal(f.state->trust_version, 2);
    assert_int_equal(count_events(&f, COORD_EVENT_TRUST_ADOPTED), 2);
    fleet_fini(&f);
}

static void plan_whose_signer_is_no_operator_any_more_is_signed_anew_by_another(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 1);
    fleet_submit(&f, plan_of("m", "em"));
    fleet_heartbeat(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    uint64_t generation = shard(&f, 0)->generation;
    f.who = DAN;
    size_t events = f.n_log;
    assert_int_equal(fleet_submit(&f, plan_of("m", "em")), ZDM_OK); /* ann still may: the same request again */
    assert_int_equal(f.n_log, events);
    f.view.authority.people[ANN].roles = ZDM_ROLE_APPROVER;
    struct zdm_request bare = {.verb = ZDM_VERB_SUBMIT, .migration = "m", .plan_hash = migration(&f)->plan->hash};
    assert_int_equal(fleet_request(&f, &bare, NULL), ZDM_INVALID);
    assert_string_equal(f.answer.message, "the plan was not uploaded");
    assert_int_equal(f.n_log, events);
    assert_int_equal(fleet_submit(&f, plan_of("m", "em")), ZDM_OK);
    assert_string_equal(f.answer.message, "the plan of m is signed anew by dan");
    assert_int_equal(count_events(&f, COORD_EVENT_PLAN_AMENDED), 1);
    struct zdm_id signer = coord_plan_signer(migration(&f)), dan = person_id(DAN);
    assert_true(zdm_id_equal(&signer, &dan));
    assert_true(shard(&f, 0)->generation > generation);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 1);
    assert_int_equal(f.state->n_migrations, 1);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_count_as_are_good_of_distinct_approvers),
        cmocka_unit_test(third_good_approval_lets_the_shard_in_and_is_carried_by_its_order),
        cmocka_unit_test(rollback_spends_what_let_the_phase_in),
        cmocka_unit_test(directive_carries_at_most_sixteen_and_one_of_each_approver),
        cmocka_unit_test(approval_that_could_never_count_is_refused_and_told_why),
        cmocka_unit_test(submitter_does_not_count_under_four_eyes),
        cmocka_unit_test(who_is_no_approver_any_more_does_not_count_any_more),
        cmocka_unit_test(approval_may_name_the_shards_that_it_is_for),
        cmocka_unit_test(overview_names_what_needs_approvals_and_what_became_of_each),
        cmocka_unit_test(newer_trust_file_is_adopted_when_it_follows_the_one_in_force),
        cmocka_unit_test(plan_whose_signer_is_no_operator_any_more_is_signed_anew_by_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
