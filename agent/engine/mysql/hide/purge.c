/*
 * purge.c - really dropping what was hidden: the only statements of the engine that cannot be taken back.
 *
 * Nothing goes before its grace has passed since it was hidden, by the database's own clock, unless the approvals say
 * `now`: AGENT_EARLY, with the time that is left. DDL commits by itself: the row of zdm.hidden goes after what it
 * stands for, so that a crash in between leaves a row whose thing is gone, and the next run forgets it.
 */
#include <string.h>

#include "agent/engine/mysql/walk/images.h"
#include "agent/engine/mysql/hide/trash.h"

static mydb_run_fn *const runs[] = {
    [ZDM_ACTION_PURGE_COLUMN] = mydb_purge_column,
    [ZDM_ACTION_PURGE_TABLE] = mydb_purge_table,
    [ZDM_ACTION_PURGE_INDEX] = mydb_purge_index,
    [ZDM_ACTION_PURGE_IMAGES] = mydb_purge_images,
};

enum zdm_code mydb_run_purge(struct mydb_work *w, struct zdm_error *err)
{
    size_t action = (size_t)w->step->action;
    if (action >= sizeof runs / sizeof *runs || runs[action] == NULL) {
        return zdm_error_set(err, ZDM_BUG, "step %s purges nothing", w->step->id);
    }
    return runs[action](w, err);
}

/* ---- Grace ---- */

static bool is_thing(const struct mydb_hidden *h)
{
    return strcmp(h->kind, "column") == 0 || strcmp(h->kind, "table") == 0 || strcmp(h->kind, "index") == 0;
}

/* What the step purges, and what rollbacks left for the same object. */
static bool concerns(const struct zdm_step *step, const struct mydb_hidden *h)
{
    bool same_table = strcmp(h->table, step->table.name) == 0;
    return is_thing(h) && same_table && (h->by_rollback || strcmp(h->hidden_name, step->object) == 0);
}

enum zdm_code mydb_purge_is_due(struct mydb_work *w, bool *out, struct zdm_error *err)
{
    struct mydb_hidden *list = NULL;
    size_t n = 0;
    int64_t now_ms = 0, longest = 0;
    bool index = w->step->action == ZDM_ACTION_PURGE_INDEX;
    enum zdm_code code = mydb_clock(w->s, &now_ms, err);
    if (code == ZDM_OK) {
        code = mydb_hidden_list(w, 0, NULL, &list, &n, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < n; i++) {
        int64_t left = 0;
        bool counts = concerns(w->step, &list[i]) && !(index && list[i].by_rollback);
        if (counts && !mydb_hidden_is_due(w, &list[i], now_ms, &left) && left > longest) {
            longest = left;
        }
    }
    mydb_hidden_free(list, n);
    *out = longest == 0;
    if (code == ZDM_OK && !*out) {
        w->result->outcome = AGENT_EARLY;
        w->result->wait_ms = longest;
    }
    return code;
}

/* ---- What rollbacks left ---- */

/* Columns go before tables; tables in the order in which they were hidden. */
static int rank_of(const struct mydb_hidden *h)
{
    static const char *const kinds[] = {"column", "images", "table"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(h->kind, kinds[i]) == 0) {
            return i;
        }
    }
    return -1;
}

/* One that a rollback left, with the step under which it is noted. */
struct leftover {
    bool found;
    uint32_t step;
    struct mydb_hidden *row; /* of one */
};

static bool goes_before(const struct mydb_hidden *a, const struct mydb_hidden *b)
{
    return rank_of(a) != rank_of(b) ? rank_of(a) < rank_of(b) : a->hidden_at_ms < b->hidden_at_ms;
}

static void take(struct leftover *out, struct mydb_hidden *list, size_t at, size_t n, uint32_t step)
{
    struct mydb_hidden *row = zdm_memdup(&list[at], 2 * sizeof *list); /* the list has an end behind its last */
    if (row == NULL) {
        return;
    }
    row[1] = (struct mydb_hidden){.kind = NULL};
    list[at] = list[n - 1];
    list[n - 1] = (struct mydb_hidden){.kind = NULL};
    mydb_hidden_free(out->row, 1);
    *out = (struct leftover){.found = true, .step = step, .row = row};
}

/* Of all steps, since a row does not say its own. */
static enum zdm_code next_leftover(struct mydb_work *w, const char *table, struct leftover *out, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    *out = (struct leftover){.found = false};
    for (uint32_t o = 1; code == ZDM_OK && o <= zdm_plan_n_steps(w->op->plan); o++) {
        struct mydb_hidden *list = NULL;
        size_t n = 0, best = SIZE_MAX;
        code = mydb_hidden_list(w, o, NULL, &list, &n, err);
        for (size_t i = 0; code == ZDM_OK && i < n; i++) {
            const struct mydb_hidden *h = &list[i], *than = best != SIZE_MAX ? &list[best] : out->row;
            bool counts = h->by_rollback && rank_of(h) >= 0 && (table == NULL || strcmp(h->table, table) == 0);
            best = counts && (than == NULL || goes_before(h, than)) ? i : best;
        }
        if (best != SIZE_MAX) {
            take(out, list, best, n, o);
        }
        mydb_hidden_free(list, n);
    }
    return code;
}

enum zdm_code mydb_leftovers_look(struct mydb_work *w, bool *out_none, struct zdm_error *err)
{
    struct leftover left;
    enum zdm_code code = next_leftover(w, w->step == NULL ? NULL : w->step->table.name, &left, err);
    *out_none = !left.found;
    mydb_hidden_free(left.row, 1);
    return code;
}

static enum zdm_code drop_leftover(struct mydb_work *w, const struct mydb_hidden *row, struct zdm_error *err)
{
    if (strcmp(row->kind, "images") == 0) {
        return mydb_images_drop(w, row->hidden_name, err);
    }
    return strcmp(row->kind, "column") == 0 ? mydb_drop_left_column(w, row, err)
                                            : mydb_trash_drop(w, row->hidden_name, err);
}

/* The fence before the drop, and again with the row that goes. */
static enum zdm_code purge_one(struct mydb_work *w, const struct leftover *left, struct zdm_error *err)
{
    enum zdm_code code = mydb_journal_check_fence(w, err);
    if (code == ZDM_OK) {
        w->rewrite_ok = true; /* no fence could say it, and a purge is approved */
        code = drop_leftover(w, left->row, err);
        w->rewrite_ok = false;
    }
    if (code == ZDM_OK) {
        code = mydb_begin(w->s, err);
    }
    if (code == ZDM_OK) {
        code = mydb_hidden_forget(w, left->step, left->row->kind, left->row->hidden_name, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_untell(w, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_hold(w, err);
    }
    return code == ZDM_OK ? mydb_journal_commit(w, err) : code;
}

enum zdm_code mydb_purge_leftovers_of_table(struct mydb_work *w, struct zdm_error *err)
{
    struct leftover left = {.found = true};
    enum zdm_code code = ZDM_OK;
    while (code == ZDM_OK && left.found) {
        code = next_leftover(w, w->step->table.name, &left, err);
        if (code == ZDM_OK && left.found) {
            code = purge_one(w, &left, err);
        }
        mydb_hidden_free(left.row, 1);
    }
    return code;
}

enum zdm_code mydb_run_purge_leftovers(struct mydb_work *w, struct zdm_error *err)
{
    struct leftover left;
    int64_t now_ms = 0;
    w->step = NULL;
    enum zdm_code code = next_leftover(w, NULL, &left, err);
    if (code == ZDM_OK && !left.found) {
        w->result->outcome = AGENT_ALREADY;
    }
    if (code == ZDM_OK && left.found) {
        code = mydb_clock(w->s, &now_ms, err);
    }
    if (code == ZDM_OK && left.found) {
        int64_t wait = 0;
        bool due = mydb_hidden_is_due(w, left.row, now_ms, &wait);
        w->result->outcome = due ? w->result->outcome : AGENT_EARLY;
        w->result->wait_ms = due ? 0 : wait;
        code = due ? purge_one(w, &left, err) : ZDM_OK;
    }
    mydb_hidden_free(left.row, 1);
    return code;
}
