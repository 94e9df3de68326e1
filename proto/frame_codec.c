/*
 * frame_codec.c - frames of a session: one row a type says its name, its body's table and who may send it. See codec.h.
 *
 * The type of a frame is the number of its field in message Frame.
 *
 * Frames in which a peer speaks for itself may grow: a field that this release does not know is skipped, so that
 * releases next to each other work together. They are neither signed nor hashed nor stored, and come from a peer that
 * the session has authenticated. What carries envelopes or pieces stays strict.
 */
#include "proto/codec.h"

#include <stdlib.h>
#include <string.h>

#include "proto/messages.h"
#include "zdm/v1/frame.pb-c.h"

enum {
    REPORTED_MAX = 64,   /* migrations in one report; a frame's size bounds it further */
    ENVELOPES_MAX = 1024 /* in one frame */
};

_Static_assert(ZDM_AGENT_UNSURE == (int)ZDM__V1__AGENT_STATE__AGENT_STATE_UNSURE, "enum AgentState");
_Static_assert(ZDM_WAIT_GATE == (int)ZDM__V1__WAIT__WAIT_GATE, "enum Wait");
_Static_assert(ZDM_SIGNAL_STALE == (int)ZDM__V1__SIGNAL_STATE__SIGNAL_STATE_STALE, "enum SignalState");
_Static_assert(ZDM_QUERY_CHECK == (int)ZDM__V1__QUERY_KIND__QUERY_KIND_CHECK, "enum QueryKind");

/* ---- report ---- */

static const struct zdm_field signal_fields[] = {
    F_TEXT(zdm_signal, name, ZDM_REQUIRED),
    F_ENUM(zdm_signal, state, zdm_signal_state, ZDM_REQUIRED),
    F_I64(zdm_signal, value, 0),
    F_I64(zdm_signal, limit, 0),
    F_I64(zdm_signal, since_ms, 0),
};
static const struct zdm_message signal_message =
    ZDM_MESSAGE(zdm_signal, zdm__v1__signal__descriptor, signal_fields, NULL);

static const struct zdm_field progress_fields[] = {
    F_U64(zdm_progress, rows_done, 0),  F_U64(zdm_progress, rows_total, 0), F_U32(zdm_progress, rows_per_s, 0),
    F_U32(zdm_progress, batch_rows, 0), F_U32(zdm_progress, batch_ms, 0),
};
static const struct zdm_message progress_message =
    ZDM_MESSAGE(zdm_progress, zdm__v1__progress__descriptor, progress_fields, NULL);

static const struct zdm_field hidden_fields[] = {
    F_TEXT(zdm_hidden, what, 0),     F_I64(zdm_hidden, hidden_at_ms, 0), F_I64(zdm_hidden, purge_at_ms, 0),
    F_BOOL(zdm_hidden, by_rollback), F_I64(zdm_hidden, scans, 0),
};
static const struct zdm_message hidden_message =
    ZDM_MESSAGE(zdm_hidden, zdm__v1__hidden__descriptor, hidden_fields, NULL);

static const struct zdm_field migration_report_fields[] = {
    F_TEXT(zdm_migration_report, migration, ZDM_REQUIRED | ZDM_NAMED),
    F_MESSAGE(zdm_migration_report, accepted, &zdm_fence_message),
    F_ENUM(zdm_migration_report, state, zdm_agent_state, ZDM_REQUIRED),
    F_ENUM(zdm_migration_report, wait, zdm_wait, 0),
    F_BOOL(zdm_migration_report, proven),
    F_U32(zdm_migration_report, proven_phase, 0),
    F_U32(zdm_migration_report, step, 0),
    F_U32(zdm_migration_report, failed_attempt, 0),
    F_BOOL(zdm_migration_report, undone),
    F_BOOL(zdm_migration_report, equivocation),
    F_MESSAGE(zdm_migration_report, progress, &progress_message),
    F_TEXT(zdm_migration_report, throttled_by, 0),
    F_TEXT(zdm_migration_report, blocked_by, 0),
    F_CODE(zdm_migration_report, error_code),
    F_TEXT(zdm_migration_report, error_sqlstate, 0),
    F_TEXT(zdm_migration_report, error, 0),
    F_HASH(zdm_migration_report, evidence, 0),
    F_BOOL(zdm_migration_report, purged),
    F_TEXT(zdm_migration_report, remark, 0),
    F_FIXED(zdm_migration_report, hidden, n_hidden, &hidden_message),
    F_U32(zdm_migration_report, hidden_total, 0),
    F_TEXT(zdm_migration_report, hint, 0),
};
static const struct zdm_message migration_report_message =
    ZDM_MESSAGE(zdm_migration_report, zdm__v1__migration_report__descriptor, migration_report_fields, NULL);

static const struct zdm_field report_fields[] = {
    F_U64(zdm_report, number, ZDM_REQUIRED),
    F_BOOL(zdm_report, connected),
    F_BOOL(zdm_report, writable),
    F_ENUM(zdm_report, engine, zdm_engine, 0),
    F_TEXT(zdm_report, server_version, 0),
    F_TEXT(zdm_report, identity, 0),
    F_U64(zdm_report, timeline, 0),
    F_U32(zdm_report, trust_version, 0),
    F_TEXT(zdm_report, release, 0),
    F_TEXT(zdm_report, db_error, 0),
    F_FIXED(zdm_report, signals, n_signals, &signal_message),
    F_ARRAY(zdm_report, migrations, n_migrations, REPORTED_MAX, &migration_report_message),
};
const struct zdm_message zdm_report_message = ZDM_MESSAGE(zdm_report, zdm__v1__report__descriptor, report_fields, NULL);

/* ---- bodies that are members of struct zdm_frame ---- */

#define BODY(name, rows, check) ZDM_MESSAGE(zdm_frame, zdm__v1__##name##__descriptor, rows, check)

static const struct zdm_field plan_request_fields[] = {
    F_HASH(zdm_frame, u.piece.hash, ZDM_REQUIRED),
    F_U32(zdm_frame, u.piece.offset, 0),
};
static const struct zdm_message plan_request_message = BODY(plan_request, plan_request_fields, NULL);

static const struct zdm_field trust_request_fields[] = {F_U32(zdm_frame, u.trust_request.from_version, 0)};
static const struct zdm_message trust_request_message = BODY(trust_request, trust_request_fields, NULL);

static const struct zdm_field join_fields[] = {
    F_RAW(zdm_frame, u.join.secret, ZDM_REQUIRED),
    F_TEXT(zdm_frame, u.join.release, 0),
};
static const struct zdm_message join_message = BODY(join, join_fields, NULL);

static const struct zdm_field welcome_fields[] = {
    F_U64(zdm_frame, u.welcome.epoch, 0),
    F_TEXT(zdm_frame, u.welcome.name, ZDM_NAMED),
    F_TEXT(zdm_frame, u.welcome.release, 0),
    F_U32(zdm_frame, u.welcome.trust_version, 0),
};
static const struct zdm_message welcome_message = BODY(welcome, welcome_fields, NULL);

static const struct zdm_field envelopes_fields[] = {
    F_ARRAY(zdm_frame, u.envelopes.items, u.envelopes.n, ENVELOPES_MAX, &zdm_envelope_message)};
static const struct zdm_message envelopes_message = BODY(envelopes, envelopes_fields, NULL);

static const struct zdm_field ack_fields[] = {
    F_U64(zdm_frame, u.ack.number, ZDM_REQUIRED),
    F_U32(zdm_frame, u.ack.lease_ms, 0),
};
static const struct zdm_message ack_message = BODY(ack, ack_fields, NULL);

static enum zdm_code check_piece(void *object, struct zdm_error *err)
{
    const struct zdm_piece *piece = &((const struct zdm_frame *)object)->u.piece;
    if (piece->offset > piece->total || piece->n > piece->total - piece->offset)
        return zdm_error_set(err, ZDM_PROTOCOL, "bytes: lie outside the total");
    return ZDM_OK;
}

static const struct zdm_field piece_fields[] = {
    F_HASH(zdm_frame, u.piece.hash, ZDM_REQUIRED),
    F_U32(zdm_frame, u.piece.total, ZDM_REQUIRED),
    F_U32(zdm_frame, u.piece.offset, 0),
    F_TAIL(zdm_frame, u.piece.bytes, u.piece.n, ZDM_PIECE_MAX),
};
static const struct zdm_message piece_message = BODY(piece, piece_fields, check_piece);

static enum zdm_code check_joined(void *object, struct zdm_error *err)
{
    if (((const struct zdm_frame *)object)->u.joined.enrolment.bytes == NULL)
        return zdm_error_set(err, ZDM_PROTOCOL, "enrolment: is missing");
    return ZDM_OK;
}

static const struct zdm_field joined_fields[] = {F_MESSAGE(zdm_frame, u.joined.enrolment, &zdm_envelope_message)};
static const struct zdm_message joined_message = BODY(joined, joined_fields, check_joined);

static const struct zdm_field bye_fields[] = {
    F_TEXT(zdm_frame, u.bye.why, 0),
    F_TEXT(zdm_frame, u.bye.leader_url, 0),
};
static const struct zdm_message bye_message = BODY(bye, bye_fields, NULL);

static const struct zdm_field survey_order_fields[] = {
    F_U64(zdm_frame, u.survey_order.id, ZDM_REQUIRED),
    F_HASH(zdm_frame, u.survey_order.plan_hash, 0),
};
static const struct zdm_message survey_order_message = BODY(survey_order, survey_order_fields, NULL);

static enum zdm_code check_survey_piece(void *object, struct zdm_error *err)
{
    const struct zdm_frame *frame = object;
    uint32_t total = frame->u.survey.total, offset = frame->u.survey.offset;
    bool said = frame->u.survey.code != ZDM_OK;
    if (total > ZDM_SURVEY_MAX || (total == 0 && !said))
        return zdm_error_set(err, ZDM_PROTOCOL, "total: is not between 1 and %d", ZDM_SURVEY_MAX);
    if ((frame->u.survey.n == 0 && !said) || offset > total || frame->u.survey.n > total - offset)
        return zdm_error_set(err, ZDM_PROTOCOL, "bytes: lie outside the total");
    return ZDM_OK;
}

static const struct zdm_field survey_fields[] = {
    F_U64(zdm_frame, u.survey.id, ZDM_REQUIRED), F_CODE(zdm_frame, u.survey.code),
    F_TEXT(zdm_frame, u.survey.message, 0),      F_U32(zdm_frame, u.survey.total, 0),
    F_U32(zdm_frame, u.survey.offset, 0),        F_TAIL(zdm_frame, u.survey.bytes, u.survey.n, ZDM_PIECE_MAX),
};
static const struct zdm_message survey_piece_message =
    ZDM_MESSAGE(zdm_frame, zdm__v1__survey_piece__descriptor, survey_fields, check_survey_piece);

static const struct zdm_field query_fields[] = {
    F_ENUM(zdm_frame, u.query.kind, zdm_query_kind, ZDM_REQUIRED),
    F_U32(zdm_frame, u.query.id, 0),
    F_TEXT(zdm_frame, u.query.migration, ZDM_NAMED),
    F_U64(zdm_frame, u.query.from_seq, 0),
    F_U32(zdm_frame, u.query.limit, 0),
    F_HASH(zdm_frame, u.query.plan_hash, 0),
};
static const struct zdm_message query_message = BODY(query, query_fields, NULL);

static const struct zdm_field answer_fields[] = {
    F_ID(zdm_frame, u.answer.request_id, ZDM_REQUIRED),
    F_CODE(zdm_frame, u.answer.code),
    F_U64(zdm_frame, u.answer.seq, 0),
    F_TEXT(zdm_frame, u.answer.message, 0),
    F_TEXT(zdm_frame, u.answer.detail, 0),
    F_TEXT(zdm_frame, u.answer.hint, 0),
};
static const struct zdm_message answer_message = BODY(answer, answer_fields, NULL);

static const struct zdm_field rows_fields[] = {
    F_U32(zdm_frame, u.rows.id, 0),
    F_BOOL(zdm_frame, u.rows.last),
    F_CODE(zdm_frame, u.rows.code),
    F_TEXT(zdm_frame, u.rows.message, 0),
    F_TAIL(zdm_frame, u.rows.bytes, u.rows.n, ZDM_PIECE_MAX),
};
static const struct zdm_message rows_message = BODY(rows, rows_fields, NULL);

/* ---- types ---- */

enum {
    AGENT = ZDM_SENDER_AGENT,
    JOINER = ZDM_SENDER_JOINER,
    PERSON = ZDM_SENDER_PERSON,
    TO_AGENT = ZDM_SENDER_COORDINATOR_TO_AGENT,
    TO_JOINER = ZDM_SENDER_COORDINATOR_TO_JOINER,
    TO_PERSON = ZDM_SENDER_COORDINATOR_TO_PERSON,
    BASE = 0,
    REPORT_AT = offsetof(struct zdm_frame, u.report),
    REQUEST_AT = offsetof(struct zdm_frame, u.request)
};

static const struct row {
    const char *name;
    const struct zdm_message *body;
    size_t offset; /* in struct zdm_frame, of what the body's table describes */
    unsigned senders;
    bool grows; /* unknown fields are skipped */
} rows[] = {
    [ZDM_FRAME_REPORT] = {"report", &zdm_report_message, REPORT_AT, AGENT, true},
    [ZDM_FRAME_PLAN_REQUEST] = {"plan_request", &plan_request_message, BASE, AGENT, true},
    [ZDM_FRAME_TRUST_REQUEST] = {"trust_request", &trust_request_message, BASE, AGENT | JOINER, true},
    [ZDM_FRAME_JOIN] = {"join", &join_message, BASE, JOINER, true},
    [ZDM_FRAME_SURVEY] = {"survey", &survey_piece_message, BASE, AGENT, false},
    [ZDM_FRAME_WELCOME] = {"welcome", &welcome_message, BASE, TO_AGENT | TO_JOINER | TO_PERSON, true},
    [ZDM_FRAME_ORDERS] = {"orders", &envelopes_message, BASE, TO_AGENT, false},
    [ZDM_FRAME_ACK] = {"ack", &ack_message, BASE, TO_AGENT, true},
    [ZDM_FRAME_PLAN_PIECE] = {"plan_piece", &piece_message, BASE, TO_AGENT, false},
    [ZDM_FRAME_TRUST] = {"trust", &envelopes_message, BASE, TO_AGENT | TO_JOINER, false},
    [ZDM_FRAME_JOINED] = {"joined", &joined_message, BASE, TO_JOINER, false},
    [ZDM_FRAME_BYE] = {"bye", &bye_message, BASE, TO_AGENT | TO_JOINER | TO_PERSON, true},
    [ZDM_FRAME_SURVEY_ORDER] = {"survey_order", &survey_order_message, BASE, TO_AGENT, true},
    [ZDM_FRAME_UPLOAD] = {"upload", &piece_message, BASE, PERSON, false},
    [ZDM_FRAME_REQUEST] = {"request", &zdm_envelope_message, REQUEST_AT, PERSON, false},
    [ZDM_FRAME_QUERY] = {"query", &query_message, BASE, PERSON, true},
    [ZDM_FRAME_WATCH] = {"watch", &query_message, BASE, PERSON, true},
    [ZDM_FRAME_ANSWER] = {"answer", &answer_message, BASE, TO_PERSON, true},
    [ZDM_FRAME_ROWS] = {"rows", &rows_message, BASE, TO_PERSON, false},
    [ZDM_FRAME_PUSH] = {"push", &rows_message, BASE, TO_PERSON, false},
};

static const struct row *find_row(unsigned type)
{
    return type < sizeof rows / sizeof *rows && rows[type].name != NULL ? &rows[type] : NULL;
}

const char *zdm_frame_type_name(enum zdm_frame_type type)
{
    const struct row *row = find_row((unsigned)type);
    return row != NULL ? row->name : "?";
}

bool zdm_frame_allowed(enum zdm_frame_type type, enum zdm_frame_sender sender)
{
    const struct row *row = find_row((unsigned)type);
    return row != NULL && (row->senders & (unsigned)sender) != 0;
}

const struct zdm_message *zdm_frame_body_message(unsigned type)
{
    const struct row *row = find_row(type);
    return row != NULL ? row->body : NULL;
}

/* ---- encode, decode, free ---- */

void zdm_frame_encode(const struct zdm_frame *frame, struct zdm_buffer *out)
{
    struct zdm_arena arena = {.left = ZDM_UNPACK_MAX};
    Zdm__V1__Frame message = ZDM__V1__FRAME__INIT;
    const struct row *row = find_row((unsigned)frame->type);
    ProtobufCMessage *body =
        row != NULL ? zdm_message_build(&arena, row->body, (const uint8_t *)frame + row->offset) : NULL;
    if (body != NULL) {
        message.body_case = (Zdm__V1__Frame__BodyCase)frame->type;
        message.report = (Zdm__V1__Report *)(void *)body; /* whichever it is: they share one place */
        zdm_message_pack(&message.base, out);
    } else {
        out->failed = true;
    }
    zdm_arena_fini(&arena);
}

static enum zdm_code decode_body(const void *bytes, size_t n, const ProtobufCMessage *unpacked, struct zdm_frame *frame,
                                 bool *out_skipped, struct zdm_error *err)
{
    const Zdm__V1__Frame *message = (const Zdm__V1__Frame *)(const void *)unpacked;
    const struct row *row = find_row((unsigned)message->body_case);
    if (row == NULL)
        return zdm_error_set(err, ZDM_PROTOCOL, "frame has no body");
    void *object = (uint8_t *)frame + row->offset;
    frame->type = (enum zdm_frame_type)message->body_case;
    const ProtobufCMessage *body = (const ProtobufCMessage *)(const void *)message->report;
    enum zdm_code code = row->grows ? zdm_message_read_open(row->body, body, object, out_skipped, err)
                                    : zdm_message_read(row->body, body, bytes, n, object, err);
    if (code != ZDM_OK) {
        zdm_message_release(row->body, object);
        return zdm_error_wrap(err, "%s", row->name);
    }
    return ZDM_OK;
}

/* The last word: what was read must encode to what came; where fields were skipped, zdm_message_unpack has compared. */
static enum zdm_code check_canonical(const void *bytes, size_t n, const struct zdm_frame *frame, struct zdm_error *err)
{
    struct zdm_buffer again = ZDM_BUFFER_INIT;
    zdm_frame_encode(frame, &again);
    bool failed = again.failed;
    bool same = !failed && again.len == n && memcmp(again.data, bytes, n) == 0;
    zdm_buffer_fini(&again);
    if (failed)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    return same ? ZDM_OK : zdm_error_set(err, ZDM_PROTOCOL, "frame is not in canonical form");
}

enum zdm_code zdm_frame_decode(const void *bytes, size_t n, struct zdm_frame *out, struct zdm_error *err)
{
    struct zdm_arena arena = {.left = ZDM_UNPACK_MAX};
    struct zdm_frame frame = {.type = 0};
    ProtobufCMessage *message;
    bool skipped = false;
    if (n > ZDM_FRAME_MAX)
        return zdm_error_set(err, ZDM_PROTOCOL, "frame is longer than %d bytes", ZDM_FRAME_MAX);
    enum zdm_code code = zdm_message_unpack(&zdm__v1__frame__descriptor, "frame", bytes, n, &arena, &message, err);
    if (code == ZDM_OK)
        code = decode_body(bytes, n, message, &frame, &skipped, err);
    zdm_arena_fini(&arena);
    if (code != ZDM_OK)
        return code;
    code = skipped ? ZDM_OK : check_canonical(bytes, n, &frame, err);
    if (code == ZDM_OK)
        *out = frame;
    else
        zdm_frame_fini(&frame);
    return code;
}

void zdm_frame_fini(struct zdm_frame *frame)
{
    const struct row *row = frame != NULL ? find_row((unsigned)frame->type) : NULL;
    if (row == NULL)
        return;
    zdm_message_release(row->body, (uint8_t *)frame + row->offset);
    memset(frame, 0, sizeof *frame);
}
