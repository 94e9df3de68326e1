/*
 * test_refusals.c - one wrong thing at a time: orders, approvals, purges and retries that are right but for one field,
 * each refused for that field, and nothing changed.
 */
#include "fleet.h"

#include <stdio.h>
#include <string.h>

#include "common/base/buffer.h"

/* A request as the driver hands it over; the caller changes one thing before it is sent. */
struct sent {
    struct zdm_request request;
    struct coord_input input;
    uint8_t bytes[sizeof(struct zdm_id)];
};

static void prepare(struct fleet *f, unsigned who, enum zdm_verb verb, const struct zdm_id *nonce, struct sent *out)
{
    static struct zdm_envelope envelope = {.bytes = (uint8_t *)"signed", .len = 6};
    const struct zdm_authority_person *person = &f->view.authority.people[who];
    memset(out, 0, sizeof *out);
    out->request.verb = verb;
    out->request.shards.all = true;
    zdm_copy_text(out->request.migration, sizeof out->request.migration, migration(f)->id);
    f->ids++;
    memcpy(out->request.request_id.bytes, &f->ids, sizeof f->ids);
    memcpy(out->bytes, nonce->bytes, sizeof out->bytes);
    out->request.payload = (struct zdm_envelope){.bytes = out->bytes, .len = sizeof out->bytes};
    out->input = (struct coord_input){.kind = COORD_IN_REQUEST, .now_ms = f->now_ms};
    out->input.u.request.request = &out->request;
    out->input.u.request.envelope = &envelope;
    out->input.u.request.key = out->input.u.request.payload_signer = person->key_id;
    out->input.u.request.name = person->name;
    out->input.u.request.roles = person->roles;
}

static enum zdm_code deliver(struct fleet *f, struct sent *sent)
{
    fleet_input(f, &sent->input);
    f->answer = f->out.effects[f->out.n_effects - 1].answer;
    fleet_tick(f);
    return f->answer.code;
}

static void begin(struct fleet *f, size_t n, const char *phases)
{
    fleet_init(f, n);
    struct zdm_plan *plan = plan_of("m", phases);
    plan->failure_budget = 9;
    assert_int_equal(fleet_submit(f, plan), ZDM_OK);
    fleet_heartbeat(f);
}

static void walk_to(struct fleet *f, uint32_t to)
{
    for (uint32_t p = migration(f)->opened_phase + 1; p <= to; p++) {
        enum zdm_approval_action action;
        if (coord_phase_needs(&f->view, migration(f), p, &action) > 0)
            assert_int_equal(fleet_approve(f, BOB, action, p), ZDM_OK);
        assert_int_equal(fleet_ask(f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
        fleet_obey_all(f);
    }
}

/* ---- Undo orders ---- */

static void undo_order_of_somebody_else_or_for_another_phase_than_the_request_is_refused(void **unused)
{
    (void)unused;
    struct fleet f;
    struct sent sent;
    begin(&f, 1, "emm");
    walk_to(&f, 2);
    size_t events = f.n_log;
    struct zdm_undo_order order = order_of(&f, 0);
    prepare(&f, ANN, ZDM_VERB_ROLLBACK, &order.nonce, &sent);
    sent.input.u.request.undo_order = &order;
    sent.input.u.request.payload_signer = person_id(DAN); /* an operator, too */
    assert_int_equal(deliver(&f, &sent), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "the undo order is signed by another key than the request");
    order = order_of(&f, 0);
    prepare(&f, ANN, ZDM_VERB_ROLLBACK, &order.nonce, &sent);
    sent.input.u.request.undo_order = &order;
    sent.request.to_phase = 1;
    assert_int_equal(deliver(&f, &sent), ZDM_INVALID);
    assert_string_equal(f.answer.message, "the undo order goes back to phase 0, the request to phase 1");
    order = order_of(&f, 0);
    order.nonce = (struct zdm_id){{0}};
    assert_int_equal(fleet_order(&f, &order, NULL, false), ZDM_EXISTS);
    order = order_of(&f, 9);
    assert_int_equal(fleet_order(&f, &order, NULL, false), ZDM_INVALID);
    assert_string_equal(f.answer.message, "the plan has 3 phases");
    assert_int_equal(f.n_log, events);
    fleet_fini(&f);
}

static void what_was_undone_everywhere_is_not_rolled_back_again(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 1, "em");
    walk_to(&f, 1);
    assert_int_equal(fleet_rollback(&f, NULL, 0, false), ZDM_OK);
    fleet_obey_all(&f);
    assert_int_equal(migration(&f)->outcome, COORD_END_UNDONE);
    size_t events = f.n_log;
    assert_int_equal(fleet_rollback(&f, NULL, 0, false), ZDM_REFUSED);
    assert_non_null(strstr(f.answer.hint, "submit the same runbook again"));
    assert_int_equal(f.n_log, events);
    fleet_fini(&f);
}

static void flag_of_a_switch_that_was_opened_but_not_entered_has_to_be_off_too(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 2, "ems");
    walk_to(&f, 2);
    f.now_ms += COORD_SILENT_MS; /* nobody is heard: the phase is opened, nobody goes */
    assert_int_equal(fleet_advance_to(&f, NULL, 3), ZDM_OK);
    assert_status(&f, 0, COORD_READY);
    assert_int_equal(shard(&f, 0)->opened, 3);
    assert_int_equal(fleet_rollback(&f, NULL, 1, false), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "reverse barrier: flag use-new of phase 3 may still be on");
    assert_int_equal(fleet_rollback(&f, NULL, 1, true), ZDM_OK);
    fleet_fini(&f);
}

/* Two shards beyond the switch; the second is taken out, the first goes back below it. */
static void go_back_without_the_excluded(struct fleet *f)
{
    begin(f, 2, "escp");
    walk_to(f, 3);
    assert_int_equal(fleet_exclude(f, "shard=s00001", "its host burns"), ZDM_OK);
    assert_int_equal(fleet_rollback(f, NULL, 2, false), ZDM_OK);
    fleet_obey(f, 0);
    if (fleet_rollback(f, NULL, 1, true) != ZDM_OK)
        fail_msg("%s; %s", f->answer.message, f->answer.detail);
    fleet_obey(f, 0);
    assert_int_equal(shard(f, 0)->at, 1);
}

static void excluded_shard_neither_stands_beyond_a_switch_nor_keeps_its_gate_open(void **unused)
{
    (void)unused;
    struct fleet f;
    go_back_without_the_excluded(&f);
    assert_int_equal(migration(&f)->gates[1].state, COORD_GATE_WAITING);
    assert_int_equal(migration(&f)->opened_phase, 1);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

/* ---- Approvals ---- */

static void approval_of_another_key_than_the_requests_or_of_who_is_no_approver_is_refused(void **unused)
{
    (void)unused;
    struct fleet f;
    struct sent sent;
    begin(&f, 1, "ed");
    size_t events = f.n_log;
    struct zdm_approval a = approval_of(&f, ZDM_APPROVE_ENTER, 2);
    prepare(&f, BOB, ZDM_VERB_APPROVE, &a.nonce, &sent);
    sent.input.u.request.approval = &a;
    sent.input.u.request.payload_signer = person_id(CAT);
    assert_int_equal(deliver(&f, &sent), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "the approval is signed by another key than the request");
    a = approval_of(&f, ZDM_APPROVE_ENTER, 2);
    prepare(&f, DAN, ZDM_VERB_APPROVE, &a.nonce, &sent);
    sent.input.u.request.approval = &a;
    sent.input.u.request.roles = ZDM_ROLE_APPROVER; /* whatever the driver says: the trust file counts */
    assert_int_equal(deliver(&f, &sent), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "dan is no approver in the trust file in force");
    assert_int_equal(f.n_log, events);
    fleet_fini(&f);
}

static void approval_counts_to_its_last_millisecond_and_not_one_longer(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 1, "ed");
    struct zdm_approval a = approval_of(&f, ZDM_APPROVE_ENTER, 2);
    a.expires_at_ms = f.now_ms - 1;
    assert_int_equal(fleet_give(&f, BOB, ZDM_VERB_APPROVE, &a, NULL), ZDM_REFUSED);
    a.expires_at_ms = f.now_ms;
    assert_int_equal(fleet_give(&f, BOB, ZDM_VERB_APPROVE, &a, NULL), ZDM_OK);
    fleet_fini(&f);
}

static void nonce_that_was_used_in_another_migration_is_refused(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 1, "ed");
    struct zdm_approval first = approval_of(&f, ZDM_APPROVE_ENTER, 2);
    assert_int_equal(fleet_give(&f, BOB, ZDM_VERB_APPROVE, &first, NULL), ZDM_OK);
    walk_to(&f, 2);
    assert_int_equal(migration(&f)->mode, COORD_ENDED);
    assert_int_equal(fleet_submit(&f, plan_of("n", "ed")), ZDM_OK);
    struct zdm_approval second = approval_of(&f, ZDM_APPROVE_ENTER, 2);
    second.nonce = first.nonce;
    assert_int_equal(fleet_give(&f, BOB, ZDM_VERB_APPROVE, &second, NULL), ZDM_EXISTS);
    fleet_fini(&f);
}

static void migration_keeps_no_more_than_a_thousand_approvals(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 1, "ed");
    f.check = false;
    for (int i = 0; i < 1024; i++)
        assert_int_equal(fleet_approve(&f, BOB, ZDM_APPROVE_ENTER, 2), ZDM_OK);
    assert_int_equal(fleet_approve(&f, BOB, ZDM_APPROVE_ENTER, 2), ZDM_LIMIT);
    assert_string_equal(f.answer.message, "migration m has 1024 approvals already");
    fleet_fini(&f);
}

static void approval_that_an_order_carries_is_sent_at_once_and_withdrawn_once(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 1, "ed");
    assert_int_equal(fleet_approve(&f, BOB, ZDM_APPROVE_ENTER, 2), ZDM_OK);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 0); /* phase 1 carries none */
    assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
    fleet_obey(&f, 0);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
    assert_status(&f, 0, COORD_MOVING);
    struct zdm_approval a = approval_of(&f, ZDM_APPROVE_ENTER, 2);
    assert_int_equal(fleet_give(&f, CAT, ZDM_VERB_APPROVE, &a, NULL), ZDM_OK);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 1);
    assert_int_equal(fleet_revoke(&f, CAT, &a.nonce), ZDM_OK);
    assert_int_equal(fleet_revoke(&f, CAT, &a.nonce), ZDM_OK);
    assert_int_equal(count_events(&f, COORD_EVENT_APPROVAL_REVOKED), 1);
    fleet_fini(&f);
}

/* ---- Purge ---- */

static void purge_is_refused_where_the_approval_does_not_reach_and_while_the_fleet_is_frozen(void **unused)
{
    (void)unused;
    struct fleet f;
    char *names[] = {(char *)"s00000"};
    begin(&f, 2, "ep");
    walk_to(&f, 1);
    struct zdm_approval a = approval_of(&f, ZDM_APPROVE_PURGE, 2);
    a.shards = names;
    a.n_shards = 1;
    assert_int_equal(fleet_give(&f, BOB, ZDM_VERB_PURGE, &a, NULL), ZDM_INVALID);
    assert_string_equal(f.answer.message, "the approval does not name shard s00001, which the request selects");
    assert_int_equal(fleet_ask(&f, ZDM_VERB_FREEZE, NULL), ZDM_OK);
    assert_int_equal(fleet_purge(&f, BOB, 2, NULL), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "the fleet is frozen");
    assert_int_equal(migration(&f)->opened_phase, 1);
    fleet_fini(&f);
}

static void purge_opens_nothing_for_who_is_on_the_way_back_or_behind_a_gate_that_was_put_back(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 1, "ep");
    walk_to(&f, 1);
    assert_int_equal(fleet_rollback(&f, NULL, 0, false), ZDM_OK);
    assert_int_equal(fleet_purge(&f, BOB, 2, NULL), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "no selected shard has finished phase 1 and has its purge before it");
    assert_int_equal(shard(&f, 0)->opened, 0);
    fleet_fini(&f);
    go_back_without_the_excluded(&f);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_INCLUDE, "shard=s00001"), ZDM_OK);
    fleet_obey(&f, 1);
    assert_int_equal(shard(&f, 1)->at, 3);
    assert_int_equal(fleet_purge(&f, BOB, 4, "shard=s00001"), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "gate use-new stands before the purge");
    fleet_fini(&f);
}

static void approval_to_enter_is_none_to_purge(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 1, "ed");
    walk_to(&f, 1);
    struct zdm_approval a = approval_of(&f, ZDM_APPROVE_ENTER, 2);
    assert_int_equal(fleet_give(&f, BOB, ZDM_VERB_PURGE, &a, NULL), ZDM_INVALID);
    assert_string_equal(f.answer.message, "the request to purge carries an approval to enter");
    assert_int_equal(migration(&f)->opened_phase, 1);
    assert_int_equal(migration(&f)->n_approvals, 0);
    fleet_fini(&f);
}

static void purge_phase_of_a_migration_that_has_ended_is_not_opened(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 1, "ep");
    walk_to(&f, 2);
    assert_int_equal(migration(&f)->mode, COORD_ENDED);
    assert_int_equal(fleet_purge(&f, BOB, 2, NULL), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "migration m has ended");
    fleet_fini(&f);
}

/* ---- Given up on the way back ---- */

static void rollback_is_given_up_only_on_a_fresh_report_about_this_very_order(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f, 1, "emmm");
    walk_to(&f, 3);
    tell(&f, 0, 0, 3, &told);
    struct zdm_fence before = told.of.accepted;
    assert_int_equal(fleet_rollback(&f, NULL, 0, false), ZDM_OK);
    for (unsigned wrong = 0; wrong < 4; wrong++) {
        tell(&f, 0, 0, 2, &told);
        told.of.proven = wrong != 0;
        if (wrong == 1)
            told.of.accepted = before;
        told.report.connected = wrong != 2;
        told.report.writable = wrong != 3;
        fleet_report(&f, &told);
        assert_int_equal(fleet_forward(&f, NULL), ZDM_REFUSED);
        assert_non_null(strstr(f.answer.hint, "Try again when its agent has spoken"));
        assert_status(&f, 0, COORD_UNDOING);
    }
    tell(&f, 0, 0, 4, &told); /* more than it had: it goes on from where it was */
    fleet_report(&f, &told);
    assert_int_equal(fleet_forward(&f, NULL), ZDM_OK);
    assert_int_equal(shard(&f, 0)->at, 3);
    assert_int_equal(shard(&f, 0)->goal, 3);
    assert_int_equal(count_events(&f, COORD_EVENT_SHARD_REGRESSED), 0);
    fleet_fini(&f);
}

/* ---- Out of the fleet, and open again ---- */

static void last_shard_that_is_not_excluded_stays(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 2, "em");
    assert_int_equal(fleet_exclude(&f, "shard=s00001", "gone"), ZDM_OK);
    assert_int_equal(fleet_exclude(&f, "shard=s00000", "gone, too"), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "no shard of migration m would be left");
    fleet_fini(&f);
}

static void only_resume_of_all_shards_opens_a_halted_migration(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 2);
    assert_int_equal(fleet_submit(&f, plan_of("m", "em")), ZDM_OK); /* budget 0 */
    fleet_heartbeat(&f);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
    fleet_fail(&f, 0, "no");
    assert_int_equal(migration(&f)->mode, COORD_HALTED);
    (void)fleet_ask(&f, ZDM_VERB_RESUME, "shard=s00001");
    assert_int_equal(migration(&f)->mode, COORD_HALTED);
    (void)fleet_ask(&f, ZDM_VERB_RESUME, NULL);
    assert_int_equal(migration(&f)->mode, COORD_OPEN);
    fleet_fini(&f);
}

/* ---- Reports that do not count ---- */

/* Undone, purged: said of an order that is not the newest any more, or by an agent that is not the one that acts. */
static void word_of_another_order_or_of_another_agent_ends_no_rollback_and_no_purge(void **unused)
{
    (void)unused;
    for (uint32_t to = 0; to < 2; to++)
        for (unsigned wrong = 0; wrong < 2; wrong++) {
            struct fleet f;
            struct told told;
            begin(&f, 1, "emm");
            walk_to(&f, 2);
            fleet_enroll(&f, 0, 1);
            tell(&f, 0, 0, 2, &told);
            struct zdm_fence forward = told.of.accepted;
            assert_int_equal(fleet_rollback(&f, NULL, to, false), ZDM_OK);
            tell(&f, 0, wrong == 1, to, &told);
            told.of.undone = true;
            if (wrong == 0)
                told.of.accepted = forward;
            else
                told.report.timeline = 0; /* a copy: nobody would let it act */
            fleet_report(&f, &told);
            assert_int_equal(shard(&f, 0)->at, 2);
            assert_int_equal(count_events(&f, COORD_EVENT_SHARD_UNDONE), 0);
            fleet_ask(&f, ZDM_VERB_PAUSE, NULL);
            fleet_report(&f, &told);
            assert_int_equal(count_events(&f, COORD_EVENT_SHARD_UNDONE), 0);
            assert_false(f.state->fenced);
            fleet_fini(&f);
        }
}

static void leftovers_are_purged_only_by_the_word_of_the_newest_order(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f, 1, "em");
    walk_to(&f, 1);
    assert_int_equal(fleet_rollback(&f, NULL, 0, false), ZDM_OK);
    tell(&f, 0, 0, 0, &told);
    struct zdm_fence back = told.of.accepted;
    told.of.undone = true;
    told.of.hidden_total = 1;
    fleet_report(&f, &told);
    assert_int_equal(fleet_purge(&f, BOB, 0, NULL), ZDM_OK);
    assert_int_equal(shard(&f, 0)->mode, ZDM_MODE_PURGE);
    tell(&f, 0, 0, 0, &told);
    told.of.purged = true;
    told.of.accepted = back;
    fleet_report(&f, &told);
    assert_int_equal(count_events(&f, COORD_EVENT_SHARD_PURGED), 0);
    assert_int_equal(shard(&f, 0)->mode, ZDM_MODE_PURGE);
    fleet_obey(&f, 0);
    assert_int_equal(count_events(&f, COORD_EVENT_SHARD_PURGED), 1);
    fleet_fini(&f);
}

/* ---- The rows by themselves: what their guards ask for, whoever asks first ---- */

static unsigned row_for(struct fleet *f, struct coord_case *c)
{
    c->state = f->state;
    c->view = &f->view;
    c->m = migration(f);
    c->s = shard(f, 0);
    c->agent = agent_id(0, 0);
    c->now_ms = f->now_ms;
    const struct coord_rule *rule = coord_case_match(c);
    return rule != NULL ? rule->number : 0;
}

static void release_is_refused_by_its_row_too_while_closed_or_frozen(void **unused)
{
    (void)unused;
    struct fleet f;
    struct coord_case c = {.on = COORD_ON_RELEASE, .phase = 1};
    begin(&f, 1, "em");
    assert_int_equal(row_for(&f, &c), 0);
    shard(&f, 0)->opened = 1;
    assert_int_equal(row_for(&f, &c), 10);
    f.state->frozen = true;
    assert_int_equal(row_for(&f, &c), 0);
    f.state->frozen = false;
    f.state->fenced = true;
    assert_int_equal(row_for(&f, &c), 0);
    fleet_fini(&f);
}

static void doubt_is_ended_neither_by_a_loss_nor_by_proof_on_the_way_back(void **unused)
{
    (void)unused;
    struct fleet f;
    struct coord_case lost = {.on = COORD_ON_REGRESSED, .phase = 1, .current = true};
    struct coord_case proven = {.on = COORD_ON_PROVEN, .phase = 2, .current = true};
    begin(&f, 1, "emm");
    walk_to(&f, 2);
    shard(&f, 0)->status = COORD_UNSURE;
    shard(&f, 0)->mode = ZDM_MODE_PAUSE;
    assert_int_equal(row_for(&f, &lost), 51);
    assert_int_equal(row_for(&f, &proven), 54);
    shard(&f, 0)->failed_back = true;
    shard(&f, 0)->goal = 0;
    assert_int_equal(row_for(&f, &proven), 0);
    fleet_fini(&f);
}

/* ---- Back, and what is kept of it ---- */

static void retry_on_the_way_back_is_a_new_attempt(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 1, "emm");
    walk_to(&f, 2);
    assert_int_equal(fleet_rollback(&f, NULL, 0, false), ZDM_OK);
    fleet_fail(&f, 0, "cannot");
    uint32_t attempt = shard(&f, 0)->attempt;
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RETRY, NULL), ZDM_OK);
    assert_status(&f, 0, COORD_UNDOING);
    assert_int_equal(shard(&f, 0)->attempt, attempt + 1); /* else it stays stopped at the agent */
    fleet_fini(&f);
}

static void failure_that_is_heard_after_a_pause_remembers_that_it_was_on_the_way_back(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f, 1, "emm");
    walk_to(&f, 2);
    assert_int_equal(fleet_rollback(&f, NULL, 0, false), ZDM_OK);
    tell(&f, 0, 0, 2, &told);
    told.of.state = ZDM_AGENT_STOPPED;
    told.of.failed_attempt = shard(&f, 0)->attempt;
    told.of.error_code = ZDM_DATABASE;
    assert_int_equal(fleet_ask(&f, ZDM_VERB_PAUSE, NULL), ZDM_OK);
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_HELD);
    assert_int_equal(shard(&f, 0)->resume_to, COORD_FAILED);
    assert_true(shard(&f, 0)->failed_back);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RESUME, NULL), ZDM_OK);
    assert_int_equal(shard(&f, 0)->mode, ZDM_MODE_UNDO);
    fleet_fini(&f);
}

static void shard_that_was_excluded_on_the_way_back_is_on_it_when_it_is_included(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 2, "emm");
    walk_to(&f, 2);
    assert_int_equal(fleet_rollback(&f, "shard=s00001", 0, false), ZDM_OK);
    assert_int_equal(fleet_exclude(&f, "shard=s00001", "its host burns"), ZDM_OK);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_INCLUDE, "shard=s00001"), ZDM_OK);
    assert_status(&f, 1, COORD_UNSURE);
    assert_true(coord_is_going_back(shard(&f, 1)));
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RETRY, "shard=s00001"), ZDM_OK);
    assert_status(&f, 1, COORD_UNDOING);
    fleet_fini(&f);
}

static void waves_go_one_after_the_other_again_and_the_barrier_is_noted_again_after_a_rollback(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 2);
    struct zdm_plan *plan = plan_of("m", "es");
    plan->n_waves = 2;
    plan->waves[0].percent = 50;
    plan->waves[1].percent = 100;
    assert_int_equal(fleet_submit(&f, plan), ZDM_OK);
    fleet_heartbeat(&f);
    for (int round = 0; round < 2; round++) {
        for (uint32_t p = 1; p <= 2; p++) {
            assert_int_equal(fleet_advance_to(&f, NULL, p), ZDM_OK);
            size_t first = shard(&f, 0)->wave == 0 ? 0 : 1;
            assert_status(&f, first, COORD_MOVING);
            assert_status(&f, 1 - first, COORD_READY);
            fleet_obey(&f, first);
            assert_status(&f, 1 - first, COORD_MOVING);
            fleet_obey(&f, 1 - first);
        }
        assert_int_equal(count_events(&f, COORD_EVENT_BARRIER_OPENED), round + 1);
        if (round == 0) {
            assert_int_equal(fleet_rollback(&f, NULL, 0, true), ZDM_OK);
            fleet_ask(&f, ZDM_VERB_PAUSE, NULL); /* else the migration ends with it */
            fleet_obey_all(&f);
            fleet_ask(&f, ZDM_VERB_PAUSE, NULL);
            break;
        }
    }
    assert_int_equal(migration(&f)->opened_phase, 0);
    assert_int_equal(migration(&f)->wave_of[0], 0);
    assert_int_equal(migration(&f)->wave_of[1], 0);
    assert_int_equal(migration(&f)->barrier_phase, 0);
    fleet_fini(&f);
}

static void overview_shows_the_shard_that_has_the_fewest_and_who_would_still_lose(void **unused)
{
    (void)unused;
    struct fleet f;
    struct coord_overview seen;
    char *names[] = {(char *)"s00000"};
    begin(&f, 2, "emd");
    walk_to(&f, 1);
    struct zdm_approval a = approval_of(&f, ZDM_APPROVE_ENTER, 3);
    a.shards = names;
    a.n_shards = 1;
    assert_int_equal(fleet_give(&f, BOB, ZDM_VERB_APPROVE, &a, NULL), ZDM_OK);
    assert_true(coord_approvals_overview(f.state, &f.view, migration(&f), f.now_ms, &seen));
    assert_int_equal(seen.acts[0].given, 0); /* s00001 has none */
    coord_overview_fini(&seen);
    /* An approval to go back to phase 1 concerns who is beyond it, and not who has not come there. */
    walk_to(&f, 2);
    assert_int_equal(fleet_rollback(&f, "shard=s00000", 1, false), ZDM_OK);
    fleet_obey(&f, 0);
    a = approval_of(&f, ZDM_APPROVE_UNDO, 1);
    names[0] = (char *)"s00001";
    a.shards = names;
    a.n_shards = 1;
    assert_int_equal(fleet_give(&f, CAT, ZDM_VERB_APPROVE, &a, NULL), ZDM_OK);
    assert_true(coord_approvals_overview(f.state, &f.view, migration(&f), f.now_ms, &seen));
    for (size_t i = 0; i < seen.n_acts; i++)
        if (seen.acts[i].action == ZDM_APPROVE_UNDO)
            assert_int_equal(seen.acts[i].given, 1);
    coord_overview_fini(&seen);
    fleet_fini(&f);
}

/* ---- Trust and recovery ---- */

static void other_trust_file_of_the_version_in_force_is_not_called_the_same(void **unused)
{
    (void)unused;
    struct fleet f;
    struct sent sent;
    struct zdm_trust same = {.version = 1};
    begin(&f, 1, "em");
    same.version = f.state->trust_version;
    struct zdm_id nonce = {{0}};
    prepare(&f, ANN, ZDM_VERB_TRUST, &nonce, &sent);
    sent.input.u.request.new_trust = &same;
    sent.input.u.request.new_trust_digest = f.state->trust_digest;
    assert_int_equal(deliver(&f, &sent), ZDM_OK);
    prepare(&f, ANN, ZDM_VERB_TRUST, &nonce, &sent);
    sent.input.u.request.new_trust = &same;
    sent.input.u.request.new_trust_digest = f.state->trust_digest;
    sent.input.u.request.new_trust_digest.bytes[0] ^= 1;
    assert_int_equal(deliver(&f, &sent), ZDM_REFUSED);
    assert_int_equal(count_events(&f, COORD_EVENT_TRUST_ADOPTED), 0);
    fleet_fini(&f);
}

static void recover(struct fleet *f, uint8_t id)
{
    struct zdm_envelope envelope = {.bytes = (uint8_t *)"signed", .len = 6};
    struct zdm_request request = {.verb = ZDM_VERB_RECOVER, .request_id = {{0x77, id}}};
    struct coord_input input = {.kind = COORD_IN_RECOVER, .now_ms = f->now_ms};
    input.u.recover.request = &request;
    input.u.recover.envelope = &envelope;
    input.u.recover.key = person_id(ANN);
    input.u.recover.name = "ann";
    fleet_input(f, &input);
}

static void recovery_is_done_once_and_goes_above_what_any_report_or_the_log_has_seen(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f, 1, "em");
    uint64_t before = f.state->epoch;
    tell(&f, 0, 0, 0, &told); /* of two migrations, the second is the newer */
    struct zdm_migration_report both[2] = {told.of, told.of};
    both[1].accepted.epoch = before + 7;
    zdm_copy_text(both[1].migration, sizeof both[1].migration, "lost");
    struct coord_input input = {.kind = COORD_IN_REPORT, .now_ms = f.now_ms};
    told.report.migrations = both;
    told.report.n_migrations = 2;
    input.u.report.agent = told.agent;
    input.u.report.report = &told.report;
    fleet_input(&f, &input);
    assert_true(f.state->fenced);
    recover(&f, 1);
    assert_int_equal(f.state->epoch, before + 8);
    recover(&f, 1); /* the answer was lost */
    assert_int_equal(count_events(&f, COORD_EVENT_RECOVERED), 1);
    fleet_fini(&f);
    /* Seen once, and noted: the agent need not be heard again. */
    begin(&f, 1, "em");
    struct coord_event fenced = {.type = COORD_EVENT_FENCED};
    fenced.u.fenced.seen_epoch = before + 4;
    fleet_event(&f, &fenced);
    recover(&f, 2);
    assert_int_equal(f.state->epoch, before + 5);
    fleet_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(undo_order_of_somebody_else_or_for_another_phase_than_the_request_is_refused),
        cmocka_unit_test(what_was_undone_everywhere_is_not_rolled_back_again),
        cmocka_unit_test(flag_of_a_switch_that_was_opened_but_not_entered_has_to_be_off_too),
        cmocka_unit_test(excluded_shard_neither_stands_beyond_a_switch_nor_keeps_its_gate_open),
        cmocka_unit_test(approval_of_another_key_than_the_requests_or_of_who_is_no_approver_is_refused),
        cmocka_unit_test(approval_counts_to_its_last_millisecond_and_not_one_longer),
        cmocka_unit_test(nonce_that_was_used_in_another_migration_is_refused),
        cmocka_unit_test(migration_keeps_no_more_than_a_thousand_approvals),
        cmocka_unit_test(approval_that_an_order_carries_is_sent_at_once_and_withdrawn_once),
        cmocka_unit_test(purge_is_refused_where_the_approval_does_not_reach_and_while_the_fleet_is_frozen),
        cmocka_unit_test(purge_opens_nothing_for_who_is_on_the_way_back_or_behind_a_gate_that_was_put_back),
        cmocka_unit_test(approval_to_enter_is_none_to_purge),
        cmocka_unit_test(purge_phase_of_a_migration_that_has_ended_is_not_opened),
        cmocka_unit_test(rollback_is_given_up_only_on_a_fresh_report_about_this_very_order),
        cmocka_unit_test(last_shard_that_is_not_excluded_stays),
        cmocka_unit_test(only_resume_of_all_shards_opens_a_halted_migration),
        cmocka_unit_test(word_of_another_order_or_of_another_agent_ends_no_rollback_and_no_purge),
        cmocka_unit_test(leftovers_are_purged_only_by_the_word_of_the_newest_order),
        cmocka_unit_test(release_is_refused_by_its_row_too_while_closed_or_frozen),
        cmocka_unit_test(doubt_is_ended_neither_by_a_loss_nor_by_proof_on_the_way_back),
        cmocka_unit_test(retry_on_the_way_back_is_a_new_attempt),
        cmocka_unit_test(failure_that_is_heard_after_a_pause_remembers_that_it_was_on_the_way_back),
        cmocka_unit_test(shard_that_was_excluded_on_the_way_back_is_on_it_when_it_is_included),
        cmocka_unit_test(waves_go_one_after_the_other_again_and_the_barrier_is_noted_again_after_a_rollback),
        cmocka_unit_test(overview_shows_the_shard_that_has_the_fewest_and_who_would_still_lose),
        cmocka_unit_test(other_trust_file_of_the_version_in_force_is_not_called_the_same),
        cmocka_unit_test(recovery_is_done_once_and_goes_above_what_any_report_or_the_log_has_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
