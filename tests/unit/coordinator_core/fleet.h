/*
 * fleet.h - a small driver around the coordinator's core for its tests: it gives events their place in a chain of
 * stand-in hashes, applies them at once, keeps them for the fold test, and plays agents that answer directives.
 */
#ifndef TESTS_COORDINATOR_CORE_FLEET_H
#define TESTS_COORDINATOR_CORE_FLEET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coordinator/core/core.h"
#include "coordinator/core/invariants.h"
#include "coordinator/core/machine.h"

struct fleet {
    struct coord_state *state;
    struct coord_view view;
    int64_t now_ms;
    struct coord_output out; /* of the last input; events are moved to the log */
    struct coord_event *log;
    size_t n_log, cap_log;
    struct zdm_error answer; /* of the last request or join */
    uint64_t ids;            /* request ids and report numbers given out */
    bool check;              /* invariants after every input */
    unsigned who;            /* who asks: position in the trust file */
};

/* The people of the trust file in force: ann is operator and approver, bob, cat, fay and gus are approvers, dan is an
 * operator, eve a viewer. */
enum person { ANN, BOB, CAT, DAN, EVE, FAY, GUS, PEOPLE };
struct zdm_id person_id(unsigned who);
/* Version 1 of the trust file: one approval suffices, the submitter counts. */
void fleet_trust(struct fleet *f);

/* A fleet of n shards "s00000", …, each with one enrolled agent; odd shards have the label tier=odd. */
void fleet_init(struct fleet *f, size_t n);
void fleet_fini(struct fleet *f);

struct zdm_id agent_id(size_t shard, unsigned replica);
/* One more agent of a shard. */
void fleet_enroll(struct fleet *f, size_t shard, unsigned replica);

/* A plan of one step a phase; phases: e expand, m migrate, s switch with a flag, c contract, d contract that is
 * destructive, p purge. One wave, no soak, no limit, budget 0. */
struct zdm_plan *plan_of(const char *id, const char *phases);

void fleet_input(struct fleet *f, const struct coord_input *input);
void fleet_event(struct fleet *f, const struct coord_event *event); /* puts one event into the log, as it is */
void fleet_tick(struct fleet *f);
/* Requests; the answer's code. The selector NULL: all shards. A tick follows. */
enum zdm_code fleet_submit(struct fleet *f, struct zdm_plan *plan); /* takes the plan */
enum zdm_code fleet_ask(struct fleet *f, enum zdm_verb verb, const char *selector);
enum zdm_code fleet_advance_to(struct fleet *f, const char *selector, uint32_t to);
/* The request as it is, asked by f->who: fills in the request_id if zero. */
enum zdm_code fleet_request(struct fleet *f, struct zdm_request *request, struct zdm_plan *plan);
/* An approval of the newest migration as that person would sign it, good for an hour; the caller may change it. */
struct zdm_approval approval_of(struct fleet *f, enum zdm_approval_action action, uint32_t phase);
/* Sent by that person: approve or purge. */
enum zdm_code fleet_give(struct fleet *f, unsigned who, enum zdm_verb verb, const struct zdm_approval *approval,
                         const char *selector);
enum zdm_code fleet_approve(struct fleet *f, unsigned who, enum zdm_approval_action action, uint32_t phase);
enum zdm_code fleet_purge(struct fleet *f, unsigned who, uint32_t phase, const char *selector);
enum zdm_code fleet_revoke(struct fleet *f, unsigned who, const struct zdm_id *nonce);
/* An undo order of the newest migration, good for a day, sent by f->who. */
struct zdm_undo_order order_of(struct fleet *f, uint32_t to);
enum zdm_code fleet_order(struct fleet *f, const struct zdm_undo_order *order, const char *selector, bool flags_off);
enum zdm_code fleet_order_about(struct fleet *f, const char *id, const struct zdm_undo_order *order,
                                const char *selector, bool flags_off);
enum zdm_code fleet_rollback(struct fleet *f, const char *selector, uint32_t to, bool flags_off);
enum zdm_code fleet_forward(struct fleet *f, const char *selector); /* retry --forward */
void fleet_recover(struct fleet *f);                                /* ann declares that this log goes on */
enum zdm_code fleet_exclude(struct fleet *f, const char *selector, const char *reason);

struct coord_migration *migration(struct fleet *f); /* the newest */
struct coord_shard *shard(struct fleet *f, size_t i);

/* A report as the agent of shard i would send it: primary, current pair, state by its directive, proven up to `proven`.
 * The caller may change it before fleet_report. */
struct told {
    struct zdm_report report;
    struct zdm_migration_report of;
    struct zdm_id agent;
};
void tell(struct fleet *f, size_t i, unsigned replica, uint32_t proven, struct told *out);
void fleet_report(struct fleet *f, struct told *told); /* a tick follows */
/* The agent of shard i fails at what it was told to do. */
void fleet_fail(struct fleet *f, size_t i, const char *error);
/* The agent of shard i does what it is told: proves its goal (or undoes, or purges). */
void fleet_obey(struct fleet *f, size_t i);
void fleet_heartbeat(struct fleet *f); /* every agent reports what the shard has proven */
void fleet_obey_all(struct fleet *f);

size_t count_effects(const struct fleet *f, enum coord_effect_kind kind);
size_t count_events(const struct fleet *f, enum coord_event_type type); /* in the whole log */
void assert_status(struct fleet *f, size_t i, enum coord_status status);
/* Applies the whole log to a new state and compares. */
void assert_fold_is_the_same(struct fleet *f);

#endif
