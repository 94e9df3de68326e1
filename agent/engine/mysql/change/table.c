/*
 * table.c - CREATE_TABLE. A rollback does not drop the table: it gets another name (trash.h), and is purged later.
 *
 * CREATE TABLE is all or nothing on both servers: after kill -9 in it the table is there, whole, or is not.
 */
#include <string.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/change/locks.h"
#include "agent/engine/mysql/hide/trash.h"

static enum zdm_code find(struct mydb_work *w, bool *out_there, bool *out_ours, struct zdm_error *err)
{
    *out_ours = false;
    enum zdm_code code = mydb_trash_exists(w, w->step->table.name, out_there, err);
    return code == ZDM_OK && *out_there ? mydb_owned_is(w, "table", w->step->table.name, out_ours, err) : code;
}

enum zdm_code mydb_look_created_table(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                                      struct zdm_error *err)
{
    bool there = false, ours = false;
    (void)table;
    enum zdm_code code = find(w, &there, &ours, err);
    *out_proof = mydb_done_if(there);
    return code != ZDM_OK || !there || ours ? code
                                            : mydb_look_foreign(out_proof, "table", NULL, w->step->table.name, err);
}

/* With checks on, a parent that is not there is an error in any case; it is said in words here. */
enum zdm_code mydb_may_create_table(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    (void)table;
    for (size_t i = 0; i < w->step->n_others; i++) {
        struct mydb_table parent;
        if (strcmp(w->step->others[i].name, w->step->table.name) == 0) {
            continue;
        }
        enum zdm_code code = mydb_table_find(w->s, w->step->others[i].name, &parent, err);
        if (code != ZDM_OK) {
            return code;
        }
    }
    return ZDM_OK;
}

enum zdm_code mydb_intend_table(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    (void)table;
    return mydb_owned_put(w, "table", w->step->table.name, err);
}

static enum zdm_code withdraw(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    (void)table;
    return mydb_owned_forget(w, "table", w->step->table.name, err);
}

enum zdm_code mydb_create_table(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    (void)table;
    enum zdm_code code = mydb_ddl(w, w->step->table.name, w->step->sql, err);
    if (code != ZDM_OK && mydb_is_open(w->s) && mydb_is_final(code)) {
        struct zdm_error ignored = ZDM_ERROR_INIT;
        (void)!mydb_note(w, withdraw, NULL, false, &ignored);
    }
    return code;
}

/* ---- Back ---- */

enum zdm_code mydb_back_of_created_table(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    struct mydb_hidden *row = NULL;
    bool there = false, ours = false, hiding = false;
    (void)table;
    enum zdm_code code = find(w, &there, &ours, err);
    if (code == ZDM_OK) {
        code = mydb_hidden_find(w, w->step->ordinal, "table", "hiding", &hiding, &row, err);
    }
    mydb_hidden_free(row, 1);
    return code == ZDM_OK ? mydb_answer_back(w, !ours && !hiding, AGENT_RUN_UNDO_DDL) : code;
}

enum zdm_code mydb_back_intend_table(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    struct mydb_hidden *row = NULL;
    bool found = false;
    char name[ZDM_IDENTIFIER_MAX + 2] = "";
    (void)table;
    enum zdm_code code = mydb_hidden_find(w, w->step->ordinal, "table", "hiding", &found, &row, err);
    mydb_hidden_free(row, 1);
    if (code != ZDM_OK || found) {
        return code;
    }
    code = mydb_leftover_name(w->s, name, err);
    const struct mydb_hidden h = {.kind = (char[]){"table"},
                                  .table = w->step->table.name,
                                  .name = w->step->table.name,
                                  .hidden_name = name,
                                  .definition = (char[]){""},
                                  .state = (char[]){"hiding"},
                                  .by_rollback = true};
    return code == ZDM_OK ? mydb_hidden_put(w, w->step->ordinal, &h, err) : code;
}

enum zdm_code mydb_back_change_table(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    struct mydb_hidden *row = NULL;
    bool found = false, there = false, ours = false, moved = false;
    (void)table;
    enum zdm_code code = mydb_hidden_find(w, w->step->ordinal, "table", "hiding", &found, &row, err);
    if (code == ZDM_OK) {
        code = find(w, &there, &ours, err);
    }
    if (code == ZDM_OK && found) {
        code = mydb_trash_exists(w, row->hidden_name, &moved, err);
    }
    if (code == ZDM_OK && found && ours && !moved) {
        code = mydb_trash_rename(w, w->step->table.name, row->hidden_name, err);
    }
    mydb_hidden_free(row, 1);
    return code;
}

enum zdm_code mydb_back_confirm_table(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    struct mydb_hidden *row = NULL;
    bool found = false;
    (void)table;
    enum zdm_code code = mydb_hidden_find(w, w->step->ordinal, "table", "hiding", &found, &row, err);
    if (code == ZDM_OK && found) {
        struct mydb_hidden h = *row;
        h.state = (char[]){"hidden"};
        code = mydb_hidden_put(w, w->step->ordinal, &h, err);
    }
    mydb_hidden_free(row, 1);
    return code == ZDM_OK ? mydb_owned_forget(w, "table", w->step->table.name, err) : code;
}
