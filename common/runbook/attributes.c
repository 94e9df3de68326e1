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

enum {
    SYNC,
    NO_SYNC,
    NO_UNDO,
    CHECK,
    BATCH,
    NAME,
    ENGINE,
    ROLLBACK,
    AS_IS,
    LOCK,
    UNGUARDED,
    PUBLICATION,
    TRIGGERS,
    REWRITE,
    VISIBLE,
    ATTRIBUTES
};

static const char *const names[ATTRIBUTES + 1] = {
    [SYNC] = "sync",
    [NO_SYNC] = "no-sync",
    [NO_UNDO] = "no-undo",
    [CHECK] = "check",
    [BATCH] = "batch",
    [NAME] = "name",
    [ENGINE] = "engine",
    [ROLLBACK] = "rollback",
    [AS_IS] = "as-is",
    [LOCK] = "lock",
    [UNGUARDED] = "unguarded-replicas",
    [PUBLICATION] = "publication-ok",
    [TRIGGERS] = "triggers",
    [REWRITE] = "rewrite-ok",
    [VISIBLE] = "visible",
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
    for (const struct rb_fence *other = rb->named; other != NULL; other = other->named_before) {
        if (strcmp(other->name, a->value) != 0)
            continue;
        rb_error(rb, "name-twice", a->value_at, "Give each fence a name of its own.", "another fence has the name %s",
                 a->value);
        return false;
    }
    fence->name = a->value;
    fence->named_before = rb->named;
    rb->named = fence;
    return true;
}

bool rb_attribute_engine(struct rb *rb, struct rb_fence *fence, const struct rb_attribute *a)
{
    fence->engine = a->value == NULL ? ZDM_ENGINE_ANY : rb_engine_of(a->value);
    if (fence->engine == ZDM_ENGINE_ANY) {
        rb_error(rb, "attribute-value", a->value_at, "Write engine=postgresql or engine=mysql.", "this is no engine");
        return false;
    }
    if ((rb->front.engines & (unsigned)fence->engine) != 0)
        return true;
    rb_error(rb, "engine", a->value_at,
             rb_format(rb,
                       "Add it to the front matter: engines: [postgresql, mysql]; or remove the fence, or keep it as "
                       "documentation with the language %s.",
                       a->value),
             "%s is not an engine of this runbook", a->value);
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

static bool set_batch(struct rb *rb, struct rb_fence *fence, const struct rb_attribute *a)
{
    if (a->value != NULL && rb_number(a->value, RB_BATCH_MAX, &fence->batch) && fence->batch > 0)
        return true;
    rb_error(rb, "attribute-value", a->value_at, "Write batch=2000: the largest number of rows in a batch.",
             "batch must be 1 to %d", RB_BATCH_MAX);
    return false;
}

static bool set_triggers(struct rb *rb, struct rb_fence *fence, const struct rb_attribute *a)
{
    fence->skip_triggers = a->value != NULL && strcmp(a->value, "skip") == 0;
    if (!fence->skip_triggers)
        rb_error(rb, "attribute-value", a->value_at,
                 "Write triggers=skip where the application's triggers shall not fire in the batches; leave it out "
                 "where they shall.",
                 "triggers has the value skip only");
    return fence->skip_triggers;
}

/* The lock class of an as-is fence; `as-is` itself may stand before or behind it. */
static bool set_lock(struct rb *rb, struct rb_fence *fence, const struct rb_attribute *a)
{
    bool is_short = a->value != NULL && strcmp(a->value, "short") == 0;
    bool is_long = a->value != NULL && strcmp(a->value, "long") == 0;
    if (is_short || is_long) {
        fence->as_is = is_short ? RB_AS_IS_SHORT : RB_AS_IS_LONG;
        return true;
    }
    rb_error(rb, "attribute-value", a->value_at,
             "Write lock=short for what is done in milliseconds once it has its lock, lock=long for what runs long "
             "beside reads and writes, as CONCURRENTLY does.",
             "lock has the values short and long");
    return false;
}

static bool set_one(struct rb *rb, struct rb_fence *fence, const struct rb_attribute *a, bool *as_is)
{
    size_t i = 0;
    while (i < ATTRIBUTES && strcmp(names[i], a->key) != 0)
        i++;
    bool *const flags[ATTRIBUTES] = {
        [SYNC] = &fence->sync,           [NO_SYNC] = &fence->no_sync,
        [NO_UNDO] = &fence->no_undo,     [CHECK] = &fence->check,
        [ROLLBACK] = &fence->rollback,   [AS_IS] = as_is,
        [UNGUARDED] = &fence->unguarded, [PUBLICATION] = &fence->publication_ok,
        [REWRITE] = &fence->rewrite_ok,  [VISIBLE] = &fence->visible,
    };
    if (i < ATTRIBUTES && flags[i] != NULL)
        return set_flag(rb, a, flags[i]);
    switch (i) {
    case NAME:
        return set_name(rb, fence, a);
    case ENGINE:
        return rb_attribute_engine(rb, fence, a);
    case BATCH:
        return set_batch(rb, fence, a);
    case LOCK:
        return set_lock(rb, fence, a);
    case TRIGGERS:
        return set_triggers(rb, fence, a);
    default: {
        const char *near = rb_nearest(a->key, names);
        rb_error(rb, "attribute-unknown", a->at,
                 near != NULL ? rb_format(rb, "Did you mean %s?", near)
                              : "Attributes are name, batch, engine, sync, no-sync, no-undo, triggers, check, as-is, "
                                "lock, rollback, rewrite-ok, visible, publication-ok and unguarded-replicas.",
                 "there is no attribute \"%s\"", a->key);
        return false;
    }
    }
}

/* What excludes each other, and what belongs together. */
static bool judge(struct rb *rb, const struct rb_fence *fence, bool as_is)
{
    if (fence->sync && fence->no_sync)
        rb_error(rb, "attribute-value", fence->at, "Keep one of them.", "sync and no-sync exclude each other");
    else if (as_is && fence->as_is == RB_AS_IS_NO)
        rb_error(rb, "as-is-lock", rb_attribute_place(fence, "as-is"),
                 "Write {as-is lock=short} for what is done in milliseconds once it has its lock (one transaction), or "
                 "{as-is lock=long} for one statement that runs long beside reads and writes.",
                 "as-is does not say what its statement does to the table");
    else if (!as_is && fence->as_is != RB_AS_IS_NO)
        rb_error(rb, "as-is-lock", rb_attribute_place(fence, "lock"), "Write {as-is lock=short}, or leave lock out.",
                 "only an as-is fence says which lock it takes; of all others the plan knows it");
    else if ((as_is || fence->rollback) && (fence->check || (as_is && fence->rollback)))
        rb_error(rb, "as-is-parts", fence->at,
                 "Write three fences, one behind the other: the statement (as-is), its proof (check), its way back "
                 "(rollback).",
                 "as-is, check and rollback are fences of their own");
    else
        return true;
    return false;
}

bool rb_attributes_of_sql(struct rb *rb, struct rb_fence *fence)
{
    bool ok = true, as_is = false;
    for (size_t i = 0; i < fence->attributes.n; i++)
        ok = set_one(rb, fence, &fence->attributes.items[i], &as_is) && ok;
    return ok && judge(rb, fence, as_is);
}

struct rb_place rb_attribute_place(const struct rb_fence *fence, const char *key)
{
    for (size_t i = 0; i < fence->attributes.n; i++)
        if (strcmp(fence->attributes.items[i].key, key) == 0)
            return fence->attributes.items[i].at;
    return fence->at;
}
