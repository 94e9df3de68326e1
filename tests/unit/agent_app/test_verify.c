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

int main(void)
{
    struct zdm_error err;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plan_of_another_hash_is_refused_though_an_operator_signed_it, setup, teardown),
        cmocka_unit_test_setup_teardown(trust_file_of_another_fleet_or_cut_short_changes_nothing, setup, teardown),
    };
    if (zdm_crypto_start(&err) != ZDM_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
