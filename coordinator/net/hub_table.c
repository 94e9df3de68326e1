/*
 * hub_table.c - see hub_table.h. Chained buckets, doubled when there are as many peers as buckets.
 */
#include "coordinator/net/hub_table.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BUCKETS = 64 };

/* A key id is a hash already; connections are counted up. */
static size_t bucket_of_agent(const struct hub_table *table, const struct zdm_id *agent)
{
    uint64_t number;
    memcpy(&number, agent->bytes, sizeof number);
    return (size_t)number & (table->n_buckets - 1);
}

static size_t bucket_of_conn(const struct hub_table *table, zdm_conn conn)
{
    return (size_t)(conn * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (table->n_buckets - 1);
}

static void link_conn(struct hub_table *table, struct coord_peer *peer)
{
    struct coord_peer **bucket = &table->by_conn[bucket_of_conn(table, peer->conn)];
    peer->next_by_conn = *bucket;
    *bucket = peer;
}

static void link_agent(struct hub_table *table, struct coord_peer *peer)
{
    struct coord_peer **bucket = &table->by_agent[bucket_of_agent(table, &peer->key_id)];
    peer->next_by_agent = *bucket;
    *bucket = peer;
}

static bool unlink_agent(struct hub_table *table, struct coord_peer *peer)
{
    if (peer->kind != COORD_PEER_AGENT)
        return false;
    struct coord_peer **at = &table->by_agent[bucket_of_agent(table, &peer->key_id)];
    while (*at != NULL && *at != peer)
        at = &(*at)->next_by_agent;
    if (*at == NULL)
        return false;
    *at = peer->next_by_agent;
    peer->next_by_agent = NULL;
    return true;
}

static bool grow(struct hub_table *table)
{
    struct hub_table bigger = *table;
    bigger.n_buckets = table->n_buckets != 0 ? table->n_buckets * 2 : FIRST_BUCKETS;
    bigger.by_conn = calloc(bigger.n_buckets, sizeof(struct coord_peer *));
    bigger.by_agent = calloc(bigger.n_buckets, sizeof(struct coord_peer *));
    if (bigger.by_conn == NULL || bigger.by_agent == NULL) {
        free(bigger.by_conn);
        free(bigger.by_agent);
        return false;
    }
    for (struct coord_peer *peer = table->first; peer != NULL; peer = peer->next) {
        link_conn(&bigger, peer);
        if (unlink_agent(table, peer))
            link_agent(&bigger, peer);
    }
    free(table->by_conn);
    free(table->by_agent);
    *table = bigger;
    return true;
}

void hub_table_fini(struct hub_table *table)
{
    free(table->by_conn);
    free(table->by_agent);
    memset(table, 0, sizeof *table);
}

bool hub_table_add(struct hub_table *table, struct coord_peer *peer)
{
    if (table->n >= table->n_buckets && !grow(table))
        return false;
    link_conn(table, peer);
    peer->prev = table->last;
    peer->next = NULL;
    if (table->last != NULL)
        table->last->next = peer;
    else
        table->first = peer;
    table->last = peer;
    table->n++;
    return true;
}

void hub_table_remove(struct hub_table *table, struct coord_peer *peer)
{
    struct coord_peer **at = &table->by_conn[bucket_of_conn(table, peer->conn)];
    while (*at != peer)
        at = &(*at)->next_by_conn;
    *at = peer->next_by_conn;
    (void)unlink_agent(table, peer);
    *(peer->prev != NULL ? &peer->prev->next : &table->first) = peer->next;
    *(peer->next != NULL ? &peer->next->prev : &table->last) = peer->prev;
    table->n--;
}

struct coord_peer *hub_table_find(const struct hub_table *table, zdm_conn conn)
{
    if (table->n == 0)
        return NULL;
    struct coord_peer *peer = table->by_conn[bucket_of_conn(table, conn)];
    while (peer != NULL && peer->conn != conn)
        peer = peer->next_by_conn;
    return peer;
}

struct coord_peer *hub_table_agent(const struct hub_table *table, const struct zdm_id *agent)
{
    if (table->n == 0)
        return NULL;
    struct coord_peer *peer = table->by_agent[bucket_of_agent(table, agent)];
    while (peer != NULL && !zdm_id_equal(&peer->key_id, agent))
        peer = peer->next_by_agent;
    return peer;
}

struct coord_peer *hub_table_make_current(struct hub_table *table, struct coord_peer *peer)
{
    struct coord_peer *former = hub_table_agent(table, &peer->key_id);
    if (former != NULL)
        (void)unlink_agent(table, former);
    link_agent(table, peer);
    return former;
}
