/*
 * apply.h - the parts of coord_apply, to each other.
 */
#ifndef COORDINATOR_CORE_APPLY_H
#define COORDINATOR_CORE_APPLY_H

#include "coordinator/core/core.h"

/* Events of one migration; ZDM_CORRUPT for a migration, shard or phase that does not exist. */
enum zdm_code coord_apply_migration(struct coord_state *state, const struct coord_event *event,
                                    struct zdm_error *err) ZDM_CHECKED;
/* The shard's desired state is what it is by this event. */
void coord_apply_generation(struct coord_shard *s, const struct coord_event *event);
enum zdm_code coord_apply_directed(struct coord_state *state, struct coord_migration *m,
                                   const struct coord_event *event, struct zdm_error *err) ZDM_CHECKED;
/* An event about what one shard did. */
enum zdm_code coord_apply_shard(struct coord_migration *m, struct coord_shard *s, const struct coord_event *event,
                                struct zdm_error *err) ZDM_CHECKED;
/* Pauses every shard; who has finished, or is out, keeps its status: recovered. */
void coord_apply_pause_all(struct coord_migration *m, const struct coord_event *event);
/* Remembers that desired states were set by this event. */
enum zdm_code coord_apply_anchor(struct coord_state *state, const struct coord_event *event,
                                 struct zdm_error *err) ZDM_CHECKED;
enum zdm_code coord_apply_nomem(struct zdm_error *err);
enum zdm_code coord_apply_corrupt(const struct coord_event *event, struct zdm_error *err, const char *what);

#endif
