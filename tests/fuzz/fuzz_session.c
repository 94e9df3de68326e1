/*
 * fuzz_session.c - hostile bytes at every door of a session: hello, welcome, auth (sealed and inside), frames.
 *
 * The first byte of an input chooses the door and how the rest is used: as it is, or laid over valid bytes by XOR,
 * which gets a fuzzer past the magic and the AEAD that it could never guess. What must hold whatever comes: no crash,
 * and a session that refused is closed and stays closed.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/limits.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/session/ends.h"

enum door { DOOR_HELLO, DOOR_WELCOME, DOOR_JOINING, DOOR_AUTH_SEALED, DOOR_AUTH_INSIDE, DOOR_FRAME, DOOR_COUNT };
enum { OVERLAY = 0x80 };

static void must(bool good)
{
    if (!good)
        abort();
}

/* The input as it is, or over the valid bytes: then exactly as many as those. */
static size_t shape(uint8_t *out, size_t size, const uint8_t *valid, size_t valid_n, bool overlay, const uint8_t *input,
                    size_t n)
{
    if (!overlay) {
        size_t kept = n < size ? n : size;
        memcpy(out, input, kept);
        return kept;
    }
    memcpy(out, valid, valid_n);
    for (size_t i = 0; i < valid_n && i < n; i++)
        out[i] ^= input[i];
    return valid_n;
}

static void check_refused(const struct zdm_session *session, enum zdm_code code)
{
    if (code != ZDM_OK)
        must(zdm_session_state_of(session) == ZDM_SESSION_CLOSED);
}

static void at_hello(struct ends *e, bool overlay, const uint8_t *input, size_t n)
{
    uint8_t bytes[512];
    size_t bytes_n = shape(bytes, sizeof bytes, e->hello, sizeof e->hello, overlay, input, n);
    check_refused(e->listener, zdm_session_take_hello(e->listener, bytes, bytes_n, e->welcome, &e->err));
}

static void at_welcome(struct ends *e, bool overlay, const uint8_t *input, size_t n)
{
    uint8_t bytes[512];
    must(ends_hello(e) == ZDM_OK);
    size_t bytes_n = shape(bytes, sizeof bytes, e->welcome, sizeof e->welcome, overlay, input, n);
    bool same = bytes_n == sizeof e->welcome && memcmp(bytes, e->welcome, bytes_n) == 0;
    enum zdm_code code =
        zdm_session_take_welcome(e->dialler, bytes, bytes_n, find_known, &e->trusted, e->auth, &e->err);
    check_refused(e->dialler, code);
    if (code == ZDM_OK && e->dialler->joining) {
        code = zdm_session_confirm_peer(e->dialler, find_known, &e->trusted, &e->err);
        check_refused(e->dialler, code);
    }
    must((code == ZDM_OK) == same); /* nothing but the coordinator's own bytes is ever believed */
}

static void at_auth(struct ends *e, bool inside, bool overlay, const uint8_t *input, size_t n)
{
    const struct zdm_crypto *crypto = zdm_crypto_sodium();
    uint8_t plain[ZDM_AUTH_SIZE], bytes[512];
    must(ends_hello(e) == ZDM_OK && ends_welcome(e) == ZDM_OK);
    size_t bytes_n;
    if (inside) {
        must(crypto->open(crypto->self, plain, e->auth, sizeof e->auth, 0, e->dialler->keys.send));
        size_t plain_n = shape(bytes, ZDM_AUTH_SIZE, plain, sizeof plain, overlay, input, n);
        memcpy(plain, bytes, plain_n);
        crypto->seal(crypto->self, bytes, plain, plain_n, 0, e->dialler->keys.send);
        bytes_n = plain_n + ZDM_SEAL_OVERHEAD;
    } else {
        bytes_n = shape(bytes, sizeof bytes, e->auth, sizeof e->auth, overlay, input, n);
    }
    bool same = bytes_n == sizeof e->auth && memcmp(bytes, e->auth, bytes_n) == 0;
    enum zdm_code code = zdm_session_take_auth(e->listener, bytes, bytes_n, find_known, &e->enrolled, &e->peer_id,
                                               &e->peer_key, &e->peer_joins, &e->err);
    check_refused(e->listener, code);
    must(!same || code == ZDM_OK);
    must(code != ZDM_OK || e->peer_joins || zdm_id_equal(&e->peer_id, &e->agent.id));
}

static void at_frame(struct ends *e, bool overlay, const uint8_t *input, size_t n)
{
    static uint8_t bytes[ZDM_FRAME_MAX], opened[ZDM_FRAME_MAX];
    uint8_t valid[32 + ZDM_SEAL_OVERHEAD];
    const uint8_t plain[32] = {0};
    size_t opened_n = 0;
    must(ends_hello(e) == ZDM_OK && ends_welcome(e) == ZDM_OK && ends_auth(e) == ZDM_OK);
    must(zdm_session_seal(e->dialler, plain, sizeof plain, valid, &e->err) == ZDM_OK);
    size_t bytes_n = shape(bytes, sizeof bytes, valid, sizeof valid, overlay, input, n);
    enum zdm_code code = zdm_session_open(e->listener, bytes, bytes_n, opened, &opened_n, &e->err);
    check_refused(e->listener, code);
    bool same = bytes_n == sizeof valid && memcmp(bytes, valid, bytes_n) == 0;
    must((code == ZDM_OK) == same);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ends e;
    if (size == 0)
        return 0;
    if (e.err.code == ZDM_OK && zdm_crypto_start(&e.err) != ZDM_OK)
        abort();
    bool overlay = (data[0] & OVERLAY) != 0;
    enum door door = (enum door)((data[0] & ~OVERLAY) % DOOR_COUNT);
    ends_init(&e);
    ends_dial(&e, &e.any, door == DOOR_JOINING);
    switch (door) {
    case DOOR_HELLO:
        at_hello(&e, overlay, data + 1, size - 1);
        break;
    case DOOR_WELCOME:
    case DOOR_JOINING:
        at_welcome(&e, overlay, data + 1, size - 1);
        break;
    case DOOR_AUTH_SEALED:
    case DOOR_AUTH_INSIDE:
        at_auth(&e, door == DOOR_AUTH_INSIDE, overlay, data + 1, size - 1);
        break;
    case DOOR_FRAME:
        at_frame(&e, overlay, data + 1, size - 1);
        break;
    case DOOR_COUNT:
        break;
    }
    ends_fini(&e);
    return 0;
}
