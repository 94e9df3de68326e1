/*
 * lift.c - LIFT_CONSTRAINT: a foreign key or a CHECK on its way out, and what of it comes back.
 *
 * Its definition is kept in zdm.hidden, as the server prints it. A foreign key comes back with foreign_key_checks = 0,
 * and binds new writes at once; RESTORE then looks for rows without a parent, which are named in a remark: a rollback
 * does not stop for them. A CHECK does not come back: only a copy of the table could bring it (ALGORITHM=COPY on both
 * servers, whatever the rows are), so that its definition stands in the remark.
 *
 * Rows of zdm.hidden: kind "foreign key" or "check"; state "hiding", "hidden", then "back" (there again, not read),
 * "violated" and "lost" with a remark.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/catalog/definition.h"
#include "agent/engine/mysql/change/orphans.h"

/* ---- Rows ---- */

struct rows {
    struct mydb_hidden *row;
    size_t n;
};

static bool is_constraint(const struct mydb_hidden *h)
{
    return !h->by_rollback && (strcmp(h->kind, "foreign key") == 0 || strcmp(h->kind, "check") == 0);
}

static bool is_away(const struct mydb_hidden *h)
{
    return strcmp(h->state, "hiding") == 0 || strcmp(h->state, "hidden") == 0;
}

static enum zdm_code read_rows(struct mydb_work *w, struct rows *out, struct zdm_error *err)
{
    *out = (struct rows){.n = 0};
    return mydb_hidden_list(w, w->step->ordinal, NULL, &out->row, &out->n, err);
}

static void rows_fini(struct rows *rows)
{
    mydb_hidden_free(rows->row, rows->n);
}

enum zdm_code mydb_constraint_text(struct mydb_work *w, const char *table, const char *name, char **out,
                                   struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *line = NULL;
    enum zdm_code code = mydb_line_read(w->s, NULL, table, MYDB_LINE_CONSTRAINT, name, &line, err);
    if (code != ZDM_OK || line == NULL) {
        return code;
    }
    *out = mydb_plain_strings(line + strspn(line, " "));
    return *out != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code mydb_constraint_keep(struct mydb_work *w, const char *kind, const char *table, const char *name,
                                   struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *text = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer back = ZDM_BUFFER_INIT;
    enum zdm_code code = mydb_constraint_text(w, table, name, &text, err);
    if (code == ZDM_OK && text == NULL) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "constraint %s of %s does not exist", name, table);
    }
    mydb_put_alter(&back, table);
    zdm_buffer_printf(&back, "ADD %s", text == NULL ? "" : text);
    const struct mydb_hidden h = {.kind = (char *)(uintptr_t)kind,
                                  .table = (char *)(uintptr_t)table,
                                  .name = (char *)(uintptr_t)name,
                                  .hidden_name = (char *)(uintptr_t)name,
                                  .definition = text,
                                  .back_sql = (char *)(uintptr_t)zdm_buffer_text(&back),
                                  .state = (char[]){"hiding"}};
    return code == ZDM_OK ? mydb_hidden_put(w, w->step->ordinal, &h, err) : code;
}

/* ---- Forward ---- */

static const char *kind_of(const char *type)
{
    return strcmp(type, "FOREIGN KEY") == 0 ? "foreign key" : strcmp(type, "CHECK") == 0 ? "check" : NULL;
}

enum zdm_code mydb_look_lifted(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                               struct zdm_error *err)
{
    char type[32];
    struct rows rows = {.n = 0};
    bool kept = false, half = false;
    enum zdm_code code = mydb_constraint_look(w, table->name, w->step->object, type, err);
    if (code == ZDM_OK) {
        code = read_rows(w, &rows, err);
    }
    for (size_t i = 0; i < rows.n; i++) {
        kept = kept || is_constraint(&rows.row[i]);
        half = half || !is_away(&rows.row[i]);
    }
    rows_fini(&rows);
    *out_proof = mydb_done_if(type[0] == '\0' && kept && !half);
    return code;
}

enum zdm_code mydb_may_lift(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    char type[32];
    enum zdm_code code = mydb_constraint_look(w, table->name, w->step->object, type, err);
    if (code != ZDM_OK || type[0] == '\0' || kind_of(type) != NULL) {
        return code; /* without one, intend looks for what was kept of it */
    }
    zdm_error_set(err, ZDM_REFUSED, "%s of %s is a constraint of another kind: %s", w->step->object, table->name, type);
    return zdm_error_hint(err, strcmp(type, "UNIQUE") == 0
                                   ? "DROP INDEX hides the unique index first, and purges it later."
                                   : "A primary key is changed by a copy of the table only: leave it.");
}

/* What an earlier way back brought, or could not bring, is away again. */
static enum zdm_code keep_on(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    struct rows rows = {.n = 0};
    bool any = false;
    enum zdm_code code = read_rows(w, &rows, err);
    for (size_t i = 0; code == ZDM_OK && i < rows.n; i++) {
        struct mydb_hidden h = rows.row[i];
        h.state = (char[]){"hiding"};
        h.remark = NULL;
        any = any || is_constraint(&h);
        code = is_constraint(&h) ? mydb_hidden_put(w, w->step->ordinal, &h, err) : ZDM_OK;
    }
    rows_fini(&rows);
    return code != ZDM_OK || any
               ? code
               : zdm_error_set(err, ZDM_NOT_FOUND, "constraint %s of %s does not exist", w->step->object, table->name);
}

enum zdm_code mydb_intend_lift(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    char type[32];
    enum zdm_code code = mydb_constraint_look(w, table->name, w->step->object, type, err);
    if (code == ZDM_OK && type[0] == '\0') {
        return keep_on(w, table, err);
    }
    return code == ZDM_OK ? mydb_constraint_keep(w, kind_of(type), table->name, w->step->object, err) : code;
}

enum zdm_code mydb_lift(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    char type[32];
    enum zdm_code code = mydb_constraint_look(w, table->name, w->step->object, type, err);
    if (code != ZDM_OK || type[0] == '\0') {
        return code;
    }
    mydb_put_alter(&sql, table->name);
    /* MySQL's CREATE TABLE … LIKE gives a CHECK another name, so that no clone has this one. */
    bool check = strcmp(type, "CHECK") == 0;
    zdm_buffer_puts(&sql, check ? "DROP CONSTRAINT " : "DROP FOREIGN KEY ");
    mydb_put_name(&sql, w->step->object);
    return check ? mydb_alter_itself(w, table->name, zdm_buffer_text(&sql), err)
                 : mydb_alter(w, table, zdm_buffer_text(&sql), err);
}

enum zdm_code mydb_confirm_lift(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    (void)table;
    return mydb_hidden_settle(w, err);
}

/* ---- Back ---- */

enum zdm_code mydb_back_of_lifted(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    struct rows rows = {.n = 0};
    struct agent_result *r = w->result;
    bool away = false, back = false;
    (void)table;
    enum zdm_code code = read_rows(w, &rows, err);
    for (size_t i = 0; code == ZDM_OK && i < rows.n; i++) {
        const struct mydb_hidden *h = &rows.row[i];
        away = away || (is_constraint(h) && is_away(h));
        back = back || (is_constraint(h) && strcmp(h->state, "back") == 0);
        if (h->remark != NULL && h->remark[0] != '\0' && r->remark[0] == '\0') {
            (void)zdm_copy_text(r->remark, sizeof r->remark, h->remark);
        }
    }
    rows_fini(&rows);
    return code == ZDM_OK ? mydb_answer_back(w, !away && !back, away ? AGENT_RUN_UNHIDE : AGENT_RUN_RESTORE) : code;
}

/* One row's new state, in a transaction of its own with the fence; NULL: it is over, and the row goes. */
static enum zdm_code note_state(struct mydb_work *w, const struct mydb_hidden *row, const char *state,
                                const char *remark, struct zdm_error *err)
{
    struct mydb_hidden h = *row;
    h.state = (char *)(uintptr_t)state;
    h.remark = (char *)(uintptr_t)remark;
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = state == NULL ? mydb_hidden_forget(w, w->step->ordinal, row->kind, row->hidden_name, err)
                             : mydb_hidden_put(w, w->step->ordinal, &h, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_hold(w, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_commit(w, err);
    }
    if (code != ZDM_OK) {
        mydb_rollback(w->s);
    }
    return code;
}

static enum zdm_code note_lost(struct mydb_work *w, const struct mydb_hidden *row, const char *why,
                               struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer remark = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&remark, "%s %s was not brought back: %s", row->kind, row->name, why);
    (void)zdm_copy_text(w->result->remark, sizeof w->result->remark, zdm_buffer_text(&remark));
    return note_state(w, row, "lost", zdm_buffer_text(&remark), err);
}

static enum zdm_code lose_check(struct mydb_work *w, const struct mydb_hidden *row, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer why = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&why, "only a copy of the whole table could add it. It was: %.200s", row->definition);
    return note_lost(w, row, zdm_buffer_text(&why), err);
}

static enum zdm_code bring_one(struct mydb_work *w, const struct mydb_hidden *row, struct zdm_error *err)
{
    char type[32];
    struct mydb_table table;
    enum zdm_code code = mydb_constraint_look(w, row->table, row->name, type, err);
    if (code == ZDM_OK && type[0] != '\0') {
        /* Never dropped, or brought back by an attempt whose answer was lost. */
        return note_state(w, row, strcmp(row->kind, "foreign key") == 0 ? "back" : NULL, NULL, err);
    }
    if (code == ZDM_OK && strcmp(row->kind, "check") == 0) {
        return lose_check(w, row, err);
    }
    if (code == ZDM_OK) {
        code = mydb_table_find(w->s, row->table, &table, err);
    }
    if (code == ZDM_OK) {
        code = mydb_alter_unchecked(w, &table, row->back_sql, err);
    }
    if (code != ZDM_OK && mydb_is_open(w->s) && mydb_is_final(code)) {
        struct zdm_error why = *err;
        zdm_error_clear(err);
        return note_lost(w, row, why.message, err);
    }
    return code == ZDM_OK ? note_state(w, row, "back", NULL, err) : code;
}

enum zdm_code mydb_unlift(struct mydb_work *w, struct zdm_error *err)
{
    struct rows rows = {.n = 0};
    enum zdm_code code = mydb_journal_check_fence(w, err);
    if (code == ZDM_OK) {
        code = read_rows(w, &rows, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < rows.n; i++) {
        if (is_constraint(&rows.row[i]) && is_away(&rows.row[i])) {
            code = bring_one(w, &rows.row[i], err);
        }
    }
    rows_fini(&rows);
    return code;
}

/* ---- The rows of a foreign key that came back ---- */

enum { NAMED_MAX = 3 };

static void name_orphans(struct zdm_buffer *out, const struct mydb_hidden *row, const struct mydb_rows *found)
{
    zdm_buffer_printf(out, "foreign key %s holds for new rows; of the old ones have no parent: ", row->name);
    for (size_t i = 0; i < found->n; i++) {
        zdm_buffer_printf(out, "%s%.40s", i == 0 ? "" : ", ", mydb_text(found, i, 0));
    }
}

static enum zdm_code note_old(struct mydb_orphans *o, const struct mydb_hidden *row, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer remark = ZDM_BUFFER_INIT;
    struct mydb_work *w = o->w;
    if (!o->known) {
        return note_lost(w, row, "it is not there any more", err);
    }
    if (o->found == NULL || o->found->n == 0) {
        return note_state(w, row, NULL, NULL, err);
    }
    name_orphans(&remark, row, o->found);
    (void)zdm_copy_text(w->result->remark, sizeof w->result->remark, zdm_buffer_text(&remark));
    return note_state(w, row, "violated", zdm_buffer_text(&remark), err);
}

static enum zdm_code read_old(struct mydb_work *w, const struct mydb_hidden *row, struct zdm_error *err)
{
    struct mydb_orphans orphans;
    mydb_orphans_init(&orphans, w);
    enum zdm_code code = mydb_orphans_find(&orphans, row->table, row->name, NAMED_MAX, false, err);
    if (code == ZDM_OK) {
        code = note_old(&orphans, row, err);
    }
    mydb_orphans_fini(&orphans);
    return code;
}

enum zdm_code mydb_restore_foreign_key(struct mydb_work *w, struct zdm_error *err)
{
    struct mydb_hidden *row = NULL;
    bool found = false;
    enum zdm_code code = mydb_hidden_find(w, w->step->ordinal, "foreign key", "back", &found, &row, err);
    if (code == ZDM_OK && !found) {
        w->result->outcome = AGENT_ALREADY;
    }
    if (code == ZDM_OK && found) {
        code = read_old(w, row, err);
    }
    mydb_hidden_free(row, 1);
    return code;
}
