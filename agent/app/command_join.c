/*
 * command_join.c - `zdm-agent join TOKEN`: makes the key, proves the token's secret to a coordinator that the token
 * vouches for, and leaves trust, enrolment and URLs in the folder.
 *
 * The key is made first and kept: a join that ends half-way is repeated with the same key.
 */
#include <stdio.h>
#include <string.h>

#include "agent/app/home.h"
#include "agent/app/program.h"
#include "agent/app/settings.h"
#include "agent/net/join.h"
#include "common/os/clock.h"
#include "common/os/crypto.h"

enum { POLL_MS = 200 };

static enum zdm_code read_token_text(const char *argument, char out[ZDM_TOKEN_TEXT_MAX + 2], struct zdm_error *err)
{
    if (argument == NULL) {
        zdm_error_set(err, ZDM_INVALID, "the token is missing");
        return zdm_error_hint(err, "zdmctl enroll SHARD prints one; - reads it from stdin.");
    }
    bool whole = true;
    if (strcmp(argument, "-") == 0)
        whole = fgets(out, ZDM_TOKEN_TEXT_MAX + 2, stdin) != NULL;
    else
        whole = zdm_copy_text(out, ZDM_TOKEN_TEXT_MAX + 2, argument);
    out[strcspn(out, " \t\r\n")] = '\0';
    if (!whole || out[0] == '\0')
        return zdm_error_set(err, ZDM_INVALID, "no token was given");
    return ZDM_OK;
}

static enum zdm_code read_token(const char *argument, struct zdm_token *out, struct zdm_error *err)
{
    char text[ZDM_TOKEN_TEXT_MAX + 2];
    const struct zdm_crypto *crypto = zdm_crypto_sodium();
    enum zdm_code code = read_token_text(argument, text, err);
    if (code == ZDM_OK)
        code = zdm_token_read(text, out, err);
    crypto->wipe(crypto->self, text, sizeof text);
    if (code == ZDM_OK && zdm_wall_ms(zdm_clock_system()) > out->expires_at_ms) {
        code = zdm_error_set(err, ZDM_REFUSED, "the token has expired");
        zdm_error_hint(err, "Make a new one with zdmctl enroll %s; check this host's clock if it is fresh.",
                       out->shard);
    }
    return code;
}

static enum zdm_code visit(struct agent_join *join, struct zdm_error *err)
{
    static const struct zdm_net_gate none = {.handshake_slots = 1, .per_address = 1, .handshake_ms = 5000};
    const struct zdm_net_upcalls upcalls = agent_join_net_upcalls(join);
    enum agent_join_state state;
    struct zdm_net_nng *net = zdm_net_nng_new(&none, &upcalls);
    if (net == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "could not start the network");
    agent_join_attach(join, zdm_net_nng_seam(net));
    while ((state = agent_join_turn(join, err)) == AGENT_JOIN_PENDING)
        zdm_net_nng_poll(net, POLL_MS);
    zdm_net_nng_free(net);
    return state == AGENT_JOIN_DONE ? ZDM_OK : err->code;
}

static enum zdm_code join_fleet(const char *folder, const struct zdm_token *token, struct zdm_error *err)
{
    struct zdm_signing_key key;
    enum zdm_code code = agent_home_key(folder, token->shard, &key, err);
    if (code != ZDM_OK)
        return code;
    const struct agent_join_config config = {.clock = zdm_clock_system(),
                                             .random = zdm_random_system(),
                                             .crypto = zdm_crypto_sodium(),
                                             .key = &key,
                                             .token = token,
                                             .release = ZDM_VERSION};
    struct agent_join *join = agent_join_new(&config);
    code = join != NULL ? visit(join, err) : zdm_error_set(err, ZDM_NOMEM, "out of memory");
    if (code == ZDM_OK)
        code = agent_home_write(folder, agent_join_chain(join), agent_join_enrolment(join), token, err);
    agent_join_free(join);
    zdm_signing_key_wipe(&key);
    return code;
}

static enum zdm_code join_once(const struct agent_settings *settings, const char *argument, struct zdm_error *err)
{
    struct zdm_token token;
    const struct zdm_crypto *crypto = zdm_crypto_sodium();
    if (agent_home_has_joined(settings->data)) {
        zdm_error_set(err, ZDM_EXISTS, "an agent has joined from %s already", settings->data);
        return zdm_error_hint(err, "Start it with zdm-agent run; to join anew, delete that folder first.");
    }
    enum zdm_code code = read_token(argument, &token, err);
    if (code == ZDM_OK)
        code = join_fleet(settings->data, &token, err);
    if (code == ZDM_OK)
        printf("joined as the agent of %s; start it with: zdm-agent run --data %s --dsn DSN\n", token.shard,
               settings->data);
    crypto->wipe(crypto->self, &token, sizeof token);
    return code;
}

int command_join(int argc, char **argv)
{
    struct agent_settings settings;
    struct zdm_error err;
    const char *argument;
    agent_settings_init(&settings);
    enum zdm_code code = agent_settings_read(&settings, argc, argv, &argument, &err);
    if (code == ZDM_OK)
        code = zdm_crypto_start(&err);
    if (code == ZDM_OK)
        code = join_once(&settings, argument, &err);
    agent_settings_fini(&settings);
    return code == ZDM_OK ? EXIT_DONE : print_error(&err);
}
