/*
 * scan.h - where quoted texts, comments and words of SQL begin and end, inside common/plan: see form.h.
 */
#ifndef ZDM_PLAN_SCAN_H
#define ZDM_PLAN_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/plan/plan.h"

enum zdm_token {
    ZDM_TOKEN_END,
    ZDM_TOKEN_BLANK,
    ZDM_TOKEN_WORD, /* a name or a number */
    ZDM_TOKEN_TEXT, /* quoted, whatever the quotes */
    ZDM_TOKEN_SIGN, /* one character */
    ZDM_TOKEN_COMMENT,
    ZDM_TOKEN_BROKEN /* does not end, or is read differently by two releases or settings */
};

struct zdm_scan {
    const char *sql;
    size_t n;
    size_t start, at;       /* the token at hand */
    long depth;             /* of parentheses, behind it */
    enum zdm_engine engine; /* MYSQL: its own rules, else PostgreSQL's */
};

enum zdm_token zdm_scan_next(struct zdm_scan *s);
/* Is the token at hand that word (in lower case)? */
bool zdm_scan_is(const struct zdm_scan *s, const char *word);
/* One of the words, with a blank between them? NULL, or where it stands among them. */
const char *zdm_scan_among(const struct zdm_scan *s, const char *words);
/* Goes to the first word; false when something else comes before it. */
bool zdm_scan_word(struct zdm_scan *s);

#endif
