/*
 * form.c - see form.h.
 */
#include "common/plan/form.h"

#include <string.h>

#include "common/base/buffer.h"
#include "common/plan/scan.h"

size_t zdm_sql_token_end(const char *sql, size_t n, size_t at)
{
    struct zdm_scan s = {.sql = sql, .n = n, .at = at};
    return zdm_scan_next(&s) == ZDM_TOKEN_BROKEN || s.at > n ? n : s.at;
}

/* ---- Closed pieces ---- */

/* Texts in dollars are not taken: the compiler writes none. */
static bool is_fine(const struct zdm_scan *s, enum zdm_token token, bool list)
{
    char c = s->sql[s->start];
    if (token == ZDM_TOKEN_BROKEN || token == ZDM_TOKEN_COMMENT || s->depth < 0)
        return false;
    if ((token == ZDM_TOKEN_TEXT || token == ZDM_TOKEN_SIGN) && c == '$')
        return false;
    return token != ZDM_TOKEN_SIGN || !(c == ';' || (c == ',' && s->depth == 0 && !list));
}

static bool is_closed(enum zdm_engine engine, const char *sql, size_t n, bool list)
{
    struct zdm_scan s = {.sql = sql, .n = n, .engine = engine};
    enum zdm_token token;
    while ((token = zdm_scan_next(&s)) != ZDM_TOKEN_END)
        if (!is_fine(&s, token, list))
            return false;
    return s.depth == 0;
}

bool zdm_sql_is_closed(enum zdm_engine engine, const char *sql, bool list)
{
    return sql == NULL || is_closed(engine, sql, strlen(sql), list);
}

bool zdm_sql_is_query(enum zdm_engine engine, const char *sql)
{
    struct zdm_scan s = {.sql = sql, .n = strlen(sql), .engine = engine};
    if (engine == ZDM_ENGINE_MYSQL && zdm_sql_find_word(engine, sql, "into", true) != NULL)
        return false;
    return zdm_scan_word(&s) && (zdm_scan_is(&s, "select") || zdm_scan_is(&s, "with")) &&
           zdm_sql_is_closed(engine, sql, true);
}

const char *zdm_sql_find_word(enum zdm_engine engine, const char *sql, const char *words, bool anywhere)
{
    struct zdm_scan s = {.sql = sql, .n = strlen(sql), .engine = engine};
    enum zdm_token token;
    while ((token = zdm_scan_next(&s)) != ZDM_TOKEN_END && token != ZDM_TOKEN_BROKEN) {
        const char *found = token == ZDM_TOKEN_WORD && (anywhere || s.depth == 0) ? zdm_scan_among(&s, words) : NULL;
        if (found != NULL)
            return found;
    }
    return NULL;
}

bool zdm_sql_lists(enum zdm_engine engine, const char *sql, const char *word)
{
    struct zdm_scan s = {.sql = sql, .n = strlen(sql), .engine = engine};
    enum zdm_token token;
    bool begins = false;
    while ((token = zdm_scan_next(&s)) != ZDM_TOKEN_END && token != ZDM_TOKEN_BROKEN) {
        if (token == ZDM_TOKEN_BLANK || token == ZDM_TOKEN_COMMENT)
            continue;
        if (begins && token == ZDM_TOKEN_WORD && zdm_scan_is(&s, word))
            return true;
        begins = token == ZDM_TOKEN_SIGN && s.depth == 1 && (sql[s.start] == ',' || sql[s.start] == '(');
        if (token == ZDM_TOKEN_SIGN && sql[s.start] == ')' && s.depth == 0)
            return false;
    }
    return false;
}

/* The next token is that name, in quotes or as it is. */
static bool take_name(struct zdm_scan *s, const char *name)
{
    enum zdm_token token;
    do
        token = zdm_scan_next(s);
    while (token == ZDM_TOKEN_BLANK);
    const char *text = s->sql + s->start;
    size_t n = s->at - s->start, k = strlen(name);
    if (token == ZDM_TOKEN_WORD)
        return n == k && memcmp(text, name, n) == 0;
    if (token != ZDM_TOKEN_TEXT || text[0] != '"')
        return false;
    size_t at = 0;
    for (size_t i = 1; i + 1 < n; i++, at++) {
        i += text[i] == '"';
        if (at >= k || text[i] != name[at])
            return false;
    }
    return at == k;
}

static bool take_words(struct zdm_scan *s, const char *words)
{
    for (const char *w = words; *w != '\0'; w += strcspn(w, " "), w += *w == ' ') {
        if (!zdm_scan_word(s) || zdm_scan_among(s, w) != w)
            return false;
    }
    return true;
}

bool zdm_sql_is_index_on(const char *sql, const char *name, const struct zdm_table *table)
{
    struct zdm_scan s = {.sql = sql, .n = strlen(sql)};
    bool unique = strncmp(sql, "CREATE UNIQUE ", strlen("CREATE UNIQUE ")) == 0;
    return take_words(&s, unique ? "create unique index concurrently" : "create index concurrently") &&
           take_name(&s, name) && take_words(&s, "on") && take_name(&s, table->schema) &&
           zdm_scan_next(&s) == ZDM_TOKEN_SIGN && sql[s.start] == '.' && take_name(&s, table->name);
}

/* ---- Statements of a person's own ---- */

/* The first words of statements that would end the transaction which also writes the journal, or that the session would
 * remember after it. */
static const char *statement_fault(const struct zdm_scan *at)
{
    static const char *const ends[] = {"abort",   "begin",    "commit",    "end",  "prepare",
                                       "release", "rollback", "savepoint", "start"};
    static const char *const outlives[] = {"discard", "listen", "load", "reset", "unlisten"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (zdm_scan_is(at, ends[i]))
            return "has a statement that ends the transaction which it is run in";
    for (size_t i = 0; i < sizeof outlives / sizeof *outlives; i++)
        if (zdm_scan_is(at, outlives[i]))
            return "has a statement that the session would remember";
    struct zdm_scan behind = *at;
    if (zdm_scan_is(at, "set") &&
        !(zdm_scan_word(&behind) && (zdm_scan_is(&behind, "local") || zdm_scan_is(&behind, "constraints"))))
        return "has a setting that the session would remember: write SET LOCAL";
    return zdm_scan_is(at, "copy") ? "copies from or to the session, which has nothing to copy" : NULL;
}

/* MySQL: the first word decides what the statement is; a comment in front of it may be run. */
static const char *mysql_fault(const char *sql)
{
    static const char *const ends[] = {"begin",    "commit",    "execute", "lock",   "prepare", "release",
                                       "rollback", "savepoint", "start",   "unlock", "xa"};
    static const char *const outlives[] = {"deallocate", "delimiter", "handler", "reset", "set", "use"};
    struct zdm_scan s = {.sql = sql, .n = strlen(sql), .engine = ZDM_ENGINE_MYSQL};
    if (!zdm_scan_word(&s))
        return sql[strspn(sql, " \t\r\n")] == '\0' ? "has no statement" : "has a statement that begins with no word";
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (zdm_scan_is(&s, ends[i]))
            return "has a statement that ends the transaction which it is run in";
    for (size_t i = 0; i < sizeof outlives / sizeof *outlives; i++)
        if (zdm_scan_is(&s, outlives[i]))
            return "has a statement that the session would remember";
    return zdm_scan_is(&s, "load") ? "loads from the session, which has nothing to load" : NULL;
}

const char *zdm_sql_statements(enum zdm_engine engine, const char *sql, size_t *out_n)
{
    if (engine == ZDM_ENGINE_MYSQL) {
        *out_n = 1;
        return mysql_fault(sql);
    }
    struct zdm_scan s = {.sql = sql, .n = strlen(sql)};
    bool begun = false;
    enum zdm_token token;
    *out_n = 0;
    while ((token = zdm_scan_next(&s)) != ZDM_TOKEN_END) {
        if (token == ZDM_TOKEN_BROKEN || s.depth < 0)
            return "has SQL that does not end where it stands";
        if (token == ZDM_TOKEN_BLANK || token == ZDM_TOKEN_COMMENT)
            continue;
        bool ends = token == ZDM_TOKEN_SIGN && sql[s.start] == ';' && s.depth == 0;
        const char *fault = !begun && token == ZDM_TOKEN_WORD ? statement_fault(&s) : NULL;
        if (fault != NULL)
            return fault;
        *out_n += !begun && !ends;
        begun = !ends;
    }
    if (s.depth != 0)
        return "has SQL that does not end where it stands";
    return *out_n == 0 ? "has no statement" : NULL;
}

/* ---- Forms ---- */

enum { PIECES_MAX = 3 };

/* The words that are fixed, and where between them the pieces stand. */
struct form {
    struct zdm_buffer words;
    struct {
        size_t at;
        char kind;
    } pieces[PIECES_MAX];
    size_t n_pieces;
    bool whole; /* the step has every name that it asks for */
    enum zdm_engine engine;
};

static void put_quoted(struct form *f, char quote, const char *name)
{
    if (name == NULL) {
        f->whole = false;
        return;
    }
    zdm_buffer_append(&f->words, &quote, 1);
    for (const char *c = name; *c != '\0'; c++) {
        zdm_buffer_append(&f->words, c, 1);
        if (*c == quote)
            zdm_buffer_append(&f->words, c, 1);
    }
    zdm_buffer_append(&f->words, &quote, 1);
}

static void put_name(struct form *f, const char *name)
{
    put_quoted(f, f->engine == ZDM_ENGINE_MYSQL ? '`' : '"', name);
}

static void put_table(struct form *f, const struct zdm_table *table)
{
    if (f->engine != ZDM_ENGINE_MYSQL) {
        put_quoted(f, '"', table->schema);
        zdm_buffer_puts(&f->words, ".");
    }
    put_name(f, table->name);
}

static void put_part(struct form *f, char what, const struct zdm_step *step)
{
    static const struct zdm_table none;
    if (what == 't')
        put_table(f, &step->table);
    else if (what == 'p')
        put_table(f, step->n_others > 0 ? &step->others[0] : &none);
    else if (what == 's')
        put_name(f, step->table.schema);
    else if (what == 'c')
        put_name(f, step->column);
    else if (what == 'o')
        put_name(f, step->object);
    else if (what == 'l')
        put_quoted(f, '\'', step->column);
    else if (f->n_pieces < PIECES_MAX) {
        f->pieces[f->n_pieces].at = f->words.len;
        f->pieces[f->n_pieces++].kind = what;
    }
}

static void write_form(struct form *f, const char *form, const struct zdm_step *step)
{
    for (const char *c = form; *c != '\0'; c++) {
        if (*c == '%')
            put_part(f, *++c, step);
        else
            zdm_buffer_append(&f->words, c, 1);
    }
}

/* Where a piece that begins at `at` ends: at the first place outside of all parentheses and quotes of its own at which
 * the words go on. n when there is none. */
static size_t end_of_piece(const struct form *f, const char *sql, size_t n, size_t at, const char *words,
                           size_t n_words)
{
    struct zdm_scan s = {.sql = sql, .n = n, .at = at, .engine = f->engine};
    while (s.at < n) {
        if (s.depth == 0 && n_words <= n - s.at && memcmp(sql + s.at, words, n_words) == 0)
            return s.at;
        enum zdm_token token = zdm_scan_next(&s);
        if (token == ZDM_TOKEN_BROKEN || s.depth < 0)
            break;
    }
    return n;
}

static bool is_one_text(enum zdm_engine engine, const char *piece, size_t n)
{
    struct zdm_scan s = {.sql = piece, .n = n, .engine = engine};
    return n > 0 && piece[0] == '\'' && zdm_scan_next(&s) == ZDM_TOKEN_TEXT && s.at == n;
}

static bool piece_fits(enum zdm_engine engine, const char *piece, size_t n, char kind)
{
    if (kind == '\'')
        return is_one_text(engine, piece, n);
    if (n == 0 || (kind == '?' && piece[0] != ' '))
        return n == 0 && kind == '?';
    return is_closed(engine, piece, n, kind == ',');
}

static bool form_fits(const struct form *f, const char *sql)
{
    const char *words = zdm_buffer_text(&f->words);
    size_t n = strlen(sql), at = 0, done = 0;
    for (size_t i = 0; i <= f->n_pieces; i++) {
        size_t stop = i < f->n_pieces ? f->pieces[i].at : f->words.len, len = stop - done;
        if (len > n - at || memcmp(sql + at, words + done, len) != 0)
            return false;
        at += len;
        done = stop;
        if (i == f->n_pieces)
            break;
        bool last = i + 1 == f->n_pieces;
        size_t behind = (last ? f->words.len : f->pieces[i + 1].at) - stop;
        if (behind > n - at)
            return false;
        size_t end = last ? n - behind : end_of_piece(f, sql, n, at, words + stop, behind);
        if (!piece_fits(f->engine, sql + at, end - at, f->pieces[i].kind))
            return false;
        at = end;
    }
    return at == n;
}

bool zdm_form_fits(const char *form, const struct zdm_step *step, const char *sql)
{
    struct form f = {.words = ZDM_BUFFER_INIT, .whole = true, .engine = step->engine};
    write_form(&f, form, step);
    bool fits = f.whole && !f.words.failed && form_fits(&f, sql);
    zdm_buffer_fini(&f.words);
    return fits;
}
