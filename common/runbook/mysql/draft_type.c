/*
 * draft_type.c - what the type that a column has now tells of a MODIFY, and what its values need to become those of
 * another one.
 */
#include <stdlib.h>
#include <string.h>

#include "common/runbook/mysql/draft.h"

/* ---- names of types ---- */

const char *my_known_type(const struct my_piece *p, const char *column)
{
    struct rb_draft *d = p->d;
    const char *of = rb_format(d->rb, "%s.%s", p->table.name, column);
    for (size_t i = 0; i < d->n_types; i++) {
        if (strcmp(d->types[i].column, of) == 0)
            return d->types[i].type;
    }
    if (d->type != NULL && d->type_of == NULL)
        d->type_of = of;
    return d->type != NULL && strcmp(d->type_of, of) == 0 ? d->type : NULL;
}

static bool is_word(char c)
{
    return rb_is_letter(c) || c == '_' || (c >= '0' && c <= '9');
}

/* In small letters, with one blank between two words and no other, texts as they are. */
static char *plain_type(struct rb *rb, const char *type)
{
    char *out = rb_copy(rb, type, strlen(type));
    size_t n = 0;
    bool quoted = false;
    for (const char *c = type; *c != '\0'; c++) {
        quoted ^= *c == '\'';
        if (!quoted && rb_is_blank(*c)) {
            const char *next = c + strspn(c, " \t\r\n");
            if (n == 0 || !is_word(out[n - 1]) || !is_word(*next) || next != c + 1)
                continue;
        }
        out[n++] = quoted ? *c : rb_lower(*c);
    }
    out[n] = '\0';
    return out;
}

/* The name that the server keeps for it; how wide an integer is shown is no part of it. */
static const char *common_type(struct rb *rb, const char *type)
{
    static const struct {
        const char *name, *common;
    } rows[] = {{"integer", "int"},     {"bool", "tinyint"},      {"boolean", "tinyint"}, {"dec", "decimal"},
                {"numeric", "decimal"}, {"fixed", "decimal"},     {"character", "char"},  {"real", "double"},
                {"tinyint", "tinyint"}, {"smallint", "smallint"}, {"int", "int"},         {"mediumint", "mediumint"},
                {"bigint", "bigint"},   {"int1", "tinyint"},      {"int2", "smallint"},   {"int3", "mediumint"},
                {"int4", "int"},        {"int8", "bigint"},       {"year", "year"}};
    const char *plain = plain_type(rb, type);
    size_t word = strcspn(plain, " (");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strlen(rows[i].name) != word || strncmp(plain, rows[i].name, word) != 0)
            continue;
        const char *rest = plain + word;
        bool number = strstr(rows[i].common, "int") != NULL || strcmp(rows[i].common, "year") == 0;
        if (number && *rest == '(')
            rest = strchr(rest, ')') == NULL ? rest : strchr(rest, ')') + 1;
        return rb_format(rb, "%s%s%s", rows[i].common, number && is_word(*rest) ? " " : "", rest);
    }
    return plain;
}

bool my_is_same_type(struct rb *rb, const char *a, const char *b)
{
    return strcmp(common_type(rb, a), common_type(rb, b)) == 0;
}

/* ---- what becomes of values ---- */

enum kind { OF_OTHERS, OF_TEXT, OF_INTEGER };

/* Of a type, by its first word; NULL: the present type is not known. */
static enum kind kind_of(struct rb *rb, const char *type)
{
    static const struct {
        const char *word;
        enum kind kind;
    } rows[] = {{"char", OF_TEXT},       {"varchar", OF_TEXT},      {"tinytext", OF_TEXT},   {"text", OF_TEXT},
                {"mediumtext", OF_TEXT}, {"longtext", OF_TEXT},     {"tinyint", OF_INTEGER}, {"smallint", OF_INTEGER},
                {"int", OF_INTEGER},     {"mediumint", OF_INTEGER}, {"bigint", OF_INTEGER}};
    const char *common = type == NULL ? "" : common_type(rb, type);
    size_t n = strcspn(common, " (");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (n == strlen(rows[i].word) && strncmp(common, rows[i].word, n) == 0)
            return rows[i].kind;
    }
    return OF_OTHERS;
}

static bool is_unsigned(const struct my_definition *def)
{
    return strcasestr(def->type, " unsigned") != NULL || strcasestr(def->type, " zerofill") != NULL;
}

/* "CAST(c AS date)", with the type's size and without its sign, which casts have not; NULL: no such type. */
static const char *sized_cast(const struct my_piece *p, const struct my_definition *def)
{
    static const struct {
        const char *type, *cast;
    } rows[] = {{"date", "date"},   {"datetime", "datetime"}, {"time", "time"},    {"decimal", "decimal"},
                {"dec", "decimal"}, {"numeric", "decimal"},   {"fixed", "decimal"}};
    const char *size = strchr(def->type, '('), *end = size == NULL ? NULL : strchr(size, ')');
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rb_same_word(def->base, rows[i].type))
            return rb_format(p->d->rb, "CAST(%s AS %s%.*s)", rb_plain(p->d->rb, def->name), rows[i].cast,
                             end == NULL ? 0 : (int)(end + 1 - size), end == NULL ? "" : size);
    }
    return NULL;
}

/* A cast is signed: an unsigned column takes other numbers as they are. A timestamp is another one in each time zone:
 * only one that is copied as it is stays. */
static const char *cast_of(const struct my_piece *p, const struct my_definition *def)
{
    struct rb *rb = p->d->rb;
    const char *type = my_known_type(p, def->name);
    enum kind now = kind_of(rb, type), later = kind_of(rb, def->base);
    if (now == OF_TEXT && later == OF_INTEGER)
        return rb_format(rb, "CAST(%s AS %s)", rb_plain(rb, def->name), is_unsigned(def) ? "UNSIGNED" : "SIGNED");
    if (type != NULL && now != OF_TEXT && later == OF_TEXT)
        return rb_format(rb, "CAST(%s AS CHAR)", rb_plain(rb, def->name));
    size_t word = type == NULL ? 0 : strcspn(common_type(rb, type), " (");
    const char *common = common_type(rb, def->type);
    bool same = type != NULL && word == strcspn(common, " (") && strncmp(common_type(rb, type), common, word) == 0;
    return same || is_unsigned(def) ? NULL : sized_cast(p, def);
}

/* ---- texts that cannot be cast ---- */

/* A day that there is, of a year from 1 on. */
#define DAY                                                                                                            \
    "(?!0000)([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"                   \
    "|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
#define TIME "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?"

static const char *form_of_decimal(struct rb *rb, const struct my_definition *def)
{
    unsigned long digits = 10, scale = 0;
    const char *open = strchr(def->type, '('), *comma = open == NULL ? NULL : strchr(open, ',');
    if (open != NULL)
        digits = strtoul(open + 1, NULL, 10);
    if (comma != NULL)
        scale = strtoul(comma + 1, NULL, 10);
    if (digits <= scale)
        return rb_format(rb, "^[-+]?0?[.][0-9]{1,%lu}$", scale);
    if (scale == 0)
        return rb_format(rb, "^[-+]?[0-9]{1,%lu}$", digits);
    return rb_format(rb, "^[-+]?[0-9]{1,%lu}([.][0-9]{1,%lu})?$", digits - scale, scale);
}

/* Of a text that the cast takes; NULL: that cannot be told. */
static const char *form_of(const struct my_piece *p, const struct my_definition *def)
{
    static const char *const decimals[] = {"decimal", "dec", "numeric", "fixed"};
    for (size_t i = 0; i < sizeof decimals / sizeof decimals[0]; i++) {
        if (rb_same_word(def->base, decimals[i]))
            return form_of_decimal(p->d->rb, def);
    }
    if (kind_of(p->d->rb, def->base) == OF_INTEGER)
        return is_unsigned(def) ? "^[0-9]{1,19}$" : "^[-+]?[0-9]{1,18}$";
    if (rb_same_word(def->base, "date"))
        return "^" DAY "$";
    return rb_same_word(def->base, "datetime") ? "^" DAY "( " TIME ")?$" : NULL;
}

/* A trigger casts inside the application's own INSERT, which strict mode makes fail with it: a text that is no such
 * value stays NULL, and checks name it. */
static const char *guarded(const struct my_piece *p, const struct my_definition *def, const char *cast)
{
    struct rb_draft *d = p->d;
    struct rb *rb = d->rb;
    const char *form = form_of(p, def), *old = rb_plain(rb, def->name), *to = rb_format(rb, "%s_new", def->name);
    if (form == NULL) {
        rb_draft_say(
            d, RB_DRAFT_MIGRATE,
            "From the UPDATE on a trigger casts in each INSERT and UPDATE of the application, and in strict mode "
            "one that writes what cannot be cast **fails**. Where old code may write such values, put a CASE "
            "around the cast that lets those through that can be, so that the others stay NULL.");
        return cast;
    }
    const char *fits = rb_format(rb, "%s REGEXP '%s' AND %s NOT REGEXP '[[:space:]]$'", old, form, old);
    const char *fence =
        rb_format(rb, "```sql {check}\nSELECT %s FROM %s WHERE %s IS NULL AND %s IS NOT NULL\n  AND NOT (%s);\n```",
                  old, p->name, rb_plain(rb, to), old, fits);
    rb_draft_text(d, RB_DRAFT_MIGRATE, RB_DRAFT_FIRST, fence);
    rb_draft_text(d, RB_DRAFT_MIGRATE, RB_DRAFT_LAST, fence);
    rb_draft_text(d, RB_DRAFT_CONTRACT, RB_DRAFT_FRONT, fence);
    rb_draft_say(
        d, RB_DRAFT_MIGRATE,
        "A trigger computes `%s` in each INSERT and UPDATE of the application. Where `%s` is no %s the CASE "
        "leaves `%s` NULL: without it, that INSERT of the old code would fail in strict mode. Checks name such "
        "rows, now, before the switch, and before `%s` goes: mend them then, or leave the checks out where NULL "
        "is right for them.",
        to, def->name, def->type, to, def->name);
    return rb_format(rb, "CASE WHEN %s\n  THEN %s END", fits, cast);
}

const char *my_cast_of(const struct my_piece *p, const struct my_definition *def)
{
    const char *cast = cast_of(p, def), *type = my_known_type(p, def->name);
    enum kind now = kind_of(p->d->rb, type);
    if (cast == NULL || kind_of(p->d->rb, def->base) == OF_TEXT)
        return cast;
    if (now == OF_TEXT)
        return guarded(p, def, cast);
    if (type == NULL)
        rb_draft_say(
            p->d, RB_DRAFT_MIGRATE,
            "Where `%s` is a text now, say so with --type: an INSERT of the old code that writes what cannot be "
            "cast fails in strict mode, and the draft is one that guards it.",
            def->name);
    return cast;
}

/* A cast gives a bigint: a narrower column would not take all of its values, nor would the trigger that fills it. */
const char *my_type_for(const struct my_piece *p, const struct my_definition *def)
{
    struct rb *rb = p->d->rb;
    const char *type = my_known_type(p, def->name);
    if (kind_of(rb, def->base) != OF_INTEGER || rb_same_word(def->base, "bigint"))
        return def->type;
    if (kind_of(rb, type) == OF_TEXT) {
        rb_draft_say(p->d, RB_DRAFT_EXPAND, "The new column is a bigint: a number cast from a text is one.");
        return is_unsigned(def) ? "bigint unsigned" : "bigint";
    }
    if (type == NULL)
        rb_draft_say(p->d, RB_DRAFT_MIGRATE, "Where `%s` is a text now, say so with --type: it is cast then.",
                     def->name);
    return def->type;
}

/* ---- what the server changes in place ---- */

static unsigned long length_of(const char *type)
{
    const char *open = strchr(type, '(');
    return open == NULL ? 0 : strtoul(open + 1, NULL, 10);
}

/* From 256 bytes on a varchar's length takes two; a character has one to four. */
static bool is_longer_in_place(const char *from, const char *to)
{
    unsigned long a = length_of(from), b = length_of(to);
    return a <= b && (a >= 256 || b <= 63);
}

bool my_may_widen(const struct my_piece *p, const struct my_definition *def)
{
    static const char *const types[] = {"varchar", "varbinary", "enum", "set"};
    const char *type = my_known_type(p, def->name), *now = type == NULL ? def->type : plain_type(p->d->rb, type);
    bool known = false, length = rb_same_word(def->base, "varchar") || rb_same_word(def->base, "varbinary");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        size_t n = strlen(types[i]);
        known = known || (rb_same_word(def->base, types[i]) && rb_same_start(now, types[i], n) && !is_word(now[n]));
    }
    return known && !def->has_charset && !def->has_collation &&
           (!length || type == NULL || is_longer_in_place(now, def->type));
}
