/*
 * column_rules.c - what a MODIFY would change without having been asked to. Pure.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "agent/engine/mysql/change/ddl.h"

/* ---- Words ---- */

static const char *behind_quoted(const char *p)
{
    char quote = *p++;
    while (*p != '\0' && (*p != quote || p[1] == quote)) {
        p += *p == quote ? 2 : 1;
    }
    return *p == '\0' ? p : p + 1;
}

static bool is_word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$';
}

bool mydb_says(const char *sql, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = sql; *p != '\0';) {
        if (*p == '\'' || *p == '"' || *p == '`') {
            p = behind_quoted(p);
        } else if (is_word_char(*p)) {
            size_t length = 1;
            while (is_word_char(p[length])) {
                length++;
            }
            if (length == n && strncasecmp(p, word, n) == 0) {
                return true;
            }
            p += length;
        } else {
            p++;
        }
    }
    return false;
}

/* ---- What may change ---- */

static bool loses_not_null(const struct mydb_column *a, const struct mydb_column *b)
{
    return a->not_null && !b->not_null;
}

static bool gets_not_null(const struct mydb_column *a, const struct mydb_column *b)
{
    return !a->not_null && b->not_null;
}

static bool differs_in_charset(const struct mydb_column *a, const struct mydb_column *b)
{
    return b->charset[0] != '\0' && a->charset[0] != '\0' && strcmp(a->charset, b->charset) != 0;
}

static bool differs_in_collation(const struct mydb_column *a, const struct mydb_column *b)
{
    return b->collation[0] != '\0' && a->collation[0] != '\0' && strcmp(a->collation, b->collation) != 0;
}

static bool loses_default(const struct mydb_column *a, const struct mydb_column *b)
{
    return a->default_sql != NULL && b->default_sql == NULL;
}

static bool loses_comment(const struct mydb_column *a, const struct mydb_column *b)
{
    return a->comment != NULL && a->comment[0] != '\0' && (b->comment == NULL || b->comment[0] == '\0');
}

static bool loses_auto_increment(const struct mydb_column *a, const struct mydb_column *b)
{
    return a->auto_increment && !b->auto_increment;
}

static bool turns_generated(const struct mydb_column *a, const struct mydb_column *b)
{
    return a->generated != b->generated;
}

static bool loses_on_update(const struct mydb_column *a, const struct mydb_column *b)
{
    return a->definition != NULL && b->definition != NULL && mydb_says(a->definition, "UPDATE") &&
           !mydb_says(b->definition, "UPDATE");
}

static bool differs_in_type(const struct mydb_column *a, const struct mydb_column *b)
{
    return strcmp(mydb_column_type(a), mydb_column_type(b)) != 0;
}

/* What a MODIFY would change without having been asked to. words: the statement says it, so that it was. */
static const struct rule {
    bool (*differs)(const struct mydb_column *before, const struct mydb_column *after);
    bool of_null; /* a rule of steps about NULL, else of the other ones; `both`: of all */
    bool both;
    const char *word;           /* NULL: none would do */
    const char *before, *after; /* of the column's name */
    const char *hint;
} rules[] = {
    {loses_not_null, false, false, NULL, "would take NOT NULL from", "", "Write NOT NULL behind its type."},
    {gets_not_null, false, false, NULL, "would make", " NOT NULL as well",
     "Write the column as it is, and NOT NULL in a statement of its own with {rewrite-ok}."},
    {differs_in_type, true, false, NULL, "would change the type of", " as well",
     "Change the type in a statement of its own."},
    {differs_in_charset, false, true, "CHARSET", "would change the character set of", "",
     "Write its CHARACTER SET and COLLATE behind its type: what is not written becomes the table's."},
    {differs_in_collation, false, true, "COLLATE", "would change the collation of", "",
     "Write its COLLATE behind its type: what is not written becomes the table's."},
    {loses_default, false, true, "DEFAULT", "would take the DEFAULT of", "", "Write its DEFAULT again."},
    {loses_on_update, false, true, NULL, "would take ON UPDATE from", "", "Write its ON UPDATE again."},
    {loses_comment, false, true, "COMMENT", "would take the COMMENT of", "", "Write its COMMENT again."},
    {loses_auto_increment, false, true, NULL, "would take AUTO_INCREMENT from", "", "Write AUTO_INCREMENT again."},
    {turns_generated, false, true, NULL, "would turn", " into a generated column, or into an ordinary one",
     "Add another column, keep both in step, and change over."},
};

static bool was_asked(const struct rule *rule, const char *sql)
{
    if (rule->word == NULL) {
        return false;
    }
    return mydb_says(sql, rule->word) || (strcmp(rule->word, "CHARSET") == 0 && mydb_says(sql, "CHARACTER"));
}

enum zdm_code mydb_column_compare(const struct zdm_step *step, const struct mydb_column *before,
                                  const struct mydb_column *after, struct zdm_error *err)
{
    bool of_null = step->action == ZDM_ACTION_SET_NOT_NULL || step->action == ZDM_ACTION_DROP_NOT_NULL;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const struct rule *rule = &rules[i];
        if ((rule->both || rule->of_null == of_null) && rule->differs(before, after) && !was_asked(rule, step->sql)) {
            zdm_error_set(err, ZDM_REFUSED, "the statement of step %s %s column %s%s", step->id, rule->before,
                          step->column, rule->after);
            zdm_error_detail(err, "It is now: %s", before->definition == NULL ? before->type : before->definition);
            return zdm_error_hint(err, "%s", rule->hint);
        }
    }
    return ZDM_OK;
}
