/*
 * buffer.h - a growable run of bytes that knows its limit, for building messages, SQL and text.
 *
 * An append that does not fit (limit or memory) sets `failed` and changes nothing more: a caller builds the whole
 * thing and asks once at the end. The bytes are always followed by a NUL that is not counted, so that text can be
 * read as a C string.
 */
#ifndef ZDM_BASE_BUFFER_H
#define ZDM_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

struct zdm_buffer {
    uint8_t *data; /* NULL while empty */
    size_t len;
    size_t cap;
    size_t limit; /* 0: none */
    bool failed;
};

#define ZDM_BUFFER_INIT                                                                                                \
    {                                                                                                                  \
        .data = NULL                                                                                                   \
    }

void zdm_buffer_init(struct zdm_buffer *b, size_t limit);
/* Frees the bytes; the buffer is empty and usable again. NULL is allowed. */
void zdm_buffer_fini(struct zdm_buffer *b);
/* Forgets the bytes and `failed`, keeps the memory. */
void zdm_buffer_reset(struct zdm_buffer *b);
void zdm_buffer_append(struct zdm_buffer *b, const void *bytes, size_t n);
void zdm_buffer_puts(struct zdm_buffer *b, const char *text);
void zdm_buffer_printf(struct zdm_buffer *b, const char *fmt, ...) ZDM_PRINTF(2, 3);
/* The text so far, "" when empty. Borrowed until the next append. */
const char *zdm_buffer_text(const struct zdm_buffer *b);
/* Hands the bytes (NUL-terminated, malloc'd) to the caller and empties the buffer; NULL if it had failed. */
char *zdm_buffer_take(struct zdm_buffer *b);

/* malloc'd copy of a string or of n bytes (a NUL is put behind them); NULL for NULL or without memory. */
char *zdm_strdup(const char *text);
void *zdm_memdup(const void *bytes, size_t n);
/* free() and NULL for the cleanup attribute: ZDM_CLEANUP(zdm_freep) char *text = …; */
void zdm_freep(void *pointer_to_pointer);
/* Copies text into out[size]; false (and a cut, terminated copy) when it does not fit. */
bool zdm_copy_text(char *out, size_t size, const char *text);
/* Grows an array to hold at least n elements; false without memory, the array then unchanged. */
bool zdm_reserve(void **array, size_t *cap, size_t n, size_t element_size);
#define ZDM_RESERVE(array, cap, n) zdm_reserve((void **)&(array), &(cap), (n), sizeof *(array))

#endif
