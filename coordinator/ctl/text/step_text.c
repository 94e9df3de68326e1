/*
 * step_text.c - one step of a plan in SQL and in words: what it runs, and how it is undone. See step_text.h.
 */
#include "coordinator/ctl/text/step_text.h"

#include <string.h>

/* Out of sight, and back: what that means for each kind of thing. */
struct sight_row {
    enum zdm_action action;
    const char *text;
};

static const char *sight_text(const struct sight_row *rows, size_t n, const struct zdm_step *step,
                              const char *otherwise)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].action == step->action)
            return rows[i].text;
    return otherwise;
}

static const char *hidden_text(const struct zdm_step *step)
{
    static const struct sight_row rows[] = {
        {ZDM_ACTION_CREATE_TABLE, "the table is moved out of sight, and purged later; a rollback never drops"},
        {ZDM_ACTION_CREATE_TYPE, "the type is moved out of sight, and purged later; a rollback never drops"}};
    return sight_text(rows, sizeof rows / sizeof *rows, step,
                      "the column is hidden, and purged later; a rollback never drops");
}

static const char *unhidden_text(const struct zdm_step *step)
{
    static const struct sight_row rows[] = {
        {ZDM_ACTION_HIDE_TABLE, "the table comes back with its rows"},
        {ZDM_ACTION_HIDE_INDEX, "the index stays"},
        {ZDM_ACTION_LIFT_CONSTRAINT, "the constraint comes back, and is validated"},
        {ZDM_ACTION_DROP_NOT_NULL, "the column is NOT NULL again, once no row is in the way"}};
    if (step->engine == ZDM_ENGINE_MYSQL && step->action == ZDM_ACTION_HIDE_INDEX)
        return "queries use the index again";
    return sight_text(rows, sizeof rows / sizeof *rows, step,
                      step->exact_inverse ? "the column comes back, with all that was written since"
                                          : "the column comes back as it was; rows written since have no value in it");
}

static const char *nothing_text(const struct zdm_step *step)
{
    static const struct sight_row rows[] = {{ZDM_ACTION_WIDEN_TYPE, "none: the wider type stays"},
                                            {ZDM_ACTION_ADD_VALUE, "none: the value stays, unused"}};
    return sight_text(rows, sizeof rows / sizeof *rows, step,
                      step->exact_inverse ? NULL : "none: the old values are overwritten and not kept");
}

const char *ctl_undo_text(const struct zdm_step *step)
{
    switch (step->inverse) {
    case ZDM_INVERSE_NONE:
        return nothing_text(step);
    case ZDM_INVERSE_HIDE:
        return hidden_text(step);
    case ZDM_INVERSE_UNHIDE:
        return unhidden_text(step);
    case ZDM_INVERSE_SQL:
        return step->inverse_sql;
    case ZDM_INVERSE_REMOVE:
        return "the triggers are removed";
    case ZDM_INVERSE_INSTALL:
        return "the triggers are installed again";
    case ZDM_INVERSE_IMAGES:
        return step->action == ZDM_ACTION_DELETE ? "the rows are put back, but where their key is taken"
                                                 : "the old values are written back";
    case ZDM_INVERSE_FORMER:
        return "it becomes what it was before";
    case ZDM_INVERSE_IMPOSSIBLE:
        return "impossible";
    }
    return "";
}

static void quote(struct zdm_buffer *out, enum zdm_engine engine, const char *name)
{
    char mark = engine == ZDM_ENGINE_MYSQL ? '`' : '"';
    zdm_buffer_append(out, &mark, 1);
    for (const char *p = name; *p != '\0'; p++) {
        if (*p == mark)
            zdm_buffer_append(out, &mark, 1);
        zdm_buffer_append(out, p, 1);
    }
    zdm_buffer_append(out, &mark, 1);
}

static void table_sql(struct zdm_buffer *out, enum zdm_engine engine, const char *verb, const struct zdm_table *table)
{
    zdm_buffer_puts(out, verb);
    if (table->schema[0] != '\0') {
        quote(out, engine, table->schema);
        zdm_buffer_puts(out, ".");
    }
    quote(out, engine, table->name);
}

static void put_terms(struct zdm_buffer *out, const struct zdm_derivation *d)
{
    const char *const terms[] = {d->filter, d->guard};
    for (size_t i = 0, n = 0; i < 2; i++) {
        if (terms[i] != NULL)
            zdm_buffer_printf(out, "%s%s", n++ == 0 ? " WHERE " : " AND ", terms[i]);
    }
}

/* What one batch does, without the key range that the agent puts around it. */
static void batch_sql(struct zdm_buffer *out, const struct zdm_step *step)
{
    const struct zdm_derivation *d = step->derivation;
    table_sql(out, step->engine, step->action == ZDM_ACTION_DELETE ? "DELETE FROM " : "UPDATE ", &step->table);
    if (step->action == ZDM_ACTION_DELETE)
        zdm_buffer_puts(out, " t");
    for (size_t i = 0; i < d->n_assignments; i++) {
        zdm_buffer_puts(out, i == 0 ? " t SET " : ", ");
        quote(out, step->engine, d->assignments[i].target);
        zdm_buffer_printf(out, " = %s", d->assignments[i].expr);
    }
    put_terms(out, d);
}

/* "ALTER TABLE … RENAME COLUMN a TO b": verb, the table, a word, a name, a word, the object's name. */
struct made_row {
    enum zdm_action action;
    const char *verb, *before, *between; /* between NULL: nothing of the column, but `last` */
    const char *last;                    /* behind the name; NULL: nothing */
};

static const struct made_row made_rows[] = {
    {ZDM_ACTION_HIDE_COLUMN, "ALTER TABLE ", " RENAME COLUMN ", " TO ", NULL},
    {ZDM_ACTION_PURGE_COLUMN, "ALTER TABLE ", " DROP COLUMN ", NULL, NULL},
    {ZDM_ACTION_LIFT_CONSTRAINT, "ALTER TABLE ", " DROP CONSTRAINT ", NULL, NULL},
    {ZDM_ACTION_HIDE_TABLE, "ALTER TABLE ", " SET SCHEMA ", NULL, NULL},
};

/* MariaDB says the same in other words (MODIFY … INVISIBLE, IGNORED). */
static const struct made_row mysql_rows[] = {
    {ZDM_ACTION_SHOW_COLUMN, "ALTER TABLE ", " ALTER COLUMN ", NULL, " SET VISIBLE"},
    {ZDM_ACTION_HIDE_COLUMN, "ALTER TABLE ", " ALTER COLUMN ", NULL, " SET INVISIBLE"},
    {ZDM_ACTION_PURGE_COLUMN, "ALTER TABLE ", " DROP COLUMN ", NULL, NULL},
    {ZDM_ACTION_LIFT_CONSTRAINT, "ALTER TABLE ", " DROP CONSTRAINT ", NULL, NULL},
    {ZDM_ACTION_HIDE_TABLE, "ALTER TABLE ", " RENAME TO ", NULL, NULL},
    {ZDM_ACTION_HIDE_INDEX, "ALTER TABLE ", " ALTER INDEX ", NULL, " INVISIBLE"},
    {ZDM_ACTION_PURGE_INDEX, "ALTER TABLE ", " DROP INDEX ", NULL, NULL},
};

static void made_sql(struct zdm_buffer *out, const struct zdm_step *step)
{
    bool mysql = step->engine == ZDM_ENGINE_MYSQL;
    const struct made_row *rows = mysql ? mysql_rows : made_rows;
    size_t n = mysql ? sizeof mysql_rows / sizeof *mysql_rows : sizeof made_rows / sizeof *made_rows;
    for (size_t i = 0; i < n; i++) {
        const struct made_row *row = &rows[i];
        const char *name = step->object != NULL ? step->object : step->column;
        if (row->action != step->action || step->table.name == NULL || name == NULL)
            continue;
        table_sql(out, step->engine, row->verb, &step->table);
        zdm_buffer_puts(out, row->before);
        if (row->between != NULL) {
            quote(out, step->engine, step->column);
            zdm_buffer_puts(out, row->between);
        }
        quote(out, step->engine, name);
        zdm_buffer_puts(out, row->last != NULL ? row->last : "");
    }
}

/* The hidden table by the name that it has then. */
static void mysql_object_sql(struct zdm_buffer *out, const struct zdm_step *step)
{
    static char none[] = "";
    const struct zdm_table hidden = {.schema = none, .name = step->object};
    if (step->action == ZDM_ACTION_PURGE_TABLE && hidden.name != NULL)
        table_sql(out, step->engine, "DROP TABLE ", &hidden);
}

/* Of things that are named by a schema of their own. */
static void object_sql(struct zdm_buffer *out, const struct zdm_step *step)
{
    if (step->engine == ZDM_ENGINE_MYSQL) {
        mysql_object_sql(out, step);
        return;
    }
    const struct zdm_table object = {.schema = step->table.schema, .name = step->object};
    const struct zdm_table moved = {.schema = step->object, .name = step->table.name};
    if (step->action == ZDM_ACTION_PURGE_TABLE && moved.schema != NULL && moved.name != NULL)
        table_sql(out, step->engine, "DROP TABLE ", &moved);
    else if (step->action == ZDM_ACTION_PURGE_INDEX && object.name != NULL)
        table_sql(out, step->engine, "DROP INDEX CONCURRENTLY ", &object);
    else if (step->action == ZDM_ACTION_REINDEX && object.name != NULL)
        table_sql(out, step->engine, "REINDEX INDEX CONCURRENTLY ", &object);
    else if (step->action == ZDM_ACTION_REINDEX && step->table.name != NULL)
        table_sql(out, step->engine, "REINDEX TABLE CONCURRENTLY ", &step->table);
}

void ctl_step_sql(struct zdm_buffer *out, const struct zdm_step *step)
{
    if (step->sql != NULL)
        zdm_buffer_puts(out, step->sql);
    else if (step->action == ZDM_ACTION_BACKFILL || step->action == ZDM_ACTION_DELETE)
        batch_sql(out, step);
    else if (step->wait != NULL && step->wait->until != NULL)
        zdm_buffer_puts(out, step->wait->until);
    else
        made_sql(out, step);
    if (out->len == 0)
        object_sql(out, step);
}

const struct zdm_step_notes *ctl_notes_of(const struct zdm_notes *notes, const struct zdm_step *step)
{
    static char empty[] = "";
    static const struct zdm_step_notes none = {.source = empty, .does = empty, .lock = empty};
    return step->ordinal <= notes->n_steps ? &notes->steps[step->ordinal - 1] : &none;
}

const char *ctl_title_of(const struct zdm_notes *notes, const struct zdm_phase *phase)
{
    return phase->number <= notes->n_phases ? notes->phases[phase->number - 1].title : "";
}
