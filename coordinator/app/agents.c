/*
 * agents.c - what agents and joiners are told: who they are to us, the trust file, a plan in pieces.
 */
#include <string.h>

#include "coordinator/app/private.h"

/* Of a trust frame's envelopes, with room for the frame around them; and of one of them beside its bytes. */
enum { TRUST_FRAME_BYTES = ZDM_FRAME_MAX - 2048, ENVELOPE_OVERHEAD = ZDM_SIGNATURE_SIZE + 16 };

void send_welcome(struct coord_driver *d, struct coord_peer *peer)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_WELCOME};
    frame.u.welcome.epoch = d->epoch;
    frame.u.welcome.trust_version = d->chain.trust.version;
    (void)zdm_copy_text(frame.u.welcome.name, sizeof frame.u.welcome.name, peer->name);
    (void)zdm_copy_text(frame.u.welcome.release, sizeof frame.u.welcome.release, d->release);
    (void)coord_hub_send(d->hub, peer, &frame);
}

/* ---- Plans ---- */

static bool has_shard(const struct coord_migration *migration, const char *shard)
{
    return coord_find_shard(migration, shard) >= 0;
}

static const struct coord_migration *find_by_plan(const struct coord_state *state, const struct zdm_hash *hash,
                                                  const char *shard)
{
    for (size_t i = state->n_migrations; i > 0; i--) {
        const struct coord_migration *migration = state->migrations[i - 1];
        if (zdm_hash_equal(&migration->plan->hash, hash) && has_shard(migration, shard))
            return migration;
    }
    return NULL;
}

/* Copies [offset, offset + n) of the envelope as zdm_envelope_flatten would write it. */
static void copy_flattened(uint8_t *out, const struct zdm_envelope *envelope, size_t offset, size_t n)
{
    size_t of_bytes = offset < envelope->len ? envelope->len - offset : 0;
    if (of_bytes > n)
        of_bytes = n;
    if (of_bytes != 0)
        memcpy(out, envelope->bytes + offset, of_bytes);
    if (n > of_bytes)
        memcpy(out + of_bytes, envelope->signature + (offset + of_bytes - envelope->len), n - of_bytes);
}

/* A plan that this shard has no part in, and was not asked about, is not answered: the agent's request may be older
 * than the log's truth. */
void answer_plan_request(struct coord_driver *d, const struct pending *pending)
{
    struct coord_peer *peer = coord_hub_find(d->hub, pending->conn);
    const struct zdm_piece *asked = &pending->frame.u.piece;
    const struct coord_migration *migration = peer != NULL ? find_by_plan(d->state, &asked->hash, peer->name) : NULL;
    const struct zdm_envelope *envelope =
        migration != NULL ? &migration->plan_envelope : survey_plan(d, pending->conn, &asked->hash);
    if (envelope == NULL)
        return;
    size_t total = envelope->len + sizeof envelope->signature;
    if (asked->offset >= total)
        return;
    static const size_t most = ZDM_PIECE_MAX;
    uint8_t bytes[ZDM_PIECE_MAX];
    size_t n = total - asked->offset < most ? total - asked->offset : most;
    copy_flattened(bytes, envelope, asked->offset, n);
    const struct zdm_frame frame = {
        .type = ZDM_FRAME_PLAN_PIECE,
        .u.piece = {.hash = asked->hash, .total = (uint32_t)total, .offset = asked->offset, .bytes = bytes, .n = n}};
    if (coord_hub_send(d->hub, peer, &frame) == ZDM_SEND_FULL)
        coord_hub_close(d->hub, peer, "");
}

/* ---- Trust ---- */

static uint32_t version_of(const struct zdm_envelope *envelope)
{
    uint32_t version;
    return zdm_trust_version_of(envelope, &version) ? version : 0;
}

static void send_versions(struct coord_driver *d, struct coord_peer *peer, size_t first, size_t n)
{
    const struct zdm_frame frame = {.type = ZDM_FRAME_TRUST,
                                    .u.envelopes = {.items = d->chain.envelopes + first, .n = n}};
    if (coord_hub_send(d->hub, peer, &frame) == ZDM_SEND_FULL)
        coord_hub_close(d->hub, peer, "");
}

/* A frame holds so many bytes: a long chain leaves in several, none of which ends inside a version. */
void send_trust(struct coord_driver *d, struct coord_peer *peer, uint32_t held)
{
    const struct zdm_trust_chain *chain = &d->chain;
    size_t first = 0, end = 0, bytes = 0;
    while (first < chain->n_envelopes && version_of(&chain->envelopes[first]) <= held)
        first++;
    for (size_t next = end = first; next < chain->n_envelopes; end = next) {
        uint32_t version = version_of(&chain->envelopes[next]);
        size_t more = 0;
        for (; next < chain->n_envelopes && version_of(&chain->envelopes[next]) == version; next++)
            more += chain->envelopes[next].len + ENVELOPE_OVERHEAD;
        if (end > first && bytes + more > TRUST_FRAME_BYTES) {
            send_versions(d, peer, first, end - first);
            first = end;
            bytes = 0;
        }
        bytes += more;
    }
    send_versions(d, peer, first, chain->n_envelopes - first);
}

void answer_trust_request(struct coord_driver *d, const struct pending *pending)
{
    struct coord_peer *peer = coord_hub_find(d->hub, pending->conn);
    if (peer != NULL)
        send_trust(d, peer, pending->frame.u.trust_request.from_version);
}
