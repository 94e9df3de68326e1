/*
 * recipes.c - runbooks that say what somebody wanted to say, ready to save: the hints of refused statements.
 *
 * Names are written as in the refused statement; each recipe compiles as it stands (a test compiles them).
 */
#include "common/runbook/compile.h"

#include <string.h>

const char *rb_recipe_rename(struct rb *rb, const char *table, const char *from, const char *to, const char *type,
                             const char *expression)
{
    const char *old = rb_plain(rb, from), *new = rb_plain(rb, to);
    const char *declared = type != NULL ? type : "text";
    const char *remark = type != NULL ? "" : rb_format(rb, " -- write the type of %s here", from);
    return rb_format(rb,
                     "Save this as a runbook; both columns work until the last phase:\n"
                     "\n"
                     "## Phase 1: Expand\n"
                     "```sql\n"
                     "ALTER TABLE %s ADD COLUMN %s %s;%s\n"
                     "```\n"
                     "\n"
                     "## Phase 2: Migrate\n"
                     "```sql\n"
                     "UPDATE %s SET %s = %s WHERE %s IS NULL;\n"
                     "```\n"
                     "\n"
                     "## Phase 3: Switch\n"
                     "Deploy the application that reads and writes %s.\n"
                     "\n"
                     "## Phase 4: Contract\n"
                     "```sql\n"
                     "ALTER TABLE %s DROP COLUMN %s;\n"
                     "```",
                     table, new, declared, remark, table, new, expression != NULL ? expression : old, new, to, table,
                     old);
}

const char *rb_recipe_not_null(struct rb *rb, const char *table, const char *column, const char *type)
{
    const char *name = rb_plain(rb, column);
    return rb_format(rb,
                     "Give it a constant default (ADD COLUMN %s %s NOT NULL DEFAULT …), or fill it first:\n"
                     "\n"
                     "## Phase 1: Expand\n"
                     "```sql\n"
                     "ALTER TABLE %s ADD COLUMN %s %s;\n"
                     "```\n"
                     "\n"
                     "## Phase 2: Migrate\n"
                     "```sql\n"
                     "UPDATE %s SET %s = … WHERE %s IS NULL;\n"
                     "```\n"
                     "\n"
                     "## Phase 3: Contract\n"
                     "```sql\n"
                     "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL;\n"
                     "```",
                     name, type, table, name, type, table, name, name, table, name);
}

const char *rb_recipe_default(struct rb *rb, const char *table, const char *column, const char *type,
                              const char *expression)
{
    const char *name = rb_plain(rb, column);
    return rb_format(rb,
                     "Add the column without it, and fill it in the migrate phase (new rows are filled by a trigger):\n"
                     "\n"
                     "## Phase 1: Expand\n"
                     "```sql\n"
                     "ALTER TABLE %s ADD COLUMN %s %s;\n"
                     "```\n"
                     "\n"
                     "## Phase 2: Migrate\n"
                     "```sql\n"
                     "UPDATE %s SET %s = %s WHERE %s IS NULL;\n"
                     "```",
                     table, name, type, table, name, expression, name);
}
