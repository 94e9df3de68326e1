/*
 * ends.h - two ends of a session with fixed keys and fixed "random" numbers, for the tests and the fuzz target.
 *
 * Every seed is one byte repeated 32 times, so that the test vectors can be made again with any other implementation.
 */
#ifndef ZDM_TESTS_SESSION_ENDS_H
#define ZDM_TESTS_SESSION_ENDS_H

#include <string.h>

#include "common/os/crypto.h"
#include "common/session/internal.h"

enum {
    COORDINATOR_SEED = 0x11,
    AGENT_SEED = 0x22,
    STRANGER_SEED = 0x77,
    DIALLER_EPHEMERAL = 0x33,
    LISTENER_EPHEMERAL = 0x44,
    FLEET_BYTE = 0x55,
    INSTANCE_BYTE = 0x66
};

static inline void fill_fixed(void *self, void *bytes, size_t n)
{
    memset(bytes, *(const uint8_t *)self, n);
}

static inline struct zdm_signing_key key_of(uint8_t seed_byte)
{
    uint8_t seed[32];
    struct zdm_signing_key key;
    memset(seed, seed_byte, sizeof seed);
    zdm_signing_key_make(&key, seed);
    return key;
}

static inline struct zdm_id id_of(uint8_t byte)
{
    struct zdm_id id;
    memset(id.bytes, byte, sizeof id.bytes);
    return id;
}

/* The keys that one end knows. */
struct known {
    const struct zdm_signing_key *keys[4];
    size_t n;
};

static inline bool find_known(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out)
{
    const struct known *known = ctx;
    for (size_t i = 0; i < known->n; i++) {
        if (zdm_id_equal(&known->keys[i]->id, key_id)) {
            *out = known->keys[i]->public_key;
            return true;
        }
    }
    return false;
}

struct ends {
    struct zdm_signing_key coordinator, agent, stranger;
    uint8_t dialler_byte, listener_byte;
    struct zdm_random dialler_random, listener_random;
    struct zdm_id fleet, instance, any;
    struct zdm_session *dialler, *listener;
    struct known trusted, enrolled; /* by the dialler; by the listener */
    uint8_t hello[ZDM_HELLO_SIZE], welcome[ZDM_WELCOME_SIZE], auth[ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD];
    struct zdm_id peer_id;
    struct zdm_hash peer_key;
    bool peer_joins;
    struct zdm_error err;
};

/* Keys and names; sessions come with ends_dial. */
static inline void ends_init(struct ends *e)
{
    memset(e, 0, sizeof *e);
    e->coordinator = key_of(COORDINATOR_SEED);
    e->agent = key_of(AGENT_SEED);
    e->stranger = key_of(STRANGER_SEED);
    e->dialler_byte = DIALLER_EPHEMERAL;
    e->listener_byte = LISTENER_EPHEMERAL;
    e->dialler_random = (struct zdm_random){fill_fixed, &e->dialler_byte};
    e->listener_random = (struct zdm_random){fill_fixed, &e->listener_byte};
    e->fleet = id_of(FLEET_BYTE);
    e->instance = id_of(INSTANCE_BYTE);
    e->trusted = (struct known){{&e->coordinator}, 1};
    e->enrolled = (struct known){{&e->agent}, 1};
}

static inline void ends_fini(struct ends *e)
{
    zdm_session_free(e->dialler);
    zdm_session_free(e->listener);
    e->dialler = e->listener = NULL;
}

/* New sessions on both sides, and the hello. */
static inline void ends_dial(struct ends *e, const struct zdm_id *want, bool joining)
{
    ends_fini(e);
    e->dialler = zdm_session_dial(zdm_crypto_sodium(), &e->dialler_random, ZDM_SESSION_AGENT, &e->agent, &e->fleet,
                                  want, joining);
    e->listener =
        zdm_session_listen(zdm_crypto_sodium(), &e->listener_random, &e->coordinator, &e->fleet, &e->instance);
    zdm_session_hello(e->dialler, e->hello);
}

static inline enum zdm_code ends_hello(struct ends *e)
{
    return zdm_session_take_hello(e->listener, e->hello, sizeof e->hello, e->welcome, &e->err);
}

static inline enum zdm_code ends_welcome(struct ends *e)
{
    return zdm_session_take_welcome(e->dialler, e->welcome, sizeof e->welcome, find_known, &e->trusted, e->auth,
                                    &e->err);
}

static inline enum zdm_code ends_auth(struct ends *e)
{
    return zdm_session_take_auth(e->listener, e->auth, sizeof e->auth, find_known, &e->enrolled, &e->peer_id,
                                 &e->peer_key, &e->peer_joins, &e->err);
}

#endif
