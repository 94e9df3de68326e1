/*
 * refused.c - rows that go back in pieces, so that one which the table refuses does not hold up the rest (walk_back.h).
 */
#include "agent/engine/postgresql/back/walk_back.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the server says of rows, and not of the statement: data and constraints, a view's check, a trigger's RAISE. */
static bool is_of_rows(const struct zdm_error *err)
{
    static const char *const classes[] = {"22", "23", "44", "P0"};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strncmp(err->sqlstate, classes[i], 2) == 0) {
            return true;
        }
    }
    return false;
}

/* Places are counted in the savepoint too. */
struct counted {
    uint64_t walked, told, left;
    uint32_t changed;
};

static struct counted counted(const struct pgsql_work *w, const struct pgsql_walk_back *place)
{
    return (struct counted){place->rows_walked, place->rows_told, place->rows_left, w->result->rows_changed};
}

static void count_as(struct pgsql_work *w, struct pgsql_walk_back *place, const struct counted *was)
{
    place->rows_walked = was->walked;
    place->rows_told = was->told;
    place->rows_left = was->left;
    w->result->rows_changed = was->changed;
}

enum zdm_code pgsql_walk_back_try(struct pgsql_work *w, struct pgsql_walk_back *place, pgsql_take_fn *take, void *ctx,
                                  uint32_t rows, uint32_t *out, bool *refused, struct zdm_error *err)
{
    const struct counted was = counted(w, place);
    ZDM_CLEANUP(zdm_freep) char *cursor = zdm_strdup(place->cursor);
    *refused = false;
    if (place->cursor != NULL && cursor == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    enum zdm_code code = pgsql_script(w->s, "SAVEPOINT pieces", NULL, err);
    if (code == ZDM_OK) {
        code = take(w, place, ctx, rows, out, err);
    }
    if (code == ZDM_OK || !is_of_rows(err)) {
        return code == ZDM_OK ? pgsql_script(w->s, "RELEASE pieces", NULL, err) : code;
    }
    *refused = true;
    *out = 0;
    count_as(w, place, &was);
    free(place->cursor);
    place->cursor = cursor;
    cursor = NULL;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    code = pgsql_script(w->s, "ROLLBACK TO pieces; RELEASE pieces", NULL, &ignored);
    if (code != ZDM_OK) {
        *err = ignored;
    }
    return code;
}

enum zdm_code pgsql_walk_back_take(struct pgsql_work *w, struct pgsql_walk_back *place, pgsql_take_fn *take,
                                   pgsql_skip_fn *skip, void *ctx, const char *words, bool *out_over,
                                   struct zdm_error *err)
{
    uint32_t limit = w->op->rows == 0 ? 1 : w->op->rows, done = 0, size = limit;
    int64_t began_ms = pgsql_now_ms();
    enum zdm_code code = ZDM_OK;
    *out_over = false;
    while (code == ZDM_OK && done < limit && !*out_over) {
        uint32_t rows = size < limit - done ? size : limit - done, taken = 0;
        bool refused = false;
        code = pgsql_walk_back_try(w, place, take, ctx, rows, &taken, &refused, err);
        if (code != ZDM_OK) {
            return code;
        }
        *out_over = !refused && taken < rows;
        if (refused && rows == 1) {
            if (place->why_kept[0] == '\0') {
                (void)snprintf(place->why_kept, sizeof place->why_kept, "%s%.120s", words, err->message);
            }
            place->rows_kept++;
            taken = 1;
            code = skip(w, place, ctx, err);
        }
        size = !refused ? rows * 2 : rows > 1 ? rows / 2 : 1;
        done += taken;
        if (refused && code == ZDM_OK) {
            zdm_error_clear(err);
        }
        /* Rows are held meanwhile: the rest is the next batch's. */
        if (w->op->time_limit_ms != 0 && pgsql_now_ms() - began_ms > w->op->time_limit_ms / 2) {
            break;
        }
    }
    w->result->rows_walked = done;
    return code;
}
