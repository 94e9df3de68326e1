/*
 * draft_key.c - keys and numbers: a column that counts; a key in the place of another. What gives a column its numbers
 * goes over to another one in draft_numbers.c.
 */
#include "common/runbook/postgresql/ddl.h"
#include "common/runbook/draft.h"

#include <string.h>

const char *rb_recipe_grants(struct rb *rb, const char *indent, const char *table, const char *sequence)
{
    return rb_format(rb,
                     "%sFOR r IN SELECT DISTINCT a.grantee\n"
                     "%s  FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a\n"
                     "%s  WHERE c.oid = %s::regclass AND a.privilege_type = 'INSERT'\n"
                     "%sLOOP\n"
                     "%s  EXECUTE format('GRANT USAGE ON SEQUENCE %%s TO %%s', %s,\n"
                     "%s    CASE WHEN r.grantee = 0 THEN 'PUBLIC' ELSE r.grantee::regrole::text END);\n"
                     "%sEND LOOP;\n",
                     indent, indent, indent, rb_literal(rb, table), indent, indent, rb_literal(rb, sequence), indent,
                     indent);
}

/* ---- a column that counts ---- */

/* What stands behind CREATE SEQUENCE: the type of a number that is no bigint, and the options of an identity. */
static const char *sequence_options(struct rb_draft *d, const PgQuery__ColumnDef *def, const char *type)
{
    struct rb *rb = d->rb;
    const char *text = strcmp(type, "bigint") == 0 ? "" : rb_format(rb, " AS %s", type);
    for (size_t i = 0; i < def->n_constraints; i++) {
        const PgQuery__Constraint *c = def->constraints[i]->constraint;
        if (c->contype != PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY || c->n_options == 0)
            continue;
        PgQuery__CreateSeqStmt seq = PG_QUERY__CREATE_SEQ_STMT__INIT;
        PgQuery__RangeVar name = PG_QUERY__RANGE_VAR__INIT;
        PgQuery__Node node = PG_QUERY__NODE__INIT;
        static const char head[] = "CREATE SEQUENCE s";
        name.relname = (char[]){"s"};
        name.inh = 1;
        name.relpersistence = (char[]){"p"};
        seq.sequence = &name;
        seq.options = c->options;
        seq.n_options = c->n_options;
        node.node_case = PG_QUERY__NODE__NODE_CREATE_SEQ_STMT;
        node.create_seq_stmt = &seq;
        const char *sql = rb_deparse(rb, rb_node_copy(rb, &node));
        if (sql != NULL && strncmp(sql, head, sizeof head - 1) == 0)
            return rb_format(rb, "%s%s", text, sql + sizeof head - 1);
    }
    return text;
}

static const char *number_type(struct rb *rb, PgQuery__TypeName *type)
{
    static const struct {
        const char *name, *type;
    } rows[] = {{"smallserial", "smallint"}, {"serial2", "smallint"}, {"serial", "integer"},
                {"serial4", "integer"},      {"bigserial", "bigint"}, {"serial8", "bigint"},
                {"int2", "smallint"},        {"int4", "integer"},     {"int8", "bigint"}};
    const char *name = type->n_names == 0 ? "" : rb_string(type->names[type->n_names - 1]);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(name, rows[i].name) == 0)
            return rows[i].type;
    }
    const char *text = rb_deparse_type(rb, type);
    return text == NULL ? "bigint" : text;
}

void rb_recipe_numbered(struct rb_draft *d, const struct rb_table *table, const PgQuery__ColumnDef *def)
{
    struct rb *rb = d->rb;
    const char *schema = rb_plain(rb, table->schema), *name = rb_table_text(rb, table);
    const char *whole = rb_format(rb, "%s.%s", schema, rb_plain(rb, table->name)), *plain = rb_plain(rb, def->colname);
    const char *sequence =
        rb_format(rb, "%s.%s", schema, rb_plain(rb, rb_format(rb, "%s_%s_seq", table->name, def->colname)));
    const char *quoted = rb_literal(rb, sequence), *type = number_type(rb, def->type_name);
    const char *owned = rb_format(rb, "SELECT 1 WHERE pg_get_serial_sequence(%s, %s) IS", rb_literal(rb, whole),
                                  rb_literal(rb, def->colname));
    rb_draft_say(d, RB_DRAFT_EXPAND,
                 "serial and identity would write the whole table anew under its lock. A sequence as default does the "
                 "same for new rows, and rows that exist are numbered in batches. Whoever may insert into the table "
                 "may use the sequence.");
    rb_draft_text(d, RB_DRAFT_EXPAND, RB_DRAFT_FIRST,
                  rb_format(rb,
                            "```sql {as-is lock=short}\nCREATE SEQUENCE %s%s;\nDO $$\nDECLARE\n  r record;\nBEGIN\n%s"
                            "END $$;\n```\n"
                            "```sql {check}\nSELECT 1 WHERE to_regclass(%s) IS NULL;\n```\n"
                            "```sql {rollback}\nDO $$\nBEGIN\n  DROP SEQUENCE %s;\n"
                            "EXCEPTION WHEN dependent_objects_still_exist THEN\n"
                            "  NULL; -- it goes with the column, which the way back takes out of sight\n"
                            "END $$;\n```",
                            sequence, sequence_options(d, def, type), rb_recipe_grants(rb, "  ", whole, sequence),
                            quoted, sequence));
    rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "ALTER TABLE %s ADD COLUMN %s %s DEFAULT nextval(%s)", name, plain,
                 type, quoted);
    rb_draft_text(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN,
                  rb_format(rb,
                            "```sql {as-is lock=short}\nALTER SEQUENCE %s OWNED BY %s.%s;\n```\n"
                            "```sql {check}\n%s NULL;\n```\n"
                            "```sql {rollback}\nSELECT 1; -- nothing: it goes with the column\n```",
                            sequence, whole, plain, owned));
    rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_LATE, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", name, plain);
}

/* ---- a key in the place of another ---- */

static const char *column_words(struct rb *rb, PgQuery__Node *const *names, size_t n, const char *between, bool plain)
{
    const char *text = "";
    for (size_t i = 0; i < n; i++)
        text = rb_format(rb, "%s%s%s", text, i == 0 ? "" : between,
                         plain ? rb_plain(rb, rb_string(names[i])) : rb_string(names[i]));
    return text;
}

void rb_recipe_swap(struct rb_draft *d, const struct rb_table *table, const PgQuery__Constraint *added,
                    const char *dropped)
{
    struct rb *rb = d->rb;
    bool primary = added->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
    const char *name = rb_table_text(rb, table), *key = added->conname;
    const char *columns = column_words(rb, added->keys, added->n_keys, ", ", true);
    if (key[0] == '\0' || strcmp(key, dropped) == 0)
        key = rb_choose_name(rb, table, column_words(rb, added->keys, added->n_keys, "_", false),
                             primary ? "pkey" : "key");
    if (strcmp(key, dropped) == 0)
        key = rb_choose_name(rb, table, column_words(rb, added->keys, added->n_keys, "_", false), "key1");
    const char *plain = rb_plain(rb, key);
    rb_draft_say(d, RB_DRAFT_SWITCH,
                 "Deploy the application that does without `%s`: ON CONFLICT that names its columns fails without it.",
                 dropped);
    rb_draft_say(d, RB_DRAFT_CONTRACT,
                 "The index `%s` is built first, so that the table is without a %s for a moment only. Foreign keys "
                 "that refer to `%s` would be in the way: drop them before, and add them again behind.",
                 key, primary ? "primary key" : "unique constraint", dropped);
    for (size_t i = 0; primary && i < added->n_keys; i++)
        rb_draft_sql(d, RB_DRAFT_CONTRACT, RB_DRAFT_FIRST, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", name,
                     rb_plain(rb, rb_string(added->keys[i])));
    rb_draft_sql(d, RB_DRAFT_CONTRACT, RB_DRAFT_FIRST, "CREATE UNIQUE INDEX %s ON %s (%s)%s", plain, name, columns,
                 added->nulls_not_distinct ? " NULLS NOT DISTINCT" : "");
    rb_draft_sql(d, RB_DRAFT_CONTRACT, RB_DRAFT_FIRST, "ALTER TABLE %s DROP CONSTRAINT %s", name,
                 rb_plain(rb, dropped));
    rb_draft_sql(d, RB_DRAFT_CONTRACT, RB_DRAFT_FIRST, "ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s%s%s", name,
                 plain, primary ? "PRIMARY KEY" : "UNIQUE", plain, added->deferrable ? " DEFERRABLE" : "",
                 added->initdeferred ? " INITIALLY DEFERRED" : "");
}
