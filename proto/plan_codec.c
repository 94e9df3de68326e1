/*
 * plan_codec.c - plans as bytes, and their hash. See codec.h.
 *
 * Header and phases are messages of their own inside the plan's message, so that the digest of each is over exact bytes
 * and a changed phase shows as exactly one changed digest.
 */
#include "proto/codec.h"

#include <stdlib.h>
#include <string.h>

#include "proto/messages.h"
#include "zdm/v1/plan.pb-c.h"

enum {
    COLUMNS_MAX = 1600, /* of a table: PostgreSQL's own bound */
    ROLLOUT_MAX = 32,
    OTHERS_MAX = 64, /* tables that one statement locks beside its own */
    TABLES_MAX = ZDM_STEPS_MAX,
    SQL_MAX = ZDM_PLAN_MAX
};

_Static_assert(ZDM_PHASE_PURGE == (int)ZDM__V1__PHASE_CLASS__PHASE_CLASS_PURGE, "enum PhaseClass");
_Static_assert(ZDM_STEP_GATE == (int)ZDM__V1__STEP_KIND__STEP_KIND_GATE, "enum StepKind");
_Static_assert(ZDM_ACTION_LAST == (int)ZDM__V1__ACTION__ACTION_SHOW_COLUMN, "enum Action");
_Static_assert(ZDM_LOCK_LONG == (int)ZDM__V1__LOCK_CLASS__LOCK_CLASS_LONG, "enum LockClass");
_Static_assert(ZDM_INVERSE_FORMER == (int)ZDM__V1__INVERSE__INVERSE_FORMER, "enum Inverse");

static const struct zdm_field table_fields[] = {
    F_STRING(zdm_table, schema, ZDM_IDENTIFIER_MAX, ZDM_KEEP_EMPTY),
    F_STRING(zdm_table, name, ZDM_IDENTIFIER_MAX, 0), /* a type, or an index, names its schema alone */
};
static const struct zdm_message table_message = ZDM_MESSAGE(zdm_table, zdm__v1__table__descriptor, table_fields, NULL);

static const struct zdm_field assignment_fields[] = {
    F_STRING(zdm_assignment, target, ZDM_IDENTIFIER_MAX, ZDM_REQUIRED),
    F_STRING(zdm_assignment, expr, SQL_MAX, ZDM_REQUIRED),
    F_STRING(zdm_assignment, expr_new, SQL_MAX, 0),
    F_STRING(zdm_assignment, copy_of, ZDM_IDENTIFIER_MAX, 0),
    F_STRING(zdm_assignment, initial, SQL_MAX, 0),
    F_BOOL(zdm_assignment, added),
    F_BOOL(zdm_assignment, fill_once),
};
static const struct zdm_message assignment_message =
    ZDM_MESSAGE(zdm_assignment, zdm__v1__assignment__descriptor, assignment_fields, NULL);

static const struct zdm_field derivation_fields[] = {
    F_ARRAY(zdm_derivation, assignments, n_assignments, COLUMNS_MAX, &assignment_message),
    F_STRINGS(zdm_derivation, sources, n_sources, COLUMNS_MAX, ZDM_IDENTIFIER_MAX, ZDM_REQUIRED),
    F_STRING(zdm_derivation, guard, SQL_MAX, 0),
    F_STRING(zdm_derivation, filter, SQL_MAX, 0),
    F_STRING(zdm_derivation, filter_new, SQL_MAX, 0),
    F_STRING(zdm_derivation, filter_old, SQL_MAX, 0),
    F_BOOL(zdm_derivation, both_ways),
    F_BOOL(zdm_derivation, idempotent),
};
static const struct zdm_message derivation_message =
    ZDM_MESSAGE(zdm_derivation, zdm__v1__derivation__descriptor, derivation_fields, NULL);

static const struct zdm_field flag_fields[] = {
    F_STRING(zdm_flag, key, ZDM_TEXT_MAX, ZDM_REQUIRED),
    F_STRINGS(zdm_flag, rollout, n_rollout, ROLLOUT_MAX, ZDM_TEXT_MAX, ZDM_REQUIRED),
    F_I64(zdm_flag, soak_ms, 0),
};
static const struct zdm_message flag_message = ZDM_MESSAGE(zdm_flag, zdm__v1__flag__descriptor, flag_fields, NULL);

static const struct zdm_field wait_gate_fields[] = {
    F_I64(zdm_wait_gate, for_ms, 0),
    F_STRING(zdm_wait_gate, until, SQL_MAX, 0),
    F_I64(zdm_wait_gate, every_ms, 0),
    F_I64(zdm_wait_gate, limit_ms, 0),
};
static const struct zdm_message wait_gate_message =
    ZDM_MESSAGE(zdm_wait_gate, zdm__v1__wait_gate__descriptor, wait_gate_fields, NULL);

static const struct zdm_field step_fields[] = {
    F_U32(zdm_step, ordinal, ZDM_REQUIRED),
    F_TEXT(zdm_step, id, ZDM_REQUIRED),
    F_ENUM(zdm_step, kind, zdm_step_kind, ZDM_REQUIRED),
    F_ENUM(zdm_step, action, zdm_action, ZDM_REQUIRED),
    F_ENUM(zdm_step, engine, zdm_engine, 0),
    F_ENUM(zdm_step, lock, zdm_lock_class, 0),
    F_U32(zdm_step, sync_step, 0),
    F_MESSAGE(zdm_step, table, &table_message),
    F_STRING(zdm_step, column, ZDM_IDENTIFIER_MAX, 0),
    F_STRING(zdm_step, object, ZDM_IDENTIFIER_MAX, 0),
    F_STRING(zdm_step, sql, SQL_MAX, 0),
    F_POINTER(zdm_step, derivation, &derivation_message),
    F_POINTER(zdm_step, flag, &flag_message),
    F_U32(zdm_step, batch_rows, 0),
    F_BOOL(zdm_step, exact_inverse),
    F_ENUM(zdm_step, inverse, zdm_inverse_kind, 0),
    F_STRING(zdm_step, inverse_sql, SQL_MAX, 0),
    F_ARRAY(zdm_step, others, n_others, OTHERS_MAX, &table_message),
    F_STRING(zdm_step, proof_sql, SQL_MAX, 0),
    F_POINTER(zdm_step, wait, &wait_gate_message),
    F_BOOL(zdm_step, unguarded),
    F_BOOL(zdm_step, publication_ok),
    F_BOOL(zdm_step, skip_triggers),
    F_BOOL(zdm_step, rewrite_ok),
};
static const struct zdm_message step_message = ZDM_MESSAGE(zdm_step, zdm__v1__step__descriptor, step_fields, NULL);

static const struct zdm_field phase_fields[] = {
    F_U32(zdm_phase, number, ZDM_REQUIRED),
    F_ENUM(zdm_phase, class, zdm_phase_class, ZDM_REQUIRED),
    F_BOOL(zdm_phase, destructive),
    F_U32(zdm_phase, approvals, 0),
    F_ARRAY(zdm_phase, steps, n_steps, ZDM_STEPS_MAX, &step_message),
};
const struct zdm_message zdm_plan_phase_message =
    ZDM_MESSAGE(zdm_phase, zdm__v1__plan_phase__descriptor, phase_fields, NULL);

/* A wave that is no percentage has a selector, the empty one included. */
static enum zdm_code check_wave(void *object, struct zdm_error *err)
{
    struct zdm_wave *wave = object;
    if (wave->percent != 0 || wave->selector != NULL)
        return ZDM_OK;
    wave->selector = zdm_strdup("");
    return wave->selector != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static const struct zdm_field wave_fields[] = {
    F_STRING(zdm_wave, selector, ZDM_FRAME_MAX, 0),
    F_U32(zdm_wave, percent, 0),
};
static const struct zdm_message wave_message =
    ZDM_MESSAGE(zdm_wave, zdm__v1__wave__descriptor, wave_fields, check_wave);

static const struct zdm_field header_fields[] = {
    F_U32(zdm_plan, format, ZDM_REQUIRED),
    F_TEXT(zdm_plan, compiler, ZDM_REQUIRED),
    F_TEXT(zdm_plan, id, ZDM_REQUIRED | ZDM_NAMED),
    F_STRING(zdm_plan, selector, ZDM_FRAME_MAX, ZDM_KEEP_EMPTY),
    F_ARRAY(zdm_plan, waves, n_waves, ZDM_WAVES_MAX, &wave_message),
    F_I64(zdm_plan, wave_soak_ms, 0),
    F_U32(zdm_plan, max_parallel, 0),
    F_U32(zdm_plan, failure_budget, 0),
    F_MESSAGE(zdm_plan, throttle, &zdm_throttle_message),
    F_I64(zdm_plan, grace_ms, 0),
    F_ARRAY(zdm_plan, tables, n_tables, TABLES_MAX, &table_message),
    F_U32(zdm_plan, engines, 0),
};
const struct zdm_message zdm_plan_header_message =
    ZDM_MESSAGE(zdm_plan, zdm__v1__plan_header__descriptor, header_fields, NULL);

/* ---- digests ---- */

/* Digests of header and phases from their exact bytes, and the hash over all of them. */
static void set_hash(const struct zdm_crypto *crypto, struct zdm_plan *plan, const Zdm__V1__Plan *parts)
{
    static const uint8_t label[16] = "zdm-plan-v1";
    struct zdm_hash digests[1 + ZDM_PHASES_MAX];
    zdm_hash_bytes(crypto, &digests[0], sizeof digests[0], parts->header.data, parts->header.len);
    for (size_t i = 0; i < plan->n_phases; i++) {
        zdm_hash_bytes(crypto, &digests[1 + i], sizeof digests[0], parts->phases[i].data, parts->phases[i].len);
        plan->phases[i].digest = digests[1 + i];
    }
    zdm_hash_pair(crypto, plan->hash.bytes, sizeof plan->hash.bytes, label, sizeof label, digests,
                  (1 + plan->n_phases) * sizeof digests[0]);
}

/* ---- encode ---- */

static bool encode_part(const struct zdm_message *message, const void *object, struct zdm_buffer *part,
                        ProtobufCBinaryData *out)
{
    zdm_message_encode(message, object, part);
    *out = (ProtobufCBinaryData){.len = part->len, .data = part->data};
    return !part->failed;
}

void zdm_plan_encode(const struct zdm_crypto *crypto, struct zdm_plan *plan, struct zdm_buffer *out)
{
    struct zdm_buffer parts[1 + ZDM_PHASES_MAX] = {ZDM_BUFFER_INIT};
    ProtobufCBinaryData phases[ZDM_PHASES_MAX];
    Zdm__V1__Plan message = ZDM__V1__PLAN__INIT;
    message.phases = phases;
    message.n_phases = plan->n_phases;
    bool whole =
        plan->n_phases <= ZDM_PHASES_MAX && encode_part(&zdm_plan_header_message, plan, &parts[0], &message.header);
    for (size_t i = 0; whole && i < plan->n_phases; i++)
        whole = encode_part(&zdm_plan_phase_message, &plan->phases[i], &parts[1 + i], &phases[i]);
    if (whole) {
        set_hash(crypto, plan, &message);
        zdm_message_pack(&message.base, out);
    } else {
        out->failed = true;
    }
    for (size_t i = 0; i <= ZDM_PHASES_MAX; i++)
        zdm_buffer_fini(&parts[i]);
}

/* ---- decode ---- */

static enum zdm_code decode_phases(const Zdm__V1__Plan *parts, struct zdm_plan *plan, struct zdm_error *err)
{
    if (parts->n_phases == 0 || parts->n_phases > ZDM_PHASES_MAX)
        return zdm_error_set(err, ZDM_PROTOCOL, "plan: phases: has %zu entries, not 1 to %d", parts->n_phases,
                             ZDM_PHASES_MAX);
    plan->phases = calloc(parts->n_phases, sizeof *plan->phases);
    if (plan->phases == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    for (; plan->n_phases < parts->n_phases; plan->n_phases++) {
        const ProtobufCBinaryData *part = &parts->phases[plan->n_phases];
        enum zdm_code code = zdm_message_decode(&zdm_plan_phase_message, "plan: phase", part->data, part->len,
                                                ZDM_UNPACK_MAX, &plan->phases[plan->n_phases], err);
        if (code != ZDM_OK)
            return code;
    }
    return ZDM_OK;
}

static enum zdm_code decode_parts(const struct zdm_crypto *crypto, const Zdm__V1__Plan *parts, struct zdm_plan *plan,
                                  struct zdm_error *err)
{
    enum zdm_code code = zdm_message_decode(&zdm_plan_header_message, "plan: header", parts->header.data,
                                            parts->header.len, ZDM_UNPACK_MAX, plan, err);
    plan->refs = 1; /* decoding a header gives a plan without holders */
    if (code == ZDM_OK)
        code = decode_phases(parts, plan, err);
    if (code != ZDM_OK)
        return code;
    set_hash(crypto, plan, parts);
    if (zdm_plan_validate(plan, err) == ZDM_OK) {
        zdm_plan_link(plan);
        return ZDM_OK;
    }
    err->code = ZDM_PROTOCOL;
    return zdm_error_wrap(err, "plan");
}

enum zdm_code zdm_plan_decode(const struct zdm_crypto *crypto, const void *bytes, size_t n, struct zdm_plan **out,
                              struct zdm_error *err)
{
    struct zdm_arena arena = {.left = ZDM_UNPACK_MAX};
    ProtobufCMessage *parts;
    if (n > ZDM_PLAN_MAX)
        return zdm_error_set(err, ZDM_PROTOCOL, "plan: is longer than %d bytes", ZDM_PLAN_MAX);
    ZDM_CLEANUP(zdm_plan_unrefp) struct zdm_plan *plan = zdm_plan_new();
    if (plan == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    enum zdm_code code = zdm_message_unpack(&zdm__v1__plan__descriptor, "plan", bytes, n, &arena, &parts, err);
    if (code == ZDM_OK)
        code = decode_parts(crypto, (const Zdm__V1__Plan *)(void *)parts, plan, err);
    zdm_arena_fini(&arena);
    if (code == ZDM_OK) {
        *out = plan;
        plan = NULL;
    }
    return code;
}
