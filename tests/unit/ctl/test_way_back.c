/*
 * test_way_back.c - where shards stand, how far one rollback goes, and what a person reads before it is signed.
 */
#include "support.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/os/crypto.h"
#include "coordinator/ctl/text/back_text.h"
#include "coordinator/ctl/cmd/source.h"
#include "coordinator/ctl/model/way_back.h"

static struct ctl_compiled flag, lossy; /* phases: 1 expand, 2 migrate, 3 switch, 4 contract, 5 purge */

/* One shard as "name status goal proven mode"; in one status. */
static json_t *status_of(size_t n, const char *const (*shards)[5])
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:{s:i, s:s}, s:i}", "shard", shards[i][0], "status",
                                              shards[i][1], "desired", "phase", atoi(shards[i][2]), "mode",
                                              shards[i][4], "entered", atoi(shards[i][3])));
    return json_pack("{s:o}", "shards", list);
}

struct scene {
    json_t *status;
    struct ctl_places places;
};

static struct scene scene_of(const struct zdm_plan *plan, size_t n, const char *const (*shards)[5])
{
    const struct zdm_selection all = {.all = true};
    struct zdm_error err = ZDM_ERROR_INIT;
    struct scene scene = {.status = status_of(n, shards)};
    assert_int_equal(ctl_places_read(scene.status, &all, NULL, plan, &scene.places, &err), ZDM_OK);
    return scene;
}

static void scene_fini(struct scene *scene)
{
    ctl_places_fini(&scene->places);
    json_decref(scene->status);
}

static void a_place_is_the_phase_that_was_begun(void **state)
{
    static const struct {
        const char *shard[5];
        uint32_t at, entered;
    } rows[] = {
        {{"a", "ready", "2", "2", "run"}, 2, 2},    {{"a", "moving", "3", "2", "run"}, 2, 3},
        {{"a", "held", "4", "3", "pause"}, 3, 4},   {{"a", "failed", "2", "1", "run"}, 1, 2},
        {{"a", "undoing", "0", "3", "undo"}, 3, 3}, {{"a", "done", "5", "5", "run"}, 5, 5},
        {{"a", "undone", "0", "0", "undo"}, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene = scene_of(flag.plan, 1, &rows[i].shard);
        assert_int_equal(scene.places.items[0].at, rows[i].at);
        assert_int_equal(scene.places.items[0].entered, rows[i].entered);
        scene_fini(&scene);
    }
}

static void one_command_goes_back_to_the_flag_or_to_the_beginning(void **state)
{
    static const struct {
        const char *shards[2][5];
        uint32_t opened;
        int64_t to;
        uint32_t to_phase, gate, crossed;
    } rows[] = {
        {{{"a", "moving", "2", "1", "run"}, {"b", "ready", "2", "2", "run"}}, 2, -1, 0, 0, 0},
        {{{"a", "ready", "3", "3", "run"}, {"b", "ready", "2", "2", "run"}}, 3, -1, 0, 0, 3},
        {{{"a", "ready", "2", "2", "run"}, {"b", "ready", "2", "2", "run"}}, 3, -1, 0, 0, 3}, /* opened: may be on */
        {{{"a", "moving", "4", "3", "run"}, {"b", "ready", "3", "3", "run"}}, 4, -1, 3, 3, 0},
        {{{"a", "ready", "4", "4", "run"}, {"b", "excluded", "4", "4", "run"}}, 4, -1, 3, 3, 0},
        {{{"a", "ready", "3", "3", "run"}, {"b", "excluded", "4", "4", "run"}}, 4, -1, 0, 0, 3},
        {{{"a", "ready", "4", "4", "run"}, {"b", "ready", "4", "4", "run"}}, 4, 3, 3, 3, 0},
        {{{"a", "ready", "2", "2", "run"}, {"b", "ready", "2", "2", "run"}}, 2, 1, 1, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene = scene_of(flag.plan, 2, rows[i].shards);
        struct zdm_error err = ZDM_ERROR_INIT;
        struct ctl_way way;
        enum zdm_code code = ctl_way_find(flag.plan, &scene.places, rows[i].opened, rows[i].to, &way, &err);
        if (code != ZDM_OK || way.to_phase != rows[i].to_phase || way.gate != rows[i].gate ||
            way.crossed != rows[i].crossed)
            fail_msg("row %zu: to %u, gate %u, crossed %u: %s", i, way.to_phase, way.gate, way.crossed, err.message);
        assert_false(way.loses);
        scene_fini(&scene);
    }
}

static void a_way_that_is_barred_is_refused_with_what_to_type(void **state)
{
    static const struct {
        const char *shard[5];
        int64_t to;
        enum zdm_code code;
        const char *message, *hint;
    } rows[] = {
        {{"a", "ready", "4", "4", "run"},
         0,
         ZDM_REFUSED,
         "goes back in two legs",
         "\"zdmctl rollback rename-flag --all-shards --to 3\", turns the flag off everywhere"},
        {{"a", "done", "5", "5", "run"}, -1, ZDM_REFUSED, "has dropped what it would need", "What is purged is gone"},
        {{"a", "moving", "5", "4", "run"}, 3, ZDM_OK, "", ""},
        {{"a", "ready", "0", "0", "run"}, -1, ZDM_INVALID, "nothing to take back", "zdmctl status"},
        {{"a", "ready", "2", "2", "run"}, 2, ZDM_INVALID, "nothing to take back", "--to PHASE"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene = scene_of(flag.plan, 1, &rows[i].shard);
        struct zdm_error err = ZDM_ERROR_INIT;
        struct ctl_way way;
        assert_int_equal(ctl_way_find(flag.plan, &scene.places, 4, rows[i].to, &way, &err), rows[i].code);
        assert_has(err.message, rows[i].message);
        assert_has(err.hint, rows[i].hint);
        scene_fini(&scene);
    }
}

static char *text_of(const struct zdm_plan *plan, size_t n, const char *const (*shards)[5], int64_t to, unsigned width)
{
    struct ctl_look look = look_of(width, true);
    struct scene scene = scene_of(plan, n, shards);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    struct zdm_error err = ZDM_ERROR_INIT;
    struct ctl_way way;
    assert_int_equal(ctl_way_find(plan, &scene.places, 4, to, &way, &err), ZDM_OK);
    ctl_way_text(&out, &look, &way, 2);
    scene_fini(&scene);
    return zdm_buffer_take(&out);
}

static void the_first_leg_says_what_comes_back_and_what_to_do_next(void **state)
{
    static const char *const shards[3][5] = {{"shard-1", "ready", "4", "4", "run"},
                                             {"shard-2", "moving", "4", "3", "run"},
                                             {"shard-3", "ready", "3", "3", "run"}};
    (void)state;
    char *text = text_of(flag.plan, 3, shards, -1, 200);
    assert_has(text, "rollback of rename-flag to the end of phase 3 (switch)");
    assert_has(text, "1 shard at the end of phase 4: shard-1\n  phase 4 contract: ");
    assert_has(text, "shop.users.name comes back, in sync");
    assert_has(text, "1 shard inside phase 4: shard-2");
    assert_has(text, "1 shard not beyond phase 3");
    assert_has(text,
               "copied back: what new code wrote into users.full_name, as far as name can hold it; rows that do not "
               "fit are counted on the way");
    assert_has(text, "all else comes back exactly");
    assert_lacks(text, "everything comes back exactly");
    assert_has(text, "first of two legs");
    assert_has(text, "turn the flag users-read-full-name off everywhere");
    assert_has(text, "\n    zdmctl rollback rename-flag --all-shards --flag-off\n");
    free(text);
}

static void the_second_leg_says_what_is_hidden_and_that_the_flag_must_be_off(void **state)
{
    static const char *const shards[2][5] = {{"a", "ready", "3", "3", "run"}, {"b", "ready", "3", "3", "run"}};
    (void)state;
    char *text = text_of(flag.plan, 2, shards, -1, 200);
    assert_has(text, "rollback of rename-flag to where it began");
    assert_has(text, "2 shards at the end of phase 3: a and b");
    assert_has(text, "  phase 2 migrate: triggers on users removed, shop.users.full_name hidden as ~zdm_u");
    assert_has(text, "  phase 1 expand: nothing to do");
    assert_has(text, "the flag users-read-full-name must be off everywhere");
    assert_has(text, "With that the migration ends. To begin it again submit the same runbook");
    assert_has(text, "    zdmctl purge rename-flag --all-shards\n");
    free(text);
    text = text_of(flag.plan, 2, shards, 1, 200);
    assert_has(text, "then forward again to the end of phase 1");
    free(text);
}

/* What the first leg counted is on the page of the second one, before anybody signs it. */
static void rows_that_do_not_fit_stand_on_the_page_of_the_second_leg(void **state)
{
    static const char *const shards[2][5] = {{"a", "held", "3", "3", "pause"}, {"b", "held", "3", "3", "pause"}};
    static const char remark[] = "42 rows were written with what the old column cannot hold: going back further leaves "
                                 "them as they were";
    struct ctl_look look = look_of(200, true);
    struct scene scene = {.status = status_of(2, shards)};
    const struct zdm_selection all = {.all = true};
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    struct zdm_error err = ZDM_ERROR_INIT;
    struct ctl_way way;
    json_t *list = json_object_get(scene.status, "shards");
    (void)state;
    json_object_set_new(json_array_get(list, 0), "observed", json_pack("{s:s}", "remark", remark));
    json_object_set_new(json_array_get(list, 1), "remark", json_string("7 rows were written")); /* nobody reports */
    json_object_set_new(json_array_get(list, 1), "rolled_back", json_true());
    assert_int_equal(ctl_places_read(scene.status, &all, NULL, flag.plan, &scene.places, &err), ZDM_OK);
    assert_int_equal(ctl_way_find(flag.plan, &scene.places, 3, 0, &way, &err), ZDM_OK);
    ctl_way_text(&out, &look, &way, 1);
    assert_has(zdm_buffer_text(&out), "\non a: 42 rows were written with what the old column cannot hold: going back");
    assert_has(zdm_buffer_text(&out), "\non b: 7 rows were written\n");
    assert_lacks(zdm_buffer_text(&out), "everything comes back exactly");
    zdm_buffer_fini(&out);
    scene_fini(&scene);
}

static void a_column_without_triggers_is_said_to_be_hidden(void **state)
{
    static const char *const shards[2][5] = {{"a", "ready", "1", "1", "run"}, {"b", "undone", "0", "0", "undo"}};
    (void)state;
    char *text = text_of(flag.plan, 2, shards, 0, 200);
    assert_has(text, "1 shard at the end of phase 1: a\n  phase 1 expand: shop.users.full_name hidden as ~zdm_u");
    assert_has(text, "1 shard at the start: nothing to take back there");
    free(text);
}

static void shards_that_stay_beyond_the_flag_are_a_warning(void **state)
{
    static const char *const shards[1][5] = {{"a", "ready", "3", "3", "run"}};
    struct ctl_look look = look_of(200, true);
    struct scene scene = scene_of(flag.plan, 1, shards);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    struct zdm_error err = ZDM_ERROR_INIT;
    struct ctl_way way;
    (void)state;
    scene.places.all = false;
    assert_int_equal(ctl_way_find(flag.plan, &scene.places, 3, 0, &way, &err), ZDM_OK);
    way.chosen = "--shard a";
    way.others_beyond = 2;
    ctl_way_text(&out, &look, &way, 1);
    assert_has(zdm_buffer_text(&out), "2 other shards stay beyond phase 3, where old code does not work any more");
    assert_has(zdm_buffer_text(&out), "After it resume, then advance, goes forward again");
    assert_has(zdm_buffer_text(&out), "    zdmctl purge rename-flag --shard a\n");
    zdm_buffer_fini(&out);
    scene_fini(&scene);
}

static void inside_the_purge_phase_it_depends_on_what_is_dropped(void **state)
{
    static const char *const shards[1][5] = {{"a", "moving", "5", "4", "run"}};
    (void)state;
    char *text = text_of(flag.plan, 1, shards, -1, 200);
    assert_has(text, "1 shard inside phase 5: a\n  phase 5 purge: stops where shop.users.name is dropped already\n");
    assert_lacks(text, "not exact");
    free(text);
}

static void what_is_lost_is_said_with_the_approvals_that_it_needs(void **state)
{
    static const char *const shards[1][5] = {{"a", "ready", "3", "3", "run"}};
    (void)state;
    char *text = text_of(lossy.plan, 1, shards, -1, 200);
    assert_has(text, "lost: what new code wrote into users by itself");
    assert_has(text, "needs 2 approvals: zdmctl approve lossy --rollback-to 0");
    assert_has(text, "all else comes back exactly");
    free(text);
}

static void the_page_fits_80_columns(void **state)
{
    static const char *const shards[2][5] = {{"shard-with-a-long-name-1", "ready", "4", "4", "run"},
                                             {"shard-with-a-long-name-2", "moving", "4", "3", "run"}};
    struct ctl_look look = look_of(80, true);
    (void)state;
    char *text = text_of(flag.plan, 2, shards, -1, 80);
    assert_true(widest(&look, text) <= 80);
    free(text);
}

static void signed_names_are_those_chosen_and_not_excluded(void **state)
{
    static const char *const shards[3][5] = {
        {"a", "ready", "2", "2", "run"}, {"b", "excluded", "2", "2", "run"}, {"c", "ready", "2", "2", "run"}};
    struct zdm_error err = ZDM_ERROR_INIT;
    struct scene scene = scene_of(flag.plan, 3, shards);
    char **names = NULL;
    size_t n = 9;
    (void)state;
    assert_int_equal(ctl_places_names(&scene.places, &names, &n, &err), ZDM_OK);
    assert_int_equal(n, 0); /* all: every shard, also one that joins later */
    scene.places.all = false;
    assert_int_equal(ctl_places_names(&scene.places, &names, &n, &err), ZDM_OK);
    assert_int_equal(n, 2);
    assert_string_equal(names[1], "c");
    ctl_names_free(names, n);
    scene_fini(&scene);

    const char *many[ZDM_SELECTION_NAMES_MAX + 1][5];
    static char texts[ZDM_SELECTION_NAMES_MAX + 1][16];
    for (size_t i = 0; i <= ZDM_SELECTION_NAMES_MAX; i++) {
        snprintf(texts[i], sizeof texts[i], "s%zu", i);
        const char *row[5] = {texts[i], "ready", "2", "2", "run"};
        memcpy(many[i], row, sizeof row);
    }
    scene = scene_of(flag.plan, ZDM_SELECTION_NAMES_MAX + 1, (const char *const(*)[5])(uintptr_t)many);
    scene.places.all = false;
    assert_int_equal(ctl_places_names(&scene.places, &names, &n, &err), ZDM_LIMIT);
    assert_has(err.hint, "-l SELECTOR");
    scene_fini(&scene);
}

/* A runbook's text compiled; its plan is NULL, and why is printed, where it does not compile. */
static struct ctl_compiled compiled_text(const char *text)
{
    struct ctl_compiled compiled = {.plan = NULL};
    struct zdm_error err = ZDM_ERROR_INIT;
    char path[] = "/tmp/zdm-test-way.XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file == NULL || fputs(text, file) == EOF || fclose(file) != 0)
        return compiled;
    enum zdm_code code = ctl_compile(path, &compiled, &err);
    unlink(path);
    if (code != ZDM_OK)
        print_error("%s\n", err.message);
    return compiled;
}

/* Of statements in one expand phase. */
static struct ctl_compiled compiled_of(const char *statements)
{
    char text[1024];
    snprintf(text, sizeof text, "---\nid: one\n---\n# T\n## Expand\n```sql\n%s\n```\n", statements);
    struct ctl_compiled compiled = compiled_text(text);
    assert_non_null(compiled.plan);
    return compiled;
}

/* A first leg ended below the switch: what new code wrote is there as it was. */
static void each_column_that_is_copied_back_is_named(void **state)
{
    static const char *const shards[1][5] = {{"a", "ready", "4", "4", "run"}};
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer text = ZDM_BUFFER_INIT;
    (void)state;
    for (size_t columns = 2; columns <= 10; columns += 8) {
        zdm_buffer_reset(&text);
        zdm_buffer_puts(&text, "---\nid: copies\n---\n# T\n## Expand\n```sql\nALTER TABLE users ");
        for (size_t i = 0; i < columns; i++)
            zdm_buffer_printf(&text, "%sADD COLUMN n%zu text", i == 0 ? "" : ", ", i);
        zdm_buffer_puts(&text, ";\n```\n## Migrate\n```sql\nUPDATE users SET ");
        for (size_t i = 0; i < columns; i++)
            zdm_buffer_printf(&text, "%sn%zu = o%zu", i == 0 ? "" : ", ", i, i);
        zdm_buffer_puts(&text, ";\n```\n## Switch\n```flag\nkey: f\n```\n## Contract\n```sql\nALTER TABLE users ");
        for (size_t i = 0; i < columns; i++)
            zdm_buffer_printf(&text, "%sDROP COLUMN o%zu", i == 0 ? "" : ", ", i);
        zdm_buffer_puts(&text, ";\n```\n");
        struct ctl_compiled copies = compiled_text(zdm_buffer_text(&text));
        assert_non_null(copies.plan);
        char *page = text_of(copies.plan, 1, shards, 3, 200);
        assert_has(page, "copied back: what new code wrote into users.n0, as far as o0 can hold it");
        assert_has(page, "copied back: what new code wrote into users.n1, as far as o1 can hold it");
        assert_int_equal(strstr(page, "and 2 more columns likewise") != NULL, columns == 10);
        assert_int_equal(strstr(page, "into users.n8") != NULL, false);
        assert_has(page, "all else comes back exactly");
        const char *first = strstr(page, "users.n1, as");
        assert_null(strstr(first + 1, "users.n1, as"));
        free(page);
        ctl_compiled_fini(&copies);
    }
}

static void second_leg_says_what_is_lost_as_the_first_does(void **state)
{
    static const char *const shards[1][5] = {{"a", "held", "2", "2", "undo"}};
    const struct zdm_selection all = {.all = true};
    struct zdm_error err = ZDM_ERROR_INIT;
    struct scene scene = {.status = status_of(1, shards)};
    struct ctl_way way;
    (void)state;
    json_object_set_new(json_array_get(json_object_get(scene.status, "shards"), 0), "switched", json_integer(2));
    assert_int_equal(ctl_places_read(scene.status, &all, NULL, lossy.plan, &scene.places, &err), ZDM_OK);
    assert_int_equal(ctl_way_find(lossy.plan, &scene.places, 2, 0, &way, &err), ZDM_OK);
    assert_true(way.loses);
    assert_int_equal(way.crossed, 0);
    assert_int_equal(ctl_way_find(lossy.plan, &scene.places, 2, 1, &way, &err), ZDM_OK);
    assert_true(way.loses); /* the column goes with what fills it */
    scene.places.items[0].switched = 0;
    assert_int_equal(ctl_way_find(lossy.plan, &scene.places, 2, 1, &way, &err), ZDM_OK);
    assert_false(way.loses);
    scene_fini(&scene);
}

/* A column of phase 1 is filled in phase 3: back to the end of phase 2 leads over phase 2 twice. */
static void what_would_be_done_a_second_time_is_refused_or_in_doubt(void **state)
{
    static const char *const proven[1][5] = {{"a", "ready", "3", "3", "run"}}, *const inside[1][5] = {
                                                                                   {"a", "moving", "3", "2", "run"}};
    struct zdm_error err = ZDM_ERROR_INIT;
    struct ctl_way way;
    (void)state;
    struct ctl_compiled compiled =
        compiled_text("---\nid: twice\n---\n# T\n## Expand\n```sql\nALTER TABLE users ADD COLUMN u text;\n```\n"
                      "## Migrate\n```sql\nDELETE FROM users WHERE old;\n```\n"
                      "## Migrate\n```sql\nUPDATE users SET u = upper(name);\n```\n");
    assert_non_null(compiled.plan);
    compiled.plan->phases[1].destructive = false; /* so that it is the step which is named */
    compiled.plan->phases[1].approvals = 0;
    struct scene scene = scene_of(compiled.plan, 1, proven);
    assert_int_equal(ctl_way_find(compiled.plan, &scene.places, 3, 2, &way, &err), ZDM_REFUSED);
    assert_has(err.message, "step 2.1 (delete) would be undone and done a second time: roll back to phase 1");
    assert_has(err.detail, "shard a");
    assert_has(err.hint, "zdmctl rollback twice --all-shards --to 1");
    assert_int_equal(ctl_way_find(compiled.plan, &scene.places, 3, 0, &way, &err), ZDM_OK);
    assert_null(way.in_doubt);
    scene_fini(&scene);
    char *text = text_of(compiled.plan, 1, inside, 2, 300);
    assert_has(text, "in doubt: the agent of a refuses where it has begun to fill a column: step 2.1 (delete) would");
    free(text);
    ctl_compiled_fini(&compiled);
}

/* ---- What going back over each kind of step does, in words ---- */

#define T(name)     ((char *)(uintptr_t)(name))
#define MYSQL_USERS .engine = ZDM_ENGINE_MYSQL, .table = {T(""), T("users")}
#define USERS       .table = {T("public"), T("users")}
#define OF_USERS    .others = &users, .n_others = 1

static struct zdm_table users = {T("public"), T("users_2024")};
static struct zdm_derivation nothing;
static struct zdm_flag key = {.key = T("new-name")};

static const struct words_row {
    struct zdm_step step;
    const char *back, *inexact; /* "": nothing to say; NULL: exact */
    const char *stays;          /* NULL: nothing */
} words[] = {
    {{.action = ZDM_ACTION_ADD_COLUMN, USERS, .column = T("age")},
     "users.age hidden as ~zdm_u..., kept until zdmctl purge",
     NULL,
     NULL},
    {{.action = ZDM_ACTION_ADD_CHECK, USERS, .object = T("ck")}, "constraint ck dropped", NULL, NULL},
    {{.action = ZDM_ACTION_SET_NOT_NULL, USERS, .column = T("age")}, "users.age may be null again", NULL, NULL},
    {{.action = ZDM_ACTION_DROP_CONSTRAINT, USERS, .object = T("ck")}, "", NULL, NULL},
    {{.action = ZDM_ACTION_CREATE_INDEX, USERS, .object = T("ix")}, "index ix dropped", NULL, NULL},
    {{.action = ZDM_ACTION_SYNC_INSTALL, USERS, .derivation = &nothing}, "triggers on users removed", NULL, NULL},
    {{.action = ZDM_ACTION_SYNC_INSTALL, USERS, .derivation = &nothing},
     "triggers on users removed",
     "has triggers that write over what the application puts there, and that is not kept",
     NULL},
    {{.action = ZDM_ACTION_SYNC_REMOVE, USERS}, "triggers on users installed again", NULL, NULL},
    {{.action = ZDM_ACTION_BACKFILL, USERS}, "", NULL, NULL},
    {{.action = ZDM_ACTION_BACKFILL, USERS, .inverse = ZDM_INVERSE_IMPOSSIBLE},
     "",
     "is overwritten, and the old values are not kept",
     NULL},
    {{.action = ZDM_ACTION_BACKFILL, USERS, .inverse = ZDM_INVERSE_IMAGES},
     "old values of users written back",
     NULL,
     "rows of users that were changed since keep what they hold"},
    {{.action = ZDM_ACTION_CHECK_QUERY}, "", NULL, NULL},
    {{.action = ZDM_ACTION_CHECK_COMPARE, USERS}, "", NULL, NULL},
    {{.action = ZDM_ACTION_HIDE_COLUMN, USERS, .column = T("age"), .sync_step = 1},
     "users.age comes back, in sync",
     NULL,
     NULL},
    {{.action = ZDM_ACTION_HIDE_COLUMN, USERS, .column = T("age")},
     "users.age comes back, as it was when it was hidden",
     "comes back as it was; rows written since have no value in it",
     NULL},
    {{.action = ZDM_ACTION_PURGE_COLUMN, .kind = ZDM_STEP_PURGE, USERS, .column = T("age")},
     "stops where users.age is dropped already",
     "is dropped for good",
     NULL},
    {{.action = ZDM_ACTION_GATE_FLAG, .flag = &key}, "flag new-name must be off", NULL, NULL},
    {{.action = ZDM_ACTION_PURGE_IMAGES, .kind = ZDM_STEP_PURGE, USERS, .object = T("undo_1")},
     "stops where what was kept of users for the way back is dropped already",
     "is dropped for good",
     NULL},
    {{.action = ZDM_ACTION_ADD_FOREIGN_KEY, USERS, .object = T("fk")}, "constraint fk dropped", NULL, NULL},
    {{.action = ZDM_ACTION_ADD_UNIQUE, USERS, .object = T("uq")}, "constraint uq dropped", NULL, NULL},
    {{.action = ZDM_ACTION_ADD_PRIMARY_KEY, USERS, .object = T("pk")}, "constraint pk dropped", NULL, NULL},
    {{.action = ZDM_ACTION_ADD_PARTITION_CHECK, USERS, .object = T("pc")}, "constraint pc dropped", NULL, NULL},
    {{.action = ZDM_ACTION_LIFT_CONSTRAINT, USERS, .object = T("ck")}, "constraint ck comes back", NULL, NULL},
    {{.action = ZDM_ACTION_DROP_NOT_NULL, USERS, .column = T("age")}, "users.age may not be null again", NULL, NULL},
    {{.action = ZDM_ACTION_SET_DEFAULT, USERS, .column = T("age")},
     "users.age gets its former default back",
     NULL,
     NULL},
    {{.action = ZDM_ACTION_SET_STORAGE, USERS}, "the former parameters of users come back", NULL, NULL},
    {{.action = ZDM_ACTION_SET_STORAGE, USERS, .column = T("age")},
     "the former parameters of users.age come back",
     NULL,
     NULL},
    {{.action = ZDM_ACTION_COMMENT, USERS}, "the former comment of users comes back", NULL, NULL},
    {{.action = ZDM_ACTION_COMMENT, USERS, .object = T("ix")}, "the former comment of ix comes back", NULL, NULL},
    {{.action = ZDM_ACTION_CREATE_TABLE, USERS}, "table users moved out of sight, kept until zdmctl purge", NULL, NULL},
    {{.action = ZDM_ACTION_CREATE_TYPE, .table = {T("public"), NULL}, .object = T("mood")},
     "type mood moved out of sight, kept until zdmctl purge",
     NULL,
     NULL},
    {{.action = ZDM_ACTION_HIDE_TABLE, USERS, .object = T("zdm_trash_1")}, "table users comes back", NULL, NULL},
    {{.action = ZDM_ACTION_HIDE_INDEX, .table = {T("public"), NULL}, .object = T("ix")},
     "index ix stays: it was never out of use",
     NULL,
     NULL},
    {{.action = ZDM_ACTION_ATTACH_PARTITION, USERS, OF_USERS}, "partition users_2024 detached from users", NULL, NULL},
    {{.action = ZDM_ACTION_DETACH_PARTITION, USERS, OF_USERS}, "partition users_2024 attached to users", NULL, NULL},
    {{.action = ZDM_ACTION_DELETE, USERS, .inverse = ZDM_INVERSE_IMAGES},
     "deleted rows of users put back, but where their key is taken",
     "gets its rows back, but where their key is taken",
     NULL},
    {{.action = ZDM_ACTION_DELETE, USERS, .inverse = ZDM_INVERSE_IMPOSSIBLE},
     "deleted rows of users stay deleted",
     "loses its rows for good",
     NULL},
    {{.action = ZDM_ACTION_AS_IS, .inverse = ZDM_INVERSE_SQL, .inverse_sql = T("DROP VIEW v")},
     "the runbook's own rollback is run: DROP VIEW v",
     "is taken back by what the runbook says, which nobody can prove",
     NULL},
    {{.action = ZDM_ACTION_AS_IS, .inverse = ZDM_INVERSE_IMPOSSIBLE},
     "the as-is statement cannot be taken back",
     "cannot be taken back",
     NULL},
    {{.action = ZDM_ACTION_PURGE_TABLE, .kind = ZDM_STEP_PURGE, USERS},
     "stops where table users is dropped already",
     "is dropped for good",
     NULL},
    {{.action = ZDM_ACTION_PURGE_INDEX, .kind = ZDM_STEP_PURGE, .table = {T("public"), NULL}, .object = T("ix")},
     "stops where index ix is dropped already",
     "is dropped for good",
     NULL},
    {{.action = ZDM_ACTION_WIDEN_TYPE, USERS, .column = T("age")}, "", NULL, "users.age keeps its wider type"},
    {{.action = ZDM_ACTION_ADD_VALUE, .table = {T("public"), NULL}, .object = T("mood"), .column = T("ok")},
     "",
     NULL,
     "type mood keeps its value 'ok'"},
    {{.action = ZDM_ACTION_REINDEX, USERS}, "", NULL, NULL},
    {{.action = ZDM_ACTION_GATE_WAIT}, "", NULL, NULL},
    {{.action = ZDM_ACTION_SHOW_COLUMN, MYSQL_USERS, .column = T("age")}, "users.age made invisible again", NULL, NULL},
    {{.action = ZDM_ACTION_ADD_COLUMN, MYSQL_USERS, .column = T("age")},
     "users.age hidden as zdm_u..., kept until zdmctl purge",
     NULL,
     NULL},
    {{.action = ZDM_ACTION_SET_NOT_NULL, MYSQL_USERS, .column = T("age")},
     "users.age gets its former definition back",
     NULL,
     NULL},
    {{.action = ZDM_ACTION_DROP_NOT_NULL, MYSQL_USERS, .column = T("age")},
     "users.age gets its former definition back",
     NULL,
     NULL},
    {{.action = ZDM_ACTION_HIDE_INDEX, MYSQL_USERS, .object = T("ix")}, "index ix is used again", NULL, NULL},
    {{.action = ZDM_ACTION_VALIDATE, MYSQL_USERS, .object = T("fk")}, "", NULL, NULL},
    {{.action = ZDM_ACTION_VALIDATE, USERS, .object = T("ck")}, "", NULL, "constraint ck of users stays validated"},
};

static void each_kind_of_step_has_words_for_its_way_back(void **state)
{
    char text[512];
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct zdm_step step = words[i].step;
        step.exact_inverse = words[i].inexact == NULL;
        ctl_back_text(text, sizeof text, flag.plan, &step, 1, 99);
        assert_string_equal(text, words[i].back);
        const char *inexact = ctl_inexact_text(&step);
        if (words[i].inexact == NULL)
            assert_null(inexact);
        else
            assert_string_equal(inexact, words[i].inexact);
        ctl_stays_text(text, sizeof text, flag.plan, &step, 1);
        assert_string_equal(text, words[i].stays != NULL ? words[i].stays : "");
    }
}

static void no_action_is_without_words_that_were_chosen_for_its_way_back(void **state)
{
    (void)state;
    for (int action = 1; action <= ZDM_ACTION_LAST; action++) {
        bool found = false;
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            found = found || (int)words[i].step.action == action;
        if (!found)
            fail_msg("action %s has no row", zdm_action_name((enum zdm_action)action));
    }
}

/* One runbook's plan, all of its steps one after the other, as the page of a rollback to phase `to` has them. */
static char *stays_of(const char *statements, uint32_t floor)
{
    struct ctl_compiled compiled = compiled_of(statements);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    char text[512];
    for (uint32_t o = floor; o <= zdm_plan_n_steps(compiled.plan); o++) {
        ctl_stays_text(text, sizeof text, compiled.plan, zdm_plan_step(compiled.plan, o), floor);
        zdm_buffer_printf(&out, "%s%s", text, text[0] != '\0' ? "\n" : "");
    }
    ctl_compiled_fini(&compiled);
    char *all = zdm_strdup(zdm_buffer_text(&out));
    zdm_buffer_fini(&out);
    assert_non_null(all);
    return all;
}

static void what_stays_goes_with_what_the_rollback_takes_out_of_sight(void **state)
{
    static const struct {
        const char *statements;
        uint32_t floor;
        const char *stays;
    } rows[] = {
        {"ALTER TABLE users ALTER COLUMN n TYPE text;", 1, "users.n keeps its wider type\n"},
        {"ALTER TYPE mood ADD VALUE 'ok';", 1, "type mood keeps its value 'ok'\n"},
        {"CREATE TYPE mood AS ENUM ('sad');\nALTER TYPE mood ADD VALUE 'ok';", 1, ""},
        {"CREATE TYPE mood AS ENUM ('sad');\nALTER TYPE mood ADD VALUE 'ok';", 2, "type mood keeps its value 'ok'\n"},
        {"ALTER TABLE users ADD CONSTRAINT ck CHECK (n > 0);", 1, ""},
        {"ALTER TABLE users ADD CONSTRAINT ck CHECK (n > 0);", 2, "constraint ck of users stays validated\n"},
        {"ALTER TABLE users VALIDATE CONSTRAINT ck;", 1, "constraint ck of users stays validated\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = stays_of(rows[i].statements, rows[i].floor);
        assert_string_equal(text, rows[i].stays);
        free(text);
    }
}

static void a_page_says_what_stays_and_that_all_else_comes_back(void **state)
{
    static const char *const shards[1][5] = {{"a", "ready", "1", "1", "run"}};
    struct ctl_compiled compiled = compiled_of("ALTER TABLE users ALTER COLUMN n TYPE text;");
    (void)state;
    char *text = text_of(compiled.plan, 1, shards, -1, 200);
    assert_has(text, "  phase 1 expand: nothing to do\n"
                     "stays: step 1.1: users.n keeps its wider type\n"
                     "all else comes back exactly\n");
    free(text);
    ctl_compiled_fini(&compiled);
}

static void long_rollback_of_a_statement_as_it_is_is_cut(void **state)
{
    char text[512], sql[200];
    (void)state;
    memset(sql, 'x', sizeof sql);
    sql[sizeof sql - 1] = '\0';
    const struct zdm_step step = {.action = ZDM_ACTION_AS_IS, .inverse = ZDM_INVERSE_SQL, .inverse_sql = sql};
    ctl_back_text(text, sizeof text, flag.plan, &step, 1, 99);
    assert_has(text, "xxx ...");
    assert_true(strlen(text) < 130);
}

static int compile_all(void **state)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    if (zdm_crypto_start(&err) != ZDM_OK)
        return 1;
    lossy = compiled_text("---\nid: lossy\n---\n# T\n## Expand\n```sql\nALTER TABLE users ADD COLUMN u text;\n```\n"
                          "## Migrate\n```sql\nUPDATE users SET u = upper(name);\n```\n"
                          "## Switch\n```flag\nkey: f\n```\n");
    enum zdm_code code = ctl_compile(ZDM_SOURCE_DIR "/tests/unit/runbook/good/rename-with-flag.md", &flag, &err);
    if (code != ZDM_OK || lossy.plan == NULL || flag.plan == NULL)
        print_error("%s\n", err.message);
    return code == ZDM_OK && lossy.plan != NULL && flag.plan != NULL ? 0 : 1;
}

static int free_all(void **state)
{
    (void)state;
    ctl_compiled_fini(&flag);
    ctl_compiled_fini(&lossy);
    return 0;
}

/* What goes back on one is nothing to the other, although both stand in the same phase. */
static void shards_of_two_engines_are_told_apart(void **state)
{
    static const char shard[] = "{\"shard\": \"%s\", \"status\": \"ready\", \"engine\": \"%s\", \"entered\": 2, "
                                "\"desired\": {\"phase\": 2, \"mode\": \"run\"}}";
    const struct zdm_selection all = {.all = true};
    struct ctl_look look = look_of(100, true);
    struct ctl_compiled two = {.plan = NULL};
    struct ctl_places places;
    struct ctl_way way;
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_buffer out = ZDM_BUFFER_INIT, text = ZDM_BUFFER_INIT;
    (void)state;
    assert_int_equal(ctl_compile(ZDM_SOURCE_DIR "/tests/unit/runbook/good/two-engines.md", &two, &err), ZDM_OK);
    zdm_buffer_puts(&text, "{\"shards\": [");
    zdm_buffer_printf(&text, shard, "a", "postgresql");
    zdm_buffer_puts(&text, ", ");
    zdm_buffer_printf(&text, shard, "b", "mysql");
    zdm_buffer_puts(&text, "]}");
    json_t *status = json_loads(zdm_buffer_text(&text), 0, NULL);
    assert_int_equal(ctl_places_read(status, &all, NULL, two.plan, &places, &err), ZDM_OK);
    assert_int_equal(places.items[0].engine, ZDM_ENGINE_POSTGRESQL);
    assert_int_equal(places.items[1].engine, ZDM_ENGINE_MYSQL);
    assert_int_equal(ctl_places_engine(&places), ZDM_ENGINE_ANY);
    assert_int_equal(ctl_way_find(two.plan, &places, 2, 0, &way, &err), ZDM_OK);
    ctl_way_text(&out, &look, &way, 1);
    const char *page = zdm_buffer_text(&out), *b = strstr(page, "1 shard at the end of phase 2: b");
    const char *view = strstr(page, "DROP VIEW public.names"),
               *shown = strstr(page, "users.full_name made invisible again");
    assert_non_null(strstr(page, "1 shard at the end of phase 2: a"));
    assert_true(b != NULL && view != NULL && shown != NULL && view < b && shown > b);
    zdm_buffer_fini(&text);
    zdm_buffer_fini(&out);
    ctl_places_fini(&places);
    json_decref(status);
    ctl_compiled_fini(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_of_two_engines_are_told_apart),
        cmocka_unit_test(each_kind_of_step_has_words_for_its_way_back),
        cmocka_unit_test(no_action_is_without_words_that_were_chosen_for_its_way_back),
        cmocka_unit_test(what_stays_goes_with_what_the_rollback_takes_out_of_sight),
        cmocka_unit_test(a_page_says_what_stays_and_that_all_else_comes_back),
        cmocka_unit_test(long_rollback_of_a_statement_as_it_is_is_cut),
        cmocka_unit_test(a_place_is_the_phase_that_was_begun),
        cmocka_unit_test(one_command_goes_back_to_the_flag_or_to_the_beginning),
        cmocka_unit_test(a_way_that_is_barred_is_refused_with_what_to_type),
        cmocka_unit_test(the_first_leg_says_what_comes_back_and_what_to_do_next),
        cmocka_unit_test(the_second_leg_says_what_is_hidden_and_that_the_flag_must_be_off),
        cmocka_unit_test(rows_that_do_not_fit_stand_on_the_page_of_the_second_leg),
        cmocka_unit_test(a_column_without_triggers_is_said_to_be_hidden),
        cmocka_unit_test(shards_that_stay_beyond_the_flag_are_a_warning),
        cmocka_unit_test(inside_the_purge_phase_it_depends_on_what_is_dropped),
        cmocka_unit_test(what_is_lost_is_said_with_the_approvals_that_it_needs),
        cmocka_unit_test(each_column_that_is_copied_back_is_named),
        cmocka_unit_test(second_leg_says_what_is_lost_as_the_first_does),
        cmocka_unit_test(what_would_be_done_a_second_time_is_refused_or_in_doubt),
        cmocka_unit_test(the_page_fits_80_columns),
        cmocka_unit_test(signed_names_are_those_chosen_and_not_excluded),
    };
    setlocale(LC_ALL, "C.UTF-8");
    return cmocka_run_group_tests(tests, compile_all, free_all);
}
