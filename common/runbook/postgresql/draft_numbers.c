/*
 * draft_numbers.c - what an old key has goes over to the new column, and comes back: what gives it its numbers, and the
 * primary key.
 *
 * Offline nobody knows whether a sequence of a serial's, one of its own, an identity, or nothing gives a column its
 * numbers, nor where it stands and how it counts: shards differ, and those that share numbers count in steps of their
 * own. The fences ask the catalogue, and carry over what is there. The way back is the same statement with the columns
 * exchanged.
 */
#include "common/runbook/postgresql/ddl.h"
#include "common/runbook/draft.h"

#include <string.h>

struct hand_over {
    struct rb *rb;
    const char *schema, *table; /* the table as SQL names it */
    const char *from, *to;
    bool back;
};

/* In front of the comment of an identity's sequence, as long as it cannot be what it was. */
#define NOTE        "zdm: ALWAYS. "
#define NOTE_LENGTH "14" /* where what follows begins */

/* ---- numbers ---- */

/* A sequence that counted to the end of the old type counts to that of the new one; a bigint of its own stays. Nobody
 * takes a number from it until the end of the transaction. */
static const char *retype_sequences(const struct hand_over *h)
{
    return rb_format(
        h->rb,
        "  FOR r IN SELECT q.seqrelid::regclass AS name, b.atttypid::regtype AS type\n"
        "    FROM pg_attribute a, pg_attribute b, pg_sequence q\n"
        "    WHERE a.attrelid = t AND a.attname = %s AND b.attrelid = t AND b.attname = %s\n"
        "      AND q.seqtypid = a.atttypid AND (q.seqrelid = numbers OR q.seqrelid IN (SELECT p.refobjid\n"
        "        FROM pg_depend p JOIN pg_attrdef d ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid\n"
        "        WHERE d.adrelid = t AND d.adnum = a.attnum AND p.refclassid = 'pg_class'::regclass))\n"
        "  LOOP\n"
        "    EXECUTE format('ALTER SEQUENCE %%s AS %%s', r.name, r.type);\n"
        "  END LOOP;\n",
        rb_literal(h->rb, h->from), rb_literal(h->rb, h->to));
}

/* The sequence of an identity goes with it: another one takes its place, with its name and all that it had. As long as
 * triggers write the column it is BY DEFAULT, and the sequence's comment notes what it shall be. */
static const char *move_identity(const struct hand_over *h)
{
    struct rb *rb = h->rb;
    return rb_format(
        rb,
        "  IF kind <> '' THEN -- an identity: its sequence goes with it, and comes again as it was\n"
        "    EXECUTE format('SELECT last_value, is_called FROM %%s', numbers) INTO last, called;\n"
        "    SELECT numbers::text, format('START %%s INCREMENT %%s MINVALUE %%s MAXVALUE %%s CACHE %%s %%s', "
        "q.seqstart,\n"
        "        q.seqincrement, q.seqmin, q.seqmax, q.seqcache, CASE WHEN q.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' "
        "END),\n"
        "        obj_description(c.oid, 'pg_class'), c.relacl INTO name, options, remark, rights\n"
        "      FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid WHERE c.oid = numbers;\n"
        "%s"
        "    ALTER TABLE %s ALTER COLUMN %s DROP IDENTITY;\n"
        "    EXECUTE format(%s, kind, name, options);\n"
        "    PERFORM setval(name::regclass, last, called);\n"
        "    EXECUTE format('COMMENT ON SEQUENCE %%s IS %%L', name, remark);\n"
        "    FOR r IN SELECT privilege_type AS what, grantee::regrole AS who, grantee, is_grantable\n"
        "      FROM aclexplode(rights)\n"
        "    LOOP\n"
        "      EXECUTE format('GRANT %%s ON SEQUENCE %%s TO %%s%%s', r.what, name,\n"
        "        CASE WHEN r.grantee = 0 THEN 'PUBLIC' ELSE r.who::text END,\n"
        "        CASE WHEN r.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);\n"
        "    END LOOP;\n"
        "  END IF;\n",
        h->back ? "    IF remark LIKE '" NOTE "%' THEN\n"
                  "      kind := 'ALWAYS';\n"
                  "      remark := nullif(substr(remark, " NOTE_LENGTH "), '');\n"
                  "    END IF;\n"
                : "    IF kind = 'ALWAYS' THEN -- again when no trigger writes the column any more\n"
                  "      kind := 'BY DEFAULT';\n"
                  "      remark := concat('" NOTE "', remark);\n"
                  "    END IF;\n",
        h->table, rb_plain(rb, h->from),
        rb_literal(rb,
                   rb_format(rb, "ALTER TABLE %s ALTER COLUMN %s ADD GENERATED %%s AS IDENTITY (SEQUENCE NAME %%s %%s)",
                             h->table, rb_plain(rb, h->to))));
}

/* A default, with the sequence that it takes its numbers from. */
static const char *move_default(const struct hand_over *h)
{
    struct rb *rb = h->rb;
    return rb_format(
        rb,
        "  IF value IS NOT NULL THEN -- a serial, or another default\n"
        "    EXECUTE %s || value;\n"
        "    ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT;\n"
        "  END IF;\n"
        "  IF kind = '' AND numbers IS NOT NULL THEN\n"
        "    EXECUTE format('ALTER SEQUENCE %%s OWNED BY %%s', numbers, %s);\n"
        "  END IF;\n",
        rb_literal(rb, rb_format(rb, "ALTER TABLE %s ALTER COLUMN %s SET DEFAULT ", h->table, rb_plain(rb, h->to))),
        h->table, rb_plain(rb, h->from), rb_literal(rb, rb_format(rb, "%s.%s", h->table, rb_plain(rb, h->to))));
}

static const char *move_numbers(const struct hand_over *h)
{
    struct rb *rb = h->rb;
    const char *table = rb_literal(rb, h->table), *from = rb_literal(rb, h->from);
    return rb_format(
        rb,
        "ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT; -- takes the lock\n"
        "DO $$\n"
        "DECLARE\n"
        "  t regclass := %s;\n"
        "  numbers regclass := pg_get_serial_sequence(%s, %s);\n"
        "  value text;\n"
        "  kind text;\n"
        "  name text;\n"
        "  options text;\n"
        "  remark text;\n"
        "  rights aclitem[];\n"
        "  last bigint;\n"
        "  called boolean;\n"
        "  r record;\n"
        "BEGIN\n"
        "  SELECT pg_get_expr(d.adbin, d.adrelid),\n"
        "      CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' ELSE '' END INTO value, kind\n"
        "    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum\n"
        "    WHERE a.attrelid = t AND a.attname = %s;\n"
        "%s%s%s"
        "END $$;",
        h->table, rb_plain(rb, h->to), table, table, from, from, retype_sequences(h), move_identity(h),
        move_default(h));
}

static const char *has_numbers(const struct hand_over *h)
{
    return rb_format(h->rb,
                     "SELECT 1 FROM pg_attribute\nWHERE attrelid = %s::regclass AND attname = %s\n"
                     "  AND (atthasdef OR attidentity <> '');",
                     rb_literal(h->rb, h->table), rb_literal(h->rb, h->from));
}

static struct hand_over hand_over(struct rb *rb, const struct rb_table *table, const char *from, const char *to)
{
    return (struct hand_over){.rb = rb,
                              .schema = table->schema,
                              .table = rb_format(rb, "%s.%s", rb_plain(rb, table->schema), rb_plain(rb, table->name)),
                              .from = from,
                              .to = to};
}

static const char *as_is(struct rb *rb, const char *lock, const char *sql, const char *check, const char *rollback)
{
    return rb_format(rb, "```sql {as-is lock=%s}\n%s\n```\n```sql {check}\n%s\n```\n```sql {rollback}\n%s\n```", lock,
                     sql, check, rollback);
}

const char *rb_recipe_numbers(struct rb *rb, const struct rb_table *table, const char *from, const char *to)
{
    struct hand_over there = hand_over(rb, table, from, to), back = hand_over(rb, table, to, from);
    back.back = true;
    return as_is(rb, "short", move_numbers(&there), has_numbers(&there), move_numbers(&back));
}

static const char *set_generated(const struct hand_over *h, const char *condition, const char *kind, const char *remark)
{
    struct rb *rb = h->rb;
    const char *column = rb_plain(rb, h->to);
    return rb_format(rb,
                     "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL; -- takes the lock; it is\n"
                     "DO $$\n"
                     "DECLARE\n"
                     "  numbers regclass := pg_get_serial_sequence(%s, %s);\n"
                     "  remark text := obj_description(numbers, 'pg_class');\n"
                     "BEGIN\n"
                     "  IF %s THEN\n"
                     "    ALTER TABLE %s ALTER COLUMN %s SET GENERATED %s;\n"
                     "    EXECUTE format('COMMENT ON SEQUENCE %%s IS %%L', numbers, %s);\n"
                     "  END IF;\n"
                     "END $$;",
                     h->table, column, rb_literal(rb, h->table), rb_literal(rb, h->to), condition, h->table, column,
                     kind, remark);
}

/* An identity that is ALWAYS again, when no trigger writes the column any more. */
const char *rb_recipe_always(struct rb *rb, const struct rb_table *table, const char *from, const char *to)
{
    struct hand_over h = hand_over(rb, table, from, to);
    const char *whole = rb_literal(rb, h.table), *column = rb_literal(rb, to);
    return as_is(
        rb, "short",
        set_generated(&h, "remark LIKE '" NOTE "%'", "ALWAYS", "nullif(substr(remark, " NOTE_LENGTH "), '')"),
        rb_format(rb,
                  "SELECT 1 WHERE obj_description(pg_get_serial_sequence(%s, %s)::regclass, 'pg_class') LIKE '" NOTE
                  "%%';",
                  whole, column),
        set_generated(&h,
                      rb_format(rb,
                                "EXISTS (SELECT FROM pg_attribute WHERE attrelid = %s::regclass\n"
                                "      AND attname = %s AND attidentity = 'a')",
                                whole, column),
                      "BY DEFAULT", "concat('" NOTE "', remark)"));
}

/* ---- the primary key ---- */

/* One statement drops the one and makes the other of an index that is there: no moment is without a primary key, of
 * which a publication's UPDATE and a GROUP BY live. What was said of it, and who is the replica's identity, stays. */
static const char *swap_keys(const struct hand_over *h, const char *old, const char *new, const char *index)
{
    struct rb *rb = h->rb;
    const char *table = rb_literal(rb, h->table);
    return rb_format(
        rb,
        "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL; -- takes the lock; it is\n"
        "DO $$\n"
        "DECLARE\n"
        "  remark text;\n"
        "  replicates boolean;\n"
        "BEGIN\n"
        "  SELECT obj_description(c.oid, 'pg_constraint'), i.indisreplident INTO STRICT remark, replicates\n"
        "    FROM pg_constraint c JOIN pg_index i ON i.indexrelid = c.conindid\n"
        "    WHERE c.conrelid = %s::regclass AND c.contype = 'p' AND c.conname = %s;\n"
        "  ALTER TABLE %s DROP CONSTRAINT %s,\n"
        "    ADD CONSTRAINT %s PRIMARY KEY USING INDEX %s;\n"
        "  EXECUTE format(%s, remark);\n"
        "  IF replicates THEN\n"
        "    ALTER TABLE %s REPLICA IDENTITY USING INDEX %s;\n"
        "  END IF;\n"
        "END $$;",
        h->table, rb_plain(rb, h->to), table, rb_literal(rb, old), h->table, rb_plain(rb, old), rb_plain(rb, new),
        rb_plain(rb, index),
        rb_literal(rb, rb_format(rb, "COMMENT ON CONSTRAINT %s ON %s IS %%L", rb_plain(rb, new), h->table)), h->table,
        rb_plain(rb, new));
}

/* Only the way back needs it; it goes with its column. The compiler takes no index of a column that is dropped. */
static const char *spare_index(const struct hand_over *h, const char *name)
{
    struct rb *rb = h->rb;
    const char *whole = rb_format(rb, "%s.%s", rb_plain(rb, h->schema), rb_plain(rb, name));
    return as_is(rb, "long",
                 rb_format(rb, "CREATE UNIQUE INDEX CONCURRENTLY %s ON %s (%s);", rb_plain(rb, name), h->table,
                           rb_plain(rb, h->from)),
                 rb_format(rb,
                           "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_index\n  WHERE indexrelid = to_regclass(%s) AND "
                           "indisvalid);",
                           rb_literal(rb, whole)),
                 rb_format(rb, "DROP INDEX IF EXISTS %s; -- as long as it is no key's", whole));
}

/* What the statements below rely on. */
static void check_key(struct rb_draft *d, const struct hand_over *h, const char *key)
{
    struct rb *rb = d->rb;
    const char *column = rb_plain(rb, h->from);
    rb_draft_say(
        d, RB_DRAFT_EXPAND,
        "The check names a primary key that is another one than `%s (%s)`. One of more columns is written into "
        "the check, and these columns into the three unique indexes below; another name into the exchange of "
        "keys, too. A partitioned table takes no key from an index that is there: its key cannot go over this "
        "way.",
        key, h->from);
    rb_draft_text(
        d, RB_DRAFT_EXPAND, RB_DRAFT_FRONT,
        rb_format(rb,
                  "```sql {check}\n"
                  "SELECT k.conname AS name, pg_get_constraintdef(k.oid) AS key, t.relkind = 'p' AS partitioned\n"
                  "FROM pg_class t LEFT JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'p'\n"
                  "WHERE t.oid = %s::regclass AND (t.relkind = 'p' OR k.conname IS DISTINCT FROM %s\n"
                  "  OR pg_get_constraintdef(k.oid) <> %s);\n```",
                  rb_literal(rb, h->table), rb_literal(rb, key),
                  rb_literal(rb, rb_format(rb, "PRIMARY KEY (%s)", column))));
}

void rb_recipe_key(struct rb_draft *d, const struct rb_table *table, const char *from, const char *to)
{
    struct rb *rb = d->rb;
    struct hand_over h = hand_over(rb, table, from, to);
    const char *name = rb_table_text(rb, table), *whole = rb_literal(rb, h.table);
    const char *old = rb_format(rb, "%s_pkey", table->name), *new = rb_format(rb, "%s_%s_pkey", table->name, to);
    const char *spare = rb_format(rb, "%s_%s_back", table->name, from);
    check_key(d, &h, old);
    rb_draft_say(
        d, RB_DRAFT_SWITCH,
        "`%s` becomes the primary key in the next phase: until then `GROUP BY %s` needs the other columns, too.", to,
        to);
    rb_draft_say(d, RB_DRAFT_CONTRACT,
                 "The primary key goes over in one statement, to an index that is there by then, and so it does on the "
                 "way back: that is what `%s` is for, which goes in the end. The check names foreign keys that still "
                 "refer to the old one.",
                 spare);
    rb_draft_text(d, RB_DRAFT_CONTRACT, RB_DRAFT_FIRST,
                  rb_format(rb,
                            "```sql {check}\nSELECT f.conrelid::regclass, f.conname FROM pg_constraint f\n"
                            "  JOIN pg_constraint k ON k.conindid = f.conindid AND k.conrelid = f.confrelid\n"
                            "WHERE f.contype = 'f' AND k.contype = 'p' AND k.conrelid = %s::regclass AND k.conname = "
                            "%s;\n```",
                            whole, rb_literal(rb, old)));
    rb_draft_sql(d, RB_DRAFT_CONTRACT, RB_DRAFT_FIRST, "CREATE UNIQUE INDEX %s ON %s (%s)", rb_plain(rb, new), name,
                 rb_plain(rb, to));
    rb_draft_text(d, RB_DRAFT_CONTRACT, RB_DRAFT_FIRST, spare_index(&h, spare));
    rb_draft_text(d, RB_DRAFT_CONTRACT, RB_DRAFT_FIRST,
                  as_is(rb, "short", swap_keys(&h, old, new, new),
                        rb_format(rb,
                                  "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_constraint\n"
                                  "  WHERE conrelid = %s::regclass AND contype = 'p' AND conname = %s);",
                                  whole, rb_literal(rb, new)),
                        swap_keys(&h, new, old, spare)));
}
