/*
 * test_reports_walk.c - every status of the coordinator's shard machine against every report that an agent can send.
 *
 * The product: status × agent's state × what it accepted × what it proved × the attempt that failed × who speaks × how
 * its database is. Every pair ends in a row of the table or in silence, and which of them is written down below: a
 * change of one cell is a decision, not an accident. What no cell may do is asserted for each report by itself.
 */
#include "fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

enum { LAST = 4, AT = 2, STATES = ZDM_AGENT_UNSURE };

/* One place that a shard can be in. */
struct place {
    const char *name;
    enum coord_status status, resume_to;
    uint32_t at, goal;
    enum zdm_mode mode;
    bool failed_back;
};

static const struct place places[] = {
    {"ready", COORD_READY, 0, AT, AT, ZDM_MODE_RUN, false},
    {"moving", COORD_MOVING, 0, AT, AT + 1, ZDM_MODE_RUN, false},
    {"moving, last", COORD_MOVING, 0, LAST - 1, LAST, ZDM_MODE_RUN, false},
    {"held, was ready", COORD_HELD, COORD_READY, AT, AT, ZDM_MODE_PAUSE, false},
    {"held, was moving", COORD_HELD, COORD_MOVING, AT, AT + 1, ZDM_MODE_PAUSE, false},
    {"held, was undoing", COORD_HELD, COORD_UNDOING, AT, 1, ZDM_MODE_PAUSE, false},
    {"held, had failed", COORD_HELD, COORD_FAILED, AT, AT + 1, ZDM_MODE_PAUSE, false},
    {"failed", COORD_FAILED, 0, AT, AT + 1, ZDM_MODE_RUN, false},
    {"failed, going back", COORD_FAILED, 0, AT, 1, ZDM_MODE_UNDO, true},
    {"failed going back, held", COORD_HELD, COORD_FAILED, AT, 1, ZDM_MODE_PAUSE, true},
    {"undoing", COORD_UNDOING, 0, AT, 1, ZDM_MODE_UNDO, false},
    {"undoing all", COORD_UNDOING, 0, AT, 0, ZDM_MODE_UNDO, false},
    {"unsure", COORD_UNSURE, 0, AT, AT, ZDM_MODE_PAUSE, false},
    {"unsure, was moving", COORD_UNSURE, 0, AT, AT + 1, ZDM_MODE_PAUSE, false},
    {"unsure, going back", COORD_UNSURE, 0, AT, 1, ZDM_MODE_PAUSE, true},
    {"done, purging", COORD_DONE, 0, LAST, LAST, ZDM_MODE_PURGE, false},
    {"undone, purging", COORD_UNDONE, 0, 0, 0, ZDM_MODE_PURGE, false},
    {"done", COORD_DONE, 0, LAST, LAST, ZDM_MODE_RUN, false},
    {"undone", COORD_UNDONE, 0, 0, 0, ZDM_MODE_UNDO, false},
    {"excluded", COORD_EXCLUDED, 0, AT, AT, ZDM_MODE_PAUSE, false},
};
enum { PLACES = sizeof places / sizeof *places };

/* EARLIER_EPOCH: the newest order, as it was sent before the coordinator started anew. */
enum pair {
    NOTHING,
    LOWER,
    RAN_LAST,
    EARLIER_EPOCH,
    CURRENT,
    LATER_EPOCH,
    OTHER_INSTANCE,
    OTHER_HISTORY,
    LONGER_LOG,
    PAIRS
};
enum proof { NOT_LOOKED, LESS, AS_KNOWN, THE_GOAL, MORE, PROOFS };
enum node { PRIMARY, READ_ONLY, NO_DATABASE, NODES };

struct said {
    enum zdm_agent_state state;
    enum pair pair;
    enum proof proof;
    enum node node;
    bool undone, of_this_attempt, from_actor; /* undone: and purged */
};

static bool next(struct said *s, unsigned n)
{
    s->undone = n & 1;
    s->of_this_attempt = n & 2;
    s->from_actor = n & 4;
    n >>= 3;
    s->node = (enum node)(n % NODES);
    n /= NODES;
    s->proof = (enum proof)(n % PROOFS);
    n /= PROOFS;
    s->pair = (enum pair)(n % PAIRS);
    n /= PAIRS;
    s->state = (enum zdm_agent_state)(1 + n % STATES);
    return n / STATES == 0;
}

/* ---- The world: one shard with two agents, and three orders in the log ---- */

struct world {
    struct fleet f;
    struct zdm_fence first, ran, newest; /* of the orders */
};

static struct zdm_fence fence_now(struct fleet *f)
{
    struct zdm_envelope approvals[ZDM_APPROVALS_MAX];
    struct zdm_directive directive;
    assert_true(coord_directive(f->state, migration(f), 0, approvals, &directive));
    return directive.fence;
}

static void start(struct world *w)
{
    fleet_init(&w->f, 1);
    fleet_enroll(&w->f, 0, 1);
    w->f.check = false; /* the shard is put where the test wants it */
    assert_int_equal(fleet_submit(&w->f, plan_of("m", "emcm")), ZDM_OK);
    fleet_heartbeat(&w->f);
    assert_int_equal(fleet_ask(&w->f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
    w->first = fence_now(&w->f);
    assert_int_equal(fleet_ask(&w->f, ZDM_VERB_PAUSE, NULL), ZDM_OK);
    assert_int_equal(fleet_ask(&w->f, ZDM_VERB_RESUME, NULL), ZDM_OK);
    w->ran = fence_now(&w->f);
    assert_int_equal(fleet_ask(&w->f, ZDM_VERB_PAUSE, NULL), ZDM_OK);
    w->newest = fence_now(&w->f);
    assert_true(zdm_fence_compare(&w->first, &w->ran) < 0 && zdm_fence_compare(&w->ran, &w->newest) < 0);
    migration(&w->f)->opened_phase = LAST;
}

static void put(struct world *w, const struct place *p)
{
    struct coord_shard *s = shard(&w->f, 0);
    free(s->failure);
    free(s->hint);
    s->failure = s->hint = NULL;
    s->status = p->status;
    s->resume_to = p->resume_to;
    s->at = s->high = p->at;
    s->goal = p->goal;
    s->mode = p->mode;
    s->failed_back = p->failed_back;
    s->failed_step = 0;
    s->opened = s->entered = LAST;
    s->attempt = 2;
    s->actor = agent_id(0, 0);
    s->generation = w->newest.generation;
    s->anchor = w->newest.anchor;
    s->run_generation = w->ran.generation;
    w->f.state->fenced = false;
    migration(&w->f)->mode = COORD_OPEN;
}

static struct zdm_fence fence_of(const struct world *w, enum pair pair)
{
    struct zdm_fence fence = pair == LOWER ? w->first : pair == RAN_LAST ? w->ran : w->newest;
    switch (pair) {
    case NOTHING:
        return (struct zdm_fence){.epoch = 0};
    case EARLIER_EPOCH:
        fence.epoch--;
        fence.instance.bytes[3] ^= 1;
        break;
    case LATER_EPOCH:
        fence.epoch++;
        break;
    case OTHER_INSTANCE:
        fence.instance.bytes[3] ^= 1;
        break;
    case OTHER_HISTORY:
        fence.anchor.bytes[3] ^= 1;
        break;
    case LONGER_LOG:
        fence.generation = w->f.state->head_seq + 1;
        break;
    case LOWER:
    case RAN_LAST:
    case CURRENT:
    case PAIRS:
        break;
    }
    return fence;
}

static uint32_t phase_of(const struct place *p, enum proof proof)
{
    switch (proof) {
    case LESS:
        return p->at > 0 ? p->at - 1 : 0;
    case THE_GOAL:
        return p->goal;
    case MORE:
        return LAST;
    case NOT_LOOKED:
    case AS_KNOWN:
    case PROOFS:
        break;
    }
    return p->at;
}

/* The actor was heard as the primary, and nobody else was: a walk's steps know nothing of each other. */
static void listen_anew(struct world *w)
{
    struct zdm_report primary = {.number = 1, .connected = true, .writable = true};
    struct coord_input input = {.kind = COORD_IN_REPORT, .now_ms = w->f.now_ms};
    input.u.report.agent = agent_id(0, 0);
    input.u.report.report = &primary;
    coord_view_fini(&w->f.view);
    coord_view_init(&w->f.view, w->f.now_ms);
    assert_true(coord_hear(w->f.state, &w->f.view, &input));
}

static void say(struct world *w, const struct place *p, const struct said *said)
{
    struct told told;
    tell(&w->f, 0, said->from_actor ? 0 : 1, phase_of(p, said->proof), &told);
    told.report.connected = said->node != NO_DATABASE;
    told.report.writable = said->node == PRIMARY;
    told.report.timeline = 0; /* nothing ranks one primary over the other by itself */
    told.of.accepted = fence_of(w, said->pair);
    told.of.state = said->state;
    told.of.proven = said->proof != NOT_LOOKED;
    told.of.undone = told.of.purged = said->undone;
    told.of.failed_attempt = said->of_this_attempt ? 2 : 1;
    told.report.migrations = &told.of;
    struct coord_input input = {.kind = COORD_IN_REPORT, .now_ms = w->f.now_ms};
    input.u.report.agent = told.agent;
    input.u.report.report = &told.report;
    fleet_input(&w->f, &input);
}

/* ---- What is true of every report ---- */

static bool is_ahead(enum pair pair)
{
    return pair >= LATER_EPOCH;
}

static bool a_row_leads(enum coord_status from, enum coord_status to)
{
    size_t n;
    const struct coord_rule *rules = coord_rules(&n);
    for (size_t i = 0; i < n; i++) {
        enum coord_stimulus on = rules[i].on;
        bool by_report = on == COORD_ON_REACHED || on == COORD_ON_FAILED || on == COORD_ON_UNDONE ||
                         on == COORD_ON_REGRESSED || on == COORD_ON_UNKNOWN || on == COORD_ON_PROVEN ||
                         on == COORD_ON_PRIMARY_SEEN;
        if (by_report && (rules[i].from & 1U << from) != 0 && rules[i].to == to)
            return true;
    }
    return false;
}

static void complain(const struct place *p, const struct said *s, const char *what)
{
    fail_msg("%s; agent %s, pair %d, proof %d, node %d, undone %d, this attempt %d, actor %d: %s", p->name,
             zdm_agent_state_name(s->state), (int)s->pair, (int)s->proof, (int)s->node, s->undone, s->of_this_attempt,
             s->from_actor, what);
}

static void check(struct world *w, const struct place *p, const struct said *s)
{
    const struct coord_shard *now = shard(&w->f, 0);
    bool changed = now->status != p->status || now->at != p->at;
    if (w->f.state->fenced != is_ahead(s->pair))
        complain(p, s, "fenced or not, wrongly");
    if (count_effects(&w->f, COORD_DO_SEND_ACK) != (is_ahead(s->pair) ? 0U : 1U))
        complain(p, s, "a report has one acknowledgement, of who is fenced none");
    if (is_ahead(s->pair) && (changed || count_effects(&w->f, COORD_DO_SEND_DIRECTIVE) != 0))
        complain(p, s, "who is fenced orders nothing and believes nothing");
    if (changed && now->status != p->status && !a_row_leads(p->status, now->status))
        complain(p, s, "no row leads there");
    /* Protocol 3, rule 10. The one thing that another agent can bring about is doubt who the primary is. */
    bool rival = !s->from_actor && s->node == PRIMARY && !is_ahead(s->pair) && p->status != COORD_EXCLUDED &&
                 p->status != COORD_UNDONE && p->status != COORD_UNSURE;
    if (rival && now->status != COORD_UNSURE)
        complain(p, s, "two primaries, and no doubt");
    if (changed && !s->from_actor && (now->at != p->at || !rival))
        complain(p, s, "an observer was believed");
    bool newest = s->pair == CURRENT || s->pair == EARLIER_EPOCH;
    if (changed && s->from_actor && !newest && !(p->status == COORD_HELD && s->pair == RAN_LAST))
        complain(p, s, "a report of another order was believed");
    if (changed && s->node != PRIMARY)
        complain(p, s, "a node that is no primary was believed");
    if (now->at > p->at + 1 || (now->at > p->at && now->at != p->goal))
        complain(p, s, "a phase was skipped");
    /* Row 80: who follows an older order is told the newest, whatever it says besides. */
    if (!changed && !is_ahead(s->pair) && s->pair != CURRENT && s->from_actor &&
        count_effects(&w->f, COORD_DO_SEND_DIRECTIVE) == 0)
        complain(p, s, "it was not told the newest order");
    /* The actor's journal was heard; the other agent's only when its report speaks of it. */
    bool journal = s->from_actor || s->node != NO_DATABASE;
    if (s->state == ZDM_AGENT_ASKING && !changed && !is_ahead(s->pair) && journal &&
        count_effects(&w->f, COORD_DO_SEND_DIRECTIVE) == 0)
        complain(p, s, "it asked, and was not answered");
    if (!journal && count_effects(&w->f, COORD_DO_SEND_DIRECTIVE) != 0)
        complain(p, s, "it was ordered something before its journal was heard");
}

/* ---- What each pair can lead to ---- */

/* Reports of the actor. For each place the agent's states in order: blind asking observing resting looking working
 * waiting paused stopped unsure. What some report of that state can bring about: R ready, M moving, H held, F failed, B
 * going back, S unsure, D done, N undone, X excluded; small for a held shard: what it will be resumed to; "<": it is
 * taken back to what is proven, "p": its purge is over, "a": the actor moves, "=": nothing. */
static const char *const expected[PLACES] = {
    /* clang-format off */
    /* ready              */ "= = = =<M =<M =<M =<M =<M = =<S",
    /* moving             */ "= = = =<R =<R =<R =<R =<R =F =<S",
    /* moving, last       */ "= = = =<SD =<SD =<SD =<SD =<SD =F =<S",
    /* held, was ready    */ "= = = =< =< =< =< =< = =<",
    /* held, was moving   */ "= = = =<r =<r =<r =<r =<r =f =<r",
    /* held, was undoing  */ "= = = =<r =<r =<r =<r =<r =f =",
    /* held, had failed   */ "= = = =< =< =< =< =< = =<",
    /* failed             */ "= = = =<M =<M =<M =<M =<M = =<S",
    /* failed, going back */ "= = = = = = = = = =",
    /* failed back, held  */ "= = = = = = = = = =",
    /* undoing            */ "= = = =<H =<H =<H =<H =<H =F =S",
    /* undoing all        */ "= = = =N =N =N =N =N =F =S",
    /* unsure             */ "= = = =<R =<R =<R =<R =<R = =<",
    /* unsure, was moving */ "= = = =<R =<R =<R =<R =<R = =<",
    /* unsure, going back */ "= = = = = = = = = =",
    /* done, purging      */ "= = = =p =p =p =p =p = =",
    /* undone, purging    */ "= = = =p =p =p =p =p = =",
    /* done               */ "= = = =<S =<S =<S =<S =<S = =<S",
    /* undone             */ "= = = = = = = = = =",
    /* excluded           */ "= = = = = = = = = =",
    /* clang-format on */
};

enum { OUTCOMES = 32 };
static const char signs[] = "=<apRMHFBSDNXrmhfbsdnx";

static void note(char *cell, char sign)
{
    char had[OUTCOMES];
    size_t n = 0;
    if (strchr(cell, sign) != NULL)
        return;
    (void)zdm_copy_text(had, sizeof had, cell);
    for (const char *s = signs; *s != '\0'; s++)
        if (*s == sign || strchr(had, *s) != NULL)
            cell[n++] = *s;
    cell[n] = '\0';
}

static void note_outcome(struct world *w, const struct place *p, char *cell)
{
    static const char letters[] = "?RMHFBSDNX", small[] = "?rmhfbsdnx";
    const struct coord_shard *now = shard(&w->f, 0);
    struct zdm_id actor = agent_id(0, 0);
    bool moved = !zdm_id_equal(&now->actor, &actor), other = now->resume_to != p->resume_to && p->resume_to != 0;
    if (now->status != p->status)
        note(cell, letters[now->status]);
    else if (other)
        note(cell, small[now->resume_to]);
    if (now->at < p->at && now->status != COORD_UNDONE)
        note(cell, '<');
    if (moved)
        note(cell, 'a');
    bool purged = p->mode == ZDM_MODE_PURGE && now->mode == ZDM_MODE_RUN;
    if (purged)
        note(cell, 'p');
    if (now->status == p->status && now->at == p->at && !other && !moved && !purged)
        note(cell, '=');
}

static void every_report_in_every_status_has_a_row_or_is_refused(void **unused)
{
    (void)unused;
    struct world w;
    size_t walked = 0;
    start(&w);
    for (size_t i = 0; i < PLACES; i++) {
        char row[256] = "", cells[STATES + 1][OUTCOMES] = {""};
        struct said said;
        for (unsigned n = 0; next(&said, n); n++, walked++) {
            put(&w, &places[i]);
            listen_anew(&w);
            say(&w, &places[i], &said);
            check(&w, &places[i], &said);
            if (said.from_actor)
                note_outcome(&w, &places[i], cells[said.state]);
        }
        for (unsigned s = 1; s <= STATES; s++)
            snprintf(row + strlen(row), sizeof row - strlen(row), "%s%s", s > 1 ? " " : "", cells[s]);
        if (strcmp(row, expected[i]) != 0)
            fail_msg("%s: \"%s\" is \"%s\"", places[i].name, expected[i], row);
    }
    assert_true(walked > 50000);
    put(&w, &places[0]);
    fleet_fini(&w.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_report_in_every_status_has_a_row_or_is_refused)};
    return cmocka_run_group_tests_name("reports against statuses", tests, NULL, NULL);
}
