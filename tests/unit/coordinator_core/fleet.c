/*
 * fleet.c - see fleet.h.
 */
#include "fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

/* Stands in for BLAKE2b: different for every position and history, which is all that the core relies on. */
static struct zdm_hash chain(const struct zdm_hash *before, const struct coord_event *event)
{
    struct zdm_hash hash;
    uint64_t h = event->seq * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)event->type;
    for (size_t i = 0; i < sizeof hash.bytes; i++) {
        h = (h ^ before->bytes[i]) * UINT64_C(0x100000001b3);
        hash.bytes[i] = (uint8_t)(h >> 32);
    }
    return hash;
}

static void take_event(struct fleet *f, struct coord_event *event)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    event->seq = f->state->head_seq + 1;
    event->epoch = event->type == COORD_EVENT_EPOCH_STARTED ? f->state->epoch + 1 : f->state->epoch;
    event->at_ms = f->now_ms;
    event->prev_hash = f->state->head_hash;
    event->hash = chain(&event->prev_hash, event);
    if (coord_apply(f->state, event, &err) != ZDM_OK)
        fail_msg("apply: %s", err.message);
    assert_true(ZDM_RESERVE(f->log, f->cap_log, f->n_log + 1));
    f->log[f->n_log++] = *event;
}

void fleet_event(struct fleet *f, const struct coord_event *event)
{
    struct coord_event copy = *event;
    take_event(f, &copy);
}

void fleet_input(struct fleet *f, const struct coord_input *input)
{
    char why[512] = "";
    coord_output_fini(&f->out);
    assert_true(coord_hear(f->state, &f->view, input));
    coord_decide(f->state, &f->view, input, &f->out);
    assert_false(f->out.failed);
    for (size_t i = 0; i < f->out.n_events; i++)
        take_event(f, &f->out.events[i]);
    f->out.n_events = 0;
    if (f->check && !coord_invariants(f->state, why, sizeof why))
        fail_msg("%s", why);
}

void fleet_tick(struct fleet *f)
{
    struct coord_output kept = f->out; /* the effects of the input before stay to be looked at */
    coord_output_init(&f->out);
    fleet_input(f, &(struct coord_input){.kind = COORD_IN_TICK, .now_ms = f->now_ms});
    for (size_t i = 0; i < f->out.n_effects; i++) {
        assert_true(ZDM_RESERVE(kept.effects, kept.cap_effects, kept.n_effects + 1));
        kept.effects[kept.n_effects++] = f->out.effects[i];
    }
    coord_output_fini(&f->out);
    f->out = kept;
}

struct zdm_id agent_id(size_t shard, unsigned replica)
{
    struct zdm_id id = {.bytes = {0xa9, (uint8_t)replica}};
    for (size_t i = 0; i < 4; i++)
        id.bytes[8 + i] = (uint8_t)((shard + 1) >> (8 * i));
    return id;
}

void fleet_enroll(struct fleet *f, size_t shard, unsigned replica)
{
    struct coord_event event = {.type = COORD_EVENT_AGENT_ENROLLED};
    event.u.agent_enrolled.agent = agent_id(shard, replica);
    snprintf(event.u.agent_enrolled.shard, sizeof event.u.agent_enrolled.shard, "s%05zu", shard);
    if (shard % 2 == 1)
        assert_int_equal(zdm_labels_add(&event.u.agent_enrolled.labels, "tier=odd", &f->answer), ZDM_OK);
    fleet_event(f, &event);
}

struct zdm_id person_id(unsigned who)
{
    return (struct zdm_id){{0x9e, (uint8_t)(who + 1)}};
}

void fleet_trust(struct fleet *f)
{
    static const struct {
        const char *name;
        uint32_t roles;
    } rows[PEOPLE] = {
        [ANN] = {"ann", ZDM_ROLE_OPERATOR | ZDM_ROLE_APPROVER},
        [BOB] = {"bob", ZDM_ROLE_APPROVER},
        [CAT] = {"cat", ZDM_ROLE_APPROVER},
        [DAN] = {"dan", ZDM_ROLE_OPERATOR},
        [EVE] = {"eve", ZDM_ROLE_VIEWER},
        [FAY] = {"fay", ZDM_ROLE_APPROVER},
        [GUS] = {"gus", ZDM_ROLE_APPROVER},
    };
    struct zdm_authority *authority = &f->view.authority;
    zdm_authority_fini(authority);
    *authority = (struct zdm_authority){.version = 1, .approvals_min = 1, .n_people = PEOPLE};
    authority->people = calloc(PEOPLE, sizeof *authority->people);
    for (unsigned i = 0; i < PEOPLE; i++) {
        authority->people[i].key_id = person_id(i);
        authority->people[i].roles = rows[i].roles;
        zdm_copy_text(authority->people[i].name, sizeof authority->people[i].name, rows[i].name);
    }
}

void fleet_init(struct fleet *f, size_t n)
{
    *f = (struct fleet){.state = coord_state_new(), .now_ms = 1000000, .check = true};
    struct coord_event event = {.type = COORD_EVENT_LOG_OPENED};
    fleet_event(f, &event);
    event = (struct coord_event){.type = COORD_EVENT_EPOCH_STARTED};
    event.u.epoch_started.instance.bytes[0] = 7;
    fleet_event(f, &event);
    coord_view_init(&f->view, f->now_ms);
    fleet_trust(f);
    for (size_t i = 0; i < n; i++)
        fleet_enroll(f, i, 0);
}

void fleet_fini(struct fleet *f)
{
    coord_output_fini(&f->out);
    for (size_t i = 0; i < f->n_log; i++)
        coord_event_fini(&f->log[i]);
    free(f->log);
    coord_view_fini(&f->view);
    coord_state_free(f->state);
}

static void fill_step(struct zdm_step *step, uint32_t ordinal, bool gate)
{
    step->ordinal = ordinal;
    snprintf(step->id, sizeof step->id, "%u.1", ordinal);
    step->kind = gate ? ZDM_STEP_GATE : ZDM_STEP_INDEX; /* whose way back loses nothing */
    step->action = gate ? ZDM_ACTION_GATE_FLAG : ZDM_ACTION_CREATE_INDEX;
    step->table = (struct zdm_table){zdm_strdup("public"), zdm_strdup("users")};
    if (!gate)
        return;
    step->flag = calloc(1, sizeof *step->flag);
    step->flag->key = zdm_strdup("use-new");
}

struct zdm_plan *plan_of(const char *id, const char *phases)
{
    static const char letters[] = "emscp";
    struct zdm_plan *plan = zdm_plan_new();
    zdm_copy_text(plan->id, sizeof plan->id, id);
    plan->format = ZDM_PLAN_FORMAT;
    plan->selector = zdm_strdup("");
    plan->waves = calloc(3, sizeof *plan->waves);
    plan->waves[0].percent = 100;
    plan->n_waves = 1;
    plan->tables = calloc(1, sizeof *plan->tables);
    plan->tables[0] = (struct zdm_table){zdm_strdup("public"), zdm_strdup("users")};
    plan->n_tables = 1;
    plan->n_phases = strlen(phases);
    plan->phases = calloc(plan->n_phases, sizeof *plan->phases);
    for (uint32_t i = 0; i < plan->n_phases; i++) {
        struct zdm_phase *phase = &plan->phases[i];
        char letter = phases[i] == 'd' ? 'c' : phases[i];
        phase->number = i + 1;
        phase->class = (enum zdm_phase_class)(strchr(letters, letter) - letters + 1);
        phase->destructive = phases[i] == 'd';
        phase->steps = calloc(1, sizeof *phase->steps);
        phase->n_steps = 1;
        fill_step(&phase->steps[0], i + 1, letter == 's');
    }
    plan->hash.bytes[0] = 1;
    return plan;
}

struct coord_migration *migration(struct fleet *f)
{
    return f->state->migrations[f->state->n_migrations - 1];
}

struct coord_shard *shard(struct fleet *f, size_t i)
{
    char name[32];
    snprintf(name, sizeof name, "s%05zu", i);
    long at = coord_find_shard(migration(f), name);
    assert_true(at >= 0);
    return &migration(f)->shards[at];
}

static void ask_this(struct fleet *f, struct coord_input *input)
{
    fleet_input(f, input);
    f->answer = f->out.effects[f->out.n_effects - 1].answer;
    assert_int_equal(f->out.effects[f->out.n_effects - 1].kind, COORD_DO_ANSWER);
    fleet_tick(f);
}

static struct coord_input input_of(struct fleet *f, struct zdm_request *request)
{
    static struct zdm_envelope envelope = {.bytes = (uint8_t *)"signed", .len = 6};
    const struct zdm_authority_person *person = &f->view.authority.people[f->who];
    struct coord_input input = {.kind = COORD_IN_REQUEST, .now_ms = f->now_ms};
    if (zdm_id_is_zero(&request->request_id)) {
        f->ids++;
        memcpy(request->request_id.bytes, &f->ids, sizeof f->ids);
    }
    input.u.request.request = request;
    input.u.request.envelope = &envelope;
    input.u.request.key = input.u.request.payload_signer = person->key_id;
    input.u.request.name = person->name;
    input.u.request.roles = person->roles;
    return input;
}

enum zdm_code fleet_request(struct fleet *f, struct zdm_request *request, struct zdm_plan *plan)
{
    uint8_t signed_plan[128] = "zdm-signed-v1"; /* its header names the signer */
    struct zdm_envelope envelope = {.bytes = signed_plan, .len = sizeof signed_plan};
    struct coord_input input = input_of(f, request);
    memcpy(signed_plan + 36, input.u.request.key.bytes, sizeof input.u.request.key.bytes);
    input.u.request.plan = plan;
    input.u.request.plan_envelope = plan != NULL ? &envelope : NULL;
    ask_this(f, &input);
    return f->answer.code;
}

enum zdm_code fleet_submit(struct fleet *f, struct zdm_plan *plan)
{
    struct zdm_request request = {.verb = ZDM_VERB_SUBMIT, .plan_hash = plan->hash};
    zdm_copy_text(request.migration, sizeof request.migration, plan->id);
    enum zdm_code code = fleet_request(f, &request, plan);
    zdm_plan_unref(plan);
    return code;
}

/* text: room for the selector. */
static struct zdm_request request_of(struct fleet *f, enum zdm_verb verb, const char *selector, char text[256])
{
    struct zdm_request request = {.verb = verb};
    if (f->state->n_migrations > 0)
        zdm_copy_text(request.migration, sizeof request.migration, migration(f)->id);
    request.shards.all = selector == NULL;
    if (selector != NULL) {
        zdm_copy_text(text, 256, selector);
        request.shards.selector = text;
    }
    return request;
}

static enum zdm_code ask(struct fleet *f, enum zdm_verb verb, const char *selector, uint32_t to)
{
    char text[256];
    struct zdm_request request = request_of(f, verb, selector, text);
    request.to_phase = to;
    return fleet_request(f, &request, NULL);
}

enum zdm_code fleet_ask(struct fleet *f, enum zdm_verb verb, const char *selector)
{
    return ask(f, verb, selector, 0);
}

enum zdm_code fleet_advance_to(struct fleet *f, const char *selector, uint32_t to)
{
    return ask(f, ZDM_VERB_ADVANCE, selector, to);
}

/* ---- What people sign ---- */

static struct zdm_id new_nonce(struct fleet *f)
{
    struct zdm_id nonce = {{0x40}};
    f->ids++;
    memcpy(nonce.bytes + 1, &f->ids, sizeof f->ids);
    return nonce;
}

struct zdm_approval approval_of(struct fleet *f, enum zdm_approval_action action, uint32_t phase)
{
    struct zdm_approval approval = {.action = action, .phase = phase, .plan_hash = migration(f)->plan->hash};
    const struct zdm_phase *p = phase > 0 ? zdm_plan_phase(migration(f)->plan, phase) : NULL;
    zdm_copy_text(approval.migration, sizeof approval.migration, migration(f)->id);
    if (p != NULL && action != ZDM_APPROVE_UNDO)
        approval.phase_digest = p->digest;
    approval.trust_version = f->view.authority.version;
    approval.issued_at_ms = f->now_ms;
    approval.expires_at_ms = f->now_ms + 3600000;
    approval.nonce = new_nonce(f);
    return approval;
}

enum zdm_code fleet_give(struct fleet *f, unsigned who, enum zdm_verb verb, const struct zdm_approval *approval,
                         const char *selector)
{
    char text[256];
    unsigned before = f->who;
    struct zdm_request request = request_of(f, verb, selector, text);
    uint8_t bytes[16];
    memcpy(bytes, approval->nonce.bytes, sizeof bytes);
    request.payload = (struct zdm_envelope){.bytes = bytes, .len = sizeof bytes};
    f->who = who;
    struct coord_input input = input_of(f, &request);
    input.u.request.approval = approval;
    ask_this(f, &input);
    f->who = before;
    return f->answer.code;
}

enum zdm_code fleet_approve(struct fleet *f, unsigned who, enum zdm_approval_action action, uint32_t phase)
{
    struct zdm_approval approval = approval_of(f, action, phase);
    return fleet_give(f, who, ZDM_VERB_APPROVE, &approval, NULL);
}

enum zdm_code fleet_purge(struct fleet *f, unsigned who, uint32_t phase, const char *selector)
{
    struct zdm_approval approval = approval_of(f, ZDM_APPROVE_PURGE, phase);
    return fleet_give(f, who, ZDM_VERB_PURGE, &approval, selector);
}

enum zdm_code fleet_revoke(struct fleet *f, unsigned who, const struct zdm_id *nonce)
{
    char text[256];
    unsigned before = f->who;
    struct zdm_request request = request_of(f, ZDM_VERB_REVOKE_APPROVAL, NULL, text);
    request.target = *nonce;
    f->who = who;
    struct coord_input input = input_of(f, &request);
    ask_this(f, &input);
    f->who = before;
    return f->answer.code;
}

struct zdm_undo_order order_of(struct fleet *f, uint32_t to)
{
    struct zdm_undo_order order = {.to_phase = to, .plan_hash = migration(f)->plan->hash, .nonce = new_nonce(f)};
    zdm_copy_text(order.migration, sizeof order.migration, migration(f)->id);
    order.issued_at_ms = f->now_ms;
    order.expires_at_ms = f->now_ms + 86400000;
    return order;
}

enum zdm_code fleet_order_about(struct fleet *f, const char *id, const struct zdm_undo_order *order,
                                const char *selector, bool flags_off)
{
    char text[256];
    uint8_t bytes[sizeof order->nonce.bytes + sizeof order->issued_at_ms];
    struct zdm_request request = request_of(f, ZDM_VERB_ROLLBACK, selector, text);
    memcpy(bytes, order->nonce.bytes, sizeof order->nonce.bytes);
    memcpy(bytes + sizeof order->nonce.bytes, &order->issued_at_ms, sizeof order->issued_at_ms);
    request.payload = (struct zdm_envelope){.bytes = bytes, .len = sizeof bytes};
    zdm_copy_text(request.migration, sizeof request.migration, id);
    request.to_phase = order->to_phase;
    request.flags_off = flags_off;
    struct coord_input input = input_of(f, &request);
    input.u.request.undo_order = order;
    ask_this(f, &input);
    return f->answer.code;
}

enum zdm_code fleet_order(struct fleet *f, const struct zdm_undo_order *order, const char *selector, bool flags_off)
{
    return fleet_order_about(f, migration(f)->id, order, selector, flags_off);
}

enum zdm_code fleet_rollback(struct fleet *f, const char *selector, uint32_t to, bool flags_off)
{
    struct zdm_undo_order order = order_of(f, to);
    return fleet_order(f, &order, selector, flags_off);
}

enum zdm_code fleet_forward(struct fleet *f, const char *selector)
{
    char text[256];
    struct zdm_request request = request_of(f, ZDM_VERB_RETRY, selector, text);
    request.forward = true;
    return fleet_request(f, &request, NULL);
}

enum zdm_code fleet_exclude(struct fleet *f, const char *selector, const char *reason)
{
    char text[256];
    struct zdm_request request = request_of(f, ZDM_VERB_EXCLUDE, selector, text);
    zdm_copy_text(request.reason, sizeof request.reason, reason);
    return fleet_request(f, &request, NULL);
}

void fleet_recover(struct fleet *f)
{
    struct zdm_request request = {.verb = ZDM_VERB_RECOVER};
    struct zdm_envelope envelope = {.bytes = (uint8_t *)"signed", .len = 6};
    struct coord_input input = {.kind = COORD_IN_RECOVER, .now_ms = f->now_ms};
    request.request_id = new_nonce(f);
    input.u.recover.request = &request;
    input.u.recover.envelope = &envelope;
    input.u.recover.key = person_id(ANN);
    input.u.recover.name = "ann";
    fleet_input(f, &input);
}

/* ---- What agents say ---- */

static enum zdm_agent_state state_of(const struct coord_shard *s, uint32_t proven)
{
    if (s->generation == 0)
        return ZDM_AGENT_RESTING;
    if (s->mode == ZDM_MODE_PAUSE)
        return ZDM_AGENT_PAUSED;
    return s->mode == ZDM_MODE_RUN && proven < s->goal ? ZDM_AGENT_WORKING : ZDM_AGENT_RESTING;
}

void tell(struct fleet *f, size_t i, unsigned replica, uint32_t proven, struct told *out)
{
    struct zdm_envelope approvals[ZDM_APPROVALS_MAX];
    struct zdm_directive directive;
    memset(out, 0, sizeof *out);
    out->agent = agent_id(i, replica);
    out->report = (struct zdm_report){.number = ++f->ids, .connected = true, .writable = true, .timeline = 1};
    out->report.trust_version = f->state->trust_version;
    out->report.engine = ZDM_ENGINE_POSTGRESQL;
    snprintf(out->report.identity, sizeof out->report.identity, "db-%zu-%u", i, replica);
    if (f->state->n_migrations == 0)
        return;
    struct coord_shard *s = shard(f, i);
    zdm_copy_text(out->of.migration, sizeof out->of.migration, migration(f)->id);
    if (coord_directive(f->state, migration(f), (uint32_t)(s - migration(f)->shards), approvals, &directive))
        out->of.accepted = directive.fence;
    out->of.state = state_of(s, proven);
    out->of.proven = true;
    out->of.proven_phase = proven;
    out->report.n_migrations = 1;
}

void fleet_report(struct fleet *f, struct told *told)
{
    struct coord_input input = {.kind = COORD_IN_REPORT, .now_ms = f->now_ms};
    told->report.migrations = &told->of;
    input.u.report.agent = told->agent;
    input.u.report.report = &told->report;
    fleet_input(f, &input);
    fleet_tick(f);
}

void fleet_fail(struct fleet *f, size_t i, const char *error)
{
    struct told told;
    tell(f, i, 0, shard(f, i)->at, &told);
    told.of.state = ZDM_AGENT_STOPPED;
    told.of.failed_attempt = shard(f, i)->attempt;
    told.of.error_code = ZDM_DATABASE;
    zdm_copy_text(told.of.error, sizeof told.of.error, error);
    zdm_copy_text(told.of.hint, sizeof told.of.hint, "Look at the rows.");
    fleet_report(f, &told);
}

void fleet_obey(struct fleet *f, size_t i)
{
    struct told told;
    struct coord_shard *s = shard(f, i);
    tell(f, i, 0, s->mode == ZDM_MODE_PAUSE ? s->at : s->goal, &told);
    told.of.undone = s->mode == ZDM_MODE_UNDO;
    told.of.purged = s->mode == ZDM_MODE_PURGE;
    fleet_report(f, &told);
}

void fleet_obey_all(struct fleet *f)
{
    for (size_t i = 0; i < migration(f)->n_shards; i++)
        fleet_obey(f, i);
}

void fleet_heartbeat(struct fleet *f)
{
    struct told told;
    for (size_t i = 0; i < f->state->n_shards; i++) {
        tell(f, i, 0, f->state->n_migrations > 0 ? shard(f, i)->at : 0, &told);
        fleet_report(f, &told);
    }
}

size_t count_effects(const struct fleet *f, enum coord_effect_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < f->out.n_effects; i++)
        n += f->out.effects[i].kind == kind;
    return n;
}

size_t count_events(const struct fleet *f, enum coord_event_type type)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n_log; i++)
        n += f->log[i].type == type;
    return n;
}

void assert_status(struct fleet *f, size_t i, enum coord_status status)
{
    assert_string_equal(coord_status_name(shard(f, i)->status), coord_status_name(status));
}

static void assert_same_shard(const struct coord_shard *a, const struct coord_shard *b)
{
    struct coord_shard x = *a, y = *b;
    assert_true((a->failure == NULL) == (b->failure == NULL));
    if (a->failure != NULL)
        assert_string_equal(a->failure, b->failure);
    assert_true((a->remark == NULL) == (b->remark == NULL));
    if (a->remark != NULL)
        assert_string_equal(a->remark, b->remark);
    assert_true((a->hint == NULL) == (b->hint == NULL));
    if (a->hint != NULL)
        assert_string_equal(a->hint, b->hint);
    x.hint = y.hint = x.failure = y.failure = x.remark = y.remark = NULL;
    assert_string_equal(x.name, y.name);
    assert_memory_equal(&x, &y, sizeof x);
}

void assert_fold_is_the_same(struct fleet *f)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct coord_state *again = coord_state_new();
    for (size_t i = 0; i < f->n_log; i++)
        assert_int_equal(coord_apply(again, &f->log[i], &err), ZDM_OK);
    assert_int_equal(again->head_seq, f->state->head_seq);
    assert_int_equal(again->n_agents, f->state->n_agents);
    assert_int_equal(again->n_anchors, f->state->n_anchors);
    assert_int_equal(again->n_migrations, f->state->n_migrations);
    assert_int_equal(again->fenced, f->state->fenced);
    assert_int_equal(again->recovered_epoch, f->state->recovered_epoch);
    for (size_t m = 0; m < again->n_migrations; m++) {
        const struct coord_migration *a = again->migrations[m], *b = f->state->migrations[m];
        assert_int_equal(a->mode, b->mode);
        assert_int_equal(a->opened_phase, b->opened_phase);
        assert_int_equal(a->moved_seq, b->moved_seq);
        assert_memory_equal(a->wave_of, b->wave_of, sizeof a->wave_of);
        assert_int_equal(a->n_shards, b->n_shards);
        assert_int_equal(a->n_undos, b->n_undos);
        assert_int_equal(a->n_approvals, b->n_approvals);
        assert_memory_equal(a->gates, b->gates, sizeof a->gates);
        for (size_t i = 0; i < a->n_shards; i++)
            assert_same_shard(&a->shards[i], &b->shards[i]);
    }
    coord_state_free(again);
}
