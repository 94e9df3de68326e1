/*
 * survey_codec.c - surveys as bytes. See codec.h.
 *
 * An agent's word about its own database: strict all the same, because a person's terminal shows it.
 */
#include "proto/codec.h"

#include <stdlib.h>

#include "proto/messages.h"
#include "zdm/v1/survey.pb-c.h"

enum { TEXT_MAX = 16 * 1024, OUTLINE_MAX = 256 * 1024, NAME_MAX_BYTES = 4 * ZDM_IDENTIFIER_MAX };

_Static_assert(ZDM_TABLE_LOCK_METADATA_SHARED == (int)ZDM__V1__TABLE_LOCK__TABLE_LOCK_METADATA_SHARED,
               "enum TableLock");

static const struct zdm_field name_fields[] = {
    F_STRING(zdm_table, schema, ZDM_IDENTIFIER_MAX, ZDM_KEEP_EMPTY),
    F_STRING(zdm_table, name, ZDM_IDENTIFIER_MAX, ZDM_KEEP_EMPTY),
};
static const struct zdm_message name_message = ZDM_MESSAGE(zdm_table, zdm__v1__table__descriptor, name_fields, NULL);

static const struct zdm_field finding_fields[] = {
    F_ENUM(zdm_survey_finding, level, zdm_level, ZDM_REQUIRED),
    F_STRING(zdm_survey_finding, rule, ZDM_NAME_MAX, ZDM_REQUIRED),
    F_U32(zdm_survey_finding, step, 0),
    F_STRING(zdm_survey_finding, object, NAME_MAX_BYTES, ZDM_KEEP_EMPTY),
    F_STRING(zdm_survey_finding, message, TEXT_MAX, ZDM_KEEP_EMPTY),
    F_STRING(zdm_survey_finding, hint, TEXT_MAX, ZDM_KEEP_EMPTY),
};
static const struct zdm_message finding_message =
    ZDM_MESSAGE(zdm_survey_finding, zdm__v1__survey_finding__descriptor, finding_fields, NULL);

static const struct zdm_field column_fields[] = {
    F_STRING(zdm_survey_column, name, ZDM_IDENTIFIER_MAX, ZDM_REQUIRED),
    F_STRING(zdm_survey_column, type, TEXT_MAX, ZDM_KEEP_EMPTY),
    F_BOOL(zdm_survey_column, not_null),
    F_STRING(zdm_survey_column, default_expr, TEXT_MAX, 0),
};
static const struct zdm_message column_message =
    ZDM_MESSAGE(zdm_survey_column, zdm__v1__survey_column__descriptor, column_fields, NULL);

static const struct zdm_field table_fields[] = {
    F_MESSAGE(zdm_survey_table, name, &name_message),
    F_BOOL(zdm_survey_table, exists),
    F_HASH(zdm_survey_table, fingerprint, 0),
    F_STRING(zdm_survey_table, outline, OUTLINE_MAX, ZDM_KEEP_EMPTY),
    F_I64(zdm_survey_table, rows, 0),
    F_I64(zdm_survey_table, bytes, 0),
    F_I64(zdm_survey_table, index_bytes, 0),
    F_ARRAY(zdm_survey_table, columns, n_columns, ZDM_SURVEY_COLUMNS_MAX, &column_message),
};
static const struct zdm_message table_message =
    ZDM_MESSAGE(zdm_survey_table, zdm__v1__survey_table__descriptor, table_fields, NULL);

static const struct zdm_field step_fields[] = {
    F_U32(zdm_survey_step, ordinal, ZDM_REQUIRED),
    F_I64(zdm_survey_step, estimate_ms, 0),
    F_I64(zdm_survey_step, room_bytes, 0),
    F_ENUM(zdm_survey_step, observed_lock, zdm_table_lock, 0),
    F_BOOL(zdm_survey_step, tried),
};
static const struct zdm_message step_message =
    ZDM_MESSAGE(zdm_survey_step, zdm__v1__survey_step__descriptor, step_fields, NULL);

static const struct zdm_field survey_fields[] = {
    F_ENUM(zdm_survey, engine, zdm_engine, 0),
    F_TEXT(zdm_survey, server_version, 0),
    F_TEXT(zdm_survey, node, 0),
    F_U32(zdm_survey, replicas, 0),
    F_U32(zdm_survey, guarded, 0),
    F_I64(zdm_survey, disk_free_bytes, 0),
    F_ARRAY(zdm_survey, findings, n_findings, ZDM_SURVEY_FINDINGS_MAX, &finding_message),
    F_ARRAY(zdm_survey, tables, n_tables, ZDM_SURVEY_TABLES_MAX, &table_message),
    F_ARRAY(zdm_survey, steps, n_steps, ZDM_STEPS_MAX, &step_message),
};
const struct zdm_message zdm_survey_message = ZDM_MESSAGE(zdm_survey, zdm__v1__survey__descriptor, survey_fields, NULL);

void zdm_survey_encode(const struct zdm_survey *survey, struct zdm_buffer *out)
{
    zdm_message_encode(&zdm_survey_message, survey, out);
}

enum zdm_code zdm_survey_decode(const void *bytes, size_t n, struct zdm_survey **out, struct zdm_error *err)
{
    if (n > ZDM_SURVEY_MAX)
        return zdm_error_set(err, ZDM_PROTOCOL, "survey: is longer than %d bytes", ZDM_SURVEY_MAX);
    struct zdm_survey *survey = calloc(1, sizeof *survey);
    if (survey == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    enum zdm_code code = zdm_message_decode(&zdm_survey_message, "survey", bytes, n, ZDM_UNPACK_MAX, survey, err);
    if (code == ZDM_OK)
        *out = survey;
    else
        free(survey);
    return code;
}
