/*
 * may_fail.c - expressions of a trigger that can fail, as ../postgresql/may_fail.c: triggers run in strict mode, in
 * which a cast of a text that is no number or date is an error. Divisions by 0 give NULL.
 */
#include <string.h>

#include "common/runbook/mysql/parse.h"
#include "common/runbook/update.h"

struct search {
    struct rb *rb;
    const struct rb_expr *guards; /* columns that a CASE or IF around, or the condition, asks for */
    const struct my_node *found;
    const char *what;
};

static bool holds(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = list; n > 0 && (p = strstr(p, name)) != NULL; p++) {
        if (p[-1] == ' ' && p[n] == ' ')
            return true;
    }
    return false;
}

static void gather(struct rb *rb, const struct my_node *node, struct rb_expr *out)
{
    if (node->kind == MY_COLUMN)
        rb_expr_add(rb, out, node->name);
    for (const struct my_part *part = node->parts; part != NULL; part = part->next) {
        if (part->child != NULL)
            gather(rb, part->child, out);
    }
}

static bool is_guarded(const struct search *s, const struct my_node *node)
{
    struct rb_expr columns = {.n_columns = 0};
    gather(s->rb, node, &columns);
    for (size_t i = 0; i < columns.n_columns; i++) {
        if (rb_expr_reads(s->guards, columns.columns[i]))
            return true;
    }
    return columns.n_columns == 0;
}

/* It is a number already, whatever its columns are. */
static bool is_number(const struct my_node *node)
{
    static const char names[] =
        " length char_length character_length octet_length bit_length locate position instr ascii"
        " year month day dayofmonth dayofweek dayofyear hour minute second quarter weekday"
        " json_length json_valid strcmp sign crc32 datediff to_days ";
    node = my_bare(node);
    return node->kind == MY_CALL && holds(names, node->name);
}

static const char *last_text(const struct my_node *node)
{
    return node->last == NULL || node->last->text == NULL ? "" : node->last->text;
}

/* The type of a cast that may fail, with a parenthesis behind it; "" for any other. It is written " AS SIGNED)",
 * ", SIGNED)" or " USING utf8mb4)". */
static const char *failing_type(const struct my_node *node)
{
    static const char *const texts[] = {"CHAR", "NCHAR", "BINARY"};
    const char *type = last_text(node);
    type += strncmp(type, " AS ", 4) == 0 ? 4 : strncmp(type, ", ", 2) == 0 ? 2 : strlen(type);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strncmp(type, texts[i], strlen(texts[i])) == 0)
            return "";
    }
    return my_is_constant(my_child(node, 0)) || is_number(my_child(node, 0)) ? "" : type;
}

static void look(struct search *s, const struct my_node *node);

/* What asks comes first: CASE x WHEN a THEN, IF(a, …). */
static void look_behind_guards(struct search *s, const struct my_node *node)
{
    const struct rb_expr *outer = s->guards;
    bool is_case = node->kind == MY_OPERATOR, value = false, first = true;
    struct rb_expr guards = {.n_columns = 0};
    for (size_t i = 0; i < outer->n_columns; i++)
        rb_expr_add(s->rb, &guards, outer->columns[i]);
    for (const struct my_part *part = node->parts; part != NULL; part = part->next) {
        if (part->text != NULL) {
            value = is_case && (strcmp(part->text, " THEN ") == 0 || strcmp(part->text, " ELSE ") == 0);
            continue;
        }
        s->guards = value || (!is_case && !first) ? &guards : outer;
        look(s, part->child);
        if (s->guards == outer)
            gather(s->rb, part->child, &guards);
        first = false;
    }
    s->guards = outer;
}

static void look(struct search *s, const struct my_node *node)
{
    bool is_case = node->kind == MY_OPERATOR && strcmp(node->name, "CASE") == 0;
    if (is_case || (node->kind == MY_CALL && strcmp(node->name, "if") == 0)) {
        look_behind_guards(s, node);
        return;
    }
    bool reads = node->kind == MY_CALL && strcmp(node->name, "str_to_date") == 0;
    const char *type = node->kind == MY_CAST ? failing_type(node) : "";
    if (s->found == NULL && (reads || type[0] != '\0') && !is_guarded(s, node)) {
        s->found = node;
        s->what = reads ? "reads a date from a text" : rb_format(s->rb, "casts to %.*s", (int)strlen(type) - 1, type);
    }
    for (const struct my_part *part = node->parts; part != NULL; part = part->next) {
        if (part->child != NULL)
            look(s, part->child);
    }
}

/* No pattern tells a day that exists. */
static const char *hint_of(const struct search *s)
{
    if (strstr(s->what, "JSON") != NULL)
        return "Where that cannot be, go on. Else guard it: CASE WHEN JSON_VALID(code) THEN CAST(code AS JSON) END.";
    if (strstr(s->what, "date") != NULL || strstr(s->what, "DATE") != NULL || strstr(s->what, "TIME") != NULL)
        return "Where that cannot be, go on. Else write ```sql {no-sync}, and deploy code that writes both columns "
               "before.";
    return "Where that cannot be, go on. Else guard it: CASE WHEN code REGEXP '^[0-9]{1,9}$' THEN CAST(code AS "
           "SIGNED) END.";
}

static void warn(struct my *m, const struct search *s, const char *what)
{
    if (s->found == NULL)
        return;
    rb_warning(m->rb, "may-fail", my_place(m, s->found->token), hint_of(s),
               "%s %s: for a value that it fails for, the trigger makes the application's INSERT or UPDATE fail", what,
               s->what);
}

void my_update_may_fail(struct my *m, const struct rb_update *u)
{
    struct rb_expr none = {.n_columns = 0};
    for (size_t i = 0; i < u->n_targets && u->derive; i++) {
        struct search s = {.rb = m->rb, .guards = &u->filter_expr};
        look(&s, u->targets[i].value);
        warn(m, &s, rb_format(m->rb, "the expression of %s", u->targets[i].name));
    }
    for (size_t i = 0; i < u->n_filters && u->derive; i++) {
        struct search s = {.rb = m->rb, .guards = &none};
        look(&s, u->filters[i].node);
        warn(m, &s, "the condition");
    }
}
