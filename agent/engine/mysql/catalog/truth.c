/*
 * truth.c - does an expression give a truth value, 0, 1 or NULL? The server says INT of it, which a BOOLEAN
 * (tinyint(1)) would not hold in all its values.
 *
 * Comparisons and logic bind weaker than arithmetic: where one stands outside of parentheses, it is the last thing that
 * is done. A CASE gives truth when each of its results is TRUE, FALSE, 0, 1 or NULL. Everything else is a number.
 */
#include <string.h>

#include "agent/engine/mysql/walk/sync.h"
#include "common/plan/scan.h"

static enum zdm_token next(struct zdm_scan *s)
{
    enum zdm_token token;
    do {
        token = zdm_scan_next(s);
    } while (token == ZDM_TOKEN_BLANK);
    return token;
}

static bool is_truth_word(const struct zdm_scan *s)
{
    return zdm_scan_is(s, "true") || zdm_scan_is(s, "false") || zdm_scan_is(s, "null") || zdm_scan_is(s, "0") ||
           zdm_scan_is(s, "1");
}

/* A comparison or logic at the level where the scan began, outside of any CASE. */
static bool compares(const char *text, size_t n)
{
    static const char words[] = "is and or not xor in between like rlike regexp";
    struct zdm_scan s = {.sql = text, .n = n, .engine = ZDM_ENGINE_MYSQL};
    unsigned cases = 0;
    for (enum zdm_token token = next(&s); token != ZDM_TOKEN_END && token != ZDM_TOKEN_BROKEN; token = next(&s)) {
        bool word = token == ZDM_TOKEN_WORD;
        cases += word && zdm_scan_is(&s, "case");
        cases -= word && cases > 0 && zdm_scan_is(&s, "end");
        char sign = token == ZDM_TOKEN_SIGN ? text[s.start] : '\0';
        bool found = (word && zdm_scan_among(&s, words) != NULL) || sign == '=' || sign == '<' || sign == '>';
        if (found && cases == 0 && s.depth == 0) {
            return true;
        }
    }
    return false;
}

/* CASE … END and nothing behind it, with truth behind each THEN and ELSE. */
static bool chooses(const char *text, size_t n)
{
    struct zdm_scan s = {.sql = text, .n = n, .engine = ZDM_ENGINE_MYSQL};
    unsigned cases = 0, results = 0;
    if (next(&s) != ZDM_TOKEN_WORD || !zdm_scan_is(&s, "case")) {
        return false;
    }
    cases = 1;
    for (enum zdm_token token = next(&s); cases > 0; token = next(&s)) {
        if (token == ZDM_TOKEN_END || token == ZDM_TOKEN_BROKEN) {
            return false;
        }
        if (token != ZDM_TOKEN_WORD || s.depth != 0) {
            continue;
        }
        bool result = cases == 1 && (zdm_scan_is(&s, "then") || zdm_scan_is(&s, "else"));
        cases += zdm_scan_is(&s, "case");
        cases -= zdm_scan_is(&s, "end");
        if (result && (next(&s) != ZDM_TOKEN_WORD || !is_truth_word(&s))) {
            return false;
        }
        if (result) {
            struct zdm_scan behind = s;
            bool ends = next(&behind) == ZDM_TOKEN_WORD &&
                        (zdm_scan_is(&behind, "when") || zdm_scan_is(&behind, "else") || zdm_scan_is(&behind, "end"));
            if (!ends) {
                return false;
            }
            results++;
        }
    }
    return results > 0 && next(&s) == ZDM_TOKEN_END;
}

bool mydb_is_truth(const char *expr)
{
    size_t n = strlen(expr);
    struct zdm_scan s = {.sql = expr, .n = n, .engine = ZDM_ENGINE_MYSQL};
    /* Parentheses around all of it. */
    while (next(&s) == ZDM_TOKEN_SIGN && s.sql[s.start] == '(') {
        size_t open = s.at;
        while (s.depth > 0 && zdm_scan_next(&s) != ZDM_TOKEN_END) {
        }
        size_t close = s.start;
        if (next(&s) != ZDM_TOKEN_END || close < open) {
            break;
        }
        s = (struct zdm_scan){.sql = s.sql + open, .n = close - open, .engine = ZDM_ENGINE_MYSQL};
    }
    return compares(s.sql, s.n) || chooses(s.sql, s.n);
}
