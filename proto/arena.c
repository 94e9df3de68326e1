/*
 * arena.c - memory for one message, given back all at once. See fields.h.
 */
#include "proto/fields.h"

#include <stdalign.h>
#include <stdlib.h>

enum { CHUNK_SIZE = 4096 };

struct zdm_arena_chunk {
    struct zdm_arena_chunk *next;
    size_t used, size;
    alignas(max_align_t) uint8_t bytes[];
};

static struct zdm_arena_chunk *add_chunk(struct zdm_arena *arena, size_t n)
{
    size_t size = n > CHUNK_SIZE ? n : CHUNK_SIZE;
    struct zdm_arena_chunk *chunk = malloc(sizeof *chunk + size);
    if (chunk == NULL)
        return NULL;
    *chunk = (struct zdm_arena_chunk){.next = arena->chunks, .size = size};
    arena->chunks = chunk;
    return chunk;
}

void *zdm_arena_alloc(struct zdm_arena *arena, size_t n)
{
    size_t rounded = (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (rounded < n || rounded > arena->left) {
        arena->over_budget = arena->failed = true;
        return NULL;
    }
    struct zdm_arena_chunk *chunk = arena->chunks;
    if (chunk == NULL || chunk->size - chunk->used < rounded)
        chunk = add_chunk(arena, rounded);
    if (chunk == NULL) {
        arena->failed = true;
        return NULL;
    }
    void *bytes = chunk->bytes + chunk->used;
    chunk->used += rounded;
    arena->left -= rounded;
    return bytes;
}

void zdm_arena_fini(struct zdm_arena *arena)
{
    for (struct zdm_arena_chunk *chunk = arena->chunks, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    arena->chunks = NULL;
}
