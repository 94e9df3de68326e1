/*
 * may_fail.c - expressions of a trigger that can fail: a cast of a text that is no number, a division by zero. There it
 * is the application's own INSERT or UPDATE that fails.
 *
 * Types are known of what the runbook adds, of literals, and of what operators and common functions give. Of any other
 * column they are not, so that a cast of one counts as one that can fail. What a CASE or the condition asks of the same
 * column counts as a guard: whether it is the right one, only its author knows.
 */
#include "common/runbook/update.h"

#include <string.h>

enum kind {
    UNKNOWN,
    LITERAL,
    TEXT,
    BOOL,
    INT2,
    INT4,
    INT8,
    NUMERIC,
    FLOAT4,
    FLOAT8,
    DATE,
    TIME,
    MOMENT, /* timestamp, with and without time zone */
    INTERVAL,
    JSON,
    JSONB,
    UUID
};

#define BIT(kind) (1u << (kind))

/* What each may be cast to whatever its value, besides text. */
static const struct kind_row {
    const char *names; /* between single blanks */
    enum kind kind;
    unsigned casts;
} kinds[] = {
    {" text varchar bpchar char name ", TEXT, 0},
    {" bool ", BOOL, BIT(BOOL) | BIT(INT4)},
    {" int2 ", INT2, BIT(INT2) | BIT(INT4) | BIT(INT8) | BIT(NUMERIC) | BIT(FLOAT4) | BIT(FLOAT8)},
    {" int4 ", INT4, BIT(BOOL) | BIT(INT4) | BIT(INT8) | BIT(NUMERIC) | BIT(FLOAT4) | BIT(FLOAT8)},
    {" int8 ", INT8, BIT(INT8) | BIT(NUMERIC) | BIT(FLOAT4) | BIT(FLOAT8)},
    {" numeric ", NUMERIC, BIT(NUMERIC)},
    {" float4 ", FLOAT4, BIT(FLOAT4) | BIT(FLOAT8) | BIT(NUMERIC)},
    {" float8 ", FLOAT8, BIT(FLOAT8) | BIT(NUMERIC)},
    {" date ", DATE, BIT(DATE) | BIT(MOMENT)},
    {" time timetz ", TIME, BIT(TIME) | BIT(INTERVAL)},
    {" timestamp timestamptz ", MOMENT, BIT(MOMENT) | BIT(DATE) | BIT(TIME)},
    {" interval ", INTERVAL, BIT(INTERVAL) | BIT(TIME)},
    {" json ", JSON, BIT(JSON)},
    {" jsonb ", JSONB, BIT(JSONB) | BIT(JSON)},
    {" uuid ", UUID, BIT(UUID)},
};

static const struct {
    const char *names;
    enum kind gives;
} functions[] = {
    {" lower upper initcap trim btrim ltrim rtrim replace translate substr substring left right concat concat_ws lpad "
     "rpad"
     " overlay repeat reverse md5 to_char to_hex format split_part regexp_replace encode array_to_string string_agg"
     " quote_literal chr jsonb_extract_path_text json_extract_path_text json_typeof jsonb_typeof host ",
     TEXT},
    {" length char_length character_length octet_length bit_length strpos position ascii array_length cardinality"
     " array_ndims jsonb_array_length json_array_length num_nulls num_nonnulls sign width_bucket ",
     INT4},
    {" extract date_part ", NUMERIC},
    {" date_trunc timezone now transaction_timestamp statement_timestamp clock_timestamp to_timestamp make_timestamp"
     " make_timestamptz ",
     MOMENT},
    {" to_date make_date ", DATE},
    {" to_json row_to_json json_build_object json_build_array ", JSON},
    {" to_jsonb jsonb_build_object jsonb_build_array jsonb_set jsonb_insert jsonb_strip_nulls ", JSONB},
    {" gen_random_uuid ", UUID},
    {" starts_with isfinite jsonb_path_exists regexp_like ", BOOL},
};

/* They read what somebody wrote, or have no answer for every number. */
static const char failing[] = " to_date to_timestamp to_number decode convert_from convert make_date make_time"
                              " make_timestamp make_timestamptz sqrt ln log chr factorial acos asin width_bucket"
                              " date_bin unistr xpath ";

static bool holds(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = list; n > 0 && (p = strstr(p, name)) != NULL; p++) {
        if (p[-1] == ' ' && p[n] == ' ')
            return true;
    }
    return false;
}

static const struct kind_row *row_of(enum kind kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].kind == kind)
            return &kinds[i];
    }
    return NULL;
}

static enum kind kind_named(const char *name)
{
    for (size_t i = 0; name != NULL && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (holds(kinds[i].names, name))
            return kinds[i].kind;
    }
    return UNKNOWN;
}

const char *rb_type_known(const PgQuery__TypeName *type)
{
    if (type->n_array_bounds > 0 || type->setof || type->n_names == 0)
        return NULL;
    const char *name = rb_string(type->names[type->n_names - 1]);
    bool ours = type->n_names == 1 || strcmp(rb_string(type->names[0]), "pg_catalog") == 0;
    return ours && rb_type_is_built_in(name) ? name : NULL;
}

/* ---- what an expression gives ---- */

struct search {
    struct rb_update *u;
    const struct rb_expr *guards; /* columns that a CASE around, or the condition, asks for */
    const char *what;             /* that can fail; NULL: nothing yet */
    const char *hint;             /* how to guard it */
    int location;
};

static enum kind kind_of(const struct search *s, const PgQuery__Node *node);

/* Of several that become one: what all give that say something. */
static enum kind kind_of_all(const struct search *s, PgQuery__Node *const *nodes, size_t n)
{
    enum kind kind = LITERAL;
    for (size_t i = 0; i < n; i++) {
        enum kind one = kind_of(s, nodes[i]);
        if (kind == LITERAL)
            kind = one;
        else if (one != LITERAL && one != kind)
            return UNKNOWN;
    }
    return kind;
}

static enum kind kind_of_case(const struct search *s, const PgQuery__CaseExpr *e)
{
    enum kind kind = e->defresult == NULL ? LITERAL : kind_of(s, e->defresult);
    for (size_t i = 0; i < e->n_args; i++) {
        enum kind one = kind_of(s, e->args[i]->case_when->result);
        if (kind == LITERAL)
            kind = one;
        else if (one != LITERAL && one != kind)
            return UNKNOWN;
    }
    return kind;
}

static enum kind kind_of_operator(const struct search *s, const PgQuery__AExpr *e)
{
    static const char compares[] = " = <> < > <= >= ~ ~* !~ !~* ~~ ~~* !~~ !~~* @> <@ @@ && ? ?| ?& ^@ ";
    const char *op = e->n_name > 0 ? rb_string(e->name[e->n_name - 1]) : "";
    if (e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF)
        return e->lexpr == NULL ? UNKNOWN : kind_of(s, e->lexpr);
    if (e->kind != PG_QUERY__A__EXPR__KIND__AEXPR_OP || holds(compares, op))
        return BOOL;
    if (strcmp(op, "->>") == 0 || strcmp(op, "#>>") == 0)
        return TEXT;
    enum kind left = e->lexpr == NULL ? LITERAL : kind_of(s, e->lexpr), right = kind_of(s, e->rexpr);
    if (strcmp(op, "||") == 0)
        return left == TEXT || right == TEXT ? TEXT : UNKNOWN;
    bool numbers = left >= INT2 && left <= FLOAT8 && right >= INT2 && right <= FLOAT8;
    return strlen(op) == 1 && strchr("+-*/%", op[0]) != NULL && numbers ? (left > right ? left : right) : UNKNOWN;
}

/* A whole number that stands there as one. */
static enum kind kind_of_constant(const PgQuery__AConst *constant)
{
    switch ((int)constant->val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL:
        return INT4;
    case PG_QUERY__A__CONST__VAL_FVAL:
        return strpbrk(constant->fval->fval, ".eE") != NULL ? NUMERIC : INT8;
    case PG_QUERY__A__CONST__VAL_BOOLVAL:
        return BOOL;
    default:
        return LITERAL;
    }
}

static enum kind kind_of_call(const PgQuery__FuncCall *call)
{
    const char *name = call->n_funcname == 0 ? "" : rb_string(call->funcname[call->n_funcname - 1]);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (holds(functions[i].names, name))
            return functions[i].gives;
    }
    return UNKNOWN;
}

static enum kind kind_of(const struct search *s, const PgQuery__Node *node)
{
    switch ((int)node->node_case) {
    case PG_QUERY__NODE__NODE_A_CONST:
        return kind_of_constant(node->a_const);
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return kind_named(rb_column_of(s->u->s->rb, &s->u->table, rb_expr_column(node))->type);
    case PG_QUERY__NODE__NODE_TYPE_CAST:
        return kind_named(rb_type_known(node->type_cast->type_name));
    case PG_QUERY__NODE__NODE_FUNC_CALL:
        return kind_of_call(node->func_call);
    case PG_QUERY__NODE__NODE_A_EXPR:
        return kind_of_operator(s, node->a_expr);
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        return kind_of_all(s, node->coalesce_expr->args, node->coalesce_expr->n_args);
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
        return kind_of_all(s, node->min_max_expr->args, node->min_max_expr->n_args);
    case PG_QUERY__NODE__NODE_CASE_EXPR:
        return kind_of_case(s, node->case_expr);
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
    case PG_QUERY__NODE__NODE_NULL_TEST:
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
        return BOOL;
    default:
        return UNKNOWN;
    }
}

/* EXTRACT of what fits an integer, but for the year 'infinity'. */
static bool is_small_part(const PgQuery__Node *node)
{
    const PgQuery__FuncCall *call = node->node_case == PG_QUERY__NODE__NODE_FUNC_CALL ? node->func_call : NULL;
    if (call == NULL || call->n_args != 2 || call->n_funcname == 0 ||
        !holds(" extract date_part ", rb_string(call->funcname[call->n_funcname - 1])) ||
        call->args[0]->node_case != PG_QUERY__NODE__NODE_A_CONST ||
        call->args[0]->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL)
        return false;
    return strcmp(call->args[0]->a_const->sval->sval, "epoch") != 0;
}

static bool never_fails(const struct search *s, const PgQuery__TypeCast *cast)
{
    const PgQuery__TypeName *type = cast->type_name;
    const char *name = type->n_names > 0 ? rb_string(type->names[type->n_names - 1]) : "";
    enum kind from = kind_of(s, cast->arg), to = kind_named(name);
    if (rb_is_constant(cast->arg) || to == TEXT)
        return true;
    if (type->n_array_bounds > 0 || to == UNKNOWN || (to == NUMERIC && type->n_typmods > 0))
        return false;
    if ((to == INT4 || to == INT8 || to == NUMERIC) && is_small_part(cast->arg))
        return true;
    const struct kind_row *row = row_of(from);
    return row != NULL && (row->casts & BIT(to)) != 0;
}

/* ---- what can fail ---- */

struct gathering {
    struct rb *rb;
    struct rb_expr columns;
};

static void gather(const ProtobufCMessage *m, void *ctx)
{
    struct gathering *g = ctx;
    if (m->descriptor == &pg_query__column_ref__descriptor) {
        const PgQuery__ColumnRef *ref = (const PgQuery__ColumnRef *)m;
        rb_expr_add(g->rb, &g->columns, rb_string(ref->fields[ref->n_fields - 1]));
        return;
    }
    rb_children(m, gather, ctx);
}

static struct rb_expr columns_in(const struct search *s, const ProtobufCMessage *m)
{
    struct gathering g = {.rb = s->u->s->rb};
    gather(m, &g);
    return g.columns;
}

static bool is_guarded(const struct search *s, const ProtobufCMessage *m)
{
    struct rb_expr columns = columns_in(s, m);
    for (size_t i = 0; i < columns.n_columns; i++) {
        if (rb_expr_reads(s->guards, columns.columns[i]))
            return true;
    }
    return columns.n_columns == 0;
}

/* No pattern tells a day that exists, or JSON that is right. */
static const char by_hand[] = "Where that cannot be, go on. Else ask first in a CASE what tells a value that it fails "
                              "for; or write ```sql {no-sync}, and deploy code that writes both columns before.";

/* What guards a cast to that type. */
static const char *hint_of_type(const PgQuery__TypeName *type)
{
    static const struct {
        const char *types, *hint;
    } rows[] = {
        {" int2 smallint ", "Where that cannot be, go on. Else guard it: CASE WHEN code ~ '^[0-9]{1,4}$' THEN "
                            "code::smallint END."},
        {" int4 int8 integer int bigint numeric decimal float4 float8 real oid ",
         "Where that cannot be, go on. Else guard it: CASE WHEN code ~ '^[0-9]{1,9}$' THEN code::int END."},
        {" uuid ", "Where that cannot be, go on. Else guard it: CASE WHEN code ~* "
                   "'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN code::uuid END."},
        {" bool boolean ", "Where that cannot be, go on. Else guard it: CASE WHEN code IN ('true', 'false') THEN "
                           "code::boolean END."},
    };
    const char *name = type->n_names > 0 ? rb_string(type->names[type->n_names - 1]) : "";
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && type->n_array_bounds == 0; i++) {
        if (holds(rows[i].types, name))
            return rows[i].hint;
    }
    return by_hand;
}

static void found(struct search *s, const ProtobufCMessage *m, int location, const char *what, const char *hint)
{
    if (s->what != NULL || is_guarded(s, m))
        return;
    s->what = what;
    s->hint = hint;
    s->location = location;
}

/* NULLIF(n, 0) is never 0. */
static bool may_be_zero(const PgQuery__Node *divisor)
{
    if (divisor == NULL || rb_is_constant(divisor))
        return false;
    return divisor->node_case != PG_QUERY__NODE__NODE_A_EXPR ||
           divisor->a_expr->kind != PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF;
}

static void look(const ProtobufCMessage *m, void *ctx);

static void look_at_case(struct search *s, const PgQuery__CaseExpr *e)
{
    const struct rb_expr *outer = s->guards;
    struct rb_expr guards = {.n_columns = 0};
    for (size_t i = 0; i < outer->n_columns; i++)
        rb_expr_add(s->u->s->rb, &guards, outer->columns[i]);
    for (size_t i = 0; i <= e->n_args; i++) {
        const PgQuery__Node *asks = i == e->n_args ? e->arg : e->args[i]->case_when->expr;
        if (asks == NULL)
            continue;
        look(&asks->base, s);
        struct rb_expr columns = columns_in(s, &asks->base);
        for (size_t j = 0; j < columns.n_columns; j++)
            rb_expr_add(s->u->s->rb, &guards, columns.columns[j]);
    }
    s->guards = &guards;
    for (size_t i = 0; i < e->n_args; i++)
        look(&e->args[i]->case_when->result->base, s);
    if (e->defresult != NULL)
        look(&e->defresult->base, s);
    s->guards = outer;
}

static void look(const ProtobufCMessage *m, void *ctx)
{
    struct search *s = ctx;
    struct rb *rb = s->u->s->rb;
    if (m->descriptor == &pg_query__case_expr__descriptor) {
        look_at_case(s, (const PgQuery__CaseExpr *)m);
        return;
    }
    if (m->descriptor == &pg_query__type_cast__descriptor) {
        const PgQuery__TypeCast *cast = (const PgQuery__TypeCast *)m;
        const char *type = never_fails(s, cast) ? NULL : rb_deparse_type(rb, cast->type_name);
        if (type != NULL)
            found(s, m, cast->type_name->location, rb_format(rb, "casts to %s", type), hint_of_type(cast->type_name));
    } else if (m->descriptor == &pg_query__a__expr__descriptor) {
        const PgQuery__AExpr *e = (const PgQuery__AExpr *)m;
        const char *op = e->n_name > 0 ? rb_string(e->name[e->n_name - 1]) : "";
        if ((strcmp(op, "/") == 0 || strcmp(op, "%") == 0) && may_be_zero(e->rexpr))
            found(s, &e->rexpr->base, e->location, "divides by what may be 0",
                  "Where that cannot be, go on. Else guard it: a / NULLIF(b, 0).");
    } else if (m->descriptor == &pg_query__func_call__descriptor) {
        const PgQuery__FuncCall *call = (const PgQuery__FuncCall *)m;
        const char *name = call->n_funcname == 0 ? "" : rb_string(call->funcname[call->n_funcname - 1]);
        bool number = strcmp(name, "to_timestamp") == 0 && call->n_args == 1;
        if (holds(failing, name) && !number)
            found(s, m, call->location, rb_format(rb, "uses %s()", name), by_hand);
    }
    rb_children(m, look, ctx);
}

static void warn(const struct search *s, const char *what)
{
    if (s->what == NULL)
        return;
    rb_warning(s->u->s->rb, "may-fail", rb_at(s->u->s, s->location), s->hint,
               "%s %s: for a value that it fails for, the trigger makes the application's INSERT or UPDATE fail", what,
               s->what);
}

void rb_update_may_fail(struct rb_update *u)
{
    struct rb *rb = u->s->rb;
    struct rb_expr none = {.n_columns = 0};
    for (size_t i = 0; i < u->n_targets && u->derive; i++) {
        const PgQuery__Node *value = u->targets[i].value;
        struct search s = {.u = u, .guards = &u->filter_expr};
        look(&value->base, &s);
        warn(&s, rb_format(rb, "the expression of %s", u->targets[i].name));
    }
    for (size_t i = 0; i < u->n_filters && u->derive; i++) {
        const PgQuery__Node *term = u->filters[i].node;
        struct search s = {.u = u, .guards = &none};
        look(&term->base, &s);
        warn(&s, "the condition");
    }
}
