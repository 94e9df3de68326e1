/*
 * open.c - the registry of engines: a scheme in front of the connection string, and who understands it (open.h).
 */
#include "agent/engine/open.h"

#include <string.h>

struct kind {
    const char *scheme; /* "" fits all that is left */
    enum zdm_code (*open)(const struct agent_engine_config *config, struct agent_engine *out, struct zdm_error *err);
    enum zdm_code (*check_dsn)(const char *dsn, struct zdm_error *err);
};

static const struct kind kinds[] = {
    {"mysql:", agent_mysql_open, agent_mysql_check_dsn},
    {"", agent_postgresql_open, agent_postgresql_check_dsn},
};

static const struct kind *kind_of(const char *dsn)
{
    const struct kind *kind = kinds;
    while (strncmp(dsn, kind->scheme, strlen(kind->scheme)) != 0) {
        kind++;
    }
    return kind;
}

enum zdm_code agent_engine_open(const struct agent_engine_config *config, struct agent_engine *out_engine,
                                struct zdm_error *err)
{
    const struct kind *kind = kind_of(config->dsn);
    for (size_t i = 0; i < config->n_replicas; i++) {
        if (kind_of(config->replicas[i]) != kind) {
            return zdm_error_set(err, ZDM_INVALID, "replica %zu is of another engine than its node", i + 1);
        }
    }
    return kind->open(config, out_engine, err);
}

enum zdm_code agent_engine_check_dsn(const char *dsn, struct zdm_error *err)
{
    return kind_of(dsn)->check_dsn(dsn, err);
}
