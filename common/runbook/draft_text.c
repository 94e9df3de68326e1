/*
 * draft_text.c - a draft's phases: what was put into them, in order, and how they are written.
 */
#include "common/runbook/draft.h"
#include "common/runbook/mysql/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- building ---- */

static void append(struct rb_draft *d, enum rb_draft_phase phase, struct rb_draft_block block)
{
    struct rb_draft_block *copy = rb_alloc(d->rb, sizeof *copy), **at = &d->blocks[phase];
    *copy = block;
    copy->at = d->at;
    while (*at != NULL && (*at)->place <= block.place)
        at = &(*at)->next;
    copy->next = *at;
    *at = copy;
}

static const char *vformat(struct rb *rb, const char *fmt, va_list args) ZDM_PRINTF(2, 0);
static const char *vformat(struct rb *rb, const char *fmt, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, fmt, args) < 0)
        abort(); /* out of memory: see runbook.h */
    char *copy = rb_copy(rb, text, strlen(text));
    free(text);
    return copy;
}

/* A comment at the end of a statement stays behind the semicolon. */
static struct rb_draft_block split_tail(struct rb *rb, enum rb_draft_place place, const char *sql)
{
    struct rb_draft_block block = {.place = place, .sql = sql};
    struct rb_token *tokens;
    const char *message;
    size_t n = 0, offset;
    if (rb->engine == ZDM_ENGINE_MYSQL || !rb_scan(rb, sql, &tokens, &n, &message, &offset) || n == 0 ||
        sql[tokens[n - 1].end] == '\0')
        return block;
    block.sql = rb_copy(rb, sql, tokens[n - 1].end);
    block.tail = sql + tokens[n - 1].end;
    return block;
}

void rb_draft_sql(struct rb_draft *d, enum rb_draft_phase phase, enum rb_draft_place place, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *text = vformat(d->rb, fmt, args);
    va_end(args);
    append(d, phase, split_tail(d->rb, place, text));
}

void rb_draft_text(struct rb_draft *d, enum rb_draft_phase phase, enum rb_draft_place place, const char *text)
{
    append(d, phase, (struct rb_draft_block){.place = place, .text = text});
}

void rb_draft_say(struct rb_draft *d, enum rb_draft_phase phase, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *text = vformat(d->rb, fmt, args), *before = d->prose[phase];
    va_end(args);
    if (before == NULL || strstr(before, text) == NULL)
        d->prose[phase] = before == NULL ? text : rb_format(d->rb, "%s\n%s", before, text);
}

const char *rb_draft_bare(struct rb_draft *d, const char *sql)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    struct rb_token *tokens;
    const char *message;
    size_t n = 0, offset, done = 0;
    if (d->rb->engine == ZDM_ENGINE_MYSQL)
        return my_draft_bare(d, sql);
    if (!rb_scan(d->rb, sql, &tokens, &n, &message, &offset))
        return sql;
    for (size_t i = 0; i < n; i++) {
        bool condition =
            tokens[i].token == PG_QUERY__TOKEN__IF_P && i + 1 < n && tokens[i + 1].token == PG_QUERY__TOKEN__EXISTS;
        if (!condition && !(tokens[i].token == PG_QUERY__TOKEN__CASCADE && i + 1 == n))
            continue;
        rb_draft_say(d, RB_DRAFT_PREFACE,
                     condition ? "`IF EXISTS` is left out: each shard must have what the plan changes, and `zdmctl "
                                 "check` names the one that has not."
                               : "`CASCADE` is left out: what depends on something that is dropped, `zdmctl check` "
                                 "names. It is dropped before, in statements of its own.");
        zdm_buffer_append(&b, sql + done, tokens[i].start - done);
        done = condition && i + 2 < n ? tokens[i + 2].start : tokens[i].end;
        i += condition;
    }
    zdm_buffer_puts(&b, sql + done);
    while (b.len > 0 && rb_is_blank(zdm_buffer_text(&b)[b.len - 1]))
        b.len--;
    zdm_buffer_puts(&b, "");
    return rb_take(d->rb, &b);
}

void rb_draft_fail(struct rb_draft *d, const char *message, const char *hint)
{
    if (d->failure != NULL)
        return;
    d->failure = message;
    d->hint = hint;
    d->failed_at = d->at;
}

void rb_draft_title(struct rb_draft *d, const char *slug, const char *subject)
{
    if (d->subject != NULL)
        return;
    d->slug = slug;
    d->subject = subject;
}

struct rb_draft_column *rb_draft_column(struct rb_draft *d, const struct rb_table *table, const char *name)
{
    for (struct rb_draft_column *c = d->columns; c != NULL; c = c->next) {
        if (rb_same_table(&c->table, table) && strcmp(c->name, name) == 0)
            return c;
    }
    struct rb_draft_column *column = rb_alloc(d->rb, sizeof *column);
    *column = (struct rb_draft_column){.table = *table, .name = name, .next = d->columns};
    d->columns = column;
    return column;
}

/* ---- writing ---- */

enum { PROSE_WIDTH = 100 };

/* Paragraphs, a line each, broken at blanks. */
static void write_prose(struct zdm_buffer *b, const char *text)
{
    for (const char *p = text; *p != '\0';) {
        size_t n = strcspn(p, "\n"), column = 0;
        for (size_t i = 0; i < n;) {
            size_t word = strcspn(p + i, " \n");
            if (column > 0 && column + 1 + word > PROSE_WIDTH) {
                zdm_buffer_puts(b, "\n");
                column = 0;
            }
            zdm_buffer_puts(b, column > 0 ? " " : "");
            zdm_buffer_append(b, p + i, word);
            column += word + (column > 0);
            i += word + (p[i + word] == ' ');
        }
        zdm_buffer_puts(b, "\n\n");
        p += n + (p[n] == '\n');
    }
}

static size_t count_lines(const struct zdm_buffer *b)
{
    size_t n = 0;
    const char *text = zdm_buffer_text(b);
    for (size_t i = 0; i < b->len; i++)
        n += text[i] == '\n';
    return n;
}

static void write_blocks(struct zdm_buffer *b, struct rb_draft_block *block)
{
    bool open = false;
    for (; block != NULL; block = block->next) {
        if (open && block->sql == NULL)
            zdm_buffer_puts(b, "```\n");
        if (!open && block->sql != NULL)
            zdm_buffer_puts(b, "```sql\n");
        open = block->sql != NULL;
        block->line = count_lines(b);
        if (open)
            zdm_buffer_printf(b, "%s;%s\n", block->sql, block->tail == NULL ? "" : block->tail);
        else
            zdm_buffer_printf(b, "%s\n", block->text);
    }
    zdm_buffer_puts(b, open ? "```\n\n" : "\n");
}

const char *rb_draft_preface(struct rb_draft *d)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    write_prose(&b, d->prose[RB_DRAFT_PREFACE] == NULL ? "" : d->prose[RB_DRAFT_PREFACE]);
    return rb_take(d->rb, &b);
}

const char *rb_draft_phases(struct rb_draft *d)
{
    static const char *const names[] = {"Expand", "Migrate", "Switch", "Contract"};
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    unsigned number = 0;
    for (int phase = 0; phase < RB_DRAFT_PHASES; phase++) {
        bool hold = phase == RB_DRAFT_SWITCH && (d->changes_writers || d->blocks[RB_DRAFT_CONTRACT] != NULL);
        if (d->blocks[phase] == NULL && !hold)
            continue;
        const char *prose = d->prose[phase];
        if (hold && prose == NULL)
            prose = "Deploy the application that does without what the next phase takes away.";
        zdm_buffer_printf(&b, "## Phase %u: %s\n", ++number, names[phase]);
        if (prose != NULL)
            write_prose(&b, prose);
        if (d->blocks[phase] != NULL)
            write_blocks(&b, d->blocks[phase]);
    }
    while (b.len > 0 && zdm_buffer_text(&b)[b.len - 1] == '\n')
        b.len--;
    zdm_buffer_puts(&b, "\n");
    return rb_take(d->rb, &b);
}
