/*
 * lanes.c - MySQL and MariaDB behind the lanes that all engines share (agent/engine/lanes.h): what a lane has of its
 * own, and how an operation is carried out on it.
 */
#include "agent/engine/lanes.h"

#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/session/dsn.h"
#include "agent/engine/mysql/session/replica.h"

enum { CONNECT_TIMEOUT_MS = 5000, REPLICA_CONNECT_TIMEOUT_MS = 2000 };

struct lane {
    struct mydb_session session;
    struct mydb_memory memory;
    struct mydb_replicas replicas;
};

struct engine {
    struct mydb_target target;
    struct mydb_target replicas[AGENT_REPLICAS_MAX];
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
        mydb_replicas_init(&lane->replicas, engine->replicas, engine->n_replicas, wake_fd, give_up);
    }
    return lane;
}

static void lane_free(void *self)
{
    struct lane *lane = self;
    mydb_memory_forget(&lane->memory);
    mydb_close(&lane->session);
    mydb_replicas_close(&lane->replicas);
    free(lane);
}

static void begin(struct mydb_session *s)
{
    s->gave_up = false;
    s->timed_out = false;
}

static enum zdm_code open_lane(void *self, struct zdm_error *err)
{
    struct mydb_session *s = &((struct lane *)self)->session;
    begin(s);
    s->deadline_ms = mydb_now_ms() + 2 * (int64_t)s->target->connect_timeout_ms;
    return mydb_open(s, err);
}

static bool lane_is_open(void *self)
{
    return mydb_is_open(&((struct lane *)self)->session);
}

static void close_lane(void *self)
{
    mydb_close(&((struct lane *)self)->session);
}

static const char *lane_identity(void *self)
{
    return ((struct lane *)self)->session.identity;
}

/* All but what is done in the journal alone. */
static bool needs_replicas(const struct agent_op *op)
{
    static const bool runs[] = {
        [AGENT_RUN_DDL] = true,
        [AGENT_RUN_INSTALL_SYNC] = true,
        [AGENT_RUN_REMOVE_SYNC] = true,
        [AGENT_RUN_VALIDATE] = true,
        [AGENT_RUN_INDEX_BUILD] = true,
        [AGENT_RUN_CHECK_CHUNK] = true,
        [AGENT_RUN_HIDE] = true,
        [AGENT_RUN_PURGE] = true,
        [AGENT_RUN_LONG_SQL] = true,
        [AGENT_RUN_PURGE_LEFTOVERS] = true,
        [AGENT_RUN_UNDO_DDL] = true,
        [AGENT_RUN_UNDO_SYNC] = true,
        [AGENT_RUN_UNDO_REMOVE] = true,
        [AGENT_RUN_UNHIDE] = true,
        [AGENT_RUN_RESTORE] = true,
        [AGENT_RUN_INDEX_DROP] = true,
        [AGENT_RUN_INDEX_DROP_INVALID] = true,
    };
    return op->kind == AGENT_OP_SURVEY ||
           (op->kind == AGENT_OP_RUN && (size_t)op->run < sizeof runs / sizeof *runs && runs[op->run]);
}

static enum zdm_code perform(void *self, const struct agent_op *op, struct agent_result *result,
                             struct agent_lane_note *note, struct zdm_error *err)
{
    struct lane *lane = self;
    struct mydb_session *s = &lane->session;
    struct mydb_work work = {.s = s, .replicas = &lane->replicas, .op = op, .result = result, .memory = &lane->memory};
    begin(s);
    if (needs_replicas(op)) {
        int64_t opening_ms = mydb_now_ms();
        s->deadline_ms = opening_ms + s->target->connect_timeout_ms;
        mydb_replicas_open(&work);
        work.waited_ms = mydb_now_ms() - opening_ms;
        begin(s);
    }
    /* Opening a session does not count against an attempt of the short class. */
    s->deadline_ms = op->time_limit_ms == 0 ? INT64_MAX : mydb_now_ms() + op->time_limit_ms;
    if (!agent_lane_is_scope(&lane->memory.scope, op, s->opened)) {
        mydb_memory_forget(&lane->memory);
        lane->memory.scope = agent_lane_scope_of(op, s->opened);
    }
    enum zdm_code code = mydb_perform(&work, err);
    if (code != ZDM_OK) {
        mydb_walk_forget(&lane->memory); /* the table may not be any more what it was */
    }
    s->deadline_ms = mydb_now_ms() + MYDB_GRACE_MS; /* for the ROLLBACK, whatever is left of it */
    mydb_rollback(s);
    free(work.made);
    note->waited_ms = work.waited_ms;
    zdm_copy_text(note->checked_on, sizeof note->checked_on, work.checked_on);
    return code;
}

static void engine_free(void *self)
{
    struct engine *engine = self;
    mydb_target_fini(&engine->target);
    for (size_t i = 0; i < engine->n_replicas; i++) {
        mydb_target_fini(&engine->replicas[i]);
    }
    free(engine);
}

static const struct agent_lane_ops mysql_lanes = {.name = "mysql",
                                                  .engine = ZDM_ENGINE_MYSQL,
                                                  .lane_new = lane_new,
                                                  .lane_free = lane_free,
                                                  .open = open_lane,
                                                  .is_open = lane_is_open,
                                                  .close = close_lane,
                                                  .identity = lane_identity,
                                                  .perform = perform,
                                                  .engine_free = engine_free};

static enum zdm_code fill(struct mydb_target *target, const char *dsn, const char *name, uint32_t timeout_ms,
                          struct zdm_error *err)
{
    enum zdm_code code = mydb_target_read(dsn, target, err);
    target->connect_timeout_ms = timeout_ms;
    target->application_name = zdm_strdup(name == NULL ? "zdm-agent" : name);
    return code == ZDM_OK && target->application_name == NULL ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : code;
}

static enum zdm_code fill_all(struct engine *engine, const struct agent_engine_config *config, struct zdm_error *err)
{
    uint32_t timeout_ms = config->connect_timeout_ms == 0 ? CONNECT_TIMEOUT_MS : config->connect_timeout_ms;
    uint32_t replica_ms = timeout_ms < REPLICA_CONNECT_TIMEOUT_MS ? timeout_ms : REPLICA_CONNECT_TIMEOUT_MS;
    if (config->owner != NULL && config->owner[0] != '\0') {
        zdm_error_set(err, ZDM_INVALID, "MySQL's tables have no owner");
        return zdm_error_hint(err, "Leave the setting `owner` out.");
    }
    if (config->n_replicas > AGENT_REPLICAS_MAX) {
        return zdm_error_set(err, ZDM_LIMIT, "%zu replicas are too many; %d can be looked at", config->n_replicas,
                             AGENT_REPLICAS_MAX);
    }
    enum zdm_code code = fill(&engine->target, config->dsn, config->application_name, timeout_ms, err);
    for (size_t i = 0; code == ZDM_OK && i < config->n_replicas; i++) {
        engine->n_replicas = i + 1;
        code = fill(&engine->replicas[i], config->replicas[i], config->application_name, replica_ms, err);
        if (code != ZDM_OK) {
            zdm_error_wrap(err, "replica %zu", i + 1);
        }
    }
    return code;
}

enum zdm_code agent_mysql_check_dsn(const char *dsn, struct zdm_error *err)
{
    struct mydb_target target;
    enum zdm_code code = mydb_target_read(dsn, &target, err);
    mydb_target_fini(&target);
    return code;
}

enum zdm_code agent_mysql_open(const struct agent_engine_config *config, struct agent_engine *out_engine,
                               struct zdm_error *err)
{
    struct engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    enum zdm_code code = fill_all(engine, config, err);
    if (code != ZDM_OK) {
        engine_free(engine);
        return code;
    }
    return agent_lanes_open(&mysql_lanes, engine, &config->sink, out_engine, err);
}
