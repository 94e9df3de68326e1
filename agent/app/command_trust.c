/*
 * command_trust.c - `zdm-agent trust show` and `zdm-agent trust update FILE`: the trust file in the data folder, for
 * when no coordinator is there to bring the newer one, or none that is still to be trusted.
 *
 * An agent that runs notices the new file by itself; this command needs no word with it.
 */
#include <stdio.h>
#include <string.h>

#include "agent/app/driver.h"
#include "agent/app/home.h"
#include "agent/app/identity.h"
#include "agent/app/program.h"
#include "agent/app/settings.h"
#include "common/os/crypto.h"
#include "common/os/file.h"

static enum zdm_code open_identity(const char *folder, struct agent_identity *out, struct zdm_error *err)
{
    struct agent_home home;
    enum zdm_code code = agent_home_read(folder, &home, err);
    if (code != ZDM_OK)
        return code;
    code = agent_identity_read(zdm_crypto_sodium(), home.trust.data, home.trust.len, home.enrolment.data,
                               home.enrolment.len, out, err);
    agent_home_fini(&home);
    return code;
}

static void print_key(const char *what, const struct zdm_hash *public_key)
{
    struct zdm_id id = zdm_key_id(zdm_crypto_sodium(), public_key);
    char hex[2 * sizeof id.bytes + 1];
    zdm_hex(hex, id.bytes, sizeof id.bytes);
    printf("%-12s %s", what, hex);
}

static void print_trust(const struct agent_identity *identity)
{
    const struct zdm_trust *trust = &identity->chain.trust;
    char hex[ZDM_HASH_HEX_SIZE], roles[32];
    zdm_hex(hex, identity->chain.hash.bytes, sizeof identity->chain.hash.bytes);
    printf("fleet        %s\nversion      %u\nhash         %s\n", trust->fleet_name, trust->version, hex);
    printf("next version %u of %zu roots sign it\n", trust->root_threshold, trust->n_roots);
    printf("approvals    at least %u%s\n", trust->approvals_min,
           trust->four_eyes ? ", not of who submitted the plan" : "");
    for (size_t i = 0; i < trust->n_roots; i++) {
        print_key("root", &trust->roots[i]);
        printf("\n");
    }
    for (size_t i = 0; i < trust->n_coordinators; i++) {
        print_key("coordinator", &trust->coordinators[i]);
        printf("\n");
    }
    for (size_t i = 0; i < trust->n_people; i++) {
        zdm_roles_text(roles, sizeof roles, trust->people[i].roles);
        print_key("person", &trust->people[i].public_key);
        printf("  %s: %s\n", trust->people[i].name, roles);
    }
}

static enum zdm_code keep(const char *folder, const struct agent_identity *identity, struct zdm_error *err)
{
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    zdm_trust_chain_write(&identity->chain, &bytes);
    enum zdm_code code = bytes.failed ? zdm_error_set(err, ZDM_NOMEM, "out of memory")
                                      : agent_home_write_trust(folder, bytes.data, bytes.len, err);
    zdm_buffer_fini(&bytes);
    return code;
}

static enum zdm_code update(const char *folder, struct agent_identity *identity, const char *path,
                            struct zdm_error *err)
{
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    uint32_t before = identity->chain.trust.version;
    bool newer = false;
    zdm_buffer_init(&bytes, AGENT_TRUST_FILE_MAX);
    enum zdm_code code = zdm_file_read(path, AGENT_TRUST_FILE_MAX, &bytes, err);
    if (code == ZDM_OK)
        code = agent_identity_extend_file(zdm_crypto_sodium(), identity, bytes.data, bytes.len, &newer, err);
    zdm_buffer_fini(&bytes);
    if (code != ZDM_OK)
        return zdm_error_wrap(err, "%s", path);
    if (!newer) {
        printf("nothing to do: %s holds nothing newer than version %u\n", path, before);
        return ZDM_OK;
    }
    code = keep(folder, identity, err);
    if (code == ZDM_OK)
        printf("trust file version %u is in force, %u was; an agent that runs takes it within 5 s\n",
               identity->chain.trust.version, before);
    return code;
}

static enum zdm_code check_word(const char *what, struct zdm_error *err)
{
    if (strcmp(what, "show") == 0 || strcmp(what, "update") == 0)
        return ZDM_OK;
    zdm_error_set(err, ZDM_INVALID, "trust is followed by show or update");
    return zdm_error_hint(err, "zdm-agent trust show, or zdm-agent trust update FILE, with --data DIR.");
}

static enum zdm_code run(const char *what, const struct agent_settings *settings, const char *argument,
                         struct zdm_error *err)
{
    struct agent_identity identity;
    bool updates = strcmp(what, "update") == 0;
    if (updates != (argument != NULL))
        return zdm_error_set(err, ZDM_INVALID, "trust %s", updates ? "update needs a FILE" : "show takes no argument");
    enum zdm_code code = open_identity(settings->data, &identity, err);
    if (code != ZDM_OK)
        return code;
    if (updates)
        code = update(settings->data, &identity, argument, err);
    else
        print_trust(&identity);
    agent_identity_fini(&identity);
    return code;
}

int command_trust(int argc, char **argv)
{
    struct agent_settings settings;
    struct zdm_error err;
    const char *argument;
    const char *what = argc > 0 ? argv[0] : "";
    agent_settings_init(&settings);
    enum zdm_code code = check_word(what, &err);
    if (code == ZDM_OK)
        code = agent_settings_read(&settings, argc - 1, argv + 1, &argument, &err);
    if (code == ZDM_OK)
        code = zdm_crypto_start(&err);
    if (code == ZDM_OK)
        code = run(what, &settings, argument, &err);
    agent_settings_fini(&settings);
    return code == ZDM_OK ? EXIT_DONE : print_error(&err);
}
