/*
 * view_shards.c - the shards on the page of `status`: the summary, a line and a reason for each, groups of many.
 *
 * The widths of all columns are measured over the shards that are listed; the bar takes what is left of the line. So
 * the page uses a wide terminal and still fits into 80 columns.
 */
#include "coordinator/ctl/view/view_page.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/limits.h"

enum { BAR_MIN = 6, BAR_MAX = 32, NAME_MIN = 6, STEP_MAX = 20, GAP = 2, PERCENT = 5, CELL_MAX = 48, NAMED_MAX = 3 };

/* Rows of several shards together. */
struct total {
    size_t n;
    const char *names[NAMED_MAX]; /* the first of them */
    uint64_t done, of, per_s;
    int64_t eta_s;
    const char *reason; /* when all have the same, else NULL */
};

static const char *const phrases[CTL_SHARD_WORDS] = {
    [CTL_SHARD_FAILED] = "failed",
    [CTL_SHARD_UNSURE] = "unsure",
    [CTL_SHARD_NO_DATABASE] = "without database",
    [CTL_SHARD_AWAY] = "away",
    [CTL_SHARD_BLOCKED] = "blocked",
    [CTL_SHARD_PARKED] = "parked",
    [CTL_SHARD_RETRYING] = "retrying",
    [CTL_SHARD_THROTTLED] = "throttled",
    [CTL_SHARD_UNDOING] = "undoing",
    [CTL_SHARD_WORKING] = "working",
    [CTL_SHARD_PAUSING] = "pausing",
    [CTL_SHARD_PAUSED] = "paused",
    [CTL_SHARD_ROLLED_BACK] = "rolled back",
    [CTL_SHARD_WAITING] = "waiting",
    [CTL_SHARD_FINISHED] = "finished phase",
    [CTL_SHARD_EXCLUDED] = "excluded",
    [CTL_SHARD_UNDONE] = "undone",
    [CTL_SHARD_DONE] = "done",
};

/* ---- Totals ---- */

static void add_up(struct total *t, const struct ctl_shard *s)
{
    t->reason = t->n == 0 || (t->reason != NULL && strcmp(t->reason, s->reason) == 0) ? s->reason : NULL;
    if (t->n < NAMED_MAX)
        t->names[t->n] = s->name;
    t->n++;
    t->done += s->rows_done;
    t->of += s->rows_total;
    t->per_s += s->rows_per_s;
    if (s->eta_s > t->eta_s)
        t->eta_s = s->eta_s;
}

static void rows_text(char *out, size_t size, uint64_t done, uint64_t of)
{
    char a[16], b[16];
    ctl_number_text(a, sizeof a, done);
    ctl_number_text(b, sizeof b, of);
    snprintf(out, size, "%s/%s", a, b);
}

static void total_text(struct zdm_buffer *out, const struct total *t, const char *separator)
{
    char rows[40], rate[16], eta[32];
    if (t->of == 0)
        return;
    rows_text(rows, sizeof rows, t->done, t->of);
    ctl_number_text(rate, sizeof rate, t->per_s);
    zdm_buffer_printf(out, "%s%s rows", separator, rows);
    if (t->per_s > 0)
        zdm_buffer_printf(out, ", %s/s", rate);
    if (t->eta_s >= 0) {
        ctl_seconds_text(eta, sizeof eta, t->eta_s);
        zdm_buffer_printf(out, ", %s left", eta);
    }
}

static void phrase(struct zdm_buffer *out, const struct ctl_page *p, size_t n, enum ctl_shard_word word)
{
    zdm_buffer_printf(out, "%zu %s", n, phrases[word]);
    if (word == CTL_SHARD_FINISHED)
        zdm_buffer_printf(out, " %" PRId64, p->phase);
}

void ctl_page_summary(struct ctl_page *p)
{
    struct zdm_buffer line = ZDM_BUFFER_INIT;
    struct total words[CTL_SHARD_WORDS] = {{0}}, all = {.eta_s = -1};
    const char *comma = ": ";
    for (size_t i = 0; i < p->n_shards; i++) {
        add_up(&words[p->shards[i].word], &p->shards[i]);
        add_up(&all, &p->shards[i]);
    }
    zdm_buffer_printf(&line, "%zu shard%s", p->n_shards, p->n_shards == 1 ? "" : "s");
    for (int w = 0; w < CTL_SHARD_WORDS; w++) {
        if (words[w].n == 0)
            continue;
        zdm_buffer_puts(&line, comma);
        phrase(&line, p, words[w].n, (enum ctl_shard_word)w);
        comma = ", ";
    }
    total_text(&line, &all, ctl_dot(p->look));
    ctl_wrap(p->out, p->look, CTL_PLAIN, zdm_buffer_text(&line), 0, CTL_PAGE_INDENT);
    zdm_buffer_fini(&line);
}

/* ---- The table of shards ---- */

struct columns {
    size_t name, word, step, rows, rate, eta, bar;
};

static void measure_cell(size_t *width, const char *text, const struct ctl_look *look)
{
    size_t n = ctl_columns(look, text);
    if (n > *width)
        *width = n;
}

/* The cells of one shard's line that are numbers. */
static void number_cells(const struct ctl_shard *s, char rows[CELL_MAX], char rate[CELL_MAX], char eta[CELL_MAX])
{
    rows[0] = rate[0] = eta[0] = '\0';
    if (s->rows_total == 0)
        return;
    rows_text(rows, CELL_MAX, s->rows_done, s->rows_total);
    if (s->rows_per_s > 0) {
        char number[16];
        ctl_number_text(number, sizeof number, s->rows_per_s);
        snprintf(rate, CELL_MAX, "%s/s", number);
    }
    if (s->eta_s >= 0)
        ctl_seconds_text(eta, CELL_MAX, s->eta_s);
}

static size_t gap(size_t width)
{
    return width > 0 ? width + GAP : 0;
}

/* All but the name and the bar. */
static size_t fixed_columns(const struct columns *c)
{
    return gap(c->word) + gap(c->step) + gap(c->rows) + gap(c->rate) + gap(c->eta) + PERCENT + 1;
}

/* Without numbers a shorter bar lets the reasons stand beside it. */
static void make_room_for_reasons(const struct ctl_page *p, const struct ctl_shard *const *listed, size_t n,
                                  struct columns *c)
{
    size_t reason = 0, least = 12;
    for (size_t i = 0; i < n; i++)
        measure_cell(&reason, listed[i]->reason, p->look);
    size_t used = fixed_columns(c) + c->name + GAP + reason;
    if (reason > 0 && used + least <= p->look->width && used + c->bar > p->look->width)
        c->bar = p->look->width - used;
}

static struct columns measure(const struct ctl_page *p, const struct ctl_shard *const *listed, size_t n)
{
    struct columns c = {.name = NAME_MIN};
    char rows[CELL_MAX], rate[CELL_MAX], eta[CELL_MAX];
    for (size_t i = 0; i < n; i++) {
        number_cells(listed[i], rows, rate, eta);
        measure_cell(&c.name, listed[i]->name, p->look);
        measure_cell(&c.word, ctl_shard_word_text(listed[i]->word), p->look);
        measure_cell(&c.step, listed[i]->step, p->look);
        measure_cell(&c.rows, rows, p->look);
        measure_cell(&c.rate, rate, p->look);
        measure_cell(&c.eta, eta, p->look);
    }
    if (c.step > STEP_MAX)
        c.step = STEP_MAX;
    /* What gives way in a narrow terminal, in this order: the time that is left says as much as the rate. */
    size_t *const droppable[] = {&c.rate, &c.step, &c.eta, &c.rows};
    for (size_t i = 0; i < sizeof droppable / sizeof droppable[0]; i++)
        if (fixed_columns(&c) + gap(c.name) + BAR_MIN > p->look->width)
            *droppable[i] = 0;
    size_t fixed = fixed_columns(&c);
    size_t room = p->look->width > fixed ? p->look->width - fixed : 0;
    if (gap(c.name) + BAR_MIN > room)
        c.name = room > gap(NAME_MIN) + BAR_MIN ? room - BAR_MIN - GAP : NAME_MIN;
    c.bar = room > gap(c.name) ? room - gap(c.name) : 0;
    c.bar = c.bar > BAR_MAX ? BAR_MAX : c.bar;
    if (c.rows == 0)
        make_room_for_reasons(p, listed, n, &c);
    return c;
}

static void cell(struct ctl_page *p, enum ctl_style style, const char *text, size_t width, bool right)
{
    if (width == 0)
        return;
    ctl_repeat(p->out, ' ', GAP);
    ctl_cell(p->out, p->look, style, text, width, right);
}

static void trim(struct zdm_buffer *out)
{
    while (!out->failed && out->len > 0 && out->data[out->len - 1] == ' ')
        out->data[--out->len] = '\0';
}

static bool is_beside(const struct ctl_page *p, const struct columns *c, const struct ctl_shard *s)
{
    size_t column = c->name + gap(c->word) + gap(c->step) + c->bar + 1 + PERCENT;
    return s->rows_total == 0 && column + GAP + ctl_columns(p->look, s->reason) <= p->look->width;
}

static void put_hint(struct ctl_page *p, const struct ctl_shard *s)
{
    static const char label[] = "hint: ";
    if (s->hint[0] == '\0')
        return;
    ctl_repeat(p->out, ' ', CTL_PAGE_INDENT);
    ctl_put(p->out, p->look, CTL_DIM, label);
    ctl_wrap(p->out, p->look, CTL_PLAIN, s->hint, CTL_PAGE_INDENT + sizeof label - 1, CTL_PAGE_INDENT);
}

/* Beside the bar where no numbers stand and it fits, else below; below once for `alike` shards in a row (0: not here).
 */
static void put_reason(struct ctl_page *p, const struct columns *c, const struct ctl_shard *s, size_t alike)
{
    enum ctl_style style = s->word <= CTL_SHARD_UNSURE ? CTL_BAD : CTL_DIM;
    bool beside = is_beside(p, c, s);
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    if (s->reason[0] != '\0' && beside) {
        ctl_repeat(p->out, ' ', GAP + (s->permille < 0 ? PERCENT + 1 : 0));
        ctl_put(p->out, p->look, style, s->reason);
    }
    zdm_buffer_puts(p->out, "\n");
    if (s->reason[0] == '\0' || beside || alike == 0) {
        if (alike > 0)
            put_hint(p, s);
        return;
    }
    if (alike > 1)
        zdm_buffer_printf(&text, "these %zu: ", alike);
    zdm_buffer_puts(&text, s->reason);
    ctl_repeat(p->out, ' ', CTL_PAGE_INDENT);
    ctl_wrap(p->out, p->look, style, zdm_buffer_text(&text), CTL_PAGE_INDENT, CTL_PAGE_INDENT);
    zdm_buffer_fini(&text);
    put_hint(p, s);
}

/* Names of shards differ at their end, so a long one loses its middle. */
static void put_name(struct ctl_page *p, const char *name, size_t width)
{
    char text[ZDM_NAME_MAX + 8];
    size_t n = strlen(name), tail = width / 2;
    if (n <= width || n > ZDM_NAME_MAX) {
        ctl_cell(p->out, p->look, CTL_PLAIN, name, width, false);
        return;
    }
    snprintf(text, sizeof text, "%.*s%s%s", (int)(width - tail - 1), name, p->look->unicode ? "…" : "~",
             name + n - tail);
    ctl_cell(p->out, p->look, CTL_PLAIN, text, width, false);
}

static void put_shard(struct ctl_page *p, const struct columns *c, const struct ctl_shard *s, size_t alike)
{
    char rows[CELL_MAX], rate[CELL_MAX], eta[CELL_MAX], percent[16] = "";
    number_cells(s, rows, rate, eta);
    if (s->permille >= 0)
        snprintf(percent, sizeof percent, "%d %%", s->permille / 10);
    put_name(p, s->name, c->name);
    cell(p, s->style, ctl_shard_word_text(s->word), c->word, false);
    cell(p, CTL_PLAIN, s->step, c->step, false);
    if (c->bar >= BAR_MIN) {
        ctl_repeat(p->out, ' ', GAP);
        ctl_bar(p->out, p->look, s->permille, c->bar - GAP);
        zdm_buffer_puts(p->out, " ");
    }
    ctl_cell(p->out, p->look, CTL_PLAIN, percent, PERCENT, true);
    cell(p, CTL_PLAIN, rows, c->rows, true);
    cell(p, CTL_PLAIN, rate, c->rate, true);
    cell(p, CTL_PLAIN, eta, c->eta, true);
    trim(p->out);
    put_reason(p, c, s, alike);
}

static void put_list(struct ctl_page *p, const struct ctl_shard *const *listed, size_t n)
{
    struct columns c = measure(p, listed, n);
    size_t alike = 0;
    for (size_t i = 0; i < n; i++) {
        const struct ctl_shard *s = listed[i], *next = i + 1 < n ? listed[i + 1] : NULL;
        bool goes_on = next != NULL && next->word == s->word && strcmp(next->reason, s->reason) == 0 &&
                       strcmp(next->hint, s->hint) == 0;
        alike++;
        put_shard(p, &c, s, goes_on ? 0 : alike);
        alike = goes_on ? alike : 0;
    }
}

/* "shard-1, shard-4", or "57 more shards" */
static void put_who(struct zdm_buffer *line, const struct total *t, bool more)
{
    const char *noun = t->n == 1 ? "shard" : "shards";
    if (t->n > NAMED_MAX) {
        zdm_buffer_printf(line, "%zu %s%s", t->n, more ? "more " : "", noun);
        return;
    }
    for (size_t i = 0; i < t->n; i++)
        zdm_buffer_printf(line, "%s%s", i > 0 ? ", " : "", t->names[i]);
}

/* Who, what, and why where all have the same reason. One that begins with the word, or has it soon, says it itself. */
static void group_text(struct zdm_buffer *line, const struct ctl_page *p, const struct total *t,
                       enum ctl_shard_word word, bool more)
{
    enum { SOON = 16 };
    bool moves = t->per_s > 0 && t->of > 0;
    const char *reason = !moves && t->reason != NULL ? t->reason : "", *said = strstr(reason, phrases[word]);
    put_who(line, t, more);
    if (said == reason && said[0] != '\0') {
        zdm_buffer_printf(line, " %s", reason);
        return;
    }
    if (said != NULL && said - reason < SOON && said[0] != '\0') {
        zdm_buffer_printf(line, ": %s", reason);
        return;
    }
    zdm_buffer_printf(line, " %s", phrases[word]);
    if (word == CTL_SHARD_FINISHED)
        zdm_buffer_printf(line, " %" PRId64, p->phase);
    if (moves)
        total_text(line, t, ": ");
    else if (reason[0] != '\0')
        zdm_buffer_printf(line, ": %s", reason);
}

/* The shards that are not listed: one line for each state. */
static void put_groups(struct ctl_page *p, const bool *is_listed)
{
    struct total words[CTL_SHARD_WORDS] = {{0}};
    size_t listed[CTL_SHARD_WORDS] = {0};
    for (int w = 0; w < CTL_SHARD_WORDS; w++)
        words[w].eta_s = -1;
    for (size_t i = 0; i < p->n_shards; i++) {
        if (is_listed[i])
            listed[p->shards[i].word]++;
        else
            add_up(&words[p->shards[i].word], &p->shards[i]);
    }
    for (int w = 0; w < CTL_SHARD_WORDS; w++) {
        struct zdm_buffer line = ZDM_BUFFER_INIT;
        if (words[w].n == 0)
            continue;
        group_text(&line, p, &words[w], (enum ctl_shard_word)w, listed[w] > 0);
        ctl_wrap(p->out, p->look, CTL_PLAIN, zdm_buffer_text(&line), 0, CTL_PAGE_INDENT);
        zdm_buffer_fini(&line);
    }
}

void ctl_page_grouped(struct ctl_page *p, size_t budget)
{
    ZDM_CLEANUP(zdm_freep) const struct ctl_shard **listed = calloc(budget + 1, sizeof(struct ctl_shard *));
    ZDM_CLEANUP(zdm_freep) bool *is_listed = calloc(p->n_shards + 1, sizeof(bool));
    size_t n = 0;
    if (listed == NULL || is_listed == NULL) {
        p->out->failed = true;
        return;
    }
    for (int w = 0; w <= CTL_SHARD_PAUSING; w++) {
        for (size_t i = 0; i < p->n_shards && n < budget; i++) {
            if ((int)p->shards[i].word != w)
                continue;
            listed[n++] = &p->shards[i];
            is_listed[i] = true;
        }
    }
    put_list(p, listed, n);
    put_groups(p, is_listed);
}

void ctl_page_all(struct ctl_page *p)
{
    ZDM_CLEANUP(zdm_freep) const struct ctl_shard **listed = calloc(p->n_shards + 1, sizeof(struct ctl_shard *));
    if (listed == NULL) {
        p->out->failed = true;
        return;
    }
    for (size_t i = 0; i < p->n_shards; i++)
        listed[i] = &p->shards[i];
    put_list(p, listed, p->n_shards);
}
