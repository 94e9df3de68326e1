/*
 * tree.c - parse trees: see tree.h.
 *
 * What is written again (deparsed) is parsed once more and compared with the tree it came from, positions aside: SQL
 * that reaches a plan says what the user wrote, or the statement is refused.
 */
#include "common/runbook/postgresql/ddl.h"

#include <stdlib.h>
#include <string.h>

struct rb_tree {
    PgQuery__ParseResult *result; /* or */
    PgQuery__Node *node;
    struct rb_tree *next;
};

static void keep(struct rb *rb, PgQuery__ParseResult *result, PgQuery__Node *node)
{
    struct rb_tree *tree = rb_alloc(rb, sizeof *tree);
    *tree = (struct rb_tree){.result = result, .node = node, .next = rb->trees};
    rb->trees = tree;
}

void rb_trees_free(struct rb *rb)
{
    for (struct rb_tree *tree = rb->trees; tree != NULL; tree = tree->next) {
        if (tree->result != NULL)
            pg_query__parse_result__free_unpacked(tree->result, NULL);
        if (tree->node != NULL)
            pg_query__node__free_unpacked(tree->node, NULL);
    }
    rb->trees = NULL;
}

/* PostgreSQL counts positions of errors in characters, from 1. */
static size_t byte_of_character(const char *text, int position)
{
    size_t i = 0;
    for (int left = position - 1; left > 0 && text[i] != '\0'; left--) {
        i++;
        while (((unsigned char)text[i] & 0xc0) == 0x80)
            i++;
    }
    return i;
}

static void copy_error(struct rb *rb, const char *sql, const PgQueryError *error, const char **out_message,
                       size_t *out_offset)
{
    *out_message = rb_copy(rb, error->message, strlen(error->message));
    *out_offset = byte_of_character(sql, error->cursorpos);
}

PgQuery__ParseResult *rb_parse(struct rb *rb, const char *sql, const char **out_message, size_t *out_offset)
{
    PgQueryProtobufParseResult parsed = pg_query_parse_protobuf(sql);
    PgQuery__ParseResult *result = NULL;
    *out_message = "the statement is too complex";
    *out_offset = 0;
    if (parsed.error != NULL)
        copy_error(rb, sql, parsed.error, out_message, out_offset);
    else
        result = pg_query__parse_result__unpack(NULL, parsed.parse_tree.len, (const uint8_t *)parsed.parse_tree.data);
    pg_query_free_protobuf_parse_result(parsed);
    if (result != NULL)
        keep(rb, result, NULL);
    return result;
}

bool rb_scan(struct rb *rb, const char *sql, struct rb_token **out_tokens, size_t *out_n, const char **out_message,
             size_t *out_offset)
{
    PgQueryScanResult scanned = pg_query_scan(sql);
    PgQuery__ScanResult *result = NULL;
    *out_message = "the text cannot be read as SQL";
    *out_offset = 0;
    if (scanned.error != NULL)
        copy_error(rb, sql, scanned.error, out_message, out_offset);
    else
        result = pg_query__scan_result__unpack(NULL, scanned.pbuf.len, (const uint8_t *)scanned.pbuf.data);
    pg_query_free_scan_result(scanned);
    if (result == NULL)
        return false;
    struct rb_token *tokens = rb_alloc(rb, (result->n_tokens + 1) * sizeof *tokens);
    size_t n = 0;
    for (size_t i = 0; i < result->n_tokens; i++) {
        const PgQuery__ScanToken *token = result->tokens[i];
        if (token->token == PG_QUERY__TOKEN__SQL_COMMENT || token->token == PG_QUERY__TOKEN__C_COMMENT)
            continue;
        tokens[n++] = (struct rb_token){
            .token = (int)token->token,
            .start = (size_t)token->start,
            .end = (size_t)token->end,
            .keyword = token->keyword_kind > PG_QUERY__KEYWORD_KIND__UNRESERVED_KEYWORD,
        };
    }
    pg_query__scan_result__free_unpacked(result, NULL);
    *out_tokens = tokens;
    *out_n = n;
    return true;
}

/* ---- walking ---- */

static bool is_present(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *field)
{
    const char *base = (const char *)m;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        return *(const uint32_t *)(const void *)(base + field->quantifier_offset) == field->id;
    return true;
}

void rb_children(const ProtobufCMessage *m, rb_visit *visit, void *ctx)
{
    const char *base = (const char *)m;
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &m->descriptor->fields[i];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE || !is_present(m, field))
            continue;
        const void *at = base + field->offset;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = *(const size_t *)(const void *)(base + field->quantifier_offset);
            ProtobufCMessage *const *items = *(ProtobufCMessage *const *const *)at;
            for (size_t j = 0; j < n; j++)
                visit(items[j], ctx);
        } else {
            const ProtobufCMessage *item = *(const ProtobufCMessage *const *)at;
            if (item != NULL)
                visit(item, ctx);
        }
    }
}

static void clear_positions(const ProtobufCMessage *m, void *ctx)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &m->descriptor->fields[i];
        if (field->type == PROTOBUF_C_TYPE_INT32 && field->label != PROTOBUF_C_LABEL_REPEATED &&
            (strcmp(field->name, "location") == 0 || strcmp(field->name, "stmt_len") == 0 ||
             strcmp(field->name, "stmt_location") == 0))
            *(int32_t *)(void *)((uintptr_t)m + field->offset) = 0;
    }
    rb_children(m, clear_positions, ctx);
}

PgQuery__Node *rb_node_copy(struct rb *rb, const PgQuery__Node *node)
{
    size_t n = pg_query__node__get_packed_size(node);
    uint8_t *bytes = rb_alloc(rb, n + 1);
    pg_query__node__pack(node, bytes);
    PgQuery__Node *copy = pg_query__node__unpack(NULL, n, bytes);
    if (copy == NULL)
        abort(); /* only without memory: these bytes were packed just now */
    keep(rb, NULL, copy);
    return copy;
}

static const uint8_t *packed_without_positions(struct rb *rb, const PgQuery__Node *node, size_t *out_n)
{
    PgQuery__Node *copy = rb_node_copy(rb, node);
    clear_positions(&copy->base, NULL);
    *out_n = pg_query__node__get_packed_size(copy);
    uint8_t *bytes = rb_alloc(rb, *out_n + 1);
    pg_query__node__pack(copy, bytes);
    return bytes;
}

bool rb_same_node(struct rb *rb, const PgQuery__Node *a, const PgQuery__Node *b)
{
    size_t n, m;
    const uint8_t *left = packed_without_positions(rb, a, &n);
    const uint8_t *right = packed_without_positions(rb, b, &m);
    return n == m && memcmp(left, right, n) == 0;
}

void rb_set_string(char **field, const char *value)
{
    if (*field != NULL && *field != (const char *)protobuf_c_empty_string)
        free(*field);
    *field = rb_dup(value);
}

const char *rb_string(const PgQuery__Node *node)
{
    if (node == NULL || node->node_case != PG_QUERY__NODE__NODE_STRING)
        return "";
    return node->string->sval;
}

/* ---- writing ---- */

static const char *deparse_result(struct rb *rb, PgQuery__ParseResult *result)
{
    size_t n = pg_query__parse_result__get_packed_size(result);
    uint8_t *bytes = rb_alloc(rb, n + 1);
    pg_query__parse_result__pack(result, bytes);
    PgQueryDeparseResult deparsed = pg_query_deparse_protobuf((PgQueryProtobuf){.len = n, .data = (char *)bytes});
    const char *text = deparsed.error != NULL ? NULL : rb_copy(rb, deparsed.query, strlen(deparsed.query));
    pg_query_free_deparse_result(deparsed);
    return text;
}

const char *rb_deparse(struct rb *rb, PgQuery__Node *statement)
{
    PgQuery__RawStmt raw = PG_QUERY__RAW_STMT__INIT;
    PgQuery__RawStmt *stmts[] = {&raw};
    PgQuery__ParseResult result = PG_QUERY__PARSE_RESULT__INIT;
    raw.stmt = statement;
    result.version = PG_VERSION_NUM;
    result.stmts = stmts;
    result.n_stmts = 1;
    const char *text = deparse_result(rb, &result);
    const char *message;
    size_t offset;
    PgQuery__ParseResult *again = text == NULL ? NULL : rb_parse(rb, text, &message, &offset);
    if (again == NULL || again->n_stmts != 1 || !rb_same_node(rb, again->stmts[0]->stmt, statement))
        return NULL;
    return text;
}

const char *rb_deparse_expr(struct rb *rb, PgQuery__Node *expr)
{
    const char *message;
    size_t offset;
    PgQuery__ParseResult *frame = rb_parse(rb, "SELECT NULL", &message, &offset);
    if (frame == NULL)
        return NULL;
    PgQuery__ResTarget *target = frame->stmts[0]->stmt->select_stmt->target_list[0]->res_target;
    PgQuery__Node *mine = target->val;
    target->val = expr;
    const char *text = rb_deparse(rb, frame->stmts[0]->stmt);
    target->val = mine;
    static const char select[] = "SELECT ";
    return text != NULL && strncmp(text, select, sizeof select - 1) == 0 ? text + sizeof select - 1 : NULL;
}

const char *rb_deparse_type(struct rb *rb, PgQuery__TypeName *type)
{
    PgQuery__AConst null = PG_QUERY__A__CONST__INIT;
    PgQuery__Node arg = PG_QUERY__NODE__INIT, node = PG_QUERY__NODE__INIT;
    PgQuery__TypeCast cast = PG_QUERY__TYPE_CAST__INIT;
    null.isnull = 1;
    arg.node_case = PG_QUERY__NODE__NODE_A_CONST;
    arg.a_const = &null;
    cast.arg = &arg;
    cast.type_name = type;
    node.node_case = PG_QUERY__NODE__NODE_TYPE_CAST;
    node.type_cast = &cast;
    const char *text = rb_deparse_expr(rb, &node);
    static const char frame[] = "NULL::";
    return text != NULL && strncmp(text, frame, sizeof frame - 1) == 0 ? text + sizeof frame - 1 : NULL;
}

/* ---- places ---- */

struct rb_place rb_at(const struct rb_statement *s, int location)
{
    return rb_place_in_fence(s->rb, s->fence, s->base + (location > 0 ? (size_t)location : 0));
}

struct rb_place rb_at_start(const struct rb_statement *s)
{
    return rb_place_in_fence(s->rb, s->fence, s->base + (s->n_tokens > 0 ? s->tokens[0].start : 0));
}

bool rb_token_is(const struct rb_statement *s, const struct rb_token *token, const char *word)
{
    const char *text = s->sql + token->start;
    size_t n = token->end - token->start, m = strlen(word);
    if (n >= 2 && (text[0] == '"' || text[0] == '`')) {
        size_t j = 0;
        for (size_t i = 1; i + 1 < n; i++, j++) {
            if (text[i] == text[0])
                i++;
            if (j >= m || text[i] != word[j])
                return false;
        }
        return j == m;
    }
    if (n != m)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (rb_lower(text[i]) != rb_lower(word[i]))
            return false;
    }
    return true;
}

struct rb_place rb_at_word(const struct rb_statement *s, size_t from, const char *word)
{
    for (size_t i = 0; i < s->n_tokens; i++) {
        if (s->tokens[i].start >= from && rb_token_is(s, &s->tokens[i], word))
            return rb_at(s, (int)s->tokens[i].start);
    }
    return from > 0 ? rb_at(s, (int)from) : rb_at_start(s);
}

struct rb_place rb_at_word_before(const struct rb_statement *s, size_t limit, const char *word)
{
    for (size_t i = s->n_tokens; i > 0; i--) {
        if (s->tokens[i - 1].start < limit && rb_token_is(s, &s->tokens[i - 1], word))
            return rb_at(s, (int)s->tokens[i - 1].start);
    }
    return rb_at_word(s, 0, word);
}

/* Byte offset of the first token of command n (0: where the first begins); SIZE_MAX: there is none. */
static size_t command_start(const struct rb_statement *s, size_t n)
{
    size_t depth = 0, i = 2; /* behind ALTER TABLE */
    while (i < s->n_tokens && (rb_token_is(s, &s->tokens[i], "if") || rb_token_is(s, &s->tokens[i], "exists") ||
                               rb_token_is(s, &s->tokens[i], "only")))
        i++;
    i++; /* the table's name, */
    while (i + 1 < s->n_tokens && s->tokens[i].token == '.')
        i += 2; /* with its schema */
    if (i < s->n_tokens && s->tokens[i].token == '*')
        i++;
    for (; i < s->n_tokens && n > 0; i++) {
        int token = s->tokens[i].token;
        if (token == '(' || token == '[')
            depth++;
        else if ((token == ')' || token == ']') && depth > 0)
            depth--;
        else if (token == ',' && depth == 0)
            n--;
    }
    return n == 0 && i < s->n_tokens ? s->tokens[i].start : SIZE_MAX;
}

size_t rb_command_offset(const struct rb_statement *s, size_t n)
{
    size_t at = command_start(s, n);
    return at == SIZE_MAX ? 0 : at;
}

size_t rb_command_end(const struct rb_statement *s, size_t n)
{
    size_t next = command_start(s, n + 1), end = 0;
    for (size_t i = 0; i < s->n_tokens; i++) {
        if (s->tokens[i].start >= next)
            break;
        if (next == SIZE_MAX || i + 1 < s->n_tokens)
            end = next != SIZE_MAX && s->tokens[i + 1].start >= next ? end : s->tokens[i].end;
    }
    return end;
}

/* ---- names ---- */

bool rb_may_change(struct rb_statement *s, const struct rb_table *table, struct rb_place at)
{
    struct rb *rb = s->rb;
    if (strcmp(table->schema, "pg_catalog") == 0 || strcmp(table->schema, "information_schema") == 0 ||
        strcmp(table->schema, "zdm") == 0) {
        rb_error(rb, "system-table", at, "Change tables of the application only.", "table %s.%s belongs to the system",
                 table->schema, table->name);
        return false;
    }
    const struct rb_object *object = rb_object_find(rb, RB_OBJECT_TABLE, table, NULL);
    if (object != NULL && object->dropped != NULL) {
        rb_error(rb, "table-dropped", at, "Remove it.", "table %s is dropped before this", rb_table_text(rb, table));
        return false;
    }
    return true;
}

bool rb_relation(struct rb_statement *s, const PgQuery__RangeVar *relation, struct rb_table *out)
{
    struct rb *rb = s->rb;
    struct rb_place at = rb_at(s, relation->location);
    if (relation->catalogname[0] != '\0') {
        rb_error(rb, "other-database", at, "Leave the database's name out: an agent works in its own database.",
                 "table %s names a database", relation->relname);
        return false;
    }
    if (!relation->inh) {
        rb_error(rb, "only", at, "Write the table's name without ONLY.",
                 "a change of one table of an inheritance tree (ONLY) is not supported");
        return false;
    }
    out->schema = relation->schemaname[0] != '\0' ? relation->schemaname : rb->front.schema;
    out->name = relation->relname;
    return rb_may_change(s, out, at);
}

static PgQuery__Node *string_node(const char *text)
{
    PgQuery__Node *node = rb_heap(sizeof *node);
    PgQuery__String *string = rb_heap(sizeof *string);
    pg_query__node__init(node);
    pg_query__string__init(string);
    node->node_case = PG_QUERY__NODE__NODE_STRING;
    node->string = string;
    string->sval = rb_dup(text);
    return node;
}

static void put_in_front(PgQuery__Node ***names, size_t *n, const char *schema)
{
    PgQuery__Node **both = rb_heap(2 * sizeof *both);
    both[0] = string_node(schema);
    both[1] = (*names)[0];
    free(*names);
    *names = both;
    *n = 2;
}

/* Nobody is in doubt about the schema of a type that this runbook makes. */
static void tell_of_schema(struct rb_statement *s, const PgQuery__TypeName *type)
{
    const char *name = rb_string(type->names[0]);
    const struct rb_object *object =
        rb_object_find(s->rb, RB_OBJECT_TYPE, &(struct rb_table){s->rb->front.schema, name}, NULL);
    if (object == NULL || !object->created)
        rb_note(s->rb, "type-not-built-in", rb_at(s, type->location),
                "Where it lives in another schema, write that in front.",
                "type %s is not one of PostgreSQL's own: schema %s is taken", name, s->rb->front.schema);
}

static void qualify(const ProtobufCMessage *m, void *ctx)
{
    struct rb_statement *s = ctx;
    if (m->descriptor == &pg_query__def_elem__descriptor)
        return; /* an option's word ("off") is read as a type */
    if (m->descriptor == &pg_query__type_name__descriptor) {
        PgQuery__TypeName *type = (PgQuery__TypeName *)(uintptr_t)m;
        if (type->n_names == 1 && !rb_type_is_built_in(rb_string(type->names[0]))) {
            tell_of_schema(s, type);
            put_in_front(&type->names, &type->n_names, s->rb->front.schema);
        }
    } else if (m->descriptor == &pg_query__index_elem__descriptor) {
        PgQuery__IndexElem *elem = (PgQuery__IndexElem *)(uintptr_t)m;
        if (elem->n_opclass == 1 && !rb_operator_class_is_built_in(rb_string(elem->opclass[0])))
            put_in_front(&elem->opclass, &elem->n_opclass, s->rb->front.schema);
    }
    rb_children(m, qualify, ctx);
}

void rb_qualify_types(struct rb_statement *s, ProtobufCMessage *m)
{
    qualify(m, s);
}
