/*
 * index.c - CREATE_INDEX: built beside reads and writes, and what became of it.
 *
 * Measured: neither server leaves anything of a build that was interrupted, by KILL QUERY, by a duplicate or by kill -9
 * of the server. There is no invalid index here: AGENT_PROOF_LEFTOVER does not occur. An index that is there is whole,
 * and nothing but the rows of zdm.owned and its fingerprint says whose. It is built out of sight first (index_show.c).
 */
#include <stdlib.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/change/locks.h"

static enum zdm_code is_owned(struct mydb_work *w, bool *out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
    mydb_owned_name(&name, w->step->table.name, w->step->object);
    return mydb_owned_is(w, "index", zdm_buffer_text(&name), out, err);
}

enum zdm_code mydb_look_index(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                              struct zdm_error *err)
{
    struct mydb_index index = {.there = false};
    bool ours = false, same = true, shown = true;
    enum zdm_code code = mydb_index_look(w->s, table->name, w->step->object, &index, err);
    *out_proof = mydb_done_if(index.there);
    if (code == ZDM_OK && index.there) {
        code = is_owned(w, &ours, err);
    }
    if (code == ZDM_OK && ours) {
        code = mydb_is_as_intended(w, MYDB_LINE_INDEX, w->step->object, &same, err);
    }
    if (code == ZDM_OK && ours && same) {
        code = mydb_index_is_shown(w, &index, &shown, err);
        *out_proof = mydb_done_if(shown);
    }
    return code != ZDM_OK || !index.there || (ours && same)
               ? code
               : mydb_look_foreign(out_proof, "index", table->name, w->step->object, err);
}

/* ---- What it may push out ---- */

enum { PUSHED_MAX = 8 };

/* An index that a foreign key made by itself goes without a word when another one begins with its columns; that one
 * could not be dropped then (1553). No catalogue tells which are of that kind: all that a foreign key may use are kept.
 */
static enum zdm_code keep_pushed(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT DISTINCT s.index_name FROM information_schema.statistics s JOIN information_schema.key_column_usage k"
        " ON k.table_schema = $1 AND k.table_name = $2 AND k.column_name = s.column_name AND k.ordinal_position = 1 AND"
        " k.referenced_table_name IS NOT NULL WHERE s.table_schema = $1 AND s.table_name = $2 AND s.seq_in_index = 1 "
        "AND"
        " s.non_unique = 1 AND s.index_name <> $3";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code =
        mydb_query(w->s, sql, 3, (const char *const[]){w->s->database, table->name, w->step->object}, &rows, err);
    for (size_t i = 0; code == ZDM_OK && i < rows->n && i < PUSHED_MAX; i++) {
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer back = ZDM_BUFFER_INIT;
        ZDM_CLEANUP(zdm_freep) char *line = NULL;
        code = mydb_line_read(w->s, NULL, table->name, MYDB_LINE_INDEX, mydb_text(rows, i, 0), &line, err);
        mydb_put_alter(&back, table->name);
        zdm_buffer_printf(&back, "ADD %s", line == NULL ? "" : line);
        if (code == ZDM_OK && line != NULL) {
            code = mydb_former_keep(w, MYDB_PUSHED + (unsigned)i, zdm_buffer_text(&back), mydb_text(rows, i, 0), err);
        }
    }
    return code;
}

/* Before the index goes that pushed them out. */
static enum zdm_code bring_back_pushed(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (unsigned i = 0; code == ZDM_OK && i < PUSHED_MAX; i++) {
        ZDM_CLEANUP(zdm_freep) char *back = NULL;
        ZDM_CLEANUP(zdm_freep) char *name = NULL;
        struct mydb_index index = {.there = true};
        code = mydb_former_read(w, MYDB_PUSHED + i, &back, &name, err);
        if (code == ZDM_OK && back != NULL && name != NULL) {
            code = mydb_index_look(w->s, table->name, name, &index, err);
        }
        if (code == ZDM_OK && !index.there) {
            code = mydb_alter(w, table, back, err);
        }
    }
    return code;
}

/* ---- Forward ---- */

static enum zdm_code intend(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    enum zdm_code code = mydb_former_forget(w, err); /* when an earlier one was built */
    if (code == ZDM_OK) {
        code = mydb_intend_made(w, "index", table->name, w->step->object, err);
    }
    return code == ZDM_OK ? keep_pushed(w, table, err) : code;
}

static enum zdm_code build(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    enum zdm_code code = mydb_index_learn(w, table, &sql, err);
    if (code == ZDM_OK) {
        code = mydb_note(w, intend, table, false, err);
    }
    if (code == ZDM_OK) {
        code = mydb_alter(w, table, zdm_buffer_text(&sql), err);
    }
    if (code == ZDM_OK) {
        return code;
    }
    if (mydb_is_violation(err)) {
        zdm_error_hint(err, "Rows share a value: put them right, then retry the shard. Nothing is left of the index.");
    }
    return mydb_withdraw(w, "index", table->name, w->step->object, err);
}

/* What is there by now is ours, or the look would have said so. */
static enum zdm_code build_and_show(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    struct mydb_index index = {.there = false};
    enum zdm_code code = mydb_index_look(w->s, table->name, w->step->object, &index, err);
    if (code == ZDM_OK && !index.there) {
        code = build(w, table, err);
        if (code == ZDM_OK) {
            code = mydb_index_look(w->s, table->name, w->step->object, &index, err);
        }
    }
    return code == ZDM_OK && index.ignored ? mydb_index_show(w, table, err) : code;
}

static enum zdm_code look_alone(struct mydb_work *w, enum agent_proof *out_proof, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin_reading(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_look(w, out_proof, err);
    }
    mydb_rollback(w->s);
    return code;
}

enum zdm_code mydb_run_index_build(struct mydb_work *w, struct zdm_error *err)
{
    struct mydb_table table;
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = mydb_table_find(w->s, w->step->table.name, &table, err);
    if (code == ZDM_OK) {
        code = mydb_table_fit(&table, err);
    }
    if (code == ZDM_OK) {
        code = look_alone(w, &proof, err);
    }
    if (code == ZDM_OK && proof == AGENT_PROOF_FOREIGN) {
        return err->code;
    }
    bool done = proof == AGENT_PROOF_DONE;
    if (code == ZDM_OK && !done) {
        code = build_and_show(w, &table, err);
    }
    zdm_freep(&w->made);
    if (code == ZDM_OK) {
        code = mydb_note(w, mydb_confirm_fingerprint, &table, true, err);
    }
    if (code == ZDM_OK) {
        w->result->outcome = done ? AGENT_ALREADY : AGENT_OK;
    }
    return code;
}

/* ---- Back ---- */

enum zdm_code mydb_back_of_index(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    struct mydb_index index = {.there = false};
    bool ours = false;
    enum zdm_code code = mydb_index_look(w->s, table->name, w->step->object, &index, err);
    if (code == ZDM_OK && index.there) {
        code = is_owned(w, &ours, err);
    }
    return code == ZDM_OK ? mydb_answer_back(w, !ours, AGENT_RUN_INDEX_DROP) : code;
}

static enum zdm_code forget(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
    mydb_owned_name(&name, table->name, w->step->object);
    enum zdm_code code = mydb_owned_forget(w, "index", zdm_buffer_text(&name), err);
    return code == ZDM_OK ? mydb_former_forget(w, err) : code;
}

static enum zdm_code drop(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    mydb_put_alter(&sql, table->name);
    zdm_buffer_puts(&sql, "DROP INDEX ");
    mydb_put_name(&sql, w->step->object);
    enum zdm_code code = mydb_note(w, NULL, table, false, err);
    if (code == ZDM_OK) {
        code = bring_back_pushed(w, table, err);
    }
    return code == ZDM_OK ? mydb_alter(w, table, zdm_buffer_text(&sql), err) : code;
}

enum zdm_code mydb_run_index_drop(struct mydb_work *w, struct zdm_error *err)
{
    struct mydb_table table;
    enum zdm_code code = mydb_table_find(w->s, w->step->table.name, &table, err);
    if (code == ZDM_OK) {
        code = mydb_back_of_index(w, &table, err);
    }
    bool ours = w->result->proof == AGENT_PROOF_NOT_DONE;
    w->result->proof = AGENT_PROOF_NONE;
    w->result->next_run = AGENT_RUN_NONE;
    if (code == ZDM_OK && ours) {
        code = drop(w, &table, err);
    }
    if (code == ZDM_OK) {
        code = mydb_note(w, forget, &table, false, err);
    }
    if (code == ZDM_OK && !ours) {
        w->result->outcome = AGENT_ALREADY;
    }
    return code;
}
