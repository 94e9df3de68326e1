/*
 * sim_store.c - see sim_store.h.
 */
#include "tests/sim/sim_store.h"

#include <stdlib.h>

static enum store_result disk_head(void *self, struct store_head *out_head, struct zdm_error *err)
{
    struct sim_store *disk = self;
    return disk->memory.ops->head(disk->memory.self, out_head, err);
}

static enum store_result disk_acquire(void *self, uint64_t *out_epoch, struct zdm_error *err)
{
    struct sim_store *disk = self;
    return disk->memory.ops->acquire(disk->memory.self, out_epoch, err);
}

static enum store_result disk_renew(void *self, uint64_t epoch, struct zdm_error *err)
{
    struct sim_store *disk = self;
    return disk->memory.ops->renew(disk->memory.self, epoch, err);
}

/* The group got in or not, and nobody says which. */
static enum store_result fail_open(struct sim_store *disk, enum store_result as, bool kept, uint64_t epoch,
                                   const struct store_record *records, size_t n, struct zdm_error *err)
{
    enum store_result result = STORE_OK;
    if (kept)
        result = disk->memory.ops->append(disk->memory.self, epoch, records, n, err);
    if (result != STORE_OK)
        return result;
    world_tell(disk->world, "disk: %s, %zu records %s", store_result_name(as), n, kept ? "are kept" : "are lost");
    zdm_error_set(err, as == STORE_UNKNOWN ? ZDM_UNKNOWN : ZDM_IO, "input/output error");
    return as;
}

static enum store_result disk_append(void *self, uint64_t epoch, const struct store_record *records, size_t n,
                                     struct zdm_error *err)
{
    struct sim_store *disk = self;
    if (disk->world->now_ms < disk->full_until_ms) {
        disk->full++;
        zdm_error_set(err, ZDM_FULL, "no space left on device");
        return STORE_FULL;
    }
    if (world_chance(disk->world, disk->unknown_percent)) {
        bool kept = world_chance(disk->world, 50);
        *(kept ? &disk->unknown_kept : &disk->unknown_lost) += 1;
        return fail_open(disk, STORE_UNKNOWN, kept, epoch, records, n, err);
    }
    if (world_chance(disk->world, disk->broken_percent)) {
        disk->broken++;
        return fail_open(disk, STORE_IO, world_chance(disk->world, 50), epoch, records, n, err);
    }
    return disk->memory.ops->append(disk->memory.self, epoch, records, n, err);
}

static enum store_result disk_read(void *self, uint64_t from, bool (*each)(void *, const struct store_record *),
                                   void *ctx, struct zdm_error *err)
{
    struct sim_store *disk = self;
    return disk->memory.ops->read(disk->memory.self, from, each, ctx, err);
}

static enum store_result disk_backup(void *self, const char *path, struct zdm_error *err)
{
    struct sim_store *disk = self;
    return disk->memory.ops->backup(disk->memory.self, path, err);
}

static void disk_close(void *self)
{
    (void)self; /* the disk outlives the process */
}

static const struct store_ops disk_ops = {.name = "simulated",
                                          .head = disk_head,
                                          .acquire = disk_acquire,
                                          .renew = disk_renew,
                                          .append = disk_append,
                                          .read = disk_read,
                                          .backup = disk_backup,
                                          .close = disk_close};

struct store sim_store_open(struct sim_store *disk, struct world *world)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    *disk = (struct sim_store){.world = world};
    if (store_memory_open(&disk->memory, &err) != STORE_OK)
        abort();
    return (struct store){&disk_ops, disk};
}

void sim_store_close(struct sim_store *disk)
{
    disk->memory.ops->close(disk->memory.self);
}

void sim_store_heal(struct sim_store *disk)
{
    disk->unknown_percent = disk->broken_percent = 0;
    disk->full_until_ms = 0;
}

struct place {
    uint64_t seq;
    struct zdm_hash *out;
    bool found;
};

static bool take_hash(void *ctx, const struct store_record *record)
{
    struct place *place = ctx;
    place->found = record->seq == place->seq;
    if (place->found)
        *place->out = record->hash;
    return false;
}

const struct zdm_hash *sim_store_hash_at(const struct sim_store *disk, uint64_t seq, struct zdm_hash *out)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct place place = {.seq = seq, .out = out};
    if (seq == 0 || disk->memory.ops->read(disk->memory.self, seq, take_hash, &place, &err) != STORE_OK)
        return NULL;
    return place.found ? out : NULL;
}

uint64_t sim_store_head(const struct sim_store *disk)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct store_head head;
    if (disk->memory.ops->head(disk->memory.self, &head, &err) != STORE_OK)
        abort();
    return head.seq;
}
