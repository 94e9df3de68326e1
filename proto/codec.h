/*
 * codec.h - between our structures and bytes: the bodies of signed messages and the frames of a session.
 *
 * Everything in proto/ that knows generated protobuf-c code stands behind this header (the log's events:
 * coordinator/log/event_codec.h). Decoding validates: no unknown fields (frames in which a peer speaks for itself skip
 * them), known enumerators, lengths within limits.h, no
 * NUL inside text, numbers in range; so the rest of the program sees only well-formed structures. Memory for unpacking
 * is bounded (4 MiB a message). Encoding the same structure twice gives the same bytes (fields in order, no maps).
 *
 * decode functions: ZDM_PROTOCOL and a message that names the field. out is untouched on failure; the caller frees it
 * with the structure's fini on success. encode functions append to a buffer and report only through its `failed`.
 */
#ifndef ZDM_PROTO_CODEC_H
#define ZDM_PROTO_CODEC_H

#include "common/base/buffer.h"
#include "common/base/seams.h"
#include "common/plan/directive.h"
#include "common/plan/notes.h"
#include "common/plan/plan.h"
#include "common/plan/report.h"
#include "common/plan/survey.h"
#include "common/plan/trust.h"

/* Plans. Encoding fills the digest of each phase and the plan's hash in `plan`:
 * hash = BLAKE2b-256("zdm-plan-v1" padded to 16 || digest of the header || digest of each phase). */
void zdm_plan_encode(const struct zdm_crypto *crypto, struct zdm_plan *plan, struct zdm_buffer *out);
enum zdm_code zdm_plan_decode(const struct zdm_crypto *crypto, const void *bytes, size_t n, struct zdm_plan **out,
                              struct zdm_error *err) ZDM_CHECKED;
void zdm_notes_encode(const struct zdm_notes *notes, struct zdm_buffer *out);
enum zdm_code zdm_notes_decode(const void *bytes, size_t n, struct zdm_notes **out, struct zdm_error *err) ZDM_CHECKED;
/* What a shard answered to `check`: at most ZDM_SURVEY_MAX bytes. zdm_survey_free. */
void zdm_survey_encode(const struct zdm_survey *survey, struct zdm_buffer *out);
enum zdm_code zdm_survey_decode(const void *bytes, size_t n, struct zdm_survey **out,
                                struct zdm_error *err) ZDM_CHECKED;

/* Bodies of signed messages. */
void zdm_directive_encode(const struct zdm_directive *directive, struct zdm_buffer *out);
enum zdm_code zdm_directive_decode(const void *bytes, size_t n, struct zdm_directive *out,
                                   struct zdm_error *err) ZDM_CHECKED;
void zdm_approval_encode(const struct zdm_approval *approval, struct zdm_buffer *out);
enum zdm_code zdm_approval_decode(const void *bytes, size_t n, struct zdm_approval *out,
                                  struct zdm_error *err) ZDM_CHECKED;
void zdm_undo_order_encode(const struct zdm_undo_order *order, struct zdm_buffer *out);
enum zdm_code zdm_undo_order_decode(const void *bytes, size_t n, struct zdm_undo_order *out,
                                    struct zdm_error *err) ZDM_CHECKED;
void zdm_trust_encode(const struct zdm_trust *trust, struct zdm_buffer *out);
enum zdm_code zdm_trust_decode(const void *bytes, size_t n, struct zdm_trust *out, struct zdm_error *err) ZDM_CHECKED;
void zdm_request_encode(const struct zdm_request *request, struct zdm_buffer *out);
enum zdm_code zdm_request_decode(const void *bytes, size_t n, struct zdm_request *out,
                                 struct zdm_error *err) ZDM_CHECKED;
void zdm_enrolment_encode(const struct zdm_enrolment *enrolment, struct zdm_buffer *out);
enum zdm_code zdm_enrolment_decode(const void *bytes, size_t n, struct zdm_enrolment *out,
                                   struct zdm_error *err) ZDM_CHECKED;

/* ---- Frames of a session: the plaintext that is sealed (protocol 11). ---- */

enum zdm_frame_type {
    /* agent -> coordinator */
    ZDM_FRAME_REPORT = 1,
    ZDM_FRAME_PLAN_REQUEST = 2,
    ZDM_FRAME_TRUST_REQUEST = 3, /* joining agents may send it too */
    ZDM_FRAME_JOIN = 4,          /* joining agents only */
    ZDM_FRAME_SURVEY = 5,        /* the answer to a survey order */
    /* coordinator -> agent */
    ZDM_FRAME_WELCOME = 10, /* first frame after auth: who you are to me */
    ZDM_FRAME_ORDERS = 11,
    ZDM_FRAME_ACK = 12,
    ZDM_FRAME_PLAN_PIECE = 13,
    ZDM_FRAME_TRUST = 14,
    ZDM_FRAME_JOINED = 15,
    ZDM_FRAME_BYE = 16, /* to persons too */
    ZDM_FRAME_SURVEY_ORDER = 17,
    /* person -> coordinator */
    ZDM_FRAME_UPLOAD = 20, /* a piece of a plan or of notes, before the submit request that names it */
    ZDM_FRAME_REQUEST = 21,
    ZDM_FRAME_QUERY = 22,
    ZDM_FRAME_WATCH = 23,
    /* coordinator -> person */
    ZDM_FRAME_ANSWER = 30,
    ZDM_FRAME_ROWS = 31,
    ZDM_FRAME_PUSH = 32
};

struct zdm_piece {
    struct zdm_hash hash; /* of the plan; of an upload: BLAKE2b-256 of the whole */
    uint32_t total, offset;
    const uint8_t *bytes; /* borrowed: when decoding, from the frame */
    size_t n;             /* at most ZDM_PIECE_MAX */
};

/* What a person asks to read. Answers are JSON (docs/PROTOCOL.md), in pieces; CHECK's are surveys. */
enum zdm_query_kind {
    ZDM_QUERY_STATUS = 1,  /* of migration, or of the only active one */
    ZDM_QUERY_HISTORY = 2, /* events of migration (or all), from seq on, at most limit */
    ZDM_QUERY_AGENTS = 3,
    ZDM_QUERY_VERSION = 4,
    ZDM_QUERY_FLEET = 5,   /* fleet name, urls, trust version and hash, shards: what enroll and submit need */
    ZDM_QUERY_PLAN = 6,    /* the plan and notes of a migration */
    ZDM_QUERY_TRUST = 7,   /* the chain of signed trust versions, as zdm_trust_chain_write writes it */
    ZDM_QUERY_LOG = 8,     /* stored events as they lie in the store, from seq on: see coordinator/log/audit.h */
    ZDM_QUERY_ANCHORS = 9, /* what agents accepted last: migration, shard, agent, epoch, instance, generation, anchor */
    ZDM_QUERY_CHECK = 10   /* what the uploaded plan plan_hash would meet on every shard that it is for. In rows: each
                              shard's survey in pieces, whose message is the shard's name, and an empty one behind
                              them; or one with a code, the shard's name and words. The last of all is of no shard */
};

struct zdm_frame {
    enum zdm_frame_type type;
    union {
        struct zdm_report report; /* owned */
        struct zdm_piece piece;   /* plan_piece, upload; plan_request uses hash and offset */
        struct {
            uint32_t from_version; /* the version held; 0 none */
        } trust_request;
        struct {
            uint8_t secret[16];
            char release[24];
        } join;
        struct {
            struct zdm_envelope enrolment; /* owned; what the agent pins */
        } joined;
        struct {
            uint64_t epoch;
            char name[ZDM_NAME_MAX + 1]; /* the shard (agent) or person's name */
            char release[24];
            uint32_t trust_version;
        } welcome;
        struct {
            struct zdm_envelope *items; /* owned: orders, trust files (in order of version) */
            size_t n;
        } envelopes;
        struct {
            uint64_t number;
            uint32_t lease_ms;
        } ack;
        struct {
            char why[ZDM_TEXT_MAX + 1];
            char leader_url[ZDM_TEXT_MAX + 1];
        } bye;
        struct {
            uint64_t id;               /* of the survey; repeated in its answer */
            struct zdm_hash plan_hash; /* of the plan to fetch; zero: the survey of that id is not wanted any more */
        } survey_order;
        struct {
            uint64_t id;
            enum zdm_code code; /* not ZDM_OK: message instead of bytes */
            char message[ZDM_TEXT_MAX + 1];
            uint32_t total, offset;
            const uint8_t *bytes; /* borrowed from the decoded buffer; a piece of an encoded survey */
            size_t n;
        } survey;
        struct zdm_envelope request; /* owned */
        struct {
            enum zdm_query_kind kind;
            uint32_t id; /* chosen by the asker, repeated in rows */
            char migration[ZDM_NAME_MAX + 1];
            uint64_t from_seq;
            uint32_t limit;
            struct zdm_hash plan_hash; /* CHECK */
        } query;                       /* watch too: status is pushed when it changed, at most 5 times a second */
        struct {
            struct zdm_id request_id;
            enum zdm_code code;
            uint64_t seq; /* position of the operator_acted event, 0 when refused */
            char message[512], detail[512], hint[512];
        } answer;
        struct {
            uint32_t id;
            bool last;
            enum zdm_code code; /* not ZDM_OK: message instead of bytes */
            char message[ZDM_TEXT_MAX + 1];
            const uint8_t *bytes; /* borrowed from the decoded buffer; a piece of JSON text */
            size_t n;
        } rows; /* push too */
    } u;
};

void zdm_frame_encode(const struct zdm_frame *frame, struct zdm_buffer *out);
/* `bytes` must live as long as out is used (pieces and rows point into it). */
enum zdm_code zdm_frame_decode(const void *bytes, size_t n, struct zdm_frame *out, struct zdm_error *err) ZDM_CHECKED;
void zdm_frame_fini(struct zdm_frame *frame);
const char *zdm_frame_type_name(enum zdm_frame_type type);

/* May a session of this kind send this type? The table of protocol 11: everything else closes the session. */
enum zdm_frame_sender {
    ZDM_SENDER_AGENT = 1,
    ZDM_SENDER_JOINER = 2,
    ZDM_SENDER_PERSON = 4,
    ZDM_SENDER_COORDINATOR_TO_AGENT = 8,
    ZDM_SENDER_COORDINATOR_TO_JOINER = 16,
    ZDM_SENDER_COORDINATOR_TO_PERSON = 32
};
bool zdm_frame_allowed(enum zdm_frame_type type, enum zdm_frame_sender sender);

/* ---- Join tokens: "zdm1." and base64url of what they say. ---- */

enum { ZDM_TOKEN_URLS_MAX = 4, ZDM_TOKEN_TEXT_MAX = 2048 };

struct zdm_token {
    char urls[ZDM_TOKEN_URLS_MAX][ZDM_TEXT_MAX + 1];
    size_t n_urls;
    struct zdm_id fleet;
    struct zdm_hash trust_hash;
    char shard[ZDM_NAME_MAX + 1];
    int64_t expires_at_ms;
    uint8_t secret[16];
};

void zdm_token_write(const struct zdm_token *token, struct zdm_buffer *out);
enum zdm_code zdm_token_read(const char *text, struct zdm_token *out, struct zdm_error *err) ZDM_CHECKED;

#endif
