/*
 * error.c - filling and wrapping struct zdm_error. See error.h.
 */
#include "common/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct code_row {
    enum zdm_class class;
    const char *text;
};

static const struct code_row code_rows[ZDM_CODE_COUNT] = {
#define X(name, class, text) [ZDM_##name] = {ZDM_CLASS_##class, text},
    ZDM_CODES(X)
#undef X
};

/* The preprocessor cannot make lower case of the codes; a test compares. */
static const char *const code_names[ZDM_CODE_COUNT] = {
    [ZDM_OK] = "ok",
    [ZDM_INVALID] = "invalid",
    [ZDM_UNSUPPORTED] = "unsupported",
    [ZDM_REFUSED] = "refused",
    [ZDM_NOT_FOUND] = "not_found",
    [ZDM_EXISTS] = "exists",
    [ZDM_AUTH] = "auth",
    [ZDM_PROTOCOL] = "protocol",
    [ZDM_CORRUPT] = "corrupt",
    [ZDM_LIMIT] = "limit",
    [ZDM_IO] = "io",
    [ZDM_FULL] = "full",
    [ZDM_CLOSED] = "closed",
    [ZDM_TIMEOUT] = "timeout",
    [ZDM_LOCK] = "lock",
    [ZDM_CONFLICT] = "conflict",
    [ZDM_UNAVAILABLE] = "unavailable",
    [ZDM_UNKNOWN] = "unknown",
    [ZDM_CANCELLED] = "cancelled",
    [ZDM_DATABASE] = "database",
    [ZDM_FENCED] = "fenced",
    [ZDM_DEPOSED] = "deposed",
    [ZDM_NOMEM] = "nomem",
    [ZDM_BUG] = "bug",
};

enum zdm_class zdm_code_class(enum zdm_code code)
{
    return (unsigned)code < ZDM_CODE_COUNT ? code_rows[code].class : ZDM_CLASS_BUG;
}

const char *zdm_code_name(enum zdm_code code)
{
    return (unsigned)code < ZDM_CODE_COUNT ? code_names[code] : "?";
}

const char *zdm_code_text(enum zdm_code code)
{
    return (unsigned)code < ZDM_CODE_COUNT ? code_rows[code].text : "unknown code";
}

/* Notes in err that a text was cut: the reader of a message must know that it is not whole. */
ZDM_PRINTF(4, 0) static void print_into(struct zdm_error *err, char *out, size_t size, const char *fmt, va_list args)
{
    int n = vsnprintf(out, size, fmt, args);
    if (n < 0)
        out[0] = '\0';
    else if ((size_t)n >= size)
        err->truncated = true;
}

enum zdm_code zdm_error_set(struct zdm_error *err, enum zdm_code code, const char *fmt, ...)
{
    va_list args;
    zdm_error_clear(err);
    err->code = code;
    va_start(args, fmt);
    print_into(err, err->message, sizeof err->message, fmt, args);
    va_end(args);
    return code;
}

enum zdm_code zdm_error_system(struct zdm_error *err, enum zdm_code code, int sys_errno, const char *fmt, ...)
{
    va_list args;
    char reason[128];
    zdm_error_clear(err);
    err->code = code;
    err->sys_errno = sys_errno;
    va_start(args, fmt);
    print_into(err, err->message, sizeof err->message, fmt, args);
    va_end(args);
    size_t used = strlen(err->message);
    const char *text = strerror_r(sys_errno, reason, sizeof reason);
    int n = snprintf(err->message + used, sizeof err->message - used, ": %s", text);
    if (n < 0 || (size_t)n >= sizeof err->message - used)
        err->truncated = true;
    return code;
}

enum zdm_code zdm_error_detail(struct zdm_error *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    print_into(err, err->detail, sizeof err->detail, fmt, args);
    va_end(args);
    return err->code;
}

enum zdm_code zdm_error_hint(struct zdm_error *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    print_into(err, err->hint, sizeof err->hint, fmt, args);
    va_end(args);
    return err->code;
}

enum zdm_code zdm_error_wrap(struct zdm_error *err, const char *fmt, ...)
{
    char former[ZDM_MESSAGE_MAX];
    va_list args;
    memcpy(former, err->message, sizeof former);
    va_start(args, fmt);
    print_into(err, err->message, sizeof err->message, fmt, args);
    va_end(args);
    size_t used = strlen(err->message);
    int n = snprintf(err->message + used, sizeof err->message - used, ": %s", former);
    if (n < 0 || (size_t)n >= sizeof err->message - used)
        err->truncated = true;
    return err->code;
}

void zdm_error_clear(struct zdm_error *err)
{
    memset(err, 0, sizeof *err);
}
