/*
 * memory.c - the store as an array: the reference for the contract suite, and the simulator's disk.
 *
 * It has no file, so it can be neither busy nor full nor damaged; the simulator injects those around it. What a crash
 * loses is decided by whoever closes it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/store/group.h"

struct memory_store {
    struct store_record *records; /* record seq stands at seq - 1; bytes are owned */
    size_t n, cap;
    uint64_t epoch;
    uint64_t backup_seq;
};

static enum store_result no_memory(struct zdm_error *err)
{
    zdm_error_set(err, ZDM_NOMEM, "could not get memory for the log");
    return STORE_IO;
}

static struct store_head head_of(const struct memory_store *store)
{
    struct store_head head = {.seq = store->n, .epoch = store->epoch, .backup_seq = store->backup_seq};
    if (store->n != 0)
        head.hash = store->records[store->n - 1].hash;
    return head;
}

static enum store_result memory_head(void *self, struct store_head *out_head, struct zdm_error *err)
{
    (void)err;
    *out_head = head_of(self);
    return STORE_OK;
}

static enum store_result memory_acquire(void *self, uint64_t *out_epoch, struct zdm_error *err)
{
    struct memory_store *store = self;
    (void)err;
    *out_epoch = ++store->epoch;
    return STORE_OK;
}

static enum store_result memory_renew(void *self, uint64_t epoch, struct zdm_error *err)
{
    const struct memory_store *store = self;
    if (epoch != 0 && epoch == store->epoch)
        return STORE_OK;
    zdm_error_set(err, ZDM_DEPOSED, "epoch %" PRIu64 " was replaced by epoch %" PRIu64, epoch, store->epoch);
    return STORE_DEPOSED;
}

static void drop_from(struct memory_store *store, size_t n)
{
    while (store->n > n)
        free((void *)(uintptr_t)store->records[--store->n].bytes);
}

static bool push(struct memory_store *store, const struct store_record *record)
{
    if (!ZDM_RESERVE(store->records, store->cap, store->n + 1))
        return false;
    struct store_record copy = *record;
    copy.bytes = zdm_memdup(record->bytes, record->n);
    if (copy.bytes == NULL)
        return false;
    store->records[store->n++] = copy;
    return true;
}

static enum store_result memory_append(void *self, uint64_t epoch, const struct store_record *records, size_t n,
                                       struct zdm_error *err)
{
    struct memory_store *store = self;
    enum store_result result = memory_renew(self, epoch, err);
    if (result != STORE_OK)
        return result;
    struct store_head head = head_of(store);
    result = store_group_check(&head, records, n, err);
    if (result != STORE_OK)
        return result;
    for (size_t i = 0; i < n; i++) {
        if (!push(store, &records[i])) {
            drop_from(store, (size_t)head.seq);
            return no_memory(err);
        }
    }
    return STORE_OK;
}

static enum store_result memory_read(void *self, uint64_t from, bool (*each)(void *, const struct store_record *),
                                     void *ctx, struct zdm_error *err)
{
    const struct memory_store *store = self;
    (void)err;
    for (size_t i = from != 0 ? (size_t)(from - 1) : 0; i < store->n; i++) {
        if (!each(ctx, &store->records[i]))
            break;
    }
    return STORE_OK;
}

static enum store_result memory_backup(void *self, const char *path, struct zdm_error *err)
{
    (void)self;
    zdm_error_set(err, ZDM_UNSUPPORTED, "a log in memory cannot be written to %s", path);
    return STORE_IO;
}

static void memory_close(void *self)
{
    struct memory_store *store = self;
    if (store == NULL)
        return;
    drop_from(store, 0);
    free(store->records);
    free(store);
}

static const struct store_ops memory_ops = {.name = "memory",
                                            .head = memory_head,
                                            .acquire = memory_acquire,
                                            .renew = memory_renew,
                                            .append = memory_append,
                                            .read = memory_read,
                                            .backup = memory_backup,
                                            .close = memory_close};

enum store_result store_memory_open(struct store *out_store, struct zdm_error *err)
{
    struct memory_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return no_memory(err);
    *out_store = (struct store){.ops = &memory_ops, .self = store};
    return STORE_OK;
}

enum store_result store_memory_copy(const struct store *from, struct store *out_store, struct zdm_error *err)
{
    const struct memory_store *original = from->self;
    struct store copy;
    enum store_result result = store_memory_open(&copy, err);
    if (result != STORE_OK)
        return result;
    struct memory_store *store = copy.self;
    for (size_t i = 0; i < original->n; i++) {
        if (!push(store, &original->records[i])) {
            memory_close(store);
            return no_memory(err);
        }
    }
    store->epoch = original->epoch;
    store->backup_seq = original->backup_seq;
    *out_store = copy;
    return STORE_OK;
}

enum store_result store_memory_backup(const struct store *from, struct store *out_store, struct zdm_error *err)
{
    enum store_result result = store_memory_copy(from, out_store, err);
    if (result == STORE_OK) {
        struct memory_store *store = out_store->self;
        store->backup_seq = store->n;
    }
    return result;
}
