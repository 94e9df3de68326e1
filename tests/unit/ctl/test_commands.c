/*
 * test_commands.c - the table of commands, and zdmctl as a whole where it needs no coordinator: exit codes, keys,
 * trust.
 */
#include "run.h"

#include <sys/stat.h>

static void every_command_is_whole(void **state)
{
    size_t n;
    const struct ctl_command *commands = ctl_commands(&n);
    (void)state;
    assert_true((int)CTL_OPT_COUNT <= 64);
    for (size_t i = 0; i < n; i++) {
        assert_non_null(commands[i].run);
        assert_true(strlen(commands[i].summary) > 0);
        assert_int_equal(commands[i].options & CTL_GLOBAL, 0);
        char *words[] = {NULL, NULL}, name[64], *rest = NULL;
        size_t n_words = 0;
        int used = 0;
        assert_true(zdm_copy_text(name, sizeof name, commands[i].name));
        for (char *w = strtok_r(name, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest))
            words[n_words++] = w;
        assert_ptr_equal(ctl_command_find(n_words, words, &used), &commands[i]);
        assert_int_equal(used, n_words);
    }
}

static void help_and_completion_name_every_command(void **state)
{
    char line[128];
    size_t n;
    const struct ctl_command *commands = ctl_commands(&n);
    (void)state;
    expect("completion bash", 0, "complete -o default -F _zdmctl zdmctl", NULL);
    for (size_t i = 0; i < n; i++) {
        if (commands[i].run == ctl_run_unavailable)
            continue;
        snprintf(line, sizeof line, "%s --help", commands[i].name);
        expect("help", 0, commands[i].name, NULL);
        expect(line, 0, "usage: zdmctl ", NULL);
    }
}

static void wrong_usage_exits_with_2_and_says_what_to_do(void **state)
{
    (void)state;
    expect("", 2, NULL, "no command given\nhint: ");
    expect("stauts", 2, NULL, "unknown command \"stauts\"\nhint: Did you mean zdmctl status?");
    expect("frobnicate", 2, NULL, "hint: zdmctl help lists the commands.");
    expect("keys", 2, NULL, "Did you mean zdmctl keys generate?");
    expect("status --nosuch", 2, NULL, "unknown option --nosuch\nhint: zdmctl help status");
    expect("status a b", 2, NULL, "does not know what to do with \"b\"");
    expect("plan", 2, NULL, "plan needs RUNBOOK");
    expect("advance m", 2, NULL, "advance needs to know which shards\nhint: Write one of --all-shards");
    expect("throttle --all-shards", 2, NULL, "throttle needs a value");
    expect("throttle --duty 0", 2, NULL, "1 to 100");
    expect("throttle --reset --duty 5", 2, NULL, "--reset excludes");
    expect("wait m", 2, NULL, "hint: Write --for phase=N");
    expect("rollback", 2, NULL, "rollback needs to know which shards");
    expect("exclude --shard a", 2, NULL, "exclude needs a reason\nhint: Write --reason TEXT");
    expect("agents revoke abc", 2, NULL, "agents revoke needs a reason");
    expect("agents revoke --reason x", 2, NULL, "agents revoke needs AGENT");
    expect("approve m", 2, NULL, "approve needs to know what\nhint: Write --phase PHASE --runbook FILE");
    expect("approve --phase 4", 2, NULL, "--runbook FILE");
    expect("approve --phase 4 --rollback-to 3", 2, NULL, "excludes");
    expect("approve --rollback-to 3 --purge", 2, NULL, "--purge goes with --phase");
    expect("approve --revoke --runbook r.md", 2, NULL, "--revoke needs neither");
    expect("approve --phase 4 --runbook r.md --expires 2s", 2, NULL, "--expires must be from 1m to 366d");
    expect("purge --expires soon", 2, NULL, "must be a time");
    expect("trust publish", 2, NULL, "trust publish needs FILE");
    expect("-o yaml status", 2, NULL, "must be table or json");
    expect("status", 2, NULL, "the coordinator's URL is not known");
    expect("--coordinator http://x status", 2, NULL, NULL);
    expect("new", 2, NULL, "new needs the SQL");
    expect("new --type text", 2, NULL, "Write --from 'ALTER TABLE");
    expect("check", 2, NULL, "check needs RUNBOOK");
    expect("completion fish", 2, NULL, "zdmctl completion bash");
}

static void what_this_release_does_not_have_exits_with_3(void **state)
{
    static const char *const names[] = {"flags"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        expect(names[i], 3, NULL, "this release of zdm does not have");
}

static void exit_codes_are_those_of_the_manual(void **state)
{
    (void)state;
    assert_int_equal(ctl_exit_of(ZDM_OK), 0);
    assert_int_equal(ctl_exit_of(ZDM_NOT_FOUND), 1);
    assert_int_equal(ctl_exit_of(ZDM_DATABASE), 1);
    assert_int_equal(ctl_exit_of(ZDM_INVALID), 2);
    assert_int_equal(ctl_exit_of(ZDM_REFUSED), 3);
    assert_int_equal(ctl_exit_of(ZDM_UNSUPPORTED), 3);
    assert_int_equal(ctl_exit_of(ZDM_UNAVAILABLE), 4);
    assert_int_equal(ctl_exit_of(ZDM_TIMEOUT), 5);
}

static void keys_are_made_once_and_never_printed(void **state)
{
    char secret[256] = "";
    struct stat info;
    (void)state;
    expect("keys generate --out k1 --comment ann", 0, "id  ", NULL);
    FILE *file = fopen("k1", "r");
    assert_non_null(file);
    assert_true(fread(secret, 1, sizeof secret - 1, file) > 40);
    fclose(file);
    secret[strcspn(secret, "\n")] = '\0';
    assert_null(strstr(out_text, strrchr(secret, ' ') + 1));
    assert_int_equal(stat("k1", &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    expect("keys generate --out k1", 3, NULL, "hint: A key is never overwritten");
    expect("keys show k1", 0, "id  ", NULL);
    assert_null(strstr(out_text, strrchr(secret, ' ') + 1));
    expect("keys show k1.pub", 0, "comment  ann", NULL);
    expect("keys show k1.pub -o json", 0, "{\"id\": \"", NULL);
    expect("keys show nosuch", 1, NULL, "No such file");
}

static void a_trust_file_is_made_and_shown(void **state)
{
    (void)state;
    expect("keys generate --out ann", 0, NULL, NULL);
    expect("keys generate --out coord", 0, NULL, NULL);
    expect("trust init", 2, NULL, "trust init needs --fleet");
    expect("trust init --fleet f --person ann=ann.pub --coordinator coord.pub", 2, NULL, "trust init needs --root");
    expect("trust init --fleet f --person ann=ann.pub:chief --coordinator coord.pub --root ann", 2, NULL,
           "\"chief\" is not a role");
    expect("trust init --fleet f --person ann=ann:operator --coordinator coord.pub --root ann", 2, NULL,
           "This is a secret key");
    expect("trust init --fleet shop --person ann=ann.pub:operator,approver --coordinator coord.pub --root ann --out t",
           0, "written to t", NULL);
    expect("trust init --fleet shop --person ann=ann.pub --coordinator coord.pub --root ann --out t", 3, NULL,
           "exists");
    expect("trust show t", 0, "operator, approver", NULL);
    expect("trust show t -o json", 0, "\"roles\": \"operator, approver\"", NULL);
    expect("--trust t trust show", 0, "coordinator", NULL);
    expect("trust show ann.pub", 1, NULL, "trust file ann.pub: ");
}

static void settings_come_from_the_file_too(void **state)
{
    (void)state;
    FILE *file = fopen("bad.yaml", "w");
    assert_non_null(file);
    fputs("output: json\nnosuch: 1\n", file);
    fclose(file);
    expect("--config bad.yaml status", 2, NULL, "bad.yaml:2:1");
    expect("--config missing.yaml status", 1, NULL, "missing.yaml");
}

static void an_absent_coordinator_exits_with_4(void **state)
{
    (void)state;
    expect("keys generate --out me", 0, NULL, NULL);
    expect("keys generate --out it", 0, NULL, NULL);
    expect("trust init --fleet shop --person me=me.pub --coordinator it.pub --root me --out trust", 0, NULL, NULL);
    expect("--coordinator ipc:///nosuch/socket --key me --trust trust status", 4, NULL,
           "could not reach the coordinator");
    chmod("me", 0644);
    expect("--coordinator ipc:///nosuch/socket --key me --trust trust status", 1, NULL, "chmod");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_is_whole),
        cmocka_unit_test(help_and_completion_name_every_command),
        cmocka_unit_test(wrong_usage_exits_with_2_and_says_what_to_do),
        cmocka_unit_test(what_this_release_does_not_have_exits_with_3),
        cmocka_unit_test(exit_codes_are_those_of_the_manual),
        cmocka_unit_test(keys_are_made_once_and_never_printed),
        cmocka_unit_test(a_trust_file_is_made_and_shown),
        cmocka_unit_test(settings_come_from_the_file_too),
        cmocka_unit_test(an_absent_coordinator_exits_with_4),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
