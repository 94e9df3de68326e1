/*
 * client.c - a person's session with the coordinator: made, kept, lost. See client.h.
 *
 * One struct holds what has arrived; the upcalls of the network fill it, and ctl_client_pump() runs them until a
 * condition holds. So every call reads as a straight line: send, pump until the answer is there, the connection is gone
 * or time is up.
 */
#include "coordinator/ctl/client/client_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/backoff.h"
#include "common/os/clock.h"
#include "common/os/crypto.h"
#include "common/os/daemon.h"
#include "common/os/file.h"

enum {
    TRUST_FILE_MAX = 4 * 1024 * 1024,
    POLL_MS = 200, /* how often a wait looks at the stop flag */
    BACKOFF_MS = 100,
    BACKOFF_CAP_MS = 1000,
    REFUSALS_MAX = 3, /* sessions closed right after our proof before we believe that we are not known */
    NOTICE_MS = 1500  /* silence before a person at a terminal is told what takes so long */
};

int64_t ctl_now(void)
{
    return zdm_boot_ms(zdm_clock_system());
}

/* ---- What comes in ---- */

static bool find_coordinator(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    const struct ctl_client *client = ctx;
    return zdm_trust_coordinator(client->crypto, &client->chain.trust, key_id, out_public_key);
}

void ctl_client_drop(struct ctl_client *client)
{
    zdm_conn conn = client->conn;
    if (client->stage != CTL_STAGE_NONE)
        client->broke_at = client->stage;
    client->conn = 0;
    client->stage = CTL_STAGE_NONE;
    zdm_session_free(client->session);
    client->session = NULL;
    client->rows.id = 0;
    client->push.id = 0;
    if (conn != 0)
        client->net.ops->close(client->net.self, conn);
}

static void on_opened(void *ctx, zdm_conn conn, bool incoming, const char *peer)
{
    struct ctl_client *client = ctx;
    uint8_t hello[ZDM_HELLO_SIZE];
    (void)incoming;
    (void)peer;
    if (conn != client->conn)
        return;
    zdm_session_hello(client->session, hello);
    client->stage = CTL_STAGE_HELLO_SENT;
    client->net.ops->send(client->net.self, conn, hello, sizeof hello);
}

static void take_welcome(struct ctl_client *client, const uint8_t *bytes, size_t n)
{
    uint8_t auth[ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD];
    enum zdm_code code =
        zdm_session_take_welcome(client->session, bytes, n, find_coordinator, client, auth, &client->why);
    if (code != ZDM_OK) {
        ctl_client_drop(client);
        return;
    }
    client->stage = CTL_STAGE_AUTH_SENT;
    client->net.ops->send(client->net.self, client->conn, auth, sizeof auth);
}

static void take_piece(struct ctl_inbox *box, const struct zdm_frame *frame)
{
    if (box->id == 0 || frame->u.rows.id != box->id || box->complete)
        return;
    if (frame->u.rows.code != ZDM_OK) {
        box->code = frame->u.rows.code;
        zdm_copy_text(box->message, sizeof box->message, frame->u.rows.message);
        box->complete = true;
        return;
    }
    zdm_buffer_append(&box->text, frame->u.rows.bytes, frame->u.rows.n);
    box->complete = frame->u.rows.last;
}

static void take_answer(struct ctl_client *client, const struct zdm_frame *frame)
{
    if (!zdm_id_equal(&frame->u.answer.request_id, &client->asked))
        return;
    client->answered = true;
    client->answer.code = frame->u.answer.code;
    client->answer.seq = frame->u.answer.seq;
    zdm_copy_text(client->answer.message, sizeof client->answer.message, frame->u.answer.message);
    zdm_copy_text(client->answer.detail, sizeof client->answer.detail, frame->u.answer.detail);
    zdm_copy_text(client->answer.hint, sizeof client->answer.hint, frame->u.answer.hint);
}

static void take_bye(struct ctl_client *client, const struct zdm_frame *frame)
{
    zdm_error_set(&client->why, ZDM_CLOSED, "the coordinator ended the session: %s",
                  frame->u.bye.why[0] != '\0' ? frame->u.bye.why : "no reason given");
    zdm_copy_text(client->leader, sizeof client->leader, frame->u.bye.leader_url);
    ctl_client_drop(client);
}

static void take_frame(struct ctl_client *client, const struct zdm_frame *frame)
{
    if (!zdm_frame_allowed(frame->type, ZDM_SENDER_COORDINATOR_TO_PERSON)) {
        zdm_error_set(&client->why, ZDM_PROTOCOL, "the coordinator sent an unexpected %s",
                      zdm_frame_type_name(frame->type));
        ctl_client_drop(client);
    } else if (frame->type == ZDM_FRAME_WELCOME) {
        client->stage = CTL_STAGE_OPEN;
    } else if (frame->type == ZDM_FRAME_ROWS && client->survey != NULL) {
        ctl_client_take_survey(client, frame);
    } else if (frame->type == ZDM_FRAME_ROWS) {
        take_piece(&client->rows, frame);
    } else if (frame->type == ZDM_FRAME_PUSH) {
        take_piece(&client->push, frame);
    } else if (frame->type == ZDM_FRAME_ANSWER) {
        take_answer(client, frame);
    } else if (frame->type == ZDM_FRAME_BYE) {
        take_bye(client, frame);
    }
}

static void take_sealed(struct ctl_client *client, const uint8_t *bytes, size_t n)
{
    struct zdm_frame frame;
    ZDM_CLEANUP(zdm_freep) uint8_t *plain = malloc(n > 0 ? n : 1);
    size_t plain_n = 0;
    if (plain == NULL)
        zdm_error_set(&client->why, ZDM_NOMEM, "out of memory");
    if (plain == NULL || zdm_session_open(client->session, bytes, n, plain, &plain_n, &client->why) != ZDM_OK ||
        zdm_frame_decode(plain, plain_n, &frame, &client->why) != ZDM_OK) {
        ctl_client_drop(client);
        return;
    }
    take_frame(client, &frame);
    zdm_frame_fini(&frame);
}

static void on_frame(void *ctx, zdm_conn conn, const uint8_t *bytes, size_t n)
{
    struct ctl_client *client = ctx;
    if (conn != client->conn)
        return;
    if (client->stage == CTL_STAGE_HELLO_SENT)
        take_welcome(client, bytes, n);
    else
        take_sealed(client, bytes, n);
}

static void on_closed(void *ctx, zdm_conn conn, const char *why)
{
    struct ctl_client *client = ctx;
    if (conn != client->conn)
        return;
    zdm_error_set(&client->why, ZDM_CLOSED, "%s", why != NULL && why[0] != '\0' ? why : "connection closed");
    client->conn = 0;
    ctl_client_drop(client);
}

/* ---- Waiting ---- */

enum zdm_code ctl_client_pump(struct ctl_client *client, bool (*done)(const struct ctl_client *), bool alone,
                              int64_t deadline_ms, struct zdm_error *err)
{
    for (;;) {
        int64_t left = deadline_ms - ctl_now();
        if (done != NULL && done(client))
            return ZDM_OK;
        if (!alone && client->stage == CTL_STAGE_NONE) {
            *err = client->why;
            err->code = ZDM_CLOSED;
            return ZDM_CLOSED;
        }
        if (zdm_daemon_should_stop())
            return zdm_error_set(err, ZDM_CANCELLED, "interrupted");
        if (left <= 0)
            return zdm_error_set(err, ZDM_TIMEOUT, "no answer in time");
        zdm_net_nng_poll(client->nng, (int)(left < POLL_MS ? left : POLL_MS));
    }
}

static bool is_open(const struct ctl_client *client)
{
    return client->stage == CTL_STAGE_OPEN;
}

void ctl_client_quiet(struct ctl_client *client)
{
    client->quiet = true;
}

/* ---- Making and freeing ---- */

static enum zdm_code split_urls(struct ctl_client *client, const char *text, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *copy = zdm_strdup(text);
    char *rest = NULL;
    if (copy == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    for (char *url = strtok_r(copy, ", ", &rest); url != NULL; url = strtok_r(NULL, ", ", &rest)) {
        if (strncmp(url, "tcp://", 6) != 0 && strncmp(url, "ipc://", 6) != 0) {
            zdm_error_set(err, ZDM_INVALID, "\"%s\" is not a URL of a coordinator", url);
            return zdm_error_hint(err, "Write tcp://HOST:PORT or ipc:///PATH.");
        }
        if (client->n_urls == CTL_URLS_MAX)
            return zdm_error_set(err, ZDM_INVALID, "more than %d URLs of coordinators", (int)CTL_URLS_MAX);
        client->urls[client->n_urls] = zdm_strdup(url);
        if (client->urls[client->n_urls] == NULL)
            return zdm_error_set(err, ZDM_NOMEM, "out of memory");
        client->n_urls++;
    }
    if (client->n_urls == 0)
        return zdm_error_set(err, ZDM_INVALID, "the URL of the coordinator is empty");
    return ZDM_OK;
}

static enum zdm_code missing(const char *what, const char *option, const char *variable, const char *more,
                             struct zdm_error *err)
{
    zdm_error_set(err, ZDM_INVALID, "%s is not known", what);
    return zdm_error_hint(err, "Give it as %s, in %s or in the configuration file%s.", option, variable, more);
}

static enum zdm_code read_identity(struct ctl_client *client, const struct ctl_settings *settings,
                                   struct zdm_error *err)
{
    struct zdm_buffer bytes;
    enum zdm_code code;
    if (settings->coordinator == NULL)
        return missing("the coordinator's URL", "--coordinator URL", "ZDM_COORDINATOR", "", err);
    if (settings->key == NULL)
        return missing("your key", "--key FILE", "ZDM_KEY", "; make one with zdmctl keys generate", err);
    if (settings->trust == NULL)
        return missing("the trust file", "--trust FILE", "ZDM_TRUST", "; zdmctl trust init makes the first one", err);
    code = split_urls(client, settings->coordinator, err);
    if (code == ZDM_OK)
        code = zdm_key_file_read(settings->key, &client->key, err);
    if (code == ZDM_REFUSED) /* nobody's policy refused a request: there is no key to work with */
        code = err->code = ZDM_AUTH;
    zdm_buffer_init(&bytes, TRUST_FILE_MAX);
    if (code == ZDM_OK)
        code = zdm_file_read(settings->trust, TRUST_FILE_MAX, &bytes, err);
    if (code == ZDM_OK && zdm_trust_chain_read(client->crypto, bytes.data, bytes.len, &client->chain, err) != ZDM_OK)
        code = zdm_error_wrap(err, "trust file %s", settings->trust);
    zdm_buffer_fini(&bytes);
    return code;
}

enum zdm_code ctl_client_new(const struct ctl *ctl, struct ctl_client **out, struct zdm_error *err)
{
    const struct zdm_net_gate gate = {.handshake_slots = 64, .per_address = 16, .handshake_ms = 5000};
    struct ctl_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    client->crypto = zdm_crypto_sodium();
    client->random = zdm_random_system();
    zdm_buffer_init(&client->rows.text, CTL_ANSWER_MAX);
    zdm_buffer_init(&client->push.text, CTL_ANSWER_MAX);
    enum zdm_code code = read_identity(client, &ctl->settings, err);
    if (code == ZDM_OK) {
        const struct zdm_net_upcalls upcalls = {
            .opened = on_opened, .frame = on_frame, .closed = on_closed, .ctx = client};
        client->nng = zdm_net_nng_new(&gate, &upcalls);
        if (client->nng == NULL)
            code = zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    if (code != ZDM_OK) {
        ctl_client_free(client);
        return code;
    }
    client->net = zdm_net_nng_seam(client->nng);
    *out = client;
    return ZDM_OK;
}

void ctl_client_free(struct ctl_client *client)
{
    if (client == NULL)
        return;
    if (client->nng != NULL) {
        ctl_client_drop(client);
        zdm_net_nng_free(client->nng);
    }
    for (size_t i = 0; i < client->n_urls; i++)
        free(client->urls[i]);
    zdm_buffer_fini(&client->rows.text);
    zdm_buffer_fini(&client->push.text);
    zdm_trust_chain_fini(&client->chain);
    zdm_signing_key_wipe(&client->key);
    free(client);
}

void ctl_client_freep(struct ctl_client **client)
{
    ctl_client_free(*client);
}

const struct zdm_trust_chain *ctl_client_trust(const struct ctl_client *client)
{
    return &client->chain;
}

const struct zdm_signing_key *ctl_client_key(const struct ctl_client *client)
{
    return &client->key;
}

/* ---- Connecting ---- */

static enum zdm_code dial(struct ctl_client *client, const char *url, int64_t deadline_ms, struct zdm_error *err)
{
    const struct zdm_id any = {{0}};
    client->broke_at = CTL_STAGE_NONE;
    zdm_error_clear(&client->why);
    client->session = zdm_session_dial(client->crypto, client->random, ZDM_SESSION_PERSON, &client->key,
                                       &client->chain.fleet, &any, false);
    if (client->session == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    client->stage = CTL_STAGE_DIALLING;
    enum zdm_code code = client->net.ops->dial(client->net.self, url, &client->conn, err);
    if (code == ZDM_OK)
        code = ctl_client_pump(client, is_open, false, deadline_ms, err);
    if (code == ZDM_OK)
        return ZDM_OK;
    ctl_client_drop(client);
    /* pump says CLOSED for every end of a connection; that the other side is not who we trust will not mend itself */
    if (code == ZDM_CLOSED && client->why.code == ZDM_AUTH)
        code = err->code = ZDM_AUTH;
    return code;
}

/* Why nobody could be reached, with what to do, judged by how far the last attempt came. */
static enum zdm_code explain(const struct ctl_client *client, const char *url, struct zdm_error *err)
{
    char last[ZDM_MESSAGE_MAX];
    zdm_copy_text(last, sizeof last, err->message);
    if (client->broke_at == CTL_STAGE_AUTH_SENT) {
        const struct zdm_person *me = zdm_trust_person(client->crypto, &client->chain.trust, &client->key.id);
        char id[ZDM_ID_HEX_SIZE];
        zdm_hex(id, client->key.id.bytes, sizeof client->key.id.bytes);
        zdm_error_set(err, ZDM_AUTH, "the coordinator at %.200s does not know your key %s", url, id);
        if (me == NULL)
            return zdm_error_hint(err, "Your trust file does not name it either: use another --key, or have it added.");
        return zdm_error_hint(err, "Your trust file names it (%s); the coordinator may use another version of it.",
                              me->name);
    }
    if (client->broke_at == CTL_STAGE_HELLO_SENT) {
        zdm_error_set(err, ZDM_UNAVAILABLE, "%.200s hung up before the handshake: %.200s", url, last);
        return zdm_error_hint(err, "Is it a zdm-coordinator, and of the fleet \"%s\" that your trust file is for?",
                              client->chain.trust.fleet_name);
    }
    zdm_error_set(err, ZDM_UNAVAILABLE, "could not reach the coordinator at %.200s: %.200s", url, last);
    return zdm_error_hint(err, "Is zdm-coordinator running there? The URL is set by --coordinator or ZDM_COORDINATOR.");
}

static const char *next_url(struct ctl_client *client, char *leader, size_t size)
{
    if (client->leader[0] != '\0') {
        zdm_copy_text(leader, size, client->leader);
        client->leader[0] = '\0';
        return leader;
    }
    return client->urls[client->url_at++ % client->n_urls];
}

/* Tells a person at a terminal, once, what takes so long. */
static void notice(bool *told, int64_t since_ms, const char *url)
{
    if (*told || !ctl_is_interactive() || ctl_now() - since_ms < NOTICE_MS)
        return;
    fprintf(stderr, "waiting for the coordinator at %s ...\n", url);
    *told = true;
}

enum zdm_code ctl_client_connect(struct ctl_client *client, int64_t deadline_ms, struct zdm_error *err)
{
    char leader[ZDM_TEXT_MAX + 1];
    int64_t began = ctl_now();
    unsigned failures = 0, refusals = 0;
    bool told = client->quiet;
    if (client->stage == CTL_STAGE_OPEN)
        return ZDM_OK;
    for (;;) {
        const char *url = next_url(client, leader, sizeof leader);
        int64_t limit = ctl_now() + CTL_DIAL_MS;
        enum zdm_code code = dial(client, url, limit < deadline_ms ? limit : deadline_ms, err);
        if (code == ZDM_OK || code == ZDM_CANCELLED || code == ZDM_NOMEM || code == ZDM_INVALID)
            return code;
        if (code == ZDM_AUTH) {
            zdm_error_wrap(err, "the coordinator at %.200s is not the one to talk to", url);
            return zdm_error_hint(err, "Its key is not in your trust file: is it the right --coordinator and --trust?");
        }
        failures++;
        refusals += client->broke_at == CTL_STAGE_AUTH_SENT ? 1 : 0;
        int64_t pause = zdm_backoff_ms(failures, BACKOFF_MS, BACKOFF_CAP_MS, zdm_random_u64(client->random));
        if (refusals >= REFUSALS_MAX || ctl_now() + pause >= deadline_ms)
            return explain(client, url, err);
        notice(&told, began, url);
        code = ctl_client_pump(client, NULL, true, ctl_now() + pause, err);
        if (code == ZDM_CANCELLED)
            return code;
    }
}
