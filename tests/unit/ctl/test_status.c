/*
 * test_status.c - the page of `status` out of fixtures: what it says, that it fits, and how a large fleet is grouped.
 */
#include "support.h"

#include <stdlib.h>

#include "coordinator/ctl/model/shard_state.h"
#include "coordinator/ctl/view/view_status.h"

static char *render(const json_t *status, const struct ctl_look *look, const struct ctl_status_view *view)
{
    const struct ctl_status_view usual = {.all = false};
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    ctl_view_status(&out, look, status, view != NULL ? view : &usual);
    assert_false(out.failed);
    return zdm_buffer_take(&out);
}

/* n shards, copies of the fixture's in turn. */
static json_t *large(size_t n)
{
    json_t *status = fixture("status.json"), *shards = json_object_get(status, "shards"), *many = json_array();
    for (size_t i = 0; i < n; i++) {
        char name[32];
        json_t *shard = json_deep_copy(json_array_get(shards, i % 100 < 6 ? i % 6 : i % 3 == 0 ? 0 : 1));
        snprintf(name, sizeof name, "shop-eu-%04zu", i);
        json_object_set_new(shard, "shard", json_string(name));
        json_array_append_new(many, shard);
    }
    json_object_set_new(status, "shards", many);
    return status;
}

static void page_is_as_the_golden_file(void **state)
{
    char golden[8192], path[512];
    struct ctl_look look = look_of(80, true);
    json_t *status = fixture("status.json");
    (void)state;
    char *page = render(status, &look, NULL);
    snprintf(path, sizeof path, "%s/tests/unit/ctl/fixtures/status.txt", ZDM_SOURCE_DIR);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    golden[fread(golden, 1, sizeof golden - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(page, golden);
    free(page);
    json_decref(status);
}

static void a_waiting_shard_says_first_that_nobody_is_there_or_nothing_to_work_on(void **state)
{
    static const struct {
        const char *shard;
        enum ctl_shard_word word;
    } rows[] = {
        {"{\"status\": \"ready\", \"agent\": {\"connected\": true}, \"observed\": {\"connected\": true}}",
         CTL_SHARD_WAITING},
        {"{\"status\": \"ready\", \"agent\": {\"connected\": true}, \"observed\": {\"connected\": false}}",
         CTL_SHARD_NO_DATABASE},
        {"{\"status\": \"ready\", \"agent\": {\"connected\": false}, \"observed\": {\"connected\": true}}",
         CTL_SHARD_AWAY},
        {"{\"status\": \"ready\", \"agent\": null, \"observed\": null}", CTL_SHARD_AWAY},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ctl_shard shard;
        json_t *json = parse(rows[i].shard);
        ctl_shard_read(&shard, json, 1);
        assert_int_equal(shard.word, rows[i].word);
        json_decref(json);
    }
}

static void shards_of_one_hint_say_it_once_and_one_that_tries_again_says_its_agents(void **state)
{
    json_t *status = parse(
        "{\"migration\": \"m\", \"phase\": 1, \"shards\": ["
        "{\"shard\": \"a\", \"status\": \"failed\", \"reason\": \"failed at step 1.1: x\", \"hint\": \"Do y.\"},"
        "{\"shard\": \"b\", \"status\": \"failed\", \"reason\": \"failed at step 1.1: x\", \"hint\": \"Do y.\"},"
        "{\"shard\": \"c\", \"status\": \"failed\", \"reason\": \"failed at step 1.1: x\", \"hint\": null},"
        "{\"shard\": \"d\", \"status\": \"moving\", \"reason\": \"trying again: z\", \"agent\": {\"connected\": true},"
        " \"observed\": {\"state\": \"waiting\", \"wait\": \"backoff\", \"connected\": true, \"hint\": \"Grant it.\"}},"
        "{\"shard\": \"e\", \"status\": \"moving\", \"agent\": {\"connected\": true},"
        " \"observed\": {\"state\": \"working\", \"connected\": true, \"hint\": \"of before\"}}]}");
    struct ctl_look look = look_of(80, true);
    (void)state;
    char *page = render(status, &look, NULL);
    char *first = strstr(page, "    hint: Do y.\n");
    assert_non_null(first);
    assert_null(strstr(first + strlen("    hint: Do y."), "Do y."));
    assert_has(page, "    hint: Grant it.\n");
    assert_lacks(page, "of before");
    free(page);
    json_decref(status);
}

/* Four shards of which two have failed, under a long name, with long titles. */
static json_t *crowded(void)
{
    json_t *status = fixture("status.json"), *shards = json_array(), *phases = json_object_get(status, "phases"),
           *phase;
    json_t *failed = json_array_get(json_object_get(status, "shards"), 2);
    static const char *const names[] = {"shard-1", "shard-2", "shard-3", "shard-4"};
    size_t i;
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *shard = json_deep_copy(failed);
        json_object_set_new(shard, "shard", json_string(names[i]));
        json_array_append_new(shards, shard);
    }
    json_array_foreach(phases, i, phase)
        json_object_set_new(phase, "title", json_string("A title that says at length what is done in this phase"));
    json_object_set_new(status, "shards", shards);
    json_object_set_new(status, "migration", json_string("orders-and-order-lines-get-their-currency-and-rates"));
    json_object_set_new(status, "title",
                        json_string("Every order and each of its lines knows its own currency and the "
                                    "exchange rate of the day on which it was written"));
    return status;
}

static void a_crowded_page_cuts_titles_before_shards_and_names_those_it_groups(void **state)
{
    const struct ctl_status_view view = {.max_rows = 23, .footer = "watching; Ctrl-C ends"};
    const struct ctl_status_view small = {.max_rows = 12};
    struct ctl_look look = look_of(80, true);
    json_t *status = crowded(), *shard;
    size_t i;
    (void)state;
    char *page = render(status, &look, &view);
    assert_true(ctl_rows_of(page) <= 23);
    assert_has(page, "…\n");
    assert_has(page, " → 2 migrate ● ");
    assert_has(page, "    these 4: step 2.2: value too long");
    assert_has(page, "    hint: Change that row");
    assert_has(page, "next: zdmctl retry users-full-name --shard shard-3\nwatching");
    free(page);
    page = render(status, &look, &small);
    assert_has(page, "4 shards failed: step 2.2: value too long");
    free(page);
    json_array_remove(json_object_get(status, "shards"), 3);
    json_array_foreach(json_object_get(status, "shards"), i, shard)
        json_object_set_new(shard, "reason", json_string("failed at step 2.2: no"));
    page = render(status, &look, &small);
    assert_has(page, "shard-1, shard-2, shard-3 failed at step 2.2: no\n");
    free(page);
    json_decref(status);
}

static void page_fits_every_width(void **state)
{
    json_t *few = fixture("status.json"), *many = large(120);
    (void)state;
    for (unsigned width = CTL_WIDTH_MIN; width <= CTL_WIDTH_MAX; width++) {
        for (int i = 0; i < 4; i++) {
            struct ctl_look look = look_of(width, i % 2 == 0);
            char *page = render(i < 2 ? few : many, &look, NULL);
            size_t columns = widest(&look, page);
            if (columns > width)
                fail_msg("%zu columns in a terminal of %u:\n%s", columns, width, page);
            free(page);
        }
    }
    json_decref(few);
    json_decref(many);
}

static void page_of_ascii_has_no_other_character(void **state)
{
    struct ctl_look look = look_of(80, false);
    json_t *status = fixture("status.json");
    (void)state;
    char *page = render(status, &look, NULL);
    for (const char *p = page; *p != '\0'; p++)
        assert_true(*p == '\n' || (*p >= ' ' && *p < 0x7f));
    free(page);
    json_decref(status);
}

static void colors_add_nothing_but_escapes_of_our_own(void **state)
{
    struct ctl_look plain = look_of(80, true), color = look_of(80, true);
    json_t *status = fixture("status.json");
    (void)state;
    color.color = true;
    char *a = render(status, &plain, NULL), *b = render(status, &color, NULL);
    assert_null(strchr(a, '\033'));
    size_t n = 0;
    for (const char *p = b; *p != '\0'; p++) {
        if (*p == '\033') {
            p += strcspn(p, "m");
            continue;
        }
        b[n++] = *p;
    }
    b[n] = '\0';
    assert_string_equal(a, b);
    free(a);
    free(b);
    json_decref(status);
}

static void every_shard_that_does_not_move_says_why(void **state)
{
    struct ctl_look look = look_of(100, true);
    json_t *status = fixture("status.json");
    (void)state;
    char *page = render(status, &look, NULL);
    assert_has(page, "value too long for type character varying(255)");
    assert_has(page, "pid 4242 (app@shop");
    assert_has(page, "agent away since 42 s");
    assert_has(page, "held back by replica_lag 5200 ms > 5000 ms");
    assert_has(page, "waits for an advance");
    assert_has(page, "barrier: phase 3 waits for 5 of 6 shards to finish phase 2");
    assert_has(page, "next: zdmctl retry users-full-name --shard shard-3\n      shard-3 failed");
    free(page);
    json_decref(status);
}

static void a_large_fleet_is_grouped(void **state)
{
    const struct ctl_status_view all = {.all = true};
    struct ctl_look look = look_of(80, true);
    json_t *status = large(120);
    (void)state;
    char *page = render(status, &look, NULL);
    assert_true(ctl_rows_of(page) < 60);
    assert_has(page, "shards finished phase 2");
    assert_has(page, "more shards working: ");
    char *whole = render(status, &look, &all);
    assert_true(ctl_rows_of(whole) > 120);
    assert_has(whole, "shop-eu-0119");
    free(page);
    free(whole);
    json_decref(status);
}

static void a_page_with_a_limit_keeps_to_it(void **state)
{
    json_t *status = large(500);
    (void)state;
    for (unsigned rows = 20; rows < 80; rows += 7) {
        const struct ctl_status_view view = {.all = true, .max_rows = rows, .footer = "watching"};
        struct ctl_look look = look_of(80, true);
        char *page = render(status, &look, &view);
        assert_true(ctl_rows_of(page) <= rows);
        assert_has(page, "watching");
        free(page);
    }
    json_decref(status);
}

static void a_fleet_without_migrations_says_what_to_do(void **state)
{
    struct ctl_look look = look_of(80, true);
    json_t *status = parse("{\"fleet\": \"shop\", \"migration\": null}");
    (void)state;
    char *page = render(status, &look, NULL);
    assert_has(page, "no migration has been submitted");
    assert_has(page, "zdmctl submit RUNBOOK");
    free(page);
    json_decref(status);
}

static void alarms_are_not_to_be_overlooked(void **state)
{
    struct ctl_look look = look_of(80, true);
    json_t *status = fixture("status.json"), *coordinator = json_object_get(status, "coordinator");
    (void)state;
    json_object_set_new(coordinator, "fenced", json_true());
    json_object_set_new(coordinator, "frozen", json_true());
    json_object_set_new(status, "mode", json_string("halted"));
    json_object_set_new(status, "halted_by", json_string("budget"));
    char *page = render(status, &look, NULL);
    assert_has(page, "FENCED:");
    assert_has(page, "frozen:");
    assert_has(page, "halted: no further shard enters a phase; cause: more shards failed");
    free(page);
    json_decref(status);
}

static void unknown_and_missing_fields_do_no_harm(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"migration\": \"m\"}",
        "{\"migration\": \"m\", \"shards\": [{}, {\"shard\": 7, \"status\": [], \"observed\": \"x\"}, null]}",
        "{\"migration\": \"m\", \"phases\": [null, {\"number\": \"one\"}], \"next\": 5, \"barrier\": []}",
    };
    struct ctl_look look = look_of(80, true);
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_t *status = parse(texts[i]);
        free(render(status, &look, NULL));
        json_decref(status);
    }
}

/* ---- One word for each shard ---- */

static json_t *shard_of(const char *status, int goal, const char *observed, bool connected, int heard_ms)
{
    char text[1024];
    snprintf(
        text, sizeof text,
        "{\"shard\": \"s\", \"status\": \"%s\", \"reason\": \"\", \"agent\": {\"connected\": %s, \"heard_ms\": %d}, "
        "\"desired\": {\"phase\": %d, \"mode\": \"run\"}, \"observed\": %s}",
        status, connected ? "true" : "false", heard_ms, goal, observed);
    return parse(text);
}

static void every_situation_has_its_word(void **state)
{
    static const struct {
        const char *status, *observed;
        int goal;
        bool connected;
        int heard_ms;
        enum ctl_shard_word word;
    } rows[] = {
        {"ready", "null", 1, true, 10, CTL_SHARD_WAITING},
        {"ready", "null", 2, false, 99999, CTL_SHARD_FINISHED},
        {"moving", "null", 2, true, 10, CTL_SHARD_WORKING},
        {"moving", "{\"state\": \"working\"}", 2, true, 10, CTL_SHARD_WORKING},
        {"moving", "{\"state\": \"looking\"}", 2, true, 10, CTL_SHARD_WORKING},
        {"moving", "{\"state\": \"working\"}", 2, false, 10, CTL_SHARD_AWAY},
        {"moving", "{\"state\": \"working\"}", 2, true, 16000, CTL_SHARD_AWAY},
        {"moving", "{\"state\": \"blind\"}", 2, true, 10, CTL_SHARD_NO_DATABASE},
        {"moving", "{\"state\": \"working\", \"connected\": false}", 2, true, 10, CTL_SHARD_NO_DATABASE},
        {"moving", "{\"state\": \"asking\"}", 2, true, 10, CTL_SHARD_PARKED},
        {"moving", "{\"state\": \"waiting\", \"wait\": \"lease\"}", 2, true, 10, CTL_SHARD_PARKED},
        {"moving", "{\"state\": \"waiting\", \"wait\": \"lock\"}", 2, true, 10, CTL_SHARD_BLOCKED},
        {"moving", "{\"state\": \"waiting\", \"wait\": \"throttle\"}", 2, true, 10, CTL_SHARD_THROTTLED},
        {"moving", "{\"state\": \"waiting\", \"wait\": \"backoff\"}", 2, true, 10, CTL_SHARD_RETRYING},
        {"moving", "{\"state\": \"waiting\", \"wait\": \"plan\"}", 2, true, 10, CTL_SHARD_WORKING},
        {"held", "{\"state\": \"working\"}", 2, true, 10, CTL_SHARD_PAUSING},
        {"held", "null", 2, true, 10, CTL_SHARD_PAUSING},
        {"held", "{\"state\": \"paused\"}", 2, true, 10, CTL_SHARD_PAUSED},
        {"failed", "null", 2, false, 10, CTL_SHARD_FAILED},
        {"unsure", "null", 2, true, 10, CTL_SHARD_UNSURE},
        {"undoing", "null", 1, true, 10, CTL_SHARD_UNDOING},
        {"undone", "null", 0, true, 10, CTL_SHARD_UNDONE},
        {"done", "null", 4, true, 10, CTL_SHARD_DONE},
        {"excluded", "null", 2, true, 10, CTL_SHARD_EXCLUDED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *json = shard_of(rows[i].status, rows[i].goal, rows[i].observed, rows[i].connected, rows[i].heard_ms);
        struct ctl_shard shard;
        ctl_shard_read(&shard, json, 2);
        if (shard.word != rows[i].word)
            fail_msg("row %zu (%s, %s) gives \"%s\"", i, rows[i].status, rows[i].observed,
                     ctl_shard_word_text(shard.word));
        json_decref(json);
    }
}

/* A shard that the books leave where it was, and whose agent does not take the order. */
static void a_refused_order_is_unsure_with_the_agents_words_and_what_leads_out(void **state)
{
    static const char *const statuses[] = {"ready", "moving", "undoing"};
    static const char observed[] = "{\"state\": \"paused\", \"error\": \"the journal stands under plan ab\", "
                                   "\"hint\": \"Leave the shard out, zdmctl exclude with --shard.\"}";
    (void)state;
    for (size_t i = 0; i < 2 * sizeof statuses / sizeof statuses[0]; i++) {
        json_t *json = shard_of(statuses[i / 2], 2, observed, i % 2 == 0, 10);
        struct ctl_shard shard;
        json_object_set_new(json, "refused", json_true());
        json_object_set_new(json, "reason", json_string("its agent does not take the order: the journal stands"));
        ctl_shard_read(&shard, json, 2);
        if (i % 2 == 0) {
            assert_int_equal(shard.word, CTL_SHARD_UNSURE);
            assert_non_null(strstr(shard.reason, "its agent does not take the order: the journal stands"));
            assert_string_equal(shard.hint, "Leave the shard out, zdmctl exclude with --shard.");
        } else {
            assert_int_not_equal(shard.word, CTL_SHARD_UNSURE);
        }
        json_decref(json);
    }
}

static void every_word_has_a_text(void **state)
{
    (void)state;
    for (int w = 0; w < CTL_SHARD_WORDS; w++)
        assert_true(strlen(ctl_shard_word_text((enum ctl_shard_word)w)) > 1);
}

/* The fixture with what going back and signing add to it. */
static json_t *with_authority(void)
{
    json_t *status = fixture("status.json"), *shards = json_object_get(status, "shards");
    json_object_set_new(status, "trust_version", json_integer(3));
    json_object_set_new(
        status, "approvals",
        parse("[{\"phase\": 3, \"action\": \"enter\", \"needed\": 2, \"given\": 1, \"by\": ["
              "{\"name\": \"bob\", \"expires_at\": \"2026-11-29T10:00:00Z\", \"verdict\": \"counts\"},"
              "{\"name\": \"dave\", \"expires_at\": \"2026-11-29T10:00:00Z\", \"verdict\": \"was withdrawn\"},"
              "{\"name\": \"carol\", \"expires_at\": \"2026-11-20T10:00:00Z\", \"verdict\": \"has expired\"}]},"
              "{\"phase\": 5, \"action\": \"purge\", \"needed\": 1, \"given\": 0, \"by\": []},"
              "{\"phase\": 1, \"action\": \"undo\", \"needed\": 1, \"given\": 1, \"by\": ["
              "{\"name\": \"bob\", \"expires_at\": \"2026-11-29T10:00:00Z\", \"verdict\": \"counts\"}]}]"));
    for (size_t i = 0; i < 2; i++)
        json_object_set_new(json_array_get(shards, i), "hidden",
                            parse(i == 0 ? "[{\"what\": \"column public.users.name\", \"hidden_at\": "
                                           "\"2026-11-22T09:00:00Z\", \"purge_at\": \"2026-11-25T09:00:00Z\"},"
                                           "{\"what\": \"column public.users.name\", \"hidden_at\": "
                                           "\"2026-11-22T09:30:00Z\", \"purge_at\": \"2026-11-25T09:30:00Z\"}]"
                                         : "[{\"what\": \"column public.users.name\", \"hidden_at\": "
                                           "\"2026-11-21T09:00:00Z\", \"purge_at\": \"2026-11-25T10:30:00Z\"}]"));
    json_t *back = json_array_get(shards, 1);
    json_object_set_new(back, "status", json_string("held"));
    json_object_set_new(back, "rolled_back", json_true());
    json_object_set_new(back, "reason", json_string("rolled back to phase 1"));
    json_object_set_new(back, "remark", json_string("1,204 rows were changed since and kept"));
    return status;
}

/* The agents count scans on every node of their shard; people read the sum over the shards before they purge. */
static char *page_of_index(const char *first, const char *second, bool color)
{
    struct ctl_look look = look_of(200, true);
    json_t *status = fixture("status.json"), *shards = json_object_get(status, "shards");
    const char *scans[] = {first, second};
    look.color = color;
    for (size_t i = 0; i < 2; i++) {
        char text[400];
        snprintf(text, sizeof text,
                 "[{\"what\": \"index public.by_email\", \"hidden_at\": \"2026-11-2%zuT09:00:00Z\", \"purge_at\": "
                 "\"2026-11-25T09:00:00Z\", \"scans\": %s}, {\"what\": \"column public.users.name\", \"hidden_at\": "
                 "\"2026-11-21T09:00:00Z\", \"purge_at\": \"2026-11-25T09:00:00Z\", \"scans\": null}]",
                 2 - i, scans[i]);
        json_object_set_new(json_array_get(shards, i), "hidden", parse(text));
    }
    char *page = render(status, &look, NULL);
    json_decref(status);
    return page;
}

static void scans_of_an_index_that_is_to_be_dropped_are_on_the_page(void **state)
{
#define INDEX "hidden: index public.by_email on 2 shards since 2026-11-21, may go from 2026-11-25 09:00 UTC"
    static const struct {
        const char *first, *second, *line;
    } rows[] = {
        {"0", "0", INDEX "; 0 scans since\n"},
        {"0", "1", INDEX "; 1 scan since: it is still used\n"},
        {"17", "25000000000", INDEX "; 25000000017 scans since: it is still used\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *page = page_of_index(rows[i].first, rows[i].second, false);
        assert_has(page, rows[i].line);
        /* A column has no scans, and none are said of it. */
        assert_has(page,
                   "hidden: column public.users.name on 2 shards since 2026-11-21, may go from 2026-11-25 09:00 UTC\n");
        free(page);
    }
    char *quiet = page_of_index("0", "0", true), *used = page_of_index("0", "1", true);
    const char *at = strstr(quiet, "hidden:"), *warned = strstr(used, "hidden:");
    assert_true(at != NULL && warned != NULL && at - quiet >= 4 && warned - used >= 4);
    assert_memory_not_equal(at - 4, warned - 4, 4); /* who is still used stands out */
    free(quiet);
    free(used);
}

static void approvals_hidden_things_and_rollbacks_are_on_the_page(void **state)
{
    const struct ctl_status_view view = {.trust_version = 1};
    struct ctl_look look = look_of(200, true);
    json_t *status = with_authority();
    (void)state;
    char *page = render(status, &look, &view);
    assert_has(page, "approvals: phase 3 switch: 1 of 2 approvals (bob until 2026-11-29; carol: has expired)\n");
    assert_lacks(page, "phase 5 purge:"); /* far away, and nobody has signed */
    assert_has(page, "approvals: rollback to phase 1: 1 of 1 approval (bob until 2026-11-29)\n");
    assert_has(page,
               "hidden: column public.users.name on 2 shards since 2026-11-21, may go from 2026-11-25 10:30 UTC\n");
    assert_has(page, "1 rolled back");
    assert_has(page, "rolled back to phase 1; 1,204 rows were changed since and kept");
    assert_has(page, "trust: your trust file is version 1, the fleet's is 3: zdmctl trust fetch");
    free(page);
    page = render(status, &look, NULL);
    assert_lacks(page, "zdmctl trust fetch");
    free(page);
    for (unsigned width = CTL_WIDTH_MIN; width <= 120; width++) {
        struct ctl_look narrow = look_of(width, width % 2 == 0);
        page = render(status, &narrow, &view);
        if (widest(&narrow, page) > width)
            fail_msg("too wide for %u:\n%s", width, page);
        free(page);
    }
    json_decref(status);
}

static void a_shard_that_waits_for_people_or_time_waits(void **state)
{
    static const char *const waits[] = {"approvals", "grace"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct ctl_shard shard;
        json_t *json = json_pack("{s:s, s:{s:b}, s:{s:b, s:s, s:s, s:s}}", "status", "moving", "agent", "connected", 1,
                                 "observed", "connected", 1, "state", "waiting", "wait", waits[i], "blocked_by",
                                 "until 2026-11-25 10:00:00 UTC (grace 72h)");
        ctl_shard_read(&shard, json, 5);
        assert_int_equal(shard.word, CTL_SHARD_WAITING);
        assert_string_equal(shard.reason, "until 2026-11-25 10:00:00 UTC (grace 72h)");
        json_decref(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_is_as_the_golden_file),
        cmocka_unit_test(scans_of_an_index_that_is_to_be_dropped_are_on_the_page),
        cmocka_unit_test(approvals_hidden_things_and_rollbacks_are_on_the_page),
        cmocka_unit_test(a_shard_that_waits_for_people_or_time_waits),
        cmocka_unit_test(a_waiting_shard_says_first_that_nobody_is_there_or_nothing_to_work_on),
        cmocka_unit_test(shards_of_one_hint_say_it_once_and_one_that_tries_again_says_its_agents),
        cmocka_unit_test(a_crowded_page_cuts_titles_before_shards_and_names_those_it_groups),
        cmocka_unit_test(page_fits_every_width),
        cmocka_unit_test(page_of_ascii_has_no_other_character),
        cmocka_unit_test(colors_add_nothing_but_escapes_of_our_own),
        cmocka_unit_test(every_shard_that_does_not_move_says_why),
        cmocka_unit_test(a_large_fleet_is_grouped),
        cmocka_unit_test(a_page_with_a_limit_keeps_to_it),
        cmocka_unit_test(a_fleet_without_migrations_says_what_to_do),
        cmocka_unit_test(alarms_are_not_to_be_overlooked),
        cmocka_unit_test(unknown_and_missing_fields_do_no_harm),
        cmocka_unit_test(every_situation_has_its_word),
        cmocka_unit_test(a_refused_order_is_unsure_with_the_agents_words_and_what_leads_out),
        cmocka_unit_test(every_word_has_a_text),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
