/*
 * draft.c - plain SQL to a runbook: two rounds over the statements, and the text around what comes of them.
 *
 * What was written is compiled before it is handed out, so that a draft that does not compile is refused with the words
 * of the compiler.
 */
#include "common/runbook/draft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/id.h"
#include "common/runbook/mysql/parse.h"
#include "common/runbook/runbook.h"

/* A round over the statements, in the dialect of the draft. */
static size_t each(struct rb_draft *d, struct rb_phase *phase, struct rb_fence *fence, bool second)
{
    if (d->rb->engine == ZDM_ENGINE_MYSQL)
        return my_each(d->rb, phase, fence, second ? my_draft_statement : my_draft_survey, d);
    return rb_sql_each(d->rb, phase, fence, second ? rb_draft_statement : rb_draft_survey, d);
}

static void read_sql(struct rb_draft *d, const char *sql)
{
    struct rb_phase phase = {.class = ZDM_PHASE_EXPAND};
    struct rb_fence fence = {.kind = RB_FENCE_SQL, .line = 1, .text = sql};
    d->rb->text = sql;
    d->rb->n = strlen(sql);
    (void)rb_source_open(d->rb);
    (void)each(d, &phase, &fence, false);
    d->rb->n_statements = 0;
    d->at = (struct rb_place){0, 0};
    if (d->rb->n_errors == 0 && each(d, &phase, &fence, true) == 0)
        rb_draft_fail(d, "there is no statement",
                      "Write SQL: --from 'ALTER TABLE users RENAME COLUMN name TO full_name'.");
    for (size_t i = 0; i < d->rb->n_findings; i++) {
        const struct zdm_finding *f = &d->rb->findings[i];
        d->at = (struct rb_place){f->line, f->column};
        if (f->level == ZDM_LEVEL_ERROR)
            rb_draft_fail(d, rb_copy(d->rb, f->message, strlen(f->message)), rb_copy(d->rb, f->hint, strlen(f->hint)));
    }
    d->at = (struct rb_place){0, 0};
}

const char *rb_recipe_of(struct rb *rb, const char *sql)
{
    struct rb inner = {.front = rb->front, .engine = rb->engine};
    struct rb_draft d = {.rb = &inner, .guess = true};
    read_sql(&d, sql);
    const char *text = d.failure != NULL ? NULL : rb_draft_phases(&d);
    const char *copy = text == NULL ? NULL : rb_copy(rb, text, strlen(text) - 1);
    rb_fini(&inner);
    return copy == NULL ? NULL : rb_format(rb, "Save this as a runbook (zdmctl new writes it):\n\n%s", copy);
}

static const char *make_id(struct rb_draft *d, const char *given)
{
    if (given != NULL)
        return given;
    char *id = rb_copy(d->rb, d->slug, strlen(d->slug));
    size_t n = 0;
    for (const char *p = d->slug; *p != '\0' && n < ZDM_NAME_MAX; p++) {
        char c = rb_lower(*p);
        bool plain = rb_is_letter(c) || (c >= '0' && c <= '9');
        if (plain || (n > 0 && id[n - 1] != '-'))
            id[n++] = plain ? c : '-';
    }
    while (n > 0 && id[n - 1] == '-')
        n--;
    id[n] = '\0';
    return n > 0 ? id : "change";
}

static const char *whole_text(struct rb_draft *d, const char *phases, const struct zdm_draft_options *options)
{
    struct rb *rb = d->rb;
    const char *schema = strcmp(rb->front.schema, "public") == 0 ? "" : rb_format(rb, "schema: %s\n", rb->front.schema);
    return rb_format(
        rb, "---\nid: %s\n%s%s# waves: [tier=canary, 25%%, 100%%]\n# approvals: {contract: 1}\n---\n# %s\n\n%s%s",
        make_id(d, options->id), rb->engine == ZDM_ENGINE_MYSQL ? "engines: mysql\n" : "", schema, d->subject,
        rb_draft_preface(d), phases);
}

/* The statement of which the draft's line was made. */
static struct rb_place place_of(const struct rb_draft *d, const char *text, const char *phases, uint32_t line)
{
    struct rb_place at = {0, 0};
    size_t first = 1, found = 0;
    for (const char *p = text; p < text + strlen(text) - strlen(phases); p++)
        first += *p == '\n';
    for (int phase = 0; phase < RB_DRAFT_PHASES; phase++) {
        for (const struct rb_draft_block *b = d->blocks[phase]; b != NULL; b = b->next) {
            if (first + b->line <= line && first + b->line >= found) {
                at = b->at;
                found = first + b->line;
            }
        }
    }
    return at;
}

/* The words of the compiler, where it does not take the draft. */
static enum zdm_code prove(struct rb_draft *d, const char *text, const char *phases, struct zdm_error *err)
{
    struct zdm_plan *plan = NULL;
    struct zdm_notes *notes = NULL;
    enum zdm_code code = zdm_runbook_compile("draft.md", text, strlen(text), &plan, &notes, err);
    if (code == ZDM_OK && plan == NULL) {
        const struct zdm_finding *first = NULL;
        for (size_t i = 0; i < notes->n_findings && first == NULL; i++)
            first = notes->findings[i].level == ZDM_LEVEL_ERROR ? &notes->findings[i] : NULL;
        d->at = place_of(d, text, phases, first->line);
        rb_draft_fail(d, rb_copy(d->rb, first->message, strlen(first->message)),
                      rb_copy(d->rb, first->hint, strlen(first->hint)));
    }
    zdm_plan_unref(plan);
    zdm_notes_free(notes);
    return code;
}

enum zdm_code zdm_runbook_draft(const char *sql, const struct zdm_draft_options *options, char **out_text,
                                struct zdm_error *err)
{
    struct rb rb = {.file = "draft.md",
                    .engine = options->engine == ZDM_ENGINE_MYSQL ? ZDM_ENGINE_MYSQL : ZDM_ENGINE_POSTGRESQL};
    struct rb_draft d = {.rb = &rb,
                         .type = options->type,
                         .types = options->types,
                         .n_types = options->n_types,
                         .asks = options->asks,
                         .schema_is_given = options->schema != NULL};
    const char *text = NULL;
    enum zdm_code code = ZDM_OK;
    if (strlen(sql) > ZDM_RUNBOOK_MAX / 4)
        return zdm_error_set(err, ZDM_LIMIT, "the SQL is too long for one runbook");
    rb.front.schema = options->schema == NULL ? "public" : options->schema;
    rb.front.id = "draft";
    read_sql(&d, sql);
    if (d.anything)
        rb_draft_title(&d, "change", "Change the schema");
    d.at = d.left_out_at;
    if (d.failure == NULL && d.subject == NULL && d.left_out != NULL)
        rb_draft_fail(&d, d.left_out, "Leave it as it is called.");
    d.at = (struct rb_place){0, 0};
    if (d.failure == NULL && d.subject == NULL)
        rb_draft_fail(&d, "there is nothing that changes the schema or its rows", "Write the statements that do.");
    if (d.failure == NULL) {
        const char *phases = rb_draft_phases(&d);
        text = whole_text(&d, phases, options);
        code = prove(&d, text, phases, err);
    }
    if (d.failure != NULL) {
        code = d.missing != NULL ? ZDM_NOT_FOUND : ZDM_INVALID;
        if (d.failed_at.line > 0)
            zdm_error_set(err, code, "%s:%u:%u: %s", options->file == NULL ? "SQL" : options->file, d.failed_at.line,
                          d.failed_at.column, d.failure);
        else
            zdm_error_set(err, code, "%s", d.failure);
        if (d.missing != NULL)
            (void)zdm_error_detail(err, "%s", d.missing);
        (void)zdm_error_hint(err, "%s", d.hint);
    } else if (code == ZDM_OK) {
        *out_text = rb_dup(text);
    }
    rb_fini(&rb);
    return code;
}
