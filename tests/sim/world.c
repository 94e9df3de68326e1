/*
 * world.c - see world.h.
 */
#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

struct world_event {
    int64_t at_ms;
    uint64_t order; /* first come, first served within a millisecond */
    int node;
    unsigned incarnation;
    void (*fn)(void *ctx, void *payload);
    void *ctx;
    void *payload;
    void (*drop)(void *payload);
};

static int64_t node_boot_ms(void *self)
{
    const struct world_node *node = self;
    int64_t now = node->world->now_ms;
    return now + node->boot_offset_ms + now * node->drift_ppm / 1000000;
}

static int64_t node_wall_ms(void *self)
{
    const struct world_node *node = self;
    return INT64_C(1700000000000) + node->world->now_ms + node->wall_offset_ms;
}

static void node_fill(void *self, void *bytes, size_t n)
{
    const struct world_node *node = self;
    uint8_t *out = bytes;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(world_random(node->world) >> 32);
}

void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){.seed = seed, .state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .digest = seed};
    for (int i = 0; i < WORLD_NODES_MAX; i++) {
        struct world_node *node = &world->nodes[i];
        node->world = world;
        node->boot_offset_ms = world_between(world, 1000, 10000000);
        node->wall_offset_ms = world_between(world, -2000, 2000);
        node->drift_ppm = world_between(world, -200, 200);
        node->clock = (struct zdm_clock){node_wall_ms, node_boot_ms, node};
        node->random = (struct zdm_random){node_fill, node};
    }
}

static void drop_event(struct world_event *event)
{
    if (event->drop != NULL)
        event->drop(event->payload);
    free(event);
}

void world_fini(struct world *world)
{
    for (size_t i = 0; i < world->n_events; i++)
        drop_event(world->heap[i]);
    free(world->heap);
    world->heap = NULL;
    world->n_events = world->cap_events = 0;
}

uint64_t world_random(struct world *world)
{
    /* splitmix64: every seed gives a full-period, well-mixed sequence. */
    uint64_t z = world->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

int64_t world_between(struct world *world, int64_t low, int64_t high)
{
    return low + (int64_t)(world_random(world) % (uint64_t)(high - low + 1));
}

bool world_chance(struct world *world, unsigned percent)
{
    return world_random(world) % 100 < percent;
}

static bool earlier(const struct world_event *a, const struct world_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void sift_up(struct world *world, size_t i)
{
    for (; i > 0 && earlier(world->heap[i], world->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        struct world_event *event = world->heap[i];
        world->heap[i] = world->heap[(i - 1) / 2];
        world->heap[(i - 1) / 2] = event;
    }
}

static void sift_down(struct world *world, size_t i)
{
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2; child++)
            if (child < world->n_events && earlier(world->heap[child], world->heap[least]))
                least = child;
        if (least == i)
            return;
        struct world_event *event = world->heap[i];
        world->heap[i] = world->heap[least];
        world->heap[least] = event;
        i = least;
    }
}

static void push(struct world *world, struct world_event *event)
{
    event->order = ++world->order;
    if (!ZDM_RESERVE(world->heap, world->cap_events, world->n_events + 1))
        abort();
    world->heap[world->n_events++] = event;
    sift_up(world, world->n_events - 1);
}

void world_after(struct world *world, int64_t delay_ms, int node, void (*fn)(void *ctx, void *payload), void *ctx,
                 void *payload, void (*drop)(void *payload))
{
    struct world_event *event = malloc(sizeof *event);
    if (event == NULL)
        abort();
    *event = (struct world_event){.at_ms = world->now_ms + (delay_ms > 0 ? delay_ms : 0),
                                  .node = node,
                                  .incarnation = node >= 0 ? world->nodes[node].incarnation : 0,
                                  .fn = fn,
                                  .ctx = ctx,
                                  .payload = payload,
                                  .drop = drop};
    push(world, event);
}

bool world_step(struct world *world, int64_t until_ms)
{
    if (world->n_events == 0 || world->heap[0]->at_ms > until_ms) {
        if (world->now_ms < until_ms)
            world->now_ms = until_ms;
        return false;
    }
    struct world_event *event = world->heap[0];
    world->heap[0] = world->heap[--world->n_events];
    sift_down(world, 0);
    world->now_ms = event->at_ms;
    if (event->node >= 0) {
        const struct world_node *node = &world->nodes[event->node];
        if (!node->alive || node->incarnation != event->incarnation) {
            drop_event(event);
            return true;
        }
        if (node->frozen_until_ms > world->now_ms) {
            event->at_ms = node->frozen_until_ms;
            push(world, event);
            return true;
        }
    }
    event->fn(event->ctx, event->payload);
    free(event);
    return true;
}

void world_boot(struct world *world, int node)
{
    world->nodes[node].alive = true;
    world->nodes[node].incarnation++;
    world->nodes[node].frozen_until_ms = 0;
}

void world_kill(struct world *world, int node)
{
    world->nodes[node].alive = false;
}

void world_witness(struct world *world, uint64_t what, uint64_t value)
{
    uint64_t mixed = world->digest ^ (what << 56 | value) ^ (uint64_t)world->now_ms << 20;
    mixed *= UINT64_C(0xff51afd7ed558ccd);
    world->digest = mixed ^ mixed >> 29;
}

void world_tell(struct world *world, const char *fmt, ...)
{
    if (!world->verbose)
        return;
    va_list args;
    va_start(args, fmt);
    printf("%10.3f  ", (double)world->now_ms / 1000);
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
}
