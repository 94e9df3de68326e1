/*
 * draft_key.c - a key whose numbers come to their end: what gives the old column its numbers goes over to the new one.
 *
 * Offline nobody knows whether that is a serial's sequence, one of its own, an identity, or nothing; shards may differ.
 * The fences ask the catalogue, and do what fits.
 */
#include "common/runbook/ddl.h"
#include "common/runbook/draft.h"

#include <string.h>

struct key {
    struct rb *rb;
    const char *table, *old, *new; /* as SQL names them */
    const char *sequence;          /* that takes the place of an identity's */
    const char *column, *to;       /* as they are called */
};

/* Roles that insert need what an identity gave them without asking. */
static const char *grants(const struct key *k)
{
    return rb_format(k->rb,
                     "    FOR r IN SELECT DISTINCT a.grantee\n"
                     "      FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a\n"
                     "      WHERE c.oid = %s::regclass AND a.privilege_type = 'INSERT'\n"
                     "    LOOP\n"
                     "      EXECUTE format('GRANT USAGE ON SEQUENCE %%s TO %%s', %s,\n"
                     "        CASE WHEN r.grantee = 0 THEN 'PUBLIC' ELSE r.grantee::regrole::text END);\n"
                     "    END LOOP;\n",
                     rb_literal(k->rb, k->table), rb_literal(k->rb, k->sequence));
}

/* An identity's sequence goes with it: another one counts on from there, and remembers which kind it was. */
static const char *leave_identity(const struct key *k)
{
    return rb_format(k->rb,
                     "  IF kind <> '' THEN -- an identity\n"
                     "    CREATE SEQUENCE %s AS bigint;\n"
                     "    EXECUTE format('COMMENT ON SEQUENCE %%s IS %%L', %s,\n"
                     "      CASE kind WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END);\n"
                     "    PERFORM setval(%s, nextval(numbers));\n"
                     "%s"
                     "    ALTER TABLE %s ALTER COLUMN %s DROP IDENTITY;\n"
                     "    numbers := %s;\n"
                     "    value := format('nextval(%%L)', numbers);\n"
                     "  END IF;\n",
                     k->sequence, rb_literal(k->rb, k->sequence), rb_literal(k->rb, k->sequence), grants(k), k->table,
                     k->old, rb_literal(k->rb, k->sequence));
}

static const char *go_over(const struct key *k)
{
    const char *table = rb_literal(k->rb, k->table);
    return rb_format(
        k->rb,
        "ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT; -- takes the lock\n"
        "DO $$\nDECLARE\n"
        "  numbers text := pg_get_serial_sequence(%s, %s);\n"
        "  value text;\n  kind text;\n  r record;\n"
        "BEGIN\n"
        "  SELECT pg_get_expr(d.adbin, d.adrelid), a.attidentity INTO value, kind\n"
        "    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum\n"
        "    WHERE a.attrelid = %s::regclass AND a.attname = %s;\n"
        "%s"
        "  IF numbers IS NOT NULL THEN\n"
        "    EXECUTE format('ALTER SEQUENCE %%s AS bigint OWNED BY %%s', numbers, %s);\n"
        "  END IF;\n"
        "  IF value IS NOT NULL THEN\n"
        "    EXECUTE %s || value;\n"
        "  END IF;\n"
        "  ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT;\n"
        "END $$;",
        k->table, k->new, table, rb_literal(k->rb, k->column), table, rb_literal(k->rb, k->column), leave_identity(k),
        rb_literal(k->rb, rb_format(k->rb, "%s.%s", k->table, k->new)),
        rb_literal(k->rb, rb_format(k->rb, "ALTER TABLE %s ALTER COLUMN %s SET DEFAULT ", k->table, k->new)), k->table,
        k->old);
}

static const char *come_back(const struct key *k)
{
    const char *table = rb_literal(k->rb, k->table), *sequence = rb_literal(k->rb, k->sequence);
    return rb_format(
        k->rb,
        "ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT; -- takes the lock\n"
        "DO $$\nDECLARE\n"
        "  numbers text := pg_get_serial_sequence(%s, %s);\n"
        "  value text := (SELECT pg_get_expr(d.adbin, d.adrelid)\n"
        "    FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum\n"
        "    WHERE a.attrelid = %s::regclass AND a.attname = %s);\n"
        "  kind text := obj_description(to_regclass(%s), 'pg_class');\n"
        "  next bigint;\n"
        "BEGIN\n"
        "  ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT;\n"
        "  IF kind IS NOT NULL THEN -- it was an identity\n"
        "    next := nextval(%s);\n"
        "    DROP SEQUENCE %s;\n"
        "    EXECUTE format(%s, kind, next);\n"
        "    RETURN;\n"
        "  END IF;\n"
        "  IF numbers IS NOT NULL THEN\n"
        "    EXECUTE format('ALTER SEQUENCE %%s OWNED BY %%s', numbers, %s);\n"
        "  END IF;\n"
        "  IF value IS NOT NULL THEN\n"
        "    EXECUTE %s || value;\n"
        "  END IF;\n"
        "END $$;",
        k->table, k->old, table, rb_literal(k->rb, k->to), table, rb_literal(k->rb, k->to), sequence, k->table, k->new,
        sequence, k->sequence,
        rb_literal(k->rb,
                   rb_format(k->rb, "ALTER TABLE %s ALTER COLUMN %s ADD GENERATED %%s AS IDENTITY (START WITH %%s)",
                             k->table, k->old)),
        rb_literal(k->rb, rb_format(k->rb, "%s.%s", k->table, k->old)),
        rb_literal(k->rb, rb_format(k->rb, "ALTER TABLE %s ALTER COLUMN %s SET DEFAULT ", k->table, k->old)));
}

const char *rb_recipe_numbers(struct rb *rb, const struct rb_table *table, const char *from, const char *to)
{
    const char *schema = rb_plain(rb, table->schema);
    struct key k = {.rb = rb,
                    .table = rb_format(rb, "%s.%s", schema, rb_plain(rb, table->name)),
                    .old = rb_plain(rb, from),
                    .new = rb_plain(rb, to),
                    .sequence =
                        rb_format(rb, "%s.%s", schema, rb_plain(rb, rb_format(rb, "%s_%s_seq", table->name, to))),
                    .column = from,
                    .to = to};
    return rb_format(rb,
                     "```sql {as-is lock=short}\n%s\n```\n"
                     "```sql {check}\nSELECT 1 FROM pg_attribute\nWHERE attrelid = %s::regclass AND attname = %s\n"
                     "  AND (atthasdef OR attidentity <> '');\n```\n"
                     "```sql {rollback}\n%s\n```",
                     go_over(&k), rb_literal(rb, k.table), rb_literal(rb, from), come_back(&k));
}
