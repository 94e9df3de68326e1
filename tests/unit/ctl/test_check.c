/*
 * test_check.c - what the shards of a fleet answered to a survey: put together, grouped, shown; two plans of one
 * migration beside each other; and runbooks and rules that zdmctl writes out without a coordinator.
 */
#include "checked.h"

#include "coordinator/ctl/view/amend_view.h"
#include "coordinator/ctl/view/check_view.h"
#include "coordinator/ctl/client/fleet_survey.h"
#include "proto/codec.h"

static const char outline[] = "column email text\ncolumn name text not null\nindex users_email_idx btree (email)\n";
static const char other_outline[] = "column email text\ncolumn name character varying\nindex odd_idx btree (name)\n";

/* What shard i of a small fleet says: shard 7 is another one. */
static struct zdm_survey *survey_of(unsigned i)
{
    bool odd = i == 7;
    struct zdm_survey *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->engine = ZDM_ENGINE_POSTGRESQL;
    zdm_copy_text(s->server_version, sizeof s->server_version, odd ? "14.9" : "15.4");
    zdm_copy_text(s->node, sizeof s->node, "db:5432/shop");
    s->replicas = 2;
    s->guarded = odd ? 1 : 2;
    s->disk_free_bytes = 1 << 30;
    s->tables = calloc(1, sizeof *s->tables);
    s->n_tables = 1;
    s->tables[0] = (struct zdm_survey_table){.name = {text_of("public"), text_of("users")},
                                             .exists = true,
                                             .outline = text_of(odd ? other_outline : outline),
                                             .rows = 1000 * (int64_t)i,
                                             .bytes = 1 << 20,
                                             .index_bytes = 1 << 19};
    s->tables[0].fingerprint.bytes[0] = odd ? 2 : 1;
    s->tables[0].columns = calloc(1, sizeof *s->tables[0].columns);
    s->tables[0].n_columns = 1;
    s->tables[0].columns[0] =
        (struct zdm_survey_column){.name = text_of("name"), .type = text_of(odd ? "character varying" : "text")};
    s->steps = calloc(2, sizeof *s->steps);
    s->n_steps = 2;
    s->steps[0] = (struct zdm_survey_step){
        .ordinal = 1, .estimate_ms = 20, .observed_lock = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE, .tried = true};
    s->steps[1] = (struct zdm_survey_step){.ordinal = 2, .estimate_ms = 1000 * (int64_t)i, .room_bytes = 3 << 20};
    s->findings = calloc(3, sizeof *s->findings);
    s->findings[s->n_findings++] = finding_of(ZDM_LEVEL_WARNING, "trigger-fires", odd ? "other words" : "a trigger");
    if (odd)
        s->findings[s->n_findings++] = finding_of(ZDM_LEVEL_ERROR, "disk-room", "no room");
    s->findings[s->n_findings++] = finding_of(ZDM_LEVEL_WARNING, "published", "a subscriber listens");
    return s;
}

/* As it comes over the wire, in pieces of `piece` bytes. */
static void answer(struct ctl_fleet_survey *fleet, unsigned i, size_t piece)
{
    struct zdm_survey *survey = survey_of(i);
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    char name[16];
    snprintf(name, sizeof name, "shard-%u", i);
    zdm_survey_encode(survey, &bytes);
    assert_false(bytes.failed);
    for (size_t at = 0; at < bytes.len; at += piece)
        ctl_fleet_survey_piece(fleet, name, bytes.data + at, bytes.len - at < piece ? bytes.len - at : piece);
    ctl_fleet_survey_piece(fleet, name, NULL, 0);
    zdm_buffer_fini(&bytes);
    zdm_survey_free(survey);
}

struct scene {
    struct ctl_fleet_survey fleet;
    struct ctl_grouped grouped;
    struct zdm_waiver waiver;
    struct zdm_notes notes;
    struct ctl_check check;
};

/* Shards 1, 2, 3, 7, and 9, which says nothing; published is waived. */
static void set(struct scene *scene)
{
    static const unsigned shards[] = {7, 1, 3, 2};
    *scene = (struct scene){.fleet = {.n = 0}};
    for (size_t i = 0; i < sizeof shards / sizeof *shards; i++)
        answer(&scene->fleet, shards[i], 100);
    ctl_fleet_survey_silent(&scene->fleet, "shard-9", "nobody is connected", 19);
    ctl_fleet_survey_whole(&scene->fleet);
    scene->waiver = (struct zdm_waiver){.rule = (char *)(uintptr_t) "published",
                                        .reason = (char *)(uintptr_t) "the subscriber has it"};
    scene->notes = *compiled.notes;
    scene->notes.waivers = &scene->waiver;
    scene->notes.n_waivers = 1;
    ctl_group(&scene->fleet, compiled.plan, &scene->notes, &scene->grouped);
    assert_false(scene->grouped.failed);
    scene->check = (struct ctl_check){compiled.plan, &scene->notes, &scene->fleet, &scene->grouped};
}

static void unset(struct scene *scene)
{
    ctl_grouped_fini(&scene->grouped);
    ctl_fleet_survey_fini(&scene->fleet);
}

static void answers_come_in_pieces_and_mixed(void **state)
{
    struct scene scene;
    (void)state;
    set(&scene);
    assert_int_equal(scene.fleet.n, 5);
    assert_int_equal(ctl_fleet_survey_answered(&scene.fleet), 4);
    assert_string_equal(scene.fleet.shards[0].shard, "shard-1");
    assert_string_equal(scene.fleet.shards[4].why, "nobody is connected");
    unset(&scene);
    struct ctl_fleet_survey broken = {.n = 0};
    ctl_fleet_survey_piece(&broken, "a", "\377\377", 2);
    ctl_fleet_survey_piece(&broken, "b", "x", 1);
    ctl_fleet_survey_piece(&broken, "a", NULL, 0);
    ctl_fleet_survey_whole(&broken);
    assert_int_equal(ctl_fleet_survey_answered(&broken), 0);
    assert_non_null(broken.shards[0].why);
    assert_string_equal(broken.shards[1].why, "its answer broke off");
    ctl_fleet_survey_fini(&broken);
}

static void equal_findings_are_one_and_waived_ones_do_not_count(void **state)
{
    struct scene scene;
    (void)state;
    set(&scene);
    assert_int_equal(scene.grouped.n_findings, 3);
    assert_string_equal(scene.grouped.findings[0].finding->rule, "disk-room");
    assert_int_equal(scene.grouped.findings[0].shards.n, 1);
    assert_string_equal(scene.grouped.findings[1].finding->rule, "trigger-fires");
    assert_int_equal(scene.grouped.findings[1].shards.n, 4);
    assert_true(scene.grouped.findings[1].words_differ);
    assert_string_equal(scene.grouped.findings[2].waived, "the subscriber has it");
    assert_int_equal(ctl_check_count(&scene.check, ZDM_LEVEL_ERROR), 1);
    assert_int_equal(ctl_check_count(&scene.check, ZDM_LEVEL_WARNING), 1);
    assert_int_equal(ctl_check_waived(&scene.check), 1);
    unset(&scene);
}

/* One shard's findings that differ in nothing but their words. */
static void say(struct ctl_fleet_survey *fleet, const char *shard, const char *const *words)
{
    struct zdm_survey *survey = calloc(1, sizeof *survey);
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    assert_non_null(survey);
    survey->engine = ZDM_ENGINE_POSTGRESQL;
    survey->findings = calloc(4, sizeof *survey->findings);
    for (; *words != NULL; words++)
        survey->findings[survey->n_findings++] = finding_of(ZDM_LEVEL_ERROR, "dependents", *words);
    zdm_survey_encode(survey, &bytes);
    ctl_fleet_survey_piece(fleet, shard, bytes.data, bytes.len);
    ctl_fleet_survey_piece(fleet, shard, NULL, 0);
    zdm_buffer_fini(&bytes);
    zdm_survey_free(survey);
}

static const struct ctl_finding_group *group_of(const struct ctl_grouped *grouped, const char *message)
{
    for (size_t i = 0; i < grouped->n_findings; i++)
        if (strcmp(grouped->findings[i].finding->message, message) == 0)
            return &grouped->findings[i];
    return NULL;
}

static void several_findings_of_one_shard_about_one_object_are_all_shown(void **state)
{
    static const char *const a[] = {"view v1 depends on it", "view v2 depends on it", "3 rows of public.x", NULL};
    static const char *const b[] = {"4 rows of public.x", "view v3 depends on it", "view v2 depends on it", NULL};
    struct ctl_fleet_survey fleet = {.n = 0};
    struct zdm_buffer text = ZDM_BUFFER_INIT, json = ZDM_BUFFER_INIT;
    struct ctl_grouped grouped;
    struct ctl_look look = look_of(100, true);
    (void)state;
    say(&fleet, "a", a);
    say(&fleet, "b", b);
    ctl_fleet_survey_whole(&fleet);
    ctl_group(&fleet, compiled.plan, compiled.notes, &grouped);
    const struct ctl_check check = {compiled.plan, compiled.notes, &fleet, &grouped};
    assert_int_equal(grouped.n_findings, 4);
    assert_int_equal(group_of(&grouped, "view v1 depends on it")->shards.n, 1);
    assert_int_equal(group_of(&grouped, "view v2 depends on it")->shards.n, 2);
    assert_false(group_of(&grouped, "view v2 depends on it")->words_differ);
    assert_int_equal(group_of(&grouped, "view v3 depends on it")->shards.items[0], 1);
    assert_true(group_of(&grouped, "3 rows of public.x")->words_differ);
    ctl_check_text(&text, &look, &check);
    ctl_check_json(&json, &check);
    for (size_t i = 0; i < 3; i++) {
        assert_has(zdm_buffer_text(&text), a[i]);
        assert_has(zdm_buffer_text(&json), a[i]);
    }
    assert_has(zdm_buffer_text(&text), "view v3 depends on it");
    zdm_buffer_fini(&text);
    zdm_buffer_fini(&json);
    ctl_grouped_fini(&grouped);
    ctl_fleet_survey_fini(&fleet);
}

static void outliers_are_compared_with_the_many(void **state)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    struct scene scene;
    (void)state;
    set(&scene);
    assert_int_equal(scene.grouped.n_tables, 1);
    assert_int_equal(scene.grouped.tables[0].n, 2);
    assert_int_equal(scene.grouped.tables[0].groups[0].shards.n, 3);
    ctl_outline_difference(&out, outline, other_outline);
    assert_string_equal(zdm_buffer_text(&out),
                        "has \"column name character varying\" instead of \"column name text not "
                        "null\"\nhas no index users_email_idx btree (email)\nhas index odd_idx "
                        "btree (name), which the others do not have\n");
    zdm_buffer_reset(&out);
    ctl_outline_difference(&out, outline, outline);
    assert_int_equal(out.len, 0);
    zdm_buffer_fini(&out);
    unset(&scene);
}

static void ranges_say_the_typical_and_the_slowest(void **state)
{
    struct scene scene;
    struct ctl_range range;
    const uint32_t second = 2, none = 99;
    (void)state;
    set(&scene);
    assert_true(ctl_range_of(&scene.fleet, ctl_pick_estimate, &second, &range));
    assert_int_equal(range.min, 1000);
    assert_int_equal(range.typical, 2000);
    assert_int_equal(range.max, 7000);
    assert_string_equal(scene.fleet.shards[range.max_shard].shard, "shard-7");
    assert_int_equal(range.sum, 13000);
    assert_false(ctl_range_of(&scene.fleet, ctl_pick_estimate, &none, &range));
    unset(&scene);
}

static void what_was_found_fits_narrow_and_wide_terminals(void **state)
{
    static const unsigned widths[] = {40, 60, 80, 120};
    (void)state;
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        struct ctl_look look = look_of(widths[i], true);
        struct zdm_buffer out = ZDM_BUFFER_INIT;
        struct scene scene;
        look.terminal = true;
        set(&scene);
        ctl_check_text(&out, &look, &scene.check);
        const char *text = zdm_buffer_text(&out);
        assert_true(widest(&look, text) <= widths[i]);
        assert_has(text, "error: no room");
        assert_has(text, "nobody is connected");
        if (widths[i] == 120) {
            assert_has(text, "asked 5 shards, 4 answered");
            assert_has(text, "on every shard that answered; the words are those of shard-1");
            assert_has(text, "3 shards like this; 1 differs");
            assert_has(text, "shard-7: has \"column name character varying\" instead of");
            assert_has(text, "published: \"the subscriber has it\" (warning on every shard that answered");
            assert_has(text, "about 13.0k rows (1.00k to 7.00k, most on shard-7)");
            assert_has(text, "ACCESS EXCLUSIVE, seen");
            assert_has(text, "postgresql 14.9 on shard-7");
            assert_has(text, "2 standbys, 1 of them guarded, of shard-7");
        }
        zdm_buffer_fini(&out);
        unset(&scene);
    }
}

static void json_leaves_nothing_out(void **state)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    struct scene scene;
    (void)state;
    set(&scene);
    ctl_check_json(&out, &scene.check);
    json_t *json = parse(zdm_buffer_text(&out));
    assert_int_equal(json_integer_value(json_object_get(json, "errors")), 1);
    assert_int_equal(json_integer_value(json_object_get(json, "waived")), 1);
    assert_int_equal(json_array_size(json_object_get(json, "shards")), 5);
    json_t *table = json_array_get(json_object_get(json, "tables"), 0);
    json_t *odd = json_array_get(json_object_get(table, "groups"), 1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(odd, "shards"), 0)), "shard-7");
    assert_int_equal(json_array_size(json_object_get(odd, "difference")), 3);
    json_t *step = json_array_get(json_object_get(json, "steps"), 0);
    assert_int_equal(json_array_size(json_object_get(json_object_get(step, "locks_seen"), "ACCESS EXCLUSIVE")), 4);
    json_decref(json);
    zdm_buffer_fini(&out);
    unset(&scene);
}

static void type_of_a_column_is_known_when_all_shards_agree(void **state)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct ctl_fleet_survey fleet = {.n = 0};
    char *type = NULL;
    (void)state;
    answer(&fleet, 1, 1000);
    answer(&fleet, 2, 1000);
    ctl_fleet_survey_whole(&fleet);
    assert_int_equal(ctl_fleet_type(&fleet, "public.users.name", &type, &err), ZDM_OK);
    assert_string_equal(type, "text");
    free(type);
    assert_int_equal(ctl_fleet_type(&fleet, "public.users.nme", &type, &err), ZDM_NOT_FOUND);
    answer(&fleet, 7, 1000);
    assert_int_equal(ctl_fleet_type(&fleet, "public.users.name", &type, &err), ZDM_CONFLICT);
    assert_string_equal(err.message, "public.users.name is text on shard-2 and character varying on shard-7");
    ctl_fleet_survey_fini(&fleet);
    ctl_fleet_survey_silent(&fleet, "a", "away", 4);
    assert_int_equal(ctl_fleet_type(&fleet, "public.users.name", &type, &err), ZDM_UNAVAILABLE);
    assert_has(err.message, "a: away");
    ctl_fleet_survey_fini(&fleet);
}

static void bytes_are_short(void **state)
{
    char text[32];
    (void)state;
    ctl_bytes_text(text, sizeof text, 940);
    assert_string_equal(text, "940 B");
    ctl_bytes_text(text, sizeof text, 12 * 1024 * 1024);
    assert_string_equal(text, "12.0 MB");
    ctl_bytes_text(text, sizeof text, INT64_C(3) << 30);
    assert_string_equal(text, "3.00 GB");
}

/* ---- submit --amend ---- */

static void two_plans_are_shown_phase_by_phase(void **state)
{
    static const char changed[] = "---\nid: rename\n---\n# Rename name\n## Phase 1: Expand\n```sql\n"
                                  "ALTER TABLE users ADD COLUMN full_name text;\n"
                                  "CREATE INDEX users_full ON users (full_name, email);\n```\n"
                                  "## Phase 2: Expand\n```sql\nALTER TABLE users ADD COLUMN more text;\n```\n";
    struct ctl_compiled after = {.plan = NULL};
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    const struct ctl_look look = look_of(100, true);
    json_t *status = parse("{\"shards\": [{\"shard\": \"a\", \"entered\": 0, \"desired\": {\"phase\": 1}}]}");
    (void)state;
    assert_int_equal(ctl_compile_text("r.md", changed, strlen(changed), &after, &err), ZDM_OK);
    assert_non_null(after.plan);
    assert_string_equal(ctl_amend_word(compiled.plan, compiled.plan, 1), "same");
    assert_string_equal(ctl_amend_word(compiled.plan, after.plan, 1), "changed");
    assert_string_equal(ctl_amend_word(compiled.plan, after.plan, 2), "new");
    assert_string_equal(ctl_amend_word(after.plan, compiled.plan, 2), "gone");
    ctl_amend_text(&out, &look, &(struct ctl_amendment){compiled.plan, after.plan, status});
    assert_has(zdm_buffer_text(&out), "changed  phase 1 (expand), entered by 1 shard\n");
    assert_has(zdm_buffer_text(&out), "    - create-index: CREATE INDEX CONCURRENTLY");
    assert_has(zdm_buffer_text(&out), "    + create-index: CREATE INDEX CONCURRENTLY");
    assert_has(zdm_buffer_text(&out), "new      phase 2 (expand)\n    + add-column: ");
    assert_null(strstr(zdm_buffer_text(&out), "- add-column"));
    zdm_buffer_fini(&out);
    json_decref(status);
    ctl_compiled_fini(&after);
}

/* ---- explain, new ---- */

static void explain_prints_a_page_all_of_them_or_the_nearest(void **state)
{
    (void)state;
    expect("explain", 0, "waive", NULL);
    assert_has(out_text, "zdmctl explain RULE says why");
    expect("explain waive", 0, "waive\n\nError. ", NULL);
    expect("explain waiv", 1, NULL, "there is no rule \"waiv\"\nhint: Did you mean zdmctl explain waive?");
    expect("explain zzzzzzzzzzzz", 1, NULL, "hint: zdmctl explain lists them all.");
}

static void explain_has_json_of_one_rule_and_of_all(void **state)
{
    (void)state;
    expect("explain waive -o json", 0, NULL, NULL);
    json_t *one = parse(out_text);
    assert_string_equal(json_string_value(json_object_get(one, "rule")), "waive");
    assert_string_equal(json_string_value(json_object_get(one, "level")), "error");
    assert_has(json_string_value(json_object_get(one, "text")), "Error. ");
    assert_lacks(json_string_value(json_object_get(one, "summary")), "Error. ");
    json_decref(one);
    expect("explain -o json", 0, NULL, NULL);
    json_t *all = parse(out_text), *rule;
    size_t i;
    assert_true(json_array_size(json_object_get(all, "rules")) > 100);
    json_array_foreach(json_object_get(all, "rules"), i, rule)
    {
        if (!json_is_string(json_object_get(rule, "level")))
            fail_msg("%s has no level", json_string_value(json_object_get(rule, "rule")));
        assert_true(json_string_length(json_object_get(rule, "summary")) > 0);
    }
    json_decref(all);
    expect("explain waiv -o json", 1, NULL, "there is no rule \"waiv\"");
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void new_writes_a_runbook_that_compiles_and_never_over_another(void **state)
{
    (void)state;
    write_file("i.sql", "CREATE INDEX users_email ON users (email);\n");
    expect("new --from @i.sql --id by-email", 0, "id: by-email", NULL);
    expect("new --from @i.sql -o i.md", 0, "i.md is written", NULL);
    expect("plan i.md", 0, "users_email", NULL);
    expect("new --from @i.sql -o i.md", 1, NULL, "i.md: File exists");
    expect("new --from @none.sql", 1, NULL, NULL);
    write_file("r.sql", "ALTER TABLE users RENAME COLUMN name TO full_name;\n");
    expect("new --from @r.sql", 2, NULL, "the type of public.users.name is not known\nhint: Give it: --type TYPE.");
    expect("new --from @r.sql --type text -o r.md", 0, NULL, NULL);
    expect("plan r.md", 0, "full_name", NULL);
}

/* Two shards that do not differ, without a standby. */
static void equal_shards_have_one_time_and_no_standby_is_said_once(void **state)
{
    struct scene scene = {.fleet = {.n = 0}};
    struct ctl_look look = look_of(80, true);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    (void)state;
    look.terminal = true;
    answer(&scene.fleet, 1, 100);
    answer(&scene.fleet, 1, 100);
    ctl_fleet_survey_whole(&scene.fleet);
    for (size_t i = 0; i < scene.fleet.n; i++)
        scene.fleet.shards[i].survey->replicas = scene.fleet.shards[i].survey->guarded = 0;
    ctl_group(&scene.fleet, compiled.plan, compiled.notes, &scene.grouped);
    scene.check = (struct ctl_check){compiled.plan, compiled.notes, &scene.fleet, &scene.grouped};
    ctl_check_text(&out, &look, &scene.check);
    assert_has(zdm_buffer_text(&out), "  no standby\n");
    assert_has(zdm_buffer_text(&out), "TIME");
    assert_null(strstr(zdm_buffer_text(&out), "SLOWEST"));
    zdm_buffer_fini(&out);
    unset(&scene);
}

static void check_needs_a_runbook_that_compiles_and_a_coordinator(void **state)
{
    (void)state;
    write_file("bad.md", "# x\n## Phase 1: Expand\n```sql\nALTER TABLE users ALTER id TYPE bigint;\n```\n");
    expect("check bad.md", 3, NULL, "has 1 error");
    write_file("good.md", runbook);
    expect("check good.md", 2, NULL, "the coordinator's URL is not known");
    expect("check bad.md --json", 3, "\"rule\": \"alter-type\"", "has 1 error");
    /* 1 is for what was found. */
    expect("check none.md", 2, NULL, "none.md");
    write_file("there.md", "mine");
    write_file("add.sql", "ALTER TABLE t ADD COLUMN a int");
    expect("new --from @add.sql -o there.md", 1, NULL, "no runbook is overwritten");
    expect("new --from @add.sql -o none/there.md", 1, NULL, "No such file or directory\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_in_pieces_and_mixed),
        cmocka_unit_test(equal_findings_are_one_and_waived_ones_do_not_count),
        cmocka_unit_test(several_findings_of_one_shard_about_one_object_are_all_shown),
        cmocka_unit_test(outliers_are_compared_with_the_many),
        cmocka_unit_test(ranges_say_the_typical_and_the_slowest),
        cmocka_unit_test(what_was_found_fits_narrow_and_wide_terminals),
        cmocka_unit_test(equal_shards_have_one_time_and_no_standby_is_said_once),
        cmocka_unit_test(json_leaves_nothing_out),
        cmocka_unit_test(type_of_a_column_is_known_when_all_shards_agree),
        cmocka_unit_test(bytes_are_short),
        cmocka_unit_test(two_plans_are_shown_phase_by_phase),
        cmocka_unit_test(explain_prints_a_page_all_of_them_or_the_nearest),
        cmocka_unit_test(explain_has_json_of_one_rule_and_of_all),
        cmocka_unit_test(new_writes_a_runbook_that_compiles_and_never_over_another),
        cmocka_unit_test(check_needs_a_runbook_that_compiles_and_a_coordinator),
    };
    setlocale(LC_ALL, "C.UTF-8");
    return cmocka_run_group_tests_name("ctl: check", tests, set_up, tear_down);
}
