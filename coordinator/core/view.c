/*
 * view.c - hearsay: the last report of each agent, with the time it was heard. See state.h and coord_hear in core.h.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/core.h"
#include "coordinator/core/index.h"

void coord_view_init(struct coord_view *view, int64_t now_ms)
{
    *view = (struct coord_view){.started_at_ms = now_ms};
}

void coord_view_fini(struct coord_view *view)
{
    if (view == NULL)
        return;
    for (size_t i = 0; i < view->n_heard; i++)
        zdm_report_fini(&view->heard[i].report);
    free(view->heard);
    coord_index_fini(&view->by_agent);
    zdm_authority_fini(&view->authority);
    *view = (struct coord_view){.heard = NULL};
}

const struct coord_heard *coord_view_find(const struct coord_view *view, const struct zdm_id *agent)
{
    long i = coord_index_find(&view->by_agent, agent);
    return i < 0 ? NULL : &view->heard[i];
}

const struct zdm_migration_report *coord_view_report(const struct coord_view *view, const struct zdm_id *agent,
                                                     const char *migration)
{
    const struct coord_heard *heard = coord_view_find(view, agent);
    if (heard == NULL)
        return NULL;
    for (size_t i = 0; i < heard->report.n_migrations; i++)
        if (strcmp(heard->report.migrations[i].migration, migration) == 0)
            return &heard->report.migrations[i];
    return NULL;
}

static struct coord_heard *entry_of(struct coord_view *view, const struct coord_agent *agent)
{
    long i = coord_index_find(&view->by_agent, &agent->id);
    if (i >= 0)
        return &view->heard[i];
    if (!ZDM_RESERVE(view->heard, view->cap_heard, view->n_heard + 1) ||
        !coord_index_put(&view->by_agent, &agent->id, view->n_heard))
        return NULL;
    struct coord_heard *heard = &view->heard[view->n_heard++];
    *heard = (struct coord_heard){.agent = agent->id};
    zdm_copy_text(heard->shard, sizeof heard->shard, agent->shard);
    return heard;
}

static bool hear_report(const struct coord_state *state, struct coord_view *view, const struct coord_input *input)
{
    const struct coord_agent *agent = coord_find_agent(state, &input->u.report.agent);
    if (agent == NULL || agent->revoked)
        return true; /* who is not enrolled is not believed; coord_decide closes it */
    struct zdm_report copy = {.number = 0};
    if (!zdm_report_copy(&copy, input->u.report.report))
        return false;
    struct coord_heard *heard = entry_of(view, agent);
    if (heard == NULL) {
        zdm_report_fini(&copy);
        return false;
    }
    zdm_report_fini(&heard->report);
    heard->report = copy;
    heard->journal = heard->journal && heard->connected;
    heard->fresh = heard->report.connected && !heard->journal;
    heard->journal = heard->journal || heard->report.connected;
    heard->connected = true;
    heard->heard_at_ms = input->now_ms;
    heard->gone_at_ms = 0;
    return true;
}

bool coord_hear(const struct coord_state *state, struct coord_view *view, const struct coord_input *input)
{
    if (input->kind == COORD_IN_REPORT)
        return hear_report(state, view, input);
    if (input->kind == COORD_IN_AGENT_GONE) {
        long i = coord_index_find(&view->by_agent, &input->u.agent_gone.agent);
        if (i >= 0) {
            view->heard[i].connected = false;
            view->heard[i].gone_at_ms = input->now_ms;
        }
    }
    return true;
}
