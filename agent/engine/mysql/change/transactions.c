/*
 * transactions.c - is what the server says of open transactions true now?
 *
 * Measured on both: information_schema.INNODB_TRX is filled anew only when nobody has read it for 100 ms. Who reads
 * twice in a row gets the same answer twice, and one who reads behind somebody else (another lane, a monitor) an old
 * one. So this session opens a transaction of its own and asks with a word that nobody has said before: an answer in
 * which its own statement stands with that word was made for it.
 *
 * MySQL's information_schema shows statements in utf8mb3, and fails while one with other characters runs, whatever is
 * asked of it (3854, measured on 9.7). Its performance_schema shows them; there, statements end after 1024 bytes, and a
 * BEGIN that has read nothing is a transaction like any other. It knows nothing of what nobody told it to look at.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/change/locks.h"

enum { IDLE_MS = 110, TRIES = 20, GARBLED_TRIES = 10 };

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

/* ---- With characters of four bytes ---- */

static bool says_yes(struct mydb_session *s, const char *sql)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    return !s->mariadb && mydb_run(s, sql, &rows, &ignored) == ZDM_OK && mydb_true(rows, 0, 0);
}

const char *mydb_processlist(struct mydb_session *s)
{
    static const char all[] =
        "SELECT COUNT(*) FROM performance_schema.processlist p JOIN performance_schema.global_status g ON"
        " g.VARIABLE_NAME = 'Performance_schema_thread_instances_lost' AND g.VARIABLE_VALUE = '0' WHERE p.ID ="
        " CONNECTION_ID()";
    return says_yes(s, all) ? "performance_schema.processlist" : "information_schema.PROCESSLIST";
}

/* So that none is overlooked: of every session, and how long each is open. */
static bool sees_all_events(struct mydb_session *s)
{
    static const char all[] =
        "SELECT (SELECT COUNT(*) FROM performance_schema.setup_consumers WHERE ENABLED = 'YES' AND NAME IN"
        " ('global_instrumentation', 'thread_instrumentation', 'events_transactions_current')) = 3 AND EXISTS (SELECT 1"
        " FROM performance_schema.setup_instruments WHERE NAME = 'transaction' AND ENABLED = 'YES' AND TIMED = 'YES')"
        " AND EXISTS (SELECT 1 FROM performance_schema.global_status WHERE VARIABLE_NAME ="
        " 'Performance_schema_thread_instances_lost' AND VARIABLE_VALUE = '0') AND NOT EXISTS (SELECT 1 FROM"
        " performance_schema.threads WHERE PROCESSLIST_ID IS NOT NULL AND INSTRUMENTED <> 'YES')";
    return says_yes(s, all);
}

static enum zdm_code look(struct mydb_session *s, const struct mydb_look *look, size_t n, const char *const params[],
                          struct mydb_rows **out, struct zdm_error *err)
{
    enum zdm_code code = look->fresh ? mydb_see_transactions(s, err) : ZDM_OK;
    return code == ZDM_OK ? mydb_query(s, look->sql, n, params, out, err) : code;
}

enum zdm_code mydb_query_shown(struct mydb_session *s, const struct mydb_look *at, size_t n, const char *const params[],
                               struct mydb_rows **out, struct zdm_error *err)
{
    enum zdm_code code = look(s, at, n, params, out, err);
    for (int i = 0; code != ZDM_OK && mydb_is_open(s) && mydb_is_garbled(err); i++) {
        zdm_error_clear(err);
        if (at->events != NULL && sees_all_events(s)) {
            return mydb_query(s, at->events, n, params, out, err);
        }
        if (i == GARBLED_TRIES) {
            zdm_error_set(err, ZDM_CONFLICT, "the server cannot show the statements that run");
            return zdm_error_detail(err, "MySQL fails to, as long as one has characters of four bytes, as emojis are.");
        }
        nanosleep(&(struct timespec){.tv_nsec = IDLE_MS * 1000000L}, NULL);
        code = look(s, at, n, params, out, err);
    }
    return code;
}
