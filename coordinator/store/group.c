/*
 * group.c - see group.h.
 */
#include "coordinator/store/group.h"

#include <inttypes.h>

enum store_result store_group_check(const struct store_head *head, const struct store_record *records, size_t n,
                                    struct zdm_error *err)
{
    uint64_t seq = head->seq;
    const struct zdm_hash *hash = &head->hash;
    if (n == 0 || n > STORE_GROUP_MAX) {
        zdm_error_set(err, ZDM_BUG, "a group has 1 to %d records, not %zu", (int)STORE_GROUP_MAX, n);
        return STORE_CORRUPT;
    }
    for (size_t i = 0; i < n; i++) {
        if (records[i].seq != seq + 1) {
            zdm_error_set(err, ZDM_BUG, "record %" PRIu64 " does not follow record %" PRIu64, records[i].seq, seq);
            return STORE_CORRUPT;
        }
        if (!zdm_hash_equal(&records[i].prev_hash, hash)) {
            zdm_error_set(err, ZDM_BUG, "record %" PRIu64 " does not name the hash of the one before", records[i].seq);
            return STORE_CORRUPT;
        }
        if (records[i].n == 0 || records[i].n > STORE_RECORD_MAX) {
            zdm_error_set(err, ZDM_BUG, "record %" PRIu64 " has %zu bytes", records[i].seq, records[i].n);
            return STORE_CORRUPT;
        }
        seq = records[i].seq;
        hash = &records[i].hash;
    }
    return STORE_OK;
}
