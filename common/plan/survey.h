/*
 * survey.h - what a plan would meet on one shard: what `zdmctl check` asks every agent, and what it shows.
 *
 * A survey changes nothing but an empty clone in a transaction that is rolled back. Its rules have names of their own
 * beside the compiler's ("survey" in docs/RULES.md); a runbook waives them by name.
 */
#ifndef ZDM_PLAN_SURVEY_H
#define ZDM_PLAN_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/id.h"
#include "common/plan/notes.h"
#include "common/plan/plan.h"

enum {
    ZDM_SURVEY_FINDINGS_MAX = 200,
    ZDM_SURVEY_TABLES_MAX = 64,
    ZDM_SURVEY_COLUMNS_MAX = 1600,
    ZDM_SURVEY_MAX = 1024 * 1024 /* bytes of an encoded survey */
};

/* The rules of surveys; each has a section in docs/RULES.md. */
#define ZDM_SURVEY_RULES(X)                                                                                            \
    X(NOT_SURVEYED, "not-surveyed")                                                                                    \
    X(SERVER_MINOR, "server-minor")                                                                                    \
    X(NO_PG_STAT_STATEMENTS, "no-pg-stat-statements")                                                                  \
    X(STANDBY_UNGUARDED, "standby-unguarded")                                                                          \
    X(STANDBY_DELAY, "standby-delay")                                                                                  \
    X(STANDBY_FEEDBACK, "standby-feedback")                                                                            \
    X(MISSING_GRANT, "missing-grant")                                                                                  \
    X(PREPARED_TRANSACTION, "prepared-transaction")                                                                    \
    X(OLD_SNAPSHOT, "old-snapshot")                                                                                    \
    X(WRAPAROUND, "wraparound")                                                                                        \
    X(LOGICAL_SLOT, "logical-slot")                                                                                    \
    X(INVALID_INDEX, "invalid-index")                                                                                  \
    X(DISK_ROOM, "disk-room")                                                                                          \
    X(BUSY_TABLE, "busy-table")                                                                                        \
    X(POOLER, "pooler")                                                                                                \
    X(UNDER_WAY, "under-way")                                                                                          \
    X(TABLE_MISSING, "table-missing")                                                                                  \
    X(NOT_OWNER, "not-owner")                                                                                          \
    X(OWNER_UNCLEAR, "owner-unclear")                                                                                  \
    X(ROW_SECURITY, "row-security")                                                                                    \
    X(INHERITANCE, "inheritance")                                                                                      \
    X(NOT_A_TABLE, "not-a-table")                                                                                      \
    X(MANY_PARTITIONS, "many-partitions")                                                                              \
    X(DEFAULT_PARTITION, "default-partition")                                                                          \
    X(PUBLISHED, "published")                                                                                          \
    X(NO_REPLICA_IDENTITY, "no-replica-identity")                                                                      \
    X(REPLICA_IDENTITY_FULL, "replica-identity-full")                                                                  \
    X(BLOAT, "bloat")                                                                                                  \
    X(COLUMN_MISSING, "column-missing")                                                                                \
    X(OBJECT_MISSING, "object-missing")                                                                                \
    X(ALREADY_THERE, "already-there")                                                                                  \
    X(HIDDEN_LEFTOVER, "hidden-leftover")                                                                              \
    X(TRIGGER_FIRES, "trigger-fires")                                                                                  \
    X(TRIGGER_ORDER, "trigger-order")                                                                                  \
    X(SELECT_STAR, "select-star")                                                                                      \
    X(RETURNING_STAR, "returning-star")                                                                                \
    X(INSERT_NO_COLUMNS, "insert-no-columns")                                                                          \
    X(UPSERT, "upsert")                                                                                                \
    X(DEPENDENTS, "dependents")                                                                                        \
    X(FUNCTION_BODY, "function-body")                                                                                  \
    X(KEY_COLUMN, "key-column")                                                                                        \
    X(IDENTITY_COLUMN, "identity-column")                                                                              \
    X(UNIQUE_GOES, "unique-goes")                                                                                      \
    X(COPY_NARROW, "copy-narrow")                                                                                      \
    X(COPY_GUARDED, "copy-guarded")                                                                                    \
    X(COPY_NO_VALUE, "copy-no-value")                                                                                  \
    X(COPY_CONSTRAINT, "copy-constraint")                                                                              \
    X(DERIVATION_FAILS, "derivation-fails")                                                                            \
    X(OPERATOR_DIFFERS, "operator-differs")                                                                            \
    X(READS_ITSELF, "reads-itself")                                                                                    \
    X(DEFAULT_DIFFERS, "default-differs")                                                                              \
    X(NO_KEY, "no-key")                                                                                                \
    X(KEY_CHANGES, "key-changes")                                                                                      \
    X(TWO_UNIQUE, "two-unique")                                                                                        \
    X(CHECK_OVER_WIDENED, "check-over-widened")                                                                        \
    X(DELETE_CASCADES, "delete-cascades")                                                                              \
    X(TRIGGERS_SKIP, "triggers-skip")                                                                                  \
    X(INDEX_OF_CONSTRAINT, "index-of-constraint")                                                                      \
    X(INDEX_IN_USE, "index-in-use")                                                                                    \
    X(NULL_ROWS, "null-rows")                                                                                          \
    X(DUPLICATE_ROWS, "duplicate-rows")                                                                                \
    X(ROWS_IN_THE_WAY, "rows-in-the-way")                                                                              \
    X(ROWS_UNSEEN, "rows-unseen")                                                                                      \
    X(ROWS_DIFFER, "rows-differ")                                                                                      \
    X(CHECK_FINDS, "check-finds")                                                                                      \
    X(DELETE_ROWS, "delete-rows")                                                                                      \
    X(STEP_REFUSED, "step-refused")                                                                                    \
    X(NOT_TRIED, "not-tried")                                                                                          \
    X(CLONE_REFUSED, "clone-refused")                                                                                  \
    X(CLONE_REWRITES, "clone-rewrites")                                                                                \
    X(LONG_LOCK, "long-lock")                                                                                          \
    X(READ_ONLY, "read-only")                                                                                          \
    X(BINLOG_FORMAT, "binlog-format")                                                                                  \
    X(TRIGGER_RIGHTS, "trigger-rights")                                                                                \
    X(GALERA, "galera")                                                                                                \
    X(GROUP_REPLICATION, "group-replication")                                                                          \
    X(TOO_MANY_RIGHTS, "too-many-rights")                                                                              \
    X(ROW_VERSIONS, "row-versions")                                                                                    \
    X(EVENT_FIRES, "event-fires")                                                                                      \
    X(CASCADES, "cascades")                                                                                            \
    X(COLUMN_IN_USE, "column-in-use")                                                                                  \
    X(NO_STATEMENTS, "no-statements")

enum zdm_survey_rule {
#define X(id, name) ZDM_SURVEY_##id,
    ZDM_SURVEY_RULES(X)
#undef X
        ZDM_SURVEY_RULES_N
};

const char *zdm_survey_rule_name(enum zdm_survey_rule rule);

struct zdm_survey_finding {
    enum zdm_level level; /* ERROR: the step would fail or hurt; WARNING: a person should know; NOTE: a fact */
    char *rule;           /* "published", "trigger-fires", "select-star" */
    uint32_t step;        /* ordinal, 0: the whole plan */
    char *object;         /* "public.users", "standby b2"; "" for the shard itself */
    char *message;
    char *hint; /* what to do */
};

struct zdm_survey_column {
    char *name, *type; /* format_type: "character varying(255)" */
    bool not_null;
    char *default_expr; /* NULL: none */
};

struct zdm_survey_table {
    struct zdm_table name;
    bool exists;
    struct zdm_hash fingerprint; /* of columns, constraints, indexes, triggers, policies: the same on equal shards */
    char *outline; /* the text that was hashed, a line for each thing, sorted: what differs can be shown */
    int64_t rows;  /* estimate; -1: unknown */
    int64_t bytes, index_bytes;
    struct zdm_survey_column *columns;
    size_t n_columns;
};

struct zdm_survey_step {
    uint32_t ordinal;
    int64_t estimate_ms;               /* without pacing's waits for others; -1: cannot be said */
    int64_t room_bytes;                /* disk that it needs; 0: none to speak of */
    enum zdm_table_lock observed_lock; /* on the clone; NONE when it was not tried there */
    bool tried;                        /* on the clone */
};

struct zdm_survey {
    enum zdm_engine engine;
    char server_version[32];
    char node[64];     /* where it was made: "db1:5432/shop" */
    unsigned replicas; /* that stream from here; of these, guarded ones: */
    unsigned guarded;
    int64_t disk_free_bytes; /* -1: cannot be seen */
    struct zdm_survey_finding *findings;
    size_t n_findings;
    struct zdm_survey_table *tables; /* of the plan, in its order */
    size_t n_tables;
    struct zdm_survey_step *steps;
    size_t n_steps;
};

void zdm_survey_free(struct zdm_survey *survey);

#endif
