/*
 * view_authority.c - on the page of `status`: who has approved what, and a trust file that is behind.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/ctl/text/json.h"
#include "coordinator/ctl/view/view_page.h"

enum { DAY_CHARS = 10, MINUTE_CHARS = 16 };

void ctl_page_alarm(struct ctl_page *p, enum ctl_style style, const char *label, const char *text)
{
    ctl_put(p->out, p->look, style, label);
    zdm_buffer_puts(p->out, " ");
    ctl_wrap(p->out, p->look, CTL_PLAIN, text, ctl_columns(p->look, label) + 1, CTL_PAGE_INDENT);
}

/* ---- Approvals ---- */

static const json_t *phase_of(const struct ctl_page *p, int64_t number)
{
    const json_t *phases = json_object_get(p->status, "phases"), *phase;
    size_t index;
    json_array_foreach(phases, index, phase) if (ctl_json_int(phase, "number", 0) == number) return phase;
    return NULL;
}

static bool is_over(const struct ctl_page *p, const json_t *phase)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_shards; i++)
        n += p->shards[i].word != CTL_SHARD_EXCLUDED ? 1 : 0;
    return phase != NULL && n > 0 && ctl_json_int(phase, "shards_done", 0) >= (int64_t)n;
}

/* One that was used or taken back says nothing about what comes. */
static bool is_past(const json_t *by)
{
    const char *verdict = ctl_json_text(by, "verdict");
    return strstr(verdict, "spent") != NULL || strstr(verdict, "withdrawn") != NULL;
}

static bool has_signer(const json_t *row)
{
    const json_t *by;
    size_t i;
    json_array_foreach(json_object_get(row, "by"), i, by) if (!is_past(by)) return true;
    return false;
}

/* Is it of interest now: somebody signed, or it is what the shards come to next? */
static bool matters(const struct ctl_page *p, const json_t *row)
{
    int64_t number = ctl_json_int(row, "phase", 0);
    bool undo = strcmp(ctl_json_text(row, "action"), "undo") == 0;
    bool near = number > 0 && !undo && (number == p->phase || number == p->phase + 1);
    bool ended = strcmp(ctl_json_text(p->status, "mode"), "ended") == 0;
    if (ended && (undo || number > 0)) /* what rollbacks left is purged after the end, too */
        return false;
    if (number > 0 && !undo && is_over(p, phase_of(p, number)))
        return false;
    return ctl_json_int(row, "needed", 0) > 0 && (near || has_signer(row));
}

static void name_act(struct zdm_buffer *out, const struct ctl_page *p, const json_t *row)
{
    int64_t number = ctl_json_int(row, "phase", 0);
    if (strcmp(ctl_json_text(row, "action"), "undo") == 0)
        zdm_buffer_printf(out, "rollback to phase %" PRId64, number);
    else if (number == 0)
        zdm_buffer_puts(out, "purge of what rollbacks left");
    else
        zdm_buffer_printf(out, "phase %" PRId64 " %s", number, ctl_json_text(phase_of(p, number), "class"));
}

/* One that ends today ends at a time, others on a day. */
static void name_approver(struct zdm_buffer *out, const struct ctl_page *p, const json_t *by, const char *before)
{
    const char *verdict = ctl_json_text(by, "verdict"), *until = ctl_json_text(by, "expires_at");
    bool today = strncmp(until, ctl_json_text(p->status, "now"), DAY_CHARS) == 0 && strlen(until) > MINUTE_CHARS;
    zdm_buffer_printf(out, "%s%.64s", before, ctl_json_text(by, "name"));
    if (strcmp(verdict, "counts") == 0 && today)
        zdm_buffer_printf(out, " until %.*s UTC", (int)(MINUTE_CHARS - DAY_CHARS - 1), until + DAY_CHARS + 1);
    else if (strcmp(verdict, "counts") == 0)
        zdm_buffer_printf(out, " until %.*s", (int)DAY_CHARS, until);
    else
        zdm_buffer_printf(out, ": %.96s", verdict);
}

void ctl_page_approvals(struct ctl_page *p)
{
    const json_t *rows = json_object_get(p->status, "approvals"), *row, *by;
    size_t i, j;
    json_array_foreach(rows, i, row)
    {
        struct zdm_buffer line = ZDM_BUFFER_INIT;
        int64_t given = ctl_json_int(row, "given", 0), needed = ctl_json_int(row, "needed", 0);
        const char *before = " (";
        if (!matters(p, row))
            continue;
        name_act(&line, p, row);
        zdm_buffer_printf(&line, ": %" PRId64 " of %" PRId64 " approval%s", given, needed, needed == 1 ? "" : "s");
        json_array_foreach(json_object_get(row, "by"), j, by)
        {
            if (is_past(by))
                continue;
            name_approver(&line, p, by, before);
            before = "; ";
        }
        if (before[0] == ';')
            zdm_buffer_puts(&line, ")");
        ctl_page_alarm(p, given >= needed ? CTL_GOOD : CTL_WARN, "approvals:", zdm_buffer_text(&line));
        zdm_buffer_fini(&line);
    }
}

/* ---- Trust ---- */

void ctl_page_trust(struct ctl_page *p, uint32_t own_version)
{
    int64_t version = ctl_json_int(p->status, "trust_version", 0);
    char text[128];
    if (own_version == 0 || version <= (int64_t)own_version)
        return;
    snprintf(text, sizeof text,
             "your trust file is version %" PRIu32 ", the fleet's is %" PRId64 ": zdmctl trust fetch", own_version,
             version);
    ctl_page_alarm(p, CTL_WARN, "trust:", text);
}
