/*
 * sync.h - the derived triggers that keep old and new columns in step (database.md 3 to 7, 16, 20).
 *
 * facts.c reads table, key and columns of a derivation, validate_sync.c judges it; trigger.c writes the bodies; sync.c
 * installs, proves and removes them. Triggers are BEFORE INSERT and BEFORE UPDATE, named zdm_<8 hex>_<step>_i and _u
 * (reverse only: _ir and _ur; one of either form that has to stand beside its like for a moment: _ib, _ub, _irb, _urb),
 * behind the last one of the application, with a definer of their own (zdm_definer@localhost, locked) and made under a
 * pinned sql_mode, character set and collation, which the server keeps with them. zdm.sync holds the hash of what was
 * installed, beside each trigger's name; '' while it is being made or dropped.
 */
#ifndef AGENT_ENGINE_MYSQL_WALK_SYNC_H
#define AGENT_ENGINE_MYSQL_WALK_SYNC_H

#include "agent/engine/mysql/catalog/catalog.h"
#include "agent/engine/mysql/session/work.h"

enum { MYDB_TARGETS_MAX = 32, MYDB_SOURCES_MAX = 64 };

/* One assignment and what the catalogue says of its columns. */
struct mydb_pair {
    const struct zdm_assignment *a;
    struct mydb_column target;
    struct mydb_column source; /* of a copy */
    bool copy;
    bool guarded; /* the reverse copy needs a test */
};

struct mydb_facts {
    const struct zdm_derivation *d;
    struct mydb_table table;
    struct mydb_key key;
    struct mydb_pair pairs[MYDB_TARGETS_MAX];
    size_t n_pairs;
    struct mydb_column sources[MYDB_SOURCES_MAX];
    size_t n_sources;
    bool alone;                             /* nothing else in the plan fills these targets */
    char (*stamps)[ZDM_IDENTIFIER_MAX + 2]; /* the columns that the server sets to the time with every UPDATE */
    size_t n_stamps;
};

/* Reads table, key and columns of a step with a derivation. The caller frees with mydb_facts_fini, also after a
 * failure. */
enum zdm_code mydb_facts_read(struct mydb_work *w, const struct zdm_step *step, struct mydb_facts *out,
                              struct zdm_error *err) ZDM_CHECKED;
void mydb_facts_fini(struct mydb_facts *facts);
/* Judges the derivation against the catalogue, and says which rule it breaks; changes nothing but a table of its own in
 * database zdm, which is gone afterwards. */
enum zdm_code mydb_sync_validate(struct mydb_work *w, const struct mydb_facts *facts,
                                 struct zdm_error *err) ZDM_CHECKED;

/* constant.c: does the value read no column? And, in a table zdm.<probe> that is not there yet and that the caller
 * drops: does each such value fit its column, and stay what it is? */
bool mydb_is_constant(const struct mydb_pair *pair);
enum zdm_code mydb_sync_try_constants(struct mydb_work *w, const struct mydb_facts *facts, const char *probe,
                                      struct zdm_error *err) ZDM_CHECKED;

enum mydb_fit { MYDB_FITS, MYDB_FITS_SOMETIMES, MYDB_FITS_NOT };
enum mydb_fit mydb_fit(const struct mydb_column *from, const struct mydb_column *to);
/* Appends the test that a value of the type `from` fits column `to`, its NOT NULL included; "TRUE" when always. */
void mydb_put_fits(struct zdm_buffer *b, const char *value, const struct mydb_column *from,
                   const struct mydb_column *to);
/* truth.c: does an expression of the compiler give 0, 1 or NULL and nothing else? False where nobody can tell. */
bool mydb_is_truth(const char *expr);
/* Appends a condition: target and expression of a pair, in the row ("NEW.", "t."), are not byte for byte the same. */
void mydb_put_pair_differs(struct zdm_buffer *b, const struct mydb_pair *pair, const char *row);
/* … a condition: the target in the row is byte for byte what it held before anybody wrote it. */
void mydb_put_is_initial(struct zdm_buffer *b, const struct mydb_pair *pair, const char *row);

/* Bodies of the two triggers: both halves, or after a hide only from new to old. */
struct mydb_trigger_text {
    struct zdm_buffer insert_body, update_body;
};
void mydb_trigger_text_fini(struct mydb_trigger_text *text);
enum zdm_code mydb_trigger_write(const struct mydb_facts *facts, bool reverse_only, struct mydb_trigger_text *out,
                                 struct zdm_error *err) ZDM_CHECKED;

/* Makes the triggers of that sync step in that form beside those that stand (other names), then drops those: no moment
 * without. Each statement is DDL (locks.h); what stands already is kept, so that it may be called again. */
enum zdm_code mydb_sync_replace(struct mydb_work *w, const struct zdm_step *sync, bool reverse_only,
                                struct zdm_error *err) ZDM_CHECKED;
/* Drops the triggers of a sync step. keep_record: zdm.sync still says what they were. */
enum zdm_code mydb_sync_drop(struct mydb_work *w, const struct zdm_step *sync, bool keep_record,
                             struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_sync_look(struct mydb_work *w, const struct zdm_step *sync, enum agent_proof *out_proof,
                             struct zdm_error *err) ZDM_CHECKED;
/* Is no trigger of that step left? */
enum zdm_code mydb_sync_is_gone(struct mydb_work *w, const struct zdm_step *sync, bool *out,
                                struct zdm_error *err) ZDM_CHECKED;

/* old_default.c: a default for the old columns of a sync in both directions, where the server asks for one although the
 * triggers fill them: given before the triggers are made, taken before they go. May be called again. */
enum zdm_code mydb_sync_give_defaults(struct mydb_work *w, const struct zdm_step *sync, const struct mydb_facts *facts,
                                      struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_sync_take_defaults(struct mydb_work *w, const struct zdm_step *sync,
                                      struct zdm_error *err) ZDM_CHECKED;
/* How many steps of this migration gave the column a default, or found one that another had given. */
enum zdm_code mydb_default_rows(struct mydb_work *w, const char *table, const char *column, size_t *out,
                                struct zdm_error *err) ZDM_CHECKED;

/* leftover.c: what an ADD COLUMN has added goes out of sight on the way back, where it is there and this
 * migration's: INVISIBLE, then renamed to "zdm_u<8 hex>", so that it may be added anew, empty. Each statement is DDL; a
 * row of zdm.hidden (kind "column", by_rollback, under the ADD COLUMN's step; "hiding" until it is done) says the name,
 * and the row of zdm.owned goes. May be called again. No trigger may name the column by then. */
enum zdm_code mydb_hide_added(struct mydb_work *w, const struct zdm_step *add, struct zdm_error *err) ZDM_CHECKED;
/* … and its purge: drops the column that the row says, where it is still there, and forgets the row. */
struct mydb_hidden;
enum zdm_code mydb_drop_left_column(struct mydb_work *w, const struct mydb_hidden *left,
                                    struct zdm_error *err) ZDM_CHECKED;

/* watch.c: at every SIGNALS: what deviates from what was installed (order, definer, body) is noted, and listed in the
 * result with what comparisons counted. */
enum zdm_code mydb_watch_syncs(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_watch_compared(struct mydb_work *w, bool *out_interrupted, struct zdm_error *err) ZDM_CHECKED;
/* The comparison of the step at hand, which began so long ago, found the table right; in its transaction. */
enum zdm_code mydb_watch_forget(struct mydb_work *w, int64_t began_ms_ago, struct zdm_error *err) ZDM_CHECKED;
/* Triggers of the step at hand are installed again where the journal is past it: rows may have passed by meanwhile. */
enum zdm_code mydb_watch_note(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err) ZDM_CHECKED;
/* STEP_DONE with lets_pass: what speaks against the comparison of the step at hand falls by a person's word. */
enum zdm_code mydb_run_let_pass(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;

#endif
