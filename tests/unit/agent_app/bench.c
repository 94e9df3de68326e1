/*
 * bench.c - see bench.h.
 */
#include "tests/unit/agent_app/bench.h"

#include <stdlib.h>
#include <string.h>

static void notice(void *ctx, const struct agent_note *note)
{
    struct bench *b = ctx;
    assert_true(note->message[0] != '\0');
    b->errors += note->level == ZDM_LOG_ERROR;
    zdm_buffer_printf(&b->log, "%s", note->message);
    for (size_t i = 0; i < AGENT_NOTE_PAIRS && note->pairs[i].key != NULL; i++) {
        assert_true(note->pairs[i].value[0] != '\0');
        zdm_buffer_printf(&b->log, " %s=%s", note->pairs[i].key, note->pairs[i].value);
    }
    zdm_buffer_puts(&b->log, "\n");
}

static bool save_trust(void *ctx, const void *bytes, size_t n)
{
    struct bench *b = ctx;
    zdm_buffer_reset(&b->saved);
    zdm_buffer_append(&b->saved, bytes, n);
    return true;
}

void bench_start(struct bench *b)
{
    static const char *const urls[] = {"tcp://first:1", "tcp://second:2"};
    struct fake_fleet *fleet = b->fleet;
    struct zdm_buffer trust = ZDM_BUFFER_INIT, enrolment = ZDM_BUFFER_INIT;
    struct zdm_error err;
    zdm_trust_chain_write(&fleet->chain, &trust);
    zdm_envelope_flatten(&fleet->enrolment, &enrolment);
    struct agent_driver_config config = {.clock = &fleet->clock,
                                         .random = &fleet->random,
                                         .crypto = fleet->crypto,
                                         .key = &fleet->agent,
                                         .trust = trust.data,
                                         .trust_n = trust.len,
                                         .enrolment = enrolment.data,
                                         .enrolment_n = enrolment.len,
                                         .urls = urls,
                                         .n_urls = 2,
                                         .engine = fake_engine_seam(&b->engine),
                                         .next_result = fake_engine_next,
                                         .results = &b->engine,
                                         .release = "0.1.0",
                                         .save_trust = save_trust,
                                         .notice = notice,
                                         .ctx = b};
    agent_core_config_default(&config.core);
    if (agent_driver_new(&config, &b->driver, &err) != ZDM_OK)
        fail_msg("%s", err.message);
    zdm_buffer_fini(&trust);
    zdm_buffer_fini(&enrolment);
    const struct zdm_net_upcalls upcalls = agent_driver_upcalls(b->driver);
    loop_net_upcalls(fleet->loop, false, &upcalls);
    agent_driver_start(b->driver, loop_net_end(fleet->loop, false));
}

int bench_setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    b->fleet = fake_fleet_new();
    b->fleet->knows_agent = true;
    fake_engine_init(&b->engine);
    *state = b;
    return 0;
}

int bench_teardown(void **state)
{
    struct bench *b = *state;
    agent_driver_free(b->driver);
    fake_engine_fini(&b->engine);
    fake_fleet_free(b->fleet);
    zdm_buffer_fini(&b->saved);
    zdm_buffer_fini(&b->log);
    free(b);
    return 0;
}

void bench_run(struct bench *b, int64_t ms)
{
    int64_t end = b->fleet->now_ms + ms;
    while (b->fleet->now_ms < end) {
        int64_t wake = agent_driver_turn(b->driver);
        if (loop_net_pump(b->fleet->loop) || b->engine.n > 0)
            continue;
        int64_t next = wake > b->fleet->now_ms ? wake : b->fleet->now_ms + 1;
        b->fleet->now_ms = next < end ? next : end;
    }
}

void bench_order(struct bench *b, uint64_t generation, enum zdm_mode mode, uint32_t goal)
{
    fake_fleet_order(b->fleet, &b->fleet->coordinator, generation, mode, goal, "shard-1");
}

const struct zdm_migration_report *bench_said(const struct bench *b)
{
    static const struct zdm_migration_report nothing;
    return b->fleet->report.n_migrations > 0 ? &b->fleet->report.migrations[0] : &nothing;
}

void bench_settle(struct bench *b)
{
    bench_start(b);
    bench_order(b, 10, ZDM_MODE_RUN, 1);
    bench_run(b, 5000);
    assert_int_equal(bench_said(b)->proven_phase, 1);
    b->fleet->has_order = false;
}
