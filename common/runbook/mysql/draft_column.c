/*
 * draft_column.c - columns in drafts: what is added, and the new column in the place of an old one.
 */
#include "common/runbook/mysql/draft.h"

#include <string.h>

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

static void copy_column(const struct my_piece *p, const char *from, const char *to, const char *type,
                        const char *expression)
{
    struct rb_draft *d = p->d;
    struct rb *rb = d->rb;
    const char *old = rb_plain(rb, from), *new = rb_plain(rb, to);
    rb_draft_column(d, &p->table, from)->moved_to = to;
    rb_draft_column(d, &p->table, to)->filled = true;
    rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "ALTER TABLE %s ADD COLUMN %s %s", p->name, new, type);
    rb_draft_say(d, RB_DRAFT_MIGRATE,
                 "Indexes, constraints and NOT NULL of `%s` do not come along: add those that `%s` needs behind the "
                 "UPDATE, a unique index last.",
                 from, to);
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
    d->changes_writers = true;
}

void my_draft_rename_column(const struct my_piece *p, const char *from, const char *to, const char *type)
{
    struct rb *rb = p->d->rb;
    rb_draft_title(p->d, rb_format(rb, "%s-%s-to-%s", p->table.name, from, to),
                   rb_format(rb, "Rename %s.%s to %s", p->table.name, from, to));
    copy_column(p, from, to, type != NULL ? type : type_of(p, from), NULL);
}

/* What a value needs so that it becomes one of the type; NULL: nothing. */
static const char *cast_of(const struct my_piece *p, const char *column, const struct my_definition *def)
{
    static const char *const types[] = {"date", "datetime", "time", "decimal", "json"};
    const char *old = rb_plain(p->d->rb, column);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (rb_same_word(def->base, types[i]))
            return rb_format(p->d->rb, "CAST(%s AS %s)", old, def->type);
    }
    return rb_same_word(def->base, "timestamp") ? rb_format(p->d->rb, "CAST(%s AS datetime(6))", old) : NULL;
}

/* Does the server change the catalogue alone, as far as the words tell? It is asked on a clone. */
static bool may_widen(const struct my_piece *p, const struct my_definition *def)
{
    static const char *const types[] = {"varchar", "varbinary", "enum", "set"};
    bool known = false;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        known = known || rb_same_word(def->base, types[i]);
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
        rb_draft_say(d, RB_DRAFT_EXPAND,
                     "Where the new definition only allows more, the server changes the catalogue alone; `zdmctl "
                     "check` says whether it does. Say all of the column again: NOT NULL, default, comment.");
        rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "%s", my_piece_text(p));
        return;
    }
    rb_draft_title(d, rb_format(rb, "%s-%s-%s", p->table.name, def->name, def->base),
                   rb_format(rb, "Change the type of %s.%s to %s", p->table.name, def->name, def->type));
    copy_column(p, def->name, rb_format(rb, "%s_new", def->name), def->type, cast_of(p, def->name, def));
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
void my_draft_not_null(const struct my_piece *p, enum rb_draft_phase phase, const char *name, const char *type)
{
    struct rb_draft *d = p->d;
    rb_draft_say(d, phase,
                 "NOT NULL builds the table anew in place: reads and writes go on, and it takes room and time like the "
                 "table's own size. Leave it out where the application's word is enough.");
    rb_draft_text(d, phase, RB_DRAFT_LATE,
                  rb_format(d->rb, "```sql {rewrite-ok}\nALTER TABLE %s MODIFY COLUMN %s %s NOT NULL;\n```", p->name,
                            rb_plain(d->rb, name), type));
}

static void add_plain(const struct my_piece *p, const struct my_definition *def)
{
    rb_draft_sql(p->d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "ALTER TABLE %s ADD COLUMN %s %s%s%s%s", p->name,
                 rb_plain(p->d->rb, def->name), def->type, def->comment == NULL ? "" : " COMMENT ",
                 def->comment == NULL ? "" : def->comment, def->place);
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
        my_draft_not_null(p, known->filled ? RB_DRAFT_MIGRATE : RB_DRAFT_CONTRACT, def.name, def.type);
    } else {
        rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "%s", my_piece_text(p));
    }
}
