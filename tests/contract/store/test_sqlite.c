/*
 * test_sqlite.c - the contract over the SQLite store, and what only a file can show: reopening, a second opener, kill
 * -9, a torn tail, no room, damage, backups.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/contract/store/suite.h"

static const struct zdm_id fleet = {{1, 2, 3}};
static char folder[] = "/tmp/zdm-store-XXXXXX";
static char path[128];

static void remove_files(void)
{
    char name[256];
    static const char *const ends[] = {
        "",      "-wal",     "-shm", "-journal", ".backup", ".backup.partial", ".backup-wal", ".backup-journal",
        ".torn", ".torn-wal"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        (void)unlink(name);
    }
}

static enum store_result try_open(const char *file, struct store *out_store, struct zdm_error *err)
{
    return store_sqlite_open(file, &fleet, out_store, err);
}

static struct store reopen(const char *file)
{
    struct store store;
    struct zdm_error err;
    enum store_result result = try_open(file, &store, &err);
    if (result != STORE_OK)
        fail_msg("%s: %s", store_result_name(result), err.message);
    return store;
}

static void open_fresh(struct store *out_store)
{
    remove_files();
    *out_store = reopen(path);
}

static void close_store(struct store *store)
{
    store->ops->close(store->self);
}

static void a_file_opened_again_holds_everything(void **state)
{
    struct store store;
    struct zdm_error err;
    (void)state;
    open_fresh(&store);
    uint64_t epoch = acquire(&store);
    for (int i = 0; i < 10; i++)
        assert_int_equal(append_group(&store, epoch, 50, &err), STORE_OK);
    close_store(&store);
    store = reopen(path);
    assert_int_equal(head_of(&store).seq, 500);
    assert_int_equal(head_of(&store).epoch, epoch);
    assert_int_equal(read_and_check(&store, 1), 500);
    assert_int_equal(append_group(&store, epoch, 1, &err), STORE_OK);
    assert_true(acquire(&store) > epoch);
    close_store(&store);
}

static void only_its_owner_may_read_the_file(void **state)
{
    struct store store;
    struct stat status;
    (void)state;
    open_fresh(&store);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    close_store(&store);
}

static void a_second_opener_is_told_that_it_is_busy(void **state)
{
    struct store first, second;
    struct zdm_error err;
    (void)state;
    open_fresh(&first);
    assert_int_equal(try_open(path, &second, &err), STORE_BUSY);
    assert_true(err.hint[0] != '\0');
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(try_open(path, &second, &err) == STORE_BUSY ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    uint64_t epoch = acquire(&first);
    assert_int_equal(append_group(&first, epoch, 1, &err), STORE_OK);
    close_store(&first);
    second = reopen(path);
    close_store(&second);
}

static void the_log_of_another_fleet_is_refused(void **state)
{
    struct store store;
    struct zdm_error err;
    const struct zdm_id other = {{9}};
    (void)state;
    open_fresh(&store);
    close_store(&store);
    assert_int_equal(store_sqlite_open(path, &other, &store, &err), STORE_CORRUPT);
    assert_non_null(strstr(err.message, "another fleet"));
}

static void a_file_that_is_no_log_is_refused(void **state)
{
    struct store store;
    struct zdm_error err;
    sqlite3 *db;
    (void)state;
    remove_files();
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 500; i++)
        fputs("this is not a database at all\n", file);
    fclose(file);
    assert_int_equal(try_open(path, &store, &err), STORE_CORRUPT);
    remove_files();
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE customers (name TEXT)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(try_open(path, &store, &err), STORE_CORRUPT);
}

static void a_newer_schema_is_refused(void **state)
{
    struct store store;
    struct zdm_error err;
    sqlite3 *db;
    (void)state;
    open_fresh(&store);
    close_store(&store);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(try_open(path, &store, &err), STORE_CORRUPT);
    assert_non_null(strstr(err.message, "newer release"));
}

static bool count_only(void *ctx, const struct store_record *record)
{
    (void)record;
    ++*(size_t *)ctx;
    return true;
}

/* Changes the file behind the store's back and reads. */
static void expect_damage(const char *sql, size_t read_before)
{
    struct store store;
    struct zdm_error err;
    sqlite3 *db;
    size_t n = 0;
    open_fresh(&store);
    uint64_t epoch = acquire(&store);
    assert_int_equal(append_group(&store, epoch, 9, &err), STORE_OK);
    close_store(&store);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    store = reopen(path);
    assert_int_equal(store.ops->read(store.self, 1, count_only, &n, &err), STORE_CORRUPT);
    assert_int_equal(n, read_before);
    assert_non_null(strstr(err.message, "damaged at record"));
    close_store(&store);
}

static void a_missing_or_exchanged_record_is_found_when_reading(void **state)
{
    (void)state;
    expect_damage("DELETE FROM event WHERE seq = 5", 4);
    expect_damage("DELETE FROM event WHERE seq = 1", 0);
    expect_damage("UPDATE event SET prev_hash = zeroblob(32) WHERE seq = 4", 3);
    expect_damage("UPDATE event SET hash = zeroblob(32) WHERE seq = 7", 7);
}

static void a_damaged_page_is_found_when_opening(void **state)
{
    struct store store;
    struct zdm_error err;
    (void)state;
    open_fresh(&store);
    uint64_t epoch = acquire(&store);
    for (int i = 0; i < 20; i++)
        assert_int_equal(append_group(&store, epoch, 60, &err), STORE_OK);
    close_store(&store);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    uint8_t noise[4096];
    memset(noise, 0x5a, sizeof noise);
    for (int page = 4; page < 12; page++)
        assert_int_equal(pwrite(fd, noise, 64, page * 4096), 64);
    close(fd);
    assert_int_equal(try_open(path, &store, &err), STORE_CORRUPT);
}

/* ---- Reading what is damaged ---- */

struct examined {
    size_t n;
    uint64_t seqs[1300];
    size_t without_hash;
};

static bool note_examined(void *ctx, const struct store_record *record)
{
    struct examined *seen = ctx;
    if (seen->n < sizeof seen->seqs / sizeof *seen->seqs)
        seen->seqs[seen->n++] = record->seq;
    seen->without_hash += zdm_hash_is_zero(&record->hash);
    return true;
}

static void a_damaged_log_is_examined_row_by_row_and_not_changed(void **state)
{
    struct store store;
    struct zdm_error err;
    struct examined seen = {.n = 0};
    struct stat before, after;
    sqlite3 *db;
    (void)state;
    open_fresh(&store);
    assert_int_equal(append_group(&store, acquire(&store), 9, &err), STORE_OK);
    close_store(&store);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "DELETE FROM event WHERE seq = 5;"
                                  "UPDATE event SET hash = zeroblob(32), bytes = x'' WHERE seq = 7",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(store_sqlite_examine(path, note_examined, &seen, &err), STORE_OK);
    assert_int_equal(seen.n, 8);
    assert_int_equal(seen.seqs[4], 6);
    assert_int_equal(seen.without_hash, 1);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

static void a_log_with_damaged_pages_is_examined_as_far_as_it_goes(void **state)
{
    struct store store;
    struct zdm_error err;
    struct examined seen = {.n = 0};
    (void)state;
    open_fresh(&store);
    uint64_t epoch = acquire(&store);
    for (int i = 0; i < 20; i++)
        assert_int_equal(append_group(&store, epoch, 60, &err), STORE_OK);
    close_store(&store);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    uint8_t noise[64];
    memset(noise, 0x5a, sizeof noise);
    assert_int_equal(pwrite(fd, noise, sizeof noise, 20 * 4096), sizeof noise);
    close(fd);
    assert_int_equal(store_sqlite_examine(path, note_examined, &seen, &err), STORE_CORRUPT);
    assert_true(seen.n > 100 && seen.n < 1200);
}

static void a_log_that_is_open_or_absent_is_not_examined(void **state)
{
    struct store store;
    struct zdm_error err;
    struct examined seen = {.n = 0};
    (void)state;
    open_fresh(&store);
    assert_int_equal(store_sqlite_examine(path, note_examined, &seen, &err), STORE_BUSY);
    assert_non_null(strstr(err.hint, "zdmctl audit verify"));
    close_store(&store);
    remove_files();
    assert_int_equal(store_sqlite_examine(path, note_examined, &seen, &err), STORE_IO);
    assert_int_equal(err.code, ZDM_NOT_FOUND);
    assert_int_not_equal(access(path, F_OK), 0);
}

/* What a killed coordinator committed last stands in the WAL: it is read, and stays where it is. */
static void a_log_with_a_wal_is_examined_whole(void **state)
{
    struct store store;
    struct zdm_error err;
    struct examined seen = {.n = 0};
    char wal[160];
    (void)state;
    remove_files();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        store = reopen(path);
        _exit(append_group(&store, acquire(&store), 30, &err) == STORE_OK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    snprintf(wal, sizeof wal, "%s-wal", path);
    assert_int_equal(access(wal, F_OK), 0);
    assert_int_equal(store_sqlite_examine(path, note_examined, &seen, &err), STORE_OK);
    assert_int_equal(seen.n, 30);
    assert_int_equal(access(wal, F_OK), 0);
}

/* ---- No room, failing medium ---- */

static void a_full_store_refuses_and_works_again_when_there_is_room(void **state)
{
    struct store store;
    struct zdm_error err;
    (void)state;
    open_fresh(&store);
    uint64_t epoch = acquire(&store);
    store_sqlite_set_limit(&store, 128 * 1024);
    enum store_result result;
    while ((result = append_group(&store, epoch, 64, &err)) == STORE_OK)
        ;
    assert_int_equal(result, STORE_FULL);
    assert_int_equal(err.code, ZDM_FULL);
    uint64_t seq = head_of(&store).seq;
    assert_true(seq > 0 && seq % 64 == 0);
    assert_int_equal(read_and_check(&store, 1), seq);
    assert_int_equal(append_group(&store, epoch, 64, &err), STORE_FULL);
    store_sqlite_set_limit(&store, 0);
    assert_int_equal(append_group(&store, epoch, 64, &err), STORE_OK);
    close_store(&store);
    store = reopen(path);
    assert_int_equal(read_and_check(&store, 1), seq + 64);
    close_store(&store);
}

/* The same on a file system without room: only where this process may mount one. */
static void a_full_file_system_is_told_apart_from_a_failing_one(void **state)
{
    char mount_point[160], file[200], command[400];
    struct store store;
    struct zdm_error err;
    (void)state;
    snprintf(mount_point, sizeof mount_point, "%s/small", folder);
    (void)mkdir(mount_point, 0700);
    snprintf(command, sizeof command, "mount -t tmpfs -o size=256k tmpfs %s 2>/dev/null", mount_point);
    if (geteuid() != 0 || system(command) != 0) {
        print_message(
            "skipped: only root may mount a small file system; a limit on pages stands in for it elsewhere\n");
        skip();
    }
    snprintf(file, sizeof file, "%s/log.db", mount_point);
    store = reopen(file);
    uint64_t epoch = acquire(&store);
    enum store_result result;
    while ((result = append_group(&store, epoch, 64, &err)) == STORE_OK)
        ;
    uint64_t seq = head_of(&store).seq;
    enum store_result again = append_group(&store, epoch, 64, &err);
    snprintf(command, sizeof command, "mount -o remount,size=4m %s", mount_point);
    int remounted = system(command);
    enum store_result after = append_group(&store, epoch, 64, &err);
    close_store(&store);
    store = reopen(file);
    size_t n = read_and_check(&store, 1);
    close_store(&store);
    snprintf(command, sizeof command, "umount %s", mount_point);
    assert_int_equal(system(command), 0);
    (void)rmdir(mount_point);
    assert_int_equal(result, STORE_FULL);
    assert_int_equal(again, STORE_FULL);
    assert_int_equal(remounted, 0);
    assert_int_equal(after, STORE_OK);
    assert_int_equal(n, seq + 64);
}

static void after_a_failed_write_nothing_more_is_written(void **state)
{
    struct store store;
    struct zdm_error err;
    struct rlimit before, small = {.rlim_cur = 64 * 1024};
    (void)state;
    open_fresh(&store);
    uint64_t epoch = acquire(&store);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum store_result result;
    while ((result = append_group(&store, epoch, 64, &err)) == STORE_OK)
        ;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(result, STORE_IO);
    uint64_t seq = head_of(&store).seq;
    assert_int_equal(append_group(&store, epoch, 1, &err), STORE_IO);
    close_store(&store);
    store = reopen(path);
    assert_true(head_of(&store).seq >= seq);
    assert_int_equal(read_and_check(&store, 1), head_of(&store).seq);
    close_store(&store);
}

/* ---- Crashes ---- */

/* Appends groups for ever and tells each acknowledged position through the pipe. */
static void append_until_killed(int out)
{
    struct store store;
    struct zdm_error err;
    if (try_open(path, &store, &err) != STORE_OK)
        _exit(1);
    uint64_t epoch = acquire(&store);
    for (size_t n = 1;; n = n % 40 + 1) {
        if (append_group(&store, epoch, n, &err) != STORE_OK)
            _exit(2);
        uint64_t seq = head_of(&store).seq;
        if (write(out, &seq, sizeof seq) != (ssize_t)sizeof seq)
            _exit(3);
    }
}

static uint64_t run_and_kill(unsigned sleep_us)
{
    int ends[2];
    uint64_t seq, acknowledged = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        append_until_killed(ends[1]);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &acknowledged, sizeof acknowledged), (ssize_t)sizeof acknowledged);
    usleep(sleep_us);
    assert_int_equal(kill(child, SIGKILL), 0);
    while (read(ends[0], &seq, sizeof seq) == (ssize_t)sizeof seq)
        acknowledged = seq;
    close(ends[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return acknowledged;
}

static void twenty_kills_lose_nothing_that_was_acknowledged(void **state)
{
    struct store store;
    (void)state;
    remove_files();
    uint32_t random = 4711; /* xorshift: the same pauses in every run */
    for (int round = 0; round < 20; round++) {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        uint64_t acknowledged = run_and_kill(random % 15000);
        store = reopen(path);
        uint64_t seq = head_of(&store).seq;
        assert_true(seq >= acknowledged);
        assert_int_equal(read_and_check(&store, 1), seq);
        close_store(&store);
    }
}

static void copy_file(const char *from, const char *to, long cut)
{
    static uint8_t bytes[8 * 1024 * 1024];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    size_t n = fread(bytes, 1, sizeof bytes, in);
    assert_true(n < sizeof bytes);
    if (cut >= 0 && (size_t)cut < n)
        n = (size_t)cut;
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    fclose(in);
    fclose(out);
}

static void a_torn_tail_is_cut_at_a_group(void **state)
{
    enum { GROUP = 7 };
    struct store store, torn;
    struct zdm_error err;
    char wal[160], torn_path[160], torn_wal[176];
    struct stat status;
    (void)state;
    snprintf(wal, sizeof wal, "%s-wal", path);
    snprintf(torn_path, sizeof torn_path, "%s.torn", path);
    snprintf(torn_wal, sizeof torn_wal, "%s-wal", torn_path);
    open_fresh(&store);
    uint64_t epoch = acquire(&store);
    for (int i = 0; i < 60; i++)
        assert_int_equal(append_group(&store, epoch, GROUP, &err), STORE_OK);
    assert_int_equal(stat(wal, &status), 0);
    uint64_t most = 0;
    for (long cut = 60000; cut < status.st_size; cut += 9973) {
        (void)unlink(torn_wal);
        copy_file(path, torn_path, -1);
        copy_file(wal, torn_wal, cut);
        torn = reopen(torn_path);
        uint64_t seq = head_of(&torn).seq;
        assert_int_equal(seq % GROUP, 0);
        assert_int_equal(read_and_check(&torn, 1), seq);
        assert_true(seq >= most);
        most = seq;
        close_store(&torn);
    }
    assert_true(most > 0);
    close_store(&store);
}

/* ---- Backups ---- */

static void a_backup_is_whole_private_and_knows_that_it_is_one(void **state)
{
    struct store store, copy;
    struct zdm_error err;
    struct stat status;
    char backup[160];
    (void)state;
    snprintf(backup, sizeof backup, "%s.backup", path);
    open_fresh(&store);
    uint64_t epoch = acquire(&store);
    assert_int_equal(append_group(&store, epoch, 33, &err), STORE_OK);
    assert_int_equal(store.ops->backup(store.self, backup, &err), STORE_OK);
    assert_int_equal(store.ops->backup(store.self, backup, &err), STORE_IO);
    assert_int_equal(err.code, ZDM_EXISTS);
    assert_int_equal(append_group(&store, epoch, 5, &err), STORE_OK);
    assert_int_equal(head_of(&store).backup_seq, 0);
    assert_int_equal(stat(backup, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    copy = reopen(backup);
    assert_int_equal(head_of(&copy).seq, 33);
    assert_int_equal(head_of(&copy).backup_seq, 33);
    assert_int_equal(read_and_check(&copy, 1), 33);
    epoch = acquire(&copy);
    assert_int_equal(append_group(&copy, epoch, 2, &err), STORE_OK);
    close_store(&copy);
    copy = reopen(backup);
    assert_int_equal(head_of(&copy).seq, 35);
    assert_int_equal(head_of(&copy).backup_seq, 33);
    close_store(&copy);
    close_store(&store);
}

int main(void)
{
    static const struct backend sqlite = {.name = "sqlite", .open = open_fresh};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_opened_again_holds_everything),
        cmocka_unit_test(only_its_owner_may_read_the_file),
        cmocka_unit_test(a_second_opener_is_told_that_it_is_busy),
        cmocka_unit_test(the_log_of_another_fleet_is_refused),
        cmocka_unit_test(a_file_that_is_no_log_is_refused),
        cmocka_unit_test(a_newer_schema_is_refused),
        cmocka_unit_test(a_missing_or_exchanged_record_is_found_when_reading),
        cmocka_unit_test(a_damaged_page_is_found_when_opening),
        cmocka_unit_test(a_damaged_log_is_examined_row_by_row_and_not_changed),
        cmocka_unit_test(a_log_with_damaged_pages_is_examined_as_far_as_it_goes),
        cmocka_unit_test(a_log_that_is_open_or_absent_is_not_examined),
        cmocka_unit_test(a_log_with_a_wal_is_examined_whole),
        cmocka_unit_test(a_full_store_refuses_and_works_again_when_there_is_room),
        cmocka_unit_test(a_full_file_system_is_told_apart_from_a_failing_one),
        cmocka_unit_test(after_a_failed_write_nothing_more_is_written),
        cmocka_unit_test(twenty_kills_lose_nothing_that_was_acknowledged),
        cmocka_unit_test(a_torn_tail_is_cut_at_a_group),
        cmocka_unit_test(a_backup_is_whole_private_and_knows_that_it_is_one),
    };
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/log.db", folder);
    int failed = run_suite(&sqlite) + cmocka_run_group_tests_name("sqlite only", tests, NULL, NULL);
    remove_files();
    (void)rmdir(folder);
    return failed;
}
