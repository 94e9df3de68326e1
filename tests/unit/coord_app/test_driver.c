/*
 * test_driver.c - the driver as its peers see it: joining, orders after the commit, restarts, refusals, failing stores.
 */
#include "tests/unit/coord_app/world.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

static bool has_migration(const struct world *w, const char *id)
{
    return coord_find_migration(coord_driver_state(w->driver), id) != NULL;
}

/* ann and one agent; "rename" submitted and its first phase opened; the agent has its orders. */
struct scene {
    struct client *ann, *agent;
    struct zdm_directive orders;
};

static void open_scene(struct world *w, struct scene *s)
{
    s->ann = dial_person(w, &w->ann);
    assert_non_null(s->ann);
    s->agent = join(w, s->ann, 1);
    report(s->agent, 1, NULL, 0, ZDM_AGENT_RESTING);
    expect_ok(submit(s->ann));
    expect_ok(ask_verb(s->ann, ZDM_VERB_ADVANCE, NULL));
    assert_true(take_orders(s->agent, &s->orders));
}

static void close_scene(struct scene *s)
{
    zdm_directive_fini(&s->orders);
}

/* ---- The walk ---- */

static void a_new_agent_joins_with_a_token_and_is_known_when_it_dials_again(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    struct client *agent = join(w, ann, 1);
    struct zdm_frame frame;
    assert_true(take(agent, ZDM_FRAME_WELCOME, &frame));
    assert_string_equal(frame.u.welcome.name, "shard-1");
    assert_int_equal(frame.u.welcome.epoch, 1);
    const struct coord_agent *known = coord_find_agent(coord_driver_state(w->driver), &w->agents[1].id);
    assert_non_null(known);
    assert_string_equal(known->shard, "shard-1");
}

static void a_wrong_secret_does_not_join(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    (void)join(w, ann, 1);
    struct client *c = dial_as(w, ZDM_SESSION_AGENT, &w->agents[2], true);
    const struct zdm_frame frame = {.type = ZDM_FRAME_JOIN};
    give(c, &frame);
    assert_false(c->open);
    assert_null(coord_find_agent(coord_driver_state(w->driver), &w->agents[2].id));
}

static void a_report_is_acknowledged_with_a_lease(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    struct client *agent = join(w, ann, 1);
    struct zdm_frame frame;
    report(agent, 7, NULL, 0, ZDM_AGENT_RESTING);
    assert_true(take(agent, ZDM_FRAME_ACK, &frame));
    assert_int_equal(frame.u.ack.number, 7);
    assert_true(frame.u.ack.lease_ms > 0);
}

static void an_advance_gives_the_agent_signed_orders(void **state)
{
    struct world *w = *state;
    struct scene s;
    open_scene(w, &s);
    assert_string_equal(s.orders.shard, "shard-1");
    assert_int_equal(s.orders.goal_phase, 1);
    assert_int_equal(s.orders.mode, ZDM_MODE_RUN);
    assert_int_equal(s.orders.fence.epoch, 1);
    assert_true(zdm_id_equal(&s.orders.actor, &w->agents[1].id));
    close_scene(&s);
}

static void a_migration_goes_through_its_phases_to_its_end(void **state)
{
    struct world *w = *state;
    struct scene s;
    open_scene(w, &s);
    report(s.agent, 2, &s.orders, 0, ZDM_AGENT_WORKING);
    report(s.agent, 3, &s.orders, 1, ZDM_AGENT_RESTING);
    expect_ok(ask_verb(s.ann, ZDM_VERB_ADVANCE, NULL));
    zdm_directive_fini(&s.orders);
    assert_true(take_orders(s.agent, &s.orders));
    assert_int_equal(s.orders.goal_phase, 2);
    report(s.agent, 4, &s.orders, 2, ZDM_AGENT_RESTING);
    char *status = query(s.ann, ZDM_QUERY_STATUS, "");
    expect_in(status, "\"outcome\":\"done\"");
    free(status);
    close_scene(&s);
}

static void a_pause_is_sent_only_after_its_commit(void **state)
{
    struct world *w = *state;
    struct scene s;
    struct zdm_directive paused;
    open_scene(w, &s);
    size_t before = w->frames_sent;
    expect_ok(ask_verb(s.ann, ZDM_VERB_PAUSE, "shard-1"));
    assert_int_equal(w->frames_at_append, before);
    assert_true(take_orders(s.agent, &paused));
    assert_int_equal(paused.mode, ZDM_MODE_PAUSE);
    assert_true(paused.fence.generation > s.orders.fence.generation);
    zdm_directive_fini(&paused);
    close_scene(&s);
}

static void the_agent_fetches_its_plan_in_pieces(void **state)
{
    struct world *w = *state;
    struct scene s;
    struct zdm_frame frame = {.type = ZDM_FRAME_PLAN_REQUEST};
    struct zdm_buffer whole = ZDM_BUFFER_INIT;
    struct zdm_error err;
    struct zdm_envelope envelope;
    open_scene(w, &s);
    frame.u.piece.hash = s.orders.plan_hash;
    give(s.agent, &frame);
    assert_true(take(s.agent, ZDM_FRAME_PLAN_PIECE, &frame));
    zdm_buffer_append(&whole, frame.u.piece.bytes, frame.u.piece.n);
    assert_int_equal(frame.u.piece.total, whole.len);
    frame = (struct zdm_frame){.type = ZDM_FRAME_PLAN_REQUEST};
    frame.u.piece.hash = s.orders.plan_hash;
    frame.u.piece.offset = (uint32_t)whole.len - 10;
    give(s.agent, &frame);
    assert_true(take(s.agent, ZDM_FRAME_PLAN_PIECE, &frame));
    assert_int_equal(frame.u.piece.n, 10);
    assert_memory_equal(frame.u.piece.bytes, whole.data + whole.len - 10, 10);
    assert_int_equal(zdm_envelope_unflatten(whole.data, whole.len, &envelope, &err), ZDM_OK);
    zdm_envelope_fini(&envelope);
    zdm_buffer_fini(&whole);
    close_scene(&s);
}

/* ---- Restarts ---- */

static void strip(char *text, const char *key)
{
    for (char *at = text; (at = strstr(at, key)) != NULL;) {
        char *end = at + strcspn(at, ",}");
        memmove(at, end, strlen(end) + 1);
    }
}

/* The status without what a restart changes: times, epoch, and what agents said. */
static char *lasting_status(struct world *w)
{
    struct zdm_error err;
    char *text = coord_driver_status(w->driver, "rename", &err);
    static const char *const volatile_keys[] = {"\"now\":",       "\"uptime_s\":", "\"epoch\":",  "\"heard_ms\":",
                                                "\"connected\":", "\"release\":",  "\"engine\":", "\"reason\":"};
    assert_non_null(text);
    for (size_t i = 0; i < sizeof volatile_keys / sizeof *volatile_keys; i++)
        strip(text, volatile_keys[i]);
    char *observed = strstr(text, "\"observed\":");
    if (observed != NULL)
        *observed = '\0';
    return text;
}

static void a_restart_brings_back_the_state_from_the_log(void **state)
{
    struct world *w = *state;
    struct scene s;
    open_scene(w, &s);
    report(s.agent, 2, &s.orders, 1, ZDM_AGENT_RESTING);
    expect_ok(ask_verb(s.ann, ZDM_VERB_PAUSE, "shard-1"));
    char *before = lasting_status(w);
    world_restart(w);
    char *after = lasting_status(w);
    assert_string_equal(before, after);
    assert_int_equal(coord_driver_state(w->driver)->epoch, 2);
    free(before);
    free(after);
    close_scene(&s);
}

static void after_a_restart_the_agent_is_told_again_with_the_new_epoch(void **state)
{
    struct world *w = *state;
    struct scene s;
    struct zdm_directive again;
    open_scene(w, &s);
    world_restart(w);
    struct client *agent = dial_agent(w, &w->agents[1]);
    assert_non_null(agent);
    report(agent, 1, &s.orders, 0, ZDM_AGENT_ASKING);
    assert_true(take_orders(agent, &again));
    assert_int_equal(again.fence.epoch, 2);
    assert_int_equal(again.fence.generation, s.orders.fence.generation);
    assert_true(zdm_hash_equal(&again.fence.anchor, &s.orders.fence.anchor));
    zdm_directive_fini(&again);
    close_scene(&s);
}

static void a_restored_backup_starts_fenced_and_gives_no_orders(void **state)
{
    struct world *w = *state;
    struct scene s;
    struct store backup;
    struct zdm_error err;
    struct zdm_frame frame;
    open_scene(w, &s);
    assert_int_equal(store_memory_backup(&w->memory, &backup, &err), STORE_OK);
    w->memory.ops->close(w->memory.self);
    w->memory = backup;
    for (int start = 0; start < 2; start++) {
        world_restart(w);
        assert_true(coord_driver_state(w->driver)->fenced);
        struct client *agent = dial_agent(w, &w->agents[1]);
        report(agent, 1, &s.orders, 0, ZDM_AGENT_ASKING);
        assert_false(take(agent, ZDM_FRAME_ORDERS, &frame));
        report(agent, 2, &s.orders, 0, ZDM_AGENT_ASKING);
        assert_false(take(agent, ZDM_FRAME_ACK, &frame));
    }
    char *status = coord_driver_status(w->driver, "", &err);
    expect_in(status, "\"fenced\":true");
    free(status);
    close_scene(&s);
}

/* ---- Who may what ---- */

static void a_request_signed_for_another_session_is_refused(void **state)
{
    struct world *w = *state;
    struct scene s;
    open_scene(w, &s);
    struct client *other = dial_person(w, &w->ann);
    struct zdm_request request = {.verb = ZDM_VERB_PAUSE,
                                  .migration = "rename",
                                  .shards = {.all = true},
                                  .session = zdm_session_transcript(other->session)};
    expect_refusal(ask(s.ann, &request), ZDM_AUTH, "another session");
    close_scene(&s);
}

static void a_request_carried_by_somebody_else_is_refused(void **state)
{
    struct world *w = *state;
    struct client *vic = dial_person(w, &w->vic);
    struct zdm_request request = {.verb = ZDM_VERB_FREEZE};
    vic->key = &w->ann; /* signs as ann in vic's session */
    struct zdm_frame answer = ask(vic, &request);
    assert_int_equal(answer.u.answer.code, ZDM_AUTH);
    assert_false(coord_driver_state(w->driver)->frozen);
}

/* The signature is right, and that of the session's person; its header says that it is another's. */
static void a_request_that_names_another_signer_than_the_sessions_is_refused(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    struct zdm_signing_key named = w->ann;
    struct zdm_request request = {.verb = ZDM_VERB_FREEZE};
    named.id = w->bob.id;
    ann->key = &named;
    struct zdm_frame answer = ask(ann, &request);
    assert_int_equal(answer.u.answer.code, ZDM_AUTH);
    assert_false(coord_driver_state(w->driver)->frozen);
    ann->key = &w->ann;
}

static void the_same_request_again_gets_the_same_answer_and_changes_nothing(void **state)
{
    struct world *w = *state;
    struct scene s;
    open_scene(w, &s);
    struct zdm_request request = {.verb = ZDM_VERB_PAUSE, .migration = "rename", .shards = {.all = true}};
    struct zdm_frame first = ask(s.ann, &request);
    expect_ok(first);
    assert_true(first.u.answer.seq > 0);
    uint64_t seq = coord_driver_state(w->driver)->head_seq;
    struct client *again = dial_person(w, &w->ann);
    memset(&request.session, 0, sizeof request.session);
    struct zdm_frame second = ask(again, &request);
    expect_ok(second);
    assert_int_equal(second.u.answer.seq, first.u.answer.seq);
    assert_int_equal(coord_driver_state(w->driver)->head_seq, seq);
    close_scene(&s);
}

static void a_viewer_reads_but_may_not_pause(void **state)
{
    struct world *w = *state;
    struct scene s;
    open_scene(w, &s);
    struct client *vic = dial_person(w, &w->vic);
    struct zdm_frame answer = ask_verb(vic, ZDM_VERB_PAUSE, NULL);
    expect_refusal(answer, ZDM_REFUSED, "vic may not pause");
    expect_in(answer.u.answer.detail, "It takes the role operator; vic has: viewer. ann has it.");
    expect_in(answer.u.answer.hint, "zdmctl trust propose --set-roles vic=viewer,operator");
    char *status = query(vic, ZDM_QUERY_STATUS, "rename");
    expect_in(status, "\"migration\":\"rename\"");
    free(status);
    close_scene(&s);
}

static void a_stranger_is_no_person(void **state)
{
    struct world *w = *state;
    assert_null(dial_person(w, &w->agents[0]));
}

static void garbage_closes_the_connection_at_every_stage(void **state)
{
    struct world *w = *state;
    static const uint8_t garbage[200] = {1, 2, 3};
    struct client *raw = dial_raw(w);
    give_bytes(raw, garbage, sizeof garbage);
    assert_false(raw->open);
    assert_int_equal(raw->n_waiting, 0);
    struct client *ann = dial_person(w, &w->ann);
    give_bytes(ann, garbage, sizeof garbage);
    assert_false(ann->open);
    struct client *again = dial_person(w, &w->ann);
    give_bytes(again, garbage, 3);
    assert_false(again->open);
}

static void a_frame_of_another_role_closes_the_connection(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    struct client *agent = join(w, ann, 1);
    report(ann, 1, NULL, 0, ZDM_AGENT_RESTING);
    assert_false(ann->open);
    struct zdm_frame frame = {.type = ZDM_FRAME_QUERY};
    frame.u.query.kind = ZDM_QUERY_VERSION;
    give(agent, &frame);
    assert_false(agent->open);
    struct client *joiner = dial_as(w, ZDM_SESSION_AGENT, &w->agents[3], true);
    report(joiner, 1, NULL, 0, ZDM_AGENT_RESTING);
    assert_false(joiner->open);
}

static void an_upload_out_of_order_closes_the_connection(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    const struct zdm_frame frame = {
        .type = ZDM_FRAME_UPLOAD, .u.piece = {.total = 1000, .offset = 500, .bytes = (const uint8_t *)"late", .n = 4}};
    give(ann, &frame);
    assert_false(ann->open);
}

static void of_two_uploads_the_plan_that_the_request_names_is_submitted(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann), *other = dial_person(w, &w->ann);
    (void)join(w, ann, 1);
    expect_ok(submit_kind(other, OF_ANOTHER_TABLE)); /* stays among that session's uploads */
    expect_ok(submit(other));
    assert_non_null(coord_find_migration(coord_driver_state(w->driver), "rename"));
    assert_non_null(coord_find_migration(coord_driver_state(w->driver), "other"));
}

static void notes_of_another_plan_are_refused(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct zdm_notes notes = {.file = (char *)"rename.md", .title = (char *)"Rename"}; /* of no phase */
    (void)join(w, ann, 1);
    zdm_notes_encode(&notes, &bytes);
    upload(ann, bytes.data, bytes.len);
    expect_refusal(submit(ann), ZDM_INVALID, "the notes belong to another plan: 0 phases, not 2");
    zdm_buffer_fini(&bytes);
}

static void a_plan_that_no_operator_signed_is_refused(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    struct zdm_signing_key real = w->ann;
    (void)join(w, ann, 1);
    /* submit() signs the plan with the world's ann: let that be vic for once, while the session is ann's. */
    ann->key = &real;
    w->ann = w->vic;
    expect_refusal(submit(ann), ZDM_AUTH, "plan");
    w->ann = real;
    assert_false(has_migration(w, "rename"));
}

/* ---- Sessions ---- */

static void a_new_session_of_an_agent_replaces_the_old_one(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    struct client *old = join(w, ann, 1);
    struct client *new = dial_agent(w, &w->agents[1]);
    struct zdm_frame frame;
    assert_non_null(new);
    world_turn(w);
    assert_false(old->open);
    report(new, 1, NULL, 0, ZDM_AGENT_RESTING);
    assert_true(take(new, ZDM_FRAME_ACK, &frame));
    world_turn(w);
    assert_true(coord_view_find(coord_driver_view(w->driver), &w->agents[1].id)->connected);
}

static void who_floods_loses_its_session_and_nobody_else_does(void **state)
{
    struct world *w = *state;
    static const uint8_t noise[60000];
    struct client *ann = dial_person(w, &w->ann);
    struct client *loud = join(w, ann, 1), *calm = join(w, ann, 2), *stranger = dial_raw(w);
    struct zdm_frame frame;
    world_turn(w);
    for (int i = 0; i < 2000; i++) {
        if (loud->open)
            w->upcalls.frame(w->upcalls.ctx, loud->conn, noise, sizeof noise);
        if (stranger->open)
            w->upcalls.frame(w->upcalls.ctx, stranger->conn, noise, sizeof noise);
    }
    assert_false(loud->open);
    assert_false(stranger->open);
    report(calm, 1, NULL, 0, ZDM_AGENT_RESTING);
    assert_true(take(calm, ZDM_FRAME_ACK, &frame));
    assert_true(calm->open);
}

static void a_silent_connection_is_closed_and_the_agent_is_away(void **state)
{
    struct world *w = *state;
    struct scene s;
    open_scene(w, &s);
    report(s.agent, 2, &s.orders, 0, ZDM_AGENT_WORKING);
    world_wait(w, 20000);
    assert_true(s.agent->open);
    world_wait(w, 7000);
    assert_false(s.agent->open);
    struct client *ann = dial_person(w, &w->ann);
    char *status = query(ann, ZDM_QUERY_STATUS, "");
    expect_in(status, "agent away since");
    free(status);
    close_scene(&s);
}

static void who_does_not_authenticate_is_closed_after_five_seconds(void **state)
{
    struct world *w = *state;
    struct client *raw = dial_raw(w);
    world_wait(w, 4000);
    assert_true(raw->open);
    world_wait(w, 3000);
    assert_false(raw->open);
}

/* ---- Failing stores ---- */

static void a_full_store_refuses_requests_while_reports_go_on(void **state)
{
    struct world *w = *state;
    struct scene s;
    struct zdm_frame frame;
    open_scene(w, &s);
    w->failing = FAILS_FULL;
    w->failing_times = 1000;
    expect_refusal(ask_verb(s.ann, ZDM_VERB_PAUSE, NULL), ZDM_FULL, "no room");
    assert_false(take(s.agent, ZDM_FRAME_ORDERS, &frame));
    report(s.agent, 2, &s.orders, 0, ZDM_AGENT_WORKING);
    assert_true(take(s.agent, ZDM_FRAME_ACK, &frame));
    report(s.agent, 3, &s.orders, 1, ZDM_AGENT_RESTING);
    assert_true(take(s.agent, ZDM_FRAME_ACK, &frame));
    char *status = query(s.ann, ZDM_QUERY_STATUS, "");
    expect_in(status, "\"full\":true");
    expect_in(status, "\"status\":\"moving\"");
    free(status);
    w->failing_times = 0;
    expect_refusal(ask_verb(s.ann, ZDM_VERB_PAUSE, NULL), ZDM_FULL, "no room");
    world_wait(w, 5100);
    report(s.agent, 4, &s.orders, 1, ZDM_AGENT_RESTING);
    expect_ok(ask_verb(s.ann, ZDM_VERB_PAUSE, NULL));
    status = query(s.ann, ZDM_QUERY_STATUS, "");
    expect_in(status, "\"full\":false");
    free(status);
    close_scene(&s);
}

static void a_full_store_answers_again_what_it_answered_before(void **state)
{
    struct world *w = *state;
    struct scene s;
    open_scene(w, &s);
    struct zdm_request request = {.verb = ZDM_VERB_PAUSE, .migration = "rename", .shards = {.all = true}};
    struct zdm_frame first = ask(s.ann, &request);
    expect_ok(first);
    w->failing = FAILS_FULL;
    w->failing_times = 1000;
    expect_refusal(ask_verb(s.ann, ZDM_VERB_RESUME, NULL), ZDM_FULL, "no room");
    memset(&request.session, 0, sizeof request.session);
    struct zdm_frame second = ask(s.ann, &request);
    expect_ok(second);
    assert_int_equal(second.u.answer.seq, first.u.answer.seq);
    close_scene(&s);
}

static void check_lost_answer(struct world *w, enum failing failing)
{
    struct scene s;
    struct zdm_directive paused;
    open_scene(w, &s);
    uint64_t seq = coord_driver_state(w->driver)->head_seq;
    w->failing = failing;
    w->failing_times = 1;
    expect_ok(ask_verb(s.ann, ZDM_VERB_PAUSE, NULL));
    assert_int_equal(coord_driver_state(w->driver)->head_seq, seq + 2);
    report(s.agent, 2, &s.orders, 0, ZDM_AGENT_WORKING);
    assert_true(take_orders(s.agent, &paused));
    assert_int_equal(paused.mode, ZDM_MODE_PAUSE);
    zdm_directive_fini(&paused);
    close_scene(&s);
}

static void a_commit_that_happened_though_its_answer_was_lost_is_done_once(void **state)
{
    check_lost_answer(*state, LOSES_ANSWER_AFTER);
}

static void a_commit_that_did_not_happen_is_done_again(void **state)
{
    check_lost_answer(*state, LOSES_ANSWER_BEFORE);
}

static void check_end(struct world *w, enum failing failing, enum zdm_code code)
{
    struct scene s;
    struct zdm_error err;
    open_scene(w, &s);
    w->failing = failing;
    w->failing_times = 1000;
    size_t before = w->frames_sent;
    struct zdm_frame answer = ask_verb(s.ann, ZDM_VERB_PAUSE, NULL);
    assert_int_equal(answer.type, 0);
    assert_int_equal(w->frames_sent, before);
    assert_true(coord_driver_ended(w->driver, &err));
    (void)code;
    assert_true(coord_driver_turn(w->driver) == INT64_MAX);
    close_scene(&s);
}

static void a_failed_medium_ends_the_driver_without_a_word(void **state)
{
    check_end(*state, FAILS_IO, ZDM_IO);
}

static void a_deposed_driver_ends_without_a_word(void **state)
{
    check_end(*state, FAILS_DEPOSED, ZDM_DEPOSED);
}

static void an_outcome_that_stays_unknown_ends_the_driver(void **state)
{
    check_end(*state, LOSES_ANSWER_BEFORE, ZDM_UNKNOWN);
}

static void an_idle_coordinator_writes_nothing(void **state)
{
    struct world *w = *state;
    struct scene s;
    open_scene(w, &s);
    unsigned appends = w->n_appends;
    for (uint64_t i = 0; i < 20; i++) {
        report(s.agent, 2 + i, &s.orders, 0, ZDM_AGENT_WORKING);
        world_wait(w, 1000);
    }
    assert_int_equal(w->n_appends, appends);
    close_scene(&s);
}

int main(void)
{
#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_start, world_stop)
    const struct CMUnitTest tests[] = {
        WORLD(a_new_agent_joins_with_a_token_and_is_known_when_it_dials_again),
        WORLD(a_wrong_secret_does_not_join),
        WORLD(a_report_is_acknowledged_with_a_lease),
        WORLD(an_advance_gives_the_agent_signed_orders),
        WORLD(a_migration_goes_through_its_phases_to_its_end),
        WORLD(a_pause_is_sent_only_after_its_commit),
        WORLD(the_agent_fetches_its_plan_in_pieces),
        WORLD(a_restart_brings_back_the_state_from_the_log),
        WORLD(after_a_restart_the_agent_is_told_again_with_the_new_epoch),
        WORLD(a_restored_backup_starts_fenced_and_gives_no_orders),
        WORLD(a_request_signed_for_another_session_is_refused),
        WORLD(a_request_carried_by_somebody_else_is_refused),
        WORLD(a_request_that_names_another_signer_than_the_sessions_is_refused),
        WORLD(the_same_request_again_gets_the_same_answer_and_changes_nothing),
        WORLD(a_viewer_reads_but_may_not_pause),
        WORLD(a_stranger_is_no_person),
        WORLD(garbage_closes_the_connection_at_every_stage),
        WORLD(a_frame_of_another_role_closes_the_connection),
        WORLD(an_upload_out_of_order_closes_the_connection),
        WORLD(of_two_uploads_the_plan_that_the_request_names_is_submitted),
        WORLD(notes_of_another_plan_are_refused),
        WORLD(a_plan_that_no_operator_signed_is_refused),
        WORLD(a_new_session_of_an_agent_replaces_the_old_one),
        WORLD(who_floods_loses_its_session_and_nobody_else_does),
        WORLD(a_silent_connection_is_closed_and_the_agent_is_away),
        WORLD(who_does_not_authenticate_is_closed_after_five_seconds),
        WORLD(a_full_store_refuses_requests_while_reports_go_on),
        WORLD(a_full_store_answers_again_what_it_answered_before),
        WORLD(a_commit_that_happened_though_its_answer_was_lost_is_done_once),
        WORLD(a_commit_that_did_not_happen_is_done_again),
        WORLD(a_failed_medium_ends_the_driver_without_a_word),
        WORLD(a_deposed_driver_ends_without_a_word),
        WORLD(an_outcome_that_stays_unknown_ends_the_driver),
        WORLD(an_idle_coordinator_writes_nothing),
    };
#undef WORLD
    return cmocka_run_group_tests_name("driver", tests, NULL, NULL);
}
