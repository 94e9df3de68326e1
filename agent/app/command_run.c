/*
 * command_run.c - `zdm-agent run`: binds the driver to the real clock, network and database, and turns it until
 * SIGTERM.
 *
 * One thread does everything; the engine's and nng's threads only enqueue, the signal thread only wakes. The data
 * folder is locked for the life of the process, so that one key is never used twice at once.
 */
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/app/driver.h"
#include "agent/app/home.h"
#include "agent/app/identity.h"
#include "agent/app/program.h"
#include "agent/app/results.h"
#include "agent/app/settings.h"
#include "agent/engine/open.h"
#include "common/base/buffer.h"
#include "common/net/net.h"
#include "common/os/clock.h"
#include "common/os/crypto.h"
#include "common/os/daemon.h"
#include "common/os/log.h"

enum { LOOK_MS = 1000, CONNECT_TIMEOUT_MS = 5000, ARENAS = 1 };

struct program {
    struct agent_settings settings;
    struct agent_home home;
    struct agent_results *results;
    struct agent_engine engine;
    struct agent_driver *driver;
    _Atomic(struct zdm_net_nng *) net;
    struct stat trust_file; /* as it was looked at last */
    int64_t looked_ms;
};

/* For the signal thread: it may come at any time. Lives until the process ends. */
static struct program program;

static void wake(void *ctx)
{
    struct program *p = ctx;
    struct zdm_net_nng *net = atomic_load(&p->net);
    if (net != NULL)
        zdm_net_nng_wake(net);
}

static void notice(void *ctx, const struct agent_note *note)
{
    (void)ctx;
    zdm_log(note->level, note->message, note->pairs[0].key, note->pairs[0].value, note->pairs[1].key,
            note->pairs[1].value, note->pairs[2].key, note->pairs[2].value, NULL);
}

static bool save_trust(void *ctx, const void *bytes, size_t n)
{
    struct program *p = ctx;
    struct zdm_error err;
    if (agent_home_write_trust(p->settings.data, bytes, n, &err) == ZDM_OK)
        return true;
    zdm_log_error(ZDM_LOG_ERROR, "could not write the trust file", &err);
    return false;
}

static enum zdm_code start_log(const struct agent_settings *settings, struct zdm_error *err)
{
    enum zdm_log_level level = ZDM_LOG_INFO;
    if (settings->log_level != NULL && !zdm_log_level_parse(settings->log_level, &level)) {
        zdm_error_set(err, ZDM_INVALID, "log level %s is unknown", settings->log_level);
        return zdm_error_hint(err, "Use debug, info, warn or error.");
    }
    zdm_log_start("zdm-agent", level);
    return ZDM_OK;
}

static enum zdm_code open_engine(struct program *p, struct zdm_error *err)
{
    struct agent_identity identity;
    char name[ZDM_NAME_MAX + 16];
    enum zdm_code code = agent_identity_read(zdm_crypto_sodium(), p->home.trust.data, p->home.trust.len,
                                             p->home.enrolment.data, p->home.enrolment.len, &identity, err);
    if (code != ZDM_OK)
        return code;
    (void)snprintf(name, sizeof name, "zdm-agent %s", identity.enrolment.shard);
    agent_identity_fini(&identity);
    p->results = agent_results_new(wake, p);
    if (p->results == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    ZDM_CLEANUP(zdm_freep) char *text = NULL;
    const char *replicas[AGENT_REPLICAS_MAX];
    struct agent_engine_config config = {.dsn = p->settings.dsn,
                                         .application_name = name,
                                         .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                         .replicas = replicas,
                                         .owner = p->settings.owner,
                                         .sink = agent_results_sink(p->results)};
    code = agent_settings_replicas(&p->settings, &text, replicas, &config.n_replicas, err);
    return code == ZDM_OK ? agent_engine_open(&config, &p->engine, err) : code;
}

static enum zdm_code make_driver(struct program *p, struct zdm_error *err)
{
    struct agent_driver_config config = {.clock = zdm_clock_system(),
                                         .random = zdm_random_system(),
                                         .crypto = zdm_crypto_sodium(),
                                         .key = &p->home.key,
                                         .trust = p->home.trust.data,
                                         .trust_n = p->home.trust.len,
                                         .enrolment = p->home.enrolment.data,
                                         .enrolment_n = p->home.enrolment.len,
                                         .urls = p->home.urls,
                                         .n_urls = p->home.n_urls,
                                         .engine = p->engine,
                                         .next_result = agent_results_pop,
                                         .results = p->results,
                                         .release = ZDM_VERSION,
                                         .save_trust = save_trust,
                                         .notice = notice,
                                         .ctx = p};
    static const struct zdm_net_gate none = {.handshake_slots = 1, .per_address = 1, .handshake_ms = 5000};
    agent_settings_core(&p->settings, &config.core);
    enum zdm_code code = agent_driver_new(&config, &p->driver, err);
    if (code != ZDM_OK)
        return code;
    const struct zdm_net_upcalls upcalls = agent_driver_upcalls(p->driver);
    struct zdm_net_nng *net = zdm_net_nng_new(&none, &upcalls);
    if (net == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "could not start the network");
    atomic_store(&p->net, net);
    agent_driver_start(p->driver, zdm_net_nng_seam(net));
    return ZDM_OK;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void read_trust_file(struct program *p)
{
    struct zdm_buffer bytes;
    struct zdm_error err;
    zdm_buffer_init(&bytes, AGENT_TRUST_FILE_MAX);
    if (agent_home_read_trust(p->settings.data, &bytes, &err) == ZDM_OK)
        agent_driver_take_trust_file(p->driver, bytes.data, bytes.len);
    else
        zdm_log_error(ZDM_LOG_WARN, "could not read the trust file", &err);
    zdm_buffer_fini(&bytes);
}

/* `zdm-agent trust update` replaces the file beside a running agent. The first look, too, reads it: it may have been
 * replaced since the start. */
static void look_at_trust_file(struct program *p)
{
    struct stat now;
    int64_t now_ms = zdm_boot_ms(zdm_clock_system());
    if (now_ms < p->looked_ms + LOOK_MS)
        return;
    p->looked_ms = now_ms;
    if (!agent_home_stat_trust(p->settings.data, &now) || is_same_file(&now, &p->trust_file))
        return;
    p->trust_file = now;
    read_trust_file(p);
}

static void loop(struct program *p)
{
    while (!zdm_daemon_should_stop()) {
        look_at_trust_file(p);
        int64_t left = agent_driver_turn(p->driver) - zdm_boot_ms(zdm_clock_system());
        int timeout = left <= 0 ? 0 : left > LOOK_MS ? LOOK_MS : (int)left;
        zdm_net_nng_poll(atomic_load(&p->net), timeout);
    }
}

/* The engine answers all it was asked before it is closed, so that the results' queue may go after it. */
static void shut_down(struct program *p)
{
    struct zdm_net_nng *net = atomic_exchange(&p->net, NULL);
    agent_driver_free(p->driver);
    if (p->engine.ops != NULL)
        p->engine.ops->close(p->engine.self);
    zdm_net_nng_free(net);
    agent_results_free(p->results);
    agent_home_fini(&p->home);
}

static enum zdm_code check_dsn(const struct agent_settings *settings, struct zdm_error *err)
{
    if (settings->dsn != NULL && settings->dsn[0] != '\0')
        return ZDM_OK;
    zdm_error_set(err, ZDM_INVALID, "the database is missing");
    return zdm_error_hint(err, "Give it with --dsn DSN, ZDM_DSN or dsn: in the config file.");
}

static enum zdm_code begin(struct program *p, struct zdm_error *err)
{
    /* A small process with several threads: an arena for each would be most of its memory. */
    (void)mallopt(M_ARENA_MAX, ARENAS);
    enum zdm_code code = start_log(&p->settings, err);
    if (code == ZDM_OK)
        code = check_dsn(&p->settings, err);
    if (code == ZDM_OK)
        code = zdm_crypto_start(err);
    if (code == ZDM_OK)
        code = agent_home_read(p->settings.data, &p->home, err);
    if (code == ZDM_OK)
        code = agent_home_lock(p->settings.data, err);
    if (code == ZDM_OK)
        code = zdm_daemon_start(wake, p, err);
    if (code == ZDM_OK)
        code = open_engine(p, err);
    return code == ZDM_OK ? make_driver(p, err) : code;
}

int command_run(int argc, char **argv)
{
    struct program *p = &program;
    struct zdm_error err;
    const char *argument;
    agent_settings_init(&p->settings);
    enum zdm_code code = agent_settings_read(&p->settings, argc, argv, &argument, &err);
    if (code == ZDM_OK && argument != NULL)
        code = zdm_error_set(&err, ZDM_INVALID, "run takes no argument");
    if (code == ZDM_OK)
        code = begin(p, &err);
    if (code == ZDM_OK) {
        zdm_log(ZDM_LOG_INFO, "agent started", "shard", agent_driver_shard(p->driver), "release", ZDM_VERSION, NULL);
        zdm_daemon_notify("READY=1");
        loop(p);
        zdm_daemon_notify("STOPPING=1");
        zdm_log(ZDM_LOG_INFO, "agent stopped", NULL);
    }
    shut_down(p);
    agent_settings_fini(&p->settings);
    return code == ZDM_OK ? EXIT_DONE : print_error(&err);
}
