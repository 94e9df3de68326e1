/*
 * partition.c - ATTACH PARTITION without reading the partition under a lock, DETACH PARTITION.
 *
 * PostgreSQL looks at every row of what is attached, unless a valid constraint proves that all belong there. The agent
 * asks the server for that constraint; it is added and proven like any CHECK, and dropped when it has done its work.
 */
#include "common/runbook/postgresql/ddl.h"

#include <string.h>

/* Does a bound hold what is another value another time? The server is asked for it more than once. */
static void find_call(const ProtobufCMessage *m, void *ctx)
{
    bool *found = ctx;
    *found = *found || m->descriptor == &pg_query__func_call__descriptor ||
             m->descriptor == &pg_query__sqlvalue_function__descriptor;
    rb_children(m, find_call, ctx);
}

static bool is_constant(const PgQuery__PartitionBoundSpec *bound)
{
    bool found = false;
    rb_children(&bound->base, find_call, &found);
    return !found;
}

/* The bound as it is written again, "FOR VALUES …" or "DEFAULT": what follows the partition's name. */
static const char *bound_text(const struct rb_ddl *d)
{
    static const char head[] = "ATTACH PARTITION zdm0schema.zdm0part ";
    struct rb *rb = d->s->rb;
    PgQuery__Node *copy = rb_node_copy(rb, d->s->node);
    PgQuery__RangeVar *child = copy->alter_table_stmt->cmds[0]->alter_table_cmd->def->partition_cmd->name;
    rb_set_string(&child->schemaname, "zdm0schema");
    rb_set_string(&child->relname, "zdm0part");
    const char *sql = rb_deparse(rb, copy), *at = sql == NULL ? NULL : strstr(sql, head);
    return at == NULL ? NULL : at + sizeof head - 1;
}

static void add_check(const struct rb_ddl *child, const struct rb_ddl *parent, const char *constraint,
                      const char *bound)
{
    struct rb *rb = parent->s->rb;
    struct rb_step *step = rb_ddl_step(child, ZDM_STEP_DDL, ZDM_ACTION_ADD_PARTITION_CHECK, ZDM_LOCK_SHORT, NULL);
    rb_step_other(step, &parent->table);
    rb_step_object(step, constraint);
    rb_step_sql(step, bound);
    rb_step_inverse(step, ZDM_INVERSE_SQL,
                    rb_format(rb, "ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", rb_table_sql(rb, &child->table),
                              rb_quote(rb, constraint)));
    rb_step_does(step, "a CHECK that says what the partition may hold; old rows are not read yet");
    rb_ddl_add_validate(child, constraint, "prove it for the rows that exist, while reads and writes go on");
}

static void add_attach(const struct rb_ddl *d, const struct rb_table *child, const char *bound)
{
    struct rb *rb = d->s->rb;
    const char *parent = rb_table_sql(rb, &d->table), *part = rb_table_sql(rb, child);
    struct rb_step *step = rb_ddl_step(d, ZDM_STEP_DDL, ZDM_ACTION_ATTACH_PARTITION, ZDM_LOCK_SHORT, NULL);
    rb_step_other(step, child);
    rb_step_sql(step, rb_format(rb, "ALTER TABLE %s ATTACH PARTITION %s %s", parent, part, bound));
    rb_step_inverse(step, ZDM_INVERSE_SQL, rb_format(rb, "ALTER TABLE %s DETACH PARTITION %s", parent, part));
    rb_step_does(step, "attach %s at once: the valid CHECK proves its rows", rb_table_text(rb, child));
}

static void add_drop(const struct rb_ddl *child, const char *constraint)
{
    struct rb *rb = child->s->rb;
    struct rb_step *step = rb_ddl_step(child, ZDM_STEP_DDL, ZDM_ACTION_DROP_CONSTRAINT, ZDM_LOCK_SHORT, NULL);
    rb_step_object(step, constraint);
    rb_step_sql(step, rb_format(rb, "ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", rb_table_sql(rb, &child->table),
                                rb_quote(rb, constraint)));
    rb_step_does(step, "drop the CHECK, which has done its work");
}

/* The partition of this command; false with a finding. */
static bool read_child(const struct rb_ddl *d, struct rb_ddl *out)
{
    *out = *d;
    return rb_relation(d->s, d->cmd->def->partition_cmd->name, &out->table);
}

void rb_ddl_attach(const struct rb_ddl *d)
{
    struct rb *rb = d->s->rb;
    struct rb_ddl child;
    struct rb_place at = rb_at(d->s, (int)d->body);
    const struct rb_step *before = d->s->phase->last;
    if (!rb_ddl_phase(d, RB_DDL_ATTACH, at) || !read_child(d, &child))
        return;
    if (rb_same_table(&child.table, &d->table)) {
        rb_error(rb, "partition-self", at, "Write the name of the partition.", "%s cannot be a partition of itself",
                 rb_table_text(rb, &d->table));
        return;
    }
    const char *bound = is_constant(d->cmd->def->partition_cmd->bound) ? bound_text(d) : NULL;
    const char *constraint = rb_derived_name(rb, &child.table, "", "_p");
    if (bound == NULL) {
        rb_error(rb, "partition-bound", at, "Write constants: FOR VALUES FROM ('2026-01-01') TO ('2026-02-01').",
                 "this bound cannot be written in a plan");
        return;
    }
    add_check(&child, d, constraint, bound);
    add_attach(d, &child.table, bound);
    add_drop(&child, constraint);
    rb_ddl_rewritten(d, before);
}

void rb_ddl_detach(const struct rb_ddl *d)
{
    struct rb *rb = d->s->rb;
    struct rb_ddl child;
    if (!rb_ddl_phase(d, RB_DDL_DETACH, rb_at(d->s, (int)d->body)) || !read_child(d, &child))
        return;
    struct rb_step *step = rb_ddl_step(d, ZDM_STEP_DDL, ZDM_ACTION_DETACH_PARTITION, ZDM_LOCK_SHORT, NULL);
    rb_step_other(step, &child.table);
    rb_step_sql(step, rb_format(rb, "ALTER TABLE %s DETACH PARTITION %s", rb_table_sql(rb, &d->table),
                                rb_table_sql(rb, &child.table)));
    rb_step_inverse(step, ZDM_INVERSE_FORMER, NULL);
    step->note.rewritten = d->cmd->def->partition_cmd->concurrent;
    rb_step_does(step, "detach %s, which stays as a table of its own; only the catalogue changes",
                 rb_table_text(rb, &child.table));
}
