/*
 * liar.h - a coordinator with the real key that says what it likes. The agent takes its directives; what it must not
 * take is authority that only people's signatures give.
 *
 * Judged by the database: world_fingerprint() before and after.
 */
#ifndef TESTS_ATTACK_LIAR_H
#define TESTS_ATTACK_LIAR_H

#include "tests/attack/attack.h"

struct liar {
    struct world *w;
    int listener;
    struct wire wire;
    uint64_t epoch, generation; /* the highest that were sent */
    struct zdm_id instance;     /* of that epoch */
    uint32_t attempt;
    struct zdm_migration_report heard; /* the agent's last word about PLAN_ATTACK */
    struct zdm_migration_report heard_kinds;
    uint32_t heard_trust;
    struct zdm_envelope *recorded; /* every directive that was signed with the real key */
    size_t n_recorded, cap_recorded;
    const struct zdm_envelope *served; /* instead of the plan that is asked for; NULL: the plan */
    unsigned plans_asked;
    uint64_t survey_id; /* ordered last */
    unsigned surveys;   /* answers to them */
    enum zdm_code survey_code;
    char *before; /* the fingerprint that must not change */
};

/* Listens where the agent dials, and waits for it. */
void liar_begin(struct liar *l, struct world *w);
void liar_end(struct liar *l);
/* Takes and answers what the agent says, for that long; it is let in again when it dials again. */
void liar_serve(struct liar *l, int ms);
/* Kills the agent, starts it anew, and lets it in. */
void liar_restart_agent(struct liar *l);

/* For shard-1 and PLAN_ATTACK, by the real agent, with a fence and an attempt above all others. */
struct zdm_directive liar_directive(struct liar *l, enum zdm_mode mode, uint32_t goal);
/* Signs with the real key, keeps a copy, sends. What is in the directive stays the caller's. */
void liar_send(struct liar *l, const struct zdm_directive *d);
void liar_send_envelope(struct liar *l, const struct zdm_envelope *envelope);
/* Sends, and waits until it stands in the shard's journal; false when it does not come to that. */
bool liar_order(struct liar *l, const struct zdm_directive *d);
/* Waits until the agent reports that order and that it does nothing more: rests, stopped, waits for people. */
bool liar_settle(struct liar *l, const struct zdm_directive *d);
/* A control: the order is carried out, and the shard rests at that phase. */
bool liar_obeyed(struct liar *l, const struct zdm_directive *d, uint32_t phase);

/* Notes what the database is like; later says whether it is still so, and counts what is not. */
void liar_note(struct liar *l);
void liar_check(struct liar *l, const char *class_name, const char *what);

/* ---- storm.c ---- */
void liar_storm(struct liar *l, unsigned n_mutated, unsigned n_arbitrary);
void liar_replay(struct liar *l, const char *class_name);

/* ---- agent_approvals.c, agent_doors.c, agent_plans.c: what takes signatures ---- */
void liar_undo_orders(struct liar *l);
void liar_approvals(struct liar *l);
void liar_losses(struct liar *l);
void liar_leftovers(struct liar *l);
void liar_purge(struct liar *l);
void liar_plans(struct liar *l);
/* Orders the plan of that hash for that migration and serves this one; nothing may come of it. */
void liar_offer_plan(struct liar *l, const char *class_name, const char *migration, const struct zdm_hash *hash,
                     const struct zdm_envelope *plan);
/* hand_made.c: plans that an operator signed and no compiler made */
void liar_hand_made(struct liar *l);
/* amends.c: other plans for a migration that is under way */
void liar_amends(struct liar *l);
/* kinds.c: PLAN_KINDS there, back, there, and to its end, as a control and for its statements */
void liar_kinds(struct liar *l);
/* surveys.c */
void liar_surveys(struct liar *l);

/* By the rules, for controls. */
struct zdm_directive *liar_with_approvals(struct zdm_directive *d, struct zdm_envelope *approvals, size_t n);
void liar_go_back(struct liar *l, uint32_t phase);

#endif
