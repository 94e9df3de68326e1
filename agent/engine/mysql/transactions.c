/*
 * transactions.c - is what the server says of open transactions true now?
 *
 * Measured on both: information_schema.INNODB_TRX is filled anew only when nobody has read it for 100 ms. Who reads
 * twice in a row gets the same answer twice, and one who reads behind somebody else (another lane, a monitor) an old
 * one. So this session opens a transaction of its own and asks with a word that nobody has said before: an answer in
 * which its own statement stands with that word was made for it.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "agent/engine/mysql/locks.h"

enum { IDLE_MS = 110, TRIES = 20 };

static enum zdm_code is_new(struct mydb_session *s, bool *out, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    static atomic_uint count;
    char sql[200], word[64];
    (void)snprintf(word, sizeof word, "zdm look %" PRIu64 " %u %" PRId64, s->thread, atomic_fetch_add(&count, 1),
                   mydb_now_ms());
    (void)snprintf(sql, sizeof sql,
                   "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id = CONNECTION_ID() AND"
                   " LOCATE('%s', trx_query) > 0",
                   word);
    enum zdm_code code = mydb_run(s, sql, &rows, err);
    *out = code == ZDM_OK && mydb_int(rows, 0, 0) > 0;
    return code;
}

static enum zdm_code until_new(struct mydb_session *s, struct zdm_error *err)
{
    bool fresh = false;
    enum zdm_code code = mydb_run(s, "SELECT 1 FROM zdm.migration LIMIT 1", NULL, err);
    for (int i = 0; code == ZDM_OK && i < TRIES; i++) {
        code = is_new(s, &fresh, err);
        if (code != ZDM_OK || fresh) {
            return code;
        }
        nanosleep(&(struct timespec){.tv_nsec = IDLE_MS * 1000000L}, NULL);
    }
    return code != ZDM_OK ? code
                          : zdm_error_set(err, ZDM_CONFLICT,
                                          "could not see which transactions are open: somebody reads "
                                          "information_schema.INNODB_TRX again and again");
}

enum zdm_code mydb_see_transactions(struct mydb_session *s, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin_reading(s, err);
    if (code == ZDM_OK) {
        code = until_new(s, err);
    }
    mydb_rollback(s);
    return code;
}
