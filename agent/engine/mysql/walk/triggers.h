/*
 * triggers.h - the BEFORE triggers of a table as the catalogue has them, and the rows of zdm.sync.
 */
#ifndef AGENT_ENGINE_MYSQL_WALK_TRIGGERS_H
#define AGENT_ENGINE_MYSQL_WALK_TRIGGERS_H

#include "agent/engine/mysql/session/work.h"

enum { MYDB_TRIGGER_NAME_SIZE = 40 };

/* zdm_<8 hex>_<step>_i and the like (sync.h): event 'i' or 'u'. */
void mydb_trigger_name(char out[MYDB_TRIGGER_NAME_SIZE], const char *migration, uint32_t step, char event,
                       bool reverse_only, bool beside);
/* Has it the form of our names, whichever migration's? */
bool mydb_trigger_is_ours(const char *name);

struct mydb_triggers {
    struct mydb_rows *rows;
    size_t n;
};
enum zdm_code mydb_triggers_read(struct mydb_session *s, const char *table, struct mydb_triggers *out,
                                 struct zdm_error *err) ZDM_CHECKED;
void mydb_triggers_fini(struct mydb_triggers *t);
/* n: not there. */
size_t mydb_triggers_find(const struct mydb_triggers *t, const char *name);
/* Of all that the server keeps of it: body, definer, sql_mode, character set, collation, table and event. */
const char *mydb_triggers_hash(const struct mydb_triggers *t, size_t at);
const char *mydb_triggers_definer(const struct mydb_triggers *t, size_t at);
/* The application's trigger of the same event that runs behind it, or NULL. */
const char *mydb_triggers_behind(const struct mydb_triggers *t, size_t at);
bool mydb_triggers_is_last(const struct mydb_triggers *t, size_t at);

struct mydb_sync_rows {
    struct mydb_rows *rows;
    size_t n;
};
/* Of the operation's migration and that step. */
enum zdm_code mydb_sync_rows_read(struct mydb_work *w, uint32_t step, struct mydb_sync_rows *out,
                                  struct zdm_error *err) ZDM_CHECKED;
void mydb_sync_rows_fini(struct mydb_sync_rows *r);
size_t mydb_sync_rows_find(const struct mydb_sync_rows *r, const char *name);
const char *mydb_sync_rows_name(const struct mydb_sync_rows *r, size_t at);
const char *mydb_sync_rows_hash(const struct mydb_sync_rows *r, size_t at);

#endif
