/*
 * test_session.c - zdmctl against a real coordinator on a unix socket: what is printed where, roles, strangers, and
 * what happens when the coordinator is killed or absent meanwhile.
 *
 * Every test starts its own coordinator in the scratch folder; all of them share one log.
 */
#include "run.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "proto/codec.h"

static pid_t coordinator;

static void start_coordinator(void)
{
    char url[128];
    snprintf(url, sizeof url, "ipc://%s/socket", home);
    coordinator = fork();
    assert_true(coordinator >= 0);
    if (coordinator == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that times out leaves nothing running */
        int log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(log, STDERR_FILENO);
        execl(ZDM_BUILD_DIR "/bin/zdm-coordinator", "zdm-coordinator", "run", "--data", "data", "--listen", url,
              "--trust", "trust", "--key", "coord", (char *)NULL);
        _exit(127);
    }
}

static void kill_coordinator(void)
{
    kill(coordinator, SIGKILL);
    waitpid(coordinator, NULL, 0);
    coordinator = 0;
}

static int with_coordinator(void **state)
{
    (void)state;
    start_coordinator();
    return 0;
}

static int without_coordinator(void **state)
{
    (void)state;
    if (coordinator > 0)
        kill_coordinator();
    return 0;
}

static void both_releases_are_told(void **state)
{
    (void)state;
    expect("version", 0, "zdmctl release 9.9.9\ncoordinator release ", NULL);
    expect("version -o json", 0, "\"client\": \"9.9.9\"", NULL);
}

static void an_empty_fleet_is_no_error(void **state)
{
    (void)state;
    expect("status", 0, "fleet shop: no migration has been submitted", NULL);
    expect("status -o json", 0, "\"migration\": null", NULL);
    expect("agents", 0, "no agent has joined yet", NULL);
    expect("history", 0, " (UTC)\n", NULL);
    expect("history -o json", 0, "\"type\": \"trust_adopted\"", NULL);
    expect("advance --all-shards", 1, NULL, "no migration is active\nhint: Submit one first");
    expect("pause nosuch --all-shards", 1, NULL, "there is no migration \"nosuch\"");
    expect("status nosuch", 1, NULL, "nosuch");
    expect("wait --for done --timeout 1s", 1, NULL, "no migration has been submitted");
}

static void only_the_token_goes_to_stdout(void **state)
{
    struct zdm_token token;
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    expect("enroll shard-1 --label tier=canary --url tcp://coord.example:7301", 0, "zdm1.", "zdm-agent join");
    assert_lacks(err_text, "zdm1.");
    out_text[strcspn(out_text, "\n")] = '\0';
    assert_int_equal(zdm_token_read(out_text, &token, &err), ZDM_OK);
    assert_string_equal(token.shard, "shard-1");
    assert_string_equal(token.urls[0], "tcp://coord.example:7301");
    assert_int_equal(token.n_urls, 1);
    char kept[64];
    zdm_base64url(kept, token.secret, sizeof token.secret);
    expect("history", 0, "shard-1", NULL);
    assert_lacks(out_text, kept);
    expect("enroll Shard", 2, NULL, "cannot be the name of a shard");
    expect("enroll shard-2 --label tier", 2, NULL, NULL);
    expect("enroll shard-2 --url http://x", 2, NULL, "not a URL of a coordinator");
}

static void what_was_done_is_said_in_words_and_json(void **state)
{
    (void)state;
    expect("freeze --reason audit", 0, NULL, NULL);
    expect("status", 0, "frozen: no shard enters a phase until somebody types zdmctl thaw", NULL);
    expect("thaw -o json", 0, "\"verb\": \"thaw\"", NULL);
    expect("history -n 1 -o json", 0, "\"type\": \"fleet_thawed\"", NULL);
}

static void roles_and_strangers_are_refused(void **state)
{
    (void)state;
    expect("--key viewer status", 0, "fleet shop", NULL);
    expect("--key viewer freeze", 3, NULL, "zdmctl: ");
    expect("--key stranger status", 1, NULL, "does not know your key");
    assert_has(err_text, "hint: Your trust file does not name it either");
    expect("--trust other status", 4, NULL, "of the fleet \"other\" that your trust file is for?");
}

/* Its own copy of the trust file ends where the person's settings say; somebody else's is behind until it is fetched.
 */
static void a_trust_version_is_published_and_fetched(void **state)
{
    (void)state;
    expect("--trust copy trust show", 0, "version 1", NULL);
    expect("trust propose --set-roles you=operator,approver --person2", 2, NULL, "unknown option --person2");
    expect("trust propose --set-roles you=operator,approver --set-roles eve=operator --out next", 0,
           "* person eve: operator, was viewer", NULL);
    expect("trust publish next", 3, NULL, "lacks signatures");
    expect("trust sign next --yes", 0, "1 of 1 roots of version 1", NULL);
    expect("--key viewer freeze", 3, NULL, "zdmctl: ");
    expect("trust publish next", 0, "your trust file trust is version 2 now", NULL);
    expect("history -n 3 -o json", 0, "\"type\": \"trust_adopted\"", NULL);
    expect("--key viewer freeze", 0, NULL, NULL);
    expect("--key viewer thaw", 0, NULL, NULL);
    expect("--trust copy status", 0, "trust: your trust file is version 1, the fleet's is 2: zdmctl trust fetch", NULL);
    expect("--trust copy trust fetch", 0, "your trust file copy is version 2 now", NULL);
    expect("--trust copy trust show", 0, "changed by version 2:", NULL);
    expect("trust publish next", 3, NULL, "zdmctl: ");
    expect("status", 0, NULL, NULL);
    assert_lacks(out_text, "trust fetch");
}

static void what_needs_a_migration_says_so(void **state)
{
    (void)state;
    expect("rollback --all-shards", 1, NULL, "no migration is active");
    expect("purge --yes", 1, NULL, "no migration has been submitted");
    expect("approve --revoke", 1, NULL, "no migration is active");
    expect("exclude --shard a --reason x", 1, NULL, "no migration is active");
    expect("agents revoke s1 --reason x --yes", 1, NULL, "there is no agent \"s1\"");
}

static void a_coordinator_that_comes_back_is_waited_for(void **state)
{
    (void)state;
    expect("version", 0, NULL, NULL);
    kill_coordinator();
    start_coordinator(); /* not listening yet when zdmctl dials */
    expect("freeze", 0, NULL, NULL);
    expect("thaw", 0, NULL, NULL);
}

static int found_fleet(void **state)
{
    char url[128];
    if (enter(state) != 0)
        return 1;
    expect("keys generate --out you", 0, NULL, NULL);
    expect("keys generate --out viewer", 0, NULL, NULL);
    expect("keys generate --out stranger", 0, NULL, NULL);
    expect("keys generate --out coord", 0, NULL, NULL);
    expect(
        "trust init --fleet shop --person you=you.pub:operator --person eve=viewer.pub:viewer --coordinator coord.pub "
        "--root you --out trust",
        0, NULL, NULL);
    expect("trust init --fleet other --person you=you.pub:operator --coordinator coord.pub --root you --out other", 0,
           NULL, NULL);
    expect(
        "trust init --fleet shop --person you=you.pub:operator --person eve=viewer.pub:viewer --coordinator coord.pub "
        "--root you --out copy",
        0, NULL, NULL);
    snprintf(url, sizeof url, "ipc://%s/socket", home);
    setenv("ZDM_COORDINATOR", url, 1);
    setenv("ZDM_KEY", "you", 1);
    setenv("ZDM_TRUST", "trust", 1);
    return 0;
}

static int clean(void **state)
{
    remove_files_of("data");
    rmdir("data");
    return leave(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH(test) cmocka_unit_test_setup_teardown(test, with_coordinator, without_coordinator)
        WITH(both_releases_are_told),
        WITH(an_empty_fleet_is_no_error),
        WITH(only_the_token_goes_to_stdout),
        WITH(what_was_done_is_said_in_words_and_json),
        WITH(roles_and_strangers_are_refused),
        WITH(what_needs_a_migration_says_so),
        WITH(a_trust_version_is_published_and_fetched),
        WITH(a_coordinator_that_comes_back_is_waited_for),
#undef WITH
    };
    return cmocka_run_group_tests(tests, found_fleet, clean);
}
