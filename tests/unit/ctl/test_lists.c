/*
 * test_lists.c - history as a story, agents, versions.
 */
#include "support.h"

#include <stdlib.h>

#include "coordinator/ctl/view/view_lists.h"

static const char story[] =
    "{\"events\": ["
    "{\"seq\": 7, \"at\": \"2026-11-21T23:59:58Z\", \"type\": \"phase_opened\", \"migration\": \"m\", \"by\": \"ann\","
    " \"shards\": [], \"text\": \"ann opened phase 2 (Migrate)\"},"
    "{\"seq\": 8, \"at\": \"2026-11-22T00:00:01Z\", \"type\": \"shard_reached\", \"migration\": \"m\", \"by\": null,"
    " \"shards\": [\"shard-1\"], \"text\": \"shard-1 finished phase 2\"},"
    "{\"seq\": 9, \"at\": \"2026-11-22T00:00:02Z\", \"type\": \"shards_directed\", \"migration\": \"m\", \"by\": "
    "\"bob\","
    " \"shards\": [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\"], \"text\": \"paused\"}], \"more\": false}";

static void history_reads_like_a_story(void **state)
{
    struct ctl_look look = look_of(80, true);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    json_t *history = parse(story);
    (void)state;
    ctl_view_history(&out, &look, history);
    assert_string_equal(zdm_buffer_text(&out), "2026-11-21 (UTC)\n"
                                               "23:59:58  ann opened phase 2 (Migrate)\n"
                                               "\n"
                                               "2026-11-22 (UTC)\n"
                                               "00:00:01  shard-1 finished phase 2\n"
                                               "00:00:02  bob: paused (a, b, c, d and 3 more)\n");
    zdm_buffer_reset(&out);
    json_object_set_new(json_array_get(json_object_get(history, "events"), 2), "migration", json_string("n"));
    ctl_view_history(&out, &look, history);
    assert_has(zdm_buffer_text(&out), "ann opened phase 2 (Migrate) [m]");
    zdm_buffer_fini(&out);
    json_decref(history);
}

/* What was asked and what came of it: the sentence that tells more, once; but never without a person's reason. */
static void an_act_and_its_consequence_are_told_once(void **state)
{
    static const char text[] =
        "{\"events\": ["
        "{\"type\": \"operator_acted\", \"by\": \"ann\", \"text\": \"ann issued a join token for s\"},"
        "{\"type\": \"enrolment_issued\", \"text\": \"s may be joined once with that token\"},"
        "{\"type\": \"operator_acted\", \"by\": \"ann\", \"text\": \"ann submitted m\"},"
        "{\"type\": \"migration_submitted\", \"by\": \"ann\", \"text\": \"ann registered m over 1 shard\"},"
        "{\"type\": \"operator_acted\", \"by\": \"ann\", \"text\": \"ann advanced all shards\"},"
        "{\"type\": \"gate_passed\", \"text\": \"the gate was passed by ann\"},"
        "{\"type\": \"phase_opened\", \"by\": \"ann\", \"text\": \"ann opened phase 4\"},"
        "{\"type\": \"operator_acted\", \"by\": \"ann\", \"text\": \"ann advanced all shards: bob agrees\"},"
        "{\"type\": \"phase_opened\", \"by\": \"ann\", \"text\": \"ann opened phase 5\"},"
        "{\"type\": \"operator_acted\", \"by\": \"ann\", \"text\": \"ann paused all shards\"},"
        "{\"type\": \"shards_directed\", \"text\": \"all 3 shards told to pause\"},"
        "{\"type\": \"shard_undone\", \"text\": \"s is back at the start\"},"
        "{\"type\": \"shards_directed\", \"text\": \"s left there, paused\"},"
        "{\"type\": \"operator_acted\", \"by\": \"cat\", \"text\": \"cat approved phase 4\"},"
        "{\"type\": \"approval_added\", \"by\": \"cat\", \"text\": \"cat approved phase 4\"},"
        "{\"type\": \"operator_acted\", \"by\": \"bob\", \"text\": \"bob approved phase 4: \\\"OPS-7\\\"\"},"
        "{\"type\": \"approval_added\", \"by\": \"bob\", \"text\": \"bob approved phase 4\"},"
        "{\"type\": \"shard_purged\", \"text\": \"s dropped what rollbacks had left hidden\"},"
        "{\"type\": \"shards_directed\", \"text\": \"s told to go on as before\"}], \"more\": false}";
    struct ctl_look look = look_of(80, true);
    struct zdm_buffer out = ZDM_BUFFER_INIT, lines = ZDM_BUFFER_INIT;
    json_t *history = parse(text);
    (void)state;
    ctl_view_history(&out, &look, history);
    for (const char *s = zdm_buffer_text(&out); *s != '\0'; s++)
        if (*s != ' ' || (s[1] != ' ' && s > zdm_buffer_text(&out) && s[-1] != ' '))
            zdm_buffer_append(&lines, s, 1);
    assert_string_equal(zdm_buffer_text(&lines), "ann issued a join token for s\n"
                                                 "ann registered m over 1 shard\n"
                                                 "the gate was passed by ann\n"
                                                 "ann opened phase 4\n"
                                                 "ann advanced all shards: bob agrees\n"
                                                 "ann opened phase 5\n"
                                                 "ann paused all shards\n"
                                                 "all 3 shards told to pause\n"
                                                 "s is back at the start\n"
                                                 "cat approved phase 4\n"
                                                 "bob approved phase 4: \"OPS-7\"\n"
                                                 "s dropped what rollbacks had left hidden\n");
    zdm_buffer_fini(&out);
    zdm_buffer_fini(&lines);
    json_decref(history);
}

static void an_empty_history_says_so(void **state)
{
    struct ctl_look look = look_of(80, true);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    json_t *history = parse("{\"events\": [], \"more\": false}");
    (void)state;
    ctl_view_history(&out, &look, history);
    assert_string_equal(zdm_buffer_text(&out), "nothing has happened yet\n");
    zdm_buffer_fini(&out);
    json_decref(history);
}

static void agents_and_their_troubles_are_listed(void **state)
{
    static const char text[] =
        "{\"agents\": [{\"agent\": \"0123456789abcdef0123456789abcdef\", \"shard\": \"shard-1\", \"labels\": "
        "{\"tier\": "
        "\"canary\", \"cluster\": \"main\"}, \"connected\": true, \"heard_ms\": 200, \"release\": \"0.1.0\", "
        "\"engine\": "
        "\"postgresql\", \"server_version\": \"15.18\", \"database\": \"connected\", \"writable\": true, "
        "\"trust_version\": 1, \"revoked\": false, \"error\": null, \"signals\": [{\"name\": \"replica_lag_ms\", "
        "\"state\": \"bad\", \"value\": 5200, \"limit\": 5000}]},"
        "{\"agent\": \"ffff456789abcdef0123456789abcdef\", \"shard\": \"shard-2\", \"labels\": {}, \"connected\": "
        "false, "
        "\"heard_ms\": 300000, \"engine\": null, \"database\": \"unreachable\", \"error\": \"could not connect\"}]}";
    struct ctl_look look = look_of(80, true);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    json_t *agents = parse(text);
    (void)state;
    ctl_view_agents(&out, &look, agents);
    assert_true(widest(&look, zdm_buffer_text(&out)) <= 80);
    assert_has(zdm_buffer_text(&out), "01234567");
    assert_lacks(zdm_buffer_text(&out), "0123456789");
    assert_has(zdm_buffer_text(&out), "postgresql 15.18");
    assert_has(zdm_buffer_text(&out), "gone 5 min");
    assert_has(zdm_buffer_text(&out), "shard-1: signal replica_lag_ms is bad: 5200, limit 5000");
    assert_has(zdm_buffer_text(&out), "shard-2: could not connect");
    zdm_buffer_fini(&out);
    json_decref(agents);
}

static void no_agents_says_how_to_get_one(void **state)
{
    struct ctl_look look = look_of(80, true);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    json_t *agents = parse("{\"agents\": []}");
    (void)state;
    ctl_view_agents(&out, &look, agents);
    assert_has(zdm_buffer_text(&out), "zdmctl enroll SHARD");
    zdm_buffer_fini(&out);
    json_decref(agents);
}

static void version_names_both_sides(void **state)
{
    struct ctl_look look = look_of(80, true);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    json_t *version =
        parse("{\"release\": \"0.2.0\", \"epoch\": 3, \"uptime_s\": 812, \"store\": \"sqlite\", \"events\": 120}");
    (void)state;
    ctl_view_version(&out, &look, "0.1.0", version);
    assert_string_equal(zdm_buffer_text(&out),
                        "zdmctl release 0.1.0\ncoordinator release 0.2.0, up 14 min, epoch 3, 120 events in sqlite\n");
    zdm_buffer_fini(&out);
    json_decref(version);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(history_reads_like_a_story),    cmocka_unit_test(an_act_and_its_consequence_are_told_once),
        cmocka_unit_test(an_empty_history_says_so),      cmocka_unit_test(agents_and_their_troubles_are_listed),
        cmocka_unit_test(no_agents_says_how_to_get_one), cmocka_unit_test(version_names_both_sides),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
