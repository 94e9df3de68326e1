/*
 * utf8.h - is a text UTF-8 (RFC 3629), and what to send when it is not.
 */
#ifndef ZDM_PROTO_UTF8_H
#define ZDM_PROTO_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* No overlong forms, no surrogates, nothing above U+10FFFF. */
bool zdm_utf8_is_valid(const char *text, size_t n);
/* Copies n bytes and a NUL to out, with '?' for each byte that is part of no character. */
void zdm_utf8_clean(char *out, const char *text, size_t n);

#endif
