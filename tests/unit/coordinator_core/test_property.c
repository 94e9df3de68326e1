/*
 * test_property.c - thousands of random inputs: the invariants hold after each, replaying the log gives the same state,
 * and when everybody behaves again the migration gets to its end. A failing seed is printed.
 */
#include "fleet.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SEEDS = 400, STEPS = 600, SHARDS = 7 };

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33) % below;
}

/* What an order says, without its place in the log. */
struct said {
    uint64_t generation, epoch;
    uint32_t goal, attempt, duty;
    enum zdm_mode mode;
    struct zdm_id actor;
    size_t n;
    uint8_t signatures[ZDM_APPROVALS_MAX + 1][16];
};

static bool order_now(struct fleet *f, uint32_t i, struct said *out)
{
    struct zdm_envelope approvals[ZDM_APPROVALS_MAX];
    struct zdm_directive d;
    memset(out, 0, sizeof *out);
    if (!coord_directive(f->state, migration(f), i, approvals, &d))
        return false;
    out->generation = d.fence.generation;
    out->epoch = d.fence.epoch;
    out->goal = d.goal_phase;
    out->attempt = d.attempt;
    out->duty = d.throttle.duty_percent;
    out->mode = d.mode;
    out->actor = d.actor;
    out->n = d.n_approvals;
    for (size_t k = 0; k < d.n_approvals; k++)
        memcpy(out->signatures[k], approvals[k].bytes, sizeof out->signatures[k]);
    if (d.undo_order != NULL)
        memcpy(out->signatures[ZDM_APPROVALS_MAX], d.undo_order->bytes, sizeof out->signatures[0]);
    return true;
}

/* One fencing pair, one order: else agents would rightly cry equivocation. */
static void assert_orders_are_their_pairs(struct fleet *f, struct said before[SHARDS])
{
    for (uint32_t i = 0; i < SHARDS; i++) {
        struct said now;
        bool there = order_now(f, i, &now);
        if (there && before[i].generation == now.generation && before[i].epoch == now.epoch)
            assert_memory_equal(&before[i], &now, sizeof now);
        before[i] = now;
    }
}

/* A report that may be wrong in every way an agent's can be, short of being ahead of the log. */
static void odd_report(struct fleet *f, uint64_t *seed)
{
    struct told told;
    size_t i = draw(seed, SHARDS);
    unsigned replica = draw(seed, 4) == 0;
    tell(f, i, replica, draw(seed, (uint32_t)migration(f)->plan->n_phases + 1), &told);
    told.of.state = (enum zdm_agent_state)(1 + draw(seed, ZDM_AGENT_UNSURE));
    told.of.proven = draw(seed, 3) > 0;
    told.of.failed_attempt = shard(f, i)->attempt - draw(seed, 2);
    told.of.undone = draw(seed, 8) == 0;
    told.of.purged = draw(seed, 8) == 0;
    told.report.writable = draw(seed, 8) > 0;
    told.report.connected = draw(seed, 8) > 0;
    told.report.timeline = 1 + (draw(seed, 12) == 0);
    if (draw(seed, 6) == 0)
        told.of.accepted = (struct zdm_fence){.epoch = 0};
    fleet_report(f, &told);
}

/* All the way, leg by leg, once somebody is beyond a flag. */
static void go_below_the_switch(struct fleet *f)
{
    uint32_t leg = coord_rollback_leg(migration(f), NULL);
    if (leg == 0)
        return;
    fleet_rollback(f, NULL, leg, false);
    fleet_obey_all(f);
    fleet_rollback(f, NULL, leg - 1, true);
}

/* What people sign, right and wrong. */
static void some_signature(struct fleet *f, uint64_t *seed)
{
    static const char *const selectors[] = {NULL, NULL, "tier=odd", "!tier", "shard=s00002"};
    const char *selector = selectors[draw(seed, (uint32_t)(sizeof selectors / sizeof *selectors))];
    uint32_t last = zdm_plan_last_phase(migration(f)->plan), phase = draw(seed, last + 1);
    struct zdm_approval approval;
    switch (draw(seed, 8)) {
    case 0:
        go_below_the_switch(f);
        break;
    case 1:
        fleet_rollback(f, selector, phase, draw(seed, 2) == 0);
        break;
    case 2:
        fleet_forward(f, selector);
        break;
    case 3:
        fleet_exclude(f, "shard=s00002", "it burns");
        break;
    case 4:
        fleet_ask(f, ZDM_VERB_INCLUDE, selector);
        break;
    case 5:
        approval = approval_of(f, (enum zdm_approval_action)(1 + draw(seed, 3)), phase);
        approval.expires_at_ms = f->now_ms + draw(seed, 100000);
        fleet_give(f, draw(seed, PEOPLE), ZDM_VERB_APPROVE, &approval, NULL);
        break;
    case 6:
        fleet_purge(f, draw(seed, PEOPLE), draw(seed, 2) == 0 ? 0 : last, selector);
        break;
    default:
        if (migration(f)->n_approvals > 0)
            fleet_revoke(f, ANN,
                         &migration(f)->approvals[draw(seed, (uint32_t)migration(f)->n_approvals)].approval.nonce);
        break;
    }
}

static void some_request(struct fleet *f, uint64_t *seed)
{
    static const enum zdm_verb verbs[] = {ZDM_VERB_ADVANCE, ZDM_VERB_ADVANCE, ZDM_VERB_PAUSE,    ZDM_VERB_RESUME,
                                          ZDM_VERB_RESUME,  ZDM_VERB_RETRY,   ZDM_VERB_THROTTLE, ZDM_VERB_FREEZE,
                                          ZDM_VERB_THAW,    ZDM_VERB_RESUME};
    static const char *const selectors[] = {NULL, NULL, "tier=odd", "!tier", "shard=s00002"};
    fleet_ask(f, verbs[draw(seed, (uint32_t)(sizeof verbs / sizeof *verbs))],
              selectors[draw(seed, (uint32_t)(sizeof selectors / sizeof *selectors))]);
}

static void step(struct fleet *f, uint64_t *seed)
{
    uint32_t what = draw(seed, 100);
    struct coord_event event = {.type = COORD_EVENT_EPOCH_STARTED};
    if (what < 50) {
        fleet_obey(f, draw(seed, SHARDS));
    } else if (what < 70) {
        odd_report(f, seed);
    } else if (what < 86) {
        some_request(f, seed);
    } else if (what < 90) {
        some_signature(f, seed);
    } else if (what < 96) {
        f->now_ms += draw(seed, 20000);
        fleet_tick(f);
    } else if (what < 98) {
        fleet_input(f, &(struct coord_input){.kind = COORD_IN_AGENT_GONE,
                                             .now_ms = f->now_ms,
                                             .u.agent_gone.agent = agent_id(draw(seed, SHARDS), 0)});
    } else {
        if (draw(seed, 4) == 0)
            fleet_recover(f);
        event.u.epoch_started.instance.bytes[0] = (uint8_t)draw(seed, 256);
        fleet_event(f, &event);
        coord_view_fini(&f->view);
        coord_view_init(&f->view, f->now_ms);
        fleet_trust(f);
    }
}

static void begin(struct fleet *f, uint64_t *seed)
{
    static const char *const shapes[] = {"emsc", "em", "eemmsc", "s", "emc", "emscp", "emsdp", "esesc"};
    struct zdm_plan *plan = plan_of("m", shapes[draw(seed, (uint32_t)(sizeof shapes / sizeof *shapes))]);
    fleet_init(f, SHARDS);
    fleet_enroll(f, 0, 1);
    fleet_enroll(f, 3, 1);
    plan->waves[0].percent = 30;
    plan->waves[1].percent = 100;
    plan->n_waves = 1 + draw(seed, 2);
    plan->wave_soak_ms = draw(seed, 2) * 5000;
    plan->max_parallel = draw(seed, 4);
    plan->failure_budget = draw(seed, 4);
    assert_int_equal(fleet_submit(f, plan), ZDM_OK);
}

/* Everybody behaves: the one agent of each shard is its primary, people resume and retry and advance. */
static void settle(struct fleet *f)
{
    for (int round = 0; round < 60 && migration(f)->mode != COORD_ENDED; round++) {
        f->now_ms += COORD_SILENT_MS + 5000;
        for (size_t i = 0; i < SHARDS; i++) {
            struct told told;
            tell(f, i, 1, 0, &told);
            told.report.writable = false;
            if (coord_find_agent(f->state, &told.agent) != NULL)
                fleet_report(f, &told);
        }
        fleet_ask(f, ZDM_VERB_INCLUDE, NULL);
        fleet_ask(f, ZDM_VERB_THAW, NULL);
        fleet_ask(f, ZDM_VERB_RETRY, NULL);
        fleet_ask(f, ZDM_VERB_RESUME, NULL);
        fleet_obey_all(f);
        fleet_obey_all(f);
        for (uint32_t p = 1; p <= zdm_plan_last_phase(migration(f)->plan); p++) {
            enum zdm_approval_action action;
            if (coord_phase_needs(&f->view, migration(f), p, &action) > 0 && round % 4 == 0)
                fleet_approve(f, BOB, action, p);
        }
        fleet_ask(f, ZDM_VERB_RESUME, NULL);
        fleet_ask(f, ZDM_VERB_ADVANCE, NULL);
        fleet_obey_all(f);
    }
}

static void count_what_happened(const struct fleet *f, size_t seen[COORD_EVENT_SHARD_PURGED + 1])
{
    for (size_t i = 0; i < f->n_log; i++)
        seen[f->log[i].type]++;
}

static void random_inputs_keep_the_invariants_fold_to_the_same_state_and_end_well(void **unused)
{
    (void)unused;
    size_t seen[COORD_EVENT_SHARD_PURGED + 1] = {0};
    for (uint64_t n = 1; n <= SEEDS; n++) {
        uint64_t seed = n;
        struct fleet f;
        begin(&f, &seed);
        struct said orders[SHARDS] = {0};
        for (int i = 0; i < STEPS && migration(&f)->mode != COORD_ENDED; i++) {
            step(&f, &seed);
            assert_orders_are_their_pairs(&f, orders);
        }
        assert_false(f.state->fenced);
        settle(&f);
        if (migration(&f)->mode != COORD_ENDED) {
            for (size_t i = 0; i < SHARDS; i++)
                print_message("%s %s at %u goal %u opened %u resume %s\n", shard(&f, i)->name,
                              coord_status_name(shard(&f, i)->status), shard(&f, i)->at, shard(&f, i)->goal,
                              shard(&f, i)->opened, coord_status_name(shard(&f, i)->resume_to));
            fail_msg("seed %llu does not come to its end: mode %d, phase %u: %s", (unsigned long long)n,
                     (int)migration(&f)->mode, migration(&f)->opened_phase, f.answer.message);
        }
        assert_fold_is_the_same(&f);
        count_what_happened(&f, seen);
        fleet_fini(&f);
    }
    for (unsigned type = COORD_EVENT_APPROVAL_ADDED; type <= COORD_EVENT_SHARD_PURGED; type++)
        if (seen[type] == 0 && type != COORD_EVENT_FENCED)
            fail_msg("no %s in any seed: the walk has lost its way",
                     coord_event_type_name((enum coord_event_type)type));
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Prints figures; asserts only what no slow machine can break. */
static void ten_thousand_shards_cost_little_per_report_and_per_tick(void **unused)
{
    (void)unused;
    enum { N = 10000, TICKS = 20 };
    struct fleet f;
    struct told told;
    double start = now_s();
    fleet_init(&f, N);
    f.check = false;
    print_message("enrol %d: %.2f s\n", N, now_s() - start);
    assert_int_equal(fleet_submit(&f, plan_of("m", "ems")), ZDM_OK);
    struct coord_input input = {.kind = COORD_IN_REPORT, .now_ms = f.now_ms};
    for (int round = 0; round < 3; round++) {
        start = now_s();
        for (size_t i = 0; i < N; i++) {
            tell(&f, i, 0, shard(&f, i)->goal, &told);
            told.report.migrations = &told.of;
            input.u.report.agent = told.agent;
            input.u.report.report = &told.report;
            fleet_input(&f, &input);
        }
        print_message("report: %.1f us\n", (now_s() - start) / N * 1e6);
        if (round == 2)
            break;
        start = now_s();
        assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
        unsigned ticks = 1;
        for (; coord_next_tick(f.state, &f.view, f.now_ms) <= f.now_ms && ticks < TICKS; ticks++)
            fleet_tick(&f);
        print_message("release all: %.3f s in %u ticks\n", now_s() - start, ticks);
        assert_true(ticks < TICKS);
    }
    start = now_s();
    for (int i = 0; i < TICKS; i++)
        fleet_tick(&f);
    print_message("idle tick: %.2f ms\n", (now_s() - start) / TICKS * 1e3);
    size_t events = f.n_log;
    start = now_s();
    fleet_ask(&f, ZDM_VERB_PAUSE, NULL);
    print_message("pause all: %.2f ms, %zu events\n", (now_s() - start) * 1e3, f.n_log - events);
    assert_int_equal(f.n_log, events + 2);
    fleet_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_inputs_keep_the_invariants_fold_to_the_same_state_and_end_well),
        cmocka_unit_test(ten_thousand_shards_cost_little_per_report_and_per_tick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
