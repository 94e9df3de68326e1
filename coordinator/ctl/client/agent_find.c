/*
 * agent_find.c - which agent a person means. See agent_find.h.
 */
#include "coordinator/ctl/client/agent_find.h"

#include <string.h>

#include "coordinator/ctl/text/json.h"

enum { PREFIX_MIN = 4 };

static bool is_meant(const json_t *agent, const char *named)
{
    size_t n = strlen(named);
    if (ctl_json_true(agent, "revoked"))
        return false;
    return strcmp(ctl_json_text(agent, "shard"), named) == 0 ||
           (n >= PREFIX_MIN && strncmp(ctl_json_text(agent, "agent"), named, n) == 0);
}

enum zdm_code ctl_agent_find(const json_t *agents, const char *named, const json_t **out, struct zdm_error *err)
{
    const json_t *list = json_object_get(agents, "agents"), *agent, *found = NULL;
    size_t index, n = 0;
    json_array_foreach(list, index, agent)
    {
        if (!is_meant(agent, named))
            continue;
        found = agent;
        n++;
    }
    if (n == 1) {
        *out = found;
        return ZDM_OK;
    }
    if (n == 0)
        zdm_error_set(err, ZDM_NOT_FOUND, "there is no agent \"%.100s\" that is not revoked", named);
    else
        zdm_error_set(err, ZDM_INVALID, "\"%.100s\" may be any of %zu agents", named, n);
    return zdm_error_hint(err, "zdmctl agents lists them; write the id of the key, or its first digits.");
}
