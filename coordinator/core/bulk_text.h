/*
 * bulk_text.h - what a person is told who asked for something of many shards: how many it was done to, why the others
 * stay as they are, what comes next.
 */
#ifndef COORDINATOR_CORE_BULK_TEXT_H
#define COORDINATOR_CORE_BULK_TEXT_H

#include "coordinator/core/machine.h"

struct coord_bulk_words {
    enum coord_stimulus on;
    const char *before, *after_one, *after_many; /* "paused " 2 shards; 2 shards " go forward again" */
    const char *nothing;                         /* "nothing to pause" */
};

enum { COORD_BULK_REASONS_MAX = 32 };

/* What became of the selected shards. The first shard of each reason is named. */
struct coord_bulk_count {
    const struct coord_bulk_words *words;
    size_t changed, left;
    bool refused; /* some shard was not so already */
    size_t by_reason[COORD_BULK_REASONS_MAX];
    const struct coord_shard *first[COORD_BULK_REASONS_MAX];
};

/* Of a shard that is left as it is. same: it is so already. */
void coord_bulk_leave(struct coord_bulk_count *count, const struct coord_shard *shard, bool same);
/* ZDM_REFUSED where nothing was done and something was refused. also: what was done besides, "" for nothing. The hint
 * is empty where nothing has to be seen to. */
void coord_bulk_answer(const struct coord_bulk_count *count, const struct coord_migration *m, const char *also,
                       struct zdm_error *answer);

#endif
