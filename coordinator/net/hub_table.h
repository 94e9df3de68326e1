/*
 * hub_table.h - the peers of the hub: found by connection and, when it is an agent's current session, by its key id.
 */
#ifndef COORDINATOR_NET_HUB_TABLE_H
#define COORDINATOR_NET_HUB_TABLE_H

#include "coordinator/net/hub.h"

struct hub_table {
    struct coord_peer **by_conn, **by_agent; /* chains; n_buckets each, a power of two */
    size_t n_buckets;
    struct coord_peer *first, *last;
    size_t n;
};

void hub_table_fini(struct hub_table *table);
/* False without memory. */
bool hub_table_add(struct hub_table *table, struct coord_peer *peer);
/* Takes the peer out of both indexes. */
void hub_table_remove(struct hub_table *table, struct coord_peer *peer);
struct coord_peer *hub_table_find(const struct hub_table *table, zdm_conn conn);
struct coord_peer *hub_table_agent(const struct hub_table *table, const struct zdm_id *agent);
/* Makes the peer its agent's current session; the one that was, or NULL. */
struct coord_peer *hub_table_make_current(struct hub_table *table, struct coord_peer *peer);

#endif
