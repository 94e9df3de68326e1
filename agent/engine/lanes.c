/*
 * lanes.c - see lanes.h.
 *
 * Threads: `lock` guards queues, flags, the known identity and what checks say; a lane's session is touched by its
 * thread only. cancel sets the running operation's flag and wakes the thread out of poll.
 */
#include "agent/engine/lanes.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "agent/engine/job.h"
#include "common/base/buffer.h"

enum {
    LANES_MAX = AGENT_LANE_SURVEY + 1,
    QUEUE_MAX = 8, /* operations waiting in one lane */
    CHECK_SHOWN_MS = 5000
};

struct lanes;

struct lane {
    struct lanes *lanes;
    unsigned number;
    bool started;
    pthread_t thread;
    pthread_cond_t ready;
    struct agent_job *first, *last, *running;
    unsigned waiting;
    int wake_fd;
    atomic_bool give_up;
    uint64_t seen_connects;                  /* the CONNECT that the session belongs to */
    void *own;                               /* of the engine */
    char checked_on[AGENT_LANE_CHECKED_MAX]; /* the replica of the check that ran last, and when; guarded by the lock */
    int64_t checked_ms;
};

struct lanes {
    const struct agent_lane_ops *ops;
    void *engine;
    struct agent_engine_ops seam;
    struct agent_engine_sink sink;
    pthread_mutex_t lock;
    bool closing;
    uint64_t connects; /* CONNECTs that succeeded */
    char identity[64]; /* seen by the last of them */
    struct lane each[LANES_MAX];
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct agent_lane_scope agent_lane_scope_of(const struct agent_op *op, uint64_t opened)
{
    if (op->plan == NULL) {
        return (struct agent_lane_scope){.step = 0};
    }
    return (struct agent_lane_scope){.plan_hash = op->plan->hash, .step = op->step, .opened = opened};
}

bool agent_lane_is_scope(const struct agent_lane_scope *scope, const struct agent_op *op, uint64_t opened)
{
    return op->plan != NULL && scope->step == op->step && scope->opened == opened &&
           zdm_hash_equal(&scope->plan_hash, &op->plan->hash);
}

/* The session that the operation needs: CONNECT opens anew, others only to the server that CONNECT saw. */
static enum zdm_code have_session(struct lane *lane, const struct agent_op *op, struct zdm_error *err)
{
    struct lanes *lanes = lane->lanes;
    const struct agent_lane_ops *ops = lanes->ops;
    char identity[sizeof lanes->identity];
    pthread_mutex_lock(&lanes->lock);
    uint64_t connects = lanes->connects;
    memcpy(identity, lanes->identity, sizeof identity);
    pthread_mutex_unlock(&lanes->lock);
    if (op->kind == AGENT_OP_CONNECT) {
        return ops->open(lane->own, err);
    }
    if (connects == 0) {
        return zdm_error_set(err, ZDM_UNAVAILABLE, "the database is not connected");
    }
    if (ops->is_open(lane->own) && lane->seen_connects == connects) {
        return ZDM_OK;
    }
    enum zdm_code code = ops->open(lane->own, err);
    if (code == ZDM_OK && strcmp(ops->identity(lane->own), identity) != 0) {
        ops->close(lane->own);
        return zdm_error_set(err, ZDM_UNAVAILABLE, "the database was restarted or is another one; connect anew");
    }
    lane->seen_connects = connects;
    return code;
}

static void note_connected(struct lane *lane)
{
    struct lanes *lanes = lane->lanes;
    pthread_mutex_lock(&lanes->lock);
    lanes->connects++;
    zdm_copy_text(lanes->identity, sizeof lanes->identity, lanes->ops->identity(lane->own));
    lane->seen_connects = lanes->connects;
    pthread_mutex_unlock(&lanes->lock);
}

/* A check that runs on a replica is seen as a signal: "check on b2". What had nothing to look at ran nowhere. */
static void note_check(struct lane *lane, const struct agent_lane_note *note, const struct agent_result *result)
{
    if (note->checked_on[0] == '\0' && result->rows_walked == 0) {
        return;
    }
    pthread_mutex_lock(&lane->lanes->lock);
    zdm_copy_text(lane->checked_on, sizeof lane->checked_on, note->checked_on);
    lane->checked_ms = now_ms();
    pthread_mutex_unlock(&lane->lanes->lock);
}

static void show_checks(struct lanes *lanes, struct agent_result *result)
{
    pthread_mutex_lock(&lanes->lock);
    for (size_t i = 0; i < LANES_MAX && result->n_signals < ZDM_SIGNALS_MAX; i++) {
        const struct lane *lane = &lanes->each[i];
        if (lane->checked_on[0] == '\0' || now_ms() - lane->checked_ms > CHECK_SHOWN_MS) {
            continue;
        }
        struct zdm_signal *signal = &result->signals[result->n_signals++];
        *signal = (struct zdm_signal){.state = ZDM_SIGNAL_OK};
        (void)snprintf(signal->name, sizeof signal->name, "check on %.22s", lane->checked_on);
    }
    pthread_mutex_unlock(&lanes->lock);
}

static void put_outcome(struct agent_result *result, enum zdm_code code, const struct zdm_error *err)
{
    if (code == ZDM_OK) {
        result->outcome = result->outcome == 0 ? AGENT_OK : result->outcome;
        return;
    }
    result->error = *err;
    result->outcome = agent_outcome_of(code);
    if (result->outcome == AGENT_LOCK && result->blocker[0] == '\0') {
        zdm_copy_text(result->blocker, sizeof result->blocker, err->message);
    }
}

static void carry_out(struct lane *lane, const struct agent_op *op, struct agent_result *result)
{
    const struct agent_lane_ops *ops = lane->lanes->ops;
    struct zdm_error err = ZDM_ERROR_INIT;
    struct agent_lane_note note = {.waited_ms = 0};
    int64_t begun_ms = now_ms();
    enum zdm_code code = have_session(lane, op, &err);
    if (code == ZDM_OK) {
        code = ops->perform(lane->own, op, result, &note, &err);
        if (op->kind == AGENT_OP_RUN && op->run == AGENT_RUN_CHECK_CHUNK) {
            note_check(lane, &note, result);
        } else if (code == ZDM_OK && op->kind == AGENT_OP_SIGNALS) {
            show_checks(lane->lanes, result);
        }
        result->connected = ops->is_open(lane->own);
    }
    if (code == ZDM_OK && op->kind == AGENT_OP_CONNECT) {
        note_connected(lane);
    }
    put_outcome(result, code, &err);
    result->elapsed_ms = (uint32_t)(now_ms() - begun_ms - note.waited_ms);
}

static struct agent_job *take(struct lane *lane)
{
    struct lanes *lanes = lane->lanes;
    uint64_t drained;
    pthread_mutex_lock(&lanes->lock);
    while (lane->first == NULL && !lanes->closing) {
        pthread_cond_wait(&lane->ready, &lanes->lock);
    }
    struct agent_job *job = lane->first;
    if (job != NULL) {
        lane->first = job->next;
        lane->last = lane->first == NULL ? NULL : lane->last;
        lane->waiting--;
        lane->running = job;
        job->cancelled = job->cancelled || lanes->closing;
        while (read(lane->wake_fd, &drained, sizeof drained) > 0) {
        }
        atomic_store(&lane->give_up, false);
    }
    pthread_mutex_unlock(&lanes->lock);
    return job;
}

static void deliver(struct lane *lane, struct agent_job *job, struct agent_result *result)
{
    pthread_mutex_lock(&lane->lanes->lock);
    lane->running = NULL;
    pthread_mutex_unlock(&lane->lanes->lock);
    agent_job_free(job);
    lane->lanes->sink.op_done(lane->lanes->sink.ctx, result);
}

static void *lane_main(void *arg)
{
    struct lane *lane = arg;
    for (struct agent_job *job = take(lane); job != NULL; job = take(lane)) {
        struct agent_result *result = job->result;
        if (job->cancelled) {
            zdm_error_set(&result->error, ZDM_CANCELLED, "cancelled");
            result->outcome = AGENT_RETRY;
        } else {
            carry_out(lane, &job->op, result);
        }
        deliver(lane, job, result);
    }
    lane->lanes->ops->lane_free(lane->own);
    return NULL;
}

/* Called with the lock held. */
static enum zdm_code begin_lane(struct lane *lane, struct zdm_error *err)
{
    const struct agent_lane_ops *ops = lane->lanes->ops;
    if (lane->started) {
        return ZDM_OK;
    }
    lane->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (lane->wake_fd < 0) {
        return zdm_error_system(err, ZDM_FULL, errno, "could not make an event descriptor");
    }
    lane->own = ops->lane_new(lane->lanes->engine, lane->wake_fd, &lane->give_up);
    if (lane->own == NULL) {
        close(lane->wake_fd);
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    int failed = pthread_create(&lane->thread, NULL, lane_main, lane);
    if (failed != 0) {
        ops->lane_free(lane->own);
        close(lane->wake_fd);
        return zdm_error_system(err, ZDM_FULL, failed, "could not start a thread");
    }
    lane->started = true;
    return ZDM_OK;
}

static enum zdm_code enqueue(struct lane *lane, struct agent_job *job, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    pthread_mutex_lock(&lane->lanes->lock);
    if (lane->lanes->closing) {
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
    pthread_mutex_unlock(&lane->lanes->lock);
    return code;
}

static enum zdm_code start(void *self, const struct agent_op *op, struct zdm_error *err)
{
    struct lanes *lanes = self;
    if (op->lane >= LANES_MAX) {
        return zdm_error_set(err, ZDM_LIMIT, "there is no lane %u", op->lane);
    }
    struct agent_job *job = agent_job_new(op, lanes->ops->engine);
    if (job == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    enum zdm_code code = enqueue(&lanes->each[op->lane], job, err);
    if (code != ZDM_OK) {
        free(job->result);
        agent_job_free(job);
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
    struct lanes *lanes = self;
    pthread_mutex_lock(&lanes->lock);
    for (size_t i = 0; i < LANES_MAX; i++) {
        struct lane *lane = &lanes->each[i];
        if (lane->running != NULL && lane->running->op.id == op) {
            give_up(lane);
        }
        for (struct agent_job *job = lane->first; job != NULL; job = job->next) {
            job->cancelled = job->cancelled || job->op.id == op;
        }
    }
    pthread_mutex_unlock(&lanes->lock);
}

static void lanes_free(struct lanes *lanes)
{
    for (size_t i = 0; i < LANES_MAX; i++) {
        pthread_cond_destroy(&lanes->each[i].ready);
    }
    pthread_mutex_destroy(&lanes->lock);
    lanes->ops->engine_free(lanes->engine);
    free(lanes);
}

static void close_all(void *self)
{
    struct lanes *lanes = self;
    pthread_mutex_lock(&lanes->lock);
    lanes->closing = true;
    for (size_t i = 0; i < LANES_MAX; i++) {
        if (lanes->each[i].running != NULL) {
            give_up(&lanes->each[i]);
        }
        pthread_cond_signal(&lanes->each[i].ready);
    }
    pthread_mutex_unlock(&lanes->lock);
    for (size_t i = 0; i < LANES_MAX; i++) {
        if (lanes->each[i].started) {
            pthread_join(lanes->each[i].thread, NULL);
            close(lanes->each[i].wake_fd);
        }
    }
    lanes_free(lanes);
}

enum zdm_code agent_lanes_open(const struct agent_lane_ops *ops, void *engine, const struct agent_engine_sink *sink,
                               struct agent_engine *out_engine, struct zdm_error *err)
{
    struct lanes *lanes = calloc(1, sizeof *lanes);
    if (lanes == NULL) {
        ops->engine_free(engine);
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    lanes->ops = ops;
    lanes->engine = engine;
    lanes->sink = *sink;
    lanes->seam = (struct agent_engine_ops){.name = ops->name, .start = start, .cancel = cancel, .close = close_all};
    pthread_mutex_init(&lanes->lock, NULL);
    for (unsigned i = 0; i < LANES_MAX; i++) {
        lanes->each[i].lanes = lanes;
        lanes->each[i].number = i;
        pthread_cond_init(&lanes->each[i].ready, NULL);
    }
    *out_engine = (struct agent_engine){.ops = &lanes->seam, .self = lanes};
    return ZDM_OK;
}
