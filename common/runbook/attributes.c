/*
 * attributes.c - what stands in braces behind the language of a fence or the title of a phase: words, key=value,
 * key="quoted value".
 */
#include "common/runbook/compile.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_word(char c)
{
    return c != '\0' && !is_blank(c) && c != '{' && c != '}' && c != '"' && c != '=';
}

struct reader {
    struct rb *rb;
    uint32_t line;
    const char *text;
    size_t at, end;
};

static struct rb_place here(const struct reader *r)
{
    return rb_place_in_line(r->rb, r->line, r->at);
}

static const char *word(struct reader *r, bool value)
{
    size_t start = r->at;
    while (r->at < r->end && (is_word(r->text[r->at]) || (value && r->text[r->at] == '=')))
        r->at++;
    return rb_copy(r->rb, r->text + start, r->at - start);
}

static const char *quoted(struct reader *r)
{
    size_t start = ++r->at;
    while (r->at < r->end && r->text[r->at] != '"')
        r->at++;
    if (r->at == r->end)
        return NULL;
    return rb_copy(r->rb, r->text + start, r->at++ - start);
}

/* One attribute; false with a finding. */
static bool read_one(struct reader *r, struct rb_attribute *out)
{
    static const char hint[] = "Write words and key=value, with blanks between them: {batch=2000 name=fill}.";
    *out = (struct rb_attribute){.at = here(r), .value_at = here(r)};
    out->key = word(r, false);
    if (out->key[0] == '\0') {
        rb_error(r->rb, "attribute-syntax", out->at, hint, "an attribute begins with a word");
        return false;
    }
    if (r->at == r->end || r->text[r->at] != '=')
        return true;
    r->at++;
    out->value_at = here(r);
    out->value = r->at < r->end && r->text[r->at] == '"' ? quoted(r) : word(r, true);
    if (out->value != NULL && out->value[0] != '\0')
        return true;
    rb_error(r->rb, "attribute-syntax", out->value_at, hint, "attribute %s has no value", out->key);
    return false;
}

bool rb_attributes_read(struct rb *rb, uint32_t line, size_t start, size_t end, struct rb_attributes *out)
{
    size_t n;
    struct reader r = {.rb = rb, .line = line, .text = rb_line(rb, line, &n), .at = start + 1, .end = end};
    out->items = rb_alloc(rb, (end - start + 1) * sizeof *out->items);
    for (;;) {
        while (r.at < r.end && (is_blank(r.text[r.at]) || r.text[r.at] == ','))
            r.at++;
        if (r.at == r.end || r.text[r.at] == '}')
            break;
        struct rb_attribute *item = &out->items[out->n];
        if (!read_one(&r, item))
            return false;
        for (size_t i = 0; i < out->n; i++) {
            if (strcmp(out->items[i].key, item->key) == 0) {
                rb_error(rb, "attribute-duplicate", item->at, "Keep one of them.", "attribute %s is there twice",
                         item->key);
                return false;
            }
        }
        out->n++;
    }
    if (r.at < r.end) {
        for (r.at++; r.at < r.end && is_blank(r.text[r.at]); r.at++)
            ;
        if (r.at == r.end)
            return true;
        rb_error(rb, "attribute-syntax", here(&r), "Nothing may follow the closing brace.",
                 "text behind the attributes");
        return false;
    }
    rb_error(rb, "attribute-syntax", here(&r), "Close the braces.", "the attributes have no closing brace");
    return false;
}

enum { SYNC, NO_SYNC, NO_UNDO, CHECK, BATCH, NAME, ENGINE, ROLLBACK, AS_IS, ATTRIBUTES };

static const char *const names[ATTRIBUTES + 1] = {
    [SYNC] = "sync", [NO_SYNC] = "no-sync", [NO_UNDO] = "no-undo",   [CHECK] = "check", [BATCH] = "batch",
    [NAME] = "name", [ENGINE] = "engine",   [ROLLBACK] = "rollback", [AS_IS] = "as-is",
};

static bool set_name(struct rb *rb, struct rb_fence *fence, const struct rb_attribute *a)
{
    bool valid = a->value != NULL && strlen(a->value) <= RB_NAME_MAX && a->value[0] >= 'a' && a->value[0] <= 'z' &&
                 strspn(a->value, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(a->value);
    if (!valid) {
        rb_error(rb, "attribute-value", a->value_at,
                 "Write name=fill: a letter, then letters, digits, dashes and underscores, lower case, at most 14.",
                 "this cannot be the name of a step");
        return false;
    }
    for (const struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next) {
        for (size_t i = 0; i < phase->n_fences; i++) {
            if (phase->fences[i]->name != NULL && strcmp(phase->fences[i]->name, a->value) == 0) {
                rb_error(rb, "name-twice", a->value_at, "Give each fence a name of its own.",
                         "another fence has the name %s", a->value);
                return false;
            }
        }
    }
    fence->name = a->value;
    return true;
}

static bool set_engine(struct rb *rb, const struct rb_attribute *a)
{
    if (a->value != NULL && (strcmp(a->value, "postgresql") == 0 || strcmp(a->value, "postgres") == 0))
        return true;
    if (a->value != NULL && (strcmp(a->value, "mysql") == 0 || strcmp(a->value, "mariadb") == 0))
        rb_error(rb, "engine", a->value_at,
                 "Remove the fence, or keep it as documentation with the language mysql. This release runs PostgreSQL.",
                 "SQL for %s cannot be run by this release", a->value);
    else
        rb_error(rb, "attribute-value", a->value_at, "Write engine=postgresql.", "this is no engine");
    return false;
}

static bool set_flag(struct rb *rb, const struct rb_attribute *a, bool *out)
{
    if (a->value == NULL) {
        *out = true;
        return true;
    }
    if (strcmp(a->key, "sync") == 0)
        rb_error(rb, "attribute-value", a->value_at,
                 "Write {sync} alone, or fill a new column and drop the old one later.",
                 "sync=%s is not supported by this release", a->value);
    else
        rb_error(rb, "attribute-value", a->value_at, rb_format(rb, "Write %s alone.", a->key), "%s takes no value",
                 a->key);
    return false;
}

static bool set_one(struct rb *rb, struct rb_fence *fence, const struct rb_attribute *a)
{
    size_t i = 0;
    while (i < ATTRIBUTES && strcmp(names[i], a->key) != 0)
        i++;
    const char *near = rb_nearest(a->key, names);
    switch (i) {
    case SYNC:
        return set_flag(rb, a, &fence->sync);
    case NO_SYNC:
        return set_flag(rb, a, &fence->no_sync);
    case NO_UNDO:
        return set_flag(rb, a, &fence->no_undo);
    case CHECK:
        return set_flag(rb, a, &fence->check);
    case NAME:
        return set_name(rb, fence, a);
    case ENGINE:
        return set_engine(rb, a);
    case BATCH:
        if (a->value != NULL && rb_number(a->value, RB_BATCH_MAX, &fence->batch) && fence->batch > 0)
            return true;
        rb_error(rb, "attribute-value", a->value_at, "Write batch=2000: the largest number of rows in a batch.",
                 "batch must be 1 to %d", RB_BATCH_MAX);
        return false;
    case ROLLBACK:
        rb_error(rb, "rollback-fence", a->at, "Remove the fence: the plan derives the inverse of each step itself.",
                 "SQL of one's own for the rollback is not supported by this release");
        return false;
    case AS_IS:
        rb_error(rb, "as-is-fence", a->at,
                 "Remove as-is and let the plan say how it is done; zdmctl plan shows each rewrite.",
                 "running a statement as it is written is not supported by this release");
        return false;
    default:
        rb_error(rb, "attribute-unknown", a->at,
                 near != NULL ? rb_format(rb, "Did you mean %s?", near)
                              : "Attributes are batch, name, engine, sync, no-sync, no-undo and check.",
                 "there is no attribute \"%s\"", a->key);
        return false;
    }
}

bool rb_attributes_of_sql(struct rb *rb, struct rb_fence *fence)
{
    bool ok = true;
    for (size_t i = 0; i < fence->attributes.n; i++)
        ok = set_one(rb, fence, &fence->attributes.items[i]) && ok;
    if (ok && fence->sync && fence->no_sync) {
        rb_error(rb, "attribute-value", fence->at, "Keep one of them.", "sync and no-sync exclude each other");
        ok = false;
    }
    return ok;
}

struct rb_place rb_attribute_place(const struct rb_fence *fence, const char *key)
{
    for (size_t i = 0; i < fence->attributes.n; i++)
        if (strcmp(fence->attributes.items[i].key, key) == 0)
            return fence->attributes.items[i].at;
    return fence->at;
}
