/*
 * trust_check.c - is what was uploaded the next version of this fleet's trust file? And if not, what is missing.
 *
 * Only the newest version of the upload counts: it is put behind what is in force here and verified as the rules of the
 * chain say (proto/trust_file.h). So it does not matter what else the upload claims about the past.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/app/private.h"

/* ---- The envelopes of an upload ---- */

struct envelopes {
    struct zdm_envelope *items;
    size_t n, cap;
};

static void envelopes_fini(struct envelopes *envelopes)
{
    for (size_t i = 0; i < envelopes->n; i++)
        zdm_envelope_fini(&envelopes->items[i]);
    free(envelopes->items);
}

static enum zdm_code split(const uint8_t *bytes, size_t n, struct envelopes *out, struct zdm_error *err)
{
    for (size_t at = 0, size; at < n; at += size) {
        size = zdm_envelope_flat_size(bytes + at, n - at);
        if (size == 0)
            return zdm_error_set(err, ZDM_PROTOCOL, "the uploaded trust file is damaged at byte %zu", at);
        if (!ZDM_RESERVE(out->items, out->cap, out->n + 1))
            return zdm_error_set(err, ZDM_NOMEM, "out of memory");
        enum zdm_code code = zdm_envelope_unflatten(bytes + at, size, &out->items[out->n], err);
        if (code != ZDM_OK)
            return code;
        out->n++;
    }
    return out->n != 0 ? ZDM_OK : zdm_error_set(err, ZDM_PROTOCOL, "the uploaded trust file is empty");
}

static bool same_body(const struct zdm_envelope *a, const struct zdm_envelope *b)
{
    size_t a_n, b_n;
    const uint8_t *a_body = zdm_signed_body(a, &a_n), *b_body = zdm_signed_body(b, &b_n);
    return a_body != NULL && b_body != NULL && a_n == b_n && memcmp(a_body, b_body, a_n) == 0;
}

/* Index of the first envelope of the newest version. */
static size_t newest_of(const struct envelopes *envelopes)
{
    size_t first = envelopes->n - 1;
    while (first > 0 && same_body(&envelopes->items[first - 1], &envelopes->items[first]))
        first--;
    return first;
}

static struct zdm_hash body_hash(const struct coord_driver *d, const struct zdm_envelope *envelope)
{
    struct zdm_hash hash = {{0}};
    size_t n;
    const uint8_t *body = zdm_signed_body(envelope, &n);
    if (body != NULL)
        zdm_hash_bytes(d->config.crypto, hash.bytes, sizeof hash.bytes, body, n);
    return hash;
}

/* ---- Is it the next version? What is read here is not verified yet: it only makes for a better refusal ---- */

static enum zdm_code check_version(const struct zdm_trust *trust, const struct zdm_hash *hash,
                                   const struct zdm_trust_chain *held, struct zdm_error *err)
{
    uint32_t version = trust->version, at = held->trust.version;
    if (version == at + 1)
        return ZDM_OK;
    if (version == at && zdm_hash_equal(hash, &held->hash))
        return zdm_error_set(err, ZDM_EXISTS, "version %" PRIu32 " of the trust file is in force already", at);
    if (version > at)
        zdm_error_set(err, ZDM_REFUSED,
                      "this is version %" PRIu32 " of the trust file, and version %" PRIu32 " is next", version,
                      at + 1);
    else
        zdm_error_set(err, ZDM_REFUSED,
                      "this is version %" PRIu32 " of the trust file, and version %" PRIu32 " is in force", version,
                      at);
    return zdm_error_hint(err, version > at ? "Publish the versions one after the other."
                                            : "Take the file in force (zdmctl trust show), and propose again from it.");
}

static enum zdm_code check_newest(const struct coord_driver *d, const struct envelopes *envelopes, size_t first,
                                  struct zdm_trust *out, struct zdm_error *err)
{
    const struct zdm_trust_chain *held = trust_in_force(d);
    struct zdm_hash root = body_hash(d, &envelopes->items[0]), hash = body_hash(d, &envelopes->items[first]);
    size_t n = 0;
    const uint8_t *body = zdm_signed_body(&envelopes->items[first], &n);
    if (memcmp(root.bytes, held->fleet.bytes, sizeof held->fleet.bytes) != 0)
        return zdm_error_set(err, ZDM_REFUSED, "the uploaded trust file belongs to another fleet");
    if (body == NULL)
        return zdm_error_set(err, ZDM_PROTOCOL, "the uploaded trust file is damaged");
    enum zdm_code code = zdm_trust_decode(body, n, out, err);
    if (code != ZDM_OK)
        return zdm_error_wrap(err, "the uploaded trust file");
    code = check_version(out, &hash, held, err);
    if (code != ZDM_OK)
        zdm_trust_fini(out);
    return code;
}

/* ---- Who signed, and who has not: for the refusal ---- */

static bool claims(const struct envelopes *envelopes, size_t first, const struct zdm_id *root)
{
    struct zdm_id key;
    for (size_t i = first; i < envelopes->n; i++)
        if (zdm_signed_claims(&envelopes->items[i], &key) && zdm_id_equal(&key, root))
            return true;
    return false;
}

/* "1a2b3c4d5e6f7081, …" of those roots that signed, or of those that did not; their number. */
static size_t list_roots(const struct coord_driver *d, const struct zdm_trust *trust, const struct envelopes *envelopes,
                         size_t first, bool signed_it, struct zdm_buffer *out)
{
    size_t n = 0;
    for (size_t i = 0; i < trust->n_roots; i++) {
        struct zdm_id id = zdm_key_id(d->config.crypto, &trust->roots[i]);
        char text[ZDM_ID_HEX_SIZE];
        if (claims(envelopes, first, &id) != signed_it)
            continue;
        zdm_hex(text, id.bytes, sizeof id.bytes);
        zdm_buffer_printf(out, "%s%.16s", n++ != 0 ? ", " : "", text);
    }
    return n;
}

static void say_missing(const struct coord_driver *d, const struct zdm_trust *trust, const struct envelopes *envelopes,
                        size_t first, struct zdm_buffer *out)
{
    struct zdm_buffer have = ZDM_BUFFER_INIT, missing = ZDM_BUFFER_INIT;
    size_t given = list_roots(d, trust, envelopes, first, true, &have);
    (void)list_roots(d, trust, envelopes, first, false, &missing);
    zdm_buffer_printf(out, "%sOf the roots of version %" PRIu32 " %s signed", out->len != 0 ? " " : "", trust->version,
                      given != 0 ? zdm_buffer_text(&have) : "nobody");
    if (given < trust->root_threshold)
        zdm_buffer_printf(out, "; %" PRIu32 " more of these must: %s", trust->root_threshold - (uint32_t)given,
                          zdm_buffer_text(&missing));
    zdm_buffer_printf(out, ".");
    zdm_buffer_fini(&have);
    zdm_buffer_fini(&missing);
}

static void describe(const struct coord_driver *d, const struct zdm_trust *newest, const struct envelopes *envelopes,
                     size_t first, struct zdm_error *err)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    say_missing(d, &trust_in_force(d)->trust, envelopes, first, &text);
    say_missing(d, newest, envelopes, first, &text);
    zdm_error_detail(err, "%s", zdm_buffer_text(&text));
    zdm_error_hint(err, "Each root signs the file: zdmctl trust sign FILE --key ROOT.");
    zdm_buffer_fini(&text);
}

/* ---- The verdict ---- */

/* What is in force, and the newest version of the upload behind it: nothing else of the upload counts. */
static enum zdm_code verify(const struct coord_driver *d, const struct envelopes *envelopes, size_t first,
                            struct zdm_trust_chain *out, struct zdm_error *err)
{
    const struct zdm_trust_chain *held = trust_in_force(d);
    size_t n_new = envelopes->n - first, n = held->n_envelopes + n_new;
    struct zdm_envelope *all = calloc(n, sizeof *all); /* borrows all of them */
    if (all == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    memcpy(all, held->envelopes, held->n_envelopes * sizeof *all);
    memcpy(all + held->n_envelopes, envelopes->items + first, n_new * sizeof *all);
    enum zdm_code code = zdm_trust_chain_verify(d->config.crypto, all, n, out, err);
    free(all);
    return code;
}

enum zdm_code trust_check(const struct coord_driver *d, const void *bytes, size_t n, struct zdm_trust_chain *out,
                          struct zdm_error *err)
{
    struct envelopes envelopes = {.n = 0};
    struct zdm_trust newest;
    enum zdm_code code = split(bytes, n, &envelopes, err);
    size_t first = code == ZDM_OK ? newest_of(&envelopes) : 0;
    if (code == ZDM_OK)
        code = check_newest(d, &envelopes, first, &newest, err);
    if (code == ZDM_OK) {
        code = verify(d, &envelopes, first, out, err);
        if (code == ZDM_AUTH)
            describe(d, &newest, &envelopes, first, err);
        zdm_trust_fini(&newest);
    }
    envelopes_fini(&envelopes);
    return code;
}
