/*
 * constraint.c - constraints that a migration adds: what of them is there, and whose it is; foreign keys, whose other
 * table is locked first (database.md 14), and which a partitioned table gets leaf by leaf (18); constraints on an index
 * that was built before (25).
 */
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/change/ddl.h"
#include "agent/engine/postgresql/hide/hidden.h"
#include "agent/engine/postgresql/online/index.h"
#include "agent/engine/postgresql/looks.h"
#include "agent/engine/postgresql/clone/retarget.h"
#include "agent/engine/postgresql/online/validate.h"

const struct zdm_step *pgsql_adding_step(const struct pgsql_work *w)
{
    static const enum zdm_action adding[] = {ZDM_ACTION_ADD_CHECK, ZDM_ACTION_ADD_FOREIGN_KEY,
                                             ZDM_ACTION_ADD_PARTITION_CHECK};
    for (uint32_t i = w->step->ordinal; i > 0 && w->step->object != NULL; i--) {
        const struct zdm_step *step = zdm_plan_step(w->op->plan, i);
        for (size_t a = 0; step != NULL && step->object != NULL && a < sizeof adding / sizeof *adding; a++) {
            if (step->action == adding[a] && strcmp(step->object, w->step->object) == 0 &&
                strcmp(step->table.schema, w->step->table.schema) == 0 &&
                strcmp(step->table.name, w->step->table.name) == 0) {
                return step;
            }
        }
    }
    return NULL;
}

/* What the table has under the step's object. */
struct found {
    bool there, valid, ours;
    char kind; /* contype */
};

static enum zdm_code find(struct pgsql_work *w, const struct pgsql_table *table, struct found *out,
                          struct zdm_error *err)
{
    static const char sql[] = "SELECT convalidated, obj_description(oid, 'pg_constraint'), contype FROM pg_constraint"
                              " WHERE conrelid = $1::oid AND conname = $2";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){table->oid, w->step->object}, &res, err);
    *out = (struct found){.there = code == ZDM_OK && PQntuples(res) > 0};
    if (out->there) {
        out->valid = pgsql_true(res, 0, 0);
        out->ours = pgsql_is_owner(pgsql_text(res, 0, 1), w->op->migration);
        out->kind = pgsql_text(res, 0, 2)[0];
    }
    return code;
}

enum zdm_code pgsql_leaves_read(struct pgsql_work *w, const struct pgsql_table *table, struct pgsql_leaves *out,
                                struct zdm_error *err)
{
    static const char sql[] = "SELECT n.nspname, c.relname, k.oid IS NOT NULL, coalesce(k.convalidated, false),"
                              " obj_description(k.oid, 'pg_constraint') FROM pg_partition_tree($1::oid::regclass) t"
                              " JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace"
                              " LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.conname = $2"
                              " WHERE t.isleaf AND c.relkind = 'r' ORDER BY c.oid";
    *out = (struct pgsql_leaves){.res = NULL};
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){table->oid, w->step->object}, &out->res, err);
    if (code != ZDM_OK) {
        return code;
    }
    out->n = (size_t)PQntuples(out->res);
    out->leaf = calloc(out->n + 1, sizeof *out->leaf);
    if (out->leaf == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < out->n; i++) {
        int row = (int)i;
        out->leaf[i] = (struct pgsql_leaf){.name = {PQgetvalue(out->res, row, 0), PQgetvalue(out->res, row, 1)},
                                           .there = pgsql_true(out->res, row, 2),
                                           .valid = pgsql_true(out->res, row, 3),
                                           .ours = pgsql_is_owner(pgsql_text(out->res, row, 4), w->op->migration)};
    }
    return ZDM_OK;
}

void pgsql_leaves_fini(struct pgsql_leaves *leaves)
{
    free(leaves->leaf);
    pgsql_clearp(&leaves->res);
    leaves->leaf = NULL;
}

/* A foreign key of a partitioned table is there when all leaves have it; the parent gets it once they are validated. */
static enum zdm_code look_at_leaves(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                                    struct zdm_error *err)
{
    struct pgsql_leaves leaves;
    enum zdm_code code = pgsql_leaves_read(w, table, &leaves, err);
    *out_proof = AGENT_PROOF_DONE;
    for (size_t i = 0; code == ZDM_OK && i < leaves.n; i++) {
        const struct pgsql_leaf *leaf = &leaves.leaf[i];
        if (leaf->there && !leaf->ours) {
            code = pgsql_look_foreign(out_proof, table, "constraint", w->step->object, err);
            break;
        }
        *out_proof = leaf->there ? *out_proof : AGENT_PROOF_NOT_DONE;
    }
    pgsql_leaves_fini(&leaves);
    return code;
}

enum zdm_code pgsql_look_constraint(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                                    struct zdm_error *err)
{
    struct found found;
    enum zdm_code code = find(w, table, &found, err);
    if (code != ZDM_OK) {
        return code;
    }
    if (!found.there && w->step->action == ZDM_ACTION_ADD_FOREIGN_KEY && table->kind == 'p') {
        return look_at_leaves(w, table, out_proof, err);
    }
    *out_proof = pgsql_done_if(found.there);
    return !found.there || found.ours ? ZDM_OK
                                      : pgsql_look_foreign(out_proof, table, "constraint", w->step->object, err);
}

enum zdm_code pgsql_look_no_constraint(struct pgsql_work *w, const struct pgsql_table *table,
                                       enum agent_proof *out_proof, struct zdm_error *err)
{
    struct found found;
    enum zdm_code code = find(w, table, &found, err);
    *out_proof = pgsql_done_if(!found.there);
    return code != ZDM_OK || !found.there || found.ours
               ? code
               : pgsql_look_foreign(out_proof, table, "constraint", w->step->object, err);
}

enum zdm_code pgsql_look_validated(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                                   struct zdm_error *err)
{
    struct found found;
    const struct zdm_step *adding = pgsql_adding_step(w);
    enum zdm_code code = find(w, table, &found, err);
    if (code == ZDM_OK && !found.there && adding == NULL) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "constraint %s of %s.%s does not exist", w->step->object,
                             table->schema, table->name);
    }
    *out_proof = pgsql_done_if(found.there && found.valid);
    return code != ZDM_OK || !found.there || found.ours || adding == NULL
               ? code
               : pgsql_look_foreign(out_proof, table, "constraint", w->step->object, err);
}

/* Any of it that is ours. */
enum zdm_code pgsql_back_of_constraint(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    struct found found;
    enum zdm_code code = find(w, table, &found, err);
    bool ours = found.there && found.ours;
    if (code == ZDM_OK && !ours && w->step->action == ZDM_ACTION_ADD_FOREIGN_KEY && table->kind == 'p') {
        struct pgsql_leaves leaves;
        code = pgsql_leaves_read(w, table, &leaves, err);
        for (size_t i = 0; code == ZDM_OK && i < leaves.n; i++) {
            ours = ours || (leaves.leaf[i].there && leaves.leaf[i].ours);
        }
        pgsql_leaves_fini(&leaves);
    }
    return code == ZDM_OK ? pgsql_answer_back(w, !ours, AGENT_RUN_UNDO_DDL) : code;
}

/* ---- On an index ---- */

/* The server itself refuses what is no b-tree of plain columns in their default order, some of it only after it has
 * read the table for NOT NULL; here all of it is refused before, in words. */
static const char index_sql[] =
    "SELECT i.indisvalid AND i.indisready, i.indisunique, i.indpred IS NULL, i.indexprs IS NULL, m.amname = 'btree',"
    " NOT EXISTS (SELECT FROM generate_series(0, i.indnkeyatts - 1) g JOIN pg_opclass o ON o.oid = i.indclass[g]"
    " LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[g] WHERE NOT o.opcdefault OR"
    " i.indoption[g] <> 0 OR a.attcollation <> i.indcollation[g]),"
    " NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY"
    "  ((i.indkey::int2[])[0:i.indnkeyatts - 1]) AND NOT " PGSQL_NO_NULLS "),"
    " NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = ic.oid AND c.contype IN"
    " ('p', 'u', 'x')), " PGSQL_INDEX_IS_OURS(
        "ic", "$3::text", "$2::text",
        "$4::text") " FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am m ON m.oid = ic.relam"
                    " WHERE i.indrelid = $1::oid AND ic.relname = $2";

static const struct {
    int column;
    bool primary_key_only;
    const char *what;
} index_rules[] = {
    {0, false, "is not valid: its build was not finished"},
    {1, false, "is not unique"},
    {2, false, "has a WHERE"},
    {3, false, "has an expression"},
    {4, false, "is no btree"},
    {5, false, "has another order, collation or operator class than its columns"},
    {6, true, "has a column that is not NOT NULL, or whose NOT NULL is not valid"},
    {7, false, "belongs to a constraint already"},
};

enum zdm_code pgsql_refuse_key(const struct pgsql_table *table, struct zdm_error *err)
{
    if (table->kind != 'p') {
        return ZDM_OK;
    }
    zdm_error_set(err, ZDM_UNSUPPORTED, "%s.%s is partitioned, and the server makes no constraint of its index",
                  table->schema, table->name);
    return zdm_error_hint(err, "A unique index enforces the same: CREATE UNIQUE INDEX.");
}

enum zdm_code pgsql_may_use_index(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {table->oid, w->step->object, table->schema, w->op->migration};
    enum zdm_code code = pgsql_refuse_key(table, err);
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, index_sql, 4, params, &res, err);
    }
    if (code == ZDM_OK && PQntuples(res) == 0) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "index %s of %s.%s does not exist", w->step->object, table->schema,
                             table->name);
    }
    for (size_t i = 0; code == ZDM_OK && i < sizeof index_rules / sizeof *index_rules; i++) {
        bool applies = !index_rules[i].primary_key_only || w->step->action == ZDM_ACTION_ADD_PRIMARY_KEY;
        if (applies && !pgsql_true(res, 0, index_rules[i].column)) {
            return zdm_error_set(err, ZDM_REFUSED, "index %s of %s.%s %s", w->step->object, table->schema, table->name,
                                 index_rules[i].what);
        }
    }
    if (code == ZDM_OK && !pgsql_true(res, 0, 8)) {
        return zdm_error_set(err, ZDM_EXISTS, "index %s.%s was not made by this migration", table->schema,
                             w->step->object);
    }
    return code;
}

/* From here on the constraint owns it, which is marked for itself. */
enum zdm_code pgsql_note_used_index(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    return pgsql_index_settle(attempt->w, table, err);
}

/* ---- Foreign keys ---- */

static enum zdm_code lock_parents(struct pgsql_short *attempt, const struct pgsql_table *table,
                                  enum pgsql_lock_mode mode, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < w->step->n_others; i++) {
        struct pgsql_table parent;
        code = pgsql_table_find(w->s, &w->step->others[i], &parent, err);
        if (code == ZDM_OK && (table == NULL || strcmp(parent.oid, table->oid) != 0)) {
            code = pgsql_short_lock_parent(attempt, &parent, mode, err);
        } else if (code == ZDM_NOT_FOUND && mode == PGSQL_ACCESS_EXCLUSIVE) {
            zdm_error_clear(err); /* and the foreign key with it */
            code = ZDM_OK;
        }
    }
    return code;
}

enum zdm_code pgsql_lock_parents(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    return lock_parents(attempt, table, PGSQL_SHARE_ROW_EXCLUSIVE, err);
}

enum zdm_code pgsql_lock_parents_to_drop(struct pgsql_short *attempt, const struct pgsql_table *table,
                                         struct zdm_error *err)
{
    return lock_parents(attempt, table, PGSQL_ACCESS_EXCLUSIVE, err);
}

enum zdm_code pgsql_mark_constraint(struct pgsql_work *w, const struct zdm_table *table, const char *name,
                                    struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    char mark[ZDM_NAME_MAX + 8];
    pgsql_owner_mark(mark, w->op->migration);
    zdm_buffer_puts(&sql, "COMMENT ON CONSTRAINT ");
    pgsql_put_name(&sql, name);
    zdm_buffer_puts(&sql, " ON ");
    pgsql_put_table(&sql, table);
    zdm_buffer_puts(&sql, " IS ");
    pgsql_put_literal(&sql, mark);
    return pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
}

/* The statement of the adding step, for one leaf. */
enum zdm_code pgsql_add_to_leaf(struct pgsql_work *w, const struct zdm_step *adding, const struct zdm_table *leaf,
                                struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    pgsql_put_table(&name, leaf);
    if (!pgsql_retarget(&sql, adding->sql, &adding->table, zdm_buffer_text(&name))) {
        return zdm_error_set(err, ZDM_REFUSED, "the statement of step %s is no ALTER TABLE of %s.%s", adding->id,
                             adding->table.schema, adding->table.name);
    }
    enum zdm_code code = pgsql_run_statement(w, zdm_buffer_text(&sql), err);
    return code == ZDM_OK ? pgsql_mark_constraint(w, leaf, adding->object, err) : code;
}

enum zdm_code pgsql_add_foreign_key(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    struct pgsql_leaves leaves;
    if (table->kind != 'p') {
        return pgsql_add_to_leaf(w, w->step, &w->step->table, err);
    }
    enum zdm_code code = pgsql_leaves_read(w, table, &leaves, err);
    for (size_t i = 0; code == ZDM_OK && i < leaves.n; i++) {
        if (!leaves.leaf[i].there) {
            code = pgsql_add_to_leaf(w, w->step, &leaves.leaf[i].name, err);
        }
    }
    pgsql_leaves_fini(&leaves);
    return code;
}

enum zdm_code pgsql_drop_foreign_key(struct pgsql_short *attempt, const struct pgsql_table *table,
                                     struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    struct pgsql_leaves leaves = {.res = NULL};
    enum zdm_code code = pgsql_undo_by_inverse(attempt, table, err);
    if (code == ZDM_OK && table->kind == 'p') {
        code = pgsql_leaves_read(w, table, &leaves, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < leaves.n; i++) {
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
        pgsql_put_alter(&sql, &leaves.leaf[i].name);
        zdm_buffer_puts(&sql, " DROP CONSTRAINT ");
        pgsql_put_name(&sql, w->step->object);
        if (leaves.leaf[i].there && leaves.leaf[i].ours) {
            code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
        }
    }
    pgsql_leaves_fini(&leaves);
    return code;
}
