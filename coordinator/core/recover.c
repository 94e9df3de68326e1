/*
 * recover.c - an operator declares that this log is the one that goes on (protocol 3, rule 5): its epoch goes above all
 * that agents have seen, every shard on its way is paused, and nobody looks back.
 */
#include <stdio.h>

#include "common/base/buffer.h"
#include "coordinator/core/machine.h"

static bool is_believed(const struct coord_state *state, const struct zdm_id *id)
{
    const struct coord_agent *agent = coord_find_agent(state, id);
    return agent != NULL && !agent->revoked;
}

/* The highest epoch that this log or any agent knows. */
static uint64_t highest_epoch(const struct coord_state *state, const struct coord_view *view, struct zdm_id *out_agent)
{
    uint64_t highest = state->epoch > state->seen_epoch ? state->epoch : state->seen_epoch;
    for (size_t i = 0; i < view->n_heard; i++)
        for (size_t j = 0; j < view->heard[i].report.n_migrations; j++) {
            uint64_t epoch = view->heard[i].report.migrations[j].accepted.epoch;
            if (epoch > highest && is_believed(state, &view->heard[i].agent) &&
                epoch <= state->epoch + ZDM_EPOCH_CLAIM_MAX) {
                highest = epoch;
                *out_agent = view->heard[i].agent;
            }
        }
    return highest;
}

void coord_decide_recover(const struct coord_state *state, const struct coord_view *view,
                          const struct coord_input *input, struct coord_output *out)
{
    const struct zdm_request *request = input->u.recover.request;
    if (coord_find_request(state, &request->request_id) != NULL)
        return; /* done before; only the answer was lost */
    coord_acted(out, request, input->u.recover.envelope, &input->u.recover.key, input->u.recover.name);
    struct coord_event *event = coord_emit(out, COORD_EVENT_RECOVERED, "");
    if (event == NULL)
        return;
    event->u.fenced.seen_epoch = highest_epoch(state, view, &event->u.fenced.agent);
    snprintf(event->u.fenced.text, sizeof event->u.fenced.text, "recovered by %s", input->u.recover.name);
    coord_notify(out, "");
}
