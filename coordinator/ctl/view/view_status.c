/*
 * view_status.c - the page that `status` prints: its head, the line of phases, what to type next, and how all of it is
 * fitted to the terminal. See view_status.h; the shards are those of view_shards.c.
 */
#include "coordinator/ctl/view/view_status.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "coordinator/ctl/text/json.h"
#include "coordinator/ctl/view/view_page.h"

unsigned ctl_rows_of(const char *text)
{
    unsigned n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n' ? 1U : 0U;
    return n;
}

/* ---- Head ---- */

static int64_t parse_time(const char *text)
{
    struct tm tm = {.tm_year = 0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    return end != NULL ? (int64_t)timegm(&tm) : -1;
}

static void put_title(struct ctl_page *p)
{
    const char *title = ctl_json_text(p->status, "title");
    const char *id = ctl_json_text(p->status, "migration");
    size_t column = ctl_columns(p->look, id);
    ctl_put(p->out, p->look, CTL_BOLD, id);
    if (title[0] != '\0' && p->narrow) {
        zdm_buffer_puts(p->out, ctl_dot(p->look));
        ctl_cell(p->out, p->look, CTL_PLAIN, title, p->look->width > column + 3 ? p->look->width - column - 3 : 1,
                 false);
        zdm_buffer_puts(p->out, "\n");
    } else if (title[0] != '\0') {
        zdm_buffer_puts(p->out, ctl_dot(p->look));
        ctl_wrap(p->out, p->look, CTL_PLAIN, title, column + 3, 4);
    } else {
        zdm_buffer_puts(p->out, "\n");
    }
}

static void put_ago(struct zdm_buffer *line, const char *when, int64_t now_s)
{
    int64_t at = parse_time(when);
    char ago[32];
    if (at < 0 || now_s < at)
        return;
    ctl_seconds_text(ago, sizeof ago, now_s - at);
    zdm_buffer_printf(line, " %s ago", ago);
}

static void put_origin(struct ctl_page *p)
{
    struct zdm_buffer line = ZDM_BUFFER_INIT;
    const char *now = ctl_json_text(p->status, "now");
    const char *by = ctl_json_text(p->status, "submitted_by");
    const char *hash = ctl_json_text(p->status, "plan_hash");
    const json_t *amended = ctl_json_object(p->status, "amended");
    int64_t now_s = parse_time(now);
    zdm_buffer_printf(&line, "fleet %s", ctl_json_text(p->status, "fleet"));
    if (by[0] != '\0')
        zdm_buffer_printf(&line, "%ssubmitted by %s", ctl_dot(p->look), by);
    put_ago(&line, ctl_json_text(p->status, "submitted_at"), now_s);
    if (ctl_json_text(amended, "by")[0] != '\0') {
        zdm_buffer_printf(&line, "%samended by %s", ctl_dot(p->look), ctl_json_text(amended, "by"));
        put_ago(&line, ctl_json_text(amended, "at"), now_s);
    }
    if (hash[0] != '\0')
        zdm_buffer_printf(&line, "%splan %.12s", ctl_dot(p->look), hash);
    if (strlen(now) >= 19)
        zdm_buffer_printf(&line, "%sat %.8s UTC", ctl_dot(p->look), now + 11);
    ctl_wrap(p->out, p->look, CTL_DIM, zdm_buffer_text(&line), 0, 4);
    zdm_buffer_fini(&line);
}

static void put_alarms(struct ctl_page *p)
{
    const json_t *coordinator = ctl_json_object(p->status, "coordinator");
    const char *mode = ctl_json_text(p->status, "mode");
    char text[160];
    if (ctl_json_true(coordinator, "fenced"))
        ctl_page_alarm(
            p, CTL_BAD, "FENCED:",
            "agents follow a newer log than this coordinator's, which is a copy or a restored backup. It sends "
            "no orders. Stop it and start the coordinator that has the newest log; until then agents stay "
            "where they are.");
    if (ctl_json_true(coordinator, "full"))
        ctl_page_alarm(p, CTL_BAD,
                       "FULL:", "the coordinator cannot write its log: it takes no requests until its disk has room");
    if (ctl_json_true(coordinator, "frozen"))
        ctl_page_alarm(p, CTL_WARN, "frozen:", "no shard enters a phase until somebody types zdmctl thaw");
    if (strcmp(mode, "halted") == 0) {
        const char *by = ctl_json_text(p->status, "halted_by");
        snprintf(text, sizeof text, "no further shard enters a phase%s%.64s", by[0] != '\0' ? "; cause: " : "",
                 strcmp(by, "budget") == 0 ? "more shards failed than the failure budget allows" : by);
        ctl_page_alarm(p, CTL_BAD, "halted:", text);
    }
    if (strcmp(mode, "ended") == 0)
        ctl_page_alarm(p, CTL_GOOD, "ended:", ctl_json_text(p->status, "outcome"));
}

/* ---- The line of phases ---- */

static size_t count_not_excluded(const struct ctl_page *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_shards; i++)
        n += p->shards[i].word != CTL_SHARD_EXCLUDED ? 1 : 0;
    return n;
}

/* Its title; where there is little room the class stands for a long one. */
static void put_phase_name(const struct ctl_page *p, const json_t *phase, struct zdm_buffer *cell)
{
    enum { SHORT = 16 };
    const char *title = ctl_json_text(phase, "title"), *class = ctl_json_text(phase, "class");
    bool cut = p->narrow && class[0] != '\0' && ctl_columns(p->look, title) > SHORT;
    zdm_buffer_puts(cell, cut ? class : title);
}

static void phase_cell(const struct ctl_page *p, const json_t *phase, size_t n_shards, struct zdm_buffer *cell,
                       enum ctl_style *style)
{
    int64_t number = ctl_json_int(phase, "number", 0), done = ctl_json_int(phase, "shards_done", 0);
    const json_t *gate = ctl_json_object(phase, "gate");
    bool unicode = p->look->unicode, ended = strcmp(ctl_json_text(p->status, "mode"), "ended") == 0;
    zdm_buffer_printf(cell, "%" PRId64 " ", number);
    put_phase_name(p, phase, cell);
    bool waits = number == p->phase && gate != NULL && strcmp(ctl_json_text(gate, "state"), "passed") != 0;
    *style = CTL_DIM;
    if (number > p->phase) {
        zdm_buffer_puts(cell, unicode ? " ○" : " [ ]");
    } else if (waits && n_shards > 0 && done >= (int64_t)n_shards) {
        zdm_buffer_printf(cell, "%s %s", unicode ? " ●" : " [*]", ctl_json_text(gate, "kind"));
        *style = CTL_WARN;
    } else if (n_shards > 0 && done >= (int64_t)n_shards) {
        zdm_buffer_puts(cell, unicode ? " ✓" : " [x]");
        *style = CTL_GOOD;
    } else {
        zdm_buffer_printf(cell, "%s %" PRId64 "/%zu", unicode ? " ●" : " [*]", done, n_shards);
        *style = ended ? CTL_DIM : CTL_BUSY;
    }
}

static void put_phases(struct ctl_page *p)
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

static void put_gate_and_barrier(struct ctl_page *p)
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
        ctl_page_alarm(p, CTL_WARN, "gate:", text);
    }
    int64_t missing = ctl_json_int(barrier, "missing", 0);
    if (missing > 0) {
        int64_t number = ctl_json_int(barrier, "phase", 0);
        snprintf(text, sizeof text,
                 "phase %" PRId64 " waits for %" PRId64 " of %" PRId64 " shards to finish phase %" PRId64, number,
                 missing, ctl_json_int(barrier, "of", 0), number - 1);
        ctl_page_alarm(p, CTL_WARN, "barrier:", text);
    }
}

/* ---- The end, and the whole ---- */

static void put_next(struct ctl_page *p)
{
    const json_t *next = ctl_json_object(p->status, "next");
    const char *command = ctl_json_text(next, "command"), *why = ctl_json_text(next, "why");
    if (p->narrow && command[0] != '\0')
        why = "";
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

static void put_nothing(struct ctl_page *p, const struct ctl_status_view *view)
{
    zdm_buffer_puts(p->out, "fleet ");
    ctl_put(p->out, p->look, CTL_BOLD, ctl_json_text(p->status, "fleet"));
    zdm_buffer_puts(p->out, ": no migration has been submitted\n");
    put_alarms(p);
    ctl_page_trust(p, view->trust_version);
    if (ctl_json_object(p->status, "next") != NULL)
        put_next(p);
    else
        zdm_buffer_puts(p->out, "\nnext: zdmctl plan RUNBOOK, then zdmctl submit RUNBOOK\n");
}

static void put_page(struct ctl_page *p, const struct ctl_status_view *view, size_t budget)
{
    put_title(p);
    put_origin(p);
    put_phases(p);
    put_alarms(p);
    ctl_page_trust(p, view->trust_version);
    put_gate_and_barrier(p);
    ctl_page_approvals(p);
    zdm_buffer_puts(p->out, "\n");
    if (p->n_shards > 1)
        ctl_page_summary(p);
    if (budget >= p->n_shards)
        ctl_page_all(p);
    else
        ctl_page_grouped(p, budget);
    ctl_page_hidden(p);
    put_next(p);
    if (view->footer != NULL) {
        ctl_put(p->out, p->look, CTL_DIM, view->footer);
        zdm_buffer_puts(p->out, "\n");
    }
}

static bool read_shards(struct ctl_page *p)
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
    struct ctl_page p = {.out = &text, .look = look, .status = status, .phase = ctl_json_int(status, "phase", 0)};
    if (ctl_json_text(status, "migration")[0] == '\0') {
        put_nothing(&p, view);
    } else if (!read_shards(&p)) {
        text.failed = true;
    } else {
        size_t budget = view->all || p.n_shards <= CTL_STATUS_LINES_MAX ? p.n_shards : CTL_STATUS_LINES_MAX - 10;
        if (view->max_rows > 0 && budget > view->max_rows)
            budget = view->max_rows;
        put_page(&p, view, budget);
        while (view->max_rows > 0 && (budget > 0 || !p.narrow) &&
               ctl_rows_of(zdm_buffer_text(&text)) > view->max_rows) {
            budget -= p.narrow ? 1 : 0;
            p.narrow = true;
            zdm_buffer_reset(&text);
            put_page(&p, view, budget);
        }
    }
    zdm_buffer_append(out, text.data, text.len);
    out->failed = out->failed || text.failed;
    zdm_buffer_fini(&text);
    free(p.shards);
}
