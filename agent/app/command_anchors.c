/*
 * command_anchors.c - `zdm-agent anchors`: what this shard's journal says about the coordinator's log, as JSON for
 * `zdmctl audit verify --anchors`.
 *
 * The coordinator also tells what agents accepted, but it is the one that is audited: this way leads round it, from the
 * database itself. Beside a running agent nothing is disturbed: the journal is only read.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/app/home.h"
#include "agent/app/identity.h"
#include "agent/app/program.h"
#include "agent/app/results.h"
#include "agent/app/settings.h"
#include "agent/engine/open.h"
#include "common/os/crypto.h"

enum { CONNECT_TIMEOUT_MS = 5000, WAIT_STEP_MS = 20, WAIT_STEPS = 1500 };

static void ignore(void *ctx)
{
    (void)ctx;
}

/* One row an order that was accepted. Names are safe to print as they are (zdm_name_is_valid). */
static void put_row(struct zdm_buffer *out, const char *shard, const struct zdm_id *agent,
                    const struct agent_journal *journal, bool first)
{
    char key[ZDM_ID_HEX_SIZE], instance[ZDM_ID_HEX_SIZE], anchor[ZDM_HASH_HEX_SIZE];
    zdm_hex(key, agent->bytes, sizeof agent->bytes);
    zdm_hex(instance, journal->accepted.instance.bytes, sizeof journal->accepted.instance.bytes);
    zdm_hex(anchor, journal->accepted.anchor.bytes, sizeof journal->accepted.anchor.bytes);
    zdm_buffer_printf(out,
                      "%s\n  {\"shard\": \"%s\", \"agent\": \"%s\", \"migration\": \"%s\",\n   \"epoch\": %" PRIu64
                      ", \"instance\": \"%s\", \"generation\": %" PRIu64 ",\n   \"anchor\": \"%s\"}",
                      first ? "" : ",", shard, key, journal->migration, journal->accepted.epoch, instance,
                      journal->accepted.generation, anchor);
}

static enum zdm_code print_rows(const struct agent_result *result, const char *shard, const struct zdm_id *agent,
                                struct zdm_error *err)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    bool first = true;
    zdm_buffer_puts(&out, "{\"anchors\": [");
    for (size_t i = 0; i < result->n_journals; i++) {
        if (result->journals[i].accepted.generation == 0 || !zdm_name_is_valid(result->journals[i].migration))
            continue;
        put_row(&out, shard, agent, &result->journals[i], first);
        first = false;
    }
    zdm_buffer_puts(&out, first ? "]}\n" : "\n]}\n");
    enum zdm_code code = ZDM_OK;
    if (out.failed)
        code = zdm_error_set(err, ZDM_NOMEM, "out of memory");
    else if (fputs(zdm_buffer_text(&out), stdout) == EOF || fflush(stdout) != 0)
        code = zdm_error_set(err, ZDM_IO, "could not write the anchors");
    zdm_buffer_fini(&out);
    return code;
}

/* The result of the one operation; NULL when it does not come. */
static struct agent_result *wait_for(struct agent_results *results)
{
    for (int i = 0; i < WAIT_STEPS; i++) {
        const struct timespec step = {.tv_nsec = WAIT_STEP_MS * 1000000L};
        struct agent_result *result = agent_results_pop(results);
        if (result != NULL)
            return result;
        (void)nanosleep(&step, NULL);
    }
    return NULL;
}

static enum zdm_code read_journal(struct agent_engine *engine, struct agent_results *results, const char *shard,
                                  const struct zdm_id *agent, struct zdm_error *err)
{
    const struct agent_op op = {.id = 1, .kind = AGENT_OP_CONNECT};
    enum zdm_code code = engine->ops->start(engine->self, &op, err);
    if (code != ZDM_OK)
        return code;
    struct agent_result *result = wait_for(results);
    if (result == NULL)
        return zdm_error_set(err, ZDM_TIMEOUT, "the database did not answer");
    if (result->outcome != AGENT_OK && result->outcome != AGENT_ALREADY) {
        *err = result->error;
        if (err->code == ZDM_OK)
            zdm_error_set(err, ZDM_UNAVAILABLE, "could not read the journal");
        code = err->code;
    } else
        code = print_rows(result, shard, agent, err);
    agent_result_free(result);
    return code;
}

static enum zdm_code ask_database(const struct agent_settings *settings, const char *shard, const struct zdm_id *agent,
                                  struct zdm_error *err)
{
    struct agent_engine engine = {.ops = NULL};
    struct agent_results *results = agent_results_new(ignore, NULL);
    if (results == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    const struct agent_engine_config config = {.dsn = settings->dsn,
                                               .application_name = "zdm-agent anchors",
                                               .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                               .sink = agent_results_sink(results)};
    enum zdm_code code = agent_engine_open(&config, &engine, err);
    if (code == ZDM_OK)
        code = read_journal(&engine, results, shard, agent, err);
    if (engine.ops != NULL)
        engine.ops->close(engine.self);
    agent_results_free(results);
    return code;
}

static enum zdm_code show_anchors(const struct agent_settings *settings, struct zdm_error *err)
{
    struct agent_home home;
    struct agent_identity identity;
    if (settings->dsn == NULL || settings->dsn[0] == '\0') {
        zdm_error_set(err, ZDM_INVALID, "the database is missing");
        return zdm_error_hint(err, "Give it with --dsn DSN, ZDM_DSN or dsn: in the config file.");
    }
    enum zdm_code code = agent_home_read(settings->data, &home, err);
    if (code != ZDM_OK)
        return code;
    code = agent_identity_read(zdm_crypto_sodium(), home.trust.data, home.trust.len, home.enrolment.data,
                               home.enrolment.len, &identity, err);
    if (code == ZDM_OK) {
        code = ask_database(settings, identity.enrolment.shard, &home.key.id, err);
        agent_identity_fini(&identity);
    }
    agent_home_fini(&home);
    return code;
}

int command_anchors(int argc, char **argv)
{
    struct agent_settings settings;
    struct zdm_error err;
    const char *argument;
    agent_settings_init(&settings);
    enum zdm_code code = agent_settings_read(&settings, argc, argv, &argument, &err);
    if (code == ZDM_OK && argument != NULL)
        code = zdm_error_set(&err, ZDM_INVALID, "anchors takes no argument");
    if (code == ZDM_OK)
        code = zdm_crypto_start(&err);
    if (code == ZDM_OK)
        code = show_anchors(&settings, &err);
    agent_settings_fini(&settings);
    return code == ZDM_OK ? EXIT_DONE : print_error(&err);
}
