/*
 * error.h - one way to say that something went wrong.
 *
 * A function that can fail returns an enum zdm_code and fills the struct zdm_error that is its last parameter: the code
 * drives decisions, the text drives people. Errors are values of fixed size: reporting one never allocates, so that
 * running out of memory can be reported too. Every code has a class, which is what callers switch on.
 *
 * Wording follows the PostgreSQL message style guide: message short, lower case, no period; detail and hint are
 * sentences; "could not" may work next time, "cannot" never will.
 */
#ifndef ZDM_BASE_ERROR_H
#define ZDM_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#define ZDM_CHECKED         __attribute__((warn_unused_result))
#define ZDM_PRINTF(fmt, va) __attribute__((format(printf, fmt, va)))
#define ZDM_CLEANUP(fn)     __attribute__((cleanup(fn)))

/* What a caller does about it. */
enum zdm_class {
    ZDM_CLASS_NONE,  /* nothing went wrong */
    ZDM_CLASS_RETRY, /* the same again may work: lock not got, deadlock, connection lost */
    ZDM_CLASS_FAIL,  /* this task is over; a person decides */
    ZDM_CLASS_FENCE, /* somebody else has authority: stop acting */
    ZDM_CLASS_BUG    /* our own mistake */
};

/* name, class, text */
#define ZDM_CODES(X)                                                                                                   \
    X(OK, NONE, "ok")                                                                                                  \
    X(INVALID, FAIL, "invalid input")                                                                                  \
    X(UNSUPPORTED, FAIL, "not supported")                                                                              \
    X(REFUSED, FAIL, "refused by policy")                                                                              \
    X(NOT_FOUND, FAIL, "not found")                                                                                    \
    X(EXISTS, FAIL, "already exists")                                                                                  \
    X(AUTH, FAIL, "not authenticated")                                                                                 \
    X(PROTOCOL, FAIL, "protocol violated")                                                                             \
    X(CORRUPT, FAIL, "stored data damaged")                                                                            \
    X(LIMIT, FAIL, "limit reached")                                                                                    \
    X(IO, FAIL, "input or output failed")                                                                              \
    X(FULL, RETRY, "no room")                                                                                          \
    X(CLOSED, RETRY, "connection closed")                                                                              \
    X(TIMEOUT, RETRY, "timed out")                                                                                     \
    X(LOCK, RETRY, "lock not available")                                                                               \
    X(CONFLICT, RETRY, "conflict with a concurrent transaction")                                                       \
    X(UNAVAILABLE, RETRY, "could not be reached")                                                                      \
    X(UNKNOWN, RETRY, "outcome unknown")                                                                               \
    X(CANCELLED, RETRY, "cancelled")                                                                                   \
    X(DATABASE, FAIL, "database error")                                                                                \
    X(FENCED, FENCE, "fenced")                                                                                         \
    X(DEPOSED, FENCE, "deposed")                                                                                       \
    X(NOMEM, BUG, "out of memory")                                                                                     \
    X(BUG, BUG, "internal error")

enum zdm_code {
#define X(name, class, text) ZDM_##name,
    ZDM_CODES(X)
#undef X
        ZDM_CODE_COUNT
};

enum { ZDM_MESSAGE_MAX = 512, ZDM_DETAIL_MAX = 512, ZDM_HINT_MAX = 512 };

struct zdm_error {
    enum zdm_code code;
    int sys_errno;    /* errno where a system call failed, else 0 */
    bool truncated;   /* a text did not fit */
    char sqlstate[6]; /* where a database answered, else "" */
    unsigned number;  /* … and numbers its errors (MySQL), else 0 */
    char message[ZDM_MESSAGE_MAX];
    char detail[ZDM_DETAIL_MAX];
    char hint[ZDM_HINT_MAX];
};

#define ZDM_ERROR_INIT                                                                                                 \
    {                                                                                                                  \
        .code = ZDM_OK                                                                                                 \
    }

/* The class of a code; ZDM_CLASS_BUG for a number that is no code. */
enum zdm_class zdm_code_class(enum zdm_code code);
/* The name of a code as people and JSON see it ("lock"), and its default text. */
const char *zdm_code_name(enum zdm_code code);
const char *zdm_code_text(enum zdm_code code);

/* Fills err anew (all former texts go) and returns code, so that `return zdm_error_set(err, …)` reads naturally. */
enum zdm_code zdm_error_set(struct zdm_error *err, enum zdm_code code, const char *fmt, ...) ZDM_PRINTF(3, 4);
/* As zdm_error_set, adds strerror(sys_errno) to the message and keeps the number. */
enum zdm_code zdm_error_system(struct zdm_error *err, enum zdm_code code, int sys_errno, const char *fmt, ...)
    ZDM_PRINTF(4, 5);
/* Sets detail or hint of an error that is already set; returns its code. */
enum zdm_code zdm_error_detail(struct zdm_error *err, const char *fmt, ...) ZDM_PRINTF(2, 3);
enum zdm_code zdm_error_hint(struct zdm_error *err, const char *fmt, ...) ZDM_PRINTF(2, 3);
/* Puts context in front: "while reading users.md: " + message. Returns the code. */
enum zdm_code zdm_error_wrap(struct zdm_error *err, const char *fmt, ...) ZDM_PRINTF(2, 3);
/* Back to ZDM_OK with empty texts. */
void zdm_error_clear(struct zdm_error *err);

#endif
