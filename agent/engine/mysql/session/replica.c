/*
 * replica.c - sessions to the replicas, what they say of themselves, and how long a check waits for one (replica.h).
 */
#include "agent/engine/mysql/session/replica.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/mysql/signals.h"

enum {
    FACTS_LIMIT_MS = 2000, /* for an answer while nobody waits for us */
    RETRY_MS = 1000,
    RETRY_CAP_MS = 30000,
    APPLY_WAIT_S = 5, /* for the replica to catch up before a check */
    REST_MS = 60000   /* of a replica that was too far behind */
};

void mydb_replicas_init(struct mydb_replicas *replicas, const struct mydb_target *targets, size_t n, int wake_fd,
                        atomic_bool *give_up)
{
    replicas->n = n;
    for (size_t i = 0; i < n; i++) {
        struct mydb_replica *r = &replicas->each[i];
        r->session.target = &targets[i];
        r->session.wake_fd = wake_fd;
        r->session.give_up = give_up;
        r->session.hangs_up = true;
        snprintf(r->name, sizeof r->name, "%.60s:%u", targets[i].host == NULL ? "localhost" : targets[i].host,
                 targets[i].port == 0 ? 3306 : targets[i].port);
    }
}

void mydb_replicas_close(struct mydb_replicas *replicas)
{
    for (size_t i = 0; i < replicas->n; i++) {
        mydb_close(&replicas->each[i].session);
    }
}

/* The session may be used now, for at most so long. */
static struct mydb_session *use(struct mydb_replica *replica, uint32_t limit_ms)
{
    struct mydb_session *s = &replica->session;
    s->gave_up = s->timed_out = false;
    s->deadline_ms = mydb_now_ms() + limit_ms;
    return s;
}

void mydb_replica_failed(struct mydb_replica *replica, const struct zdm_error *err)
{
    uint32_t shift = replica->failures < 5 ? replica->failures : 5;
    int64_t pause_ms = (int64_t)RETRY_MS << shift;
    mydb_close(&replica->session);
    replica->receives = replica->runs = false;
    zdm_copy_text(replica->why, sizeof replica->why, err->message);
    replica->failures++;
    replica->next_try_ms = mydb_now_ms() + (pause_ms < RETRY_CAP_MS ? pause_ms : RETRY_CAP_MS);
}

/* ---- What a replica says of itself ---- */

/* Names of the same things with both flavours. */
struct words {
    const char *ask, *source, *receives, *applies, *lag;
};
static const struct words words_of_mariadb = {"SHOW ALL SLAVES STATUS", "Master_Server_Id", "Slave_IO_Running",
                                              "Slave_SQL_Running", "Seconds_Behind_Master"};
static const struct words words_of_mysql = {"SHOW REPLICA STATUS", "Source_UUID", "Replica_IO_Running",
                                            "Replica_SQL_Running", "Seconds_Behind_Source"};

/* What replicas name their source by: the server's UUID, or on MariaDB its number alone. */
static enum zdm_code name_of_source(struct mydb_session *s, char out[64], struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code =
        mydb_run(s, s->mariadb ? "SELECT @@GLOBAL.server_id" : "SELECT @@GLOBAL.server_uuid", &rows, err);
    if (code == ZDM_OK) {
        zdm_copy_text(out, 64, mydb_text(rows, 0, 0));
    }
    return code;
}

static void note_lag(struct mydb_replica *replica, const struct mydb_rows *rows, size_t row, const struct words *words)
{
    const char *lag = mydb_text(rows, row, mydb_column_named(rows, words->lag));
    replica->receives = mydb_true(rows, row, mydb_column_named(rows, words->receives));
    replica->runs = lag != NULL && replica->receives && mydb_true(rows, row, mydb_column_named(rows, words->applies));
    replica->lag_ms = mydb_int(rows, row, mydb_column_named(rows, words->lag)) * 1000;
    if (replica->runs) {
        replica->silent_since_ms = 0;
    } else if (replica->silent_since_ms == 0) {
        replica->silent_since_ms = mydb_now_ms();
    }
}

/* Reads its status; source NULL: of any source. A replica has one row a source. */
static enum zdm_code read_status(struct mydb_replica *replica, struct mydb_session *s, const char *source,
                                 struct zdm_error *err)
{
    const struct words *words = s->mariadb ? &words_of_mariadb : &words_of_mysql;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_run(s, words->ask, &rows, err);
    if (code != ZDM_OK) {
        return code;
    }
    for (size_t i = 0; i < rows->n; i++) {
        const char *of = mydb_text(rows, i, mydb_column_named(rows, words->source));
        if (source == NULL || (of != NULL && strcmp(of, source) == 0)) {
            note_lag(replica, rows, i, words);
            return ZDM_OK;
        }
    }
    return zdm_error_set(err, ZDM_REFUSED, "it does not replicate from this server");
}

/* A replica of the server that the lane's own session is on, with the same database. */
static enum zdm_code belongs(struct mydb_work *w, struct mydb_replica *replica, struct zdm_error *err)
{
    struct mydb_session *s = &replica->session;
    char source[64];
    if (s->mariadb != w->s->mariadb) {
        return zdm_error_set(err, ZDM_REFUSED, "it is of another make than its primary");
    }
    if (strcmp(s->database, w->s->database) != 0) {
        return zdm_error_set(err, ZDM_REFUSED, "its connection is to database %s, not %s", s->database, w->s->database);
    }
    enum zdm_code code = name_of_source(w->s, source, err);
    return code == ZDM_OK ? read_status(replica, s, source, err) : code;
}

/* Should it be promoted under our hands, this session writes nothing either. */
static enum zdm_code read_only(struct mydb_session *s, struct zdm_error *err)
{
    return mydb_run(s, "SET SESSION TRANSACTION READ ONLY", NULL, err);
}

static void open_one(struct mydb_work *w, struct mydb_replica *replica)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    if (mydb_is_open(&replica->session) || mydb_now_ms() < replica->next_try_ms) {
        return;
    }
    struct mydb_session *s = use(replica, 2 * FACTS_LIMIT_MS);
    enum zdm_code code = mydb_open(s, &err);
    if (code == ZDM_OK) {
        code = belongs(w, replica, &err);
    }
    if (code == ZDM_OK) {
        code = read_only(s, &err);
    }
    if (code != ZDM_OK) {
        mydb_replica_failed(replica, &err);
        return;
    }
    replica->why[0] = '\0';
    replica->failures = 0;
}

void mydb_replicas_open(struct mydb_work *w)
{
    w->n_replicas = 0;
    for (size_t i = 0; i < w->replicas->n; i++) {
        open_one(w, &w->replicas->each[i]);
        w->n_replicas += mydb_is_open(&w->replicas->each[i].session) ? 1 : 0;
    }
}

/* Asks again what changes while the session stays. */
enum zdm_code mydb_replica_look(struct mydb_work *w, struct mydb_replica *replica, struct zdm_error *err)
{
    struct zdm_error trouble = ZDM_ERROR_INIT;
    struct mydb_session *s = use(replica, FACTS_LIMIT_MS);
    if (!mydb_is_open(s) || belongs(w, replica, &trouble) == ZDM_OK) {
        return ZDM_OK;
    }
    bool stopped = s->gave_up;
    mydb_replica_failed(replica, &trouble);
    return stopped ? zdm_error_set(err, ZDM_CANCELLED, "cancelled") : ZDM_OK;
}

/* ---- The lag ---- */

/* One that does not run lags for as long as it has been silent. */
static int64_t lag_of(const struct mydb_replica *replica)
{
    return replica->runs ? replica->lag_ms : mydb_now_ms() - replica->silent_since_ms;
}

static enum zdm_code own_lag(struct mydb_work *w, struct zdm_error *err)
{
    struct mydb_replica self = {.lag_ms = 0};
    enum zdm_code code = read_status(&self, w->s, NULL, err);
    if (code == ZDM_REFUSED && err->number == 0) {
        return ZDM_OK; /* it follows nobody */
    }
    if (code == ZDM_OK && self.runs) {
        (void)mydb_add_signal(w->result, "own_lag_ms", self.lag_ms, 0);
    }
    return code;
}

enum zdm_code mydb_replica_signals(struct mydb_work *w, struct zdm_error *err)
{
    int64_t lag_ms = 0;
    bool unknown = false;
    if (!w->s->writable) {
        return own_lag(w, err);
    }
    mydb_replicas_open(w);
    for (size_t i = 0; i < w->replicas->n; i++) {
        struct mydb_replica *replica = &w->replicas->each[i];
        enum zdm_code code = mydb_replica_look(w, replica, err);
        if (code != ZDM_OK) {
            return code;
        }
        bool open = mydb_is_open(&replica->session);
        unknown = unknown || !open;
        lag_ms = open && lag_of(replica) > lag_ms ? lag_of(replica) : lag_ms;
    }
    struct zdm_signal *signal = mydb_add_signal(w->result, "replica_lag_ms", lag_ms, w->op->max_replica_lag_ms);
    if (signal != NULL && unknown && signal->state == ZDM_SIGNAL_OK) {
        signal->state = ZDM_SIGNAL_STALE;
    }
    return ZDM_OK;
}

/* ---- Checks ---- */

/* The condition under which a replica has applied all that is committed here: a call that waits for it. False in *ok:
 * nothing tells. */
static enum zdm_code put_wait(struct mydb_session *s, struct zdm_buffer *sql, struct zdm_error *err)
{
    static const char mariadb[] = "SELECT 'ON', @@GLOBAL.gtid_binlog_pos";
    static const char mysql[] = "SELECT @@GLOBAL.gtid_mode, @@GLOBAL.gtid_executed";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *at = NULL;
    enum zdm_code code = mydb_run(s, s->mariadb ? mariadb : mysql, &rows, err);
    if (code != ZDM_OK) {
        return code;
    }
    const char *position = mydb_text(rows, 0, 1);
    if (strcmp(mydb_text(rows, 0, 0), "ON") == 0) {
        if (position != NULL && position[0] != '\0') {
            zdm_buffer_printf(sql, "SELECT %s(", s->mariadb ? "MASTER_GTID_WAIT" : "WAIT_FOR_EXECUTED_GTID_SET");
            mydb_put_literal(sql, position);
            zdm_buffer_printf(sql, ", %d)", APPLY_WAIT_S);
        }
        return ZDM_OK;
    }
    code = mydb_run(s, s->version_num >= 80200 ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS", &at, err);
    if (code == ZDM_OK && at->n > 0) {
        zdm_buffer_printf(sql, "SELECT %s(", s->version_num >= 80026 ? "SOURCE_POS_WAIT" : "MASTER_POS_WAIT");
        mydb_put_literal(sql, mydb_text(at, 0, 0));
        zdm_buffer_printf(sql, ", %" PRIu64 ", %d)", mydb_uint(at, 0, 1), APPLY_WAIT_S);
    }
    return code;
}

/* -1: it took too long; NULL: it does not apply anything. GTID waits give 0 when they are there and 1 for too long. */
static bool is_there(const struct mydb_rows *rows, const char *sql)
{
    const char *answer = mydb_text(rows, 0, 0);
    bool by_place = strstr(sql, "_POS_WAIT(") != NULL;
    return answer != NULL && (by_place ? mydb_int(rows, 0, 0) >= 0 : mydb_int(rows, 0, 0) == 0);
}

static enum zdm_code wait_for(struct mydb_work *w, struct mydb_replica *replica, const char *sql, bool *there,
                              struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    struct zdm_error trouble = ZDM_ERROR_INIT;
    int64_t begun_ms = mydb_now_ms();
    struct mydb_session *s = use(replica, APPLY_WAIT_S * 1000 + FACTS_LIMIT_MS);
    enum zdm_code code = mydb_run(s, sql, &rows, &trouble);
    *there = code == ZDM_OK && is_there(rows, sql);
    w->waited_ms += mydb_now_ms() - begun_ms;
    if (code == ZDM_OK) {
        replica->resting_until_ms = *there ? 0 : mydb_now_ms() + REST_MS;
        return ZDM_OK;
    }
    bool stopped = s->gave_up;
    mydb_replica_failed(replica, &trouble);
    return stopped ? zdm_error_set(err, ZDM_CANCELLED, "cancelled") : ZDM_OK;
}

enum zdm_code mydb_replica_for_check(struct mydb_work *w, struct mydb_session **out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    bool there = false;
    *out = NULL;
    w->checked_on[0] = '\0';
    if (w->replicas->n == 0) {
        return ZDM_OK;
    }
    enum zdm_code code = put_wait(w->s, &sql, err);
    for (size_t i = 0; code == ZDM_OK && !there && sql.len > 0 && i < w->replicas->n; i++) {
        struct mydb_replica *replica = &w->replicas->each[i];
        if (mydb_now_ms() < replica->resting_until_ms) {
            continue;
        }
        code = mydb_replica_look(w, replica, err);
        if (code != ZDM_OK || !mydb_is_open(&replica->session) || !replica->runs) {
            continue;
        }
        code = wait_for(w, replica, zdm_buffer_text(&sql), &there, err);
        if (code == ZDM_OK && there) {
            *out = use(replica, FACTS_LIMIT_MS);
            zdm_copy_text(w->checked_on, sizeof w->checked_on, replica->name);
        }
    }
    return code;
}
