/*
 * index_hide.c - DROP INDEX of a plan: hidden first, so that queries that needed it show while it is still kept up
 * (MySQL INVISIBLE, INPLACE without a rebuild; MariaDB IGNORED, INSTANT), and dropped by the purge.
 *
 * A hidden unique index still enforces what it did (1062), and one that a foreign key needs cannot be dropped (1553):
 * that DROP is tried on a clone before anything is hidden. One that was hidden before the migration stays so on the way
 * back.
 */
#include <stdio.h>
#include <string.h>

#include "agent/engine/mysql/change/ddl.h"

static const struct zdm_step *hiding_step(const struct mydb_work *w)
{
    for (uint32_t o = w->step->ordinal; o > 0; o--) {
        const struct zdm_step *step = zdm_plan_step(w->op->plan, o);
        if (step->action == ZDM_ACTION_HIDE_INDEX && zdm_step_is_for(step, ZDM_ENGINE_MYSQL) &&
            strcmp(step->object, w->step->object) == 0 && strcmp(step->table.name, w->step->table.name) == 0) {
            return step;
        }
    }
    return w->step;
}

static void put_drop(struct zdm_buffer *sql, const struct zdm_step *step)
{
    mydb_put_alter(sql, step->table.name);
    zdm_buffer_puts(sql, "DROP INDEX ");
    mydb_put_name(sql, step->object);
}

static void put_turn(struct zdm_buffer *sql, const struct mydb_work *w, bool hide)
{
    mydb_put_alter(sql, w->step->table.name);
    zdm_buffer_puts(sql, "ALTER INDEX ");
    mydb_put_name(sql, w->step->object);
    zdm_buffer_puts(sql, w->s->mariadb ? (hide ? " IGNORED" : " NOT IGNORED") : hide ? " INVISIBLE" : " VISIBLE");
}

static enum zdm_code has_row(struct mydb_work *w, bool *out, struct zdm_error *err)
{
    struct mydb_hidden *row = NULL;
    enum zdm_code code = mydb_hidden_find(w, hiding_step(w)->ordinal, "index", NULL, out, &row, err);
    mydb_hidden_free(row, 1);
    return code;
}

/* ---- Looks ---- */

enum zdm_code mydb_look_hidden_index(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                                     struct zdm_error *err)
{
    struct mydb_index index = {.there = false};
    bool row = false;
    enum zdm_code code = mydb_index_look(w->s, table->name, w->step->object, &index, err);
    if (code == ZDM_OK && !index.there) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "index %s of %s does not exist", w->step->object, table->name);
    }
    if (code == ZDM_OK) {
        code = has_row(w, &row, err);
    }
    *out_proof = mydb_done_if(row && index.ignored);
    return code;
}

enum zdm_code mydb_look_purged_index(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                                     struct zdm_error *err)
{
    struct mydb_index index = {.there = false};
    bool row = false;
    enum zdm_code code = mydb_index_look(w->s, table->name, w->step->object, &index, err);
    if (code == ZDM_OK) {
        code = has_row(w, &row, err);
    }
    *out_proof = mydb_done_if(!index.there && !row);
    return code;
}

enum zdm_code mydb_back_of_hidden_index(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    bool row = false;
    (void)table;
    enum zdm_code code = has_row(w, &row, err);
    return code == ZDM_OK ? mydb_answer_back(w, !row, AGENT_RUN_UNHIDE) : code;
}

/* ---- Hide ---- */

/* The DROP that the purge will make, tried on a clone with the table's foreign keys. */
static enum zdm_code trial_drop(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    char algorithm[MYDB_ALGORITHM_MAX];
    put_drop(&sql, w->step);
    enum zdm_code code = mydb_judge(w, table, zdm_buffer_text(&sql), algorithm, NULL, NULL, NULL, err);
    if (code == ZDM_OK || zdm_code_class(code) != ZDM_CLASS_FAIL) {
        return code;
    }
    struct zdm_error server = *err;
    zdm_error_set(err, ZDM_REFUSED, "index %s cannot be dropped: %.400s", w->step->object, server.message);
    return zdm_error_hint(err, "Drop or change what needs the index first, then retry the shard.");
}

static enum zdm_code keep(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *line = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer back = ZDM_BUFFER_INIT;
    struct mydb_index index = {.there = false};
    enum zdm_code code = mydb_line_read(w->s, NULL, table->name, MYDB_LINE_INDEX, w->step->object, &line, err);
    if (code == ZDM_OK) {
        code = mydb_index_look(w->s, table->name, w->step->object, &index, err);
    }
    put_turn(&back, w, false);
    const struct mydb_hidden h = {.kind = (char[]){"index"},
                                  .table = w->step->table.name,
                                  .name = w->step->object,
                                  .hidden_name = w->step->object,
                                  .definition = line,
                                  .back_sql = index.ignored ? NULL : (char *)(uintptr_t)zdm_buffer_text(&back),
                                  .state = (char[]){"hiding"}};
    return code == ZDM_OK ? mydb_hidden_put(w, w->step->ordinal, &h, err) : code;
}

static enum zdm_code settle(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    (void)table;
    return mydb_hidden_settle(w, err);
}

static enum zdm_code hide(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    bool row = false;
    enum zdm_code code = trial_drop(w, table, err);
    if (code == ZDM_OK) {
        code = has_row(w, &row, err);
    }
    if (code == ZDM_OK) { /* what is kept already says how it was before this migration */
        code = mydb_note(w, row ? NULL : keep, table, false, err);
    }
    put_turn(&sql, w, true);
    return code == ZDM_OK ? mydb_alter(w, table, zdm_buffer_text(&sql), err) : code;
}

enum zdm_code mydb_hide_index(struct mydb_work *w, struct zdm_error *err)
{
    struct mydb_table table;
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = mydb_table_find(w->s, w->step->table.name, &table, err);
    if (code == ZDM_OK) {
        code = mydb_look_hidden_index(w, &table, &proof, err);
    }
    bool done = proof == AGENT_PROOF_DONE;
    if (code == ZDM_OK && !done) {
        code = hide(w, &table, err);
    }
    if (code == ZDM_OK) {
        code = mydb_note(w, settle, &table, true, err);
    }
    if (code == ZDM_OK && done) {
        w->result->outcome = AGENT_ALREADY;
    }
    return code;
}

/* ---- Back ---- */

static enum zdm_code forget(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    (void)table;
    return mydb_hidden_forget(w, hiding_step(w)->ordinal, "index", w->step->object, err);
}

enum zdm_code mydb_unhide_index(struct mydb_work *w, struct zdm_error *err)
{
    struct mydb_table table;
    struct mydb_hidden *row = NULL;
    struct mydb_index index = {.there = false};
    bool found = false;
    enum zdm_code code = mydb_table_find(w->s, w->step->table.name, &table, err);
    if (code == ZDM_OK) {
        code = mydb_hidden_find(w, w->step->ordinal, "index", NULL, &found, &row, err);
    }
    if (code == ZDM_OK && found) {
        code = mydb_index_look(w->s, table.name, w->step->object, &index, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_check_fence(w, err);
    }
    if (code == ZDM_OK && index.there && index.ignored && row->back_sql != NULL && row->back_sql[0] != '\0') {
        code = mydb_alter(w, &table, row->back_sql, err);
    }
    mydb_hidden_free(row, 1);
    return code == ZDM_OK ? mydb_note(w, forget, &table, false, err) : code;
}

/* ---- Purge ---- */

/* Not one that was made anew since: dropping it would be a loss that nobody has approved. The line that was kept has
 * nothing behind it but, now, the word that hides it. */
static enum zdm_code need_same(struct mydb_work *w, const struct mydb_table *table, bool *out_there,
                               struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *line = NULL;
    struct mydb_hidden *row = NULL;
    bool found = false;
    enum zdm_code code = mydb_line_read(w->s, NULL, table->name, MYDB_LINE_INDEX, w->step->object, &line, err);
    *out_there = line != NULL;
    if (code == ZDM_OK) {
        code = mydb_hidden_find(w, hiding_step(w)->ordinal, "index", NULL, &found, &row, err);
    }
    bool same = line == NULL ||
                (found && row->definition != NULL && strncmp(line, row->definition, strlen(row->definition)) == 0);
    mydb_hidden_free(row, 1);
    if (code != ZDM_OK || same) {
        return code;
    }
    zdm_error_set(err, ZDM_EXISTS, "index %s of %s is not the one that was to be dropped", w->step->object,
                  table->name);
    return zdm_error_hint(err, "It was made anew since. Drop it yourself, or let it be and stop the purge.");
}

enum zdm_code mydb_purge_index(struct mydb_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct mydb_table table;
    bool due = false, there = false;
    enum zdm_code code = mydb_purge_is_due(w, &due, err);
    if (code != ZDM_OK || !due) {
        return code;
    }
    code = mydb_table_find(w->s, w->step->table.name, &table, err);
    if (code == ZDM_OK) {
        code = need_same(w, &table, &there, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_check_fence(w, err);
    }
    put_drop(&sql, w->step);
    if (code == ZDM_OK && there) {
        code = mydb_alter(w, &table, zdm_buffer_text(&sql), err);
    }
    return code == ZDM_OK ? mydb_note(w, forget, &table, true, err) : code;
}
