/*
 * trust_change.c - the next version of a trust file. See trust_change.h.
 */
#include "coordinator/ctl/model/trust_change.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buffer.h"
#include "common/os/crypto.h"

enum { KEY_PREFIX_MIN = 4 };

/* ---- Words of the command line ---- */

enum zdm_code ctl_roles_parse(const char *text, uint32_t *out, struct zdm_error *err)
{
    static const struct {
        const char *name;
        uint32_t role;
    } known[] = {{"viewer", ZDM_ROLE_VIEWER}, {"operator", ZDM_ROLE_OPERATOR}, {"approver", ZDM_ROLE_APPROVER}};
    uint32_t roles = 0;
    for (const char *at = text; *at != '\0';) {
        size_t n = strcspn(at, ","), i = 0;
        while (i < 3 && !(strlen(known[i].name) == n && strncmp(known[i].name, at, n) == 0))
            i++;
        if (i == 3) {
            zdm_error_set(err, ZDM_INVALID, "\"%.*s\" is not a role", (int)(n < 64 ? n : 64), at);
            return zdm_error_hint(err, "Roles are viewer, operator and approver, separated by commas.");
        }
        roles |= known[i].role;
        at += n + (at[n] == ',' ? 1 : 0);
    }
    *out = roles != 0 ? roles : ZDM_ROLE_OPERATOR;
    return ZDM_OK;
}

enum zdm_code ctl_public_key(const char *text, struct zdm_hash *out, struct zdm_error *err)
{
    struct zdm_error other = ZDM_ERROR_INIT;
    if (access(text, F_OK) != 0 && zdm_public_key_parse(text, out, NULL, 0, &other) == ZDM_OK)
        return ZDM_OK;
    return zdm_public_key_read(text, out, NULL, 0, err);
}

enum zdm_code ctl_person_parse(const char *option, const char *text, struct zdm_person *out, bool *out_has_roles,
                               struct zdm_error *err)
{
    struct zdm_person person = {.roles = 0};
    ZDM_CLEANUP(zdm_freep) char *copy = zdm_strdup(text);
    if (copy == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    char *key = strchr(copy, '=');
    if (key == NULL) {
        zdm_error_set(err, ZDM_INVALID, "--%s \"%s\" does not say where the key is", option, text);
        return zdm_error_hint(err, "Write --%s NAME=PUBFILE:ROLES, for example ann=ann.key.pub:operator,approver.",
                              option);
    }
    *key++ = '\0';
    char *roles = strrchr(key, ':');
    if (roles != NULL && strchr(roles, '/') != NULL)
        roles = NULL;
    if (roles != NULL)
        *roles++ = '\0';
    if (!zdm_name_is_valid(copy)) {
        zdm_error_set(err, ZDM_INVALID, "\"%s\" cannot be the name of a person", copy);
        return zdm_error_hint(err, "Names are lower-case letters, digits, dots, dashes and underscores.");
    }
    zdm_copy_text(person.name, sizeof person.name, copy);
    *out_has_roles = roles != NULL;
    enum zdm_code code = ctl_roles_parse(roles != NULL ? roles : "", &person.roles, err);
    if (code == ZDM_OK)
        code = ctl_public_key(key, &person.public_key, err);
    if (code == ZDM_OK)
        *out = person;
    return code;
}

/* ---- People ---- */

static struct zdm_person *find_person(struct zdm_trust *trust, const char *name)
{
    for (size_t i = 0; i < trust->n_people; i++)
        if (strcmp(trust->people[i].name, name) == 0)
            return &trust->people[i];
    return NULL;
}

static enum zdm_code no_person(const char *name, struct zdm_error *err)
{
    zdm_error_set(err, ZDM_INVALID, "the trust file names no person \"%.100s\"", name);
    return zdm_error_hint(err, "zdmctl trust show lists them.");
}

static enum zdm_code remove_person(struct zdm_trust *trust, const char *name, struct zdm_error *err)
{
    struct zdm_person *person = find_person(trust, name);
    if (person == NULL)
        return no_person(name, err);
    size_t behind = trust->n_people - (size_t)(person - trust->people) - 1;
    memmove(person, person + 1, behind * sizeof *person);
    trust->n_people--;
    return ZDM_OK;
}

static enum zdm_code add_person(struct zdm_trust *trust, const char *text, struct zdm_error *err)
{
    struct zdm_person person, *known;
    bool has_roles = false;
    enum zdm_code code = ctl_person_parse("add-person", text, &person, &has_roles, err);
    if (code != ZDM_OK)
        return code;
    known = find_person(trust, person.name);
    if (known != NULL) {
        person.roles = has_roles ? person.roles : known->roles;
        *known = person;
        return ZDM_OK;
    }
    struct zdm_person *grown = realloc(trust->people, (trust->n_people + 1) * sizeof *grown);
    if (grown == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    trust->people = grown;
    trust->people[trust->n_people++] = person;
    return ZDM_OK;
}

static enum zdm_code set_roles(struct zdm_trust *trust, const char *text, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *name = zdm_strdup(text);
    char *roles = name != NULL ? strchr(name, '=') : NULL;
    if (name == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    if (roles == NULL || roles[1] == '\0') {
        zdm_error_set(err, ZDM_INVALID, "--set-roles \"%s\" does not say which roles", text);
        return zdm_error_hint(err, "Write --set-roles NAME=ROLES, for example ann=operator,approver.");
    }
    *roles++ = '\0';
    struct zdm_person *person = find_person(trust, name);
    return person != NULL ? ctl_roles_parse(roles, &person->roles, err) : no_person(name, err);
}

/* ---- Roots and coordinators ---- */

static enum zdm_code add_key(const char *what, struct zdm_hash *keys, size_t *n, size_t max, const char *text,
                             struct zdm_error *err)
{
    if (*n == max)
        return zdm_error_set(err, ZDM_INVALID, "more than %zu %s", max, what);
    enum zdm_code code = ctl_public_key(text, &keys[*n], err);
    *n += code == ZDM_OK ? 1 : 0;
    return code;
}

static bool is_key(const struct zdm_crypto *crypto, const struct zdm_hash *key, const char *text)
{
    struct zdm_id id = zdm_key_id(crypto, key);
    struct zdm_hash given;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    char hex[ZDM_ID_HEX_SIZE];
    size_t n = strlen(text);
    zdm_hex(hex, id.bytes, sizeof id.bytes);
    if (n >= KEY_PREFIX_MIN && n < sizeof hex && strncmp(hex, text, n) == 0)
        return true;
    return ctl_public_key(text, &given, &ignored) == ZDM_OK && zdm_hash_equal(&given, key);
}

static enum zdm_code remove_key(const struct zdm_crypto *crypto, const char *what, struct zdm_hash *keys, size_t *n,
                                const char *text, struct zdm_error *err)
{
    size_t found = *n, times = 0;
    for (size_t i = 0; i < *n; i++) {
        if (!is_key(crypto, &keys[i], text))
            continue;
        found = i;
        times++;
    }
    if (times != 1) {
        zdm_error_set(err, ZDM_INVALID,
                      times == 0 ? "the trust file has no %s \"%.100s\"" : "several %ss are \"%.100s\"", what, text);
        return zdm_error_hint(err, "Write the id of its key, or the first digits; zdmctl trust show lists them.");
    }
    memmove(&keys[found], &keys[found + 1], (*n - found - 1) * sizeof *keys);
    --*n;
    return ZDM_OK;
}

static enum zdm_code change_keys(const struct zdm_crypto *crypto, struct zdm_trust *t, const struct ctl_options *o,
                                 struct zdm_error *err)
{
    const struct {
        enum ctl_option_id remove, add;
        const char *what, *plural;
        struct zdm_hash *keys;
        size_t *n, max;
    } rows[] = {
        {CTL_OPT_REMOVE_ROOT, CTL_OPT_ADD_ROOT, "root", "roots", t->roots, &t->n_roots, ZDM_ROOTS_MAX},
        {CTL_OPT_REMOVE_COORDINATOR, CTL_OPT_ADD_COORDINATOR, "coordinator", "coordinators", t->coordinators,
         &t->n_coordinators, ZDM_COORDINATORS_MAX},
    };
    enum zdm_code code = ZDM_OK;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        const struct ctl_value *remove = &o->values[rows[r].remove], *add = &o->values[rows[r].add];
        for (size_t i = 0; code == ZDM_OK && i < remove->n; i++)
            code = remove_key(crypto, rows[r].what, rows[r].keys, rows[r].n, remove->items[i], err);
        for (size_t i = 0; code == ZDM_OK && i < add->n; i++)
            code = add_key(rows[r].plural, rows[r].keys, rows[r].n, rows[r].max, add->items[i], err);
    }
    return code;
}

/* ---- All of it ---- */

static enum zdm_code change_people(struct zdm_trust *trust, const struct ctl_options *o, struct zdm_error *err)
{
    static const struct {
        enum ctl_option_id id;
        enum zdm_code (*change)(struct zdm_trust *, const char *, struct zdm_error *);
    } rows[] = {
        {CTL_OPT_REMOVE_PERSON, remove_person}, {CTL_OPT_ADD_PERSON, add_person}, {CTL_OPT_SET_ROLES, set_roles}};
    enum zdm_code code = ZDM_OK;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
        for (size_t i = 0; code == ZDM_OK && i < o->values[rows[r].id].n; i++)
            code = rows[r].change(trust, o->values[rows[r].id].items[i], err);
    return code;
}

static enum zdm_code change_rules(struct zdm_trust *trust, const struct ctl_options *o, struct zdm_error *err)
{
    const char *four_eyes = ctl_option_text(o, CTL_OPT_SET_FOUR_EYES);
    int64_t threshold = trust->root_threshold, approvals = trust->approvals_min;
    enum zdm_code code = ctl_option_number(o, CTL_OPT_ROOT_THRESHOLD, 1, ZDM_ROOTS_MAX, &threshold, err);
    if (code == ZDM_OK)
        code = ctl_option_number(o, CTL_OPT_APPROVALS_MIN, 0, ZDM_APPROVALS_MAX, &approvals, err);
    if (code != ZDM_OK)
        return code;
    trust->root_threshold = (uint32_t)threshold;
    trust->approvals_min = (uint32_t)approvals;
    if (four_eyes != NULL && strcmp(four_eyes, "on") != 0 && strcmp(four_eyes, "off") != 0)
        return zdm_error_set(err, ZDM_INVALID, "--four-eyes must be on or off, not \"%s\"", four_eyes);
    if (four_eyes != NULL)
        trust->four_eyes = strcmp(four_eyes, "on") == 0;
    return ZDM_OK;
}

static bool asks_for_nothing(const struct ctl_options *o)
{
    static const enum ctl_option_id ids[] = {
        CTL_OPT_ADD_PERSON,    CTL_OPT_REMOVE_PERSON,      CTL_OPT_SET_ROLES,     CTL_OPT_ADD_ROOT,
        CTL_OPT_REMOVE_ROOT,   CTL_OPT_ROOT_THRESHOLD,     CTL_OPT_APPROVALS_MIN, CTL_OPT_ADD_COORDINATOR,
        CTL_OPT_SET_FOUR_EYES, CTL_OPT_REMOVE_COORDINATOR,
    };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (ctl_given(o, ids[i]))
            return false;
    return true;
}

enum zdm_code ctl_trust_change(const struct zdm_crypto *crypto, struct zdm_trust *trust,
                               const struct ctl_options *options, struct zdm_error *err)
{
    if (asks_for_nothing(options)) {
        zdm_error_set(err, ZDM_INVALID, "trust propose needs to know what shall change");
        return zdm_error_hint(err, "zdmctl help trust propose lists the changes.");
    }
    enum zdm_code code = change_people(trust, options, err);
    if (code == ZDM_OK)
        code = change_keys(crypto, trust, options, err);
    if (code == ZDM_OK)
        code = change_rules(trust, options, err);
    trust->version++;
    return code == ZDM_OK ? zdm_trust_validate(trust, err) : code;
}
