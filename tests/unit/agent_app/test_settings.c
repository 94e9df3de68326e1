/*
 * test_settings.c - settings of the agent: where they come from, and that a password never stands in argv.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/app/settings.h"

static enum zdm_code read_words(struct agent_settings *settings, char **words, int n, struct zdm_error *err)
{
    const char *argument;
    agent_settings_init(settings);
    return agent_settings_read(settings, n, words, &argument, err);
}

static void passwords_in_connection_strings_are_found(void **state)
{
    (void)state;
    assert_true(agent_dsn_has_password("host=x password=secret"));
    assert_true(agent_dsn_has_password("host=x password = secret"));
    assert_true(agent_dsn_has_password("PASSWORD=secret"));
    assert_true(agent_dsn_has_password("sslpassword=secret"));
    assert_true(agent_dsn_has_password("postgresql://me:secret@host/db"));
    assert_true(agent_dsn_has_password("postgresql://host/db?password=secret"));
    assert_false(agent_dsn_has_password("host=x user=me passfile=/etc/pass"));
    assert_false(agent_dsn_has_password("postgresql://me@host:5432/db"));
    /* several, as in the setting for standbys */
    assert_true(agent_dsn_has_password("postgresql://me@a/db,postgresql://me:secret@b/db"));
    assert_true(agent_dsn_has_password("postgresql://me:a,b@host/db"));
    assert_false(agent_dsn_has_password("postgresql://a:5432,postgresql://me@b:5433"));
    assert_false(agent_dsn_has_password("service=shop"));
    assert_true(agent_dsn_has_password("mysql:password=secret host=x"));
    assert_true(agent_dsn_has_password("mysql:host=a,mysql:host=b password=secret"));
    assert_false(agent_dsn_has_password("mysql:host=a user=b defaults-file=/etc/zdm/password.cnf"));
    assert_false(agent_dsn_has_password("dbname=passwords"));
}

static void password_in_argv_is_refused_without_repeating_it(void **state)
{
    (void)state;
    struct agent_settings settings;
    struct zdm_error err;
    char *words[] = {"--data", "x", "--dsn=host=y password=hunter2"};
    assert_int_equal(read_words(&settings, words, 3, &err), ZDM_INVALID);
    assert_null(strstr(err.message, "hunter2"));
    assert_null(strstr(err.detail, "hunter2"));
    assert_null(strstr(err.hint, "hunter2"));
    agent_settings_fini(&settings);
}

static void options_reach_the_core(void **state)
{
    (void)state;
    struct agent_settings settings;
    struct zdm_error err;
    struct agent_core_config core;
    char *words[] = {"--data=x",
                     "--batch-target",
                     "50ms",
                     "--duty=100",
                     "--batch-rows-max=30",
                     "--lock-wait=80ms",
                     "--max-replica-lag=2s",
                     "--max-stall=1100ms",
                     "--max-slot-wal-mb=300"};
    assert_int_equal(read_words(&settings, words, 9, &err), ZDM_OK);
    agent_settings_core(&settings, &core);
    assert_int_equal(core.batch_target_ms, 50);
    assert_int_equal(core.duty_percent, 100);
    assert_int_equal(core.batch_rows_max, 30);
    assert_int_equal(core.batch_rows_min, 30);
    assert_int_equal(core.lock_wait_ms, 80);
    assert_int_equal(core.max_replica_lag_ms, 2000);
    assert_int_equal(core.max_stall_ms, 1100);
    assert_int_equal(core.max_slot_wal_mb, 300);
    agent_settings_fini(&settings);
    words[8] = "--max-slot-wal-mb=0";
    assert_int_equal(read_words(&settings, words, 9, &err), ZDM_OK);
    agent_settings_core(&settings, &core);
    assert_int_equal(core.max_slot_wal_mb, 0);
    agent_settings_fini(&settings);
}

static void owner_of_the_tables_is_a_setting_of_its_own(void **state)
{
    (void)state;
    struct agent_settings settings;
    struct zdm_error err;
    char *words[] = {"--data=x", "--owner", "app_owner"};
    assert_int_equal(read_words(&settings, words, 1, &err), ZDM_OK);
    assert_null(settings.owner);
    agent_settings_fini(&settings);
    assert_int_equal(read_words(&settings, words, 3, &err), ZDM_OK);
    assert_string_equal(settings.owner, "app_owner");
    agent_settings_fini(&settings);
}

static void unknown_options_and_missing_values_are_refused(void **state)
{
    (void)state;
    static char *wrong[][2] = {
        {"--data=x", "--nonsense"}, {"--data=x", "--duty"}, {"--data=x", "--duty=0"}, {"--duty=5", "join"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct agent_settings settings;
        struct zdm_error err;
        assert_int_equal(read_words(&settings, wrong[i], 2, &err), ZDM_INVALID);
        agent_settings_fini(&settings);
    }
}

static void replicas_are_a_list_and_no_password_is_named(void **state)
{
    (void)state;
    struct agent_settings settings;
    struct zdm_error err;
    const char *replicas[AGENT_REPLICAS_MAX];
    char *text = NULL;
    size_t n = 0;
    char *words[] = {"--data=x", "--replicas", "host=b1 port=5433, ,host=b2"};
    assert_int_equal(read_words(&settings, words, 3, &err), ZDM_OK);
    assert_int_equal(agent_settings_replicas(&settings, &text, replicas, &n, &err), ZDM_OK);
    assert_int_equal(n, 2);
    assert_string_equal(replicas[0], "host=b1 port=5433");
    assert_string_equal(replicas[1], "host=b2");
    free(text);
    agent_settings_fini(&settings);
    char *none[] = {"--data=x"};
    assert_int_equal(read_words(&settings, none, 1, &err), ZDM_OK);
    assert_int_equal(agent_settings_replicas(&settings, &text, replicas, &n, &err), ZDM_OK);
    assert_int_equal(n, 0);
    agent_settings_fini(&settings);
    char *many[] = {"--data=x", "--replicas=a,b,c,d,e,f,g,h,i"};
    assert_int_equal(read_words(&settings, many, 2, &err), ZDM_OK);
    assert_int_equal(agent_settings_replicas(&settings, &text, replicas, &n, &err), ZDM_LIMIT);
    free(text);
    agent_settings_fini(&settings);
    char *secret[] = {"--data=x", "--replicas=host=a,host=y password=hunter2"};
    assert_int_equal(read_words(&settings, secret, 2, &err), ZDM_INVALID);
    assert_null(strstr(err.message, "hunter2"));
    agent_settings_fini(&settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_in_connection_strings_are_found),
        cmocka_unit_test(password_in_argv_is_refused_without_repeating_it),
        cmocka_unit_test(options_reach_the_core),
        cmocka_unit_test(owner_of_the_tables_is_a_setting_of_its_own),
        cmocka_unit_test(replicas_are_a_list_and_no_password_is_named),
        cmocka_unit_test(unknown_options_and_missing_values_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
