/*
 * fields.h - one table a message says how our structure and its protobuf message correspond; one engine walks both.
 *
 * Why tables: written out by hand, copying each field in and out, checking it and freeing it again is four places a
 * field, and the check is the one that gets forgotten. A row of a table stands at the place of its field in the .proto
 * (fields in order of their numbers); its macro checks at compile time that the member has the type that it names, and
 * a test checks every row against protobuf-c's own descriptor.
 *
 * What decoding guarantees, for every message: no unknown field (but in frames that may grow: frame_codec.c), known
 * enumerators, text in valid UTF-8 and within its length, ids, hashes and signatures of exactly their length, arrays
 * within their bounds, names valid where they must be. And encoding the result again gives the very bytes that were
 * read: nothing was ignored, no field came twice or out of order, no NUL hid inside a text. Memory for unpacking is
 * taken from an arena with a budget, because protobuf-c answers a few bytes of empty messages with many times as much.
 *
 * Absent and zero are the same: an id of zeros is not sent, a structure inside that encodes to nothing is not sent.
 *
 * Threads: any, no state. Inside proto/ and coordinator/log only.
 */
#ifndef ZDM_PROTO_FIELDS_H
#define ZDM_PROTO_FIELDS_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buffer.h"
#include "common/base/error.h"
#include "common/base/id.h"

enum zdm_field_kind {
    ZDM_FIELD_BOOL,
    ZDM_FIELD_U32,
    ZDM_FIELD_U64,
    ZDM_FIELD_I64,
    ZDM_FIELD_ENUM,
    ZDM_FIELD_CODE,    /* enum zdm_code, by name: its numbers in memory are not those on the wire */
    ZDM_FIELD_TEXT,    /* char[size]; encoding puts '?' for what is not UTF-8, such as a cut error text */
    ZDM_FIELD_TEXTS,   /* char[max][size] and a count */
    ZDM_FIELD_STRING,  /* char *, owned; NULL when empty unless ZDM_KEEP_EMPTY */
    ZDM_FIELD_STRINGS, /* char **, owned, and a count */
    ZDM_FIELD_RAW,     /* exactly size bytes in place */
    ZDM_FIELD_RAWS,    /* uint8_t[max][size] and a count */
    ZDM_FIELD_BYTES,   /* uint8_t *, owned, and a length */
    ZDM_FIELD_TAIL,    /* const uint8_t *, borrowed from the end of the input, and a length */
    ZDM_FIELD_MESSAGE, /* a structure in place */
    ZDM_FIELD_POINTER, /* a structure, owned; NULL when absent */
    ZDM_FIELD_ARRAY,   /* structures, owned, and a count */
    ZDM_FIELD_FIXED    /* structures in an array in place, and a count */
};

enum zdm_field_flags {
    ZDM_REQUIRED = 1,  /* not empty, not zero */
    ZDM_NAMED = 2,     /* zdm_name_is_valid, where not empty */
    ZDM_KEEP_EMPTY = 4 /* an empty STRING is "", never NULL */
};

struct zdm_field {
    const char *name; /* of the member; a part of it is the field's name in the .proto, or the row stands wrongly */
    enum zdm_field_kind kind;
    unsigned flags;
    size_t offset;   /* of the member in our structure */
    size_t n_offset; /* of its count or length */
    size_t size;     /* bytes: of a TEXT's array, of a RAW, of one element; of a STRING the most, without the NUL */
    size_t max;      /* elements, or bytes of BYTES */
    const struct zdm_message *message;
};

struct zdm_message {
    const ProtobufCMessageDescriptor *descriptor;
    const struct zdm_field *fields; /* descriptor->n_fields of them, in its order */
    size_t n_fields;
    size_t size; /* of our structure */
    /* What one field alone cannot show; runs last, may fill in what the wire leaves out. May be NULL. */
    enum zdm_code (*check)(void *object, struct zdm_error *err);
};

#define ZDM_MESSAGE(type, descriptor_name, rows, check_function)                                                       \
    {                                                                                                                  \
        .descriptor = &(descriptor_name), .fields = (rows), .n_fields = sizeof(rows) / sizeof *(rows),                 \
        .size = sizeof(struct type), .check = (check_function)                                                         \
    }

/* The offset of a member, if and only if a pointer to it has that type. */
#define ZDM_AT(type, member, pointer) _Generic(&((struct type *)0)->member, pointer : offsetof(struct type, member))
#define ZDM_SIZE(type, member)        sizeof(((struct type *)0)->member)
#define ZDM_COUNT(type, member)       (ZDM_SIZE(type, member) / ZDM_SIZE(type, member[0]))
#define ZDM_ROW(kind_, member, at, flags_, ...)                                                                        \
    {                                                                                                                  \
        .name = #member, .kind = ZDM_FIELD_##kind_, .offset = (at), .flags = (flags_), __VA_ARGS__                     \
    }
/* A member of one plain type; a member in place, of whatever type; and one with a count or length. */
#define ZDM_PLAIN(kind_, type, member, pointer, flags, bytes)                                                          \
    ZDM_ROW(kind_, member, ZDM_AT(type, member, pointer), flags, .size = (bytes))
#define ZDM_PLACE(kind_, type, member, flags, ...)                                                                     \
    ZDM_ROW(kind_, member, offsetof(struct type, member), flags, __VA_ARGS__)
#define ZDM_N(type, n_member)  .n_offset = ZDM_AT(type, n_member, size_t *)
#define ZDM_EACH(type, member) .size = ZDM_SIZE(type, member[0])

#define F_BOOL(type, member)                ZDM_PLAIN(BOOL, type, member, bool *, 0, 1)
#define F_U32(type, member, flags)          ZDM_PLAIN(U32, type, member, uint32_t *, flags, 4)
#define F_U64(type, member, flags)          ZDM_PLAIN(U64, type, member, uint64_t *, flags, 8)
#define F_I64(type, member, flags)          ZDM_PLAIN(I64, type, member, int64_t *, flags, 8)
#define F_ENUM(type, member, name, flags)   ZDM_PLAIN(ENUM, type, member, enum name *, flags, 4)
#define F_CODE(type, member)                ZDM_PLAIN(CODE, type, member, enum zdm_code *, 0, 4)
#define F_ID(type, member, flags)           ZDM_PLAIN(RAW, type, member, struct zdm_id *, flags, 16)
#define F_HASH(type, member, flags)         ZDM_PLAIN(RAW, type, member, struct zdm_hash *, flags, 32)
#define F_RAW(type, member, flags)          ZDM_PLACE(RAW, type, member, flags, .size = ZDM_SIZE(type, member))
#define F_TEXT(type, member, flags)         ZDM_PLACE(TEXT, type, member, flags, .size = ZDM_SIZE(type, member))
#define F_STRING(type, member, most, flags) ZDM_PLAIN(STRING, type, member, char **, flags, most)
#define F_STRINGS(type, member, n_member, most, length, flags)                                                         \
    ZDM_ROW(STRINGS, member, ZDM_AT(type, member, char ***), flags, ZDM_N(type, n_member), .size = (length),           \
            .max = (most))
#define F_TEXTS(type, member, n_member, flags)                                                                         \
    ZDM_PLACE(TEXTS, type, member, flags, ZDM_N(type, n_member), ZDM_EACH(type, member), .max = ZDM_COUNT(type, member))
#define F_HASHES(type, member, n_member)                                                                               \
    ZDM_PLACE(RAWS, type, member, 0, ZDM_N(type, n_member), ZDM_EACH(type, member), .max = ZDM_COUNT(type, member))
#define F_BYTES(type, member, n_member, most, flags)                                                                   \
    ZDM_ROW(BYTES, member, ZDM_AT(type, member, uint8_t **), flags, ZDM_N(type, n_member), .max = (most))
#define F_TAIL(type, member, n_member, most)                                                                           \
    ZDM_ROW(TAIL, member, ZDM_AT(type, member, const uint8_t **), 0, ZDM_N(type, n_member), .max = (most))
#define F_MESSAGE(type, member, sub) ZDM_PLACE(MESSAGE, type, member, 0, .message = (sub))
#define F_POINTER(type, member, sub) ZDM_PLACE(POINTER, type, member, 0, ZDM_EACH(type, member), .message = (sub))
#define F_ARRAY(type, member, n_member, most, sub)                                                                     \
    ZDM_PLACE(ARRAY, type, member, 0, ZDM_N(type, n_member), ZDM_EACH(type, member), .max = (most), .message = (sub))
#define F_FIXED(type, member, n_member, sub)                                                                           \
    ZDM_PLACE(FIXED, type, member, 0, ZDM_N(type, n_member), ZDM_EACH(type, member), .max = ZDM_COUNT(type, member),   \
              .message = (sub))

/* Does the member hold a pointer (to what it owns, or borrows)? */
static inline bool zdm_field_is_pointer(enum zdm_field_kind kind)
{
    return kind == ZDM_FIELD_STRING || kind == ZDM_FIELD_STRINGS || kind == ZDM_FIELD_BYTES || kind == ZDM_FIELD_TAIL ||
           kind == ZDM_FIELD_POINTER || kind == ZDM_FIELD_ARRAY;
}

enum { ZDM_UNPACK_MAX = 4 * 1024 * 1024 }; /* bytes of memory that unpacking one message may take */

/* Memory that is given back all at once; never more than its budget. Fits protobuf-c as an allocator. */
struct zdm_arena {
    struct zdm_arena_chunk *chunks;
    size_t left;      /* of the budget */
    bool over_budget; /* something was refused because of it */
    bool failed;      /* something was refused at all */
};

void *zdm_arena_alloc(struct zdm_arena *arena, size_t n);
void zdm_arena_fini(struct zdm_arena *arena);

/* Appends the object's message; a failure shows in out->failed. */
void zdm_message_encode(const struct zdm_message *message, const void *object, struct zdm_buffer *out);
/* The message of an object in arena memory, pointing into the object; NULL without memory or for text that is not
 * UTF-8. For messages that a caller puts together itself. */
ProtobufCMessage *zdm_message_build(struct zdm_arena *arena, const struct zdm_message *message, const void *object);

/* Appends a message that was put together. */
void zdm_message_pack(const ProtobufCMessage *message, struct zdm_buffer *out);

/* Decodes into out, which is untouched on failure; `what` names the message in errors ("directive"). */
enum zdm_code zdm_message_decode(const struct zdm_message *message, const char *what, const void *bytes, size_t n,
                                 size_t budget, void *out, struct zdm_error *err) ZDM_CHECKED;
/* The half of it for a message that a caller takes apart itself: unpacked into the arena, packs to the same bytes. */
enum zdm_code zdm_message_unpack(const ProtobufCMessageDescriptor *descriptor, const char *what, const void *bytes,
                                 size_t n, struct zdm_arena *arena, ProtobufCMessage **out,
                                 struct zdm_error *err) ZDM_CHECKED;
/* The other half: fills a zeroed object from an unpacked message. On failure the object owns what was read so far:
 * zdm_message_release. input: where TAIL fields are borrowed from. */
enum zdm_code zdm_message_read(const struct zdm_message *message, const ProtobufCMessage *from, const void *input,
                               size_t n, void *object, struct zdm_error *err) ZDM_CHECKED;
/* The same for what a newer release may say more of: fields that this one does not know are left out, and *out_skipped
 * says that there were some. Not for messages with TAIL fields. */
enum zdm_code zdm_message_read_open(const struct zdm_message *message, const ProtobufCMessage *from, void *object,
                                    bool *out_skipped, struct zdm_error *err) ZDM_CHECKED;
void zdm_message_release(const struct zdm_message *message, void *object);

/* Does every row fit the descriptor's field at its place? The error names the first that does not. For tests. */
bool zdm_message_fits(const struct zdm_message *message, struct zdm_error *err);

/* The number of a code on the wire, and back; false for a number that is none. */
uint32_t zdm_code_to_wire(enum zdm_code code);
bool zdm_code_from_wire(uint32_t number, enum zdm_code *out);

#endif
