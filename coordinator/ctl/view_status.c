/*
 * view_status.c - the page that `status` prints. See view_status.h.
 *
 * The widths of all columns are measured over the shards that are listed; the bar takes what is left of the line. So
 * the page uses a wide terminal and still fits into 80 columns.
 */
#include "coordinator/ctl/view_status.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/limits.h"
#include "coordinator/ctl/json.h"
#include "coordinator/ctl/shard_state.h"

enum { BAR_MIN = 6, BAR_MAX = 32, NAME_MIN = 6, STEP_MAX = 20, GAP = 2, REASON_INDENT = 4, PERCENT = 5, CELL_MAX = 48 };

struct page {
    struct zdm_buffer *out;
    const struct ctl_look *look;
    const json_t *status;
    int64_t phase; /* opened */
    struct ctl_shard *shards;
    size_t n_shards;
};

/* Rows of several shards together. */
struct total {
    size_t n;
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
    [CTL_SHARD_WAITING] = "waiting",
    [CTL_SHARD_FINISHED] = "finished phase",
    [CTL_SHARD_EXCLUDED] = "excluded",
    [CTL_SHARD_UNDONE] = "undone",
    [CTL_SHARD_DONE] = "done",
};

unsigned ctl_rows_of(const char *text)
{
    unsigned n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n' ? 1U : 0U;
    return n;
}

static const char *dot(const struct ctl_look *look)
{
    return look->unicode ? " · " : " - ";
}

/* ---- Head ---- */

static int64_t parse_time(const char *text)
{
    struct tm tm = {.tm_year = 0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    return end != NULL ? (int64_t)timegm(&tm) : -1;
}

static void put_title(struct page *p)
{
    const char *title = ctl_json_text(p->status, "title");
    const char *id = ctl_json_text(p->status, "migration");
    size_t column = ctl_columns(p->look, id);
    ctl_put(p->out, p->look, CTL_BOLD, id);
    if (title[0] != '\0') {
        zdm_buffer_puts(p->out, dot(p->look));
        ctl_wrap(p->out, p->look, CTL_PLAIN, title, column + 3, 4);
    } else {
        zdm_buffer_puts(p->out, "\n");
    }
}

static void put_origin(struct page *p)
{
    struct zdm_buffer line = ZDM_BUFFER_INIT;
    const char *now = ctl_json_text(p->status, "now");
    const char *by = ctl_json_text(p->status, "submitted_by");
    const char *hash = ctl_json_text(p->status, "plan_hash");
    int64_t at = parse_time(ctl_json_text(p->status, "submitted_at")), now_s = parse_time(now);
    char ago[32];
    zdm_buffer_printf(&line, "fleet %s", ctl_json_text(p->status, "fleet"));
    if (by[0] != '\0')
        zdm_buffer_printf(&line, "%ssubmitted by %s", dot(p->look), by);
    if (at >= 0 && now_s >= at) {
        ctl_seconds_text(ago, sizeof ago, now_s - at);
        zdm_buffer_printf(&line, " %s ago", ago);
    }
    if (hash[0] != '\0')
        zdm_buffer_printf(&line, "%splan %.12s", dot(p->look), hash);
    if (strlen(now) >= 19)
        zdm_buffer_printf(&line, "%sat %.8s UTC", dot(p->look), now + 11);
    ctl_wrap(p->out, p->look, CTL_DIM, zdm_buffer_text(&line), 0, 4);
    zdm_buffer_fini(&line);
}

/* One line that must not be overlooked. */
static void alarm_line(struct page *p, enum ctl_style style, const char *label, const char *text)
{
    ctl_put(p->out, p->look, style, label);
    zdm_buffer_puts(p->out, " ");
    ctl_wrap(p->out, p->look, CTL_PLAIN, text, ctl_columns(p->look, label) + 1, REASON_INDENT);
}

static void put_alarms(struct page *p)
{
    const json_t *coordinator = ctl_json_object(p->status, "coordinator");
    const char *mode = ctl_json_text(p->status, "mode");
    char text[160];
    if (ctl_json_true(coordinator, "fenced"))
        alarm_line(p, CTL_BAD, "FENCED:",
                   "this coordinator met an agent that is ahead of its log. It sends no orders. See OPERATIONS, "
                   "\"A fenced coordinator\".");
    if (ctl_json_true(coordinator, "full"))
        alarm_line(p, CTL_BAD,
                   "FULL:", "the coordinator cannot write its log: it takes no requests until its disk has room");
    if (ctl_json_true(coordinator, "frozen"))
        alarm_line(p, CTL_WARN, "frozen:", "no shard enters a phase until somebody types zdmctl thaw");
    if (strcmp(mode, "halted") == 0) {
        const char *by = ctl_json_text(p->status, "halted_by");
        snprintf(text, sizeof text, "no further shard enters a phase%s%.64s", by[0] != '\0' ? "; cause: " : "",
                 strcmp(by, "budget") == 0 ? "more shards failed than the failure budget allows" : by);
        alarm_line(p, CTL_BAD, "halted:", text);
    }
    if (strcmp(mode, "ended") == 0)
        alarm_line(p, CTL_GOOD, "ended:", ctl_json_text(p->status, "outcome"));
}

/* ---- The line of phases ---- */

static size_t count_not_excluded(const struct page *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_shards; i++)
        n += p->shards[i].word != CTL_SHARD_EXCLUDED ? 1 : 0;
    return n;
}

static void phase_cell(const struct page *p, const json_t *phase, size_t n_shards, struct zdm_buffer *cell,
                       enum ctl_style *style)
{
    int64_t number = ctl_json_int(phase, "number", 0), done = ctl_json_int(phase, "shards_done", 0);
    const json_t *gate = ctl_json_object(phase, "gate");
    bool unicode = p->look->unicode, ended = strcmp(ctl_json_text(p->status, "mode"), "ended") == 0;
    zdm_buffer_printf(cell, "%" PRId64 " %s", number, ctl_json_text(phase, "title"));
    *style = CTL_DIM;
    if (number > p->phase) {
        zdm_buffer_puts(cell, unicode ? " ○" : " [ ]");
    } else if (n_shards > 0 && done >= (int64_t)n_shards) {
        zdm_buffer_puts(cell, unicode ? " ✓" : " [x]");
        *style = CTL_GOOD;
    } else {
        zdm_buffer_printf(cell, "%s %" PRId64 "/%zu", unicode ? " ●" : " [*]", done, n_shards);
        *style = ended ? CTL_DIM : CTL_BUSY;
    }
    if (number == p->phase && gate != NULL && strcmp(ctl_json_text(gate, "state"), "passed") != 0)
        zdm_buffer_printf(cell, " (%s)", ctl_json_text(gate, "kind"));
}

static void put_phases(struct page *p)
{
    const json_t *phases = json_object_get(p->status, "phases"), *phase;
    const char *arrow = p->look->unicode ? " → " : " > ";
    size_t index, column = 0, n_shards = count_not_excluded(p);
    json_array_foreach(phases, index, phase)
    {
        struct zdm_buffer cell = ZDM_BUFFER_INIT;
        enum ctl_style style;
        phase_cell(p, phase, n_shards, &cell, &style);
        size_t columns = ctl_columns(p->look, zdm_buffer_text(&cell));
        if (index > 0 && column + 3 + columns > p->look->width) {
            zdm_buffer_puts(p->out, "\n ");
            column = 1;
        }
        if (index > 0) {
            zdm_buffer_puts(p->out, arrow);
            column += 3;
        }
        ctl_put(p->out, p->look, style, zdm_buffer_text(&cell));
        column += columns;
        zdm_buffer_fini(&cell);
    }
    if (json_array_size(phases) > 0)
        zdm_buffer_puts(p->out, "\n");
}

static void put_gate_and_barrier(struct page *p)
{
    const json_t *barrier = ctl_json_object(p->status, "barrier");
    const json_t *phases = json_object_get(p->status, "phases"), *phase;
    char text[256];
    size_t index;
    json_array_foreach(phases, index, phase)
    {
        const json_t *gate = ctl_json_object(phase, "gate");
        if (gate == NULL || ctl_json_int(phase, "number", 0) != p->phase ||
            strcmp(ctl_json_text(gate, "state"), "passed") == 0)
            continue;
        snprintf(text, sizeof text, "%.16s %.80s: %.32s", ctl_json_text(gate, "kind"), ctl_json_text(gate, "key"),
                 ctl_json_text(gate, "state"));
        alarm_line(p, CTL_WARN, "gate:", text);
    }
    int64_t missing = ctl_json_int(barrier, "missing", 0);
    if (missing > 0) {
        int64_t number = ctl_json_int(barrier, "phase", 0);
        snprintf(text, sizeof text,
                 "phase %" PRId64 " waits for %" PRId64 " of %" PRId64 " shards to finish phase %" PRId64, number,
                 missing, ctl_json_int(barrier, "of", 0), number - 1);
        alarm_line(p, CTL_WARN, "barrier:", text);
    }
}

/* ---- Totals ---- */

static void add_up(struct total *t, const struct ctl_shard *s)
{
    t->reason = t->n == 0 || (t->reason != NULL && strcmp(t->reason, s->reason) == 0) ? s->reason : NULL;
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

static void phrase(struct zdm_buffer *out, const struct page *p, size_t n, const char *noun, enum ctl_shard_word word)
{
    zdm_buffer_printf(out, "%zu %s%s%s", n, noun, noun[0] != '\0' ? " " : "", phrases[word]);
    if (word == CTL_SHARD_FINISHED)
        zdm_buffer_printf(out, " %" PRId64, p->phase);
}

/* "4 shards: 2 working, 2 finished phase 1 · 230k/800k rows, 36k/s, 22 s left" */
static void put_summary(struct page *p)
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
        phrase(&line, p, words[w].n, "", (enum ctl_shard_word)w);
        comma = ", ";
    }
    total_text(&line, &all, dot(p->look));
    ctl_wrap(p->out, p->look, CTL_PLAIN, zdm_buffer_text(&line), 0, REASON_INDENT);
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
static void make_room_for_reasons(const struct page *p, const struct ctl_shard *const *listed, size_t n,
                                  struct columns *c)
{
    size_t reason = 0, least = 12;
    for (size_t i = 0; i < n; i++)
        measure_cell(&reason, listed[i]->reason, p->look);
    size_t used = fixed_columns(c) + c->name + GAP + reason;
    if (reason > 0 && used + least <= p->look->width && used + c->bar > p->look->width)
        c->bar = p->look->width - used;
}

static struct columns measure(const struct page *p, const struct ctl_shard *const *listed, size_t n)
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

static void cell(struct page *p, enum ctl_style style, const char *text, size_t width, bool right)
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

/* Beside the bar where no numbers stand and it fits, else below. */
static void put_reason(struct page *p, const struct columns *c, const struct ctl_shard *s)
{
    enum ctl_style style = s->word <= CTL_SHARD_UNSURE ? CTL_BAD : CTL_DIM;
    size_t column = c->name + gap(c->word) + gap(c->step) + c->bar + 1 + PERCENT;
    bool beside = s->rows_total == 0 && column + GAP + ctl_columns(p->look, s->reason) <= p->look->width;
    if (s->reason[0] != '\0' && beside) {
        ctl_repeat(p->out, ' ', GAP + (s->permille < 0 ? PERCENT + 1 : 0));
        ctl_put(p->out, p->look, style, s->reason);
    }
    zdm_buffer_puts(p->out, "\n");
    if (s->reason[0] != '\0' && !beside) {
        ctl_repeat(p->out, ' ', REASON_INDENT);
        ctl_wrap(p->out, p->look, style, s->reason, REASON_INDENT, REASON_INDENT);
    }
}

/* Names of shards differ at their end, so a long one loses its middle. */
static void put_name(struct page *p, const char *name, size_t width)
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

static void put_shard(struct page *p, const struct columns *c, const struct ctl_shard *s)
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
    put_reason(p, c, s);
}

static void put_list(struct page *p, const struct ctl_shard *const *listed, size_t n)
{
    struct columns c = measure(p, listed, n);
    for (size_t i = 0; i < n; i++)
        put_shard(p, &c, listed[i]);
}

/* The shards that are not listed: one line for each state. */
static void put_groups(struct page *p, const bool *is_listed)
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
        const char *noun = listed[w] > 0     ? words[w].n == 1 ? "more shard" : "more shards"
                           : words[w].n == 1 ? "shard"
                                             : "shards";
        bool moves = words[w].per_s > 0 && words[w].of > 0;
        phrase(&line, p, words[w].n, noun, (enum ctl_shard_word)w);
        if (moves)
            total_text(&line, &words[w], ": ");
        if (!moves && words[w].reason != NULL && words[w].reason[0] != '\0')
            zdm_buffer_printf(&line, ": %s", words[w].reason);
        ctl_wrap(p->out, p->look, CTL_PLAIN, zdm_buffer_text(&line), 0, REASON_INDENT);
        zdm_buffer_fini(&line);
    }
}

/* Lists at most `budget` shards, those that need attention first, then those at work; the rest in groups. */
static void put_grouped(struct page *p, size_t budget)
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

static void put_all(struct page *p)
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

/* ---- The end, and the whole ---- */

static void put_next(struct page *p)
{
    const json_t *next = ctl_json_object(p->status, "next");
    const char *command = ctl_json_text(next, "command"), *why = ctl_json_text(next, "why");
    if (command[0] == '\0' && why[0] == '\0')
        return;
    zdm_buffer_puts(p->out, "\n");
    ctl_put(p->out, p->look, CTL_DIM, "next: ");
    if (command[0] != '\0') {
        ctl_wrap(p->out, p->look, CTL_BOLD, command, 6, 6);
        if (why[0] != '\0')
            ctl_repeat(p->out, ' ', 6);
    } else {
        zdm_buffer_puts(p->out, "nothing to type; ");
    }
    if (why[0] != '\0')
        ctl_wrap(p->out, p->look, command[0] != '\0' ? CTL_DIM : CTL_PLAIN, why, command[0] != '\0' ? 6 : 23, 6);
    else if (command[0] == '\0')
        zdm_buffer_puts(p->out, "\n");
}

static void put_nothing(struct page *p)
{
    zdm_buffer_puts(p->out, "fleet ");
    ctl_put(p->out, p->look, CTL_BOLD, ctl_json_text(p->status, "fleet"));
    zdm_buffer_puts(p->out, ": no migration has been submitted\n");
    put_alarms(p);
    if (ctl_json_object(p->status, "next") != NULL)
        put_next(p);
    else
        zdm_buffer_puts(p->out, "\nnext: zdmctl plan RUNBOOK, then zdmctl submit RUNBOOK\n");
}

static void put_page(struct page *p, const struct ctl_status_view *view, size_t budget)
{
    put_title(p);
    put_origin(p);
    put_phases(p);
    put_alarms(p);
    put_gate_and_barrier(p);
    zdm_buffer_puts(p->out, "\n");
    if (p->n_shards > 1)
        put_summary(p);
    if (budget >= p->n_shards)
        put_all(p);
    else
        put_grouped(p, budget);
    put_next(p);
    if (view->footer != NULL) {
        ctl_put(p->out, p->look, CTL_DIM, view->footer);
        zdm_buffer_puts(p->out, "\n");
    }
}

static bool read_shards(struct page *p)
{
    const json_t *shards = json_object_get(p->status, "shards"), *shard;
    size_t index, n = json_array_size(shards);
    p->shards = calloc(n + 1, sizeof *p->shards);
    if (p->shards == NULL)
        return false;
    json_array_foreach(shards, index, shard) ctl_shard_read(&p->shards[index], shard, p->phase);
    p->n_shards = n;
    return true;
}

void ctl_view_status(struct zdm_buffer *out, const struct ctl_look *look, const json_t *status,
                     const struct ctl_status_view *view)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    struct page p = {.out = &text, .look = look, .status = status, .phase = ctl_json_int(status, "phase", 0)};
    if (ctl_json_text(status, "migration")[0] == '\0') {
        put_nothing(&p);
    } else if (!read_shards(&p)) {
        text.failed = true;
    } else {
        size_t budget = view->all || p.n_shards <= CTL_STATUS_LINES_MAX ? p.n_shards : CTL_STATUS_LINES_MAX - 10;
        if (view->max_rows > 0 && budget > view->max_rows)
            budget = view->max_rows;
        put_page(&p, view, budget);
        while (view->max_rows > 0 && budget > 0 && ctl_rows_of(zdm_buffer_text(&text)) > view->max_rows) {
            budget--;
            zdm_buffer_reset(&text);
            put_page(&p, view, budget);
        }
    }
    zdm_buffer_append(out, text.data, text.len);
    out->failed = out->failed || text.failed;
    zdm_buffer_fini(&text);
    free(p.shards);
}
