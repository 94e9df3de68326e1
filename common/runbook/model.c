/*
 * model.c - the plan while it grows: phases, steps, what is known of columns; and how names are written.
 *
 * Derived names carry 8 hexadecimal digits of a hash over migration, table and column, so that they are short whatever
 * the column is called, the same on every machine, and other for another migration. The full name of what is hidden
 * stands in the agent's journal and in the object's comment.
 */
#include "common/runbook/compile.h"
#include "common/runbook/mysql/mysql.h"
#include "common/runbook/postgresql/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rb_phase *rb_phase_add(struct rb *rb, enum zdm_phase_class class, const char *title, const char *prose,
                              struct rb_place at)
{
    struct rb_phase *phase = rb_alloc(rb, sizeof *phase);
    *phase = (struct rb_phase){.class = class, .title = title, .prose = prose, .at = at};
    if (rb->last_phase == NULL)
        rb->phases = phase;
    else
        rb->last_phase->next = phase;
    rb->last_phase = phase;
    return phase;
}

struct rb_step *rb_step_add(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence, enum zdm_step_kind kind,
                            enum zdm_action action, enum zdm_lock_class lock)
{
    struct rb_step *step = rb_alloc(rb, sizeof *step);
    step->step =
        (struct zdm_step){.kind = kind, .action = action, .lock = lock, .engine = rb->engine, .exact_inverse = true};
    step->note.source = rb_dup("");
    step->note.does = rb_dup("");
    step->note.lock = rb_dup("");
    step->fence = fence;
    if (phase->last == NULL)
        phase->first = step;
    else
        phase->last->next = step;
    phase->last = step;
    rb->n_steps++;
    return step;
}

void rb_step_free(struct rb_step *step)
{
    zdm_step_fini(&step->step);
    free(step->note.source);
    free(step->note.does);
    free(step->note.lock);
    step->note = (struct zdm_step_notes){.line = 0};
}

void rb_step_table(struct rb_step *step, const struct rb_table *table)
{
    step->step.table = (struct zdm_table){rb_dup(table->schema), rb_dup(table->name)};
}

void rb_step_other(struct rb_step *step, const struct rb_table *table)
{
    struct zdm_step *s = &step->step;
    for (size_t i = 0; i < s->n_others; i++) {
        if (strcmp(s->others[i].schema, table->schema) == 0 && strcmp(s->others[i].name, table->name) == 0)
            return;
    }
    struct zdm_table *grown = rb_heap((s->n_others + 1) * sizeof *grown);
    if (s->n_others > 0)
        memcpy(grown, s->others, s->n_others * sizeof *grown);
    free(s->others);
    s->others = grown;
    s->others[s->n_others++] = (struct zdm_table){rb_dup(table->schema), rb_dup(table->name)};
}

void rb_step_does(struct rb_step *step, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = NULL;
    if (vasprintf(&text, fmt, args) < 0)
        abort(); /* out of memory: see runbook.h */
    va_end(args);
    free(step->note.does);
    step->note.does = text;
}

bool rb_same_table(const struct rb_table *a, const struct rb_table *b)
{
    return strcmp(a->schema, b->schema) == 0 && strcmp(a->name, b->name) == 0;
}

struct rb_column *rb_column_of(struct rb *rb, const struct rb_table *table, const char *name)
{
    for (struct rb_column *c = rb->columns; c != NULL; c = c->next) {
        if (rb_same_table(&c->table, table) && strcmp(c->name, name) == 0)
            return c;
    }
    struct rb_column *column = rb_alloc(rb, sizeof *column);
    *column = (struct rb_column){.table = *table, .name = name, .next = rb->columns};
    rb->columns = column;
    return column;
}

const char *rb_quote(struct rb *rb, const char *identifier)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    char mark = rb->engine == ZDM_ENGINE_MYSQL ? '`' : '"';
    zdm_buffer_append(&b, &mark, 1);
    for (const char *p = identifier; *p != '\0'; p++) {
        if (*p == mark)
            zdm_buffer_append(&b, &mark, 1);
        zdm_buffer_append(&b, p, 1);
    }
    zdm_buffer_append(&b, &mark, 1);
    return rb_take(rb, &b);
}

static bool is_one_name(struct rb *rb, const char *text)
{
    struct rb_token *tokens;
    size_t n, offset;
    const char *message;
    if (rb->engine == ZDM_ENGINE_MYSQL)
        return !rb_mysql_is_reserved(text);
    return rb_scan(rb, text, &tokens, &n, &message, &offset) && n == 1 && !tokens[0].keyword;
}

const char *rb_plain(struct rb *rb, const char *identifier)
{
    bool simple = identifier[0] != '\0' &&
                  strspn(identifier, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(identifier) &&
                  (identifier[0] < '0' || identifier[0] > '9');
    return simple && is_one_name(rb, identifier) ? identifier : rb_quote(rb, identifier);
}

const char *rb_table_text(struct rb *rb, const struct rb_table *table)
{
    if (table->schema[0] == '\0' || strcmp(table->schema, rb->front.schema) == 0)
        return rb_plain(rb, table->name);
    return rb_format(rb, "%s.%s", rb_plain(rb, table->schema), rb_plain(rb, table->name));
}

const char *rb_table_sql(struct rb *rb, const struct rb_table *table)
{
    if (table->schema[0] == '\0')
        return rb_quote(rb, table->name);
    return rb_format(rb, "%s.%s", rb_quote(rb, table->schema), rb_quote(rb, table->name));
}

/* FNV-1a over the text and its NUL, so that ("ab", "c") and ("a", "bc") differ. */
static uint32_t hash(uint32_t h, const char *text)
{
    for (const char *p = text;; p++) {
        h = (h ^ (uint8_t)*p) * UINT32_C(16777619);
        if (*p == '\0')
            return h;
    }
}

static uint32_t hash_column(const struct rb *rb, const struct rb_table *table, const char *column)
{
    uint32_t h = hash(UINT32_C(2166136261), rb->front.id);
    return hash(hash(hash(h, table->schema), table->name), column);
}

const char *rb_derived_name(struct rb *rb, const struct rb_table *table, const char *column, const char *suffix)
{
    return rb_format(rb, "~zdm_%08x%s", hash_column(rb, table, column), suffix);
}

const char *rb_trash_name(struct rb *rb, const struct rb_table *table)
{
    char *name = rb_format(rb, "zdm_trash_%08x_%s", hash_column(rb, table, ""), table->name);
    size_t n = strlen(name);
    if (n > ZDM_IDENTIFIER_MAX) {
        for (n = ZDM_IDENTIFIER_MAX; ((unsigned char)name[n] & 0xc0) == 0x80; n--)
            continue; /* no half of a character */
        name[n] = '\0';
    }
    return name;
}

static bool is_object(const struct rb *rb, const char *name)
{
    for (const struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next) {
        for (const struct rb_step *step = phase->first; step != NULL; step = step->next) {
            if (step->step.object != NULL && strcmp(step->step.object, name) == 0)
                return true;
        }
    }
    return false;
}

const char *rb_images_name(struct rb *rb, const struct rb_table *table, const char *key)
{
    const char *name = rb_format(rb, "undo_%08x", hash_column(rb, table, key));
    while (is_object(rb, name)) {
        key = rb_format(rb, "%s again", key);
        name = rb_format(rb, "undo_%08x", hash_column(rb, table, key));
    }
    return name;
}

static char **copy_texts(char *const *texts, size_t n)
{
    char **copy = rb_heap((n + 1) * sizeof *copy);
    for (size_t i = 0; i < n; i++)
        copy[i] = rb_dup(texts[i]);
    return copy;
}

struct zdm_derivation *rb_derivation_copy(const struct zdm_derivation *d)
{
    struct zdm_derivation *copy = rb_heap(sizeof *copy);
    *copy = *d;
    copy->assignments = rb_heap(d->n_assignments * sizeof *copy->assignments);
    for (size_t i = 0; i < d->n_assignments; i++) {
        const struct zdm_assignment *a = &d->assignments[i];
        copy->assignments[i] = *a;
        copy->assignments[i].target = rb_dup(a->target);
        copy->assignments[i].expr = rb_dup(a->expr);
        copy->assignments[i].expr_new = rb_dup(a->expr_new);
        copy->assignments[i].copy_of = rb_dup(a->copy_of);
        copy->assignments[i].initial = rb_dup(a->initial);
    }
    copy->sources = copy_texts(d->sources, d->n_sources);
    copy->guard = rb_dup(d->guard);
    copy->filter = rb_dup(d->filter);
    copy->filter_new = rb_dup(d->filter_new);
    copy->filter_old = rb_dup(d->filter_old);
    return copy;
}
