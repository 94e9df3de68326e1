/*
 * sync.h - the derived triggers that keep old and new columns in step (database.md 3 to 5, 16, 20).
 *
 * sync.c validates a derivation against the catalogue, installs, proves and removes; trigger.c writes the bodies;
 * facts.c collects what both need to know of the columns.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_WALK_SYNC_H
#define AGENT_ENGINE_POSTGRESQL_WALK_SYNC_H

#include "agent/engine/postgresql/session/work.h"

enum { PGSQL_TARGETS_MAX = 32, PGSQL_SOURCES_MAX = 64 };

/* One assignment and what the catalogue says of its columns. */
struct pgsql_pair {
    const struct zdm_assignment *a;
    struct pgsql_column target;
    struct pgsql_column source; /* of a copy; name is the current one (hidden or not) */
    bool copy;
    bool guarded; /* the reverse copy needs a test */
};

struct pgsql_facts {
    const struct zdm_derivation *d;
    struct pgsql_table table;
    struct pgsql_key key;
    struct pgsql_pair pairs[PGSQL_TARGETS_MAX];
    size_t n_pairs;
    struct pgsql_column sources[PGSQL_SOURCES_MAX];
    size_t n_sources;
    bool alone; /* nothing else in the plan fills these targets */
};

/* Reads table, key and columns; hidden columns of the plan's HIDE steps up to `ordinal` are found under their hidden
 * name (ordinal 0: none are). The caller frees with pgsql_facts_fini, also after a failure. */
enum zdm_code pgsql_facts_read(struct pgsql_work *w, const struct zdm_step *sync, uint32_t ordinal,
                               struct pgsql_facts *out, struct zdm_error *err) ZDM_CHECKED;
void pgsql_facts_fini(struct pgsql_facts *facts);

/* How values of a type fit into another: all of them, some (a test tells which), or no rule. */
enum pgsql_fit { PGSQL_FITS, PGSQL_FITS_SOMETIMES, PGSQL_FITS_NOT };
enum pgsql_fit pgsql_fit(const struct pgsql_column *from, const struct pgsql_column *to);
/* Appends the test that a value (SQL of the type `from`) fits column `to`, its NOT NULL included; "true" when always.
 */
void pgsql_put_fits(struct zdm_buffer *b, const char *value, const struct pgsql_column *from,
                    const struct pgsql_column *to);

/* What a row that new code inserts with NULL, or without the column, holds in an old one that is NOT NULL: its default
 * or its type's zero value. False: there is none, and the INSERT would fail. */
bool pgsql_has_value(const struct pgsql_column *source, const struct pgsql_column *target);

/* Bodies of the two trigger functions and the WHEN conditions of the two triggers. */
struct pgsql_trigger_text {
    struct zdm_buffer insert_body, update_body, insert_when, update_when;
};
void pgsql_trigger_text_fini(struct pgsql_trigger_text *text);
/* Both halves; for a derivation that is no pure copy, the forward half. */
enum zdm_code pgsql_trigger_write(const struct pgsql_facts *facts, struct pgsql_trigger_text *out,
                                  struct zdm_error *err) ZDM_CHECKED;
/* After a hide: only from new to old. */
enum zdm_code pgsql_trigger_write_reverse(const struct pgsql_facts *facts, struct pgsql_trigger_text *out,
                                          struct zdm_error *err) ZDM_CHECKED;

/* Appends a condition: source and target of a pair, in the row ("NEW.", "t."), are not byte for byte the same. */
void pgsql_put_pair_differs(struct zdm_buffer *b, const struct pgsql_pair *pair, const char *row);

/* Names of what belongs to a sync step: kind is 'i' or 'u'. */
void pgsql_function_name(char out[32], const char *migration, uint32_t ordinal, char kind);
/* CREATE OR REPLACE of the two functions, and their hashes into zdm.sync. */
enum zdm_code pgsql_sync_replace_functions(struct pgsql_work *w, uint32_t ordinal, const struct pgsql_facts *facts,
                                           struct pgsql_trigger_text *text, struct zdm_error *err) ZDM_CHECKED;
/* On the way back: the triggers of that sync step as they were first installed, in the transaction at hand, which holds
 * SHARE ROW EXCLUSIVE or more on the table. */
enum zdm_code pgsql_sync_install_again(struct pgsql_work *w, const struct zdm_step *sync,
                                       struct zdm_error *err) ZDM_CHECKED;
/* Drops triggers and functions of a sync step, in the transaction at hand. */
enum zdm_code pgsql_sync_drop(struct pgsql_work *w, uint32_t ordinal, bool keep_record,
                              struct zdm_error *err) ZDM_CHECKED;

enum zdm_code pgsql_sync_look(struct pgsql_work *w, const struct pgsql_table *table, uint32_t ordinal,
                              enum agent_proof *out_proof, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_sync_look_removed(struct pgsql_work *w, uint32_t ordinal, enum agent_proof *out_proof,
                                      struct zdm_error *err) ZDM_CHECKED;

#endif
