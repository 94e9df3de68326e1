/*
 * clone.c - the server is the judge (database.md 17): each ALTER TABLE runs first on an empty clone, where a change of
 * the file node shows that the real table would be written anew under an exclusive lock.
 */
#include "agent/engine/postgresql/ddl.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const char *skip_space(const char *c)
{
    while (isspace((unsigned char)*c)) {
        c++;
    }
    return c;
}

/* Behind the word, or NULL. */
static const char *skip_word(const char *c, const char *word)
{
    size_t n = strlen(word);
    c = skip_space(c);
    return strncasecmp(c, word, n) == 0 && !isalnum((unsigned char)c[n]) && c[n] != '_' ? c + n : NULL;
}

static const char *skip_words(const char *c, const char *a, const char *b)
{
    const char *next = skip_word(c, a);
    next = next == NULL || b == NULL ? next : skip_word(next, b);
    return next == NULL ? c : next;
}

/* Reads one identifier, folded and unquoted as the server does; NULL when there is none. */
static const char *read_identifier(const char *c, char out[ZDM_IDENTIFIER_MAX + 1])
{
    size_t n = 0;
    bool quoted = *(c = skip_space(c)) == '"';
    for (c += quoted; *c != '\0'; c++) {
        if (quoted && *c == '"' && c[1] != '"') {
            break;
        }
        if (!quoted && !isalnum((unsigned char)*c) && *c != '_' && *c != '$' && (unsigned char)*c < 0x80) {
            break;
        }
        c += quoted && *c == '"';
        if (n == ZDM_IDENTIFIER_MAX) {
            return NULL;
        }
        out[n++] = quoted ? *c : (char)tolower((unsigned char)*c);
    }
    out[n] = '\0';
    if (n == 0 || (quoted && *c != '"')) {
        return NULL;
    }
    return c + quoted;
}

bool pgsql_retarget(struct zdm_buffer *out, const char *sql, const struct zdm_table *table, const char *other)
{
    char first[ZDM_IDENTIFIER_MAX + 1], second[ZDM_IDENTIFIER_MAX + 1];
    const char *c = skip_word(sql, "ALTER");
    c = c == NULL ? NULL : skip_word(c, "TABLE");
    if (c == NULL) {
        return false;
    }
    c = skip_words(skip_words(c, "IF", "EXISTS"), "ONLY", NULL);
    c = read_identifier(c, first);
    if (c == NULL) {
        return false;
    }
    bool qualified = *skip_space(c) == '.';
    if (qualified) {
        c = read_identifier(skip_space(c) + 1, second);
    }
    if (c == NULL || (qualified && strcmp(first, table->schema) != 0) ||
        strcmp(qualified ? second : first, table->name) != 0) {
        return false;
    }
    zdm_buffer_printf(out, "ALTER TABLE %s %s", other, c);
    return true;
}

static enum zdm_code file_node(struct pgsql_work *w, char out[24], struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, "SELECT pg_relation_filenode('zdm.clone')", 0, NULL, &res, err);
    if (code == ZDM_OK) {
        zdm_copy_text(out, 24, pgsql_text(res, 0, 0) == NULL ? "" : pgsql_text(res, 0, 0));
    }
    return code;
}

static enum zdm_code try_on_clone(struct pgsql_work *w, const char *sql, bool *rewritten, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer make = ZDM_BUFFER_INIT;
    char before[24], after[24];
    zdm_buffer_puts(&make, "CREATE TABLE zdm.clone (LIKE ");
    pgsql_put_table(&make, &w->step->table);
    zdm_buffer_puts(&make, " INCLUDING ALL)");
    enum zdm_code code = pgsql_script(w->s, zdm_buffer_text(&make), NULL, err);
    if (code == ZDM_OK) {
        code = file_node(w, before, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, sql, 0, NULL, NULL, err);
    }
    if (code == ZDM_OK) {
        code = file_node(w, after, err);
    }
    *rewritten = code == ZDM_OK && strcmp(before, after) != 0;
    return code;
}

enum zdm_code pgsql_prove_on_clone(struct pgsql_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer settings = ZDM_BUFFER_INIT;
    bool rewritten = false;
    if (w->memory->clone_proved) {
        return ZDM_OK;
    }
    if (!pgsql_retarget(&sql, w->step->sql, &w->step->table, "zdm.clone")) {
        return zdm_error_set(err, ZDM_REFUSED, "the statement of step %s is no ALTER TABLE of %s.%s", w->step->id,
                             w->step->table.schema, w->step->table.name);
    }
    zdm_buffer_puts(&settings,
                    "SET LOCAL lock_timeout = 100; SET LOCAL statement_timeout = 5000; SET LOCAL search_path "
                    "= pg_catalog, ");
    pgsql_put_name(&settings, w->step->table.schema);
    zdm_buffer_puts(&settings, ";");
    enum zdm_code code = pgsql_begin(w->s, zdm_buffer_text(&settings), err);
    if (code == ZDM_OK) {
        code = try_on_clone(w, zdm_buffer_text(&sql), &rewritten, err);
    }
    pgsql_rollback(w->s);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while trying the statement on an empty clone");
    }
    if (rewritten) {
        zdm_error_set(err, ZDM_REFUSED, "the statement would write all of %s.%s anew under an exclusive lock",
                      w->step->table.schema, w->step->table.name);
        return zdm_error_hint(err, "Add the column without what makes the server rewrite the table (a volatile "
                                   "default, a domain with constraints), then backfill it.");
    }
    w->memory->clone_proved = true;
    return ZDM_OK;
}
