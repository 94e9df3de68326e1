/*
 * signals.c - who the server is now, what is hidden on it, and what the pacing listens to.
 */
#include "agent/engine/mysql/signals.h"

#include "agent/engine/mysql/journal/journal.h"
#include "agent/engine/mysql/walk/sync.h"

struct zdm_signal *mydb_add_signal(struct agent_result *r, const char *name, int64_t value, int64_t limit)
{
    if (r->n_signals == ZDM_SIGNALS_MAX) {
        return NULL;
    }
    struct zdm_signal *signal = &r->signals[r->n_signals++];
    zdm_copy_text(signal->name, sizeof signal->name, name);
    signal->value = value;
    signal->limit = limit;
    signal->state = limit > 0 && value > limit ? ZDM_SIGNAL_BAD : ZDM_SIGNAL_OK;
    return signal;
}

/* How busy the server is, and how much undo it keeps for the oldest reader: shown, and judged by people. */
static enum zdm_code load(struct mydb_work *w, struct zdm_error *err)
{
    static const char history[] = "SELECT COUNT FROM information_schema.INNODB_METRICS WHERE NAME ="
                                  " 'trx_rseg_history_len'";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *threads = NULL;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *undo = NULL;
    enum zdm_code code = mydb_run(w->s, "SHOW GLOBAL STATUS LIKE 'Threads_running'", &threads, err);
    if (code == ZDM_OK) {
        code = mydb_run(w->s, history, &undo, err);
    }
    if (code == ZDM_OK) {
        (void)mydb_add_signal(w->result, "threads_running", mydb_int(threads, 0, 1), 0);
        (void)mydb_add_signal(w->result, "history_length", mydb_int(undo, 0, 0), 0);
    }
    return code;
}

enum zdm_code mydb_signals(struct mydb_work *w, struct zdm_error *err)
{
    enum zdm_code code = mydb_identify(w->s, err);
    if (code != ZDM_OK) {
        return code;
    }
    struct agent_result *r = w->result;
    r->writable = w->s->writable;
    zdm_copy_text(r->identity, sizeof r->identity, w->s->identity);
    zdm_copy_text(r->server_version, sizeof r->server_version, w->s->version);
    code = w->s->writable ? mydb_watch_syncs(w, err) : ZDM_OK;
    if (code == ZDM_OK) {
        code = mydb_hidden_show(w, err);
    }
    if (code == ZDM_OK) {
        code = mydb_replica_signals(w, err);
    }
    return code == ZDM_OK ? load(w, err) : code;
}
