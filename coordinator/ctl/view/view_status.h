/*
 * view_status.h - a status (docs/JSON.md) as a page for people: what runs, where every shard is, why one does not move,
 * and what to type next.
 *
 * Pure: JSON and a look in, text out; so that the tests hold fixtures against it.
 */
#ifndef COORDINATOR_CTL_VIEW_VIEW_STATUS_H
#define COORDINATOR_CTL_VIEW_VIEW_STATUS_H

#include <jansson.h>
#include <stdbool.h>

#include "coordinator/ctl/text/text.h"

/* Above so many shards those in the same state are grouped. */
enum { CTL_STATUS_LINES_MAX = 30 };

struct ctl_status_view {
    uint32_t trust_version; /* of the person\'s own trust file; 0: not known */
    bool all;               /* one line for each shard, however many */
    unsigned max_rows;      /* rows that the whole page may take, 0: no limit; shards are grouped until it fits */
    const char *footer;     /* a last line, NULL for none */
};

/* Appends the page. */
void ctl_view_status(struct zdm_buffer *out, const struct ctl_look *look, const json_t *status,
                     const struct ctl_status_view *view);
/* Rows that a text takes in the terminal: its newlines. */
unsigned ctl_rows_of(const char *text);

#endif
