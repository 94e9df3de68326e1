/*
 * view_trust.c - the trust file for people. See view_trust.h.
 */
#include "coordinator/ctl/view/view_trust.h"

#include <inttypes.h>
#include <string.h>

#include "coordinator/ctl/text/table.h"
#include "coordinator/ctl/model/trust_proposal.h"

/* ---- Changes ---- */

struct changes {
    struct zdm_buffer *out;
    const struct ctl_look *look;
    const struct zdm_crypto *crypto;
    size_t n;
};

static void put_change(struct changes *c, enum ctl_style style, const char *sign, const char *text)
{
    ctl_put(c->out, c->look, style, sign);
    zdm_buffer_puts(c->out, " ");
    ctl_wrap(c->out, c->look, CTL_PLAIN, text, 2, 4);
    c->n++;
}

static const char *key_text(char out[ZDM_ID_HEX_SIZE], const struct zdm_crypto *crypto, const struct zdm_hash *key)
{
    struct zdm_id id = zdm_key_id(crypto, key);
    zdm_hex(out, id.bytes, sizeof id.bytes);
    return out;
}

static const struct zdm_person *named(const struct zdm_trust *trust, const char *name)
{
    for (size_t i = 0; i < trust->n_people; i++)
        if (strcmp(trust->people[i].name, name) == 0)
            return &trust->people[i];
    return NULL;
}

static void compare_person(struct changes *c, const struct zdm_person *before, const struct zdm_person *after)
{
    char key[ZDM_ID_HEX_SIZE], old_key[ZDM_ID_HEX_SIZE], roles[64], old_roles[64], text[320];
    zdm_roles_text(roles, sizeof roles, after->roles);
    if (before == NULL) {
        snprintf(text, sizeof text, "person %s, key %s: %s", after->name, key_text(key, c->crypto, &after->public_key),
                 roles);
        put_change(c, CTL_GOOD, "+", text);
        return;
    }
    zdm_roles_text(old_roles, sizeof old_roles, before->roles);
    if (before->roles != after->roles) {
        snprintf(text, sizeof text, "person %s: %s, was %s", after->name, roles, old_roles);
        put_change(c, CTL_WARN, "*", text);
    }
    if (!zdm_hash_equal(&before->public_key, &after->public_key)) {
        snprintf(text, sizeof text, "person %s: key %s, was %s", after->name,
                 key_text(key, c->crypto, &after->public_key), key_text(old_key, c->crypto, &before->public_key));
        put_change(c, CTL_WARN, "*", text);
    }
}

static void compare_people(struct changes *c, const struct zdm_trust *before, const struct zdm_trust *after)
{
    char text[160];
    for (size_t i = 0; i < after->n_people; i++)
        compare_person(c, named(before, after->people[i].name), &after->people[i]);
    for (size_t i = 0; i < before->n_people; i++) {
        if (named(after, before->people[i].name) != NULL)
            continue;
        snprintf(text, sizeof text, "person %s", before->people[i].name);
        put_change(c, CTL_BAD, "-", text);
    }
}

static bool has_key(const struct zdm_hash *keys, size_t n, const struct zdm_hash *key)
{
    for (size_t i = 0; i < n; i++)
        if (zdm_hash_equal(&keys[i], key))
            return true;
    return false;
}

/* The keys of a that b does not have. */
static void put_missing(struct changes *c, enum ctl_style style, const char *sign, const char *what,
                        const struct zdm_hash *a, size_t n_a, const struct zdm_hash *b, size_t n_b)
{
    char key[ZDM_ID_HEX_SIZE], text[96];
    for (size_t i = 0; i < n_a; i++) {
        if (has_key(b, n_b, &a[i]))
            continue;
        snprintf(text, sizeof text, "%s %s", what, key_text(key, c->crypto, &a[i]));
        put_change(c, style, sign, text);
    }
}

static void compare_rules(struct changes *c, const struct zdm_trust *before, const struct zdm_trust *after)
{
    char text[160];
    if (before->root_threshold != after->root_threshold) {
        snprintf(text, sizeof text, "a new version needs %" PRIu32 " roots, was %" PRIu32, after->root_threshold,
                 before->root_threshold);
        put_change(c, CTL_WARN, "*", text);
    }
    if (before->approvals_min != after->approvals_min) {
        snprintf(text, sizeof text, "a destructive phase needs %" PRIu32 " approvals, was %" PRIu32,
                 after->approvals_min, before->approvals_min);
        put_change(c, CTL_WARN, "*", text);
    }
    if (before->four_eyes != after->four_eyes)
        put_change(c, CTL_WARN, "*",
                   after->four_eyes ? "who submitted a plan may no longer approve it"
                                    : "who submitted a plan may approve it, too");
}

/* A version that locks everybody out of what destroys is easily made, and noticed when it is too late. */
static void warn_of_too_few(struct changes *c, const struct zdm_trust *after)
{
    char text[160];
    size_t approvers = 0;
    for (size_t i = 0; i < after->n_people; i++)
        approvers += (after->people[i].roles & ZDM_ROLE_APPROVER) != 0 ? 1 : 0;
    if (approvers >= after->approvals_min)
        return;
    snprintf(text, sizeof text,
             "a destructive phase needs %" PRIu32 " approval%s, and %zu %s: nobody can enter or purge one",
             after->approvals_min, after->approvals_min == 1 ? "" : "s", approvers,
             approvers == 1 ? "person is an approver" : "people are approvers");
    put_change(c, CTL_BAD, "!", text);
}

void ctl_view_trust_changes(struct zdm_buffer *out, const struct ctl_look *look, const struct zdm_crypto *crypto,
                            const struct zdm_trust *before, const struct zdm_trust *after)
{
    struct changes c = {.out = out, .look = look, .crypto = crypto};
    compare_people(&c, before, after);
    put_missing(&c, CTL_GOOD, "+", "coordinator", after->coordinators, after->n_coordinators, before->coordinators,
                before->n_coordinators);
    put_missing(&c, CTL_BAD, "-", "coordinator", before->coordinators, before->n_coordinators, after->coordinators,
                after->n_coordinators);
    put_missing(&c, CTL_GOOD, "+", "root", after->roots, after->n_roots, before->roots, before->n_roots);
    put_missing(&c, CTL_BAD, "-", "root", before->roots, before->n_roots, after->roots, after->n_roots);
    compare_rules(&c, before, after);
    warn_of_too_few(&c, after);
    if (c.n == 0)
        zdm_buffer_puts(out, "nothing that counts is changed\n");
}

/* From version to version, the newest last. */
static void put_versions(struct zdm_buffer *out, const struct ctl_look *look, const struct zdm_crypto *crypto,
                         const struct zdm_trust_chain *chain)
{
    struct zdm_error ignored = ZDM_ERROR_INIT;
    for (uint32_t v = 2; v <= chain->trust.version; v++) {
        struct zdm_trust before, after;
        if (ctl_trust_version(crypto, chain, v - 1, &before, NULL, &ignored) != ZDM_OK)
            return;
        if (ctl_trust_version(crypto, chain, v, &after, NULL, &ignored) == ZDM_OK) {
            zdm_buffer_printf(out, "\nchanged by version %" PRIu32 ":\n", v);
            ctl_view_trust_changes(out, look, crypto, &before, &after);
            zdm_trust_fini(&after);
        }
        zdm_trust_fini(&before);
    }
}

/* ---- The file ---- */

static void put_key(struct ctl_table *table, const struct zdm_crypto *crypto, const char *what, const char *name,
                    const char *roles, const struct zdm_hash *key)
{
    struct zdm_id id = zdm_key_id(crypto, key);
    char hex[ZDM_ID_HEX_SIZE];
    zdm_hex(hex, id.bytes, sizeof id.bytes);
    const char *const cells[] = {what, name, hex, roles};
    ctl_table_row(table, cells);
}

void ctl_view_trust(struct zdm_buffer *out, const struct ctl_look *look, const struct zdm_crypto *crypto,
                    const struct zdm_trust_chain *chain)
{
    static const struct ctl_column columns[] = {
        {"WHO", CTL_COLUMN_TEXT}, {"NAME", CTL_COLUMN_TEXT}, {"KEY", CTL_COLUMN_TEXT}, {"ROLES", CTL_COLUMN_WRAP}};
    const struct zdm_trust *trust = &chain->trust;
    char fleet[ZDM_ID_HEX_SIZE], hash[ZDM_HASH_HEX_SIZE], roles[64];
    zdm_hex(fleet, chain->fleet.bytes, sizeof chain->fleet.bytes);
    zdm_hex(hash, chain->hash.bytes, sizeof chain->hash.bytes);
    zdm_buffer_puts(out, "fleet ");
    ctl_put(out, look, CTL_BOLD, trust->fleet_name);
    zdm_buffer_printf(out, ", id %s\nversion %" PRIu32 ", hash %.*s...\n", fleet, trust->version, 32, hash);
    zdm_buffer_printf(out,
                      "a new version needs %" PRIu32 " of %zu roots, a destructive phase %" PRIu32 " approval%s%s\n\n",
                      trust->root_threshold, trust->n_roots, trust->approvals_min, trust->approvals_min == 1 ? "" : "s",
                      trust->four_eyes ? ", none of them by who submitted the plan" : "");
    struct ctl_table *table = ctl_table_new(look, columns, sizeof columns / sizeof columns[0], true);
    for (size_t i = 0; i < trust->n_people; i++) {
        zdm_roles_text(roles, sizeof roles, trust->people[i].roles);
        put_key(table, crypto, "person", trust->people[i].name, roles, &trust->people[i].public_key);
    }
    for (size_t i = 0; i < trust->n_coordinators; i++)
        put_key(table, crypto, "coordinator", "", "", &trust->coordinators[i]);
    for (size_t i = 0; i < trust->n_roots; i++)
        put_key(table, crypto, "root", "", "", &trust->roots[i]);
    ctl_table_put(table, out);
    put_versions(out, look, crypto, chain);
}
