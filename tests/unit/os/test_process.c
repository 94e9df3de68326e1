/*
 * test_process.c - the logger's lines, the clock, and a daemon's start and end, each in a child process where it
 * changes the process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/os/clock.h"
#include "common/os/daemon.h"
#include "common/os/log.h"

/* What a function writes to stderr in a child; time stamps cut off. */
static void capture(void (*speak)(void), char *out, size_t size)
{
    int ends[2];
    size_t used = 0;
    ssize_t n;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        speak();
        _exit(0);
    }
    close(ends[1]);
    while (used + 1 < size && (n = read(ends[0], out + used, size - 1 - used)) > 0)
        used += (size_t)n;
    out[used] = '\0';
    close(ends[0]);
    waitpid(child, NULL, 0);
}

static void speak_plainly(void)
{
    zdm_log_start("zdm-test", ZDM_LOG_INFO);
    zdm_log(ZDM_LOG_DEBUG, "not heard", NULL);
    zdm_log(ZDM_LOG_INFO, "agent connected", "agent", "abc", "shard", "eu 1", "empty", "", NULL);
}

static void a_line_has_time_level_program_message_and_pairs(void **state)
{
    char text[512];
    (void)state;
    capture(speak_plainly, text, sizeof text);
    assert_int_equal(strspn(text, "0123456789-T:"), strlen("2026-11-22T13:05:09"));
    assert_string_equal(text + strlen("2026-11-22T13:05:09"),
                        "Z info zdm-test: agent connected agent=abc shard=\"eu 1\" empty=\"\"\n");
}

static void speak_of_a_liar(void)
{
    zdm_log_start("t", ZDM_LOG_INFO);
    zdm_log(ZDM_LOG_WARN, "it\nsaid", "text", "a\nb\t\"c\" \\ \033[2J \xc2\x9b \xc3\xa4", NULL);
}

static void one_event_is_one_line_whatever_it_holds(void **state)
{
    char text[512];
    (void)state;
    capture(speak_of_a_liar, text, sizeof text);
    assert_non_null(strstr(text, "warn t: it\\nsaid text=\"a\\nb\\x09\\\"c\\\" \\\\ \\x1b[2J \\xc2\\x9b \xc3\xa4\"\n"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void speak_at_length(void)
{
    char text[9000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    zdm_log_start("t", ZDM_LOG_INFO);
    zdm_log(ZDM_LOG_ERROR, text, NULL);
}

static void a_line_too_long_is_cut(void **state)
{
    static char text[16384];
    (void)state;
    capture(speak_at_length, text, sizeof text);
    assert_in_range(strlen(text), 3900, 4010);
    assert_string_equal(text + strlen(text) - 4, "...\n");
}

static void speak_of_an_error(void)
{
    struct zdm_error err;
    zdm_error_set(&err, ZDM_IO, "could not read");
    zdm_error_hint(&err, "Try again.");
    zdm_log_start("t", ZDM_LOG_INFO);
    zdm_log_error(ZDM_LOG_ERROR, "stopping", &err);
}

static void an_error_is_logged_with_its_hint(void **state)
{
    char text[512];
    (void)state;
    capture(speak_of_an_error, text, sizeof text);
    assert_non_null(strstr(text, "error t: stopping code=io error=\"could not read\" hint=\"Try again.\"\n"));
}

static void speak_to_the_journal(void)
{
    struct stat info;
    char stream[64];
    fstat(STDERR_FILENO, &info);
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)info.st_dev, (unsigned long long)info.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    zdm_log_start("t", ZDM_LOG_INFO);
    zdm_log(ZDM_LOG_ERROR, "gone", NULL);
}

static void the_journal_gets_priorities_instead_of_times(void **state)
{
    char text[512];
    (void)state;
    capture(speak_to_the_journal, text, sizeof text);
    assert_string_equal(text, "<3>t: gone\n");
}

static void levels_are_known_by_name(void **state)
{
    enum zdm_log_level level = ZDM_LOG_ERROR;
    (void)state;
    assert_true(zdm_log_level_parse("debug", &level));
    assert_int_equal(level, ZDM_LOG_DEBUG);
    assert_false(zdm_log_level_parse("loud", &level));
}

static void times_are_printed_in_utc(void **state)
{
    char text[32];
    (void)state;
    zdm_wall_text(text, sizeof text, INT64_C(1795352709123));
    assert_string_equal(text, "2026-11-22T13:05:09Z");
    zdm_wall_text(text, sizeof text, -1);
    assert_string_equal(text, "1969-12-31T23:59:59Z");
}

static void boot_time_goes_forward(void **state)
{
    const struct zdm_clock *clock = zdm_clock_system();
    (void)state;
    int64_t before = zdm_boot_ms(clock);
    usleep(3000);
    assert_true(zdm_boot_ms(clock) > before);
    assert_true(zdm_wall_ms(clock) > INT64_C(1600000000000));
}

static int wake_pipe[2];

static void wake(void *ctx)
{
    ssize_t n = write(wake_pipe[1], ctx, 1);
    (void)n;
}

/* A daemon in a child: 0 when it woke up, saw the flag, and had no core dumps. */
static int be_a_daemon(int ready)
{
    struct zdm_error err;
    struct rlimit core;
    char byte;
    if (pipe(wake_pipe) != 0 || zdm_daemon_start(wake, "w", &err) != ZDM_OK || zdm_daemon_should_stop())
        return 1;
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0)
        return 2;
    if (write(ready, "r", 1) != 1 || read(wake_pipe[0], &byte, 1) != 1 || byte != 'w')
        return 3;
    return zdm_daemon_should_stop() ? 0 : 4;
}

static void a_daemon_stops_on(int signal_number)
{
    int ready[2], status = -1;
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(be_a_daemon(ready[1]));
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kill(child, SIGHUP); /* does nothing */
    kill(child, SIGPIPE);
    kill(child, signal_number);
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    close(ready[0]);
    close(ready[1]);
}

static void a_signal_sets_the_flag_and_wakes_the_loop(void **state)
{
    (void)state;
    a_daemon_stops_on(SIGTERM);
    a_daemon_stops_on(SIGINT);
}

static void the_supervisor_is_told(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char folder[] = "/tmp/zdm-notify-XXXXXX", text[32] = "";
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    zdm_daemon_notify("READY=1"); /* nobody asked */
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    zdm_daemon_notify("STOPPING=1");
    assert_int_equal(recv(fd, text, sizeof text - 1, MSG_DONTWAIT), 10);
    assert_string_equal(text, "STOPPING=1");
    unlink(address.sun_path);
    zdm_daemon_notify("READY=1"); /* nobody there */
    unsetenv("NOTIFY_SOCKET");
    close(fd);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_program_message_and_pairs),
        cmocka_unit_test(one_event_is_one_line_whatever_it_holds),
        cmocka_unit_test(a_line_too_long_is_cut),
        cmocka_unit_test(an_error_is_logged_with_its_hint),
        cmocka_unit_test(the_journal_gets_priorities_instead_of_times),
        cmocka_unit_test(levels_are_known_by_name),
        cmocka_unit_test(times_are_printed_in_utc),
        cmocka_unit_test(boot_time_goes_forward),
        cmocka_unit_test(a_signal_sets_the_flag_and_wakes_the_loop),
        cmocka_unit_test(the_supervisor_is_told),
    };
    unsetenv("NOTIFY_SOCKET");
    unsetenv("JOURNAL_STREAM");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
