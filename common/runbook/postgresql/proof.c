/*
 * proof.c - statements that no kind covers, as as-is fences: how the catalogue tells whether one was done, and what
 * takes it back.
 */
#include "common/runbook/draft.h"

#include <string.h>

/* ---- text ---- */

static const char *literal(struct rb *rb, const char *text)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&b, strchr(text, '\\') != NULL ? "E'" : "'");
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\'' || *p == '\\')
            zdm_buffer_append(&b, p, 1);
        zdm_buffer_append(&b, p, 1);
    }
    zdm_buffer_puts(&b, "'");
    return rb_take(rb, &b);
}

static const char *dotted(struct rb *rb, const char *schema, const char *name)
{
    return rb_format(rb, "%s.%s", rb_plain(rb, schema[0] != '\0' ? schema : rb->front.schema), rb_plain(rb, name));
}

static const char *relation_name(struct rb *rb, const PgQuery__RangeVar *relation)
{
    return dotted(rb, relation->schemaname, relation->relname);
}

static const char *listed(struct rb *rb, PgQuery__Node *const *names, size_t n)
{
    return dotted(rb, n > 1 ? rb_string(names[n - 2]) : "", n > 0 ? rb_string(names[n - 1]) : "");
}

/* The statement with the runbook's schema in front of the first token that is the name, where it has none. */
const char *rb_proof_with_schema(struct rb_statement *s, PgQuery__Node *const *names, size_t n)
{
    struct rb *rb = s->rb;
    for (size_t i = 0; n == 1 && i < s->n_tokens; i++) {
        if (!rb_token_is(s, &s->tokens[i], rb_string(names[0])))
            continue;
        return rb_format(rb, "%.*s%s.%s", (int)s->tokens[i].start, s->sql, rb_plain(rb, rb->front.schema),
                         s->sql + s->tokens[i].start);
    }
    return s->sql;
}

static const char *exists_as(struct rb *rb, const char *function, const char *name, bool there)
{
    return rb_format(rb, "SELECT 1 WHERE %s(%s) IS %sNULL", function, literal(rb, name), there ? "NOT " : "");
}

/* ---- what is created ---- */

static bool of_view(struct rb_statement *s, struct rb_proof *p)
{
    const PgQuery__ViewStmt *view = s->node->view_stmt;
    if (view->replace)
        return false;
    const char *name = relation_name(s->rb, view->view);
    p->check = exists_as(s->rb, "to_regclass", name, false);
    p->undo = rb_format(s->rb, "DROP VIEW %s", name);
    return true;
}

static bool of_materialized(struct rb_statement *s, struct rb_proof *p)
{
    const PgQuery__CreateTableAsStmt *create = s->node->create_table_as_stmt;
    if (create->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW)
        return false;
    const char *name = relation_name(s->rb, create->into->rel);
    p->check = exists_as(s->rb, "to_regclass", name, false);
    p->undo = rb_format(s->rb, "DROP MATERIALIZED VIEW %s", name);
    return true;
}

static bool of_sequence(struct rb_statement *s, struct rb_proof *p)
{
    const char *name = relation_name(s->rb, s->node->create_seq_stmt->sequence);
    p->check = exists_as(s->rb, "to_regclass", name, false);
    p->undo = rb_format(s->rb, "DROP SEQUENCE %s", name);
    return true;
}

static bool of_sequence_owner(struct rb_statement *s, const char *name, const PgQuery__Node *owner, struct rb_proof *p)
{
    const PgQuery__List *list = owner != NULL && owner->node_case == PG_QUERY__NODE__NODE_LIST ? owner->list : NULL;
    if (list == NULL || list->n_items < 2 || list->n_items > 3)
        return false;
    p->check = rb_format(s->rb, "SELECT 1 WHERE pg_get_serial_sequence(%s, %s) IS NULL",
                         literal(s->rb, listed(s->rb, list->items, list->n_items - 1)),
                         literal(s->rb, rb_string(list->items[list->n_items - 1])));
    p->undo = rb_format(s->rb, "ALTER SEQUENCE %s OWNED BY NONE", name);
    return true;
}

static bool of_sequence_type(struct rb_statement *s, struct rb_proof *p)
{
    const PgQuery__AlterSeqStmt *alter = s->node->alter_seq_stmt;
    const char *name = relation_name(s->rb, alter->sequence);
    if (alter->n_options != 1)
        return false;
    if (strcmp(alter->options[0]->def_elem->defname, "owned_by") == 0)
        return of_sequence_owner(s, name, alter->options[0]->def_elem->arg, p);
    if (strcmp(alter->options[0]->def_elem->defname, "as") != 0)
        return false;
    PgQuery__Node *type = alter->options[0]->def_elem->arg;
    const char *text = type != NULL && type->node_case == PG_QUERY__NODE__NODE_TYPE_NAME
                           ? rb_deparse_type(s->rb, type->type_name)
                           : NULL;
    if (text == NULL)
        return false;
    p->check = rb_format(s->rb, "SELECT 1 FROM pg_sequence WHERE seqrelid = %s::regclass AND seqtypid <> %s::regtype",
                         literal(s->rb, name), literal(s->rb, text));
    return true;
}

static bool of_schema(struct rb_statement *s, struct rb_proof *p)
{
    const char *name = rb_plain(s->rb, s->node->create_schema_stmt->schemaname);
    p->check = exists_as(s->rb, "to_regnamespace", name, false);
    p->undo = rb_format(s->rb, "DROP SCHEMA %s", name);
    return s->node->create_schema_stmt->schemaname[0] != '\0' && s->node->create_schema_stmt->n_schema_elts == 0;
}

static bool of_extension(struct rb_statement *s, struct rb_proof *p)
{
    const char *name = s->node->create_extension_stmt->extname;
    p->check = rb_format(s->rb, "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = %s)",
                         literal(s->rb, name));
    p->undo = rb_format(s->rb, "DROP EXTENSION %s", rb_plain(s->rb, name));
    return true;
}

static bool of_domain(struct rb_statement *s, struct rb_proof *p)
{
    const PgQuery__CreateDomainStmt *domain = s->node->create_domain_stmt;
    const char *name = listed(s->rb, domain->domainname, domain->n_domainname);
    p->sql = rb_proof_with_schema(s, domain->domainname, domain->n_domainname);
    p->check = exists_as(s->rb, "to_regtype", name, false);
    p->undo = rb_format(s->rb, "DROP DOMAIN %s", name);
    return true;
}

static bool of_composite(struct rb_statement *s, struct rb_proof *p)
{
    const char *name = relation_name(s->rb, s->node->composite_type_stmt->typevar);
    p->check = exists_as(s->rb, "to_regtype", name, false);
    p->undo = rb_format(s->rb, "DROP TYPE %s", name);
    return true;
}

static const char *signature(struct rb *rb, const PgQuery__CreateFunctionStmt *f)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&b, "%s(", listed(rb, f->funcname, f->n_funcname));
    bool first = true;
    for (size_t i = 0; i < f->n_parameters; i++) {
        const PgQuery__FunctionParameter *parameter = f->parameters[i]->function_parameter;
        int mode = (int)parameter->mode;
        if (mode == PG_QUERY__FUNCTION_PARAMETER_MODE__FUNC_PARAM_OUT ||
            mode == PG_QUERY__FUNCTION_PARAMETER_MODE__FUNC_PARAM_TABLE)
            continue;
        const char *type = rb_deparse_type(rb, parameter->arg_type);
        zdm_buffer_printf(&b, "%s%s", first ? "" : ", ", type == NULL ? "?" : type);
        first = false;
    }
    zdm_buffer_puts(&b, ")");
    return rb_take(rb, &b);
}

/* Done when a function of that body is there: so it is right for OR REPLACE, too. */
static bool of_function(struct rb_statement *s, struct rb_proof *p)
{
    struct rb *rb = s->rb;
    const PgQuery__CreateFunctionStmt *f = s->node->create_function_stmt;
    const char *name = signature(rb, f), *body = NULL;
    for (size_t i = 0; i < f->n_options; i++) {
        const PgQuery__DefElem *option = f->options[i]->def_elem;
        if (strcmp(option->defname, "as") == 0 && option->arg != NULL &&
            option->arg->node_case == PG_QUERY__NODE__NODE_LIST && option->arg->list->n_items == 1)
            body = rb_string(option->arg->list->items[0]);
    }
    if (body == NULL)
        return false;
    p->sql = rb_proof_with_schema(s, f->funcname, f->n_funcname);
    p->check = rb_format(rb,
                         "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_proc\n"
                         "  WHERE oid = to_regprocedure(%s) AND prosrc = %s)",
                         literal(rb, name), literal(rb, body));
    p->undo = f->replace ? NULL : rb_format(rb, "DROP %s %s", f->is_procedure ? "PROCEDURE" : "FUNCTION", name);
    return true;
}

static const char *on_table(struct rb *rb, const char *catalog, const char *relation, const char *column,
                            const char *table, const char *name, bool there)
{
    return rb_format(rb, "SELECT 1 WHERE %sEXISTS (SELECT FROM %s\n  WHERE %s = %s::regclass AND %s = %s)",
                     there ? "" : "NOT ", catalog, relation, literal(rb, table), column, literal(rb, name));
}

static bool of_trigger(struct rb_statement *s, struct rb_proof *p)
{
    const PgQuery__CreateTrigStmt *t = s->node->create_trig_stmt;
    const char *table = relation_name(s->rb, t->relation);
    if (t->replace)
        return false;
    p->sql = rb_function_kind(rb_string(t->funcname[0])) == RB_FUNCTION_UNKNOWN
                 ? rb_proof_with_schema(s, t->funcname, t->n_funcname)
                 : s->sql;
    p->check = on_table(s->rb, "pg_trigger", "tgrelid", "tgname", table, t->trigname, false);
    p->undo = rb_format(s->rb, "DROP TRIGGER %s ON %s", rb_plain(s->rb, t->trigname), table);
    return true;
}

static bool of_policy(struct rb_statement *s, struct rb_proof *p)
{
    const PgQuery__CreatePolicyStmt *policy = s->node->create_policy_stmt;
    const char *table = relation_name(s->rb, policy->table);
    p->check = on_table(s->rb, "pg_policy", "polrelid", "polname", table, policy->policy_name, false);
    p->undo = rb_format(s->rb, "DROP POLICY %s ON %s", rb_plain(s->rb, policy->policy_name), table);
    return true;
}

/* ---- what is dropped ---- */

static bool of_dropped_function(struct rb_statement *s, const PgQuery__ObjectWithArgs *function, struct rb_proof *p)
{
    struct rb *rb = s->rb;
    const char *name = rb_format(rb, "%s(", listed(rb, function->objname, function->n_objname));
    for (size_t i = 0; i < function->n_objargs; i++) {
        const char *type = rb_deparse_type(rb, function->objargs[i]->type_name);
        name = rb_format(rb, "%s%s%s", name, i == 0 ? "" : ", ", type == NULL ? "?" : type);
    }
    p->sql = rb_proof_with_schema(s, function->objname, function->n_objname);
    p->check = exists_as(rb, "to_regprocedure", rb_format(rb, "%s)", name), true);
    return true;
}

static bool of_drop(struct rb_statement *s, struct rb_proof *p)
{
    static const struct {
        int type;
        const char *function;
    } rows[] = {
        {PG_QUERY__OBJECT_TYPE__OBJECT_VIEW, "to_regclass"},     {PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW, "to_regclass"},
        {PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE, "to_regclass"}, {PG_QUERY__OBJECT_TYPE__OBJECT_TYPE, "to_regtype"},
        {PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN, "to_regtype"},
    };
    struct rb *rb = s->rb;
    const PgQuery__DropStmt *drop = s->node->drop_stmt;
    int type = (int)drop->remove_type;
    if (drop->n_objects != 1)
        return false;
    PgQuery__Node *object = drop->objects[0];
    p->is_removal = true;
    if (type == PG_QUERY__OBJECT_TYPE__OBJECT_EXTENSION) {
        p->check = rb_format(rb, "SELECT 1 FROM pg_extension WHERE extname = %s", literal(rb, rb_string(object)));
        return true;
    }
    if (type == PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA) {
        p->check = exists_as(rb, "to_regnamespace", rb_plain(rb, rb_string(object)), true);
        return true;
    }
    if (type == PG_QUERY__OBJECT_TYPE__OBJECT_FUNCTION && object->node_case == PG_QUERY__NODE__NODE_OBJECT_WITH_ARGS &&
        !object->object_with_args->args_unspecified)
        return of_dropped_function(s, object->object_with_args, p);
    PgQuery__Node *const *names = NULL;
    size_t n = 0;
    if (object->node_case == PG_QUERY__NODE__NODE_LIST) {
        names = object->list->items;
        n = object->list->n_items;
    } else if (object->node_case == PG_QUERY__NODE__NODE_TYPE_NAME) {
        names = object->type_name->names;
        n = object->type_name->n_names;
    }
    bool trigger = type == PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER;
    if ((trigger || type == PG_QUERY__OBJECT_TYPE__OBJECT_POLICY) && n == 3) {
        const char *table = dotted(rb, rb_string(names[0]), rb_string(names[1]));
        p->check = on_table(rb, trigger ? "pg_trigger" : "pg_policy", trigger ? "tgrelid" : "polrelid",
                            trigger ? "tgname" : "polname", table, rb_string(names[2]), true);
        return true;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && n > 0 && n < 3; i++) {
        if (rows[i].type != type)
            continue;
        p->sql = rb_proof_with_schema(s, names, n);
        p->check = exists_as(rb, rows[i].function, listed(rb, names, n), true);
        return true;
    }
    return false;
}

static const struct {
    int node;
    bool (*fill)(struct rb_statement *s, struct rb_proof *p);
} kinds[] = {
    {PG_QUERY__NODE__NODE_VIEW_STMT, of_view},
    {PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT, of_materialized},
    {PG_QUERY__NODE__NODE_CREATE_SEQ_STMT, of_sequence},
    {PG_QUERY__NODE__NODE_ALTER_SEQ_STMT, of_sequence_type},
    {PG_QUERY__NODE__NODE_CREATE_SCHEMA_STMT, of_schema},
    {PG_QUERY__NODE__NODE_CREATE_EXTENSION_STMT, of_extension},
    {PG_QUERY__NODE__NODE_CREATE_DOMAIN_STMT, of_domain},
    {PG_QUERY__NODE__NODE_COMPOSITE_TYPE_STMT, of_composite},
    {PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT, of_function},
    {PG_QUERY__NODE__NODE_CREATE_TRIG_STMT, of_trigger},
    {PG_QUERY__NODE__NODE_CREATE_POLICY_STMT, of_policy},
    {PG_QUERY__NODE__NODE_GRANT_STMT, rb_proof_of_grant},
    {PG_QUERY__NODE__NODE_INSERT_STMT, rb_proof_of_insert},
    {PG_QUERY__NODE__NODE_RENAME_STMT, rb_proof_of_rename},
    {PG_QUERY__NODE__NODE_CREATE_STATS_STMT, rb_proof_of_statistics},
    {PG_QUERY__NODE__NODE_ALTER_PUBLICATION_STMT, rb_proof_of_publication},
    {PG_QUERY__NODE__NODE_ALTER_TABLE_STMT, rb_proof_of_alter},
    {PG_QUERY__NODE__NODE_DROP_STMT, of_drop},
};

bool rb_proof_of(struct rb_statement *s, struct rb_proof *out)
{
    *out = (struct rb_proof){.sql = s->sql};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].node == (int)s->node->node_case && kinds[i].fill(s, out) && out->check != NULL)
            return true;
    }
    *out = (struct rb_proof){.sql = s->sql};
    return false;
}

const char *rb_as_is_fences(struct rb *rb, const struct rb_proof *proof)
{
    const char *text = rb_format(rb, "```sql {as-is lock=short%s}\n%s;\n```\n```sql {check}\n%s;\n```",
                                 proof->undo == NULL ? " no-undo" : "", proof->sql, proof->check);
    return proof->undo == NULL ? text : rb_format(rb, "%s\n```sql {rollback}\n%s;\n```", text, proof->undo);
}

/* ---- hints ---- */

struct hint {
    struct rb_proof proof;
    bool known;
};

static void read_one(struct rb_statement *s, void *ctx)
{
    struct hint *hint = ctx;
    hint->known = rb_proof_of(s, &hint->proof);
}

const char *rb_as_is_hint(struct rb *rb, const char *sql)
{
    struct rb inner = {.front = rb->front};
    struct rb_phase phase = {.class = ZDM_PHASE_EXPAND};
    struct rb_fence fence = {.kind = RB_FENCE_SQL, .text = sql};
    struct hint hint = {.known = false};
    (void)rb_sql_each(&inner, &phase, &fence, read_one, &hint);
    const char *text = NULL;
    if (hint.known)
        text = rb_copy(rb, rb_as_is_fences(&inner, &hint.proof), strlen(rb_as_is_fences(&inner, &hint.proof)));
    rb_fini(&inner);
    if (text == NULL)
        text = rb_format(rb,
                         "```sql {as-is lock=short}\n%s;\n```\n"
                         "```sql {check}\nSELECT 1 WHERE …; -- a row as long as it is not done\n```\n"
                         "```sql {rollback}\n…;\n```",
                         sql);
    return rb_format(rb,
                     "Where it does not hurt, write it as it is, with a check that proves it and what takes it back "
                     "(no-undo where nothing does):\n\n%s",
                     text);
}
