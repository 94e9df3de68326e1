/*
 * fields_encode.c - from our structures to messages: a tree in arena memory that points into the structure, then
 * packed. See fields.h.
 */
#include "proto/fields.h"

#include <string.h>

#include "proto/utf8.h"
#include "zdm/v1/common.pb-c.h"

enum { BUILD_MAX = 64 * 1024 * 1024 }; /* bytes of arena for one message that we made ourselves */

/* A new enum zdm_code without a number on the wire does not compile. */
static const uint32_t wire_codes[ZDM_CODE_COUNT] = {
#define X(name, class, text) [ZDM_##name] = ZDM__V1__CODE__CODE_##name,
    ZDM_CODES(X)
#undef X
};

uint32_t zdm_code_to_wire(enum zdm_code code)
{
    return (unsigned)code < ZDM_CODE_COUNT ? wire_codes[code] : wire_codes[ZDM_BUG];
}

bool zdm_code_from_wire(uint32_t number, enum zdm_code *out)
{
    for (unsigned code = 0; code < ZDM_CODE_COUNT; code++) {
        if (wire_codes[code] == number) {
            *out = (enum zdm_code)code;
            return true;
        }
    }
    return false;
}

/* The text itself when it is UTF-8, else a copy with '?' for each byte that is not. */
static const char *clean_text(struct zdm_arena *arena, const char *text)
{
    size_t n = strlen(text);
    if (zdm_utf8_is_valid(text, n))
        return text;
    char *copy = zdm_arena_alloc(arena, n + 1);
    if (copy != NULL)
        zdm_utf8_clean(copy, text, n);
    return copy;
}

static bool build_text(struct zdm_arena *arena, const char *text, void *slot)
{
    const char *clean = clean_text(arena, text);
    if (clean != NULL)
        *(const char **)slot = clean;
    return clean != NULL;
}

/* Of an owned string: SQL is never mended, so what is not UTF-8 fails. */
static bool build_string(const char *text, void *slot)
{
    if (text == NULL)
        return true;
    *(const char **)slot = text;
    return zdm_utf8_is_valid(text, strlen(text));
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
    while (n > 0 && bytes[n - 1] == 0)
        n--;
    return n == 0;
}

static void build_bytes(const void *bytes, size_t n, void *slot)
{
    const ProtobufCBinaryData data = {.len = n, .data = (uint8_t *)(uintptr_t)bytes};
    memcpy(slot, &data, sizeof data);
}

static size_t element_size_on_wire(const struct zdm_field *field)
{
    return field->kind == ZDM_FIELD_RAWS ? sizeof(ProtobufCBinaryData) : sizeof(void *);
}

static bool build_element(struct zdm_arena *arena, const struct zdm_field *field, const uint8_t *base, size_t i,
                          void *slot)
{
    const uint8_t *element = base + i * field->size;
    if (field->kind == ZDM_FIELD_TEXTS)
        return build_text(arena, (const char *)element, slot);
    if (field->kind == ZDM_FIELD_STRINGS)
        return build_string(((char *const *)(const void *)base)[i], slot);
    if (field->kind == ZDM_FIELD_RAWS) {
        build_bytes(element, field->size, slot);
        return true;
    }
    ProtobufCMessage *sub = zdm_message_build(arena, field->message, element);
    memcpy(slot, &sub, sizeof sub);
    return sub != NULL;
}

static bool build_array(struct zdm_arena *arena, const struct zdm_field *field, const uint8_t *base, size_t n,
                        void *slot, void *slot_n)
{
    size_t width = element_size_on_wire(field);
    if (n == 0)
        return true;
    if (n > field->max)
        return false;
    uint8_t *array = zdm_arena_alloc(arena, n * width);
    if (array == NULL)
        return false;
    memset(array, 0, n * width);
    memcpy(slot, &array, sizeof array);
    memcpy(slot_n, &n, sizeof n);
    for (size_t i = 0; i < n; i++)
        if (!build_element(arena, field, base, i, array + i * width))
            return false;
    return true;
}

/* A structure in place is left out when it says nothing. */
static bool build_sub(struct zdm_arena *arena, const struct zdm_field *field, const void *object, void *slot)
{
    if (object == NULL)
        return true;
    ProtobufCMessage *sub = zdm_message_build(arena, field->message, object);
    if (sub == NULL)
        return false;
    if (field->kind == ZDM_FIELD_POINTER || protobuf_c_message_get_packed_size(sub) != 0)
        memcpy(slot, &sub, sizeof sub);
    return true;
}

static bool build_field(struct zdm_arena *arena, const struct zdm_field *field, const uint8_t *object,
                        const ProtobufCFieldDescriptor *to, uint8_t *out)
{
    const uint8_t *member = object + field->offset;
    uint8_t *slot = out + to->offset;
    const void *pointer = NULL;
    size_t n = 0;
    if (zdm_field_is_pointer(field->kind))
        memcpy(&pointer, member, sizeof pointer);
    if (field->n_offset != 0)
        memcpy(&n, object + field->n_offset, sizeof n);
    switch (field->kind) {
    case ZDM_FIELD_BOOL:
        *(protobuf_c_boolean *)(void *)slot = *(const bool *)member;
        return true;
    case ZDM_FIELD_CODE:
        *(uint32_t *)(void *)slot = zdm_code_to_wire(*(const enum zdm_code *)(const void *)member);
        return true;
    case ZDM_FIELD_U32:
    case ZDM_FIELD_U64:
    case ZDM_FIELD_I64:
    case ZDM_FIELD_ENUM:
        memcpy(slot, member, field->size);
        return true;
    case ZDM_FIELD_TEXT:
        return build_text(arena, (const char *)member, slot);
    case ZDM_FIELD_STRING:
        return build_string(pointer, slot);
    case ZDM_FIELD_RAW:
        if (!is_zero(member, field->size))
            build_bytes(member, field->size, slot);
        return true;
    case ZDM_FIELD_BYTES:
    case ZDM_FIELD_TAIL:
        build_bytes(pointer, n, slot);
        return n <= field->max;
    case ZDM_FIELD_MESSAGE:
        return build_sub(arena, field, member, slot);
    case ZDM_FIELD_POINTER:
        return build_sub(arena, field, pointer, slot);
    case ZDM_FIELD_TEXTS:
    case ZDM_FIELD_RAWS:
    case ZDM_FIELD_FIXED:
        return build_array(arena, field, member, n, slot, out + to->quantifier_offset);
    case ZDM_FIELD_STRINGS:
    case ZDM_FIELD_ARRAY:
        return build_array(arena, field, pointer, n, slot, out + to->quantifier_offset);
    }
    return false;
}

ProtobufCMessage *zdm_message_build(struct zdm_arena *arena, const struct zdm_message *message, const void *object)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    ProtobufCMessage *out = zdm_arena_alloc(arena, descriptor->sizeof_message);
    if (out == NULL)
        return NULL;
    protobuf_c_message_init(descriptor, out);
    for (size_t i = 0; i < message->n_fields; i++)
        if (!build_field(arena, &message->fields[i], object, &descriptor->fields[i], (uint8_t *)out))
            return NULL;
    return out;
}

/* Lets protobuf-c append straight to a buffer. */
struct appender {
    ProtobufCBuffer base;
    struct zdm_buffer *out;
};

static void append(ProtobufCBuffer *buffer, size_t n, const uint8_t *bytes)
{
    zdm_buffer_append(((struct appender *)(void *)buffer)->out, bytes, n);
}

void zdm_message_pack(const ProtobufCMessage *message, struct zdm_buffer *out)
{
    struct appender appender = {.base = {.append = append}, .out = out};
    protobuf_c_message_pack_to_buffer(message, &appender.base);
}

void zdm_message_encode(const struct zdm_message *message, const void *object, struct zdm_buffer *out)
{
    struct zdm_arena arena = {.left = BUILD_MAX};
    ProtobufCMessage *built = zdm_message_build(&arena, message, object);
    if (built != NULL)
        zdm_message_pack(built, out);
    else
        out->failed = true;
    zdm_arena_fini(&arena);
}
