/*
 * validate_sync.c - judges a derivation against the catalogue (database.md 3, 5 and 27), before anything is touched: a
 * trigger that can make the application fail is worse than no migration.
 *
 * Measured on MariaDB 10.11 and MySQL 9.7:
 *  - A generated column is computed before the triggers: when one of the application's changes what it is made of, ours
 *    would read the former value. AUTO_INCREMENT is 0 there.
 *  - A trigger runs in the application's time zone, and cannot change it.
 * What types the expressions have, and whether they may be NULL, the server says: a table is made of them in database
 * zdm, and dropped again.
 */
#include "agent/engine/mysql/walk/sync.h"
#include "agent/engine/mysql/walk/walk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static enum zdm_code judge_shape(const struct mydb_facts *facts, struct zdm_error *err)
{
    const struct zdm_derivation *d = facts->d;
    for (size_t i = 0; i < facts->n_pairs; i++) {
        const struct mydb_pair *pair = &facts->pairs[i];
        if (pair->a->expr_new == NULL || (d->both_ways && (!pair->copy || d->filter != NULL))) {
            return zdm_error_set(err, ZDM_REFUSED, "no trigger can be derived for column %s", pair->a->target);
        }
        if (pair->target.generated || pair->target.auto_increment) {
            return zdm_error_set(err, ZDM_REFUSED, "column %s of %s is %s and cannot be assigned", pair->target.name,
                                 facts->table.name, pair->target.generated ? "generated" : "AUTO_INCREMENT");
        }
    }
    return ZDM_OK;
}

static enum zdm_code judge_sources(const struct mydb_facts *facts, struct zdm_error *err)
{
    for (size_t i = 0; i < facts->n_sources; i++) {
        const struct mydb_column *source = &facts->sources[i];
        if (source->generated) {
            zdm_error_set(err, ZDM_REFUSED, "source column %s of %s is generated", source->name, facts->table.name);
            zdm_error_detail(err, "A trigger would read what it was before another trigger changed its sources.");
            return zdm_error_hint(err, "Write its expression instead of its name.");
        }
        if (source->auto_increment) {
            zdm_error_set(err, ZDM_REFUSED, "source column %s of %s is AUTO_INCREMENT", source->name,
                          facts->table.name);
            return zdm_error_detail(err,
                                    "A BEFORE INSERT trigger sees 0 in it: the server numbers the row afterwards.");
        }
    }
    return ZDM_OK;
}

static bool is_timestamp(const struct mydb_column *column)
{
    return strcmp(column->base, "timestamp") == 0;
}

/* Does the text use the column otherwise than to ask whether it is NULL? */
static bool uses_value(const char *text, const struct mydb_column *column)
{
    static const char *const asks[] = {" IS NULL", " IS NOT NULL"};
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&name, "t.");
    mydb_put_name(&name, column->name);
    size_t n = name.len;
    for (const char *at = text; at != NULL && (at = strstr(at, zdm_buffer_text(&name))) != NULL; at += n) {
        bool only_asks = false;
        for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
            only_asks = only_asks || strncasecmp(at + n, asks[i], strlen(asks[i])) == 0;
        }
        if (!only_asks) {
            return true;
        }
    }
    return false;
}

static bool is_read_by_wall(const struct mydb_facts *facts, const struct mydb_column *source)
{
    bool used = uses_value(facts->d->filter, source);
    for (size_t i = 0; i < facts->n_pairs; i++) {
        used = used || (!facts->pairs[i].copy && uses_value(facts->pairs[i].a->expr, source));
    }
    return is_timestamp(source) && used;
}

/* A copy between timestamps passes the same instant, and whether there is one is the same everywhere; any other use is
 * by the clock on the wall of each session. */
static enum zdm_code judge_time_zone(const struct mydb_facts *facts, struct zdm_error *err)
{
    const struct mydb_column *by_wall = NULL;
    for (size_t i = 0; by_wall == NULL && i < facts->n_pairs; i++) {
        const struct mydb_pair *pair = &facts->pairs[i];
        by_wall = !pair->copy && is_timestamp(&pair->target) ? &pair->target : NULL;
    }
    for (size_t i = 0; by_wall == NULL && i < facts->n_sources; i++) {
        by_wall = is_read_by_wall(facts, &facts->sources[i]) ? &facts->sources[i] : NULL;
    }
    if (by_wall == NULL) {
        return ZDM_OK;
    }
    zdm_error_set(err, ZDM_REFUSED, "what column %s of type %s means depends on the session's time zone", by_wall->name,
                  by_wall->type);
    zdm_error_detail(err, "The trigger runs in the application's time zone, and the backfill in UTC.");
    return zdm_error_hint(err, "Copy it as it is to another timestamp column, or say {no-sync} and fill it by the "
                               "application.");
}

/* ---- Foreign keys ---- */

static bool concerns(const struct mydb_facts *facts, const char *column)
{
    bool found = false;
    for (size_t i = 0; i < facts->n_pairs; i++) {
        found = found || strcasecmp(facts->pairs[i].target.name, column) == 0;
    }
    for (size_t i = 0; i < facts->n_sources; i++) {
        found = found || strcasecmp(facts->sources[i].name, column) == 0;
    }
    for (size_t i = 0; i < facts->key.n; i++) {
        found = found || strcasecmp(facts->key.columns[i].name, column) == 0;
    }
    return found;
}

/* A row that a cascade deletes is gone, and nothing of it is to be kept in step. */
static enum zdm_code judge_cascades(struct mydb_work *w, const struct mydb_facts *facts, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT k.column_name, r.constraint_name, r.update_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT'),"
        " r.update_rule, r.delete_rule FROM information_schema.referential_constraints r JOIN"
        " information_schema.key_column_usage k ON k.constraint_name = r.constraint_name WHERE r.constraint_schema = $1"
        " AND r.table_name = $2 AND k.table_schema = $1 AND k.table_name = $2 AND (r.update_rule IN ('CASCADE', 'SET "
        "NULL', 'SET DEFAULT') OR"
        " r.delete_rule IN ('SET NULL', 'SET DEFAULT'))";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s, sql, 2, (const char *const[]){w->s->database, facts->table.name}, &rows, err);
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        bool on_update = mydb_true(rows, i, 2);
        if (!concerns(facts, mydb_text(rows, i, 0))) {
            continue;
        }
        zdm_error_set(err, ZDM_REFUSED, "foreign key %s of %s changes column %s without triggers",
                      mydb_text(rows, i, 1), facts->table.name, mydb_text(rows, i, 0));
        zdm_error_detail(err, "Its ON %s %s is carried out beneath them: the columns would no longer be in step.",
                         on_update ? "UPDATE" : "DELETE", mydb_text(rows, i, on_update ? 3 : 4));
        return zdm_error_hint(err, "Replace it by a foreign key without that action first.");
    }
    return code;
}

/* ---- Defaults ---- */

/* Texts, numbers, bits and bytes; what has to be computed is none. */
static bool is_literal(const char *sql)
{
    return sql == NULL || strchr("'\"0123456789+-.", sql[0]) != NULL ||
           (sql[0] != '\0' && strchr("bBxXnN", sql[0]) != NULL && sql[1] == '\'') || strcasecmp(sql, "NULL") == 0 ||
           strcasecmp(sql, "true") == 0 || strcasecmp(sql, "false") == 0;
}

/* The values as the column would hold them, for comparing. */
static void put_as(struct zdm_buffer *b, const struct mydb_column *column, const char *value)
{
    const char *v = value == NULL ? "NULL" : value;
    switch (column->family) {
    case MYDB_INTEGER:
    case MYDB_DECIMAL:
        zdm_buffer_printf(b, "CAST(%s AS DECIMAL(65,30))", v);
        return;
    case MYDB_FLOAT:
    case MYDB_BIT:
        zdm_buffer_printf(b, "(%s + 0)", v);
        return;
    case MYDB_TIME:
        if (strcmp(column->base, "time") == 0 || strcmp(column->base, "year") == 0) {
            zdm_buffer_printf(b, "CAST(%s AS CHAR)", v);
        } else {
            zdm_buffer_printf(b, "CAST(%s AS DATETIME(6))", v);
        }
        return;
    case MYDB_TEXT:
    case MYDB_BINARY:
    case MYDB_ENUM:
    case MYDB_JSON:
    case MYDB_NATIVE:
    case MYDB_OTHER:
        break;
    }
    zdm_buffer_printf(b, "CAST(%s AS BINARY)", v);
}

/* Is the column's default byte for byte the initial value that the plan names? */
static enum zdm_code judge_default(struct mydb_work *w, const struct mydb_facts *facts, const struct mydb_pair *pair,
                                   const struct mydb_column *column, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    zdm_buffer_puts(&sql, "SELECT ");
    put_as(&sql, &pair->target, column->default_sql);
    zdm_buffer_puts(&sql, " <=> ");
    put_as(&sql, &pair->target, pair->a->initial);
    if (is_literal(column->default_sql) && is_literal(pair->a->initial) &&
        mydb_run(w->s, zdm_buffer_text(&sql), &rows, &ignored) == ZDM_OK && mydb_true(rows, 0, 0)) {
        return ZDM_OK;
    }
    if (!mydb_is_open(w->s)) {
        *err = ignored;
        return err->code;
    }
    zdm_error_set(err, ZDM_REFUSED, "the default of column %s of %s is %s, not %s", column->name, facts->table.name,
                  column->default_sql == NULL ? "NULL" : column->default_sql,
                  pair->a->initial == NULL ? "NULL" : pair->a->initial);
    zdm_error_detail(err, "The trigger could not tell a value that the application wrote from one that it left out.");
    return zdm_error_hint(err, "Leave the default on the old column only until the switch.");
}

static enum zdm_code judge_defaults(struct mydb_work *w, const struct mydb_facts *facts, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < facts->n_pairs; i++) {
        const struct mydb_pair *pair = &facts->pairs[i];
        code = judge_default(w, facts, pair, &pair->target, err);
        if (code == ZDM_OK && facts->d->both_ways && pair->a->initial != NULL) {
            code = judge_default(w, facts, pair, &pair->source, err);
        }
    }
    return code;
}

/* ---- Types ---- */

static enum zdm_code misfit(const struct mydb_facts *facts, const struct mydb_pair *pair,
                            const struct mydb_column *from, struct zdm_error *err)
{
    bool charset = from->family == MYDB_TEXT && pair->target.family == MYDB_TEXT &&
                   strcmp(from->charset, pair->target.charset) != 0;
    zdm_error_set(err, ZDM_REFUSED, "column %s of type %s%s%s cannot hold every value of %s", pair->target.name,
                  pair->target.type, charset ? " in " : "", charset ? pair->target.charset : "",
                  pair->copy ? pair->source.name : pair->a->expr);
    zdm_error_detail(err, "That is of type %s%s%s: a write to %s that works today would fail, or lose something.",
                     from->type, charset ? " in " : "", charset ? from->charset : "", facts->table.name);
    return zdm_error_hint(err, "Give the new column the type %s, or cast the expression.", from->type);
}

static enum zdm_code judge_value(const struct mydb_facts *facts, const struct mydb_pair *pair,
                                 const struct mydb_column *from, struct zdm_error *err)
{
    bool truth = !pair->copy && pair->target.family == MYDB_INTEGER && mydb_is_truth(pair->a->expr);
    if (!truth && mydb_fit(from, &pair->target) != MYDB_FITS) {
        return misfit(facts, pair, from, err);
    }
    if (pair->target.not_null && !from->not_null) {
        zdm_error_set(err, ZDM_REFUSED, "column %s is NOT NULL, and %s may be NULL", pair->target.name,
                      pair->copy ? pair->source.name : pair->a->expr);
        zdm_error_detail(err, "A write to %s that works today would fail.", facts->table.name);
        return zdm_error_hint(err, "Let the new column be NULL until it is filled, or write COALESCE(…, '…').");
    }
    return ZDM_OK;
}

static enum zdm_code judge_copy(const struct mydb_facts *facts, const struct mydb_pair *pair, struct zdm_error *err)
{
    enum zdm_code code = judge_value(facts, pair, &pair->source, err);
    if (code == ZDM_OK && facts->d->both_ways && mydb_fit(&pair->target, &pair->source) == MYDB_FITS_NOT) {
        zdm_error_set(err, ZDM_REFUSED, "%s (%s) and %s (%s) cannot be kept in step in both directions",
                      pair->source.name, pair->source.type, pair->target.name, pair->target.type);
        return zdm_error_hint(err, "Give the new column the type of the old one.");
    }
    return code;
}

enum { PROBE_NAME_SIZE = 48 };

static bool is_judged_by_type(const struct mydb_pair *pair)
{
    return !pair->copy && !mydb_is_constant(pair);
}

static void put_probe(struct zdm_buffer *b, const struct mydb_facts *facts, const char *probe)
{
    /* A key of its own, where the server asks for one in every table. */
    zdm_buffer_printf(b, "CREATE TABLE zdm.%s (k INT NOT NULL PRIMARY KEY) ENGINE=InnoDB AS SELECT 1 AS k", probe);
    for (size_t i = 0; i < facts->n_pairs; i++) {
        if (is_judged_by_type(&facts->pairs[i])) {
            zdm_buffer_printf(b, ", (%s) AS c%zu", facts->pairs[i].a->expr, i);
        }
    }
    zdm_buffer_puts(b, " FROM ");
    mydb_put_name(b, facts->table.name);
    zdm_buffer_puts(b, " AS t LIMIT 0");
}

static enum zdm_code drop_probe(struct mydb_work *w, const char *probe, struct zdm_error *err)
{
    char sql[64 + PROBE_NAME_SIZE];
    snprintf(sql, sizeof sql, "DROP TABLE IF EXISTS zdm.%s", probe);
    return mydb_run(w->s, sql, NULL, err);
}

static enum zdm_code look_at_probe(struct mydb_work *w, const struct mydb_facts *facts, const char *probe,
                                   struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < facts->n_pairs; i++) {
        struct mydb_column result = {0};
        char column[24];
        if (!is_judged_by_type(&facts->pairs[i])) {
            continue;
        }
        snprintf(column, sizeof column, "c%zu", i);
        code = mydb_column_of(w->s, "zdm", probe, column, &result, err);
        if (code == ZDM_OK) {
            code = judge_value(facts, &facts->pairs[i], &result, err);
        }
        mydb_column_fini(&result);
    }
    return code;
}

static enum zdm_code try_types(struct mydb_work *w, const struct mydb_facts *facts, const char *probe,
                               struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    put_probe(&sql, facts, probe);
    enum zdm_code code = mydb_run(w->s, zdm_buffer_text(&sql), NULL, err);
    return code == ZDM_OK ? look_at_probe(w, facts, probe, err) : code;
}

typedef enum zdm_code try_fn(struct mydb_work *w, const struct mydb_facts *facts, const char *probe,
                             struct zdm_error *err);

/* In a table of its own, of which nothing is left. */
static enum zdm_code with_probe(struct mydb_work *w, const struct mydb_facts *facts, try_fn *try, struct zdm_error *err)
{
    struct zdm_error ignored = ZDM_ERROR_INIT;
    char probe[PROBE_NAME_SIZE], hash[9], whose[sizeof w->s->database + sizeof w->op->migration + 1];
    snprintf(whose, sizeof whose, "%s/%s", w->s->database, w->op->migration); /* a server may hold several shards */
    mydb_short_name(hash, whose);
    snprintf(probe, sizeof probe, "probe_%s_%" PRIu32, hash, w->step->ordinal);
    enum zdm_code code = drop_probe(w, probe, err);
    if (code == ZDM_OK) {
        code = try(w, facts, probe, err);
    }
    if (mydb_is_open(w->s) && drop_probe(w, probe, &ignored) != ZDM_OK && code == ZDM_OK) {
        *err = ignored;
        return err->code;
    }
    return code;
}

static enum zdm_code judge_types(struct mydb_work *w, const struct mydb_facts *facts, struct zdm_error *err)
{
    bool expressions = false, constants = false;
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < facts->n_pairs; i++) {
        const struct mydb_pair *pair = &facts->pairs[i];
        expressions = expressions || is_judged_by_type(pair);
        constants = constants || mydb_is_constant(pair);
        code = pair->copy ? judge_copy(facts, pair, err) : ZDM_OK;
    }
    if (code == ZDM_OK && expressions) {
        code = with_probe(w, facts, try_types, err);
    }
    return code == ZDM_OK && constants ? with_probe(w, facts, mydb_sync_try_constants, err) : code;
}

enum zdm_code mydb_sync_validate(struct mydb_work *w, const struct mydb_facts *facts, struct zdm_error *err)
{
    enum zdm_code code = judge_shape(facts, err);
    if (code == ZDM_OK) {
        code = judge_sources(facts, err);
    }
    /* The fill that follows would be refused. */
    if (code == ZDM_OK) {
        code = mydb_key_keeps(facts->table.name, &facts->key, facts->d, err);
    }
    if (code == ZDM_OK) {
        code = judge_time_zone(facts, err);
    }
    if (code == ZDM_OK) {
        code = judge_cascades(w, facts, err);
    }
    if (code == ZDM_OK) {
        code = judge_defaults(w, facts, err);
    }
    return code == ZDM_OK ? judge_types(w, facts, err) : code;
}
