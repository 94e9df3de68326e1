/*
 * test_reading.c - what people are told: queries, pushes, reasons, the next step; and that nobody may send what is not
 * theirs to send.
 */
#include "tests/unit/coord_app/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

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

/* ---- Queries and pushes ---- */

static void a_watcher_is_pushed_what_changed_and_not_more_than_five_times_a_second(void **state)
{
    struct world *w = *state;
    struct scene s;
    struct zdm_frame frame = {.type = ZDM_FRAME_WATCH};
    open_scene(w, &s);
    struct client *vic = dial_person(w, &w->vic);
    frame.u.query.kind = ZDM_QUERY_STATUS;
    frame.u.query.id = 9;
    give(vic, &frame);
    assert_true(take(vic, ZDM_FRAME_PUSH, &frame));
    assert_int_equal(frame.u.rows.id, 9);
    unsigned pushes = 0;
    for (uint64_t i = 0; i < 50; i++) {
        report(s.agent, 2 + i, &s.orders, 0, ZDM_AGENT_WORKING);
        w->boot_ms += 20;
        world_turn(w);
    }
    while (take(vic, ZDM_FRAME_PUSH, &frame))
        pushes++;
    assert_in_range(pushes, 4, 6);
    world_wait(w, 40000);
    assert_true(vic->open);
    close_scene(&s);
}

static void a_large_answer_waits_for_a_slow_reader(void **state)
{
    struct world *w = *state;
    struct scene s;
    open_scene(w, &s);
    for (int i = 0; i < 300; i++) {
        struct zdm_frame answer = ask_verb(s.ann, i % 2 == 0 ? ZDM_VERB_PAUSE : ZDM_VERB_RESUME, NULL);
        expect_ok(answer);
    }
    struct client *vic = dial_person(w, &w->vic);
    struct zdm_frame frame = {.type = ZDM_FRAME_QUERY};
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    frame.u.query.kind = ZDM_QUERY_HISTORY;
    frame.u.query.limit = 1000;
    vic->room = 1;
    give(vic, &frame);
    bool last = false;
    for (int i = 0; i < 200 && !last; i++) {
        while (take(vic, ZDM_FRAME_ROWS, &frame)) {
            zdm_buffer_append(&text, frame.u.rows.bytes, frame.u.rows.n);
            last = frame.u.rows.last;
        }
        world_wait(w, 100);
    }
    assert_true(last);
    assert_true(text.len > 2 * (size_t)ZDM_PIECE_MAX);
    expect_in(zdm_buffer_text(&text), "ann paused all shards: \\\"too slow\\\"");
    expect_in(zdm_buffer_text(&text), "\"more\":false}");
    zdm_buffer_fini(&text);
    close_scene(&s);
}

static void every_query_is_answered(void **state)
{
    struct world *w = *state;
    struct scene s;
    open_scene(w, &s);
    report(s.agent, 2, &s.orders, 0, ZDM_AGENT_WORKING);
    static const struct {
        enum zdm_query_kind kind;
        const char *words;
    } rows[] = {{ZDM_QUERY_STATUS, "\"command\":"},
                {ZDM_QUERY_HISTORY, "ann submitted rename"},
                {ZDM_QUERY_AGENTS, "\"server_version\":\"15.3\""},
                {ZDM_QUERY_VERSION, "\"store\":\"memory\""},
                {ZDM_QUERY_FLEET, "tcp://127.0.0.1:7301"},
                {ZDM_QUERY_ANCHORS, "[{\"migration\":\"rename\",\"shard\":\"shard-1\",\"agent\":\""},
                {ZDM_QUERY_PLAN, "\"plan\":\"emRtLXNpZ25lZC12MQ"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = query(s.ann, rows[i].kind, "");
        expect_in(text, rows[i].words);
        free(text);
    }
    assert_null(query(s.ann, ZDM_QUERY_STATUS, "no-such"));
    assert_null(query(s.ann, ZDM_QUERY_HISTORY, "no-such"));
    close_scene(&s);
}

static void a_fleet_without_migrations_has_a_status(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    char *status = query(ann, ZDM_QUERY_STATUS, "");
    expect_in(status, "\"migration\":null");
    expect_in(status, "zdmctl submit RUNBOOK");
    free(status);
    expect_ok(ask_verb(ann, ZDM_VERB_FREEZE, NULL));
    status = query(ann, ZDM_QUERY_STATUS, ""); /* a submission would be refused */
    expect_in(status, "\"command\":\"zdmctl thaw\"");
    free(status);
    w->failing = FAILS_FULL;
    w->failing_times = 1;
    assert_int_equal(ask_verb(ann, ZDM_VERB_THAW, NULL).u.answer.code, ZDM_FULL);
    status = query(ann, ZDM_QUERY_STATUS, "");
    expect_in(status, "\"command\":null,\"why\":\"the coordinator's disk is full");
    free(status);
}

/* ---- Reasons ---- */

static void wait_for_lock(struct zdm_report *report, struct zdm_migration_report *migration)
{
    (void)report;
    migration->state = ZDM_AGENT_WAITING;
    migration->wait = ZDM_WAIT_LOCK;
    (void)snprintf(migration->blocked_by, sizeof migration->blocked_by, "pid 4242 app@shop, idle in transaction");
}

static void wait_for_replica(struct zdm_report *report, struct zdm_migration_report *migration)
{
    (void)report;
    migration->state = ZDM_AGENT_WAITING;
    migration->wait = ZDM_WAIT_THROTTLE;
    (void)snprintf(migration->throttled_by, sizeof migration->throttled_by, "replica_lag 5200 ms > 5000 ms");
}

static void lose_database(struct zdm_report *report, struct zdm_migration_report *migration)
{
    report->connected = report->writable = false;
    migration->state = ZDM_AGENT_BLIND;
    (void)snprintf(report->db_error, sizeof report->db_error, "connection refused\n\tIs it running?");
}

static void alarm(struct zdm_report *report, struct zdm_migration_report *migration)
{
    (void)report;
    migration->equivocation = true;
}

static void wait_for_grace(struct zdm_report *report, struct zdm_migration_report *migration)
{
    (void)report;
    migration->state = ZDM_AGENT_WAITING;
    migration->wait = ZDM_WAIT_GRACE;
    (void)snprintf(migration->blocked_by, sizeof migration->blocked_by, "until 2026-11-25 10:00:00 UTC (grace 72h)");
}

static void make_progress(struct zdm_report *report, struct zdm_migration_report *migration)
{
    (void)report;
    migration->progress = (struct zdm_progress){.rows_done = 1000, .rows_total = 200000, .rows_per_s = 9000};
}

static void status_says_why_a_shard_does_not_move(void **state)
{
    static const struct {
        void (*change)(struct zdm_report *, struct zdm_migration_report *);
        const char *words;
    } rows[] = {{wait_for_lock, "\"reason\":\"waiting for a lock: pid 4242 app@shop, idle in transaction\""},
                {wait_for_replica, "\"reason\":\"throttled: replica_lag 5200 ms > 5000 ms\""},
                {lose_database, "\"reason\":\"database unreachable: connection refused. Is it running?\""},
                {alarm, "ALARM"},
                {alarm, "\"command\":\"zdmctl audit verify\",\"why\":\"ALARM: the agent of shard-1"},
                {wait_for_grace, "\"wait\":\"grace\""},
                {wait_for_grace, "shard-1 waits for the grace period: until 2026-11-25 10:00:00 UTC"},
                {make_progress, "\"eta_s\":23"}};
    struct world *w = *state;
    struct scene s;
    open_scene(w, &s);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        report_changed(s.agent, 2 + i, &s.orders, rows[i].change);
        char *status = query(s.ann, ZDM_QUERY_STATUS, "");
        expect_in(status, rows[i].words);
        free(status);
    }
    close_scene(&s);
}

static uint32_t attempt_at_hand;

static void stop_at_the_attempt(struct zdm_report *report, struct zdm_migration_report *migration)
{
    (void)report;
    migration->state = ZDM_AGENT_STOPPED;
    migration->failed_attempt = attempt_at_hand;
    migration->error_code = ZDM_DATABASE;
    (void)snprintf(migration->error_sqlstate, sizeof migration->error_sqlstate, "42701");
    (void)snprintf(migration->error, sizeof migration->error, "column \"a\" exists");
}

static void expect_next(struct scene *s, const char *command, const char *why)
{
    char *status = query(s->ann, ZDM_QUERY_STATUS, "");
    expect_in(status, command);
    expect_in(status, why);
    free(status);
}

static void status_says_what_to_type_next(void **state)
{
    struct world *w = *state;
    struct scene s;
    open_scene(w, &s);
    expect_next(&s, "\"command\":null", "phase 1 (expand) runs on 1 of 1 shards");
    expect_ok(ask_verb(s.ann, ZDM_VERB_PAUSE, NULL));
    expect_next(&s, "zdmctl resume rename --all-shards", "shard-1 paused");
    expect_ok(ask_verb(s.ann, ZDM_VERB_RESUME, NULL));
    zdm_directive_fini(&s.orders);
    assert_true(take_orders(s.agent, &s.orders));
    attempt_at_hand = s.orders.attempt;
    report_changed(s.agent, 2, &s.orders, stop_at_the_attempt);
    expect_next(&s, "zdmctl retry rename --shard shard-1", "shard-1 failed at step 1.1: column");
    assert_int_equal(ask_verb(s.ann, ZDM_VERB_ADVANCE, NULL).u.answer.code, ZDM_REFUSED);
    expect_ok(ask_verb(s.ann, ZDM_VERB_RETRY, NULL));
    zdm_directive_fini(&s.orders);
    assert_true(take_orders(s.agent, &s.orders));
    report(s.agent, 3, &s.orders, 1, ZDM_AGENT_RESTING);
    expect_next(&s, "zdmctl resume rename --all-shards", "the migration was halted");
    expect_ok(ask_verb(s.ann, ZDM_VERB_RESUME, NULL));
    char *status = query(s.ann, ZDM_QUERY_STATUS, "");
    expect_in(status, "zdmctl advance rename");
    expect_in(status, "phase 2 (migrate) is next");
    free(status);
    close_scene(&s);
}

/* What no rule's end will mend stands before the rule, and the rule is said as well. */
static void trouble_is_said_before_the_rule_that_holds_the_shard_anyway(void **state)
{
    struct world *w = *state;
    struct scene s = {.ann = dial_person(w, &w->ann)};
    s.agent = join(w, s.ann, 1);
    expect_ok(submit(s.ann));
    report(s.agent, 1, NULL, 0, ZDM_AGENT_RESTING);
    expect_next(&s, "\"reason\":\"waits for advance to phase 1 (expand)\"", "zdmctl advance rename");
    report_changed(s.agent, 2, NULL, lose_database);
    expect_next(&s,
                "\"reason\":\"database unreachable: connection refused. Is it running?; "
                "waits for advance to phase 1 (expand)\"",
                "zdmctl advance rename");
    expect_ok(ask_verb(s.ann, ZDM_VERB_PAUSE, NULL));
    expect_next(&s, "\"reason\":\"paused; database unreachable: connection refused", "zdmctl resume rename");
    expect_ok(ask_verb(s.ann, ZDM_VERB_RESUME, NULL));
    hang_up(s.agent);
    world_wait(w, 3000);
    expect_next(&s, "\"reason\":\"agent away since 3 s; waits for advance", "zdmctl advance rename");
}

/* An advance that would only wait for signatures is not advised: giving one is. */
static void a_phase_that_needs_signatures_is_advised_with_the_command_that_gives_one(void **state)
{
    static const struct {
        enum submission kind;
        const char *command, *why;
    } rows[] = {{PURGES_LAST, "\"command\":\"zdmctl purge rename --all-shards\"",
                 "phase 2 (purge) drops for good what was hidden"},
                {ASKS_FOR_APPROVAL, "\"command\":\"zdmctl approve rename --phase 2 --runbook RUNBOOK\"",
                 "phase 2 (migrate) needs 2 approvals, 0 given"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        void *again = NULL;
        assert_int_equal(world_start(&again), 0);
        struct world *w = again;
        struct scene s = {.ann = dial_person(w, &w->ann)};
        s.agent = join(w, s.ann, 1);
        report(s.agent, 1, NULL, 0, ZDM_AGENT_RESTING);
        expect_ok(submit_kind(s.ann, rows[i].kind));
        expect_next(&s, "zdmctl advance rename", "nothing has begun yet");
        expect_ok(ask_verb(s.ann, ZDM_VERB_ADVANCE, NULL));
        assert_true(take_orders(s.agent, &s.orders));
        report(s.agent, 2, &s.orders, 1, ZDM_AGENT_RESTING);
        expect_next(&s, rows[i].command, rows[i].why);
        close_scene(&s);
        (void)world_stop(&again);
    }
    (void)state;
}

/* ---- The table of frames ---- */

static struct client *dial_kind(struct world *w, enum zdm_frame_sender sender)
{
    if (sender == ZDM_SENDER_PERSON)
        return dial_person(w, &w->vic);
    return sender == ZDM_SENDER_AGENT ? dial_agent(w, &w->agents[1])
                                      : dial_as(w, ZDM_SESSION_AGENT, &w->agents[2], true);
}

static void what_is_not_theirs_to_send_closes_every_kind_of_session(void **state)
{
    static const enum zdm_frame_sender senders[] = {ZDM_SENDER_AGENT, ZDM_SENDER_JOINER, ZDM_SENDER_PERSON};
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    unsigned walked = 0;
    (void)join(w, ann, 1);
    for (size_t i = 0; i < sizeof senders / sizeof *senders; i++) {
        for (enum zdm_frame_type type = 1; type <= ZDM_FRAME_PUSH; type++) {
            struct zdm_frame frame = {.type = type};
            if (zdm_frame_type_name(type)[0] == '?' || zdm_frame_allowed(type, senders[i]))
                continue;
            struct client *c = dial_kind(w, senders[i]);
            assert_non_null(c);
            uint64_t seq = coord_driver_state(w->driver)->head_seq;
            give(c, &frame);
            assert_false(c->open);
            assert_int_equal(coord_driver_state(w->driver)->head_seq, seq);
            walked++;
        }
    }
    assert_true(walked > 40);
}

int main(void)
{
#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_start, world_stop)
    const struct CMUnitTest tests[] = {
        WORLD(a_watcher_is_pushed_what_changed_and_not_more_than_five_times_a_second),
        WORLD(a_large_answer_waits_for_a_slow_reader),
        WORLD(every_query_is_answered),
        WORLD(a_fleet_without_migrations_has_a_status),
        WORLD(status_says_why_a_shard_does_not_move),
        WORLD(status_says_what_to_type_next),
        WORLD(trouble_is_said_before_the_rule_that_holds_the_shard_anyway),
        cmocka_unit_test(a_phase_that_needs_signatures_is_advised_with_the_command_that_gives_one),
        WORLD(what_is_not_theirs_to_send_closes_every_kind_of_session),
    };
#undef WORLD
    return cmocka_run_group_tests_name("reading", tests, NULL, NULL);
}
