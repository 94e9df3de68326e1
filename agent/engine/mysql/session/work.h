/*
 * work.h - one operation while a lane carries it out, and the functions that do.
 *
 * Every function here runs on the lane's thread, returns a code that classify.c turns into the outcome, and may leave
 * a transaction open when it fails: the lane rolls back after each operation, whatever it was.
 *
 * DDL commits by itself, so that no change of the catalogue is in one transaction with the journal. Each is done in
 * three parts: *intent* (a transaction that writes what is about to be made or hidden, and holds the journal's fence),
 * the statement, *confirm* (a transaction that moves the journal). What happened in between is read from the
 * catalogue: a crash at any point leaves a step done or not done, never unknown.
 */
#ifndef AGENT_ENGINE_MYSQL_SESSION_WORK_H
#define AGENT_ENGINE_MYSQL_SESSION_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/engine/lanes.h"
#include "agent/engine/mysql/session/session.h"

struct mydb_walk;     /* walk.h */
struct mydb_replicas; /* replica.h */

/* What a lane remembers between operations of one step; dropped when the step, the plan or the session changes. */
struct mydb_memory {
    struct agent_lane_scope scope;
    char algorithm[32];     /* of judge.h: "ALGORITHM=INSTANT", … once the statement was tried on an empty clone */
    bool rebuilds;          /* … and that it writes the table anew */
    struct mydb_walk *walk; /* key and statements of a walk */
};

struct mydb_work {
    struct mydb_session *s;
    struct mydb_replicas *replicas; /* of the lane (replica.h) */
    size_t n_replicas;              /* of them, those that are open and follow this node */
    const struct agent_op *op;
    const struct zdm_step *step; /* NULL for operations that concern none */
    struct agent_result *result;
    struct mydb_memory *memory;
    char *made;          /* of ddl.c: how what a statement is about to make looked on the judge's clone */
    bool rewrite_ok;     /* beside the step's: what a purge drops of a rollback, a person has approved */
    bool rebuilds;       /* of judge.h: the statement it was asked about last writes the table anew */
    int64_t waited_ms;   /* for a replica: it says nothing about the cost of a batch */
    char checked_on[80]; /* the replica on which a check ran; "" for the primary */
};

void mydb_memory_forget(struct mydb_memory *memory);
/* Only the walk: key and columns are looked up again. */
void mydb_walk_forget(struct mydb_memory *memory);

/* perform.c: the table of operations. On success result->outcome may say ALREADY. */
enum zdm_code mydb_perform(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;

/* What perform.c's table names, by run; the file that has it. */
typedef enum zdm_code mydb_run_fn(struct mydb_work *w, struct zdm_error *err);
mydb_run_fn mydb_inspect;             /* inspect.c; also with `back` */
mydb_run_fn mydb_run_ddl;             /* ddl.c */
mydb_run_fn mydb_run_undo_ddl;        /* ddl.c */
mydb_run_fn mydb_run_index_build;     /* index.c */
mydb_run_fn mydb_run_index_drop;      /* index.c */
mydb_run_fn mydb_run_validate;        /* foreign_key.c */
mydb_run_fn mydb_run_long_sql;        /* as_is.c */
mydb_run_fn mydb_run_install_sync;    /* sync.c */
mydb_run_fn mydb_run_remove_sync;     /* sync.c */
mydb_run_fn mydb_run_undo_sync;       /* sync_back.c */
mydb_run_fn mydb_run_undo_remove;     /* sync_back.c */
mydb_run_fn mydb_run_hide;            /* hide.c: by the step's action, column, table or index */
mydb_run_fn mydb_run_unhide;          /* hide.c */
mydb_run_fn mydb_run_restore;         /* hide.c */
mydb_run_fn mydb_run_purge;           /* purge.c */
mydb_run_fn mydb_run_purge_leftovers; /* purge.c */
mydb_run_fn mydb_run_bound;           /* backfill.c */
mydb_run_fn mydb_run_batch;           /* backfill.c */
mydb_run_fn mydb_run_check;           /* check.c */
mydb_run_fn mydb_run_images_back;     /* walk_back.c */
mydb_run_fn mydb_run_wait;            /* gate.c */
mydb_run_fn mydb_run_step_done;       /* journal.c */
mydb_run_fn mydb_run_step_back;       /* journal.c */
mydb_run_fn mydb_run_stop;            /* journal.c */
mydb_run_fn mydb_run_spend_approvals; /* spend.c */
mydb_run_fn mydb_run_undo_begin;      /* spend.c */
mydb_run_fn mydb_run_undo_end;        /* spend.c */
mydb_run_fn mydb_signals;             /* signals.c */

#endif
