/*
 * store.h - the coordinator's log on disk, as one vtable: SQLite and memory (PostgreSQL has the same shape).
 *
 * A store keeps records in order and nothing else; what they mean is coordinator/log's and coordinator/core's. A group
 * is appended whole or not at all. The store checks that seq goes up by one and that prev_hash fits, and refuses
 * anything else as a bug of the caller's.
 *
 * May block (disk). One thread. Whoever opens a store owns it; records given to a callback are borrowed for the call.
 */
#ifndef COORDINATOR_STORE_STORE_H
#define COORDINATOR_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/id.h"

struct store_record {
    uint64_t seq;
    struct zdm_hash prev_hash, hash;
    const uint8_t *bytes;
    size_t n;
};

struct store_head {
    uint64_t seq; /* 0: empty */
    struct zdm_hash hash;
    uint64_t epoch;      /* highest acquired; 0: none */
    uint64_t backup_seq; /* this is a backup, made when the head was here; 0: it is not. While equal to seq nothing was
                            appended since, and whoever opens it must start fenced (protocol 7) */
};

enum store_result {
    STORE_OK = 0,
    STORE_DEPOSED, /* another has a higher epoch: nothing was appended, step down */
    STORE_UNKNOWN, /* the outcome is not known: read back */
    STORE_FULL,    /* no room: nothing was appended; mutating requests must be refused until a probe works */
    STORE_IO,      /* the medium failed: the process must exit */
    STORE_CORRUPT, /* what is stored is damaged */
    STORE_BUSY     /* somebody else has it open */
};

struct store_ops {
    const char *name;
    /* The head as stored; reads nothing else. */
    enum store_result (*head)(void *self, struct store_head *out_head, struct zdm_error *err);
    /* Becomes the writer with an epoch higher than any before, durably. */
    enum store_result (*acquire)(void *self, uint64_t *out_epoch, struct zdm_error *err);
    /* Proves that the epoch is still the writer's; STORE_DEPOSED otherwise. */
    enum store_result (*renew)(void *self, uint64_t epoch, struct zdm_error *err);
    /* Appends a group in one commit, durable when it returns STORE_OK. */
    enum store_result (*append)(void *self, uint64_t epoch, const struct store_record *records, size_t n,
                                struct zdm_error *err);
    /* Calls back for every record with seq >= from, in order, until the end or until the callback says false. Checks
     * that no seq is missing (STORE_CORRUPT). */
    enum store_result (*read)(void *self, uint64_t from, bool (*each)(void *ctx, const struct store_record *record),
                              void *ctx, struct zdm_error *err);
    /* Writes a copy that opens fenced (protocol 7); STORE_IO where the store cannot. */
    enum store_result (*backup)(void *self, const char *path, struct zdm_error *err);
    void (*close)(void *self);
};

struct store {
    const struct store_ops *ops;
    void *self;
};

/* One file, one connection, WAL, synchronous=FULL, locking_mode=EXCLUSIVE; mode 0600. fleet pins the file to a fleet:
 * another one's is STORE_CORRUPT. */
enum store_result store_sqlite_open(const char *path, const struct zdm_id *fleet, struct store *out_store,
                                    struct zdm_error *err);
/* Bounds the file to so many bytes (rounded to pages, never below what it holds); appends beyond are STORE_FULL.
 * 0: only the disk bounds it. */
void store_sqlite_set_limit(const struct store *store, uint64_t bytes);

/* Every record of a file as it is, by its number, without any check: a log that is damaged can be read as far as it
 * goes, and is not changed. STORE_BUSY while a coordinator has it open. */
enum store_result store_sqlite_examine(const char *path, bool (*each)(void *ctx, const struct store_record *record),
                                       void *ctx, struct zdm_error *err);

/* The reference; lives until it is closed. */
enum store_result store_memory_open(struct store *out_store, struct zdm_error *err);
/* An independent copy of a memory store as it is now: a file that somebody copied. STORE_IO without memory. */
enum store_result store_memory_copy(const struct store *from, struct store *out_store, struct zdm_error *err);
/* The same as a backup of it: opens with head.backup_seq set. */
enum store_result store_memory_backup(const struct store *from, struct store *out_store, struct zdm_error *err);

const char *store_result_name(enum store_result result);

#endif
