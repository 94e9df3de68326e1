/*
 * test_survey.c - `check`: a person's question is carried to one agent of each shard and the answers back, nothing of
 * it is kept, and nobody is asked, told or served who should not be.
 */
#include "tests/unit/coord_app/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

enum { SHARDS = 2 };

/* ann, and two agents on writable nodes; the plan is uploaded. */
struct scene {
    struct client *ann, *agents[SHARDS];
    struct zdm_hash plan;
    uint64_t head;
};

/* What the asker has heard. */
struct heard {
    struct zdm_buffer text[SHARDS + 1]; /* by number of the shard */
    bool over[SHARDS + 1];
    enum zdm_code code[SHARDS + 1];
    bool last;
    enum zdm_code last_code;
    char why[ZDM_TEXT_MAX + 1];
};

static void open_scene(struct world *w, struct scene *s)
{
    s->ann = dial_person(w, &w->ann);
    for (unsigned i = 0; i < SHARDS; i++) {
        s->agents[i] = join(w, s->ann, i + 1);
        report(s->agents[i], 1, NULL, 0, ZDM_AGENT_RESTING);
    }
    s->plan = upload_plan(s->ann, &w->ann);
    s->head = coord_driver_state(w->driver)->head_seq;
}

static void check(struct client *c, const struct zdm_hash *plan, uint32_t id)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_QUERY};
    frame.u.query.kind = ZDM_QUERY_CHECK;
    frame.u.query.id = id;
    frame.u.query.plan_hash = *plan;
    give(c, &frame);
}

/* The order that an agent got; 0: none. */
static uint64_t ordered(struct client *agent, const struct zdm_hash *plan)
{
    struct zdm_frame frame;
    if (!take(agent, ZDM_FRAME_SURVEY_ORDER, &frame))
        return 0;
    if (plan != NULL)
        assert_true(zdm_hash_equal(&frame.u.survey_order.plan_hash, plan));
    else
        assert_true(zdm_hash_is_zero(&frame.u.survey_order.plan_hash));
    return frame.u.survey_order.id;
}

static void answer_piece(struct client *agent, uint64_t id, uint32_t total, uint32_t offset, const char *bytes)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_SURVEY};
    frame.u.survey.id = id;
    frame.u.survey.total = total;
    frame.u.survey.offset = offset;
    frame.u.survey.bytes = (const uint8_t *)bytes;
    frame.u.survey.n = strlen(bytes);
    give(agent, &frame);
}

static void answer(struct client *agent, uint64_t id, const char *bytes)
{
    answer_piece(agent, id, (uint32_t)strlen(bytes), 0, bytes);
}

static void answer_no(struct client *agent, uint64_t id, const char *why)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_SURVEY};
    frame.u.survey.id = id;
    frame.u.survey.code = ZDM_REFUSED;
    (void)zdm_copy_text(frame.u.survey.message, sizeof frame.u.survey.message, why);
    give(agent, &frame);
}

static void take_row(struct heard *heard, const struct zdm_frame *frame)
{
    if (frame->u.rows.last) {
        heard->last = true;
        heard->last_code = frame->u.rows.code;
        (void)zdm_copy_text(heard->why, sizeof heard->why, frame->u.rows.message);
        return;
    }
    unsigned shard = 0;
    assert_int_equal(sscanf(frame->u.rows.message, "shard-%u", &shard), 1);
    assert_in_range(shard, 1, SHARDS);
    assert_false(heard->over[shard]);
    heard->code[shard] = frame->u.rows.code;
    zdm_buffer_append(&heard->text[shard], frame->u.rows.bytes, frame->u.rows.n);
    heard->over[shard] = frame->u.rows.code != ZDM_OK || frame->u.rows.n == 0;
}

static void hear(struct client *c, uint32_t id, struct heard *heard)
{
    struct zdm_frame frame;
    world_turn(c->world);
    while (take(c, ZDM_FRAME_ROWS, &frame)) {
        assert_int_equal(frame.u.rows.id, id);
        assert_false(heard->last);
        take_row(heard, &frame);
    }
}

static void forget(struct heard *heard)
{
    for (size_t i = 0; i <= SHARDS; i++)
        zdm_buffer_fini(&heard->text[i]);
    *heard = (struct heard){.last = false};
}

static void expect_text(const struct heard *heard, unsigned shard, enum zdm_code code, const char *text)
{
    assert_true(heard->over[shard]);
    assert_int_equal(heard->code[shard], code);
    assert_int_equal(heard->text[shard].len, strlen(text));
    assert_memory_equal(heard->text[shard].data, text, strlen(text));
}

static void expect_refused(struct client *c, const struct zdm_hash *plan, const char *words)
{
    struct heard heard = {.last = false};
    check(c, plan, 77);
    hear(c, 77, &heard);
    assert_true(heard.last);
    assert_int_not_equal(heard.last_code, ZDM_OK);
    expect_in(heard.why, words);
    forget(&heard);
}

/* ---- The way there and back ---- */

static void every_shard_is_asked_and_its_answer_relayed_without_a_word_in_the_log(void **state)
{
    struct world *w = *state;
    struct scene s;
    struct heard heard = {.last = false};
    open_scene(w, &s);
    check(s.ann, &s.plan, 9);
    uint64_t id = ordered(s.agents[0], &s.plan);
    assert_int_not_equal(id, 0);
    assert_int_equal(ordered(s.agents[1], &s.plan), id);
    answer_piece(s.agents[0], id, 6, 0, "abc");
    answer(s.agents[1], id, "two");
    hear(s.ann, 9, &heard);
    assert_false(heard.over[1]);
    expect_text(&heard, 2, ZDM_OK, "two");
    assert_false(heard.last);
    answer_piece(s.agents[0], id, 6, 3, "def");
    hear(s.ann, 9, &heard);
    expect_text(&heard, 1, ZDM_OK, "abcdef");
    assert_true(heard.last);
    assert_int_equal(heard.last_code, ZDM_OK);
    assert_int_equal(coord_driver_state(w->driver)->head_seq, s.head);
    forget(&heard);
    check(s.ann, &s.plan, 10); /* again, in the same session */
    assert_true(ordered(s.agents[0], &s.plan) > id);
}

static void an_agent_that_was_asked_is_served_the_plan_and_nobody_else(void **state)
{
    struct world *w = *state;
    struct scene s;
    struct zdm_frame frame = {.type = ZDM_FRAME_PLAN_REQUEST}, got;
    open_scene(w, &s);
    frame.u.piece.hash = s.plan;
    give(s.agents[0], &frame); /* before */
    assert_false(take(s.agents[0], ZDM_FRAME_PLAN_PIECE, &got));
    check(s.ann, &s.plan, 1);
    uint64_t id = ordered(s.agents[0], &s.plan);
    give(s.agents[0], &frame);
    assert_true(take(s.agents[0], ZDM_FRAME_PLAN_PIECE, &got));
    assert_true(zdm_hash_equal(&got.u.piece.hash, &s.plan));
    assert_int_equal(got.u.piece.n, got.u.piece.total);
    answer(s.agents[0], id, "done");
    give(s.agents[0], &frame); /* behind it */
    assert_false(take(s.agents[0], ZDM_FRAME_PLAN_PIECE, &got));
    hang_up(s.ann);
    world_turn(w);
    give(s.agents[1], &frame); /* of a survey that ended */
    assert_false(take(s.agents[1], ZDM_FRAME_PLAN_PIECE, &got));
    assert_true(s.agents[1]->open);
}

static void make_readonly(struct zdm_report *report, struct zdm_migration_report *migration)
{
    (void)migration;
    report->writable = false;
}

static void a_shard_that_cannot_be_asked_or_will_not_answer_is_said_with_words(void **state)
{
    struct world *w = *state;
    struct scene s;
    struct heard heard = {.last = false};
    open_scene(w, &s);
    report_changed(s.agents[1], 2, NULL, make_readonly);
    check(s.ann, &s.plan, 1);
    uint64_t id = ordered(s.agents[0], &s.plan);
    assert_int_equal(ordered(s.agents[1], &s.plan), 0);
    answer_no(s.agents[0], id, "plan is signed by nobody");
    hear(s.ann, 1, &heard);
    expect_text(&heard, 1, ZDM_REFUSED, "plan is signed by nobody");
    expect_text(&heard, 2, ZDM_CLOSED, "its database takes no writes");
    assert_true(heard.last);
    forget(&heard);
    hang_up(s.agents[1]);
    world_turn(w);
    check(s.ann, &s.plan, 2);
    assert_int_not_equal(ordered(s.agents[0], &s.plan), 0);
    hang_up(s.agents[0]); /* in the middle of it */
    world_turn(w);
    hear(s.ann, 2, &heard);
    expect_text(&heard, 1, ZDM_CLOSED, "its agent lost the connection while it looked");
    expect_text(&heard, 2, ZDM_CLOSED, "its agent is not connected");
    assert_true(heard.last);
    forget(&heard);
}

static void who_does_not_answer_for_a_minute_is_given_up_and_told_so(void **state)
{
    struct world *w = *state;
    struct scene s;
    struct heard heard = {.last = false};
    open_scene(w, &s);
    check(s.ann, &s.plan, 1);
    uint64_t id = ordered(s.agents[0], &s.plan);
    answer(s.agents[0], id, "here");
    assert_int_equal(ordered(s.agents[1], &s.plan), id);
    for (uint64_t i = 2; i < 8; i++) { /* the agent lives */
        world_wait(w, 9000);
        report(s.agents[1], i, NULL, 0, ZDM_AGENT_RESTING);
    }
    hear(s.ann, 1, &heard);
    assert_false(heard.last);
    world_wait(w, 7000);
    hear(s.ann, 1, &heard);
    expect_text(&heard, 1, ZDM_OK, "here");
    expect_text(&heard, 2, ZDM_TIMEOUT, "no answer within 60 s");
    assert_true(heard.last);
    assert_int_equal(ordered(s.agents[1], NULL), id);
    answer(s.agents[1], id, "late");
    assert_true(s.agents[1]->open);
    forget(&heard);
}

static void when_the_asker_goes_the_agents_are_told(void **state)
{
    struct world *w = *state;
    struct scene s;
    open_scene(w, &s);
    check(s.ann, &s.plan, 1);
    uint64_t id = ordered(s.agents[0], &s.plan);
    (void)ordered(s.agents[1], &s.plan);
    answer(s.agents[1], id, "two");
    hang_up(s.ann);
    world_turn(w);
    assert_int_equal(ordered(s.agents[0], NULL), id);
    assert_int_equal(ordered(s.agents[1], NULL), 0); /* it is through */
    answer(s.agents[0], id, "nobody hears it");
    assert_true(s.agents[0]->open);
}

static void a_long_answer_waits_for_a_slow_reader(void **state)
{
    struct world *w = *state;
    struct scene s;
    struct heard heard = {.last = false};
    enum { TOTAL = 20 * 40000 };
    open_scene(w, &s);
    s.ann->room = 1;
    check(s.ann, &s.plan, 1);
    uint64_t id = ordered(s.agents[0], &s.plan);
    char *piece = malloc(40001);
    memset(piece, 'x', 40000);
    piece[40000] = '\0';
    for (uint32_t i = 0; i < 20; i++)
        answer_piece(s.agents[0], id, TOTAL, i * 40000, piece);
    answer(s.agents[1], id, "two");
    for (int i = 0; i < 300 && !heard.last; i++) {
        hear(s.ann, 1, &heard);
        world_wait(w, 30);
    }
    assert_true(heard.last);
    assert_int_equal(heard.text[1].len, TOTAL);
    expect_text(&heard, 2, ZDM_OK, "two");
    free(piece);
    forget(&heard);
}

/* ---- Who may not ---- */

static void only_operators_check_and_only_plans_that_one_signed(void **state)
{
    struct world *w = *state;
    struct scene s;
    struct zdm_hash none = {{1}};
    open_scene(w, &s);
    expect_refused(s.ann, &none, "the plan was not uploaded");
    struct client *vic = dial_person(w, &w->vic);
    struct zdm_hash plan = upload_plan(vic, &w->ann);
    expect_refused(vic, &plan, "vic may not check");
    struct client *bob = dial_person(w, &w->bob);
    plan = upload_plan(bob, &w->ann);
    expect_refused(bob, &plan, "bob may not check");
    struct client *again = dial_person(w, &w->ann);
    expect_refused(again, &s.plan, "the plan was not uploaded"); /* in another session */
    plan = upload_plan(again, &w->bob);
    expect_refused(again, &plan, "the uploaded plan");
    assert_int_equal(ordered(s.agents[0], &s.plan), 0);
    assert_int_equal(coord_driver_state(w->driver)->head_seq, s.head);
}

static void one_check_at_a_time_in_a_session_and_eight_in_all(void **state)
{
    struct world *w = *state;
    struct scene s;
    open_scene(w, &s);
    check(s.ann, &s.plan, 1);
    expect_refused(s.ann, &s.plan, "under way in this session");
    struct client *others[8];
    for (size_t i = 0; i < 8; i++) {
        others[i] = dial_person(w, &w->ann);
        struct zdm_hash plan = upload_plan(others[i], &w->ann);
        if (i == 7)
            expect_refused(others[i], &plan, "8 checks are under way");
        else
            check(others[i], &plan, 1);
    }
    hang_up(s.ann);
    world_turn(w);
    check(others[7], &s.plan, 1);
    unsigned orders = 0;
    while (take(s.agents[0], ZDM_FRAME_SURVEY_ORDER, &(struct zdm_frame){.type = 0}))
        orders++;
    assert_int_equal(orders, 8 + 1 + 1); /* eight, the end of the first, and the last */
}

static void an_answer_that_nobody_asked_for_or_out_of_order_ends_the_session(void **state)
{
    struct world *w = *state;
    struct scene s;
    struct heard heard = {.last = false};
    open_scene(w, &s);
    answer(s.agents[0], 1, "unasked");
    assert_false(s.agents[0]->open);
    s.agents[0] = dial_agent(w, &w->agents[1]);
    report(s.agents[0], 1, NULL, 0, ZDM_AGENT_RESTING);
    check(s.ann, &s.plan, 1);
    uint64_t id = ordered(s.agents[0], &s.plan);
    answer_piece(s.agents[0], id, 6, 3, "def");
    assert_false(s.agents[0]->open);
    answer_piece(s.agents[1], id, 6, 0, "abc");
    answer_piece(s.agents[1], id, 7, 3, "defg"); /* of another length */
    assert_false(s.agents[1]->open);
    hear(s.ann, 1, &heard);
    expect_text(&heard, 1, ZDM_PROTOCOL, "its agent's answer was out of order");
    assert_int_equal(heard.code[2], ZDM_PROTOCOL);
    assert_true(heard.last);
    forget(&heard);
    /* an agent of no shard of the survey */
    s.agents[0] = dial_agent(w, &w->agents[1]);
    report(s.agents[0], 1, NULL, 0, ZDM_AGENT_RESTING);
    check(s.ann, &s.plan, 2);
    id = ordered(s.agents[0], &s.plan);
    struct client *other = join(w, s.ann, 3);
    answer(other, id, "from somebody else");
    assert_false(other->open);
    assert_true(s.agents[0]->open);
}

static void a_shard_whose_agents_were_revoked_is_not_asked(void **state)
{
    struct world *w = *state;
    struct scene s;
    struct heard heard = {.last = false};
    open_scene(w, &s);
    struct zdm_request revoke = {.verb = ZDM_VERB_REVOKE_AGENT, .target = w->agents[2].id};
    expect_ok(ask(s.ann, &revoke));
    check(s.ann, &s.plan, 1);
    answer(s.agents[0], ordered(s.agents[0], &s.plan), "mine");
    hear(s.ann, 1, &heard);
    expect_text(&heard, 1, ZDM_OK, "mine");
    assert_false(heard.over[2]);
    assert_true(heard.last);
    forget(&heard);
}

int main(void)
{
#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_start, world_stop)
    const struct CMUnitTest tests[] = {
        WORLD(every_shard_is_asked_and_its_answer_relayed_without_a_word_in_the_log),
        WORLD(an_agent_that_was_asked_is_served_the_plan_and_nobody_else),
        WORLD(a_shard_that_cannot_be_asked_or_will_not_answer_is_said_with_words),
        WORLD(who_does_not_answer_for_a_minute_is_given_up_and_told_so),
        WORLD(when_the_asker_goes_the_agents_are_told),
        WORLD(a_long_answer_waits_for_a_slow_reader),
        WORLD(only_operators_check_and_only_plans_that_one_signed),
        WORLD(one_check_at_a_time_in_a_session_and_eight_in_all),
        WORLD(a_shard_whose_agents_were_revoked_is_not_asked),
        WORLD(an_answer_that_nobody_asked_for_or_out_of_order_ends_the_session),
    };
#undef WORLD
    return cmocka_run_group_tests_name("survey", tests, NULL, NULL);
}
