/*
 * comment.c - COMMENT ON TABLE, COLUMN, CONSTRAINT, INDEX. The agent keeps the former one for the way back.
 */
#include "common/runbook/postgresql/ddl.h"

#include <string.h>

/* What the comment is on: of a column or a constraint the last name is its own, the others are its table's. */
struct target {
    struct rb_table table;
    const char *part; /* column, constraint or index; NULL */
    const char *sql;  /* as it stands behind COMMENT ON */
};

static bool read_table(struct rb_statement *s, PgQuery__Node *const *names, size_t n, struct rb_place at,
                       struct rb_table *out)
{
    if (n > 2) {
        rb_error(s->rb, "other-database", at, "Leave the database's name out: an agent works in its own database.",
                 "%s names a database", rb_string(names[n - 1]));
        return false;
    }
    out->schema = n == 2 ? rb_string(names[0]) : s->rb->front.schema;
    out->name = n > 0 ? rb_string(names[n - 1]) : "";
    return rb_may_change(s, out, at);
}

static bool know(struct rb_statement *s, const struct rb_ddl *d, PgQuery__ObjectType kind, struct target *t,
                 struct rb_place at)
{
    struct rb *rb = s->rb;
    if (kind == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN)
        return rb_ddl_column(d, t->part, at) != NULL;
    const struct rb_object *object = kind == PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT
                                         ? rb_object_find(rb, RB_OBJECT_CONSTRAINT, &t->table, t->part)
                                     : kind == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX
                                         ? rb_object_find(rb, RB_OBJECT_INDEX, &t->table, t->part)
                                         : NULL;
    if (object == NULL || object->dropped == NULL)
        return true;
    rb_error(rb, object->kind == RB_OBJECT_INDEX ? "index-dropped" : "constraint-dropped", at, "Remove it.",
             "%s is dropped before this", rb_plain(rb, t->part));
    return false;
}

static bool read_target(struct rb_statement *s, const PgQuery__CommentStmt *comment, struct target *t)
{
    struct rb *rb = s->rb;
    const PgQuery__List *list = comment->object->list;
    PgQuery__Node *const *names = list->items;
    size_t n = list->n_items;
    bool index = comment->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX;
    bool own = index || comment->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE;
    struct rb_place at = rb_at_word(s, 0, rb_string(names[n - 1]));
    if (!own && n < 2) {
        rb_error(rb, "comment-column", at, "Write the table in front: COMMENT ON COLUMN table.column IS ….",
                 "column %s has no table in front", rb_string(names[n - 1]));
        return false;
    }
    if (!read_table(s, names, own ? n : n - 1, at, &t->table))
        return false;
    t->part = own ? NULL : rb_string(names[n - 1]);
    const char *table = rb_table_sql(rb, &t->table);
    if (comment->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN)
        t->sql = rb_format(rb, "COLUMN %s.%s", table, rb_quote(rb, t->part));
    else if (comment->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT)
        t->sql = rb_format(rb, "CONSTRAINT %s ON %s", rb_quote(rb, t->part), table);
    else
        t->sql = rb_format(rb, "%s %s", index ? "INDEX" : "TABLE", table);
    if (index) {
        t->part = t->table.name;
        t->table.name = NULL;
    }
    struct rb_ddl d = rb_ddl_whole(s, &t->table);
    return know(s, &d, comment->objtype, t, at);
}

void rb_compile_comment(struct rb_statement *s, PgQuery__CommentStmt *comment)
{
    struct rb *rb = s->rb;
    struct target t = {.part = NULL};
    bool column = comment->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN;
    if (!column && comment->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE &&
        comment->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT &&
        comment->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_INDEX) {
        rb_refuse(s);
        return;
    }
    if (!read_target(s, comment, &t))
        return;
    struct rb_ddl d = rb_ddl_whole(s, &t.table);
    if (!rb_ddl_phase(&d, RB_DDL_COMMENT, rb_at_start(s)))
        return;
    struct rb_step *step = rb_ddl_step(&d, ZDM_STEP_DDL, ZDM_ACTION_COMMENT, ZDM_LOCK_SHORT, column ? t.part : NULL);
    if (!column && t.part != NULL)
        rb_step_object(step, t.part);
    rb_step_sql(step, rb_format(rb, "COMMENT ON %s IS %s", t.sql,
                                comment->comment[0] == '\0' ? "NULL" : rb_literal(rb, comment->comment)));
    rb_step_inverse(step, ZDM_INVERSE_FORMER, NULL);
    rb_step_does(step, "write the comment; the agent's own mark stays on its last line where there is one");
}
