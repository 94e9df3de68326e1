/*
 * bench_backfill.c - by hand: rows per second of a backfill in batches of 5000 without pacing, against one plain UPDATE
 * over the same rows, in turn in one run, as a ratio. Over MariaDB, and over MySQL when ZDM_TEST_MYSQL_DSN is set.
 */
#include "tests/integration/mysql/walk_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROWS = 300000, BATCH = 5000, ROUNDS = 3 };

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void make_users(struct rig *r)
{
    rig_sql(r,
            "DROP TABLE IF EXISTS users; CREATE TABLE users (id bigint PRIMARY KEY, name varchar(255) NOT NULL, email"
            " varchar(255), created_at datetime(6), full_name varchar(255)); INSERT INTO users SELECT a.g * 10000 +"
            " b.g + 1, CONCAT('user ', b.g), CONCAT('user', b.g, '@example.com'), NOW(6), NULL FROM n a JOIN n b"
            " WHERE a.g < 30; DO SLEEP(1)");
}

static double plain_update(struct rig *r)
{
    make_users(r);
    double begun = seconds();
    rig_sql(r, "UPDATE users SET full_name = name WHERE full_name IS NULL");
    return seconds() - begun;
}

/* With its bound and every commit. */
static double backfill(struct rig *r)
{
    make_users(r);
    rig_plan(r, "users", 1);
    struct zdm_derivation *d = rig_copy(r, 1, ZDM_ACTION_BACKFILL, "full_name", "name");
    d->guard = strdup("t.`full_name` IS NULL");
    rig_sql(r, "DELETE FROM zdm.migration WHERE home = DATABASE()");
    rig_accept(r, 1);
    double begun = seconds();
    rig_walk(r, 1, BATCH);
    double took = seconds() - begun;
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM users WHERE NOT full_name <=> name"), 0);
    return took;
}

static void backfill_is_about_as_fast_as_one_update(void **state)
{
    struct rig *r = *state;
    rig_numbers(r);
    for (int i = 1; i <= ROUNDS; i++) {
        double plain = plain_update(r), ours = backfill(r);
        print_message("round %d: plain UPDATE %.0f rows/s, zdm %.0f rows/s, ratio %.2f\n", i, ROWS / plain, ROWS / ours,
                      plain / ours);
    }
}

RIG_MAIN(RIG_TEST(backfill_is_about_as_fast_as_one_update))
