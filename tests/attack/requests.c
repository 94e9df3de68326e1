/*
 * requests.c - requests that are not what they seem: changed, unsigned, signed by others, for another session, fleet or
 * type, by people whose role does not allow them, and recorded ones.
 *
 * Many are sent behind each other in one session; a query behind them says that all were looked at. Accepted is one
 * that is answered with success, or after which the log is longer.
 */
#include <stdlib.h>
#include <string.h>

#include "common/os/crypto.h"
#include "common/session/internal.h"
#include "tests/attack/attack.h"
#include "tests/attack/batch.h"

enum { MUTATED_AT_ONCE = 50 };

/* ---- What would have an effect if it were taken ---- */

static const enum zdm_verb verbs[] = {
    ZDM_VERB_SUBMIT,       ZDM_VERB_ADVANCE,  ZDM_VERB_PAUSE,   ZDM_VERB_RESUME,          ZDM_VERB_RETRY,
    ZDM_VERB_ROLLBACK,     ZDM_VERB_THROTTLE, ZDM_VERB_APPROVE, ZDM_VERB_REVOKE_APPROVAL, ZDM_VERB_ENROLL,
    ZDM_VERB_REVOKE_AGENT, ZDM_VERB_EXCLUDE,  ZDM_VERB_INCLUDE, ZDM_VERB_FREEZE,          ZDM_VERB_THAW,
    ZDM_VERB_PURGE,        ZDM_VERB_TRUST,    ZDM_VERB_RECOVER};
enum { N_VERBS = sizeof verbs / sizeof *verbs };

/* Of an operator or approver by the rules, as far as `key` can sign. */
static struct zdm_request effective(struct world *w, const struct wire *wire, enum zdm_verb verb,
                                    const struct zdm_signing_key *key)
{
    struct zdm_request r = world_request(w, wire, verb);
    struct zdm_undo_order order = world_undo_order(w, 0);
    struct zdm_approval approval = world_approval(w, verb == ZDM_VERB_PURGE ? ZDM_APPROVE_PURGE : ZDM_APPROVE_ENTER,
                                                  verb == ZDM_VERB_PURGE ? 0 : 4);
    r.to_phase = verb == ZDM_VERB_ADVANCE ? 4 : 0;
    r.flags_off = true;
    r.target = w->agent;
    zdm_copy_text(r.reason, sizeof r.reason, "attack");
    if (verb == ZDM_VERB_ROLLBACK)
        r.payload = world_sign_undo(w, key, &order);
    if (verb == ZDM_VERB_APPROVE || verb == ZDM_VERB_PURGE)
        r.payload = world_sign_approval(w, key, &approval);
    if (verb == ZDM_VERB_SUBMIT || verb == ZDM_VERB_TRUST)
        r.plan_hash = w->plans[PLAN_OTHER].plan->hash;
    return r;
}

static struct zdm_envelope effective_signed(struct world *w, const struct wire *wire, enum zdm_verb verb,
                                            const struct zdm_signing_key *key)
{
    struct zdm_request r = effective(w, wire, verb, key);
    struct zdm_envelope envelope = world_sign_request(w, key, &r);
    zdm_envelope_fini(&r.payload);
    return envelope;
}

/* ---- Changed ---- */

static const enum zdm_verb harmful[] = {ZDM_VERB_PAUSE, ZDM_VERB_FREEZE, ZDM_VERB_THROTTLE, ZDM_VERB_ROLLBACK};

static void flip(struct world *w, struct zdm_envelope *e)
{
    unsigned flips = 1 + world_below(w, 3);
    for (unsigned i = 0; i < flips; i++) {
        size_t at = world_below(w, (uint32_t)(e->len + sizeof e->signature));
        uint8_t *byte = at < e->len ? &e->bytes[at] : &e->signature[at - e->len];
        *byte ^= (uint8_t)(1u << world_below(w, 8));
    }
}

/* Whose body is no request any more ends the session: what stands behind it would not be looked at. */
static bool is_request(const struct zdm_envelope *e)
{
    struct zdm_request request;
    struct zdm_error err;
    size_t n = 0;
    const uint8_t *body = zdm_signed_body(e, &n);
    if (body == NULL || zdm_request_decode(body, n, &request, &err) != ZDM_OK)
        return false;
    bool named = !zdm_id_is_zero(&request.request_id);
    zdm_request_fini(&request);
    return named;
}

static bool same(const struct zdm_envelope *a, const struct zdm_envelope *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0 &&
           memcmp(a->signature, b->signature, sizeof a->signature) == 0;
}

static void changed_copy(struct world *w, struct zdm_envelope *out, const struct zdm_envelope *good, bool decodable)
{
    bool found = false;
    while (!found) {
        if (!zdm_envelope_copy(out, good))
            world_fail("out of memory");
        flip(w, out);
        found = !same(out, good) && is_request(out) == decodable;
        if (!found)
            zdm_envelope_fini(out);
    }
}

static void send_changed(struct world *w, struct batch *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        batch_open(b, &w->olga);
        struct zdm_envelope good = effective_signed(w, &b->wire, harmful[i % 4], &w->olga), bad;
        for (unsigned k = 0; k < MUTATED_AT_ONCE && i < n; k++, i++) {
            changed_copy(w, &bad, &good, true);
            batch_send(b, "requests: changed", &bad);
            zdm_envelope_fini(&bad);
        }
        zdm_envelope_fini(&good);
    }
    batch_settle(b);
}

static void send_cut(struct world *w, struct batch *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct zdm_envelope bad;
        batch_open(b, &w->olga);
        struct zdm_envelope good = effective_signed(w, &b->wire, harmful[i / 2 % 4], &w->olga);
        changed_copy(w, &bad, &good, i % 2 == 0);
        if (i % 2 == 0)
            bad.len -= 1 + world_below(w, (uint32_t)bad.len - 1);
        batch_send(b, "requests: cut, or changed until they are none", &bad);
        batch_settle(b);
        zdm_envelope_fini(&bad);
        zdm_envelope_fini(&good);
    }
}

/* ---- Signed, but not so ---- */

typedef void spoil(struct world *w, struct zdm_envelope *e, const struct zdm_request *r);

static void resign(struct world *w, struct zdm_envelope *e, const struct zdm_signing_key *key,
                   const struct zdm_id *fleet, enum zdm_signed_type type, const struct zdm_request *r)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    (void)w;
    zdm_request_encode(r, &body);
    zdm_envelope_fini(e);
    *e = world_sign(key, fleet, type, &body);
}

static void no_signature(struct world *w, struct zdm_envelope *e, const struct zdm_request *r)
{
    (void)w, (void)r;
    memset(e->signature, 0, sizeof e->signature);
}

static void by_another(struct world *w, struct zdm_envelope *e, const struct zdm_request *r)
{
    resign(w, e, &w->omar, &w->fleet, ZDM_SIGNED_REQUEST, r);
}

/* Whose id it names did not sign. */
static void with_another_name(struct world *w, struct zdm_envelope *e, const struct zdm_request *r)
{
    resign(w, e, &w->stranger, &w->fleet, ZDM_SIGNED_REQUEST, r);
    memcpy(e->bytes + 36, w->olga.id.bytes, 16);
    w->crypto->sign(w->crypto->self, e->signature, &w->stranger, e->bytes, e->len);
}

static void for_another_fleet(struct world *w, struct zdm_envelope *e, const struct zdm_request *r)
{
    struct zdm_id other = world_nonce(w);
    resign(w, e, &w->olga, &other, ZDM_SIGNED_REQUEST, r);
}

static void of_another_type(struct world *w, struct zdm_envelope *e, const struct zdm_request *r)
{
    static const enum zdm_signed_type types[] = {ZDM_SIGNED_PLAN,  ZDM_SIGNED_DIRECTIVE, ZDM_SIGNED_APPROVAL,
                                                 ZDM_SIGNED_TRUST, ZDM_SIGNED_ENROLMENT, ZDM_SIGNED_UNDO_ORDER};
    resign(w, e, &w->olga, &w->fleet, types[world_below(w, 6)], r);
}

static void for_another_session(struct world *w, struct zdm_envelope *e, const struct zdm_request *r)
{
    struct zdm_request other = *r;
    world_bytes(w, other.session.bytes, sizeof other.session.bytes);
    resign(w, e, &w->olga, &w->fleet, ZDM_SIGNED_REQUEST, &other);
}

static const struct {
    const char *class_name;
    spoil *spoil;
} flaws[] = {{"requests: unsigned", no_signature},
             {"requests: signed by another person", by_another},
             {"requests: signed by a stranger in another's name", with_another_name},
             {"requests: signed for another fleet", for_another_fleet},
             {"requests: signed as another type", of_another_type},
             {"requests: signed for another session", for_another_session}};
enum { N_FLAWS = sizeof flaws / sizeof *flaws };

static void send_spoilt(struct world *w, struct batch *b, unsigned n)
{
    batch_open(b, &w->olga);
    for (unsigned i = 0; i < n; i++) {
        struct zdm_request r = effective(w, &b->wire, verbs[i / N_FLAWS % N_VERBS], &w->olga);
        struct zdm_envelope envelope = world_sign_request(w, &w->olga, &r);
        flaws[i % N_FLAWS].spoil(w, &envelope, &r);
        batch_send(b, flaws[i % N_FLAWS].class_name, &envelope);
        zdm_envelope_fini(&envelope);
        zdm_envelope_fini(&r.payload);
    }
    batch_settle(b);
}

/* ---- Roles ---- */

static void send_without_role(struct world *w, struct batch *b, const struct zdm_signing_key *key, uint32_t roles)
{
    batch_open(b, key);
    for (size_t i = 0; i < N_VERBS; i++) {
        uint32_t needed = (uint32_t)zdm_verb_role(verbs[i]);
        if ((roles & needed) == needed || verbs[i] == ZDM_VERB_TRUST)
            continue;
        struct zdm_envelope envelope = effective_signed(w, &b->wire, verbs[i], key);
        batch_send(b, "requests: by somebody whose role does not allow it", &envelope);
        zdm_envelope_fini(&envelope);
    }
    batch_settle(b);
}

/* ---- Recorded ---- */

enum { RECORDED = 16 };
static struct zdm_envelope recorded[RECORDED];
static size_t n_recorded;

/* Good ones, taken and committed: what is recorded here has a right session, and had an effect. */
static void record_requests(struct world *w)
{
    struct wire wire;
    struct zdm_error answer;
    if (!world_dial(w, &wire, &w->olga))
        world_fail("olga cannot dial");
    for (n_recorded = 0; n_recorded < RECORDED; n_recorded++) {
        struct zdm_request r = world_request(w, &wire, n_recorded % 2 == 0 ? ZDM_VERB_FREEZE : ZDM_VERB_THAW);
        r.migration[0] = '\0';
        r.shards.all = false;
        zdm_copy_text(r.reason, sizeof r.reason, "rehearsal");
        recorded[n_recorded] = world_sign_request(w, &w->olga, &r);
        enum zdm_code code = world_ask(w, &wire, &w->olga, &r, &answer);
        count_control("honest requests to the coordinator", code == ZDM_OK, answer.message);
    }
    /* In the same session: answered as before, and nothing happens. */
    uint64_t before = world_position(w);
    for (size_t i = 0; i < n_recorded; i++) {
        (void)world_send_request(&wire, &recorded[i]);
        count_sent("requests: again in the same session (answered, no effect)", 1);
    }
    world_pause(50);
    if (world_position(w) != before)
        count_accepted("requests: again in the same session (answered, no effect)", "the log grew");
    wire_close(&wire);
}

void attack_recorded(struct world *w, const char *class_name)
{
    const struct zdm_signing_key *const keys[] = {&w->olga, &w->omar, &w->vera};
    struct batch b = {.world = w};
    for (size_t k = 0; k < 3; k++) {
        batch_open(&b, keys[k]);
        for (size_t i = 0; i < n_recorded; i++)
            batch_send(&b, class_name, &recorded[i]);
        batch_settle(&b);
    }
    batch_close(&b);
}

void attack_requests(struct world *w, unsigned n)
{
    struct batch b = {.world = w};
    record_requests(w);
    attack_recorded(w, "requests: recorded, in a later session");
    send_changed(w, &b, n);
    send_cut(w, &b, n / 50);
    send_spoilt(w, &b, n / 4);
    for (unsigned i = 0; i < 1 + n / 2000; i++) {
        send_without_role(w, &b, &w->vera, ZDM_ROLE_VIEWER);
        send_without_role(w, &b, &w->omar, ZDM_ROLE_VIEWER | ZDM_ROLE_OPERATOR);
        send_without_role(w, &b, &w->approver[0], ZDM_ROLE_VIEWER | ZDM_ROLE_APPROVER);
    }
    batch_close(&b);
}
