/*
 * trust.c - who is who: validity of a trust file, roles, verbs, and the life of requests. See trust.h.
 */
#include "common/plan/trust.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/plan/names.h"

enum { ROLES_ALL = ZDM_ROLE_VIEWER | ZDM_ROLE_OPERATOR | ZDM_ROLE_APPROVER };

void zdm_trust_fini(struct zdm_trust *trust)
{
    if (trust == NULL)
        return;
    free(trust->people);
    memset(trust, 0, sizeof *trust);
}

static bool holds_key(const struct zdm_hash *keys, size_t n, const struct zdm_hash *key)
{
    for (size_t i = 0; i < n; i++)
        if (zdm_hash_equal(&keys[i], key))
            return true;
    return false;
}

static bool all_distinct(const struct zdm_hash *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (holds_key(keys, i, &keys[i]))
            return false;
    return true;
}

static enum zdm_code check_bounds(const struct zdm_trust *trust, struct zdm_error *err)
{
    if (!zdm_name_is_valid(trust->fleet_name))
        return zdm_error_set(err, ZDM_INVALID, "trust file has no valid fleet name");
    if (trust->version == 0)
        return zdm_error_set(err, ZDM_INVALID, "trust file has no version");
    if (trust->n_roots == 0 || trust->n_roots > ZDM_ROOTS_MAX)
        return zdm_error_set(err, ZDM_INVALID, "trust file has %zu roots, not 1 to %d", trust->n_roots, ZDM_ROOTS_MAX);
    if (trust->root_threshold == 0 || trust->root_threshold > trust->n_roots)
        return zdm_error_set(err, ZDM_INVALID, "root threshold %u is not 1 to %zu", trust->root_threshold,
                             trust->n_roots);
    if (trust->n_coordinators == 0 || trust->n_coordinators > ZDM_COORDINATORS_MAX)
        return zdm_error_set(err, ZDM_INVALID, "trust file has %zu coordinators, not 1 to %d", trust->n_coordinators,
                             ZDM_COORDINATORS_MAX);
    if (trust->n_people > ZDM_PEOPLE_MAX)
        return zdm_error_set(err, ZDM_INVALID, "trust file has more than %d people", ZDM_PEOPLE_MAX);
    if (trust->approvals_min > ZDM_APPROVALS_MAX)
        return zdm_error_set(err, ZDM_INVALID, "trust file asks for more than %d approvals", ZDM_APPROVALS_MAX);
    return ZDM_OK;
}

/* A person's key must not be a coordinator's: who holds a stolen coordinator would sign requests with it. */
static enum zdm_code check_person(const struct zdm_trust *trust, size_t i, struct zdm_error *err)
{
    const struct zdm_person *person = &trust->people[i];
    if (!zdm_name_is_valid(person->name))
        return zdm_error_set(err, ZDM_INVALID, "person %zu of the trust file has no valid name", i + 1);
    if (person->roles == 0 || (person->roles & ~(uint32_t)ROLES_ALL) != 0)
        return zdm_error_set(err, ZDM_INVALID, "%s has no role or an unknown one", person->name);
    if (holds_key(trust->coordinators, trust->n_coordinators, &person->public_key))
        return zdm_error_set(err, ZDM_INVALID, "key of %s is a coordinator's too", person->name);
    for (size_t j = 0; j < i; j++) {
        if (zdm_hash_equal(&trust->people[j].public_key, &person->public_key))
            return zdm_error_set(err, ZDM_INVALID, "%s and %s have the same key", trust->people[j].name, person->name);
        if (strcmp(trust->people[j].name, person->name) == 0)
            return zdm_error_set(err, ZDM_INVALID, "%s is in the trust file twice", person->name);
    }
    return ZDM_OK;
}

enum zdm_code zdm_trust_validate(const struct zdm_trust *trust, struct zdm_error *err)
{
    enum zdm_code code = check_bounds(trust, err);
    if (code != ZDM_OK)
        return code;
    if (!all_distinct(trust->roots, trust->n_roots))
        return zdm_error_set(err, ZDM_INVALID, "a root is in the trust file twice");
    if (!all_distinct(trust->coordinators, trust->n_coordinators))
        return zdm_error_set(err, ZDM_INVALID, "a coordinator is in the trust file twice");
    bool has_operator = false;
    for (size_t i = 0; i < trust->n_people; i++) {
        code = check_person(trust, i, err);
        if (code != ZDM_OK)
            return code;
        has_operator = has_operator || (trust->people[i].roles & ZDM_ROLE_OPERATOR) != 0;
    }
    if (!has_operator) {
        zdm_error_set(err, ZDM_INVALID, "trust file has no operator");
        return zdm_error_hint(err, "Give at least one person the role operator.");
    }
    return ZDM_OK;
}

void zdm_selection_fini(struct zdm_selection *selection)
{
    if (selection == NULL)
        return;
    for (size_t i = 0; selection->names != NULL && i < selection->n_names; i++)
        free(selection->names[i]);
    free(selection->names);
    free(selection->selector);
    *selection = (struct zdm_selection){.all = false};
}

void zdm_request_fini(struct zdm_request *request)
{
    if (request == NULL)
        return;
    zdm_selection_fini(&request->shards);
    zdm_envelope_fini(&request->payload);
    memset(request, 0, sizeof *request);
}

static const struct {
    const char *name;
    enum zdm_role role;
} verb_rows[] = {
    [ZDM_VERB_SUBMIT] = {"submit", ZDM_ROLE_OPERATOR},
    [ZDM_VERB_ADVANCE] = {"advance", ZDM_ROLE_OPERATOR},
    [ZDM_VERB_PAUSE] = {"pause", ZDM_ROLE_OPERATOR},
    [ZDM_VERB_RESUME] = {"resume", ZDM_ROLE_OPERATOR},
    [ZDM_VERB_RETRY] = {"retry", ZDM_ROLE_OPERATOR},
    [ZDM_VERB_ROLLBACK] = {"rollback", ZDM_ROLE_OPERATOR},
    [ZDM_VERB_THROTTLE] = {"throttle", ZDM_ROLE_OPERATOR},
    [ZDM_VERB_APPROVE] = {"approve", ZDM_ROLE_APPROVER},
    [ZDM_VERB_REVOKE_APPROVAL] = {"revoke-approval", ZDM_ROLE_APPROVER},
    [ZDM_VERB_ENROLL] = {"enroll", ZDM_ROLE_OPERATOR},
    [ZDM_VERB_REVOKE_AGENT] = {"revoke-agent", ZDM_ROLE_OPERATOR},
    [ZDM_VERB_EXCLUDE] = {"exclude", ZDM_ROLE_APPROVER},
    [ZDM_VERB_INCLUDE] = {"include", ZDM_ROLE_APPROVER},
    [ZDM_VERB_FREEZE] = {"freeze", ZDM_ROLE_OPERATOR},
    [ZDM_VERB_THAW] = {"thaw", ZDM_ROLE_OPERATOR},
    [ZDM_VERB_PURGE] = {"purge", ZDM_ROLE_APPROVER},
    [ZDM_VERB_TRUST] = {"trust", ZDM_ROLE_VIEWER},
    [ZDM_VERB_RECOVER] = {"recover", ZDM_ROLE_OPERATOR},
};

enum { VERB_ROWS = sizeof verb_rows / sizeof *verb_rows };

const char *zdm_verb_name(enum zdm_verb verb)
{
    return (unsigned)verb < VERB_ROWS && verb_rows[verb].name != NULL ? verb_rows[verb].name : "?";
}

enum zdm_role zdm_verb_role(enum zdm_verb verb)
{
    /* An unknown verb asks for every role at once, which no single bit test can meet by mistake. */
    return (unsigned)verb < VERB_ROWS && verb_rows[verb].name != NULL ? verb_rows[verb].role : (enum zdm_role)ROLES_ALL;
}

void zdm_roles_text(char *out, size_t size, uint32_t roles)
{
    static const struct {
        enum zdm_role role;
        const char *name;
    } rows[] = {{ZDM_ROLE_VIEWER, "viewer"}, {ZDM_ROLE_OPERATOR, "operator"}, {ZDM_ROLE_APPROVER, "approver"}};
    size_t used = 0;
    out[0] = '\0';
    /* Operator and approver include viewer, which is said only where it is all there is. */
    uint32_t shown = (roles & ~(uint32_t)ZDM_ROLE_VIEWER) != 0 ? roles & ~(uint32_t)ZDM_ROLE_VIEWER : roles;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if ((shown & rows[i].role) == 0)
            continue;
        int n = snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", rows[i].name);
        if (n < 0 || (size_t)n >= size - used)
            return;
        used += (size_t)n;
    }
}
