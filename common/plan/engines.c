/*
 * engines.c - see engines.h.
 */
#include "common/plan/engines.h"

#include <stdio.h>
#include <string.h>

void zdm_unfit_add(struct zdm_unfit *unfit, const struct zdm_plan *plan, enum zdm_engine engine, const char *shard)
{
    enum { NAMED_MAX = 3 };
    size_t used = strlen(unfit->names);
    if (engine == ZDM_ENGINE_ANY || zdm_plan_is_for(plan, engine))
        return;
    if (unfit->n++ == 0)
        unfit->engine = engine;
    if (unfit->n_named == NAMED_MAX || used + strlen(shard) + 2 >= sizeof unfit->names)
        return;
    (void)snprintf(unfit->names + used, sizeof unfit->names - used, "%s%s", used > 0 ? ", " : "", shard);
    unfit->n_named++;
}

enum zdm_code zdm_unfit_judge(const struct zdm_unfit *unfit, const struct zdm_plan *plan, struct zdm_error *err)
{
    char more[32] = "";
    if (unfit->n == 0)
        return ZDM_OK;
    if (unfit->n > unfit->n_named)
        (void)snprintf(more, sizeof more, " and %zu more", unfit->n - unfit->n_named);
    zdm_error_set(err, ZDM_REFUSED, "the plan is not for %s: %zu selected shard%s (%s%s)",
                  zdm_engine_name(unfit->engine), unfit->n, unfit->n == 1 ? " is" : "s are", unfit->names, more);
    zdm_error_detail(err, "It is compiled for %s.", zdm_engine_name((enum zdm_engine)zdm_plan_engines(plan)));
    return zdm_error_hint(err, "Leave such shards out with \"shards:\", or write the runbook for both: engines: "
                               "[postgresql, mysql] in the front matter.");
}

enum zdm_engine zdm_engine_named(const char *name)
{
    if (name != NULL && strcmp(name, zdm_engine_name(ZDM_ENGINE_MYSQL)) == 0)
        return ZDM_ENGINE_MYSQL;
    bool postgresql = name != NULL && strcmp(name, zdm_engine_name(ZDM_ENGINE_POSTGRESQL)) == 0;
    return postgresql ? ZDM_ENGINE_POSTGRESQL : ZDM_ENGINE_ANY;
}

void zdm_server_text(char *out, size_t size, const char *engine, const char *version)
{
    static const char mark[] = "-MariaDB";
    const char *at = strstr(version, mark);
    int n = at != NULL ? (int)(at - version) : (int)strlen(version);
    (void)snprintf(out, size, "%s %.*s", at != NULL ? "mariadb" : engine, n, version);
}

/* Is `with` the other name with a schema in front? */
static bool adds_schema(const char *with, const char *without)
{
    const char *dot = strchr(with, '.');
    return dot != NULL && dot != with && strcmp(dot + 1, without) == 0;
}

bool zdm_is_same_thing(const char *a, const char *b)
{
    size_t same = 0;
    while (a[same] != '\0' && a[same] == b[same])
        same++;
    if (a[same] == b[same])
        return true;
    while (same > 0 && a[same - 1] != ' ') /* back to where the name begins */
        same--;
    return adds_schema(a + same, b + same) || adds_schema(b + same, a + same);
}
