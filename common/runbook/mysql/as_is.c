/*
 * as_is.c - statements that are run as they are written.
 *
 * What may not run at all is refused here, and what would copy a table or lock writers out by its own words: the agent
 * refuses that again, and asks the server about the rest. The cursor stays at the first token.
 */
#include <string.h>

#include "common/runbook/mysql/parse.h"

/* ---- what cannot be run so ---- */

static const struct {
    const char *first, *second, *rule, *what, *hint;
} not_as_is[] = {
    {"set", NULL, "set", "sessions of the agent have settings of their own", "Leave SET out."},
    {"begin", NULL, "transaction", "the agent begins and ends transactions itself", "Leave BEGIN and COMMIT out."},
    {"start", NULL, "transaction", "the agent begins and ends transactions itself", "Leave it out."},
    {"commit", NULL, "transaction", "the agent begins and ends transactions itself", "Leave BEGIN and COMMIT out."},
    {"rollback", NULL, "transaction", "the agent begins and ends transactions itself", "Leave it out."},
    {"release", NULL, "transaction", "the agent begins and ends transactions itself", "Leave it out."},
    {"reset", NULL, "as-is-session", "RESET takes something away that is not the application's", "Leave RESET out."},
    {"savepoint", NULL, "transaction", "the agent begins and ends transactions itself", "Leave it out."},
    {"xa", NULL, "transaction", "the agent begins and ends transactions itself", "Leave it out."},
    {"lock", NULL, "lock", "a lock of one's own may queue in front of the application",
     "Leave LOCK out: each statement takes its own lock, for at most 100 ms at a time."},
    {"unlock", NULL, "lock", "a lock of one's own may queue in front of the application", "Leave UNLOCK out."},
    {"flush", NULL, "lock", "FLUSH stops every table that it names", "Leave FLUSH out."},
    {"load", NULL, "copy", "LOAD DATA moves rows in, which no plan can repeat",
     "Load the rows by hand between two phases."},
    {"use", NULL, "as-is-session", "it changes the agent's own session", "Leave USE out."},
    {"prepare", NULL, "as-is-session", "it uses the agent's own session", "Write the statement."},
    {"execute", NULL, "as-is-session", "it uses the agent's own session", "Write the statement."},
    {"deallocate", NULL, "as-is-session", "it uses the agent's own session", "Leave it out."},
    {"handler", NULL, "as-is-session", "it uses the agent's own session", "Leave it out."},
    {"kill", NULL, "as-is-session", "it ends the application's sessions", "Leave KILL out."},
    {"create", "temporary", "as-is-session", "a temporary table goes with the agent's session", "Leave it out."},
};

static void judge_as_is(struct my *m)
{
    for (size_t i = 0; i < sizeof not_as_is / sizeof not_as_is[0]; i++) {
        if (my_is(m, 0, not_as_is[i].first) && (not_as_is[i].second == NULL || my_is(m, 1, not_as_is[i].second))) {
            my_fail(m, not_as_is[i].rule, rb_at_start(&m->s), not_as_is[i].hint, "%s", not_as_is[i].what);
            return;
        }
    }
    if (my_peek(m, 0)->kind != MY_WORD)
        my_unexpected(m, "the first word of a statement");
    for (size_t i = 0; i < m->n && !m->failed; i++) {
        const struct my_token *token = &m->tokens[i];
        if (token->kind == MY_TEXT && memchr(m->s.sql + token->start, '\\', token->end - token->start) != NULL)
            my_fail(m, "as-is-backslash", my_place(m, i), "Write the character itself, and a quote twice: 'it''s'.",
                    "agents read a backslash in a text as a backslash, and this is run as it is written");
    }
}

/* ---- what would copy the table, or lock writers out ---- */

static const char gentle_hint[] = "Leave it out: the agent asks the server for the gentlest way, and refuses a copy. "
                                  "Where the table is small, say {rewrite-ok}.";
static const char small_hint[] = "Where the table is small, say {rewrite-ok}; else leave it to a time without writers.";

/* ALGORITHM=x, LOCK x. */
static bool chooses(const struct my *m, size_t i, const char *what, const char *value)
{
    return my_is(m, i, what) && my_is(m, i + (my_is_sign(m, i + 1, "=") ? 2 : 1), value);
}

static const struct {
    const char *what, *value, *message;
} choices[] = {
    {"algorithm", "copy", "ALGORITHM=COPY copies the whole table, and nobody can write meanwhile"},
    {"algorithm", "default", "ALGORITHM=DEFAULT copies the whole table where nothing else will do"},
    {"lock", "shared", "LOCK=SHARED keeps writers away from the table until it is through"},
    {"lock", "exclusive", "LOCK=EXCLUSIVE keeps everybody away from the table until it is through"},
    {"lock", "default", "LOCK=DEFAULT keeps writers away from the table where nothing else will do"},
};

static void judge_choices(struct my *m)
{
    size_t inplace = m->n;
    bool none = false;
    for (size_t i = 0; i < m->n; i++) {
        for (size_t k = 0; k < sizeof choices / sizeof choices[0]; k++) {
            if (chooses(m, i, choices[k].what, choices[k].value))
                my_fail(m, "as-is-online", my_place(m, i), gentle_hint, "%s", choices[k].message);
        }
        if (chooses(m, i, "algorithm", "inplace") || chooses(m, i, "algorithm", "nocopy"))
            inplace = i;
        none = none || chooses(m, i, "lock", "none");
    }
    if (inplace < m->n && !none)
        my_fail(m, "as-is-online", my_place(m, inplace), gentle_hint,
                "without LOCK=NONE writers are kept away from the table where nothing else will do");
}

static void judge_kind(struct my *m)
{
    bool create = my_is(m, 0, "create"), alter = my_is(m, 0, "alter");
    for (size_t i = 1; i < m->n && (alter || i == 1); i++) {
        if ((create || alter) && (my_is(m, i, "fulltext") || my_is(m, i, "spatial")))
            my_fail(m, "as-is-online", my_place(m, i), small_hint,
                    "a FULLTEXT or SPATIAL index is built with writers "
                    "locked out");
    }
    for (size_t i = 2; i < m->n && create && my_is(m, 1, "table"); i++) {
        if (my_is(m, i, "select"))
            my_fail(m, "as-is-online", my_place(m, i), small_hint,
                    "CREATE TABLE … SELECT locks what it reads until it is through");
    }
    if (my_is(m, 0, "drop") && my_is(m, 1, "index") && rb_same_word(my_peek(m, 2)->value, "primary"))
        my_fail(m, "as-is-online", my_place(m, 2), small_hint, "a table without its PRIMARY KEY is written anew");
    if (my_is(m, 0, "optimize") || my_is(m, 0, "repair"))
        my_fail(m, "as-is-online", my_place(m, 0), small_hint, "%s TABLE writes the whole table anew",
                my_is(m, 0, "repair") ? "REPAIR" : "OPTIMIZE");
}

/* The as-is fence itself, or the one that this way back belongs to. */
static bool may_rewrite(const struct my *m)
{
    const struct rb_phase *phase = m->s.phase;
    const struct rb_fence *found = m->s.fence;
    for (size_t i = 0; i < phase->n_fences && phase->fences[i] != m->s.fence; i++) {
        if (m->s.fence->rollback && phase->fences[i]->as_is != RB_AS_IS_NO)
            found = phase->fences[i];
    }
    return found->rewrite_ok;
}

static void judge_online(struct my *m)
{
    bool alter = my_is(m, 0, "alter");
    if (alter && my_is(m, 1, "ignore"))
        my_fail(m, "ignore", my_place(m, 1), "Leave it out.", "IGNORE throws rows away, and says nothing");
    if (alter && my_is(m, 1, "online"))
        my_fail(m, "stated-itself", my_place(m, 1), "Leave it out: the agent asks the server for that by itself.",
                "ALTER ONLINE TABLE is MariaDB's alone");
    if (may_rewrite(m))
        return;
    judge_kind(m);
    bool index = my_is(m, 1, "index") || my_is(m, 2, "index") || my_is(m, 3, "index") || my_is(m, 4, "index");
    if (alter || (index && (my_is(m, 0, "create") || my_is(m, 0, "drop"))))
        judge_choices(m);
}

/* A table that it names behind one of these words; what it makes is not there yet. */
static void take_table(struct my *m, size_t i, struct rb_as_is_text *out)
{
    const struct my_token *name = &m->tokens[i];
    if (i >= m->n || (name->kind != MY_WORD && name->kind != MY_NAME) || my_is(m, i, "select") ||
        my_is_sign(m, i + 1, ".") || out->n_tables == RB_AS_IS_TABLES_MAX)
        return;
    struct rb_table table = {"", name->value};
    if (strlen(table.name) > ZDM_IDENTIFIER_MAX)
        my_fail(m, "name-long", my_place(m, i), "Shorten it.", "a name has more than %d bytes", ZDM_IDENTIFIER_MAX);
    for (size_t k = 0; k < out->n_tables; k++) {
        if (rb_same_table(&out->tables[k], &table))
            return;
    }
    out->tables[out->n_tables++] = table;
}

static void find_tables(struct my *m, struct rb_as_is_text *out)
{
    static const char *const words[] = {"from", "join", "update", "into", "on", "references"};
    bool ddl = my_is(m, 0, "alter") || my_is(m, 0, "truncate") || my_is(m, 0, "rename") || my_is(m, 0, "optimize") ||
               my_is(m, 0, "analyze") || (my_is(m, 0, "drop") && my_is(m, 1, "table"));
    if (ddl)
        take_table(m, my_is(m, 1, "table") ? 2 : 1, out);
    bool on = my_is(m, 0, "create") && !my_is(m, 1, "view") && !my_is(m, 1, "or");
    for (size_t i = 1; i < m->n; i++) {
        for (size_t k = 0; k < sizeof words / sizeof words[0]; k++) {
            if (my_is(m, i - 1, words[k]) && (k != 4 || on))
                take_table(m, i, out);
        }
    }
}

static void read_as_is(struct my *m, void *ctx)
{
    struct rb_as_is_text *out = ctx;
    judge_as_is(m);
    if (!m->failed)
        judge_online(m);
    find_tables(m, out);
    out->sql = out->n_statements++ == 0 ? m->s.sql : rb_format(m->rb, "%s;\n%s", out->sql, m->s.sql);
}

void rb_mysql_as_is(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence, struct rb_as_is_text *out)
{
    *out = (struct rb_as_is_text){.sql = ""};
    (void)my_each(rb, phase, fence, read_as_is, out);
}
