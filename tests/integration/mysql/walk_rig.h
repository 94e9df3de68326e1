/*
 * walk_rig.h - tables of many rows, and what a walk has kept of them, for the tests of walks.
 */
#ifndef TESTS_INTEGRATION_MYSQL_WALK_RIG_H
#define TESTS_INTEGRATION_MYSQL_WALK_RIG_H

#include "tests/integration/mysql/rig.h"

/* A uuid of MariaDB made from a number: of one of three versions, which are ordered by different bytes. */
#define RIG_UUID(g) "CAST(INSERT(INSERT(MD5(" g "), 13, 1, ELT(1 + " g " % 3, 1, 4, 7)), 17, 1, 'a') AS UUID)"

/* Table n of the test's database: column g from 0 to 9999. */
void rig_numbers(struct rig *r);
/* The table of zdm that holds what the object names; fails the test when there is none. Borrowed until the next call.
 */
const char *rig_images(struct rig *r, const char *object);
/* Names of columns of a step that are written back or archived. */
void rig_keep_images(struct rig *r, uint32_t step, const char *object);
/* Kills the sessions of the agent's account that have that database. */
void rig_kill_agent(struct rig *r);

/* An application that writes: a thread that runs `write` with a connection of its own until it is stopped. */
struct rig_writer {
    struct rig *rig;
    void (*write)(struct rig_writer *w, MYSQL *conn);
    void *ctx;
    unsigned seed;
    bool stop;
    unsigned long writes;
    char error[1024]; /* the first that was no deadlock and no wait for a lock */
    pthread_t thread;
};
void rig_writer_start(struct rig_writer *w);
/* Waits until it has written so often, stops it, and fails the test when it met an error. */
void rig_writer_stop(struct rig_writer *w, unsigned long at_least);
/* One statement of a writer, all of its results taken. */
void rig_write(struct rig_writer *w, MYSQL *conn, const char *sql);

#endif
