/*
 * rules.c - the shard machine as a table: what coord_decide does for one shard, and nothing else does it (protocol 9).
 *
 * First match wins; no row means refused and nothing changed. The numbers are those of the protocol; a row of the
 * protocol with several outcomes is several rows here, so that `to` always says where the shard is afterwards. What a
 * row does is written as events; the new status comes out of coord_apply, and a test compares the two.
 */
#include "coordinator/core/rule_parts.h"

#define BIT(status) (1U << (status))
#define READY       BIT(COORD_READY)
#define MOVING      BIT(COORD_MOVING)
#define HELD        BIT(COORD_HELD)
#define FAILED      BIT(COORD_FAILED)
#define UNDOING     BIT(COORD_UNDOING)
#define UNSURE      BIT(COORD_UNSURE)
#define DONE        BIT(COORD_DONE)
#define UNDONE      BIT(COORD_UNDONE)
#define EXCLUDED    BIT(COORD_EXCLUDED)
#define ANY         (READY | MOVING | HELD | FAILED | UNDOING | UNSURE | DONE | UNDONE | EXCLUDED)

static const struct coord_rule rules[] = {
    /* clang-format off: one row, one line or two */
    /* Forward. coord_releasable has asked for windows, waves, barrier and approvals before there is a release. */
    {10, READY, COORD_ON_RELEASE, "p = at + 1, opened, not frozen or halted, actor known; releasable()",
     "directed(goal p, run)", COORD_MOVING, guard_may_enter, act_release},
    {11, MOVING, COORD_ON_REACHED, "current, p = goal, not the last phase", "shard_reached", COORD_READY,
     guard_reached_goal, act_reached},
    {12, MOVING, COORD_ON_REACHED, "current, p = goal, the last phase", "shard_reached", COORD_DONE, guard_reached_last,
     act_reached},
    {13, MOVING, COORD_ON_FAILED, "current", "shard_failed; migration_halted when the budget is spent", COORD_FAILED,
     guard_current, act_failed},
    {14, MOVING, COORD_ON_RETRYING, "", "nothing: it is in the view, and does not count against the budget", 0, NULL,
     NULL},

    /* Pause and resume. A pause never waits for anything: it has no guard. */
    {20, READY | MOVING | UNDOING | FAILED | UNSURE, COORD_ON_PAUSE, "", "directed(pause)", COORD_HELD, NULL,
     act_pause},
    {21, HELD, COORD_ON_PAUSE, "", "nothing: already paused", 0, NULL, NULL},
    {22, HELD, COORD_ON_REACHED, "from the actor, generation current or the last that ran, p = goal", "shard_reached",
     COORD_HELD, guard_held_reached, act_reached},
    {22, HELD, COORD_ON_UNDONE, "from the actor, generation current or the last that ran, q = goal", "shard_undone",
     COORD_HELD, guard_held_undone, act_undone},
    {23, HELD, COORD_ON_FAILED, "from the actor, was moving or undoing", "shard_failed", COORD_HELD, guard_held_failed,
     act_failed},
    {24, HELD, COORD_ON_RESUME, "was moving", "directed(run, same goal)", COORD_MOVING, guard_resumes_to,
     act_resume_same},
    {24, HELD, COORD_ON_RESUME, "was undoing", "directed(undo, same goal)", COORD_UNDOING, guard_resumes_to,
     act_resume_same},
    {25, HELD, COORD_ON_RESUME, "was ready", "directed(run, goal = at)", COORD_READY, guard_resumes_to,
     act_resume_here},
    {25, HELD, COORD_ON_RESUME, "was done", "directed(run, goal = at)", COORD_DONE, guard_resumes_to, act_resume_here},
    {25, HELD, COORD_ON_RESUME, "was undone", "directed(run, goal = at)", COORD_UNDONE, guard_resumes_to,
     act_resume_here},
    /* An order to run would end a rollback at the agent for good: who was in the middle of one stays in it. */
    {25, HELD, COORD_ON_RESUME, "had failed going back", "directed(undo, same goal)", COORD_FAILED, guard_resumes_back,
     act_resume_same},
    {25, HELD, COORD_ON_RESUME, "was unsure going back", "directed(undo, same goal)", COORD_UNSURE, guard_resumes_back,
     act_resume_same},
    {25, HELD, COORD_ON_RESUME, "had failed", "directed(run, goal = at)", COORD_FAILED, guard_resumes_to,
     act_resume_here},
    {25, HELD, COORD_ON_RESUME, "was unsure", "directed(run, goal = at)", COORD_UNSURE, guard_resumes_to,
     act_resume_here},

    /* After a failure. */
    {30, FAILED, COORD_ON_RETRY, "failed forward", "directed(run, attempt + 1)", COORD_MOVING, guard_failed_forward,
     act_retry_forward},
    {30, FAILED, COORD_ON_RETRY, "failed back", "directed(undo, attempt + 1)", COORD_UNDOING, guard_failed_back,
     act_retry_back},
    {31, FAILED, COORD_ON_RESUME, "", "nothing: refused, retry or roll back", 0, NULL, NULL},

    {32, UNSURE, COORD_ON_RETRY, "was going back", "directed(undo, attempt + 1)", COORD_UNDOING, guard_failed_back,
     act_retry_back},
    {34, HELD | FAILED | UNDOING | UNSURE, COORD_ON_FORWARD,
     "going back; the actor reports what is proven, not the last phase",
     "shard_regressed where p < at, directed(run, goal p, attempt + 1)", COORD_READY, guard_forward, act_forward},
    {34, HELD | FAILED | UNDOING | UNSURE, COORD_ON_FORWARD, "going back; the actor reports the last phase as proven",
     "directed(run, goal p, attempt + 1)", COORD_DONE, guard_forward_last, act_forward},

    /* Back. The undo order was verified by the driver, and is verified again by the agent. */
    {40, READY | MOVING | HELD | FAILED | UNSURE | DONE, COORD_ON_ROLLBACK,
     "undo order covers the shard, q <= at and something of a later phase begun or open, nothing above q purged",
     "directed(undo, goal q, attempt + 1)", COORD_UNDOING, guard_covered, act_undo},
    {40, READY, COORD_ON_ROLLBACK, "undo order covers the shard, phase 1 is open, and was not entered", "shard_undone",
     COORD_UNDONE, guard_covered_unbegun, act_undone_unbegun},
    {40, HELD, COORD_ON_ROLLBACK, "undo order covers the shard, phase 1 is open, and was not entered", "shard_undone",
     COORD_HELD, guard_covered_unbegun, act_undone_unbegun},
    {41, UNDOING, COORD_ON_UNDONE, "current, q = goal, q > 0", "shard_undone, directed(pause)", COORD_HELD,
     guard_undone_here, act_undone_part},
    {42, UNDOING, COORD_ON_UNDONE, "current, q = goal, q = 0", "shard_undone", COORD_UNDONE, guard_undone_all,
     act_undone},
    {43, UNDOING, COORD_ON_FAILED, "current", "shard_failed(back)", COORD_FAILED, guard_current, act_failed},
    {44, UNDOING, COORD_ON_ROLLBACK, "undo order covers the shard, q < goal", "directed(undo, goal q, attempt + 1)",
     COORD_UNDOING, guard_further_back, act_undo},
    {45, UNDONE, COORD_ON_RESUME, "", "directed(run, goal 0)", COORD_READY, NULL, act_again},

    /* Losses and doubt. 52 stands before 51, which would else take what is held. */
    {50, READY | MOVING | FAILED | UNSURE, COORD_ON_REGRESSED,
     "current, p < at, what is missing is expand, migrate or switch, mode run, agent not unsure",
     "shard_regressed, directed(run, goal p + 1)", COORD_MOVING, guard_lost_rows_come_back, act_regressed_on},
    {52, HELD, COORD_ON_REGRESSED, "from the actor, p < at", "shard_regressed", COORD_HELD, guard_lost_held,
     act_regressed},
    {51, READY | MOVING | FAILED | UNSURE | DONE, COORD_ON_REGRESSED, "current, p < at, otherwise",
     "shard_regressed, shard_unsure, directed(pause)", COORD_UNSURE, guard_lost, act_regressed_unsure},
    {53, MOVING | UNDOING | READY, COORD_ON_UNKNOWN, "current; the agent looked three times",
     "shard_unsure, directed(pause)", COORD_UNSURE, guard_current, act_unknown},
    {54, UNSURE, COORD_ON_PROVEN, "current, what was in doubt is proven, one primary, not the last phase",
     "shard_resolved, directed(run, goal = at)", COORD_READY, guard_proven, act_proven},
    {54, UNSURE, COORD_ON_PROVEN, "current, what was in doubt is proven, one primary, the last phase",
     "shard_resolved, directed(run, goal = at)", COORD_DONE, guard_proven_last, act_proven},
    {55, UNSURE, COORD_ON_RETRY, "it was released", "directed(run, same goal, attempt + 1)", COORD_MOVING,
     guard_was_released, act_retry_forward},
    {55, UNSURE, COORD_ON_RETRY, "the last phase was reached", "directed(run, goal = at, attempt + 1)", COORD_DONE,
     guard_was_last, act_retry_here},
    {55, UNSURE, COORD_ON_RETRY, "it was not released", "directed(run, goal = at, attempt + 1)", COORD_READY, NULL,
     act_retry_here},

    /* Who acts. */
    {60, ANY & ~(EXCLUDED | UNDONE), COORD_ON_PRIMARY_SEEN, "the actor is read-only, silent, or on a lower timeline",
     "directed(same goal and mode, actor B)", 0, guard_outranked, act_move_actor},
    {60, UNDONE, COORD_ON_PRIMARY_SEEN, "mode purge; the actor is read-only, silent, or on a lower timeline",
     "directed(same goal and mode, actor B)", 0, guard_outranked_purging, act_move_actor},
    {61, ANY & ~(EXCLUDED | UNDONE | UNSURE), COORD_ON_PRIMARY_SEEN, "both writable, cannot be ranked",
     "shard_unsure, directed(pause)", COORD_UNSURE, guard_unranked, act_two_primaries},

    /* Out of the fleet, and back through proof. */
    {70, ANY & ~(DONE | EXCLUDED), COORD_ON_EXCLUDE, "an approver asks", "shard_excluded, directed(pause)",
     COORD_EXCLUDED, NULL, act_exclude},
    {71, EXCLUDED, COORD_ON_INCLUDE, "an approver asks", "shard_included, shard_unsure", COORD_UNSURE, NULL,
     act_include},

    /* Fences. */
    {80, ANY, COORD_ON_LOWER_PAIR, "", "nothing; the directive is sent again", 0, NULL, act_send_directive},
    {81, ANY, COORD_ON_HIGHER_PAIR, "", "fenced: this coordinator is the one from the past", 0, NULL, act_fence},
    {82, DONE | UNDONE, COORD_ON_OTHER_REPORT, "", "nothing", 0, NULL, NULL},

    /* What rollbacks left hidden. The migration may have ended. */
    {90, DONE | UNDONE, COORD_ON_PURGE, "an actor; approvals of the leftovers' purge suffice",
     "directed(purge, goal = at, attempt + 1)", 0, guard_has_actor, act_purge},
    {91, DONE | UNDONE, COORD_ON_PURGED, "current, mode purge", "shard_purged, directed(run, goal = at)", 0,
     guard_purged, act_purged},
    /* clang-format on */
};

const struct coord_rule *coord_rules(size_t *out_n)
{
    *out_n = sizeof rules / sizeof *rules;
    return rules;
}

const struct coord_rule *coord_case_match(struct coord_case *c)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        c->rule = &rules[i];
        if (rules[i].on == c->on && (rules[i].from & BIT(c->s->status)) != 0 &&
            (rules[i].holds == NULL || rules[i].holds(c)))
            return c->rule;
    }
    c->rule = NULL;
    return NULL;
}

const struct coord_rule *coord_case_run(struct coord_case *c)
{
    const struct coord_rule *rule = coord_case_match(c);
    if (rule != NULL && rule->act != NULL)
        rule->act(c);
    return rule;
}
