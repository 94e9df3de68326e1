/*
 * test_table.c - the shard machine's table, tested as a table: every row fires from every status it names and leads
 * where it says; every status can be reached; nothing that can happen is forgotten.
 */
#include "fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAST = 4 };

/* Everything that guards look at, one combination after the other. */
struct combination {
    bool current, running, rankable, failed_back;
    uint32_t at, goal, phase;
    enum coord_status resume_to;
    enum zdm_mode mode;
};

static bool next(struct combination *c, unsigned n)
{
    *c = (struct combination){.current = n & 1, .running = n & 2, .rankable = n & 4, .failed_back = n & 8};
    n >>= 4;
    c->mode = (enum zdm_mode)(1 + n % ZDM_MODE_PURGE);
    n /= ZDM_MODE_PURGE;
    c->at = n % (LAST + 1);
    n /= LAST + 1;
    c->goal = n % (LAST + 1);
    n /= LAST + 1;
    c->phase = n % (LAST + 1);
    n /= LAST + 1;
    c->resume_to = (enum coord_status)(1 + n % COORD_UNDONE);
    return n / COORD_UNDONE == 0;
}

/* Held in the middle of a rollback that had failed, or of which nobody knew how it stood. */
static bool goes_back(const struct combination *c)
{
    return c->failed_back && (c->resume_to == COORD_FAILED || c->resume_to == COORD_UNSURE);
}

/* Is it a state that the machine can be in? */
static bool is_sane(enum coord_status status, const struct combination *c)
{
    switch (status) {
    case COORD_READY:
        return c->at == c->goal && c->mode == ZDM_MODE_RUN && c->at < LAST;
    case COORD_MOVING:
        return c->goal == c->at + 1 && c->mode == ZDM_MODE_RUN;
    case COORD_HELD:
        return c->mode == ZDM_MODE_PAUSE && c->resume_to != COORD_HELD &&
               (c->resume_to == COORD_MOVING    ? c->goal == c->at + 1
                : c->resume_to == COORD_UNDOING ? c->goal < c->at
                : c->resume_to == COORD_UNDONE  ? c->at == 0 && c->goal == 0
                : c->resume_to == COORD_DONE    ? c->at == LAST && c->goal == LAST
                : goes_back(c)                  ? c->goal < c->at
                                                : c->goal == c->at && c->at < LAST);
    case COORD_FAILED:
        return c->failed_back ? c->mode == ZDM_MODE_UNDO && c->goal < c->at
                              : c->mode == ZDM_MODE_RUN && c->goal == c->at + 1;
    case COORD_UNDOING:
        return c->mode == ZDM_MODE_UNDO && c->goal < c->at;
    case COORD_UNSURE:
        if (c->failed_back)
            return c->mode != ZDM_MODE_RUN && c->goal < c->at;
        return (c->mode == ZDM_MODE_PAUSE && c->goal == c->at + 1) || (c->mode != ZDM_MODE_UNDO && c->goal == c->at);
    case COORD_DONE:
        return c->at == LAST && c->goal == LAST && c->mode != ZDM_MODE_UNDO;
    case COORD_UNDONE:
        return c->at == 0 && c->goal == 0;
    case COORD_EXCLUDED:
        return c->mode == ZDM_MODE_PAUSE && c->goal == c->at;
    }
    return false;
}

/* Let into phase 1, which it did not enter. What had failed matters to none of these. */
static bool is_unbegun(enum coord_status status, const struct combination *c)
{
    enum coord_status rests = status == COORD_HELD ? c->resume_to : status;
    return rests == COORD_READY && c->at == 0 && c->failed_back;
}

static struct coord_shard put(struct fleet *f, enum coord_status status, const struct combination *c)
{
    struct coord_shard before = *shard(f, 0), *s = shard(f, 0);
    s->status = status;
    s->resume_to = status == COORD_HELD ? c->resume_to : 0;
    s->at = s->high = c->at;
    s->goal = c->goal;
    s->mode = c->mode;
    s->failed_back = c->failed_back;
    s->opened = LAST;
    s->entered = is_unbegun(status, c) ? 0 : LAST;
    s->actor = agent_id(0, 0);
    s->generation = 1;
    return before;
}

static struct coord_case case_of(struct fleet *f, enum coord_stimulus on, const struct combination *c,
                                 struct coord_output *out)
{
    static const struct zdm_fence seen = {.epoch = 9};
    static const struct zdm_migration_report report = {.proven = true};
    static struct zdm_envelope order = {.bytes = (uint8_t *)"order", .len = 5};
    struct coord_case result = {.state = f->state, .view = &f->view, .out = out, .m = migration(f), .on = on};
    result.s = shard(f, 0);
    result.merge_from = COORD_ALONE;
    result.agent = agent_id(0, c->rankable ? 1 : 0);
    result.phase = c->phase;
    result.current = c->current;
    result.running = c->running || c->current;
    result.from_actor = result.running;
    result.rankable = c->rankable;
    result.report = on == COORD_ON_FORWARD ? &report : NULL;
    result.seen = &seen;
    result.undo_order = &order;
    result.reason = "test";
    return result;
}

/* Runs the case on the machine as it stands; returns the status afterwards, and puts everything back. */
static enum coord_status run_and_restore(struct fleet *f, struct coord_case *c, const struct coord_shard *before)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    enum coord_status now;
    coord_case_run(c);
    for (size_t i = 0; i < c->out->n_events; i++) {
        c->out->events[i].seq = f->state->head_seq + 1;
        assert_int_equal(coord_apply(f->state, &c->out->events[i], &err), ZDM_OK);
    }
    struct coord_shard *s = shard(f, 0);
    now = s->status;
    if (s->failure != before->failure)
        free(s->failure);
    if (s->hint != before->hint)
        free(s->hint);
    *s = *before;
    f->state->fenced = false;
    migration(f)->mode = COORD_OPEN;
    migration(f)->opened_phase = LAST;
    return now;
}

/* How often the row fires from that status, over all combinations; each time it has to lead where it says. */
static size_t fire(struct fleet *f, const struct coord_rule *rule, enum coord_status from)
{
    struct combination k;
    size_t fired = 0;
    for (unsigned n = 0; next(&k, n); n++) {
        if (!is_sane(from, &k))
            continue;
        struct coord_output out;
        coord_output_init(&out);
        struct coord_shard before = put(f, from, &k);
        struct coord_case c = case_of(f, rule->on, &k, &out);
        enum coord_status now = from;
        if (coord_case_match(&c) == rule) {
            fired++;
            now = run_and_restore(f, &c, &before);
            enum coord_status to = rule->to != 0 ? rule->to : from;
            if (now != to)
                fail_msg("row %u from %s leads to %s, not %s", rule->number, coord_status_name(from),
                         coord_status_name(now), coord_status_name(to));
        }
        *shard(f, 0) = before;
        coord_output_fini(&out);
    }
    return fired;
}

static void set_up(struct fleet *f)
{
    fleet_init(f, 1);
    f->check = false;
    assert_int_equal(fleet_submit(f, plan_of("m", "emcm")), ZDM_OK);
    migration(f)->opened_phase = LAST;
}

static void every_row_fires_from_every_status_it_names_and_leads_where_it_says(void **unused)
{
    (void)unused;
    struct fleet f;
    size_t n;
    const struct coord_rule *rules = coord_rules(&n);
    set_up(&f);
    for (size_t i = 0; i < n; i++)
        for (enum coord_status from = COORD_READY; from <= COORD_EXCLUDED; from++)
            if ((rules[i].from & 1U << from) != 0 && fire(&f, &rules[i], from) == 0)
                fail_msg("row %u (%s) never fires from %s", rules[i].number, rules[i].guard, coord_status_name(from));
    fleet_fini(&f);
}

static void every_status_is_reached_by_some_row_or_is_the_first(void **unused)
{
    (void)unused;
    size_t n;
    unsigned reached = 1U << COORD_READY;
    const struct coord_rule *rules = coord_rules(&n);
    for (size_t round = 0; round < n; round++)
        for (size_t i = 0; i < n; i++)
            if ((rules[i].from & reached) != 0 && rules[i].to != 0)
                reached |= 1U << rules[i].to;
    for (enum coord_status s = COORD_READY; s <= COORD_EXCLUDED; s++)
        assert_true((reached & 1U << s) != 0);
}

/* Rows, or the reason why there is none. */
static void each_status_answers_each_stimulus_by_a_row_or_by_this_list_of_refusals(void **unused)
{
    (void)unused;
    enum { S = COORD_EXCLUDED + 1 };
    /* '.' row, '-' none: refused to people, without effect for reports. Columns: READY MOVING HELD FAILED UNDOING
     * UNSURE DONE UNDONE EXCLUDED. */
    static const struct {
        enum coord_stimulus on;
        const char *rows;
    } expected[] = {
        {COORD_ON_RELEASE, ".--------"},      {COORD_ON_REACHED, "-..------"},     {COORD_ON_FAILED, "-..-.----"},
        {COORD_ON_RETRYING, "-.-------"},     {COORD_ON_PAUSE, "......---"},       {COORD_ON_RESUME, "--..---.-"},
        {COORD_ON_RETRY, "---.-.---"},        {COORD_ON_ROLLBACK, ".......--"},    {COORD_ON_UNDONE, "--.-.----"},
        {COORD_ON_REGRESSED, "....-..--"},    {COORD_ON_UNKNOWN, "..--.----"},     {COORD_ON_PROVEN, "-----.---"},
        {COORD_ON_PRIMARY_SEEN, "........-"}, {COORD_ON_EXCLUDE, "......-.-"},     {COORD_ON_INCLUDE, "--------."},
        {COORD_ON_LOWER_PAIR, "........."},   {COORD_ON_HIGHER_PAIR, "........."}, {COORD_ON_OTHER_REPORT, "------..-"},
        {COORD_ON_PURGE, "------..-"},        {COORD_ON_PURGED, "------..-"},      {COORD_ON_FORWARD, "--....---"},
    };
    size_t n;
    const struct coord_rule *rules = coord_rules(&n);
    for (size_t e = 0; e < sizeof expected / sizeof *expected; e++)
        for (unsigned s = 1; s < S; s++) {
            bool row = false;
            for (size_t i = 0; i < n; i++)
                row = row || (rules[i].on == expected[e].on && (rules[i].from & 1U << s) != 0);
            if (row != (expected[e].rows[s - 1] == '.'))
                fail_msg("stimulus %d in %s: row %d", (int)expected[e].on, coord_status_name((enum coord_status)s),
                         row);
        }
}

static void rows_stand_in_the_order_of_their_numbers_but_for_the_pair_that_must_not(void **unused)
{
    (void)unused;
    size_t n;
    const struct coord_rule *rules = coord_rules(&n);
    for (size_t i = 1; i < n; i++)
        assert_true(rules[i - 1].number <= rules[i].number || (rules[i - 1].number == 52 && rules[i].number == 51));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_fires_from_every_status_it_names_and_leads_where_it_says),
        cmocka_unit_test(every_status_is_reached_by_some_row_or_is_the_first),
        cmocka_unit_test(each_status_answers_each_stimulus_by_a_row_or_by_this_list_of_refusals),
        cmocka_unit_test(rows_stand_in_the_order_of_their_numbers_but_for_the_pair_that_must_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
