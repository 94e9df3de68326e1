/*
 * draft_cast.c - casts that not every value passes. A trigger casts inside the application's own INSERT, which would
 * fail with it: where a condition tells which values fit, the others stay NULL and are named by checks.
 */
#include "common/runbook/postgresql/ddl.h"
#include "common/runbook/draft.h"

#include <string.h>

/* What a column holds now. One whose type is not known is looked at as the text that it would be written as. */
enum source { OF_UNKNOWN, OF_TEXT, OF_NUMBER, OF_BOOLEAN, OF_TIME, OF_OTHERS };

static enum source source_of(const char *type, bool assigned)
{
    static const struct {
        const char *word;
        enum source source;
    } rows[] = {{"text", OF_TEXT},      {"varchar", OF_TEXT},    {"char", OF_TEXT},      {"character", OF_TEXT},
                {"bpchar", OF_TEXT},    {"citext", OF_TEXT},     {"name", OF_TEXT},      {"smallint", OF_NUMBER},
                {"int", OF_NUMBER},     {"integer", OF_NUMBER},  {"bigint", OF_NUMBER},  {"int2", OF_NUMBER},
                {"int4", OF_NUMBER},    {"int8", OF_NUMBER},     {"numeric", OF_NUMBER}, {"decimal", OF_NUMBER},
                {"real", OF_NUMBER},    {"double", OF_NUMBER},   {"float", OF_NUMBER},   {"float4", OF_NUMBER},
                {"float8", OF_NUMBER},  {"boolean", OF_BOOLEAN}, {"bool", OF_BOOLEAN},   {"date", OF_TIME},
                {"timestamp", OF_TIME}, {"timestamptz", OF_TIME}};
    if (type == NULL) /* no text becomes another type by itself */
        return assigned ? OF_NUMBER : OF_UNKNOWN;
    size_t n = strcspn(type, " ([");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (n == strlen(rows[i].word) && rb_same_start(type, rows[i].word, n))
            return strchr(type, '[') == NULL ? rows[i].source : OF_OTHERS;
    }
    return OF_OTHERS;
}

static int modifier(const PgQuery__TypeName *type, size_t i)
{
    const PgQuery__Node *node = i < type->n_typmods ? type->typmods[i] : NULL;
    bool number = node != NULL && node->node_case == PG_QUERY__NODE__NODE_A_CONST &&
                  node->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL;
    return number ? node->a_const->ival->ival : 0;
}

/* ---- conditions ---- */

static const char *in_range(struct rb *rb, const char *name, const char *value)
{
    static const struct {
        const char *type, *low, *high;
    } rows[] = {{"int2", "-32768", "32767"},
                {"int4", "-2147483648", "2147483647"},
                {"int8", "-9223372036854775808", "9223372036854775807"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].type, name) == 0)
            return rb_format(rb, "%s BETWEEN %s AND %s", value, rows[i].low, rows[i].high);
    }
    return NULL;
}

/* Of numeric(p, s): what is rounded to s digits has at most p - s in front of them. */
static const char *in_precision(struct rb *rb, const PgQuery__TypeName *type, const char *value)
{
    int scale = modifier(type, 1), digits = modifier(type, 0) - scale;
    if (type->n_typmods == 0 || scale < 0 || digits < 0 || digits > 40)
        return NULL;
    const char *zeros = "0000000000000000000000000000000000000000";
    return rb_format(rb, "abs(round(%s, %d)) < 1%.*s", value, scale, digits, zeros);
}

static const char *number_fits(struct rb *rb, const PgQuery__TypeName *type, const char *name, const char *value)
{
    const char *range = in_range(rb, name, value);
    if (range != NULL || strcmp(name, "numeric") != 0)
        return range;
    return in_precision(rb, type, rb_format(rb, "%s::numeric", value));
}

#define INTEGER "^ *[-+]?[0-9]{1,40} *$"
#define DECIMAL "^ *[-+]?([0-9]{1,40}[.]?[0-9]{0,40}|[.][0-9]{1,40}) *$"
/* A day that there is, of a year from 1 on. */
#define DAY                                                                                                            \
    "(?!0000)([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"                   \
    "|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
#define TIME "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?"

static const struct {
    const char *type, *form;
    bool is_enough; /* what has the form can be cast */
} forms[] = {
    {"int2", INTEGER, true},
    {"int4", INTEGER, true},
    {"int8", INTEGER, true},
    {"numeric", DECIMAL, true},
    {"float8", DECIMAL, true},
    {"uuid", "^([0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}$", true},
    {"date", "^" DAY "$", true},
    {"timestamp", "^" DAY "([ T]" TIME ")?$", true},
    {"bool", "^ *(t|tr|tru|true|y|ye|yes|on|1|f|fa|fal|fals|false|n|no|of|off|0) *$", true},
    {"json", "^[[:space:]]*([[{\"]|-?[0-9]|(true|false|null)[[:space:]]*$)", false},
    {"jsonb", "^[[:space:]]*([[{\"]|-?[0-9]|(true|false|null)[[:space:]]*$)", false},
};

/* Which values pass: first those of a form, where there is one, then those of them that are in a range. */
struct condition {
    const char *form, *range;
    bool is_enough;
};

/* Of a text: it has a form, and the number that it then is fits. */
static struct condition text_fits(struct rb *rb, const PgQuery__TypeName *type, const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(forms[i].type, name) != 0)
            continue;
        const char *form =
            rb_format(rb, "%s %s %s", value, strcmp(name, "bool") == 0 ? "~*" : "~", rb_literal(rb, forms[i].form));
        return (struct condition){form, number_fits(rb, type, name, rb_format(rb, "%s::numeric", value)),
                                  forms[i].is_enough};
    }
    return (struct condition){NULL, NULL, false};
}

static const char *all_of(struct rb *rb, const struct condition *c)
{
    if (c->form == NULL || c->range == NULL)
        return c->form == NULL ? c->range : c->form;
    return rb_format(rb, "CASE WHEN %s THEN %s ELSE false END", c->form, c->range);
}

static const char *guard(struct rb *rb, const struct condition *c, const char *expression)
{
    if (c->range != NULL)
        expression = rb_format(rb, "CASE WHEN %s THEN %s END", c->range, expression);
    return c->form == NULL ? expression : rb_format(rb, "CASE WHEN %s\n  THEN %s END", c->form, expression);
}

/* ---- the cast ---- */

static bool is_any(const char *name, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* Casts that each value of such a column passes. */
static bool always_passes(enum source source, const char *name, const PgQuery__TypeName *type, bool assigned)
{
    static const char *const texts[] = {"text", "varchar", "bpchar", "citext", NULL};
    static const char *const numbers[] = {"int2", "int4", "int8", "numeric", "float4", NULL};
    static const char *const times[] = {"date", "time", "timestamp", "timestamptz", NULL};
    if (is_any(name, texts) && type->n_array_bounds == 0)
        return true;
    if ((source == OF_BOOLEAN && strcmp(name, "int4") == 0) || (source == OF_TIME && is_any(name, times)))
        return true;
    if (assigned && source == OF_NUMBER && !is_any(name, numbers))
        return true; /* of days and times, mostly */
    return source == OF_NUMBER && strcmp(name, "numeric") == 0 && type->n_typmods == 0;
}

static const char *enclosed(struct rb *rb, const PgQuery__Node *value, const char *text)
{
    bool plain = value == NULL || value->node_case == PG_QUERY__NODE__NODE_COLUMN_REF ||
                 value->node_case == PG_QUERY__NODE__NODE_FUNC_CALL ||
                 (value->node_case == PG_QUERY__NODE__NODE_A_EXPR &&
                  value->a_expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF);
    return plain ? text : rb_format(rb, "(%s)", text);
}

struct cast {
    const struct rb_table *table;
    const char *column, *to;
    const char *value;        /* that is cast */
    const char *expression;   /* the cast */
    const char *name, *shown; /* of the new type */
};

/* What is cast: the column, or what stands in the USING's cast; NULL where that is no such cast. */
static const char *cast_value(struct rb *rb, const char *column, const PgQuery__TypeName *type,
                              const PgQuery__Node *using)
{
    if (using == NULL)
        return rb_plain(rb, column);
    if (using->node_case != PG_QUERY__NODE__NODE_TYPE_CAST)
        return NULL;
    const PgQuery__TypeCast *cast = using->type_cast;
    const char *own = rb_deparse_type(rb, cast->type_name),
               *wanted = rb_deparse_type(rb, (PgQuery__TypeName *)(uintptr_t)type);
    const char *text = rb_deparse_expr(rb, rb_node_copy(rb, cast->arg));
    return text != NULL && own != NULL && wanted != NULL && strcmp(own, wanted) == 0 ? enclosed(rb, cast->arg, text)
                                                                                     : NULL;
}

/* Fails by itself, before there is a trigger, where a value cannot be cast. A type of its own has no check: it stands
 * in a schema that only the shard knows. */
static void try_all(struct rb_draft *d, const struct cast *c)
{
    struct rb *rb = d->rb;
    if (rb_type_is_built_in(c->name))
        rb_draft_text(d, RB_DRAFT_MIGRATE, RB_DRAFT_FIRST,
                      rb_format(rb, "```sql {check}\nSELECT %s FROM %s WHERE %s IS NOT NULL AND (%s) IS NULL;\n```",
                                rb_plain(rb, c->column), rb_table_text(rb, c->table), c->value, c->expression));
    if (rb_type_is_built_in(c->name))
        rb_draft_say(d, RB_DRAFT_MIGRATE,
                     "A check casts each `%s` once, and fails at the first that is no %s: mend it then.", c->column,
                     c->shown);
    rb_draft_say(d, RB_DRAFT_MIGRATE,
                 "From the UPDATE on a trigger casts in each INSERT and UPDATE of the application, and one that writes "
                 "what cannot be cast **fails**. Where old code may write such values, put a CASE around the cast that "
                 "lets those through that can be, so that the others stay NULL.");
}

static void name_left(struct rb_draft *d, const struct cast *c, const char *fits)
{
    struct rb *rb = d->rb;
    const char *fence =
        rb_format(rb, "```sql {check}\nSELECT %s FROM %s WHERE %s IS NULL AND %s IS NOT NULL\n  AND NOT (%s);\n```",
                  rb_plain(rb, c->column), rb_table_text(rb, c->table), rb_plain(rb, c->to), c->value, fits);
    rb_draft_text(d, RB_DRAFT_MIGRATE, RB_DRAFT_FIRST, fence);
    rb_draft_text(d, RB_DRAFT_MIGRATE, RB_DRAFT_LAST, fence);
    rb_draft_text(d, RB_DRAFT_CONTRACT, RB_DRAFT_FRONT, fence);
    rb_draft_say(d, RB_DRAFT_MIGRATE,
                 "A trigger computes `%s` in each INSERT and UPDATE of the application. Where `%s` is no %s the CASE "
                 "leaves `%s` NULL: without it, that INSERT of the old code would fail. Checks name such rows, now, "
                 "before the switch, and before `%s` goes: mend them then, or leave the checks out where NULL is "
                 "right for them.",
                 c->to, c->column, c->shown, c->to, c->column);
}

const char *rb_recipe_cast(struct rb_draft *d, const struct rb_table *table, const char *column,
                           PgQuery__TypeName *type, const PgQuery__Node *using, const char *expression)
{
    struct rb *rb = d->rb;
    struct cast c = {table,
                     column,
                     rb_format(rb, "%s_new", column),
                     cast_value(rb, column, type, using),
                     expression,
                     type->n_names == 0 ? "" : rb_string(type->names[type->n_names - 1]),
                     rb_deparse_type(rb, type)};
    enum source source = source_of(rb_draft_type(d, table, column), using == NULL);
    if (c.value == NULL || always_passes(source, c.name, type, using == NULL))
        return expression;
    struct condition fits = {NULL, NULL, false};
    if (source == OF_NUMBER)
        fits = (struct condition){NULL, number_fits(rb, type, c.name, c.value), true};
    else if ((source == OF_TEXT || source == OF_UNKNOWN) && type->n_array_bounds == 0)
        fits = text_fits(rb, type, c.name, source == OF_UNKNOWN ? rb_format(rb, "%s::text", c.value) : c.value);
    const char *all = all_of(rb, &fits);
    if (all == NULL || !fits.is_enough)
        try_all(d, &c);
    if (all == NULL)
        return expression;
    rb_draft_column(d, table, column)->may_be_left = true;
    name_left(d, &c, all);
    if (source == OF_UNKNOWN)
        rb_draft_say(d, RB_DRAFT_MIGRATE,
                     "The condition reads `%s` as a text; `zdmctl new` with `--type` and its present type writes the "
                     "one for that.",
                     column);
    return guard(rb, &fits, expression);
}
