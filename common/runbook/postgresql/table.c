/*
 * table.c - CREATE TABLE: nothing uses it yet, so that all may be written at once.
 */
#include "common/runbook/postgresql/ddl.h"

#include <string.h>

enum { NAMES_MAX = 256 };

static const char stand_in[] = "zdm0name";

struct creation {
    struct rb_statement *s;
    struct rb_table table;
    const char *names[NAMES_MAX]; /* of constraints: libpg_query writes them without quotes */
    size_t n_names;
    struct rb_table parents[NAMES_MAX];
    size_t n_parents;
    bool has_key;
};

/* ---- what cannot stand there ---- */

static bool is_plain(struct rb_statement *s, const PgQuery__CreateStmt *create)
{
    const struct {
        bool is;
        const char *hint, *message;
    } rows[] = {
        {create->relation->relpersistence[0] == 't', "Leave TEMPORARY out.",
         "a temporary table goes with the agent's session"},
        {create->relation->relpersistence[0] == 'u',
         "Leave UNLOGGED out: such a table is empty after a crash and on every standby.",
         "an unlogged table is none that a migration can prove"},
        {create->partbound != NULL,
         "Write CREATE TABLE with the same columns, then ALTER TABLE … ATTACH PARTITION …: attaching needs no lock "
         "against readers or writers of the parent.",
         "CREATE TABLE … PARTITION OF locks the parent against everybody"},
        {create->n_inh_relations > 0 && create->partbound == NULL,
         "Use partitions (PARTITION BY), or a table of its own.", "tables that inherit are not supported"},
        {create->of_typename != NULL, "Write the columns.",
         "a table of a composite type follows every change of that type"},
        {create->n_table_elts == 0, "Write its columns.", "the table has no column"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].is) {
            rb_error(s->rb, "create-table", rb_at_start(s), rows[i].hint, "%s", rows[i].message);
            return false;
        }
    }
    return true;
}

/* ---- what is in it ---- */

static void read_parent(struct creation *c, PgQuery__Constraint *constraint)
{
    struct rb_table parent;
    if (!rb_relation(c->s, constraint->pktable, &parent))
        return;
    parent.schema = rb_copy(c->s->rb, parent.schema, strlen(parent.schema));
    rb_set_string(&constraint->pktable->schemaname, parent.schema);
    for (size_t i = 0; i < c->n_parents; i++) {
        if (rb_same_table(&c->parents[i], &parent))
            return;
    }
    if (!rb_same_table(&parent, &c->table) && c->n_parents < NAMES_MAX)
        c->parents[c->n_parents++] = parent;
}

static void read_expression(struct creation *c, const PgQuery__Constraint *constraint)
{
    struct rb_expr expr = {.n_columns = 0};
    const char *what = constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT ? "the default"
                       : constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_CHECK ? "the CHECK"
                                                                                    : "the generated column";
    if (constraint->raw_expr != NULL)
        (void)rb_ddl_expr(c->s, constraint->raw_expr, what, &expr);
}

static void read_constraint(struct creation *c, PgQuery__Constraint *constraint)
{
    struct rb *rb = c->s->rb;
    c->has_key = c->has_key || constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
    read_expression(c, constraint);
    if (constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN)
        read_parent(c, constraint);
    bool index = constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE ||
                 constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
    if (index && (constraint->nulls_not_distinct || constraint->n_options > 0))
        rb_error(rb, "constraint-options", rb_at(c->s, constraint->location),
                 "Write CREATE UNIQUE INDEX name ON … NULLS NOT DISTINCT or WITH (…) behind the CREATE TABLE.",
                 "options of the index cannot stand in the constraint");
    if (constraint->conname[0] == '\0' || c->n_names == NAMES_MAX)
        return;
    c->names[c->n_names] = rb_copy(rb, constraint->conname, strlen(constraint->conname));
    rb_set_string(&constraint->conname, rb_format(rb, "%s%zu", stand_in, c->n_names));
    c->n_names++;
}

static void read_column(struct creation *c, const PgQuery__ColumnDef *def)
{
    struct rb *rb = c->s->rb;
    const char *name = rb_copy(rb, def->colname, strlen(def->colname));
    struct rb_column *column = rb_column_of(rb, &c->table, name);
    if (column->created)
        rb_error(rb, "column-twice", rb_at(c->s, def->location), "Remove one of them.", "column %s is there twice",
                 name);
    column->created = true;
    column->type = def->type_name == NULL ? NULL : rb_type_known(def->type_name);
    column->at = rb_at(c->s, def->location);
    (void)rb_ddl_column_clauses(c->s, def);
    for (size_t i = 0; i < def->n_constraints; i++)
        read_constraint(c, def->constraints[i]->constraint);
}

static void read_element(struct creation *c, const PgQuery__Node *element)
{
    if (element->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF)
        read_column(c, element->column_def);
    else if (element->node_case == PG_QUERY__NODE__NODE_CONSTRAINT)
        read_constraint(c, element->constraint);
    else
        rb_error(c->s->rb, "create-table-like", rb_at_word(c->s, 0, "like"), "Write the columns.",
                 "what LIKE copies is another thing on another shard");
}

/* ---- writing ---- */

/* Each stand-in by the name that it stands for, in quotes. */
static const char *put_names(const struct creation *c, const char *text)
{
    struct rb *rb = c->s->rb;
    struct rb_token *tokens;
    size_t n, offset, done = 0, m = sizeof stand_in - 1;
    const char *message;
    if (!rb_scan(rb, text, &tokens, &n, &message, &offset))
        return NULL;
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    for (size_t i = 0; i < n; i++) {
        size_t length = tokens[i].end - tokens[i].start;
        uint32_t k;
        if (tokens[i].token != PG_QUERY__TOKEN__IDENT || length <= m ||
            strncmp(text + tokens[i].start, stand_in, m) != 0 ||
            !rb_number(rb_copy(rb, text + tokens[i].start + m, length - m), NAMES_MAX, &k) || k >= c->n_names)
            continue;
        zdm_buffer_append(&b, text + done, tokens[i].start - done);
        zdm_buffer_puts(&b, rb_quote(rb, c->names[k]));
        done = tokens[i].end;
    }
    zdm_buffer_puts(&b, text + done);
    return rb_take(rb, &b);
}

/* What stands behind the table's name. */
static const char *write_body(const struct creation *c, const PgQuery__Node *create)
{
    static const char head[] = "CREATE TABLE zdm0schema.zdm0table ";
    struct rb *rb = c->s->rb;
    PgQuery__Node *copy = rb_node_copy(rb, create);
    copy->create_stmt->if_not_exists = 0;
    rb_set_string(&copy->create_stmt->relation->schemaname, "zdm0schema");
    rb_set_string(&copy->create_stmt->relation->relname, "zdm0table");
    const char *sql = rb_deparse(rb, copy);
    if (sql == NULL || strncmp(sql, head, sizeof head - 1) != 0)
        return NULL;
    return put_names(c, sql + sizeof head - 1);
}

static void add_step(const struct creation *c, const char *body)
{
    struct rb *rb = c->s->rb;
    struct rb_ddl d = rb_ddl_whole(c->s, &c->table);
    struct rb_step *step = rb_ddl_step(&d, ZDM_STEP_DDL, ZDM_ACTION_CREATE_TABLE, ZDM_LOCK_SHORT, NULL);
    for (size_t i = 0; i < c->n_parents; i++)
        rb_step_other(step, &c->parents[i]);
    rb_step_sql(step, rb_format(rb, "CREATE TABLE %s %s", rb_table_sql(rb, &c->table), body));
    rb_step_inverse(step, ZDM_INVERSE_HIDE, NULL);
    rb_step_does(step, c->n_parents == 0 ? "create the table; nothing uses it yet"
                                         : "create the table; the tables that it refers to are locked first, against "
                                           "writers, for the same short time");
}

/* ---- the statement ---- */

static bool begin(struct creation *c, const PgQuery__CreateStmt *create)
{
    struct rb_statement *s = c->s;
    struct rb_ddl d = rb_ddl_whole(s, &c->table);
    if (!rb_ddl_phase(&d, RB_DDL_CREATE_TABLE, rb_at_start(s)) || !is_plain(s, create))
        return false;
    struct rb_object *object = rb_object_of(s->rb, RB_OBJECT_TABLE, &c->table, NULL);
    if (object->created) {
        rb_error(s->rb, "created-twice", rb_at(s, create->relation->location), "Remove one of them.",
                 "table %s is created twice", rb_table_text(s->rb, &c->table));
        return false;
    }
    object->created = true;
    object->partitioned = create->partspec != NULL;
    return true;
}

void rb_compile_create_table(struct rb_statement *s, PgQuery__CreateStmt *create)
{
    struct rb *rb = s->rb;
    struct creation *c = rb_alloc(rb, sizeof *c);
    size_t errors = rb->n_errors;
    c->s = s;
    if (!rb_relation(s, create->relation, &c->table))
        return;
    c->table.name = rb_copy(rb, c->table.name, strlen(c->table.name));
    c->table.schema = rb_copy(rb, c->table.schema, strlen(c->table.schema));
    if (!begin(c, create))
        return;
    for (size_t i = 0; i < create->n_table_elts; i++)
        read_element(c, create->table_elts[i]);
    const char *body = errors == rb->n_errors ? write_body(c, s->node) : NULL;
    if (errors != rb->n_errors)
        return;
    if (body == NULL) {
        rb_error(rb, "create-table", rb_at_start(s),
                 "Write it more simply; what is left out can be added behind it, statement by statement.",
                 "this CREATE TABLE cannot be written in a plan");
        return;
    }
    add_step(c, body);
    if (!c->has_key && create->partspec == NULL)
        rb_warning(rb, "create-table-key", rb_at(s, create->relation->location), "Write PRIMARY KEY behind a column.",
                   "table %s has no primary key: no later migration can change its rows in batches",
                   rb_table_text(rb, &c->table));
    if (create->if_not_exists)
        rb_note(rb, "if-not-exists", rb_at_word(s, 0, "if"), NULL,
                "a table of that name that is not this migration's stops the step, IF NOT EXISTS or not");
}
