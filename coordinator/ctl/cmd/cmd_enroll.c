/*
 * cmd_enroll.c - enroll: a join token for one agent of one shard.
 *
 * The secret is made here and travels only inside the token, on stdout; the coordinator gets its hash. The token also
 * carries the hash of the trust file in force, so that the agent need not trust whom it meets first.
 */
#include "coordinator/ctl/command.h"

#include <string.h>

#include "common/os/clock.h"
#include "common/os/crypto.h"
#include "coordinator/ctl/client/client.h"
#include "coordinator/ctl/text/json.h"
#include "proto/signed.h"

enum { TOKEN_LIFE_MS = 3600 * 1000 };

static enum zdm_code read_urls(const struct ctl_options *options, const json_t *fleet, struct zdm_token *token,
                               struct zdm_error *err)
{
    const struct ctl_value *given = &options->values[CTL_OPT_URL];
    const json_t *known = json_object_get(fleet, "urls");
    size_t n = given->n > 0 ? given->n : json_array_size(known);
    for (size_t i = 0; i < n && token->n_urls < ZDM_TOKEN_URLS_MAX; i++) {
        const char *url = given->n > 0 ? given->items[i] : json_string_value(json_array_get(known, i));
        if (url == NULL || (strncmp(url, "tcp://", 6) != 0 && strncmp(url, "ipc://", 6) != 0) ||
            !zdm_copy_text(token->urls[token->n_urls], sizeof token->urls[0], url)) {
            zdm_error_set(err, ZDM_INVALID, "\"%.200s\" is not a URL of a coordinator", url != NULL ? url : "");
            return zdm_error_hint(err, "Write --url tcp://HOST:PORT, as the agent's host sees it.");
        }
        token->n_urls++;
    }
    if (token->n_urls > 0)
        return ZDM_OK;
    zdm_error_set(err, ZDM_INVALID, "the coordinator does not say where agents find it");
    return zdm_error_hint(err, "Write --url tcp://HOST:PORT, as the agent's host sees it.");
}

/* The agent will compare the coordinator's trust file with ours: better to find out here that they differ. */
static enum zdm_code check_trust(const struct zdm_trust_chain *chain, const json_t *fleet, struct zdm_error *err)
{
    char hash[ZDM_HASH_HEX_SIZE];
    int64_t version = ctl_json_int(fleet, "trust_version", 0);
    zdm_hex(hash, chain->hash.bytes, sizeof chain->hash.bytes);
    if (version == chain->trust.version && strcmp(ctl_json_text(fleet, "trust_hash"), hash) == 0)
        return ZDM_OK;
    zdm_error_set(err, ZDM_REFUSED, "your trust file is version %u and the coordinator has another one (version %u)",
                  (unsigned)chain->trust.version, (unsigned)version);
    return zdm_error_hint(err, "Get the newest trust file first; a token vouches for exactly one.");
}

static enum zdm_code sign_enrolment(struct ctl_client *client, const struct zdm_enrolment *enrolment,
                                    struct zdm_envelope *out, struct zdm_error *err)
{
    struct zdm_buffer body;
    zdm_buffer_init(&body, ZDM_FRAME_MAX);
    zdm_enrolment_encode(enrolment, &body);
    enum zdm_code code =
        body.failed ? zdm_error_set(err, ZDM_LIMIT, "the labels are too long")
                    : zdm_signed_make(zdm_crypto_sodium(), ctl_client_key(client), &ctl_client_trust(client)->fleet,
                                      ZDM_SIGNED_ENROLMENT, body.data, body.len, out, err);
    zdm_buffer_fini(&body);
    return code;
}

static enum zdm_code print_token(const struct ctl *ctl, const struct zdm_token *token, struct zdm_error *err)
{
    struct zdm_buffer text, out;
    char until[40];
    zdm_buffer_init(&text, ZDM_TOKEN_TEXT_MAX);
    zdm_buffer_init(&out, 2 * ZDM_TOKEN_TEXT_MAX);
    zdm_token_write(token, &text);
    zdm_wall_text(until, sizeof until, token->expires_at_ms);
    out.failed = text.failed;
    if (ctl_wants_json(ctl))
        zdm_buffer_printf(&out, "{\"shard\": \"%s\", \"token\": \"%s\", \"expires_at\": \"%s\"}\n", token->shard,
                          zdm_buffer_text(&text), until);
    else
        zdm_buffer_printf(&out, "%s\n", zdm_buffer_text(&text));
    enum zdm_code code = ctl_write(&out, err);
    if (code == ZDM_OK && !ctl_wants_json(ctl))
        fprintf(stderr,
                "The token above lets one agent join as shard %s, once, until %s.\n"
                "Keep it secret. On the database's host, give it on standard input:\n"
                "    zdm-agent join - --data DIR\n",
                token->shard, until);
    zdm_crypto_sodium()->wipe(zdm_crypto_sodium()->self, text.data, text.len);
    zdm_crypto_sodium()->wipe(zdm_crypto_sodium()->self, out.data, out.len);
    zdm_buffer_fini(&text);
    zdm_buffer_fini(&out);
    return code;
}

/* What the shard and the labels say, a fresh secret and nonce. */
static enum zdm_code fill(const struct ctl_options *options, struct zdm_enrolment *enrolment, struct zdm_token *token,
                          struct zdm_error *err)
{
    const struct ctl_value *labels = &options->values[CTL_OPT_LABEL];
    const char *shard = ctl_operand(options, 0);
    enum zdm_code code = ZDM_OK;
    if (!zdm_name_is_valid(shard)) {
        zdm_error_set(err, ZDM_INVALID, "\"%.100s\" cannot be the name of a shard", shard);
        return zdm_error_hint(err, "Names are lower-case letters, digits, dots, dashes and underscores.");
    }
    for (size_t i = 0; code == ZDM_OK && i < labels->n; i++)
        code = zdm_labels_add(&enrolment->labels, labels->items[i], err);
    zdm_copy_text(enrolment->shard, sizeof enrolment->shard, shard);
    zdm_copy_text(token->shard, sizeof token->shard, shard);
    zdm_random_fill(zdm_random_system(), token->secret, sizeof token->secret);
    zdm_random_fill(zdm_random_system(), enrolment->nonce.bytes, sizeof enrolment->nonce.bytes);
    zdm_hash_bytes(zdm_crypto_sodium(), enrolment->secret_hash.bytes, sizeof enrolment->secret_hash.bytes,
                   token->secret, sizeof token->secret);
    token->expires_at_ms = zdm_wall_ms(zdm_clock_system()) + TOKEN_LIFE_MS;
    enrolment->expires_at_ms = token->expires_at_ms;
    return code;
}

/* An agent that takes the place of another one gets the shard's labels, unless others are asked for: without them the
 * selectors of plans and waves would not choose the shard any more. */
static enum zdm_code keep_labels(const struct ctl *ctl, const json_t *fleet, struct zdm_enrolment *enrolment,
                                 struct zdm_error *err)
{
    const json_t *shards = json_object_get(fleet, "shards"), *shard;
    enum zdm_code code = ZDM_OK;
    size_t index;
    if (ctl_given(&ctl->options, CTL_OPT_LABEL))
        return ZDM_OK;
    json_array_foreach(shards, index, shard)
    {
        json_t *labels = json_object_get(shard, "labels"), *value;
        const char *key;
        char text[2 * ZDM_NAME_MAX + 2];
        if (strcmp(ctl_json_text(shard, "shard"), enrolment->shard) != 0)
            continue;
        json_object_foreach(labels, key, value)
        {
            snprintf(text, sizeof text, "%s=%s", key, json_is_string(value) ? json_string_value(value) : "");
            if (code == ZDM_OK)
                code = zdm_labels_add(&enrolment->labels, text, err);
        }
        if (code == ZDM_OK && json_object_size(labels) > 0 && !ctl_wants_json(ctl))
            fprintf(stderr, "Shard %s keeps its labels; --label gives it others.\n", enrolment->shard);
    }
    return code;
}

static enum zdm_code enroll(struct ctl *ctl, struct ctl_client *client, struct zdm_enrolment *enrolment,
                            struct zdm_token *token, struct zdm_error *err)
{
    const struct ctl_query query = {.kind = ZDM_QUERY_FLEET};
    const struct zdm_trust_chain *chain = ctl_client_trust(client);
    ZDM_CLEANUP(ctl_json_free) json_t *fleet = NULL;
    struct ctl_errand errand = {.request = {.verb = ZDM_VERB_ENROLL}};
    struct ctl_answer answer;
    token->fleet = chain->fleet;
    token->trust_hash = chain->hash;
    enum zdm_code code = ctl_ask(client, &query, &fleet, err);
    if (code == ZDM_OK)
        code = check_trust(chain, fleet, err);
    if (code == ZDM_OK)
        code = read_urls(&ctl->options, fleet, token, err);
    if (code == ZDM_OK)
        code = keep_labels(ctl, fleet, enrolment, err);
    if (code == ZDM_OK)
        code = sign_enrolment(client, enrolment, &errand.request.payload, err);
    if (code == ZDM_OK)
        code = ctl_act(client, &errand, &answer, err);
    ctl_errand_fini(&errand);
    return code == ZDM_OK ? print_token(ctl, token, err) : code;
}

enum zdm_code ctl_run_enroll(struct ctl *ctl, struct zdm_error *err)
{
    ZDM_CLEANUP(ctl_client_freep) struct ctl_client *client = NULL;
    struct zdm_enrolment enrolment = {.expires_at_ms = 0};
    struct zdm_token token = {.n_urls = 0};
    enum zdm_code code = fill(&ctl->options, &enrolment, &token, err);
    if (code == ZDM_OK)
        code = ctl_client_new(ctl, &client, err);
    if (code == ZDM_OK)
        code = enroll(ctl, client, &enrolment, &token, err);
    zdm_crypto_sodium()->wipe(zdm_crypto_sodium()->self, &token, sizeof token);
    return code;
}
