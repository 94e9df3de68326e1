/*
 * rig_engine.c - the engine of a test, opened as the agent opens it (rig.h).
 */
#include "agent/engine/open.h"
#include "tests/integration/mysql/rig.h"

int rig_setup(void **state)
{
    rig_base_setup(state);
    struct rig *r = *state;
    struct zdm_error err = ZDM_ERROR_INIT;
    const struct agent_engine_config config = {
        .dsn = rig_dsn(r, ""), .application_name = "zdm-agent test", .connect_timeout_ms = 5000, .sink = rig_sink(r)};
    if (agent_engine_open(&config, &r->engine, &err) != ZDM_OK) {
        fail_msg("open: %s", err.message);
    }
    rig_connect_engine(r);
    return 0;
}

int rig_teardown(void **state)
{
    struct rig *r = *state;
    r->engine.ops->close(r->engine.self);
    return rig_base_teardown(state);
}
