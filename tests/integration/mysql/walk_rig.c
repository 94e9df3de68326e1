/*
 * walk_rig.c - see walk_rig.h.
 */
#include "tests/integration/mysql/walk_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEADLOCK = 1213, LOCK_WAIT = 1205 };

void rig_numbers(struct rig *r)
{
    rig_sql(r, "CREATE TABLE n (g int PRIMARY KEY); CREATE TABLE ten (d int PRIMARY KEY); INSERT INTO ten VALUES (0),"
               " (1), (2), (3), (4), (5), (6), (7), (8), (9); INSERT INTO n SELECT a.d + 10 * b.d + 100 * c.d + 1000 *"
               " e.d FROM ten a, ten b, ten c, ten e; DROP TABLE ten");
}

const char *rig_images(struct rig *r, const char *object)
{
    static char name[80];
    const char *found = rig_value(r,
                                  "SELECT MAX(hidden_name) FROM zdm.hidden WHERE home = DATABASE() AND kind = 'images'"
                                  " AND name = '%s'",
                                  object);
    if (strcmp(found, "NULL") == 0) {
        fail_msg("%s is not kept", object);
    }
    snprintf(name, sizeof name, "zdm.%s", found);
    return name;
}

void rig_keep_images(struct rig *r, uint32_t step, const char *object)
{
    struct zdm_step *s = rig_step(r, step);
    s->inverse = ZDM_INVERSE_IMAGES;
    s->object = strdup(object);
    for (size_t i = 0; i < s->derivation->n_assignments; i++) {
        s->derivation->assignments[i].added = false;
    }
}

void rig_kill_agent(struct rig *r)
{
    MYSQL *conn = rig_connect(r, "root");
    char sql[256], kill[64];
    snprintf(sql, sizeof sql, "SELECT id FROM information_schema.processlist WHERE user = 'zdm_agent' AND db = '%s'",
             r->database);
    assert_int_equal(mysql_query(conn, sql), 0);
    MYSQL_RES *res = mysql_store_result(conn);
    for (MYSQL_ROW row; (row = mysql_fetch_row(res)) != NULL;) {
        snprintf(kill, sizeof kill, "KILL %s", row[0]);
        (void)mysql_query(conn, kill); /* it may be gone already */
    }
    mysql_free_result(res);
    mysql_close(conn);
}

/* ---- Writers ---- */

void rig_write(struct rig_writer *w, MYSQL *conn, const char *sql)
{
    int state = mysql_query(conn, sql);
    while (state == 0) {
        mysql_free_result(mysql_store_result(conn));
        state = mysql_next_result(conn);
    }
    unsigned number = state > 0 ? mysql_errno(conn) : 0;
    if (number != 0 && number != DEADLOCK && number != LOCK_WAIT && w->error[0] == '\0') {
        snprintf(w->error, sizeof w->error, "%u %.400s: %.500s", number, mysql_error(conn), sql);
    }
    if (number != 0) {
        mysql_rollback(conn);
    }
}

static void *write_until_stopped(void *arg)
{
    struct rig_writer *w = arg;
    mysql_thread_init();
    MYSQL *conn = rig_connect(w->rig, "app_user");
    while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
        w->write(w, conn);
        __atomic_fetch_add(&w->writes, 1, __ATOMIC_RELAXED);
    }
    mysql_close(conn);
    mysql_thread_end();
    return NULL;
}

void rig_writer_start(struct rig_writer *w)
{
    w->stop = false;
    assert_int_equal(pthread_create(&w->thread, NULL, write_until_stopped, w), 0);
}

void rig_writer_stop(struct rig_writer *w, unsigned long at_least)
{
    while (__atomic_load_n(&w->writes, __ATOMIC_RELAXED) < at_least && w->error[0] == '\0') {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    __atomic_store_n(&w->stop, true, __ATOMIC_RELEASE);
    pthread_join(w->thread, NULL);
    if (w->error[0] != '\0') {
        fail_msg("%s", w->error);
    }
}
