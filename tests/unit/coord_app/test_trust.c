/*
 * test_trust.c - a new trust file while the coordinator runs: who may bring it, in which order it is kept, logged and
 * told, who is cut off by it, and what a crash in between leaves.
 */
#include "tests/unit/coord_app/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/os/crypto.h"

/* ---- The next version ---- */

struct change {
    const char *without; /* a person who is left out */
    const char *roles_of;
    uint32_t roles;      /* of roles_of */
    const char *becomes; /* operator */
    uint32_t version;
    const struct zdm_signing_key *coordinator; /* the only one; NULL: as before */
    const struct zdm_signing_key *signer;      /* NULL: the root */
    bool many;                                 /* as many people as a version has room for */
    bool forged;                               /* a bit of the signature is wrong */
    bool four_eyes;
};

enum { PEOPLE_MAX = 256 };

static void add_people(struct zdm_trust *trust)
{
    for (uint8_t i = 0; trust->n_people < PEOPLE_MAX - 1; i++) {
        struct zdm_person *person = &trust->people[trust->n_people++];
        *person = (struct zdm_person){.public_key = {{i, 0xab, (uint8_t)trust->version}}, .roles = ZDM_ROLE_VIEWER};
        (void)snprintf(person->name, sizeof person->name, "person-%03u-with-a-name-that-takes-room", i);
    }
}

static struct zdm_trust changed(const struct world *w, const struct change *change, struct zdm_person *people)
{
    struct zdm_trust trust = w->chain.trust;
    trust.version = change->version != 0 ? change->version : w->chain.trust.version + 1;
    trust.people = people;
    trust.n_people = 0;
    for (size_t i = 0; i < w->chain.trust.n_people; i++) {
        struct zdm_person person = w->chain.trust.people[i];
        if (change->without != NULL && strcmp(person.name, change->without) == 0)
            continue;
        if (change->roles_of != NULL && strcmp(person.name, change->roles_of) == 0)
            person.roles = change->roles;
        if (change->becomes != NULL && strcmp(person.name, change->becomes) == 0)
            person.roles = ZDM_ROLE_OPERATOR;
        people[trust.n_people++] = person;
    }
    if (change->many)
        add_people(&trust);
    trust.four_eyes = trust.four_eyes || change->four_eyes;
    if (change->coordinator != NULL)
        trust.coordinators[0] = change->coordinator->public_key;
    return trust;
}

/* The chain with version 1 and the changed one behind it. */
static struct zdm_buffer next_file(struct world *w, const struct change *change)
{
    struct zdm_buffer file = ZDM_BUFFER_INIT, body = ZDM_BUFFER_INIT;
    struct zdm_person people[PEOPLE_MAX];
    struct zdm_trust trust = changed(w, change, people);
    zdm_trust_chain_write(&w->chain, &file);
    zdm_trust_encode(&trust, &body);
    assert_false(body.failed);
    struct zdm_envelope envelope = sign(w, change->signer != NULL ? change->signer : &w->root, ZDM_SIGNED_TRUST, &body);
    if (change->forged)
        envelope.signature[0] ^= 1;
    zdm_envelope_flatten(&envelope, &file);
    zdm_envelope_fini(&envelope);
    zdm_buffer_fini(&body);
    return file;
}

static struct zdm_request publication(const struct zdm_buffer *file)
{
    struct zdm_request request = {.verb = ZDM_VERB_TRUST};
    zdm_hash_bytes(zdm_crypto_sodium(), request.plan_hash.bytes, sizeof request.plan_hash.bytes, file->data, file->len);
    return request;
}

static struct zdm_frame publish_file(struct client *c, const struct zdm_buffer *file)
{
    struct zdm_request request = publication(file);
    upload(c, file->data, file->len);
    return ask(c, &request);
}

static struct zdm_frame publish(struct client *c, const struct change *change)
{
    struct zdm_buffer file = next_file(c->world, change);
    struct zdm_frame answer = publish_file(c, &file);
    zdm_buffer_fini(&file);
    return answer;
}

static uint32_t version_in_force(const struct world *w)
{
    return coord_driver_state(w->driver)->trust_version;
}

static uint32_t version_on_disk(const struct world *w)
{
    struct zdm_trust_chain chain;
    struct zdm_error err;
    assert_int_equal(zdm_trust_chain_read(zdm_crypto_sodium(), w->trust.data, w->trust.len, &chain, &err), ZDM_OK);
    uint32_t version = chain.trust.version;
    zdm_trust_chain_fini(&chain);
    return version;
}

static const struct change without_vic = {.without = "vic"};

/* ---- Adoption ---- */

static void a_new_trust_file_is_kept_then_logged_then_told_to_every_agent(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann), *agent = join(w, ann, 1);
    struct zdm_frame frame;
    report(agent, 1, NULL, 0, ZDM_AGENT_RESTING);
    unsigned appends = w->n_appends;
    expect_ok(publish(ann, &without_vic));
    assert_int_equal(w->n_kept, 1);
    assert_int_equal(w->appends_at_keep, appends);
    assert_int_equal(w->n_appends, appends + 1);
    assert_int_equal(version_on_disk(w), 2);
    assert_int_equal(version_in_force(w), 2);
    assert_int_equal(coord_driver_view(w->driver)->authority.version, 2);
    assert_true(take(agent, ZDM_FRAME_TRUST, &frame));
    assert_int_equal(frame.u.envelopes.n, 1);
    zdm_frame_fini(&frame);
    world_restart(w);
    assert_int_equal(version_in_force(w), 2);
}

static void an_agent_that_asks_gets_the_versions_above_its_own(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann), *agent = join(w, ann, 1);
    struct zdm_frame frame = {.type = ZDM_FRAME_TRUST_REQUEST};
    expect_ok(publish(ann, &without_vic));
    while (take(agent, ZDM_FRAME_TRUST, &frame))
        zdm_frame_fini(&frame);
    for (uint32_t held = 0; held <= 2; held++) {
        frame = (struct zdm_frame){.type = ZDM_FRAME_TRUST_REQUEST, .u.trust_request.from_version = held};
        give(agent, &frame);
        assert_true(take(agent, ZDM_FRAME_TRUST, &frame));
        assert_int_equal(frame.u.envelopes.n, 2 - held);
        zdm_frame_fini(&frame);
    }
}

/* The world looks at the coordinator's file again: the next change follows on it. */
static void read_again(struct world *w)
{
    struct zdm_error err;
    zdm_trust_chain_fini(&w->chain);
    assert_int_equal(zdm_trust_chain_read(zdm_crypto_sodium(), w->trust.data, w->trust.len, &w->chain, &err), ZDM_OK);
}

static void a_chain_that_does_not_fit_one_frame_leaves_in_several(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann), *agent = join(w, ann, 1);
    struct zdm_frame frame = {.type = ZDM_FRAME_TRUST_REQUEST};
    for (uint32_t version = 2; version <= 6; version++) {
        expect_ok(publish(dial_person(w, &w->ann), &(struct change){.many = version == 2, .version = version}));
        read_again(w);
    }
    while (take(agent, ZDM_FRAME_TRUST, &frame))
        zdm_frame_fini(&frame);
    frame = (struct zdm_frame){.type = ZDM_FRAME_TRUST_REQUEST};
    give(agent, &frame);
    size_t frames = 0, envelopes = 0;
    for (; take(agent, ZDM_FRAME_TRUST, &frame); frames++) {
        envelopes += frame.u.envelopes.n;
        zdm_frame_fini(&frame);
    }
    assert_true(agent->open);
    assert_true(frames > 1);
    assert_int_equal(envelopes, 6);
}

static void a_token_of_an_operator_who_has_left_lets_nobody_in(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    struct zdm_frame frame = {.type = ZDM_FRAME_JOIN, .u.join.secret = {0x99}};
    enrol(ann, 2, frame.u.join.secret);
    expect_ok(publish(ann, &(struct change){.without = "ann", .roles_of = "bob", .roles = ZDM_ROLE_OPERATOR}));
    struct client *c = dial_as(w, ZDM_SESSION_AGENT, &w->agents[2], true);
    assert_non_null(c);
    give(c, &frame);
    assert_true(take(c, ZDM_FRAME_BYE, &frame));
    expect_in(frame.u.bye.why, "no operator any more");
    assert_false(c->open);
    assert_null(coord_find_agent(coord_driver_state(w->driver), &w->agents[2].id));
}

static void the_file_in_force_can_be_read_by_everybody(void **state)
{
    struct world *w = *state;
    struct client *vic = dial_person(w, &w->vic);
    struct zdm_frame frame = {.type = ZDM_FRAME_QUERY};
    frame.u.query.kind = ZDM_QUERY_TRUST;
    give(vic, &frame);
    assert_true(take(vic, ZDM_FRAME_ROWS, &frame));
    assert_int_equal(frame.u.rows.n, w->trust.len);
    assert_memory_equal(frame.u.rows.bytes, w->trust.data, w->trust.len);
}

static void the_same_publication_again_gets_the_same_answer(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    struct zdm_buffer file = next_file(w, &without_vic);
    struct zdm_request request = publication(&file);
    upload(ann, file.data, file.len);
    struct zdm_frame first = ask(ann, &request), second;
    expect_ok(first);
    second = ask(ann, &request);
    expect_ok(second);
    assert_int_equal(first.u.answer.seq, second.u.answer.seq);
    memset(&request.request_id, 0, sizeof request.request_id);
    expect_refusal(ask(ann, &request), ZDM_EXISTS, "version 2 of the trust file is in force already");
    zdm_buffer_fini(&file);
}

/* ---- Refusals ---- */

static void a_file_that_is_not_the_next_version_by_the_roots_is_refused_with_what_is_wrong(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    const struct {
        struct change change;
        enum zdm_code code;
        const char *words;
    } rows[] = {{{.signer = &w->ann}, ZDM_AUTH, "signed by 0 roots of version 1, not by 1"},
                {{.forged = true}, ZDM_AUTH, "trust file version 2"},
                {{.version = 3}, ZDM_REFUSED, "this is version 3 of the trust file, and version 2 is next"},
                {{.version = 1, .without = "bob"}, ZDM_REFUSED, "version 1 is in force"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect_refusal(publish(ann, &rows[i].change), rows[i].code, rows[i].words);
    struct zdm_frame answer = publish(ann, &rows[0].change);
    expect_in(answer.u.answer.detail, "Of the roots of version 1 nobody signed; 1 more of these must:");
    expect_in(answer.u.answer.hint, "zdmctl trust sign");
    struct zdm_buffer garbage = ZDM_BUFFER_INIT;
    zdm_buffer_append(&garbage, "no trust file", 13);
    expect_refusal(publish_file(dial_person(w, &w->ann), &garbage), ZDM_PROTOCOL, "damaged at byte 0");
    zdm_buffer_fini(&garbage);
    assert_int_equal(version_in_force(w), 1);
    assert_int_equal(w->n_kept, 0);
}

static void another_fleets_file_is_refused(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    const struct zdm_signing_key *roots[] = {&w->vic};
    struct zdm_person people[PEOPLE_MAX];
    struct zdm_trust trust = changed(w, &(struct change){.version = 1}, people);
    struct zdm_trust_chain other;
    struct zdm_error err;
    struct zdm_buffer file = ZDM_BUFFER_INIT;
    trust.roots[0] = w->vic.public_key;
    assert_int_equal(zdm_trust_chain_start(zdm_crypto_sodium(), &trust, roots, 1, &other, &err), ZDM_OK);
    zdm_trust_chain_write(&other, &file);
    expect_refusal(publish_file(ann, &file), ZDM_REFUSED, "another fleet");
    zdm_buffer_fini(&file);
    zdm_trust_chain_fini(&other);
}

static void a_publication_without_its_upload_is_refused(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    struct zdm_request request = {.verb = ZDM_VERB_TRUST, .plan_hash = {{1}}};
    struct zdm_frame answer = ask(ann, &request);
    assert_int_equal(answer.type, ZDM_FRAME_ANSWER);
    assert_int_not_equal(answer.u.answer.code, ZDM_OK);
    assert_int_equal(version_in_force(w), 1);
}

/* ---- Who is cut off ---- */

static void who_is_no_longer_named_is_cut_off_at_once_with_a_word(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann), *vic = dial_person(w, &w->vic);
    struct zdm_frame frame;
    expect_ok(publish(ann, &without_vic));
    assert_false(vic->open);
    assert_true(take(vic, ZDM_FRAME_BYE, &frame));
    expect_in(frame.u.bye.why, "does not name your key any more");
    assert_true(ann->open);
    assert_null(dial_person(w, &w->vic));
}

static void who_publishes_a_file_without_themselves_is_answered_first(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    const struct change without_ann = {.without = "ann", .roles_of = "bob", .roles = ZDM_ROLE_OPERATOR};
    expect_ok(publish(ann, &without_ann));
    assert_false(ann->open);
}

static void roles_change_in_the_middle_of_a_session(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann), *bob = dial_person(w, &w->bob);
    (void)join(w, ann, 1);
    expect_ok(submit(ann));
    expect_refusal(ask_verb(bob, ZDM_VERB_PAUSE, NULL), ZDM_REFUSED, "bob may not pause");
    expect_ok(publish(ann, &(struct change){.roles_of = "bob", .roles = ZDM_ROLE_OPERATOR}));
    expect_ok(ask_verb(bob, ZDM_VERB_PAUSE, NULL));
    assert_true(bob->open);
}

static void what_a_revoked_person_asks_in_the_same_moment_is_refused(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann), *bob = dial_person(w, &w->bob);
    (void)join(w, ann, 1);
    expect_ok(submit(ann));
    struct zdm_buffer file = next_file(w, &(struct change){.without = "bob"});
    struct zdm_request request = publication(&file);
    struct zdm_request exclude = {.verb = ZDM_VERB_EXCLUDE, .migration = "rename", .shards = {.all = true}};
    upload(ann, file.data, file.len);
    struct zdm_frame first = request_frame(ann, &request), second = request_frame(bob, &exclude);
    uint64_t seq = coord_driver_state(w->driver)->head_seq;
    give_quietly(ann, &first);
    give_quietly(bob, &second);
    world_turn(w);
    assert_int_equal(version_in_force(w), 2);
    assert_int_equal(coord_driver_state(w->driver)->head_seq, seq + 2); /* operator_acted, trust_adopted */
    assert_false(bob->open);
    zdm_frame_fini(&first);
    zdm_frame_fini(&second);
    zdm_buffer_fini(&file);
}

static void a_revoked_agent_is_cut_off_at_once(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann), *agent = join(w, ann, 1);
    struct zdm_request request = {.verb = ZDM_VERB_REVOKE_AGENT, .target = w->agents[1].id};
    (void)zdm_copy_text(request.reason, sizeof request.reason, "stolen");
    report(agent, 1, NULL, 0, ZDM_AGENT_RESTING);
    expect_ok(submit(ann));
    expect_ok(ask(ann, &request));
    assert_false(agent->open);
    assert_null(dial_agent(w, &w->agents[1]));
    char *status = query(ann, ZDM_QUERY_STATUS, "rename");
    expect_in(status, "its agent was revoked: zdmctl enroll shard-");
    free(status);
}

static void a_coordinator_that_is_no_longer_named_steps_down_and_orders_nothing(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann), *agent = join(w, ann, 1);
    struct zdm_frame frame;
    struct zdm_error err;
    report(agent, 1, NULL, 0, ZDM_AGENT_RESTING);
    expect_ok(submit(ann));
    expect_ok(publish(ann, &(struct change){.coordinator = &w->agents[3]}));
    assert_true(coord_driver_ended(w->driver, &err));
    assert_int_equal(err.code, ZDM_DEPOSED);
    expect_in(err.message, "does not name this coordinator's key");
    assert_true(take(agent, ZDM_FRAME_TRUST, &frame)); /* so that it knows why, and whom to obey */
    zdm_frame_fini(&frame);
    assert_true(take(agent, ZDM_FRAME_BYE, &frame));
    assert_false(agent->open);
    assert_false(ann->open);
}

/* ---- Crashes and failures ---- */

static void a_crash_between_the_file_and_the_log_ends_in_adoption_at_the_start(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    w->failing = FAILS_IO;
    w->failing_times = 1;
    struct zdm_frame answer = publish(ann, &without_vic);
    assert_int_equal(answer.type, 0); /* nobody was told anything */
    assert_int_equal(version_on_disk(w), 2);
    world_restart(w);
    assert_int_equal(version_in_force(w), 2);
    assert_null(dial_person(w, &w->vic));
    assert_non_null(dial_person(w, &w->ann));
}

static void a_file_that_cannot_be_written_changes_nothing(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann), *vic = dial_person(w, &w->vic);
    w->trust_is_readonly = true;
    uint64_t seq = coord_driver_state(w->driver)->head_seq;
    expect_refusal(publish(ann, &without_vic), ZDM_IO, "the trust file could not be written");
    assert_int_equal(coord_driver_state(w->driver)->head_seq, seq);
    assert_int_equal(version_in_force(w), 1);
    assert_int_equal(coord_driver_view(w->driver)->authority.version, 1);
    assert_true(vic->open);
    w->trust_is_readonly = false;
    expect_ok(publish(ann, &without_vic));
    assert_false(vic->open);
}

static void without_room_for_the_event_the_old_file_comes_back(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann), *vic = dial_person(w, &w->vic);
    w->failing = FAILS_FULL;
    w->failing_times = 1;
    expect_refusal(publish(ann, &without_vic), ZDM_FULL, "no room");
    assert_int_equal(version_on_disk(w), 1);
    assert_int_equal(version_in_force(w), 1);
    assert_true(vic->open);
    world_restart(w);
    assert_int_equal(version_in_force(w), 1);
}

static void a_lost_answer_of_the_store_adopts_once(void **state)
{
    static const enum failing losses[] = {LOSES_ANSWER_BEFORE, LOSES_ANSWER_AFTER};
    (void)state;
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        void *again = NULL;
        assert_int_equal(world_start(&again), 0);
        struct world *w = again;
        struct client *ann = dial_person(w, &w->ann), *vic = dial_person(w, &w->vic);
        w->failing = losses[i];
        w->failing_times = 1;
        uint64_t seq = coord_driver_state(w->driver)->head_seq;
        expect_ok(publish(ann, &without_vic));
        assert_int_equal(coord_driver_state(w->driver)->head_seq, seq + 2);
        assert_int_equal(version_on_disk(w), 2);
        assert_int_equal(version_in_force(w), 2);
        assert_false(vic->open);
        (void)world_stop(&again);
    }
}

/* ---- Roles, eyes and roots ---- */

static void a_token_of_an_operator_who_has_lost_the_role_lets_nobody_in(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    struct zdm_frame frame = {.type = ZDM_FRAME_JOIN, .u.join.secret = {0x99}};
    enrol(ann, 2, frame.u.join.secret);
    expect_ok(publish(ann, &(struct change){.roles_of = "ann", .roles = ZDM_ROLE_APPROVER, .becomes = "bob"}));
    struct client *c = dial_as(w, ZDM_SESSION_AGENT, &w->agents[2], true);
    assert_non_null(c);
    give(c, &frame);
    assert_true(take(c, ZDM_FRAME_BYE, &frame));
    assert_null(coord_find_agent(coord_driver_state(w->driver), &w->agents[2].id));
}

static void four_eyes_of_a_newer_file_are_in_force_at_once(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    (void)join(w, ann, 1);
    expect_ok(submit_kind(ann, ASKS_FOR_APPROVAL));
    const struct coord_migration *m = coord_find_migration(coord_driver_state(w->driver), "rename");
    expect_ok(publish(ann, &(struct change){.four_eyes = true}));
    struct zdm_approval approval = {.migration = "rename",
                                    .plan_hash = m->plan->hash,
                                    .phase = 2,
                                    .phase_digest = m->plan->phases[1].digest,
                                    .action = ZDM_APPROVE_ENTER,
                                    .trust_version = 2,
                                    .issued_at_ms = w->wall_ms,
                                    .expires_at_ms = w->wall_ms + 86400000,
                                    .nonce = {{0x31}}};
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_request request = {.verb = ZDM_VERB_APPROVE, .migration = "rename"};
    zdm_approval_encode(&approval, &body);
    request.payload = sign(w, &w->ann, ZDM_SIGNED_APPROVAL, &body);
    expect_refusal(ask(ann, &request), ZDM_REFUSED, "ann submitted the plan and cannot approve it too");
    zdm_envelope_fini(&request.payload);
    zdm_buffer_fini(&body);
}

/* Version 2 has another root: who holds the old one alone cannot make it, nor who holds the new one alone. */
static void new_roots_are_adopted_only_with_the_signatures_of_old_and_new(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    struct zdm_person people[PEOPLE_MAX];
    struct zdm_trust trust = changed(w, &(struct change){.version = 2}, people);
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    trust.roots[0] = w->vic.public_key;
    zdm_trust_encode(&trust, &body);
    struct zdm_envelope by[2] = {sign(w, &w->root, ZDM_SIGNED_TRUST, &body), sign(w, &w->vic, ZDM_SIGNED_TRUST, &body)};
    for (size_t which = 1; which <= 3; which++) {
        struct zdm_buffer file = ZDM_BUFFER_INIT;
        zdm_trust_chain_write(&w->chain, &file);
        for (size_t i = 0; i < 2; i++)
            if ((which >> i & 1U) != 0)
                zdm_envelope_flatten(&by[i], &file);
        if (which == 3)
            expect_ok(publish_file(ann, &file));
        else
            expect_refusal(publish_file(ann, &file), ZDM_AUTH, "signed by 0 roots");
        assert_int_equal(version_in_force(w), which == 3 ? 2 : 1);
        zdm_buffer_fini(&file);
    }
    zdm_envelope_fini(&by[0]);
    zdm_envelope_fini(&by[1]);
    zdm_buffer_fini(&body);
}

static void a_file_that_is_cut_short_is_damaged_where_it_ends(void **state)
{
    struct world *w = *state;
    struct client *ann = dial_person(w, &w->ann);
    struct zdm_buffer file = next_file(w, &without_vic), first = ZDM_BUFFER_INIT;
    char words[64];
    zdm_trust_chain_write(&w->chain, &first);
    (void)snprintf(words, sizeof words, "damaged at byte %zu", first.len);
    file.len--;
    expect_refusal(publish_file(ann, &file), ZDM_PROTOCOL, words);
    zdm_buffer_fini(&file);
    zdm_buffer_fini(&first);
}

int main(void)
{
#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_start, world_stop)
    const struct CMUnitTest tests[] = {
        WORLD(a_new_trust_file_is_kept_then_logged_then_told_to_every_agent),
        WORLD(an_agent_that_asks_gets_the_versions_above_its_own),
        WORLD(a_chain_that_does_not_fit_one_frame_leaves_in_several),
        WORLD(a_token_of_an_operator_who_has_left_lets_nobody_in),
        WORLD(the_file_in_force_can_be_read_by_everybody),
        WORLD(the_same_publication_again_gets_the_same_answer),
        WORLD(a_file_that_is_not_the_next_version_by_the_roots_is_refused_with_what_is_wrong),
        WORLD(another_fleets_file_is_refused),
        WORLD(a_publication_without_its_upload_is_refused),
        WORLD(who_is_no_longer_named_is_cut_off_at_once_with_a_word),
        WORLD(who_publishes_a_file_without_themselves_is_answered_first),
        WORLD(roles_change_in_the_middle_of_a_session),
        WORLD(what_a_revoked_person_asks_in_the_same_moment_is_refused),
        WORLD(a_revoked_agent_is_cut_off_at_once),
        WORLD(a_coordinator_that_is_no_longer_named_steps_down_and_orders_nothing),
        WORLD(a_crash_between_the_file_and_the_log_ends_in_adoption_at_the_start),
        WORLD(a_file_that_cannot_be_written_changes_nothing),
        WORLD(without_room_for_the_event_the_old_file_comes_back),
        WORLD(a_token_of_an_operator_who_has_lost_the_role_lets_nobody_in),
        WORLD(four_eyes_of_a_newer_file_are_in_force_at_once),
        WORLD(new_roots_are_adopted_only_with_the_signatures_of_old_and_new),
        WORLD(a_file_that_is_cut_short_is_damaged_where_it_ends),
        cmocka_unit_test(a_lost_answer_of_the_store_adopts_once),
    };
#undef WORLD
    return cmocka_run_group_tests_name("trust", tests, NULL, NULL);
}
