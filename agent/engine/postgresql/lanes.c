/*
 * lanes.c - PostgreSQL behind the lanes that all engines share (agent/engine/lanes.h): what a lane has of its own, and
 * how an operation is carried out on it.
 */
#include "agent/engine/lanes.h"

#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/perform.h"
#include "agent/engine/postgresql/session/replica.h"
#include "common/base/limits.h"

enum { CONNECT_TIMEOUT_MS = 5000, REPLICA_CONNECT_TIMEOUT_MS = 2000 };

struct lane {
    struct pgsql_session session;
    struct pgsql_memory memory;
    struct pgsql_replicas replicas;
};

struct engine {
    struct pgsql_target target;
    struct pgsql_target replicas[AGENT_REPLICAS_MAX];
    size_t n_replicas;
};

static void *lane_new(void *self, int wake_fd, atomic_bool *give_up)
{
    struct engine *engine = self;
    struct lane *lane = calloc(1, sizeof *lane);
    if (lane != NULL) {
        lane->session.target = &engine->target;
        lane->session.wake_fd = wake_fd;
        lane->session.give_up = give_up;
        pgsql_replicas_init(&lane->replicas, engine->replicas, engine->n_replicas, wake_fd, give_up);
    }
    return lane;
}

static void lane_free(void *self)
{
    struct lane *lane = self;
    pgsql_memory_forget(&lane->memory);
    pgsql_close(&lane->session);
    pgsql_replicas_close(&lane->replicas);
    free(lane);
}

static void begin(struct pgsql_session *s)
{
    s->gave_up = false;
    s->timed_out = false;
}

static enum zdm_code open_lane(void *self, struct zdm_error *err)
{
    struct pgsql_session *s = &((struct lane *)self)->session;
    begin(s);
    s->deadline_ms = pgsql_now_ms() + 2 * (int64_t)s->target->connect_timeout_ms;
    return pgsql_open(s, err);
}

static bool lane_is_open(void *self)
{
    return pgsql_is_open(&((struct lane *)self)->session);
}

static void close_lane(void *self)
{
    pgsql_close(&((struct lane *)self)->session);
}

static const char *lane_identity(void *self)
{
    return ((struct lane *)self)->session.identity;
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

static enum zdm_code perform(void *self, const struct agent_op *op, struct agent_result *result,
                             struct agent_lane_note *note, struct zdm_error *err)
{
    struct lane *lane = self;
    struct pgsql_session *s = &lane->session;
    struct pgsql_work work = {.s = s, .replicas = &lane->replicas, .op = op, .result = result, .memory = &lane->memory};
    begin(s);
    if (needs_replicas(op)) {
        int64_t opening_ms = pgsql_now_ms();
        pgsql_replicas_open(&work);
        work.waited_ms = pgsql_now_ms() - opening_ms;
    }
    /* Opening a session does not count against an attempt of the short class. */
    s->deadline_ms = op->time_limit_ms == 0 ? INT64_MAX : pgsql_now_ms() + op->time_limit_ms;
    if (!agent_lane_is_scope(&lane->memory.scope, op, s->opened)) {
        pgsql_memory_forget(&lane->memory);
        lane->memory.scope = agent_lane_scope_of(op, s->opened);
    }
    enum zdm_code code = pgsql_perform(&work, err);
    if (code != ZDM_OK) {
        pgsql_walk_forget(&lane->memory); /* the table may not be any more what it was */
    }
    s->deadline_ms = pgsql_now_ms() + PGSQL_GRACE_MS; /* for the ROLLBACK, whatever is left of it */
    pgsql_rollback(s);
    note->waited_ms = work.waited_ms;
    zdm_copy_text(note->checked_on, sizeof note->checked_on, work.checked_on);
    return code;
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

static void engine_free(void *self)
{
    struct engine *engine = self;
    target_fini(&engine->target);
    for (size_t i = 0; i < engine->n_replicas; i++) {
        target_fini(&engine->replicas[i]);
    }
    free(engine);
}

static const struct agent_lane_ops postgresql_lanes = {.name = "postgresql",
                                                       .engine = ZDM_ENGINE_POSTGRESQL,
                                                       .lane_new = lane_new,
                                                       .lane_free = lane_free,
                                                       .open = open_lane,
                                                       .is_open = lane_is_open,
                                                       .close = close_lane,
                                                       .identity = lane_identity,
                                                       .perform = perform,
                                                       .engine_free = engine_free};

static enum zdm_code check_targets(const struct agent_engine_config *config, struct zdm_error *err)
{
    enum zdm_code code = agent_postgresql_check_dsn(config->dsn, err);
    if (code == ZDM_OK && config->n_replicas > AGENT_REPLICAS_MAX) {
        return zdm_error_set(err, ZDM_LIMIT, "%zu replicas are too many; %d can be looked at", config->n_replicas,
                             AGENT_REPLICAS_MAX);
    }
    for (size_t i = 0; code == ZDM_OK && i < config->n_replicas; i++) {
        code = agent_postgresql_check_dsn(config->replicas[i], err);
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
    if (!fill_targets(engine, config)) {
        engine_free(engine);
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    return agent_lanes_open(&postgresql_lanes, engine, &config->sink, out_engine, err);
}
