/*
 * classify.c - error number to code, by a table, so that what is retried can be read at a glance. Numbers alone: many
 * errors share the SQLSTATE HY000, and messages are of the server's language.
 */
#include "agent/engine/mysql/session/classify.h"

#include <string.h>

#include "common/base/buffer.h"

struct rule {
    unsigned number;
    enum zdm_code code;
};

static const struct rule rules[] = {
    {1205, ZDM_LOCK},        /* lock wait timeout: of rows (the statement alone is rolled back) or of metadata */
    {3572, ZDM_LOCK},        /* NOWAIT */
    {1213, ZDM_CONFLICT},    /* deadlock, or certification on Galera: all of it is rolled back */
    {1020, ZDM_CONFLICT},    /* record has changed since last read */
    {1412, ZDM_CONFLICT},    /* table definition has changed */
    {1615, ZDM_CONFLICT},    /* prepared statement needs to be prepared again */
    {3100, ZDM_CONFLICT},    /* a hook before the commit failed (group replication) */
    {3101, ZDM_CONFLICT},    /* rolled back during the commit (group replication) */
    {1799, ZDM_CONFLICT},    /* more writes during an online ALTER than its log holds */
    {1317, ZDM_CANCELLED},   /* query interrupted: KILL QUERY, ours or somebody's */
    {1969, ZDM_TIMEOUT},     /* MariaDB: max_statement_time */
    {3024, ZDM_TIMEOUT},     /* MySQL: max_execution_time */
    {1047, ZDM_UNAVAILABLE}, /* unknown command; Galera: the node is not ready for queries */
    {1053, ZDM_UNAVAILABLE}, /* shutdown in progress */
    {1129, ZDM_UNAVAILABLE}, /* host is blocked after many errors */
    {1836, ZDM_UNAVAILABLE}, /* read-only mode */
    {3032, ZDM_UNAVAILABLE}, /* offline mode */
    {2001, ZDM_UNAVAILABLE}, /* could not make a socket */
    {2002, ZDM_UNAVAILABLE}, /* could not connect */
    {2003, ZDM_UNAVAILABLE}, {2004, ZDM_UNAVAILABLE},
    {2005, ZDM_UNAVAILABLE}, /* unknown host */
    {2009, ZDM_UNAVAILABLE}, {2012, ZDM_UNAVAILABLE},
    {2006, ZDM_CLOSED}, /* the server has gone away */
    {2013, ZDM_CLOSED}, /* lost during the query */
    {2027, ZDM_CLOSED}, /* malformed packet */
    {2055, ZDM_CLOSED},      {1152, ZDM_CLOSED},
    {1158, ZDM_CLOSED},      {1159, ZDM_CLOSED},
    {1160, ZDM_CLOSED},      {1161, ZDM_CLOSED},
    {1184, ZDM_CLOSED},      {5013, ZDM_CLOSED},
    {5014, ZDM_CLOSED},      {1927, ZDM_CLOSED}, /* MariaDB: connection was killed */
    {4031, ZDM_CLOSED},                          /* MySQL: idle for longer than wait_timeout */
    {1021, ZDM_FULL},                            /* disk full */
    {1037, ZDM_FULL},        {1038, ZDM_FULL},
    {1041, ZDM_FULL}, /* out of memory */
    {1040, ZDM_FULL},        {1203, ZDM_FULL},
    {1226, ZDM_FULL}, /* too many connections: of all, of this account */
    {1114, ZDM_FULL}, /* the table is full */
    {1206, ZDM_FULL}, /* lock table full */
    {1044, ZDM_AUTH}, /* no access to the database */
    {1045, ZDM_AUTH}, /* access denied */
    {1130, ZDM_AUTH}, /* host may not connect */
    {1251, ZDM_AUTH},        {1275, ZDM_AUTH},
    {1698, ZDM_AUTH},        {1820, ZDM_AUTH},
    {1862, ZDM_AUTH},        {3118, ZDM_AUTH}, /* account is locked */
    {4151, ZDM_AUTH},        {2026, ZDM_AUTH}, /* TLS */
    {2049, ZDM_AUTH},        {2059, ZDM_AUTH},
    {2061, ZDM_AUTH},        {5010, ZDM_AUTH},      /* the server wants a way to log in that is not allowed */
    {1049, ZDM_NOT_FOUND},                          /* unknown database */
    {1051, ZDM_NOT_FOUND},   {1146, ZDM_NOT_FOUND}, /* unknown table */
    {1054, ZDM_NOT_FOUND},                          /* unknown column */
    {1072, ZDM_NOT_FOUND},   {1091, ZDM_NOT_FOUND}, /* no such column or key to drop */
    {1176, ZDM_NOT_FOUND},   {1305, ZDM_NOT_FOUND},
    {1360, ZDM_NOT_FOUND},                          /* no such trigger */
    {3940, ZDM_NOT_FOUND},   {3821, ZDM_NOT_FOUND}, /* no such constraint */
    {1007, ZDM_EXISTS},      {1050, ZDM_EXISTS},
    {1060, ZDM_EXISTS},      {1061, ZDM_EXISTS},
    {1359, ZDM_EXISTS},      {1826, ZDM_EXISTS},
    {3822, ZDM_EXISTS},      {1142, ZDM_REFUSED}, /* a right is missing: on a table, a column, of the server */
    {1143, ZDM_REFUSED},     {1227, ZDM_REFUSED},
    {1370, ZDM_REFUSED},     {1419, ZDM_REFUSED}, /* triggers need SUPER while the binary log is on */
    {1290, ZDM_REFUSED}, /* the server runs with an option that forbids it; read-only is told apart below */
    {1792, ZDM_REFUSED}, /* in a transaction that only reads */
    {1178, ZDM_UNSUPPORTED}, {1235, ZDM_UNSUPPORTED},
    {1845, ZDM_UNSUPPORTED}, {1846, ZDM_UNSUPPORTED}, /* this ALGORITHM or LOCK is not possible for it */
};

/* Errors that existing or new rows cause. */
static const unsigned violations[] = {1022, 1048, 1062, 1138, 1169, 1216, 1217, 1263, 1264, 1265, 1292,
                                      1364, 1365, 1366, 1406, 1411, 1451, 1452, 1557, 1586, 1690, 1761,
                                      1762, 3140, 3156, 3157, 3167, 3819, 4025, 4079, 4078};
static const unsigned of_others[] = {1022, 1062, 1169, 1216, 1452, 1586, 1761, 1762};
static const unsigned no_partition[] = {1526, 1748};
static const unsigned privileges[] = {1044, 1045, 1142, 1143, 1227, 1370, 1419};
static const unsigned not_online[] = {1845, 1846};
static const unsigned not_hidden[] = {3522, 4174}; /* a primary key */

enum zdm_code mydb_code_of(unsigned number)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].number == number) {
            return rules[i].code;
        }
    }
    return ZDM_DATABASE;
}

enum zdm_code mydb_classify(MYSQL *conn, struct zdm_error *err)
{
    unsigned number = mysql_errno(conn);
    enum zdm_code code = mydb_code_of(number);
    const char *message = mysql_error(conn);
    if (number == 1290 && (strstr(message, "read-only") != NULL || strstr(message, "read_only") != NULL)) {
        code = ZDM_UNAVAILABLE; /* the node is a replica by now */
    }
    if (number == 0) {
        return zdm_error_set(err, ZDM_CLOSED, "the connection to the database was lost");
    }
    zdm_error_set(err, code, "%s", message);
    zdm_error_detail(err, "The server's error %u (%s).", number, mysql_sqlstate(conn));
    zdm_copy_text(err->sqlstate, sizeof err->sqlstate, mysql_sqlstate(conn));
    err->number = number;
    return code;
}

enum agent_outcome mydb_outcome(enum zdm_code code)
{
    return agent_outcome_of(code);
}

bool mydb_is_final(enum zdm_code code)
{
    enum agent_outcome outcome = mydb_outcome(code);
    return outcome == AGENT_FAIL || outcome == AGENT_ABSENT;
}

static bool is_one_of(const struct zdm_error *err, const unsigned *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (err->number == numbers[i]) {
            return true;
        }
    }
    return false;
}
#define IS_ONE_OF(err, table) is_one_of(err, table, sizeof table / sizeof *table)

bool mydb_is_violation(const struct zdm_error *err)
{
    return IS_ONE_OF(err, violations);
}

bool mydb_is_of_rows(const struct zdm_error *err)
{
    /* Data, constraints, a view's check, what a trigger signals. */
    static const char *const classes[] = {"22", "23", "44", "45"};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strncmp(err->sqlstate, classes[i], 2) == 0) {
            return true;
        }
    }
    return mydb_is_violation(err) || IS_ONE_OF(err, no_partition);
}

bool mydb_is_of_others(const struct zdm_error *err)
{
    return IS_ONE_OF(err, of_others);
}

bool mydb_is_not_online(const struct zdm_error *err)
{
    return IS_ONE_OF(err, not_online);
}

bool mydb_is_not_hidden(const struct zdm_error *err)
{
    return IS_ONE_OF(err, not_hidden);
}

bool mydb_is_garbled(const struct zdm_error *err)
{
    return err->number == 3854;
}

bool mydb_is_privilege(const struct zdm_error *err)
{
    return IS_ONE_OF(err, privileges);
}
