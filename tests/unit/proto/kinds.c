/*
 * kinds.c - see kinds.h.
 */
#include "tests/unit/proto/kinds.h"

#include <string.h>

#include "common/os/crypto.h"
#include "tests/unit/proto/sample.h"

static void encode_plan(struct zdm_buffer *out)
{
    struct zdm_plan *plan = sample_plan();
    zdm_plan_encode(zdm_crypto_sodium(), plan, out);
    zdm_plan_unref(plan);
}

static void encode_as_is_plan(struct zdm_buffer *out)
{
    struct zdm_plan *plan = sample_as_is_plan();
    zdm_plan_encode(zdm_crypto_sodium(), plan, out);
    zdm_plan_unref(plan);
}

static enum zdm_code decode_plan(const void *bytes, size_t n, struct zdm_buffer *again, struct zdm_error *err)
{
    struct zdm_plan *plan = NULL;
    enum zdm_code code = zdm_plan_decode(zdm_crypto_sodium(), bytes, n, &plan, err);
    if (code == ZDM_OK && again != NULL)
        zdm_plan_encode(zdm_crypto_sodium(), plan, again);
    zdm_plan_unref(plan);
    return code;
}

static void encode_notes(struct zdm_buffer *out)
{
    struct zdm_notes *notes = sample_notes();
    zdm_notes_encode(notes, out);
    zdm_notes_free(notes);
}

static enum zdm_code decode_notes(const void *bytes, size_t n, struct zdm_buffer *again, struct zdm_error *err)
{
    struct zdm_notes *notes = NULL;
    enum zdm_code code = zdm_notes_decode(bytes, n, &notes, err);
    if (code == ZDM_OK && again != NULL)
        zdm_notes_encode(notes, again);
    zdm_notes_free(notes);
    return code;
}

static void encode_survey(struct zdm_buffer *out)
{
    struct zdm_survey *survey = sample_survey();
    zdm_survey_encode(survey, out);
    zdm_survey_free(survey);
}

static enum zdm_code decode_survey(const void *bytes, size_t n, struct zdm_buffer *again, struct zdm_error *err)
{
    struct zdm_survey *survey = NULL;
    enum zdm_code code = zdm_survey_decode(bytes, n, &survey, err);
    if (code == ZDM_OK && again != NULL)
        zdm_survey_encode(survey, again);
    zdm_survey_free(survey);
    return code;
}

static void enrolment_fini(struct zdm_enrolment *enrolment)
{
    (void)enrolment;
}

#define KIND(name, type, fini)                                                                                         \
    static void encode_##name(struct zdm_buffer *out)                                                                  \
    {                                                                                                                  \
        struct type object;                                                                                            \
        sample_##name(&object);                                                                                        \
        zdm_##name##_encode(&object, out);                                                                             \
        fini(&object);                                                                                                 \
    }                                                                                                                  \
    static enum zdm_code decode_##name(const void *bytes, size_t n, struct zdm_buffer *again, struct zdm_error *err)   \
    {                                                                                                                  \
        struct type object;                                                                                            \
        enum zdm_code code = zdm_##name##_decode(bytes, n, &object, err);                                              \
        if (code != ZDM_OK)                                                                                            \
            return code;                                                                                               \
        if (again != NULL)                                                                                             \
            zdm_##name##_encode(&object, again);                                                                       \
        fini(&object);                                                                                                 \
        return ZDM_OK;                                                                                                 \
    }

KIND(directive, zdm_directive, zdm_directive_fini)
KIND(approval, zdm_approval, zdm_approval_fini)
KIND(undo_order, zdm_undo_order, zdm_undo_order_fini)
KIND(trust, zdm_trust, zdm_trust_fini)
KIND(request, zdm_request, zdm_request_fini)
KIND(enrolment, zdm_enrolment, enrolment_fini)

static enum zdm_code decode_frame(const void *bytes, size_t n, struct zdm_buffer *again, struct zdm_error *err)
{
    struct zdm_frame frame;
    enum zdm_code code = zdm_frame_decode(bytes, n, &frame, err);
    if (code != ZDM_OK)
        return code;
    if (again != NULL)
        zdm_frame_encode(&frame, again);
    zdm_frame_fini(&frame);
    return ZDM_OK;
}

static void encode_frame(enum zdm_frame_type type, struct zdm_buffer *out)
{
    struct zdm_frame frame;
    sample_frame((unsigned)type, &frame);
    zdm_frame_encode(&frame, out);
    zdm_frame_fini(&frame);
}

#define FRAMES(X)                                                                                                      \
    X(REPORT)                                                                                                          \
    X(PLAN_REQUEST)                                                                                                    \
    X(TRUST_REQUEST)                                                                                                   \
    X(SURVEY)                                                                                                          \
    X(SURVEY_ORDER)                                                                                                    \
    X(JOIN)                                                                                                            \
    X(WELCOME)                                                                                                         \
    X(ORDERS)                                                                                                          \
    X(ACK)                                                                                                             \
    X(PLAN_PIECE)                                                                                                      \
    X(TRUST)                                                                                                           \
    X(JOINED)                                                                                                          \
    X(BYE)                                                                                                             \
    X(UPLOAD)                                                                                                          \
    X(REQUEST)                                                                                                         \
    X(QUERY)                                                                                                           \
    X(WATCH)                                                                                                           \
    X(ANSWER)                                                                                                          \
    X(ROWS)                                                                                                            \
    X(PUSH)

#define X(type)                                                                                                        \
    static void encode_frame_##type(struct zdm_buffer *out)                                                            \
    {                                                                                                                  \
        encode_frame(ZDM_FRAME_##type, out);                                                                           \
    }
FRAMES(X)
#undef X

const struct kind kinds[] = {{"plan", encode_plan, decode_plan},
                             {"as-is plan", encode_as_is_plan, decode_plan},
                             {"notes", encode_notes, decode_notes},
                             {"survey", encode_survey, decode_survey},
                             {"directive", encode_directive, decode_directive},
                             {"approval", encode_approval, decode_approval},
                             {"undo order", encode_undo_order, decode_undo_order},
                             {"trust", encode_trust, decode_trust},
                             {"request", encode_request, decode_request},
                             {"enrolment", encode_enrolment, decode_enrolment},
#define X(type) {"frame " #type, encode_frame_##type, decode_frame},
                             FRAMES(X)
#undef X
};
const size_t n_kinds = sizeof kinds / sizeof *kinds;
