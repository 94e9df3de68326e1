/*
 * honest.c - what people do by the rules. It makes the state that is worth attacking, and it is the control: a
 * coordinator that refuses everything would pass every attack.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/os/crypto.h"
#include "common/os/file.h"
#include "common/plan/notes.h"
#include "tests/attack/attack.h"

enum { PATIENCE_MS = 30000, POLL_MS = 30 };

static void must(enum zdm_code code, const char *what, const struct zdm_error *answer)
{
    count_control("honest requests to the coordinator", code == ZDM_OK, answer->message);
    if (code != ZDM_OK)
        world_fail("%s: %s", what, answer->message);
}

static void olga_asks(struct world *w, struct zdm_request *request, struct wire *wire, const char *what)
{
    struct zdm_error answer;
    must(world_ask(w, wire, &w->olga, request, &answer), what, &answer);
}

static void olga_dials(struct world *w, struct wire *wire)
{
    if (!world_dial(w, wire, &w->olga))
        world_fail("olga cannot dial");
}

/* ---- Agents ---- */

static void join_real_agent(struct world *w)
{
    struct zdm_token token;
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    struct zdm_signing_key key;
    struct zdm_error err;
    char home[128], path[160];
    world_enrol(w, "shard-1", "tier=gold", &token);
    zdm_token_write(&token, &text);
    snprintf(home, sizeof home, "%s/agent", w->dir);
    if (!world_run(w, (const char *const[]){"zdm-agent", "join", zdm_buffer_text(&text), "--data", home, NULL}))
        world_fail("zdm-agent join failed; see %s/programs.log", w->dir);
    zdm_buffer_fini(&text);
    snprintf(path, sizeof path, "%s/agent.key", home);
    if (zdm_key_file_read(path, &key, &err) != ZDM_OK)
        world_fail("%s", err.message);
    w->agent = key.id;
    zdm_signing_key_wipe(&key);
}

static void revoke(struct world *w, const struct zdm_id *agent)
{
    struct wire wire;
    olga_dials(w, &wire);
    struct zdm_request request = world_request(w, &wire, ZDM_VERB_REVOKE_AGENT);
    request.migration[0] = '\0';
    request.shards.all = false;
    request.target = *agent;
    zdm_copy_text(request.reason, sizeof request.reason, "stolen");
    olga_asks(w, &request, &wire, "revoke-agent");
    wire_close(&wire);
}

static void join_own_agents(struct world *w)
{
    struct zdm_token token;
    world_enrol(w, "shard-2", "tier=silver", &token);
    count_control("agents that join with their token", world_join(w, &token, &w->own_agent), "shard-2");
    world_enrol(w, "shard-3", "tier=silver", &token);
    count_control("agents that join with their token", world_join(w, &token, &w->revoked_agent), "shard-3");
    revoke(w, &w->revoked_agent.id);
}

/* ---- The migration ---- */

static void submit(struct world *w)
{
    const struct signed_plan *plan = &w->plans[PLAN_ATTACK];
    struct wire wire;
    olga_dials(w, &wire);
    world_upload_plan(w, &wire, &plan->envelope, &plan->notes);
    struct zdm_request request = world_request(w, &wire, ZDM_VERB_SUBMIT);
    request.shards.all = false;
    request.plan_hash = plan->plan->hash;
    olga_asks(w, &request, &wire, "submit");
    wire_close(&wire);
}

static void wait_for_phase(struct world *w, uint32_t phase)
{
    char step[16];
    const int64_t until = world_now() + PATIENCE_MS;
    uint32_t wanted = 1;
    for (uint32_t i = 0; i < phase; i++)
        wanted += (uint32_t)w->plans[PLAN_ATTACK].plan->phases[i].n_steps;
    do {
        char *there = world_sql(w, "SELECT to_regclass('zdm.migration') IS NOT NULL");
        char *text = there[0] == 't' ? world_sql(w, "SELECT step FROM zdm.migration WHERE migration = 'attack'") : NULL;
        zdm_copy_text(step, sizeof step, text != NULL ? text : "");
        free(there);
        free(text);
        if (strtoul(step, NULL, 10) >= wanted)
            return;
        world_pause(POLL_MS);
    } while (world_now() < until);
    world_fail("the shard does not reach phase %u: its journal stands at step %s", phase, step);
}

/* The log is quiet when it has not grown for a while: the agent's last report has been taken. */
static void wait_for_quiet(struct world *w)
{
    uint64_t before, now = world_position(w);
    do {
        before = now;
        world_pause(400);
        now = world_position(w);
    } while (now != before);
}

static void advance(struct world *w, uint32_t phase)
{
    struct wire wire;
    olga_dials(w, &wire);
    struct zdm_request request = world_request(w, &wire, ZDM_VERB_ADVANCE);
    request.to_phase = phase;
    olga_asks(w, &request, &wire, "advance");
    wire_close(&wire);
    wait_for_phase(w, phase);
    wait_for_quiet(w);
}

void honest_begin(struct world *w)
{
    world_start_coordinator(w);
    join_real_agent(w);
    join_own_agents(w);
    world_start_agent(w);
    submit(w);
    for (uint32_t phase = 1; phase <= 3; phase++)
        advance(w, phase);
}

void honest_trust(struct world *w, uint32_t version)
{
    struct wire wire;
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    olga_dials(w, &wire);
    zdm_trust_chain_write(&w->chain[version - 1], &bytes);
    struct zdm_request request = world_request(w, &wire, ZDM_VERB_TRUST);
    request.migration[0] = '\0';
    request.shards.all = false;
    request.plan_hash = world_upload(w, &wire, bytes.data, bytes.len);
    olga_asks(w, &request, &wire, "trust");
    w->version = version;
    zdm_buffer_fini(&bytes);
    wire_close(&wire);
    wait_for_quiet(w);
}

void honest_check(struct world *w, const char *when)
{
    struct wire wire;
    struct zdm_error answer;
    olga_dials(w, &wire);
    struct zdm_request request = world_request(w, &wire, ZDM_VERB_THROTTLE);
    uint64_t before = world_position(w);
    must(world_ask(w, &wire, &w->olga, &request, &answer), when, &answer);
    count_control("the log grows by what was asked for", world_position(w) > before, when);
    wire_close(&wire);
    wait_for_quiet(w);
}
