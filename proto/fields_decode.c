/*
 * fields_decode.c - from bytes to our structures, and every check on the way. See fields.h.
 */
#include "proto/fields.h"

#include <stdlib.h>
#include <string.h>

#include "proto/utf8.h"

/* The bytes that a TAIL field is borrowed from; and whether unknown fields may be there, set when some were. */
struct input {
    const uint8_t *bytes;
    size_t n;
    bool *out_skipped; /* NULL: they are refused */
};

static enum zdm_code refuse(struct zdm_error *err, const char *what)
{
    return zdm_error_set(err, ZDM_PROTOCOL, "%s", what);
}

static enum zdm_code no_memory(struct zdm_error *err)
{
    return zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

/* ---- single values ---- */

static enum zdm_code check_text(const struct zdm_field *field, const char *text, size_t max, struct zdm_error *err)
{
    size_t n = strlen(text);
    if (n == 0)
        return (field->flags & ZDM_REQUIRED) != 0 ? refuse(err, "is missing") : ZDM_OK;
    if (n > max)
        return zdm_error_set(err, ZDM_PROTOCOL, "is longer than %zu bytes", max);
    if (!zdm_utf8_is_valid(text, n))
        return refuse(err, "is not valid UTF-8");
    if ((field->flags & ZDM_NAMED) != 0 && !zdm_name_is_valid(text))
        return refuse(err, "is not a valid name");
    return ZDM_OK;
}

static enum zdm_code read_text(const struct zdm_field *field, const char *text, char *out, struct zdm_error *err)
{
    enum zdm_code code = check_text(field, text, field->size - 1, err);
    if (code == ZDM_OK)
        zdm_copy_text(out, field->size, text);
    return code;
}

static enum zdm_code read_string(const struct zdm_field *field, const char *text, char **out, struct zdm_error *err)
{
    enum zdm_code code = check_text(field, text, field->size, err);
    if (code != ZDM_OK || (text[0] == '\0' && (field->flags & ZDM_KEEP_EMPTY) == 0))
        return code;
    *out = zdm_strdup(text);
    return *out != NULL ? ZDM_OK : no_memory(err);
}

static enum zdm_code read_raw(const struct zdm_field *field, const ProtobufCBinaryData *data, bool required,
                              uint8_t *out, struct zdm_error *err)
{
    if (data->len == 0)
        return required ? refuse(err, "is missing") : ZDM_OK;
    if (data->len != field->size)
        return zdm_error_set(err, ZDM_PROTOCOL, "has %zu bytes, not %zu", data->len, field->size);
    memcpy(out, data->data, field->size);
    return ZDM_OK;
}

static enum zdm_code read_bytes(const struct zdm_field *field, const ProtobufCBinaryData *data,
                                const struct input *input, uint8_t *member, size_t *out_n, struct zdm_error *err)
{
    const uint8_t *bytes = NULL;
    if (data->len == 0)
        return (field->flags & ZDM_REQUIRED) != 0 ? refuse(err, "is missing") : ZDM_OK;
    if (data->len > field->max)
        return zdm_error_set(err, ZDM_PROTOCOL, "is longer than %zu bytes", field->max);
    if (field->kind == ZDM_FIELD_TAIL) {
        if (data->len > input->n || memcmp(input->bytes + input->n - data->len, data->data, data->len) != 0)
            return refuse(err, "does not stand at the end");
        bytes = input->bytes + input->n - data->len;
    } else {
        bytes = zdm_memdup(data->data, data->len);
        if (bytes == NULL)
            return no_memory(err);
    }
    memcpy(member, &bytes, sizeof bytes);
    *out_n = data->len;
    return ZDM_OK;
}

static enum zdm_code read_number(const struct zdm_field *field, const ProtobufCFieldDescriptor *from,
                                 const uint8_t *slot, uint8_t *member, struct zdm_error *err)
{
    uint64_t value =
        field->size == sizeof(uint64_t) ? *(const uint64_t *)(const void *)slot : *(const uint32_t *)(const void *)slot;
    if (value == 0 && (field->flags & ZDM_REQUIRED) != 0)
        return refuse(err, "is missing");
    if (field->kind == ZDM_FIELD_CODE) {
        if (!zdm_code_from_wire((uint32_t)value, (enum zdm_code *)(void *)member))
            return zdm_error_set(err, ZDM_PROTOCOL, "has unknown value %u", (uint32_t)value);
        return ZDM_OK;
    }
    if (field->kind == ZDM_FIELD_ENUM &&
        protobuf_c_enum_descriptor_get_value(from->descriptor, (int)(uint32_t)value) == NULL)
        return zdm_error_set(err, ZDM_PROTOCOL, "has unknown value %u", (uint32_t)value);
    memcpy(member, slot, field->size);
    return ZDM_OK;
}

/* ---- structures and arrays ---- */

static enum zdm_code read_message(const struct zdm_message *message, const ProtobufCMessage *from,
                                  const struct input *input, void *object, struct zdm_error *err);

static enum zdm_code read_pointer(const struct zdm_field *field, const ProtobufCMessage *from,
                                  const struct input *input, uint8_t *member, struct zdm_error *err)
{
    if (from == NULL)
        return ZDM_OK;
    void *object = calloc(1, field->size);
    if (object == NULL)
        return no_memory(err);
    memcpy(member, &object, sizeof object);
    return read_message(field->message, from, input, object, err);
}

static enum zdm_code read_element(const struct zdm_field *field, const uint8_t *from, size_t i,
                                  const struct input *input, uint8_t *base, struct zdm_error *err)
{
    uint8_t *element = base + i * field->size;
    if (field->kind == ZDM_FIELD_TEXTS)
        return read_text(field, ((char *const *)(const void *)from)[i], (char *)element, err);
    if (field->kind == ZDM_FIELD_STRINGS)
        return read_string(field, ((char *const *)(const void *)from)[i], (char **)(void *)base + i, err);
    if (field->kind == ZDM_FIELD_RAWS)
        return read_raw(field, (const ProtobufCBinaryData *)(const void *)from + i, true, element, err);
    return read_message(field->message, ((ProtobufCMessage *const *)(const void *)from)[i], input, element, err);
}

static bool is_owned_array(enum zdm_field_kind kind)
{
    return kind == ZDM_FIELD_STRINGS || kind == ZDM_FIELD_ARRAY;
}

static enum zdm_code read_array(const struct zdm_field *field, const uint8_t *from, size_t n, const struct input *input,
                                uint8_t *member, size_t *out_n, struct zdm_error *err)
{
    if (n == 0)
        return ZDM_OK;
    if (n > field->max)
        return zdm_error_set(err, ZDM_PROTOCOL, "has %zu entries, more than %zu", n, field->max);
    uint8_t *base = member;
    if (is_owned_array(field->kind)) {
        base = calloc(n, field->kind == ZDM_FIELD_STRINGS ? sizeof(char *) : field->size);
        if (base == NULL)
            return no_memory(err);
        memcpy(member, &base, sizeof base);
    }
    *out_n = n; /* before the elements, so that a half-read array is freed whole */
    for (size_t i = 0; i < n; i++) {
        enum zdm_code code = read_element(field, from, i, input, base, err);
        if (code != ZDM_OK)
            return code;
    }
    return ZDM_OK;
}

static enum zdm_code read_field(const struct zdm_field *field, const ProtobufCFieldDescriptor *from,
                                const uint8_t *message, const struct input *input, uint8_t *object,
                                struct zdm_error *err)
{
    const uint8_t *slot = message + from->offset;
    uint8_t *member = object + field->offset;
    size_t *out_n = (size_t *)(void *)(object + field->n_offset);
    const void *pointer = NULL;
    size_t n = 0;
    if (from->label == PROTOBUF_C_LABEL_REPEATED)
        memcpy(&n, message + from->quantifier_offset, sizeof n);
    if (field->kind >= ZDM_FIELD_TEXT)
        memcpy(&pointer, slot, sizeof pointer);
    switch (field->kind) {
    case ZDM_FIELD_BOOL:
        *(bool *)member = *(const protobuf_c_boolean *)(const void *)slot != 0;
        return ZDM_OK;
    case ZDM_FIELD_U32:
    case ZDM_FIELD_U64:
    case ZDM_FIELD_I64:
    case ZDM_FIELD_ENUM:
    case ZDM_FIELD_CODE:
        return read_number(field, from, slot, member, err);
    case ZDM_FIELD_TEXT:
        return read_text(field, pointer, (char *)member, err);
    case ZDM_FIELD_STRING:
        return read_string(field, pointer, (char **)(void *)member, err);
    case ZDM_FIELD_RAW:
        return read_raw(field, (const void *)slot, (field->flags & ZDM_REQUIRED) != 0, member, err);
    case ZDM_FIELD_BYTES:
    case ZDM_FIELD_TAIL:
        return read_bytes(field, (const void *)slot, input, member, out_n, err);
    case ZDM_FIELD_MESSAGE:
        return pointer != NULL ? read_message(field->message, pointer, input, member, err) : ZDM_OK;
    case ZDM_FIELD_POINTER:
        return read_pointer(field, pointer, input, member, err);
    case ZDM_FIELD_TEXTS:
    case ZDM_FIELD_RAWS:
    case ZDM_FIELD_FIXED:
    case ZDM_FIELD_STRINGS:
    case ZDM_FIELD_ARRAY:
        return read_array(field, pointer, n, input, member, out_n, err);
    }
    return refuse(err, "is of an unknown kind");
}

static enum zdm_code read_message(const struct zdm_message *message, const ProtobufCMessage *from,
                                  const struct input *input, void *object, struct zdm_error *err)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    if (from->n_unknown_fields != 0 && input->out_skipped == NULL)
        return refuse(err, "has an unknown field");
    if (from->n_unknown_fields != 0)
        *input->out_skipped = true;
    for (size_t i = 0; i < message->n_fields; i++) {
        enum zdm_code code =
            read_field(&message->fields[i], &descriptor->fields[i], (const uint8_t *)from, input, object, err);
        if (code == ZDM_PROTOCOL)
            return zdm_error_wrap(err, "%s", descriptor->fields[i].name);
        if (code != ZDM_OK)
            return code;
    }
    return message->check != NULL ? message->check(object, err) : ZDM_OK;
}

enum zdm_code zdm_message_read(const struct zdm_message *message, const ProtobufCMessage *from, const void *input,
                               size_t n, void *object, struct zdm_error *err)
{
    const struct input where = {.bytes = input, .n = n};
    return read_message(message, from, &where, object, err);
}

enum zdm_code zdm_message_read_open(const struct zdm_message *message, const ProtobufCMessage *from, void *object,
                                    bool *out_skipped, struct zdm_error *err)
{
    const struct input nothing_to_borrow = {.out_skipped = out_skipped};
    *out_skipped = false;
    return read_message(message, from, &nothing_to_borrow, object, err);
}

/* ---- giving back ---- */

static void release_field(const struct zdm_field *field, uint8_t *object)
{
    uint8_t *member = object + field->offset;
    bool in_place = field->kind == ZDM_FIELD_MESSAGE || field->kind == ZDM_FIELD_FIXED;
    bool owned = zdm_field_is_pointer(field->kind) && field->kind != ZDM_FIELD_TAIL;
    if (!in_place && !owned)
        return;
    uint8_t *base = member;
    if (owned)
        memcpy(&base, member, sizeof base);
    size_t n = 1;
    if (field->n_offset != 0)
        memcpy(&n, object + field->n_offset, sizeof n);
    bool has_parts = field->kind == ZDM_FIELD_STRINGS || field->message != NULL;
    for (size_t i = 0; has_parts && base != NULL && i < n; i++) {
        if (field->kind == ZDM_FIELD_STRINGS)
            free(((char **)(void *)base)[i]);
        else
            zdm_message_release(field->message, base + i * field->size);
    }
    if (owned)
        free(base);
}

void zdm_message_release(const struct zdm_message *message, void *object)
{
    for (size_t i = 0; i < message->n_fields; i++)
        release_field(&message->fields[i], object);
}

/* ---- whole messages ---- */

static void *arena_alloc(void *arena, size_t n)
{
    return zdm_arena_alloc(arena, n);
}

static void arena_free(void *arena, void *bytes)
{
    (void)arena;
    (void)bytes;
}

static enum zdm_code unpack(const ProtobufCMessageDescriptor *descriptor, const void *bytes, size_t n,
                            struct zdm_arena *arena, ProtobufCMessage **out, struct zdm_error *err)
{
    ProtobufCAllocator allocator = {.alloc = arena_alloc, .free = arena_free, .allocator_data = arena};
    *out = protobuf_c_message_unpack(descriptor, &allocator, n, bytes);
    if (*out != NULL)
        return ZDM_OK;
    if (arena->over_budget)
        return refuse(err, "takes more memory than a message may");
    return arena->failed ? no_memory(err) : refuse(err, "is damaged");
}

static enum zdm_code compare(struct zdm_buffer *again, const void *bytes, size_t n, struct zdm_error *err)
{
    bool failed = again->failed;
    bool same = !failed && again->len == n && (n == 0 || memcmp(again->data, bytes, n) == 0);
    zdm_buffer_fini(again);
    if (failed)
        return no_memory(err);
    return same ? ZDM_OK : refuse(err, "is not in canonical form");
}

enum zdm_code zdm_message_unpack(const ProtobufCMessageDescriptor *descriptor, const char *what, const void *bytes,
                                 size_t n, struct zdm_arena *arena, ProtobufCMessage **out, struct zdm_error *err)
{
    enum zdm_code code = unpack(descriptor, bytes, n, arena, out, err);
    if (code == ZDM_OK && (*out)->n_unknown_fields != 0)
        code = refuse(err, "has an unknown field");
    if (code == ZDM_OK) {
        struct zdm_buffer again = ZDM_BUFFER_INIT;
        zdm_message_pack(*out, &again);
        code = compare(&again, bytes, n, err);
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "%s", what);
}

static enum zdm_code decode_into(const struct zdm_message *message, const void *bytes, size_t n,
                                 struct zdm_arena *arena, void *object, struct zdm_error *err)
{
    ProtobufCMessage *from;
    enum zdm_code code = unpack(message->descriptor, bytes, n, arena, &from, err);
    if (code == ZDM_OK)
        code = zdm_message_read(message, from, bytes, n, object, err);
    if (code != ZDM_OK)
        return code;
    struct zdm_buffer again = ZDM_BUFFER_INIT;
    zdm_message_encode(message, object, &again);
    return compare(&again, bytes, n, err);
}

enum zdm_code zdm_message_decode(const struct zdm_message *message, const char *what, const void *bytes, size_t n,
                                 size_t budget, void *out, struct zdm_error *err)
{
    struct zdm_arena arena = {.left = budget};
    ZDM_CLEANUP(zdm_freep) void *object = calloc(1, message->size);
    if (object == NULL)
        return no_memory(err);
    enum zdm_code code = decode_into(message, bytes, n, &arena, object, err);
    zdm_arena_fini(&arena);
    if (code == ZDM_OK) {
        memcpy(out, object, message->size);
        return ZDM_OK;
    }
    zdm_message_release(message, object);
    return zdm_error_wrap(err, "%s", what);
}
