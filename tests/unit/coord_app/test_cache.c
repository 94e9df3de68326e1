/*
 * test_cache.c - directives that were signed before are a saving of work and never the truth: what is sent says what
 * the log says, of the migration that it is about.
 */
#include "tests/unit/coord_app/world.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

enum { CACHE_PERIOD = 1024 /* submissions so far apart share a place in the cache */ };

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

static struct zdm_directive next_orders(struct scene *s)
{
    struct zdm_directive orders;
    assert_true(take_orders(s->agent, &orders));
    zdm_directive_fini(&s->orders);
    s->orders = orders;
    return orders;
}

/* A store may come back with less than it had (its medium was replaced by an older copy). What the driver says from
 * then on is what that log says, though the numbers of a directive that it signed before are given again. */
static void nothing_that_was_signed_before_the_log_was_read_again_is_sent(void **state)
{
    struct world *w = *state;
    struct scene s;
    struct store older;
    struct zdm_error err;
    open_scene(w, &s);
    assert_int_equal(store_memory_copy(&w->memory, &older, &err), STORE_OK);
    expect_ok(ask_verb(s.ann, ZDM_VERB_PAUSE, NULL));
    struct zdm_directive paused = next_orders(&s);
    assert_int_equal(paused.mode, ZDM_MODE_PAUSE);
    w->memory.ops->close(w->memory.self);
    w->memory = older;
    w->failing = LOSES_ANSWER_BEFORE;
    w->failing_times = 1;
    struct zdm_request slower = {
        .verb = ZDM_VERB_THROTTLE, .migration = "rename", .shards = {.all = true}, .throttle = {.duty_percent = 7}};
    expect_ok(ask(s.ann, &slower));
    struct zdm_directive sent = next_orders(&s);
    assert_int_equal(sent.fence.epoch, paused.fence.epoch);
    assert_int_equal(sent.fence.generation, paused.fence.generation);
    assert_int_equal(sent.mode, ZDM_MODE_RUN);
    assert_int_equal(sent.throttle.duty_percent, 7);
    zdm_directive_fini(&s.orders);
}

/* Freezes and thaws until the next submission takes the number `seq`. */
static void fill_log(struct world *w, struct scene *s, uint64_t seq, uint64_t before_submission)
{
    bool freeze = true;
    while (coord_driver_state(w->driver)->head_seq + before_submission < seq) {
        expect_ok(ask_verb(s->ann, freeze ? ZDM_VERB_FREEZE : ZDM_VERB_THAW, NULL));
        freeze = !freeze;
    }
    assert_true(freeze);
    assert_int_equal(coord_driver_state(w->driver)->head_seq + before_submission, seq);
}

/* Their directives have the same place in the cache. Their generations differ in any case: one is a position in the
 * log, and no event moves two migrations. */
static void two_migrations_on_one_shard_do_not_get_each_others_directive(void **state)
{
    struct world *w = *state;
    struct scene s = {.ann = dial_person(w, &w->ann)};
    s.agent = join(w, s.ann, 1);
    report(s.agent, 1, NULL, 0, ZDM_AGENT_RESTING);
    uint64_t before = coord_driver_state(w->driver)->head_seq;
    expect_ok(submit(s.ann));
    expect_ok(ask_verb(s.ann, ZDM_VERB_ADVANCE, NULL));
    assert_true(take_orders(s.agent, &s.orders));
    struct zdm_directive first = s.orders;
    assert_string_equal(first.migration, "rename");
    uint64_t seq = coord_find_migration(coord_driver_state(w->driver), "rename")->submitted_seq;
    (void)join(w, s.ann, 2); /* an odd number of events: an act and its consequence are two */
    fill_log(w, &s, seq + CACHE_PERIOD, seq - before);
    report(s.agent, 2, &s.orders, 0, ZDM_AGENT_WORKING);
    expect_ok(submit_kind(s.ann, OF_ANOTHER_TABLE));
    assert_int_equal(coord_find_migration(coord_driver_state(w->driver), "other")->submitted_seq, seq + CACHE_PERIOD);
    struct zdm_request advance = {.verb = ZDM_VERB_ADVANCE, .migration = "other", .shards = {.all = true}};
    expect_ok(ask(s.ann, &advance));
    struct zdm_directive second = next_orders(&s);
    assert_string_equal(second.migration, "other");
    assert_int_equal(second.fence.epoch, first.fence.epoch);
    assert_int_not_equal(second.fence.generation, first.fence.generation);
    zdm_directive_fini(&s.orders);
}

int main(void)
{
#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_start, world_stop)
    const struct CMUnitTest tests[] = {
        WORLD(nothing_that_was_signed_before_the_log_was_read_again_is_sent),
        WORLD(two_migrations_on_one_shard_do_not_get_each_others_directive),
    };
#undef WORLD
    return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
