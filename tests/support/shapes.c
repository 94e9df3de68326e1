/*
 * shapes.c - see shapes.h.
 */
#include "tests/support/shapes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *shape_target(const struct shape *s)
{
    return s->target == NULL ? "target" : s->target;
}

static const char *read_of(const struct shape *s)
{
    return s->read == NULL ? s->source : s->read;
}

/* ---- Statements ---- */

void shape_put_name(struct zdm_buffer *b, const struct rig *r, const char *name)
{
    zdm_buffer_append(b, &r->quote, 1);
    for (; *name != '\0'; name++) {
        zdm_buffer_append(b, name, 1);
        if (*name == r->quote) {
            zdm_buffer_append(b, name, 1);
        }
    }
    zdm_buffer_append(b, &r->quote, 1);
}

static void put_keys(struct zdm_buffer *b, const struct shape *s, const char *before, const char *between)
{
    for (size_t i = 0; i < SHAPES_KEYS && s->key[i] != NULL; i++) {
        zdm_buffer_printf(b, "%s%s%s", i == 0 ? "" : between, before, s->key[i]);
    }
}

static void put_part(struct zdm_buffer *b, const struct rig *r, const struct shape *s, char part)
{
    switch (part) {
    case 't':
        zdm_buffer_puts(b, s->table);
        break;
    case 'k':
        put_keys(b, s, "", ", ");
        break;
    case 'K':
        zdm_buffer_puts(b, s->keys);
        break;
    case 'e':
        zdm_buffer_puts(b, s->set);
        break;
    case 's':
        zdm_buffer_puts(b, s->source);
        break;
    case 'v':
        zdm_buffer_puts(b, s->value);
        break;
    case 'n':
        shape_put_name(b, r, shape_target(s));
        break;
    case 'j':
        zdm_buffer_puts(b, "(");
        put_keys(b, s, "m.", ", ");
        zdm_buffer_puts(b, ") = (");
        put_keys(b, s, "s.", ", ");
        zdm_buffer_puts(b, ")");
        break;
    case 'm':
        put_keys(b, s, "s.", ", ");
        break;
    default:
        zdm_buffer_printf(b, "$%c", part);
    }
}

void shape_put_statement(struct zdm_buffer *b, const struct rig *r, const struct shape *s, const char *sql, unsigned g,
                         unsigned h, unsigned n)
{
    for (; *sql != '\0'; sql++) {
        if (*sql == '$' && sql[1] != '\0') {
            put_part(b, r, s, *++sql);
        } else if (strncmp(sql, "<g>", 3) == 0 || strncmp(sql, "<h>", 3) == 0 || strncmp(sql, "<n>", 3) == 0) {
            zdm_buffer_printf(b, "%u", sql[1] == 'g' ? g : sql[1] == 'h' ? h : n);
            sql += 2;
        } else {
            zdm_buffer_printf(b, "%c", *sql);
        }
    }
}

void shape_exec_parts(struct rig *r, const struct shape *s, const char *parts, bool plain,
                      void (*exec)(struct rig *r, const char *sql))
{
    while (parts != NULL && *parts != '\0') {
        struct zdm_buffer b = ZDM_BUFFER_INIT;
        const char *end = strstr(parts, ";;");
        size_t n = end == NULL ? strlen(parts) : (size_t)(end - parts);
        char *one = strndup(parts, n);
        if (plain) {
            zdm_buffer_puts(&b, one);
        } else {
            shape_put_statement(&b, r, s, one, 0, 0, 0);
        }
        exec(r, zdm_buffer_text(&b));
        zdm_buffer_fini(&b);
        free(one);
        parts += end == NULL ? n : n + 2;
    }
}

const char *shape_statement(const struct shape *s, const struct shape_writer *w, bool new_code, unsigned *seed)
{
    size_t n = 0, first_new = 0;
    while (n < SHAPES_STATEMENTS && w->sql[n] != NULL) {
        n++;
        first_new += strstr(w->sql[n - 1], "$n") == NULL;
    }
    return w->sql[(size_t)rand_r(seed) % (s->expr == NULL && new_code ? n : first_new)];
}

/* ---- The migration ---- */

static void derive(struct rig *r, const struct shape *s, uint32_t step, enum zdm_action action)
{
    const char *const sources[] = {read_of(s), s->key[0]};
    if (s->expr == NULL) {
        rig_copy(r, step, action, shape_target(s), read_of(s));
        return;
    }
    bool key = strstr(s->expr, "t.id") != NULL || strstr(s->expr, "t.`id`") != NULL;
    rig_derive(r, step, action, shape_target(s), s->expr, s->expr_new, sources, key ? 2 : 1);
}

void shape_plan(struct rig *r, const struct shape *s, size_t number)
{
    struct zdm_buffer add = ZDM_BUFFER_INIT;
    rig_plan(r, s->plain == NULL ? s->table : s->plain, 3);
    snprintf(r->plan->id, sizeof r->plan->id, "m%s-%zu", r->database, number);
    zdm_buffer_printf(&add, "ALTER TABLE %s%s", r->schema, *r->schema == '\0' ? "" : ".");
    shape_put_name(&add, r, s->plain == NULL ? s->table : s->plain);
    zdm_buffer_puts(&add, " ADD COLUMN ");
    shape_put_name(&add, r, shape_target(s));
    zdm_buffer_printf(&add, " %s", s->type);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, shape_target(s), NULL, zdm_buffer_text(&add));
    zdm_buffer_fini(&add);
    derive(r, s, 2, ZDM_ACTION_SYNC_INSTALL);
    derive(r, s, 3, ZDM_ACTION_BACKFILL);
    rig_accept(r, 1);
}

static void wait_at_least(const struct timespec *since)
{
    const char *text = getenv("ZDM_SHAPES_MS");
    long ms = text == NULL ? 0 : strtol(text, NULL, 10);
    struct timespec now;
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
        nanosleep(&(struct timespec){.tv_nsec = ms > 0 ? 1000000 : 0}, NULL);
    } while ((now.tv_sec - since->tv_sec) * 1000 + (now.tv_nsec - since->tv_nsec) / 1000000 < ms);
}

static void until_done(struct rig *r, enum agent_run run, uint32_t step)
{
    for (int i = 0; i < 500; i++) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, run, step, SHAPES_BATCH);
        enum agent_outcome outcome = result->outcome;
        if (outcome != AGENT_OK && outcome != AGENT_LOCK && outcome != AGENT_RETRY) {
            fail_msg("%s: %s: %s (%s)", agent_run_name(run), agent_outcome_name(outcome), result->error.message,
                     result->error.detail);
        }
        agent_result_free(result);
        if (outcome == AGENT_OK) {
            return;
        }
    }
    fail_msg("%s never got its lock", agent_run_name(run));
}

void shape_migrate(struct rig *r, bool *new_code)
{
    struct timespec since;
    clock_gettime(CLOCK_MONOTONIC, &since);
    until_done(r, AGENT_RUN_DDL, 1);
    until_done(r, AGENT_RUN_INSTALL_SYNC, 2);
    __atomic_store_n(new_code, true, __ATOMIC_RELEASE);
    until_done(r, AGENT_RUN_BOUND, 3);
    while (!r->walked) {
        until_done(r, AGENT_RUN_BATCH, 3);
    }
    wait_at_least(&since);
}
