/*
 * index.c - see index.h.
 */
#include "coordinator/core/index.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 64 };

/* FNV-1a over the id. Ids are hashes or random already; this only guards against ids chosen to look alike in front. */
static size_t slot_of(const struct zdm_id *id, size_t n_slots)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < sizeof id->bytes; i++)
        h = (h ^ id->bytes[i]) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ h >> 32) & (n_slots - 1);
}

static struct coord_index_slot *probe(const struct coord_index *index, const struct zdm_id *id)
{
    size_t i = slot_of(id, index->n_slots);
    while (index->slots[i].position != 0 && !zdm_id_equal(&index->slots[i].id, id))
        i = (i + 1) & (index->n_slots - 1);
    return &index->slots[i];
}

long coord_index_find(const struct coord_index *index, const struct zdm_id *id)
{
    if (index->n_slots == 0)
        return -1;
    return (long)probe(index, id)->position - 1;
}

static bool grow(struct coord_index *index)
{
    struct coord_index bigger = {.n_slots = index->n_slots == 0 ? FIRST_SLOTS : index->n_slots * 2,
                                 .used = index->used};
    bigger.slots = calloc(bigger.n_slots, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < index->n_slots; i++)
        if (index->slots[i].position != 0)
            *probe(&bigger, &index->slots[i].id) = index->slots[i];
    free(index->slots);
    *index = bigger;
    return true;
}

bool coord_index_put(struct coord_index *index, const struct zdm_id *id, size_t position)
{
    if (index->used * 2 >= index->n_slots && !grow(index))
        return false;
    struct coord_index_slot *slot = probe(index, id);
    if (slot->position == 0)
        index->used++;
    *slot = (struct coord_index_slot){.id = *id, .position = (uint32_t)position + 1};
    return true;
}

void coord_index_fini(struct coord_index *index)
{
    free(index->slots);
    *index = (struct coord_index){.slots = NULL};
}
