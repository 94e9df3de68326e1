/*
 * mysql.c - the entries of the MySQL dialect; see mysql.h. One sql fence, statement by statement.
 */
#include "common/runbook/mysql/mysql.h"

#include <string.h>

#include "common/runbook/mysql/parse.h"

/* The word behind CREATE and its like, over OR REPLACE and the kinds of tables and indexes. */
static void create(struct my *m)
{
    size_t i = my_is(m, 0, "or") ? 2 : 0;
    i += my_is(m, i, "temporary");
    if (my_is(m, i, "table")) {
        my_create_table(m);
        return;
    }
    i = my_is(m, 0, "unique") || my_is(m, 0, "fulltext") || my_is(m, 0, "spatial");
    if (my_is(m, i, "index"))
        my_create_index(m);
    else
        my_refuse(m);
}

static void drop(struct my *m)
{
    bool temporary = my_is(m, 0, "temporary");
    if (temporary && my_is(m, 1, "table"))
        my_fail(m, "drop", my_here(m), "Leave the statement out.", "an agent has no temporary table");
    else if (my_take(m, "table") || my_take(m, "tables"))
        my_drop_table(m);
    else if (my_take(m, "index"))
        my_drop_index(m);
    else
        my_refuse(m);
}

static void dispatch(struct my *m)
{
    bool table = my_is(m, 1, "table") || my_is(m, 1, "ignore") || my_is(m, 1, "online");
    if (table && my_take(m, "alter"))
        my_alter_table(m);
    else if (my_take(m, "create"))
        create(m);
    else if (my_take(m, "drop"))
        drop(m);
    else if (my_take(m, "update"))
        my_update(m);
    else if (my_take(m, "delete"))
        my_delete(m);
    else if (table && my_take(m, "rename"))
        my_rename_table(m);
    else
        my_refuse(m);
}

/* In a fence for two engines: what the other one reads differently in the token; NULL. */
static const char *other_reading(const struct my *m, const struct my_token *token)
{
    const char *text = m->s.sql + token->start;
    size_t n = token->end - token->start;
    if (token->kind == MY_NAME)
        return "PostgreSQL does not read names in backquotes";
    if (token->kind == MY_BYTES)
        return "hexadecimal values and bits are other types on other engines";
    if (token->kind != MY_TEXT)
        return NULL;
    return token->charset != NULL          ? "a text with a character set in front has another type on PostgreSQL"
           : memchr(text, '"', n) == text  ? "\"…\" is a text on MySQL and a name on PostgreSQL"
           : memchr(text, '\\', n) != NULL ? "a backslash in a text means something on MySQL alone"
                                           : NULL;
}

/* The first such token says it for the statement. */
static void judge_neutral(struct my *m)
{
    const char *reading = NULL;
    for (size_t i = 0; i < m->n && m->rb->neutral && reading == NULL; i++) {
        reading = other_reading(m, &m->tokens[i]);
        if (reading != NULL)
            rb_not_neutral(m->rb, my_place(m, i), "%s", reading);
    }
}

static void compile_statement(struct my *m, void *ctx)
{
    const struct rb_step *before = m->s.phase->last;
    size_t errors = m->rb->n_errors, steps = m->rb->n_steps, findings = m->rb->n_findings;
    (void)ctx;
    judge_neutral(m);
    if (errors != m->rb->n_errors)
        return;
    if (m->s.fence->check) {
        my_check(m);
        return;
    }
    dispatch(m);
    rb_judge_nothing(m->rb, rb_at_start(&m->s), steps, findings);
    if (!m->failed)
        rb_judge_order(&m->s, before);
}

/* ---- what a fence says ---- */

static bool has_step(const struct rb_phase *phase, const struct rb_fence *fence, const enum zdm_action *actions,
                     size_t n)
{
    for (const struct rb_step *step = phase->first; step != NULL; step = step->next) {
        for (size_t i = 0; i < n; i++) {
            if (step->fence == fence && step->step.action == actions[i])
                return true;
        }
    }
    return false;
}

static bool may_rewrite(const struct rb_phase *phase, const struct rb_fence *fence)
{
    for (const struct rb_step *step = phase->first; step != NULL; step = step->next) {
        if (step->fence == fence && zdm_step_may_rewrite(&step->step))
            return true;
    }
    return false;
}

static void judge_attributes(struct rb *rb, const struct rb_phase *phase, const struct rb_fence *fence)
{
    static const enum zdm_action batches[] = {ZDM_ACTION_BACKFILL, ZDM_ACTION_DELETE};
    bool batch = has_step(phase, fence, batches, 2);
    if (fence->no_undo && !batch)
        rb_error(rb, "no-undo-unused", rb_attribute_place(fence, "no-undo"), "Leave no-undo out.",
                 "no-undo is for UPDATE, DELETE and as-is: nothing of what they change is kept, and none of them is in "
                 "this fence");
    else if ((fence->batch > 0 || fence->sync || fence->no_sync) && !batch)
        rb_warning(
            rb, "attribute-unused", fence->at, NULL,
            "batch, sync and no-sync mean something for UPDATE and DELETE only, and there is none in this fence");
    else if (fence->rewrite_ok && !may_rewrite(phase, fence))
        rb_warning(rb, "attribute-unused", rb_attribute_place(fence, "rewrite-ok"), NULL,
                   "rewrite-ok means something for ADD, MODIFY and DROP of a column, and for as-is");
    if (fence->skip_triggers)
        rb_error(rb, "triggers-fire", rb_attribute_place(fence, "triggers"),
                 "Leave triggers=skip out. Where a trigger of the application must not fire, drop it as-is before, and "
                 "make it again behind.",
                 "MySQL and MariaDB cannot pass triggers by");
}

void rb_mysql_compile(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence)
{
    size_t errors = rb->n_errors;
    size_t statements = my_each(rb, phase, fence, compile_statement, NULL);
    if (statements > 0 && errors == rb->n_errors)
        judge_attributes(rb, phase, fence);
}
