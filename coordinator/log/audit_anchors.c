/*
 * audit_anchors.c - anchors out of JSON. See audit.h.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/log/audit.h"

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text != NULL ? text : "";
}

static bool number_of(const json_t *row, const char *key, uint64_t *out)
{
    const json_t *value = json_object_get(row, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

static bool read_anchor(const json_t *row, struct coord_audit_anchor *out)
{
    struct zdm_id agent;
    const char *shard = text_of(row, "shard");
    *out = (struct coord_audit_anchor){.fence = {.epoch = 0}};
    if (!zdm_name_is_valid(shard) || !zdm_name_is_valid(text_of(row, "migration")) ||
        !zdm_unhex(agent.bytes, sizeof agent.bytes, text_of(row, "agent")))
        return false;
    (void)snprintf(out->who, sizeof out->who, "agent %.12s of %s", text_of(row, "agent"), shard);
    zdm_copy_text(out->migration, sizeof out->migration, text_of(row, "migration"));
    return number_of(row, "epoch", &out->fence.epoch) && number_of(row, "generation", &out->fence.generation) &&
           zdm_unhex(out->fence.instance.bytes, sizeof out->fence.instance.bytes, text_of(row, "instance")) &&
           zdm_unhex(out->fence.anchor.bytes, sizeof out->fence.anchor.bytes, text_of(row, "anchor"));
}

static enum zdm_code add_anchors(struct coord_audit *audit, const json_t *rows, struct zdm_error *err)
{
    struct coord_audit_anchor anchor;
    if (!json_is_array(rows))
        return zdm_error_set(err, ZDM_INVALID, "there is no list of anchors in it");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        if (!read_anchor(json_array_get(rows, i), &anchor))
            return zdm_error_set(err, ZDM_INVALID, "anchor %zu is not one", i + 1);
        if (!coord_audit_anchor(audit, &anchor))
            return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    return ZDM_OK;
}

enum zdm_code coord_audit_anchors(struct coord_audit *audit, const char *json, size_t n, struct zdm_error *err)
{
    json_error_t where;
    json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL) {
        zdm_error_set(err, ZDM_INVALID, "it is not JSON: %s", where.text);
        return zdm_error_hint(err, "Anchors are what \"zdm-agent anchors\" prints.");
    }
    enum zdm_code code = add_anchors(audit, json_is_array(root) ? root : json_object_get(root, "anchors"), err);
    json_decref(root);
    return code;
}
