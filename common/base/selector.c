/*
 * selector.c - see selector.h.
 */
#include "common/base/selector.h"

#include <string.h>

#include "common/base/buffer.h"
#include "common/base/id.h"

enum term_kind { TERM_EQUAL, TERM_NOT_EQUAL, TERM_PRESENT, TERM_ABSENT };

struct term {
    enum term_kind kind;
    struct zdm_label label;
};

/* Cuts the next term off *cursor: 1 a term, 0 the end, -1 not a term (its text in term->label.key, cut if long). */
static int next_term(const char **cursor, struct term *term)
{
    char text[2 * ZDM_NAME_MAX + 4];
    const char *start = *cursor;
    if (*start == '\0')
        return 0;
    size_t n = strcspn(start, ",");
    *cursor = start[n] == ',' ? start + n + 1 : start + n;
    while (n > 0 && *start == ' ')
        start++, n--;
    while (n > 0 && start[n - 1] == ' ')
        n--;
    *term = (struct term){.kind = TERM_PRESENT};
    if (n >= sizeof text)
        n = sizeof text - 1;
    memcpy(text, start, n);
    text[n] = '\0';

    const char *key = text, *value = "";
    char *equals = strchr(text, '=');
    if (equals != NULL) {
        value = equals + 1;
        term->kind = TERM_EQUAL;
        if (equals > text && equals[-1] == '!') {
            term->kind = TERM_NOT_EQUAL;
            equals--;
        }
        *equals = '\0';
        if (!zdm_name_is_valid(value))
            key = "";
    } else if (text[0] == '!') {
        term->kind = TERM_ABSENT;
        key++;
    }
    if (!zdm_name_is_valid(key)) {
        memcpy(text, start, n);
        text[n] = '\0';
        zdm_copy_text(term->label.key, sizeof term->label.key, text);
        return -1;
    }
    zdm_copy_text(term->label.key, sizeof term->label.key, key);
    zdm_copy_text(term->label.value, sizeof term->label.value, value);
    return 1;
}

enum zdm_code zdm_labels_add(struct zdm_labels *labels, const char *key_equals_value, struct zdm_error *err)
{
    struct term term;
    const char *cursor = key_equals_value;
    if (next_term(&cursor, &term) != 1 || *cursor != '\0' || term.kind != TERM_EQUAL) {
        zdm_error_set(err, ZDM_INVALID, "\"%s\" is not a label", key_equals_value);
        return zdm_error_hint(err, "Write key=value with lower-case letters, digits, '.', '_' and '-'.");
    }
    if (strcmp(term.label.key, "shard") == 0)
        return zdm_error_set(err, ZDM_INVALID, "label \"shard\" is reserved for the shard's own name");
    if (zdm_labels_get(labels, term.label.key) != NULL)
        return zdm_error_set(err, ZDM_EXISTS, "label \"%s\" is given twice", term.label.key);
    if (labels->n == ZDM_LABELS_MAX)
        return zdm_error_set(err, ZDM_LIMIT, "more than %d labels", ZDM_LABELS_MAX);
    labels->items[labels->n++] = term.label;
    return ZDM_OK;
}

const char *zdm_labels_get(const struct zdm_labels *labels, const char *key)
{
    for (size_t i = 0; i < labels->n; i++)
        if (strcmp(labels->items[i].key, key) == 0)
            return labels->items[i].value;
    return NULL;
}

enum zdm_code zdm_selector_check(const char *selector, struct zdm_error *err)
{
    struct term term;
    int found;
    while ((found = next_term(&selector, &term)) == 1)
        ;
    if (found == 0)
        return ZDM_OK;
    zdm_error_set(err, ZDM_INVALID, "\"%s\" is not a term of a selector", term.label.key);
    return zdm_error_hint(err, "Write key=value, key!=value, key or !key, separated by commas.");
}

bool zdm_selector_matches(const char *selector, const char *shard, const struct zdm_labels *labels)
{
    struct term term;
    int found;
    while ((found = next_term(&selector, &term)) == 1) {
        const char *value = strcmp(term.label.key, "shard") == 0 ? shard : zdm_labels_get(labels, term.label.key);
        bool equal = value != NULL && strcmp(value, term.label.value) == 0;
        bool holds = false;
        switch (term.kind) {
        case TERM_EQUAL:
            holds = equal;
            break;
        case TERM_NOT_EQUAL:
            holds = !equal;
            break;
        case TERM_PRESENT:
            holds = value != NULL;
            break;
        case TERM_ABSENT:
            holds = value == NULL;
            break;
        }
        if (!holds)
            return false;
    }
    return found == 0;
}
