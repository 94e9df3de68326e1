/*
 * cmd_agents.c - agents revoke: an agent's key is shut out for good.
 */
#include "coordinator/ctl/command.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/ctl/client/agent_find.h"
#include "coordinator/ctl/client/client.h"
#include "coordinator/ctl/text/json.h"

static enum zdm_code revoke(struct ctl *ctl, struct ctl_client *client, struct ctl_errand *errand,
                            struct zdm_error *err)
{
    const struct ctl_query query = {.kind = ZDM_QUERY_AGENTS};
    ZDM_CLEANUP(ctl_json_free) json_t *agents = NULL;
    const json_t *agent = NULL;
    struct ctl_answer answer;
    char question[256];
    enum zdm_code code = ctl_ask(client, &query, &agents, err);
    if (code == ZDM_OK)
        code = ctl_agent_find(agents, ctl_operand(&ctl->options, 0), &agent, err);
    if (code != ZDM_OK)
        return code;
    snprintf(question, sizeof question, "Shut agent %.12s of shard %.64s out for good?", ctl_json_text(agent, "agent"),
             ctl_json_text(agent, "shard"));
    if (!zdm_unhex(errand->request.target.bytes, sizeof errand->request.target.bytes, ctl_json_text(agent, "agent")))
        return zdm_error_set(err, ZDM_PROTOCOL, "the coordinator does not say which agent is meant");
    code = ctl_consent(ctl, question, err);
    if (code == ZDM_OK)
        code = ctl_act(client, errand, &answer, err);
    return code == ZDM_OK ? ctl_print_answer(ctl, &errand->request, &answer, err) : code;
}

enum zdm_code ctl_run_agents_revoke(struct ctl *ctl, struct zdm_error *err)
{
    ZDM_CLEANUP(ctl_client_freep) struct ctl_client *client = NULL;
    struct ctl_errand errand = {.request = {.verb = ZDM_VERB_REVOKE_AGENT}};
    enum zdm_code code = ctl_reason_read(&ctl->options, "agents revoke", &errand.request, err);
    if (code == ZDM_OK)
        code = ctl_client_new(ctl, &client, err);
    if (code == ZDM_OK)
        code = revoke(ctl, client, &errand, err);
    ctl_errand_fini(&errand);
    return code;
}
