/*
 * expr_write.c - an expression over one row, written again for a batch or a trigger.
 *
 * Each column is replaced by a marker that is a plain identifier, the tree is deparsed (and proven equal to what it
 * came from), and the markers are replaced token by token. Text inside string constants is never touched.
 */
#include "common/runbook/postgresql/tree.h"

#include <string.h>

static const char marker[] = "zdm0column";

struct columns {
    struct rb *rb;
    const char *names[RB_TOKENS_MAX];
    size_t n;
    unsigned depth; /* of subqueries: there only what means the row is marked */
};

static void mark(const ProtobufCMessage *m, void *ctx)
{
    struct columns *columns = ctx;
    if (m->descriptor == &pg_query__select_stmt__descriptor) {
        columns->depth++;
        rb_children(m, mark, ctx);
        columns->depth--;
        return;
    }
    if (m->descriptor != &pg_query__column_ref__descriptor) {
        rb_children(m, mark, ctx);
        return;
    }
    PgQuery__ColumnRef *ref = (PgQuery__ColumnRef *)(uintptr_t)m;
    PgQuery__Node *last = ref->fields[ref->n_fields - 1];
    if (columns->depth > 0 && !rb_names_outer_row(ref))
        return;
    if (columns->n >= RB_TOKENS_MAX || last->node_case != PG_QUERY__NODE__NODE_STRING)
        return;
    columns->names[columns->n] = rb_copy(columns->rb, last->string->sval, strlen(last->string->sval));
    for (size_t i = 0; i + 1 < ref->n_fields; i++)
        pg_query__node__free_unpacked(ref->fields[i], NULL);
    ref->fields[0] = last;
    ref->n_fields = 1;
    rb_set_string(&last->string->sval, rb_format(columns->rb, "%s%zu", marker, columns->n));
    columns->n++;
}

const char *rb_expr_write(struct rb *rb, const PgQuery__Node *node, const char *prefix)
{
    struct columns *columns = rb_alloc(rb, sizeof *columns);
    columns->rb = rb;
    PgQuery__Node *copy = rb_node_copy(rb, node);
    mark(&copy->base, columns);
    const char *text = rb_deparse_expr(rb, copy);
    struct rb_token *tokens;
    size_t n, offset, done = 0;
    const char *message;
    if (text == NULL || !rb_scan(rb, text, &tokens, &n, &message, &offset))
        return NULL;
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    for (size_t i = 0; i < n; i++) {
        const char *word = text + tokens[i].start;
        uint32_t k;
        size_t length = tokens[i].end - tokens[i].start;
        if (tokens[i].token != PG_QUERY__TOKEN__IDENT || length < sizeof marker ||
            strncmp(word, marker, sizeof marker - 1) != 0 ||
            !rb_number(rb_copy(rb, word + sizeof marker - 1, length - sizeof marker + 1), (uint32_t)columns->n, &k) ||
            k >= columns->n)
            continue;
        zdm_buffer_append(&b, text + done, tokens[i].start - done);
        zdm_buffer_printf(&b, "%s.%s", prefix, rb_quote(rb, columns->names[k]));
        done = tokens[i].end;
    }
    zdm_buffer_puts(&b, text + done);
    return rb_take(rb, &b);
}
