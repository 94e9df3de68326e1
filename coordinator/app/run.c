/*
 * run.c - `zdm-coordinator run`: binds the driver to the real clock, network and disk, and turns it until SIGTERM; and
 * `recover`, for which it is bound in the same way and only hears.
 *
 * One thread does everything; nng's threads only enqueue, the signal thread only wakes. The data folder is locked for
 * the life of the process, so that two coordinators never share it.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/net/net.h"
#include "common/os/clock.h"
#include "common/os/crypto.h"
#include "common/os/daemon.h"
#include "common/os/file.h"
#include "common/os/log.h"
#include "coordinator/app/backup.h"
#include "coordinator/app/program.h"
#include "coordinator/app/recover.h"

enum {
    OTHER_DESCRIPTORS = 64,
    POLL_MAX_MS = 1000,
    BACKUP_LOOK_MS = 1000,
    LAST_WORDS_MS = 100, /* for what was said to leave */
    URL_MAX = 512,
    TRUST_FILE_MODE = 0644
};

struct program {
    struct settings settings;
    struct zdm_signing_key key;
    struct zdm_buffer trust;
    struct store store;
    struct coord_driver *driver;
    _Atomic(struct zdm_net_nng *) net;
    int64_t next_backup_look_ms;
    char url[URL_MAX];
    bool only_hears; /* recover */
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

static void admit(void *ctx, zdm_conn conn)
{
    struct program *p = ctx;
    zdm_net_nng_admit(atomic_load(&p->net), conn);
}

static enum zdm_code keep_trust(void *ctx, const void *bytes, size_t n, struct zdm_error *err)
{
    const struct program *p = ctx;
    return zdm_file_write(p->settings.trust, bytes, n, TRUST_FILE_MODE, err);
}

static void notice(void *ctx, const struct coord_notice *n)
{
    enum { FIELDS = 5 };
    const char *const fields[FIELDS][2] = {{"migration", n->migration},
                                           {"shard", n->shard},
                                           {"person", n->person},
                                           {"peer", n->peer},
                                           {"reason", n->reason}};
    const char *said[FIELDS][2] = {{NULL}}; /* those that apply, and then nothing: a NULL key ends the line */
    size_t n_said = 0;
    (void)ctx;
    for (size_t i = 0; i < FIELDS; i++)
        if (fields[i][1] != NULL && fields[i][1][0] != '\0') {
            said[n_said][0] = fields[i][0];
            said[n_said++][1] = fields[i][1];
        }
    zdm_log(n->level, n->message, said[0][0], said[0][1], said[1][0], said[1][1], said[2][0], said[2][1], said[3][0],
            said[3][1], said[4][0], said[4][1], NULL);
}

/* ---- Before the loop ---- */

/* Every agent has a descriptor; running out of them would lock known agents out. */
static enum zdm_code check_descriptors(const struct settings *s, struct zdm_error *err)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return ZDM_OK;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    int64_t reserved = s->handshake_slots + OTHER_DESCRIPTORS;
    int64_t room = limit.rlim_cur == RLIM_INFINITY ? INT64_MAX : (int64_t)limit.rlim_cur - reserved;
    if (room >= (s->agents != 0 ? s->agents : 1))
        return ZDM_OK;
    zdm_error_set(err, ZDM_LIMIT, "the limit of open files leaves room for %" PRId64 " agents", room > 0 ? room : 0);
    return zdm_error_hint(err, "Raise it to at least %" PRId64 " (LimitNOFILE= of the unit, or ulimit -n).",
                          s->agents + reserved);
}

static enum zdm_code open_data(struct program *p, struct zdm_error *err)
{
    char path[PATH_MAX];
    enum zdm_code code = zdm_dir_make(p->settings.data, 0700, err);
    if (code != ZDM_OK)
        return code;
    if (snprintf(path, sizeof path, "%s/lock", p->settings.data) >= (int)sizeof path)
        return zdm_error_set(err, ZDM_INVALID, "the data folder's name is too long");
    code = zdm_file_lock(path, err);
    if (code == ZDM_EXISTS) {
        zdm_error_set(err, ZDM_EXISTS, "another coordinator uses %s", p->settings.data);
        return zdm_error_hint(err, "Stop it first; two would give two answers to every question.");
    }
    return code;
}

static enum zdm_code read_identity(struct program *p, struct zdm_error *err)
{
    enum zdm_code code = zdm_key_file_read(p->settings.key, &p->key, err);
    if (code == ZDM_OK)
        code = zdm_file_read(p->settings.trust, TRUST_FILE_MAX, &p->trust, err);
    return code;
}

static enum zdm_code open_store(struct program *p, struct zdm_error *err)
{
    struct zdm_id fleet;
    char path[PATH_MAX];
    enum zdm_code code = coord_driver_fleet(zdm_crypto_sodium(), p->trust.data, p->trust.len, &fleet, err);
    if (code != ZDM_OK)
        return zdm_error_wrap(err, "while reading %s", p->settings.trust);
    (void)snprintf(path, sizeof path, "%s/log.db", p->settings.data);
    return store_sqlite_open(path, &fleet, &p->store, err) == STORE_OK ? ZDM_OK : err->code;
}

static enum zdm_code make_driver(struct program *p, struct zdm_error *err)
{
    char host[ZDM_NAME_MAX + 1] = "?";
    (void)gethostname(host, sizeof host - 1);
    const struct coord_driver_config config = {.clock = zdm_clock_system(),
                                               .random = zdm_random_system(),
                                               .crypto = zdm_crypto_sodium(),
                                               .key = &p->key,
                                               .trust = p->trust.data,
                                               .trust_n = p->trust.len,
                                               .store = p->store,
                                               .release = ZDM_VERSION,
                                               .host = host,
                                               .only_hears = p->only_hears,
                                               .keep_trust = keep_trust,
                                               .admit = admit,
                                               .notice = notice,
                                               .ctx = p};
    enum zdm_code code = coord_driver_new(&config, &p->driver, err);
    if (code != ZDM_OK)
        return code;
    const struct zdm_net_gate gate = {.handshake_slots = (unsigned)p->settings.handshake_slots,
                                      .per_address = (unsigned)p->settings.per_address,
                                      .handshake_ms = 5000};
    const struct zdm_net_upcalls upcalls = coord_driver_upcalls(p->driver);
    struct zdm_net_nng *net = zdm_net_nng_new(&gate, &upcalls);
    if (net == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "could not start the network");
    atomic_store(&p->net, net);
    return coord_driver_start(p->driver, zdm_net_nng_seam(net), err);
}

static enum zdm_code listen_on(struct program *p, struct zdm_error *err)
{
    struct zdm_net seam = zdm_net_nng_seam(atomic_load(&p->net));
    enum zdm_code code = seam.ops->listen(seam.self, p->settings.listen, p->url, sizeof p->url, err);
    if (code != ZDM_OK)
        return code;
    const char *own = p->url;
    return p->settings.n_urls != 0 ? coord_driver_advertise(p->driver, p->settings.urls, p->settings.n_urls, err)
                                   : coord_driver_advertise(p->driver, &own, 1, err);
}

static enum zdm_code start(struct program *p, struct zdm_error *err)
{
    enum zdm_code code = check_descriptors(&p->settings, err);
    if (code == ZDM_OK)
        code = zdm_daemon_start(wake, p, err);
    if (code == ZDM_OK)
        code = open_data(p, err);
    if (code == ZDM_OK)
        code = read_identity(p, err);
    if (code == ZDM_OK)
        code = open_store(p, err);
    if (code == ZDM_OK)
        code = make_driver(p, err);
    return code == ZDM_OK ? listen_on(p, err) : code;
}

/* Enrolments are people's decisions, and may have outgrown the limit: that is said, but an outage of all would be worse
 * than of those that find no room. */
static void compare_descriptors(const struct coord_state *state)
{
    struct rlimit limit;
    int64_t enrolled = 0;
    char agents[24], room[24];
    for (size_t i = 0; i < state->n_agents; i++)
        enrolled += !state->agents[i].revoked;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return;
    int64_t left = (int64_t)limit.rlim_cur - program.settings.handshake_slots - OTHER_DESCRIPTORS;
    if (enrolled <= left)
        return;
    (void)snprintf(agents, sizeof agents, "%" PRId64, enrolled);
    (void)snprintf(room, sizeof room, "%" PRId64, left);
    zdm_log(ZDM_LOG_WARN, "the limit of open files has no room for every enrolled agent: raise it", "agents", agents,
            "room", room, NULL);
}

static const char fenced_text[] = "this coordinator is fenced and gives no orders: stop it and start the one with the "
                                  "newest log, or see zdm-coordinator recover";

static void tell_start(const struct program *p)
{
    char epoch[24], events[24];
    const struct coord_state *state = coord_driver_state(p->driver);
    (void)snprintf(epoch, sizeof epoch, "%" PRIu64, state->epoch);
    (void)snprintf(events, sizeof events, "%" PRIu64, state->head_seq);
    zdm_log(ZDM_LOG_INFO, "ready", "listen", p->url, "epoch", epoch, "events", events, "release", ZDM_VERSION, NULL);
    compare_descriptors(state);
    if (state->fenced)
        zdm_log(ZDM_LOG_WARN, fenced_text, NULL);
    zdm_daemon_notify("READY=1");
}

/* ---- The loop ---- */

static void look_for_backup(struct program *p)
{
    char path[PATH_MAX];
    struct zdm_error err;
    int64_t now_ms = zdm_boot_ms(zdm_clock_system());
    if (now_ms < p->next_backup_look_ms)
        return;
    p->next_backup_look_ms = now_ms + BACKUP_LOOK_MS;
    if (!backup_serve(p->settings.data, &p->store, path, sizeof path, &err))
        return;
    if (err.code == ZDM_OK)
        zdm_log(ZDM_LOG_INFO, "backup made", "path", path, NULL);
    else
        zdm_log_error(ZDM_LOG_ERROR, "could not make a backup", &err);
}

static int loop(struct program *p)
{
    struct zdm_error err;
    while (!zdm_daemon_should_stop()) {
        int64_t wake_at_ms = coord_driver_turn(p->driver);
        if (coord_driver_ended(p->driver, &err)) {
            zdm_log_error(ZDM_LOG_ERROR, "the coordinator cannot go on", &err);
            zdm_net_nng_poll(atomic_load(&p->net), LAST_WORDS_MS);
            return EXIT_FAILED;
        }
        look_for_backup(p);
        int64_t wait_ms = wake_at_ms - zdm_boot_ms(zdm_clock_system());
        wait_ms = wait_ms < 0 ? 0 : wait_ms > POLL_MAX_MS ? POLL_MAX_MS : wait_ms;
        zdm_net_nng_poll(atomic_load(&p->net), (int)wait_ms);
    }
    if (coord_driver_state(p->driver)->fenced)
        zdm_log(ZDM_LOG_WARN, fenced_text, NULL);
    zdm_log(ZDM_LOG_INFO, "stopping", NULL);
    zdm_daemon_notify("STOPPING=1");
    coord_driver_stop(p->driver);
    zdm_net_nng_poll(atomic_load(&p->net), LAST_WORDS_MS);
    return EXIT_DONE;
}

/* The net first: its last upcalls go to the driver. */
static void finish(struct program *p)
{
    struct zdm_net_nng *net = atomic_exchange(&p->net, NULL);
    if (net != NULL)
        zdm_net_nng_free(net);
    coord_driver_free(p->driver);
    if (p->store.ops != NULL)
        p->store.ops->close(p->store.self);
    zdm_buffer_fini(&p->trust);
    zdm_signing_key_wipe(&p->key);
    settings_fini(&p->settings);
}

int command_run(int argc, char **argv)
{
    struct program *p = &program;
    struct zdm_error err;
    enum zdm_log_level level = ZDM_LOG_INFO;
    if (zdm_crypto_start(&err) != ZDM_OK || settings_read(&p->settings, argc, argv, NULL, &err) != ZDM_OK)
        return print_error(&err);
    if (!zdm_log_level_parse(p->settings.log_level, &level)) {
        zdm_error_set(&err, ZDM_INVALID, "log_level is debug, info, warn or error, not %s", p->settings.log_level);
        settings_fini(&p->settings);
        return print_error(&err);
    }
    zdm_log_start("zdm-coordinator", level);
    int status;
    if (start(p, &err) != ZDM_OK)
        status = print_error(&err);
    else {
        tell_start(p);
        status = loop(p);
    }
    finish(p);
    return status;
}

/* ---- recover ---- */

static void poll_for(void *ctx, int64_t wait_ms)
{
    struct program *p = ctx;
    zdm_net_nng_poll(atomic_load(&p->net), (int)wait_ms);
}

static enum zdm_code check_log(const struct settings *s, struct zdm_error *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/log.db", s->data) < (int)sizeof path && access(path, F_OK) == 0)
        return ZDM_OK;
    return zdm_error_set(err, ZDM_NOT_FOUND, "there is no log in %s", s->data);
}

static enum zdm_code recover(struct program *p, const struct recover_options *options, struct zdm_error *err)
{
    struct store_head head;
    enum zdm_code code = check_log(&p->settings, err);
    if (code == ZDM_OK)
        code = start(p, err);
    if (code == ZDM_EXISTS)
        return zdm_error_hint(err, "Stop it first: recover listens in its place.");
    if (code != ZDM_OK)
        return code;
    if (p->store.ops->head(p->store.self, &head, err) != STORE_OK)
        return err->code;
    fprintf(stderr, "listening on %s\n", p->url);
    code = recover_log(p->driver, options, head.seq != 0 && head.backup_seq == head.seq, poll_for, p, err);
    coord_driver_stop(p->driver);
    poll_for(p, 100);
    return code;
}

int command_recover(int argc, char **argv)
{
    struct program *p = &program;
    struct recover_options options;
    struct zdm_error err;
    p->only_hears = true;
    enum zdm_code code = zdm_crypto_start(&err);
    if (code == ZDM_OK)
        code = recover_options_take(&options, &argc, argv, &err);
    if (code == ZDM_OK)
        code = settings_read(&p->settings, argc, argv, NULL, &err);
    if (code != ZDM_OK)
        return print_error(&err);
    zdm_log_start("zdm-coordinator", ZDM_LOG_WARN);
    code = recover(p, &options, &err);
    finish(p);
    return code == ZDM_OK ? EXIT_DONE : print_error(&err);
}
