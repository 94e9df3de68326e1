/*
 * sample.c - see sample.h. Out of memory ends the test: nothing here is under test.
 */
#include "tests/unit/proto/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/os/crypto.h"
#include "proto/signed.h"

static void *must(void *bytes)
{
    if (bytes == NULL)
        abort();
    return bytes;
}

static char *text(const char *words)
{
    return must(zdm_strdup(words));
}

#define NEW(n, type) must(calloc((n), sizeof(type)))

struct zdm_id sample_id(uint8_t seed)
{
    struct zdm_id id;
    memset(id.bytes, seed, sizeof id.bytes);
    return id;
}

struct zdm_hash sample_hash(uint8_t seed)
{
    struct zdm_hash hash;
    memset(hash.bytes, seed, sizeof hash.bytes);
    return hash;
}

struct zdm_signing_key sample_key(uint8_t seed)
{
    struct zdm_signing_key key;
    struct zdm_hash bytes = sample_hash(seed);
    zdm_signing_key_make(&key, bytes.bytes);
    return key;
}

struct zdm_envelope sample_envelope(unsigned type, const void *body, size_t n)
{
    struct zdm_envelope envelope;
    struct zdm_error err;
    struct zdm_signing_key key = sample_key(1);
    struct zdm_id fleet = sample_id(2);
    if (zdm_signed_make(zdm_crypto_sodium(), &key, &fleet, (enum zdm_signed_type)type, body, n, &envelope, &err) !=
        ZDM_OK)
        abort();
    return envelope;
}

/* ---- plan ---- */

static struct zdm_table users(void)
{
    return (struct zdm_table){.schema = text("public"), .name = text("users")};
}

static struct zdm_derivation *derivation(void)
{
    struct zdm_derivation *d = NEW(1, struct zdm_derivation);
    d->assignments = NEW(1, struct zdm_assignment);
    d->n_assignments = 1;
    d->assignments[0] = (struct zdm_assignment){.target = text("full_name"),
                                                .expr = text("t.\"name\""),
                                                .expr_new = text("NEW.\"name\""),
                                                .copy_of = text("name"),
                                                .initial = text("'-'"),
                                                .added = true,
                                                .fill_once = true};
    d->sources = NEW(1, char *);
    d->sources[0] = text("name");
    d->n_sources = 1;
    d->guard = text("t.\"full_name\" IS NULL");
    d->filter = text("t.\"active\"");
    d->filter_new = text("NEW.\"active\"");
    d->filter_old = text("OLD.\"active\"");
    d->both_ways = true;
    d->idempotent = true;
    return d;
}

static struct zdm_step *steps(struct zdm_phase *phase, uint32_t number, enum zdm_phase_class class, size_t n)
{
    phase->number = number;
    phase->class = class;
    phase->steps = NEW(n, struct zdm_step);
    phase->n_steps = n;
    return phase->steps;
}

static void fill_expand(struct zdm_phase *phase)
{
    struct zdm_step *step = steps(phase, 1, ZDM_PHASE_EXPAND, 2);
    step[0] = (struct zdm_step){.ordinal = 1,
                                .id = "1.1",
                                .kind = ZDM_STEP_DDL,
                                .action = ZDM_ACTION_ADD_COLUMN,
                                .engine = ZDM_ENGINE_POSTGRESQL,
                                .lock = ZDM_LOCK_SHORT,
                                .table = users(),
                                .column = text("full_name"),
                                .sql = text("ALTER TABLE public.users ADD COLUMN full_name text -- Größe"),
                                .exact_inverse = true,
                                .inverse = ZDM_INVERSE_SQL,
                                .inverse_sql = text("ALTER TABLE public.users DROP COLUMN full_name")};
    step[1] = (struct zdm_step){.ordinal = 2,
                                .id = "1.2",
                                .kind = ZDM_STEP_SYNC,
                                .action = ZDM_ACTION_SYNC_INSTALL,
                                .table = users(),
                                .derivation = derivation(),
                                .exact_inverse = true,
                                .inverse = ZDM_INVERSE_REMOVE};
}

static void fill_rest(struct zdm_phase *phases)
{
    *steps(&phases[1], 2, ZDM_PHASE_MIGRATE, 1) = (struct zdm_step){.ordinal = 3,
                                                                    .id = "fill",
                                                                    .kind = ZDM_STEP_BACKFILL,
                                                                    .action = ZDM_ACTION_BACKFILL,
                                                                    .sync_step = 2,
                                                                    .table = users(),
                                                                    .derivation = derivation(),
                                                                    .batch_rows = 2000};
    struct zdm_flag *flag = NEW(1, struct zdm_flag);
    *flag = (struct zdm_flag){.key = text("full-name"), .rollout = NEW(2, char *), .n_rollout = 2, .soak_ms = 60000};
    flag->rollout[0] = text("1%");
    flag->rollout[1] = text("100%");
    *steps(&phases[2], 3, ZDM_PHASE_SWITCH, 1) = (struct zdm_step){
        .ordinal = 4, .id = "3.1", .kind = ZDM_STEP_GATE, .action = ZDM_ACTION_GATE_FLAG, .flag = flag};
    *steps(&phases[3], 4, ZDM_PHASE_PURGE, 1) = (struct zdm_step){.ordinal = 5,
                                                                  .id = "4.1",
                                                                  .kind = ZDM_STEP_PURGE,
                                                                  .action = ZDM_ACTION_PURGE_COLUMN,
                                                                  .lock = ZDM_LOCK_LONG,
                                                                  .sync_step = 2,
                                                                  .table = users(),
                                                                  .column = text("name"),
                                                                  .object = text("zdm_hidden_name"),
                                                                  .inverse = ZDM_INVERSE_IMPOSSIBLE};
    phases[3].destructive = true;
    phases[3].approvals = 2;
}

struct zdm_plan *sample_plan(void)
{
    struct zdm_plan *plan = must(zdm_plan_new());
    plan->format = ZDM_PLAN_FORMAT;
    zdm_copy_text(plan->compiler, sizeof plan->compiler, "0.1.0");
    zdm_copy_text(plan->id, sizeof plan->id, "rename-users-name");
    plan->selector = text("region=eu");
    plan->waves = NEW(3, struct zdm_wave);
    plan->n_waves = 3;
    plan->waves[0].selector = text("shard=canary");
    plan->waves[1].percent = 10;
    plan->waves[2].selector = text("");
    plan->wave_soak_ms = 3600000;
    plan->max_parallel = 8;
    plan->failure_budget = 1;
    plan->throttle = (struct zdm_throttle){
        .batch_target_ms = 200, .duty_percent = 50, .max_replica_lag_ms = 5000, .max_stall_ms = 1050};
    plan->grace_ms = 259200000;
    plan->tables = NEW(1, struct zdm_table);
    plan->tables[0] = users();
    plan->n_tables = 1;
    plan->phases = NEW(4, struct zdm_phase);
    plan->n_phases = 4;
    fill_expand(&plan->phases[0]);
    fill_rest(plan->phases);
    return plan;
}

/* ---- a plan of what sample_plan leaves out ---- */

static void fill_waiting(struct zdm_phase *phase)
{
    struct zdm_step *step = steps(phase, 1, ZDM_PHASE_MIGRATE, 2);
    struct zdm_wait_gate *wait = NEW(1, struct zdm_wait_gate);
    *wait =
        (struct zdm_wait_gate){.for_ms = 1800000, .until = text("SELECT true"), .every_ms = 30000, .limit_ms = 7200000};
    step[0] = (struct zdm_step){
        .ordinal = 1, .id = "1.1", .kind = ZDM_STEP_GATE, .action = ZDM_ACTION_GATE_WAIT, .wait = wait};
    step[1] = (struct zdm_step){.ordinal = 2,
                                .id = "1.2",
                                .kind = ZDM_STEP_BACKFILL,
                                .action = ZDM_ACTION_BACKFILL,
                                .table = users(),
                                .derivation = derivation(),
                                .publication_ok = true,
                                .skip_triggers = true};
}

static void fill_as_is(struct zdm_phase *phase)
{
    struct zdm_step *step = steps(phase, 2, ZDM_PHASE_CONTRACT, 1);
    phase->destructive = true;
    step[0] = (struct zdm_step){.ordinal = 3,
                                .id = "2.1",
                                .kind = ZDM_STEP_DDL,
                                .action = ZDM_ACTION_AS_IS,
                                .lock = ZDM_LOCK_SHORT,
                                .table = users(),
                                .sql = text("CREATE VIEW names AS SELECT u.name FROM users u, cities"),
                                .proof_sql = text("SELECT 1 WHERE to_regclass('names') IS NULL"),
                                .others = NEW(1, struct zdm_table),
                                .n_others = 1,
                                .unguarded = true,
                                .rewrite_ok = true,
                                .inverse = ZDM_INVERSE_SQL,
                                .inverse_sql = text("DROP VIEW names")};
    step[0].others[0] = (struct zdm_table){.schema = text("public"), .name = text("cities")};
}

struct zdm_plan *sample_as_is_plan(void)
{
    struct zdm_plan *plan = must(zdm_plan_new());
    plan->format = ZDM_PLAN_FORMAT;
    zdm_copy_text(plan->compiler, sizeof plan->compiler, "0.1.0");
    zdm_copy_text(plan->id, sizeof plan->id, "names");
    plan->engines = ZDM_ENGINE_POSTGRESQL;
    plan->selector = text("");
    plan->waves = NEW(1, struct zdm_wave);
    plan->n_waves = 1;
    plan->waves[0].percent = 100;
    plan->tables = NEW(2, struct zdm_table);
    plan->n_tables = 2;
    plan->tables[0] = users();
    plan->tables[1] = (struct zdm_table){.schema = text("public"), .name = text("cities")};
    plan->phases = NEW(2, struct zdm_phase);
    plan->n_phases = 2;
    fill_waiting(&plan->phases[0]);
    fill_as_is(&plan->phases[1]);
    return plan;
}

struct zdm_notes *sample_notes(void)
{
    struct zdm_notes *notes = NEW(1, struct zdm_notes);
    notes->file = text("users.md");
    notes->title = text("Rename users.name");
    notes->phases = NEW(1, struct zdm_phase_notes);
    notes->n_phases = 1;
    notes->phases[0] = (struct zdm_phase_notes){.title = text("Expand"), .prose = text("Adds the column.\n")};
    notes->steps = NEW(1, struct zdm_step_notes);
    notes->n_steps = 1;
    notes->steps[0] = (struct zdm_step_notes){.line = 12,
                                              .column = 3,
                                              .source = text("ALTER TABLE users …"),
                                              .does = text("adds a column"),
                                              .lock = text("ACCESS EXCLUSIVE"),
                                              .rewritten = true};
    notes->findings = NEW(1, struct zdm_finding);
    notes->n_findings = 1;
    notes->findings[0] = (struct zdm_finding){.level = ZDM_LEVEL_WARNING,
                                              .rule = text("add-column-default"),
                                              .line = 12,
                                              .column = 3,
                                              .message = text("default is volatile"),
                                              .hint = text("Fill it afterwards.")};
    notes->waivers = NEW(1, struct zdm_waiver);
    notes->n_waivers = 1;
    notes->waivers[0] =
        (struct zdm_waiver){.rule = text("published"), .reason = text("they know"), .line = 4, .column = 3};
    return notes;
}

struct zdm_survey *sample_survey(void)
{
    struct zdm_survey *survey = NEW(1, struct zdm_survey);
    *survey = (struct zdm_survey){.engine = ZDM_ENGINE_POSTGRESQL,
                                  .server_version = "15.6",
                                  .node = "db1:5432/shop",
                                  .replicas = 2,
                                  .guarded = 1,
                                  .disk_free_bytes = -1,
                                  .findings = NEW(1, struct zdm_survey_finding),
                                  .n_findings = 1,
                                  .tables = NEW(1, struct zdm_survey_table),
                                  .n_tables = 1,
                                  .steps = NEW(1, struct zdm_survey_step),
                                  .n_steps = 1};
    survey->findings[0] = (struct zdm_survey_finding){.level = ZDM_LEVEL_WARNING,
                                                      .rule = text("published"),
                                                      .step = 3,
                                                      .object = text("public.users"),
                                                      .message = text("is published by \"all\""),
                                                      .hint = text("Give the subscriber the column first.")};
    survey->tables[0] = (struct zdm_survey_table){.name = users(),
                                                  .exists = true,
                                                  .fingerprint = sample_hash(0x71),
                                                  .outline = text("column name text\n"),
                                                  .rows = -1,
                                                  .bytes = 81920,
                                                  .index_bytes = 16384,
                                                  .columns = NEW(1, struct zdm_survey_column),
                                                  .n_columns = 1};
    survey->tables[0].columns[0] = (struct zdm_survey_column){
        .name = text("name"), .type = text("text"), .not_null = true, .default_expr = text("'Größe'::text")};
    survey->steps[0] = (struct zdm_survey_step){.ordinal = 3,
                                                .estimate_ms = 60000,
                                                .room_bytes = 4096,
                                                .observed_lock = ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
                                                .tried = true};
    return survey;
}

/* ---- signed bodies ---- */

static struct zdm_fence fence(void)
{
    return (struct zdm_fence){.epoch = 3, .instance = sample_id(0x31), .generation = 42, .anchor = sample_hash(0x32)};
}

static char **two_shards(void)
{
    char **shards = NEW(2, char *);
    shards[0] = text("eu-1");
    shards[1] = text("eu-2");
    return shards;
}

void sample_approval(struct zdm_approval *out)
{
    *out = (struct zdm_approval){.migration = "rename-users-name",
                                 .plan_hash = sample_hash(0x41),
                                 .phase = 4,
                                 .phase_digest = sample_hash(0x42),
                                 .action = ZDM_APPROVE_PURGE,
                                 .purge_now = true,
                                 .shards = two_shards(),
                                 .n_shards = 2,
                                 .trust_version = 1,
                                 .issued_at_ms = 1700000000000,
                                 .expires_at_ms = 1700000600000,
                                 .nonce = sample_id(0x43)};
}

void sample_undo_order(struct zdm_undo_order *out)
{
    *out = (struct zdm_undo_order){.migration = "rename-users-name",
                                   .plan_hash = sample_hash(0x41),
                                   .to_phase = 1,
                                   .shards = two_shards(),
                                   .n_shards = 2,
                                   .nonce = sample_id(0x44),
                                   .issued_at_ms = 1700000000000,
                                   .expires_at_ms = 1700000600000};
}

static struct zdm_envelope signed_approval(void)
{
    struct zdm_approval approval;
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    sample_approval(&approval);
    zdm_approval_encode(&approval, &body);
    struct zdm_envelope envelope = sample_envelope(ZDM_SIGNED_APPROVAL, body.data, body.len);
    zdm_approval_fini(&approval);
    zdm_buffer_fini(&body);
    return envelope;
}

static struct zdm_envelope signed_undo_order(void)
{
    struct zdm_undo_order order;
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    sample_undo_order(&order);
    zdm_undo_order_encode(&order, &body);
    struct zdm_envelope envelope = sample_envelope(ZDM_SIGNED_UNDO_ORDER, body.data, body.len);
    zdm_undo_order_fini(&order);
    zdm_buffer_fini(&body);
    return envelope;
}

void sample_directive(struct zdm_directive *out)
{
    *out = (struct zdm_directive){.migration = "rename-users-name",
                                  .plan_hash = sample_hash(0x41),
                                  .shard = "eu-1",
                                  .actor = sample_id(0x45),
                                  .fence = fence(),
                                  .goal_phase = 1,
                                  .mode = ZDM_MODE_UNDO,
                                  .attempt = 2,
                                  .throttle = {.batch_target_ms = 100, .duty_percent = 25, .max_replica_lag_ms = 900},
                                  .approvals = NEW(1, struct zdm_envelope),
                                  .n_approvals = 1,
                                  .undo_order = NEW(1, struct zdm_envelope)};
    out->approvals[0] = signed_approval();
    *out->undo_order = signed_undo_order();
}

void sample_trust(struct zdm_trust *out)
{
    *out = (struct zdm_trust){.fleet_name = "shop",
                              .version = 1,
                              .n_roots = 1,
                              .root_threshold = 1,
                              .n_coordinators = 1,
                              .people = NEW(1, struct zdm_person),
                              .n_people = 1,
                              .approvals_min = 2,
                              .four_eyes = true};
    out->roots[0] = sample_key(1).public_key;
    out->coordinators[0] = sample_key(3).public_key;
    out->people[0] =
        (struct zdm_person){.public_key = sample_key(4).public_key, .name = "ann", .roles = ZDM_ROLE_OPERATOR};
}

void sample_request(struct zdm_request *out)
{
    *out = (struct zdm_request){
        .request_id = sample_id(0x51),
        .session = sample_hash(0x52),
        .migration = "rename-users-name",
        .verb = ZDM_VERB_ROLLBACK,
        .shards = {.names = two_shards(), .n_names = 2},
        .has_expect = true,
        .expect_phase = 2,
        .expect_generation = 77,
        .to_phase = 1,
        .only_unfinished = true,
        .plan_hash = sample_hash(0x41),
        .amend = true,
        .throttle = {.batch_target_ms = 1, .duty_percent = 2, .max_replica_lag_ms = 3, .max_stall_ms = 4},
        .payload = signed_undo_order(),
        .target = sample_id(0x53),
        .reason = "checkout is slow",
        .flags_off = true,
        .forward = true};
}

void sample_enrolment(struct zdm_enrolment *out)
{
    *out = (struct zdm_enrolment){.shard = "eu-1",
                                  .labels = {.n = 2, .items = {{"region", "eu"}, {"tier", "gold"}}},
                                  .secret_hash = sample_hash(0x54),
                                  .expires_at_ms = 1700000600000,
                                  .nonce = sample_id(0x55)};
}

void sample_token(struct zdm_token *out)
{
    *out = (struct zdm_token){.urls = {"tcp://10.0.0.1:7433", "tcp://10.0.0.2:7433"},
                              .n_urls = 2,
                              .fleet = sample_id(2),
                              .trust_hash = sample_hash(0x56),
                              .shard = "eu-1",
                              .expires_at_ms = 1700000600000,
                              .secret = {1, 2, 3, 4, 5, 6, 7, 8}};
}

void sample_report(struct zdm_report *out)
{
    *out = (struct zdm_report){
        .number = 9,
        .connected = true,
        .writable = true,
        .engine = ZDM_ENGINE_POSTGRESQL,
        .server_version = "15.6",
        .identity = "7123/1/99",
        .timeline = 4,
        .trust_version = 1,
        .release = "0.1.0",
        .db_error = "could not connect",
        .signals = {{.name = "replica_lag_ms", .state = ZDM_SIGNAL_BAD, .value = -5, .limit = 5000, .since_ms = 12}},
        .n_signals = 1,
        .migrations = NEW(1, struct zdm_migration_report),
        .n_migrations = 1};
    out->migrations[0] = (struct zdm_migration_report){
        .migration = "rename-users-name",
        .accepted = fence(),
        .state = ZDM_AGENT_WAITING,
        .wait = ZDM_WAIT_LOCK,
        .proven = true,
        .proven_phase = 1,
        .step = 3,
        .failed_attempt = 1,
        .undone = true,
        .equivocation = true,
        .progress = {.rows_done = 5, .rows_total = 10, .rows_per_s = 2, .batch_rows = 1, .batch_ms = 100},
        .throttled_by = "replica_lag 5200 ms > 5000 ms",
        .blocked_by = "pid 4242",
        .error_code = ZDM_LOCK,
        .error_sqlstate = "55P03",
        .error = "lock not available",
        .hint = "End what holds it.",
        .evidence = sample_hash(0x57),
        .purged = true,
        .remark = "3 rows were changed since and kept",
        .hidden = {{.what = "column public.users.name",
                    .hidden_at_ms = 1700000000000,
                    .purge_at_ms = 1700259200000,
                    .by_rollback = true,
                    .scans = 7},
                   {.what = "before-images of 1.2", .hidden_at_ms = 1700000000001, .purge_at_ms = 1700259200001}},
        .n_hidden = 2,
        .hidden_total = 5};
}

/* ---- frames ---- */

static struct zdm_piece piece(void)
{
    static const uint8_t bytes[] = "the bytes";
    return (struct zdm_piece){.hash = sample_hash(0x61), .total = 100, .offset = 20, .bytes = bytes, .n = 9};
}

static void fill_envelopes(struct zdm_frame *frame)
{
    frame->u.envelopes.items = NEW(2, struct zdm_envelope);
    frame->u.envelopes.items[0] = signed_approval();
    frame->u.envelopes.items[1] = signed_undo_order();
    frame->u.envelopes.n = 2;
}

static void fill_answer(struct zdm_frame *frame)
{
    frame->u.answer.request_id = sample_id(0x51);
    frame->u.answer.code = ZDM_REFUSED;
    frame->u.answer.seq = 12;
    zdm_copy_text(frame->u.answer.message, sizeof frame->u.answer.message, "migration moved");
    zdm_copy_text(frame->u.answer.detail, sizeof frame->u.answer.detail, "Phase 2 is open.");
    zdm_copy_text(frame->u.answer.hint, sizeof frame->u.answer.hint, "Look again.");
}

static void fill_rows(struct zdm_frame *frame)
{
    frame->u.rows.id = 5;
    frame->u.rows.last = true;
    frame->u.rows.code = ZDM_NOT_FOUND;
    zdm_copy_text(frame->u.rows.message, sizeof frame->u.rows.message, "no such migration");
    frame->u.rows.bytes = (const uint8_t *)"{}";
    frame->u.rows.n = 2;
}

static void fill_survey(struct zdm_frame *frame)
{
    frame->u.survey.id = 77;
    frame->u.survey.code = ZDM_REFUSED;
    zdm_copy_text(frame->u.survey.message, sizeof frame->u.survey.message, "nobody signed that");
    frame->u.survey.total = 100;
    frame->u.survey.offset = 91;
    frame->u.survey.bytes = (const uint8_t *)"the bytes";
    frame->u.survey.n = 9;
}

static void fill_small(struct zdm_frame *frame)
{
    if (frame->type == ZDM_FRAME_TRUST_REQUEST) {
        frame->u.trust_request.from_version = 3;
    } else if (frame->type == ZDM_FRAME_JOIN) {
        memset(frame->u.join.secret, 7, sizeof frame->u.join.secret);
        zdm_copy_text(frame->u.join.release, sizeof frame->u.join.release, "0.1.0");
    } else if (frame->type == ZDM_FRAME_WELCOME) {
        frame->u.welcome.epoch = 3;
        zdm_copy_text(frame->u.welcome.name, sizeof frame->u.welcome.name, "eu-1");
        zdm_copy_text(frame->u.welcome.release, sizeof frame->u.welcome.release, "0.1.0");
        frame->u.welcome.trust_version = 2;
    } else if (frame->type == ZDM_FRAME_ACK) {
        frame->u.ack.number = 9;
        frame->u.ack.lease_ms = 300000;
    } else if (frame->type == ZDM_FRAME_SURVEY_ORDER) {
        frame->u.survey_order.id = 77;
        frame->u.survey_order.plan_hash = sample_hash(0x41);
    } else if (frame->type == ZDM_FRAME_BYE) {
        zdm_copy_text(frame->u.bye.why, sizeof frame->u.bye.why, "not the leader");
        zdm_copy_text(frame->u.bye.leader_url, sizeof frame->u.bye.leader_url, "tcp://10.0.0.2:7433");
    } else {
        frame->u.query.kind = ZDM_QUERY_HISTORY;
        frame->u.query.id = 5;
        zdm_copy_text(frame->u.query.migration, sizeof frame->u.query.migration, "rename-users-name");
        frame->u.query.from_seq = 7;
        frame->u.query.limit = 100;
        frame->u.query.plan_hash = sample_hash(0x41);
    }
}

bool sample_frame(unsigned type, struct zdm_frame *out)
{
    memset(out, 0, sizeof *out);
    out->type = (enum zdm_frame_type)type;
    if (strcmp(zdm_frame_type_name(out->type), "?") == 0)
        return false;
    if (type == ZDM_FRAME_REPORT)
        sample_report(&out->u.report);
    else if (type == ZDM_FRAME_PLAN_REQUEST || type == ZDM_FRAME_PLAN_PIECE || type == ZDM_FRAME_UPLOAD)
        out->u.piece = piece();
    else if (type == ZDM_FRAME_ORDERS || type == ZDM_FRAME_TRUST)
        fill_envelopes(out);
    else if (type == ZDM_FRAME_JOINED)
        out->u.joined.enrolment = signed_approval();
    else if (type == ZDM_FRAME_REQUEST)
        out->u.request = signed_approval();
    else if (type == ZDM_FRAME_ANSWER)
        fill_answer(out);
    else if (type == ZDM_FRAME_ROWS || type == ZDM_FRAME_PUSH)
        fill_rows(out);
    else if (type == ZDM_FRAME_SURVEY)
        fill_survey(out);
    else
        fill_small(out);
    return true;
}
