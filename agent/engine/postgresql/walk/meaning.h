/*
 * meaning.h - whether a batch may do what its statement says: what the words of its expressions mean, what its
 * subqueries read, whether it moves the key that it is walked by.
 *
 * Batches and triggers run under search_path = pg_catalog, the application under its own. Where an operator means
 * something else there (citext), neither meaning is guessed.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_WALK_MEANING_H
#define AGENT_ENGINE_POSTGRESQL_WALK_MEANING_H

#include "agent/engine/postgresql/catalog/catalog.h"
#include "agent/engine/postgresql/walk/sync.h"

/* What is judged: expressions over the rows of `from` AS t. */
struct pgsql_meaning {
    const char *from;   /* SQL of the table, or of a clone that stands for it */
    const char *oid;    /* of the table itself */
    const char *schema; /* of the application's table */
    const char *texts[PGSQL_TARGETS_MAX + 2];
    size_t n;
};

/* The derivation's own texts. The caller sets the rest; texts are borrowed. */
void pgsql_meaning_texts(const struct zdm_derivation *d, struct pgsql_meaning *out);
/* In the transaction at hand, which is left as it was: ZDM_REFUSED where an expression means something else under the
 * path of the application, with both forms of it. */
enum zdm_code pgsql_meaning_same(struct pgsql_session *s, const struct pgsql_meaning *m,
                                 struct zdm_error *err) ZDM_CHECKED;
/* In the transaction at hand: ZDM_REFUSED where a subquery reads the table by way of a view or a partition tree. */
enum zdm_code pgsql_meaning_outside(struct pgsql_session *s, const struct pgsql_meaning *m,
                                    struct zdm_error *err) ZDM_CHECKED;
/* Both, of the operation's step, in a transaction of its own. */
enum zdm_code pgsql_meaning_judge(struct pgsql_work *w, const struct pgsql_table *table,
                                  struct zdm_error *err) ZDM_CHECKED;

/* ZDM_REFUSED where the derivation assigns a column of the key, or one that such a column is generated from. */
enum zdm_code pgsql_key_keeps(struct pgsql_session *s, const struct pgsql_table *table, const struct pgsql_key *key,
                              const struct zdm_derivation *d, struct zdm_error *err) ZDM_CHECKED;

/* ZDM_REFUSED where the derivation fills a column once that the plan adds, and rows that were there did not get the
 * value it counts on, but the default of the column's domain. $table may be a clone. */
enum zdm_code pgsql_fill_begins(struct pgsql_session *s, const struct pgsql_table *table, const struct zdm_plan *plan,
                                const struct zdm_step *step, struct zdm_error *err) ZDM_CHECKED;

#endif
