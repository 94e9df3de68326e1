/*
 * test_report.c - the largest report that can be: it fits a frame of a session.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/internal.h"
#include "common/session/session.h"
#include "proto/codec.h"

#define FILL(array) fill((array), sizeof(array))

static void fill(char *text, size_t size)
{
    memset(text, 'x', size - 1);
    text[size - 1] = '\0';
}

/* Numbers and enumerations are as long on the wire as they can be. */
static void fill_texts(struct zdm_migration_report *m)
{
    FILL(m->migration);
    FILL(m->throttled_by);
    FILL(m->blocked_by);
    FILL(m->error_sqlstate);
    FILL(m->error);
    FILL(m->hint);
    FILL(m->remark);
    m->n_hidden = ZDM_HIDDEN_MAX;
    for (size_t i = 0; i < m->n_hidden; i++) {
        FILL(m->hidden[i].what);
        m->hidden[i].by_rollback = true;
        m->hidden[i].hidden_at_ms = m->hidden[i].purge_at_ms = m->hidden[i].scans = INT64_MIN;
    }
}

static void fill_migration(struct zdm_migration_report *m)
{
    fill_texts(m);
    m->accepted.epoch = m->accepted.generation = UINT64_MAX;
    memset(m->accepted.instance.bytes, 7, sizeof m->accepted.instance.bytes);
    memset(m->accepted.anchor.bytes, 7, sizeof m->accepted.anchor.bytes);
    memset(m->evidence.bytes, 7, sizeof m->evidence.bytes);
    m->state = ZDM_AGENT_STOPPED;
    m->wait = ZDM_WAIT_GATE;
    m->proven = m->undone = m->equivocation = m->purged = true;
    m->proven_phase = m->step = m->failed_attempt = m->hidden_total = UINT32_MAX;
    m->progress = (struct zdm_progress){UINT64_MAX, UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    m->error_code = ZDM_DATABASE;
}

static void fill_report(struct zdm_report *report)
{
    report->number = report->timeline = UINT64_MAX;
    report->connected = report->writable = true;
    report->engine = ZDM_ENGINE_POSTGRESQL;
    report->trust_version = UINT32_MAX;
    FILL(report->server_version);
    FILL(report->identity);
    FILL(report->release);
    FILL(report->db_error);
    report->n_signals = ZDM_SIGNALS_MAX;
    for (size_t i = 0; i < report->n_signals; i++) {
        struct zdm_signal *signal = &report->signals[i];
        FILL(signal->name);
        signal->state = ZDM_SIGNAL_STALE;
        signal->value = signal->limit = signal->since_ms = INT64_MIN;
    }
    report->n_migrations = AGENT_REPORTED_MAX;
    report->migrations = calloc(report->n_migrations, sizeof *report->migrations);
    assert_non_null(report->migrations);
    for (size_t i = 0; i < report->n_migrations; i++)
        fill_migration(&report->migrations[i]);
}

static size_t encoded(const struct zdm_frame *frame)
{
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    zdm_frame_encode(frame, &bytes);
    assert_false(bytes.failed);
    size_t n = bytes.len;
    zdm_buffer_fini(&bytes);
    return n;
}

static void the_largest_report_fits_a_frame(void **state)
{
    (void)state;
    struct zdm_frame frame = {.type = ZDM_FRAME_REPORT};
    fill_report(&frame.u.report);
    assert_true(encoded(&frame) > ZDM_FRAME_MAX - ZDM_SEAL_OVERHEAD); /* else nothing would have to be left out */
    agent_report_fit(&frame.u.report);
    size_t n = encoded(&frame);
    if (n > ZDM_FRAME_MAX - ZDM_SEAL_OVERHEAD)
        fail_msg("%zu bytes are more than %d", n, ZDM_FRAME_MAX - ZDM_SEAL_OVERHEAD);
    zdm_frame_fini(&frame);
}

static void the_first_hints_are_kept_and_every_error(void **state)
{
    (void)state;
    struct zdm_report report = {.number = 1};
    fill_report(&report);
    report.migrations[0].hint[0] = '\0'; /* has none: takes nobody's place */
    agent_report_fit(&report);
    for (size_t i = 0; i < report.n_migrations; i++) {
        assert_int_equal(report.migrations[i].hint[0] != '\0', i >= 1 && i <= AGENT_HINTED_MAX);
        assert_int_equal(strlen(report.migrations[i].error), ZDM_TEXT_MAX);
    }
    zdm_report_fini(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_report_fits_a_frame),
        cmocka_unit_test(the_first_hints_are_kept_and_every_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
