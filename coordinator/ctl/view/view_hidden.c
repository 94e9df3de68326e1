/*
 * view_hidden.c - on the page of `status`: what is hidden until when, a line for each thing over all shards.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/limits.h"
#include "common/plan/engines.h"
#include "coordinator/ctl/view/check_view.h"
#include "coordinator/ctl/text/json.h"
#include "coordinator/ctl/view/view_page.h"

enum { HIDDEN_LINES = 4, DAY_CHARS = 10, MINUTE_CHARS = 16 };

/* One thing that is hidden, over all shards that have it. */
struct hidden {
    char what[ZDM_TEXT_MAX];
    const char *since, *until; /* the earliest and the latest; borrowed */
    size_t n_shards, last;     /* last: the shard that was counted last, from 1 */
    bool is_index;             /* of which scans are counted: with MySQL nobody uses one that is hidden */
    int64_t scans;             /* since then, on all of them */
    int64_t bytes;             /* of kept rows, on all of them; 0: not told */
};

/* Agents say how much room kept rows take, "deleted rows of users (168 kB)": cuts that off, and returns it in bytes. */
static int64_t take_size(char *what)
{
    static const char *const units[] = {" bytes)", " kB)", " MB)", " GB)", " TB)"};
    char *open = strrchr(what, '('), *end;
    int64_t number = 0;
    if (open == NULL || open == what || open[-1] != ' ')
        return 0;
    for (end = open + 1; (*end >= '0' && *end <= '9') || *end == ','; end++)
        number = *end == ',' || number > INT64_MAX / 20000 ? number : number * 10 + (*end - '0');
    for (size_t i = 0; i < sizeof units / sizeof *units && end > open + 1; i++) {
        if (strcmp(end, units[i]) == 0) {
            open[-1] = '\0';
            return number;
        }
        number = number > INT64_MAX / 1024 ? number : number * 1024;
    }
    return 0;
}

/* A shard may have it several times: each rollback hides a column of its own. */
static void add_hidden(struct hidden *list, size_t *n, const json_t *item, size_t shard)
{
    const char *since = ctl_json_text(item, "hidden_at"), *until = ctl_json_text(item, "purge_at");
    char what[ZDM_TEXT_MAX];
    size_t i = 0;
    zdm_copy_text(what, sizeof what, ctl_json_text(item, "what"));
    int64_t bytes = take_size(what);
    while (i < *n && !zdm_is_same_thing(list[i].what, what))
        i++;
    if (i == *n)
        list[(*n)++] = (struct hidden){.since = since, .until = until};
    if (list[i].what[0] == '\0' || strlen(what) < strlen(list[i].what)) /* with two engines, the name that both know */
        zdm_copy_text(list[i].what, sizeof list[i].what, what);
    list[i].bytes += bytes;
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
    char size[16];
    ctl_bytes_text(size, sizeof size, h->bytes);
    zdm_buffer_puts(&line, h->what);
    if (h->bytes > 0)
        zdm_buffer_printf(&line, " (%s)", size);
    zdm_buffer_printf(&line, " on %zu shard%s since %.*s, may go from %.*s", h->n_shards, h->n_shards == 1 ? "" : "s",
                      (int)DAY_CHARS, h->since, (int)DAY_CHARS, h->until);
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
