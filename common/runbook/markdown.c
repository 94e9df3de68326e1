/*
 * markdown.c - headings and fences, by cmark: a level-2 heading with a class opens a phase, sql, flag and wait fences
 * below it are its steps, everything else is prose.
 *
 * cmark hands out info strings with entities and escapes resolved, which moves columns; so languages, attributes and
 * titles are read from the file's own line, and cmark says only which line that is.
 */
#include "common/runbook/compile.h"

#include <cmark.h>
#include <string.h>

struct section {
    struct rb_place at;
    const char *title;
    int class;    /* 0: none in sight */
    bool certain; /* the heading is a phase although nothing is run in it */
    uint32_t first_line;
    struct rb_fence **fences;
    size_t n_fences, fences_cap;
};

struct reader {
    struct rb *rb;
    uint32_t offset; /* lines before cmark's first */
    struct section *section;
    bool *is_fence; /* by line */
    uint32_t phases;
};

/* ---- classes ---- */

static const struct {
    const char *words;
    enum zdm_phase_class class;
} synonyms[] = {
    {" expand expansion add prepare extend ", ZDM_PHASE_EXPAND},
    {" migrate backfill fill populate copy convert ", ZDM_PHASE_MIGRATE},
    {" switch cutover rollout flip release cut-over roll-out ", ZDM_PHASE_SWITCH},
    {" contract cleanup clean-up finish finalize finalise remove drop tighten ", ZDM_PHASE_CONTRACT},
};

static int class_of_word(const char *word)
{
    char key[24];
    size_t n = strlen(word);
    if (n == 0 || n + 3 > sizeof key)
        return 0;
    key[0] = ' ';
    memcpy(key + 1, word, n);
    memcpy(key + 1 + n, " ", 2);
    for (size_t i = 0; i < sizeof synonyms / sizeof synonyms[0]; i++) {
        if (strstr(synonyms[i].words, key) != NULL)
            return (int)synonyms[i].class;
    }
    return 0;
}

/* The class of the first word that has one; "cut over", "clean up" and "roll out" count as one word. */
static int class_of_title(const char *title)
{
    char last[24] = "";
    for (const char *p = title; *p != '\0';) {
        char word[24] = "", both[48];
        size_t n = 0;
        while (*p != '\0' && !rb_is_letter(*p))
            p++;
        for (; rb_is_letter(*p) || (*p == '-' && rb_is_letter(p[1])); p++) {
            if (n + 1 < sizeof word)
                word[n++] = rb_lower(*p);
        }
        int class = class_of_word(word);
        if (class == 0 && last[0] != '\0') {
            size_t m = strlen(last);
            memcpy(both, last, m);
            both[m] = '-';
            memcpy(both + m + 1, word, n + 1);
            class = strlen(both) < sizeof word ? class_of_word(both) : 0;
        }
        if (class != 0)
            return class;
        memcpy(last, word, sizeof last);
    }
    return 0;
}

static int class_of_attribute(const struct rb_attributes *attributes)
{
    for (int class = ZDM_PHASE_EXPAND; attributes->n == 1 && class <= ZDM_PHASE_CONTRACT; class ++) {
        if (strcmp(attributes->items[0].key, zdm_phase_class_name((enum zdm_phase_class) class)) == 0)
            return class;
    }
    return 0;
}

/* ---- sections ---- */

static const char *prose_of(struct reader *r, uint32_t first, uint32_t end)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    bool blank = false;
    for (uint32_t line = first; line < end; line++) {
        size_t n;
        const char *text = rb_line(r->rb, line, &n);
        while (n > 0 && rb_is_blank(text[n - 1]))
            n--;
        if (n == 0 || r->is_fence[line]) {
            blank = b.len > 0;
            continue;
        }
        if (blank)
            zdm_buffer_puts(&b, "\n");
        blank = false;
        zdm_buffer_append(&b, text, n);
        zdm_buffer_puts(&b, "\n");
    }
    return rb_take(r->rb, &b);
}

static void close_section(struct reader *r, uint32_t end)
{
    struct section *section = r->section;
    if (section == NULL)
        return;
    r->section = NULL;
    if (section->class == 0) {
        if (section->n_fences > 0)
            rb_error(r->rb, "phase-class", section->at,
                     "Begin the title with Expand, Migrate, Switch or Contract, or write the class behind it: "
                     "## Fill {migrate}. SQL that is only shown belongs into a fence of another language, as ```text.",
                     "\"%s\" does not say which kind of phase it is", section->title);
        return;
    }
    if (section->n_fences == 0 && !section->certain)
        return; /* "Release notes" is prose */
    if (r->phases == ZDM_PHASES_MAX - 2) {
        rb_error(r->rb, "too-many-phases", section->at, NULL, "there are more than %d phases", ZDM_PHASES_MAX - 2);
        return;
    }
    const char *prose = prose_of(r, section->first_line, end);
    struct rb_phase *phase =
        rb_phase_add(r->rb, (enum zdm_phase_class)section->class, section->title, prose, section->at);
    phase->fences = section->fences;
    phase->n_fences = section->n_fences;
    r->phases++;
}

/* "Phase 3: …", "Step 3 …", "3. …": the title without that; else NULL. */
static const char *behind_number(const char *title, unsigned *out_number)
{
    bool word = rb_same_start(title, "phase ", 6) || rb_same_start(title, "step ", 5);
    size_t bare = strspn(title, "0123456789");
    if (!word && (bare == 0 || (title[bare] != '.' && title[bare] != ')')))
        return NULL;
    const char *p = word ? strchr(title, ' ') + 1 : title, *digits = p;
    for (*out_number = 0; *p >= '0' && *p <= '9' && *out_number < 1000; p++)
        *out_number = *out_number * 10 + (unsigned)(*p - '0');
    if (p == digits)
        return NULL;
    while (*p == ':' || *p == '.' || *p == '-' || *p == ' ' || *p == ')')
        p++;
    return p;
}

static size_t trim_end(const char *text, size_t start, size_t end)
{
    while (end > start && rb_is_blank(text[end - 1]))
        end--;
    return end;
}

/* "Phase 2: Fill" -> "Fill"; other titles as they are. Warns of a number that is out of order. */
static const char *plain_title(struct reader *r, const char *title, struct rb_place at)
{
    unsigned number;
    const char *rest = behind_number(title, &number);
    if (rest == NULL)
        return title;
    if (number != r->phases + 1)
        rb_warning(r->rb, "phase-number", at, "The plan counts phases itself, from 1.",
                   "this is phase %u of the plan, not %u", r->phases + 1, number);
    return *rest == '\0' ? title : rest;
}

/* One word, or two that count as one. */
static bool is_short(const char *title)
{
    static const char *const pairs[] = {"cut over", "roll out", "clean up"};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (rb_same_word(title, pairs[i]))
            return true;
    }
    return strchr(title, ' ') == NULL;
}

static void read_phase_heading(struct reader *r, uint32_t line, uint32_t end_line)
{
    size_t n, start = 0;
    const char *text = rb_line(r->rb, line, &n);
    struct rb_attributes attributes = {.n = 0};
    struct section *section = rb_alloc(r->rb, sizeof *section);
    bool ok = true;
    while (start < n && (text[start] == ' ' || text[start] == '#'))
        start++;
    size_t end = trim_end(text, start, n);
    const char *brace = end > start ? memchr(text + start, '{', end - start) : NULL;
    if (brace != NULL && text[end - 1] == '}') {
        ok = rb_attributes_read(r->rb, line, (size_t)(brace - text), end, &attributes);
        end = (size_t)(brace - text);
    }
    while (end > start && (rb_is_blank(text[end - 1]) || text[end - 1] == '#'))
        end--;
    const char *title = rb_copy(r->rb, text + start, end - start);
    section->at = rb_place_in_line(r->rb, line, start);
    section->first_line = end_line + 1;
    section->class = class_of_attribute(&attributes);
    if (ok && attributes.n > 0 && section->class == 0)
        rb_error(r->rb, "phase-attribute", attributes.items[0].at,
                 "Write one of {expand}, {migrate}, {switch}, {contract}.", "\"%s\" is no class of phases",
                 attributes.items[0].key);
    unsigned number;
    section->certain = section->class != 0 || behind_number(title, &number) != NULL || is_short(title);
    if (section->class == 0)
        section->class = class_of_title(title);
    section->title = section->class == 0 ? title : plain_title(r, title, section->at);
    r->section = section;
}

static void read_heading(struct reader *r, cmark_node *node)
{
    int level = cmark_node_get_heading_level(node);
    if (level > 2 || cmark_node_get_type(cmark_node_parent(node)) != CMARK_NODE_DOCUMENT)
        return;
    uint32_t line = (uint32_t)cmark_node_get_start_line(node) + r->offset;
    uint32_t end_line = (uint32_t)cmark_node_get_end_line(node) + r->offset;
    if (level == 2) {
        close_section(r, line);
        read_phase_heading(r, line, end_line);
    } else if (r->rb->title == NULL) {
        size_t n, start = 0;
        const char *text = rb_line(r->rb, line, &n);
        while (start < n && (text[start] == ' ' || text[start] == '#'))
            start++;
        r->rb->title = rb_copy(r->rb, text + start, trim_end(text, start, n) - start);
    }
}

/* ---- fences ---- */

static bool is_quoted(cmark_node *node)
{
    for (cmark_node *up = cmark_node_parent(node); up != NULL; up = cmark_node_parent(up)) {
        if (cmark_node_get_type(up) == CMARK_NODE_BLOCK_QUOTE)
            return true;
    }
    return false;
}

static bool is_closed(const struct rb *rb, uint32_t first, uint32_t last, char mark)
{
    size_t n, marks = 0;
    const char *text = rb_line(rb, last, &n);
    n = trim_end(text, 0, n);
    while (n > 0 && text[n - 1] == mark) {
        n--;
        marks++;
    }
    return last > first && marks >= 3;
}

static void add_fence(struct reader *r, struct rb_fence *fence)
{
    struct rb *rb = r->rb;
    struct section *section = r->section;
    if (section == NULL) {
        rb_error(rb, "fence-outside-phase", fence->at, "Put a heading in front: ## Phase 1: Expand.",
                 "this fence stands before the first phase");
        return;
    }
    if (rb->n_fences == RB_FENCES_MAX) {
        rb_error(rb, "too-many-fences", fence->at, NULL, "there are more than %d fences", RB_FENCES_MAX);
        return;
    }
    if (section->n_fences == section->fences_cap) {
        struct rb_fence **grown = rb_alloc(rb, (2 * section->fences_cap + 4) * sizeof *grown);
        if (section->n_fences > 0)
            memcpy(grown, section->fences, section->n_fences * sizeof *grown);
        section->fences = grown;
        section->fences_cap = 2 * section->fences_cap + 4;
    }
    section->fences[section->n_fences++] = fence;
    rb->n_fences++;
}

/* A language that is not executed: is it one that somebody may take for one that is? */
static void judge_language(struct reader *r, const char *language, struct rb_place at)
{
    static const char *const near_sql[] = {"pgsql", "postgres", "postgresql", "psql", "plpgsql", "sql;", "mysql", NULL};
    for (size_t i = 0; near_sql[i] != NULL; i++) {
        if (strcmp(language, near_sql[i]) == 0)
            rb_warning(r->rb, "fence-language", at, "Write ```sql where it shall be run.",
                       "a fence of language %s is documentation and is not run", language);
    }
    if (strcmp(language, "hook") == 0)
        rb_error(
            r->rb, "hook-fence", at,
            "End the phase here: the next one starts when you call zdmctl advance, after you did it by hand. Where "
            "a query tells that it is done, write a ```wait fence.",
            "hook fences are not supported by this release");
    else if (strcmp(language, "flags") == 0 || strcmp(language, "sqll") == 0 || strcmp(language, "waits") == 0)
        rb_warning(r->rb, "fence-language", at, "Write ```sql, ```flag or ```wait where it shall be run.",
                   "a fence of language %s is documentation and is not run", language);
}

/* A block that is code by its indentation, whose first line looks like a fence that is run. */
static bool is_indented(struct reader *r, cmark_node *node, const char *text, size_t n, struct rb_place at)
{
    const char *literal = cmark_node_get_literal(node);
    size_t length = strcspn(literal, "\r\n");
    bool same = length >= 3 && length <= n && memcmp(text + n - length, literal, length) == 0;
    if (!same || literal[0] != text[n - length])
        return false;
    size_t marks = strspn(literal, "`~");
    marks += strspn(literal + marks, " ");
    if (marks >= 3 && (rb_same_start(literal + marks, "sql", 3) || rb_same_start(literal + marks, "flag", 4) ||
                       rb_same_start(literal + marks, "wait", 4)))
        rb_warning(r->rb, "fence-indented", at,
                   "Indent it by three spaces at most, without a tab, where it shall be run.",
                   "a fence that is indented by four columns is documentation and is not run");
    return true;
}

/* A condition is read by one engine, or by each. */
static bool judge_wait(struct rb *rb, struct rb_fence *fence)
{
    for (size_t i = 0; i < fence->attributes.n; i++) {
        const struct rb_attribute *a = &fence->attributes.items[i];
        if (strcmp(a->key, "engine") != 0) {
            rb_error(rb, "attribute-unknown", a->at, "Write the wait's keys inside the fence.",
                     "a wait fence has no attribute \"%s\"", a->key);
            return false;
        }
        if (!rb_attribute_engine(rb, fence, a))
            return false;
    }
    return true;
}

static void read_fence(struct reader *r, cmark_node *node)
{
    struct rb *rb = r->rb;
    uint32_t line = (uint32_t)cmark_node_get_start_line(node) + r->offset;
    uint32_t end_line = (uint32_t)cmark_node_get_end_line(node) + r->offset;
    for (uint32_t i = line; i <= end_line && i <= rb->n_lines; i++)
        r->is_fence[i] = true;
    size_t n, at = (size_t)cmark_node_get_start_column(node) - 1;
    const char *text = rb_line(rb, line, &n);
    while (at < n && rb_is_blank(text[at]))
        at++;
    char mark = at < n ? text[at] : '\0';
    if ((mark != '`' && mark != '~') || is_indented(r, node, text, n, rb_place_in_line(rb, line, at)))
        return; /* an indented block */
    while (at < n && text[at] == mark)
        at++;
    while (at < n && rb_is_blank(text[at]))
        at++;
    size_t end = trim_end(text, at, n), word = at;
    while (word < end && !rb_is_blank(text[word]) && text[word] != '{')
        word++;
    char *language = rb_copy(rb, text + at, word - at);
    for (char *p = language; *p != '\0'; p++)
        *p = rb_lower(*p);
    struct rb_place place = rb_place_in_line(rb, line, at);
    bool sql = strcmp(language, "sql") == 0, flag = strcmp(language, "flag") == 0;
    if (is_quoted(node)) {
        if (sql)
            rb_warning(rb, "fence-quoted", place, "Take it out of the quotation where it shall be run.",
                       "a fence inside a quotation is documentation and is not run");
        return;
    }
    if (!sql && !flag && strcmp(language, "wait") != 0) {
        judge_language(r, language, place);
        return;
    }
    const char *literal = cmark_node_get_literal(node);
    struct rb_fence *fence = rb_alloc(rb, sizeof *fence);
    *fence = (struct rb_fence){.kind = sql    ? RB_FENCE_SQL
                                       : flag ? RB_FENCE_FLAG
                                              : RB_FENCE_WAIT,
                               .line = line + 1,
                               .at = place};
    fence->text = rb_copy(rb, literal, strlen(literal));
    if (!is_closed(rb, line, end_line, mark)) {
        rb_error(rb, "fence-open", place, "End it with a line of ```.", "the fence has no end");
        return;
    }
    while (word < end && rb_is_blank(text[word]))
        word++;
    if (word < end && text[word] != '{') {
        rb_error(rb, "attribute-syntax", rb_place_in_line(rb, line, word),
                 "Put attributes in braces: ```sql {batch=2000}.", "unexpected text behind the fence's language");
        return;
    }
    if (word < end && !rb_attributes_read(rb, line, word, end, &fence->attributes))
        return;
    if (sql && !rb_attributes_of_sql(rb, fence))
        return;
    if (fence->kind == RB_FENCE_WAIT && !judge_wait(rb, fence))
        return;
    add_fence(r, fence);
}

void rb_markdown_read(struct rb *rb)
{
    struct reader r = {.rb = rb};
    while (r.offset < rb->n_lines && rb->lines[r.offset] < rb->body)
        r.offset++;
    r.is_fence = rb_alloc(rb, (rb->n_lines + 2) * sizeof *r.is_fence);
    cmark_node *document = cmark_parse_document(rb->text + rb->body, rb->n - rb->body, CMARK_OPT_DEFAULT);
    cmark_iter *iter = cmark_iter_new(document);
    for (cmark_event_type event = cmark_iter_next(iter); event != CMARK_EVENT_DONE; event = cmark_iter_next(iter)) {
        cmark_node *node = cmark_iter_get_node(iter);
        if (event != CMARK_EVENT_ENTER)
            continue;
        if (cmark_node_get_type(node) == CMARK_NODE_HEADING)
            read_heading(&r, node);
        else if (cmark_node_get_type(node) == CMARK_NODE_CODE_BLOCK)
            read_fence(&r, node);
    }
    close_section(&r, (uint32_t)rb->n_lines + 1);
    cmark_iter_free(iter);
    cmark_node_free(document);
}
