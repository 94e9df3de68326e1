/*
 * test_verify.c - verify.h by itself: that a signature is right does not make it the one that was asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/app/identity.h"
#include "agent/app/people.h"
#include "agent/app/verify.h"
#include "common/base/buffer.h"
#include "common/os/crypto.h"
#include "tests/unit/agent_app/fake_fleet.h"

struct scene {
    struct fake_fleet *fleet;
    struct agent_identity identity;
};

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    struct zdm_buffer trust = ZDM_BUFFER_INIT, enrolment = ZDM_BUFFER_INIT;
    struct zdm_error err;
    s->fleet = fake_fleet_new();
    zdm_trust_chain_write(&s->fleet->chain, &trust);
    zdm_envelope_flatten(&s->fleet->enrolment, &enrolment);
    assert_int_equal(
        agent_identity_read(s->fleet->crypto, trust.data, trust.len, enrolment.data, enrolment.len, &s->identity, &err),
        ZDM_OK);
    zdm_buffer_fini(&trust);
    zdm_buffer_fini(&enrolment);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    agent_identity_fini(&s->identity);
    fake_fleet_free(s->fleet);
    free(s);
    return 0;
}

/* Both plans are an operator's and choose this shard: the coordinator answers the one request with the other plan. */
static void plan_of_another_hash_is_refused_though_an_operator_signed_it(void **state)
{
    struct scene *s = *state;
    struct zdm_hash asked = s->fleet->plan_hash;
    struct zdm_plan *plan = NULL;
    struct zdm_error err;
    assert_int_equal(agent_verify_plan(s->fleet->crypto, &s->identity, &s->fleet->plan, &asked, &plan, NULL, &err),
                     ZDM_OK);
    assert_true(zdm_hash_equal(&plan->hash, &asked));
    zdm_plan_unref(plan);
    plan = NULL;
    fake_fleet_plan(s->fleet, &s->fleet->operator_key, "");
    assert_int_equal(
        agent_verify_plan(s->fleet->crypto, &s->identity, &s->fleet->plan, &s->fleet->plan_hash, &plan, NULL, &err),
        ZDM_OK);
    zdm_plan_unref(plan);
    plan = NULL;
    assert_int_equal(agent_verify_plan(s->fleet->crypto, &s->identity, &s->fleet->plan, &asked, &plan, NULL, &err),
                     ZDM_CORRUPT);
    assert_null(plan);
}

static void trust_file_of_another_fleet_or_cut_short_changes_nothing(void **state)
{
    struct scene *s = *state;
    struct zdm_trust_chain other;
    struct zdm_trust trust = s->fleet->trust;
    const struct zdm_signing_key *roots[] = {&s->fleet->root};
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct zdm_error err;
    bool newer = true;
    zdm_copy_text(trust.fleet_name, sizeof trust.fleet_name, "other");
    assert_int_equal(zdm_trust_chain_start(s->fleet->crypto, &trust, roots, 1, &other, &err), ZDM_OK);
    zdm_trust_chain_write(&other, &bytes);
    assert_int_equal(agent_identity_extend_file(s->fleet->crypto, &s->identity, bytes.data, bytes.len, &newer, &err),
                     ZDM_AUTH);
    assert_false(newer);
    zdm_buffer_reset(&bytes);
    fake_fleet_new_trust(s->fleet);
    zdm_trust_chain_write(&s->fleet->chain, &bytes);
    for (size_t n = 0; n < bytes.len; n += 7) {
        enum zdm_code code = agent_identity_extend_file(s->fleet->crypto, &s->identity, bytes.data, n, &newer, &err);
        assert_true(code != ZDM_OK || !newer); /* whole, without the second version */
        assert_int_equal(s->identity.chain.trust.version, 1);
    }
    assert_int_equal(agent_identity_extend_file(s->fleet->crypto, &s->identity, bytes.data, bytes.len, &newer, &err),
                     ZDM_OK);
    assert_true(newer);
    assert_int_equal(s->identity.chain.trust.version, 2);
    zdm_trust_chain_fini(&other);
    zdm_buffer_fini(&bytes);
}

/* ---- A row of the journal ---- */

/* As the agent wrote it when it accepted generation 10; what is in it is the fleet's. */
static struct agent_journal row_of(struct scene *s)
{
    struct zdm_directive d = fake_fleet_directive(s->fleet, 10, ZDM_MODE_RUN, 1);
    struct agent_journal row = {.migration = "rename", .plan_hash = s->fleet->plan_hash, .accepted = d.fence};
    fake_fleet_sign_order(s->fleet, &s->fleet->coordinator, &s->fleet->chain.fleet, &d);
    row.directive = s->fleet->order;
    row.digest = zdm_signed_digest(s->fleet->crypto, &row.directive);
    row.plan = s->fleet->plan;
    return row;
}

static enum zdm_code verify_row(struct scene *s, const struct agent_journal *row, struct zdm_id *out_signer)
{
    struct zdm_directive directive;
    struct zdm_plan *plan = NULL;
    struct zdm_error err;
    enum zdm_code code = agent_verify_row(s->fleet->crypto, &s->identity, row, &directive, &plan, out_signer, &err);
    if (code != ZDM_OK)
        return code;
    zdm_directive_fini(&directive);
    zdm_plan_unref(plan);
    return ZDM_OK;
}

static void row_of_the_journal_counts_only_as_the_directive_in_it_says(void **state)
{
    struct scene *s = *state;
    struct zdm_id signer;
    struct agent_journal row = row_of(s);
    assert_int_equal(verify_row(s, &row, &signer), ZDM_OK);
    assert_true(zdm_id_equal(&signer, &s->fleet->operator_key.id)); /* whom four eyes are about */
    row.digest.bytes[2] ^= 1;
    assert_int_equal(verify_row(s, &row, &signer), ZDM_CORRUPT);
    row = row_of(s);
    row.plan_hash.bytes[2] ^= 1;
    assert_int_equal(verify_row(s, &row, &signer), ZDM_CORRUPT);
    row = row_of(s);
    row.accepted.generation++;
    assert_int_equal(verify_row(s, &row, &signer), ZDM_CORRUPT);
    row = row_of(s);
    row.migration[0] = 's';
    assert_int_equal(verify_row(s, &row, &signer), ZDM_CORRUPT);
}

/* An operator signed both, and the directive names the hash: but it is the plan of another migration. */
static void row_with_the_plan_of_another_migration_is_none(void **state)
{
    struct scene *s = *state;
    struct zdm_plan *plan = NULL;
    struct zdm_id signer;
    struct zdm_error err;
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    size_t n;
    const uint8_t *bytes = zdm_signed_body(&s->fleet->plan, &n);
    assert_int_equal(zdm_plan_decode(s->fleet->crypto, bytes, n, &plan, &err), ZDM_OK);
    zdm_copy_text(plan->id, sizeof plan->id, "other");
    zdm_plan_encode(s->fleet->crypto, plan, &body);
    zdm_plan_unref(plan);
    assert_int_equal(zdm_plan_decode(s->fleet->crypto, body.data, body.len, &plan, &err), ZDM_OK);
    s->fleet->plan_hash = plan->hash;
    zdm_plan_unref(plan);
    zdm_envelope_fini(&s->fleet->plan);
    assert_int_equal(zdm_signed_make(s->fleet->crypto, &s->fleet->operator_key, &s->fleet->chain.fleet, ZDM_SIGNED_PLAN,
                                     body.data, body.len, &s->fleet->plan, &err),
                     ZDM_OK);
    zdm_buffer_fini(&body);
    struct agent_journal row = row_of(s);
    assert_int_equal(verify_row(s, &row, &signer), ZDM_CORRUPT);
}

/* ---- What people signed ---- */

static void people_are_read_with_all_that_the_trust_file_says_of_them(void **state)
{
    struct scene *s = *state;
    struct zdm_authority authority;
    struct zdm_trust trust = s->fleet->trust;
    trust.four_eyes = true;
    trust.approvals_min = 3;
    assert_true(agent_people_read(s->fleet->crypto, &trust, &authority));
    assert_true(authority.four_eyes);
    assert_int_equal(authority.approvals_min, 3);
    assert_int_equal(authority.version, trust.version);
    const struct zdm_authority_person *viewer = zdm_authority_find(&authority, &s->fleet->viewer.id);
    assert_non_null(viewer);
    assert_int_equal(viewer->roles, ZDM_ROLE_VIEWER);
    zdm_authority_fini(&authority);
}

static void approval_that_does_not_verify_is_left_out_and_counted(void **state)
{
    struct scene *s = *state;
    struct agent_signatures signatures;
    struct zdm_approval a = fake_fleet_approval(s->fleet, ZDM_APPROVE_ENTER, 3, 1);
    struct zdm_envelope both[2] = {fake_fleet_sign_approval(s->fleet, &s->fleet->approver, &a),
                                   fake_fleet_sign_approval(s->fleet, &s->fleet->stranger, &a)};
    struct zdm_directive d = fake_fleet_directive(s->fleet, 10, ZDM_MODE_RUN, 3);
    d.approvals = both;
    d.n_approvals = 2;
    agent_signatures_take(s->fleet->crypto, &s->identity, &d, &signatures);
    assert_int_equal(signatures.parts.n_approvals, 1);
    assert_true(zdm_id_equal(&signatures.parts.approvals[0].signer, &s->fleet->approver.id));
    assert_int_equal(signatures.left_out, 1);
    agent_signatures_fini(&signatures);
    zdm_envelope_fini(&both[0]);
    zdm_envelope_fini(&both[1]);
}

int main(void)
{
    struct zdm_error err;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plan_of_another_hash_is_refused_though_an_operator_signed_it, setup, teardown),
        cmocka_unit_test_setup_teardown(trust_file_of_another_fleet_or_cut_short_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(row_of_the_journal_counts_only_as_the_directive_in_it_says, setup, teardown),
        cmocka_unit_test_setup_teardown(row_with_the_plan_of_another_migration_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(people_are_read_with_all_that_the_trust_file_says_of_them, setup, teardown),
        cmocka_unit_test_setup_teardown(approval_that_does_not_verify_is_left_out_and_counted, setup, teardown),
    };
    if (zdm_crypto_start(&err) != ZDM_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
