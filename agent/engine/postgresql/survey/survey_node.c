/*
 * survey_node.c - the node itself: its version, what the agent's role may set, whether a pooler stands in between, and
 * the standbys that stream from here (survey.h).
 */
#include "agent/engine/postgresql/survey/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/session/replica.h"

enum { STANDBY_MS = 2000 };

static enum zdm_code say(struct pgsql_survey *survey, enum zdm_survey_rule rule, enum zdm_level level,
                         const char *object, const char *message, const char *hint, struct zdm_error *err)
{
    return agent_survey_add(&survey->common, rule, level, object, message, hint)
               ? ZDM_OK
               : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

/* ---- Who it is ---- */

static enum zdm_code look_at_version(struct pgsql_survey *survey, struct zdm_error *err)
{
    const struct pgsql_session *s = survey->w->s;
    const char *host = PQhost(s->conn), *port = PQport(s->conn);
    char message[128];
    zdm_copy_text(survey->common.out->server_version, sizeof survey->common.out->server_version, s->version);
    (void)snprintf(survey->common.out->node, sizeof survey->common.out->node, "%.40s:%.6s/%.14s",
                   host == NULL ? "" : host, port == NULL ? "" : port, PQdb(s->conn));
    bool broken = s->version_num >= 140000 && s->version_num < 140004;
    if (!broken || !agent_survey_has(&survey->common, AGENT_DOES(CREATE_INDEX) | AGENT_DOES(REINDEX))) {
        return ZDM_OK;
    }
    (void)snprintf(message, sizeof message,
                   "PostgreSQL %s can build an index concurrently that misses rows, under writers", s->version);
    return say(survey, ZDM_SURVEY_SERVER_MINOR, ZDM_LEVEL_ERROR, "", message,
               "Update the server to 14.4 or newer before it builds or rebuilds an index.", err);
}

static enum zdm_code look_at_pooler(struct pgsql_survey *survey, struct zdm_error *err)
{
    static const char sql[] = "SELECT pg_backend_pid()";
    int64_t first = 0;
    for (int i = 0; i < 2; i++) {
        ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
        enum zdm_code code = pgsql_query(survey->w->s, sql, 0, NULL, &res, err);
        if (code != ZDM_OK) {
            return code;
        }
        int64_t pid = pgsql_int(res, 0, 0);
        if (i == 1 && pid != first) {
            return say(survey, ZDM_SURVEY_POOLER, ZDM_LEVEL_ERROR, "",
                       "a connection pooler hands the agent's statements to several backends",
                       "Give the agent the address of the server itself.", err);
        }
        first = pid;
    }
    return ZDM_OK;
}

/* ---- What the agent's role may set ---- */

static bool skips_triggers(const struct zdm_plan *plan)
{
    for (uint32_t i = 1; i <= zdm_plan_n_steps(plan); i++) {
        if (zdm_plan_step(plan, i)->skip_triggers) {
            return true;
        }
    }
    return false;
}

static enum zdm_code look_at_replication_role(struct pgsql_survey *survey, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *sql = survey->w->s->version_num >= 150000
                          ? "SELECT has_parameter_privilege('session_replication_role', 'SET'), current_user"
                          : "SELECT rolsuper, current_user FROM pg_roles WHERE rolname = current_user";
    enum zdm_code code =
        skips_triggers(survey->common.plan) ? pgsql_query(survey->w->s, sql, 0, NULL, &res, err) : ZDM_NOT_FOUND;
    if (code != ZDM_OK || pgsql_true(res, 0, 0)) {
        return code == ZDM_NOT_FOUND ? ZDM_OK : code;
    }
    return say(survey, ZDM_SURVEY_MISSING_GRANT, ZDM_LEVEL_ERROR, pgsql_text(res, 0, 1),
               "the agent's role may not set session_replication_role: {triggers=skip} cannot be done",
               "GRANT SET ON PARAMETER session_replication_role TO the agent's role (15 and later; before that only a "
               "superuser may set it).",
               err);
}

static enum zdm_code look_at_rights(struct pgsql_survey *survey, struct zdm_error *err)
{
    enum zdm_code code = look_at_replication_role(survey, err);
    if (code != ZDM_OK || survey->w->s->may_set_deadlock_timeout) {
        return code;
    }
    bool grantable = survey->w->s->version_num >= 150000;
    return say(survey, ZDM_SURVEY_MISSING_GRANT, grantable ? ZDM_LEVEL_WARNING : ZDM_LEVEL_NOTE, "deadlock_timeout",
               "the agent's role may not set deadlock_timeout: a step that meets an autovacuum waits for it, or makes "
               "one long attempt in ten",
               grantable ? "GRANT SET ON PARAMETER deadlock_timeout TO the agent's role "
                           "(deploy/sql/postgresql-grants.sql)."
                         : "PostgreSQL 15 can grant it; before that only a superuser may set it.",
               err);
}

/* ---- Standbys ---- */

static bool is_partitioned(struct pgsql_survey *survey, const struct zdm_table *name)
{
    struct pgsql_table table;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    return name->schema != NULL && name->name != NULL &&
           pgsql_table_find(survey->w->s, name, &table, &ignored) == ZDM_OK && table.kind == 'p';
}

/* Some step would wait for the guard. */
static bool needs_guard(struct pgsql_survey *survey)
{
    const struct zdm_plan *plan = survey->common.plan;
    for (uint32_t i = survey->common.from; i <= zdm_plan_n_steps(plan); i++) {
        const struct zdm_step *step = zdm_plan_step(plan, i);
        bool index = step->action == ZDM_ACTION_CREATE_INDEX;
        if (!step->unguarded && zdm_step_is_for(step, ZDM_ENGINE_POSTGRESQL) &&
            pgsql_replicas_matter(step, index && is_partitioned(survey, &step->table))) {
            return true;
        }
    }
    return false;
}

static enum zdm_code look_at_guard(struct pgsql_survey *survey, struct zdm_error *err)
{
    struct pgsql_work *w = survey->w;
    struct zdm_error why = ZDM_ERROR_INIT;
    struct zdm_step any = {.ordinal = 1};
    char message[2 * ZDM_TEXT_MAX];
    w->step = &any;
    enum zdm_code code = pgsql_replicas_guard(w, &why);
    w->step = NULL;
    survey->common.out->replicas = pgsql_replicas_count(w, &survey->common.out->guarded);
    if (code != ZDM_LOCK) {
        *err = why;
        return code;
    }
    bool bad = needs_guard(survey);
    (void)snprintf(message, sizeof message, "%s", w->result->blocker);
    w->result->blocker[0] = '\0';
    return say(survey, ZDM_SURVEY_STANDBY_UNGUARDED, bad ? ZDM_LEVEL_ERROR : ZDM_LEVEL_NOTE, "", message,
               "A step that takes an exclusive lock stalls readers there and stops the replay: give the agent its "
               "connection string in `replicas`, or write {unguarded-replicas} at the fence.",
               err);
}

static enum zdm_code say_of_standby(struct pgsql_survey *survey, const struct pgsql_replica *r, const PGresult *res,
                                    struct zdm_error *err)
{
    char object[128], message[256];
    bool unlimited = pgsql_int(res, 0, 1) < 0;
    (void)snprintf(object, sizeof object, "standby %s", r->name);
    (void)snprintf(message, sizeof message,
                   unlimited ? "max_standby_streaming_delay is %s: a query that slips in before a lock stalls all "
                               "readers of the table, and the replay, until it ends"
                             : "max_standby_streaming_delay is %s: so long a query that slips in before a lock can "
                               "stall readers of the table there, and the replay, at worst",
                   pgsql_text(res, 0, 0));
    enum zdm_code code = say(
        survey, ZDM_SURVEY_STANDBY_DELAY, unlimited ? ZDM_LEVEL_WARNING : ZDM_LEVEL_NOTE, object, message,
        "Steps wait until no query older than 100 ms holds the table there; a lower delay bounds what is left.", err);
    if (code != ZDM_OK || !pgsql_true(res, 0, 2)) {
        return code;
    }
    return say(survey, ZDM_SURVEY_STANDBY_FEEDBACK, ZDM_LEVEL_NOTE, object,
               "hot_standby_feedback is on: long queries there keep dead rows of a backfill alive here",
               "Watch the table's size while a backfill runs.", err);
}

static enum zdm_code look_at_standby(struct pgsql_survey *survey, struct pgsql_replica *r, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT current_setting('max_standby_streaming_delay'), (SELECT setting::int8 FROM pg_settings WHERE name ="
        " 'max_standby_streaming_delay'), current_setting('hot_standby_feedback')::bool";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    struct zdm_error why = ZDM_ERROR_INIT;
    if (!pgsql_is_open(&r->session)) {
        return ZDM_OK; /* the guard has said why */
    }
    if (pgsql_query(pgsql_replica_session(r, STANDBY_MS), sql, 0, NULL, &res, &why) != ZDM_OK) {
        pgsql_replica_failed(r, &why);
        return say(survey, ZDM_SURVEY_NOT_SURVEYED, ZDM_LEVEL_WARNING, r->name, why.message, "", err);
    }
    return say_of_standby(survey, r, res, err);
}

static enum zdm_code look_at_standbys(struct pgsql_survey *survey, struct zdm_error *err)
{
    enum zdm_code code = look_at_guard(survey, err);
    for (size_t i = 0; code == ZDM_OK && i < survey->w->replicas->n; i++) {
        code = look_at_standby(survey, &survey->w->replicas->each[i], err);
    }
    return code;
}

enum zdm_code pgsql_survey_node(struct pgsql_survey *survey, struct zdm_error *err)
{
    static const struct {
        enum zdm_code (*look)(struct pgsql_survey *, struct zdm_error *);
        const char *what;
    } parts[] = {{look_at_version, "the version"},
                 {look_at_pooler, "the connection"},
                 {look_at_rights, "the role's rights"},
                 {look_at_standbys, "the standbys"}};
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < sizeof parts / sizeof *parts; i++) {
        code = parts[i].look(survey, err);
        if (code != ZDM_OK) {
            code = pgsql_survey_miss(survey, code, parts[i].what, err);
        }
    }
    return code;
}
