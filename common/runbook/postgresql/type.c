/*
 * type.c - ALTER COLUMN … TYPE where PostgreSQL changes the catalogue alone, CREATE TYPE … AS ENUM, ALTER TYPE … ADD
 * VALUE.
 */
#include "common/runbook/postgresql/ddl.h"

#include <string.h>

/* ---- ALTER COLUMN … TYPE ---- */

/* Types that others become without a row being written; whether this one does, the server says on an empty clone. */
static bool is_wide(const PgQuery__TypeName *type)
{
    static const char *const names[] = {"text", "varchar", "numeric",  "varbit", "timestamp", "timestamptz",
                                        "time", "timetz",  "interval", "citext", "inet"};
    const char *name = type->n_names > 0 ? rb_string(type->names[type->n_names - 1]) : "";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (type->n_array_bounds == 0 && strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static void refuse_type(const struct rb_ddl *d, const PgQuery__ColumnDef *def, const char *type, struct rb_place at)
{
    struct rb *rb = d->s->rb;
    const char *column = d->cmd->name, *using = NULL;
    if (def->raw_default != NULL)
        using = rb_deparse_expr(rb, rb_node_copy(rb, def->raw_default));
    if (type == NULL)
        type = "text";
    const char *expression = using != NULL ? using : rb_format(rb, "%s::%s", rb_plain(rb, column), type);
    if (def->coll_clause != NULL)
        type = rb_format(rb, "%s%s", type, rb_collation_text(rb, def->coll_clause));
    rb_error(
        rb, "alter-type", at,
        rb_recipe_rename(rb, rb_table_text(rb, &d->table), column, rb_format(rb, "%s_new", column), type, expression),
        "changing the type of %s may rewrite the whole table, or its indexes, under its lock", column);
}

static bool is_of_this_runbook(const struct rb_ddl *d, const struct rb_column *column, struct rb_place at)
{
    if (!column->added && !column->created)
        return false;
    rb_error(d->s->rb, "type-of-added", at, "Write the wanted type where the column is added.",
             "column %s is added by this very runbook", column->name);
    return true;
}

/* Between timestamp and timestamptz the server changes the catalogue alone, as the agent's TimeZone is UTC: that reads
 * the values as UTC, which is another moment where the application wrote local times. */
static void warn_of_zone(const struct rb_ddl *d, const PgQuery__TypeName *type, struct rb_place at)
{
    const char *name = type->n_names > 0 ? rb_string(type->names[type->n_names - 1]) : "";
    bool zoned = strcmp(name, "timestamptz") == 0;
    if (zoned || strcmp(name, "timestamp") == 0)
        rb_warning(
            d->s->rb, "widen-zone", at,
            "Where only the precision grows, nothing changes. Else write a new column, filled with AT TIME ZONE "
            "and the zone that the application writes (zdmctl new --from 'ALTER TABLE …').",
            "where %s is a %s now, its values are taken for UTC, and code that runs reads and writes other times",
            d->cmd->name, zoned ? "timestamp without time zone" : "timestamp with time zone");
}

static bool is_checked(const struct rb_ddl *d, const char *column, struct rb_place at)
{
    for (const struct rb_object *o = d->s->rb->objects; o != NULL; o = o->next) {
        if (o->kind == RB_OBJECT_CONSTRAINT && o->is_check && o->created && o->dropped == NULL &&
            rb_same_table(&o->table, &d->table) && rb_object_names(o, column)) {
            rb_error(d->s->rb, "type-check", at, "Change the type first, in an earlier phase or statement.",
                     "the CHECK %s would be proven anew for every row, under the table's lock", o->name);
            return true;
        }
    }
    return false;
}

static bool may_widen(const struct rb_ddl *d, const struct rb_column *column, struct rb_place at)
{
    struct rb *rb = d->s->rb;
    const char *name = column->name;
    if (rb_live_sync(d, name, true) != NULL || rb_live_sync(d, name, false) != NULL) {
        rb_error(rb, "type-synced", at, "Change the type before the UPDATE, or in a migration of its own.",
                 "triggers of this runbook read or fill %s, and were made for its type as it is", name);
        return false;
    }
    return !is_checked(d, name, at);
}

void rb_ddl_type(const struct rb_ddl *d)
{
    struct rb *rb = d->s->rb;
    const PgQuery__ColumnDef *def = d->cmd->def->column_def;
    const char *name = d->cmd->name, *type = rb_deparse_type(rb, def->type_name);
    struct rb_place at = rb_ddl_at_word(d, name);
    const struct rb_column *column = rb_ddl_column(d, name, at);
    if (column == NULL || is_of_this_runbook(d, column, at))
        return;
    if (type == NULL || def->raw_default != NULL || def->coll_clause != NULL || !is_wide(def->type_name)) {
        refuse_type(d, def, type, at);
        return;
    }
    if (!rb_ddl_phase(d, RB_DDL_TYPE, at) || !may_widen(d, column, at))
        return;
    struct rb_step *step = rb_ddl_step(d, ZDM_STEP_DDL, ZDM_ACTION_WIDEN_TYPE, ZDM_LOCK_SHORT, name);
    rb_step_sql(step, rb_format(rb, "ALTER TABLE %s ALTER COLUMN %s TYPE %s", rb_table_sql(rb, &d->table),
                                rb_quote(rb, name), type));
    rb_step_inverse(step, ZDM_INVERSE_NONE, NULL);
    rb_step_does(step, "make %s wider; only the catalogue changes, or the step is refused", rb_plain(rb, name));
    rb_note(rb, "widen-judged", at,
            "Where it would, the step stops before the table is touched, and zdmctl check says so before: write a new "
            "column then (zdmctl new --from 'ALTER TABLE …').",
            "the server decides on an empty copy of the table whether %s as %s writes rows or indexes anew; a rollback "
            "leaves the wider type",
            name, type);
    warn_of_zone(d, def->type_name, at);
}

/* ---- types of one's own ---- */

static bool read_name(struct rb_statement *s, PgQuery__Node *const *names, size_t n, struct rb_table *out)
{
    struct rb_place at = n > 0 ? rb_at_word(s, 0, rb_string(names[n - 1])) : rb_at_start(s);
    if (n > 2) {
        rb_error(s->rb, "other-database", at, "Leave the database's name out: an agent works in its own database.",
                 "type %s names a database", rb_string(names[n - 1]));
        return false;
    }
    out->schema = n == 2 ? rb_string(names[0]) : s->rb->front.schema;
    out->name = n > 0 ? rb_string(names[n - 1]) : "";
    return rb_may_change(s, out, at);
}

const char *rb_literal(struct rb *rb, const char *text)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&b, "'");
    for (const char *c = text; *c != '\0'; c++)
        zdm_buffer_append(&b, *c == '\'' ? "''" : c, *c == '\'' ? 2 : 1);
    zdm_buffer_puts(&b, "'");
    return rb_take(rb, &b);
}

void rb_compile_create_enum(struct rb_statement *s, PgQuery__CreateEnumStmt *create)
{
    struct rb *rb = s->rb;
    struct rb_table name;
    const char *labels = "";
    if (!read_name(s, create->type_name, create->n_type_name, &name))
        return;
    struct rb_table schema = {name.schema, NULL};
    struct rb_ddl d = rb_ddl_whole(s, &schema);
    struct rb_object *object = rb_object_of(rb, RB_OBJECT_TYPE, &name, NULL);
    if (!rb_ddl_phase(&d, RB_DDL_CREATE_TYPE, rb_at_start(s)))
        return;
    if (object->created || create->n_vals == 0) {
        rb_error(rb, object->created ? "created-twice" : "enum-empty", rb_at_word(s, 0, name.name),
                 object->created ? "Remove one of them." : "Write at least one label: AS ENUM ('new').",
                 object->created ? "type %s is created twice" : "type %s has no label", name.name);
        return;
    }
    object->created = true;
    for (size_t i = 0; i < create->n_vals; i++)
        labels = rb_format(rb, "%s%s%s", labels, i == 0 ? "" : ", ", rb_literal(rb, rb_string(create->vals[i])));
    struct rb_step *step = rb_ddl_step(&d, ZDM_STEP_DDL, ZDM_ACTION_CREATE_TYPE, ZDM_LOCK_SHORT, NULL);
    rb_step_object(step, name.name);
    rb_step_sql(step, rb_format(rb, "CREATE TYPE %s AS ENUM (%s)", rb_table_sql(rb, &name), labels));
    rb_step_inverse(step, ZDM_INVERSE_HIDE, NULL);
    rb_step_does(step, "create the type %s", rb_table_text(rb, &name));
}

static void add_value(struct rb_statement *s, const PgQuery__AlterEnumStmt *alter, const struct rb_table *name)
{
    struct rb *rb = s->rb;
    struct rb_table schema = {name->schema, NULL};
    struct rb_ddl d = rb_ddl_whole(s, &schema);
    const char *place = alter->new_val_neighbor[0] == '\0'
                            ? ""
                            : rb_format(rb, " %s %s", alter->new_val_is_after ? "AFTER" : "BEFORE",
                                        rb_literal(rb, alter->new_val_neighbor));
    if (!rb_ddl_phase(&d, RB_DDL_ADD_VALUE, rb_at_start(s)))
        return;
    if (alter->new_val[0] == '\0' || strlen(alter->new_val) > ZDM_IDENTIFIER_MAX) {
        rb_error(rb, "enum-label", rb_at_word(s, 0, "value"), "Write a label of 1 to 63 bytes.",
                 alter->new_val[0] == '\0' ? "the label is empty" : "the label is too long");
        return;
    }
    struct rb_step *step = rb_ddl_step(&d, ZDM_STEP_DDL, ZDM_ACTION_ADD_VALUE, ZDM_LOCK_SHORT, alter->new_val);
    rb_step_object(step, name->name);
    rb_step_sql(step, rb_format(rb, "ALTER TYPE %s ADD VALUE IF NOT EXISTS %s%s", rb_table_sql(rb, name),
                                rb_literal(rb, alter->new_val), place));
    rb_step_inverse(step, ZDM_INVERSE_NONE, NULL);
    step->note.rewritten = !alter->skip_if_new_val_exists;
    rb_step_does(step, "add the label; PostgreSQL knows no way back, it stays after a rollback and does no harm");
}

void rb_compile_alter_enum(struct rb_statement *s, PgQuery__AlterEnumStmt *alter)
{
    struct rb_table name;
    if (!read_name(s, alter->type_name, alter->n_type_name, &name))
        return;
    if (alter->old_val[0] != '\0')
        rb_error(s->rb, "rename-value", rb_at_word(s, 0, "rename"),
                 "Add the new label (ADD VALUE), let the application write it, UPDATE the rows that hold the old one; "
                 "the old label stays, and nobody uses it.",
                 "code that runs while '%s' becomes '%s' would fail: it knows one of the labels only", alter->old_val,
                 alter->new_val);
    else
        add_value(s, alter, &name);
}
