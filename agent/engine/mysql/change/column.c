/*
 * column.c - ADD_COLUMN: the column that a plan adds, and how a rollback takes it out of sight.
 *
 * It is added INVISIBLE, so that SELECT * and INSERT without columns stay what they are (database.md 10), unless the
 * plan never shows it. A rollback does not drop it: it goes out of sight under another name (leftover.c), so that the
 * plan can add it anew; its values must not be taken for those that a later backfill would write.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/change/judge.h"
#include "agent/engine/mysql/change/locks.h"
#include "agent/engine/mysql/walk/sync.h"

/* ---- What was written down ---- */

static enum zdm_code is_owned(struct mydb_work *w, const char *table, const char *column, bool *out,
                              struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
    mydb_owned_name(&name, table, column);
    return mydb_owned_is(w, "column", zdm_buffer_text(&name), out, err);
}

enum zdm_code mydb_confirm_fingerprint(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    (void)table;
    return mydb_former_forget_below(w, MYDB_PUSHED, err);
}

enum zdm_code mydb_is_as_intended(struct mydb_work *w, enum mydb_line kind, const char *name, bool *out,
                                  struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *back = NULL;
    ZDM_CLEANUP(zdm_freep) char *intended = NULL;
    ZDM_CLEANUP(zdm_freep) char *line = NULL;
    struct mydb_place place;
    *out = true;
    enum zdm_code code = mydb_journal_place(w, &place, err);
    if (code == ZDM_OK && place.step <= w->step->ordinal) {
        code = mydb_former_read(w, MYDB_FINGERPRINT, &back, &intended, err);
    }
    if (code == ZDM_OK && intended != NULL) {
        code = mydb_line_read(w->s, NULL, w->step->table.name, kind, name, &line, err);
        bool index = kind == MYDB_LINE_INDEX;
        *out = code == ZDM_OK && line != NULL &&
               (index ? mydb_index_is_same(w->s, line, intended) : strcmp(line, intended) == 0);
    }
    return code;
}

enum zdm_code mydb_look_added_column(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                                     struct zdm_error *err)
{
    struct mydb_column column = {0};
    bool found = false, ours = false, same = true;
    enum zdm_code code = mydb_column_look(w->s, table->name, w->step->column, &found, &column, err);
    mydb_column_fini(&column);
    *out_proof = mydb_done_if(found);
    if (code == ZDM_OK && found) {
        code = is_owned(w, table->name, w->step->column, &ours, err);
    }
    if (code == ZDM_OK && ours) {
        code = mydb_is_as_intended(w, MYDB_LINE_COLUMN, w->step->column, &same, err);
    }
    return code != ZDM_OK || !found || (ours && same)
               ? code
               : mydb_look_foreign(out_proof, "column", table->name, w->step->column, err);
}

/* ---- Forward ---- */

/* Does a later step make it visible? */
static bool is_shown_later(const struct mydb_work *w)
{
    for (uint32_t o = w->step->ordinal + 1; o <= zdm_plan_n_steps(w->op->plan); o++) {
        const struct zdm_step *step = zdm_plan_step(w->op->plan, o);
        if (step->action == ZDM_ACTION_SHOW_COLUMN && strcmp(step->table.name, w->step->table.name) == 0 &&
            step->column != NULL && strcasecmp(step->column, w->step->column) == 0) {
            return true;
        }
    }
    return false;
}

/* Where FIRST or AFTER `x` begins at the end of the statement, or its end: INVISIBLE stands before them. */
static size_t behind_definition(const char *sql)
{
    static const char after[] = " AFTER ", first[] = " FIRST";
    size_t n = strlen(sql), i = n;
    if (n > strlen(first) && strcasecmp(sql + n - strlen(first), first) == 0) {
        return n - strlen(first);
    }
    if (n < 3 || sql[n - 1] != '`') {
        return n;
    }
    for (i = n - 1; i > 0 && (sql[i - 1] != '`' || (i > 1 && sql[i - 2] == '`')); i -= sql[i - 1] == '`' ? 2 : 1) {
    }
    size_t head = i > 0 ? i - 1 : 0; /* of the opening quote */
    return head >= strlen(after) && strncasecmp(sql + head - strlen(after), after, strlen(after)) == 0
               ? head - strlen(after)
               : n;
}

void mydb_put_add_column(struct zdm_buffer *out, const char *sql, bool invisible)
{
    size_t at = behind_definition(sql);
    zdm_buffer_append(out, sql, at);
    zdm_buffer_puts(out, invisible ? " INVISIBLE" : "");
    zdm_buffer_puts(out, sql + at);
}

static void put_statement(struct zdm_buffer *out, const struct mydb_work *w)
{
    mydb_put_add_column(out, w->step->sql, is_shown_later(w));
}

/* A later attempt at the lock finds what the first one has learnt. */
static enum zdm_code recall(struct mydb_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *back = NULL;
    free(w->made);
    w->made = NULL;
    bool judged = w->memory != NULL && w->memory->algorithm[0] != '\0';
    return judged ? mydb_former_read(w, MYDB_FINGERPRINT, &back, &w->made, err) : ZDM_OK;
}

enum zdm_code mydb_learn_made(struct mydb_work *w, const struct mydb_table *table, const char *sql, enum mydb_line kind,
                              const char *name, struct zdm_error *err)
{
    char algorithm[MYDB_ALGORITHM_MAX];
    enum zdm_code code = recall(w, err);
    if (code != ZDM_OK || w->made != NULL) {
        return code;
    }
    return mydb_judge_made(w, table, sql, algorithm, kind, name, &w->made, err);
}

enum zdm_code mydb_may_add_column(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    put_statement(&sql, w);
    enum zdm_code code = mydb_learn_made(w, table, zdm_buffer_text(&sql), MYDB_LINE_COLUMN, w->step->column, err);
    if (code != ZDM_OK && strstr(err->message, "nvisible column") != NULL) {
        zdm_error_hint(err,
                       "MariaDB makes no column INVISIBLE that is NOT NULL and has no DEFAULT: give it one, or say "
                       "{visible}.");
    }
    return code;
}

enum zdm_code mydb_intend_made(struct mydb_work *w, const char *kind, const char *table, const char *name,
                               struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer object = ZDM_BUFFER_INIT;
    mydb_owned_name(&object, table, name);
    enum zdm_code code = mydb_owned_put(w, kind, zdm_buffer_text(&object), err);
    return code == ZDM_OK && w->made != NULL ? mydb_former_keep(w, MYDB_FINGERPRINT, "", w->made, err) : code;
}

enum zdm_code mydb_intend_column(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    return mydb_intend_made(w, "column", table->name, w->step->column, err);
}

enum zdm_code mydb_withdraw(struct mydb_work *w, const char *kind, const char *table, const char *name,
                            struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer object = ZDM_BUFFER_INIT;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    if (!mydb_is_open(w->s) || !(mydb_is_final(err->code) || mydb_is_violation(err))) {
        return err->code;
    }
    mydb_owned_name(&object, table, name);
    if (mydb_begin(w->s, &ignored) != ZDM_OK ||
        mydb_owned_forget(w, kind, zdm_buffer_text(&object), &ignored) != ZDM_OK ||
        mydb_former_forget(w, &ignored) != ZDM_OK || mydb_journal_hold(w, &ignored) != ZDM_OK ||
        mydb_commit(w->s, &ignored) != ZDM_OK) {
        mydb_rollback(w->s);
    }
    return err->code;
}

enum zdm_code mydb_add_column(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    put_statement(&sql, w);
    enum zdm_code code = mydb_alter(w, table, zdm_buffer_text(&sql), err);
    return code == ZDM_OK ? code : mydb_withdraw(w, "column", table->name, w->step->column, err);
}

/* ---- Back ---- */

enum zdm_code mydb_back_of_column(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    struct mydb_hidden *row = NULL;
    struct mydb_column column = {0};
    bool hiding = false, found = false, ours = false;
    enum zdm_code code = mydb_hidden_find(w, w->step->ordinal, "column", "hiding", &hiding, &row, err);
    mydb_hidden_free(row, hiding ? 1 : 0);
    if (code == ZDM_OK && !hiding) {
        code = mydb_column_look(w->s, table->name, w->step->column, &found, &column, err);
        mydb_column_fini(&column);
    }
    if (code == ZDM_OK && found) {
        code = is_owned(w, table->name, w->step->column, &ours, err);
    }
    return code == ZDM_OK ? mydb_answer_back(w, !hiding && !ours, AGENT_RUN_UNDO_DDL) : code;
}

enum zdm_code mydb_back_change_column(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    (void)table;
    return mydb_hide_added(w, w->step, err);
}
