/*
 * world.h - a coordinator's driver and its peers in one process: real sessions, codecs and signatures over a network of
 * queues, a clock that is turned by hand, and a store whose failures are ordered.
 */
#ifndef TESTS_UNIT_COORD_APP_WORLD_H
#define TESTS_UNIT_COORD_APP_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/net/net.h"
#include "common/session/session.h"
#include "coordinator/app/driver.h"
#include "proto/codec.h"
#include "proto/signed.h"
#include "proto/trust_file.h"

enum { LINKS_MAX = 128 };

struct world;

/* The far end of one connection. */
struct client {
    struct world *world;
    zdm_conn conn;
    bool open; /* the coordinator has not closed it */
    const struct zdm_signing_key *key;
    struct zdm_session *session;
    struct zdm_buffer *waiting; /* frames from the coordinator, as bytes */
    size_t n_waiting, cap_waiting, taken;
    size_t room; /* frames that the net takes before it is full */
};

/* What the store does at its next append. */
enum failing {
    WORKS,
    FAILS_FULL,
    FAILS_IO,
    LOSES_ANSWER_BEFORE, /* unknown; nothing was appended */
    LOSES_ANSWER_AFTER,  /* unknown; it was appended */
    FAILS_DEPOSED
};

struct world {
    int64_t wall_ms, boot_ms;
    struct zdm_clock clock;
    struct zdm_signing_key root, ann, bob, vic, coordinator, agents[4]; /* bob: an approver */
    struct zdm_trust_chain chain;                                       /* version 1 */
    struct zdm_buffer trust;                                            /* the coordinator's file */
    bool trust_is_readonly;
    unsigned n_kept; /* how often the file was written */
    size_t appends_at_keep;
    struct store memory, store; /* store wraps memory */
    enum failing failing;
    unsigned failing_times;
    size_t frames_at_append; /* that had been sent to anybody when an append came last */
    size_t frames_sent;
    unsigned n_appends;
    struct coord_driver *driver;
    struct zdm_net_upcalls upcalls;
    struct client links[LINKS_MAX];
    size_t n_links;
};

int world_start(void **state); /* cmocka's setup: a fleet with one coordinator that runs */
int world_stop(void **state);
/* The process ends and starts again, on the same store. */
void world_restart(struct world *w);
/* Turns the driver until nothing moves; delivers closes. */
void world_turn(struct world *w);
void world_wait(struct world *w, int64_t ms);

/* Dials and greets; NULL when the coordinator closed instead. */
struct client *dial_raw(struct world *w);
struct client *dial_as(struct world *w, enum zdm_session_role role, const struct zdm_signing_key *key, bool joining);
struct client *dial_person(struct world *w, const struct zdm_signing_key *key);
struct client *dial_agent(struct world *w, const struct zdm_signing_key *key);
void hang_up(struct client *c);

/* Seals and hands over, without a turn: it comes into the same group as what follows. */
void give_quietly(struct client *c, const struct zdm_frame *frame);
/* Frames. take: the next of the type, others before it are skipped; false when there is none. The frame's memory lives
 * until the next take of anybody. */
void give(struct client *c, const struct zdm_frame *frame);
void give_bytes(struct client *c, const void *bytes, size_t n);
bool take(struct client *c, enum zdm_frame_type type, struct zdm_frame *out);

/* Requests of a person: signs, sends, turns; the answer's code and texts. request_id is given where it is zero. */
struct zdm_frame ask(struct client *c, struct zdm_request *request);
struct zdm_frame ask_verb(struct client *c, enum zdm_verb verb, const char *shard);
/* The request as a frame, signed by the client's key; the frame is freed by the caller. */
struct zdm_frame request_frame(struct client *c, struct zdm_request *request);
struct zdm_envelope sign(struct world *w, const struct zdm_signing_key *key, enum zdm_signed_type type,
                         const struct zdm_buffer *body);
/* Uploads and submits a plan of two phases, "rename". */
enum submission {
    PLAIN,
    PURGES_LAST,
    ASKS_FOR_APPROVAL, /* two, for its second phase */
    OF_ANOTHER_TABLE   /* and with another id, "other" */
};
/* Only the upload, signed by that key; the plan's hash. */
struct zdm_hash upload_plan(struct client *c, const struct zdm_signing_key *signer);
struct zdm_frame submit(struct client *c);
struct zdm_frame submit_kind(struct client *c, enum submission kind);
struct zdm_frame amend_to(struct client *c, enum submission kind); /* "rename" gets that plan instead */
void expect_ok(struct zdm_frame answer);
void expect_refusal(struct zdm_frame answer, enum zdm_code code, const char *words);
void expect_in(const char *text, const char *words);
void upload(struct client *c, const void *bytes, size_t n);
/* A query's whole text; malloc'd; NULL for a refusal. */
char *query(struct client *c, enum zdm_query_kind kind, const char *migration);

/* A token for "shard-<n>" with that secret, signed by ann. */
void enrol(struct client *operator_, unsigned n, const uint8_t secret[16]);
/* Enrols "shard-<n>" and lets agent n join; then dials as it. */
struct client *join(struct world *w, struct client *operator_, unsigned n);
/* Reports as a writable primary that has proven `proven` phases of "rename", with the pair of its last orders (NULL:
 * nothing accepted). */
void report(struct client *agent, uint64_t number, const struct zdm_directive *orders, uint32_t proven,
            enum zdm_agent_state state);
/* The same, changed before it is sent. */
void report_changed(struct client *agent, uint64_t number, const struct zdm_directive *orders,
                    void (*change)(struct zdm_report *, struct zdm_migration_report *));
/* The newest orders that came, verified; false when none came. fini is the caller's. */
bool take_orders(struct client *agent, struct zdm_directive *out);

#endif
