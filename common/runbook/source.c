/*
 * source.c - the text of a runbook: lines, positions, findings, and the memory of one compilation.
 *
 * A column counts characters (code points), as editors do; a tab is one. Text inside a fence is a line of the file
 * without the prefix that Markdown took off (list indentation), so its position is found from the right: the tail of
 * the line is the same in both.
 */
#include "common/runbook/compile.h"
#include "common/runbook/postgresql/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rb_chunk {
    struct rb_chunk *next;
    max_align_t data[];
};

static void *checked(void *memory)
{
    if (memory == NULL) {
        fputs("out of memory while compiling a runbook\n", stderr);
        abort();
    }
    return memory;
}

void *rb_alloc(struct rb *rb, size_t n)
{
    struct rb_chunk *chunk = checked(calloc(1, sizeof *chunk + n));
    chunk->next = rb->chunks;
    rb->chunks = chunk;
    return chunk->data;
}

char *rb_copy(struct rb *rb, const char *text, size_t n)
{
    char *copy = rb_alloc(rb, n + 1);
    memcpy(copy, text, n);
    return copy;
}

static ZDM_PRINTF(1, 0) char *vformat(const char *fmt, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, fmt, args) < 0)
        text = NULL;
    return checked(text);
}

char *rb_format(struct rb *rb, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = vformat(fmt, args);
    va_end(args);
    char *copy = rb_copy(rb, text, strlen(text));
    free(text);
    return copy;
}

void *rb_heap(size_t n)
{
    return checked(calloc(1, n));
}

char *rb_dup(const char *text)
{
    return text == NULL ? NULL : checked(strdup(text));
}

char *rb_take(struct rb *rb, struct zdm_buffer *b)
{
    checked(b->failed ? NULL : b);
    char *copy = rb_copy(rb, zdm_buffer_text(b), b->len);
    zdm_buffer_fini(b);
    return copy;
}

void rb_fini(struct rb *rb)
{
    rb_trees_free(rb);
    for (struct rb_fill *fill = rb->fills; fill != NULL; fill = fill->next)
        zdm_derivation_free(fill->compared); /* the plan had errors */
    for (size_t i = 0; i < rb->n_findings; i++) {
        free(rb->findings[i].rule);
        free(rb->findings[i].message);
        free(rb->findings[i].hint);
    }
    free(rb->findings);
    while (rb->chunks != NULL) {
        struct rb_chunk *next = rb->chunks->next;
        free(rb->chunks);
        rb->chunks = next;
    }
}

/* Length of the UTF-8 character at p, 0 when it is none. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return p[0] == 0 ? 0 : 1;
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool beyond = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    return overlong || beyond ? 0 : len;
}

static size_t count_characters(const char *text, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

bool rb_source_open(struct rb *rb)
{
    size_t n_lines = 1;
    for (size_t i = 0; i < rb->n; i++)
        n_lines += rb->text[i] == '\n';
    rb->lines = rb_alloc(rb, (n_lines + 1) * sizeof *rb->lines);
    rb->n_lines = 1;
    size_t bad = rb->n;
    for (size_t i = 0; i < rb->n;) {
        size_t len = utf8_length((const unsigned char *)rb->text + i, rb->n - i);
        if (len == 0 && bad == rb->n)
            bad = i;
        if (rb->text[i] == '\n')
            rb->lines[rb->n_lines++] = i + 1;
        i += len == 0 ? 1 : len;
    }
    rb->lines[rb->n_lines] = rb->n + 1;
    if (bad == rb->n)
        return true;
    uint32_t line = 1;
    while (line < rb->n_lines && rb->lines[line] <= bad)
        line++;
    rb_error(rb, "utf-8", rb_place_in_line(rb, line, bad - rb->lines[line - 1]), "Save the file as UTF-8.",
             rb->text[bad] == '\0' ? "the file holds a NUL byte" : "the file is not valid UTF-8");
    return false;
}

const char *rb_line(const struct rb *rb, uint32_t line, size_t *out_n)
{
    if (line == 0 || line > rb->n_lines) {
        *out_n = 0;
        return "";
    }
    const char *text = rb->text + rb->lines[line - 1];
    size_t n = rb->lines[line] - 1 - rb->lines[line - 1];
    if (n > 0 && text[n - 1] == '\r')
        n--;
    *out_n = n;
    return text;
}

struct rb_place rb_place_in_line(const struct rb *rb, uint32_t line, size_t byte)
{
    size_t n;
    const char *text = rb_line(rb, line, &n);
    return (struct rb_place){line, 1 + (uint32_t)count_characters(text, byte < n ? byte : n)};
}

struct rb_place rb_place_in_fence(const struct rb *rb, const struct rb_fence *fence, size_t byte)
{
    uint32_t line = fence->line;
    const char *start = fence->text;
    const char *at = fence->text + (byte < strlen(fence->text) ? byte : strlen(fence->text));
    for (const char *p = start; p < at; p++) {
        if (*p == '\n') {
            line++;
            start = p + 1;
        }
    }
    size_t inside = strcspn(start, "\r\n");
    size_t n;
    rb_line(rb, line, &n);
    size_t prefix = n > inside ? n - inside : 0;
    return rb_place_in_line(rb, line, prefix + (size_t)(at - start));
}

char rb_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool rb_is_letter(char c)
{
    return rb_lower(c) >= 'a' && rb_lower(c) <= 'z';
}

bool rb_is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool rb_same_start(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (a[i] == '\0' || rb_lower(a[i]) != rb_lower(b[i]))
            return false;
    }
    return true;
}

bool rb_same_word(const char *a, const char *b)
{
    size_t n = strlen(a);
    return n == strlen(b) && rb_same_start(a, b, n);
}

void rb_report(struct rb *rb, enum zdm_level level, const char *rule, struct rb_place at, const char *hint,
               const char *fmt, ...)
{
    if (level == ZDM_LEVEL_ERROR)
        rb->n_errors++;
    if (rb->n_findings >= RB_FINDINGS_MAX)
        return;
    if (!ZDM_RESERVE(rb->findings, rb->findings_cap, rb->n_findings + 1))
        checked(NULL);
    struct zdm_finding *finding = &rb->findings[rb->n_findings++];
    *finding = (struct zdm_finding){.level = level, .line = at.line, .column = at.column};
    finding->rule = rb_dup(rule);
    finding->hint = rb_dup(hint == NULL ? "" : hint);
    if (rb->n_findings == RB_FINDINGS_MAX) {
        finding->level = rb->n_errors > 0 ? ZDM_LEVEL_ERROR : ZDM_LEVEL_NOTE;
        finding->message = rb_dup("there are more findings than are shown");
        return;
    }
    va_list args;
    va_start(args, fmt);
    finding->message = vformat(fmt, args);
    va_end(args);
}

void rb_finding_move(struct rb *rb, struct zdm_finding *finding)
{
    if (!ZDM_RESERVE(rb->findings, rb->findings_cap, rb->n_findings + 1))
        checked(NULL);
    rb->findings[rb->n_findings++] = *finding;
    *finding = (struct zdm_finding){.line = 0};
}

/* Edits (insert, delete, replace) from a to b; words are short. */
static size_t distance(const char *a, const char *b)
{
    enum { WORD_MAX = 32 };
    size_t n = strlen(a), m = strlen(b), row[WORD_MAX + 1];
    if (n > WORD_MAX || m > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t replace = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            size_t other = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            row[j] = replace < other ? replace : other;
        }
    }
    return row[m];
}

const char *rb_nearest(const char *word, const char *const *words)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) < 5 ? 2 : 3;
    for (size_t i = 0; words[i] != NULL; i++) {
        size_t d = distance(word, words[i]);
        if (d <= best_distance && d < strlen(words[i])) {
            best = words[i];
            best_distance = d == 0 ? 0 : d - 1;
        }
    }
    return best;
}

bool rb_number(const char *text, uint32_t max, uint32_t *out)
{
    uint64_t value = 0;
    if (*text == '\0')
        return false;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p < '0' || *p > '9')
            return false;
        value = value * 10 + (uint64_t)(*p - '0');
        if (value > max)
            return false;
    }
    *out = (uint32_t)value;
    return true;
}

bool rb_percent(const char *text, uint32_t *out)
{
    char digits[4];
    size_t n = strlen(text);
    if (n < 2 || n > 4 || text[n - 1] != '%')
        return false;
    memcpy(digits, text, n - 1);
    digits[n - 1] = '\0';
    return rb_number(digits, 100, out) && *out > 0;
}

bool rb_duration(const char *text, int64_t *out_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"w", 604800000}};
    const int64_t limit = INT64_C(366) * 86400000;
    int64_t total = 0;
    const char *p = text;
    while (*p != '\0') {
        int64_t value = 0;
        const char *digits = p;
        for (; *p >= '0' && *p <= '9'; p++) {
            value = value * 10 + (*p - '0');
            if (value > limit)
                return false;
        }
        size_t n = strspn(p, "mshdw");
        int64_t factor = 0;
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
            if (strlen(units[i].unit) == n && strncmp(units[i].unit, p, n) == 0)
                factor = units[i].ms;
        }
        if (p == digits || factor == 0 || value > limit / factor)
            return false;
        total += value * factor;
        p += n;
        if (total > limit)
            return false;
    }
    *out_ms = total;
    return p != text;
}
