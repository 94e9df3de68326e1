/*
 * wait.c - a wait fence: a gate inside a phase that opens when some time has passed on the shard, or a query says so.
 */
#include "common/runbook/mysql/mysql.h"
#include "common/runbook/postgresql/tree.h"

#include <stdlib.h>
#include <string.h>

static const int64_t every_default_ms = 30000, every_min_ms = 1000;

struct wait {
    struct rb_phase *phase;
    struct rb_fence *fence;
    struct zdm_wait_gate gate; /* until: memory of the compilation */
    const char *until;         /* as written */
    struct rb_place every_at, timeout_at;
};

static void read_until(struct rb_statement *s, void *ctx)
{
    const char **out = ctx;
    struct rb *rb = s->rb;
    rb_qualify_types(s, &s->node->base);
    if (s->node->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
        rb_error(rb, "wait-until", rb_at_start(s), "Write SELECT condition: its first value must become true.",
                 "until is one SELECT");
    else if (*out != NULL)
        rb_error(rb, "wait-until", rb_at_start(s), "Join the conditions with AND.", "until is one SELECT");
    else
        *out = rb_check_sql(s);
}

/* Reads the query as the text of a fence of its own, so that errors stand where it stands: places are counted from the
 * end of the line, where a quoted value has its quote. */
static void set_until(struct rb *rb, struct wait *wait, const char *value, struct rb_place at)
{
    struct rb_fence *fence = rb_alloc(rb, sizeof *fence);
    size_t errors = rb->n_errors;
    const char *sql = NULL;
    size_t n;
    const char *line = rb_line(rb, at.line, &n);
    bool is_quoted = n > 0 && (line[n - 1] == '"' || line[n - 1] == '\'');
    *fence = *wait->fence;
    fence->line = at.line;
    fence->at = at;
    fence->text = is_quoted ? rb_format(rb, "%s ", value) : value;
    wait->until = value;
    if (rb->engine == ZDM_ENGINE_MYSQL)
        sql = rb_mysql_query(rb, wait->phase, fence, "wait-until");
    else if (rb_sql_each(rb, wait->phase, fence, read_until, &sql) == 0 && errors == rb->n_errors)
        rb_error(rb, "wait-until", at, "Write SELECT condition: its first value must become true.",
                 "until is one SELECT");
    wait->gate.until = (char *)(uintptr_t)sql;
}

static void set_duration(struct rb *rb, const char *key, const char *value, struct rb_place at, int64_t least,
                         int64_t *out)
{
    if (!rb_duration(value, out))
        rb_error(rb, "duration", at, "Write a number with its unit: 30s, 10m, 24h, 3d (at most 366d).",
                 "%s: \"%s\" is no duration", key, value);
    else if (*out < least)
        rb_error(rb, "duration", at, "Write 1s or more.", "%s: \"%s\" is too short", key, value);
}

static void on_key(struct rb *rb, struct rb_yaml *yaml, const char *key, struct rb_place at, void *ctx)
{
    static const char *const keys[] = {"for", "until", "every", "timeout", NULL};
    struct wait *wait = ctx;
    struct rb_place value_at;
    size_t i = 0;
    while (keys[i] != NULL && strcmp(keys[i], key) != 0)
        i++;
    if (keys[i] == NULL) {
        const char *near = rb_nearest(key, keys);
        rb_error(rb, "wait-key", at,
                 near != NULL ? rb_format(rb, "Did you mean %s?", near) : "The keys are for, until, every and timeout.",
                 "a wait has no key \"%s\"", key);
        return;
    }
    const char *value = rb_yaml_scalar(rb, yaml, "one value", &value_at);
    if (value == NULL)
        return;
    if (i == 1) {
        set_until(rb, wait, value, value_at);
    } else if (i == 0) {
        set_duration(rb, key, value, value_at, 1, &wait->gate.for_ms);
    } else if (i == 2) {
        wait->every_at = at;
        set_duration(rb, key, value, value_at, every_min_ms, &wait->gate.every_ms);
    } else {
        wait->timeout_at = at;
        set_duration(rb, key, value, value_at, every_min_ms, &wait->gate.limit_ms);
    }
}

static void judge(struct rb *rb, struct wait *wait)
{
    struct zdm_wait_gate *gate = &wait->gate;
    if (gate->for_ms == 0 && wait->until == NULL)
        rb_error(rb, "wait-empty", wait->fence->at, "Write for: 30m, or until: SELECT …, or both.",
                 "the wait does not say for what");
    else if (wait->until == NULL && (gate->every_ms > 0 || gate->limit_ms > 0))
        rb_error(rb, "wait-unused", gate->every_ms > 0 ? wait->every_at : wait->timeout_at,
                 "Add until: SELECT …, or leave it out.", "every and timeout are about until, and there is none");
    if (gate->limit_ms > 0 && gate->limit_ms <= gate->for_ms)
        rb_error(rb, "wait-timeout", wait->timeout_at, "Let timeout be longer than for: both count from the start.",
                 "the wait fails before it may end");
    if (wait->until != NULL && gate->every_ms == 0)
        gate->every_ms = every_default_ms;
}

static void add_gate(struct rb *rb, const struct wait *wait)
{
    struct rb_step *step =
        rb_step_add(rb, wait->phase, wait->fence, ZDM_STEP_GATE, ZDM_ACTION_GATE_WAIT, ZDM_LOCK_NONE);
    step->step.wait = rb_heap(sizeof *step->step.wait);
    *step->step.wait = wait->gate;
    step->step.wait->until = rb_dup(wait->gate.until);
    step->note.line = wait->fence->at.line;
    step->note.column = wait->fence->at.column;
    free(step->note.source);
    step->note.source = rb_dup(wait->fence->text);
    free(step->note.lock);
    step->note.lock = rb_dup("none");
    rb_step_does(step, "wait on each shard, by its own clock");
}

void rb_wait_compile(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence)
{
    struct wait wait = {.phase = phase, .fence = fence};
    size_t errors = rb->n_errors;
    if (!rb_yaml_read(rb, fence->text, strlen(fence->text), fence, 0, on_key, &wait))
        return;
    if (errors == rb->n_errors)
        judge(rb, &wait);
    if (errors == rb->n_errors)
        add_gate(rb, &wait);
}
