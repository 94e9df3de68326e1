/*
 * partition.c - attaching and detaching partitions without reading them under the lock.
 *
 * Attaching reads all rows of the partition unless a validated CHECK says what its bound says: so the server is asked
 * for the bound's condition first (partition_clone.c), that becomes a CHECK NOT VALID, which is validated while reads
 * and writes go on, and then attaching reads nothing. A partition that was detached comes back in the same way.
 */
#include "agent/engine/postgresql/change/partition.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/journal/former.h"
#include "agent/engine/postgresql/hide/hidden.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/looks.h"

/* The parts of a detached partition's way back, as zdm.former keeps them; and of an attached one's. */
enum { PART_CHECK = 1, PART_VALIDATE, PART_ATTACH, PART_DROP };
enum { PART_DETACH = 1, PART_MADE };

struct place {
    bool attached, elsewhere; /* to the step's table; to another one */
    bool check, valid;        /* the way back's constraint */
};

static enum zdm_code child_of(const struct pgsql_work *w, const struct zdm_table **out, struct zdm_error *err)
{
    if (w->step->n_others == 0) {
        return zdm_error_set(err, ZDM_BUG, "step %s does not name its partition", w->step->id);
    }
    *out = &w->step->others[0];
    return ZDM_OK;
}

/* Of the constraint that a detached partition comes back with. */
static void check_name(const struct pgsql_work *w, char out[ZDM_IDENTIFIER_MAX + 1])
{
    char hash[9];
    pgsql_short_name(hash, w->op->migration);
    snprintf(out, ZDM_IDENTIFIER_MAX + 1, "~zdm_p%s_%" PRIu32, hash, w->step->ordinal);
}

static enum zdm_code read_place(struct pgsql_work *w, const struct pgsql_table *parent, struct place *out,
                                struct zdm_error *err)
{
    static const char sql[] =
        "SELECT i.inhparent IS NOT NULL AND i.inhparent = $3::oid, i.inhparent IS NOT NULL AND i.inhparent <> $3::oid,"
        " k.oid IS NOT NULL, coalesce(k.convalidated, false) FROM pg_class c JOIN pg_namespace n ON"
        " n.oid = c.relnamespace LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_constraint k ON"
        " k.conrelid = c.oid AND k.conname = $4 WHERE n.nspname = $1 AND c.relname = $2";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const struct zdm_table *child = NULL;
    char check[ZDM_IDENTIFIER_MAX + 1];
    check_name(w, check);
    enum zdm_code code = child_of(w, &child, err);
    if (code == ZDM_OK) {
        code =
            pgsql_query(w->s, sql, 4, (const char *const[]){child->schema, child->name, parent->oid, check}, &res, err);
    }
    if (code == ZDM_OK && PQntuples(res) == 0) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "table %s.%s does not exist", child->schema, child->name);
    }
    if (code == ZDM_OK) {
        *out =
            (struct place){pgsql_true(res, 0, 0), pgsql_true(res, 0, 1), pgsql_true(res, 0, 2), pgsql_true(res, 0, 3)};
    }
    return code;
}

enum zdm_code pgsql_look_attached(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                                  struct zdm_error *err)
{
    struct place place = {0};
    enum zdm_code code = read_place(w, table, &place, err);
    *out_proof = pgsql_done_if(place.attached);
    if (code == ZDM_OK && place.elsewhere) {
        *out_proof = AGENT_PROOF_FOREIGN;
        zdm_error_set(err, ZDM_EXISTS, "%s.%s is a partition of another table", w->step->others[0].schema,
                      w->step->others[0].name);
        zdm_error_hint(err, "Detach it there first.");
    }
    return code;
}

enum zdm_code pgsql_look_detached(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                                  struct zdm_error *err)
{
    struct place place = {0};
    enum zdm_code code = read_place(w, table, &place, err);
    *out_proof = pgsql_done_if(!place.attached);
    return code;
}

/* On the way back of an ATTACH a foreign key may go that the server made. */
static bool drops_keys(const struct pgsql_work *w)
{
    return w->step->action == ZDM_ACTION_ATTACH_PARTITION && w->op->run != AGENT_RUN_DDL;
}

/* The parent first, as the application does; a default partition is locked by the server as well. */
enum zdm_code pgsql_lock_partition(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    struct pgsql_table parent = *table, other;
    const struct zdm_table *child = NULL;
    char schema[ZDM_IDENTIFIER_MAX + 1], name[ZDM_IDENTIFIER_MAX + 1];
    bool detaches = (w->step->action == ZDM_ACTION_DETACH_PARTITION) == (w->op->run == AGENT_RUN_DDL), there = false;
    parent.kind = 'r'; /* none of the other partitions */
    enum zdm_code code = child_of(w, &child, err);
    if (code == ZDM_OK) {
        code = pgsql_partition_lock_referenced(attempt, table, drops_keys(w), err);
    }
    if (code == ZDM_OK) {
        code =
            pgsql_short_lock(attempt, &parent, detaches ? PGSQL_ACCESS_EXCLUSIVE : PGSQL_SHARE_UPDATE_EXCLUSIVE, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_table_find(w->s, child, &other, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_short_lock(attempt, &other, PGSQL_ACCESS_EXCLUSIVE, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_default_partition(w, &w->step->table, schema, name, &there, err);
    }
    if (code == ZDM_OK && there && (strcmp(schema, child->schema) != 0 || strcmp(name, child->name) != 0)) {
        code = pgsql_table_find(w->s, &(struct zdm_table){schema, name}, &other, err);
        if (code == ZDM_OK) {
            code = pgsql_short_lock(attempt, &other, PGSQL_ACCESS_EXCLUSIVE, err);
        }
    }
    return code;
}

/* ---- Attaching ---- */

static void put_check(struct zdm_buffer *sql, const struct zdm_table *child, const char *name, const char *condition)
{
    pgsql_put_alter(sql, child);
    zdm_buffer_puts(sql, " ADD CONSTRAINT ");
    pgsql_put_name(sql, name);
    zdm_buffer_printf(sql, " CHECK (%s) NOT VALID", condition);
}

enum zdm_code pgsql_add_partition_check(struct pgsql_short *attempt, const struct pgsql_table *table,
                                        struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    ZDM_CLEANUP(zdm_freep) char *condition = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    const struct zdm_table *parent = NULL;
    (void)table;
    enum zdm_code code = child_of(w, &parent, err);
    if (code == ZDM_OK) {
        code = pgsql_partition_condition(w, parent, &w->step->table, w->step->sql, &condition, err);
    }
    if (code == ZDM_OK) {
        put_check(&sql, &w->step->table, w->step->object, condition);
        code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    }
    return code;
}

static enum zdm_code complete(struct pgsql_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer child = ZDM_BUFFER_INIT;
    pgsql_put_table(&child, &w->step->others[0]);
    return pgsql_partition_complete(w, &w->step->table, zdm_buffer_text(&child), err);
}

/* Says that it was this migration which attached it. */
enum zdm_code pgsql_keep_attach(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    const char *back = w->step->inverse_sql == NULL ? "" : w->step->inverse_sql;
    (void)table;
    enum zdm_code code = pgsql_former_forget(w, err); /* of an earlier time: it may have made something else */
    return code == ZDM_OK ? pgsql_former_keep(w, PART_DETACH, back, NULL, err) : code;
}

enum zdm_code pgsql_attach(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    const struct zdm_table *child = &w->step->others[0];
    ZDM_CLEANUP(zdm_freep) char *had = NULL;
    (void)table;
    enum zdm_code code = pgsql_partition_has(w, child, &had, err);
    if (code == ZDM_OK) {
        code = complete(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_run_statement(w, w->step->sql, err);
    }
    return code == ZDM_OK ? pgsql_partition_keep_made(w, child, had, PART_MADE, err) : code;
}

enum zdm_code pgsql_note_attach(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    (void)table;
    return pgsql_partition_gives_hidden(attempt->w, &attempt->w->step->others[0], err);
}

enum zdm_code pgsql_back_of_attach(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    struct place place = {0};
    ZDM_CLEANUP(zdm_freep) char *made = NULL;
    bool ours = false;
    enum zdm_code code = pgsql_former_read(w, &ours, &made, err);
    if (code == ZDM_OK && ours) {
        code = read_place(w, table, &place, err);
    }
    return code == ZDM_OK ? pgsql_answer_back(w, !ours || !place.attached, AGENT_RUN_UNDO_DDL) : code;
}

enum zdm_code pgsql_undo_attach(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    enum zdm_code code = pgsql_may_detach(attempt, table, err);
    if (code == ZDM_OK) {
        code = pgsql_partition_takes_hidden(attempt->w, &attempt->w->step->others[0], err);
    }
    if (code == ZDM_OK) {
        code = pgsql_undo_by_inverse(attempt, table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_partition_drop_made(attempt->w, &attempt->w->step->others[0], err);
    }
    return code == ZDM_OK ? pgsql_former_forget(attempt->w, err) : code;
}

/* ---- Detaching ---- */

enum zdm_code pgsql_may_detach(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    static const char sql[] = "SELECT min(format('%I.%I', n.nspname, c.relname)) FROM pg_constraint k JOIN pg_class c"
                              " ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE"
                              " k.confrelid = $1::oid AND k.contype = 'f'";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(attempt->w->s, sql, 1, (const char *const[]){table->oid}, &res, err);
    if (code != ZDM_OK || pgsql_text(res, 0, 0) == NULL) {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED, "a foreign key of %s points at %s.%s", pgsql_text(res, 0, 0), table->schema,
                  table->name);
    zdm_error_detail(err, "The server would read %s under the lock, for rows that point at the partition.",
                     pgsql_text(res, 0, 0));
    return zdm_error_hint(err, "Drop the foreign key before, and add it again behind the change.");
}

enum zdm_code pgsql_keep_bound(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT format('ALTER TABLE %s ADD CONSTRAINT %I CHECK (%s) NOT VALID', child, $5::text,"
        "  pg_get_partition_constraintdef(oid)), format('ALTER TABLE %s VALIDATE CONSTRAINT %I', child, $5::text),"
        " format('ALTER TABLE %I.%I ATTACH PARTITION %s %s', $3::text, $4::text, child, pg_get_expr(relpartbound,"
        " oid)), format('ALTER TABLE %s DROP CONSTRAINT %I', child, $5::text) FROM (SELECT c.oid, c.relpartbound,"
        " format('%I.%I', n.nspname, c.relname) AS child FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = $1 AND c.relname = $2) AS c";
    struct pgsql_work *w = attempt->w;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const struct zdm_table *child = NULL;
    char check[ZDM_IDENTIFIER_MAX + 1];
    check_name(w, check);
    enum zdm_code code = child_of(w, &child, err);
    if (code == ZDM_OK) {
        const char *params[] = {child->schema, child->name, table->schema, table->name, check};
        code = pgsql_query(w->s, sql, 5, params, &res, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_former_forget(w, err); /* of an earlier time: the bound may be another one by now */
    }
    for (int part = PART_CHECK; code == ZDM_OK && part <= PART_DROP; part++) {
        code = pgsql_former_keep(w, (unsigned)part, pgsql_text(res, 0, part - PART_CHECK), NULL, err);
    }
    return code == ZDM_OK ? pgsql_partition_takes_hidden(w, child, err) : code;
}

enum zdm_code pgsql_back_of_detach(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    struct place place = {0};
    ZDM_CLEANUP(zdm_freep) char *made = NULL;
    bool ours = false;
    enum zdm_code code = pgsql_former_read(w, &ours, &made, err);
    if (code == ZDM_OK && ours) {
        code = read_place(w, table, &place, err);
    }
    bool restore = place.check && !place.valid;
    return code == ZDM_OK
               ? pgsql_answer_back(w, !ours || place.attached, restore ? AGENT_RUN_RESTORE : AGENT_RUN_UNDO_DDL)
               : code;
}

static enum zdm_code run_part(struct pgsql_work *w, unsigned part, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *sql = NULL;
    enum zdm_code code = pgsql_former_part(w, part, &sql, err);
    if (code == ZDM_OK && sql == NULL) {
        return zdm_error_set(err, ZDM_CORRUPT, "zdm.former does not say how the partition was attached");
    }
    return code == ZDM_OK ? pgsql_script(w->s, sql, NULL, err) : code;
}

/* Rows may have come into the default partition meanwhile that belong into this one. */
enum zdm_code pgsql_undo_detach_ahead(struct pgsql_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *attach = NULL;
    struct pgsql_table table;
    struct place place = {0};
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &table, err);
    if (code == ZDM_OK) {
        code = read_place(w, &table, &place, err);
    }
    if (code == ZDM_OK && !place.attached && place.check && place.valid) {
        code = pgsql_former_part(w, PART_ATTACH, &attach, err);
    }
    return code == ZDM_OK && attach != NULL ? pgsql_attach_again_ahead(w, attach, err) : code;
}

enum zdm_code pgsql_undo_detach(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    struct place place = {0};
    enum zdm_code code = read_place(w, table, &place, err);
    if (code != ZDM_OK) {
        return code;
    }
    if (!place.check) {
        return run_part(w, PART_CHECK, err);
    }
    code = complete(w, err);
    if (code == ZDM_OK) {
        code = run_part(w, PART_ATTACH, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_partition_gives_hidden(w, &w->step->others[0], err);
    }
    if (code == ZDM_OK) {
        code = run_part(w, PART_DROP, err);
    }
    return code == ZDM_OK ? pgsql_former_forget(w, err) : code;
}

enum zdm_code pgsql_run_partition_restore(struct pgsql_work *w, struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = run_part(w, PART_VALIDATE, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}
