/*
 * draft_column.c - columns in drafts: what is added, and the new column in the place of an old one.
 */
#include "common/runbook/mysql/draft.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- a new column in the place of an old one ---- */

static const char *type_of(const struct my_piece *p, const char *column)
{
    struct rb_draft *d = p->d;
    if (d->type != NULL)
        return d->type;
    if (d->guess) {
        rb_draft_say(d, RB_DRAFT_EXPAND, "Write the type of `%s`.", column);
    } else {
        d->missing = rb_format(d->rb, "%s.%s", p->table.name, column);
        rb_draft_fail(d, rb_format(d->rb, "the type of %s is not known", column),
                      "Write it with --type, as in --type 'varchar(80)', or write CHANGE old new TYPE.");
    }
    return "varchar(255)";
}

static const char *comment_of(const struct my_piece *p, const struct my_definition *def)
{
    return def->comment == NULL ? "" : rb_format(p->d->rb, " COMMENT %s", def->comment);
}

/* What the definition says besides the type: NOT NULL when all rows are filled, the default when no trigger fills the
 * column any more. */
static void copy_rest(const struct my_piece *p, const char *to, const struct my_definition *def)
{
    if (def->not_null)
        my_draft_not_null(p, RB_DRAFT_MIGRATE, to, def);
    if (def->value != NULL && my_bare(def->value)->kind != MY_NULL)
        rb_draft_sql(p->d, RB_DRAFT_CONTRACT, RB_DRAFT_LAST, "ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s", p->name,
                     rb_plain(p->d->rb, to), def->value_text);
}

void my_draft_free(const struct my_piece *p, const char *column)
{
    const char *name = rb_plain(p->d->rb, column);
    rb_draft_say(
        p->d, RB_DRAFT_EXPAND,
        "From the switch on, new code leaves `%s` out of its INSERTs. Where it is NOT NULL and has no default, "
        "give it one in this phase: `ALTER TABLE %s ALTER COLUMN %s SET DEFAULT …`.",
        column, p->name, name);
}

/* def NULL: nothing is known but the type. */
static void copy_column(const struct my_piece *p, const char *from, const char *to, const char *type,
                        const struct my_definition *def, const char *expression)
{
    struct rb_draft *d = p->d;
    struct rb *rb = d->rb;
    const char *old = rb_plain(rb, from), *new = rb_plain(rb, to);
    rb_draft_column(d, &p->table, from)->moved_to = to;
    rb_draft_column(d, &p->table, to)->filled = true;
    rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "ALTER TABLE %s ADD COLUMN %s %s%s", p->name, new, type,
                 def == NULL ? "" : comment_of(p, def));
    rb_draft_say(d, RB_DRAFT_MIGRATE,
                 "Indexes%s of `%s` do not come along: add those that `%s` needs behind the UPDATE, a unique index "
                 "last.",
                 def != NULL ? " and constraints" : ", constraints and NOT NULL", from, to);
    rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, "UPDATE %s SET %s = %s WHERE %s IS NULL", p->name, new,
                 expression == NULL ? old : expression, new);
    rb_draft_say(d, RB_DRAFT_SWITCH,
                 "Deploy the application that reads and writes `%s` instead of `%s`. Old code may go on running: %s.",
                 to, from,
                 expression == NULL ? "triggers keep both columns equal"
                                    : "triggers compute the new column from the old one, but not back");
    rb_draft_sql(d, RB_DRAFT_CONTRACT, RB_DRAFT_MAIN, "ALTER TABLE %s DROP COLUMN %s", p->name, old);
    rb_draft_say(d, RB_DRAFT_CONTRACT,
                 "No code names `%s` any more. It is hidden first, and dropped after the grace period.", from);
    if (expression != NULL)
        my_draft_free(p, from);
    if (def != NULL)
        copy_rest(p, to, def);
    d->changes_writers = true;
}

void my_draft_rename_column(const struct my_piece *p, const char *from, const char *to, const struct my_definition *def)
{
    struct rb *rb = p->d->rb;
    rb_draft_title(p->d, rb_format(rb, "%s-%s-to-%s", p->table.name, from, to),
                   rb_format(rb, "Rename %s.%s to %s", p->table.name, from, to));
    copy_column(p, from, to, def != NULL ? def->type : type_of(p, from), def, NULL);
}

enum kind { OF_OTHERS, OF_TEXT, OF_INTEGER };

/* Of a type, by its first word; NULL: the present type is not known. */
static enum kind kind_of(const char *type)
{
    static const struct {
        const char *word;
        enum kind kind;
    } rows[] = {{"char", OF_TEXT},       {"varchar", OF_TEXT},    {"tinytext", OF_TEXT},     {"text", OF_TEXT},
                {"mediumtext", OF_TEXT}, {"longtext", OF_TEXT},   {"tinyint", OF_INTEGER},   {"smallint", OF_INTEGER},
                {"int", OF_INTEGER},     {"integer", OF_INTEGER}, {"mediumint", OF_INTEGER}, {"bigint", OF_INTEGER}};
    size_t n = type == NULL ? 0 : strcspn(type, " (");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (n == strlen(rows[i].word) && strncasecmp(type, rows[i].word, n) == 0)
            return rows[i].kind;
    }
    return OF_OTHERS;
}

/* What a value needs so that it becomes one of the type; NULL: nothing. */
static const char *cast_of(const struct my_piece *p, const char *column, const struct my_definition *def)
{
    static const char *const types[] = {"date", "datetime", "time", "decimal", "json"};
    const char *old = rb_plain(p->d->rb, column);
    enum kind now = kind_of(p->d->type), later = kind_of(def->base);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (rb_same_word(def->base, types[i]))
            return rb_format(p->d->rb, "CAST(%s AS %s)", old, def->type);
    }
    if (now == OF_TEXT && later == OF_INTEGER)
        return rb_format(p->d->rb, "CAST(%s AS %s)", old, strcasestr(def->type, "unsigned") ? "UNSIGNED" : "SIGNED");
    if (p->d->type != NULL && now != OF_TEXT && later == OF_TEXT)
        return rb_format(p->d->rb, "CAST(%s AS CHAR)", old);
    return rb_same_word(def->base, "timestamp") ? rb_format(p->d->rb, "CAST(%s AS datetime(6))", old) : NULL;
}

/* A cast gives a bigint: a narrower column would not take all of its values, nor would the trigger that fills it. */
static const char *type_for(const struct my_piece *p, const struct my_definition *def)
{
    if (kind_of(def->base) != OF_INTEGER || rb_same_word(def->base, "bigint"))
        return def->type;
    if (kind_of(p->d->type) == OF_TEXT) {
        rb_draft_say(p->d, RB_DRAFT_EXPAND, "The new column is a bigint: a number cast from a text is one.");
        return strcasestr(def->type, "unsigned") != NULL ? "bigint unsigned" : "bigint";
    }
    if (p->d->type == NULL)
        rb_draft_say(p->d, RB_DRAFT_MIGRATE, "Where `%s` is a text now, say so with --type: it is cast then.",
                     def->name);
    return def->type;
}

static unsigned long length_of(const char *type)
{
    const char *open = strchr(type, '(');
    return open == NULL ? 0 : strtoul(open + 1, NULL, 10);
}

/* From 256 bytes on a varchar's length takes two; a character has one to four. */
static bool is_longer_in_place(const char *from, const char *to)
{
    size_t n = strcspn(from, "(");
    unsigned long a = length_of(from), b = length_of(to);
    return strncasecmp(from, to, n + 1) == 0 && a <= b && (a >= 256 || b <= 63);
}

/* Does the server change the catalogue alone, as far as the words tell? It is asked on a clone. */
static bool may_widen(const struct my_piece *p, const struct my_definition *def)
{
    static const char *const types[] = {"varchar", "varbinary", "enum", "set"};
    bool known = false, length = rb_same_word(def->base, "varchar") || rb_same_word(def->base, "varbinary");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        known = known || rb_same_word(def->base, types[i]);
    if (length && p->d->type != NULL && !is_longer_in_place(p->d->type, def->type))
        return false;
    return known && !def->has_charset && !def->has_collation && !p->d->guess;
}

void my_draft_change_type(const struct my_piece *p, const struct my_definition *def)
{
    struct rb_draft *d = p->d;
    struct rb *rb = d->rb;
    bool key = def->auto_increment || def->primary || rb_same_word(def->name, "id");
    if (key) {
        rb_draft_fail(d, rb_format(rb, "%s is a key of %s, which no trigger can number", def->name, p->table.name),
                      "Make a new table with the wider key (CREATE TABLE … in an expand phase), let the application "
                      "write both, copy the old rows by hand in batches, let the application read the new one, and "
                      "drop the old table in a contract phase.");
        return;
    }
    if (may_widen(p, def)) {
        my_piece_title(p, "widen", def->name);
        rb_draft_say(
            d, RB_DRAFT_EXPAND,
            "Where the new definition only allows more, the server changes the catalogue alone; `zdmctl "
            "check` says whether it does. Say all of the column again: NOT NULL, default, comment. Where it does "
            "not, give the present type with --type, and the draft is one that copies the column.");
        rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "%s", my_piece_text(p));
        return;
    }
    rb_draft_title(d, rb_format(rb, "%s-%s-%s", p->table.name, def->name, def->base),
                   rb_format(rb, "Change the type of %s.%s to %s", p->table.name, def->name, def->type));
    struct my_definition new = *def;
    new.type = type_for(p, def);
    copy_column(p, def->name, rb_format(rb, "%s_new", def->name), new.type, &new, cast_of(p, def->name, def));
}

/* ---- ADD COLUMN ---- */

static const char *some_value(const struct my_definition *def)
{
    static const struct {
        const char *type, *value;
    } rows[] = {{"date", "CURRENT_DATE"}, {"datetime", "NOW()"}, {"timestamp", "NOW()"}, {"time", "'00:00:00'"},
                {"json", "'{}'"},         {"char", "''"},        {"varchar", "''"},      {"text", "''"},
                {"tinytext", "''"},       {"mediumtext", "''"},  {"longtext", "''"},     {"binary", "''"},
                {"varbinary", "''"},      {"blob", "''"},        {"boolean", "FALSE"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rb_same_word(def->base, rows[i].type))
            return rows[i].value;
    }
    return "0";
}

/* NOT NULL once all rows have a value: a rebuild in place, which the fence allows. */
void my_draft_not_null(const struct my_piece *p, enum rb_draft_phase phase, const char *name,
                       const struct my_definition *def)
{
    struct rb_draft *d = p->d;
    rb_draft_say(d, phase,
                 "NOT NULL builds the table anew in place: reads and writes go on, and it takes room and time like the "
                 "table's own size. Leave it out where the application's word is enough.");
    rb_draft_text(d, phase, RB_DRAFT_LATE,
                  rb_format(d->rb, "```sql {rewrite-ok}\nALTER TABLE %s MODIFY COLUMN %s %s NOT NULL%s;\n```", p->name,
                            rb_plain(d->rb, name), def->type, comment_of(p, def)));
}

static void add_plain(const struct my_piece *p, const struct my_definition *def)
{
    rb_draft_sql(p->d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "ALTER TABLE %s ADD COLUMN %s %s%s%s", p->name,
                 rb_plain(p->d->rb, def->name), def->type, comment_of(p, def), def->place);
}

void my_draft_add_column(const struct my_piece *p)
{
    struct rb_draft *d = p->d;
    struct rb *rb = d->rb;
    struct my_definition def;
    (void)my_take(p->m, "column");
    (void)my_take(p->m, "if not exists");
    if (!my_definition(p->m, &p->table, true, &def))
        return;
    const char *name = rb_plain(rb, def.name);
    bool value = def.value != NULL && my_bare(def.value)->kind != MY_NULL;
    const struct rb_draft_column *known = rb_draft_column(d, &p->table, def.name);
    rb_draft_title(d, rb_format(rb, "%s-add-%s", p->table.name, def.name),
                   rb_format(rb, "Add %s.%s", p->table.name, def.name));
    if (def.generated != 0) {
        const char *text = strchr(def.generated_text, '(');
        size_t n = strlen(text) - (strstr(text, " STORED") != NULL) * strlen(" STORED") -
                   (strstr(text, " VIRTUAL") != NULL) * strlen(" VIRTUAL");
        add_plain(p, &def);
        rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, "UPDATE %s SET %s = %.*s", p->name, name, (int)n, text);
        rb_draft_say(d, RB_DRAFT_SWITCH,
                     "Triggers compute `%s` until the last phase; deploy the application that writes it itself before "
                     "you advance.",
                     def.name);
        d->changes_writers = true;
    } else if (def.value_is_expression) {
        add_plain(p, &def);
        rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, "UPDATE %s SET %s = %s WHERE %s IS NULL", p->name, name,
                     my_write(rb, my_bare(def.value), NULL), name);
        rb_draft_sql(d, RB_DRAFT_CONTRACT, RB_DRAFT_LAST, "ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s", p->name,
                     name, def.value_text);
    } else if (def.not_null && !value) {
        add_plain(p, &def);
        if (!known->filled) {
            rb_draft_say(d, RB_DRAFT_MIGRATE, "Write into the UPDATE which value `%s` has in rows that exist.",
                         def.name);
            rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, "UPDATE %s SET %s = %s WHERE %s IS NULL", p->name, name,
                         some_value(&def), name);
            rb_draft_say(d, RB_DRAFT_SWITCH, "Deploy the application that writes `%s` in every row.", def.name);
            d->changes_writers = true;
        }
        my_draft_not_null(p, known->filled ? RB_DRAFT_MIGRATE : RB_DRAFT_CONTRACT, def.name, &def);
    } else {
        rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "%s", my_piece_text(p));
    }
}
