/*
 * support.h - what the tests of zdmctl share: looks, fixtures, and how wide a text is.
 */
#ifndef TESTS_UNIT_CTL_SUPPORT_H
#define TESTS_UNIT_CTL_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/ctl/text/text.h"

/* A look that depends on nothing around the test but the locale that main() sets. */
static inline struct ctl_look look_of(unsigned width, bool unicode)
{
    return (struct ctl_look){.width = width, .unicode = unicode};
}

static inline json_t *fixture(const char *name)
{
    char path[512];
    json_error_t where;
    snprintf(path, sizeof path, "%s/tests/unit/ctl/fixtures/%s", ZDM_SOURCE_DIR, name);
    json_t *json = json_load_file(path, 0, &where);
    if (json == NULL)
        fail_msg("%s:%d: %s", path, where.line, where.text);
    return json;
}

static inline json_t *parse(const char *text)
{
    json_error_t where;
    json_t *json = json_loads(text, 0, &where);
    if (json == NULL)
        fail_msg("%s in %s", where.text, text);
    return json;
}

/* The widest line, in columns. */
static inline size_t widest(const struct ctl_look *look, const char *text)
{
    size_t most = 0;
    while (*text != '\0') {
        char line[4096];
        size_t n = strcspn(text, "\n");
        assert_true(n < sizeof line);
        memcpy(line, text, n);
        line[n] = '\0';
        size_t columns = ctl_columns(look, line);
        most = columns > most ? columns : most;
        text += n + (text[n] == '\n' ? 1 : 0);
    }
    return most;
}

static inline void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static inline void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("\"%s\" is in:\n%s", part, text);
}

#endif
