/*
 * recipes.c - what cannot be done at once, as several steps between which the application is deployed: renames, other
 * types, keys, columns that must have a value. The drafts of zdmctl new and the hints of refused statements are made
 * here; each compiles as it stands (tests compile them).
 */
#include "common/runbook/postgresql/ddl.h"
#include "common/runbook/draft.h"

#include <string.h>

/* ---- columns ---- */

static const char *declared_type(struct rb_draft *d, const struct rb_table *table, const char *column)
{
    const char *type = rb_draft_type(d, table, column);
    if (type != NULL)
        return type;
    if (d->guess)
        return "text";
    if (d->missing == NULL)
        d->missing = rb_format(d->rb, "%s.%s.%s", table->schema, table->name, column);
    rb_draft_fail(d, rb_format(d->rb, "the type of %s is not known", column),
                  "Write it with --type, as in --type 'varchar(80)'.");
    return "text";
}

void rb_recipe_free(struct rb_draft *d, const struct rb_table *table, const char *column)
{
    if (strcmp(column, "id") == 0)
        return; /* a key: it cannot be NULL */
    rb_draft_say(d, RB_DRAFT_EXPAND,
                 "From the switch on, new code leaves `%s` out of its INSERTs: it must not be NOT NULL then.", column);
    rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_LATE, "ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL",
                 rb_table_text(d->rb, table), rb_plain(d->rb, column));
}

/* Both columns are kept equal, or the new one follows the old one, until the old one goes. */
static void copy_column(struct rb_draft *d, const struct rb_table *table, const char *from, const char *to,
                        const char *type, const char *expression)
{
    struct rb *rb = d->rb;
    const char *name = rb_table_text(rb, table), *old = rb_plain(rb, from), *new = rb_plain(rb, to);
    bool guessed = d->guess && rb_draft_type(d, table, from) == NULL && type == NULL;
    rb_draft_column(d, table, from)->moved_to = to;
    rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "ALTER TABLE %s ADD COLUMN %s %s%s", name, new,
                 type != NULL ? type : declared_type(d, table, from),
                 guessed ? rb_format(rb, " -- write the type of %s here", from) : "");
    rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, "UPDATE %s SET %s = %s WHERE %s IS NULL", name, new,
                 expression == NULL ? old : expression, new);
    if (expression != NULL)
        rb_recipe_free(d, table, from);
    rb_draft_say(d, RB_DRAFT_SWITCH,
                 "Deploy the application that reads and writes `%s` instead of `%s`. Old code may go on running: %s.",
                 to, from,
                 expression == NULL ? "triggers keep both columns equal"
                                    : "triggers compute the new column from the old one, but not back");
    /* What refers to a key goes before the key does. */
    bool refers = type != NULL && rb_draft_is_reference(d, table, from) && !rb_draft_is_key(d, table, from);
    rb_draft_sql(d, RB_DRAFT_CONTRACT, refers ? RB_DRAFT_FRONT : RB_DRAFT_MAIN, "ALTER TABLE %s DROP COLUMN %s", name,
                 old);
    rb_draft_say(d, RB_DRAFT_CONTRACT,
                 "No code names `%s` any more. It is hidden first, and dropped after the grace "
                 "period.",
                 from);
    d->changes_writers = true;
}

static void say_what_stays_behind(struct rb_draft *d, const char *from, const char *to)
{
    rb_draft_say(
        d, RB_DRAFT_MIGRATE,
        "Indexes, constraints, NOT NULL and DEFAULT of `%s` do not come along: add those that `%s` needs behind "
        "the UPDATE, a unique index last, and the DEFAULT in Contract, behind the DROP COLUMN.",
        from, to);
}

void rb_recipe_column(struct rb_draft *d, const struct rb_table *table, const char *from, const char *to)
{
    struct rb *rb = d->rb;
    rb_draft_title(d, rb_format(rb, "%s-%s-to-%s", table->name, from, to),
                   rb_format(rb, "Rename %s.%s to %s", table->name, from, to));
    say_what_stays_behind(d, from, to);
    copy_column(d, table, from, to, NULL, NULL);
}

/* ---- tables ---- */

/* The view under the new name, with the rights that roles have on the table and its columns, and none that default
 * privileges add: it runs with those of its owner. */
static const char *second_name(struct rb *rb, const char *old, const char *new)
{
    return rb_format(
        rb,
        "CREATE VIEW %s AS SELECT * FROM %s;\n"
        "DO $$\nDECLARE\n  t regclass := '%s';\n  v regclass := '%s';\n  r record;\n"
        "BEGIN -- the rights of the table and its columns, and no others\n"
        "  FOR r IN SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS who\n"
        "    FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = v AND a.grantee <> c.relowner\n  LOOP\n"
        "    EXECUTE format('REVOKE ALL ON %%s FROM %%s', v, r.who);\n  END LOOP;\n"
        "  FOR r IN SELECT g.privilege_type || g.of AS what,\n"
        "      CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END AS who,\n"
        "      CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS how\n"
        "    FROM (SELECT a.*, '' AS of, c.relowner FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = t\n"
        "      UNION ALL SELECT a.*, format(' (%%I)', k.attname), c.relowner FROM pg_class c\n"
        "        JOIN pg_attribute k ON k.attrelid = c.oid AND NOT k.attisdropped, aclexplode(k.attacl) a\n"
        "        WHERE c.oid = t) g WHERE g.grantee <> g.relowner\n  LOOP\n"
        "    EXECUTE format('GRANT %%s ON %%s TO %%s%%s', r.what, v, r.who, r.how);\n"
        "  END LOOP;\nEND $$;",
        new, old, old, new);
}

void rb_recipe_table(struct rb_draft *d, const struct rb_table *table, const char *to)
{
    struct rb *rb = d->rb;
    struct rb_table other = {table->schema, to};
    const char *schema = rb_plain(rb, table->schema);
    const char *old = rb_format(rb, "%s.%s", schema, rb_plain(rb, table->name));
    const char *new = rb_format(rb, "%s.%s", schema, rb_plain(rb, other.name));
    rb_draft_title(d, rb_format(rb, "%s-to-%s", table->name, to), rb_format(rb, "Rename %s to %s", table->name, to));
    rb_draft_say(d, RB_DRAFT_EXPAND,
                 "A view that can be written gives the table its second name, with the rights that roles have on the "
                 "table. It reads with the rights of its owner: where the table has row level security, write `CREATE "
                 "VIEW … WITH (security_invoker = true)`, which PostgreSQL has since 15.");
    rb_draft_text(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN,
                  rb_format(rb,
                            "```sql {as-is lock=short}\n%s\n```\n"
                            "```sql {check}\nSELECT 1 WHERE to_regclass('%s') IS NULL;\n```\n"
                            "```sql {rollback}\nDROP VIEW %s;\n```",
                            second_name(rb, old, new), new, new));
    rb_draft_say(d, RB_DRAFT_SWITCH,
                 "Deploy the application that names `%s` everywhere. `COPY` and `TRUNCATE` do not work on a view.", to);
    rb_draft_say(d, RB_DRAFT_CONTRACT,
                 "No code names `%s` any more. The view goes and the table takes its name, in one transaction.",
                 table->name);
    rb_draft_text(d, RB_DRAFT_CONTRACT, RB_DRAFT_MAIN,
                  rb_format(rb,
                            "```sql {as-is lock=short}\nDROP VIEW %s;\nALTER TABLE %s RENAME TO %s;\n```\n"
                            "```sql {check}\nSELECT 1 WHERE to_regclass('%s') IS NOT NULL;\n```\n"
                            "```sql {rollback}\nALTER TABLE %s RENAME TO %s;\n%s\n```",
                            new, old, rb_plain(rb, to), old, new, rb_plain(rb, table->name),
                            second_name(rb, old, new)));
    d->changes_writers = true;
}

/* ---- types ---- */

static const char *type_name(const PgQuery__TypeName *type)
{
    return type->n_names == 0 ? "" : rb_string(type->names[type->n_names - 1]);
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static int limit_of(const PgQuery__TypeName *type)
{
    if (type->n_typmods != 1 || type->typmods[0]->node_case != PG_QUERY__NODE__NODE_A_CONST ||
        type->typmods[0]->a_const->val_case != PG_QUERY__A__CONST__VAL_IVAL)
        return 0;
    return type->typmods[0]->a_const->ival->ival;
}

/* "USING id::bigint" of a framework says what the copy does anyway. */
static bool is_plain_cast(struct rb *rb, const char *using, const char *column, const char *type)
{
    const char *forms[] = {rb_format(rb, "%s::%s", rb_plain(rb, column), type),
                           rb_format(rb, "%s::%s", rb_quote(rb, column), type), rb_plain(rb, column)};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(using, forms[i]) == 0)
            return true;
    }
    return false;
}

/* A default, the sequence behind it, and the primary key go over to the new column. */
static void move_key(struct rb_draft *d, const struct rb_table *table, const char *from, const char *to)
{
    struct rb *rb = d->rb;
    const char *name = rb_table_text(rb, table), *new = rb_plain(rb, to);
    const char *index = rb_plain(rb, rb_format(rb, "%s_%s_key", table->name, to));
    rb_draft_say(
        d, RB_DRAFT_EXPAND,
        "Each table that refers to `%s.%s` needs a column of the new type, here or with a runbook of its own before. "
        "Its foreign key to `%s` comes behind the unique index at the end of Migrate, and that to `%s` goes in "
        "Contract before the primary key does, which cannot go as long as it is there.",
        table->name, from, to, from);
    rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_LATE, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", name, new);
    rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_LAST, "CREATE UNIQUE INDEX %s ON %s (%s)", index, name, new);
    rb_draft_say(d, RB_DRAFT_CONTRACT,
                 "What gives `%s` its numbers, a sequence or an identity, goes over in one transaction, so that every "
                 "INSERT has a value. When all is done, the index `%s` is spare where no foreign key uses it: a later "
                 "runbook may drop it.",
                 from, index);
    rb_draft_text(d, RB_DRAFT_CONTRACT, RB_DRAFT_FIRST, rb_recipe_numbers(rb, table, from, to));
    rb_recipe_key(d, table, from, to);
    rb_draft_text(d, RB_DRAFT_CONTRACT, RB_DRAFT_LAST, rb_recipe_always(rb, table, from, to));
}

/* It needs an index as the old one has: each DELETE of a row that it refers to looks there. */
static void move_reference(struct rb_draft *d, const struct rb_table *table, const char *to)
{
    rb_draft_say(d, RB_DRAFT_MIGRATE,
                 "A column that refers to a key gets an index here. NOT NULL, other indexes and constraints of the old "
                 "one do not come along: add what the new one needs behind the UPDATE.");
    rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_LATE, "CREATE INDEX ON %s (%s)", rb_table_text(d->rb, table),
                 rb_plain(d->rb, to));
}

/* Can a column of that type hold each value of the present one, so that both may be kept equal? Where the present type
 * is not known: where any number can be that PostgreSQL makes one of by itself. */
static bool holds_all(const char *type, const char *to)
{
    static const char *const numbers[] = {"smallint", "int2", "int", "integer", "int4", "bigint", "int8"};
    static const struct {
        const char *to;
        size_t n; /* of numbers, from the first */
    } rows[] = {{"int2", 2}, {"int4", 5}, {"int8", 7}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].to, to) != 0)
            continue;
        if (type == NULL)
            return i == 2;
        for (size_t k = 0; k < rows[i].n; k++) {
            if (rb_same_word(type, numbers[k]))
                return true;
        }
    }
    return false;
}

/* Longer values stop the checks, at the beginning and before the old column goes. */
static void check_length(struct rb_draft *d, const struct rb_table *table, const char *column, int limit)
{
    struct rb *rb = d->rb;
    const char *check = rb_format(rb, "```sql {check}\nSELECT 1 FROM %s WHERE length(%s) > %d;\n```",
                                  rb_table_text(rb, table), rb_plain(rb, column), limit);
    rb_draft_say(d, RB_DRAFT_MIGRATE,
                 "Rows that are too long stop the check. What old code writes longer afterwards is cut in the new "
                 "column, and stops the same check in Contract: mend such rows then.");
    rb_draft_text(d, RB_DRAFT_MIGRATE, RB_DRAFT_FIRST, check);
    rb_draft_text(d, RB_DRAFT_CONTRACT, RB_DRAFT_FRONT, check);
}

void rb_recipe_type(struct rb_draft *d, const struct rb_table *table, const char *column, PgQuery__TypeName *type,
                    const PgQuery__CollateClause *collation, const PgQuery__Node *value)
{
    static const char *const integers[] = {"int2", "int4", "int8", NULL};
    static const char *const zoned[] = {"timestamptz", NULL};
    static const char *const texts[] = {"varchar", "bpchar", NULL};
    struct rb *rb = d->rb;
    const char *text = rb_deparse_type(rb, type), *name = type_name(type);
    const char *present = rb_draft_type(d, table, column);
    const char *using = value == NULL ? NULL : rb_deparse_expr(rb, rb_node_copy(rb, value));
    bool is_integer = is_one_of(name, integers), is_key = rb_draft_is_key(d, table, column);
    if (text == NULL) {
        rb_draft_fail(d, "this type cannot be written in a runbook", "Write it more simply.");
        return;
    }
    if (is_key && !is_integer) {
        rb_draft_fail(d, rb_format(rb, "%s is the key of %s, and its values would be others", column, table->name),
                      "Add the new key as a column of its own, fill it, and let what refers to the table follow; "
                      "then the primary key goes over in Contract, behind the DROP CONSTRAINT of the old one.");
        return;
    }
    if (collation != NULL)
        text = rb_format(rb, "%s%s", text, rb_collation_text(rb, collation));
    const char *to = rb_format(rb, "%s_new", column);
    bool is_reference = !is_key && is_integer && rb_draft_is_reference(d, table, column);
    bool is_cast = using == NULL || is_plain_cast(rb, using, column, text);
    /* From text, a cast is no copy: only between numbers do both directions hold. */
    bool is_copy = is_cast && is_integer &&
                   (is_key || is_reference || ((using == NULL || present != NULL) && holds_all(present, name)));
    const char *expression = is_copy         ? NULL
                             : using != NULL ? using
                                             : rb_format(rb, "%s::%s", rb_plain(rb, column), text);
    if (using == NULL && is_one_of(name, zoned)) {
        expression = rb_format(rb, "%s AT TIME ZONE 'UTC'", rb_plain(rb, column));
        rb_draft_say(d, RB_DRAFT_MIGRATE,
                     "The old values are taken for UTC; write another zone where they are local times.");
    }
    rb_draft_title(d, rb_format(rb, "%s-%s-%s", table->name, column, name),
                   rb_format(rb, "Change the type of %s.%s to %s", table->name, column, text));
    if (is_one_of(name, texts) && limit_of(type) > 0 && is_cast)
        check_length(d, table, column, limit_of(type));
    if (is_cast && is_integer && !is_copy && present == NULL)
        rb_draft_say(d, RB_DRAFT_MIGRATE,
                     "Where `%s` holds numbers that all fit, `zdmctl new` with `--type` and the present type drafts a "
                     "copy in both directions.",
                     column);
    if (is_key)
        move_key(d, table, column, to);
    else if (is_reference)
        move_reference(d, table, to);
    else
        say_what_stays_behind(d, column, to);
    if (expression != NULL)
        expression = rb_recipe_cast(d, table, column, type, value, expression);
    copy_column(d, table, column, to, text, expression);
}

/* ---- columns that must have a value ---- */

/* Something that the type can hold; what is right, only the author knows. */
static const char *some_value(const PgQuery__TypeName *type)
{
    static const struct {
        const char *type, *value;
    } rows[] = {
        {"bool", "false"},
        {"int2", "0"},
        {"int4", "0"},
        {"int8", "0"},
        {"numeric", "0"},
        {"float4", "0"},
        {"float8", "0"},
        {"uuid", "gen_random_uuid()"},
        {"timestamptz", "now()"},
        {"timestamp", "now()"},
        {"date", "CURRENT_DATE"},
        {"json", "'{}'"},
        {"jsonb", "'{}'"},
        {"interval", "'0'"},
        {"bytea", "''"},
    };
    if (type->n_array_bounds > 0)
        return "'{}'";
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].type, type_name(type)) == 0)
            return rows[i].value;
    }
    return "''";
}

void rb_recipe_fill(struct rb_draft *d, const struct rb_table *table, const char *column, PgQuery__TypeName *type)
{
    struct rb *rb = d->rb;
    const char *name = rb_table_text(rb, table), *plain = rb_plain(rb, column);
    rb_draft_say(d, RB_DRAFT_MIGRATE, "Write into the UPDATE which value `%s` has in rows that exist.", column);
    rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, "UPDATE %s SET %s = %s WHERE %s IS NULL", name, plain,
                 some_value(type), plain);
    rb_draft_say(d, RB_DRAFT_SWITCH, "Deploy the application that writes `%s` in every row.", column);
    rb_draft_sql(d, RB_DRAFT_CONTRACT, RB_DRAFT_LATE, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", name, plain);
    d->changes_writers = true;
}

/* ---- hints ---- */

static const char *or_words(const char *recipe)
{
    return recipe != NULL ? recipe
                          : "Write a new column, an UPDATE that fills it, and drop the old one in the contract "
                            "phase.";
}

const char *rb_recipe_rename(struct rb *rb, const char *table, const char *from, const char *to, const char *type,
                             const char *expression)
{
    const char *old = rb_plain(rb, from);
    if (type == NULL)
        return or_words(
            rb_recipe_of(rb, rb_format(rb, "ALTER TABLE %s RENAME COLUMN %s TO %s", table, old, rb_plain(rb, to))));
    return or_words(
        rb_recipe_of(rb, rb_format(rb, "ALTER TABLE %s ALTER COLUMN %s TYPE %s%s%s", table, old, type,
                                   expression == NULL ? "" : " USING ", expression == NULL ? "" : expression)));
}

const char *rb_recipe_not_null(struct rb *rb, const char *column, const char *type, const char *sql)
{
    return rb_format(rb, "Give it a constant default (ADD COLUMN %s %s NOT NULL DEFAULT …), or fill it first.\n%s",
                     rb_plain(rb, column), type, or_words(rb_recipe_of(rb, sql)));
}

const char *rb_recipe_default(struct rb *rb, const char *table, const char *column, const char *type,
                              const char *expression)
{
    const char *name = rb_plain(rb, column);
    return rb_format(
        rb,
        "Add the column without it, and fill it in the migrate phase (new rows are filled by a trigger):\n\n"
        "## Phase 1: Expand\n```sql\nALTER TABLE %s ADD COLUMN %s %s;\n```\n\n"
        "## Phase 2: Migrate\n```sql\nUPDATE %s SET %s = %s WHERE %s IS NULL;\n```",
        table, name, type, table, name, expression, name);
}
