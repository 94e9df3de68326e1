/*
 * statements.c - every statement that the agent's role ran, as the database logged it, against what it may run: the SQL
 * of the plans that an operator signed and the agent was given, and the agent's fixed templates (templates.txt).
 *
 * A statement is normalised (literals, numbers, names that the agent makes up), and then must be one of the templates
 * from its first byte to its last. In a template, {sql}, {table}, {column}, {expr} and {filter} stand for what the
 * plans hold; nothing else is free. Reads of the catalogue and of the journal are known by what they read from, writes
 * into the journal's own tables by what they write to.
 */
#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/attack/attack.h"
#include "tests/support/postgres.h"

enum {
    TEMPLATES_MAX = 512,
    DISTINCT_MAX = 4096,
    LINE_MAX_BYTES = 65536,
    CSV_USER = 1,
    CSV_SEVERITY = 11,
    CSV_MESSAGE = 13
};

static const char class_name[] = "statements of the agent's role that are nobody's";

/* ---- Normalising ---- */

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Behind a literal that begins at text: '…' with '' inside. */
static const char *skip_literal(const char *text)
{
    for (text++; *text != '\0'; text++) {
        if (*text == '\'' && text[1] != '\'')
            return text + 1;
        if (*text == '\'')
            text++;
    }
    return text;
}

/* Names that the agent derives: "~zdm_1a2b3c4d…", zdm."f_1a2b3c4d_002_i", "zdm_trash_1a2b3c4d", zdm."undo_1a2b3c4d". */
static size_t made_up(const char *text)
{
    static const char *const prefixes[] = {"\"~zdm_", "\"f_", "\"zdm_trash_", "\"undo_"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n = strlen(prefixes[i]);
        if (strncmp(text, prefixes[i], n) != 0)
            continue;
        n += strspn(text + n, "0123456789abcdefghijklmnopqrstuvwxyz_");
        return text[n] == '"' ? n + 1 : 0;
    }
    return 0;
}

static void normalise(const char *text, struct zdm_buffer *out)
{
    char last = ' ';
    zdm_buffer_reset(out);
    while (*text != '\0') {
        size_t name = made_up(text);
        const char *from = text;
        if (name > 0) {
            zdm_buffer_puts(out, text[1] == '~'   ? "\"~\""
                                 : text[1] == 'z' ? "\"trash\""
                                 : text[1] == 'u' ? "\"undo\""
                                                  : "\"f\"");
            text += name;
        } else if (*text == '\'') {
            text = skip_literal(text);
            zdm_buffer_puts(out, "'?'");
        } else if (isdigit((unsigned char)*text) && !is_word(last)) {
            text += strspn(text, "0123456789");
            zdm_buffer_puts(out, "#");
        } else if (isspace((unsigned char)*text)) {
            text += strspn(text, " \t\r\n");
            zdm_buffer_puts(out, " ");
        } else {
            zdm_buffer_append(out, text++, 1);
        }
        last = from[text - from - 1];
    }
    while (out->len > 0 && out->data[out->len - 1] == ' ')
        out->data[--out->len] = '\0';
}

/* ---- Templates ---- */

static regex_t templates[TEMPLATES_MAX];
static size_t n_templates;

static void put_escaped(struct zdm_buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("\\^$.[]|()?*+{}", *text) != NULL)
            zdm_buffer_puts(out, "\\");
        zdm_buffer_append(out, text, 1);
    }
}

static void put_choice(struct zdm_buffer *out, const char *text)
{
    struct zdm_buffer normal = ZDM_BUFFER_INIT;
    if (text == NULL)
        return;
    normalise(text, &normal);
    zdm_buffer_puts(out, "|");
    put_escaped(out, zdm_buffer_text(&normal));
    zdm_buffer_fini(&normal);
}

static void put_table(struct zdm_buffer *out, const struct zdm_table *table)
{
    char quoted[160], plain[160];
    snprintf(quoted, sizeof quoted, "\"%s\".\"%s\"", table->schema, table->name);
    snprintf(plain, sizeof plain, "%s.%s", table->schema, table->name);
    put_choice(out, quoted);
    put_choice(out, plain);
}

static void put_column(struct zdm_buffer *out, const char *column)
{
    char quoted[80];
    if (column == NULL)
        return;
    snprintf(quoted, sizeof quoted, "\"%s\"", column);
    put_choice(out, quoted);
    put_choice(out, column);
}

static void put_derivation(struct zdm_buffer *out, const char *macro, const struct zdm_derivation *d)
{
    for (size_t i = 0; d != NULL && i < d->n_assignments; i++) {
        if (strcmp(macro, "expr") == 0)
            put_choice(out, d->assignments[i].expr);
        if (strcmp(macro, "column") == 0)
            put_column(out, d->assignments[i].target);
    }
    if (d != NULL && strcmp(macro, "filter") == 0) {
        put_choice(out, d->guard);
        put_choice(out, d->filter);
    }
}

/* What a plan's ALTER TABLE does to its table, which a clone is tried with. */
static void put_change(struct zdm_buffer *out, const struct zdm_step *step)
{
    char head[160];
    int n = snprintf(head, sizeof head, "ALTER TABLE \"%s\".\"%s\" ", step->table.schema, step->table.name);
    if (step->sql != NULL && strncmp(step->sql, head, (size_t)n) == 0)
        put_choice(out, step->sql + n);
}

static void put_step(struct zdm_buffer *out, const char *macro, const struct zdm_step *step)
{
    if (strcmp(macro, "sql") == 0) {
        put_choice(out, step->sql);
        put_choice(out, step->inverse_sql);
        put_choice(out, step->proof_sql);
        put_choice(out, step->wait != NULL ? step->wait->until : NULL);
    }
    if (strcmp(macro, "change") == 0)
        put_change(out, step);
    if (strcmp(macro, "name") == 0)
        put_column(out, step->table.name);
    if (strcmp(macro, "schema") == 0)
        put_column(out, step->table.schema);
    if (strcmp(macro, "table") == 0) {
        put_table(out, &step->table);
        for (size_t i = 0; i < step->n_others; i++)
            put_table(out, &step->others[i]);
    }
    if (strcmp(macro, "object") == 0)
        put_column(out, step->object);
    if (strcmp(macro, "column") == 0)
        put_column(out, step->column);
    put_derivation(out, macro, step->derivation);
}

/* All that the plans which the agent was given say in this place. */
static void put_macro(const struct world *w, struct zdm_buffer *out, const char *macro)
{
    static const enum plan_name given[] = {PLAN_ATTACK, PLAN_OTHER, PLAN_KINDS, PLAN_AMENDED};
    zdm_buffer_puts(out, "(\001"); /* matches nothing */
    for (size_t p = 0; p < sizeof given / sizeof *given; p++)
        for (uint32_t o = 1; o <= zdm_plan_n_steps(w->plans[given[p]].plan); o++) {
            const struct zdm_step *step = zdm_plan_step(w->plans[given[p]].plan, o);
            if (step->action != ZDM_ACTION_GATE_FLAG)
                put_step(out, macro, step);
        }
    zdm_buffer_puts(out, ")");
}

static void add_template(const struct world *w, const char *line)
{
    struct zdm_buffer pattern = ZDM_BUFFER_INIT;
    char piece[LINE_MAX_BYTES];
    zdm_buffer_puts(&pattern, "^");
    while (*line != '\0') {
        size_t n = strcspn(line, "{");
        snprintf(piece, sizeof piece, "%.*s", (int)n, line);
        put_escaped(&pattern, piece);
        line += n;
        if (*line == '{') {
            n = strcspn(line, "}");
            snprintf(piece, sizeof piece, "%.*s", (int)n - 1, line + 1);
            put_macro(w, &pattern, piece);
            line += n + (line[n] == '}');
        }
    }
    zdm_buffer_puts(&pattern, "$");
    if (n_templates == TEMPLATES_MAX ||
        regcomp(&templates[n_templates++], zdm_buffer_text(&pattern), REG_EXTENDED | REG_NOSUB) != 0)
        world_fail("template: %s", zdm_buffer_text(&pattern));
    zdm_buffer_fini(&pattern);
}

static void read_templates(const struct world *w, const char *file)
{
    static char line[LINE_MAX_BYTES];
    FILE *in = fopen(file, "r");
    if (in == NULL)
        world_fail("%s cannot be read", file);
    while (fgets(line, sizeof line, in) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '#' && line[0] != '\0')
            add_template(w, line);
    }
    fclose(in);
}

/* ---- Reads of the catalogue and of the journal ---- */

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = text; (at = strcasestr(at, word)) != NULL; at += n)
        if ((at == text || !is_word(at[-1])) && !is_word(at[n]))
            return true;
    return false;
}

static bool writes(const char *text)
{
    static const char *const words[] = {"insert",       "update",
                                        "delete",       "merge",
                                        "truncate",     "alter",
                                        "create",       "drop",
                                        "grant",        "revoke",
                                        "copy",         "call",
                                        "do",           "into",
                                        "set_config",   "lo_import",
                                        "lo_export",    "lo_unlink",
                                        "dblink",       "nextval",
                                        "setval",       "pg_terminate_backend",
                                        "pg_read_file", "pg_write_file",
                                        "query_to_xml"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (has_word(text, words[i]))
            return true;
    return strchr(text, ';') != NULL;
}

/* What stands behind FROM or JOIN: the catalogue, the journal, something in parentheses, or a name of this statement.
 */
static bool is_own_source(const char *text, const char *at)
{
    char name[80], cte[100];
    size_t n = 0;
    if (strncmp(at, "LATERAL ", 8) == 0)
        at += 8;
    if (strncmp(at, "pg_", 3) == 0 || strncmp(at, "zdm.", 4) == 0 || *at == '(' || strncmp(at, "unnest(", 7) == 0)
        return true;
    while (is_word(at[n]) && n < sizeof name - 1) {
        name[n] = at[n];
        n++;
    }
    name[n] = '\0';
    snprintf(cte, sizeof cte, "%s AS (", name);
    return n > 0 && strstr(text, cte) != NULL;
}

static bool reads_only_own(const char *text)
{
    static const char *const sources[] = {" FROM ", " JOIN "};
    if ((strncmp(text, "SELECT ", 7) != 0 && strncmp(text, "WITH ", 5) != 0) || writes(text))
        return false;
    for (size_t i = 0; i < 2; i++)
        for (const char *at = text; (at = strstr(at, sources[i])) != NULL; at += 6) {
            bool no_source = (at - text >= 8 && strncmp(at - 8, "DISTINCT", 8) == 0) ||
                             (at - text >= 5 && strncmp(at - 5, "epoch", 5) == 0);
            if (!no_source && strncmp(at + 6, "WHERE", 5) != 0 && !is_own_source(text, at + 6))
                return false;
        }
    return true;
}

/* ---- Writes into the journal ---- */

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool is_journal(const char *text)
{
    static const char *const tables[] = {"zdm.plan ",        "zdm.migration ",   "zdm.spent ",     "zdm.sync ",
                                         "zdm.owned ",       "zdm.hidden ",      "zdm.walk_back ", "zdm.compared ",
                                         "zdm.interrupted ", "zdm.index_scans ", "zdm.former "};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (begins(text, tables[i]))
            return true;
    return false;
}

/* Each writing word of the statement, with what may stand behind it. */
static bool writes_only_journal(const char *text)
{
    static const char *const harmless[] = {"UPDATE SET ", "INTO zdm.", "DO UPDATE SET ", "DO NOTHING"};
    static const char *const to_table[] = {"INSERT INTO ", "UPDATE ", "DELETE FROM "};
    struct zdm_buffer rest = ZDM_BUFFER_INIT;
    bool any = false;
    for (const char *at = text; *at != '\0';) {
        size_t skip = 0;
        bool at_word = at == text || !is_word(at[-1]);
        for (size_t i = 0; at_word && skip == 0 && i < 4; i++)
            if (begins(at, harmless[i]))
                skip = strlen(harmless[i]);
        for (size_t i = 0; at_word && skip == 0 && i < 3; i++)
            if (begins(at, to_table[i]) && is_journal(at + strlen(to_table[i])))
                any = (skip = strlen(to_table[i])) > 0;
        zdm_buffer_append(&rest, skip > 0 ? " " : at, 1);
        at += skip > 0 ? skip : 1;
    }
    bool only = any && !writes(zdm_buffer_text(&rest));
    zdm_buffer_fini(&rest);
    return only;
}

/* The journal's tables, made in one script: statement by statement. */
static bool makes_journal(const char *text)
{
    static const char schema[] = "DO $$BEGIN IF to_regnamespace('?') IS NULL THEN CREATE SCHEMA zdm; END IF; END$$;";
    static const char *const parts[] = {"CREATE TABLE IF NOT EXISTS zdm.", "ALTER TABLE zdm.", "INSERT INTO zdm.meta "};
    if (!begins(text, schema) && !begins(text, parts[0]) &&
        !(begins(text, parts[1]) && strstr(text, " ADD COLUMN IF NOT EXISTS ") != NULL))
        return false;
    for (text += begins(text, schema) ? strlen(schema) : 0; *text != '\0';
         text += strcspn(text, ";") + (strchr(text, ';') != NULL)) {
        text += strspn(text, " ");
        size_t n = strcspn(text, ";");
        bool adds = begins(text, parts[1]) && memmem(text, n, " ADD COLUMN IF NOT EXISTS ", 26) != NULL;
        if (!begins(text, parts[0]) && !adds && !begins(text, parts[2]))
            return false;
    }
    return true;
}

static bool is_known(const char *text)
{
    if (reads_only_own(text) || writes_only_journal(text) || makes_journal(text))
        return true;
    for (size_t i = 0; i < n_templates; i++)
        if (regexec(&templates[i], text, 0, NULL, 0) == 0)
            return true;
    return false;
}

/* What must be noticed, were it ever run. */
static void try_foreign(void)
{
    static const char *const foreign[] = {
        "DROP TABLE \"public\".\"users\"",
        "DELETE FROM \"public\".\"users\"",
        "ALTER TABLE \"public\".\"users\" ADD COLUMN \"evil\" text",
        "ALTER TABLE \"public\".\"users\" DROP COLUMN \"email\" RESTRICT",
        "ALTER TABLE \"public\".\"users\" DROP COLUMN \"name\"",
        "UPDATE \"public\".\"users\" AS t SET \"name\" = '?'",
        "UPDATE zdm.migration SET step = #; DROP TABLE users",
        "UPDATE zdm.undo_1a2b3c4d SET v = #",
        "WITH x AS (DELETE FROM public.users RETURNING id) SELECT id FROM x",
        "WITH x AS (DELETE FROM zdm.spent RETURNING nonce), y AS (DELETE FROM users) SELECT # FROM x",
        "SELECT email FROM public.users",
        "SELECT pg_terminate_backend(#) FROM pg_stat_activity",
        "SELECT # INTO zdm.copy FROM pg_class",
        "COMMIT; DROP TABLE users",
        "CREATE FUNCTION zdm.\"f\"() RETURNS int LANGUAGE sql AS '?'",
        "GRANT ALL ON SCHEMA zdm TO public",
        "DROP TABLE \"public\".\"items\" RESTRICT; DROP SCHEMA IF EXISTS \"public\" RESTRICT",
        "ALTER TABLE \"public\".\"items\" SET SCHEMA \"zdm\"",
        "DELETE FROM \"public\".\"trials\" AS t WHERE (t.\"done\")",
        "ALTER TABLE zdm.migration DROP COLUMN step; ALTER TABLE zdm.hidden ADD COLUMN IF NOT EXISTS scans bigint",
    };
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        count_control("foreign statements that would be noticed", !is_known(foreign[i]), foreign[i]);
}

/* ---- The log ---- */

static char *seen[DISTINCT_MAX];
static size_t n_seen;
static unsigned long n_judged;

static bool is_new(const char *text)
{
    for (size_t i = 0; i < n_seen; i++)
        if (strcmp(seen[i], text) == 0)
            return false;
    if (n_seen < DISTINCT_MAX)
        seen[n_seen++] = zdm_strdup(text);
    return true;
}

static void judge(const char *message)
{
    static struct zdm_buffer normal;
    const char *text = strncmp(message, "statement: ", 11) == 0 ? message + 11 : NULL;
    if (text == NULL && strncmp(message, "execute ", 8) == 0) {
        text = strchr(message, ':');
        text = text != NULL ? text + 2 : NULL;
    }
    if (text == NULL)
        return; /* what the server says about a session, and no statement */
    n_judged++;
    normalise(text, &normal);
    if (is_new(zdm_buffer_text(&normal)) && !is_known(zdm_buffer_text(&normal)))
        count_accepted(class_name, "%s\n  (a template of the agent's own belongs into tests/attack/templates.txt)",
                       zdm_buffer_text(&normal));
}

/* One field of a CSV record; false at the end of the record. */
static bool read_field(FILE *in, struct zdm_buffer *out, bool *out_end)
{
    int c = getc(in);
    bool quoted = c == '"';
    zdm_buffer_reset(out);
    *out_end = c == EOF;
    if (quoted)
        c = getc(in);
    for (;; c = getc(in)) {
        if (quoted && c == '"') {
            c = getc(in);
            quoted = c == '"';
        }
        if (c == EOF || (!quoted && (c == ',' || c == '\n')))
            return c == ',';
        zdm_buffer_append(out, &(char){(char)c}, 1);
        if (quoted && c == '"')
            continue;
    }
}

void attack_judge_statements(struct world *w, const char *file)
{
    char path[320], *user = NULL, *message = NULL;
    struct zdm_buffer field = ZDM_BUFFER_INIT;
    bool end = false;
    unsigned at = 0;
    read_templates(w, file);
    try_foreign();
    snprintf(path, sizeof path, "%s/statements/statements.csv", test_pg_directory(w->pg));
    FILE *in = fopen(path, "r");
    if (in == NULL)
        world_fail("%s cannot be read", path);
    while (!end) {
        bool more = read_field(in, &field, &end);
        if (at == CSV_USER || at == CSV_MESSAGE) {
            char **to = at == CSV_USER ? &user : &message;
            free(*to);
            *to = zdm_strdup(zdm_buffer_text(&field));
        }
        if (!more && at > CSV_MESSAGE && strcmp(user, "zdm_agent") == 0)
            judge(message);
        at = more ? at + 1 : 0;
    }
    free(user);
    free(message);
    fclose(in);
    zdm_buffer_fini(&field);
    count_sent(class_name, 0);
    printf("%lu statements of the agent's role, %zu different ones\n", n_judged, n_seen);
    count_control("statements that were judged at all", n_seen > 50, "the server's log holds too few");
}
