/*
 * notes_codec.c - notes as bytes. See codec.h.
 */
#include "proto/codec.h"

#include <stdlib.h>

#include "proto/messages.h"
#include "zdm/v1/notes.pb-c.h"

enum { FINDINGS_MAX = 4096, WAIVERS_MAX = 256, TEXT_MAX = ZDM_NOTES_MAX };

_Static_assert(ZDM_LEVEL_ERROR == (int)ZDM__V1__LEVEL__LEVEL_ERROR, "enum Level");

static const struct zdm_field phase_fields[] = {
    F_STRING(zdm_phase_notes, title, TEXT_MAX, ZDM_KEEP_EMPTY),
    F_STRING(zdm_phase_notes, prose, TEXT_MAX, ZDM_KEEP_EMPTY),
};
static const struct zdm_message phase_message =
    ZDM_MESSAGE(zdm_phase_notes, zdm__v1__phase_notes__descriptor, phase_fields, NULL);

static const struct zdm_field step_fields[] = {
    F_U32(zdm_step_notes, line, 0),
    F_U32(zdm_step_notes, column, 0),
    F_STRING(zdm_step_notes, source, TEXT_MAX, ZDM_KEEP_EMPTY),
    F_STRING(zdm_step_notes, does, TEXT_MAX, ZDM_KEEP_EMPTY),
    F_STRING(zdm_step_notes, lock, TEXT_MAX, ZDM_KEEP_EMPTY),
    F_BOOL(zdm_step_notes, rewritten),
};
static const struct zdm_message step_message =
    ZDM_MESSAGE(zdm_step_notes, zdm__v1__step_notes__descriptor, step_fields, NULL);

static const struct zdm_field finding_fields[] = {
    F_ENUM(zdm_finding, level, zdm_level, ZDM_REQUIRED),
    F_STRING(zdm_finding, rule, TEXT_MAX, ZDM_KEEP_EMPTY),
    F_U32(zdm_finding, line, 0),
    F_U32(zdm_finding, column, 0),
    F_STRING(zdm_finding, message, TEXT_MAX, ZDM_KEEP_EMPTY),
    F_STRING(zdm_finding, hint, TEXT_MAX, ZDM_KEEP_EMPTY),
    F_ENUM(zdm_finding, engine, zdm_engine, 0),
};
static const struct zdm_message finding_message =
    ZDM_MESSAGE(zdm_finding, zdm__v1__finding__descriptor, finding_fields, NULL);

static const struct zdm_field waiver_fields[] = {
    F_STRING(zdm_waiver, rule, TEXT_MAX, ZDM_REQUIRED),
    F_STRING(zdm_waiver, reason, TEXT_MAX, ZDM_REQUIRED),
    F_U32(zdm_waiver, line, 0),
    F_U32(zdm_waiver, column, 0),
};
static const struct zdm_message waiver_message =
    ZDM_MESSAGE(zdm_waiver, zdm__v1__waiver__descriptor, waiver_fields, NULL);

static const struct zdm_field notes_fields[] = {
    F_STRING(zdm_notes, file, TEXT_MAX, ZDM_KEEP_EMPTY),
    F_STRING(zdm_notes, title, TEXT_MAX, ZDM_KEEP_EMPTY),
    F_ARRAY(zdm_notes, phases, n_phases, ZDM_PHASES_MAX, &phase_message),
    F_ARRAY(zdm_notes, steps, n_steps, ZDM_STEPS_MAX, &step_message),
    F_ARRAY(zdm_notes, findings, n_findings, FINDINGS_MAX, &finding_message),
    F_ARRAY(zdm_notes, waivers, n_waivers, WAIVERS_MAX, &waiver_message),
};
const struct zdm_message zdm_notes_message = ZDM_MESSAGE(zdm_notes, zdm__v1__notes__descriptor, notes_fields, NULL);

void zdm_notes_encode(const struct zdm_notes *notes, struct zdm_buffer *out)
{
    zdm_message_encode(&zdm_notes_message, notes, out);
}

enum zdm_code zdm_notes_decode(const void *bytes, size_t n, struct zdm_notes **out, struct zdm_error *err)
{
    if (n > ZDM_NOTES_MAX)
        return zdm_error_set(err, ZDM_PROTOCOL, "notes: is longer than %d bytes", ZDM_NOTES_MAX);
    struct zdm_notes *notes = calloc(1, sizeof *notes);
    if (notes == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    enum zdm_code code = zdm_message_decode(&zdm_notes_message, "notes", bytes, n, ZDM_UNPACK_MAX, notes, err);
    if (code == ZDM_OK)
        *out = notes;
    else
        free(notes);
    return code;
}
