/*
 * machine.h - inside coordinator/core: how decisions are written down, and one turn of the shard machine.
 */
#ifndef COORDINATOR_CORE_MACHINE_H
#define COORDINATOR_CORE_MACHINE_H

#include "coordinator/core/core.h"

/* ---- Writing to the output. Without memory all of these set out->failed and give a place that nobody reads. ---- */

/* A new event of that type; the caller fills u. NULL without memory. */
struct coord_event *coord_emit(struct coord_output *out, enum coord_event_type type, const char *migration);
struct coord_effect *coord_effect(struct coord_output *out, enum coord_effect_kind kind, const char *migration);
/* To one agent (of every agent of the shard: NULL), unless the shard has no directive yet. */
void coord_send_directive(struct coord_output *out, const struct coord_migration *m, uint32_t shard,
                          const struct zdm_id *agent);
void coord_notify(struct coord_output *out, const char *migration);
/* Adds shard i to a bitmap that grows at both ends. */
bool coord_bits_add(uint8_t **bytes, size_t *n_bytes, uint32_t *first, uint32_t i);

/* A change of desired state. */
struct coord_direction {
    enum zdm_mode mode;
    bool set_goal, set_actor, next_attempt, keep_status;
    uint32_t goal;
    struct zdm_id actor;
    const struct zdm_envelope *undo_order;
    struct zdm_id undo_nonce;
    const char *why;
};
enum { COORD_ALONE = -1 };
/* Directs one shard: joins an event of out that says the same, from position merge_from on (COORD_ALONE: none), so
 * that pausing 10,000 shards is one event; and sends the directive. */
void coord_direct(struct coord_output *out, long merge_from, const struct coord_migration *m, uint32_t shard,
                  const struct coord_direction *direction);

/* ---- The shard machine ---- */

/* What the rows, guards and actions see. Filled by whoever has a stimulus; only what the stimulus needs. */
struct coord_case {
    const struct coord_state *state;
    const struct coord_view *view;
    struct coord_output *out;
    int64_t now_ms;
    const struct coord_migration *m;
    uint32_t index;
    const struct coord_shard *s; /* m->shards[index] */
    enum coord_stimulus on;
    long merge_from;     /* see coord_direct */
    uint32_t phase;      /* release, reached, undone, regressed, proven, rollback: which */
    struct zdm_id agent; /* who reports; release: who shall act; primary_seen: B */
    bool from_actor;     /* the report is of the shard's actor */
    bool current;        /* from the actor, of the shard's current generation */
    bool running;        /* from the actor, of the current generation or the last one in mode run or undo */
    bool rankable;       /* primary_seen: B goes before A */
    bool rival;          /* proven: a second primary is there */
    const struct zdm_migration_report *report;
    const struct zdm_fence *seen; /* higher pair */
    const struct zdm_envelope *undo_order;
    struct zdm_id undo_nonce;
    const char *by;                /* exclude, include: who */
    const char *reason;            /* and why; primary_seen, higher pair, regressed: what was seen */
    const struct coord_rule *rule; /* the row at hand */
};

/* Runs the first row that matches; NULL when there is none: nothing happened. */
const struct coord_rule *coord_case_run(struct coord_case *c);
/* The row that would run, without running it. */
const struct coord_rule *coord_case_match(struct coord_case *c);

bool coord_shard_is_final(const struct coord_shard *s); /* done, undone */
/* Failed shards, those that were held after they had failed among them. */
uint32_t coord_failed_count(const struct coord_migration *m);

/* ---- Approvals (approvals.c) ---- */

/* The approvals of one act that concern the shard and were added before a position: of each approver the one that is
 * valid longest, and likewise the one that says `now`; the oldest first. What its directive carries, and what is judged
 * here. Returns how many. */
size_t coord_attached(const struct coord_migration *m, const struct coord_shard *s, enum zdm_approval_action action,
                      uint32_t phase, uint64_t before, const struct coord_approval *out[ZDM_APPROVALS_MAX]);
/* The act that a shard's directive carries approvals for, at its goal and mode, and before which position they must
 * have been added; false: none. */
bool coord_act_of(const struct coord_migration *m, const struct coord_shard *s, enum zdm_approval_action *out_action,
                  uint32_t *out_phase, uint64_t *out_before);
/* Do the approvals that are there suffice on this shard? more: one that is about to be added, or NULL. */
bool coord_allowed(const struct coord_view *view, const struct coord_migration *m, const struct coord_shard *s,
                   enum zdm_approval_action action, uint32_t phase, int64_t now_ms, const struct coord_approval *more,
                   struct zdm_judgement *out);
/* The verdict on one approval for its own act, as if there were no other. */
enum zdm_approval_verdict coord_judge_alone(const struct coord_view *view, const struct coord_migration *m,
                                            const struct coord_shard *s, const struct coord_approval *a,
                                            int64_t now_ms);
/* Does the approval name the shard? */
bool coord_approval_covers(const struct zdm_approval *approval, const char *shard);
/* Would the shard's directive carry the approval? */
bool coord_carries(const struct coord_migration *m, const struct coord_shard *s, const struct coord_approval *a);

/* ---- Who acts (primary.c) ---- */

enum coord_ranking {
    COORD_RANK_KEEP,   /* the actor stays */
    COORD_RANK_MOVE,   /* the other one is the primary */
    COORD_RANK_UNKNOWN /* two primaries, and nothing says which is the real one */
};
/* The shard's actor against another agent that reports a writable primary. *out_why: what was seen. */
enum coord_ranking coord_rank(const struct coord_view *view, const struct coord_shard *s,
                              const struct coord_heard *other, int64_t now_ms, char out_why[ZDM_TEXT_MAX + 1]);
/* Is there another primary that cannot be ranked against the actor? */
bool coord_has_rival(const struct coord_state *state, const struct coord_view *view, const struct coord_shard *s,
                     int64_t now_ms);
/* The agent that can act now: the actor if it is heard and writable; without one, the only (or highest) primary.
 * False: none. */
bool coord_pick_actor(const struct coord_state *state, const struct coord_view *view, const struct coord_shard *s,
                      int64_t now_ms, struct zdm_id *out);
/* Has the agent been heard in the last COORD_SILENT_MS (or is it too early to say)? *until: when that ends. */
bool coord_is_present(const struct coord_view *view, const struct zdm_id *agent, int64_t now_ms, int64_t *until);

/* ---- Parts of coord_decide ---- */

void coord_decide_request(const struct coord_state *state, const struct coord_view *view,
                          const struct coord_input *input, struct coord_output *out);
void coord_decide_report(const struct coord_state *state, const struct coord_view *view,
                         const struct coord_input *input, struct coord_output *out);
void coord_decide_trust(const struct coord_state *state, const struct coord_input *input, struct coord_output *out);
void coord_decide_recover(const struct coord_state *state, const struct coord_view *view,
                          const struct coord_input *input, struct coord_output *out);
void coord_decide_join(const struct coord_state *state, const struct coord_input *input, struct coord_output *out);
void coord_decide_tick(const struct coord_state *state, const struct coord_view *view, int64_t now_ms,
                       struct coord_output *out);

/* A verb fills answer: ZDM_OK with what was done, and the events; or a refusal, whose events are thrown away. The
 * audit event stands in out before it is called, and is thrown away too when nothing follows it. */
typedef void coord_verb(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                        struct coord_output *out, struct zdm_error *answer);
coord_verb coord_verb_submit, coord_verb_advance, coord_verb_enroll, coord_verb_revoke_agent, coord_verb_freeze,
    coord_verb_rollback, coord_verb_approve, coord_verb_revoke_approval, coord_verb_purge, coord_verb_exclude,
    coord_verb_include, coord_verb_trust, coord_verb_pause, coord_verb_resume, coord_verb_retry, coord_verb_throttle;
/* The migration that a request names, an ended one too. NULL: refused in answer. */
const struct coord_migration *coord_any_migration(const struct coord_state *state, const struct coord_input *input,
                                                  struct zdm_error *answer);
/* May a migration with that plan be at work beside those that are (but for `except`): none on the same table, and not
 * too many? False: refused in answer. */
bool coord_there_is_room(const struct coord_state *state, const struct zdm_plan *plan,
                         const struct coord_migration *except, struct zdm_error *answer);
/* Has the plan a step for the engine of each of the migration's shards, as far as they are known? */
bool coord_suits_shards(const struct coord_state *state, const struct coord_view *view, const struct zdm_plan *plan,
                        const struct coord_migration *m, struct zdm_error *answer);
/* Was a plan uploaded, and is it the one that the request names? */
bool coord_plan_is_right(const struct coord_input *input, struct zdm_error *answer);
/* Has the migration moved since the person looked? True: refused in answer. */
bool coord_moved_since(const struct coord_migration *m, const struct zdm_request *request, struct zdm_error *answer);
/* submit of the same plan whose signer is no operator any more: true when it was that, answered. */
bool coord_signed_anew(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                       struct coord_output *out, struct zdm_error *answer);
/* submit --amend. */
void coord_amend(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                 struct coord_output *out, struct zdm_error *answer);
/* How many phases of both plans, from the first on, are the same byte for byte. */
uint32_t coord_common_phases(const struct zdm_plan *a, const struct zdm_plan *b);
/* The highest phase that the shard may have begun. */
uint32_t coord_shard_entered(const struct coord_shard *s);
/* That, or the last that was done: until its purge it can be taken back. */
const struct coord_migration *coord_undoable_migration(const struct coord_state *state, const struct coord_input *input,
                                                       struct zdm_error *answer);
/* The active migration that a request names. NULL: refused in answer. */
const struct coord_migration *coord_named_migration(const struct coord_state *state, const struct coord_input *input,
                                                    struct zdm_error *answer);
/* The shards that a request selects, as malloc'd flags; NULL: refused in answer (an unknown name, nothing matches). */
bool *coord_selected(const struct coord_state *state, const struct coord_migration *m,
                     const struct zdm_selection *selection, struct zdm_error *answer);
/* The selection as options of zdmctl: "--all-shards", "--shard a --shard b", "-l tier=odd". */
void coord_selection_text(char *out, size_t size, const struct zdm_selection *selection);
/* The gate's flag, or its id. */
const char *coord_gate_name(const struct zdm_step *gate);
/* "phase 4 (contract)" */
void coord_phase_text(char *out, size_t size, const struct coord_migration *m, uint32_t phase);
/* Is the approval that the request carries one that can be kept: of this plan, its signer's own, still good, new?
 * False: refused in answer. */
bool coord_approval_fits(const struct coord_state *state, const struct coord_view *view,
                         const struct coord_migration *m, const struct coord_input *input, struct zdm_error *answer);
/* Adds it, and sends the directives that carry it. */
void coord_add_approval(const struct coord_migration *m, const struct coord_input *input, struct coord_output *out);
/* Who publishes or recovers: operator_acted for it. */
void coord_acted(struct coord_output *out, const struct zdm_request *request, const struct zdm_envelope *envelope,
                 const struct zdm_id *key, const char *name);
/* The flag gate's step of a phase, or NULL. */
const struct zdm_step *coord_gate_step(const struct zdm_plan *plan, uint32_t phase);

#endif
