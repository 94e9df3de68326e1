/*
 * test_approval.c - what an approver reads before signing, and how two plans that differ are told apart; agents by
 * name.
 */
#include "support.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/os/crypto.h"
#include "coordinator/ctl/client/agent_find.h"
#include "coordinator/ctl/view/approval_view.h"
#include "coordinator/ctl/cmd/source.h"

static struct ctl_compiled ours;

#define RUNBOOK(expand, contract)                                                                                      \
    "---\nid: m\n---\n# T\n## Expand\n```sql\n" expand "\n```\n## Migrate\n```sql\nUPDATE users SET b = a;\n```\n"     \
    "## Contract\n```sql\n" contract "\n```\n"

static struct ctl_compiled compiled(const char *text)
{
    char path[] = "/tmp/zdm-test-approval.XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    struct zdm_error err = ZDM_ERROR_INIT;
    struct ctl_compiled out = {.plan = NULL};
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    enum zdm_code code = ctl_compile(path, &out, &err);
    unlink(path);
    if (code != ZDM_OK || out.plan == NULL)
        fail_msg("%s: %s", err.message,
                 out.notes != NULL && out.notes->n_findings > 0 ? out.notes->findings[0].message : "");
    return out;
}

static char *page_of(const struct zdm_approval *approval, uint32_t needed, unsigned width)
{
    struct ctl_place items[3] = {{.shard = "shard-1"}, {.shard = "shard-2"}, {.shard = "shard-3", .excluded = true}};
    const struct ctl_places places = {.items = items, .n = 3, .all = true};
    const struct ctl_approval_page page = {.plan = ours.plan,
                                           .notes = ours.notes,
                                           .approval = approval,
                                           .places = &places,
                                           .runbook = "users.md",
                                           .submitter = "by ann",
                                           .needed = needed};
    struct ctl_look look = look_of(width, true);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    ctl_approval_text(&out, &look, &page);
    return zdm_buffer_take(&out);
}

static void who_decides_reads_what_shards_have_to_say(void **state)
{
    struct ctl_look look = look_of(200, true);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    json_t *status = json_loads("{\"shards\": [{\"shard\": \"shard-1\", \"observed\": {\"remark\": null}},"
                                "{\"shard\": \"shard-2\", \"observed\": {\"remark\": \"12 rows of users: name cannot "
                                "hold full_name: a rollback is not exact for them\"}}]}",
                                0, NULL);
    (void)state;
    ctl_remarks_text(&out, &look, status);
    assert_has(zdm_buffer_text(&out),
               "shard-2: 12 rows of users: name cannot hold full_name: a rollback is not exact for them\n");
    assert_lacks(zdm_buffer_text(&out), "shard-1");
    zdm_buffer_fini(&out);
    json_decref(status);
}

static void an_approver_reads_sql_locks_shards_and_until_when(void **state)
{
    char hash[ZDM_HASH_HEX_SIZE];
    struct zdm_approval approval = {.phase = 3, .action = ZDM_APPROVE_ENTER, .expires_at_ms = 1795860000000};
    struct ctl_look look = look_of(80, true);
    (void)state;
    zdm_hex(hash, ours.plan->hash.bytes, sizeof ours.plan->hash.bytes);
    char *text = page_of(&approval, 2, 200);
    assert_has(text, "approval of phase 3 (contract");
    assert_has(text, hash);
    assert_has(text, "users.md, your copy");
    assert_has(text, "by ann");
    assert_has(text, "every shard of the migration, 2 now: shard-1 and shard-2\n");
    assert_has(text, "2026-11-");
    assert_has(text, "2 approvals, yours is one");
    assert_has(text, "RENAME COLUMN \"a\" TO");
    assert_has(text, "lock ");
    assert_has(text, "undo ");
    free(text);
    text = page_of(&approval, 2, 80);
    assert_true(widest(&look, text) <= 80);
    free(text);
}

static void dropping_what_rollbacks_left_says_that_it_is_gone(void **state)
{
    struct zdm_approval approval = {.action = ZDM_APPROVE_PURGE, .purge_now = true};
    (void)state;
    char *text = page_of(&approval, 1, 200);
    assert_has(text, "approval to drop what rollbacks left of ");
    assert_has(text, "before the grace period is over");
    assert_has(text, "gone for good");
    free(text);
}

static void plans_that_differ_are_told_apart_by_their_first_phase(void **state)
{
    struct ctl_compiled same =
        compiled(RUNBOOK("ALTER TABLE users ADD COLUMN b text;", "ALTER TABLE users DROP COLUMN a;"));
    struct ctl_compiled other =
        compiled(RUNBOOK("ALTER TABLE users ADD COLUMN b varchar(9);", "ALTER TABLE users DROP COLUMN a;"));
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    assert_int_equal(ctl_plan_compare(ours.plan, same.plan, "users.md", &err), ZDM_OK);
    assert_int_equal(ctl_plan_compare(ours.plan, other.plan, "users.md", &err), ZDM_REFUSED);
    assert_has(err.message, "users.md is not what was submitted");
    assert_has(err.detail, "Phase 1 (expand) is the first that differs");
    assert_has(err.hint, "sign nothing else");
    ctl_compiled_fini(&same);
    ctl_compiled_fini(&other);
}

static void an_agent_is_found_by_key_or_shard_and_never_when_it_is_revoked(void **state)
{
    static const struct {
        const char *named;
        enum zdm_code code;
        const char *shard;
    } rows[] = {{"aabb01", ZDM_OK, "s1"},    {"s1", ZDM_OK, "s1"},         {"s2", ZDM_INVALID, NULL},
                {"aabb", ZDM_INVALID, NULL}, {"aab", ZDM_NOT_FOUND, NULL}, {"ffff", ZDM_NOT_FOUND, NULL},
                {"s3", ZDM_NOT_FOUND, NULL}};
    json_t *agents = parse("{\"agents\": [{\"agent\": \"aabb01\", \"shard\": \"s1\"},"
                           "{\"agent\": \"aabb02\", \"shard\": \"s2\"}, {\"agent\": \"cc\", \"shard\": \"s2\"},"
                           "{\"agent\": \"ffff\", \"shard\": \"s3\", \"revoked\": true}]}");
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const json_t *agent = NULL;
        struct zdm_error err = ZDM_ERROR_INIT;
        assert_int_equal(ctl_agent_find(agents, rows[i].named, &agent, &err), rows[i].code);
        if (rows[i].shard != NULL)
            assert_string_equal(json_string_value(json_object_get(agent, "shard")), rows[i].shard);
    }
    json_decref(agents);
}

static int compile_ours(void **state)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    if (zdm_crypto_start(&err) != ZDM_OK)
        return 1;
    ours = compiled(RUNBOOK("ALTER TABLE users ADD COLUMN b text;", "ALTER TABLE users DROP COLUMN a;"));
    return 0;
}

static int free_ours(void **state)
{
    (void)state;
    ctl_compiled_fini(&ours);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_decides_reads_what_shards_have_to_say),
        cmocka_unit_test(an_approver_reads_sql_locks_shards_and_until_when),
        cmocka_unit_test(dropping_what_rollbacks_left_says_that_it_is_gone),
        cmocka_unit_test(plans_that_differ_are_told_apart_by_their_first_phase),
        cmocka_unit_test(an_agent_is_found_by_key_or_shard_and_never_when_it_is_revoked),
    };
    setlocale(LC_ALL, "C.UTF-8");
    return cmocka_run_group_tests(tests, compile_ours, free_ours);
}
