/*
 * buffer.c - see buffer.h.
 */
#include "common/base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 256 };

void zdm_buffer_init(struct zdm_buffer *b, size_t limit)
{
    *b = (struct zdm_buffer){.limit = limit};
}

void zdm_buffer_fini(struct zdm_buffer *b)
{
    if (b == NULL)
        return;
    free(b->data);
    *b = (struct zdm_buffer){.limit = b->limit};
}

void zdm_buffer_reset(struct zdm_buffer *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data != NULL)
        b->data[0] = '\0';
}

/* Room for n more bytes and the NUL. */
static bool make_room(struct zdm_buffer *b, size_t n)
{
    if (b->failed)
        return false;
    if (n >= SIZE_MAX / 2 - b->len || (b->limit != 0 && b->len + n > b->limit)) {
        b->failed = true;
        return false;
    }
    if (b->len + n + 1 <= b->cap)
        return true;
    size_t cap = b->cap != 0 ? b->cap : FIRST_CAP;
    while (cap < b->len + n + 1)
        cap *= 2;
    uint8_t *data = realloc(b->data, cap);
    if (data == NULL) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void zdm_buffer_append(struct zdm_buffer *b, const void *bytes, size_t n)
{
    if (!make_room(b, n))
        return;
    if (n != 0)
        memcpy(b->data + b->len, bytes, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void zdm_buffer_puts(struct zdm_buffer *b, const char *text)
{
    zdm_buffer_append(b, text, strlen(text));
}

void zdm_buffer_printf(struct zdm_buffer *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0)
        b->failed = true;
    else if (make_room(b, (size_t)n)) {
        vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

const char *zdm_buffer_text(const struct zdm_buffer *b)
{
    return b->data != NULL ? (const char *)b->data : "";
}

char *zdm_buffer_take(struct zdm_buffer *b)
{
    if (!make_room(b, 0)) {
        zdm_buffer_fini(b);
        return NULL;
    }
    char *data = (char *)b->data;
    data[b->len] = '\0';
    *b = (struct zdm_buffer){.limit = b->limit};
    return data;
}

char *zdm_strdup(const char *text)
{
    return text != NULL ? zdm_memdup(text, strlen(text)) : NULL;
}

void *zdm_memdup(const void *bytes, size_t n)
{
    if (bytes == NULL)
        return NULL;
    char *copy = malloc(n + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, bytes, n);
    copy[n] = '\0';
    return copy;
}

void zdm_freep(void *pointer_to_pointer)
{
    void **p = pointer_to_pointer;
    free(*p);
    *p = NULL;
}

bool zdm_copy_text(char *out, size_t size, const char *text)
{
    size_t n = strlen(text);
    bool fits = n < size;
    if (!fits)
        n = size - 1;
    memcpy(out, text, n);
    out[n] = '\0';
    return fits;
}

bool zdm_reserve(void **array, size_t *cap, size_t n, size_t element_size)
{
    if (n <= *cap)
        return true;
    size_t wanted = *cap != 0 ? *cap : 8;
    while (wanted < n)
        wanted *= 2;
    if (wanted > SIZE_MAX / element_size)
        return false;
    void *grown = realloc(*array, wanted * element_size);
    if (grown == NULL)
        return false;
    *array = grown;
    *cap = wanted;
    return true;
}
