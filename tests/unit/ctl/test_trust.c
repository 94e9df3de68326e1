/*
 * test_trust.c - the trust file from version to version: proposed, signed by roots, shown; and everything that a
 * proposal refuses.
 */
#include "run.h"

#include "coordinator/ctl/model/trust_proposal.h"

static void read_file(const char *path, struct zdm_buffer *out)
{
    FILE *file = fopen(path, "r");
    char piece[4096];
    size_t n;
    assert_non_null(file);
    while ((n = fread(piece, 1, sizeof piece, file)) > 0)
        zdm_buffer_append(out, piece, n);
    fclose(file);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void a_version_goes_from_proposal_to_trust_file(void **state)
{
    (void)state;
    expect("trust propose --add-person eve=eve.pub:approver --set-roles ann=operator,approver --remove-person bob "
           "--approvals-min 2 --four-eyes on --out next",
           0, "+ person eve", NULL);
    assert_has(out_text, "- person bob");
    assert_has(out_text, "* person ann: operator, approver, was operator");
    assert_has(out_text, "a destructive phase needs 2 approvals, was 1");
    assert_has(out_text, "0 of 2 roots of version 1 and 0 of 2 roots of version 2 have signed");
    assert_has(out_text, "next: zdmctl trust sign next --key ROOTKEY");
    assert_lacks(out_text, "nobody can enter");
    expect("trust propose --remove-person bob --out next", 3, NULL, "exists");
    expect("trust propose --approvals-min 9 --out many", 0, "! a destructive phase needs 9 approvals, and", NULL);
    assert_has(out_text, "0 people are approvers: nobody can");
    expect("trust publish next", 3, NULL, "next lacks signatures: 0 of 2 roots of version 1");
    expect("trust sign next --key r1", 3, NULL, "no terminal to ask at");
    expect("trust sign next --key r1 --yes", 0, "1 of 2 roots of version 1 and 1 of 2 roots of version 2", NULL);
    expect("trust sign next --key r1 --yes", 3, NULL, "that root has signed already");
    expect("trust sign next --key ann --yes", 3, NULL, "a root neither of version 1 nor of version 2");
    expect("trust show next", 0, "proposal of version 2", NULL);
    expect("trust show next -o json", 0, "\"complete\": false, \"before\": {\"signed\": 1, \"needed\": 2}", NULL);
    expect("trust sign next --key r3 --yes", 0, "next: zdmctl trust publish next", NULL);
    expect("trust sign next --key r2 --yes", 2, NULL, "next is no proposal");
    expect("trust show next", 0, "version 2, hash ", NULL);
    assert_has(out_text, "changed by version 2:");
    assert_has(out_text, "+ person eve");
    expect("trust show next -o json", 0, "\"version\": 2", NULL);
    unlink("next");
}

static void roots_are_replaced_by_the_signatures_of_old_and_new_ones(void **state)
{
    (void)state;
    expect("trust propose --add-root r4.pub --remove-root r3.pub --out next", 0, "+ root", NULL);
    assert_has(out_text, "- root");
    expect("trust sign next --key r4 --yes", 0, "0 of 2 roots of version 1 and 1 of 2 roots of version 2", NULL);
    expect("trust sign next --key r1 --yes", 0, "1 of 2 roots of version 1 and 2 of 2 roots of version 2", NULL);
    expect("trust sign next --key r3 --yes -o json", 0, "\"complete\": true", NULL);
    expect("trust show next", 0, "version 2", NULL);
    expect("trust propose --from next --add-coordinator eve.pub --out third", 0, "version 3", NULL);
    unlink("next");
    unlink("third");
}

static void a_key_may_be_given_as_text(void **state)
{
    char line[256];
    (void)state;
    expect("keys show eve.pub -o json", 0, "public_key", NULL);
    json_t *json = parse(out_text);
    snprintf(line, sizeof line, "trust propose --add-person eve=%s:viewer --out next",
             json_string_value(json_object_get(json, "public_key")));
    expect(line, 0, "+ person eve", NULL);
    snprintf(line, sizeof line, "key %s", json_string_value(json_object_get(json, "id")));
    assert_has(out_text, line);
    json_decref(json);
    unlink("next");
}

static void what_does_not_fit_is_refused_and_nothing_is_written(void **state)
{
    static const struct {
        const char *line, *message;
    } rows[] = {
        {"trust propose --out next", "needs to know what shall change"},
        {"trust propose --add-person eve=eve.pub", "needs a file to write"},
        {"trust propose --remove-person zoe --out next", "names no person \"zoe\""},
        {"trust propose --set-roles zoe=operator --out next", "names no person \"zoe\""},
        {"trust propose --set-roles ann --out next", "does not say which roles"},
        {"trust propose --set-roles ann=chief --out next", "\"chief\" is not a role"},
        {"trust propose --add-person eve --out next", "does not say where the key is"},
        {"trust propose --remove-root 123456 --out next", "has no root \"123456\""},
        {"trust propose --remove-coordinator coord.pub --out next", NULL},
        {"trust propose --root-threshold 9 --out next", NULL},
        {"trust propose --four-eyes maybe --out next", "--four-eyes must be on or off"},
        {"trust propose --add-person eve=ann.pub --out next", NULL}, /* ann's key already */
        {"trust propose --remove-person ann --remove-person bob --out next", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect(rows[i].line, 2, NULL, rows[i].message);
        assert_int_not_equal(access("next", F_OK), 0);
    }
}

static void a_proposal_that_was_tampered_with_is_not_read(void **state)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    (void)state;
    expect("trust propose --approvals-min 2 --out next", 0, NULL, NULL);
    expect("trust sign next --key r1 --yes", 0, NULL, NULL);
    read_file("next", &text);
    json_t *json = parse(zdm_buffer_text(&text));
    zdm_buffer_fini(&text);
    expect("trust propose --approvals-min 3 --out other", 0, NULL, NULL);
    read_file("other", &text);
    json_t *other = parse(zdm_buffer_text(&text));
    zdm_buffer_fini(&text);
    json_object_set(json, "next", json_object_get(other, "next")); /* signed was another body */
    char *forged = json_dumps(json, 0);
    write_text("next", forged);
    expect("trust show next", 1, NULL, "is for something else");
    expect("trust sign next --key r2 --yes", 1, NULL, "is for something else");
    write_text("next", "{\"zdm_trust_proposal\": 2}");
    expect("trust show next", 2, NULL, "is no proposal");
    write_text("next", "{\"zdm_trust_proposal\": 1, \"chain\": \"?\", \"next\": \"\"}");
    expect("trust show next", 1, NULL, "is damaged");
    free(forged);
    json_decref(json);
    json_decref(other);
    unlink("next");
    unlink("other");
}

static void a_trust_file_continues_only_its_own(void **state)
{
    struct zdm_buffer mine = ZDM_BUFFER_INIT, other = ZDM_BUFFER_INIT;
    struct zdm_trust_chain a, b;
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    expect("trust init --fleet shop --person ann=ann.pub --coordinator coord.pub --root r1 --out strange", 0, NULL,
           NULL);
    read_file("trust", &mine);
    read_file("strange", &other);
    assert_int_equal(zdm_trust_chain_read(zdm_crypto_sodium(), mine.data, mine.len, &a, &err), ZDM_OK);
    assert_int_equal(zdm_trust_chain_read(zdm_crypto_sodium(), other.data, other.len, &b, &err), ZDM_OK);
    assert_true(ctl_trust_continues(zdm_crypto_sodium(), &a, &a));
    assert_false(ctl_trust_continues(zdm_crypto_sodium(), &a, &b));
    zdm_trust_chain_fini(&a);
    zdm_trust_chain_fini(&b);
    zdm_buffer_fini(&mine);
    zdm_buffer_fini(&other);
    expect("--coordinator ipc:///nosuch --key ann trust publish strange", 1, NULL, "does not continue your trust file");
    unlink("strange");
}

static int found(void **state)
{
    static const char *const names[] = {"ann", "bob", "eve", "coord", "r1", "r2", "r3", "r4"};
    char line[64];
    if (enter(state) != 0)
        return 1;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(line, sizeof line, "keys generate --out %s", names[i]);
        expect(line, 0, NULL, NULL);
    }
    expect("trust init --fleet shop --person ann=ann.pub --person bob=bob.pub:viewer --coordinator coord.pub "
           "--root r1 --root r2 --root r3 --out trust",
           0, "needs 2 of 3 roots", NULL);
    setenv("ZDM_TRUST", "trust", 1);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_version_goes_from_proposal_to_trust_file),
        cmocka_unit_test(roots_are_replaced_by_the_signatures_of_old_and_new_ones),
        cmocka_unit_test(a_key_may_be_given_as_text),
        cmocka_unit_test(what_does_not_fit_is_refused_and_nothing_is_written),
        cmocka_unit_test(a_proposal_that_was_tampered_with_is_not_read),
        cmocka_unit_test(a_trust_file_continues_only_its_own),
    };
    return cmocka_run_group_tests(tests, found, leave);
}
