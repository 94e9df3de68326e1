/*
 * statements.c - one sql fence: split at semicolons, parse each statement alone (so that an error in one hides none in
 * the others), hand it to its kind.
 */
#include "common/runbook/postgresql/ddl.h"
#include "common/runbook/mysql/mysql.h"

#include <stdio.h>
#include <string.h>

static void dispatch(struct rb_statement *s)
{
    PgQuery__Node *node = s->node;
    switch ((int)node->node_case) {
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT:
        rb_compile_alter(s, node->alter_table_stmt);
        break;
    case PG_QUERY__NODE__NODE_INDEX_STMT:
        rb_compile_index(s, node->index_stmt);
        break;
    case PG_QUERY__NODE__NODE_REINDEX_STMT:
        rb_compile_reindex(s, node->reindex_stmt);
        break;
    case PG_QUERY__NODE__NODE_CREATE_STMT:
        rb_compile_create_table(s, node->create_stmt);
        break;
    case PG_QUERY__NODE__NODE_CREATE_ENUM_STMT:
        rb_compile_create_enum(s, node->create_enum_stmt);
        break;
    case PG_QUERY__NODE__NODE_ALTER_ENUM_STMT:
        rb_compile_alter_enum(s, node->alter_enum_stmt);
        break;
    case PG_QUERY__NODE__NODE_COMMENT_STMT:
        rb_compile_comment(s, node->comment_stmt);
        break;
    case PG_QUERY__NODE__NODE_DROP_STMT:
        rb_compile_drop(s, node->drop_stmt);
        break;
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
        rb_compile_update(s, node->update_stmt);
        break;
    case PG_QUERY__NODE__NODE_DELETE_STMT:
        rb_compile_delete(s, node->delete_stmt);
        break;
    default:
        rb_refuse(s);
        break;
    }
}

void rb_judge_nothing(struct rb *rb, struct rb_place at, size_t steps, size_t findings)
{
    if (rb->n_steps == steps && rb->n_findings == findings)
        rb_error(rb, "statement", at, "Write it more simply, or as-is.",
                 "nothing of this statement came into the plan");
}

static void compile_one(struct rb_statement *s)
{
    const struct rb_step *before = s->phase->last;
    size_t steps = s->rb->n_steps, findings = s->rb->n_findings;
    if (s->fence->check) {
        rb_compile_check(s);
        return;
    }
    dispatch(s);
    rb_judge_nothing(s->rb, rb_at_start(s), steps, findings);
    rb_judge_order(s, before);
}

void rb_not_neutral(struct rb *rb, struct rb_place at, const char *fmt, ...)
{
    char message[ZDM_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    rb_error(rb, "not-neutral", at,
             "Write one fence for each engine: ```sql {engine=postgresql} and ```sql {engine=mysql}.", "%s", message);
}

/* The server's message says where, seldom what to write. `offset` is where it stumbled. NULL: nothing more is known. */
static const char *syntax_hint(const char *sql, const char *message, size_t offset)
{
    static const struct {
        const char *message, *hint;
    } rows[] = {
        {"unterminated quoted string", "Close it with a quote '; a quote inside it is written twice: 'it''s'."},
        {"unterminated quoted identifier", "Close the name with \"."},
        {"unterminated /* comment", "Close the comment with */."},
        {"unterminated dollar-quoted string", "Close it with the same $…$ that it begins with."},
        {"at end of input", "The statement is not complete; a ; may stand too early."},
        {"at or near \";\"", "The statement is not complete: a ) may be missing, or the ; stands too early."},
    };
    static const char *const verbs[] = {"alter ", "update ", "create ", "select ", "drop ", "delete "};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strstr(message, rows[i].message) != NULL)
            return rows[i].hint;
    }
    for (size_t i = 0; offset > 0 && i < sizeof verbs / sizeof verbs[0]; i++) {
        if (rb_same_start(sql + offset, verbs[i], strlen(verbs[i])))
            return "Put a ; between two statements. The text is read with PostgreSQL's own grammar.";
    }
    return NULL;
}

static const char own_grammar[] = "The text is read with PostgreSQL 15's own grammar. What a later version brought "
                                  "runs as-is, inside of DO $$ BEGIN … "
                                  "END $$, where every server has it.";

/* Does GENERATED ALWAYS AS ( … ) end right before token `end`? Parentheses within constants are no tokens. */
static bool ends_expression(const struct rb_statement *s, size_t end)
{
    size_t depth = 0, open = end;
    do {
        if (open == 0)
            return false;
        open--;
        if (rb_token_is(s, &s->tokens[open], ")"))
            depth++;
        else if (depth > 0 && rb_token_is(s, &s->tokens[open], "("))
            depth--;
    } while (depth > 0);
    return open + 1 < end && open >= 3 && rb_token_is(s, &s->tokens[open - 1], "as") &&
           rb_token_is(s, &s->tokens[open - 2], "always") && rb_token_is(s, &s->tokens[open - 3], "generated");
}

/* What later versions read, by the word that 15 stumbles over. */
static const char *later_hint(const struct rb_statement *s, size_t offset)
{
    static const char virtual_hint[] = "A generated column that is not STORED is of PostgreSQL 18, and the grammar is "
                                       "15's. Write the expression where it "
                                       "is read, or a column that an UPDATE in a migrate phase fills and keeps right.";
    static const struct {
        const char *word, *in, *hint; /* in: what the statement holds besides; NULL: whatever */
    } rows[] = {
        {"storage", NULL,
         "STORAGE within a column's definition is of PostgreSQL 16. Add the column without, and write behind it ALTER "
         "TABLE … ALTER COLUMN … SET STORAGE …, as-is: ```sql {as-is lock=short}."},
        {"virtual", NULL, virtual_hint},
        {"default", "statistics",
         "SET STATISTICS DEFAULT is of PostgreSQL 17. Write SET STATISTICS -1, which means the same everywhere."},
        {"not", "constraint",
         "A NOT NULL constraint with a name is of PostgreSQL 18. Write ALTER TABLE … ALTER COLUMN … SET NOT NULL: it "
         "is "
         "proven without blocking writers."},
        {"enforced", NULL,
         "ENFORCED and NOT ENFORCED are of PostgreSQL 18. Leave it out; NOT VALID adds a constraint that rows which "
         "exist "
         "need not fulfil."},
        {"without", "constraint",
         "WITHOUT OVERLAPS is of PostgreSQL 18. Where every server has it, it runs as-is, inside of DO $$ BEGIN … END "
         "$$."},
        {"expression", NULL,
         "SET EXPRESSION is of PostgreSQL 17, and writes the table anew. Write a new column, and an UPDATE that fills "
         "it."},
    };
    const struct rb_token *at = NULL;
    size_t place = 0;
    while (place < s->n_tokens && s->tokens[place].start < offset)
        place++;
    if (place < s->n_tokens)
        at = &s->tokens[place];
    if (ends_expression(s, place))
        return virtual_hint;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool there = rows[i].in == NULL;
        for (size_t j = 0; j < s->n_tokens && !there; j++)
            there = rb_token_is(s, &s->tokens[j], rows[i].in);
        if (there && at != NULL && rb_token_is(s, at, rows[i].word))
            return rows[i].hint;
    }
    return NULL;
}

/* One line of the server's message: what it quotes may run on to the end of the fence. */
static const char *first_line(struct rb *rb, const char *message)
{
    size_t n = strcspn(message, "\r\n");
    return message[n] == '\0' ? message : rb_format(rb, "%.*s…", (int)n, message);
}

/* In a fence for two engines it may be right for the other one. */
static void report_syntax(struct rb_statement *s, const char *message, size_t offset)
{
    struct rb_place at = rb_at(s, (int)offset);
    const char *later = later_hint(s, offset), *hint = later != NULL ? later : syntax_hint(s->sql, message, offset);
    if (hint == NULL && s->rb->neutral)
        rb_error(s->rb, "not-neutral", at,
                 "Mend it, or write one fence for each engine: ```sql {engine=postgresql} and ```sql {engine=mysql}.",
                 "PostgreSQL does not read this: %s", first_line(s->rb, message));
    else
        rb_error(s->rb, "sql-syntax", at, hint != NULL ? hint : own_grammar, "%s", first_line(s->rb, message));
}

/* Tokens first to last of the fence are one statement. */
static void read_statement(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence, const struct rb_token *tokens,
                           size_t n, rb_on_statement *on_statement, void *ctx)
{
    size_t base = tokens[0].start, offset;
    const char *message;
    struct rb_statement s = {.rb = rb, .phase = phase, .fence = fence, .base = base, .n_tokens = n};
    s.sql = rb_copy(rb, fence->text + base, tokens[n - 1].end - base);
    s.tokens = rb_alloc(rb, n * sizeof *s.tokens);
    for (size_t i = 0; i < n; i++)
        s.tokens[i] =
            (struct rb_token){tokens[i].token, tokens[i].start - base, tokens[i].end - base, tokens[i].keyword};
    if (n > RB_TOKENS_MAX || rb->n_statements == RB_STATEMENTS_MAX) {
        rb_error(rb, "too-long", rb_at_start(&s), "Split it.", "%s",
                 n > RB_TOKENS_MAX ? "the statement has more than 2000 words" : "there are more than 512 statements");
        return;
    }
    rb->n_statements++;
    PgQuery__ParseResult *parsed = rb_parse(rb, s.sql, &message, &offset);
    if (parsed == NULL) {
        report_syntax(&s, message, offset);
        return;
    }
    if (parsed->n_stmts != 1 || parsed->stmts[0]->stmt == NULL)
        return;
    s.node = parsed->stmts[0]->stmt;
    on_statement(&s, ctx);
}

static void compile_statement(struct rb_statement *s, void *ctx)
{
    (void)ctx;
    rb_qualify_types(s, &s->node->base);
    compile_one(s);
}

static bool fence_has_batches(const struct rb_phase *phase, const struct rb_fence *fence)
{
    for (const struct rb_step *step = phase->first; step != NULL; step = step->next) {
        if (step->fence == fence &&
            (step->step.action == ZDM_ACTION_BACKFILL || step->step.action == ZDM_ACTION_DELETE))
            return true;
    }
    return false;
}

/* Of a fence without UPDATE and DELETE. Who writes no-undo says that something may be lost: nothing else takes that
 * permission. */
static void judge_attributes(struct rb_phase *phase, const struct rb_fence *fence, struct rb *rb)
{
    bool batches = fence_has_batches(phase, fence);
    if (fence->no_undo && !batches)
        rb_error(rb, "no-undo-unused", rb_attribute_place(fence, "no-undo"), "Leave no-undo out.",
                 "no-undo is for UPDATE, DELETE and as-is: nothing of what they change is kept, and none of them is in "
                 "this fence");
    else if ((fence->batch > 0 || fence->sync || fence->no_sync || fence->skip_triggers) && !batches)
        rb_warning(rb, "attribute-unused", fence->at, NULL,
                   "batch, sync, no-sync and triggers mean something for UPDATE and DELETE only, and there is none in "
                   "this fence");
    else if (fence->rewrite_ok && !rb->neutral)
        rb_warning(rb, "attribute-unused", rb_attribute_place(fence, "rewrite-ok"), NULL,
                   "rewrite-ok means something for as-is only: nothing else of a runbook writes a table anew");
    else if (fence->visible && !rb->neutral)
        rb_warning(rb, "attribute-unused", rb_attribute_place(fence, "visible"), NULL,
                   "visible means something for ADD COLUMN on MySQL and MariaDB only");
}

size_t rb_sql_each(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence, rb_on_statement *on_statement,
                   void *ctx)
{
    struct rb_token *tokens;
    size_t n, offset;
    const char *message;
    if (!rb_scan(rb, fence->text, &tokens, &n, &message, &offset)) {
        rb_error(rb, "sql-syntax", rb_place_in_fence(rb, fence, offset), syntax_hint(fence->text, message, offset),
                 "%s", first_line(rb, message));
        return 0;
    }
    size_t first = 0, depth = 0, statements = 0;
    for (size_t i = 0; i <= n; i++) {
        int token = i < n ? tokens[i].token : ';';
        if (token == '(')
            depth++;
        else if (token == ')' && depth > 0)
            depth--;
        if (i < n && (token != ';' || depth > 0))
            continue;
        if (i > first) {
            read_statement(rb, phase, fence, tokens + first, i - first, on_statement, ctx);
            statements++;
        }
        first = i + 1;
    }
    if (statements == 0)
        rb_warning(rb, "fence-empty", fence->at, NULL, "the fence holds no statement");
    return statements;
}

void rb_sql_compile(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence)
{
    size_t errors = rb->n_errors;
    if (rb->engine == ZDM_ENGINE_MYSQL) {
        rb_mysql_compile(rb, phase, fence);
        return;
    }
    size_t statements = rb_sql_each(rb, phase, fence, compile_statement, NULL);
    if (statements > 0 && errors == rb->n_errors)
        judge_attributes(phase, fence, rb);
}
