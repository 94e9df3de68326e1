/*
 * world.c - see world.h.
 */
#include "tests/unit/coord_app/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/os/crypto.h"

static const struct zdm_crypto *crypto(void)
{
    return zdm_crypto_sodium();
}

/* ---- Clock, store ---- */

static int64_t wall_ms(void *self)
{
    return ((struct world *)self)->wall_ms;
}

static int64_t boot_ms(void *self)
{
    return ((struct world *)self)->boot_ms;
}

static enum store_result wrap_head(void *self, struct store_head *out, struct zdm_error *err)
{
    struct world *w = self;
    return w->memory.ops->head(w->memory.self, out, err);
}

static enum store_result wrap_acquire(void *self, uint64_t *out, struct zdm_error *err)
{
    struct world *w = self;
    return w->memory.ops->acquire(w->memory.self, out, err);
}

static enum store_result wrap_renew(void *self, uint64_t epoch, struct zdm_error *err)
{
    struct world *w = self;
    return w->memory.ops->renew(w->memory.self, epoch, err);
}

static enum store_result wrap_append(void *self, uint64_t epoch, const struct store_record *records, size_t n,
                                     struct zdm_error *err)
{
    struct world *w = self;
    enum failing failing = w->failing_times != 0 ? w->failing : WORKS;
    if (w->failing_times != 0)
        w->failing_times--;
    w->n_appends++;
    w->frames_at_append = w->frames_sent;
    zdm_error_set(err, ZDM_IO, "the test says so");
    if (failing == FAILS_FULL)
        return STORE_FULL;
    if (failing == FAILS_IO)
        return STORE_IO;
    if (failing == FAILS_DEPOSED)
        return STORE_DEPOSED;
    if (failing == LOSES_ANSWER_BEFORE)
        return STORE_UNKNOWN;
    enum store_result result = w->memory.ops->append(w->memory.self, epoch, records, n, err);
    return failing == LOSES_ANSWER_AFTER ? STORE_UNKNOWN : result;
}

static enum store_result wrap_read(void *self, uint64_t from, bool (*each)(void *, const struct store_record *),
                                   void *ctx, struct zdm_error *err)
{
    struct world *w = self;
    return w->memory.ops->read(w->memory.self, from, each, ctx, err);
}

static enum store_result wrap_backup(void *self, const char *path, struct zdm_error *err)
{
    struct world *w = self;
    return w->memory.ops->backup(w->memory.self, path, err);
}

static void wrap_close(void *self)
{
    (void)self;
}

static const struct store_ops wrap_ops = {.name = "memory",
                                          .head = wrap_head,
                                          .acquire = wrap_acquire,
                                          .renew = wrap_renew,
                                          .append = wrap_append,
                                          .read = wrap_read,
                                          .backup = wrap_backup,
                                          .close = wrap_close};

/* ---- Network ---- */

static struct client *link_of(struct world *w, zdm_conn conn)
{
    return conn >= 1 && conn <= w->n_links ? &w->links[conn - 1] : NULL;
}

static enum zdm_send net_send(void *self, zdm_conn conn, const void *bytes, size_t n)
{
    struct world *w = self;
    struct client *c = link_of(w, conn);
    if (c == NULL || !c->open)
        return ZDM_SEND_CLOSED;
    if (c->n_waiting - c->taken >= c->room)
        return ZDM_SEND_FULL;
    assert_true(ZDM_RESERVE(c->waiting, c->cap_waiting, c->n_waiting + 1));
    c->waiting[c->n_waiting] = (struct zdm_buffer)ZDM_BUFFER_INIT;
    zdm_buffer_append(&c->waiting[c->n_waiting++], bytes, n);
    w->frames_sent++;
    return ZDM_SEND_OK;
}

static void net_close(void *self, zdm_conn conn)
{
    struct world *w = self;
    struct client *c = link_of(w, conn);
    if (c == NULL || !c->open)
        return;
    c->open = false;
    w->upcalls.closed(w->upcalls.ctx, conn, "closed");
}

static enum zdm_code net_listen(void *self, const char *url, char *out_url, size_t size, struct zdm_error *err)
{
    (void)self;
    (void)err;
    (void)zdm_copy_text(out_url, size, url);
    return ZDM_OK;
}

static enum zdm_code net_dial(void *self, const char *url, zdm_conn *out_conn, struct zdm_error *err)
{
    (void)self;
    (void)url;
    (void)out_conn;
    return zdm_error_set(err, ZDM_UNSUPPORTED, "a coordinator dials nobody");
}

static const struct zdm_net_ops net_ops = {
    .listen = net_listen, .dial = net_dial, .send = net_send, .close = net_close, .close_after_send = net_close};

/* ---- The fleet ---- */

static void make_key(struct zdm_signing_key *key, uint8_t n)
{
    uint8_t seed[32] = {0x5e, n};
    zdm_signing_key_make(key, seed);
}

static void make_trust(struct world *w)
{
    struct zdm_person people[] = {
        {.public_key = w->ann.public_key, .name = "ann", .roles = ZDM_ROLE_OPERATOR | ZDM_ROLE_APPROVER},
        {.public_key = w->bob.public_key, .name = "bob", .roles = ZDM_ROLE_APPROVER},
        {.public_key = w->vic.public_key, .name = "vic", .roles = ZDM_ROLE_VIEWER}};
    struct zdm_trust trust = {.fleet_name = "shop",
                              .version = 1,
                              .roots = {w->root.public_key},
                              .n_roots = 1,
                              .root_threshold = 1,
                              .coordinators = {w->coordinator.public_key},
                              .n_coordinators = 1,
                              .people = people,
                              .n_people = sizeof people / sizeof *people,
                              .approvals_min = 1};
    const struct zdm_signing_key *roots[] = {&w->root};
    struct zdm_error err;
    if (zdm_trust_chain_start(crypto(), &trust, roots, 1, &w->chain, &err) != ZDM_OK)
        fail_msg("%s", err.message);
    zdm_trust_chain_write(&w->chain, &w->trust);
}

static enum zdm_code keep_trust(void *ctx, const void *bytes, size_t n, struct zdm_error *err)
{
    struct world *w = ctx;
    if (w->trust_is_readonly)
        return zdm_error_set(err, ZDM_IO, "read-only file system");
    w->n_kept++;
    w->appends_at_keep = w->n_appends;
    zdm_buffer_reset(&w->trust);
    zdm_buffer_append(&w->trust, bytes, n);
    return ZDM_OK;
}

static void run_driver(struct world *w)
{
    struct zdm_error err;
    const char *url = "tcp://127.0.0.1:7301";
    const struct coord_driver_config config = {.clock = &w->clock,
                                               .random = zdm_random_system(),
                                               .crypto = crypto(),
                                               .key = &w->coordinator,
                                               .trust = w->trust.data,
                                               .trust_n = w->trust.len,
                                               .store = w->store,
                                               .release = "0.1.0",
                                               .host = "test",
                                               .keep_trust = keep_trust,
                                               .ctx = w};
    if (coord_driver_new(&config, &w->driver, &err) != ZDM_OK)
        fail_msg("%s", err.message);
    w->upcalls = coord_driver_upcalls(w->driver);
    if (coord_driver_start(w->driver, (struct zdm_net){.ops = &net_ops, .self = w}, &err) != ZDM_OK ||
        coord_driver_advertise(w->driver, &url, 1, &err) != ZDM_OK)
        fail_msg("%s", err.message);
}

int world_start(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct zdm_error err;
    assert_non_null(w);
    assert_int_equal(zdm_crypto_start(&err), ZDM_OK);
    w->wall_ms = 1763814000000;
    w->boot_ms = 5000;
    w->clock = (struct zdm_clock){.wall_ms = wall_ms, .boot_ms = boot_ms, .self = w};
    make_key(&w->root, 1);
    make_key(&w->ann, 2);
    make_key(&w->vic, 3);
    make_key(&w->coordinator, 4);
    make_key(&w->bob, 5);
    for (uint8_t i = 0; i < 4; i++)
        make_key(&w->agents[i], (uint8_t)(10 + i));
    make_trust(w);
    assert_int_equal(store_memory_open(&w->memory, &err), STORE_OK);
    w->store = (struct store){.ops = &wrap_ops, .self = w};
    run_driver(w);
    *state = w;
    return 0;
}

static void free_client(struct client *c)
{
    zdm_session_free(c->session);
    for (size_t i = 0; i < c->n_waiting; i++)
        zdm_buffer_fini(&c->waiting[i]);
    free(c->waiting);
    c->session = NULL;
    c->waiting = NULL;
    c->n_waiting = c->cap_waiting = c->taken = 0;
    c->open = false;
}

int world_stop(void **state)
{
    struct world *w = *state;
    coord_driver_free(w->driver);
    for (size_t i = 0; i < w->n_links; i++)
        free_client(&w->links[i]);
    w->memory.ops->close(w->memory.self);
    zdm_trust_chain_fini(&w->chain);
    zdm_buffer_fini(&w->trust);
    free(w);
    return 0;
}

void world_restart(struct world *w)
{
    coord_driver_free(w->driver);
    for (size_t i = 0; i < w->n_links; i++)
        w->links[i].open = false;
    w->wall_ms += 1000;
    w->boot_ms += 1000;
    run_driver(w);
}

void world_turn(struct world *w)
{
    for (int i = 0; i < 100; i++)
        if (coord_driver_turn(w->driver) > w->boot_ms)
            return;
}

void world_wait(struct world *w, int64_t ms)
{
    for (int64_t passed = 0; passed < ms; passed += 100) {
        w->boot_ms += 100;
        w->wall_ms += 100;
        world_turn(w);
    }
}

/* ---- Sessions ---- */

struct client *dial_raw(struct world *w)
{
    assert_true(w->n_links < LINKS_MAX);
    struct client *c = &w->links[w->n_links++];
    *c = (struct client){.world = w, .conn = w->n_links, .open = true, .room = 64};
    w->upcalls.opened(w->upcalls.ctx, c->conn, true, "127.0.0.1");
    return c;
}

void give_bytes(struct client *c, const void *bytes, size_t n)
{
    if (c->open)
        c->world->upcalls.frame(c->world->upcalls.ctx, c->conn, bytes, n);
    world_turn(c->world);
}

static const struct zdm_buffer *next_bytes(struct client *c)
{
    return c->taken < c->n_waiting ? &c->waiting[c->taken++] : NULL;
}

static bool find_coordinator(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out)
{
    const struct world *w = ctx;
    return zdm_trust_coordinator(crypto(), &w->chain.trust, key_id, out);
}

struct client *dial_as(struct world *w, enum zdm_session_role role, const struct zdm_signing_key *key, bool joining)
{
    uint8_t hello[ZDM_HELLO_SIZE], auth[ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD];
    const struct zdm_id any = {{0}};
    struct zdm_error err;
    struct client *c = dial_raw(w);
    c->key = key;
    c->session = zdm_session_dial(crypto(), zdm_random_system(), role, key, &w->chain.fleet, &any, joining);
    zdm_session_hello(c->session, hello);
    give_bytes(c, hello, sizeof hello);
    const struct zdm_buffer *welcome = next_bytes(c);
    assert_non_null(welcome);
    assert_int_equal(zdm_session_take_welcome(c->session, welcome->data, welcome->len, find_coordinator, w, auth, &err),
                     ZDM_OK);
    give_bytes(c, auth, sizeof auth);
    return c->open ? c : NULL;
}

struct client *dial_person(struct world *w, const struct zdm_signing_key *key)
{
    return dial_as(w, ZDM_SESSION_PERSON, key, false);
}

struct client *dial_agent(struct world *w, const struct zdm_signing_key *key)
{
    return dial_as(w, ZDM_SESSION_AGENT, key, false);
}

void hang_up(struct client *c)
{
    net_close(c->world, c->conn);
    world_turn(c->world);
}

void give_quietly(struct client *c, const struct zdm_frame *frame)
{
    struct zdm_buffer plain = ZDM_BUFFER_INIT;
    static uint8_t sealed[ZDM_FRAME_MAX];
    struct zdm_error err;
    zdm_frame_encode(frame, &plain);
    assert_false(plain.failed);
    assert_int_equal(zdm_session_seal(c->session, plain.data, plain.len, sealed, &err), ZDM_OK);
    if (c->open)
        c->world->upcalls.frame(c->world->upcalls.ctx, c->conn, sealed, plain.len + ZDM_SEAL_OVERHEAD);
    zdm_buffer_fini(&plain);
}

void give(struct client *c, const struct zdm_frame *frame)
{
    give_quietly(c, frame);
    world_turn(c->world);
}

bool take(struct client *c, enum zdm_frame_type type, struct zdm_frame *out)
{
    static uint8_t plain[ZDM_FRAME_MAX];
    const struct zdm_buffer *sealed;
    struct zdm_error err;
    size_t n;
    while ((sealed = next_bytes(c)) != NULL) {
        assert_int_equal(zdm_session_open(c->session, sealed->data, sealed->len, plain, &n, &err), ZDM_OK);
        if (zdm_frame_decode(plain, n, out, &err) != ZDM_OK)
            fail_msg("%s", err.message);
        if (out->type == type)
            return true;
        zdm_frame_fini(out);
    }
    return false;
}

/* ---- Expectations ---- */

void expect_ok(struct zdm_frame answer)
{
    if (answer.type != ZDM_FRAME_ANSWER || answer.u.answer.code != ZDM_OK)
        fail_msg("%s", answer.type == ZDM_FRAME_ANSWER ? answer.u.answer.message : "no answer");
}

void expect_refusal(struct zdm_frame answer, enum zdm_code code, const char *words)
{
    assert_int_equal(answer.type, ZDM_FRAME_ANSWER);
    if (strstr(answer.u.answer.message, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", answer.u.answer.message, words);
    assert_int_equal(answer.u.answer.code, code);
}

void expect_in(const char *text, const char *words)
{
    if (text == NULL || strstr(text, words) == NULL)
        fail_msg("%s does not have %s", text != NULL ? text : "nothing", words);
}

/* ---- People ---- */

struct zdm_envelope sign(struct world *w, const struct zdm_signing_key *key, enum zdm_signed_type type,
                         const struct zdm_buffer *body)
{
    struct zdm_envelope envelope;
    struct zdm_error err;
    if (zdm_signed_make(crypto(), key, &w->chain.fleet, type, body->data, body->len, &envelope, &err) != ZDM_OK)
        fail_msg("%s", err.message);
    return envelope;
}

struct zdm_frame request_frame(struct client *c, struct zdm_request *request)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    if (zdm_id_is_zero(&request->request_id))
        zdm_random_fill(zdm_random_system(), request->request_id.bytes, sizeof request->request_id.bytes);
    if (zdm_hash_is_zero(&request->session))
        request->session = zdm_session_transcript(c->session);
    zdm_request_encode(request, &body);
    struct zdm_frame frame = {.type = ZDM_FRAME_REQUEST,
                              .u.request = sign(c->world, c->key, ZDM_SIGNED_REQUEST, &body)};
    zdm_buffer_fini(&body);
    return frame;
}

struct zdm_frame ask(struct client *c, struct zdm_request *request)
{
    struct zdm_frame frame = request_frame(c, request);
    give(c, &frame);
    zdm_frame_fini(&frame);
    if (!take(c, ZDM_FRAME_ANSWER, &frame))
        frame = (struct zdm_frame){.type = 0};
    return frame;
}

struct zdm_frame ask_verb(struct client *c, enum zdm_verb verb, const char *shard)
{
    char *names[] = {(char *)(uintptr_t)shard};
    struct zdm_request request = {.verb = verb, .migration = "rename"};
    request.shards.all = shard == NULL;
    if (shard != NULL) {
        request.shards.names = names;
        request.shards.n_names = 1;
    }
    (void)zdm_copy_text(request.reason, sizeof request.reason, verb == ZDM_VERB_PAUSE ? "too slow" : "");
    return ask(c, &request);
}

void upload(struct client *c, const void *bytes, size_t n)
{
    struct zdm_hash hash;
    zdm_hash_bytes(crypto(), hash.bytes, sizeof hash.bytes, bytes, n);
    for (size_t offset = 0; offset < n && c->open; offset += ZDM_PIECE_MAX) {
        size_t piece = n - offset < (size_t)ZDM_PIECE_MAX ? n - offset : (size_t)ZDM_PIECE_MAX;
        const struct zdm_frame frame = {.type = ZDM_FRAME_UPLOAD,
                                        .u.piece = {.hash = hash,
                                                    .total = (uint32_t)n,
                                                    .offset = (uint32_t)offset,
                                                    .bytes = (const uint8_t *)bytes + offset,
                                                    .n = piece}};
        give(c, &frame);
    }
}

static struct zdm_phase make_phase(uint32_t number)
{
    struct zdm_phase phase = {.number = number,
                              .class = number == 1 ? ZDM_PHASE_EXPAND : ZDM_PHASE_MIGRATE,
                              .steps = calloc(1, sizeof(struct zdm_step)),
                              .n_steps = 1};
    struct zdm_step *step = phase.steps;
    step->ordinal = number;
    (void)snprintf(step->id, sizeof step->id, "%u.1", number);
    step->kind = ZDM_STEP_DDL;
    step->action = ZDM_ACTION_ADD_COLUMN;
    step->lock = ZDM_LOCK_SHORT;
    step->table = (struct zdm_table){zdm_strdup("public"), zdm_strdup("users")};
    step->column = zdm_strdup(number == 1 ? "a" : "b");
    step->sql = zdm_strdup("ALTER TABLE public.users ADD COLUMN x text");
    step->inverse = ZDM_INVERSE_HIDE;
    step->exact_inverse = true;
    return phase;
}

/* The second phase as one that this release cannot carry out. */
static void make_purge(struct zdm_phase *phase)
{
    phase->class = ZDM_PHASE_PURGE;
    phase->destructive = true;
    phase->approvals = 1;
    phase->steps->kind = ZDM_STEP_PURGE;
    phase->steps->action = ZDM_ACTION_PURGE_COLUMN;
    phase->steps->object = zdm_strdup("~zdm_h");
    free(phase->steps->sql);
    phase->steps->sql = NULL;
    phase->steps->inverse = ZDM_INVERSE_IMPOSSIBLE;
    phase->steps->exact_inverse = false;
}

static void put_table(struct zdm_table *table, const char *name)
{
    free(table->name);
    table->name = zdm_strdup(name);
}

static void make_other(struct zdm_plan *plan)
{
    (void)zdm_copy_text(plan->id, sizeof plan->id, "other");
    put_table(&plan->tables[0], "orders");
    for (size_t i = 0; i < plan->n_phases; i++)
        put_table(&plan->phases[i].steps[0].table, "orders");
}

static struct zdm_plan *make_plan(enum submission kind)
{
    struct zdm_plan *plan = zdm_plan_new();
    plan->format = ZDM_PLAN_FORMAT;
    (void)zdm_copy_text(plan->id, sizeof plan->id, "rename");
    (void)zdm_copy_text(plan->compiler, sizeof plan->compiler, "0.1.0");
    plan->selector = zdm_strdup("");
    plan->waves = calloc(1, sizeof *plan->waves);
    plan->waves[0].percent = 100;
    plan->n_waves = 1;
    plan->tables = calloc(1, sizeof *plan->tables);
    plan->tables[0] = (struct zdm_table){zdm_strdup("public"), zdm_strdup("users")};
    plan->n_tables = 1;
    plan->phases = calloc(2, sizeof *plan->phases);
    plan->phases[0] = make_phase(1);
    plan->phases[1] = make_phase(2);
    plan->n_phases = 2;
    if (kind == PURGES_LAST)
        make_purge(&plan->phases[1]);
    if (kind == ASKS_FOR_APPROVAL)
        plan->phases[1].approvals = 2;
    if (kind == OF_ANOTHER_TABLE)
        make_other(plan);
    return plan;
}

struct zdm_hash upload_plan(struct client *c, const struct zdm_signing_key *signer)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT, flat = ZDM_BUFFER_INIT;
    struct zdm_plan *plan = make_plan(PLAIN);
    zdm_plan_encode(crypto(), plan, &body);
    struct zdm_envelope envelope = sign(c->world, signer, ZDM_SIGNED_PLAN, &body);
    zdm_envelope_flatten(&envelope, &flat);
    upload(c, flat.data, flat.len);
    struct zdm_hash hash = plan->hash;
    zdm_envelope_fini(&envelope);
    zdm_buffer_fini(&body);
    zdm_buffer_fini(&flat);
    zdm_plan_unref(plan);
    return hash;
}

struct zdm_frame submit(struct client *c)
{
    return submit_kind(c, PLAIN);
}

static struct zdm_frame submit_or_amend(struct client *c, enum submission kind, bool amend)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT, flat = ZDM_BUFFER_INIT;
    struct zdm_plan *plan = make_plan(kind);
    zdm_plan_encode(crypto(), plan, &body);
    assert_false(body.failed);
    struct zdm_envelope envelope = sign(c->world, &c->world->ann, ZDM_SIGNED_PLAN, &body);
    zdm_envelope_flatten(&envelope, &flat);
    upload(c, flat.data, flat.len);
    struct zdm_request request = {.verb = ZDM_VERB_SUBMIT, .plan_hash = plan->hash, .amend = amend};
    (void)zdm_copy_text(request.migration, sizeof request.migration, plan->id);
    struct zdm_frame answer = ask(c, &request);
    zdm_envelope_fini(&envelope);
    zdm_buffer_fini(&body);
    zdm_buffer_fini(&flat);
    zdm_plan_unref(plan);
    return answer;
}

struct zdm_frame submit_kind(struct client *c, enum submission kind)
{
    return submit_or_amend(c, kind, false);
}

struct zdm_frame amend_to(struct client *c, enum submission kind)
{
    return submit_or_amend(c, kind, true);
}

char *query(struct client *c, enum zdm_query_kind kind, const char *migration)
{
    static uint32_t id;
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    struct zdm_frame frame = {.type = ZDM_FRAME_QUERY};
    frame.u.query.kind = kind;
    frame.u.query.id = ++id;
    (void)zdm_copy_text(frame.u.query.migration, sizeof frame.u.query.migration, migration);
    give(c, &frame);
    for (;;) {
        if (!take(c, ZDM_FRAME_ROWS, &frame) || frame.u.rows.code != ZDM_OK) {
            zdm_buffer_fini(&text);
            return NULL;
        }
        assert_int_equal(frame.u.rows.id, id);
        zdm_buffer_append(&text, frame.u.rows.bytes, frame.u.rows.n);
        if (frame.u.rows.last)
            return zdm_buffer_take(&text);
        world_turn(c->world);
    }
}

/* ---- Agents ---- */

void enrol(struct client *c, unsigned n, const uint8_t secret[16])
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_enrolment enrolment = {.expires_at_ms = c->world->wall_ms + 3600000, .nonce = {{0xee, (uint8_t)n}}};
    (void)snprintf(enrolment.shard, sizeof enrolment.shard, "shard-%u", n);
    zdm_hash_bytes(crypto(), enrolment.secret_hash.bytes, sizeof enrolment.secret_hash.bytes, secret, 16);
    zdm_enrolment_encode(&enrolment, &body);
    struct zdm_request request = {.verb = ZDM_VERB_ENROLL,
                                  .payload = sign(c->world, &c->world->ann, ZDM_SIGNED_ENROLMENT, &body)};
    struct zdm_frame answer = ask(c, &request);
    if (answer.u.answer.code != ZDM_OK)
        fail_msg("%s", answer.u.answer.message);
    zdm_envelope_fini(&request.payload);
    zdm_buffer_fini(&body);
}

struct client *join(struct world *w, struct client *operator_, unsigned n)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_JOIN};
    struct zdm_error err;
    frame.u.join.secret[0] = (uint8_t)(0x77 + n);
    enrol(operator_, n, frame.u.join.secret);
    struct client *c = dial_as(w, ZDM_SESSION_AGENT, &w->agents[n], true);
    assert_non_null(c);
    const struct zdm_frame trust = {.type = ZDM_FRAME_TRUST_REQUEST};
    struct zdm_frame got;
    give(c, &trust);
    assert_true(take(c, ZDM_FRAME_TRUST, &got));
    assert_int_equal(got.u.envelopes.n, 1);
    zdm_frame_fini(&got);
    assert_int_equal(zdm_session_confirm_peer(c->session, find_coordinator, w, &err), ZDM_OK);
    give(c, &frame);
    assert_true(take(c, ZDM_FRAME_JOINED, &got));
    zdm_frame_fini(&got);
    hang_up(c);
    c = dial_agent(w, &w->agents[n]);
    assert_non_null(c);
    return c;
}

static void send_report(struct client *agent, uint64_t number, const struct zdm_directive *orders, uint32_t proven,
                        enum zdm_agent_state state, void (*change)(struct zdm_report *, struct zdm_migration_report *))
{
    struct zdm_migration_report migration = {.migration = "rename",
                                             .state = state,
                                             .proven = true,
                                             .proven_phase = proven,
                                             .step = proven < 2 ? proven + 1 : 0};
    struct zdm_frame frame = {.type = ZDM_FRAME_REPORT,
                              .u.report = {.number = number,
                                           .connected = true,
                                           .writable = true,
                                           .engine = ZDM_ENGINE_POSTGRESQL,
                                           .server_version = "15.3",
                                           .identity = "one",
                                           .timeline = 1,
                                           .trust_version = 1,
                                           .release = "0.1.0"}};
    if (orders != NULL) {
        migration.accepted = orders->fence;
        frame.u.report.migrations = &migration;
        frame.u.report.n_migrations = 1;
    }
    if (change != NULL)
        change(&frame.u.report, &migration);
    give(agent, &frame);
}

void report(struct client *agent, uint64_t number, const struct zdm_directive *orders, uint32_t proven,
            enum zdm_agent_state state)
{
    send_report(agent, number, orders, proven, state, NULL);
}

void report_changed(struct client *agent, uint64_t number, const struct zdm_directive *orders,
                    void (*change)(struct zdm_report *, struct zdm_migration_report *))
{
    send_report(agent, number, orders, 0, ZDM_AGENT_WORKING, change);
}

bool take_orders(struct client *agent, struct zdm_directive *out)
{
    struct zdm_frame frame;
    bool found = false;
    while (take(agent, ZDM_FRAME_ORDERS, &frame)) {
        for (size_t i = 0; i < frame.u.envelopes.n; i++) {
            struct zdm_trust_finder finder = {.crypto = crypto(), .trust = &agent->world->chain.trust};
            const uint8_t *body;
            size_t n;
            struct zdm_id signer;
            struct zdm_error err;
            assert_int_equal(zdm_signed_check(crypto(), &frame.u.envelopes.items[i], ZDM_SIGNED_DIRECTIVE,
                                              &agent->world->chain.fleet, zdm_trust_find_coordinator, &finder, &body,
                                              &n, &signer, &err),
                             ZDM_OK);
            if (found)
                zdm_directive_fini(out);
            assert_int_equal(zdm_directive_decode(body, n, out, &err), ZDM_OK);
            found = true;
        }
        zdm_frame_fini(&frame);
    }
    return found;
}
