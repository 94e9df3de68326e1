/*
 * orphans.h - rows of a foreign key that have no parent, looked for in chunks of the table's key.
 *
 * Each chunk is a transaction of its own, of some tenths of a second: one query over a large table would keep the
 * server from purging what is overwritten meanwhile, and would begin at the first row again after each interruption.
 * A table without a key is read at once.
 */
#ifndef AGENT_ENGINE_MYSQL_CHANGE_ORPHANS_H
#define AGENT_ENGINE_MYSQL_CHANGE_ORPHANS_H

#include "agent/engine/mysql/walk/walk.h"

/* While it is in use the work's operation is a copy, which stands where the walk has brought the journal. */
struct mydb_orphans {
    struct mydb_work *w;
    const struct agent_op *former;
    struct agent_op op;
    char *cursor;
    bool known;              /* the foreign key is there */
    struct mydb_rows *found; /* columns of the foreign key, of the first rows that were found; NULL or empty: none */
};
void mydb_orphans_init(struct mydb_orphans *o, struct mydb_work *w);
void mydb_orphans_fini(struct mydb_orphans *o);

/* Until a chunk holds some, of which it takes at_most. journalled: the cursor is written into the journal's row with
 * each chunk, where that stands at the operation's step, and a later call goes on from there. */
enum zdm_code mydb_orphans_find(struct mydb_orphans *o, const char *table, const char *foreign_key, unsigned at_most,
                                bool journalled, struct zdm_error *err) ZDM_CHECKED;

#endif
