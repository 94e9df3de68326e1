/*
 * classify.c - SQLSTATE to code, by class and by exception. A table, so that what is retried can be read at a glance.
 */
#include "agent/engine/postgresql/session/classify.h"

#include <string.h>

#include "common/base/buffer.h"

struct rule {
    const char *prefix; /* of the SQLSTATE; the first that fits counts */
    enum zdm_code code;
};

static const struct rule rules[] = {
    {"55P03", ZDM_LOCK},        /* lock_not_available */
    {"55006", ZDM_LOCK},        /* object_in_use */
    {"40", ZDM_CONFLICT},       /* serialization failure, deadlock */
    {"57014", ZDM_TIMEOUT},     /* query_canceled: ours, or statement_timeout */
    {"57P01", ZDM_UNAVAILABLE}, /* admin_shutdown */
    {"57P02", ZDM_UNAVAILABLE}, /* crash_shutdown */
    {"57P03", ZDM_UNAVAILABLE}, /* cannot_connect_now */
    {"57P05", ZDM_UNAVAILABLE}, /* idle_session_timeout */
    {"25P03", ZDM_UNAVAILABLE}, /* idle_in_transaction_session_timeout */
    {"25006", ZDM_UNAVAILABLE}, /* read_only_sql_transaction: the node is a standby */
    {"08", ZDM_UNAVAILABLE},    /* connection exceptions */
    {"53", ZDM_FULL},           /* disk full, out of memory, too many connections */
    {"28", ZDM_AUTH},           /* invalid authorization */
    {"42P01", ZDM_NOT_FOUND},   /* undefined_table */
    {"42703", ZDM_NOT_FOUND},   /* undefined_column */
    {"42704", ZDM_NOT_FOUND},   /* undefined_object */
    {"42501", ZDM_REFUSED},     /* insufficient_privilege */
    {"2BP01", ZDM_REFUSED},     /* dependent_objects_still_exist */
    {"0A000", ZDM_UNSUPPORTED}, /* feature_not_supported */
    {"25P02", ZDM_BUG},         /* in_failed_sql_transaction: we went on after an error */
};

enum zdm_code pgsql_code_of(const char *sqlstate)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (strncmp(sqlstate, rules[i].prefix, strlen(rules[i].prefix)) == 0) {
            return rules[i].code;
        }
    }
    return ZDM_DATABASE;
}

static void put_texts(struct zdm_error *err, const PGresult *res)
{
    const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
    const char *context = PQresultErrorField(res, PG_DIAG_CONTEXT);
    if (detail != NULL) {
        zdm_error_detail(err, "%s", detail);
    } else if (context != NULL) {
        zdm_error_detail(err, "%s", context);
    }
    if (hint != NULL) {
        zdm_error_hint(err, "%s", hint);
    }
}

enum zdm_code pgsql_classify(const PGresult *res, struct zdm_error *err)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    if (state == NULL) {
        /* libpq made this one itself: the connection is gone. */
        zdm_error_set(err, ZDM_CLOSED, "the connection to the database was lost");
        return ZDM_CLOSED;
    }
    zdm_error_set(err, pgsql_code_of(state), "%s", message == NULL ? "the database gave an error" : message);
    zdm_copy_text(err->sqlstate, sizeof err->sqlstate, state);
    put_texts(err, res);
    return err->code;
}

enum zdm_code pgsql_classify_connection(const PGconn *conn, struct zdm_error *err)
{
    char text[ZDM_MESSAGE_MAX / 2];
    zdm_copy_text(text, sizeof text, conn == NULL ? "out of memory" : PQerrorMessage(conn));
    for (size_t n = strlen(text); n > 0 && text[n - 1] == '\n'; n--) {
        text[n - 1] = '\0';
    }
    /* libpq asks in a line of its own, behind a tab, what the administrator should look at. */
    for (char *nl = strchr(text, '\n'); nl != NULL; nl = strchr(nl, '\n')) {
        bool question = nl[1] == '\t';
        *nl = question ? '.' : ' ';
        nl[1] = question ? ' ' : nl[1];
    }
    return zdm_error_set(err, ZDM_UNAVAILABLE, "could not connect to the database: %s", text);
}

enum agent_outcome pgsql_outcome(enum zdm_code code)
{
    return agent_outcome_of(code);
}

bool pgsql_is_final(enum zdm_code code)
{
    enum agent_outcome outcome = pgsql_outcome(code);
    return outcome == AGENT_FAIL || outcome == AGENT_ABSENT;
}

bool pgsql_is_violation(const struct zdm_error *err)
{
    return strncmp(err->sqlstate, "23", 2) == 0;
}

bool pgsql_is_dependency(const struct zdm_error *err)
{
    return strcmp(err->sqlstate, "2BP01") == 0;
}

bool pgsql_is_privilege(const struct zdm_error *err)
{
    return strcmp(err->sqlstate, "42501") == 0;
}
