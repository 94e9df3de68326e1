/*
 * unique.c - ADD CONSTRAINT (UNIQUE, PRIMARY KEY): the index is built concurrently, and the constraint takes it over.
 */
#include "common/runbook/postgresql/ddl.h"

#include <string.h>

static struct rb_place place_of(const struct rb_ddl *d, const PgQuery__Constraint *constraint)
{
    return rb_at(d->s, constraint->location > 0 ? constraint->location : (int)d->from);
}

static bool is_writable(const struct rb_ddl *d, const PgQuery__Constraint *constraint)
{
    if (constraint->n_options == 0 && constraint->indexspace[0] == '\0')
        return true;
    rb_error(d->s->rb, "constraint-options", place_of(d, constraint),
             "Write CREATE UNIQUE INDEX name ON … WITH (…), and behind it ADD CONSTRAINT name UNIQUE USING INDEX name.",
             "options of the index cannot stand in the constraint");
    return false;
}

static bool is_one_table(const struct rb_ddl *d, const PgQuery__Constraint *constraint)
{
    struct rb *rb = d->s->rb;
    const struct rb_object *table = rb_object_find(rb, RB_OBJECT_TABLE, &d->table, NULL);
    if (table == NULL || !table->partitioned)
        return true;
    rb_error(rb, "unique-partitioned", place_of(d, constraint),
             "Write the constraint into the CREATE TABLE, or CREATE UNIQUE INDEX: it is built partition by partition.",
             "PostgreSQL makes no index of a partitioned table a constraint");
    return false;
}

/* The statement that the constraint's index is built by. */
static const char *index_sql(const struct rb_ddl *d, const PgQuery__Constraint *constraint, const char *name,
                             const char *const *columns, size_t n)
{
    struct rb *rb = d->s->rb;
    const char **more = rb_ddl_names(rb, constraint->including, constraint->n_including);
    const char *message,
        *sql = rb_format(rb, "CREATE UNIQUE INDEX i ON %s (%s)%s%s%s%s", rb_table_sql(rb, &d->table),
                         rb_ddl_quoted_list(rb, columns, n), constraint->n_including == 0 ? "" : " INCLUDE (",
                         constraint->n_including == 0 ? "" : rb_ddl_quoted_list(rb, more, constraint->n_including),
                         constraint->n_including == 0 ? "" : ")",
                         constraint->nulls_not_distinct ? " NULLS NOT DISTINCT" : "");
    size_t offset;
    PgQuery__ParseResult *parsed = rb_parse(rb, sql, &message, &offset);
    return parsed == NULL || parsed->n_stmts != 1 ? NULL
                                                  : rb_ddl_index_sql(rb, parsed->stmts[0]->stmt, &d->table, name);
}

static bool judge_columns(const struct rb_ddl *d, const char *const *columns, size_t n, bool primary)
{
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        struct rb_place at = rb_ddl_at_word(d, columns[i]);
        struct rb_column *column = rb_ddl_column(d, columns[i], at);
        ok = column != NULL && rb_ddl_judge_unique(d, column, at) && ok;
        if (primary && column != NULL && column->check == NULL && !column->not_null)
            ok = rb_ddl_may_be_not_null(d, column, at) && ok;
    }
    return ok;
}

static void add_not_null(const struct rb_ddl *d, const char *const *columns, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct rb_column *column = rb_column_of(d->s->rb, &d->table, columns[i]);
        if (column->check == NULL && !column->not_null)
            rb_ddl_not_null_steps(d, column);
    }
}

static void add_constraint(const struct rb_ddl *d, const PgQuery__Constraint *constraint, const char *name,
                           const char *const *columns, size_t n)
{
    struct rb *rb = d->s->rb;
    bool primary = constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
    struct rb_step *step = rb_ddl_step(d, ZDM_STEP_DDL, primary ? ZDM_ACTION_ADD_PRIMARY_KEY : ZDM_ACTION_ADD_UNIQUE,
                                       ZDM_LOCK_SHORT, NULL);
    const char *table = rb_table_sql(rb, &d->table), *quoted = rb_quote(rb, name);
    rb_step_object(step, name);
    rb_step_sql(step, rb_format(rb, "ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s%s%s", table, quoted,
                                primary ? "PRIMARY KEY" : "UNIQUE", quoted, constraint->deferrable ? " DEFERRABLE" : "",
                                constraint->initdeferred ? " INITIALLY DEFERRED" : ""));
    rb_step_inverse(step, ZDM_INVERSE_SQL, rb_format(rb, "ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", table, quoted));
    rb_step_does(step, "make the index %s the constraint; only the catalogue changes", rb_plain(rb, name));
    struct rb_object *object = rb_object_of(rb, RB_OBJECT_CONSTRAINT, &d->table, name);
    object->created = object->validated = true;
    object->dropped = NULL;
    object->columns = columns;
    object->n_columns = n;
    object->at = place_of(d, constraint);
}

/* Why the constraint cannot take that index over; NULL when it can. A rollback of the constraint drops the index with
 * it, so that going forward again must build both: they stand in one phase. */
static const char *refused_index(const struct rb_ddl *d, const PgQuery__Constraint *constraint,
                                 const struct rb_index *index)
{
    struct rb *rb = d->s->rb;
    const char *name = rb_plain(rb, constraint->indexname);
    if (constraint->conname[0] != '\0' && strcmp(constraint->conname, constraint->indexname) != 0)
        return rb_format(rb, "the constraint would rename the index %s", name);
    if (index == NULL || !index->unique)
        return rb_format(rb, "the index %s is no unique index of this runbook: a rollback would drop it for good",
                         name);
    if (index->unfit != NULL)
        return rb_format(rb, "the index %s %s: PostgreSQL makes no constraint of it", name, index->unfit);
    if (index->phase != d->s->phase)
        return rb_format(rb,
                         "the index %s is built in another phase: a rollback of this one would drop it, and nothing "
                         "would build it again",
                         name);
    return NULL;
}

static const char *plain_list(struct rb *rb, const char *const *names, size_t n)
{
    const char *text = "";
    for (size_t i = 0; i < n; i++)
        text = rb_format(rb, "%s%s%s", text, i == 0 ? "" : ", ", rb_plain(rb, names[i]));
    return text;
}

static const char *index_hint(const struct rb_ddl *d, const PgQuery__Constraint *constraint,
                              const struct rb_index *index)
{
    struct rb *rb = d->s->rb;
    const char *name = rb_plain(rb, constraint->conname[0] != '\0' ? constraint->conname : constraint->indexname);
    const char *kind = constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY ? "PRIMARY KEY" : "UNIQUE";
    if (index != NULL && index->unique && index->unfit != NULL)
        return "A unique index alone does what the constraint would, for writes and ON CONFLICT: leave the constraint "
               "out. Foreign keys need plain columns.";
    return rb_format(rb, "Write ADD CONSTRAINT %s %s (%s): the plan builds the index itself.", name, kind,
                     index == NULL ? "columns" : plain_list(rb, index->columns, index->n_keys));
}

/* ADD CONSTRAINT name UNIQUE USING INDEX name, of an index that this runbook builds. */
static void use_index(const struct rb_ddl *d, const PgQuery__Constraint *constraint)
{
    struct rb *rb = d->s->rb;
    const char *name = constraint->indexname;
    const struct rb_index *index = rb->indexes;
    while (index != NULL && (strcmp(index->name, name) != 0 || !rb_same_table(&index->table, &d->table)))
        index = index->next;
    const char *refused = refused_index(d, constraint, index);
    if (refused != NULL) {
        rb_error(rb, "using-index", rb_ddl_at_word(d, name), index_hint(d, constraint, index), "%s", refused);
        return;
    }
    bool primary = constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
    if (primary && !judge_columns(d, index->columns, index->n_keys, true))
        return;
    if (rb_object_find(rb, RB_OBJECT_CONSTRAINT, &d->table, name) != NULL) {
        rb_error(rb, "constraint-twice", place_of(d, constraint), "Remove one of them.",
                 "two constraints of %s would have the name %s", rb_table_text(rb, &d->table), name);
        return;
    }
    if (primary)
        add_not_null(d, index->columns, index->n_keys);
    add_constraint(d, constraint, name, index->columns, index->n_columns);
}

void rb_ddl_unique(const struct rb_ddl *d, const PgQuery__Constraint *constraint, const char *column)
{
    struct rb *rb = d->s->rb;
    bool primary = constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
    size_t n = column != NULL ? 1 : constraint->n_keys;
    const char **columns = rb_ddl_names(rb, constraint->keys, constraint->n_keys);
    if (!is_one_table(d, constraint))
        return;
    if (constraint->indexname[0] != '\0') {
        use_index(d, constraint);
        return;
    }
    if (column != NULL)
        columns[0] = column;
    if (!is_writable(d, constraint) || !judge_columns(d, columns, n, primary))
        return;
    const char *name =
        rb_ddl_constraint_name(d, constraint, primary ? "" : rb_join_names(rb, columns, n), primary ? "pkey" : "key");
    const char *sql = name == NULL ? NULL : index_sql(d, constraint, name, columns, n);
    if (name != NULL && sql == NULL)
        rb_error(rb, "index", place_of(d, constraint),
                 "Write CREATE UNIQUE INDEX name ON …, and behind it ADD CONSTRAINT name UNIQUE USING INDEX name.",
                 "the index of the constraint %s cannot be written in a plan", name);
    if (sql == NULL || !rb_index_remember(d, name, columns, n, true))
        return;
    if (primary)
        add_not_null(d, columns, n);
    rb_ddl_index_step(d, name, sql);
    add_constraint(d, constraint, name, columns, n);
}
