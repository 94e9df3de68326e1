/*
 * settings.c - functions and types of pg_catalog whose answer depends on a setting of the session, and how to say what
 * is meant without it.
 *
 * What the agent pins in its sessions and in the triggers (TimeZone, DateStyle, bytea_output, …) is the same
 * everywhere, and known: not of interest here. The text search configuration is pinned too, but to none that anybody
 * means.
 */
#include "common/runbook/postgresql/tree.h"

#include <string.h>

static const char text_search[] = "default_text_search_config";
static const char text_search_hint[] = "Name the configuration: to_tsvector('english', body), and likewise for the "
                                       "others; 'simple' where words are to stay as they are.";

/* Without the configuration as its first argument. */
static const struct call {
    const char *name;
    size_t args;
    const char *setting, *hint;
} calls[] = {
    {"to_tsvector", 1, text_search, text_search_hint},
    {"to_tsquery", 1, text_search, text_search_hint},
    {"plainto_tsquery", 1, text_search, text_search_hint},
    {"phraseto_tsquery", 1, text_search, text_search_hint},
    {"websearch_to_tsquery", 1, text_search, text_search_hint},
    {"json_to_tsvector", 2, text_search, text_search_hint},
    {"jsonb_to_tsvector", 2, text_search, text_search_hint},
    {"ts_headline", 2, text_search, text_search_hint},
    {"money", 1, "lc_monetary", "Keep amounts as numeric, and let the application show them."},
    {"xml_is_well_formed", 1, "xmloption", "Write xml_is_well_formed_document() or xml_is_well_formed_content()."},
    {"quote_ident", 1, "quote_all_identifiers", "Write '\"' || replace(…, '\"', '\"\"') || '\"'."},
};

/* Of a pattern to_char() and the like have as their second argument: does it hold the locale's names of days and
 * months, or its signs for numbers? Text in double quotes stands for itself. */
static const char *setting_of_pattern(const char *p)
{
    static const char *const whole[] = {"SG", "PL", "FM", "MI", "PR", "RN", "TH"};
    bool number = strpbrk(p, "09") != NULL;
    while (*p != '\0') {
        size_t step = 1;
        if (*p == '"') {
            step += strcspn(p + 1, "\"");
            step += p[step] == '"';
        }
        if (strncmp(p, "TM", 2) == 0)
            return "lc_time";
        for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
            if (rb_same_start(p, whole[i], 2))
                step = 2;
        }
        if (number && step == 1 && strchr("LDGldg", *p) != NULL)
            return rb_lower(*p) == 'l' ? "lc_monetary" : "lc_numeric";
        p += step;
    }
    return NULL;
}

static const char *text_of(const PgQuery__Node *node)
{
    while (node != NULL && node->node_case == PG_QUERY__NODE__NODE_TYPE_CAST)
        node = node->type_cast->arg;
    bool text = node != NULL && node->node_case == PG_QUERY__NODE__NODE_A_CONST &&
                node->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL;
    return text ? node->a_const->sval->sval : NULL;
}

static bool has_pattern(const char *name)
{
    return strcmp(name, "to_char") == 0 || strcmp(name, "to_number") == 0 || strcmp(name, "to_date") == 0 ||
           strcmp(name, "to_timestamp") == 0;
}

const char *rb_setting_of_call(const char *name, const PgQuery__FuncCall *call, const char **out_hint)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        *out_hint = calls[i].hint;
        if (calls[i].args == call->n_args && strcmp(calls[i].name, name) == 0)
            return calls[i].setting;
    }
    /* (config, text, query), or (text, query, options) */
    *out_hint = text_search_hint;
    if (strcmp(name, "ts_headline") == 0 && call->n_args == 3 && !rb_is_constant(call->args[0]))
        return text_search;
    *out_hint = "Write the pattern without TM, L, D and G: '.' and ',' are the same everywhere.";
    const char *pattern = has_pattern(name) && call->n_args == 2 ? text_of(call->args[1]) : NULL;
    if (pattern != NULL)
        return setting_of_pattern(pattern);
    *out_hint = "Write '\"' || replace(…, '\"', '\"\"') || '\"' for the name.";
    pattern = strcmp(name, "format") == 0 && call->n_args > 0 ? text_of(call->args[0]) : NULL;
    return pattern != NULL && (strstr(pattern, "%I") != NULL || strstr(pattern, "$I") != NULL) ? "quote_all_identifiers"
                                                                                               : NULL;
}

/* What a cast reads by a setting. */
const char *rb_setting_of_cast(const PgQuery__TypeCast *cast, const char **out_hint)
{
    static const char *const names[] = {"regclass", "regproc", "regprocedure", "regoper",     "regoperator",
                                        "regtype",  "regrole", "regnamespace", "regcollation"};
    static const char *const configurations[] = {"regconfig", "regdictionary"};
    const PgQuery__TypeName *type = cast->type_name;
    const char *name = type->n_names > 0 ? rb_string(type->names[type->n_names - 1]) : "";
    *out_hint = "Keep amounts as numeric, and let the application show them.";
    if (strcmp(name, "money") == 0)
        return "lc_monetary";
    *out_hint = "Let the application write the xml.";
    if (strcmp(name, "xml") == 0)
        return "xmloption";
    *out_hint = "Write the name as text.";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0)
            return "search_path";
    }
    *out_hint = "Write the configuration as a constant.";
    for (size_t i = 0; i < sizeof configurations / sizeof configurations[0]; i++) {
        if (strcmp(name, configurations[i]) == 0 && !rb_is_constant(cast->arg))
            return "search_path";
    }
    return NULL;
}
