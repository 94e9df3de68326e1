/*
 * foreign_key.c - ADD_FOREIGN_KEY and VALIDATE.
 *
 * With foreign_key_checks = 0 the server adds a foreign key without reading the table: INSTANT on MariaDB, INPLACE
 * with LOCK=NONE on MySQL; with the checks on, only a copy does. From then on it binds new writes, as one that is NOT
 * VALID does elsewhere. The checks off do not make it take anything: another type of the parent's column, or no index
 * there, is refused (3780, 1822, 6125); a parent that does not exist is not, so that this is looked at here.
 *
 * VALIDATE looks for rows without a parent (orphans.h). The plan's own query says the same of all rows at once; what is
 * asked in chunks is made from the foreign key as the catalogue has it. When there are some, the foreign key goes
 * again, rather than being left behind to break the application, and the journal goes back to the step that added it
 * (database.md 25).
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/change/orphans.h"

enum { DROP_TRIES = 100, DROP_PAUSE_MS = 50 };

static const struct zdm_step *adding_step(const struct mydb_work *w)
{
    for (uint32_t i = w->step->ordinal; i > 0; i--) {
        const struct zdm_step *step = zdm_plan_step(w->op->plan, i);
        if (step->action == ZDM_ACTION_ADD_FOREIGN_KEY && zdm_step_is_for(step, ZDM_ENGINE_MYSQL) &&
            strcmp(step->object, w->step->object) == 0 && strcmp(step->table.name, w->step->table.name) == 0) {
            return step;
        }
    }
    return NULL;
}

enum zdm_code mydb_constraint_look(struct mydb_work *w, const char *table, const char *name, char out_kind[32],
                                   struct zdm_error *err)
{
    static const char sql[] = "SELECT CONSTRAINT_TYPE FROM information_schema.TABLE_CONSTRAINTS WHERE TABLE_SCHEMA ="
                              " DATABASE() AND TABLE_NAME = $1 AND CONSTRAINT_NAME = $2 ORDER BY CONSTRAINT_TYPE ="
                              " 'UNIQUE' LIMIT 1";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s, sql, 2, (const char *const[]){table, name}, &rows, err);
    zdm_copy_text(out_kind, 32, code == ZDM_OK && rows->n > 0 ? mydb_text(rows, 0, 0) : "");
    return code;
}

struct found {
    bool there, ours;
};

static enum zdm_code find(struct mydb_work *w, const char *table, struct found *out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
    char kind[32];
    *out = (struct found){.there = false};
    enum zdm_code code = mydb_constraint_look(w, table, w->step->object, kind, err);
    out->there = code == ZDM_OK && strcmp(kind, "FOREIGN KEY") == 0;
    mydb_owned_name(&name, table, w->step->object);
    return out->there ? mydb_owned_is(w, "constraint", zdm_buffer_text(&name), &out->ours, err) : code;
}

/* ---- ADD_FOREIGN_KEY ---- */

enum zdm_code mydb_look_constraint(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                                   struct zdm_error *err)
{
    struct found found;
    enum zdm_code code = find(w, table->name, &found, err);
    *out_proof = mydb_done_if(found.there);
    return code != ZDM_OK || !found.there || found.ours
               ? code
               : mydb_look_foreign(out_proof, "foreign key", table->name, w->step->object, err);
}

static enum zdm_code need_parent(struct mydb_work *w, struct zdm_error *err)
{
    struct mydb_table parent;
    if (w->step->n_others == 0) {
        return zdm_error_set(err, ZDM_BUG, "step %s does not name the parent of its foreign key", w->step->id);
    }
    enum zdm_code code = mydb_table_find(w->s, w->step->others[0].name, &parent, err);
    return code == ZDM_OK ? mydb_table_fit(&parent, err) : code;
}

/* The server would build the index that it needs together with the foreign key, in the time of a short statement. */
static enum zdm_code refuse_index(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    struct mydb_index before = {.there = false};
    enum zdm_code code = mydb_index_look(w->s, table->name, w->step->object, &before, err);
    if (code != ZDM_OK || before.there || w->made == NULL) {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED,
                  "no index of %s begins with the columns of foreign key %s, and the server would "
                  "build one",
                  table->name, w->step->object);
    return zdm_error_hint(err, "CREATE INDEX on these columns in a statement of its own before it.");
}

enum zdm_code mydb_may_add_foreign_key(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    char algorithm[MYDB_ALGORITHM_MAX];
    enum zdm_code code = need_parent(w, err);
    if (code == ZDM_OK && (w->memory == NULL || w->memory->algorithm[0] == '\0')) {
        zdm_freep(&w->made);
        code = mydb_judge_made(w, table, w->step->sql, algorithm, MYDB_LINE_INDEX, w->step->object, &w->made, err);
    }
    return code == ZDM_OK ? refuse_index(w, table, err) : code;
}

enum zdm_code mydb_intend_foreign_key(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
    mydb_owned_name(&name, table->name, w->step->object);
    return mydb_owned_put(w, "constraint", zdm_buffer_text(&name), err);
}

enum zdm_code mydb_add_foreign_key(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    enum zdm_code code = mydb_alter_unchecked(w, table, w->step->sql, err);
    return code == ZDM_OK ? code : mydb_withdraw(w, "constraint", table->name, w->step->object, err);
}

/* ---- Back ---- */

enum zdm_code mydb_back_of_constraint(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    struct found found;
    enum zdm_code code = find(w, table->name, &found, err);
    return code == ZDM_OK ? mydb_answer_back(w, !(found.there && found.ours), AGENT_RUN_UNDO_DDL) : code;
}

enum zdm_code mydb_drop_foreign_key(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    mydb_put_alter(&sql, table->name);
    zdm_buffer_puts(&sql, "DROP FOREIGN KEY ");
    mydb_put_name(&sql, w->step->object);
    return mydb_alter(w, table, zdm_buffer_text(&sql), err);
}

enum zdm_code mydb_forget_foreign_key(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
    mydb_owned_name(&name, table->name, w->step->object);
    return mydb_owned_forget(w, "constraint", zdm_buffer_text(&name), err);
}

/* ---- VALIDATE ---- */

/* No server says of a foreign key whether its rows were read: the journal does. */
enum zdm_code mydb_look_validated(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                                  struct zdm_error *err)
{
    struct found found;
    struct mydb_place place = {.step = 0};
    const struct zdm_step *adding = adding_step(w);
    enum zdm_code code = find(w, table->name, &found, err);
    if (code == ZDM_OK && !found.there && adding == NULL) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "foreign key %s of %s does not exist", w->step->object, table->name);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_place(w, &place, err);
    }
    *out_proof = mydb_done_if(found.there && place.step > w->step->ordinal);
    return code != ZDM_OK || !found.there || found.ours || adding == NULL
               ? code
               : mydb_look_foreign(out_proof, "foreign key", table->name, w->step->object, err);
}

/* "7, 8": the first one. */
static void row_text(const struct mydb_rows *rows, struct zdm_buffer *out)
{
    for (size_t i = 0; i < rows->columns; i++) {
        const char *text = mydb_text(rows, 0, i);
        zdm_buffer_printf(out, "%s%.60s", i == 0 ? "" : ", ", text == NULL ? "NULL" : text);
    }
}

static enum zdm_code move_back(struct mydb_work *w, const struct zdm_step *adding, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_journal_move(w, &(struct mydb_move){.step = adding->ordinal, .restart = true}, err);
    }
    return code == ZDM_OK ? mydb_journal_commit(w, err) : code;
}

static enum zdm_code drop_again(struct mydb_work *w, const struct mydb_table *table, const struct zdm_step *adding,
                                struct zdm_error *err)
{
    struct found found;
    const struct zdm_step *validate = w->step;
    enum zdm_code code = find(w, table->name, &found, err);
    if (code == ZDM_OK && found.there) {
        w->step = adding; /* it names the other table */
        code = mydb_note(w, NULL, table, false, err);
        for (int i = 0; i < DROP_TRIES && code == ZDM_OK && !atomic_load(w->s->give_up); i++) {
            code = mydb_drop_foreign_key(w, table, err);
            if (code != ZDM_LOCK) {
                break;
            }
            nanosleep(&(struct timespec){.tv_nsec = DROP_PAUSE_MS * 1000000L}, NULL);
            code = i + 1 < DROP_TRIES ? ZDM_OK : code;
        }
        w->step = validate;
    }
    return code == ZDM_OK ? move_back(w, adding, err) : code;
}

static enum zdm_code violated(struct mydb_work *w, const struct mydb_table *table, const struct zdm_step *adding,
                              const char *row, struct zdm_error *err)
{
    struct zdm_error later = ZDM_ERROR_INIT;
    enum zdm_code dropped = adding == NULL ? ZDM_OK : drop_again(w, table, adding, &later);
    zdm_error_set(err, ZDM_DATABASE, "rows of %s have no parent: they violate foreign key %s", table->name,
                  w->step->object);
    zdm_error_detail(err, "The first one: %s", row);
    if (adding == NULL) {
        zdm_error_hint(err, "Put the rows right, then retry the shard. The foreign key was there before, and stays.");
    } else if (dropped == ZDM_OK) {
        zdm_error_hint(err, "Foreign key %s was dropped again. Put the rows right, then retry the shard.",
                       w->step->object);
    } else {
        zdm_error_hint(err, "Foreign key %s is still there and binds new writes: drop it.", w->step->object);
    }
    w->result->blocker[0] = '\0';
    return err->code;
}

/* Dropped before the journal could go back: there is nothing to validate. */
static enum zdm_code gone(struct mydb_work *w, const struct mydb_table *table, const struct zdm_step *adding,
                          struct zdm_error *err)
{
    enum zdm_code code = move_back(w, adding, err);
    return code == ZDM_OK
               ? zdm_error_set(err, ZDM_CONFLICT, "foreign key %s of %s is not there", w->step->object, table->name)
               : code;
}

/* Looks at the rows, and says what came of it. */
static enum zdm_code read_rows(struct mydb_orphans *o, const struct mydb_table *table, const struct zdm_step *adding,
                               struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer row = ZDM_BUFFER_INIT;
    enum zdm_code code = mydb_orphans_find(o, table->name, o->w->step->object, 1, true, err);
    if (code == ZDM_OK && o->found != NULL && o->found->n > 0) {
        row_text(o->found, &row);
        return violated(o->w, table, adding, zdm_buffer_text(&row), err);
    }
    return code == ZDM_OK ? mydb_note(o->w, NULL, table, true, err) : code;
}

static enum zdm_code validate(struct mydb_work *w, const struct mydb_table *table, const struct zdm_step *adding,
                              struct zdm_error *err)
{
    struct mydb_orphans orphans;
    mydb_orphans_init(&orphans, w);
    enum zdm_code code = read_rows(&orphans, table, adding, err);
    mydb_orphans_fini(&orphans);
    return code;
}

enum zdm_code mydb_run_validate(struct mydb_work *w, struct zdm_error *err)
{
    struct mydb_table table;
    struct found found = {.there = false};
    enum agent_proof proof = AGENT_PROOF_NONE;
    const struct zdm_step *adding = adding_step(w);
    enum zdm_code code = mydb_table_find(w->s, w->step->table.name, &table, err);
    if (code == ZDM_OK) {
        code = mydb_look_validated(w, &table, &proof, err);
    }
    if (code == ZDM_OK && proof == AGENT_PROOF_FOREIGN) {
        return err->code;
    }
    if (code == ZDM_OK) {
        code = find(w, table.name, &found, err);
    }
    if (code == ZDM_OK && !found.there && adding != NULL) {
        return gone(w, &table, adding, err);
    }
    bool done = proof == AGENT_PROOF_DONE;
    if (code == ZDM_OK) {
        code = done ? mydb_note(w, NULL, &table, true, err) : validate(w, &table, adding, err);
    }
    if (code == ZDM_OK) {
        w->result->outcome = done ? AGENT_ALREADY : AGENT_OK;
    }
    return code;
}
