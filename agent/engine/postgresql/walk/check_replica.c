/*
 * check_replica.c - which replica a part of a check runs on, and what follows where it does not (check.h).
 */
#include "agent/engine/postgresql/walk/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/session/replica.h"
#include "agent/engine/postgresql/session/wire.h"

enum {
    REPLAY_WAIT_MS = 5000, /* for the replica to catch up */
    REPLAY_LOOK_MS = 1000, /* for an answer how far it is */
    PAUSE_MIN_MS = 2,
    PAUSE_MAX_MS = 100,
    REST_MS = 60000,       /* of a replica that was too far behind, or that was disturbed */
    ANSWER_EXTRA_MS = 1000 /* beyond the server's own limit */
};

static enum zdm_code where_primary_is(struct pgsql_work *w, char lsn[32], struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, "SELECT pg_current_wal_lsn()", 0, NULL, &res, err);
    if (code == ZDM_OK) {
        zdm_copy_text(lsn, 32, pgsql_text(res, 0, 0));
    }
    return code;
}

static void rest(struct pgsql_replica *replica)
{
    replica->resting_until_ms = pgsql_now_ms() + REST_MS;
    replica->conflicts = 0;
}

enum place { THERE, BEHIND, STUCK, GONE, STOPPED };

/* One that was promoted keeps the position that it had, and one that follows another primary, or reads an archive of
 * another timeline, counts positions that are not ours: none of them is ever there. So its timeline must be proven: by
 * the primary that sends to it, or, where none does, by its last restart point, which is of what it has replayed. */
static enum place ask_how_far(struct pgsql_replica *replica, const char *timeline, const char *lsn)
{
    static const char sql[] =
        "WITH s AS (SELECT pg_is_in_recovery() AS follows, coalesce((SELECT received_tli FROM pg_stat_wal_receiver),"
        " (SELECT timeline_id FROM pg_control_checkpoint()), 0) = $2::int4 AS ours) SELECT follows AND ours AND"
        " coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false), CASE WHEN follows AND ours THEN"
        " pg_is_wal_replay_paused() ELSE true END FROM s";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    struct zdm_error trouble = ZDM_ERROR_INIT;
    struct pgsql_session *s = pgsql_replica_session(replica, REPLAY_LOOK_MS);
    if (pgsql_query(s, sql, 2, (const char *const[]){lsn, timeline}, &res, &trouble) != ZDM_OK) {
        bool stopped = s->gave_up;
        pgsql_replica_failed(replica, &trouble);
        return stopped ? STOPPED : GONE;
    }
    return pgsql_true(res, 0, 0) ? THERE : pgsql_true(res, 0, 1) ? STUCK : BEHIND;
}

static enum place wait_for_replay(const struct pgsql_work *w, struct pgsql_replica *replica, const char *lsn)
{
    char timeline[24];
    (void)snprintf(timeline, sizeof timeline, "%" PRIu64, w->s->timeline);
    int64_t until_ms = pgsql_now_ms() + REPLAY_WAIT_MS;
    int64_t pause_ms = PAUSE_MIN_MS;
    for (;;) {
        enum place place = ask_how_far(replica, timeline, lsn);
        if (place != BEHIND || pgsql_now_ms() >= until_ms) {
            return place;
        }
        if (pgsql_wait(&replica->session, -1, 0, pgsql_now_ms() + pause_ms, true) == PGSQL_GIVE_UP) {
            return STOPPED;
        }
        pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
    }
}

/* What replay, or a limit of ours, ended: less of it may go through. */
static bool is_disturbance(const struct zdm_error *err)
{
    return strncmp(err->sqlstate, "40", 2) == 0 || strcmp(err->sqlstate, "57014") == 0 ||
           strcmp(err->sqlstate, "57P01") == 0;
}

static enum zdm_code disturbed(struct pgsql_work *w, struct pgsql_replica *replica, const struct zdm_error *trouble,
                               struct zdm_error *err)
{
    bool first = is_disturbance(trouble) && replica->conflicts == 0 && w->op->rows > 1;
    if (pgsql_is_open(&replica->session)) {
        pgsql_rollback(&replica->session);
    } else {
        pgsql_replica_failed(replica, trouble);
    }
    if (!first) {
        rest(replica);
        return ZDM_OK;
    }
    replica->conflicts++;
    return zdm_error_set(err, ZDM_CONFLICT, "replica %s broke off a check: %.200s", replica->name, trouble->message);
}

static enum zdm_code run_there(struct pgsql_work *w, struct pgsql_replica *replica, const char *settings,
                               uint32_t limit_ms, pgsql_check_fn *look, void *ctx, bool *ran, struct zdm_error *err)
{
    struct zdm_error trouble = ZDM_ERROR_INIT;
    struct pgsql_work at = *w;
    at.s = pgsql_replica_session(replica, limit_ms + ANSWER_EXTRA_MS);
    enum zdm_code code = pgsql_begin_reading(at.s, &trouble);
    if (code == ZDM_OK) {
        code = pgsql_script(at.s, settings, NULL, &trouble);
    }
    if (code == ZDM_OK) {
        code = look(&at, ctx, &trouble);
    }
    if (code != ZDM_OK && at.s->gave_up) {
        return zdm_error_set(err, ZDM_CANCELLED, "cancelled");
    }
    if (code != ZDM_OK) {
        return disturbed(w, replica, &trouble, err);
    }
    pgsql_rollback(at.s);
    replica->conflicts = 0;
    zdm_copy_text(w->checked_on, sizeof w->checked_on, replica->name);
    *ran = true;
    return ZDM_OK;
}

static enum zdm_code try_one(struct pgsql_work *w, struct pgsql_replica *replica, const char *lsn, const char *settings,
                             uint32_t limit_ms, pgsql_check_fn *look, void *ctx, bool *ran, struct zdm_error *err)
{
    int64_t begun_ms = pgsql_now_ms();
    if (!pgsql_is_open(&replica->session) || begun_ms < replica->resting_until_ms) {
        return ZDM_OK;
    }
    enum place place = wait_for_replay(w, replica, lsn);
    w->waited_ms += pgsql_now_ms() - begun_ms;
    switch (place) {
    case THERE:
        return run_there(w, replica, settings, limit_ms, look, ctx, ran, err);
    case BEHIND:
    case STUCK:
        rest(replica);
        return ZDM_OK;
    case GONE:
        return ZDM_OK;
    case STOPPED:
        return zdm_error_set(err, ZDM_CANCELLED, "cancelled");
    }
    return ZDM_OK;
}

enum zdm_code pgsql_check_there(struct pgsql_work *w, const char *settings, uint32_t limit_ms, pgsql_check_fn *look,
                                void *ctx, bool *ran, struct zdm_error *err)
{
    char lsn[32];
    *ran = false;
    if (w->replicas->n == 0) {
        return ZDM_OK;
    }
    int64_t begun_ms = pgsql_now_ms();
    enum zdm_code code = where_primary_is(w, lsn, err);
    for (size_t i = 0; code == ZDM_OK && !*ran && i < w->replicas->n; i++) {
        code = try_one(w, &w->replicas->each[i], lsn, settings, limit_ms, look, ctx, ran, err);
    }
    /* The primary's part has its own time. */
    if (w->s->deadline_ms != INT64_MAX) {
        w->s->deadline_ms += pgsql_now_ms() - begun_ms;
    }
    return code;
}
