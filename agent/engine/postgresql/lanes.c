/*
 * lanes.c - the engine itself: one thread and one session per lane, a bounded queue in front of each (engine.h).
 *
 * A lane's thread starts with its first operation and ends with the engine. A session is opened when an operation
 * needs it, and only on the very server that the last CONNECT saw: after a restart, a promotion or on another server
 * the core has to ask before it acts (protocol 3, rule 6), so that such a lane answers "connect anew".
 *
 * Threads: `lock` guards queues, flags and the known identity; a session is touched by its lane's thread only. cancel
 * sets the running operation's flag and wakes the thread out of poll.
 */
#include "agent/engine/engine.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/engine/postgresql/classify.h"
#include "agent/engine/postgresql/job.h"
#include "agent/engine/postgresql/journal.h"
#include "agent/engine/postgresql/perform.h"
#include "agent/engine/postgresql/replica.h"
#include "common/base/limits.h"

enum {
    LANES_MAX = AGENT_LANE_SURVEY + 1,
    QUEUE_MAX = 8, /* operations waiting in one lane */
    CONNECT_TIMEOUT_MS = 5000,
    REPLICA_CONNECT_TIMEOUT_MS = 2000,
    CHECK_SHOWN_MS = 5000
};

struct engine;

struct lane {
    struct engine *engine;
    unsigned number;
    bool started;
    pthread_t thread;
    pthread_cond_t ready;
    struct pgsql_job *first, *last, *running;
    unsigned waiting;
    int wake_fd;
    atomic_bool give_up;
    uint64_t seen_connects; /* the CONNECT that the session belongs to */
    struct pgsql_session session;
    struct pgsql_memory memory;
    struct pgsql_replicas replicas;
    char checked_on[80]; /* the replica of the check that ran last, and when; guarded by the lock */
    int64_t checked_ms;
};

struct engine {
    struct pgsql_target target;
    struct pgsql_target replicas[AGENT_REPLICAS_MAX];
    size_t n_replicas;
    struct agent_engine_sink sink;
    pthread_mutex_t lock;
    bool closing;
    uint64_t connects; /* CONNECTs that succeeded */
    char identity[64]; /* seen by the last of them */
    struct lane lanes[LANES_MAX];
};

/* The session that the operation needs: CONNECT opens anew, others only to the server that CONNECT saw. */
static enum zdm_code have_session(struct lane *lane, const struct agent_op *op, struct zdm_error *err)
{
    struct engine *engine = lane->engine;
    char identity[sizeof engine->identity];
    pthread_mutex_lock(&engine->lock);
    uint64_t connects = engine->connects;
    memcpy(identity, engine->identity, sizeof identity);
    pthread_mutex_unlock(&engine->lock);
    if (op->kind == AGENT_OP_CONNECT) {
        return pgsql_open(&lane->session, err);
    }
    if (connects == 0) {
        return zdm_error_set(err, ZDM_UNAVAILABLE, "the database is not connected");
    }
    if (pgsql_is_open(&lane->session) && lane->seen_connects == connects) {
        return ZDM_OK;
    }
    enum zdm_code code = pgsql_open(&lane->session, err);
    if (code == ZDM_OK && strcmp(lane->session.identity, identity) != 0) {
        pgsql_close(&lane->session);
        return zdm_error_set(err, ZDM_UNAVAILABLE, "the database was restarted or is another one; connect anew");
    }
    lane->seen_connects = connects;
    return code;
}

static void note_connected(struct lane *lane)
{
    struct engine *engine = lane->engine;
    pthread_mutex_lock(&engine->lock);
    engine->connects++;
    memcpy(engine->identity, lane->session.identity, sizeof engine->identity);
    lane->seen_connects = engine->connects;
    pthread_mutex_unlock(&engine->lock);
}

/* What the lane remembers holds for one step, one plan and one connection. */
static void refresh_memory(struct lane *lane, const struct agent_op *op)
{
    struct pgsql_memory *m = &lane->memory;
    bool same = op->plan != NULL && m->step == op->step && m->opened == lane->session.opened &&
                zdm_hash_equal(&m->plan_hash, &op->plan->hash);
    if (same) {
        return;
    }
    pgsql_memory_forget(m);
    if (op->plan != NULL) {
        m->plan_hash = op->plan->hash;
        m->step = op->step;
        m->opened = lane->session.opened;
    }
}

/* A check that runs on a replica is seen as a signal: "check on b2". What had nothing to look at ran nowhere. */
static void note_check(struct lane *lane, const struct pgsql_work *w)
{
    if (w->checked_on[0] == '\0' && w->result->rows_walked == 0) {
        return;
    }
    pthread_mutex_lock(&lane->engine->lock);
    zdm_copy_text(lane->checked_on, sizeof lane->checked_on, w->checked_on);
    lane->checked_ms = pgsql_now_ms();
    pthread_mutex_unlock(&lane->engine->lock);
}

static void show_checks(struct engine *engine, struct agent_result *result)
{
    pthread_mutex_lock(&engine->lock);
    for (size_t i = 0; i < LANES_MAX && result->n_signals < ZDM_SIGNALS_MAX; i++) {
        const struct lane *lane = &engine->lanes[i];
        if (lane->checked_on[0] == '\0' || pgsql_now_ms() - lane->checked_ms > CHECK_SHOWN_MS) {
            continue;
        }
        struct zdm_signal *signal = &result->signals[result->n_signals++];
        *signal = (struct zdm_signal){.state = ZDM_SIGNAL_OK};
        (void)snprintf(signal->name, sizeof signal->name, "check on %.22s", lane->checked_on);
    }
    pthread_mutex_unlock(&engine->lock);
}

/* Runs that may take ACCESS EXCLUSIVE, and checks. */
static bool needs_replicas(const struct agent_op *op)
{
    static const bool runs[] = {
        [AGENT_RUN_DDL] = true,         [AGENT_RUN_REMOVE_SYNC] = true,
        [AGENT_RUN_VALIDATE] = true,    [AGENT_RUN_INDEX_DROP_INVALID] = true,
        [AGENT_RUN_CHECK_CHUNK] = true, [AGENT_RUN_HIDE] = true,
        [AGENT_RUN_PURGE] = true,       [AGENT_RUN_REINDEX] = true,
        [AGENT_RUN_UNDO_DDL] = true,    [AGENT_RUN_PURGE_LEFTOVERS] = true,
        [AGENT_RUN_UNDO_SYNC] = true,   [AGENT_RUN_UNDO_REMOVE] = true,
        [AGENT_RUN_UNHIDE] = true,      [AGENT_RUN_RESTORE] = true,
        [AGENT_RUN_INDEX_DROP] = true,
    };
    return op->kind == AGENT_OP_RUN && (size_t)op->run < sizeof runs / sizeof *runs && runs[op->run];
}

static void carry_out(struct lane *lane, const struct agent_op *op, struct agent_result *result)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct pgsql_session *s = &lane->session;
    int64_t begun_ms = pgsql_now_ms();
    s->gave_up = false;
    s->timed_out = false;
    s->deadline_ms = begun_ms + 2 * (int64_t)s->target->connect_timeout_ms;
    enum zdm_code code = have_session(lane, op, &err);
    if (code == ZDM_OK) {
        struct pgsql_work work = {
            .s = s, .replicas = &lane->replicas, .op = op, .result = result, .memory = &lane->memory};
        if (needs_replicas(op)) {
            int64_t opening_ms = pgsql_now_ms();
            pgsql_replicas_open(&work);
            work.waited_ms = pgsql_now_ms() - opening_ms;
        }
        /* Opening a session does not count against an attempt of the short class. */
        s->deadline_ms = op->time_limit_ms == 0 ? INT64_MAX : pgsql_now_ms() + op->time_limit_ms;
        refresh_memory(lane, op);
        code = pgsql_perform(&work, &err);
        begun_ms += work.waited_ms;
        if (op->kind == AGENT_OP_RUN && op->run == AGENT_RUN_CHECK_CHUNK) {
            note_check(lane, &work);
        } else if (code == ZDM_OK && op->kind == AGENT_OP_SIGNALS) {
            show_checks(lane->engine, result);
        }
        if (code != ZDM_OK) {
            pgsql_walk_forget(&lane->memory); /* the table may not be any more what it was */
        }
        s->deadline_ms = pgsql_now_ms() + PGSQL_GRACE_MS; /* for the ROLLBACK, whatever is left of it */
        pgsql_rollback(s);
        result->connected = pgsql_is_open(s);
    }
    if (code == ZDM_OK && op->kind == AGENT_OP_CONNECT) {
        note_connected(lane);
    }
    if (code != ZDM_OK) {
        result->error = err;
        result->outcome = pgsql_outcome(code);
        if (result->outcome == AGENT_LOCK && result->blocker[0] == '\0') {
            zdm_copy_text(result->blocker, sizeof result->blocker, err.message);
        }
    } else if (result->outcome == 0) {
        result->outcome = AGENT_OK;
    }
    result->elapsed_ms = (uint32_t)(pgsql_now_ms() - begun_ms);
}

static struct pgsql_job *take(struct lane *lane)
{
    struct engine *engine = lane->engine;
    uint64_t drained;
    pthread_mutex_lock(&engine->lock);
    while (lane->first == NULL && !engine->closing) {
        pthread_cond_wait(&lane->ready, &engine->lock);
    }
    struct pgsql_job *job = lane->first;
    if (job != NULL) {
        lane->first = job->next;
        lane->last = lane->first == NULL ? NULL : lane->last;
        lane->waiting--;
        lane->running = job;
        job->cancelled = job->cancelled || engine->closing;
        while (read(lane->wake_fd, &drained, sizeof drained) > 0) {
        }
        atomic_store(&lane->give_up, false);
    }
    pthread_mutex_unlock(&engine->lock);
    return job;
}

static void deliver(struct lane *lane, struct pgsql_job *job, struct agent_result *result)
{
    pthread_mutex_lock(&lane->engine->lock);
    lane->running = NULL;
    pthread_mutex_unlock(&lane->engine->lock);
    pgsql_job_free(job);
    lane->engine->sink.op_done(lane->engine->sink.ctx, result);
}

static void *lane_main(void *arg)
{
    struct lane *lane = arg;
    for (struct pgsql_job *job = take(lane); job != NULL; job = take(lane)) {
        struct agent_result *result = job->result;
        if (job->cancelled) {
            zdm_error_set(&result->error, ZDM_CANCELLED, "cancelled");
            result->outcome = AGENT_RETRY;
        } else {
            carry_out(lane, &job->op, result);
        }
        deliver(lane, job, result);
    }
    pgsql_memory_forget(&lane->memory);
    pgsql_close(&lane->session);
    pgsql_replicas_close(&lane->replicas);
    return NULL;
}

/* Called with the lock held. */
static enum zdm_code begin_lane(struct lane *lane, struct zdm_error *err)
{
    if (lane->started) {
        return ZDM_OK;
    }
    lane->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (lane->wake_fd < 0) {
        return zdm_error_system(err, ZDM_FULL, errno, "could not make an event descriptor");
    }
    lane->session.target = &lane->engine->target;
    lane->session.wake_fd = lane->wake_fd;
    lane->session.give_up = &lane->give_up;
    pgsql_replicas_init(&lane->replicas, lane->engine->replicas, lane->engine->n_replicas, lane->wake_fd,
                        &lane->give_up);
    int failed = pthread_create(&lane->thread, NULL, lane_main, lane);
    if (failed != 0) {
        close(lane->wake_fd);
        return zdm_error_system(err, ZDM_FULL, failed, "could not start a thread");
    }
    lane->started = true;
    return ZDM_OK;
}

static enum zdm_code enqueue(struct lane *lane, struct pgsql_job *job, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    pthread_mutex_lock(&lane->engine->lock);
    if (lane->engine->closing) {
        code = zdm_error_set(err, ZDM_CLOSED, "the engine is closing");
    } else if (lane->waiting == QUEUE_MAX) {
        code = zdm_error_set(err, ZDM_FULL, "lane %u has %d operations waiting", lane->number, QUEUE_MAX);
    } else {
        code = begin_lane(lane, err);
    }
    if (code == ZDM_OK) {
        *(lane->last == NULL ? &lane->first : &lane->last->next) = job;
        lane->last = job;
        lane->waiting++;
        pthread_cond_signal(&lane->ready);
    }
    pthread_mutex_unlock(&lane->engine->lock);
    return code;
}

static enum zdm_code start(void *self, const struct agent_op *op, struct zdm_error *err)
{
    struct engine *engine = self;
    if (op->lane >= LANES_MAX) {
        return zdm_error_set(err, ZDM_LIMIT, "there is no lane %u", op->lane);
    }
    struct pgsql_job *job = pgsql_job_new(op);
    if (job == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    enum zdm_code code = enqueue(&engine->lanes[op->lane], job, err);
    if (code != ZDM_OK) {
        free(job->result);
        pgsql_job_free(job);
    }
    return code;
}

/* Called with the lock held. */
static void give_up(struct lane *lane)
{
    uint64_t one = 1;
    atomic_store(&lane->give_up, true);
    if (write(lane->wake_fd, &one, sizeof one) < 0) {
        return; /* the counter is full: it is readable already */
    }
}

static void cancel(void *self, uint64_t op)
{
    struct engine *engine = self;
    pthread_mutex_lock(&engine->lock);
    for (size_t i = 0; i < LANES_MAX; i++) {
        struct lane *lane = &engine->lanes[i];
        if (lane->running != NULL && lane->running->op.id == op) {
            give_up(lane);
        }
        for (struct pgsql_job *job = lane->first; job != NULL; job = job->next) {
            job->cancelled = job->cancelled || job->op.id == op;
        }
    }
    pthread_mutex_unlock(&engine->lock);
}

static void target_fini(struct pgsql_target *target)
{
    free(target->dsn);
    free(target->application_name);
    free(target->owner);
}

static bool target_fill(struct pgsql_target *target, const char *dsn, const char *name, uint32_t timeout_ms)
{
    target->connect_timeout_ms = timeout_ms;
    target->dsn = zdm_strdup(dsn);
    target->application_name = zdm_strdup(name == NULL ? "zdm-agent" : name);
    return target->dsn != NULL && target->application_name != NULL;
}

static void engine_free(struct engine *engine)
{
    for (size_t i = 0; i < LANES_MAX; i++) {
        pthread_cond_destroy(&engine->lanes[i].ready);
    }
    pthread_mutex_destroy(&engine->lock);
    target_fini(&engine->target);
    for (size_t i = 0; i < engine->n_replicas; i++) {
        target_fini(&engine->replicas[i]);
    }
    free(engine);
}

static void close_engine(void *self)
{
    struct engine *engine = self;
    pthread_mutex_lock(&engine->lock);
    engine->closing = true;
    for (size_t i = 0; i < LANES_MAX; i++) {
        if (engine->lanes[i].running != NULL) {
            give_up(&engine->lanes[i]);
        }
        pthread_cond_signal(&engine->lanes[i].ready);
    }
    pthread_mutex_unlock(&engine->lock);
    for (size_t i = 0; i < LANES_MAX; i++) {
        if (engine->lanes[i].started) {
            pthread_join(engine->lanes[i].thread, NULL);
            close(engine->lanes[i].wake_fd);
        }
    }
    engine_free(engine);
}

static const struct agent_engine_ops postgresql_ops = {
    .name = "postgresql", .start = start, .cancel = cancel, .close = close_engine};

static enum zdm_code check_targets(const struct agent_engine_config *config, struct zdm_error *err)
{
    enum zdm_code code = pgsql_check_dsn(config->dsn, err);
    if (code == ZDM_OK && config->n_replicas > AGENT_REPLICAS_MAX) {
        return zdm_error_set(err, ZDM_LIMIT, "%zu replicas are too many; %d can be looked at", config->n_replicas,
                             AGENT_REPLICAS_MAX);
    }
    for (size_t i = 0; code == ZDM_OK && i < config->n_replicas; i++) {
        code = pgsql_check_dsn(config->replicas[i], err);
        if (code != ZDM_OK) {
            zdm_error_wrap(err, "replica %zu", i + 1);
        }
    }
    return code;
}

static bool fill_targets(struct engine *engine, const struct agent_engine_config *config)
{
    uint32_t timeout_ms = config->connect_timeout_ms == 0 ? CONNECT_TIMEOUT_MS : config->connect_timeout_ms;
    uint32_t replica_ms = timeout_ms < REPLICA_CONNECT_TIMEOUT_MS ? timeout_ms : REPLICA_CONNECT_TIMEOUT_MS;
    bool ok = target_fill(&engine->target, config->dsn, config->application_name, timeout_ms);
    if (config->owner != NULL && config->owner[0] != '\0') {
        engine->target.owner = zdm_strdup(config->owner);
        ok = ok && engine->target.owner != NULL;
    }
    for (size_t i = 0; ok && i < config->n_replicas; i++) {
        engine->n_replicas = i + 1;
        ok = target_fill(&engine->replicas[i], config->replicas[i], config->application_name, replica_ms);
    }
    return ok;
}

enum zdm_code agent_postgresql_open(const struct agent_engine_config *config, struct agent_engine *out_engine,
                                    struct zdm_error *err)
{
    enum zdm_code code = check_targets(config, err);
    if (code != ZDM_OK) {
        return code;
    }
    struct engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    pthread_mutex_init(&engine->lock, NULL);
    for (unsigned i = 0; i < LANES_MAX; i++) {
        engine->lanes[i].engine = engine;
        engine->lanes[i].number = i;
        pthread_cond_init(&engine->lanes[i].ready, NULL);
    }
    engine->sink = config->sink;
    if (!fill_targets(engine, config)) {
        engine_free(engine);
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    *out_engine = (struct agent_engine){.ops = &postgresql_ops, .self = engine};
    return ZDM_OK;
}
