/*
 * draft_add.c - ADD COLUMN in drafts: at once where the server does it at once, else a plain column, then its values,
 * then the rest of its definition.
 */
#include "common/runbook/mysql/draft.h"

#include <string.h>

/* ---- which value rows that exist get ---- */

/* The first label of ENUM, from "enum('a','b')". */
static const char *first_label(struct rb *rb, const struct my_definition *def)
{
    const char *from = strchr(def->type, '\'');
    size_t n = 1;
    if (from == NULL)
        return "''";
    while (from[n] != '\0' && (from[n] != '\'' || from[n + 1] == '\''))
        n += from[n] == '\'' ? 2 : 1;
    return rb_copy(rb, from, n + 1);
}

/* NULL: nobody knows one. */
static const char *some_value(struct rb *rb, const struct my_definition *def)
{
    static const struct {
        const char *type, *value;
    } rows[] = {{"date", "CURRENT_DATE"},
                {"datetime", "NOW()"},
                {"timestamp", "NOW()"},
                {"time", "'00:00:00'"},
                {"json", "'{}'"},
                {"char", "''"},
                {"varchar", "''"},
                {"character", "''"},
                {"nchar", "''"},
                {"nvarchar", "''"},
                {"national", "''"},
                {"varcharacter", "''"},
                {"text", "''"},
                {"tinytext", "''"},
                {"mediumtext", "''"},
                {"longtext", "''"},
                {"binary", "''"},
                {"varbinary", "''"},
                {"blob", "''"},
                {"tinyblob", "''"},
                {"mediumblob", "''"},
                {"longblob", "''"},
                {"set", "''"},
                {"boolean", "FALSE"},
                {"bool", "FALSE"},
                {"tinyint", "0"},
                {"smallint", "0"},
                {"mediumint", "0"},
                {"int", "0"},
                {"integer", "0"},
                {"bigint", "0"},
                {"int1", "0"},
                {"int2", "0"},
                {"int3", "0"},
                {"int4", "0"},
                {"int8", "0"},
                {"decimal", "0"},
                {"dec", "0"},
                {"numeric", "0"},
                {"fixed", "0"},
                {"float", "0"},
                {"double", "0"},
                {"real", "0"},
                {"bit", "0"},
                {"year", "0"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rb_same_word(def->base, rows[i].type))
            return rows[i].value;
    }
    return rb_same_word(def->base, "enum") ? first_label(rb, def) : NULL;
}

/* Has a text of the type room for a UUID? */
static bool holds_uuid(const struct my_definition *def)
{
    static const char *const texts[] = {"text", "mediumtext", "longtext"}, *const sized[] = {"char", "varchar"};
    const char *size = strchr(def->type, '(');
    unsigned long room = 0;
    for (const char *p = size == NULL ? "" : size + 1; *p >= '0' && *p <= '9' && room < 1000; p++)
        room = room * 10 + (unsigned long)(*p - '0');
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (rb_same_word(def->base, texts[i]))
            return true;
    }
    for (size_t i = 0; i < sizeof sized / sizeof sized[0]; i++) {
        if (rb_same_word(def->base, sized[i]))
            return room >= 36;
    }
    return false;
}

/* NULL with a failure of the draft: one value for all rows would not do. */
static const char *value_of_old_rows(const struct my_piece *p, const struct my_definition *def)
{
    struct rb *rb = p->d->rb;
    const char *value = some_value(rb, def);
    if (def->references == 0 && def->unique && holds_uuid(def))
        return "uuid()";
    if (def->references == 0 && !def->unique && value != NULL)
        return value;
    rb_draft_fail(
        p->d,
        rb_format(rb,
                  def->references != 0 ? "which row %s of each row that exists refers to, the SQL does not say"
                  : def->unique        ? "%s is UNIQUE: rows that exist need a value each, which the SQL does "
                                         "not say"
                                       : "%s is NOT NULL, and the SQL does not say which value rows that exist "
                                         "have in it",
                  def->name),
        rb_format(rb, "Write it behind the ALTER TABLE: UPDATE %s SET %s = …;", p->name, rb_plain(rb, def->name)));
    return NULL;
}

/* ---- the column, and its values ---- */

static void add_plain(const struct my_piece *p, const struct my_definition *def)
{
    struct rb *rb = p->d->rb;
    struct my_definition plain = {.type = def->type, .comment = def->comment, .null = def->null};
    rb_draft_sql(p->d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "ALTER TABLE %s ADD COLUMN %s %s%s", p->name,
                 rb_plain(rb, def->name), my_definition_sql(rb, &plain), def->place);
}

static void fill_generated(const struct my_piece *p, const struct my_definition *def)
{
    const char *text = strchr(def->generated_text, '(');
    size_t n = strlen(text) - (strstr(text, " STORED") != NULL) * strlen(" STORED") -
               (strstr(text, " VIRTUAL") != NULL) * strlen(" VIRTUAL");
    rb_draft_sql(p->d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, "UPDATE %s SET %s = %.*s", p->name,
                 rb_plain(p->d->rb, def->name), (int)n, text);
    rb_draft_say(p->d, RB_DRAFT_SWITCH,
                 "Triggers compute `%s` until the last phase; deploy the application that writes it itself before "
                 "you advance.",
                 def->name);
    p->d->changes_writers = true;
}

static void fill_missing(const struct my_piece *p, const struct my_definition *def, const char *value)
{
    const char *name = rb_plain(p->d->rb, def->name);
    rb_draft_sql(p->d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, "UPDATE %s SET %s = %s WHERE %s IS NULL", p->name, name, value,
                 name);
}

static void ask_writers(const struct my_piece *p, const struct my_definition *def)
{
    rb_draft_say(p->d, RB_DRAFT_SWITCH,
                 my_draft_has_value(def)
                     ? "Deploy the application that writes `%s` in every row: triggers give it its value until then, "
                       "and its DEFAULT begins a moment after they go."
                     : "Deploy the application that writes `%s` in every row.",
                 def->name);
    p->d->changes_writers = true;
}

/* False with a failure of the draft. */
static bool fill(const struct my_piece *p, const struct my_definition *def, bool filled)
{
    if (def->generated != 0) {
        fill_generated(p, def);
        return true;
    }
    if (my_draft_has_value(def) && !filled)
        fill_missing(p, def, my_write(p->d->rb, my_bare(def->value), NULL));
    if (!my_draft_has_value(def) && def->not_null && !filled) {
        const char *value = value_of_old_rows(p, def);
        if (value == NULL)
            return false;
        rb_draft_say(p->d, RB_DRAFT_MIGRATE, "Write into the UPDATE which value `%s` has in rows that exist.",
                     def->name);
        fill_missing(p, def, value);
    }
    if (def->not_null || my_draft_has_value(def))
        ask_writers(p, def);
    return true;
}

/* ---- ADD COLUMN ---- */

/* Does the compiler take it as it is, or say why nobody could? */
static bool is_at_once(const struct my_definition *def, bool filled)
{
    bool never = def->auto_increment || def->primary || rb_same_word(def->base, "serial");
    bool computed = def->generated != 0 || def->value_is_expression;
    bool late = def->check || (filled && (def->unique || def->references != 0));
    return never || (!computed && !late && (!def->not_null || my_draft_has_value(def)));
}

void my_draft_add_column(const struct my_piece *p)
{
    struct rb_draft *d = p->d;
    struct rb *rb = d->rb;
    struct my_definition def;
    (void)my_take(p->m, "column");
    bool condition = my_take(p->m, "if not exists");
    if (!my_definition(p->m, &p->table, true, &def) || !my_piece_ends(p))
        return;
    struct rb_draft_column *known = rb_draft_column(d, &p->table, def.name);
    bool filled = known->filled;
    rb_draft_title(d, rb_format(rb, "%s-add-%s", p->table.name, def.name),
                   rb_format(rb, "Add %s.%s", p->table.name, def.name));
    if (is_at_once(&def, filled)) {
        rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "%s", my_piece_text(p));
        return;
    }
    if (condition)
        rb_draft_say(d, RB_DRAFT_PREFACE,
                     "`IF NOT EXISTS` is left out: a column that is not this migration's stops it.");
    bool computed = def.generated != 0 || def.value_is_expression;
    if (!computed && (my_draft_has_value(&def) || !def.not_null)) {
        rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "ALTER TABLE %s ADD COLUMN %s %s%s", p->name,
                     rb_plain(rb, def.name), my_definition_sql(rb, &def), def.place);
        my_draft_constraints(p, def.name, &def);
        return;
    }
    add_plain(p, &def);
    known->filled = true; /* an index that names it comes behind the UPDATE */
    if (fill(p, &def, filled))
        my_draft_rest(p, def.name, &def);
}

void my_draft_now_not_null(const struct my_piece *p, const struct my_definition *def)
{
    ask_writers(p, def);
    my_draft_rest(p, def->name, def);
}
