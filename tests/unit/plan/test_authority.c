/*
 * test_authority.c - which signatures suffice: every way in which five people's approvals can be right or wrong,
 * against a count that knows nothing of how it is judged; and undo orders, one fault at a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buffer.h"
#include "common/plan/authority.h"

enum { PEOPLE = 5, WALL = 1000000000, TRUST_VERSION = 7 };

static char this_shard[] = "eu-1", that_shard[] = "eu-2";
static char *named[] = {that_shard, this_shard}, *elsewhere[] = {that_shard};

/* What one person did. */
enum deed {
    ABSENT,
    VALID,
    NAMED,        /* for shards of which this is one */
    TWICE,        /* two approvals of one key */
    EXPIRES_NOW,  /* valid in this very millisecond */
    NEAR_FUTURE,  /* as far ahead as clocks may differ */
    WITHOUT_ROLE, /* an operator and viewer only */
    GONE,         /* not in the trust file any more */
    EXPIRED,
    FUTURE,
    OTHER_MIGRATION,
    OTHER_PLAN,
    OTHER_PHASE,
    OTHER_DIGEST,
    OTHER_ACTION,
    OTHER_SHARD,
    SPENT,
    NEWER_TRUST,
    NOT_NOW,
    DEEDS
};

/* The count: who did one of these, and no more is asked. */
static bool is_right(enum deed deed, bool now)
{
    return (deed >= VALID && deed <= NEAR_FUTURE) || (deed == NOT_NOW && !now);
}

static struct zdm_id id_of(unsigned n)
{
    return (struct zdm_id){.bytes = {(uint8_t)(n + 1)}};
}

static struct zdm_hash hash_of(uint8_t n)
{
    return (struct zdm_hash){.bytes = {n}};
}

struct scene {
    struct zdm_phase phases[3];
    struct zdm_plan plan;
    struct zdm_authority_person people[PEOPLE];
    struct zdm_authority authority;
    struct zdm_signed_approval approvals[2 * PEOPLE];
    const struct zdm_signed_approval *pointers[2 * PEOPLE];
    size_t n;
    struct zdm_act act;
};

static void scene_init(struct scene *s)
{
    memset(s, 0, sizeof *s);
    for (unsigned i = 0; i < 3; i++)
        s->phases[i] = (struct zdm_phase){.number = i + 1, .digest = hash_of((uint8_t)(10 + i))};
    s->phases[1].class = ZDM_PHASE_CONTRACT;
    s->phases[1].destructive = true;
    s->phases[2].class = ZDM_PHASE_PURGE;
    s->phases[2].destructive = true;
    s->plan = (struct zdm_plan){.id = "m", .hash = hash_of(1), .phases = s->phases, .n_phases = 3};
    s->authority = (struct zdm_authority){.version = TRUST_VERSION, .people = s->people};
    s->act = (struct zdm_act){.plan = &s->plan,
                              .action = ZDM_APPROVE_PURGE,
                              .phase = 3,
                              .shard = this_shard,
                              .submitter = id_of(0),
                              .wall_ms = WALL};
}

static struct zdm_signed_approval *sign(struct scene *s, unsigned who)
{
    struct zdm_signed_approval *signed_by = &s->approvals[s->n];
    *signed_by = (struct zdm_signed_approval){.signer = id_of(who)};
    struct zdm_approval *a = &signed_by->approval;
    zdm_copy_text(a->migration, sizeof a->migration, "m");
    a->plan_hash = s->plan.hash;
    a->phase = s->act.phase;
    a->action = s->act.action;
    if (s->act.phase != 0 && s->act.action != ZDM_APPROVE_UNDO)
        a->phase_digest = s->phases[s->act.phase - 1].digest;
    a->purge_now = true;
    a->trust_version = TRUST_VERSION;
    a->issued_at_ms = WALL - 1;
    a->expires_at_ms = WALL + 1;
    a->nonce = id_of((unsigned)s->n + 100);
    s->pointers[s->n++] = signed_by;
    return signed_by;
}

static void spoil(struct zdm_signed_approval *signed_by, enum deed deed)
{
    struct zdm_approval *a = &signed_by->approval;
    if (deed == NAMED || deed == OTHER_SHARD) {
        a->shards = deed == NAMED ? named : elsewhere;
        a->n_shards = deed == NAMED ? 2 : 1;
    }
    a->expires_at_ms = deed == EXPIRES_NOW ? WALL : deed == EXPIRED ? WALL - 1 : a->expires_at_ms;
    a->issued_at_ms = deed == NEAR_FUTURE ? WALL + ZDM_CLOCK_TOLERANCE_MS
                      : deed == FUTURE    ? WALL + ZDM_CLOCK_TOLERANCE_MS + 1
                                          : a->issued_at_ms;
    a->migration[0] = deed == OTHER_MIGRATION ? 'n' : 'm';
    a->plan_hash.bytes[31] = deed == OTHER_PLAN;
    a->phase += deed == OTHER_PHASE;
    a->phase_digest.bytes[31] = deed == OTHER_DIGEST;
    if (deed == OTHER_ACTION)
        a->action = a->action == ZDM_APPROVE_ENTER ? ZDM_APPROVE_PURGE : ZDM_APPROVE_ENTER;
    a->trust_version += deed == NEWER_TRUST;
    a->purge_now = deed != NOT_NOW;
    signed_by->spent = deed == SPENT;
}

static void act_out(struct scene *s, const enum deed deeds[PEOPLE])
{
    s->n = 0;
    s->authority.n_people = 0;
    for (unsigned i = 0; i < PEOPLE; i++) {
        if (deeds[i] != GONE)
            s->people[s->authority.n_people++] = (struct zdm_authority_person){
                .key_id = id_of(i),
                .roles = deeds[i] == WITHOUT_ROLE ? ZDM_ROLE_OPERATOR | ZDM_ROLE_VIEWER : ZDM_ROLE_APPROVER};
        if (deeds[i] != ABSENT)
            spoil(sign(s, i), deeds[i]);
        if (deeds[i] == TWICE)
            (void)sign(s, i);
    }
}

static void judge_all(struct scene *s, const enum deed deeds[PEOPLE], uint32_t at_least, uint32_t planned)
{
    struct zdm_judgement judgement;
    uint32_t right = 0, needed = at_least > planned ? at_least : planned;
    needed = needed == 0 ? 1 : needed;
    s->authority.approvals_min = at_least;
    s->phases[2].approvals = planned;
    act_out(s, deeds);
    for (unsigned i = 0; i < PEOPLE; i++)
        right += is_right(deeds[i], s->act.now) && !(i == 0 && s->authority.four_eyes);
    bool allowed = zdm_act_allowed(&s->authority, &s->act, s->pointers, s->n, &judgement);
    uint32_t given = right < needed ? right : needed;
    if (allowed != (right >= needed) || judgement.needed != needed || judgement.given != given)
        fail_msg("deeds %d %d %d %d %d, now %d, four eyes %d: %u of %u, not %u of %u", deeds[0], deeds[1], deeds[2],
                 deeds[3], deeds[4], s->act.now, s->authority.four_eyes, judgement.given, judgement.needed, given,
                 needed);
}

/* 19 ^ 4 * 2 combinations; thresholds, four_eyes and `now` vary with them. */
static void an_act_is_allowed_iff_enough_different_people_did_it_right(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    unsigned cases = 0;
    for (unsigned i = 0; i < DEEDS * DEEDS * DEEDS * DEEDS * 2; i++) {
        const enum deed deeds[PEOPLE] = {(enum deed)(i % DEEDS), (enum deed)(i / DEEDS % DEEDS),
                                         (enum deed)(i / (DEEDS * DEEDS) % DEEDS),
                                         (enum deed)(i / (DEEDS * DEEDS * DEEDS) % DEEDS),
                                         i / (DEEDS * DEEDS * DEEDS * DEEDS) == 0 ? ABSENT : VALID};
        uint32_t mix = i * 2654435761U >> 16;
        s.authority.four_eyes = (mix & 1) != 0;
        s.act.now = (mix & 2) != 0;
        judge_all(&s, deeds, mix / 4 % 5, mix / 20 % 6);
        cases++;
    }
    assert_int_equal(cases, 260642);
}

/* Every subset of five people who all sign well, for every threshold of trust file and plan. */
static void the_larger_of_both_thresholds_counts(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    for (unsigned subset = 0; subset < 1U << PEOPLE; subset++)
        for (uint32_t at_least = 0; at_least <= PEOPLE + 1; at_least++)
            for (uint32_t planned = 0; planned <= PEOPLE + 1; planned++)
                for (unsigned both = 0; both < 4; both++) {
                    enum deed deeds[PEOPLE];
                    for (unsigned i = 0; i < PEOPLE; i++)
                        deeds[i] = (subset >> i & 1) != 0 ? VALID : ABSENT;
                    s.authority.four_eyes = (both & 1) != 0;
                    s.act.now = (both & 2) != 0;
                    judge_all(&s, deeds, at_least, planned);
                }
}

static void each_deed_has_its_verdict(void **state)
{
    (void)state;
    static const enum zdm_approval_verdict verdicts[DEEDS] = {
        [VALID] = ZDM_APPROVAL_COUNTS,
        [NAMED] = ZDM_APPROVAL_COUNTS,
        [TWICE] = ZDM_APPROVAL_COUNTS,
        [EXPIRES_NOW] = ZDM_APPROVAL_COUNTS,
        [NEAR_FUTURE] = ZDM_APPROVAL_COUNTS,
        [WITHOUT_ROLE] = ZDM_APPROVAL_NO_APPROVER,
        [GONE] = ZDM_APPROVAL_NO_APPROVER,
        [EXPIRED] = ZDM_APPROVAL_EXPIRED,
        [FUTURE] = ZDM_APPROVAL_FROM_FUTURE,
        [OTHER_MIGRATION] = ZDM_APPROVAL_OTHER,
        [OTHER_PLAN] = ZDM_APPROVAL_OTHER,
        [OTHER_PHASE] = ZDM_APPROVAL_OTHER,
        [OTHER_DIGEST] = ZDM_APPROVAL_OTHER,
        [OTHER_ACTION] = ZDM_APPROVAL_OTHER,
        [OTHER_SHARD] = ZDM_APPROVAL_OTHER,
        [SPENT] = ZDM_APPROVAL_SPENT,
        [NEWER_TRUST] = ZDM_APPROVAL_NEWER_TRUST,
        [NOT_NOW] = ZDM_APPROVAL_NOT_NOW,
    };
    struct scene s;
    struct zdm_judgement judgement;
    scene_init(&s);
    s.authority.approvals_min = 3;
    s.act.now = true;
    for (enum deed deed = VALID; deed < DEEDS; deed++) {
        const enum deed deeds[PEOPLE] = {ABSENT, deed, ABSENT, ABSENT, ABSENT};
        act_out(&s, deeds);
        assert_false(zdm_act_allowed(&s.authority, &s.act, s.pointers, s.n, &judgement));
        assert_int_equal(judgement.verdicts[0], verdicts[deed]);
        if (deed == TWICE)
            assert_int_equal(judgement.verdicts[1], ZDM_APPROVAL_SAME_KEY);
        assert_string_not_equal(zdm_approval_verdict_text(judgement.verdicts[0]), "?");
    }
}

/* ENTER, PURGE 0 and UNDO ask for what protocol 6 says; nothing is needed where nothing is destroyed or asked for. */
static void an_act_needs_what_its_action_and_phase_ask_for(void **state)
{
    (void)state;
    static const struct {
        enum zdm_approval_action action;
        uint32_t phase, at_least, planned, needed;
        bool destructive;
    } rows[] = {
        {ZDM_APPROVE_ENTER, 1, 0, 0, 0, false}, {ZDM_APPROVE_ENTER, 1, 3, 0, 0, false},
        {ZDM_APPROVE_ENTER, 1, 0, 1, 1, false}, {ZDM_APPROVE_ENTER, 1, 3, 1, 3, false},
        {ZDM_APPROVE_ENTER, 1, 0, 0, 1, true},  {ZDM_APPROVE_ENTER, 1, 2, 0, 2, true},
        {ZDM_APPROVE_ENTER, 1, 2, 4, 4, true},  {ZDM_APPROVE_PURGE, 1, 0, 0, 1, true},
        {ZDM_APPROVE_PURGE, 1, 1, 2, 2, true},  {ZDM_APPROVE_PURGE, 0, 0, 9, 1, false},
        {ZDM_APPROVE_PURGE, 0, 2, 9, 2, false}, {ZDM_APPROVE_UNDO, 1, 0, 9, 1, false},
        {ZDM_APPROVE_UNDO, 0, 0, 9, 1, false},  {ZDM_APPROVE_UNDO, 0, 3, 9, 3, false},
    };
    struct scene s;
    scene_init(&s);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        s.act.action = rows[i].action;
        s.act.phase = rows[i].phase;
        s.authority.approvals_min = rows[i].at_least;
        s.phases[0].approvals = rows[i].planned;
        s.phases[0].destructive = rows[i].destructive;
        assert_int_equal(zdm_act_needs(&s.authority, &s.act), rows[i].needed);
    }
}

/* The digest goes with a phase that is entered or purged, and with nothing else. */
static void approvals_of_each_action_count_for_that_action_alone(void **state)
{
    (void)state;
    static const struct {
        enum zdm_approval_action action;
        uint32_t phase;
    } acts[] = {{ZDM_APPROVE_ENTER, 2}, {ZDM_APPROVE_ENTER, 3}, {ZDM_APPROVE_PURGE, 3}, {ZDM_APPROVE_PURGE, 0},
                {ZDM_APPROVE_UNDO, 0},  {ZDM_APPROVE_UNDO, 2},  {ZDM_APPROVE_UNDO, 3}};
    enum { ACTS = sizeof acts / sizeof *acts };
    const enum deed deeds[PEOPLE] = {VALID, ABSENT, ABSENT, ABSENT, ABSENT};
    struct scene s;
    struct zdm_judgement judgement;
    scene_init(&s);
    for (unsigned i = 0; i < ACTS; i++) {
        s.act.action = acts[i].action;
        s.act.phase = acts[i].phase;
        act_out(&s, deeds);
        for (unsigned j = 0; j < ACTS; j++) {
            s.act.action = acts[j].action;
            s.act.phase = acts[j].phase;
            assert_int_equal(zdm_act_allowed(&s.authority, &s.act, s.pointers, s.n, &judgement), i == j);
        }
    }
}

static void people_are_told_what_is_missing_and_why(void **state)
{
    (void)state;
    const enum deed deeds[PEOPLE] = {VALID, EXPIRED, OTHER_PLAN, ABSENT, ABSENT};
    struct scene s;
    struct zdm_judgement judgement;
    char text[128], little[20];
    scene_init(&s);
    s.authority.approvals_min = 2;
    act_out(&s, deeds);
    zdm_copy_text(s.people[1].name, sizeof s.people[1].name, "bob");
    assert_false(zdm_act_allowed(&s.authority, &s.act, s.pointers, s.n, &judgement));
    zdm_judgement_text(text, sizeof text, &s.authority, s.pointers, s.n, &judgement);
    assert_string_equal(text, "1 of 2 approvals; that of bob has expired");
    zdm_judgement_text(little, sizeof little, &s.authority, s.pointers, s.n, &judgement);
    assert_string_equal(little, "1 of 2 approvals; t");
}

static void times_at_the_ends_of_what_a_number_holds_are_judged_too(void **state)
{
    (void)state;
    const enum deed deeds[PEOPLE] = {VALID, ABSENT, ABSENT, ABSENT, ABSENT};
    struct scene s;
    struct zdm_judgement judgement;
    scene_init(&s);
    act_out(&s, deeds);
    s.approvals[0].approval.issued_at_ms = INT64_MIN;
    s.approvals[0].approval.expires_at_ms = INT64_MAX;
    assert_true(zdm_act_allowed(&s.authority, &s.act, s.pointers, s.n, &judgement));
    s.approvals[0].approval.issued_at_ms = INT64_MAX;
    assert_false(zdm_act_allowed(&s.authority, &s.act, s.pointers, s.n, &judgement));
    assert_int_equal(judgement.verdicts[0], ZDM_APPROVAL_FROM_FUTURE);
}

/* ---- undo orders ---- */

enum fault {
    NO_FAULT,
    FOR_THIS_SHARD,
    UP_TO_NOW,
    TO_A_LOWER_PHASE,
    NO_OPERATOR,
    STRANGER,
    THEIR_MIGRATION,
    THEIR_PLAN,
    THEIR_SHARD,
    TOO_FAR,
    TOO_LATE,
    TOO_EARLY,
    FAULTS
};

static void an_undo_order_is_refused_for_each_fault_with_its_reason(void **state)
{
    (void)state;
    static const char *const reasons[FAULTS] = {
        [NO_OPERATOR] = "not signed by an operator",
        [STRANGER] = "not signed by an operator",
        [THEIR_MIGRATION] = "another migration",
        [THEIR_PLAN] = "another migration or plan",
        [THEIR_SHARD] = "does not name shard eu-1",
        [TOO_FAR] = "goes back to phase 2 and not to phase 1",
        [TOO_LATE] = "has expired",
        [TOO_EARLY] = "issued in the future",
    };
    struct scene s;
    scene_init(&s);
    s.people[0] = (struct zdm_authority_person){.key_id = id_of(0), .roles = ZDM_ROLE_OPERATOR};
    s.people[1] = (struct zdm_authority_person){.key_id = id_of(1), .roles = ZDM_ROLE_APPROVER | ZDM_ROLE_VIEWER};
    s.authority.n_people = 2;
    for (enum fault fault = NO_FAULT; fault < FAULTS; fault++) {
        struct zdm_error err = ZDM_ERROR_INIT;
        struct zdm_id signer = id_of(fault == NO_OPERATOR ? 1 : fault == STRANGER ? 2 : 0);
        struct zdm_undo_order order = {.migration = "m",
                                       .plan_hash = s.plan.hash,
                                       .to_phase = fault == TO_A_LOWER_PHASE ? 0
                                                   : fault == TOO_FAR        ? 2
                                                                             : 1,
                                       .issued_at_ms = fault == TOO_EARLY ? WALL + ZDM_CLOCK_TOLERANCE_MS + 1 : WALL,
                                       .expires_at_ms = fault == TOO_LATE ? WALL - 1 : WALL};
        order.migration[0] = fault == THEIR_MIGRATION ? 'n' : 'm';
        order.plan_hash.bytes[31] = fault == THEIR_PLAN;
        order.shards = fault == THEIR_SHARD ? elsewhere : named;
        order.n_shards = fault == THEIR_SHARD ? 1 : fault == FOR_THIS_SHARD ? 2 : 0;
        enum zdm_code code = zdm_undo_order_judge(&s.authority, &order, &signer, &s.plan, this_shard, 1, WALL, &err);
        assert_int_equal(code, reasons[fault] == NULL ? ZDM_OK : ZDM_REFUSED);
        if (reasons[fault] != NULL && strstr(err.message, reasons[fault]) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.message, reasons[fault]);
        if (reasons[fault] != NULL)
            assert_string_equal(err.hint, "An operator signs a new one: zdmctl rollback m.");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_act_is_allowed_iff_enough_different_people_did_it_right),
        cmocka_unit_test(the_larger_of_both_thresholds_counts),
        cmocka_unit_test(each_deed_has_its_verdict),
        cmocka_unit_test(an_act_needs_what_its_action_and_phase_ask_for),
        cmocka_unit_test(approvals_of_each_action_count_for_that_action_alone),
        cmocka_unit_test(people_are_told_what_is_missing_and_why),
        cmocka_unit_test(times_at_the_ends_of_what_a_number_holds_are_judged_too),
        cmocka_unit_test(an_undo_order_is_refused_for_each_fault_with_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
