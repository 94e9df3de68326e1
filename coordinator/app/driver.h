/*
 * driver.h - the coordinator as one object behind seams: the only place where core, store and net meet.
 *
 * The driver has no thread and does no I/O of its own: time, randomness, crypto, net and store are given to it, so that
 * the very same driver runs in the program and in the simulator. The net's upcalls only enqueue; everything happens in
 * coord_driver_turn:
 *
 *   take up to COORD_GROUP_MAX inputs; for each: hear, decide, put its events into the chain, apply
 *   decide a tick
 *   append all events in one commit
 *   release the effects: directives, acknowledgements, answers; then what was only asked to be read
 *
 * Nothing that was not committed is ever seen outside (protocol 7). When an append fails, the state in memory is ahead
 * of the log: it is dropped, the log is read again, and the group is taken once more, as the failure allows.
 *
 * Threads: one. Memory: everything in the config is borrowed for the driver's life, but for strings, which are copied.
 */
#ifndef COORDINATOR_APP_DRIVER_H
#define COORDINATOR_APP_DRIVER_H

#include "common/base/seams.h"
#include "common/net/net.h"
#include "common/os/log.h"
#include "coordinator/core/state.h"
#include "coordinator/store/store.h"

enum { COORD_URLS_MAX = 4 };

/* Something for the operator's log: one sentence, and what it is about as fields to search by. Texts are borrowed for
 * the call; NULL or "" where a field does not apply. */
struct coord_notice {
    enum zdm_log_level level;
    const char *message;
    const char *migration, *shard, *person;
    const char *peer;   /* address of the other end of a connection */
    const char *reason; /* why, in the words of who knew it */
};

struct coord_driver_config {
    const struct zdm_clock *clock;
    const struct zdm_random *random;
    const struct zdm_crypto *crypto;
    const struct zdm_signing_key *key;
    const void *trust; /* the trust file's bytes; borrowed only by coord_driver_new */
    size_t trust_n;
    struct store store; /* closed by who opened it, after the driver is freed */
    const char *release;
    const char *host; /* for the log */
    /* Hears agents and nothing else: takes no epoch, writes nothing, gives nobody an order or a lease, refuses every
     * request. What a recovery begins with: coord_driver_recover. */
    bool only_hears;
    /* Replaces the trust file durably: called before the event that adopts it is committed. NULL: there is no file. */
    enum zdm_code (*keep_trust)(void *ctx, const void *bytes, size_t n, struct zdm_error *err);
    /* May be NULL. admit: the connection is authenticated. */
    void (*admit)(void *ctx, zdm_conn conn);
    void (*notice)(void *ctx, const struct coord_notice *notice);
    void *ctx;
};

struct coord_driver;

/* Reads the trust file. ZDM_AUTH when the key is not one of its coordinators', ZDM_NOMEM. */
enum zdm_code coord_driver_new(const struct coord_driver_config *config, struct coord_driver **out_driver,
                               struct zdm_error *err) ZDM_CHECKED;
/* The upcalls for the net that will be attached. */
struct zdm_net_upcalls coord_driver_upcalls(struct coord_driver *driver);
/* Reads the log, takes an epoch and makes it durable; then the net may listen. Call once. ZDM_CORRUPT, ZDM_IO,
 * ZDM_FULL, ZDM_UNSUPPORTED (a newer release's log), ZDM_REFUSED (a trust file older than the one adopted). */
enum zdm_code coord_driver_start(struct coord_driver *driver, struct zdm_net net, struct zdm_error *err) ZDM_CHECKED;
/* Where agents and people reach it: told to who enrols agents. The first COORD_URLS_MAX are copied. ZDM_NOMEM. */
enum zdm_code coord_driver_advertise(struct coord_driver *driver, const char *const *urls, size_t n,
                                     struct zdm_error *err) ZDM_CHECKED;
/* One turn of the loop. The time on the clock's boot_ms at which it wants to be called again at the latest; anything
 * that comes through the net is a reason too. INT64_MAX after it ended. */
int64_t coord_driver_turn(struct coord_driver *driver);
/* Has it ended by itself? Then *err says why: a failed medium, a deposed epoch, a damaged log. */
bool coord_driver_ended(const struct coord_driver *driver, struct zdm_error *err);
/* Says goodbye to everybody, as the last thing before the net is closed. */
void coord_driver_stop(struct coord_driver *driver);
/* Frees without closing connections or store. NULL is allowed. */
void coord_driver_free(struct coord_driver *driver);

/* ---- Recovery: recover_log.c. For a driver that only hears. ---- */

/* The highest epoch that this log or an agent that was heard knows. */
uint64_t coord_driver_seen_epoch(const struct coord_driver *driver);
/* Is that the key of an operator, by the trust file? Name borrowed. ZDM_AUTH, ZDM_REFUSED. */
enum zdm_code coord_driver_may_recover(const struct coord_driver *driver, const struct zdm_id *key_id,
                                       const char **out_name, struct zdm_error *err) ZDM_CHECKED;
/* Takes an epoch above all that was seen and writes the operator's signed word, with the reason: this log goes on.
 * ZDM_AUTH, ZDM_REFUSED (no operator's key), ZDM_IO, ZDM_FULL. */
enum zdm_code coord_driver_recover(struct coord_driver *driver, const struct zdm_signing_key *key, const char *reason,
                                   struct zdm_error *err) ZDM_CHECKED;

/* For the invariants of the simulator and for tests: read-only. */
const struct coord_state *coord_driver_state(const struct coord_driver *driver);
const struct coord_view *coord_driver_view(const struct coord_driver *driver);
/* The fleet of the trust file, for opening the store: known before there is a driver. */
enum zdm_code coord_driver_fleet(const struct zdm_crypto *crypto, const void *trust, size_t trust_n,
                                 struct zdm_id *out_fleet, struct zdm_error *err) ZDM_CHECKED;
/* The status as the query answers it; "" picks the migration as the query does. malloc'd; NULL with *err set. */
char *coord_driver_status(struct coord_driver *driver, const char *migration, struct zdm_error *err);

#endif
