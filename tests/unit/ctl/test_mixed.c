/*
 * test_mixed.c - what a person reads of a fleet of two engines: what is the same on both is said once, and each server
 * by its own name.
 */
#include "support.h"

#include <stdlib.h>

#include "common/os/crypto.h"
#include "common/plan/engines.h"
#include "coordinator/ctl/text/back_text.h"
#include "coordinator/ctl/view/check_view.h"
#include "coordinator/ctl/cmd/source.h"
#include "coordinator/ctl/view/view_status.h"
#include "coordinator/ctl/model/way_back.h"

static struct ctl_compiled renamed; /* phases: 1 expand, 2 migrate, 3 switch, 4 contract, 5 purge */

static void a_server_has_the_name_that_people_give_it(void **state)
{
    static const char *const rows[][3] = {{"postgresql", "15.4", "postgresql 15.4"},
                                          {"mysql", "9.7.4", "mysql 9.7.4"},
                                          {"mysql", "10.11.19-MariaDB", "mariadb 10.11.19"}};
    char text[64];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        zdm_server_text(text, sizeof text, rows[i][0], rows[i][1]);
        assert_string_equal(text, rows[i][2]);
    }
}

static void a_name_without_schema_is_the_same_thing(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"column public.users.name", "column users.name", true},
        {"public.users", "users", true},
        {"table shop.users", "table users", true},
        {"", "", true},
        {"column public.users.name", "table users.name", false},
        {"column users.name", "column users.mail", false},
        {"deleted rows of public.users", "deleted rows of users", true},
        {"column users.users.a, left by a rollback", "column users.a, left by a rollback", true},
        {"column public.users.name", "column name", false},
        {".users", "users", false},
        {"column a.users.name", "column b.users.name", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(zdm_is_same_thing(rows[i].a, rows[i].b), rows[i].same);
        assert_int_equal(zdm_is_same_thing(rows[i].b, rows[i].a), rows[i].same);
    }
}

static void what_is_hidden_on_both_is_one_line(void **state)
{
#define ROWS(what, size)                                                                                               \
    ",{\"what\": \"deleted rows of " what " (" size ")\", \"hidden_at\": \"2026-11-22T09:00:00Z\", \"purge_at\": "     \
    "\"2026-11-25T09:00:00Z\"}]"
    static const char *const hidden[] = {
        "[{\"what\": \"column public.users.name\", \"hidden_at\": "
        "\"2026-11-22T09:00:00Z\", \"purge_at\": \"2026-11-25T09:00:00Z\"}" ROWS("public.logs", "1,168 kB"),
        "[{\"what\": \"column users.name\", \"hidden_at\": "
        "\"2026-11-21T09:00:00Z\", \"purge_at\": \"2026-11-25T10:30:00Z\"}" ROWS("logs", "2 MB")};
    struct ctl_look look = look_of(200, true);
    const struct ctl_status_view view = {.all = true};
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    json_t *status = fixture("status.json"), *shards = json_object_get(status, "shards");
    (void)state;
    for (size_t i = 0; i < 2; i++)
        json_object_set_new(json_array_get(shards, i), "hidden", parse(hidden[i]));
    ctl_view_status(&out, &look, status, &view);
    assert_has(zdm_buffer_text(&out),
               "hidden: column users.name on 2 shards since 2026-11-21, may go from 2026-11-25 10:30 UTC\n");
    assert_has(zdm_buffer_text(&out), "hidden: deleted rows of logs (3.14 MB) on 2 shards since 2026-11-22, may go");
    zdm_buffer_fini(&out);
    json_decref(status);
}

/* ---- Rollbacks and signatures ---- */

static void places_of(struct ctl_places *out, json_t **status, int entered)
{
    static const char shard[] = "{\"shard\": \"%s\", \"status\": \"ready\", \"engine\": \"%s\", \"entered\": %d, "
                                "\"desired\": {\"phase\": %d, \"mode\": \"run\"}}";
    const struct zdm_selection all = {.all = true};
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&text, "{\"shards\": [");
    zdm_buffer_printf(&text, shard, "a", "postgresql", entered, entered);
    zdm_buffer_puts(&text, ", ");
    zdm_buffer_printf(&text, shard, "b", "mysql", entered, entered);
    zdm_buffer_puts(&text, "]}");
    *status = parse(zdm_buffer_text(&text));
    assert_int_equal(ctl_places_read(*status, &all, NULL, renamed.plan, out, &err), ZDM_OK);
    zdm_buffer_fini(&text);
}

static void way_text(struct zdm_buffer *out, int entered, int64_t to)
{
    struct ctl_look look = look_of(100, true);
    struct zdm_error err = ZDM_ERROR_INIT;
    struct ctl_places places;
    struct ctl_way way;
    json_t *status;
    places_of(&places, &status, entered);
    assert_int_equal(ctl_way_find(renamed.plan, &places, (uint32_t)entered, to, &way, &err), ZDM_OK);
    ctl_way_text(out, &look, &way, 1);
    ctl_places_fini(&places);
    json_decref(status);
}

static void shards_where_the_same_goes_back_are_one_group(void **state)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    (void)state;
    way_text(&out, 4, 3);
    assert_has(zdm_buffer_text(&out), "2 shards at the end of phase 4: a and b\n");
    zdm_buffer_reset(&out);
    way_text(&out, 2, 0);
    assert_has(zdm_buffer_text(&out), "1 shard at the end of phase 2: a\n");
    assert_has(zdm_buffer_text(&out), "users.full_name hidden as ~zdm_u..., kept");
    assert_has(zdm_buffer_text(&out), "1 shard at the end of phase 2: b\n");
    assert_has(zdm_buffer_text(&out), "hidden as zdm_u...,");
    zdm_buffer_fini(&out);
}

static void what_neither_engine_brings_back_is_one_line(void **state)
{
    struct ctl_look look = look_of(100, true);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    const struct zdm_phase *purge = zdm_plan_phase(renamed.plan, 5);
    const struct zdm_step *steps[2] = {&purge->steps[0], &purge->steps[1]};
    (void)state;
    assert_int_equal(purge->n_steps, 2);
    assert_true(ctl_put_rests(&out, &look, renamed.plan, steps, 2, 1));
    assert_string_equal(zdm_buffer_text(&out), "not exact: steps 5.1 and 5.2: users.name is dropped for good\n");
    zdm_buffer_fini(&out);
}

/* ---- Check ---- */

static const struct zdm_step *step_of(enum zdm_engine engine, enum zdm_action action)
{
    for (uint32_t o = 1; o <= zdm_plan_n_steps(renamed.plan); o++) {
        const struct zdm_step *step = zdm_plan_step(renamed.plan, o);
        if (step->engine == engine && step->action == action)
            return step;
    }
    fail_msg("no such step");
    return NULL;
}

static char *text_of(const char *text)
{
    char *copy = zdm_strdup(text);
    assert_non_null(copy);
    return copy;
}

static struct zdm_survey *survey_of(enum zdm_engine engine, const char *version, const char *object)
{
    struct zdm_survey *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->engine = engine;
    zdm_copy_text(s->server_version, sizeof s->server_version, version);
    s->findings = calloc(1, sizeof *s->findings);
    assert_non_null(s->findings);
    s->n_findings = 1;
    s->findings[0] = (struct zdm_survey_finding){.level = ZDM_LEVEL_WARNING,
                                                 .rule = text_of("trigger-fires"),
                                                 .step = step_of(engine, ZDM_ACTION_BACKFILL)->ordinal,
                                                 .object = text_of(object),
                                                 .message = text_of("a trigger fires"),
                                                 .hint = text_of("")};
    return s;
}

static void one_finding_for_both_is_said_once_with_both_steps(void **state)
{
    struct ctl_shard_survey shards[] = {
        {.shard = "a", .survey = survey_of(ZDM_ENGINE_POSTGRESQL, "15.4", "public.users")},
        {.shard = "b", .survey = survey_of(ZDM_ENGINE_MYSQL, "10.11.19-MariaDB", "users")}};
    const struct ctl_fleet_survey fleet = {.shards = shards, .n = 2};
    struct ctl_look look = look_of(100, true);
    struct ctl_grouped grouped;
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    (void)state;
    ctl_group(&fleet, renamed.plan, renamed.notes, &grouped);
    const struct ctl_check check = {renamed.plan, renamed.notes, &fleet, &grouped};
    assert_int_equal(grouped.n_findings, 1);
    ctl_check_text(&out, &look, &check);
    assert_has(zdm_buffer_text(&out),
               "    steps fill.2 and fill.4 · public.users · on every shard · [trigger-fires]\n");
    assert_has(zdm_buffer_text(&out), "  mariadb 10.11.19 on b\n");
    ctl_grouped_fini(&grouped);
    zdm_survey_free(shards[1].survey);
    shards[1].survey = survey_of(ZDM_ENGINE_MYSQL, "9.7.4", "others"); /* another thing */
    ctl_group(&fleet, renamed.plan, renamed.notes, &grouped);
    assert_int_equal(grouped.n_findings, 2);
    ctl_grouped_fini(&grouped);
    zdm_survey_free(shards[0].survey);
    zdm_survey_free(shards[1].survey);
    zdm_buffer_fini(&out);
}

static void a_lock_is_told_of_steps_that_read_and_write_rows_too(void **state)
{
    static const struct {
        enum zdm_action action;
        const char *lock;
    } rows[] = {{ZDM_ACTION_ADD_COLUMN, "METADATA"},
                {ZDM_ACTION_SYNC_INSTALL, "METADATA"},
                {ZDM_ACTION_BACKFILL, "METADATA, shared"},
                {ZDM_ACTION_CHECK_COMPARE, "METADATA, shared"},
                {ZDM_ACTION_PURGE_COLUMN, "METADATA"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(zdm_table_lock_name(zdm_step_table_lock(step_of(ZDM_ENGINE_MYSQL, rows[i].action))),
                            rows[i].lock);
    assert_int_equal(zdm_step_table_lock(step_of(ZDM_ENGINE_ANY, ZDM_ACTION_GATE_FLAG)), ZDM_TABLE_LOCK_NONE);
}

static int compile(void **state)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    if (zdm_crypto_start(&err) != ZDM_OK ||
        ctl_compile(ZDM_SOURCE_DIR "/deploy/examples/users-full-name.md", &renamed, &err) != ZDM_OK) {
        print_error("%s\n", err.message);
        return 1;
    }
    return renamed.plan != NULL ? 0 : 1;
}

static int free_it(void **state)
{
    (void)state;
    ctl_compiled_fini(&renamed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_has_the_name_that_people_give_it),
        cmocka_unit_test(a_name_without_schema_is_the_same_thing),
        cmocka_unit_test(what_is_hidden_on_both_is_one_line),
        cmocka_unit_test(shards_where_the_same_goes_back_are_one_group),
        cmocka_unit_test(what_neither_engine_brings_back_is_one_line),
        cmocka_unit_test(one_finding_for_both_is_said_once_with_both_steps),
        cmocka_unit_test(a_lock_is_told_of_steps_that_read_and_write_rows_too),
    };
    setlocale(LC_ALL, "C.UTF-8");
    return cmocka_run_group_tests(tests, compile, free_it);
}
