/*
 * driver.h - the agent as one object behind seams: where core, engine, link and trust meet.
 *
 * The driver has no thread and does no I/O of its own: time, randomness, crypto, net and engine are given to it, so
 * that the very same driver runs in the program and in the simulator. It verifies what comes in before the core sees
 * it, and carries out what the core decides.
 *
 * The net's upcalls (agent_driver_upcalls) do their work at once, on the thread that polls; results of the engine are
 * taken by agent_driver_turn from next_result. Whoever holds the engine's sink sees to it that a turn follows.
 *
 * Threads: one, but for next_result's other end. Memory: all in the config is borrowed for the driver's life, but for
 * the bytes of trust and enrolment and the URLs' texts, which are copied.
 */
#ifndef AGENT_APP_DRIVER_H
#define AGENT_APP_DRIVER_H

#include "agent/app/story.h"
#include "agent/core/core.h"
#include "agent/engine/engine.h"
#include "common/base/seams.h"
#include "common/net/net.h"

enum { AGENT_TRUST_FILE_MAX = 4 * 1024 * 1024, AGENT_ENROLMENT_FILE_MAX = 64 * 1024 };

struct agent_driver_config {
    const struct zdm_clock *clock;
    const struct zdm_random *random;
    const struct zdm_crypto *crypto;
    const struct zdm_signing_key *key;
    const void *trust; /* the trust file's bytes */
    size_t trust_n;
    const void *enrolment; /* the enrolment envelope, flattened */
    size_t enrolment_n;
    const char *const *urls;
    size_t n_urls;
    struct agent_engine engine;                     /* closed by who opened it, after the driver is freed */
    struct agent_result *(*next_result)(void *ctx); /* the oldest result, the driver's to free; NULL: none */
    void *results;                                  /* its ctx */
    struct agent_core_config core;                  /* shard and key are filled in by the driver */
    const char *release;
    /* Keeps a newer trust file; false: it could not, and the old one stays in force. May be NULL. */
    bool (*save_trust)(void *ctx, const void *bytes, size_t n);
    agent_notice notice; /* may be NULL */
    void *ctx;
};

struct agent_driver;

/* ZDM_AUTH, ZDM_PROTOCOL (trust, enrolment), ZDM_INVALID (no URL), ZDM_NOMEM. */
enum zdm_code agent_driver_new(const struct agent_driver_config *config, struct agent_driver **out_driver,
                               struct zdm_error *err) ZDM_CHECKED;
/* The upcalls for the net that will be attached. */
struct zdm_net_upcalls agent_driver_upcalls(struct agent_driver *driver);
/* Begins: dials, connects to the database. Call once. */
void agent_driver_start(struct agent_driver *driver, struct zdm_net net);
/* One turn of the loop. The time on the clock's boot_ms at which it wants to be called again at the latest; anything
 * that comes through the net or from the engine is a reason too. */
int64_t agent_driver_turn(struct agent_driver *driver);
/* The trust file in the data folder has changed: a newer one that continues the one held is taken over as if the
 * coordinator had sent it; an older one is replaced by the one held. */
void agent_driver_take_trust_file(struct agent_driver *driver, const void *bytes, size_t n);
/* Frees without closing the engine; the connection is closed, and the net must make no upcall any more. NULL is
 * allowed. */
void agent_driver_free(struct agent_driver *driver);

/* For the simulator's invariants and for tests: read-only. */
const struct agent_core *agent_driver_core(const struct agent_driver *driver);
const char *agent_driver_shard(const struct agent_driver *driver);
uint32_t agent_driver_trust_version(const struct agent_driver *driver);

#endif
