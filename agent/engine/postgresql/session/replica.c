/*
 * replica.c - sessions to the standbys, and who of those that stream from here is one of them (replica.h).
 */
#include "agent/engine/postgresql/session/replica.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/steps.h"

enum {
    LOOK_LIMIT_MS = 250,   /* for an answer while others may wait for us */
    FACTS_LIMIT_MS = 2000, /* for an answer while nobody does */
    RETRY_MS = 1000,
    RETRY_CAP_MS = 30000,
    STREAMS_MAX = 64 /* walsenders that are looked at */
};

void pgsql_replicas_init(struct pgsql_replicas *replicas, const struct pgsql_target *targets, size_t n, int wake_fd,
                         atomic_bool *give_up)
{
    replicas->n = n;
    for (size_t i = 0; i < n; i++) {
        struct pgsql_session *s = &replicas->each[i].session;
        s->target = &targets[i];
        s->wake_fd = wake_fd;
        s->give_up = give_up;
        s->hangs_up = true;
    }
}

void pgsql_replicas_close(struct pgsql_replicas *replicas)
{
    for (size_t i = 0; i < replicas->n; i++) {
        pgsql_close(&replicas->each[i].session);
    }
}

struct pgsql_session *pgsql_replica_session(struct pgsql_replica *replica, uint32_t limit_ms)
{
    replica->session.gave_up = false;
    replica->session.timed_out = false;
    replica->session.deadline_ms = pgsql_now_ms() + limit_ms;
    return &replica->session;
}

/* libpq says much more than what went wrong: "connection to server at …, port … failed: Connection refused Is the …".
 */
static void keep_reason(struct pgsql_replica *replica, const struct zdm_error *err)
{
    const char *text = strstr(err->message, " failed: ");
    text = text == NULL ? err->message : text + strlen(" failed: ");
    const char *advice = strstr(text, "Is the server running");
    size_t n = advice == NULL ? strlen(text) : (size_t)(advice - text);
    while (n > 0 && strchr(" .\t\n", text[n - 1]) != NULL) {
        n--;
    }
    (void)snprintf(replica->why, sizeof replica->why, "%.*s", (int)(n < sizeof replica->why ? n : sizeof replica->why),
                   text);
}

void pgsql_replica_failed(struct pgsql_replica *replica, const struct zdm_error *err)
{
    uint32_t shift = replica->failures < 5 ? replica->failures : 5;
    int64_t pause_ms = (int64_t)RETRY_MS << shift;
    pgsql_close(&replica->session);
    keep_reason(replica, err);
    replica->failures++;
    replica->next_try_ms = pgsql_now_ms() + (pause_ms < RETRY_CAP_MS ? pause_ms : RETRY_CAP_MS);
}

static void name_it(struct pgsql_replica *replica)
{
    PQconninfoOption *options = PQconninfoParse(replica->session.target->dsn, NULL);
    const char *host = "", *port = "5432";
    for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        if (o->val == NULL || o->val[0] == '\0') {
            continue;
        }
        if (strcmp(o->keyword, "host") == 0 || (strcmp(o->keyword, "hostaddr") == 0 && host[0] == '\0')) {
            host = o->val;
        } else if (strcmp(o->keyword, "port") == 0) {
            port = o->val;
        }
    }
    (void)snprintf(replica->name, sizeof replica->name, "%s:%s", host, port);
    PQconninfoFree(options);
}

/* A standby of the server that the lane's own session is on, and the same database. */
static enum zdm_code belongs(struct pgsql_work *w, struct pgsql_replica *replica, struct zdm_error *err)
{
    static const char sql[] = "SELECT oid, datname FROM pg_database WHERE datname = current_database()";
    ZDM_CLEANUP(pgsql_clearp) PGresult *here = NULL;
    ZDM_CLEANUP(pgsql_clearp) PGresult *there = NULL;
    struct pgsql_session *s = &replica->session;
    size_t n = strcspn(w->s->identity, "/");
    if (strncmp(w->s->identity, s->identity, n + 1) != 0) {
        return zdm_error_set(err, ZDM_REFUSED, "it belongs to another database system");
    }
    if (s->writable) {
        return zdm_error_set(err, ZDM_REFUSED, "it is not a standby");
    }
    enum zdm_code code = pgsql_query(w->s, sql, 0, NULL, &here, err);
    if (code == ZDM_OK) {
        code = pgsql_query(s, sql, 0, NULL, &there, err);
    }
    if (code == ZDM_OK && pgsql_int(here, 0, 0) != pgsql_int(there, 0, 0)) {
        return zdm_error_set(err, ZDM_REFUSED, "its connection is to database %s, not %s", pgsql_text(there, 0, 1),
                             pgsql_text(here, 0, 1));
    }
    return code;
}

/* Should it be promoted under our hands, this session writes nothing either. */
static enum zdm_code read_only(struct pgsql_session *s, struct zdm_error *err)
{
    static const char sql[] = "SELECT set_config('default_transaction_read_only', 'on', false),"
                              " set_config('statement_timeout', '2s', false)";
    return pgsql_query(s, sql, 0, NULL, NULL, err);
}

/* The receiver's name: what primary_conninfo says, else cluster_name, which libpq shows as the fallback. */
static const char facts_sql[] =
    "SELECT pg_is_in_recovery(), coalesce(w.status = 'streaming', false), coalesce(w.slot_name, ''),"
    " coalesce(substring(' ' || w.conninfo || ' end=' FROM ' application_name=(.*?) [a-z_]+='),"
    " substring(' ' || w.conninfo || ' end=' FROM ' fallback_application_name=(.*?) [a-z_]+='), ''),"
    " coalesce(host(inet_server_addr()), ''), coalesce(w.sender_host, ''), coalesce(w.sender_port::text, '')"
    " FROM (SELECT) AS one LEFT JOIN pg_stat_wal_receiver w ON true";

static void read_facts(struct pgsql_replica *replica)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    struct zdm_error err = ZDM_ERROR_INIT;
    if (!pgsql_is_open(&replica->session)) {
        return;
    }
    struct pgsql_session *s = pgsql_replica_session(replica, FACTS_LIMIT_MS);
    enum zdm_code code = pgsql_query(s, facts_sql, 0, NULL, &res, &err);
    if (code == ZDM_OK && !pgsql_true(res, 0, 0)) {
        code = zdm_error_set(&err, ZDM_REFUSED, "it is not a standby any more");
    }
    if (code != ZDM_OK) {
        pgsql_replica_failed(replica, &err);
        return;
    }
    replica->streams = pgsql_true(res, 0, 1);
    zdm_copy_text(replica->slot, sizeof replica->slot, pgsql_text(res, 0, 2));
    zdm_copy_text(replica->stream_name, sizeof replica->stream_name, pgsql_text(res, 0, 3));
    zdm_copy_text(replica->address, sizeof replica->address, pgsql_text(res, 0, 4));
    zdm_copy_text(replica->sender, sizeof replica->sender, pgsql_text(res, 0, 5));
    zdm_copy_text(replica->sender_port, sizeof replica->sender_port, pgsql_text(res, 0, 6));
    if (replica->stream_name[0] != '\0' && strcmp(replica->stream_name, "walreceiver") != 0) {
        zdm_copy_text(replica->name, sizeof replica->name, replica->stream_name);
    }
}

static void open_one(struct pgsql_work *w, struct pgsql_replica *replica)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    if (pgsql_is_open(&replica->session) || pgsql_now_ms() < replica->next_try_ms) {
        return;
    }
    if (replica->name[0] == '\0') {
        name_it(replica);
    }
    struct pgsql_session *s = pgsql_replica_session(replica, 2 * FACTS_LIMIT_MS);
    enum zdm_code code = pgsql_open(s, &err);
    if (code == ZDM_OK) {
        code = belongs(w, replica, &err);
    }
    if (code == ZDM_OK) {
        code = read_only(s, &err);
    }
    if (code != ZDM_OK) {
        pgsql_replica_failed(replica, &err);
        return;
    }
    replica->why[0] = '\0';
    replica->failures = 0;
    read_facts(replica);
}

void pgsql_replicas_open(struct pgsql_work *w)
{
    for (size_t i = 0; i < w->replicas->n; i++) {
        open_one(w, &w->replicas->each[i]);
    }
}

/* ---- Who streams from here, and from there ---- */

/* Standbys only: what replays tells how far; base backups and receivers of WAL do not. A row that this role may not
 * see counts. */
static const char streams_sql[] =
    "SELECT coalesce(nullif(r.application_name, ''), 'without a name'), coalesce(host(r.client_addr), ''),"
    " coalesce(s.slot_name, ''), r.state IS NULL, current_setting('port') FROM pg_stat_replication r"
    " LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid"
    " WHERE s.slot_type IS DISTINCT FROM 'logical' AND (r.state IS NULL OR (r.state <> 'backup'"
    " AND r.replay_lsn IS NOT NULL)) ORDER BY r.application_name, r.client_addr";

/* Rules by which a walsender is found to be that of a replica, the surest first. */
static bool same_slot(const struct pgsql_replica *r, const PGresult *res, int row)
{
    return r->slot[0] != '\0' && strcmp(r->slot, PQgetvalue(res, row, 2)) == 0;
}

static bool same_name_and_address(const struct pgsql_replica *r, const PGresult *res, int row)
{
    return strcmp(r->slot, PQgetvalue(res, row, 2)) == 0 && strcmp(r->stream_name, PQgetvalue(res, row, 0)) == 0 &&
           strcmp(r->address, PQgetvalue(res, row, 1)) == 0;
}

/* A standby may dial from another address than the one it listens on. */
static bool same_name(const struct pgsql_replica *r, const PGresult *res, int row)
{
    return strcmp(r->slot, PQgetvalue(res, row, 2)) == 0 && strcmp(r->stream_name, PQgetvalue(res, row, 0)) == 0;
}

static bool is_local(const char *host)
{
    return host[0] == '/' || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

/* Is that a port of the sender's own? One elsewhere may be a proxy's, or a mapped one, that leads here. */
static bool port_is_known(const struct pgsql_replicas *replicas, const struct pgsql_replica *r)
{
    if (is_local(r->sender) || strcmp(r->sender, r->address) == 0) {
        return true;
    }
    for (size_t i = 0; i < replicas->n; i++) {
        const struct pgsql_replica *other = &replicas->each[i];
        const PGconn *conn = other->session.conn;
        if (other != r && pgsql_is_open(&other->session) && strcmp(r->sender_port, PQport(conn)) == 0 &&
            (strcmp(r->sender, other->address) == 0 || strcmp(r->sender, PQhost(conn)) == 0)) {
            return true;
        }
    }
    return false;
}

/* One that streams from another standby may have the name of one that streams from here, and says nothing about it. A
 * slot's name is enough; else the server that it names must not be another one for certain. */
static bool from_elsewhere(const struct pgsql_replicas *replicas, const struct pgsql_replica *r, const PGresult *res,
                           int n)
{
    if (n > 0 && strcmp(r->sender_port, PQgetvalue(res, 0, 4)) != 0 && port_is_known(replicas, r)) {
        return true;
    }
    for (int row = 0; row < n; row++) {
        /* Of another host than its own there is a standby: it streams from that. */
        if (PQgetvalue(res, row, 1)[0] != '\0' && strcmp(r->sender, PQgetvalue(res, row, 1)) == 0 &&
            strcmp(r->sender, "127.0.0.1") != 0 && strcmp(r->sender, "::1") != 0 &&
            strcmp(r->sender, r->address) != 0) {
            return true;
        }
    }
    return false;
}

/* server: the replica that they stream from, NULL for the primary. One that streams from one server is no other's. */
static void match(const struct pgsql_replicas *replicas, const struct pgsql_replica *server, const PGresult *res, int n,
                  bool used[AGENT_REPLICAS_MAX], bool guarded[STREAMS_MAX])
{
    static bool (*const rules[])(const struct pgsql_replica *, const PGresult *,
                                 int) = {same_slot, same_name_and_address, same_name};
    for (size_t rule = 0; rule < sizeof rules / sizeof *rules; rule++) {
        for (size_t i = 0; i < replicas->n; i++) {
            const struct pgsql_replica *r = &replicas->each[i];
            bool usable = r != server && pgsql_is_open(&r->session) && r->streams &&
                          (rule == 0 || !from_elsewhere(replicas, r, res, n));
            for (int row = 0; usable && !used[i] && row < n; row++) {
                if (!guarded[row] && rules[rule](r, res, row)) {
                    guarded[row] = used[i] = true;
                }
            }
        }
    }
}

/* Two entries of the settings for one standby would stand for two that stream. */
static bool is_twice(const struct pgsql_replicas *replicas, size_t i)
{
    const struct pgsql_session *s = &replicas->each[i].session;
    for (size_t j = 0; j < i; j++) {
        const struct pgsql_session *other = &replicas->each[j].session;
        if (pgsql_is_open(s) && pgsql_is_open(other) && strcmp(s->identity, other->identity) == 0) {
            return true;
        }
    }
    return false;
}

static enum zdm_code not_guarded(struct pgsql_work *w, const char *name, const char *address, const char *why,
                                 struct zdm_error *err)
{
    struct agent_result *r = w->result;
    r->blocker_is_elsewhere = true;
    (void)snprintf(r->blocker, sizeof r->blocker,
                   "replica %.60s%s%.46s%s is not guarded: %.90s, or write "
                   "{unguarded-replicas}",
                   name, address[0] == '\0' ? "" : " (", address, address[0] == '\0' ? "" : ")", why);
    return zdm_error_set(err, ZDM_LOCK, "%s", r->blocker);
}

/* Of one that is not guarded although the settings have one of that name. */
static const char *name_it_how(const struct pgsql_work *w, const PGresult *res, int n, int row,
                               const bool guarded[STREAMS_MAX], char text[96])
{
    const char *name = PQgetvalue(res, row, 0);
    for (int i = 0; i < n; i++) {
        if (guarded[i] && strcmp(PQgetvalue(res, i, 0), name) == 0) {
            return "name it, too, in the agent's setting `replicas` (a namesake is there)";
        }
    }
    for (size_t i = 0; i < w->replicas->n; i++) {
        const struct pgsql_replica *r = &w->replicas->each[i];
        if (r->streams && strcmp(r->stream_name, name) == 0 && from_elsewhere(w->replicas, r, res, n)) {
            (void)snprintf(text, 96, "its namesake streams from %.20s:%.5s; name it, too, or give it a slot", r->sender,
                           r->sender_port);
            return text;
        }
    }
    return "name it in the agent's setting `replicas`";
}

/* Who streams from there; of a replica (NULL: the primary) in no long time. */
static enum zdm_code read_streams(struct pgsql_work *w, struct pgsql_replica *server, PGresult **out,
                                  struct zdm_error *err)
{
    struct zdm_error trouble = ZDM_ERROR_INIT;
    if (server == NULL) {
        enum zdm_code code = pgsql_query(w->s, streams_sql, 0, NULL, out, err);
        return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while looking who streams from here");
    }
    if (pgsql_query(pgsql_replica_session(server, FACTS_LIMIT_MS), streams_sql, 0, NULL, out, &trouble) == ZDM_OK) {
        return ZDM_OK;
    }
    pgsql_replica_failed(server, &trouble);
    return not_guarded(w, server->name, "", server->why, err);
}

static enum zdm_code guard_streams(struct pgsql_work *w, struct pgsql_replica *server, bool used[AGENT_REPLICAS_MAX],
                                   struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    bool guarded[STREAMS_MAX] = {false};
    enum zdm_code code = read_streams(w, server, &res, err);
    if (code != ZDM_OK) {
        return code;
    }
    int n = PQntuples(res) < STREAMS_MAX ? PQntuples(res) : STREAMS_MAX;
    match(w->replicas, server, res, n, used, guarded);
    for (int i = 0; i < n; i++) {
        if (pgsql_true(res, i, 3)) {
            return not_guarded(w, pgsql_text(res, i, 0), pgsql_text(res, i, 1),
                               "the agent's role may not see what it is (grant it pg_read_all_stats)", err);
        }
        if (!guarded[i]) {
            char how[96];
            const char *why = name_it_how(w, res, n, i, guarded, how);
            if (server != NULL) {
                (void)snprintf(how, sizeof how, "it streams from %.20s; name it in the agent's setting `replicas`",
                               server->name);
                why = how;
            }
            return not_guarded(w, pgsql_text(res, i, 0), pgsql_text(res, i, 1), why, err);
        }
    }
    return n < PQntuples(res) ? not_guarded(w, "65", "", "there are too many", err) : ZDM_OK;
}

/* Those of the primary first; then a standby replays the lock for the standbys behind it as well. */
static enum zdm_code guard_all(struct pgsql_work *w, struct zdm_error *err)
{
    bool used[AGENT_REPLICAS_MAX] = {false};
    enum zdm_code code = guard_streams(w, NULL, used, err);
    for (size_t i = 0; code == ZDM_OK && i < w->replicas->n; i++) {
        struct pgsql_replica *r = &w->replicas->each[i];
        code = pgsql_is_open(&r->session) ? guard_streams(w, r, used, err) : ZDM_OK;
    }
    return code;
}

static bool may_be_unguarded(const struct pgsql_work *w)
{
    return agent_is_unguarded(w->op->plan, w->step);
}

enum zdm_code pgsql_replicas_guard(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_replicas *all = w->replicas;
    if (may_be_unguarded(w)) {
        pgsql_replicas_open(w);
        return ZDM_OK;
    }
    pgsql_replicas_open(w);
    for (size_t i = 0; i < all->n; i++) {
        struct pgsql_replica *r = &all->each[i];
        read_facts(r);
        if (is_twice(all, i)) {
            r->streams = false;
        }
        if (r->why[0] != '\0') {
            return not_guarded(w, r->name, "", r->why, err);
        }
    }
    return guard_all(w, err);
}

unsigned pgsql_replicas_count(struct pgsql_work *w, unsigned *out_guarded)
{
    unsigned n = 0;
    *out_guarded = 0;
    for (size_t i = 0; i <= w->replicas->n; i++) {
        ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
        struct zdm_error ignored = ZDM_ERROR_INIT;
        struct pgsql_replica *r = i == 0 ? NULL : &w->replicas->each[i - 1];
        if (r != NULL && !pgsql_is_open(&r->session)) {
            continue;
        }
        *out_guarded += r != NULL && r->streams;
        struct pgsql_session *s = r == NULL ? w->s : pgsql_replica_session(r, FACTS_LIMIT_MS);
        if (pgsql_query(s, streams_sql, 0, NULL, &res, &ignored) == ZDM_OK) {
            n += (unsigned)PQntuples(res);
        } else if (r != NULL) {
            pgsql_replica_failed(r, &ignored);
        }
    }
    return n;
}

bool pgsql_replicas_matter(const struct zdm_step *step, bool partitioned)
{
    /* Beside those that lock their table wholly: statements that do so to an index at their end (pgsql_replicas_clear),
     * and to the partition. */
    static const uint64_t others = UINT64_C(1) << ZDM_ACTION_REINDEX | UINT64_C(1) << ZDM_ACTION_PURGE_INDEX |
                                   UINT64_C(1) << ZDM_ACTION_ATTACH_PARTITION;
    return zdm_action_table_lock(step->action) == ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE ||
           (others >> step->action & 1) != 0 || (partitioned && step->action == ZDM_ACTION_CREATE_INDEX);
}

/* ---- Who reads there ---- */

/* The startup process holds what it replays; who began a moment ago is over in a moment. */
static const char readers_sql[] =
    "SELECT CASE WHEN a.usename IS NULL THEN format('pid %s', a.pid) ELSE format('pid %s %s@%s, %s for %s s: %s', "
    "a.pid,"
    " a.usename, a.datname, coalesce(a.state, 'state not visible'),"
    " extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.state_change))::int,"
    " left(regexp_replace(a.query, '\\s+', ' ', 'g'), 80)) END, count(*) OVER ()"
    " FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid() AND a.backend_type IS DISTINCT FROM 'startup'"
    " AND coalesce(a.xact_start < clock_timestamp() - interval '100 ms', true)"
    " AND a.pid IN (SELECT l.pid FROM pg_locks l WHERE l.locktype = 'relation' AND l.granted"
    " AND l.relation = ANY ($1::oid[]) AND l.database = (SELECT d.oid FROM pg_database d"
    " WHERE d.datname = current_database())) ORDER BY a.xact_start NULLS FIRST LIMIT 1";

static enum zdm_code look_at(struct pgsql_work *w, struct pgsql_replica *replica, const char *oids,
                             struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    struct zdm_error trouble = ZDM_ERROR_INIT;
    struct pgsql_session *s = pgsql_replica_session(replica, LOOK_LIMIT_MS);
    struct agent_result *r = w->result;
    if (pgsql_query(s, readers_sql, 1, (const char *const[]){oids}, &res, &trouble) != ZDM_OK) {
        bool stopped = s->gave_up;
        pgsql_replica_failed(replica, &trouble);
        if (stopped) {
            return zdm_error_set(err, ZDM_CANCELLED, "cancelled");
        }
        return may_be_unguarded(w) ? ZDM_OK : not_guarded(w, replica->name, "", replica->why, err);
    }
    if (PQntuples(res) == 0) {
        return ZDM_OK;
    }
    int64_t others = pgsql_int(res, 0, 1) - 1;
    r->blocker_is_elsewhere = true;
    (void)snprintf(r->blocker, sizeof r->blocker, "replica %s: %.160s", replica->name, pgsql_text(res, 0, 0));
    size_t used = strlen(r->blocker);
    if (others > 0) {
        (void)snprintf(r->blocker + used, sizeof r->blocker - used, " (and %" PRId64 " more)", others);
    }
    return zdm_error_set(err, ZDM_LOCK, "readers on a standby would wait: %s", r->blocker);
}

enum zdm_code pgsql_replicas_look(struct pgsql_work *w, const char *oids, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < w->replicas->n; i++) {
        struct pgsql_replica *replica = &w->replicas->each[i];
        if (pgsql_is_open(&replica->session)) {
            code = look_at(w, replica, oids, err);
        } else if (!may_be_unguarded(w)) {
            code = not_guarded(w, replica->name, "", replica->why, err);
        }
    }
    return code;
}

enum zdm_code pgsql_replicas_clear(struct pgsql_work *w, const char *const *oids, size_t n, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer list = ZDM_BUFFER_INIT;
    for (size_t i = 0; i < n; i++) {
        zdm_buffer_printf(&list, "%s%s", i == 0 ? "{" : ",", oids[i]);
    }
    zdm_buffer_puts(&list, n == 0 ? "{}" : "}");
    enum zdm_code code = pgsql_replicas_guard(w, err);
    return code == ZDM_OK ? pgsql_replicas_look(w, zdm_buffer_text(&list), err) : code;
}
