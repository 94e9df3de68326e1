/*
 * form.c - see form.h.
 */
#include "common/plan/form.h"

#include <string.h>

#include "common/base/buffer.h"

/* ---- The scanner ---- */

enum token {
    TOKEN_END,
    TOKEN_BLANK,
    TOKEN_WORD, /* a name or a number */
    TOKEN_TEXT, /* quoted, whatever the quotes */
    TOKEN_SIGN, /* one character */
    TOKEN_COMMENT,
    TOKEN_BROKEN /* does not end, or is read differently by two releases */
};

struct scan {
    const char *sql;
    size_t n;
    size_t start, at; /* the token at hand */
    long depth;       /* of parentheses, behind it */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static char peek(const struct scan *s, size_t i)
{
    return i < s->n ? s->sql[i] : '\0';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_word(const struct scan *s, const char *word)
{
    size_t n = strlen(word);
    bool same = s->at - s->start == n;
    for (size_t i = 0; same && i < n; i++)
        same = lower(s->sql[s->start + i]) == word[i];
    return same;
}

/* From the quote at `at`. A text of escapes may go on behind a line end, where its escapes go on too: not taken. */
static enum token take_quoted(struct scan *s, bool escapes)
{
    char quote = s->sql[s->at++];
    for (; s->at < s->n; s->at++) {
        if (escapes && s->sql[s->at] == '\\')
            s->at++;
        else if (s->sql[s->at] == quote && peek(s, s->at + 1) == quote)
            s->at++;
        else if (s->sql[s->at] == quote)
            break;
    }
    if (s->at >= s->n)
        return TOKEN_BROKEN;
    size_t behind = ++s->at;
    while (escapes && is_blank(peek(s, behind)))
        behind++;
    bool goes_on = escapes && (peek(s, behind) == '\'' || (peek(s, behind) == '-' && peek(s, behind + 1) == '-'));
    return goes_on ? TOKEN_BROKEN : TOKEN_TEXT;
}

/* $$ … $$ and $tag$ … $tag$; a lone $ is a sign. */
static enum token take_dollar(struct scan *s)
{
    size_t end = s->at + 1;
    while (is_letter(peek(s, end)) || (end > s->at + 1 && is_digit(peek(s, end))))
        end++;
    if (peek(s, end) != '$') {
        s->at++;
        return TOKEN_SIGN;
    }
    size_t n = end + 1 - s->at;
    for (size_t i = end + 1; i + n <= s->n; i++)
        if (memcmp(s->sql + i, s->sql + s->at, n) == 0) {
            s->at = i + n;
            return TOKEN_TEXT;
        }
    return TOKEN_BROKEN;
}

/* Comments in slashes nest. */
static enum token take_comment(struct scan *s)
{
    unsigned open = 0;
    if (s->sql[s->at] == '-') {
        while (s->at < s->n && s->sql[s->at] != '\n' && s->sql[s->at] != '\r')
            s->at++;
        return TOKEN_COMMENT;
    }
    do {
        bool opens = peek(s, s->at) == '/' && peek(s, s->at + 1) == '*';
        bool closes = peek(s, s->at) == '*' && peek(s, s->at + 1) == '/';
        open += opens;
        open -= closes;
        s->at += opens || closes ? 2 : 1;
    } while (open > 0 && s->at < s->n);
    return open > 0 || s->at > s->n ? TOKEN_BROKEN : TOKEN_COMMENT;
}

static enum token take_word(struct scan *s)
{
    bool number = is_digit(s->sql[s->at]);
    while (is_letter(peek(s, s->at)) || is_digit(peek(s, s->at)) || (!number && peek(s, s->at) == '$'))
        s->at++;
    char next = peek(s, s->at);
    if (number && (next == '\'' || next == '$'))
        return TOKEN_BROKEN;
    if (next == '\'' && is_word(s, "e"))
        return take_quoted(s, true);
    return TOKEN_WORD;
}

static enum token next_token(struct scan *s)
{
    char c = peek(s, s->at), behind = peek(s, s->at + 1);
    s->start = s->at;
    if (s->at >= s->n)
        return TOKEN_END;
    if (is_blank(c)) {
        s->at++;
        return TOKEN_BLANK;
    }
    if (c == '\'' || c == '"')
        return take_quoted(s, false);
    if (is_letter(c) || is_digit(c))
        return take_word(s);
    if (c == '$')
        return take_dollar(s);
    if ((c == '-' && behind == '-') || (c == '/' && behind == '*'))
        return take_comment(s);
    s->at++;
    s->depth += (c == '(' || c == '[') - (c == ')' || c == ']');
    return TOKEN_SIGN;
}

size_t zdm_sql_token_end(const char *sql, size_t n, size_t at)
{
    struct scan s = {.sql = sql, .n = n, .at = at};
    return next_token(&s) == TOKEN_BROKEN || s.at > n ? n : s.at;
}

/* ---- Closed pieces ---- */

/* Texts in dollars are not taken: the compiler writes none. */
static bool is_fine(const struct scan *s, enum token token, bool list)
{
    char c = s->sql[s->start];
    if (token == TOKEN_BROKEN || token == TOKEN_COMMENT || s->depth < 0)
        return false;
    if ((token == TOKEN_TEXT || token == TOKEN_SIGN) && c == '$')
        return false;
    return token != TOKEN_SIGN || !(c == ';' || (c == ',' && s->depth == 0 && !list));
}

static bool is_closed(const char *sql, size_t n, bool list)
{
    struct scan s = {.sql = sql, .n = n};
    enum token token;
    while ((token = next_token(&s)) != TOKEN_END)
        if (!is_fine(&s, token, list))
            return false;
    return s.depth == 0;
}

bool zdm_sql_is_closed(const char *sql, bool list)
{
    return sql == NULL || is_closed(sql, strlen(sql), list);
}

/* The first word, as the token at hand; false when something else comes first. */
static bool find_word(struct scan *s)
{
    enum token token;
    do
        token = next_token(s);
    while (token == TOKEN_BLANK || token == TOKEN_COMMENT);
    return token == TOKEN_WORD;
}

bool zdm_sql_is_query(const char *sql)
{
    struct scan s = {.sql = sql, .n = strlen(sql)};
    return find_word(&s) && (is_word(&s, "select") || is_word(&s, "with")) && zdm_sql_is_closed(sql, true);
}

/* Is the token one of the words? */
static const char *word_among(const struct scan *s, const char *words)
{
    for (const char *w = words; *w != '\0'; w += strcspn(w, " "), w += *w == ' ') {
        size_t n = strcspn(w, " ");
        bool same = s->at - s->start == n;
        for (size_t i = 0; same && i < n; i++)
            same = lower(s->sql[s->start + i]) == w[i];
        if (same)
            return w;
    }
    return NULL;
}

const char *zdm_sql_find_word(const char *sql, const char *words, bool anywhere)
{
    struct scan s = {.sql = sql, .n = strlen(sql)};
    enum token token;
    while ((token = next_token(&s)) != TOKEN_END && token != TOKEN_BROKEN) {
        const char *found = token == TOKEN_WORD && (anywhere || s.depth == 0) ? word_among(&s, words) : NULL;
        if (found != NULL)
            return found;
    }
    return NULL;
}

bool zdm_sql_lists(const char *sql, const char *word)
{
    struct scan s = {.sql = sql, .n = strlen(sql)};
    enum token token;
    bool begins = false;
    while ((token = next_token(&s)) != TOKEN_END && token != TOKEN_BROKEN) {
        if (token == TOKEN_BLANK || token == TOKEN_COMMENT)
            continue;
        if (begins && token == TOKEN_WORD && is_word(&s, word))
            return true;
        begins = token == TOKEN_SIGN && s.depth == 1 && (sql[s.start] == ',' || sql[s.start] == '(');
        if (token == TOKEN_SIGN && sql[s.start] == ')' && s.depth == 0)
            return false;
    }
    return false;
}

/* The next token is that name, in quotes or as it is. */
static bool take_name(struct scan *s, const char *name)
{
    enum token token;
    do
        token = next_token(s);
    while (token == TOKEN_BLANK);
    const char *text = s->sql + s->start;
    size_t n = s->at - s->start, k = strlen(name);
    if (token == TOKEN_WORD)
        return n == k && memcmp(text, name, n) == 0;
    if (token != TOKEN_TEXT || text[0] != '"')
        return false;
    size_t at = 0;
    for (size_t i = 1; i + 1 < n; i++, at++) {
        i += text[i] == '"';
        if (at >= k || text[i] != name[at])
            return false;
    }
    return at == k;
}

static bool take_words(struct scan *s, const char *words)
{
    for (const char *w = words; *w != '\0'; w += strcspn(w, " "), w += *w == ' ') {
        if (!find_word(s) || word_among(s, w) != w)
            return false;
    }
    return true;
}

bool zdm_sql_is_index_on(const char *sql, const char *name, const struct zdm_table *table)
{
    struct scan s = {.sql = sql, .n = strlen(sql)};
    bool unique = strncmp(sql, "CREATE UNIQUE ", strlen("CREATE UNIQUE ")) == 0;
    return take_words(&s, unique ? "create unique index concurrently" : "create index concurrently") &&
           take_name(&s, name) && take_words(&s, "on") && take_name(&s, table->schema) &&
           next_token(&s) == TOKEN_SIGN && sql[s.start] == '.' && take_name(&s, table->name);
}

/* ---- Statements of a person's own ---- */

/* The first words of statements that would end the transaction which also writes the journal, or that the session would
 * remember after it. */
static const char *statement_fault(const struct scan *at)
{
    static const char *const ends[] = {"abort",   "begin",    "commit",    "end",  "prepare",
                                       "release", "rollback", "savepoint", "start"};
    static const char *const outlives[] = {"discard", "listen", "load", "reset", "unlisten"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (is_word(at, ends[i]))
            return "has a statement that ends the transaction which it is run in";
    for (size_t i = 0; i < sizeof outlives / sizeof *outlives; i++)
        if (is_word(at, outlives[i]))
            return "has a statement that the session would remember";
    struct scan behind = *at;
    if (is_word(at, "set") && !(find_word(&behind) && (is_word(&behind, "local") || is_word(&behind, "constraints"))))
        return "has a setting that the session would remember: write SET LOCAL";
    return is_word(at, "copy") ? "copies from or to the session, which has nothing to copy" : NULL;
}

const char *zdm_sql_statements(const char *sql, size_t *out_n)
{
    struct scan s = {.sql = sql, .n = strlen(sql)};
    bool begun = false;
    enum token token;
    *out_n = 0;
    while ((token = next_token(&s)) != TOKEN_END) {
        if (token == TOKEN_BROKEN || s.depth < 0)
            return "has SQL that does not end where it stands";
        if (token == TOKEN_BLANK || token == TOKEN_COMMENT)
            continue;
        bool ends = token == TOKEN_SIGN && sql[s.start] == ';' && s.depth == 0;
        const char *fault = !begun && token == TOKEN_WORD ? statement_fault(&s) : NULL;
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

static void put_table(struct form *f, const struct zdm_table *table)
{
    put_quoted(f, '"', table->schema);
    zdm_buffer_puts(&f->words, ".");
    put_quoted(f, '"', table->name);
}

static void put_part(struct form *f, char what, const struct zdm_step *step)
{
    static const struct zdm_table none;
    if (what == 't')
        put_table(f, &step->table);
    else if (what == 'p')
        put_table(f, step->n_others > 0 ? &step->others[0] : &none);
    else if (what == 's')
        put_quoted(f, '"', step->table.schema);
    else if (what == 'c')
        put_quoted(f, '"', step->column);
    else if (what == 'o')
        put_quoted(f, '"', step->object);
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
static size_t end_of_piece(const char *sql, size_t n, size_t at, const char *words, size_t n_words)
{
    struct scan s = {.sql = sql, .n = n, .at = at};
    while (s.at < n) {
        if (s.depth == 0 && n_words <= n - s.at && memcmp(sql + s.at, words, n_words) == 0)
            return s.at;
        enum token token = next_token(&s);
        if (token == TOKEN_BROKEN || s.depth < 0)
            break;
    }
    return n;
}

static bool piece_fits(const char *piece, size_t n, char kind)
{
    if (n == 0 || (kind == '?' && piece[0] != ' '))
        return n == 0 && kind == '?';
    return is_closed(piece, n, kind == ',');
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
        size_t end = last ? n - behind : end_of_piece(sql, n, at, words + stop, behind);
        if (!piece_fits(sql + at, end - at, f->pieces[i].kind))
            return false;
        at = end;
    }
    return at == n;
}

bool zdm_form_fits(const char *form, const struct zdm_step *step, const char *sql)
{
    struct form f = {.words = ZDM_BUFFER_INIT, .whole = true};
    write_form(&f, form, step);
    bool fits = f.whole && !f.words.failed && form_fits(&f, sql);
    zdm_buffer_fini(&f.words);
    return fits;
}
