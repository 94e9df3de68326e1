/*
 * common_codec.c - the tables of what several messages have in common. See messages.h.
 */
#include "proto/messages.h"

#include <string.h>

#include "common/plan/directive.h"
#include "zdm/v1/common.pb-c.h"

_Static_assert(ZDM_ENGINE_MYSQL == (int)ZDM__V1__ENGINE__ENGINE_MYSQL, "enum Engine");

static const struct zdm_field envelope_fields[] = {
    F_BYTES(zdm_envelope, bytes, len, ZDM_ENVELOPE_MAX, ZDM_REQUIRED),
    F_RAW(zdm_envelope, signature, 0),
};
const struct zdm_message zdm_envelope_message =
    ZDM_MESSAGE(zdm_envelope, zdm__v1__envelope__descriptor, envelope_fields, NULL);

static const struct zdm_field fence_fields[] = {
    F_U64(zdm_fence, epoch, 0),
    F_ID(zdm_fence, instance, 0),
    F_U64(zdm_fence, generation, 0),
    F_HASH(zdm_fence, anchor, 0),
};
const struct zdm_message zdm_fence_message = ZDM_MESSAGE(zdm_fence, zdm__v1__fence__descriptor, fence_fields, NULL);

static enum zdm_code check_throttle(void *object, struct zdm_error *err)
{
    const struct zdm_throttle *throttle = object;
    if (throttle->duty_percent > 100)
        return zdm_error_set(err, ZDM_PROTOCOL, "duty_percent: is more than 100");
    return ZDM_OK;
}

static const struct zdm_field throttle_fields[] = {
    F_U32(zdm_throttle, batch_target_ms, 0),
    F_U32(zdm_throttle, duty_percent, 0),
    F_U32(zdm_throttle, max_replica_lag_ms, 0),
    F_U32(zdm_throttle, max_stall_ms, 0),
};
const struct zdm_message zdm_throttle_message =
    ZDM_MESSAGE(zdm_throttle, zdm__v1__throttle__descriptor, throttle_fields, check_throttle);

static const struct zdm_field label_fields[] = {
    F_TEXT(zdm_label, key, ZDM_REQUIRED | ZDM_NAMED),
    F_TEXT(zdm_label, value, ZDM_REQUIRED | ZDM_NAMED),
};
const struct zdm_message zdm_label_message = ZDM_MESSAGE(zdm_label, zdm__v1__label__descriptor, label_fields, NULL);

enum zdm_code zdm_labels_check(const struct zdm_labels *labels, struct zdm_error *err)
{
    for (size_t i = 0; i < labels->n; i++) {
        if (strcmp(labels->items[i].key, "shard") == 0)
            return zdm_error_set(err, ZDM_PROTOCOL, "labels: has the reserved key \"shard\"");
        for (size_t j = 0; j < i; j++)
            if (strcmp(labels->items[i].key, labels->items[j].key) == 0)
                return zdm_error_set(err, ZDM_PROTOCOL, "labels: has a key twice");
    }
    return ZDM_OK;
}
