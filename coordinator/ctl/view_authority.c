/*
 * view_authority.c - on the page of `status`: who has approved what, what is hidden until when, and a trust file that
 * is behind.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/plan/engines.h"
#include "coordinator/ctl/json.h"
#include "coordinator/ctl/view_page.h"

enum { HIDDEN_LINES = 4, DAY_CHARS = 10, MINUTE_CHARS = 16 };

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

/* ---- What is hidden ---- */

/* One thing that is hidden, over all shards that have it. */
struct hidden {
    const char *what, *since, *until; /* the earliest and the latest; borrowed */
    size_t n_shards, last;            /* last: the shard that was counted last, from 1 */
    bool is_index;                    /* of which scans are counted: with MySQL nobody uses one that is hidden */
    int64_t scans;                    /* since then, on all of them */
};

/* A shard may have it several times: each rollback hides a column of its own. */
static void add_hidden(struct hidden *list, size_t *n, const json_t *item, size_t shard)
{
    const char *what = ctl_json_text(item, "what"), *since = ctl_json_text(item, "hidden_at");
    const char *until = ctl_json_text(item, "purge_at");
    size_t i = 0;
    while (i < *n && !zdm_is_same_thing(list[i].what, what))
        i++;
    if (i == *n)
        list[(*n)++] = (struct hidden){.what = what, .since = since, .until = until};
    if (strlen(what) < strlen(list[i].what)) /* with two engines, the name that both know */
        list[i].what = what;
    list[i].n_shards += list[i].last != shard ? 1 : 0;
    list[i].last = shard;
    list[i].is_index = list[i].is_index || json_is_integer(json_object_get(item, "scans"));
    list[i].scans += ctl_json_int(item, "scans", 0);
    if (strcmp(since, list[i].since) < 0) /* times in ISO form sort like text */
        list[i].since = since;
    if (strcmp(until, list[i].until) > 0)
        list[i].until = until;
}

static size_t count_items(const json_t *shards)
{
    const json_t *shard;
    size_t index, n = 0;
    json_array_foreach(shards, index, shard) n += json_array_size(json_object_get(shard, "hidden"));
    return n;
}

static void put_hidden(struct ctl_page *p, const struct hidden *h)
{
    struct zdm_buffer line = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&line, "%s on %zu shard%s since %.*s, may go from %.*s", h->what, h->n_shards,
                      h->n_shards == 1 ? "" : "s", (int)DAY_CHARS, h->since, (int)DAY_CHARS, h->until);
    if (strlen(h->until) > MINUTE_CHARS)
        zdm_buffer_printf(&line, " %.*s UTC", (int)(MINUTE_CHARS - DAY_CHARS - 1), h->until + DAY_CHARS + 1);
    if (h->is_index)
        zdm_buffer_printf(&line, "; %" PRId64 " scan%s since%s", h->scans, h->scans == 1 ? "" : "s",
                          h->scans > 0 ? ": it is still used" : "");
    ctl_page_alarm(p, h->scans > 0 ? CTL_WARN : CTL_DIM, "hidden:", zdm_buffer_text(&line));
    zdm_buffer_fini(&line);
}

void ctl_page_hidden(struct ctl_page *p)
{
    const json_t *shards = json_object_get(p->status, "shards"), *shard, *item;
    ZDM_CLEANUP(zdm_freep) struct hidden *list = calloc(count_items(shards) + 1, sizeof *list);
    size_t i, j, n = 0;
    if (list == NULL) {
        p->out->failed = true;
        return;
    }
    json_array_foreach(shards, i, shard) json_array_foreach(json_object_get(shard, "hidden"), j, item)
        add_hidden(list, &n, item, i + 1);
    for (i = 0; i < n && i < HIDDEN_LINES; i++)
        put_hidden(p, &list[i]);
    if (n > HIDDEN_LINES) {
        char text[80];
        snprintf(text, sizeof text, "and %zu more; -o json lists them", n - HIDDEN_LINES);
        ctl_page_alarm(p, CTL_DIM, "hidden:", text);
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
