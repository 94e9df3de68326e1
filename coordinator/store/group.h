/*
 * group.h - the check that every store makes before it appends: does the group continue the chain?
 *
 * It is the caller's bug when it does not, and the last moment at which a bug can be kept out of a log that is never
 * corrected afterwards.
 */
#ifndef COORDINATOR_STORE_GROUP_H
#define COORDINATOR_STORE_GROUP_H

#include "coordinator/store/store.h"

enum { STORE_GROUP_MAX = 65536, STORE_RECORD_MAX = 8 * 1024 * 1024 };

/* STORE_OK, or STORE_CORRUPT with the reason: nothing of it may be appended. */
enum store_result store_group_check(const struct store_head *head, const struct store_record *records, size_t n,
                                    struct zdm_error *err);

#endif
