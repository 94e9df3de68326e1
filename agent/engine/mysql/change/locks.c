/*
 * locks.c - running DDL without a queue behind it, and naming who is in its way (locks.h).
 *
 * Measured on MariaDB 10.11 and MySQL 9.7, with a reader's open transaction of some seconds on the table:
 *  - MariaDB, lock_wait_timeout=0 for the statement: 1205 in no time, and nobody ever waits. It holds for the end of a
 *    build as well, where giving up at once would lose all of it to any short transaction: builds wait, watched.
 *  - An ALTER that waits shows as "Waiting for table metadata lock" on both, at its start and at its end; KILL QUERY
 *    ends it (1317) within some milliseconds and lets the queue go, and the catalogue is as it was.
 *  - MySQL builds an index beside a reader that came after its start, and waits for it at the end alone, too.
 */
#include "agent/engine/mysql/change/locks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/session/escape.h"
#include "agent/engine/mysql/change/judge_rules.h"
#include "agent/engine/mysql/session/replica.h"

enum {
    LOOK_MS = 10,          /* between two looks at a statement under way */
    MYSQL_BUDGET_MS = 100, /* the least that an attempt may wait where nothing else is to be had */
    MARIADB_BUDGET_MS = 60,
    OLD_MS = 60, /* who holds the table in two looks so far apart is worth waiting for without a queue */
    SHORT_MS = 120,
    BLOCKERS_MAX = 64
};

#define NOWAIT "SET STATEMENT lock_wait_timeout=0 FOR "

/* ---- Who ---- */

/* One that is in the way. */
struct holder {
    char key[80]; /* the same in two looks: the same hold */
    char text[ZDM_TEXT_MAX - 40];
};

/* thread, key, user, host, command, seconds, statement. A prepared XA transaction of a session that is gone has no
 * thread. */
static const char locks_sql[] =
    "SELECT t.PROCESSLIST_ID, CONCAT_WS('-', m.OWNER_THREAD_ID, m.OWNER_EVENT_ID, m.OBJECT_INSTANCE_BEGIN),"
    " t.PROCESSLIST_USER, t.PROCESSLIST_HOST, t.PROCESSLIST_COMMAND, t.PROCESSLIST_TIME,"
    " COALESCE(t.PROCESSLIST_INFO, e.SQL_TEXT) FROM performance_schema.metadata_locks m LEFT JOIN"
    " performance_schema.threads t ON t.THREAD_ID = m.OWNER_THREAD_ID LEFT JOIN"
    " performance_schema.events_statements_current e ON e.THREAD_ID = m.OWNER_THREAD_ID AND e.NESTING_EVENT_LEVEL = 0"
    " WHERE m.OBJECT_TYPE = 'TABLE' AND m.OBJECT_SCHEMA = DATABASE() AND m.LOCK_STATUS = 'GRANTED' AND"
    " COALESCE(t.PROCESSLIST_ID, 0) NOT IN ($1, $2) AND m.OBJECT_NAME IN (%s) ORDER BY t.PROCESSLIST_TIME DESC, 2"
    " LIMIT 64";

/* Every open transaction may hold it, where nobody says which tables are locked. trx_started is in the server's own
 * time zone. */
static const char transactions_sql[] =
    "SELECT x.trx_mysql_thread_id, CONCAT_WS('-', x.trx_id, x.trx_started, x.trx_mysql_thread_id), p.USER, p.HOST,"
    " p.COMMAND, TIMESTAMPDIFF(SECOND, CONVERT_TZ(x.trx_started, 'SYSTEM', '+00:00'), UTC_TIMESTAMP()),"
    " COALESCE(x.trx_query, p.INFO) FROM information_schema.INNODB_TRX x LEFT JOIN information_schema.PROCESSLIST p ON"
    " p.ID = x.trx_mysql_thread_id WHERE x.trx_mysql_thread_id NOT IN ($1, $2)%s ORDER BY x.trx_started LIMIT 64";
/* The same, where MySQL cannot show those (transactions.c). */
static const char events_sql[] =
    "SELECT t.PROCESSLIST_ID, CONCAT_WS('-', e.THREAD_ID, e.EVENT_ID), t.PROCESSLIST_USER, t.PROCESSLIST_HOST,"
    " t.PROCESSLIST_COMMAND, e.TIMER_WAIT DIV 1000000000000, t.PROCESSLIST_INFO FROM"
    " performance_schema.events_transactions_current e JOIN performance_schema.threads t ON t.THREAD_ID = e.THREAD_ID"
    " WHERE e.STATE = 'ACTIVE' AND t.PROCESSLIST_ID NOT IN ($1, $2)%s ORDER BY e.TIMER_WAIT DESC LIMIT 64";
/* Their next look at a table that was changed by INSTANT meanwhile fails with 1412 on MySQL (database.md 10). Sessions
 * of other databases do not count: a server that many shards share always has one, and DDL would wait for ever. */
static const char snapshots_only[] = " AND x.trx_isolation_level IN ('REPEATABLE READ', 'SERIALIZABLE') AND p.ID IS NOT"
                                     " NULL AND COALESCE(p.DB, DATABASE()) = DATABASE()";
static const char snapshot_events_only[] = " AND e.ISOLATION_LEVEL IN ('REPEATABLE READ', 'SERIALIZABLE') AND"
                                           " COALESCE(t.PROCESSLIST_DB, DATABASE()) = DATABASE()";

static void put_filled(struct zdm_buffer *sql, const char *text, const char *filling)
{
    const char *at = strstr(text, "%s");
    zdm_buffer_append(sql, text, (size_t)(at - text));
    zdm_buffer_puts(sql, filling);
    zdm_buffer_puts(sql, at + 2);
}

/* The table, and those that the step's statement locks beside it. */
static void put_locks_sql(struct zdm_buffer *sql, const struct mydb_work *w, const char *table)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer names = ZDM_BUFFER_INIT;
    mydb_put_literal(&names, table);
    for (size_t i = 0; w->step != NULL && i < w->step->n_others; i++) {
        zdm_buffer_puts(&names, ", ");
        mydb_put_literal(&names, w->step->others[i].name);
    }
    put_filled(sql, locks_sql, zdm_buffer_text(&names));
}

static void describe(const struct mydb_rows *rows, size_t row, struct holder *out)
{
    const char *user = mydb_text(rows, row, 2), *host = mydb_text(rows, row, 3), *command = mydb_text(rows, row, 4);
    const char *sql = mydb_text(rows, row, 6);
    char host_only[64];
    zdm_copy_text(out->key, sizeof out->key, mydb_text(rows, row, 1) == NULL ? "" : mydb_text(rows, row, 1));
    if (mydb_text(rows, row, 0) == NULL || mydb_int(rows, row, 0) == 0) {
        zdm_copy_text(out->text, sizeof out->text, "a prepared XA transaction (XA RECOVER names it)");
        return;
    }
    zdm_copy_text(host_only, sizeof host_only, host == NULL ? "?" : host);
    host_only[strcspn(host_only, ":")] = '\0';
    bool idle = command == NULL || strcmp(command, "Sleep") == 0;
    int n =
        snprintf(out->text, sizeof out->text, "thread %" PRId64 " %s@%s, %s for %" PRId64 " s", mydb_int(rows, row, 0),
                 user == NULL ? "?" : user, host_only, idle ? "idle in transaction" : "active", mydb_int(rows, row, 5));
    if (sql != NULL && n > 0 && (size_t)n < sizeof out->text) {
        snprintf(out->text + n, sizeof out->text - (size_t)n, ": %.80s", sql);
    }
}

struct holders {
    size_t n;
    bool known; /* the table's locks were looked at, and not transactions that may be on any table */
    struct holder h[BLOCKERS_MAX];
};

static enum zdm_code read_holders(struct mydb_work *w, const struct mydb_look *at, struct holders *out,
                                  struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    char own[24], second[24];
    struct zdm_error ignored = ZDM_ERROR_INIT;
    const struct mydb_session *beside = mydb_beside(w->s, &ignored);
    snprintf(own, sizeof own, "%" PRIu64, w->s->thread);
    snprintf(second, sizeof second, "%" PRIu64, beside == NULL ? w->s->thread : beside->thread);
    enum zdm_code code = mydb_query_shown(w->s, at, 2, (const char *const[]){own, second}, &rows, err);
    out->n = 0;
    for (size_t i = 0; code == ZDM_OK && i < rows->n && out->n < BLOCKERS_MAX; i++) {
        describe(rows, i, &out->h[out->n++]);
    }
    return code;
}

/* Are metadata locks to be seen? MariaDB has performance_schema off unless it is told otherwise. */
static bool sees_locks(struct mydb_work *w)
{
    static const char sql[] = "SELECT COUNT(*) FROM performance_schema.setup_instruments WHERE NAME ="
                              " 'wait/lock/metadata/sql/mdl' AND ENABLED = 'YES' AND @@performance_schema = 1";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    return mydb_query(w->s, sql, 0, NULL, &rows, &ignored) == ZDM_OK && mydb_int(rows, 0, 0) > 0;
}

static enum zdm_code find_holders(struct mydb_work *w, const char *table, struct holders *out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer locks = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer transactions = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer events = ZDM_BUFFER_INIT;
    put_locks_sql(&locks, w, table);
    put_filled(&transactions, transactions_sql, "");
    put_filled(&events, events_sql, "");
    out->known = sees_locks(w);
    if (out->known && read_holders(w, &(struct mydb_look){.sql = zdm_buffer_text(&locks)}, out, err) == ZDM_OK) {
        return ZDM_OK;
    }
    zdm_error_clear(err);
    out->known = false;
    const struct mydb_look at = {.sql = zdm_buffer_text(&transactions), .events = zdm_buffer_text(&events)};
    return read_holders(w, &at, out, err);
}

static enum zdm_code say_blocker(struct mydb_work *w, const char *table, const struct holders *found, size_t first,
                                 size_t others, struct zdm_error *err)
{
    struct agent_result *r = w->result;
    zdm_copy_text(r->blocker, sizeof r->blocker,
                  found->n > 0 ? found->h[first].text : "a session that has let go since");
    size_t used = strlen(r->blocker);
    if (found->n > 0 && others > 0) {
        snprintf(r->blocker + used, sizeof r->blocker - used, found->known ? " (and %zu more)" : " (or %zu others)",
                 others);
    }
    return zdm_error_set(err, ZDM_LOCK, "could not lock %s: held by %s", table, r->blocker);
}

enum zdm_code mydb_name_blocker(struct mydb_work *w, const char *table, struct zdm_error *err)
{
    static const struct holders none = {.n = 0};
    struct holders found = {.n = 0};
    struct zdm_error ignored = ZDM_ERROR_INIT;
    if (!mydb_is_open(w->s) || find_holders(w, table, &found, &ignored) != ZDM_OK) {
        return say_blocker(w, table, &none, 0, 0, err);
    }
    return say_blocker(w, table, &found, 0, found.n - 1, err);
}

/* ---- Before ---- */

static void pause_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000L}, NULL);
}

/* Whoever is in both of two looks. */
static enum zdm_code refuse_old(struct mydb_work *w, const char *table, const char *sql, struct zdm_error *err)
{
    struct holders first = {.n = 0}, second = {.known = true};
    const struct mydb_look at = {.sql = sql};
    enum zdm_code code = read_holders(w, &at, &first, err);
    if (code != ZDM_OK || first.n == 0) {
        return code;
    }
    pause_ms(OLD_MS);
    code = read_holders(w, &at, &second, err);
    for (size_t i = 0; code == ZDM_OK && i < second.n; i++) {
        for (size_t j = 0; j < first.n; j++) {
            if (strcmp(first.h[j].key, second.h[i].key) == 0) {
                return say_blocker(w, table, &second, i, 0, err);
            }
        }
    }
    return code;
}

/* As a person wrote it: it may build or copy, whatever it says. */
static bool may_build(const struct mydb_work *w, const char *sql)
{
    static const char *const words[] = {"ALTER", "INDEX", "OPTIMIZE", "REPAIR"};
    bool as_is = w->step != NULL && w->step->action == ZDM_ACTION_AS_IS;
    bool instant = strstr(sql, "ALGORITHM=INSTANT") != NULL;
    for (size_t i = 0; as_is && !(w->s->mariadb && instant) && i < sizeof words / sizeof *words; i++) {
        if (mydb_says(sql, words[i])) {
            return true;
        }
    }
    return false;
}

static bool builds_in_sight(const struct mydb_work *w, const char *sql)
{
    return w->step != NULL && w->step->action == ZDM_ACTION_CREATE_INDEX && strstr(sql, " ADD ") != NULL &&
           strstr(sql, " INVISIBLE, ") == NULL && strstr(sql, " IGNORED, ") == NULL;
}

/* Measured on both: an older snapshot reads neither a table that was written anew nor an index that was built
 * meanwhile; on MySQL 9.7 nothing either whose rows have another layout. INVISIBLE, a default, a longer type or another
 * name do no harm, nor does any INSTANT of MariaDB. */
static bool fails_snapshots(const struct mydb_work *w, const char *sql)
{
    bool layout = strstr(sql, " ADD COLUMN ") != NULL || strstr(sql, " DROP COLUMN ") != NULL;
    if (w->s->mariadb && strstr(sql, "ALGORITHM=INSTANT") != NULL) {
        return false;
    }
    return w->rebuilds || may_build(w, sql) || builds_in_sight(w, sql) || (layout && !w->s->mariadb);
}

/* Both tell in seconds who began by then; events by how long ago that was. */
static void put_older_sql(struct zdm_buffer *sql, struct zdm_buffer *events, const char *since)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer older = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer older_event = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&older, "%s AND CONVERT_TZ(x.trx_started, 'SYSTEM', '+00:00') <= ", snapshots_only);
    mydb_put_literal(&older, since);
    put_filled(sql, transactions_sql, zdm_buffer_text(&older));
    zdm_buffer_printf(&older_event, "%s AND UTC_TIMESTAMP(6) - INTERVAL e.TIMER_WAIT DIV 1000000 MICROSECOND < CAST(",
                      snapshot_events_only);
    mydb_put_literal(&older_event, since);
    zdm_buffer_puts(&older_event, " AS DATETIME) + INTERVAL 1 SECOND");
    put_filled(events, events_sql, zdm_buffer_text(&older_event));
}

static enum zdm_code refuse_older(struct mydb_work *w, const char *table, const char *since, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer events = ZDM_BUFFER_INIT;
    struct holders found = {.known = true};
    put_older_sql(&sql, &events, since);
    const struct mydb_look at = {.sql = zdm_buffer_text(&sql), .events = zdm_buffer_text(&events), .fresh = true};
    enum zdm_code code = read_holders(w, &at, &found, err);
    return code == ZDM_OK && found.n > 0 ? say_blocker(w, table, &found, 0, found.n - 1, err) : code;
}

/* How long the present second lasts, when it is that one; else 0. */
static enum zdm_code rest_of_second(struct mydb_work *w, const char *since, unsigned *out_ms, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s,
                                    "SELECT IF(CAST(UTC_TIMESTAMP() AS CHAR) = $1, 1000 - MICROSECOND(UTC_TIMESTAMP(6))"
                                    " DIV 1000, 0)",
                                    1, (const char *const[]){since}, &rows, err);
    *out_ms = code == ZDM_OK && rows->n > 0 ? (unsigned)mydb_uint(rows, 0, 0) : 0;
    return code;
}

/* The server tells in seconds when a transaction began, and one that only reads has no number of its own: sessions with
 * many short ones seem to have an old one until the second is over. */
enum zdm_code mydb_snapshots_gone(struct mydb_work *w, const char *table, const char *since, struct zdm_error *err)
{
    unsigned rest_ms = 0;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    enum zdm_code code = refuse_older(w, table, since, err);
    if (code != ZDM_LOCK || rest_of_second(w, since, &rest_ms, &ignored) != ZDM_OK || rest_ms == 0) {
        return code;
    }
    pause_ms(rest_ms + SHORT_MS); /* what began at its very end is not old, either */
    zdm_error_clear(err);
    w->result->blocker[0] = '\0';
    return refuse_older(w, table, since, err);
}

static enum zdm_code refuse_snapshots(struct mydb_work *w, const char *table, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_run(w->s, "SELECT CAST(UTC_TIMESTAMP() AS CHAR)", &rows, err);
    return code == ZDM_OK ? mydb_snapshots_gone(w, table, mydb_text(rows, 0, 0), err) : code;
}

/* Where every attempt costs a queue, none is made while somebody is known to be in the way. */
static enum zdm_code look_before(struct mydb_work *w, const char *table, const char *sql, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer locks = ZDM_BUFFER_INIT;
    put_locks_sql(&locks, w, table);
    enum zdm_code code = sees_locks(w) ? refuse_old(w, table, zdm_buffer_text(&locks), err) : ZDM_OK;
    return code == ZDM_OK && fails_snapshots(w, sql) ? refuse_snapshots(w, table, err) : code;
}

/* Whatever ALGORITHM it asks for. The process list has it as it was sent (MariaDB's INFO has no emojis), or its
 * beginning: what is the same for so long is the same. */
enum zdm_code mydb_not_running(struct mydb_work *w, const char *table, const char *sql, struct zdm_error *err)
{
    static const char condition[] =
        " WHERE ID <> CONNECTION_ID() AND DB = DATABASE() AND (LEFT(SENT, LENGTH($1)) = CAST($1 AS BINARY) OR"
        " LEFT(SENT, LENGTH($2)) = CAST($2 AS BINARY) OR (LENGTH(SENT) > $3 AND (LEFT(CAST($1 AS BINARY), $3) ="
        " LEFT(SENT, $3) OR LEFT(CAST($2 AS BINARY), $3) = LEFT(SENT, $3)))) LIMIT 1";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sent = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer find = ZDM_BUFFER_INIT;
    char nearly_cut[16];
    (void)snprintf(nearly_cut, sizeof nearly_cut, "%d", MYDB_INFO_MAX - 5);
    mydb_put_escaped(&sent, NOWAIT, strlen(NOWAIT));
    mydb_put_escaped(&sent, sql, strlen(sql));
    zdm_buffer_printf(&find, "SELECT ID, TIME FROM (SELECT ID, TIME, DB, %s AS SENT FROM %s) p%s",
                      w->s->mariadb ? "INFO_BINARY" : "CAST(INFO AS BINARY)", mydb_processlist(w->s), condition);
    const char *params[] = {zdm_buffer_text(&sent) + strlen(NOWAIT), zdm_buffer_text(&sent), nearly_cut};
    const struct mydb_look at = {.sql = zdm_buffer_text(&find)};
    enum zdm_code code = mydb_query_shown(w->s, &at, 3, params, &rows, err);
    if (code != ZDM_OK || rows->n == 0) {
        return code;
    }
    snprintf(w->result->blocker, sizeof w->result->blocker,
             "thread %" PRId64 ", which runs the same statement for %" PRId64 " s", mydb_int(rows, 0, 0),
             mydb_int(rows, 0, 1));
    return zdm_error_set(err, ZDM_LOCK, "could not change %s: held by %s", table, w->result->blocker);
}

/* ---- The statement ---- */

/* A statement under way, as the second connection sees it. */
struct watch {
    struct mydb_session *beside;
    uint64_t thread;
    int64_t begun_ms, waits_since_ms; /* 0: it does not wait */
    uint32_t budget_ms;
    bool worked; /* it was past the lock at its start */
    bool late;   /* and was stopped at its end */
};

static bool waits(struct watch *watch, struct zdm_error *err)
{
    static const char mysql[] = "SELECT PROCESSLIST_STATE LIKE 'Waiting for % metadata lock' OR PROCESSLIST_STATE LIKE"
                                " 'Waiting for table flush' FROM performance_schema.threads WHERE PROCESSLIST_ID = $1";
    static const char any[] = "SELECT STATE LIKE 'Waiting for % metadata lock' OR STATE LIKE 'Waiting for table flush'"
                              " FROM information_schema.PROCESSLIST WHERE ID = $1";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    char thread[24];
    snprintf(thread, sizeof thread, "%" PRIu64, watch->thread);
    const char *params[] = {thread};
    enum zdm_code code = mydb_query(watch->beside, watch->beside->mariadb ? any : mysql, 1, params, &rows, err);
    if ((code != ZDM_OK || rows->n == 0) && !watch->beside->mariadb) {
        zdm_error_clear(err);
        mydb_rows_freep(&rows);
        code = mydb_query(watch->beside, any, 1, params, &rows, err);
    }
    return code == ZDM_OK && rows->n > 0 && mydb_true(rows, 0, 0);
}

/* The session asks for it as well, over a connection that is yet to be made: others wait for so long. On a session that
 * has ended its statement, KILL QUERY does nothing to the next one (measured on both). */
static void stop_at_once(struct watch *watch)
{
    struct zdm_error ignored = ZDM_ERROR_INIT;
    char sql[48];
    snprintf(sql, sizeof sql, "KILL QUERY %" PRIu64, watch->thread);
    (void)!mydb_run(watch->beside, sql, NULL, &ignored);
}

/* Where nothing can be seen, time alone counts: a statement that is not through its budget may wait. */
static bool look(void *ctx)
{
    struct watch *watch = ctx;
    struct zdm_error err = ZDM_ERROR_INIT;
    int64_t now = mydb_now_ms();
    bool waiting = waits(watch, &err);
    if (err.code != ZDM_OK) {
        return !watch->worked && now - watch->begun_ms > watch->budget_ms;
    }
    if (!waiting) {
        watch->worked = watch->worked || watch->waits_since_ms != 0 || now - watch->begun_ms > LOOK_MS * 2;
        watch->waits_since_ms = 0;
        return false;
    }
    if (watch->waits_since_ms == 0) {
        watch->waits_since_ms = now - LOOK_MS > watch->begun_ms ? now - LOOK_MS : watch->begun_ms;
    }
    bool stop = now - watch->waits_since_ms >= watch->budget_ms;
    watch->late = stop && watch->worked;
    if (stop) {
        stop_at_once(watch);
    }
    return stop;
}

static uint32_t budget_of(const struct mydb_work *w)
{
    uint32_t least = w->s->mariadb ? MARIADB_BUDGET_MS : MYSQL_BUDGET_MS;
    uint32_t asked = w->op->lock_wait_ms;
    return w->s->mariadb && asked > 0 ? asked : asked > least ? asked : least;
}

static enum zdm_code run_watched(struct mydb_work *w, const char *table, const char *sql, struct zdm_error *err)
{
    struct watch watch = {
        .beside = mydb_beside(w->s, err), .thread = w->s->thread, .begun_ms = mydb_now_ms(), .budget_ms = budget_of(w)};
    if (watch.beside == NULL) {
        return err->code;
    }
    enum zdm_code code = mydb_run_watched(w->s, sql, LOOK_MS, look, &watch, err);
    if (code != ZDM_LOCK) {
        return code;
    }
    code = mydb_name_blocker(w, table, err);
    if (watch.late && strstr(sql, "ALGORITHM=INSTANT") == NULL) {
        zdm_error_hint(err, "It was stopped at its end, so as not to make others wait. What it had built is lost, and "
                            "is built again.");
    }
    return code;
}

/* Builds wait for the lock at their end, watched; nothing else has anything to lose. */
static bool builds(const struct mydb_work *w, const char *sql)
{
    return may_build(w, sql) || strstr(sql, "ALGORITHM=NOCOPY") != NULL || strstr(sql, "ALGORITHM=INPLACE") != NULL;
}

static enum zdm_code run(struct mydb_work *w, const char *table, const char *sql, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer nowait = ZDM_BUFFER_INIT;
    if (!w->s->mariadb || w->op->lock_wait_ms > 0 || builds(w, sql)) {
        return run_watched(w, table, sql, err);
    }
    zdm_buffer_printf(&nowait, NOWAIT "%s", sql);
    enum zdm_code code = mydb_run(w->s, zdm_buffer_text(&nowait), NULL, err);
    return code == ZDM_LOCK ? mydb_name_blocker(w, table, err) : code;
}

/* What was judged is so; a person's own statement was not. */
static enum zdm_code refuse_on_galera(struct mydb_work *w, const char *table, const char *sql, struct zdm_error *err)
{
    bool galera = false;
    bool slow = builds(w, sql) && !mydb_galera_takes(sql, sql);
    enum zdm_code code = slow ? mydb_galera_look(w->s, &galera, err) : ZDM_OK;
    return code == ZDM_OK && galera ? mydb_galera_refuse(table, err) : code;
}

enum zdm_code mydb_ddl(struct mydb_work *w, const char *table, const char *sql, struct zdm_error *err)
{
    enum zdm_code code = refuse_on_galera(w, table, sql, err);
    if (code == ZDM_OK) {
        code = mydb_not_running(w, table, sql, err);
    }
    if (code == ZDM_OK) {
        code = mydb_replicas_clear(w, table, err);
    }
    for (size_t i = 0; code == ZDM_OK && w->step != NULL && i < w->step->n_others; i++) {
        code = mydb_replicas_clear(w, w->step->others[i].name, err);
    }
    if (code == ZDM_OK) {
        code = look_before(w, table, sql, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    code = run(w, table, sql, err);
    if (code != ZDM_OK && !mydb_is_open(w->s) && !w->s->gave_up) {
        return zdm_error_set(err, ZDM_UNKNOWN, "the connection was lost while the statement ran");
    }
    return code;
}
