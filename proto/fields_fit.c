/*
 * fields_fit.c - do the tables fit what protoc-c generated? See zdm_message_fits in fields.h.
 */
#include "proto/fields.h"

#include <string.h>

struct fit {
    ProtobufCType type;
    bool repeated;
    bool counted;
};

/* What a kind of ours is on the wire. */
static const struct fit fits[] = {
    [ZDM_FIELD_BOOL] = {PROTOBUF_C_TYPE_BOOL, false, false},
    [ZDM_FIELD_U32] = {PROTOBUF_C_TYPE_UINT32, false, false},
    [ZDM_FIELD_U64] = {PROTOBUF_C_TYPE_UINT64, false, false},
    [ZDM_FIELD_I64] = {PROTOBUF_C_TYPE_INT64, false, false},
    [ZDM_FIELD_ENUM] = {PROTOBUF_C_TYPE_ENUM, false, false},
    [ZDM_FIELD_CODE] = {PROTOBUF_C_TYPE_ENUM, false, false},
    [ZDM_FIELD_TEXT] = {PROTOBUF_C_TYPE_STRING, false, false},
    [ZDM_FIELD_TEXTS] = {PROTOBUF_C_TYPE_STRING, true, true},
    [ZDM_FIELD_STRING] = {PROTOBUF_C_TYPE_STRING, false, false},
    [ZDM_FIELD_STRINGS] = {PROTOBUF_C_TYPE_STRING, true, true},
    [ZDM_FIELD_RAW] = {PROTOBUF_C_TYPE_BYTES, false, false},
    [ZDM_FIELD_RAWS] = {PROTOBUF_C_TYPE_BYTES, true, true},
    [ZDM_FIELD_BYTES] = {PROTOBUF_C_TYPE_BYTES, false, true},
    [ZDM_FIELD_TAIL] = {PROTOBUF_C_TYPE_BYTES, false, true},
    [ZDM_FIELD_MESSAGE] = {PROTOBUF_C_TYPE_MESSAGE, false, false},
    [ZDM_FIELD_POINTER] = {PROTOBUF_C_TYPE_MESSAGE, false, false},
    [ZDM_FIELD_ARRAY] = {PROTOBUF_C_TYPE_MESSAGE, true, true},
    [ZDM_FIELD_FIXED] = {PROTOBUF_C_TYPE_MESSAGE, true, true},
};

/* Rows and fields meet by position: a name shows that two rows of one type did not change places. */
static bool name_fits(const char *member, const char *name)
{
    size_t n = strlen(name);
    while (*member != '\0') {
        size_t part = strcspn(member, ".");
        if (part == n && strncmp(member, name, n) == 0)
            return true;
        member += part + (member[part] == '.' ? 1 : 0);
    }
    return false;
}

static bool row_fits(const struct zdm_field *field, const ProtobufCFieldDescriptor *to, struct zdm_error *err)
{
    const struct fit *fit = &fits[field->kind];
    bool repeated = to->label == PROTOBUF_C_LABEL_REPEATED;
    if (!name_fits(field->name, to->name) || to->type != fit->type || repeated != fit->repeated ||
        fit->counted != (field->n_offset != 0))
        return false;
    if (to->type != PROTOBUF_C_TYPE_MESSAGE)
        return field->message == NULL;
    return field->message != NULL && field->message->descriptor == to->descriptor &&
           zdm_message_fits(field->message, err);
}

bool zdm_message_fits(const struct zdm_message *message, struct zdm_error *err)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    if (message->n_fields != descriptor->n_fields) {
        zdm_error_set(err, ZDM_BUG, "%s has %u fields, its table %zu", descriptor->name, descriptor->n_fields,
                      message->n_fields);
        return false;
    }
    for (size_t i = 0; i < message->n_fields; i++) {
        if (!row_fits(&message->fields[i], &descriptor->fields[i], err)) {
            if (err->code == ZDM_OK)
                zdm_error_set(err, ZDM_BUG, "row for %s of %s does not fit", descriptor->fields[i].name,
                              descriptor->name);
            return false;
        }
    }
    return true;
}
