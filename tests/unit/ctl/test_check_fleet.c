/*
 * test_check_fleet.c - the page of `check` over many shards: what a person reads of 64 with three outliers, and that
 * 500, each with something of its own, stay a page and take no time.
 *
 * ZDM_GOLDEN_WRITE=1 writes the page of 64 anew.
 */
#include "checked.h"

#include <time.h>

#include "coordinator/ctl/view/check_view.h"
#include "coordinator/ctl/client/fleet_survey.h"
#include "proto/codec.h"

static void add_finding(struct zdm_survey *s, enum zdm_level level, const char *rule, const char *message)
{
    s->findings[s->n_findings++] = finding_of(level, rule, message);
}

/* What one shard has: 0, what nearly all have; else something else, alike where the number is. */
static struct zdm_survey *survey_of(unsigned shard, unsigned kind)
{
#define USUAL "column email text\ncolumn name text not null\nindex users_email_idx btree (email)\n"
    static const char odd_index[] = USUAL "index odd_idx btree (name)\n";
    static const char odd_type[] =
        "column email text\ncolumn name character varying\nindex users_email_idx btree (email)\n";
    static const char *const outlines[] = {USUAL, odd_index, odd_type};
    char other[160];
    struct zdm_survey *s = calloc(1, sizeof *s);
    assert_non_null(s);
    snprintf(other, sizeof other, "%scolumn extra_%u text\n", outlines[0], kind);
    s->engine = ZDM_ENGINE_POSTGRESQL;
    zdm_copy_text(s->server_version, sizeof s->server_version, kind == 2 ? "14.9" : "15.4");
    zdm_copy_text(s->node, sizeof s->node, "db:5432/shop");
    s->replicas = s->guarded = 2;
    s->disk_free_bytes = 1 << 30;
    s->tables = calloc(1, sizeof *s->tables);
    s->n_tables = 1;
    s->tables[0] = (struct zdm_survey_table){.name = {text_of("public"), text_of("users")},
                                             .exists = kind != 3,
                                             .outline = text_of(kind == 3  ? ""
                                                                : kind < 3 ? outlines[kind]
                                                                           : other),
                                             .rows = 100000 + 1000 * (int64_t)shard,
                                             .bytes = 1 << 24,
                                             .index_bytes = 1 << 22};
    memcpy(s->tables[0].fingerprint.bytes, &kind, sizeof kind);
    s->steps = calloc(2, sizeof *s->steps);
    s->n_steps = 2;
    s->steps[0] = (struct zdm_survey_step){
        .ordinal = 1, .estimate_ms = 20, .observed_lock = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE, .tried = true};
    s->steps[1] = (struct zdm_survey_step){.ordinal = 2, .estimate_ms = 100 * (int64_t)shard, .room_bytes = 3 << 20};
    s->findings = calloc(3, sizeof *s->findings);
    add_finding(s, ZDM_LEVEL_NOTE, "trigger-fires", "a trigger of the application fires for each row");
    if (kind == 3)
        add_finding(s, ZDM_LEVEL_ERROR, "missing", "there is no table public.users");
    return s;
}

static void answer(struct ctl_fleet_survey *fleet, unsigned shard, unsigned kind)
{
    struct zdm_survey *survey = survey_of(shard, kind);
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    char name[16];
    snprintf(name, sizeof name, "shard-%03u", shard);
    zdm_survey_encode(survey, &bytes);
    assert_false(bytes.failed);
    ctl_fleet_survey_piece(fleet, name, bytes.data, bytes.len);
    ctl_fleet_survey_piece(fleet, name, NULL, 0);
    zdm_buffer_fini(&bytes);
    zdm_survey_free(survey);
}

static void silence(struct ctl_fleet_survey *fleet, unsigned shard, const char *why)
{
    char name[16];
    snprintf(name, sizeof name, "shard-%03u", shard);
    ctl_fleet_survey_silent(fleet, name, why, strlen(why));
}

/* The page, and the JSON if it is wanted. */
static void page_of(struct ctl_fleet_survey *fleet, unsigned width, struct zdm_buffer *out, struct zdm_buffer *json)
{
    struct ctl_look look = look_of(width, true);
    struct ctl_grouped grouped;
    look.terminal = true;
    ctl_fleet_survey_whole(fleet);
    ctl_group(fleet, compiled.plan, compiled.notes, &grouped);
    assert_false(grouped.failed);
    const struct ctl_check check = {compiled.plan, compiled.notes, fleet, &grouped};
    ctl_check_text(out, &look, &check);
    if (json != NULL)
        ctl_check_json(json, &check);
    ctl_grouped_fini(&grouped);
}

static void sixty_four_shards_with_three_outliers_read_as_the_golden_page(void **state)
{
    struct ctl_fleet_survey fleet = {.n = 0};
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    const char *path = ZDM_SOURCE_DIR "/tests/unit/ctl/fixtures/check-64.txt";
    char *golden = calloc(1, OUTPUT_MAX);
    (void)state;
    for (unsigned i = 1; i <= 64; i++)
        answer(&fleet, i, i == 7 ? 1 : i == 9 ? 2 : i == 40 ? 3 : 0);
    page_of(&fleet, 100, &out, NULL);
    assert_has(zdm_buffer_text(&out), "61 shards like this; 3 differ");
    if (getenv("ZDM_GOLDEN_WRITE") != NULL) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(zdm_buffer_text(&out), file);
        fclose(file);
    }
    FILE *file = fopen(path, "r");
    assert_true(file != NULL && golden != NULL);
    golden[fread(golden, 1, OUTPUT_MAX - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(zdm_buffer_text(&out), golden);
    free(golden);
    zdm_buffer_fini(&out);
    ctl_fleet_survey_fini(&fleet);
}

static size_t lines_of(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static void five_hundred_shards_stay_a_page_and_take_no_time(void **state)
{
    struct ctl_fleet_survey fleet = {.n = 0};
    struct zdm_buffer out = ZDM_BUFFER_INIT, json = ZDM_BUFFER_INIT;
    clock_t began = clock();
    (void)state;
    for (unsigned i = 1; i <= 500; i++)
        if (i % 10 == 0)
            silence(&fleet, i, i % 20 == 0 ? "its agent is not connected" : "no answer within 60 s");
        else
            answer(&fleet, i, i % 9 == 0 ? i : 0); /* fifty shards that differ, each in its own way */
    page_of(&fleet, 100, &out, &json);
    assert_true(clock() - began < 2 * CLOCKS_PER_SEC);
    const char *text = zdm_buffer_text(&out);
    assert_true(lines_of(text) < 60);
    assert_has(text, "asked 500 shards, 450 answered");
    assert_has(text, "400 shards like this; 50 differ");
    assert_has(text, "shard-009: has column extra_9 text, which the others do not have");
    assert_has(text, "and more that differ: -o json has them all");
    assert_has(text, "shard-020, shard-040, shard-060, shard-080 and 21 more: its agent is not connected\n");
    json_t *all = parse(zdm_buffer_text(&json));
    assert_int_equal(json_array_size(json_object_get(all, "shards")), 500);
    json_decref(all);
    zdm_buffer_fini(&json);
    zdm_buffer_fini(&out);
    ctl_fleet_survey_fini(&fleet);
}

static void nobody_who_answered_is_said_where_as_many_did_not(void **state)
{
    struct ctl_fleet_survey fleet = {.n = 0};
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    char why[32];
    (void)state;
    for (unsigned i = 1; i <= 4; i++)
        if (i > 2)
            silence(&fleet, i, "its agent is not connected");
        else
            answer(&fleet, i, 0);
    page_of(&fleet, 100, &out, NULL);
    assert_has(zdm_buffer_text(&out), "No answer\n  shard-003, shard-004: its agent is not connected\n");
    ctl_fleet_survey_fini(&fleet);
    zdm_buffer_reset(&out);
    for (unsigned i = 1; i <= 30; i++) {
        snprintf(why, sizeof why, "reason %u", i);
        silence(&fleet, i, why);
    }
    page_of(&fleet, 100, &out, NULL);
    assert_has(zdm_buffer_text(&out), "shard-008: reason 8\n  and 22 more, for other reasons: -o json has them all\n");
    ctl_fleet_survey_fini(&fleet);
    zdm_buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixty_four_shards_with_three_outliers_read_as_the_golden_page),
        cmocka_unit_test(five_hundred_shards_stay_a_page_and_take_no_time),
        cmocka_unit_test(nobody_who_answered_is_said_where_as_many_did_not),
    };
    setlocale(LC_ALL, "C.UTF-8");
    return cmocka_run_group_tests_name("ctl: check of a fleet", tests, set_up, tear_down);
}
