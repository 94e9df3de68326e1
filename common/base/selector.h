/*
 * selector.h - labels of a shard and the selectors that choose shards by them.
 *
 * A selector is a comma-separated list of terms, all of which must hold: key=value, key!=value, key (present),
 * !key (absent). The empty selector chooses every shard. A shard's own name is the label "shard".
 */
#ifndef ZDM_BASE_SELECTOR_H
#define ZDM_BASE_SELECTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"
#include "common/base/limits.h"

struct zdm_label {
    char key[ZDM_NAME_MAX + 1];
    char value[ZDM_NAME_MAX + 1];
};

struct zdm_labels {
    size_t n;
    struct zdm_label items[ZDM_LABELS_MAX];
};

/* Adds key=value; refuses invalid names, a second value for a key, too many labels, and the reserved key "shard". */
enum zdm_code zdm_labels_add(struct zdm_labels *labels, const char *key_equals_value,
                             struct zdm_error *err) ZDM_CHECKED;
/* The value of a key, or NULL. */
const char *zdm_labels_get(const struct zdm_labels *labels, const char *key);

/* Is the text a selector? The error says which term is not. */
enum zdm_code zdm_selector_check(const char *selector, struct zdm_error *err) ZDM_CHECKED;
/* Does the shard match? The selector must have passed zdm_selector_check; an invalid one matches nothing. */
bool zdm_selector_matches(const char *selector, const char *shard, const struct zdm_labels *labels);

#endif
